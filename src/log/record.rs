//! The log's format: one type a stage, its fields in their order, each with what it means.
//!
//! A line has `ts`, `stage`, the fields of its stage, and `run`, as [`Entry`] has them. Fields are added at the end of
//! what is there; none is renamed or dropped. What a line of another version or of the script that imgsieve replaces does
//! not have is read as absent.

use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::reason::Told;
use crate::sanitize;
use crate::shard::{Part, Shard};
use crate::zst::Engine;

use super::form;
use super::name::{self, Name};

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

/// `script_start`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScriptStart {
    /// Archives chosen.
    pub total_archives: u64,
    /// Their compressed bytes.
    pub total_bytes: u64,
    /// Hashes of the archives on the skip list.
    #[serde(deserialize_with = "form::list")]
    pub skipped: Vec<String>,
    /// Archives no larger than the minimum.
    pub too_small: u64,
    /// Archives left out by `--only` or `--limit`.
    pub not_selected: u64,
    /// Files in the collection without an archive's suffix.
    pub other_endings: u64,
    /// Whether nothing is staged.
    pub dry_run: bool,
    /// Archives read at a time.
    pub jobs: u64,
    /// Version of imgsieve.
    pub version: Option<String>,
    /// The settings that verdicts depend on.
    #[serde(deserialize_with = "form::lenient")]
    pub rules: Option<Rules>,
    /// Free space in staging, in bytes.
    pub available_bytes: Option<u64>,
    /// The minimum that has to stay free, in bytes.
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
    /// Minimum archive size in bytes: archives have to be larger.
    pub min_archive_bytes: Option<u64>,
    /// The options that a command has to be given to survey as the run did, `--dry-run` and `--resume` aside.
    #[serde(deserialize_with = "form::optional_list", skip_serializing_if = "Option::is_none")]
    pub options: Option<Vec<String>>,
    /// The same exactly, in base64, where they are not UTF-8.
    #[serde(deserialize_with = "form::optional_list", skip_serializing_if = "Option::is_none")]
    pub options_bytes: Option<Vec<String>>,
    /// Whether the run began in an earlier log, which was rotated, and goes on in this one.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub continued: bool,
    /// The part of the collection that is surveyed, `K/N`; absent if it is all of it.
    #[serde(deserialize_with = "form::lenient", skip_serializing_if = "Option::is_none")]
    pub shard: Option<Shard>,
    /// Archives that belong to this part by their names, whatever their size.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard_archives: Option<u64>,
    /// Archives of the whole collection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listed_archives: Option<u64>,
}

impl ScriptStart {
    /// The part of the collection that is surveyed, if it is not all of it.
    #[must_use]
    pub fn part(&self) -> Option<Part> {
        let (archives, of_archives) = (self.shard_archives.unwrap_or(0), self.listed_archives.unwrap_or(0));
        self.shard.map(|shard| Part { shard, archives, of_archives })
    }

    /// The options, exactly; none where they are not known.
    #[must_use]
    pub fn exact_options(&self) -> Option<Vec<Vec<u8>>> {
        match &self.options_bytes {
            Some(words) => words.iter().map(|word| sanitize::from_base64(word)).collect(),
            None => Some(self.options.as_ref()?.iter().map(|word| word.clone().into_bytes()).collect()),
        }
    }
}

/// The settings that the verdicts on an archive depend on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// Minimum image size in bytes: images have to be larger.
    pub min_image_size: u64,
    /// Images with this many partitions or more are kept.
    pub min_partitions: u32,
    /// How an image's name ends.
    pub image_suffix: String,
    /// Whether undecided images are kept too.
    pub keep_undecided: bool,
    /// Whether file systems are named even if that means decoding again.
    pub fs: bool,
    /// Whether only the beginning of each archive is looked at.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quick: bool,
}

impl Rules {
    /// Whether verdicts by these rules are also verdicts by `wanted`.
    #[must_use]
    pub fn serve(&self, wanted: &Rules) -> bool {
        let (fs, quick) = (self.fs && wanted.fs, self.quick || wanted.quick);
        Rules { fs, quick, ..self.clone() } == *wanted
    }
}

