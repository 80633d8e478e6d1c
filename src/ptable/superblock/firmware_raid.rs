//! Members of a RAID that the firmware of a controller makes of whole disks, and says so in their last sectors.
//!
//! Places, magic numbers and checks are libblkid's: `superblocks/ddf_raid.c`, `isw_raid.c`, `lsi_raid.c`, `via_raid.c`,
//! `silicon_raid.c`, `nvidia_raid.c`, `promise_raid.c`, `highpoint_raid.c`, `adaptec_raid.c`, `jmicron_raid.c`. Of most,
//! no more is known than dmraid's formats say.

use std::ops::Range;

use super::super::fields::{be32, be64, byte, has, le16, le32, le64};
use super::content::Content;
use super::text;
use super::volume::{FLOPPY_BYTES, Volume};

const SECTOR: u64 = 512;

/// SNIA Common RAID Disk Data Format 2.0 section 5.2: in the last sector, or another copy of the header. Also found in
/// the other byte order.
mod ddf {
    pub const BIG_ENDIAN: u32 = 0xde11_de11;
    pub const LITTLE_ENDIAN: u32 = 0x11de_11de;
    pub const COPY_SECTOR: u64 = 257;
    pub const GUID_AT: usize = 8; // 24 bytes
    pub const GUID_LEN: usize = 24;
    /// `DDF_rev`: digits and points.
    pub const REVISION_AT: usize = 32; // 8
    /// Where the primary header is: a sector of the disk.
    pub const PRIMARY_AT: usize = 96; // 8
}

/// In the last sector but one.
const INTEL: &[u8] = b"Intel Raid ISM Cfg Sig. ";
const LSI: &[u8] = b"$XIDE$";

mod via {
    pub const SIGNATURE: &[u8] = b"\x55\xaa";
    pub const VERSION_AT: usize = 2; // 1 byte
    pub const MAX_VERSION: u8 = 2;
    /// Of all the bytes in front of it.
    pub const SUM_AT: usize = 50; // 1
}

mod silicon {
    pub const MAGIC_AT: usize = 0x60; // 4 bytes
    pub const MAGIC: u32 = 0x2f00_0000;
    pub const DISK_AT: usize = 0x116; // 1
    pub const MAX_DISKS: u8 = 8;
    /// With it, the words of 16 bits up to here add up to 0.
    pub const SUM_AT: usize = 0x13e; // 2
}

/// In the last sector but one.
mod nvidia {
    pub const SIGNATURE: &[u8] = b"NVIDIA  ";
    pub const WORDS_AT: usize = 8; // 4 bytes
    /// Of 32 bits, which add up to 0 with the checksum among them.
    pub const WORDS: usize = 30;
}

const PROMISE: &[u8] = b"Promise Technology, Inc.";
/// How many sectors before the end it may be.
const PROMISE_SECTORS: [u64; 13] = [63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087];

/// As it should be, and of a broken set: at the start of the last sector but ten, or of sector 9, behind 32 bytes.
const HIGHPOINT: [u32; 2] = [0x5a78_16f3, 0x5a78_16fd];
const HIGHPOINT_37X: [u32; 2] = [0x5a78_16f0, 0x5a78_16fd];
const HIGHPOINT_45X_SECTOR: u64 = 11;
const HIGHPOINT_37X_AT: usize = 9 * 512 + 32;

mod adaptec {
    pub const MAGIC: u32 = 0x37fc_4d1e;
    pub const SIGNATURE_AT: usize = 256;
    pub const SIGNATURE: &[u8] = b"DPTM";
}

mod jmicron {
    pub const SIGNATURE: &[u8] = b"JM";
    /// Its words of 16 bits add up to 0 or 1.
    pub const BYTES: usize = 128;
    pub const MODE_AT: usize = 0x30; // 1
    pub const MAX_MODE: u8 = 5;
}

