//! What is found in an image: its table, the file systems in it, and whether the answer can be relied on.
//!
//! Shared by the survey and by `inspect`, so that both say the same of the same bytes.

use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Arc;

use positioned_io::ReadAt;
use serde_json::{Map, Value, json};

use crate::cause::Cause;
use crate::ptable::superblock::{self, Content, Look};
use crate::ptable::{self, Damage, Examination, GptCopy, PartitionTable, Rejected, Rejection, Wrapper};
use crate::reason::Reason;
use crate::rescue::{Hollow, Known, Masked, RescueMap, Rescued, Watched};
use crate::sanitize::printable;
use crate::units::plural;
use crate::zst;

/// Partitions that are named in a sentence.
const SHOWN: usize = 6;
/// Characters of a label that still goes into a sentence.
const SHORT_LABEL: usize = 16;

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
    /// The kinds of table that it is not, and why.
    pub rejected: Vec<Rejected>,
    /// What is around the disk, where the image is not one from its first byte to its last.
    pub wrapper: Option<Wrapper>,
    /// What is in each partition of the table, where it was looked for and recognised.
    pub file_systems: Vec<Option<Content>>,
    /// What is in the whole image, where there is no table.
    pub whole_disk: Option<Content>,
    /// Why it cannot be told.
    pub undecidable: Option<Cause>,
    /// How much of the medium was rescued, where a map tells.
    pub rescued: Option<Rescued>,
    /// Byte ranges of the image that the answer rests on, in the order they were read.
    rests_on: Vec<Range<u64>>,
    /// Sectors among them that are blank, or filled with a pattern.
    hollow: Hollow,
    /// What was never read of the image, where some of that is among them: it was looked at as if it were blank.
    mask: Option<Arc<RescueMap>>,
}

impl Finding {
    /// Reads the table of `image`, which is `size` bytes long; forward, where the table's kind lets it. With `enough`,
    /// only until that many partitions are certain.
    #[must_use]
    pub fn examine(image: &dyn ReadAt, size: u64, enough: Option<u32>) -> Finding {
        Finding::examine_mapped(image, size, enough, None)
    }

