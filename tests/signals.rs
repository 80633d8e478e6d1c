//! How a run ends that somebody or something ends: by a signal, by the kernel, by a panic, by an observer. Nothing half is
//! left under an image's name, the log says what happened, and the next run makes up for it.

#[path = "common/hostile.rs"]
mod support;
#[path = "common/terminal.rs"]
mod terminal;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use imgsieve::config::{self, Config};
use imgsieve::event::Event;
use imgsieve::exit::Exit;
use imgsieve::run::{Control, Observer, Stop, panics};
use imgsieve::scan;
use sha2::{Digest, Sha256};
use support::*;
use terminal::Terminal;

const BIG: &str = "b1600000000000000000000000000b16";
/// An image of data that takes a while to write.
const SLOW: u64 = 1 << 30;

/// A site in memory, where writing 1 GiB is no burden, with an archive of an image of 1 GiB.
fn slow_site() -> (Site, Tmpfs) {
    let tmpfs = Tmpfs::mount("size=1500m");
    let mut site = Site::with_good();
    site.archive(BIG, &filled_image(b"disk.img", &mbr(2), 0x41, SLOW));
    site.staging = tmpfs.path.join("staging");
    site.configure();
    (site, tmpfs)
}

/// Starts a run of one job and stops the process while it writes the large image.
fn stopped_in_mid_write(site: &Site) -> Run<'_> {
    for _ in 0..20 {
        let mut run = site.start(site.command(&["--jobs", "1"]));
        if run.stop_at("extraction_start") && site.written_of_partial().is_some_and(|bytes| bytes < SLOW / 2) {
            return run;
        }
        signal("CONT", run.child.id());
        run.end();
        fs::remove_dir_all(&site.staging).expect("ours");
    }
    panic!("the image is always written too fast");
}

#[test]
fn a_signal_ends_a_keep_with_nothing_left_of_it() {
    for (name, number) in [("INT", 2), ("TERM", 15), ("HUP", 1)] {
        let (site, _tmpfs) = slow_site();
        let run = stopped_in_mid_write(&site);
        signal(name, run.child.id());
        signal("CONT", run.child.id());
        let outcome = run.end();
        eprintln!("CASE SIG{name} in mid write\t{}", outcome.stderr);
        assert_eq!(outcome.status.code(), Some(128 + number), "{name}");
        let last = outcome.log.last().expect("a line");
        assert_eq!((&last["stage"], &last["signal"]), (&"interrupted".into(), &format!("SIG{name}").into()));
        assert_eq!(outcome.lines(&format!("interrupted by SIG{name}")).len(), 1, "{}", outcome.stderr);
        assert!(site.staged().is_empty(), "{name}: {:?}", site.staged());
    }
}

#[test]
fn a_second_signal_ends_at_once_and_the_next_run_clears_up() {
    let (site, _tmpfs) = slow_site();
    let run = stopped_in_mid_write(&site);
    // Both are there before the process runs on; the kernel delivers the lower number first.
    signal("INT", run.child.id());
    signal("TERM", run.child.id());
    signal("CONT", run.child.id());
    let outcome = run.end();
    assert!(matches!(outcome.status.code(), Some(130 | 143)), "{}", outcome.status);
    assert!(outcome.stage("script_complete").is_empty());
    assert!(!site.staged().contains_key(&format!("{BIG}/disk.img")), "{:?}", site.staged());
    let next = site.scan(&[]);
    assert_eq!(next.code(), 0, "{}", next.stderr);
    site.assert_staged_good_and(&[&format!("{BIG}/disk.img")]);
}

