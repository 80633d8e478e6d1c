//! The place of every block of a file, as far as the file was passed over: the map's places, and between two of them the
//! blocks themselves, found anew by another pass when they are needed.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::zst::error::Error;
use crate::zst::format::block::{BLOCK_HEADER_LEN, BlockHeader, BlockKind, LiteralsKind};
use crate::zst::format::frame::{FrameStart, MAX_HEADER_LEN};
use crate::zst::meter::Meter;
use crate::zst::options::SURE_TAIL;
use crate::zst::pass::Pass;
use crate::zst::pass::alone::{read_sections, size_alone};
use crate::zst::pass::full::FullPass;
use crate::zst::pass::map::{Again, Map};
use crate::zst::pass::place::{Block, Place, Stop};
use crate::zst::pass::seek_table::SeekTable;
use crate::zst::source::Source;
use crate::zst::trace::opened::{Blocks, Inherited};

/// Bytes of the file that are read at once while passing over: as much as stays in a processor's second-level cache until
/// it is sized. Each thread holds one.
const SLAB_LEN: usize = 1 << 20;
/// The same while the blocks between two places are found again.
const SHORT_SLAB_LEN: usize = 512 << 10;
/// Blocks of all stretches that are remembered, 88 bytes each, at most, unless the last one alone has more. One stretch has
/// 128 blocks or a few times that, unless somebody made it to have many.
const MAX_BLOCKS: usize = 16 << 10;
/// Blocks of one stretch; where there are more, they are not looked for one by one.
const MAX_STRETCH: usize = 32 << 10;

/// Blocks before one that are looked at for whose tables it repeats.
const MAX_LOOKED_BACK: usize = 1 << 14;

/// Blocks that follow each other.
struct Stretch {
    /// Decompressed offsets of their beginning and end.
    start: u64,
    end: u64,
    blocks: Vec<Block>,
}

impl Stretch {
    fn at(start: u64) -> Stretch {
        Stretch { start, end: start, blocks: Vec::new() }
    }

    fn contains(&self, position: u64) -> bool {
        (self.start..self.end).contains(&position)
    }

    fn push(&mut self, block: &Block) {
        self.blocks.push(*block);
        self.end = block.end();
    }

    /// The number of the block that holds `position`, which the stretch contains.
    fn find(&self, position: u64) -> usize {
        self.blocks.partition_point(|block| block.end() <= position)
    }
}

/// What was done on the way, in decompressed bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::zst) struct Passed {
    /// By the sizes of blocks.
    pub sized: u64,
    /// In whole frames.
    pub jumped: u64,
    /// By the headers of blocks that are all full.
    pub presumed: u64,
    /// Not in bytes: the sequences of the blocks that were sized.
    pub sequences: u64,
}

/// The blocks of a file.
pub(in crate::zst) struct Index {
    source: Arc<Source>,
    meter: Arc<Meter>,
    map: Map,
    /// The pass that has come farthest.
    frontier: Pass,
    table: Option<SeekTable>,
    /// Whether there is a seek table was looked for.
    is_table_known: bool,
    passed: Passed,
    /// What the frontier passed since the last place of the map.
    recent: Stretch,
    /// Stretches that were needed or passed lately, the latest last.
    stretches: VecDeque<Stretch>,
}

impl Index {
    /// An index that knows nothing yet.
    pub fn new(source: Arc<Source>, meter: Arc<Meter>) -> Index {
        Index {
            table: None,
            is_table_known: false,
            frontier: Pass::new(Arc::clone(&source), Arc::clone(&meter), Place::default(), SLAB_LEN),
            map: Map::new(),
            passed: Passed::default(),
            recent: Stretch::at(0),
            stretches: VecDeque::new(),
            source,
            meter,
        }
    }

