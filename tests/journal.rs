//! The log, against section 7 of the specification: stages, fields and types that its readers rely on, and figures that
//! add up.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use common::fixture::{self, Fixture};
use common::scan::{Scan, of_stage, words};
use serde_json::{Map, Value, json};

/// The single-partition archive of the tests: a sparse member beside a rescue map.
const SINGLE: &str = "map-before";
/// The one to be kept.
const MULTI: &str = "sparse-gnu";

/// The fields of a line in their order, without those that every line has.
fn fields(line: &Value) -> Vec<&str> {
    let all: Vec<&str> = line.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!((all[0], all[1], all[all.len() - 1]), ("ts", "stage", "run"), "{line}");
    all[2..all.len() - 1].to_vec()
}

/// Those of the fields that `wanted` names.
fn part(line: &Value, wanted: &[&str]) -> Value {
    wanted.iter().map(|&key| (key.to_owned(), line[key].clone())).collect::<Map<_, _>>().into()
}

/// Checks the fixed fields of a line, their order before all others, and their values.
fn assert_fixed(line: &Value, fixed: &[(&str, Value)]) {
    let keys: Vec<&str> = fixed.iter().map(|(key, _)| *key).collect();
    assert!(fields(line).starts_with(&keys), "{line}");
    for (key, value) in fixed {
        assert_eq!(&line[key], value, "{key} of {line}");
    }
}

fn is_utc_second(text: &str) -> bool {
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    shape == "0000-00-00T00:00:00Z"
}

/// A number with 3 decimals at most that is so many bytes in 10^9.
fn assert_gigabytes(line: &Value) {
    let Value::Number(number) = &line["size_gb"] else { panic!("{line}") };
    let decimals = number.to_string().split_once('.').map_or(0, |(_, decimals)| decimals.len());
    assert!(decimals <= 3, "{line}");
    #[allow(clippy::cast_precision_loss)]
    let exact = line["size_bytes"].as_u64().expect("bytes") as f64 / 1e9;
    assert!((number.as_f64().expect("finite") - exact).abs() <= 0.000_500_1, "{line}");
}

fn stages(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["stage"].as_str().expect("a word")).collect()
}

/// The fixtures that take no time, the damaged and odd ones too.
fn quick() -> Vec<Fixture> {
    let mut quick = fixture::all();
    quick.retain(Fixture::is_quick);
    quick
}

