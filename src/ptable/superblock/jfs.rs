//! JFS of AIX, OS/2 and Linux. Linux `fs/jfs/jfs_superblock.h`, `struct jfs_superblock`; libblkid's superblocks/jfs.c.

use super::super::fields::{has, le16, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

const AT: usize = 32 * 1024;
const MAGIC: &[u8] = b"JFS1";
const BLOCK_SIZE_AT: usize = AT + 16; // 4 bytes
const LOG_BLOCK_SIZE_AT: usize = AT + 20; // 2
const LOG_FACTOR_AT: usize = AT + 22; // 2
const SECTOR_SIZE_AT: usize = AT + 24; // 4
const LOG_SECTOR_SIZE_AT: usize = AT + 28; // 2
const UUID_AT: usize = AT + 136; // 16
const LABEL_AT: usize = AT + 152; // 16

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_power = |at: usize, log_at: usize| 1_u32.checked_shl(le16(head, log_at).into()) == Some(le32(head, at));
    let factor = le16(head, LOG_BLOCK_SIZE_AT).checked_sub(le16(head, LOG_SECTOR_SIZE_AT));
    let is_sound = has(head, AT, MAGIC)
        && is_power(BLOCK_SIZE_AT, LOG_BLOCK_SIZE_AT)
        && is_power(SECTOR_SIZE_AT, LOG_SECTOR_SIZE_AT)
        && factor == Some(le16(head, LOG_FACTOR_AT));
    is_sound.then(|| Content::new("jfs").label(text::label_at(head, LABEL_AT, 16)).uuid(text::uuid_at(head, UUID_AT)))
}
