//! F2FS. Linux `include/linux/f2fs_fs.h`, `struct f2fs_super_block`.

use super::super::fields::{has, le16, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

const AT: usize = 1024;
const MAGIC: &[u8] = b"\x10\x20\xf5\xf2";
const MAJOR_AT: usize = AT + 4; // 2 bytes
const MINOR_AT: usize = AT + 6; // 2
const LOG_SECTOR_SIZE_AT: usize = AT + 8; // 4
const LOG_SECTORS_AT: usize = AT + 12; // 4, in a block
const LOG_BLOCK_SIZE_AT: usize = AT + 16; // 4
const UUID_AT: usize = AT + 108; // 16
const LABEL_AT: usize = AT + 124; // 1024: 512 characters of UTF-16
const LABEL_LEN: usize = 1024;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let logs = [LOG_SECTOR_SIZE_AT, LOG_SECTORS_AT, LOG_BLOCK_SIZE_AT].map(|at| le32(head, at));
    let is_sound = has(head, AT, MAGIC)
        && (12..=16).contains(&logs[2])
        && (9..=16).contains(&logs[0])
        && logs[0].checked_add(logs[1]) == Some(logs[2]);
    if !is_sound {
        return None;
    }
    let content = Content::new("f2fs");
    // Where label and UUID are in version 1.0 is not known.
    if le16(head, MAJOR_AT) == 1 && le16(head, MINOR_AT) == 0 {
        return Some(content);
    }
    let label = head.get(LABEL_AT..LABEL_AT + LABEL_LEN).and_then(|label| text::utf16(label, u16::from_le_bytes));
    Some(content.label(label).uuid(text::uuid_at(head, UUID_AT)))
}
