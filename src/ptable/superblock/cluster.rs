//! File systems that several machines share: GFS, GFS2, OCFS, OCFS2, `ScoutFS`, and Oracle's ASM.
//!
//! Linux `include/uapi/linux/gfs2_ondisk.h`, `struct gfs2_sb` (big-endian); `fs/ocfs2/ocfs2_fs.h`,
//! `struct ocfs2_super_block`; libblkid's superblocks/gfs.c, ocfs.c, scoutfs.c.

use super::super::fields::{be32, byte, has, le16, le32};
use super::content::Content;
use super::volume::Volume;
use super::{sums, text};

mod gfs {
    pub const AT: usize = 64 * 1024;
    pub const MAGIC: &[u8] = b"\x01\x16\x19\x70";
    pub const FORMAT_AT: usize = 24; // 4 bytes
    pub const MULTIHOST_FORMAT_AT: usize = 28; // 4
    /// Cluster and file system, as its locks have it.
    pub const LOCK_TABLE_AT: usize = 160; // 64
    pub const UUID_AT: usize = 256; // 16
    pub const LEAST: u64 = 32 << 20;
}

mod ocfs {
    /// In the first sector, behind two numbers of a version; libblkid takes it to be at the start of another.
    pub const PLACES: [(usize, usize); 2] = [(0, 8), (8192, 0)];
    pub const SIGNATURE: &[u8] = b"OracleCFS";
    // In the next sector.
    pub const LABEL_AT: usize = 512 + 48; // 64 bytes
    pub const LABEL_LEN_AT: usize = 512 + 112; // 2
    pub const LABEL_LEN: usize = 64;
    pub const UUID_AT: usize = 512 + 114; // 16
    pub const LEAST: u64 = 14_000 * 1024;
}

mod ocfs2 {
    /// The third block, whatever its size.
    pub const PLACES: [usize; 4] = [1024, 2048, 4096, 8192];
    pub const SIGNATURE: &[u8] = b"OCFSV2";
    pub const LABEL_AT: usize = 272; // 64 bytes
    pub const UUID_AT: usize = 336; // 16
}

const ASM_AT: usize = 32;
const ASM: &[u8] = b"ORCLDISK";
const ASM_LABEL_AT: usize = 40; // 24 bytes

mod scoutfs {
    pub const AT: usize = 64 * 1024;
    pub const BYTES: usize = 4096;
    pub const SUMMED_FROM: usize = 4;
    pub const MAGIC_AT: usize = 4;
    pub const MAGIC: &[u8] = b"\x8b\x42\x3c\x10";
    pub const FLAGS_AT: usize = 48; // 8 bytes
    pub const IS_META: u8 = 1;
    pub const UUID_AT: usize = 56; // 16
    pub const LEAST: u64 = 128 * 1024;
}

pub(super) fn gfs(volume: &Volume<'_>) -> Option<Content> {
    let superblock = volume.head().get(gfs::AT..).filter(|superblock| has(superblock, 0, gfs::MAGIC))?;
    let name = match (be32(superblock, gfs::FORMAT_AT), be32(superblock, gfs::MULTIHOST_FORMAT_AT)) {
        _ if volume.size() < gfs::LEAST => return None,
        (1309, 1401) => "gfs",
        (1800..1900, 1900..2000) => "gfs2",
        _ => return None,
    };
    let label = text::label_at(superblock, gfs::LOCK_TABLE_AT, 64);
    Some(Content::new(name).label(label).uuid(text::uuid_at(superblock, gfs::UUID_AT)))
}

pub(super) fn ocfs(volume: &Volume<'_>) -> Option<Content> {
    if volume.size() < ocfs::LEAST {
        return None;
    }
    let old = ocfs::PLACES.into_iter().find_map(|(at, signature_at)| {
        let header = volume.head().get(at..).filter(|header| has(header, signature_at, ocfs::SIGNATURE))?;
        let length = usize::from(le16(header, ocfs::LABEL_LEN_AT)).min(ocfs::LABEL_LEN);
        let label = text::label_at(header, ocfs::LABEL_AT, length);
        Some(Content::new("ocfs").label(label).uuid(text::uuid_at(header, ocfs::UUID_AT)))
    });
    old.or_else(|| {
        let places = ocfs2::PLACES.into_iter().filter_map(|at| volume.head().get(at..));
        let superblock = places.into_iter().find(|superblock| has(superblock, 0, ocfs2::SIGNATURE))?;
        let label = text::label_at(superblock, ocfs2::LABEL_AT, 64);
        Some(Content::new("ocfs2").label(label).uuid(text::uuid_at(superblock, ocfs2::UUID_AT)))
    })
}

