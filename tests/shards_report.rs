//! The report over the logs of shards: that of one run over the whole collection, and what is said of shards that are not
//! done.

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use common::fixture::{self, Fixture};
use common::scan::{Scan, end, imgsieve};
use serde_json::Value;

const SHARDS: u32 = 5;

/// A collection with archives of every kind, files that are none, and archives that cannot be read; one job, so that all is
/// in one order.
fn collection() -> Scan {
    let mut fixtures = fixture::all();
    fixtures.retain(Fixture::is_quick);
    let scan = Scan::of(&fixtures).args(&["--no-progress", "--jobs", "1"]);
    let skipped = fixture::quick_collection()[1].hash.clone();
    let scan = scan.site(&format!("min_archive_size = '300B'\n[skip]\n{skipped} = 'no disk'"));
    for number in 0..7 {
        fs::write(scan.collection().join(format!("{number}.map")), "x").expect("a file");
        fs::create_dir(scan.collection().join(format!("{number}.tzst"))).expect("a folder");
        fs::create_dir(scan.collection().join(format!("old-{number}"))).expect("a folder");
        let broken = scan.collection().join(format!("broken-{number}.tar.zst"));
        fs::write(broken, vec![b'x'; 400 + number]).expect("a file");
    }
    scan
}

fn report(logs: &[&Path], args: &[&str]) -> String {
    let ended = end(imgsieve().arg("report").args(args).args(logs));
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.stdout
}

fn json(logs: &[&Path]) -> Value {
    serde_json::from_str(&report(logs, &["--json"])).expect("JSON")
}

/// Logs to a folder of their own, by shards.
fn survey_shards(scan: &Scan, args: &[&str]) -> PathBuf {
    let logs = scan.folder().join("logs");
    for index in 0..SHARDS {
        let shard = format!("{index}/{SHARDS}");
        let ended = scan.run_with(&[&["--shard", &shard, "--log", &format!("{}/", logs.display())], args].concat());
        assert!(ended.code <= 1, "{ended:?}");
    }
    logs
}

/// Without what is of a run: its name, its times, the log, and the commands that name them.
fn stripped(value: Value) -> Value {
    const OF_RUNS: [&str; 18] = [
        "worker_seconds",
        "run",
        "began",
        "heard",
        "ended",
        "ts",
        "seconds",
        "log",
        "reading",
        "shards",
        "resume",
        "stage",
        "reprocess",
        "inspect",
        "available_bytes",
        "allocated_bytes",
        "room_bytes",
        "state_message",
    ];
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(key, _)| !OF_RUNS.contains(&key.as_str()));
            Value::Object(kept.map(|(key, value)| (key, stripped(value))).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(stripped).collect()),
        value => value,
    }
}

/// The lines of a text report, likewise.
fn stripped_text(text: &str) -> Vec<String> {
    let is_of_run = |line: &&str| {
        ["Log: ", "Run ", "  begun ", "  imgsieve ", "  for k in "].iter().any(|start| line.starts_with(start))
    };
    let timeless = |line: &str| match line.split_once(" of content, in ") {
        Some((what, _)) => what.to_owned(),
        None => line.to_owned(),
    };
    text.lines().filter(|line| !is_of_run(line)).map(timeless).collect()
}

/// The rows of a CSV report without the run's name.
fn stripped_rows(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.split_once(',').map_or(line, |(_, rest)| rest)).collect()
}

/// A page's parts that are no drawings over time: what needs attention, the figures, the plain list, and the script's data.
fn stripped_page(page: &str) -> (Vec<String>, Value) {
    let (before, rest) = page.split_once("<section id=\"runs\"").expect("the runs");
    let (_, rest) = rest.split_once("</section>").expect("their end");
    let (plain, rest) = rest.split_once("<script").expect("a script");
    let is_of_run = |line: &&str| {
        [
            "imgsieve scan ",
            "<p>Generated ",
            "class=\"story\"",
            "class=\"command\"",
            "<path ",
            "</svg>",
            "<figcaption>",
            "Free space over the run",
        ]
        .iter()
        .any(|part| line.contains(part))
    };
    let lines = before.lines().chain(plain.lines()).filter(|line| !is_of_run(line)).map(str::to_owned).collect();
    let (_, data) = rest.split_once('>').expect("a tag");
    let (data, _) = data.split_once("</script>").expect("its end");
    let mut data: Value = serde_json::from_str(data).expect("JSON");
    data["runs"].take();
    for archive in data["archives"].as_array_mut().expect("archives") {
        // When it was read, and the room that the file system gives.
        archive.as_object_mut().expect("an archive").remove("b");
        archive.get_mut("ff").map(|verified| verified[0].take());
        for image in archive["i"].as_array_mut().into_iter().flatten() {
            image.as_object_mut().expect("an image").remove("a");
        }
    }
    (lines, data)
}

