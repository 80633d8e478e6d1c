//! The log's format: one type a stage, its fields in their order, each with what it means.
//!
//! A line has `ts`, `stage`, the fields of its stage, and `run`, as [`Entry`] has them. Fields are added at the end of
//! what is there; none is renamed or dropped. What a line of another version or of the script that imgsieve replaces does
//! not have is read as none.

use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::reason::Told;
use crate::zst::Engine;

use super::form;
use super::name::{self, Name};

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
    /// An archive is not read again: an earlier run completed it.
    ArchiveResumed = "archive_resumed",
    /// An archive is begun.
    ArchiveStart = "archive_start",
    /// An image begins to be written to staging.
    ExtractionStart = "extraction_start",
    /// An image was found in an archive.
    ImgFound = "img_found",
    /// The verdict on an image: one for each that was found, unless the run is cut short.
    PartitionCheck = "partition_check",
    /// An image has no room in staging now; its `partition_check` follows.
    Deferred = "deferred",
    /// Staging has of an archive what it will have.
    Cleanup = "cleanup",
    /// An archive was read to its end.
    ArchiveComplete = "archive_complete",
    /// Something worth knowing, by which nothing was lost.
    Warning = "warning",
    /// Something was not done. In the scope of an archive that was begun, this ends it.
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
}

impl Record {
    /// The archive that it is about, if it is about one.
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

/// `script_start`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScriptStart {
    /// Archives that were chosen.
    pub total_archives: u64,
    /// Their compressed bytes.
    pub total_bytes: u64,
    /// Hashes of the archives on the skip list.
    #[serde(deserialize_with = "form::list")]
    pub skipped: Vec<String>,
    /// Archives no larger than the minimum.
    pub too_small: u64,
    /// Archives that were not asked for.
    pub not_selected: u64,
    /// Files in the collection whose names do not end as an archive's do.
    pub other_endings: u64,
    /// Whether nothing is staged.
    pub dry_run: bool,
    /// Archives read at a time.
    pub jobs: u64,
    /// Version of imgsieve.
    pub version: Option<String>,
    /// What the answers depend on.
    #[serde(deserialize_with = "form::lenient")]
    pub rules: Option<Rules>,
    /// Free space in staging, in bytes.
    pub available_bytes: Option<u64>,
    /// What has to stay free of it, in bytes.
    pub minimum_bytes: Option<u64>,
    /// With `--resume`, archives that earlier runs completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_archives: Option<u64>,
    /// Their compressed bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumed_bytes: Option<u64>,
    /// The runs that completed them.
    #[serde(deserialize_with = "form::optional_list", skip_serializing_if = "Option::is_none")]
    pub resumed_runs: Option<Vec<String>>,
    /// Why the archives on the skip list are there, in their order.
    #[serde(deserialize_with = "form::list")]
    pub skip_reasons: Vec<String>,
    /// Archives are larger than this, in bytes.
    pub min_archive_bytes: Option<u64>,
}

/// What the answers on an archive depend on, besides the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Images have to be larger, in bytes.
    pub min_image_size: u64,
    /// Partitions that make an image one to be kept.
    pub min_partitions: u32,
    /// How the name of an image ends.
    pub image_suffix: String,
    /// Whether images that cannot be decided on are kept, too.
    pub keep_undecided: bool,
    /// Whether file systems are named even where that costs decoding again.
    pub fs: bool,
}

impl Rules {
    /// Whether answers by these rules are answers by `wanted`, too.
    #[must_use]
    pub fn serve(&self, wanted: &Rules) -> bool {
        let fs = self.fs && wanted.fs;
        Rules { fs, ..self.clone() } == *wanted
    }
}

/// `archive_resumed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArchiveResumed {
    /// The archive.
    #[serde(flatten, with = "name::hash")]
    pub hash: Name,
    /// Its place in the order of sizes, from 1.
    #[serde(default)]
    pub rank: u64,
    /// Its compressed bytes.
    pub size_bytes: Option<u64>,
    /// When it was last changed: seconds since 1970 and nanoseconds.
    pub mtime: Option<String>,
    /// The run that completed it; its lines tell of it.
    #[serde(default)]
    pub by_run: String,
}

