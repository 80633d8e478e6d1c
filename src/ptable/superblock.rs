//! Names a file system, or another content of a whole volume, by its magic.
//!
//! The names are `libblkid`'s. Only the first [`WINDOW_BYTES`] are looked at, so what keeps its superblock at the end
//! of the volume (MD 0.90 and 1.0, some firmware RAIDs) is not seen. This tells content from emptiness and names what a
//! partition holds; it is no check that the file system is sound.

use std::io;
use std::ops::Range;

use positioned_io::ReadAt;

use super::boot_sector;
use super::fields::{be16, be32, byte, has, le16, le32, le64};
use super::view::read_prefix;

/// Bytes at the start of a volume that are looked at: the superblocks of btrfs and `ReiserFS`, at 64 KiB, are the last.
pub const WINDOW_BYTES: u64 = 70 * 1024;

/// One kind of content.
struct Magic {
    name: &'static str,
    at: usize,
    bytes: &'static [u8],
    /// What must hold besides, given the window.
    check: fn(&[u8]) -> bool,
}

const fn magic(name: &'static str, at: usize, bytes: &'static [u8]) -> Magic {
    checked(name, at, bytes, |_| true)
}

const fn checked(name: &'static str, at: usize, bytes: &'static [u8], check: fn(&[u8]) -> bool) -> Magic {
    Magic { name, at, bytes, check }
}

const EXT_AT: usize = 1024;
const HFS_AT: usize = 1024;
/// Volume descriptors of ISO 9660 (ECMA-119 section 6.7.1) and UDF (ECMA-167 part 2 section 8.3.1) start here.
const DESCRIPTORS_AT: usize = 32 * 1024;
const DESCRIPTOR_BYTES: usize = 2048;
/// `BitLocker` To Go looks like FAT32, but for this GUID (`libblkid`'s superblocks/bitlocker.c).
const BITLOCKER_TO_GO: &[u8] =
    &[0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01];

/// Containers come first: what they hold may show through behind their own header.
const MAGICS: &[Magic] = &[
    magic("crypto_LUKS", 0, b"LUKS\xba\xbe"),
    // The second header of LUKS2, where the first is lost.
    magic("crypto_LUKS", 16384, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 32768, b"SKUL\xba\xbe"),
    magic("crypto_LUKS", 65536, b"SKUL\xba\xbe"),
    checked("LVM2_member", 0, b"LABELONE", |w| is_lvm2(w, 0)),
    checked("LVM2_member", 512, b"LABELONE", |w| is_lvm2(w, 512)),
    checked("LVM2_member", 1024, b"LABELONE", |w| is_lvm2(w, 1024)),
    checked("LVM2_member", 1536, b"LABELONE", |w| is_lvm2(w, 1536)),
    checked("linux_raid_member", 0, b"\xfc\x4e\x2b\xa9", |w| is_md1(w, 0)),
    checked("linux_raid_member", 4096, b"\xfc\x4e\x2b\xa9", |w| is_md1(w, 4096)),
    magic("BitLocker", 3, b"-FVE-FS-"),
    checked("BitLocker", 3, b"MSWIN4.1", |w| has(w, 424, BITLOCKER_TO_GO)),
    checked("ReFS", 3, b"ReFS\0\0\0\0", |w| has(w, 16, b"FSRS")),
    checked("exfat", 3, b"EXFAT   ", |w| boot_sector::file_system(w) == Some("exfat")),
    checked("ntfs", 3, b"NTFS    ", |w| boot_sector::file_system(w) == Some("ntfs")),
    checked("xfs", 0, b"XFSB", |w| be32(w, 4).is_power_of_two() && (512..=65536).contains(&be32(w, 4))),
    magic("btrfs", 65536 + 64, b"_BHRfS_M"),
    checked("ext4", EXT_AT + 56, b"\x53\xef", |w| ext_name(w) == Some("ext4")),
    checked("ext3", EXT_AT + 56, b"\x53\xef", |w| ext_name(w) == Some("ext3")),
    checked("ext2", EXT_AT + 56, b"\x53\xef", |w| ext_name(w) == Some("ext2")),
    checked("jbd", EXT_AT + 56, b"\x53\xef", |w| ext_name(w) == Some("jbd")),
    magic("f2fs", 1024, b"\x10\x20\xf5\xf2"),
    magic("apfs", 32, b"NXSB"),
    checked("hfsplus", HFS_AT, b"BD", |w| has(w, HFS_AT + 124, b"H+") || has(w, HFS_AT + 124, b"HX")),
    checked("hfs", HFS_AT, b"BD", |w| be32(w, HFS_AT + 20) != 0 && be32(w, HFS_AT + 20).is_multiple_of(512)),
    checked("hfsplus", HFS_AT, b"H+", |w| be16(w, HFS_AT + 2) == 4),
    checked("hfsplus", HFS_AT, b"HX", |w| be16(w, HFS_AT + 2) == 5),
    checked("squashfs", 0, b"hsqs", |w| le16(w, 28) >= 4),
    checked("squashfs3", 0, b"hsqs", |w| le16(w, 28) < 4),
    checked("squashfs3", 0, b"sqsh", |w| be16(w, 28) < 4),
    magic("reiserfs", 65536 + 52, b"ReIsErFs"),
    magic("reiserfs", 65536 + 52, b"ReIsEr2Fs"),
    magic("reiserfs", 65536 + 52, b"ReIsEr3Fs"),
    magic("jfs", 32768, b"JFS1"),
    magic("swap", 4096 - 10, b"SWAPSPACE2"),
    magic("swap", 4096 - 10, b"SWAP-SPACE"),
    magic("swap", 8192 - 10, b"SWAPSPACE2"),
    magic("swap", 16384 - 10, b"SWAPSPACE2"),
    magic("swap", 65536 - 10, b"SWAPSPACE2"),
    magic("swsuspend", 4096 - 10, b"S1SUSPEND"),
    // FAT has no magic of its own; its check asks for one of the names or for 0x55AA.
    checked("vfat", 0, b"", |w| boot_sector::file_system(w) == Some("vfat")),
    checked("udf", DESCRIPTORS_AT + 1, b"", is_udf),
    magic("iso9660", DESCRIPTORS_AT + 1, b"CD001"),
    magic("iso9660", DESCRIPTORS_AT + 9, b"CDROM"),
];

