//! The second phase: which staged images a command is run for, what is logged and said of it, and what is removed. Each
//! test stages images by a real run, and runs a real command.

mod common;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::fixture;
use common::scan::{Scan, end, imgsieve, of_stage, words};
use imgsieve::event::Event;
use imgsieve::exit::Exit;
use imgsieve::reprocess::{Options, Reprocess};
use imgsieve::run::{Control, Observer, Stop};
use serde_json::{Value, json};

/// Fixtures with an image each, in the order of their hashes.
const THREE: [&str; 3] = ["sparse-posix-0.0", "sparse-oldgnu", "sparse-gnu"];
/// Appends the image's path to the file `ran`.
const NOTE: &str = r#"echo "$1" >> "$RAN""#;

/// A site where these were staged by a run.
fn staged(names: &[&str]) -> Scan {
    let scan = Scan::of_named(names);
    let ended = scan.run();
    assert_eq!(ended.code, 0, "{ended:?}");
    scan
}

/// `imgsieve reprocess` with a script that can append to [`ran`].
fn reprocess(scan: &Scan, options: &[&str], script: &str) -> Command {
    let mut command = scan.reprocess(options, script);
    command.env("RAN", scan.folder().join("ran"));
    command
}

/// The lines that scripts wrote to the file `ran`.
fn ran(scan: &Scan) -> Vec<String> {
    let text = fs::read_to_string(scan.folder().join("ran")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn image(scan: &Scan, name: &str) -> PathBuf {
    scan.staged(&fixture::named(name))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

fn output_of(image: &Path) -> String {
    fs::read_to_string(format!("{}.reprocess.log", image.display())).expect("an output")
}

/// Every path below a folder, with what tells whether it was changed.
fn tree(folder: &Path) -> BTreeMap<PathBuf, (u64, i64, i64)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("readable").path();
        let metadata = fs::symlink_metadata(&path).expect("there");
        if metadata.is_dir() {
            found.extend(tree(&path));
        }
        found.insert(path, (metadata.len(), metadata.mtime(), metadata.mtime_nsec()));
    }
    found
}

#[test]
fn every_staged_image_is_reprocessed_once() {
    let scan = staged(&THREE);
    let before = scan.logged().len();
    let images = THREE.map(|name| image(&scan, name));
    let script = format!("{NOTE}; echo on standard output; echo on standard error >&2; cat");
    let ended = end(&mut reprocess(&scan, &[], &script));
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert!(ended.stdout.starts_with("Reprocessed 3 images, 3.00 GB, in "), "{}", ended.stdout);
    assert_eq!(ran(&scan), images.each_ref().map(|path| text(path).to_owned()));

    let lines = scan.logged().split_off(before);
    let stages: Vec<_> = lines.iter().map(|line| line["stage"].as_str().expect("a stage")).collect();
    assert_eq!(stages, ["reprocess_start", "reprocess_complete"].repeat(3));
    let fixture = fixture::named(THREE[0]);
    let path = text(&images[0]);
    let start = &lines[0];
    let of_start = ["hash", "img", "path", "command"].map(|key| start[key].clone());
    let name = format!("{}.img", fixture.hash);
    let command = json!(["sh", "-c", script, "script", path]);
    assert_eq!(of_start, [json!(fixture.hash), json!(name), json!(path), command]);
    let complete = &lines[1];
    assert_eq!(["hash", "img", "path"].map(|key| &complete[key]), ["hash", "img", "path"].map(|key| &start[key]));
    assert_eq!(complete["size_bytes"], images[0].metadata().expect("staged").len());
    assert_eq!((&complete["exit_status"], &complete["signal"]), (&json!(0), &Value::Null));
    assert_eq!(complete["output"], format!("{path}.reprocess.log"));
    assert!(complete["seconds"].is_number() && lines.iter().all(|line| line["run"] == start["run"]));

    let output = output_of(&images[0]);
    let output: Vec<_> = output.lines().collect();
    assert!(output[0].starts_with("# imgsieve, ") && output[0].ends_with(path), "{output:?}");
    assert_eq!(output[1..3], ["on standard output", "on standard error"]);
    assert!(output[3].contains(": exit status 0, after "), "{output:?}");

    let again = end(&mut reprocess(&scan, &[], NOTE));
    assert_eq!((again.code, ran(&scan).len()), (0, 3), "{again:?}");
    assert!(again.stdout.contains("3 images, already reprocessed"), "{}", again.stdout);
    assert_eq!(end(&mut reprocess(&scan, &["--again", "-q"], NOTE)).code, 0);
    assert_eq!(ran(&scan).len(), 6);
}

#[test]
fn a_failure_stops_none_of_the_others_and_only_it_is_run_again() {
    let scan = staged(&THREE);
    let [first, second, third] = THREE.map(|name| image(&scan, name));
    let script = format!(r#"{NOTE}; case "$1" in {}) exit 3;; {}) kill -KILL $$;; esac"#, text(&first), text(&second));
    let ended = end(&mut reprocess(&scan, &[], &script));
    assert_eq!(ended.code, 1);
    let lines = scan.logged();
    let ends: Vec<_> = of_stage(&lines, "reprocess_complete")
        .into_iter()
        .map(|line| json!([line["path"], line["exit_status"], line["signal"]]))
        .collect();
    let [first, second, third] = [first, second, third].map(|path| text(&path).to_owned());
    assert_eq!(ends, [json!([first, 3, null]), json!([second, null, "SIGKILL"]), json!([third, 0, null])]);
    for (path, how) in [(&first, "exit status 3"), (&second, "ended by SIGKILL")] {
        let why = format!("{how}; its output is in {path}.reprocess.log");
        assert!(ended.stderr.contains(&format!("imgsieve: error: {path}: {why}\n")), "{}", ended.stderr);
        assert!(ended.stdout.contains(&format!("  {path}\n      {why}\n")), "{}", ended.stdout);
    }
    assert!(ended.stdout.contains("Failed: 2 images:"), "{}", ended.stdout);
    assert_eq!(end(&mut reprocess(&scan, &[], NOTE)).code, 0);
    assert_eq!(ran(&scan), [&first, &second, &third, &first, &second].map(String::as_str));
}

#[test]
fn images_are_begun_smallest_first_and_so_many_at_a_time() {
    let scan = Scan::new();
    let mut log = String::new();
    for (hash, size) in [("a", 30), ("b", 10), ("c", 20)] {
        let path = scan.staging().join(hash).join("x.img");
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, vec![7; size]).expect("an image");
        let line = json!({"stage": "partition_check", "action": "KEPT", "hash": hash, "img": "x.img", "path": path,
            "size_bytes": size});
        writeln!(log, "{line}").expect("a String takes everything");
    }
    fs::write(scan.log(), log).expect("a log");
    // Each of two waits for the other.
    let script = r#"echo "$1" >> "$RAN"; while [ "$(wc -l < "$RAN")" -lt 2 ]; do sleep 0.01; done"#;
    let ended = end(&mut reprocess(&scan, &["--jobs", "2"], script));
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = scan.logged();
    let started = of_stage(&lines, "reprocess_start");
    let mut begun = words(&started, "hash");
    // Of the two that are begun at once, either may be logged first.
    begun[..2].sort_unstable();
    assert_eq!(begun, ["b", "c", "a"]);
    assert_eq!(ended.stderr.matches("its name is not 32 hex digits").count(), 3, "{}", ended.stderr);
    let lines = scan.logged();
    let warning = of_stage(&lines, "warning")[0];
    assert_eq!(["scope", "reason", "hash"].map(|key| &warning[key]), ["staged", "name", "b"]);
}

#[test]
fn a_dry_run_prints_commands_that_a_shell_takes_and_touches_nothing() {
    let names = ["name-newline", "name-ansi", "name-not-utf-8", "name-bidi", "same-name"];
    let scan = staged(&names);
    let before = (tree(scan.folder()), scan.logged());
    let ended = end(&mut reprocess(&scan, &["--dry-run", "--remove"], "unused"));
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert_eq!((tree(scan.folder()), scan.logged()), before);
    assert_eq!(ended.stdout.lines().count(), 6, "{}", ended.stdout);
    assert!(!ended.stdout.contains(['\x1b', '\t', '\u{202e}']), "{:?}", ended.stdout);

    let shell = format!("sh() {{ printf '%s\\0' \"$4\"; }}\nrm() {{ :; }}\n{}", ended.stdout);
    let printed = Command::new("bash").args(["-c", &shell]).output().expect("bash").stdout;
    let mut printed: Vec<&[u8]> = printed.strip_suffix(b"\0").expect("paths").split(|&byte| byte == 0).collect();
    printed.sort_unstable();
    let mut kept: Vec<PathBuf> = before.0.into_keys().filter(|path| path.starts_with(scan.staging())).collect();
    kept.retain(|path| path.is_file());
    assert_eq!(printed, kept.iter().map(|path| path.as_os_str().as_bytes()).collect::<Vec<_>>());

    // And the real run hands over the same, and knows it again.
    let script = r#"printf '%s\0' "$1" >> "$RAN""#;
    let ended = end(&mut reprocess(&scan, &[], script));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.stderr.contains(['\x1b', '\t', '\u{202e}']), "{:?}", ended.stderr);
    let ran = fs::read(scan.folder().join("ran")).expect("paths");
    let mut ran: Vec<&[u8]> = ran.strip_suffix(b"\0").expect("paths").split(|&byte| byte == 0).collect();
    ran.sort_unstable();
    assert_eq!(ran, printed);
    let again = end(&mut reprocess(&scan, &[], script));
    assert!(again.stdout.contains("6 images, already reprocessed"), "{}", again.stdout);
}

