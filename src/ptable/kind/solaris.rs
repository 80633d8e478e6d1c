//! The volume table of contents (VTOC) of Solaris on x86, in a slice of an MBR.
//!
//! The rules are those of `parse_solaris_x86` in Linux's `block/partitions/msdos.c`: the sanity number, version 1, and
//! entries in use if they have sectors, counted from the start of the slice. The slice's type may as well be that of
//! Linux's swap, so that without the number there is nothing to be said.

use super::nested::{Nested, of_vtoc};
use crate::ptable::fields::{le16, le32};
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::Partition;
use crate::ptable::view::View;

const SECTOR_SIZE: u64 = 512;

// `struct solaris_x86_vtoc` of Linux's block/partitions/msdos.c, in sector 1 of the slice.
const VTOC_AT: u64 = SECTOR_SIZE;
const SANITY_AT: usize = 12; // 4 bytes
const VERSION_AT: usize = 16; // 4
const COUNT_AT: usize = 30; // 2
const ENTRIES_AT: usize = 72;
const ENTRY_BYTES: usize = 12;
// `struct solaris_x86_slice`.
const TAG_AT: usize = 0; // 2
const START_AT: usize = 4; // 4
const SECTORS_AT: usize = 8; // 4

const SANITY: u32 = 0x600d_deee;
const VERSION: u32 = 1;
/// Entries, of which the first releases had the half.
const ENTRIES: usize = 16;
const FEW_ENTRIES: usize = 8;
/// `V_BACKUP`: the whole slice (`libblkid`'s `SOLARIS_TAG_WHOLEDISK`).
const WHOLE_DISK: u16 = 5;
const VTOC_BYTES: usize = ENTRIES_AT + ENTRIES * ENTRY_BYTES;

/// Reads the VTOC in a slice.
pub(super) fn nested(view: &View<'_>, slice: &Partition) -> Probe<Nested> {
    let Some(vtoc) = view.read(slice.start.saturating_add(VTOC_AT), VTOC_BYTES)? else {
        return Err(Rejection::TooShort.into());
    };
    if le32(&vtoc, SANITY_AT) != SANITY {
        return Err(Rejection::NoMagic.into());
    }
    let version = le32(&vtoc, VERSION_AT);
    if version != VERSION {
        return Err(Rejection::Field { field: "v_version", value: u64::from(version) }.into());
    }
    let entries = if usize::from(le16(&vtoc, COUNT_AT)) > FEW_ENTRIES { ENTRIES } else { FEW_ENTRIES };
    let partitions = (0..entries).map(|index| ENTRIES_AT + index * ENTRY_BYTES).filter_map(|at| {
        let size = u64::from(le32(&vtoc, at + SECTORS_AT)) * SECTOR_SIZE;
        let start = slice.start.saturating_add(u64::from(le32(&vtoc, at + START_AT)) * SECTOR_SIZE);
        let tag = le16(&vtoc, at + TAG_AT);
        (size != 0).then(|| of_vtoc(view, slice, (start, size), tag, WHOLE_DISK))
    });
    Ok(Nested { partitions: partitions.collect(), flaw: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::PartitionTable;
    use crate::ptable::table::Kind;
    use crate::ptable::testdisk::Disk;

    const SLICE: usize = 100;

    /// A slice with a VTOC of these entries: tag, start, sectors.
    fn disk(type_id: u8, count: u16, entries: &[(u16, u32, u32)]) -> Disk {
        let at = (SLICE + 1) * 512;
        let vtoc = Disk::new(1 << 20)
            .mbr(0, &[(2, type_id, u32::try_from(SLICE).unwrap(), 1000)])
            .put(at + SANITY_AT, &SANITY.to_le_bytes())
            .put(at + VERSION_AT, &[1])
            .put(at + COUNT_AT, &count.to_le_bytes());
        entries.iter().enumerate().fold(vtoc, |disk, (index, (tag, start, sectors))| {
            let at = at + ENTRIES_AT + index * ENTRY_BYTES;
            disk.put(at, &tag.to_le_bytes())
                .put(at + START_AT, &start.to_le_bytes())
                .put(at + SECTORS_AT, &sectors.to_le_bytes())
        })
    }

    fn found(table: &PartitionTable) -> Vec<(u32, u64, Kind)> {
        table.partitions.iter().map(|p| (p.number, p.start / 512, p.kind)).collect()
    }

    #[test]
    fn slices_count_from_their_container_and_the_whole_one_does_not_count() {
        for type_id in [0x82, 0xbf] {
            let table = disk(type_id, 16, &[(2, 10, 100), (0, 0, 0), (5, 0, 1000), (4, 110, 200)]).table();
            let expected =
                [(2, 100, Kind::Container), (5, 110, Kind::Nested), (6, 100, Kind::Meta), (7, 210, Kind::Nested)];
            assert_eq!(found(&table), expected);
            assert_eq!((table.count(), table.is_damaged()), (2, false));
        }
    }

    #[test]
    fn a_table_of_eight_entries_has_no_more() {
        let entries = [(2, 10, 100); 12];
        assert_eq!(disk(0xbf, 8, &entries).table().count(), 8);
        assert_eq!(disk(0xbf, 9, &entries).table().count(), 12);
    }

    #[test]
    fn swap_and_a_table_of_another_version_are_one_partition() {
        let swap = disk(0x82, 16, &[(2, 10, 100), (4, 110, 200)]).put((SLICE + 1) * 512 + SANITY_AT, &[0; 4]).table();
        assert_eq!((found(&swap), swap.is_damaged()), (vec![(2, 100, Kind::Primary)], false));
        let other = disk(0xbf, 16, &[(2, 10, 100), (4, 110, 200)]).put((SLICE + 1) * 512 + VERSION_AT, &[2]).table();
        assert_eq!((found(&other), other.damage[0].code()), (vec![(2, 100, Kind::Primary)], "nested_label"));
        assert_eq!(disk(0xbf, 16, &[(5, 0, 1000)]).table().count(), 1);
    }

    #[test]
    fn an_entry_outside_the_slice_and_the_image_takes_a_number_and_does_not_count() {
        let table = disk(0xbf, 16, &[(2, 5000, 100), (2, 10, 100), (2, 110, 100)]).table();
        assert_eq!((table.count(), table.partitions[1].number, table.is_damaged()), (2, 6, false));
    }
}
