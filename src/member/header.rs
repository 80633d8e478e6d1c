//! One tar header block: its checksum, its numbers, its kind, its own names.
//!
//! The layout of the fields is `tar::Header`'s; what they mean is decided here, because that crate wraps numbers that overflow and
//! does not check everything. Knows nothing of what stands before or after the block.

use std::fmt;

use super::error::NumberProblem;

/// Size of a block, of a header, and the unit data is padded to (POSIX.1-2017 pax, "ustar Interchange Format").
pub(super) const BLOCK: usize = 512;
/// [`BLOCK`] as an offset.
pub(super) const BLOCK_BYTES: u64 = 512;
/// Offset and width of `chksum` (POSIX.1-2017 pax, "ustar Interchange Format").
const CHKSUM: std::ops::Range<usize> = 148..156;
/// Offset and width of `magic` (POSIX.1-2017 pax, "ustar Interchange Format").
const MAGIC: std::ops::Range<usize> = 257..263;
/// Offset and width of `magic` and `version` together, as old GNU headers use them (GNU tar, tar.h, `OLDGNU_MAGIC`).
const MAGIC_VERSION: std::ops::Range<usize> = 257..265;
/// Offset and width of `prefix` (POSIX.1-2017 pax, "ustar Interchange Format").
const PREFIX: std::ops::Range<usize> = 345..500;
/// `magic` of POSIX headers (tar.h, `TMAGIC`).
const POSIX_MAGIC: &[u8] = b"ustar\0";
/// `magic` and `version` of GNU headers (GNU tar, tar.h, `OLDGNU_MAGIC`).
const GNU_MAGIC: &[u8] = b"ustar  \0";

/// What a member is. Only a [`Kind::File`] has content that is the member's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A regular file: type `0`, NUL, `7` or `S` (GNU sparse), or a PAX sparse file.
    File,
    /// Type `1`: another name for an earlier member.
    HardLink,
    /// Type `2`.
    Symlink,
    /// Type `3`.
    CharDevice,
    /// Type `4`.
    BlockDevice,
    /// Type `5`, GNU's `D`, or a type of file with a name that ends in `/`.
    Directory,
    /// Type `6`.
    Fifo,
    /// Any other type flag: a volume label, a continued file, something unknown.
    Other(u8),
}

impl Kind {
    /// Whether this is a regular file, whose content may be read.
    #[must_use]
    pub fn is_file(self) -> bool {
        self == Self::File
    }

    /// Whether the `size` of the header itself says that data follows. It does not for links, devices, directories and FIFOs
    /// (POSIX.1-2017 pax, "ustar Interchange Format", typeflag); `type_flag` tells GNU's `D`, whose data is a list of names.
    pub(super) fn has_data(self, type_flag: u8) -> bool {
        match self {
            Self::File | Self::Other(_) => true,
            Self::Directory => type_flag != b'5',
            Self::HardLink | Self::Symlink | Self::CharDevice | Self::BlockDevice | Self::Fifo => false,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::HardLink => f.write_str("hard link"),
            Self::Symlink => f.write_str("symbolic link"),
            Self::CharDevice => f.write_str("character device"),
            Self::BlockDevice => f.write_str("block device"),
            Self::Directory => f.write_str("directory"),
            Self::Fifo => f.write_str("FIFO"),
            Self::Other(flag) => write!(f, "member of type '{}'", flag.escape_ascii()),
        }
    }
}

/// Why a block is not a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChecksumMismatch {
    /// What the block says, if that is a number.
    pub expected: Option<u64>,
    /// The sum of its bytes, `chksum` counted as blanks.
    pub found: u64,
}

/// A header block whose checksum holds.
#[derive(Clone)]
pub(super) struct Header(tar::Header);

