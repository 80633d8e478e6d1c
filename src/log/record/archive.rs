//! Lines about an archive.

use serde::{Deserialize, Serialize};

use crate::reason::Told;
use crate::zst::Engine;

use super::super::form;
use super::super::name::{self, Name};

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
    /// When it was last changed: seconds since 1970 and nanoseconds; null of an object whose store does not tell.
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
