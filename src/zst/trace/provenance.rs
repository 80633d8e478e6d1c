//! Bytes of a frame without what lies before them: each is followed from match to match until it is a literal
//! (RFC 8878 section 3.1.1.4 read backward).
//!
//! What is wanted is followed from the highest position down. All sources lie lower, so that whatever several matches
//! copy is followed once, and one block at a time is enough. What was found is noted in a [`Trail`], and the bytes are
//! put together at the end, from the lowest position up.
//!
//! Memory, whatever the input says, is at most 32 MiB and the answer: 24 MiB of trail, 1 MiB of ranges that are still
//! to be followed, 4 MiB of blocks that may be wanted again, 1.5 MiB for the block at hand and those whose tables it
//! uses, and 1.5 MiB of repeat offsets. Only a list that grows is there twice for a moment.

use std::collections::{BTreeMap, BinaryHeap};
use std::ops::Range;

use crate::zst::error::Error;
use crate::zst::format::block::BlockKind;
use crate::zst::format::fault::Fault;
use crate::zst::format::sequences::{FIRST, Offset};
use crate::zst::meter::Meter;
use crate::zst::pass::place::Block;
use crate::zst::trace::opened::{Blocks, Literals, OpenError, Opened, Opener};
use crate::zst::trace::trail::{Full, Trail};

/// Ranges still to be followed, at most: 32 bytes each, 1 MiB. Some thousands were the most that was seen.
const MAX_PENDING: usize = 1 << 15;
/// Blocks whose repeat offsets are remembered, at most: some 40 bytes each, 0.6 MiB.
const MAX_REPEATS: usize = 1 << 14;
/// Blocks that are opened at most on the way back to known repeat offsets: 32 bytes each, 0.5 MiB.
const MAX_WAY_BACK: usize = 1 << 14;
/// What opening the smallest block takes, in compressed bytes of a large one.
const OPEN_COST: u64 = 512;
/// Steps between two looks at whether the run is to end.
const STOP_EVERY: u64 = 1 << 12;

/// What may still be spent. A read that would take more is better left to libzstd.
pub(in crate::zst) struct Budget<'a> {
    /// Compressed bytes of the blocks that may be opened; [`OPEN_COST`] is added for each.
    pub bytes: u64,
    /// Pieces of a match or of literals that may be followed.
    pub steps: u64,
    /// From where a stop is heard.
    pub meter: &'a Meter,
}

impl Budget<'_> {
    fn block(&mut self, block: &Block) -> Result<(), TraceError> {
        let cost = OPEN_COST + u64::from(block.content_len);
        self.bytes = self.bytes.checked_sub(cost).ok_or(TraceError::OverBudget)?;
        self.heed_stop()
    }

    fn step(&mut self) -> Result<(), TraceError> {
        self.steps = self.steps.checked_sub(1).ok_or(TraceError::OverBudget)?;
        if self.steps.is_multiple_of(STOP_EVERY) { self.heed_stop() } else { Ok(()) }
    }

    fn heed_stop(&self) -> Result<(), TraceError> {
        if self.meter.is_stopped() { Err(TraceError::Read(Error::Interrupted)) } else { Ok(()) }
    }
}

/// Why bytes were not had. Only [`TraceError::Read`] is worth telling: otherwise libzstd has the word.
#[derive(Debug)]
pub(in crate::zst) enum TraceError {
    /// It would take more than the budget, or more than the memory that there is for it.
    OverBudget,
    /// A block breaks a rule.
    #[expect(dead_code, reason = "libzstd's word is told instead; whoever debugs wants to see it")]
    Fault {
        /// Offset in the file of its header.
        block: u64,
        /// The rule.
        fault: Fault,
    },
    /// The file cannot be read.
    Read(Error),
}

impl From<Error> for TraceError {
    fn from(error: Error) -> TraceError {
        TraceError::Read(error)
    }
}

impl From<Full> for TraceError {
    fn from(Full: Full) -> TraceError {
        TraceError::OverBudget
    }
}

