//! Where a pass over a file stands, and what it passed.

use std::num::NonZeroU64;

use crate::zst::error::Error;
use crate::zst::format::block::{BlockKind, MAX_BLOCK};
use crate::zst::format::fault::Fault;
use crate::zst::format::frame::FrameHeader;

/// Why a pass cannot go on.
#[derive(Debug)]
pub(in crate::zst) enum Stop {
    /// The file cannot be read, or the run is to end.
    Read(Error),
    /// What stands there is for libzstd to judge.
    Odd(#[cfg_attr(not(test), expect(dead_code, reason = "libzstd's word is told instead"))] Fault),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        Stop::Read(error)
    }
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Stop {
        Stop::Odd(fault)
    }
}

/// The last blocks of a frame that set a table: compressed offsets of their headers. Never 0, which no block can have.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::zst) struct Setters {
    /// By [`Field`](crate::zst::format::block::Field).
    pub fields: [Option<NonZeroU64>; 3],
    /// The Huffman table of literals.
    pub huffman: Option<NonZeroU64>,
}

/// Which tables a block sets.
#[derive(Clone, Copy, Default)]
pub(in crate::zst) struct Sets {
    pub fields: [bool; 3],
    pub huffman: bool,
}

impl Setters {
    /// Goes on behind the block whose header stands at `compressed`.
    pub fn set(&mut self, compressed: u64, sets: Sets) {
        let this = NonZeroU64::new(compressed);
        for (setter, sets) in self.fields.iter_mut().zip(sets.fields) {
            if sets {
                *setter = this;
            }
        }
        if sets.huffman {
            self.huffman = this;
        }
    }
}

/// A frame whose end is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) struct OpenFrame {
    /// Compressed and decompressed offset of its beginning.
    pub start: u64,
    pub origin: u64,
    /// What its header says.
    pub header: FrameHeader,
    /// The tables in force.
    pub setters: Setters,
}

impl OpenFrame {
    /// `Block_Maximum_Size`, RFC 8878 section 3.1.1.2.4.
    pub fn maximum(&self) -> u64 {
        self.header.window.min(MAX_BLOCK)
    }
}

/// A place between two blocks or two frames.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::zst) struct Place {
    /// Compressed and decompressed offset.
    pub compressed: u64,
    pub decompressed: u64,
    /// The frame that is not at its end there.
    pub frame: Option<OpenFrame>,
}

/// A block, and its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) struct Block {
    /// Compressed offset of its header.
    pub compressed: u64,
    /// Decompressed offset of its content.
    pub decompressed: u64,
    /// Its size.
    pub regenerated: u32,
    pub kind: BlockKind,
    /// Bytes behind its header.
    pub content_len: u32,
    /// The tables in force before it; none where that was not looked for.
    pub setters: Option<Setters>,
    /// Decompressed offset and `Window_Size` of its frame.
    pub origin: u64,
    pub window: u64,
}

impl Block {
    /// Decompressed offset of the first byte behind it.
    pub fn end(&self) -> u64 {
        self.decompressed.saturating_add(self.regenerated.into())
    }

    /// `Block_Maximum_Size` of its frame, RFC 8878 section 3.1.1.2.4.
    pub fn maximum(&self) -> u64 {
        self.window.min(MAX_BLOCK)
    }
}
