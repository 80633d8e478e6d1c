//! The log, written: opened once, appended to one whole line a write.
//!
//! A reader finds only whole lines. A line that could not be written whole is cut off again, and nothing more is written
//! after it; where it cannot be cut off, and where a machine died in the middle of a write, the torn line is ended before
//! anything is appended. Several runs may share a log: each append holds a lock on it, so that a line torn by another run
//! is seen and ended.
//!
//! A log may be rotated while a run goes on: [`Journal::follow`] leaves the file that was renamed for the one that is to
//! stand in its place, and repeats there what the run said that it would do: whoever has that part alone is told no less.

use std::fs::{File, OpenOptions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};

use crate::{clock, sanitize};

use super::limit::{Fit, Limits};
use super::record::{Entry, Record, ScriptStart};

/// How often a lock that another run holds is asked for, and how long to wait each time. A run that holds it longer than
/// that was stopped, and is not waited for.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// The log of a run.
pub struct Journal {
    path: PathBuf,
    run: String,
    state: Mutex<State>,
    /// Set by who wants the log to be opened anew.
    asked: Arc<AtomicBool>,
}

struct State {
    file: File,
    /// Not a pipe or a terminal: it has a last line, can be cut, and can be renamed.
    is_file: bool,
    /// Where our last line ended.
    end: u64,
    /// What the archives may still write.
    limits: Limits,
    /// What the run said that it would do, and when.
    start: Option<(SystemTime, Box<ScriptStart>)>,
    /// Why nothing more is written.
    lost: Option<String>,
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening the log {path}")]
pub struct OpenError {
    path: PathBuf,
    source: io::Error,
}

impl OpenError {
    /// Whether what stands there is not a log.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory)
    }
}

/// The log failed, and nothing more is written to it.
#[derive(Debug, thiserror::Error)]
#[error("the log {path} can no longer be written: {why}")]
pub struct Lost {
    path: PathBuf,
    why: String,
}

impl State {
    fn check_there(&self, is_new_asked: bool) -> io::Result<()> {
        if self.is_file && !is_new_asked && self.file.metadata()?.nlink() == 0 {
            return Err(io::Error::other("it was removed or replaced while the run went on"));
        }
        Ok(())
    }
}

impl Journal {
    /// Opens the log at `path` for append, creating it and its folder if they are missing. `run` marks every line.
    pub fn open(path: &Path, run: String) -> Result<Journal, OpenError> {
        match open(path) {
            Ok((file, is_file)) => Ok(Journal::new(path.to_owned(), run, file, is_file)),
            Err(source) => Err(OpenError { path: path.to_owned(), source }),
        }
    }

    /// A log on standard output.
    pub fn stdout(run: String) -> Result<Journal, OpenError> {
        let path = PathBuf::from("standard output");
        match io::stdout().as_fd().try_clone_to_owned() {
            Ok(handle) => Ok(Journal::new(path, run, File::from(handle), false)),
            Err(source) => Err(OpenError { path, source }),
        }
    }

    fn new(path: PathBuf, run: String, file: File, is_file: bool) -> Journal {
        let state = State { file, is_file, end: 0, limits: Limits::default(), start: None, lost: None };
        Journal { path, run, state: Mutex::new(state), asked: Arc::default() }
    }

    /// Has [`Journal::follow`] open the log anew once `asked` is set, too.
    #[must_use]
    pub fn follow_when(self, asked: Arc<AtomicBool>) -> Journal {
        Journal { asked, ..self }
    }

    /// Goes on in the file that is at the log's path by now, which is made if there is none: where the one that is written
    /// to was renamed, or where that was asked for. What was written to that one is on the disk first. One that was removed
    /// is an error, as for [`Journal::check_there`].
    pub fn follow(&self) -> Result<(), Lost> {
        self.guarded(|state| {
            let is_asked = self.asked.swap(false, Ordering::SeqCst);
            state.check_there(is_asked)?;
            if !state.is_file || !(is_asked || is_moved(&state.file, &self.path)?) {
                return Ok(());
            }
            state.file.sync_data()?;
            let opened = open(&self.path);
            let why = |error| io::Error::other(format!("it was rotated, and cannot be opened anew: {error}"));
            (state.file, state.is_file) = opened.map_err(why)?;
            state.end = 0;
            let Some((time, start)) = &state.start else { return Ok(()) };
            let start = ScriptStart { continued: true, ..(**start).clone() };
            let line = self.line(*time, Record::ScriptStart(Box::new(start)))?;
            Self::append(state, line)
        })
    }

