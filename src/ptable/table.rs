//! A partition table that was read.

use std::fmt;

use super::damage::Damage;
use super::guid::Guid;
use super::label::{GptCopy, Label};

/// What an entry of a table is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A partition of the table itself.
    Primary,
    /// A partition from the chain inside an extended one.
    Logical,
    /// A partition of a label inside a partition.
    Nested,
    /// The extended partition around logical ones.
    Extended,
    /// A slice whose nested partitions are listed.
    Container,
    /// An entry for the table itself or for the whole disk.
    Meta,
}

impl Kind {
    /// The kind as one word, for the log.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Logical => "logical",
            Self::Nested => "nested",
            Self::Extended => "extended",
            Self::Container => "container",
            Self::Meta => "meta",
        }
    }

    /// Whether such an entry can hold a file system, and so counts as a partition.
    #[must_use]
    pub fn counts(self) -> bool {
        matches!(self, Self::Primary | Self::Logical | Self::Nested)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a table says a partition is for. No decision rests on it, except that extended ones are containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PartitionType {
    /// System id of an MBR or EBR entry.
    Mbr(u8),
    /// Type GUID of a GPT entry.
    Gpt(Guid),
    /// A type that is a number, and how many hexadecimal digits it is written with.
    Number {
        /// The type.
        id: u32,
        /// Digits.
        digits: u8,
    },
    /// A type in letters, as Apple, Amiga and Atari have them, padded with zeros. Untrusted: it may hold control characters.
    Text([u8; 32]),
    /// The table does not say.
    Unknown,
}

impl PartitionType {
    /// A type in letters; what is more than 32 of them is cut off.
    pub(super) fn text(letters: &[u8]) -> PartitionType {
        let mut text = [0; 32];
        for (to, from) in text.iter_mut().zip(letters) {
            *to = *from;
        }
        PartitionType::Text(text)
    }
}

impl fmt::Display for PartitionType {
    /// `0x83`, the GUID in upper case, or the letters; nothing where the table does not say.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mbr(id) => write!(f, "{id:#04x}"),
            Self::Gpt(guid) => guid.fmt(f),
            Self::Number { id, digits } => write!(f, "{id:#0width$x}", width = usize::from(*digits) + 2),
            Self::Text(letters) => {
                let end = letters.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
                f.write_str(&String::from_utf8_lossy(&letters[..end]))
            }
            Self::Unknown => Ok(()),
        }
    }
}

/// One entry of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Linux's number; 0 for what nothing numbers.
    pub number: u32,
    /// First byte in the image.
    pub start: u64,
    /// Bytes, as the table says: not clipped to the image.
    pub size: u64,
    /// What the entry is for.
    pub kind: Kind,
    /// What the table says it is for.
    pub type_id: PartitionType,
    /// Its name, where the table gives it one. Untrusted: it may hold control characters.
    pub name: Option<String>,
}

impl Partition {
    /// The byte behind the last one.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.start.saturating_add(self.size)
    }
}

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionTable {
    /// Its kind.
    pub label: Label,
    /// Bytes in a sector, as the table itself shows.
    pub sector_size: u32,
    /// Which copy was used, if it is a GPT.
    pub gpt_copy: Option<GptCopy>,
    /// Byte of the image at which the primary of a GPT says that the header of the backup is.
    pub backup_at: Option<u64>,
    /// What is wrong with it.
    pub damage: Vec<Damage>,
    /// Entries in use, those that do not count included. Those of an MBR itself come before the logical ones.
    pub partitions: Vec<Partition>,
    /// Whether all of it was read; not so when reading stopped at the number that was enough.
    pub complete: bool,
}

impl PartitionTable {
    /// A whole table with nothing wrong.
    pub(super) fn new(label: Label, sector_size: u32, partitions: Vec<Partition>) -> PartitionTable {
        PartitionTable {
            label,
            sector_size,
            gpt_copy: None,
            backup_at: None,
            damage: Vec::new(),
            partitions,
            complete: true,
        }
    }

    /// Partitions that count: see [`Kind::counts`].
    #[must_use]
    pub fn count(&self) -> u32 {
        count(&self.partitions)
    }

    /// Whether the entries come from a GPT whose checksums hold.
    #[must_use]
    pub fn is_vouched_for(&self) -> bool {
        self.gpt_copy.is_some() && !self.damage.iter().any(|damage| matches!(damage, Damage::GptUnverified { .. }))
    }

    /// Whether anything is wrong with it.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty()
    }

    /// The same table of a disk that begins `start` bytes into the image.
    pub(super) fn shift(&mut self, start: u64) {
        self.backup_at = self.backup_at.map(|at| at.saturating_add(start));
        for partition in &mut self.partitions {
            partition.start = partition.start.saturating_add(start);
        }
    }

    /// Notes it if the image, `size` bytes long, ends before `needed` or before the end of a partition.
    pub(super) fn note_length(&mut self, needed: u64, size: u64) {
        let needed = self.partitions.iter().map(Partition::end).max().unwrap_or(0).max(needed);
        if needed > size {
            self.damage.push(Damage::ImageTooShort { needed, size });
        }
    }
}

/// How many of `partitions` count.
pub(super) fn count(partitions: &[Partition]) -> u32 {
    u32::try_from(partitions.iter().filter(|p| p.kind.counts()).count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_and_map_entries_do_not_count() {
        for kind in [Kind::Primary, Kind::Logical, Kind::Nested] {
            assert!(kind.counts());
        }
        for kind in [Kind::Extended, Kind::Container, Kind::Meta] {
            assert!(!kind.counts());
        }
    }

    #[test]
    fn an_mbr_type_prints_as_two_hex_digits() {
        assert_eq!(PartitionType::Mbr(0x83).to_string(), "0x83");
        assert_eq!(PartitionType::Mbr(7).to_string(), "0x07");
    }
}
