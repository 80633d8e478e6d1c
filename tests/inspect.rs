//! `imgsieve inspect`: what it prints of archives, plain and compressed images, its exit code, and that it writes nothing.

#![cfg(feature = "oracles")]

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use common::disk::{by_sfdisk, extents};
use common::fixture;
use common::run;
use common::scan::{Ended, end, imgsieve};
use serde_json::{Value, json};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// The fields of an image in the order of the specification.
const IMAGE_FIELDS: [&str; 10] =
    ["img", "size_bytes", "label", "sector_size", "gpt_copy", "damaged", "count", "verdict", "reason", "partitions"];
/// The fields of a partition in that order.
const PARTITION_FIELDS: [&str; 9] =
    ["number", "start_bytes", "size_bytes", "type", "name", "kind", "fs", "fs_label", "fs_uuid"];

const DOS: &str = "label: dos\n2048,20480,83\n,20480,7\n,,5\n,8192,83\n,8192,82\n";
const GPT: &str = "label: gpt\nsize=20480,type=U,name=\"EFI system\"\nsize=8192,name=\"grüße\"\n";

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An image with the table that sfdisk makes of a script.
    fn image(&self, name: &str, script: &str) -> PathBuf {
        let path = self.blank(name);
        run("fdisk", "sfdisk", &["--quiet", path.to_str().expect("UTF-8")], script);
        path
    }

    fn blank(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        File::create(&path).and_then(|file| file.set_len(64 * MIB)).expect("a file");
        path
    }

    /// Every name in it, with length and time.
    fn listing(&self) -> BTreeMap<PathBuf, (u64, SystemTime)> {
        let entries = std::fs::read_dir(self.0.path()).expect("a folder").map(|entry| entry.expect("an entry"));
        entries
            .map(|entry| {
                let metadata = entry.metadata().expect("metadata");
                (entry.path(), (metadata.len(), metadata.modified().expect("a time")))
            })
            .collect()
    }
}

fn inspect(args: &[&str], files: &[&Path]) -> Ended {
    end(imgsieve().arg("inspect").args(args).args(files))
}

/// The reports on files, all of which can be read.
fn reports(files: &[&Path]) -> Vec<Value> {
    let ended = inspect(&["--json"], files);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    let reports: Vec<Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let names: Vec<_> = reports.iter().map(|report| report["file"].as_str().expect("a name")).collect();
    assert_eq!(names, files.iter().map(|file| file.to_str().expect("UTF-8")).collect::<Vec<_>>());
    reports
}

fn keys(object: &Value) -> Vec<&str> {
    object.as_object().expect("an object").keys().map(String::as_str).collect()
}

#[test]
fn json_has_the_fields_of_the_specification_in_their_order() {
    let folder = Folder::new();
    let report = &reports(&[&folder.image("a.img", GPT)])[0];
    assert_eq!(keys(report), ["file", "images"]);
    let image = &report["images"][0];
    assert_eq!(keys(image), IMAGE_FIELDS);
    assert_eq!(keys(&image["partitions"][0]), PARTITION_FIELDS);
    let partition = json!({"number": 2, "start_bytes": 22528 * 512, "size_bytes": 8192 * 512,
        "type": "0FC63DAF-8483-4772-8E79-3D69D8477DE4", "name": "grüße", "kind": "primary",
        "fs": null, "fs_label": null, "fs_uuid": null});
    assert_eq!(image["partitions"][1], partition);
    let rest = IMAGE_FIELDS[..9].iter().map(|&key| image[key].clone()).collect::<Vec<_>>();
    assert_eq!(json!(rest), json!(["a.img", 64 * MIB, "gpt", 512, "primary", false, 2, "multi", null]));
}

#[test]
fn fields_that_are_added_leave_the_others_in_their_order() {
    for name in ["gpt-backup-only", "sparse-9g", "whole-fat", "unread-ebr", "ebr-broken-multi", "name-not-utf-8"] {
        let ended = inspect(&["--json"], &[&fixture::named(name).path()]);
        let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let image = &report["images"][0];
        let fixed: Vec<_> = keys(image).into_iter().filter(|key| IMAGE_FIELDS.contains(key)).collect();
        assert_eq!(fixed, IMAGE_FIELDS, "{name}");
        assert_eq!(keys(&report)[..2], ["file", "images"], "{name}");
    }
}

