//! What holds whatever happened to a run: one list for all modes and all faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};

use std::os::unix::process::ExitStatusExt;

use serde_json::Value;

use super::place::{Mode, OLD_PAGE, Place, files};

/// Fields that two runs which come to the same end may differ in.
const VOLATILE: [&str; 20] = [
    "ts",
    "run",
    "decoded_bytes",
    "passed_over_bytes",
    "sized_bytes",
    "jumped_bytes",
    "traced_bytes",
    "fallbacks",
    "requested_bytes",
    "decoded_frames",
    "checksummed_frames",
    "rewinds",
    "verified",
    "bytes_written",
    "removed_files",
    "archives_resumed",
    "warnings",
    "disk_free_pct",
    "available_bytes",
    "staged_bytes",
];
/// Words that say that an archive is bad. None of these is.
const VERDICTS_ON_ARCHIVES: [&str; 12] = [
    "corrupt",
    "checksum",
    "truncated",
    "not_zstd",
    "empty",
    "trailing_garbage",
    "reference",
    "not_tar",
    "tar_truncated",
    "tar_header_checksum",
    "tar_number",
    "end_of_data",
];
/// `EX_TEMPFAIL`.
const TRY_AGAIN: i32 = 75;

/// What is known from runs without faults.
pub struct Truth {
    totals: Value,
    verdicts: BTreeMap<String, Value>,
    /// The page's pieces.
    page: Vec<String>,
}

/// How a run ended.
pub struct Ended {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Whether it was killed, rather than that it ended.
    pub fn is_killed(&self) -> bool {
        self.status.signal() == Some(9) || self.status.code() == Some(128 + 9)
    }
}

/// What else may be, given what was done to a run.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// So many lines of the log were torn by kills: the kernel gives up a write between two pages.
    pub torn: usize,
    /// It may have ended with this code, a signal's.
    pub code: Option<i32>,
    /// It could not remove what it had written, or not see whether that is its own.
    pub leftover: bool,
    /// What it had to say may have failed, too.
    pub silence: bool,
    /// It may have aborted: no memory was left for anything.
    pub abort: bool,
}

