//! Boot sectors of file systems, which end in 0x55AA as an MBR does.
//!
//! The boot code behind the parameter block may look like four entries with valid boot flags. `libblkid`
//! (`partitions/dos.c`) therefore asks first whether the sector is a valid FAT, exFAT or NTFS one; so do we. A jump and
//! a name are not enough: boot managers keep both when they write an MBR over an old boot sector.
//!
//! Nor is a valid sector enough to say that the entries are none: partitioning tools keep the first 446 bytes of a medium
//! that was formatted as a whole, and some media have both on purpose. Who makes a file system writes the whole sector,
//! so entries that make sense are younger than the parameter block around them. They are weighed against it:
//!
//! | the entries (behind LBA 0, not overlapping) | the volume of the boot sector stands | it does not |
//! |---|---|---|
//! | several, all of which end in the image | table | table |
//! | all of which end in the image, or on the disk that the boot sector is of: as long as its volume and up to a cylinder more, of which the image was cut short | table | table |
//! | several, of which one begins in the image | file system, but table where the volume ends a MiB or more before the image | table |
//! | several, wherever they end, and a file system or EBR begins where one of them does | table | table |
//! | one, and a file system begins where it does | file system | table |
//! | others: from LBA 0 on, overlapping, past all ends | file system | file system |
//!
//! *Several* is two, or an extended one. The entry that mkfs.fat makes up begins at LBA 0. A volume
//! *stands* ([`stands`]) where it ends in the image and its first structures are where the boot sector has them: of FAT
//! the two copies' start and the root directory, of exFAT the start of the FAT, of NTFS the first record of `$MFT`. From
//! the second row on the entries have a type, too, which code that happens to look like entries has not always.

use super::fields::{all_zero, byte, has, le16, le32, le64};
use super::view::View;

/// Bytes of a boot sector that are looked at.
pub(super) const SIZE: usize = 512;
/// Offset of 0x55AA, in a boot sector, an MBR and an EBR alike.
pub(super) const SIGNATURE_AT: usize = 510;
/// 0x55AA.
pub(super) const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// OEM name; for some file systems the magic.
const OEM_AT: usize = 3;

// PC-98: `libparted/labels/pc98.c` knows a boot sector by the name of its loader.
const PC98_LOADER_AT: usize = 4;
const PC98_LOADERS: [&[u8]; 3] = [b"IPL1", b"Linux 98", b"GRUB/98 "];

// BIOS parameter block: Microsoft FAT specification 1.03 section 3.1; NTFS keeps the same fields, most of them zero.
const SECTOR_SIZE_AT: usize = 11; // 2 bytes
const SECTORS_PER_CLUSTER_AT: usize = 13; // 1
const RESERVED_SECTORS_AT: usize = 14; // 2
const FATS_AT: usize = 16; // 1
const ROOT_ENTRIES_AT: usize = 17; // 2
const SECTORS_16_AT: usize = 19; // 2
const MEDIA_AT: usize = 21; // 1
const FAT_SECTORS_16_AT: usize = 22; // 2
const SECTORS_32_AT: usize = 32; // 4
const FAT_SECTORS_32_AT: usize = 36; // 4
/// File system name of FAT12 and FAT16; OS/2 writes `HPFS` or `JFS` there in front of file systems that are no FAT.
const FAT16_NAME_AT: usize = 54;
/// File system name of FAT32.
const FAT32_NAME_AT: usize = 82;

const ROOT_CLUSTER_AT: usize = 44; // 4, of FAT32
const ROOT_ENTRY_BYTES: u64 = 32;
/// Attributes of a directory entry, and those that none has.
const ROOT_ATTRIBUTES_AT: usize = 11; // 1
const NO_ATTRIBUTES: u8 = 0xc0;
// Most clusters a FAT can number, as in `libblkid`'s superblocks/vfat.c.
const FAT16_MAX_CLUSTERS: u64 = 0xfff4;
const FAT32_MAX_CLUSTERS: u64 = 0x0fff_fff6;

// NTFS: `ntfs_super_block` of libblkid's superblocks/ntfs.c.
const NTFS_SECTORS_AT: usize = 40; // 8
const NTFS_MFT_AT: usize = 48; // 8, a cluster number
const NTFS_MAX_CLUSTER: u32 = 2 * 1024 * 1024;
const NTFS_RECORD_MAGIC: &[u8] = b"FILE";

// exFAT: Microsoft exFAT specification section 3.1.
const EXFAT_MUST_BE_ZERO: std::ops::Range<usize> = 11..64;
const EXFAT_SECTORS_AT: usize = 72; // 8
const EXFAT_FAT_AT: usize = 80; // 4, a sector number
const EXFAT_SECTOR_SHIFT_AT: usize = 108;
const EXFAT_FATS_AT: usize = 110;

