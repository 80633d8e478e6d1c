//! ext2, ext3, ext4 (and `ext4dev`, for tests of it), and a journal of theirs on a device of its own.
//!
//! Linux fs/ext4/ext4.h, `struct ext4_super_block`. Which of them it is, its features tell: libblkid's superblocks/ext.c.

use super::super::fields::{has, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

const AT: usize = 1024;
const LOG_BLOCK_SIZE_AT: usize = AT + 24; // 4 bytes: the power of 2 times 1 KiB
const MAGIC_AT: usize = AT + 56;
const MAGIC: &[u8] = b"\x53\xef";
const COMPAT_AT: usize = AT + 92; // 4
const INCOMPAT_AT: usize = AT + 96; // 4
const RO_COMPAT_AT: usize = AT + 100; // 4
const UUID_AT: usize = AT + 104; // 16
const LABEL_AT: usize = AT + 120; // 16
const FLAGS_AT: usize = AT + 352; // 4
/// 64 KiB.
const MAX_LOG_BLOCK_SIZE: u32 = 6;

/// Made to try the file system's code out.
const FOR_TESTS: u32 = 0x4;
const HAS_JOURNAL: u32 = 0x4;
const JOURNAL_DEVICE: u32 = 0x8;
/// What ext2 and ext3 know of: `FILETYPE`, `META_BG`; `RECOVER`; `SPARSE_SUPER`, `LARGE_FILE`, `BTREE_DIR`.
const EXT2_INCOMPAT: u32 = 0x2 | 0x10;
const EXT3_INCOMPAT: u32 = EXT2_INCOMPAT | 0x4;
const EXT3_RO_COMPAT: u32 = 0x1 | 0x2 | 0x4;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    if !has(head, MAGIC_AT, MAGIC) || le32(head, LOG_BLOCK_SIZE_AT) > MAX_LOG_BLOCK_SIZE {
        return None;
    }
    let incompat = le32(head, INCOMPAT_AT);
    let is_old = le32(head, RO_COMPAT_AT) & !EXT3_RO_COMPAT == 0;
    let has_journal = le32(head, COMPAT_AT) & HAS_JOURNAL != 0;
    let name = if incompat & JOURNAL_DEVICE != 0 {
        "jbd"
    } else if le32(head, FLAGS_AT) & FOR_TESTS != 0 {
        "ext4dev"
    } else if has_journal && is_old && incompat & !EXT3_INCOMPAT == 0 {
        "ext3"
    } else if !has_journal && is_old && incompat & !EXT2_INCOMPAT == 0 {
        "ext2"
    } else {
        "ext4"
    };
    Some(Content::new(name).label(text::label_at(head, LABEL_AT, 16)).uuid(text::uuid_at(head, UUID_AT)))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found_name, volume};
    use super::*;

    #[test]
    fn versions_differ_by_their_features() {
        let mut v = volume(&[(MAGIC_AT, MAGIC)]);
        assert_eq!(found_name(&v), Some("ext2"));
        v[COMPAT_AT] = 0x4;
        assert_eq!(found_name(&v), Some("ext3"));
        v[INCOMPAT_AT] = 0x40;
        assert_eq!(found_name(&v), Some("ext4"));
        v[FLAGS_AT] = 0x4;
        assert_eq!(found_name(&v), Some("ext4dev"));
        v[INCOMPAT_AT] = 0x8;
        assert_eq!(found_name(&v), Some("jbd"));
        v[LOG_BLOCK_SIZE_AT] = 7;
        assert_eq!(found_name(&v), None);
    }
}
