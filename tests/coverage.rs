//! Everything that is met comes to an end that is told: checked, left out by a rule, or failed.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use common::fixture;
use common::scan::{Scan, end, imgsieve, of_stage};

const MULTI: &str = "sparse-gnu";
const SINGLE: &str = "map-before";

/// A site file whose skip list has the archive.
fn scan_that_skips(hash: &str) -> Scan {
    Scan::of_named(&[MULTI, SINGLE]).site(&format!("[skip]\n{hash} = \"broken for good\"\n"))
}

fn paths(scan: &Scan, args: &[&str]) -> BTreeSet<String> {
    let ended = end(imgsieve().args(["report", "--unchecked", "-0"]).args(args).arg(scan.log()));
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.stdout.split_terminator('\0').map(str::to_owned).collect()
}

fn name(path: &str) -> String {
    Path::new(path).file_name().expect("a name").to_string_lossy().into_owned()
}

#[test]
fn every_file_of_a_collection_is_in_the_log_the_summary_and_the_report() {
    let skipped = fixture::named(SINGLE).hash;
    let scan = scan_that_skips(&skipped);
    let collection = scan.collection();
    for (file, content) in [("a.E01", "EVF"), ("notes.txt", "n"), ("empty.tar.zst", "")] {
        fs::write(collection.join(file), content).expect("a file");
    }
    fs::create_dir(collection.join("older")).expect("a folder");
    let ended = scan.run();
    assert_eq!(ended.code, 1, "an empty file is no archive: {ended:?}");
    let lines = scan.logged();
    let rules: Vec<Value> = of_stage(&lines, "left_out")
        .into_iter()
        .map(|line| {
            let names = line["files"].as_array().expect("a list").iter();
            let names: Vec<String> = names.map(|file| name(file["archive"].as_str().expect("a path"))).collect();
            json!([line["rule"], line["count"], names])
        })
        .collect();
    let skip_name = format!("{skipped}.tar.zst");
    assert_eq!(
        json!(rules),
        json!([["skip_list", 1, [skip_name]], ["other_ending", 2, ["a.E01", "notes.txt"]], ["folder", 1, ["older"]]])
    );
    for part in [
        &*format!("1 archive on the skip list ({skip_name}: broken for good)"),
        "2 files not named like an archive",
        "1 folder not entered",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    let unchecked: BTreeSet<String> = paths(&scan, &[]).iter().map(|path| name(path)).collect();
    let expected = [&*skip_name, "a.E01", "notes.txt", "older", "empty.tar.zst"].map(str::to_owned);
    assert_eq!(unchecked, BTreeSet::from(expected));
    let csv = end(imgsieve().args(["report", "--csv"]).arg(scan.log())).stdout;
    // A header, the image, the archive that failed, and what was left out.
    assert_eq!(csv.lines().count(), 1 + 1 + 1 + 4, "{csv}");
    assert_eq!(csv.lines().filter(|line| line.contains(",left_out,")).count(), 4, "{csv}");
    let report: Value =
        serde_json::from_str(&end(imgsieve().args(["report", "--json"]).arg(scan.log())).stdout).expect("JSON");
    assert_eq!(report["left_out"].as_array().map(Vec::len), Some(3));
}

#[test]
fn members_that_could_be_images_are_counted_with_the_rule_that_leaves_them_out() {
    let scan = Scan::of_named(&[MULTI]).args(&["--min-image-size", "2GB"]);
    let ended = scan.run();
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = scan.logged();
    let [complete] = of_stage(&lines, "archive_complete")[..] else { panic!("{lines:?}") };
    let left_out = &complete["left_out"][0];
    assert_eq!(json!([left_out["rule"], left_out["count"]]), json!(["too_small", 1]));
    assert!(
        ended.stdout.contains("Left out in archives: 1 image no larger than 2GB, the largest "),
        "{}",
        ended.stdout
    );
    assert_eq!(paths(&scan, &[]).len(), 1);

    let scan = Scan::of_named(&[MULTI]).args(&["--image-suffix", ".raw"]);
    let ended = scan.run();
    assert!(ended.stdout.contains("1 file larger than 1GB not named .raw, the largest "), "{}", ended.stdout);
    // What an earlier run left out is told again.
    let resumed = scan.run_with(&["--resume"]);
    assert!(resumed.stdout.contains("1 file larger than 1GB not named .raw, the largest "), "{}", resumed.stdout);
    assert_eq!(paths(&scan, &[]).len(), 1);
}

#[test]
fn a_limit_on_the_size_of_files_is_an_error_of_one_image() {
    let scan = Scan::of_named(&[MULTI, SINGLE]);
    let mut command = scan.command();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words.map(|word| format!("'{}'", word.to_str().expect("text"))).collect();
    let script = format!("ulimit -f 2000; exec {}", words.join(" "));
    let ended = end(std::process::Command::new("sh").args(["-c", &script]));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("File too large"), "{}", ended.stderr);
    assert_eq!(of_stage(&scan.logged(), "script_complete").len(), 1);
    // Where there is no limit, it is staged.
    assert_eq!(end(&mut command).code, 0);
}

