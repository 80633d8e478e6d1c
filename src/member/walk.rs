//! The walk from header to header, and what may stand between, before and after them.

use super::archive::Archive;
use super::blocks::Blocks;
use super::entry::{Entry, Pending, number_error};
use super::error::{Error, Part};
use super::header::{BLOCK, BLOCK_BYTES, ChecksumMismatch, Header, padded, until_nul};
use super::item::Item;
use super::note::Note;
use super::pax::{Records, Scope};
use super::seen::Seen;
use super::sparse::MAX_MAP;
use super::stored::Doubt;

/// The largest extension header that is accepted, sparse maps left out, in bytes.
const MAX_EXTENSION: u64 = 1 << 20;
/// How much is read at once while looking for a header or over the zeros after an archive, in bytes.
const SCAN: usize = 8 << 10;

/// Walks the members of `archive`, from its beginning. Nothing is read yet.
#[must_use]
pub fn walk(archive: &dyn Archive) -> Members<'_> {
    Members {
        blocks: Blocks::new(archive),
        position: 0,
        state: State::Headers,
        global: Records::default(),
        pending: Pending::default(),
        tail: None,
        saw_header: false,
        doubt: Doubt::default(),
        unit: Unit::default(),
    }
}

/// A walk over the members of an archive. It keeps no list of them.
pub struct Members<'a> {
    blocks: Blocks<'a>,
    /// Where to look next.
    position: u64,
    state: State,
    /// What global PAX headers said.
    global: Records,
    /// What the extension headers since the last member said.
    pending: Pending,
    /// What was passed over to come to `position` from the last header, where that is one of `unit`'s.
    tail: Option<Tail>,
    /// Whether a header was met.
    saw_header: bool,
    doubt: Doubt,
    unit: Unit,
}

/// Where a member with its extension headers, or the end of the archive, begins, and how the walk came to it: from here
/// it can be looked at again.
#[derive(Default)]
struct Unit {
    position: u64,
    tail: Option<Tail>,
    saw_magic: bool,
}

#[derive(Clone, Copy)]
enum State {
    /// A header, an end marker or the archive's end comes next.
    Headers,
    /// After a bad header: looking for a good one.
    Lost { bad_offset: u64 },
    /// After an end marker.
    AfterEnd,
    /// After data after the end.
    Drain,
    /// Nothing comes.
    Ended,
}

/// Bytes that were passed over, and may not be there.
struct Tail {
    what: Part,
    offset: u64,
    end: u64,
    path: Vec<u8>,
}

