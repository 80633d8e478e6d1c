//! Several runs in one staging folder: shards share it, nobody removes what another writes, no image is half, and none is lost.

#[path = "common/hostile.rs"]
mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use imgsieve::shard::Shard;
use serde_json::Value;
use support::*;

/// Size of an image that takes long enough to write that a test can stop the process in the middle.
const SLOW: u64 = 600 << 20;

/// A name of an archive for each of two shards.
fn names() -> [String; 2] {
    [0, 1].map(|index| {
        let shard = Shard::new(index, 2).expect("a shard");
        let mut names = (1..).map(|number| format!("{number:032x}"));
        names.find(|name| shard.has_hash(name.as_bytes())).expect("there are enough")
    })
}

/// A site with an archive of each of two shards, whose image takes long to write.
fn slow_site() -> (Site, [String; 2]) {
    let (site, names) = (Site::new(), names());
    for name in &names {
        site.archive(name, &filled_image(b"disk.img", &mbr(2), 0x41, SLOW));
    }
    (site, names)
}

fn log(site: &Site, name: &str) -> PathBuf {
    site.folder.path().join(format!("{name}.jsonl"))
}

/// A run over a shard, with a log of its own.
fn start(site: &Site, shard: &str, name: &str, arguments: &[&str]) -> Child {
    let mut command = command(site, shard, name, arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts")
}

fn command(site: &Site, shard: &str, name: &str, arguments: &[&str]) -> Command {
    let mut command = site.command(arguments);
    command.args(["--no-progress", "--jobs", "1", "--shard", shard, "--log"]).arg(log(site, name));
    command
}

fn end(child: Child) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = child.wait_with_output().expect("a child");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

fn lines(site: &Site, name: &str, stage: &str) -> Vec<Value> {
    let text = fs::read_to_string(log(site, name)).expect("a log");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["stage"] == stage).collect()
}

fn partial(folder: &Path) -> Option<PathBuf> {
    let entries = fs::read_dir(folder).ok()?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| path.extension().is_some_and(|extension| extension == "partial"))
}

/// Starts a run over a shard, and stops the process in the middle of its image. None where it was too fast.
fn stopped(site: &Site, hash: &str, shard: &str, name: &str) -> Option<Child> {
    use std::os::unix::fs::MetadataExt;
    let mut child = start(site, shard, name, &[]);
    let begun = Instant::now();
    while child.try_wait().expect("a child").is_none() {
        assert!(begun.elapsed() < Duration::from_mins(1));
        let is_begun = partial(&site.staging.join(hash)).and_then(|path| fs::metadata(path).ok());
        if is_begun.is_some_and(|metadata| metadata.blocks() > 0) {
            signal("STOP", child.id());
            std::thread::sleep(Duration::from_millis(50));
            if partial(&site.staging.join(hash)).is_some() {
                return Some(child);
            }
            signal("CONT", child.id());
            break;
        }
    }
    let _ = child.wait();
    None
}

/// The same, tried until it is in time.
fn stopped_in_time(site: &Site, hash: &str, shard: &str, name: &str) -> Child {
    for _ in 0..20 {
        if let Some(child) = stopped(site, hash, shard, name) {
            return child;
        }
        fs::remove_dir_all(&site.staging).expect("it was staged");
        let _ = fs::remove_file(log(site, name));
    }
    panic!("the image is always written too fast");
}

fn is_whole(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == SLOW)
}

#[test]
fn shards_at_once_stage_what_one_run_does_and_leave_nothing_else() {
    let site = Site::with_good();
    for number in 0..24_u64 {
        let image = image(1 + u32::from(number % 2 == 0), 2 * MIB, number);
        site.archive(&format!("{number:032x}"), &zst(&tar(&[member(b"disk.img", &image)])));
    }
    assert_eq!(site.scan(&[]).code(), 0);
    let staged = site.staged();
    assert_eq!(staged.len(), 13);
    fs::remove_dir_all(&site.staging).expect("staged");
    let runs: Vec<Child> = (0..6).map(|index| start(&site, &format!("{index}/6"), &format!("{index}"), &[])).collect();
    for child in runs {
        let ended = end(child);
        assert_eq!(ended.0, Some(0), "{ended:?}");
    }
    assert_eq!(site.staged(), staged);
    assert_eq!(fs::read_dir(&site.staging).expect("a folder").count(), 13, "no lock, no empty folder");
}

