//! A set of bytes, as few ranges of offsets.

use std::ops::Range;

/// Ranges remembered. What would be one more is left out, so that the set may be too small, and never too large.
const MOST: usize = 65_536;

/// Offsets, as ranges: ascending, none empty, none touching the next.
#[derive(Default)]
pub(super) struct Ranges {
    ranges: Vec<Range<u64>>,
    total: u64,
}

impl Ranges {
    /// Bytes in the set.
    pub fn total(&self) -> u64 {
        self.total
    }

    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Whether all of `range` is in the set.
    pub fn covers(&self, range: &Range<u64>) -> bool {
        let after = self.ranges.partition_point(|known| known.start <= range.start);
        range.is_empty() || after.checked_sub(1).is_some_and(|index| self.ranges[index].end >= range.end)
    }

    /// Adds `range`; gives how many of its bytes are new.
    pub fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let first = self.ranges.partition_point(|known| known.end < range.start);
        let last = first + self.ranges[first..].partition_point(|known| known.start <= range.end);
        let touched = &self.ranges[first..last];
        let merged = match (touched.first(), touched.last()) {
            (Some(low), Some(high)) => low.start.min(range.start)..high.end.max(range.end),
            _ if self.ranges.len() == MOST => return 0,
            _ => range,
        };
        let known: u64 = touched.iter().map(|known| known.end - known.start).sum();
        let new = merged.end - merged.start - known;
        self.ranges.splice(first..last, [merged]);
        self.total += new;
        new
    }

    /// Takes out the ranges that end at `position` or before it.
    pub fn take_before(&mut self, position: u64) -> impl Iterator<Item = Range<u64>> {
        let count = self.ranges.partition_point(|known| known.end <= position);
        let taken: Vec<_> = self.ranges.drain(..count).collect();
        self.total -= taken.iter().map(|known| known.end - known.start).sum::<u64>();
        taken.into_iter()
    }

    pub fn clear(&mut self) {
        self.ranges.clear();
        self.total = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ranges: &[Range<u64>]) -> Ranges {
        let mut set = Ranges::default();
        for range in ranges {
            set.insert(range.clone());
        }
        set
    }

    #[test]
    fn ranges_that_touch_or_overlap_become_one() {
        let mut set = of(&[10..20, 30..40, 50..60]);
        assert_eq!(set.insert(20..30), 10);
        assert_eq!(set.insert(35..55), 10);
        assert_eq!(set.insert(0..100), 50);
        assert_eq!(set.insert(99..100), 0);
        assert_eq!(set.insert(7..7), 0);
        assert_eq!((set.ranges.len(), set.covers(&(0..100)), set.total()), (1, true, 100));
    }

    #[test]
    fn covered_is_what_one_range_holds() {
        let set = of(&[10..20, 30..40]);
        for (range, covered) in [(10..20, true), (12..13, true), (19..31, false), (9..11, false), (50..50, true)] {
            assert_eq!(set.covers(&range), covered, "{range:?}");
        }
    }

    #[test]
    fn what_ends_before_a_position_is_taken_out() {
        let mut set = of(&[10..20, 30..40, 50..60]);
        assert_eq!(set.take_before(40).collect::<Vec<_>>(), [10..20, 30..40]);
        assert_eq!((set.ranges.len(), set.covers(&(50..60)), set.total()), (1, true, 10));
    }

    #[test]
    fn too_many_ranges_make_the_set_smaller_and_never_larger() {
        let mut set = Ranges::default();
        for index in 0..=MOST as u64 {
            set.insert(index * 2..index * 2 + 1);
        }
        assert_eq!(set.total(), MOST as u64);
        assert_eq!(set.insert(1..2), 1);
    }
}
