//! XFS, its journal on a volume of its own, and EXFS, which has the same superblock.
//!
//! Linux `fs/xfs/libxfs/xfs_format.h`, `struct xfs_dsb`; `fs/xfs/libxfs/xfs_log_format.h`, `struct xlog_rec_header`.
//! Numbers are big-endian. Checks are those of libblkid's superblocks/xfs.c and exfs.c.

use std::ops::RangeInclusive;

use super::super::fields::{be16, be32, be64, byte, has};
use super::content::Content;
use super::text;
use super::volume::Volume;

const XFS: &[u8] = b"XFSB";
const EXFS: &[u8] = b"EXFS";
const BLOCK_SIZE_AT: usize = 4; // 4 bytes
const BLOCKS_AT: usize = 8; // 8
const UUID_AT: usize = 32; // 16
const RT_EXTENT_AT: usize = 80; // 4, in blocks
const AG_BLOCKS_AT: usize = 84; // 4
const AG_COUNT_AT: usize = 88; // 4
const SECTOR_SIZE_AT: usize = 102; // 2
const INODE_SIZE_AT: usize = 104; // 2
const LABEL_AT: usize = 108; // 12
const BLOCK_LOG_AT: usize = 120; // 1
const SECTOR_LOG_AT: usize = 121; // 1
const INODE_LOG_AT: usize = 122; // 1
const INODES_PER_BLOCK_LOG_AT: usize = 123; // 1
const MAX_INODE_PERCENT_AT: usize = 127; // 1

/// Bytes of an extent of a real-time device.
const RT_EXTENT_BYTES: RangeInclusive<u64> = 4096..=1 << 30;
const LEAST_AG_BLOCKS: u64 = 64;

/// The header of a record. There is one in the first 256 KiB of a journal, at the start of a sector.
mod log {
    pub const LEAST: u64 = 10 << 20;
    pub const SEARCHED: usize = 256 * 1024;
    pub const SECTOR: usize = 512;
    pub const MAGIC: u32 = 0xfeed_babe;
    pub const VERSION_AT: usize = 8; // 4 bytes: bits of those that are known, 1 and 2
    pub const VERSIONS: u32 = 3;
    pub const LENGTH_AT: usize = 12; // 4
    /// Linux, little-endian and big-endian; IRIX.
    pub const FORMAT_AT: usize = 300; // 4
    pub const FORMATS: std::ops::RangeInclusive<u32> = 1..=3;
}

pub(super) fn xfs(volume: &Volume<'_>) -> Option<Content> {
    superblock(volume.head(), XFS, "xfs")
}

pub(super) fn exfs(volume: &Volume<'_>) -> Option<Content> {
    superblock(volume.head(), EXFS, "exfs")
}

/// A journal, as far as the start of the volume tells.
pub(super) fn log(volume: &Volume<'_>) -> Option<Content> {
    let is_one = volume.size() >= log::LEAST && matches!(record(volume.head()), Some(Record::Found));
    is_one.then(|| Content::new("xfs_external_log"))
}

/// A journal whose first record is not at its start.
pub(super) fn log_far(volume: &Volume<'_>) -> Option<Content> {
    let start = volume.head().len() / log::SECTOR * log::SECTOR;
    if volume.size() < log::LEAST || record(volume.head()).is_some() {
        return None;
    }
    let rest = volume.read(start as u64, log::SEARCHED.checked_sub(start)?)?;
    matches!(record(rest), Some(Record::Found)).then(|| Content::new("xfs_external_log"))
}

/// What a search for a record ends with.
enum Record {
    Found,
    /// A file system, from which records were written in front of it, or that was moved by some sectors.
    FileSystem,
}

fn record(sectors: &[u8]) -> Option<Record> {
    sectors.chunks_exact(log::SECTOR).find_map(|sector| {
        let is_record = be32(sector, 0) == log::MAGIC
            && be32(sector, log::VERSION_AT) != 0
            && be32(sector, log::VERSION_AT) & !log::VERSIONS == 0
            && be32(sector, log::LENGTH_AT).cast_signed() > 0
            && log::FORMATS.contains(&be32(sector, log::FORMAT_AT));
        match is_record {
            _ if has(sector, 0, XFS) => Some(Record::FileSystem),
            true => Some(Record::Found),
            false => None,
        }
    })
}

