//! What runs did, in numbers.

use crate::log::Record;
use crate::log::record::Totals;

use super::{ArchiveAccount, ArchiveEnd};

/// Sums over archives and their images.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sums {
    /// Archives that were begun.
    pub archives: u64,
    /// Those that were read to their end.
    pub complete: u64,
    /// Those that ended in an error.
    pub failed: u64,
    /// Compressed bytes of both, and of archives that are not told of one by one, as soon as they are begun.
    pub compressed_bytes: u64,
    /// Those that were read to their end, and hold no image.
    pub without_image: u64,
    /// Bytes of the tars that were read to their end.
    pub content_bytes: u64,
    /// Those that were never decoded.
    pub passed_over_bytes: u64,
    /// Bytes written to staging.
    pub bytes_written: u64,
    /// What workers spent on archives that were read to their end, in seconds of wall time.
    pub seconds: f64,
    /// Images that were checked.
    pub images: u64,
    /// Images in staging.
    pub kept: u64,
    /// Images that would be, were it no dry run.
    pub would_keep: u64,
    /// Images for which there was no room.
    pub deferred: u64,
    /// Images that are not retained.
    pub not_retained: u64,
    /// Images that could not be decided on, or not be kept.
    pub image_errors: u64,
    /// What was warned of.
    pub warnings: u64,
}

impl Sums {
    /// Takes note of what is said about an archive, or an image in it. Of the archive's size, `archive_start` tells.
    pub(super) fn note(&mut self, record: &Record) {
        match record {
            Record::ArchiveStart(_) => self.archives += 1,
            Record::ArchiveComplete(end) => {
                self.complete += 1;
                self.add_totals(&end.totals);
                self.without_image += u64::from(end.totals().is_without_image());
            }
            Record::Error(error) if error.scope == "archive" => {
                self.failed += 1;
                error.ended.iter().for_each(|ended| self.add_totals(&ended.totals));
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
            ArchiveEnd::Failed(problem) => {
                self.failed += 1;
                problem.totals.iter().for_each(|totals| self.add_totals(totals));
            }
            ArchiveEnd::Complete { totals, .. } => {
                self.complete += 1;
                self.add_totals(totals);
                self.without_image += u64::from(totals.is_without_image());
            }
        }
        if archive.end != ArchiveEnd::Open {
            self.compressed_bytes = self.compressed_bytes.saturating_add(archive.size);
        }
        self.warnings += archive.warnings.len() as u64;
        for image in &archive.images {
            self.add_image(&image.action);
        }
    }

    fn add_totals(&mut self, totals: &Totals) {
        self.content_bytes = self.content_bytes.saturating_add(totals.content_bytes);
        self.passed_over_bytes = self.passed_over_bytes.saturating_add(totals.passed_over_bytes);
        self.bytes_written = self.bytes_written.saturating_add(totals.bytes_written);
        self.seconds += totals.seconds.max(0.0);
    }

    fn add_image(&mut self, action: &str) {
        self.images += 1;
        match action {
            "KEPT" => self.kept += 1,
            "would_keep" => self.would_keep += 1,
            "deferred" => self.deferred += 1,
            "error" => self.image_errors += 1,
            _ => self.not_retained += 1,
        }
    }
}