/// Runs a command to its end.
pub fn end(command: &mut Command) -> Ended {
    let output = command.stdin(Stdio::null()).output().expect("a program that starts");
    Ended {
        status: output.status,
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

impl Truth {
    /// Of the collection in `place`.
    pub fn of(place: &Place) -> Truth {
        place.reset(Mode::Html);
        let (lines, _) = lines(place);
        let ended = end(&mut place.command(Mode::Html));
        assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
        let truth = Truth { totals: totals(&lines), verdicts: verdicts(&lines), page: page(place) };
        assert_eq!(staged(place), place.images.keys().cloned().collect());
        assert!(truth.page.last().is_some_and(|end| end == "/html>\n") && truth.page.len() > 500);
        truth
    }
}

impl Truth {
    /// Whether these are the pieces of a whole page. What cannot be looked at in staging is told in other words.
    fn is_page(&self, pieces: &[String]) -> bool {
        let known: BTreeSet<&String> = pieces.iter().collect();
        let same = self.page.iter().filter(|piece| known.contains(piece)).count();
        pieces.first() == self.page.first() && pieces.last() == self.page.last() && 10 * same > 9 * self.page.len()
    }
}

/// Checks what a run left that a fault was injected into, then that a clean run comes to the end that it would have had.
/// `is_resumed` is whether that run is told to resume.
pub fn check(
    place: &Place,
    truth: &Truth,
    mode: Mode,
    ended: &Ended,
    allowed: Allowed,
    is_resumed: bool,
) -> Vec<String> {
    let mut broken = Vec::new();
    hold(place, truth, mode, Some(ended), allowed, &mut broken);
    if broken.is_empty() {
        finish(place, truth, mode, is_resumed, Allowed::default(), &mut broken);
    }
    broken
}

/// The list.
pub fn hold(
    place: &Place,
    truth: &Truth,
    mode: Mode,
    ended: Option<&Ended>,
    allowed: Allowed,
    broken: &mut Vec<String>,
) {
    let mut must = |holds: bool, what: &str| {
        if !holds {
            broken.push(what.to_owned());
        }
    };
    for (name, bytes) in &place.archives {
        must(fs::read(place.folder.join("collection").join(name)).is_ok_and(|now| now == *bytes), "archive changed");
    }
    must(files(&place.folder.join("collection")).len() == place.archives.len(), "a file in the collection");

    let (lines, torn) = lines(place);
    must(torn <= usize::from(mode == Mode::Resume) + allowed.torn, "a line of the log is not JSON");
    let succeeded: BTreeSet<&str> = lines
        .iter()
        .filter(|line| line["stage"] == "reprocess_complete" && line["exit_status"] == 0)
        .filter_map(|line| line["path"].as_str())
        .collect();
    let is_killed = ended.is_none_or(Ended::is_killed);
    let staging = files(&place.staging());
    for (name, path) in &staging {
        let is_output = mode == Mode::Reprocess && name.ends_with(".reprocess.log");
        let is_ours = is_partial(name) || is_output;
        let is_whole = place.images.get(name).is_some_and(|image| fs::read(path).is_ok_and(|now| now == *image));
        must(is_ours || is_whole, &format!("{name} in staging is no whole image"));
    }
    let before = files(&place.folder.join("states").join(mode.name()).join("staging"));
    let kept = lines.iter().filter(|line| line["action"] == "KEPT").filter_map(|line| line["path"].as_str());
    let kept: BTreeSet<String> = kept.map(str::to_owned).collect();
    let there = before.keys().filter(|name| !is_partial(name)).map(|name| place.staging().join(name));
    for path in there.map(|path| path.to_str().expect("UTF-8").to_owned()).chain(kept) {
        let is_there = staging.values().any(|there| there.to_str() == Some(&path));
        must(is_there || succeeded.contains(&*path), &format!("{path} is gone, and no success is in the log"));
    }
    for line in &lines {
        let reason = line["reason"].as_str().unwrap_or_default();
        must(!VERDICTS_ON_ARCHIVES.contains(&reason), &format!("a fault is taken for a bad archive: {line}"));
        if line["stage"] == "partition_check" && line["action"] != "error" {
            let expected = truth.verdicts.get(&key(line));
            must(expected.is_some_and(|expected| expected["partitions"] == line["partitions"]), "a wrong verdict");
        }
        must(reason != "panic", &format!("a panic: {line}"));
    }

    let pages = files(&place.folder.join("page"));
    let is_old = || fs::read_to_string(place.page()).is_ok_and(|page| page == OLD_PAGE);
    let had_page = mode == Mode::Html || mode == Mode::Reprocess;
    match pages.get("page.html") {
        Some(_) => must(is_old() || truth.is_page(&page(place)), "half a page"),
        None => must(!had_page, "the page is gone"),
    }
    let out = files(&place.folder.join("out"));
    let extracted = &place.images[&format!("{0}/{0}.img", super::place::EXTRACTED.repeat(16))];
    if let Some(path) = out.get("out.img") {
        must(fs::read(path).is_ok_and(|now| now == *extracted), "half an image was extracted");
    }

    let Some(ended) = ended.filter(|_| !is_killed) else { return };
    let partials = |folders: &BTreeMap<String, PathBuf>| -> BTreeSet<String> {
        folders.keys().filter(|name| name.ends_with(".partial")).cloned().collect()
    };
    let code = ended.status.code();
    let has_aborted = allowed.abort && code.is_none() && ended.stderr.contains("memory allocation of");
    if has_aborted {
        return;
    }
    let old = partials(&before);
    let is_left = [&staging, &pages, &out].iter().any(|folder| !partials(folder).is_subset(&old));
    must(allowed.leftover || !is_left, "a partial is left");
    let is_sensible = matches!(code, Some(0 | 1 | TRY_AGAIN)) || code.is_some() && code == allowed.code;
    must(is_sensible, &format!("exit {code:?}: {}", ended.stderr));
    let said = format!("{}{}", ended.stdout, ended.stderr);
    must(!said.contains("panicked") && !said.contains("a bug in imgsieve"), &format!("a panic: {said}"));
    must(
        code == Some(0) || allowed.silence || !ended.stderr.trim().is_empty(),
        &format!("{code:?} without a word: {said}"),
    );
    if code == Some(0) {
        let is_at_end = match mode {
            Mode::Scan | Mode::Resume => staged(place).len() == place.images.len() && totals(&lines) == truth.totals,
            Mode::Reprocess => staged(place).is_empty(),
            Mode::Html => !is_old(),
            Mode::Extract => out.contains_key("out.img"),
            Mode::Verify => true,
        };
        must(is_at_end, &format!("exit 0, but it did not do all: {} {} {said}", totals(&lines), truth.totals));
    }
}

/// A run without faults.
pub fn finish(place: &Place, truth: &Truth, mode: Mode, is_resumed: bool, allowed: Allowed, broken: &mut Vec<String>) {
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(format!("after a clean run: {what}"));
        }
    };
    let is_scan = matches!(mode, Mode::Scan | Mode::Resume);
    let mut command = match mode {
        Mode::Scan | Mode::Resume if is_resumed && place.log().exists() => place.scan(&["--resume"]),
        Mode::Scan | Mode::Resume => place.scan(&[]),
        mode => place.command(mode),
    };
    let has_been_extracted = place.folder.join("out/out.img").exists();
    let ended = end(&mut command);
    // What is there is not replaced.
    let expected = i32::from(mode == Mode::Extract && has_been_extracted);
    must(ended.status.code() == Some(expected), format!("{:?}: {}", ended.status, ended.stderr));
    if is_scan {
        let (lines, _) = lines(place);
        must(staged(place) == place.images.keys().cloned().collect(), format!("{:?} staged", staged(place)));
        must(totals(&lines) == truth.totals, format!("{} instead of {}", totals(&lines), truth.totals));
        let verdicts = verdicts(&lines);
        must(verdicts == truth.verdicts, format!("{verdicts:?}"));
    }
    if mode == Mode::Reprocess {
        must(staged(place).is_empty(), format!("{:?} staged", staged(place)));
    }
    let left = [place.staging(), place.folder.join("page"), place.folder.join("out")].map(|folder| files(&folder));
    let left: Vec<&String> = left.iter().flat_map(BTreeMap::keys).filter(|name| name.contains(".partial")).collect();
    must(left.is_empty(), format!("left behind: {left:?}"));
    let mut again = Vec::new();
    hold(place, truth, mode, Some(&ended), allowed, &mut again);
    if mode != Mode::Extract || !has_been_extracted {
        for what in again {
            must(false, what);
        }
    }
}