#[test]
fn the_partitions_of_a_plain_image_are_what_sfdisk_reads() {
    let folder = Folder::new();
    let chain = "label: dos\n2048,2048,c\n8192,65536,f\n10240,2048,83\n20480,2048,83\n40960,2048,7\n100000,2048,83\n";
    let holes = "label: gpt\n2 : size=8192\n5 : size=8192,type=S\n7 : size=2048\n";
    for (index, script) in [DOS, GPT, chain, holes, "label: gpt\n", "label: dos\n"].into_iter().enumerate() {
        let path = folder.image(&format!("{index}.img"), script);
        let report = &reports(&[&path])[0]["images"][0];
        let ours = extents(&report["partitions"]);
        assert_eq!(Some(ours), by_sfdisk(&path), "{script}");
        assert_eq!(report["damaged"], false, "{script}");
    }
}

#[test]
fn the_partitions_that_sgdisk_makes_are_what_sfdisk_reads() {
    let folder = Folder::new();
    let path = folder.blank("sgdisk.img");
    let args = ["-n", "1:2048:+8M", "-n", "4:0:+4M", "-c", "4:data", "-t", "1:ef00", "-n", "128:0:0", "-d", "1"];
    run("gdisk", "sgdisk", &[&args[..], &[path.to_str().expect("UTF-8")]].concat(), "");
    let report = &reports(&[&path])[0]["images"][0];
    assert_eq!(Some(extents(&report["partitions"])), by_sfdisk(&path));
    assert_eq!((&report["count"], &report["partitions"][0]["name"]), (&json!(2), &json!("data")));
}

#[test]
fn containers_are_listed_and_not_counted() {
    let folder = Folder::new();
    let report = &reports(&[&folder.image("a.img", DOS)])[0]["images"][0];
    let kinds: Vec<_> = report["partitions"].as_array().expect("a list").iter().map(|p| p["kind"].clone()).collect();
    assert_eq!(json!(kinds), json!(["primary", "primary", "extended", "logical", "logical"]));
    assert_eq!(report["count"], 4);
}

#[test]
fn verdicts_are_multi_single_and_none() {
    let folder = Folder::new();
    let single = folder.image("single.img", "label: dos\n,,83\n");
    let empty = folder.image("empty.img", "label: gpt\n");
    let reports = reports(&[&folder.image("multi.img", GPT), &single, &empty, &folder.blank("blank.img")]);
    let answers: Vec<_> = reports
        .iter()
        .map(|report| report["images"][0].clone())
        .map(|i| json!([i["verdict"], i["count"], i["label"]]))
        .collect();
    assert_eq!(
        json!(answers),
        json!([["multi", 2, "gpt"], ["single", 1, "dos"], ["none", 0, "gpt"], ["none", 0, null]])
    );
}

#[test]
fn a_compressed_image_is_what_the_plain_one_is() {
    let folder = Folder::new();
    let plain = folder.image("disk.img", DOS);
    run("zstd", "zstd", &["-q", "--sparse", plain.to_str().expect("UTF-8")], "");
    let compressed = folder.path("disk.img.zst");
    let reports = reports(&[&plain, &compressed]);
    let [plain, compressed] = [&reports[0]["images"][0], &reports[1]["images"][0]];
    for key in &IMAGE_FIELDS[1..] {
        assert_eq!(plain[key], compressed[key], "{key}");
    }
    assert_eq!(compressed["img"], "disk.img.zst");
}

#[test]
fn a_compressed_image_that_begins_with_zeros_is_not_taken_for_a_tar_of_no_members() {
    let folder = Folder::new();
    let plain = folder.blank("disk.img");
    run("e2fsprogs", "mkfs.ext4", &["-q", "-F", plain.to_str().expect("UTF-8")], "");
    run("zstd", "zstd", &["-q", "--sparse", plain.to_str().expect("UTF-8")], "");
    let reports = reports(&[&folder.path("disk.img.zst")]);
    assert_eq!((&reports[0]["images"][0]["verdict"], &reports[0]["warnings"]), (&json!("none"), &Value::Null));
}

#[test]
fn every_image_of_an_archive_is_listed_whatever_its_size() {
    let folder = Folder::new();
    folder.image("a.img", DOS);
    folder.image("B.IMG", GPT);
    std::fs::write(folder.path("notes.txt"), "no image").expect("a file");
    let archive = folder.path("both.tar.zst");
    let mut tar = std::process::Command::new("tar");
    tar.args(["--zstd", "-cf"]).arg(&archive).arg("-C").arg(folder.0.path()).args(["a.img", "notes.txt", "B.IMG"]);
    assert_eq!(common::status(&mut tar, "tar"), 0);
    let reports = reports(&[&archive, &folder.path("a.img"), &folder.path("B.IMG")]);
    let images = reports[0]["images"].as_array().expect("a list");
    assert_eq!(images.iter().map(|image| image["img"].clone()).collect::<Vec<_>>(), ["a.img", "B.IMG"]);
    assert_eq!(images[0], reports[1]["images"][0]);
    assert_eq!(images[1], reports[2]["images"][0]);
}

