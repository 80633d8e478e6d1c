//! Runs by the clock. Logs that are rotated while a run writes to them: it goes on in a new file, nothing is lost, and the
//! parts read as one. What went wrong is said once, and what is known is counted. The samples hold for the programs that
//! read them.

mod common;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::fixture::{self, Fixture};
use common::scan::{Ended, Scan, end, imgsieve, of_stage};
use common::status;
use imgsieve::config::{Config, Site};
use imgsieve::event::Event;
use imgsieve::exit::Exit;
use imgsieve::log::{Journal, new_run_id};
use imgsieve::run::{Control, Observer, Stop};
use imgsieve::scan;
use serde_json::Value;

/// Where the log is rotated to.
fn rotated(scan: &Scan) -> PathBuf {
    scan.folder().join("log.jsonl.1")
}

/// Rotates the log after some archives, and puts something in its place.
struct Logrotate<'a> {
    scan: &'a Scan,
    after: usize,
    ended: AtomicUsize,
    put: fn(&Scan),
}

impl Observer for Logrotate<'_> {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        if matches!(event, Event::ArchiveComplete { .. } | Event::ArchiveFailed { .. })
            && self.ended.fetch_add(1, Ordering::SeqCst) + 1 == self.after
        {
            fs::rename(self.scan.log(), rotated(self.scan)).expect("renamed");
            (self.put)(self.scan);
        }
        Ok(())
    }
}

/// A run of so many jobs whose log is rotated after some archives.
fn run_rotated(scan: &Scan, jobs: usize, after: usize, put: fn(&Scan)) -> Exit {
    let mut site = Site::read(&scan.site_file()).expect("a site file");
    site.jobs = Some(jobs);
    let journal = Journal::open(&scan.log(), new_run_id()).expect("a log");
    let logrotate = Logrotate { scan, after, ended: AtomicUsize::new(0), put };
    scan::run(&Config::new(site), &Control::new(), &[&journal, &logrotate]).exit
}

fn quick() -> Scan {
    let mut fixtures = fixture::all();
    fixtures.retain(Fixture::is_quick);
    Scan::of(&fixtures)
}

