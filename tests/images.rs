//! Which members are images: hard links, which extracting makes into files, and what is said where there is none.

#![cfg(feature = "oracles")]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::disk::{assert_same_bytes, by_sfdisk, extents};
use common::scan::{Ended, Scan, end, imgsieve, of_stage, words};
use common::{content, run, status};
use serde_json::{Value, json};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const SITE: &str = "min_image_size = '1MB'";
const ENGINES: [&str; 3] = ["decode", "skip", "auto"];

/// A disk of 48 MiB with two partitions, and data in them.
fn disk(path: &Path) {
    File::create(path).and_then(|file| file.set_len(48 * MIB)).expect("a file");
    run("fdisk", "sfdisk", &["--quiet", path.to_str().expect("UTF-8")], "label: dos\n2048,20480,83\n,20480,83\n");
    let file = File::options().write(true).open(path).expect("ours");
    for start in [1, 30] {
        file.write_all_at(&content(2_000_000), start * MIB).expect("room");
    }
}

/// A folder with a disk of any name and hard links to it.
fn folder_of(name: &str, links: &[&str]) -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let disk_path = folder.path().join(name);
    fs::create_dir_all(disk_path.parent().expect("a folder")).expect("a folder");
    disk(&disk_path);
    for link in links {
        let link = folder.path().join(link);
        fs::create_dir_all(link.parent().expect("a folder")).expect("a folder");
        fs::hard_link(&disk_path, link).expect("a link");
    }
    folder
}

/// Writes these of the folder's files to an archive.
fn pack(program: &str, options: &[&str], folder: &Path, names: &[&str], archive: &Path) {
    let mut tar = Command::new(program);
    tar.args(options).args(["--zstd", "-cf"]).arg(archive).arg("-C").arg(folder).args(names);
    assert_eq!(status(&mut tar, if program == "tar" { "tar" } else { "libarchive-tools" }), 0);
}

fn inspect(path: &Path, args: &[&str]) -> (Ended, Value) {
    let ended = end(imgsieve().args(["inspect", "--json"]).args(args).arg(path));
    let report = serde_json::from_str(&ended.stdout).expect("JSON");
    (ended, report)
}

fn reasons(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().map(|warning| warning["reason"].as_str().expect("a word")).collect()
}

#[test]
fn a_hard_link_is_staged_as_what_extracting_makes_of_it() {
    let folder = folder_of("x/medium.raw", &["x/zz.img"]);
    // Behind the link, so that it is not the end of the archive that makes its frame whole.
    fs::write(folder.path().join("x/log"), content(3_000_000)).expect("a file");
    let writers: [(&str, &[&str]); 8] = [
        ("tar", &["--format=gnu"]),
        ("tar", &["--format=gnu", "-S"]),
        ("tar", &["--format=posix", "-S"]),
        ("tar", &["--format=ustar"]),
        ("tar", &["--format=v7"]),
        ("bsdtar", &["--format=pax"]),
        ("bsdtar", &["--format=gnutar"]),
        ("bsdtar", &["--format=v7tar"]),
    ];
    for (index, (program, options)) in writers.into_iter().enumerate() {
        let scan = Scan::new().site(SITE).args(&["--engine", ENGINES[index % 3]]);
        let archive = scan.archive("h");
        pack(program, options, folder.path(), &["x/medium.raw", "x/zz.img", "x/log"], &archive);
        let extracted = scan.folder().join("extracted");
        fs::create_dir(&extracted).expect("a folder");
        let mut tar = Command::new(program);
        tar.arg("-xf").arg(&archive).arg("-C").arg(&extracted);
        assert_eq!(status(&mut tar, program), 0);

        let what = format!("{program} {options:?}");
        let lines = scan.lines();
        let staged = scan.staging().join("h/zz.img");
        assert_same_bytes(&staged, &extracted.join("x/zz.img"));
        assert_eq!(fs::read_dir(scan.staging().join("h")).expect("a folder").count(), 1, "{what}");
        let [found] = of_stage(&lines, "img_found")[..] else { panic!("{what}: {lines:?}") };
        let [check] = of_stage(&lines, "partition_check")[..] else { panic!("{what}: {lines:?}") };
        for line in [found, check] {
            let facts = json!([line["img"], line["member"], line["size_bytes"]]);
            assert_eq!(facts, json!(["zz.img", "x/zz.img", 48 * MIB]), "{what}");
        }
        let facts = ["action", "partitions", "verified", "existing"].map(|key| &check[key]);
        assert_eq!(json!(facts), json!(["KEPT", 2, true, false]), "{what}");
        assert_eq!(Some(extents(&check["partition_list"])), by_sfdisk(&staged), "{what}");
        assert_eq!(of_stage(&lines, "warning"), Vec::<&Value>::new(), "{what}");
        let complete = of_stage(&lines, "archive_complete")[0];
        assert_eq!(json!([complete["imgs"], complete["kept_imgs"]]), json!([1, 1]), "{what}");
        // It is not written again, and the archive is not read again.
        assert_eq!(scan.run().code, 0);
        assert_eq!(of_stage(&scan.logged(), "partition_check").last().expect("one")["existing"], true, "{what}");
        assert_eq!(scan.run_with(&["--resume"]).code, 0);
        assert_eq!(of_stage(&scan.logged(), "archive_resumed").len(), 1, "{what}");
    }
}

