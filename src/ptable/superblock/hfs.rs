//! HFS and HFS+ of Apple, also HFS+ inside HFS.
//!
//! "Inside Macintosh: Files", chapter 2 (master directory block); Apple TN1150 (volume header, B-trees, catalog). UUIDs and
//! places are libblkid's (superblocks/hfs.c).

use super::super::fields::{be16, be32, byte, bytes, has};
use super::content::Content;
use super::text;
use super::volume::Volume;

const AT: usize = 1024;

/// Master directory block.
mod mdb {
    pub const MAGIC: &[u8] = b"BD";
    pub const BITMAP_AT: usize = 14; // 2 bytes: the first block of the bitmap, of 512 bytes
    pub const BLOCKS_AT: usize = 18; // 2
    pub const BLOCK_SIZE_AT: usize = 20; // 4
    pub const FIRST_BLOCK_AT: usize = 28; // 2, of 512 bytes
    pub const FREE_BLOCKS_AT: usize = 34; // 2
    pub const LABEL_LEN_AT: usize = 36; // 1
    pub const LABEL_AT: usize = 37; // 27
    pub const FINDER_ID_AT: usize = 116; // 8
    pub const EMBEDDED_AT: usize = 124; // 2: the magic number of the volume inside
    pub const EMBEDDED_BLOCK_AT: usize = 126; // 2
}

/// Volume header of HFS+ and HFSX.
mod header {
    pub const BYTES: usize = 512;
    pub const VERSION_AT: usize = 2; // 2 bytes
    pub const BLOCK_SIZE_AT: usize = 40; // 4
    pub const BLOCKS_AT: usize = 44; // 4
    pub const FREE_BLOCKS_AT: usize = 48; // 4
    pub const FINDER_ID_AT: usize = 104; // 8
    /// The first extents of the catalog: pairs of first block and number of blocks, 4 bytes each.
    pub const CATALOG_EXTENTS_AT: usize = 288;
    pub const EXTENTS: usize = 8;
}

/// B-tree nodes: a descriptor of 14 bytes, then in the first node the header record, in a leaf the first record's key.
mod node {
    pub const KIND_AT: usize = 8; // 1 byte
    pub const LEAF: u8 = 0xff;
    pub const RECORDS_AT: usize = 10; // 2
    pub const FIRST_LEAF_AT: usize = 24; // 4: the number of a node
    pub const SIZE_AT: usize = 32; // 2
    pub const PARENT_AT: usize = 16; // 4
    /// The parent of the root folder, whose name is the volume's.
    pub const ROOT_PARENT: u32 = 1;
    pub const NAME_LEN_AT: usize = 20; // 2, in characters
    pub const NAME_AT: usize = 22;
    pub const MAX_NAME: usize = 255;
}

/// The name space of UUIDs made of Finder's id.
const NAME_SPACE: [u8; 16] =
    [0xb3, 0xe2, 0x0f, 0x39, 0xf2, 0x92, 0x11, 0xd6, 0x97, 0xa4, 0x00, 0x30, 0x65, 0x43, 0xec, 0xac];

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head().get(AT..)?;
    if !has(head, 0, mdb::MAGIC) {
        return is_header(head).then(|| hfs_plus(volume, 0, head));
    }
    let block_size = be32(head, mdb::BLOCK_SIZE_AT);
    let first_block = be16(head, mdb::FIRST_BLOCK_AT);
    let is_sound = block_size != 0
        && block_size.is_multiple_of(512)
        && be16(head, mdb::BLOCKS_AT) != 0
        && be16(head, mdb::FREE_BLOCKS_AT) <= be16(head, mdb::BLOCKS_AT)
        && (1..first_block).contains(&be16(head, mdb::BITMAP_AT))
        && (1..=27).contains(&byte(head, mdb::LABEL_LEN_AT));
    if !is_sound {
        return None;
    }
    if has(head, mdb::EMBEDDED_AT, b"H+") || has(head, mdb::EMBEDDED_AT, b"HX") {
        let inside = u64::from(be16(head, mdb::EMBEDDED_BLOCK_AT)) * u64::from(block_size);
        let start = u64::from(first_block) * 512 + inside;
        return Some(match volume.read(start + AT as u64, header::BYTES) {
            Some(header) if is_header(header) => hfs_plus(volume, start, header),
            _ => Content::new("hfsplus"),
        });
    }
    let label = text::label_at(head, mdb::LABEL_AT, byte(head, mdb::LABEL_LEN_AT).into());
    Some(Content::new("hfs").label(label).uuid(uuid(head, mdb::FINDER_ID_AT)))
}

