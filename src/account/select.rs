//! Which lines of a log an account needs.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::log::{At, Entry, Error, Head, Listener, Logs, Name, Record};
use crate::shard::Shard;

use super::fold::{Fold, MEMORY};
use super::{Account, Selection, Staged, Verifications, shards};

/// Archives remembered as taken over by a run.
const RESUMED_MOST: usize = 8_000_000;
/// Runs that are listed.
const RUNS_LISTED: usize = 20;

/// The runs of a log.
#[derive(Debug, Default)]
pub struct Runs {
    /// The last ones: name, and when they began.
    pub last: VecDeque<(String, Option<SystemTime>)>,
    /// How many there are before those.
    pub more: u64,
}

impl Listener for Runs {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        // A run goes on in the next part of a rotated log.
        let is_new = || self.last.iter().all(|(run, _)| *run != *head.run);
        if head.stage == "script_start" && is_new() {
            if self.last.len() == RUNS_LISTED {
                self.last.pop_front();
                self.more += 1;
            }
            self.last.push_back((head.run.clone().into_owned(), head.time()));
        }
        false
    }

    fn note(&mut self, _entry: Entry, _at: At) {}
}

/// The runs that were begun in the logs.
pub fn runs(logs: &Logs) -> Result<Runs, Error> {
    let mut runs = Runs::default();
    logs.read(&mut runs)?;
    Ok(runs)
}

/// What a selection needs of a log.
pub(super) struct Wanted<'a> {
    selection: &'a Selection,
    /// The log that is being read.
    log: usize,
    /// The run of each log, or of each shard in it; none for all.
    runs: HashMap<Place, Taken>,
    /// Where each of them is.
    places: HashMap<String, Place>,
    /// Runs that were begun.
    begun: u64,
    /// Runs of an older division of the collection, which are left out.
    other_runs: u64,
    hasher: RandomState,
}

/// The log, and the shard if the run is of one.
type Place = (usize, Option<Shard>);

/// A run, and what it took over.
#[derive(Default)]
struct Taken {
    run: String,
    /// Its place in the order in which runs were begun.
    order: u64,
    /// The runs that it took something over from.
    resumed_runs: HashSet<String>,
    /// What it took over: by which run, and which archive, as one number.
    resumed: HashSet<u64>,
}

impl Listener for Wanted<'_> {
    fn begin(&mut self, log: usize) {
        // A run that is named may be in any of them.
        self.log = if *self.selection == Selection::Last { log } else { 0 };
    }

    /// Finds the run that is named.
    fn wants(&mut self, head: &Head<'_>) -> bool {
        // A run that was refused says nothing more.
        if let Selection::Run(id) = self.selection
            && self.runs.is_empty()
            && head.run == **id
        {
            self.take((0, None), id.clone());
        }
        match &*head.stage {
            "script_start" => *self.selection == Selection::Last,
            "archive_resumed" => self.places.contains_key(&*head.run),
            _ => false,
        }
    }

    /// Finds the last ones, and what they took over.
    fn note(&mut self, entry: Entry, _at: At) {
        match entry.record {
            Record::ScriptStart(start) => {
                let log = self.log;
                // Part of a rotated log: whatever stands before in this log was begun later, or is the run's own beginning.
                if start.continued && self.places.values().any(|place| place.0 == log) {
                    return;
                }
                let replaces = |place: &Place| {
                    let is_other_division = place.1.map(Shard::count) != start.shard.map(Shard::count);
                    place.0 == log && (place.1 == start.shard || is_other_division)
                };
                self.runs.retain(|place, _| !replaces(place));
                self.places.retain(|_, place| !replaces(place));
                self.take((log, start.shard), entry.run);
            }
            Record::ArchiveResumed(resumed) => {
                let place = self.places.get(&entry.run);
                if let Some(taken) = place.and_then(|place| self.runs.get_mut(place))
                    && taken.resumed.len() < RESUMED_MOST
                {
                    taken.resumed.insert(self.hasher.hash_one((resumed.by_run.as_str(), &resumed.hash)));
                    taken.resumed_runs.insert(resumed.by_run);
                }
            }
            _ => {}
        }
    }
}

