//! Sectors that may never have been read, by what an image holds there.

use std::cell::RefCell;
use std::io;
use std::ops::Range;

use positioned_io::ReadAt;

/// The least that is read of a medium.
const SECTOR: usize = 512;
/// How a sector begins that ddrescue filled with its location (`--fill-mode=l-`; `fillbook.cc`).
const LOCATION: &[u8] = b"\n# position 0x";

/// An image that is watched for hollow sectors while it is read: sectors that are blank, or one pattern repeated, as
/// those are that a rescue could not read and left, or filled.
pub struct Watched<'a> {
    image: &'a dyn ReadAt,
    hollow: RefCell<Hollow>,
}

/// Hollow sectors.
#[derive(Debug, Clone, Default)]
pub struct Hollow {
    /// All zeros.
    blank: Vec<Range<u64>>,
    /// A pattern.
    filled: Vec<Range<u64>>,
}

impl<'a> Watched<'a> {
    /// Nothing was seen yet.
    #[must_use]
    pub fn new(image: &'a dyn ReadAt) -> Self {
        Self { image, hollow: RefCell::default() }
    }

    /// What was hollow of that which was read, and holds a byte of one of `ranges`.
    #[must_use]
    pub fn into_hollow(self, ranges: &[Range<u64>]) -> Hollow {
        let mut hollow = self.hollow.into_inner();
        for sectors in [&mut hollow.blank, &mut hollow.filled] {
            sectors.retain(|sector| ranges.iter().any(|range| sector.start < range.end && range.start < sector.end));
        }
        hollow
    }
}

impl Hollow {
    /// The first byte of `range` in a hollow sector.
    #[must_use]
    pub fn first_in(&self, range: &Range<u64>) -> Option<u64> {
        let firsts = self.blank.iter().chain(&self.filled).filter_map(|sector| {
            let first = sector.start.max(range.start);
            (first < sector.end.min(range.end)).then_some(first)
        });
        firsts.min()
    }

    /// Whether all of `range` was seen to be zero.
    #[must_use]
    pub fn is_blank(&self, range: &Range<u64>) -> bool {
        // Sectors may have been seen in any order, and more than once.
        let mut at = range.start;
        while at < range.end {
            match self.blank.iter().filter(|sector| sector.contains(&at)).map(|sector| sector.end).max() {
                Some(end) => at = end,
                None => return false,
            }
        }
        true
    }

    fn see(&mut self, start: u64, sector: &[u8], is_repeated: bool) {
        let kind = if sector.iter().all(|&byte| byte == 0) {
            &mut self.blank
        } else if is_repeated || sector.starts_with(LOCATION) || is_periodic(sector) {
            &mut self.filled
        } else {
            return;
        };
        let end = start.saturating_add(sector.len() as u64);
        match kind.last_mut() {
            Some(last) if last.end == start => last.end = end,
            Some(last) if last.start <= start && end <= last.end => {}
            _ => kind.push(start..end),
        }
    }
}

impl ReadAt for Watched<'_> {
    /// Fills `buf` unless the image ends first or cannot be read.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while let Some(rest) = buf.get_mut(read..).filter(|rest| !rest.is_empty()) {
            let limit = rest.len();
            match self.image.read_at(pos.saturating_add(read as u64), rest) {
                Ok(0) => break,
                Ok(more) => read += more.min(limit),
                // The next read meets it again.
                Err(_) if read > 0 => break,
                Err(error) => return Err(error),
            }
        }
        let first = pos.checked_next_multiple_of(SECTOR as u64).unwrap_or(u64::MAX);
        let skipped = usize::try_from(first - pos).unwrap_or(usize::MAX);
        let whole = buf.get(..read).and_then(|read| read.get(skipped..)).unwrap_or_default();
        let mut hollow = self.hollow.borrow_mut();
        let sectors = || whole.chunks_exact(SECTOR);
        let before = std::iter::once(None).chain(sectors().map(Some));
        let behind = sectors().skip(1).map(Some).chain(std::iter::once(None));
        for (((index, sector), before), behind) in (0..).zip(sectors()).zip(before).zip(behind) {
            let is_repeated = before == Some(sector) || behind == Some(sector);
            hollow.see(first.saturating_add(index * SECTOR as u64), sector, is_repeated);
        }
        Ok(read)
    }
}

