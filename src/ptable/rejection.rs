//! Why what stands in an image is no table of some kind.

use super::table::Label;

/// What kept a kind of table from being seen in an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rejection {
    /// The image ends before such a table would.
    #[error("the image is too short")]
    TooShort,
    /// Nothing says that it is one.
    #[error("no magic number")]
    NoMagic,
    /// The magic number is there, and the checksum does not hold.
    #[error("checksum {computed:x}, expected {stored:x}")]
    Checksum {
        /// As the table says; 0 for a sum that has to come to 0.
        stored: u32,
        /// Of the bytes that are there.
        computed: u32,
    },
    /// A field has a value that no such table has.
    #[error("{field} is {value}")]
    Field {
        /// Its name in the structure's source.
        field: &'static str,
        /// What stands there.
        value: u64,
    },
    /// An entry cannot be one of such a table.
    #[error("entry {number} {flaw}")]
    Entry {
        /// Its place in the table, from 1.
        number: u32,
        /// What is wrong with it, as the end of a sentence.
        flaw: &'static str,
    },
    /// It could not be read.
    #[error("it cannot be read")]
    Unreadable,
    /// It is a table, and none of its entries is in use.
    #[error("no entry is in use")]
    Empty,
    /// Another kind of table, or a file system, explains what stands there.
    #[error("it is {what}")]
    Other {
        /// `libblkid`'s name of it.
        what: &'static str,
    },
}

/// What a prober says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Probe<T> {
    /// There is a table.
    Table(T),
    /// There is none of this kind.
    Not(Rejection),
}

impl<T> From<Rejection> for Probe<T> {
    fn from(rejection: Rejection) -> Probe<T> {
        Probe::Not(rejection)
    }
}

/// A kind of table that was looked for, and why there is none.
pub type Rejected = (Label, Rejection);
