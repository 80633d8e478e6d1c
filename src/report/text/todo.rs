//! What remains to be done, and the commands that do it.

use std::io::{self, Write};

use crate::units::{counted, human};

use super::super::{Remaining, Report, end_of};
use super::write_more;

/// Writes what remains of `report`; of commands, and of archives that one names, no more than `shown`.
pub(super) fn write(out: &mut dyn Write, remaining: &Remaining, report: &Report, shown: usize) -> io::Result<()> {
    let Remaining { broken, would_keep, would_take, .. } = remaining;
    let to_survey = remaining.to_survey();
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
    let mut say = |command: Option<&String>, what: String| match command {
        Some(command) => {
            write_commands(out, command, shown)?;
            writeln!(out, "      {what}")
        }
        None => writeln!(out, "  {what}"),
    };
    if !to_survey.is_empty() {
        let is_open = report.account.runs.last().is_some_and(|run| end_of(run).0.is_none());
        let unless = if remaining.resume.is_some() && is_open { ", unless that run is still going" } else { "" };
        say(remaining.resume.as_ref(), format!("{}{unless}", to_survey.join("; ")))?;
    }
    if *would_keep > 0 {
        let (images, most) = (counted(*would_keep, "image"), human(*would_take));
        say(remaining.stage.as_ref(), format!("{images} to stage without --dry-run, {most} at most"))?;
    }
    if remaining.partial > 0 {
        let archives = counted(remaining.partial, "archive");
        let what = format!("the whole of {archives}, of which only the beginning was looked at");
        say(remaining.whole.as_ref(), what)?;
    }
    if remaining.unsettled > 0 {
        let images = counted(remaining.unsettled, "image");
        say(remaining.decide.as_ref(), format!("or of these only the archives of {images} still undecided"))?;
    }
    if let Some(why) = remaining.why_no_command {
        writeln!(out, "  {why}")?;
    }
    if *broken > 0 {
        writeln!(out, "  {} that cannot be read to the end: see the errors above", counted(*broken, "archive"))?;
    }
    if remaining.unstageable > 0 {
        let images = counted(remaining.unstageable, "image");
        writeln!(out, "  {images} that cannot be staged as things are: see the errors above")?;
    }
    if let Some(command) = &remaining.reprocess {
        let (images, size) = (counted(remaining.waiting, "kept image"), human(remaining.waiting_bytes));
        writeln!(out, "  {command}\n      {images} from all runs in the log, {size}")?;
    }
    if let Some((command, more)) = remaining.inspect(shown) {
        let more = if more > 0 { format!("; {more} more archives have such images") } else { String::new() };
        let images = counted(remaining.undecided, "image");
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
