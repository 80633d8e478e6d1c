//! The headers of blocks and of their sections (RFC 8878 sections 3.1.1.2 and 3.1.1.3): where things lie in a block, and
//! how much it regenerates where that is said outright.

use crate::zst::format::fault::Fault;

/// Most that any block regenerates, in bytes: RFC 8878 section 3.1.1.2.4.
pub(in crate::zst) const MAX_BLOCK: u64 = 128 << 10;
/// Length of `Block_Header`, in bytes.
pub(in crate::zst) const BLOCK_HEADER_LEN: usize = 3;

/// `Block_Type`, RFC 8878 section 3.1.1.2.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) enum BlockKind {
    /// As it is.
    Raw,
    /// One byte, many times.
    Rle,
    /// Literals and sequences.
    Compressed,
}

/// `Block_Header`, RFC 8878 section 3.1.1.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) struct BlockHeader {
    /// Whether the frame ends with this block.
    pub last: bool,
    /// What it is.
    pub kind: BlockKind,
    /// `Block_Size`: bytes regenerated of a raw or RLE block, bytes stored of a compressed one.
    pub size: u32,
}

impl BlockHeader {
    /// Reads the three bytes; `maximum` is the frame's `Block_Maximum_Size`.
    pub fn parse(bytes: [u8; BLOCK_HEADER_LEN], maximum: u64) -> Result<BlockHeader, Fault> {
        let [low, middle, high] = bytes;
        let field = u32::from_le_bytes([low, middle, high, 0]);
        let kind = match field >> 1 & 3 {
            0 => BlockKind::Raw,
            1 => BlockKind::Rle,
            2 => BlockKind::Compressed,
            _ => return Err(Fault::ReservedBlockType),
        };
        let size = field >> 3;
        if u64::from(size) > maximum {
            return Err(Fault::BlockTooLarge);
        }
        Ok(BlockHeader { last: field & 1 != 0, kind, size })
    }

    /// Bytes that follow the header.
    pub fn content_len(self) -> usize {
        match self.kind {
            BlockKind::Rle => 1,
            BlockKind::Raw | BlockKind::Compressed => self.size as usize,
        }
    }
}

/// `Literals_Block_Type`, RFC 8878 section 3.1.1.3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) enum LiteralsKind {
    /// As they are.
    Raw,
    /// One byte, many times.
    Rle,
    /// Huffman-coded, behind the description of the tree.
    Compressed,
    /// Huffman-coded with the tree of an earlier block.
    Treeless,
}

/// `Literals_Section_Header`, RFC 8878 section 3.1.1.3.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) struct LiteralsHeader {
    /// How they are stored.
    pub kind: LiteralsKind,
    /// Whether in four streams, rather than one.
    pub four_streams: bool,
    /// `Regenerated_Size`.
    pub regenerated: u32,
    /// Bytes behind the header, tree and jump table among them.
    pub compressed: u32,
    /// Length of the header itself.
    pub header_len: u32,
}

impl LiteralsHeader {
    /// Reads the header at the beginning of a block's content.
    pub fn parse(content: &[u8]) -> Result<LiteralsHeader, Fault> {
        let mut head = [0; 8];
        let len = content.len().min(head.len());
        head[..len].copy_from_slice(&content[..len]);
        let field = u64::from_le_bytes(head);
        let bits = |from: u32, count: u32| u32::try_from(field >> from & ((1 << count) - 1)).expect("at most 20 bits");
        let format = bits(2, 2);
        let kind = match bits(0, 2) {
            0 => LiteralsKind::Raw,
            1 => LiteralsKind::Rle,
            2 => LiteralsKind::Compressed,
            _ => LiteralsKind::Treeless,
        };
        let header = if matches!(kind, LiteralsKind::Raw | LiteralsKind::Rle) {
            let (header_len, regenerated) = match format {
                0 | 2 => (1, bits(3, 5)),
                1 => (2, bits(4, 12)),
                _ => (3, bits(4, 20)),
            };
            let compressed = if kind == LiteralsKind::Rle { 1 } else { regenerated };
            LiteralsHeader { kind, four_streams: false, regenerated, compressed, header_len }
        } else {
            let (header_len, width) = match format {
                0 | 1 => (3, 10),
                2 => (4, 14),
                _ => (5, 18),
            };
            let (regenerated, compressed) = (bits(4, width), bits(4 + width, width));
            LiteralsHeader { kind, four_streams: format != 0, regenerated, compressed, header_len }
        };
        if header.len() > content.len() {
            return Err(Fault::BlockTooShort);
        }
        // As libzstd: each stream but the last then has a literal of its own.
        if header.four_streams && header.regenerated < 6 {
            return Err(Fault::TooFewLiterals);
        }
        Ok(header)
    }

