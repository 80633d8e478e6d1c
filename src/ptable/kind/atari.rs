//! Atari's AHDI root sector, with its extended (`XGM`) chains and the eight more partitions of ICD's drivers.
//!
//! Numbers and chains are those of Linux's `block/partitions/atari.c`. It has no magic, and the kernel asks for one entry
//! that makes sense; here every entry in use must make sense together with the size of the disk that the sector gives,
//! which the kernel does not read. In a chain the partition may come first, second or third, as `libblkid`'s
//! `partitions/atari.c` and parted have it.

use std::collections::HashSet;
use std::ops::Range;

use crate::ptable::damage::Damage;
use crate::ptable::error::{Error, Reason};
use crate::ptable::fields::{all_zero, be32, byte, bytes};
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType, count};
use crate::ptable::view::View;

const SECTOR: usize = 512;

// `struct rootsector`
const ICD_ENTRIES_AT: usize = 0x156;
const ICD_ENTRIES: usize = 8;
const DISK_SECTORS_AT: usize = 0x1c2; // 4
const ENTRIES_AT: usize = 0x1c6;
const ENTRIES: usize = 4;
// `struct partition_info`
const ENTRY_BYTES: usize = 12;
const FLAG_AT: usize = 0; // 1
const ID_AT: usize = 1; // 3
const START_AT: usize = 4; // 4
const SECTORS_AT: usize = 8; // 4

const IN_USE: u8 = 0x01;
/// The start of a chain, or a link of one.
const EXTENDED: [u8; 3] = *b"XGM";
/// Those that partitioning tools and drivers write.
const KNOWN_IDS: [[u8; 3]; 12] =
    [*b"GEM", *b"BGM", EXTENDED, *b"RAW", *b"LNX", *b"SWP", *b"MAC", *b"MIX", *b"MNX", *b"UNX", *b"F32", *b"SV4"];
/// Those that Linux takes in the entries of ICD.
const ICD_IDS: [[u8; 3]; 5] = [*b"GEM", *b"BGM", *b"RAW", *b"LNX", *b"SWP"];
/// One more than Linux's last number (`DISK_MAX_PARTS`).
const NUMBER_LIMIT: u32 = 256;
/// How many times as large as the image a disk may be.
const MAX_CUT: u64 = 64;

/// An entry of a root sector, in sectors.
#[derive(Clone, Copy)]
struct Entry {
    flag: u8,
    id: [u8; 3],
    start: u64,
    sectors: u64,
}

impl Entry {
    fn at(sector: &[u8], at: usize) -> Entry {
        Entry {
            flag: byte(sector, at + FLAG_AT),
            id: bytes(sector, at + ID_AT),
            start: u64::from(be32(sector, at + START_AT)),
            sectors: u64::from(be32(sector, at + SECTORS_AT)),
        }
    }

    fn is_in_use(&self) -> bool {
        self.flag & IN_USE != 0
    }

    fn end(&self) -> u64 {
        self.start + self.sectors
    }

    fn overlaps(&self, other: &Entry) -> bool {
        self.start < other.end() && other.start < self.end()
    }

    /// What keeps it from being one of a disk of so many sectors.
    fn flaw(&self, disk: u64) -> Option<&'static str> {
        if !self.id.iter().all(u8::is_ascii_alphanumeric) {
            Some("has no id")
        } else if self.start == 0 || self.sectors == 0 {
            Some("is empty")
        } else if self.end() > disk {
            Some("does not fit on the disk")
        } else {
            None
        }
    }
}

fn entries<const N: usize>(sector: &[u8], at: usize) -> [Entry; N] {
    std::array::from_fn(|slot| Entry::at(sector, at + slot * ENTRY_BYTES))
}

/// The entries of the root sector and the sectors of the disk, if it is one.
fn root(sector: &[u8], size: u64) -> Result<([Entry; ENTRIES], u64), Rejection> {
    let stated = u64::from(be32(sector, DISK_SECTORS_AT));
    let image = size / SECTOR as u64;
    let entries: [Entry; ENTRIES] = entries(sector, ENTRIES_AT);
    let numbered = || (1..).zip(&entries).filter(|(_, entry)| entry.is_in_use());
    if numbered().next().is_none() {
        return Err(Rejection::NoMagic);
    }
    let is_disk = (1..=image.max(1).saturating_mul(MAX_CUT)).contains(&stated);
    // On media for both kinds of machine an MBR entry stands in its place, and the kernel does not ask for it.
    let are_known = || numbered().all(|(_, entry)| KNOWN_IDS.contains(&entry.id) && entry.flaw(image).is_none());
    if !is_disk && !are_known() {
        return Err(Rejection::Field { field: "hd_siz", value: stated });
    }
    let disk = if is_disk { stated } else { image };
    for (number, entry) in numbered() {
        // A disk whose size is the image's needs no further evidence.
        let unknown = disk != image && !KNOWN_IDS.contains(&entry.id);
        let flaw = entry.flaw(disk).or(unknown.then_some("has an unknown id"));
        let overlap = numbered().any(|(other, it)| other < number && it.overlaps(entry));
        if let Some(flaw) = flaw.or(overlap.then_some("overlaps another")) {
            return Err(Rejection::Entry { number, flaw });
        }
    }
    Ok((entries, disk))
}