/// `archive_start`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArchiveStart {
    /// The archive.
    #[serde(flatten, with = "name::hash")]
    pub hash: Name,
    /// Its compressed size in 10^9 bytes.
    #[serde(default, deserialize_with = "form::lenient")]
    pub size_gb: f64,
    /// Its place in the order of sizes, from 1.
    #[serde(default)]
    pub rank: u64,
    /// Its compressed bytes.
    pub size_bytes: Option<u64>,
    /// When it was last changed: seconds since 1970 and nanoseconds.
    pub mtime: Option<String>,
    /// Which worker reads it, from 0.
    #[serde(default)]
    pub worker: u32,
    /// Its path.
    #[serde(flatten, with = "name::archive::optional")]
    pub archive: Option<Name>,
}

/// `extraction_start`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExtractionStart {
    /// The archive.
    #[serde(flatten, with = "name::hash")]
    pub hash: Name,
    /// The folder that the image is written to.
    #[serde(flatten, with = "name::dest::optional")]
    pub dest: Option<Name>,
}

/// Which image of an archive.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageId {
    /// The archive.
    #[serde(flatten, with = "name::hash")]
    pub hash: Name,
    /// The image: last component of the member's path.
    #[serde(flatten, with = "name::img")]
    pub img: Name,
    /// The member's path, where that is another.
    #[serde(flatten, with = "name::member::optional")]
    pub member: Option<Name>,
    /// Which image of its name in the archive it is, from the second on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
}

/// `img_found`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImgFound {
    /// The image.
    #[serde(flatten)]
    pub image: ImageId,
    /// Its real size in 10^9 bytes.
    #[serde(default, deserialize_with = "form::lenient")]
    pub size_gb: f64,
    /// The same in bytes.
    pub size_bytes: Option<u64>,
}

/// `partition_check`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[allow(clippy::option_option)]
pub struct PartitionCheck {
    /// The image.
    #[serde(flatten)]
    pub image: ImageId,
    /// Its partitions; null where they cannot be told.
    pub partitions: Option<u64>,
    /// What is done with it: `KEPT`, `would_keep`, `deferred`, `deleted` (not kept) or `error`.
    #[serde(default)]
    pub action: String,
    /// Where it is in staging, if it was kept.
    #[serde(flatten, with = "name::path::optional")]
    pub path: Option<Name>,
    /// Whether the frames of a kept image were decoded to their end, and their checksums held; null where an earlier run
    /// wrote it.
    #[serde(default, deserialize_with = "form::present", skip_serializing_if = "Option::is_none")]
    pub verified: Option<Option<bool>>,
    /// Whether an earlier run wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<bool>,
    /// Space that it takes, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocated_bytes: Option<u64>,
    /// Space that it would take at most, if it would be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_bytes: Option<u64>,
    /// Why it is not kept, or not simply kept.
    pub reason: Option<Told>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Bytes written for it.
    #[serde(default)]
    pub bytes_written: u64,
    /// Its real size in bytes.
    pub size_bytes: Option<u64>,
    /// `multi`, `single`, `none` or `undecidable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
    /// What was found, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// How much of the medium was rescued, in percent, where a rescue map tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescued_pct: Option<f64>,
    /// Where the medium was not read: start and length in bytes, coarsely.
    #[serde(default, deserialize_with = "form::optional_list", skip_serializing_if = "Option::is_none")]
    pub unread_areas: Option<Vec<(u64, u64)>>,
    /// The partition table.
    #[serde(default, deserialize_with = "form::lenient", skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
    /// All its partitions, those that do not count, too.
    #[serde(default, deserialize_with = "form::optional_list", skip_serializing_if = "Option::is_none")]
    pub partition_list: Option<Vec<Partition>>,
}