    /// An index of a whole file, made by going from block header to block header, as if all blocks were full but the last of
    /// each frame; none where it is seen that they are not. And whether that is proven, by what each frame says of its size:
    /// otherwise the places in it are only presumed, and there is none unless `can_vouch`.
    pub fn presume(source: Arc<Source>, meter: Arc<Meter>, can_vouch: bool) -> Result<Option<(Index, bool)>, Error> {
        let mut table = SeekTable::find(&source)?;
        let mut pass = FullPass::new(Arc::clone(&source), Arc::clone(&meter), Place::default());
        let mut map = Map::full();
        loop {
            match pass.next(table.as_mut()) {
                Ok(Some(_)) if !can_vouch && !pass.is_proven() => return Ok(None),
                Ok(Some(block)) => {
                    if pass.place().frame.is_none() {
                        map.end_full(block.origin, pass.place().decompressed);
                    }
                    map.note_full(pass.place());
                }
                Ok(None) => break,
                Err(Stop::Read(error)) => return Err(error),
                Err(Stop::Odd(_)) => return Ok(None),
            }
        }
        let place = *pass.place();
        let mut index = Index::new(Arc::clone(&source), Arc::clone(&meter));
        index.frontier = Pass::new(source, meter, place, SLAB_LEN);
        index.map = map;
        index.passed.presumed = place.decompressed;
        index.begin_stretch();
        let is_proven = pass.is_proven();
        Ok((is_proven || index.has_sure_tail()?).then_some((index, is_proven)))
    }

