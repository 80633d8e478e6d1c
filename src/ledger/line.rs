//! One line of a log, in the words of [`journal`](crate::journal), which writes them.

use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::value::RawValue;

use crate::config::Rules;
use crate::event::ArchiveTotals;
use crate::zst::Engine;

use super::Name;

/// The fields that are read of a line, of whatever stage. What a stage does not have is none.
#[derive(Debug, serde::Deserialize)]
pub struct Line<'a> {
    /// Bytes of the line.
    #[serde(skip)]
    pub length: usize,
    /// When it was written.
    #[serde(borrow)]
    pub ts: Option<Text<'a>>,
    /// What happened.
    #[serde(borrow)]
    pub stage: Text<'a>,
    /// The run that wrote it; none in a log of the script that imgsieve replaces.
    #[serde(borrow)]
    pub run: Option<Text<'a>>,
    /// The archive.
    #[serde(borrow)]
    pub hash: Option<Text<'a>>,
    #[serde(borrow)]
    hash_bytes: Option<Text<'a>>,
    /// The image.
    #[serde(borrow)]
    pub img: Option<Text<'a>>,
    #[serde(borrow)]
    img_bytes: Option<Text<'a>>,
    /// Which image of its name in the archive it is, where it is not the first.
    pub ordinal: Option<u32>,
    /// Where the archive is.
    #[serde(borrow)]
    pub archive: Option<Text<'a>>,
    #[serde(borrow)]
    archive_bytes: Option<Text<'a>>,
    /// Where the image is in staging.
    #[serde(borrow)]
    pub path: Option<Text<'a>>,
    #[serde(borrow)]
    path_bytes: Option<Text<'a>>,
    /// Bytes of the archive, or of the image.
    pub size_bytes: Option<u64>,
    /// When the archive was last changed.
    #[serde(borrow)]
    pub mtime: Option<Text<'a>>,
    /// Place of the archive in the order of its run.
    pub rank: Option<u64>,
    /// Which worker read the archive.
    pub worker: Option<u32>,
    /// Partitions of the image.
    pub partitions: Option<u64>,
    /// What was done with the image.
    #[serde(borrow)]
    pub action: Option<Text<'a>>,
    /// Why, in a word.
    #[serde(borrow)]
    pub reason: Option<Text<'a>>,
    /// Why, in a sentence.
    #[serde(borrow)]
    pub message: Option<Text<'a>>,
    /// What was found in the image, in a sentence.
    #[serde(borrow)]
    pub found: Option<Text<'a>>,
    /// What an error or a warning is about.
    #[serde(borrow)]
    pub scope: Option<Text<'a>>,
    /// The partition table, but for the partitions.
    #[serde(borrow)]
    pub table: Option<&'a RawValue>,
    /// The partitions.
    #[serde(borrow)]
    pub partition_list: Option<&'a RawValue>,
    /// How much of the medium was rescued.
    pub rescued_pct: Option<f64>,
    /// Where the medium was not read: start and length in bytes.
    pub unread_areas: Option<Vec<(u64, u64)>>,
    /// Whether all that was read was decoded and held.
    pub verified: Option<bool>,
    /// Whether an earlier run had staged the image.
    pub existing: Option<bool>,
    /// Room that the image takes.
    pub allocated_bytes: Option<u64>,
    /// Room that it would take at most.
    pub at_most_bytes: Option<u64>,
    /// Room where staging lies.
    pub available_bytes: Option<u64>,
    /// What has to stay free there.
    pub minimum_bytes: Option<u64>,
    /// Wall time.
    pub seconds: Option<f64>,
    /// Version of imgsieve.
    #[serde(borrow)]
    pub version: Option<Text<'a>>,
    /// What the run's answers depend on.
    #[serde(borrow)]
    rules: Option<&'a RawValue>,
    /// Whether nothing was to be staged.
    pub dry_run: Option<bool>,
    /// Archives read at a time.
    pub jobs: Option<u64>,
    /// Archives that were chosen.
    pub total_archives: Option<u64>,
    /// Their bytes.
    pub total_bytes: Option<u64>,
    /// The signal that ended the run, or the command.
    #[serde(borrow)]
    pub signal: Option<Text<'a>>,
    /// What the command exited with.
    pub exit_status: Option<i32>,
    /// The run whose answers stand for an archive that was not read again.
    #[serde(borrow)]
    pub by_run: Option<Text<'a>>,
    /// How the archive was read.
    #[serde(borrow)]
    pub engine: Option<Text<'a>>,
    /// Images found in the archive.
    pub imgs: Option<u64>,
    /// Those with partitions enough.
    pub multipart_imgs: Option<u64>,
    /// Those in staging.
    pub kept_imgs: Option<u64>,
    /// Bytes written to staging.
    pub bytes_written: Option<u64>,
    /// Files of ours that were removed from staging.
    pub removed_files: Option<u64>,
    /// Members of the tar.
    pub members: Option<u64>,
    /// Bytes of the tar.
    pub content_bytes: Option<u64>,
    /// Bytes that libzstd decoded.
    pub decoded_bytes: Option<u64>,
    /// Bytes that were never decoded.
    pub passed_over_bytes: Option<u64>,
    /// Those passed over by the sizes of their blocks.
    pub sized_bytes: Option<u64>,
    /// Those passed over as whole frames.
    pub jumped_bytes: Option<u64>,
    /// Bytes found by following matches.
    pub traced_bytes: Option<u64>,
    /// Times that something other than libzstd was given up.
    pub fallbacks: Option<u64>,
    /// Compressed bytes that were read.
    pub requested_bytes: Option<u64>,
    /// Frames decoded to their end.
    pub decoded_frames: Option<u64>,
    /// Those of them with a checksum.
    pub checksummed_frames: Option<u64>,
    /// Times a frame was begun anew.
    pub rewinds: Option<u64>,
}

