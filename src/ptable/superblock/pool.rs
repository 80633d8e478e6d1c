//! Devices of storage pools and clusters: Stratis, mpool, Ceph's `BlueStore`.
//!
//! libblkid's superblocks/stratis.c, mpool.c, bluestore.c.

use super::super::fields::{has, le32};
use super::content::Content;
use super::volume::{FLOPPY_BYTES, Volume};
use super::{sums, text};

mod stratis {
    /// It has two copies.
    pub const PLACES: [usize; 2] = [512, 9 * 512];
    pub const BYTES: usize = 512;
    pub const SUMMED_FROM: usize = 4;
    pub const MAGIC_AT: usize = 4;
    pub const MAGIC: &[u8] = b"!Stra0tis\x86\xff\x02^\x41rh";
    /// As hexadecimal digits.
    pub const DEVICE_UUID_AT: usize = 64;
    pub const UUID_LEN: usize = 32;
}

mod mpool {
    pub const MAGIC: &[u8] = b"mpoolDev";
    pub const LABEL_AT: usize = 8; // 32 bytes
    pub const UUID_AT: usize = 40; // 16
    /// Of all that is in front of it.
    pub const SUM_AT: usize = 62; // 4
}

const BLUESTORE: &[u8] = b"bluestore block device";

pub(super) fn stratis(volume: &Volume<'_>) -> Option<Content> {
    if volume.size() <= FLOPPY_BYTES {
        return None;
    }
    let superblock = stratis::PLACES.into_iter().find_map(|at| {
        let superblock = volume.head().get(at..at + stratis::BYTES)?;
        let is_one = has(superblock, stratis::MAGIC_AT, stratis::MAGIC)
            && !sums::crc32c(!0, superblock.get(stratis::SUMMED_FROM..)?) == le32(superblock, 0);
        is_one.then_some(superblock)
    })?;
    let uuid = text::label_at(superblock, stratis::DEVICE_UUID_AT, stratis::UUID_LEN);
    Some(Content::new("stratis").uuid(uuid.map(|digits| text::grouped(&digits, &[8, 12, 16, 20]))))
}

pub(super) fn mpool(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_one =
        has(head, 0, mpool::MAGIC) && !sums::crc32c(!0, head.get(..mpool::SUM_AT)?) == le32(head, mpool::SUM_AT);
    is_one.then(|| {
        let label = text::label_at(head, mpool::LABEL_AT, 32);
        Content::new("mpool").label(label).uuid(text::uuid_at(head, mpool::UUID_AT))
    })
}

pub(super) fn bluestore(volume: &Volume<'_>) -> Option<Content> {
    has(volume.head(), 0, BLUESTORE).then(|| Content::new("ceph_bluestore"))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name, volume};
    use super::*;

    #[test]
    fn stratis_is_known_by_either_copy_with_its_checksum() {
        let mut superblock = vec![0; 512];
        superblock[4..20].copy_from_slice(stratis::MAGIC);
        superblock[32..64].copy_from_slice(b"ffffffffffffffffffffffffffffffff");
        superblock[64..96].copy_from_slice(b"0123456789abcdef0123456789abcdef");
        let sum = !sums::crc32c(!0, &superblock[4..]);
        superblock[..4].copy_from_slice(&sum.to_le_bytes());
        let uuid = Some("01234567-89ab-cdef-0123-456789abcdef".to_owned());
        for at in stratis::PLACES {
            assert_eq!(found(&volume(&[(at, &superblock)])), Some(("stratis", None, uuid.clone())));
            assert_eq!(found(&volume(&[(at, &superblock), (at + 500, b"x")])), None);
        }
        assert_eq!(found(&volume(&[(512, &superblock)])[..1 << 20]), None);
    }

    #[test]
    fn mpool_is_known_by_its_checksum_and_bluestore_by_its_words() {
        let mut head = vec![0; 62];
        head[..8].copy_from_slice(mpool::MAGIC);
        head[8..11].copy_from_slice(b"mp1");
        head[40..56].copy_from_slice(b"0123456789abcdef");
        head.extend((!sums::crc32c(!0, &head)).to_le_bytes());
        let uuid = Some("30313233-3435-3637-3839-616263646566".to_owned());
        assert_eq!(found(&volume(&[(0, &head)])), Some(("mpool", Some("mp1".to_owned()), uuid)));
        assert_eq!(found(&volume(&[(0, &head), (12, b"x")])), None);
        assert_eq!(found_name(&volume(&[(0, b"bluestore block device\n")])), Some("ceph_bluestore"));
    }
}
