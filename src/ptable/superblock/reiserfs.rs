//! `ReiserFS` and Reiser4. Linux fs/reiserfs/reiserfs.h, `struct reiserfs_super_block`; libblkid's superblocks/reiserfs.c.

use super::super::fields::{has, le16, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

/// Where the superblock of 3.5 may be, and where that of all others is.
const OLD_AT: usize = 8 * 1024;
const AT: usize = 64 * 1024;

const JOURNAL_BLOCK_AT: usize = 12; // 4 bytes
const BLOCK_SIZE_AT: usize = 44; // 2
const MAGIC_AT: usize = 52;
/// Of the first versions, at 8 KiB alone.
const FIRST_MAGIC_AT: usize = 20;
const UUID_AT: usize = 84; // 16
const LABEL_AT: usize = 100; // 16
const VERSION_3_5: &[u8] = b"ReIsErFs";
/// 3.6, and 3.6 with a journal elsewhere: those have label and UUID.
const VERSIONS_3_6: [&[u8]; 2] = [b"ReIsEr2Fs", b"ReIsEr3Fs"];

const VERSION_4: &[u8] = b"ReIsEr4";
const UUID_4_AT: usize = 20;
const LABEL_4_AT: usize = 36;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let content = Content::new("reiserfs");
    let superblock = volume.head().get(AT..).unwrap_or_default();
    if VERSIONS_3_6.iter().any(|magic| has(superblock, MAGIC_AT, magic)) && is_outside_journal(superblock, AT) {
        let label = text::label_at(superblock, LABEL_AT, 16);
        return Some(content.label(label).uuid(text::uuid_at(superblock, UUID_AT)));
    }
    let is_old = [OLD_AT, AT].into_iter().any(|at| {
        let superblock = volume.head().get(at..).unwrap_or_default();
        has(superblock, MAGIC_AT, VERSION_3_5) && is_outside_journal(superblock, at)
    });
    let first = volume.head().get(OLD_AT..).unwrap_or_default();
    if is_old || has(first, FIRST_MAGIC_AT, VERSION_3_5) && is_outside_journal(first, OLD_AT) {
        return Some(content);
    }
    has(superblock, 0, VERSION_4).then(|| {
        let label = text::label_at(superblock, LABEL_4_AT, 16);
        Content::new("reiser4").label(label).uuid(text::uuid_at(superblock, UUID_4_AT))
    })
}

/// The journal of a larger file system may hold a copy of a superblock.
fn is_outside_journal(superblock: &[u8], at: usize) -> bool {
    let sectors = u32::from(le16(superblock, BLOCK_SIZE_AT)) >> 9;
    let kib = u32::try_from(at / 1024).unwrap_or(u32::MAX);
    kib.checked_div(sectors).is_some_and(|block| block <= le32(superblock, JOURNAL_BLOCK_AT) / 2)
}