fn json_report(logs: &[PathBuf]) -> Value {
    let ended = end(imgsieve().args(["report", "--json"]).args(logs));
    assert_eq!(ended.code, 0, "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

#[test]
fn a_run_whose_log_is_renamed_goes_on_in_a_new_one_and_both_read_as_one() {
    for jobs in [1, 3] {
        let scan = quick();
        run_rotated(&scan, jobs, 7, |_| ());
        let [old, new] = [rotated(&scan), scan.log()].map(|path| fs::read_to_string(path).expect("a log"));
        let ends = |text: &str| text.lines().filter(|line| line.contains("\"script_complete\"")).count();
        assert_eq!((ends(&old), ends(&new)), (0, 1));
        // What the run said that it would do is in both.
        let start = new.lines().next().expect("a line").replace(",\"continued\":true", "");
        assert_eq!(Some(&*start), old.lines().find(|line| line.contains("\"script_start\"")), "{new}");
        let whole = scan.folder().join("whole.jsonl");
        fs::write(&whole, old + &new).expect("a log");
        let mut of_parts = json_report(&[rotated(&scan), scan.log()]);
        let mut of_whole = json_report(&[whole]);
        // The commands name the logs that there are.
        for report in [&mut of_parts, &mut of_whole] {
            let remaining = report["remaining"].as_object_mut().expect("an object");
            assert!(remaining.shift_remove("resume").is_some_and(|command| command.is_string()));
            assert!(remaining.shift_remove("reprocess").is_some_and(|command| command.is_string()));
        }
        for key in ["archives", "totals", "runs", "remaining"] {
            assert!(!of_whole[key].is_null(), "{key}");
            assert_eq!(of_parts[key], of_whole[key], "{key}, {jobs} jobs");
        }
        let unrotated = quick();
        unrotated.run();
        let of_unrotated = json_report(&[unrotated.log()]);
        let totals = of_unrotated["totals"].as_object().expect("an object");
        let timed = ["seconds", "worker_seconds", "decoded_bytes", "requested_bytes"];
        for (key, value) in totals.iter().filter(|(key, _)| !timed.contains(&key.as_str())) {
            assert_eq!(&of_parts["totals"][key], value, "{key}, {jobs} jobs");
        }
    }
}

#[test]
fn the_new_log_is_checked_as_the_first_one_is_and_what_cannot_be_opened_ends_the_run() {
    for put in [(|scan| fs::write(scan.log(), "a letter").expect("a file")) as fn(&Scan), |scan| {
        fs::create_dir(scan.log()).expect("a folder");
    }] {
        let scan = quick();
        assert_eq!(run_rotated(&scan, 1, 2, put), Exit::Failure);
        let old = fs::read_to_string(rotated(&scan)).expect("a log");
        let lines: Vec<Value> = old.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(of_stage(&lines, "archive_start").len(), 2, "no archive is begun that is not logged");
        assert!(scan.log().is_dir() || fs::read_to_string(scan.log()).expect("a file") == "a letter");
    }
}

#[test]
fn a_run_that_is_told_by_a_signal_goes_on() {
    let scan = quick();
    let mut child = scan.command().stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let first = fixture::all().into_iter().filter(Fixture::is_quick).map(|fixture| fixture.hash).collect::<Vec<_>>();
    while !scan.logged().iter().any(|line| line["stage"] == "archive_start") {
        assert!(child.try_wait().expect("a child").is_none(), "it ends before its first archive");
    }
    fs::rename(scan.log(), rotated(&scan)).expect("renamed");
    end(Command::new("kill").args(["-USR1", &child.id().to_string()]));
    assert_eq!(child.wait().expect("a child").code(), Some(1), "the fixtures have errors, and the signal is none");
    let report = json_report(&[rotated(&scan), scan.log()]);
    assert_eq!(report["archives"].as_array().expect("a list").len(), first.len());
    assert_eq!(report["runs"][0]["end"], "complete", "{}", report["runs"]);
}

#[test]
fn images_that_are_reprocessed_are_logged_in_the_new_log_and_run_once() {
    let scan = Scan::of_named(&["sparse-gnu", "map-after"]);
    scan.run();
    let kept = of_stage(&scan.logged(), "partition_check").iter().filter(|line| line["action"] == "KEPT").count();
    assert_eq!(kept, 2);
    let script = "test -e log.jsonl.1 || mv log.jsonl log.jsonl.1; echo \"$1\" >>ran";
    let reprocess = |log: &[PathBuf]| -> Ended {
        let command = scan.reprocess(&[], script);
        let at = log.iter().flat_map(|log| ["--log".into(), log.clone().into_os_string()]);
        let args: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let split = args.iter().position(|arg| arg == "--").expect("a command");
        let mut command = imgsieve();
        command.args(&args[..split]).args(at).args(&args[split..]).current_dir(scan.folder());
        end(&mut command)
    };
    let ended = reprocess(&[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let ran = || fs::read_to_string(scan.folder().join("ran")).expect("a file").lines().count();
    assert_eq!(ran(), 2);
    let stages = |path: PathBuf| {
        let text = fs::read_to_string(path).expect("a log");
        ["reprocess_start", "reprocess_complete"].map(|stage| text.matches(&format!("\"stage\":\"{stage}\"")).count())
    };
    assert_eq!((stages(rotated(&scan)), stages(scan.log())), ([1, 1], [1, 1]));
    assert_eq!(reprocess(&[scan.log(), rotated(&scan)]).code, 0);
    assert_eq!(ran(), 2, "by both parts, all is done");
}

// What went wrong.

/// All that a command writes, to one file as for a mail of cron.
fn mailed(command: &mut Command) -> String {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("mail");
    let mail = File::create(&path).expect("a file");
    command.stdout(mail.try_clone().expect("a handle")).stderr(mail).status().expect("starts");
    fs::read_to_string(path).expect("UTF-8")
}

/// Messages of the errors in the log, each once.
fn messages(scan: &Scan) -> Vec<String> {
    let errors = scan.logged();
    let errors = of_stage(&errors, "error");
    let mut messages: Vec<String> =
        errors.iter().filter_map(|line| line["message"].as_str()).map(str::to_owned).collect();
    messages.sort();
    messages.dedup();
    messages
}

#[test]
fn where_both_outputs_go_to_one_place_each_error_is_said_once() {
    let scan = quick();
    let mail = mailed(&mut scan.command());
    let messages = messages(&scan);
    assert!(messages.len() > 10);
    for message in &messages {
        assert!(mail.contains(message.as_str()), "{message}\n{mail}");
    }
    assert!(!mail.contains("imgsieve: error:"), "{mail}");
    let apart = quick().run();
    assert!(apart.stderr.contains("imgsieve: error:") && apart.stdout.contains("by reason"), "{apart:?}");
}

#[test]
fn what_ends_a_run_before_it_begins_is_said_in_the_mail() {
    let scan = quick();
    fs::remove_dir_all(scan.collection()).expect("ours");
    let mail = mailed(&mut scan.command());
    assert_eq!(
        (mail.lines().count(), mail.contains("imgsieve: error: cannot read the collection")),
        (1, true),
        "{mail}"
    );
}

#[test]
fn a_quiet_run_says_what_is_new_and_how_much_is_known() {
    let scan = quick();
    let first = scan.run_with(&["-q"]);
    let errors = first.stderr.lines().count();
    assert!(errors > 10 && !first.stderr.contains("last run"), "{}", first.stderr);
    let again = scan.run_with(&["-q"]);
    assert_eq!((again.code, again.stderr), (1, format!("imgsieve: {errors} errors are as in the last run\n")));
    fs::write(scan.archive("0000"), "no archive").expect("a file");
    let one_more = scan.run_with(&["-q"]).stderr;
    let lines: Vec<&str> = one_more.lines().collect();
    assert_eq!(lines.len(), 2, "{one_more}");
    assert!(lines[0].contains("0000.tar.zst") && lines[1].contains(&format!("{errors} errors are as")), "{one_more}");
    // One that is not told as cut short any more, but as something else, is new.
    fs::write(scan.archive("0000"), "").expect("a file");
    assert_eq!(scan.run_with(&["-q"]).stderr.lines().count(), 2);
}

// The samples.

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/samples").join(name);
    fs::read_to_string(path).expect("a sample")
}

#[test]
fn the_options_of_the_samples_are_those_of_the_program() {
    for (name, text) in [("cron", sample("cron")), ("service", sample("imgsieve.service").replace("\\\n", " "))] {
        let line = text.lines().find(|line| !line.starts_with('#') && line.contains("imgsieve scan")).expect(name);
        let (_, options) = line.split_once("imgsieve scan").expect("a command");
        let scan = Scan::of_named(&["sparse-gnu"]);
        let folder = scan.folder().to_string_lossy().into_owned();
        let options = options
            .replace("$LOGS", "/var/log/ntt")
            .replace("$LOG", "/var/log/ntt/multipart-check.jsonl")
            .replace("/var/log/ntt/multipart-check.jsonl", &scan.log().to_string_lossy())
            .replace("/var/log/ntt", &folder);
        let options: Vec<&str> = options.split_whitespace().collect();
        assert_eq!(scan.run_with(&options).code, 0, "{options:?}");
        fs::rename(scan.log(), rotated(&scan)).expect("renamed");
        assert_eq!(scan.run_with(&options).code, 0);
        assert_eq!(of_stage(&scan.logged(), "archive_resumed").len(), 1, "what was rotated is known");
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn systemd_takes_the_unit_and_the_timer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let verify = |service: &str| {
        for (name, text) in [("imgsieve.service", service), ("imgsieve.timer", &sample("imgsieve.timer"))] {
            fs::write(folder.path().join(name), text).expect("a unit");
        }
        let units = ["imgsieve.service", "imgsieve.timer"].map(|name| folder.path().join(name));
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no"]).args(units);
        let output = command.output().expect("systemd-analyze: install the Debian package systemd");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Where the program is.
    let service = sample("imgsieve.service").replace("/usr/bin/imgsieve", env!("CARGO_BIN_EXE_imgsieve"));
    assert_eq!(verify(&service), (true, String::new()));
    assert!(!verify(&service.replace("Type=oneshot", "Type=once")).1.is_empty(), "a slip is seen");
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn logrotate_does_what_the_sample_says() {
    let scan = Scan::of_named(&["sparse-gnu"]);
    scan.run();
    let config = scan.folder().join("logrotate");
    fs::write(&config, sample("logrotate").replace("/var/log/ntt", &scan.folder().to_string_lossy())).expect("a file");
    let logrotate = |options: &[&str]| {
        let mut command = Command::new("logrotate");
        command.args(options).arg("--state").arg(scan.folder().join("state")).arg(&config);
        command.env("PATH", common::path_with_sbin());
        status(&mut command, "logrotate")
    };
    fs::rename(scan.log(), scan.folder().join("multipart-check.jsonl")).expect("renamed");
    assert_eq!(logrotate(&["--debug"]), 0);
    assert_eq!(logrotate(&["--force"]), 0);
    let rotated = scan.folder().join("multipart-check.jsonl.1");
    assert!(rotated.exists() && !scan.folder().join("multipart-check.jsonl").exists());
    assert_eq!(json_report(&[rotated])["runs"][0]["end"], "complete");
}

#[test]
fn a_part_that_is_not_read_is_warned_of() {
    let scan = Scan::of_named(&["mbr-multi", "mbr-single", "gpt-multi"]);
    assert_eq!(scan.run().code, 0);
    fs::rename(scan.log(), rotated(&scan)).expect("renamed");
    let warning = "log.jsonl.1 is not read; ";
    let resumed = scan.run_with(&["--resume", "--dry-run"]);
    assert!(resumed.stderr.contains(warning), "{resumed:?}");
    let logs = [scan.log(), rotated(&scan)].map(|log| log.to_string_lossy().into_owned());
    let again = end(&mut scan.reprocess(&["--dry-run", "--log", &logs[0], "--log", &logs[1]], "exit 0"));
    assert!(!again.stderr.contains(warning), "{again:?}");
}

#[test]
fn all_runs_together_tell_what_none_of_them_checked() {
    let scan = Scan::of_named(&["mbr-multi", "mbr-single", "gpt-multi"]);
    fs::write(scan.collection().join("notes.txt"), "n").expect("a file");
    let hash = fixture::named("gpt-multi").hash;
    assert_eq!(scan.run_with(&["--dry-run", "--quick"]).code, 0);
    let unchecked = |options: &[&str]| {
        let ended = end(imgsieve().args(["report", "--unchecked"]).args(options).arg(scan.log()));
        ended.stdout.lines().count()
    };
    assert_eq!(unchecked(&[]), 4);
    assert_eq!(scan.run_with(&["--dry-run", "--only", &hash]).code, 0);
    assert_eq!(unchecked(&["--run", "all"]), 3);
}
