//! What happens in a run, in types shared by the code that does it and the code that reports it.
//!
//! The core reports, observers listen: the log, the terminal and the summary each see every [`Event`] and know nothing
//! of each other.

mod left_out;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::cause::Cause;
use crate::finding::Finding;
use crate::images::{MemberRule, MembersLeftOut};
use crate::object;
use crate::rescue::Known;
use crate::shard::Part;
use crate::staging::Space;
use crate::zst::Meter;

pub use self::left_out::{LeftOut, LeftOutBy, Rule, Unsurveyed};
use crate::log::record::ArchiveStart;
pub use crate::log::record::{Rules, ScriptComplete, Totals as ArchiveTotals};

/// An archive that was selected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// File name without its ending, `.tar.zst` as a rule; the name of its folder in staging.
    pub hash: OsString,
    /// Where it is.
    pub path: PathBuf,
    /// Compressed bytes.
    pub size: u64,
    /// When it was last changed, as `stat --format %.9Y` prints it: seconds since 1970 and nanoseconds. Some stores do not
    /// tell it of an object.
    pub mtime: Option<String>,
    /// What else tells it from another of its name.
    pub mark: Mark,
    /// Place in the order of sizes, from 1.
    pub rank: usize,
}

/// What tells an archive from another one of its name, size and time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// Of a file.
    Inode {
        /// When its inode was last changed, in the form of [`Archive::mtime`]: no copying sets that back.
        ctime: String,
        /// Its number.
        inode: u64,
    },
    /// Of an object.
    Tag {
        /// Its `ETag`.
        etag: Option<String>,
        /// Its version.
        version: Option<String>,
    },
}

impl Archive {
    /// Compressed bytes of all of these: what a store tells of lengths may add up to any number.
    pub fn total_bytes<'a>(archives: impl IntoIterator<Item = &'a Archive>) -> u64 {
        archives.into_iter().fold(0, |total, archive| total.saturating_add(archive.size))
    }

    /// Whether a run began it as the very file or object that it is now.
    #[must_use]
    pub fn is_identical(&self, start: &ArchiveStart) -> bool {
        let is_marked = match &self.mark {
            Mark::Inode { ctime, inode } => start.ctime.as_ref() == Some(ctime) && start.inode == Some(*inode),
            Mark::Tag { etag, version } => etag.is_some() && (&start.etag, &start.version) == (etag, version),
        };
        self.is_same(start) && is_marked
    }

    /// What the collection was told of it, if it is an object.
    #[must_use]
    pub fn listed(&self) -> Option<object::Identity> {
        let Mark::Tag { etag, version } = &self.mark else { return None };
        let (etag, version) = (etag.clone(), version.clone());
        Some(object::Identity { length: self.size, modified: self.mtime.clone(), etag, version })
    }

    /// Whether a run began it in this size, written at this time.
    #[must_use]
    pub fn is_same(&self, start: &ArchiveStart) -> bool {
        let is_retagged = match &self.mark {
            // Two objects may be written within one second, which is all that some stores tell.
            Mark::Tag { etag: Some(etag), .. } => start.etag.as_ref().map_or(self.mtime.is_none(), |told| told != etag),
            _ => false,
        };
        start.size_bytes == Some(self.size) && start.mtime == self.mtime && !is_retagged
    }
}

/// Longest name that is kept whole, in bytes; no path can be longer. A tar may give each of its members a name of a
/// mebibyte, and what is remembered and logged of an archive has to be bounded.
pub const NAME_LIMIT: usize = 16 << 10;

/// An image in an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Last component of the member's path: untrusted bytes.
    pub name: Vec<u8>,
    /// The member's path: untrusted bytes.
    pub member: Vec<u8>,
    /// Real size in bytes.
    pub size: u64,
    /// Which image of this name in the archive it is, from 1.
    pub ordinal: u32,
}

/// What is done with an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// It is in staging.
    Kept(Kept),
    /// It would be, but this is a dry run.
    WouldKeep {
        /// Most room that it could take, in bytes: its size less the holes that the archive records.
        at_most: u64,
        /// Whether it is there since an earlier run, and takes no more.
        existing: bool,
    },
    /// There was no room for it, to the end of the run.
    Deferred,
    /// It is not kept. Nothing was ever written for it.
    Deleted,
    /// Only the beginning of the archive was looked at, and that does not decide on it.
    Undecided,
    /// It could not be decided on, or not be kept.
    Error,
}

