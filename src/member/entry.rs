//! One member: its header and everything that extends it, put together.

use std::ops::Range;

use super::blocks::Blocks;
use super::content::Content;
use super::error::{Error, NumberProblem, SparseProblem};
use super::header::{BLOCK_BYTES, Header, Kind, padded};
use super::note::Note;
use super::pax::{self, Records};
use super::sparse::{self, Segments};
use super::stored::{Doubt, Sizes};

/// How much of a name a note has, in bytes.
const NOTED: usize = 256;

/// A member of an archive.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Member {
    /// Where its header begins, in bytes from the start of the archive; extension headers stand before it.
    pub header_offset: u64,
    /// Its full name as stored: untrusted bytes. For a sparse file its real name.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Its real size, holes included, in bytes.
    pub size: u64,
    /// Where its bytes are.
    pub content: Content,
    /// What a link points to: untrusted bytes.
    pub link_target: Option<Vec<u8>>,
    /// Something about it that is odd but does no harm.
    pub note: Option<Note>,
}

impl Member {
    /// The last component of the path: what stands after the last `/`. May be empty, `.` or `..`.
    #[must_use]
    pub fn file_name(&self) -> &[u8] {
        self.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default()
    }
}

/// What the extension headers before a member say of it.
#[derive(Default)]
pub(super) struct Pending {
    /// Where the first of them is, if there is one.
    pub offset: Option<u64>,
    /// The name in a GNU `L` header.
    pub long_name: Option<Vec<u8>>,
    /// The link target in a GNU `K` header.
    pub long_link: Option<Vec<u8>>,
    /// The records of all PAX headers.
    pub records: Records,
    /// What the bodies of the PAX headers come to, in bytes.
    pub bytes: u64,
    /// The first thing that is wrong with them.
    pub error: Option<Error>,
}

/// A member, and where the archive goes on after it.
pub(super) struct Entry {
    pub member: Result<Member, Error>,
    /// The member's path, whether or not it is good.
    pub path: Vec<u8>,
    /// The data stored for it, as far as that is known.
    pub stored: Range<u64>,
    /// Where the next header follows, or where to look for it where that is not known.
    pub next: Result<u64, u64>,
}

impl Entry {
    /// Puts together the member whose header is at `offset`. An error is one that the walk cannot go on after.
    pub(super) fn read(
        blocks: &mut Blocks<'_>,
        offset: u64,
        header: &Header,
        mut pending: Pending,
        global: &Records,
        doubt: &mut Doubt,
    ) -> Result<Self, Error> {
        let path = path(header, &pending, global);
        let kind = header.kind(&path);
        let lost = |error, at, path| Ok(Self { member: Err(error), path, stored: 0..0, next: Err(at) });
        let sizes = match Sizes::of(header, kind, &pending.records, global) {
            Ok(sizes) => sizes,
            Err(problem) => {
                return lost(number_error(offset, header, &path, problem), offset + BLOCK_BYTES, path);
            }
        };
        let old_map = match (header.type_flag(), header.gnu()) {
            (b'S', Some(gnu)) => Some(sparse::read_old(blocks, offset, gnu, &path)?),
            _ => None,
        };
        let start = old_map.as_ref().map_or(offset + BLOCK_BYTES, |map| map.end);
        let too_large = |size| Error::SizeOverflow { offset, path: path.clone(), size };
        if padded(start, sizes.least()).is_none() {
            return lost(too_large(sizes.least()), start, path.clone());
        }
        let is_whole = old_map.as_ref().is_none_or(|map| map.complete);
        let map = match old_map {
            _ if header.type_flag() == b'S' && (old_map.is_none() || pending.records.sparse.is_sparse()) => {
                Some(Err(SparseProblem::MixedFormats))
            }
            Some(map) => Some(map.segments.map(|(segments, real_size)| SparseMap { real_size, segments, len: 0 })),
            None if kind.is_file() && pending.records.sparse.is_sparse() => {
                let data = start..start.saturating_add(sizes.most());
                Some(pax_map(blocks, offset, data, &path, &mut pending.records.sparse)?)
            }
            None => None,
        };
        let mapped = map.as_ref().and_then(|map| map.as_ref().ok()).and_then(SparseMap::stored);
        let size = sizes.settle(blocks, start, mapped, doubt);
        let Some((end, next)) = padded(start, size) else {
            return lost(too_large(size), start, path.clone());
        };
        let stored = start..end;
        let next = if is_whole { Ok(next) } else { Err(start) };
        let content = match map {
            Some(map) => map.and_then(|map| map.content(stored.clone())),
            None => Ok(Content::whole(stored.clone())),
        };
        let content = content.map_err(|problem| Error::SparseMap { offset, path: path.clone(), problem });
        let is_overruled = size != sizes.rule && pending.records.size.or(&global.size) == Some(&sizes.rule);
        let note = is_overruled.then(|| {
            let path = path.get(..NOTED).unwrap_or(&path).to_vec();
            Note::PaxSize { offset, path, pax: sizes.rule, header: size }
        });
        let link_target = matches!(kind, Kind::HardLink | Kind::Symlink).then(|| link_target(header, &pending, global));
        let member = match (pending.error, content) {
            (Some(error), _) => Err(error.of_member(&path)),
            (None, Err(error)) => Err(error),
            (None, Ok(content)) => Ok(Member {
                header_offset: offset,
                path: path.clone(),
                kind,
                size: content.size(),
                content,
                link_target,
                note,
            }),
        };
        Ok(Self { member, path, stored, next })
    }
}

