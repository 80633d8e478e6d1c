//! What beats what: each cell of the table in the module's docs.

use super::testdisk::{Disk, Gpt, fat16};
use super::{Error, Label};

const SECTORS: usize = 4096;
const GPT: &[(u64, u64)] = &[(40, 99), (100, 199), (200, 299)];

/// What else there is besides LBA 0.
#[derive(Debug, Clone, Copy)]
enum Else {
    Primary,
    Backup,
    WholeMap,
    LostEntries,
    Nothing,
}

const COLUMNS: [Else; 5] = [Else::Primary, Else::Backup, Else::WholeMap, Else::LostEntries, Else::Nothing];

/// The entries of an Apple map at blocks 1 to 4; two of them count.
fn with_map(disk: Disk, lost: &[usize]) -> Disk {
    let rows: [(u32, &[u8]); 4] =
        [(1, b"Apple_partition_map"), (64, b"Apple_Driver43"), (1000, b"Apple_HFS"), (2000, b"Apple_UNIX_SVR2")];
    rows.iter().zip(1..).filter(|(_, block)| !lost.contains(block)).fold(disk, |disk, (&(start, kind), block)| {
        let at = block * 512;
        let disk = disk.put(at, b"PM").put(at + 4, &4_u32.to_be_bytes()).put(at + 8, &start.to_be_bytes());
        disk.put(at + 12, &50_u32.to_be_bytes()).put(at + 48, kind)
    })
}

impl Else {
    /// Such a disk, whose LBA 0 is blank.
    fn disk(self) -> Disk {
        let blank = Disk::new(SECTORS * 512);
        let gpt = Gpt::new(GPT).disk().put(0, &[0; 512]);
        match self {
            Else::Primary => gpt.put(4060 * 512, &vec![0; 36 * 512]),
            Else::Backup => gpt.put(512, &vec![0; 33 * 512]),
            Else::WholeMap => with_map(blank, &[]),
            Else::LostEntries => with_map(blank, &[1]),
            Else::Nothing => blank,
        }
    }
}

/// The label, `none`, or `undecidable`.
fn answer(disk: &Disk) -> &'static str {
    match disk.read() {
        Ok(Some(table)) => table.label.as_str(),
        Ok(None) => "none",
        Err(Error::Undecidable { .. }) => "undecidable",
        Err(error) => panic!("{error}"),
    }
}

#[track_caller]
fn check(expected: [&str; 5], lba_0: impl Fn(Disk) -> Disk) {
    let answers = COLUMNS.map(|column| answer(&lba_0(column.disk())));
    assert_eq!(answers, expected);
}

fn ext_superblock(disk: Disk, at: usize) -> Disk {
    disk.put(at + 1024 + 56, &[0x53, 0xef])
}

/// A file system whose superblock leaves LBA 1 to 4 alone: JFS.
fn with_jfs(disk: Disk) -> Disk {
    let jfs = [&b"JFS1"[..], &[0; 12], &[0, 16, 0, 0, 12, 0, 3, 0, 0, 2, 0, 0, 9, 0]].concat();
    disk.put(32768, &jfs)
}

#[test]
fn an_mbr_whose_entries_end_in_the_image_outweighs_everything() {
    check(["dos"; 5], |disk| disk.mbr(0, &[(1, 0x83, 1000, 50), (2, 0x83, 2000, 50)]));
    check(["dos"; 5], |disk| disk.mbr(0, &[(1, 0x83, 1000, 50)]));
}

#[test]
fn an_mbr_cut_short_outweighs_everything_where_a_file_system_begins() {
    check(["dos"; 5], |disk| ext_superblock(disk.mbr(0, &[(1, 0x83, 1000, 50), (2, 0x83, 2000, 5000)]), 2000 * 512));
}

