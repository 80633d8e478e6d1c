//! How long the rest of a run takes.
//!
//! An archive takes some time by itself, for it is opened and its tables are looked for, and some for each of its compressed
//! bytes. What a byte takes depends on what becomes of it. To decode it and write what comes of it takes many times as long as
//! to pass over it: so archives that images are staged from are a class of their own, and which those are is told ahead, by
//! their heads. What each class takes is fitted to what the archives so far took, in this run. The smallest come first and the
//! largest last, on few workers at the end: so the rest is played through, an archive after the other, on as many workers as
//! there are. Nothing is said while a class is still to come of which nobody knows what it takes.
//!
//! A compressed byte may be one byte to write, or a hundred, and no head tells. So archives differ, and how much those differed
//! that ended is how far the estimate may be off.

use std::cmp::Reverse;
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

/// By how much archives of a class differ, as long as too few of it ended to show it.
const DIFFER: f64 = 0.2;

/// How long the rest takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rest {
    pub seconds: f64,
    /// The standard error of that, as a share of it.
    pub error: f64,
}

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

impl Rest {
    /// Between what it is in most cases, where it is not known well.
    pub fn range(self) -> (f64, f64) {
        let off = 2.5 * self.error;
        (self.seconds * (1.0 - off).max(0.0), self.seconds * (1.0 + off))
    }
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
    /// Of seconds squared / size.
    squares: f64,
    /// Of size squared.
    sizes: f64,
    /// Of those that ended.
    ended: f64,
}

impl Sums {
    fn add(&mut self, size: f64, seconds: f64) {
        let size = size.max(1.0);
        self.count += 1.0;
        self.bytes += size;
        self.seconds += seconds;
        self.inverse += 1.0 / size;
        self.pace += seconds / size;
        self.squares += seconds * seconds / size;
        self.sizes += size * size;
        self.ended += 1.0;
    }

