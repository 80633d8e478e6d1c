//! One archive, from open to its last line in the log.

use std::sync::Arc;
use std::time::Instant;

use crate::cause::Cause;
use crate::event::Archive;
use crate::images::{Images, Role};
use crate::member::{self, Content, Item, Member, Note};
use crate::reason::Reason;
use crate::rescue::Maps;
use crate::run::panics;
use crate::vouch;
use crate::zst::{self, Engine, Identity, Meter, Options, ZstFile};

use super::Shared;
use super::head::Head;
use super::verdicts::Verdicts;

/// Images that one archive may hold: what is remembered of each is bounded, and so has to be their number.
const MAX_IMAGES: u64 = 10_000;

/// An archive that is being surveyed, and what is known of it.
pub(super) struct Survey<'r> {
    run: &'r Shared<'r>,
    archive: Arc<Archive>,
    meter: Arc<Meter>,
    started: Instant,
    identity: Option<Identity>,
    images: Images,
    /// Where data stand behind the end of the tar.
    behind_end: Option<u64>,
    verdicts: Verdicts<'r>,
}

impl<'r> Survey<'r> {
    /// Surveys `archive`. Given back only where images of it are to be tried again.
    pub fn run(run: &'r Shared<'r>, archive: Arc<Archive>, meter: Arc<Meter>) -> Option<Survey<'r>> {
        let mut survey = Survey {
            run,
            meter,
            started: Instant::now(),
            identity: None,
            images: images(run),
            behind_end: None,
            verdicts: Verdicts::new(run, &archive),
            archive,
        };
        survey.guarded(Survey::read);
        survey.settle();
        if survey.verdicts.needs_room() {
            return Some(survey);
        }
        survey.end();
        None
    }

    /// Place of the archive in the order.
    pub fn rank(&self) -> usize {
        self.archive.rank
    }

    /// Does `work`; what ends it becomes the archive's failure, a panic too.
    fn guarded<T>(&mut self, work: impl FnOnce(&mut Survey<'r>) -> Result<T, Cause>) -> Option<T> {
        let done = panics::caught(|| work(self));
        done.map_err(|cause| self.verdicts.teller.fail(cause)).ok()
    }

    fn is_stopped(&self) -> bool {
        self.run.control.is_stopped()
    }

    fn open(&self, engine: Engine) -> Result<ZstFile, zst::Error> {
        // What only decoding notices was wrong with it before.
        let is_doubted = self.run.doubted.contains(&self.archive.hash);
        let options = Options {
            engine: if is_doubted { Engine::Decode } else { engine },
            max_window: self.run.config.site.max_window.0,
            meter: Arc::clone(&self.meter),
            voucher: vouch::voucher(self.run.config.engine),
        };
        ZstFile::open_listed(&self.archive.path, self.archive.listed().as_ref(), options)
    }

    /// Reads the archive to its end, or only looks at its beginning.
    fn read(&mut self) -> Result<(), Cause> {
        let config = self.run.config;
        if config.quick {
            let zst = self.open(Engine::Decode).map_err(|error| Cause::from(&error))?;
            if !config.decide || !self.is_left_undecided(&zst) {
                return self.look_at_head(&zst);
            }
            self.count(&zst);
        }
        let zst = self.open(config.engine).map_err(|error| Cause::from(&error))?;
        self.identity = Some(zst.identity());
        self.read_all(&zst)
    }

    fn is_left_undecided(&self, zst: &ZstFile) -> bool {
        let site = &self.run.config.site;
        let maps = Maps::new(site.image_suffix.clone());
        Head::new(zst).leaves_undecided(images(self.run), maps, site.min_partitions)
    }

    fn read_all(&mut self, zst: &ZstFile) -> Result<(), Cause> {
        let walked = self.walk(zst);
        self.verdicts.no_more_members(zst, walked.as_ref().err());
        let read = walked.and_then(|()| self.finish(zst).map_err(|error| Cause::from(&error)));
        self.verdicts.close_verified(zst);
        let teller = &mut self.verdicts.teller;
        if let Some(padding) = zst.padding() {
            teller.warn(&Cause::from(padding));
        }
        if read.is_ok() && teller.failure().is_none() && !self.run.control.is_stopped() {
            self.images.none().iter().for_each(|cause| teller.warn_always(cause));
        }
        let unchanged = zst.check_unchanged();
        // What that took is counted, too.
        self.take_totals(zst);
        if let Some(offset) = self.behind_end {
            self.images.leave_behind_end(zst.reached().saturating_sub(offset));
        }
        let totals = &mut self.verdicts.totals;
        totals.verified = read.is_ok() && totals.passed_over_bytes == 0;
        // A file that changed under its reader explains whatever else is wrong with it.
        unchanged.map_err(|error| Cause::from(&error))?;
        read
    }

    /// Looks at the beginning of the archive, up to the first image there.
    fn look_at_head(&mut self, zst: &ZstFile) -> Result<(), Cause> {
        let head = Head::new(zst);
        self.verdicts.totals.complete = Some(false);
        let looked = self.walk_head(&head);
        let unchanged = zst.check_unchanged();
        self.take_totals(zst);
        unchanged.map_err(|error| Cause::from(&error))?;
        looked
    }

    fn walk_head(&mut self, head: &Head<'_>) -> Result<(), Cause> {
        let mut members = member::walk(head);
        while !self.is_stopped() {
            let teller = &mut self.verdicts.teller;
            match members.next() {
                Err(_) | Ok(Some(Item::Bad(_))) if head.is_left() => return Ok(()),
                Err(error) => return Err(Cause::from(&error)),
                Ok(None) => return Ok(()),
                Ok(Some(Item::Note(note))) => teller.warn(&Cause::new(note.code(), note.to_string())),
                Ok(Some(Item::Bad(error))) => teller.fail(Cause::from(&error)),
                Ok(Some(Item::Member(member))) => {
                    self.verdicts.totals.members += 1;
                    match self.images.judge(&member) {
                        Role::Image(content) => {
                            self.verdicts.first_look(head, &member, &content);
                            return Ok(());
                        }
                        // A rescue map may stand in front of its image.
                        Role::Other => {
                            self.verdicts.maps.add_member(&member);
                        }
                        Role::NoImage(_) => {}
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes note of what was read of the archive.
    fn take_totals(&mut self, zst: &ZstFile) {
        let seen = zst.totals();
        let totals = &mut self.verdicts.totals;
        totals.content_bytes = zst.reached();
        totals.passed_over_bytes = totals.content_bytes.saturating_sub(seen.decoded_once);
        totals.frames = seen.frames;
        totals.checksummed_frames = seen.checksummed_frames;
        self.count(zst);
    }

    /// Comes to the end of the frames that images were staged from, and to the archive's.
    fn finish(&self, zst: &ZstFile) -> Result<(), zst::Error> {
        self.verdicts.verify(zst)?;
        zst.finish().map(|_| ())
    }

    /// Adds what reading the file took.
    fn count(&mut self, zst: &ZstFile) {
        let (took, totals) = (zst.totals(), &mut self.verdicts.totals);
        totals.rewinds += took.rewinds;
        totals.sized_bytes += took.sized;
        totals.jumped_bytes += took.jumped;
        totals.presumed_bytes += took.presumed;
        totals.refuted += took.refuted;
        totals.traced_bytes += took.traced;
        totals.fallbacks += took.fallbacks;
        totals.requested_bytes += took.requested;
        totals.requests += took.requests;
    }

    fn walk(&mut self, zst: &ZstFile) -> Result<(), Cause> {
        let mut members = member::walk(zst);
        loop {
            let item = members.next().map_err(|error| Cause::from(&error))?;
            // Only now: the member before this one may be the rescue map of an image whose verdict is due.
            self.verdicts.member_read(zst);
            let teller = &mut self.verdicts.teller;
            match item {
                None => return Ok(()),
                Some(_) if self.run.control.is_stopped() => return Ok(()),
                Some(Item::Member(member)) => self.member(zst, &member)?,
                Some(Item::Note(note)) => {
                    teller.warn(&Cause::new(note.code(), note.to_string()));
                    if let Note::DataAfterEnd { offset } = note {
                        self.behind_end = Some(offset);
                    }
                }
                Some(Item::Bad(error)) => teller.fail(Cause::from(&error)),
            }
        }
    }

    fn member(&mut self, zst: &ZstFile, member: &Member) -> Result<(), Cause> {
        let verdicts = &mut self.verdicts;
        verdicts.totals.members += 1;
        if let Some(note) = &member.note {
            verdicts.teller.warn(&Cause::new(note.code(), note.to_string()));
        }
        match self.images.judge(member) {
            Role::Image(content) => {
                verdicts.member_behind(zst);
                verdicts.maps.add_image(&member.path);
                return self.image(zst, member, &content);
            }
            Role::NoImage(warning) => {
                verdicts.member_behind(zst);
                if member.kind.is_file() {
                    verdicts.maps.add_image(&member.path);
                }
                if let Some(cause) = &warning {
                    verdicts.teller.warn(cause);
                }
            }
            Role::Other if verdicts.maps.add_member(member) => {
                if zst.decodes_all() {
                    verdicts.maps.read_newest(zst);
                }
            }
            Role::Other => verdicts.member_behind(zst),
        }
        Ok(())
    }

    fn image(&mut self, zst: &ZstFile, member: &Member, content: &Content) -> Result<(), Cause> {
        if self.verdicts.totals.images == MAX_IMAGES {
            let message = format!("more than {MAX_IMAGES} images; the rest of the archive is not examined");
            return Err(Cause::new(Reason::TooManyImages, message));
        }
        self.verdicts.image(zst, member, content);
        Ok(())
    }

    /// Gives every verdict that still waits for something, now that nothing more comes.
    fn settle(&mut self) {
        while self.guarded(|survey| Ok(survey.verdicts.settle())) != Some(true) {}
    }

    /// Tries once more, alone, what found no room; then ends the archive.
    pub fn retry(mut self) {
        let opened = self.open(self.run.config.engine).and_then(|zst| {
            if self.identity == Some(zst.identity()) {
                Ok(zst)
            } else {
                Err(zst::Error::Changed(zst::Change::Replaced))
            }
        });
        let zst = opened.as_ref().map_err(Cause::from);
        // A panic costs the image that it met, which is open no more by then, and not the others.
        while self.verdicts.needs_room() {
            self.guarded(|survey| survey.verdicts.retry(zst.as_ref().copied()));
            self.settle();
        }
        match &zst {
            Ok(zst) => {
                self.count(zst);
                let totals = &mut self.verdicts.totals;
                let left = totals.content_bytes.saturating_sub(zst.totals().decoded_once);
                totals.passed_over_bytes = totals.passed_over_bytes.min(left);
            }
            Err(cause) => self.verdicts.teller.fail(cause.clone()),
        }
        self.end();
    }

    /// The last lines of the archive, unless the run was stopped in the middle of it.
    fn end(mut self) {
        if let Some(staging) = &self.run.staging
            && let Err(error) = staging.check_in_place()
        {
            self.verdicts.teller.fail(Cause::from(&error));
        }
        let is_stopped = self.is_stopped();
        let (teller, mut totals) = self.verdicts.into_totals();
        totals.seconds = self.started.elapsed().as_secs_f64();
        totals.decoded_bytes = self.meter.decoded();
        if !is_stopped {
            teller.end(&totals, self.images.left_out());
        }
    }
}

/// The images of an archive, as the run is told to know them.
fn images(run: &Shared<'_>) -> Images {
    let site = &run.config.site;
    Images::new(site.image_suffix.clone(), Some(site.min_image_size.0))
}
