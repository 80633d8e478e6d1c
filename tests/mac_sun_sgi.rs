//! Apple, Sun and SGI labels that real tools write, and what libblkid and parted read in them.

mod common;

use std::fs::File;
use std::path::PathBuf;

use common::run;
use imgsieve::ptable::{Kind, Label, PartitionTable, read_table};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// Number, first byte, bytes.
type Extent = (u32, u64, u64);

/// A sparse image in a folder of its own.
struct Image {
    path: PathBuf,
    _dir: TempDir,
}

impl Image {
    fn sfdisk(size: u64, script: &str) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("disk.img");
        File::create(&path).unwrap().set_len(size).unwrap();
        let image = Self { path, _dir: dir };
        if !script.is_empty() {
            run("fdisk", "sfdisk", &["--quiet", image.name()], script);
        }
        image
    }

    fn parted(size: u64, commands: &[&str]) -> Self {
        let image = Self::sfdisk(size, "");
        run("parted", "parted", &[&["--script", image.name()], commands].concat(), "");
        image
    }

    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn table(&self) -> PartitionTable {
        let file = File::open(&self.path).unwrap();
        let size = file.metadata().unwrap().len();
        read_table(&file, size, None).unwrap_or_else(|error| panic!("{error}")).expect("a table")
    }

    /// What libblkid says, by way of `partx`.
    fn by_libblkid(&self) -> Vec<Extent> {
        let columns = ["--bytes", "--raw", "--noheadings", "--output", "NR,START,SECTORS", self.name()];
        let text = run("util-linux", "partx", &columns, "");
        let number = |field: &str| field.parse::<u64>().unwrap();
        text.lines()
            .map(|line| line.split_whitespace().map(number).collect::<Vec<_>>())
            .map(|fields| (u32::try_from(fields[0]).unwrap(), fields[1] * 512, fields[2] * 512))
            .collect()
    }

    /// What parted says.
    fn by_parted(&self) -> Vec<Extent> {
        let text = run("parted", "parted", &["--script", "--machine", self.name(), "unit", "B", "print"], "");
        let bytes = |field: &str| field.trim_end_matches('B').parse::<u64>().unwrap();
        let mut extents: Vec<_> = text
            .lines()
            .skip(2)
            .map(|line| line.split(':').collect::<Vec<_>>())
            .map(|fields| (fields[0].parse().unwrap(), bytes(fields[1]), bytes(fields[3])))
            .collect();
        extents.sort_unstable();
        extents
    }

    /// Every partition that counts is one of libblkid's and of parted's; what theirs have besides is of no account.
    fn assert_agreed(&self) {
        let table = self.table();
        assert!(!table.is_damaged(), "{:?}", table.damage);
        let ours = |counts: bool| -> Vec<Extent> {
            let chosen = table.partitions.iter().filter(|p| !counts || p.kind.counts());
            chosen.map(|p| (p.number, p.start, p.size)).collect()
        };
        for theirs in [self.by_libblkid(), self.by_parted()] {
            assert!(ours(true).iter().all(|extent| theirs.contains(extent)), "{:?} {theirs:?}", ours(true));
            assert!(theirs.iter().all(|extent| ours(false).contains(extent)), "{:?} {theirs:?}", ours(false));
        }
    }
}

const MAC: &[&str] = &["mklabel", "mac", "mkpart", "hfs", "hfs", "1MiB", "20MiB", "mkpart", "root", "20MiB", "40MiB"];
const SUN: &[&str] = &["mklabel", "sun", "mkpart", "ext2", "10MiB", "20MiB", "mkpart", "linux-swap", "20MiB", "40MiB"];
const SGI: &[&str] =
    &["mklabel", "dvh", "mkpart", "primary", "xfs", "10MiB", "20MiB", "mkpart", "primary", "xfs", "20MiB", "40MiB"];

#[test]
fn an_apple_map_is_what_parted_and_libblkid_say() {
    let image = Image::parted(64 * MIB, MAC);
    image.assert_agreed();
    let table = image.table();
    assert_eq!((table.label, table.sector_size, table.count()), (Label::Mac, 512, 2));
    let types: Vec<_> = table.partitions.iter().map(|p| (p.number, p.kind, p.type_id.to_string())).collect();
    assert_eq!(types[0], (1, Kind::Meta, "Apple_partition_map".to_owned()));
    assert_eq!(types[3], (4, Kind::Meta, "Apple_Free".to_owned()));
}

#[test]
fn a_sun_label_is_what_parted_and_libblkid_say() {
    let image = Image::parted(64 * MIB, SUN);
    image.assert_agreed();
    assert_eq!((image.table().label, image.table().count()), (Label::Sun, 2));
    // Its geometry has cylinders that are not a whole number of MiB.
    let image = Image::sfdisk(64 * MIB, "label: sun\nstart=16065,size=32130\nstart=48195,size=16065\n");
    assert_eq!((image.table().label, image.table().count()), (Label::Sun, 2));
    let ours: Vec<_> = image.table().partitions.iter().map(|p| (p.number, p.start, p.size)).collect();
    assert_eq!(ours[..2], image.by_libblkid());
}

#[test]
fn an_sgi_header_is_what_parted_and_libblkid_say() {
    let image = Image::parted(64 * MIB, SGI);
    image.assert_agreed();
    assert_eq!((image.table().label, image.table().count()), (Label::Sgi, 2));
    let image = Image::sfdisk(64 * MIB, "label: sgi\nstart=16065,size=32130\nstart=48195,size=16065\n");
    assert_eq!((image.table().label, image.table().count()), (Label::Sgi, 2));
}

#[test]
fn an_empty_label_has_no_partitions() {
    for label in ["mac", "sun", "dvh"] {
        assert_eq!(Image::parted(64 * MIB, &["mklabel", label]).table().count(), 0, "{label}");
    }
}

#[test]
fn an_image_cut_short_keeps_its_partitions() {
    for commands in [MAC, SUN, SGI] {
        let image = Image::parted(64 * MIB, commands);
        File::options().write(true).open(&image.path).unwrap().set_len(15 * MIB).unwrap();
        let table = image.table();
        assert_eq!((table.count(), table.damage[0].code()), (2, "image_too_short"), "{}", commands[1]);
    }
}
