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
const RECORD_STEP: usize = 20 * 512;
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
            let mut others = (seeming..size - END_MARKER).step_by(RECORD_STEP).skip(1);
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
