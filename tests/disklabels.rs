//! Disklabels of BSD as `parted` and `fdisk` write them, and what `partx` reads in them.

mod common;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use common::run;
use imgsieve::ptable::{Kind, Label, PartitionTable, read_table};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;

/// A sparse image in a folder of its own.
struct Image {
    path: PathBuf,
    _dir: TempDir,
}

impl Image {
    fn new(size: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("disk.img");
        File::create(&path).unwrap().set_len(size).unwrap();
        Self { path, _dir: dir }
    }

    /// Runs a tool on it: `args`, its path, `more`.
    fn run(&self, package: &str, tool: &str, args: &[&str], more: &[&str], input: &str) -> String {
        run(package, tool, &[args, &[self.path.to_str().unwrap()], more].concat(), input)
    }

    fn table(&self) -> PartitionTable {
        let file = File::open(&self.path).unwrap();
        let size = file.metadata().unwrap().len();
        read_table(&file, size, None).unwrap().expect("a table")
    }

    fn write(&self, offset: u64, bytes: &[u8]) {
        OpenOptions::new().write(true).open(&self.path).unwrap().write_all_at(bytes, offset).unwrap();
    }

    /// What `partx` says: number, first sector, sectors.
    fn by_partx(&self) -> Vec<(u32, u64, u64)> {
        let args = ["--raw", "--noheadings", "--output", "NR,START,SECTORS"];
        let text = self.run("util-linux", "partx", &args, &[], "");
        let numbers =
            |line: &str| line.split_whitespace().map(|field| field.parse::<u64>().unwrap()).collect::<Vec<_>>();
        text.lines().map(numbers).map(|n| (u32::try_from(n[0]).unwrap(), n[1], n[2])).collect()
    }
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
    let file = File::open(&image.path).unwrap();
    assert!(read_table(&file, 64 * MIB, None).unwrap().is_none(), "a label without partitions is no table");
    let parts = ["mkpart", "ext2", "1MiB", "20MiB", "mkpart", "linux-swap", "20MiB", "40MiB"];
    image.run("parted", "parted", &["--script"], &parts, "");
    let table = image.table();
    assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Bsd, 2, false));
    assert_eq!(extents(&table), image.by_partx());
}

#[test]
fn a_label_in_a_slice_is_what_partx_says() {
    for type_id in ["a5", "a6", "a9"] {
        let image = slice(type_id);
        let table = image.table();
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Dos, 2, false), "{type_id}");
        assert_eq!(extents(&table), image.by_partx(), "{type_id}");
        assert_eq!(table.partitions[0].kind, Kind::Container);
    }
}

#[test]
fn a_slice_whose_label_is_lost_is_one_partition() {
    let image = slice("a5");
    image.write(2049 * SECTOR, &[0; 512]);
    assert_eq!(extents(&image.table()), [(1, 2048, 61440)]);
    assert_eq!(extents(&image.table()), image.by_partx());
}