impl PartitionCheck {
    /// Which image of its name in the archive it is, from 1.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.image.ordinal.unwrap_or(1)
    }

    /// Its real size in bytes; 0 where it is not told.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size_bytes.unwrap_or(0)
    }

    /// Space that it takes, or would take at most, in bytes.
    #[must_use]
    pub fn room(&self) -> Option<u64> {
        self.allocated_bytes.or(self.at_most_bytes)
    }

    /// What was found, in a sentence.
    #[must_use]
    pub fn found(&self) -> &str {
        self.found.as_deref().unwrap_or_default()
    }

    /// All its partitions.
    #[must_use]
    pub fn partitions(&self) -> &[Partition] {
        self.partition_list.as_deref().unwrap_or_default()
    }

    /// What is on the whole disk.
    #[must_use]
    pub fn whole_disk(&self) -> Option<&FileSystem> {
        self.table.as_ref()?.whole_disk.as_ref()
    }
}

/// A partition table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its kind: `dos`, `gpt`, ...; null where there is none.
    pub label: Option<String>,
    /// Bytes of a sector.
    pub sector_size: Option<u64>,
    /// Which copy of a GPT was used: `primary` or `backup`.
    pub gpt_copy: Option<String>,
    /// Whether something is wrong with it.
    #[serde(default)]
    pub damaged: bool,
    /// What is wrong with it.
    #[serde(default, deserialize_with = "form::list", skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<Damage>,
    /// What is on the whole disk, where there is no table.
    #[serde(flatten)]
    pub whole_disk: Option<FileSystem>,
    /// False where it was not read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
}

/// Something that is wrong with a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Damage {
    /// What, in a word.
    pub code: String,
    /// The same in a sentence.
    pub message: String,
}

/// What is on a whole disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FileSystem {
    /// The file system, or what else is recognised.
    pub fs: String,
    /// Its label.
    #[serde(default)]
    pub fs_label: Option<String>,
    /// Its UUID.
    #[serde(default)]
    pub fs_uuid: Option<String>,
}

/// A partition.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Partition {
    /// Linux's number.
    pub number: u32,
    /// Where it starts, in bytes.
    pub start_bytes: u64,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its type; null where the table does not say.
    #[serde(rename = "type")]
    pub type_id: Option<String>,
    /// Its name in the table.
    pub name: Option<String>,
    /// `primary`, `logical`, `nested`: these count; `extended`, `container`, `meta`: these do not.
    pub kind: String,
    /// The file system in it, where that is known.
    pub fs: Option<String>,
    /// The label of that.
    pub fs_label: Option<String>,
    /// The UUID of that.
    pub fs_uuid: Option<String>,
}

/// `deferred`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Deferred {
    /// The image.
    #[serde(flatten)]
    pub image: ImageId,
    /// Its real size in bytes.
    pub size_bytes: Option<u64>,
    /// Why.
    pub reason: Option<Told>,
    /// The same in a sentence.
    #[serde(default)]
    pub message: String,
}

/// `cleanup`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cleanup {
    /// The archive.
    #[serde(flatten, with = "name::hash")]
    pub hash: Name,
    /// Files of ours that were removed from staging.
    #[serde(default)]
    pub removed_files: u64,
    /// Images of it in staging.
    #[serde(default)]
    pub kept_imgs: u64,
}

/// `archive_complete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArchiveComplete {
    /// The archive.
    #[serde(flatten, with = "name::hash")]
    pub hash: Name,
    /// Images with enough partitions to be kept.
    #[serde(default)]
    pub multipart_imgs: u64,
    /// Free space in staging, in percent.
    #[serde(deserialize_with = "form::lenient", default)]
    pub disk_free_pct: Option<u64>,
    /// The same in bytes.
    pub available_bytes: Option<u64>,
    /// Images found; none in a line of the script that imgsieve replaces.
    pub imgs: Option<u64>,
    /// Its compressed bytes.
    pub compressed_bytes: Option<u64>,
    /// What was done.
    #[serde(flatten)]
    pub totals: Totals,
}

impl ArchiveComplete {
    /// What was found and done.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals { images: self.imgs.unwrap_or(0), multi: self.multipart_imgs, ..self.totals.clone() }
    }
}

