//! Tells the program which commit it is built of, as `IMGSIEVE_COMMIT`.
//!
//! A packaged crate says it in a file, a clone is asked with git. Where neither answers, it is "unknown": that is no
//! reason not to build.

use std::path::Path;
use std::process::Command;

/// What the program is made of: a change in it is one from the commit.
const SOURCES: [&str; 6] = ["src", "askama.toml", "CHANGELOG.md", "Cargo.lock", "Cargo.toml", "build.rs"];
/// Where `cargo package` says which commit it packaged.
const PACKAGED: &str = ".cargo_vcs_info.json";
/// Digits of a commit that are told.
const DIGITS: usize = 12;

fn main() {
    for source in SOURCES {
        watch(source);
    }
    let commit = packaged().or_else(cloned).unwrap_or_else(|| "unknown".to_owned());
    println!("cargo::rustc-env=IMGSIEVE_COMMIT={commit}");
}

/// Has cargo ask again when `path` changes. Of what is not there, it would do so at every build.
fn watch(path: &str) {
    if Path::new(path).exists() {
        println!("cargo::rerun-if-changed={path}");
    }
}

fn packaged() -> Option<String> {
    let info = std::fs::read_to_string(PACKAGED).ok()?;
    watch(PACKAGED);
    let mut words = info.split('"').skip_while(|word| *word != "sha1");
    described(words.nth(2)?, info.contains("\"dirty\": true"))
}

fn cloned() -> Option<String> {
    // Without it, git would answer for a repository that this folder merely lies in.
    if !Path::new(".git").exists() {
        return None;
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    // The reflog grows whenever HEAD moves. Without one, all that can move it is watched.
    let reflog = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    let moves = if Path::new(&reflog).exists() { vec![reflog] } else { moves_without_reflog()? };
    for path in &moves {
        watch(path);
    }
    // Without the lock, so that a build does not disturb a git command that runs beside it.
    let changes = git(&[&["--no-optional-locks", "status", "--porcelain", "--"][..], &SOURCES].concat())?;
    described(&commit, !changes.is_empty())
}

fn moves_without_reflog() -> Option<Vec<String>> {
    ["HEAD", "refs", "packed-refs"].into_iter().map(|path| git(&["rev-parse", "--git-path", path])).collect()
}

/// What a git command prints, if it succeeds.
fn git(args: &[&str]) -> Option<String> {
    // A hook that builds has these set, for a repository that may be another.
    let output = Command::new("git").env_remove("GIT_DIR").env_remove("GIT_WORK_TREE").args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn described(commit: &str, has_changes: bool) -> Option<String> {
    let digits = commit.get(..DIGITS)?;
    let is_commit = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_commit.then(|| format!("{digits}{}", if has_changes { ", with changes" } else { "" }))
}
