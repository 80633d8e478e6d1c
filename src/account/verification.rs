//! What the archives' checksums came to, as the log tells it. Only the file system knows whether they are still the same.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::time::SystemTime;

use crate::event::Soundness;
use crate::log::record::ArchiveVerified;
use crate::log::{Head, Name, Record};
use crate::object;

/// Archives of which it is remembered.
const MOST: usize = 1_000_000;

/// What decoding an archive to its end came to when that was last done.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// When.
    pub time: Option<SystemTime>,
    /// What came of it.
    pub soundness: Soundness,
    /// What the log has of it.
    pub record: ArchiveVerified,
}

/// Whether a verification still says something of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Currency {
    /// The file is as it was.
    Current,
    /// It has another size or time.
    Changed,
    /// It is not there, or cannot be looked at.
    Unseen,
    /// It is in object storage, and nobody asked there.
    Remote,
}

impl Currency {
    /// The word for it in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Currency::Current => "current",
            Currency::Changed => "changed",
            Currency::Unseen => "unseen",
            Currency::Remote => "remote",
        }
    }
}

impl Verification {
    /// What is known of the file as it is now, in the word of reports: what came of it, or why that says nothing any more.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.currency() {
            Currency::Current | Currency::Remote => self.soundness.as_str(),
            currency => currency.as_str(),
        }
    }

    /// Looks at the file.
    #[must_use]
    pub fn currency(&self) -> Currency {
        let path = self.record.archive.as_ref().map(Name::as_path);
        if path.is_some_and(object::is_url) {
            return Currency::Remote;
        }
        let Some(Ok(metadata)) = path.map(std::fs::metadata) else { return Currency::Unseen };
        let mtime = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
        let is_same = self.record.size_bytes == Some(metadata.len()) && self.record.mtime.as_ref() == Some(&mtime);
        if is_same { Currency::Current } else { Currency::Changed }
    }
}

/// The last verification of each archive, by its hash: by `imgsieve verify`, or by a survey that decoded all of it.
#[derive(Debug, Clone, Default)]
pub struct Verifications {
    all: HashMap<Name, Verification>,
    /// Archives that a survey has begun, as they were then.
    begun: HashMap<Name, ArchiveVerified>,
}

impl Verifications {
    /// Whether a line tells of one.
    #[must_use]
    pub fn wants(head: &Head<'_>) -> bool {
        head.stage == "archive_verified"
    }

    /// Takes note of a line.
    pub fn note(&mut self, time: Option<SystemTime>, record: &Record) {
        match record {
            Record::ArchiveVerified(verified) => self.insert(time, (**verified).clone()),
            Record::ArchiveStart(start) if self.begun.len() < MOST => {
                let begun = ArchiveVerified {
                    hash: start.hash.clone(),
                    archive: start.archive.clone(),
                    size_bytes: start.size_bytes,
                    mtime: start.mtime.clone(),
                    ..ArchiveVerified::default()
                };
                self.begun.insert(start.hash.clone(), begun);
            }
            Record::ArchiveComplete(end) => {
                let Some(begun) = self.begun.remove(&end.hash).filter(|_| end.totals.verified) else { return };
                let (frames, checksummed_frames) = (end.totals.frames, end.totals.checksummed_frames);
                let soundness = if frames > checksummed_frames { Soundness::NoChecksum } else { Soundness::Holds };
                let (outcome, content_bytes) = (soundness.as_str().to_owned(), end.totals.content_bytes);
                self.insert(time, ArchiveVerified { outcome, frames, checksummed_frames, content_bytes, ..begun });
            }
            Record::Error(error) if error.scope == "archive" => {
                if let Some(hash) = &error.hash {
                    self.begun.remove(hash);
                }
            }
            _ => {}
        }
    }

    fn insert(&mut self, time: Option<SystemTime>, record: ArchiveVerified) {
        let Some(soundness) = Soundness::of_word(&record.outcome) else { return };
        if self.all.len() < MOST || self.all.contains_key(&record.hash) {
            let verification = Verification { time, soundness, record };
            self.all.insert(verification.record.hash.clone(), verification);
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// That of the archive of this hash.
    #[must_use]
    pub fn get(&self, hash: &Name) -> Option<&Verification> {
        self.all.get(hash)
    }

    /// All of them, by hash.
    #[must_use]
    pub fn sorted(&self) -> Vec<&Verification> {
        let mut all: Vec<&Verification> = self.all.values().collect();
        all.sort_by(|a, b| a.record.hash.bytes().cmp(b.record.hash.bytes()));
        all
    }
}