#[test]
fn shards_that_begin_at_once_do_not_hinder_each_other() {
    let site = Site::with_good();
    for round in 0..4 {
        let runs: Vec<Child> =
            (0..12).map(|index| start(&site, &format!("{index}/12"), &format!("{round}-{index}"), &[])).collect();
        for child in runs {
            let ended = end(child);
            assert_eq!(ended.0, Some(0), "{ended:?}");
        }
    }
    site.assert_staged_good_and(&[]);
}

#[test]
fn a_run_alone_and_shards_exclude_each_other() {
    let (site, [first, _]) = slow_site();
    let running = stopped_in_time(&site, &first, "0/2", "a");
    let refused = site.scan(&[]);
    assert_eq!(refused.code(), 75, "{}", refused.stderr);
    assert!(refused.stderr.contains("another run is using the staging folder"), "{}", refused.stderr);
    signal("CONT", running.id());
    assert_eq!(end(running).0, Some(0));
    assert!(is_whole(&site.staging.join(&first).join("disk.img")));
}

#[test]
fn what_a_living_run_writes_is_left_alone_and_what_a_killed_one_left_is_swept() {
    let (site, [first, second]) = slow_site();
    let running = stopped_in_time(&site, &first, "0/2", "a");
    let own = partial(&site.staging.join(&first)).expect("a partial");
    // It is named after its run.
    let run = lines(&site, "a", "script_start")[0]["run"].as_str().expect("a run").to_owned();
    assert!(own.to_string_lossy().contains(&format!(".imgsieve-{run}-")), "{own:?}");
    let (code, stderr) = end(start(&site, "1/2", "b", &[]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(own.exists() && is_whole(&site.staging.join(&second).join("disk.img")));
    signal("KILL", running.id());
    let _ = end(running);
    assert!(own.exists());
    let (code, stderr) = end(start(&site, "1/2", "c", &[]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(!site.staging.join(&first).exists(), "{stderr}");
    assert!(stderr.contains("removed partial files"), "{stderr}");
    assert_eq!(end(start(&site, "0/2", "a", &["--resume"])).0, Some(0));
    assert!(is_whole(&site.staging.join(&first).join("disk.img")));
}

#[test]
fn two_runs_over_one_shard_stage_an_image_once() {
    let (site, [first, _]) = slow_site();
    let running = stopped_in_time(&site, &first, "0/2", "a");
    // As where a task is queued again while the old one still runs.
    let (code, stderr) = end(start(&site, "0/2", "b", &[]));
    assert_eq!(code, Some(75), "nothing is amiss, and it may be tried again: {stderr}");
    let check = &lines(&site, "b", "partition_check")[0];
    assert_eq!((check["action"].as_str(), check["reason"].as_str()), (Some("deferred"), Some("locked")));
    signal("CONT", running.id());
    assert_eq!(end(running).0, Some(0));
    assert_eq!(end(start(&site, "0/2", "b", &["--resume"])).0, Some(0));
    let check = lines(&site, "b", "partition_check").pop().expect("a verdict");
    assert_eq!((check["action"].as_str(), check["existing"].as_bool()), (Some("KEPT"), Some(true)));
    assert_eq!(site.staged().into_keys().collect::<Vec<_>>(), [format!("{first}/disk.img")]);
}

#[test]
fn a_shard_that_is_terminated_ends_within_a_second_and_leaves_nothing() {
    let (site, [first, _]) = slow_site();
    let running = stopped_in_time(&site, &first, "0/2", "a");
    signal("TERM", running.id());
    let begun = Instant::now();
    signal("CONT", running.id());
    assert_eq!(end(running).0, Some(143));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(site.staged().is_empty(), "{:?}", site.staged());
    assert_eq!(fs::read_dir(&site.staging).expect("a folder").count(), 0);
}

#[test]
fn a_run_stages_no_more_than_it_may_and_the_next_one_goes_on() {
    let site = Site::new();
    let hashes: Vec<String> = (0..3).map(|number| format!("{number:032x}")).collect();
    for (number, hash) in (0..).zip(&hashes) {
        let mut image = image(2, 2 * MIB, number);
        image[4096..].copy_from_slice(&noise(2 * MIB - 4096, number));
        site.archive(hash, &zst(&tar(&[member(b"disk.img", &image)])));
    }
    let mut staged = 0;
    for resume in [&[][..], &["--resume"], &["--resume"]] {
        let outcome = site.scan(&[&["--max-staged", "3MB", "--jobs", "1"], resume].concat());
        staged += 1;
        assert_eq!(site.staged().len(), staged, "{}", outcome.stderr);
        let deferred = if staged < 3 { (1, vec!["max_staged"; 3 - staged]) } else { (0, vec![]) };
        assert_eq!((outcome.code(), outcome.reasons("image")), deferred, "{}", outcome.stderr);
    }
}

#[test]
fn an_archive_whose_folder_cannot_be_locked_on_a_full_disk_is_deferred_and_taken_up_again() {
    // Of files, too, there may be no more: the file system's root, staging, and the archive's folder, but no lock in it.
    let tmpfs = Tmpfs::mount("size=64m,nr_inodes=3");
    let (mut site, [name, _]) = (Site::new(), names());
    site.staging = tmpfs.path.join("staging");
    site.configure();
    site.archive(&name, &filled_image(b"disk.img", &mbr(2), 0x41, 2 << 20));
    let (code, stderr) = end(start(&site, "0/2", "a", &["--min-free", "0"]));
    let check = &lines(&site, "a", "partition_check")[0];
    assert_eq!((check["action"].as_str(), check["reason"].as_str()), (Some("deferred"), Some("no_space")), "{stderr}");
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(fs::read_dir(&site.staging).expect("a folder").count(), 0);
    tmpfs.remount("nr_inodes=100");
    let (code, stderr) = end(start(&site, "0/2", "a", &["--min-free", "0", "--resume"]));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(site.staged().into_keys().collect::<Vec<_>>(), [format!("{name}/disk.img")]);
}

#[test]
fn of_two_runs_with_room_for_one_image_one_stages_its_own() {
    for _ in 0..3 {
        let tmpfs = Tmpfs::mount("size=40m");
        let (mut site, names) = (Site::new(), names());
        site.staging = tmpfs.path.join("staging");
        site.configure();
        for (number, name) in (0..).zip(&names) {
            let mut image = image(2, 24 * MIB, number);
            image[4096..].copy_from_slice(&noise(24 * MIB - 4096, number));
            site.archive(name, &zst(&tar(&[member(b"disk.img", &image)])));
        }
        let runs = ["0/2", "1/2"].map(|shard| (shard, start(&site, shard, &shard[..1], &[])));
        let codes = runs.map(|(shard, child)| (shard, end(child)));
        let staged = site.staged();
        assert_eq!(staged.len(), 1, "{codes:?}");
        let (loser, _) = codes.iter().find(|(_, (code, _))| *code == Some(1)).expect("one found no room");
        // What was staged was processed again, and is gone.
        for name in &names {
            let _ = fs::remove_dir_all(site.staging.join(name));
        }
        assert_eq!(end(start(&site, loser, &loser[..1], &["--resume"])).0, Some(0));
        assert_eq!(site.staged().len(), 1);
        assert_ne!(site.staged(), staged);
    }
}

/// Images of data only, of 6 to 11 MiB, one an archive; gives their sizes by the archive's name.
fn dense_archives(site: &Site, count: u64) -> Vec<(String, u64)> {
    let archive = |number: u64| {
        let bytes = (6 + number % 6) * MIB as u64;
        let hash = format!("{number:032x}");
        let mut image = image(2, usize::try_from(bytes).expect("small"), number);
        let length = image.len();
        image[4096..].copy_from_slice(&noise(length - 4096, number));
        site.archive(&hash, &zst(&tar(&[member(b"disk.img", &image)])));
        (hash, bytes)
    };
    (0..count).map(archive).collect()
}

/// Does `work`, and gives the least space that was free on the file system of `folder` meanwhile.
fn least_free<T>(folder: &Path, work: impl FnOnce() -> T) -> (u64, T) {
    let (least, is_over) = (AtomicU64::new(u64::MAX), AtomicBool::new(false));
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let stat = rustix::fs::statvfs(folder).expect("a file system");
                least.fetch_min(stat.f_bavail * stat.f_frsize, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(50));
            }
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        done
    });
    (least.into_inner(), done)
}

/// Runs over all shards at once, with this minimum.
fn all_at_once(site: &Site, shards: u32, minimum: u64) -> Vec<(Option<i32>, String)> {
    let minimum = format!("{minimum}B");
    let start = |index| start(site, &format!("{index}/{shards}"), &format!("{index}"), &["--min-free", &minimum]);
    let runs: Vec<Child> = (0..shards).map(start).collect();
    runs.into_iter().map(end).collect()
}

#[test]
fn the_minimum_holds_for_all_shards_together() {
    const MINIMUM: u64 = 24 << 20;
    const SHARDS: u32 = 12;
    for _ in 0..3 {
        let tmpfs = Tmpfs::mount("size=96m");
        let mut site = Site::new();
        site.staging = tmpfs.path.join("staging");
        site.configure();
        let archives = dense_archives(&site, 24);
        let (least, codes) = least_free(&tmpfs.path, || all_at_once(&site, SHARDS, MINIMUM));
        assert!(least >= MINIMUM, "{least} bytes were free, of {MINIMUM} that have to be");
        assert!(codes.iter().all(|(code, _)| matches!(code, Some(0 | 1))), "{codes:?}");
        // What two could each have staged and neither did is staged by who comes again.
        for index in 0..SHARDS {
            let shard = format!("{index}/{SHARDS}");
            let arguments = ["--resume", "--min-free", &format!("{MINIMUM}B")];
            let (least, (code, stderr)) =
                least_free(&tmpfs.path, || end(start(&site, &shard, &index.to_string(), &arguments)));
            assert!(matches!(code, Some(0 | 1)) && least >= MINIMUM, "{least}: {stderr}");
        }
        let staged = site.staged();
        let is_staged = |name: &str| staged.contains_key(&format!("{name}/disk.img"));
        let smallest_left = archives.iter().filter(|(name, _)| !is_staged(name)).map(|(_, size)| *size).min();
        let stat = rustix::fs::statvfs(&tmpfs.path).expect("a file system");
        let room = stat.f_bavail * stat.f_frsize - MINIMUM;
        assert!(smallest_left.expect("not all fit") > room, "{room} bytes are left: {codes:?}");
        let entries = fs::read_dir(&site.staging).expect("a folder").count();
        assert_eq!(entries, staged.len(), "no lock, no empty folder");
    }
}

#[test]
fn shards_stage_all_that_fits_down_to_the_minimum() {
    const MINIMUM: u64 = 24 << 20;
    let mut site = Site::new();
    let archives = dense_archives(&site, 12);
    let room = archives.iter().map(|(_, size)| size).sum::<u64>() + MINIMUM;
    let tmpfs = Tmpfs::mount(&format!("size={room}"));
    site.staging = tmpfs.path.join("staging");
    site.configure();
    let (least, codes) = least_free(&tmpfs.path, || all_at_once(&site, 4, MINIMUM));
    assert!(codes.iter().all(|(code, _)| *code == Some(0)), "{codes:?}");
    assert_eq!(site.staged().len(), archives.len());
    assert!((MINIMUM..MINIMUM + 4096).contains(&least), "{least}");
}

#[test]
fn who_is_stopped_while_it_writes_near_the_minimum_does_not_hold_up_the_others() {
    let (mut site, [first, second]) = slow_site();
    let tmpfs = Tmpfs::mount("size=1400m");
    site.staging = tmpfs.path.join("staging");
    site.configure();
    let running = stopped_in_time(&site, &first, "0/2", "a");
    // As one that was stopped with the lock held.
    let gate = fs::File::create(site.staging.join(".imgsieve-gate.lock")).expect("a file");
    rustix::fs::flock(&gate, rustix::fs::FlockOperation::LockExclusive).expect("nobody holds it");
    let begun = Instant::now();
    let (code, stderr) = end(start(&site, "1/2", "b", &["--min-free", "20MB"]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!((10..30).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    assert!(is_whole(&site.staging.join(&second).join("disk.img")));
    // One that is terminated does not wait for it.
    fs::remove_dir_all(site.staging.join(&second)).expect("staged");
    let child = start(&site, "1/2", "c", &["--min-free", "20MB"]);
    std::thread::sleep(Duration::from_secs(2));
    signal("TERM", child.id());
    let begun = Instant::now();
    assert_eq!(end(child).0, Some(143));
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    signal("KILL", running.id());
    let _ = end(running);
}
