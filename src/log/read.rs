//! The log, read back: line by line, in bounded memory.
//!
//! A log outlives versions, crashes and full disks. So nothing in it is taken for granted: lines that are torn, too long
//! or no JSON, and lines of stages that are not known, are passed over and [counted](Reading). Lines of several runs may
//! be mixed: each names its run.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use memchr::memchr;
use serde::Deserialize;

use super::record::{Entry, Record};

/// Longest line that is read, in bytes. The longest that is written is shorter than half of it.
pub const LINE_LIMIT: usize = 1 << 20;
/// A line that is too long has to end within so many bytes.
const LINE_END_MOST: u64 = 1 << 30;
/// Bytes of a log that are read at a time.
pub(super) const BUFFER: usize = 256 << 10;

/// What every line has.
#[derive(Debug, Deserialize)]
pub struct Head<'a> {
    /// When it was written.
    #[serde(borrow, default)]
    pub ts: Cow<'a, str>,
    /// What happened.
    #[serde(borrow)]
    pub stage: Cow<'a, str>,
    /// The run that wrote it; empty in a log of the script that imgsieve replaces.
    #[serde(borrow, default)]
    pub run: Cow<'a, str>,
}

impl Head<'_> {
    /// When it was written.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.ts).ok()
    }
}

impl Entry {
    /// Reads a line; none where its stage is not known.
    pub fn read(line: &str) -> serde_json::Result<Option<Entry>> {
        let head: Head<'_> = serde_json::from_str(line)?;
        Entry::read_behind(&head, line)
    }

    fn read_behind(head: &Head<'_>, line: &str) -> serde_json::Result<Option<Entry>> {
        let Some(record) = Record::read(&head.stage, line).transpose()? else { return Ok(None) };
        Ok(Some(Entry {
            ts: head.ts.clone().into_owned(),
            stage: record.stage(),
            record,
            run: head.run.clone().into_owned(),
        }))
    }

    /// When it was written.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339(&self.ts).ok()
    }
}

/// Which line of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct At {
    /// Which log, where several are read as one.
    pub log: usize,
    /// Its number in it, from 1.
    pub line: u64,
    /// Its length in bytes.
    pub length: usize,
}

/// Receives the lines of a log.
pub trait Listener {
    /// What comes next is of another file, which is a part of this log.
    fn begin(&mut self, _log: usize) {}

    /// Whether a line has to be read beyond its head.
    fn wants(&mut self, _head: &Head<'_>) -> bool {
        true
    }

    /// Takes note of a line.
    fn note(&mut self, entry: Entry, at: At);

    /// Whether to stop reading. A listener that says so knows that it has not seen the whole log.
    fn is_done(&self) -> bool {
        false
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
    /// Lines at its beginning that another log has, too, and that were not read again.
    pub repeated: u64,
    /// What there is to say of how it read, a sentence each.
    pub notes: Vec<String>,
    /// The same of logs that were not read because they are copies: nothing is missing for that.
    pub copies: Vec<String>,
    /// Where in each log the last line ends that is whole: what is written meanwhile can be [read](Tail) from there.
    pub ends: Vec<(PathBuf, u64)>,
}

impl Reading {
    /// All lines.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.lines + self.unreadable + self.unknown + self.repeated
    }

    /// Adds how the log at `path` read.
    pub(super) fn add(&mut self, other: &Reading, path: &Path, end: u64) {
        self.ends.push((path.to_owned(), end));
        let log = path.display();
        let mut note = |count: u64, one: &str, many: &str, more: &str| match count {
            0 => {}
            1 => self.notes.push(format!("{log}: 1 line is {one}, and was skipped{more}")),
            _ => self.notes.push(format!("{log}: {count} lines are {many}, and were skipped{more}")),
        };
        let first = format!("; the first is line {}", other.first_unreadable.unwrap_or(0));
        note(other.unreadable, "torn or no line of a log", "torn or no lines of a log", &first);
        let [one, many] = ["a stage", "stages"].map(|of| format!("of {of} unknown to this version"));
        note(other.unknown, &one, &many, "");
        self.lines += other.lines;
        self.unreadable += other.unreadable;
        self.unknown += other.unknown;
        self.repeated += other.repeated;
        self.first_unreadable = self.first_unreadable.or(other.first_unreadable);
    }

    /// Takes note of `line`, and has `listener` do so.
    pub(super) fn note(&mut self, line: &[u8], log: usize, listener: &mut impl Listener) {
        // Once for the line is cheaper than once for each string in it.
        let text = std::str::from_utf8(line).unwrap_or_default();
        let read = serde_json::from_str(text).and_then(|head: Head<'_>| {
            if !is_known(&head.stage) {
                return Ok(None);
            }
            Ok(Some(if listener.wants(&head) { Entry::read_behind(&head, text)? } else { None }))
        });
        match read {
            Ok(Some(entry)) => {
                self.lines += 1;
                if let Some(entry) = entry {
                    listener.note(entry, At { log, line: self.total(), length: line.len() });
                }
            }
            Ok(None) => self.unknown += 1,
            Err(_) => {
                self.unreadable += 1;
                let number = self.total();
                self.first_unreadable.get_or_insert(number);
            }
        }
    }
}

