//! An image on its way from archive to staging: when it may, how it fares, and what becomes of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::cause::Cause;
use crate::event::{Archive, Event, Image, Kept};
use crate::finding::Finding;
use crate::member::{Content, Extent};
use crate::ptable::Damage;
use crate::reason::Reason;
use crate::run::Control;
use crate::staging::{self, Folder, Keep, Measure, Place, Room, Staged, Staging, Takes};
use crate::units::{Size, human};
use crate::zst::{self, CopyError, ZstFile};

use super::Shared;
use super::compare::{self, is_end};
use super::open::NoRoom;

/// What became of an image that is to be kept. What was found in it is what the file in staging says, where it can be read
/// to its end.
pub(super) enum Outcome {
    /// It is whole in staging; its frames are still to be read to their end.
    Staged(Finding, Kept),
    /// Its beginning is in staging, of so many bytes: the archive ends before the image does, for this reason.
    Cut(Finding, Kept, u64, Cause),
    /// It was there, whole, from an earlier run.
    There(Finding, Kept),
    /// It would be staged, but this is a dry run.
    WouldKeep {
        /// Bytes of it that the archive does not tell to be holes; none where it is there.
        at_most: u64,
        /// Whether an earlier run staged it.
        existing: bool,
    },
    /// There is no room for it now.
    NoRoom(NoRoom),
    /// It cannot be kept.
    Failed(Cause),
    /// The run is to end.
    Stopped,
}

/// Why a copy came to nothing.
enum CopyFailure {
    Archive(zst::Error),
    Staging(staging::Error),
}

/// Stages the images of one archive.
pub(super) struct Stager<'r> {
    run: &'r Shared<'r>,
    archive: Arc<Archive>,
    /// Partials that came to nothing.
    pub removed_files: u64,
}

