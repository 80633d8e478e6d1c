//! The commands that `imgsieve report` prints do what they are printed for, from any folder.

mod common;

use std::fs;

use common::fixture;
use common::report::{after, command, json_report, report, run_printed};
use common::scan::{Scan, end, imgsieve, of_stage};
use serde_json::{Value, json};

/// One with an image to be kept, one without.
const MULTI: &str = "mbr-multi";
const SINGLE: &str = "mbr-single";

#[test]
fn the_commands_it_gives_do_what_remains() {
    let scan = after(&[MULTI, SINGLE]);
    fs::remove_file(scan.staged(&fixture::named(MULTI))).expect("removed");
    let report = json_report(&scan, &[]);
    assert_eq!(report["remaining"]["imgs_lost"], 1);
    let resume = &report["remaining"]["resume"];
    let ended = run_printed(resume);
    assert_eq!(ended.code, 0, "{ended:?}");
    let report = json_report(&scan, &[]);
    assert_eq!(json!([report["remaining"]["resume"], report["remaining"]["imgs_to_reprocess"]]), json!([null, 1]));
    // The totals are those of the collection, though the run only did one archive again.
    assert_eq!(json!([report["totals"]["archives_complete"], report["runs"][1]["archives_resumed"]]), json!([2, 1]));
    let text = self::report(&scan, &[]);
    assert!(text.contains("Taken over: 1 archive from run "), "{text}");
}

#[test]
fn a_dry_run_goes_on_as_one_and_its_images_are_staged_by_a_real_one() {
    let hashes = [MULTI, SINGLE].map(|name| fixture::named(name).hash);
    let scan = Scan::of_named(&[MULTI, SINGLE]);
    let options = ["--dry-run", "--keep-undecided", "--only", &hashes[0], "--image-suffix", ".img,.a b"];
    scan.run_with(&options);
    let remaining = json_report(&scan, &[])["remaining"].clone();
    assert_eq!(remaining["resume"], Value::Null);
    let ended = run_printed(&remaining["stage"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(scan.staged(&fixture::named(MULTI)).is_file());
    let lines = scan.logged();
    let starts = of_stage(&lines, "script_start");
    assert_eq!((&starts[0]["options"], &starts[0]["rules"]), (&starts[1]["options"], &starts[1]["rules"]));
    assert_eq!(json!([starts[0]["dry_run"], starts[1]["dry_run"], starts[1]["not_selected"]]), json!([true, false, 1]));

    // What was not begun is begun by a dry run.
    let text = lines[..3].iter().map(Value::to_string).collect::<Vec<_>>().join("\n") + "\n";
    fs::write(scan.log(), text).expect("a log");
    let remaining = json_report(&scan, &[])["remaining"].clone();
    let before = scan.logged().len();
    assert_eq!(run_printed(&remaining["resume"]).code, 0);
    let begun = &scan.logged()[before];
    assert_eq!(json!([begun["dry_run"], begun["options"]]), json!([true, starts[0]["options"]]));
}

#[test]
fn nothing_is_to_be_tried_again_that_cannot_end_otherwise() {
    let scan = after(&["wrong-checksum"]);
    let empty = scan.collection().join("empty.tar.zst");
    fs::write(&empty, "").expect("a file");
    fs::write(scan.collection().join("text.tar.zst"), "no archive at all\n").expect("a file");
    scan.run();
    let remaining = json_report(&scan, &[])["remaining"].clone();
    assert_eq!(json!([remaining["archives_broken"], remaining["resume"]]), json!([3, null]), "{remaining}");
    assert!(report(&scan, &[]).contains("3 archives that cannot be read to the end"), "{}", report(&scan, &[]));
}

#[test]
fn commands_name_the_site_file_of_the_run_or_what_another_does_not_name() {
    let scan = after(&["unread-before", MULTI]);
    let mut other = imgsieve();
    other.arg("report").arg("--json").arg(scan.log());
    let mut remaining = || -> Value {
        let report: Value = serde_json::from_str(&end(&mut other).stdout).expect("JSON");
        report["remaining"].clone()
    };
    fs::remove_file(scan.staged(&fixture::named(MULTI))).expect("removed");
    let folder = scan.folder().display();
    let command = format!("imgsieve scan --resume --config {folder}/site.toml");
    assert_eq!(remaining()["resume"], command);
    // The log of an earlier version does not have the options.
    let text = fs::read_to_string(scan.log()).expect("a log").replacen("\"options\"", "\"unknown\"", 1);
    fs::write(scan.log(), text).expect("a log");
    let places = format!("--log {folder}/log.jsonl --staging {folder}/staging");
    assert_eq!(remaining()["resume"], format!("imgsieve scan --resume {places} {folder}/collection"));
}

#[test]
fn of_several_logs_the_command_that_goes_on_names_all_and_appends_to_the_runs_own() {
    let scan = Scan::of_named(&[MULTI]);
    scan.run();
    let old = scan.folder().join("log.jsonl.1");
    fs::rename(scan.log(), &old).expect("renamed");
    // Another run, of which only the beginning is in its log.
    fs::copy(fixture::named(SINGLE).path(), scan.archive("later")).expect("a copy");
    scan.run_with(&["--only", "later"]);
    let text = fs::read_to_string(scan.log()).expect("a log");
    let cut: String =
        text.lines().take_while(|line| !line.contains("archive_start")).flat_map(|line| [line, "\n"]).collect();
    fs::write(scan.log(), cut.replace(",\"--only=later\"", "")).expect("a log");
    for logs in [vec!["log.jsonl.1", "log.jsonl"], vec!["."]] {
        let report = json_report(&scan, &logs);
        let command = report["remaining"]["resume"].as_str().expect("a command").to_owned();
        let first = command.find("--log").map(|at| &command[at..]).expect("logs");
        assert!(first.starts_with(&format!("--log {} --log ", scan.log().display())), "{command}");
        let before = fs::read(scan.log()).expect("a log");
        let ended = run_printed(&json!(command));
        assert_eq!(ended.code, 0, "{command}: {ended:?}");
        let resumed = fs::read_to_string(scan.log()).expect("a log")[before.len()..].matches("archive_resumed").count();
        assert_eq!(resumed, 1, "what the old log has is not read again: {command}");
        fs::write(scan.log(), before).expect("as it was");
    }
    let kept = end(&mut command(&scan, &["log.jsonl.1", "--kept"]));
    assert_eq!((kept.stdout.lines().count(), &*kept.stderr), (1, ""));
}

#[test]
fn paths_in_printed_commands_have_no_dots() {
    let scan = Scan::of_named(&[MULTI]);
    let folder = scan.folder().join("inside");
    fs::create_dir(&folder).expect("a folder");
    let mut run = imgsieve();
    run.current_dir(&folder).args(["scan", "--dry-run", "--config", "../inside/../site.toml", "../collection"]);
    let text = end(&mut run).stdout;
    let line = text.lines().find(|line| line.contains("imgsieve scan --resume")).expect("a command");
    assert!(!line.contains("..") && line.contains("/site.toml") && line.ends_with("/collection"), "{line}");
    assert_eq!(run_printed(&json!(line.trim())).code, 0);
}
