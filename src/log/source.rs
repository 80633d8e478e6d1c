//! Where logs are: files, folders of them, what logrotate made of them, pipes.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::listing;

use super::copies::{self, Copy};
use super::read::{BUFFER, Error, Head, Lines, Listener, Reading};
use super::rotation::{age, is_log_name, stem};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Lines in which the first time of a log is looked for.
const LINES_TO_A_TIME: usize = 100;
/// Bytes of a file without a line of a log, after which no more of it is read.
const FOREIGN_MOST: u64 = 16 << 20;
/// Bytes of all logs that are read at a time, and least of one.
const BUFFERS: usize = 16 << 20;
const BUFFER_LEAST: usize = 16 << 10;
/// Length of `2026-01-01T00:00:00Z`.
const TIME_LENGTH: usize = 20;

/// Logs that are read as one, the oldest first.
pub struct Logs {
    sources: Vec<Source>,
    /// Files and folders as they were named, without standard input.
    named: Vec<PathBuf>,
    /// Files in folders that could not be opened, and why.
    notes: Vec<String>,
    /// What is not read because it is a copy.
    copies: Vec<Copy>,
}

/// A log, or what logrotate made of a part of one.
pub(super) struct Source {
    pub path: PathBuf,
    file: File,
    /// Which log it is a part of.
    pub group: usize,
    /// Found in a folder, where other files may be.
    pub is_listed: bool,
    /// Lines at its beginning that are those of another source, which are read there.
    pub repeated: u64,
}

impl Logs {
    /// Opens the logs at `paths`, and those in folders among them. With `takes_pipes`, a pipe is read to its end, and `-`
    /// is standard input; otherwise nothing is waited for.
    pub fn open(paths: &[PathBuf], takes_pipes: bool) -> Result<Logs, Error> {
        Logs::open_where(paths, takes_pipes, &|_| true)
    }

    /// The same, of the files in a folder only those whose names are `wanted`.
    pub fn open_where(paths: &[PathBuf], takes_pipes: bool, wanted: &dyn Fn(&str) -> bool) -> Result<Logs, Error> {
        let (mut sources, mut unopened) = (Vec::new(), Vec::new());
        let is_dash = |path: &Path| takes_pipes && path == Path::new("-");
        let named = paths.iter().filter(|path| !is_dash(path)).cloned().collect();
        for path in paths {
            let path = if is_dash(path) { Path::new("/dev/stdin") } else { path };
            let failed = |source| Error::Io { path: path.to_owned(), source };
            let kind = std::fs::metadata(path).map_err(failed)?.file_type();
            if kind.is_dir() {
                let before = sources.len();
                let mut paths = Vec::new();
                let told = listing::each(path, |entry| {
                    paths.push(entry.path());
                    Ok(())
                });
                told.map_err(failed)?;
                for path in paths {
                    let name = path.file_name().unwrap_or_default().to_string_lossy();
                    let is_log = is_log_name(&name) && wanted(&name);
                    // What is being compressed is there twice.
                    let is_twice = matches!(path.extension(), Some(suffix) if suffix == "gz" || suffix == "zst")
                        && path.with_extension("").exists();
                    if is_log && !is_twice && path.is_file() {
                        match open_one(&path) {
                            Ok(file) => sources.push(Source { path, file, group: 0, is_listed: true, repeated: 0 }),
                            Err(source) => unopened.push(format!("{}; skipped", Error::Io { path, source })),
                        }
                    }
                }
                if sources.len() == before && unopened.is_empty() {
                    return Err(Error::Empty { path: path.to_owned() });
                }
                continue;
            }
            let file = match kind {
                _ if kind.is_file() => open_one(path).map_err(failed)?,
                // A pipe would wait for a writer, a device may have no end.
                _ if takes_pipes && kind.is_fifo() => File::open(path).and_then(spool).map_err(failed)?,
                _ => return Err(Error::NotAFile { path: path.to_owned() }),
            };
            sources.push(Source { path: path.to_owned(), file, group: 0, is_listed: false, repeated: 0 });
        }
        // A folder may be named beside a log that is in it.
        let mut known = HashSet::new();
        let identity = |file: &File| file.metadata().ok().map(|metadata| (metadata.dev(), metadata.ino()));
        sources.retain(|source| identity(&source.file).is_none_or(|identity| known.insert(identity)));
        let mut logs = Logs { sources, named, notes: unopened, copies: Vec::new() };
        if logs.sources.len() > 1 {
            // Times are whole seconds: of two parts of a log that begin in the same one, the older by its name comes first.
            let first = |source: &Source| Ok((source.first_time()?, Reverse(age(&source.path)), source.path.clone()));
            let keys = logs.sources.iter().map(first).collect::<Result<Vec<_>, Error>>()?;
            let mut sources: Vec<_> = keys.into_iter().zip(logs.sources).collect();
            sources.sort_by(|(a, _), (b, _)| a.cmp(b));
            logs.sources = sources.into_iter().map(|(_, source)| source).collect();
        }
        let mut groups = HashMap::new();
        for (index, source) in logs.sources.iter_mut().enumerate() {
            source.group = *groups.entry(stem(&source.path)).or_insert(index);
        }
        logs.copies = copies::leave_out(&mut logs.sources)?;
        Ok(logs)
    }

