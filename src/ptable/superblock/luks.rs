//! LUKS: encrypted data.
//!
//! LUKS1 On-Disk Format Specification 1.2.3 section 2; LUKS2 On-Disk Format Specification 1.1.1 section 2.1. All numbers
//! are big-endian.

use super::super::fields::{be16, be64, has};
use super::content::Content;
use super::text;
use super::volume::Volume;

const MAGIC: &[u8] = b"LUKS\xba\xbe";
/// The second header of LUKS2, and where it may be: section 2.2.
const SECOND_MAGIC: &[u8] = b"SKUL\xba\xbe";
const SECOND_AT: [u64; 9] = [0x4000, 0x8000, 0x1_0000, 0x2_0000, 0x4_0000, 0x8_0000, 0x10_0000, 0x20_0000, 0x40_0000];
const HEADER_BYTES: usize = 512;

const VERSION_AT: usize = 6; // 2 bytes
const LABEL_AT: usize = 24; // 48, of LUKS2 alone
const UUID_AT: usize = 168; // 40, as text
const HEADER_OFFSET_AT: usize = 256; // 8, of LUKS2 alone

pub(super) fn first_header(volume: &Volume<'_>) -> Option<Content> {
    let header = volume.head().get(..HEADER_BYTES)?;
    match be16(header, VERSION_AT) {
        _ if !has(header, 0, MAGIC) => None,
        1 => Some(content(header)),
        2 => version_2(header, 0),
        _ => None,
    }
}

/// For where the first header is lost and nothing else took its place: a later format of the volume may well leave
/// the second one as it is.
pub(super) fn second_header(volume: &Volume<'_>) -> Option<Content> {
    // All places are asked for before any is looked at.
    let headers = SECOND_AT.map(|at| (at, volume.read(at, HEADER_BYTES)));
    headers.into_iter().find_map(|(at, header)| {
        let header = header.filter(|header| has(header, 0, SECOND_MAGIC) && be16(header, VERSION_AT) == 2)?;
        version_2(header, at)
    })
}

fn version_2(header: &[u8], at: u64) -> Option<Content> {
    (be64(header, HEADER_OFFSET_AT) == at).then(|| content(header).label(text::label_at(header, LABEL_AT, 48)))
}

fn content(header: &[u8]) -> Content {
    Content::new("crypto_LUKS").uuid(text::label_at(header, UUID_AT, 40))
}

#[cfg(test)]
mod tests {
    use super::super::name;
    use super::super::testvolume::{found_name, volume};
    use super::*;

    #[test]
    fn the_second_header_is_found_where_the_first_is_lost_and_nothing_else_is_there() {
        for at in SECOND_AT {
            let offset = at.to_be_bytes();
            let at = usize::try_from(at).unwrap();
            let mut disk = vec![0; 5 << 20];
            disk[at..at + 8].copy_from_slice(b"SKUL\xba\xbe\0\x02");
            assert_eq!(found_name(&disk), None, "{at}");
            disk[at + 256..at + 264].copy_from_slice(&offset);
            assert_eq!((found_name(&disk), name(&disk[..70 << 10])), (Some("crypto_LUKS"), None), "{at}");
            disk[4086..4096].copy_from_slice(b"SWAPSPACE2");
            disk[1024..1029].copy_from_slice(b"\x01\0\0\0\x09");
            assert_eq!(found_name(&disk), Some("swap"), "{at}");
        }
    }

    #[test]
    fn versions_are_1_and_2() {
        assert_eq!(found_name(&volume(&[(0, b"LUKS\xba\xbe\0\x01")])), Some("crypto_LUKS"));
        assert_eq!(found_name(&volume(&[(0, b"LUKS\xba\xbe\0\x02")])), Some("crypto_LUKS"));
        assert_eq!(found_name(&volume(&[(0, b"LUKS\xba\xbe\0\x03")])), None);
    }
}
