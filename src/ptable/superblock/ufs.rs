//! UFS, the Fast File System of BSD: UFS1 and UFS2.
//!
//! FreeBSD sys/ufs/ffs/fs.h, `struct fs`, in the byte order of the machine; magic numbers of libblkid's superblocks/ufs.c.

use super::super::fields::{be32, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

/// `SBLOCKSEARCH`: UFS2, UFS1, floppies; and where nothing is there, this place far from the start.
const PLACES: [usize; 3] = [64 * 1024, 8 * 1024, 0];
const FAR: u64 = 256 * 1024;
const BYTES: usize = 1376;

const BLOCK_SIZE_AT: usize = 48; // 4 bytes
const FRAGMENT_SIZE_AT: usize = 52; // 4
const FRAGMENTS_AT: usize = 56; // 4, in a block
const ID_AT: usize = 144; // 2 words of 4
const LABEL_AT: usize = 680; // 32, of UFS2 alone
const MAGIC_AT: usize = 1372; // 4
const UFS2: u32 = 0x1954_0119;
/// The usual one; those of Solaris and HP-UX for large files and long names.
const UFS1: [u32; 5] = [0x0001_1954, 0x0019_5612, 0x0009_5014, 0x0061_2195, 0x0523_1994];

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    PLACES.into_iter().find_map(|at| at_superblock(volume.head().get(at..)?))
}

/// Where a boot area keeps the superblock farther away than the window goes.
pub(super) fn far(volume: &Volume<'_>) -> Option<Content> {
    at_superblock(volume.read(FAR, BYTES)?)
}

fn at_superblock(superblock: &[u8]) -> Option<Content> {
    let is_magic = |magic: u32| magic == UFS2 || UFS1.contains(&magic);
    let read: fn(&[u8], usize) -> u32 = if is_magic(le32(superblock, MAGIC_AT)) { le32 } else { be32 };
    let magic = read(superblock, MAGIC_AT);
    let (block, fragment) = (read(superblock, BLOCK_SIZE_AT), read(superblock, FRAGMENT_SIZE_AT));
    let is_sound = is_magic(magic)
        && block.is_power_of_two()
        && (4096..=65536).contains(&block)
        && fragment.is_power_of_two()
        && (512..=block).contains(&fragment)
        && block / fragment == read(superblock, FRAGMENTS_AT);
    if !is_sound {
        return None;
    }
    let id = [read(superblock, ID_AT), read(superblock, ID_AT + 4)];
    let uuid = (id != [0, 0]).then(|| format!("{:08x}{:08x}", id[0], id[1]));
    let label = text::label_at(superblock, LABEL_AT, 32).filter(|_| magic == UFS2);
    Some(Content::new("ufs").label(label).uuid(uuid))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, volume};
    use super::*;

    fn superblock(write: fn(u32) -> [u8; 4]) -> Vec<u8> {
        let mut superblock = vec![0; BYTES];
        let mut put = |at: usize, value: u32| superblock[at..at + 4].copy_from_slice(&write(value));
        put(BLOCK_SIZE_AT, 32768);
        put(FRAGMENT_SIZE_AT, 4096);
        put(FRAGMENTS_AT, 8);
        put(ID_AT, 0x1234_5678);
        put(ID_AT + 4, 9);
        put(MAGIC_AT, UFS2);
        superblock[LABEL_AT..LABEL_AT + 4].copy_from_slice(b"root");
        superblock
    }

    #[test]
    fn it_is_found_at_each_place_in_either_byte_order() {
        let expected = Some(("ufs", Some("root".to_owned()), Some("1234567800000009".to_owned())));
        for at in [0, 8192, 65536, 262_144] {
            assert_eq!(found(&volume(&[(at, &superblock(u32::to_le_bytes))])), expected, "{at}");
            assert_eq!(found(&volume(&[(at, &superblock(u32::to_be_bytes))])), expected, "{at}");
        }
        let mut wrong = superblock(u32::to_le_bytes);
        wrong[FRAGMENTS_AT] = 4;
        assert_eq!(found(&volume(&[(8192, &wrong)])), None);
    }
}
