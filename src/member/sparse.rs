//! Sparse maps that stand in the archive itself: old GNU's, in the header and blocks after it, and PAX 1.0's, before the data.
//!
//! Reads the maps; [`super::content::Content`] judges them.

use std::ops::Range;

use tar::{GnuExtSparseHeader, GnuHeader, GnuSparseHeader};

use super::blocks::Blocks;
use super::error::{Error, Part, SparseProblem};
use super::header::{BLOCK, BLOCK_BYTES, in_range, number};

/// How many segments of a sparse member are accepted.
pub(super) const MAX_SEGMENTS: usize = 1_000_000;
/// How long a sparse map, with the records around it, may be, in bytes.
pub(super) const MAX_MAP: u64 = 64 << 20;

/// Offset in the member and length of each segment.
pub(super) type Segments = Vec<(u64, u64)>;

/// An old GNU sparse map.
pub(super) struct OldMap {
    /// The segments, and the member's real size.
    pub segments: Result<(Segments, u64), SparseProblem>,
    /// Whether all of the map was read.
    pub complete: bool,
    /// How far it was read: where the member's data begins, if it is complete.
    pub end: u64,
}

/// Reads the map of an old GNU sparse member (GNU tar manual, "Old GNU Format"), whose header is at `offset`.
pub(super) fn read_old(blocks: &mut Blocks<'_>, offset: u64, header: &GnuHeader, path: &[u8]) -> Result<OldMap, Error> {
    let mut reader = OldReader { segments: Vec::new(), problem: None, ended: false };
    reader.take(&header.sparse);
    let mut end = offset + BLOCK_BYTES;
    let mut extended = header.isextended != [0];
    while extended {
        if end - offset > MAX_MAP {
            return Ok(OldMap { segments: Err(SparseProblem::TooLong { limit: MAX_MAP }), complete: false, end });
        }
        if reader.ended {
            reader.problem.get_or_insert(SparseProblem::EndsEarly);
        }
        let mut block = GnuExtSparseHeader::new();
        let bytes = blocks.block(end, BLOCK)?;
        if bytes.len() < BLOCK {
            let needed = end + BLOCK_BYTES;
            return Err(Error::Truncated { what: Part::SparseMap, offset, needed, path: path.to_vec() });
        }
        block.as_mut_bytes().copy_from_slice(bytes);
        reader.take(block.sparse());
        extended = block.isextended != [0];
        end += BLOCK_BYTES;
    }
    let real_size = number(&header.realsize).map_err(|_| SparseProblem::NoRealSize);
    let segments = reader.problem.map_or(Ok(reader.segments), Err);
    Ok(OldMap { segments: segments.and_then(|segments| Ok((segments, real_size?))), complete: true, end })
}

struct OldReader {
    segments: Segments,
    problem: Option<SparseProblem>,
    ended: bool,
}

impl OldReader {
    /// Takes in the entries of one block; one without a length is the last (GNU tar, sparse.c, `oldgnu_add_sparse`).
    fn take(&mut self, entries: &[GnuSparseHeader]) {
        for entry in entries {
            self.ended |= entry.numbytes.starts_with(&[0]);
            if self.ended || self.problem.is_some() {
                return;
            }
            let segment = self.segments.len();
            match (number(&entry.offset), number(&entry.numbytes)) {
                _ if segment >= MAX_SEGMENTS => {
                    self.problem = Some(SparseProblem::TooManySegments { limit: MAX_SEGMENTS });
                }
                (Ok(offset), Ok(len)) => self.segments.push((offset, len)),
                _ => self.problem = Some(SparseProblem::BadNumber { segment }),
            }
        }
    }
}

/// A PAX 1.0 sparse map, or what is wrong with it: its segments, and its length, padding included, in bytes.
pub(super) type PaxMap = Result<(Segments, u64), SparseProblem>;

