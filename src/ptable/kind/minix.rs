//! The subpartition table of Minix, in a slice of an MBR.
//!
//! The rules are those of `parse_minix` in Linux's `block/partitions/msdos.c`: the slice starts with an MBR of its own,
//! whose first entry is of Minix's type. Entries of that type are in use, and count from the start of the disk. Without
//! such an entry the slice starts with a boot sector.

use super::nested::{Nested, believed_size};
use crate::ptable::boot_sector;
use crate::ptable::mbr_sector;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionType};
use crate::ptable::view::View;

const SECTOR_SIZE: u64 = 512;
/// The type of the slice, and of the subpartitions.
pub(super) const SLICE_TYPE: u8 = 0x81;

/// Reads the table in a slice.
pub(super) fn nested(view: &View<'_>, slice: &Partition) -> Probe<Nested> {
    let Some(sector) = view.read(slice.start, boot_sector::SIZE)? else {
        return Err(Rejection::TooShort.into());
    };
    let entries = mbr_sector::entries(&sector);
    // A slice at LBA 0 has the table that it is in itself.
    let is_table = slice.start != 0 && entries.first().is_some_and(|entry| entry.type_id == SLICE_TYPE);
    if !boot_sector::is_signed(&sector) || !is_table {
        return Err(Rejection::NoMagic.into());
    }
    let partitions = entries.iter().filter(|entry| entry.type_id == SLICE_TYPE).map(|entry| {
        let (start, size) = (entry.start * SECTOR_SIZE, entry.sectors * SECTOR_SIZE);
        Partition {
            number: 0,
            start,
            size: believed_size(view, slice, start, size),
            kind: Kind::Nested,
            type_id: PartitionType::Mbr(entry.type_id),
            name: None,
        }
    });
    Ok(Nested { partitions: partitions.collect(), flaw: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::testdisk::Disk;

    #[test]
    fn subpartitions_count_from_the_start_of_the_disk() {
        let table = Disk::new(1 << 20)
            .mbr(0, &[(1, 0x83, 50, 50), (2, 0x81, 100, 1000)])
            .mbr(100 * 512, &[(1, 0x81, 101, 100), (2, 0x83, 201, 100), (3, 0x81, 0, 0), (4, 0x81, 301, 100)])
            .table();
        let found: Vec<_> = table.partitions.iter().map(|p| (p.number, p.start / 512, p.kind)).collect();
        let expected =
            [(1, 50, Kind::Primary), (2, 100, Kind::Container), (5, 101, Kind::Nested), (7, 301, Kind::Nested)];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_slice_with_a_boot_sector_is_one_partition() {
        let slice = Disk::new(1 << 20).mbr(0, &[(1, 0x81, 100, 1000)]);
        for disk in [slice.clone(), slice.mbr(100 * 512, &[(1, 0x83, 101, 100), (2, 0x81, 201, 100)])] {
            let table = disk.table();
            assert_eq!((table.count(), table.is_damaged()), (1, false));
        }
    }

    #[test]
    fn a_slice_at_lba_0_is_not_inside_itself() {
        assert_eq!(Disk::new(1 << 20).mbr(0, &[(1, 0x81, 0, 1000), (2, 0x81, 1000, 500)]).table().count(), 2);
    }
}
