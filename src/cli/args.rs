//! The command line as it is typed, and what it means.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use super::version;
use crate::account::Selection;
use crate::config::{self, Config};
use crate::progress::Verbosity;
use crate::suffixes::Suffixes;
use crate::units::Size;
use crate::zst::Engine;

use super::reprocess::{self, ReprocessArguments};
use super::site::SiteArguments;

pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 done; 1 an error, something left without room, or a precondition that does not hold; 2 wrong usage; \
129, 130, 143 after SIGHUP, SIGINT, SIGTERM.";

const SCAN_EXAMPLES: &str = "\
Examples:
  imgsieve scan
      the whole job, with the places and rules of the site file
  imgsieve scan --dry-run
      survey only: no image is written, no staging folder needed
  imgsieve scan --dry-run --limit 3 -v /mnt/cold
      try it on the three smallest archives of another folder
  imgsieve scan --only 2c26b46b68ffc68ff99b453c1d304134 --min-free 500GB
      one archive, with another minimum of free space
  imgsieve scan --resume
      go on after a crash, or after room was made: what was completed is not done again
  imgsieve scan --dry-run --json --no-progress > survey.json
      figures for another program";

const INSPECT_EXAMPLES: &str = "\
Examples:
  imgsieve inspect disk.img
  imgsieve inspect /mnt/cold/*.tar.zst
  imgsieve inspect --json disk.img | jq '.images[].partitions'";

const REPORT_EXAMPLES: &str = "\
Examples:
  imgsieve report
      what the last run found, from the site file's log
  imgsieve report --run all survey.jsonl
      all runs of another log: of each archive, what the last run that began it found
  imgsieve report --csv > images.csv
      a row an image, for a spreadsheet
  imgsieve report --kept -0 | xargs -0r -n1 sudo ntt-orchestrator --image
      every kept image that is still to be reprocessed";

const CONFIG_EXAMPLES: &str = "\
Examples:
  imgsieve config > site.toml
      a site file to be changed, and given to scan with --config
  imgsieve config --config site.toml --min-free 500GB
      what scan would go by, with these options";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  imgsieve completions bash > ~/.local/share/bash-completion/completions/imgsieve
  imgsieve completions zsh > ~/.zfunc/_imgsieve
      with ~/.zfunc in fpath before compinit
  imgsieve completions fish > ~/.config/fish/completions/imgsieve.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  imgsieve man scan | man -l -
      the page of scan
  imgsieve man --to ~/.local/share/man/man1
      where man finds them";

/// Finds the disk images with two or more partitions in a cold-storage collection of .tar.zst archives, and stages only
/// those.
#[derive(Debug, Parser)]
#[command(name = "imgsieve", version, long_version = version::long(), max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Survey a collection, and stage the images with two or more partitions
    ///
    /// Every archive is read once, without extracting it. Images with so many partitions or more as the site asks for are
    /// written to STAGING/HASH/NAME.img; nothing is written of the others, and no archive is changed.
    #[command(after_help = EXIT_CODES, after_long_help = concat_help())]
    Scan(Box<ScanArguments>),
    /// Run a command for each staged image, smallest first: the second phase
    #[command(after_help = EXIT_CODES, after_long_help = reprocess_help())]
    Reprocess(Box<ReprocessArguments>),
    /// List the partitions of every image in archives or plain images; nothing is written
    ///
    /// Partitions that count are named with their file system, its label and its UUID. What is wrong with a table is told
    /// with it.
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArguments),
    /// Say what runs found, from their log: what is multi, what went wrong, what remains to do
    ///
    /// The log tells what was done, the file system what is still in staging. What remains to be done comes with the
    /// commands that do it.
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArguments),
    /// Print the site file in force: the built-in one, or --config's, with the options given
    ///
    /// A site file says where things are and what counts. Its comments explain each key; a key that is left out keeps its
    /// built-in value.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(SiteArguments),
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions(CompletionsArguments),
    /// Print a page of the manual, or write all of them to a folder
    #[command(after_help = MAN_EXAMPLES)]
    Man(ManArguments),
}

fn reprocess_help() -> String {
    format!("{}\n\n{EXIT_CODES}", reprocess::EXAMPLES)
}

fn concat_help() -> String {
    format!("{SCAN_EXAMPLES}\n\n{EXIT_CODES}")
}

impl ValueEnum for Engine {
    fn value_variants<'a>() -> &'a [Engine] {
        &[Engine::Auto, Engine::Skip, Engine::Decode]
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Engine::Auto => "The best there is for each archive",
            Engine::Skip => "Pass over what is not wanted without decoding it, wherever that can be done",
            Engine::Decode => "libzstd, from the first byte to the last",
        };
        Some(PossibleValue::new(self.as_str()).help(help))
    }
}

/// `imgsieve scan`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)]
pub struct ScanArguments {
    #[command(flatten)]
    pub site: SiteArguments,
    /// Write no image: only say what would be kept
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Only the N smallest archives
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Only the archive of this hash; may be repeated
    #[arg(long, value_name = "HASH")]
    pub only: Vec<String>,
    /// Wait for the archiving program to end, instead of refusing to start
    #[arg(long)]
    pub wait: bool,
    /// Run although that program runs, or folders are there that should be gone
    #[arg(long)]
    pub force: bool,
    /// Go on where earlier runs ended: pass over the archives that they completed, by the log
    #[arg(long)]
    pub resume: bool,
    /// Stage images whose partitions cannot be told, too
    #[arg(long)]
    pub keep_undecided: bool,
    /// End the run when free space falls below the minimum, instead of surveying on without writing
    #[arg(long)]
    pub abort_on_low_space: bool,
    /// How archives are read
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// Decode everything and check every checksum: implies --engine decode
    #[arg(long)]
    pub verify: bool,
    /// Name file systems even where that means decoding much of an archive again
    #[arg(long)]
    pub fs: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub json: bool,
    /// No progress bars
    #[arg(long)]
    pub no_progress: bool,
    /// Errors only: no warnings, bars or summary
    #[arg(long, short, conflicts_with = "verbose")]
    pub quiet: bool,
    /// A line an archive; twice: a line an image
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// `imgsieve inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// Archives (.tar.zst), plain images, compressed images (.zst), devices
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// One JSON object a file, a line each
    #[arg(long)]
    pub json: bool,
    /// Say of each kind of partition table that was looked for, until one was found, why it is not there
    #[arg(short, long)]
    pub verbose: bool,
    /// Name file systems even where that means decoding much of an archive again
    #[arg(long)]
    pub fs: bool,
    /// How the name of an image in an archive ends (ASCII case ignored); several with commas: .img,.dd
    #[arg(long, value_name = "SUFFIX[,...]", default_value = ".img")]
    pub image_suffix: Suffixes,
    /// Largest zstd window accepted, up to 2GiB
    #[arg(long, value_name = "SIZE", default_value = "128MiB")]
    pub max_window: Size,
    /// How archives are read
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
}

/// `imgsieve report`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)]
pub struct ReportArguments {
    /// Logs, what logrotate made of them (.gz and .zst, too), folders of these; - is standard input [default: the site
    /// file's]
    #[arg(value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// The same as LOG
    #[arg(long, value_name = "LOG")]
    pub log: Vec<PathBuf>,
    /// Site file (TOML) instead of the built-in one; see `imgsieve config`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which run: its name in the log, `last`, or `all` [default: last; with --kept, all]
    #[arg(long, value_name = "ID|last|all", value_parser = selection)]
    pub run: Option<Selection>,
    #[command(flatten)]
    pub format: ReportFormat,
    /// With --kept: end each path with NUL instead of a newline
    #[arg(short = '0', long = "null", requires = "kept")]
    pub null: bool,
}

/// What `imgsieve report` makes, instead of text for a person.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct ReportFormat {
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// A header and a row an image, comma-separated (RFC 4180)
    #[arg(long)]
    pub csv: bool,
    /// Only the paths of kept images that are still to be reprocessed, one a line
    #[arg(long)]
    pub kept: bool,
    /// A page to look at, in one file that needs no network; `-` is standard output
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
}

#[allow(clippy::unnecessary_wraps)]
fn selection(text: &str) -> Result<Selection, std::convert::Infallible> {
    Ok(match text {
        "last" => Selection::Last,
        "all" => Selection::All,
        id => Selection::Run(id.to_owned()),
    })
}

/// `imgsieve completions`.
#[derive(Debug, Args)]
pub struct CompletionsArguments {
    /// For which shell
    pub shell: Shell,
}

/// `imgsieve man`.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// Whose page; the program's own where none is named
    pub subcommand: Option<String>,
    /// Write every page to this folder, which is made if it is missing
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "subcommand")]
    pub to: Option<PathBuf>,
}

impl ScanArguments {
    /// How much is told on stderr.
    #[must_use]
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (false, 0) => Verbosity::Normal,
            (false, 1) => Verbosity::Archives,
            (false, _) => Verbosity::Images,
        }
    }

    /// The checked configuration.
    pub fn config(self) -> Result<Config, config::Error> {
        let engine = match (self.verify, self.engine) {
            (true, Engine::Skip) => {
                let value = self.engine.as_str().to_owned();
                return Err(config::Error::Value { key: "engine", value, why: "--verify has everything decoded" });
            }
            (true, _) => Engine::Decode,
            (false, engine) => engine,
        };
        Ok(Config {
            engine,
            dry_run: self.dry_run,
            limit: self.limit,
            only: self.only,
            wait: self.wait,
            force: self.force,
            resume: self.resume,
            keep_undecided: self.keep_undecided,
            abort_on_low_space: self.abort_on_low_space,
            deep_fs: self.fs,
            more_logs: self.site.more_logs(),
            ..Config::new(self.site.site()?)
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::config::Site;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    fn config(arguments: &[&str]) -> Result<Config, config::Error> {
        match Arguments::try_parse_from([&["imgsieve", "scan"], arguments].concat()).expect("parses").command {
            Command::Scan(scan) => scan.config(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_options_it_is_the_script() {
        assert_eq!(config(&[]).expect("valid").site, Site::built_in());
    }

    #[test]
    fn options_override_the_site() {
        let config = config(&["/a", "/b", "--min-free", "5%", "--skip", "x", "-j3", "--limit", "2"]).expect("valid");
        assert_eq!(config.site.collection, [PathBuf::from("/a"), PathBuf::from("/b")]);
        assert_eq!((config.jobs(), config.limit), (3, Some(2)));
        assert_eq!(config.site.skip.len(), 5);
    }

    #[test]
    fn to_verify_is_to_decode() {
        assert_eq!(config(&[]).expect("valid").engine, Engine::Auto);
        assert_eq!(config(&["--verify"]).expect("valid").engine, Engine::Decode);
        assert_eq!(config(&["--engine", "skip"]).expect("valid").engine, Engine::Skip);
    }

    #[test]
    fn a_wrong_value_is_refused_before_anything_is_opened() {
        assert!(config(&["--min-partitions", "0"]).is_err());
        assert!(config(&["--max-window", "4GiB"]).is_err());
        assert!(config(&["--verify", "--engine", "skip"]).is_err());
        assert!(Arguments::try_parse_from(["imgsieve", "scan", "--min-free", "lots"]).is_err());
    }
}