/// Text of a line, borrowed from it where nothing in it is escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl Text<'_> {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text<'a>, D::Error> {
        struct Either;

        impl<'de> Visitor<'de> for Either {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Either)
    }
}

impl Line<'_> {
    /// When it was written.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(self.ts.as_ref()?.as_str()).ok()
    }

    /// The archive's hash.
    #[must_use]
    pub fn hash(&self) -> Option<Name> {
        Name::of(self.hash.as_ref(), self.hash_bytes.as_ref())
    }

    /// The image's file name.
    #[must_use]
    pub fn image(&self) -> Option<Name> {
        Name::of(self.img.as_ref(), self.img_bytes.as_ref())
    }

    /// Where the archive is.
    #[must_use]
    pub fn archive(&self) -> Option<Name> {
        Name::of(self.archive.as_ref(), self.archive_bytes.as_ref())
    }

    /// Where the image is in staging.
    #[must_use]
    pub fn path(&self) -> Option<Name> {
        Name::of(self.path.as_ref(), self.path_bytes.as_ref())
    }

    /// Which image of its name in the archive it is, from 1.
    #[must_use]
    pub fn ordinal(&self) -> u32 {
        self.ordinal.unwrap_or(1)
    }

    /// What the run's answers depend on; none where a rule is missing, as another version may write it.
    #[must_use]
    pub fn rules(&self) -> Option<Rules> {
        serde_json::from_str(self.rules?.get()).ok()
    }

    /// The run that wrote it; empty in a log of the script that imgsieve replaces.
    #[must_use]
    pub fn run(&self) -> &str {
        self.run.as_ref().map_or("", Text::as_str)
    }

    /// What an `archive_complete` says of its archive.
    #[must_use]
    pub fn totals(&self) -> ArchiveTotals {
        let number = |number: Option<u64>| number.unwrap_or(0);
        let engine = self.engine.as_ref().map(Text::as_str);
        let engines = [Engine::Auto, Engine::Skip, Engine::Decode];
        ArchiveTotals {
            engine: engines.into_iter().find(|known| Some(known.as_str()) == engine).unwrap_or_default(),
            images: number(self.imgs),
            multi: number(self.multipart_imgs),
            kept: number(self.kept_imgs),
            bytes_written: number(self.bytes_written),
            removed_files: number(self.removed_files),
            members: number(self.members),
            content_bytes: number(self.content_bytes),
            decoded_bytes: number(self.decoded_bytes),
            passed_over_bytes: number(self.passed_over_bytes),
            sized_bytes: number(self.sized_bytes),
            jumped_bytes: number(self.jumped_bytes),
            traced_bytes: number(self.traced_bytes),
            fallbacks: number(self.fallbacks),
            requested_bytes: number(self.requested_bytes),
            frames: number(self.decoded_frames),
            checksummed_frames: number(self.checksummed_frames),
            rewinds: number(self.rewinds),
            verified: self.verified.unwrap_or(false),
            seconds: self.seconds.filter(|seconds| seconds.is_finite() && *seconds >= 0.0).unwrap_or(0.0),
        }
    }
}
