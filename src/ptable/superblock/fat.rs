//! FAT12, FAT16 and FAT32: `vfat`.
//!
//! Microsoft FAT specification 1.03. The label is that of the root directory, as in libblkid's superblocks/vfat.c; the one
//! in the boot sector may be older, and stands in where the directory cannot be read.

use std::ops::ControlFlow;

use super::super::boot_sector;
use super::super::fields::{byte, bytes, le16, le32};
use super::chain::Clusters;
use super::content::Content;
use super::text;
use super::volume::Volume;

const SECTOR_SIZE_AT: usize = 11; // 2 bytes
const SECTORS_PER_CLUSTER_AT: usize = 13; // 1
const RESERVED_SECTORS_AT: usize = 14; // 2
const FATS_AT: usize = 16; // 1
const ROOT_ENTRIES_AT: usize = 17; // 2
const FAT_SECTORS_16_AT: usize = 22; // 2
const FAT_SECTORS_32_AT: usize = 36; // 4
const ROOT_CLUSTER_AT: usize = 44; // 4, of FAT32

/// Where FAT12 and FAT16 have what follows, and where FAT32 has it.
const EXTENDED_AT: [usize; 2] = [38, 66];
/// Behind that: a signature that says whether serial number and label are there, and they.
const SIGNATURE: usize = 0; // 1 byte
const SERIAL: usize = 1; // 4
const LABEL: usize = 5; // 11

const ENTRY_BYTES: usize = 32;
const NAME_LEN: usize = 11;
const ATTRIBUTES_AT: usize = 11; // 1 byte
const CLUSTER_HIGH_AT: usize = 20; // 2
const CLUSTER_LOW_AT: usize = 26; // 2
const VOLUME_ID: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
const LONG_NAME: u8 = 0x0f;
const DELETED: u8 = 0xe5;
/// Stands for [`DELETED`] as the first letter of a name.
const STANDS_FOR_DELETED: u8 = 0x05;
const NO_NAME: &[u8] = b"NO NAME    ";

/// Bytes of the root directory of FAT12 and FAT16 that are searched; the label is nearly always its first entry.
const MAX_DIRECTORY: u64 = 16 * 1024;
/// Of an entry of FAT32's table, and the last cluster that it can name.
const ENTRY_MASK: u32 = 0x0fff_ffff;
const LAST_CLUSTER: u32 = 0x0fff_fff6;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    if boot_sector::file_system(head) != Some("vfat") {
        return None;
    }
    let sector = u64::from(le16(head, SECTOR_SIZE_AT));
    let is_32 = le16(head, FAT_SECTORS_16_AT) == 0;
    let fat_sectors = if is_32 { le32(head, FAT_SECTORS_32_AT) } else { le16(head, FAT_SECTORS_16_AT).into() };
    let table_at = u64::from(le16(head, RESERVED_SECTORS_AT)) * sector;
    let data_at = table_at.saturating_add(u64::from(fat_sectors) * u64::from(byte(head, FATS_AT)) * sector);
    let found = if is_32 {
        let cluster_bytes = u64::from(byte(head, SECTORS_PER_CLUSTER_AT)) * sector;
        let clusters = Clusters { table_at, data_at, cluster_bytes, mask: ENTRY_MASK, last: LAST_CLUSTER };
        clusters.search(volume, le32(head, ROOT_CLUSTER_AT), label_in)
    } else {
        let length = u64::from(le16(head, ROOT_ENTRIES_AT)) * ENTRY_BYTES as u64;
        volume.read(data_at, usize::try_from(length.min(MAX_DIRECTORY)).unwrap_or(0)).map(label_in)
    };
    let extended = head.get(EXTENDED_AT[usize::from(is_32)]..).unwrap_or_default();
    let has_fields = matches!(byte(extended, SIGNATURE), 0x28 | 0x29);
    let label = match found {
        Some(ControlFlow::Break(label)) => label,
        Some(ControlFlow::Continue(())) => None,
        None => {
            let label = extended.get(LABEL..LABEL + NAME_LEN).filter(|&label| has_fields && label != NO_NAME);
            label.and_then(text::label)
        }
    };
    let uuid = text::serial(le32(extended, SERIAL)).filter(|_| has_fields);
    Some(Content::new("vfat").label(label).uuid(uuid))
}

/// The label in a piece of a root directory; breaks where it is, or where the directory ends.
fn label_in(entries: &[u8]) -> ControlFlow<Option<String>> {
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        let attributes = byte(entry, ATTRIBUTES_AT);
        let has_cluster = le16(entry, CLUSTER_HIGH_AT) != 0 || le16(entry, CLUSTER_LOW_AT) != 0;
        match byte(entry, 0) {
            0 => return ControlFlow::Break(None),
            DELETED => {}
            _ if has_cluster || attributes & 0x3f == LONG_NAME => {}
            _ if attributes & (VOLUME_ID | DIRECTORY) == VOLUME_ID => {
                let mut name: [u8; NAME_LEN] = bytes(entry, 0);
                if let [first @ STANDS_FOR_DELETED, ..] = &mut name {
                    *first = DELETED;
                }
                return ControlFlow::Break(text::label(&name));
            }
            _ => {}
        }
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use super::super::super::testdisk::fat16;
    use super::super::testvolume::{found, volume};
    use super::*;

    #[test]
    fn the_label_is_that_of_the_root_directory() {
        let mut boot = fat16();
        boot[EXTENDED_AT[0]] = 0x29;
        boot[EXTENDED_AT[0] + 1..][..4].copy_from_slice(&[0xcd, 0xab, 0x34, 0x12]);
        boot[EXTENDED_AT[0] + 5..][..11].copy_from_slice(b"BOOT       ");
        let fats = usize::from(boot[FATS_AT]) * usize::from(le16(&boot, FAT_SECTORS_16_AT));
        let root = (usize::from(le16(&boot, RESERVED_SECTORS_AT)) + fats) * 512;
        let entry = |name: &[u8; 11], attributes: u8| [&name[..], &[attributes], &[0; 20]].concat();
        let serial = Some("1234-ABCD".to_owned());
        assert_eq!(found(&volume(&[(0, &boot)])), Some(("vfat", None, serial.clone())));
        let entries =
            [entry(b"\xe5OLD       ", 8), entry(b"A\0b\0c\0d\0e\0f", 0x0f), entry(b"ROOT LABEL ", 0x28)].concat();
        let label = Some("ROOT LABEL".to_owned());
        assert_eq!(found(&volume(&[(0, &boot), (root, &entries)])), Some(("vfat", label, serial.clone())));
        // A volume cut short before its root directory.
        assert_eq!(found(&boot), Some(("vfat", Some("BOOT".to_owned()), serial)));
    }
}
