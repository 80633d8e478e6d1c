//! What is found in an image: its table, the file systems in it, and whether the answer can be relied on.
//!
//! Shared by the survey and by `inspect`, so that both say the same of the same bytes.

use std::fmt::Write as _;
use std::io;
use std::ops::Range;

use positioned_io::ReadAt;
use serde_json::{Map, Value, json};

use crate::cause::Cause;
use crate::ptable::{self, Examination, GptCopy, PartitionTable, superblock};
use crate::rescue::RescueMap;
use crate::zst;

/// Partitions that are named in a sentence.
const SHOWN: usize = 6;

/// The answer in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Two partitions or more.
    Multi,
    /// One.
    Single,
    /// No table, or none in it.
    None,
    /// It cannot be told.
    Undecidable,
}

impl Verdict {
    /// The word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Multi => "multi",
            Verdict::Single => "single",
            Verdict::None => "none",
            Verdict::Undecidable => "undecidable",
        }
    }
}

/// What was found in one image.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Partitions that count; none where it cannot be told.
    pub count: Option<u32>,
    /// The table, where there is one.
    pub table: Option<PartitionTable>,
    /// The file system in each partition of the table, where it was looked for and seen.
    pub file_systems: Vec<Option<&'static str>>,
    /// The file system of the whole image, where there is no table.
    pub whole_disk: Option<&'static str>,
    /// Why it cannot be told.
    pub undecidable: Option<Cause>,
    /// Byte ranges of the image that the answer rests on, in the order they were read.
    rests_on: Vec<Range<u64>>,
}

impl Finding {
    /// Reads the table of `image`, which is `size` bytes long; forward, where the table's kind lets it. With `enough`,
    /// only until that many partitions are certain.
    #[must_use]
    pub fn examine(image: &dyn ReadAt, size: u64, enough: Option<u32>) -> Finding {
        let Examination { outcome, consulted } = ptable::examine(image, size, enough);
        let mut finding = Finding {
            count: None,
            table: None,
            file_systems: Vec::new(),
            whole_disk: None,
            undecidable: None,
            rests_on: consulted,
        };
        match outcome {
            Ok(table) => {
                finding.count = Some(table.as_ref().map_or(0, PartitionTable::count));
                finding.table = table;
            }
            Err(error) => {
                finding.undecidable = Some(Cause::from(&error));
                finding.table = error.into_partial();
            }
        }
        finding
    }