impl Image {
    /// An image of these names; what is longer than [`NAME_LIMIT`] is cut one byte after it, which shows that it was
    /// longer.
    #[must_use]
    pub fn new(name: &[u8], member: &[u8], size: u64, ordinal: u32) -> Image {
        let cut = |name: &[u8]| name[..name.len().min(NAME_LIMIT + 1)].to_vec();
        Image { name: cut(name), member: cut(member), size, ordinal }
    }
}

impl Action {
    /// The word for a person.
    #[must_use]
    pub fn in_words(&self) -> &'static str {
        match self {
            Action::Kept(_) => "kept",
            Action::WouldKeep { .. } => "would be kept",
            Action::Deferred => "deferred",
            Action::Deleted => "not kept",
            Action::Undecided => "undecided",
            Action::Error => "error",
        }
    }

    /// The log's word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Action::Kept(_) => "KEPT",
            Action::WouldKeep { .. } => "would_keep",
            Action::Deferred => "deferred",
            Action::Deleted => "deleted",
            Action::Undecided => "undecided",
            Action::Error => "error",
        }
    }
}

/// An image in staging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where.
    pub path: PathBuf,
    /// Data bytes written by this run; 0 if an earlier one had it written.
    pub bytes_written: u64,
    /// Room it takes, in bytes.
    pub allocated: u64,
    /// Whether the frames it came from were decoded to their end, and every checksum in them held. Not known of an image
    /// that an earlier run wrote.
    pub verified: Option<bool>,
    /// Whether it was there, whole, from an earlier run.
    pub existing: bool,
}

/// The verdict on one image: there is exactly one for every image found, unless the run is cut short.
#[derive(Debug, Clone)]
pub struct Check {
    /// What was found in it; none where nothing could be looked at.
    pub finding: Option<Finding>,
    /// What is done with it.
    pub action: Action,
    /// Why it is not kept, or not simply kept.
    pub reason: Option<Cause>,
}

impl Check {
    /// Takes note of how much was rescued of the image's medium, if that is known by now.
    pub fn note_rescued(&mut self, known: Option<&Known>, size: u64) {
        if let Some((finding, known)) = self.finding.as_mut().zip(known) {
            finding.note_rescued(known, size);
        }
    }
}

/// Archives that earlier runs completed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resumed {
    /// How many.
    pub archives: usize,
    /// Their compressed bytes.
    pub bytes: u64,
    /// The runs that completed them, each once.
    pub runs: BTreeSet<String>,
}

/// An image in staging that is processed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedFile {
    /// The archive it came from.
    pub hash: OsString,
    /// Its file name: untrusted bytes.
    pub name: Vec<u8>,
    /// Which image of this name in the archive it is, from 1.
    pub ordinal: u32,
    /// Where it is, as the log has it.
    pub path: PathBuf,
    /// Its length in bytes, as the log has it.
    pub size: u64,
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommandEnd {
    /// By itself, with this exit status.
    Exited(i32),
    /// By the signal of this number.
    Signalled(i32),
    /// It did not begin, or its end cannot be told; why.
    Unknown(Cause),
}

/// What came of a command.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandOutcome {
    /// How it ended.
    pub end: CommandEnd,
    /// Wall time it took, in seconds.
    pub seconds: f64,
    /// The file that has what it printed.
    pub output: PathBuf,
    /// The image that it was given: inode, and when it was last changed, as [`Archive::mtime`].
    pub of: Option<(u64, String)>,
}

impl CommandEnd {
    /// Whether the command succeeded.
    #[must_use]
    pub fn is_success(&self) -> bool {
        *self == CommandEnd::Exited(0)
    }
}

impl fmt::Display for CommandEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CommandEnd::Exited(status) => write!(f, "exit status {status}"),
            CommandEnd::Signalled(number) => match signal_hook::low_level::signal_name(*number) {
                Some(name) => write!(f, "ended by {name}"),
                None => write!(f, "ended by signal {number}"),
            },
            CommandEnd::Unknown(cause) => f.write_str(&cause.message),
        }
    }
}