#[test]
fn an_mbr_cut_short_gives_way_to_a_gpt_whose_disk_ends_with_the_image() {
    check(["gpt", "gpt", "dos", "dos", "dos"], |disk| disk.mbr(0, &[(1, 0x83, 1000, 50), (2, 0x83, 2000, 5000)]));
    check(["dos"; 5], |disk| {
        let mut cut = disk.mbr(0, &[(1, 0x83, 1000, 50), (2, 0x83, 2000, 5000)]);
        cut.0.truncate(4000 * 512);
        cut
    });
}

#[test]
fn a_protective_mbr_announces_a_gpt() {
    let expected = ["gpt", "gpt", "mac", "undecidable", "undecidable"];
    check(expected, |disk| disk.mbr(0, &[(1, 0xee, 1, 4095)]));
}

#[test]
fn a_driver_descriptor_announces_an_apple_map() {
    let expected = ["gpt", "gpt", "mac", "mac", "none"];
    check(expected, |disk| disk.put(0, &[b'E', b'R', 2, 0]));
}

#[test]
fn a_file_system_that_stands_outweighs_remains() {
    check(["gpt", "none", "mac", "none", "none"], with_jfs);
    check(["gpt", "none", "mac", "none", "none"], |disk| with_jfs(disk).put(0, &[0xf6; 512]));
}

#[test]
fn a_boot_sector_outweighs_remains_where_its_volume_stands() {
    let small = |disk: Disk| disk.put(0, &fat16()).put(19, &4000_u16.to_le_bytes());
    check(["gpt", "gpt", "mac", "mac", "none"], small);
    // The FATs, behind everything that the columns have.
    let stands = |disk: Disk| {
        let disk = small(disk).put(14, &400_u16.to_le_bytes());
        [400, 432].iter().fold(disk, |disk, lba| disk.put(lba * 512, &[0xf8, 0xff, 0xff, 0xff]))
    };
    check(["gpt", "none", "mac", "none", "none"], stands);
    check(["gpt", "gpt", "mac", "mac", "none"], |disk| stands(disk).put(19, &5000_u16.to_le_bytes()));
}

#[test]
fn what_lies_behind_a_lost_lba_0_is_found_whatever_stands_there_now() {
    let expected = ["gpt", "gpt", "mac", "mac", "none"];
    check(expected, |disk| disk);
    check(expected, |disk| disk.mbr(0, &[]));
    check(expected, |disk| disk.put(0, &[0xfa, 0x33, 0xc0]));
    check(expected, |disk| disk.put(0, &b"BAD SECTOR ".repeat(47)[..512]));
    check(expected, |disk| disk.put(0, &[0xff; 512]));
    for magic in [&b"LABELONE"[..], b"XFSB", b"RDSK", b"DOS\0", &[0xda, 0xbe], &[0x0b, 0xe5, 0xa9, 0x41]] {
        check(expected, |disk| disk.put(0, magic).put(300, &[7]));
    }
    let junk = [(1, 0x20, 0x6573_6572, 0x6f6f_7420), (2, 0x73, 0x6573_7572, 0x7373_6572)];
    check(expected, |disk| disk.mbr(0, &junk));
}

#[test]
fn a_map_that_lost_entries_gives_way_to_a_backup_gpt_and_a_whole_one_does_not() {
    let both = |lost: &[usize]| answer(&with_map(Else::Backup.disk(), lost));
    assert_eq!((both(&[]), both(&[1]), both(&[2])), ("mac", "gpt", "gpt"));
}

#[test]
fn a_backup_gpt_without_its_checksum_is_no_more_than_a_reason_to_ask() {
    let unsealed = Else::Backup.disk().put(0, &[0xf6; 512]).put(4095 * 512 + 16, &[1, 2, 3, 4]);
    assert_eq!((unsealed.table().label, unsealed.table().is_vouched_for()), (Label::Gpt, false));
    let overlapping = unsealed.put(4063 * 512 + 128 + 32, &[90]);
    assert_eq!(overlapping.reason(), "gpt_damaged");
    assert_eq!(answer(&overlapping.put(4095 * 512, b"e")), "none");
}