impl<'r> Stager<'r> {
    /// Nothing of `archive` was staged yet.
    pub fn new(run: &'r Shared<'r>, archive: Arc<Archive>) -> Stager<'r> {
        Stager { run, archive, removed_files: 0 }
    }

    /// Stages an image, or says what a run that is not dry would do. One that was `tried` and found no room is written only if it
    /// fits by now.
    pub fn stage(
        &mut self,
        zst: &ZstFile,
        image: &Image,
        finding: &Finding,
        content: &Content,
        tried: Option<&NoRoom>,
    ) -> Outcome {
        let site = &self.run.config.site;
        if let Some(limit) = site.max_image_size
            && image.size > limit.0
        {
            let message = format!("{} exceeds --max-image-size ({limit})", human(image.size));
            return Outcome::Failed(Cause::new(Reason::MaxImageSize, message));
        }
        let archive = Arc::clone(&self.archive);
        let place = Place { hash: &archive.hash, ordinal: image.ordinal, name: &image.name };
        if let Err(error) = place.check() {
            return Outcome::Failed(Cause::from(&error));
        }
        if let Err(error) = zst.check_window(content.data().start) {
            return Outcome::Failed(Cause::from(&error));
        }
        let run = self.run;
        let Some(staging) = &run.staging else {
            let existing = is_staged(&site.staging, &place, image.size, finding);
            return Outcome::WouldKeep { at_most: if existing { 0 } else { data_bytes(content) }, existing };
        };
        let _lock = match staging.lock_archive(&archive.hash) {
            Ok(lock) => lock,
            Err(error @ staging::Error::Busy { .. }) => {
                if tried.is_some() {
                    run.busy.fetch_add(1, Ordering::SeqCst);
                }
                return Outcome::NoRoom(Cause::from(&error).into());
            }
            Err(error) => return self.staging_failed(staging, image, &error, None),
        };
        if let Some(outcome) = there(run, &archive, zst, content, (staging, &place), finding, image.size) {
            return outcome;
        }
        if run.check_space() {
            if run.control.is_stopped() {
                return Outcome::Stopped;
            }
            let message = "free space is below the minimum; no new image is written";
            return Outcome::NoRoom(Cause::new(Reason::LowSpace, message).into());
        }
        let room = match tried {
            None => Room::Whole,
            Some(tried) => match self.find_room(staging, zst, image, content, tried) {
                Ok(room) => room,
                Err(outcome) => return *outcome,
            },
        };
        let mut keep = match staging.begin(&place, image.size, room) {
            Ok(keep) => keep,
            Err(error) => return self.staging_failed(staging, image, &error, None),
        };
        let destination = staging.destination(&archive.hash);
        run.emit(&Event::ExtractionStart { archive: &archive, destination: &destination });
        let copied = copy(zst, content, &mut keep);
        if let Err(CopyFailure::Archive(error)) = &copied
            && run.config.keep_undecided
            && is_end(error)
            && keep.position() > 0
        {
            let cause = cut(error, image.size);
            return match keep.finish_short() {
                Ok(staged) => cut_short(finding, staged, image.size, cause, false),
                Err(error) => self.staging_failed(staging, image, &error, None),
            };
        }
        let had = Some(keep.room());
        match copied.and_then(|()| keep.finish().map_err(CopyFailure::Staging)) {
            Ok(staged) => {
                let whole = finding.of_copy(&staged.file, image.size);
                let (whole, kept) = kept(finding, whole, staged, image.size);
                Outcome::Staged(whole, kept)
            }
            Err(failure) => {
                self.removed_files += 1;
                // Where there are no locks, another run may have staged it meanwhile.
                if let CopyFailure::Staging(staging::Error::InTheWay { .. }) = failure
                    && let Some(outcome) = there(run, &archive, zst, content, (staging, &place), finding, image.size)
                {
                    return outcome;
                }
                match failure {
                    CopyFailure::Archive(zst::Error::Interrupted) => Outcome::Stopped,
                    CopyFailure::Archive(error) if is_end(&error) => {
                        if !matches!(error, zst::Error::EndOfData { .. }) {
                            let _ = zst.distrust();
                        }
                        Outcome::Failed(cut(&error, image.size))
                    }
                    CopyFailure::Archive(error) => {
                        // What libzstd would not decode must not be passed over as if nothing were wrong with it.
                        let _ = zst.distrust();
                        Outcome::Failed(Cause::from(&error))
                    }
                    CopyFailure::Staging(error) => self.staging_failed(staging, image, &error, had),
                }
            }
        }
    }

    /// Room for an image that found none before. Whether it fits is found out before it is written.
    fn find_room(
        &self,
        staging: &Staging,
        zst: &ZstFile,
        image: &Image,
        content: &Content,
        tried: &NoRoom,
    ) -> Result<Room, Box<Outcome>> {
        let budget = staging.budget();
        // A file system that does not say is one that a keep will fail on, with its error.
        let Ok(there) = budget.room() else { return Ok(Room::Data(0)) };
        let at_most = data_bytes(content);
        if at_most <= there {
            return Ok(Room::Data(at_most));
        }
        if tried.had.is_some_and(|had| there <= had) {
            return Err(Box::new(Outcome::NoRoom(tried.clone())));
        }
        let most = budget.most().filter(|&most| at_most > most);
        let takes = match (measure(zst, content, most.unwrap_or(there)), most) {
            (Takes::AtMost(bytes), _) if bytes <= there => return Ok(Room::Data(bytes)),
            (Takes::MoreThan(_), Some(most)) => {
                let message = format!("it takes more than --max-staged ({}) allows a run", Size(most));
                return Err(Box::new(Outcome::Failed(Cause::new(Reason::MaxStaged, message))));
            }
            (takes, _) => takes,
        };
        if self.run.control.is_stopped() {
            return Err(Box::new(Outcome::Stopped));
        }
        Err(Box::new(self.staging_failed(staging, image, &staging.no_room(takes), None)))
    }

    /// What an error of staging comes to, of an image for which there was so much room if any of it was written.
    fn staging_failed(&self, staging: &Staging, image: &Image, error: &staging::Error, had: Option<u64>) -> Outcome {
        let cause = Cause::from(error);
        if !error.is_space() {
            return Outcome::Failed(cause);
        }
        if let staging::Error::MaxStaged { .. } = error {
            return Outcome::NoRoom(NoRoom { cause, had });
        }
        if let staging::Error::LowSpace { missing, .. } = error {
            self.run.space_fell_short(*missing);
        } else {
            self.run.check_space();
        }
        if self.run.control.is_stopped() {
            return Outcome::Stopped;
        }
        match staging.budget().capacity() {
            Ok(capacity) if image.size > capacity => {
                let message = format!(
                    "{} may be more than there can be room for, which is {} with the minimum kept free; {}",
                    human(image.size),
                    human(capacity),
                    cause.message
                );
                Outcome::NoRoom(NoRoom { cause: Cause::new(Reason::TooLarge, message), had })
            }
            _ => Outcome::NoRoom(NoRoom { cause, had }),
        }
    }
}

