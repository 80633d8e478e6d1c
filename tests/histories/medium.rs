//! A medium in the making: an image, what was done to it, and the structures that were put on it.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

use crate::common::disk::data_ranges;
use crate::common::output;
use crate::peers::Extent;
use crate::truth::Truth;

pub const SECTOR: u64 = 512;
pub const MIB: u64 = 1 << 20;

/// What a piece of a structure is to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// What Linux looks at first, in LBA 0 mostly.
    Front,
    /// The primary GPT.
    Header,
    Entries,
    /// The backup GPT.
    BackupHeader,
    BackupEntries,
    /// A link of a chain, or an entry of a map, by the place of the partition among the table's.
    Link(usize),
    /// A file system's superblock and what else makes it one.
    Superblock,
}

/// Bytes as they were written.
pub struct Piece {
    pub part: Part,
    pub at: u64,
    bytes: Vec<u8>,
}

impl Piece {
    pub fn range(&self) -> Range<u64> {
        self.at..self.at + self.bytes.len() as u64
    }

    /// Whether it is an MBR that says that a GPT's disk ends with this LBA.
    pub fn protects(&self, last: u64) -> bool {
        // UEFI 2.10 table 5-2.
        let word =
            |entry: &[u8], at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]);
        let entries = self.bytes.chunks_exact(16);
        entries
            .filter(|entry| entry[4] == 0xee)
            .any(|entry| u64::from(word(entry, 8)) + u64::from(word(entry, 12)) == last + 1)
    }
}

/// A partition table or a file system on the whole disk.
pub struct Structure {
    /// By our name; of a file system, by blkid's.
    pub name: &'static str,
    /// Of a table.
    pub partitions: Option<Vec<Extent>>,
    pub sector_size: u64,
    pub pieces: Vec<Piece>,
    /// Whether somebody set out to remove it, and did.
    pub is_erased: bool,
}

/// An image and its story.
pub struct Medium {
    pub path: PathBuf,
    pub size: u64,
    /// What was done, as one would type it.
    pub lines: Vec<String>,
    /// From the oldest to the newest.
    pub structures: Vec<Structure>,
    /// What a rescue did not read.
    pub unread: Vec<Range<u64>>,
    /// The rescue's map, and what was on the medium: it is not on the image.
    pub map: Option<(PathBuf, Truth)>,
}

impl Medium {
    /// A blank one.
    pub fn new(path: PathBuf, size: u64) -> Medium {
        File::create(&path).and_then(|file| file.set_len(size)).expect("a file");
        let lines = vec![format!("truncate -s {size} image")];
        Medium { path, size, lines, structures: Vec::new(), unread: Vec::new(), map: None }
    }

    pub fn folder(&self) -> &Path {
        self.path.parent().expect("a file's folder")
    }

    pub fn file(&self) -> File {
        OpenOptions::new().read(true).write(true).open(&self.path).expect("an image")
    }

    pub fn sectors(&self) -> u64 {
        self.size / SECTOR
    }

    fn say(&mut self, line: String) {
        self.lines.push(line);
    }

