//! The command line as it is typed, and what it means.

use std::path::PathBuf;

use clap::builder::PossibleValue;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;

use super::version;
use crate::account::Selection;
use crate::config::{self, Config};
use crate::progress::Verbosity;
use crate::shard::Shard;
use crate::suffixes::Suffixes;
use crate::units::Size;
use crate::zst::Engine;

use super::config::ConfigArguments;
use super::extract::{self, ExtractArguments};
use super::logging;
use super::reprocess::{self, ReprocessArguments};
use super::site::SiteArguments;
use super::verify::{self, VerifyArguments};

pub(super) const EXIT_CODES: &str = "\
Exit codes: 0 success; 1 somebody should look: an error, an image left without room, or a precondition not met; 2 wrong usage; \
75 not all was done, and trying again later may mend it: another run uses staging, too little room at the start, \
collection or staging not there, log not to be opened; \
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
  imgsieve scan --shard 3/8 --log logs/
      one of eight parts of the collection, wherever the others are surveyed
  imgsieve scan --resume
      continue after a crash, or once there is more room; completed archives are not read again
  imgsieve scan --dry-run --json --no-progress > survey.json
      the summary, for another program";

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
      all runs of another log: for each archive, what the last run that started it found
  imgsieve report --csv > images.csv
      one row per image, for a spreadsheet
  imgsieve report --kept -0 | xargs -0r -n1 sudo ntt-orchestrator --image
      every kept image not yet reprocessed";

const CONFIG_EXAMPLES: &str = "\
Examples:
  imgsieve config > site.toml
      a site file to edit, and to pass to scan with --config
  imgsieve config --config site.toml --min-free 500GB
      the settings that scan would use with these options
  imgsieve config --init /mnt/cold
      create ./imgsieve.toml for a collection, with every key explained
  imgsieve config --init=~/.config/imgsieve/config.toml --log ~/imgsieve.jsonl /mnt/cold
      the same, for commands that are run in any folder";

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
      all pages, where man finds them";

/// Finds the disk images with two or more partitions in a cold-storage collection of .tar.zst archives, and stages only
/// those.
#[derive(Debug, Parser)]
#[command(name = "imgsieve", version, long_version = version::long(), max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Survey a collection, and stage the images with two or more partitions
    ///
    /// Each archive is read once, without extracting it. Images with at least --min-partitions partitions are written to
    /// STAGING/HASH/NAME.img; nothing is written of the others, and no archive is changed.
    #[command(after_help = EXIT_CODES, after_long_help = concat_help())]
    Scan(Box<ScanArguments>),
    /// Run a command for each staged image, smallest first: the second phase
    #[command(after_help = EXIT_CODES, after_long_help = reprocess_help())]
    Reprocess(Box<ReprocessArguments>),
    /// List the partitions of every image in archives or plain images; nothing is written
    ///
    /// Partitions that count are listed with their file system, its label and its UUID. Damage to a table is listed with
    /// the table.
    #[command(after_help = INSPECT_EXAMPLES)]
    Inspect(InspectArguments),
    /// Write an image of an archive, or one partition of it, to a file
    ///
    /// What lies before the image is passed over if possible. Zeros become holes. The file gets its name once it is
    /// complete and on the disk, and never replaces another. With the image's number, the archive is read only up to the
    /// image; with its name, or without --image, to the end, because there may be another one.
    #[command(after_help = EXIT_CODES, after_long_help = extract_help())]
    Extract(ExtractArguments),
    /// Decode archives to their end, and check every checksum in them
    ///
    /// Each frame is decoded by libzstd, and each header of the tar is read. The result of each archive is printed, and a
    /// total. The log keeps it with the file's size and time, and report shows it until these change. A frame without a
    /// checksum that decodes to its end is reported, and is not a failure. Exit code 0 means that everything holds.
    #[command(after_help = EXIT_CODES, after_long_help = verify_help())]
    Verify(VerifyArguments),
    /// Report from the log what runs found, what went wrong, and what remains to be done
    ///
    /// The log says what was done, the file system what is still in staging. What remains to be done is listed with the
    /// commands that do it.
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArguments),
    /// Print the site file in force, which it is and why, with the options applied; or create one
    ///
    /// A site file says where things are and what counts. Its comments explain each key; a key that is left out keeps its
    /// built-in value. Every command uses the first of these that exists: the file that --config names, the one that
    /// `IMGSIEVE_CONFIG` names, ./imgsieve.toml, ~/.config/imgsieve/config.toml, /etc/imgsieve.toml, the built-in one.
    #[command(after_help = CONFIG_EXAMPLES)]
    Config(ConfigArguments),
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