fn superblock(head: &[u8], magic: &[u8], name: &'static str) -> Option<Content> {
    let is_power = |size: u32, log_at: usize, logs: RangeInclusive<u8>| {
        let log = byte(head, log_at);
        logs.contains(&log) && size == 1 << log
    };
    let groups = u64::from(be32(head, AG_COUNT_AT));
    let group_blocks = u64::from(be32(head, AG_BLOCKS_AT));
    let block_size = be32(head, BLOCK_SIZE_AT);
    let least = groups.saturating_sub(1).saturating_mul(group_blocks).saturating_add(LEAST_AG_BLOCKS);
    let inodes_log = byte(head, BLOCK_LOG_AT).checked_sub(byte(head, INODE_LOG_AT));
    let is_sound = has(head, 0, magic)
        && groups != 0
        && is_power(block_size, BLOCK_LOG_AT, 9..=16)
        && is_power(be16(head, SECTOR_SIZE_AT).into(), SECTOR_LOG_AT, 9..=15)
        && is_power(be16(head, INODE_SIZE_AT).into(), INODE_LOG_AT, 8..=11)
        && inodes_log == Some(byte(head, INODES_PER_BLOCK_LOG_AT))
        && RT_EXTENT_BYTES.contains(&(u64::from(be32(head, RT_EXTENT_AT)) * u64::from(block_size)))
        && byte(head, MAX_INODE_PERCENT_AT) <= 100
        && (least..=groups.saturating_mul(group_blocks)).contains(&be64(head, BLOCKS_AT));
    is_sound.then(|| Content::new(name).label(text::label_at(head, LABEL_AT, 12)).uuid(text::uuid_at(head, UUID_AT)))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::found;
    use super::*;

    fn made(magic: &[u8]) -> Vec<u8> {
        let mut volume = vec![0; 16 << 20];
        let mut put = |at: usize, bytes: &[u8]| volume[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, magic);
        put(BLOCK_SIZE_AT, &4096_u32.to_be_bytes());
        put(BLOCKS_AT, &4096_u64.to_be_bytes());
        put(UUID_AT, b"0123456789abcdef");
        put(RT_EXTENT_AT, &1_u32.to_be_bytes());
        put(AG_BLOCKS_AT, &1024_u32.to_be_bytes());
        put(AG_COUNT_AT, &4_u32.to_be_bytes());
        put(SECTOR_SIZE_AT, &[2, 0, 2, 0]);
        put(LABEL_AT, b"data");
        put(BLOCK_LOG_AT, &[12, 9, 9, 3]);
        volume
    }

    #[test]
    fn xfs_and_exfs_differ_by_their_magic() {
        let said =
            |name| Some((name, Some("data".to_owned()), Some("30313233-3435-3637-3839-616263646566".to_owned())));
        assert_eq!((found(&made(XFS)), found(&made(EXFS))), (said("xfs"), said("exfs")));
        // Each is one that no other number makes good.
        for at in [BLOCKS_AT, RT_EXTENT_AT, AG_COUNT_AT, SECTOR_LOG_AT, INODES_PER_BLOCK_LOG_AT, MAX_INODE_PERCENT_AT] {
            let mut wrong = made(XFS);
            wrong[at] = 0x7f;
            assert_eq!(found(&wrong), None, "{at}");
        }
    }

    #[test]
    fn a_journal_is_found_by_a_record_in_its_first_256_kib() {
        let journal = |at: usize, changes: &[(usize, u8)]| {
            let mut volume = vec![0; 10 << 20];
            volume[at..at + 4].copy_from_slice(&log::MAGIC.to_be_bytes());
            volume[at + 11] = 2;
            volume[at + 14] = 4;
            volume[at + 303] = 1;
            for (place, value) in changes {
                volume[at + place] = *value;
            }
            found(&volume).map(|(name, ..)| name)
        };
        for at in [0, 512, 70 << 10, (256 << 10) - 512] {
            assert_eq!(journal(at, &[]), Some("xfs_external_log"), "{at}");
        }
        for (at, changes) in
            [(256, &[][..]), (256 << 10, &[]), (512, &[(11, 4)]), (512, &[(12, 0x80)]), (512, &[(303, 4)])]
        {
            assert_eq!(journal(at, changes), None, "{at} {changes:?}");
        }
        let mut moved = vec![0; 10 << 20];
        moved[1024..1028].copy_from_slice(XFS);
        assert_eq!(found(&moved), None);
    }
}
