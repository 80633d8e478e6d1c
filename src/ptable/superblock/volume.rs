//! A volume, as far as it was read, and what else of it is wanted.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

/// Ranges of one volume that may be asked for in one round, and in all.
const MAX_WANTED: usize = 16;
const MAX_PIECES: usize = 64;

/// One volume, and the pieces of it that are in memory.
pub(super) struct Volume<'a> {
    size: u64,
    available: u64,
    head: Cow<'a, [u8]>,
    pieces: Vec<(u64, Option<Vec<u8>>)>,
    wanted: RefCell<Vec<Range<u64>>>,
}

impl<'a> Volume<'a> {
    /// A volume of `size` bytes, of which the image has the first `available`, and memory none.
    pub(super) fn new(size: u64, available: u64) -> Volume<'a> {
        Volume {
            size,
            available: available.min(size),
            head: Cow::Borrowed(&[]),
            pieces: Vec::new(),
            wanted: RefCell::default(),
        }
    }

    /// A volume of which nothing but its start can be had.
    pub(super) fn of_start(window: &'a [u8]) -> Volume<'a> {
        let size = window.len() as u64;
        Volume { head: Cow::Borrowed(window), ..Volume::new(size, size) }
    }

    pub(super) fn set_head(&mut self, head: Vec<u8>) {
        self.head = Cow::Owned(head);
    }

    /// Takes what was asked for, or that it cannot be had.
    pub(super) fn put(&mut self, at: u64, bytes: Option<Vec<u8>>) {
        self.pieces.push((at, bytes));
    }

    /// Bytes of the volume, whether or not the image has them all.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Its start: [`WINDOW_BYTES`](super::WINDOW_BYTES), or all of it if it is shorter.
    pub(super) fn head(&self) -> &[u8] {
        &self.head
    }

    /// What is wanted and was not read yet; it is forgotten with that.
    pub(super) fn take_wanted(&self) -> Vec<Range<u64>> {
        self.wanted.take()
    }

    /// `len` bytes at `at`; `None` where they cannot be had, or not yet: then they are wanted from now on.
    pub(super) fn read(&self, at: u64, len: usize) -> Option<&[u8]> {
        let end = at.checked_add(u64::try_from(len).ok()?).filter(|&end| end <= self.available)?;
        let of = |piece: &'_ [u8], start: u64| -> Option<Range<usize>> {
            let from = usize::try_from(at.checked_sub(start)?).ok()?;
            let range = from..from.checked_add(len)?;
            (range.end <= piece.len()).then_some(range)
        };
        if let Some(range) = of(&self.head, 0) {
            return self.head.get(range);
        }
        for (start, piece) in &self.pieces {
            match piece {
                Some(piece) => {
                    if let Some(range) = of(piece, *start) {
                        return piece.get(range);
                    }
                }
                None if *start == at => return None,
                None => {}
            }
        }
        let mut wanted = self.wanted.borrow_mut();
        if wanted.len() < MAX_WANTED && self.pieces.len() < MAX_PIECES && !wanted.contains(&(at..end)) {
            wanted.push(at..end);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_in_memory_is_wanted_once_and_what_is_not_there_never() {
        let mut volume = Volume::new(1000, 900);
        volume.set_head(vec![7; 100]);
        assert_eq!(volume.read(90, 10), Some(&[7; 10][..]));
        assert_eq!((volume.read(90, 11), volume.read(90, 11), volume.read(890, 11)), (None, None, None));
        assert_eq!((volume.read(500, 1), volume.read(u64::MAX, 1)), (None, None));
        assert_eq!(volume.take_wanted(), [90..101, 500..501]);
        volume.put(90, Some(vec![8; 11]));
        volume.put(500, None);
        assert_eq!((volume.read(95, 6), volume.read(500, 1)), (Some(&[8; 6][..]), None));
        assert!(volume.take_wanted().is_empty());
    }
}