#[test]
fn a_kept_image_is_logged_stage_by_stage() {
    let fixture = fixture::named(MULTI);
    let scan = Scan::of(std::slice::from_ref(&fixture));
    let lines = scan.lines();
    let (hash, img) = (json!(fixture.hash), json!(format!("{}.img", fixture.hash)));
    assert_eq!(
        stages(&lines),
        [
            "script_start",
            "archive_start",
            "img_found",
            "extraction_start",
            "partition_check",
            "cleanup",
            "archive_complete",
            "script_complete"
        ]
    );
    assert_fixed(&lines[0], &[("total_archives", json!(1))]);
    assert_fixed(&lines[1], &[("hash", hash.clone()), ("size_gb", json!(0.0)), ("rank", json!(1))]);
    assert_eq!(lines[1]["size_bytes"], fixture.path().metadata().expect("an archive").len());
    assert_gigabytes(&lines[1]);
    assert_fixed(&lines[2], &[("hash", hash.clone()), ("img", img.clone()), ("size_gb", json!(1.0))]);
    assert_eq!(lines[2]["size_bytes"], 1_000_001_536);
    assert_gigabytes(&lines[2]);
    let destination = scan.staging().join(&fixture.hash);
    assert_fixed(&lines[3], &[("hash", hash.clone()), ("dest", json!(destination))]);
    let kept = json!("KEPT");
    let path = json!(destination.join(format!("{}.img", fixture.hash)));
    assert_fixed(
        &lines[4],
        &[("hash", hash.clone()), ("img", img), ("partitions", json!(2)), ("action", kept), ("path", path)],
    );
    assert_eq!(lines[4]["verified"], true);
    assert_eq!(lines[4]["existing"], false);
    assert_eq!(lines[4]["reason"], Value::Null);
    assert_eq!(lines[4]["verdict"], "multi");
    assert_eq!(lines[4]["table"], json!({"label": "dos", "sector_size": 512, "gpt_copy": null, "damaged": false}));
    let partition = json!({"number": 1, "start_bytes": 1_048_576, "size_bytes": 16_777_216, "type": "0x0c",
        "name": null, "kind": "primary", "fs": "vfat", "fs_label": "FIXTURE", "fs_uuid": "1234-ABCD"});
    assert_eq!(lines[4]["partition_list"][0], partition);
    assert!(lines[4]["bytes_written"].as_u64() > Some(0));
    assert_fixed(&lines[5], &[("hash", hash.clone()), ("removed_files", json!(0)), ("kept_imgs", json!(1))]);
    let free = lines[6]["disk_free_pct"].clone();
    assert!(free.as_u64() <= Some(100) && free.is_u64(), "{free}");
    assert_fixed(&lines[6], &[("hash", hash), ("multipart_imgs", json!(1)), ("disk_free_pct", free)]);
    for key in ["seconds", "compressed_bytes", "decoded_bytes", "passed_over_bytes", "requested_bytes"] {
        assert!(lines[6][key].is_number(), "{key} of {}", lines[6]);
    }
    assert_eq!(lines[6]["engine"], "auto");
    assert!(lines[6]["verified"].is_boolean());
    assert_fixed(&lines[7], &[("total_multipart", json!(1)), ("archives_checked", json!(1))]);
}

#[test]
fn an_image_that_is_not_kept_is_logged_as_deleted_and_never_extracted() {
    let fixture = fixture::named(SINGLE);
    let scan = Scan::of(std::slice::from_ref(&fixture));
    let lines = scan.lines();
    let (hash, img) = (json!(fixture.hash), json!(format!("{}.img", fixture.hash)));
    let expected = ["archive_start", "img_found", "partition_check", "cleanup", "archive_complete"];
    assert_eq!(stages(&lines)[1..6], expected);
    let action = json!("deleted");
    assert_fixed(&lines[3], &[("hash", hash.clone()), ("img", img), ("partitions", json!(1)), ("action", action)]);
    assert_eq!((&lines[3]["path"], &lines[3]["reason"]), (&Value::Null, &json!("single_partition")));
    assert_eq!(lines[3]["bytes_written"], 0);
    assert_fixed(&lines[4], &[("hash", hash), ("removed_files", json!(0)), ("kept_imgs", json!(0))]);
    assert_eq!((&lines[5]["multipart_imgs"], &lines[5]["bytes_written"]), (&json!(0), &json!(0)));
    assert_fixed(&lines[6], &[("total_multipart", json!(0)), ("archives_checked", json!(1))]);
    assert_eq!(std::fs::read_dir(scan.staging()).expect("a folder").count(), 0, "no folder is left behind");
}

#[test]
fn every_line_is_an_object_with_a_time_and_the_id_of_its_run() {
    let scan = Scan::of_named(&[SINGLE, MULTI]);
    let started = now();
    scan.lines();
    let first_length = scan.log().metadata().expect("a log").len();
    let first = std::fs::read(scan.log()).expect("a log");
    let lines = scan.lines();
    let text = std::fs::read(scan.log()).expect("a log");
    assert_eq!(text[..usize::try_from(first_length).expect("small")], first, "a log is only appended to");
    assert_eq!(text.last(), Some(&b'\n'));
    let mut runs = Vec::new();
    for line in &lines {
        assert!(line.is_object());
        let time = line["ts"].as_str().expect("a time");
        assert!(is_utc_second(time) && time >= &*started, "{time} after {started}");
        let run = line["run"].as_str().expect("an id").to_owned();
        if runs.last() != Some(&run) {
            runs.push(run);
        }
    }
    assert_eq!(runs.len(), 2, "one id a run: {runs:?}");
    assert_eq!(stages(&lines).iter().filter(|&&stage| stage == "script_complete").count(), 2);
}

