//! A log that can no longer be written: what it has is whole lines, and nothing is done that it does not vouch for.

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use common::fixture::{self, Fixture};
use common::scan::{Ended, Scan, end};
use serde_json::Value;

const MULTI: [&str; 3] = ["mbr-multi", "gpt-multi", "sparse-gnu"];

/// Runs `command` where no file may grow beyond so many kibibytes, and who tries is told so.
fn limited(command: &Command, kibibytes: u64) -> Ended {
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f \"$0\"; exec \"$@\"", &kibibytes.to_string()]);
    limited.arg(command.get_program()).args(command.get_args());
    end(&mut limited)
}

/// The lines of the log, all of them whole.
fn whole_lines(scan: &Scan) -> Vec<Value> {
    let text = fs::read_to_string(scan.log()).expect("a log");
    assert!(text.is_empty() || text.ends_with('\n'), "a torn end");
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

#[test]
fn a_log_that_is_full_has_whole_lines_and_ends_the_run() {
    let mut fixtures = fixture::all();
    fixtures.retain(Fixture::is_quick);
    let scan = Scan::of(&fixtures).args(&["--dry-run", "--no-progress"]);
    for kibibytes in [1, 5, 17, 33] {
        let _ = fs::remove_file(scan.log());
        let ended = limited(&scan.command(), kibibytes);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("can no longer be written"), "{}", ended.stderr);
        let lines = whole_lines(&scan);
        assert!(!lines.iter().any(|line| line["stage"] == "script_complete"), "{kibibytes}");
        let next = scan.run();
        assert_eq!(next.code, 1, "some of them cannot be read: {next:?}");
        assert_eq!(whole_lines(&scan).last().expect("lines")["stage"], "script_complete");
    }
}

#[test]
fn what_another_run_tore_is_ended_before_the_next_line() {
    let scan = Scan::of_named(&MULTI[..1]);
    fs::write(scan.log(), "{\"ts\":\"2026-01-01T00:00:00Z\",\"stage\":\"img_fou").expect("a torn log");
    assert_eq!(scan.run().code, 0);
    let text = fs::read_to_string(scan.log()).expect("a log");
    let torn: Vec<usize> = text
        .lines()
        .enumerate()
        .filter(|(_, line)| serde_json::from_str::<Value>(line).is_err())
        .map(|(number, _)| number)
        .collect();
    assert_eq!(torn, [0]);
}

#[test]
fn no_image_is_removed_whose_success_is_not_in_the_log() {
    let scan = Scan::of_named(&MULTI);
    assert_eq!(scan.run().code, 0);
    let log = fs::read(scan.log()).expect("a log");
    let staged: BTreeSet<String> = paths(&scan, "KEPT");
    assert_eq!(staged.len(), MULTI.len());
    let mut removed = 0;
    for more in 1..6 {
        assert_eq!(scan.run().code, 0);
        fs::write(scan.log(), &log).expect("the log");
        let kibibytes = fs::metadata(scan.log()).expect("a log").len() / 1024 + more;
        let ended = limited(&scan.reprocess(&["--remove", "--jobs", "2"], "true"), kibibytes);
        let lines = whole_lines(&scan);
        let succeeded: BTreeSet<&str> = lines
            .iter()
            .filter(|line| line["stage"] == "reprocess_complete" && line["exit_status"] == 0)
            .filter_map(|line| line["path"].as_str())
            .collect();
        let gone: Vec<&String> = staged.iter().filter(|path| !fs::exists(path).expect("looked at")).collect();
        assert!(gone.iter().all(|path| succeeded.contains(path.as_str())), "{gone:?}: {lines:?}");
        assert!(gone.len() == staged.len() || ended.code == 1, "{ended:?}");
        removed += gone.len();
    }
    assert!(removed > 0, "the limit is wide enough at last");
}

/// An earlier run may have failed to sync the line, and the system tells of that only once.
#[test]
fn what_an_earlier_run_reprocessed_is_removed_once_its_success_is_logged_anew() {
    let scan = Scan::of_named(&MULTI);
    assert_eq!(scan.run().code, 0);
    assert_eq!(end(&mut scan.reprocess(&[], "true")).code, 0);
    let staged = paths(&scan, "KEPT");
    let is_there = |path: &String| fs::exists(path).expect("looked at");
    let kibibytes = fs::metadata(scan.log()).expect("a log").len() / 1024;
    assert_eq!(limited(&scan.reprocess(&["--remove"], "false"), kibibytes).code, 1);
    assert!(staged.iter().all(is_there), "the log is full");
    let before = whole_lines(&scan).len();
    assert_eq!(end(&mut scan.reprocess(&["--remove"], "false")).code, 0);
    assert!(!staged.iter().any(is_there));
    let logged: Vec<String> =
        whole_lines(&scan)[before..].iter().map(|line| line["stage"].as_str().expect("a word").to_owned()).collect();
    assert_eq!(logged, ["reprocess_complete", "removed"].repeat(MULTI.len()));
}

fn paths(scan: &Scan, action: &str) -> BTreeSet<String> {
    let lines = scan.logged();
    lines
        .iter()
        .filter(|line| line["action"] == action)
        .filter_map(|line| line["path"].as_str())
        .map(str::to_owned)
        .collect()
}
