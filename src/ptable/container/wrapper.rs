//! Disks that lie in an image as they are, behind a header or in front of a footer.

use std::ops::Range;

use crate::ptable::fields::{all_zero, be16, be32, be64, byte, has, le16, le32, le64};
use crate::ptable::view::View;

/// A disk that lies in an image as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapper {
    /// The format around it, as part of a sentence: `a VHD of fixed size`.
    pub what: &'static str,
    /// Its bytes in the image.
    pub disk: Range<u64>,
}

/// A wrapper, and what of the image it was told by.
pub(super) type Told = (Wrapper, Range<u64>);

/// Bytes of a sector that disks and floppies of these formats have.
const SECTOR_SIZES: [u64; 5] = [128, 256, 512, 1024, 2048];

/// The disk behind a header of the formats that have one, of an image that begins with `head`.
pub(super) fn at_start(view: &View<'_>, head: &[u8]) -> Option<Told> {
    let size = view.size();
    let told = |(what, disk): (&'static str, Range<u64>)| {
        let disk = disk.start..disk.end.min(size);
        (disk.start < disk.end).then(|| {
            let header = 0..disk.start;
            (Wrapper { what, disk }, header)
        })
    };
    let header = nhd(head)
        .or_else(|| virtual_98(head))
        .or_else(|| anex86(head))
        .or_else(|| two_img(head))
        .or_else(|| disk_copy(head, size));
    header.and_then(told).or_else(|| vdi(view, head))
}

/// Behind `start`, as many bytes as the geometry has.
fn by_geometry(start: u64, sector: u64, [cylinders, heads, sectors]: [u64; 3]) -> Option<Range<u64>> {
    let bytes = cylinders.checked_mul(heads)?.checked_mul(sectors)?.checked_mul(sector)?;
    (SECTOR_SIZES.contains(&sector) && bytes > 0).then_some(start..start.checked_add(bytes)?)
}

// T98-Next: NHDHDR of Neko Project II, fdd/sxsihdd.h.
const NHD_MAGIC: &[u8] = b"T98HDDIMAGE.R0\0";
const NHD_HEADER_AT: usize = 272; // 4 bytes
const NHD_CYLINDERS_AT: usize = 276; // 4
const NHD_HEADS_AT: usize = 280; // 2
const NHD_SECTORS_AT: usize = 282; // 2
const NHD_SECTOR_SIZE_AT: usize = 284; // 2
const NHD_LEAST: u64 = 286;

fn nhd(head: &[u8]) -> Option<(&'static str, Range<u64>)> {
    let start = u64::from(le32(head, NHD_HEADER_AT));
    let geometry = [
        u64::from(le32(head, NHD_CYLINDERS_AT)),
        u64::from(le16(head, NHD_HEADS_AT)),
        u64::from(le16(head, NHD_SECTORS_AT)),
    ];
    let disk = by_geometry(start, u64::from(le16(head, NHD_SECTOR_SIZE_AT)), geometry)?;
    (has(head, 0, NHD_MAGIC) && start >= NHD_LEAST).then_some(("an NHD of T98-Next", disk))
}

// Virtual98: VHDHDR of the same file. No kin of Microsoft's VHD.
const VIRTUAL_98_MAGIC: &[u8] = b"VHD1.00\0";
const VIRTUAL_98_SECTOR_SIZE_AT: usize = 142; // 2 bytes
const VIRTUAL_98_SECTORS_AT: usize = 144;
const VIRTUAL_98_HEADS_AT: usize = 145;
const VIRTUAL_98_CYLINDERS_AT: usize = 146; // 2
const VIRTUAL_98_HEADER: u64 = 220;

fn virtual_98(head: &[u8]) -> Option<(&'static str, Range<u64>)> {
    let geometry = [
        u64::from(le16(head, VIRTUAL_98_CYLINDERS_AT)),
        u64::from(byte(head, VIRTUAL_98_HEADS_AT)),
        u64::from(byte(head, VIRTUAL_98_SECTORS_AT)),
    ];
    let disk = by_geometry(VIRTUAL_98_HEADER, u64::from(le16(head, VIRTUAL_98_SECTOR_SIZE_AT)), geometry)?;
    has(head, 0, VIRTUAL_98_MAGIC).then_some(("a hard disk image of Virtual98", disk))
}

