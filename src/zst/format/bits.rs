//! Bitstreams that are read from their end backward: RFC 8878 section 4.1.

use crate::zst::format::fault::Fault;

/// Most bits that one [`BackwardBits::take`] gives: seven bytes are at hand wherever a field begins within a byte.
pub(in crate::zst) const MAX_TAKE: u32 = 56;

/// A bitstream, and how much of it is left.
#[derive(Clone)]
pub(in crate::zst) struct BackwardBits<'a> {
    bytes: &'a [u8],
    /// Bits not taken yet: those below this bit offset.
    left: usize,
}

impl<'a> BackwardBits<'a> {
    /// Begins below the highest bit that is set, which marks the end.
    pub fn new(bytes: &'a [u8]) -> Result<BackwardBits<'a>, Fault> {
        let last = bytes.last().filter(|&&last| last != 0).ok_or(Fault::NoEndMark)?;
        let left = bytes.len() * 8 - 1 - last.leading_zeros() as usize;
        Ok(BackwardBits { bytes, left })
    }

    /// Bits not taken yet.
    pub fn left(&self) -> usize {
        self.left
    }

    /// The next `count` bits as a number, at most [`MAX_TAKE`].
    pub fn take(&mut self, count: u32) -> Result<u64, Fault> {
        debug_assert!(count <= MAX_TAKE);
        self.left = self.left.checked_sub(count as usize).ok_or(Fault::BitstreamOverrun)?;
        Ok(self.window(self.left) & ((1 << count) - 1))
    }

    /// The eight bytes from the one that holds bit `offset`, shifted so that it is the lowest; zeros past the end.
    fn window(&self, offset: usize) -> u64 {
        let tail = self.bytes.get(offset / 8..).unwrap_or_default();
        let word = if let Some(word) = tail.first_chunk() {
            u64::from_le_bytes(*word)
        } else {
            tail.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte))
        };
        word >> (offset % 8)
    }

    /// All has to be taken by now.
    pub fn finish(self) -> Result<(), Fault> {
        if self.left == 0 { Ok(()) } else { Err(Fault::BitstreamUnderrun) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_from_the_end() {
        let mut bits = BackwardBits::new(&[0b1010_0101, 0b0001_1100]).expect("it has an end mark");
        assert_eq!(bits.left(), 12);
        assert_eq!(bits.take(3), Ok(0b110));
        assert_eq!(bits.take(0), Ok(0));
        assert_eq!(bits.take(8), Ok(0b0101_0010));
        assert_eq!(bits.clone().finish(), Err(Fault::BitstreamUnderrun));
        assert_eq!(bits.take(2), Err(Fault::BitstreamOverrun));
    }

    #[test]
    fn a_bitstream_without_end_mark_is_refused() {
        assert_eq!(BackwardBits::new(&[]).err(), Some(Fault::NoEndMark));
        assert_eq!(BackwardBits::new(&[1, 0]).err(), Some(Fault::NoEndMark));
        assert_eq!(BackwardBits::new(&[1]).expect("nothing but the mark").finish(), Ok(()));
    }
}
