//! The file system of `BeOS` and Haiku: `befs`.
//!
//! Dominic Giampaolo, "Practical File System Design with the Be File System", chapters 4 and 5; Linux
//! `fs/befs/befs_fs_types.h`. All numbers are in the byte order of the machine that made it. Its UUID is an attribute of the
//! root directory, as libblkid's superblocks/befs.c has it: in the inode itself, or in a directory of attributes, a B+tree.

use super::super::fields::{be16, be32, be64, has, le16, le32, le64};
use super::content::Content;
use super::text;
use super::volume::Volume;

/// Behind a boot sector of Intel's, or without one.
const PLACES: [usize; 2] = [0, 512];
const LEAST: u64 = 1440 * 1024;
const LABEL_LEN: usize = 32; // at the start
const BYTE_ORDER_AT: usize = 36;
const BYTE_ORDER: u32 = 0x4249_4745;
/// `BFS1`, and two numbers.
const MAGICS: [(usize, u32); 3] = [(32, 0x4246_5331), (68, 0xdd12_1031), (112, 0x15b6_830e)];
const BLOCK_SIZE_AT: usize = 40; // 4 bytes
const BLOCK_SHIFT_AT: usize = 44; // 4
const GROUP_SHIFT_AT: usize = 76; // 4: blocks in an allocation group, as a power of 2
const ROOT_AT: usize = 116; // a run of blocks

/// `befs_inode`.
mod inode {
    pub const MAGIC: u32 = 0x3bbe_0ad9;
    pub const ATTRIBUTES_AT: usize = 52; // a run of blocks: the inode of a directory of attributes
    pub const TYPE_AT: usize = 60; // 4 bytes: of an attribute
    pub const SIZE_AT: usize = 64; // 4
    pub const DIRECT_AT: usize = 72; // 12 runs of blocks
    pub const DIRECT: usize = 12;
    pub const DATA_SIZE_AT: usize = 208; // 8
    /// Attributes that have room in it.
    pub const SMALL_DATA_AT: usize = 232;
}

/// `befs_small_data`: type, length of the name, length of the data, the name, 3 bytes, the data, 1 byte.
mod small {
    pub const NAME_LEN_AT: usize = 4; // 2 bytes
    pub const DATA_LEN_AT: usize = 6; // 2
    pub const NAME_AT: usize = 8;
    pub const GAP: usize = 3;
    pub const END: usize = 1;
}

/// `befs_btree_super` and `befs_btree_nodehead`.
mod tree {
    pub const MAGIC: u32 = 0x69f6_c2e8;
    pub const NODE_SIZE_AT: usize = 4; // 4 bytes
    pub const ROOT_AT: usize = 16; // 8
    pub const HEADER_BYTES: usize = 40;
    pub const OVERFLOW_AT: usize = 16; // 8: of an inner node, where what is behind the last key is
    pub const KEYS_AT: usize = 24; // 2
    pub const KEY_BYTES_AT: usize = 26; // 2
    pub const NODE_BYTES: usize = 28;
    pub const NONE: u64 = u64::MAX;
    pub const MAX_NODE: u32 = 64 * 1024;
    pub const MAX_DEPTH: usize = 4;
}

const ATTRIBUTE: &[u8] = b"be:volume_id";
/// `B_UINT64_TYPE`.
const UINT64: u32 = 0x554c_4c47;
const UINT64_LEN: usize = 8;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    if volume.size() < LEAST {
        return None;
    }
    let system = PLACES.into_iter().find_map(|at| System::at(volume, volume.head().get(at..)?))?;
    let uuid = system.volume_id().filter(|&id| id != 0).map(|id| format!("{id:016x}"));
    Some(Content::new("befs").label(text::label_at(system.superblock, 0, LABEL_LEN)).uuid(uuid))
}

/// A byte order.
struct Order {
    half: fn(&[u8], usize) -> u16,
    word: fn(&[u8], usize) -> u32,
    long: fn(&[u8], usize) -> u64,
}

const ORDERS: [Order; 2] = [Order { half: le16, word: le32, long: le64 }, Order { half: be16, word: be32, long: be64 }];

/// Blocks that follow each other.
struct Run {
    at: u64,
    length: u64,
}

struct System<'a> {
    volume: &'a Volume<'a>,
    superblock: &'a [u8],
    order: &'static Order,
    block_size: usize,
    /// Blocks of a group, as a power of 2.
    group_shift: u32,
}

impl<'a> System<'a> {
    fn at(volume: &'a Volume<'_>, superblock: &'a [u8]) -> Option<System<'a>> {
        let order = ORDERS.iter().find(|order| {
            let is_it = |(at, magic): (usize, u32)| (order.word)(superblock, at) == magic;
            MAGICS.into_iter().chain([(BYTE_ORDER_AT, BYTE_ORDER)]).all(is_it)
        })?;
        let shift = (order.word)(superblock, BLOCK_SHIFT_AT);
        let block_size = (order.word)(superblock, BLOCK_SIZE_AT);
        let group_shift = (order.word)(superblock, GROUP_SHIFT_AT);
        let is_sound = (10..=13).contains(&shift) && block_size == 1 << shift;
        let block_size = usize::try_from(block_size).ok().filter(|_| is_sound)?;
        Some(System { volume, superblock, order, block_size, group_shift })
    }

    fn run(&self, buf: &[u8], at: usize) -> Option<Run> {
        let block = u64::from((self.order.word)(buf, at)).checked_shl(self.group_shift)?;
        let block = block.checked_add((self.order.half)(buf, at + 4).into())?;
        let size = self.block_size as u64;
        Some(Run { at: block.checked_mul(size)?, length: u64::from((self.order.half)(buf, at + 6)) * size })
    }

    /// The inode in the first block of a run.
    fn inode(&self, run: &Run) -> Option<&'a [u8]> {
        let inode = self.volume.read(run.at, self.block_size)?;
        (run.length != 0 && (self.order.word)(inode, 0) == inode::MAGIC).then_some(inode)
    }

