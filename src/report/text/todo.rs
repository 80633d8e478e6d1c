//! What remains to be done, and the commands that do it.

use std::io::{self, Write};

use crate::units::human;

use super::super::{Remaining, Report, end_of};
use super::{count, write_more};

/// Writes what remains of `report`; of commands, and of archives that one names, no more than `shown`.
pub(super) fn write(out: &mut dyn Write, remaining: &Remaining, report: &Report, shown: usize) -> io::Result<()> {
    let Remaining { unfinished, never_begun, failed, broken, deferred, unstaged, lost, would_keep, would_take, .. } =
        remaining;
    let mut to_survey = Vec::new();
    let mut add = |number: u64, noun, what: &str| {
        if number > 0 {
            to_survey.push(format!("{} {what}", count(number, noun)));
        }
    };
    add(*unfinished, "archive", "not finished");
    add(*never_begun, "archive", "never begun");
    add(*failed, "archive", "with an error that another run may not meet");
    add(*deferred, "image", "without room: free some first");
    add(*unstaged, "image", "not staged for an error: see above, and fix it first");
    add(*lost, "image", "gone from staging, or changed");
    to_survey.extend(remaining.shards.iter().map(|trouble| format!("numbers of shards {trouble}")));
    let is_done = remaining.waiting == 0
        && remaining.unstageable == 0
        && remaining.undecided == 0
        && remaining.partial == 0
        && *would_keep == 0
        && *broken == 0;
    if to_survey.is_empty() && is_done {
        return writeln!(out, "Nothing remains to be done.");
    }
    writeln!(out, "What remains to be done:")?;
    if let Some(command) = &remaining.resume {
        write_commands(out, command, shown)?;
        writeln!(out, "      {}", to_survey.join("; "))?;
        if report.account.runs.last().is_some_and(|run| end_of(run).0.is_none()) {
            writeln!(out, "      unless that run is still going")?;
        }
    }
    if remaining.resume.is_none() && !to_survey.is_empty() {
        writeln!(out, "  {}", to_survey.join("; "))?;
    }
    if let Some(command) = &remaining.stage {
        let most = human(*would_take);
        write_commands(out, command, shown)?;
        writeln!(out, "      {} to stage without --dry-run, {most} at most", count(*would_keep, "image"))?;
    }
    if let Some(command) = &remaining.rest {
        let archives = count(remaining.partial, "archive");
        write_commands(out, command, shown)?;
        writeln!(out, "      {archives} of which only the beginning was looked at")?;
    }
    if let Some(command) = &remaining.decide {
        write_commands(out, command, shown)?;
        writeln!(
            out,
            "      of these only the archives of the {} that are undecided",
            count(remaining.unsettled, "image")
        )?;
    }
    if *broken > 0 {
        writeln!(out, "  {} that cannot be read to the end: see the errors above", count(*broken, "archive"))?;
    }
    if remaining.unstageable > 0 {
        let images = count(remaining.unstageable, "image");
        writeln!(out, "  {images} that cannot be staged as things are: see the errors above")?;
    }
    if let Some(command) = &remaining.reprocess {
        let (images, size) = (count(remaining.waiting, "kept image"), human(remaining.waiting_bytes));
        writeln!(out, "  {command}\n      {images} from all runs in the log, {size}")?;
    }
    if let Some((command, more)) = remaining.inspect(shown) {
        let more = if more > 0 { format!("; {more} more archives have such images") } else { String::new() };
        let images = count(remaining.undecided, "image");
        writeln!(out, "  {command}\n      {images} that could not be decided on{more}")?;
    }
    Ok(())
}

/// Commands, a line each.
fn write_commands(out: &mut dyn Write, commands: &str, shown: usize) -> io::Result<()> {
    for command in commands.lines().take(shown) {
        writeln!(out, "  {command}")?;
    }
    write_more(out, "  ", commands.lines().count(), shown, "see imgsieve report --json")
}