#[test]
fn a_signal_while_waiting_for_another_program_ends_the_wait() {
    let site = Site::with_good();
    let script = site.folder.path().join("busy-archiving.sh");
    fs::write(&script, "#!/bin/sh\nwhile :; do sleep 0.1; done\n").expect("a script");
    let mut busy = Command::new("sh").arg(&script).spawn().expect("sh runs");
    let config = site.folder.path().join("site.toml");
    let text = fs::read_to_string(&config).expect("a site file");
    fs::write(&config, text.replace("wait_for = ''", "wait_for = 'busy-archiving.sh'")).expect("a site file");
    let refused = site.scan(&[]);
    eprintln!("CASE the program to wait for runs\t{}", refused.stderr);
    let mut run = site.start(site.command(&["--wait"]));
    assert!(run.wait_for(|log| log.contains("\"reason\":\"waiting\"")));
    let begun = Instant::now();
    signal("TERM", run.child.id());
    let outcome = run.end();
    let elapsed = begun.elapsed();
    busy.kill().expect("ours");
    busy.wait().expect("ours");
    assert_eq!((refused.code(), refused.reasons("run")), (1, vec!["process_running"]), "{}", refused.stderr);
    assert_eq!(outcome.status.code(), Some(143));
    assert_eq!(outcome.log.last().expect("a line")["stage"], "interrupted");
    assert!(elapsed < Duration::from_secs(1), "{elapsed:?}");
}

/// The files in staging that are no partials, by path, with their SHA-256.
fn sums(staging: &Path, names: &BTreeMap<String, u64>) -> BTreeMap<String, Vec<u8>> {
    let whole = names.keys().filter(|name| !name.ends_with(".partial") && !name.ends_with("(empty)"));
    whole.map(|name| (name.clone(), Sha256::digest(fs::read(staging.join(name)).expect("there")).to_vec())).collect()
}

#[test]
fn a_run_that_is_killed_at_any_instant_leaves_no_half_image_and_the_next_one_completes() {
    let new_site = || {
        let site = Site::with_good();
        for seed in 1..=4_u64 {
            let length = 12 * MIB + usize::try_from(seed).expect("small") * 1000;
            site.archive(&format!("{seed:032x}"), &zst(&tar(&[member(b"disk.img", &image(2, length, seed))])));
        }
        site
    };
    let undisturbed = new_site();
    assert_eq!(undisturbed.scan(&[]).code(), 0);
    let expected = sums(&undisturbed.staging, &undisturbed.staged());
    assert_eq!(expected.len(), 5);

    let (mut killed, mut partials) = (0, 0);
    // Instants that are spread over a run, the same every time.
    for instant in 0..24_u64 {
        let site = new_site();
        let mut run = site.start(site.command(&[]));
        assert!(run.wait_for(|log| log.contains("extraction_start")) || instant > 0);
        std::thread::sleep(Duration::from_micros(instant * 7919 % 60_000));
        signal("KILL", run.child.id());
        let outcome = run.end();
        killed += usize::from(outcome.status.signal() == Some(9));
        let staged = site.staged();
        for (name, sum) in sums(&site.staging, &staged) {
            assert!(expected[&name] == sum, "{name} is whole although the run was killed");
        }
        let left = staged.keys().filter(|name| name.ends_with(".partial")).count();
        partials += left;

        let next = site.scan(&[]);
        assert_eq!(next.code(), 0, "{}", next.stderr);
        assert!(sums(&site.staging, &site.staged()) == expected, "instant {instant}");
        assert_eq!(site.staged().len(), 5, "nothing else is left: {:?}", site.staged());
        let removed: u64 = next.stage("cleanup").iter().filter_map(|line| line["removed_files"].as_u64()).sum();
        assert_eq!(removed, left as u64, "instant {instant}");
    }
    assert!(killed > 6, "only {killed} runs were killed in time");
    assert!(partials > 0, "no run was killed while it wrote");
}

/// Panics, or ends the run, at the first event of a stage about the archive [`BIG`]; at the last verdict, where that is the stage.
struct Saboteur {
    stage: &'static str,
    panics: bool,
    done: AtomicBool,
    seen: Mutex<Vec<String>>,
}

