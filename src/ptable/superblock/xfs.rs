//! XFS. Linux `fs/xfs/libxfs/xfs_format.h`, `struct xfs_dsb`, big-endian; checks of libblkid's superblocks/xfs.c.

use super::super::fields::{be16, be32, be64, byte, has};
use super::volume::Volume;
use super::{Content, text};

const MAGIC: &[u8] = b"XFSB";
const BLOCK_SIZE_AT: usize = 4; // 4 bytes
const BLOCKS_AT: usize = 8; // 8
const UUID_AT: usize = 32; // 16
const AG_BLOCKS_AT: usize = 84; // 4
const AG_COUNT_AT: usize = 88; // 4
const SECTOR_SIZE_AT: usize = 102; // 2
const INODE_SIZE_AT: usize = 104; // 2
const LABEL_AT: usize = 108; // 12
const BLOCK_LOG_AT: usize = 120; // 1
const SECTOR_LOG_AT: usize = 121; // 1
const INODE_LOG_AT: usize = 122; // 1
const MAX_INODE_PERCENT_AT: usize = 127; // 1

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_power = |size: u32, log_at: usize, logs: std::ops::RangeInclusive<u8>| {
        let log = byte(head, log_at);
        logs.contains(&log) && size == 1 << log
    };
    let groups = u64::from(be32(head, AG_COUNT_AT));
    let most = groups * u64::from(be32(head, AG_BLOCKS_AT));
    let is_sound = has(head, 0, MAGIC)
        && is_power(be32(head, BLOCK_SIZE_AT), BLOCK_LOG_AT, 9..=16)
        && is_power(be16(head, SECTOR_SIZE_AT).into(), SECTOR_LOG_AT, 9..=15)
        && is_power(be16(head, INODE_SIZE_AT).into(), INODE_LOG_AT, 8..=11)
        && byte(head, MAX_INODE_PERCENT_AT) <= 100
        && (1..=most).contains(&be64(head, BLOCKS_AT));
    is_sound.then(|| Content::new("xfs").label(text::label_at(head, LABEL_AT, 12)).uuid(text::uuid_at(head, UUID_AT)))
}
