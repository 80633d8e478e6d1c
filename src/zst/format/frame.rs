//! The header of a frame (RFC 8878 section 3.1.1.1): what must be known before libzstd is given a byte of it.

/// `Magic_Number` of a Zstandard frame, RFC 8878 section 3.1.1.
const MAGIC: u32 = 0xFD2F_B528;
/// `Magic_Number` of a skippable frame, its low 4 bits free: RFC 8878 section 3.1.2.
const SKIPPABLE_MAGIC: u32 = 0x184D_2A50;
const SKIPPABLE_MASK: u32 = 0xFFFF_FFF0;
/// Magic and size field of a skippable frame.
const SKIPPABLE_HEADER_LEN: u64 = 8;

/// Longest frame header: magic 4, descriptor 1, window 1, dictionary 4, content size 8.
pub const MAX_HEADER_LEN: usize = 18;

/// Bytes that [`describe`] and [`known_format`] look at.
pub const DESCRIBED_LEN: usize = 512;

/// What stands at the beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameStart {
    /// A frame with data.
    Data(FrameHeader),
    /// A frame to be stepped over; the whole of it, in bytes.
    Skippable {
        /// Header and content together.
        length: u64,
    },
}

/// The fields of a Zstandard frame header that say something about the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// `Window_Size` in bytes; of a single-segment frame its content size.
    pub window: u64,
    /// `Frame_Content_Size`, where given.
    pub content_size: Option<u64>,
    /// `Dictionary_ID`, where given and not 0.
    pub dictionary: Option<u32>,
    /// Whether a `Content_Checksum` follows the last block.
    pub checksum: bool,
    /// Length of the header itself, in bytes.
    pub length: u64,
}

/// Why bytes are not the beginning of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderError {
    /// Right so far, but cut short.
    Incomplete,
    /// Not a magic number of ours.
    NotAFrame,
    /// The reserved bit of the descriptor is set: RFC 8878 section 3.1.1.1.1.4.
    ReservedBit,
}

impl FrameStart {
    /// Reads the header at the beginning of `bytes`; [`MAX_HEADER_LEN`] of them are always enough.
    pub fn parse(bytes: &[u8]) -> Result<FrameStart, HeaderError> {
        let mut fields = Fields(bytes);
        let magic = fields.u32()?;
        if magic & SKIPPABLE_MASK == SKIPPABLE_MAGIC {
            let length = SKIPPABLE_HEADER_LEN + u64::from(fields.u32()?);
            return Ok(FrameStart::Skippable { length });
        }
        if magic != MAGIC {
            return Err(HeaderError::NotAFrame);
        }
        let descriptor = fields.u8()?;
        let single_segment = descriptor & 0x20 != 0;
        if descriptor & 0x08 != 0 {
            return Err(HeaderError::ReservedBit);
        }
        let window = if single_segment { None } else { Some(window_size(fields.u8()?)) };
        let dictionary = fields.uint([0, 1, 2, 4][usize::from(descriptor & 3)])?;
        let content_size = match (descriptor >> 6, single_segment) {
            (0, false) => None,
            (0, true) => Some(fields.uint(1)?),
            (1, _) => Some(fields.uint(2)? + 256),
            (2, _) => Some(fields.uint(4)?),
            _ => Some(fields.uint(8)?),
        };
        Ok(FrameStart::Data(FrameHeader {
            window: window.or(content_size).unwrap_or(0),
            content_size,
            dictionary: u32::try_from(dictionary).ok().filter(|&id| id != 0),
            checksum: descriptor & 0x04 != 0,
            length: (bytes.len() - fields.0.len()) as u64,
        }))
    }
}

