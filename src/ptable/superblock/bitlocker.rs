//! `BitLocker`: encrypted data behind a boot sector like that of NTFS or, on removable media, FAT32.
//!
//! libbde, "`BitLocker` Drive Encryption (BDE) format", sections 3.1 to 3.3; libblkid's superblocks/bitlocker.c.

use super::super::fields::{bytes, has, le16, le32, le64};
use super::content::Content;
use super::text;
use super::volume::Volume;

const OEM_AT: usize = 3;
const VISTA_JUMP: &[u8] = b"\xeb\x52\x90";
const WINDOWS_7_JUMP: &[u8] = b"\xeb\x58\x90";
const SIGNATURE: &[u8] = b"-FVE-FS-";
const WINDOWS_7_METADATA_AT: usize = 176; // 8 bytes, an offset
const TO_GO_OEM: &[u8] = b"MSWIN4.1";
const TO_GO_GUID_AT: usize = 424;
const TO_GO_GUID: &[u8] =
    &[0x3b, 0xd6, 0x67, 0x49, 0x29, 0x2e, 0xd8, 0x4a, 0x83, 0x99, 0xf6, 0xa3, 0x39, 0xe3, 0xd0, 0x01];
const TO_GO_METADATA_AT: usize = 440; // 8, an offset

/// A block of metadata: a header that starts with [`SIGNATURE`], the metadata's own header, and entries.
mod metadata {
    pub const BLOCK_HEADER: usize = 64;
    pub const SIZE_AT: usize = 64; // 4 bytes: of the metadata's header and the entries
    pub const UUID_AT: usize = 80; // 16: of the volume
    pub const ENTRIES_AT: usize = 112;
    pub const MAX: usize = 64 * 1024;
    // Of an entry.
    pub const ENTRY_SIZE_AT: usize = 0; // 2
    pub const ENTRY_KIND_AT: usize = 2; // 2
    pub const VALUE_KIND_AT: usize = 4; // 2
    pub const VALUE_AT: usize = 8;
    /// What the owner sees: computer, volume and date.
    pub const DESCRIPTION: u16 = 7;
    pub const TEXT: u16 = 2;
}

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let content = Content::new("BitLocker");
    let is_named = has(head, OEM_AT, SIGNATURE);
    if is_named && has(head, 0, VISTA_JUMP) {
        return Some(content);
    }
    let metadata_at = if is_named && has(head, 0, WINDOWS_7_JUMP) {
        le64(head, WINDOWS_7_METADATA_AT)
    } else if has(head, OEM_AT, TO_GO_OEM) && has(head, TO_GO_GUID_AT, TO_GO_GUID) {
        le64(head, TO_GO_METADATA_AT)
    } else {
        return None;
    };
    if metadata_at == 0 || !metadata_at.is_multiple_of(64) {
        return None;
    }
    let (label, uuid) = description(volume, metadata_at).unwrap_or_default();
    Some(content.label(label).uuid(uuid))
}

/// Label and UUID.
fn description(volume: &Volume<'_>, at: u64) -> Option<(Option<String>, Option<String>)> {
    let header = volume.read(at, metadata::ENTRIES_AT).filter(|header| has(header, 0, SIGNATURE))?;
    // A GUID of Microsoft's: its first three fields are numbers.
    let mut uuid: [u8; 16] = bytes(header, metadata::UUID_AT);
    uuid[..4].reverse();
    uuid[4..6].reverse();
    uuid[6..8].reverse();
    let size = usize::try_from(le32(header, metadata::SIZE_AT)).ok()?;
    let length = metadata::BLOCK_HEADER.saturating_add(size).min(metadata::MAX);
    let label = volume.read(at, length).and_then(|block| label(block.get(metadata::ENTRIES_AT..)?));
    Some((label, text::uuid_at(&uuid, 0)))
}

fn label(mut entries: &[u8]) -> Option<String> {
    loop {
        let size = usize::from(le16(entries, metadata::ENTRY_SIZE_AT));
        let (entry, rest) = entries.split_at_checked(size).filter(|_| size > metadata::VALUE_AT)?;
        let kinds = (le16(entry, metadata::ENTRY_KIND_AT), le16(entry, metadata::VALUE_KIND_AT));
        if kinds == (metadata::DESCRIPTION, metadata::TEXT) {
            return text::utf16(entry.get(metadata::VALUE_AT..)?, u16::from_le_bytes);
        }
        entries = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name, volume};
    use super::*;

    #[test]
    fn each_of_its_boot_sectors_is_known() {
        assert_eq!(found_name(&volume(&[(0, b"\xeb\x52\x90-FVE-FS-")])), Some("BitLocker"));
        assert_eq!(found_name(&volume(&[(0, b"\xeb\x58\x90-FVE-FS-"), (178, b"\x10")])), Some("BitLocker"));
        assert_eq!(found_name(&volume(&[(0, b"\xeb\x58\x90-FVE-FS-")])), None);
        let to_go = [(0, &b"\xeb\x58\x90MSWIN4.1"[..]), (TO_GO_GUID_AT, TO_GO_GUID), (TO_GO_METADATA_AT + 2, b"\x10")];
        assert_eq!(found_name(&volume(&to_go)), Some("BitLocker"));
        assert_eq!((found_name(&volume(&to_go[..2])), found_name(&volume(&to_go[..1]))), (None, None));
    }

    #[test]
    fn label_and_uuid_are_in_its_metadata() {
        let entry = |kind: u8, value: &[u8]| {
            let size = u8::try_from(value.len() + 8).unwrap();
            [&[size, 0, kind, 0, 2, 0, 1, 0], value].concat()
        };
        let entries = [entry(2, b"key"), entry(7, b"P\0C\0 \0D\0:\0\0\0")].concat();
        let size = u32::try_from(48 + entries.len()).unwrap().to_le_bytes();
        let patches = [
            (0, &b"\xeb\x58\x90-FVE-FS-"[..]),
            (178, b"\x10"),
            (0x10_0000, SIGNATURE),
            (0x10_0000 + 64, &size),
            (0x10_0000 + 80, b"0123456789abcdef"),
            (0x10_0000 + 112, &entries),
        ];
        let said = |label: Option<&str>, uuid: Option<&str>| {
            Some(("BitLocker", label.map(str::to_owned), uuid.map(str::to_owned)))
        };
        let uuid = "33323130-3534-3736-3839-616263646566";
        assert_eq!(found(&volume(&patches)), said(Some("PC D:"), Some(uuid)));
        assert_eq!(found(&volume(&[&patches[..], &[(0x10_0000 + 112, &[0, 0])]].concat())), said(None, Some(uuid)));
        assert_eq!(found(&volume(&[&patches[..], &[(0x10_0000, b"x")]].concat())), said(None, None));
    }
}