/// What is wanted beside the last sectors of a volume of `size` bytes.
pub(super) fn ends(size: u64, is_disk: bool) -> impl Iterator<Item = Range<u64>> {
    let sectors = size / SECTOR;
    let place = move |before: u64, length: u64| {
        let start = sectors.checked_sub(before)? * SECTOR;
        Some(start..start + length).filter(|_| start != 0 && size > FLOPPY_BYTES)
    };
    let promise = PROMISE_SECTORS.into_iter().filter(move |_| is_disk).map(move |at| place(at, PROMISE.len() as u64));
    std::iter::once(place(ddf::COPY_SECTOR, SECTOR)).chain(promise).flatten()
}

/// What is told by the end of a disk; DDF also by that of a volume.
pub(super) fn at_the_end(volume: &Volume<'_>) -> Option<Content> {
    if volume.size() <= FLOPPY_BYTES {
        return None;
    }
    let ddf = ddf(volume);
    if ddf.is_some() || !volume.is_disk() {
        return ddf;
    }
    let (last, last_but_one) = (volume.sector_from_end(1)?, volume.sector_from_end(2)?);
    let name = if has(last_but_one, 0, INTEL) {
        "isw_raid_member"
    } else if has(last, 0, LSI) {
        "lsi_mega_raid_member"
    } else if is_via(last) {
        "via_raid_member"
    } else if is_silicon(last) {
        "silicon_medley_raid_member"
    } else if is_nvidia(last_but_one) {
        "nvidia_raid_member"
    } else if is_promise(volume) {
        "promise_fasttrack_raid_member"
    } else if HIGHPOINT.contains(&le32(volume.sector_from_end(HIGHPOINT_45X_SECTOR)?, 0)) {
        "hpt45x_raid_member"
    } else if be32(last, 0) == adaptec::MAGIC && has(last, adaptec::SIGNATURE_AT, adaptec::SIGNATURE) {
        "adaptec_raid_member"
    } else if is_jmicron(last) {
        "jmicron_raid_member"
    } else {
        return None;
    };
    Some(Content::new(name))
}

/// What is told by the start of a disk.
pub(super) fn at_the_start(volume: &Volume<'_>) -> Option<Content> {
    let is_one = volume.is_disk()
        && volume.size() > FLOPPY_BYTES
        && HIGHPOINT_37X.contains(&le32(volume.head(), HIGHPOINT_37X_AT));
    is_one.then(|| Content::new("hpt37x_raid_member"))
}

fn ddf(volume: &Volume<'_>) -> Option<Content> {
    let copy = || {
        let range = ends(volume.size(), false).next()?;
        volume.read(range.start, usize::try_from(SECTOR).ok()?)
    };
    let is_header = |header: &&[u8]| {
        let revision = header.get(ddf::REVISION_AT..ddf::REVISION_AT + 8).unwrap_or_default();
        [ddf::BIG_ENDIAN, ddf::LITTLE_ENDIAN].contains(&be32(header, 0))
            && revision.iter().all(|&letter| letter.is_ascii_digit() || matches!(letter, b'.' | 0))
    };
    let header = volume.sector_from_end(1).filter(is_header).or_else(|| copy().filter(is_header))?;
    let read: fn(&[u8], usize) -> u64 = if be32(header, 0) == ddf::BIG_ENDIAN { be64 } else { le64 };
    let primary = read(header, ddf::PRIMARY_AT);
    let is_sound = primary == 0 || has(header, 0, volume.read(primary.checked_mul(SECTOR)?, 4)?);
    is_sound.then(|| Content::new("ddf_raid_member").uuid(text::label_at(header, ddf::GUID_AT, ddf::GUID_LEN)))
}

fn is_via(sector: &[u8]) -> bool {
    let sum = sector.iter().take(via::SUM_AT).fold(0_u8, |sum, &byte| sum.wrapping_add(byte));
    has(sector, 0, via::SIGNATURE)
        && byte(sector, via::VERSION_AT) <= via::MAX_VERSION
        && sum == byte(sector, via::SUM_AT)
}

