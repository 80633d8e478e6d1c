//! Partition tables that real tools write, and what other programs read in them.

#![cfg(feature = "oracles")]

mod common;

use std::os::unix::fs::FileExt;

use common::image::{Extent, Image};
use imgsieve::ptable::{GptCopy, Kind, Label, read_table, superblock};
use proptest::prelude::*;
use serde_json::Value;

const MIB: u64 = 1 << 20;

/// Everything in it but its type: number, first byte, bytes.
fn extents(image: &Image) -> Vec<Extent> {
    image.table().partitions.iter().map(|p| (p.number, p.start, p.size)).collect()
}

/// What `sfdisk --json` says.
fn by_sfdisk(image: &Image) -> Vec<(u32, u64, u64)> {
    let json: Value = serde_json::from_str(&image.run("fdisk", "sfdisk", &["--json"], &[], "")).unwrap();
    let table = &json["partitiontable"];
    let sector_size = table["sectorsize"].as_u64().unwrap_or(512);
    let prefix = image.path.to_str().unwrap();
    let number = |node: &Value| node.as_str().unwrap().strip_prefix(prefix).unwrap().parse().unwrap();
    let bytes = |value: &Value| value.as_u64().unwrap() * sector_size;
    let partitions = table["partitions"].as_array().unwrap();
    partitions.iter().map(|p| (number(&p["node"]), bytes(&p["start"]), bytes(&p["size"]))).collect()
}

const DOS_SCRIPT: &str = "label: dos\n2048,20480,83\n,20480,7\n,,5\n,8192,83\n,8192,82\n,8192,7\n";
const GPT_SCRIPT: &str = "label: gpt\nsize=4096,type=U,name=\"EFI system\"\nsize=8192,name=\"grüße\"\ntype=S\n";

#[test]
fn a_dos_table_is_what_sfdisk_and_parted_say() {
    let image = Image::sfdisk(64 * MIB, DOS_SCRIPT);
    let table = image.table();
    assert_eq!((table.label, table.sector_size, table.count()), (Label::Dos, 512, 5));
    assert!(!table.is_damaged() && table.complete, "{:?}", table.damage);
    assert_eq!(extents(&image), by_sfdisk(&image));
    assert_eq!(extents(&image), image.by_parted());
    let kinds: Vec<_> = table.partitions.iter().map(|p| (p.number, p.kind, p.type_id.to_string())).collect();
    assert_eq!(kinds[2], (3, Kind::Extended, "0x05".to_owned()));
    assert_eq!(kinds[4], (6, Kind::Logical, "0x82".to_owned()));
}

#[test]
fn a_deleted_logical_partition_leaves_a_chain_that_sfdisk_reads_too() {
    let image = Image::sfdisk(64 * MIB, DOS_SCRIPT);
    for number in ["5", "6", "1"] {
        image.run("fdisk", "sfdisk", &["--quiet", "--delete"], &[number], "");
        assert_eq!(extents(&image), by_sfdisk(&image), "after {number}");
    }
}

#[test]
fn logical_partitions_out_of_order_are_numbered_as_sfdisk_does() {
    let script = "label: dos\nunit: sectors\n1: start=2048,size=100000,type=5\n\
                  5: start=60000,size=1000,type=83\n6: start=10000,size=1000,type=83\n7: start=30000,size=1000,type=83\n";
    let image = Image::sfdisk(64 * MIB, script);
    assert_eq!(extents(&image), by_sfdisk(&image));
    assert_eq!(image.table().count(), 3);
}

