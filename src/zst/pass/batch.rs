//! What a piece of a file holds, told apart by headers alone: frames, blocks, and what has to be sized of them.

use std::ops::Range;

use crate::zst::format::block::{
    BLOCK_HEADER_LEN, BlockHeader, BlockKind, Field, LiteralsKind, MAX_BLOCK, Mode, Sections,
};
use crate::zst::format::fault::Fault;
use crate::zst::format::frame::{FrameHeader, FrameStart, HeaderError, MAX_HEADER_LEN};
use crate::zst::meter::Meter;
use crate::zst::pass::alone::read_sections;
use crate::zst::pass::lanes::PADDING;
use crate::zst::pass::peek::Peek;
use crate::zst::pass::place::{Place, Sets, Setters, Stop};
use crate::zst::pass::size::{Descriptions, Job};
use crate::zst::pass::slab::{DESCRIPTIONS_LEN, Slab};
use crate::zst::source::Source;

/// `Content_Checksum`, RFC 8878 section 3.1.1.
pub(in crate::zst) const CHECKSUM_LEN: u64 = 4;
/// Blocks that are looked at together. Of a disk of zeros a slab holds 250,000, at four bytes each.
const MAX_ITEMS: usize = 1 << 10;
/// Raw blocks at least that long are stepped over by their headers, rather than read along with what follows.
const LONG_RAW: u32 = 16 << 10;

/// What a scan of headers came upon.
pub(in crate::zst) enum Item {
    Frame { start: u64, header: FrameHeader },
    Block { compressed: u64, header: BlockHeader, size: Size, sets: Sets },
    FrameEnd,
}

pub(in crate::zst) enum Size {
    Known(u32),
    Job(usize),
}

/// What follows each other in a file.
#[derive(Default)]
pub(in crate::zst) struct Batch {
    pub items: Vec<Item>,
    /// Of the blocks that have to be sized, and of those whose tables they use.
    pub descriptions: Vec<Descriptions>,
    pub jobs: Vec<Job>,
    is_raw: bool,
}

impl Batch {
    /// Whether it was passed by headers that were read one by one.
    pub fn is_raw(&self) -> bool {
        self.is_raw
    }

    fn clear(&mut self) {
        self.items.clear();
        self.descriptions.clear();
        self.jobs.clear();
        self.is_raw = false;
    }
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

/// A frame that is not at its end.
struct Open {
    header: FrameHeader,
    setters: Setters,
}

impl Open {
    fn maximum(&self) -> u64 {
        self.header.window.min(MAX_BLOCK)
    }
}

/// Gives a file batch by batch, each with the slab in which it lies, until `most` were given or something comes that is
/// better looked at when all before it is known.
pub(in crate::zst) struct Feed<'a> {
    source: &'a Source,
    meter: &'a Meter,
    /// For headers whose surroundings are not wanted.
    peek: &'a mut Peek,
    /// Bytes to be read at once.
    len: usize,
    most: usize,
    given: usize,
    is_closed: bool,
    /// Compressed offset at which the next batch begins, and the frame it begins in.
    offset: u64,
    frame: Option<Open>,
}

