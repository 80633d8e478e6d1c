//! A log, line by line, in bounded memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::mpsc;

use memchr::{memchr, memrchr};

use super::{Error, Line, Peek, Reading, STAGES};

/// Longest line that is read, in bytes. The longest that is written has some 600 KB: names of 16 KiB, escaped.
const LINE_LIMIT: usize = 4 << 20;
/// Bytes of a log that are read at a time. A line may take eighty times its length once it is understood.
const BATCH: usize = 1 << 20;
/// Bytes that are parsed in one go, by one processor.
const PIECE: usize = 64 << 10;
/// Runs that may write to one log at a time, roughly.
const RUNS_AT_ONCE: usize = 8;

/// Who is told what a log says.
pub trait Listener {
    /// Takes note of a line.
    fn note(&mut self, line: &Line<'_>);

    /// Takes note that lines were passed over which are not wanted: the last of each run, every so often.
    fn pass(&mut self, _line: Peek<'_>) {}

    /// Whether no more is to be read. Who says so knows that what was read is not the whole log.
    fn is_done(&self) -> bool {
        false
    }
}

impl<F: FnMut(&Line<'_>)> Listener for F {
    fn note(&mut self, line: &Line<'_>) {
        self(line);
    }
}

/// Reads the log at `path` and gives every line that is understood to `each`, in order. Memory is bounded, whatever the
/// log's length. An empty log is one of no run.
pub fn read(path: &Path, mut each: impl FnMut(&Line<'_>)) -> Result<Reading, Error> {
    read_some(path, |_| true, &mut each)
}

/// As [`read`], but only of lines that `is_wanted`, and of those in another form than imgsieve's. What is passed over is
/// counted as understood: of it is only known that it begins and ends as a line does.
pub fn read_some(
    path: &Path,
    is_wanted: impl Fn(Peek<'_>) -> bool + Sync,
    listener: &mut impl Listener,
) -> Result<Reading, Error> {
    read_from(path, 0, is_wanted, listener).map(|(reading, _)| reading)
}

/// As [`read_some`], from byte `start` on, where a line begins. Also gives the byte where the last line that is whole
/// ends: there, what is written meanwhile can be read by another call.
pub fn read_from(
    path: &Path,
    start: u64,
    is_wanted: impl Fn(Peek<'_>) -> bool + Sync,
    listener: &mut impl Listener,
) -> Result<(Reading, u64), Error> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    // A pipe would wait for somebody to write, a device may have no end.
    if !std::fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let mut file = File::open(path).map_err(failed)?;
    if start > 0 {
        file.seek(SeekFrom::Start(start)).map_err(failed)?;
    }
    let mut batches = Batches { input: file, rest: Vec::new(), is_cut: false, ended: false, lines_end: start };
    let mut spare = Vec::new();
    let mut reading = Reading::default();
    let mut batch = batches.next(Vec::new()).map_err(failed)?;
    while let Some(bytes) = batch {
        let buffer = std::mem::take(&mut spare);
        let mut next = Ok(None);
        rayon::in_place_scope_fifo(|scope| {
            let pieces = pieces(&bytes);
            let (sender, receiver) = mpsc::channel();
            for (index, &piece) in pieces.iter().enumerate() {
                let (sender, is_wanted) = (sender.clone(), &is_wanted);
                // Who no longer receives has panicked.
                scope.spawn_fifo(move |_| drop(sender.send((index, Piece::of(piece, is_wanted)))));
            }
            drop(sender);
            let (batches, next) = (&mut batches, &mut next);
            scope.spawn_fifo(move |_| *next = batches.next(buffer));
            // In their order, while those behind are parsed.
            let mut parsed = BTreeMap::new();
            for index in 0..pieces.len() {
                while !parsed.contains_key(&index)
                    && let Ok((index, piece)) = receiver.recv()
                {
                    parsed.insert(index, piece);
                }
                if let Some(piece) = parsed.remove(&index) {
                    piece.tell(listener, &mut reading);
                }
            }
        });
        spare = bytes;
        batch = next.map_err(failed)?.filter(|_| !listener.is_done());
    }
    if start == 0 && reading.lines == 0 && reading.total() > 0 {
        return Err(Error::Foreign { path: path.to_owned(), lines: reading.total() });
    }
    Ok((reading, batches.lines_end))
}

/// `batch` in pieces of whole lines.
fn pieces(mut batch: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some(newline) = batch.get(PIECE..).and_then(|rest| memchr(b'\n', rest)) {
        let (piece, rest) = batch.split_at(PIECE + newline);
        pieces.push(piece);
        batch = &rest[1..];
    }
    pieces.push(batch);
    pieces
}

/// Some lines of a log.
struct Piece<'a> {
    /// Those that are wanted.
    lines: Vec<Line<'a>>,
    /// The last of each run of those that are not.
    passed: Vec<Peek<'a>>,
    /// All of them.
    reading: Reading,
}

impl<'a> Piece<'a> {
    fn of(bytes: &'a [u8], is_wanted: &impl Fn(Peek<'_>) -> bool) -> Piece<'a> {
        let mut piece = Piece { lines: Vec::new(), passed: Vec::new(), reading: Reading::default() };
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', bytes).chain([bytes.len()]) {
            piece.note(&bytes[start..end], is_wanted);
            start = end + 1;
        }
        piece
    }

