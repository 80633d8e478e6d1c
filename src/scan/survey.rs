//! One archive, from open to its last line in the log.

use std::any::Any;
use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::archive;
use crate::cause::Cause;
use crate::event::{Action, Archive, ArchiveTotals, Check, Event, Image, Scope};
use crate::finding::Finding;
use crate::images::{Images, Role};
use crate::member::{self, Content, Item, Member};
use crate::reason::Reason;
use crate::rescue::Maps;
use crate::staging::Room;
use crate::vouch;
use crate::zst::{self, Engine, Identity, Meter, Options, ZstFile};

use super::judge::Pending;
use super::keep::Outcome;
use super::{Run, panics};

/// Images that one archive may hold: what is remembered of each is bounded, and so has to be their number.
const MAX_IMAGES: u64 = 10_000;
/// Warnings of one archive that are told one by one: what a few bytes of it can cause, millions of times, is bounded.
const MAX_WARNINGS: u64 = 1000;
/// Verdicts that wait for the last rescue map, or for the end of a frame; past that the oldest is given without.
pub(super) const MAX_WAITING: usize = 1024;
/// Memory that the sparse maps of images may take that wait for room, in bytes; past that they are not tried again.
const MAX_DEFERRED_MEMORY: usize = 64 << 20;

/// An archive that is being surveyed, and what is known of it.
pub(super) struct Survey<'r> {
    pub(super) run: &'r Run<'r>,
    pub(super) archive: Arc<Archive>,
    pub(super) totals: ArchiveTotals,
    meter: Arc<Meter>,
    started: Instant,
    identity: Option<Identity>,
    images: Images,
    /// How many images of a name were met, by a hash of the name: names are untrusted and may be long.
    ordinals: HashMap<u64, u32>,
    hasher: RandomState,
    pub(super) maps: Maps,
    /// The image that is being looked at.
    pub(super) current: Option<Image>,
    /// Verdicts below "keep" that a rescue map later in the archive may change.
    pub(super) pending: VecDeque<Pending>,
    /// Images that are staged, and whose frames were not read to their end yet.
    unverified: Vec<Unverified>,
    /// The last image of a dry run that would be kept, until the member behind it has shown whether it is its rescue map.
    would_keep: Option<(Image, Check)>,
    /// Images that found no room.
    pub(super) deferred: Vec<Deferred>,
    /// What ends the archive in an error: the first that was met.
    failure: Option<Cause>,
    warnings: u64,
}

struct Unverified {
    image: Image,
    check: Check,
    /// Where its data lie in the archive.
    data: Range<u64>,
}

pub(super) struct Deferred {
    pub(super) image: Image,
    pub(super) finding: Finding,
    content: Content,
}