    /// Runs a tool on it, whose path stands where `IMAGE` does, else last; `FOLDER` stands for its folder.
    /// Whether it did what it was told: sgdisk fails where what was there is damaged, but not without writing something.
    pub fn tool(&mut self, package: &str, name: &str, args: &[&str], input: &str) -> bool {
        let mut args = args.to_vec();
        if !args.contains(&"IMAGE") {
            args.push("IMAGE");
        }
        let mut line = format!("{name} {}", args.join(" ").replace("IMAGE", "image"));
        if !input.is_empty() {
            write!(line, " <<< '{}'", input.trim_end().replace('\n', "; ")).expect("a string grows");
        }
        self.say(line);
        let [path, folder] = [&self.path, self.folder()].map(|path| path.to_str().expect("UTF-8"));
        let args: Vec<String> = args.iter().map(|arg| arg.replace("IMAGE", path).replace("FOLDER", folder)).collect();
        let output = output(package, name, &args.iter().map(String::as_str).collect::<Vec<_>>(), input);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || name == "sgdisk", "{name} {args:?}: {error}");
        output.status.success()
    }

    /// Writes bytes that come from `source`.
    pub fn write(&mut self, at: u64, bytes: &[u8], source: &str) {
        self.say(format!("dd if={source} of=image bs=1 seek={at} count={} conv=notrunc", bytes.len()));
        let end = self.size.min(at + bytes.len() as u64);
        let length = usize::try_from(end.saturating_sub(at)).expect("small");
        self.file().write_all_at(&bytes[..length], at).expect("written");
    }

    /// Makes zeros of a range.
    pub fn zero(&mut self, range: Range<u64>) {
        let range = range.start.min(self.size)..range.end.min(self.size);
        let length = range.end - range.start;
        self.say(format!("dd if=/dev/zero of=image bs=1 seek={} count={length} conv=notrunc", range.start));
        self.punch(&range);
    }

    /// The same, and nothing is said of it.
    pub fn punch(&self, range: &Range<u64>) {
        if !range.is_empty() {
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            rustix::fs::fallocate(self.file(), hole, range.start, range.end - range.start).expect("a hole");
        }
    }

    pub fn set_len(&mut self, size: u64) {
        self.say(format!("truncate -s {size} image"));
        self.file().set_len(size).expect("a length");
        self.size = size;
    }

    /// Writes what is no hole of another file at an offset.
    pub fn overlay(&mut self, source: &Path, at: u64, with_holes: bool, name: &str) {
        let sparse = if with_holes { "" } else { ",sparse" };
        self.say(format!("dd if={name} of=image bs=1 seek={at} conv=notrunc{sparse}"));
        let source = File::open(source).expect("a file");
        let length = source.metadata().expect("a file").len();
        if with_holes {
            self.punch(&(at..self.size.min(at + length)));
        }
        for range in data_ranges(&source) {
            let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("small")];
            source.read_exact_at(&mut bytes, range.start).expect("readable");
            let end = self.size.min(at + range.end);
            let length = usize::try_from(end.saturating_sub(at + range.start)).expect("small");
            self.file().write_all_at(&bytes[..length], at + range.start).expect("written");
        }
    }

    /// What stands in a range, or as much of it as there is.
    pub fn read(&self, range: &Range<u64>) -> Vec<u8> {
        let length = range.end.min(self.size).saturating_sub(range.start);
        let mut bytes = vec![0; usize::try_from(length).expect("small")];
        self.file().read_exact_at(&mut bytes, range.start).expect("readable");
        bytes
    }

    /// Whether a piece is as it was written.
    pub fn has(&self, piece: &Piece) -> bool {
        self.read(&piece.range()) == piece.bytes
    }

    /// Whether a piece begins or ends as it was written: its magic is there.
    pub fn has_an_end(&self, piece: &Piece) -> bool {
        let now = self.read(&piece.range());
        let is_same = |range: Range<usize>| {
            let then = piece.bytes.get(range.clone()).unwrap_or_default();
            now.get(range) == Some(then) && then.iter().any(|&byte| byte != 0)
        };
        let length = piece.bytes.len();
        is_same(0..4) || is_same(length - 4..length - 2)
    }

    /// Notes a structure that was just written, and where its pieces are.
    pub fn note(
        &mut self,
        name: &'static str,
        partitions: Option<Vec<Extent>>,
        sector_size: u64,
        places: impl IntoIterator<Item = (Part, Range<u64>)>,
    ) {
        let piece = |(part, range): (Part, Range<u64>)| Piece { part, at: range.start, bytes: self.read(&range) };
        let pieces = places.into_iter().map(piece).collect();
        self.structures.push(Structure { name, partitions, sector_size, pieces, is_erased: false });
    }

    /// Runs a tool that is to remove what is on the medium, and marks what it removed a piece of.
    pub fn erase(&mut self, package: &str, name: &str, args: &[&str]) {
        let stood = |medium: &Medium| -> Vec<Vec<bool>> {
            let of = |structure: &Structure| structure.pieces.iter().map(|piece| medium.has(piece)).collect();
            medium.structures.iter().map(of).collect()
        };
        let before = stood(self);
        self.tool(package, name, args, "");
        let after = stood(self);
        for (structure, (before, after)) in self.structures.iter_mut().zip(before.iter().zip(&after)) {
            structure.is_erased |= before != after;
        }
    }

    /// The newest table, as long as all of it is there.
    pub fn table(&self) -> Option<&Structure> {
        let newest = self.structures.last().filter(|newest| newest.partitions.is_some())?;
        self.stands(newest).then_some(newest)
    }

    /// Whether all of a structure is as it was written.
    pub fn stands(&self, structure: &Structure) -> bool {
        structure.pieces.iter().all(|piece| self.has(piece))
    }

    /// Notes an MBR that says that the whole medium is its only partition.
    pub fn note_only_partition(&mut self) {
        // UEFI 2.10 table 5-2.
        let sectors: [u8; 4] = self.read(&(458..462)).try_into().expect("four bytes");
        let partitions = vec![(1, 0, u64::from(u32::from_le_bytes(sectors)) * SECTOR)];
        self.note("dos", Some(partitions), SECTOR, [(Part::Front, 446..512)]);
    }
}

impl Drop for Medium {
    /// Tells the history in which a tool failed.
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.lines.join("\n"));
        }
    }
}