impl<'a> Feed<'a> {
    /// A feed from `place` on, which is not the end of the file, nor in front of a skippable frame.
    pub fn new(
        source: &'a Source,
        meter: &'a Meter,
        peek: &'a mut Peek,
        place: &Place,
        len: usize,
        most: usize,
    ) -> Feed<'a> {
        let frame = place.frame.map(|frame| Open { header: frame.header, setters: frame.setters });
        Feed { source, meter, peek, len, most, given: 0, is_closed: false, offset: place.compressed, frame }
    }

    /// Batches given so far.
    pub fn given(&self) -> usize {
        self.given
    }

    /// Makes `batch` the next one, and `slab` what it lies in; false if there is none. The first goes on in `slab` if it
    /// begins there. Long raw blocks are a batch that needs no slab.
    pub fn next(&mut self, slab: &mut Slab, batch: &mut Batch) -> Result<bool, Stop> {
        if self.is_closed || self.meter.is_stopped() {
            return Ok(false);
        }
        // Whatever goes wrong, nothing comes behind it.
        self.is_closed = true;
        let has_more = if slab.has(self.offset) {
            self.scan(slab, batch)?
        } else if self.scan_raw(batch)? {
            false
        } else {
            slab.read(self.source, self.offset, self.len)?;
            self.scan(slab, batch)?
        };
        self.given += 1;
        self.is_closed = !has_more || self.given == self.most;
        self.meter.advance(self.offset, 0);
        Ok(true)
    }

    /// Tells the blocks of the slab apart. Whether its end was reached, and more follows.
    fn scan(&mut self, slab: &mut Slab, batch: &mut Batch) -> Result<bool, Stop> {
        let here = self.offset;
        let is_cut = self.scan_slab(slab, batch)?;
        if !batch.items.is_empty() {
            return Ok(is_cut);
        }
        // A block that the slab cuts, at its very beginning.
        if here == slab.offset {
            return Err(Stop::Odd(Fault::Truncated));
        }
        slab.read(self.source, here, self.len)?;
        let is_cut = self.scan_slab(slab, batch)?;
        if batch.items.is_empty() { Err(Stop::Odd(Fault::Truncated)) } else { Ok(is_cut) }
    }

    /// Takes the long raw blocks that come next, by their headers alone. Whether there are any.
    fn scan_raw(&mut self, batch: &mut Batch) -> Result<bool, Stop> {
        batch.clear();
        let Some(frame) = &self.frame else { return Ok(false) };
        while batch.items.len() < MAX_ITEMS {
            let Some(bytes) = self.peek.at(self.offset, BLOCK_HEADER_LEN)?.first_chunk().copied() else { break };
            let header = BlockHeader::parse(bytes, frame.maximum())?;
            let end = self.offset + (BLOCK_HEADER_LEN + header.content_len()) as u64;
            if header.kind != BlockKind::Raw || header.size < LONG_RAW || header.last || end > self.source.length() {
                break;
            }
            let (compressed, size, sets) = (self.offset, Size::Known(header.size), Sets::default());
            batch.items.push(Item::Block { compressed, header, size, sets });
            self.offset = end;
        }
        batch.is_raw = !batch.items.is_empty();
        Ok(batch.is_raw)
    }

    /// Tells the blocks of the slab apart, from where the feed stands. Whether it came to one that is not whole in it.
    fn scan_slab(&mut self, slab: &mut Slab, batch: &mut Batch) -> Result<bool, Stop> {
        batch.clear();
        let mut in_force = InForce {
            fields: [None; 3],
            has_huffman: self.frame.as_ref().is_some_and(|frame| frame.setters.huffman.is_some()),
            is_begun_before: self.frame.is_some(),
        };
        let mut raw_run = 0;
        while batch.items.len() < MAX_ITEMS {
            let index = slab.index(self.offset).expect("the scan stays inside the slab");
            let tail = slab.tail(index);
            let Some(frame) = &mut self.frame else {
                if !self.begin_frame(slab, index, batch)? {
                    return Ok(false);
                }
                in_force = InForce::default();
                continue;
            };
            let Some(bytes) = tail.first_chunk::<BLOCK_HEADER_LEN>() else { return Ok(true) };
            let block = BlockHeader::parse(*bytes, frame.maximum())?;
            let is_long_raw = block.kind == BlockKind::Raw && block.size >= LONG_RAW && !block.last;
            raw_run = if is_long_raw { raw_run + 1 } else { 0 };
            if raw_run > 2 {
                // The headers of the next ones are read one by one.
                slab.cut(self.offset);
                return Ok(false);
            }
            let checksum = if block.last && frame.header.checksum { CHECKSUM_LEN } else { 0 };
            let end = self.offset + (BLOCK_HEADER_LEN + block.content_len()) as u64;
            if end + checksum > slab.end() {
                return Ok(true);
            }
            let start = index + BLOCK_HEADER_LEN;
            let (size, sets) = if block.kind == BlockKind::Compressed && block.size > 0 {
                scan_sections(self.source, slab, start..start + block.content_len(), frame, &mut in_force, batch)?
            } else {
                (Size::Known(block.size), Sets::default())
            };
            frame.setters.set(self.offset, sets);
            batch.items.push(Item::Block { compressed: self.offset, header: block, size, sets });
            self.offset = end + checksum;
            if block.last {
                batch.items.push(Item::FrameEnd);
                self.frame = None;
            }
        }
        Ok(false)
    }

    /// Goes on into the frame that begins at `index` of the slab, behind skippable ones that end there. False where that is
    /// not for this batch.
    fn begin_frame(&mut self, slab: &Slab, index: usize, batch: &mut Batch) -> Result<bool, Stop> {
        let mut tail = slab.tail(index);
        loop {
            let is_short = tail.len() < MAX_HEADER_LEN && slab.end() < self.source.length();
            if is_short || self.offset == self.source.length() {
                return Ok(false);
            }
            let start = match parse_frame(tail) {
                // It may be the end, which the next step finds out.
                Err(_) if !batch.items.is_empty() => return Ok(false),
                start => start?,
            };
            match start {
                FrameStart::Skippable { length } => {
                    let rest = usize::try_from(length).ok().and_then(|length| tail.get(length..));
                    // Longer ones are passed between two steps.
                    let Some(rest) = rest else { return Ok(false) };
                    self.offset += length;
                    tail = rest;
                }
                // Whoever goes on from here may want to jump it.
                FrameStart::Data(header) if header.content_size.is_some() && !batch.items.is_empty() => {
                    return Ok(false);
                }
                FrameStart::Data(header) => {
                    batch.items.push(Item::Frame { start: self.offset, header });
                    self.frame = Some(Open { header, setters: Setters::default() });
                    self.offset += header.length;
                    return Ok(true);
                }
            }
        }
    }
}