fn is_header(header: &[u8]) -> bool {
    let version = be16(header, header::VERSION_AT);
    let block_size = be32(header, header::BLOCK_SIZE_AT);
    (has(header, 0, b"H+") && version == 4 || has(header, 0, b"HX") && version == 5)
        && block_size.is_power_of_two()
        && block_size >= 512
        && be32(header, header::FREE_BLOCKS_AT) <= be32(header, header::BLOCKS_AT)
}

fn hfs_plus(volume: &Volume<'_>, start: u64, header: &[u8]) -> Content {
    let content = Content::new("hfsplus").uuid(uuid(header, header::FINDER_ID_AT));
    content.label(name_in_catalog(volume, start, header))
}

/// The name in the first record of the first leaf of the catalog.
fn name_in_catalog(volume: &Volume<'_>, start: u64, header: &[u8]) -> Option<String> {
    let block_size = u64::from(be32(header, header::BLOCK_SIZE_AT));
    let at = |position: u64| {
        let mut left = position / block_size;
        let extents = (0..header::EXTENTS).map(|index| header::CATALOG_EXTENTS_AT + 8 * index);
        for extent in extents {
            let (first, blocks) = (u64::from(be32(header, extent)), u64::from(be32(header, extent + 4)));
            if left < blocks {
                let inside = (first + left).checked_mul(block_size)?.checked_add(position % block_size)?;
                return start.checked_add(inside);
            }
            left -= blocks;
        }
        None
    };
    let tree = volume.read(at(0)?, 64)?;
    let node_size = u64::from(be16(tree, node::SIZE_AT));
    let first_leaf = u64::from(be32(tree, node::FIRST_LEAF_AT));
    if node_size < 512 {
        return None;
    }
    let leaf = volume.read(at(first_leaf * node_size)?, 512)?;
    let is_root = byte(leaf, node::KIND_AT) == node::LEAF
        && be16(leaf, node::RECORDS_AT) != 0
        && be32(leaf, node::PARENT_AT) == node::ROOT_PARENT;
    let length = usize::from(be16(leaf, node::NAME_LEN_AT));
    let name = leaf.get(node::NAME_AT..).filter(|_| is_root && length <= node::MAX_NAME)?;
    text::utf16(name.get(..2 * length).unwrap_or(name), u16::from_be_bytes)
}

/// A UUID of version 3 made of Finder's 8 bytes.
fn uuid(buf: &[u8], at: usize) -> Option<String> {
    let id: [u8; 8] = bytes(buf, at);
    if id == [0; 8] {
        return None;
    }
    let mut digest = md5::compute([&NAME_SPACE[..], &id].concat()).0;
    digest[6] = 0x30 | digest[6] & 0x0f;
    digest[8] = 0x80 | digest[8] & 0x3f;
    text::uuid_at(&digest, 0)
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name, volume};
    use super::*;

    #[test]
    fn two_letters_are_not_enough() {
        for magic in [b"BD", b"H+", b"HX"] {
            assert_eq!(found_name(&volume(&[(AT, magic)])), None);
        }
    }

    #[test]
    fn a_catalog_that_points_anywhere_gives_no_label() {
        let mut header = vec![0; 512];
        header[..4].copy_from_slice(b"H+\0\x04");
        header[header::BLOCK_SIZE_AT..][..4].copy_from_slice(&0x8000_0000_u32.to_be_bytes());
        assert_eq!(found(&volume(&[(AT, &header)])), Some(("hfsplus", None, None)));
        header[header::CATALOG_EXTENTS_AT..].fill(0xff);
        assert_eq!(found(&volume(&[(AT, &header)])), Some(("hfsplus", None, None)));
    }
}