impl Header {
    /// Takes a block for a header, if its checksum says that it is one: the sum of its bytes, which old tars took as signed
    /// (POSIX.1-2017 pax asks readers for neither; GNU tar, list.c, `tar_checksum`, accepts both).
    pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Self, ChecksumMismatch> {
        let header = tar::Header::from_byte_slice(block);
        let counted = |at: usize, byte: u8| if CHKSUM.contains(&at) { b' ' } else { byte };
        let (mut unsigned, mut signed) = (0_u64, 0_i64);
        for (at, &byte) in block.iter().enumerate() {
            let byte = counted(at, byte);
            unsigned += u64::from(byte);
            signed += i64::from(byte.cast_signed());
        }
        let expected = number(&header.as_old().cksum).ok();
        if expected.is_some_and(|sum| sum == unsigned || i64::try_from(sum) == Ok(signed)) {
            Ok(Self(header.clone()))
        } else {
            Err(ChecksumMismatch { expected, found: unsigned })
        }
    }

    /// The type flag, as it stands.
    pub(super) fn type_flag(&self) -> u8 {
        let [flag] = self.0.as_old().linkflag;
        flag
    }

    /// The kind that a member of this type and this (final) name is. BSD tar once wrote directories as files with a `/` at the
    /// end of their names.
    pub(super) fn kind(&self, path: &[u8]) -> Kind {
        match self.type_flag() {
            b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Directory,
            b'0' | 0 | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink,
            b'2' => Kind::Symlink,
            b'3' => Kind::CharDevice,
            b'4' => Kind::BlockDevice,
            b'5' | b'D' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => Kind::Other(other),
        }
    }

    /// Whether the header has a `ustar` magic, POSIX's or GNU's. v7 headers have none.
    pub(super) fn has_magic(&self) -> bool {
        let bytes = self.0.as_bytes();
        &bytes[MAGIC] == POSIX_MAGIC || &bytes[MAGIC_VERSION] == GNU_MAGIC
    }

    /// The name in the header: in POSIX headers `prefix` and `/` before it (in GNU headers the same bytes are times and a sparse map).
    pub(super) fn path(&self) -> Vec<u8> {
        let bytes = self.0.as_bytes();
        let name = until_nul(&self.0.as_old().name);
        let prefix = if &bytes[MAGIC] == POSIX_MAGIC { until_nul(&bytes[PREFIX]) } else { &[] };
        if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
    }

    /// The link target in the header.
    pub(super) fn link_target(&self) -> Vec<u8> {
        until_nul(&self.0.as_old().linkname).to_vec()
    }

    /// `size`, in bytes.
    pub(super) fn size(&self) -> Result<u64, NumberProblem> {
        number(&self.0.as_old().size)
    }

    /// `size`, as it stands.
    pub(super) fn size_field(&self) -> &[u8] {
        &self.0.as_old().size
    }

    /// GNU's part of the header, if it is GNU's.
    pub(super) fn gnu(&self) -> Option<&tar::GnuHeader> {
        self.0.as_gnu()
    }
}

/// The bytes before the first NUL.
pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// Reads a numeric field: octal digits after any blanks (and one NUL, which some old tar left there), ended by a blank, a NUL or the field's
/// end; or GNU's base-256, a signed big-endian number in all bits but the first (GNU tar, list.c, `from_header`). A field of NULs alone is 0, one
/// of blanks alone is not a number. 2^63 - 1 is the largest, as for every file offset.
pub(super) fn number(field: &[u8]) -> Result<u64, NumberProblem> {
    /// The first bit of a base-256 number.
    const BASE_256: u8 = 0x80;
    /// Its sign.
    const SIGN: u8 = 0x40;

    let (&first, rest) = field.split_first().ok_or(NumberProblem::NotANumber)?;
    if first & BASE_256 != 0 {
        if first & SIGN != 0 {
            return Err(NumberProblem::Negative);
        }
        return rest.iter().try_fold(u64::from(first & !BASE_256), |value, &byte| {
            value
                .checked_mul(256)
                .map(|value| value | u64::from(byte))
                .filter(|&value| in_range(value))
                .ok_or(NumberProblem::OutOfRange)
        });
    }
    let field = if first == 0 { rest } else { field };
    let start = field.iter().position(|&byte| !is_blank(byte)).ok_or(NumberProblem::NotANumber)?;
    let digits = field.get(start..).unwrap_or_default();
    let mut value = 0_u64;
    for &byte in digits {
        match byte {
            b'0'..=b'7' => {
                value = value
                    .checked_mul(8)
                    .map(|value| value | u64::from(byte - b'0'))
                    .ok_or(NumberProblem::OutOfRange)?;
            }
            0 => break,
            blank if is_blank(blank) => break,
            _ => return Err(NumberProblem::NotANumber),
        }
    }
    if in_range(value) { Ok(value) } else { Err(NumberProblem::OutOfRange) }
}

