//! The log as an observer: it must not miss anything, and where it cannot go on, the run ends.

use crate::event::{Event, Live};
use crate::log::Journal;
use crate::log::record::Record;

use super::{Observer, Stop};

impl Observer for Journal {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        // Between archives, so that few of them have their lines in two files.
        if let Event::ArchiveStart { .. } | Event::ReprocessStart { .. } | Event::Live(Live::Reading(..)) = event {
            self.follow().map_err(|lost| Stop::Observer(lost.to_string()))?;
        }
        // Before what ends something is written: nothing is removed for a success that nobody can read.
        if let Event::ArchiveComplete { .. }
        | Event::ArchiveFailed { .. }
        | Event::ArchiveVerified { .. }
        | Event::ReprocessComplete { .. } = event
        {
            self.check_there().map_err(|lost| Stop::Observer(lost.to_string()))?;
        }
        let Some(record) = Record::of(event) else { return Ok(()) };
        self.write(&record).map_err(|lost| Stop::Observer(lost.to_string()))
    }

    fn sync(&self) -> Result<(), Stop> {
        Journal::sync(self).map_err(|lost| Stop::Observer(lost.to_string()))
    }
}