/// The member's name: PAX's before GNU's before the header's own, and a sparse file's real name before all (GNU tar, xheader.c,
/// `sparse_path_decoder`).
fn path(header: &Header, pending: &Pending, global: &Records) -> Vec<u8> {
    let Records { path, sparse, .. } = &pending.records;
    let given = sparse.name.own().or_else(|| path.or(&global.path)).or(pending.long_name.as_ref());
    given.map_or_else(|| header.path(), Clone::clone)
}

fn link_target(header: &Header, pending: &Pending, global: &Records) -> Vec<u8> {
    let given = pending.records.linkpath.or(&global.linkpath).or(pending.long_link.as_ref());
    given.map_or_else(|| header.link_target(), Clone::clone)
}

/// The error of a header whose `size` is not a number.
pub(super) fn number_error(offset: u64, header: &Header, path: &[u8], problem: NumberProblem) -> Error {
    Error::Number { offset, path: path.to_vec(), field: "size", found: header.size_field().to_vec(), problem }
}

/// The map of a sparse member, wherever it stood.
struct SparseMap {
    real_size: u64,
    /// Offset in the member and length of each segment.
    segments: Segments,
    /// What of the data it takes itself, in bytes.
    len: u64,
}

impl SparseMap {
    /// What has to be stored for the member, including the map; none if that is not a valid size.
    fn stored(&self) -> Option<u64> {
        self.segments.iter().try_fold(self.len, |sum, &(_, len)| sum.checked_add(len))
    }

    fn content(self, stored: Range<u64>) -> Result<Content, SparseProblem> {
        let limit = stored.end - stored.start;
        if self.len > limit {
            return Err(SparseProblem::TooLong { limit });
        }
        Content::sparse(self.real_size, &self.segments, stored.start + self.len..stored.end)
    }
}

/// The map of a PAX sparse member (GNU tar manual, "PAX Format, Versions 0.0 and 0.1", "Version 1.0"), whose data lie in `data`.
fn pax_map(
    blocks: &mut Blocks<'_>,
    offset: u64,
    data: Range<u64>,
    path: &[u8],
    records: &mut pax::Sparse,
) -> Result<Result<SparseMap, SparseProblem>, Error> {
    let number = |value: &pax::Value<u64>| value.own().copied();
    let Some(real_size) = number(&records.real_size) else {
        return Ok(Err(SparseProblem::NoRealSize));
    };
    Ok(match (number(&records.major).unwrap_or(0), number(&records.minor).unwrap_or(0)) {
        (1, 0) => sparse::read_pax_1(blocks, data, offset, path)?.map(|(segments, len)| SparseMap {
            real_size,
            segments,
            len,
        }),
        (0, 0 | 1) => {
            let found = records.map.len();
            match number(&records.numblocks) {
                _ if !records.has_map => Err(SparseProblem::NoMap),
                Some(expected) if expected != found as u64 => Err(SparseProblem::Count { expected, found }),
                _ => Ok(SparseMap { real_size, segments: std::mem::take(&mut records.map), len: 0 }),
            }
        }
        (major, minor) => Err(SparseProblem::UnknownVersion { major, minor }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_name_is_what_follows_the_last_slash() {
        for (path, name) in [("a/b.img", "b.img"), ("b.img", "b.img"), ("a/", ""), ("", ""), ("a/..", "..")] {
            let content = Content::whole(0..0);
            let member = Member {
                header_offset: 0,
                path: path.into(),
                kind: Kind::File,
                size: 0,
                content,
                link_target: None,
                note: None,
            };
            assert_eq!(member.file_name(), name.as_bytes());
        }
    }
}
