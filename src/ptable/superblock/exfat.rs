//! exFAT. Microsoft exFAT specification 1.00, sections 3.1 (boot sector), 6 and 7.3 (directory entries, volume label).

use super::super::boot_sector;
use super::super::fields::{byte, le32};
use super::volume::Volume;
use super::{Content, text};

const FAT_OFFSET_AT: usize = 80; // 4 bytes, in sectors
const HEAP_OFFSET_AT: usize = 88; // 4, in sectors
const ROOT_CLUSTER_AT: usize = 96; // 4
const SERIAL_AT: usize = 100; // 4
const SECTOR_SHIFT_AT: usize = 108; // 1
const CLUSTER_SHIFT_AT: usize = 109; // 1, in sectors

const ENTRY_BYTES: usize = 32;
const END: u8 = 0;
const VOLUME_LABEL: u8 = 0x83;
const LABEL_LEN_AT: usize = 1; // 1, in characters
const LABEL_AT: usize = 2; // 22
const MAX_LABEL: usize = 11;
const FIRST_CLUSTER: u64 = 2;
const LAST_CLUSTER: u64 = 0xffff_fff6;
/// Bytes of a cluster, and clusters, of the root directory that are searched; the label is one of its first entries.
const MAX_DIRECTORY: u64 = 16 * 1024;
const MAX_CLUSTERS: usize = 4;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    if boot_sector::file_system(head) != Some("exfat") {
        return None;
    }
    Some(Content::new("exfat").label(label(volume)).uuid(text::serial(le32(head, SERIAL_AT))))
}

fn label(volume: &Volume<'_>) -> Option<String> {
    let head = volume.head();
    let shift = u32::from(byte(head, SECTOR_SHIFT_AT));
    let cluster_shift = shift.checked_add(byte(head, CLUSTER_SHIFT_AT).into()).filter(|shift| *shift <= 25)?;
    let at_sector = |field: usize| u64::from(le32(head, field)) << shift;
    let mut cluster = u64::from(le32(head, ROOT_CLUSTER_AT));
    for _ in 0..MAX_CLUSTERS {
        if !(FIRST_CLUSTER..=LAST_CLUSTER).contains(&cluster) {
            return None;
        }
        let at = at_sector(HEAP_OFFSET_AT).checked_add((cluster - FIRST_CLUSTER) << cluster_shift)?;
        let length = (1_u64 << cluster_shift).min(MAX_DIRECTORY);
        for entry in volume.read(at, usize::try_from(length).ok()?)?.chunks_exact(ENTRY_BYTES) {
            match byte(entry, 0) {
                END => return None,
                VOLUME_LABEL => {
                    let length = usize::from(byte(entry, LABEL_LEN_AT)).min(MAX_LABEL);
                    return text::utf16(entry.get(LABEL_AT..LABEL_AT + 2 * length)?, u16::from_le_bytes);
                }
                _ => {}
            }
        }
        let entry = volume.read(at_sector(FAT_OFFSET_AT).checked_add(cluster * 4)?, 4)?;
        cluster = le32(entry, 0).into();
    }
    None
}