impl Observer for Saboteur {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        let (stage, hash) = match event {
            Event::ImageFound { archive, image } => {
                let is_second = image.name == b"single.img";
                (if is_second { "img_found" } else { "" }, archive.hash.to_str())
            }
            Event::ExtractionStart { archive, .. } => ("extraction_start", archive.hash.to_str()),
            Event::PartitionCheck { archive, check, .. } => {
                let line = format!("{} {}", archive.hash.display(), check.action.as_str());
                self.seen.lock().expect("not poisoned").push(line);
                let is_last = check.action.as_str() == "deleted";
                (if is_last { "partition_check" } else { "" }, archive.hash.to_str())
            }
            Event::ArchiveComplete { archive, .. } => {
                self.seen.lock().expect("not poisoned").push(format!("{} complete", archive.hash.display()));
                ("archive_complete", archive.hash.to_str())
            }
            Event::Error { cause, .. } | Event::ArchiveFailed { cause, .. } => {
                self.seen.lock().expect("not poisoned").push(format!("error {}: {}", cause.code, cause.message));
                ("error", None)
            }
            _ => ("", None),
        };
        if stage == self.stage && hash == Some(BIG) && !self.done.swap(true, Ordering::SeqCst) {
            assert!(!self.panics, "a panic for the test");
            return Err(Stop::Observer("the observer has had enough".to_owned()));
        }
        Ok(())
    }
}

fn sabotaged(stage: &'static str, panics: bool) -> (Site, Exit, Vec<String>) {
    let site = Site::with_good();
    // The verdict on the first image waits for its frame's end, that on the second for a map.
    let members = [
        member(b"disk.img", &image(2, 2 * MIB, 1)),
        member(b"single.img", &image(1, 2 * MIB, 2)),
        member(b"disk.log", &noise(MIB, 3)),
    ];
    site.archive(BIG, &zst(&tar(&members)));
    let config = Config::new(config::Site::read(&site.folder.path().join("site.toml")).expect("a site file"));
    let saboteur = Saboteur { stage, panics, done: AtomicBool::new(false), seen: Mutex::default() };
    panics::install_hook();
    let exit = scan::run(&config, &Control::new(), &[&saboteur]).exit;
    assert!(saboteur.done.load(Ordering::SeqCst), "{stage} came");
    (site, exit, saboteur.seen.into_inner().expect("not poisoned"))
}

#[test]
fn a_panic_in_a_worker_is_its_archives_error_and_the_others_are_done() {
    for stage in ["img_found", "extraction_start", "partition_check"] {
        let (site, exit, seen) = sabotaged(stage, true);
        assert_eq!(exit, Exit::Failure, "{stage}");
        let errors: Vec<_> = seen.iter().filter(|line| line.starts_with("error panic: ")).collect();
        assert!(!errors.is_empty(), "{stage}: {seen:?}");
        assert!(errors[0].contains("a panic for the test (at tests/signals.rs:"), "{stage}: {errors:?}");
        assert!(seen.contains(&format!("{GOOD} complete")), "{stage}: {seen:?}");
        assert!(!seen.contains(&format!("{BIG} complete")), "{stage}: {seen:?}");
        let verdicts = seen
            .iter()
            .filter(|line| ["KEPT", "deleted", "error"].iter().any(|word| **line == format!("{BIG} {word}")));
        let expected = if stage == "extraction_start" { 1 } else { 2 };
        assert_eq!(verdicts.count(), expected, "every image that was found has a verdict: {stage}: {seen:?}");
        let staged = site.staged();
        assert!(!staged.keys().any(|name| name.ends_with(".partial") || name.ends_with("(empty)")), "{staged:?}");
        assert!(staged.contains_key(&format!("{GOOD}/good.img")), "{stage}: {staged:?}");
    }
}

