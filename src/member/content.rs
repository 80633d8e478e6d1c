//! Where a member's bytes are, and a reader of them.
//!
//! Owns offsets only: the archive is lent to the reader. Knows nothing of headers.

use std::io;
use std::ops::Range;
use std::slice;
use std::sync::Arc;

use positioned_io::{ReadAt, Size};

use super::error::SparseProblem;
use super::header::{BLOCK_BYTES, in_range};

/// Where the bytes of a member lie in the archive. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    size: u64,
    stored: Range<u64>,
    map: Map,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Map {
    /// All bytes are stored.
    Whole(Segment),
    /// Only these are; ascending, not overlapping, none empty.
    Sparse(Arc<[Segment]>),
}

/// `len` bytes at `offset` of the member, stored at `archive`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Segment {
    offset: u64,
    len: u64,
    archive: u64,
}

/// A run of a member's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Bytes that are stored.
    Data {
        /// Where in the member they begin.
        offset: u64,
        /// Where in the archive they are.
        archive: Range<u64>,
    },
    /// Zeros that are not stored.
    Hole {
        /// Where in the member they begin.
        offset: u64,
        /// How many, in bytes.
        len: u64,
    },
}

impl Content {
    /// No byte at all.
    #[must_use]
    pub fn empty() -> Self {
        Self::whole(0..0)
    }

    /// A member stored as it is.
    pub(super) fn whole(stored: Range<u64>) -> Self {
        let size = stored.end.saturating_sub(stored.start);
        let segment = Segment { offset: 0, len: size, archive: stored.start };
        Self { size, stored, map: Map::Whole(segment) }
    }

    /// A sparse member of `size` bytes, of which `map` (offset and length) are stored one after another in `stored`.
    pub(super) fn sparse(size: u64, map: &[(u64, u64)], stored: Range<u64>) -> Result<Self, SparseProblem> {
        let room = stored.end.saturating_sub(stored.start);
        let mut segments = Vec::new();
        let (mut previous_end, mut used) = (0_u64, 0_u64);
        for (segment, &(offset, len)) in map.iter().enumerate() {
            let past = SparseProblem::PastRealSize { segment, real_size: size };
            let end = offset.checked_add(len).filter(|&end| end <= size && in_range(end)).ok_or(past)?;
            if len == 0 {
                continue; // GNU tar ends a map with an empty segment at the file's end.
            }
            if offset < previous_end {
                return Err(SparseProblem::NotAscending { segment, offset, previous_end });
            }
            if used % BLOCK_BYTES != 0 {
                return Err(SparseProblem::Unaligned { segment });
            }
            if len > room - used {
                return Err(SparseProblem::MoreThanStored { stored: room });
            }
            segments.push(Segment { offset, len, archive: stored.start + used });
            used += len;
            previous_end = end;
        }
        Ok(Self { size, stored, map: Map::Sparse(segments.into()) })
    }

    /// The member's size, holes included, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Where in the archive the member's data is stored, without padding and without a sparse map.
    #[must_use]
    pub fn stored(&self) -> Range<u64> {
        self.stored.clone()
    }

