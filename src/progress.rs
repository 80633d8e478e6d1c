//! The terminal while a run goes on: lines for what went wrong, bars for how far it is.
//!
//! The only module that knows indicatif. Bars stand on stderr, and only where that is a terminal: one for each archive
//! that is being read, one for the run, all in compressed bytes, whose total is known from the start. The core only
//! counts; one thread here looks at the counters and draws.

mod estimate;
mod layout;
mod reprocess;
mod tty;

use std::collections::VecDeque;
use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget};

use crate::account::Known;
use crate::event::{Archive, ArchiveTotals, Event, Live, Scope};
use crate::log::Record;
use crate::run::{Observer, Stop};
use crate::sanitize::{printable, printable_line, printable_short};
use crate::units::{human, human_seconds};
use crate::wrap;
use crate::zst::Meter;

use estimate::{Estimate, Rest, Running};
use layout::{Layout, Shown};
use tty::Tty;

/// How often bars are drawn, at most.
const DRAW_HZ: u8 = 10;
/// Characters of a hash that are shown beside its bar: that of the pipeline is 32 hex digits.
const HASH_SHOWN: usize = 32;
/// Characters of a name that are shown in a line.
const NAME_SHOWN: usize = 120;

/// How often it is estimated how long the rest takes.
const ESTIMATE_EVERY: Duration = Duration::from_secs(1);
/// How long all of it takes is said once so many estimates in a row agree, to that factor, ...
const AGREEING: usize = 8;
const DIFFERING_MOST: f64 = 1.15;
/// ... and this share of it is over, or so many seconds are, and the rest takes as long as that at least.
const SAID_SHARE: f64 = 0.05;
const SAID_AFTER: f64 = 120.0;
const SAID_LEAST: f64 = 30.0;

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Errors and warnings.
    Normal,
    /// Also a line for each archive.
    Archives,
    /// Also a line for each image.
    Images,
}

/// Where lines go.
type Sink = Mutex<Box<dyn Write + Send>>;

/// The observer that writes to stderr.
pub struct Terminal {
    verbosity: Verbosity,
    bars: Option<Arc<Bars>>,
    drawer: Mutex<Option<(Sender<()>, JoinHandle<()>)>>,
    sink: Arc<Sink>,
    /// Whether that is a terminal, on which lines are broken between words.
    wraps: bool,
    /// What becomes of what is not done when a signal ends the run.
    rest: Mutex<&'static str>,
    /// Whether what goes wrong from the beginning of the work on is said in a summary in the same place.
    is_told_at_end: bool,
    has_begun: AtomicBool,
    known: Known,
    known_met: AtomicU64,
}

/// Where the summary goes that a run ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Summary {
    /// To standard output.
    Stdout,
    /// To standard error.
    Stderr,
    /// Nowhere, or it is for another program.
    Nowhere,
}

struct Bars {
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

impl Terminal {
    /// Lines to stderr, and bars where that is a terminal and they are wanted.
    #[must_use]
    pub fn stderr(verbosity: Verbosity, wants_bars: bool) -> Terminal {
        let has_bars = wants_bars && verbosity > Verbosity::Quiet && std::io::stderr().is_terminal();
        let target = has_bars.then(|| ProgressDrawTarget::term_like_with_hz(Box::new(Tty::default()), DRAW_HZ));
        let terminal = Terminal::new(verbosity, target, Box::new(std::io::stderr()));
        Terminal { wraps: std::io::stderr().is_terminal(), ..terminal }
    }

    fn new(verbosity: Verbosity, target: Option<ProgressDrawTarget>, sink: Box<dyn Write + Send>) -> Terminal {
        let bars = target.map(|target| Arc::new(Bars::new(target)));
        let sink = Arc::new(Mutex::new(sink));
        let lines = Arc::clone(&sink);
        let drawer = bars.clone().and_then(|bars| {
            let (stop, stopped) = channel();
            let interval = Duration::from_millis(1000 / u64::from(DRAW_HZ));
            let draw = move || {
                while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                    if let Some(text) = bars.draw() {
                        bars.multi.suspend(|| write_line(&lines, &text, true));
                    }
                }
            };
            // Without the thread, bars only move when something happens.
            std::thread::Builder::new().name("draw".to_owned()).spawn(draw).ok().map(|thread| (stop, thread))
        });
        Terminal {
            verbosity,
            bars,
            drawer: Mutex::new(drawer),
            sink,
            wraps: false,
            rest: Mutex::new("partial files are removed"),
            is_told_at_end: false,
            has_begun: AtomicBool::new(false),
            known: Known::default(),
            known_met: AtomicU64::new(0),
        }
    }

