//! One block, opened: its sequences, and its literals once somebody wants them. And the trait that says where blocks
//! come from.

use std::collections::VecDeque;

use crate::zst::error::Error;
use crate::zst::format::block::{BlockKind, Field, LiteralsKind, Mode, Sections};
use crate::zst::format::fault::Fault;
use crate::zst::format::fse::Tables;
use crate::zst::format::literals;
use crate::zst::format::sequences::{Sequence, Sequences};
use crate::zst::pass::place::Block;

/// What opened blocks may take up in memory while they wait to be used again, and how many they may be: they are
/// searched one by one.
const CACHE_LEN: usize = 4 << 20;
const CACHE_BLOCKS: usize = 64;

/// A table that blocks take over from earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) enum Inherited {
    /// The Huffman tree of `Treeless_Literals_Block`.
    Tree,
    /// The FSE table of `Repeat_Mode`.
    Table(Field),
}

/// Where blocks come from.
pub(in crate::zst) trait Blocks {
    /// The block that holds the decompressed offset `position` of the file.
    fn block_at(&mut self, position: u64) -> Result<Block, Error>;

    /// The block in front of `block` in its frame, `None` at the frame's start. Raw and RLE blocks may be left out.
    fn before(&mut self, block: &Block) -> Result<Option<Block>, Error>;

    /// The last block before `block` in its frame that set this table: for [`Inherited::Tree`], the last one with
    /// [`LiteralsKind::Compressed`]; for a field, the last one that has sequences and a mode other than
    /// [`Mode::Repeat`].
    fn setter(&mut self, block: &Block, table: Inherited) -> Result<Option<Block>, Error>;

    /// Makes `content` what follows the block's header.
    fn content(&mut self, block: &Block, content: &mut Vec<u8>) -> Result<(), Error>;
}

/// Why a block cannot be opened.
#[derive(Debug)]
pub(in crate::zst) enum OpenError {
    /// It breaks a rule.
    Fault(Fault),
    /// It cannot be read.
    Read(Error),
}

impl From<Fault> for OpenError {
    fn from(fault: Fault) -> OpenError {
        OpenError::Fault(fault)
    }
}

impl From<Error> for OpenError {
    fn from(error: Error) -> OpenError {
        OpenError::Read(error)
    }
}

/// The literals of a block.
pub(in crate::zst) enum Literals {
    /// They, one after the other.
    Bytes(Vec<u8>),
    /// The same byte each time.
    Same(u8),
}

/// An opened block.
pub(in crate::zst) struct Opened {
    block: Block,
    /// Its sequences; a raw or RLE block has none, and all of it is literals.
    pub sequences: Sequences,
    /// The repeat offsets at its start, once somebody found them out.
    pub repeats: Option<[u32; 3]>,
    literals: Option<Literals>,
}

/// Opens blocks. What it needs for that is kept from one to the next.
pub(in crate::zst) struct Opener {
    tables: Tables,
    content: Vec<u8>,
    recent: VecDeque<Opened>,
    recent_len: usize,
}

impl Opener {
    pub fn new() -> Opener {
        Opener { tables: Tables::new(), content: Vec::new(), recent: VecDeque::new(), recent_len: 0 }
    }

    /// Opens a block, or finds it among those that were put back. Its first `until` bytes are wanted at least, or all
    /// of them if it has fewer.
    pub fn open(&mut self, blocks: &mut dyn Blocks, block: &Block, until: u32) -> Result<Opened, OpenError> {
        let least = until.min(block.regenerated);
        if let Some(opened) = self.take_recent(block).filter(|opened| opened.sequences.covered >= least) {
            return Ok(opened);
        }
        let (sequences, literals) = match block.kind {
            BlockKind::Raw => (Sequences::none(block.regenerated), None),
            BlockKind::Rle => {
                blocks.content(block, &mut self.content)?;
                let byte = *self.content.first().ok_or(Fault::BlockTooShort)?;
                (Sequences::none(block.regenerated), Some(Literals::Same(byte)))
            }
            BlockKind::Compressed => (self.sequences(blocks, block, until)?, None),
        };
        if !(least..=block.regenerated).contains(&sequences.covered) {
            return Err(Fault::RegeneratedSize.into());
        }
        Ok(Opened { block: *block, sequences, repeats: None, literals })
    }

