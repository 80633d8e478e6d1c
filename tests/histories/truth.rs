//! What is right of an image, by what was done to it: the rules that the docs of the test list.

use std::ops::Range;

use crate::medium::{MIB, Medium, Part, Structure};
use crate::peers::answer::Answer;
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

/// All structures and what is left of them, from the oldest to the newest.
struct Remains<'a> {
    medium: &'a Medium,
    left: Vec<(usize, &'a Structure, Left)>,
}

impl<'a> Remains<'a> {
    fn of(medium: &'a Medium) -> Remains<'a> {
        let left = medium.structures.iter().enumerate().map(|(n, structure)| (n, structure, structure.left(medium)));
        Remains { medium, left: left.collect() }
    }

    fn of_kind<'b>(&'b self, wanted: &'b [Left]) -> impl DoubleEndedIterator<Item = (usize, &'a Structure, Left)> + 'b {
        self.left.iter().copied().filter(|(.., left)| wanted.contains(left))
    }

    fn newest(&self, wanted: &[Left]) -> Option<(usize, &'a Structure, Left)> {
        self.of_kind(wanted).next_back()
    }

    /// What can be found of those that are left so, but for one.
    fn answers(&self, wanted: &[Left], but: usize) -> Vec<Answer> {
        let others = self.of_kind(wanted).filter(|(index, ..)| *index != but);
        others.map(|(_, structure, _)| structure.found(self.medium).answer).collect()
    }

    fn has_newer_volume(&self, than: usize) -> bool {
        self.newest(&[Left::Volume]).is_some_and(|(index, ..)| index > than)
    }

    /// A table that is read where it belongs.
    fn in_front(&self) -> Option<Expected> {
        let (index, table, _) = self.newest(&[Left::Read])?;
        let mut expected = table.found(self.medium);
        if table.name != "dos" {
            // Linux reads these before all others.
            let first = self
                .of_kind(&[Left::Read])
                .filter(|(other, structure, _)| *other != index && ["dos", "gpt"].contains(&structure.name));
            expected.or.extend(first.map(|(_, structure, _)| structure.found(self.medium).answer));
        }
        if table.count() == 0 {
            // It says nothing, and what is left of others may be worth keeping.
            expected.or.extend(self.answers(&[Left::Read, Left::Primary, Left::Remains], index));
        }
        // One partition or none in a boot sector that stands is the same to everybody.
        let boot_sectors = ["vfat", "exfat", "ntfs"];
        let is_in_boot_sector = table.name == "dos"
            && self.of_kind(&[Left::Volume]).any(|(_, volume, _)| boot_sectors.contains(&volume.name));
        // Where LBA 0 ends as an MBR's, Linux looks no further, and shows none.
        let is_behind_mbr = table.name == "mac" && self.medium.read(&(510..512)) == [0x55, 0xaa];
        // What is damaged may be what is left of the medium's use before the file system.
        let is_hidden = expected.in_part && self.has_newer_volume(index);
        expected.or_none |=
            table.count() < 2 && (is_in_boot_sector || is_behind_mbr) || is_hidden || table.is_the_disk();
        Some(expected)
    }

    /// A protective MBR whose GPT is lost.
    fn announced(&self) -> Option<Expected> {
        let (index, table, _) = self.newest(&[Left::Announced])?;
        let or = self.answers(&[Left::Primary, Left::Remains], index);
        let or_none = table.is_erased || self.has_newer_volume(index);
        Some(Expected { or, in_part: true, or_undecidable: true, or_none, ..table.whole() })
    }

    /// What is there although nothing in front says so: a file system, or a table.
    fn behind(&self) -> Option<(Expected, &'static str)> {
        let (index, structure, left) = self.newest(&[Left::Primary, Left::Remains, Left::Volume])?;
        if left == Left::Volume {
            let or = self.answers(&[Left::Primary], index);
            return Some((Expected { or, ..Expected::none() }, "the file system that stands"));
        }
        let or = self.answers(&[Left::Primary, Left::Remains], index);
        let lost = self.medium.structures[index + 1..].iter().rfind(|newer| !newer.is_erased);
        let is_beside_volume = left == Left::Remains && self.newest(&[Left::Volume]).is_some();
        let or_none = is_beside_volume || structure.is_erased || lost.is_some_and(|lost| lost.count() == 0);
        let expected = Expected { or, or_none, ..structure.found(self.medium) };
        let or_undecidable = expected.or_undecidable || or_none || lost.is_some();
        let is_primary = left == Left::Primary;
        let rule = if is_primary { "primary GPT without its MBR" } else { "what is left of a table" };
        Some((Expected { or_undecidable, ..expected }, rule))
    }

    fn torn(&self) -> Option<Expected> {
        let or: Vec<_> = self.of_kind(&[Left::Torn]).map(|(_, table, _)| table.whole().answer).collect();
        (!or.is_empty()).then(|| Expected { or, in_part: true, or_undecidable: true, ..Expected::none() })
    }
}

/// What is right of an image as it is.
pub fn of(medium: &Medium) -> Truth {
    let remains = Remains::of(medium);
    let by = |rule| move |expected| (expected, rule);
    let (expected, rule) = remains
        .in_front()
        .map(by("the table that Linux reads"))
        .or_else(|| remains.announced().map(by("protective MBR, no copy of the GPT")))
        .or_else(|| remains.behind())
        .or_else(|| remains.torn().map(by("too little of a table")))
        .unwrap_or_else(|| (Expected::none(), "nothing is left"));
    Truth { expected, rule }
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
