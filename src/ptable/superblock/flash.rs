//! What flash memory without a controller, and zoned media, hold: UBI, UBIFS, zonefs.
//!
//! Linux drivers/mtd/ubi/ubi-media.h, `struct ubi_ec_hdr` (big-endian); `fs/ubifs/ubifs-media.h`, `struct ubifs_sb_node`;
//! fs/zonefs/zonefs.h, `struct zonefs_super`.

use super::super::fields::{be32, has, le32};
use super::content::Content;
use super::volume::{FLOPPY_BYTES, Volume};
use super::{sums, text};

mod ubi {
    pub const MAGIC: &[u8] = b"UBI#";
    pub const IMAGE_AT: usize = 24; // 4 bytes: a number that the eraseblocks of an image share
    /// Of all that is in front of it.
    pub const SUM_AT: usize = 60; // 4
}

mod ubifs {
    pub const MAGIC: &[u8] = b"\x31\x18\x10\x06";
    /// Of all that is behind it.
    pub const SUM_AT: usize = 4; // 4 bytes
    pub const SUMMED: std::ops::Range<usize> = 8..4096;
    pub const UUID_AT: usize = 108; // 16
}

mod zonefs {
    pub const MAGIC: &[u8] = b"SFOZ";
    /// Taken as 0 for the sum.
    pub const SUM_AT: usize = 4; // 4 bytes
    pub const BYTES: usize = 4096;
    pub const LABEL_AT: usize = 8; // 32
    pub const UUID_AT: usize = 40; // 16
}

pub(super) fn ubi(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_one = has(head, 0, ubi::MAGIC)
        && volume.size() > FLOPPY_BYTES
        && sums::crc32(!0, head.get(..ubi::SUM_AT)?) == be32(head, ubi::SUM_AT);
    let image = Some(be32(head, ubi::IMAGE_AT)).filter(|&image| image != 0);
    is_one.then(|| Content::new("ubi").uuid(image.map(|image| image.to_string())))
}

pub(super) fn ubifs(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_one = has(head, 0, ubifs::MAGIC) && sums::crc32(!0, head.get(ubifs::SUMMED)?) == le32(head, ubifs::SUM_AT);
    is_one.then(|| Content::new("ubifs").uuid(text::uuid_at(head, ubifs::UUID_AT)))
}

pub(super) fn zonefs(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    if !has(head, 0, zonefs::MAGIC) {
        return None;
    }
    let mut summed = head.get(..zonefs::BYTES)?.to_vec();
    summed.get_mut(zonefs::SUM_AT..zonefs::SUM_AT + 4)?.fill(0);
    (sums::crc32(!0, &summed) == le32(head, zonefs::SUM_AT)).then(|| {
        let label = text::label_at(head, zonefs::LABEL_AT, 32);
        Content::new("zonefs").label(label).uuid(text::uuid_at(head, zonefs::UUID_AT))
    })
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, volume};
    use super::*;

    #[test]
    fn each_is_known_by_its_checksum() {
        let mut ubi = vec![0; 60];
        ubi[..5].copy_from_slice(b"UBI#\x01");
        ubi[24..28].copy_from_slice(&1_234_567_890_u32.to_be_bytes());
        ubi.extend(sums::crc32(!0, &ubi).to_be_bytes());
        assert_eq!(found(&volume(&[(0, &ubi)])), Some(("ubi", None, Some("1234567890".to_owned()))));
        assert_eq!(found(&volume(&[(0, &ubi), (20, b"x")])), None);
        assert_eq!(found(&volume(&[(0, &ubi)])[..1 << 20]), None);

        let mut ubifs = vec![0; 4096];
        ubifs[..4].copy_from_slice(ubifs::MAGIC);
        ubifs[108..124].copy_from_slice(b"0123456789abcdef");
        let sum = sums::crc32(!0, &ubifs[8..]).to_le_bytes();
        ubifs[4..8].copy_from_slice(&sum);
        let uuid = Some("30313233-3435-3637-3839-616263646566".to_owned());
        assert_eq!(found(&volume(&[(0, &ubifs)])), Some(("ubifs", None, uuid.clone())));
        assert_eq!(found(&volume(&[(0, &ubifs), (4000, b"x")])), None);

        let mut zonefs = vec![0; 4096];
        zonefs[..4].copy_from_slice(zonefs::MAGIC);
        zonefs[8..12].copy_from_slice(b"tape");
        zonefs[40..56].copy_from_slice(b"0123456789abcdef");
        let sum = sums::crc32(!0, &zonefs).to_le_bytes();
        zonefs[4..8].copy_from_slice(&sum);
        assert_eq!(found(&volume(&[(0, &zonefs)])), Some(("zonefs", Some("tape".to_owned()), uuid)));
        assert_eq!(found(&volume(&[(0, &zonefs), (4000, b"x")])), None);
    }
}
