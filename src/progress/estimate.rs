//! How long the rest of a run takes.
//!
//! An archive takes some time by itself, for it is opened and its tables are looked for, and some for each of its compressed
//! bytes. What a byte takes depends on what becomes of it, passed over, decoded or staged: so both are fitted to what the
//! archives so far took, in this run. The smallest come first and the largest last, on few workers at the end: so the rest
//! is played through, an archive after the other, on as many workers as there are.

use std::collections::{BinaryHeap, VecDeque};

/// Wall time before which nothing is said, in seconds.
const SECONDS_LEAST: f64 = 2.0;
/// Archives that have to be done before what they took is told apart.
const COUNT_LEAST: f64 = 3.0;
/// Share of the bytes before which nothing is said.
const SHARE_LEAST: f64 = 0.01;

/// An archive that is being read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Running {
    /// Compressed bytes.
    pub size: u64,
    /// Those of them that were read.
    pub position: u64,
    /// Seconds that it has taken.
    pub seconds: f64,
    /// Whether an image of it is staged, which costs more than to pass over it.
    pub is_staged: bool,
}

/// What is known of the archives of a run.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    jobs: usize,
    /// Sizes of those that have not begun, in their order.
    waiting: VecDeque<u64>,
    total: u64,
    done: u64,
    sums: Sums,
    /// Of archives with an image that was staged, bytes and seconds.
    staged: (f64, f64),
}

/// Sums over archives of `size` bytes that took `seconds`.
#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    count: f64,
    bytes: f64,
    seconds: f64,
    /// Of 1 / size.
    inverse: f64,
    /// Of seconds / size.
    pace: f64,
}

impl Sums {
    fn add(&mut self, size: f64, seconds: f64) {
        let size = size.max(1.0);
        self.count += 1.0;
        self.bytes += size;
        self.seconds += seconds;
        self.inverse += 1.0 / size;
        self.pace += seconds / size;
    }

    /// What an archive takes by itself, in seconds: by least squares, in which an archive counts by the inverse of its size,
    /// for the larger ones differ by more. At most half of what they took on average: that much is no chance.
    fn fixed(&self) -> f64 {
        let determinant = self.inverse * self.bytes - self.count * self.count;
        // Where all are of about one size, it cannot be told from what their bytes take.
        if self.count < COUNT_LEAST || determinant < 0.05 * self.count * self.count {
            return 0.0;
        }
        let fixed = (self.pace * self.bytes - self.count * self.seconds) / determinant;
        fixed.clamp(0.0, self.seconds / self.count / 2.0)
    }
}

impl Estimate {
    /// Of archives of these sizes, in this order, so many at a time.
    pub fn new(jobs: usize, sizes: &[u64]) -> Estimate {
        let total = sizes.iter().sum();
        Estimate { jobs: jobs.max(1), waiting: sizes.iter().copied().collect(), total, ..Estimate::default() }
    }

    /// The next archive begins.
    pub fn begin(&mut self) {
        self.waiting.pop_front();
    }

    /// An archive ended.
    #[allow(clippy::cast_precision_loss)]
    pub fn end(&mut self, size: u64, seconds: f64, is_staged: bool) {
        self.done += size;
        if is_staged {
            self.staged.0 += size as f64;
            self.staged.1 += seconds;
        }
        self.sums.add(size as f64, seconds);
    }

    /// Seconds that the rest takes, when the run has taken `elapsed`; none where nothing is known yet.
    #[allow(clippy::cast_precision_loss)]
    pub fn rest(&self, running: &[Running], elapsed: f64) -> Option<f64> {
        let read = self.done + running.iter().map(|archive| archive.position).sum::<u64>();
        if elapsed < SECONDS_LEAST || (read as f64) < SHARE_LEAST * self.total as f64 {
            return None;
        }
        let fixed = self.sums.fixed();
        // Of what is being read, so many archives as that is in sum.
        let (mut archives, mut bytes, mut seconds) = (self.sums.count, self.sums.bytes, self.sums.seconds);
        for archive in running {
            archives += archive.position as f64 / archive.size.max(1) as f64;
            bytes += archive.position as f64;
            seconds += archive.seconds;
        }
        let by_byte = ((seconds - fixed * archives) / bytes.max(1.0)).max(0.0);
        let by_staged_byte = if self.staged.0 > 0.0 { self.staged.1 / self.staged.0 } else { by_byte };
        let rest = |archive: &Running| archive.rest(fixed, if archive.is_staged { by_staged_byte } else { by_byte });
        // When each worker is free, in microseconds from now, the earliest first.
        let micros = |seconds: f64| std::cmp::Reverse(whole(seconds * 1e6));
        let mut free: BinaryHeap<_> = running.iter().map(|archive| micros(rest(archive))).take(self.jobs).collect();
        let idle = self.jobs.min(running.len() + self.waiting.len()).saturating_sub(free.len());
        free.extend(std::iter::repeat_n(micros(0.0), idle));
        let mut end = free.iter().map(|free| free.0).max()?;
        for &size in &self.waiting {
            let std::cmp::Reverse(at) = free.pop()?;
            let std::cmp::Reverse(takes) = micros(fixed + by_byte * size as f64);
            end = end.max(at + takes);
            free.push(std::cmp::Reverse(at + takes));
        }
        Some(end as f64 / 1e6)
    }
}

