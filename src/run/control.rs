//! The one switch that ends a run early: thrown by a signal, by a log that cannot be written, or by low space; seen by
//! every loop that takes long.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGXFSZ};
use signal_hook::flag;

/// Why a run ends before its work does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// A signal of this number.
    Signal(i32),
    /// An observer that has to see everything no longer can: the log.
    Observer(String),
    /// Space ran low, and the run was told to end in that case.
    LowSpace,
}

/// Has a write beyond the limit on the size of files (`ulimit -f`) fail, where SIGXFSZ would end the process. Commands that are
/// run get the signal as ever: a handler does not outlive exec.
pub fn outlive_file_size_limit() -> io::Result<()> {
    flag::register(SIGXFSZ, Arc::default()).map(|_| ())
}

/// A handle on the switch; clones share it.
#[derive(Debug, Clone, Default)]
pub struct Control {
    stopped: Arc<AtomicBool>,
    signal: Arc<AtomicUsize>,
    cause: Arc<Mutex<Option<Stop>>>,
    log_asked: Arc<AtomicBool>,
}

impl Control {
    /// A run that is not stopped.
    #[must_use]
    pub fn new() -> Control {
        Control::default()
    }

    /// Has SIGHUP, SIGINT and SIGTERM throw the switch. A second signal ends the process at once with 128 + its number.
    /// SIGUSR1 asks for a new log.
    pub fn listen(&self) -> io::Result<()> {
        let signalled = Arc::new(AtomicBool::new(false));
        for number in [SIGHUP, SIGINT, SIGTERM] {
            // They act in this order: the first signal finds `signalled` not set yet, and its number is known before
            // anybody sees the switch.
            flag::register_conditional_shutdown(number, 128 + number, Arc::clone(&signalled))?;
            flag::register(number, Arc::clone(&signalled))?;
            flag::register_usize(number, Arc::clone(&self.signal), usize::try_from(number).unwrap_or_default())?;
            flag::register(number, Arc::clone(&self.stopped))?;
        }
        flag::register(SIGUSR1, Arc::clone(&self.log_asked))?;
        Ok(())
    }

    /// Throws the switch. The first cause stands.
    pub fn stop(&self, cause: Stop) {
        self.cause.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(cause);
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Whether the run is to end.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// The flag itself, for layers that know nothing else of the switch.
    #[must_use]
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stopped)
    }

    /// Set by the signal that asks for the log to be opened anew; for who does that, and unsets it.
    #[must_use]
    pub fn log_asked(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.log_asked)
    }

    /// Why the run is to end, if it is.
    #[must_use]
    pub fn cause(&self) -> Option<Stop> {
        if let Some(cause) = self.cause.lock().unwrap_or_else(PoisonError::into_inner).clone() {
            return Some(cause);
        }
        if !self.is_stopped() {
            return None;
        }
        let number = i32::try_from(self.signal.load(Ordering::SeqCst)).unwrap_or(SIGTERM);
        Some(Stop::Signal(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cause_stands() {
        let control = Control::new();
        assert_eq!((control.is_stopped(), control.cause()), (false, None));
        control.stop(Stop::LowSpace);
        control.stop(Stop::Observer("late".to_owned()));
        assert_eq!((control.is_stopped(), control.cause()), (true, Some(Stop::LowSpace)));
    }
}