fn is_silicon(sector: &[u8]) -> bool {
    le32(sector, silicon::MAGIC_AT) == silicon::MAGIC
        && byte(sector, silicon::DISK_AT) < silicon::MAX_DISKS
        && sum_16(sector, silicon::SUM_AT + 2) == 0
}

fn is_nvidia(sector: &[u8]) -> bool {
    let words = sector.as_chunks::<4>().0.iter().take(nvidia::WORDS);
    has(sector, 0, nvidia::SIGNATURE)
        && usize::try_from(le32(sector, nvidia::WORDS_AT)) == Ok(nvidia::WORDS)
        && words.fold(0_u32, |sum, &word| sum.wrapping_add(u32::from_le_bytes(word))) == 0
}

fn is_promise(volume: &Volume<'_>) -> bool {
    // All places are asked for before any is looked at.
    let places = ends(volume.size(), true).skip(1).map(|range| volume.read(range.start, PROMISE.len()));
    places.collect::<Vec<_>>().contains(&Some(PROMISE))
}

fn is_jmicron(sector: &[u8]) -> bool {
    has(sector, 0, jmicron::SIGNATURE)
        && sum_16(sector, jmicron::BYTES) <= 1
        && byte(sector, jmicron::MODE_AT) <= jmicron::MAX_MODE
}