/// The time by the system's own clock, as the log writes it.
fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

#[test]
fn sizes_are_gigabytes_with_three_decimals_at_most() {
    let scan = Scan::of_named(&["sparse-9g", SINGLE]);
    let lines = scan.lines();
    let found = of_stage(&lines, "img_found");
    for line in &found {
        assert_gigabytes(line);
    }
    assert_eq!(found.iter().filter(|line| line["size_gb"] == 9.664).count(), 1);
}

/// The lines of a run over everything that takes no time, and its summary.
fn run_over_quick(args: &[&str]) -> (Scan, Vec<Value>, Value) {
    let fixtures = quick();
    let scan = Scan::of(&fixtures).args(args).args(&["--json", "--no-progress"]);
    let ended = scan.run();
    assert_eq!(ended.code, 1, "some of them cannot be read: {ended:?}");
    let lines = scan.logged();
    let summary = serde_json::from_str(&ended.stdout).expect("one object");
    (scan, lines, summary)
}

#[test]
fn every_archive_and_image_comes_to_exactly_one_end() {
    let (_scan, lines, _) = run_over_quick(&[]);
    let mut open: BTreeSet<String> = BTreeSet::new();
    let mut images: BTreeMap<String, i32> = BTreeMap::new();
    for line in &lines {
        let hash = line["hash"].as_str().unwrap_or_default().to_owned();
        let image = ["hash", "img", "member", "ordinal"].map(|key| line[key].to_string()).concat();
        match line["stage"].as_str().expect("a word") {
            "archive_start" => assert!(open.insert(hash), "begun twice: {line}"),
            "archive_complete" => assert!(open.remove(&hash), "not begun, or ended before: {line}"),
            "error" if line["scope"] == "archive" => assert!(open.remove(&hash), "not begun, or ended before: {line}"),
            stage @ ("img_found" | "partition_check" | "extraction_start" | "cleanup" | "deferred") => {
                assert!(open.contains(&hash), "not between start and end: {line}");
                match stage {
                    "img_found" => assert_eq!(images.insert(image, 0), None, "found twice: {line}"),
                    "partition_check" => *images.get_mut(&image).expect("found before it is checked") += 1,
                    _ => {}
                }
            }
            _ => {}
        }
    }
    assert_eq!(open, BTreeSet::new());
    assert!(images.values().all(|&checks| checks == 1), "{images:?}");
    let begun = of_stage(&lines, "archive_start").len();
    assert_eq!(of_stage(&lines, "cleanup").len(), begun, "each is cleaned up after once");
    assert_eq!(lines[0]["total_archives"], begun);
}

