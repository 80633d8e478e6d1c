//! Apple, Sun and SGI labels that real tools write, and what libblkid and parted read in them.

#![cfg(feature = "oracles")]

mod common;

use common::image::{Extent, Image};
use imgsieve::ptable::{Kind, Label};

const MIB: u64 = 1 << 20;

/// Every partition that counts is one of `libblkid`'s and of `parted`'s; what theirs have besides is of no account.
fn assert_agreed(image: &Image) {
    let table = image.table();
    assert!(!table.is_damaged(), "{:?}", table.damage);
    let ours = |counts: bool| -> Vec<Extent> {
        let chosen = table.partitions.iter().filter(|p| !counts || p.kind.counts());
        chosen.map(|p| (p.number, p.start, p.size)).collect()
    };
    for theirs in [image.by_partx(), image.by_parted()] {
        assert!(ours(true).iter().all(|extent| theirs.contains(extent)), "{:?} {theirs:?}", ours(true));
        assert!(theirs.iter().all(|extent| ours(false).contains(extent)), "{:?} {theirs:?}", ours(false));
    }
}

const MAC: &[&str] = &["mklabel", "mac", "mkpart", "hfs", "hfs", "1MiB", "20MiB", "mkpart", "root", "20MiB", "40MiB"];
const SUN: &[&str] = &["mklabel", "sun", "mkpart", "ext2", "10MiB", "20MiB", "mkpart", "linux-swap", "20MiB", "40MiB"];
const SGI: &[&str] =
    &["mklabel", "dvh", "mkpart", "primary", "xfs", "10MiB", "20MiB", "mkpart", "primary", "xfs", "20MiB", "40MiB"];

#[test]
fn an_apple_map_is_what_parted_and_libblkid_say() {
    let image = Image::parted(64 * MIB, MAC);
    assert_agreed(&image);
    let table = image.table();
    assert_eq!((table.label, table.sector_size, table.count()), (Label::Mac, 512, 2));
    let types: Vec<_> = table.partitions.iter().map(|p| (p.number, p.kind, p.type_id.to_string())).collect();
    assert_eq!(types[0], (1, Kind::Meta, "Apple_partition_map".to_owned()));
    assert_eq!(types[3], (4, Kind::Meta, "Apple_Free".to_owned()));
}

#[test]
fn a_sun_label_is_what_parted_and_libblkid_say() {
    let image = Image::parted(64 * MIB, SUN);
    assert_agreed(&image);
    assert_eq!((image.table().label, image.table().count()), (Label::Sun, 2));
    // Its geometry has cylinders that are not a whole number of MiB.
    let image = Image::sfdisk(64 * MIB, "label: sun\nstart=16065,size=32130\nstart=48195,size=16065\n");
    assert_eq!((image.table().label, image.table().count()), (Label::Sun, 2));
    let ours: Vec<_> = image.table().partitions.iter().map(|p| (p.number, p.start, p.size)).collect();
    assert_eq!(ours[..2], image.by_partx());
}

#[test]
fn an_sgi_header_is_what_parted_and_libblkid_say() {
    let image = Image::parted(64 * MIB, SGI);
    assert_agreed(&image);
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
        image.file().set_len(15 * MIB).unwrap();
        let table = image.table();
        assert_eq!((table.count(), table.damage[0].code()), (2, "image_too_short"), "{}", commands[1]);
    }
}