/// What is remembered from one call to the next, for one file.
pub(in crate::zst) struct Memo {
    opener: Opener,
    /// The repeat offsets at the start of a block, by the block's offset in the file.
    repeats: BTreeMap<u64, [u32; 3]>,
}

impl Memo {
    /// Nothing yet.
    pub fn new() -> Memo {
        Memo { opener: Opener::new(), repeats: BTreeMap::new() }
    }

    fn remember(&mut self, block: u64, repeats: [u32; 3]) {
        if self.repeats.len() >= MAX_REPEATS {
            self.repeats.clear();
        }
        self.repeats.insert(block, repeats);
    }
}

/// The bytes of each `wanted` range of decompressed offsets. Ranges that lie near each other are better asked for in
/// one call: what they have in common is followed once.
pub(in crate::zst) fn trace(
    blocks: &mut dyn Blocks,
    wanted: &[Range<u64>],
    budget: &mut Budget,
    memo: &mut Memo,
) -> Result<Vec<Vec<u8>>, TraceError> {
    let mut tracer =
        Tracer { blocks, budget, memo, pending: BinaryHeap::new(), trail: Trail::default(), frontier: u64::MAX };
    for range in wanted {
        tracer.follow(range.start, range.end, None)?;
    }
    tracer.run()?;
    let found = tracer.trail.replay().expect("each source was followed");
    let of = |range: &Range<u64>| {
        let found = if range.is_empty() { Some(&[][..]) } else { found.get(range.clone()) };
        found.expect("all of it was followed").to_vec()
    };
    Ok(wanted.iter().map(of).collect())
}

/// How many bytes before its frame the first match of a block begins that begins there; none where none does. The whole
/// block has to be in order.
pub(in crate::zst) fn reach_before_frame(
    blocks: &mut dyn Blocks,
    block: &Block,
    budget: &mut Budget,
    memo: &mut Memo,
) -> Result<Option<u64>, TraceError> {
    let mut tracer =
        Tracer { blocks, budget, memo, pending: BinaryHeap::new(), trail: Trail::default(), frontier: u64::MAX };
    let mut opened = tracer.open(block, u32::MAX)?;
    tracer.memo.opener.literals(tracer.blocks, &mut opened).map_err(|error| blame(block, error))?;
    // The last of them has no match.
    for index in 0..opened.sequences.list.len().saturating_sub(1) {
        let part = opened.sequences.part(index);
        let offset = tracer.offset(block, &mut opened, part.offset)?;
        let before = block.decompressed - block.origin + u64::from(part.match_start);
        if let Some(reach @ 1..) = u64::from(offset).checked_sub(before) {
            return Ok(Some(reach));
        }
    }
    Ok(None)
}

/// A range still to be followed. There may be others that overlap it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pending {
    end: u64,
    start: u64,
    /// The number of the one copy whose source it is, if nobody else wants it.
    copy: Option<usize>,
}

struct Tracer<'a, 'b> {
    blocks: &'a mut dyn Blocks,
    budget: &'a mut Budget<'b>,
    memo: &'a mut Memo,
    pending: BinaryHeap<Pending>,
    trail: Trail,
    /// All that is wanted from here on is in the trail.
    frontier: u64,
}

impl Tracer<'_, '_> {
    fn follow(&mut self, start: u64, end: u64, copy: Option<usize>) -> Result<(), TraceError> {
        // What was found already stays where it is, and the rest has to lie beside it.
        let copy = copy.filter(|_| end <= self.frontier);
        let end = end.min(self.frontier);
        if start >= end {
            return Ok(());
        }
        if self.pending.len() >= MAX_PENDING {
            return Err(TraceError::OverBudget);
        }
        self.pending.push(Pending { end, start, copy });
        Ok(())
    }

    /// The highest range, together with all that touch it.
    fn highest(&mut self) -> Option<(Range<u64>, Option<usize>)> {
        let Pending { end, mut start, mut copy } = self.pending.pop()?;
        while let Some(next) = self.pending.peek()
            && next.end >= start
        {
            start = start.min(next.start);
            copy = None;
            self.pending.pop();
        }
        Some((start..end, copy))
    }