#[test]
fn figures_of_archives_add_up_to_those_of_the_run_and_of_the_summary() {
    let (_scan, lines, summary) = run_over_quick(&[]);
    let complete = lines.last().expect("a last line");
    assert_eq!(complete["stage"], "script_complete");
    let checks = of_stage(&lines, "partition_check");
    let actions = |action: &str| checks.iter().filter(|check| check["action"] == action).count();
    let sum = |lines: &[&Value], key: &str| lines.iter().filter_map(|line| line[key].as_u64()).sum::<u64>();
    let multi = checks.iter().filter(|check| check["partitions"].as_u64() >= Some(2)).count();
    let archive_errors = of_stage(&lines, "error").iter().filter(|line| line["scope"] == "archive").count();
    let counted: [(&str, u64); 13] = [
        ("total_multipart", multi as u64),
        ("archives_checked", of_stage(&lines, "archive_start").len() as u64),
        ("archives_failed", archive_errors as u64),
        ("imgs", checks.len() as u64),
        ("kept_imgs", actions("KEPT") as u64),
        ("would_keep", 0),
        ("deferred", 0),
        ("image_errors", actions("error") as u64),
        ("errors", of_stage(&lines, "error").len() as u64),
        ("warnings", of_stage(&lines, "warning").len() as u64),
        ("bytes_written", sum(&checks, "bytes_written")),
        ("removed_files", sum(&of_stage(&lines, "cleanup"), "removed_files")),
        ("compressed_bytes", sum(&of_stage(&lines, "archive_start"), "size_bytes")),
    ];
    for (key, expected) in counted {
        assert_eq!(complete[key], expected, "{key} of {complete}");
        assert_eq!(summary[key], expected, "{key} of the summary");
    }
    // Archives that ended in an error have no line with these figures: what is left is theirs.
    let completed = of_stage(&lines, "archive_complete");
    for key in ["decoded_bytes", "passed_over_bytes", "requested_bytes", "members", "content_bytes", "rewinds"] {
        assert!(sum(&completed, key) <= complete[key].as_u64().expect("a number"), "{key}");
        assert_eq!(summary[key], complete[key], "{key} of the summary");
    }
    for line in completed {
        let kept = checks.iter().filter(|check| check["hash"] == line["hash"] && check["action"] == "KEPT").count();
        assert_eq!(line["kept_imgs"], kept, "{line}");
        let its = checks.iter().filter(|check| check["hash"] == line["hash"]).count();
        assert_eq!(line["imgs"], its, "{line}");
    }
    assert_eq!(summary["exit_code"], 1);
    assert_eq!(summary["complete"], true);
    assert_eq!(summary["kept"].as_array().map(Vec::len), Some(actions("KEPT")));
}

#[test]
fn an_intact_collection_adds_up_to_the_byte() {
    let scan = Scan::of(&fixture::quick_collection()).args(&["--json"]);
    let ended = scan.run();
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = scan.logged();
    let (complete, completed) = (lines.last().expect("a line"), of_stage(&lines, "archive_complete"));
    for key in [
        "imgs",
        "kept_imgs",
        "bytes_written",
        "removed_files",
        "members",
        "content_bytes",
        "decoded_bytes",
        "passed_over_bytes",
        "sized_bytes",
        "jumped_bytes",
        "presumed_bytes",
        "refuted",
        "traced_bytes",
        "fallbacks",
        "requested_bytes",
        "decoded_frames",
        "checksummed_frames",
        "rewinds",
        "compressed_bytes",
    ] {
        let sum: u64 = completed.iter().map(|line| line[key].as_u64().expect("a number")).sum();
        assert_eq!(complete[key], sum, "{key}");
    }
    let multi: u64 = completed.iter().map(|line| line["multipart_imgs"].as_u64().expect("a number")).sum();
    assert_eq!(complete["total_multipart"], multi);
}

#[test]
fn kept_follows_the_beginning_of_its_extraction_and_the_file_is_there() {
    let (_scan, lines, _) = run_over_quick(&[]);
    let mut extracting = BTreeMap::new();
    let mut kept = 0;
    for line in &lines {
        let hash = line["hash"].as_str().unwrap_or_default();
        if line["stage"] == "extraction_start" {
            *extracting.entry(hash).or_insert(0) += 1;
        }
        if line["action"] == "KEPT" {
            let begun = extracting.get_mut(hash).expect("an extraction that was begun");
            *begun -= 1;
            assert!(*begun >= 0, "{line}");
            kept += 1;
            if line.get("img_bytes").is_none() {
                let metadata = std::fs::metadata(line["path"].as_str().expect("a path")).expect("a file");
                assert_eq!(metadata.len(), line["size_bytes"], "{line}");
            }
        }
    }
    assert!(kept > 10);
}

