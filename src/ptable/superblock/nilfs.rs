//! NILFS2. Linux `include/uapi/linux/nilfs2_ondisk.h`, `struct nilfs_super_block`.

use super::super::fields::{le16, le32};
use super::content::Content;
use super::volume::Volume;
use super::{sums, text};

const AT: usize = 1024;
const MAGIC_AT: usize = 6; // 2 bytes
const MAGIC: u16 = 0x3434;
const BYTES_AT: usize = 8; // 2: of the structure
const SEED_AT: usize = 12; // 4
const SUM_AT: usize = 16; // 4, taken as 0 for the sum
const UUID_AT: usize = 152; // 16
const LABEL_AT: usize = 168; // 80

/// The second superblock starts in the sector that is this from the end.
const SECOND_SECTOR: u64 = 8;
const MAX_BYTES: usize = 1024;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    at_superblock(volume.head().get(AT..)?)
}

/// For where the first superblock is lost.
pub(super) fn second(volume: &Volume<'_>) -> Option<Content> {
    at_superblock(volume.sectors_from_end(SECOND_SECTOR, MAX_BYTES / 512)?)
}

fn at_superblock(superblock: &[u8]) -> Option<Content> {
    let length = usize::from(le16(superblock, BYTES_AT));
    if le16(superblock, MAGIC_AT) != MAGIC || !(LABEL_AT..=MAX_BYTES).contains(&length) {
        return None;
    }
    let mut summed = superblock.get(..length)?.to_vec();
    summed.get_mut(SUM_AT..SUM_AT + 4)?.fill(0);
    (sums::crc32(le32(superblock, SEED_AT), &summed) == le32(superblock, SUM_AT)).then(|| {
        let label = text::label_at(superblock, LABEL_AT, 80);
        Content::new("nilfs2").label(label).uuid(text::uuid_at(superblock, UUID_AT))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, volume};
    use super::*;

    #[test]
    fn either_superblock_will_do() {
        let mut superblock = vec![0; 280];
        superblock[6..10].copy_from_slice(b"\x34\x34\x18\x01");
        superblock[12..16].copy_from_slice(b"seed");
        superblock[168..171].copy_from_slice(b"log");
        let sum = sums::crc32(u32::from_le_bytes(*b"seed"), &superblock).to_le_bytes();
        superblock[16..20].copy_from_slice(&sum);
        for at in [1024, (2 << 20) - 4096] {
            let label = Some("log".to_owned());
            assert_eq!(found(&volume(&[(at, &superblock)])), Some(("nilfs2", label, None)), "{at}");
            assert_eq!(found(&volume(&[(at, &superblock), (at + 200, b"x")])), None, "{at}");
        }
    }
}
