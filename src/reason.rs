//! Why something is not as it should be, in one word: the log's `reason`, and `inspect --json`'s.
//!
//! The words are part of the log's format: some may be added, none is ever renamed. The table below is the one place that
//! has them; the manual page of the log is made of it.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident = $word:literal,)+) => {
        /// Why something is not as it should be, in one word.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Reason {
            $($(#[doc = $doc])+ #[serde(rename = $word)] $variant,)+
        }

        impl Reason {
    /// Whether surveying the archive again may end otherwise, with nothing changed about it: it is not empty, cut, or no
    /// tar in Zstandard.
    #[must_use]
    pub fn may_pass(self) -> bool {
        !matches!(
            self,
            Reason::Empty
                | Reason::NotZstd
                | Reason::Truncated
                | Reason::Corrupt
                | Reason::Checksum
                | Reason::TrailingGarbage
                | Reason::Reference
                | Reason::Dictionary
                | Reason::WindowTooLarge
                | Reason::NotTar
                | Reason::TarTruncated
                | Reason::TarHeaderChecksum
                | Reason::TarNumber
                | Reason::TarSizeOverflow
                | Reason::TarExtensionTooLarge
                | Reason::TarPaxRecord
                | Reason::TarSparseMap
                | Reason::TarLoneExtension
                | Reason::TooManyImages
        )
    }

            /// All of them, each with what it means.
            pub const ALL: &'static [(Reason, &'static str)] = &[$((Reason::$variant, concat!($($doc),+)),)+];

            /// The word.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Reason::$variant => $word,)+
                }
            }
        }
    };
}

