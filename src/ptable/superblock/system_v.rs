//! File systems of Unix System V and its kin: `sysv`, `xenix`, the boot file system of `UnixWare` (`bfs`), Veritas' `VxFS`.
//!
//! Linux `include/linux/sysv_fs.h`, `include/uapi/linux/bfs_fs.h`, `fs/freevxfs/vxfs.h`; libblkid's superblocks/sysv.c,
//! bfs.c, vxfs.c. There is no more to them than four bytes of magic: neither has a UUID.

use super::super::fields::{be32, has, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

/// Blocks of 1 KiB that may come in front, tracks of a floppy among them; the superblock is in the middle of the next.
const SYSV_PLACES: [usize; 4] = [512, 9 * 1024 + 512, 15 * 1024 + 512, 18 * 1024 + 512];
const SYSV_MAGIC_AT: usize = 504; // 4 bytes, in either order
const SYSV_MAGIC: u32 = 0xfd18_7e20;
const SYSV_LABEL_AT: usize = 440; // 6

const XENIX_AT: usize = 1024;
const XENIX_MAGIC_AT: usize = XENIX_AT + 0x3f8; // 4, in either order
const XENIX_MAGIC: u32 = 0x002b_5544;
/// The size of its blocks: 512, 1024 or 2048 bytes.
const XENIX_TYPE_AT: usize = XENIX_AT + 0x3fc; // 4
/// Where libblkid looks for three of these bytes.
const XENIX_OTHER_MAGIC_AT: usize = XENIX_AT + 0x400;
const XENIX_LABEL_AT: usize = XENIX_AT + 632; // 6

const BFS: &[u8] = b"\xce\xfa\xad\x1b";

/// By byte order: on machines of Intel, and of HP and Sun.
const VXFS: [(usize, &[u8]); 2] = [(1024, b"\xf5\xfc\x01\xa5"), (8192, b"\xa5\x01\xfc\xf5")];

pub(super) fn sysv(volume: &Volume<'_>) -> Option<Content> {
    let superblocks = SYSV_PLACES.into_iter().filter_map(|at| volume.head().get(at..at + 512));
    let is_one =
        |superblock: &&[u8]| [le32(superblock, SYSV_MAGIC_AT), be32(superblock, SYSV_MAGIC_AT)].contains(&SYSV_MAGIC);
    let superblock = superblocks.into_iter().find(is_one)?;
    Some(Content::new("sysv").label(text::label_at(superblock, SYSV_LABEL_AT, 6)))
}

pub(super) fn xenix(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_xenix = |read: fn(&[u8], usize) -> u32| {
        read(head, XENIX_MAGIC_AT) == XENIX_MAGIC && (1..=3).contains(&read(head, XENIX_TYPE_AT))
    };
    let is_one = is_xenix(le32)
        || is_xenix(be32)
        || has(head, XENIX_OTHER_MAGIC_AT, b"\x2b\x55\x44")
        || has(head, XENIX_OTHER_MAGIC_AT, b"\x44\x55\x2b");
    is_one.then(|| Content::new("xenix").label(text::label_at(head, XENIX_LABEL_AT, 6)))
}

pub(super) fn bfs(volume: &Volume<'_>) -> Option<Content> {
    has(volume.head(), 0, BFS).then(|| Content::new("bfs"))
}

pub(super) fn vxfs(volume: &Volume<'_>) -> Option<Content> {
    VXFS.into_iter().any(|(at, magic)| has(volume.head(), at, magic)).then(|| Content::new("vxfs"))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name, volume};
    use super::*;

    #[test]
    fn sysv_is_found_behind_tracks_in_either_byte_order() {
        let label = Some("root".to_owned());
        for at in SYSV_PLACES {
            for magic in [SYSV_MAGIC.to_le_bytes(), SYSV_MAGIC.to_be_bytes()] {
                let v = volume(&[(at + SYSV_LABEL_AT, b"root"), (at + SYSV_MAGIC_AT, &magic)]);
                assert_eq!(found(&v), Some(("sysv", label.clone(), None)), "{at}");
            }
        }
    }

    #[test]
    fn xenix_is_found_where_it_is_and_where_libblkid_looks() {
        let label = Some("usr".to_owned());
        let at = [(XENIX_MAGIC_AT, &b"\x44\x55\x2b\0\x02\0\0\0"[..]), (2048, b"\x44\x55\x2b"), (2048, b"\x2b\x55\x44")];
        for patch in at {
            assert_eq!(found(&volume(&[(XENIX_LABEL_AT, b"usr"), patch])), Some(("xenix", label.clone(), None)));
        }
        assert_eq!(found_name(&volume(&[(XENIX_MAGIC_AT, b"\x44\x55\x2b\0\x04\0\0\0")])), None);
    }

    #[test]
    fn bfs_and_vxfs_are_known_by_their_magic() {
        assert_eq!(found_name(&volume(&[(0, BFS)])), Some("bfs"));
        for (at, magic) in VXFS {
            assert_eq!(found_name(&volume(&[(at, magic)])), Some("vxfs"));
            assert_eq!(found_name(&volume(&[(at + 1024, magic)])), None);
        }
    }
}
