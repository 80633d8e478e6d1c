//! The way over frames whose blocks are all full but the last of each: by the headers of blocks alone.
//!
//! A block regenerates at most `Block_Maximum_Size`. Where all but the last of a frame do regenerate as much, the place of
//! every byte follows from how many blocks lie before it, and no sequence has to be decoded. A [`FullPass`] goes by that
//! rule, and stops at what is seen to break it: a raw or RLE block that is not full, a last block or a frame of another
//! size than it should have, and, of the compressed blocks, one of those that it sizes here and there. That none of the
//! others breaks it, it does not see. So the places that it gives are upper bounds, until somebody proves one.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::zst::error::Error;
use crate::zst::format::block::{BLOCK_HEADER_LEN, BlockHeader, BlockKind};
use crate::zst::format::fault::Fault;
use crate::zst::format::frame::{FrameStart, MAX_HEADER_LEN};
use crate::zst::meter::Meter;
use crate::zst::pass::alone::{read_sections, size_alone};
use crate::zst::pass::batch::{CHECKSUM_LEN, parse_frame};
use crate::zst::pass::peek::Peek;
use crate::zst::pass::place::{Block, OpenFrame, Place, Setters, Stop};
use crate::zst::pass::seek_table::SeekTable;
use crate::zst::source::{Source, Tail};
use crate::zst::tail;

/// Compressed blocks that are sized at first, and after that the 16th, the 64th and so on: encoders that end blocks early do
/// so before long.
const SIZED_FIRST: u64 = 4;
/// Compressed blocks that are remembered, for the tables that the last block of a frame repeats.
const REMEMBERED: usize = 1 << 12;
/// Blocks between two looks at whether the run is to end.
const ROUND: u64 = 1 << 8;

/// A pass by the headers of blocks.
pub(in crate::zst) struct FullPass {
    source: Arc<Source>,
    meter: Arc<Meter>,
    peek: Peek,
    place: Place,
    /// Decompressed end of the frame that the pass began in, where that is known.
    end: Option<u64>,
    /// Whether blocks are sized here and there.
    is_wary: bool,
    /// What the frame says of its decompressed size, by itself or by the seek table.
    said: Option<u64>,
    /// Whether all frames so far said it.
    are_proven: bool,
    /// Headers of the latest compressed blocks of the frame.
    recent: VecDeque<u64>,
    /// Compressed blocks so far, and blocks of any kind.
    compressed: u64,
    blocks: u64,
}

impl FullPass {
    /// A pass from `place` on, over blocks of which nothing is known. Nothing is read yet.
    pub fn new(source: Arc<Source>, meter: Arc<Meter>, place: Place) -> FullPass {
        FullPass {
            peek: Peek::new(Arc::clone(&source)),
            source,
            meter,
            place,
            end: None,
            is_wary: true,
            said: None,
            are_proven: true,
            recent: VecDeque::new(),
            compressed: 0,
            blocks: 0,
        }
    }