    /// Whether a block is at hand, with its first `until` bytes at least, or all of them if it has fewer.
    pub fn has(&self, block: &Block, until: u32) -> bool {
        let least = until.min(block.regenerated);
        self.recent.iter().rev().any(|opened| opened.block == *block && opened.sequences.covered >= least)
    }

    fn take_recent(&mut self, block: &Block) -> Option<Opened> {
        let index = self.recent.iter().rposition(|opened| opened.block == *block)?;
        let opened = self.recent.remove(index)?;
        self.recent_len -= opened.len();
        Some(opened)
    }

    /// Keeps a block for the next time, and forgets those that were not used for longest.
    pub fn put_back(&mut self, opened: Opened) {
        self.recent_len += opened.len();
        self.recent.push_back(opened);
        while (self.recent_len > CACHE_LEN || self.recent.len() > CACHE_BLOCKS)
            && let Some(oldest) = self.recent.pop_front()
        {
            self.recent_len -= oldest.len();
        }
    }

    fn sequences(&mut self, blocks: &mut dyn Blocks, block: &Block, until: u32) -> Result<Sequences, OpenError> {
        blocks.content(block, &mut self.content)?;
        let sections = Sections::parse(&self.content, block.maximum())?;
        if sections.sequences.count == 0 {
            return Ok(Sequences::none(sections.literals.regenerated));
        }
        let mut setters: [Option<(Sections, Vec<u8>)>; 3] = [None, None, None];
        for field in Field::ALL {
            if sections.sequences.modes[field as usize] == Mode::Repeat
                && let Some(setter) = blocks.setter(block, Inherited::Table(field))?
            {
                let mut content = Vec::new();
                blocks.content(&setter, &mut content)?;
                let sections = Sections::parse(&content, block.maximum())?;
                if sections.sequences.count == 0 {
                    return Err(Fault::NothingToRepeat.into());
                }
                setters[field as usize] = Some((sections, content));
            }
        }
        let setter = |field| setters[field as usize].as_ref().map(|(sections, content)| (*sections, &content[..]));
        let stream_at = self.tables.read(&sections, &self.content, setter)?;
        Ok(Sequences::decode(&sections, &self.content, stream_at, &self.tables, block.maximum(), until)?)
    }

    /// The literals of a block, which are decoded the first time.
    pub fn literals<'a>(&mut self, blocks: &mut dyn Blocks, opened: &'a mut Opened) -> Result<&'a Literals, OpenError> {
        if opened.literals.is_none() {
            opened.literals = Some(Literals::Bytes(self.decode_literals(blocks, &opened.block)?));
        }
        opened.literals.as_ref().ok_or(OpenError::Fault(Fault::BlockTooShort))
    }

    fn decode_literals(&mut self, blocks: &mut dyn Blocks, block: &Block) -> Result<Vec<u8>, OpenError> {
        blocks.content(block, &mut self.content)?;
        if block.kind == BlockKind::Raw {
            return Ok(std::mem::take(&mut self.content));
        }
        let header = Sections::parse(&self.content, block.maximum())?.literals;
        let mut tree = None;
        if header.kind == LiteralsKind::Treeless
            && let Some(setter) = blocks.setter(block, Inherited::Tree)?
        {
            let mut content = Vec::new();
            blocks.content(&setter, &mut content)?;
            tree = Some(content);
        }
        Ok(literals::decode(&header, &self.content, tree.as_deref())?)
    }
}

impl Opened {
    /// What it takes up in memory, its literals included whether or not they are decoded.
    fn len(&self) -> usize {
        let list = self.sequences.list.capacity() * size_of::<Sequence>();
        size_of::<Opened>() + list + self.sequences.literals as usize
    }
}
