//! Logs that were copied: what two of them have in common happened once, and is read once.
//!
//! Somebody keeps a copy beside a log, or `logrotate` does, and the log goes on; a copy may have been appended to as well.
//! So a log that another one begins with is left out, and of two that began alike and went different ways, the later one
//! by its name is read from where they part.

use std::collections::VecDeque;
use std::io::Read;
use std::path::PathBuf;

use super::read::{BUFFER, Error, Lines};
use super::source::Source;

/// A log that is left out.
pub(super) struct Copy {
    /// Where it is.
    pub path: PathBuf,
    /// How long it was, in bytes: so much of it is read elsewhere.
    pub length: u64,
    /// Which log has the same, a sentence.
    pub note: String,
}

/// Leaves out what is there twice, of logs that lie in the order in which they are read.
pub(super) fn leave_out(sources: &mut Vec<Source>) -> Result<Vec<Copy>, Error> {
    let lengths: Vec<u64> = sources.iter().map(Source::length).collect();
    let beginnings = sources.iter().map(Source::beginning).collect::<Result<Vec<_>, _>>()?;
    let mut is_copy = vec![false; sources.len()];
    let mut copies = Vec::new();
    for own in 1..sources.len() {
        for other in 0..own {
            if is_copy[own] || is_copy[other] || beginnings[own].is_none() || beginnings[own] != beginnings[other] {
                continue;
            }
            let (own_parts, other_parts) = (parts(sources, own, other), parts(sources, other, own));
            let found = common(Stream::new(sources, &own_parts), Stream::new(sources, &other_parts))?;
            // Of two that are the same, the one that was named is the one that goes on.
            let is_other_named = sources[other].is_listed <= sources[own].is_listed;
            let contained = match (found.own_ended, found.other_ended) {
                (true, true) if !is_other_named => Some((other_parts, own)),
                (true, _) => Some((own_parts, other)),
                (false, true) => Some((other_parts, own)),
                (false, false) => None,
            };
            if let Some((parts, original)) = contained {
                let original = sources[original].path.display().to_string();
                for part in parts {
                    is_copy[part] = true;
                    let path = sources[part].path.clone();
                    let note = format!("{} is a copy of {original}, or of a part of that log; skipped", path.display());
                    copies.push(Copy { path, length: lengths[part], note });
                }
                continue;
            }
            if let Some((&(last, lines), whole)) = found.of_own.split_last() {
                sources[last].repeated = sources[last].repeated.max(lines);
                for &(part, _) in whole {
                    is_copy[part] = true;
                }
            }
        }
    }
    let mut is_copy = is_copy.into_iter();
    sources.retain(|_| !is_copy.next().unwrap_or_default());
    Ok(copies)
}

/// A part of a log and those that follow it; of a log with itself, the part alone.
fn parts(sources: &[Source], from: usize, other: usize) -> Vec<usize> {
    let group = sources[from].group;
    let follow =
        (from + 1..sources.len()).filter(|&part| group != sources[other].group && sources[part].group == group);
    std::iter::once(from).chain(follow).collect()
}

/// What two logs have in common from their beginnings on.
struct Common {
    /// Lines of each part of the one.
    of_own: Vec<(usize, u64)>,
    own_ended: bool,
    other_ended: bool,
}

fn common(mut own: Stream<'_>, mut other: Stream<'_>) -> Result<Common, Error> {
    let mut of_own: Vec<(usize, u64)> = Vec::new();
    loop {
        let (is_own, is_other) = (own.advance()?, other.advance()?);
        if !(is_own && is_other && own.line() == other.line()) {
            return Ok(Common { of_own, own_ended: !is_own, other_ended: !is_other });
        }
        match of_own.last_mut() {
            Some((part, lines)) if *part == own.part => *lines += 1,
            _ => of_own.push((own.part, 1)),
        }
    }
}

/// Parts of a log, line by line.
struct Stream<'a> {
    left: VecDeque<(usize, &'a Source)>,
    lines: Option<(&'a Source, Lines<Box<dyn Read + 'a>>)>,
    /// The part that the line is of.
    part: usize,
}

