//! How long the rest of a run takes.
//!
//! An archive takes some time by itself, for it is opened and its tables are looked for, and some for each of its compressed
//! bytes. What a byte takes depends on what becomes of it. To decode it and write what comes of it takes many times as long as
//! to pass over it: so archives that images are staged from are a class of their own, and which those are is told ahead, by
//! their heads. What each class takes is fitted to what the archives so far took, in this run. The smallest come first and the
//! largest last, on few workers at the end: so the rest is played through, an archive after the other, on as many workers as
//! there are. Nothing is said while a class is still to come of which nobody knows what it takes.

use std::collections::{BinaryHeap, VecDeque};

/// Wall time before which nothing is said, in seconds.
const SECONDS_LEAST: f64 = 2.0;
/// Archives that have to be done before what they took is told apart.
const COUNT_LEAST: f64 = 3.0;
/// Share of the bytes before which nothing is said.
const SHARE_LEAST: f64 = 0.01;
/// What an archive must have taken, in seconds, and what share of it must be done, before it tells what others will take.
const TELLS_AFTER: (f64, f64) = (1.0, 0.02);
/// Share of an archive that has to be done for its own pace to count as much as that of others.
const OWN_PACE_AT: f64 = 0.15;
/// Share of the rest that may be of a class of which nothing is known yet, were it as dear as the other one.
const UNKNOWN_MOST: f64 = 0.05;

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

/// An archive that has not begun.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    rank: usize,
    size: u64,
    /// Whether an image of it is going to be staged, where that is known.
    is_staged: Option<bool>,
}

/// What is known of the archives of a run.
#[derive(Debug, Default)]
pub(super) struct Estimate {
    jobs: usize,
    /// Those that have not begun, in their order.
    waiting: VecDeque<Waiting>,
    total: u64,
    done: u64,
    /// Of those that ended.
    passed: Sums,
    staged: Sums,
    /// Compressed bytes of those with an image that is tried again when the others are done, one after the other.
    deferred: u64,
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

    /// Takes account of one that has not ended: of so much of an archive as was read of it.
    #[allow(clippy::cast_precision_loss)]
    fn add_running(&mut self, archive: &Running) {
        let share = archive.share();
        if archive.seconds >= TELLS_AFTER.0 && share >= TELLS_AFTER.1 {
            self.count += share;
            self.bytes += archive.position as f64;
            self.seconds += archive.seconds;
        }
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

    /// What a byte takes besides, in seconds; none where none was read.
    fn by_byte(&self, fixed: f64) -> Option<f64> {
        (self.bytes > 0.0).then(|| ((self.seconds - fixed * self.count) / self.bytes).max(0.0))
    }
}

/// What an archive of a class takes, in seconds: by itself, and for each byte.
#[derive(Debug, Clone, Copy)]
struct Cost {
    fixed: f64,
    by_byte: f64,
}

impl Cost {
    #[allow(clippy::cast_precision_loss)]
    fn of(self, size: u64) -> f64 {
        self.fixed + self.by_byte * size as f64
    }

    /// Between this and `other`, `share` of which is `other`.
    fn mixed(self, other: Cost, share: f64) -> Cost {
        let mix = |one: f64, other: f64| one + (other - one) * share;
        Cost { fixed: mix(self.fixed, other.fixed), by_byte: mix(self.by_byte, other.by_byte) }
    }
}

/// What archives of each class take.
struct Costs {
    passed: Cost,
    staged: Cost,
    /// Share of the bytes of archives of which it is not known that is staged.
    share: f64,
}

impl Costs {
    fn of(&self, is_staged: Option<bool>) -> Cost {
        match is_staged {
            Some(true) => self.staged,
            Some(false) => self.passed,
            None => self.passed.mixed(self.staged, self.share),
        }
    }
}

impl Estimate {
    /// Of archives of these ranks and sizes, in this order, so many at a time.
    pub fn new(jobs: usize, archives: impl Iterator<Item = (usize, u64)>) -> Estimate {
        let waiting: VecDeque<_> = archives.map(|(rank, size)| Waiting { rank, size, is_staged: None }).collect();
        let total = waiting.iter().map(|archive| archive.size).sum();
        Estimate { jobs: jobs.max(1), waiting, total, ..Estimate::default() }
    }

    /// What is to be expected of an archive is known.
    pub fn expect(&mut self, rank: usize, is_staged: bool) {
        // Ranks ascend.
        if let Ok(index) = self.waiting.binary_search_by_key(&rank, |archive| archive.rank)
            && let Some(archive) = self.waiting.get_mut(index)
        {
            archive.is_staged = Some(is_staged);
        }
    }

    /// The next archive begins. Whether an image of it is going to be staged, as far as it is known.
    pub fn begin(&mut self) -> bool {
        self.waiting.pop_front().and_then(|archive| archive.is_staged).unwrap_or(false)
    }