    fn note(&mut self, line: &'a [u8], is_wanted: &impl Fn(Peek<'_>) -> bool) {
        if let Some(peek) = Peek::of(line)
            && STAGES.contains(&peek.stage)
            && !is_wanted(peek)
        {
            self.reading.lines += 1;
            match self.passed.iter_mut().rev().take(RUNS_AT_ONCE).find(|known| known.run == peek.run) {
                Some(known) => *known = peek,
                None => self.passed.push(peek),
            }
            return;
        }
        // Once for the line is cheaper than once for each string in it.
        let text = std::str::from_utf8(line).unwrap_or_default();
        match serde_json::from_str::<Line<'_>>(text) {
            Ok(mut known) if STAGES.contains(&known.stage.as_str()) => {
                self.reading.lines += 1;
                known.length = line.len();
                self.lines.push(known);
            }
            Ok(_) => self.reading.unknown += 1,
            Err(_) => {
                self.reading.unreadable += 1;
                let number = self.reading.total();
                self.reading.first_unreadable.get_or_insert(number);
            }
        }
    }

    /// Tells of the lines, and counts them behind those of `reading`.
    fn tell(self, listener: &mut impl Listener, reading: &mut Reading) {
        self.lines.iter().for_each(|line| listener.note(line));
        self.passed.into_iter().for_each(|peek| listener.pass(peek));
        if let Some(first) = self.reading.first_unreadable {
            let before = reading.total();
            reading.first_unreadable.get_or_insert(before + first);
        }
        reading.lines += self.reading.lines;
        reading.unreadable += self.reading.unreadable;
        reading.unknown += self.reading.unknown;
    }
}

/// A file in batches of whole lines, each without its last newline.
struct Batches<R> {
    input: R,
    /// The beginning of a line.
    rest: Vec<u8>,
    /// Whether that line was too long, and lost what was there of it.
    is_cut: bool,
    ended: bool,
    /// Where in the file the last line ends that was given with its newline.
    lines_end: u64,
}