impl<'a> Stream<'a> {
    fn new(sources: &'a [Source], parts: &[usize]) -> Stream<'a> {
        Stream { left: parts.iter().map(|&part| (part, &sources[part])).collect(), lines: None, part: 0 }
    }

    fn line(&self) -> &[u8] {
        self.lines.as_ref().map_or(&[], |(_, lines)| &lines.line)
    }

    /// Reads a line; whether there was one.
    fn advance(&mut self) -> Result<bool, Error> {
        loop {
            if let Some((source, lines)) = &mut self.lines
                && lines.advance().map_err(|error| source.failed(error))?
            {
                return Ok(true);
            }
            let Some((part, source)) = self.left.pop_front() else { return Ok(false) };
            (self.part, self.lines) = (part, Some((source, source.lines(BUFFER)?)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::read::{At, Listener};
    use super::super::record::Entry;
    use super::super::source::Logs;

    #[derive(Default)]
    struct Runs(String);

    impl Listener for Runs {
        fn note(&mut self, entry: Entry, _at: At) {
            self.0.push_str(&entry.run);
        }
    }

    /// What is read of a folder with these logs, each line a run's, and how many are left out.
    fn read(logs: &[(&str, &str)]) -> (String, usize) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let line = |run: char| format!("{{\"ts\":\"2026-01-01T00:00:00Z\",\"stage\":\"abort\",\"run\":\"{run}\"}}\n");
        for (name, runs) in logs {
            std::fs::write(folder.path().join(name), runs.chars().map(line).collect::<String>()).expect("a log");
        }
        let count = logs.len();
        let logs = Logs::open(&[folder.path().to_owned()], false).expect("logs");
        let mut runs = Runs::default();
        let reading = logs.read(&mut runs).expect("logs");
        assert!(reading.notes.is_empty() && reading.ends.len() == count, "{reading:?}");
        (runs.0, reading.copies.len())
    }

    #[test]
    fn a_log_that_another_one_begins_with_is_left_out_whatever_they_are_called() {
        for (whole, part) in [("a.jsonl", "z.jsonl"), ("z.jsonl", "a.jsonl"), ("a.jsonl", "a.jsonl.1")] {
            assert_eq!(read(&[(whole, "abcde"), (part, "abc")]), ("abcde".to_owned(), 1), "{whole} {part}");
            assert_eq!(read(&[(whole, "abcde"), (part, "abcde")]), ("abcde".to_owned(), 1), "{whole} {part}");
        }
        assert_eq!(read(&[("a.jsonl", "abc"), ("b.jsonl", "abcd"), ("c.jsonl", "abcde")]), ("abcde".to_owned(), 2));
    }

    #[test]
    fn a_log_that_was_rotated_and_a_copy_of_it_are_one() {
        for copy in ["copy.jsonl", "z.jsonl"] {
            let parts = [("m.jsonl.2", "ab"), ("m.jsonl.1", "cd"), ("m.jsonl", "ef")];
            for (text, all) in [("abcd", "abcdef"), ("abcdef", "abcdef"), ("abcdefg", "abcdefg"), ("cd", "abcdef")] {
                let (read, _) = read(&[&parts[..], &[(copy, text)]].concat());
                assert_eq!(read, all, "{copy} {text}");
            }
        }
    }

    #[test]
    fn logs_that_went_different_ways_are_read_from_where_they_part() {
        assert_eq!(read(&[("a.jsonl", "abcd"), ("b.jsonl", "abxy")]), ("abcdxy".to_owned(), 0));
        assert_eq!(read(&[("m.jsonl.1", "ab"), ("m.jsonl", "cd"), ("z.jsonl", "abcx")]), ("abcdx".to_owned(), 0));
        // A beginning of its own is another log's.
        assert_eq!(read(&[("a.jsonl", "abc"), ("b.jsonl", "bc")]), ("abcbc".to_owned(), 0));
    }
}