fn assert_same(whole: &Path, logs: &Path) {
    let (whole, logs) = (&[whole][..], &[logs][..]);
    let (one, all) = (stripped(json(whole)), stripped(json(logs)));
    for key in one.as_object().expect("an object").keys() {
        assert_eq!(all[key], one[key], "{key}");
    }
    assert_eq!(stripped_text(&report(logs, &[])), stripped_text(&report(whole, &[])));
    let rows = [report(whole, &["--csv"]), report(logs, &["--csv"])];
    assert_eq!(stripped_rows(&rows[1]), stripped_rows(&rows[0]));
    assert!(rows[0].lines().count() > 60, "{}", rows[0].lines().count());
    let (one, all) = (stripped_page(&report(whole, &["--html", "-"])), stripped_page(&report(logs, &["--html", "-"])));
    for (number, (all, one)) in all.0.iter().zip(&one.0).enumerate() {
        assert_eq!(all, one, "line {number} of the page");
    }
    assert_eq!(all.0.len(), one.0.len());
    assert_eq!(all.1, one.1);
    for paths in ["--kept", "--unchecked"] {
        // Paths are bytes.
        let of = |logs: &[&Path]| imgsieve().args(["report", paths]).args(logs).output().expect("a report").stdout;
        assert_eq!(of(logs), of(whole));
    }
}

#[test]
fn the_report_over_all_shards_is_that_of_one_run() {
    for args in [&["--dry-run"][..], &[]] {
        let scan = collection();
        let ended = scan.run_with(args);
        assert_eq!(ended.code, 1, "some of it cannot be read: {ended:?}");
        let (one, text) = (json(&[&scan.log()]), report(&[&scan.log()], &[]));
        let whole = scan.folder().join("whole.jsonl");
        fs::rename(scan.log(), &whole).expect("renamed");
        // The same places in staging, as if they were staged for the first time.
        let _ = fs::remove_dir_all(scan.staging());
        let logs = survey_shards(&scan, args);
        assert_same(&whole, &logs);
        let all = json(&[&logs]);
        assert_eq!(stripped(all["totals"].clone()), stripped(one["totals"].clone()), "{text}");
        let run = &all["runs"][0];
        assert_eq!((all["runs"].as_array().map(Vec::len), &run["end"]), (Some(1), &Value::from("complete")));
        let shards: Vec<&str> =
            run["shards"]["runs"].as_array().expect("shards").iter().filter_map(|run| run["shard"].as_str()).collect();
        assert_eq!(shards, ["0/5", "1/5", "2/5", "3/5", "4/5"]);
        assert!(run["shards"]["missing"].as_array().is_some_and(Vec::is_empty));
        // What is found in the log of a run is known by that run.
        let ids: std::collections::BTreeSet<&str> = all["archives"]
            .as_array()
            .expect("archives")
            .iter()
            .filter_map(|archive| archive["run"].as_str())
            .collect();
        assert_eq!(ids.len(), SHARDS as usize, "{ids:?}");
    }
}

#[test]
fn one_log_of_all_shards_reads_as_a_folder_of_them_does() {
    let scan = collection().args(&["--dry-run"]);
    for index in 0..SHARDS {
        scan.run_with(&["--shard", &format!("{index}/{SHARDS}")]);
    }
    let logs = survey_shards(&scan, &[]);
    let (of_log, of_folder) = (stripped(json(&[&scan.log()])), stripped(json(&[&logs])));
    assert_eq!(of_log["archives"], of_folder["archives"]);
    assert_eq!(of_log["runs"], of_folder["runs"]);
}

#[test]
fn the_logs_of_more_shards_than_a_process_may_have_files_are_read() {
    let scan = Scan::new();
    let logs = scan.folder().join("logs");
    fs::create_dir(&logs).expect("a folder");
    for index in 0..100 {
        let line = format!(
            "{{\"ts\":\"2026-01-01T00:00:00Z\",\"stage\":\"script_start\",\"shard\":\"{index}/100\",\"run\":\"{index}\"}}\n"
        );
        fs::write(logs.join(format!("scan-{index:02}-of-100.jsonl")), line).expect("a log");
    }
    let limited = "ulimit -Sn 32; exec \"$0\" report --json \"$1\"";
    let mut command = std::process::Command::new("sh");
    let ended = end(command.args(["-c", limited, env!("CARGO_BIN_EXE_imgsieve")]).arg(&logs));
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(report["runs"][0]["shards"]["runs"].as_array().map(Vec::len), Some(100));
}

