//! What `scan --resume` passes over, and what it does again.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::process::Command;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use common::fixture;
use common::scan::{Scan, end, of_stage, words};

const MULTI: &str = "mbr-multi";
const SINGLE: &str = "mbr-single";

/// Every whole line of the log: a kill may tear one.
fn whole_lines(scan: &Scan) -> Vec<Value> {
    let text = fs::read_to_string(scan.log()).expect("a log");
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Hashes of the archives that the last run in the log took over, and of those that it began.
fn last_run(scan: &Scan) -> (BTreeSet<String>, BTreeSet<String>) {
    let lines = whole_lines(scan);
    let run = &of_stage(&lines, "script_start").last().expect("a run")["run"];
    let of_last = |stage| {
        let lines: Vec<&Value> = of_stage(&lines, stage).into_iter().filter(|line| line["run"] == *run).collect();
        words(&lines, "hash").into_iter().collect()
    };
    (of_last("archive_resumed"), of_last("archive_start"))
}

fn hashes(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| fixture::named(name).hash).collect()
}

/// A collection of two archives, one of them with an image to be kept, after a run.
fn done() -> Scan {
    let scan = Scan::of_named(&[MULTI, SINGLE]);
    scan.lines();
    scan
}

/// What the last run that began each archive said of it, but for times, places and what only one of two runs wrote.
fn verdicts(lines: &[Value]) -> BTreeMap<String, Vec<String>> {
    let mut by_hash: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let Some(hash) = line["hash"].as_str() else { continue };
        let mut line = line.clone();
        let object = line.as_object_mut().expect("an object");
        for key in [
            "ts",
            "run",
            "path",
            "path_bytes",
            "archive",
            "worker",
            "mtime",
            "ctime",
            "inode",
            "verified",
            "existing",
            "bytes_written",
        ] {
            object.shift_remove(key);
        }
        match object["stage"].as_str().expect("a word") {
            "archive_start" => by_hash.insert(hash.to_owned(), Vec::new()).map_or((), drop),
            "partition_check" => by_hash.entry(hash.to_owned()).or_default().push(line.to_string()),
            _ => {}
        }
    }
    by_hash
}