/// Where in an image [`identify`] looks for what a volume of `size` bytes at `start` holds.
#[must_use]
pub fn window(start: u64, size: u64) -> Range<u64> {
    start..start.saturating_add(size.min(WINDOW_BYTES))
}

/// What the volume of `size` bytes holds, by `libblkid`'s name (`ext4`, `vfat`, `LVM2_member`, ...); `None` if nothing
/// is recognised. Reads at most [`WINDOW_BYTES`] at its start, in one go.
///
/// # Errors
/// Those of `volume`; [`io::ErrorKind::UnexpectedEof`] if it ends before `size`.
pub fn identify(volume: &dyn ReadAt, size: u64) -> io::Result<Option<&'static str>> {
    let mut window = vec![0; usize::try_from(size.min(WINDOW_BYTES)).unwrap_or(0)];
    match read_prefix(volume, 0, &mut window) {
        (_, None) => Ok(name(&window)),
        (_, Some(error)) => Err(error),
    }
}

/// What a volume holds that starts with `window`, of [`WINDOW_BYTES`] if it has as many.
pub(super) fn name(window: &[u8]) -> Option<&'static str> {
    let fits = |m: &&Magic| has(window, m.at, m.bytes) && (m.check)(window);
    MAGICS.iter().find(fits).map(|m| m.name)
}

/// LVM2: `struct label_header` of lvm2's lib/label/label.h.
fn is_lvm2(window: &[u8], label_at: usize) -> bool {
    has(window, label_at + 24, b"LVM2 001")
}

/// MD version 1: `struct mdp_superblock_1` of Linux's `md_p.h`. It says itself where it lies.
fn is_md1(window: &[u8], at: usize) -> bool {
    le32(window, at + 4) == 1 && le64(window, at + 144) == (at / 512) as u64
}

