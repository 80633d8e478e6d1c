//! The log, read back: what runs have said of archives and images, line by line.
//!
//! A log outlives versions, crashes and full disks. So nothing in it is taken for granted: lines that are torn, too long
//! or no JSON, and lines of stages that are not known, are passed over and [counted](Reading). Lines of several runs may
//! be mixed: each names its run.

pub mod account;
mod line;
mod staged;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

pub use line::{Line, Text};
pub use staged::{Staged, StagedImage, State};

/// Longest line that is read, in bytes. The longest that is written has some 600 KB: names of 16 KiB, escaped.
const LINE_LIMIT: usize = 4 << 20;
/// Bytes of a log that are read at a time. A line takes some times its length once it is understood.
const BATCH: usize = 1 << 20;

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
    /// There is not one line of imgsieve's in it.
    #[error("{} is no log of imgsieve: none of its {lines} lines is one of a run", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its lines.
        lines: u64,
    },
}

/// Reads the log at `path` and gives every line that is understood to `each`, in order. Memory is bounded, whatever the
/// log's length. An empty log is one of no run.
pub fn read(path: &Path, each: impl FnMut(&Line<'_>)) -> Result<Reading, Error> {
    let (reading, _) = read_from(path, 0, each)?;
    if reading.lines == 0 && reading.unreadable + reading.unknown > 0 {
        return Err(Error::Foreign { path: path.to_owned(), lines: reading.unreadable + reading.unknown });
    }
    Ok(reading)
}

/// Reads the log at `path` as [`read`] does, from byte `start` on, where a line begins. Also gives the byte where the
/// last line that is whole ends: there, what is written meanwhile can be read by another call.
pub fn read_from(path: &Path, start: u64, mut each: impl FnMut(&Line<'_>)) -> Result<(Reading, u64), Error> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    if start > 0 {
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
    }
    let mut batches = Batches::new(file, start);
    let mut reading = Reading::default();
    let mut number = 0;
    while let Some(batch) = batches.next().map_err(failed)? {
        let lines: Vec<&[u8]> = batch.split(|&byte| byte == b'\n').collect();
        let lines: Vec<Option<Line<'_>>> =
            lines.into_par_iter().with_min_len(64).map(|line| serde_json::from_slice(line).ok()).collect();
        for line in lines {
            number += 1;
            match line {
                Some(line) if STAGES.contains(&line.stage.as_str()) => {
                    reading.lines += 1;
                    each(&line);
                }
                Some(_) => reading.unknown += 1,
                None => {
                    reading.unreadable += 1;
                    reading.first_unreadable.get_or_insert(number);
                }
            }
        }
    }
    Ok((reading, batches.lines_end))
}

/// A file in pieces of whole lines, each without its last newline.
struct Batches<R> {
    input: R,
    bytes: Vec<u8>,
    /// Bytes at the start that were given, with the newline that ends them.
    whole: usize,
    /// Whether the line at the start was too long, and lost its beginning.
    is_cut: bool,
    ended: bool,
    /// Where in the file the bytes begin.
    position: u64,
    /// Where in the file the last line ends that was given with its newline.
    lines_end: u64,
}

impl<R: Read> Batches<R> {
    fn new(input: R, position: u64) -> Batches<R> {
        Batches { input, bytes: Vec::new(), whole: 0, is_cut: false, ended: false, position, lines_end: position }
    }

    fn next(&mut self) -> io::Result<Option<&[u8]>> {
        self.bytes.drain(..self.whole);
        self.position += self.whole as u64;
        self.whole = 0;
        while !self.ended {
            let known = self.bytes.len();
            self.ended = self.input.by_ref().take(BATCH as u64).read_to_end(&mut self.bytes)? == 0;
            let Some(newline) = self.bytes[known..].iter().rposition(|&byte| byte == b'\n') else {
                if self.bytes.len() > LINE_LIMIT {
                    self.position += self.bytes.len() as u64;
                    self.bytes.clear();
                    self.is_cut = true;
                }
                continue;
            };
            self.whole = known + newline + 1;
            self.lines_end = self.position + self.whole as u64;
            if std::mem::take(&mut self.is_cut) {
                // What is left of a line that was too long must not be taken for one.
                let end = self.bytes.iter().position(|&byte| byte == b'\n').unwrap_or(0);
                self.bytes[..end].fill(b'?');
            }
            return Ok(Some(&self.bytes[..self.whole - 1]));
        }
        let rest = std::mem::take(&mut self.bytes);
        self.bytes = if self.is_cut { b"?".to_vec() } else { rest };
        self.is_cut = false;
        self.whole = self.bytes.len();
        Ok((!self.bytes.is_empty()).then_some(&self.bytes[..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &[u8]) -> (Vec<String>, Reading) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, text).expect("a log");
        let mut stages = Vec::new();
        let reading = read(&path, |line| stages.push(line.stage.as_str().to_owned())).expect("a log");
        (stages, reading)
    }

    #[test]
    fn what_is_no_line_of_ours_is_passed_over_and_counted() {
        let long = format!("{{\"stage\": \"warning\", \"message\": \"{}\"}}", "x".repeat(LINE_LIMIT + BATCH));
        let text = format!(
            "{{\"stage\": \"script_start\"}}\nno JSON\n{{\"stage\": \"teatime\"}}\n[1]\n{{\"stage\": 3}}\n\n{long}\n\
             {{\"stage\":\"cleanup\",\"size_bytes\":-1}}\n{{\"stage\":\"abort\",\"new\":{{\"x\":[1]}}}}\n{{\"stage\":\"script_co"
        );
        let (stages, reading) = read_text(text.as_bytes());
        assert_eq!(stages, ["script_start", "abort"]);
        assert_eq!(reading, Reading { lines: 2, unreadable: 7, first_unreadable: Some(2), unknown: 1 });
    }

    #[test]
    fn lines_are_whole_wherever_a_batch_ends() {
        let mut text = Vec::new();
        for number in 0..60_000 {
            text.extend_from_slice(format!("{{\"stage\":\"removed\",\"size_bytes\":{number}}}\n").as_bytes());
        }
        assert!(text.len() > 2 * BATCH);
        let (stages, reading) = read_text(&text);
        assert_eq!((stages.len(), reading.unreadable), (60_000, 0));
    }

    #[test]
    fn what_is_appended_is_read_from_where_the_last_whole_line_ended() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        let line = "{\"stage\":\"removed\"}\n";
        let long = format!("{}\n", "x".repeat(LINE_LIMIT + BATCH));
        std::fs::write(&path, format!("{line}{long}{line}{{\"stage\":\"rem")).expect("a log");
        let (reading, end) = read_from(&path, 0, |_| ()).expect("a log");
        assert_eq!((reading.lines, reading.unreadable), (2, 2));
        assert_eq!(end, (2 * line.len() + long.len()) as u64);
        std::fs::write(&path, format!("{line}{long}{line}{line}{line}")).expect("a log");
        let (reading, end) = read_from(&path, end, |_| ()).expect("a log");
        assert_eq!((reading.lines, reading.unreadable), (2, 0));
        assert_eq!(end, path.metadata().expect("a log").len());
    }

    #[test]
    fn an_empty_log_is_one_of_no_run_and_another_file_is_no_log() {
        assert_eq!(read_text(b"").1, Reading::default());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "{}\n{\"stage\": \"x\"}\n").expect("a file");
        assert!(matches!(read(&path, |_| ()), Err(Error::Foreign { lines: 2, .. })));
        assert!(matches!(read(folder.path(), |_| ()), Err(Error::Io { .. })));
    }

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