impl Wanted<'_> {
    /// What the selection needs of the logs; none if they have no selected run.
    pub fn read<'a>(logs: &Logs, selection: &'a Selection) -> Result<Option<Wanted<'a>>, Error> {
        let mut wanted = Wanted {
            selection,
            log: 0,
            runs: HashMap::new(),
            places: HashMap::new(),
            begun: 0,
            other_runs: 0,
            hasher: RandomState::new(),
        };
        if *selection != Selection::All {
            logs.read(&mut wanted)?;
            if wanted.runs.is_empty() {
                return Ok(None);
            }
            wanted.choose_division(logs);
        }
        Ok(Some(wanted))
    }

    fn take(&mut self, place: Place, run: String) {
        self.begun += 1;
        self.places.insert(run.clone(), place);
        self.runs.insert(place, Taken { run, order: self.begun, ..Taken::default() });
    }

    /// Of runs over shards, leaves the last one of each shard of the division that was begun last. In one folder, they give way
    /// to a later run over all, and one over all to later ones over shards.
    fn choose_division(&mut self, logs: &Logs) {
        let division = |place: &Place| place.1.map(Shard::count);
        let begun: Vec<_> = self.runs.keys().map(division).collect();
        let folder = |place: &Place| logs.path(place.0).parent().unwrap_or(Path::new("")).to_owned();
        let mut newest: HashMap<PathBuf, (u64, bool)> = HashMap::new();
        for (place, taken) in &self.runs {
            let known = newest.entry(folder(place)).or_default();
            *known = (*known).max((taken.order, place.1.is_some()));
        }
        self.runs.retain(|place, _| newest.get(&folder(place)).is_none_or(|newest| newest.1 == place.1.is_some()));
        self.choose_shards();
        let kept: HashSet<_> = self.runs.keys().map(division).collect();
        self.other_runs = begun.iter().filter(|division| !kept.contains(division)).count() as u64;
    }

    fn choose_shards(&mut self) {
        let of_shards = || self.runs.iter().filter_map(|(place, taken)| Some((place.1?, taken.order)));
        let Some((newest, _)) = of_shards().max_by_key(|&(_, order)| order) else { return };
        let mut last: HashMap<Shard, u64> = HashMap::new();
        for (shard, order) in of_shards().filter(|(shard, _)| shard.count() == newest.count()) {
            let known = last.entry(shard).or_default();
            *known = order.max(*known);
        }
        self.runs.retain(|place, taken| place.1.is_none_or(|shard| last.get(&shard) == Some(&taken.order)));
    }

    /// Whether it was selected, and not only taken something over from.
    fn is_last(&self, run: &str) -> bool {
        self.runs.values().any(|taken| taken.run == run)
    }

    fn has_run(&self, run: &str) -> bool {
        self.runs.is_empty() || self.runs.values().any(|taken| taken.run == run)
    }

    fn has(&self, run: &str, hash: &Name) -> bool {
        let took = |taken: &Taken| {
            taken.resumed_runs.contains(run) && taken.resumed.contains(&self.hasher.hash_one((run, hash)))
        };
        self.has_run(run) || self.runs.values().any(took)
    }

    fn may_have(&self, run: &str) -> bool {
        self.has_run(run) || self.runs.values().any(|taken| taken.resumed_runs.contains(run))
    }
}

/// Folds what the selection needs.
struct Selected<'a> {
    wanted: &'a Wanted<'a>,
    fold: Fold,
}

impl Listener for Selected<'_> {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        // What these say is said again by a later line of the archive, or is of no consequence.
        let is_said_again = matches!(&*head.stage, "img_found" | "extraction_start" | "cleanup" | "deferred");
        if !is_said_again && (self.wanted.may_have(&head.run) || Staged::wants(head) || Verifications::wants(head)) {
            return true;
        }
        if self.wanted.has_run(&head.run) {
            self.fold.hear(&head.run, head.time());
        }
        false
    }

    fn note(&mut self, entry: Entry, At { length, .. }: At) {
        let is_wanted = match entry.record.hash() {
            Some(hash) => self.wanted.has(&entry.run, hash),
            // Of a run that something was taken over from: what it was, and how it ended.
            None if matches!(
                entry.record,
                Record::ScriptStart(_) | Record::ScriptComplete(_) | Record::Interrupted(_) | Record::Abort(_)
            ) =>
            {
                self.wanted.may_have(&entry.run)
            }
            None => self.wanted.has_run(&entry.run),
        };
        if is_wanted {
            let is_last = self.wanted.is_last(&entry.run);
            self.fold.note(&entry.run, entry.time(), entry.record, length, is_last);
        } else {
            self.fold.note_since(entry.time(), &entry.record);
        }
    }
}

/// The account of the logs. None where they have no run of those that were selected.
pub(super) fn read(logs: &Logs, selection: &Selection) -> Result<Option<Account>, Error> {
    let Some(wanted) = Wanted::read(logs, selection)? else { return Ok(None) };
    let mut account = read_wanted(logs, &wanted, MEMORY)?;
    account.other_runs = wanted.other_runs;
    if *selection == Selection::Last {
        shards::merge(&mut account);
    }
    Ok(Some(account))
}

fn read_wanted(logs: &Logs, wanted: &Wanted<'_>, memory: usize) -> Result<Account, Error> {
    let mut selected = Selected { wanted, fold: Fold::new(memory) };
    let reading = logs.read(&mut selected)?;
    Ok(Account { reading, ..selected.fold.into_account() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_to_be_remembered_is_counted() {
        let lines: Vec<String> = (0..100)
            .flat_map(|number| {
                [
                    format!(r#"{{"stage":"archive_start","hash":"{number}","size_bytes":5,"run":"r"}}"#),
                    format!(
                        r#"{{"stage":"partition_check","hash":"{number}","img":"i","action":"KEPT","size_bytes":9,"path":"/s/{number}","run":"r"}}"#
                    ),
                    format!(r#"{{"stage":"archive_complete","hash":"{number}","content_bytes":7,"run":"r"}}"#),
                ]
            })
            .collect();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, lines.join("\n")).expect("a log");
        let logs = Logs::open(&[path], false).expect("a log");
        let wanted = Wanted::read(&logs, &Selection::All).expect("a log").expect("all");
        let sums = |memory| {
            let account = read_wanted(&logs, &wanted, memory).expect("a log");
            let sums = account.sums();
            (account, sums)
        };
        let (all, of_all) = sums(MEMORY);
        assert_eq!((all.archives.len(), all.archives_more, all.images_more), (100, 0, 0));
        assert_eq!(
            (of_all.complete, of_all.kept, of_all.compressed_bytes, of_all.totals.content_bytes),
            (100, 100, 500, 700)
        );
        let (some, of_some) = sums(20_000);
        assert!((1..50).contains(&some.archives.len()), "{}", some.archives.len());
        assert_eq!(some.archives.len() as u64 + some.archives_more, 100);
        assert_eq!(of_some, of_all);
        assert_eq!(some.runs[0].sums, all.runs[0].sums);
        let (none, _) = sums(0);
        assert_eq!((none.runs.len(), none.lines_more), (0, 300));
    }
}
