//! The log of a run, opened as the site and the command line have it.

use std::path::Path;

use super::{failure, log_cause, usage_text, warn};
use crate::config::{LogTarget, Site};
use crate::exit::Exit;
use crate::log::{self, Journal};
use crate::run::Control;

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
pub(super) fn open(site: &Site, need: Need, prints_json: bool, control: &Control) -> Result<Option<Journal>, Exit> {
    let run = log::new_run_id();
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

/// Refuses a log that is not a file, for commands that read what earlier runs logged. The error was printed; this is its exit
/// code.
pub(super) fn need_file(log: &Path, what: &str) -> Result<(), Exit> {
    if matches!(LogTarget::of(log), LogTarget::File(_)) {
        return Ok(());
    }
    let log = log.display();
    Err(usage_text(&format!(
        "{what} needs the log of earlier runs, and none is kept where the log is set to {log}: name a file with --log"
    )))
}
