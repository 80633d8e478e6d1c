//! What runs found, archive by archive: the state of a collection as the log tells it.

mod fold;
mod sums;

use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::ArchiveTotals;

use super::{Error, Line, Name, Reading, Staged, Text};
use fold::Fold;

pub use fold::{Runs, runs};
pub use sums::Sums;

/// Errors and warnings of a run, or of an archive, that are told one by one.
const PROBLEMS_MOST: usize = 1000;
/// Partitions of an image that are told of; no log lists more.
const PARTITIONS_MOST: usize = 128;
/// Times at which the room of a run is told.
const SPACES_MOST: usize = 4096;

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
    /// Archives that are not told of one by one, because there are too many.
    pub archives_more: u64,
    /// Images that are not told of one by one, because there are too many.
    pub images_more: u64,
    /// Lines of runs that are not told of, because there are too many.
    pub lines_more: u64,
    /// What is not told of one by one, in sum.
    pub more: Sums,
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
    /// Partitions that made an image one to be kept.
    pub min_partitions: u32,
    /// Archives that were chosen.
    pub total_archives: u64,
    /// Their compressed bytes.
    pub total_bytes: u64,
    /// What had to stay free where staging lies, in bytes.
    pub minimum: Option<u64>,
    /// Room where staging lies, in bytes, as often as it was told, or every so often in a long run.
    pub space: Vec<(SystemTime, u64)>,
    /// What it did, over all archives that it is told to have begun, be they begun again since or not.
    pub sums: Sums,
    /// Those of its errors that are not among the problems, because there are too many.
    pub problems_more: u64,
    /// What it warned of that is about no archive.
    pub warnings: Vec<Problem>,
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
    /// Its name without its ending, `.tar.zst` as a rule.
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
        let account = Fold::read(path, selection)?;
        Ok(account.filter(|account| !account.runs.is_empty()))
    }
}

impl Run {
    fn new(id: &str, began: Option<SystemTime>) -> Run {
        Run { id: id.to_owned(), began, min_partitions: 2, ..Run::default() }
    }

    /// Takes note of a line that is about no archive.
    fn note(&mut self, line: &Line<'_>) {
        match line.stage.as_str() {
            "script_start" => {
                self.version = line.version.as_ref().map(|version| version.as_str().to_owned());
                self.dry_run = line.dry_run.unwrap_or(false);
                self.jobs = line.jobs.unwrap_or(1);
                self.min_partitions = line.rules().map_or(2, |rules| rules.min_partitions);
                self.total_archives = line.total_archives.unwrap_or(0);
                self.total_bytes = line.total_bytes.unwrap_or(0);
                self.minimum = line.minimum_bytes;
                // Runs of the script that imgsieve replaces have no names, and so are one.
                self.end = None;
            }
            "script_complete" => self.end = Some(RunEnd::Complete),
            "interrupted" => self.end = Some(RunEnd::Interrupted(text(line.signal.as_ref()))),
            "abort" => self.end = Some(RunEnd::Aborted(text(line.message.as_ref()))),
            "error" if self.problems.len() < PROBLEMS_MOST => self.problems.push(Problem::of(line)),
            "error" => self.problems_more += 1,
            "warning" => {
                self.sums.warnings += 1;
                if self.warnings.len() < PROBLEMS_MOST {
                    self.warnings.push(Problem::of(line));
                }
            }
            _ => {}
        }
        self.note_space(line);
    }

    fn note_space(&mut self, line: &Line<'_>) {
        let (Some(time), Some(available)) = (line.time(), line.available_bytes) else { return };
        if self.space.len() == SPACES_MOST {
            let mut is_odd = true;
            self.space.retain(|_| {
                is_odd = !is_odd;
                !is_odd
            });
        }
        self.space.push((time, available));
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
        let parse = |raw: &RawValue| serde_json::from_str(raw.get()).ok();
        let partitions = line.partition_list.map_or(Vec::new(), |raw| partitions(raw.get()));
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
            partitions,
            rescued_pct: line.rescued_pct,
            unread: line.unread_areas.clone().unwrap_or_default(),
        }
    }
}

/// The partitions in a list. What another version wrote, and cannot be read, is not told.
fn partitions(list: &str) -> Vec<Partition> {
    // As text first: what is no partition can be a hundred times shorter than what is made of it.
    let list: Vec<&RawValue> = serde_json::from_str(list).unwrap_or_default();
    list.into_iter().take(PARTITIONS_MOST).filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect()
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
