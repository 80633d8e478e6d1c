//! What can be wrong with an archive, with the facts as fields.
//!
//! Knows nothing of how the walk goes on after an error: [`super::Item::Bad`] carries one that it could go on after, the `Err` of
//! [`super::Members::next`] one that ended it.

use std::fmt;
use std::io;

use crate::reason::Reason;

/// What is wrong with an archive, or with one member of it. Offsets are bytes from the start of the archive.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The archive could not be read. The cause is the reader's own error.
    #[error("archive could not be read at offset {offset}")]
    Io {
        /// Where the read was to start.
        offset: u64,
        /// What the reader said.
        source: io::Error,
    },
    /// The first block is not a tar header.
    #[error("not a tar archive: its first block is not a tar header ({found} bytes read)")]
    NotTar {
        /// How much of a first block there is, in bytes.
        found: u64,
    },
    /// The archive ends inside something.
    #[error("archive ends before offset {needed}, inside {what} at offset {offset}{}", Of(path))]
    Truncated {
        /// What was cut.
        what: Part,
        /// Where that begins: the header, for a member.
        offset: u64,
        /// Where it would end.
        needed: u64,
        /// The member it belongs to; empty where none is known yet.
        path: Vec<u8>,
    },
    /// A block that should be a header has a checksum that does not hold.
    #[error("tar header at offset {offset}: checksum {found}, expected {}", Expected(*expected))]
    HeaderChecksum {
        /// Where the block is.
        offset: u64,
        /// What the header says the sum of its bytes is, if that is a number.
        expected: Option<u64>,
        /// The sum of its bytes.
        found: u64,
    },
    /// A numeric field of a header is not a number, is negative, or is out of range.
    #[error("tar header at offset {offset}{}: {field} is \"{}\", {problem}", Of(path), found.escape_ascii())]
    Number {
        /// Where the header is.
        offset: u64,
        /// The member it belongs to.
        path: Vec<u8>,
        /// The field, as tar.h names it.
        field: &'static str,
        /// What it holds.
        found: Vec<u8>,
        /// Why that is not a valid number for it.
        problem: NumberProblem,
    },
    /// A size so large that the member would end past the largest offset there is (2^63 - 1).
    #[error("tar header at offset {offset}{}: size {size} ends past the largest offset", Of(path))]
    SizeOverflow {
        /// Where the header is.
        offset: u64,
        /// The member it belongs to.
        path: Vec<u8>,
        /// The size of the data that it claims, in bytes.
        size: u64,
    },
    /// An extension header (PAX records, a GNU long name) is larger than any that is not an attack.
    #[error("extension header '{}' at offset {offset}{}: {size} bytes, limit {limit}", kind.escape_ascii(), Of(path))]
    ExtensionTooLarge {
        /// Where the extension's header is.
        offset: u64,
        /// The member it belongs to.
        path: Vec<u8>,
        /// The extension's type flag.
        kind: u8,
        /// What it, and those of the same member before it, come to in bytes.
        size: u64,
        /// How much is accepted, in bytes.
        limit: u64,
    },
    /// A PAX record is malformed or says what it must not.
    #[error("PAX record at offset {offset}{}: {problem}", Of(path))]
    PaxRecord {
        /// Where the record begins.
        offset: u64,
        /// The member it belongs to.
        path: Vec<u8>,
        /// What is wrong with it.
        problem: PaxProblem,
    },
    /// A sparse member whose map cannot be right.
    #[error("sparse map of the member at offset {offset}{}: {problem}", Of(path))]
    SparseMap {
        /// Where the member's header is.
        offset: u64,
        /// The member it belongs to.
        path: Vec<u8>,
        /// What is wrong with it.
        problem: SparseProblem,
    },
    /// An extension header with no member after it.
    #[error("extension header at offset {offset} has no member after it")]
    LoneExtension {
        /// Where the extension's header is.
        offset: u64,
    },
}

impl Error {
    /// One word for the log, the same in every version.
    #[must_use]
    pub fn code(&self) -> Reason {
        match self {
            Self::Io { .. } => Reason::TarIo,
            Self::NotTar { .. } => Reason::NotTar,
            Self::Truncated { .. } => Reason::TarTruncated,
            Self::HeaderChecksum { .. } => Reason::TarHeaderChecksum,
            Self::Number { .. } => Reason::TarNumber,
            Self::SizeOverflow { .. } => Reason::TarSizeOverflow,
            Self::ExtensionTooLarge { .. } => Reason::TarExtensionTooLarge,
            Self::PaxRecord { .. } => Reason::TarPaxRecord,
            Self::SparseMap { .. } => Reason::TarSparseMap,
            Self::LoneExtension { .. } => Reason::TarLoneExtension,
        }
    }

    /// The member that is lost by this, as far as its name is known; untrusted.
    #[must_use]
    pub fn path(&self) -> Option<&[u8]> {
        match self {
            Self::Truncated { path, .. }
            | Self::Number { path, .. }
            | Self::SizeOverflow { path, .. }
            | Self::ExtensionTooLarge { path, .. }
            | Self::PaxRecord { path, .. }
            | Self::SparseMap { path, .. } => Some(path).filter(|path| !path.is_empty()).map(Vec::as_slice),
            Self::Io { .. } | Self::NotTar { .. } | Self::HeaderChecksum { .. } | Self::LoneExtension { .. } => None,
        }
    }

