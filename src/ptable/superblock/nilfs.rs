//! NILFS2. Linux `include/uapi/linux/nilfs2_ondisk.h`, `struct nilfs_super_block`. The copy at the end of the volume is not
//! looked at.

use super::super::fields::{le16, le32};
use super::volume::Volume;
use super::{Content, text};

const AT: usize = 1024;
const MAGIC_AT: usize = 6; // 2 bytes
const MAGIC: u16 = 0x3434;
const BYTES_AT: usize = 8; // 2: of the structure
const SEED_AT: usize = 12; // 4
const SUM_AT: usize = 16; // 4, taken as 0 for the sum
const UUID_AT: usize = 152; // 16
const LABEL_AT: usize = 168; // 80

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head().get(AT..)?;
    let length = usize::from(le16(head, BYTES_AT));
    if le16(head, MAGIC_AT) != MAGIC || !(LABEL_AT..=1024).contains(&length) {
        return None;
    }
    let mut summed = head.get(..length)?.to_vec();
    summed.get_mut(SUM_AT..SUM_AT + 4)?.fill(0);
    (super::raw_crc32(le32(head, SEED_AT), &summed) == le32(head, SUM_AT))
        .then(|| Content::new("nilfs2").label(text::label_at(head, LABEL_AT, 80)).uuid(text::uuid_at(head, UUID_AT)))
}
