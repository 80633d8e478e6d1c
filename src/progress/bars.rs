//! Bars: one for each archive that is being read, one for the run, all in compressed bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use crate::event::{Event, Live};
use crate::sanitize::printable_short;
use crate::units::{counted, human, human_seconds};
use crate::zst::Meter;

use super::estimate::{Estimate, Rest, Running};
use super::layout::{self, Layout, Shown};
use super::reprocess;

/// How often bars are drawn, at most.
pub(super) const DRAW_HZ: u8 = 10;
/// Characters of a hash that are shown beside its bar: that of the pipeline is 32 hex digits.
pub(super) const HASH_SHOWN: usize = 32;
/// How often it is estimated how long the rest takes.
const ESTIMATE_EVERY: Duration = Duration::from_secs(1);
/// How long all of it takes is said once so many estimates in a row agree, to that factor, ...
const AGREEING: usize = 8;
const DIFFERING_MOST: f64 = 1.15;
/// ... and this share of it is over, or so many seconds are, and the rest takes as long as that at least.
const SAID_SHARE: f64 = 0.05;
const SAID_AFTER: f64 = 120.0;
const SAID_LEAST: f64 = 30.0;

/// The bars of a run.
pub(super) struct Bars {
    multi: MultiProgress,
    total: ProgressBar,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: Vec<BeingRead>,
    archives: usize,
    done: usize,
    done_bytes: u64,
    started: Option<Instant>,
    /// Where staged images are processed again, and nothing is surveyed.
    reprocessing: Option<reprocess::Counts>,
    /// Where an image is extracted: the bytes that are done.
    extracted: Option<Arc<AtomicU64>>,
    layout: Layout,
    estimate: Estimate,
    whole: Whole,
    /// Whether the last archive whose headers were gone over had to be read all the same.
    are_walks_vain: bool,
    /// What was estimated last, in seconds, and when.
    rest: Option<(Option<Rest>, Instant)>,
}

/// An archive that is being read.
struct BeingRead {
    rank: usize,
    size: u64,
    bar: ProgressBar,
    meter: Arc<Meter>,
    begun: Instant,
    /// Whether an image of it is staged.
    is_staged: bool,
    /// Whether one is going to be, as far as it is known.
    expects_staging: bool,
    /// Whether all of it was read, and an image is to be tried again when the others are done.
    is_deferred: bool,
}

/// How long the run takes in all, which is said once.
#[derive(Debug, Default)]
struct Whole {
    is_said: bool,
    /// What was estimated lately, in seconds, the latest last.
    lately: VecDeque<f64>,
}

impl Whole {
    /// Takes account of what is estimated once a second. Gives what can be told by now: estimates that agree, once
    /// enough was done for them to mean something.
    fn settled(&mut self, elapsed: f64, rest: f64) -> Option<f64> {
        let whole = elapsed + rest;
        if self.lately.len() == AGREEING {
            self.lately.pop_front();
        }
        self.lately.push_back(whole);
        let (least, most) = self.lately.iter().fold((f64::MAX, 0.0_f64), |(a, b), &each| (a.min(each), b.max(each)));
        let is_settled = self.lately.len() == AGREEING && most <= least * DIFFERING_MOST;
        let is_much = elapsed >= SAID_AFTER || elapsed >= SAID_SHARE * whole;
        let is_worth_it = !self.is_said && rest >= SAID_LEAST;
        (is_settled && is_much && is_worth_it).then(|| {
            self.is_said = true;
            whole
        })
    }
}

impl State {
    /// Seconds that the rest takes, and whether that was estimated just now, as it is once a second.
    fn rest(&mut self, elapsed: f64) -> (Option<Rest>, bool) {
        if let Some((rest, at)) = self.rest.filter(|(_, at)| at.elapsed() < ESTIMATE_EVERY) {
            let since = at.elapsed().as_secs_f64();
            return (rest.map(|rest| Rest { seconds: (rest.seconds - since).max(0.0), ..rest }), false);
        }
        let running: Vec<Running> =
            self.running.iter().filter(|archive| !archive.is_deferred).map(|archive| archive.running(self)).collect();
        let rest = self.estimate.rest(&running, elapsed);
        self.rest = Some((rest, Instant::now()));
        (rest, true)
    }

    /// The archive of this rank, if it is being read.
    fn of(&mut self, rank: usize) -> Option<&mut BeingRead> {
        self.running.iter_mut().find(|archive| archive.rank == rank)
    }
}

impl BeingRead {
    fn running(&self, of: &State) -> Running {
        let seconds = self.begun.elapsed().as_secs_f64();
        let is_staged = self.is_staged || self.expects_staging;
        Running { size: self.size, position: self.position(of), seconds, is_staged }
    }