impl Members<'_> {
    /// The next member, note or bad member; `None` at the archive's end. An error ends the walk: the archive could not be read, is cut
    /// short, or is not a tar archive. After the end, and after an error, there is nothing more.
    ///
    /// The data of the last member is passed over, not read. That it is there shows when the next header is looked for, so a member
    /// can be yielded and only then be reported as [`Error::Truncated`].
    #[expect(
        clippy::should_implement_trait,
        reason = "an error ends the walk, which an Iterator of results would not say"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, Error> {
        loop {
            let step = match self.state {
                State::Headers => self.header(),
                State::Lost { bad_offset } => self.look_for_header(bad_offset),
                State::AfterEnd => self.after_end(),
                State::Drain => self.drain(),
                State::Ended => return Ok(None),
            };
            match step {
                Ok(None) => {}
                Ok(Some(Item::Member(member))) => return Ok(Some(Item::Member(member))),
                // What is odd may be the fault of bytes given on trust, and is looked at again before it is told.
                _ if self.looks_again() => {}
                Ok(item) => return Ok(item),
                Err(error) => {
                    self.state = State::Ended;
                    return Err(error);
                }
            }
        }
    }

    /// Goes back to where the member at hand began, and forgets what was read of it, if that may be other than it seemed.
    fn looks_again(&mut self) -> bool {
        if !self.blocks.distrust() {
            return false;
        }
        self.position = self.unit.position;
        self.tail = self.unit.tail.take();
        self.doubt = Doubt::new(self.unit.saw_magic);
        self.state = State::Headers;
        self.pending = Pending::default();
        true
    }

    /// Reads what stands where a header should.
    fn header(&mut self) -> Result<Option<Item>, Error> {
        let offset = self.position;
        if self.pending.offset.is_none() {
            self.unit = Unit { position: offset, tail: self.tail.take(), saw_magic: self.doubt.saw_magic };
        }
        let header = match Seen::of(self.blocks.block(offset, BLOCK)?) {
            Seen::Header(header) => header,
            Seen::Zeros if self.pending.offset.is_some() => return Ok(self.lone_extension()),
            Seen::Zeros => return self.zero_block(),
            Seen::End { len, zeros } => return self.archive_end(len, zeros),
            Seen::Other(_) if offset == 0 => return Err(Error::NotTar { found: BLOCK_BYTES }),
            Seen::Other(ChecksumMismatch { expected, found }) => {
                let error = Error::HeaderChecksum { offset, expected, found };
                return Ok(Some(self.lose(error, offset + BLOCK_BYTES)));
            }
        };
        self.tail = None;
        self.saw_header = true;
        self.doubt.saw_magic |= header.has_magic();
        match header.type_flag() {
            b'L' | b'K' | b'x' | b'X' | b'g' => self.extension(&header),
            _ => self.member(&header),
        }
    }

    /// An extension header: GNU's long name or long link target, PAX records of the next member or of all.
    fn extension(&mut self, header: &Header) -> Result<Option<Item>, Error> {
        let (offset, flag) = (self.position, header.type_flag());
        let start = offset + BLOCK_BYTES;
        let size = match header.size() {
            Ok(size) => size,
            Err(problem) => {
                return Ok(Some(self.lose(number_error(offset, header, &[], problem), start)));
            }
        };
        let Some((end, next)) = padded(start, size) else {
            return Ok(Some(self.lose(Error::SizeOverflow { offset, path: Vec::new(), size }, start)));
        };
        self.position = next;
        let is_pax = matches!(flag, b'x' | b'X');
        let (total, limit) =
            if is_pax { (self.pending.bytes.saturating_add(size), MAX_MAP) } else { (size, MAX_EXTENSION) };
        let too_large = |size, limit| Error::ExtensionTooLarge { offset, path: Vec::new(), kind: flag, size, limit };
        if flag != b'g' {
            self.pending.offset.get_or_insert(offset);
        }
        if total > limit {
            self.tail = Some(Tail { what: Part::Extension, offset, end, path: Vec::new() });
            let error = too_large(total, limit);
            if flag == b'g' {
                return Ok(Some(Item::Bad(error)));
            }
            self.pending.error.get_or_insert(error);
            return Ok(None);
        }
        let body = self.blocks.bytes(start, size)?;
        if (body.len() as u64) < size {
            return Err(Error::Truncated { what: Part::Extension, offset, needed: end, path: Vec::new() });
        }
        match flag {
            b'g' => {
                // What it says stays, so it has to be sure that it is where it seems to be.
                let is_odd =
                    self.pending.offset.is_some() || Records::default().read(&body, start, Scope::Global).is_err();
                if is_odd && self.looks_again() {
                    return Ok(None);
                }
                return Ok(self.global.read(&body, start, Scope::Global).err().map(Item::Bad));
            }
            b'L' => self.pending.long_name = Some(until_nul(&body).to_vec()),
            b'K' => self.pending.long_link = Some(until_nul(&body).to_vec()),
            _ => {
                self.pending.bytes = total;
                let records = &mut self.pending.records;
                let mut error = records.read(&body, start, Scope::Member).err();
                if records.small_bytes > MAX_EXTENSION {
                    error.get_or_insert(too_large(records.small_bytes, MAX_EXTENSION));
                }
                self.pending.error = self.pending.error.take().or(error);
            }
        }
        Ok(None)
    }

    /// A header that is a member's own.
    fn member(&mut self, header: &Header) -> Result<Option<Item>, Error> {
        let offset = self.position;
        let pending = std::mem::take(&mut self.pending);
        let entry = Entry::read(&mut self.blocks, offset, header, pending, &self.global, &mut self.doubt)?;
        let Entry { member, path, stored, next } = entry;
        match next {
            Ok(next) => {
                self.position = next;
                let tail = Tail { what: Part::Data, offset, end: stored.end, path };
                self.tail = (!stored.is_empty()).then_some(tail);
            }
            Err(read) => {
                self.position = read;
                self.state = State::Lost { bad_offset: offset };
            }
        }
        Ok(Some(member.map_or_else(Item::Bad, Item::Member)))
    }

    /// A zero block where a header should be: half of an end marker.
    fn zero_block(&mut self) -> Result<Option<Item>, Error> {
        let offset = self.position;
        self.position += BLOCK_BYTES;
        self.state = match Seen::of(self.blocks.block(self.position, BLOCK)?) {
            Seen::Zeros => {
                self.position += BLOCK_BYTES;
                self.state = State::AfterEnd;
                return Ok(None);
            }
            Seen::Header(_) => State::Headers,
            Seen::Other(_) if !self.saw_header => return Err(Error::NotTar { found: BLOCK_BYTES }),
            Seen::Other(_) | Seen::End { .. } => State::AfterEnd,
        };
        Ok(Some(Item::Note(Note::LoneZeroBlock { offset })))
    }

    /// The archive ends, `len` bytes into a block, where a header should be.
    fn archive_end(&mut self, len: u64, zeros: bool) -> Result<Option<Item>, Error> {
        let offset = self.position;
        // An empty file is not an archive either: GNU tar takes it for an empty one, but a collection has lost one.
        if offset == 0 && (len == 0 || !zeros) {
            return Err(Error::NotTar { found: len });
        }
        if len > 0 && !zeros {
            let needed = offset + BLOCK_BYTES;
            return Err(Error::Truncated { what: Part::Header, offset, needed, path: Vec::new() });
        }
        // Only where nothing could be read here may what was passed over be cut. Its padding may: some tars leave it away at the end.
        let tail = if self.pending.offset.is_none() { &self.unit.tail } else { &self.tail };
        if len == 0
            && let Some(Tail { what, offset, end, path }) = tail
            && !self.blocks.has_byte(end.saturating_sub(1))?
        {
            let (what, offset, needed, path) = (*what, *offset, *end, path.clone());
            return Err(Error::Truncated { what, offset, needed, path });
        }
        if self.pending.offset.is_some() {
            return Ok(self.lone_extension());
        }
        self.state = State::Ended;
        Ok(Some(Item::Note(Note::MissingEndMarker { offset })))
    }

    /// Reports extension headers that no member follows.
    fn lone_extension(&mut self) -> Option<Item> {
        let offset = std::mem::take(&mut self.pending).offset?;
        Some(Item::Bad(Error::LoneExtension { offset }))
    }

    /// Reports an error after which it is not known where the next header is: it is looked for from `next` on.
    fn lose(&mut self, error: Error, next: u64) -> Item {
        self.pending = Pending::default();
        self.tail = None;
        self.state = State::Lost { bad_offset: self.position };
        self.position = next;
        Item::Bad(error)
    }

    /// Looks for the next header, block by block, as GNU tar does ("Skipping to next header").
    fn look_for_header(&mut self, bad_offset: u64) -> Result<Option<Item>, Error> {
        loop {
            let resumed_offset = self.position;
            match Seen::of(self.blocks.block(resumed_offset, SCAN)?) {
                Seen::Header(header) if header.has_magic() || !self.doubt.saw_magic => {
                    self.state = State::Headers;
                    return Ok(Some(Item::Note(Note::Resumed { bad_offset, resumed_offset })));
                }
                Seen::End { .. } => {
                    self.state = State::Ended;
                    return Ok(None);
                }
                Seen::Header(_) | Seen::Zeros | Seen::Other(_) => self.position += BLOCK_BYTES,
            }
        }
    }

    /// Passes over the zeros that follow an end marker, to the archive's end or to what else follows.
    fn after_end(&mut self) -> Result<Option<Item>, Error> {
        loop {
            let offset = self.position;
            match Seen::of(self.blocks.block(offset, SCAN)?) {
                Seen::Zeros => self.position += BLOCK_BYTES,
                Seen::Header(_) if self.looks_again() => return Ok(None),
                Seen::Header(_) => {
                    self.state = State::Headers;
                    self.global = Records::default();
                    return Ok(Some(Item::Note(Note::ArchiveAfterEnd { offset })));
                }
                Seen::End { zeros: true, .. } => {
                    self.state = State::Ended;
                    return Ok(None);
                }
                // Zeros begin a blank disk, too, or one whose first sectors could not be read.
                Seen::End { zeros: false, .. } | Seen::Other(_) if !self.saw_header => {
                    return Err(Error::NotTar { found: BLOCK_BYTES });
                }
                Seen::End { zeros: false, .. } | Seen::Other(_) => {
                    self.state = State::Drain;
                    return Ok(Some(Item::Note(Note::DataAfterEnd { offset })));
                }
            }
        }
    }

    /// Reads to the archive's end, so that whatever decodes it comes to verify it.
    fn drain(&mut self) -> Result<Option<Item>, Error> {
        self.blocks.drain(self.position)?;
        self.state = State::Ended;
        Ok(None)
    }
}
