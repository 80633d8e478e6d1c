//! How an account is made of records, and how much of them can be remembered.

use std::collections::HashMap;
use std::time::SystemTime;

use crate::log::record::{ArchiveStart, PartitionCheck, Problem as Told};
use crate::log::{Name, Record};

use super::{Account, ArchiveAccount, ArchiveEnd, PROBLEMS_MOST, Problem, Run, Staged};

/// Memory for archives, images, partitions and runs, in bytes, roughly. What lies beyond is only counted.
pub(super) const MEMORY: usize = 768 << 20;

/// An account in the making.
pub(super) struct Fold {
    account: Account,
    runs: HashMap<String, usize>,
    /// Where each archive is in the account, and what it takes of the memory.
    archives: HashMap<Name, (usize, usize)>,
    /// What is left of the memory.
    memory: usize,
    /// Whether memory has run out once.
    is_full: bool,
}

impl Fold {
    /// An empty fold that may use about `memory` bytes.
    pub fn new(memory: usize) -> Fold {
        let (runs, archives) = (HashMap::new(), HashMap::new());
        Fold { account: Account::default(), runs, archives, memory, is_full: false }
    }

    /// What was folded.
    pub fn into_account(self) -> Account {
        self.account
    }

    /// What was folded so far.
    pub fn account(&self) -> &Account {
        &self.account
    }

    /// Takes over what is known of staged images.
    pub fn take_staged(&mut self, staged: Staged) {
        self.account.staged = staged;
    }

    /// A run begins, whatever else there will be room for.
    pub fn begin_run(&mut self, id: &str, time: SystemTime) {
        self.run(id, Some(time), 0, true);
    }

    /// Takes over an archive as `run` found it. Only counts it where less than `to_spare` bytes of the memory would be left.
    pub fn take_over(&mut self, run: &str, archive: ArchiveAccount, weight: usize, to_spare: usize) {
        let before = self.account.runs.len();
        if weight > self.memory.saturating_sub(to_spare) {
            return self.account.add_more(&archive);
        }
        let Some(mut run) = self.run(run, archive.began, 0, false) else {
            return self.account.add_more(&archive);
        };
        let runs = &mut self.account.runs;
        if runs.len() > before
            && let Some(last) = before.checked_sub(1).filter(|&last| runs[last].is_last)
        {
            // The run that takes over stays the last. Neither of the two has an archive yet.
            runs.swap(last, run);
            self.runs.extend([(runs[last].id.clone(), last), (runs[run].id.clone(), run)]);
            run = last;
        }
        self.account.runs[run].sums.add(&archive);
        if !self.take(weight) {
            return self.account.add_more(&archive);
        }
        self.archives.insert(archive.hash.clone(), (self.account.archives.len(), weight));
        self.account.archives.push(ArchiveAccount { run, ..archive });
    }

    /// Takes note that a run, known or not, was heard from.
    pub fn hear(&mut self, run: &str, time: Option<SystemTime>) {
        if let Some(&run) = self.runs.get(run) {
            let run = &mut self.account.runs[run];
            run.heard = time.max(run.heard);
        }
    }

    /// Takes note of what became of staged images, and of checksums, whichever run reports it.
    pub fn note_since(&mut self, time: Option<SystemTime>, record: &Record) {
        self.account.staged.note(record);
        self.account.verifications.note(time, record);
    }

    /// Takes note of what `run` reports, in a line of so many bytes. `is_last` if the run is accounted for itself, and not
    /// only as a run from which another took something over.
    pub fn note(&mut self, run: &str, time: Option<SystemTime>, record: Record, length: usize, is_last: bool) {
        self.note_since(time, &record);
        if self.is_of_reprocessing(run, &record) {
            return;
        }
        let Some(run) = self.run(run, time, length, is_last) else {
            self.account.lines_more += 1;
            return;
        };
        match record.hash() {
            Some(hash) => {
                let hash = hash.clone();
                self.note_archive(run, hash, time, record, length);
            }
            None => self.note_run(run, time, record, length),
        }
    }

    /// Takes note of what a run reports of itself. What memory has no room for is only counted.
    fn note_run(&mut self, run: usize, time: Option<SystemTime>, mut record: Record, length: usize) {
        let has_room = self.take(2 * length);
        let run = &mut self.account.runs[run];
        match &mut record {
            _ if has_room => {}
            Record::LeftOut(left_out) => left_out.files.clear(),
            Record::Error(_) => {
                run.problems_more += 1;
                return;
            }
            Record::Warning(_) => {
                run.sums.warnings += 1;
                run.warnings_more += 1;
                return;
            }
            _ => {}
        }
        run.note(time, record);
    }

    /// Whether a record is about staged images being processed again, or about checksums: its run does not survey.
    fn is_of_reprocessing(&self, run: &str, record: &Record) -> bool {
        match record {
            Record::ReprocessStart(_)
            | Record::ReprocessComplete(_)
            | Record::Removed(_)
            | Record::ArchiveVerified(_) => true,
            Record::Interrupted(_) => !self.runs.contains_key(run),
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

    fn run(&mut self, id: &str, time: Option<SystemTime>, length: usize, is_last: bool) -> Option<usize> {
        let run = match self.runs.get(id).copied() {
            Some(run) => run,
            None if self.take(size_of::<Run>() + 2 * length) => {
                let runs = &mut self.account.runs;
                runs.push(Run { is_last, ..Run::new(id, time) });
                self.runs.insert(id.to_owned(), runs.len() - 1);
                runs.len() - 1
            }
            None => return None,
        };
        let heard = &mut self.account.runs[run].heard;
        *heard = time.max(*heard);
        Some(run)
    }

    fn note_archive(&mut self, run: usize, hash: Name, time: Option<SystemTime>, record: Record, length: usize) {
        self.account.runs[run].sums.note(&record);
        match record {
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
                self.account.more.note(&record);
                self.account.images_more = self.account.more.images;
            }
            return;
        };
        // Of two runs at once, the one that began the archive last counts.
        if self.account.archives[index].run != run {
            return;
        }
        let end = match record {
            Record::ArchiveComplete(end) => {
                ArchiveEnd::Complete { time, totals: Box::new(end.totals()), left_out: end.left_out }
            }
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
            self.account.archives[index].warnings_more += 1;
        }
    }

    fn begin(&mut self, run: usize, hash: Name, time: Option<SystemTime>, start: ArchiveStart, length: usize) {
        let archive = ArchiveAccount::begun(run, time, &start);
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