    /// Compressed bytes that are done with. That the headers of an archive were gone over counts where that is as good as to
    /// read it.
    fn position(&self, of: &State) -> u64 {
        let meter = &self.meter;
        let is_read = self.is_staged || self.expects_staging || of.are_walks_vain;
        let position = if is_read { meter.read() } else { meter.compressed() };
        position.min(self.size)
    }
}

impl Bars {
    pub(super) fn new(target: ProgressDrawTarget) -> Bars {
        let multi = MultiProgress::with_draw_target(target);
        Bars { multi, total: ProgressBar::hidden(), state: Mutex::default() }
    }

    /// Has `write` write above them.
    pub(super) fn suspend(&self, write: impl FnOnce()) {
        self.multi.suspend(write);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn observe(&self, event: &Event<'_>) {
        match event {
            Event::ScriptStart { start } => {
                let mut state = self.state();
                state.archives = start.total_archives;
                state.started = Some(Instant::now());
                let resumed = start.resumed.as_ref().map_or(0, |resumed| resumed.bytes);
                self.total.set_length(start.total_bytes.saturating_sub(resumed));
                self.begin(&mut state);
            }
            Event::Live(Live::Verifying { archives, bytes }) => {
                let mut state = self.state();
                state.archives = *archives;
                state.started = Some(Instant::now());
                self.total.set_length(*bytes);
                self.begin(&mut state);
            }
            Event::Live(Live::Extracting { bytes, done }) => {
                let mut state = self.state();
                state.started = Some(Instant::now());
                state.extracted = Some(Arc::clone(done));
                self.total.set_length(*bytes);
                self.begin(&mut state);
            }
            Event::ArchiveStart { archive, meter, .. } | Event::Live(Live::Reading(archive, meter)) => {
                // Hidden until it has its place: a bar of its own would draw on stderr, over the others.
                let bar = ProgressBar::with_draw_target(Some(archive.size), ProgressDrawTarget::hidden())
                    .with_style(self.state().layout.archive_style())
                    .with_prefix(printable_short(archive.hash.as_encoded_bytes(), HASH_SHOWN));
                let bar = self.multi.insert_before(&self.total, bar);
                let mut state = self.state();
                let expects_staging = state.estimate.begin();
                let (rank, size, meter) = (archive.rank, archive.size, Arc::clone(meter));
                let begun = Instant::now();
                let being_read =
                    BeingRead { rank, size, bar, meter, begun, is_staged: false, expects_staging, is_deferred: false };
                state.running.push(being_read);
            }
            Event::Live(Live::Queue { jobs, archives }) => {
                let archives = archives.iter().map(|archive| (archive.rank, archive.size));
                self.state().estimate = Estimate::new(*jobs, archives);
            }
            Event::Live(Live::Outlook { archive, is_staged }) => {
                let mut state = self.state();
                match state.of(archive.rank) {
                    Some(running) => running.expects_staging = *is_staged,
                    None => state.estimate.expect(archive.rank, *is_staged),
                }
            }
            Event::ArchiveResumed { .. } => self.state().done += 1,
            Event::ExtractionStart { archive, .. } => {
                let mut state = self.state();
                let Some(running) = state.of(archive.rank) else { return };
                running.is_staged = true;
                // Tried again, it takes from now on what others take that are staged.
                if std::mem::take(&mut running.is_deferred) {
                    running.begun = Instant::now();
                    let size = running.size;
                    state.estimate.try_again(size);
                }
            }
            Event::Deferred { archive, .. } => {
                let mut state = self.state();
                let Some(running) = state.of(archive.rank) else { return };
                (running.is_staged, running.expects_staging) = (false, false);
                if !std::mem::replace(&mut running.is_deferred, true) {
                    let size = running.size;
                    state.estimate.defer(size);
                }
            }
            Event::ArchiveComplete { archive, .. }
            | Event::ArchiveFailed { archive, .. }
            | Event::ArchiveVerified { archive, .. } => {
                let mut state = self.state();
                if let Some(index) = state.running.iter().position(|bar| bar.rank == archive.rank) {
                    let BeingRead { bar, begun, meter, is_staged, is_deferred, .. } = state.running.remove(index);
                    state.are_walks_vain = meter.was_walk_vain().unwrap_or(state.are_walks_vain);
                    if is_deferred {
                        state.estimate.try_again(archive.size);
                    }
                    state.estimate.end(archive.size, begun.elapsed().as_secs_f64(), is_staged);
                    state.done += 1;
                    state.done_bytes = state.done_bytes.saturating_add(archive.size);
                    bar.finish_and_clear();
                    self.multi.remove(&bar);
                }
            }
            Event::Live(Live::Reprocessing { images, bytes }) => {
                let mut state = self.state();
                self.begin(&mut state);
                state.reprocessing.insert(reprocess::Counts::new(*images, *bytes)).show(&self.total);
            }
            other => {
                if let Some(counts) = &mut self.state().reprocessing
                    && counts.observe(other)
                {
                    counts.show(&self.total);
                }
            }
        }
    }

    /// Has the bar of the run stand below the others.
    fn begin(&self, state: &mut State) {
        state.layout = Layout::current();
        self.total.set_style(state.layout.total_style());
        self.multi.add(self.total.clone());
    }

    /// Draws, and gives what there is to say once, when it is known.
    pub(super) fn draw(&self) -> Option<String> {
        let mut state = self.state();
        let started = state.started?;
        let layout = Layout::current();
        let restyle = std::mem::replace(&mut state.layout, layout) != layout;
        let mut position = state.done_bytes;
        for archive in &state.running {
            let of_archive = archive.position(&state);
            position = position.saturating_add(of_archive);
            if restyle {
                archive.bar.set_style(layout.archive_style());
            }
            let shown = Shown { position: of_archive, length: archive.size, ..Shown::default() };
            layout.show(&archive.bar, &shown);
        }
        if restyle {
            self.total.set_style(layout.total_style());
        }
        let elapsed = started.elapsed().as_secs_f64();
        let length = self.total.length().unwrap_or(0);
        let (rest, is_new) = if let Some(done) = &state.extracted {
            position = done.load(Ordering::Relaxed);
            self.total.set_prefix("extracting");
            (rest_at(position, length, elapsed).map(|seconds| Rest { seconds, error: 0.0 }), false)
        } else {
            self.total.set_prefix(layout.count(state.done, state.archives, "archives"));
            state.rest(elapsed)
        };
        let means_something = position > 0 && elapsed >= 1.0;
        let rate = means_something.then(|| rate(position, elapsed));
        let rest = rest.filter(|_| means_something);
        layout.show(&self.total, &Shown { position, length, rate, rest, more: "" });
        let known = rest.filter(|rest| is_new && rest.error <= layout::SURE);
        let whole = known.and_then(|rest| state.whole.settled(elapsed, rest.seconds))?;
        let archives = counted(state.archives as u64, "archive");
        Some(format!("{archives}, {}; about {} at this rate", human(length), in_minutes(whole)))
    }

    /// Has them gone from the terminal.
    pub(super) fn clear(&self) {
        for BeingRead { bar, .. } in self.state().running.drain(..) {
            bar.finish_and_clear();
        }
        self.total.finish_and_clear();
        let _ = self.multi.clear();
    }
}

/// Bytes a second.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rate(bytes: u64, seconds: f64) -> u64 {
    (bytes as f64 / seconds) as u64
}

