//! `imgsieve report`: the wiring.

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::time::SystemTime;

use crate::account::{Selection, Shards};
use crate::cause::Cause;
use crate::exit::Exit;
use crate::log::Logs;
use crate::reason::Reason;
use crate::report::{Context, Report, ToReprocess, Unchecked, html};

use super::args::ReportArguments;
use super::{failure, print_all, usage, warn};

/// Reads the log and prints what was asked for.
pub(super) fn run(arguments: ReportArguments) -> Exit {
    let ReportArguments { mut logs, log, config, run, format, null } = arguments;
    let context = match Context::of(config.as_deref()) {
        Ok(context) => context,
        Err(error) => return usage(&error),
    };
    logs.extend(log);
    if logs.is_empty() {
        if let Err(exit) = super::logging::need_file(&context.site.log, &[], "report") {
            return exit;
        }
        logs.push(context.site.log.clone());
    }
    let logs = match Logs::open(&logs, true) {
        Ok(logs) => logs,
        Err(error) => return failure(&Cause::of(Reason::Log, &error)),
    };
    let report = match (&run, format.kept) {
        // Which run kept an image does not matter.
        (None, true) => {
            return ToReprocess::read(&logs).map_or_else(|cause| failure(&cause), |kept| print_kept(&kept, null));
        }
        (run, _) => Report::read(&logs, run.as_ref().unwrap_or(&Selection::Last)),
    };
    let report = match report {
        Ok(report) if format.kept => return print_kept(&ToReprocess::of(&report), null),
        Ok(report) => report,
        Err(cause) => return failure(&cause),
    };
    for note in report.notes() {
        warn(&note);
    }
    if format.csv || format.unchecked || format.undecided {
        // Nothing else in these says that something is not in them.
        report.shards().flat_map(Shards::troubles).for_each(|trouble| warn(&format!("shards {trouble}")));
    }
    if format.unchecked {
        return print_unchecked(&Unchecked::of(&report), null);
    }
    if format.undecided {
        return print_unchecked(&Unchecked::undecided(&report), null);
    }
    if let Some(file) = &format.html {
        return write_page(&report, &context, file);
    }
    print_all(|out| match (format.json, format.csv) {
        (true, _) => report.write_json(out, &context),
        (_, true) => report.write_csv(out),
        _ => super::write_prose(out, |out| report.write_text(out, &context, io::stdout().is_terminal())),
    })
}

/// Writes the report as a page, to standard output where `file` is `-`.
fn write_page(report: &Report, context: &Context, file: &Path) -> Exit {
    let write = |out: &mut dyn Write| html::write(report, context, SystemTime::now(), out);
    if file == Path::new("-") {
        return print_all(write);
    }
    match html::replace(file, write) {
        Ok(()) => Exit::Success,
        Err(error) => {
            let was_there = matches!(error, html::SaveError::NotReplaced(_)) && file.is_file();
            let stays = if was_there { "; the existing file is unchanged" } else { "" };
            let why = Cause::of(Reason::Report, &error).message;
            failure(&Cause::new(Reason::Report, format!("writing the report {}: {why}{stays}", file.display())))
        }
    }
}

fn print_kept(kept: &ToReprocess, null: bool) -> Exit {
    for note in &kept.reading.notes {
        warn(note);
    }
    let more = (kept.more > 0).then(|| format!("{} more staged images are not listed: there are too many", kept.more));
    print_paths(|out, is_terminal| kept.write(out, null, is_terminal), more)
}

fn print_unchecked(unchecked: &Unchecked<'_>, null: bool) -> Exit {
    let told = [
        (unchecked.unnamed, "more are not named in the log"),
        (unchecked.unlisted, "archives are too many to be listed, and may be among them"),
    ];
    let told: Vec<String> =
        told.iter().filter(|(number, _)| *number > 0).map(|(number, what)| format!("{number} {what}")).collect();
    let more = (!told.is_empty()).then(|| told.join("; "));
    print_paths(|out, is_terminal| unchecked.write(out, null, is_terminal), more)
}

/// Prints paths; what of them is missing is a failure.
fn print_paths(write: impl FnOnce(&mut dyn Write, bool) -> io::Result<Vec<String>>, more: Option<String>) -> Exit {
    let mut left_out = Vec::new();
    let mut exit = print_all(|out| {
        left_out = write(out, io::stdout().is_terminal())?;
        Ok(())
    });
    for why in left_out.into_iter().chain(more) {
        exit = failure(&Cause::new(Reason::Kept, why));
    }
    exit
}
