//! The table of the Rio Karma, a music player.
//!
//! Two entries and a magic number of two bytes at the end of LBA 0 (Linux's `block/partitions/karma.c`). That magic is
//! little evidence, so beyond the kernel the blank part of the sector has to be blank, and the entries have to fit on
//! one disk together.

use crate::ptable::boot_sector;
use crate::ptable::fields::{all_zero, byte, le16, le32};
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

// `struct disklabel` of Linux's block/partitions/karma.c.
const SECTOR: u32 = 512;
const PARTITIONS_AT: usize = 270; // 2 x 16 bytes
const PARTITION_BYTES: usize = 16;
const TYPE_AT: usize = 4; // 1
const START_AT: usize = 8; // 4
const SECTORS_AT: usize = 12; // 4
const BLANK: std::ops::Range<usize> = 302..510;
const MAGIC_AT: usize = 510; // 2
const MAGIC: u16 = 0xab56;
const IN_USE: u8 = 0x4d;

/// Looks for the table.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(sector) = view.read(0, boot_sector::SIZE)? else {
        return Err(Rejection::TooShort.into());
    };
    if le16(&sector, MAGIC_AT) != MAGIC {
        return Err(Rejection::NoMagic.into());
    }
    if !sector.get(BLANK).is_some_and(all_zero) {
        return Err(Rejection::Field { field: "d_blank", value: 1 }.into());
    }
    let mut partitions: Vec<Partition> = Vec::new();
    for (number, at) in (1..=2).zip((PARTITIONS_AT..).step_by(PARTITION_BYTES)) {
        let id = byte(&sector, at + TYPE_AT);
        let (start, sectors) = (le32(&sector, at + START_AT), le32(&sector, at + SECTORS_AT));
        if id != IN_USE || sectors == 0 {
            continue;
        }
        let bytes = |sectors: u32| u64::from(sectors) * u64::from(SECTOR);
        let partition = Partition {
            number,
            start: bytes(start),
            size: bytes(sectors),
            kind: Kind::Primary,
            type_id: PartitionType::Number { id: id.into(), digits: 2 },
            name: None,
        };
        if start == 0 || start.checked_add(sectors).is_none() {
            return Err(Rejection::Entry { number, flaw: "fits on no disk" }.into());
        }
        if partitions.iter().any(|other| other.start < partition.end() && partition.start < other.end()) {
            return Err(Rejection::Entry { number, flaw: "overlaps another" }.into());
        }
        partitions.push(partition);
    }
    if partitions.is_empty() {
        return Err(Rejection::Empty.into());
    }
    let mut table = PartitionTable::new(Label::Karma, SECTOR, partitions);
    table.note_length(0, view.size());
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::Disk;

    /// Type, start, sectors.
    fn karma(entries: [(u8, u32, u32); 2]) -> Disk {
        let disk = Disk::new(1 << 20).put(MAGIC_AT, &MAGIC.to_le_bytes());
        entries.iter().zip((PARTITIONS_AT..).step_by(PARTITION_BYTES)).fold(
            disk,
            |disk, (&(id, start, sectors), at)| {
                disk.put(at + TYPE_AT, &[id])
                    .put(at + START_AT, &start.to_le_bytes())
                    .put(at + SECTORS_AT, &sectors.to_le_bytes())
            },
        )
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_entries_are_read() {
        let table = karma([(IN_USE, 10, 20), (IN_USE, 30, 40)]).table();
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Karma, 2, false));
        assert_eq!((table.partitions[1].number, table.partitions[1].start), (2, 30 * 512));
    }

    #[test]
    fn an_entry_of_another_type_keeps_its_number() {
        let table = karma([(0, 10, 20), (IN_USE, 30, 40)]).table();
        assert_eq!((table.count(), table.partitions[0].number), (1, 2));
    }

    #[test]
    fn what_makes_no_sense_is_no_table() {
        let flaw = |number, flaw| Rejection::Entry { number, flaw };
        for (entries, expected) in [
            ([(IN_USE, 10, 20), (IN_USE, 20, 40)], flaw(2, "overlaps another")),
            ([(IN_USE, 0, 20), (0, 0, 0)], flaw(1, "fits on no disk")),
            ([(IN_USE, u32::MAX, 20), (0, 0, 0)], flaw(1, "fits on no disk")),
            ([(0, 10, 20), (IN_USE, 10, 0)], Rejection::Empty),
        ] {
            assert_eq!(rejection(&karma(entries)), expected);
        }
        let code = karma([(IN_USE, 10, 20), (0, 0, 0)]).put(400, &[0x90]);
        assert_eq!(rejection(&code), Rejection::Field { field: "d_blank", value: 1 });
        assert_eq!(rejection(&Disk::new(512)), Rejection::NoMagic);
        assert_eq!(rejection(&Disk::new(511)), Rejection::TooShort);
    }
}
