//! `imgsieve report`: what runs found and what remains to do, as their log tells it and as the file system has it now.

mod csv;
pub mod html;
mod json;
mod left_out;
mod loops;
mod options;
mod paths;
mod remaining;
mod state;
mod text;
mod to_reprocess;
mod unchecked;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::account::{self, Account, ArchiveAccount, ArchiveEnd, Run, RunEnd, Selection, Shards};
use crate::cause::Cause;
use crate::log::Logs;
use crate::log::record::PartitionCheck;
use crate::reason::Reason;
use crate::sanitize::printable;
use crate::units::counted;

pub use remaining::{Context, Remaining};
pub use state::ImageState;
pub use to_reprocess::ToReprocess;
pub use unchecked::Unchecked;

/// What is reported of.
#[derive(Debug)]
pub struct Report {
    /// The newest of the logs that it comes from.
    pub log: PathBuf,
    /// How many there are.
    pub logs: usize,
    /// What was named to be read, if that is more than one log: files, and folders of logs.
    pub named: Vec<PathBuf>,
    /// What the log tells.
    pub account: Account,
    /// Where each image of each archive of the account stands.
    pub states: Vec<Vec<ImageState>>,
}

impl Report {
    /// Reads the logs, and looks at what is in staging. Fails where they cannot be read, or have no run of those that were
    /// selected.
    pub fn read(logs: &Logs, selection: &Selection) -> Result<Report, Cause> {
        let failed = |error: crate::log::Error| Cause::of(Reason::Log, &error);
        let Some(account) = Account::read(logs, selection).map_err(failed)? else {
            let runs = account::runs(logs).map_err(failed)?;
            return Err(Cause::new(Reason::Run, no_run(logs.newest().0, selection, &runs)));
        };
        let (log, count) = logs.newest();
        let named = if count > 1 { logs.named().to_vec() } else { Vec::new() };
        Ok(Report { logs: count, named, ..Report::of(account, log) })
    }

    /// The report of a run that has just ended, and was logged at `log`.
    #[must_use]
    pub fn of(mut account: Account, log: &Path) -> Report {
        account.recall();
        let of_archive = |archive: &ArchiveAccount| {
            archive.images.iter().map(|image| ImageState::of(image, &account.staged)).collect()
        };
        let states = account.archives.iter().map(of_archive).collect();
        Report { log: log.to_owned(), logs: 1, named: Vec::new(), account, states }
    }

    /// The shards that the last runs are of.
    pub fn shards(&self) -> impl Iterator<Item = &Shards> {
        self.account.runs.iter().filter_map(|run| run.shards.as_ref())
    }

    /// What there is to say of how the log read, a sentence each.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        let Account { reading, archives_more, images_more, lines_more, staged, .. } = &self.account;
        let mut notes = [&reading.notes[..], &reading.copies].concat();
        if *lines_more > 0 {
            notes.push(format!(
                "{}: too many runs to list: {lines_more} lines are left out; name a run with --run",
                self.log.display()
            ));
        }
        if *archives_more + *images_more > 0 {
            notes.push(format!(
                "too many to list: {archives_more} archives and {images_more} images are only in the totals"
            ));
        }
        let is_torn = |archive: &&ArchiveAccount| match &archive.end {
            ArchiveEnd::Complete { totals, .. } => totals.images > archive.images.len() as u64,
            _ => false,
        };
        let torn: Vec<&ArchiveAccount> = self.account.archives.iter().filter(is_torn).collect();
        if let Some(first) = torn.first().filter(|_| *images_more == 0) {
            notes.push(format!(
                "{}: lines about images of {} are missing from the log, and so from this report; the first is {}",
                self.log.display(),
                counted(torn.len() as u64, "archive"),
                printable(first.hash.bytes())
            ));
        }
        let elsewhere = self.account.runs.iter().filter(|run| run.is_last).map(|run| run.resumed).sum::<u64>();
        let found = self.account.archives.iter().filter(|archive| !self.account.runs[archive.run].is_last).count();
        let elsewhere = elsewhere.saturating_sub(found as u64 + archives_more);
        if self.account.runs.iter().any(|run| run.is_last) {
            notes.extend(elsewhere_note(elsewhere));
        }
        if self.account.other_runs > 0 {
            let runs = counted(self.account.other_runs, "older run");
            notes.push(format!("{runs} of another division into shards left out: see --run"));
        }
        for doubt in self.shards().flat_map(Shards::doubts) {
            notes.push(format!("the shards {doubt}"));
        }
        if staged.more() > 0 {
            notes.push(format!("{} more staged images are not listed: there are too many", staged.more()));
        }
        notes
    }

    /// The images of the account, with their archives and where they stand.
    pub fn images(&self) -> impl Iterator<Item = (&ArchiveAccount, &PartitionCheck, &ImageState)> {
        self.account.archives.iter().zip(&self.states).flat_map(|(archive, states)| {
            archive.images.iter().zip(states).map(move |(image, state)| (archive, image, state))
        })
    }

    /// Images by where they stand, and their bytes; words of no image are left out.
    #[must_use]
    pub fn by_state(&self) -> BTreeMap<&'static str, (u64, u64)> {
        let mut by_state = BTreeMap::new();
        for (_, image, state) in self.images() {
            let (count, bytes): &mut (u64, u64) = by_state.entry(state.as_str()).or_default();
            *count += 1;
            *bytes = bytes.saturating_add(image.size());
        }
        by_state
    }

    /// Archives that the last run of each log never came to.
    #[must_use]
    pub fn all_never_begun(&self) -> u64 {
        self.covering_runs().map(Run::never_begun).sum()
    }
}

