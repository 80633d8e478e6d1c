//! The program: arguments in, exit code out. Wires the run to its observers.

mod again;
mod args;
mod completions;
mod config;
mod extract;
mod list;
mod logging;
mod pages;
mod report;
mod reprocess;
mod site;
mod verify;
mod version;

use std::ffi::{OsStr, OsString};
use std::io::{BufWriter, IsTerminal, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;

use clap::FromArgMatches;

use crate::account::Known;
use crate::cause::Cause;
use crate::config::{Config, LogTarget, Origin, Site};
use crate::exit::{self, Exit};
use crate::inspect;
use crate::log;
use crate::object;
use crate::progress::{Summary, Terminal};
use crate::reason::Reason;
use crate::report::{Context, Report};
use crate::run::{Control, Observer, control, panics};
use crate::sanitize::{self, printable_line};
use crate::scan;
use crate::wrap::{self, Wrap};
use crate::zst::Meter;

use args::{Arguments, Command, InspectArguments, ManArguments, ScanArguments};
use logging::Need;

/// Bytes that are written at a time.
const OUTPUT_BUFFER: usize = 64 << 10;

/// Runs what the command line asks for.
#[must_use]
pub fn main() -> Exit {
    let mut command = pages::command();
    let parsed = command.try_get_matches_from_mut(arguments());
    let arguments = match parsed.and_then(|matches| Arguments::from_arg_matches(&matches)) {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version go to stdout and are not a failure.
            let error = error.format(&mut command);
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage } else { Exit::Success };
        }
    };
    panics::install_hook();
    if let Err(error) = control::outlive_file_size_limit() {
        return failure(&Cause::of(Reason::Signals, &error));
    }
    match arguments.command {
        Command::Scan(arguments) => run_scan(*arguments),
        Command::Reprocess(arguments) => reprocess::run(*arguments),
        Command::Inspect(arguments) => run_inspect(arguments),
        Command::Extract(arguments) => extract::run(&arguments),
        Command::Verify(arguments) => verify::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Config(arguments) => config::run(arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Man(arguments) => print_manual(arguments),
    }
}

/// The arguments as they were given, but for what is secret in URLs: those are refused, and whatever is said of them has none.
/// Behind `--` they may be another program's.
fn arguments() -> Vec<OsString> {
    let mut is_own = true;
    let of_url = |argument: OsString| {
        let bytes = argument.as_bytes();
        let value = if bytes.starts_with(b"--") { memchr::memchr(b'=', bytes).map_or(0, |at| at + 1) } else { 0 };
        let (option, value) = bytes.split_at(value);
        let value = object::without_secrets(PathBuf::from(OsStr::from_bytes(value)));
        OsString::from_vec([option, value.as_os_str().as_bytes()].concat())
    };
    let each = |argument: OsString| {
        is_own &= argument != "--";
        if is_own { of_url(argument) } else { argument }
    };
    std::env::args_os().map(each).collect()
}

/// Paths from standard input that are logged as options, for commands that go on with the run; more are not.
const LISTED_MOST: usize = 1000;

