//! What earlier runs completed, and need not be done again.
//!
//! The log tells it. An archive is passed over only where a run by the same [rules](crate::log::record::Rules) and of the same
//! major version read it to its end, the file is the same by size and modification time, none of its images was left
//! undecided or without room, and every image that was staged is there in its full size, or was processed again since.
//! In doubt it is surveyed again: that costs time, and nothing else.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use crate::account::{ArchiveAccount, ArchiveEnd, Earlier, Lack, StagedState, Tallies};
use crate::cause::Cause;
use crate::config::Config;
use crate::event::Archive;
use crate::log::record::{ArchiveStart, PartitionCheck, ScriptStart};
use crate::log::{self, At, Entry, Head, Listener, Record};
use crate::reason::Reason;
use crate::run::Control;
use crate::sanitize::printable;
use crate::staging::{self, Folder, Place};
use crate::zst::Engine;

use super::doubt::{Doubts, Known};
use super::plan::Plan;

/// Memory for what earlier runs found, in bytes, roughly; the archives of what lies beyond are surveyed again.
const MEMORY: usize = 256 << 20;

/// What earlier runs tell.
pub struct TakenUp {
    /// The archives that they completed, in the order of their ranks, and what they found.
    pub done: Vec<(Arc<Archive>, Earlier)>,
    /// What else they tell.
    pub known: Known,
}

/// Reads the log and takes the archives that are done out of the plan. Lines that could not be understood are
/// reported to `warn`.
pub fn take_up(
    config: &Config,
    control: &Control,
    plan: &mut Plan,
    warn: &mut dyn FnMut(Cause),
) -> Result<TakenUp, Cause> {
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
    let History { mut done, has_runs, lacking, doubts, .. } = history;
    let known = doubts.into_known();
    for (hash, lack) in lacking {
        let (path, hash) = (logs.path(lack.at.log).display(), printable(hash.as_encoded_bytes()));
        let message = format!(
            "{path}: archive {hash}, which ends in line {}, has {}; it is surveyed again",
            lack.at.line, lack.what
        );
        warn(Cause::new(Reason::LogUnreadable, message));
    }
    // An engine runs a shard for the first time as for the tenth.
    if !has_runs && config.shard.is_none() {
        let message = format!("{} has no earlier run; there is nothing to resume", path.display());
        warn(Cause::new(Reason::NothingToResume, message));
    }
    let root = Folder::open(&config.site.staging).ok();
    // Whole in staging, or processed again since.
    let is_accounted_for = |hash: &OsStr, image: &PartitionCheck| {
        let Some(path) = &image.path else { return true };
        let place = Place { hash, ordinal: image.ordinal(), name: image.image.img.bytes() };
        let found = root.as_ref().map(|root| staging::find(root, &place, image.size()));
        let is_there = matches!(found, Some(Ok(Some(_)))) && place.is_at(&config.site.staging, path.as_path());
        let state = known.staged.get(path).map(|image| &image.state);
        is_there || matches!(state, Some(StagedState::Reprocessed | StagedState::Removed))
    };
    let mut resumed = Vec::new();
    plan.archives.retain(|archive| {
        let hash = &archive.hash;
        if !done.get(hash).is_some_and(|told| told.images().all(|image| is_accounted_for(hash, image))) {
            return true;
        }
        let Some(Told { run, archive: found, weight }) = done.remove(hash) else { return true };
        resumed.push((Arc::clone(archive), Earlier { run, archive: found, weight }));
        false
    });
    Ok(TakenUp { done: resumed, known })
}

/// What a run said of an archive.
struct Told {
    run: String,
    archive: ArchiveAccount,
    weight: usize,
}

impl Told {
    /// The images that it staged, or would have.
    fn images(&self) -> impl Iterator<Item = &PartitionCheck> {
        self.archive.images.iter().filter(|check| matches!(check.action.as_str(), "KEPT" | "would_keep"))
    }

    /// Whether an image of it could not be decided on, or found no room.
    fn is_unsettled(&self) -> bool {
        let is_settled = |check: &PartitionCheck| match check.action.as_str() {
            "KEPT" | "would_keep" => check.size_bytes.is_some(),
            action => action == "deleted",
        };
        !self.archive.images.iter().all(is_settled)
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
    open: HashMap<String, HashMap<OsString, Told>>,
    done: HashMap<OsString, Told>,
    /// What is left of the memory.
    memory: usize,
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
        self.doubts.note(&entry.record);
        let lack = self.tallies.note(&entry, at).and_then(Result::err);
        if self.runs.contains(&entry.run) {
            let hash = hash.as_os_str().to_owned();
            self.note_archive(&hash, entry, at, lack);
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
            memory: MEMORY,
            tallies: Tallies::default(),
            lacking: BTreeMap::new(),
            doubts: Doubts::new(archives, control),
        }
    }

    fn note_run(&mut self, entry: &Entry) {
        match &entry.record {
            Record::ScriptStart(start) => {
                self.has_runs = true;
                if self.is_like_ours(start) {
                    self.runs.insert(entry.run.clone());
                }
            }
            Record::ScriptComplete(_) | Record::Interrupted(_) | Record::Abort(_) => {
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
        self.wanted.get(hash).is_some_and(|archive| archive.is_same(start))
    }

    fn note_archive(&mut self, hash: &OsStr, entry: Entry, At { length, .. }: At, lack: Option<Lack>) {
        let time = entry.time();
        if let Record::ArchiveStart(start) = &entry.record {
            if self.is_same(hash, start) {
                let archive = ArchiveAccount::begun(0, time, start);
                let told = Told { run: entry.run.clone(), archive, weight: 2 * length };
                self.open.entry(entry.run).or_default().insert(hash.to_owned(), told);
            }
            return;
        }
        let Some(open) = self.open.get_mut(&entry.run) else { return };
        let Some(told) = open.get_mut(hash) else { return };
        match entry.record {
            Record::Warning(warning) => told.archive.warn(time, *warning),
            Record::PartitionCheck(check) => {
                told.weight += size_of::<PartitionCheck>() + length + size_of_val(check.partitions());
                told.archive.images.push(*check);
            }
            Record::Error(error) if error.scope == "archive" => {
                open.remove(hash);
                self.forget(hash);
            }
            Record::ArchiveComplete(end) => {
                let (totals, is_verified) = (Box::new(end.totals()), end.totals.verified);
                told.archive.end = ArchiveEnd::Complete { time, totals, left_out: end.left_out };
                let Some(told) = open.remove(hash) else { return };
                if let Some(lack) = lack {
                    // Nobody knows what else it was.
                    self.forget(hash);
                    self.lacking.insert(hash.to_owned(), lack);
                } else {
                    self.lacking.remove(hash);
                    self.complete(hash, told, is_verified);
                }
            }
            _ => {}
        }
    }

    fn complete(&mut self, hash: &OsStr, told: Told, is_verified: bool) {
        if told.is_unsettled() || self.doubts.has(hash) {
            self.forget(hash);
            return;
        }
        let serves = is_verified || self.config.engine != Engine::Decode;
        let is_staged = self.config.dry_run || told.images().all(|image| image.path.is_some());
        // What a dry run found does not take the place of what was staged before it.
        if serves && is_staged {
            self.forget(hash);
            if let Some(left) = self.memory.checked_sub(told.weight) {
                self.memory = left;
                self.done.insert(hash.to_owned(), told);
            }
        }
    }

    /// The archive is not done, as far as is known now.
    fn forget(&mut self, hash: &OsStr) {
        self.memory += self.done.remove(hash).map_or(0, |told| told.weight);
    }
}