// Anex86, HDI and FDI: HDIHDR of the same file. It has no magic number, so that its numbers have to agree.
const ANEX86_HEADER_AT: usize = 8; // 4 bytes each
const ANEX86_DISK_AT: usize = 12;
const ANEX86_SECTOR_SIZE_AT: usize = 16;
const ANEX86_SECTORS_AT: usize = 20;
const ANEX86_HEADS_AT: usize = 24;
const ANEX86_CYLINDERS_AT: usize = 28;
const ANEX86_FIELDS: usize = 32;
/// What every program writes.
const ANEX86_HEADER: u64 = 4096;

fn anex86(head: &[u8]) -> Option<(&'static str, Range<u64>)> {
    let field = |at| u64::from(le32(head, at));
    let geometry = [field(ANEX86_CYLINDERS_AT), field(ANEX86_HEADS_AT), field(ANEX86_SECTORS_AT)];
    let disk = by_geometry(field(ANEX86_HEADER_AT), field(ANEX86_SECTOR_SIZE_AT), geometry)?;
    let header = usize::try_from(ANEX86_HEADER).ok()?;
    let is_one = le32(head, 0) == 0
        && disk.start == ANEX86_HEADER
        && disk.end - disk.start == field(ANEX86_DISK_AT)
        && head.get(ANEX86_FIELDS..header).is_some_and(all_zero);
    is_one.then_some(("an HDI or FDI of Anex86", disk))
}

// Apple II: the 2IMG format specification. Only images of blocks in ProDOS order are disks as they are.
const TWO_IMG_FORMAT_AT: usize = 12; // 4 bytes
const TWO_IMG_PRODOS: u32 = 1;
const TWO_IMG_DATA_AT: usize = 24; // 4
const TWO_IMG_LENGTH_AT: usize = 28; // 4
const TWO_IMG_HEADER: u32 = 52;

fn two_img(head: &[u8]) -> Option<(&'static str, Range<u64>)> {
    let start = le32(head, TWO_IMG_DATA_AT);
    let is_one = has(head, 0, b"2IMG") && le32(head, TWO_IMG_FORMAT_AT) == TWO_IMG_PRODOS && start >= TWO_IMG_HEADER;
    let end = u64::from(start) + u64::from(le32(head, TWO_IMG_LENGTH_AT));
    is_one.then_some(("a 2IMG", u64::from(start)..end))
}

// Apple Disk Copy 4.2: Inside Macintosh's format, as in Apple II File Type Note $E0/$8005.
const DISK_COPY_NAME: std::ops::RangeInclusive<u8> = 1..=63;
const DISK_COPY_DATA_AT: usize = 64; // 4 bytes, big-endian
const DISK_COPY_TAGS_AT: usize = 68; // 4
const DISK_COPY_PRIVATE_AT: usize = 82; // 2
const DISK_COPY_PRIVATE: u16 = 0x0100;
const DISK_COPY_HEADER: u64 = 84;

fn disk_copy(head: &[u8], size: u64) -> Option<(&'static str, Range<u64>)> {
    let data = u64::from(be32(head, DISK_COPY_DATA_AT));
    let is_one = DISK_COPY_NAME.contains(&byte(head, 0))
        && be16(head, DISK_COPY_PRIVATE_AT) == DISK_COPY_PRIVATE
        && data > 0
        && DISK_COPY_HEADER + data + u64::from(be32(head, DISK_COPY_TAGS_AT)) == size;
    is_one.then_some(("an image of Disk Copy 4.2", DISK_COPY_HEADER..DISK_COPY_HEADER + data))
}