/// What there is to say of so many archives that earlier runs completed whose logs were not read.
fn elsewhere_note(archives: u64) -> Option<String> {
    let what = match archives {
        0 => return None,
        1 => "1 archive was completed by a run that is in another log; name that".to_owned(),
        _ => format!("{archives} archives were completed by runs that are in other logs; name those"),
    };
    Some(format!("{what}, too, to have everything"))
}

/// Whether an image has enough partitions to be kept, or was kept all the same.
fn is_multi(image: &PartitionCheck, run: &Run) -> bool {
    match image.action.as_str() {
        "KEPT" | "would_keep" | "deferred" => true,
        "error" => image.partitions.is_some_and(|count| count >= u64::from(run.min_partitions())),
        _ => false,
    }
}

/// Whether a run never came to its first archive: a precondition did not hold.
fn is_refused(run: &Run) -> bool {
    run.end.is_none() && run.start.total_archives == 0 && run.sums.archives == 0 && !run.problems.is_empty()
}

/// How a run ended: a word, and what more there is to say.
fn end_of(run: &Run) -> (Option<&'static str>, Option<&str>) {
    match &run.end {
        None if is_refused(run) => (Some("refused"), run.problems.first().map(|problem| problem.message.as_str())),
        end => word_of(end.as_ref()),
    }
}

/// The same of an end that is logged.
fn word_of(end: Option<&RunEnd>) -> (Option<&'static str>, Option<&str>) {
    match end {
        Some(RunEnd::Complete(_)) => (Some("complete"), None),
        Some(RunEnd::Interrupted(signal)) => (Some("interrupted"), Some(signal)),
        Some(RunEnd::Aborted(message)) => (Some("aborted"), Some(message)),
        None => (None, None),
    }
}

/// Seconds from the first line of a run to its last.
fn duration(run: &Run) -> Option<f64> {
    // The log has its times in whole seconds.
    let logged = match &run.end {
        Some(RunEnd::Complete(complete)) => complete.wall_seconds,
        _ => None,
    };
    logged.or_else(|| Some(run.heard?.duration_since(run.began?).ok()?.as_secs_f64()))
}

fn no_run(log: &Path, selection: &Selection, runs: &account::Runs) -> String {
    let log = log.display();
    if runs.last.is_empty() {
        return match selection {
            Selection::All => format!("the log {log} is empty: it has no runs"),
            _ => format!(
                "no run in the log {log} ever began; if it was rotated, give the older part as well; --run all shows what \
                 else there is, if anything"
            ),
        };
    }
    let names: Vec<String> = runs.last.iter().map(|(id, _)| printable(id.as_bytes())).collect();
    let more = if runs.more > 0 { format!(" and {} earlier ones", runs.more) } else { String::new() };
    let id = match selection {
        Selection::Run(id) => printable(id.as_bytes()),
        _ => String::new(),
    };
    format!("the log {log} has no run {id}; its runs are {}{more}", names.join(", "))
}