#[test]
fn an_image_is_removed_after_its_success_and_stays_after_a_failure() {
    let scan = staged(&THREE);
    let images = THREE.map(|name| image(&scan, name));
    let archives = tree(&scan.collection());
    let fails = format!("case \"$1\" in {}) exit 1;; esac", text(&images[1]));
    let ended = end(&mut reprocess(&scan, &["--remove"], &fails));
    assert_eq!(ended.code, 1);
    assert_eq!(images.each_ref().map(|path| path.exists()), [false, true, false]);
    assert!(ended.stdout.contains("Removed 2 images from staging"), "{}", ended.stdout);
    assert!(images.iter().all(|image| !output_of(image).is_empty()), "outputs stay");
    assert_eq!(tree(&scan.collection()), archives);
    let lines = scan.logged();
    assert_eq!(words(&of_stage(&lines, "removed"), "path"), [&images[0], &images[2]].map(|path| text(path)));

    // Success without --remove, then --remove: nothing is run again.
    assert_eq!(end(&mut reprocess(&scan, &[], NOTE)).code, 0);
    assert_eq!(ran(&scan), [text(&images[1])]);
    let ended = end(&mut reprocess(&scan, &["--remove", "-n"], NOTE));
    assert_eq!(ended.stdout, format!("rm -- {}\n", text(&images[1])));
    let ended = end(&mut reprocess(&scan, &["--remove"], NOTE));
    assert_eq!((ended.code, ran(&scan).len(), images[1].exists()), (0, 1, false), "{ended:?}");
    let ended = end(&mut reprocess(&scan, &["--remove", "--again"], NOTE));
    assert_eq!((ended.code, ran(&scan).len()), (0, 1), "{ended:?}");
}

