//! What is right of an image, by what was done to it: the rules that the docs of the test list.

use std::ops::Range;

use crate::medium::{MIB, Medium, Part, Structure};
use crate::peers::expected::Expected;

/// What is right of an image, and by which rule.
#[derive(Debug, Clone)]
pub struct Truth {
    pub expected: Expected,
    pub rule: &'static str,
}

/// How much of a structure is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// A table as Linux reads it, for what is in front says so.
    Read,
    /// A primary GPT whose checksums hold, without its MBR.
    Primary,
    /// A backup GPT at the end of the image, or an Apple map, without what is in front.
    Remains,
    /// A protective MBR, and neither copy of its GPT.
    Announced,
    /// Something that may be told for a part of such a table.
    Torn,
    /// A file system's superblock.
    Volume,
    Nothing,
}

impl Structure {
    fn is_left(&self, medium: &Medium, part: Part) -> bool {
        self.pieces.iter().filter(|piece| piece.part == part).all(|piece| medium.has(piece))
    }

    fn start_of(&self, part: Part) -> u64 {
        self.pieces.iter().find(|piece| piece.part == part).map_or(0, |piece| piece.at)
    }

    /// Whether a partition's entry or link is lost.
    fn is_lost(&self, medium: &Medium, place: usize) -> bool {
        !self.is_left(medium, Part::Link(place))
    }

    /// Whether an entry is left of a list or map that has some.
    fn has_an_entry(&self, medium: &Medium) -> bool {
        (0..self.count()).any(|place| !self.is_lost(medium, place))
    }

    fn count(&self) -> usize {
        self.partitions.as_ref().map_or(0, Vec::len)
    }

    /// Whether its only partition is all of the disk, with the table.
    fn is_the_disk(&self) -> bool {
        self.partitions.as_ref().is_some_and(|partitions| matches!(partitions[..], [(_, 0, _)]))
    }

    /// All of its table.
    fn whole(&self) -> Expected {
        Expected::exactly(self.name, self.partitions.clone().unwrap_or_default())
    }

    /// What can be found of it: a chain ends where a link is lost, a map does not.
    fn found(&self, medium: &Medium) -> Expected {
        let lost = (0..self.count()).filter(|&place| self.is_lost(medium, place));
        let found = match self.name {
            "mac" => self.count() - lost.count(),
            _ => lost.min().unwrap_or(self.count()),
        };
        let is_whole = found == self.count() && (self.name != "mac" || self.is_left(medium, Part::Header));
        Expected { in_part: !is_whole, or_undecidable: !is_whole && found < 2, ..self.whole() }
    }

    fn left(&self, medium: &Medium) -> Left {
        let has = |part| self.is_left(medium, part);
        let any = self.pieces.iter().any(|piece| medium.has(piece));
        match self.name {
            _ if self.partitions.is_none() => {
                if has(Part::Superblock) {
                    Left::Volume
                } else {
                    Left::Nothing
                }
            }
            "gpt" => self.gpt_left(medium),
            "mac" => match (has(Part::Front), has(Part::Header) || self.has_an_entry(medium)) {
                (true, true) => Left::Read,
                (false, true) => Left::Remains,
                (true, false) => Left::Torn,
                (false, false) => Left::Nothing,
            },
            // An AHDI table has neither a magic nor a checksum, and hardly an image is left that it could be of.
            "atari" if has(Part::Front) && medium.size < 4 * MIB => Left::Torn,
            "pc98" => match (has(Part::Front), has(Part::Header)) {
                (true, true) => Left::Read,
                _ if any => Left::Torn,
                _ => Left::Nothing,
            },
            // It says nothing, and a boot loader alone has the same bytes.
            "dos" if self.count() == 0 => Left::Nothing,
            "amiga" if !has(Part::Front) && any => Left::Torn,
            _ if has(Part::Front) => Left::Read,
            // The label's checksum fails.
            "sun" | "sgi" | "bsd" if self.pieces.iter().any(|piece| medium.has_an_end(piece)) => Left::Torn,
            _ => Left::Nothing,
        }
    }

    fn gpt_left(&self, medium: &Medium) -> Left {
        let has = |part| self.is_left(medium, part);
        let primary = has(Part::Header) && has(Part::Entries);
        let backup = has(Part::BackupHeader) && has(Part::BackupEntries);
        let lba = self.start_of(Part::BackupHeader) / self.sector_size;
        let is_last = lba == medium.size / self.sector_size - 1;
        let front = self.pieces.iter().find(|piece| piece.part == Part::Front && medium.has(piece));
        let is_told = has(Part::Header) || front.is_some_and(|front| front.protects(lba));
        let backup = backup && (is_last || is_told);
        let parts = [Part::Header, Part::Entries, Part::BackupHeader, Part::BackupEntries];
        match (front.is_some(), primary, backup) {
            (true, true, _) | (true, _, true) => Left::Read,
            (true, false, false) => Left::Announced,
            (false, true, _) => Left::Primary,
            (false, false, true) => Left::Remains,
            _ if parts.into_iter().any(has) => Left::Torn,
            _ => Left::Nothing,
        }
    }
}