    /// An archive ended.
    #[allow(clippy::cast_precision_loss)]
    pub fn end(&mut self, size: u64, seconds: f64, is_staged: bool) {
        self.done += size;
        let class = if is_staged { &mut self.staged } else { &mut self.passed };
        class.add(size as f64, seconds);
    }

    /// An archive was read, and an image of it is tried again later.
    pub fn defer(&mut self, size: u64) {
        self.deferred += size;
    }

    /// One of those is tried again.
    pub fn try_again(&mut self, size: u64) {
        self.deferred = self.deferred.saturating_sub(size);
    }

    /// What archives of each class take; none where too little is known.
    #[allow(clippy::cast_precision_loss)]
    fn costs(&self, running: &[Running]) -> Option<Costs> {
        let (mut passed, mut staged) = (self.passed, self.staged);
        // Compressed bytes to come of which it is known that they are passed over, or decoded, and others.
        let (mut to_pass, mut to_stage, mut unknown) = (0.0, self.deferred as f64, 0.0);
        let mut known = (self.passed.bytes, self.staged.bytes);
        for archive in running {
            let (class, to_come, known) = if archive.is_staged {
                (&mut staged, &mut to_stage, &mut known.1)
            } else {
                (&mut passed, &mut to_pass, &mut known.0)
            };
            class.add_running(archive);
            *to_come += archive.left() as f64;
            *known += archive.size as f64;
        }
        for archive in &self.waiting {
            let size = archive.size as f64;
            match archive.is_staged {
                Some(true) => (to_stage, known.1) = (to_stage + size, known.1 + size),
                Some(false) => (to_pass, known.0) = (to_pass + size, known.0 + size),
                None => unknown += size,
            }
        }
        let share = known.1 / (known.0 + known.1).max(1.0);
        let (to_pass, to_stage) = (to_pass + unknown * (1.0 - share), to_stage + unknown * share);
        let fixed = passed.fixed();
        let cost = |sums: &Sums, fixed| sums.by_byte(fixed).map(|by_byte| Cost { fixed, by_byte });
        let (passed, staged) = (cost(&passed, fixed), cost(&staged, staged.fixed()));
        let is_little = |of: f64, other: f64| of <= UNKNOWN_MOST * (of + other);
        match (passed, staged) {
            (Some(passed), Some(staged)) => Some(Costs { passed, staged, share }),
            // To pass over is the cheaper of both.
            (None, Some(staged)) if is_little(to_pass, to_stage) => Some(Costs { passed: staged, staged, share }),
            (Some(passed), None) if to_stage == 0.0 => Some(Costs { passed, staged: passed, share }),
            _ => None,
        }
    }

    /// Seconds that the rest takes, when the run has taken `elapsed`; none where too little is known yet.
    #[allow(clippy::cast_precision_loss)]
    pub fn rest(&self, running: &[Running], elapsed: f64) -> Option<f64> {
        let read = self.done + running.iter().map(|archive| archive.position).sum::<u64>();
        if elapsed < SECONDS_LEAST || (read as f64) < SHARE_LEAST * self.total as f64 {
            return None;
        }
        let costs = self.costs(running)?;
        let rest = |archive: &Running| archive.rest(costs.of(Some(archive.is_staged)));
        // When each worker is free, in microseconds from now, the earliest first.
        let micros = |seconds: f64| std::cmp::Reverse(whole(seconds * 1e6));
        let mut free: BinaryHeap<_> = running.iter().map(|archive| micros(rest(archive))).take(self.jobs).collect();
        let idle = self.jobs.min(running.len() + self.waiting.len()).saturating_sub(free.len());
        free.extend(std::iter::repeat_n(micros(0.0), idle));
        let mut end = free.iter().map(|free| free.0).max().unwrap_or(0);
        for archive in &self.waiting {
            let std::cmp::Reverse(at) = free.pop()?;
            let std::cmp::Reverse(takes) = micros(costs.of(archive.is_staged).of(archive.size));
            end = end.max(at + takes);
            free.push(std::cmp::Reverse(at + takes));
        }
        Some(end as f64 / 1e6 + costs.staged.by_byte * self.deferred as f64)
    }
}

impl Running {
    fn left(&self) -> u64 {
        self.size.saturating_sub(self.position)
    }

    #[allow(clippy::cast_precision_loss)]
    fn share(&self) -> f64 {
        self.position.min(self.size) as f64 / self.size.max(1) as f64
    }

    /// Seconds that it still takes: at first as others did, then as it did itself, of which its first bytes tell nothing.
    #[allow(clippy::cast_precision_loss)]
    fn rest(&self, cost: Cost) -> f64 {
        let left = self.left() as f64;
        let as_others = cost.by_byte * left + (cost.fixed - self.seconds).max(0.0);
        let share = self.share();
        if share <= 0.0 {
            return as_others;
        }
        let as_before = left * self.seconds / self.position as f64;
        let weight = share * share / (share * share + OWN_PACE_AT * OWN_PACE_AT);
        weight * as_before + (1.0 - weight) * as_others
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> u64 {
    number.clamp(0.0, 1e15) as u64
}

#[cfg(test)]
mod tests;