pub(super) fn oracle_asm(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    has(head, ASM_AT, ASM).then(|| Content::new("oracleasm").label(text::label_at(head, ASM_LABEL_AT, 24)))
}

pub(super) fn scoutfs(volume: &Volume<'_>) -> Option<Content> {
    let superblock = volume.head().get(scoutfs::AT..scoutfs::AT + scoutfs::BYTES)?;
    let is_one = has(superblock, scoutfs::MAGIC_AT, scoutfs::MAGIC)
        && volume.size() >= scoutfs::LEAST
        && sums::crc32c(!0, superblock.get(scoutfs::SUMMED_FROM..)?) == le32(superblock, 0);
    let is_meta = byte(superblock, scoutfs::FLAGS_AT) & scoutfs::IS_META != 0;
    let name = if is_meta { "scoutfs_meta" } else { "scoutfs_data" };
    is_one.then(|| Content::new(name).uuid(text::uuid_at(superblock, scoutfs::UUID_AT)))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name};
    use super::*;

    const UUID: &[u8] = b"0123456789abcdef";

    fn volume(patches: &[(usize, &[u8])]) -> Vec<u8> {
        let mut volume = vec![0; 32 << 20];
        for (at, bytes) in patches {
            volume[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        volume
    }

    fn said(volume: &[u8]) -> Option<(&'static str, String)> {
        let (name, label, uuid) = found(volume)?;
        assert_eq!(uuid.as_deref(), Some("30313233-3435-3637-3839-616263646566"));
        Some((name, label.unwrap_or_default()))
    }

    #[test]
    fn gfs_is_told_by_the_numbers_of_its_formats() {
        let made = |format: u32, multihost: u32| {
            let formats = [format.to_be_bytes(), multihost.to_be_bytes()].concat();
            volume(&[
                (gfs::AT, gfs::MAGIC),
                (gfs::AT + 24, &formats),
                (gfs::AT + 160, b"cluster:fs"),
                (gfs::AT + 256, UUID),
            ])
        };
        assert_eq!(said(&made(1309, 1401)), Some(("gfs", "cluster:fs".to_owned())));
        assert_eq!(said(&made(1801, 1900)), Some(("gfs2", "cluster:fs".to_owned())));
        assert_eq!((found(&made(1801, 1401)), found(&made(1801, 1900)[..31 << 20])), (None, None));
    }

    #[test]
    fn ocfs2_is_found_behind_blocks_of_each_size() {
        for at in ocfs2::PLACES {
            let patches = [(at, ocfs2::SIGNATURE), (at + 272, &b"shared"[..]), (at + 336, UUID)];
            assert_eq!(said(&volume(&patches)), Some(("ocfs2", "shared".to_owned())), "{at}");
        }
        assert_eq!(found_name(&volume(&[(1024, ocfs2::SIGNATURE)])[..13 << 20]), None);
    }

    #[test]
    fn ocfs_has_its_label_in_the_next_sector() {
        for (at, signature_at) in ocfs::PLACES {
            let label = at + 512;
            let patches = [(at + signature_at, ocfs::SIGNATURE), (label + 48, b"oldest"), (label + 114, UUID)];
            let mut v = volume(&patches);
            v[label + 112] = 3;
            assert_eq!(said(&v), Some(("ocfs", "old".to_owned())));
            v[label + 112..label + 114].fill(0xff);
            assert_eq!(said(&v), Some(("ocfs", "oldest".to_owned())));
        }
        let asm = volume(&[(32, b"ORCLDISKDATA01")]);
        assert_eq!(found(&asm), Some(("oracleasm", Some("DATA01".to_owned()), None)));
    }

    #[test]
    fn scoutfs_is_told_by_a_flag_and_known_by_its_checksum() {
        for (flag, name) in [(0, "scoutfs_data"), (1, "scoutfs_meta")] {
            let mut superblock = vec![0; 4096];
            superblock[4..8].copy_from_slice(scoutfs::MAGIC);
            superblock[48] = flag;
            superblock[56..72].copy_from_slice(UUID);
            let sum = sums::crc32c(!0, &superblock[4..]).to_le_bytes();
            superblock[..4].copy_from_slice(&sum);
            assert_eq!(said(&volume(&[(65536, &superblock)])), Some((name, String::new())));
            assert_eq!(found(&volume(&[(65536, &superblock), (65536 + 100, b"x")])), None);
        }
    }
}
