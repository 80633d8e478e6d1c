//! The partition table of DEC's Ultrix, behind the superblock of the root file system.
//!
//! The rules are those of Linux's `block/partitions/ultrix.c`: the magic number, the mark that the table is valid, and
//! eight entries, each in use if it has sectors. Entries overlap by custom, as the driver's defaults do. Beyond the
//! kernel, entries that no disk could have are no table.

use crate::ptable::fields::le32;
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType, count};
use crate::ptable::view::View;

// `struct ultrix_disklabel` of Linux's block/partitions/ultrix.c: the last bytes of the first 16 KiB.
const LABEL_BYTES: usize = 72;
const LABEL_AT: u64 = 16384 - LABEL_BYTES as u64;
const MAGIC_AT: usize = 0; // 4
const VALID_AT: usize = 4; // 4
const ENTRIES_AT: usize = 8;
const ENTRY_BYTES: usize = 8;
const ENTRIES: usize = 8;
// `struct pt_info`.
const SECTORS_AT: usize = 0; // 4, signed
const START_AT: usize = 4; // 4

const MAGIC: u32 = 0x0003_2957;
const VALID: u32 = 1;
const SECTOR_SIZE: u32 = 512;
/// Entry `c`, by custom the whole disk.
const ENTRY_C: usize = 2;
/// Sectors of an entry that takes what is left of the disk, in the tables of Ultrix's drivers.
const TO_THE_END: u32 = u32::MAX;

/// Looks for such a table.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(label) = view.read(LABEL_AT, LABEL_BYTES)? else {
        return Err(Rejection::TooShort.into());
    };
    if le32(&label, MAGIC_AT) != MAGIC {
        return Err(Rejection::NoMagic.into());
    }
    if le32(&label, VALID_AT) != VALID {
        return Err(Rejection::Field { field: "pt_valid", value: u64::from(le32(&label, VALID_AT)) }.into());
    }
    let mut partitions = Vec::new();
    for (number, at) in (1..).zip((0..ENTRIES).map(|index| ENTRIES_AT + index * ENTRY_BYTES)) {
        let start = u64::from(le32(&label, at + START_AT)) * u64::from(SECTOR_SIZE);
        let size = match le32(&label, at + SECTORS_AT) {
            0 => continue,
            TO_THE_END => view.size().saturating_sub(start),
            sectors if sectors.cast_signed() > 0 => u64::from(sectors) * u64::from(SECTOR_SIZE),
            _ => return Err(Rejection::Entry { number, flaw: "has a negative size" }.into()),
        };
        let type_id = PartitionType::Unknown;
        partitions.push(Partition { number, start, size, kind: Kind::Primary, type_id, name: None });
    }
    mark_whole_disk(&mut partitions);
    if count(&partitions) == 0 {
        return Err(Rejection::Empty.into());
    }
    let mut table = PartitionTable::new(Label::Ultrix, SECTOR_SIZE, partitions);
    table.note_length(0, view.size());
    Ok(table)
}

/// Entry `c` is no partition of its own where it has all others in it.
fn mark_whole_disk(partitions: &mut [Partition]) {
    let end = partitions.iter().map(Partition::end).max().unwrap_or(0);
    let several = partitions.len() > 1;
    for partition in partitions.iter_mut().filter(|p| several && p.number as usize == ENTRY_C + 1) {
        if partition.start == 0 && partition.end() == end {
            partition.kind = Kind::Meta;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::Disk;

    /// Start and sectors of each entry.
    fn disk(entries: &[(u32, u32)]) -> Disk {
        let at = 16384 - 72;
        let marked = Disk::new(1 << 20).put(at, &MAGIC.to_le_bytes()).put(at + 4, &VALID.to_le_bytes());
        entries.iter().enumerate().fold(marked, |disk, (index, (start, sectors))| {
            let at = at + 8 + index * 8;
            disk.put(at, &sectors.to_le_bytes()).put(at + 4, &start.to_le_bytes())
        })
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_are_numbered_by_their_place_and_the_whole_disk_does_not_count() {
        let table = disk(&[(0, 200), (200, 300), (0, 2048), (0, 0), (500, 1548)]).table();
        let found: Vec<_> = table.partitions.iter().map(|p| (p.number, p.start / 512, p.kind)).collect();
        let expected = [(1, 0, Kind::Primary), (2, 200, Kind::Primary), (3, 0, Kind::Meta), (5, 500, Kind::Primary)];
        assert_eq!(found, expected);
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Ultrix, 3, false));
    }

    #[test]
    fn the_whole_disk_alone_is_one_partition() {
        assert_eq!(disk(&[(0, 0), (0, 0), (0, 2048)]).table().count(), 1);
    }

    #[test]
    fn what_is_left_of_the_disk_ends_with_the_image() {
        let table = disk(&[(0, 200), (200, TO_THE_END)]).table();
        assert_eq!((table.partitions[1].end(), table.is_damaged()), (1 << 20, false));
    }

    #[test]
    fn magic_validity_and_sane_entries_are_needed() {
        assert_eq!(rejection(&disk(&[(0, 200)]).put(16384 - 72, &[0])), Rejection::NoMagic);
        assert!(matches!(rejection(&disk(&[(0, 200)]).put(16384 - 68, &[0])), Rejection::Field { value: 0, .. }));
        assert_eq!(rejection(&disk(&[])), Rejection::Empty);
        assert!(matches!(rejection(&disk(&[(0, 200), (0, 0x8000_0000)])), Rejection::Entry { number: 2, .. }));
        assert_eq!(rejection(&Disk::new(16383)), Rejection::TooShort);
    }

    #[test]
    fn an_image_cut_short_keeps_its_table() {
        let table = disk(&[(0, 200), (200, 5000)]).table();
        assert_eq!((table.count(), table.damage[0].code()), (2, "image_too_short"));
    }
}