fn run_scan(arguments: ScanArguments) -> Exit {
    let verbosity = arguments.verbosity();
    let (wants_json, is_quiet) = (arguments.json, arguments.quiet);
    let wants_bars = !arguments.no_progress;
    let log_is_named = !arguments.site.log.is_empty();
    let site_file = arguments.site.config.clone();
    let options = match Origin::find(site_file.as_deref()) {
        Ok(origin) => again::options(&arguments, &origin),
        Err(error) => return usage(&error),
    };
    let list = arguments.files_from.clone().map(|list| (list, arguments.null));
    let config = match arguments.config() {
        Ok(config) => Config { options, ..config },
        Err(error) => return usage(&error),
    };
    let config = match listed(&config, list) {
        Ok((options, listed)) => Config { listed, options, ..config },
        Err(cause) => return scan::exit_unfinished(&config, failure(&cause)),
    };
    let context = match Context::of(site_file.as_deref()) {
        Ok(context) => context,
        Err(error) => return usage(&error),
    };
    let control = Control::new();
    if let Err(error) = control.listen() {
        return failure(&Cause::of(Reason::Signals, &error));
    }
    if config.resume
        && config.more_logs.is_empty()
        && let Err(exit) = logging::need_file(&config.site.log, &[], "scan --resume")
    {
        return exit;
    }
    // Of a shard, the log is all that it is for.
    let is_needed = !config.dry_run || log_is_named || config.shard.is_some();
    let need = if is_needed { Need::Required } else { Need::Wanted };
    let run = log::new_run_id();
    let config = Config { run: Some(run.clone()), ..config };
    let journal = match logging::open(&config.site, need, wants_json, &control, run) {
        Ok(journal) => journal,
        Err(exit) => return scan::exit_unfinished(&config, exit),
    };
    let mut terminal =
        Terminal::stderr(verbosity, wants_bars).summarized(summary(&config.site, wants_json || is_quiet));
    if is_quiet && let Ok(logs) = config.logs() {
        terminal = terminal.knowing(Known::read(&logs, config.shard, &control));
    }
    // The log first: what the terminal says about a file is already in the log.
    let mut observers: Vec<&dyn Observer> = journal.iter().map(|journal| journal as &dyn Observer).collect();
    observers.push(&terminal);
    let config = Config { outlook: terminal.has_bars(), ..config };
    let scan::Ended { exit, account } = scan::run(&config, &control, &observers);
    terminal.finish();
    let log = if journal.is_some() { &config.site.log } else { Path::new(LogTarget::NOWHERE) };
    let report = Report::of(account, log);
    print_beside_log(&config.site, exit, |out| match (wants_json, is_quiet) {
        (true, _) => report.write_end_json(out, exit.code()),
        (false, true) => Ok(()),
        _ => write_prose(out, |out| report.write_end(out, &context, std::io::stdout().is_terminal())),
    })
}

/// The options to be logged, and the archives in a list, whose paths end with NUL or not.
fn listed(config: &Config, list: Option<(PathBuf, bool)>) -> Result<(Vec<OsString>, Vec<PathBuf>), Cause> {
    let mut options = config.options.clone();
    let Some((path, null)) = list else { return Ok((options, Vec::new())) };
    let read = list::read(&path, null);
    let listed = read.map_err(|error| {
        Cause::new(Reason::Collection, format!("reading the list of archives {}: {error}", path.display()))
            .passing(exit::may_pass(&error))
    })?;
    // Nobody can read it again.
    if path.as_os_str() == "-" && listed.len() <= LISTED_MOST {
        if let Some(at) = options.windows(2).position(|pair| pair[0] == "--files-from" && pair[1] == "-") {
            options.drain(at..at + 2);
        }
        options.retain(|word| word != "--null");
        options.extend(listed.iter().map(|path| path.clone().into_os_string()));
    }
    Ok((options, listed))
}

/// Has `write` write prose to `out`, which is standard output's.
fn write_prose(out: &mut dyn Write, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut wrap = Wrap::new(out, wrap::width(&std::io::stdout()));
    write(&mut wrap)?;
    wrap.flush()
}

/// What is said on standard error, in a line or several, as about a site file, with nothing in them that a terminal obeys.
fn tell(line: &str) {
    let width = wrap::width(&std::io::stderr());
    let lines: Vec<String> = line.lines().map(|line| wrap::wrapped(&printable_line(line), width)).collect();
    let _ = writeln!(std::io::stderr(), "{}", lines.join("\n"));
}

/// Where the summary of a run goes.
fn summary(site: &Site, is_none: bool) -> Summary {
    match site.log_target() {
        _ if is_none => Summary::Nowhere,
        LogTarget::Stdout => Summary::Stderr,
        _ => Summary::Stdout,
    }
}