#[test]
fn another_suffix_finds_other_members() {
    let folder = Folder::new();
    folder.image("a.raw", DOS);
    folder.image("b.img", DOS);
    let archive = folder.path("x.tar.zst");
    let mut tar = std::process::Command::new("tar");
    tar.args(["--zstd", "-cf"]).arg(&archive).arg("-C").arg(folder.0.path()).args(["a.raw", "b.img"]);
    assert_eq!(common::status(&mut tar, "tar"), 0);
    let ended = inspect(&["--json", "--image-suffix", ".RAW"], &[&archive]);
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(
        (report["images"][0]["img"].clone(), report["images"].as_array().map(Vec::len)),
        (json!("a.raw"), Some(1))
    );
}

#[test]
fn the_table_for_people_names_file_image_and_every_partition() {
    let folder = Folder::new();
    let path = folder.image("a.img", GPT);
    let ended = inspect(&[], &[&path]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines[0], path.to_str().expect("UTF-8"));
    assert!(lines[1].contains("a.img") && lines[1].contains("multi: gpt, 2 partitions"), "{}", lines[1]);
    let cells: Vec<Vec<&str>> = lines[2..].iter().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["NR", "START", "SIZE", "KIND", "TYPE", "NAME", "FSTYPE", "LABEL", "UUID"]);
    assert_eq!(cells[1][..3], ["1", "1048576", "10485760"]);
    assert_eq!(cells[2][..3], ["2", "11534336", "4194304"]);
    assert_eq!((cells.len(), &cells[2][cells[2].len() - 2..]), (3, &["grüße", "-"][..]));
}

#[test]
fn what_is_in_a_partition_is_shown_with_label_and_uuid() {
    let folder = Folder::new();
    let path = folder.image("a.img", GPT);
    let part = folder.path("part");
    File::create(&part).and_then(|file| file.set_len(8192 * 512)).expect("a file");
    let uuid = "01234567-89ab-cdef-0123-456789abcdef";
    let label = "a b\u{202e}";
    let args = ["-q", "-F", "-L", label, "-U", uuid, part.to_str().expect("UTF-8")];
    run("e2fsprogs", "mkfs.ext4", &args, "");
    let bytes = std::fs::read(&part).expect("a file");
    File::options().write(true).open(&path).and_then(|file| file.write_all_at(&bytes, 22528 * 512)).expect("written");
    let partition = &reports(&[&path])[0]["images"][0]["partitions"][1];
    assert_eq!(["fs", "fs_label", "fs_uuid"].map(|key| &partition[key]), [&json!("ext4"), &json!(label), &json!(uuid)]);
    let text = inspect(&[], &[&path]).stdout;
    assert!(text.contains(&format!("grüße      ext4   a b\\u{{202e}} {uuid}\n")), "{text}");
    assert!(text.contains("2 partitions: ? 10.5 MB, ext4 4.19 MB"), "a label that is not plain is left out: {text}");
    let whole = &reports(&[&part])[0]["images"][0];
    assert_eq!(["fs", "fs_label", "fs_uuid"].map(|key| &whole[key]), [&json!("ext4"), &json!(label), &json!(uuid)]);
    let text = inspect(&[], &[&part]).stdout;
    assert!(text.contains(&format!("\n    whole disk: ext4, label a b\\u{{202e}}, UUID {uuid}\n")), "{text}");
}

#[test]
fn verbose_says_why_each_kind_of_table_was_rejected() {
    let folder = Folder::new();
    let path = folder.image("a.img", DOS);
    let ended = inspect(&["--json", "-v"], &[&path]);
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let rejected = report["images"][0]["rejected"].as_array().expect("a list");
    let backup = json!({"label": "gpt", "place": "backup at the end", "why": "not looked for: the image is dos"});
    assert!(rejected.contains(&backup), "{rejected:?}");
    let text = inspect(&["-v"], &[&path]).stdout;
    for why in [
        "behind a protective MBR: no protective MBR announces one",
        "primary at LBA 1; backup at the end: not looked for: the image is dos",
    ] {
        assert!(text.contains(&format!("\n    not gpt, {why}\n")), "{text}");
    }
    assert!(!inspect(&[], &[&path]).stdout.contains("not gpt"));
}

