//! The events of one archive, from its first warning to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::cause::Cause;
use crate::event::{Archive, ArchiveTotals, Event, Image, Scope};
use crate::images::{MemberRule, MembersLeftOut};
use crate::reason::Reason;

use super::Shared;

/// Warnings of one archive that are told one by one: what a few bytes of it can cause, millions of times, is bounded.
const MAX_WARNINGS: u64 = 1000;

/// Tells of an archive.
pub(super) struct Teller<'r> {
    run: &'r Shared<'r>,
    archive: Arc<Archive>,
    /// What ends the archive in an error: the first that was met.
    failure: Option<Cause>,
    warnings: u64,
}

impl<'r> Teller<'r> {
    /// For `archive`, of which no more is told yet than that it was begun.
    pub fn new(run: &'r Shared<'r>, archive: Arc<Archive>) -> Teller<'r> {
        Teller { run, archive, failure: None, warnings: 0 }
    }

    pub fn archive(&self) -> &Arc<Archive> {
        &self.archive
    }

    pub fn emit(&self, event: &Event<'_>) {
        self.run.emit(event);
    }

    /// Warns of something, if that was not done too often.
    pub fn warn(&mut self, cause: &Cause) {
        self.warnings += 1;
        if self.warnings <= MAX_WARNINGS {
            self.warn_always(cause);
        }
    }

    /// Warns of something, whatever else was warned of.
    pub fn warn_always(&self, cause: &Cause) {
        self.emit(&Event::Warning { scope: Scope::Archive(&self.archive), cause });
    }

    /// Warns of something about an image.
    pub fn warn_of(&self, image: &Image, cause: &Cause) {
        self.emit(&Event::Warning { scope: Scope::Image(&self.archive, image), cause });
    }

    /// Takes note of what makes the archive one that ends in an error. The first is said last; others are warned of.
    pub fn fail(&mut self, cause: Cause) {
        if self.failure.is_none() {
            self.failure = Some(cause);
        } else {
            self.warn(&cause);
        }
    }

    pub fn failure(&self) -> Option<&Cause> {
        self.failure.as_ref()
    }

    /// The last lines of the archive.
    pub fn end(&self, totals: &ArchiveTotals, left_out: &BTreeMap<MemberRule, MembersLeftOut>) {
        let archive = &*self.archive;
        if let Some(untold @ 1..) = self.warnings.checked_sub(MAX_WARNINGS) {
            let message = format!("{untold} further warnings about it are not shown");
            self.warn_always(&Cause::new(Reason::MoreWarnings, message));
        }
        let (removed_files, kept_images) = (totals.removed_files, totals.kept);
        self.emit(&Event::Cleanup { archive, removed_files, kept_images });
        match &self.failure {
            Some(cause) => self.emit(&Event::ArchiveFailed { archive, totals, left_out, cause }),
            None => self.emit(&Event::ArchiveComplete { archive, totals, left_out, space: self.run.space() }),
        }
    }
}