reasons! {
    // An image that is not kept.
    /// One partition: the image was processed correctly the first time.
    SinglePartition = "single_partition",
    /// No partitions.
    NoPartitions = "no_partitions",
    /// Fewer partitions than `--min-partitions`.
    TooFewPartitions = "too_few_partitions",

    // An image that cannot be decided on.
    /// Neither copy of the GPT is valid.
    GptDamaged = "gpt_damaged",
    /// The EBR chain is broken before two partitions are certain.
    EbrChainBroken = "ebr_chain_broken",
    /// The partition list of an Amiga, Atari or Acorn table is broken.
    ListBroken = "list_broken",
    /// An AIX, `SysV68` or DASD label has lost its entries.
    EntriesLost = "entries_lost",
    /// The database of a dynamic disk is damaged.
    LdmDamaged = "ldm_damaged",
    /// It is a container, not an image: compressed, split or encoded, for another program to open.
    Container = "container",
    /// The verdict rests on a sector that was never read, according to the rescue map.
    Unread = "unread",
    /// No verdict could be reached.
    Undecidable = "undecidable",

    // An image that cannot be kept.
    /// Its name cannot be a file name; of a staged image: its name is not a medium's identity.
    Name = "name",
    /// Something else has its place in staging.
    InTheWay = "in_the_way",
    /// It is larger than `--max-image-size`.
    MaxImageSize = "max_image_size",
    /// The file system of staging failed.
    StagingIo = "staging_io",
    /// Something in staging should be a folder, and is not.
    NotAFolder = "not_a_folder",
    /// The length written is not the length of the image.
    Length = "length",
    /// Staging has no room for it now.
    NoSpace = "no_space",
    /// Free space is below the minimum.
    LowSpace = "low_space",
    /// Staging could never hold it.
    TooLarge = "too_large",

    // An archive, as zstd.
    /// It does not begin with a zstd frame.
    NotZstd = "not_zstd",
    /// It is an empty file.
    Empty = "empty",
    /// It is cut short.
    Truncated = "truncated",
    /// The data ends before the bytes that were asked for.
    EndOfData = "end_of_data",
    /// A frame fails its checksum.
    Checksum = "checksum",
    /// It is corrupt.
    Corrupt = "corrupt",
    /// Data that is not zstd follows the last frame.
    TrailingGarbage = "trailing_garbage",
    /// A frame refers to bytes before its start: it may need a reference file (`--patch-from`).
    Reference = "reference",
    /// A window is larger than `--max-window`.
    WindowTooLarge = "window_too_large",
    /// There is not enough memory.
    Memory = "memory",
    /// A frame needs a dictionary.
    Dictionary = "dictionary",
    /// It changed while it was being read; of a staged image: it is not a regular file, or its length is different.
    Changed = "changed",
    /// It cannot be read.
    Io = "io",
    /// It is not a regular file.
    NotAFile = "not_a_file",
    /// A frame had to be restarted too often.
    TooManyRewinds = "too_many_rewinds",
    /// Decoding it would cost too much.
    Dear = "dear",
    /// Only the beginning of the archive was looked at, which does not decide: `--quick`.
    NotLookedAt = "not_looked_at",
    /// The run was stopped.
    Interrupted = "interrupted",

    // An archive, as tar.
    /// It is not a tar archive.
    NotTar = "not_tar",
    /// The tar ends within a member.
    TarTruncated = "tar_truncated",
    /// A header fails its checksum.
    TarHeaderChecksum = "tar_header_checksum",
    /// A number in a header is not valid.
    TarNumber = "tar_number",
    /// Sizes exceed 64 bits.
    TarSizeOverflow = "tar_size_overflow",
    /// An extended header is too large.
    TarExtensionTooLarge = "tar_extension_too_large",
    /// A PAX record cannot be read.
    TarPaxRecord = "tar_pax_record",
    /// A sparse map cannot be read.
    TarSparseMap = "tar_sparse_map",
    /// An extended header has no member after it.
    TarLoneExtension = "tar_lone_extension",
    /// The tar cannot be read.
    TarIo = "tar_io",
    /// An archive has too many images.
    TooManyImages = "too_many_images",
    /// A bug in imgsieve.
    Panic = "panic",

    // An image in staging.
    /// It is gone, and the log does not say that it was reprocessed.
    Gone = "gone",
    /// Another run is using it.
    Locked = "locked",
    /// `--max-staged` allows no more, or, as an error, not the whole image.
    MaxStaged = "max_staged",
    /// The command's output file cannot be used.
    Output = "output",
    /// The command cannot be run.
    Command = "command",
    /// Its path in the log is outside the staging folder.
    Elsewhere = "elsewhere",
    /// Its path cannot be printed.
    Kept = "kept",

    // A file that is not surveyed.
    /// Its name cannot be a folder's name in staging.
    Hash = "hash",
    /// Another archive has the same hash.
    HashTaken = "hash_taken",
    /// Its name is not that of an archive.
    NotAnArchive = "not_an_archive",
    /// It is neither an archive nor an image.
    NotAnImage = "not_an_image",

    // A run.
    /// The clock is set before 1970, or after 9999.
    Clock = "clock",
    /// A program is running that has to end first.
    ProcessRunning = "process_running",
    /// A folder exists that has to be gone first.
    NotCleared = "not_cleared",
    /// The collection cannot be read.
    Collection = "collection",
    /// The staging folder is the collection.
    StagingIsCollection = "staging_is_collection",
    /// Less than the minimum is free at the start.
    MinFree = "min_free",
    /// `--only` names a hash that the collection does not have.
    Only = "only",
    /// The skip list names a hash that the collection does not have.
    Skip = "skip",
    /// The log cannot be read, written or synced.
    Log = "log",
    /// The log of the earlier runs cannot be read.
    Resume = "resume",
    /// Workers cannot be started.
    Threads = "threads",
    /// Signals cannot be caught.
    Signals = "signals",
    /// Standard output cannot be written.
    Stdout = "stdout",
    /// A report cannot be written.
    Report = "report",
    /// The log has no such run.
    Run = "run",
    /// A page of the manual cannot be written.
    Manual = "manual",
    /// Wrong usage.
    Usage = "usage",

    // A warning.
    /// More than one image in an archive.
    SeveralImages = "several_images",
    /// An image has its full length, but its frame was not decoded to its end without error.
    NotVerified = "not_verified",
    /// A rescue map cannot be used.
    RescueMap = "rescue_map",
    /// An archive without an image.
    NoImage = "no_image",
    /// A hard link whose target is not in the archive before it.
    LinkTarget = "link_target",
    /// A hard link to an image that was already examined.
    SameContent = "same_content",
    /// Zeros after the last frame of an archive.
    TrailingZeros = "trailing_zeros",
    /// A PAX size that contradicts the header's.
    TarPaxSize = "tar_pax_size",
    /// The tar has no end marker.
    TarMissingEndMarker = "tar_missing_end_marker",
    /// A single zero block within the tar.
    TarLoneZeroBlock = "tar_lone_zero_block",
    /// Data after the end of the tar.
    TarDataAfterEnd = "tar_data_after_end",
    /// Another tar after the end of the tar.
    TarArchiveAfterEnd = "tar_archive_after_end",
    /// Reading of the tar continued after damage.
    TarResumed = "tar_resumed",
    /// Further warnings about an archive are only counted.
    MoreWarnings = "more_warnings",
    /// An archive reached its limit in the log: lines are shortened, warnings left out.
    LogLimit = "log_limit",
    /// Partial files of an archive that is not in the run were removed.
    Swept = "swept",
    /// A precondition was overridden with `--force`.
    Forced = "forced",
    /// The run is waiting for a program to end.
    Waiting = "waiting",
    /// Locks on staging are those of one machine: runs on others are not seen.
    LocalLocks = "local_locks",
    /// Processes of other users are hidden.
    ProcHidden = "proc_hidden",
    /// Lines of the log cannot be read.
    LogUnreadable = "log_unreadable",
    /// The log has no earlier run.
    NothingToResume = "nothing_to_resume",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reason read back; another version's may be unknown, and is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Told {
    /// One of ours.
    Known(Reason),
    /// Another version's word.
    Other(String),
}

impl Told {
    /// The word.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Told::Known(reason) => reason.as_str(),
            Told::Other(word) => word,
        }
    }
}

impl From<Reason> for Told {
    fn from(reason: Reason) -> Told {
        Told::Known(reason)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_word_is_the_reasons_name_and_is_read_back() {
        for &(reason, doc) in Reason::ALL {
            let name: String = format!("{reason:?}")
                .chars()
                .flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
                .collect();
            assert_eq!(reason.as_str(), name.trim_start_matches('_'));
            let word = format!("\"{reason}\"");
            assert_eq!(serde_json::from_str::<Told>(&word).expect("a word"), Told::Known(reason));
            assert_eq!(serde_json::to_string(&reason).expect("JSON"), word);
            assert!(doc.ends_with('.') && doc.len() > 10, "{reason}: {doc}");
        }
        let words: BTreeSet<&str> = Reason::ALL.iter().map(|(reason, _)| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn a_word_of_another_version_is_kept() {
        let told: Told = serde_json::from_str("\"tea_time\"").expect("a word");
        assert_eq!((told.as_str(), serde_json::to_string(&told).expect("JSON").as_str()), ("tea_time", "\"tea_time\""));
    }
}