impl<R: Read> Batches<R> {
    /// The next batch, in the memory of `batch`.
    fn next(&mut self, mut batch: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        batch.clear();
        batch.append(&mut self.rest);
        // Where the batch begins, but for what was lost of a line that is too long.
        let mut position = self.lines_end;
        while !self.ended {
            let known = batch.len();
            self.ended = self.input.by_ref().take(BATCH as u64).read_to_end(&mut batch)? == 0;
            let Some(newline) = memrchr(b'\n', &batch[known..]) else {
                if batch.len() > LINE_LIMIT {
                    position += batch.len() as u64;
                    batch.clear();
                    self.is_cut = true;
                }
                continue;
            };
            self.lines_end = position + (known + newline + 1) as u64;
            self.rest.extend_from_slice(&batch[known + newline + 1..]);
            batch.truncate(known + newline);
            if std::mem::take(&mut self.is_cut) {
                // What is left of a line that was too long must not be taken for one.
                let end = memchr(b'\n', &batch).unwrap_or(batch.len());
                batch[..end].fill(b'?');
            }
            return Ok(Some(batch));
        }
        if std::mem::take(&mut self.is_cut) {
            batch = b"?".to_vec();
        }
        Ok((!batch.is_empty()).then_some(batch))
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
        let (reading, end) = read_from(&path, 0, |_| true, &mut |_: &Line<'_>| ()).expect("a log");
        assert_eq!((reading.lines, reading.unreadable), (2, 2));
        assert_eq!(end, (2 * line.len() + long.len()) as u64);
        std::fs::write(&path, format!("{line}{long}{line}{line}{line}")).expect("a log");
        let (reading, end) = read_from(&path, end, |_| true, &mut |_: &Line<'_>| ()).expect("a log");
        assert_eq!((reading.lines, reading.unreadable), (2, 0));
        assert_eq!(end, path.metadata().expect("a log").len());
    }

    #[test]
    fn what_nobody_wants_is_counted_and_not_parsed() {
        struct Aborts(Vec<String>, Vec<(String, String)>);

        impl Listener for Aborts {
            fn note(&mut self, line: &Line<'_>) {
                self.0.push(line.stage.as_str().to_owned());
            }

            fn pass(&mut self, line: Peek<'_>) {
                self.1.push((line.run.to_owned(), line.stage.to_owned()));
            }
        }

        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        let line = |rest: &str| format!("{{\"ts\":\"2026-01-01T00:00:00Z\",\"stage\":\"{rest}\"}}\n");
        let text: String = [
            "img_found\",\"run\":\"a",
            "cleanup\",no JSON,\"run\":\"b",
            "cleanup\",\"run\":\"a",
            "teatime\",\"run\":\"a",
            "abort\",no JSON,\"run\":\"a",
            "abort\",\"run\":\"a",
            "img_found\",\"path\":\"another form",
        ]
        .map(line)
        .concat();
        std::fs::write(&path, text).expect("a log");
        let mut aborts = Aborts(Vec::new(), Vec::new());
        let reading = read_some(&path, |line| line.stage == "abort", &mut aborts).expect("a log");
        assert_eq!(reading, Reading { lines: 5, unreadable: 1, first_unreadable: Some(5), unknown: 1 });
        assert_eq!(aborts.0, ["abort", "img_found"]);
        let passed = [("a", "cleanup"), ("b", "cleanup")].map(|(run, stage)| (run.to_owned(), stage.to_owned()));
        assert_eq!(aborts.1, passed);
    }

    #[test]
    fn an_empty_log_is_one_of_no_run_and_another_file_is_no_log() {
        assert_eq!(read_text(b"").1, Reading::default());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("notes.txt");
        std::fs::write(&path, "{}\n{\"stage\": \"x\"}\n").expect("a file");
        assert!(matches!(read(&path, |_| ()), Err(Error::Foreign { lines: 2, .. })));
        assert!(matches!(read(folder.path(), |_| ()), Err(Error::NotAFile { .. })));
        assert!(matches!(read(Path::new("/dev/zero"), |_| ()), Err(Error::NotAFile { .. })));
        assert!(matches!(read(&folder.path().join("none"), |_| ()), Err(Error::Io { .. })));
    }

    #[test]
    fn who_has_enough_is_told_no_more() {
        struct First(u64);

        impl Listener for First {
            fn note(&mut self, _line: &Line<'_>) {
                self.0 += 1;
            }

            fn is_done(&self) -> bool {
                self.0 > 0
            }
        }

        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, "{\"stage\":\"removed\"}\n".repeat(4 * BATCH / 20)).expect("a log");
        let mut first = First(0);
        let reading = read_some(&path, |_| true, &mut first).expect("a log");
        assert!(reading.lines == first.0 && first.0 < 2 * BATCH as u64 / 20, "{}", first.0);
    }
}