/// Whether one of the root sector's entries has bytes in `range` of `sector`, and would be a partition of an image of so
/// many sectors.
pub(super) fn has_entry_in(sector: &[u8], range: Range<usize>, sectors: u64) -> bool {
    let entries: [Entry; ENTRIES] = entries(sector, ENTRIES_AT);
    entries.iter().enumerate().any(|(slot, entry)| {
        let at = ENTRIES_AT + slot * ENTRY_BYTES;
        let is_partition = entry.is_in_use() && KNOWN_IDS.contains(&entry.id) && entry.flaw(sectors).is_none();
        is_partition && at < range.end && range.start < at + ENTRY_BYTES
    })
}

/// A sector of a chain: its partition, and the link to the next sector.
type Link = (Entry, Option<Entry>);

/// The table as it grows.
struct Reader<'a> {
    view: &'a View<'a>,
    /// Sectors of the disk.
    disk: u64,
    seen: HashSet<u64>,
    partitions: Vec<Partition>,
    damage: Vec<Damage>,
    /// Where a partition may be missed.
    broken_at: Option<u64>,
    complete: bool,
}

impl Reader<'_> {
    fn push(&mut self, number: u32, base: u64, entry: &Entry, kind: Kind) {
        self.partitions.push(Partition {
            number,
            start: (base + entry.start) * SECTOR as u64,
            size: entry.sectors * SECTOR as u64,
            kind,
            type_id: PartitionType::text(&entry.id),
            name: None,
        });
    }

    fn break_at(&mut self, block: u64, damage: Damage) {
        self.damage.push(damage);
        self.broken_at.get_or_insert(block);
    }

    /// Follows the chain that starts at sector `first`; its partitions are numbered from `number` on. The number of the
    /// last one, or `number` if there is none.
    fn walk(&mut self, first: u64, number: u32) -> Result<u32, Error> {
        let (mut sector, mut next) = (first, number);
        loop {
            if self.view.may_stop_at(count(&self.partitions)) {
                self.complete = false;
                break;
            }
            if next >= NUMBER_LIMIT {
                break;
            }
            if !self.seen.insert(sector) {
                self.break_at(sector, Damage::ListCycle { block: sector });
                break;
            }
            let (data, link) = match self.read_link(sector, sector == first)? {
                Ok(found) => found,
                Err(None) => break,
                Err(Some(fault)) => {
                    self.break_at(sector, Damage::ListBroken { block: sector, fault });
                    break;
                }
            };
            self.push(next, sector, &data, Kind::Logical);
            next += 1;
            match link {
                None => break,
                Some(link) => sector = first + link.start,
            }
        }
        Ok(next.saturating_sub(1).max(number))
    }

    /// One sector of a chain. No fault: nobody has put anything there yet.
    fn read_link(&self, sector: u64, is_first: bool) -> Result<Result<Link, Option<Rejection>>, Error> {
        let bytes = match self.view.read(sector * SECTOR as u64, SECTOR) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Ok(Err(Some(Rejection::TooShort))),
            Err(_) if self.view.settles(count(&self.partitions)) => return Ok(Err(Some(Rejection::Unreadable))),
            Err(error) => return Err(error),
        };
        if is_first && all_zero(&bytes) {
            return Ok(Err(None));
        }
        let entries: [Entry; ENTRIES] = entries(&bytes, ENTRIES_AT);
        let mut used = (1..).zip(entries).skip_while(|(_, entry)| !entry.is_in_use());
        let Some((number, data)) = used.next() else {
            return Ok(Err(Some(Rejection::Empty)));
        };
        let flaw = data.flaw(self.disk.saturating_sub(sector));
        if let Some(flaw) = flaw.or((data.id == EXTENDED).then_some("is a link without a partition")) {
            return Ok(Err(Some(Rejection::Entry { number, flaw })));
        }
        let link = used.next().map(|(_, entry)| entry).filter(|e| e.is_in_use() && e.id == EXTENDED);
        Ok(Ok((data, link)))
    }

    /// The entries of ICD, which only count where the first has an id of theirs. One that names a partition once more
    /// is not a second one.
    fn read_icd(&mut self, sector: &[u8], first_number: u32) {
        let entries: [Entry; ICD_ENTRIES] = entries(sector, ICD_ENTRIES_AT);
        if !ICD_IDS.contains(&entries[0].id) {
            return;
        }
        for (number, entry) in (first_number..).zip(&entries) {
            let sound = entry.is_in_use() && ICD_IDS.contains(&entry.id) && entry.flaw(self.disk).is_none();
            let start = entry.start * SECTOR as u64;
            if sound && self.partitions.iter().all(|p| p.start != start) {
                self.push(number, 0, entry, Kind::Primary);
            }
        }
    }
}