    /// Reads them and tells `listener`: the parts of a log one after the other, several logs line by line in the order of
    /// their times. An empty log has no runs.
    pub fn read(&self, listener: &mut impl Listener) -> Result<Reading, Error> {
        let mut chains: Vec<Chain<'_>> = Vec::new();
        let mut of_group = HashMap::new();
        for (index, source) in self.sources.iter().enumerate() {
            let chain = *of_group.entry(source.group).or_insert(chains.len());
            match chains.get_mut(chain) {
                Some(chain) => chain.sources.push_back((index, source)),
                None => chains.push(Chain::new(source.group, index, source)),
            }
        }
        // What logs begin with that went different ways comes first.
        chains.sort_by_key(|chain| chain.sources.iter().map(|(_, source)| source.repeated).max());
        let buffer = (BUFFERS / chains.len().max(1)).clamp(BUFFER_LEAST, BUFFER);
        let reading = |source: &Source| (Reading { repeated: source.repeated, ..Reading::default() }, 0);
        let mut readings: Vec<(Reading, u64)> = self.sources.iter().map(reading).collect();
        // The chain with the earliest next line is read on.
        let mut next = BinaryHeap::new();
        for (rank, chain) in chains.iter_mut().enumerate() {
            next.extend(chain.advance(buffer, &mut readings)?.map(|key| Reverse((key, rank))));
        }
        let mut group = None;
        while !listener.is_done()
            && let Some(Reverse((_, rank))) = next.pop()
        {
            let chain = &mut chains[rank];
            loop {
                if group != Some((chain.group, chain.index)) {
                    group = Some((chain.group, chain.index));
                    listener.begin(chain.group);
                }
                readings[chain.index].0.note(chain.line(), chain.index, listener);
                let Some(key) = chain.advance(buffer, &mut readings)? else { break };
                if listener.is_done() || next.peek().is_some_and(|Reverse(first)| *first < (key, rank)) {
                    next.push(Reverse((key, rank)));
                    break;
                }
            }
        }
        let mut sum = Reading { notes: self.notes.clone(), ..Reading::default() };
        for Copy { path, length, note } in &self.copies {
            sum.copies.push(note.clone());
            sum.ends.push((path.clone(), *length));
        }
        for (source, (reading, end)) in self.sources.iter().zip(&readings) {
            if reading.lines + reading.repeated == 0 && reading.total() > 0 {
                let foreign = Error::Foreign { path: source.path.clone(), lines: reading.total() };
                if !source.is_listed {
                    return Err(foreign);
                }
                sum.notes.push(format!("{foreign}; skipped"));
                continue;
            }
            sum.add(reading, &source.path, *end);
        }
        Ok(sum)
    }

    /// Reads lines from their end, so many bytes at most, and tells `listener`, in order. What cannot be read is passed over,
    /// and so is what is compressed, which cannot be read from its end.
    pub fn read_last(&self, bytes: u64, listener: &mut impl Listener) {
        let mut left = bytes;
        let mut starts = Vec::new();
        for source in self.sources.iter().rev() {
            let length = source.length();
            let taken = if source.is_compressed().unwrap_or(true) { 0 } else { length.min(left) };
            left -= taken;
            starts.push((source, length - taken, taken));
        }
        for (source, start, _) in starts.into_iter().rev().filter(|(_, _, taken)| *taken > 0) {
            let mut file = &source.file;
            // A line that begins before the part is torn, and read as none.
            if file.seek(SeekFrom::Start(start)).is_err() {
                continue;
            }
            let mut lines = Lines::new(BufReader::with_capacity(BUFFER, file), start);
            let mut reading = Reading::default();
            while !listener.is_done() && matches!(lines.advance(), Ok(true)) {
                reading.note(&lines.line, 0, listener);
            }
        }
    }

    /// Where a log is, by its [`At::log`](super::At::log).
    #[must_use]
    pub fn path(&self, index: usize) -> &Path {
        self.sources.get(index).map_or(Path::new(""), |source| &source.path)
    }

    /// The files and folders that were named, in that order.
    #[must_use]
    pub fn named(&self) -> &[PathBuf] {
        &self.named
    }

    /// The newest of them, and how many there are.
    #[must_use]
    pub fn newest(&self) -> (&Path, usize) {
        (self.path(self.sources.len().saturating_sub(1)), self.sources.len())
    }
}

