//! What runs found, archive by archive: the state of a collection according to the log.

mod fold;
mod known;
mod live;
mod recent;
mod select;
mod shards;
mod staged;
mod sums;
mod tally;
mod verification;

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::log::record::{
    self, ArchiveStart, Ended, LeftOut, MembersLeftOut, PartitionCheck, ScriptComplete, ScriptStart, Totals,
};
use crate::log::{Error, Logs, Name, Reading, Record};

pub use known::Known;
pub use live::{Earlier, Live};
pub use recent::Recent;
pub use select::{Runs, runs};
pub use shards::{Kind, ShardRun, Shards};
pub use staged::{Staged, StagedImage, StagedState};
pub use sums::Sums;
pub use tally::{Lack, Tallies};
pub use verification::{Currency, Verification, Verifications};

/// Errors and warnings of a run, or of an archive, that are listed.
const PROBLEMS_MOST: usize = 1000;
/// Rules by which a run may leave something out.
const RULES_MOST: usize = 64;
/// Times at which a run's free space is remembered.
const SPACES_MOST: usize = 4096;

/// Which runs an account is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// The last run in each log, with what it took over from earlier ones; the last runs over the shards of a collection as
    /// the one run that they stand for.
    Last,
    /// The run of this name, with what it took over from earlier ones.
    Run(String),
    /// All of them: of each archive, what the last run that began it found.
    All,
}

/// What the log says about a collection.
#[derive(Debug, Default)]
pub struct Account {
    /// The runs that were selected and those they took something over from, in the order of the log.
    pub runs: Vec<Run>,
    /// The archives, in the order in which they were begun.
    pub archives: Vec<ArchiveAccount>,
    /// Images that any run staged, and what became of them.
    pub staged: Staged,
    /// What the checksums of archives came to when they were last verified.
    pub verifications: Verifications,
    /// How the log read.
    pub reading: Reading,
    /// Archives that are not listed, because there are too many.
    pub archives_more: u64,
    /// Images that are not listed, because there are too many.
    pub images_more: u64,
    /// Lines of runs that are not listed, because there are too many.
    pub lines_more: u64,
    /// What is not listed, in total.
    pub more: Sums,
    /// Runs over other shards, or over all of the collection where these are over shards, which are older and left out.
    pub other_runs: u64,
}

/// One run.
#[derive(Debug, Clone, Default)]
pub struct Run {
    /// Its name; empty in a log of the script that imgsieve replaces.
    pub id: String,
    /// When it began: it said what it was going to do, or, where it never did, its first line.
    pub began: Option<SystemTime>,
    /// When it was last heard of: its last line.
    pub heard: Option<SystemTime>,
    /// What it said that it was going to do.
    pub start: ScriptStart,
    /// Whether it was selected as the last one of a log.
    pub is_last: bool,
    /// Free space in staging, in bytes, as often as it was logged, or every so often in a long run.
    pub space: Vec<(SystemTime, u64)>,
    /// What it did, over all archives that it began, including those that a later run began again.
    pub sums: Sums,
    /// Those of its errors that are not among the problems, because there are too many.
    pub problems_more: u64,
    /// Its warnings that are not about an archive.
    pub warnings: Vec<Problem>,
    /// Those of these warnings that are not among them, because there are too many.
    pub warnings_more: u64,
    /// What it did not survey, by rule.
    pub left_out: BTreeMap<String, LeftOut>,
    /// Archives that it took over from earlier runs.
    pub resumed: u64,
    /// How it ended; none where it still runs, or was killed.
    pub end: Option<RunEnd>,
    /// Errors of the run itself, or about files that have an archive's name and are not one.
    pub problems: Vec<Problem>,
    /// The runs over the shards of a collection that this one stands for.
    pub shards: Option<Shards>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub enum RunEnd {
    /// It was done, and came to this.
    Complete(Box<ScriptComplete>),
    /// By a signal.
    Interrupted(String),
    /// It could not go on.
    Aborted(String),
}

/// An error or a warning.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// When.
    pub time: Option<SystemTime>,
    /// The log's word for it.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// The file that it is about, where it is not about an archive that was begun.
    pub path: Option<Name>,
    /// What was done with an archive until it ended that.
    pub totals: Option<Box<Totals>>,
    /// Members of it that could be images and were not looked at, by rule.
    pub left_out: Vec<MembersLeftOut>,
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
    /// Where that stands for several, which of them: an index into [`Shards::runs`].
    pub shard: usize,
    /// Which worker read it.
    pub worker: u32,
    /// The same among the workers of all runs that the run stands for.
    pub lane: u32,
    /// When it was begun.
    pub began: Option<SystemTime>,
    /// How it ended.
    pub end: ArchiveEnd,
    /// Its images.
    pub images: Vec<PartitionCheck>,
    /// What was warned of.
    pub warnings: Vec<Problem>,
    /// Warnings that are not among these, because there are too many.
    pub warnings_more: u64,
}