/// The sum of the little-endian words of 16 bits in the first `length` bytes.
fn sum_16(sector: &[u8], length: usize) -> u16 {
    (0..length).step_by(2).fold(0, |sum: u16, at| sum.wrapping_add(le16(sector, at)))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name, volume};
    use super::super::{Look, identify, name};
    use super::*;

    const END: usize = 2 << 20;

    fn found_at(at: usize, bytes: &[u8]) -> Option<&'static str> {
        found_name(&volume(&[(at, bytes)]))
    }

    /// A sector of these bytes, with a word put in that makes its words add up to 0.
    fn summed(length: usize, sum_at: usize, patches: &[(usize, &[u8])]) -> Vec<u8> {
        let mut sector = vec![0; length];
        for (at, bytes) in patches {
            sector[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        let sum = sum_16(&sector, length).wrapping_neg();
        sector[sum_at..sum_at + 2].copy_from_slice(&sum.to_le_bytes());
        sector
    }

    #[test]
    fn signatures_are_found_in_their_sectors_alone() {
        assert_eq!(found_at(END - 1024, b"Intel Raid ISM Cfg Sig. 1.0.00"), Some("isw_raid_member"));
        assert_eq!(found_at(END - 512, b"Intel Raid ISM Cfg Sig. 1.0.00"), None);
        assert_eq!(found_at(END - 512, b"$XIDE$"), Some("lsi_mega_raid_member"));
        for sector in PROMISE_SECTORS {
            let at = END - 512 * usize::try_from(sector).unwrap();
            assert_eq!(found_at(at, PROMISE), Some("promise_fasttrack_raid_member"), "{sector}");
        }
        assert_eq!(found_at(END - 512 * 64, PROMISE), None);
        for magic in HIGHPOINT {
            assert_eq!(found_at(END - 11 * 512, &magic.to_le_bytes()), Some("hpt45x_raid_member"));
            assert_eq!(found_at(END - 10 * 512, &magic.to_le_bytes()), None);
        }
        for magic in HIGHPOINT_37X {
            assert_eq!(found_at(4640, &magic.to_le_bytes()), Some("hpt37x_raid_member"));
        }
        let adaptec = [(END - 512, &b"\x37\xfc\x4d\x1e"[..]), (END - 256, b"DPTM")];
        assert_eq!(found_name(&volume(&adaptec)), Some("adaptec_raid_member"));
        assert_eq!(found_name(&volume(&adaptec[..1])), None);
    }

    #[test]
    fn a_sum_has_to_be_right() {
        let wrong = |sector: &[u8], at: usize| {
            let mut sector = sector.to_vec();
            sector[at] ^= 0x10;
            sector
        };
        let mut via = vec![0; 51];
        via[..5].copy_from_slice(b"\x55\xaa\x01\x03\x04");
        via[50] = 0x07;
        assert_eq!(found_at(END - 512, &via), Some("via_raid_member"));
        assert_eq!(found_at(END - 512, &wrong(&via, 30)), None);
        let silicon = summed(0x140, 0x13e, &[(0x60, b"\0\0\0\x2f"), (0x116, b"\x01"), (0x36, b"disk")]);
        assert_eq!(found_at(END - 512, &silicon), Some("silicon_medley_raid_member"));
        assert_eq!(found_at(END - 512, &wrong(&silicon, 0x40)), None);
        let disk_8 = summed(0x140, 0x13e, &[(0x60, b"\0\0\0\x2f"), (0x116, b"\x08")]);
        assert_eq!(found_at(END - 512, &disk_8), None);
        let jmicron = summed(128, 4, &[(0, b"JM\x01\x05"), (0x20, b"array")]);
        assert_eq!(found_at(END - 512, &jmicron), Some("jmicron_raid_member"));
        assert_eq!(found_at(END - 512, &wrong(&jmicron, 0x22)), None);
        assert_eq!(found_at(END - 512, &summed(128, 4, &[(0, b"JM"), (0x30, b"\x06")])), None);
        let mut nvidia = b"NVIDIA  \x1e\0\0\0".to_vec();
        nvidia.resize(120, 0);
        let sum = nvidia.as_chunks::<4>().0.iter().fold(0_u32, |sum, &word| sum.wrapping_add(u32::from_le_bytes(word)));
        nvidia[12..16].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
        assert_eq!(found_at(END - 1024, &nvidia), Some("nvidia_raid_member"));
        assert_eq!(found_at(END - 1024, &wrong(&nvidia, 60)), None);
        assert_eq!(found_at(END - 1024, b"NVIDIA GRAPHICS"), None);
    }

    #[test]
    fn ddf_is_found_by_either_header_if_the_primary_one_is_there() {
        let header = |magic: &[u8], primary: [u8; 8]| {
            let mut header = magic.to_vec();
            header.resize(512, 0);
            header[8..18].copy_from_slice(b"LSI 0123  ");
            header[32..40].copy_from_slice(b"02.00.00");
            header[96..104].copy_from_slice(&primary);
            header
        };
        let found_ddf = Some(("ddf_raid_member", None, Some("LSI 0123".to_owned())));
        let big = header(b"\xde\x11\xde\x11", 100_u64.to_be_bytes());
        let little = header(b"\x11\xde\x11\xde", 100_u64.to_le_bytes());
        for header in [big, little] {
            for at in [END - 512, END - 257 * 512] {
                assert_eq!(found(&volume(&[(at, &header), (51_200, &header[..4])])), found_ddf, "{at}");
                assert_eq!(found(&volume(&[(at, &header)])), None, "{at}");
            }
        }
        assert_eq!(found(&volume(&[(END - 512, &header(b"\xde\x11\xde\x11", [0; 8]))])), found_ddf);
    }

    #[test]
    fn firmware_knows_no_partitions_and_no_floppies() {
        let disk = volume(&[(END - 1024, INTEL)]);
        let mut look = Look::new([(1 << 20, 1 << 20)], 2 << 20, true);
        while !look.wanted().is_empty() {
            look.read(&disk).unwrap();
        }
        assert_eq!((look.contents(), found_name(&disk)), (vec![None], Some("isw_raid_member")));
        // Shorter than one of the places of Promise's is from the end.
        let small = &highpoint_37x()[..3030 * 512];
        assert_eq!(found_name(small), Some("hpt37x_raid_member"));
        let floppy = &disk[END - 1_474_560..];
        assert_eq!(identify(&floppy, floppy.len() as u64).unwrap(), None);
        assert_eq!(name(&highpoint_37x()[..70 * 1024]), None);
    }

    fn highpoint_37x() -> Vec<u8> {
        volume(&[(4640, &HIGHPOINT_37X[0].to_le_bytes())])
    }
}