#[test]
fn the_last_run_of_each_shard_counts() {
    let scan = collection().args(&["--dry-run"]);
    let logs = survey_shards(&scan, &[]);
    let before = json(&[&logs]);
    // One is surveyed again, to another log. Times are told in seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let again = logs.join("again.jsonl");
    scan.run_with(&["--shard", &format!("2/{SHARDS}"), "--log", again.to_str().expect("UTF-8")]);
    let after = json(&[&logs]);
    assert_eq!(stripped(after["archives"].clone()), stripped(before["archives"].clone()));
    let ids = |report: &Value| -> Vec<Value> {
        report["runs"][0]["shards"]["runs"].as_array().expect("runs").iter().map(|run| run["run"].clone()).collect()
    };
    let (before, after) = (ids(&before), ids(&after));
    let changed: Vec<usize> = (0..before.len()).filter(|&index| before[index] != after[index]).collect();
    assert_eq!(changed, [2]);
    // A newer division takes the place of the older one.
    for index in 0..2 {
        scan.run_with(&["--shard", &format!("{index}/2"), "--log", &format!("{}/", logs.display())]);
    }
    let ended = end(imgsieve().args(["report", "--json"]).arg(&logs));
    let of_two: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(of_two["runs"][0]["shards"]["count"], 2);
    assert_eq!(stripped(of_two["archives"].clone()), stripped(json(&[&again, &logs])["archives"].clone()));
    assert!(ended.stderr.contains("6 older runs of another division into shards left out"), "{}", ended.stderr);
    // So does a run over all of it.
    std::thread::sleep(Duration::from_millis(1100));
    scan.run_with(&["--resume", "--log", &format!("{}/", logs.display())]);
    let whole = json(&[&logs]);
    let is_of_shards =
        |report: &Value| report["remaining"]["resume"].as_str().is_some_and(|all| all.contains("--shard"));
    assert!(is_of_shards(&of_two) && !is_of_shards(&whole), "{}", whole["remaining"]);
    assert_eq!(whole["archives"].as_array().map(Vec::len), of_two["archives"].as_array().map(Vec::len));
}

#[test]
fn shards_that_are_hardly_of_one_survey_are_warned_of_and_a_missing_one_is_named_beside_lists() {
    let scan = collection().args(&["--dry-run"]);
    let logs = scan.folder().join("logs");
    let log = format!("{}/", logs.display());
    scan.run_with(&["--shard", "0/3", "--log", &log]);
    scan.run_with(&["--shard", "1/3", "--log", &log, "--min-partitions", "3"]);
    fs::remove_file(scan.archive(&fixture::quick_collection()[0].hash)).expect("an archive");
    scan.run_with(&["--shard", "1/3", "--log", &log, "--min-partitions", "3"]);
    for form in ["--csv", "--unchecked", "--undecided"] {
        let ended = end(imgsieve().args(["report", form]).arg(&logs));
        for warning in ["surveyed by different rules", "archives in the collection, which changed", "shards missing: 2"]
        {
            assert!(ended.stderr.contains(warning), "{form}: {warning}: {}", ended.stderr);
        }
    }
    let text = report(&[&logs], &[]);
    assert!(text.contains(" in the collection chosen ("), "{text}");
}

#[test]
fn shards_that_are_missing_or_not_done_are_named_with_the_commands_that_do_them() {
    let scan = collection().args(&["--dry-run"]);
    let logs = survey_shards(&scan, &[]);
    let of = |index: u32| logs.join(format!("scan-{index}-of-{SHARDS}.jsonl"));
    fs::remove_file(of(1)).expect("a log");
    // Killed, and ended by a signal.
    for (index, line) in [
        (2, ""),
        (3, "{\"ts\":\"2026-01-01T00:00:00Z\",\"stage\":\"interrupted\",\"signal\":\"SIGTERM\",\"run\":\"RUN\"}\n"),
    ] {
        let text = fs::read_to_string(of(index)).expect("a log");
        let (_, run) = text.rsplit_once("\"run\":\"").expect("a run");
        let kept: String =
            text.lines().filter(|line| !line.contains("script_complete")).flat_map(|line| [line, "\n"]).collect();
        fs::write(of(index), kept + &line.replace("RUN", &run[..16])).expect("a log");
    }
    let text = report(&[&logs], &[]);
    for line in ["  shards missing: 1", "  shards unfinished: 2", "  shards interrupted: 3"] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(text.contains("; not complete after ") || text.contains("; not complete\n"), "{text}");
    let report_json = json(&[&logs]);
    let run = &report_json["runs"][0];
    assert_eq!((&run["end"], &run["shards"]["missing"]), (&Value::Null, &serde_json::json!([1])));
    let commands = report_json["remaining"]["resume"].as_str().expect("commands");
    assert_eq!(commands.lines().count(), 3, "{commands}");
    for index in [1, 2, 3] {
        assert_eq!(commands.matches(&format!(" --shard={index}/5")).count(), 1, "{commands}");
    }
    let page = report(&[&logs], &["--html", "-"]);
    assert!(page.contains("shards missing: 1"), "{page}");
    // They do what they say.
    for command in commands.lines() {
        let words: Vec<&str> = command.split(' ').skip(1).collect();
        assert!(end(imgsieve().args(words)).code <= 1, "{command}");
    }
    let after = json(&[&logs]);
    let run = after["runs"].as_array().and_then(|runs| runs.last()).expect("a run");
    assert_eq!(run["end"], "complete", "{run}");
    assert_eq!(after["remaining"]["archives_unfinished"], 0);
}