    /// Fails where the log was removed, or another file was renamed to its name: what is written is lost. One that was
    /// renamed, or whose successor was asked for, is only rotated.
    pub fn check_there(&self) -> Result<(), Lost> {
        self.guarded(|state| {
            let is_asked = self.asked.load(Ordering::SeqCst);
            state.check_there(is_asked)
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `work` on the log, unless it failed before: after a failure nobody knows what is on the disk.
    fn guarded(&self, work: impl FnOnce(&mut State) -> io::Result<()>) -> Result<(), Lost> {
        let mut state = self.state();
        if state.lost.is_none() {
            state.lost = work(&mut state).err().map(|error| error.to_string());
        }
        match &state.lost {
            None => Ok(()),
            Some(why) => Err(Lost { path: self.path.clone(), why: why.clone() }),
        }
    }

    /// Writes `record`, or as much of it as its archive may still write.
    pub fn write(&self, record: &Record) -> Result<(), Lost> {
        self.guarded(|state| self.note(state, record))
    }

    /// Syncs what was written to disk.
    pub fn sync(&self) -> Result<(), Lost> {
        // A pipe or a terminal keeps nothing.
        self.guarded(|state| if state.is_file { state.file.sync_data() } else { Ok(()) })
    }

    /// Writes `record`, shortened if it has to be, and what there is to say about that.
    fn note(&self, state: &mut State, record: &Record) -> io::Result<()> {
        let more = state.limits.close(record);
        let now = SystemTime::now();
        let line = self.line(now, record.clone())?;
        if let Record::ScriptStart(start) = record {
            state.start = Some((now, start.clone()));
        }
        match state.limits.fit(record, line.len()) {
            Fit::Whole => Self::append(state, line)?,
            Fit::Short(short) => Self::append(state, self.line(now, *short)?)?,
            Fit::Dropped => {}
        }
        more.map_or(Ok(()), |more| Self::append(state, self.line(now, more)?))
    }

    fn line(&self, time: SystemTime, record: Record) -> io::Result<Vec<u8>> {
        let ts = clock::stamp(time);
        let entry = Entry { ts, stage: record.stage(), record, run: self.run.clone() };
        let mut line = sanitize::json(&serde_json::to_string(&entry)?).into_bytes();
        line.push(b'\n');
        Ok(line)
    }

    fn append(state: &mut State, mut line: Vec<u8>) -> io::Result<()> {
        let mut file = &state.file;
        let _lock = state.is_file.then(|| Lock::take(file));
        let before = if state.is_file { file.metadata()?.len() } else { 0 };
        if before != state.end && is_torn(file, before)? {
            line.insert(0, b'\n');
        }
        // One write, so that a reader finds a whole line or none.
        let written = loop {
            match file.write(&line) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                written => break written,
            }
        };
        match written {
            Ok(written) if written == line.len() => {
                state.end = before + written as u64;
                Ok(())
            }
            Ok(written) => {
                // If that fails, the next run to append ends the line.
                let _ = cut_off(file, before, &line[..written]);
                Err(io::ErrorKind::StorageFull.into())
            }
            Err(error) => Err(error),
        }
    }
}

/// Opens the log at `path` for append, and tells whether it is a regular file.
fn open(path: &Path) -> io::Result<(File, bool)> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let is_file = file.metadata()?.is_file();
    if is_file {
        check_is_log(&mut file)?;
        let _lock = Lock::take(&file);
        if is_torn(&file, file.metadata()?.len())? {
            (&file).write_all(b"\n")?;
        }
    }
    Ok((file, is_file))
}

/// Whether `path` is another file's by now, or nobody's.
fn is_moved(file: &File, path: &Path) -> io::Result<bool> {
    let own = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) != (own.dev(), own.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// A lock on the log while a line is appended; none on a file system without locks.
struct Lock<'a>(Option<&'a File>);

impl Lock<'_> {
    fn take(file: &File) -> Lock<'_> {
        for _ in 0..LOCK_TRIES {
            match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Lock(Some(file)),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => std::thread::sleep(LOCK_PAUSE),
                Err(_) => break,
            }
        }
        Lock(None)
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        if let Some(file) = self.0 {
            let _ = flock(file, FlockOperation::Unlock);
        }
    }
}

/// Refuses to append to what is not a log: a slip of the hand must not add to an archive.
fn check_is_log(file: &mut File) -> io::Result<()> {
    let mut first = [0];
    match file.read(&mut first)? {
        1 if first != *b"{" => Err(io::Error::new(io::ErrorKind::InvalidData, "not a log: it does not begin with '{'")),
        _ => Ok(()),
    }
}