/// What came of decoding an archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Soundness {
    /// Every frame has a checksum, and all of them hold.
    Holds,
    /// It decodes to its end, and some or all of its frames have no checksum.
    NoChecksum,
    /// It does not.
    #[default]
    Fails,
}

impl Soundness {
    /// The log's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Soundness::Holds => "verified",
            Soundness::NoChecksum => "no_checksum",
            Soundness::Fails => "failed",
        }
    }

    /// The other way round; none where the word is another version's.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Soundness> {
        [Soundness::Holds, Soundness::NoChecksum, Soundness::Fails].into_iter().find(|each| each.as_str() == word)
    }
}

/// An archive that was decoded to its end, or to the error that ended it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verified {
    /// What came of it.
    pub soundness: Soundness,
    /// Why it fails.
    pub cause: Option<Cause>,
    /// Frames that were decoded to their end.
    pub frames: u64,
    /// Those of them with a checksum, which held.
    pub checksummed_frames: u64,
    /// Bytes of the tar that were decoded.
    pub content_bytes: u64,
    /// Wall time it took, in seconds.
    pub seconds: f64,
}

/// What is only shown, and not logged.
#[derive(Debug, Clone, Copy)]
pub enum Live<'a> {
    /// So many staged images are going to be processed again.
    Reprocessing {
        /// How many.
        images: usize,
        /// Their bytes.
        bytes: u64,
    },
    /// So many archives are going to be verified.
    Verifying {
        /// How many.
        archives: usize,
        /// Their compressed bytes.
        bytes: u64,
    },
    /// So many archives are read at a time, and these are to be read, in this order.
    Queue {
        /// Archives at a time.
        jobs: usize,
        /// Those that are to be read.
        archives: &'a [Arc<Archive>],
    },
    /// What is to be expected of an archive when its turn comes, as its head has it.
    Outlook {
        /// Which.
        archive: &'a Archive,
        /// Whether an image of it is going to be staged, and so has to be decoded.
        is_staged: bool,
    },
    /// An archive begins to be read, which is no survey of it; how far it is, to be polled.
    Reading(&'a Arc<Archive>, &'a Arc<Meter>),
    /// So many bytes are going to be extracted; how many were, to be polled.
    Extracting {
        /// In all.
        bytes: u64,
        /// So far.
        done: &'a Arc<AtomicU64>,
    },
    /// The run is done with an image, whatever came of it.
    Done(&'a StagedFile),
    /// A command printed a line.
    Output(&'a StagedFile, &'a [u8]),
    /// Something to know, in a sentence.
    Note(&'a str),
}

/// What an event is about.
#[derive(Debug, Clone, Copy)]
pub enum Scope<'a> {
    /// All of it.
    Run,
    /// A file in the collection that is not an archive of the run: its path.
    Path(&'a Path),
    /// One archive.
    Archive(&'a Archive),
    /// One image.
    Image(&'a Archive, &'a Image),
    /// One image in staging.
    Staged(&'a StagedFile),
}

/// What a run is going to do.
#[derive(Debug, Clone)]
pub struct Start<'a> {
    /// Archives that were chosen.
    pub total_archives: usize,
    /// Their compressed bytes.
    pub total_bytes: u64,
    /// What was left out.
    pub left_out: &'a LeftOutBy,
    /// Minimum archive size in bytes: archives have to be larger.
    pub min_archive_size: u64,
    /// The options that a command has to be given to survey as the run does.
    pub options: &'a [OsString],
    /// Whether nothing will be staged.
    pub dry_run: bool,
    /// Archives read at a time.
    pub jobs: usize,
    /// What the answers depend on.
    pub rules: Rules,
    /// Archives that earlier runs completed, where the run was to resume them.
    pub resumed: Option<Resumed>,
    /// Space on the file system of staging, if it is known.
    pub space: Option<Space>,
    /// What has to stay free of it, in bytes; none in a dry run.
    pub minimum: Option<u64>,
    /// The part of the collection that is surveyed; none if it is all of it.
    pub part: Option<Part>,
}

/// One thing that happened.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// All is in order, and the archives are chosen.
    ScriptStart {
        /// What is to be done.
        start: &'a Start<'a>,
    },
    /// What is not surveyed by a rule: some of it, if there is much.
    LeftOut {
        /// The rule.
        rule: Rule,
        /// How many there are in all.
        count: u64,
        /// The bytes of all.
        bytes: u64,
        /// Those that are named here.
        files: &'a [Unsurveyed],
    },
    /// An archive is not read again: an earlier run completed it.
    ArchiveResumed {
        /// Which.
        archive: &'a Archive,
        /// The run that completed it.
        by_run: &'a str,
        /// What that found.
        totals: &'a ArchiveTotals,
    },
    /// An archive is begun.
    ArchiveStart {
        /// Which.
        archive: &'a Arc<Archive>,
        /// How far it is, to be polled.
        meter: &'a Arc<Meter>,
        /// Which of the workers reads it, from 0.
        worker: usize,
    },
    /// An image begins to be written.
    ExtractionStart {
        /// Of which archive.
        archive: &'a Archive,
        /// To which folder.
        destination: &'a Path,
    },
    /// An image's header was read.
    ImageFound {
        /// In which archive.
        archive: &'a Archive,
        /// Which.
        image: &'a Image,
    },
    /// The verdict on an image.
    PartitionCheck {
        /// In which archive.
        archive: &'a Archive,
        /// Which.
        image: &'a Image,
        /// The verdict.
        check: &'a Check,
    },
    /// There is no room for an image now; it is tried again when the other archives are done.
    Deferred {
        /// In which archive.
        archive: &'a Archive,
        /// Which.
        image: &'a Image,
        /// Why.
        cause: &'a Cause,
    },
    /// Staging holds of an archive what it will hold.
    Cleanup {
        /// Which.
        archive: &'a Archive,
        /// Files of ours that were removed.
        removed_files: u64,
        /// Images that are there.
        kept_images: u64,
    },
    /// An archive is done, without an error of its own.
    ArchiveComplete {
        /// Which.
        archive: &'a Archive,
        /// What was found and done.
        totals: &'a ArchiveTotals,
        /// Members that could be images and were not looked at.
        left_out: &'a BTreeMap<MemberRule, MembersLeftOut>,
        /// Space on the file system of staging, if it is known.
        space: Option<Space>,
    },
    /// An archive was decoded for its checksums, to its end or to an error.
    ArchiveVerified {
        /// Which.
        archive: &'a Archive,
        /// What came of it.
        verified: &'a Verified,
    },
    /// Worth knowing, and nothing was lost by it.
    Warning {
        /// About what.
        scope: Scope<'a>,
        /// What.
        cause: &'a Cause,
    },
    /// An archive is done, with an error that ended it.
    ArchiveFailed {
        /// Which.
        archive: &'a Archive,
        /// What was found and done until then.
        totals: &'a ArchiveTotals,
        /// Members that could be images and were not looked at.
        left_out: &'a BTreeMap<MemberRule, MembersLeftOut>,
        /// The error.
        cause: &'a Cause,
    },
    /// Something was not done.
    Error {
        /// About what.
        scope: Scope<'a>,
        /// What.
        cause: &'a Cause,
    },
    /// Free space is below the minimum.
    LowSpace {
        /// Space now.
        space: Space,
        /// The minimum in bytes.
        minimum: u64,
    },
    /// The run ends because space is low.
    Abort {
        /// Why, in words.
        cause: &'a Cause,
    },
    /// The run ends because of a signal.
    Interrupted {
        /// Its number.
        signal: i32,
    },
    /// The run is done, and came to this.
    ScriptComplete(&'a ScriptComplete),
    /// A staged image is about to be processed again.
    ReprocessStart {
        /// Which.
        image: &'a StagedFile,
        /// The command and its arguments.
        command: &'a [OsString],
    },
    /// The command is done with a staged image.
    ReprocessComplete {
        /// Which.
        image: &'a StagedFile,
        /// What came of it.
        outcome: &'a CommandOutcome,
    },
    /// A staged image was removed: it has been processed again.
    Removed {
        /// Which.
        image: &'a StagedFile,
    },
    /// Only to be shown.
    Live(Live<'a>),
}