fn is_known(stage: &str) -> bool {
    Record::STAGES.iter().any(|&(known, _)| known == stage)
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
    /// It is a pipe or a device.
    #[error("{} is not a log: it is not a regular file", path.display())]
    NotAFile {
        /// What was to be read.
        path: PathBuf,
    },
    /// It is a folder without a log.
    #[error("{} has no logs in it", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// It has no line of imgsieve's.
    #[error("{} is not an imgsieve log: none of its {lines} lines belongs to a run", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its lines.
        lines: u64,
    },
}

/// A log that others write to, read to where it ends, and on from there.
#[derive(Debug)]
pub struct Tail {
    path: PathBuf,
    /// None where there is none yet.
    file: Option<File>,
    /// Where the last line ends that was read, and is whole.
    end: u64,
}

impl Tail {
    /// The log at `path`, of which nothing was read yet, and which may still have to be begun.
    pub fn open(path: &Path) -> Result<Tail, Error> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            opened => Some(opened.map_err(|source| Error::Io { path: path.to_owned(), source })?),
        };
        Ok(Tail { path: path.to_owned(), file, end: 0 })
    }

    /// The same after somebody has read it by its path, to byte `end`.
    pub fn read_to(&mut self, end: u64) {
        // Of one that was rotated meanwhile it is not known which file that was, and reading twice does no harm.
        if self.successor().is_ok_and(|other| other.is_none()) {
            self.end = end;
        }
    }

    /// Reads what was written since, and tells `listener`; also what is written to another file by now, where the log was
    /// rotated.
    pub fn read(&mut self, listener: &mut impl Listener) -> Result<(), Error> {
        self.read_own(listener).map_err(|source| self.failed(source))?;
        if let Some(file) = self.successor().map_err(|source| self.failed(source))? {
            (self.file, self.end) = (Some(file), 0);
            self.read_own(listener).map_err(|source| self.failed(source))?;
        }
        Ok(())
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }

    fn read_own(&mut self, listener: &mut impl Listener) -> io::Result<()> {
        let Some(mut file) = self.file.as_ref() else { return Ok(()) };
        // One that was truncated is written to from its start.
        let start = if file.metadata()?.len() < self.end { 0 } else { self.end };
        file.seek(SeekFrom::Start(start))?;
        let mut lines = Lines::new(BufReader::with_capacity(BUFFER, file), start);
        let mut reading = Reading::default();
        while !listener.is_done() && lines.advance()? {
            reading.note(&lines.line, 0, listener);
        }
        self.end = lines.end;
        Ok(())
    }

    /// The file that is at the path by now, if that is another one.
    fn successor(&self) -> io::Result<Option<File>> {
        let other = match File::open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let Some(file) = &self.file else { return Ok(Some(other)) };
        let (own, there) = (file.metadata()?, other.metadata()?);
        Ok(((own.dev(), own.ino()) != (there.dev(), there.ino())).then_some(other))
    }
}

/// A file, line by line.
pub(super) struct Lines<R> {
    input: BufReader<R>,
    /// The line, without its end; of one that is too long, the beginning, which is no JSON.
    pub line: Vec<u8>,
    /// Where in the file the last line ends that has an end.
    pub end: u64,
}

impl<R: Read> Lines<R> {
    /// `input`, from byte `start` of the file on.
    pub fn new(input: BufReader<R>, start: u64) -> Lines<R> {
        Lines { input, line: Vec::new(), end: start }
    }