    /// Whether the blocks of the last [`SURE_TAIL`] bytes are as long as they are taken for. The last of a frame is, for it
    /// was sized.
    fn has_sure_tail(&mut self) -> Result<bool, Error> {
        let mut position = self.reached();
        let least = position.saturating_sub(SURE_TAIL);
        while position > least {
            let block = self.block_at(position - 1)?;
            position = block.decompressed;
            if block.kind == BlockKind::Compressed && !self.is_sure(&block)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether a compressed block regenerates what it is taken for.
    fn is_sure(&mut self, block: &Block) -> Result<bool, Error> {
        let (source, maximum) = (Arc::clone(&self.source), block.maximum());
        let size = size_alone(&source, block.compressed, maximum, |field| {
            let Some(setter) = self.setter(block, Inherited::Table(field))? else { return Ok(None) };
            read_sections(&source, setter.compressed, maximum).map(Some)
        });
        match size {
            Ok(size) => Ok(size == block.regenerated),
            Err(Stop::Odd(_) | Stop::Read(Error::Dear { .. })) => Ok(false),
            Err(Stop::Read(error)) => Err(error),
        }
    }

    /// What was passed over.
    pub fn passed(&self) -> Passed {
        self.passed
    }

    /// Decompressed offset up to which the file was passed over.
    pub fn reached(&self) -> u64 {
        self.frontier.place().decompressed
    }

    /// How far the file was passed over: compressed and decompressed offset.
    pub fn frontier(&self) -> (u64, u64) {
        let place = self.frontier.place();
        (place.compressed, place.decompressed)
    }

    /// Decompressed size of the file, once its end was reached.
    pub fn size(&self) -> Option<u64> {
        self.frontier.is_at_end().then(|| self.reached())
    }

    /// The last known start of a frame that is not behind `position`: compressed and decompressed offset.
    pub fn frame_before(&self, position: u64) -> (u64, u64) {
        self.map.frame_before(position)
    }

    /// Start and `Window_Size` of the last known frame that is not behind `position`.
    pub fn window_before(&self, position: u64) -> Result<Option<(u64, u64)>, Error> {
        let (start, _) = self.map.frame_before(position);
        let mut head = [0; MAX_HEADER_LEN];
        let left = usize::try_from(self.source.length() - start).unwrap_or(MAX_HEADER_LEN);
        let head = &mut head[..left.min(MAX_HEADER_LEN)];
        self.source.read_exact_at(start, head)?;
        match FrameStart::parse(head) {
            Ok(FrameStart::Data(header)) => Ok(Some((start, header.window))),
            _ => Ok(None),
        }
    }

    /// Passes over whole frames that say how long they are, until one of them holds the byte at `position`, or another frame
    /// comes.
    pub fn jump(&mut self, position: u64) -> Result<(), Stop> {
        if !self.is_table_known {
            self.table = SeekTable::find(&self.source)?;
            self.is_table_known = true;
        }
        while self.reached() <= position {
            if self.meter.is_stopped() {
                return Err(Stop::Read(Error::Interrupted));
            }
            let start = self.reached();
            if !self.frontier.jump(position, self.table.as_mut())? {
                break;
            }
            self.passed.jumped += self.reached() - start;
            self.begin_stretch();
            self.map.note(self.frontier.place());
            self.meter.advance(self.frontier.place().compressed, 0);
        }
        Ok(())
    }

    /// Passes on until the byte at `position` is passed, or the file ends.
    pub fn advance(&mut self, position: u64) -> Result<(), Stop> {
        loop {
            self.jump(position)?;
            if self.reached() > position {
                return Ok(());
            }
            if self.frontier.is_at_end() {
                self.meter.advance(self.frontier.place().compressed, 0);
                return Ok(());
            }
            let start = self.reached();
            let Index { frontier, map, recent, stretches, .. } = self;
            // With a seek table the next frame may be jumped.
            let most = if self.table.is_some() { 1 } else { usize::MAX };
            frontier.step(most, &mut |block, place| {
                recent.push(block);
                if map.note(place) || recent.blocks.len() == MAX_STRETCH {
                    let passed = std::mem::replace(recent, Stretch::at(recent.end));
                    remember(stretches, passed);
                }
            })?;
            self.passed.sized += self.reached() - start;
            self.passed.sequences += self.frontier.sequences();
            self.meter.advance(self.frontier.place().compressed, 0);
        }
    }

    /// Goes on at the end of a frame that somebody else has read, if it lies ahead.
    pub fn resume(&mut self, compressed: u64, decompressed: u64) {
        if compressed > self.frontier.place().compressed {
            let place = Place { compressed, decompressed, frame: None };
            self.frontier = Pass::new(Arc::clone(&self.source), Arc::clone(&self.meter), place, SLAB_LEN);
            self.begin_stretch();
            self.map.note(&place);
        }
    }

    fn begin_stretch(&mut self) {
        self.recent = Stretch::at(self.reached());
    }

    /// The stretch of blocks that holds the byte at `position`, which was passed.
    fn stretch(&mut self, position: u64) -> Result<&Stretch, Error> {
        if self.recent.contains(position) {
            return Ok(&self.recent);
        }
        if let Some(index) = self.stretches.iter().rposition(|stretch| stretch.contains(position)) {
            let stretch = self.stretches.remove(index).expect("it was found there");
            self.stretches.push_back(stretch);
        } else {
            let found = self.find_again(position)?;
            remember(&mut self.stretches, found);
        }
        Ok(self.stretches.back().expect("it was put there"))
    }

    /// Passes once more over what lies between the places of the map on both sides of `position`.
    fn find_again(&self, position: u64) -> Result<Stretch, Error> {
        let dear = || Error::Dear { position };
        let (place, next, again) = self.map.before(&self.source, position)?.ok_or_else(dear)?;
        let end = next.unwrap_or(u64::MAX).min(self.reached());
        let aside = Arc::new(self.meter.aside());
        if let Again::Full { end: frame_end } = again {
            let mut pass = FullPass::again(Arc::clone(&self.source), aside, place, frame_end);
            let mut stretch = Stretch::at(place.decompressed);
            while stretch.end < end && stretch.blocks.len() < MAX_STRETCH {
                match pass.next(None) {
                    Ok(Some(block)) => stretch.push(&block),
                    Ok(None) => break,
                    Err(Stop::Read(error)) => return Err(error),
                    Err(Stop::Odd(_)) => return Err(dear()),
                }
            }
            return if stretch.contains(position) { Ok(stretch) } else { Err(dear()) };
        }
        let mut pass = Pass::new(Arc::clone(&self.source), aside, place, SHORT_SLAB_LEN);
        let mut stretch = Stretch::at(place.decompressed);
        while pass.place().decompressed < end && !pass.is_at_end() {
            if self.meter.is_stopped() {
                return Err(Error::Interrupted);
            }
            let passed = match pass.jump(position, None) {
                Ok(true) => {
                    stretch = Stretch::at(pass.place().decompressed);
                    Ok(())
                }
                Ok(false) => pass.step(1, &mut |block, _| {
                    if block.decompressed < end && stretch.blocks.len() < MAX_STRETCH {
                        stretch.push(block);
                    }
                }),
                Err(stop) => Err(stop),
            };
            match passed {
                Ok(()) => {}
                Err(Stop::Read(error)) => return Err(error),
                Err(Stop::Odd(_)) => return Err(dear()),
            }
            if stretch.blocks.len() == MAX_STRETCH {
                break;
            }
        }
        if stretch.contains(position) { Ok(stretch) } else { Err(dear()) }
    }
}

impl Index {
    /// As [`Blocks::setter`], of a block before which nobody has looked for it yet.
    fn look_back(&mut self, block: &Block, table: Inherited) -> Result<Option<Block>, Error> {
        let dear = Error::Dear { position: block.decompressed };
        let mut at = *block;
        for _ in 0..MAX_LOOKED_BACK {
            let Some(before) = self.before(&at)? else { return Ok(None) };
            at = before;
            if before.kind != BlockKind::Compressed {
                continue;
            }
            let sections = match read_sections(&self.source, before.compressed, before.maximum()) {
                Ok((sections, _)) => sections,
                Err(Stop::Read(error)) => return Err(error),
                Err(Stop::Odd(_)) => return Err(dear),
            };
            let sets = match table {
                Inherited::Tree => sections.literals.kind == LiteralsKind::Compressed,
                Inherited::Table(field) => sections.sets(field),
            };
            if sets {
                return Ok(Some(before));
            }
        }
        Err(dear)
    }
}

/// Keeps a stretch, and lets go of the oldest where there are too many. The one that was just passed is the one that is asked
/// for.
fn remember(stretches: &mut VecDeque<Stretch>, stretch: Stretch) {
    stretches.push_back(stretch);
    let mut blocks: usize = stretches.iter().map(|stretch| stretch.blocks.len()).sum();
    while blocks > MAX_BLOCKS && stretches.len() > 1 {
        blocks -= stretches.pop_front().map_or(0, |oldest| oldest.blocks.len());
    }
}

impl Blocks for Index {
    fn block_at(&mut self, position: u64) -> Result<Block, Error> {
        let stretch = self.stretch(position)?;
        stretch.blocks.get(stretch.find(position)).copied().ok_or(Error::Dear { position })
    }

    fn before(&mut self, block: &Block) -> Result<Option<Block>, Error> {
        // Blocks that regenerate nothing have no sequences, so that it does not matter that none of them is found.
        if block.decompressed == block.origin { Ok(None) } else { self.block_at(block.decompressed - 1).map(Some) }
    }

    fn setter(&mut self, block: &Block, table: Inherited) -> Result<Option<Block>, Error> {
        let Some(setters) = block.setters else { return self.look_back(block, table) };
        let setter = match table {
            Inherited::Tree => setters.huffman,
            Inherited::Table(field) => setters.fields[field as usize],
        };
        let Some(setter) = setter else { return Ok(None) };
        let compressed = setter.get();
        let mut bytes = [0; BLOCK_HEADER_LEN];
        self.source.read_exact_at(compressed, &mut bytes)?;
        let header = BlockHeader::parse(bytes, crate::zst::format::block::MAX_BLOCK)
            .map_err(|_| Error::Dear { position: block.decompressed })?;
        let content_len = u32::try_from(header.content_len()).expect("at most a block");
        // Only its content is looked at.
        Ok(Some(Block { compressed, kind: BlockKind::Compressed, content_len, regenerated: 0, ..*block }))
    }

    fn content(&mut self, block: &Block, content: &mut Vec<u8>) -> Result<(), Error> {
        content.resize(block.content_len as usize, 0);
        self.source.read_exact_at(block.compressed + BLOCK_HEADER_LEN as u64, content)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_stretch_is_kept_however_many_blocks_it_has() {
        let block = Block {
            compressed: 0,
            decompressed: 0,
            regenerated: 1,
            kind: BlockKind::Raw,
            content_len: 1,
            setters: None,
            origin: 0,
            window: 1024,
        };
        let of = |count: usize| Stretch { start: 0, end: 1, blocks: vec![block; count] };
        let mut stretches = VecDeque::new();
        for (count, kept) in [(1, 1), (MAX_BLOCKS - 1, 2), (1, 2), (MAX_STRETCH, 1), (1, 1)] {
            remember(&mut stretches, of(count));
            assert_eq!(stretches.len(), kept);
            assert_eq!(stretches.back().map(|last| last.blocks.len()), Some(count));
        }
    }
}