/// Whether `bytes` are a pattern of at most half their length, repeated, and cut off where they end.
fn is_periodic(bytes: &[u8]) -> bool {
    // The failure function of Knuth, Morris and Pratt: what the longest border leaves is the shortest period.
    let mut borders: Vec<usize> = Vec::with_capacity(bytes.len());
    let mut border = 0;
    for (index, byte) in bytes.iter().enumerate() {
        while border > 0 && bytes.get(border) != Some(byte) {
            border = borders.get(border - 1).copied().unwrap_or(0);
        }
        if index > 0 && bytes.get(border) == Some(byte) {
            border += 1;
        }
        borders.push(border);
    }
    border >= bytes.len().div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &[u8], skip: usize) -> Vec<u8> {
        text.iter().copied().cycle().skip(skip).take(SECTOR).collect()
    }

    fn noise() -> Vec<u8> {
        (0..SECTOR as u64).map(|at| ((at * at * 2_654_435_761) >> 16).to_le_bytes()[0]).collect()
    }

    #[test]
    fn a_pattern_is_known_whatever_its_length_and_wherever_it_is_cut() {
        let long: Vec<u8> = noise()[..255].to_vec();
        for text in [&b"\xf6"[..], b"BAD SECTOR ", b"DEADBEEF", &long] {
            for skip in 0..text.len() {
                assert!(is_periodic(&pattern(text, skip)), "{text:?} {skip}");
            }
            let mut ends_otherwise = pattern(text, 0);
            *ends_otherwise.last_mut().expect("a sector") ^= 1;
            assert!(!is_periodic(&ends_otherwise), "{text:?}");
        }
        assert!(!is_periodic(&noise()));
    }

    #[test]
    fn hollow_sectors_are_seen_however_they_are_read() {
        let located = [b"\n# position 0x00000000 sector 0x00000000 status - ".to_vec(), noise()].concat();
        let mut mbr = vec![0; SECTOR];
        mbr[510..].copy_from_slice(&[0x55, 0xAA]);
        let image: Vec<u8> =
            [mbr, vec![0; SECTOR], pattern(b"BAD SECTOR ", 5), noise(), noise(), located[..SECTOR].to_vec(), noise()]
                .concat();
        let sectors = |numbers: Range<u64>| numbers.start * 512..numbers.end * 512;
        for pieces in [&[(0, 3584)][..], &[(0, 512), (512, 1024), (512, 1600), (1024, 3000), (2048, 3584)]] {
            let watched = Watched::new(&image);
            for &(start, end) in pieces {
                let mut buf = vec![0; end - start];
                watched.read_exact_at(start as u64, &mut buf).expect("memory");
            }
            let hollow = watched.into_hollow(&[sectors(0..7)]);
            assert_eq!(hollow.first_in(&sectors(0..1)), None);
            assert_eq!(hollow.first_in(&(100..700)), Some(512));
            assert!(hollow.is_blank(&(520..1000)) && !hollow.is_blank(&(520..1025)) && !hollow.is_blank(&(0..1)));
            assert_eq!(hollow.first_in(&sectors(2..3)), Some(1024));
            assert_eq!(hollow.first_in(&sectors(5..6)), Some(5 * 512), "with its location");
            assert_eq!(hollow.first_in(&sectors(6..7)), None);
        }
        let watched = Watched::new(&image);
        watched.read_exact_at(0, &mut [0; 3584]).expect("memory");
        let hollow = watched.into_hollow(&[sectors(3..5)]);
        assert_eq!(hollow.first_in(&sectors(3..5)), Some(3 * 512), "the same twice");
        assert!(!hollow.is_blank(&sectors(1..2)), "nothing rests on it");
    }

    #[test]
    fn what_cannot_be_read_is_told_where_it_is_met() {
        struct Broken;
        impl ReadAt for Broken {
            fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
                let left = usize::try_from(600 - pos).expect("small");
                if left == 0 { Err(io::ErrorKind::Other.into()) } else { Ok(buf.len().min(left).min(7)) }
            }
        }
        let watched = Watched::new(&Broken);
        let mut buf = [0; 1024];
        assert_eq!(watched.read_at(0, &mut buf).expect("what is there"), 600);
        assert!(watched.read_at(600, &mut buf).is_err());
    }
}
