//! What can be wrong with a `.zst` file, told apart so that a person knows what to do about it.

use std::io;
use std::sync::Arc;

use crate::reason::Reason;

/// Why bytes of a `.zst` file could not be had.
///
/// Offsets are bytes of the compressed file unless the field says otherwise. Cheap to clone, because a damaged file
/// gives the same answer every time it is asked beyond the damage.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system would not open it.
    #[error("it cannot be opened")]
    Open {
        /// The operating system's word.
        source: Arc<io::Error>,
    },
    /// The operating system refused; `offset` is where in the file.
    #[error("reading at byte {offset}")]
    Io {
        /// Where the read was to begin.
        offset: u64,
        /// The operating system's word.
        source: Arc<io::Error>,
    },
    /// Neither a file nor a link to one.
    #[error("not a regular file")]
    NotAFile,
    /// Not one byte.
    #[error("the file is empty")]
    Empty,
    /// The first bytes are not a Zstandard frame (RFC 8878 section 3.1).
    #[error("not Zstandard data: it begins with {found}")]
    NotZstd {
        /// What it is instead, or the bytes themselves.
        found: String,
    },
    /// Whole frames, then something that is no frame, and not zeros to the end of the file. zstd refuses it too.
    #[error("{length} bytes after the last frame, at byte {offset}, are not Zstandard data ({found})")]
    TrailingGarbage {
        /// Where the last frame ended.
        offset: u64,
        /// Bytes from there to the end of the file.
        length: u64,
        /// What they are.
        found: String,
    },
    /// The file ends inside a frame.
    #[error("the file ends at byte {offset}, inside the frame that begins at byte {frame}")]
    Truncated {
        /// First byte of the frame.
        frame: u64,
        /// Length of the file.
        offset: u64,
    },
    /// The last frame ends in good order, and more was asked for.
    #[error("the data ends at decompressed byte {size}, but byte {wanted} was asked for")]
    EndOfData {
        /// Decompressed size.
        size: u64,
        /// The decompressed offset that is not there.
        wanted: u64,
    },
    /// The frame decoded, but its content checksum (XXH64, RFC 8878 section 3.1.1) is of other bytes.
    #[error("the frame that begins at byte {frame} fails its checksum")]
    Checksum {
        /// First byte of the frame.
        frame: u64,
    },
    /// A frame that no compressor wrote.
    #[error("corrupt near byte {offset}, in the frame that begins at byte {frame}: {detail}")]
    Corrupt {
        /// First byte of the frame.
        frame: u64,
        /// How far the file had been read.
        offset: u64,
        /// libzstd's word for it, or ours.
        detail: String,
    },
    /// A frame that libzstd calls corrupt, and that is in order but for a match that begins before it.
    #[error(
        "the frame at byte {frame} copies from {reach} bytes before its own beginning: \
         it may need a reference file (zstd --patch-from) or a dictionary, which is not at hand"
    )]
    Reference {
        /// First byte of the frame.
        frame: u64,
        /// How far before the frame's first decompressed byte the match begins.
        reach: u64,
    },
    /// The frame asks for more memory than it is given.
    #[error("the frame at byte {frame} needs a window of {window} bytes and the limit is {limit} (see --max-window)")]
    WindowTooLarge {
        /// First byte of the frame.
        frame: u64,
        /// `Window_Size` of the frame header.
        window: u64,
        /// The limit in force.
        limit: u64,
    },
    /// The system has no memory to give for it.
    #[error(
        "there is not enough memory to decode the frame at byte {frame}; try fewer --jobs, or a lower --max-window"
    )]
    Memory {
        /// First byte of the frame, or where the file was to be read.
        frame: u64,
    },
    /// Made with a dictionary that nobody gave us.
    #[error("the frame at byte {frame} was made with dictionary {id}, which is not at hand")]
    Dictionary {
        /// First byte of the frame.
        frame: u64,
        /// `Dictionary_ID` of the frame header.
        id: u32,
    },
    /// The file is not the one that was opened, or no longer.
    #[error("{0}")]
    Changed(Change),
    /// Reads went back so often that going on would take a multiple of the archive's length.
    #[error("gave up after going back {rewinds} times and decoding {redecoded} bytes again")]
    TooManyRewinds {
        /// Times that decoding began anew.
        rewinds: u64,
        /// Decompressed bytes that were decoded more than once.
        redecoded: u64,
    },
    /// Only what is cheap was asked for, and this is not: see [`ZstFile::cheaply`](super::ZstFile::cheaply).
    #[error("decompressed byte {position} cannot be reached without decoding much again")]
    Dear {
        /// The decompressed offset.
        position: u64,
    },
    /// Somebody asked for the end of the run.
    #[error("interrupted")]
    Interrupted,
}

/// How a file changed under its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Change {
    /// Shorter than when it was opened.
    #[error("the file shrank from {from} to {to} bytes while it was read")]
    Shrunk {
        /// Length at opening.
        from: u64,
        /// Length now.
        to: u64,
    },
    /// Written to.
    #[error("the file was written to while it was read")]
    Modified,
    /// Its name leads to another file, or to none.
    #[error("the file was replaced or removed while it was read")]
    Replaced,
    /// It is not the object that the collection was listed with.
    #[error("the object was replaced after it was listed")]
    Relisted,
}

impl Error {
    /// The log's word for it: stable, one per variant.
    #[must_use]
    pub fn code(&self) -> Reason {
        match self {
            Error::Open { .. } | Error::Io { .. } => Reason::Io,
            Error::NotAFile => Reason::NotAFile,
            Error::Empty => Reason::Empty,
            Error::NotZstd { .. } => Reason::NotZstd,
            Error::TrailingGarbage { .. } => Reason::TrailingGarbage,
            Error::Truncated { .. } => Reason::Truncated,
            Error::EndOfData { .. } => Reason::EndOfData,
            Error::Checksum { .. } => Reason::Checksum,
            Error::Corrupt { .. } => Reason::Corrupt,
            Error::Reference { .. } => Reason::Reference,
            Error::WindowTooLarge { .. } => Reason::WindowTooLarge,
            Error::Memory { .. } => Reason::Memory,
            Error::Dictionary { .. } => Reason::Dictionary,
            Error::Changed(_) => Reason::Changed,
            Error::TooManyRewinds { .. } => Reason::TooManyRewinds,
            Error::Dear { .. } => Reason::Dear,
            Error::Interrupted => Reason::Interrupted,
        }
    }

    /// The `Error` inside an [`io::Error`] that a [`ZstFile`](super::ZstFile) gave through `ReadAt`, however deep.
    #[must_use]
    pub fn within(error: &io::Error) -> Option<&Error> {
        let mut cause: &(dyn std::error::Error + 'static) = error.get_ref()?;
        loop {
            if let Some(found) = cause.downcast_ref::<Error>() {
                return Some(found);
            }
            cause = match cause.downcast_ref::<io::Error>() {
                Some(inner) => inner.get_ref()?,
                None => cause.source()?,
            };
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match &error {
            Error::Open { source } | Error::Io { source, .. } => source.kind(),
            Error::Truncated { .. } | Error::EndOfData { .. } | Error::Changed(_) => io::ErrorKind::UnexpectedEof,
            Error::Memory { .. } => io::ErrorKind::OutOfMemory,
            Error::Dear { .. } | Error::Interrupted => io::ErrorKind::Other,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, error)
    }
}