    /// As [`Finding::examine`], of what was read of the medium by `map`, if there is one: all else is unknown, and looked at
    /// as if it were blank.
    #[must_use]
    pub fn examine_mapped(image: &dyn ReadAt, size: u64, enough: Option<u32>, map: Option<&Arc<RescueMap>>) -> Finding {
        let watched = Watched::new(image);
        let Examination { outcome, consulted, rejected, wrapper } = match map {
            Some(map) => ptable::examine(&Masked::new(&watched, size, map), size, enough),
            None => ptable::examine(&watched, size, enough),
        };
        let is_masking = |map: &&Arc<RescueMap>| consulted.iter().any(|range| map.first_unread(range).is_some());
        let mut finding = Finding {
            count: None,
            table: None,
            rejected,
            wrapper,
            file_systems: Vec::new(),
            whole_disk: None,
            undecidable: None,
            rescued: None,
            hollow: watched.into_hollow(&consulted),
            mask: map.filter(is_masking).cloned(),
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

    /// What is found in a copy of the image: [`Finding::examine_mapped`], with what was never read as unknown as it was here.
    #[must_use]
    pub fn of_copy(&self, copy: &dyn ReadAt, size: u64) -> Finding {
        Finding::examine_mapped(copy, size, None, self.mask.as_ref())
    }

    /// Whether another answer may be found where what was never read by `map` is taken for blank: some byte of it that this
    /// answer rests on is not.
    #[must_use]
    pub fn may_differ_under(&self, map: &RescueMap) -> bool {
        let mut unread = self.rests_on.iter().flat_map(|range| map.unread_in(range));
        unread.any(|area| !self.hollow.is_blank(&area))
    }

    /// Bytes of memory that are shared with no table, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.mask.as_ref().map_or(0, |mask| mask.memory())
    }

    /// Whether something is wrong with the image that could lie in how it was read as well. Whatever else is wrong with a
    /// GPT, its partitions are right where a checksum vouches for them.
    #[must_use]
    pub fn is_odd(&self) -> bool {
        let is_doubtful = |table: &PartitionTable| table.is_damaged() && !table.is_vouched_for();
        // No mistake in reading makes a container of an image.
        let is_undecided = self.undecidable.as_ref().is_some_and(|cause| cause.code != Reason::Container);
        is_undecided || self.table.as_ref().is_some_and(is_doubtful)
    }

    /// Adds what no verdict rests on: what is in the partitions, or in the whole image, and whether the backup of a GPT is
    /// there. `fetch` is told which ranges of the image are wanted before they are read, from the lowest offset up, in a
    /// few rounds; with `together`, in as few as can be, otherwise what may be dear comes last. What `image` refuses as
    /// [`zst::Error::Dear`] stays unknown.
    pub fn complete(&mut self, image: &dyn ReadAt, size: u64, together: bool, fetch: &dyn Fn(&[Range<u64>])) {
        match self.mask.clone() {
            Some(map) => self.complete_from(&Masked::new(image, size, &map), size, together, fetch),
            None => self.complete_from(image, size, together, fetch),
        }
    }

    fn complete_from(&mut self, image: &dyn ReadAt, size: u64, together: bool, fetch: &dyn Fn(&[Range<u64>])) {
        let disk = self.wrapper.as_ref().map_or(0..size, |wrapper| wrapper.disk.clone());
        let Some(table) = &mut self.table else {
            if self.undecidable.is_none() {
                let mut look = Look::new([(disk.start, disk.end - disk.start)], size, together);
                look_on(&mut look, image, fetch);
                self.whole_disk = look.contents().pop().flatten();
            }
            return;
        };
        let mut backup = table.backup_at.map(|at| at..at.saturating_add(u64::from(table.sector_size)));
        let mut volumes = volumes(table, size);
        volumes.sort_by_key(|&(_, start, _)| start);
        self.file_systems = vec![None; table.partitions.len()];
        let mut batches = volumes.chunks(superblock::TOGETHER);
        let mut batch = batches.next().unwrap_or_default();
        loop {
            let mut look = Look::new(batch.iter().map(|&(_, start, length)| (start, length)), size, together);
            if let Some(backup) = backup.take() {
                let mut wanted = look.wanted();
                wanted.push(backup.clone());
                wanted.sort_by_key(|range| range.start);
                fetch(&wanted);
                let _ = look.read(image);
                if !is_dear(image, &backup) {
                    ptable::check_backup(table, image, &disk);
                }
            }
            look_on(&mut look, image, fetch);
            for (&(index, ..), content) in batch.iter().zip(look.contents()) {
                self.file_systems[index] = content;
            }
            match batches.next() {
                Some(next) => batch = next,
                None => return,
            }
        }
    }

    /// Takes what is known of the medium's rescue into account: where a sector was never read on which the answer rests, or
    /// where nobody can say whether it was, fewer than `enough` partitions, or a damaged table, are no answer. The image
    /// is `size` bytes long.
    pub fn distrust_unread(&mut self, known: &Known, size: u64, enough: u32) {
        self.note_rescued(known, size);
        if self.count.is_some_and(|count| count >= enough) {
            return;
        }
        match known {
            Known::Map(map) => {
                if let Some(unread) = self.rests_on.iter().find_map(|range| map.first_unread(range)) {
                    let message = format!(
                        "the partition table rests on byte {unread} of the medium, which was never read according to the \
                         rescue map"
                    );
                    self.doubt(Cause::new(Reason::Unread, message));
                }
            }
            Known::Unusable(cause) if !self.stands_by_itself() => {
                if let Some(hollow) = self.rests_on.iter().find_map(|range| self.hollow.first_in(range)) {
                    let message = format!(
                        "the partition table rests on byte {hollow} of the medium, where the image is blank or has a pattern; \
                         whether it was read is not known: {}",
                        cause.message
                    );
                    self.doubt(Cause::new(Reason::RescueMap, message));
                }
            }
            Known::Unusable(_) | Known::Nothing => {}
        }
    }

    /// Whether no sector that looks unread can have held another answer: checksums vouch for the table, or LBA 0 begins a
    /// file system. What is undecidable already stays so for its own reason.
    fn stands_by_itself(&self) -> bool {
        let begins_volume = self.whole_disk.is_some() && self.hollow.first_in(&(0..512)).is_none();
        // Behind a lost MBR a GPT may be what an earlier use of the medium left.
        let is_announced = |table: &PartitionTable| !table.damage.contains(&Damage::NoProtectiveMbr);
        let is_sure = self.table.as_ref().map_or(begins_volume, |table| table.is_vouched_for() && is_announced(table));
        is_sure || self.undecidable.is_some()
    }

    fn doubt(&mut self, cause: Cause) {
        self.count = None;
        self.undecidable = Some(cause);
    }

    /// Takes note of how much was rescued of the medium, of which the image has `size` bytes; it changes no answer.
    pub fn note_rescued(&mut self, known: &Known, size: u64) {
        self.rescued = known.map().and_then(|map| map.rescued(size));
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

    /// What is in each partition of the table, in its order, and nothing behind the last one that was looked into.
    pub fn contents(&self) -> impl Iterator<Item = Option<&Content>> {
        self.file_systems.iter().map(Option::as_ref).chain(std::iter::repeat(None))
    }

    /// The kinds of table that were not found, each with the reason, as `inspect --json -v` has them.
    #[must_use]
    pub fn rejected_json(&self) -> Value {
        let whys = self.rejected.iter().map(|rejected| {
            let mut object = Map::new();
            object.insert("label".to_owned(), json!(rejected.label.as_str()));
            if !rejected.place.is_empty() {
                object.insert("place".to_owned(), json!(rejected.place));
            }
            object.insert("why".to_owned(), json!(rejected.why.to_string()));
            Value::Object(object)
        });
        whys.collect()
    }

    /// ` in a VHD of fixed size`; nothing where nothing is around the disk.
    fn around(&self) -> String {
        self.wrapper.as_ref().map_or_else(String::new, |wrapper| format!(" in {}", wrapper.what))
    }

    /// The finding in one line for a person: `gpt, 3 partitions: ext4 1.0 GB, vfat 500 MB, ?`.
    #[must_use]
    pub fn describe(&self) -> String {
        if let Some(cause) = &self.undecidable {
            return cause.message.clone();
        }
        let Some(table) = &self.table else {
            let mut text = format!("no partition table{}", self.around());
            let whole_disk = self.whole_disk.as_ref().map(|content| format!("{} on the whole disk", in_words(content)));
            let seen = self.rejected.iter().find(|rejected| matches!(rejected.why, Rejection::Entries { .. }));
            for (separator, what) in
                [": ", "; "].iter().zip(whole_disk.into_iter().chain(seen.map(|r| r.why.to_string())))
            {
                text.push_str(separator);
                text.push_str(&what);
            }
            return text;
        };
        let mut text = format!("{}{}", table.label, self.around());
        if table.sector_size != 512 {
            let _ = write!(text, " with {}-byte sectors", table.sector_size);
        }
        if table.gpt_copy == Some(GptCopy::Backup) {
            text.push_str(" (backup copy)");
        }
        if table.is_damaged() {
            text.push_str(" (damaged)");
        }
        let counted = table.partitions.iter().zip(self.contents()).filter(|(partition, _)| partition.kind.counts());
        let parts: Vec<String> = counted
            .map(|(partition, content)| {
                let what = content.map_or("?".to_owned(), in_words);
                format!("{what} {}", crate::units::human(partition.size))
            })
            .collect();
        let more = if parts.len() > SHOWN { format!(", and {} more", parts.len() - SHOWN) } else { String::new() };
        let noun = plural(parts.len() as u64, "partition");
        let limit = if table.complete { "" } else { " or more" };
        let colon = if parts.is_empty() { "" } else { ": " };
        format!("{text}, {} {noun}{limit}{colon}{}{more}", parts.len(), parts[..parts.len().min(SHOWN)].join(", "))
    }
}

/// A content in a sentence: its name, and its label where that is short and plain.
fn in_words(content: &Content) -> String {
    let is_plain = |label: &&String| label.chars().count() <= SHORT_LABEL && printable(label.as_bytes()) == **label;
    match content.label.as_ref().filter(is_plain) {
        Some(label) => format!("{} \"{label}\"", content.name),
        None => content.name.to_owned(),
    }
}

/// The partitions that count and have a byte in the image: which, where they start, and how long they say they are.
fn volumes(table: &PartitionTable, size: u64) -> Vec<(usize, u64, u64)> {
    let counted = table.partitions.iter().enumerate();
    counted
        .filter(|(_, partition)| partition.kind.counts() && partition.start < size && partition.size > 0)
        .map(|(index, partition)| (index, partition.start, partition.size))
        .collect()
}

/// Looks until nothing more is wanted.
fn look_on(look: &mut Look, image: &dyn ReadAt, fetch: &dyn Fn(&[Range<u64>])) {
    loop {
        let wanted = look.wanted();
        if wanted.is_empty() {
            return;
        }
        fetch(&wanted);
        // What could not be read stays unknown.
        let _ = look.read(image);
    }
}

/// Whether `image` refuses to read `range`, because that would cost too much.
fn is_dear(image: &dyn ReadAt, range: &Range<u64>) -> bool {
    let mut buf = vec![0; usize::try_from(range.end - range.start).unwrap_or(0)];
    let read = image.read_at(range.start, &mut buf);
    read.is_err_and(|error| matches!(zst::Error::within(&error), Some(zst::Error::Dear { .. })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_was_not_read_to_its_end_is_not_told_as_whole() {
        let mut image = vec![0; 1 << 20];
        image[510..512].copy_from_slice(&[0x55, 0xaa]);
        for (entry, start) in [(446, 256u32), (462, 512), (478, 768)] {
            image[entry + 4] = 0x83;
            image[entry + 8..entry + 12].copy_from_slice(&start.to_le_bytes());
            image[entry + 12..entry + 16].copy_from_slice(&256u32.to_le_bytes());
        }
        let mut finding = Finding::examine(&image, 1 << 20, None);
        assert_eq!(finding.describe(), "dos, 3 partitions: ? 131 kB, ? 131 kB, ? 131 kB");
        finding.table.as_mut().expect("a table").complete = false;
        assert!(finding.describe().starts_with("dos, 3 partitions or more: "), "{}", finding.describe());
    }
}