/// Looks for a root sector.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(sector) = view.read(0, SECTOR)? else {
        return Err(Rejection::TooShort.into());
    };
    let (entries, disk) = root(&sector, view.size())?;
    let mut reader = Reader {
        view,
        disk,
        seen: HashSet::new(),
        partitions: Vec::new(),
        damage: Vec::new(),
        broken_at: None,
        complete: true,
    };
    // A chain takes the numbers of the entries behind its own, which then come after it.
    let mut number = 1;
    let mut walked = Ok(());
    for entry in &entries {
        if entry.is_in_use() && entry.id == EXTENDED {
            match reader.walk(entry.start, number) {
                Ok(last) => number = last,
                Err(error) => walked = walked.and(Err(error)),
            }
        } else if entry.is_in_use() {
            reader.push(number, 0, entry, Kind::Primary);
        }
        number += 1;
    }
    if !entries.iter().any(|entry| entry.is_in_use() && entry.id == EXTENDED) {
        reader.read_icd(&sector, number);
    }
    let Reader { partitions, damage, broken_at, complete, .. } = reader;
    let mut table = PartitionTable { damage, complete, ..PartitionTable::new(Label::Atari, 512, partitions) };
    if let Err(error) = walked {
        return Err(error.with_partial(table).into());
    }
    table.note_length(disk * SECTOR as u64, view.size());
    match broken_at.filter(|_| !view.settles(table.count())) {
        Some(block) => Err(Error::undecidable(Reason::ListBroken { label: Label::Atari, block }, Some(table)).into()),
        None => Ok(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::{Disk, fat16};

    const S: usize = 512;

    /// Entries of a root sector at sector `sector`: slot from 0, id, start, sectors.
    fn put(disk: Disk, sector: usize, at: usize, entries: &[(usize, &[u8; 3], u32, u32)]) -> Disk {
        entries.iter().fold(disk, |disk, &(slot, id, start, sectors)| {
            let at = sector * S + at + slot * ENTRY_BYTES;
            let disk = disk.put(at, &[IN_USE]).put(at + ID_AT, id);
            disk.put(at + START_AT, &start.to_be_bytes()).put(at + SECTORS_AT, &sectors.to_be_bytes())
        })
    }

    /// A disk of 1000 sectors with these entries.
    fn disk(entries: &[(usize, &[u8; 3], u32, u32)]) -> Disk {
        put(Disk::new(1000 * S).put(DISK_SECTORS_AT, &1000_u32.to_be_bytes()), 0, ENTRIES_AT, entries)
    }

    fn link(disk: Disk, sector: usize, entries: &[(usize, &[u8; 3], u32, u32)]) -> Disk {
        put(disk, sector, ENTRIES_AT, entries)
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    fn numbers(table: &PartitionTable) -> Vec<u32> {
        table.partitions.iter().map(|p| p.number).collect()
    }

    #[test]
    fn primaries_keep_their_slots_as_numbers() {
        let table = disk(&[(0, b"GEM", 2, 98), (2, b"BGM", 100, 900)]).table();
        assert_eq!((table.label, numbers(&table), table.is_damaged()), (Label::Atari, vec![1, 3], false));
        let p = &table.partitions[1];
        assert_eq!((p.start, p.size, p.type_id), (51_200, 460_800, PartitionType::text(b"BGM")));
    }

    #[test]
    fn the_partitions_of_a_chain_take_the_numbers_from_its_own_on() {
        let chain = disk(&[(0, b"GEM", 2, 98), (1, b"XGM", 100, 400), (2, b"RAW", 500, 500)]);
        let chain = link(chain, 100, &[(0, b"BGM", 1, 99), (1, b"XGM", 100, 300)]);
        let chain = link(chain, 200, &[(0, b"LNX", 1, 99)]);
        let table = chain.table();
        assert_eq!(numbers(&table), [1, 2, 3, 4]);
        let p = &table.partitions[2];
        assert_eq!((p.start, p.size, p.kind), (201 * 512, 99 * 512, Kind::Logical));
    }

    #[test]
    fn the_partition_of_a_link_may_not_be_the_first_entry() {
        let chain = disk(&[(0, b"XGM", 100, 400)]);
        let chain = link(chain, 100, &[(1, b"BGM", 1, 99), (2, b"XGM", 100, 300)]);
        assert_eq!(link(chain, 200, &[(2, b"LNX", 1, 99)]).table().count(), 2);
    }

    #[test]
    fn a_broken_chain_announces_a_partition_that_is_missed() {
        let chain = disk(&[(0, b"XGM", 100, 400)]);
        let with = |at: u32| link(chain.clone(), 100, &[(0, b"BGM", 1, 99), (1, b"XGM", at, 300)]);
        assert_eq!(with(100).reason(), "list_broken");
        assert_eq!(with(0).reason(), "list_broken");
        assert_eq!(with(u32::MAX).reason(), "list_broken");
        let table = link(with(100), 0, &[(1, b"GEM", 2, 98)]).table();
        assert_eq!(
            (table.count(), &table.damage[..]),
            (2, &[Damage::ListBroken { block: 200, fault: Rejection::Empty }][..])
        );
        let table = link(with(0), 0, &[(1, b"GEM", 2, 98)]).table();
        assert_eq!((table.count(), &table.damage[..]), (2, &[Damage::ListCycle { block: 100 }][..]));
    }

    #[test]
    fn a_chain_that_nobody_has_filled_yet_is_no_damage() {
        let table = disk(&[(0, b"GEM", 2, 98), (1, b"XGM", 100, 400)]).table();
        assert_eq!((table.count(), table.is_damaged()), (1, false));
    }

    #[test]
    fn the_entries_of_icd_count_where_there_is_no_chain() {
        let icd: &[_] = &[(0, b"GEM", 300, 100), (1, b"XXX", 400, 100), (3, b"GEM", 400, 50), (4, b"RAW", 2, 98)];
        let four = disk(&[(0, b"GEM", 2, 98), (1, b"GEM", 100, 100)]);
        assert_eq!(numbers(&put(four.clone(), 0, ICD_ENTRIES_AT, icd).table()), [1, 2, 5, 8]);
        assert_eq!(numbers(&put(four, 0, ICD_ENTRIES_AT, &icd[2..]).table()), [1, 2]);
        let chain = put(disk(&[(0, b"XGM", 100, 400)]), 0, ICD_ENTRIES_AT, icd);
        assert_eq!(link(chain, 100, &[(0, b"GEM", 1, 9)]).table().count(), 1);
    }

    #[test]
    fn every_entry_in_use_must_make_sense() {
        let with = |id, start, sectors| rejection(&disk(&[(0, b"GEM", 2, 98), (2, id, start, sectors)]));
        let flaw = |flaw| Rejection::Entry { number: 3, flaw };
        assert_eq!(with(b"G\0M", 100, 100), flaw("has no id"));
        assert_eq!(with(b"GEM", 0, 100), flaw("is empty"));
        assert_eq!(with(b"GEM", 100, 0), flaw("is empty"));
        assert_eq!(with(b"GEM", 950, 51), flaw("does not fit on the disk"));
        assert_eq!(with(b"GEM", 99, 51), flaw("overlaps another"));
        let cut = disk(&[(0, b"QED", 2, 98)]).put(DISK_SECTORS_AT, &1001_u32.to_be_bytes());
        assert_eq!(rejection(&cut), Rejection::Entry { number: 1, flaw: "has an unknown id" });
        assert_eq!(disk(&[(0, b"QED", 2, 98)]).table().count(), 1);
    }

    #[test]
    fn the_size_of_the_disk_must_fit_unless_known_entries_fit_the_image() {
        let of = |id: &[u8; 3], start| {
            let disk = disk(&[(0, id, start, 98)]);
            move |sectors: u32| disk.clone().put(DISK_SECTORS_AT, &sectors.to_be_bytes())
        };
        for sectors in [0, 64_001] {
            assert_eq!(of(b"GEM", 2)(sectors).table().count(), 1);
            assert_eq!(
                rejection(&of(b"GEM", 903)(sectors)),
                Rejection::Field { field: "hd_siz", value: sectors.into() }
            );
        }
        let with = of(b"QED", 2);
        assert_eq!(rejection(&with(0)), Rejection::Field { field: "hd_siz", value: 0 });
        assert_eq!(rejection(&with(64_001)), Rejection::Field { field: "hd_siz", value: 64_001 });
        assert_eq!(of(b"GEM", 2)(64_000).table().damage[0].code(), "image_too_short");
    }

    #[test]
    fn what_has_no_entry_is_no_table() {
        for disk in [Disk::new(1000 * S), Disk::new(1000 * S).put(0, &fat16()), disk(&[])] {
            assert_eq!(rejection(&disk), Rejection::NoMagic);
        }
        assert_eq!(rejection(&Disk::new(100)), Rejection::TooShort);
        for fill in 0..=255_u8 {
            assert!(Disk(vec![fill; 100 * S]).read().unwrap().is_none(), "{fill:#x}");
        }
    }
}
