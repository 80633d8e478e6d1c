//! The way over a file's frames and blocks, by their headers and sizes alone: a slab of the file is read, its blocks are
//! told apart by their headers, and those whose header does not say it are sized, on all processors that are idle.
//!
//! Frames that say how long they are, or of which a seek table does, are jumped: of those only the headers of frame and
//! blocks are read.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use super::Meter;
use super::block::{BLOCK_HEADER_LEN, BlockHeader, BlockKind, Field, LiteralsKind, MAX_BLOCK, Mode, Sections};
use super::error::Error;
use super::fault::Fault;
use super::frame::{FrameHeader, FrameStart, HeaderError, MAX_HEADER_LEN};
use super::lanes::PADDING;
use super::peek::Peek;
use super::seek_table::SeekTable;
use super::size::{self, Descriptions, Job};
use super::source::Source;

/// `Content_Checksum`, RFC 8878 section 3.1.1.
const CHECKSUM_LEN: u64 = 4;
/// Blocks that are looked at together. Of a disk of zeros a slab holds a million, at four bytes each.
const MAX_ITEMS: usize = 4 << 10;
/// Most bytes of a block's table descriptions: 36 + 32 + 53 symbols, of 10 bits each and 2 for each zero.
const DESCRIPTIONS_LEN: usize = 256;
/// What lies in front of the slab: room for the descriptions of three blocks that lie before it, each padded.
const FRONT: usize = PADDING + 3 * (DESCRIPTIONS_LEN + PADDING);
/// Blocks of a frame that is jumped between two looks at whether somebody wants an end.
const JUMP_ROUND: u64 = 1 << 12;
/// Raw blocks at least that long are stepped over by their headers, rather than read along with what follows.
const LONG_RAW: u32 = 16 << 10;
/// What is read at first and after such blocks, and twice as much each time until it is a slab.
const FIRST_READ: usize = 256 << 10;

/// Why a pass cannot go on.
#[derive(Debug)]
pub(super) enum Stop {
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
pub(super) struct Setters {
    /// By [`Field`].
    pub fields: [Option<std::num::NonZeroU64>; 3],
    /// The Huffman table of literals.
    pub huffman: Option<std::num::NonZeroU64>,
}

/// A frame whose end is still to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenFrame {
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
pub(super) struct Place {
    /// Compressed and decompressed offset.
    pub compressed: u64,
    pub decompressed: u64,
    /// The frame that is not at its end there.
    pub frame: Option<OpenFrame>,
}

/// A block that was passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// Compressed offset of its header.
    pub compressed: u64,
    /// Decompressed offset of its content.
    pub decompressed: u64,
    /// Its size.
    pub regenerated: u32,
    pub kind: BlockKind,
    /// Bytes behind its header.
    pub content_len: u32,
    /// The tables in force before it.
    pub setters: Setters,
    /// Decompressed offset and `Window_Size` of its frame.
    pub origin: u64,
    pub window: u64,
}

/// What a scan of headers came upon.
enum Item {
    Frame { start: u64, header: FrameHeader },
    Block { compressed: u64, header: BlockHeader, size: Size, sets: Sets },
    FrameEnd,
}

enum Size {
    Known(u32),
    Job(usize),
}

/// Which tables a block sets.
#[derive(Clone, Copy, Default)]
struct Sets {
    fields: [bool; 3],
    huffman: bool,
}

/// The tables in force while a slab is scanned.
#[derive(Default)]
struct InForce {
    /// By field, whose descriptions: those in the slab, or fetched from before it.
    fields: [Option<usize>; 3],
    has_huffman: bool,
    /// Whether the frame began before the slab: only then can its tables be fetched.
    is_begun_before: bool,
}

/// A piece of the file in memory. `bytes` begins with [`FRONT`] and ends with [`PADDING`].
struct Slab {
    /// Compressed offset of what stands at `bytes[FRONT]`.
    offset: u64,
    bytes: Vec<u8>,
}

impl Slab {
    fn empty() -> Slab {
        Slab { offset: 0, bytes: vec![0; FRONT + PADDING] }
    }

    fn read(&mut self, source: &Source, offset: u64, len: usize) -> Result<(), Error> {
        let left = source.length().saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
        self.offset = offset;
        self.bytes.resize(FRONT + len + PADDING, 0);
        let mut filled = 0;
        while filled < len {
            match source.read_some_at(offset + filled as u64, &mut self.bytes[FRONT + filled..FRONT + len]) {
                Ok(read) => filled += read,
                // What stands before a bad sector can be had.
                Err(_) if filled > 0 => break,
                Err(error) => {
                    self.bytes.truncate(FRONT + PADDING);
                    return Err(error);
                }
            }
        }
        self.bytes.truncate(FRONT + filled + PADDING);
        self.bytes[FRONT + filled..].fill(0);
        Ok(())
    }