/// Watches the log while the run writes it: whenever `KEPT` can be read, so can the file.
#[test]
fn a_file_is_there_by_the_time_the_log_says_so() {
    let scan = Scan::of_named(&["sparse-gnu", "sparse-oldgnu", "sparse-posix-1.0", "gpt-multi", "mbr-multi"]);
    let mut child = scan.command().stdout(std::process::Stdio::null()).spawn().expect("a run");
    let mut is_done = false;
    let mut seen = BTreeSet::new();
    while !is_done {
        is_done = child.try_wait().expect("a child").is_some();
        let text = std::fs::read_to_string(scan.log()).unwrap_or_default();
        for line in text.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
            let line: Value = serde_json::from_str(line).expect("whole lines");
            if line["action"] == "KEPT" && seen.insert(line["hash"].to_string()) {
                let metadata = std::fs::metadata(line["path"].as_str().expect("a path")).expect("a file");
                assert_eq!(metadata.len(), line["size_bytes"]);
            }
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(seen.len(), 5);
    assert_eq!(child.wait().expect("a child").code(), Some(0));
}

#[test]
fn a_torn_last_line_is_ended_and_nothing_before_it_is_changed() {
    let scan = Scan::of_named(&[SINGLE]);
    let torn = "{\"stage\": \"script_start\", \"total_archives\": 38}\n{\"ts\": \"2025-10-10T14:00:00Z\", \"sta";
    std::fs::write(scan.log(), torn).expect("a torn log");
    assert_eq!(scan.run().code, 0);
    let text = std::fs::read_to_string(scan.log()).expect("a log");
    let ours = text.strip_prefix(torn).and_then(|rest| rest.strip_prefix('\n')).expect("a healed log");
    for line in ours.lines() {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    assert_eq!(ours.lines().count(), 7);
}

#[test]
fn a_foreign_log_of_the_script_is_appended_to() {
    let scan = Scan::of_named(&[SINGLE]);
    let before = "{\"ts\": \"2025-10-10T14:00:00Z\", \"stage\": \"script_start\", \"total_archives\": 38}\n";
    std::fs::File::create(scan.log()).and_then(|mut file| file.write_all(before.as_bytes())).expect("a log");
    let lines = scan.lines();
    assert_eq!((lines[0]["total_archives"].clone(), lines[0].get("run")), (json!(38), None));
    assert_eq!(stages(&lines)[1], "script_start");
}

#[test]
fn a_dry_run_says_what_it_would_keep_and_writes_nothing_but_the_log() {
    let scan = Scan::of_named(&[SINGLE, MULTI]).args(&["--dry-run", "--jobs", "1"]);
    let names = || {
        let entries = std::fs::read_dir(scan.folder()).expect("a folder");
        entries.map(|entry| entry.expect("an entry").file_name()).collect::<BTreeSet<_>>()
    };
    let mut before = names();
    let lines = scan.lines();
    before.insert("log.jsonl".into());
    assert_eq!(names(), before, "the staging folder is not even made");
    assert_eq!(lines[0]["dry_run"], true);
    let checks = of_stage(&lines, "partition_check");
    assert_eq!(words(&checks, "action"), ["deleted", "would_keep"]);
    let multi = fixture::named(MULTI);
    let expected = json!({"hash": multi.hash, "partitions": 2, "bytes_written": 0, "path": null, "verdict": "multi"});
    assert_eq!(part(checks[1], &["hash", "partitions", "bytes_written", "path", "verdict"]), expected);
    assert!(of_stage(&lines, "extraction_start").is_empty());
    let complete = lines.last().expect("a line");
    assert_eq!((&complete["would_keep"], &complete["kept_imgs"]), (&json!(1), &json!(0)));
    assert_eq!(complete["total_multipart"], 1);
}

#[test]
fn a_dry_run_finds_what_a_run_finds() {
    let verdicts = |args: &[&str]| {
        let (_scan, mut lines, _) = run_over_quick(args);
        // Of an image that could not be kept, the file systems are not looked at.
        for line in lines.iter_mut().filter(|line| line["action"] == "error") {
            for partition in line["partition_list"].as_array_mut().into_iter().flatten() {
                for key in ["fs", "fs_label", "fs_uuid"] {
                    partition[key] = Value::Null;
                }
            }
        }
        let keys = ["hash", "img", "ordinal", "partitions", "verdict", "table", "partition_list"];
        let mut verdicts: Vec<String> =
            of_stage(&lines, "partition_check").iter().map(|line| part(line, &keys).to_string()).collect();
        verdicts.sort();
        verdicts
    };
    let (dry, real) = (verdicts(&["--dry-run", "--fs"]), verdicts(&["--fs"]));
    for (dry, real) in dry.iter().zip(&real) {
        assert_eq!(dry, real);
    }
    assert_eq!(dry.len(), real.len());
}

#[test]
fn archives_are_started_smallest_first_whatever_the_number_of_jobs() {
    for jobs in ["1", "4"] {
        let (_scan, lines, _) = run_over_quick(&["--jobs", jobs]);
        let starts = of_stage(&lines, "archive_start");
        let sizes: Vec<u64> = starts.iter().map(|line| line["size_bytes"].as_u64().expect("bytes")).collect();
        assert!(sizes.is_sorted(), "{sizes:?}");
        let ranks: Vec<u64> = starts.iter().map(|line| line["rank"].as_u64().expect("a rank")).collect();
        assert_eq!(ranks, (1..=starts.len() as u64).collect::<Vec<_>>());
    }
}

#[test]
fn one_job_and_many_log_the_same() {
    let run = |jobs: &str| {
        let (scan, lines, mut summary) = run_over_quick(&["--jobs", jobs]);
        let folder = scan.folder().to_str().expect("UTF-8").to_owned();
        let normal = |value: &Value| value.to_string().replace(&folder, "");
        let mut texts: Vec<String> = lines
            .into_iter()
            .map(|mut line| {
                let object = line.as_object_mut().expect("an object");
                // The last is the temporary folder's path, in base64 because of the name in it.
                for key in [
                    "ts",
                    "run",
                    "seconds",
                    "disk_free_pct",
                    "available_bytes",
                    "jobs",
                    "path_bytes",
                    "worker",
                    "mtime",
                    "ctime",
                    "inode",
                    "options",
                    "wall_seconds",
                    "worker_seconds",
                ] {
                    object.shift_remove(key);
                }
                normal(&line)
            })
            .collect();
        texts.sort();
        let object = summary.as_object_mut().expect("an object");
        object.shift_remove("seconds");
        object.shift_remove("wall_seconds");
        object.shift_remove("worker_seconds");
        for key in ["kept", "problems"] {
            let list = object[key].as_array_mut().expect("a list");
            // As above.
            list.iter_mut().filter_map(Value::as_object_mut).for_each(|each| drop(each.shift_remove("path_bytes")));
            list.sort_by_key(Value::to_string);
        }
        (texts, normal(&summary))
    };
    let (one, many) = (run("1"), run("4"));
    for (one, many) in one.0.iter().zip(&many.0) {
        assert_eq!(one, many);
    }
    assert_eq!(one, many);
}

#[test]
fn more_than_one_image_is_warned_of() {
    let scan = Scan::of_named(&["two-images"]);
    let lines = scan.lines();
    let warnings = of_stage(&lines, "warning");
    assert_eq!(words(&warnings, "reason"), ["several_images"]);
    assert_eq!(words(&warnings, "scope"), ["archive"]);
}

#[test]
fn a_name_that_is_not_utf_8_is_logged_exactly_too() {
    let fixture = fixture::named("name-not-utf-8");
    let lines = Scan::of(std::slice::from_ref(&fixture)).lines();
    for stage in ["img_found", "partition_check"] {
        let line = of_stage(&lines, stage)[0];
        assert_eq!((&line["img"], &line["img_bytes"]), (&json!("caf\u{fffd}.img"), &json!("Y2Fm6S5pbWc=")));
    }
}
