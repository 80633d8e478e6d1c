//! NTFS. linux-ntfs, "NTFS Documentation": boot file, file record, attributes; libblkid's superblocks/ntfs.c.

use super::super::boot_sector;
use super::super::fields::{byte, has, le16, le32, le64};
use super::content::Content;
use super::text;
use super::volume::Volume;

const SECTOR_SIZE_AT: usize = 11; // 2 bytes
const SECTORS_PER_CLUSTER_AT: usize = 13; // 1; above 128, a negative power of 2
const MFT_AT: usize = 48; // 8, a cluster
const RECORD_SIZE_AT: usize = 64; // 1: clusters, or a negative power of 2 in bytes
const SERIAL_AT: usize = 72; // 8
/// `$Volume`, in which the label is.
const VOLUME_RECORD: u64 = 3;

// A file record, and the attributes in it.
const RECORD: &[u8] = b"FILE";
const FIXUPS_AT: usize = 4; // 2: offset of the array, behind it its number of words
const FIRST_ATTRIBUTE_AT: usize = 20; // 2
const TYPE_AT: usize = 0; // 4
const LENGTH_AT: usize = 4; // 4
const NON_RESIDENT_AT: usize = 8; // 1
const VALUE_LENGTH_AT: usize = 16; // 4
const VALUE_AT: usize = 20; // 2
const VOLUME_NAME: u32 = 0x60;
const END: u32 = 0xffff_ffff;
const MAX_ATTRIBUTES: usize = 64;
/// The last two bytes of each are replaced, to tell records that were written in part.
const FIXED_UP: usize = 512;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    if boot_sector::file_system(head) != Some("ntfs") {
        return None;
    }
    Some(Content::new("ntfs").label(label(volume)).uuid(text::long_serial(le64(head, SERIAL_AT))))
}

fn label(volume: &Volume<'_>) -> Option<String> {
    let head = volume.head();
    let clusters = match byte(head, SECTORS_PER_CLUSTER_AT) {
        n if n <= 128 => u64::from(n),
        n => 1_u64.checked_shl(256 - u32::from(n))?,
    };
    let cluster = u64::from(le16(head, SECTOR_SIZE_AT)).checked_mul(clusters)?;
    let record_size = match byte(head, RECORD_SIZE_AT).cast_signed() {
        n if n > 0 => cluster.checked_mul(n.unsigned_abs().into())?,
        n => 1_u64.checked_shl(n.unsigned_abs().into())?,
    };
    if !(256..=65536).contains(&record_size) {
        return None;
    }
    let at = le64(head, MFT_AT).checked_mul(cluster)?.checked_add(VOLUME_RECORD * record_size)?;
    let record = fixed_up(volume.read(at, usize::try_from(record_size).ok()?)?)?;
    let mut rest = record.get(usize::from(le16(&record, FIRST_ATTRIBUTE_AT))..)?;
    for _ in 0..MAX_ATTRIBUTES {
        let length = usize::try_from(le32(rest, LENGTH_AT)).ok()?;
        let (attribute, more) = rest.split_at_checked(length)?;
        match le32(attribute, TYPE_AT) {
            VOLUME_NAME if byte(attribute, NON_RESIDENT_AT) == 0 => {
                let value = attribute.get(usize::from(le16(attribute, VALUE_AT))..)?;
                let length = usize::try_from(le32(attribute, VALUE_LENGTH_AT)).ok()?;
                return text::utf16(value.get(..length)?, u16::from_le_bytes);
            }
            END => return None,
            _ if length == 0 => return None,
            _ => rest = more,
        }
    }
    None
}

/// The record with the bytes that were replaced put back.
fn fixed_up(record: &[u8]) -> Option<Vec<u8>> {
    if !has(record, 0, RECORD) {
        return None;
    }
    let mut record = record.to_vec();
    let words = record.get(usize::from(le16(&record, FIXUPS_AT))..)?.to_vec();
    for (sector, word) in record.chunks_exact_mut(FIXED_UP).zip(words.as_chunks::<2>().0.iter().skip(1)) {
        sector[FIXED_UP - 2..].copy_from_slice(word);
    }
    Some(record)
}