    /// Whether something is wrong with the image that could lie in how it was read as well. Whatever else is wrong with a
    /// GPT, its partitions are right where a checksum vouches for them.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        let is_doubtful = |table: &PartitionTable| table.is_damaged() && !table.is_vouched_for();
        self.undecidable.is_some() || self.table.as_ref().is_some_and(is_doubtful)
    }

    /// Adds what no verdict rests on: the file systems in the partitions, or that of the whole image, and whether the
    /// backup of a GPT is there. `fetch` is told which ranges of the image are wanted before they are read, from the
    /// lowest offset up. What `image` refuses as [`zst::Error::Dear`] stays unknown.
    pub fn complete(&mut self, image: &dyn ReadAt, size: u64, fetch: &dyn Fn(&[Range<u64>])) {
        match &mut self.table {
            None if self.undecidable.is_none() => {
                fetch(&[superblock::window(0, size)]);
                self.whole_disk = superblock::identify(image, size).unwrap_or(None);
            }
            None => {}
            Some(table) => {
                let backup = table.backup_at.map(|at| at..at.saturating_add(u64::from(table.sector_size)));
                let mut wanted: Vec<_> =
                    volumes(table, size).map(|(_, start, len)| superblock::window(start, len)).collect();
                wanted.extend(backup.clone());
                wanted.sort_by_key(|range| range.start);
                fetch(&wanted);
                self.file_systems = file_systems(table, image, size);
                if backup.is_some_and(|backup| !is_dear(image, &backup)) {
                    ptable::check_backup(table, image, size);
                }
            }
        }
    }

    /// Takes what the map of the medium's rescue says into account: where a sector was never read on which the answer
    /// rests, fewer than `enough` partitions, or a damaged table, are no answer.
    pub fn distrust_unread(&mut self, map: &RescueMap, enough: u32) {
        if self.count.is_some_and(|count| count >= enough) {
            return;
        }
        if let Some(unread) = self.rests_on.iter().find_map(|range| map.first_unread(range)) {
            self.count = None;
            let message = format!(
                "the rescue map says that byte {unread} of the medium was never read, and the partition table rests on it"
            );
            self.undecidable = Some(Cause::new("unread", message));
        }
    }

    /// Whether `whole`, found in what should be a copy of the same image, agrees with this, which may not be complete.
    #[must_use]
    pub fn agrees_with(&self, whole: &Finding) -> bool {
        let partitions =
            |finding: &Finding| finding.table.as_ref().map_or(Vec::new(), |table| table.partitions.clone());
        self.count.is_none() || partitions(whole).starts_with(&partitions(self))
    }

    /// The answer in a word.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self.count {
            None => Verdict::Undecidable,
            Some(0) => Verdict::None,
            Some(1) => Verdict::Single,
            Some(_) => Verdict::Multi,
        }
    }

    /// What is to be said of the finding in `inspect --json` and in the log, but for the partitions.
    #[must_use]
    pub fn to_json(&self) -> Map<String, Value> {
        let table = self.table.as_ref();
        let damage = table.map_or(&[][..], |table| &table.damage);
        let mut object = Map::new();
        object.insert("label".to_owned(), json!(table.map(|table| table.label.as_str())));
        object.insert("sector_size".to_owned(), json!(table.map(|table| table.sector_size)));
        object.insert("gpt_copy".to_owned(), json!(table.and_then(|table| table.gpt_copy).map(GptCopy::as_str)));
        object.insert("damaged".to_owned(), json!(!damage.is_empty()));
        if !damage.is_empty() {
            let words: Vec<Value> =
                damage.iter().map(|damage| json!({"code": damage.code(), "message": damage.to_string()})).collect();
            object.insert("damage".to_owned(), json!(words));
        }
        if let Some(whole_disk) = self.whole_disk {
            object.insert("fs".to_owned(), json!(whole_disk));
        }
        if table.is_some_and(|table| !table.complete) {
            object.insert("complete".to_owned(), json!(false));
        }
        object
    }

    /// The first `most` partitions, as `inspect --json` and the log have them.
    #[must_use]
    pub fn partitions_json(&self, most: usize) -> Value {
        let Some(table) = &self.table else { return json!([]) };
        let systems = self.file_systems.iter().copied().chain(std::iter::repeat(None));
        let objects = table.partitions.iter().take(most).zip(systems).map(|(partition, fs)| {
            json!({
                "number": partition.number,
                "start_bytes": partition.start,
                "size_bytes": partition.size,
                "type": partition.type_id.to_string(),
                "name": partition.name,
                "kind": partition.kind.as_str(),
                "fs": fs,
            })
        });
        objects.collect()
    }

    /// The finding in one line for a person: `gpt, 3 partitions: ext4 1.0 GB, vfat 500 MB, ?`.
    #[must_use]
    pub fn describe(&self) -> String {
        if let Some(cause) = &self.undecidable {
            return cause.message.clone();
        }
        let Some(table) = &self.table else {
            return match self.whole_disk {
                Some(name) => format!("no partition table: {name} on the whole disk"),
                None => "no partition table".to_owned(),
            };
        };
        let mut text = table.label.as_str().to_owned();
        if table.sector_size != 512 {
            let _ = write!(text, " with {}-byte sectors", table.sector_size);
        }
        if table.gpt_copy == Some(GptCopy::Backup) {
            text.push_str(" (backup copy)");
        }
        if table.is_damaged() {
            text.push_str(" (damaged)");
        }
        let counted = table.partitions.iter().zip(self.file_systems.iter().copied().chain(std::iter::repeat(None)));
        let parts: Vec<String> = counted
            .filter(|(partition, _)| partition.kind.counts())
            .map(|(partition, fs)| format!("{} {}", fs.unwrap_or("?"), crate::units::human(partition.size)))
            .collect();
        let more = if parts.len() > SHOWN { format!(", and {} more", parts.len() - SHOWN) } else { String::new() };
        let noun = if parts.len() == 1 { "partition" } else { "partitions" };
        format!("{text}, {} {noun}: {}{more}", parts.len(), parts[..parts.len().min(SHOWN)].join(", "))
    }
}

/// The partitions that count and have a byte in the image: which, where they start, and how many bytes are there.
fn volumes(table: &PartitionTable, size: u64) -> impl Iterator<Item = (usize, u64, u64)> {
    let counted = table.partitions.iter().enumerate().filter(|(_, partition)| partition.kind.counts());
    counted.filter_map(move |(index, partition)| {
        let length = partition.size.min(size.saturating_sub(partition.start));
        (length > 0).then_some((index, partition.start, length))
    })
}

/// The file system in each partition that counts, from the lowest offset up.
fn file_systems(table: &PartitionTable, image: &dyn ReadAt, size: u64) -> Vec<Option<&'static str>> {
    let mut systems = vec![None; table.partitions.len()];
    let mut volumes: Vec<_> = volumes(table, size).collect();
    volumes.sort_by_key(|&(_, start, _)| start);
    for (index, start, length) in volumes {
        systems[index] = superblock::identify(&Slice { image, start, length }, length).unwrap_or(None);
    }
    systems
}

/// Whether `image` refuses to read `range`, because that would cost too much.
fn is_dear(image: &dyn ReadAt, range: &Range<u64>) -> bool {
    let mut buf = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
    let read = image.read_at(range.start, &mut buf);
    read.is_err_and(|error| matches!(zst::Error::within(&error), Some(zst::Error::Dear { .. })))
}

/// A part of an image.
struct Slice<'a> {
    image: &'a dyn ReadAt,
    start: u64,
    length: u64,
}

impl ReadAt for Slice<'_> {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(pos)).unwrap_or(usize::MAX);
        let wanted = buf.len().min(left);
        match self.start.checked_add(pos) {
            Some(position) if wanted > 0 => self.image.read_at(position, &mut buf[..wanted]),
            _ => Ok(0),
        }
    }
}
