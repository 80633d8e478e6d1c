//! What staging, the log and the collection may be like, and what others may do to them meanwhile: nothing half is ever
//! left, nothing is written through a link, and what found no room is told of.

#[path = "common/strace.rs"]
#[allow(dead_code)]
mod strace;
#[path = "common/hostile.rs"]
mod support;

use std::fs::{self, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use support::*;

const BIG: &str = "b1600000000000000000000000000b16";
const ONE: &str = "00e0000000000000000000000000001e";
/// Size of an image that takes long enough to write that a test can stop the process in the middle.
const SLOW: u64 = 600 << 20;

/// An archive of a few kilobytes with one image of data, no holes, and two partitions.
fn slow_archive() -> Vec<u8> {
    filled_image(b"disk.img", &mbr(2), 0x41, SLOW)
}

/// Puts something in an image's place; the second path is that of a file that must survive.
type Make = fn(&Path, &Path);

/// Does something to the archive of this path.
type Change = fn(&Path);

/// Runs over `site`, which has an archive [`BIG`] of [`slow_archive`], and calls `meanwhile` with the process stopped while the
/// image is being written.
fn in_mid_write(site: &Site, arguments: &[&str], mut meanwhile: impl FnMut()) -> Outcome {
    // The smallest is read first, and with one job alone.
    let arguments = [&["--jobs", "1"], arguments].concat();
    for _ in 0..20 {
        let mut run = site.start(site.command(&arguments));
        if run.stop_at("extraction_start") {
            if site.written_of_partial().is_some_and(|bytes| bytes < SLOW / 2) {
                meanwhile();
                signal("CONT", run.child.id());
                return run.end();
            }
            signal("CONT", run.child.id());
        }
        run.end();
        fs::remove_dir_all(site.staging.join(BIG)).expect("it was staged");
        let _ = fs::remove_dir_all(site.staging.join(GOOD));
        let _ = fs::remove_file(&site.log);
    }
    panic!("the image is always written too fast");
}

fn on_tmpfs(room: &str) -> (Site, Tmpfs) {
    let tmpfs = Tmpfs::mount(&format!("size={room}"));
    let mut site = Site::with_good();
    site.staging = tmpfs.path.join("staging");
    site.configure();
    (site, tmpfs)
}

#[test]
fn a_staging_folder_that_is_not_there_is_made() {
    let mut site = Site::with_good();
    site.staging = site.staging.join("a/b/c");
    site.configure();
    assert_eq!(site.scan(&[]).code(), 0);
    site.assert_staged_good_and(&[]);
}

#[test]
fn a_staging_folder_that_cannot_be_written_to_is_told_of_before_anything_starts() {
    let read_only = Site::with_good();
    fs::create_dir(&read_only.staging).expect("a folder");
    make_read_only(&read_only.staging);
    let outcome = read_only.start(read_only.command_of_nobody(&[])).end();
    eprintln!("CASE staging read-only\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("run")), (1, vec!["staging_io"]), "{}", outcome.stderr);
    assert_eq!(outcome.stage("archive_start").len(), 0);
    assert_eq!(outcome.lines("Permission denied").len(), 1);
    assert_eq!(outcome.lines("--staging").len(), 1, "the mend is named: {}", outcome.stderr);

    let mut no_parent = Site::with_good();
    fs::write(&no_parent.log, "").expect("a log");
    fs::set_permissions(&no_parent.log, Permissions::from_mode(0o666)).expect("ours");
    fs::create_dir(no_parent.folder.path().join("locked")).expect("a folder");
    no_parent.staging = no_parent.folder.path().join("locked/staging");
    no_parent.configure();
    let command = no_parent.command_of_nobody(&[]);
    make_read_only(&no_parent.folder.path().join("locked"));
    let outcome = no_parent.start(command).end();
    eprintln!("CASE staging cannot be made\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("run")), (1, vec!["staging_io"]), "{}", outcome.stderr);
}

#[test]
fn what_is_no_folder_is_no_staging() {
    let site = Site::with_good();
    fs::write(&site.staging, "mine").expect("a file");
    let outcome = site.scan(&[]);
    eprintln!("CASE staging is a file\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("run")), (1, vec!["not_a_folder"]), "{}", outcome.stderr);
    assert_eq!(fs::read(&site.staging).expect("survives"), b"mine");
    fs::remove_file(&site.staging).expect("ours");
    symlink("nowhere", &site.staging).expect("a link");
    let outcome = site.scan(&[]);
    eprintln!("CASE staging is a dangling link\t{}", outcome.stderr);
    assert_eq!(outcome.code(), 1);
    assert_eq!(outcome.stage("archive_start").len(), 0);
    assert_eq!(site.scan(&["--dry-run"]).code(), 0, "a dry run needs no staging folder");
}

#[test]
fn a_link_or_a_file_in_place_of_a_hashs_folder_is_left_alone() {
    let site = Site::with_good();
    site.archive(BIG, &zst(&tar(&[member(b"disk.img", &image(2, 2 * MIB, 1))])));
    let outside = site.folder.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::create_dir(&site.staging).expect("a folder");
    symlink(&outside, site.staging.join(BIG)).expect("a link");
    let outcome = site.scan(&[]);
    eprintln!("CASE staging/HASH is a link\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("image")), (1, vec!["not_a_folder"]), "{}", outcome.stderr);
    assert_eq!(fs::read_dir(&outside).expect("a folder").count(), 0, "nothing is written through the link");
    site.assert_staged_good_and(&[BIG]);

    fs::remove_file(site.staging.join(BIG)).expect("ours");
    fs::write(site.staging.join(BIG), "mine").expect("a file");
    let outcome = site.scan(&[]);
    assert_eq!((outcome.code(), outcome.reasons("image")), (1, vec!["not_a_folder"]), "{}", outcome.stderr);
    assert_eq!(fs::read(site.staging.join(BIG)).expect("survives"), b"mine");
}

#[test]
fn whatever_has_the_final_name_is_left_alone() {
    let bytes = image(2, 2 * MIB, 1);
    let victim = vec![b'v'; bytes.len()];
    let cases: [(&str, Make, &str); 5] = [
        ("a link to a file", |path, victim| symlink(victim, path).expect("a link"), "not a regular file"),
        ("a dangling link", |path, _| symlink("nowhere", path).expect("a link"), "not a regular file"),
        ("a folder", |path, _| fs::create_dir(path).expect("a folder"), "a folder"),
        ("a shorter file", |path, _| fs::write(path, "mine").expect("a file"), "a file of 4 bytes"),
        (
            "a FIFO",
            |path, _| assert!(std::process::Command::new("mkfifo").arg(path).status().expect("coreutils").success()),
            "not a regular file",
        ),
    ];
    for (what, make, found) in cases {
        let site = Site::with_good();
        site.archive(BIG, &zst(&tar(&[member(b"disk.img", &bytes)])));
        let outside = site.folder.path().join("victim");
        fs::write(&outside, &victim).expect("a file");
        fs::create_dir_all(site.staging.join(BIG)).expect("a folder");
        make(&site.staging.join(BIG).join("disk.img"), &outside);
        let before = fs::symlink_metadata(site.staging.join(BIG).join("disk.img")).expect("made");
        let outcome = site.scan(&[]);
        eprintln!("CASE the final name is {what}\t{}", outcome.stderr);
        assert_eq!((outcome.code(), outcome.reasons("image")), (1, vec!["in_the_way"]), "{what}: {}", outcome.stderr);
        assert_eq!(outcome.lines(found).len(), 1, "{what}: {}", outcome.stderr);
        assert!(fs::read(&outside).expect("survives") == victim, "{what}");
        let after = fs::symlink_metadata(site.staging.join(BIG).join("disk.img")).expect("still there");
        assert_eq!(before.modified().expect("known"), after.modified().expect("known"), "{what}");
        assert!(!site.staged().keys().any(|name| name.ends_with(".partial")), "{what}");
    }
}

#[test]
fn partials_of_a_killed_run_are_swept_and_counted() {
    let site = Site::with_good();
    site.archive(ONE, &zst(&tar(&[member(b"disk.img", &image(1, 2 * MIB, 1))])));
    for name in [".imgsieve-7.partial", "2/.imgsieve-0.partial", "2/.imgsieve-123.partial"] {
        for hash in [GOOD, ONE] {
            let path = site.staging.join(hash).join(name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
            fs::write(path, "half").expect("a file");
        }
    }
    fs::write(site.staging.join(".imgsieve-0.partial"), "").expect("a file");
    let outcome = site.scan(&[]);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
    for hash in [GOOD, ONE] {
        assert_eq!(outcome.of("cleanup", hash)[0]["removed_files"], 3, "{hash}");
    }
    site.assert_staged_good_and(&[]);
    assert!(!site.staging.join(ONE).exists(), "a folder in which nothing is kept is not left behind");
}

#[test]
fn an_image_that_meets_a_full_disk_is_deferred_and_told_of_and_leaves_nothing() {
    let (site, tmpfs) = on_tmpfs("700m");
    site.archive(BIG, &slow_archive());
    let outcome = in_mid_write(&site, &[], || {
        // All but what the good image takes.
        let filled = tmpfs.fill("fill", u64::MAX);
        let file = OpenOptions::new().write(true).open(tmpfs.path.join("fill")).expect("ours");
        file.set_len(filled - (16 << 20)).expect("ours");
    });
    eprintln!("CASE staging is full in mid write\t{}", outcome.stderr);
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr);
    assert_eq!(outcome.of("deferred", BIG)[0]["reason"], "no_space");
    assert_eq!(outcome.check_of(BIG)["action"], "deferred");
    assert_eq!(outcome.reasons("image"), ["no_space"], "{}", outcome.stderr);
    assert_eq!(outcome.of("archive_complete", BIG).len(), 1);
    site.assert_staged_good_and(&[]);
}

#[test]
fn an_image_that_is_mostly_empty_fits_where_its_size_does_not() {
    let (site, _tmpfs) = on_tmpfs("64m");
    site.archive(BIG, &filled_image(b"disk.img", &[&mbr(2)[..], &noise(MIB, 7)].concat(), 0, 1 << 30));
    let outcome = site.scan(&[]);
    eprintln!("CASE a mostly empty image larger than the free space\t{}", outcome.stderr);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
    assert_eq!((outcome.of("deferred", BIG).len(), &outcome.check_of(BIG)["action"]), (1, &"KEPT".into()));
    site.assert_staged_good_and(&[&format!("{BIG}/disk.img")]);
}

#[test]
fn a_hard_link_to_a_mostly_empty_file_is_tried_again_when_there_is_no_room_for_its_size() {
    const SIZE: u64 = 1 << 30;
    let (site, _tmpfs) = on_tmpfs("64m");
    let mut link = header(b"zz.img", 0, b'1');
    link[157..167].copy_from_slice(b"medium.raw");
    seal(&mut link);
    let head = [&mbr(2)[..], &noise(MIB, 7)].concat();
    let archive = Frame::new()
        .raw(&header(b"medium.raw", SIZE, b'0'))
        .raw(&head)
        .fill(0, SIZE - head.len() as u64)
        .raw(&link)
        .fill(0, 2 * BLOCK as u64)
        .end();
    site.archive(BIG, &archive);
    let outcome = site.scan(&[]);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
    let check = outcome.check_of(BIG);
    assert_eq!(
        (outcome.of("deferred", BIG).len(), &check["action"], &check["img"]),
        (1, &"KEPT".into(), &"zz.img".into())
    );
    assert_eq!(check["verified"], true);
    site.assert_staged_good_and(&[&format!("{BIG}/zz.img")]);
}

#[test]
fn an_image_that_could_never_fit_is_too_large() {
    let (site, _tmpfs) = on_tmpfs("64m");
    site.archive(BIG, &slow_archive());
    let outcome = site.scan(&[]);
    eprintln!("CASE an image larger than staging\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("image")), (1, vec!["too_large"]), "{}", outcome.stderr);
    assert_eq!(outcome.check_of(BIG)["action"], "deferred");
    site.assert_staged_good_and(&[]);
}

#[test]
fn a_file_system_without_inodes_is_one_without_room() {
    // The file system's root, staging, and one more: a hash's folder, but no file in it.
    let tmpfs = Tmpfs::mount("size=64m,nr_inodes=3");
    let mut site = Site::with_good();
    site.staging = tmpfs.path.join("staging");
    site.configure();
    let outcome = site.scan(&[]);
    eprintln!("CASE no inodes\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("image")), (1, vec!["no_space"]), "{}", outcome.stderr);
    assert_eq!(outcome.check_of(GOOD)["action"], "deferred");
    assert!(site.staged().is_empty(), "{:?}", site.staged());
}

#[test]
fn low_space_in_mid_write_gives_the_image_up_and_the_survey_goes_on() {
    let (site, tmpfs) = on_tmpfs("1000m");
    site.archive(BIG, &slow_archive());
    site.archive(ONE, &zst(&tar(&[member(b"disk.img", &image(1, 3 * MIB, 5))])));
    let outcome = in_mid_write(&site, &["--min-free", "20%"], || {
        assert_eq!(tmpfs.fill("others", 300 << 20), 300 << 20);
    });
    eprintln!("CASE low space in mid write\t{}", outcome.stderr);
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr);
    assert!(!outcome.stage("low_space").is_empty(), "{}", outcome.stderr);
    assert_eq!(outcome.of("deferred", BIG)[0]["reason"], "low_space");
    assert_eq!(outcome.check_of(BIG)["action"], "deferred");
    assert_eq!(outcome.check_of(ONE)["action"], "deleted");
    assert!(!site.staged().contains_key(&format!("{BIG}/disk.img")), "{:?}", site.staged());
    assert!(!site.staged().keys().any(|name| name.ends_with(".partial")));
    assert!(!site.staging.join(BIG).exists());
    assert_eq!(outcome.stage("script_complete").len(), 1);
}

#[test]
fn abort_on_low_space_ends_the_run_and_leaves_nothing() {
    let (site, tmpfs) = on_tmpfs("1000m");
    site.archive(BIG, &slow_archive());
    let outcome = in_mid_write(&site, &["--min-free", "20%", "--abort-on-low-space"], || {
        assert_eq!(tmpfs.fill("others", 300 << 20), 300 << 20);
    });
    eprintln!("CASE low space with --abort-on-low-space\t{}", outcome.stderr);
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr);
    assert_eq!(outcome.log.last().expect("a line")["stage"], "abort");
    assert_eq!(outcome.of("archive_start", GOOD).len(), 0, "no archive is begun after it");
    assert!(site.staged().is_empty(), "{:?}", site.staged());
}

#[test]
fn too_little_room_at_the_start_is_told_of_before_anything_starts() {
    let (site, tmpfs) = on_tmpfs("64m");
    tmpfs.fill("others", 60 << 20);
    let outcome = site.scan(&["--min-free", "20%"]);
    eprintln!("CASE less than --min-free at the start\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("run")), (75, vec!["min_free"]), "{}", outcome.stderr);
    assert_eq!(outcome.stage("archive_start").len(), 0);
}

#[test]
fn a_second_run_on_the_staging_folder_is_refused() {
    let site = Site::with_good();
    site.archive(BIG, &slow_archive());
    let outcome = in_mid_write(&site, &[], || {
        let second = site.scan(&[]);
        eprintln!("CASE a second run\t{}", second.stderr);
        assert_eq!(second.code(), 75, "it may be tried again later");
        let refused: Vec<_> = second.stage("error").iter().map(|line| line["reason"].clone()).collect();
        assert_eq!(refused, ["locked"], "{}", second.stderr);
        assert_eq!(site.scan(&["--dry-run"]).code(), 0, "a dry run takes no lock");
    });
    assert_eq!(outcome.status.code(), Some(0), "{}", outcome.stderr);
    site.assert_staged_good_and(&[&format!("{BIG}/disk.img")]);
}

#[test]
fn a_log_that_cannot_be_opened_or_written_ends_the_run_before_anything_else() {
    let site = Site::with_good();
    fs::create_dir(&site.log).expect("a folder in the log's place");
    let outcome = {
        let output = site.command(&[]).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    eprintln!("CASE the log is a folder\t{outcome}");
    assert!(outcome.contains("opening the log") && outcome.contains("--log"), "{outcome}");
    assert!(!site.staging.exists(), "nothing else is done");

    fs::remove_dir(&site.log).expect("ours");
    let outcome = site.scan(&["--log", "/dev/full"]);
    eprintln!("CASE the log is on a full disk\t{}", outcome.stderr);
    assert_eq!(outcome.code(), 1);
    assert_eq!(outcome.lines("the log /dev/full can no longer be written").len(), 1, "{}", outcome.stderr);
    assert!(site.staged().is_empty(), "what cannot be told of is not staged: {:?}", site.staged());

    let outcome = site.scan(&["--log", "/proc/self/no/log"]);
    eprintln!("CASE the log's folder cannot be made\t{}", outcome.stderr);
    assert_eq!(outcome.code(), 75);
}

#[test]
fn a_log_whose_disk_fills_up_stops_the_run_and_leaves_nothing_half() {
    let tmpfs = Tmpfs::mount("size=1m");
    let mut site = Site::with_good();
    site.log = tmpfs.path.join("log.jsonl");
    site.configure();
    // Enough to be said to fill a small disk, then an image to keep.
    let one = member(b"i.img", &[1; 1500]);
    site.archive(BIG, &zst(&tar(&[one.repeat(5000), member(b"disk.img", &image(2, 2 * MIB, 1))])));
    let output = site.command(&["--jobs", "1"]).output().expect("the program starts");
    let stderr = String::from_utf8(output.stderr).expect("UTF-8");
    eprintln!("CASE the log's disk fills up\t{stderr}");
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("can no longer be written"), "{stderr}");
    assert!(!site.staging.join(BIG).exists() && !site.staging.join(GOOD).exists(), "{:?}", site.staged());
    // The next run, with room, ends the torn line and goes on.
    fs::write(tmpfs.path.join("log.jsonl.old"), "").ok();
    let text = fs::read(&site.log).expect("a log");
    let torn = text.len() - text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    eprintln!("a torn line of {torn} bytes");
    let roomy = Site::with_good();
    fs::copy(&site.log, &roomy.log).expect("copied");
    let output = roomy.command(&[]).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0));
    let text = fs::read_to_string(&roomy.log).expect("a log");
    let bad = text.lines().filter(|line| serde_json::from_str::<serde_json::Value>(line).is_err()).count();
    assert!(bad <= 1, "{bad} torn lines");
    assert!(text.ends_with('\n'));
}

#[test]
fn a_collection_that_is_not_there_or_cannot_be_read_is_told_of() {
    let mut site = Site::new();
    site.cold = site.cold.join("not-mounted");
    site.configure();
    let outcome = site.scan(&[]);
    eprintln!("CASE the collection is missing\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("run")), (75, vec!["collection"]), "{}", outcome.stderr);

    let site = Site::with_good();
    let command = site.command_of_nobody(&[]);
    fs::set_permissions(&site.cold, Permissions::from_mode(0o000)).expect("ours");
    let outcome = site.start(command).end();
    eprintln!("CASE the collection cannot be read\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("run")), (1, vec!["collection"]), "{}", outcome.stderr);
    fs::set_permissions(&site.cold, Permissions::from_mode(0o755)).expect("ours");
}

#[test]
fn an_archive_that_may_not_be_read_is_an_error_and_the_others_are_done() {
    let site = Site::with_good();
    site.archive(BIG, &slow_archive());
    fs::set_permissions(site.path(BIG), Permissions::from_mode(0o000)).expect("ours");
    let outcome = site.start(site.command_of_nobody(&[])).end();
    eprintln!("CASE an archive that may not be read\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("archive")), (1, vec!["io"]), "{}", outcome.stderr);
    assert_eq!(outcome.lines("Permission denied").len(), 1, "{}", outcome.stderr);
    site.assert_staged_good_and(&[]);
}

#[test]
fn an_archive_that_changes_while_it_is_read_is_an_error() {
    // A long member first, so that the process can be stopped before it reads on.
    let slow = 15 << 30;
    let head = Frame::new().raw(&file_header(b"disk.log", slow)).fill(b'x', slow).end();
    let bytes = [head, zst(&tar(&[member(b"disk.img", &image(2, 20 * MIB, 8))]))].concat();
    let cases: [(&str, Change, &str, &[&str]); 5] = [
        (
            "shrinks",
            |path| OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(9 << 20)).expect("ours"),
            "the file shrank from",
            &[],
        ),
        (
            "grows",
            |path| {
                OpenOptions::new().append(true).open(path).and_then(|mut file| file.write_all(b"more")).expect("ours");
            },
            "the file was written to while it was read",
            &["disk.img"],
        ),
        (
            "is replaced",
            |path| {
                fs::write(path.with_extension("new"), "another").expect("a file");
                fs::rename(path.with_extension("new"), path).expect("ours");
            },
            "the file was replaced or removed while it was read",
            &["disk.img"],
        ),
        ("is removed", |path| fs::remove_file(path).expect("ours"), "replaced or removed", &["disk.img"]),
        (
            "is emptied",
            |path| OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(0)).expect("ours"),
            "the file shrank from",
            &[],
        ),
    ];
    for (what, change, part, kept) in cases {
        let site = Site::with_good();
        site.archive(BIG, &bytes);
        let mut run = site.start(site.command(&[]));
        let start = format!("\"stage\":\"archive_start\",\"hash\":\"{BIG}\"");
        assert!(run.wait_for(|log| log.contains(&start)));
        signal("STOP", run.child.id());
        change(&site.path(BIG));
        signal("CONT", run.child.id());
        let outcome = run.end();
        eprintln!("CASE an archive that {what} while it is read\t{}", outcome.stderr);
        assert_eq!(outcome.code(), 1, "{what}: {}", outcome.stderr);
        assert_eq!(outcome.reasons("archive"), ["changed"], "{what}: {}", outcome.stderr);
        assert!(!outcome.lines(part).is_empty(), "{what}: {}", outcome.stderr);
        let kept: Vec<String> = kept.iter().map(|name| format!("{BIG}/{name}")).collect();
        site.assert_staged_good_and(&kept.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Runs over `site`, and gives how many bytes it wrote to images.
fn bytes_written(site: &Site, arguments: &[&str]) -> u64 {
    let command = site.command(&[&["--jobs", "1"], arguments].concat());
    let trace = site.folder.path().join("trace");
    let mut traced = Command::new("strace");
    traced.args(["-f", "-qq", "-e", "trace=pwrite64", "-o"]).arg(&trace).arg("--");
    traced.arg(command.get_program()).args(command.get_args());
    strace::inherit(&mut traced, &command);
    let output = traced.output().expect("strace");
    assert!(output.status.code().is_some_and(|code| code < 2), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&trace).expect("a trace");
    text.lines().filter_map(|line| line.rsplit_once(" = ")?.1.parse::<u64>().ok()).sum()
}

/// Archives with one image of so many MiB each, nothing but data.
fn dense(site: &Site, sizes: &[usize]) {
    for (number, size) in (1..).zip(sizes) {
        let mut image = image(2, size * MIB, number);
        image[4096..].copy_from_slice(&noise(size * MIB - 4096, number));
        site.archive(&format!("{number:032x}"), &zst(&tar(&[member(b"disk.img", &image)])));
    }
}

#[test]
fn what_has_no_room_is_not_written_in_vain() {
    if !strace::is_there("what_has_no_room_is_not_written_in_vain") {
        return;
    }
    for (room, arguments, reason) in
        [("64m", &["--min-free", "24MiB"][..], "no_space"), ("256m", &["--max-staged", "40MiB"], "max_staged")]
    {
        let tmpfs = Tmpfs::mount(&format!("size={room}"));
        let mut site = Site::new();
        site.staging = tmpfs.path.join("staging");
        site.configure();
        dense(&site, &[10, 11, 12, 13, 14, 15]);
        let written = bytes_written(&site, arguments);
        let staged: u64 =
            site.staged().keys().map(|name| fs::metadata(site.staging.join(name)).expect("there").len()).sum();
        assert_eq!((site.staged().len(), written), (3, staged), "{reason}");
    }
}

#[test]
fn an_image_larger_than_max_staged_is_an_error_and_one_that_is_mostly_empty_is_not() {
    let site = Site::new();
    dense(&site, &[2, 3, 6]);
    site.archive(BIG, &filled_image(b"disk.img", &[&mbr(2)[..], &noise(MIB, 7)].concat(), 0, 1 << 30));
    let outcome = site.scan(&["--max-staged", "4MiB", "--jobs", "1"]);
    let action = |hash: &str| outcome.check_of(hash)["action"].as_str().expect("a word").to_owned();
    let actions = [1, 2, 3].map(|number| action(&format!("{number:032x}")));
    assert_eq!(actions, ["KEPT", "deferred", "error"], "{}", outcome.stderr);
    assert_eq!(outcome.reasons("image"), ["max_staged"; 2]);
    assert_eq!(action(BIG), "KEPT");
    assert!(outcome.stderr.contains("it takes more than --max-staged (4MiB) allows a run"), "{}", outcome.stderr);
    assert!(outcome.stdout.contains("imgsieve scan --resume"), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("\n      1 image beyond --max-staged\n"), "{}", outcome.stdout);
    let mut report = Command::new(env!("CARGO_BIN_EXE_imgsieve"));
    let report = report.args(["report", "--json"]).arg(&site.log).output().expect("the program starts");
    let remaining = &serde_json::from_slice::<Value>(&report.stdout).expect("JSON")["remaining"];
    let numbers = ["imgs_beyond_max_staged", "imgs_deferred", "imgs_unstageable"].map(|key| remaining[key].as_u64());
    assert_eq!(numbers, [Some(1), Some(0), Some(1)], "{remaining}");
    // What is left then never fits, and no command is printed for it.
    let outcome = site.scan(&["--max-staged", "4MiB", "--jobs", "1", "--resume"]);
    assert_eq!(outcome.reasons("image"), ["max_staged"], "{}", outcome.stderr);
    assert!(!outcome.stdout.contains("imgsieve scan --resume"), "{}", outcome.stdout);
}