fn extract_help() -> String {
    format!("{}\n\n{EXIT_CODES}", extract::EXAMPLES)
}

fn verify_help() -> String {
    format!("{}\n\n{EXIT_CODES}", verify::EXAMPLES)
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
            Engine::Auto => "The best available for each archive",
            Engine::Skip => "Pass over what is not needed without decoding it, wherever possible",
            Engine::Decode => "Decode everything with libzstd, from the first byte to the last",
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
    /// Write no images; only report what would be kept
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Only look at the beginning of each archive, and at the first image there; implies --dry-run
    ///
    /// For a first look at a large collection, or one that is far away. There may be other images, tables at the ends,
    /// and rescue maps by which sectors were never read. Where a verdict needs more than the beginning, the image is undecided,
    /// and the summary has the command that decides.
    #[arg(long, conflicts_with_all = ["verify", "keep_undecided", "fs", "engine"])]
    pub quick: bool,
    /// With --quick, read an archive to its end where its beginning leaves the first image undecided
    #[arg(long, requires = "quick")]
    pub decide: bool,
    /// Survey only shard K of N, K from 0 and N up to 1,000,000: archives of whose names, HASH.tar.zst, the SHA-256 is K modulo N.
    /// All shards together survey the collection [default: all of it]
    #[arg(long, value_name = "K/N", allow_hyphen_values = true)]
    pub shard: Option<Shard>,
    /// Survey the archives in this list, a path per line, `-` for standard input; besides COLLECTION, if that is given
    /// [default: no list]
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,
    /// Paths in the list end with NUL instead of a newline
    #[arg(short = '0', long = "null", requires = "files_from")]
    pub null: bool,
    /// Also enter folders within the collection's folders; never through links
    #[arg(long)]
    pub recursive: bool,
    /// Survey only the N smallest archives [default: all]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Survey only the archive with this hash; may be repeated [default: all]
    #[arg(long, value_name = "HASH")]
    pub only: Vec<String>,
    /// Wait for the archiving program to end, instead of refusing to start
    #[arg(long)]
    pub wait: bool,
    /// Start even if that program is running, or folders exist that should be gone
    #[arg(long)]
    pub force: bool,
    /// Continue where earlier runs ended: leave out archives that they completed, according to the log
    #[arg(long)]
    pub resume: bool,
    /// Also stage images that cannot be decided on
    #[arg(long)]
    pub keep_undecided: bool,
    /// Stage at most SIZE in this run; what is beyond it is deferred, and a larger image an error [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub max_staged: Option<Size>,
    /// End the run when free space falls below the minimum, instead of going on without writing
    #[arg(long)]
    pub abort_on_low_space: bool,
    /// How to read archives
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
    /// Decode everything and check every checksum; implies --engine decode
    #[arg(long)]
    pub verify: bool,
    /// Name file systems even if that means decoding much of an archive again
    #[arg(long)]
    pub fs: bool,
    /// Print the summary as one JSON object
    #[arg(long)]
    pub json: bool,
    /// No progress bars
    #[arg(long)]
    pub no_progress: bool,
    /// Errors only: no warnings, bars or summary. Those that the last run had, too, are only counted
    #[arg(long, short, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print a line for each archive; given twice, for each image too
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// `imgsieve inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// Archives (.tar.zst), plain images, compressed images (.zst), devices; all but devices also by URL, see `imgsieve man cloud`
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// Print one JSON object for each file, one per line
    #[arg(long)]
    pub json: bool,
    /// Say why each kind of partition table that was tried does not match
    #[arg(short, long)]
    pub verbose: bool,
    /// Name file systems even if that means decoding much of an archive again
    #[arg(long)]
    pub fs: bool,
    /// How the names of images in archives end (ASCII case is ignored); several with commas: .img,.dd
    #[arg(long, value_name = "SUFFIX[,...]", default_value = ".img")]
    pub image_suffix: Suffixes,
    /// Largest zstd window accepted, up to 2GiB
    #[arg(long, value_name = "SIZE", default_value = "128MiB")]
    pub max_window: Size,
    /// How to read archives
    #[arg(long, value_enum, default_value_t = Engine::Auto)]
    pub engine: Engine,
}

