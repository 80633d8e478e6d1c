//! `BitLocker`: encrypted data behind a boot sector like that of NTFS or, on removable media, FAT32.
//!
//! libbde, "`BitLocker` Drive Encryption (BDE) format", sections 3.1 to 3.3; libblkid's superblocks/bitlocker.c.

use super::super::fields::{has, le32, le64};
use super::Content;
use super::volume::Volume;

const OEM_AT: usize = 3;
const VISTA_JUMP: &[u8] = b"\xeb\x52\x90";
const WINDOWS_7_JUMP: &[u8] = b"\xeb\x58\x90";
const SIGNATURE: &[u8] = b"-FVE-FS-";
const WINDOWS_7_SERIAL_AT: usize = 67; // 4 bytes, usually 0
const WINDOWS_7_METADATA_AT: usize = 176; // 8, an offset
const TO_GO_OEM: &[u8] = b"MSWIN4.1";
const TO_GO_GUID_AT: usize = 424;
const TO_GO_GUID: &[u8] =
    &[0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01];

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let content = Content::new("BitLocker");
    if has(head, OEM_AT, SIGNATURE) && has(head, 0, VISTA_JUMP) {
        return Some(content);
    }
    if has(head, OEM_AT, SIGNATURE) && has(head, 0, WINDOWS_7_JUMP) && le64(head, WINDOWS_7_METADATA_AT) != 0 {
        let serial = le32(head, WINDOWS_7_SERIAL_AT).cast_signed();
        return Some(content.uuid((serial != 0).then(|| format!("{serial:016}"))));
    }
    (has(head, OEM_AT, TO_GO_OEM) && has(head, TO_GO_GUID_AT, TO_GO_GUID)).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found_name, volume};
    use super::*;

    #[test]
    fn each_of_its_boot_sectors_is_known() {
        assert_eq!(found_name(&volume(&[(0, b"\xeb\x52\x90-FVE-FS-")])), Some("BitLocker"));
        assert_eq!(found_name(&volume(&[(0, b"\xeb\x58\x90-FVE-FS-"), (178, b"\x10")])), Some("BitLocker"));
        assert_eq!(found_name(&volume(&[(0, b"\xeb\x58\x90-FVE-FS-")])), None);
        let to_go = [(0, &b"\xeb\x58\x90MSWIN4.1"[..]), (TO_GO_GUID_AT, TO_GO_GUID)];
        assert_eq!(found_name(&volume(&to_go)), Some("BitLocker"));
        assert_eq!(found_name(&volume(&to_go[..1])), None);
    }
}
