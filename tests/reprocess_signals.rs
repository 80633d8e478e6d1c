//! How the second phase ends where somebody ends it, and who may process an image at a time: signals to imgsieve alone and
//! from a terminal, a second run beside the first, an imgsieve that is killed while its command runs on.

mod common;
#[path = "common/terminal.rs"]
mod terminal;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::fixture;
use common::scan::{Ended, Scan, end, imgsieve, of_stage, words};
use serde_json::json;
use terminal::Terminal;

const TWO: [&str; 2] = ["sparse-posix-0.0", "sparse-gnu"];
/// A test that waits for something longer than this fails.
const PATIENCE: Duration = Duration::from_mins(1);
/// Says that it runs, in the file `ready` in the test's folder, and goes on until there is a file `go`, or no such folder.
/// Notes signals.
const WAITS: &str = r#"trap 'echo INT' INT; trap 'echo TERM' TERM; echo "$1" >> "$AT/ready"
    while [ -e "$AT" ] && ! [ -e "$AT/go" ]; do sleep 0.01; done"#;

fn staged() -> Scan {
    let scan = Scan::of_named(&TWO);
    let ended = scan.run();
    assert_eq!(ended.code, 0, "{ended:?}");
    scan
}

fn image(scan: &Scan, name: &str) -> PathBuf {
    scan.staged(&fixture::named(name))
}

/// `imgsieve reprocess`, started.
struct Started {
    child: Child,
}

impl Started {
    fn new(scan: &Scan, options: &[&str], script: &str) -> Started {
        let mut command = scan.reprocess(options, script);
        command.env("AT", scan.folder()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Started { child: command.spawn().expect("the program") }
    }

    /// Sends a signal to imgsieve, and to nobody else.
    fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status().expect("kill");
        assert!(status.success());
    }

