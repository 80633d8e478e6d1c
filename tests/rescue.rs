//! Rescue maps of `ddrescue` beside an image, in front of it in the archive and behind it: which file is the map of which
//! image, the share that was rescued, and what that makes of the verdict.

#![cfg(feature = "oracles")]

mod common;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::scan::{Scan, end, imgsieve, of_stage};
use common::{content, run, status};
use serde_json::{Value, json};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const HASH: &str = "0123456789abcdef0123456789abcdef";
const BLANK: &str = "";
const SINGLE: &str = "label: dos\n,,83\n";
const MULTI: &str = "label: dos\n,8192,83\n,,83\n";
const GPT: &str = "label: gpt\nsize=8192\nsize=8192\nsize=8192\n";
/// A quarter of 16 MiB was not read, the sectors of the table among it or not.
const WITHOUT_TABLE: &str = "# a comment\n0x0 ? 1\n0x0 0x400000 -\n0x400000 0xC00000 +\n";
const WITH_TABLE: &str = "0x0 + 1\n0x0 0xC00000 +\n0xC00000 0x400000 /\n";
/// All of it was read.
const ALL: &str = "0x0 + 1\n0x0 0x1000000 +\n";
/// LBA 0 to 33 were not: all of a primary GPT.
const WITHOUT_HEAD: &str = "0x0 + 1\n0x0 0x4400 -\n0x4400 0xFFBC00 +\n";
/// As ddrescue wrote it before it had a status line.
const BROKEN: &str = "# Rescue Logfile. Created by GNU ddrescue version 1.5\n0x0 0x1000 -\n0x1000 0xFFF000 +\n";

const BEFORE: [&str; 2] = ["disk.map", "disk.img"];
const AFTER: [&str; 2] = ["disk.img", "disk.map"];

/// A folder of files, and archives of them.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Folder {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, content).expect("a file");
        self
    }

    /// An image of 16 MiB with the table that sfdisk makes of `script`, if that says anything.
    fn image(&self, name: &str, script: &str) -> &Folder {
        self.file(name, "");
        let path = self.path(name);
        OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(16 * MIB)).expect("a file");
        if !script.is_empty() {
            run("fdisk", "sfdisk", &["--quiet", path.to_str().expect("UTF-8")], script);
        }
        self
    }

    /// Fills what was never read by the map with a pattern, as people do who look for it with an editor.
    fn filled(&self, image: &str, map: &str, pattern: &str) -> &Folder {
        self.file("pattern", pattern).file("filled.map", map);
        let paths = ["pattern", image, "filled.map"].map(|name| self.path(name));
        let mut ddrescue = Command::new("ddrescue");
        ddrescue.args(["--quiet", "--force", "--fill-mode=?*/-"]).args(paths);
        assert_eq!(status(&mut ddrescue, "gddrescue"), 0);
        self
    }

    /// An archive of these files, in this order.
    fn pack(&self, archive: &Path, files: &[&str]) {
        let mut tar = Command::new("tar");
        tar.args(["--zstd", "-cf"]).arg(archive).arg("-C").arg(self.0.path()).args(files);
        assert_eq!(status(&mut tar, "tar"), 0);
    }
}

/// What is said of an image: name, verdict, number of partitions, reason, share.
type Said = [Value; 5];

/// What `inspect` and a dry run say of the images in an archive of these files, which is the same; and what both warn of.
fn said(folder: &Folder, files: &[&str]) -> (Vec<Said>, Vec<String>) {
    said_with(folder, files, &[])
}

fn said_with(folder: &Folder, files: &[&str], args: &[&str]) -> (Vec<Said>, Vec<String>) {
    let scan = Scan::new().args(&["--min-image-size", "1", "--dry-run"]).args(args);
    folder.pack(&scan.archive(HASH), files);
    said_of(&scan, args)
}