/// `left_out`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeftOut {
    /// The rule: `skip_list`, `too_small`, `not_selected`, `other_ending`, `folder` (not entered), or `not_begun`, of archives
    /// that an interrupted run did not come to.
    pub rule: String,
    /// How many it leaves out in all.
    pub count: u64,
    /// Their bytes.
    pub size_bytes: u64,
    /// Some of them. Of one rule, 10,000 are named.
    #[serde(deserialize_with = "form::list")]
    pub files: Vec<LeftOutFile>,
}

/// A file, or a folder, that is not surveyed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LeftOutFile {
    /// Its path.
    #[serde(flatten, with = "name::archive")]
    pub archive: Name,
    /// Its length in bytes; null of a folder.
    pub size_bytes: Option<u64>,
    /// Why it is on the skip list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
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
    /// The run that completed it; that run's lines have the details.
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
    /// When its inode was last changed, as `mtime`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ctime: Option<String>,
    /// The number of its inode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// The `ETag` of an object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The version of an object, where its bucket keeps several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
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
    /// The member's path, if it is more than the name.
    #[serde(flatten, with = "name::member::optional")]
    pub member: Option<Name>,
    /// Which image of this name in the archive it is: 2 for the second; absent for the first.
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
    /// How many partitions it has; null if that is undecided.
    pub partitions: Option<u64>,
    /// What is done with it: `KEPT`, `would_keep`, `deferred`, `deleted` (not kept), `undecided` (`--quick`) or `error`.
    #[serde(default)]
    pub action: String,
    /// Its path in staging, if it was kept.
    #[serde(flatten, with = "name::path::optional")]
    pub path: Option<Name>,
    /// Whether the frames of a kept image were decoded to their end and such checksums as they have held; null if an
    /// earlier run wrote it.
    #[serde(default, deserialize_with = "form::present", skip_serializing_if = "Option::is_none")]
    pub verified: Option<Option<bool>>,
    /// Whether an earlier run wrote it; of one that would be kept, only if so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub existing: Option<bool>,
    /// Space that it takes on disk, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocated_bytes: Option<u64>,
    /// Most space that it would take on disk, in bytes, if it would be kept; 0 if an earlier run wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most_bytes: Option<u64>,
    /// Why it is not kept; of a kept image, what is wrong with it.
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
    /// How much of the medium was rescued, in percent, if there is a rescue map.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rescued_pct: Option<f64>,
    /// Areas of the medium that were never read: start and length in bytes, approximate.
    #[serde(default, deserialize_with = "form::optional_list", skip_serializing_if = "Option::is_none")]
    pub unread_areas: Option<Vec<(u64, u64)>>,
    /// The partition table.
    #[serde(default, deserialize_with = "form::lenient", skip_serializing_if = "Option::is_none")]
    pub table: Option<Table>,
    /// All its partitions, including those that do not count.
    #[serde(default, deserialize_with = "form::optional_list", skip_serializing_if = "Option::is_none")]
    pub partition_list: Option<Vec<Partition>>,
}

impl PartitionCheck {
    /// Which image of its name in the archive it is, from 1.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.image.ordinal.unwrap_or(1)
    }

    /// Its real size in bytes; 0 if it is not known.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size_bytes.unwrap_or(0)
    }

    /// Space that it takes, or at most would take, in bytes.
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
    /// Its kind: `dos`, `gpt`, ...; null if there is none.
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
    /// The format around the disk, if the image has a header before it or a footer after it: `a VHD of fixed size`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// What is on the whole disk, if it has no table.
    #[serde(flatten)]
    pub whole_disk: Option<FileSystem>,
    /// False if it was not read to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
}

/// Something wrong with a table.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Damage {
    /// What is wrong, in one word.
    pub code: String,
    /// The same in a sentence.
    pub message: String,
}

/// What is on a whole disk.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FileSystem {
    /// The file system, or whatever else was recognised.
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
    /// Its number, as Linux counts partitions.
    pub number: u32,
    /// Where it starts, in bytes.
    pub start_bytes: u64,
    /// Its length in bytes.
    pub size_bytes: u64,
    /// Its type; null if the table does not say.
    #[serde(rename = "type")]
    pub type_id: Option<String>,
    /// Its name in the table.
    pub name: Option<String>,
    /// `primary`, `logical`, `nested`: these count; `extended`, `container`, `meta`: these do not.
    pub kind: String,
    /// The file system in it, if known.
    pub fs: Option<String>,
    /// The file system's label.
    pub fs_label: Option<String>,
    /// The file system's UUID.
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
    /// Why, in one word.
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
    /// Files that imgsieve removed from staging.
    #[serde(default)]
    pub removed_files: u64,
    /// Its images in staging.
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
    /// Images found; absent in a line of the script that imgsieve replaces.
    pub imgs: Option<u64>,
    /// Its compressed bytes.
    pub compressed_bytes: Option<u64>,
    /// What was done.
    #[serde(flatten)]
    pub totals: Totals,
    /// Members that could be images and were not looked at, by rule.
    #[serde(default, deserialize_with = "form::list", skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<MembersLeftOut>,
}

