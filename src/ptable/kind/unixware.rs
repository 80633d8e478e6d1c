//! The volume table of contents of `UnixWare`, in a slice of an MBR.
//!
//! The rules are those of `parse_unixware` in Linux's `block/partitions/msdos.c`: both magic numbers, and entries in use if
//! they have a label, counted from the start of the disk. The first, which is the whole slice, is left out.

use super::nested::{Nested, of_vtoc};
use crate::ptable::fields::{le16, le32};
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::Partition;
use crate::ptable::view::View;

const SECTOR_SIZE: u64 = 512;

// `struct unixware_disklabel` of Linux's block/partitions/msdos.c, in sector 29 of the slice.
const LABEL_AT: u64 = 29 * SECTOR_SIZE;
const MAGIC_AT: usize = 4; // 4 bytes
const MAGIC_2_AT: usize = 156; // 4, the first of `struct unixware_vtoc`
const ENTRIES_AT: usize = 216;
const ENTRY_BYTES: usize = 12;
const ENTRIES: usize = 16;
// `struct unixware_slice`.
const TAG_AT: usize = 0; // 2
const START_AT: usize = 4; // 4
const SECTORS_AT: usize = 8; // 4
const LABEL_BYTES: usize = ENTRIES_AT + ENTRIES * ENTRY_BYTES;

const MAGIC: u32 = 0xca5e_600d;
const MAGIC_2: u32 = 0x600d_deee;
/// `UNIXWARE_FS_UNUSED`.
const UNUSED: u16 = 0;
/// `UNIXWARE_TAG_ENTIRE_DISK` of `libblkid`'s partitions/unixware.c.
const WHOLE_DISK: u16 = 5;

/// Reads the VTOC in a slice.
pub(super) fn nested(view: &View<'_>, slice: &Partition) -> Probe<Nested> {
    let Some(label) = view.read(slice.start.saturating_add(LABEL_AT), LABEL_BYTES)? else {
        return Err(Rejection::TooShort.into());
    };
    if le32(&label, MAGIC_AT) != MAGIC {
        return Err(Rejection::NoMagic.into());
    }
    let magic_2 = le32(&label, MAGIC_2_AT);
    if magic_2 != MAGIC_2 {
        return Err(Rejection::Field { field: "v_magic", value: u64::from(magic_2) }.into());
    }
    let partitions = (1..ENTRIES).map(|index| ENTRIES_AT + index * ENTRY_BYTES).filter_map(|at| {
        let start = u64::from(le32(&label, at + START_AT)) * SECTOR_SIZE;
        let size = u64::from(le32(&label, at + SECTORS_AT)) * SECTOR_SIZE;
        let tag = le16(&label, at + TAG_AT);
        (tag != UNUSED).then(|| of_vtoc(view, slice, (start, size), tag, WHOLE_DISK))
    });
    Ok(Nested { partitions: partitions.collect(), flaw: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::table::Kind;
    use crate::ptable::testdisk::Disk;

    const SLICE: usize = 100;

    /// A slice with a VTOC of these entries: tag, start, sectors.
    fn disk(entries: &[(u16, u32, u32)]) -> Disk {
        let at = (SLICE + 29) * 512;
        let label = Disk::new(1 << 20)
            .mbr(0, &[(1, 0x63, u32::try_from(SLICE).unwrap(), 1000)])
            .put(at + MAGIC_AT, &MAGIC.to_le_bytes())
            .put(at + MAGIC_2_AT, &MAGIC_2.to_le_bytes());
        entries.iter().enumerate().fold(label, |disk, (index, (tag, start, sectors))| {
            let at = at + ENTRIES_AT + index * ENTRY_BYTES;
            disk.put(at, &tag.to_le_bytes())
                .put(at + START_AT, &start.to_le_bytes())
                .put(at + SECTORS_AT, &sectors.to_le_bytes())
        })
    }

    #[test]
    fn entries_count_from_the_start_of_the_disk_and_the_first_is_left_out() {
        let table =
            disk(&[(5, 100, 1000), (2, 200, 100), (0, 300, 50), (3, 0, 0), (5, 100, 1000), (4, 300, 50)]).table();
        let found: Vec<_> = table.partitions.iter().map(|p| (p.number, p.start / 512, p.kind)).collect();
        let expected =
            [(1, 100, Kind::Container), (5, 200, Kind::Nested), (7, 100, Kind::Meta), (8, 300, Kind::Nested)];
        assert_eq!(found, expected);
        assert_eq!((table.count(), table.is_damaged()), (2, false));
    }

    #[test]
    fn without_either_magic_the_slice_is_one_partition() {
        let good = disk(&[(5, 100, 1000), (2, 200, 100), (4, 300, 50)]);
        let none = good.clone().put((SLICE + 29) * 512 + MAGIC_AT, &[0]).table();
        assert_eq!((none.count(), none.is_damaged()), (1, false));
        let half = good.put((SLICE + 29) * 512 + MAGIC_2_AT, &[0]).table();
        assert_eq!((half.count(), half.damage[0].code()), (1, "nested_label"));
    }
}