fn said_of(scan: &Scan, args: &[&str]) -> (Vec<Said>, Vec<String>) {
    let report = end(imgsieve().args(["inspect", "--json"]).args(args).arg(scan.archive(HASH))).stdout;
    let report: Value = serde_json::from_str(&report).expect("JSON");
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let message = |warning: &Value| warning["message"].as_str().expect("a message").to_owned();
    let inspected: Vec<Said> = list(&report["images"])
        .iter()
        .map(|image| ["img", "verdict", "count", "reason", "rescued_pct"].map(|key| image[key].clone()))
        .collect();
    let warnings: Vec<String> = list(&report["warnings"]).iter().map(message).collect();
    scan.run();
    let lines = scan.logged();
    let scanned: Vec<Said> = of_stage(&lines, "partition_check")
        .iter()
        .map(|check| {
            let is_error = check["action"] == "error";
            let reason = if is_error { check["reason"].clone() } else { Value::Null };
            let [img, verdict, count, share] =
                ["img", "verdict", "partitions", "rescued_pct"].map(|key| check[key].clone());
            [img, verdict, count, reason, share]
        })
        .collect();
    let sorted = |mut said: Vec<Said>| {
        said.sort_by_key(ToString::to_string);
        said
    };
    let of_maps = |line: &&Value| line["reason"] == "rescue_map";
    let warned: Vec<String> = of_stage(&lines, "warning").into_iter().filter(of_maps).map(message).collect();
    assert_eq!((sorted(inspected.clone()), &warnings), (sorted(scanned), &warned), "inspect and scan");
    (inspected, warnings)
}

trait ToString {
    fn to_string(&self) -> String;
}

impl ToString for Said {
    fn to_string(&self) -> String {
        json!(self).to_string()
    }
}

fn of(verdict: &str, count: Option<u32>, reason: Option<&str>, share: Option<f64>) -> Said {
    [json!("disk.img"), json!(verdict), json!(count), json!(reason), json!(share)]
}

#[test]
fn inspect_shows_the_share_that_was_rescued() {
    for order in [BEFORE, AFTER] {
        let folder = Folder::new();
        let archive = folder.path("a.tar.zst");
        folder.image("disk.img", MULTI).file("disk.map", WITHOUT_TABLE).pack(&archive, &order);
        let text = end(imgsieve().arg("inspect").arg(&archive)).stdout;
        assert!(text.contains("    rescued: 75.00% of the medium (12.6 MB of 16.8 MB)\n"), "{text}");
    }
}

#[test]
fn without_a_map_nothing_is_said_of_rescue() {
    let folder = Folder::new();
    let (images, warnings) = said(folder.image("disk.img", SINGLE), &["disk.img"]);
    assert_eq!((&images[0], warnings.len()), (&of("single", Some(1), None, None), 0));
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
                let folder = Folder::new();
                folder.image("disk.img", script).file("disk.map", map).pack(&scan.archive(HASH), &order);
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
    let folder = Folder::new();
    folder.image("disk.img", MULTI).image("other.img", MULTI).file("disk.map", WITH_TABLE);
    folder.pack(&scan.archive(HASH), &["disk.img", "other.img", "disk.map"]);
    scan.run();
    let lines = scan.logged();
    let checks = of_stage(&lines, "partition_check");
    let said: Vec<_> =
        checks.iter().map(|check| json!([check["img"], check["action"], check["rescued_pct"]])).collect();
    assert_eq!(json!(said), json!([["disk.img", "would_keep", null], ["other.img", "would_keep", null]]));
}