#[test]
fn entries_that_were_seen_and_rejected_are_named() {
    let folder = Folder::new();
    let path = folder.image("a.img", "label: dos\n2048,1000,c\n4000,1000,83\n");
    let boot = folder.path("boot");
    File::create(&boot).and_then(|file| file.set_len(40 << 20)).expect("a file");
    run("dosfstools", "mkfs.vfat", &["-F", "16", boot.to_str().expect("UTF-8")], "");
    let bytes = std::fs::read(&boot).expect("a file");
    let image = File::options().write(true).open(&path).expect("a file");
    image.write_all_at(&bytes[..62], 0).expect("written");
    // sfdisk makes no two partitions that overlap.
    image.write_all_at(&2500_u32.to_le_bytes(), 446 + 16 + 8).expect("written");
    let text = inspect(&[], &[&path]).stdout;
    let entries = "1 (type 0x0c, LBA 2048, 1000 sectors), 2 (type 0x83, LBA 2500, 1000 sectors)";
    let why = "outweighed by the boot sector of a file system around them";
    assert!(text.contains(&format!("; an MBR with 2 entries ({why}): {entries}\n")), "{text}");
    assert!(inspect(&["-v"], &[&path]).stdout.contains(&format!("\n    not dos: an MBR with 2 entries ({why}): ")));
}

#[test]
fn the_table_for_people_says_what_is_wrong() {
    let ended = inspect(&[], &[&fixture::named("gpt-backup-only").path(), &fixture::named("symlink").path()]);
    assert_eq!(ended.code, 0);
    assert!(ended.stdout.contains("(backup copy) (damaged), 2 partitions"), "{}", ended.stdout);
    assert!(ended.stdout.contains("    damaged: primary GPT at LBA 1"), "{}", ended.stdout);
    assert!(ended.stdout.contains("\n  no image\n"), "{}", ended.stdout);
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    for name in ["name-ansi", "name-newline", "name-bidi"] {
        let ended = inspect(&[], &[&fixture::named(name).path()]);
        let is_plain = |c: char| c == '\n' || !(c.is_control() || c == '\u{202e}');
        assert!(ended.stdout.chars().all(is_plain), "{name}: {:?}", ended.stdout);
        assert_eq!(ended.stdout.lines().filter(|line| line.contains("multi")).count(), 1, "{name}");
    }
}

#[test]
fn a_file_that_cannot_be_read_is_reported_and_the_others_are_inspected() {
    let folder = Folder::new();
    let (missing, image) = (folder.path("missing.img"), folder.image("a.img", DOS));
    let files: [&Path; 3] = [&missing, folder.0.path(), &image];
    let ended = inspect(&["--json"], &files);
    assert_eq!(ended.code, 1);
    let reports: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let reasons: Vec<_> = reports.iter().map(|report| report["error"]["reason"].clone()).collect();
    assert_eq!(reasons, [json!("io"), json!("not_a_file"), Value::Null]);
    assert_eq!(reports[0]["images"], json!([]));
    assert_eq!(reports[2]["images"][0]["count"], 4);
    let ended = inspect(&[], &files);
    assert_eq!((ended.code, ended.stdout.matches("\n  error: ").count()), (1, 2), "{}", ended.stdout);
}

#[test]
fn an_image_that_cannot_be_decided_on_makes_the_exit_code_one() {
    let ended = inspect(&["--json"], &[&fixture::named("unread-ebr").path()]);
    assert_eq!(ended.code, 1);
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let image = &report["images"][0];
    assert_eq!(json!([image["verdict"], image["count"], image["reason"]]), json!(["undecidable", null, "unread"]));
}

#[test]
fn without_a_file_it_is_wrong_usage() {
    let ended = inspect(&["--json"], &[]);
    assert_eq!((ended.code, &*ended.stdout), (2, ""));
    assert!(ended.stderr.contains("<FILE>"), "{}", ended.stderr);
}

#[test]
fn nothing_is_written() {
    let folder = Folder::new();
    folder.image("a.img", DOS);
    folder.blank("b.img");
    let archive = folder.path("c.tar.zst");
    std::fs::copy(fixture::named("sparse-gnu").path(), &archive).expect("a copy");
    let before = folder.listing();
    let files = [folder.path("a.img"), folder.path("b.img"), archive];
    let ended = end(imgsieve().arg("inspect").args(&files).current_dir(folder.0.path()).env("TMPDIR", folder.0.path()));
    assert_eq!(ended.code, 0);
    assert_eq!(folder.listing(), before);
}