/// The parts of one log, being read.
struct Chain<'a> {
    group: usize,
    /// The part that is read: its place among all sources.
    index: usize,
    lines: Option<Lines<Box<dyn Read + 'a>>>,
    /// Those that are still to be read.
    sources: VecDeque<(usize, &'a Source)>,
    key: Key,
    path: &'a Path,
}

/// The place of a line among those of other logs: its time, and whether it is of a staged image. Within a second, what was done
/// with an image comes after what staged it.
type Key = ([u8; TIME_LENGTH], bool);

impl<'a> Chain<'a> {
    fn new(group: usize, index: usize, source: &'a Source) -> Chain<'a> {
        let sources = VecDeque::from([(index, source)]);
        Chain { group, index, lines: None, sources, key: ([0; TIME_LENGTH], false), path: &source.path }
    }

    /// The line that was read last.
    fn line(&self) -> &[u8] {
        self.lines.as_ref().map_or(&[], |lines| &lines.line)
    }

    /// Reads a line, of the next part where one is at its end; its place, if there was one. Into `readings` goes where the last
    /// whole line of each part ends.
    fn advance(&mut self, buffer: usize, readings: &mut [(Reading, u64)]) -> Result<Option<Key>, Error> {
        loop {
            if let Some(lines) = &mut self.lines {
                let (reading, end) = &mut readings[self.index];
                let is_foreign = reading.lines == 0 && lines.end > FOREIGN_MOST;
                let path = self.path;
                let failed = |source| Error::Io { path: path.to_owned(), source };
                let is_line = !is_foreign && lines.advance().map_err(failed)?;
                if is_line {
                    self.key = key(&lines.line).unwrap_or(self.key);
                    return Ok(Some(self.key));
                }
                *end = lines.end;
                self.lines = None;
            }
            let Some((index, source)) = self.sources.pop_front() else { return Ok(None) };
            (self.index, self.path) = (index, &source.path);
            let lines = self.lines.insert(source.lines(buffer)?);
            for _ in 0..source.repeated {
                lines.advance().map_err(|error| source.failed(error))?;
            }
        }
    }
}

/// The place of a line, if it has a time where lines have it.
fn key(line: &[u8]) -> Option<Key> {
    let behind = line.strip_prefix(b"{\"ts\":\"").or_else(|| line.strip_prefix(b"{\"ts\": \""))?;
    let (time, rest) = behind.split_first_chunk::<TIME_LENGTH>()?;
    Some((*time, rest.starts_with(b"\",\"stage\":\"re")))
}

impl Source {
    /// Its bytes.
    pub fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |metadata| metadata.len())
    }

    /// Its first bytes.
    fn magic(&self) -> io::Result<Vec<u8>> {
        let mut file = &self.file;
        file.seek(SeekFrom::Start(0))?;
        let mut magic = Vec::new();
        file.take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
        file.seek(SeekFrom::Start(0))?;
        Ok(magic)
    }

    fn is_compressed(&self) -> io::Result<bool> {
        let magic = self.magic()?;
        Ok(magic.starts_with(&GZIP_MAGIC) || magic == ZSTD_MAGIC)
    }

    /// Its lines, from the first on.
    pub fn lines(&self, buffer: usize) -> Result<Lines<Box<dyn Read + '_>>, Error> {
        let open = || -> io::Result<Box<dyn Read + '_>> {
            let file = &self.file;
            let magic = self.magic()?;
            Ok(if magic.starts_with(&GZIP_MAGIC) {
                Box::new(MultiGzDecoder::new(BufReader::new(file)))
            } else if magic == ZSTD_MAGIC {
                Box::new(zstd::stream::read::Decoder::new(file)?)
            } else {
                Box::new(file)
            })
        };
        let input = open().map_err(|source| self.failed(source))?;
        Ok(Lines::new(BufReader::with_capacity(buffer, input), 0))
    }

    pub fn failed(&self, source: io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }

    /// A hash of its first line, if that is one of a run, whose ID no other log has there.
    pub fn beginning(&self) -> Result<Option<u64>, Error> {
        let mut lines = self.lines(BUFFER_LEAST)?;
        lines.advance().map_err(|source| self.failed(source))?;
        let is_of_run = serde_json::from_slice::<Head<'_>>(&lines.line).is_ok_and(|head| !head.run.is_empty());
        let mut hasher = DefaultHasher::new();
        lines.line.hash(&mut hasher);
        Ok(is_of_run.then(|| hasher.finish()))
    }

    /// The first time that it tells; times are compared as the text that they are.
    fn first_time(&self) -> Result<String, Error> {
        let mut lines = self.lines(BUFFER_LEAST)?;
        for _ in 0..LINES_TO_A_TIME {
            if !lines.advance().map_err(|source| self.failed(source))? {
                break;
            }
            if let Ok(head) = serde_json::from_slice::<Head<'_>>(&lines.line)
                && !head.ts.is_empty()
            {
                return Ok(head.ts.into_owned());
            }
        }
        Ok(String::new())
    }
}

