//! Where an image stands, according to the log and the file system.

use std::io;

use crate::account::{Staged, StagedImage, StagedState};
use crate::log::Name;
use crate::log::record::PartitionCheck;
use crate::units::human;

/// Where an image stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// It is in staging and waits to be processed again.
    Kept,
    /// It is in staging. It was begun to be processed again, and the end of that is not in the log.
    Begun,
    /// It is in staging. It was reprocessed without success: how that ended.
    Failed(String),
    /// It was processed again.
    Reprocessed,
    /// It was removed from staging after that.
    Removed,
    /// The log tells that it was staged, and it is not there.
    Gone,
    /// Something else is there: what.
    Changed(String),
    /// What is there cannot be looked at: why.
    Unseen(String),
    /// It would be kept, but this is a dry run.
    WouldKeep,
    /// There was no room for it.
    Deferred,
    /// It is not kept.
    NotRetained,
    /// Only the beginning of its archive was looked at, and that does not decide on it.
    Undecided,
    /// It could not be decided on, or not be kept.
    Error,
}

impl ImageState {
    /// All words for it.
    pub const WORDS: [&'static str; 13] = [
        "kept",
        "begun",
        "failed",
        "gone",
        "changed",
        "unseen",
        "would_keep",
        "deferred",
        "reprocessed",
        "removed",
        "error",
        "undecided",
        "not_retained",
    ];

    /// How `image` stands, now.
    #[must_use]
    pub fn of(image: &PartitionCheck, staged: &Staged) -> ImageState {
        match (image.action.as_str(), &image.path) {
            ("KEPT", Some(path)) => match staged.get(path) {
                Some(known) => ImageState::of_staged(known),
                // The script that imgsieve replaces logged no size.
                None => on_disk(path, image.size_bytes).err().unwrap_or(ImageState::Kept),
            },
            ("KEPT", None) => ImageState::Unseen("the log does not have its path".to_owned()),
            ("would_keep", _) => ImageState::WouldKeep,
            ("deferred", _) => ImageState::Deferred,
            ("undecided", _) => ImageState::Undecided,
            ("error", _) => ImageState::Error,
            _ => ImageState::NotRetained,
        }
    }

    /// How a staged image stands, now.
    #[must_use]
    pub fn of_staged(image: &StagedImage) -> ImageState {
        let state = match &image.state {
            StagedState::Reprocessed => return ImageState::Reprocessed,
            StagedState::Removed => return ImageState::Removed,
            StagedState::Kept => ImageState::Kept,
            StagedState::Begun => ImageState::Begun,
            StagedState::Failed { signal: Some(signal), .. } => ImageState::Failed(format!("ended by {signal}")),
            StagedState::Failed { exit_status: Some(status), .. } => {
                ImageState::Failed(format!("exit status {status}"))
            }
            StagedState::Failed { .. } => ImageState::Failed("it did not end normally".to_owned()),
        };
        on_disk(&image.path, Some(image.size)).err().unwrap_or(state)
    }

    /// The word for it in JSON and CSV.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            ImageState::Kept => "kept",
            ImageState::Begun => "begun",
            ImageState::Failed(_) => "failed",
            ImageState::Reprocessed => "reprocessed",
            ImageState::Removed => "removed",
            ImageState::Gone => "gone",
            ImageState::Changed(_) => "changed",
            ImageState::Unseen(_) => "unseen",
            ImageState::WouldKeep => "would_keep",
            ImageState::Deferred => "deferred",
            ImageState::NotRetained => "not_retained",
            ImageState::Undecided => "undecided",
            ImageState::Error => "error",
        }
    }

    /// The same for a person, with what there is to know of it.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            ImageState::Begun => "reprocessing was started; its end is not in the log".to_owned(),
            ImageState::Failed(how) => format!("reprocessing failed: {how}"),
            ImageState::Gone => "gone from staging".to_owned(),
            ImageState::Changed(how) => format!("changed since it was staged: {how}"),
            ImageState::Unseen(why) => format!("cannot be examined: {why}"),
            ImageState::WouldKeep => "would be kept".to_owned(),
            ImageState::NotRetained => "not kept".to_owned(),
            state => state.as_str().to_owned(),
        }
    }

    /// Whether nothing went wrong with it.
    #[must_use]
    pub fn is_as_it_should_be(&self) -> bool {
        use ImageState::{Kept, NotRetained, Removed, Reprocessed, WouldKeep};
        matches!(self, Kept | Reprocessed | Removed | WouldKeep | NotRetained)
    }

    /// Whether it is in staging, whole, and is still to be processed again.
    #[must_use]
    pub fn waits(&self) -> bool {
        matches!(self, ImageState::Kept | ImageState::Begun | ImageState::Failed(_))
    }
}

/// Looks at what is at `path`, and says what is wrong with it if it is not a file of this size.
fn on_disk(path: &Name, size: Option<u64>) -> Result<(), ImageState> {
    let metadata = match std::fs::symlink_metadata(path.as_path()) {
        Ok(metadata) => metadata,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(ImageState::Gone);
        }
        Err(error) => return Err(ImageState::Unseen(error.to_string())),
    };
    match size {
        _ if !metadata.is_file() => Err(ImageState::Changed("it is not a regular file".to_owned())),
        Some(size) if metadata.len() != size => {
            let (is, was) = (metadata.len(), size);
            Err(ImageState::Changed(format!("its size is {} ({is} bytes) instead of {was}", human(is))))
        }
        _ => Ok(()),
    }
}
