//! Lines about a run, and what it says of anything.

use serde::{Deserialize, Serialize};

use crate::reason::Told;
use crate::sanitize;
use crate::shard::{Part, Shard};

use super::super::form;
use super::super::name::{self, Name};
use super::{MembersLeftOut, Totals};

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
