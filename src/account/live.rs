//! The account of a run while it goes: made of the records that the log gets, as they are made.

use std::time::SystemTime;

use crate::log::Record;
use crate::log::record::ScriptComplete;

use super::fold::Fold;
use super::{Account, ArchiveAccount, Staged};

/// Memory for what is listed one by one, in bytes, roughly. What lies beyond is only counted.
const MEMORY: usize = 64 << 20;
/// Bytes of a name that are remembered: no file has a longer one.
const NAME_MOST: usize = 255;
/// What a run is called that has no other name here.
const RUN: &str = "";

/// What an earlier run found in an archive that is not read again.
#[derive(Debug, Clone)]
pub struct Earlier {
    /// The run.
    pub run: String,
    /// What it found.
    pub archive: ArchiveAccount,
    /// Memory that this takes, in bytes, roughly.
    pub weight: usize,
}

/// The account of a run that goes on.
pub struct Live(Fold);

impl Default for Live {
    fn default() -> Live {
        let mut fold = Fold::new(MEMORY);
        // Before all else: were there no room for it, nothing of what it does would count.
        fold.begin_run(RUN, SystemTime::now());
        Live(fold)
    }
}

impl Live {
    /// Takes over what earlier runs staged.
    pub fn take_staged(&mut self, staged: Staged) {
        self.0.take_staged(staged);
    }

    /// Takes over what an earlier run found. All of that comes before the run's own first record.
    pub fn take_over(&mut self, earlier: Earlier) {
        self.0.take_over(&earlier.run, earlier.archive, earlier.weight, MEMORY / 2);
    }

    /// Takes note of a record of this run, but for the partitions of images: what is told at its end has them in a sentence.
    pub fn note(&mut self, mut record: Record) {
        if let Record::PartitionCheck(check) = &mut record {
            let image = &mut check.image;
            image.img = image.img.shortened(NAME_MOST).into_owned();
            image.member = image.member.as_ref().map(|name| name.shortened(NAME_MOST).into_owned());
            check.partition_list = None;
        }
        let length = serde_json::to_string(&record).map_or(0, |line| line.len());
        self.0.note(RUN, Some(SystemTime::now()), record, length, true);
    }

    /// What the run came to.
    #[must_use]
    pub fn complete(&self) -> ScriptComplete {
        self.0.account().complete()
    }

    /// What is known when the run is done.
    #[must_use]
    pub fn into_account(self) -> Account {
        self.0.into_account()
    }
}

#[cfg(test)]
mod tests {
    use crate::account::ArchiveEnd;
    use crate::log::record::{ArchiveStart, Problem, ScriptStart, Totals};

    use super::*;

    fn earlier(number: usize, weight: usize) -> Earlier {
        let hash = std::ffi::OsString::from(number.to_string());
        let start = ArchiveStart { hash: crate::log::Name::from(&hash), ..ArchiveStart::default() };
        let mut archive = ArchiveAccount::begun(0, None, &start);
        let totals = Box::new(Totals { images: 1, ..Totals::default() });
        archive.end = ArchiveEnd::Complete { time: None, totals, left_out: Vec::new() };
        Earlier { run: format!("r{}", number % 3), archive, weight }
    }

    fn warning() -> Record {
        Record::Warning(Box::new(Problem { scope: "run".to_owned(), ..Problem::default() }))
    }

    #[test]
    fn the_run_counts_what_it_does_however_much_it_takes_over() {
        for weight in [100, MEMORY] {
            let mut live = Live::default();
            live.note(warning());
            (0..100).for_each(|number| live.take_over(earlier(number, weight)));
            live.note(Record::ScriptStart(Box::new(ScriptStart { total_archives: 101, ..ScriptStart::default() })));
            for scope in ["run", "archive"] {
                let hash = (scope == "archive").then(|| crate::log::Name::from(std::ffi::OsStr::new("own")));
                if let Some(hash) = hash.clone() {
                    live.note(Record::ArchiveStart(Box::new(ArchiveStart { hash, ..ArchiveStart::default() })));
                }
                let problem = Problem { scope: scope.to_owned(), hash, ..Problem::default() };
                live.note(Record::Error(Box::new(problem)));
            }
            let complete = live.complete();
            assert_eq!((complete.archives_checked, complete.archives_failed, complete.imgs), (101, 1, 100), "{weight}");
            assert_eq!((complete.errors, complete.warnings), (2, 1), "{weight}");
            let account = live.into_account();
            assert_eq!(account.runs.last().map(|run| (run.is_last, run.start.total_archives)), Some((true, 101)));
            let listed = account.archives.len() as u64;
            assert_eq!(
                (listed + account.archives_more, account.runs[account.archives[0].run].is_last),
                (101, weight == MEMORY)
            );
        }
    }
}