    fn end(self) -> Ended {
        let output = self.child.wait_with_output().expect("a child");
        Ended {
            code: output.status.code().expect("no signal ends it"),
            stdout: String::from_utf8(output.stdout).expect("UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "it never comes: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn ready(scan: &Scan) -> usize {
    fs::read_to_string(scan.folder().join("ready")).unwrap_or_default().lines().count()
}

fn wait_for_ready(scan: &Scan, count: usize) {
    wait_until("the command runs", || ready(scan) == count);
}

fn go(scan: &Scan) {
    fs::write(scan.folder().join("go"), "").expect("a file");
}

fn output_of(scan: &Scan, name: &str) -> String {
    fs::read_to_string(format!("{}.reprocess.log", image(scan, name).display())).unwrap_or_default()
}

/// The end of each command in the log: image, exit status, signal.
fn ends(scan: &Scan) -> Vec<serde_json::Value> {
    let lines = scan.logged();
    let ends = of_stage(&lines, "reprocess_complete");
    ends.into_iter().map(|line| json!([line["hash"], line["exit_status"], line["signal"]])).collect()
}

fn hash(name: &str) -> String {
    fixture::named(name).hash
}

#[test]
fn a_signal_to_imgsieve_is_passed_on_to_a_command_that_hangs() {
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let scan = staged();
        let run = Started::new(&scan, &[], r#"echo "$1" >> "$AT/ready"; exec sleep 600"#);
        wait_for_ready(&scan, 1);
        run.signal(name);
        let ended = run.end();
        assert_eq!(ended.code, 128 + number, "{ended:?}");
        assert_eq!(ends(&scan), [json!([hash(TWO[0]), null, format!("SIG{name}")])]);
        let lines = scan.logged();
        let last = lines.last().expect("a line");
        assert_eq!((&last["stage"], &last["signal"]), (&json!("interrupted"), &json!(format!("SIG{name}"))));
        assert_eq!(ready(&scan), 1, "no other is begun");
        assert!(ended.stderr.contains(&format!("SIG{name}, which was passed on: waiting")), "{}", ended.stderr);
        assert!(ended.stdout.contains("Not begun: 1 image."), "{}", ended.stdout);
    }
}

#[test]
fn the_end_of_a_command_that_was_signalled_is_waited_for_and_logged() {
    let scan = staged();
    let run = Started::new(&scan, &["--remove"], WAITS);
    wait_for_ready(&scan, 1);
    run.signal("TERM");
    wait_until("the signal is passed on", || output_of(&scan, TWO[0]).contains("TERM\n"));
    assert!(ends(&scan).is_empty());
    go(&scan);
    let ended = run.end();
    assert_eq!(ended.code, 143, "{ended:?}");
    assert_eq!(ends(&scan), [json!([hash(TWO[0]), 0, null])]);
    // What succeeded is done with, whatever ended the run.
    assert_eq!([image(&scan, TWO[0]).exists(), image(&scan, TWO[1]).exists()], [false, true]);
}

#[test]
fn a_second_signal_ends_imgsieve_at_once_and_the_command_keeps_its_lock() {
    let scan = staged();
    let run = Started::new(&scan, &[], WAITS);
    wait_for_ready(&scan, 1);
    run.signal("INT");
    wait_until("the signal is passed on", || output_of(&scan, TWO[0]).contains("INT\n"));
    run.signal("INT");
    assert_eq!(run.end().code, 130);
    let ended = end(scan.reprocess(&["--only", &hash(TWO[0])], "true").env("AT", scan.folder()));
    assert_eq!(ended.code, 75, "{ended:?}");
    assert!(ended.stderr.contains("it is being reprocessed: a command of another run holds the lock"), "{ended:?}");
    go(&scan);
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn interrupting_from_the_terminal_reaches_the_command_once() {
    let scan = staged();
    let terminal = Terminal::start(
        "reprocess",
        200,
        &format!(
            "trap : INT; AT={} {} reprocess --config {} -- sh -c '{}' script {{}}",
            scan.folder().display(),
            env!("CARGO_BIN_EXE_imgsieve"),
            scan.site_file().display(),
            WAITS.replace('\'', r"'\''"),
        ),
    );
    wait_for_ready(&scan, 1);
    let drawn = terminal.wait_for(|screen| screen.contains("0 of 2 images"));
    assert!(drawn.contains(&hash(TWO[0])), "{drawn}");
    terminal.press("C-c");
    let screen = terminal.wait_for(|screen| screen.contains("waiting for the command to end"));
    assert!(!screen.contains("passed on"), "{screen}");
    wait_until("the signal arrives", || output_of(&scan, TWO[0]).contains("INT\n"));
    go(&scan);
    let screen = terminal.wait_for(|screen| screen.contains("ended "));
    assert!(screen.contains("ended 130") && !screen.contains('━'), "{screen}");
    assert_eq!(output_of(&scan, TWO[0]).matches("INT\n").count(), 1);
    assert_eq!(ends(&scan), [json!([hash(TWO[0]), 0, null])]);
    assert_eq!(ready(&scan), 1);
}

#[test]
fn two_runs_at_once_process_each_image_once() {
    let scan = staged();
    let first = Started::new(&scan, &[], WAITS);
    wait_for_ready(&scan, 1);
    let note = r#"echo "$1" >> "$AT/ready""#;
    let second = end(scan.reprocess(&[], note).env("AT", scan.folder()));
    assert_eq!(second.code, 75, "{second:?}");
    let locked = format!("imgsieve: error: {}: it is being reprocessed", image(&scan, TWO[0]).display());
    assert!(second.stderr.contains(&locked), "{}", second.stderr);
    assert!(second.stdout.contains("Reprocessed 1 image"), "{}", second.stdout);
    go(&scan);
    let first = first.end();
    assert_eq!(first.code, 0, "{first:?}");
    // The first had read the log before the second began.
    assert_eq!(words(&of_stage(&scan.logged(), "reprocess_start"), "hash"), TWO.map(hash));
    assert!(first.stdout.contains("Skipped 1 image, already reprocessed"), "{}", first.stdout);
}

#[test]
fn a_command_outlives_imgsieve_with_its_lock_and_is_run_again_after_that() {
    let scan = staged();
    let mut run = Started::new(&scan, &["-v"], &format!("{WAITS}; echo done"));
    wait_for_ready(&scan, 1);
    run.child.kill().expect("ours");
    run.child.wait().expect("ours");
    let only = hash(TWO[0]);
    let again = || end(scan.reprocess(&["--only", &only], "true").env("AT", scan.folder()));
    let ended = again();
    assert_eq!(ended.code, 75, "{ended:?}");
    assert!(ended.stderr.contains("it is being reprocessed"), "{}", ended.stderr);
    go(&scan);
    wait_until("the lock is free", || again().code == 0);
    let output = output_of(&scan, TWO[0]);
    assert!(output.contains("\ndone\n"), "it ended undisturbed: {output}");
    assert_eq!(ends(&scan), [json!([only, 0, null])], "by the last run, for the first could not log its end");
}

#[test]
fn a_survey_may_run_at_the_same_time() {
    let scan = staged();
    let run = Started::new(&scan, &[], WAITS);
    wait_for_ready(&scan, 1);
    let survey = scan.run();
    assert_eq!(survey.code, 0, "{survey:?}");
    go(&scan);
    let ended = run.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(ends(&scan).len(), 2);
    let idle = end(scan.reprocess(&[], WAITS).env("AT", scan.folder()));
    assert_eq!((idle.code, ready(&scan)), (0, 2), "what was only found again does not wait again: {idle:?}");
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn what_reprocess_and_inspect_print_is_broken_between_words_where_the_terminal_ends() {
    const COLUMNS: u16 = 50;
    let scan = staged();
    let reprocess = || scan.reprocess(&[], "true");
    assert_eq!(end(&mut reprocess()).code, 0);
    let mut inspect = imgsieve();
    inspect.arg("inspect").arg(scan.archive(&hash(TWO[0])));
    for (name, mut command) in [("reprocess-words", reprocess()), ("inspect-words", inspect)] {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let line: Vec<String> = words.map(|word| format!("'{}'", word.display())).collect();
        let terminal = Terminal::start(name, COLUMNS, &line.join(" "));
        let screen = terminal.wait_for(|screen| screen.contains("ended "));
        let shown: Vec<&str> = screen.split_whitespace().collect();
        let printed = end(&mut command).stdout;
        assert!(printed.lines().any(|line| line.len() > COLUMNS.into()), "{printed}");
        for word in printed.split_whitespace().filter(|word| word.len() < usize::from(COLUMNS) - 10) {
            assert!(shown.contains(&word), "{word}: {screen}");
        }
    }
}
