//! `imgsieve verify`: what it says of archives that hold, that have no checksum and that fail, and what the log and the
//! report keep of it.

mod common;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use common::scan::{Ended, Scan, end, imgsieve, of_stage};
use serde_json::{Value, json};

/// A tar of one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_data(&mut header, name, content).expect("memory");
    builder.into_inner().expect("memory")
}

/// One frame.
fn frame(content: &[u8], has_checksum: bool) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("an encoder");
    encoder.include_checksum(has_checksum).expect("a parameter");
    std::io::Write::write_all(&mut encoder, content).expect("memory");
    encoder.finish().expect("memory")
}

fn sound() -> Vec<u8> {
    frame(&tar("disk.img", &common::content(300_000)), true)
}

/// With one bit flipped in the literals of its last block.
fn flipped() -> Vec<u8> {
    let mut bytes = frame(&tar("disk.img", &common::content(300_000)), true);
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    bytes
}

fn verify(scan: &Scan, args: &[&OsStr]) -> Ended {
    end(imgsieve().args(["verify", "--config"]).arg(scan.site_file()).args(args))
}

fn verify_all(scan: &Scan) -> Ended {
    verify(scan, &[])
}

fn put(scan: &Scan, hash: &str, bytes: &[u8]) -> PathBuf {
    let path = scan.archive(hash);
    fs::write(&path, bytes).expect("an archive");
    path
}

fn outcomes(scan: &Scan) -> Vec<Value> {
    let lines = scan.logged();
    let pick = |line: &&Value| json!([line["hash"], line["outcome"], line["reason"]]);
    of_stage(&lines, "archive_verified").iter().map(pick).collect()
}

#[test]
fn archives_whose_checksums_hold_are_said_to_and_kept_in_the_log() {
    let scan = Scan::new();
    let path = put(&scan, "aa", &sound());
    put(&scan, "bb", &[frame(&tar("x", b"1"), true), frame(&[0; 512], true)].concat());
    let ended = verify_all(&scan);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert!(ended.stdout.contains("every checksum holds: 2 frames"), "{}", ended.stdout);
    let last = ended.stdout.lines().last().expect("a sum");
    assert!(last.starts_with("2 archives, ") && last.ends_with(": every checksum holds."), "{last}");
    // Smallest first.
    let verified = [json!(["bb", "verified", null]), json!(["aa", "verified", null])];
    let mut logged = outcomes(&scan);
    logged.sort_by_key(|line| line[0] != "bb");
    assert_eq!(logged, verified);
    let lines = scan.logged();
    let line = lines.iter().find(|line| line["hash"] == "aa").expect("a line");
    assert_eq!(line["size_bytes"], fs::metadata(&path).expect("a file").len());
    assert_eq!((&line["frames"], &line["checksummed_frames"]), (&json!(1), &json!(1)));
    assert_eq!(line["content_bytes"], tar("disk.img", &common::content(300_000)).len());
}

#[test]
fn a_frame_without_checksum_is_told_and_is_no_failure() {
    let scan = Scan::new();
    put(&scan, "none", &frame(&tar("x", b"1"), false));
    put(&scan, "some", &[frame(&tar("x", &common::content(9999)), true), frame(&[0; 512], false)].concat());
    let ended = verify_all(&scan);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert!(ended.stdout.contains("no checksum: 1 frame, "), "{}", ended.stdout);
    assert!(ended.stdout.contains("1 of 2 frames have a checksum, which holds"), "{}", ended.stdout);
    let last = ended.stdout.lines().last().expect("a sum");
    assert_eq!(last, "2 archives lack a checksum in some or all frames, but decode to the end.");
    assert!(!ended.stdout.contains("every checksum holds"), "{}", ended.stdout);
    assert!(outcomes(&scan).iter().all(|line| line[1] == "no_checksum"));
}