#[test]
fn a_run_that_is_killed_again_and_again_ends_as_one_that_was_not() {
    let fixtures: Vec<_> = fixture::all().into_iter().filter(fixture::Fixture::is_quick).collect();
    let whole = Scan::of(&fixtures).args(&["-j1", "-q"]);
    assert_eq!(whole.run().code, 1, "some of them cannot be read");
    let uninterrupted = whole.logged();
    let ends = words(&of_stage(&uninterrupted, "archive_complete"), "hash");

    let scan = Scan::of(&fixtures).args(&["-j1", "-q", "--resume"]);
    for fifth in 1..5 {
        let mut child = scan.command().spawn().expect("starts");
        scan.wait_for_line("archive_complete", "hash", &ends[ends.len() * fifth / 5]);
        child.kill().expect("it runs");
        child.wait().expect("ours");
    }
    assert_eq!(scan.run().code, 1);
    let lines = whole_lines(&scan);
    assert!(of_stage(&lines, "script_start").len() == 5 && of_stage(&lines, "script_complete").len() <= 2);

    let mut completed = BTreeSet::new();
    for line in &lines {
        let hash = line["hash"].as_str().unwrap_or_default();
        match line["stage"].as_str() {
            Some("archive_start") => assert!(!completed.contains(hash), "{hash} is done twice"),
            Some("archive_complete") => {
                // What had an image that cannot be decided on is tried again.
                let checks = &verdicts(&lines)[hash];
                if checks.iter().all(|check| !check.contains(r#""action":"error""#)) {
                    completed.insert(hash.to_owned());
                }
            }
            _ => {}
        }
    }
    assert!(completed.len() > 20, "{}", completed.len());
    assert_eq!(verdicts(&lines), verdicts(&uninterrupted));

    let totals = |lines: &[Value]| {
        let keys = [
            "total_multipart",
            "archives_checked",
            "archives_failed",
            "imgs",
            "deferred",
            "image_errors",
            "errors",
            "compressed_bytes",
            "kept_imgs",
            "members",
            "content_bytes",
        ];
        let end = of_stage(lines, "script_complete").last().expect("an end").to_owned().clone();
        keys.map(|key| (key, end[key].clone()))
    };
    assert_eq!(totals(&lines), totals(&uninterrupted));
    let start = of_stage(&lines, "script_start").last().expect("a start").to_owned().clone();
    assert_eq!(start["total_archives"], of_stage(&uninterrupted, "script_start")[0]["total_archives"]);
    assert_eq!(start["resumed_archives"], json!(last_run(&scan).0.len()));
}

#[test]
fn what_was_completed_is_passed_over_and_told() {
    let scan = done();
    let ended = scan.run_with(&["--resume"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(last_run(&scan), (hashes(&[MULTI, SINGLE]), BTreeSet::new()));
    assert!(ended.stdout.contains(", from an earlier run"), "{}", ended.stdout);
    assert!(ended.stdout.contains("of content, in earlier runs.\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("Found 2 images: 1 kept, 1 not kept."), "{}", ended.stdout);
    let lines = scan.logged();
    let starts = of_stage(&lines, "script_start");
    assert_eq!(starts[1]["resumed_runs"], json!([starts[0]["run"]]));
    // A run that took over is itself taken over.
    scan.run_with(&["--resume"]);
    assert_eq!(last_run(&scan).0.len(), 2);
}

#[test]
fn an_archive_that_changed_is_done_again() {
    let scan = done();
    let archive = File::options().append(true).open(scan.archive(&fixture::named(SINGLE).hash)).expect("an archive");
    archive.set_modified(SystemTime::now() - Duration::from_secs(3)).expect("ours");
    let ended = scan.run_with(&["--resume"]);
    assert_eq!(last_run(&scan), (hashes(&[MULTI]), hashes(&[SINGLE])));
    assert!(ended.stdout.contains("; 1 of them in earlier runs.\nThis run: 1 archive, "), "{}", ended.stdout);
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn an_image_of_an_older_version_of_its_archive_is_not_taken_for_the_new_one() {
    // A second pass over a medium gives an image of the same length and table.
    let scan = Scan::new().site("min_image_size = '0'");
    let pack = |byte: char| {
        let script = format!(
            r"truncate -s 4M m.img && printf 'label-id:0x12345678\nstart=2048,size=2048\nstart=4096,size=2048\n' | sfdisk -q m.img &&
            head -c 1000 /dev/zero | tr '\0' {byte} | dd of=m.img bs=512 seek=3000 conv=notrunc status=none &&
            tar -S -cf - m.img | zstd -q -f -o collection/m.tar.zst && rm m.img"
        );
        let status = Command::new("sh").args(["-ec", &script]).current_dir(scan.folder()).status().expect("a shell");
        assert!(status.success());
    };
    pack('a');
    assert_eq!(scan.run().code, 0);
    let image = scan.staging().join("m/m.img");
    let staged = fs::read(&image).expect("staged");
    pack('a');
    assert_eq!(scan.run().code, 0, "the same bytes in a newer archive");
    pack('b');
    // A copy keeps the time stamp of its original, which may be older than what is staged.
    let archive = File::options().append(true).open(scan.archive("m")).expect("an archive");
    archive.set_modified(SystemTime::now() - Duration::from_hours(30 * 24)).expect("ours");
    for args in [&["--resume"][..], &[]] {
        let ended = scan.run_with(args);
        assert!(ended.code == 1 && ended.stderr.contains("from another version of the archive"), "{ended:?}");
        assert_eq!(fs::read(&image).expect("untouched"), staged);
    }
    fs::remove_file(&image).expect("ours");
    assert_eq!(scan.run_with(&["--resume"]).code, 0);
    assert_eq!(fs::read(&image).expect("staged anew")[3000 * 512], b'b');
}

#[test]
fn what_other_rules_decided_is_done_again() {
    let scan = done();
    for (args, again) in [
        (&["--resume", "--min-partitions", "3"][..], 2),
        (&["--resume", "--min-image-size", "1"], 2),
        (&["--resume", "--image-suffix", ".IMG"], 2),
        (&["--resume", "--fs"], 2),
        (&["--resume", "--keep-undecided"], 2),
        (&["--resume", "--min-archive-size", "1"], 0),
        (&["--resume"], 0),
    ] {
        assert_eq!(scan.run_with(args).code, 0);
        assert_eq!(last_run(&scan).1.len(), again, "{args:?}");
    }
}

#[test]
fn another_major_version_is_not_believed() {
    let scan = done();
    let text = fs::read_to_string(scan.log()).expect("a log");
    for (version, again) in [("1.0.0", 2), ("0.99.3", 0)] {
        let other =
            text.replace(concat!("\"version\":\"", env!("CARGO_PKG_VERSION")), &format!("\"version\":\"{version}"));
        assert_ne!(other, text);
        fs::write(scan.log(), other).expect("a log");
        scan.run_with(&["--resume"]);
        assert_eq!(last_run(&scan).1.len(), again, "{version}");
    }
}

#[test]
fn an_image_that_is_gone_is_staged_again_unless_it_was_processed() {
    let scan = done();
    let image = scan.staged(&fixture::named(MULTI));
    let path = image.canonicalize().expect("staged");
    fs::remove_file(&image).expect("staged");
    assert_eq!(scan.run_with(&["--resume"]).code, 0);
    assert_eq!(last_run(&scan), (hashes(&[SINGLE]), hashes(&[MULTI])));

    fs::remove_file(&image).expect("staged again");
    let mut log = OpenOptions::new().append(true).open(scan.log()).expect("a log");
    let line = json!({"ts": "2026-01-01T00:00:00Z", "stage": "reprocess_complete", "hash": fixture::named(MULTI).hash, "path": path, "exit_status": 0, "run": "x"});
    writeln!(log, "{line}").expect("written");
    let ended = scan.run_with(&["--resume"]);
    assert_eq!(last_run(&scan).0.len(), 2);
    assert!(
        ended.stdout.contains(".img  1.00 GB, 65.5 kB on disk  reprocessed, from an earlier run\n") && !image.exists(),
        "{}",
        ended.stdout
    );
}

#[test]
fn staging_that_was_moved_is_looked_through_again_and_one_by_another_name_is_not() {
    let scan = done();
    let moved = scan.folder().join("moved");
    std::os::unix::fs::symlink("staging", scan.folder().join("link")).expect("a link");
    let link = scan.folder().join("link");
    assert_eq!(scan.run_with(&["--resume", "--staging", link.to_str().expect("UTF-8")]).code, 0);
    assert_eq!(last_run(&scan).1.len(), 0);
    fs::rename(scan.staging(), &moved).expect("ours");
    let ended = scan.run_with(&["--resume", "--staging", moved.to_str().expect("UTF-8")]);
    assert_eq!(last_run(&scan), (hashes(&[SINGLE]), hashes(&[MULTI])));
    let lines = scan.logged();
    let check = of_stage(&lines, "partition_check").pop().expect("a check");
    assert!(check["path"].as_str().expect("a path").contains("/moved/") && check["existing"] == true, "{check}");
    assert!(ended.stdout.contains(", from an earlier run"), "{}", ended.stdout);
}

#[test]
fn an_image_that_was_cut_is_no_reason_to_pass_over() {
    let scan = done();
    let image = scan.staged(&fixture::named(MULTI));
    File::options().write(true).open(&image).and_then(|file| file.set_len(1 << 20)).expect("ours");
    let ended = scan.run_with(&["--resume"]);
    assert_eq!(last_run(&scan).1, hashes(&[MULTI]));
    assert!(ended.code == 1 && ended.stderr.contains("is in the way"), "{ended:?}");
    // What ended so is tried again, once that is mended.
    fs::remove_file(&image).expect("ours");
    assert_eq!(scan.run_with(&["--resume"]).code, 0);
    assert_eq!(last_run(&scan).1, hashes(&[MULTI]));
}

#[test]
fn a_dry_run_stages_nothing_that_could_be_taken_over() {
    let scan = Scan::of_named(&[MULTI, SINGLE]);
    assert_eq!(scan.run_with(&["--dry-run"]).code, 0);
    assert_eq!(scan.run_with(&["--dry-run", "--resume"]).code, 0);
    assert_eq!(last_run(&scan).1.len(), 0, "a dry run is as good as another");
    assert_eq!(scan.run_with(&["--resume"]).code, 0);
    assert_eq!(last_run(&scan), (hashes(&[SINGLE]), hashes(&[MULTI])));
    assert!(scan.staged(&fixture::named(MULTI)).exists());
    // Nor does it take the place of what was staged before it.
    scan.run_with(&["--dry-run"]);
    scan.run_with(&["--resume"]);
    assert_eq!(last_run(&scan).1.len(), 0);
}

#[test]
fn to_verify_is_to_read_what_was_passed_over() {
    let scan = Scan::of_named(&[SINGLE]).args(&["--dry-run"]);
    scan.run_with(&["--engine", "skip"]);
    scan.run_with(&["--verify", "--resume"]);
    assert_eq!(last_run(&scan).1.len(), 1);
    scan.run_with(&["--verify", "--resume"]);
    assert_eq!(last_run(&scan).1.len(), 0);
}

#[test]
fn errors_and_what_found_no_room_are_done_again() {
    let damaged = fixture::all().into_iter().find(|fixture| fixture.folder == "damaged" && fixture.is_quick());
    let scan = Scan::of(&[damaged.expect("a damaged fixture"), fixture::named(MULTI), fixture::named(SINGLE)]);
    assert_eq!(scan.run_with(&["--max-image-size", "1MB"]).code, 1);
    assert_eq!(scan.run_with(&["--resume"]).code, 1);
    assert_eq!(last_run(&scan).0, hashes(&[SINGLE]));
    assert_eq!(scan.run_with(&["--resume"]).code, 1);
    assert_eq!(last_run(&scan).0, hashes(&[SINGLE, MULTI]));
}

#[test]
fn a_log_without_a_run_has_nothing_to_take_over() {
    let scan = Scan::of_named(&[MULTI]).args(&["--resume"]);
    let ended = scan.run();
    assert!(ended.code == 0 && ended.stderr.contains("there is nothing to resume"), "{ended:?}");
    assert_eq!(last_run(&scan).1, hashes(&[MULTI]));
}

#[test]
fn torn_lines_and_lines_of_others_are_passed_over_and_told() {
    let scan = done();
    let text = fs::read_to_string(scan.log()).expect("a log");
    fs::write(scan.log(), format!("{{\"ts\":\"2026\n{{\"stage\":\"of the future\",\"hash\":[]}}\n{text}{{\"ts\":\"20"))
        .expect("a log");
    let ended = scan.run_with(&["--resume"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = whole_lines(&scan);
    assert_eq!(of_stage(&lines, "archive_resumed").len(), 2);
    let warning = of_stage(&lines, "warning").pop().expect("a warning");
    assert_eq!(warning["reason"], "log_unreadable");
    assert!(
        ended.stderr.contains("2 lines are torn or no lines of a log, and were skipped; the first is line 1")
            && ended.stderr.contains("1 line is of a stage unknown to this version"),
        "{}",
        ended.stderr
    );
}

#[test]
fn what_cannot_be_read_as_a_log_is_refused() {
    let scan = Scan::of_named(&[MULTI]).args(&["--resume"]);
    fs::write(scan.log(), "{\"name\": \"package\"}\n").expect("a file");
    let ended = scan.run();
    assert!(ended.code == 1 && ended.stderr.contains("is not an imgsieve log"), "{ended:?}");
    let ended = end(Scan::of_named(&[MULTI])
        .args(&["--resume", "--log", "/dev/null"])
        .command()
        .stdin(File::open("/dev/null").expect("null")));
    assert!(ended.code == 1 && ended.stderr.contains("--resume needs the log of the earlier runs"), "{ended:?}");
}

#[test]
fn of_two_runs_at_once_each_is_read_by_its_own_name() {
    let scan = done();
    let lines = scan.logged();
    let run = lines[0]["run"].as_str().expect("a name");
    // The lines of another run of other rules, in which every archive fails, between those of the first.
    let mut text = Vec::new();
    for line in &lines {
        let mut other = line.clone();
        other["run"] = json!(format!("{run}-other"));
        if other["stage"] == "script_start" {
            other["rules"]["min_partitions"] = json!(9);
        }
        if other["stage"] == "archive_complete" {
            other["stage"] = json!("error");
            other["scope"] = json!("archive");
        }
        writeln!(text, "{line}\n{other}").expect("memory");
    }
    fs::write(scan.log(), text).expect("a log");
    scan.run_with(&["--resume"]);
    assert_eq!(last_run(&scan).0.len(), 2);
}

/// A log whose lines are changed by `change` before they are read back.
fn with_lines(scan: &Scan, change: impl FnOnce(&mut Vec<String>)) {
    let text = std::fs::read_to_string(scan.log()).expect("a log");
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    change(&mut lines);
    std::fs::write(scan.log(), lines.join("\n") + "\n").expect("a log");
}

#[test]
fn a_lost_line_about_an_image_has_its_archive_done_again_and_named() {
    let count = done().logged().len();
    let about_images = ["img_found", "partition_check"];
    for lost in 0..count {
        let scan = done();
        let line = scan.logged()[lost].clone();
        let stage = line["stage"].as_str().expect("a word").to_owned();
        if !about_images.contains(&&*stage) {
            continue;
        }
        with_lines(&scan, |lines| drop(lines.remove(lost)));
        let reprocessed = end(&mut scan.reprocess(&["-n"], "true"));
        let is_kept = line["action"] == "KEPT";
        assert_eq!(reprocessed.code, i32::from(is_kept), "{stage}: {reprocessed:?}");
        let ended = scan.run_with(&["--resume"]);
        let hash = line["hash"].as_str().expect("a hash");
        let is_named = |line: &str| line.contains(hash) && line.contains("ends in line") && line.contains(&stage);
        assert!(ended.code == 0 && ended.stderr.lines().any(is_named), "{ended:?}");
        let again = end(&mut scan.reprocess(&["-n"], "true"));
        assert_eq!((again.code, again.stdout.lines().count()), (0, 1), "{again:?}");
    }
}

/// An archive whose image is kept, and whose frame then fails its checksum.
fn with_a_wrong_checksum() -> Scan {
    let fixture = fixture::named(MULTI);
    let scan = Scan::of(std::slice::from_ref(&fixture));
    let mut bytes = fs::read(fixture.path()).expect("an archive");
    *bytes.last_mut().expect("a checksum") ^= 1;
    fs::write(scan.archive(&fixture.hash), bytes).expect("an archive");
    scan
}

#[test]
fn what_failed_its_checksum_fails_again_until_it_was_decoded_rightly() {
    let scan = with_a_wrong_checksum();
    let run = |arguments: &[&str]| {
        let ended = scan.run_with(arguments);
        let lines = scan.logged();
        let check = of_stage(&lines, "partition_check").last().copied().expect("a verdict").clone();
        (ended.code, check["action"].clone(), check["verified"].clone(), check["existing"].clone())
    };
    let wrong = |existing: bool| (1, json!("KEPT"), json!(false), json!(existing));
    assert_eq!(run(&[]), wrong(false));
    for arguments in [&["--resume"][..], &[], &["--resume"]] {
        assert_eq!(run(arguments), wrong(true), "{arguments:?}");
    }
    let report = end(Command::new(env!("CARGO_BIN_EXE_imgsieve")).args(["report", "--json"]).arg(scan.log()));
    assert!(report.stdout.contains("\"verified\":false"), "{report:?}");
    let reprocess = end(&mut scan.reprocess(&["-n"], "true"));
    assert!(reprocess.code == 0 && reprocess.stderr.contains("may be damaged"), "{reprocess:?}");
    // The same bytes, rightly.
    let fixture = fixture::named(MULTI);
    let archive = scan.archive(&fixture.hash);
    let mtime = fs::metadata(&archive).and_then(|metadata| metadata.modified()).expect("a time");
    fs::write(&archive, fs::read(fixture.path()).expect("an archive")).expect("an archive");
    File::options().write(true).open(&archive).and_then(|file| file.set_modified(mtime)).expect("a time");
    assert_eq!(run(&["--resume"]), (0, json!("KEPT"), json!(true), json!(true)));
    let reprocess = end(&mut scan.reprocess(&["-n"], "true"));
    assert!(reprocess.code == 0 && !reprocess.stderr.contains("may be damaged"), "{reprocess:?}");
}

#[test]
fn what_logrotate_made_of_the_log_is_read_with_it() {
    let scan = done();
    let rotated = scan.folder().join("rotated");
    fs::create_dir(&rotated).expect("a folder");
    fs::rename(scan.log(), rotated.join("log.jsonl.1")).expect("rotated");
    let ended = end(Command::new("gzip").arg(rotated.join("log.jsonl.1")));
    assert_eq!(ended.code, 0, "{ended:?}");
    let log = scan.log();
    let logs: [&std::ffi::OsStr; 4] = ["--log".as_ref(), log.as_ref(), "--log".as_ref(), rotated.as_ref()];
    let ended = end(scan.command().arg("--resume").args(logs));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(last_run(&scan).0, hashes(&[MULTI, SINGLE]));
    let without = end(&mut scan.reprocess(&["-n"], "true"));
    assert_eq!(without.stdout.lines().count(), 0, "{without:?}");
    let with = end(&mut scan
        .reprocess(&["-n", "--log", log.to_str().expect("text"), "--log", rotated.to_str().expect("text")], "true"));
    assert_eq!((with.code, with.stdout.lines().count()), (0, 1), "{with:?}");
}
