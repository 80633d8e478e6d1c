//! What can go wrong with the staging folder.

use std::io;
use std::path::PathBuf;

use crate::exit;
use crate::reason::Reason;

/// Why something in staging could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused.
    #[error("{action} {path}")]
    Io {
        /// What was being done: "creating", "writing".
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// Another run holds the lock.
    #[error("another run is using the staging folder {path}")]
    Locked {
        /// The folder.
        path: PathBuf,
    },
    /// Another run stages images of the same archive.
    #[error("another run is writing to {path}")]
    Busy {
        /// The archive's folder.
        path: PathBuf,
    },
    /// The run may not stage so much.
    #[error("--max-staged allows this run {left} more bytes, and {path} needs {wanted}")]
    MaxStaged {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        wanted: u64,
        /// What it may still stage.
        left: u64,
    },
    /// There is something that is not a folder.
    #[error("{path} is not a folder (links are not followed)")]
    NotAFolder {
        /// What is there.
        path: PathBuf,
    },
    /// A file of another size, or no file at all, has the image's name.
    #[error("{path} is in the way: {found}, not a file of {expected} bytes; move or remove it")]
    InTheWay {
        /// What is there.
        path: PathBuf,
        /// What it is.
        found: String,
        /// Size of the image, in bytes.
        expected: u64,
    },
    /// The partial was removed or replaced by somebody else: the file system of staging has no locks, or they are not kept.
    #[error("{path} was removed or replaced while it was written: does another run use the staging folder?")]
    Lost {
        /// The partial.
        path: PathBuf,
    },
    /// A folder, of staging or in it, was removed, or renamed with or without another one in its place.
    #[error("the folder {path} was removed or replaced while the run went on: what was staged is not there")]
    Moved {
        /// The folder.
        path: PathBuf,
    },
    /// There is something where a new file was to be.
    #[error("{path} exists, and is not replaced; move or remove it, or name another file")]
    Exists {
        /// What is there.
        path: PathBuf,
    },
    /// The image's name cannot be a file's name.
    #[error("not usable as a file name: {why}")]
    Name {
        /// What is wrong with it.
        why: &'static str,
    },
    /// No room, now or in the middle of a write.
    #[error("no room for {wanted} bytes in {path}: {available} available now")]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// What was asked for.
        wanted: u64,
        /// What the budget could give.
        available: u64,
    },
    /// Free space fell below the minimum while writing: others use the disk too.
    #[error("free space in {path} is {missing} bytes below the minimum")]
    LowSpace {
        /// The folder.
        path: PathBuf,
        /// How far below.
        missing: u64,
    },
    /// What was written is not as long as the member.
    #[error("{path}: {written} of {expected} bytes were written")]
    Length {
        /// The partial file.
        path: PathBuf,
        /// What came.
        written: u64,
        /// Size of the image.
        expected: u64,
    },
}

impl Error {
    /// The log's word for it: stable, one per variant.
    #[must_use]
    pub fn code(&self) -> Reason {
        match self {
            // A folder takes room, and so does the file of a lock.
            Error::Io { .. } if self.is_space() => Reason::NoSpace,
            Error::Io { .. } | Error::Lost { .. } | Error::Moved { .. } => Reason::StagingIo,
            Error::Locked { .. } | Error::Busy { .. } => Reason::Locked,
            Error::MaxStaged { .. } => Reason::MaxStaged,
            Error::NotAFolder { .. } => Reason::NotAFolder,
            Error::InTheWay { .. } | Error::Exists { .. } => Reason::InTheWay,
            Error::Name { .. } => Reason::Name,
            Error::NoSpace { .. } => Reason::NoSpace,
            Error::LowSpace { .. } => Reason::LowSpace,
            Error::Length { .. } => Reason::Length,
        }
    }

    /// Whether trying again later may mend it, with nothing else changed: somebody else uses it, or it is not there now.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Error::Locked { .. } | Error::Busy { .. } => true,
            Error::Io { source, .. } => exit::may_pass(source),
            _ => false,
        }
    }

    /// Whether more room later could mend it.
    #[must_use]
    pub fn is_space(&self) -> bool {
        match self {
            Error::NoSpace { .. } | Error::LowSpace { .. } | Error::MaxStaged { .. } => true,
            Error::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}
