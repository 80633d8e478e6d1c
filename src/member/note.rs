//! What is odd about an archive, or a member of it, and does no harm.

use std::fmt;

use crate::reason::Reason;

use super::error::Of;

/// Something odd about an archive. Offsets are bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// The archive ends after a member, without the two zero blocks that should follow.
    MissingEndMarker {
        /// Where they should be.
        offset: u64,
    },
    /// One zero block, where two would be the end.
    LoneZeroBlock {
        /// Where it is.
        offset: u64,
    },
    /// Something other than zeros after the end, which is not a tar archive. It is not looked at.
    DataAfterEnd {
        /// Where its first block is.
        offset: u64,
    },
    /// Another archive after the end of the first one: its members follow.
    ArchiveAfterEnd {
        /// Where its first header is.
        offset: u64,
    },
    /// After a bad header the next good one was looked for, and found. What lies between is lost; where it was an image of a disk that holds a
    /// tar archive itself, what follows may be a member of that.
    Resumed {
        /// Where the bad header is.
        bad_offset: u64,
        /// Where the good one is.
        resumed_offset: u64,
    },
    /// A PAX size that the archive does not bear out, where it does the one in the member's header, which is believed.
    PaxSize {
        /// Where the header is.
        offset: u64,
        /// The first bytes of the member's name: untrusted.
        path: Vec<u8>,
        /// The PAX size of its data, in bytes.
        pax: u64,
        /// The header's.
        header: u64,
    },
}

impl Note {
    /// One word for the log, the same in every version.
    #[must_use]
    pub fn code(&self) -> Reason {
        match self {
            Self::MissingEndMarker { .. } => Reason::TarMissingEndMarker,
            Self::LoneZeroBlock { .. } => Reason::TarLoneZeroBlock,
            Self::DataAfterEnd { .. } => Reason::TarDataAfterEnd,
            Self::ArchiveAfterEnd { .. } => Reason::TarArchiveAfterEnd,
            Self::Resumed { .. } => Reason::TarResumed,
            Self::PaxSize { .. } => Reason::TarPaxSize,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MissingEndMarker { offset } => {
                write!(f, "archive ends at offset {offset} without an end marker")
            }
            Self::LoneZeroBlock { offset } => write!(f, "a lone zero block at offset {offset}"),
            Self::DataAfterEnd { offset } => {
                write!(f, "data after the end of the archive, at offset {offset}")
            }
            Self::ArchiveAfterEnd { offset } => {
                write!(f, "another archive after the end of the first, at offset {offset}")
            }
            Self::Resumed { bad_offset, resumed_offset } => {
                write!(f, "after the bad header at offset {bad_offset} the next good one is at offset {resumed_offset}")
            }
            Self::PaxSize { offset, path, pax, header } => {
                let path = Of(path);
                write!(
                    f,
                    "the member at offset {offset}{path}: its PAX size, {pax}, is wrong; the size in its header, {header}, is right"
                )
            }
        }
    }
}
