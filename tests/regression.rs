//! What was once wrong, as its user met it.

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::fixture;
use common::scan::{Scan, end, imgsieve, of_stage, words};
use tempfile::TempDir;

const MULTI: &str = "sparse-gnu";

#[test]
fn a_file_of_the_right_size_and_other_partitions_is_not_taken_for_the_image() {
    let scan = Scan::of_named(&[MULTI]);
    let fixture = fixture::named(MULTI);
    let staged = scan.staged(&fixture);
    fs::create_dir_all(staged.parent().expect("a folder")).expect("made");
    assert_eq!(scan.run_with(&["--dry-run"]).code, 0);
    let size = of_stage(&scan.logged(), "img_found")[0]["size_bytes"].as_u64().expect("bytes");
    fs::File::create(&staged).and_then(|file| file.set_len(size)).expect("a file of zeros");
    let ended = scan.run();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("it has the image's length, but other partitions"), "{}", ended.stderr);
    assert_eq!(words(&of_stage(&scan.logged(), "partition_check"), "reason").last().expect("one"), "in_the_way");
    assert_eq!(fs::metadata(&staged).expect("still there").len(), size);
}

#[test]
fn an_archive_given_as_the_log_is_not_appended_to() {
    let scan = Scan::of_named(&[MULTI]);
    let archive = scan.archive(&fixture::named(MULTI).hash);
    let before = fs::read(&archive).expect("readable");
    let ended = scan.run_with(&["--log", archive.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("not a log: it does not begin with '{'"), "{}", ended.stderr);
    assert!(fs::read(&archive).expect("readable") == before);
}

#[test]
fn a_collection_given_as_staging_is_refused() {
    let scan = Scan::of_named(&[MULTI]);
    let link = scan.folder().join("link");
    symlink(scan.collection(), &link).expect("a link");
    let ended = scan.run_with(&["--staging", link.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("is the collection"), "{}", ended.stderr);
    assert_eq!(fs::read_dir(scan.collection()).expect("a folder").count(), 1);
}

#[test]
fn inspect_does_not_wait_for_a_fifos_writer() {
    let folder = TempDir::new().expect("a temporary folder");
    let fifo = folder.path().join("f");
    common::run("coreutils", "mkfifo", &[fifo.to_str().expect("UTF-8")], "");
    let mut child = imgsieve().arg("inspect").arg(&fifo).stdout(Stdio::null()).spawn().expect("starts");
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break Some(status);
        }
        if started.elapsed() > Duration::from_mins(1) {
            child.kill().expect("a child");
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    assert_eq!(status.expect("it ends").code(), Some(1));
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn inspect_names_a_compressed_file_instead_of_finding_no_table_in_it() {
    let folder = TempDir::new().expect("a temporary folder");
    let image = folder.path().join("a.img");
    fs::write(&image, vec![0; 1 << 20]).expect("written");
    for (tool, ending, name) in [("gzip", "gz", "gzip data"), ("xz", "xz", "xz data")] {
        assert!(Command::new(tool).arg("-k").arg(&image).status().expect("installed").success());
        let ended = end(imgsieve().arg("inspect").arg(image.with_extension(format!("img.{ending}"))));
        assert_eq!(ended.code, 1);
        assert!(ended.stdout.contains(name) && !ended.stdout.contains("no partition table"), "{}", ended.stdout);
    }
}

#[test]
fn a_hard_link_of_another_name_is_an_archive_of_its_own() {
    let scan = Scan::of_named(&[MULTI]);
    let first = scan.archive(&fixture::named(MULTI).hash);
    let second = first.with_file_name("0123456789abcdef0123456789abcdef.tar.zst");
    fs::hard_link(&first, &second).expect("a link");
    assert_eq!(scan.run_with(&["--dry-run"]).code, 0);
    assert_eq!(of_stage(&scan.logged(), "archive_complete").len(), 2);
}

#[test]
fn an_empty_archive_in_a_folder_is_an_error_where_there_is_no_minimum() {
    let scan = Scan::of_named(&[MULTI]).site("min_archive_size = '0'");
    fs::write(scan.collection().join("0123456789abcdef0123456789abcdef.tar.zst"), "").expect("written");
    let ended = scan.run();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("the file is empty"), "{}", ended.stderr);
    assert_eq!(of_stage(&scan.logged(), "archive_complete").len(), 1);
}

#[test]
fn partials_of_archives_that_are_not_in_the_run_are_told_of_when_they_are_swept() {
    let scan = Scan::of_named(&[MULTI]);
    let other = scan.staging().join("other");
    fs::create_dir_all(&other).expect("a folder");
    fs::write(other.join(".imgsieve-3.partial"), "half").expect("written");
    let ended = scan.run();
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(!other.exists());
    let lines = scan.logged();
    assert_eq!(words(&of_stage(&lines, "warning"), "reason"), ["swept"]);
    assert_eq!(of_stage(&lines, "script_complete")[0]["removed_files"], 1);
}

#[test]
fn a_config_error_prints_nothing_that_a_terminal_obeys() {
    let ended = end(imgsieve().args(["config", "--config", "/nonexistent/x\x1b[31m"]));
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains(r"x\u{1b}[31m") && !ended.stderr.contains('\x1b'), "{}", ended.stderr);
}
