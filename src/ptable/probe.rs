//! What a prober answers.

use super::error::Error;
use super::rejection::Rejection;

/// What was looked for, or why there is none.
pub(super) type Probe<T> = Result<T, Miss>;

/// Why a prober has nothing to show.
#[derive(Debug)]
pub(super) enum Miss {
    /// There is none of its kind.
    Rejected(Rejection),
    /// That could not be told.
    Failed(Error),
}

impl From<Rejection> for Miss {
    fn from(rejection: Rejection) -> Miss {
        Miss::Rejected(rejection)
    }
}

impl From<Error> for Miss {
    fn from(error: Error) -> Miss {
        Miss::Failed(error)
    }
}
