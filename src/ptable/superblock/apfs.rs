//! A container of APFS. "Apple File System Reference", `nx_superblock_t`. Volumes in it have names of their own, deep
//! inside; the container has none.

use super::super::fields::{has, le16, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

const TYPE_AT: usize = 24; // 2 bytes
const NX_SUPERBLOCK: u16 = 1;
const SUBTYPE_AT: usize = 28; // 4
const MAGIC_AT: usize = 32;
const MAGIC: &[u8] = b"NXSB";
const BLOCK_SIZE_AT: usize = 36; // 4
const UUID_AT: usize = 72; // 16

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let block_size = le32(head, BLOCK_SIZE_AT);
    let is_sound = has(head, MAGIC_AT, MAGIC)
        && le16(head, TYPE_AT) == NX_SUPERBLOCK
        && le32(head, SUBTYPE_AT) == 0
        && block_size.is_power_of_two()
        && (4096..=65536).contains(&block_size);
    is_sound.then(|| Content::new("apfs").uuid(text::uuid_at(head, UUID_AT)))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, volume};
    use super::*;

    #[test]
    fn a_container_is_known_by_type_magic_and_block_size() {
        let patches = [(MAGIC_AT, MAGIC), (TYPE_AT, b"\x01"), (BLOCK_SIZE_AT, b"\0\x10"), (UUID_AT, b"\xab")];
        let uuid = Some("ab000000-0000-0000-0000-000000000000".to_owned());
        assert_eq!(found(&volume(&patches)), Some(("apfs", None, uuid)));
        assert_eq!(found(&volume(&patches[..2])), None);
    }
}