/// Reads the map of a PAX 1.0 sparse member (GNU tar manual, "PAX Format, Version 1.0"): decimal numbers, a line each, at the
/// beginning of the member's `data`, padded to a block. The first is the number of segments; two a segment follow.
pub(super) fn read_pax_1(blocks: &mut Blocks<'_>, data: Range<u64>, offset: u64, path: &[u8]) -> Result<PaxMap, Error> {
    let mut reader = PaxReader::default();
    let limit = (data.end - data.start).min(MAX_MAP);
    let mut at = data.start;
    while at - data.start < limit {
        let bytes = blocks.block(at, BLOCK)?;
        let left = usize::try_from(data.end - at).map_or(BLOCK, |left| left.min(BLOCK));
        let Some(bytes) = bytes.get(..left) else {
            return Err(Error::Truncated { what: Part::SparseMap, offset, needed: data.end, path: path.to_vec() });
        };
        for &byte in bytes {
            if let Err(problem) = reader.take(byte) {
                return Ok(Err(problem));
            }
            if reader.is_complete() {
                return Ok(Ok((reader.segments, (at + left as u64) - data.start)));
            }
        }
        at += left as u64;
    }
    Ok(Err(SparseProblem::TooLong { limit }))
}

#[derive(Default)]
struct PaxReader {
    /// How many segments are announced.
    count: Option<u64>,
    segments: Segments,
    /// The offset of a segment whose length comes next.
    offset: Option<u64>,
    /// The digits of the line so far.
    number: Option<u64>,
}

impl PaxReader {
    fn is_complete(&self) -> bool {
        self.count == Some(self.segments.len() as u64)
    }

    fn take(&mut self, byte: u8) -> Result<(), SparseProblem> {
        let bad = SparseProblem::BadNumber { segment: self.segments.len() };
        if byte != b'\n' {
            let digit = byte.checked_sub(b'0').filter(|&digit| digit <= 9).ok_or(bad)?;
            let value = self.number.unwrap_or(0).checked_mul(10).and_then(|value| value.checked_add(u64::from(digit)));
            self.number = Some(value.filter(|&value| in_range(value)).ok_or(bad)?);
            return Ok(());
        }
        let number = self.number.take().ok_or(bad)?;
        if self.count.is_none() {
            self.count = Some(number);
            if number > MAX_SEGMENTS as u64 {
                return Err(SparseProblem::TooManySegments { limit: MAX_SEGMENTS });
            }
        } else if let Some(offset) = self.offset.take() {
            self.segments.push((offset, number));
        } else {
            self.offset = Some(number);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pax_1(text: &[u8], stored: u64) -> PaxMap {
        let mut archive = text.to_vec();
        archive.resize(archive.len().next_multiple_of(BLOCK), 0);
        let archive = archive.as_slice();
        read_pax_1(&mut Blocks::new(&archive), 0..stored, 0, b"").expect("whole")
    }

    #[test]
    fn a_pax_1_map_ends_on_a_block() {
        assert_eq!(pax_1(b"2\n0\n512\n1024\n512\n", 1536), Ok((vec![(0, 512), (1024, 512)], 512)));
        assert_eq!(pax_1(b"0\n", 512), Ok((vec![], 512)));
        let many: String =
            std::iter::once("300\n".to_owned()).chain((0..300).map(|at| format!("{}\n1\n", at * 10))).collect();
        let (segments, len) = pax_1(many.as_bytes(), 10_000).expect("a map");
        assert_eq!((segments.len(), len), (300, many.len().next_multiple_of(BLOCK) as u64));
    }

    #[test]
    fn a_pax_1_map_that_is_none_is_refused() {
        for (text, stored, problem) in [
            (&b"1\n0\nx\n"[..], 512, SparseProblem::BadNumber { segment: 0 }),
            (b"\n", 512, SparseProblem::BadNumber { segment: 0 }),
            (b"1\n-1\n1\n", 512, SparseProblem::BadNumber { segment: 0 }),
            (b"1\n9223372036854775808\n1\n", 512, SparseProblem::BadNumber { segment: 0 }),
            (b"1000001\n", 512, SparseProblem::TooManySegments { limit: MAX_SEGMENTS }),
            (b"9\n1\n1\n", 6, SparseProblem::TooLong { limit: 6 }),
            (b"", 0, SparseProblem::TooLong { limit: 0 }),
        ] {
            assert_eq!(pax_1(text, stored), Err(problem), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn a_pax_1_map_that_the_archive_cuts_is_truncated() {
        let archive = [b'1'; 100].as_slice();
        let result = read_pax_1(&mut Blocks::new(&archive), 0..10_000, 0, b"p");
        assert!(matches!(result, Err(Error::Truncated { what: Part::SparseMap, needed: 10_000, .. })));
    }
}