/// What is right of an image as it is.
pub fn of(medium: &Medium) -> Truth {
    let left: Vec<Left> = medium.structures.iter().map(|structure| structure.left(medium)).collect();
    let all = || medium.structures.iter().zip(left.iter().copied()).enumerate();
    let newest = |is: &dyn Fn(Left) -> bool| all().filter(|(_, (_, left))| is(*left)).last();
    let found = |index: usize| medium.structures[index].found(medium);

    if let Some((index, (table, _))) = newest(&|left| left == Left::Read) {
        let mut expected = found(index);
        // Linux reads these before all others, and what is newer does not hide them.
        let comes_first = |name: &str| ["dos", "gpt"].contains(&name);
        let others = all().filter(|&(other, (structure, left))| {
            other != index && left == Left::Read && comes_first(structure.name) && table.name != "dos"
        });
        expected.or.extend(others.map(|(other, _)| found(other).answer));
        // What is damaged may be what is left of the medium's use before the file system.
        let is_hidden = all().any(|(other, (_, left))| other > index && left == Left::Volume);
        // One partition or none in a boot sector that stands is the same to everybody.
        let is_in_boot_sector = |(_, (structure, left)): (usize, (&Structure, Left))| {
            left == Left::Volume && ["vfat", "exfat", "ntfs"].contains(&structure.name)
        };
        expected.or_none |= table.count() < 2 && table.name == "dos" && all().any(is_in_boot_sector);
        // mkfs.fat can make the volume up as a partition.
        expected.or_none |= expected.in_part && is_hidden || table.is_the_disk();
        // Where LBA 0 ends as an MBR's, Linux looks no further, and shows none.
        expected.or_none |= table.name == "mac" && table.count() < 2 && medium.read(&(510..512)) == [0x55, 0xaa];
        if table.count() == 0 {
            let others = all().filter(|(_, (_, left))| [Left::Primary, Left::Remains].contains(left));
            expected.or.extend(others.map(|(other, _)| found(other).answer));
        }
        return Truth { expected, rule: "the table that Linux reads" };
    }

    if let Some((index, (table, _))) = newest(&|left| left == Left::Announced) {
        let mut expected = Expected { in_part: true, or_undecidable: true, ..found(index) };
        let others = all().filter(|(_, (_, left))| [Left::Primary, Left::Remains].contains(left));
        expected.or.extend(others.map(|(other, _)| found(other).answer));
        let is_hidden = all().any(|(other, (_, left))| other > index && left == Left::Volume);
        expected.or_none = table.is_erased || is_hidden;
        return Truth { expected, rule: "protective MBR, no copy of the GPT" };
    }

    if let Some((index, (_, kind))) = newest(&|left| [Left::Primary, Left::Remains, Left::Volume].contains(&left)) {
        let older = |wanted: &[Left]| -> Vec<_> {
            let older = all().filter(|(other, (_, left))| *other < index && wanted.contains(left));
            older.map(|(other, _)| found(other).answer).collect()
        };
        let newer = medium.structures[index + 1..].iter().rfind(|newer| !newer.is_erased);
        let last_lost = newer;
        if kind == Left::Volume {
            let expected = Expected { or: older(&[Left::Primary]), ..Expected::none() };
            return Truth { expected, rule: "the file system that stands" };
        }
        let mut expected = found(index);
        expected.or = older(&[Left::Primary, Left::Remains]);
        if kind == Left::Remains && !older(&[Left::Volume]).is_empty() {
            expected.or_none = true;
            expected.or_undecidable = true;
        }
        if medium.structures[index].is_erased {
            expected.or_none = true;
            expected.or_undecidable = true;
        }
        match last_lost {
            Some(lost) if lost.count() == 0 => {
                expected.or_none = true;
                expected.or_undecidable = true;
            }
            Some(_) => expected.or_undecidable = true,
            None => {}
        }
        let rule = if kind == Left::Primary { "primary GPT without its MBR" } else { "what is left of a table" };
        return Truth { expected, rule };
    }

    let torn = all().filter(|(_, (_, left))| *left == Left::Torn);
    let or: Vec<_> = torn.map(|(_, (table, _))| table.whole().answer).collect();
    if or.is_empty() {
        return Truth { expected: Expected::none(), rule: "nothing is left" };
    }
    let expected = Expected { or, in_part: true, or_undecidable: true, ..Expected::none() };
    Truth { expected, rule: "too little of a table" }
}

/// What is right of an image of which a map says what was not read: what was on the medium, as far as it can be known.
pub fn of_rescue(medium: &Medium, before: &Truth) -> Truth {
    let after = of(medium).expected;
    let mut expected = before.expected.clone();
    let is_same = after.answer == expected.answer && !after.or_undecidable && !after.or_none && !after.in_part;
    if !(is_same && expected.is_multi() && expected.or.is_empty()) {
        let multis = [after.answer].into_iter().chain(after.or).filter(|answer| answer.count() >= 2);
        expected.or.extend(multis);
        expected.in_part |= after.in_part;
        expected.or_undecidable |= medium.unread.iter().any(|range| may_matter(medium, range));
    }
    Truth { expected, rule: "what was on the medium, by the map" }
}

/// Whether a verdict may rest on a range: where tables and superblocks are, and where this medium's structures are.
fn may_matter(medium: &Medium, range: &Range<u64>) -> bool {
    let overlaps = |other: &Range<u64>| range.start < other.end && other.start < range.end;
    let pieces = || medium.structures.iter().flat_map(|structure| &structure.pieces);
    range.start < MIB || range.end + MIB > medium.size || pieces().any(|piece| overlaps(&piece.range()))
}
