//! LUKS: encrypted data.
//!
//! LUKS1 On-Disk Format Specification 1.2.3 section 2; LUKS2 On-Disk Format Specification 1.1.1 section 2.1. All numbers
//! are big-endian.

use super::super::fields::{be16, be64, has};
use super::volume::Volume;
use super::{Content, text};

const MAGIC: &[u8] = b"LUKS\xba\xbe";
/// The second header of LUKS2, for where the first is lost; the places of it that are in the window.
const SECOND_MAGIC: &[u8] = b"SKUL\xba\xbe";
const SECOND_AT: [usize; 3] = [0x4000, 0x8000, 0x1_0000];

const VERSION_AT: usize = 6; // 2 bytes
const LABEL_AT: usize = 24; // 48, of LUKS2 alone
const UUID_AT: usize = 168; // 40, as text
const HEADER_OFFSET_AT: usize = 256; // 8, of LUKS2 alone

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let places = std::iter::once((0, MAGIC)).chain(SECOND_AT.map(|at| (at, SECOND_MAGIC)));
    places.into_iter().find_map(|(at, magic)| {
        let header = volume.head().get(at..).filter(|header| has(header, 0, magic))?;
        let content = Content::new("crypto_LUKS").uuid(text::label_at(header, UUID_AT, 40));
        match be16(header, VERSION_AT) {
            1 if at == 0 => Some(content),
            2 if be64(header, HEADER_OFFSET_AT) == at as u64 => {
                Some(content.label(text::label_at(header, LABEL_AT, 48)))
            }
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found_name, volume};

    #[test]
    fn the_second_header_is_found_where_the_first_is_lost() {
        let offset = 0x4000_u64.to_be_bytes();
        let patches = [(0x4000, &b"SKUL\xba\xbe\0\x02"[..]), (0x4100, &offset[..])];
        assert_eq!(found_name(&volume(&patches)), Some("crypto_LUKS"));
        assert_eq!(found_name(&volume(&patches[..1])), None);
        assert_eq!(found_name(&volume(&[(0, b"LUKS\xba\xbe\0\x03")])), None);
    }
}
