use super::*;
use crate::ptable::error::Error;
use crate::ptable::kind::disklabel::tests::{label, seal, swapped};
use crate::ptable::probe::Miss;
use crate::ptable::testdisk::{Disk, Reader};

const DISK: usize = 1 << 20;
const SLICE: u32 = 100;
const SLICE_SECTORS: u32 = 1000;
const FREEBSD: u8 = 0xa5;
const OPENBSD: u8 = 0xa6;
const NETBSD: u8 = 0xa9;

fn found(table: &PartitionTable) -> Vec<(u32, u64, Kind)> {
    table.partitions.iter().map(|p| (p.number, p.start / 512, p.kind)).collect()
}

fn rejection(disk: &Disk) -> Rejection {
    match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
        Err(Miss::Rejected(rejection)) => rejection,
        other => panic!("{other:?}"),
    }
}

/// Two partitions, and the raw one without a type.
fn two() -> Vec<u8> {
    label(512, 2048, &[(16, 1000, 7), (1016, 1032, 1), (0, 2048, 0)])
}

/// A slice with this label in its sector 1.
fn slice(type_id: u8, label: &[u8]) -> Disk {
    Disk::new(DISK).mbr(0, &[(2, type_id, SLICE, SLICE_SECTORS)]).put((SLICE as usize + 1) * 512, label)
}

#[test]
fn a_bare_label_is_found_in_each_place_and_byte_order() {
    for place in [0, 64, 128, 512] {
        for label in [two(), swapped(two())] {
            let table = Disk::new(DISK).put(place, &label).table();
            let numbers: Vec<_> = table.partitions.iter().filter(|p| p.kind.counts()).map(|p| p.number).collect();
            assert_eq!((table.label, table.sector_size, numbers), (Label::Bsd, 512, vec![1, 2]), "{place}");
            assert!(!table.is_damaged(), "{place}");
        }
    }
}

#[test]
fn entries_with_a_type_are_numbered_in_turn_and_the_raw_one_has_no_number() {
    let label = label(512, 2048, &[(0, 0, 0), (16, 1000, 7), (0, 2048, 0), (50, 50, 0), (1016, 1032, 9)]);
    let table = Disk::new(DISK).put(512, &label).table();
    let expected = [(1, 16, Kind::Primary), (0, 0, Kind::Meta), (0, 50, Kind::Meta), (2, 1016, Kind::Primary)];
    assert_eq!(found(&table), expected);
    assert_eq!(table.partitions[0].type_id.to_string(), "0x07");
}

#[test]
fn a_raw_entry_with_a_type_counts_only_if_there_is_no_other() {
    let with_others = label(512, 2048, &[(16, 1000, 7), (0, 0, 0), (0, 2048, 7)]);
    let table = Disk::new(DISK).put(512, &with_others).table();
    assert_eq!(found(&table), [(1, 16, Kind::Primary), (2, 0, Kind::Meta)]);
    let alone = label(512, 2048, &[(0, 0, 0), (0, 0, 0), (0, 2048, 7)]);
    assert_eq!(found(&Disk::new(DISK).put(512, &alone).table()), [(1, 0, Kind::Primary)]);
}

#[test]
fn larger_sectors_are_believed_where_the_label_says_so() {
    for size in [1024, 2048, 4096] {
        let label = label(size, 100, &[(2, 10, 7), (12, 20, 7)]);
        let table = Disk::new(DISK).put(size as usize, &label).table();
        assert_eq!((table.sector_size, table.partitions[1].start), (size, 12 * u64::from(size)));
        assert_eq!(Disk::new(DISK).put(64, &swapped(label)).table().sector_size, size);
    }
    assert!(matches!(rejection(&Disk::new(DISK).put(2048, &two())), Rejection::Field { field: "d_secsize", .. }));
}

#[test]
fn a_bare_label_needs_its_checksum_or_entries_that_make_sense() {
    let broken = |entries: &[(u32, u32, u8)]| {
        let mut label = label(512, 2048, entries);
        label[136] ^= 0x55;
        Disk::new(DISK).put(512, &label)
    };
    let table = broken(&[(16, 1000, 7), (1016, 1032, 1), (0, 2048, 4)]).table();
    assert_eq!((table.count(), table.damage[0].code()), (2, "disklabel"));
    for entries in [[(16, 1000, 7), (1015, 1000, 1)], [(16, 1000, 7), (1016, 1033, 1)]] {
        assert!(matches!(rejection(&broken(&entries)), Rejection::Checksum { .. }));
        assert!(broken(&entries).read().unwrap().is_none());
    }
}

