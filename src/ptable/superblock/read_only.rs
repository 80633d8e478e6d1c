//! File systems that are written once: squashfs, cramfs, romfs, EROFS.
//!
//! Linux `fs/squashfs/squashfs_fs.h`, `include/uapi/linux/cramfs_fs.h`, fs/romfs, `fs/erofs/erofs_fs.h`; libblkid's files of the
//! same names.

use super::super::fields::{be16, be32, byte, has, le16, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

const SQUASHFS: &[u8] = b"hsqs";
const SQUASHFS_BIG_ENDIAN: &[u8] = b"sqsh";
const SQUASHFS_BLOCK_SIZE_AT: usize = 12; // 4 bytes, of version 4
const SQUASHFS_BLOCK_LOG_AT: usize = 22; // 2, of version 4
const SQUASHFS_VERSION_AT: usize = 28; // 2

const CRAMFS: [&[u8]; 2] = [b"\x45\x3d\xcd\x28", b"\x28\xcd\x3d\x45"];
const CRAMFS_SIGNATURE_AT: usize = 16;
const CRAMFS_SIGNATURE: &[u8] = b"Compressed ROMFS";
const CRAMFS_LABEL_AT: usize = 48; // 16

const ROMFS: &[u8] = b"-rom1fs-";
const ROMFS_SIZE_AT: usize = 8; // 4
const ROMFS_LABEL_AT: usize = 16; // 16

const EROFS_AT: usize = 1024;
const EROFS: &[u8] = b"\xe2\xe1\xf5\xe0";
const EROFS_BLOCK_LOG_AT: usize = EROFS_AT + 12; // 1
const EROFS_UUID_AT: usize = EROFS_AT + 48; // 16
const EROFS_LABEL_AT: usize = EROFS_AT + 64; // 16

pub(super) fn cramfs(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_one = CRAMFS.iter().any(|magic| has(head, 0, magic)) && has(head, CRAMFS_SIGNATURE_AT, CRAMFS_SIGNATURE);
    is_one.then(|| Content::new("cramfs").label(text::label_at(head, CRAMFS_LABEL_AT, 16)))
}

pub(super) fn romfs(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_one = has(head, 0, ROMFS) && be32(head, ROMFS_SIZE_AT) != 0;
    is_one.then(|| Content::new("romfs").label(text::label_at(head, ROMFS_LABEL_AT, 16)))
}

pub(super) fn erofs(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_one = has(head, EROFS_AT, EROFS) && (9..=16).contains(&byte(head, EROFS_BLOCK_LOG_AT));
    let label = text::label_at(head, EROFS_LABEL_AT, 16);
    is_one.then(|| Content::new("erofs").label(label).uuid(text::uuid_at(head, EROFS_UUID_AT)))
}

pub(super) fn squashfs(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let version = if has(head, 0, SQUASHFS) {
        le16(head, SQUASHFS_VERSION_AT)
    } else if has(head, 0, SQUASHFS_BIG_ENDIAN) {
        be16(head, SQUASHFS_VERSION_AT)
    } else {
        return None;
    };
    let log = le16(head, SQUASHFS_BLOCK_LOG_AT);
    match version {
        1..=3 => Some(Content::new("squashfs3")),
        4 if (12..=20).contains(&log) && le32(head, SQUASHFS_BLOCK_SIZE_AT) == 1 << log => {
            Some(Content::new("squashfs"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name, volume};

    #[test]
    fn squashfs_has_another_name_before_version_4() {
        let of = |magic: &[u8], version: &[u8]| found_name(&volume(&[(0, magic), (28, version)]));
        assert_eq!(of(b"hsqs", b"\x03\0"), Some("squashfs3"));
        assert_eq!(of(b"sqsh", b"\0\x03"), Some("squashfs3"));
        assert_eq!((of(b"hsqs", b"\x04\0"), of(b"hsqs", b"\0\0"), of(b"sqsh", b"\x03\0")), (None, None, None));
        assert_eq!(
            found_name(&volume(&[(0, b"hsqs"), (12, b"\0\0\x02"), (22, b"\x11"), (28, b"\x04")])),
            Some("squashfs")
        );
    }

    #[test]
    fn others_have_their_labels() {
        let label = |label: &str| Some(label.to_owned());
        let cramfs = volume(&[(0, b"\x45\x3d\xcd\x28"), (16, b"Compressed ROMFS"), (48, b"boot")]);
        assert_eq!(found(&cramfs), Some(("cramfs", label("boot"), None)));
        assert_eq!(found(&volume(&[(0, b"-rom1fs-\0\0\x10"), (16, b"rom")])), Some(("romfs", label("rom"), None)));
        let erofs = volume(&[(1024, b"\xe2\xe1\xf5\xe0"), (1036, b"\x0c"), (1088, b"system")]);
        assert_eq!(found(&erofs), Some(("erofs", label("system"), None)));
    }
}