/// `Window_Size` from the `Window_Descriptor`: RFC 8878 section 3.1.1.1.2.
fn window_size(descriptor: u8) -> u64 {
    let base = 1u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// Little-endian fields, one after the other.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn uint(&mut self, width: usize) -> Result<u64, HeaderError> {
        let (field, rest) = self.0.split_at_checked(width).ok_or(HeaderError::Incomplete)?;
        self.0 = rest;
        Ok(field.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    fn u8(&mut self) -> Result<u8, HeaderError> {
        let (&byte, rest) = self.0.split_first().ok_or(HeaderError::Incomplete)?;
        self.0 = rest;
        Ok(byte)
    }

    fn u32(&mut self) -> Result<u32, HeaderError> {
        let (field, rest) = self.0.split_first_chunk().ok_or(HeaderError::Incomplete)?;
        self.0 = rest;
        Ok(u32::from_le_bytes(*field))
    }
}

/// A name for data that is not Zstandard, for the error message: another compression, or the bytes themselves.
#[must_use]
pub fn describe(head: &[u8]) -> String {
    if let Some(name) = known_format(head) {
        return name.to_owned();
    }
    if !head.is_empty() && head.iter().all(|&byte| byte == 0) {
        return "zeros".to_owned();
    }
    let bytes: Vec<String> = head.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("bytes {}", bytes.join(" "))
}

/// The archive or compressed format that data begin like; 512 bytes of them are enough.
fn known_format(head: &[u8]) -> Option<&'static str> {
    const KNOWN: [(&[u8], &str); 9] = [
        (b"\x1f\x8b", "gzip data"),
        (b"\xfd7zXZ\0", "xz data"),
        (b"BZh", "bzip2 data"),
        (b"\x04\x22\x4d\x18", "lz4 data"),
        (b"LZIP", "lzip data"),
        (b"\x5d\0\0", "lzma data"),
        (b"PK\x03\x04", "a zip archive"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"\x89LZO", "lzop data"),
    ];
    /// Offset of `ustar` in a tar header, POSIX.1-2017 pax, "ustar Interchange Format".
    const USTAR: std::ops::Range<usize> = 257..262;
    if let Some((_, name)) = KNOWN.iter().find(|(magic, _)| head.starts_with(magic)) {
        return Some(name);
    }
    (head.get(USTAR) == Some(b"ustar")).then_some("an uncompressed tar archive")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(bytes: &[u8]) -> FrameHeader {
        match FrameStart::parse(bytes) {
            Ok(FrameStart::Data(header)) => header,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_window_descriptor_has_exponent_and_mantissa() {
        assert_eq!(window_size(0), 1 << 10);
        assert_eq!(window_size((17 << 3) | 4), (1 << 27) + (1 << 26));
        assert_eq!(window_size(0xFF), (1 << 41) + (1 << 41) / 8 * 7);
    }

    #[test]
    fn content_size_of_two_bytes_begins_at_256() {
        let header = data(&[0x28, 0xB5, 0x2F, 0xFD, 0x60, 0x00, 0x00]);
        assert_eq!((header.content_size, header.window, header.checksum), (Some(256), 256, false));
    }

    #[test]
    fn dictionary_and_checksum_are_seen() {
        let header = data(&[0x28, 0xB5, 0x2F, 0xFD, 0x06, 0x00, 0x34, 0x12]);
        assert_eq!((header.dictionary, header.checksum, header.content_size), (Some(0x1234), true, None));
    }

    #[test]
    fn every_cut_of_a_header_is_incomplete() {
        let whole = [0x28, 0xB5, 0x2F, 0xFD, 0xC3, 0x50, 1, 2, 3, 4, 1, 2, 3, 4, 5, 6, 7, 8];
        assert!(FrameStart::parse(&whole).is_ok());
        for cut in 0..whole.len() {
            assert_eq!(FrameStart::parse(&whole[..cut]), Err(HeaderError::Incomplete), "{cut}");
        }
    }

    #[test]
    fn reserved_bit_and_foreign_magic_are_refused() {
        assert_eq!(FrameStart::parse(&[0x28, 0xB5, 0x2F, 0xFD, 0x08]), Err(HeaderError::ReservedBit));
        assert_eq!(FrameStart::parse(b"\x1f\x8b\x08\x00\x00"), Err(HeaderError::NotAFrame));
    }

    #[test]
    fn skippable_frame_gives_its_whole_length() {
        let start = FrameStart::parse(&[0x5E, 0x2A, 0x4D, 0x18, 0xFF, 0xFF, 0xFF, 0xFF]);
        assert_eq!(start, Ok(FrameStart::Skippable { length: 8 + u64::from(u32::MAX) }));
    }

    #[test]
    fn other_compressions_are_named() {
        assert_eq!(describe(b"\x1f\x8b\x08\x00"), "gzip data");
        assert_eq!(describe(&[0; 512]), "zeros");
        assert_eq!(describe(b"hello"), "bytes 68 65 6c 6c 6f");
    }
}