#[test]
fn one_flipped_bit_fails_and_the_others_still_hold() {
    let scan = Scan::new();
    put(&scan, "bad", &flipped());
    put(&scan, "good", &sound());
    let ended = verify_all(&scan);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.starts_with("imgsieve: error: ") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    assert!(ended.stdout.contains("1 of 2 archives, "), "{}", ended.stdout);
    let last = ended.stdout.lines().last().expect("a sum");
    assert!(last.starts_with("1 archive fails: bad: the frame that begins at byte 0 "), "{last}");
    let logged = outcomes(&scan);
    let bad = logged.iter().find(|line| line[0] == "bad").expect("a line");
    assert_eq!(bad[1], "failed");
    assert!(bad[2] == "checksum" || bad[2] == "corrupt", "{bad}");
}

#[test]
fn what_is_no_archive_or_damaged_in_another_way_fails_with_its_reason() {
    let whole = sound();
    let mut wrong_sum = tar("disk.img", b"123");
    wrong_sum[148] ^= 1;
    for (bytes, reason) in [
        (Vec::new(), "empty"),
        (whole[..whole.len() - 9].to_vec(), "truncated"),
        (vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0], "not_zstd"),
        ([whole.clone(), b"rubbish behind".to_vec()].concat(), "trailing_garbage"),
        (frame(b"no tar at all", true), "not_tar"),
        (frame(&wrong_sum, true), "not_tar"),
        (frame(&tar("disk.img", &common::content(9999))[..6000], true), "tar_truncated"),
    ] {
        let scan = Scan::new();
        put(&scan, "x", &bytes);
        let ended = verify_all(&scan);
        assert_eq!(ended.code, 1, "{reason}: {ended:?}");
        assert_eq!(outcomes(&scan), [json!(["x", "failed", reason])], "{ended:?}");
        assert!(!ended.stdout.contains("every checksum holds"), "{}", ended.stdout);
    }
}

#[test]
fn names_cannot_forge_a_line_of_the_answer_or_the_log() {
    let scan = Scan::new();
    let name = OsStr::from_bytes(b"x\n9 archives, 1 GB: every checksum holds.\x1b[2J\xff.tar.zst");
    fs::write(scan.collection().join(name), sound()).expect("an archive");
    let ended = verify_all(&scan);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!ended.stdout.contains('\x1b'));
    let sums = ended.stdout.lines().filter(|line| line.contains("1 GB: every")).count();
    assert_eq!((sums, ended.stdout.lines().count()), (1, 3), "{}", ended.stdout);
    assert!(ended.stdout.lines().next().expect("a line").starts_with("x\\n9 archives"), "{}", ended.stdout);
    assert_eq!(scan.logged().len(), 1);
}

#[test]
fn nothing_to_verify_is_no_success_and_the_skip_list_is_kept() {
    let scan = Scan::new();
    let ended = verify_all(&scan);
    assert_eq!((ended.code, &*ended.stdout), (1, "No archive to verify.\n"), "{ended:?}");
    let skipped = put(&scan, "1d7c9dc81a26c871ccafc71ab284b4aa", &sound());
    let ended = verify(&scan, &[skipped.as_os_str()]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("1 archive on the skip list, not opened."), "{}", ended.stdout);
    assert!(outcomes(&scan).is_empty());
    let other = scan.folder().join("notes.txt");
    fs::write(&other, "notes").expect("a file");
    let archive = put(&scan, "aa", &sound());
    let ended = verify(&scan, &[other.as_os_str(), archive.as_os_str()]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stdout.contains("notes.txt  not verified: its name does not end in"), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("1 archive not verified.\n"), "{}", ended.stdout);
    let ended = verify(&scan, &[OsStr::new("/nonexistent/cold")]);
    assert_eq!((ended.code, &*ended.stdout), (75, ""), "{ended:?}");
    assert!(ended.stderr.contains("is it mounted?"), "{ended:?}");
}

#[test]
fn folders_in_the_collection_are_entered_if_asked_for() {
    let scan = Scan::of(&[]);
    let folder = scan.archive("a").parent().expect("a folder").join("1996");
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join("b.tar.zst"), flipped()).expect("an archive");
    put(&scan, "a", &sound());
    let ended = verify_all(&scan);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("1 folder not entered: --recursive does."), "{ended:?}");
    assert_eq!(verify(&scan, &["--recursive".as_ref()]).code, 1);
    assert_eq!(outcomes(&scan).len(), 3);
}

