//! A volume, as far as it was read, and what else of it is wanted.

use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::Range;

/// Media up to this size, floppies, are no members of a RAID.
pub(super) const FLOPPY_BYTES: u64 = 1440 * 1024;

/// Ranges of one volume that may be asked for in one round, and in all.
const MAX_WANTED: usize = 48;
const MAX_PIECES: usize = 128;
/// A sector of a disk, as what is told by its end counts them.
const SECTOR: u64 = 512;
const SECTOR_BYTES: usize = 512;
/// Sectors at the end that are read in one piece.
const TAIL_SECTORS: u64 = 11;

/// The last [`TAIL_SECTORS`] of a volume of `size` bytes, and what is behind them.
pub(super) fn tail(size: u64) -> Range<u64> {
    (size / SECTOR).saturating_sub(TAIL_SECTORS) * SECTOR..size
}

/// One volume, and the pieces of it that are in memory.
pub(super) struct Volume<'a> {
    size: u64,
    available: u64,
    is_disk: bool,
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
            is_disk: false,
            head: Cow::Borrowed(&[]),
            pieces: Vec::new(),
            wanted: RefCell::default(),
        }
    }

    /// A volume of `size` bytes of which nothing but its start can be had.
    pub(super) fn of_start(window: &'a [u8], size: u64) -> Volume<'a> {
        Volume { head: Cow::Borrowed(window), ..Volume::new(size, window.len() as u64) }
    }

    /// The same, said to be a whole disk or not: the firmware of a controller makes its RAIDs of those.
    pub(super) fn disk(self, is_disk: bool) -> Volume<'a> {
        Volume { is_disk, ..self }
    }

    /// Whether it is a whole disk, no partition.
    pub(super) fn is_disk(&self) -> bool {
        self.is_disk
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

    /// Bytes of it that the image has.
    pub(super) fn available(&self) -> u64 {
        self.available
    }

    /// The sector that is the `nth` from the end, 1 to 11; `None` as [`Volume::read`].
    pub(super) fn sector_from_end(&self, nth: u64) -> Option<&[u8]> {
        self.sectors_from_end(nth, 1)
    }

    /// `count` sectors from that on.
    pub(super) fn sectors_from_end(&self, nth: u64, count: usize) -> Option<&[u8]> {
        let bytes = self.tail()?;
        let first = (bytes.len() / SECTOR_BYTES).checked_sub(usize::try_from(nth).ok()?)?;
        bytes.get(first * SECTOR_BYTES..(first + count) * SECTOR_BYTES)
    }

    /// The last `length` bytes, 5 KiB at most; `None` as [`Volume::read`].
    pub(super) fn last_bytes(&self, length: usize) -> Option<&[u8]> {
        let bytes = self.tail()?;
        bytes.get(bytes.len().checked_sub(length)?..)
    }

    fn tail(&self) -> Option<&[u8]> {
        let tail = tail(self.size);
        self.read(tail.start, usize::try_from(tail.end - tail.start).ok()?)
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

    #[test]
    fn sectors_are_counted_from_the_last_whole_one() {
        let bytes: Vec<u8> = (0..20_u8).flat_map(|sector| [sector; 512]).chain([99; 100]).collect();
        let size = bytes.len() as u64;
        let mut volume = Volume::new(size, size);
        assert_eq!((volume.sector_from_end(1), volume.last_bytes(4)), (None, None));
        assert_eq!(volume.take_wanted(), [tail(size)]);
        volume.set_head(bytes);
        let nth = |nth| volume.sector_from_end(nth).map(|sector| (sector.len(), sector[0]));
        assert_eq!((nth(1), nth(11), nth(12), nth(0)), (Some((512, 19)), Some((512, 9)), None, None));
        assert_eq!(volume.last_bytes(101).map(|bytes| (bytes[0], bytes[1])), Some((19, 99)));
        let small = Volume::of_start(&[7; 600], 600);
        assert_eq!((small.sector_from_end(1).map(<[u8]>::len), small.sector_from_end(2)), (Some(512), None));
    }
}
