//! Rescue maps of `ddrescue` beside an image, in front of it in the archive and behind it: the share that was rescued, and
//! what that makes of the verdict.

mod common;

use std::fs::File;
use std::path::Path;
use std::process::Command;

use common::scan::{Scan, end, imgsieve, of_stage};
use common::{run, status};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;
const SINGLE: &str = "label: dos\n,,83\n";
const MULTI: &str = "label: dos\n,8192,83\n,,83\n";
/// A quarter of 16 MiB was not read, the sectors of the table among it or not.
const WITHOUT_TABLE: &str = "# a comment\n0x0 ? 1\n0x0 0x400000 -\n0x400000 0xC00000 +\n";
const WITH_TABLE: &str = "0x0 + 1\n0x0 0xC00000 +\n0xC00000 0x400000 /\n";

/// An archive of an image and its map, in this order.
fn pack(folder: &Path, archive: &Path, script: &str, map: &str, order: [&str; 2]) {
    let image = folder.join("disk.img");
    File::create(&image).and_then(|file| file.set_len(16 * MIB)).expect("a file");
    run("fdisk", "sfdisk", &["--quiet", image.to_str().expect("UTF-8")], script);
    std::fs::write(folder.join("disk.map"), map).expect("a file");
    let mut tar = Command::new("tar");
    tar.args(["--zstd", "-cf"]).arg(archive).arg("-C").arg(folder).args(order);
    assert_eq!(status(&mut tar, "tar"), 0);
}

const BEFORE: [&str; 2] = ["disk.map", "disk.img"];
const AFTER: [&str; 2] = ["disk.img", "disk.map"];

#[test]
fn inspect_shows_the_share_that_was_rescued() {
    for order in [BEFORE, AFTER] {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let archive = folder.path().join("a.tar.zst");
        pack(folder.path(), &archive, MULTI, WITHOUT_TABLE, order);
        let text = end(imgsieve().arg("inspect").arg(&archive)).stdout;
        assert!(text.contains("    rescued: 75.00% of the medium (12.6 MB of 16.8 MB)\n"), "{text}");
        let report: Value =
            serde_json::from_str(&end(imgsieve().args(["inspect", "--json"]).arg(&archive)).stdout).expect("JSON");
        let image = &report["images"][0];
        assert_eq!((&image["rescued_pct"], &image["verdict"]), (&json!(75.0), &json!("multi")));
    }
}

#[test]
fn without_a_map_nothing_is_said_of_rescue() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = folder.path().join("a.tar.zst");
    pack(folder.path(), &archive, SINGLE, WITH_TABLE, ["disk.img", "disk.img"]);
    let ended = end(imgsieve().args(["inspect", "--json"]).arg(&archive));
    assert!(!ended.stdout.contains("rescued"), "{}", ended.stdout);
}

#[test]
fn the_log_has_the_share_of_every_image_wherever_the_map_is() {
    let cases = [
        (MULTI, WITHOUT_TABLE, json!(2), "KEPT"),
        (SINGLE, WITH_TABLE, json!(1), "deleted"),
        (SINGLE, WITHOUT_TABLE, Value::Null, "error"),
    ];
    for (script, map, partitions, action) in cases {
        for order in [BEFORE, AFTER] {
            for is_dry in [false, true] {
                let scan = Scan::new().args(&["--min-image-size", "1"]).args(if is_dry { &["--dry-run"] } else { &[] });
                let folder = tempfile::tempdir().expect("a temporary folder");
                let archive = scan.archive("0123456789abcdef0123456789abcdef");
                pack(folder.path(), &archive, script, map, order);
                let ended = scan.run();
                assert_eq!(ended.code, i32::from(action == "error"), "{ended:?}");
                let lines = scan.logged();
                let checks = of_stage(&lines, "partition_check");
                assert_eq!(checks.len(), 1, "{lines:?}");
                let action = if is_dry && action == "KEPT" { "would_keep" } else { action };
                let found = ["partitions", "action", "rescued_pct"].map(|key| &checks[0][key]);
                assert_eq!(found, [&partitions, &json!(action), &json!(75.0)], "{order:?} {is_dry}");
            }
        }
    }
}

#[test]
fn a_verdict_that_waits_for_a_map_is_given_before_that_on_the_next_image() {
    let scan = Scan::new().args(&["--min-image-size", "1", "--dry-run"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = scan.archive("0123456789abcdef0123456789abcdef");
    pack(folder.path(), &archive, MULTI, WITH_TABLE, AFTER);
    std::fs::copy(folder.path().join("disk.img"), folder.path().join("other.img")).expect("a copy");
    let mut tar = Command::new("tar");
    tar.args(["--zstd", "-cf"]).arg(&archive).arg("-C").arg(folder.path()).args(["disk.img", "other.img", "disk.map"]);
    assert_eq!(status(&mut tar, "tar"), 0);
    scan.run();
    let lines = scan.logged();
    let checks = of_stage(&lines, "partition_check");
    let said: Vec<_> =
        checks.iter().map(|check| json!([check["img"], check["action"], check["rescued_pct"]])).collect();
    assert_eq!(json!(said), json!([["disk.img", "would_keep", null], ["other.img", "would_keep", null]]));
}
