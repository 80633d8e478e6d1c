//! The log as an observer: it must not miss anything, and where it cannot go on, the run ends.

use crate::event::Event;
use crate::log::Journal;
use crate::log::record::Record;

use super::{Observer, Stop};

impl Observer for Journal {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        let Some(record) = Record::of(event) else { return Ok(()) };
        self.write(&record).map_err(|lost| Stop::Observer(lost.to_string()))
    }

    fn sync(&self) -> Result<(), Stop> {
        Journal::sync(self).map_err(|lost| Stop::Observer(lost.to_string()))
    }
}
