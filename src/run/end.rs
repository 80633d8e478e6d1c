//! The end of a run that was stopped: the last line of the log says why.

use crate::cause::Cause;
use crate::event::Event;
use crate::exit::Exit;
use crate::reason::Reason;

use super::{Control, Stop};

/// Why a run ended early.
pub enum End {
    /// A signal of this number.
    Signal(i32),
    /// It could not go on.
    Aborted(Cause),
}

impl End {
    /// The end of the run, if it was stopped.
    #[must_use]
    pub fn of(control: &Control) -> Option<End> {
        Some(match control.cause()? {
            Stop::Signal(signal) => End::Signal(signal),
            Stop::LowSpace => {
                let message = "free space is below the minimum, and --abort-on-low-space was given";
                End::Aborted(Cause::new(Reason::LowSpace, message))
            }
            // The log is what could not be written; the terminal still can.
            Stop::Observer(message) => End::Aborted(Cause::new(Reason::Log, message)),
        })
    }

    /// The exit code that says so.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            End::Signal(signal) => Exit::Signal(*signal),
            End::Aborted(_) => Exit::Failure,
        }
    }

    /// What is said of it.
    #[must_use]
    pub fn event(&self) -> Event<'_> {
        match self {
            End::Signal(signal) => Event::Interrupted { signal: *signal },
            End::Aborted(cause) => Event::Abort { cause },
        }
    }
}
