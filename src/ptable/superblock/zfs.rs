//! A member of a ZFS pool.
//!
//! "ZFS On-Disk Specification" (draft of 2006), chapter 1: four labels of 256 KiB, two at either end; 16 KiB into each, a
//! list of names and values in XDR that says which pool the device belongs to. libblkid's superblocks/zfs.c looks for
//! uberblocks instead, and takes label and UUID from this list.

use super::super::fields::{be32, be64};
use super::content::Content;
use super::text;
use super::volume::Volume;

const LABEL_BYTES: u64 = 256 * 1024;
const LIST_AT: u64 = 16 * 1024;
/// What is looked for is among the first entries.
const LIST_LEN: usize = 4096;

/// Encoding XDR, and three bytes for the host's order and reserve.
const XDR: u8 = 1;
/// `nvl_version` and `nvl_nvflag`: 0, and that names are unique.
const HEADER: [u32; 2] = [0, 1];
const PAIRS_AT: usize = 12;
/// Of each pair: its length in XDR, its length in memory, the length of its name, and the name, filled up to 4 bytes.
const PAIR_NAME_LEN_AT: usize = 8;
const PAIR_NAME_AT: usize = 12;
/// Behind that: type, number of elements, and the value.
const VALUE_AT: usize = 8;
const TYPE_UINT64: u32 = 8;
const TYPE_STRING: u32 = 9;
const MAX_PAIRS: usize = 64;

/// The first label.
pub(super) fn at_the_start(volume: &Volume<'_>) -> Option<Content> {
    let at = usize::try_from(LIST_AT).ok()?;
    member(volume.head().get(at..at + LIST_LEN)?)
}

/// The others, which remain where something else was written over the start.
pub(super) fn other_labels(volume: &Volume<'_>) -> Option<Content> {
    let labels = volume.size() / LABEL_BYTES;
    // Smaller devices than this have no room for a pool.
    if labels < 64 {
        return None;
    }
    let lists = [1, labels - 2, labels - 1].map(|label| volume.read(label * LABEL_BYTES + LIST_AT, LIST_LEN));
    lists.into_iter().flatten().find_map(member)
}

fn member(list: &[u8]) -> Option<Content> {
    let is_list = list.first() == Some(&XDR) && [be32(list, 4), be32(list, 8)] == HEADER;
    if !is_list {
        return None;
    }
    let (mut label, mut pool, mut has_txg) = (None, None, false);
    let mut rest = list.get(PAIRS_AT..)?;
    for _ in 0..MAX_PAIRS {
        let size = usize::try_from(be32(rest, 0)).ok()?;
        let Some((pair, more)) = rest.split_at_checked(size).filter(|_| size > PAIR_NAME_AT) else { break };
        let name_len = usize::try_from(be32(pair, PAIR_NAME_LEN_AT)).ok()?;
        let Some((name, value)) = pair.get(PAIR_NAME_AT..)?.split_at_checked(name_len.checked_next_multiple_of(4)?)
        else {
            break;
        };
        match (name.get(..name_len)?, be32(value, 0)) {
            (b"name", TYPE_STRING) => {
                let length = usize::try_from(be32(value, VALUE_AT)).ok()?;
                label = text::label(value.get(VALUE_AT + 4..)?.get(..length)?);
            }
            (b"pool_guid", TYPE_UINT64) => pool = Some(be64(value, VALUE_AT)),
            (b"txg" | b"guid", TYPE_UINT64) => has_txg = true,
            _ => {}
        }
        rest = more;
    }
    // A spare belongs to no pool yet, and has no name.
    (pool.is_some() || has_txg).then(|| Content::new("zfs_member").label(label).uuid(pool.map(|guid| guid.to_string())))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, volume};
    use super::*;

    fn pair(name: &str, value: &[u8]) -> Vec<u8> {
        let mut padded = name.as_bytes().to_vec();
        padded.resize(name.len().next_multiple_of(4), 0);
        let size = u32::try_from(PAIR_NAME_AT + padded.len() + value.len()).unwrap();
        let name_len = u32::try_from(name.len()).unwrap();
        [&size.to_be_bytes()[..], &[0; 4], &name_len.to_be_bytes(), &padded, value].concat()
    }

    fn list() -> Vec<u8> {
        let number = |n: u64| [&[0, 0, 0, 8, 0, 0, 0, 1][..], &n.to_be_bytes()].concat();
        let name = [0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 4, b't', b'a', b'n', b'k'];
        let pairs =
            [pair("version", &number(5000)), pair("name", &name), pair("pool_guid", &number(1_234_567_890_123))];
        [&[1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1][..], &pairs.concat(), &[0; 8]].concat()
    }

    #[test]
    fn any_label_names_the_pool() {
        let member = Some(("zfs_member", Some("tank".to_owned()), Some("1234567890123".to_owned())));
        assert_eq!(found(&volume(&[(16 << 10, &list())])), member);
        for at in [256 << 10, (64 << 20) - (512 << 10), (64 << 20) - (256 << 10)] {
            let mut volume = vec![0; (64 << 20) + 1000];
            volume[at + (16 << 10)..][..list().len()].copy_from_slice(&list());
            assert_eq!(found(&volume), member, "{at}");
        }
    }

    #[test]
    fn a_list_of_something_else_is_no_member() {
        let mut other = list();
        other.truncate(PAIRS_AT + 36);
        assert_eq!(found(&volume(&[(16 << 10, &other)])), None);
        for at in 0..list().len() {
            let mut list = list();
            list[at] ^= 0xff;
            let _ = found(&volume(&[(16 << 10, &list)]));
        }
    }
}
