//! How an account is made of lines: which of them are wanted, and how much of them can be remembered.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::time::SystemTime;

use crate::log::record::{ArchiveStart, PartitionCheck, Problem as Told};
use crate::log::{At, Entry, Error, Head, Listener, Logs, Name, Record};

use super::{Account, ArchiveAccount, ArchiveEnd, PROBLEMS_MOST, Problem, Run, Selection, Staged, Verifications};

/// Memory for archives, images, partitions and runs, in bytes, roughly. What lies beyond is only counted.
const MEMORY: usize = 768 << 20;
/// Archives of which is remembered that a run took them over.
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
        if head.stage == "script_start" {
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

/// What of a log is wanted.
struct Wanted<'a> {
    selection: &'a Selection,
    /// The log that is being read.
    log: usize,
    /// The run of each log; none for all.
    runs: HashMap<usize, Taken>,
    hasher: RandomState,
}

/// A run, and what it took over.
#[derive(Default)]
struct Taken {
    run: String,
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

    /// Finds the run.
    fn wants(&mut self, head: &Head<'_>) -> bool {
        match self.selection {
            // A run that was refused says no more than that.
            Selection::Run(id) if self.runs.is_empty() && head.run == **id => {
                self.runs.insert(0, Taken { run: id.clone(), ..Taken::default() });
            }
            Selection::Last if head.stage == "script_start" => {
                self.runs.insert(self.log, Taken { run: head.run.clone().into_owned(), ..Taken::default() });
            }
            _ => {}
        }
        head.stage == "archive_resumed" && self.runs.get(&self.log).is_some_and(|taken| taken.run == head.run)
    }

    /// Finds what it took over.
    fn note(&mut self, entry: Entry, _at: At) {
        if let Record::ArchiveResumed(resumed) = entry.record
            && let Some(taken) = self.runs.get_mut(&self.log).filter(|taken| taken.resumed.len() < RESUMED_MOST)
        {
            taken.resumed.insert(self.hasher.hash_one((resumed.by_run.as_str(), &resumed.hash)));
            taken.resumed_runs.insert(resumed.by_run);
        }
    }
}

impl Wanted<'_> {
    /// What is wanted of the logs. None where they have no run of those that were selected.
    fn read<'a>(logs: &Logs, selection: &'a Selection) -> Result<Option<Wanted<'a>>, Error> {
        let mut wanted = Wanted { selection, log: 0, runs: HashMap::new(), hasher: RandomState::new() };
        if *selection != Selection::All {
            logs.read(&mut wanted)?;
            if wanted.runs.is_empty() {
                return Ok(None);
            }
        }
        Ok(Some(wanted))
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

/// An account in the making.
pub(super) struct Fold<'a> {
    wanted: &'a Wanted<'a>,
    account: Account,
    runs: HashMap<String, usize>,
    /// Where each archive is in the account, and what it takes of the memory.
    archives: HashMap<Name, (usize, usize)>,
    /// What is left of the memory.
    memory: usize,
    /// Whether there was once too little.
    is_full: bool,
}

impl Listener for Fold<'_> {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        // What these say is said again by a later line of the archive, or is of no consequence.
        let is_said_again = matches!(&*head.stage, "img_found" | "extraction_start" | "cleanup" | "deferred");
        if !is_said_again && (self.wanted.may_have(&head.run) || Staged::wants(head) || Verifications::wants(head)) {
            return true;
        }
        if let Some(&run) = self.runs.get(&*head.run)
            && self.wanted.has_run(&head.run)
        {
            let run = &mut self.account.runs[run];
            run.heard = head.time().max(run.heard);
        }
        false
    }

    fn note(&mut self, entry: Entry, At { length, .. }: At) {
        self.account.staged.note(&entry.record);
        self.account.verifications.note(&entry);
        if self.is_of_reprocessing(&entry) {
            return;
        }
        let is_wanted = match entry.record.hash() {
            Some(hash) => self.wanted.has(&entry.run, hash),
            None => self.wanted.has_run(&entry.run),
        };
        if !is_wanted {
            return;
        }
        let Some(run) = self.run(&entry, length) else {
            self.account.lines_more += 1;
            return;
        };
        match entry.record.hash() {
            Some(hash) => {
                let hash = hash.clone();
                self.note_archive(run, hash, entry, length);
            }
            None => self.account.runs[run].note(entry),
        }
    }
}

impl<'a> Fold<'a> {
    fn new(wanted: &'a Wanted<'a>, memory: usize) -> Fold<'a> {
        let (runs, archives) = (HashMap::new(), HashMap::new());
        Fold { wanted, account: Account::default(), runs, archives, memory, is_full: false }
    }
}

