//! What was found of the bytes that are followed to their source, from the highest position down, and how they are put
//! together at the end.

use std::ops::Range;

/// Copies that are remembered at most: 24 bytes each, 12 MiB in all.
const MAX_COPIES: usize = 1 << 19;
/// Runs that are remembered at most: 16 bytes each, 8 MiB in all.
const MAX_RUNS: usize = 1 << 19;
/// Bytes that are found at most: 4 MiB.
const MAX_BYTES: usize = 4 << 20;

/// There is no room for more.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::zst) struct Full;

/// Bytes at descending positions. Literals are bytes at once; copies are made by [`Trail::replay`], from the lowest up,
/// so that each finds what it copies.
#[derive(Default)]
pub(in crate::zst) struct Trail {
    /// The byte of the highest position comes first; zeros stand in for what is a copy.
    bytes: Vec<u8>,
    runs: Vec<Run>,
    copies: Vec<Copy>,
}

/// Neighbouring positions, as long as the bytes go until the next run.
struct Run {
    /// One above the highest.
    end: u64,
    /// Where in `bytes` the highest is.
    index: u32,
}

struct Copy {
    /// Where in `bytes` its highest is.
    index: u32,
    len: u32,
    source: u64,
    /// Bytes at the source, after which it repeats itself.
    period: u32,
}

/// Bytes at ascending positions, all of them known.
pub(in crate::zst) struct Replayed {
    bytes: Vec<u8>,
    runs: Vec<Run>,
}

impl Trail {
    /// Room for `len` bytes below `end`, which is at most where the last ones began.
    fn begin(&mut self, end: u64, len: usize) -> Result<u32, Full> {
        if len > MAX_BYTES - self.bytes.len() || self.runs.len() == MAX_RUNS || self.copies.len() == MAX_COPIES {
            return Err(Full);
        }
        if self.bytes.capacity() - self.bytes.len() < len {
            self.bytes.reserve_exact(len.max(self.bytes.len()).min(MAX_BYTES - self.bytes.len()));
        }
        let index = u32::try_from(self.bytes.len()).map_err(|_| Full)?;
        if self.runs.last().is_none_or(|run| run.end - u64::from(index - run.index) != end) {
            self.runs.push(Run { end, index });
        }
        Ok(index)
    }

    /// Bytes that are known.
    pub fn literals(&mut self, end: u64, literals: &[u8]) -> Result<(), Full> {
        self.begin(end, literals.len())?;
        self.bytes.extend(literals.iter().rev());
        Ok(())
    }

    /// One byte, `len` times.
    pub fn fill(&mut self, end: u64, len: u32, byte: u8) -> Result<(), Full> {
        self.begin(end, len as usize)?;
        self.bytes.resize(self.bytes.len() + len as usize, byte);
        Ok(())
    }

    /// Bytes that are those from `source` on, `period` of them over and over. Gives the copy's number.
    pub fn copy(&mut self, end: u64, len: u32, source: u64, period: u32) -> Result<usize, Full> {
        let index = self.begin(end, len as usize)?;
        let number = self.copies.len();
        self.copies.push(Copy { index, len, source, period });
        self.bytes.resize(self.bytes.len() + len as usize, 0);
        Ok(number)
    }

    /// Lets a copy have another source, of which its own is nothing but a copy.
    pub fn redirect(&mut self, number: usize, source: u64) {
        if let Some(copy) = self.copies.get_mut(number) {
            copy.source = source;
        }
    }

    /// Makes the copies. `None` if a source was not followed.
    pub fn replay(self) -> Option<Replayed> {
        let Trail { mut bytes, runs, copies } = self;
        bytes.reverse();
        let mut replayed = Replayed { bytes, runs };
        for copy in copies.iter().rev() {
            let end = replayed.bytes.len() - copy.index as usize;
            let mut to = end.checked_sub(copy.len as usize)?;
            let first = copy.len.min(copy.period);
            let from = replayed.find(copy.source..copy.source + u64::from(first))?;
            if from.end > to {
                return None;
            }
            let begin = to;
            let mut done = from.len();
            replayed.bytes.copy_within(from, to);
            // What repeats itself is copied from itself, twice as much each time.
            to += done;
            while to < end {
                let more = done.min(end - to);
                replayed.bytes.copy_within(begin..begin + more, to);
                to += more;
                done += more;
            }
        }
        Some(replayed)
    }
}

impl Replayed {
    /// The bytes at these positions, if all of them were followed.
    pub fn get(&self, positions: Range<u64>) -> Option<&[u8]> {
        self.bytes.get(self.find(positions)?)
    }

    fn find(&self, positions: Range<u64>) -> Option<Range<usize>> {
        let after = self.runs.partition_point(|run| run.end >= positions.end);
        let run = self.runs.get(after.checked_sub(1)?)?;
        let below = self.runs.get(after).map_or(self.bytes.len(), |next| next.index as usize);
        let last = usize::try_from(run.end - positions.end).ok()?.checked_add(run.index as usize)?;
        let first = usize::try_from(run.end - positions.start).ok()?.checked_add(run.index as usize)?;
        if first > below {
            return None;
        }
        Some(self.bytes.len() - first..self.bytes.len() - last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_find_what_lies_below_them() {
        let mut trail = Trail::default();
        trail.copy(1010, 4, 90, 4).expect("there is room");
        trail.literals(1006, b"xyz").expect("there is room");
        trail.copy(100, 8, 50, 3).expect("there is room");
        trail.fill(92, 2, b'-').expect("there is room");
        trail.literals(53, b"abc").expect("there is room");
        let replayed = trail.replay().expect("all sources are there");
        assert_eq!(replayed.get(1003..1010), Some(&b"xyz--ab"[..]));
        assert_eq!(replayed.get(90..100), Some(&b"--abcabcab"[..]));
        assert_eq!(replayed.get(1002..1005), None);
        assert_eq!(replayed.get(99..101), None);
    }

    #[test]
    fn a_copy_of_a_copy_needs_no_room_for_what_is_between() {
        let mut trail = Trail::default();
        let number = trail.copy(1000, 3, 500, 3).expect("there is room");
        trail.redirect(number, 50);
        trail.literals(53, b"abc").expect("there is room");
        assert_eq!(trail.replay().expect("the source is there").get(997..1000), Some(&b"abc"[..]));
    }

    #[test]
    fn a_copy_of_what_was_not_followed_is_noticed() {
        let mut trail = Trail::default();
        trail.copy(100, 8, 50, 8).expect("there is room");
        assert!(trail.replay().is_none());
        let mut trail = Trail::default();
        trail.copy(100, 8, 95, 8).expect("there is room");
        assert!(trail.replay().is_none());
    }

    #[test]
    fn a_trail_does_not_grow_without_bound() {
        let mut trail = Trail::default();
        assert_eq!(trail.fill(1 << 40, 4 << 20, 0), Ok(()));
        assert_eq!(trail.fill(1 << 30, 1, 0), Err(Full));
    }
}
