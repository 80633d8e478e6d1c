//! Linux MD: a member of a software RAID.
//!
//! Linux `include/uapi/linux/raid/md_p.h`; places and checks as in libblkid's `superblocks/linux_raid.c`. Version 0.90 lies in
//! the last whole 64 KiB but one, 1.0 within the last 12 KiB, 1.1 at the start, 1.2 at 4 KiB.

use std::ops::Range;

use super::super::fields::{be32, bytes, le32, le64};
use super::content::Content;
use super::text;
use super::volume::{FLOPPY_BYTES, Volume};

const NAME: &str = "linux_raid_member";
const MAGIC: u32 = 0xa92b_4efc;
const RESERVED_BYTES: u64 = 0x1_0000;

/// `struct mdp_superblock_s`, in the byte order of the machine that made it.
mod v0 {
    pub const BYTES: usize = 256;
    pub const MAJOR_AT: usize = 4;
    pub const MINOR_AT: usize = 8;
    pub const SET_UUID_AT: [usize; 4] = [20, 52, 56, 60];
    /// Of the data in front of the superblock, in KiB.
    pub const SIZE_AT: usize = 32;
}

/// `struct mdp_superblock_1`, little-endian.
mod v1 {
    pub const BYTES: usize = 256;
    pub const MAJOR_AT: usize = 4;
    pub const SET_UUID_AT: usize = 16;
    pub const SET_NAME_AT: usize = 32; // 32 bytes
    /// The superblock's own place, in sectors of 512 bytes.
    pub const SUPER_OFFSET_AT: usize = 144;
}

/// Where the superblocks of versions 0.90 and 1.0 are in a volume of `size` bytes.
pub(super) fn ends(size: u64) -> impl Iterator<Item = Range<u64>> {
    let old = v0_at(size).map(|at| at..at + v0::BYTES as u64);
    let new = v1_at(size).map(|at| at..at + v1::BYTES as u64);
    old.into_iter().chain(new)
}

fn v0_at(size: u64) -> Option<u64> {
    (size > FLOPPY_BYTES).then(|| (size & !(RESERVED_BYTES - 1)) - RESERVED_BYTES)
}

fn v1_at(size: u64) -> Option<u64> {
    (size > FLOPPY_BYTES).then(|| (size & !0xfff) - 0x2000)
}

/// Versions 0.90 and 1.0.
pub(super) fn at_the_end(volume: &Volume<'_>) -> Option<Content> {
    let old = v0_at(volume.size()).and_then(|at| Some((at, volume.read(at, v0::BYTES)?)));
    let found = old.and_then(|(at, superblock)| version_0(superblock, at, volume.size()));
    found.or_else(|| v1_at(volume.size()).and_then(|at| version_1(volume.read(at, v1::BYTES)?, at)))
}

/// Versions 1.1 and 1.2.
pub(super) fn at_the_start(volume: &Volume<'_>) -> Option<Content> {
    [0, 4096].into_iter().find_map(|at| version_1(volume.head().get(at..)?, at as u64))
}

fn version_0(superblock: &[u8], at: u64, volume_size: u64) -> Option<Content> {
    let read: fn(&[u8], usize) -> u32 = match MAGIC {
        magic if le32(superblock, 0) == magic => le32,
        magic if be32(superblock, 0) == magic => be32,
        _ => return None,
    };
    let size = u64::from(read(superblock, v0::SIZE_AT)) << 10;
    let is_sound = read(superblock, v0::MAJOR_AT) == 0 && size <= at && size + RESERVED_BYTES <= volume_size;
    if !is_sound {
        return None;
    }
    // Before 0.90, a set had a number of 32 bits.
    let words = if read(superblock, v0::MINOR_AT) >= 90 { 4 } else { 1 };
    let mut uuid = [0; 16];
    for (bytes, at) in uuid.as_chunks_mut().0.iter_mut().zip(v0::SET_UUID_AT).take(words) {
        *bytes = read(superblock, at).to_be_bytes();
    }
    Some(Content::new(NAME).uuid(text::uuid_at(&uuid, 0)))
}

fn version_1(superblock: &[u8], at: u64) -> Option<Content> {
    let is_one = le32(superblock, 0) == MAGIC
        && le32(superblock, v1::MAJOR_AT) == 1
        && le64(superblock, v1::SUPER_OFFSET_AT) == at / 512;
    is_one.then(|| {
        let name: [u8; 32] = bytes(superblock, v1::SET_NAME_AT);
        Content::new(NAME).label(text::label(&name)).uuid(text::uuid_at(superblock, v1::SET_UUID_AT))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name, volume};

    fn superblock(at: usize) -> Vec<u8> {
        let mut superblock = vec![0; 256];
        superblock[..8].copy_from_slice(b"\xfc\x4e\x2b\xa9\x01\0\0\0");
        superblock[16..32].copy_from_slice(b"0123456789abcdef");
        superblock[32..39].copy_from_slice(b"host:md");
        superblock[144..152].copy_from_slice(&(at as u64 / 512).to_le_bytes());
        superblock
    }

    #[test]
    fn version_1_says_where_it_lies() {
        for at in [0, 4096, (2 << 20) - 8192] {
            let found = found(&volume(&[(at, &superblock(at))])).expect("a member");
            let uuid = "30313233-3435-3637-3839-616263646566".to_owned();
            assert_eq!(found, ("linux_raid_member", Some("host:md".to_owned()), Some(uuid)), "{at}");
            assert_eq!(found_name(&volume(&[(at, &superblock(at + 512))])), None);
        }
    }

    #[test]
    fn version_0_is_read_in_either_byte_order() {
        let at = (2 << 20) - (64 << 10);
        let mut words = [0_u32; 16];
        (words[0], words[2], words[8]) = (0xa92b_4efc, 90, 1024);
        (words[5], words[13], words[14], words[15]) = (0x0102_0304, 5, 6, 7);
        let little: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let big: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        for superblock in [&little, &big] {
            let (name, _, uuid) = found(&volume(&[(at, superblock)])).expect("a member");
            assert_eq!((name, uuid.as_deref()), ("linux_raid_member", Some("01020304-0000-0005-0000-000600000007")));
        }
        let mut larger = little.clone();
        larger[35] = 1;
        assert_eq!(found_name(&volume(&[(at, &larger)])), None);
    }
}