/// Opens a log. Those of many shards are more than a process may have open, until it asks for more.
fn open_one(path: &Path) -> io::Result<File> {
    match File::open(path) {
        Err(error) if error.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => {
            let limit = getrlimit(Resource::Nofile);
            setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
            File::open(path)
        }
        opened => opened,
    }
}

/// What a pipe gives, to be read more than once: in a file that has no name.
fn spool(mut pipe: File) -> io::Result<File> {
    let folder = std::env::temp_dir();
    let path = folder.join(format!(".imgsieve-{}-{}.log", std::process::id(), super::new_run_id()));
    let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    io::copy(&mut pipe, &mut file)?;
    file.flush()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{At, Entry};

    #[derive(Default)]
    struct Runs(Vec<(usize, String)>, usize);

    impl Listener for Runs {
        fn begin(&mut self, log: usize) {
            self.1 = log;
        }

        fn note(&mut self, entry: Entry, _at: At) {
            self.0.push((self.1, entry.run));
        }
    }

    #[test]
    fn lines_of_several_logs_come_in_the_order_of_their_times_and_of_one_in_its_own() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let line = |second: u32, stage: &str, run: &str| {
            format!("{{\"ts\":\"2026-01-01T00:00:{second:02}Z\",\"stage\":\"{stage}\",\"run\":\"{run}\"}}\n")
        };
        let write =
            |name: &str, lines: &[String]| std::fs::write(folder.path().join(name), lines.concat()).expect("a log");
        write("a.jsonl", &[line(1, "abort", "a"), line(5, "abort", "b"), line(4, "abort", "c"), line(9, "abort", "d")]);
        write(
            "b.jsonl",
            &[line(2, "abort", "x"), line(4, "abort", "y"), "no line\n".to_owned(), line(7, "abort", "z")],
        );
        // What was done with an image comes after what staged it, though it is said within the same second.
        write("0.jsonl", &[line(4, "removed", "R"), line(9, "removed", "S")]);
        let logs = Logs::open(&[folder.path().to_owned()], false).expect("logs");
        let mut runs = Runs::default();
        let reading = logs.read(&mut runs).expect("logs");
        assert_eq!(runs.0.iter().map(|(_, run)| run.as_str()).collect::<String>(), "axyRbczdS");
        assert_eq!((reading.lines, reading.unreadable, reading.ends.len()), (9, 1, 3));
        for (path, end) in &reading.ends {
            assert_eq!(path.metadata().expect("a log").len(), *end);
        }
    }

    #[test]
    fn a_folder_of_rotated_logs_is_read_as_one_from_the_oldest_line_on() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let line = |day: u32, run: &str| {
            format!("{{\"ts\":\"2026-01-0{day}T00:00:00Z\",\"stage\":\"abort\",\"run\":\"{run}\"}}\n")
        };
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("a.jsonl"), line(4, "d")).expect("a log");
        std::fs::write(at("a.jsonl.1"), line(3, "c")).expect("a log");
        std::fs::write(at("b.jsonl"), line(2, "x")).expect("a log");
        std::fs::write(at("other.txt"), "no log").expect("a file");
        std::fs::write(at("foreign.jsonl"), "{}\n").expect("a file");
        let zst = zstd::encode_all(line(2, "b").as_bytes(), 1).expect("memory");
        std::fs::write(at("a.jsonl.2.zst"), zst).expect("a log");
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(line(1, "a").as_bytes()).expect("memory");
        std::fs::write(at("a.jsonl.3.gz"), gz.finish().expect("memory")).expect("a log");
        let logs = Logs::open(&[folder.path().to_owned()], false).expect("logs");
        for _ in 0..2 {
            let mut runs = Runs::default();
            let reading = logs.read(&mut runs).expect("logs");
            assert_eq!((reading.lines, reading.notes.len()), (5, 1), "{reading:?}");
            assert_eq!(runs.0.iter().map(|(_, run)| run.as_str()).collect::<String>(), "abxcd");
            let groups: Vec<usize> = runs.0.iter().map(|&(group, _)| group).collect();
            assert!(groups[0] == groups[1] && groups[1] == groups[3] && groups[0] != groups[2], "{groups:?}");
        }
        assert_eq!(logs.newest(), (at("a.jsonl").as_path(), 6));
        let twice = Logs::open(&[at("a.jsonl"), folder.path().to_owned(), at("a.jsonl")], false).expect("logs");
        assert_eq!(twice.newest().1, 6, "each is read once");
        assert!(matches!(Logs::open(&[PathBuf::from("/proc")], false), Err(Error::Empty { .. })));
    }
}
