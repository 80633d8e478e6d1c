//! `imgsieve report`, on logs of real runs and on hostile ones: read back by other programs.

mod common;

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use common::fixture::{self, Fixture};
use common::report::{after, command, json_report, report, run_printed};
use common::scan::{Ended, Scan, end, of_stage};
use imgsieve::units::human;
use serde_json::{Value, json};

/// One with an image to be kept, one without.
const MULTI: &str = "mbr-multi";
const SINGLE: &str = "mbr-single";
/// Names that a terminal would obey, or that are no text.
const HOSTILE: [&str; 4] = ["name-newline", "name-ansi", "name-not-utf-8", "name-bidi"];

/// A log of these lines, and nothing else.
fn log_of(lines: &[&str]) -> Scan {
    let scan = Scan::new();
    fs::write(scan.log(), lines.iter().flat_map(|line| [*line, "\n"]).collect::<String>()).expect("a log");
    scan
}

fn append(scan: &Scan, line: &Value) {
    let mut log = OpenOptions::new().append(true).open(scan.log()).expect("a log");
    writeln!(log, "{line}").expect("written");
}

/// What Python makes of `input`, as JSON.
fn python(script: &str, input: &str) -> Value {
    serde_json::from_str(&common::run("python3", "python3", &["-c", script], input)).expect("JSON")
}

/// The rows of a CSV report, each by the names of its columns.
fn rows(scan: &Scan) -> Vec<Value> {
    let script = "import csv, json, sys\n\
        sys.stdin.reconfigure(newline='')\n\
        print(json.dumps(list(csv.DictReader(sys.stdin, strict=True))))";
    python(script, &report(scan, &["--csv"])).as_array().expect("rows").clone()
}

fn images(report: &Value) -> Vec<&Value> {
    let archives = report["archives"].as_array().expect("archives");
    archives.iter().flat_map(|archive| archive["images"].as_array().expect("images")).collect()
}

/// States of the images of a report, by the archive.
fn state(scan: &Scan, fixture: &Fixture) -> String {
    let report = json_report(scan, &[]);
    let archives = report["archives"].as_array().expect("archives");
    let archive = archives.iter().find(|archive| archive["hash"] == *fixture.hash).expect("the archive");
    archive["images"][0]["state"].as_str().expect("a state").to_owned()
}

fn is_inert(text: &str) -> bool {
    !text.contains(|c: char| (c.is_control() && c != '\n' && c != '\r') || ('\u{202a}'..='\u{202e}').contains(&c))
}

