//! Swap space, also with a suspended system in it.
//!
//! Linux include/linux/swap.h `union swap_header`; libblkid's superblocks/swap.c.

use super::super::fields::{has, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

/// Pages that machines have had; the magic number ends the first one.
const PAGES: [usize; 5] = [4096, 8192, 16384, 32768, 65536];
const MAGIC_LEN: usize = 10;
const OLD: &[u8] = b"SWAP-SPACE";
const NEW: &[u8] = b"SWAPSPACE2";
const SUSPENDED: [&[u8]; 4] = [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"LINHIB0001"];
/// `TuxOnIce` puts it at the start, and leaves the header of the swap space.
const TUX_ON_ICE: &[u8] = b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c";

const VERSION_AT: usize = 1024; // 4 bytes, in the byte order of the machine
const LAST_PAGE_AT: usize = 1028; // 4
const UUID_AT: usize = 1036; // 16
const LABEL_AT: usize = 1052; // 16
/// Part of what is zero in a header that has label and UUID.
const PADDING_AT: usize = 1068 + 32 * 4;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    if has(head, 0, TUX_ON_ICE) {
        return Some(described("swsuspend", head));
    }
    PAGES.into_iter().map(|page| page - MAGIC_LEN).find_map(|at| {
        if SUSPENDED.iter().any(|magic| has(head, at, magic)) {
            return Some(described("swsuspend", head));
        }
        if has(head, at, OLD) {
            return Some(Content::new("swap"));
        }
        let version = le32(head, VERSION_AT);
        let is_sound = (version == 1 || version.swap_bytes() == 1) && le32(head, LAST_PAGE_AT) != 0;
        (has(head, at, NEW) && is_sound).then(|| described("swap", head))
    })
}

fn described(name: &'static str, head: &[u8]) -> Content {
    let content = Content::new(name);
    if le32(head, PADDING_AT) != 0 || le32(head, PADDING_AT + 4) != 0 {
        return content;
    }
    content.label(text::label_at(head, LABEL_AT, 16)).uuid(text::uuid_at(head, UUID_AT))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found_name, volume};

    #[test]
    fn swap_space_is_known_for_every_page_size() {
        for page in super::PAGES {
            let header = (1024, &b"\x01\0\0\0\x09\0\0\0"[..]);
            assert_eq!(found_name(&volume(&[header, (page - 10, b"SWAPSPACE2")])), Some("swap"));
            assert_eq!(found_name(&volume(&[header, (page - 10, b"S1SUSPEND")])), Some("swsuspend"));
            assert_eq!(found_name(&volume(&[(page - 10, b"SWAPSPACE2")])), None);
            assert_eq!(found_name(&volume(&[(page - 10, b"SWAP-SPACE")])), Some("swap"));
        }
    }
}