/// Which of its family this is, by its feature flags, with the rules of `libblkid`'s superblocks/ext.c.
fn ext_name(window: &[u8]) -> Option<&'static str> {
    const COMPAT_AT: usize = EXT_AT + 92;
    const INCOMPAT_AT: usize = EXT_AT + 96;
    const RO_COMPAT_AT: usize = EXT_AT + 100;
    const LOG_BLOCK_SIZE_AT: usize = EXT_AT + 24;
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    const EXT2_INCOMPAT: u32 = 0x2 | 0x10;
    const EXT3_INCOMPAT: u32 = EXT2_INCOMPAT | 0x4;
    const EXT3_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;
    // 64 KiB is the largest block, 1 KiB the smallest.
    if le32(window, LOG_BLOCK_SIZE_AT) > 6 {
        return None;
    }
    let incompat = le32(window, INCOMPAT_AT);
    let old_ro_compat = le32(window, RO_COMPAT_AT) & !EXT3_RO_COMPAT == 0;
    let journal = le32(window, COMPAT_AT) & HAS_JOURNAL != 0;
    Some(if incompat & JOURNAL_DEVICE != 0 {
        "jbd"
    } else if journal && old_ro_compat && incompat & !EXT3_INCOMPAT == 0 {
        "ext3"
    } else if !journal && old_ro_compat && incompat & !EXT2_INCOMPAT == 0 {
        "ext2"
    } else {
        "ext4"
    })
}

/// A UDF volume recognition sequence: `NSR02` or `NSR03` behind `BEA01` (ECMA-167 part 3 section 9.1), with ISO 9660
/// descriptors before it on a bridge disc. On a disk of larger sectors a descriptor takes a sector.
fn is_udf(window: &[u8]) -> bool {
    [DESCRIPTOR_BYTES, 4096].into_iter().any(|step| {
        let ids = (DESCRIPTORS_AT..window.len())
            .step_by(step)
            .map(|at| (byte(window, at), window.get(at + 1..at + 6).unwrap_or_default()));
        ids.take_while(|(_, id)| matches!(*id, b"CD001" | b"BEA01" | b"BOOT2" | b"NSR02" | b"NSR03" | b"TEA01"))
            .any(|(structure, id)| structure == 0 && matches!(id, b"NSR02" | b"NSR03"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(at: usize, bytes: &[u8]) -> Vec<u8> {
        let mut volume = vec![0; 128 * 1024];
        volume[at..at + bytes.len()].copy_from_slice(bytes);
        volume
    }

    fn of(volume: &[u8]) -> Option<&'static str> {
        identify(&volume, volume.len() as u64).unwrap()
    }

    #[test]
    fn a_blank_volume_has_no_name() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&vec![0; 100_000]), None);
    }

    #[test]
    fn every_unconditional_magic_is_found_at_its_offset() {
        for m in MAGICS.iter().filter(|m| !m.bytes.is_empty()) {
            let volume = volume(m.at, m.bytes);
            if (m.check)(&volume) {
                assert_eq!(of(&volume), Some(m.name), "{} at {}", m.name, m.at);
            }
        }
    }

    #[test]
    fn every_magic_lies_in_the_window() {
        assert!(MAGICS.iter().all(|m| (m.at + m.bytes.len()) as u64 <= WINDOW_BYTES));
    }

    #[test]
    fn ext_versions_differ_by_their_features() {
        let mut v = volume(EXT_AT + 56, b"\x53\xef");
        assert_eq!(of(&v), Some("ext2"));
        v[EXT_AT + 92] = 0x4;
        assert_eq!(of(&v), Some("ext3"));
        v[EXT_AT + 96] = 0x40;
        assert_eq!(of(&v), Some("ext4"));
        v[EXT_AT + 24] = 7;
        assert_eq!(of(&v), None);
    }

    #[test]
    fn an_md_superblock_says_where_it_lies() {
        let mut v = volume(4096, b"\xfc\x4e\x2b\xa9\x01");
        assert_eq!(of(&v), None);
        v[4096 + 144] = 8;
        assert_eq!(of(&v), Some("linux_raid_member"));
    }

    #[test]
    fn a_bridge_disc_is_udf() {
        let mut v = volume(DESCRIPTORS_AT, b"\x01CD001");
        assert_eq!(of(&v), Some("iso9660"));
        v[DESCRIPTORS_AT + 2048..][..6].copy_from_slice(b"\0BEA01");
        v[DESCRIPTORS_AT + 4096..][..6].copy_from_slice(b"\0NSR02");
        assert_eq!(of(&v), Some("udf"));
    }

    #[test]
    fn a_volume_shorter_than_it_says_is_an_error() {
        let error = identify(&&[0_u8; 10][..], 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }
}