#[test]
fn json_is_one_object_that_adds_up() {
    let scan = Scan::new();
    for (hash, bytes) in [("a", sound()), ("b", flipped()), ("c", frame(&tar("x", b"1"), false))] {
        put(&scan, hash, &bytes);
    }
    let ended = verify(&scan, &[OsStr::new("--json")]);
    let answer: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((ended.code, &answer["exit_code"]), (1, &json!(1)));
    let counts =
        ["total_archives", "archives_verified", "archives_no_checksum", "archives_failed", "archives_not_verified"];
    assert_eq!(counts.map(|key| answer[key].as_u64().expect("a number")), [3, 1, 1, 1, 0]);
    let outcomes: Vec<Value> = answer["archives"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|each| json!([each["hash"], each["outcome"]]))
        .collect();
    assert!(outcomes.contains(&json!(["b", "failed"])) && outcomes.contains(&json!(["c", "no_checksum"])));
}

#[test]
fn the_log_may_be_standard_output_or_none_or_out_of_reach() {
    let scan = Scan::new();
    put(&scan, "a", &sound());
    let ended = verify(&scan, &["--log", "none"].map(OsStr::new));
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert!(!scan.log().exists() && !scan.folder().join("none").exists());
    let ended = verify(&scan, &["--log", "-"].map(OsStr::new));
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((lines.len(), &lines[0]["stage"]), (1, &json!("archive_verified")));
    assert!(ended.stderr.contains("1 archive, ") && ended.stderr.contains("every checksum holds."), "{}", ended.stderr);
    let both = verify(&scan, &["--log", "-", "--json"].map(OsStr::new));
    assert_eq!((both.code, &*both.stdout), (2, ""), "{both:?}");
    let ended = verify(&scan, &["--log", "/proc/none/log"].map(OsStr::new));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.starts_with("imgsieve: warning: opening the log /proc/none/log"), "{}", ended.stderr);
    // What is no log is not appended to, whatever else.
    let foreign = scan.archive("a");
    let before = fs::read(&foreign).expect("an archive");
    let ended = verify(&scan, &[OsStr::new("--log"), foreign.as_os_str()]);
    assert_eq!((ended.code, &*ended.stdout), (1, ""), "{ended:?}");
    assert_eq!(fs::read(&foreign).expect("an archive"), before);
}

fn report(scan: &Scan, args: &[&str]) -> String {
    let ended = end(imgsieve().args(["report", "--config"]).arg(scan.site_file()).args(args));
    assert_eq!(ended.code, 0, "{ended:?}");
    ended.stdout
}

fn set_time(path: &Path, time: SystemTime) {
    File::options().write(true).open(path).and_then(|file| file.set_modified(time)).expect("a time");
}

#[test]
fn report_shows_the_state_of_the_archives_until_the_file_changes() {
    let scan = Scan::new().args(&["--dry-run"]);
    let good = put(&scan, "good", &sound());
    put(&scan, "bad", &flipped());
    scan.run_with(&["--only", "bad"]);
    assert!(!report(&scan, &[]).contains("Verified: "));
    verify_all(&scan);
    scan.run_with(&["--engine", "skip"]);
    let text = report(&scan, &[]);
    let verified =
        "Verified: 1 archive of which every checksum holds, 1 archive that failed.\n  bad: the frame that begins";
    assert!(text.contains(verified), "{text}");
    let json: Value = serde_json::from_str(&report(&scan, &["--json"])).expect("JSON");
    let states = |json: &Value| -> Vec<Value> {
        let archives = json["archives"].as_array().expect("a list").iter();
        archives
            .map(|each| json!([each["hash"], each["verification"]["outcome"], each["verification"]["file"]]))
            .collect()
    };
    assert!(states(&json).contains(&json!(["good", "verified", "current"])), "{:?}", states(&json));
    assert!(states(&json).contains(&json!(["bad", "failed", "current"])));
    // A run that verifies is none that surveys.
    assert_eq!(json["runs"].as_array().map(Vec::len), Some(1));
    set_time(&good, SystemTime::now() - Duration::from_hours(9));
    let json: Value = serde_json::from_str(&report(&scan, &["--json"])).expect("JSON");
    assert!(states(&json).contains(&json!(["good", "verified", "changed"])));
    let text = report(&scan, &["--run", "all"]);
    assert!(text.contains("1 archive changed or not readable since"), "{text}");
}

