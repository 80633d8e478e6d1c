//! Why something in an image is not a table of some kind.

use std::fmt;

use super::label::Label;

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
    /// Entries of an MBR were seen, and are none.
    #[error("an MBR with {} ({flaw}): {}", count(entries), list(entries))]
    Entries {
        /// Those in use, at most four.
        entries: Vec<SeenEntry>,
        /// What is wrong with them, in a few words.
        flaw: &'static str,
    },
    /// No entry of the MBR announces one.
    #[error("no protective MBR announces one")]
    NotAnnounced,
    /// It was not looked for, because something else explains the image.
    #[error("not looked for: the image is {what}")]
    NotLookedFor {
        /// `libblkid`'s name of it.
        what: &'static str,
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

/// A kind of table that was looked for, and why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejected {
    /// The kind.
    pub label: Label,
    /// Which of its places was looked at, for a kind that has several; empty otherwise.
    pub place: &'static str,
    /// Why there is none.
    pub why: Rejection,
}

impl Rejected {
    /// A kind of table that has one place.
    pub(super) fn new(label: Label, why: Rejection) -> Rejected {
        Rejected { label, place: "", why }
    }

    /// A line for each kind and reason, with all the places that it holds for.
    #[must_use]
    pub fn lines(all: &[Rejected]) -> Vec<String> {
        let mut lines: Vec<(&Rejected, Vec<&str>)> = Vec::new();
        for rejected in all {
            let is_same = |(first, _): &&mut (&Rejected, _)| {
                first.label == rejected.label && first.why == rejected.why && !rejected.place.is_empty()
            };
            match lines.iter_mut().find(is_same) {
                Some((_, places)) => places.push(rejected.place),
                None => lines.push((rejected, vec![rejected.place])),
            }
        }
        lines.into_iter().map(|(first, places)| first.at(&places.join("; "))).collect()
    }

    fn at(&self, places: &str) -> String {
        let separator = if places.is_empty() { "" } else { ", " };
        format!("not {}{separator}{places}: {}", self.label, self.why)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.at(self.place))
    }
}

/// An entry of an MBR that was seen, and taken for none. In sectors of 512 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenEntry {
    /// Its place in the sector, from 1.
    pub number: u32,
    /// Its system id.
    pub type_id: u8,
    /// First LBA.
    pub start: u64,
    /// Sectors.
    pub sectors: u64,
}

impl fmt::Display for SeenEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (type {:#04x}, LBA {}, {} sectors)", self.number, self.type_id, self.start, self.sectors)
    }
}

fn count(entries: &[SeenEntry]) -> String {
    format!("{} {}", entries.len(), if entries.len() == 1 { "entry" } else { "entries" })
}

fn list(entries: &[SeenEntry]) -> String {
    entries.iter().map(SeenEntry::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_that_is_nowhere_for_one_reason_has_one_line() {
        let at = |place, why| Rejected { label: Label::Gpt, place, why };
        let all = [
            at("primary at LBA 1", Rejection::NoMagic),
            Rejected::new(Label::Sun, Rejection::NoMagic),
            at("behind a protective MBR", Rejection::NotAnnounced),
            at("backup at the end", Rejection::NoMagic),
        ];
        let lines = Rejected::lines(&all);
        assert_eq!(lines[0], "not gpt, primary at LBA 1; backup at the end: no magic number");
        assert_eq!((lines.len(), &*lines[1], &lines[2]), (3, "not sun: no magic number", &all[2].to_string()));
    }
}
