//! Minix file systems of versions 1 to 3. Linux `include/uapi/linux/minix_fs.h`.
//!
//! Two bytes are all the magic there is, so every number has to be what the others make it.

use super::super::fields::{be16, be32, le16, le32};
use super::content::Content;
use super::volume::Volume;

const AT: usize = 1024;

/// `struct minix_super_block`, in the byte order of the machine.
mod old {
    pub const INODES_AT: usize = 0; // 2 bytes
    pub const IMAP_BLOCKS_AT: usize = 4; // 2
    pub const ZMAP_BLOCKS_AT: usize = 6; // 2
    pub const FIRST_ZONE_AT: usize = 8; // 2
    pub const LOG_ZONE_SIZE_AT: usize = 10; // 2
    pub const MAGIC_AT: usize = 16; // 2
    /// With names of 14 and 30 characters.
    pub const MAGIC_1: [u16; 2] = [0x137f, 0x138f];
    pub const MAGIC_2: [u16; 2] = [0x2468, 0x2478];
    pub const BLOCK: u32 = 1024;
}

/// `struct minix3_super_block`.
mod new {
    pub const INODES_AT: usize = 0; // 4 bytes
    pub const IMAP_BLOCKS_AT: usize = 6; // 2
    pub const ZMAP_BLOCKS_AT: usize = 8; // 2
    pub const FIRST_ZONE_AT: usize = 10; // 2
    pub const LOG_ZONE_SIZE_AT: usize = 12; // 2
    pub const MAGIC_AT: usize = 24; // 2
    pub const MAGIC: u16 = 0x4d5a;
    pub const BLOCK_SIZE_AT: usize = 28; // 2
}

/// Bytes of an inode on disk.
const INODE_1: u32 = 32;
const INODE_2: u32 = 64;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let superblock = volume.head().get(AT..)?;
    let orders: [(Read16, Read32); 2] = [(le16, le32), (be16, be32)];
    orders.into_iter().any(|order| is_minix(superblock, order)).then(|| Content::new("minix"))
}

type Read16 = fn(&[u8], usize) -> u16;
type Read32 = fn(&[u8], usize) -> u32;

fn is_minix(superblock: &[u8], (half, word): (Read16, Read32)) -> bool {
    let field = |at| u32::from(half(superblock, at));
    let magic = half(superblock, old::MAGIC_AT);
    let inode = match magic {
        magic if old::MAGIC_1.contains(&magic) => INODE_1,
        magic if old::MAGIC_2.contains(&magic) => INODE_2,
        _ if half(superblock, new::MAGIC_AT) == new::MAGIC => {
            let block = field(new::BLOCK_SIZE_AT);
            return (block.is_power_of_two() && block >= old::BLOCK)
                && field(new::LOG_ZONE_SIZE_AT) == 0
                && fits(
                    word(superblock, new::INODES_AT),
                    [new::IMAP_BLOCKS_AT, new::ZMAP_BLOCKS_AT, new::FIRST_ZONE_AT].map(field),
                    (block, INODE_2),
                );
        }
        _ => return false,
    };
    field(old::LOG_ZONE_SIZE_AT) == 0
        && fits(
            field(old::INODES_AT),
            [old::IMAP_BLOCKS_AT, old::ZMAP_BLOCKS_AT, old::FIRST_ZONE_AT].map(field),
            (old::BLOCK, inode),
        )
}

/// Whether boot block, superblock, both maps and the inodes take just the blocks in front of the first zone, and the first
/// map has a bit for each inode.
fn fits(inodes: u32, [imap, zmap, first]: [u32; 3], (block, inode): (u32, u32)) -> bool {
    let table = inodes.div_ceil(block / inode);
    inodes != 0 && zmap != 0 && imap > inodes / (block * 8) && table.checked_add(2 + imap + zmap) == Some(first)
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found_name, volume};
    use super::*;

    #[test]
    fn the_numbers_have_to_fit_together() {
        // 32 inodes in one block of version 1, which make zone 5 the first.
        let mut superblock = vec![0; 32];
        for (at, value) in [(0, 32), (4, 1), (6, 1), (8, 5), (16, 0x7f), (17, 0x13)] {
            superblock[at] = value;
        }
        assert_eq!(found_name(&volume(&[(AT, &superblock)])), Some("minix"));
        superblock[8] = 6;
        assert_eq!(found_name(&volume(&[(AT, &superblock)])), None);
        assert_eq!(found_name(&volume(&[(AT + 16, &[0x7f, 0x13])])), None);
        assert_eq!(found_name(&volume(&[(AT + 24, &[0x5a, 0x4d])])), None);
    }
}
