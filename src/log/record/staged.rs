//! Lines about an image in staging.

use serde::{Deserialize, Serialize};

use crate::reason::Told;

use super::super::form;
use super::super::name::{self, Name};

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