/// Prints what a run came to, and gives its exit code, or the failure to print where it had none. Where standard output is
/// the log's, to standard error.
fn print_beside_log(site: &Site, exit: Exit, write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Exit {
    let printed = if site.log_target() == LogTarget::Stdout {
        // A terminal that is gone is no reason to fail.
        let _ = write(&mut BufWriter::new(std::io::stderr()));
        Exit::Success
    } else {
        print_all(write)
    };
    if exit == Exit::Success { printed } else { exit }
}

fn run_inspect(arguments: InspectArguments) -> Exit {
    let control = Control::new();
    if let Err(error) = control.listen() {
        return failure(&Cause::of(Reason::Signals, &error));
    }
    let options = inspect::Options {
        image_suffix: arguments.image_suffix,
        max_window: arguments.max_window.0,
        engine: arguments.engine,
        deep_fs: arguments.fs,
        meter: Arc::new(Meter::new(control.flag())),
    };
    let mut exit = Exit::Success;
    for file in &arguments.files {
        let inspection = inspect::Inspection::of(file, &options);
        if let Some(crate::run::Stop::Signal(signal)) = control.cause() {
            return Exit::Signal(signal);
        }
        if !inspection.is_clean() {
            exit = Exit::Failure;
        }
        let verbose = arguments.verbose;
        let printed = if arguments.json {
            print(&format!("{}\n", sanitize::json(&inspection.to_json(verbose).to_string())))
        } else {
            print_prose(&inspection.to_text(verbose))
        };
        if printed != Exit::Success {
            return Exit::Failure;
        }
    }
    exit
}

fn print_manual(arguments: ManArguments) -> Exit {
    if let Some(sample) = pages::samples::all().find(|sample| Some(sample.name) == arguments.sample.as_deref()) {
        return print(sample.text);
    }
    let Some(folder) = arguments.to else {
        let page = pages::manual(arguments.subcommand.as_deref());
        return if std::io::stdout().is_terminal() && is_shown_by_man(&page) { Exit::Success } else { print(&page) };
    };
    match pages::write_manual(&folder) {
        Ok(()) => Exit::Success,
        Err(error) => {
            let cause = Cause::of(Reason::Manual, &error);
            let message = format!("{}; make it writable, or name another folder with --to", cause.message);
            failure(&Cause { message, ..cause })
        }
    }
}

/// Whether `man` is there, and shows a page on the terminal.
fn is_shown_by_man(page: &str) -> bool {
    let man = process::Command::new("man").args(["--local-file", "-"]).stdin(process::Stdio::piped()).spawn();
    let Ok(mut man) = man else { return false };
    // Whoever has seen enough ends it before it has read all.
    let _ = man.stdin.take().map(|mut stdin| stdin.write_all(page.as_bytes()));
    man.wait().is_ok_and(|status| status.success())
}

/// Prints to stdout. A reader that has seen enough (`| head`) is not an error.
fn print(text: &str) -> Exit {
    print_all(|out| out.write_all(text.as_bytes()))
}

/// Like [`print()`], for lines that are broken between words where a terminal is narrower.
fn print_prose(text: &str) -> Exit {
    print_all(|out| write_prose(out, |out| out.write_all(text.as_bytes())))
}

/// Like [`print()`], for what `write` writes.
fn print_all(write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>) -> Exit {
    let mut stdout = BufWriter::with_capacity(OUTPUT_BUFFER, std::io::stdout().lock());
    let written = write(&mut stdout).and_then(|()| stdout.flush());
    // Dropping the buffer would try again to write it.
    let _ = stdout.into_parts();
    match written {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            failure(&Cause::new(Reason::Stdout, format!("writing to standard output: {error}")))
        }
        _ => Exit::Success,
    }
}

fn warn(note: &str) {
    tell(&format!("imgsieve: warning: {note}"));
}

/// Why the log cannot be appended to, and what to do.
fn log_cause(error: &log::OpenError) -> Cause {
    let cause = Cause::of(Reason::Log, error);
    let mend =
        if error.is_foreign() { "name the log with --log" } else { "make it writable, or name another with --log" };
    Cause { message: format!("{}; {mend}", cause.message), ..cause }.passing(!error.is_foreign())
}

fn usage(error: &dyn std::error::Error) -> Exit {
    usage_text(&Cause::of(Reason::Usage, error).message)
}

fn usage_text(message: &str) -> Exit {
    tell(&format!("imgsieve: {message}"));
    Exit::Usage
}

fn failure(cause: &Cause) -> Exit {
    tell(&format!("imgsieve: error: {}", cause.message));
    cause.exit()
}
