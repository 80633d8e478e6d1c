//! A physical volume of LVM.
//!
//! lvm2 lib/label/label.h `struct label_header`, `lib/format_text/layout.h` `struct pv_header`; libblkid's superblocks/lvm.c.

use super::super::fields::{byte, has, le16, le32, le64};
use super::content::Content;
use super::volume::{FLOPPY_BYTES, Volume};
use super::{sums, text};

/// The label is in one of the first four sectors.
const LABEL_SECTORS: [usize; 4] = [0, 1, 2, 3];
const SECTOR: usize = 512;
const ID: &[u8] = b"LABELONE";
const SECTOR_XL_AT: usize = 8; // 8 bytes: in which sector it is
const CRC_AT: usize = 16; // 4, of all that follows in the sector
const CRC_FROM: usize = 20;
const TYPE_AT: usize = 24;
const TYPE: &[u8] = b"LVM2 001";
const PV_UUID_AT: usize = 32;
const UUID_LEN: usize = 32;
/// lvm2 lib/misc/crc.h.
const CRC_START: u32 = 0xf597_a6cf;

/// LVM1 (Linux 2.4 include/linux/lvm.h, `pv_disk_t`): two letters, a version, the place of the structure itself.
const LVM1_ID: &[u8] = b"HM";
const LVM1_VERSION_AT: usize = 2; // 2 bytes
const LVM1_BASE_AT: usize = 4; // 4
const LVM1_UUID_AT: usize = 44;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    if volume.size() <= FLOPPY_BYTES {
        return None;
    }
    let head = volume.head();
    let version_2 = LABEL_SECTORS.into_iter().find_map(|sector| {
        let label = head.get(sector * SECTOR..(sector + 1) * SECTOR)?;
        let is_one = has(label, 0, ID) && has(label, TYPE_AT, TYPE) && le64(label, SECTOR_XL_AT) == sector as u64;
        (is_one && crc(label.get(CRC_FROM..)?) == le32(label, CRC_AT))
            .then(|| Content::new("LVM2_member").uuid(uuid(label, PV_UUID_AT)))
    });
    version_2.or_else(|| {
        let is_one = has(head, 0, LVM1_ID)
            && matches!(le16(head, LVM1_VERSION_AT), 1 | 2)
            && le32(head, LVM1_BASE_AT) == 0
            && byte(head, LVM1_UUID_AT).is_ascii_alphanumeric();
        is_one.then(|| Content::new("LVM1_member").uuid(uuid(head, LVM1_UUID_AT)))
    })
}

/// A CRC-32 of its own start, and without the complement at either end.
fn crc(bytes: &[u8]) -> u32 {
    sums::crc32(CRC_START, bytes)
}

/// Letters and digits, in groups of 6, 4, 4, 4, 4, 4 and 6.
fn uuid(buf: &[u8], at: usize) -> Option<String> {
    let letters = buf.get(at..at + UUID_LEN)?;
    if letters.iter().all(|&letter| letter == 0) {
        return None;
    }
    Some(text::grouped(&String::from_utf8_lossy(letters), &[6, 10, 14, 18, 22, 26]))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name, volume};
    use super::*;

    fn label(sector: u8) -> Vec<u8> {
        let mut label = vec![0; SECTOR];
        label[..8].copy_from_slice(ID);
        label[SECTOR_XL_AT] = sector;
        label[20] = 32;
        label[TYPE_AT..TYPE_AT + 8].copy_from_slice(TYPE);
        label[PV_UUID_AT..PV_UUID_AT + 32].copy_from_slice(b"abcdef0123456789ABCDEFGHIJKLMNOP");
        let sum = crc(&label[CRC_FROM..]).to_le_bytes();
        label[CRC_AT..CRC_AT + 4].copy_from_slice(&sum);
        label
    }

    #[test]
    fn a_label_with_its_checksum_is_read_in_each_of_its_sectors() {
        for sector in 0..4 {
            let at = usize::from(sector) * SECTOR;
            let uuid = "abcdef-0123-4567-89AB-CDEF-GHIJ-KLMNOP".to_owned();
            assert_eq!(found(&volume(&[(at, &label(sector))])), Some(("LVM2_member", None, Some(uuid))));
            assert_eq!(found_name(&volume(&[(at, &label(sector + 1))])), None);
            let mut wrong = label(sector);
            wrong[100] = 1;
            assert_eq!(found_name(&volume(&[(at, &wrong)])), None);
        }
    }

    #[test]
    fn lvm1_is_known_by_more_than_its_two_letters() {
        assert_eq!(found_name(&volume(&[(0, b"HM\x01\0"), (44, b"abcdef")])), Some("LVM1_member"));
        assert_eq!(found_name(&volume(&[(0, b"HM\x01\0")])), None);
        assert_eq!(found_name(&volume(&[(0, b"HM\x03\0"), (44, b"abcdef")])), None);
    }
}
