//! `imgsieve report --unchecked` and `--undecided`: the paths of everything in the collection that was not checked to the
//! end, or not decided on, for a shell loop.

use std::collections::BTreeSet;
use std::io::{self, Write};

use crate::account::{ArchiveAccount, ArchiveEnd};
use crate::log::Name;
use crate::log::record::{LeftOutFile, PartitionCheck};

use super::{Report, paths};

/// The files that were left out or not checked to their end, and how many the log does not name.
#[derive(Debug)]
pub struct Unchecked<'a> {
    paths: BTreeSet<&'a Name>,
    /// Files of which the log has only the number.
    pub unnamed: u64,
    /// Archives that are too many to be remembered.
    pub unlisted: u64,
}

impl<'a> Unchecked<'a> {
    /// Those that `report` tells of.
    #[must_use]
    pub fn of(report: &'a Report) -> Unchecked<'a> {
        let archives = report.account.archives.iter().filter(|archive| !is_checked(archive));
        let mut paths: BTreeSet<&Name> = archives.filter_map(|archive| archive.path.as_ref()).collect();
        let problems = report.covering_runs().flat_map(|run| &run.problems);
        paths.extend(problems.filter_map(|problem| problem.path.as_ref()));
        // What one run leaves out, another may survey.
        let begun: BTreeSet<&Name> = report.account.archives.iter().filter_map(|each| each.path.as_ref()).collect();
        let mut unnamed = 0;
        let mut not_begun = 0;
        for left_out in report.left_out() {
            let is_begun = |file: &&LeftOutFile| begun.contains(&file.archive);
            paths.extend(left_out.files.iter().filter(|file| !is_begun(file)).map(|file| &file.archive));
            unnamed += left_out.count.saturating_sub(left_out.files.len() as u64);
            not_begun += if left_out.rule == "not_begun" { left_out.count } else { 0 };
        }
        // A run that was killed could not say which they are.
        unnamed += report.all_never_begun().saturating_sub(not_begun);
        Unchecked { paths, unnamed, unlisted: report.account.archives_more }
    }

    /// Archives with an image that is not decided on.
    #[must_use]
    pub fn undecided(report: &'a Report) -> Unchecked<'a> {
        let is_undecided = |archive: &&ArchiveAccount| archive.images.iter().any(|image| image.partitions.is_none());
        let archives = report.account.archives.iter().filter(is_undecided);
        let paths = archives.filter_map(|archive| archive.path.as_ref()).collect();
        Unchecked { paths, unnamed: 0, unlisted: report.account.archives_more }
    }

    /// Writes the paths, sorted. Gives a sentence for each that had to be left out.
    pub fn write(&self, out: &mut dyn Write, null: bool, is_terminal: bool) -> io::Result<Vec<String>> {
        paths::write(out, self.paths.iter().copied(), null, is_terminal)
    }
}

/// Whether every member that could be an image has a verdict.
fn is_checked(archive: &ArchiveAccount) -> bool {
    let is_decided = |image: &PartitionCheck| image.partitions.is_some();
    let is_complete = matches!(&archive.end, ArchiveEnd::Complete { totals, .. } if totals.is_complete());
    let is_looked_at = archive.left_out().iter().all(|members| members.rule == "same_content");
    is_complete && is_looked_at && archive.images.iter().all(is_decided)
}