/// What was done with an archive, or with all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    /// Images found: `imgs`.
    #[serde(skip)]
    pub images: u64,
    /// Images with enough partitions to be kept, whatever became of them: `multipart_imgs`.
    #[serde(skip)]
    pub multi: u64,
    /// Images in staging.
    #[serde(rename = "kept_imgs")]
    pub kept: u64,
    /// Bytes written to staging.
    pub bytes_written: u64,
    /// Files of ours that were removed from staging.
    pub removed_files: u64,
    /// Members of the tar, of any kind.
    pub members: u64,
    /// Bytes of the tar.
    pub content_bytes: u64,
    /// Bytes that libzstd decoded, counted as often as they were.
    pub decoded_bytes: u64,
    /// Bytes of the tar that were never decoded.
    pub passed_over_bytes: u64,
    /// Those passed over block by block, counted as often as they were.
    pub sized_bytes: u64,
    /// Those passed over in whole frames, counted as often as they were.
    pub jumped_bytes: u64,
    /// Those passed over by the headers of blocks that were presumed to be full, and then proven to be.
    pub presumed_bytes: u64,
    /// Times that blocks were presumed to be full, and that could not be proven.
    pub refuted: u64,
    /// Bytes found by following matches.
    pub traced_bytes: u64,
    /// Times that libzstd had to do it after all.
    pub fallbacks: u64,
    /// Compressed bytes that were read, counted as often as they were.
    pub requested_bytes: u64,
    /// Frames decoded to their end.
    #[serde(rename = "decoded_frames")]
    pub frames: u64,
    /// Those of them with a checksum, which held.
    pub checksummed_frames: u64,
    /// Times that a frame was begun anew.
    pub rewinds: u64,
    /// How it was read: `auto`, `skip` or `decode`.
    #[serde(with = "form::engine")]
    pub engine: Engine,
    /// Whether all was decoded, and every checksum held.
    pub verified: bool,
    /// Wall time spent on it, in seconds; of a run, the sum over its archives.
    #[serde(serialize_with = "form::milliseconds")]
    pub seconds: f64,
}

impl Totals {
    /// Whether these are of an archive, read to its end, that holds no image. The script that this program replaces counted
    /// neither images nor bytes of the tar.
    #[must_use]
    pub fn is_without_image(&self) -> bool {
        self.images == 0 && self.content_bytes > 0
    }

    /// Adds those of another archive. The sum is verified if each of them is, an empty one too.
    pub fn add(&mut self, other: &Totals) {
        self.verified &= other.verified;
        self.engine = other.engine;
        self.seconds += other.seconds.max(0.0);
        for (sum, more) in [
            (&mut self.images, other.images),
            (&mut self.multi, other.multi),
            (&mut self.kept, other.kept),
            (&mut self.bytes_written, other.bytes_written),
            (&mut self.removed_files, other.removed_files),
            (&mut self.members, other.members),
            (&mut self.content_bytes, other.content_bytes),
            (&mut self.decoded_bytes, other.decoded_bytes),
            (&mut self.passed_over_bytes, other.passed_over_bytes),
            (&mut self.sized_bytes, other.sized_bytes),
            (&mut self.jumped_bytes, other.jumped_bytes),
            (&mut self.presumed_bytes, other.presumed_bytes),
            (&mut self.refuted, other.refuted),
            (&mut self.traced_bytes, other.traced_bytes),
            (&mut self.fallbacks, other.fallbacks),
            (&mut self.requested_bytes, other.requested_bytes),
            (&mut self.frames, other.frames),
            (&mut self.checksummed_frames, other.checksummed_frames),
            (&mut self.rewinds, other.rewinds),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// `warning`.
pub type Warning = Problem;

/// `error`.
pub type Error = Problem;

/// `warning` and `error`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// What it is about: `run`, `archive`, `image`, or `staged`, an image in staging.
    #[serde(default)]
    pub scope: String,
    /// The path of what is no archive that was begun.
    #[serde(flatten, with = "name::archive::optional")]
    pub archive: Option<Name>,
    /// The archive.
    #[serde(flatten, with = "name::hash::optional")]
    pub hash: Option<Name>,
    /// The image.
    #[serde(flatten, with = "name::img::optional")]
    pub img: Option<Name>,
    /// The member's path, where that is another.
    #[serde(flatten, with = "name::member::optional")]
    pub member: Option<Name>,
    /// Which image of its name in the archive it is, from the second on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// Where the image is in staging.
    #[serde(flatten, with = "name::path::optional")]
    pub path: Option<Name>,
    /// The length of the staged image in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// What, in a word.
    pub reason: Option<Told>,
    /// The same in a sentence.
    #[serde(default)]
    pub message: String,
    /// What was done with an archive until the error ended it.
    #[serde(flatten)]
    pub ended: Option<Ended>,
}

/// What was done with an archive until an error ended it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ended {
    /// Images found.
    pub imgs: u64,
    /// Images with enough partitions to be kept.
    #[serde(default)]
    pub multipart_imgs: u64,
    /// What was done.
    #[serde(flatten)]
    pub totals: Totals,
}

/// `low_space`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LowSpace {
    /// Free space in staging, in bytes.
    pub available_bytes: Option<u64>,
    /// What has to stay free of it, in bytes.
    pub minimum_bytes: Option<u64>,
    /// Free space in percent.
    #[serde(deserialize_with = "form::lenient", default)]
    pub disk_free_pct: Option<u64>,
}