    /// A reader of the member's bytes. It never reads the archive for a hole; past the end it reads nothing; where the archive ends
    /// before the member does, it fails with [`io::ErrorKind::UnexpectedEof`].
    #[must_use]
    pub fn reader<'a>(&self, archive: &'a dyn ReadAt) -> ContentReader<'a> {
        ContentReader { content: self.clone(), archive }
    }

    /// From the first stored byte of the member in the archive to the end of the last: no gap lies between. Empty where
    /// none is stored.
    #[must_use]
    pub fn data(&self) -> Range<u64> {
        let segments = self.segments();
        match (segments.first(), segments.last()) {
            (Some(first), Some(last)) => first.archive..last.archive + last.len,
            _ => 0..0,
        }
    }

    /// Bytes of memory that it takes, about: a sparse map may be large.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + size_of_val(self.segments())
    }

    /// Where in the archive the bytes of these ranges of the member are stored, in the order of the ranges.
    #[must_use]
    pub fn stored_ranges(&self, ranges: &[Range<u64>]) -> Vec<Range<u64>> {
        let mut stored = Vec::new();
        for range in ranges {
            let mut at = range.start;
            while at < range.end.min(self.size) {
                let (archive, run) = self.locate(at);
                let len = run.min(range.end - at);
                stored.extend(archive.map(|start| start..start + len));
                at += len;
            }
        }
        stored
    }

    /// The runs of data and of zeros the member consists of: ascending, covering it exactly.
    pub fn extents(&self) -> impl Iterator<Item = Extent> {
        let mut at = 0;
        let mut segments = self.segments().iter().copied().filter(|segment| segment.len > 0).peekable();
        std::iter::from_fn(move || {
            let data = segments.next_if(|segment| segment.offset <= at);
            if let Some(Segment { offset, len, archive }) = data {
                at = offset + len;
                return Some(Extent::Data { offset, archive: archive..archive + len });
            }
            let offset = at;
            at = segments.peek().map_or(self.size, |segment| segment.offset);
            Some(Extent::Hole { offset, len: at.checked_sub(offset).filter(|&len| len > 0)? })
        })
    }

    /// As [`Content::extents`], of the bytes in `range` of the member.
    pub fn extents_in(&self, range: Range<u64>) -> impl Iterator<Item = Extent> {
        let until = range.end;
        let clip = move |extent| match extent {
            Extent::Data { offset, archive } => {
                let before = range.start.saturating_sub(offset);
                let behind = (offset + (archive.end - archive.start)).saturating_sub(range.end);
                let (start, end) = (archive.start.saturating_add(before), archive.end.saturating_sub(behind));
                (start < end).then(|| Extent::Data { offset: offset + before, archive: start..end })
            }
            Extent::Hole { offset, len } => {
                let (start, end) = (offset.max(range.start), (offset + len).min(range.end));
                (start < end).then(|| Extent::Hole { offset: start, len: end - start })
            }
        };
        let begins_before = move |extent: &Extent| match extent {
            Extent::Data { offset, .. } | Extent::Hole { offset, .. } => *offset < until,
        };
        self.extents().take_while(begins_before).filter_map(clip)
    }

    fn segments(&self) -> &[Segment] {
        match &self.map {
            Map::Whole(segment) => slice::from_ref(segment),
            Map::Sparse(segments) => segments,
        }
    }

    /// Where the byte at `at` of the member is stored, `None` in a hole; and how many bytes from there on are in the same run.
    fn locate(&self, at: u64) -> (Option<u64>, u64) {
        let segments = self.segments();
        let after = segments.partition_point(|segment| segment.offset <= at);
        let before = after.checked_sub(1).and_then(|index| segments.get(index));
        if let Some(segment) = before
            && let within = at - segment.offset
            && within < segment.len
        {
            return (Some(segment.archive + within), segment.len - within);
        }
        let end = segments.get(after).map_or(self.size, |segment| segment.offset);
        (None, end.saturating_sub(at))
    }
}

/// Reads a member's bytes, holes as zeros.
pub struct ContentReader<'a> {
    content: Content,
    archive: &'a dyn ReadAt,
}

impl ReadAt for ContentReader<'_> {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
            let at = pos.saturating_add(done as u64);
            if at >= self.content.size {
                break;
            }
            let (stored, run) = self.content.locate(at);
            let len = usize::try_from(run).map_or(rest.len(), |run| run.min(rest.len()));
            let part = rest.get_mut(..len).unwrap_or_default();
            let Some(offset) = stored else {
                part.fill(0);
                done += len;
                continue;
            };
            match self.archive.read_at(offset, part) {
                // What was read before stands; the next read meets the same end or error.
                Ok(0) | Err(_) if done > 0 => break,
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => done += got.min(len),
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }
}

