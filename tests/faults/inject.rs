//! Faults, as strace puts them into system calls: which calls there are, and what each may fail with.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::common::strace::inherit;

use super::invariants::{Ended, end};
use super::place::{Mode, Place};

/// A run that hangs is killed after so many seconds.
const PATIENCE: &str = "60";

/// One fault: at the `number`-th call of this name that a thread makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    pub mode: Mode,
    pub call: String,
    /// An errno, or `SIGKILL`.
    pub what: &'static str,
    pub number: usize,
}

/// What a call may fail with.
fn errors(call: &str) -> &'static [&'static str] {
    match call {
        "write" | "pwrite64" | "writev" | "ftruncate" | "fallocate" => &["ENOSPC", "EIO", "EINTR", "EDQUOT"],
        "openat" => &["ENOSPC", "EIO", "EACCES", "EMFILE", "EINTR"],
        "mkdir" | "mkdirat" => &["ENOSPC", "EIO", "EACCES"],
        "link" | "linkat" | "rename" | "renameat" | "renameat2" => &["ENOSPC", "EIO", "EPERM"],
        "fsync" | "fdatasync" => &["EIO", "ENOSPC", "EINTR"],
        "read" | "pread64" | "close" => &["EIO", "EINTR"],
        "flock" => &["ENOLCK", "EINTR"],
        "fchmod" | "fchown" => &["EPERM"],
        "clone3" | "clone" | "vfork" => &["EAGAIN", "ENOMEM"],
        // Removing and looking at things.
        _ => &["EIO", "EACCES"],
    }
}

/// Every fault of a mode: its calls are found in a run without faults, which touch anything in the place.
pub fn all(place: &Place, mode: Mode) -> BTreeSet<Fault> {
    place.reset(mode);
    let trace = place.folder.join("trace");
    let command = place.command(mode);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-y", "-s", "0", "-o"]).arg(&trace).arg("--").arg(command.get_program());
    inherit(strace.current_dir("/"), &command);
    let ended = end(strace.args(command.get_args()));
    assert_eq!(ended.status.code(), Some(0), "{}: {}", mode.name(), ended.stderr);
    let text = String::from_utf8_lossy(&fs::read(&trace).expect("a trace")).into_owned();
    let folder = format!("{}/", place.folder.display());
    let mut counts: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut faults = BTreeSet::new();
    // Numbers at which the loader would fail, or the site file not be found, and no run begin.
    let mut of_loader: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut first, mut is_loading) = ("", true);
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        let name = rest.split('(').next().unwrap_or_default();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let count = counts.entry((thread, name)).or_default();
        *count += 1;
        if first.is_empty() {
            first = thread;
        }
        let touches = rest.contains(&folder) && !rest.starts_with("execve");
        is_loading &= !touches || rest.contains("site.toml");
        if is_loading && thread == first {
            of_loader.insert(name, *count);
        }
        if *count <= of_loader.get(name).copied().unwrap_or(0) {
            continue;
        }
        if touches && !rest.contains("site.toml") || name.starts_with("clone") || name == "vfork" {
            for &what in errors(name).iter().chain(&["SIGKILL"]) {
                faults.insert(Fault { mode, call: name.to_owned(), what, number: *count });
            }
        }
    }
    assert!(faults.len() > 20, "{}: hardly a call", mode.name());
    faults
}

/// Runs the mode with the fault; whether it was reached.
pub fn run(place: &Place, fault: &Fault) -> (Ended, bool) {
    let trace = place.folder.join("trace");
    let command = place.command(fault.mode);
    let kind = if fault.what.starts_with("SIG") { "signal" } else { "error" };
    let mut strace = Command::new("timeout");
    strace.args([PATIENCE, "strace", "-f", "-qq", "-o"]).arg(&trace);
    if kind == "error" {
        // Only these calls stop then; a signal is not delivered at such a stop.
        strace.arg("--seccomp-bpf");
    }
    strace.args(["-e", &format!("trace={}", fault.call)]);
    strace.args(["-e", &format!("inject={}:{kind}={}:when={}", fault.call, fault.what, fault.number)]);
    strace.arg("--").arg(command.get_program());
    inherit(strace.current_dir("/"), &command);
    let ended = end(strace.args(command.get_args()));
    let is_reached = ended.is_killed() || is_injected(&trace);
    (ended, is_reached)
}

fn is_injected(trace: &Path) -> bool {
    fs::read(trace).is_ok_and(|text| String::from_utf8_lossy(&text).contains("(INJECTED)"))
}
