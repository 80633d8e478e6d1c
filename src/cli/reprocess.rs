//! `imgsieve reprocess`: its arguments, and the wiring of its run.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;

use crate::account::Known;
use crate::cause::Cause;
use crate::config::{self, COMMAND_FORM};
use crate::event::{Event, Scope};
use crate::exit::Exit;
use crate::log::{self, Journal};
use crate::progress::{Summary, Terminal, Verbosity};
use crate::reason::Reason;
use crate::reprocess::{Options, Reprocess};
use crate::run::{Control, Observer};
use crate::shard::Shard;

use super::site::SiteArguments;

pub const EXAMPLES: &str = "\
Examples:
  imgsieve reprocess --dry-run
      the commands that would be run, smallest image first
  imgsieve reprocess --remove
      the site's command for each staged image; the image is removed once the command succeeded
  imgsieve reprocess -- ./look-at --image={} --verbose
      another command
  imgsieve reprocess --only 2c26b46b68ffc68ff99b453c1d304134 --again -v
      one image, even if it was reprocessed before, showing what the command prints";

/// `imgsieve reprocess`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)]
pub struct ReprocessArguments {
    /// The command and its arguments; {} stands for the image's path [default: the site's `reprocess`]
    #[arg(value_name = "COMMAND", last = true)]
    command: Vec<OsString>,
    /// Site file (TOML); see `imgsieve config` [default: the one in force]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The log that says which images were staged; appended to. Of a folder, all logs are read, and reprocess.jsonl is appended
    /// to, or reprocess-K-of-N.jsonl. If repeated, the others are only read: logs, rotated logs, or folders of them
    #[arg(long, value_name = "FILE|FOLDER")]
    log: Vec<PathBuf>,
    /// Folder with the staged images
    #[arg(long, value_name = "FOLDER")]
    staging: Option<PathBuf>,
    /// Process only images from the archives of shard K of N, K from 0: see `imgsieve scan --help`
    /// [default: of all]
    #[arg(long, value_name = "K/N", allow_hyphen_values = true)]
    shard: Option<Shard>,
    /// Commands to run at a time
    #[arg(long, short, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Process only images from the archive with this hash; may be repeated [default: all]
    #[arg(long, value_name = "HASH")]
    only: Vec<String>,
    /// Remove each image from staging once its success is logged; archives are never touched
    #[arg(long)]
    remove: bool,
    /// Also run the command for images that it already succeeded on
    #[arg(long)]
    again: bool,
    /// Only print the commands that would be run
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// No progress bar
    #[arg(long)]
    no_progress: bool,
    /// Errors only: no warnings, bar or summary. Images that failed the same way before are only counted
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,
    /// Print a line for each image, and what the commands print
    #[arg(long, short, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl ReprocessArguments {
    fn options(self) -> Result<Options, config::Error> {
        if !self.command.is_empty() && !config::is_command(&self.command) {
            let value = format!("{:?}", self.command);
            return Err(config::Error::Value { key: "COMMAND", value, why: COMMAND_FORM });
        }
        let places =
            SiteArguments { config: self.config, staging: self.staging, log: self.log, ..SiteArguments::default() };
        let mut more_logs = places.more_logs();
        let mut site = places.site()?;
        more_logs.extend(super::logging::into_folder(&mut site, "reprocess", self.shard));
        let command = if self.command.is_empty() {
            site.reprocess.into_iter().map(OsString::from).collect()
        } else {
            self.command
        };
        Ok(Options {
            staging: site.staging,
            log: site.log,
            more_logs,
            image_suffix: site.image_suffix,
            command,
            jobs: self.jobs.get(),
            only: self.only,
            shard: self.shard,
            remove: self.remove,
            again: self.again,
            follow: self.verbose > 0,
        })
    }
}

/// Does what the arguments say.
pub fn run(arguments: ReprocessArguments) -> Exit {
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, _) => Verbosity::Archives,
    };
    let (is_quiet, is_dry) = (arguments.quiet, arguments.dry_run);
    let wants_bars = !arguments.no_progress && !is_dry;
    let options = match arguments.options() {
        Ok(options) => options,
        Err(error) => return super::usage(&error),
    };
    if let Err(exit) = super::logging::need_file(&options.log, &options.more_logs, "reprocess") {
        return exit;
    }
    let control = Control::new();
    if let Err(error) = control.listen() {
        return super::failure(&Cause::of(Reason::Signals, &error));
    }
    let reprocess = match Reprocess::prepare(&options, &control) {
        Ok(reprocess) => reprocess,
        Err(cause) => return super::failure(&cause),
    };
    let plan = reprocess.plan();
    let is_idle = plan.images.is_empty();
    let summary = if is_quiet || is_dry { Summary::Nowhere } else { Summary::Stdout };
    let mut terminal = Terminal::stderr(verbosity, wants_bars && !is_idle).summarized(summary);
    if is_quiet && let Ok(logs) = options.logs() {
        terminal = terminal.knowing(Known::read(&logs, None, &control));
    }
    for cause in &plan.warnings {
        let _ = terminal.observe(&Event::Warning { scope: Scope::Run, cause });
    }
    for cause in &plan.errors {
        let _ = terminal.observe(&Event::Error { scope: Scope::Run, cause });
    }
    let (exit, text) = if is_dry {
        reprocess.dry_run(&control, &[&terminal])
    } else {
        // With nothing to do, there is nothing to log.
        let journal = if is_idle { None } else { Some(Journal::open(&options.log, log::new_run_id())) };
        let journal = match journal.transpose() {
            Ok(journal) => journal.map(|journal| journal.follow_when(control.log_asked())),
            Err(error) => return super::failure(&super::log_cause(&error)),
        };
        let mut observers: Vec<&dyn Observer> = Vec::new();
        if let Some(journal) = &journal {
            observers.push(journal);
        }
        observers.push(&terminal);
        let (exit, report) = reprocess.run(&control, &observers);
        // Where the log was not read to its end, nobody knows that there is nothing to do.
        let is_unknown = is_idle && matches!(exit, Exit::Signal(_));
        let text = if is_quiet || is_unknown { String::new() } else { report.text(&options.staging, &options.log) };
        (exit, text)
    };
    terminal.finish();
    // What a dry run prints are commands.
    let printed = if is_dry { super::print(&text) } else { super::print_prose(&text) };
    match printed {
        Exit::Success => exit,
        failed if exit == Exit::Success => failed,
        _ => exit,
    }
}
