//! What a block of the archive is, where a header could be.

use super::header::{BLOCK, ChecksumMismatch, Header};

/// What a block is.
pub(super) enum Seen {
    Header(Box<Header>),
    Zeros,
    Other(ChecksumMismatch),
    /// The archive ends `len` bytes into the block.
    End {
        len: u64,
        zeros: bool,
    },
}

impl Seen {
    pub(super) fn of(bytes: &[u8]) -> Self {
        let zeros = bytes.iter().all(|&byte| byte == 0);
        match <&[u8; BLOCK]>::try_from(bytes) {
            Err(_) => Self::End { len: bytes.len() as u64, zeros },
            Ok(_) if zeros => Self::Zeros,
            Ok(block) => Header::parse(block).map_or_else(Self::Other, |header| Self::Header(Box::new(header))),
        }
    }
}

/// Whether a block is a member's header, or one that extends it: whether its checksum holds.
#[must_use]
pub fn is_header(block: &[u8]) -> bool {
    matches!(Seen::of(block), Seen::Header(_))
}
