//! Headers that lie far apart in a file: each is read alone, and together where they lie close.

use std::sync::Arc;

use crate::zst::error::Error;
use crate::zst::source::Source;

/// Shortest read: a header, hardly more.
const MIN_LEN: usize = 16;
/// Longest read, while headers lie close together.
const MAX_LEN: usize = 64 << 10;

/// Headers so far apart from each other that what lies between them need not be read: those of raw blocks, mostly, which
/// follow each other at the same distance.
const FAR: u64 = 64 << 10;
/// After so many at the same distance the places of so many more are predicted.
const RUN: u64 = 8;
const PREDICTED: u64 = 32;

/// A few bytes of a file in memory.
pub(in crate::zst) struct Peek {
    source: Arc<Source>,
    bytes: Vec<u8>,
    /// Where they stand in the file.
    offset: u64,
    /// Bytes that are asked for next.
    len: usize,
    /// How far the last header was from the one before it, and how often that was so.
    stride: u64,
    run: u64,
}

impl Peek {
    pub fn new(source: Arc<Source>) -> Peek {
        Peek { source, bytes: Vec::new(), offset: 0, len: MIN_LEN, stride: 0, run: 0 }
    }

    /// At least `wanted` bytes at `offset`, or what the file has of them.
    pub fn at(&mut self, offset: u64, wanted: usize) -> Result<&[u8], Error> {
        let within = offset.checked_sub(self.offset).and_then(|skip| usize::try_from(skip).ok());
        let hit = within.filter(|skip| skip + wanted <= self.bytes.len());
        let skip = if let Some(skip) = hit {
            skip
        } else {
            let is_close = within.is_some_and(|skip| skip < 2 * self.bytes.len());
            self.len = if is_close { (self.len * 2).min(MAX_LEN) } else { MIN_LEN };
            let left = usize::try_from(self.source.length().saturating_sub(offset)).unwrap_or(usize::MAX);
            self.look_ahead(offset);
            self.bytes.resize(self.len.max(wanted).min(left), 0);
            self.offset = offset;
            if let Err(error) = self.source.read_exact_at(offset, &mut self.bytes) {
                self.bytes.clear();
                return Err(error);
            }
            0
        };
        Ok(self.bytes.get(skip..).unwrap_or_default())
    }

    /// Has what comes behind `offset` read ahead: all of it, or headers alone where they are far apart.
    fn look_ahead(&mut self, offset: u64) {
        let stride = offset.saturating_sub(self.offset);
        self.run = if stride == self.stride { self.run + 1 } else { 0 };
        self.stride = stride;
        if self.run < RUN || stride < FAR {
            self.source.read_ahead(offset);
        } else if self.run % PREDICTED == RUN {
            let first = offset.saturating_add(stride.saturating_mul(RUN));
            self.source.read_strides_ahead(first, stride, PREDICTED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_headers_are_read_together_and_far_ones_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        let bytes: Vec<u8> = (0..1_000_000u32).map(|i| i.to_le_bytes()[1]).collect();
        std::fs::write(&path, &bytes).expect("written");
        let source = Arc::new(Source::open(&path).expect("opens"));
        let mut peek = Peek::new(Arc::clone(&source));
        for at in (0..900_000).step_by(100_000) {
            assert_eq!(peek.at(at as u64, 3).expect("readable")[..3], bytes[at..at + 3]);
        }
        assert_eq!(source.requested(), 9 * 16);
        for at in (0..400_000).step_by(4) {
            assert_eq!(peek.at(at as u64, 3).expect("readable")[..3], bytes[at..at + 3]);
        }
        assert!(source.requested() < 600_000, "{}", source.requested());
        assert_eq!(peek.at(999_999, 3).expect("readable").len(), 1);
        assert!(peek.at(2_000_000, 3).expect("readable").is_empty());
    }
}
