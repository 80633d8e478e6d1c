//! `imgsieve verify`: its arguments, and the wiring of its run.

use std::path::PathBuf;

use clap::Args;

use crate::account::Known;
use crate::cause::Cause;
use crate::config::{self, Config};
use crate::event::{Event, Scope};
use crate::exit::Exit;
use crate::log;
use crate::progress::{Terminal, Verbosity};
use crate::reason::Reason;
use crate::run::{Control, Observer};
use crate::sanitize;
use crate::scan;
use crate::shard::Shard;
use crate::units::Size;
use crate::verify;

use super::logging::{self, Need};
use super::site::SiteArguments;

pub const EXAMPLES: &str = "\
Examples:
  imgsieve verify
      every archive of the site's collection
  imgsieve verify /mnt/cold/02cfdb972c05eafd4d89d1f0fe6e6a19.tar.zst
      one archive
  imgsieve verify --json --log none /mnt/cold | jq '.archives[] | select(.outcome == \"failed\")'
      what fails, for another program";

/// `imgsieve verify`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)]
pub struct VerifyArguments {
    /// Archives, and folders whose archives are verified whatever their size; also by URL, see `imgsieve man cloud`
    #[arg(value_name = "ARCHIVE|FOLDER")]
    collection: Vec<PathBuf>,
    /// Also enter folders within the collection's folders; never through links
    #[arg(long)]
    recursive: bool,
    /// Verify only shard K of N, K from 0: see `imgsieve scan --help` [default: all of it]
    #[arg(long, value_name = "K/N", allow_hyphen_values = true)]
    shard: Option<Shard>,
    /// Verify the archives in this list, a path per line, `-` for standard input; besides the others that are named
    /// [default: no list]
    #[arg(long, value_name = "FILE")]
    files_from: Option<PathBuf>,
    /// Paths in the list end with NUL instead of a newline
    #[arg(short = '0', long = "null", requires = "files_from")]
    null: bool,
    /// Site file (TOML); see `imgsieve config` [default: the one in force]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The log, JSON Lines, that gets the result of each archive; `-` for standard output, `none` for no log. In a folder, it is
    /// verify.jsonl, or verify-K-of-N.jsonl
    #[arg(long, value_name = "FILE|FOLDER")]
    log: Option<PathBuf>,
    /// Archives read at a time [default: one per processor]
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// Largest zstd window accepted, up to 2GiB; each job may use that much memory
    #[arg(long, value_name = "SIZE")]
    max_window: Option<Size>,
    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
    /// No progress bars
    #[arg(long)]
    no_progress: bool,
    /// Errors only: no warnings, bars or results. Archives that failed for the same reason before are only counted
    #[arg(long, short, conflicts_with = "verbose")]
    quiet: bool,
    /// Print a line on standard error for each archive when it is done
    #[arg(long, short, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl VerifyArguments {
    fn config(self) -> Result<Config, config::Error> {
        let has_only_a_list = self.collection.is_empty() && self.files_from.is_some();
        let site = SiteArguments {
            collection: self.collection,
            config: self.config,
            log: self.log.into_iter().collect(),
            min_archive_size: Some(Size(0)),
            jobs: self.jobs,
            max_window: self.max_window,
            ..SiteArguments::default()
        };
        let mut site = site.site()?;
        if has_only_a_list {
            site.collection.clear();
        }
        let more_logs = logging::into_folder(&mut site, "verify", self.shard).into_iter().collect();
        Ok(Config { recursive: self.recursive, shard: self.shard, more_logs, ..Config::new(site) })
    }
}

/// Does what the arguments say.
pub fn run(arguments: VerifyArguments) -> Exit {
    let verbosity = match (arguments.quiet, arguments.verbose) {
        (true, _) => Verbosity::Quiet,
        (false, 0) => Verbosity::Normal,
        (false, _) => Verbosity::Archives,
    };
    let (wants_json, is_quiet, wants_bars) = (arguments.json, arguments.quiet, !arguments.no_progress);
    let list = arguments.files_from.clone().map(|list| (list, arguments.null));
    let config = match arguments.config() {
        Ok(config) => config,
        Err(error) => return super::usage(&error),
    };
    let config = match super::listed(&config, list) {
        Ok((options, listed)) => Config { listed, options, ..config },
        Err(cause) => return scan::exit_unfinished(&config, super::failure(&cause)),
    };
    let control = Control::new();
    if let Err(error) = control.listen() {
        return super::failure(&Cause::of(Reason::Signals, &error));
    }
    let need = if config.shard.is_some() { Need::Required } else { Need::Wanted };
    let journal = match logging::open(&config.site, need, wants_json, &control, log::new_run_id()) {
        Ok(journal) => journal,
        Err(exit) => return scan::exit_unfinished(&config, exit),
    };
    let mut terminal =
        Terminal::stderr(verbosity, wants_bars).summarized(super::summary(&config.site, wants_json || is_quiet));
    if is_quiet && let Ok(logs) = config.logs() {
        terminal = terminal.knowing(Known::read(&logs, config.shard, &control));
    }
    let mut observers: Vec<&dyn Observer> = journal.iter().map(|journal| journal as &dyn Observer).collect();
    observers.push(&terminal);
    let outcome = verify::run(&config, &control, &observers);
    terminal.finish();
    let (exit, answer) = match outcome {
        Ok(outcome) => outcome,
        Err(cause) => return super::failure(&cause),
    };
    for (path, cause) in answer.problems() {
        let _ = terminal.observe(&Event::Error { scope: Scope::Path(path), cause });
    }
    if !wants_json && !is_quiet {
        return super::print_beside_log(&config.site, exit, |out| {
            super::write_prose(out, |out| out.write_all(answer.text().as_bytes()))
        });
    }
    let text =
        if wants_json { format!("{}\n", sanitize::json(&answer.json(exit.code()).to_string())) } else { String::new() };
    super::print_beside_log(&config.site, exit, |out| out.write_all(text.as_bytes()))
}
