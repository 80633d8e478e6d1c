//! How an account is made of lines: which of them are wanted, and how much of them can be remembered.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::path::Path;
use std::time::SystemTime;

use crate::ledger::{Error, Line, Listener, Name, Peek, Staged, Text, read_some};

use super::{Account, ArchiveAccount, ArchiveEnd, ImageAccount, PROBLEMS_MOST, Partition, Problem, Run, Selection};

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
    fn note(&mut self, line: &Line<'_>) {
        if line.stage.as_str() != "script_start" {
            return;
        }
        if self.last.len() == RUNS_LISTED {
            self.last.pop_front();
            self.more += 1;
        }
        self.last.push_back((line.run().to_owned(), line.time()));
    }
}

/// The runs that were begun in the log at `path`.
pub fn runs(path: &Path) -> Result<Runs, Error> {
    let mut runs = Runs::default();
    read_some(path, |line| line.stage == "script_start", &mut runs)?;
    Ok(runs)
}

/// What of a log is wanted.
struct Wanted<'a> {
    selection: &'a Selection,
    /// The run; none for all.
    run: Option<String>,
    /// The runs that it took something over from.
    resumed_runs: HashSet<String>,
    /// What it took over: by which run, and which archive, as one number.
    resumed: HashSet<u64>,
    hasher: RandomState,
}

impl Listener for Wanted<'_> {
    /// Finds the run, and what it took over.
    fn note(&mut self, line: &Line<'_>) {
        match (line.stage.as_str(), self.selection) {
            (_, Selection::Run(id)) if self.run.is_none() && line.run() == id => self.run = Some(id.clone()),
            ("script_start", Selection::Last) => {
                self.run = Some(line.run().to_owned());
                self.resumed_runs.clear();
                self.resumed.clear();
            }
            _ => {}
        }
        if line.stage.as_str() == "archive_resumed"
            && self.run.as_deref() == Some(line.run())
            && let (Some(hash), Some(by)) = (line.hash(), &line.by_run)
            && self.resumed.len() < RESUMED_MOST
        {
            self.resumed.insert(self.hasher.hash_one((by.as_str(), hash)));
            if !self.resumed_runs.contains(by.as_str()) {
                self.resumed_runs.insert(by.as_str().to_owned());
            }
        }
    }
}

impl Wanted<'_> {
    /// What is wanted of the log at `path`. None where it has no run of those that were selected.
    fn read<'a>(path: &Path, selection: &'a Selection) -> Result<Option<Wanted<'a>>, Error> {
        let (run, resumed_runs, resumed) = (None, HashSet::new(), HashSet::new());
        let mut wanted = Wanted { selection, run, resumed_runs, resumed, hasher: RandomState::new() };
        if *selection != Selection::All {
            let tells_which = |line: Peek<'_>| match line.stage {
                "script_start" | "archive_resumed" => true,
                // A run that was refused says no more than that.
                "error" => matches!(selection, Selection::Run(id) if line.run == id),
                _ => false,
            };
            read_some(path, tells_which, &mut wanted)?;
            if wanted.run.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(wanted))
    }

    fn wants(&self, line: Peek<'_>) -> bool {
        !line.is_said_again() && (self.may_have(line.run) || Staged::wants(line))
    }

    fn has_run(&self, run: &str) -> bool {
        self.run.as_ref().is_none_or(|wanted| wanted == run)
    }

    fn has(&self, run: &str, hash: &Name) -> bool {
        self.has_run(run)
            || self.resumed_runs.contains(run) && self.resumed.contains(&self.hasher.hash_one((run, hash)))
    }

    fn may_have(&self, run: &str) -> bool {
        self.has_run(run) || self.resumed_runs.contains(run)
    }
}

/// An account in the making.
pub(super) struct Fold<'a> {
    wanted: &'a Wanted<'a>,
    account: Account,
    runs: HashMap<String, usize>,
    /// Where each archive is in the account.
    archives: HashMap<Name, usize>,
    /// What each archive takes of the memory.
    weights: Vec<usize>,
    /// What is left of it.
    memory: usize,
    /// Whether there was once too little.
    is_full: bool,
}

impl Listener for Fold<'_> {
    fn note(&mut self, line: &Line<'_>) {
        self.account.staged.note(line);
        if self.is_of_reprocessing(line) {
            return;
        }
        let hash = line.hash();
        let is_wanted = match &hash {
            Some(hash) => self.wanted.has(line.run(), hash),
            None => self.wanted.has_run(line.run()),
        };
        if !is_wanted {
            return;
        }
        let Some(run) = self.run(line) else {
            self.account.lines_more += 1;
            return;
        };
        match hash {
            Some(hash) => self.note_archive(run, hash, line),
            None => self.account.runs[run].note(line),
        }
    }

    fn pass(&mut self, line: Peek<'_>) {
        if let Some(&run) = self.runs.get(line.run)
            && self.wanted.has_run(line.run)
        {
            let heard = &mut self.account.runs[run].heard;
            *heard = line.time().max(*heard);
        }
    }
}

impl<'a> Fold<'a> {
    fn new(wanted: &'a Wanted<'a>, memory: usize) -> Fold<'a> {
        let (runs, archives, weights) = (HashMap::new(), HashMap::new(), Vec::new());
        Fold { wanted, account: Account::default(), runs, archives, weights, memory, is_full: false }
    }
}

