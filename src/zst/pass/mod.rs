//! The way over a file's frames and blocks, by their headers and sizes alone: a slab of the file is read, its blocks are
//! told apart by their headers, and those whose header does not say it are sized.
//!
//! On all processors that are idle: each thread takes the next slab when it is done with its own, reads it and tells its
//! blocks apart while no other does, for one slab begins where the one before it says, and sizes them while others go on.
//! So the bytes that a thread sizes are in its own cache, and it waits for the others but once in many slabs, when it is
//! told in order what all have passed.
//!
//! Frames that say how long they are, or of which a seek table does, are jumped: of those only the headers of frame and
//! blocks are read. So it is with frames whose blocks are all full but the last, see [`full`].

pub(super) mod alone;
pub(super) mod batch;
pub(super) mod full;
pub(super) mod lanes;
pub(super) mod map;
pub(super) mod peek;
pub(super) mod place;
pub(super) mod seek_table;
pub(super) mod size;
pub(super) mod slab;
mod threads;

use std::sync::{Arc, Mutex, PoisonError};

use self::alone::size_alone;
use crate::zst::error::Error;
use crate::zst::format::block::{BLOCK_HEADER_LEN, BlockHeader, BlockKind, MAX_BLOCK};
use crate::zst::format::fault::Fault;
use crate::zst::format::frame::{FrameStart, MAX_HEADER_LEN};
use crate::zst::meter::Meter;
use crate::zst::pass::batch::{Batch, CHECKSUM_LEN, Feed, Item, Size, parse_frame};
use crate::zst::pass::peek::Peek;
use crate::zst::pass::place::{Block, OpenFrame, Place, Setters, Stop};
use crate::zst::pass::seek_table::SeekTable;
use crate::zst::pass::slab::Slab;
use crate::zst::source::{Source, Tail};
use crate::zst::tail;

/// Blocks of a frame that is jumped between two looks at whether the run is to end.
const JUMP_ROUND: u64 = 1 << 12;
/// What is read at first and after long raw blocks, and twice as much each time until it is a slab.
const FIRST_READ: usize = 256 << 10;
/// Slabs that each thread takes in one step, on average: at its end all wait for the last of them. And slabs of a step,
/// of each of which there are 160 KB of blocks at most, to be told when all before them are sized.
const SLABS_PER_THREAD: usize = 16;
const MAX_SLABS: usize = 64;

/// A batch whose blocks were sized.
#[derive(Default)]
struct Sized {
    /// Its place among those of the step.
    index: usize,
    batch: Batch,
    sizes: Vec<u32>,
    outcome: Option<Fault>,
}

/// A pass over a file, from one place on.
pub(in crate::zst) struct Pass {
    source: Arc<Source>,
    meter: Arc<Meter>,
    place: Place,
    /// Bytes to be read at once, and as how many that begins.
    slab_len: usize,
    read_len: usize,
    /// Slabs to be read in one step.
    slabs: usize,
    /// A slab a thread, and what was made of them: kept for the next step.
    spare_slabs: Mutex<Vec<Slab>>,
    spare_batches: Mutex<Vec<Sized>>,
    /// Sequences of the blocks that the last step passed.
    sequences: u64,
    peek: Peek,
}