/// Seconds that the rest takes at the rate so far.
#[allow(clippy::cast_precision_loss)]
fn rest_at(read: u64, length: u64, seconds: f64) -> Option<f64> {
    (read > 0).then(|| length.saturating_sub(read) as f64 * seconds / read as f64)
}

/// `40 min`; no more exact than an estimate is.
fn in_minutes(seconds: f64) -> String {
    let minutes = (seconds / 60.0).round();
    if (1.0..60.0).contains(&minutes) { format!("{minutes:.0} min") } else { human_seconds(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_the_rest_is_no_more_exact_than_it_is_known() {
        assert_eq!(rate(1_000_000_000, 2.0), 500_000_000);
        assert_eq!(rest_at(1_000_000_000, 10_000_000_000, 2.0), Some(18.0));
        assert_eq!((in_minutes(2410.0), in_minutes(20.4)), ("40 min".to_owned(), "20 s".to_owned()));
    }

    #[test]
    fn how_long_all_takes_is_said_once_when_estimates_agree() {
        const NEVER: [f64; 0] = [];
        let mut whole = Whole::default();
        let said = |whole: &mut Whole, from: u32, of: &dyn Fn(f64) -> f64| -> Vec<f64> {
            (from..from + 20).filter_map(|second| whole.settled(second.into(), of(second.into()))).collect()
        };
        // Too early, as long as what is known changes, and too late to be of use.
        assert_eq!(said(&mut whole, 0, &|second| 1000.0 - second), NEVER);
        assert_eq!(said(&mut Whole::default(), 60, &|second| 1000.0 * (second - 59.0)), NEVER);
        assert_eq!(said(&mut Whole::default(), 60, &|second| 85.0 - second), NEVER);
        assert_eq!(said(&mut whole, 60, &|second| 1000.0 - second), [1000.0]);
        assert_eq!(said(&mut whole, 80, &|second| 1000.0 - second), NEVER);
    }
}
