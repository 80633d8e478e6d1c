//! The log's format: one type a stage, its fields in their order, each with what it means.
//!
//! A line has `ts`, `stage`, the fields of its stage, and `run`, as [`Entry`] has them. Fields are added at the end of
//! what is there; none is renamed or dropped. What a line of another version or of the script that imgsieve replaces does
//! not have is read as absent.

mod archive;
mod image;
mod run;
mod staged;

use serde::Serialize;
use serde::ser::Serializer;

use super::name::Name;

pub use archive::{ArchiveComplete, ArchiveResumed, ArchiveStart, ArchiveVerified, Cleanup, MembersLeftOut, Totals};
pub use image::{Damage, Deferred, ExtractionStart, FileSystem, ImageId, ImgFound, Partition, PartitionCheck, Table};
pub use run::{
    Abort, Ended, Error, Interrupted, LeftOut, LeftOutFile, LowSpace, Problem, Rules, ScriptComplete, ScriptStart,
    Warning,
};
pub use staged::{Removed, ReprocessComplete, ReprocessStart, StagedId};

/// Files that a run leaves out by one rule and that are named. All are counted.
pub const LEFT_OUT_MOST: usize = 10_000;
/// Partitions of one image that are listed; `partitions` has their number. No kind of table in use has more.
pub const PARTITIONS_MOST: usize = 128;

macro_rules! stages {
    ($($(#[doc = $doc:literal])+ $stage:ident = $word:literal,)+) => {
        /// What one line of the log says.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Record {
            $($(#[doc = $doc])+ $stage(Box<$stage>),)+
        }

        impl Record {
            /// The stages, each with when it is written.
            pub const STAGES: &'static [(&'static str, &'static str)] = &[$(($word, concat!($($doc),+)),)+];

            /// The stage.
            #[must_use]
            pub fn stage(&self) -> &'static str {
                match self {
                    $(Record::$stage(_) => $word,)+
                }
            }

            /// Reads `line`, which is of this stage; none where the stage is not known.
            pub fn read(stage: &str, line: &str) -> Option<serde_json::Result<Record>> {
                Some(match stage {
                    $($word => serde_json::from_str(line).map(|record| Record::$stage(Box::new(record))),)+
                    _ => return None,
                })
            }
        }

        impl Serialize for Record {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    $(Record::$stage(record) => record.serialize(serializer),)+
                }
            }
        }
    };
}

stages! {
    /// A run begins.
    ScriptStart = "script_start",
    /// What is in the collection and is not surveyed, by one rule; a line for some hundreds of files.
    LeftOut = "left_out",
    /// An archive is not read again: an earlier run completed it.
    ArchiveResumed = "archive_resumed",
    /// An archive is started.
    ArchiveStart = "archive_start",
    /// Writing of an image to staging begins.
    ExtractionStart = "extraction_start",
    /// An image was found in an archive.
    ImgFound = "img_found",
    /// The verdict on an image: one for each that was found, unless the run is cut short.
    PartitionCheck = "partition_check",
    /// An image has no room in staging now; its `partition_check` follows.
    Deferred = "deferred",
    /// Staging holds all that is kept of an archive; partial files of it are removed.
    Cleanup = "cleanup",
    /// An archive was read to its end.
    ArchiveComplete = "archive_complete",
    /// Something worth knowing; nothing was lost.
    Warning = "warning",
    /// Something was not done. With scope archive, for an archive that was started, it is that archive's last line.
    Error = "error",
    /// Free space fell below the minimum.
    LowSpace = "low_space",
    /// A run cannot go on.
    Abort = "abort",
    /// A signal ended a run.
    Interrupted = "interrupted",
    /// A run is done.
    ScriptComplete = "script_complete",
    /// A command begins to reprocess a staged image.
    ReprocessStart = "reprocess_start",
    /// The command has ended.
    ReprocessComplete = "reprocess_complete",
    /// A staged image was removed after it had been reprocessed.
    Removed = "removed",
    /// An archive was decoded to its end, or to an error, for its checksums: `imgsieve verify`.
    ArchiveVerified = "archive_verified",
}

impl Record {
    /// The archive it is about, if any.
    #[must_use]
    pub fn hash(&self) -> Option<&Name> {
        match self {
            Record::ArchiveResumed(record) => Some(&record.hash),
            Record::ArchiveStart(record) => Some(&record.hash),
            Record::ExtractionStart(record) => Some(&record.hash),
            Record::ImgFound(record) => Some(&record.image.hash),
            Record::PartitionCheck(record) => Some(&record.image.hash),
            Record::Deferred(record) => Some(&record.image.hash),
            Record::Cleanup(record) => Some(&record.hash),
            Record::ArchiveComplete(record) => Some(&record.hash),
            Record::Warning(record) | Record::Error(record) => record.hash.as_ref(),
            Record::ReprocessStart(record) => record.image.hash.as_ref(),
            Record::ReprocessComplete(record) => record.image.hash.as_ref(),
            Record::Removed(record) => record.hash.as_ref(),
            Record::ArchiveVerified(record) => Some(&record.hash),
            _ => None,
        }
    }
}

/// A line of the log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// When it was written: UTC, `YYYY-MM-DDThh:mm:ssZ`.
    pub ts: String,
    /// What happened.
    pub stage: &'static str,
    /// The fields of the stage.
    #[serde(flatten)]
    pub record: Record,
    /// The run that wrote it.
    pub run: String,
}