    /// Length of the whole section, header included.
    pub fn len(&self) -> usize {
        (self.header_len + self.compressed) as usize
    }
}

/// How a field's FSE table is given, RFC 8878 section 3.1.1.3.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) enum Mode {
    /// The one of section 3.1.1.3.2.2.
    Predefined,
    /// One symbol, always.
    Rle,
    /// Described here.
    Compressed,
    /// That of the last block that gave one.
    Repeat,
}

impl Mode {
    fn of(bits: u8) -> Mode {
        match bits & 3 {
            0 => Mode::Predefined,
            1 => Mode::Rle,
            2 => Mode::Compressed,
            _ => Mode::Repeat,
        }
    }
}

/// What a field of a sequence is: the order is that of the table descriptions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) enum Field {
    /// `Literals_Length_Code`.
    LiteralLength,
    /// `Offset_Code`.
    Offset,
    /// `Match_Length_Code`.
    MatchLength,
}

impl Field {
    /// Each of them, in the order of their tables.
    pub const ALL: [Field; 3] = [Field::LiteralLength, Field::Offset, Field::MatchLength];
}

/// `Sequences_Section_Header`, RFC 8878 section 3.1.1.3.2.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) struct SequencesHeader {
    /// `Number_of_Sequences`.
    pub count: u32,
    /// `Symbol_Compression_Modes`, as [`Field::ALL`]; meaningless where there are no sequences.
    pub modes: [Mode; 3],
    /// Length of the header.
    pub header_len: u32,
}

impl SequencesHeader {
    /// Reads the header at the beginning of `bytes`, which is all that follows the literals.
    pub fn parse(bytes: &[u8]) -> Result<SequencesHeader, Fault> {
        let (count, len) = match *bytes {
            [short @ 0..=127, ..] => (u32::from(short), 1),
            [high @ 128..=254, low, ..] => ((u32::from(high) - 128) << 8 | u32::from(low), 2),
            [255, low, high, ..] => (u32::from(u16::from_le_bytes([low, high])) + 0x7F00, 3),
            _ => return Err(Fault::BlockTooShort),
        };
        if count == 0 {
            let modes = [Mode::Predefined; 3];
            let header = SequencesHeader { count, modes, header_len: len };
            return if bytes.len() == len as usize { Ok(header) } else { Err(Fault::TrailingBytes) };
        }
        let modes = *bytes.get(len as usize).ok_or(Fault::BlockTooShort)?;
        if modes & 3 != 0 {
            return Err(Fault::ReservedModeBits);
        }
        let modes = [Mode::of(modes >> 6), Mode::of(modes >> 4), Mode::of(modes >> 2)];
        Ok(SequencesHeader { count, modes, header_len: len + 1 })
    }
}

/// Where the sections of a compressed block lie, in bytes from the beginning of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) struct Sections {
    /// The header of the literals section, which begins at 0.
    pub literals: LiteralsHeader,
    /// The header of the sequences section, which follows.
    pub sequences: SequencesHeader,
    /// Where the table descriptions begin, with the bitstream after them.
    pub tables_at: usize,
}

impl Sections {
    /// Reads both headers of a compressed block; `maximum` is the frame's `Block_Maximum_Size`.
    pub fn parse(content: &[u8], maximum: u64) -> Result<Sections, Fault> {
        let literals = LiteralsHeader::parse(content)?;
        if u64::from(literals.regenerated) > maximum {
            return Err(Fault::BlockTooLarge);
        }
        let sequences = SequencesHeader::parse(&content[literals.len()..])?;
        let tables_at = literals.len() + sequences.header_len as usize;
        Ok(Sections { literals, sequences, tables_at })
    }

    /// Whether the block sets the table of `field`, for itself and for those that repeat it.
    pub fn sets(&self, field: Field) -> bool {
        self.sequences.count > 0 && self.sequences.modes[field as usize] != Mode::Repeat
    }
}
