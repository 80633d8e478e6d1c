//! Whether an archive needs somebody, and how urgently.

use serde::Serialize;

use crate::account::{ArchiveAccount, ArchiveEnd};
use crate::event::Soundness;
use crate::report::ImageState;

/// What an archive needs; what comes first is listed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Something is wrong with it or with an image of it: an error, no verdict, no room, a failed checksum, a reprocessing
    /// that failed, a staged image that is not as it was.
    Mending,
    /// The log does not have its end.
    Finishing,
    /// An image of it is still to be staged or processed again.
    Processing,
    /// Nothing.
    Nothing,
}

impl Need {
    /// What `archive` needs, with where its images stand and the state of its last verification.
    pub fn of(archive: &ArchiveAccount, states: &[ImageState], verification: Option<&'static str>) -> Need {
        let is_wrong = matches!(archive.end, ArchiveEnd::Failed(_))
            || verification == Some(Soundness::Fails.as_str())
            || states.iter().any(|state| !state.is_as_it_should_be());
        if is_wrong {
            Need::Mending
        } else if archive.end == ArchiveEnd::Open {
            Need::Finishing
        } else if states.iter().any(|state| state.waits() || *state == ImageState::WouldKeep) {
            Need::Processing
        } else {
            Need::Nothing
        }
    }

    /// Whether it is nothing, which is usual.
    #[allow(clippy::trivially_copy_pass_by_ref)]
    pub fn is_nothing(&self) -> bool {
        *self == Need::Nothing
    }
}

impl Serialize for Need {
    /// As the number that the script sorts by.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}
