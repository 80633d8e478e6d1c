//! What a walk yields.

use super::entry::Member;
use super::error::Error;
use super::note::Note;

/// What the walk met next.
#[derive(Debug)]
#[non_exhaustive]
pub enum Item {
    /// A member.
    Member(Member),
    /// Something about the archive as a whole that is odd but does no harm.
    Note(Note),
    /// A header or member that is bad; the walk goes on after it.
    Bad(Error),
}