impl ArchiveAccount {
    /// Members that could be images and were not looked at, by rule.
    #[must_use]
    pub fn left_out(&self) -> &[MembersLeftOut] {
        match &self.end {
            ArchiveEnd::Open => &[],
            ArchiveEnd::Complete { left_out, .. } => left_out,
            ArchiveEnd::Failed(problem) => &problem.left_out,
        }
    }

    /// An archive that a run begins.
    #[must_use]
    pub fn begun(run: usize, time: Option<SystemTime>, start: &ArchiveStart) -> ArchiveAccount {
        ArchiveAccount {
            hash: start.hash.clone(),
            path: start.archive.clone(),
            size: start.size_bytes.unwrap_or(0),
            run,
            shard: 0,
            worker: start.worker,
            lane: start.worker,
            began: time,
            end: ArchiveEnd::Open,
            images: Vec::new(),
            warnings: Vec::new(),
            warnings_more: 0,
        }
    }

    /// Takes note of a warning of it.
    pub fn warn(&mut self, time: Option<SystemTime>, warning: record::Problem) {
        if self.warnings.len() < PROBLEMS_MOST {
            self.warnings.push(Problem::of(time, warning));
        } else {
            self.warnings_more += 1;
        }
    }
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
        totals: Box<Totals>,
        /// Members that could be images and were not looked at, by rule.
        left_out: Vec<MembersLeftOut>,
    },
    /// It ended in an error, which has the time.
    Failed(Problem),
}

impl Account {
    /// Reads the logs. None where they have no run of those that were selected.
    pub fn read(logs: &Logs, selection: &Selection) -> Result<Option<Account>, Error> {
        let account = select::read(logs, selection)?;
        let account = account.filter(|account| !account.runs.is_empty() || !account.verifications.is_empty());
        if account.is_some() || *selection != Selection::Last {
            return Ok(account);
        }
        // Nothing was surveyed. Archives may have been verified all the same.
        let account = select::read(logs, &Selection::All)?;
        Ok(account.filter(|account| !account.verifications.is_empty()))
    }
}

impl Account {
    /// Sums over all that is accounted for.
    #[must_use]
    pub fn sums(&self) -> Sums {
        let mut sums = self.more.clone();
        for archive in &self.archives {
            sums.add(archive);
        }
        sums.warnings += self.runs.iter().map(|run| run.warnings.len() as u64 + run.warnings_more).sum::<u64>();
        sums
    }

    /// The name of the run that found what there is of an archive.
    #[must_use]
    pub fn run_of(&self, archive: &ArchiveAccount) -> &str {
        let Some(run) = self.runs.get(archive.run) else { return "" };
        let shard = run.shards.as_ref().and_then(|shards| shards.runs.get(archive.shard));
        shard.map_or(&run.id, |shard| &shard.id)
    }

    /// What went wrong, and with what: a file, an image or an archive.
    pub fn problems(&self) -> impl Iterator<Item = (Option<&Name>, &str)> {
        let of_runs = self.runs.iter().flat_map(|run| &run.problems);
        let of_runs = of_runs.map(|problem| (problem.path.as_ref(), problem.message.as_str()));
        let of_archives = self.archives.iter().flat_map(|archive| {
            let images = archive.images.iter().filter(|image| matches!(image.action.as_str(), "error" | "deferred"));
            let images = images.map(|image| (Some(&image.image.img), image.message.as_deref().unwrap_or_default()));
            let end = match &archive.end {
                ArchiveEnd::Failed(problem) => Some((Some(&archive.hash), problem.message.as_str())),
                _ => None,
            };
            images.chain(end)
        });
        of_runs.chain(of_archives)
    }

    /// What the last run came to, with what it took over.
    #[must_use]
    pub fn complete(&self) -> ScriptComplete {
        let sums = self.sums();
        let Some(run) = self.runs.last() else { return ScriptComplete::default() };
        let of_run = run.problems.len() as u64 + run.problems_more;
        let wall_seconds = run.heard.zip(run.began).and_then(|(heard, began)| heard.duration_since(began).ok());
        ScriptComplete {
            total_multipart: sums.totals.multi,
            archives_checked: sums.checked(),
            archives_failed: sums.failed,
            archives_resumed: run.resumed,
            archives_without_image: sums.without_image,
            imgs: sums.totals.images,
            would_keep: sums.would_keep,
            deferred: sums.deferred,
            undecided: sums.undecided,
            image_errors: sums.image_errors,
            errors: of_run + sums.failed + sums.deferred + sums.image_errors,
            warnings: sums.warnings,
            compressed_bytes: sums.compressed_bytes,
            totals: Totals { verified: sums.totals.verified && sums.checked() > 0, ..sums.totals },
            wall_seconds: wall_seconds.map(|duration| duration.as_secs_f64()),
            worker_seconds: Some(sums.totals.seconds),
        }
    }

