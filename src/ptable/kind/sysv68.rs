//! The slices of UNIX System V on Motorola's 68000 machines.
//!
//! LBA 0 has a volume id and says where the slice table is (Linux's `block/partitions/sysv68.c`). The last slice is the
//! whole disk; Linux does not show it, and it is not listed here.

use crate::ptable::boot_sector;
use crate::ptable::error::{Error, Reason};
use crate::ptable::fields::{all_zero, be16, be32, has};
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

// `struct dkblk0` of Linux's block/partitions/sysv68.c: two blocks of 256 bytes.
const SECTOR: u32 = 512;
const MAGIC_AT: usize = 248; // 8, vid_mac
const MAGIC: &[u8] = b"MOTOROLA";
const TABLE_AT: usize = 384; // 4, ios_slcblk
const COUNT_AT: usize = 388; // 2, ios_slccnt

const SLICE_BYTES: usize = 8; // sectors 4, start 4
const START_AT: usize = 4;
/// As many as a sector holds.
const MAX_SLICES: usize = 64;

/// Looks for a volume id and its slice table.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(sector) = view.read(0, boot_sector::SIZE)? else {
        return Err(Rejection::TooShort.into());
    };
    if !has(&sector, MAGIC_AT, MAGIC) {
        return Err(Rejection::NoMagic.into());
    }
    let (table_lba, count) = (be32(&sector, TABLE_AT), usize::from(be16(&sector, COUNT_AT)));
    if table_lba == 0 {
        return Err(Rejection::Field { field: "ios_slcblk", value: 0 }.into());
    }
    if !(1..=MAX_SLICES).contains(&count) {
        return Err(Rejection::Field { field: "ios_slccnt", value: count as u64 }.into());
    }
    let lost = || Error::undecidable(Reason::EntriesLost { label: Label::Sysv68 }, None);
    let bytes = |sectors: u32| u64::from(sectors) * u64::from(SECTOR);
    let Some(slices) = view.read(bytes(table_lba), count * SLICE_BYTES)? else {
        return Err(lost().into());
    };
    // The slice for the whole disk at least is always there.
    if all_zero(&slices) {
        return Err(lost().into());
    }
    let used = slices.chunks_exact(SLICE_BYTES).zip(1..).take(count - 1).filter(|(slice, _)| be32(slice, 0) != 0);
    let partitions: Vec<_> = used
        .map(|(slice, number)| Partition {
            number,
            start: bytes(be32(slice, START_AT)),
            size: bytes(be32(slice, 0)),
            kind: Kind::Primary,
            type_id: PartitionType::Unknown,
            name: None,
        })
        .collect();
    if partitions.is_empty() {
        return Err(Rejection::Empty.into());
    }
    let mut table = PartitionTable::new(Label::Sysv68, SECTOR, partitions);
    table.note_length(0, view.size());
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::Disk;

    /// Start and sectors of each slice, the whole disk the last.
    fn sysv68(slices: &[(u32, u32)]) -> Disk {
        let count = u16::try_from(slices.len()).unwrap();
        let disk = Disk::new(1 << 20)
            .put(MAGIC_AT, MAGIC)
            .put(TABLE_AT, &3_u32.to_be_bytes())
            .put(COUNT_AT, &count.to_be_bytes());
        slices.iter().zip((3 * 512..).step_by(SLICE_BYTES)).fold(disk, |disk, (&(start, sectors), at)| {
            disk.put(at, &sectors.to_be_bytes()).put(at + START_AT, &start.to_be_bytes())
        })
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_slices_but_the_last_are_read() {
        let table = sysv68(&[(10, 500), (0, 0), (510, 600), (0, 2048)]).table();
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Sysv68, 2, false));
        let last = &table.partitions[1];
        assert_eq!((last.number, last.start, last.size), (3, 510 * 512, 600 * 512));
    }

    #[test]
    fn a_slice_table_that_is_lost_or_not_in_the_image_is_undecidable() {
        let disk = sysv68(&[(10, 500), (510, 600), (0, 2048)]);
        assert_eq!(disk.clone().put(3 * 512, &[0; 512]).reason(), "entries_lost");
        assert_eq!(disk.put(TABLE_AT, &u32::MAX.to_be_bytes()).reason(), "entries_lost");
    }

    #[test]
    fn what_makes_no_sense_is_no_table() {
        let disk = sysv68(&[(10, 500), (0, 2048)]);
        let with_count = |count: u16| disk.clone().put(COUNT_AT, &count.to_be_bytes());
        for count in [0, 65, u16::MAX] {
            assert_eq!(rejection(&with_count(count)), Rejection::Field { field: "ios_slccnt", value: count.into() });
        }
        assert_eq!(rejection(&with_count(1)), Rejection::Empty);
        let nowhere = disk.put(TABLE_AT, &[0; 4]);
        assert_eq!(rejection(&nowhere), Rejection::Field { field: "ios_slcblk", value: 0 });
        assert_eq!(rejection(&Disk::new(512)), Rejection::NoMagic);
        assert_eq!(rejection(&Disk::new(511)), Rejection::TooShort);
    }
}