/// Reads the section headers of a compressed block of `frame`, whose content lies at `content` in the slab.
fn scan_sections(
    source: &Source,
    slab: &mut Slab,
    content: Range<usize>,
    frame: &Open,
    in_force: &mut InForce,
    batch: &mut Batch,
) -> Result<(Size, Sets), Stop> {
    let Sections { literals, sequences, tables_at } = Sections::parse(&slab.bytes[content.clone()], frame.maximum())?;
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
    let own = batch.descriptions.len();
    let range = content.start + tables_at..content.end;
    batch.descriptions.push(Descriptions { modes: sequences.modes, range });
    let mut job = Job { own, setters: [own; 3], count: sequences.count, literals: literals.regenerated };
    for field in Field::ALL {
        let setter = &mut in_force.fields[field as usize];
        if sets.fields[field as usize] {
            *setter = Some(own);
        } else {
            job.setters[field as usize] = match *setter {
                Some(known) => known,
                None if in_force.is_begun_before => *setter.insert(fetch(source, slab, frame, field, batch)?),
                None => return Err(Stop::Odd(Fault::NothingToRepeat)),
            };
        }
    }
    batch.jobs.push(job);
    Ok((Size::Job(batch.jobs.len() - 1), sets))
}

/// Brings the table descriptions of the block that set `field` before the slab to the room in front of it.
fn fetch(source: &Source, slab: &mut Slab, frame: &Open, field: Field, batch: &mut Batch) -> Result<usize, Stop> {
    let setter = frame.setters.fields[field as usize].ok_or(Fault::NothingToRepeat)?;
    let (sections, content) = read_sections(source, setter.get(), frame.maximum())?;
    let bytes = content.get(sections.tables_at..).unwrap_or_default();
    let bytes = &bytes[..bytes.len().min(DESCRIPTIONS_LEN)];
    let start = PADDING + field as usize * (DESCRIPTIONS_LEN + PADDING);
    let range = start..start + bytes.len();
    slab.bytes[range.clone()].copy_from_slice(bytes);
    batch.descriptions.push(Descriptions { modes: sections.sequences.modes, range });
    Ok(batch.descriptions.len() - 1)
}

/// The beginning of a frame, as far as it can be passed.
pub(in crate::zst) fn parse_frame(bytes: &[u8]) -> Result<FrameStart, Fault> {
    match FrameStart::parse(bytes) {
        Ok(FrameStart::Data(FrameHeader { dictionary: Some(_), .. })) => Err(Fault::Dictionary),
        Ok(start) => Ok(start),
        Err(HeaderError::Incomplete) => Err(Fault::Truncated),
        Err(HeaderError::NotAFrame | HeaderError::ReservedBit) => Err(Fault::NotAFrame),
    }
}