/// The name of the file system whose boot sector this is (`vfat`, `exfat`, `ntfs`); `None` for everything else, an
/// MBR among it.
pub(super) fn file_system(sector: &[u8]) -> Option<&'static str> {
    if is_exfat(sector) {
        Some("exfat")
    } else if is_ntfs(sector) {
        Some("ntfs")
    } else if is_fat(sector) {
        Some("vfat")
    } else {
        None
    }
}

/// Whether 0x55AA stands at its place.
pub(super) fn is_signed(sector: &[u8]) -> bool {
    has(sector, SIGNATURE_AT, &SIGNATURE)
}

/// Whether this is the boot sector of a PC-98 disk.
pub(super) fn is_pc98(sector: &[u8]) -> bool {
    is_signed(sector) && PC98_LOADERS.iter().any(|loader| has(sector, PC98_LOADER_AT, loader))
}

fn is_fat(sector: &[u8]) -> bool {
    let named = [b"MSWIN".as_slice(), b"FAT32   "].iter().any(|name| has(sector, FAT32_NAME_AT, name))
        || [b"MSDOS".as_slice(), b"FAT16   ", b"FAT12   ", b"FAT     "]
            .iter()
            .any(|name| has(sector, FAT16_NAME_AT, name));
    let foreign = has(sector, FAT16_NAME_AT, b"JFS     ") || has(sector, FAT16_NAME_AT, b"HPFS    ");
    if !(named || is_signed(sector) && !foreign) {
        return false;
    }
    let sector_size = le16(sector, SECTOR_SIZE_AT);
    let per_cluster = byte(sector, SECTORS_PER_CLUSTER_AT);
    let reserved = le16(sector, RESERVED_SECTORS_AT);
    let fats = byte(sector, FATS_AT);
    let media = byte(sector, MEDIA_AT);
    let sane = sector_size.is_power_of_two()
        && (512..=4096).contains(&sector_size)
        && per_cluster.is_power_of_two()
        && reserved != 0
        && fats != 0
        && (media == 0xf0 || media >= 0xf8);
    if !sane {
        return false;
    }
    let Fat { sectors, sectors_each, data_at, is_32, .. } = Fat::of(sector);
    let max_clusters = if is_32 { FAT32_MAX_CLUSTERS } else { FAT16_MAX_CLUSTERS };
    sectors_each != 0 && sectors > data_at && (sectors - data_at) / u64::from(per_cluster) <= max_clusters
}

/// Where a FAT volume has what, in its own sectors.
struct Fat {
    sectors: u64,
    /// Of one FAT.
    sectors_each: u64,
    /// The first FAT.
    first_at: u64,
    root_at: u64,
    data_at: u64,
    is_32: bool,
}

impl Fat {
    fn of(sector: &[u8]) -> Fat {
        let or_wide = |narrow: usize, wide: usize| match le16(sector, narrow) {
            0 => u64::from(le32(sector, wide)),
            n => u64::from(n),
        };
        let sectors_each = or_wide(FAT_SECTORS_16_AT, FAT_SECTORS_32_AT);
        let first_at = u64::from(le16(sector, RESERVED_SECTORS_AT));
        let root_at = first_at + sectors_each * u64::from(byte(sector, FATS_AT));
        let root_bytes = u64::from(le16(sector, ROOT_ENTRIES_AT)) * ROOT_ENTRY_BYTES;
        let data_at = root_at + root_bytes.div_ceil(u64::from(le16(sector, SECTOR_SIZE_AT)).max(1));
        let is_32 = le16(sector, FAT_SECTORS_16_AT) == 0;
        let cluster = u64::from(le32(sector, ROOT_CLUSTER_AT)).saturating_sub(2);
        let root_at = if is_32 { data_at + cluster * u64::from(byte(sector, SECTORS_PER_CLUSTER_AT)) } else { root_at };
        Fat { sectors: or_wide(SECTORS_16_AT, SECTORS_32_AT), sectors_each, first_at, root_at, data_at, is_32 }
    }
}

/// Bytes of the volume that a valid boot sector is of.
pub(super) fn volume_bytes(sector: &[u8]) -> Option<u64> {
    let sector_size = u64::from(le16(sector, SECTOR_SIZE_AT));
    match file_system(sector)? {
        "exfat" => le64(sector, EXFAT_SECTORS_AT).checked_mul(1 << byte(sector, EXFAT_SECTOR_SHIFT_AT).min(12)),
        // The last sector, which has the copy of the boot sector, is not counted.
        "ntfs" => le64(sector, NTFS_SECTORS_AT).checked_add(1)?.checked_mul(sector_size),
        _ => Fat::of(sector).sectors.checked_mul(sector_size),
    }
}

