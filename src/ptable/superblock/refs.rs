//! `ReFS` of Windows. libfsrefs, "Resilient File System", section 3 (volume header).

use super::super::fields::{has, le32, le64};
use super::content::Content;
use super::text;
use super::volume::Volume;

const NAME: &[u8] = b"\0\0\0ReFS\0";
const SIGNATURE_AT: usize = 16;
const SIGNATURE: &[u8] = b"FSRS";
const SECTOR_SIZE_AT: usize = 32; // 4 bytes
const SERIAL_AT: usize = 56; // 8

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_sound = has(head, 0, NAME) && has(head, SIGNATURE_AT, SIGNATURE) && le32(head, SECTOR_SIZE_AT) <= 1 << 16;
    is_sound.then(|| Content::new("ReFS").uuid(text::long_serial(le64(head, SERIAL_AT))))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, volume};

    #[test]
    fn name_and_signature_make_one() {
        let patches = [(3, &b"ReFS"[..]), (16, b"FSRS"), (56, b"\x01\x02")];
        assert_eq!(found(&volume(&patches)), Some(("ReFS", None, Some("0000000000000201".to_owned()))));
        assert_eq!(found(&volume(&patches[..1])), None);
    }
}
