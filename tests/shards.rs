//! A collection in parts, each surveyed by a run of its own: which archives are whose, from the listing or from a list.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Stdio;

use common::fixture;
use common::scan::{Ended, Scan, end, imgsieve, of_stage, words};
use imgsieve::shard::Shard;
use serde_json::{Value, json};

fn quick() -> Scan {
    Scan::of(&fixture::quick_collection()).args(&["--no-progress"])
}

/// The lines of a run with these arguments and a log of its own.
fn lines(scan: &Scan, name: &str, args: &[&str]) -> (Ended, Vec<Value>) {
    let log = scan.folder().join(name);
    let ended = end(scan.command().args(args).arg("--log").arg(&log));
    let text = fs::read_to_string(&log).unwrap_or_default();
    (ended, text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect())
}

fn started(lines: &[Value]) -> Vec<String> {
    words(&of_stage(lines, "archive_start"), "hash")
}

/// `sha256sum` of a name, modulo `count`, as another program has it.
fn shard_by_another_program(name: &str, count: u32) -> u32 {
    let sum = common::run("coreutils", "sha256sum", &[], name);
    let digits = sum.split(' ').next().expect("a sum").chars();
    digits.fold(0, |rest, digit| (rest * 16 + digit.to_digit(16).expect("hexadecimal")) % count)
}

