//! btrfs. Linux `include/uapi/linux/btrfs_tree.h`, `struct btrfs_super_block`.

use super::super::fields::{has, le32, le64};
use super::content::Content;
use super::text;
use super::volume::Volume;

const AT: usize = 64 * 1024;
const UUID_AT: usize = AT + 32; // 16 bytes
const ADDRESS_AT: usize = AT + 48; // 8: its own place
const MAGIC_AT: usize = AT + 64;
const MAGIC: &[u8] = b"_BHRfS_M";
const SECTOR_SIZE_AT: usize = AT + 144; // 4
const LABEL_AT: usize = AT + 299; // 256

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_sound = has(head, MAGIC_AT, MAGIC)
        && le64(head, ADDRESS_AT) == AT as u64
        && le32(head, SECTOR_SIZE_AT).is_power_of_two();
    is_sound
        .then(|| Content::new("btrfs").label(text::label_at(head, LABEL_AT, 256)).uuid(text::uuid_at(head, UUID_AT)))
}
