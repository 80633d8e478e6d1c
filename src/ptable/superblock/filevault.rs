//! A physical volume of Apple's Core Storage, which `FileVault` 2 encrypts (`cs_fvault2`).
//!
//! libfvde, "`FileVault` Drive Encryption (FVDE)", physical volume header; libblkid's `superblocks/cs_fvault2.c`.

use super::super::fields::{has, le16, le32};
use super::content::Content;
use super::volume::Volume;
use super::{sums, text};

const SUM_AT: usize = 0; // 4 bytes
const SEED_AT: usize = 4; // 4: the sum starts with it
const SUMMED: std::ops::Range<usize> = 8..512;
const VERSION_AT: usize = 8; // 2
const KIND_AT: usize = 10; // 2
const FILE_VAULT: u16 = 0x10;
const MAGIC_AT: usize = 88;
const MAGIC: &[u8] = b"CS";
const SUM_KIND_AT: usize = 90; // 4
const KEY_BYTES_AT: usize = 168; // 4
const CIPHER_AT: usize = 172; // 4
const AES_XTS: u32 = 2;
const UUID_AT: usize = 304; // 16

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_one = has(head, MAGIC_AT, MAGIC)
        && le16(head, VERSION_AT) == 1
        && le32(head, SUM_KIND_AT) == 1
        && le16(head, KIND_AT) == FILE_VAULT
        && le32(head, KEY_BYTES_AT) == 16
        && le32(head, CIPHER_AT) == AES_XTS
        && sums::crc32c(le32(head, SEED_AT), head.get(SUMMED)?) == le32(head, SUM_AT);
    is_one.then(|| Content::new("cs_fvault2").uuid(text::uuid_at(head, UUID_AT)))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, volume};
    use super::*;

    #[test]
    fn a_physical_volume_is_known_by_its_checksum() {
        let mut header = vec![0; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(4, &[0xff; 4]);
        put(8, b"\x01\0\x10");
        put(88, b"CS\x01");
        put(168, b"\x10\0\0\0\x02");
        put(304, b"0123456789abcdef");
        let sum = sums::crc32c(!0, &header[8..]).to_le_bytes();
        header[..4].copy_from_slice(&sum);
        let uuid = Some("30313233-3435-3637-3839-616263646566".to_owned());
        assert_eq!(found(&volume(&[(0, &header)])), Some(("cs_fvault2", None, uuid)));
        assert_eq!(found(&volume(&[(0, &header), (400, b"x")])), None);
    }
}