/// `abort`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Abort {
    /// Why.
    pub reason: Option<Told>,
    /// The same in a sentence.
    #[serde(default)]
    pub message: String,
}

/// `interrupted`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Interrupted {
    /// The signal.
    #[serde(default)]
    pub signal: String,
}

/// `script_complete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScriptComplete {
    /// Images with enough partitions to be kept.
    pub total_multipart: u64,
    /// Archives that were read to their end, or to the error that ended them.
    pub archives_checked: u64,
    /// Those of them that ended in an error.
    pub archives_failed: u64,
    /// Those of them that an earlier run read.
    pub archives_resumed: u64,
    /// Archives that were read to their end, and hold no image.
    pub archives_without_image: u64,
    /// Images found.
    pub imgs: u64,
    /// Images that would be kept, in a dry run.
    pub would_keep: u64,
    /// Images without room.
    pub deferred: u64,
    /// Images that could not be decided on, or not be kept.
    pub image_errors: u64,
    /// Errors of every scope.
    pub errors: u64,
    /// Warnings of every scope.
    pub warnings: u64,
    /// Compressed bytes of the archives that were checked.
    pub compressed_bytes: u64,
    /// What was done, in sum.
    #[serde(flatten)]
    pub totals: Totals,
}

/// Which image in staging.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StagedId {
    /// The archive that it came from.
    #[serde(flatten, with = "name::hash::optional")]
    pub hash: Option<Name>,
    /// Its file name in the archive.
    #[serde(flatten, with = "name::img::optional")]
    pub img: Option<Name>,
    /// Which image of its name in the archive it is, from the second on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// Where it is.
    #[serde(flatten, with = "name::path::optional")]
    pub path: Option<Name>,
    /// Its length in bytes.
    pub size_bytes: Option<u64>,
}

/// `reprocess_start`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReprocessStart {
    /// The image.
    #[serde(flatten)]
    pub image: StagedId,
    /// The command and its arguments.
    #[serde(default, deserialize_with = "form::list")]
    pub command: Vec<String>,
    /// The same exactly, in base64, where it is not UTF-8.
    #[serde(default, deserialize_with = "form::optional_list", skip_serializing_if = "Option::is_none")]
    pub command_bytes: Option<Vec<String>>,
}

/// `reprocess_complete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReprocessComplete {
    /// The image.
    #[serde(flatten)]
    pub image: StagedId,
    /// What the command exited with.
    pub exit_status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// Why neither is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Told>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Wall time that it took, in seconds.
    #[serde(default, serialize_with = "form::milliseconds")]
    pub seconds: f64,
    /// The file with what it printed.
    #[serde(flatten, with = "name::output::optional")]
    pub output: Option<Name>,
}

/// `removed`.
pub type Removed = StagedId;
