//! What earlier runs completed, and need not be done again.
//!
//! The log tells it. An archive is passed over only where a run by the same [rules](crate::config::Rules) and of the same
//! major version read it to its end, the file is the same by size and modification time, none of its images was left
//! undecided or without room, and every image that was staged is there in its full size, or was processed again since.
//! In doubt it is surveyed again: that costs time, and nothing else.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::cause::Cause;
use crate::config::Config;
use crate::control::Control;
use crate::event::{Archive, ArchiveTotals, Earlier, EarlierImage, Resumed};
use crate::ledger::{self, Line, Listener, Peek, Staged, State, Text};
use crate::reason::Reason;
use crate::staging::{self, Folder, Place};
use crate::zst::Engine;

use super::plan::Plan;

/// Images of earlier runs that are remembered; the archives of what lies beyond are surveyed again.
const IMAGES_MOST: usize = 1_000_000;

/// Reads the log and takes the archives that are done out of the plan. What of the log could not be understood goes to
/// `warn`.
pub fn take_up(
    config: &Config,
    control: &Control,
    plan: &mut Plan,
    warn: &mut dyn FnMut(Cause),
) -> Result<Resumed, Cause> {
    let log = &config.site.log;
    let mut history = History::new(config, control, &plan.archives);
    let reading = ledger::read_some(log, is_wanted, &mut history).map_err(|error| {
        let cause = Cause::of(Reason::Resume, &error);
        Cause { message: format!("{}; --resume needs the log of the earlier runs (--log)", cause.message), ..cause }
    })?;
    for note in reading.notes(log) {
        warn(Cause::new(Reason::LogUnreadable, note));
    }
    let History { done, staged, has_runs, .. } = history;
    if !has_runs {
        let message = format!("{} tells of no earlier run: there is nothing to resume", log.display());
        warn(Cause::new(Reason::NothingToResume, message));
    }
    let root = Folder::open(&config.site.staging).ok();
    let is_there = |hash: &OsStr, image: &Known| {
        let path = image.path.as_ref()?.as_path();
        let place = image.place(hash);
        let found = root.as_ref().map(|root| staging::find(root, &place, image.size));
        if matches!(found, Some(Ok(Some(_)))) && place.is_at(&config.site.staging, path) {
            return Some(true);
        }
        image.is_processed(&staged).then_some(false)
    };
    let mut resumed = Resumed::default();
    plan.archives.retain(|archive| {
        let Some(known) = done.get(&archive.hash) else { return true };
        let Some(earlier) = known.earlier(&archive.hash, &is_there) else { return true };
        resumed.archives.push((Arc::clone(archive), earlier));
        false
    });
    Ok(resumed)
}

/// Whether a line can say anything of what was completed.
fn is_wanted(line: Peek<'_>) -> bool {
    // As the journal writes it: in a name, the quotes would be escaped.
    let is_kept_out = line.stage == "partition_check" && line.has(b"\"action\":\"deleted\"");
    !line.is_said_again() && !is_kept_out
}

/// An image that a run staged, or would have.
struct Known {
    name: Vec<u8>,
    ordinal: u32,
    size: u64,
    found: String,
    is_undecided: bool,
    /// Where it was staged; none after a dry run.
    path: Option<ledger::Name>,
    room: u64,
}

impl Known {
    fn place<'a>(&'a self, hash: &'a OsStr) -> Place<'a> {
        Place { hash, ordinal: self.ordinal, name: &self.name }
    }

    fn is_processed(&self, staged: &Staged) -> bool {
        let state = self.path.as_ref().and_then(|path| staged.get(path)).map(|image| &image.state);
        matches!(state, Some(State::Reprocessed | State::Removed))
    }
}

/// What a run said of an archive.
#[derive(Default)]
struct Record {
    run: String,
    totals: ArchiveTotals,
    warnings: u64,
    images: Vec<Known>,
    /// Whether an image of it could not be decided on, or found no room.
    is_unsettled: bool,
}

impl Record {
    /// What is told of the archive in its place, if all that was staged is accounted for.
    fn earlier(&self, hash: &OsStr, is_there: &dyn Fn(&OsStr, &Known) -> Option<bool>) -> Option<Earlier> {
        let mut images = Vec::new();
        for image in &self.images {
            let place = match &image.path {
                Some(path) => Some((path.as_path().to_owned(), is_there(hash, image)?)),
                None => None,
            };
            images.push(EarlierImage {
                name: image.name.clone(),
                size: image.size,
                found: image.found.clone(),
                is_undecided: image.is_undecided,
                place,
                room: image.room,
            });
        }
        let (run, totals, warnings) = (self.run.clone(), self.totals.clone(), self.warnings);
        Some(Earlier { run, totals, warnings, images })
    }
}