#[test]
fn a_run_is_told_from_its_beginning_to_what_remains() {
    let scan = after(&[MULTI, SINGLE, "wrong-checksum", "unread-before"]);
    let multi = fixture::named(MULTI);
    let text = report(&scan, &[]);
    let staging = scan.staging();
    let size = fs::read_dir(scan.collection())
        .expect("a folder")
        .map(|entry| entry.and_then(|entry| entry.metadata()).expect("an archive").len())
        .sum();
    for line in [
        format!("Kept, in {}:", staging.display()),
        format!("  {0}/{0}.img  1.00 GB, 65.5 kB on disk", multi.hash),
        "      dos, 2 partitions: vfat \"FIXTURE\" 16.8 MB, ext4 \"fixture\" 16.8 MB".to_owned(),
        format!("  4 archives chosen ({}): 4 checked, 1 of them with an error", human(size)),
        "  checksum: 1".to_owned(),
        "  unread: 1".to_owned(),
        "What remains to be done:".to_owned(),
    ] {
        assert!(text.lines().any(|known| known == line), "{line}\n{text}");
    }
    assert!(text.contains("; complete after "), "{text}");
    assert!(text.contains("  1 archive that cannot be read to the end"), "{text}");
    assert!(text.contains(&format!("  imgsieve reprocess --config {}\n", scan.site_file().display())), "{text}");
    let undecided = scan.archive(&fixture::named("unread-before").hash);
    assert!(text.contains(&format!("  imgsieve inspect {}\n", undecided.display())), "{text}");
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn json_says_of_every_image_what_the_log_says() {
    let names = [&HOSTILE[..], &[MULTI, SINGLE, "two-images", "gpt-multi", "wrong-checksum"]].concat();
    let scan = after(&names);
    let text = report(&scan, &["--json"]);
    assert!(is_inert(&text), "{text}");
    // Another reader of JSON than ours finds one object.
    let report = python("import json, sys; print(json.dumps(json.load(sys.stdin)))", &text);
    let logged = scan.logged();
    let checks: Vec<&Value> = logged.iter().filter(|line| line["stage"] == "partition_check").collect();
    let images = images(&report);
    assert_eq!(images.len(), checks.len());
    for check in checks {
        let same = |image: &&&Value| image["img"] == check["img"] && image["path"] == check["path"];
        let image = images.iter().find(same).unwrap_or_else(|| panic!("{check}"));
        for key in
            ["img_bytes", "size_bytes", "partitions", "action", "found", "reason", "message", "path_bytes", "verified"]
        {
            assert_eq!(image[key], check[key], "{key} of {image}");
        }
        let partitions = check["partition_list"].as_array().expect("partitions");
        assert_eq!(image["partition_list"].as_array().expect("partitions").len(), partitions.len());
        for (partition, logged) in image["partition_list"].as_array().expect("partitions").iter().zip(partitions) {
            for key in ["number", "start_bytes", "size_bytes", "type", "name", "kind", "fs", "fs_label"] {
                assert_eq!(partition[key], logged[key], "{key}");
            }
        }
    }
    let end = logged.last().expect("lines");
    assert_eq!(report["totals"]["kept_imgs"], end["kept_imgs"]);
    assert_eq!(report["totals"]["imgs"], end["imgs"]);
    assert_eq!(
        report["totals"]["archives_complete"].as_u64().map(|complete| complete + 1),
        end["archives_checked"].as_u64()
    );
    assert_eq!((&report["runs"][0]["end"], &report["runs"][0]["run"]), (&json!("complete"), &end["run"]));
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn csv_has_a_row_an_image_that_a_spreadsheet_does_not_compute() {
    let names = [&HOSTILE[..], &[MULTI, SINGLE, "gpt-multi"]].concat();
    let scan = after(&names);
    let text = report(&scan, &["--csv"]);
    assert!(is_inert(&text), "{text}");
    assert_eq!(text.lines().count(), 1 + names.len(), "a name is no line");
    assert!(text.split_inclusive('\n').all(|line| line.ends_with("\r\n")));
    let rows = rows(&scan);
    let row = |name: &str| {
        let hash = fixture::named(name).hash;
        rows.iter().find(|row| row["hash"] == hash).expect("a row")
    };
    assert_eq!(row("name-not-utf-8")["img"], r"caf\xe9.img");
    assert_eq!(row("name-newline")["img"], r"two\nlines\tand a tab.img");
    assert_eq!(row("name-ansi")["img"], r"\u{1b}[2J\u{1b}[31mred.img");
    assert_eq!(row("name-bidi")["img"], r"photo\u{202e}gnp.img");
    let multi = row(MULTI);
    assert_eq!(multi["found"], "dos, 2 partitions: vfat \"FIXTURE\" 16.8 MB, ext4 \"fixture\" 16.8 MB");
    let facts = ["state", "partitions", "table", "file_systems", "damaged"].map(|key| &multi[key]);
    assert_eq!(json!(facts), json!(["kept", "2", "dos", "vfat ext4", "false"]));
    assert_eq!(row(SINGLE)["state"], "not_retained");
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn hostile_fields_stay_in_their_cells() {
    let scan = log_of(&[
        r#"{"ts":"2026-01-01T00:00:00Z","stage":"script_start","total_archives":1,"run":"=1+1"}"#,
        r#"{"ts":"2026-01-01T00:00:00Z","stage":"archive_start","hash":"@SUM(A1)","archive":"-1","size_bytes":5,"run":"=1+1"}"#,
        r#"{"ts":"2026-01-01T00:00:01Z","stage":"partition_check","hash":"@SUM(A1)","img":"a\",\"b,\u001b]0;x\u0007\r\n=cmd|' /C calc'!A0","action":"error","reason":"+x","message":"\tcmd","found":"=HYPERLINK(\"http://x\",\"y\")\u202e","size_bytes":9,"partitions":3,"run":"=1+1"}"#,
    ]);
    let rows = rows(&scan);
    assert_eq!(rows.len(), 1);
    let cells: Vec<&str> =
        rows[0].as_object().expect("a row").values().map(|cell| cell.as_str().expect("text")).collect();
    for cell in &cells {
        assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']), "{cell}");
    }
    assert_eq!(rows[0]["hash"], r"\x40SUM(A1)");
    assert_eq!(rows[0]["img"], r#"a","b,\u{1b}]0;x\u{7}\r\n=cmd|' /C calc'!A0"#);
    assert_eq!(rows[0]["found"], r#"\x3dHYPERLINK("http://x","y")\u{202e}"#);
    let text = report(&scan, &[]);
    assert!(is_inert(&text), "{text}");
    assert!(
        text.contains("no end in the log: killed, or still running, last log line 2026-01-01 00:00:01 UTC"),
        "{text}"
    );
    assert!(text.contains("Not finished:\n  @SUM(A1), begun 2026-01-01 00:00:00 UTC\n"), "{text}");
}

#[test]
fn what_became_of_an_image_is_told_by_the_log_and_by_the_file_system() {
    let scan = after(&[MULTI, "gpt-multi", "mbr-four", "gpt-hybrid", "mbr-logical", "gpt-4kn"]);
    let [gone, changed, failed, done, removed, kept] =
        [MULTI, "gpt-multi", "mbr-four", "gpt-hybrid", "mbr-logical", "gpt-4kn"].map(fixture::named);
    fs::remove_file(scan.staged(&gone)).expect("removed");
    File::options().write(true).open(scan.staged(&changed)).and_then(|file| file.set_len(5)).expect("cut short");
    let line = |stage: &str, fixture: &Fixture, status: Option<i32>| json!({"ts": "2026-01-01T00:00:00Z", "stage": stage, "path": scan.staged(fixture), "exit_status": status, "run": "p"});
    append(&scan, &line("reprocess_complete", &failed, Some(3)));
    append(&scan, &line("reprocess_complete", &done, Some(0)));
    append(&scan, &line("reprocess_complete", &removed, Some(0)));
    append(&scan, &line("removed", &removed, None));
    fs::remove_file(scan.staged(&removed)).expect("removed");
    let states = [&gone, &changed, &failed, &done, &removed, &kept].map(|fixture| state(&scan, fixture));
    assert_eq!(states, ["gone", "changed", "failed", "reprocessed", "removed", "kept"]);
    let text = report(&scan, &[]);
    for words in [
        "gone from staging",
        "changed since it was staged: its size is 5 B (5 bytes) instead of ",
        "reprocessing failed: exit status 3",
        "      2 images gone from staging, or changed",
        "      2 kept images from all runs in the log, 2.02 GB",
    ] {
        assert!(text.contains(words), "{words}\n{text}");
    }
    let waiting = [&failed, &kept].map(|fixture| format!("{}\n", scan.staged(fixture).display()));
    let kept = report(&scan, &["--kept"]);
    let mut lines: Vec<&str> = kept.split_inclusive('\n').collect();
    lines.sort_unstable();
    let mut wanted = waiting.each_ref().map(String::as_str);
    wanted.sort_unstable();
    assert_eq!(lines, wanted);
}

#[test]
fn kept_paths_are_bytes_and_never_two_lines() {
    let scan = after(&HOSTILE);
    let output = command(&scan, &["--kept", "-0"]).output().expect("runs");
    assert!(output.status.success());
    let mut paths: Vec<PathBuf> = output
        .stdout
        .split_inclusive(|&byte| byte == 0)
        .map(|path| OsStr::from_bytes(&path[..path.len() - 1]).into())
        .collect();
    assert_eq!(paths.len(), HOSTILE.len());
    assert!(paths.iter().all(|path| path.is_file()));
    let with_newline = paths.iter().position(|path| path.as_os_str().as_bytes().contains(&b'\n')).expect("one");
    paths.remove(with_newline);
    let output = command(&scan, &["--kept"]).output().expect("runs");
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(stderr.contains(r"two\nlines\tand a tab.img has a newline in it: use -0"), "{stderr}");
    let lines: Vec<PathBuf> = output
        .stdout
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| OsStr::from_bytes(line).into())
        .collect();
    assert_eq!(lines, paths);
}

#[test]
fn a_forged_path_that_is_relative_is_not_given_to_a_command() {
    let line = r#"{"ts":"2026-01-01T00:00:00Z","stage":"partition_check","hash":"h","img":"-rf","action":"KEPT","path":"-rf","size_bytes":0,"run":"r"}"#;
    let scan = log_of(&[line]);
    fs::write(scan.folder().join("-rf"), "").expect("a file");
    let ended = end(&mut command(&scan, &["--kept"]));
    assert_eq!((ended.code, &*ended.stdout), (1, ""), "{ended:?}");
    assert!(ended.stderr.contains("-rf is not an absolute path"), "{ended:?}");
}

#[test]
fn the_images_of_earlier_runs_wait_as_well() {
    let scan = after(&[MULTI, "gpt-multi"]);
    let only = fixture::named(MULTI).hash;
    assert_eq!(scan.run_with(&["--only", &only]).code, 0);
    assert_eq!(report(&scan, &["--kept"]).lines().count(), 2);
    assert_eq!(report(&scan, &["--kept", "--run", "last"]).lines().count(), 1);
    assert_eq!(images(&json_report(&scan, &[])).len(), 1);
    assert_eq!(images(&json_report(&scan, &["--run", "all"])).len(), 2);
    assert!(report(&scan, &[]).contains("2 kept images from all runs in the log"));
}

#[test]
fn the_loop_of_the_readme_runs_as_it_is_written() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("the README");
    let start = readme.find("imgsieve report --config site.toml --kept -0").expect("the loop");
    let script = &readme[start..start + readme[start..].find("```").expect("its end")];
    let scan = after(&HOSTILE);
    let tools = scan.folder().join("tools");
    fs::create_dir(&tools).expect("a folder");
    let tool = |name: &str, text: &str| {
        fs::write(tools.join(name), text).expect("a script");
        fs::set_permissions(tools.join(name), fs::Permissions::from_mode(0o755)).expect("made executable");
    };
    tool("sudo", "#!/bin/sh\nexec \"$@\"\n");
    tool("ntt-orchestrator", "#!/bin/sh\ncat\n[ \"$1\" = --image ] && printf '%s\\0' \"$2\" >>given\n");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_imgsieve"), tools.join("imgsieve")).expect("a link");
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap_or_default());
    let ended = end(Command::new("bash").args(["-c", script]).env("PATH", path).current_dir(scan.folder()));
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    let given = fs::read(scan.folder().join("given")).expect("what it was given");
    let kept = command(&scan, &["--kept", "-0"]).output().expect("runs").stdout;
    assert_eq!(given, kept);
    assert_eq!(given.split(|&byte| byte == 0).count(), HOSTILE.len() + 1);
}

fn refused(scan: &Scan, args: &[&str]) -> String {
    let ended: Ended = end(&mut command(scan, args));
    assert_eq!((ended.code, &*ended.stdout), (1, ""), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    ended.stderr
}

#[test]
fn a_log_that_cannot_be_told_of_is_one_line_and_exit_code_1() {
    let scan = Scan::new();
    for (text, message) in [
        (None, "No such file or directory"),
        (Some(""), "no run in the log "),
        (Some("\n\n"), "is not an imgsieve log: none of its 2 lines belongs to a run"),
        (Some("hello\n{\"level\":\"info\",\"msg\":\"other\"}\n"), "is not an imgsieve log: none of its 2 lines"),
        (Some("\0\u{1b}[2J\u{7}"), "is not an imgsieve log"),
    ] {
        if let Some(text) = text {
            fs::write(scan.log(), text).expect("a log");
        }
        let stderr = refused(&scan, &[]);
        assert!(stderr.contains(message), "{text:?}: {stderr}");
    }
    fs::write(scan.log(), "").expect("a log");
    assert!(refused(&scan, &["--run", "all"]).contains("is empty: it has no runs"));
    let folder = scan.collection();
    assert!(refused(&scan, &[folder.to_str().expect("text")]).contains("has no logs in it"));
    assert!(refused(&scan, &["/dev/zero"]).contains("is not a log: it is not a regular file"));
    let archive = fixture::named(MULTI).path();
    assert!(refused(&scan, &[archive.to_str().expect("text")]).contains("is not an imgsieve log"));
}

#[test]
fn a_run_that_is_not_there_is_told_with_those_that_are() {
    let scan = after(&[SINGLE]);
    scan.lines();
    let logged = scan.logged();
    let runs: Vec<&str> =
        [&logged[0], logged.last().expect("lines")].map(|line| line["run"].as_str().expect("a run")).to_vec();
    let stderr = refused(&scan, &["--run", "nobody\u{1b}[2J"]);
    assert!(
        stderr.contains(&format!("has no run nobody\\u{{1b}}[2J; its runs are {}, {}\n", runs[0], runs[1])),
        "{stderr}"
    );
    let report = json_report(&scan, &["--run", runs[0]]);
    assert_eq!(report["runs"][0]["run"], runs[0]);
}

#[test]
fn what_is_torn_or_unknown_is_said_and_passed_over() {
    let scan = after(&[MULTI]);
    let clean = report(&scan, &["--json"]);
    append(&scan, &json!({"ts": "2026-01-01T00:00:00Z", "stage": "teatime", "run": "x"}));
    let mut log = OpenOptions::new().append(true).open(scan.log()).expect("a log");
    log.write_all(b"{\"ts\":\"2026-01-01T00:00:00Z\",\"stage\":\"script_sta").expect("torn");
    let ended = end(&mut command(&scan, &["--json"]));
    assert_eq!(ended.code, 0);
    let lines = scan_lines(&scan);
    let log = scan.log();
    let log = log.display();
    assert_eq!(
        ended.stderr,
        format!(
            "imgsieve: warning: {log}: 1 line is torn or no line of a log, and was skipped; the first is line {lines}\n\
             imgsieve: warning: {log}: 1 line is of a stage unknown to this version, and was skipped\n"
        )
    );
    let [before, now]: [Value; 2] = [&clean, &ended.stdout].map(|text| serde_json::from_str(text).expect("JSON"));
    assert_eq!(now["archives"], before["archives"]);
    assert_eq!(now["runs"], before["runs"]);
}

#[test]
fn an_archive_whose_images_are_missing_from_the_log_is_told() {
    let scan = after(&[MULTI, SINGLE]);
    let log = fs::read_to_string(scan.log()).expect("a log");
    let whole = log.lines().filter(|line| !(line.contains("\"partition_check\"") && line.contains("\"KEPT\"")));
    fs::write(scan.log(), whole.flat_map(|line| [line, "\n"]).collect::<String>()).expect("a log");
    let ended = end(&mut command(&scan, &[]));
    let told = format!(
        "lines about images of 1 archive are missing from the log, and so from this report; the first is {}",
        fixture::named(MULTI).hash
    );
    assert!(ended.code == 0 && ended.stderr.contains(&told), "{ended:?}");
}

#[test]
fn a_run_by_rules_that_are_not_all_known_is_told_all_the_same() {
    let scan = after(&[MULTI]);
    let log = fs::read_to_string(scan.log()).expect("a log");
    let fewer = log.replace(",\"fs\":false}", "}");
    assert_ne!(fewer, log);
    fs::write(scan.log(), fewer).expect("a log");
    assert_eq!(json_report(&scan, &[])["archives"].as_array().expect("a list").len(), 1);
}

fn scan_lines(scan: &Scan) -> usize {
    fs::read(scan.log()).expect("a log").split(|&byte| byte == b'\n').count()
}

#[test]
fn runs_that_are_mixed_are_told_apart() {
    let scan = log_of(&[
        r#"{"ts":"2026-01-01T00:00:00Z","stage":"script_start","total_archives":2,"run":"r1"}"#,
        r#"{"ts":"2026-01-01T00:00:00Z","stage":"archive_start","hash":"a","size_bytes":5,"run":"r1"}"#,
        r#"{"ts":"2026-01-01T00:00:01Z","stage":"script_start","total_archives":1,"run":"r2"}"#,
        r#"{"ts":"2026-01-01T00:00:01Z","stage":"archive_start","hash":"b","size_bytes":7,"run":"r2"}"#,
        r#"{"ts":"2026-01-01T00:00:02Z","stage":"archive_complete","hash":"a","content_bytes":50,"run":"r1"}"#,
        r#"{"ts":"2026-01-01T00:00:02Z","stage":"error","scope":"archive","hash":"b","reason":"corrupt","message":"m","run":"r2"}"#,
        r#"{"ts":"2026-01-01T00:00:03Z","stage":"script_complete","run":"r2"}"#,
        r#"{"ts":"2026-01-01T00:00:04Z","stage":"interrupted","signal":"SIGHUP","run":"r1"}"#,
    ]);
    let of = |run: &str| {
        let report = json_report(&scan, &["--run", run]);
        let run = &report["runs"][0];
        json!([run["run"], run["end"], report["totals"]["archives_failed"], run["archives_never_begun"]])
    };
    assert_eq!(of("last"), json!(["r2", "complete", 1, 0]));
    assert_eq!(of("r1"), json!(["r1", "interrupted", 0, 1]));
    assert_eq!(json_report(&scan, &["--run", "all"])["totals"]["archives"], 2);
    let text = report(&scan, &["--run", "r1"]);
    assert!(text.contains("; ended by SIGHUP after 4 s\n"), "{text}");
    assert!(text.contains("\nNot finished:\n  1 archive never begun\n"), "{text}");
}

#[test]
fn a_run_that_was_refused_is_told_as_such() {
    let scan = after(&[SINGLE]);
    let scan = scan.site("min_free = '100%'");
    assert_eq!(scan.run().code, 75);
    assert!(report(&scan, &[]).contains("; complete after "));
    let text = report(&scan, &["--run", "all"]);
    assert!(text.contains("; refused: "), "{text}");
}

#[test]
fn a_dry_run_says_what_would_be_kept() {
    let scan = Scan::of_named(&[MULTI, SINGLE]).args(&["--dry-run"]);
    scan.lines();
    let text = report(&scan, &[]);
    assert!(text.contains("To be kept:\n") && text.contains(".img  1.00 GB, at most "), "{text}");
    assert!(text.contains("      1 image to stage without --dry-run, "), "{text}");
    assert_eq!(report(&scan, &["--kept"]), "");
}

#[test]
fn the_log_of_the_script_that_it_replaces_is_told_of() {
    let scan = Scan::new();
    let image = scan.folder().join("bar.img");
    fs::write(&image, "x").expect("an image");
    let path = image.display();
    let lines = [
        r#"{"ts": "2025-10-10T14:00:00Z", "stage": "script_start", "total_archives": 38}"#.to_owned(),
        r#"{"ts": "2025-10-10T14:00:01Z", "stage": "archive_start", "hash": "h", "size_gb": 123, "rank": 1}"#.to_owned(),
        format!(r#"{{"ts": "2025-10-10T14:00:02Z", "stage": "partition_check", "hash": "h", "img": "bar.img", "partitions": 3, "action": "KEPT", "path": "{path}"}}"#),
        r#"{"ts": "2025-10-10T14:00:03Z", "stage": "archive_complete", "hash": "h", "multipart_imgs": 1, "disk_free_pct": 45}"#.to_owned(),
    ];
    fs::write(scan.log(), lines.join("\n")).expect("a log");
    let text = report(&scan, &[]);
    assert!(text.contains("Run without an ID"), "{text}");
    assert!(text.contains("bar.img  0 B\n"), "{text}");
    assert!(text.contains("37 never begun"), "{text}");
}

#[test]
fn who_has_seen_enough_is_no_error_and_a_full_disk_is() {
    let scan = after(&[MULTI]);
    let program = env!("CARGO_BIN_EXE_imgsieve");
    let script = format!("set -o pipefail; '{program}' report log.jsonl --json | true");
    let ended = end(Command::new("bash").args(["-c", &script]).current_dir(scan.folder()));
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    for format in ["--json", "--csv", "--kept"] {
        let full = File::options().write(true).open("/dev/full").expect("opens");
        let output = command(&scan, &[format]).stdout(full).output().expect("runs");
        assert_eq!(output.status.code(), Some(1), "{format}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("writing to standard output: No space left on device"), "{stderr}");
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn long_lists_are_cut_on_a_terminal_and_nowhere_else() {
    let mut lines =
        vec![r#"{"ts":"2026-01-01T00:00:00Z","stage":"script_start","total_archives":60,"run":"r"}"#.to_owned()];
    for number in 0..60 {
        let of = format!(r#""hash":"h{number}","#);
        lines.push(format!(r#"{{"ts":"2026-01-01T00:00:00Z","stage":"archive_start",{of}"size_bytes":5,"run":"r"}}"#));
        lines.push(format!(r#"{{"ts":"2026-01-01T00:00:00Z","stage":"partition_check",{of}"img":"i","partitions":2,"action":"KEPT","path":"/nonexistent/h{number}/i","size_bytes":9,"run":"r"}}"#));
    }
    let scan = log_of(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(report(&scan, &[]).matches("  gone from staging").count(), 60);
    let program = env!("CARGO_BIN_EXE_imgsieve");
    let log = scan.log();
    let on_terminal =
        common::run("bsdutils", "script", &["-qec", &format!("{program} report {}", log.display()), "/dev/null"], "");
    assert_eq!(on_terminal.matches("  gone from staging").count(), 40, "{on_terminal}");
    assert!(on_terminal.contains("… and 20 more: see imgsieve report --csv"), "{on_terminal}");
}

#[test]
fn a_log_may_be_an_option_a_pipe_compressed_or_in_a_folder() {
    let scan = after(&[MULTI, SINGLE]);
    let expected = json_report(&scan, &[]);
    let same = |what: &str, text: &str| {
        let mut found: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
        for key in ["log", "remaining"] {
            found[key] = expected[key].clone();
        }
        assert_eq!(found, expected, "{what}");
    };
    let log = scan.log();
    let log = log.to_str().expect("text");
    same("--log", &report(&scan, &["--log", log, "--json"]));
    let rotated = scan.folder().join("rotated");
    fs::create_dir(&rotated).expect("a folder");
    let bytes = fs::read(log).expect("a log");
    let half = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(4).expect("lines").0 + 1;
    fs::write(rotated.join("log.jsonl"), &bytes[half..]).expect("a log");
    let compress = |program: &str, name: &str| {
        fs::write(rotated.join("log.jsonl.1"), &bytes[..half]).expect("a log");
        let ended = end(Command::new(program).args(["-q", "-f"]).arg(rotated.join("log.jsonl.1")));
        assert_eq!(ended.code, 0, "{ended:?}");
        // Whether the compressor left it there or not.
        same(name, &report(&scan, &[rotated.to_str().expect("text"), "--json"]));
        fs::remove_file(rotated.join(name)).expect("it was made");
        let _ = fs::remove_file(rotated.join("log.jsonl.1"));
    };
    compress("gzip", "log.jsonl.1.gz");
    compress("zstd", "log.jsonl.1.zst");
    for (what, script) in
        [("-", "cat \"$1\" | \"$0\" report - --json"), ("a pipe", "\"$0\" report <(cat \"$1\") --json")]
    {
        let ended = end(Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_imgsieve"), log]));
        assert_eq!((ended.code, &*ended.stderr), (0, ""), "{what}: {ended:?}");
        same(what, &ended.stdout);
    }
}

#[test]
fn the_last_run_of_each_of_several_logs_is_told() {
    let [one, two] = [MULTI, SINGLE].map(|name| after(&[name]));
    let [one_log, two_log] = [&one, &two].map(|scan| scan.log().to_str().expect("text").to_owned());
    one.run();
    let both = json_report(&one, &[&one_log, &two_log]);
    let hashes: Vec<&Value> = both["archives"].as_array().expect("a list").iter().map(|each| &each["hash"]).collect();
    assert_eq!(hashes.len(), 2, "{hashes:?}");
    assert_eq!(both["runs"].as_array().map(Vec::len), Some(2));
}

#[test]
fn what_a_scan_says_at_its_end_is_what_a_report_says_of_it() {
    let mut fixtures = fixture::all();
    fixtures.retain(Fixture::is_quick);
    let scan = Scan::of(&fixtures);
    for args in [&["--json"][..], &["--json", "--resume"]] {
        let ended = scan.run_with(args);
        let summary: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        let report = json_report(&scan, &[]);
        assert!(summary["archives_failed"].as_u64() > Some(5), "{summary}");
        for (key, of_report) in [
            ("archives_failed", "archives_failed"),
            ("compressed_bytes", "compressed_bytes"),
            ("content_bytes", "content_bytes"),
            ("passed_over_bytes", "passed_over_bytes"),
            ("bytes_written", "bytes_written"),
            ("imgs", "imgs"),
            ("kept_imgs", "kept_imgs"),
            ("would_keep", "would_keep"),
            ("deferred", "deferred"),
            ("image_errors", "image_errors"),
            ("warnings", "warnings"),
        ] {
            assert_eq!(summary[key], report["totals"][of_report], "{key} {args:?}");
        }
    }
}

/// What is said of a run but for its times, which a log has in whole seconds, and for the order of archives.
fn without_times(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text
        .lines()
        .map(|line| match line.split_once(" of content, in ") {
            Some((facts, _)) if !line.ends_with(" earlier runs.") => facts.to_owned(),
            _ => line.to_owned(),
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_scan_ends_with_the_text_of_its_report() {
    let mut fixtures = fixture::all();
    fixtures.retain(Fixture::is_quick);
    let (staged, dry) = (Scan::of(&fixtures), Scan::of(&fixtures).args(&["--dry-run"]));
    for (scan, args) in [(&staged, &[][..]), (&staged, &["--resume"]), (&dry, &[])] {
        let ended = scan.run_with(args).stdout;
        let reported = report(scan, &[]);
        let body = reported.split_once("\n\n").expect("a head").1;
        let (ended, _) = ended.split_once("No archive was changed.").expect("a last line");
        assert_eq!(without_times(ended), without_times(body), "{args:?}");
    }
}

#[test]
fn a_report_in_json_has_all_that_the_log_says_of_an_image() {
    let mut fixtures = fixture::all();
    fixtures.retain(Fixture::is_quick);
    let scan = Scan::of(&fixtures);
    scan.run();
    let report = json_report(&scan, &[]);
    let archives = report["archives"].as_array().expect("a list");
    let mut checks = 0;
    for line in scan.logged().iter().filter(|line| line["stage"] == "partition_check") {
        let images = archives.iter().filter(|archive| archive["hash"] == line["hash"]);
        let mut images = images.flat_map(|archive| archive["images"].as_array().expect("a list"));
        let is_it = |image: &&Value| {
            ["img", "member", "size_bytes"].iter().all(|key| image[key] == line[key])
                && image["ordinal"].as_u64() == Some(line["ordinal"].as_u64().unwrap_or(1))
        };
        let image = images.find(is_it).unwrap_or_else(|| panic!("{line}"));
        for (key, value) in line.as_object().expect("an object") {
            if !["ts", "stage", "run", "hash", "hash_bytes"].contains(&key.as_str()) {
                assert_eq!(&image[key], value, "{key} of {line}");
            }
        }
        checks += 1;
    }
    assert!(checks > 30, "{checks}");
}

#[test]
fn a_log_that_cannot_be_read_to_its_end_does_not_hide_what_a_resumed_run_did() {
    let scan = after(&[MULTI, SINGLE]);
    fs::remove_file(scan.staged(&fixture::named(MULTI))).expect("ours");
    let mut log = fs::read_to_string(scan.log()).expect("a log");
    log.push_str("{\"stage\":\"x\"");
    fs::write(scan.log(), log).expect("a log");
    let ended = scan.run_with(&["--resume", "--json"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let summary: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let facts = ["complete", "total_archives", "archives_checked", "archives_resumed", "kept_imgs"];
    assert_eq!(json!(facts.map(|key| summary[key].clone())), json!([true, 2, 2, 1, 1]), "{summary}");
    let log = fs::read_to_string(scan.log()).expect("a log");
    let last: Value = serde_json::from_str(log.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["archives_resumed"], 1);
}

#[test]
fn an_image_that_something_is_in_the_way_of_remains_to_be_done() {
    let multi = fixture::named(MULTI);
    let scan = Scan::of_named(&[MULTI]);
    let staged = scan.staged(&multi);
    fs::create_dir_all(staged.parent().expect("a folder")).expect("a folder");
    fs::write(&staged, "x").expect("a file");
    let ended = scan.run();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.starts_with("Needs attention:\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("      1 image not staged for an error: fix it first"), "{}", ended.stdout);
    fs::remove_file(&staged).expect("ours");
    assert_eq!(run_printed(&json_report(&scan, &[])["remaining"]["resume"]).code, 0);
    assert!(staged.is_file());
}

#[test]
fn the_kept_images_of_one_log_come_with_a_word_about_the_others() {
    let scan = Scan::of_named(&[MULTI]);
    scan.run();
    fs::rename(scan.log(), scan.folder().join("old.jsonl")).expect("renamed");
    scan.run_with(&["--resume", "--log", &scan.log().to_string_lossy(), "--log", &scan.folder().to_string_lossy()]);
    let ended = end(&mut command(&scan, &["--kept", "log.jsonl"]));
    assert_eq!((ended.code, &*ended.stdout), (0, ""));
    assert_eq!(
        ended.stderr,
        "imgsieve: warning: 1 archive was completed by a run that is in another log; name that, too, to have everything\n"
    );
    let ended = end(&mut command(&scan, &["--kept", "old.jsonl", "log.jsonl"]));
    assert_eq!((ended.stdout.lines().count(), &*ended.stderr), (1, ""));
}

#[test]
fn seconds_of_the_wall_and_of_workers_are_told_apart() {
    let scan = Scan::of_named(&[MULTI, SINGLE]);
    let summary: Value = serde_json::from_str(&scan.run_with(&["--json"]).stdout).expect("JSON");
    let lines = scan.logged();
    let complete = of_stage(&lines, "script_complete")[0];
    let archives: f64 =
        of_stage(&lines, "archive_complete").iter().map(|line| line["seconds"].as_f64().expect("one")).sum();
    assert_eq!(complete["worker_seconds"], complete["seconds"]);
    assert!((complete["worker_seconds"].as_f64().expect("seconds") - archives).abs() < 0.01, "{complete}");
    for key in ["wall_seconds", "worker_seconds"] {
        assert!(summary[key].is_number() && complete[key].is_number(), "{key}");
    }
    let seconds = |key: &str| summary[key].as_f64().expect("seconds");
    assert!((seconds("seconds") - seconds("wall_seconds")).abs() < 0.001, "{summary}");
}
