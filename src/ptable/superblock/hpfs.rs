//! HPFS of OS/2. Linux fs/hpfs/hpfs.h; libblkid's superblocks/hpfs.c.

use super::super::boot_sector;
use super::super::fields::{byte, has, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

const SUPERBLOCK_AT: usize = 16 * 512;
const SUPERBLOCK: &[u8] = b"\x49\xe8\x95\xf9\xc5\xe9\x53\xfa";
const SPARE_AT: usize = 17 * 512;
const SPARE: &[u8] = b"\x49\x18\x91\xf9";
// The boot sector is like that of FAT16.
const SIGNATURE_AT: usize = 38;
const SERIAL_AT: usize = 39; // 4 bytes
const LABEL_AT: usize = 43; // 11
const NAME_AT: usize = 54;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    if !has(head, SUPERBLOCK_AT, SUPERBLOCK) || !has(head, SPARE_AT, SPARE) {
        return None;
    }
    let content = Content::new("hpfs");
    if !boot_sector::is_signed(head) || byte(head, SIGNATURE_AT) != 0x28 || !has(head, NAME_AT, b"HPFS") {
        return Some(content);
    }
    Some(content.label(text::label_at(head, LABEL_AT, 11)).uuid(text::serial(le32(head, SERIAL_AT))))
}