/// The end of `size` bytes at `start`, and that of their padding, unless they end past the largest offset.
pub(super) fn padded(start: u64, size: u64) -> Option<(u64, u64)> {
    let end = start.checked_add(size)?;
    let next = end.checked_next_multiple_of(BLOCK_BYTES).filter(|&next| in_range(next))?;
    Some((end, next))
}

/// Whether a number can be an offset or a size in a file.
pub(super) fn in_range(value: u64) -> bool {
    i64::try_from(value).is_ok()
}

/// What C's `isspace` takes for a blank.
fn is_blank(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octal_is_read_as_the_tars_wrote_it() {
        for (field, value) in [
            (&b"00000000017\0"[..], 15),
            (b"          17", 15),
            (b"17          ", 15),
            (b"\0    17\0junk", 15),
            (b"777777777777", 0o777_777_777_777),
            (b"\0\0\0\0\0\0\0\0\0\0\0\0", 0),
            (b"0\0junk junk ", 0),
        ] {
            assert_eq!(number(field), Ok(value), "{}", field.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_octal_number_is_refused() {
        for field in [&b"            "[..], b"0000000008\0\0", b"-0000000001\0", b"0x11\0", b""] {
            assert_eq!(number(field), Err(NumberProblem::NotANumber), "{}", field.escape_ascii());
        }
        assert_eq!(number(b"7777777777777777777777777777"), Err(NumberProblem::OutOfRange));
        assert_eq!(number(b"1000000000000000000000"), Err(NumberProblem::OutOfRange), "2^63");
    }

    #[test]
    fn base_256_is_read_up_to_the_largest_offset() {
        assert_eq!(number(b"\x80\0\0\0\0\0\0\0\0\0\x01\0"), Ok(256));
        assert_eq!(number(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), Ok(u64::MAX >> 1));
        assert_eq!(number(b"\x80\0\0\0\x80\0\0\0\0\0\0\0"), Err(NumberProblem::OutOfRange));
        assert_eq!(number(b"\x80\0\0\x01\0\0\0\0\0\0\0\0"), Err(NumberProblem::OutOfRange));
        assert_eq!(number(b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Err(NumberProblem::OutOfRange));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), Err(NumberProblem::Negative));
    }

    fn checked(mut block: [u8; BLOCK], sum: i64) -> [u8; BLOCK] {
        let digits = format!("{sum:06o}\0 ");
        block[CHKSUM].copy_from_slice(digits.as_bytes());
        block
    }

    #[test]
    fn unsigned_and_signed_checksums_hold_and_no_other() {
        let mut block = [0; BLOCK];
        block[..4].copy_from_slice(b"n\xfc\xfc\xfc");
        let unsigned = 8 * 32 + 110 + 3 * 0xfc;
        let signed = unsigned - 3 * 256;
        // A negative sum has no octal digits here: pad it up.
        block[20..30].copy_from_slice(b"aaaaaaaaaa");
        for sum in [unsigned + 970, signed + 970] {
            assert!(Header::parse(&checked(block, sum)).is_ok(), "{sum}");
        }
        assert!(Header::parse(&checked(block, unsigned)).is_err());
        assert!(Header::parse(&[0; BLOCK]).is_err());
    }

    #[test]
    fn prefix_counts_in_posix_headers_only() {
        for (magic, path) in [
            (&b"ustar\x0000"[..], &b"p/n"[..]),
            (GNU_MAGIC, b"n"),
            (b"\0\0\0\0\0\0\0\0", b"n"),
            (b"ustar\0\0\0", b"p/n"),
        ] {
            let mut block = [0; BLOCK];
            block[0] = b'n';
            block[PREFIX.start] = b'p';
            block[MAGIC_VERSION].copy_from_slice(magic);
            let sum = block.iter().map(|&byte| i64::from(byte)).sum::<i64>() + 8 * 32;
            assert_eq!(Header::parse(&checked(block, sum)).map(|header| header.path()), Ok(path.to_vec()));
        }
    }
}
