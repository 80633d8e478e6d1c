//! What has to be in order before a run starts: the program and the folders that must not be there, staging, its space and
//! its lock.

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::fixture::{self};
use common::scan::{Scan, of_stage, words};

const SINGLE: &str = "map-before";
const MULTI: &str = "sparse-gnu";

/// A shell script that runs until it is dropped, under a name that nothing else has.
struct Script {
    child: Child,
    name: String,
}

impl Script {
    /// Writes it to `folder` and waits until it runs, as `program` with the script as the last of `args`.
    fn start(folder: &Path, program: &str, args: &[&str]) -> Script {
        let name = format!("imgsieve-test-{}.sh", folder.file_name().expect("a name").to_str().expect("UTF-8"));
        let path = folder.join(&name);
        std::fs::write(&path, "echo running\nread -r line\n").expect("a script");
        let mut command = Command::new(program);
        command.args(args).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("a program that starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        assert!(line.contains("running"), "{line}");
        Script { child, name }
    }

    fn site(&self) -> String {
        format!("wait_for = '{}'", self.name)
    }

    /// Lets it come to its end.
    fn finish(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_run_is_refused_while_the_program_to_wait_for_runs() {
    let scan = Scan::of_named(&[SINGLE]);
    let mut script = Script::start(scan.folder(), "bash", &[]);
    let scan = scan.site(&script.site());
    let line = scan.refused("process_running");
    let process = format!("{} (process {}) is running", script.name, script.child.id());
    assert!(line.contains(&process) && line.contains("--wait"), "{line}");
    assert!(!scan.staging().exists());
    script.finish();
    assert_eq!(scan.run().code, 0, "it is gone");
}

#[test]
fn a_dry_run_is_refused_while_the_program_to_wait_for_runs() {
    let scan = Scan::of_named(&[SINGLE]).args(&["--dry-run"]);
    let script = Script::start(scan.folder(), "bash", &["--norc"]);
    let scan = scan.site(&script.site());
    scan.refused("process_running");
    assert_eq!(scan.run_with(&["--shard", "0/1"]).code, 75, "an engine takes 1 for a shard that is done");
}

#[test]
fn force_passes_over_the_program_and_the_log_says_so() {
    let scan = Scan::of_named(&[MULTI]);
    let script = Script::start(scan.folder(), "bash", &[]);
    let scan = scan.site(&script.site()).args(&["--force"]);
    let ended = scan.run();
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = scan.logged();
    assert_eq!(words(&of_stage(&lines, "warning"), "reason"), ["forced"]);
    assert!(lines[0]["message"].as_str().is_some_and(|message| message.contains(&script.name)), "{}", lines[0]);
    assert!(ended.stderr.contains("overridden with --force"), "{}", ended.stderr);
    assert!(scan.staged(&fixture::named(MULTI)).is_file());
}

#[test]
fn wait_waits_for_the_end_of_the_program() {
    let scan = Scan::of_named(&[MULTI]);
    let mut script = Script::start(scan.folder(), "bash", &[]);
    let scan = scan.site(&script.site()).args(&["--wait"]);
    let child = scan.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program that starts");
    scan.wait_for_line("warning", "reason", "waiting");
    assert!(!scan.staging().exists(), "nothing begins before");
    assert_eq!(scan.logged().len(), 1);
    script.finish();
    let output = child.wait_with_output().expect("a child");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(scan.staged(&fixture::named(MULTI)).is_file());
}

#[test]
fn a_staging_folder_that_is_named_is_made_in_one_that_exists() {
    let scan = Scan::of_named(&[MULTI]);
    let (missing, is_there) = (scan.folder().join("mistyped"), scan.folder().join("new"));
    let deep = missing.join("deep/path");
    let ended = scan.run_with(&["--staging", deep.to_str().expect("UTF-8")]);
    let told = format!("creating {}: there is no folder {};", deep.display(), missing.display());
    assert_eq!(ended.code, 75, "it may not be mounted: {ended:?}");
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    assert!(!missing.exists());
    assert_eq!(scan.run_with(&["--staging", deep.to_str().expect("UTF-8"), "--dry-run"]).code, 0);
    assert_eq!(scan.run_with(&["--staging", is_there.to_str().expect("UTF-8")]).code, 0);
    assert!(is_there.is_dir());
    // A site file is written once, and read.
    let scan = scan.site("staging = 'first/second'");
    assert_eq!(scan.run().code, 0);
    assert!(scan.folder().join("first/second").is_dir());
}

#[test]
fn an_editor_with_the_script_open_does_not_count() {
    let scan = Scan::of_named(&[MULTI]);
    // Like an editor, it has the script as an argument and runs for as long as it likes. What it prints first is the script.
    let script = Script::start(scan.folder(), "tail", &["--lines=+1", "--follow"]);
    let scan = scan.site(&script.site());
    let ended = scan.run();
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
}

#[test]
fn folders_that_are_to_be_cleared_first_are_refused() {
    let scan = Scan::of_named(&[MULTI]).site("cleared = ['dump-2019', 'osxgather']");
    std::fs::create_dir(scan.folder().join("osxgather")).expect("a folder");
    let line = scan.refused("not_cleared");
    assert!(line.contains(scan.folder().join("osxgather").to_str().expect("UTF-8")), "{line}");
    assert!(line.contains("--force") && !scan.staging().exists(), "{line}");
    let ended = scan.run_with(&["--force"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(words(&of_stage(&scan.logged(), "warning"), "reason"), ["forced"]);
    std::fs::remove_dir(scan.folder().join("osxgather")).expect("a folder");
    let ended = scan.run();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
}

#[test]
fn too_little_free_space_is_refused_and_a_dry_run_needs_none() {
    let scan = Scan::of_named(&[MULTI]).site("min_free = '100%'");
    let line = scan.refused("min_free");
    assert!(line.contains(", minimum 100%;") && line.contains("--min-free"), "{line}");
    let scan = scan.args(&["--min-free", "900PB"]);
    assert!(scan.refused("min_free").contains("900PB"));
    assert_eq!(scan.run_with(&["--force"]).code, 75, "it is no precondition to be forced");
    assert_eq!(scan.run_with(&["--dry-run"]).code, 0);
}

#[test]
fn staging_that_is_no_folder_is_refused() {
    let scan = Scan::of_named(&[MULTI]);
    std::fs::write(scan.staging(), "a file").expect("a file");
    let line = scan.refused("not_a_folder");
    assert!(line.contains("--staging"), "{line}");
}

/// Stops a process, and lets it go on when dropped.
struct Stopped(u32);

impl Stopped {
    fn stop(child: &Child) -> Stopped {
        signal("STOP", child.id());
        Stopped(child.id())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal("CONT", self.0);
    }
}

fn signal(name: &str, process: u32) {
    let status = Command::new("bash").args(["-c", &format!("kill -{name} {process}")]).status().expect("bash");
    assert!(status.success() || std::thread::panicking());
}

#[test]
fn a_second_run_on_the_same_staging_folder_is_refused_while_the_first_runs() {
    // One that takes long enough to be stopped in: no sparse members.
    let first = Scan::of_named(&["mbr-multi", "mbr-four", "gpt-multi", "mbr-logical"]).args(&["--jobs", "1"]);
    let mut running = first.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a run");
    first.wait_for_line("archive_start", "stage", "archive_start");
    let stopped = Stopped::stop(&running);
    let staging = first.staging();
    let site = format!("staging = '{}'", staging.display());
    let second = Scan::of_named(&[MULTI]).site(&site);
    let line = second.refused("locked");
    assert!(line.contains(staging.to_str().expect("UTF-8")), "{line}");
    let ended = second.run_with(&["--dry-run"]);
    assert_eq!(ended.code, 0, "a dry run takes no lock: {ended:?}");
    drop(stopped);
    let begun = Instant::now();
    while running.try_wait().expect("a child").is_none() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(running.wait().expect("a child").code(), Some(0));
    assert_eq!(second.run().code, 0, "the lock is gone");
}
