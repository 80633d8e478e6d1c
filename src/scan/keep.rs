//! An image on its way from archive to staging: when it may, how it fares, and what becomes of it.

use std::ops::Range;
use std::sync::Arc;

use crate::cause::Cause;
use crate::event::{Action, Check, Event, Image, Kept};
use crate::finding::Finding;
use crate::member::{Content, Extent};
use crate::reason::Reason;
use crate::run::Control;
use crate::staging::{self, Keep, Place, Room, Staged, Staging};
use crate::units::human;
use crate::zst::{self, CopyError, ZstFile};

use super::compare;
use super::survey::Survey;

/// What became of an image that is to be kept.
pub(super) enum Outcome {
    /// It is whole in staging; its frames are still to be read to their end.
    Staged {
        /// The verdict, once they are.
        check: Check,
        /// Where its data lie in the archive.
        data: Range<u64>,
    },
    /// The verdict can be given now.
    Decided(Check),
    /// There is no room for it now.
    NoRoom(Cause),
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

impl Survey<'_> {
    /// Stages an image, or says what a run that is not dry would do.
    pub(super) fn stage(
        &mut self,
        zst: &ZstFile,
        image: &Image,
        finding: &Finding,
        content: &Content,
        room: Room,
    ) -> Outcome {
        let site = &self.run.config.site;
        if let Some(limit) = site.max_image_size
            && image.size > limit.0
        {
            let message = format!("{} is more than --max-image-size allows ({limit})", human(image.size));
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
            let action = Action::WouldKeep { at_most: data_bytes(content) };
            return Outcome::Decided(Check {
                finding: Some(finding.clone()),
                action,
                reason: finding.undecidable.clone(),
            });
        };
        match staging.existing(&place, image.size) {
            Ok(None) => {}
            Ok(Some(staged)) => {
                let whole = finding.of_copy(&staged.file, image.size);
                if !finding.agrees_with(&whole) {
                    let message = format!(
                        "{} is in the way: it is as long as the image, but has other partitions; move or remove it",
                        staged.path.display()
                    );
                    return Outcome::Failed(Cause::new(Reason::InTheWay, message));
                }
                let is_doubted = self.is_doubted();
                if (is_doubted || compare::is_older(&staged.file, &archive.path))
                    && let Some(outcome) = differs(zst, content, &staged, run.control)
                {
                    return outcome;
                }
                if is_doubted {
                    let mut check = kept_check(finding, whole, staged, image.size, Some(true));
                    if let Action::Kept(kept) = &mut check.action {
                        kept.existing = true;
                    }
                    return Outcome::Staged { check, data: content.data() };
                }
                return Outcome::Decided(kept_check(finding, whole, staged, image.size, None));
            }
            Err(error) => return Outcome::Failed(Cause::from(&error)),
        }
        if run.check_space() {
            if run.control.is_stopped() {
                return Outcome::Stopped;
            }
            return Outcome::NoRoom(Cause::new(Reason::LowSpace, "free space is below the minimum: no image is begun"));
        }
        let mut keep = match staging.begin(&place, image.size, room) {
            Ok(keep) => keep,
            Err(error) => return self.staging_failed(staging, image, &error),
        };
        let destination = staging.destination(&archive.hash);
        self.emit(&Event::ExtractionStart { archive: &archive, destination: &destination });
        let copied = copy(zst, content, &mut keep);
        match copied.and_then(|()| keep.finish().map_err(CopyFailure::Staging)) {
            Ok(staged) => {
                let whole = finding.of_copy(&staged.file, image.size);
                let check = kept_check(finding, whole, staged, image.size, Some(true));
                Outcome::Staged { check, data: content.data() }
            }
            Err(failure) => {
                self.totals.removed_files += 1;
                match failure {
                    CopyFailure::Archive(zst::Error::Interrupted) => Outcome::Stopped,
                    CopyFailure::Archive(zst::Error::EndOfData { .. }) => {
                        let message = format!("the tar ends before the {} of the image do", human(image.size));
                        Outcome::Failed(Cause::new(Reason::TarTruncated, message))
                    }
                    CopyFailure::Archive(error) => {
                        // What libzstd would not decode must not be passed over as if nothing were wrong with it.
                        let _ = zst.distrust();
                        Outcome::Failed(Cause::from(&error))
                    }
                    CopyFailure::Staging(error) => self.staging_failed(staging, image, &error),
                }
            }
        }
    }

    fn staging_failed(&self, staging: &Staging, image: &Image, error: &staging::Error) -> Outcome {
        let cause = Cause::from(error);
        if !error.is_space() {
            return Outcome::Failed(cause);
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
                    "{} could never be staged there unless it is mostly empty: {} is all that the minimum leaves; {}",
                    human(image.size),
                    human(capacity),
                    cause.message
                );
                Outcome::NoRoom(Cause::new(Reason::TooLarge, message))
            }
            _ => Outcome::NoRoom(cause),
        }
    }
}

/// What stands against an image in staging that is older than its archive; none where it has the same bytes.
fn differs(zst: &ZstFile, content: &Content, staged: &Staged, control: &Control) -> Option<Outcome> {
    match compare::is_same(zst, content, &staged.file, control) {
        Ok(true) => None,
        Ok(false) => {
            let message = format!(
                "{} is in the way: it is of another version of the archive, which was changed since; move or remove it",
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
            let message = format!("reading {}, to compare it with its archive: {error}", staged.path.display());
            Some(Outcome::Failed(Cause::new(Reason::StagingIo, message)))
        }
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

/// The verdict on an image in staging: what was found in the archive, and, as `whole`, in the file, where the table can
/// be read to its end. What an earlier run staged cannot be `verified`.
fn kept_check(finding: &Finding, mut whole: Finding, staged: Staged, size: u64, verified: Option<bool>) -> Check {
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
    let action = Action::Kept(Kept { path, bytes_written, allocated, verified, existing: verified.is_none() });
    Check { reason: whole.undecidable.clone(), finding: Some(whole), action }
}

/// Bytes of the image that the archive does not tell to be holes.
fn data_bytes(content: &Content) -> u64 {
    let data = content.extents().map(|extent| match extent {
        Extent::Data { archive, .. } => archive.end - archive.start,
        Extent::Hole { .. } => 0,
    });
    data.sum()
}