impl Pass {
    /// A pass that reads `slab_len` bytes at once, at least a block. Nothing is read yet.
    pub fn new(source: Arc<Source>, meter: Arc<Meter>, place: Place, slab_len: usize) -> Pass {
        Pass {
            peek: Peek::new(Arc::clone(&source)),
            source,
            meter,
            place,
            slab_len,
            read_len: FIRST_READ.min(slab_len),
            slabs: 1,
            spare_slabs: Mutex::default(),
            spare_batches: Mutex::default(),
            sequences: 0,
        }
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Sequences of the blocks that the last step passed.
    pub fn sequences(&self) -> u64 {
        self.sequences
    }

    /// Whether the file ends here.
    pub fn is_at_end(&self) -> bool {
        self.place.frame.is_none() && self.source.is_end(self.place.compressed)
    }

    /// Goes on by some blocks, each told to `sink` with the place behind it: those of one slab, or of up to `most`, if it
    /// comes to that, which are read by one thread at a time and sized by all that are idle. After an error it stands
    /// behind the last block that was told.
    pub fn step(&mut self, most: usize, sink: &mut impl FnMut(&Block, &Place)) -> Result<(), Stop> {
        self.sequences = 0;
        let here = self.place.compressed;
        if self.place.frame.is_none() {
            match parse_frame(self.peek.at(here, MAX_HEADER_LEN)?) {
                Ok(FrameStart::Data(_)) => {}
                Ok(FrameStart::Skippable { length }) => return self.skip(length),
                Err(_) if here > 0 && tail::at(&self.source, &self.meter, here)? == Tail::Zeros => return Ok(()),
                Err(fault) => return Err(Stop::Odd(fault)),
            }
        }
        let threads = threads::count();
        let most = if threads == 1 { 1 } else { self.slabs.min(most) };
        let mut passed = self.size(most, threads.min(most))?;
        for Sized { batch, sizes, outcome, index } in &passed {
            match outcome {
                Some(fault) if *index == 0 => return Err(Stop::Odd(*fault)),
                // It is found again when the next step begins with it.
                Some(_) => break,
                None => self.emit(batch, sizes, sink)?,
            }
            self.sequences += batch.jobs.iter().map(|job| u64::from(job.count)).sum::<u64>();
        }
        self.grow(passed.iter().all(|sized| sized.batch.is_raw()), threads);
        lock(&self.spare_batches).append(&mut passed);
        Ok(())
    }

    /// Reads on and sizes what it read, up to `most` slabs, in as many threads as `workers`; in the order of the file.
    fn size(&mut self, most: usize, workers: usize) -> Result<Vec<Sized>, Stop> {
        let Pass { source, meter, place, read_len, spare_slabs, spare_batches, peek, .. } = self;
        // The first batch may go on in a slab that is there.
        lock(spare_slabs).sort_by_key(|slab| slab.has(place.compressed));
        let feed = Mutex::new(Feed::new(source, meter, peek, place, *read_len, most));
        let (passed, stopped) = (Mutex::new(Vec::with_capacity(most)), Mutex::new(None));
        let work = || {
            let mut slab = lock(spare_slabs).pop().unwrap_or_else(Slab::empty);
            loop {
                let mut sized = lock(spare_batches).pop().unwrap_or_default();
                let mut feed = lock(&feed);
                sized.index = feed.given();
                match feed.next(&mut slab, &mut sized.batch) {
                    Ok(true) => drop(feed),
                    Err(stop) if sized.index == 0 => {
                        *lock(&stopped) = Some(stop);
                        break;
                    }
                    // Behind what is passed first, a fault is found again by the step that begins with it.
                    Ok(false) | Err(_) => break,
                }
                let Sized { batch, sizes, outcome, .. } = &mut sized;
                sizes.clear();
                sizes.resize(batch.jobs.len(), 0);
                *outcome = size::size_blocks(&slab.bytes, &batch.descriptions, &batch.jobs, sizes)
                    .err()
                    .map(|(_, fault)| fault);
                lock(&passed).push(sized);
            }
            lock(spare_slabs).push(slab);
        };
        threads::each(workers, work);
        if let Some(stop) = stopped.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(stop);
        }
        let mut passed = passed.into_inner().unwrap_or_else(PoisonError::into_inner);
        passed.sort_unstable_by_key(|sized: &Sized| sized.index);
        Ok(passed)
    }

    /// Reads more in the next step, for what was passed says that more will be; little behind long raw blocks, for it is
    /// not known yet what is there.
    fn grow(&mut self, was_raw: bool, threads: usize) {
        if was_raw {
            (self.read_len, self.slabs) = (FIRST_READ.min(self.slab_len), 1);
        } else if self.read_len < self.slab_len {
            self.read_len = (2 * self.read_len).min(self.slab_len);
        } else {
            self.slabs = (2 * self.slabs).min(threads * SLABS_PER_THREAD).min(MAX_SLABS);
        }
    }

    /// Passes over a skippable frame of that length.
    fn skip(&mut self, length: u64) -> Result<(), Stop> {
        let end = self.place.compressed.saturating_add(length);
        if end > self.source.length() {
            return Err(Stop::Odd(Fault::Truncated));
        }
        self.place.compressed = end;
        Ok(())
    }

