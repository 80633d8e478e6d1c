//! The log, read back: what runs have said of archives and images, line by line.
//!
//! A log outlives versions, crashes and full disks. So nothing in it is taken for granted: lines that are torn, too long
//! or no JSON, and lines of stages that are not known, are passed over and [counted](Reading). Lines of several runs may
//! be mixed: each names its run.

pub mod account;
mod line;
mod peek;
mod reader;
mod staged;

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

pub use line::{Line, Text};
pub use peek::Peek;
pub use reader::{Listener, read, read_from, read_some};
pub use staged::{Staged, StagedImage, State};

/// The stages that are known. Lines of others are counted and passed over.
const STAGES: [&str; 18] = [
    "script_start",
    "archive_start",
    "extraction_start",
    "img_found",
    "partition_check",
    "cleanup",
    "archive_complete",
    "script_complete",
    "warning",
    "error",
    "deferred",
    "low_space",
    "abort",
    "interrupted",
    "archive_resumed",
    "reprocess_start",
    "reprocess_complete",
    "removed",
];

/// A name in a log: bytes that may not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(OsString);

impl Name {
    fn of(text: Option<&Text<'_>>, exact: Option<&Text<'_>>) -> Option<Name> {
        if let Some(bytes) = exact.and_then(|exact| crate::sanitize::from_base64(exact.as_str())) {
            return Some(Name(OsString::from_vec(bytes)));
        }
        text.map(|text| Name(text.as_str().into()))
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// As the operating system has it.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// As a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }
}

impl From<&OsStr> for Name {
    fn from(name: &OsStr) -> Name {
        Name(name.to_owned())
    }
}

/// What was met while a log was read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    /// Lines that were understood.
    pub lines: u64,
    /// Lines that are no JSON object with a stage, or too long.
    pub unreadable: u64,
    /// The first of them, from 1.
    pub first_unreadable: Option<u64>,
    /// Lines of stages that are not known.
    pub unknown: u64,
}

impl Reading {
    /// All lines.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lines + self.unreadable + self.unknown
    }

    /// What there is to say of how the log at `path` read, a sentence each.
    #[must_use]
    pub fn notes(&self, path: &Path) -> Vec<String> {
        let log = path.display();
        let mut notes = Vec::new();
        let mut note = |count: u64, one: &str, many: &str, more: &str| match count {
            0 => {}
            1 => notes.push(format!("{log}: 1 line is {one}, and was passed over{more}")),
            _ => notes.push(format!("{log}: {count} lines are {many}, and were passed over{more}")),
        };
        let first = format!("; the first is line {}", self.first_unreadable.unwrap_or(0));
        note(self.unreadable, "torn or no line of a log", "torn or no lines of a log", &first);
        let [one, many] = ["a stage", "stages"].map(|of| format!("of {of} that this version does not know"));
        note(self.unknown, &one, &many, "");
        notes
    }
}

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read.
    #[error("reading the log {}", path.display())]
    Io {
        /// The log.
        path: PathBuf,
        /// The operating system's word.
        source: io::Error,
    },
    /// It is a folder, a pipe or a device.
    #[error("{} is no file that a log could be read from", path.display())]
    NotAFile {
        /// What was to be read.
        path: PathBuf,
    },
    /// There is not one line of imgsieve's in it.
    #[error("{} is no log of imgsieve: none of its {lines} lines is one of a run", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its lines.
        lines: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_not_utf8_come_back_as_they_were() {
        let line: Line<'_> = serde_json::from_str(
            r#"{"stage":"img_found","hash":"a\"b","img":"caf\ufffd.img","img_bytes":"Y2Fm6S5pbWc="}"#,
        )
        .expect("a line");
        assert_eq!(line.image().expect("a name").bytes(), b"caf\xe9.img");
        assert_eq!(line.hash().expect("a hash").bytes(), b"a\"b");
    }
}