#[test]
fn a_hard_link_says_the_same_with_every_engine_and_is_not_decoded_for_its_verdict() {
    let folder = folder_of("medium.raw", &["zz.img"]);
    fs::write(folder.path().join("before"), content(20_000_000)).expect("a file");
    fs::write(folder.path().join("after"), content(20_000_000)).expect("a file");
    let archive = folder.path().join("a.tar.zst");
    pack("tar", &[], folder.path(), &["before", "medium.raw", "after", "zz.img"], &archive);
    let mut said = Vec::new();
    for engine in ENGINES {
        let scan = Scan::new().site(SITE).args(&["--engine", engine, "--dry-run", "--min-archive-size", "0"]);
        fs::copy(&archive, scan.archive("h")).expect("a copy");
        let lines = scan.lines();
        let mut check = of_stage(&lines, "partition_check")[0].clone();
        for key in ["ts", "run"] {
            check.as_object_mut().expect("an object").shift_remove(key);
        }
        said.push(check);
        let complete = of_stage(&lines, "archive_complete")[0];
        let content = complete["content_bytes"].as_u64().expect("bytes");
        let decoded = complete["decoded_bytes"].as_u64().expect("bytes");
        match engine {
            "decode" => assert!((content..3 * content).contains(&decoded), "{complete}"),
            _ => assert!(decoded < content / 10, "{complete}"),
        }
        assert_eq!(complete["verified"], engine == "decode");
        let (ended, report) = inspect(&archive, &["--engine", engine]);
        assert_eq!((ended.code, reasons(&report["warnings"])), (0, vec![]), "{engine}");
        let image = &report["images"][0];
        assert_eq!(json!([image["img"], image["size_bytes"], image["count"]]), json!(["zz.img", 48 * MIB, 2]));
    }
    assert!(said[0]["action"] == "would_keep" && said.iter().all(|check| *check == said[0]), "{said:?}");
}

#[test]
fn a_rescue_map_of_the_links_name_is_its_map() {
    let folder = folder_of("medium.raw", &["zz.img"]);
    fs::write(folder.path().join("zz.map"), "0x0 ? 1\n0x0 0x400 -\n0x400 0x2FFFC00 +\n").expect("a file");
    // No table is left where the map says that nothing was read.
    File::options()
        .write(true)
        .open(folder.path().join("medium.raw"))
        .and_then(|file| file.write_all_at(&[0; 512], 0))
        .expect("ours");
    for names in [["medium.raw", "zz.img", "zz.map"], ["zz.map", "medium.raw", "zz.img"]] {
        let scan = Scan::new().site(SITE);
        pack("tar", &[], folder.path(), &names, &scan.archive("h"));
        assert_eq!(scan.run().code, 1, "undecided");
        let check = of_stage(&scan.logged(), "partition_check")[0].clone();
        assert_eq!(json!([check["img"], check["reason"]]), json!(["zz.img", "unread"]), "{names:?}");
    }
}