/// Members of an archive that could be images and were not looked at, by one rule.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MembersLeftOut {
    /// The rule: `too_small`, of what is named like an image; `other_ending`, of other files that are larger than images have
    /// to be; `not_a_file`; `same_content`, of links to images; `link_target`, of links that lead nowhere; `behind_end`,
    /// of data behind the end of the tar.
    pub rule: String,
    /// How many.
    pub count: u64,
    /// The path of the largest.
    #[serde(flatten, with = "name::member::optional")]
    pub member: Option<Name>,
    /// Its size in bytes.
    pub size_bytes: u64,
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
    /// Files that imgsieve removed from staging.
    pub removed_files: u64,
    /// Members of the tar, of any kind.
    pub members: u64,
    /// Bytes of the tar.
    pub content_bytes: u64,
    /// Bytes decoded by libzstd, counted each time.
    pub decoded_bytes: u64,
    /// Bytes of the tar that were never decoded.
    pub passed_over_bytes: u64,
    /// Bytes passed over block by block, counted each time.
    pub sized_bytes: u64,
    /// Bytes passed over in whole frames, counted each time.
    pub jumped_bytes: u64,
    /// Those passed over by the headers of blocks that were presumed to be full, and then proven to be.
    pub presumed_bytes: u64,
    /// Times that blocks were presumed to be full, and that could not be proven.
    pub refuted: u64,
    /// Bytes found by following matches.
    pub traced_bytes: u64,
    /// Times that libzstd had to decode after all.
    pub fallbacks: u64,
    /// Compressed bytes read, counted each time; from object storage, those that came.
    pub requested_bytes: u64,
    /// Requests made of object storage, those among them that were made again.
    #[serde(skip_serializing_if = "form::is_zero")]
    pub requests: u64,
    /// Frames decoded to their end.
    #[serde(rename = "decoded_frames")]
    pub frames: u64,
    /// Those of them with a checksum that held.
    pub checksummed_frames: u64,
    /// Times that a frame was restarted.
    pub rewinds: u64,
    /// How it was read: `auto`, `skip` or `decode`.
    #[serde(with = "form::engine")]
    pub engine: Engine,
    /// Whether everything was decoded and every checksum held.
    pub verified: bool,
    /// False if only the beginning of an archive was looked at: `--quick`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub complete: Option<bool>,
    /// Wall time spent on it, in seconds; of a run, the sum over its archives, as `worker_seconds`.
    #[serde(serialize_with = "form::milliseconds")]
    pub seconds: f64,
}

impl Totals {
    /// Whether these are of an archive that was read to its end and has no image. The script that this program replaces
    /// counted neither images nor bytes of the tar.
    #[must_use]
    pub fn is_without_image(&self) -> bool {
        self.images == 0 && self.content_bytes > 0 && self.is_complete()
    }

    /// Whether the archives were read to their ends.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.complete != Some(false)
    }

    /// Adds those of another archive. The sum is verified if both are, and complete.
    pub fn add(&mut self, other: &Totals) {
        self.verified &= other.verified;
        self.complete = self.complete.into_iter().chain(other.complete).min();
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
            (&mut self.requests, other.requests),
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
    /// The path, if it is about a file that is not an archive of the run.
    #[serde(flatten, with = "name::archive::optional")]
    pub archive: Option<Name>,
    /// The archive.
    #[serde(flatten, with = "name::hash::optional")]
    pub hash: Option<Name>,
    /// The image.
    #[serde(flatten, with = "name::img::optional")]
    pub img: Option<Name>,
    /// The member's path, if it is more than the name.
    #[serde(flatten, with = "name::member::optional")]
    pub member: Option<Name>,
    /// Which image of this name in the archive it is: 2 for the second; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// Where the image is in staging.
    #[serde(flatten, with = "name::path::optional")]
    pub path: Option<Name>,
    /// The length of the staged image in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The reason, in one word.
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
    /// Members that could be images and were not looked at, by rule.
    #[serde(default, deserialize_with = "form::list", skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<MembersLeftOut>,
}

