//! What targets of the device mapper keep at the start of a volume, and bcache beside them.
//!
//! libblkid's superblocks/lvm.c (snapshot, verity), integrity.c, bcache.c, vdo.c; Linux drivers/md.

use super::super::fields::{has, le32, le64};
use super::volume::Volume;
use super::{Content, text};

/// dm-snap-persistent.c, `struct disk_header`.
const SNAPSHOT: &[u8] = b"SnAp";
const SNAPSHOT_VALID_AT: usize = 4; // 4 bytes, 0 or 1
const SNAPSHOT_VERSION_AT: usize = 8; // 4
/// cryptsetup's lib/verity/verity.c, `struct verity_sb`.
const VERITY: &[u8] = b"verity\0\0";
const VERITY_VERSION_AT: usize = 8;
const VERITY_UUID_AT: usize = 16;
/// dm-integrity.c, `struct superblock`.
const INTEGRITY: &[u8] = b"integrt\0";
/// `struct cache_sb` of Linux bcache.
const BCACHE_AT: usize = 4096;
const BCACHE_OFFSET_AT: usize = BCACHE_AT + 8; // 8, in sectors
const BCACHE_MAGIC_AT: usize = BCACHE_AT + 24;
const BCACHE: &[u8] = &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81];
const BCACHE_UUID_AT: usize = BCACHE_AT + 40;
const VDO: &[u8] = b"dmvdo001";
const VDO_UUID_AT: usize = 40;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    if has(head, BCACHE_MAGIC_AT, BCACHE) && le64(head, BCACHE_OFFSET_AT) == 8 {
        Some(Content::new("bcache").uuid(text::uuid_at(head, BCACHE_UUID_AT)))
    } else if has(head, 0, SNAPSHOT) && le32(head, SNAPSHOT_VALID_AT) <= 1 && le32(head, SNAPSHOT_VERSION_AT) == 1 {
        Some(Content::new("DM_snapshot_cow"))
    } else if has(head, 0, VERITY) && le32(head, VERITY_VERSION_AT) == 1 {
        Some(Content::new("DM_verity_hash").uuid(text::uuid_at(head, VERITY_UUID_AT)))
    } else if has(head, 0, INTEGRITY) {
        Some(Content::new("DM_integrity"))
    } else if has(head, 0, VDO) {
        Some(Content::new("vdo").uuid(text::uuid_at(head, VDO_UUID_AT)))
    } else {
        None
    }
}