    fn end(&self) -> u64 {
        self.offset + (self.bytes.len() - FRONT - PADDING) as u64
    }

    /// Forgets what lies behind a compressed offset within it.
    fn cut(&mut self, offset: u64) {
        if let Some(index) = self.index(offset) {
            self.bytes.truncate(index);
            self.bytes.resize(index + PADDING, 0);
        }
    }

    /// Where the byte at a compressed offset stands in `bytes`, if it does.
    fn index(&self, offset: u64) -> Option<usize> {
        let within = (self.offset..=self.end()).contains(&offset);
        within.then(|| FRONT + usize::try_from(offset - self.offset).expect("within a slab"))
    }

    /// The file's bytes from `index` on.
    fn tail(&self, index: usize) -> &[u8] {
        &self.bytes[index..self.bytes.len() - PADDING]
    }
}

/// A pass over a file, from one place on.
pub(super) struct Pass {
    source: Arc<Source>,
    meter: Arc<Meter>,
    place: Place,
    /// Bytes to be read at once, and as how many that begins.
    slab_len: usize,
    read_len: usize,
    slab: Slab,
    /// The slab that comes next, read while this one was sized.
    ahead: Slab,
    items: Vec<Item>,
    descriptions: Vec<Descriptions>,
    jobs: Vec<Job>,
    sizes: Vec<u32>,
    /// For headers whose surroundings are not wanted.
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
            slab: Slab::empty(),
            ahead: Slab::empty(),
            items: Vec::new(),
            descriptions: Vec::new(),
            jobs: Vec::new(),
            sizes: Vec::new(),
        }
    }

    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Sequences of the blocks that the last step passed.
    pub fn sequences(&self) -> u64 {
        self.jobs.iter().map(|job| u64::from(job.count)).sum()
    }

    /// Whether the file ends here.
    pub fn is_at_end(&self) -> bool {
        self.place.frame.is_none() && self.place.compressed == self.source.length()
    }

    /// Goes on by some blocks, each told to `sink` with the place behind it. After an error it stands where it stood.
    pub fn step(&mut self, sink: &mut impl FnMut(&Block, &Place)) -> Result<(), Stop> {
        let here = self.place.compressed;
        if self.place.frame.is_none()
            && let FrameStart::Skippable { length } = parse_frame(self.peek.at(here, MAX_HEADER_LEN)?)?
        {
            return self.skip(length);
        }
        if self.ahead.offset == here && self.ahead.end() > here {
            std::mem::swap(&mut self.slab, &mut self.ahead);
        }
        if self.slab.index(here).is_none_or(|index| self.slab.tail(index).is_empty()) {
            if self.scan_raw()? {
                self.read_len = FIRST_READ.min(self.slab_len);
                return self.emit(sink);
            }
            self.slab.read(&self.source, here, self.read_len)?;
        }
        let mut cut_at = self.scan()?;
        if self.items.is_empty() {
            // A block that the slab cuts, at its very beginning.
            if here == self.slab.offset {
                return Err(Stop::Odd(Fault::Truncated));
            }
            self.slab.read(&self.source, here, self.read_len)?;
            cut_at = self.scan()?;
            if self.items.is_empty() {
                return Err(Stop::Odd(Fault::Truncated));
            }
        }
        self.read_len = (2 * self.read_len).min(self.slab_len);
        self.size(cut_at)?;
        self.emit(sink)
    }

    /// Takes the long raw blocks that come next, by their headers alone. Whether there are any.
    fn scan_raw(&mut self) -> Result<bool, Stop> {
        self.items.clear();
        self.jobs.clear();
        let Some(frame) = self.place.frame else { return Ok(false) };
        let mut compressed = self.place.compressed;
        while self.items.len() < MAX_ITEMS {
            let Some(bytes) = self.peek.at(compressed, BLOCK_HEADER_LEN)?.first_chunk().copied() else { break };
            let header = BlockHeader::parse(bytes, frame.maximum())?;
            let end = compressed + (BLOCK_HEADER_LEN + header.content_len()) as u64;
            if header.kind != BlockKind::Raw || header.size < LONG_RAW || header.last || end > self.source.length() {
                break;
            }
            self.items.push(Item::Block { compressed, header, size: Size::Known(header.size), sets: Sets::default() });
            compressed = end;
        }
        Ok(!self.items.is_empty())
    }

    /// Tells the blocks of the slab apart. Gives the compressed offset of the one that is not whole in it, if it came to
    /// that.
    fn scan(&mut self) -> Result<Option<u64>, Stop> {
        self.items.clear();
        self.descriptions.clear();
        self.jobs.clear();
        let mut offset = self.place.compressed;
        let mut is_cut = false;
        let mut frame = self.place.frame.map(|frame| (frame.header, frame.maximum()));
        let mut in_force = InForce {
            fields: [None; 3],
            has_huffman: self.place.frame.is_some_and(|frame| frame.setters.huffman.is_some()),
            is_begun_before: frame.is_some(),
        };
        let mut raw_run = 0;
        while self.items.len() < MAX_ITEMS {
            let index = self.slab.index(offset).expect("the scan stays inside the slab");
            let tail = self.slab.tail(index);
            let Some((header, maximum)) = frame else {
                if offset == self.source.length()
                    || (tail.len() < MAX_HEADER_LEN && self.slab.end() < self.source.length())
                {
                    break;
                }
                let header = match parse_frame(tail)? {
                    FrameStart::Data(header) => header,
                    FrameStart::Skippable { length } => match offset.checked_add(length) {
                        Some(end) if end <= self.slab.end() => {
                            offset = end;
                            continue;
                        }
                        // Longer ones are passed between two steps.
                        _ => break,
                    },
                };
                // Whoever goes on from here may want to jump it.
                if header.content_size.is_some() && !self.items.is_empty() {
                    break;
                }
                self.items.push(Item::Frame { start: offset, header });
                frame = Some((header, header.window.min(MAX_BLOCK)));
                in_force = InForce::default();
                offset += header.length;
                continue;
            };
            let Some(bytes) = tail.first_chunk::<BLOCK_HEADER_LEN>() else {
                is_cut = true;
                break;
            };
            let block = BlockHeader::parse(*bytes, maximum)?;
            let is_long_raw = block.kind == BlockKind::Raw && block.size >= LONG_RAW && !block.last;
            raw_run = if is_long_raw { raw_run + 1 } else { 0 };
            if raw_run > 2 {
                // The headers of the next ones are read one by one.
                self.slab.cut(offset);
                break;
            }
            let checksum = if block.last && header.checksum { CHECKSUM_LEN } else { 0 };
            let end = offset + (BLOCK_HEADER_LEN + block.content_len()) as u64;
            if end + checksum > self.slab.end() {
                is_cut = true;
                break;
            }
            let start = index + BLOCK_HEADER_LEN;
            let (size, sets) = if block.kind == BlockKind::Compressed && block.size > 0 {
                self.scan_sections(start..start + block.content_len(), maximum, &mut in_force)?
            } else {
                (Size::Known(block.size), Sets::default())
            };
            self.items.push(Item::Block { compressed: offset, header: block, size, sets });
            offset = end + checksum;
            if block.last {
                self.items.push(Item::FrameEnd);
                frame = None;
            }
        }
        Ok(is_cut.then_some(offset))
    }

    /// Reads the section headers of a compressed block, whose content lies at `content` in the slab.
    fn scan_sections(
        &mut self,
        content: Range<usize>,
        maximum: u64,
        in_force: &mut InForce,
    ) -> Result<(Size, Sets), Stop> {
        let Sections { literals, sequences, tables_at } = Sections::parse(&self.slab.bytes[content.clone()], maximum)?;
        let mut sets = Sets::default();
        match literals.kind {
            LiteralsKind::Compressed => sets.huffman = true,
            LiteralsKind::Treeless if !in_force.has_huffman => return Err(Stop::Odd(Fault::NothingToRepeat)),
            _ => {}
        }
        in_force.has_huffman |= sets.huffman;
        if sequences.count == 0 {
            return Ok((Size::Known(literals.regenerated), sets));
        }
        sets.fields = sequences.modes.map(|mode| mode != Mode::Repeat);
        let own = self.descriptions.len();
        let range = content.start + tables_at..content.end;
        self.descriptions.push(Descriptions { modes: sequences.modes, range });
        let mut job = Job { own, setters: [own; 3], count: sequences.count, literals: literals.regenerated };
        for field in Field::ALL {
            let setter = &mut in_force.fields[field as usize];
            if sets.fields[field as usize] {
                *setter = Some(own);
            } else {
                job.setters[field as usize] = match *setter {
                    Some(known) => known,
                    None if in_force.is_begun_before => *setter.insert(self.fetch(field)?),
                    None => return Err(Stop::Odd(Fault::NothingToRepeat)),
                };
            }
        }
        self.jobs.push(job);
        Ok((Size::Job(self.jobs.len() - 1), sets))
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

    /// Brings the table descriptions of the block that set `field` before the slab to the room in front of it.
    fn fetch(&mut self, field: Field) -> Result<usize, Stop> {
        let frame = self.place.frame.ok_or(Fault::NothingToRepeat)?;
        let setter = frame.setters.fields[field as usize].ok_or(Fault::NothingToRepeat)?;
        let (modes, bytes) = read_descriptions(&self.source, setter.get(), frame.maximum())?;
        let start = PADDING + field as usize * (DESCRIPTIONS_LEN + PADDING);
        let range = start..start + bytes.len();
        self.slab.bytes[range.clone()].copy_from_slice(&bytes);
        self.descriptions.push(Descriptions { modes, range });
        Ok(self.descriptions.len() - 1)
    }

    /// Sizes what has to be, while the next slab is read.
    fn size(&mut self, cut_at: Option<u64>) -> Result<(), Stop> {
        let Pass { source, slab, ahead, jobs, descriptions, sizes, slab_len, .. } = self;
        sizes.clear();
        sizes.resize(jobs.len(), 0);
        let threads = rayon::current_num_threads();
        // With one thread in one piece, otherwise in pieces that are worth their while.
        let chunk = if threads == 1 { jobs.len() } else { jobs.len().div_ceil(4 * threads).max(12) };
        let work = || {
            let chunks = jobs.par_chunks(chunk.max(1)).zip(sizes.par_chunks_mut(chunk.max(1)));
            chunks.try_for_each(|(jobs, sizes)| size::size_blocks(&slab.bytes, descriptions, jobs, sizes))
        };
        // Short slabs are those at the beginning and after raw blocks, and it is not known yet that the next is wanted.
        let is_full = slab.end() - slab.offset == *slab_len as u64;
        let next = cut_at.filter(|_| is_full && slab.end() < source.length());
        let read_ahead = || next.map_or(Ok(()), |next| ahead.read(source, next, *slab_len));
        let (sized, _read) = rayon::join(work, read_ahead);
        // A read that failed is tried again, and reported, when its bytes are wanted.
        sized.map_err(|(_, fault)| Stop::Odd(fault))
    }

    /// Walks the items, now that the size of each is known.
    fn emit(&mut self, sink: &mut impl FnMut(&Block, &Place)) -> Result<(), Stop> {
        let mut last = None;
        for item in &self.items {
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
                        Size::Job(job) => self.sizes[job],
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
                        setters: frame.setters,
                        origin: frame.origin,
                        window: frame.header.window,
                    };
                    let this = std::num::NonZeroU64::new(compressed);
                    for (setter, sets) in frame.setters.fields.iter_mut().zip(sets.fields) {
                        if sets {
                            *setter = this;
                        }
                    }
                    if sets.huffman {
                        frame.setters.huffman = this;
                    }
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
        if self.place.frame.is_some() || start == self.source.length() {
            return Ok(false);
        }
        let header = match parse_frame(self.peek.at(start, MAX_HEADER_LEN)?)? {
            FrameStart::Data(header) => header,
            FrameStart::Skippable { length } => return self.skip(length).map(|()| true),
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
        for count in 1u64.. {
            if count.is_multiple_of(JUMP_ROUND) {
                self.meter.advance(offset, 0);
                if self.meter.is_stopped() {
                    return Err(Stop::Read(Error::Interrupted));
                }
            }
            let bytes = *self.peek.at(offset, BLOCK_HEADER_LEN)?.first_chunk().ok_or(Fault::Truncated)?;
            let block = BlockHeader::parse(bytes, maximum)?;
            offset += (BLOCK_HEADER_LEN + block.content_len()) as u64;
            match block.kind {
                BlockKind::Raw | BlockKind::Rle => known += u64::from(block.size),
                BlockKind::Compressed => open += 1,
            }
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
        self.place = Place { compressed: offset, decompressed: end, frame: None };
        Ok(true)
    }
}

/// The beginning of a frame, as far as it can be passed.
fn parse_frame(bytes: &[u8]) -> Result<FrameStart, Fault> {
    match FrameStart::parse(bytes) {
        Ok(FrameStart::Data(FrameHeader { dictionary: Some(_), .. })) => Err(Fault::Dictionary),
        Ok(start) => Ok(start),
        Err(HeaderError::Incomplete) => Err(Fault::Truncated),
        Err(HeaderError::NotAFrame | HeaderError::ReservedBit) => Err(Fault::NotAFrame),
    }
}

/// The modes and the first bytes of the table descriptions of the block whose header stands at a compressed offset.
fn read_descriptions(source: &Source, offset: u64, maximum: u64) -> Result<([Mode; 3], Vec<u8>), Stop> {
    let mut header = [0; BLOCK_HEADER_LEN];
    source.read_exact_at(offset, &mut header)?;
    let block = BlockHeader::parse(header, maximum)?;
    let mut content = vec![0; block.content_len()];
    source.read_exact_at(offset + BLOCK_HEADER_LEN as u64, &mut content)?;
    let sections = Sections::parse(&content, maximum)?;
    let descriptions = &content[sections.tables_at..];
    Ok((sections.sequences.modes, descriptions[..descriptions.len().min(DESCRIPTIONS_LEN)].to_vec()))
}

#[cfg(test)]
mod tests;