#[test]
fn a_bare_label_needs_both_magics_and_an_entry_in_use() {
    let disk = Disk::new(DISK);
    assert_eq!(rejection(&disk), Rejection::NoMagic);
    assert!(matches!(rejection(&disk.clone().put(512, &two()[..132])), Rejection::Field { field: "d_magic2", .. }));
    assert_eq!(rejection(&disk.clone().put(512, &label(512, 2048, &[]))), Rejection::Empty);
    assert_eq!(rejection(&disk.put(512, &label(512, 2048, &[(0, 0, 0), (0, 0, 0), (0, 2048, 0)]))), Rejection::Empty);
}

#[test]
fn a_bare_label_of_an_image_cut_short_counts_as_it_stands() {
    let table = Disk::new(20 * 1024).put(512, &two()).table();
    assert_eq!((table.count(), table.damage[0].code()), (2, "image_too_short"));
}

#[test]
fn freebsd_counts_from_its_slice_if_entry_c_starts_at_0() {
    let relative = label(512, SLICE_SECTORS, &[(16, 100, 7), (116, 100, 1), (0, SLICE_SECTORS, 0)]);
    let expected = [(2, 100, Kind::Container), (5, 116, Kind::Nested), (6, 216, Kind::Nested)];
    assert_eq!(found(&slice(FREEBSD, &relative).table()), expected);
    // The others never do.
    assert_eq!(found(&slice(NETBSD, &relative).table()), [(2, 100, Kind::Container), (5, 116, Kind::Nested)]);
    let absolute = label(512, 2048, &[(116, 100, 7), (216, 100, 1), (SLICE, SLICE_SECTORS, 0)]);
    for type_id in [FREEBSD, OPENBSD, NETBSD] {
        let table = slice(type_id, &absolute).table();
        assert_eq!((found(&table), table.is_damaged()), (expected.to_vec(), false));
    }
}

#[test]
fn entries_for_the_whole_slice_and_outside_of_it_take_no_number() {
    let entries = [(SLICE, SLICE_SECTORS, 7), (SLICE - 1, 10, 7), (1000, 101, 7), (0, 0, 0), (1000, 100, 7)];
    let table = slice(OPENBSD, &label(512, 2048, &entries)).table();
    assert_eq!(found(&table), [(2, 100, Kind::Container), (5, 1000, Kind::Nested)]);
}

#[test]
fn a_slice_that_its_label_does_not_divide_is_one_partition() {
    for entries in [&[(SLICE, SLICE_SECTORS, 7)][..], &[(5000, 10, 7), (6000, 10, 7)], &[]] {
        let table = slice(NETBSD, &label(512, 2048, entries)).table();
        assert_eq!((found(&table), table.is_damaged()), (vec![(2, 100, Kind::Primary)], false));
    }
    assert_eq!(slice(NETBSD, b"UFS, perhaps").table().count(), 1);
}

#[test]
fn an_entry_without_sectors_takes_a_number() {
    let table = slice(NETBSD, &label(512, 2048, &[(110, 0, 7), (110, 10, 7)])).table();
    assert_eq!(found(&table), [(2, 100, Kind::Container), (6, 110, Kind::Nested)]);
}

#[test]
fn nested_partitions_are_numbered_behind_the_logical_ones() {
    let disk = slice(NETBSD, &label(512, 2048, &[(110, 10, 7), (120, 10, 7)]))
        .mbr(0, &[(1, 0x05, 1200, 200), (3, 0xa6, 1500, 100)])
        .mbr(1200 * 512, &[(1, 0x83, 10, 50)])
        .put(1501 * 512, &label(512, 2048, &[(1510, 10, 7)]));
    let numbers: Vec<_> = found(&disk.table()).into_iter().map(|(number, start, _)| (number, start)).collect();
    assert_eq!(numbers, [(1, 1200), (2, 100), (3, 1500), (5, 1210), (6, 110), (7, 120), (8, 1510)]);
    assert_eq!(disk.table().count(), 4);
}

