//! Verdicts that wait: fewer partitions than are kept are no verdict before the last rescue map of the image is known, which
//! may be the last member of the archive.

use crate::archive;
use crate::cause::Cause;
use crate::event::{Action, Check, Image};
use crate::finding::Finding;
use crate::member::Content;
use crate::reason::Reason;
use crate::rescue::Known;
use crate::zst::ZstFile;

use super::survey::{MAX_WAITING, Survey};

/// Memory that may be taken by where the images are that wait, in bytes; past that the verdict on the oldest is given.
const MAX_WAITING_MEMORY: usize = 64 << 20;

/// An image with fewer partitions than are kept.
pub(super) struct Pending {
    pub image: Image,
    pub finding: Finding,
    pub content: Content,
}

impl Pending {
    /// Bytes of memory that grow with what the archive says.
    fn memory(&self) -> usize {
        self.content.memory() + self.finding.memory()
    }
}

impl Survey<'_> {
    /// What the archive tells so far of what was rescued of the image's medium.
    pub(super) fn known_map(&mut self, zst: &ZstFile, image: &Image) -> Known {
        let known = self.maps.of(&image.member, zst);
        self.warn_of_maps();
        known
    }

    /// The same; none where the run is to end, and a map that could not be read need not be one that cannot be.
    pub(super) fn known_now(&mut self, zst: &ZstFile, image: &Image) -> Option<Known> {
        let known = self.known_map(zst, image);
        (!self.is_stopped()).then_some(known)
    }

    /// Warns of maps that cannot be used, of those that were read since this was done last.
    pub(super) fn warn_of_maps(&mut self) {
        let warnings = self.maps.take_warnings();
        if self.is_stopped() {
            return;
        }
        for cause in &warnings {
            self.warn(cause);
        }
    }

    /// Keeps an image with enough partitions.
    pub(super) fn keep_multi(&mut self, zst: &ZstFile, image: Image, mut finding: Finding, content: &Content) {
        let config = self.run.config;
        self.totals.multi += 1;
        if config.dry_run {
            archive::complete(zst, content, &mut finding, config.deep_fs);
        }
        self.keep(zst, image, finding, content);
    }

    /// The last map of a name counts, so the verdict that rests on it waits for the end of the archive.
    pub(super) fn wait_for_map(&mut self, zst: &ZstFile, pending: Pending) {
        self.current = None;
        self.pending.push_back(pending);
        let memory = |survey: &Survey<'_>| survey.pending.iter().map(Pending::memory).sum::<usize>();
        while self.pending.len() > MAX_WAITING || memory(self) > MAX_WAITING_MEMORY {
            let Some(oldest) = self.pending.pop_front() else { return };
            self.decide_pending(zst, oldest);
        }
    }

    /// Gives the verdicts that waited for the last rescue map, now that no more comes.
    pub(super) fn judge(&mut self, zst: &ZstFile) {
        self.give_would_keep(Some(zst));
        while !self.is_stopped()
            && let Some(pending) = self.pending.pop_front()
        {
            self.decide_pending(zst, pending);
        }
        for index in 0..self.deferred.len() {
            let Some(image) = self.deferred.get(index).map(|deferred| deferred.image.clone()) else { break };
            let known = self.known_now(zst, &image);
            if let Some((deferred, known)) = self.deferred.get_mut(index).zip(known) {
                deferred.finding.note_rescued(&known, image.size);
            }
        }
        if !self.is_stopped() {
            self.maps.read_late(zst);
            self.warn_of_maps();
        }
    }

    /// The verdict on an image with fewer partitions than are kept, in the light of its rescue map.
    fn decide_pending(&mut self, zst: &ZstFile, pending: Pending) {
        let config = self.run.config;
        let least = config.site.min_partitions;
        let Pending { image, mut finding, content } = pending;
        self.current = Some(image.clone());
        let known = self.known_map(zst, &image);
        let enough = (!config.dry_run).then_some(least);
        let behind = archive::look_behind_unread(zst, &content, enough, &known, (&finding, least));
        if self.is_stopped() {
            return;
        }
        if let Some(mut finding) = behind {
            finding.note_rescued(&known, image.size);
            return self.keep_multi(zst, image, finding, &content);
        }
        finding.distrust_unread(&known, image.size, least);
        if finding.count.is_none() && config.keep_undecided {
            return self.keep(zst, image, finding, &content);
        }
        self.give_below(&image, finding);
    }

    /// The verdict on an image that is not kept.
    fn give_below(&mut self, image: &Image, finding: Finding) {
        let reason = match finding.count {
            None => {
                let cause =
                    finding.undecidable.clone().unwrap_or_else(|| Cause::new(Reason::Undecidable, "no verdict"));
                return self.image_error(image, Some(finding), cause);
            }
            Some(0) => Cause::new(Reason::NoPartitions, finding.describe()),
            Some(1) => Cause::new(Reason::SinglePartition, finding.describe()),
            Some(_) => Cause::new(Reason::TooFewPartitions, finding.describe()),
        };
        self.check(image, &Check { finding: Some(finding), action: Action::Deleted, reason: Some(reason) });
    }
}
