//! UDF: ECMA-167 and OSTA UDF 2.60; libblkid's superblocks/udf.c.
//!
//! A volume recognition sequence says that it is one (part 2 section 8.3, part 3 section 9.1). The anchor points to a
//! sequence of descriptors, in which label and volume set are.

use std::fmt::Write as _;

use super::super::fields::{byte, le16, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

/// Volume structure descriptors start here, as those of ISO 9660 do, on a bridge disc in one list with them.
const DESCRIPTORS_AT: usize = 32 * 1024;
/// Bytes from one to the next, and the blocks that a volume may have then: larger ones take one each.
const DESCRIPTOR_STEPS: [(usize, &[u32]); 2] = [(2048, &[512, 1024, 2048]), (4096, &[4096])];

/// Where the anchor is; a disc that is not closed yet may have it in the second of them alone.
const ANCHOR_BLOCKS: [u32; 2] = [256, 512];
/// Descriptors of the sequence that are looked at: more than there are kinds.
const MAX_DESCRIPTORS: u32 = 16;

// The tag of a descriptor: part 3 section 7.2.
const TAG_ID_AT: usize = 0; // 2 bytes
const TAG_LOCATION_AT: usize = 12; // 4: the block it is in
const PRIMARY: u16 = 1;
const ANCHOR: u16 = 2;
const LOGICAL: u16 = 6;
const TERMINATING: u16 = 8;
// The anchor: section 10.2.
const EXTENT_LENGTH_AT: usize = 16; // 4, in bytes
const EXTENT_BLOCK_AT: usize = 20; // 4
const VOLUME_SET_AT: usize = 72; // 128, of the primary descriptor: section 10.1
const LOGICAL_VOLUME_AT: usize = 84; // 128, of the logical volume descriptor: section 10.6
const DSTRING_LEN: usize = 128;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let sizes = block_sizes(volume.head());
    if sizes.is_empty() {
        return None;
    }
    let (label, uuid) = identifiers(volume, &sizes).unwrap_or_default();
    Some(Content::new("udf").label(label).uuid(uuid))
}

/// The sizes that blocks may have: of those, `NSR02` or `NSR03` stands behind `BEA01`, with nothing in front but descriptors
/// of known kinds.
fn block_sizes(head: &[u8]) -> Vec<u32> {
    let is_recognised = |step: usize| {
        let ids = (DESCRIPTORS_AT..head.len())
            .step_by(step)
            .map(|at| (byte(head, at), head.get(at + 1..at + 6).unwrap_or_default()));
        ids.take_while(|(_, id)| {
            matches!(*id, b"CD001" | b"CDW02" | b"BEA01" | b"BOOT2" | b"NSR02" | b"NSR03" | b"TEA01")
        })
        .any(|(structure, id)| structure == 0 && matches!(id, b"NSR02" | b"NSR03"))
    };
    DESCRIPTOR_STEPS
        .into_iter()
        .filter(|&(step, _)| is_recognised(step))
        .flat_map(|(_, sizes)| sizes)
        .copied()
        .collect()
}

/// Label and UUID. All places of the anchor are asked for together.
fn identifiers(volume: &Volume<'_>, sizes: &[u32]) -> Option<(Option<String>, Option<String>)> {
    let places = sizes.iter().flat_map(|&size| ANCHOR_BLOCKS.map(|block| (size, block)));
    let anchors: Vec<_> =
        places.map(|(size, block)| (size, block, volume.read(u64::from(block) * u64::from(size), 512))).collect();
    let (block_size, anchor) = anchors.into_iter().find_map(|(size, block, bytes)| {
        let is_anchor = |bytes: &&[u8]| le16(bytes, TAG_ID_AT) == ANCHOR && le32(bytes, TAG_LOCATION_AT) == block;
        Some((size, bytes.filter(is_anchor)?))
    })?;
    let size = u64::from(block_size);
    let first = le32(anchor, EXTENT_BLOCK_AT);
    let count = (le32(anchor, EXTENT_LENGTH_AT) / block_size).min(MAX_DESCRIPTORS);
    let length = usize::try_from(count.checked_mul(block_size)?).ok()?;
    let sequence = volume.read(u64::from(first) * size, length)?;
    let blocks = sequence.chunks_exact(usize::try_from(size).ok()?).zip(u64::from(first)..);
    let sound = blocks.take_while(|(block, number)| {
        let id = le16(block, TAG_ID_AT);
        id != 0 && id != TERMINATING && u64::from(le32(block, TAG_LOCATION_AT)) == *number
    });
    let (mut label, mut uuid) = (None, None);
    for (block, _) in sound {
        let string = |at: usize| dstring(block.get(at..at + DSTRING_LEN)?);
        match le16(block, TAG_ID_AT) {
            PRIMARY => uuid = uuid.or_else(|| volume_set_uuid(&string(VOLUME_SET_AT)?)),
            LOGICAL => {
                label = label.or_else(|| string(LOGICAL_VOLUME_AT)).and_then(|label| text::label(label.as_bytes()));
            }
            _ => {}
        }
    }
    Some((label, uuid))
}