#[test]
fn the_map_of_a_later_pass_replaces_the_first() {
    for (first, last, expected) in [
        (WITHOUT_TABLE, ALL, of("single", Some(1), None, Some(100.0))),
        (ALL, WITHOUT_TABLE, of("undecidable", None, Some("unread"), Some(75.0))),
        (WITHOUT_TABLE, "no map", of("single", Some(1), None, None)),
    ] {
        for is_behind in [true, false] {
            let scan = Scan::new().args(&["--min-image-size", "1", "--dry-run"]);
            let (folder, tar) = (Folder::new(), scan.folder().join("a.tar"));
            folder.image("disk.img", SINGLE).file("disk.map", first);
            let append = |name| {
                let mut command = Command::new("tar");
                command.arg("-rf").arg(&tar).arg("-C").arg(folder.0.path()).arg(name);
                assert_eq!(status(&mut command, "tar"), 0);
            };
            let order = if is_behind { ["disk.img", "disk.map"] } else { ["disk.map", "disk.img"] };
            order.into_iter().for_each(append);
            folder.file("disk.map", last);
            append("disk.map");
            run("zstd", "zstd", &["-q", tar.to_str().expect("UTF-8"), "-o", scan.archive(HASH).to_str().unwrap()], "");
            let (images, warnings) = said_of(&scan, &[]);
            assert_eq!((&images[..], warnings.len()), (&[expected.clone()][..], usize::from(last == "no map")));
        }
    }
}

#[test]
fn a_map_that_is_a_link_is_the_file_that_it_leads_to() {
    for is_hard in [true, false] {
        for files in [["rescue.map", "disk.map", "disk.img"], ["rescue.map", "disk.img", "disk.map"]] {
            let folder = Folder::new();
            folder.image("disk.img", SINGLE).file("rescue.map", WITHOUT_TABLE);
            let link = folder.path("disk.map");
            let linked = if is_hard {
                std::fs::hard_link(folder.path("rescue.map"), link)
            } else {
                std::os::unix::fs::symlink("rescue.map", link)
            };
            linked.expect("a link");
            let unread = of("undecidable", None, Some("unread"), Some(75.0));
            assert_eq!(said(&folder, &files), (vec![unread], vec![]), "{files:?}");
        }
    }
    let folder = Folder::new();
    std::os::unix::fs::symlink("gone", folder.image("disk.img", BLANK).path("disk.map")).expect("a link");
    let (images, warnings) = said(&folder, &BEFORE);
    assert_eq!((images, warnings.len()), (vec![of("undecidable", None, Some("rescue_map"), None)], 1));
}

#[test]
fn what_no_line_of_a_map_tells_of_was_never_tried() {
    for map in ["0 ? 1\n0x1000 0xFFF000 +\n", "0 ? 1\n", "0 + 1\n0 0x200 ?\n0x200 0xFFFE00 +\n"] {
        let folder = Folder::new();
        let (images, _) = said(folder.image("disk.img", SINGLE).file("disk.map", map), &AFTER);
        assert_eq!((&images[0][1], &images[0][3]), (&json!("undecidable"), &json!("unread")), "{map}");
    }
    // Where the backup of a GPT belongs, and no sector before it.
    let folder = Folder::new();
    let map = "0 + 1\n0 0xFFFC00 +\n";
    let (images, _) = said(folder.image("disk.img", BLANK).file("disk.map", map), &AFTER);
    assert_eq!(images[0], of("undecidable", None, Some("unread"), Some(99.99)));
}

#[test]
fn a_pattern_in_sectors_that_were_never_read_hides_no_table() {
    for pattern in ["BAD-SECTOR ", "DEADBEEF", "\u{1}"] {
        for order in [BEFORE, AFTER] {
            for args in [&["--dry-run"][..], &[]] {
                let folder = Folder::new();
                folder.image("disk.img", GPT).file("disk.map", WITHOUT_HEAD).filled("disk.img", WITHOUT_HEAD, pattern);
                let scan = Scan::new().args(&["--min-image-size", "1"]).args(args);
                folder.pack(&scan.archive(HASH), &order);
                let ended = scan.run();
                assert_eq!(ended.code, 0, "{ended:?}");
                let lines = scan.logged();
                let [check] = of_stage(&lines, "partition_check")[..] else { panic!("{lines:?}") };
                let said = ["partitions", "rescued_pct"].map(|key| &check[key]);
                assert_eq!(said, [&json!(3), &json!(99.89)], "{check}");
                assert_eq!(check["table"]["gpt_copy"], "backup", "{check}");
                assert_eq!(check["partition_list"].as_array().map(Vec::len), Some(3), "{check}");
                assert_eq!(check["action"], if args.is_empty() { "KEPT" } else { "would_keep" });
                // What is staged is what the archive holds, and is found to be the same by the next run.
                if args.is_empty() {
                    let staged = scan.staging().join(HASH).join("disk.img");
                    assert!(std::fs::read(staged).unwrap() == std::fs::read(folder.path("disk.img")).unwrap());
                    assert_eq!(scan.run().code, 0);
                    let lines = scan.logged();
                    assert_eq!(of_stage(&lines, "partition_check")[1]["existing"], true);
                }
            }
            let folder = Folder::new();
            folder.image("disk.img", GPT).file("disk.map", WITHOUT_HEAD).filled("disk.img", WITHOUT_HEAD, pattern);
            assert_eq!(said(&folder, &order).0, [of("multi", Some(3), None, Some(99.89))]);
        }
    }
}