    /// The same error, of the member `name`: an extension is read before the name of its member is known.
    pub(super) fn of_member(mut self, name: &[u8]) -> Self {
        if let Self::ExtensionTooLarge { path, .. } | Self::PaxRecord { path, .. } = &mut self {
            *path = name.to_vec();
        }
        self
    }
}

/// A part of an archive that can be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// A header block.
    Header,
    /// PAX records or a GNU long name.
    Extension,
    /// The map of a sparse member.
    SparseMap,
    /// A member's data.
    Data,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "the header",
            Self::Extension => "the extension header",
            Self::SparseMap => "the sparse map",
            Self::Data => "the member",
        })
    }
}

/// Why a numeric field of a header is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NumberProblem {
    /// Neither octal digits nor base-256.
    #[error("not a number")]
    NotANumber,
    /// Base-256 with its sign bit set.
    #[error("negative")]
    Negative,
    /// More than 2^63 - 1.
    #[error("more than 2^63 - 1")]
    OutOfRange,
}

/// What is wrong with a PAX record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PaxProblem {
    /// It does not begin with a decimal length and a blank.
    #[error("no length")]
    NoLength,
    /// Its length reaches past the end of its header.
    #[error("length {length} of {left} bytes left")]
    PastEnd {
        /// The length it claims.
        length: u64,
        /// The bytes left in the extension header, from the record's beginning.
        left: u64,
    },
    /// It has no `=`.
    #[error("no equals sign")]
    NoEqualSign,
    /// Its last byte is not a newline.
    #[error("no newline at its end")]
    NoNewline,
    /// A value that should be a decimal number below 2^63 is not one.
    #[error("{key} is \"{}\", not a number below 2^63", value.escape_ascii())]
    BadNumber {
        /// The keyword.
        key: &'static str,
        /// The first bytes of its value.
        value: Vec<u8>,
    },
    /// `GNU.sparse.numbytes` without a `GNU.sparse.offset` before it, or the other way round.
    #[error("a sparse segment without its offset or length")]
    HalfSegment,
    /// A sparse map with more segments than are accepted.
    #[error("more than {limit} sparse segments")]
    TooManySegments {
        /// How many are accepted.
        limit: usize,
    },
    /// A sparse map or a very long name in a global header, where it would be every member's.
    #[error("{key} in a global header")]
    Global {
        /// The keyword.
        key: &'static str,
    },
}

/// Why a sparse map is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SparseProblem {
    /// A field is not a number.
    #[error("segment {segment} is not two numbers")]
    BadNumber {
        /// Which segment, from 0.
        segment: usize,
    },
    /// A segment begins before the end of the one before it.
    #[error("segment {segment} begins at {offset}, before {previous_end}")]
    NotAscending {
        /// Which segment, from 0.
        segment: usize,
        /// Where in the member it begins.
        offset: u64,
        /// Where the one before it ends.
        previous_end: u64,
    },
    /// A segment ends past the member's end.
    #[error("segment {segment} ends past the real size {real_size}")]
    PastRealSize {
        /// Which segment, from 0.
        segment: usize,
        /// The member's expanded size, in bytes.
        real_size: u64,
    },
    /// The segments come to more than what is stored.
    #[error("segments add up to more than the {stored} bytes stored")]
    MoreThanStored {
        /// The bytes stored for the member's data.
        stored: u64,
    },
    /// Data after a segment that is not whole blocks: GNU tar seeks it at the next block, bsdtar at the next byte.
    #[error("segment {segment} follows one that does not end on a block")]
    Unaligned {
        /// The segment after it, from 0.
        segment: usize,
    },
    /// More segments than are accepted.
    #[error("more than {limit} segments")]
    TooManySegments {
        /// How many are accepted.
        limit: usize,
    },
    /// The number of segments is not the one announced.
    #[error("{found} segments, {expected} announced")]
    Count {
        /// How many were announced.
        expected: u64,
        /// How many there are.
        found: usize,
    },
    /// PAX records of a sparse file, but no map among them.
    #[error("no map")]
    NoMap,
    /// No real size is given.
    #[error("no real size")]
    NoRealSize,
    /// A version of the PAX sparse format other than 0.0, 0.1 and 1.0.
    #[error("unknown version {major}.{minor}")]
    UnknownVersion {
        /// `GNU.sparse.major`.
        major: u64,
        /// `GNU.sparse.minor`.
        minor: u64,
    },
    /// Type `S` in a header that is not GNU's, or together with PAX sparse records.
    #[error("type S with a header or records that are not old GNU's")]
    MixedFormats,
    /// The map goes on in another block, although its last segment was before that.
    #[error("ends before its last block")]
    EndsEarly,
    /// The map does not fit into the member's stored data, or into what is accepted.
    #[error("longer than {limit} bytes")]
    TooLong {
        /// How long it may be, in bytes.
        limit: u64,
    },
}

/// `, "path"`, or nothing where no path is known.
pub(super) struct Of<'a>(pub &'a [u8]);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return Ok(());
        }
        write!(f, " (\"{}\")", String::from_utf8_lossy(self.0).escape_debug())
    }
}

/// A checksum as the header gives it.
struct Expected(Option<u64>);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(sum) => write!(f, "{sum}"),
            None => f.write_str("(not a number)"),
        }
    }
}
