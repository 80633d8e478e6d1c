//! What the system refuses, and what somebody takes away in mid run: no threads, no memory, a clock that is wrong, folders
//! that cannot be closed, staging or the log gone. Each is told in a clear line, and none ends in a panic.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::scan::{Ended, Scan, end, imgsieve, of_stage};
use common::strace::{inherit, injecting, is_there};

const MULTI: [&str; 3] = ["mbr-multi", "gpt-multi", "sparse-gnu"];

/// Runs it, and checks that it did not panic and ended with this exit code.
fn ends(command: &mut Command, code: i32) -> Ended {
    let ended = end(command);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, code, "{said}");
    assert!(!said.contains("panicked") && !said.contains("a bug in imgsieve"), "{said}");
    ended
}

#[test]
fn without_a_thread_all_is_done_all_the_same() {
    if !is_there("no threads") {
        return;
    }
    for errno in ["EAGAIN", "ENOMEM"] {
        let no_threads = [&*format!("clone3:error={errno}")];
        let scan = Scan::of_named(&MULTI).args(&["--jobs", "5"]);
        let ended = ends(&mut injecting(&scan.command(), &no_threads), 0);
        assert!(ended.stderr.contains("warning: 5 workers cannot be started"), "{}", ended.stderr);
        assert!(ended.stderr.contains("1 at a time"), "{}", ended.stderr);
        let warned: Vec<_> = scan.logged().into_iter().filter(|line| line["reason"] == "threads").collect();
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert_eq!(of_stage(&scan.logged(), "archive_complete").len(), MULTI.len());

        let mut others = Vec::new();
        for (words, more) in [(&["verify"][..], &["--jobs", "3"][..]), (&["inspect"], &[]), (&["inspect"], &["--json"])]
        {
            let mut command = imgsieve();
            command.args(words).args(more);
            match words {
                ["verify"] => command.arg(scan.collection()),
                _ => command.args(fs::read_dir(scan.collection()).expect("a folder").map(|at| at.expect("one").path())),
            };
            others.push(command);
        }
        let mut report = imgsieve();
        report.args(["report", "--config"]).arg(scan.site_file()).arg("--html").arg(scan.folder().join("page.html"));
        others.push(report);
        let mut extract = imgsieve();
        let archive = fs::read_dir(scan.collection()).expect("a folder").next().expect("one").expect("one").path();
        extract.arg("extract").arg(archive).args(["--image", "1"]).arg("-o").arg(scan.folder().join("x.img"));
        others.push(extract);
        for command in &others {
            ends(&mut injecting(command, &no_threads), 0);
        }
        // A command has to be a process.
        let ended =
            ends(&mut injecting(&scan.reprocess(&["--remove"], "true"), &["clone3,vfork,clone:error=EAGAIN"]), 1);
        assert!(ended.stderr.contains("the command cannot be started"), "{}", ended.stderr);
        assert_eq!(of_stage(&scan.logged(), "removed").len(), 0);
        ends(&mut scan.reprocess(&["--remove"], "true"), 0);
    }
}

#[test]
fn fewer_threads_are_fewer_archives_at_a_time() {
    if !is_there("few threads") {
        return;
    }
    let scan = Scan::of_named(&MULTI).args(&["--jobs", "5", "--no-progress"]);
    let ended = ends(&mut injecting(&scan.command(), &["clone3:error=EAGAIN:when=4"]), 0);
    assert!(ended.stderr.contains("5 workers cannot be started") && ended.stderr.contains("2 at a time"), "{ended:?}");
}

/// Runs it where it may have so many MiB of address space.
fn within(command: &Command, mebibytes: u64) -> Command {
    let mut within = Command::new("bash");
    within.args(["-c", "ulimit -v \"$0\" || exit 99; exec \"$@\"", &(mebibytes << 10).to_string()]);
    within.arg(command.get_program()).args(command.get_args());
    common::strace::inherit(&mut within, command);
    within
}