// VirtualBox: VDIHEADER1PLUS of src/VBox/Storage/VDICore.h.
const VDI_MAGIC_AT: usize = 64;
const VDI_MAGIC: u32 = 0xbeda_107f;
const VDI_VERSION_AT: usize = 68; // 4 bytes
const VDI_VERSION: u32 = 0x0001_0001;
const VDI_MAP_AT: usize = 340; // 4
const VDI_DATA_AT: usize = 344; // 4
const VDI_DISK_AT: usize = 368; // 8
const VDI_BLOCK_AT: usize = 376; // 4
const VDI_EXTRA_AT: usize = 380; // 4
const VDI_BLOCKS_AT: usize = 384; // 4
/// Blocks of a map that is read: 1 TiB of the usual ones.
const VDI_MAX_BLOCKS: u64 = 1 << 20;
const VDI_PIECE: u64 = 64 << 10;

/// A VDI of which all blocks are there, in order: one of fixed size.
fn vdi(view: &View<'_>, head: &[u8]) -> Option<Told> {
    if le32(head, VDI_MAGIC_AT) != VDI_MAGIC || le32(head, VDI_VERSION_AT) != VDI_VERSION {
        return None;
    }
    let blocks = u64::from(le32(head, VDI_BLOCKS_AT));
    let block = u64::from(le32(head, VDI_BLOCK_AT));
    let (disk, start) = (le64(head, VDI_DISK_AT), u64::from(le32(head, VDI_DATA_AT)));
    let is_plain = le32(head, VDI_EXTRA_AT) == 0 && (1..=VDI_MAX_BLOCKS).contains(&blocks) && start > 0;
    if !is_plain || disk == 0 || disk > blocks.checked_mul(block)? || start >= view.size() {
        return None;
    }
    let map_at = u64::from(le32(head, VDI_MAP_AT));
    let map = map_at..map_at.checked_add(blocks * 4)?;
    let mut expected = 0_u32;
    let mut at = map.start;
    while at < map.end {
        let len = (map.end - at).min(VDI_PIECE);
        let piece = view.peek(at, usize::try_from(len).ok()?).ok()??;
        for entry in piece.as_chunks::<4>().0 {
            if u32::from_le_bytes(*entry) != expected {
                return None;
            }
            expected += 1;
        }
        at += len;
    }
    let wrapper = Wrapper { what: "a VDI of fixed size", disk: start..start.saturating_add(disk).min(view.size()) };
    Some((wrapper, 0..map.end.max(head.len() as u64)))
}

// Microsoft, "Virtual Hard Disk Image Format Specification" 1.0, "Hard Disk Footer Format"; big-endian.
const VHD_MAGIC: &[u8] = b"conectix";
const VHD_CURRENT_SIZE_AT: usize = 48; // 8 bytes
const VHD_TYPE_AT: usize = 60; // 4
const VHD_FIXED: u32 = 2;
const VHD_CHECKSUM_AT: usize = 64; // 4
/// Virtual PC before 2004 wrote a byte less.
const VHD_FOOTERS: [usize; 2] = [512, 511];

/// The disk in front of the footer of a VHD of fixed size, of an image that ends with `end`.
pub(super) fn at_end(end: &[u8], size: u64) -> Option<Told> {
    VHD_FOOTERS.into_iter().find_map(|length| {
        let footer = end.get(end.len().checked_sub(length)?..)?;
        let disk = size.checked_sub(length as u64)?;
        let current = Some(be64(footer, VHD_CURRENT_SIZE_AT)).filter(|&current| current > 0);
        (is_vhd(footer) && be32(footer, VHD_TYPE_AT) == VHD_FIXED).then(|| {
            let disk = 0..disk.min(current.unwrap_or(disk));
            (Wrapper { what: "a VHD of fixed size", disk }, size - length as u64..size)
        })
    })
}

/// Whether the footer's checksum holds: the complement of the sum of all other bytes.
fn is_vhd(footer: &[u8]) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().fold(0_u32, |sum, &byte| sum.wrapping_add(u32::from(byte)));
    let stored = footer.get(VHD_CHECKSUM_AT..VHD_CHECKSUM_AT + 4).unwrap_or_default();
    has(footer, 0, VHD_MAGIC) && be32(footer, VHD_CHECKSUM_AT) == !sum(footer).wrapping_sub(sum(stored))
}