/// The names of images in staging, by their paths there.
fn staged(place: &Place) -> BTreeSet<String> {
    let files = files(&place.staging());
    files.into_keys().filter(|name| !is_partial(name) && !name.ends_with(".reprocess.log")).collect()
}

fn is_partial(name: &str) -> bool {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.starts_with(".imgsieve-") && name.ends_with(".partial")
}

/// The lines of the log that can be read, and how many others it has.
fn lines(place: &Place) -> (Vec<Value>, usize) {
    let text = fs::read(place.log()).unwrap_or_default();
    let lines: Vec<Option<Value>> = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).ok())
        .collect();
    let torn = lines.iter().filter(|line| line.is_none()).count();
    (lines.into_iter().flatten().collect(), torn)
}

/// What the last run that came to its end says of itself.
fn totals(lines: &[Value]) -> Value {
    let mut last = lines.iter().rfind(|line| line["stage"] == "script_complete").cloned().unwrap_or_default();
    if let Some(fields) = last.as_object_mut() {
        fields.retain(|key, _| !VOLATILE.contains(&key.as_str()) && !key.ends_with("seconds"));
    }
    last
}

fn key(line: &Value) -> String {
    format!("{} {} {}", line["hash"], line["img"], line["ordinal"])
}

/// The verdicts of the last run, those too that it took over.
fn verdicts(lines: &[Value]) -> BTreeMap<String, Value> {
    let Some(last) = lines.iter().rfind(|line| line["stage"] == "script_start") else { return BTreeMap::new() };
    let resumed: BTreeSet<(String, String)> = lines
        .iter()
        .filter(|line| line["run"] == last["run"] && line["stage"] == "archive_resumed")
        .map(|line| (line["by_run"].to_string(), line["hash"].to_string()))
        .collect();
    let counts = |line: &&Value| {
        let is_taken_over = resumed.contains(&(line["run"].to_string(), line["hash"].to_string()));
        line["stage"] == "partition_check" && (line["run"] == last["run"] || is_taken_over)
    };
    let verdict = |line: &Value| serde_json::json!({"partitions": line["partitions"], "action": line["action"], "reason": line["reason"]});
    lines.iter().filter(counts).map(|line| (key(line), verdict(line))).collect()
}

/// The pieces of the page, without what differs from one minute to the next: numbers, and their order by what images take
/// on the disk.
fn page(place: &Place) -> Vec<String> {
    let text = fs::read_to_string(place.page()).unwrap_or_default();
    let mut pieces: Vec<String> =
        text.split('<').map(|piece| piece.replace(|c: char| c.is_ascii_digit(), "")).collect();
    // It ends where it should.
    let end = pieces.pop().unwrap_or_default();
    pieces.sort();
    pieces.push(end);
    pieces
}
