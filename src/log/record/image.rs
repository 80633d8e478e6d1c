//! Lines about an image in an archive.

use serde::{Deserialize, Serialize};

use crate::reason::Told;

use super::super::form;
use super::super::name::{self, Name};

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