    /// Walks the items, now that the size of each is known.
    fn emit(&mut self, batch: &Batch, sizes: &[u32], sink: &mut impl FnMut(&Block, &Place)) -> Result<(), Stop> {
        let mut last = None;
        for item in &batch.items {
            match *item {
                Item::Frame { start, header } => {
                    let setters = Setters::default();
                    self.place.frame = Some(OpenFrame { start, origin: self.place.decompressed, header, setters });
                    self.place.compressed = start + header.length;
                }
                Item::Block { compressed, header, ref size, sets } => {
                    let frame = self.place.frame.as_mut().expect("a block comes after its frame");
                    let regenerated = match *size {
                        Size::Known(size) => size,
                        Size::Job(job) => sizes[job],
                    };
                    if u64::from(regenerated) > frame.maximum() {
                        return Err(Stop::Odd(Fault::BlockTooLarge));
                    }
                    let content_len = header.content_len();
                    let block = Block {
                        compressed,
                        decompressed: self.place.decompressed,
                        regenerated,
                        kind: header.kind,
                        content_len: u32::try_from(content_len).expect("at most a block"),
                        setters: Some(frame.setters),
                        origin: frame.origin,
                        window: frame.header.window,
                    };
                    frame.setters.set(compressed, sets);
                    let end = block.decompressed.checked_add(regenerated.into()).ok_or(Fault::ContentSize)?;
                    self.place.decompressed = end;
                    self.place.compressed = compressed + (BLOCK_HEADER_LEN + content_len) as u64;
                    // Behind the last block the place is that between two frames.
                    if header.last {
                        last = Some(block);
                    } else {
                        sink(&block, &self.place);
                    }
                }
                Item::FrameEnd => {
                    let frame = self.place.frame.take().expect("a frame ends once");
                    let len = self.place.decompressed - frame.origin;
                    if frame.header.content_size.is_some_and(|size| size != len) {
                        return Err(Stop::Odd(Fault::ContentSize));
                    }
                    self.place.compressed += if frame.header.checksum { CHECKSUM_LEN } else { 0 };
                    if let Some(block) = last.take() {
                        sink(&block, &self.place);
                    }
                }
            }
        }
        Ok(())
    }

    /// Passes over one frame by the headers of its blocks, if it says how long it is, or `table` does, and ends at `limit`
    /// or before it, decompressed. Skippable frames are passed over in any case. Whether it did.
    pub fn jump(&mut self, limit: u64, table: Option<&mut SeekTable>) -> Result<bool, Stop> {
        let start = self.place.compressed;
        if self.place.frame.is_some() || self.is_at_end() {
            return Ok(false);
        }
        let header = match parse_frame(self.peek.at(start, MAX_HEADER_LEN)?) {
            Ok(FrameStart::Data(header)) => header,
            Ok(FrameStart::Skippable { length }) => return self.skip(length).map(|()| true),
            // Whether that is the end, a step finds out.
            Err(_) => return Ok(false),
        };
        let entry = match table {
            Some(table) => table.entry_at(&self.source, start)?,
            None => None,
        };
        let Some(size) = header.content_size.or(entry.map(|entry| entry.decompressed)) else { return Ok(false) };
        let Some(end) = self.place.decompressed.checked_add(size).filter(|&end| end <= limit) else { return Ok(false) };
        let maximum = header.window.min(MAX_BLOCK);
        let mut offset = start + header.length;
        // What its blocks say outright, and how many do not.
        let (mut known, mut open) = (0u64, 0u64);
        let mut last = None;
        for count in 1u64.. {
            if count.is_multiple_of(JUMP_ROUND) {
                self.meter.advance(offset, 0);
                if self.meter.is_stopped() {
                    return Err(Stop::Read(Error::Interrupted));
                }
            }
            let bytes = *self.peek.at(offset, BLOCK_HEADER_LEN)?.first_chunk().ok_or(Fault::Truncated)?;
            let block = BlockHeader::parse(bytes, maximum)?;
            match block.kind {
                BlockKind::Raw | BlockKind::Rle => known += u64::from(block.size),
                BlockKind::Compressed => open += 1,
            }
            if block.last {
                last = Some((offset, block));
            }
            offset += (BLOCK_HEADER_LEN + block.content_len()) as u64;
            if block.last {
                break;
            }
        }
        offset += if header.checksum { CHECKSUM_LEN } else { 0 };
        if offset > self.source.length() {
            return Err(Stop::Odd(Fault::Truncated));
        }
        let fits = (known..=known.saturating_add(open * maximum)).contains(&size);
        if header.content_size.is_some() && !fits {
            return Err(Stop::Odd(Fault::ContentSize));
        }
        let is_as_said = entry.is_none_or(|entry| entry.compressed == offset - start && entry.decompressed == size);
        if !fits || !is_as_said {
            // The table is wrong about it: then it is sized.
            return Ok(false);
        }
        if header.content_size.is_none() {
            // The table alone says it: that is believed where all blocks are full but the last, and that has the rest.
            let full = match last {
                Some((at, block)) if block.kind == BlockKind::Compressed => {
                    match size_alone(&self.source, at, maximum, |_| Ok(None)) {
                        Ok(len) => Some(u64::from(len) + (open - 1) * maximum),
                        Err(Stop::Odd(_)) => None,
                        Err(stop) => return Err(stop),
                    }
                }
                _ => Some(open * maximum),
            };
            if full.is_none_or(|full| known + full != size) {
                return Ok(false);
            }
        }
        self.place = Place { compressed: offset, decompressed: end, frame: None };
        Ok(true)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
