//! What runs found, archive by archive: the state of a collection as the log tells it.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

use crate::event::ArchiveTotals;

use super::{Error, Line, Name, Reading, Staged, Text, read};

/// Images that are told of one by one; of what lies beyond, archives only have the number.
const IMAGES_MOST: usize = 200_000;
/// Errors and warnings of a run, or of an archive, that are told one by one.
const PROBLEMS_MOST: usize = 1000;

/// Which runs an account is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The last run in the log, with what it took over from earlier ones.
    Last,
    /// The run of this name, with what it took over from earlier ones.
    Run(String),
    /// All of them: of each archive, what the last run that began it found.
    All,
}

/// What the log tells of a collection.
#[derive(Debug, Default)]
pub struct Account {
    /// The runs that were selected and those they took something over from, in the order of the log.
    pub runs: Vec<Run>,
    /// The archives, in the order in which they were begun.
    pub archives: Vec<ArchiveAccount>,
    /// Images that any run staged, and what became of them.
    pub staged: Staged,
    /// How the log read.
    pub reading: Reading,
    /// Images that are not told of, because there are too many.
    pub images_more: u64,
}

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Its name; empty in a log of the script that imgsieve replaces.
    pub id: String,
    /// When it began: its first line.
    pub began: Option<SystemTime>,
    /// When it was last heard of: its last line.
    pub heard: Option<SystemTime>,
    /// Version of imgsieve.
    pub version: Option<String>,
    /// Whether nothing was to be staged.
    pub dry_run: bool,
    /// Archives read at a time.
    pub jobs: u64,
    /// Archives that were chosen.
    pub total_archives: u64,
    /// Their compressed bytes.
    pub total_bytes: u64,
    /// What had to stay free where staging lies, in bytes.
    pub minimum: Option<u64>,
    /// Room where staging lies, in bytes, whenever that was told.
    pub space: Vec<(SystemTime, u64)>,
    /// Archives that it took over from earlier runs.
    pub resumed: u64,
    /// How it ended; none where it still runs, or was killed.
    pub end: Option<RunEnd>,
    /// What went wrong with the run itself, or with what has an archive's name and is none.
    pub problems: Vec<Problem>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunEnd {
    /// It was done.
    Complete,
    /// By a signal.
    Interrupted(String),
    /// It could not go on.
    Aborted(String),
}

/// An error or a warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// When.
    pub time: Option<SystemTime>,
    /// The log's word for it.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// The file that it is about, where it is not about an archive that was begun.
    pub path: Option<Name>,
}

/// One archive, as one run found it.
#[derive(Debug, Clone)]
pub struct ArchiveAccount {
    /// Its name without `.tar.zst`.
    pub hash: Name,
    /// Where it was.
    pub path: Option<Name>,
    /// Compressed bytes.
    pub size: u64,
    /// The run: an index into [`Account::runs`].
    pub run: usize,
    /// Which worker read it.
    pub worker: u32,
    /// When it was begun.
    pub began: Option<SystemTime>,
    /// How it ended.
    pub end: ArchiveEnd,
    /// Its images.
    pub images: Vec<ImageAccount>,
    /// What was warned of.
    pub warnings: Vec<Problem>,
}

/// How an archive ended.
#[derive(Debug, Clone, PartialEq)]
pub enum ArchiveEnd {
    /// It did not, as far as the log goes.
    Open,
    /// It was read to its end.
    Complete {
        /// When.
        time: Option<SystemTime>,
        /// What was found and done.
        totals: Box<ArchiveTotals>,
    },
    /// It ended in an error, which has the time.
    Failed(Problem),
}

/// One image, as one run found it.
#[derive(Debug, Clone, Default)]
pub struct ImageAccount {
    /// Its file name.
    pub name: Option<Name>,
    /// Which image of its name in the archive it is, from 1.
    pub ordinal: u32,
    /// Its length in bytes.
    pub size: u64,
    /// What was done with it: the log's `action`.
    pub action: String,
    /// Its partitions; none where they cannot be told.
    pub count: Option<u64>,
    /// Why, in a word.
    pub reason: Option<String>,
    /// Why, in a sentence.
    pub message: Option<String>,
    /// What was found, in a sentence.
    pub found: String,
    /// Where it is in staging.
    pub path: Option<Name>,
    /// Whether all that it came from was decoded, and every checksum held.
    pub verified: Option<bool>,
    /// Room that it takes, or would take at most, in bytes.
    pub room: Option<u64>,
    /// The partition table.
    pub table: Table,
    /// All partitions of the table, those that do not count, too.
    pub partitions: Vec<Partition>,
    /// How much of the medium was rescued, in percent.
    pub rescued_pct: Option<f64>,
    /// Where the medium was not read: start and length in bytes.
    pub unread: Vec<(u64, u64)>,
}