impl Fold<'_> {
    /// The account of the logs. None where they have no run of those that were selected.
    pub fn read(logs: &Logs, selection: &Selection) -> Result<Option<Account>, Error> {
        let Some(wanted) = Wanted::read(logs, selection)? else { return Ok(None) };
        let mut fold = Fold::new(&wanted, MEMORY);
        let reading = logs.read(&mut fold)?;
        Ok(Some(Account { reading, ..fold.account }))
    }

    /// Whether a line tells of staged images being processed again, or of checksums: that is no run that surveys.
    fn is_of_reprocessing(&self, entry: &Entry) -> bool {
        match &entry.record {
            Record::ReprocessStart(_)
            | Record::ReprocessComplete(_)
            | Record::Removed(_)
            | Record::ArchiveVerified(_) => true,
            Record::Interrupted(_) => !self.runs.contains_key(&entry.run),
            Record::Error(problem) | Record::Warning(problem) => problem.scope == "staged",
            _ => false,
        }
    }

    /// Takes so many bytes of the memory, if they are there.
    fn take(&mut self, bytes: usize) -> bool {
        self.is_full |= bytes > self.memory;
        if !self.is_full {
            self.memory -= bytes;
        }
        !self.is_full
    }

    fn run(&mut self, entry: &Entry, length: usize) -> Option<usize> {
        let time = entry.time();
        let run = match self.runs.get(&entry.run).copied() {
            Some(run) => run,
            None if self.take(size_of::<Run>() + 2 * length) => {
                let runs = &mut self.account.runs;
                let is_last = self.wanted.runs.values().any(|taken| taken.run == entry.run);
                runs.push(Run { is_last, ..Run::new(&entry.run, time) });
                self.runs.insert(entry.run.clone(), runs.len() - 1);
                runs.len() - 1
            }
            None => return None,
        };
        let heard = &mut self.account.runs[run].heard;
        *heard = time.max(*heard);
        Some(run)
    }

    fn note_archive(&mut self, run: usize, hash: Name, entry: Entry, length: usize) {
        let time = entry.time();
        self.account.runs[run].sums.note(&entry.record);
        match entry.record {
            Record::ArchiveStart(start) => return self.begin(run, hash, time, *start, length),
            Record::ArchiveResumed(_) => {
                self.account.runs[run].resumed += 1;
                return;
            }
            Record::ArchiveComplete(ref end) => self.account.runs[run].note_space(time, end.available_bytes),
            _ => {}
        }
        let Some(&(index, _)) = self.archives.get(&hash) else {
            if self.is_full {
                self.account.more.note(&entry.record);
                self.account.images_more = self.account.more.images;
            }
            return;
        };
        // Of two runs at once, the one that began the archive last tells of it.
        if self.account.archives[index].run != run {
            return;
        }
        let end = match entry.record {
            Record::ArchiveComplete(end) => ArchiveEnd::Complete { time, totals: Box::new(end.totals()) },
            Record::Error(error) if error.scope == "archive" => ArchiveEnd::Failed(Problem::of(time, *error)),
            Record::PartitionCheck(check) => return self.note_image(&hash, index, *check, length),
            Record::Warning(warning) => return self.note_warning(&hash, index, time, *warning, length),
            _ => return,
        };
        let archive = &mut self.account.archives[index];
        let sums = &mut self.account.runs[run].sums;
        sums.compressed_bytes = sums.compressed_bytes.saturating_add(archive.size);
        archive.end = end;
    }

    /// Takes so many bytes of the memory for an archive.
    fn take_for(&mut self, hash: &Name, bytes: usize) -> bool {
        let is_taken = self.take(bytes);
        if is_taken && let Some((_, taken)) = self.archives.get_mut(hash) {
            *taken += bytes;
        }
        is_taken
    }

    fn note_image(&mut self, hash: &Name, index: usize, image: PartitionCheck, length: usize) {
        let weight = size_of::<PartitionCheck>() + length + size_of_val(image.partitions());
        if self.take_for(hash, weight) {
            self.account.archives[index].images.push(image);
        } else {
            self.account.more.note(&Record::PartitionCheck(Box::new(image)));
            self.account.images_more = self.account.more.images;
        }
    }

    fn note_warning(&mut self, hash: &Name, index: usize, time: Option<SystemTime>, warning: Told, length: usize) {
        let is_room = self.account.archives[index].warnings.len() < PROBLEMS_MOST;
        if is_room && self.take_for(hash, size_of::<Problem>() + length) {
            self.account.archives[index].warnings.push(Problem::of(time, warning));
        } else {
            self.account.more.note(&Record::Warning(Box::new(warning)));
        }
    }

    fn begin(&mut self, run: usize, hash: Name, time: Option<SystemTime>, start: ArchiveStart, length: usize) {
        let archive = ArchiveAccount {
            hash: hash.clone(),
            path: start.archive.clone(),
            size: start.size_bytes.unwrap_or(0),
            run,
            worker: start.worker,
            began: time,
            end: ArchiveEnd::Open,
            images: Vec::new(),
            warnings: Vec::new(),
        };
        // Its end will take something, too.
        let weight = 2 * size_of::<ArchiveAccount>() + 2 * length;
        if let Some((index, taken)) = self.archives.get_mut(&hash) {
            self.memory += taken.saturating_sub(weight);
            *taken = weight;
            self.account.archives[*index] = archive;
        } else if self.take(weight) {
            self.archives.insert(hash, (self.account.archives.len(), weight));
            self.account.archives.push(archive);
        } else {
            self.account.archives_more += 1;
            let size = archive.size;
            self.account.more.note(&Record::ArchiveStart(Box::new(start)));
            for sums in [&mut self.account.more, &mut self.account.runs[run].sums] {
                sums.compressed_bytes = sums.compressed_bytes.saturating_add(size);
            }
        }
    }
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
            let mut fold = Fold::new(&wanted, memory);
            logs.read(&mut fold).expect("a log");
            let mut sums = fold.account.more.clone();
            fold.account.archives.iter().for_each(|archive| sums.add(archive));
            (fold.account, sums)
        };
        let (all, of_all) = sums(MEMORY);
        assert_eq!((all.archives.len(), all.archives_more, all.images_more), (100, 0, 0));
        assert_eq!((of_all.complete, of_all.kept, of_all.compressed_bytes, of_all.content_bytes), (100, 100, 500, 700));
        let (some, of_some) = sums(20_000);
        assert!((1..50).contains(&some.archives.len()), "{}", some.archives.len());
        assert_eq!(some.archives.len() as u64 + some.archives_more, 100);
        assert_eq!(of_some, of_all);
        assert_eq!(some.runs[0].sums, all.runs[0].sums);
        let (none, _) = sums(0);
        assert_eq!((none.runs.len(), none.lines_more), (0, 300));
    }
}
