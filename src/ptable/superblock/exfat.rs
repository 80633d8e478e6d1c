//! exFAT. Microsoft exFAT specification 1.00, sections 3.1 (boot sector), 6 and 7.3 (directory entries, volume label).

use std::ops::ControlFlow;

use super::super::boot_sector;
use super::super::fields::{byte, le32};
use super::chain::Clusters;
use super::content::Content;
use super::text;
use super::volume::Volume;

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
const LAST_CLUSTER: u32 = 0xffff_fff6;

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
    let clusters = Clusters {
        table_at: at_sector(FAT_OFFSET_AT),
        data_at: at_sector(HEAP_OFFSET_AT),
        cluster_bytes: 1 << cluster_shift,
        mask: u32::MAX,
        last: LAST_CLUSTER,
    };
    match clusters.search(volume, le32(head, ROOT_CLUSTER_AT), label_in)? {
        ControlFlow::Break(label) => label,
        ControlFlow::Continue(()) => None,
    }
}

fn label_in(entries: &[u8]) -> ControlFlow<Option<String>> {
    for entry in entries.chunks_exact(ENTRY_BYTES) {
        match byte(entry, 0) {
            END => return ControlFlow::Break(None),
            VOLUME_LABEL => {
                let length = usize::from(byte(entry, LABEL_LEN_AT)).min(MAX_LABEL);
                let name = entry.get(LABEL_AT..LABEL_AT + 2 * length);
                return ControlFlow::Break(name.and_then(|name| text::utf16(name, u16::from_le_bytes)));
            }
            _ => {}
        }
    }
    ControlFlow::Continue(())
}
