//! Whether a frame copies from a file that is not at hand.
//!
//! `zstd --patch-from` lets matches begin in a reference file, which a decoder takes to lie right before the frame; so do
//! dictionaries without an ID. Nothing in the frame says so, and libzstd calls it corrupt where the first such match comes. But
//! the block is in order, which one that was damaged hardly ever is.

use std::ops::Range;
use std::sync::Arc;

use crate::zst::meter::Meter;
use crate::zst::source::Source;
use crate::zst::trace::index::Index;
use crate::zst::trace::opened::Blocks as _;
use crate::zst::trace::provenance::{self, Budget, Memo};

/// Compressed bytes of a frame that are passed again to look at the block that failed: a second's work.
const MAX_PASSED: u64 = 1 << 30;
/// Blocks at the beginning of a frame that are looked at where it may not be decoded at all.
const FIRST_BLOCKS: usize = 64;
/// Compressed bytes of blocks that are opened for what their repeat offsets are, and steps on the way.
const BUDGET: u64 = 64 << 20;
const STEPS: u64 = 1 << 20;

/// The part of a frame that libzstd decoded, up to the block that it would not.
pub(in crate::zst) struct Decoded {
    /// From the frame's beginning on, in bytes of the file.
    pub compressed: Range<u64>,
    /// The same, decompressed.
    pub decompressed: Range<u64>,
}

/// How many bytes before the frame a match of the block begins that comes next; none where no match does, or where anything
/// else is wrong with the block. Of a frame of which nothing was decoded, its first blocks are looked at.
pub(in crate::zst) fn reach(source: &Arc<Source>, meter: &Arc<Meter>, decoded: &Decoded) -> Option<u64> {
    let Decoded { compressed, decompressed } = decoded;
    // No offset is longer.
    let is_too_far = decompressed.end - decompressed.start > u64::from(u32::MAX);
    if is_too_far || compressed.end - compressed.start > MAX_PASSED {
        return None;
    }
    let mut index = Index::new(Arc::clone(source), Arc::clone(meter));
    index.resume(compressed.start, decompressed.start);
    let mut memo = Memo::new();
    let mut budget = Budget { bytes: BUDGET, steps: STEPS, meter };
    let mut position = decompressed.end;
    for _ in 0..if decompressed.is_empty() { FIRST_BLOCKS } else { 1 } {
        index.advance(position).ok()?;
        let block = index.block_at(position).ok()?;
        if (block.decompressed, block.origin) != (position, decompressed.start) {
            return None;
        }
        match provenance::reach_before_frame(&mut index, &block, &mut budget, &mut memo) {
            Ok(None) => position = block.end(),
            found => return found.ok().flatten(),
        }
    }
    None
}