impl Running {
    /// Seconds that it still takes: at first as others did, then more and more as it did itself.
    #[allow(clippy::cast_precision_loss)]
    fn rest(&self, fixed: f64, by_byte: f64) -> f64 {
        let (size, position) = (self.size.max(1) as f64, self.position as f64);
        let left = (size - position).max(0.0);
        let as_others = by_byte * left + (fixed - self.seconds).max(0.0);
        let share = position / size;
        if share <= 0.0 {
            return as_others;
        }
        let as_before = left * self.seconds / position;
        let weight = share.sqrt();
        weight * as_before + (1.0 - weight) * as_others
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> u64 {
    number.clamp(0.0, 1e15) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays a run through in which an archive takes `takes(size)`, and gives what was estimated after a tenth of the time,
    /// as a share of what the rest really took.
    fn estimated(sizes: &[u64], jobs: usize, takes: impl Fn(u64) -> f64) -> f64 {
        // Of each: when it begins, and ends.
        let mut free = vec![0.0_f64; jobs];
        let mut spans = Vec::new();
        for &size in sizes {
            let worker = (0..jobs).min_by(|&a, &b| free[a].total_cmp(&free[b])).expect("a worker");
            spans.push((size, free[worker], free[worker] + takes(size)));
            free[worker] += takes(size);
        }
        let end = free.iter().copied().fold(0.0, f64::max);
        let now = end / 10.0;
        let mut estimate = Estimate::new(jobs, sizes);
        let mut running = Vec::new();
        for &(size, from, to) in spans.iter().filter(|(_, from, _)| *from <= now) {
            estimate.begin();
            if to <= now {
                estimate.end(size, to - from, false);
            } else {
                #[allow(clippy::cast_precision_loss)]
                let position = whole(size as f64 * (now - from) / (to - from));
                running.push(Running { size, position, seconds: now - from, is_staged: false });
            }
        }
        estimate.rest(&running, now).expect("known by now") / (end - now)
    }

    #[test]
    fn after_a_tenth_of_the_time_the_rest_is_known_where_a_byte_costs_the_same_everywhere() {
        let growing: Vec<u64> = (1..60).map(|rank| rank * rank * 20_000_000).collect();
        let flat = vec![1_000_000_000; 200];
        let one_is_large: Vec<u64> = flat.iter().copied().chain([60_000_000_000]).collect();
        for (name, sizes) in [("growing", growing), ("flat", flat), ("one is large", one_is_large)] {
            for jobs in [1, 2, 8] {
                for (fixed, by_byte) in [(0.0, 1e-8), (0.05, 1e-8), (0.5, 1e-8)] {
                    #[allow(clippy::cast_precision_loss)]
                    let ratio = estimated(&sizes, jobs, |size| fixed + by_byte * size as f64);
                    assert!((0.8..=1.2).contains(&ratio), "{name}, {jobs} jobs, {fixed}: {ratio}");
                }
            }
        }
    }

    #[test]
    fn nothing_is_said_before_anything_is_known() {
        let estimate = Estimate::new(2, &[10, 20]);
        assert_eq!(estimate.rest(&[], 100.0), None);
        let begun = Running { size: 10, position: 5, seconds: 1.0, is_staged: false };
        assert_eq!(estimate.rest(&[begun], 1.0), None);
        assert!(estimate.rest(&[begun], 5.0).is_some());
    }
}
