//! What can go wrong with the staging folder.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::exit;
use crate::reason::Reason;
use crate::units::human;

/// How much room an image takes, as far as that is known before all of it was read: runs of zeros take none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// So many bytes at most.
    AtMost(u64),
    /// More than so many bytes.
    MoreThan(u64),
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Takes::AtMost(bytes) => write!(f, "up to {}", human(*bytes)),
            Takes::MoreThan(bytes) => write!(f, "more than {}", human(*bytes)),
        }
    }
}

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
    #[error("--max-staged leaves {} to this run; the image takes {takes}", human(*.left))]
    MaxStaged {
        /// What the image takes.
        takes: Takes,
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
    #[error("no room in {path}: {} available, and it takes {takes}", human(*.available))]
    NoSpace {
        /// The folder.
        path: PathBuf,
        /// What the image takes.
        takes: Takes,
        /// What the budget could give to it, with what was written of it.
        available: u64,
    },
    /// The file system takes no more, whatever it says to be free.
    #[error("no room left on the file system of {path}")]
    Full {
        /// The folder.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// Free space fell below the minimum while writing: others use the disk too.
    #[error("free space in {path} is {} below the minimum", human(*.missing))]
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
            Error::NoSpace { .. } | Error::Full { .. } => Reason::NoSpace,
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
            Error::NoSpace { .. } | Error::Full { .. } | Error::LowSpace { .. } | Error::MaxStaged { .. } => true,
            Error::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::Cause;

    #[test]
    fn what_an_image_takes_and_what_there_is_are_told_in_sizes_for_people() {
        let path = || PathBuf::from("/s");
        let no_space = |takes| Error::NoSpace { path: path(), takes, available: 1_323_417 };
        let full = || io::Error::from_raw_os_error(rustix::io::Errno::NOSPC.raw_os_error());
        for (error, message) in [
            (no_space(Takes::AtMost(90_000_000)), "no room in /s: 1.32 MB available, and it takes up to 90.0 MB"),
            (no_space(Takes::MoreThan(1_323_417)), "no room in /s: 1.32 MB available, and it takes more than 1.32 MB"),
            (
                Error::MaxStaged { takes: Takes::AtMost(90_000_000), left: 0 },
                "--max-staged leaves 0 B to this run; the image takes up to 90.0 MB",
            ),
            (
                Error::Full { path: path(), source: full() },
                "no room left on the file system of /s: No space left on device (os error 28)",
            ),
            (Error::LowSpace { path: path(), missing: 4096 }, "free space in /s is 4.10 kB below the minimum"),
        ] {
            assert!(error.is_space());
            assert_eq!(Cause::from(&error).message, message);
        }
    }
}
