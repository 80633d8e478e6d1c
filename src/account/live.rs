//! The account of a run while it goes: made of the records that the log gets, as they are made.

use std::time::SystemTime;

use crate::log::Record;
use crate::log::record::{ScriptComplete, Totals};

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
        Live(Fold::new(MEMORY))
    }
}

impl Live {
    /// Takes over what earlier runs staged.
    pub fn take_staged(&mut self, staged: Staged) {
        self.0.take_staged(staged);
    }

    /// Takes over what an earlier run found. All of that comes before the run's own first record.
    pub fn take_over(&mut self, earlier: Earlier) {
        self.0.take_over(&earlier.run, earlier.archive, earlier.weight);
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
        let account = self.0.account();
        let sums = account.sums();
        let Some(run) = account.runs.last() else { return ScriptComplete::default() };
        let of_run = run.problems.len() as u64 + run.problems_more;
        ScriptComplete {
            total_multipart: sums.totals.multi,
            archives_checked: sums.checked(),
            archives_failed: sums.failed,
            archives_resumed: run.resumed,
            archives_without_image: sums.without_image,
            imgs: sums.totals.images,
            would_keep: sums.would_keep,
            deferred: sums.deferred,
            image_errors: sums.image_errors,
            errors: of_run + sums.failed + sums.deferred + sums.image_errors,
            warnings: sums.warnings,
            compressed_bytes: sums.compressed_bytes,
            totals: Totals { verified: sums.totals.verified && sums.checked() > 0, ..sums.totals },
        }
    }

    /// What is known when the run is done.
    #[must_use]
    pub fn into_account(self) -> Account {
        self.0.into_account()
    }
}