    /// Adds what is not listed.
    fn add_more(&mut self, archive: &ArchiveAccount) {
        self.archives_more += 1;
        self.images_more += archive.images.len() as u64;
        self.more.add(archive);
    }

    /// What earlier runs knew about a staged image and the last one could not say: whether its frames held, and how much of
    /// the medium was rescued.
    pub fn recall(&mut self) {
        for image in self.archives.iter_mut().flat_map(|archive| &mut archive.images) {
            let Some(known) = image.path.as_ref().and_then(|path| self.staged.get(path)) else { continue };
            if image.verified == Some(None) {
                image.verified = Some(known.verified);
            }
            if let (None, Some((percent, areas))) = (image.rescued_pct, &known.rescued) {
                image.rescued_pct = Some(*percent);
                image.unread_areas = Some(areas.clone());
            }
        }
    }
}

impl Run {
    fn new(id: &str, began: Option<SystemTime>) -> Run {
        Run { id: id.to_owned(), began, ..Run::default() }
    }

    /// Takes note of a record that is not about an archive.
    fn note(&mut self, time: Option<SystemTime>, record: Record) {
        match record {
            Record::ScriptStart(start) => {
                self.note_space(time, start.available_bytes);
                // What it waited for before is no part of what it did.
                if self.sums.archives + self.resumed == 0 {
                    self.began = time.or(self.began);
                }
                self.start = *start;
                self.start.jobs = self.start.jobs.max(1);
                // Runs of the script that imgsieve replaces have no names, and so are one.
                self.end = None;
            }
            Record::LeftOut(left_out) => {
                let LeftOut { rule, count, size_bytes, files } = *left_out;
                // A log may be anybody's.
                if self.left_out.len() == RULES_MOST && !self.left_out.contains_key(&rule) {
                    return;
                }
                let of_rule = self.left_out.entry(rule).or_default();
                (of_rule.count, of_rule.size_bytes) = (count, size_bytes);
                let room = record::LEFT_OUT_MOST.saturating_sub(of_rule.files.len());
                of_rule.files.extend(files.into_iter().take(room));
            }
            Record::ScriptComplete(end) => self.end = Some(RunEnd::Complete(end)),
            Record::Interrupted(end) => self.end = Some(RunEnd::Interrupted(end.signal)),
            Record::Abort(end) => self.end = Some(RunEnd::Aborted(end.message)),
            Record::LowSpace(low) => self.note_space(time, low.available_bytes),
            Record::Error(error) if self.problems.len() < PROBLEMS_MOST => {
                self.problems.push(Problem::of(time, *error));
            }
            Record::Error(_) => self.problems_more += 1,
            Record::Warning(warning) => {
                self.sums.warnings += 1;
                if self.warnings.len() < PROBLEMS_MOST {
                    self.warnings.push(Problem::of(time, *warning));
                } else {
                    self.warnings_more += 1;
                }
            }
            _ => {}
        }
    }

    /// Archives that were chosen and that it never came to. Only of a single run is that known.
    #[must_use]
    pub fn never_begun(&self) -> u64 {
        self.start.total_archives.saturating_sub(self.sums.archives + self.resumed)
    }

    /// Partitions that made an image one to be kept.
    #[must_use]
    pub fn min_partitions(&self) -> u32 {
        self.start.rules.as_ref().map_or(2, |rules| rules.min_partitions)
    }

    fn note_space(&mut self, time: Option<SystemTime>, available: Option<u64>) {
        let (Some(time), Some(available)) = (time, available) else { return };
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

/// What was done with an archive until an error ended it.
fn totals_of(ended: &Ended) -> Totals {
    Totals { images: ended.imgs, multi: ended.multipart_imgs, ..ended.totals.clone() }
}

impl Problem {
    /// What a record says of it.
    #[must_use]
    pub fn of(time: Option<SystemTime>, record: record::Problem) -> Problem {
        let reason = record.reason.as_ref().map_or(String::new(), |reason| reason.as_str().to_owned());
        let totals = record.ended.as_ref().map(totals_of).map(Box::new);
        let left_out = record.ended.map_or(Vec::new(), |ended| ended.left_out);
        Problem { time, reason, message: record.message, path: record.archive, totals, left_out }
    }
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
        Account::read(&Logs::open(&[path], false).expect("a log"), selection).expect("a log")
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
        assert_eq!(
            (image.partitions, image.table.as_ref().and_then(|table| table.label.as_deref()), image.partitions().len()),
            (Some(2), Some("dos"), 2)
        );
        assert_eq!(image.partitions()[0].fs.as_deref(), Some("ext4"));
        assert!(matches!(&account.archives[0].end, ArchiveEnd::Complete { totals, .. } if totals.multi == 1));
        assert!(matches!(&account.archives[1].end, ArchiveEnd::Failed(problem) if problem.reason == "corrupt"));
        assert_eq!((account.runs[1].resumed, matches!(account.runs[1].end, Some(RunEnd::Complete(_)))), (1, true));
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