#[test]
fn what_can_match_nothing_is_refused_before_anything_is_opened() {
    let hash = fixture::named(MULTI).hash;
    for (args, hint) in [
        (vec!["--skip".to_owned(), format!("{hash}.tar.zst")], format!(" (is {hash} meant?)")),
        (vec!["--skip".to_owned(), hash.to_ascii_uppercase()], format!(" (is {hash} meant?)")),
        (vec!["--only".to_owned(), hash[..8].to_owned()], format!(" (is {hash} meant?)")),
        (vec!["--skip".to_owned(), "none".to_owned()], String::new()),
    ] {
        let scan = Scan::of_named(&[MULTI]);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ended = scan.run_with(&args);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains(&format!("no archive of that hash{hint}; nothing was opened")), "{ended:?}");
        assert!(of_stage(&scan.logged(), "archive_start").is_empty());
    }
    let scan = Scan::of_named(&[MULTI]);
    let ended = scan.run_with(&["--image-suffix", "*.img"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    // A skip list that is the site file's own has to fit its collection, too.
    let ended = scan_that_skips("0123").run();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("[skip] of the site file, 0123: the collection has no archive of that hash"),
        "{ended:?}"
    );
}

/// The raw image of a GPT with three partitions whose first sectors could not be read, compressed without a tar.
fn gpt_without_first_sectors(scan: &Scan, blank: usize) -> Vec<u8> {
    let path = scan.folder().join("disk.img");
    fs::File::create(&path).and_then(|file| file.set_len(40 << 20)).expect("a file");
    let script = "label: gpt\n2048 16384 L\n- 16384 L\n- - L\n";
    let mut sfdisk = std::process::Command::new("sfdisk");
    let mut child =
        sfdisk.arg("-q").arg(&path).stdin(std::process::Stdio::piped()).spawn().expect("sfdisk is installed");
    std::io::Write::write_all(&mut child.stdin.take().expect("piped"), script.as_bytes()).expect("written");
    assert!(child.wait().expect("ends").success());
    let mut bytes = fs::read(&path).expect("an image");
    bytes[..blank].fill(0);
    bytes
}

#[test]
fn a_disk_that_begins_blank_is_no_tar_and_data_behind_a_tar_are_not_checked() {
    let scan = Scan::new().site("min_image_size = '1MB'");
    let compressed = |bytes: &[u8]| zstd::encode_all(bytes, 3).expect("memory");
    for blank in [512, 1024] {
        let raw = gpt_without_first_sectors(&scan, blank);
        fs::write(scan.archive(&format!("raw{blank}")), compressed(&raw)).expect("an archive");
    }
    let tar = |name: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_size(5);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, name, &b"hello"[..]).expect("memory");
        builder.into_inner().expect("memory")
    };
    let behind = [tar("a"), b"no header".repeat(4), tar("b")].concat();
    fs::write(scan.archive("behind"), compressed(&behind)).expect("an archive");
    fs::write(scan.archive("empty"), compressed(&[0; 10240])).expect("an archive");
    let ended = scan.run_with(&["--dry-run"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let lines = scan.logged();
    let errors = of_stage(&lines, "error");
    assert_eq!(errors.iter().filter(|error| error["reason"] == "not_tar").count(), 2, "{errors:?}");
    let ends = of_stage(&lines, "archive_complete");
    let behind = ends.iter().find(|end| end["hash"] == "behind").expect("it is read to its end");
    let size = behind["left_out"][0]["size_bytes"].as_u64().expect("a size");
    assert_eq!((&behind["left_out"][0]["rule"], size > 36), (&json!("behind_end"), true), "{behind}");
    assert!(ended.stdout.contains("1 archive with data behind the end of the tar"), "{}", ended.stdout);
    let unchecked: BTreeSet<String> = paths(&scan, &[]).iter().map(|path| name(path)).collect();
    assert_eq!(unchecked, ["behind", "raw1024", "raw512"].map(|hash| format!("{hash}.tar.zst")).into());
}