    /// A pass over blocks that are known to be full. The frame that `place` is in, if it is in one, ends at `end`.
    pub fn again(source: Arc<Source>, meter: Arc<Meter>, place: Place, end: Option<u64>) -> FullPass {
        FullPass { end, is_wary: false, ..FullPass::new(source, meter, place) }
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether every frame so far says how long it is. Once they have ended, all the places in them are exact: of blocks
    /// that hold at most the maximum, and come to what that many full ones do, none can hold less.
    pub fn is_proven(&self) -> bool {
        self.are_proven
    }

    /// The next block, with nothing behind it passed but the end of its frame; none where the file ends. `table` is asked
    /// for frames that do not say their size.
    pub fn next(&mut self, mut table: Option<&mut SeekTable>) -> Result<Option<Block>, Stop> {
        while self.place.frame.is_none() {
            let start = self.place.compressed;
            if self.source.is_end(start) {
                return Ok(None);
            }
            match parse_frame(self.peek.at(start, MAX_HEADER_LEN)?) {
                Ok(FrameStart::Data(header)) => {
                    let entry = match table.as_deref_mut() {
                        Some(table) if header.content_size.is_none() => table.entry_at(&self.source, start)?,
                        _ => None,
                    };
                    self.said = header.content_size.or(entry.map(|entry| entry.decompressed));
                    self.are_proven &= self.said.is_some();
                    let (origin, setters) = (self.place.decompressed, Setters::default());
                    self.place.frame = Some(OpenFrame { start, origin, header, setters });
                    self.place.compressed += header.length;
                    self.recent.clear();
                }
                Ok(FrameStart::Skippable { length }) => {
                    let end = start.saturating_add(length);
                    if end > self.source.length() {
                        return Err(Stop::Odd(Fault::Truncated));
                    }
                    self.place.compressed = end;
                }
                Err(_) if start > 0 && tail::at(&self.source, &self.meter, start)? == Tail::Zeros => return Ok(None),
                Err(fault) => return Err(Stop::Odd(fault)),
            }
        }
        self.block().map(Some)
    }

    fn block(&mut self) -> Result<Block, Stop> {
        self.blocks += 1;
        if self.blocks.is_multiple_of(ROUND) {
            self.meter.walk(self.place.compressed);
            if self.meter.is_stopped() {
                return Err(Stop::Read(Error::Interrupted));
            }
        }
        let Place { compressed, decompressed, frame } = self.place;
        let OpenFrame { origin, header: frame_header, .. } = frame.expect("the caller has opened it");
        let maximum = frame.map_or(0, |frame| frame.maximum());
        let bytes = *self.peek.at(compressed, BLOCK_HEADER_LEN)?.first_chunk().ok_or(Fault::Truncated)?;
        let header = BlockHeader::parse(bytes, maximum)?;
        let content_len = header.content_len();
        let mut end = compressed + (BLOCK_HEADER_LEN + content_len) as u64;
        if header.last && frame_header.checksum {
            end += CHECKSUM_LEN;
        }
        if end > self.source.length() {
            return Err(Stop::Odd(Fault::Truncated));
        }
        let full = u32::try_from(maximum).expect("at most MAX_BLOCK");
        let regenerated = match header.kind {
            BlockKind::Raw | BlockKind::Rle => header.size,
            BlockKind::Compressed if header.last => match self.end {
                Some(end) => u32::try_from(end.saturating_sub(decompressed)).map_err(|_| Fault::BlockTooLarge)?,
                None => self.size(compressed, maximum)?,
            },
            BlockKind::Compressed if self.is_wary && self.is_sized() => self.size(compressed, maximum)?,
            BlockKind::Compressed => full,
        };
        if regenerated > full {
            return Err(Stop::Odd(Fault::BlockTooLarge));
        }
        if regenerated < full && !header.last {
            return Err(Stop::Odd(Fault::NotFull));
        }
        if header.kind == BlockKind::Compressed {
            self.compressed += 1;
            if self.recent.len() == REMEMBERED {
                self.recent.pop_front();
            }
            self.recent.push_back(compressed);
        }
        let block = Block {
            compressed,
            decompressed,
            regenerated,
            kind: header.kind,
            content_len: u32::try_from(content_len).expect("at most a block"),
            setters: None,
            origin,
            window: frame_header.window,
        };
        self.place.compressed = end;
        self.place.decompressed = decompressed.checked_add(regenerated.into()).ok_or(Fault::ContentSize)?;
        if header.last {
            let size = self.place.decompressed - origin;
            if self.said.take().is_some_and(|said| said != size) {
                return Err(Stop::Odd(Fault::ContentSize));
            }
            self.place.frame = None;
            self.end = None;
        }
        Ok(block)
    }

    /// Whether the compressed block that comes next is one of those that are sized.
    fn is_sized(&self) -> bool {
        let is_power_of_four = self.compressed.is_power_of_two() && self.compressed.trailing_zeros().is_multiple_of(2);
        self.compressed < SIZED_FIRST || is_power_of_four
    }

    /// The size of the compressed block whose header stands at `offset`.
    fn size(&self, offset: u64, maximum: u64) -> Result<u32, Stop> {
        size_alone(&self.source, offset, maximum, |field| {
            for &before in self.recent.iter().rev() {
                let (sections, content) = read_sections(&self.source, before, maximum)?;
                if sections.sets(field) {
                    return Ok(Some((sections, content)));
                }
            }
            Ok(None)
        })
    }
}