/// What the log has told so far.
struct History<'a> {
    config: &'a Config,
    control: &'a Control,
    wanted: HashMap<&'a OsStr, &'a Archive>,
    /// Runs whose answers would be this run's.
    runs: HashSet<String>,
    has_runs: bool,
    /// Archives that were begun and have not ended, by run.
    open: HashMap<String, HashMap<OsString, Record>>,
    done: HashMap<OsString, Record>,
    staged: Staged,
    images: usize,
}

impl Listener for History<'_> {
    fn note(&mut self, line: &Line<'_>) {
        let Some(hash) = line.hash() else { return self.note_run(line) };
        if !self.wanted.contains_key(hash.as_os_str()) {
            return;
        }
        self.staged.note(line);
        if self.runs.contains(line.run()) {
            self.note_archive(hash.as_os_str(), line);
        }
    }

    fn is_done(&self) -> bool {
        self.control.is_stopped()
    }
}

impl<'a> History<'a> {
    fn new(config: &'a Config, control: &'a Control, archives: &'a [Arc<Archive>]) -> History<'a> {
        History {
            config,
            control,
            wanted: archives.iter().map(|archive| (archive.hash.as_os_str(), &**archive)).collect(),
            runs: HashSet::new(),
            has_runs: false,
            open: HashMap::new(),
            done: HashMap::new(),
            staged: Staged::default(),
            images: 0,
        }
    }

    fn note_run(&mut self, line: &Line<'_>) {
        match line.stage.as_str() {
            "script_start" => {
                self.has_runs = true;
                if self.is_like_ours(line) {
                    self.runs.insert(line.run().to_owned());
                }
            }
            "script_complete" | "interrupted" | "abort" => {
                self.open.remove(line.run());
                self.runs.remove(line.run());
            }
            _ => {}
        }
    }

    /// Whether the answers of the run that begins with `line` would be this run's.
    fn is_like_ours(&self, line: &Line<'_>) -> bool {
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        let version = line.version.as_ref().map(Text::as_str).and_then(major);
        version == major(env!("CARGO_PKG_VERSION"))
            && line.rules().is_some_and(|rules| rules.serve(&self.config.rules()))
    }

    fn note_archive(&mut self, hash: &OsStr, line: &Line<'_>) {
        if line.stage.as_str() == "archive_start" {
            let is_same = self.wanted.get(hash).is_some_and(|archive| {
                line.size_bytes == Some(archive.size)
                    && line.mtime.as_ref().is_some_and(|mtime| mtime.as_str() == archive.mtime)
            });
            if is_same {
                let record = Record { run: line.run().to_owned(), ..Record::default() };
                self.open.entry(line.run().to_owned()).or_default().insert(hash.to_owned(), record);
            }
            return;
        }
        let Some(open) = self.open.get_mut(line.run()) else { return };
        let Some(record) = open.get_mut(hash) else { return };
        match (line.stage.as_str(), line.scope.as_ref().map(Text::as_str)) {
            ("warning", _) => record.warnings += 1,
            ("partition_check", _) if self.images == IMAGES_MOST => record.is_unsettled = true,
            ("partition_check", _) => {
                self.images += usize::from(record.note_image(line));
            }
            ("error", Some("archive")) => {
                open.remove(hash);
                self.done.remove(hash);
            }
            ("archive_complete", _) => {
                record.totals = line.totals();
                if let Some(record) = open.remove(hash) {
                    self.complete(hash, record);
                }
            }
            _ => {}
        }
    }

    fn complete(&mut self, hash: &OsStr, record: Record) {
        if record.is_unsettled {
            self.done.remove(hash);
            return;
        }
        let is_verified = record.totals.verified || self.config.engine != Engine::Decode;
        let is_staged = self.config.dry_run || record.images.iter().all(|image| image.path.is_some());
        // What a dry run found does not take the place of what was staged before it.
        if is_verified && is_staged {
            self.done.insert(hash.to_owned(), record);
        }
    }
}

impl Record {
    /// Takes note of the verdict on an image; whether it has to be remembered.
    fn note_image(&mut self, line: &Line<'_>) -> bool {
        match line.action.as_ref().map(Text::as_str) {
            Some("deleted") => return false,
            Some("KEPT" | "would_keep") => {}
            _ => {
                self.is_unsettled = true;
                return false;
            }
        }
        let (Some(name), Some(size)) = (line.image(), line.size_bytes) else {
            self.is_unsettled = true;
            return false;
        };
        self.images.push(Known {
            name: name.bytes().to_owned(),
            ordinal: line.ordinal(),
            size,
            found: line.found.as_ref().map_or(String::new(), |found| found.as_str().to_owned()),
            is_undecided: line.partitions.is_none(),
            path: line.path(),
            room: line.allocated_bytes.or(line.at_most_bytes).unwrap_or(size),
        });
        true
    }
}