impl Size for ContentReader<'_> {
    fn size(&self) -> io::Result<Option<u64>> {
        Ok(Some(self.content.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 blocks of the digits 0..=9, a run each.
    fn archive() -> Vec<u8> {
        (0..10_u8).flat_map(|digit| [b'0' + digit; 512]).collect()
    }

    fn read(content: &Content, pos: u64, len: usize) -> Vec<u8> {
        let mut buf = vec![b'?'; len];
        let archive = archive();
        let archive = archive.as_slice();
        let got = content.reader(&archive).read_at(pos, &mut buf).expect("in the archive");
        buf.truncate(got);
        buf
    }

    #[test]
    fn whole_content_ends_where_the_member_does() {
        let content = Content::whole(512..1034);
        assert_eq!(read(&content, 510, 100), b"112222222222");
        assert_eq!(read(&content, 522, 100), b"");
        assert_eq!(read(&content, u64::MAX, 100), b"");
        assert_eq!(content.extents().collect::<Vec<_>>(), [Extent::Data { offset: 0, archive: 512..1034 }]);
        assert_eq!(Content::whole(7..7).extents().count(), 0);
    }

    #[test]
    fn holes_read_as_zeros_between_their_neighbours() {
        let content =
            Content::sparse(4000, &[(1000, 512), (1512, 512), (3000, 100), (4000, 0)], 512..1636).expect("a map");
        assert_eq!(read(&content, 998, 4), b"\0\x0011");
        assert_eq!(read(&content, 1511, 2), b"12");
        assert_eq!(read(&content, 2023, 2), b"2\0");
        assert_eq!(content.stored_ranges(&[990..1600, 2100..2900, 3050..9999]), [512..1024, 1024..1112, 1586..1636]);
        assert_eq!(content.data(), 512..1636);
        assert_eq!(read(&content, 3099, 2000), [&b"3"[..], &[0; 900]].concat());
        assert_eq!(read(&content, 0, 5000).len(), 4000);
        let extents: Vec<_> = content.extents().collect();
        assert_eq!(
            extents,
            [
                Extent::Hole { offset: 0, len: 1000 },
                Extent::Data { offset: 1000, archive: 512..1024 },
                Extent::Data { offset: 1512, archive: 1024..1536 },
                Extent::Hole { offset: 2024, len: 976 },
                Extent::Data { offset: 3000, archive: 1536..1636 },
                Extent::Hole { offset: 3100, len: 900 },
            ]
        );
    }

    #[test]
    fn a_map_of_nothing_is_one_hole() {
        let content = Content::sparse(4000, &[], 512..512).expect("a map");
        assert_eq!(read(&content, 0, 5000), [0; 4000]);
        assert_eq!(content.extents().collect::<Vec<_>>(), [Extent::Hole { offset: 0, len: 4000 }]);
    }

    #[test]
    fn maps_that_cannot_be_right_are_refused() {
        use SparseProblem::{MoreThanStored, NotAscending, PastRealSize, Unaligned};
        let stored = 0..1024;
        for (map, problem) in [
            (&[(0, 512), (511, 1)][..], NotAscending { segment: 1, offset: 511, previous_end: 512 }),
            (&[(3999, 2)], PastRealSize { segment: 0, real_size: 4000 }),
            (&[(u64::MAX, 2)], PastRealSize { segment: 0, real_size: 4000 }),
            (&[(4001, 0)], PastRealSize { segment: 0, real_size: 4000 }),
            (&[(0, 1025)], MoreThanStored { stored: 1024 }),
            (&[(0, 512), (1024, 513)], MoreThanStored { stored: 1024 }),
            (&[(0, 100), (1024, 512)], Unaligned { segment: 1 }),
        ] {
            assert_eq!(Content::sparse(4000, map, stored.clone()), Err(problem), "{map:?}");
        }
    }

    #[test]
    fn an_archive_shorter_than_the_member_is_an_error_not_a_short_read() {
        let archive = archive();
        let archive = archive.as_slice();
        let reader = Content::whole(5000..6000).reader(&archive);
        let mut buf = [0; 1000];
        assert_eq!(reader.read_at(0, &mut buf).expect("what is there"), 120);
        assert_eq!(reader.read_at(120, &mut buf).expect_err("the end").kind(), io::ErrorKind::UnexpectedEof);
    }
}