    /// Reads a line; whether there was one.
    pub fn advance(&mut self) -> io::Result<bool> {
        self.line.clear();
        let mut length = 0;
        loop {
            let buffer = match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                buffer => buffer?,
            };
            let (taken, is_end) = memchr(b'\n', buffer).map_or((buffer.len(), false), |at| (at + 1, true));
            let is_over = taken == 0;
            let text = &buffer[..taken - usize::from(is_end)];
            self.line.extend_from_slice(&text[..text.len().min((LINE_LIMIT + 1).saturating_sub(self.line.len()))]);
            self.input.consume(taken);
            length += taken as u64;
            if length > LINE_END_MOST {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "one of its lines has no end"));
            }
            if is_end {
                self.end += length;
            }
            if is_end || is_over {
                if self.line.len() > LINE_LIMIT {
                    self.line.truncate(1);
                }
                return Ok(length > 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Stages {
        met: Vec<&'static str>,
        /// What is wanted; all if empty.
        wanted: &'static str,
        enough: Option<usize>,
    }

    impl Listener for Stages {
        fn wants(&mut self, head: &Head<'_>) -> bool {
            self.wanted.is_empty() || head.stage == self.wanted
        }

        fn note(&mut self, entry: Entry, _at: At) {
            self.met.push(entry.stage);
        }

        fn is_done(&self) -> bool {
            self.enough.is_some_and(|enough| self.met.len() >= enough)
        }
    }

    fn log(text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, text).expect("a log");
        (folder, path)
    }

    fn read(path: &Path, listener: &mut impl Listener) -> Result<Reading, Error> {
        crate::log::Logs::open(&[path.to_owned()], false)?.read(listener)
    }

    fn read_text(text: &[u8]) -> (Vec<&'static str>, Reading) {
        let (_folder, path) = log(text);
        let mut stages = Stages::default();
        let reading = read(&path, &mut stages).expect("a log");
        (stages.met, reading)
    }

    #[test]
    fn what_is_no_line_of_ours_is_passed_over_and_counted() {
        let long = format!("{{\"stage\":\"abort\",\"message\":\"{}\"}}", "x".repeat(LINE_LIMIT));
        let text = format!(
            "{{\"stage\": \"script_start\"}}\nno JSON\n{{\"stage\": \"teatime\"}}\n[1]\n{{\"stage\": 3}}\n\n{long}\n\
             {{\"stage\":\"removed\",\"size_bytes\":-1}}\n{{\"stage\":\"abort\",\"new\":{{\"x\":[1]}}}}\n{{\"stage\":\"script_co"
        );
        let (stages, reading) = read_text(text.as_bytes());
        assert_eq!(stages, ["script_start", "abort"]);
        assert_eq!((reading.lines, reading.unreadable, reading.first_unreadable, reading.unknown), (2, 7, Some(2), 1));
    }

    #[test]
    fn lines_are_whole_wherever_a_read_ends() {
        let mut text = Vec::new();
        for number in 0..30_000 {
            text.extend_from_slice(format!("{{\"stage\":\"removed\",\"size_bytes\":{number}}}\n").as_bytes());
        }
        assert!(text.len() > 2 * BUFFER);
        let (stages, reading) = read_text(&text);
        assert_eq!((stages.len(), reading.unreadable), (30_000, 0));
    }

    #[test]
    fn what_is_appended_is_read_from_where_the_last_whole_line_ended() {
        let line = "{\"stage\":\"removed\"}\n";
        let long = format!("{}\n", "x".repeat(LINE_LIMIT + BUFFER));
        let (_folder, path) = log(format!("{line}{long}{line}{{\"stage\":\"rem").as_bytes());
        let mut tail = Tail::open(&path).expect("a log");
        let mut read = || {
            let mut stages = Stages::default();
            tail.read(&mut stages).expect("a log");
            (stages.met.len(), tail.end)
        };
        assert_eq!(read(), (2, (2 * line.len() + long.len()) as u64));
        std::fs::write(&path, format!("{line}{long}{line}{line}{line}")).expect("a log");
        assert_eq!(read(), (2, path.metadata().expect("a log").len()));
    }

    #[test]
    fn a_log_that_is_rotated_is_read_to_its_end_and_then_the_new_one_from_its_start() {
        let line = "{\"stage\":\"removed\"}\n";
        let (folder, path) = log(line.as_bytes());
        let mut tail = Tail::open(&path).expect("a log");
        tail.read_to(line.len() as u64);
        let mut read = || {
            let mut stages = Stages::default();
            tail.read(&mut stages).expect("a log");
            stages.met.len()
        };
        let rotated = folder.path().join("rotated");
        std::fs::rename(&path, &rotated).expect("renamed");
        std::fs::write(&rotated, line.repeat(3)).expect("a log");
        assert_eq!(read(), 2);
        std::fs::write(&rotated, line.repeat(4)).expect("a log");
        std::fs::write(&path, line.repeat(5)).expect("a log");
        assert_eq!(read(), 1 + 5);
        std::fs::write(&path, line.repeat(6)).expect("a log");
        assert_eq!(read(), 1);
    }

    #[test]
    fn what_nobody_wants_is_counted_where_it_is_json() {
        let text =
            "{\"stage\":\"cleanup\"}\n{\"stage\":\"cleanup\",no JSON}\n{\"stage\":\"abort\",\"message\":\"m\"}\n";
        let (_folder, path) = log(text.as_bytes());
        let mut aborts = Stages { wanted: "abort", ..Stages::default() };
        let reading = read(&path, &mut aborts).expect("a log");
        assert_eq!((reading.lines, reading.unreadable, reading.first_unreadable, reading.unknown), (2, 1, Some(2), 0));
        assert_eq!(aborts.met, ["abort"]);
    }

    #[test]
    fn an_empty_log_is_one_of_no_run_and_another_file_is_no_log() {
        assert_eq!(read_text(b"").1.total(), 0);
        let (folder, path) = log(b"{}\n{\"stage\": \"x\"}\n");
        let read = |path: &Path| read(path, &mut Stages::default());
        assert!(matches!(read(&path), Err(Error::Foreign { lines: 2, .. })));
        assert!(matches!(read(Path::new("/dev/zero")), Err(Error::NotAFile { .. })));
        assert!(matches!(read(&folder.path().join("none")), Err(Error::Io { .. })));
    }

    #[test]
    fn who_has_enough_is_told_no_more() {
        let (_folder, path) = log("{\"stage\":\"removed\"}\n".repeat(10).as_bytes());
        let mut first = Stages { enough: Some(1), ..Stages::default() };
        assert_eq!(read(&path, &mut first).expect("a log").lines, 1);
    }
}
