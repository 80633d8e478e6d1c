//! The disklabel of OSF/1, Digital UNIX and Tru64, and of BSD on Alpha: in sector 0, behind the start of the boot block.
//!
//! The rules are those of Linux's `block/partitions/osf.c`: both magic numbers, at most 18 entries, each in use if it has
//! sectors, whatever its type, and numbered by its place. Beyond the kernel, a label whose checksum does not hold is
//! believed only if its entries fit on the disk that it describes. It is no damage then: `parted` and others write the
//! checksum of an empty label and never change it. Entries overlap by custom: the driver's defaults offer several ways to
//! divide one disk.

use super::disklabel::{BYTES, ByteOrder, Disklabel, Entry, FS_UNUSED};
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, PartitionTable, count};
use crate::ptable::view::View;

/// Where the label is.
const LABEL_AT: u64 = 64;
/// `MAX_OSF_PARTITIONS`.
const MAX_ENTRIES: usize = 18;
/// The kernel counts in these, whatever the label says of its sectors.
const SECTOR_SIZE: u32 = 512;

/// Looks for such a label.
///
/// It is called `bsd`, as `libblkid` and `parted` call it, for nothing in it tells one system from another; but by Linux's
/// name if no entry has a type, so that Linux alone sees partitions.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(bytes) = view.read(LABEL_AT, BYTES)? else {
        return Err(Rejection::TooShort.into());
    };
    let label = Disklabel::parse(&bytes, ByteOrder::Little)?;
    if label.count > MAX_ENTRIES {
        return Err(Rejection::Field { field: "d_npartitions", value: label.count as u64 }.into());
    }
    let used: Vec<Entry> = label.in_count(MAX_ENTRIES).iter().filter(|e| e.sectors != 0).copied().collect();
    let fits = used.iter().all(|e| e.end() <= label.unit_sectors);
    if let Some(flaw) = label.flaw.clone().filter(|flaw| !matches!(flaw, Rejection::Checksum { .. }) || !fits) {
        return Err(flaw.into());
    }
    let partitions: Vec<_> = (1..)
        .zip(label.in_count(MAX_ENTRIES).iter().enumerate())
        .filter(|(_, (_, entry))| entry.sectors != 0)
        .map(|(number, (index, entry))| {
            let kind = if label.is_raw(index, &used) { Kind::Meta } else { Kind::Primary };
            entry.partition(number, kind, 0, SECTOR_SIZE)
        })
        .collect();
    if count(&partitions) == 0 {
        return Err(Rejection::Empty.into());
    }
    let is_typed = used.iter().any(|e| e.fs_type != FS_UNUSED);
    let name = if is_typed { Label::Bsd } else { Label::Osf };
    let mut table = PartitionTable::new(name, SECTOR_SIZE, partitions);
    table.note_length(0, view.size());
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::kind::disklabel::tests::{label, seal};
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::Disk;

    const DISK: usize = 1 << 20;

    fn numbers(table: &PartitionTable) -> Vec<(u32, u64, Kind)> {
        table.partitions.iter().map(|p| (p.number, p.start / 512, p.kind)).collect()
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_are_numbered_by_their_place_and_need_no_type() {
        let label = label(512, 2048, &[(0, 100, 7), (0, 0, 0), (0, 2048, 0), (100, 200, 0), (300, 1748, 20)]);
        let table = Disk::new(DISK).put(64, &label).table();
        let expected = [(1, 0, Kind::Primary), (3, 0, Kind::Meta), (4, 100, Kind::Primary), (5, 300, Kind::Primary)];
        assert_eq!(numbers(&table), expected);
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Bsd, 3, false));
    }

    #[test]
    fn a_whole_disk_entry_alone_is_the_partition() {
        let table = Disk::new(DISK).put(64, &label(512, 2048, &[(0, 0, 0), (0, 0, 0), (0, 2048, 7)])).table();
        assert_eq!(numbers(&table), [(3, 0, Kind::Primary)]);
    }

    #[test]
    fn a_label_without_its_checksum_is_believed_if_its_entries_fit() {
        let good = Disk::new(DISK).put(64, &label(512, 2048, &[(0, 100, 7), (100, 1000, 7)]));
        let table = good.clone().put(64 + 136, &[9, 9]).table();
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Bsd, 2, false));
        let larger = good.put(64 + 60, &1000_u32.to_le_bytes());
        assert!(matches!(rejection(&larger), Rejection::Checksum { .. }));
    }

    #[test]
    fn a_label_of_which_only_linux_sees_entries_has_its_name() {
        let table = Disk::new(DISK).put(64, &label(512, 2048, &[(0, 100, 0), (100, 1000, 0)])).table();
        assert_eq!((table.label, table.count()), (Label::Osf, 2));
    }

    #[test]
    fn both_magics_a_count_and_an_entry_are_needed() {
        let good = Disk::new(DISK).put(64, &label(512, 2048, &[(0, 100, 7)]));
        assert_eq!(rejection(&good.clone().put(64, &[0])), Rejection::NoMagic);
        assert!(matches!(rejection(&good.put(64 + 132, &[0])), Rejection::Field { field: "d_magic2", .. }));
        assert_eq!(rejection(&Disk::new(DISK).put(64, &label(512, 2048, &[]))), Rejection::Empty);
        let many = label(512, 2048, &[(0, 0, 0); 19]);
        assert!(matches!(rejection(&Disk::new(DISK).put(64, &many)), Rejection::Field { value: 19, .. }));
        assert_eq!(rejection(&Disk::new(100)), Rejection::TooShort);
    }

    #[test]
    fn an_mbr_in_front_of_it_wins_if_it_has_partitions() {
        let mut short = label(512, 2048, &[(0, 100, 7), (100, 100, 7)]);
        short.truncate(148 + 32);
        seal(&mut short);
        let disk = Disk::new(DISK).put(64, &short);
        assert_eq!(disk.clone().mbr(0, &[]).table().label, Label::Bsd);
        assert_eq!(disk.mbr(0, &[(1, 0x83, 100, 100)]).table().label, Label::Dos);
    }

    #[test]
    fn an_image_cut_short_keeps_its_table() {
        let table = Disk::new(DISK).put(64, &label(512, 9000, &[(0, 100, 7), (100, 8900, 7)])).table();
        assert_eq!((table.count(), table.damage[0].code()), (2, "image_too_short"));
    }
}
