//! bcache, which caches a volume on a faster one, and bcachefs, the file system that came of it.
//!
//! Linux drivers/md/bcache `struct cache_sb`, fs/bcachefs `struct bch_sb`; libblkid's superblocks/bcache.c. Numbers are
//! little-endian.

use super::super::fields::{byte, has, le16, le32, le64};
use super::content::Content;
use super::volume::Volume;
use super::{sums, text};

const PLACE: usize = 4096;
const OFFSET_AT: usize = 8; // 8 bytes: where it is, in sectors
const MAGIC_AT: usize = 24; // 16
const MAGIC: &[u8] = &[0xc6, 0x85, 0x73, 0xf6, 0x4e, 0x1a, 0x45, 0xca, 0x82, 0x65, 0xf5, 0x7f, 0x48, 0xba, 0x6d, 0x81];
const UUID_AT: usize = 40; // 16
const LABEL_AT: usize = 72; // 32, of both
const LABEL_LEN: usize = 32;

mod fs {
    /// The first ones had bcache's.
    pub const MAGIC: &[u8] =
        &[0xc6, 0x85, 0x73, 0xf6, 0x66, 0xce, 0x90, 0xa9, 0xd9, 0x6a, 0x60, 0xcf, 0x80, 0x3d, 0xf7, 0xef];
    /// Of the whole file system, not of this device.
    pub const UUID_AT: usize = 56; // 16 bytes
    pub const OFFSET_AT: usize = 104; // 8: where it is, in sectors
    pub const DEVICE_AT: usize = 122; // 1
    pub const DEVICES_AT: usize = 123; // 1
    pub const WORDS_AT: usize = 124; // 4: of 8 bytes, behind the fixed part
    pub const FLAGS_AT: usize = 144; // 8; what kind of checksum it is from bit 2 on
    pub const MAX_SIZE_AT: usize = 257; // 1: a power of 2, in sectors
    pub const FIXED_BYTES: usize = 752;
    /// What is summed begins behind the checksum.
    pub const SUMMED_FROM: usize = 16;
    pub const LEAST: u64 = 128 * 1024;
    /// Where it has a copy: there, and this far from the end.
    pub const COPY_AT: u64 = 2 << 20;
    pub const COPY_FROM_END: u64 = 1 << 20;
    /// Larger ones are not summed: that takes hundreds of devices in one file system.
    pub const MAX_SUMMED: usize = 64 * 1024;
}

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let superblock = volume.head().get(PLACE..)?;
    if has(superblock, MAGIC_AT, MAGIC) && le64(superblock, OFFSET_AT) == PLACE as u64 / 512 {
        let label = text::label_at(superblock, LABEL_AT, LABEL_LEN);
        return Some(Content::new("bcache").label(label).uuid(text::uuid_at(superblock, UUID_AT)));
    }
    let is_one = has(superblock, MAGIC_AT, MAGIC) || has(superblock, MAGIC_AT, fs::MAGIC);
    if !is_one || volume.size() < fs::LEAST {
        return None;
    }
    file_system(volume, PLACE as u64)
}

/// The copies of bcachefs.
pub(super) fn copies(volume: &Volume<'_>) -> Option<Content> {
    let places = [Some(fs::COPY_AT), volume.size().checked_sub(fs::COPY_FROM_END)];
    let signed = places.map(|at| {
        at.filter(|&at| volume.read(at, fs::FIXED_BYTES).is_some_and(|superblock| has(superblock, MAGIC_AT, fs::MAGIC)))
    });
    signed.into_iter().flatten().find_map(|at| file_system(volume, at))
}

fn file_system(volume: &Volume<'_>, at: u64) -> Option<Content> {
    let superblock = volume.read(at, fs::FIXED_BYTES)?;
    let length = u64::from(le32(superblock, fs::WORDS_AT)) * 8 + fs::FIXED_BYTES as u64;
    let max_size = byte(superblock, fs::MAX_SIZE_AT);
    let is_sound = le64(superblock, fs::OFFSET_AT) == at / 512
        && byte(superblock, fs::DEVICE_AT) < byte(superblock, fs::DEVICES_AT)
        && max_size <= 16
        && length <= 512 << max_size;
    let length = usize::try_from(length).ok().filter(|_| is_sound)?;
    let is_right = length > fs::MAX_SUMMED || is_summed(volume.read(at, length)?);
    is_right.then(|| {
        let label = text::label_at(superblock, LABEL_AT, LABEL_LEN);
        Content::new("bcachefs").label(label).uuid(text::uuid_at(superblock, fs::UUID_AT))
    })
}

fn is_summed(superblock: &[u8]) -> bool {
    let summed = superblock.get(fs::SUMMED_FROM..).unwrap_or_default();
    match le16(superblock, fs::FLAGS_AT) >> 2 & 0x3f {
        1 => !sums::crc32c(!0, summed) == le32(superblock, 0),
        2 => sums::crc64(summed) == le64(superblock, 0),
        7 => sums::xxh64(summed) == le64(superblock, 0),
        // None, or an unknown kind.
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name};
    use super::*;

    const MIB: usize = 1 << 20;

    fn superblock(place: usize, kind: u8) -> Vec<u8> {
        let mut superblock = vec![0; fs::FIXED_BYTES + 16];
        let mut put = |at: usize, bytes: &[u8]| superblock[at..at + bytes.len()].copy_from_slice(bytes);
        put(MAGIC_AT, fs::MAGIC);
        put(fs::UUID_AT, b"0123456789abcdef");
        put(LABEL_AT, b"pool");
        put(fs::OFFSET_AT, &(place as u64 / 512).to_le_bytes());
        put(fs::DEVICE_AT, &[1, 2, 2]);
        put(fs::FLAGS_AT, &[kind << 2]);
        put(fs::MAX_SIZE_AT, &[11]);
        let summed = &superblock[fs::SUMMED_FROM..];
        let sum = match kind {
            1 => u64::from(!sums::crc32c(!0, summed)),
            2 => sums::crc64(summed),
            7 => sums::xxh64(summed),
            _ => 0,
        };
        superblock[..8].copy_from_slice(&sum.to_le_bytes());
        superblock
    }

    #[test]
    fn bcachefs_is_found_in_its_places_with_each_kind_of_checksum() {
        let expected =
            Some(("bcachefs", Some("pool".to_owned()), Some("30313233-3435-3637-3839-616263646566".to_owned())));
        for kind in [0, 1, 2, 7] {
            for place in [4096, 2 * MIB, 3 * MIB] {
                let mut v = vec![0; 4 * MIB];
                let superblock = superblock(place, kind);
                v[place..place + superblock.len()].copy_from_slice(&superblock);
                assert_eq!(found(&v), expected, "{kind} at {place}");
                v[place + fs::FIXED_BYTES] ^= 1;
                assert_eq!(found_name(&v), (kind == 0).then_some("bcachefs"), "{kind} at {place}");
                v[place + fs::FIXED_BYTES] ^= 1;
                v[place + fs::DEVICE_AT] = 2;
                assert_eq!(found(&v), None);
            }
        }
    }

    #[test]
    fn bcache_says_where_it_lies() {
        let mut v = vec![0; MIB];
        v[PLACE + MAGIC_AT..][..16].copy_from_slice(MAGIC);
        assert_eq!(found_name(&v), None);
        v[PLACE + OFFSET_AT] = 8;
        v[PLACE + LABEL_AT..][..5].copy_from_slice(b"cache");
        assert_eq!(found(&v), Some(("bcache", Some("cache".to_owned()), None)));
    }
}