/// Whether the volume of a valid boot sector at LBA 0 is there: it ends in the image, and its first structures are where
/// the boot sector has them. What cannot be read is there: an image that cannot be read to its end is none to look for
/// other things in. No verdict rests on what is read for that.
pub(super) fn stands(view: &View<'_>, sector: &[u8]) -> bool {
    if volume_bytes(sector).is_none_or(|bytes| bytes > view.size()) {
        return false;
    }
    let sector_size = u64::from(le16(sector, SECTOR_SIZE_AT));
    let check = |at: u64, len: usize, is_right: &dyn Fn(&[u8]) -> bool| match view.peek(at, len) {
        Ok(Some(bytes)) => is_right(&bytes),
        Ok(None) => false,
        Err(_) => true,
    };
    match file_system(sector) {
        Some("exfat") => {
            let at = u64::from(le32(sector, EXFAT_FAT_AT)) << byte(sector, EXFAT_SECTOR_SHIFT_AT).min(12);
            check(at, 8, &|fat| has(fat, 0, &[0xf8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))
        }
        Some("ntfs") => {
            let cluster = u64::from(ntfs_sectors_per_cluster(sector)).saturating_mul(sector_size);
            let mft = le64(sector, NTFS_MFT_AT).saturating_mul(cluster);
            check(mft, NTFS_RECORD_MAGIC.len(), &|record| record == NTFS_RECORD_MAGIC)
        }
        Some(_) => {
            let fat = Fat::of(sector);
            let media = byte(sector, MEDIA_AT);
            // The first entry: the medium's byte, and ones up to the width of an entry.
            let begins = |bytes: &[u8]| has(bytes, 0, &[media, 0xff]);
            let is_entry = |entry: &[u8]| match byte(entry, 0) {
                0 => true,
                name => (name >= b' ' || name == 0x05) && byte(entry, ROOT_ATTRIBUTES_AT) & NO_ATTRIBUTES == 0,
            };
            (0..u64::from(byte(sector, FATS_AT)).min(2))
                .all(|copy| check((fat.first_at + copy * fat.sectors_each).saturating_mul(sector_size), 2, &begins))
                && check(fat.root_at.saturating_mul(sector_size), 32, &is_entry)
        }
        None => false,
    }
}

/// Clusters above 64 KiB are written as a negative power of two (Windows 10 1709 on).
fn ntfs_sectors_per_cluster(sector: &[u8]) -> u32 {
    match byte(sector, SECTORS_PER_CLUSTER_AT) {
        n if n <= 128 => u32::from(n),
        n => 1_u32.checked_shl(256 - u32::from(n)).unwrap_or(0),
    }
}

fn is_ntfs(sector: &[u8]) -> bool {
    let sector_size = le16(sector, SECTOR_SIZE_AT);
    let per_cluster = ntfs_sectors_per_cluster(sector);
    let unused_are_zero = le16(sector, RESERVED_SECTORS_AT) == 0
        && byte(sector, FATS_AT) == 0
        && le16(sector, ROOT_ENTRIES_AT) == 0
        && le16(sector, SECTORS_16_AT) == 0
        && le16(sector, FAT_SECTORS_16_AT) == 0
        && le32(sector, SECTORS_32_AT) == 0;
    has(sector, OEM_AT, b"NTFS    ")
        && sector_size.is_power_of_two()
        && (256..=4096).contains(&sector_size)
        && per_cluster.is_power_of_two()
        && per_cluster.checked_mul(u32::from(sector_size)).is_some_and(|bytes| bytes <= NTFS_MAX_CLUSTER)
        && unused_are_zero
        && le64(sector, NTFS_MFT_AT) <= le64(sector, NTFS_SECTORS_AT) / u64::from(per_cluster)
}

fn is_exfat(sector: &[u8]) -> bool {
    has(sector, OEM_AT, b"EXFAT   ")
        && is_signed(sector)
        && sector.get(EXFAT_MUST_BE_ZERO).is_some_and(all_zero)
        && (9..=12).contains(&byte(sector, EXFAT_SECTOR_SHIFT_AT))
        && (1..=2).contains(&byte(sector, EXFAT_FATS_AT))
}

#[cfg(test)]
mod tests {
    use super::super::testdisk::fat16;
    use super::*;

    #[test]
    fn a_valid_parameter_block_is_a_file_system() {
        assert_eq!(file_system(&fat16()), Some("vfat"));
    }

    #[test]
    fn a_jump_and_a_name_are_not_a_file_system() {
        for (at, value) in [(SECTORS_PER_CLUSTER_AT, 3), (FATS_AT, 0), (MEDIA_AT, 0x12), (SECTOR_SIZE_AT + 1, 3)] {
            let mut sector = fat16();
            sector[at] = value;
            assert_eq!(file_system(&sector), None, "byte {at}");
        }
    }

    #[test]
    fn a_fat_larger_than_its_volume_is_not_one() {
        let mut sector = fat16();
        sector[FAT_SECTORS_16_AT + 1] = 0xff;
        assert_eq!(file_system(&sector), None);
    }

    #[test]
    fn a_shorter_buffer_is_no_file_system() {
        for len in 0..SIZE {
            let _ = file_system(&fat16()[..len]);
        }
        assert_eq!(file_system(&[]), None);
    }
}
