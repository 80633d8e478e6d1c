//! What earlier runs completed, and need not be done again.
//!
//! The log tells it. An archive is passed over only where a run by the same [rules](crate::config::Rules) and of the same
//! major version read it to its end, the file is the same by size and modification time, none of its images was left
//! undecided or without room, and every image that was staged is there in its full size, or was processed again since.
//! In doubt it is surveyed again: that costs time, and nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::account::{Lack, Staged, State, Tallies};
use crate::cause::Cause;
use crate::config::Config;
use crate::event::{Archive, ArchiveTotals, Earlier, EarlierImage, Resumed};
use crate::log::record::{ArchiveStart, PartitionCheck, ScriptStart};
use crate::log::{self, At, Entry, Head, Listener, Name, Record as Said};
use crate::reason::Reason;
use crate::run::Control;
use crate::sanitize::printable;
use crate::staging::{self, Folder, Place};
use crate::zst::Engine;

use super::doubt::Doubts;
use super::plan::Plan;

/// Images of earlier runs that are remembered; the archives of what lies beyond are surveyed again.
const IMAGES_MOST: usize = 1_000_000;

/// Reads the log and takes the archives that are done out of the plan. Also gives the hashes of those with which something
/// was found wrong. What of the log could not be understood goes to `warn`.
pub fn take_up(
    config: &Config,
    control: &Control,
    plan: &mut Plan,
    warn: &mut dyn FnMut(Cause),
) -> Result<(Resumed, HashSet<OsString>), Cause> {
    let path = &config.site.log;
    let archives = plan.archives.clone();
    let mut history = History::new(config, control, &archives);
    let failed = |error: log::Error| {
        let cause = Cause::of(Reason::Resume, &error);
        Cause { message: format!("{}; --resume needs the log of the earlier runs (--log)", cause.message), ..cause }
    };
    let logs = config.logs().map_err(failed)?;
    let reading = logs.read(&mut history).map_err(failed)?;
    for note in reading.notes {
        warn(Cause::new(Reason::LogUnreadable, note));
    }
    let History { done, staged, has_runs, lacking, doubts, .. } = history;
    let doubted = doubts.into_hashes();
    for (hash, lack) in lacking {
        let (path, hash) = (logs.path(lack.at.log).display(), printable(hash.as_encoded_bytes()));
        let message = format!(
            "{path}: the archive {hash}, which ends in line {}, has {}: it is surveyed again",
            lack.at.line, lack.what
        );
        warn(Cause::new(Reason::LogUnreadable, message));
    }
    if !has_runs {
        let message = format!("{} tells of no earlier run: there is nothing to resume", path.display());
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
    Ok((resumed, doubted))
}

/// An image that a run staged, or would have.
struct Known {
    name: Vec<u8>,
    ordinal: u32,
    size: u64,
    found: String,
    is_undecided: bool,
    is_unverified: bool,
    /// Where it was staged; none after a dry run.
    path: Option<Name>,
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
                is_unverified: image.is_unverified,
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
    tallies: Tallies,
    /// Archives whose lines do not add up.
    lacking: BTreeMap<OsString, Lack>,
    doubts: Doubts<'a>,
}

impl Listener for History<'_> {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        !matches!(&*head.stage, "extraction_start" | "deferred")
    }

    fn note(&mut self, entry: Entry, at: At) {
        let Some(hash) = entry.record.hash() else { return self.note_run(&entry) };
        if !self.wanted.contains_key(hash.as_os_str()) {
            return;
        }
        self.staged.note(&entry.record);
        self.doubts.note(&entry.record);
        let lack = self.tallies.note(&entry, at).and_then(Result::err);
        if self.runs.contains(&entry.run) {
            let hash = hash.as_os_str().to_owned();
            self.note_archive(&hash, entry, lack);
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
            tallies: Tallies::default(),
            lacking: BTreeMap::new(),
            doubts: Doubts::new(archives, control),
        }
    }

    fn note_run(&mut self, entry: &Entry) {
        match &entry.record {
            Said::ScriptStart(start) => {
                self.has_runs = true;
                if self.is_like_ours(start) {
                    self.runs.insert(entry.run.clone());
                }
            }
            Said::ScriptComplete(_) | Said::Interrupted(_) | Said::Abort(_) => {
                self.open.remove(&entry.run);
                self.runs.remove(&entry.run);
            }
            _ => {}
        }
    }

    /// Whether the answers of the run that begins with `start` would be this run's.
    fn is_like_ours(&self, start: &ScriptStart) -> bool {
        let major = |version: &str| version.split('.').next().map(str::to_owned);
        let version = start.version.as_deref().and_then(major);
        version == major(env!("CARGO_PKG_VERSION"))
            && start.rules.as_ref().is_some_and(|rules| rules.serve(&self.config.rules()))
    }

    fn is_same(&self, hash: &OsStr, start: &ArchiveStart) -> bool {
        self.wanted.get(hash).is_some_and(|archive| {
            start.size_bytes == Some(archive.size) && start.mtime.as_ref() == Some(&archive.mtime)
        })
    }

    fn note_archive(&mut self, hash: &OsStr, entry: Entry, lack: Option<Lack>) {
        if let Said::ArchiveStart(start) = &entry.record {
            if self.is_same(hash, start) {
                let record = Record { run: entry.run.clone(), ..Record::default() };
                self.open.entry(entry.run).or_default().insert(hash.to_owned(), record);
            }
            return;
        }
        let Some(open) = self.open.get_mut(&entry.run) else { return };
        let Some(record) = open.get_mut(hash) else { return };
        match entry.record {
            Said::Warning(_) => record.warnings += 1,
            Said::PartitionCheck(_) if self.images == IMAGES_MOST => record.is_unsettled = true,
            Said::PartitionCheck(check) => self.images += usize::from(record.note_image(*check)),
            Said::Error(error) if error.scope == "archive" => {
                open.remove(hash);
                self.done.remove(hash);
            }
            Said::ArchiveComplete(end) => {
                record.totals = end.totals();
                let Some(record) = open.remove(hash) else { return };
                if let Some(lack) = lack {
                    // Nobody knows what else it was.
                    self.done.remove(hash);
                    self.lacking.insert(hash.to_owned(), lack);
                } else {
                    self.lacking.remove(hash);
                    self.complete(hash, record);
                }
            }
            _ => {}
        }
    }

    fn complete(&mut self, hash: &OsStr, record: Record) {
        if record.is_unsettled || self.doubts.has(hash) {
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
    fn note_image(&mut self, check: PartitionCheck) -> bool {
        let (action, size) = (check.action.as_str(), check.size_bytes);
        let (true, Some(size)) = (matches!(action, "KEPT" | "would_keep"), size) else {
            self.is_unsettled |= action != "deleted";
            return false;
        };
        self.images.push(Known {
            ordinal: check.ordinal(),
            size,
            found: check.found().to_owned(),
            is_undecided: check.partitions.is_none(),
            is_unverified: check.verified == Some(Some(false)),
            room: check.room().unwrap_or(size),
            path: check.path,
            name: check.image.img.bytes().to_owned(),
        });
        true
    }
}