impl Fold<'_> {
    /// The account of the log at `path`. None where it has no run of those that were selected.
    pub fn read(path: &Path, selection: &Selection) -> Result<Option<Account>, Error> {
        let Some(wanted) = Wanted::read(path, selection)? else { return Ok(None) };
        let mut fold = Fold::new(&wanted, MEMORY);
        let reading = read_some(path, |line| wanted.wants(line), &mut fold)?;
        Ok(Some(Account { reading, ..fold.account }))
    }

    /// Whether a line tells of staged images being processed again, which is no run that surveys.
    fn is_of_reprocessing(&self, line: &Line<'_>) -> bool {
        match line.stage.as_str() {
            "reprocess_start" | "reprocess_complete" | "removed" => true,
            "interrupted" => !self.runs.contains_key(line.run()),
            _ => line.scope.as_ref().is_some_and(|scope| scope.as_str() == "staged"),
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

    fn run(&mut self, line: &Line<'_>) -> Option<usize> {
        let time = line.time();
        let run = match self.runs.get(line.run()).copied() {
            Some(run) => run,
            None if self.take(size_of::<Run>() + 2 * line.length) => {
                let runs = &mut self.account.runs;
                runs.push(Run::new(line.run(), time));
                self.runs.insert(line.run().to_owned(), runs.len() - 1);
                runs.len() - 1
            }
            None => return None,
        };
        let heard = &mut self.account.runs[run].heard;
        *heard = time.max(*heard);
        Some(run)
    }

    fn note_archive(&mut self, run: usize, hash: Name, line: &Line<'_>) {
        self.account.runs[run].sums.note(line);
        match line.stage.as_str() {
            "archive_start" => return self.begin(run, hash, line),
            "archive_resumed" => {
                self.account.runs[run].resumed += 1;
                return;
            }
            "archive_complete" => self.account.runs[run].note_space(line),
            _ => {}
        }
        let Some(&index) = self.archives.get(&hash) else {
            if self.is_full {
                self.account.more.note(line);
                self.account.images_more = self.account.more.images;
            }
            return;
        };
        // Of two runs at once, the one that began the archive last tells of it.
        if self.account.archives[index].run != run {
            return;
        }
        let is_ended = match (line.stage.as_str(), line.scope.as_ref().map(Text::as_str)) {
            ("archive_complete", _) => {
                Some(ArchiveEnd::Complete { time: line.time(), totals: Box::new(line.totals()) })
            }
            ("error", Some("archive")) => Some(ArchiveEnd::Failed(Problem::of(line))),
            ("partition_check", _) => {
                self.note_image(index, line);
                None
            }
            ("warning", _) => {
                self.note_warning(index, line);
                None
            }
            _ => None,
        };
        if let Some(end) = is_ended {
            let archive = &mut self.account.archives[index];
            let sums = &mut self.account.runs[run].sums;
            sums.compressed_bytes = sums.compressed_bytes.saturating_add(archive.size);
            archive.end = end;
        }
    }

    fn note_image(&mut self, index: usize, line: &Line<'_>) {
        let image = ImageAccount::of(line);
        let weight = size_of::<ImageAccount>() + line.length + image.partitions.len() * size_of::<Partition>();
        if !self.take(weight) {
            self.account.more.note(line);
            self.account.images_more = self.account.more.images;
            return;
        }
        self.weights[index] += weight;
        self.account.archives[index].images.push(image);
    }

    fn note_warning(&mut self, index: usize, line: &Line<'_>) {
        let weight = size_of::<Problem>() + line.length;
        if self.account.archives[index].warnings.len() == PROBLEMS_MOST || !self.take(weight) {
            self.account.more.note(line);
            return;
        }
        self.weights[index] += weight;
        self.account.archives[index].warnings.push(Problem::of(line));
    }

    fn begin(&mut self, run: usize, hash: Name, line: &Line<'_>) {
        let archive = ArchiveAccount {
            hash: hash.clone(),
            path: line.archive(),
            size: line.size_bytes.unwrap_or(0),
            run,
            worker: line.worker.unwrap_or(0),
            began: line.time(),
            end: ArchiveEnd::Open,
            images: Vec::new(),
            warnings: Vec::new(),
        };
        // Its end will take something, too.
        let weight = 2 * size_of::<ArchiveAccount>() + 2 * line.length;
        if let Some(&known) = self.archives.get(&hash) {
            self.memory += self.weights[known].saturating_sub(weight);
            self.weights[known] = weight;
            self.account.archives[known] = archive;
        } else if self.take(weight) {
            self.archives.insert(hash, self.account.archives.len());
            self.account.archives.push(archive);
            self.weights.push(weight);
        } else {
            self.account.archives_more += 1;
            self.account.more.note(line);
            for sums in [&mut self.account.more, &mut self.account.runs[run].sums] {
                sums.compressed_bytes = sums.compressed_bytes.saturating_add(archive.size);
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
        let wanted = Wanted::read(&path, &Selection::All).expect("a log").expect("all");
        let sums = |memory| {
            let mut fold = Fold::new(&wanted, memory);
            read_some(&path, |_| true, &mut fold).expect("a log");
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