#[test]
fn too_little_memory_is_told_as_such_and_never_as_an_archive_that_is_corrupt() {
    let scan = Scan::new().site("min_image_size = '0'").args(&["--jobs", "1", "--no-progress"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let image = folder.path().join("x.img");
    let mut bytes = common::content(3 << 20);
    bytes[..512].fill(0);
    for entry in [446, 462] {
        bytes[entry + 4] = 0x83;
        bytes[entry + 8..entry + 12].copy_from_slice(&u32::try_from(entry).expect("small").to_le_bytes());
        bytes[entry + 12] = 8;
    }
    bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    fs::write(&image, &bytes).expect("an image");
    // From a pipe, whose length nobody knows, so that the frame asks for the whole window.
    let archive = scan.archive(&"ab".repeat(16));
    let made = Command::new("sh")
        .args(["-c", "tar -C \"$0\" -c x.img | zstd -q --long=27 -o \"$1\""])
        .args([folder.path(), &archive])
        .status()
        .expect("a shell");
    assert!(made.success());
    let (mut told, mut done) = (0, 0);
    for mebibytes in [24, 32, 40, 48, 64, 80, 96, 112, 128, 136, 144, 152, 160, 176, 192, 256, 512] {
        let started = within(imgsieve().arg("-V"), mebibytes).output().expect("a shell");
        if !started.status.success() {
            // The program itself has no room.
            continue;
        }
        let _ = fs::remove_file(scan.log());
        let _ = fs::remove_dir_all(scan.staging());
        let output = within(&scan.command(), mebibytes).output().expect("a shell");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code();
        // 134 is what a process has that aborts: it has no memory left for anything.
        let has_aborted = code.is_none() && said.contains("memory allocation of");
        assert!(has_aborted || matches!(code, Some(0 | 1 | 75)), "{mebibytes} MiB: {code:?} {said}");
        assert!(!said.contains("panicked") && !said.contains("orrupt"), "{mebibytes} MiB: {said}");
        let staged = scan.staging().join("ab".repeat(16)).join("x.img");
        assert!(!staged.exists() || fs::read(&staged).expect("a file") == bytes);
        let lines = scan.logged();
        assert!(lines.iter().all(|line| line["reason"] != "corrupt"), "{lines:?}");
        told += lines.iter().filter(|line| line["stage"] == "error" && line["reason"] == "memory").count();
        done += usize::from(code == Some(0));
    }
    assert!(told > 0, "somewhere between there is too little for the window");
    assert!(done > 0);
}

#[test]
fn no_window_for_a_check_is_told_as_such() {
    // As above, of other commands.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let archive = folder.path().join("x.tar.zst");
    fs::write(folder.path().join("x.img"), common::content(1 << 20)).expect("an image");
    let made = Command::new("sh")
        .args(["-c", "tar -C \"$0\" -c x.img | zstd -q --long=27 -o \"$1\""])
        .args([folder.path(), &archive])
        .status()
        .expect("a shell");
    assert!(made.success());
    for words in [&["verify"][..], &["inspect", "--engine", "decode"]] {
        let mut command = imgsieve();
        command.args(words).arg(&archive);
        let ended = end(&mut within(&command, 128));
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, 1, "{said}");
        assert!(said.contains("not enough memory") && !said.contains("corrupt"), "{said}");
    }
}

#[cfg(feature = "oracles")]
#[test]
fn a_clock_before_1970_is_warned_of() {
    let scan = Scan::of_named(&MULTI).args(&["--no-progress"]);
    let faked = |command: &Command| {
        let mut faked = Command::new("faketime");
        faked.args(["-f", "@1960-01-01 00:00:00"]).arg(command.get_program()).args(command.get_args());
        common::strace::inherit(&mut faked, command);
        faked
    };
    let ended = ends(&mut faked(&scan.command()), 0);
    assert!(ended.stderr.contains("the clock is set before 1970"), "{}", ended.stderr);
    let lines = scan.logged();
    assert!(lines.iter().all(|line| line["ts"] == "1970-01-01T00:00:00Z"), "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line["reason"] == "clock").count(), 1);
    ends(&mut faked(&scan.reprocess(&["--remove"], "true")), 0);
    let mut report = imgsieve();
    report.args(["report", "--config"]).arg(scan.site_file());
    ends(&mut faked(&report), 0);
    ends(&mut faked(report.arg("--html").arg(scan.folder().join("page.html"))), 0);
}

#[test]
fn folders_that_cannot_be_closed_or_read_end_in_no_panic() {
    if !is_there("folders that cannot be closed") {
        return;
    }
    let scan = Scan::of_named(&MULTI).args(&["--no-progress"]);
    ends(&mut injecting(&scan.command(), &["close:error=EIO:when=5+"]), 0);
    let ended = end(&mut injecting(&scan.command(), &["getdents64:error=EIO"]));
    assert!(matches!(ended.code, 1 | 75), "{ended:?}");
    assert!(ended.stderr.contains("cannot read the collection"), "{}", ended.stderr);
    let mut verify = imgsieve();
    verify.arg("verify").arg(scan.collection());
    ends(&mut injecting(&verify, &["close:error=EIO:when=5+"]), 0);
    let mut report = imgsieve();
    report.arg("report").arg("--config").arg(scan.site_file()).arg(scan.folder());
    ends(&mut injecting(&report, &["close:error=EIO:when=5+"]), 0);
    ends(&mut injecting(&report, &["getdents64:error=EIO"]), 1);
}

#[test]
fn a_sweep_that_fails_is_warned_of() {
    if !is_there("a sweep that fails") {
        return;
    }
    let scan = Scan::of_named(&MULTI).args(&["--no-progress"]);
    let partial = scan.staging().join("hash/.imgsieve-0123456789abcdef-1.partial");
    fs::create_dir_all(partial.parent().expect("a folder")).expect("a folder");
    fs::write(&partial, "half").expect("a partial");
    // The first removes what shows that staging can be written to.
    let ended = ends(&mut injecting(&scan.command(), &["unlinkat:error=EIO:when=2"]), 0);
    assert!(ended.stderr.contains("partial files of earlier runs may be left"), "{}", ended.stderr);
    assert_eq!(of_stage(&scan.logged(), "archive_complete").len(), MULTI.len());
    assert!(partial.exists());
    ends(&mut scan.command(), 0);
    assert!(!partial.exists());
}

/// Starts a run that waits for two seconds before the first image has its name, and returns when it has begun that image.
fn waiting(scan: &Scan) -> Child {
    let mut strace = injecting(&scan.command(), &["linkat:delay_enter=2000000:when=1"]);
    let child = strace.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("strace");
    let destination = fs::read_dir(scan.collection()).expect("a folder").next().expect("one").expect("one");
    let hash = destination.file_name().into_string().expect("UTF-8").replace(".tar.zst", "");
    scan.wait_for_line("extraction_start", "hash", &hash);
    child
}

fn ended(child: Child) -> Ended {
    let output = child.wait_with_output().expect("strace");
    Ended {
        code: output.status.code().expect("no signal ends it"),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

#[test]
fn staging_that_is_removed_or_replaced_in_mid_run_is_an_error_of_the_archive() {
    if !is_there("staging that is removed") {
        return;
    }
    let away = |scan: &Scan| fs::rename(scan.staging(), scan.folder().join("away")).expect("renamed");
    let removed = |scan: &Scan| fs::remove_dir_all(scan.staging()).expect("removed");
    let replaced = |scan: &Scan| {
        away(scan);
        fs::create_dir(scan.staging()).expect("a folder");
    };
    let changes: [&dyn Fn(&Scan); 3] = [&away, &removed, &replaced];
    for change in changes {
        let scan = Scan::of_named(&MULTI[..1]).args(&["--no-progress"]);
        let child = waiting(&scan);
        change(&scan);
        let ended = ended(child);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains("was removed or replaced"), "{}", ended.stderr);
        let lines = scan.logged();
        let errors: Vec<_> =
            lines.iter().filter(|line| line["stage"] == "error" && line["scope"] == "archive").collect();
        assert_eq!(errors.len(), 1, "{lines:?}");
        assert_eq!(errors[0]["reason"], "staging_io");
        assert!(of_stage(&lines, "archive_complete").is_empty());
        assert_eq!(scan.run_with(&["--resume"]).code, 0);
        let kept = of_stage(&scan.logged(), "partition_check").last().expect("one")["path"].clone();
        assert!(Path::new(kept.as_str().expect("a path")).is_file(), "it is staged again");
    }
}

#[test]
fn a_folder_of_the_collection_that_is_gone_once_it_was_listed_is_told_and_the_rest_is_surveyed() {
    if !is_there("a folder that is gone") {
        return;
    }
    let scan = Scan::of_named(&MULTI[..1]);
    let gone = scan.collection().join("gone");
    fs::create_dir(&gone).expect("a folder");
    let mut command = scan.command();
    command.arg("--recursive");
    // Only of calls with this path.
    let strace = injecting(&command, &["statx:error=ENOENT"]);
    let mut of_path = Command::new("strace");
    of_path.arg("-P").arg(&gone).args(strace.get_args());
    inherit(&mut of_path, &strace);
    let ended = ends(&mut of_path, 1);
    let told = format!("imgsieve: error: {}: the folder cannot be read: No such file", gone.display());
    assert!(ended.stderr.contains(&told), "{}", ended.stderr);
    assert_eq!(of_stage(&scan.logged(), "archive_complete").len(), 1);
}

#[test]
fn a_log_that_is_removed_or_replaced_in_mid_run_is_an_error_and_one_that_is_rotated_is_not() {
    if !is_there("a log that is removed") {
        return;
    }
    let removed = |scan: &Scan| fs::remove_file(scan.log()).expect("removed");
    let replaced = |scan: &Scan| {
        let other = scan.folder().join("other");
        fs::write(&other, "").and_then(|()| fs::rename(other, scan.log())).expect("renamed");
    };
    let rotated = |scan: &Scan| fs::rename(scan.log(), scan.folder().join("log.jsonl.1")).expect("renamed");
    let changes: [&dyn Fn(&Scan); 3] = [&removed, &replaced, &rotated];
    for (change, code) in changes.into_iter().zip([1, 1, 0]) {
        let scan = Scan::of_named(&MULTI[..1]).args(&["--no-progress"]);
        let child = waiting(&scan);
        change(&scan);
        let ended = ended(child);
        assert_eq!(ended.code, code, "{ended:?}");
        assert_eq!(ended.stderr.contains("it was removed or replaced"), code == 1, "{}", ended.stderr);
    }
}

#[test]
fn no_image_is_removed_whose_success_went_to_a_log_that_is_gone() {
    let scan = Scan::of_named(&MULTI[..1]);
    assert_eq!(scan.run().code, 0);
    let log = scan.log();
    let ended = end(&mut scan.reprocess(&["--remove"], &format!("rm '{}'", log.display())));
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("it was removed or replaced"), "{}", ended.stderr);
    let left = fs::read_dir(scan.staging()).expect("a folder").count();
    assert_eq!(left, 1);
}

/// `report --html` with an old page there.
fn page(scan: &Scan) -> (std::path::PathBuf, Command) {
    let folder = scan.folder().join("pages");
    fs::create_dir_all(&folder).expect("a folder");
    let page = folder.join("page.html");
    fs::write(&page, "<!DOCTYPE html>old").expect("a page");
    let mut command = imgsieve();
    command.args(["report", "--config"]).arg(scan.site_file()).arg("--html").arg(&page);
    (page, command)
}

#[test]
fn what_a_killed_report_left_is_removed_by_the_next() {
    if !is_there("a report that is killed") {
        return;
    }
    let scan = Scan::of_named(&MULTI);
    assert_eq!(scan.run().code, 0);
    let (page, command) = page(&scan);
    let names = || fs::read_dir(page.parent().expect("a folder")).expect("a folder").count();
    // Only the last has a name for what it wrote, where the file system has files without one.
    for (call, left) in [("fsync", 0..2), ("fchmod", 0..2), ("rename", 1..2)] {
        let killed = injecting(&command, &[&*format!("{call}:signal=SIGKILL:when=1")]).output().expect("strace");
        assert!(!killed.status.success());
        assert_eq!(fs::read_to_string(&page).expect("a page"), "<!DOCTYPE html>old");
        assert!(left.contains(&(names() - 1)), "{call}: what the killed runs before left is gone");
    }
    assert_eq!(end(&mut imgsieve_like(&command)).code, 0);
    assert_eq!(names(), 1);
}

fn imgsieve_like(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args());
    common::strace::inherit(&mut again, command);
    again
}

#[test]
fn a_page_whose_permissions_cannot_be_set_is_written_all_the_same() {
    if !is_there("a refused chmod") {
        return;
    }
    let scan = Scan::of_named(&MULTI);
    assert_eq!(scan.run().code, 0);
    let (page, command) = page(&scan);
    ends(&mut injecting(&command, &["fchmod:error=EPERM"]), 0);
    assert!(fs::read_to_string(&page).expect("a page").ends_with("</html>\n"));
}

#[test]
fn a_page_that_may_not_grow_so_long_is_an_error() {
    let scan = Scan::of_named(&MULTI);
    assert_eq!(scan.run().code, 0);
    let (page, command) = page(&scan);
    let mut limited = Command::new("bash");
    limited.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    common::strace::inherit(&mut limited, &command);
    let ended = ends(&mut limited, 1);
    assert!(ended.stderr.contains("File too large"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&page).expect("a page"), "<!DOCTYPE html>old");
    assert_eq!(fs::read_dir(page.parent().expect("a folder")).expect("a folder").count(), 1);
}

#[test]
fn what_is_said_of_a_page_that_could_not_be_synced_is_true() {
    if !is_there("a page that is not synced") {
        return;
    }
    let scan = Scan::of_named(&MULTI);
    assert_eq!(scan.run().code, 0);
    let (path, command) = page(&scan);
    let ended = ends(&mut injecting(&command, &["fsync:error=EIO:when=2"]), 1);
    assert!(!ended.stderr.contains("unchanged") && ended.stderr.contains("complete"), "{}", ended.stderr);
    assert!(fs::read_to_string(&path).expect("a page").ends_with("</html>\n"));
    let (path, command) = page(&scan);
    let ended = ends(&mut injecting(&command, &["fsync:error=EIO:when=1"]), 1);
    assert!(ended.stderr.contains("the existing file is unchanged"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(&path).expect("a page"), "<!DOCTYPE html>old");
    // File systems that cannot sync a folder say so.
    let (_, command) = page(&scan);
    ends(&mut injecting(&command, &["fsync:error=EINVAL:when=2"]), 0);
}
