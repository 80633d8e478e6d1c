//! The terminal while a run goes on: lines for what went wrong, bars for how far it is.
//!
//! The only module that knows indicatif. Bars stand on stderr, and only where that is a terminal: one for each archive
//! that is being read, one for the run, all in compressed bytes, whose total is known from the start. The core only
//! counts; one thread here looks at the counters and draws.

mod bars;
mod estimate;
mod layout;
mod reprocess;
mod tty;

use std::io::{IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::ProgressDrawTarget;

use crate::account::Known;
use crate::event::{Archive, ArchiveTotals, Event, Live, Scope};
use crate::log::Record;
use crate::run::{Observer, Stop};
use crate::sanitize::{printable, printable_line, printable_short};
use crate::units::{counted, human, human_seconds};
use crate::wrap;

use bars::{Bars, DRAW_HZ, HASH_SHOWN};
use tty::Tty;

/// Characters of a name that are shown in a line.
const NAME_SHOWN: usize = 120;

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
                        bars.suspend(|| write_line(&lines, &text, true));
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
            Some(bars) => bars.suspend(write),
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
            Event::Live(Live::Verifying { .. }) => *self.rest() = "the other archives were not verified",
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
    format!("{}, {} multi-partition", counted(totals.images, "image"), totals.multi)
}

#[cfg(test)]
mod tests;