#[test]
fn a_logical_partition_is_not_looked_into() {
    let disk = Disk::new(DISK)
        .mbr(0, &[(1, 0x05, 100, 1000)])
        .mbr(100 * 512, &[(1, NETBSD, 10, 500)])
        .put(111 * 512, &label(512, 2048, &[(120, 10, 7), (130, 10, 7)]));
    assert_eq!(disk.table().count(), 1);
}

#[test]
fn linux_reads_sixteen_entries_in_a_slice() {
    let entries: Vec<_> = (0..20).map(|i| (110 + 10 * i, 10, 7)).collect();
    assert_eq!(slice(OPENBSD, &label(512, 2048, &entries)).table().count(), 16);
}

#[test]
fn a_nested_label_that_is_wrong_is_believed_if_its_entries_make_sense() {
    let entries: &[_] = &[(110, 10, 7), (120, 10, 7)];
    let mut wrong = label(512, 2048, entries);
    wrong[136] ^= 1;
    let table = slice(NETBSD, &wrong).table();
    assert_eq!((table.count(), table.damage[0].code()), (2, "nested_label"));
    wrong[132] = 0;
    assert_eq!(slice(NETBSD, &wrong).table().count(), 2);
    for entries in [[(110, 10, 7), (5000, 10, 7)], [(110, 10, 7), (119, 10, 7)]] {
        let mut wrong = label(512, 2048, &entries);
        wrong[136] ^= 1;
        let table = slice(NETBSD, &wrong).table();
        assert_eq!((found(&table), table.damage[0].code()), (vec![(2, 100, Kind::Primary)], "nested_label"));
    }
}

#[test]
fn a_dedicated_disk_has_the_sectors_that_its_label_says() {
    let mut dedicated = label(512, 100_000, &[(16, 60_000, 7), (60_016, 39_984, 7), (0, 100_000, 0)]);
    let disk = |label: &[u8]| Disk::new(100_000 * 512).mbr(0, &[(4, FREEBSD, 0, 50_000)]).put(512, label).table();
    let expected = [(4, 0, Kind::Container), (5, 16, Kind::Nested), (6, 60_016, Kind::Nested)];
    assert_eq!(found(&disk(&dedicated)), expected);
    dedicated[136] ^= 1;
    assert_eq!(disk(&dedicated).count(), 1);
    seal(&mut dedicated);
    let slice = Disk::new(100_000 * 512).mbr(0, &[(4, FREEBSD, 0, 50_001)]).put(512, &dedicated).table();
    assert_eq!(slice.count(), 1);
}

#[test]
fn freebsd_has_its_label_in_sector_1_of_larger_sectors() {
    let label = label(4096, 200, &[(2, 10, 7), (12, 20, 7), (0, 200, 0)]);
    let disk = Disk::new(4 << 20).mbr(0, &[(1, FREEBSD, 8, 1600)]).put(8 * 512 + 4096, &label);
    let table = disk.table();
    assert_eq!((table.count(), table.partitions[2].start), (2, 8 * 512 + 12 * 4096));
}

#[test]
fn labels_are_read_where_the_count_is_not_yet_enough_and_for_the_whole_table() {
    let disk = slice(FREEBSD, &label(512, 2048, &[(110, 10, 7), (120, 10, 7)])).mbr(0, &[(1, 0x83, 1200, 100)]);
    let whole = disk.table();
    assert_eq!((whole.count(), whole.complete), (3, true));
    let reader = Reader::new(disk.clone(), 101 * 512..2048 * 512);
    let two = reader.read(Some(2)).unwrap().unwrap();
    assert_eq!((two.count(), two.complete, two.is_damaged()), (2, false, false));
    assert_eq!(Reader::new(disk, 0..0).read(Some(3)).unwrap().unwrap().count(), 3);
}

#[test]
fn an_unreadable_label_is_an_error_only_if_the_verdict_rests_on_it() {
    let label = label(512, 2048, &[(110, 10, 7), (120, 10, 7)]);
    let bad = 101 * 512..102 * 512;
    let error = Reader::new(slice(FREEBSD, &label), bad.clone()).read(None).unwrap_err();
    assert!(matches!(&error, Error::Io { partial: Some(table), .. } if table.count() == 1), "{error:?}");
    let two = slice(FREEBSD, &label).mbr(0, &[(1, 0x83, 1200, 100)]);
    let table = Reader::new(two, bad).read(None).unwrap().unwrap();
    assert_eq!((table.count(), table.damage[0].code()), (2, "nested_unreadable"));
}