/// `imgsieve report`.
#[derive(Debug, Args)]
#[allow(clippy::struct_excessive_bools)]
pub struct ReportArguments {
    /// Logs, rotated logs (also .gz and .zst), or folders of them; - is standard input [default: the site file's]
    #[arg(value_name = "LOG")]
    pub logs: Vec<PathBuf>,
    /// The same as LOG [default: the site file's]
    #[arg(long, value_name = "LOG")]
    pub log: Vec<PathBuf>,
    /// Site file (TOML); see `imgsieve config` [default: the one in force]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Which run: its ID in the log, `last`, which of shards is the last of each, or `all` [default: last; with --kept, all]
    #[arg(long, value_name = "ID|last|all", value_parser = selection)]
    pub run: Option<Selection>,
    #[command(flatten)]
    pub format: ReportFormat,
    /// With --kept, --unchecked or --undecided: end each path with NUL instead of a newline
    #[arg(short = '0', long = "null", requires = "paths")]
    pub null: bool,
}

/// What `imgsieve report` prints instead of text.
#[derive(Debug, Args)]
#[group(multiple = false)]
#[allow(clippy::struct_excessive_bools)]
pub struct ReportFormat {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values: a header, then one row per image, and one for what has none (RFC 4180)
    #[arg(long)]
    pub csv: bool,
    /// Print only the paths of kept images not yet reprocessed, one per line
    #[arg(long, group = "paths")]
    pub kept: bool,
    /// Print only the paths of archives and other files that were not fully checked, one per line; with --run all, by any run
    #[arg(long, group = "paths")]
    pub unchecked: bool,
    /// Print only the paths of archives with images that are not decided on, one per line
    #[arg(long, group = "paths")]
    pub undecided: bool,
    /// Write a web page: one file, which needs no network; `-` is standard output
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
    /// The shell
    #[arg(required_unless_present = "values")]
    pub shell: Option<Shell>,
    /// Print what the scripts ask for: values of an option that the end of the log has, the newest first
    #[arg(long, value_name = "WHICH", value_enum, conflicts_with = "shell")]
    pub values: Option<Values>,
    /// With --values: site file (TOML); see `imgsieve config` [default: the one in force]
    #[arg(long, value_name = "FILE", requires = "values")]
    pub config: Option<PathBuf>,
    /// With --values: logs, rotated logs, or folders of them [default: the site file's]
    #[arg(long, value_name = "LOG", requires = "values")]
    pub log: Vec<PathBuf>,
}

/// Values that a log has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Values {
    /// What --run takes
    Runs,
    /// Hashes of archives
    Archives,
}

/// `imgsieve man`.
#[derive(Debug, Args)]
pub struct ManArguments {
    /// The command whose page to print, or a topic: cloud, log, schedule, shards [default: the program's own page]
    pub subcommand: Option<String>,
    /// Write all pages to this folder, creating it if it is missing
    #[arg(long, value_name = "FOLDER", value_hint = ValueHint::DirPath, conflicts_with = "subcommand")]
    pub to: Option<PathBuf>,
    /// Print an example of these pages as the file that it is [default: a page is printed]
    #[arg(long, value_name = "NAME", conflicts_with_all = ["subcommand", "to"])]
    pub sample: Option<String>,
}

impl ScanArguments {
    /// How much is written to stderr.
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
                return Err(config::Error::Value { key: "engine", value, why: "--verify decodes everything" });
            }
            (true, _) => Engine::Decode,
            (false, engine) => engine,
        };
        let is_elsewhere = !self.site.collection.is_empty() || self.files_from.is_some();
        let has_only_a_list = self.site.collection.is_empty() && self.files_from.is_some();
        let mut skip_expected = self.site.skip.clone();
        let mut more_logs = self.site.more_logs();
        let staging_is_named = self.site.staging.is_some();
        let mut site = self.site.site()?;
        if has_only_a_list {
            site.collection.clear();
        }
        more_logs.extend(logging::into_folder(&mut site, "scan", self.shard));
        // The skip list of a site file is of the site's collection, and not of what is named instead.
        if site.has_own_skip && !is_elsewhere {
            skip_expected = site.skip.keys().cloned().collect();
        }
        Ok(Config {
            engine,
            skip_expected,
            recursive: self.recursive,
            dry_run: self.dry_run || self.quick,
            quick: self.quick,
            decide: self.decide,
            shard: self.shard,
            max_staged: self.max_staged,
            limit: self.limit,
            only: self.only,
            staging_is_named,
            wait: self.wait,
            force: self.force,
            resume: self.resume,
            keep_undecided: self.keep_undecided,
            abort_on_low_space: self.abort_on_low_space,
            deep_fs: self.fs,
            more_logs,
            ..Config::new(site)
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
