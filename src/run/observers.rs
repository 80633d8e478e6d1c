//! Telling the observers what happens, the end of the run last.

use crate::event::Event;

use super::{Control, Stop};

/// Is told everything that happens, from any thread, in the order in which it happens to an archive.
pub trait Observer: Send + Sync {
    /// Takes note of `event`. `Err` ends the run: only an observer that must not miss anything returns it.
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop>;

    /// Syncs what was noted to disk. `Err` ends the run.
    fn sync(&self) -> Result<(), Stop> {
        Ok(())
    }
}

/// The observers of a run. One that cannot go on ends the run.
#[derive(Clone, Copy)]
pub struct Observers<'a> {
    control: &'a Control,
    all: &'a [&'a dyn Observer],
}

impl<'a> Observers<'a> {
    /// Tells `all`, in this order.
    #[must_use]
    pub fn new(control: &'a Control, all: &'a [&'a dyn Observer]) -> Observers<'a> {
        Observers { control, all }
    }

    /// Tells all of them, and returns whether each succeeded. If one did not, the run ends, which is all that most callers
    /// need.
    #[allow(clippy::must_use_candidate)]
    pub fn emit(&self, event: &Event<'_>) -> bool {
        self.each(|observer| observer.observe(event))
    }

    /// Syncs what was told to disk.
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
}