    /// Leaves what goes wrong to the summary that the run ends with, where that goes to the same place, and that is no
    /// terminal, as in a mail of cron: it would be said twice.
    #[must_use]
    pub fn summarized(self, summary: Summary) -> Terminal {
        let is_same = match summary {
            Summary::Stdout => is_same_file(std::io::stdout(), std::io::stderr()),
            Summary::Stderr => true,
            Summary::Nowhere => false,
        };
        let is_told_at_end = is_same && self.verbosity == Verbosity::Normal && !std::io::stderr().is_terminal();
        Terminal { is_told_at_end, ..self }
    }

    /// Whether bars are drawn.
    #[must_use]
    pub fn has_bars(&self) -> bool {
        self.bars.is_some()
    }

    /// Only counts the errors that are known.
    #[must_use]
    pub fn knowing(self, known: Known) -> Terminal {
        Terminal { known, ..self }
    }

    /// Says what went wrong, unless that is said at the end, or known.
    fn error(&self, event: &Event<'_>, text: &str) {
        if self.is_told_at_end && self.has_begun.load(Ordering::Relaxed) {
            return;
        }
        if Record::of(event).is_some_and(|record| self.known.has(&record)) {
            self.known_met.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.line(Verbosity::Quiet, &format!("imgsieve: error: {text}"));
    }

    /// Clears the bars; what is printed after that stands where they were.
    pub fn finish(&self) {
        if let Some((stop, thread)) = self.drawer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            drop(stop);
            let _ = thread.join();
        }
        if let Some(bars) = &self.bars {
            bars.clear();
        }
        match self.known_met.swap(0, Ordering::Relaxed) {
            0 => {}
            1 => self.line(Verbosity::Quiet, "imgsieve: 1 error is as in the last run"),
            met => self.line(Verbosity::Quiet, &format!("imgsieve: {met} errors are as in the last run")),
        }
    }

    fn rest(&self) -> MutexGuard<'_, &'static str> {
        self.rest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn line(&self, at_least: Verbosity, text: &str) {
        if self.verbosity < at_least {
            return;
        }
        let write = || write_line(&self.sink, text, self.wraps);
        match &self.bars {
            Some(bars) => bars.multi.suspend(write),
            None => write(),
        }
    }
}

/// Writes a line. A terminal that is gone is no reason to stop.
fn write_line(sink: &Sink, text: &str, wraps: bool) {
    let width = if wraps { wrap::width(&std::io::stderr()) } else { None };
    let text = wrap::wrapped(&printable_line(text), width);
    let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
    let _ = sink.write_all(format!("{text}\n").as_bytes());
}

impl Observer for Terminal {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        if let Some(bars) = &self.bars {
            bars.observe(event);
        }
        if let Event::ScriptStart { .. } | Event::Live(Live::Reprocessing { .. } | Live::Verifying { .. }) = event {
            self.has_begun.store(true, Ordering::Relaxed);
        }
        match event {
            Event::Error { scope, cause } => self.error(event, &format!("{}{}", about(*scope), cause.message)),
            Event::ArchiveFailed { archive, cause, .. } => {
                self.error(event, &format!("{}{}", about(Scope::Archive(archive)), cause.message));
            }
            Event::Abort { cause } => {
                self.line(Verbosity::Quiet, &format!("imgsieve: error: {}; the run ends here", cause.message));
            }
            Event::Interrupted { signal } => {
                let name = signal_hook::low_level::signal_name(*signal).unwrap_or("a signal");
                let what = *self.rest();
                self.line(Verbosity::Quiet, &format!("imgsieve: interrupted by {name}; {what}"));
            }
            Event::Warning { scope, cause } => {
                self.line(Verbosity::Normal, &format!("imgsieve: warning: {}{}", about(*scope), cause.message));
            }
            Event::LowSpace { space, minimum } => {
                let text = format!(
                    "imgsieve: warning: only {} free, minimum {}; no images are written until there is room",
                    human(space.available),
                    human(*minimum)
                );
                self.line(Verbosity::Normal, &text);
            }
            Event::Deferred { archive, image, cause } => {
                let scope = about(Scope::Image(archive, image));
                self.line(Verbosity::Normal, &format!("imgsieve: deferred: {scope}{}", cause.message));
            }
            Event::ArchiveResumed { archive, totals, .. } => {
                let text = format!("{}: completed by an earlier run, {}", hash_of(archive), images(totals));
                self.line(Verbosity::Archives, &text);
            }
            Event::ArchiveStart { archive, .. } => {
                self.line(Verbosity::Archives, &format!("{}: started, {}", hash_of(archive), human(archive.size)));
            }
            Event::ArchiveComplete { archive, totals, .. } => {
                let text = format!(
                    "{}: {} in {}, {}",
                    hash_of(archive),
                    human(archive.size),
                    human_seconds(totals.seconds),
                    images(totals)
                );
                self.line(Verbosity::Archives, &text);
            }
            Event::ArchiveVerified { archive, verified } => {
                if let Some(cause) = &verified.cause {
                    self.error(event, &format!("{}{}", about(Scope::Archive(archive)), cause.message));
                } else {
                    let (size, took) = (human(archive.size), human_seconds(verified.seconds));
                    let word = verified.soundness.as_str().replace('_', " ");
                    self.line(Verbosity::Archives, &format!("{}: {size} in {took}, {word}", hash_of(archive)));
                }
            }
            Event::PartitionCheck { archive, image, check } => {
                let found =
                    check.finding.as_ref().map_or_else(String::new, |finding| printable(finding.describe().as_bytes()));
                let scope = about(Scope::Image(archive, image));
                self.line(Verbosity::Images, &format!("{scope}{}: {found}", check.action.in_words()));
            }
            Event::Live(Live::Reprocessing { .. }) => *self.rest() = "unprocessed images stay in staging",
            Event::Live(Live::Verifying { .. }) => *self.rest() = "what is not done is not verified",
            other => reprocess::tell(self, other),
        }
        Ok(())
    }
}

