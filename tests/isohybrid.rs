//! ISO 9660 images that are disks too: with an MBR, a GPT and an Apple map, alone or together, as real tools make them.
//! Of several, the one that Linux reads first is right.

#![cfg(feature = "oracles")]

mod common;

use std::fs::{self, File};
use std::path::PathBuf;

use common::run;
use imgsieve::ptable::{Label, PartitionTable, read_table};
use tempfile::TempDir;

/// Options for an image that boots by BIOS, and by EFI as well.
const BIOS: &[&str] =
    &["-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"];
const EFI: &[&str] = &["-eltorito-alt-boot", "-e", "efi.img", "-no-emul-boot"];
const ISOLINUX: &str = "/usr/lib/ISOLINUX/isolinux.bin";
const ISOHYBRID_MBR: &str = "/usr/lib/ISOLINUX/isohdpfx.bin";

struct Iso {
    path: PathBuf,
    _dir: TempDir,
}

impl Iso {
    fn new(package: &str, tool: &str, options: &[&[&str]]) -> Self {
        let dir = TempDir::new().unwrap();
        let content = dir.path().join("content");
        fs::create_dir(&content).unwrap();
        fs::copy(ISOLINUX, content.join("isolinux.bin")).expect("a file of the Debian package isolinux");
        File::create(content.join("efi.img")).unwrap().set_len(1440 * 1024).unwrap();
        fs::write(content.join("file"), common::content(100_000)).unwrap();
        let path = dir.path().join("disk.iso");
        let (output, content) = (path.to_str().unwrap(), content.to_str().unwrap());
        run(package, tool, &[&options.concat(), &["-quiet", "-o", output, content][..]].concat(), "");
        Self { path, _dir: dir }
    }

    fn genisoimage(options: &[&[&str]]) -> Self {
        Self::new("genisoimage", "genisoimage", options)
    }

    fn xorriso(options: &[&[&str]]) -> Self {
        Self::new("xorriso", "xorriso", &[&[&["-as", "mkisofs"][..]], options].concat())
    }

    fn isohybrid(self, options: &[&str]) -> Self {
        run("syslinux-utils", "isohybrid", &[options, &[self.path.to_str().unwrap()]].concat(), "");
        self
    }

    fn read(&self) -> Option<PartitionTable> {
        let file = File::open(&self.path).unwrap();
        let size = file.metadata().unwrap().len();
        read_table(&file, size, None).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The table's kind and how many partitions count, once all its entries are those that libblkid says.
    fn agreed(&self) -> (Label, u32) {
        let table = self.read().expect("a table");
        let path = self.path.to_str().unwrap();
        let columns = ["--bytes", "--raw", "--noheadings", "--output", "NR,START,SECTORS,SCHEME", path];
        let theirs = run("util-linux", "partx", &columns, "");
        let sectors = |bytes: u64| bytes / 512;
        let ours = table.partitions.iter().map(|p| (p.number, sectors(p.start), sectors(p.size)));
        let ours: Vec<_> = ours.map(|(n, start, size)| format!("{n} {start} {size} {}", table.label)).collect();
        assert_eq!(ours, theirs.lines().collect::<Vec<_>>());
        (table.label, table.count())
    }
}

#[test]
fn isohybrid_makes_an_mbr() {
    assert_eq!(Iso::genisoimage(&[BIOS]).isohybrid(&[]).agreed(), (Label::Dos, 1));
}

#[test]
fn the_gpt_of_isohybrid_is_not_announced_and_so_the_mbr_counts() {
    let iso = Iso::xorriso(&[BIOS, EFI]).isohybrid(&["--uefi"]);
    assert_eq!(iso.agreed(), (Label::Dos, 2));
}

#[test]
fn an_mbr_comes_before_the_apple_map_and_the_gpt_of_xorriso() {
    let hybrid = ["-isohybrid-mbr", ISOHYBRID_MBR];
    let iso = Iso::xorriso(&[&hybrid, BIOS, EFI, &["-isohybrid-gpt-basdat", "-isohybrid-apm-hfsplus"]]);
    assert_eq!(iso.agreed(), (Label::Dos, 2));
}

#[test]
fn an_announced_gpt_comes_before_its_mbr() {
    let announced = ["-efi-boot-part", "--efi-boot-image", "--protective-msdos-label"];
    // The EFI image, and what is in front of it and behind.
    assert_eq!(Iso::xorriso(&[BIOS, EFI, &announced]).agreed(), (Label::Gpt, 3));
}

#[test]
fn an_apple_map_alone_is_read() {
    // The map itself, the ISO's data in front of and behind HFS+, and that.
    assert_eq!(Iso::xorriso(&[&["-hfsplus"]]).agreed(), (Label::Mac, 3));
}

#[test]
fn an_apple_map_behind_an_mbr_without_partitions_is_not_shown_by_linux() {
    assert_eq!(Iso::genisoimage(&[&["-hfs", "-part"]]).read(), None);
}

#[test]
fn a_plain_iso_has_no_table() {
    assert_eq!(Iso::genisoimage(&[]).read(), None);
    assert_eq!(Iso::xorriso(&[]).read(), None);
}