    /// Takes account of one that has not ended: of so much of an archive as was read of it.
    #[allow(clippy::cast_precision_loss)]
    fn add_running(&mut self, archive: &Running) {
        let share = archive.share();
        if archive.seconds >= TELLS_AFTER.0 && share >= TELLS_AFTER.1 {
            self.count += share;
            self.bytes += archive.position as f64;
            self.seconds += archive.seconds;
            self.sizes += (archive.position as f64).powi(2);
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

    /// The variance of what a byte takes, from one archive to the other, by those that ended: as a share of its square.
    fn variance(&self, fixed: f64) -> f64 {
        let bytes = self.bytes;
        let mean = self.by_byte(fixed).unwrap_or(0.0);
        let expected = DIFFER * DIFFER;
        if self.ended < 2.0 || mean <= 0.0 {
            return expected;
        }
        let squares = self.squares - 2.0 * fixed * self.pace + fixed * fixed * self.inverse;
        let seen = (squares / bytes / (mean * mean) - 1.0).max(0.0) * self.ended / (self.ended - 1.0);
        (seen * (self.ended - 1.0) + expected) / self.ended
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
    /// By how much what is known of each may be off: see [`Doubt`].
    doubts: [Doubt; 2],
    /// Share of the bytes of archives of which it is not known that is staged.
    share: f64,
}

/// By how much what is known of a class may be off.
#[derive(Debug, Clone, Copy, Default)]
struct Doubt {
    /// The variance of an archive, and of the mean, as shares of their squares.
    archive: f64,
    mean: f64,
    /// What the rest of the class takes, and the sum of the squares of what each of its archives does.
    seconds: f64,
    squares: f64,
    /// The variance of what else is not known.
    other: f64,
}

impl Doubt {
    /// By those that ended, and by all that were read, if only in part.
    fn of(ended: &Sums, read: &Sums) -> Doubt {
        let archive = ended.variance(ended.fixed());
        let mean = archive * (read.sizes / (read.bytes * read.bytes).max(1.0)).min(1.0);
        Doubt { archive, mean, ..Doubt::default() }
    }

    fn add(&mut self, seconds: f64) {
        self.seconds += seconds;
        self.squares += seconds * seconds;
    }

    fn variance(&self) -> f64 {
        self.mean * self.seconds * self.seconds + self.archive * self.squares + self.other
    }
}

/// A worker, and what it is going to do.
#[derive(Debug, Clone, Copy)]
struct Worker {
    seconds: f64,
    /// Of each class, by what it does of it.
    doubts: [Doubt; 2],
}

impl Worker {
    fn deviation(&self) -> f64 {
        self.doubts.iter().map(Doubt::variance).sum::<f64>().sqrt()
    }
}

impl Costs {
    /// A worker that goes on with this archive.
    fn going_on(&self, archive: &Running) -> Worker {
        let [mut passed, mut staged] = self.doubts;
        let seconds = archive.rest(self.of(Some(archive.is_staged)));
        let class = if archive.is_staged { &mut staged } else { &mut passed };
        class.add(seconds * (1.0 - archive.own_weight()));
        Worker { seconds, doubts: [passed, staged] }
    }

    /// Has a worker take this archive, too.
    fn take(&self, worker: &mut Worker, archive: &Waiting) {
        worker.seconds += self.of(archive.is_staged).of(archive.size);
        let [passed, staged] = &mut worker.doubts;
        let share = archive.is_staged.map_or(self.share, |is_staged| f64::from(u8::from(is_staged)));
        let takes = (self.passed.of(archive.size), self.staged.of(archive.size));
        passed.add(takes.0 * (1.0 - share));
        staged.add(takes.1 * share);
        // Whether it is staged may not be known either.
        staged.other += (takes.1 - takes.0).powi(2) * share * (1.0 - share);
    }

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
        let total = waiting.iter().fold(0, |total: u64, archive| total.saturating_add(archive.size));
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
        self.done = self.done.saturating_add(size);
        let class = if is_staged { &mut self.staged } else { &mut self.passed };
        class.add(size as f64, seconds);
    }

    /// An archive was read, and an image of it is tried again later.
    pub fn defer(&mut self, size: u64) {
        self.deferred = self.deferred.saturating_add(size);
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
        let doubts = [Doubt::of(&self.passed, &passed), Doubt::of(&self.staged, &staged)];
        let fixed = passed.fixed();
        let cost = |sums: &Sums, fixed| sums.by_byte(fixed).map(|by_byte| Cost { fixed, by_byte });
        let (passed, staged) = (cost(&passed, fixed), cost(&staged, staged.fixed()));
        let is_little = |of: f64, other: f64| of <= UNKNOWN_MOST * (of + other);
        match (passed, staged) {
            (Some(passed), Some(staged)) => Some(Costs { passed, staged, doubts, share }),
            // To pass over is the cheaper of both.
            (None, Some(staged)) if is_little(to_pass, to_stage) => {
                Some(Costs { passed: staged, staged, doubts, share })
            }
            (Some(passed), None) if to_stage == 0.0 => Some(Costs { passed, staged: passed, doubts, share }),
            _ => None,
        }
    }

    /// Seconds that the rest takes, when the run has taken `elapsed`; none where too little is known yet.
    #[allow(clippy::cast_precision_loss)]
    pub fn rest(&self, running: &[Running], elapsed: f64) -> Option<Rest> {
        let read = running.iter().fold(self.done, |read, archive| read.saturating_add(archive.position));
        if elapsed < SECONDS_LEAST || (read as f64) < SHARE_LEAST * self.total as f64 {
            return None;
        }
        let costs = self.costs(running)?;
        let mut workers: Vec<Worker> = running.iter().take(self.jobs).map(|archive| costs.going_on(archive)).collect();
        let idle = self.jobs.min(running.len() + self.waiting.len()).saturating_sub(workers.len());
        workers.extend(std::iter::repeat_n(Worker { seconds: 0.0, doubts: costs.doubts }, idle));
        // When each worker is free, in microseconds from now, the earliest first.
        let micros = |worker: &Worker| whole(worker.seconds * 1e6);
        let mut free: BinaryHeap<_> =
            workers.iter().enumerate().map(|(index, worker)| Reverse((micros(worker), index))).collect();
        for archive in &self.waiting {
            let Reverse((_, index)) = free.pop()?;
            let worker = workers.get_mut(index)?;
            costs.take(worker, archive);
            free.push(Reverse((micros(worker), index)));
        }
        // The others may be the last ones yet, in as far as they are not known.
        let most = |of: &dyn Fn(&Worker) -> f64| workers.iter().map(of).fold(0.0, f64::max);
        let (last, deviated) = (most(&|worker| worker.seconds), most(&|worker| worker.seconds + worker.deviation()));
        let deferred = costs.staged.by_byte * self.deferred as f64;
        let seconds = last + deferred;
        let deviation = (deviated - last).hypot(deferred * costs.doubts[1].archive.sqrt());
        Some(Rest { seconds, error: if seconds > 0.0 { deviation / seconds } else { 0.0 } })
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

    /// How much its own pace counts, and not that of others.
    fn own_weight(&self) -> f64 {
        let square = self.share().powi(2);
        square / (square + OWN_PACE_AT * OWN_PACE_AT)
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
        let weight = self.own_weight();
        weight * as_before + (1.0 - weight) * as_others
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> u64 {
    number.clamp(0.0, 1e15) as u64
}

#[cfg(test)]
mod tests;
