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
/// What is told before a run begins, and remembered.
const EARLY_MOST: usize = 1000;
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
pub struct Live {
    fold: Fold,
    /// What was told before the run began: what it takes over comes first.
    early: Option<Vec<(SystemTime, Record)>>,
}

impl Default for Live {
    fn default() -> Live {
        Live { fold: Fold::new(MEMORY), early: Some(Vec::new()) }
    }
}

impl Live {
    /// Takes over what earlier runs staged.
    pub fn take_staged(&mut self, staged: Staged) {
        self.fold.take_staged(staged);
    }

    /// Takes over what an earlier run found. All of that comes before the run's own first record.
    pub fn take_over(&mut self, earlier: Earlier) {
        self.fold.take_over(&earlier.run, earlier.archive, earlier.weight);
    }

    /// Takes note of a record of this run, but for the partitions of images: what is told at its end has them in a sentence.
    pub fn note(&mut self, mut record: Record) {
        if let Record::PartitionCheck(check) = &mut record {
            let image = &mut check.image;
            image.img = image.img.shortened(NAME_MOST).into_owned();
            image.member = image.member.as_ref().map(|name| name.shortened(NAME_MOST).into_owned());
            check.partition_list = None;
        }
        let now = SystemTime::now();
        if let Some(early) = &mut self.early {
            let begins = matches!(record, Record::ScriptStart(_));
            if early.len() < EARLY_MOST || begins {
                early.push((now, record));
            }
            if begins {
                self.fold_early();
            }
        } else {
            self.fold(now, record);
        }
    }

    fn fold_early(&mut self) {
        for (time, record) in self.early.take().into_iter().flatten() {
            self.fold(time, record);
        }
    }

    fn fold(&mut self, time: SystemTime, record: Record) {
        let length = serde_json::to_string(&record).map_or(0, |line| line.len());
        self.fold.note(RUN, Some(time), record, length, true);
    }

    /// What the run came to.
    #[must_use]
    pub fn complete(&self) -> ScriptComplete {
        self.fold.account().complete()
    }

    /// What is known when the run is done.
    #[must_use]
    pub fn into_account(mut self) -> Account {
        self.fold_early();
        self.fold.into_account()
    }
}
