//! The newest runs and archives of a log, for the completion of a command line.

use std::collections::{HashSet, VecDeque};

use crate::log::{At, Entry, Head, Listener, Logs};

/// Bytes at the end of the logs that are read: a shell waits for it.
const READ_MOST: u64 = 16 << 20;
/// Runs, and archives, that are remembered.
const MOST: usize = 2000;
/// Longest name that is completed, in bytes: that of a file.
const NAME_MOST: usize = 255;

/// What the end of a log names.
#[derive(Debug, Default)]
pub struct Recent {
    runs: Newest,
    archives: Newest,
}

/// The newest names, each once.
#[derive(Debug, Default)]
struct Newest {
    /// The newest last, more than once where they came again.
    names: VecDeque<String>,
}

impl Newest {
    fn note(&mut self, name: &str) {
        if self.names.back().is_none_or(|last| last != name) && is_plain(name) {
            if self.names.len() == MOST {
                self.names.pop_front();
            }
            self.names.push_back(name.to_owned());
        }
    }

    /// The newest first.
    fn list(&self) -> Vec<&str> {
        let mut seen = HashSet::new();
        self.names.iter().rev().map(String::as_str).filter(|name| seen.insert(*name)).collect()
    }
}

/// Whether no shell makes anything else of a name: it expands the words that it is to choose from.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=NAME_MOST).contains(&name.len()) && !name.starts_with('-') && name.bytes().all(is_plain)
}

impl Recent {
    /// Of the end of the logs; nothing of those that cannot be read, or are compressed.
    #[must_use]
    pub fn read(logs: &Logs) -> Recent {
        let mut recent = Recent::default();
        logs.read_last(READ_MOST, &mut recent);
        recent
    }

    /// The IDs of runs, the newest first.
    #[must_use]
    pub fn runs(&self) -> Vec<&str> {
        self.runs.list()
    }

    /// The hashes of archives that were begun or taken over, the newest first.
    #[must_use]
    pub fn archives(&self) -> Vec<&str> {
        self.archives.list()
    }
}

impl Listener for Recent {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        self.runs.note(&head.run);
        matches!(&*head.stage, "archive_start" | "archive_resumed" | "archive_verified")
    }

    fn note(&mut self, entry: Entry, _at: At) {
        if let Some(Ok(hash)) = entry.record.hash().map(|hash| std::str::from_utf8(hash.bytes())) {
            self.archives.note(hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_once_the_newest_first_and_none_that_a_shell_would_expand() {
        let line = |stage: &str, run: &str, hash: &str| {
            format!("{{\"stage\":\"{stage}\",\"hash\":\"{hash}\",\"by_run\":\"x\",\"run\":\"{run}\"}}\n")
        };
        let log = [
            line("archive_start", "one", "a"),
            line("archive_start", "two", "$(date)"),
            line("archive_start", "one", "-b"),
            line("archive_resumed", "three", "b c"),
            line("archive_start", "`id`", "d.e_f-1"),
            line("img_found", "three", "g"),
            "torn".to_owned(),
        ];
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, log.concat()).expect("a log");
        let recent = Recent::read(&Logs::open(&[path], false).expect("a log"));
        assert_eq!(recent.runs(), ["three", "one", "two"]);
        assert_eq!(recent.archives(), ["d.e_f-1", "a"]);
    }
}