#[test]
fn an_image_that_was_replaced_meanwhile_is_not_removed() {
    let scan = staged(&THREE[..1]);
    let image = image(&scan, THREE[0]);
    let replace = r#"cp --sparse=always "$1" "$1.new" && mv "$1.new" "$1""#;
    let ended = end(&mut reprocess(&scan, &["--remove"], replace));
    assert_eq!((ended.code, image.exists()), (1, true), "{ended:?}");
    assert!(ended.stderr.contains("reprocessed, but not removed: another file took its place"), "{}", ended.stderr);
}

#[test]
fn another_file_than_the_command_succeeded_with_is_not_removed_later() {
    let scan = staged(&THREE[..1]);
    let image = image(&scan, THREE[0]);
    assert_eq!(end(&mut reprocess(&scan, &[], NOTE)).code, 0);
    let length = fs::metadata(&image).expect("staged").len();
    fs::remove_file(&image).expect("ours");
    File::create(&image).and_then(|file| file.set_len(length)).expect("another file");
    let ended = end(&mut reprocess(&scan, &["--remove"], NOTE));
    assert_eq!((ended.code, image.exists()), (1, true), "{ended:?}");
    assert!(ended.stderr.contains("it was replaced or changed since"), "{}", ended.stderr);
}

#[test]
fn a_command_that_removes_its_image_has_done_what_is_asked() {
    let scan = staged(&THREE[..1]);
    let ended = end(&mut reprocess(&scan, &["--remove"], r#"rm "$1""#));
    assert!(ended.code == 0 && ended.stdout.contains("Gone from staging"), "{ended:?}");
}

#[test]
fn staging_by_another_name_is_the_same_and_one_that_was_moved_is_told() {
    let scan = staged(&THREE[..1]);
    let other = scan.folder().join("other");
    symlink(scan.staging(), &other).expect("a link");
    let ended = end(&mut reprocess(&scan, &["--staging", text(&other)], NOTE));
    assert_eq!((ended.code, ran(&scan).len()), (0, 1), "{ended:?}");
    fs::remove_file(&other).expect("ours");
    fs::rename(scan.staging(), &other).expect("ours");
    let ended = end(&mut reprocess(&scan, &["--staging", text(&other)], NOTE));
    assert_eq!((ended.code, ran(&scan).len()), (1, 1), "{ended:?}");
    assert!(ended.stderr.contains("`imgsieve scan --resume` logs the new paths"), "{}", ended.stderr);
}

#[test]
fn a_signal_while_the_log_is_read_is_not_taken_for_nothing_to_do() {
    let scan = staged(&THREE[..1]);
    let control = Control::new();
    let options = Options {
        staging: scan.folder().join("nothing"),
        log: scan.log(),
        more_logs: Vec::new(),
        image_suffix: ".img".parse().expect("a suffix"),
        command: vec!["true".into(), "{}".into()],
        jobs: 1,
        only: Vec::new(),
        shard: None,
        remove: false,
        again: false,
        follow: false,
    };
    control.stop(Stop::Signal(15));
    let reprocess = Reprocess::prepare(&options, &control).expect("a log");
    let told = Interruptions::default();
    assert_eq!(reprocess.run(&control, &[&told]).0, Exit::Signal(15));
    assert_eq!(reprocess.dry_run(&control, &[&told]).0, Exit::Signal(15));
    assert_eq!(told.0.load(Ordering::Relaxed), 2);
}

/// Counts how often it is told that a signal ended the run.
#[derive(Default)]
struct Interruptions(AtomicUsize);

impl Observer for Interruptions {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        if let Event::Interrupted { .. } = event {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Notes what it is told, and whether the image is there at that time; can no longer take one of these.
struct Watcher {
    image: PathBuf,
    fails_at: &'static str,
    told: Mutex<Vec<(&'static str, bool)>>,
}

impl Watcher {
    fn note(&self, what: &'static str) -> Result<(), Stop> {
        self.told.lock().expect("not poisoned").push((what, self.image.exists()));
        if what == self.fails_at { Err(Stop::Observer("the disk is full".to_owned())) } else { Ok(()) }
    }
}

impl Observer for Watcher {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        match event {
            Event::ReprocessStart { .. } => self.note("start"),
            Event::ReprocessComplete { .. } => self.note("complete"),
            Event::Removed { .. } => self.note("removed"),
            _ => Ok(()),
        }
    }

    fn sync(&self) -> Result<(), Stop> {
        self.note("sync")
    }
}

#[test]
fn nothing_is_removed_before_its_success_is_logged_and_synced() {
    let all = [("start", true), ("complete", true), ("sync", true), ("removed", false)];
    for (fails_at, told) in [("", 4), ("sync", 3), ("complete", 2)] {
        let scan = staged(&THREE[..1]);
        let options = Options {
            staging: scan.staging(),
            log: scan.log(),
            more_logs: Vec::new(),
            image_suffix: ".img".parse().expect("a suffix"),
            command: ["true", "{}"].map(Into::into).to_vec(),
            jobs: 1,
            only: Vec::new(),
            shard: None,
            remove: true,
            again: false,
            follow: false,
        };
        let watcher = Watcher { image: image(&scan, THREE[0]), fails_at, told: Mutex::default() };
        let (exit, _) =
            Reprocess::prepare(&options, &Control::new()).expect("in order").run(&Control::new(), &[&watcher]);
        assert_eq!(exit, if fails_at.is_empty() { Exit::Success } else { Exit::Failure });
        assert_eq!(*watcher.told.lock().expect("not poisoned"), all[..told]);
        assert_eq!(watcher.image.exists(), told < 4);
    }
}

#[test]
fn images_that_are_gone_or_changed_or_half_are_told_and_not_run() {
    let scan = staged(&["sparse-posix-0.0", "sparse-oldgnu", "sparse-gnu", "sparse-bsdtar"]);
    let [gone, half, link] = THREE.map(|name| image(&scan, name));
    let size = half.metadata().expect("staged").len();
    fs::remove_file(&gone).expect("ours");
    fs::File::options().write(true).open(&half).expect("ours").set_len(size / 2).expect("half");
    fs::rename(&link, link.with_extension("real")).expect("ours");
    symlink(link.with_extension("real"), &link).expect("a link");
    for options in [&["--dry-run"][..], &["--remove"]] {
        let ended = end(&mut reprocess(&scan, options, NOTE));
        assert_eq!(ended.code, 1, "{ended:?}");
        for (path, why) in [
            (
                &gone,
                "it is gone from staging, and by the log it was never reprocessed; `imgsieve scan --only 1c57637f"
                    .to_owned(),
            ),
            (&half, format!("it has {} bytes, but {size} were staged", size / 2)),
            (&link, "it is not a regular file".to_owned()),
        ] {
            let told = format!("imgsieve: error: {}: {why}", path.display());
            assert_eq!(ended.stderr.matches(&told).count(), 1, "{}", ended.stderr);
        }
    }
    let good = image(&scan, "sparse-bsdtar");
    assert_eq!((ran(&scan), good.exists()), (vec![text(&good).to_owned()], false));
    assert!(half.exists() && link.with_extension("real").exists());
    let lines = scan.logged();
    let mut reasons = words(&of_stage(&lines, "error"), "reason");
    reasons.sort();
    assert_eq!(reasons, ["changed", "changed", "gone"]);
}

#[test]
fn an_image_that_is_gone_after_it_was_reprocessed_is_no_error() {
    let scan = staged(&THREE[..1]);
    assert_eq!(end(&mut reprocess(&scan, &[], NOTE)).code, 0);
    fs::remove_file(image(&scan, THREE[0])).expect("ours");
    assert_eq!(end(&mut reprocess(&scan, &[], NOTE)).code, 0);
    let ended = end(&mut reprocess(&scan, &["--again"], NOTE));
    assert_eq!((ended.code, ran(&scan).len()), (0, 1), "{ended:?}");
    assert!(ended.stdout.contains("Gone from staging after being reprocessed: 1 image."), "{}", ended.stdout);
    // A run that stages it again has it wait again.
    assert_eq!(scan.run().code, 0);
    assert_eq!(end(&mut reprocess(&scan, &[], NOTE)).code, 0);
    assert_eq!(ran(&scan).len(), 2);
}

#[test]
fn an_image_that_another_run_reprocessed_and_removed_meanwhile_is_no_error() {
    let scan = staged(&THREE[..2]);
    let other = image(&scan, THREE[1]);
    let hash = other.parent().and_then(Path::file_name).and_then(|hash| hash.to_str()).expect("a hash").to_owned();
    let site = scan.site_file();
    let run = format!("{} reprocess --config {}", env!("CARGO_BIN_EXE_imgsieve"), site.display());
    let meanwhile = scan.folder().join("meanwhile.sh");
    fs::write(&meanwhile, format!("{run} --remove --only {hash} -- true {{}}")).expect("a script");
    let ended = end(&mut reprocess(&scan, &[], &format!("{NOTE}; sh {}", meanwhile.display())));
    assert_eq!((ended.code, ran(&scan)), (0, vec![text(&image(&scan, THREE[0])).to_owned()]), "{ended:?}");
    assert!(!other.exists());
    assert!(ended.stdout.contains("Gone from staging after being reprocessed: 1 image."), "{}", ended.stdout);
}

#[test]
fn what_has_to_be_in_order_is_checked_before_anything_starts() {
    let scan = staged(&THREE[..1]);
    let before = (tree(scan.folder()), scan.logged());
    let refused = |args: &[&str], what: &str| {
        let mut command = imgsieve();
        command.arg("reprocess").arg("--config").arg(scan.site_file()).args(args);
        let ended = end(&mut command);
        // A folder that is not there may only not be mounted.
        let code = if what.starts_with("staging: No such file") { 75 } else { 1 };
        assert_eq!((ended.code, &*ended.stdout), (code, ""), "{args:?}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        assert!(ended.stderr.starts_with("imgsieve: error: ") && ended.stderr.contains(what), "{}", ended.stderr);
    };
    refused(&["--", "no-such-orchestrator", "{}"], "the program no-such-orchestrator is not in PATH");
    refused(&["--", "/etc/passwd", "{}"], "/etc/passwd is not an executable program; install it, or name another");
    refused(&["--log", "/nonexistent/log.jsonl"], "reading the log /nonexistent/log.jsonl: No such file");
    refused(&["--log", text(&scan.site_file())], "site.toml is not an imgsieve log");
    fs::rename(scan.staging(), scan.folder().join("moved")).expect("ours");
    refused(&["--", "true", "{}"], "staging: No such file or directory (os error 2); name the staging folder");
    fs::rename(scan.folder().join("moved"), scan.staging()).expect("ours");
    assert_eq!((tree(scan.folder()), scan.logged()), before);
}

#[test]
fn wrong_usage_is_exit_code_2() {
    for (args, what) in [
        (&["--", "true"][..], "in one of which {} stands for the image"),
        (&["--", "{}"], "in one of which {} stands for the image"),
        (&["--jobs", "0"], "--jobs"),
        (&["true", "{}"], "unexpected argument"),
    ] {
        let ended = end(imgsieve().arg("reprocess").args(args));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(what), "{}", ended.stderr);
    }
    let scan = Scan::new().site("reprocess = ['true']");
    assert_eq!(end(imgsieve().arg("reprocess").arg("--config").arg(scan.site_file())).code, 2);
}

#[test]
fn the_command_is_the_sites_and_its_output_is_shown_with_nothing_a_terminal_obeys() {
    let scan = staged(&THREE[..1]);
    let scan = scan.site(r#"reprocess = ["sh", "-c", 'printf "\033[2Jred\rone\ttwo\nno end:$1"', "x", "--image={}"]"#);
    let mut command = imgsieve();
    let ended = end(command.arg("reprocess").arg("--config").arg(scan.site_file()).arg("-v"));
    assert_eq!(ended.code, 0, "{ended:?}");
    let path = image(&scan, THREE[0]);
    let name = path.file_name().expect("a name").to_str().expect("UTF-8");
    let shown: Vec<_> = ended.stderr.lines().filter(|line| line.starts_with(name)).collect();
    let no_end = format!("{name}: no end:--image={}", path.display());
    assert_eq!(shown, [&format!("{name}: \\u{{1b}}[2Jred"), &format!("{name}: one    two"), &no_end]);
    assert!(output_of(&path).contains("\x1b[2Jred\rone\ttwo\n"), "the file has the bytes");
}

#[test]
fn only_images_of_the_hashes_that_are_named_are_run() {
    let scan = staged(&THREE);
    let hash = fixture::named(THREE[1]).hash;
    let ended = end(&mut reprocess(&scan, &["--only", &hash, "--only", "0000"], NOTE));
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("no image with the hash 0000 was staged to"), "{}", ended.stderr);
    assert_eq!(ran(&scan), [text(&image(&scan, THREE[1]))]);
}

#[test]
fn torn_lines_and_unknown_stages_are_passed_over_and_counted() {
    let scan = staged(&THREE[..1]);
    let mut log = fs::read_to_string(scan.log()).expect("a log");
    log.insert_str(0, "{\"stage\":\"teatime\"}\n{\"stage\":\"high tea\"}\nno JSON\n");
    log.push_str("{\"ts\":\"2026-01-01T00:00:00Z\",\"stage\":\"part");
    fs::write(scan.log(), log).expect("a log");
    let ended = end(&mut reprocess(&scan, &[], NOTE));
    assert_eq!((ended.code, ran(&scan).len()), (0, 1), "{ended:?}");
    for told in [
        "2 lines are torn or no lines of a log, and were skipped; the first is line 3",
        "2 lines are of stages unknown to this version, and were skipped",
    ] {
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
    let text = fs::read_to_string(scan.log()).expect("a log");
    assert_eq!(text.lines().filter(|line| serde_json::from_str::<Value>(line).is_err()).count(), 2);

    fs::write(scan.log(), "").expect("a log");
    let ended = end(&mut reprocess(&scan, &[], NOTE));
    assert_eq!((ended.code, ran(&scan).len()), (0, 1), "{ended:?}");
    assert!(ended.stdout.starts_with("Nothing to reprocess in "), "{}", ended.stdout);
}

#[test]
fn a_path_that_leads_out_of_staging_is_neither_run_nor_removed() {
    let scan = Scan::new();
    let victim = scan.folder().join("victim/x.img");
    fs::create_dir_all(victim.parent().expect("a folder")).expect("a folder");
    fs::write(&victim, "precious").expect("a file");
    fs::create_dir_all(scan.staging().join("real")).expect("a folder");
    symlink(scan.folder().join("victim"), scan.staging().join("linked")).expect("a link");
    symlink(&victim, scan.staging().join("real/x.img")).expect("a link");
    let staging = scan.staging();
    let mut log = String::new();
    for (path, hash, img) in [
        (victim.clone(), "victim", "x.img"),
        (staging.join("../victim/x.img"), "../victim", "x.img"),
        (staging.join("real/../../victim/x.img"), "real", "../../victim/x.img"),
        (staging.join("linked/x.img"), "linked", "x.img"),
        (staging.join("real/x.img"), "real", "x.img"),
    ] {
        for stage in ["partition_check", "reprocess_complete"] {
            let line = json!({"stage": stage, "action": "KEPT", "hash": hash, "img": img, "path": path,
                "size_bytes": 8, "exit_status": 0});
            writeln!(log, "{line}").expect("a String takes everything");
        }
    }
    fs::write(scan.log(), log).expect("a log");
    for options in [&["--remove"][..], &["--remove", "--again"]] {
        let ended = end(&mut reprocess(&scan, options, NOTE));
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("skipped images whose path in the log is outside "), "{}", ended.stderr);
        assert!(ended.stderr.contains(": 3, the smallest is "), "{}", ended.stderr);
        assert!(ended.stderr.contains("linked is not a folder (links are not followed)"), "{}", ended.stderr);
        assert!(ended.stderr.contains("it is not a regular file (links are not followed)"), "{}", ended.stderr);
    }
    assert_eq!(ran(&scan), [] as [&str; 0]);
    assert_eq!(fs::read(&victim).expect("still there"), b"precious");
    assert_eq!(fs::read_dir(scan.folder().join("victim")).expect("a folder").count(), 1);
    assert!(staging.join("real/x.img").is_symlink());
}

#[test]
fn an_output_is_written_to_nothing_else() {
    let scan = staged(&THREE[..1]);
    let image = image(&scan, THREE[0]);
    let output = PathBuf::from(format!("{}.reprocess.log", image.display()));
    let victim = scan.folder().join("victim");
    fs::write(&victim, "precious").expect("a file");
    symlink(&victim, &output).expect("a link");
    let ended = end(&mut reprocess(&scan, &[], NOTE));
    assert_eq!((ended.code, ran(&scan).len()), (1, 0), "{ended:?}");
    assert!(
        ended.stderr.contains(".reprocess.log, for the command's output, is a link; remove it"),
        "{}",
        ended.stderr
    );
    assert_eq!(fs::read(&victim).expect("still there"), b"precious");

    // Nor to an image whose name is that of an output.
    fs::remove_file(&output).expect("ours");
    fs::write(&output, "1234").expect("an image");
    let mut log = fs::read_to_string(scan.log()).expect("a log");
    let hash = fixture::named(THREE[0]).hash;
    let name = output.file_name().expect("a name").to_str().expect("UTF-8");
    let line = json!({"stage": "partition_check", "action": "KEPT", "hash": hash, "img": name, "path": output,
        "size_bytes": 4});
    writeln!(log, "{line}").expect("a String takes everything");
    fs::write(scan.log(), log).expect("a log");
    let ended = end(&mut reprocess(&scan, &[], NOTE));
    assert_eq!((ended.code, ran(&scan)), (1, vec![text(&output).to_owned()]), "{ended:?}");
    assert!(ended.stderr.contains("a staged image"), "{}", ended.stderr);
    assert_eq!(fs::read(&output).expect("still there"), b"1234");
}

#[test]
fn quiet_tells_of_failures_that_are_new_and_counts_the_others() {
    let scan = Scan::of_named(&["mbr-multi"]);
    scan.run();
    let quiet = |script: &str| end(&mut scan.reprocess(&["-q"], script)).stderr;
    let first = quiet("exit 3");
    assert!(first.contains("exit status 3") && first.lines().count() == 1, "{first}");
    assert_eq!(quiet("exit 3"), "imgsieve: 1 error is as in the last run\n");
    assert!(quiet("exit 4").contains("exit status 4"), "it fails in another way");
    assert_eq!(quiet("true"), "");
}
