//! Tables over what an earlier use of the medium left, and what is left of tables: made by real tools, as media come to it.

#![cfg(feature = "oracles")]

mod common;

use common::image::Image;
use imgsieve::ptable::{GptCopy, Label};

const MIB: u64 = 1 << 20;
const KEEP: &[&str] = &["--quiet", "--wipe", "never", "--wipe-partitions", "never"];

/// Tools that make a file system on a whole disk, and the smallest disk that suits all of a kind.
const WHOLE_DISK: [(&str, &str, &[&str]); 5] = [
    ("dosfstools", "mkfs.vfat", &["-I", "-F", "12", "-s", "32"]),
    ("dosfstools", "mkfs.vfat", &["-I", "-F", "16"]),
    ("dosfstools", "mkfs.vfat", &["-I", "-F", "32"]),
    ("exfatprogs", "mkfs.exfat", &[]),
    ("ntfs-3g", "mkfs.ntfs", &["-F", "-Q", "-q"]),
];

fn formatted(size: u64, (package, tool, args): (&str, &str, &[&str])) -> Image {
    let image = Image::new(size);
    image.run(package, tool, args, &[], "");
    image
}

fn cut(image: &Image, bytes: u64) {
    let size = image.file().metadata().unwrap().len();
    image.file().set_len(size - bytes).unwrap();
}

#[test]
fn a_table_that_was_written_into_a_boot_sector_counts_however_the_image_was_cut() {
    for tool in WHOLE_DISK {
        for by in [0, 512, MIB, 20 * MIB, 40 * MIB] {
            let image = formatted(60 * MIB, tool);
            image.run("fdisk", "sfdisk", KEEP, &[], "label: dos\n2048,61440,c\n63488,,83\n");
            cut(&image, by);
            let table = image.table();
            assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Dos, 2, by > 0), "{tool:?} less {by}");
        }
    }
}

#[test]
fn a_table_behind_the_boot_sector_of_a_small_volume_counts_however_the_image_was_cut() {
    for tool in WHOLE_DISK {
        for by in [MIB, 20 * MIB, 30 * MIB] {
            let image = formatted(16 * MIB, tool);
            image.file().set_len(64 * MIB).unwrap();
            image.run("fdisk", "sfdisk", KEEP, &[], "label: dos\n2048,60000,c\n63488,60000,83\n");
            cut(&image, by);
            assert_eq!(image.table().count(), 2, "{tool:?} less {by}");
        }
    }
}

#[test]
fn logical_partitions_in_a_table_that_was_written_into_a_boot_sector_count() {
    for tool in WHOLE_DISK {
        let image = formatted(60 * MIB, tool);
        image.run("fdisk", "sfdisk", KEEP, &[], "label: dos\n2048,,5\n4096,10240,83\n20480,,83\n");
        cut(&image, MIB);
        assert_eq!(image.table().count(), 2, "{tool:?}");
    }
}

#[test]
fn a_file_system_on_a_whole_disk_that_was_cut_short_is_no_table() {
    for tool in WHOLE_DISK {
        for by in [512, MIB, 30 * MIB] {
            let image = formatted(60 * MIB, tool);
            cut(&image, by);
            assert!(image.read().is_none(), "{tool:?} less {by}: {:?}", image.read());
        }
    }
}

#[test]
fn a_file_system_that_was_made_over_a_gpt_outweighs_the_backup_that_is_left() {
    for tool in WHOLE_DISK {
        let image = Image::sfdisk(60 * MIB, "label: gpt\n,10M\n,10M\n,10M\n");
        image.run(tool.0, tool.1, tool.2, &[], "");
        assert!(image.read().is_none(), "{tool:?}: {:?}", image.read());
    }
}

#[test]
fn a_backup_gpt_stands_behind_whatever_was_written_over_the_start() {
    let noise: Vec<u8> = (0..=255_u8).cycle().map(|byte| byte.wrapping_mul(31).rotate_left(3)).take(4 << 20).collect();
    let pattern = b"BAD SECTOR ".repeat((4 << 20) / 11);
    for (what, bytes) in [("code", noise), ("pattern", pattern), ("ones", vec![0xff; 64 << 10])] {
        let image = Image::sfdisk(64 * MIB, "label: gpt\nstart=20480,size=10M\n,10M\n,10M\n");
        image.write(0, &bytes);
        let table = image.table();
        assert_eq!((table.count(), table.gpt_copy), (3, Some(GptCopy::Backup)), "{what}");
    }
}

#[test]
fn a_stale_backup_gpt_does_not_outweigh_a_table_that_was_made_since() {
    let stale = || Image::sfdisk(64 * MIB, "label: gpt\n,10M\n,10M\n,10M\n");
    let image = stale();
    image.run("fdisk", "sfdisk", KEEP, &[], "label: dos\n2048,,83\n");
    assert_eq!((image.table().label, image.table().count()), (Label::Dos, 1));
    for label in ["mac", "amiga"] {
        let image = stale();
        let end = 64 * MIB - 33 * 512;
        let mut backup = vec![0; 33 * 512];
        std::os::unix::fs::FileExt::read_exact_at(&image.file(), &mut backup, end).unwrap();
        image.run("parted", "parted", &["--script"], &["mklabel", label, "mkpart", "primary", "2MiB", "9MiB"], "");
        image.run("parted", "parted", &["--script"], &["mkpart", "primary", "9MiB", "20MiB"], "");
        image.write(end, &backup);
        assert_eq!((image.table().label.as_str(), image.table().count()), (label, 2));
    }
}

#[test]
fn an_apple_map_stands_behind_whatever_lba_0_holds() {
    let commands: &[&str] =
        &["mklabel", "mac", "mkpart", "primary", "2MiB", "9MiB", "mkpart", "primary", "9MiB", "20MiB"];
    for start in [&b"BAD SECTOR ".repeat(46)[..], &[0xf6; 512], b"LABELONE\0\0\0", &[0xda, 0xbe, 0, 1]] {
        let image = Image::parted(64 * MIB, commands);
        image.write(0, &start[..start.len().min(512)]);
        assert_eq!((image.table().label, image.table().count()), (Label::Mac, 2), "{start:?}");
    }
    let image = Image::parted(64 * MIB, commands);
    image.write(0, &[0; 512]);
    image.run("mbr", "install-mbr", &["--force", "-i", "n"], &[], "");
    assert_eq!((image.table().label, image.table().count()), (Label::Mac, 2));
}
