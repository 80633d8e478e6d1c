//! Telling everybody of what happens, the end of the run last.

use crate::cause::Cause;
use crate::event::Event;
use crate::exit::Exit;
use crate::reason::Reason;

use super::{Control, Stop};

/// Somebody who is told of everything that happens, from any thread, in the order in which it happens to an archive.
pub trait Observer: Send + Sync {
    /// Takes note. `Err` ends the run: only who must not miss anything gives it.
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop>;

    /// Has what was noted last as long as the disk does. `Err` ends the run.
    fn sync(&self) -> Result<(), Stop> {
        Ok(())
    }
}

/// Those who are told of what happens in a run. One that cannot go on ends it.
#[derive(Clone, Copy)]
pub struct Observers<'a> {
    control: &'a Control,
    all: &'a [&'a dyn Observer],
}

impl<'a> Observers<'a> {
    /// `all` of them, told in this order.
    #[must_use]
    pub fn new(control: &'a Control, all: &'a [&'a dyn Observer]) -> Observers<'a> {
        Observers { control, all }
    }

    /// Tells all of them, and gives whether each could take it. Where one could not, the run ends, and that is enough for
    /// who has nothing to do first.
    #[allow(clippy::must_use_candidate)]
    pub fn emit(&self, event: &Event<'_>) -> bool {
        self.each(|observer| observer.observe(event))
    }

    /// Has what was told last as long as the disk does.
    #[must_use]
    pub fn sync(&self) -> bool {
        self.each(|observer| observer.sync())
    }

    fn each(&self, tell: impl Fn(&dyn Observer) -> Result<(), Stop>) -> bool {
        let mut all = true;
        for observer in self.all {
            if let Err(stop) = tell(*observer) {
                self.control.stop(stop);
                all = false;
            }
        }
        all
    }

    /// The end of a run that was stopped, if it was: the last line of the log says why.
    #[must_use]
    pub fn end_early(&self) -> Option<Exit> {
        let exit = match self.control.cause()? {
            Stop::Signal(signal) => {
                self.emit(&Event::Interrupted { signal });
                Exit::Signal(signal)
            }
            Stop::LowSpace => {
                let message = "free space is below the minimum, and --abort-on-low-space was given";
                self.emit(&Event::Abort { cause: &Cause::new(Reason::LowSpace, message) });
                Exit::Failure
            }
            Stop::Observer(message) => {
                // The log is what could not be written; the terminal still can.
                self.emit(&Event::Abort { cause: &Cause::new(Reason::Log, message) });
                Exit::Failure
            }
        };
        Some(exit)
    }
}
