//! The log of a run, opened as the site and the command line have it.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::{failure, log_cause, usage_text, warn};
use crate::config::{LogTarget, Site};
use crate::exit::Exit;
use crate::log::{self, Journal};
use crate::run::Control;
use crate::scan::plan;
use crate::shard::Shard;

/// What logrotate adds to the name of a log.
const ROTATED: [&str; 3] = ["1", "1.gz", "1.zst"];

/// What is done where the log cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing is done without it.
    Required,
    /// That is warned of: what is done changes nothing.
    Wanted,
}

/// The log of the site; none where there is to be none, or where it cannot be opened and is not [`Need::Required`]. The
/// exit code of the failure, which has been told.
pub(super) fn open(
    site: &Site,
    need: Need,
    prints_json: bool,
    control: &Control,
    run: String,
) -> Result<Option<Journal>, Exit> {
    let opened = match site.log_target() {
        LogTarget::Nowhere => return Ok(None),
        LogTarget::Stdout if prints_json => {
            return Err(usage_text("--log - and --json cannot both have standard output"));
        }
        LogTarget::Stdout => Journal::stdout(run),
        LogTarget::File(path) => Journal::open(path, run),
    };
    match opened {
        Ok(journal) => Ok(Some(journal.follow_when(control.log_asked()))),
        // A file that is not a log was named by mistake; that is no fault of the disk, and is refused.
        Err(error) if need == Need::Wanted && !error.is_foreign() => {
            warn(&format!("{}; this run is not logged", log_cause(&error).message));
            Ok(None)
        }
        Err(error) => Err(failure(&log_cause(&error))),
    }
}

/// Where the log is to be in a folder, makes it the file there that a command of this name appends to, for its shard, and
/// gives the folder, the other logs in which are read.
pub(super) fn into_folder(site: &mut Site, command: &str, shard: Option<Shard>) -> Option<PathBuf> {
    let LogTarget::File(path) = site.log_target() else { return None };
    let is_named_as_folder = path.as_os_str().as_bytes().ends_with(b"/");
    // So a slip of the hand puts none among archives.
    let holds_archives = || plan::has_archives(path);
    if !(is_named_as_folder && !holds_archives() || log::is_folder_of_logs(path)) {
        return None;
    }
    let folder = path.to_owned();
    let shard = shard.map_or(String::new(), |shard| format!("-{}", shard.file_name()));
    site.log = folder.join(format!("{command}{shard}.jsonl"));
    Some(folder)
}

/// Refuses a log that is not a file, for commands that read what earlier runs logged, and warns of an earlier part of it where
/// `more` logs are not read. The error was printed; this is its exit code.
pub(super) fn need_file(log: &Path, more: &[PathBuf], what: &str) -> Result<(), Exit> {
    if matches!(LogTarget::of(log), LogTarget::File(_)) {
        let parts = ROTATED.map(|suffix| log.with_added_extension(suffix));
        if let Some(part) = parts.iter().find(|part| more.is_empty() && part.is_file()) {
            let (log, part) = (log.display(), part.display());
            warn(&format!("{part} is not read; --log {log} --log {part} reads both"));
        }
        return Ok(());
    }
    let log = log.display();
    Err(usage_text(&format!(
        "{what} needs the log of earlier runs, and none is kept where the log is set to {log}: name a file with --log"
    )))
}
