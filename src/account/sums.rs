//! What runs did, in numbers.

use crate::log::Record;
use crate::log::record::Totals;

use super::{ArchiveAccount, ArchiveEnd};

/// Sums over archives and their images.
#[derive(Debug, Clone, PartialEq)]
pub struct Sums {
    /// Archives that were begun.
    pub archives: u64,
    /// Those that were read to their end.
    pub complete: u64,
    /// Those that ended in an error.
    pub failed: u64,
    /// Compressed bytes of both, and of archives that are not listed, as soon as they are begun.
    pub compressed_bytes: u64,
    /// Those that were read to their end, and hold no image.
    pub without_image: u64,
    /// What was done with those that ended.
    pub totals: Totals,
    /// Images that were checked.
    pub images: u64,
    /// Images in staging.
    pub kept: u64,
    /// Images that would be, but for the dry run.
    pub would_keep: u64,
    /// Images for which there was no room.
    pub deferred: u64,
    /// Images that are not kept.
    pub not_retained: u64,
    /// Archives of which only the beginning was looked at.
    pub partial: u64,
    /// Images that this does not decide on.
    pub undecided: u64,
    /// Images that could not be decided on, or not be kept.
    pub image_errors: u64,
    /// What was warned of.
    pub warnings: u64,
}

impl Default for Sums {
    fn default() -> Sums {
        Sums {
            archives: 0,
            complete: 0,
            failed: 0,
            compressed_bytes: 0,
            without_image: 0,
            totals: Totals { verified: true, ..Totals::default() },
            images: 0,
            kept: 0,
            would_keep: 0,
            deferred: 0,
            not_retained: 0,
            partial: 0,
            undecided: 0,
            image_errors: 0,
            warnings: 0,
        }
    }
}

impl Sums {
    /// Archives that were read to their end, or to the error that ended them.
    #[must_use]
    pub fn checked(&self) -> u64 {
        self.complete + self.failed
    }

    /// Takes note of a record about an archive, or an image in it. The archive's size is in `archive_start`.
    pub(super) fn note(&mut self, record: &Record) {
        match record {
            Record::ArchiveStart(_) => self.archives += 1,
            Record::ArchiveComplete(end) => self.add_complete(&end.totals()),
            Record::Error(error) if error.scope == "archive" => {
                self.add_failed(error.ended.as_ref().map(super::totals_of).as_ref());
            }
            Record::Warning(_) => self.warnings += 1,
            Record::PartitionCheck(check) => self.add_image(&check.action),
            _ => {}
        }
    }

    /// Adds an archive with its images.
    pub fn add(&mut self, archive: &ArchiveAccount) {
        self.archives += 1;
        match &archive.end {
            ArchiveEnd::Open => {}
            ArchiveEnd::Failed(problem) => self.add_failed(problem.totals.as_deref()),
            ArchiveEnd::Complete { totals, .. } => self.add_complete(totals),
        }
        if archive.end != ArchiveEnd::Open {
            self.compressed_bytes = self.compressed_bytes.saturating_add(archive.size);
        }
        self.warnings += archive.warnings.len() as u64 + archive.warnings_more;
        for image in &archive.images {
            self.add_image(&image.action);
        }
    }

    fn add_complete(&mut self, totals: &Totals) {
        self.complete += 1;
        self.without_image += u64::from(totals.is_without_image());
        self.partial += u64::from(!totals.is_complete());
        self.totals.add(totals);
    }

    fn add_failed(&mut self, totals: Option<&Totals>) {
        self.failed += 1;
        self.totals.verified = false;
        if let Some(totals) = totals {
            self.totals.add(totals);
        }
    }

    fn add_image(&mut self, action: &str) {
        self.images += 1;
        match action {
            "KEPT" => self.kept += 1,
            "would_keep" => self.would_keep += 1,
            "deferred" => self.deferred += 1,
            "undecided" => self.undecided += 1,
            "error" => self.image_errors += 1,
            _ => self.not_retained += 1,
        }
    }
}