#[test]
fn a_gpt_is_what_sfdisk_and_parted_say() {
    let image = Image::sfdisk(64 * MIB, GPT_SCRIPT);
    let table = image.table();
    assert_eq!((table.label, table.gpt_copy, table.count()), (Label::Gpt, Some(GptCopy::Primary), 3));
    assert!(!table.is_damaged(), "{:?}", table.damage);
    assert_eq!(extents(&image), by_sfdisk(&image));
    assert_eq!(extents(&image), image.by_parted());
    assert_eq!(table.partitions[0].type_id.to_string(), "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
    assert_eq!(table.partitions[1].name.as_deref(), Some("grüße"));
    assert_eq!(table.partitions[2].name, None);
}

#[test]
fn parteds_other_labels_are_what_parted_says() {
    let three: &[&str] = &[
        "mkpart", "primary", "1MiB", "10MiB", "mkpart", "primary", "10MiB", "20MiB", "mkpart", "primary", "30MiB",
        "40MiB",
    ];
    for (name, label) in [("amiga", Label::Amiga), ("atari", Label::Atari), ("pc98", Label::Pc98)] {
        let image = Image::new(64 * MIB);
        image.run("parted", "parted", &["--script"], &["mklabel", name], "");
        assert_eq!(image.read(), None, "{name} without partitions");
        image.run("parted", "parted", &["--script"], three, "");
        let table = image.table();
        assert_eq!((table.label, table.count(), table.is_damaged()), (label, 3, false), "{name}");
        assert_eq!(extents(&image), image.by_parted(), "{name}");
    }
}

#[test]
fn the_chain_of_an_atari_disk_is_what_parted_says() {
    let image = Image::new(64 * MIB);
    let chain: &[&str] = &[
        "mklabel", "atari", "mkpart", "primary", "fat16", "1MiB", "5MiB", "mkpart", "extended", "5MiB", "50MiB",
        "mkpart", "logical", "ext2", "6MiB", "12MiB", "mkpart", "logical", "ext2", "13MiB", "20MiB",
    ];
    image.run("parted", "parted", &["--script"], chain, "");
    let places = |of: Vec<Extent>| of.into_iter().map(|(_, start, size)| (start, size)).collect::<Vec<_>>();
    // parted shows the chain itself as one more partition.
    let by_parted: Vec<_> = places(image.by_parted()).into_iter().filter(|&(_, size)| size < 40 * MIB).collect();
    assert_eq!((places(extents(&image)), image.table().count()), (by_parted, 3));
}

#[test]
fn the_backup_gpt_is_used_when_the_primary_is_gone() {
    let image = Image::sfdisk(64 * MIB, GPT_SCRIPT);
    let before = extents(&image);
    image.write(512, &vec![0; 33 * 512]);
    assert_eq!(image.table().gpt_copy, Some(GptCopy::Backup));
    assert_eq!(extents(&image), before);
}

#[test]
fn a_gpt_cut_short_or_grown_keeps_its_partitions() {
    let image = Image::sfdisk(64 * MIB, GPT_SCRIPT);
    let before = extents(&image);
    image.file().set_len(10 * MIB).unwrap();
    assert_eq!(extents(&image), before);
    assert_eq!(image.table().damage[0].code(), "image_too_short");
    image.file().set_len(100 * MIB).unwrap();
    assert_eq!(extents(&image), before);
    assert!(!image.table().is_damaged());
}

#[test]
fn sgdisks_large_and_hybrid_tables_are_read() {
    let image = Image::new(64 * MIB);
    let args = ["--set-alignment=8", "--resize-table=256", "-n", "0:0:+1M", "-n", "200:0:+1M", "-n", "3:0:+1M"];
    image.run("gdisk", "sgdisk", &args, &[], "");
    assert_eq!(extents(&image), by_sfdisk(&image));
    assert_eq!(image.table().partitions.last().unwrap().number, 200);
    image.run("gdisk", "sgdisk", &["--hybrid", "1:3"], &[], "");
    assert_eq!((image.table().label, image.table().count()), (Label::Gpt, 3));
}

#[test]
fn every_file_system_on_a_whole_disk_is_named_and_is_no_table() {
    let tools: [(&str, &str, &[&str], &str); 9] = [
        ("dosfstools", "mkfs.vfat", &["-F", "12"], "vfat"),
        ("dosfstools", "mkfs.vfat", &["-F", "16"], "vfat"),
        ("dosfstools", "mkfs.vfat", &["-F", "32"], "vfat"),
        // The made-up MBR of one entry.
        ("dosfstools", "mkfs.vfat", &["--mbr=y"], "vfat"),
        ("exfatprogs", "mkfs.exfat", &[], "exfat"),
        ("ntfs-3g", "mkfs.ntfs", &["-F", "-Q", "-q"], "ntfs"),
        ("e2fsprogs", "mkfs.ext4", &["-q", "-F"], "ext4"),
        ("btrfs-progs", "mkfs.btrfs", &["-q", "-f"], "btrfs"),
        ("xfsprogs", "mkfs.xfs", &["-q", "-f"], "xfs"),
    ];
    for (package, tool, args, name) in tools {
        let size = if name == "vfat" { 40 } else { 320 } * MIB;
        let image = Image::new(size);
        image.run(package, tool, args, &[], "");
        assert!(image.read().is_none(), "{tool} {args:?}: {:?}", image.read());
        let content = superblock::identify(&image.file(), size).unwrap();
        assert_eq!(content.map(|content| content.name), Some(name), "{tool} {args:?}");
        assert_eq!(image.run("util-linux", "blkid", &["-p", "-o", "value", "-s", "TYPE"], &[], "").trim(), name);
    }
}

#[test]
fn a_file_system_made_over_a_partitioned_disk_does_not_hide_its_partitions() {
    let image = Image::sfdisk(64 * MIB, DOS_SCRIPT);
    let boot = Image::new(64 * MIB);
    boot.run("dosfstools", "mkfs.vfat", &["-F", "16"], &[], "");
    let mut parameters = [0; 62];
    boot.file().read_exact_at(&mut parameters, 0).unwrap();
    image.write(0, &parameters);
    assert_eq!(image.table().count(), 5);
}

#[test]
fn a_disk_of_4096_byte_sectors_is_read_as_fdisk_reads_it() {
    let image = Image::new(256 * MIB);
    let commands = "o\nn\np\n1\n256\n+16M\nn\ne\n2\n\n\nn\n\n+16M\nn\n\n+16M\nw\n";
    image.run("fdisk", "fdisk", &["--sector-size", "4096", "--wipe=never"], &[], commands);
    let table = image.table();
    assert_eq!((table.sector_size, table.count()), (4096, 3));
    let listed = image.run("fdisk", "fdisk", &["--sector-size", "4096", "--bytes", "-o", "Start,Size", "-l"], &[], "");
    for p in &table.partitions {
        let start = (p.start / 4096).to_string();
        assert!(listed.lines().any(|line| line.split_whitespace().next() == Some(&start)), "{p:?} in {listed}");
    }
    let image = Image::new(64 * MIB);
    image.run("fdisk", "fdisk", &["--sector-size", "4096"], &[], "g\nn\n1\n\n+8M\nn\n2\n\n+8M\nw\n");
    assert_eq!((image.table().sector_size, image.table().count(), image.table().label), (4096, 2, Label::Gpt));
}

/// Sectors that a table's readers look at, sound to begin with.
fn seeds() -> Vec<Vec<u8>> {
    let images = [Image::sfdisk(4 * MIB, "label: gpt\n,1024\n,1024\n"), Image::sfdisk(4 * MIB, DOS_SMALL)];
    images.iter().map(|image| std::fs::read(&image.path).unwrap()).collect()
}

const DOS_SMALL: &str = "label: dos\n64,512,83\n1024,4096,5\n1100,500,83\n2000,500,83\n";

proptest! {
    #[test]
    fn no_sector_makes_the_reader_panic(
        sectors in proptest::collection::vec(any::<[u8; 32]>(), 0..64),
        signed in any::<bool>(),
        flagless in any::<bool>(),
        enough in proptest::option::of(0_u32..5),
    ) {
        let mut image: Vec<u8> = sectors.concat();
        if let Some(signature) = image.get_mut(510..512).filter(|_| signed) {
            signature.copy_from_slice(&[0x55, 0xaa]);
        }
        for at in [446, 462, 478, 494] {
            if let Some(flag) = image.get_mut(at).filter(|_| flagless) {
                *flag = 0;
            }
        }
        let _ = read_table(&image, image.len() as u64, enough);
        // A size that is not the image's own.
        let _ = read_table(&image, u64::MAX, enough);
        let _ = superblock::identify(&image, image.len() as u64);
    }
}

#[test]
fn no_change_to_a_table_makes_the_reader_panic() {
    let seeds = seeds();
    // (place, which end it counts from, value), aimed at the sectors that matter.
    let change = (0_usize..34 * 512, any::<bool>(), any::<u8>());
    let changes = proptest::collection::vec(change, 1..12);
    proptest!(|(which in 0_usize..2, changes in changes, cut in proptest::option::of(0_usize..4 << 20))| {
        let mut image = seeds[which].clone();
        let len = image.len();
        for (place, from_end, value) in changes {
            image[if from_end { len - 1 - place } else { place }] = value;
        }
        image.truncate(cut.unwrap_or(len));
        if let Ok(Some(table)) = read_table(&image, image.len() as u64, None) {
            prop_assert_eq!(table.count() as usize, table.partitions.iter().filter(|p| p.kind.counts()).count());
        }
    });
}