/// A partition table, as the log has it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Table {
    /// Its kind.
    pub label: Option<String>,
    /// Bytes of a sector.
    pub sector_size: Option<u64>,
    /// Which copy of a GPT was used.
    pub gpt_copy: Option<String>,
    /// Whether something is wrong with it.
    pub damaged: bool,
    /// What is in the whole image, where there is no table.
    pub fs: Option<String>,
    /// The label of that.
    pub fs_label: Option<String>,
}

/// A partition, as the log has it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Partition {
    /// Linux's number.
    pub number: u32,
    /// Where it starts, in bytes.
    #[serde(rename = "start_bytes")]
    pub start: u64,
    /// Its length in bytes.
    #[serde(rename = "size_bytes")]
    pub size: u64,
    /// Its type, as the table has it.
    #[serde(rename = "type")]
    pub type_id: Option<String>,
    /// Its name in the table.
    pub name: Option<String>,
    /// Primary, logical, nested; extended, container, meta.
    pub kind: String,
    /// What is in it.
    pub fs: Option<String>,
    /// The label of that.
    pub fs_label: Option<String>,
}

impl Account {
    /// Reads the log at `path`. None where it has no run of those that were selected.
    pub fn read(path: &Path, selection: &Selection) -> Result<Option<Account>, Error> {
        let mut wanted = Wanted::default();
        if *selection != Selection::All {
            read(path, |line| wanted.select(selection, line))?;
            if wanted.run.is_none() {
                return Ok(None);
            }
        }
        let mut fold = Fold { wanted, ..Fold::default() };
        let reading = read(path, |line| fold.note(line))?;
        let mut account = fold.account;
        account.reading = reading;
        Ok((!account.runs.is_empty()).then_some(account))
    }
}

/// What of a log is wanted.
#[derive(Default)]
struct Wanted {
    /// The run; none for all.
    run: Option<String>,
    /// What it took over: by which run, and which archive.
    resumed: HashSet<(String, Name)>,
}

impl Wanted {
    /// Finds the run, and what it took over.
    fn select(&mut self, selection: &Selection, line: &Line<'_>) {
        match (line.stage.as_str(), selection) {
            (_, Selection::Run(id)) if line.run() == id => self.run = Some(id.clone()),
            ("script_start", Selection::Last) => {
                self.run = Some(line.run().to_owned());
                self.resumed.clear();
            }
            _ => {}
        }
        if line.stage.as_str() == "archive_resumed"
            && self.run.as_deref() == Some(line.run())
            && let (Some(hash), Some(by)) = (line.hash(), &line.by_run)
        {
            self.resumed.insert((by.as_str().to_owned(), hash));
        }
    }

    fn has_run(&self, run: &str) -> bool {
        self.run.as_ref().is_none_or(|wanted| wanted == run)
    }

    fn has(&self, run: &str, hash: &Name) -> bool {
        self.has_run(run) || self.resumed.contains(&(run.to_owned(), hash.clone()))
    }
}

#[derive(Default)]
struct Fold {
    wanted: Wanted,
    account: Account,
    runs: HashMap<String, usize>,
    /// Where each archive is in the account.
    archives: HashMap<Name, usize>,
    images: usize,
}

