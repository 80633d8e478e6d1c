//! What earlier runs found wrong with an archive: it stays wrong until the archive was decoded rightly.
//!
//! Passing over data notices little of what is wrong with them. So an archive that failed a checksum, or was corrupt, is
//! decoded whole by every later run, until one finds every checksum right; the images of it that were staged are compared
//! with what was decoded.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;

use crate::account::Staged;
use crate::event::Archive;
use crate::log::{At, Entry, Head, Listener, Record};
use crate::reason::{Reason, Told};
use crate::run::Control;

/// Staged images that the log can vouch for. Others are compared with their archives.
const VOUCHED_MOST: usize = 1 << 20;

/// What earlier runs tell of archives.
#[derive(Debug, Default)]
pub struct Known {
    /// The hashes of the archives with which something is wrong.
    pub doubted: HashSet<OsString>,
    /// Paths of staged images that the log says to be of the very files that the archives are now.
    pub vouched: HashSet<PathBuf>,
    /// The images that were staged, and what became of them.
    pub staged: Staged,
}

/// The archives that are not to be passed over.
pub struct Doubts<'a> {
    archives: HashMap<&'a OsStr, &'a Archive>,
    control: &'a Control,
    /// Those that were begun as they are now.
    same: HashSet<&'a OsStr>,
    doubted: HashSet<OsString>,
    /// What became of the images that were staged of them.
    staged: Staged,
    /// Archives that were begun as the very file that they are now.
    identical: HashSet<&'a OsStr>,
    /// Paths of images that were staged, or found to be equal, while the archive was the file that it is now.
    vouched: HashSet<PathBuf>,
}

impl<'a> Doubts<'a> {
    /// No doubts about `archives` yet. Reading ends once `control` stops the run.
    pub fn new(archives: &'a [Arc<Archive>], control: &'a Control) -> Doubts<'a> {
        let archives = archives.iter().map(|archive| (archive.hash.as_os_str(), &**archive)).collect();
        Doubts {
            archives,
            control,
            same: HashSet::new(),
            doubted: HashSet::new(),
            staged: Staged::default(),
            identical: HashSet::new(),
            vouched: HashSet::new(),
        }
    }

    /// Takes note of a line.
    pub fn note(&mut self, record: &Record) {
        let Some(hash) = record.hash().map(crate::log::Name::as_os_str) else { return };
        let Some((&hash, archive)) = self.archives.get_key_value(hash) else { return };
        self.staged.note(record);
        let is_wrong = match record {
            Record::ArchiveStart(start) => {
                if archive.is_identical(start) {
                    self.identical.insert(hash);
                } else {
                    self.identical.remove(hash);
                }
                if archive.is_same(start) {
                    self.same.insert(hash);
                } else {
                    // Another version of it.
                    self.same.remove(hash);
                    self.doubted.remove(hash);
                }
                return;
            }
            Record::Error(error) if error.scope == "archive" => {
                matches!(error.reason, Some(Told::Known(Reason::Checksum | Reason::Corrupt)))
            }
            Record::PartitionCheck(check) => {
                if let Some(path) = &check.path {
                    if self.identical.contains(hash) && self.vouched.len() < VOUCHED_MOST {
                        self.vouched.insert(path.as_path().to_owned());
                    } else {
                        self.vouched.remove(path.as_path());
                    }
                }
                check.verified == Some(Some(false))
            }
            Record::ArchiveVerified(verified) => {
                let is_same = verified.size_bytes == Some(archive.size) && verified.mtime == archive.mtime;
                match &verified.reason {
                    Some(Told::Known(Reason::Checksum | Reason::Corrupt)) if is_same => {
                        self.doubted.insert(hash.to_owned());
                    }
                    // A time that is not told is no proof.
                    None if is_same && archive.mtime.is_some() && verified.outcome == "verified" => {
                        self.doubted.remove(hash);
                    }
                    _ => {}
                }
                return;
            }
            Record::ArchiveComplete(end) => {
                if end.totals.verified {
                    self.doubted.remove(hash);
                }
                return;
            }
            _ => return,
        };
        if is_wrong && self.same.contains(hash) {
            self.doubted.insert(hash.to_owned());
        }
    }

    /// Whether something is wrong with an archive, by what was noted so far.
    pub fn has(&self, hash: &OsStr) -> bool {
        self.doubted.contains(hash)
    }

    /// What is known in the end.
    pub fn into_known(self) -> Known {
        Known { doubted: self.doubted, vouched: self.vouched, staged: self.staged }
    }
}

impl Listener for Doubts<'_> {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        matches!(&*head.stage, "archive_start" | "archive_complete" | "archive_verified" | "error")
            || Staged::wants(head)
    }

    fn note(&mut self, entry: Entry, _at: At) {
        Doubts::note(self, &entry.record);
    }

    fn is_done(&self) -> bool {
        self.control.is_stopped()
    }
}
