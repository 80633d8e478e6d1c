//! Disklabels of BSD as `parted` and `fdisk` write them, and what `partx` reads in them.

#![cfg(feature = "oracles")]

mod common;

use common::image::Image;
use imgsieve::ptable::{Kind, Label, PartitionTable};

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// What `partx` says: number, first sector, sectors.
fn by_partx(image: &Image) -> Vec<(u32, u64, u64)> {
    image.by_partx().into_iter().map(|(number, start, size)| (number, start / SECTOR, size / SECTOR)).collect()
}

/// Number, first sector and sectors of the partitions, the slices around nested ones too.
fn extents(table: &PartitionTable) -> Vec<(u32, u64, u64)> {
    let listed = table.partitions.iter().filter(|p| p.kind.counts() || p.kind == Kind::Container);
    listed.map(|p| (p.number, p.start / SECTOR, p.size / SECTOR)).collect()
}

/// A slice of this type from 1 MiB to 31 MiB, with a label that has `a` and `b`.
fn slice(type_id: &str) -> Image {
    let image = Image::new(64 * MIB);
    image.run("fdisk", "sfdisk", &["--quiet"], &[], &format!("label: dos\n2048,61440,{type_id}\n"));
    let label = "b\ny\nn\na\n4096\n+10M\nn\nb\n30000\n+5M\nt\na\n7\nt\nb\n1\nw\n";
    image.run("fdisk", "fdisk", &[], &[], label);
    image
}

#[test]
fn a_bare_label_is_what_partx_says() {
    let image = Image::new(64 * MIB);
    image.run("parted", "parted", &["--script"], &["mklabel", "bsd"], "");
    assert!(image.read().is_none(), "a label without partitions is no table");
    let parts = ["mkpart", "ext2", "1MiB", "20MiB", "mkpart", "linux-swap", "20MiB", "40MiB"];
    image.run("parted", "parted", &["--script"], &parts, "");
    let table = image.table();
    assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Bsd, 2, false));
    assert_eq!(extents(&table), by_partx(&image));
}

#[test]
fn a_label_in_a_slice_is_what_partx_says() {
    for type_id in ["a5", "a6", "a9"] {
        let image = slice(type_id);
        let table = image.table();
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Dos, 2, false), "{type_id}");
        assert_eq!(extents(&table), by_partx(&image), "{type_id}");
        assert_eq!(table.partitions[0].kind, Kind::Container);
    }
}

#[test]
fn a_slice_whose_label_is_lost_is_one_partition() {
    let image = slice("a5");
    image.write(2049 * SECTOR, &[0; 512]);
    assert_eq!(extents(&image.table()), [(1, 2048, 61440)]);
    assert_eq!(extents(&image.table()), by_partx(&image));
}