impl Fold {
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
        let run = self.run(line);
        match hash {
            Some(hash) => self.note_archive(run, hash, line),
            None => self.account.runs[run].note(line),
        }
    }

    /// Whether a line tells of staged images being processed again, which is no run that surveys.
    fn is_of_reprocessing(&self, line: &Line<'_>) -> bool {
        match line.stage.as_str() {
            "reprocess_start" | "reprocess_complete" | "removed" => true,
            "interrupted" => !self.runs.contains_key(line.run()),
            _ => line.scope.as_ref().is_some_and(|scope| scope.as_str() == "staged"),
        }
    }

    fn run(&mut self, line: &Line<'_>) -> usize {
        let time = line.time();
        let runs = &mut self.account.runs;
        let run = *self.runs.entry(line.run().to_owned()).or_insert_with(|| {
            runs.push(Run { id: line.run().to_owned(), began: time, ..Run::default() });
            runs.len() - 1
        });
        runs[run].heard = time.or(runs[run].heard);
        run
    }

    fn note_archive(&mut self, run: usize, hash: Name, line: &Line<'_>) {
        match line.stage.as_str() {
            "archive_start" => return self.begin(run, hash, line),
            "archive_resumed" => {
                self.account.runs[run].resumed += 1;
                return;
            }
            _ => {}
        }
        let Some(archive) = self.archives.get(&hash).map(|&index| &mut self.account.archives[index]) else { return };
        // Of two runs at once, the one that began the archive last tells of it.
        if archive.run != run {
            return;
        }
        match (line.stage.as_str(), line.scope.as_ref().map(Text::as_str)) {
            ("archive_complete", _) => {
                if let (Some(time), Some(available)) = (line.time(), line.available_bytes) {
                    self.account.runs[run].space.push((time, available));
                }
                archive.end = ArchiveEnd::Complete { time: line.time(), totals: Box::new(line.totals()) };
            }
            ("error", Some("archive")) => archive.end = ArchiveEnd::Failed(Problem::of(line)),
            ("warning", _) if archive.warnings.len() < PROBLEMS_MOST => archive.warnings.push(Problem::of(line)),
            ("partition_check", _) if self.images < IMAGES_MOST => {
                self.images += 1;
                archive.images.push(ImageAccount::of(line));
            }
            ("partition_check", _) => self.account.images_more += 1,
            _ => {}
        }
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
        let archives = &mut self.account.archives;
        if let Some(&known) = self.archives.get(&hash) {
            self.images -= archives[known].images.len();
            archives[known] = archive;
        } else {
            self.archives.insert(hash, archives.len());
            archives.push(archive);
        }
    }
}

impl Run {
    /// Takes note of a line that is about no archive.
    fn note(&mut self, line: &Line<'_>) {
        match line.stage.as_str() {
            "script_start" => {
                self.version = line.version.as_ref().map(|version| version.as_str().to_owned());
                self.dry_run = line.dry_run.unwrap_or(false);
                self.jobs = line.jobs.unwrap_or(1);
                self.total_archives = line.total_archives.unwrap_or(0);
                self.total_bytes = line.total_bytes.unwrap_or(0);
                self.minimum = line.minimum_bytes;
            }
            "script_complete" => self.end = Some(RunEnd::Complete),
            "interrupted" => self.end = Some(RunEnd::Interrupted(text(line.signal.as_ref()))),
            "abort" => self.end = Some(RunEnd::Aborted(text(line.message.as_ref()))),
            "error" if self.problems.len() < PROBLEMS_MOST => self.problems.push(Problem::of(line)),
            _ => {}
        }
        if let (Some(time), Some(available)) = (line.time(), line.available_bytes) {
            self.space.push((time, available));
        }
    }
}

impl Problem {
    fn of(line: &Line<'_>) -> Problem {
        Problem {
            time: line.time(),
            reason: text(line.reason.as_ref()),
            message: text(line.message.as_ref()),
            path: line.archive(),
        }
    }
}

impl ImageAccount {
    fn of(line: &Line<'_>) -> ImageAccount {
        let owned = |text: &Text<'_>| text.as_str().to_owned();
        // What another version wrote, and cannot be read, is not told.
        let parse = |raw: &serde_json::value::RawValue| serde_json::from_str(raw.get()).ok();
        let partitions = line.partition_list.and_then(|raw| serde_json::from_str(raw.get()).ok());
        ImageAccount {
            name: line.image(),
            ordinal: line.ordinal(),
            size: line.size_bytes.unwrap_or(0),
            action: text(line.action.as_ref()),
            count: line.partitions,
            reason: line.reason.as_ref().map(owned),
            message: line.message.as_ref().map(owned),
            found: text(line.found.as_ref()),
            path: line.path(),
            verified: line.verified,
            room: line.allocated_bytes.or(line.at_most_bytes),
            table: line.table.and_then(parse).unwrap_or_default(),
            partitions: partitions.unwrap_or_default(),
            rescued_pct: line.rescued_pct,
            unread: line.unread_areas.clone().unwrap_or_default(),
        }
    }
}