fn hash_of(archive: &Archive) -> String {
    printable_short(archive.hash.as_encoded_bytes(), NAME_SHOWN)
}

/// What a line is about, with a colon and a space after it.
fn about(scope: Scope<'_>) -> String {
    match scope {
        Scope::Run => String::new(),
        Scope::Path(path) => format!("{}: ", printable(path.as_os_str().as_encoded_bytes())),
        Scope::Staged(image) => format!("{}: ", printable(image.path.as_os_str().as_encoded_bytes())),
        Scope::Archive(archive) => format!("{}: ", printable(archive.path.as_os_str().as_encoded_bytes())),
        Scope::Image(archive, image) => format!(
            "{} in {}: ",
            printable_short(&image.member, NAME_SHOWN),
            printable(archive.path.as_os_str().as_encoded_bytes())
        ),
    }
}

impl Bars {
    fn new(target: ProgressDrawTarget) -> Bars {
        let multi = MultiProgress::with_draw_target(target);
        Bars { multi, total: ProgressBar::hidden(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn observe(&self, event: &Event<'_>) {
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
                    state.done_bytes += archive.size;
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
    fn draw(&self) -> Option<String> {
        let mut state = self.state();
        let started = state.started?;
        let layout = Layout::current();
        let restyle = std::mem::replace(&mut state.layout, layout) != layout;
        let mut position = state.done_bytes;
        for archive in &state.running {
            let of_archive = archive.position(&state);
            position += of_archive;
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
        let archives = if state.archives == 1 { "archive" } else { "archives" };
        Some(format!("{} {archives}, {}; about {} at this rate", state.archives, human(length), in_minutes(whole)))
    }

    fn clear(&self) {
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

/// Whether both lead to the same file, pipe or socket.
fn is_same_file(one: impl AsFd, other: impl AsFd) -> bool {
    let id = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    match (rustix::fs::fstat(one), rustix::fs::fstat(other)) {
        (Ok(one), Ok(other)) => id(one) == id(other),
        _ => false,
    }
}

/// `2 images, 1 multi-partition`.
fn images(totals: &ArchiveTotals) -> String {
    let noun = if totals.images == 1 { "image" } else { "images" };
    format!("{} {noun}, {} multi-partition", totals.images, totals.multi)
}

#[cfg(test)]
mod tests;