#[test]
fn a_map_that_cannot_be_used_makes_what_is_blank_undecidable() {
    let lost = "0x0 0x1000000 -\n";
    let undecidable = of("undecidable", None, Some("rescue_map"), None);
    for (script, pattern, expected) in [
        (BLANK, "", undecidable.clone()),
        (BLANK, "BAD SECTOR ", undecidable.clone()),
        (BLANK, "\u{1}", undecidable.clone()),
        (SINGLE, "", of("single", Some(1), None, None)),
        (MULTI, "", of("multi", Some(2), None, None)),
    ] {
        for map in [BROKEN, lost, "", "garbage\u{0}", "0 + 1\n0 9 +\n0 9 -\n"] {
            for order in [BEFORE, AFTER] {
                let folder = Folder::new();
                folder.image("disk.img", script).file("disk.map", map);
                if !pattern.is_empty() {
                    folder.filled("disk.img", "0 ? 1\n0 0x1000000 ?\n", pattern);
                }
                let (images, warnings) = said(&folder, &order);
                assert_eq!(images, std::slice::from_ref(&expected), "{script} {pattern} {map}");
                assert!(matches!(&warnings[..], [told] if told.starts_with("disk.map is ignored: ")), "{warnings:?}");
            }
        }
    }
}

#[test]
fn a_map_that_cannot_be_used_leaves_what_stands_by_itself() {
    let single_gpt = "label: gpt\nsize=8192\n";
    let empty_extended = "label: dos\n,8192,83\n,,5\n";
    let fat: &[&str] = &["mkfs.vfat"];
    let ext4: &[&str] = &["mkfs.ext4", "-q", "-F"];
    for (script, mkfs, verdict) in [
        (single_gpt, None, "single"),
        (BLANK, Some(("dosfstools", fat)), "none"),
        // Its first sectors are blank: an MBR may have been there. So is the first EBR: another partition may have.
        (BLANK, Some(("e2fsprogs", ext4)), "undecidable"),
        (empty_extended, None, "undecidable"),
    ] {
        let folder = Folder::new();
        folder.image("disk.img", script).file("disk.map", BROKEN);
        if script == empty_extended {
            let image = OpenOptions::new().write(true).open(folder.path("disk.img")).expect("the image");
            image.write_all_at(&[0; 512], (2048 + 8192) * 512).expect("written");
        }
        if let Some((package, [tool, args @ ..])) = mkfs {
            run(package, tool, &[args, &[folder.path("disk.img").to_str().expect("UTF-8")]].concat(), "");
        }
        let (images, warnings) = said(&folder, &AFTER);
        assert_eq!((&images[0][1], warnings.len()), (&json!(verdict), 1), "{script} {mkfs:?}");
    }
}