    fn volume_id(&self) -> Option<u64> {
        let root = self.inode(&self.run(self.superblock, ROOT_AT)?)?;
        if let Some(id) = self.in_small_data(root) {
            return Some(id);
        }
        let attributes = self.inode(&self.run(root, inode::ATTRIBUTES_AT)?)?;
        let block = self.in_tree(attributes)?;
        let at = block.checked_mul(self.block_size as u64)?;
        let attribute = self.inode(&Run { at, length: self.block_size as u64 })?;
        let run = self.run(attribute, inode::DIRECT_AT)?;
        let is_one = (self.order.word)(attribute, inode::TYPE_AT) == UINT64
            && (self.order.long)(attribute, inode::DATA_SIZE_AT) == UINT64_LEN as u64
            && run.length == self.block_size as u64;
        let data = self.volume.read(run.at, UINT64_LEN).filter(|_| is_one)?;
        Some((self.order.long)(data, 0))
    }

    fn in_small_data(&self, inode: &[u8]) -> Option<u64> {
        let room = inode.get(inode::SMALL_DATA_AT..)?;
        let size = usize::try_from((self.order.word)(inode, inode::SIZE_AT)).ok()?;
        let mut rest = room.get(..size).unwrap_or(room);
        while rest.len() > small::NAME_AT {
            let [name_len, data_len] =
                [small::NAME_LEN_AT, small::DATA_LEN_AT].map(|at| usize::from((self.order.half)(rest, at)));
            let kind = (self.order.word)(rest, 0);
            let data_at = small::NAME_AT + name_len + small::GAP;
            let (one, more) = rest.split_at_checked(data_at + data_len + small::END)?;
            if kind == UINT64
                && data_len == UINT64_LEN
                && name_len == ATTRIBUTE.len()
                && has(one, small::NAME_AT, ATTRIBUTE)
            {
                return Some((self.order.long)(one, data_at));
            }
            if (kind, name_len, data_len) == (0, 0, 0) {
                return None;
            }
            rest = more;
        }
        None
    }

    /// The block of the inode that a directory has under the name of the attribute.
    fn in_tree(&self, directory: &[u8]) -> Option<u64> {
        let header = self.data(directory, 0, tree::HEADER_BYTES)?;
        let node_size = (self.order.word)(header, tree::NODE_SIZE_AT);
        let is_tree = (self.order.word)(header, 0) == tree::MAGIC && node_size <= tree::MAX_NODE;
        let node_size = usize::try_from(node_size).ok().filter(|_| is_tree)?;
        let mut pointer = (self.order.long)(header, tree::ROOT_AT);
        for _ in 0..tree::MAX_DEPTH {
            let node = self.data(directory, pointer, node_size)?;
            let overflow = (self.order.long)(node, tree::OVERFLOW_AT);
            let is_leaf = overflow == tree::NONE;
            let at_or_behind = self.keys(node)?.into_iter().find(|&(key, _)| key >= ATTRIBUTE);
            match at_or_behind {
                Some((key, value)) if is_leaf => return (key == ATTRIBUTE).then_some(value),
                None if is_leaf => return None,
                Some((_, value)) => pointer = value,
                None => pointer = overflow,
            }
        }
        None
    }

    /// The keys of a node and their values: behind the keys, where each of them ends, and then the values.
    fn keys<'n>(&self, node: &'n [u8]) -> Option<Vec<(&'n [u8], u64)>> {
        let [count, length] = [tree::KEYS_AT, tree::KEY_BYTES_AT].map(|at| usize::from((self.order.half)(node, at)));
        let keys = node.get(tree::NODE_BYTES..tree::NODE_BYTES + length)?;
        let ends_at = (tree::NODE_BYTES + length).next_multiple_of(8);
        let values_at = ends_at + 2 * count;
        node.get(..values_at + 8 * count)?;
        let mut start = 0;
        let key = |index: usize| {
            let end = usize::from((self.order.half)(node, ends_at + 2 * index));
            let key = keys.get(start..end)?;
            start = end;
            Some((key, (self.order.long)(node, values_at + 8 * index)))
        };
        (0..count).map(key).collect()
    }

    /// Bytes of what an inode holds, as far as its direct runs go.
    fn data(&self, inode: &[u8], mut from: u64, length: usize) -> Option<&'a [u8]> {
        for index in 0..inode::DIRECT {
            let run = self.run(inode, inode::DIRECT_AT + 8 * index)?;
            if from < run.length {
                let fits = from.checked_add(length as u64)? <= run.length;
                return self.volume.read(run.at.checked_add(from)?, length).filter(|_| fits);
            }
            from -= run.length;
        }
        None
    }
}