/// A string in a field of fixed length: a compression id, which is the bits of a character, the characters, and at its end
/// how many bytes of the field are used. OSTA UDF 2.60 section 2.1.3.
fn dstring(field: &[u8]) -> Option<String> {
    let (last, rest) = field.split_last()?;
    let (id, characters) = rest.split_first()?;
    let used = usize::from(*last).saturating_sub(1).min(characters.len());
    let characters = characters.get(..used)?;
    match id {
        8 => Some(characters.iter().take_while(|&&byte| byte != 0).map(|&byte| char::from(byte)).collect()),
        16 => text::utf16(characters, u16::from_be_bytes),
        _ => None,
    }
}

/// The first 16 characters of the identifier of the volume set are to be unique, the first 8 of them a time in
/// hexadecimal digits. Where they are not, bytes are written in such digits instead.
fn volume_set_uuid(identifier: &str) -> Option<String> {
    let mut bytes = [0; 16];
    let length = identifier.len().min(16);
    bytes[..length].copy_from_slice(identifier.as_bytes().get(..length)?);
    if length < 8 {
        return None;
    }
    let digits = bytes.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let lower = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_ascii_lowercase();
    let spelt = |bytes: &[u8]| {
        bytes.iter().fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    };
    Some(match digits {
        0..8 => spelt(&bytes[..8]),
        8..16 => lower(&bytes[..8]) + &spelt(&bytes[8..12]),
        _ => lower(&bytes),
    })
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found_name, volume};
    use super::*;

    #[test]
    fn a_bridge_disc_is_udf() {
        let mut v = volume(&[(DESCRIPTORS_AT, b"\x01CD001\x01")]);
        assert_eq!(found_name(&v), Some("iso9660"));
        v[DESCRIPTORS_AT + 2048..][..6].copy_from_slice(b"\0BEA01");
        v[DESCRIPTORS_AT + 4096..][..6].copy_from_slice(b"\0NSR02");
        assert_eq!(found_name(&v), Some("udf"));
    }

    #[test]
    fn a_volume_set_gives_digits_whatever_it_is_called() {
        assert_eq!(volume_set_uuid("0123ABCD89abcdefX").as_deref(), Some("0123abcd89abcdef"));
        assert_eq!(volume_set_uuid("0123ABCDxyz").as_deref(), Some("0123abcd78797a00"));
        assert_eq!(volume_set_uuid("My discs").as_deref(), Some("4d79206469736373"));
        assert_eq!(volume_set_uuid("ünüt").as_deref(), None);
    }

    #[test]
    fn strings_say_how_wide_their_characters_are() {
        let field = |id: u8, text: &[u8]| {
            let mut field = [0; DSTRING_LEN];
            field[0] = id;
            field[1..=text.len()].copy_from_slice(text);
            field[DSTRING_LEN - 1] = u8::try_from(text.len()).unwrap() + 1;
            dstring(&field)
        };
        assert_eq!(field(8, b"gr\xfc\xdfe").as_deref(), Some("grüße"));
        assert_eq!(field(16, b"\0g\x26\x3a").as_deref(), Some("g☺"));
        assert_eq!((field(254, b"x"), dstring(&[])), (None, None));
    }
}