fn text(text: Option<&Text<'_>>) -> String {
    text.map_or(String::new(), |text| text.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = r#"
{"ts":"2026-01-01T00:00:00Z","stage":"script_start","total_archives":2,"jobs":2,"minimum_bytes":7,"available_bytes":99,"run":"r1"}
{"ts":"2026-01-01T00:00:01Z","stage":"archive_start","hash":"a","size_bytes":5,"worker":1,"run":"r1"}
{"ts":"2026-01-01T00:00:01Z","stage":"script_start","total_archives":1,"run":"rx"}
{"ts":"2026-01-01T00:00:02Z","stage":"archive_start","hash":"c","size_bytes":8,"run":"rx"}
{"ts":"2026-01-01T00:00:02Z","stage":"partition_check","hash":"a","img":"a.img","partitions":2,"action":"KEPT","path":"/s/a/a.img","size_bytes":50,"table":{"label":"dos"},"partition_list":[{"number":1,"start_bytes":512,"size_bytes":9,"kind":"primary","fs":"ext4"},{"number":2}],"run":"r1"}
{"ts":"2026-01-01T00:00:03Z","stage":"archive_complete","hash":"a","imgs":1,"multipart_imgs":1,"available_bytes":50,"seconds":1.5,"run":"r1"}
{"ts":"2026-01-01T00:00:04Z","stage":"archive_start","hash":"b","size_bytes":6,"run":"r1"}
{"ts":"2026-01-01T00:00:05Z","stage":"interrupted","signal":"SIGINT","run":"r1"}
{"ts":"2026-01-02T00:00:00Z","stage":"script_start","total_archives":2,"run":"r2"}
{"ts":"2026-01-02T00:00:00Z","stage":"archive_resumed","hash":"a","by_run":"r1","run":"r2"}
{"ts":"2026-01-02T00:00:01Z","stage":"archive_start","hash":"b","size_bytes":6,"run":"r2"}
{"ts":"2026-01-02T00:00:02Z","stage":"error","scope":"archive","hash":"b","reason":"corrupt","message":"cut short","run":"r2"}
{"ts":"2026-01-02T00:00:02Z","stage":"script_complete","run":"r2"}
{"ts":"2026-01-03T00:00:00Z","stage":"error","scope":"staged","hash":"a","path":"/s/a/a.img","reason":"gone","run":"p1"}
{"ts":"2026-01-03T00:00:01Z","stage":"interrupted","signal":"SIGINT","run":"p1"}
"#;

    fn account(selection: &Selection) -> Option<Account> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, LOG.trim_start()).expect("a log");
        Account::read(&path, selection).expect("a log")
    }

    fn hashes(account: &Account) -> Vec<&[u8]> {
        account.archives.iter().map(|archive| archive.hash.bytes()).collect()
    }

    #[test]
    fn the_last_run_has_what_it_took_over() {
        let account = account(&Selection::Last).expect("a run");
        assert_eq!(hashes(&account), [b"a", b"b"]);
        assert_eq!(account.runs.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["r1", "r2"]);
        let image = &account.archives[0].images[0];
        assert_eq!((image.count, image.table.label.as_deref(), image.partitions.len()), (Some(2), Some("dos"), 2));
        assert_eq!(image.partitions[0].fs.as_deref(), Some("ext4"));
        assert!(matches!(&account.archives[0].end, ArchiveEnd::Complete { totals, .. } if totals.multi == 1));
        assert!(matches!(&account.archives[1].end, ArchiveEnd::Failed(problem) if problem.reason == "corrupt"));
        assert_eq!((account.runs[1].resumed, &account.runs[1].end), (1, &Some(RunEnd::Complete)));
        assert!(account.staged.get(image.path.as_ref().expect("kept")).is_some());
    }

    #[test]
    fn a_run_that_is_named_is_told_as_it_ended() {
        let account = account(&Selection::Run("r1".to_owned())).expect("a run");
        assert_eq!(hashes(&account), [b"a", b"b"]);
        assert_eq!(account.archives[1].end, ArchiveEnd::Open);
        assert_eq!(account.runs[0].end, Some(RunEnd::Interrupted("SIGINT".to_owned())));
        assert_eq!(account.runs[0].space.iter().map(|&(_, bytes)| bytes).collect::<Vec<_>>(), [99, 50]);
    }

    #[test]
    fn of_all_runs_the_last_that_began_an_archive_tells_of_it() {
        let account = account(&Selection::All).expect("runs");
        assert_eq!(hashes(&account), [b"a", b"c", b"b"]);
        assert_eq!(account.runs.len(), 3);
        assert!(matches!(account.archives[2].end, ArchiveEnd::Failed(_)));
    }

    #[test]
    fn a_run_that_is_not_there_is_none() {
        assert!(account(&Selection::Run("r9".to_owned())).is_none());
    }
}
