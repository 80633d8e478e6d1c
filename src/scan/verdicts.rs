//! The verdicts on the images of one archive: exactly one on each that was found, unless the run is cut short.
//!
//! What is found is certain at once; the verdict may have to wait, and [`OpenImages`] has what for. Fewer partitions
//! than are kept are no verdict before the last rescue map of the image is known, which may be the archive's last member.
//! What is staged has to come from frames that held to their end.

use std::sync::Arc;

use crate::archive;
use crate::cause::Cause;
use crate::event::{Action, Archive, ArchiveTotals, Check, Event, Image, Kept, Scope};
use crate::finding::Finding;
use crate::member::{Content, Member};
use crate::reason::Reason;
use crate::rescue::{Known, Maps};
use crate::zst::ZstFile;

use super::Shared;
use super::head::Head;
use super::open::{OpenImage, OpenImages, Wait};
use super::stager::{Outcome, Stager, tar_cut};
use super::teller::Teller;

/// Gives the verdicts.
pub(super) struct Verdicts<'r> {
    run: &'r Shared<'r>,
    pub teller: Teller<'r>,
    pub maps: Maps,
    pub totals: ArchiveTotals,
    open: OpenImages,
    stager: Stager<'r>,
}

impl<'r> Verdicts<'r> {
    /// No image of `archive` was found yet.
    pub fn new(run: &'r Shared<'r>, archive: &Arc<Archive>) -> Verdicts<'r> {
        let removed_files = run.swept.get(&archive.hash).copied().unwrap_or(0);
        Verdicts {
            run,
            teller: Teller::new(run, Arc::clone(archive)),
            maps: Maps::new(run.config.site.image_suffix.clone()),
            totals: ArchiveTotals { removed_files, engine: run.config.engine, ..ArchiveTotals::default() },
            open: OpenImages::default(),
            stager: Stager::new(run, Arc::clone(archive)),
        }
    }

    fn is_stopped(&self) -> bool {
        self.run.control.is_stopped()
    }

    /// An image of this content: the member's own, or that of the file that it is a link to, which lies further forward.
    pub fn image(&mut self, zst: &ZstFile, member: &Member, content: &Content) {
        let open = self.open.add(member, content);
        self.totals.images = self.open.found();
        self.teller.emit(&Event::ImageFound { archive: self.teller.archive(), image: &open.image });
        if self.totals.images == 2 {
            let message = "more than one image, though an archive should hold one medium; all are checked";
            self.teller.warn(&Cause::new(Reason::SeveralImages, message));
        }
        self.look(zst, open);
    }

    /// The verdict on the first image, as far as the beginning of the archive settles it.
    pub fn first_look(&mut self, head: &Head<'_>, member: &Member, content: &Content) {
        let mut open = self.open.add(member, content);
        self.totals.images = self.open.found();
        self.teller.emit(&Event::ImageFound { archive: self.teller.archive(), image: &open.image });
        let least = self.run.config.site.min_partitions;
        let (finding, undecided) = head.examine(member, content, &mut self.maps, least);
        self.warn_of_maps();
        if self.is_stopped() {
            return;
        }
        if undecided.is_some() {
            open.finding = Some(finding);
            return self.close(open, Action::Undecided, undecided);
        }
        if finding.count.is_none_or(|count| count < least) {
            return self.close_below(open, finding);
        }
        self.totals.multi += 1;
        if let Some((_, open)) = self.stage(head.zst(), open, finding) {
            self.close_done(None, open);
        }
    }

    /// Looks at an image, and gives the verdict if it can be given now.
    fn look(&mut self, zst: &ZstFile, mut open: OpenImage) {
        let config = self.run.config;
        let least = config.site.min_partitions;
        // What is kept is read whole from staging, where the rest of its table costs nothing.
        let enough = (!config.dry_run).then_some(least);
        let mut finding = archive::examine(zst, &open.content, enough);
        let known = self.known_map(zst, &open.image);
        finding = archive::look_behind_unread(zst, &open.content, enough, &known, (&finding, least)).unwrap_or(finding);
        if self.is_stopped() {
            return;
        }
        finding.note_rescued(&known, open.image.size);
        match finding.count {
            Some(count) if count >= least => self.keep_multi(zst, open, finding),
            None if config.keep_undecided => self.keep(zst, open, finding),
            _ => {
                archive::complete(zst, &open.content, &mut finding, config.deep_fs);
                open.finding = Some(finding);
                self.wait(zst, Wait::LastMap, open);
            }
        }
    }

    /// Keeps an image with enough partitions.
    fn keep_multi(&mut self, zst: &ZstFile, open: OpenImage, mut finding: Finding) {
        let config = self.run.config;
        self.totals.multi += 1;
        if config.dry_run {
            archive::complete(zst, &open.content, &mut finding, config.deep_fs);
        }
        self.keep(zst, open, finding);
    }

    fn keep(&mut self, zst: &ZstFile, open: OpenImage, finding: Finding) {
        if let Some((wait, open)) = self.stage(zst, open, finding) {
            self.wait(zst, wait, open);
        }
    }

    /// Has an image wait; those that have waited longest give way where there are too many.
    fn wait(&mut self, zst: &ZstFile, wait: Wait, open: OpenImage) {
        self.open.put(wait, open);
        while let Some(oldest) = self.open.take_surplus(wait) {
            match wait {
                Wait::FrameEnd => self.close_unverified(oldest),
                Wait::NextMember => self.close_done(Some(zst), oldest),
                Wait::LastMap => self.decide(zst, oldest),
                Wait::Room => self.close_without_room(oldest),
            }
        }
    }

    /// Stages an image, and gives it back with what its verdict waits for, if it waits.
    fn stage(&mut self, zst: &ZstFile, mut open: OpenImage, finding: Finding) -> Option<(Wait, OpenImage)> {
        let tried = open.no_room.take();
        let (action, wait) = match self.stager.stage(zst, &open.image, &finding, &open.content, tried.as_ref()) {
            Outcome::Staged(whole, kept) => {
                open.finding = Some(whole);
                (Action::Kept(kept), Wait::FrameEnd)
            }
            Outcome::Cut(cut, kept, length, cause) => {
                open.finding = Some(cut);
                open.image.size = length;
                open.cut = Some(cause);
                (Action::Kept(kept), Wait::NextMember)
            }
            Outcome::There(whole, kept) => {
                open.finding = Some(whole);
                (Action::Kept(kept), Wait::NextMember)
            }
            Outcome::WouldKeep { at_most, existing } => {
                open.finding = Some(finding);
                (Action::WouldKeep { at_most, existing }, Wait::NextMember)
            }
            Outcome::NoRoom(no_room) => {
                open.finding = Some(finding);
                if tried.is_none() {
                    let archive = self.teller.archive();
                    self.teller.emit(&Event::Deferred { archive, image: &open.image, cause: &no_room.cause });
                    open.no_room = Some(no_room);
                    return Some((Wait::Room, open));
                }
                self.close(open, Action::Deferred, Some(no_room.cause));
                return None;
            }
            Outcome::Failed(cause) => {
                open.finding = Some(finding);
                self.close(open, Action::Error, Some(cause));
                return None;
            }
            Outcome::Stopped => return None,
        };
        open.done = Some(action);
        open.content = Content::empty();
        Some((wait, open))
    }

    /// What the archive tells so far of what was rescued of the image's medium.
    fn known_map(&mut self, zst: &ZstFile, image: &Image) -> Known {
        let known = self.maps.of(&image.member, zst);
        self.warn_of_maps();
        known
    }

    /// The same; none where the run is to end, and a map that could not be read need not be one that cannot be.
    fn known_now(&mut self, zst: &ZstFile, image: &Image) -> Option<Known> {
        let known = self.known_map(zst, image);
        (!self.is_stopped()).then_some(known)
    }

    /// Warns of maps that cannot be used, of those that were read since this was done last.
    fn warn_of_maps(&mut self) {
        let warnings = self.maps.take_warnings();
        if self.is_stopped() {
            return;
        }
        for cause in &warnings {
            self.teller.warn(cause);
        }
    }

    /// What is to be done once the tar was read to the header of the next member: maps were passed, frames came to their
    /// ends.
    pub fn member_read(&mut self, zst: &ZstFile) {
        self.maps.read_wanted(zst);
        self.warn_of_maps();
        self.close_verified(zst);
    }

    /// The member after an image is not a rescue map of it.
    pub fn member_behind(&mut self, zst: &ZstFile) {
        while let Some(open) = self.open.take(Wait::NextMember) {
            self.close_done(Some(zst), open);
        }
    }

    /// Gives the verdict on staged images whose frames were decoded to their end.
    pub fn close_verified(&mut self, zst: &ZstFile) {
        while let Some(open) = self.open.take_if(Wait::FrameEnd, |open| zst.is_intact(&open.data)) {
            self.close_done(Some(zst), open);
        }
    }

    /// Images that would be kept, and that the archive ends in, for a reason that is known or that of the tar: a run that
    /// is not dry cannot stage them whole, and this one says so.
    fn close_cut(&mut self, zst: &ZstFile, failure: Option<&Cause>) {
        let reached = zst.reached();
        let is_cut = |open: &OpenImage| matches!(open.done, Some(Action::WouldKeep { .. })) && open.data.end > reached;
        while !self.is_stopped()
            && let Some(mut open) = self.open.take_if(Wait::NextMember, is_cut)
        {
            let cause = failure.cloned().unwrap_or_else(|| tar_cut(open.image.size));
            if self.run.config.keep_undecided {
                open.cut = Some(cause);
                self.close_done(Some(zst), open);
            } else {
                self.close(open, Action::Error, Some(cause));
            }
        }
    }

    /// No more members come: gives the verdicts that waited for the last rescue map.
    pub fn no_more_members(&mut self, zst: &ZstFile, failure: Option<&Cause>) {
        self.close_cut(zst, failure);
        self.member_behind(zst);
        while !self.is_stopped()
            && let Some(open) = self.open.take(Wait::LastMap)
        {
            self.decide(zst, open);
        }
        self.member_behind(zst);
        for open in self.open.without_room() {
            let known = self.maps.of(&open.image.member, zst);
            if let Some(finding) = open.finding.as_mut().filter(|_| !self.run.control.is_stopped()) {
                finding.note_rescued(&known, open.image.size);
            }
        }
        if !self.is_stopped() {
            self.maps.read_late(zst);
        }
        self.warn_of_maps();
    }

    /// The verdict on an image with fewer partitions than are kept, in the light of its rescue map.
    fn decide(&mut self, zst: &ZstFile, mut open: OpenImage) {
        let config = self.run.config;
        let least = config.site.min_partitions;
        let Some(mut finding) = open.finding.take() else { return };
        let known = self.known_map(zst, &open.image);
        let enough = (!config.dry_run).then_some(least);
        let behind = archive::look_behind_unread(zst, &open.content, enough, &known, (&finding, least));
        if self.is_stopped() {
            return;
        }
        if let Some(mut finding) = behind {
            finding.note_rescued(&known, open.image.size);
            return self.keep_multi(zst, open, finding);
        }
        finding.distrust_unread(&known, open.image.size, least);
        if finding.count.is_none() && config.keep_undecided {
            return self.keep(zst, open, finding);
        }
        self.close_below(open, finding);
    }

    /// The verdict on an image that is not kept.
    fn close_below(&mut self, mut open: OpenImage, finding: Finding) {
        let (action, reason) = match finding.count {
            None => {
                let cause = finding.undecidable.clone();
                (Action::Error, cause.unwrap_or_else(|| Cause::new(Reason::Undecidable, "no verdict was reached")))
            }
            Some(0) => (Action::Deleted, Cause::new(Reason::NoPartitions, finding.describe())),
            Some(1) => (Action::Deleted, Cause::new(Reason::SinglePartition, finding.describe())),
            Some(_) => (Action::Deleted, Cause::new(Reason::TooFewPartitions, finding.describe())),
        };
        open.finding = Some(finding);
        self.close(open, action, Some(reason));
    }

    /// The verdict on an image that is staged, or would be, with what its last rescue map so far says, if that can be read.
    fn close_done(&mut self, zst: Option<&ZstFile>, mut open: OpenImage) {
        let known = zst.and_then(|zst| self.known_now(zst, &open.image));
        if let Some((finding, known)) = open.finding.as_mut().zip(known) {
            finding.note_rescued(&known, open.image.size);
        }
        let Some(action) = open.done.take() else { return };
        let undecidable = open.finding.as_ref().and_then(|finding| finding.undecidable.clone());
        let reason = open.cut.take().or(undecidable);
        self.close(open, action, reason);
    }

    /// The verdict on a staged image whose frames will not be read to their end.
    fn close_unverified(&mut self, mut open: OpenImage) {
        if let Some(Action::Kept(kept)) = &mut open.done {
            kept.verified = Some(false);
        }
        let message = "the image has its full length, but its frame was not decoded to its end without error: bytes of it may be wrong";
        self.teller.warn_of(&open.image, &Cause::new(Reason::NotVerified, message));
        self.close_done(None, open);
    }

    /// The verdict on an image that is to be kept, and that cannot wait for room.
    fn close_without_room(&mut self, mut open: OpenImage) {
        let cause = open.no_room.take().map(|no_room| no_room.cause);
        self.close(open, Action::Deferred, cause);
    }

    /// Gives the one verdict on an image, for `reason`.
    fn close(&mut self, open: OpenImage, action: Action, reason: Option<Cause>) {
        self.tell(&open.image, &Check { finding: open.finding, action, reason });
    }

    fn tell(&mut self, image: &Image, check: &Check) {
        self.open.close();
        // What reading came to that was interrupted is not what the image is. What is staged was read whole.
        if self.is_stopped() && !matches!(check.action, Action::Kept(_)) {
            return;
        }
        let archive = self.teller.archive();
        if let (Action::Deferred | Action::Error, Some(cause)) = (&check.action, &check.reason) {
            self.teller.emit(&Event::Error { scope: Scope::Image(archive, image), cause });
        }
        if let Action::Kept(Kept { bytes_written, .. }) = &check.action {
            self.totals.kept += 1;
            self.totals.bytes_written += bytes_written;
        }
        self.teller.emit(&Event::PartitionCheck { archive, image, check });
    }

    /// Gives the verdicts that wait for something that does not come any more; what waits for room may get some yet. Whether
    /// that was all of them: what panics is no longer open by then.
    pub fn settle(&mut self) -> bool {
        if self.is_stopped() {
            return true;
        }
        let cause = || Cause::new(Reason::Undecidable, "no verdict was reached");
        let failure = self.teller.failure().cloned().unwrap_or_else(cause);
        if let Some(image) = self.open.take_lost() {
            self.tell(&image, &Check { finding: None, action: Action::Error, reason: Some(failure) });
        } else if let Some(open) = self.open.take(Wait::FrameEnd) {
            self.close_unverified(open);
        } else if let Some(open) = self.open.take(Wait::NextMember) {
            self.close_done(None, open);
        } else if let Some(open) = self.open.take(Wait::LastMap) {
            // Those are left by a panic: what their maps say was not looked at.
            self.close(open, Action::Error, Some(failure));
        } else {
            return true;
        }
        false
    }

    /// Comes to the end of the frames that images were staged from.
    pub fn verify(&self, zst: &ZstFile) -> Result<(), crate::zst::Error> {
        self.open.waiting(Wait::FrameEnd).try_for_each(|open| zst.verify(&open.data))
    }

    /// Whether images wait for room.
    pub fn needs_room(&self) -> bool {
        self.open.waiting(Wait::Room).next().is_some() && !self.is_stopped()
    }

    /// Tries once more to stage an image that found no room. An error is one of the frames that it came from.
    pub fn retry(&mut self, zst: Result<&ZstFile, &Cause>) -> Result<(), Cause> {
        let Some(mut open) = self.open.take(Wait::Room) else { return Ok(()) };
        let zst = match zst {
            Ok(zst) => zst,
            Err(cause) => {
                self.close(open, Action::Error, Some(cause.clone()));
                return Ok(());
            }
        };
        let data = open.data.clone();
        let Some(finding) = open.finding.take() else { return Ok(()) };
        match self.stage(zst, open, finding) {
            Some((wait, open)) => {
                self.open.put(wait, open);
                if wait != Wait::FrameEnd {
                    return Ok(());
                }
                // What fails then is the frame's end: the image is there, and the verdict says that it is not verified.
                let verified = zst.verify(&data);
                self.close_verified(zst);
                verified.map_err(|error| Cause::from(&error))
            }
            None => Ok(()),
        }
    }

    /// What was found and done, but for what reading the archive took.
    pub fn into_totals(self) -> (Teller<'r>, ArchiveTotals) {
        let removed_files = self.totals.removed_files + self.stager.removed_files;
        (self.teller, ArchiveTotals { removed_files, ..self.totals })
    }
}