/// Whether the last line of the log, which has `length` bytes, has no end: a crash or a full disk tore it.
fn is_torn(file: &File, length: u64) -> io::Result<bool> {
    let Some(at) = length.checked_sub(1) else { return Ok(false) };
    let mut last = [0];
    file.read_exact_at(&mut last, at)?;
    Ok(last != *b"\n")
}

/// Cuts `torn` off the log, which had `before` bytes before it, unless another run has appended since.
fn cut_off(file: &File, before: u64, torn: &[u8]) -> io::Result<()> {
    let mut end = vec![0; torn.len()];
    file.read_exact_at(&mut end, before)?;
    if end == torn && file.metadata()?.len() == before + torn.len() as u64 {
        file.set_len(before)?;
    }
    Ok(())
}

/// A new run's name, which no other run has: 64 random bits.
#[must_use]
pub fn new_run_id() -> String {
    format!("{:016x}", RandomState::new().hash_one((SystemTime::now(), std::process::id())))
}

#[cfg(test)]
mod tests {
    use super::super::record::Interrupted;
    use super::*;

    fn interrupted() -> Record {
        Record::Interrupted(Box::new(Interrupted { signal: "SIGINT".to_owned() }))
    }

    fn log(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, text).expect("a log");
        (folder, path)
    }

    fn read(path: &Path) -> String {
        std::fs::read_to_string(path).expect("a log")
    }

    #[test]
    fn a_torn_last_line_is_ended_before_anything_is_appended() {
        let (_folder, path) = log("{\"stage\": \"script_start\"}\n{\"stage\": \"archi");
        Journal::open(&path, "r".to_owned()).expect("opens").write(&interrupted()).expect("written");
        let text = read(&path);
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().nth(2).expect("ours").contains("\"stage\":\"interrupted\",\"signal\":\"SIGINT\""));
    }

    #[test]
    fn a_line_that_another_run_tore_is_ended_too() {
        let (_folder, path) = log("");
        let journal = Journal::open(&path, "r".to_owned()).expect("opens");
        journal.write(&interrupted()).expect("written");
        OpenOptions::new().append(true).open(&path).and_then(|mut other| other.write_all(b"{\"st")).expect("torn");
        journal.write(&interrupted()).expect("written");
        journal.write(&interrupted()).expect("written");
        let text = read(&path);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!((lines.len(), lines[1]), (4, "{\"st"));
        assert!(lines[2..].iter().all(|line| line.ends_with("\"run\":\"r\"}")), "{text}");
    }

    #[test]
    fn a_run_that_holds_the_lock_for_ever_is_not_waited_for() {
        let (_folder, path) = log("");
        let other = File::open(&path).expect("a log");
        let journal = Journal::open(&path, "r".to_owned()).expect("opens");
        flock(&other, FlockOperation::LockExclusive).expect("a lock");
        journal.write(&interrupted()).expect("written");
        assert_eq!(read(&path).lines().count(), 1);
    }

    #[test]
    fn what_is_no_log_is_not_appended_to() {
        let (_folder, path) = log("\x28PK");
        assert!(Journal::open(&path, "r".to_owned()).err().expect("refused").is_foreign());
        assert_eq!(read(&path), "\x28PK");
    }

    #[test]
    fn a_log_that_cannot_be_written_ends_the_run_and_is_left_alone() {
        let journal = Journal::open(Path::new("/dev/full"), "r".to_owned()).expect("opens");
        for _ in 0..2 {
            assert!(matches!(journal.write(&interrupted()), Err(lost) if lost.to_string().contains("/dev/full")));
        }
        assert!(journal.sync().is_err());
    }

    #[test]
    fn a_log_that_was_renamed_is_followed_by_a_new_one_when_it_is_asked_for() {
        let (folder, path) = log("");
        let journal = Journal::open(&path, "r".to_owned()).expect("opens");
        let rotated = folder.path().join("log.jsonl.1");
        let write = || {
            journal.write(&interrupted()).expect("written");
            [&rotated, &path].map(|path| std::fs::read_to_string(path).map_or(0, |text| text.lines().count()))
        };
        journal.follow().expect("nothing to follow");
        assert_eq!(write(), [0, 1]);
        std::fs::rename(&path, &rotated).expect("renamed");
        assert_eq!(write(), [2, 0]);
        journal.follow().expect("opens");
        assert_eq!(write(), [2, 1]);
        journal.follow().expect("nothing to follow");
        assert_eq!(write(), [2, 2]);
    }

    #[test]
    fn a_log_that_is_followed_to_begins_with_what_the_run_said_it_would_do() {
        let (folder, path) = log("");
        let journal = Journal::open(&path, "r".to_owned()).expect("opens");
        let start = ScriptStart { dry_run: true, ..ScriptStart::default() };
        journal.write(&Record::ScriptStart(Box::new(start))).expect("written");
        let said: serde_json::Value = serde_json::from_str(&read(&path)).expect("a line");
        std::fs::rename(&path, folder.path().join("log.jsonl.1")).expect("renamed");
        journal.follow().expect("opens");
        let mut again: serde_json::Value = serde_json::from_str(&read(&path)).expect("a line");
        assert_eq!(again["continued"].take(), true);
        assert!(again.as_object_mut().expect("an object").shift_remove("continued").is_some());
        assert_eq!((&again, &again["dry_run"]), (&said, &serde_json::Value::Bool(true)));
    }

    #[test]
    fn a_log_that_was_removed_or_replaced_is_one_that_failed() {
        for is_replaced in [false, true] {
            let (folder, path) = log("");
            let asked = Arc::new(AtomicBool::new(true));
            let journal = Journal::open(&path, "r".to_owned()).expect("opens").follow_when(Arc::clone(&asked));
            journal.check_there().expect("there");
            if is_replaced {
                let other = folder.path().join("other");
                std::fs::write(&other, "{}\n").and_then(|()| std::fs::rename(other, &path)).expect("renamed");
            } else {
                std::fs::remove_file(&path).expect("ours");
            }
            journal.check_there().expect("a new one was asked for");
            asked.store(false, Ordering::SeqCst);
            let lost = if is_replaced { journal.follow() } else { journal.check_there() };
            assert!(lost.is_err_and(|lost| lost.to_string().contains("removed or replaced")));
            assert!(journal.write(&interrupted()).is_err());
        }
    }

    #[test]
    fn a_torn_line_in_the_log_that_is_followed_to_is_ended() {
        let (folder, path) = log("");
        let journal = Journal::open(&path, "r".to_owned()).expect("opens");
        std::fs::rename(&path, folder.path().join("old")).expect("renamed");
        std::fs::write(&path, "{\"st").expect("a torn line");
        journal.follow().expect("opens");
        journal.write(&interrupted()).expect("written");
        assert_eq!(read(&path).lines().map(|line| line.ends_with('}')).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn what_cannot_be_followed_to_is_a_log_that_failed() {
        for foreign in [true, false] {
            let (folder, path) = log("");
            let journal = Journal::open(&path, "r".to_owned()).expect("opens");
            std::fs::rename(&path, folder.path().join("old")).expect("renamed");
            if foreign {
                std::fs::write(&path, "no log").expect("a file");
            } else {
                std::fs::create_dir(&path).expect("a folder");
            }
            assert!(journal.follow().is_err_and(|lost| lost.to_string().contains("rotated")));
            assert!(journal.write(&interrupted()).is_err() && journal.sync().is_err());
            assert_eq!(std::fs::read_to_string(&path).unwrap_or("no log".to_owned()), "no log");
        }
    }

    #[test]
    fn a_signal_has_the_log_opened_anew_once() {
        let (_folder, path) = log("");
        let asked = Arc::new(AtomicBool::new(true));
        let journal = Journal::open(&path, "r".to_owned()).expect("opens").follow_when(Arc::clone(&asked));
        journal.write(&interrupted()).expect("written");
        journal.follow().expect("opens");
        assert!(!asked.load(Ordering::SeqCst));
        journal.write(&interrupted()).expect("written");
        assert_eq!(read(&path).lines().count(), 2);
    }

    #[test]
    fn only_the_torn_bytes_are_cut_off() {
        let (_folder, path) = log("{}\n{\"to");
        let file = OpenOptions::new().read(true).append(true).open(&path).expect("a log");
        cut_off(&file, 3, b"{\"XY").expect("left");
        cut_off(&file, 3, b"{\"t").expect("left");
        assert_eq!(read(&path), "{}\n{\"to");
        cut_off(&file, 3, b"{\"to").expect("cut");
        assert_eq!(read(&path), "{}\n");
    }

    #[test]
    fn a_runs_id_is_64_random_bits() {
        let ids: std::collections::BTreeSet<String> = (0..1000).map(|_| new_run_id()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit())));
    }
}