#[test]
fn a_map_that_is_too_large_to_be_read_makes_what_is_blank_undecidable() {
    let map: Vec<String> = (0..1_400_000).map(|at| format!("{at:#x} 0x1 -")).collect();
    let map = format!("0 + 1\n{}\n", map.join("\n"));
    let folder = Folder::new();
    let (images, warnings) = said(folder.image("disk.img", BLANK).file("disk.map", map), &AFTER);
    assert_eq!(images, [of("undecidable", None, Some("rescue_map"), None)]);
    assert!(warnings[0].contains("at most 16777216 are read"), "{warnings:?}");
}

#[test]
fn files_that_are_no_map_of_an_image_are_no_business_of_ours() {
    let folder = Folder::new();
    folder.image("disk.img", BLANK).file("disk.map", ALL).file("app.js.map", r#"{"version":3}"#);
    folder.file("System.map", "ffffffff T _text\n").file("._disk.map", b"\0\x05\x16\x07\0\x02\0\0Mac OS X");
    folder.file("disk.log", "opened /dev/sr0\n").file("other/disk.map", BROKEN).file("mapfile", "parity.ps.com 10.1\n");
    let files = ["app.js.map", "._disk.map", "disk.log", "disk.img", "disk.map", "System.map", "other", "mapfile"];
    assert_eq!(said(&folder, &files), (vec![of("none", Some(0), None, Some(100.0))], vec![]));
    // Without its own map, none of them is.
    let files: Vec<&str> = files.into_iter().filter(|name| *name != "disk.map").collect();
    assert_eq!(said(&folder, &files), (vec![of("none", Some(0), None, None)], vec![]));
}

#[test]
fn the_names_that_people_give_a_map_count() {
    for name in ["disk.MAP", "disk.img.map", "disk.mapfile", "disk.img.Mapfile", "disk.log", "disk.img.log", "mapfile"]
    {
        let folder = Folder::new();
        folder.image("disk.img", SINGLE).file(name, WITHOUT_TABLE);
        for files in [[name, "disk.img"], ["disk.img", name]] {
            let (images, warnings) = said(&folder, &files);
            assert_eq!(
                (&images[0], warnings.len()),
                (&of("undecidable", None, Some("unread"), Some(75.0)), 0),
                "{name}"
            );
        }
    }
}

#[test]
fn of_images_of_the_same_name_the_folder_tells_which_the_map_is_of() {
    let folder = Folder::new();
    folder.image("a/disk.img", SINGLE).image("b/disk.img", SINGLE).file("b/disk.map", WITHOUT_TABLE);
    let (images, _) = said(&folder, &["a", "b"]);
    let paths = (of("single", Some(1), None, None), of("undecidable", None, Some("unread"), Some(75.0)));
    assert_eq!((&images[0], &images[1]), (&paths.0, &paths.1));
}

#[test]
fn a_map_is_found_by_the_suffix_that_images_have() {
    let folder = Folder::new();
    folder.image("disk.raw", SINGLE).file("disk.map", WITHOUT_TABLE);
    let (images, _) = said_with(&folder, &["disk.raw", "disk.map"], &["--image-suffix", ".RAW"]);
    assert_eq!(images[0][1..], of("undecidable", None, Some("unread"), Some(75.0))[1..]);
}

#[test]
fn a_map_counts_where_the_archive_is_cut_behind_it() {
    let scan = Scan::new().args(&["--min-image-size", "1", "--dry-run", "--min-archive-size", "1"]);
    let folder = Folder::new();
    folder.image("disk.img", SINGLE).file("disk.map", WITHOUT_TABLE).file("noise", content(4 << 20));
    folder.pack(&scan.archive(HASH), &["disk.img", "disk.map", "noise"]);
    let archive = OpenOptions::new().write(true).open(scan.archive(HASH)).expect("the archive");
    let length = archive.metadata().expect("metadata").len();
    archive.set_len(length / 2).expect("cut");
    assert_eq!(scan.run().code, 1);
    let lines = scan.logged();
    let check = of_stage(&lines, "partition_check")[0];
    assert_eq!(
        ["partitions", "reason", "rescued_pct"].map(|key| &check[key]),
        [&Value::Null, &json!("unread"), &json!(75.0)]
    );
}

/// Data that zstd makes smaller, and that has no long repeats: 9 of every 16 bytes are random.
fn half_random(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut data = Vec::with_capacity(len + 16);
    while data.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        data.extend(state.to_le_bytes());
        data.push(b'a' + state.to_le_bytes()[3] % 4);
        data.extend(b"example");
    }
    data
}