/// Whether an image is in the staging folder at `root`, which need not be there, by its length and its table.
fn is_staged(root: &Path, place: &Place<'_>, size: u64, finding: &Finding) -> bool {
    let staged = Folder::open(root).ok().and_then(|root| staging::find(&root, place, size).ok().flatten());
    staged.is_some_and(|staged| finding.agrees_with(&finding.of_copy(&staged.file, size)))
}

/// What comes of an image that is in staging already, or in whose place something else is; none where nothing is there.
fn there(
    run: &Shared<'_>,
    archive: &Archive,
    zst: &ZstFile,
    content: &Content,
    (staging, place): (&Staging, &Place<'_>),
    finding: &Finding,
    size: u64,
) -> Option<Outcome> {
    let staged = match staging.existing(place, size) {
        Ok(staged) => staged?,
        Err(error) => {
            let shorter = staging.shorter(place, size).ok().flatten();
            let cut = shorter.and_then(|staged| there_cut(zst, content, finding, staged, size, run.control));
            return Some(cut.unwrap_or_else(|| Outcome::Failed(Cause::from(&error))));
        }
    };
    let whole = finding.of_copy(&staged.file, size);
    if !finding.agrees_with(&whole) {
        let message = format!(
            "{} is in the way: it has the image's length, but other partitions; move or remove it",
            staged.path.display()
        );
        return Some(Outcome::Failed(Cause::new(Reason::InTheWay, message)));
    }
    let is_doubted = run.doubted.contains(&archive.hash);
    if (is_doubted || !run.vouched.contains(&staged.path))
        && let Some(outcome) = differs(zst, content, &staged, run.control)
    {
        return Some(outcome);
    }
    let (whole, kept) = kept(finding, whole, staged, size);
    let kept = Kept { existing: true, ..kept };
    Some(if is_doubted { Outcome::Staged(whole, kept) } else { Outcome::There(whole, Kept { verified: None, ..kept }) })
}

/// What stands against an image in staging for which the log does not vouch; none where it has the bytes of the archive.
fn differs(zst: &ZstFile, content: &Content, staged: &Staged, control: &Control) -> Option<Outcome> {
    match compare::is_same(zst, content, &staged.file, control) {
        Ok(true) => None,
        Ok(false) => {
            let message = format!(
                "{} is in the way: it is from another version of the archive, which has changed since; move or remove it",
                staged.path.display()
            );
            Some(Outcome::Failed(Cause::new(Reason::InTheWay, message)))
        }
        Err(compare::Failure::Archive(zst::Error::Interrupted)) => Some(Outcome::Stopped),
        Err(compare::Failure::Archive(error)) => {
            let _ = zst.distrust();
            Some(Outcome::Failed(Cause::from(&error)))
        }
        Err(compare::Failure::Staged(error)) => {
            let message = format!("reading {} to compare it with its archive: {error}", staged.path.display());
            Some(Outcome::Failed(Cause::new(Reason::StagingIo, message)))
        }
    }
}

/// The beginning of an image that an earlier run staged as far as the archive goes; none where the file is something else.
fn there_cut(
    zst: &ZstFile,
    content: &Content,
    finding: &Finding,
    staged: Staged,
    size: u64,
    control: &Control,
) -> Option<Outcome> {
    let length = staged.file.metadata().ok()?.len();
    match compare::is_all_there_is(zst, content, (&staged.file, length), control) {
        Ok(Some(error)) => Some(cut_short(finding, staged, size, cut(&error, size), true)),
        Err(compare::Failure::Archive(zst::Error::Interrupted)) => Some(Outcome::Stopped),
        Ok(None) | Err(_) => None,
    }
}

/// Writes the content into staging. Holes are not even read.
fn copy(zst: &ZstFile, content: &Content, keep: &mut Keep) -> Result<(), CopyFailure> {
    for extent in content.extents() {
        match extent {
            Extent::Hole { len, .. } => keep.hole(len).map_err(CopyFailure::Staging)?,
            Extent::Data { archive, .. } => {
                zst.copy(archive, |bytes| keep.data(bytes)).map_err(|error| match error {
                    CopyError::Read(error) => CopyFailure::Archive(error),
                    CopyError::Write(error) => CopyFailure::Staging(error),
                })?;
            }
        }
    }
    Ok(())
}

/// What the content takes in staging, looked at until that is more than `most`. What cannot be read takes none: who copies it
/// will meet it.
fn measure(zst: &ZstFile, content: &Content, most: u64) -> Takes {
    let mut measure = Measure::default();
    for extent in content.extents() {
        match extent {
            Extent::Hole { len, .. } => measure.hole(len),
            Extent::Data { archive, .. } => {
                let copied = zst.copy(archive, |bytes| {
                    measure.data(bytes);
                    if measure.takes() > most { Err(()) } else { Ok(()) }
                });
                match copied {
                    Ok(()) => {}
                    Err(CopyError::Write(())) => return Takes::MoreThan(most),
                    Err(CopyError::Read(_)) => break,
                }
            }
        }
    }
    Takes::AtMost(measure.takes())
}

/// What was found in an image in staging: in the archive, and, as `whole`, in the file, where the table can be read to its
/// end. Its frames are taken to hold.
fn kept(finding: &Finding, mut whole: Finding, staged: Staged, size: u64) -> (Finding, Kept) {
    if whole.count.is_none() && finding.count.is_some() {
        whole = finding.clone();
    }
    if finding.count.is_none() {
        // What makes it undecidable need not show in the image: the rescue map lies beside it.
        whole.count = None;
        whole.undecidable.clone_from(&finding.undecidable);
    }
    whole.rescued.clone_from(&finding.rescued);
    whole.complete(&staged.file, size, true, &|_| {});
    let Staged { path, bytes_written, allocated, .. } = staged;
    (whole, Kept { path, bytes_written, allocated, verified: Some(true), existing: false })
}

/// Why there is less of an image than its header says.
fn cut(error: &zst::Error, size: u64) -> Cause {
    match error {
        zst::Error::EndOfData { .. } => tar_cut(size),
        error => Cause::from(error),
    }
}

/// The tar ends in the data of an image.
pub(super) fn tar_cut(size: u64) -> Cause {
    Cause::new(Reason::TarTruncated, format!("the tar ends before the image does, which has {}", human(size)))
}

/// The beginning of an image in staging, which is `existing` there from an earlier run.
fn cut_short(finding: &Finding, staged: Staged, size: u64, cause: Cause, existing: bool) -> Outcome {
    let length = staged.file.metadata().map_or(0, |metadata| metadata.len());
    let whole = finding.of_copy(&staged.file, length);
    let (mut whole, kept) = kept(finding, whole, staged, length);
    if let Some(table) = whole.table.as_mut().filter(|table| !table.is_damaged()) {
        table.damage.push(Damage::ImageTooShort { needed: size, size: length });
    }
    Outcome::Cut(whole, Kept { verified: Some(false), existing, ..kept }, length, cause)
}

/// Bytes of the image that the archive does not tell to be holes.
fn data_bytes(content: &Content) -> u64 {
    let data = content.extents().map(|extent| match extent {
        Extent::Data { archive, .. } => archive.end - archive.start,
        Extent::Hole { .. } => 0,
    });
    data.sum()
}
