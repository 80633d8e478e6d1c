//! Why no verdict could be reached on an image.

use std::io;

use crate::reason;

use super::damage::GptFault;
use super::label::Label;
use super::rejection::Rejection;
use super::table::PartitionTable;

/// An image on whose table nothing can be said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A sector that the verdict rests on could not be read.
    #[error("cannot read the image at byte {offset}")]
    Io {
        /// Byte of the image.
        offset: u64,
        /// What the image's reader said.
        source: io::Error,
        /// What could be read of the table. Its count is a lower bound.
        partial: Option<Box<PartitionTable>>,
    },
    /// There is, or was, a table, and what is left of it does not say how many partitions it has.
    #[error("{reason}")]
    Undecidable {
        /// What is in the way.
        reason: Reason,
        /// What could be read of the table, with its damage. Its count is a lower bound.
        partial: Option<Box<PartitionTable>>,
    },
}

impl Error {
    /// The reason as one `snake_case` word, for the log.
    #[must_use]
    pub fn reason_code(&self) -> reason::Reason {
        match self {
            Self::Io { .. } => reason::Reason::Io,
            Self::Undecidable { reason, .. } => reason.code(),
        }
    }

    /// What could be read of a table on which nothing can be said; its count is a lower bound.
    #[must_use]
    pub fn into_partial(self) -> Option<PartitionTable> {
        match self {
            Self::Io { partial, .. } | Self::Undecidable { partial, .. } => partial.map(|table| *table),
        }
    }

    /// The same error, with what was read of the table before it.
    pub(super) fn with_partial(mut self, table: PartitionTable) -> Self {
        match &mut self {
            Self::Io { partial, .. } | Self::Undecidable { partial, .. } => *partial = Some(Box::new(table)),
        }
        self
    }

    /// The same error of a disk that begins `start` bytes into the image.
    pub(super) fn shift(&mut self, start: u64) {
        if let Self::Io { offset, .. } = self {
            *offset = offset.saturating_add(start);
        }
        match self {
            Self::Io { partial, .. } | Self::Undecidable { partial, .. } => {
                if let Some(table) = partial {
                    table.shift(start);
                }
            }
        }
    }

    pub(super) fn undecidable(reason: Reason, partial: Option<PartitionTable>) -> Self {
        Self::Undecidable { reason, partial: partial.map(Box::new) }
    }
}

/// Why a table is [`Error::Undecidable`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// A protective MBR announces a GPT of which neither copy stands.
    #[error("the GPT is damaged beyond use: primary: {primary}; backup: {backup}")]
    GptDamaged {
        /// What is wrong with the primary.
        primary: GptFault,
        /// What is wrong with the backup.
        backup: GptFault,
    },
    /// A chain of logical partitions announces more than can be read.
    #[error("the chain of logical partitions is broken at LBA {lba}, and at least one more is announced")]
    EbrChainBroken {
        /// LBA of the EBR that is missing, in sectors of the table.
        lba: u64,
    },
    /// A label of which what lists the partitions is lost, or not in the image.
    #[error("a {label} label, whose entries are lost")]
    EntriesLost {
        /// The kind.
        label: Label,
    },
    /// A list of partitions announces more than can be read.
    #[error("the list of partitions of the {label} label is broken at block {block}, and there may be more of them")]
    ListBroken {
        /// The kind of table.
        label: Label,
        /// The block that is missing, in blocks of the table.
        block: u64,
    },
    /// A dynamic disk whose database does not say for certain which partitions it has.
    #[error("the LDM database of a dynamic disk is damaged: {part}: {fault}")]
    LdmDamaged {
        /// The structure, by its magic.
        part: &'static str,
        /// What is wrong with it.
        fault: Rejection,
    },
    /// No image, but a format that holds one in another form.
    #[error("{what}: {opener} opens it")]
    Container {
        /// The format.
        what: &'static str,
        /// The program that opens it.
        opener: &'static str,
    },
}

impl Reason {
    /// The reason as one `snake_case` word, for the log.
    #[must_use]
    pub fn code(&self) -> reason::Reason {
        match self {
            Self::GptDamaged { .. } => reason::Reason::GptDamaged,
            Self::EbrChainBroken { .. } => reason::Reason::EbrChainBroken,
            Self::EntriesLost { .. } => reason::Reason::EntriesLost,
            Self::ListBroken { .. } => reason::Reason::ListBroken,
            Self::LdmDamaged { .. } => reason::Reason::LdmDamaged,
            Self::Container { .. } => reason::Reason::Container,
        }
    }
}