#[test]
fn a_map_that_cannot_be_used_has_nothing_decoded_again() {
    let decoded = |map: &str, order: [&str; 2]| {
        let scan = Scan::new().args(&["--min-image-size", "1", "--dry-run"]);
        let folder = Folder::new();
        folder.image("disk.img", SINGLE).file("disk.map", map).file("noise", half_random(24 << 20));
        let image = OpenOptions::new().write(true).open(folder.path("disk.img")).expect("the image");
        image.write_all_at(&half_random(15 << 20), MIB).expect("written");
        folder.pack(&scan.archive(HASH), &["noise", order[0], order[1], "noise"]);
        let lines = scan.lines();
        let complete = of_stage(&lines, "archive_complete")[0].clone();
        assert_eq!(of_stage(&lines, "partition_check")[0]["partitions"], 1);
        ["decoded_bytes", "fallbacks", "rewinds"].map(|key| complete[key].as_u64().expect("a number"))
    };
    for order in [BEFORE, AFTER] {
        let [bytes, fallbacks, rewinds] = decoded(ALL, order);
        assert!(bytes < 8 << 20, "{bytes}");
        for map in [BROKEN, "garbage"] {
            let [broken_bytes, broken_fallbacks, broken_rewinds] = decoded(map, order);
            assert_eq!((broken_fallbacks, broken_rewinds), (fallbacks, rewinds), "{map}");
            assert!(broken_bytes <= bytes, "{map}: {broken_bytes} rather than {bytes}");
        }
    }
}

#[test]
fn where_all_is_decoded_no_map_has_anything_decoded_twice() {
    let long: Vec<String> = (0..200_000).map(|at| format!("{at:#x} 0x1 +")).collect();
    let long = format!("0 + 1\n{}\n200000 0x1000000 +\n", long.join("\n"));
    for map in [&long, ALL, BROKEN] {
        for files in [&["disk.map", "noise", "disk.img"][..], &["disk.img", "disk.map", "noise"]] {
            let scan = Scan::new().args(&["--min-image-size", "1", "--dry-run", "--engine", "decode"]);
            let folder = Folder::new();
            folder.image("disk.img", SINGLE).file("disk.map", map).file("noise", half_random(8 << 20));
            folder.pack(&scan.archive(HASH), files);
            let lines = scan.lines();
            assert_eq!(of_stage(&lines, "archive_complete")[0]["rewinds"], 0, "{files:?}");
            let check = of_stage(&lines, "partition_check")[0];
            let share = if map == BROKEN { Value::Null } else { json!(100.0) };
            assert_eq!((&check["partitions"], &check["rescued_pct"]), (&json!(1), &share));
        }
    }
}

#[test]
fn an_undecided_image_is_kept_whatever_its_map_is_like() {
    for (map, reason) in [(BROKEN, "rescue_map"), (WITHOUT_TABLE, "unread")] {
        let scan = Scan::new().args(&["--min-image-size", "1", "--keep-undecided"]);
        let folder = Folder::new();
        folder.image("disk.img", BLANK).file("disk.map", map).pack(&scan.archive(HASH), &AFTER);
        scan.run();
        let lines = scan.logged();
        let check = of_stage(&lines, "partition_check")[0];
        let said = ["action", "partitions", "reason"].map(|key| &check[key]);
        assert_eq!(said, [&json!("KEPT"), &Value::Null, &json!(reason)], "{check}");
        assert_eq!(File::open(scan.staging().join(HASH).join("disk.img")).unwrap().metadata().unwrap().len(), 16 * MIB);
    }
}
