//! What a tar archive proves of places that are only presumed.
//!
//! An archive that is piped to zstd is one frame that does not say its size. If its blocks are taken for full and some are
//! not, every byte behind these seems to lie farther from the archive's beginning than it does, by what they lack together.
//! Where the walk from header to header looks for the one behind a large member, it then meets bytes of that member, and
//! hardly ever a header among them. But a disk may be full of tar files. So a header there is not enough, and an archive
//! vouches for its places only where all of this holds:
//!
//! - the walk leads from the first header to the end marker, and nothing but zeros follows, to the end;
//! - one member is large, and all that lies behind it is in the last [`SURE_TAIL`] bytes, where no block lacks anything. So
//!   what is missing is missing before the end of that member;
//! - the archive is padded to whole records and no further, as by GNU tar, bsdtar, star and Python. Then what is missing
//!   is a multiple of a record, and the member ends so many records behind where it seems to. Some programs do not pad. Of
//!   theirs, nothing follows the end marker, and that is not enough, though its length be that of whole records;
//! - behind the large member comes one that is named after it, and nowhere a multiple of a record behind there is another
//!   header; or else nothing does, so that there is no room for the end of the member to lie a record farther on. There the
//!   zeros that an image ends with look like padding: the header has to be of a program that pads, which all write the name
//!   of the file's owner.
//!
//! What could still be taken wrongly was made for it: an archive that is padded, but not to records, and an image that holds
//! a header in the right place that is named after itself. An archive of several large members, or of many, does not
//! vouch: its blocks are sized.

use std::io;

use positioned_io::ReadAt;

use crate::member::{self, Archive, Item, Member, walk};
use crate::zst::{Engine, SURE_TAIL, Voucher};

/// Bytes of a block and of a record: POSIX.1-2017 pax, ustar Interchange Format; GNU tar, `DEFAULT_BLOCKING`.
const BLOCK: u64 = 512;
const RECORD: u64 = 20 * BLOCK;
/// Bytes of the end marker: two blocks.
const END_MARKER: u64 = 2 * BLOCK;
/// Members of an archive that are walked to.
const MAX_MEMBERS: usize = 64;
/// Where in a header the name of the owner begins: POSIX.1-2017 pax, `uname`.
const OWNER_AT: u64 = 265;

/// Bytes at places that are only presumed.
struct Presumed<'a>(&'a dyn ReadAt);

impl ReadAt for Presumed<'_> {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read_at(pos, buf)
    }
}

impl Archive for Presumed<'_> {}

/// Who vouches for the places in an archive that is read so: with [`Engine::Skip`] nothing is presumed.
#[must_use]
pub fn voucher(engine: Engine) -> Option<Voucher> {
    (engine == Engine::Auto).then_some(vouches as Voucher)
}

/// Whether these `size` bytes are a tar archive which shows that none of them was presumed to lie behind its place. A
/// [`Voucher`].
fn vouches(bytes: &dyn ReadAt, size: u64) -> bool {
    find_proof(bytes, size).is_some()
}

fn find_proof(bytes: &dyn ReadAt, size: u64) -> Option<()> {
    let members = members(&Presumed(bytes))?;
    let (medium, behind) = large(&members)?;
    let (seeming, end) = (end_of(medium)?, end_of(members.last()?)?);
    let padding = size.checked_sub(end)?;
    let is_padded = size.is_multiple_of(RECORD) && (END_MARKER + 1..END_MARKER + RECORD).contains(&padding);
    if !is_padded || size.checked_sub(seeming)? > SURE_TAIL {
        return None;
    }
    let holds = match behind.first() {
        None => has_owner(bytes, medium),
        Some(next) => {
            let others = std::iter::successors(Some(seeming), |place| place.checked_add(RECORD)).skip(1);
            let mut others = others.take_while(|place| place + END_MARKER <= size);
            is_named_after(next, medium) && !others.any(|place| may_be_header(bytes, place))
        }
    };
    holds.then_some(())
}

/// Whether a header stands at `place`, or what stands there cannot be read.
fn may_be_header(bytes: &dyn ReadAt, place: u64) -> bool {
    let mut block = [0; 512];
    bytes.read_exact_at(place, &mut block).is_err() || member::is_header(&block)
}

/// The members, if they are few, and nothing is odd.
fn members(archive: &dyn Archive) -> Option<Vec<Member>> {
    let mut walk = walk(archive);
    let mut members = Vec::new();
    loop {
        match walk.next() {
            Ok(Some(Item::Member(member))) if member.note.is_none() && members.len() < MAX_MEMBERS => {
                members.push(member);
            }
            Ok(None) => return Some(members),
            _ => return None,
        }
    }
}