impl<'r> Survey<'r> {
    /// Surveys `archive`. Given back only where images of it are to be tried again.
    pub fn run(run: &'r Run<'r>, archive: Arc<Archive>, meter: Arc<Meter>) -> Option<Survey<'r>> {
        let site = &run.config.site;
        let removed_files = run.swept.get(&archive.hash).copied().unwrap_or(0);
        let mut survey = Survey {
            run,
            archive,
            totals: ArchiveTotals { removed_files, engine: run.config.engine, ..ArchiveTotals::default() },
            meter,
            started: Instant::now(),
            identity: None,
            images: Images::new(&site.image_suffix, Some(site.min_image_size.0)),
            ordinals: HashMap::new(),
            hasher: RandomState::new(),
            maps: Maps::new(&run.config.site.image_suffix),
            current: None,
            pending: VecDeque::new(),
            unverified: Vec::new(),
            would_keep: None,
            deferred: Vec::new(),
            failure: None,
            warnings: 0,
        };
        survey.guarded(Survey::read);
        survey.settle();
        if run.control.is_stopped() || survey.deferred.is_empty() {
            survey.end();
            return None;
        }
        Some(survey)
    }

    /// Place of the archive in the order.
    pub fn rank(&self) -> usize {
        self.archive.rank
    }

    /// Does `work`; what ends it becomes the archive's failure, a panic too.
    fn guarded(&mut self, work: impl FnOnce(&mut Survey<'r>) -> Result<(), Cause>) {
        let outcome = catch_unwind(AssertUnwindSafe(|| work(self)));
        let failure = outcome.unwrap_or_else(|payload: Box<dyn Any + Send>| {
            let message = format!("a fault of imgsieve itself, please report it: {}", panics::message(&*payload));
            Err(Cause::new(Reason::Panic, message))
        });
        if let Err(cause) = failure {
            self.fail(cause);
        }
    }

    /// Takes note of what makes the archive one that ends in an error. The first is said last; others are warned of.
    fn fail(&mut self, cause: Cause) {
        if self.failure.is_none() {
            self.failure = Some(cause);
        } else {
            self.warn(&cause);
        }
    }

    pub(super) fn emit(&self, event: &Event<'_>) {
        self.run.emit(event);
    }

    pub(super) fn warn(&mut self, cause: &Cause) {
        self.warnings += 1;
        if self.warnings > MAX_WARNINGS {
            return;
        }
        self.tell(cause);
    }

    fn tell(&self, cause: &Cause) {
        self.emit(&Event::Warning { scope: Scope::Archive(&self.archive), cause });
    }

    /// Whether an earlier run found something wrong with the archive that only decoding notices.
    pub(super) fn is_doubted(&self) -> bool {
        self.run.doubted.contains(&self.archive.hash)
    }

    fn options(&self) -> Options {
        Options {
            engine: if self.is_doubted() { Engine::Decode } else { self.run.config.engine },
            max_window: self.run.config.site.max_window.0,
            meter: Arc::clone(&self.meter),
            voucher: Some(vouch::vouches),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.run.control.is_stopped()
    }

    /// Reads the archive to its end.
    fn read(&mut self) -> Result<(), Cause> {
        let zst = ZstFile::open(&self.archive.path, self.options()).map_err(|error| Cause::from(&error))?;
        self.identity = Some(zst.identity());
        let walked = self.walk(&zst);
        self.judge(&zst);
        let read = walked.and_then(|()| self.finish(&zst).map_err(|error| Cause::from(&error)));
        self.flush_verified(&zst);
        if let Some(padding) = zst.padding() {
            self.warn(&Cause::from(padding));
        }
        if read.is_ok() && self.failure.is_none() && !self.is_stopped() {
            // Whatever else was warned of, this is told.
            self.images.none().iter().for_each(|cause| self.tell(cause));
        }
        let seen = zst.totals();
        self.totals.content_bytes = zst.reached();
        self.totals.passed_over_bytes = self.totals.content_bytes.saturating_sub(seen.decoded_once);
        self.totals.frames = seen.frames;
        self.totals.checksummed_frames = seen.checksummed_frames;
        self.totals.verified = read.is_ok() && self.totals.passed_over_bytes == 0;
        self.count(&zst);
        // A file that changed under its reader explains whatever else is wrong with it.
        zst.check_unchanged().map_err(|error| Cause::from(&error))?;
        read
    }

    /// Comes to the end of the frames that images were staged from, and to the archive's.
    fn finish(&self, zst: &ZstFile) -> Result<(), zst::Error> {
        self.unverified.iter().try_for_each(|staged| zst.verify(&staged.data))?;
        zst.finish().map(|_| ())
    }

    /// Adds what reading the file took.
    fn count(&mut self, zst: &ZstFile) {
        let took = zst.totals();
        self.totals.rewinds += took.rewinds;
        self.totals.sized_bytes += took.sized;
        self.totals.jumped_bytes += took.jumped;
        self.totals.traced_bytes += took.traced;
        self.totals.fallbacks += took.fallbacks;
        self.totals.requested_bytes += took.requested;
    }

    fn walk(&mut self, zst: &ZstFile) -> Result<(), Cause> {
        let mut members = member::walk(zst);
        loop {
            let item = members.next().map_err(|error| Cause::from(&error))?;
            // Only now: the member before this one may be the rescue map of an image whose verdict is due.
            self.maps.read_wanted(zst);
            self.warn_of_maps();
            self.flush_verified(zst);
            match item {
                None => return Ok(()),
                Some(_) if self.is_stopped() => return Ok(()),
                Some(Item::Member(member)) => self.member(zst, &member)?,
                Some(Item::Note(note)) => self.warn(&Cause::new(note.code(), note.to_string())),
                Some(Item::Bad(error)) => self.fail(Cause::from(&error)),
            }
        }
    }

    fn member(&mut self, zst: &ZstFile, member: &Member) -> Result<(), Cause> {
        self.totals.members += 1;
        if let Some(note) = &member.note {
            self.warn(&Cause::new(note.code(), note.to_string()));
        }
        match self.images.judge(member) {
            Role::Image(content) => {
                self.give_would_keep(Some(zst));
                self.maps.add_image(&member.path);
                return self.image(zst, member, &content);
            }
            Role::NoImage(warning) => {
                self.give_would_keep(Some(zst));
                if member.kind.is_file() {
                    self.maps.add_image(&member.path);
                }
                if let Some(cause) = &warning {
                    self.warn(cause);
                }
            }
            Role::Other if self.maps.add_member(member) => {
                if zst.decodes_all() {
                    self.maps.read_newest(zst);
                }
            }
            Role::Other => self.give_would_keep(Some(zst)),
        }
        Ok(())
    }

    /// An image of this content: the member's own, or that of the file that it is a link to, which lies further forward.
    fn image(&mut self, zst: &ZstFile, member: &Member, content: &Content) -> Result<(), Cause> {
        let name = member.file_name();
        let ordinal = self.ordinals.entry(self.hasher.hash_one(name)).or_insert(0);
        *ordinal += 1;
        let image = Image::new(name, &member.path, content.size(), *ordinal);
        if self.totals.images == MAX_IMAGES {
            let message = format!("more than {MAX_IMAGES} images: the rest of the archive is not looked at");
            return Err(Cause::new(Reason::TooManyImages, message));
        }
        self.totals.images += 1;
        self.current = Some(image.clone());
        self.emit(&Event::ImageFound { archive: &self.archive, image: &image });
        if self.totals.images == 2 {
            let message = "more than one image: each archive should be of one medium; all are checked";
            self.warn(&Cause::new(Reason::SeveralImages, message));
        }
        self.decide(zst, image, content);
        Ok(())
    }

    fn decide(&mut self, zst: &ZstFile, image: Image, content: &Content) {
        let config = self.run.config;
        let least = config.site.min_partitions;
        // What is kept is read whole from staging, where the rest of its table costs nothing.
        let enough = (!config.dry_run).then_some(least);
        let mut finding = archive::examine(zst, content, enough);
        let known = self.known_map(zst, &image);
        finding = archive::look_behind_unread(zst, content, enough, &known, (&finding, least)).unwrap_or(finding);
        if self.is_stopped() {
            return;
        }
        finding.note_rescued(&known, image.size);
        match finding.count {
            Some(count) if count >= least => self.keep_multi(zst, image, finding, content),
            None if config.keep_undecided => self.keep(zst, image, finding, content),
            _ => {
                archive::complete(zst, content, &mut finding, config.deep_fs);
                self.wait_for_map(zst, Pending { image, finding, content: content.clone() });
            }
        }
    }

    pub(super) fn keep(&mut self, zst: &ZstFile, image: Image, finding: Finding, content: &Content) {
        match self.stage(zst, &image, &finding, content, Room::Whole) {
            Outcome::Staged { check, data } => {
                self.current = None;
                self.unverified.push(Unverified { image, check, data });
                if self.unverified.len() > MAX_WAITING {
                    let oldest = self.unverified.remove(0);
                    self.give_unverified(oldest);
                }
            }
            // The member behind it may be its rescue map.
            Outcome::Decided(check) => {
                self.current = None;
                self.give_would_keep(Some(zst));
                self.would_keep = Some((image, check));
            }
            Outcome::NoRoom(cause) => {
                self.emit(&Event::Deferred { archive: &self.archive, image: &image, cause: &cause });
                let memory = |content: &Content, finding: &Finding| content.memory() + finding.memory();
                let each = self.deferred.iter().map(|deferred| memory(&deferred.content, &deferred.finding));
                if each.sum::<usize>() + memory(content, &finding) > MAX_DEFERRED_MEMORY {
                    self.no_room(&image, finding, cause);
                } else {
                    self.current = None;
                    self.deferred.push(Deferred { image, finding, content: content.clone() });
                }
            }
            Outcome::Failed(cause) => self.image_error(&image, Some(finding), cause),
            Outcome::Stopped => {}
        }
    }

    /// The verdict on an image that is to be kept, and for which there is no room to the end of the run.
    fn no_room(&mut self, image: &Image, finding: Finding, cause: Cause) {
        self.emit(&Event::Error { scope: Scope::Image(&self.archive, image), cause: &cause });
        self.check(image, &Check { finding: Some(finding), action: Action::Deferred, reason: Some(cause) });
    }

    pub(super) fn image_error(&mut self, image: &Image, finding: Option<Finding>, cause: Cause) {
        self.emit(&Event::Error { scope: Scope::Image(&self.archive, image), cause: &cause });
        self.check(image, &Check { finding, action: Action::Error, reason: Some(cause) });
    }

    /// Gives the one verdict on an image.
    pub(super) fn check(&mut self, image: &Image, check: &Check) {
        self.current = None;
        match &check.action {
            Action::Kept(kept) => {
                self.totals.kept += 1;
                self.totals.bytes_written += kept.bytes_written;
            }
            Action::WouldKeep { .. } => self.run.totals().would_keep += 1,
            Action::Deferred => self.run.totals().deferred += 1,
            Action::Error => self.run.totals().image_errors += 1,
            Action::Deleted => {}
        }
        self.emit(&Event::PartitionCheck { archive: &self.archive, image, check });
    }

    /// Gives the verdict on the image that would be kept, with what the last rescue map so far says.
    pub(super) fn give_would_keep(&mut self, zst: Option<&ZstFile>) {
        let image = self.would_keep.as_ref().map(|(image, _)| image.clone());
        let known = zst.zip(image).and_then(|(zst, image)| self.known_now(zst, &image));
        if let Some((image, mut check)) = self.would_keep.take() {
            check.note_rescued(known.as_ref(), image.size);
            self.check(&image, &check);
        }
    }

    /// Gives the verdict on staged images whose frames were decoded to their end.
    fn flush_verified(&mut self, zst: &ZstFile) {
        while let Some(index) = self.unverified.iter().position(|staged| zst.is_intact(&staged.data)) {
            let image = self.unverified.get(index).map(|staged| staged.image.clone());
            let known = image.and_then(|image| self.known_now(zst, &image));
            let Unverified { image, mut check, .. } = self.unverified.remove(index);
            check.note_rescued(known.as_ref(), image.size);
            self.check(&image, &check);
        }
    }

    /// Gives the verdict on a staged image whose frames will not be read to their end.
    fn give_unverified(&mut self, staged: Unverified) {
        let Unverified { image, mut check, .. } = staged;
        if let Action::Kept(kept) = &mut check.action {
            kept.verified = Some(false);
        }
        let message = "the image is complete, but the frame that it comes from was not read to its end without error";
        let cause = Cause::new(Reason::NotVerified, message);
        self.emit(&Event::Warning { scope: Scope::Image(&self.archive, &image), cause: &cause });
        self.check(&image, &check);
    }

    /// Gives every verdict that still waits for something, now that nothing more comes.
    fn settle(&mut self) {
        loop {
            // What panics is no longer waiting by then, so that this ends.
            self.guarded(|survey| {
                survey.settle_each();
                Ok(())
            });
            let is_waiting = !(self.unverified.is_empty() && self.pending.is_empty())
                || self.would_keep.is_some()
                || self.current.is_some();
            if self.is_stopped() || !is_waiting {
                return;
            }
        }
    }

    fn settle_each(&mut self) {
        // First: every other verdict takes its place.
        if let Some(image) = self.current.take_if(|_| !self.run.control.is_stopped()) {
            let cause = self.failure.clone().unwrap_or_else(|| Cause::new(Reason::Undecidable, "no verdict"));
            self.image_error(&image, None, cause);
        }
        while !self.unverified.is_empty() {
            let staged = self.unverified.remove(0);
            self.give_unverified(staged);
        }
        self.give_would_keep(None);
        // Those are left by a panic: what their maps say was not looked at.
        while !self.is_stopped()
            && let Some(Pending { image, finding, .. }) = self.pending.pop_front()
        {
            let cause = self.failure.clone().unwrap_or_else(|| Cause::new(Reason::Undecidable, "no verdict"));
            self.image_error(&image, Some(finding), cause);
        }
    }

    /// Tries once more, alone, what found no room; then ends the archive.
    pub fn retry(mut self) {
        // A panic costs the image that it met, which is no longer waiting by then, and not the others.
        while !self.deferred.is_empty() && !self.is_stopped() {
            self.guarded(Survey::retry_each);
            self.settle();
        }
        self.end();
    }

    fn retry_each(&mut self) -> Result<(), Cause> {
        let opened = ZstFile::open(&self.archive.path, self.options()).and_then(|zst| {
            if self.identity == Some(zst.identity()) {
                Ok(zst)
            } else {
                Err(zst::Error::Changed(zst::Change::Replaced))
            }
        });
        let mut is_readable = Ok(());
        while !self.deferred.is_empty() && !self.is_stopped() {
            let Deferred { image, finding, content } = self.deferred.remove(0);
            self.current = Some(image.clone());
            let zst = match &opened {
                Ok(zst) => zst,
                Err(error) => {
                    let cause = Cause::from(error);
                    is_readable = Err(cause.clone());
                    self.image_error(&image, Some(finding), cause);
                    continue;
                }
            };
            match self.stage(zst, &image, &finding, &content, Room::Growing) {
                Outcome::Staged { check, data } => {
                    self.current = None;
                    self.unverified.push(Unverified { image, check, data: data.clone() });
                    // What fails then is the frame's end: the image is there, and the verdict says that it is not verified.
                    let verified = zst.verify(&data);
                    self.flush_verified(zst);
                    if let Err(error) = verified {
                        self.fail(Cause::from(&error));
                        self.settle();
                    }
                }
                Outcome::Decided(check) => self.check(&image, &check),
                Outcome::NoRoom(cause) => self.no_room(&image, finding, cause),
                Outcome::Failed(cause) => self.image_error(&image, Some(finding), cause),
                Outcome::Stopped => return Ok(()),
            }
        }
        if let Ok(zst) = &opened {
            self.count(zst);
        }
        is_readable
    }

    /// The last lines of the archive, unless the run was stopped in the middle of it.
    fn end(mut self) {
        self.totals.seconds = self.started.elapsed().as_secs_f64();
        self.totals.decoded_bytes = self.meter.decoded();
        self.run.add(&self.archive, &self.totals, self.failure.is_some());
        if self.is_stopped() {
            return;
        }
        if let Some(untold @ 1..) = self.warnings.checked_sub(MAX_WARNINGS) {
            let cause = Cause::new(Reason::MoreWarnings, format!("{untold} further warnings of it are not told"));
            self.emit(&Event::Warning { scope: Scope::Archive(&self.archive), cause: &cause });
        }
        self.emit(&Event::Cleanup {
            archive: &self.archive,
            removed_files: self.totals.removed_files,
            kept_images: self.totals.kept,
        });
        match &self.failure {
            Some(cause) => {
                self.emit(&Event::ArchiveFailed { archive: &self.archive, totals: &self.totals, cause });
            }
            None => self.emit(&Event::ArchiveComplete {
                archive: &self.archive,
                totals: &self.totals,
                space: self.run.space(),
            }),
        }
    }
}