    fn run(&mut self) -> Result<(), TraceError> {
        while let Some((range, copy)) = self.highest() {
            let block = self.blocks.block_at(range.end - 1)?;
            if block.decompressed >= range.end || block.end() < range.end {
                return Err(TraceError::Fault { block: block.compressed, fault: Fault::RegeneratedSize });
            }
            let until = u32::try_from(range.end - block.decompressed).expect("the block goes on behind it");
            let mut opened = self.open(&block, until)?;
            self.follow(range.start, range.end, copy)?;
            // Much of what a block copies lies in itself.
            while let Some((range, copy)) = self.highest() {
                if range.end <= block.decompressed {
                    self.follow(range.start, range.end, copy)?;
                    break;
                }
                let start = range.start.max(block.decompressed);
                self.frontier = start;
                if start > range.start || !self.pass_on(&block, &mut opened, &range, copy)? {
                    self.follow_within(&block, &mut opened, start..range.end)?;
                    self.follow(range.start, start, None)?;
                }
            }
            self.memo.opener.put_back(opened);
        }
        Ok(())
    }

    /// Where all of a range is copied from one place, and wanted for one copy only, gives that copy the other place as
    /// its source: a chain of such copies, as in a disk of one sector over and over, then takes no memory.
    fn pass_on(
        &mut self,
        block: &Block,
        opened: &mut Opened,
        range: &Range<u64>,
        copy: Option<usize>,
    ) -> Result<bool, TraceError> {
        let Some(number) = copy else { return Ok(false) };
        let last = u32::try_from(range.end - 1 - block.decompressed).expect("a block is not larger");
        let part = opened.sequences.part(opened.sequences.index_at(last));
        let matched = block.decompressed + u64::from(part.match_start);
        if range.start < matched {
            return Ok(false);
        }
        let offset = self.offset(block, opened, part.offset)?;
        let source = source_of(block, matched, offset)?;
        let phase = (range.start - matched) % u64::from(offset);
        let len = range.end - range.start;
        if len > u64::from(offset) - phase {
            return Ok(false);
        }
        self.budget.step()?;
        self.trail.redirect(number, source + phase);
        self.follow(source + phase, source + phase + len, copy)?;
        Ok(true)
    }

    fn open(&mut self, block: &Block, until: u32) -> Result<Opened, TraceError> {
        // One that is at hand costs no more than a step.
        if !self.memo.opener.has(block, until) {
            self.budget.block(block)?;
        }
        self.memo.opener.open(self.blocks, block, until).map_err(|error| blame(block, error))
    }

    /// Follows a range of one block, from its end down.
    fn follow_within(&mut self, block: &Block, opened: &mut Opened, range: Range<u64>) -> Result<(), TraceError> {
        let within = |position: u64| u32::try_from(position - block.decompressed).expect("a block is not larger");
        let mut end = range.end;
        let mut index = opened.sequences.index_at(within(end - 1));
        while end > range.start {
            self.budget.step()?;
            let part = opened.sequences.part(index);
            let matched = block.decompressed + u64::from(part.match_start);
            let start;
            if end > matched {
                start = matched.max(range.start);
                let offset = self.offset(block, opened, part.offset)?;
                self.follow_match(block, matched, offset, start..end)?;
            } else {
                start = (block.decompressed + u64::from(part.start)).max(range.start);
                let literals = self.memo.opener.literals(self.blocks, opened).map_err(|error| blame(block, error))?;
                match literals {
                    Literals::Same(byte) => self.trail.fill(end, within(end) - within(start), *byte)?,
                    Literals::Bytes(bytes) => {
                        let place = |position| (part.literals + (within(position) - part.start)) as usize;
                        let found = bytes.get(place(start)..place(end));
                        let found = found
                            .ok_or(TraceError::Fault { block: block.compressed, fault: Fault::TooManyLiterals })?;
                        self.trail.literals(end, found)?;
                    }
                }
            }
            if start == block.decompressed + u64::from(part.start) {
                index = index.saturating_sub(1);
            }
            end = start;
        }
        Ok(())
    }

