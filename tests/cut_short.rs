//! Archives that end in an image with enough partitions: a dry run says of it what a real one would, and
//! `--keep-undecided` stages what there is.

mod common;

use std::fs;

use common::scan::{Scan, of_stage};
use serde_json::Value;

const HASH: &str = "c0700000000000000000000000000000";
/// Length of the image by its header, in bytes.
const SIZE: usize = 8 << 20;

/// An image of three primary partitions, with data that is hard to compress.
fn image() -> Vec<u8> {
    let mut image = common::content(SIZE);
    image[..1 << 20].fill(0);
    for (index, entry) in image[446..494].chunks_mut(16).enumerate() {
        entry[4] = 0x83;
        entry[8..12].copy_from_slice(&(2048 + 4096 * u32::try_from(index).expect("small")).to_le_bytes());
        entry[12..16].copy_from_slice(&4096_u32.to_le_bytes());
    }
    image[510..512].copy_from_slice(&[0x55, 0xAA]);
    image
}

fn tar() -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(SIZE as u64);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, "disk.img", &*image()).expect("memory");
    builder.into_inner().expect("memory")
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

/// Collections of an archive that is cut in the middle: as a file, and as a tar.
fn cut() -> Vec<(&'static str, Scan)> {
    let (tar, zst) = (tar(), compressed(&tar()));
    [("truncated", zst[..zst.len() / 2].to_vec()), ("tar_truncated", compressed(&tar[..tar.len() / 2]))]
        .map(|(reason, archive)| {
            let scan = Scan::new().site("min_image_size = '0'");
            fs::write(scan.archive(HASH), archive).expect("an archive");
            (reason, scan)
        })
        .into()
}

fn check(scan: &Scan) -> Value {
    let lines = scan.logged();
    let checks = of_stage(&lines, "partition_check");
    (*checks.last().expect("a verdict")).clone()
}

#[test]
fn a_dry_run_says_that_the_archive_ends_before_the_image_does() {
    for (reason, scan) in cut() {
        for args in [&["--dry-run"][..], &[]] {
            let ended = scan.run_with(args);
            assert_eq!(ended.code, 1, "{ended:?}");
            let check = check(&scan);
            assert_eq!((&check["action"], &check["reason"]), (&"error".into(), &reason.into()), "{args:?}: {check}");
            assert_eq!(check["partitions"], 3);
        }
        assert!(!scan.staging().join(HASH).exists());
    }
}

#[test]
fn what_there_is_of_an_image_is_staged_where_the_undecided_are_kept() {
    let whole = image();
    for (reason, scan) in cut() {
        let ended = scan.run_with(&["--dry-run", "--keep-undecided"]);
        assert_eq!((ended.code, &check(&scan)["action"]), (1, &"would_keep".into()));
        assert_eq!(check(&scan)["reason"], reason);
        let ended = scan.run_with(&["--keep-undecided"]);
        assert_eq!(ended.code, 1, "{ended:?}");
        let check = check(&scan);
        assert_eq!((&check["action"], &check["reason"]), (&"KEPT".into(), &reason.into()), "{check}");
        assert_eq!((&check["table"]["damaged"], &check["verified"]), (&true.into(), &false.into()), "{check}");
        let staged = fs::read(scan.staging().join(HASH).join("disk.img")).expect("a staged image");
        assert_eq!(check["size_bytes"], staged.len());
        assert!(staged.len() > SIZE / 4 && staged.len() < SIZE && whole.starts_with(&staged), "{}", staged.len());
        let report = scan.reprocess(&["--dry-run"], "true").output().expect("starts");
        assert!(String::from_utf8_lossy(&report.stdout).contains("disk.img"), "it can be reprocessed: {report:?}");
    }
}

#[test]
fn what_is_staged_as_far_as_it_goes_is_there_in_a_later_run() {
    for (reason, scan) in cut() {
        scan.run_with(&["--keep-undecided"]);
        let path = scan.staging().join(HASH).join("disk.img");
        let staged = fs::read(&path).expect("a staged image");
        for args in [&["--keep-undecided"][..], &[]] {
            scan.run_with(args);
            let check = check(&scan);
            assert_eq!((&check["action"], &check["reason"]), (&"KEPT".into(), &reason.into()), "{args:?}: {check}");
            assert_eq!((&check["existing"], &check["bytes_written"]), (&true.into(), &0.into()), "{check}");
            assert_eq!(check["size_bytes"], staged.len());
            assert_eq!(fs::read(&path).expect("still there"), staged);
        }
        // Less of it, and as much of something else, are in the way.
        for other in [staged[..staged.len() / 2].to_vec(), vec![7; staged.len()], [&staged[..], b"x"].concat()] {
            fs::write(&path, &other).expect("a file");
            scan.run_with(&["--keep-undecided"]);
            assert_eq!((&check(&scan)["action"], &check(&scan)["reason"]), (&"error".into(), &"in_the_way".into()));
            assert_eq!(fs::read(&path).expect("still there"), other);
        }
        // What was cut is whole by now.
        fs::write(&path, &staged).expect("a file");
        fs::write(scan.archive(HASH), compressed(&tar())).expect("an archive");
        scan.run_with(&["--keep-undecided"]);
        assert_eq!(check(&scan)["reason"], "in_the_way", "{reason}");
    }
}

#[test]
fn a_dry_run_counts_no_room_for_what_is_in_staging() {
    let scan = Scan::new().site("min_image_size = '0'");
    fs::write(scan.archive(HASH), compressed(&tar())).expect("an archive");
    let dry = || {
        let ended = scan.run_with(&["--dry-run", "--json"]);
        serde_json::from_str::<Value>(&ended.stdout).expect("JSON")["needed_bytes"].clone()
    };
    assert_eq!(dry(), SIZE);
    scan.run();
    assert_eq!(dry(), 0);
    assert_eq!((&check(&scan)["action"], &check(&scan)["existing"]), (&"would_keep".into(), &true.into()));
    let text = scan.run_with(&["--dry-run"]).stdout;
    assert!(text.contains("already in staging") && !text.contains("to stage without --dry-run"), "{text}");
    fs::write(scan.staging().join(HASH).join("disk.img"), vec![0; SIZE]).expect("another");
    assert_eq!(dry(), SIZE, "it is another image");
}

#[test]
fn an_archive_that_ends_with_its_image_is_no_error() {
    let scan = Scan::new().site("min_image_size = '0'");
    fs::write(scan.archive(HASH), compressed(&tar()[..512 + SIZE])).expect("an archive");
    scan.run_with(&["--dry-run"]);
    assert_eq!(check(&scan)["action"], "would_keep");
    scan.run();
    assert_eq!(check(&scan)["action"], "KEPT");
}