#[test]
fn an_observer_that_cannot_go_on_ends_the_run() {
    for stage in ["img_found", "extraction_start"] {
        let (site, exit, seen) = sabotaged(stage, false);
        assert_eq!(exit, Exit::Failure, "{stage}");
        assert!(!seen.contains(&format!("{BIG} complete")), "{stage}: {seen:?}");
        let staged = site.staged();
        assert!(!staged.keys().any(|name| name.ends_with(".partial")), "{stage}: {staged:?}");
        // What was whole before is no half image.
        let expected = (stage == "img_found").then_some(2 * MIB as u64);
        assert_eq!(staged.get(&format!("{BIG}/disk.img")).copied(), expected, "{stage}");
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn eight_bars_fit_the_terminal_and_are_gone_at_the_end_and_after_a_signal() {
    for columns in [40_u16, 120] {
        for interrupts in [true, false] {
            let site = Site::new();
            let length = if interrupts { 400 << 30 } else { 6 << 30 };
            let bytes = filled_image(b"disk.img", &mbr(1), 0, length);
            for number in 0..8 {
                let content = if number == 0 { "not zstd".into() } else { bytes.clone() };
                site.archive(&format!("{number:032x}"), &content);
            }
            let pid_file = site.folder.path().join("pid");
            let command = format!(
                "sh -c 'echo $$ > {}; exec {} scan --config {} --dry-run --verify --jobs 8'",
                pid_file.display(),
                env!("CARGO_BIN_EXE_imgsieve"),
                site.folder.path().join("site.toml").display()
            );
            let terminal = Terminal::start(&format!("{columns}-{interrupts}"), columns, &command);
            let is_drawn = |screen: &str| screen.lines().filter(|line| line.contains('%')).count() == 8;
            let drawn = terminal.wait_for(is_drawn);
            eprintln!("CASE {columns} columns\n{drawn}");
            let lines: Vec<_> = drawn.lines().filter(|line| !line.trim().is_empty()).collect();
            assert!(lines.iter().all(|line| line.chars().count() <= usize::from(columns)), "{drawn}");
            // The error stands above, in one piece; then the bars, a line each.
            let bars = lines.iter().rev().take_while(|line| line.contains('%')).count();
            assert_eq!(bars, 8, "no bar is broken over two lines: {drawn}");
            assert_eq!(lines[..lines.len() - bars].concat().matches("imgsieve: error: ").count(), 1, "{drawn}");
            if interrupts {
                signal("INT", fs::read_to_string(&pid_file).expect("a pid").trim().parse().expect("a number"));
            }
            let after = terminal.wait_for(|screen| screen.contains("ended "));
            eprintln!("{after}");
            let expected = if interrupts { "ended 130" } else { "ended 1" };
            assert!(after.contains(expected), "{after}");
            assert!(!after.contains('%') && !after.contains('━'), "the bars are cleared: {after}");
            // It may have scrolled off; the end of the run has it again.
            assert!(after.matches("imgsieve: error: ").count() <= 1, "{after}");
        }
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn a_window_that_shrinks_and_a_key_that_interrupts_leave_nothing_of_the_bars() {
    let site = Site::with_good();
    let bytes = filled_image(b"disk.img", &mbr(1), 0, 400 << 30);
    for number in 0..4 {
        site.archive(&format!("{number:032x}"), &bytes);
    }
    let command = format!(
        "sh -c 'echo above; exec {} scan --config {} --dry-run --verify --jobs 4'",
        env!("CARGO_BIN_EXE_imgsieve"),
        site.folder.path().join("site.toml").display()
    );
    let terminal = Terminal::start("shrinks", 120, &command);
    let bars = |screen: &str| screen.lines().filter(|line| line.contains('%')).count();
    let mut least = u16::MAX;
    for columns in [120, 80, 100, 60, 120, 70, 40] {
        least = least.min(columns);
        terminal.resize(columns);
        let is_whole = |screen: &str| {
            let lines: Vec<&str> = screen.lines().filter(|line| !line.trim().is_empty()).collect();
            // Below what stands above, there are only a bar for each archive that is read and one for all.
            let above = lines.iter().take_while(|line| !line.contains('%')).count();
            let is_narrow = columns < 79;
            // Where bars are broken, as many rows scroll off at the top.
            (least < 79 || screen.starts_with("above\n"))
                && bars(screen) >= 4
                && lines.len() == above + bars(screen)
                && lines[above..]
                    .iter()
                    .all(|line| is_narrow != line.contains('━') && line.chars().count() < columns.into())
        };
        let shown = terminal.wait_for(is_whole);
        eprintln!("CASE {columns} columns\n{shown}");
    }
    terminal.press("C-c");
    let after = terminal.wait_for(|screen| screen.contains("ended "));
    eprintln!("{after}");
    assert!(after.contains("ended 130"), "{after}");
    assert!(bars(&after) == 0 && !after.contains('━'), "the bars are cleared: {after}");
    // 40 columns break the words of it.
    let after = after.replace('\n', "");
    assert!(after.contains("scan --dry-run --resume"), "what goes on: {after}");
}
