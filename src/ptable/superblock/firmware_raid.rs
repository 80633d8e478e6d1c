//! Members of a RAID that the firmware of a controller makes, in the last sectors of a disk.
//!
//! Magic numbers and places: libblkid's `superblocks/isw_raid.c`, `ddf_raid.c`, `lsi_raid.c`, `nvidia_raid.c`. Those that have no
//! magic number worth the name are left out.

use std::ops::Range;

use super::super::fields::{has, le32};
use super::volume::Volume;
use super::{Content, FLOPPY_BYTES};

const SECTOR: u64 = 512;
/// Sectors at the end that are looked at.
const SECTORS: u64 = 2;

const INTEL: &[u8] = b"Intel Raid ISM Cfg Sig. ";
const NVIDIA: &[u8] = b"NVIDIA";
/// Words of 4 bytes in NVIDIA's structure, 120 bytes: they are what its checksum goes over.
const NVIDIA_WORDS_AT: usize = 8;
const LSI: &[u8] = b"$XIDE$";
/// SNIA Common RAID Disk Data Format 2.0 section 5.2, in either byte order.
const DDF: [&[u8]; 2] = [b"\xde\x11\xde\x11", b"\x11\xde\x11\xde"];
/// `DDF_rev` in the header: digits and points.
const DDF_REVISION_AT: usize = 32;

/// Where they are in a volume of `size` bytes.
pub(super) fn end(size: u64) -> Option<Range<u64>> {
    let end = size / SECTOR * SECTOR;
    (size > FLOPPY_BYTES).then(|| end - SECTORS * SECTOR..end)
}

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let range = end(volume.size())?;
    let sectors = volume.read(range.start, usize::try_from(range.end - range.start).ok()?)?;
    let (first, last) = sectors.split_at_checked(512)?;
    let is_ddf = DDF.iter().any(|magic| has(last, 0, magic))
        && last.get(DDF_REVISION_AT..DDF_REVISION_AT + 8)?.iter().all(|&c| c.is_ascii_digit() || matches!(c, b'.' | 0));
    if is_ddf {
        Some(Content::new("ddf_raid_member"))
    } else if has(first, 0, INTEL) {
        Some(Content::new("isw_raid_member"))
    } else if has(last, 0, LSI) {
        Some(Content::new("lsi_mega_raid_member"))
    } else if has(first, 0, NVIDIA) && (1..=128).contains(&le32(first, NVIDIA_WORDS_AT)) {
        Some(Content::new("nvidia_raid_member"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found_name, volume};

    #[test]
    fn each_is_found_in_the_last_two_sectors() {
        let end = 2 << 20;
        let found = |at: usize, bytes: &[u8]| found_name(&volume(&[(at, bytes)]));
        assert_eq!(found(end - 1024, b"Intel Raid ISM Cfg Sig. 1.0.00"), Some("isw_raid_member"));
        assert_eq!(found(end - 512, b"$XIDE$"), Some("lsi_mega_raid_member"));
        assert_eq!(found(end - 512, b"\xde\x11\xde\x11"), Some("ddf_raid_member"));
        assert_eq!(found(end - 1024, b"NVIDIA  \x1e\0\0\0"), Some("nvidia_raid_member"));
        assert_eq!(found(end - 1024, b"NVIDIA GRAPHICS"), None);
        assert_eq!(found(end - 512, b"Intel Raid ISM Cfg Sig. 1.0.00"), None);
    }
}