/// `low_space`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LowSpace {
    /// Free space in staging, in bytes.
    pub available_bytes: Option<u64>,
    /// The minimum that has to stay free, in bytes.
    pub minimum_bytes: Option<u64>,
    /// Free space in percent.
    #[serde(deserialize_with = "form::lenient", default)]
    pub disk_free_pct: Option<u64>,
}

/// `abort`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Abort {
    /// Why, in one word.
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
    /// Archives read to their end, or to the error that ended them.
    pub archives_checked: u64,
    /// Those of them that ended in an error.
    pub archives_failed: u64,
    /// Those of them that an earlier run completed.
    pub archives_resumed: u64,
    /// Archives read to their end that have no image.
    pub archives_without_image: u64,
    /// Images found.
    pub imgs: u64,
    /// Images that would be kept, in a dry run.
    pub would_keep: u64,
    /// Images for which there was no room.
    pub deferred: u64,
    /// Images that the beginning of their archives does not decide on: `--quick`.
    pub undecided: u64,
    /// Images that could not be decided on, or could not be kept.
    pub image_errors: u64,
    /// Errors of every scope.
    pub errors: u64,
    /// Warnings of every scope.
    pub warnings: u64,
    /// Compressed bytes of the archives checked.
    pub compressed_bytes: u64,
    /// What was done, in total.
    #[serde(flatten)]
    pub totals: Totals,
    /// Wall time of the run, in seconds. Summaries (`scan --json`) have it as `seconds`, too.
    #[serde(serialize_with = "form::optional_milliseconds", skip_serializing_if = "Option::is_none")]
    pub wall_seconds: Option<f64>,
    /// Wall time spent on its archives, in seconds, summed over them: that of all workers.
    #[serde(serialize_with = "form::optional_milliseconds", skip_serializing_if = "Option::is_none")]
    pub worker_seconds: Option<f64>,
}

/// Which image in staging.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct StagedId {
    /// The archive that it came from.
    #[serde(flatten, with = "name::hash::optional")]
    pub hash: Option<Name>,
    /// Its name in the archive.
    #[serde(flatten, with = "name::img::optional")]
    pub img: Option<Name>,
    /// Which image of this name in the archive it is: 2 for the second; absent for the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordinal: Option<u32>,
    /// Its path.
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
    /// The exact bytes in base64, if it is not UTF-8.
    #[serde(default, deserialize_with = "form::optional_list", skip_serializing_if = "Option::is_none")]
    pub command_bytes: Option<Vec<String>>,
}

/// `reprocess_complete`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ReprocessComplete {
    /// The image.
    #[serde(flatten)]
    pub image: StagedId,
    /// The command's exit status.
    pub exit_status: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// Why there is neither.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Told>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Wall time in seconds.
    #[serde(default, serialize_with = "form::milliseconds")]
    pub seconds: f64,
    /// The file with the command's output.
    #[serde(flatten, with = "name::output::optional")]
    pub output: Option<Name>,
    /// The number of the image's inode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inode: Option<u64>,
    /// When the image was last changed: seconds since 1970 and nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtime: Option<String>,
}

/// `removed`.
pub type Removed = StagedId;

/// `archive_verified`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ArchiveVerified {
    /// The archive.
    #[serde(flatten, with = "name::hash")]
    pub hash: Name,
    /// Its path.
    #[serde(flatten, with = "name::archive::optional")]
    pub archive: Option<Name>,
    /// Its compressed bytes.
    pub size_bytes: Option<u64>,
    /// When it was last changed: seconds since 1970 and nanoseconds. What was found holds as long as this and its size do.
    pub mtime: Option<String>,
    /// `verified`: every frame has a checksum, and all hold; `no_checksum`: it decodes to its end, and a frame has none;
    /// `failed`.
    #[serde(default)]
    pub outcome: String,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Told>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Frames decoded to their end.
    #[serde(default)]
    pub frames: u64,
    /// Those of them with a checksum, which held.
    #[serde(default)]
    pub checksummed_frames: u64,
    /// Bytes of the tar that were decoded.
    #[serde(default)]
    pub content_bytes: u64,
    /// Wall time that it took, in seconds.
    #[serde(default, serialize_with = "form::milliseconds")]
    pub seconds: f64,
}