/// The only large member, and those behind it.
fn large(members: &[Member]) -> Option<(&Member, &[Member])> {
    let is_large = |member: &Member| {
        let stored = member.content.stored();
        stored.end - stored.start > SURE_TAIL
    };
    let index = members.iter().position(is_large)?;
    let (first, rest) = members.get(index..)?.split_first()?;
    (!rest.iter().any(is_large)).then_some((first, rest))
}

/// Where the next header is.
fn end_of(member: &Member) -> Option<u64> {
    let end = member.content.stored().end.max(member.header_offset.checked_add(BLOCK)?);
    end.checked_next_multiple_of(BLOCK)
}

/// Whether a member has the name of another, with something else behind its last dot.
fn is_named_after(member: &Member, other: &Member) -> bool {
    let path = &other.path[..];
    let stem = path.iter().rposition(|&byte| byte == b'.').and_then(|dot| path.get(..dot));
    let ending = stem.and_then(|stem| member.path.strip_prefix(stem));
    member.path != other.path && ending.is_some_and(|ending| ending.starts_with(b"."))
}

/// Whether the header of a member names the owner of the file.
fn has_owner(bytes: &dyn ReadAt, member: &Member) -> bool {
    let mut owner = [0];
    bytes.read_exact_at(member.header_offset + OWNER_AT, &mut owner).is_ok() && owner != [0]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A member as GNU tar writes it.
    fn member(name: &str, data: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_username("user").expect("it fits");
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, name, data).expect("memory");
        let mut member = builder.into_inner().expect("memory");
        member.truncate(member.len() - 1024);
        member
    }

    /// Whether an archive of these vouches whose end marker is followed by zeros to a whole number of so many bytes.
    fn vouch_padded(members: &[Vec<u8>], to: usize) -> bool {
        let mut archive = members.concat();
        archive.resize((archive.len() + 1024).next_multiple_of(to), 0);
        vouches(&archive, archive.len() as u64)
    }

    fn image() -> Vec<u8> {
        member("a/disk.img", &vec![7; 300_000])
    }

    #[test]
    fn an_image_and_its_map_in_whole_records_vouch() {
        for name in ["a/disk.map", "a/disk.log", "a/disk.x.y"] {
            assert!(vouch_padded(&[image(), member(name, b"map")], 10_240), "{name}");
        }
        assert!(vouch_padded(&[image()], 10_240));
        assert!(vouch_padded(&[member("a/disk.map", b"map"), image()], 10_240));
    }

    #[test]
    fn other_names_do_not() {
        for name in ["a/notes", "a/disk2.map", "disk.map", "a/disk", "a/disk.img"] {
            assert!(!vouch_padded(&[image(), member(name, b"map")], 10_240), "{name}");
        }
    }

    #[test]
    fn other_padding_does_not() {
        for to in [512, 1024, 35_840, 40_960] {
            assert!(!vouch_padded(&[image(), member("a/disk.map", b"map")], to), "{to}");
        }
        let unowned = || {
            let mut image = image();
            let mut header = tar::Header::from_byte_slice(&image[..512]).clone();
            header.set_username("").expect("it fits");
            header.set_cksum();
            image[..512].copy_from_slice(header.as_bytes());
            image
        };
        assert!(!vouch_padded(&[unowned()], 10_240));
        assert!(vouch_padded(&[unowned(), member("a/disk.map", b"map")], 10_240));
    }

    #[test]
    fn a_header_a_record_farther_on_is_another_place_where_the_image_may_end() {
        // 9728 bytes: with the map's header, a record.
        let map = |length: usize| member("a/disk.map", &vec![b'#'; length]);
        assert!(!vouch_padded(&[image(), map(9728), member("a/disk.log", b"")], 10_240));
        assert!(vouch_padded(&[image(), map(9216), member("a/disk.log", b"")], 10_240));
    }

    #[test]
    fn two_images_or_a_long_tail_or_more_than_an_archive_do_not() {
        let map = || member("a/disk.map", b"map");
        assert!(!vouch_padded(&[image(), map(), image()], 10_240));
        assert!(!vouch_padded(&[image(), map(), member("a/disk.log", &vec![0x20; 262_144])], 10_240));
        let behind = [image(), map(), vec![0; 1024], vec![1; 512]];
        assert!(!vouch_padded(&behind, 10_240));
        let many: Vec<_> = std::iter::once(image()).chain((0..64).map(|_| map())).collect();
        assert!(!vouch_padded(&many, 10_240));
    }
}