#[test]
fn the_shards_of_a_collection_are_all_of_it_and_each_archive_is_in_one() {
    let scan = quick();
    let whole: BTreeSet<String> = started(&lines(&scan, "whole.jsonl", &["-n"]).1).into_iter().collect();
    let mut met = BTreeSet::new();
    for index in 0..3 {
        let shard = format!("--shard={index}/3");
        let (ended, lines) = lines(&scan, &format!("{index}.jsonl"), &["-n", &shard]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let own = started(&lines);
        for hash in &own {
            assert_eq!(shard_by_another_program(&format!("{hash}.tar.zst"), 3), index, "{hash}");
            assert!(met.insert(hash.clone()), "{hash}");
        }
        let start = of_stage(&lines, "script_start")[0];
        let told = ["shard", "shard_archives", "listed_archives", "total_archives"].map(|key| &start[key]);
        assert_eq!(json!(told), json!([format!("{index}/3"), own.len(), whole.len(), own.len()]));
        assert_eq!(start["not_selected"], 0, "what is another shard's is not left out");
        let options = start["options"].as_array().expect("options");
        assert!(options.contains(&json!(shard)), "{options:?}");
        let in_words = format!("shard {index} of 3: {} of {} archives", own.len(), whole.len());
        assert!(ended.stdout.contains(&format!("This was {in_words}.")), "{}", ended.stdout);
        let log = scan.folder().join(format!("{index}.jsonl"));
        let report = end(imgsieve().arg("report").arg(&log));
        assert!(report.stdout.contains(&in_words), "{}", report.stdout);
    }
    assert_eq!(met, whole);
}

#[test]
fn what_is_no_shard_is_wrong_usage() {
    for command in ["scan", "verify", "reprocess"] {
        for shard in ["8/8", "9/8", "0/0", "-1/8", "1", "a/b", ""] {
            let ended = end(imgsieve().args([command, &format!("--shard={shard}")]));
            assert_eq!((ended.code, &*ended.stdout), (2, ""), "{command} {shard}: {ended:?}");
            assert!(ended.stderr.contains("K below N"), "{}", ended.stderr);
        }
    }
    let ended = end(imgsieve().args(["scan", "-0"]));
    assert_eq!(ended.code, 2, "NUL ends the paths of no list: {ended:?}");
}

/// A link that leads nowhere can only be told of by who asks the file system for more than its name.
#[test]
fn nothing_is_asked_of_what_belongs_to_another_shard() {
    let scan = Scan::new().args(&["--no-progress", "-n"]);
    let names: Vec<String> = (0..20).map(|number| format!("{number:032x}.tar.zst")).collect();
    for name in &names {
        symlink("nowhere", scan.collection().join(name)).expect("a link");
    }
    let (own, others): (Vec<&String>, Vec<&String>) =
        names.iter().partition(|name| Shard::new(1, 4).expect("a shard").has(name.as_bytes()));
    assert!(!own.is_empty() && others.len() > own.len());
    let (ended, lines) = lines(&scan, "log.jsonl", &["--shard", "1/4"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(of_stage(&lines, "error").len(), own.len());
    // Named one by one, too.
    let elsewhere: Vec<PathBuf> = others.iter().map(|name| scan.collection().join(name)).collect();
    let ended = scan.run_with(&[&[PathBuf::from("--shard=1/4")][..], &elsewhere].concat());
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert!(ended.stdout.contains(&format!("shard 1 of 4: 0 of {} archives", others.len())), "{}", ended.stdout);
}

#[test]
fn what_is_no_archive_is_told_of_by_one_shard() {
    let scan = Scan::new().args(&["--no-progress", "-n"]);
    for number in 0..9 {
        fs::write(scan.collection().join(format!("{number}.map")), "x").expect("a file");
        fs::create_dir(scan.collection().join(format!("folder-{number}"))).expect("a folder");
    }
    let mut left_out = Vec::new();
    for index in 0..4 {
        let (ended, lines) = lines(&scan, &format!("{index}.jsonl"), &["--shard", &format!("{index}/4")]);
        assert_eq!(ended.code, 0, "{ended:?}");
        for line in of_stage(&lines, "left_out") {
            left_out.extend(words(&line["files"].as_array().expect("files").iter().collect::<Vec<_>>(), "archive"));
        }
    }
    left_out.sort();
    let mut all: Vec<String> = fs::read_dir(scan.collection())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path().display().to_string())
        .collect();
    all.sort();
    assert_eq!(left_out, all);
}

#[test]
fn two_archives_of_one_hash_are_refused_by_the_shard_that_has_both() {
    let scan = quick();
    let fixture = &fixture::quick_collection()[0];
    fs::copy(fixture.path(), scan.collection().join(format!("{}.tzst", fixture.hash))).expect("a copy");
    let reasons: Vec<Vec<String>> = (0..3)
        .map(|index| {
            let (_, lines) = lines(&scan, &format!("{index}.jsonl"), &["-n", "--shard", &format!("{index}/3")]);
            words(&of_stage(&lines, "error"), "reason")
        })
        .collect();
    assert_eq!(reasons.concat(), ["hash_taken"], "{reasons:?}");
}

#[test]
fn only_and_skip_know_the_hashes_of_other_shards() {
    let scan = quick();
    let hash = &fixture::quick_collection()[0].hash;
    for option in ["--only", "--skip"] {
        let codes = [0, 1].map(|index| {
            let (ended, lines) = lines(&scan, "log.jsonl", &["-n", option, hash, "--shard", &format!("{index}/2")]);
            assert_eq!(ended.code, 0, "{ended:?}");
            started(&lines).len()
        });
        assert!(option == "--skip" || codes.iter().sum::<usize>() == 2 - 1 || codes == [1, 1], "{codes:?}");
        let refused = scan.run_with(&["-n", option, "nobody", "--shard", "0/2"]);
        assert_ne!(refused.code, 0, "{refused:?}");
    }
}

#[test]
fn archives_of_a_list_are_surveyed_and_no_others() {
    let fixtures = fixture::quick_collection();
    let scan = Scan::of(&fixtures).args(&["--no-progress", "-n"]);
    let some: Vec<PathBuf> = fixtures[..3].iter().map(|fixture| scan.archive(&fixture.hash)).collect();
    let mut wanted: Vec<&str> = fixtures[..3].iter().map(|fixture| fixture.hash.as_str()).collect();
    wanted.sort_unstable();
    for end_byte in [b'\n', 0] {
        let mut text = Vec::new();
        for path in &some {
            text.extend_from_slice(path.as_os_str().as_bytes());
            text.push(end_byte);
        }
        let null: &[&str] = if end_byte == 0 { &["-0"] } else { &[] };
        let list = scan.folder().join("list");
        fs::write(&list, &text).expect("a list");
        let given = [&["--files-from", list.to_str().expect("UTF-8")], null].concat();
        let name = format!("{end_byte}.jsonl");
        let (ended, lines) = lines(&scan, &name, &given);
        assert_eq!(ended.code, 0, "{ended:?}");
        let mut found = started(&lines);
        found.sort();
        assert_eq!(found, wanted);
        let options = of_stage(&lines, "script_start")[0]["options"].to_string();
        assert!(options.contains("\"--files-from\"") && options.contains("--null") == (end_byte == 0), "{options}");
        // The same from standard input.
        let mut child = scan.command();
        child.args(["--files-from", "-", "--json"]).args(null).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().expect("starts");
        child.stdin.take().expect("piped").write_all(&text).expect("read");
        let output = child.wait_with_output().expect("a child");
        let summary: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((output.status.code(), &summary["archives_checked"]), (Some(0), &json!(3)));
    }
}

#[test]
fn a_listed_archive_that_is_gone_is_an_error_and_a_list_of_none_is_a_collection_that_is_not_there() {
    let fixtures = fixture::quick_collection();
    let scan = Scan::of(&fixtures[..2]).args(&["--no-progress", "-n"]);
    let list = scan.folder().join("list");
    let path = |hash: &str| scan.archive(hash).display().to_string();
    fs::write(&list, format!("{}\n{}\n", path(&fixtures[0].hash), path("gone"))).expect("a list");
    let (ended, of_some) = lines(&scan, "some.jsonl", &["--files-from", list.to_str().expect("UTF-8")]);
    assert_eq!((ended.code, started(&of_some).len()), (1, 1), "{ended:?}");
    assert_eq!(words(&of_stage(&of_some, "error"), "reason"), ["io"]);
    fs::write(&list, format!("{}\n", path("gone"))).expect("a list");
    let (_, of_none) = lines(&scan, "none.jsonl", &["--files-from", list.to_str().expect("UTF-8")]);
    assert_eq!(words(&of_stage(&of_none, "error"), "reason"), ["collection"]);
    fs::write(&list, "").expect("a list");
    let (ended, _) = lines(&scan, "empty.jsonl", &["--files-from", list.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, 0, "a part of a list may be empty: {ended:?}");
}

#[test]
fn a_folder_of_logs_has_one_for_each_shard_and_all_of_them_are_read() {
    let scan = quick();
    let logs = scan.folder().join("logs");
    let log = format!("{}/", logs.display());
    for index in 0..2 {
        let ended = scan.run_with(&["--shard", &format!("{index}/2"), "--log", &log]);
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(logs.join(format!("scan-{index}-of-2.jsonl")).is_file());
    }
    // Another number of shards takes over what these found.
    let ended = scan.run_with(&["--resume", "--shard", "0/1", "--log", &log, "--json"]);
    let summary: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(summary["archives_resumed"], fixture::quick_collection().len());
    // Each shard processes again what is its own.
    let multi = fs::read_dir(scan.staging()).expect("a folder").count();
    let mut done = 0;
    for index in 0..2 {
        let shard = format!("--shard={index}/2");
        let ended = end(&mut scan.reprocess(&[&shard, "--log", &log], "exit 0"));
        assert_eq!(ended.code, 0, "{ended:?}");
        let text = fs::read_to_string(logs.join(format!("reprocess-{index}-of-2.jsonl"))).unwrap_or_default();
        done += text.matches("\"stage\":\"reprocess_complete\"").count();
    }
    assert!(multi > 1);
    assert!(done >= multi, "{done} of {multi}");
    let ended = end(&mut scan.reprocess(&["--log", &log], "exit 1"));
    assert_eq!(ended.code, 0, "nothing is left to be done: {ended:?}");
}

#[test]
fn verify_takes_a_shard_and_a_list() {
    let scan = quick();
    let verify = |args: &[&str]| {
        let mut command = imgsieve();
        command.args(["verify", "--json", "--no-progress", "--log", "none", "--config"]).arg(scan.site_file());
        let ended = end(command.args(args));
        let answer: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        answer["total_archives"].as_u64().expect("a number")
    };
    let whole = verify(&[]);
    assert_eq!(verify(&["--shard", "0/2"]) + verify(&["--shard", "1/2"]), whole);
    let list = scan.folder().join("list");
    let first = scan.archive(&fixture::quick_collection()[0].hash);
    fs::write(&list, first.as_os_str().as_bytes()).expect("a list");
    assert_eq!(verify(&["--files-from", list.to_str().expect("UTF-8")]), 1);
}