    /// Notes that `piece` is part of a match which begins at `matched`, and follows what it is a copy of.
    fn follow_match(&mut self, block: &Block, matched: u64, offset: u32, piece: Range<u64>) -> Result<(), TraceError> {
        let period = u64::from(offset);
        let source = source_of(block, matched, offset)?;
        // A match that is longer than its offset repeats what is before it; a piece of it may begin anywhere in there.
        let phase = (piece.start - matched) % period;
        let turn = if phase == 0 { piece.start } else { piece.end.min(piece.start + period - phase) };
        if turn < piece.end {
            self.copy(turn..piece.end, source, offset)?;
        }
        if piece.start < turn {
            self.copy(piece.start..turn, source + phase, offset)?;
        }
        Ok(())
    }

    fn copy(&mut self, piece: Range<u64>, source: u64, period: u32) -> Result<(), TraceError> {
        let len = piece.end - piece.start;
        let number = self.trail.copy(piece.end, u32::try_from(len).expect("a block is not larger"), source, period)?;
        self.follow(source, source + len.min(period.into()), Some(number))
    }

    /// How far back a match of this block copies from.
    fn offset(&mut self, block: &Block, opened: &mut Opened, offset: Offset) -> Result<u32, TraceError> {
        if let Some(offset) = offset.get() {
            return Ok(offset);
        }
        let repeats = if let Some(repeats) = opened.repeats { repeats } else { self.repeats_at(block)? };
        opened.repeats = Some(repeats);
        known(offset, &repeats).map_err(|fault| TraceError::Fault { block: block.compressed, fault })
    }

    /// The repeat offsets at the start of a block: known of blocks that were passed before, and of the frame's first.
    /// Others are asked what they leave, back to one that does not depend on what was before it.
    fn repeats_at(&mut self, block: &Block) -> Result<[u32; 3], TraceError> {
        // What blocks with sequences leave to the next such one, `here`, between which there may be others.
        let mut way = Vec::new();
        let (mut here, mut at) = (block.compressed, *block);
        let mut repeats = loop {
            if let Some(&known) = self.memo.repeats.get(&at.compressed) {
                break known;
            }
            let Some(before) = self.blocks.before(&at)? else { break FIRST };
            at = before;
            if before.kind != BlockKind::Compressed {
                self.budget.step()?;
                continue;
            }
            if way.len() >= MAX_WAY_BACK {
                return Err(TraceError::OverBudget);
            }
            let opened = self.open(&before, u32::MAX)?;
            let after = opened.sequences.after;
            self.memo.opener.put_back(opened);
            way.push((here, after));
            here = before.compressed;
            if after.iter().all(|offset| offset.get().is_some()) {
                break FIRST;
            }
        };
        if way.is_empty() {
            self.memo.remember(here, repeats);
        }
        for (offset, after) in way.into_iter().rev() {
            let blame = |fault| TraceError::Fault { block: offset, fault };
            let [first, second, third] = after.map(|offset| known(offset, &repeats));
            repeats = [first.map_err(blame)?, second.map_err(blame)?, third.map_err(blame)?];
            self.memo.remember(offset, repeats);
        }
        Ok(repeats)
    }
}

/// Where the match that begins at `matched` begins to copy from.
fn source_of(block: &Block, matched: u64, offset: u32) -> Result<u64, TraceError> {
    let offset = u64::from(offset);
    // libzstd takes any offset that is still in its buffer; no encoder makes one beyond the window.
    if offset > block.window || offset > matched - block.origin {
        return Err(TraceError::Fault { block: block.compressed, fault: Fault::OffsetTooFar });
    }
    Ok(matched - offset)
}

fn known(offset: Offset, start: &[u32; 3]) -> Result<u32, Fault> {
    offset.after(&start.map(Offset::known))?.get().ok_or(Fault::ZeroOffset)
}

fn blame(block: &Block, error: OpenError) -> TraceError {
    match error {
        OpenError::Fault(fault) => TraceError::Fault { block: block.compressed, fault },
        OpenError::Read(error) => TraceError::Read(error),
    }
}

#[cfg(test)]
mod tests;