#[test]
fn links_that_are_no_images_are_warned_of_by_scan_and_inspect() {
    let folder = folder_of("disk.img", &["again.img", "other.raw"]);
    std::os::unix::fs::symlink("disk.img", folder.path().join("soft.img")).expect("a link");
    let expected = ["same_content", "not_a_file", "link_target"];
    let scan = Scan::new().site(SITE);
    let path = folder.path().join("a.tar");
    let mut builder = tar::Builder::new(File::create(&path).expect("a file"));
    builder.follow_symlinks(false);
    builder.append_path_with_name(folder.path().join("disk.img"), "disk.img").expect("room");
    for (kind, name, target) in [
        (tar::EntryType::Link, "again.img", "./disk.img"),
        (tar::EntryType::Link, "other.raw", "disk.img"),
        (tar::EntryType::Symlink, "soft.img", "disk.img"),
        (tar::EntryType::Link, "lost.img", "x/none.raw"),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        builder.append_link(&mut header, name, target).expect("room");
    }
    builder.into_inner().expect("written");
    run("zstd", "zstd", &["-q", path.to_str().expect("UTF-8"), "-o", scan.archive("h").to_str().expect("UTF-8")], "");
    let lines = scan.lines();
    assert_eq!(words(&of_stage(&lines, "warning"), "reason"), expected);
    let messages = words(&of_stage(&lines, "warning"), "message");
    assert!(
        messages[0].contains("again.img is a hard link to ./disk.img, the same content as disk.img"),
        "{messages:?}"
    );
    assert!(
        messages[2].contains("lost.img is a hard link to x/none.raw, which is not in the archive before it"),
        "{messages:?}"
    );
    assert_eq!(words(&of_stage(&lines, "img_found"), "img"), ["disk.img"]);
    let (ended, report) = inspect(&scan.archive("h"), &[]);
    assert_eq!((ended.code, reasons(&report["warnings"])), (0, expected.to_vec()));
    assert_eq!(report["images"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_archive_without_an_image_says_what_its_largest_file_is() {
    let folder = folder_of("h.dd", &[]);
    fs::write(folder.path().join("small.img"), content(900_000)).expect("a file");
    fs::write(folder.path().join("log"), "a line\n").expect("a file");
    let cases: [(&[&str], &str); 3] = [
        (&["log", "h.dd"], "no image: no file name ends in .img; the largest file is h.dd, 50.3 MB"),
        (&["small.img", "log"], "no image larger than 1MB: the largest is small.img, 900 kB"),
        (
            &["small.img", "h.dd"],
            "no image larger than 1MB: the largest is small.img, 900 kB; the largest file is h.dd, 50.3 MB",
        ),
    ];
    let scan = Scan::new().site(SITE);
    for (index, (names, _)) in cases.iter().enumerate() {
        pack("tar", &[], folder.path(), names, &scan.archive(&format!("h{index}")));
    }
    fs::copy(folder.path().join("log"), scan.collection().join("h0.map")).expect("a copy");
    let ended = scan.run();
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = scan.logged();
    for (index, (_, message)) in cases.iter().enumerate() {
        let hash = format!("h{index}");
        let own: Vec<&Value> = of_stage(&lines, "warning").into_iter().filter(|line| line["hash"] == *hash).collect();
        let [warning] = own[..] else { panic!("{own:?}") };
        assert_eq!(json!([warning["reason"], warning["message"]]), json!(["no_image", message]));
    }
    assert!(ended.stdout.contains("3 archives without an image."), "{}", ended.stdout);
    assert!(ended.stdout.contains("Left out: 1 file not named like an archive (h0.map)."), "{}", ended.stdout);
    assert_eq!(lines[0]["other_endings"], 1);
    assert_eq!(lines.last().expect("a line")["archives_without_image"], 3);
    let report = |args: &[&str]| end(imgsieve().arg("report").args(args).arg(scan.log())).stdout;
    assert!(report(&[]).contains("\n3 archives without an image.\n"), "{}", report(&[]));
    let value: Value = serde_json::from_str(&report(&["--json"])).expect("JSON");
    assert_eq!(value["totals"]["archives_without_image"], 3);

    // What an earlier run found out is told again.
    let ended = scan.run_with(&["--resume", "--json"]);
    let summary: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let facts = ["archives_resumed", "archives_without_image", "other_endings"].map(|key| summary[key].clone());
    assert_eq!(json!(facts), json!([3, 3, 1]), "{ended:?}");

    // To inspect, any size is one.
    let (ended, report) = inspect(&scan.archive("h0"), &[]);
    assert_eq!((ended.code, reasons(&report["warnings"])), (0, vec!["no_image"]));
    assert_eq!(report["warnings"][0]["message"], cases[0].1);
    let (_, report) = inspect(&scan.archive("h1"), &[]);
    assert_eq!(report["warnings"], Value::Null);
}

#[test]
fn an_archive_that_was_not_read_to_its_end_is_not_said_to_have_no_image() {
    let folder = folder_of("h.dd", &[]);
    let scan = Scan::new().site(SITE);
    pack("tar", &[], folder.path(), &["h.dd"], &scan.archive("h"));
    let whole = fs::read(scan.archive("h")).expect("readable");
    fs::write(scan.archive("h"), &whole[..whole.len() / 2]).expect("written");
    let ended = scan.run();
    assert_eq!(ended.code, 1);
    assert!(!ended.stdout.contains("without an image"), "{}", ended.stdout);
    assert!(of_stage(&scan.logged(), "warning").is_empty());
}

#[test]
fn every_ending_of_an_archive_is_read_by_scan_and_inspect() {
    let scan = Scan::new().site(SITE);
    let folder = folder_of("disk.img", &[]);
    let archive = folder.path().join("a.tar.zst");
    pack("tar", &[], folder.path(), &["disk.img"], &archive);
    let paths: Vec<PathBuf> =
        ["a.tzst", "b.tar.zstd", "C.TAR.ZST"].iter().map(|name| scan.collection().join(name)).collect();
    for path in &paths {
        fs::copy(&archive, path).expect("a copy");
    }
    let lines = scan.lines();
    assert_eq!(words(&of_stage(&lines, "archive_start"), "hash"), ["C", "a", "b"]);
    for hash in ["a", "b", "C"] {
        assert!(scan.staging().join(hash).join("disk.img").is_file(), "{hash}");
    }
    for path in &paths {
        let (ended, report) = inspect(path, &[]);
        assert_eq!((ended.code, &report["images"][0]["img"]), (0, &json!("disk.img")));
        // By its name it is an archive, whatever it holds.
        fs::write(path, "no archive").expect("written");
        assert_eq!(inspect(path, &[]).1["error"]["reason"], "not_zstd");
    }
    // Two of one hash would share a folder in staging.
    fs::copy(&archive, scan.collection().join("a.tar.zst")).expect("a copy");
    fs::copy(&archive, scan.collection().join("a.tzst")).expect("a copy");
    assert_eq!(scan.run_with(&["--only", "a"]).code, 1);
    assert_eq!(of_stage(&scan.logged(), "error").last().expect("one")["reason"], "hash_taken");
}

#[test]
fn several_endings_of_images_are_looked_for() {
    let folder = folder_of("a.dd", &[]);
    fs::copy(folder.path().join("a.dd"), folder.path().join("b.RAW")).expect("a copy");
    fs::copy(folder.path().join("a.dd"), folder.path().join("c.e01")).expect("a copy");
    let scan = Scan::new().site(SITE);
    pack("tar", &[], folder.path(), &["a.dd", "b.RAW", "c.e01"], &scan.archive("h"));
    let lines = scan.args(&["--image-suffix", ".img,.dd,.raw"]).lines();
    assert_eq!(words(&of_stage(&lines, "img_found"), "img"), ["a.dd", "b.RAW"]);
    assert_eq!(lines[0]["rules"]["image_suffix"], ".img,.dd,.raw");
}