#[test]
fn an_archive_that_fails_is_decoded_whole_by_later_surveys_until_it_holds() {
    let scan = Scan::new().args(&["--dry-run"]);
    let whole = frame(&tar("other", &common::content(12 << 20)), true);
    let survey = || {
        scan.run();
        let lines = scan.logged();
        let end = lines.iter().rev().find(|line| line["hash"] == "x" && line["content_bytes"].is_u64());
        end.expect("an archive's end").clone()
    };
    // Damage that nobody notices who passes over it.
    let is_unnoticed = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        put(&scan, "x", &bytes);
        let end = survey();
        end["stage"] == "archive_complete" && end["passed_over_bytes"].as_u64().expect("a number") > 0
    };
    let step = whole.len() / 40;
    assert!((20..39).any(|nth| is_unnoticed(nth * step)), "every damage was noticed");
    assert_eq!(verify_all(&scan).code, 1);
    let end = survey();
    assert_eq!((&end["stage"], &end["passed_over_bytes"]), (&json!("error"), &json!(0)), "{end}");
    put(&scan, "x", &whole);
    assert_eq!(verify_all(&scan).code, 0);
    let end = survey();
    assert_eq!(end["stage"], "archive_complete");
    assert!(end["passed_over_bytes"].as_u64().expect("a number") > 0);
}

#[test]
fn a_survey_that_decodes_all_is_a_verification_too() {
    let scan = Scan::new().args(&["--dry-run", "--verify"]);
    put(&scan, "good", &sound());
    let ended = scan.run();
    assert!(ended.stdout.contains("1 archive, ") && ended.stdout.contains(": every checksum holds."), "{ended:?}");
    assert!(report(&scan, &[]).contains("Verified: 1 archive of which every checksum holds."));
    put(&scan, "none", &frame(&tar("x", b"1"), false));
    let ended = scan.run();
    assert!(ended.stdout.contains("decoded to their ends: 1 frame without a checksum."), "{ended:?}");
    let text = report(&scan, &[]);
    assert!(
        text.contains("Verified: 1 archive of which every checksum holds, 1 archive without a checksum."),
        "{text}"
    );
}

#[test]
fn a_log_of_nothing_but_verifications_is_reported_of() {
    let scan = Scan::new();
    put(&scan, "good", &sound());
    verify_all(&scan);
    let log = scan.log();
    let expected = format!("Log: {}\nVerified: 1 archive of which every checksum holds.\n", log.display());
    assert_eq!(report(&scan, &[]), expected);
    assert_eq!(report(&scan, &["--run", "all"]), expected);
    for args in [&["--json"][..], &["--run", "all", "--json"]] {
        assert!(report(&scan, args).contains("\"archives\":["));
    }
    put(&scan, "bad", &flipped());
    verify_all(&scan);
    let text = report(&scan, &[]);
    assert!(
        text.contains("Verified: 1 archive of which every checksum holds, 1 archive that failed.\n  bad: "),
        "{text}"
    );
}

#[test]
fn quiet_tells_of_failures_that_are_new_and_counts_the_others() {
    let scan = Scan::new();
    put(&scan, "a", &flipped());
    let quiet = || verify(&scan, &[OsStr::new("-q")]).stderr;
    let first = quiet();
    assert!(first.contains("a.tar.zst: ") && first.lines().count() == 1, "{first}");
    assert_eq!(quiet(), "imgsieve: 1 error is as in the last run\n");
    put(&scan, "b", &flipped());
    let second = quiet();
    assert!(second.contains("b.tar.zst: ") && !second.contains("a.tar.zst"), "{second}");
    assert!(second.ends_with("imgsieve: 1 error is as in the last run\n"), "{second}");
    put(&scan, "a", b"");
    assert!(quiet().contains("a.tar.zst: "), "it fails for another reason");
    put(&scan, "a", &sound());
    quiet();
    put(&scan, "a", &flipped());
    assert!(quiet().contains("a.tar.zst: "), "it was sound meanwhile");
}
