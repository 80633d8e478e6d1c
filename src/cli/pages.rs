//! What the command line says of itself: its defaults, and the pages of the manual. They are made of the types in
//! [`args`](super::args), so that a subcommand or an option is in them as soon as it is there.

mod cloud;
pub mod samples;

use std::any::TypeId;
use std::fmt::Display;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::CommandFactory;
use clap::builder::{OsStringValueParser, PossibleValuesParser, StringValueParser, TypedValueParser};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, italic, roman};

use super::args::{Arguments, EXIT_CODES};
use crate::config::{self, Site};
use crate::log::manual::{self, Field};
use crate::reason::Reason;

/// The changelog has the date of each version.
const CHANGELOG: &str = include_str!("../../CHANGELOG.md");

/// Programs that people use with this one.
const RELATED: [(&str, &str); 5] = [("blkid", "8"), ("losetup", "8"), ("sfdisk", "8"), ("tar", "1"), ("zstd", "1")];

/// The page that is about no subcommand: the format of the log.
const LOG_PAGE: &str = "log";

/// The page that is about no subcommand either: runs by the clock, and logs that are rotated.
const SCHEDULE_PAGE: &str = "schedule";

/// And this one: archives in object storage.
const CLOUD_PAGE: &str = "cloud";

/// Nor is this one: a collection in shards, under an engine that runs them.
const SHARDS_PAGE: &str = "shards";

/// Pages about no subcommand.
const TOPICS: [&str; 4] = [CLOUD_PAGE, LOG_PAGE, SCHEDULE_PAGE, SHARDS_PAGE];

/// Longest line of a page that mandoc has nothing to say about, in bytes.
const LINE_LIMIT: usize = 80;

/// A page that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("writing {}", path.display())]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

/// The command line; its options show the built-in site's values, and `man` knows the names of its pages.
pub fn command() -> clap::Command {
    let command = with_numbers(with_paths(with_site_defaults(Arguments::command())));
    let subcommands = command.get_subcommands().map(|each| each.get_name().to_owned());
    let names: Vec<String> = subcommands.chain(TOPICS.map(str::to_owned)).collect();
    command.mut_subcommand("man", |man| {
        let parser = PossibleValuesParser::new(names);
        let samples = PossibleValuesParser::new(samples::all().map(|sample| sample.name));
        man.mut_arg("subcommand", |name| name.value_parser(parser).hide_possible_values(true))
            .mut_arg("sample", |name| name.value_parser(samples))
    })
}

/// Arguments that may be URLs of archives in object storage.
const PLACES: [&str; 3] = ["archive", "collection", "files"];

/// Has every path that is given take `~` for the user's own folder, and know a URL where one may be.
fn with_paths(command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|each| each.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |subcommand| {
            subcommand.mut_args(|arg| {
                let is_path = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
                if !is_path {
                    return arg;
                }
                let is_place = PLACES.contains(&arg.get_id().as_str());
                let meant = move |path: &Path| if is_place { config::place(path) } else { config::local("path", path) };
                arg.value_parser(OsStringValueParser::new().try_map(move |path| meant(Path::new(&path))))
            })
        })
    })
}

/// Has every number that is given say what it has to be, where it is none; one below zero, too, which looks like an option.
fn with_numbers(command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|each| each.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |subcommand| {
            subcommand.mut_args(|arg| {
                let least = u32::from(matches!(arg.get_id().as_str(), "jobs" | "min_partitions"));
                let arg = with_number::<usize>(arg, least as usize);
                let arg = with_number::<u32>(arg, least);
                let arg = with_number::<u64>(arg, u64::MIN);
                with_number::<NonZeroUsize>(arg, NonZeroUsize::MIN)
            })
        })
    })
}

/// The same where the option's value is a `T`, of which `least` is the least.
fn with_number<T>(arg: clap::Arg, least: T) -> clap::Arg
where
    T: FromStr + Display + PartialOrd + Copy + Send + Sync + 'static,
{
    if arg.get_value_parser().type_id() != TypeId::of::<T>() {
        return arg;
    }
    let parse = move |text: String| {
        let number = text.parse::<T>().ok().filter(|number| *number >= least);
        number.ok_or_else(|| format!("must be a whole number, {least} or more"))
    };
    arg.value_parser(StringValueParser::new().try_map(parse)).allow_negative_numbers(true)
}

/// Each subcommand's options that override a key of the site file, with the value that the built-in one has.
fn with_site_defaults(command: clap::Command) -> clap::Command {
    let site = Site::built_in();
    let collection: Vec<String> = site.collection.iter().map(|path| path.display().to_string()).collect();
    let defaults = [
        ("collection", collection.join(" ")),
        ("staging", site.staging.display().to_string()),
        ("log", site.log.display().to_string()),
        ("min_archive_size", site.min_archive_size.to_string()),
        ("min_image_size", site.min_image_size.to_string()),
        ("min_partitions", site.min_partitions.to_string()),
        ("min_free", site.min_free.to_string()),
        ("image_suffix", site.image_suffix.to_string()),
        ("max_window", site.max_window.to_string()),
    ];
    // Of others the help is not looked at, which takes longer than all the rest of a start.
    let of_site = |arg: &clap::Arg| {
        let (_, value) = defaults.iter().find(|(id, _)| arg.get_id() == id)?;
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let is_told = !arg.get_default_values().is_empty() || help.contains("[default:");
        (!is_told).then(|| format!("{help} [default: {value}]"))
    };
    let names: Vec<String> = command.get_subcommands().map(|each| each.get_name().to_owned()).collect();
    names.iter().fold(command, |command, name| {
        command.mut_subcommand(name, |subcommand| {
            subcommand.mut_args(|arg| match of_site(&arg) {
                Some(help) => arg.help(help),
                None => arg,
            })
        })
    })
}

/// The page of a subcommand, or of the program, in roff.
pub fn manual(subcommand: Option<&str>) -> String {
    let program = documented();
    if let Some(topic) = subcommand.filter(|name| TOPICS.contains(name)) {
        return topic_page(&program, topic);
    }
    let command = subcommand.and_then(|name| program.find_subcommand(name)).unwrap_or(&program);
    page(&program, command)
}

/// Writes every page to `folder`, as `imgsieve.1`, `imgsieve-scan.1` and so on. The folder is made if it is missing.
pub fn write_manual(folder: &Path) -> Result<(), Error> {
    let error = |path: &Path| {
        let path = path.to_owned();
        |source| Error { path, source }
    };
    std::fs::create_dir_all(folder).map_err(error(folder))?;
    let program = documented();
    for command in std::iter::once(&program).chain(program.get_subcommands()) {
        let path = folder.join(format!("{}.1", page_name(command)));
        std::fs::write(&path, page(&program, command)).map_err(error(&path))?;
    }
    for topic in TOPICS {
        let path = folder.join(format!("imgsieve-{topic}.1"));
        std::fs::write(&path, topic_page(&program, topic)).map_err(error(&path))?;
    }
    Ok(())
}

/// The command line with all that is derived, less `help`, which the manual stands in for.
fn documented() -> clap::Command {
    let mut program = command().disable_help_subcommand(true);
    program.build();
    program
}

/// A page about no subcommand.
fn topic_page(program: &clap::Command, topic: &str) -> String {
    let mut roff = Roff::new();
    let version = concat!("imgsieve ", env!("CARGO_PKG_VERSION"));
    let title = format!("IMGSIEVE-{}", topic.to_uppercase());
    roff.control("TH", [&*title, "1", released(), version, "User Commands"]);
    match topic {
        LOG_PAGE => log_page(&mut roff),
        CLOUD_PAGE => cloud_page(&mut roff),
        SHARDS_PAGE => shards_page(&mut roff),
        _ => schedule_page(&mut roff),
    }
    let own = format!("imgsieve-{topic}");
    see_also(&mut roff, program, &own);
    let mut page = Vec::new();
    roff.to_writer(&mut page).expect("a Vec takes everything");
    tidy(&String::from_utf8_lossy(&page))
}

/// Archives in object storage.
fn cloud_page(roff: &mut Roff) {
    roff.control("SH", ["NAME"]);
    roff.text([roman(cloud::NAME)]);
    for (heading, text) in cloud::SECTIONS {
        roff.control("SH", [heading]);
        paragraphs(roff, text);
    }
    roff.control("SH", ["EXAMPLES"]);
    for (line, explanation) in cloud::EXAMPLES {
        example(roff, line, explanation);
    }
}

/// What is needed to run by the clock.
fn schedule_page(roff: &mut Roff) {
    roff.control("SH", ["NAME"]);
    roff.text([roman("imgsieve-schedule - runs of imgsieve by the clock, and its log rotated")]);
    roff.control("SH", ["DESCRIPTION"]);
    paragraphs(
        roff,
        &[
            "A run at a time: a second one on the same staging folder is refused. With --resume, a run goes on where earlier \
             ones ended, by their log. Partial files that a killed run left are removed by the next.",
            "Where standard output and standard error go to the same place and that is no terminal, as in a mail of cron, \
             errors are said once: in the summary at the end. With -q there is no summary; errors that the last run of the \
             log that began has had, too, are only counted: of the same archive or file, the same image, and for the same \
             reason. So does imgsieve verify with an archive that failed for the same reason when it was last verified, and \
             imgsieve reprocess with an image that its command ended the same way on the last time.",
            "A log may be rotated at any time. A run that finds its log renamed or removed opens it anew at its next archive, \
             or staged image; SIGUSR1 asks for the same. Until then it writes to the file that was renamed. A new log that \
             cannot be opened ends the run, as one that cannot be written does. Its parts read as one log: imgsieve report \
             OLD NEW, or the folder that they are in.",
        ],
    );
    samples::show(roff, &samples::SCHEDULE);
}

/// How a collection is surveyed in parts.
fn shards_page(roff: &mut Roff) {
    roff.control("SH", ["NAME"]);
    roff.text([roman("imgsieve-shards - a collection surveyed in parts, on many machines")]);
    roff.control("SH", ["DESCRIPTION"]);
    paragraphs(
        roff,
        &[
            "imgsieve scan --shard K/N surveys one of N parts of a collection, K from 0. The part of an archive is the SHA-256 \
             of its name, HASH.tar.zst, as a big-endian number, modulo N; a name that ends otherwise, as HASH.tzst, counts as \
             HASH.tar.zst. It is decided before anything is asked of the file, so that shards that list the collection at \
             different times agree, and an archive that comes or goes moves no other. Files that are no archives belong to a \
             shard by their whole names. 8 to 32 shards per machine let the engine's queue balance them. Name N everywhere: \
             engines that run one task of an array again may count it as the only one. --files-from takes a list that somebody \
             divided already; with --shard, the shard's archives of it.",
            "With --log FOLDER/, each shard has a log of its own there, scan-K-of-N.jsonl. Of the other logs in the folder it reads \
             all but those of its siblings, which have the same N: they have nothing of its archives. imgsieve report FOLDER is the report of one run over the whole collection: of each shard, the last run counts, and shards \
             that are missing, unfinished, interrupted or failed are named. With --resume, a shard goes on where its log ends, \
             and takes over what shards of another number have done. imgsieve reprocess --log FOLDER/ goes by all logs, and \
             takes --shard K/N, too.",
            "Shards stage to one folder: each holds a shared lock on it, and an exclusive one on the folder of the archive that \
             it stages from; a run that is no shard has it alone. Each asks for the free space anew before an image and at \
             every 4 MiB that it writes, and gives an image up below the minimum; within 8 GiB of it they write one at a time, \
             so that it holds for all of them together (without locks, each only looks); what found no room is tried again at \
             the end of a run, by one run at a time. --max-staged limits what a run stages; an image larger than that is an error. Partial files have the run's ID in \
             their names, and only those that nobody writes to are removed. Where the mount says that locks are those of one \
             machine (local_lock, nolock, localflock, nobrl), a run warns of that, and leaves alone what was written to \
             within a day. Without locks, too, no image is half, and none is replaced.",
            "Exit code 75 means that not all was done, and that trying again later may mend it: another run uses staging, or \
             writes to the archive's folder; too little room at the start; the collection or staging is not there; the log \
             cannot be opened; or whatever else keeps a shard from beginning. 1 means that somebody should look, and of a shard \
             that it came to its end. On SIGTERM, as before a preemption, a run removes its partial files, and ends with 143: within a second, unless the storage takes longer \
             for a read, a write or a sync that has begun.",
        ],
    );
    samples::show(roff, &samples::SHARDS);
}

/// The format of the log, as the types of its lines document it.
fn log_page(roff: &mut Roff) {
    roff.control("SH", ["NAME"]);
    roff.text([roman("imgsieve-log - the format of the log of imgsieve")]);
    roff.control("SH", ["DESCRIPTION"]);
    paragraphs(
        roff,
        &[
            "The log is JSON Lines: one object and one write per line, appended. Each line begins with ts (UTC, \
             YYYY-MM-DDThh:mm:ssZ) and stage, and ends with run, 16 hexadecimal digits that are the same for all lines of a \
             run. Fields may be added by later versions, and are never renamed or dropped. A file that is not empty and \
             does not begin with { is not appended to.",
            "Every archive that was started ends in one archive_complete or one error of scope archive, and every image \
             that was found has one partition_check, unless the run was interrupted or aborted.",
            "Names come from archives and are untrusted: what a terminal would interpret is escaped. The exact bytes of \
             a name that is not UTF-8 are given in base64: img_bytes beside img, and likewise hash_bytes, member_bytes, \
             path_bytes, archive_bytes, dest_bytes and output_bytes. A name of more than 4096 bytes is cut short, and \
             ends in its SHA-256.",
        ],
    );
    roff.control("SH", ["STAGES"]);
    for stage in manual::stages() {
        roff.control("SS", [stage.name]);
        roff.text([roman(stage.when)]);
        definitions(roff, &stage.fields);
    }
    roff.control("SH", ["OBJECTS"]);
    for (field, fields) in manual::objects() {
        roff.control("SS", [field]);
        definitions(roff, &fields);
    }
    roff.control("SH", ["REASONS"]);
    let reasons: Vec<Field> = Reason::ALL
        .iter()
        .map(|(reason, meaning)| (reason.as_str().to_owned(), meaning.trim().replace('`', "")))
        .collect();
    definitions(roff, &reasons);
}

fn paragraphs(roff: &mut Roff, paragraphs: &[&str]) {
    for (index, paragraph) in paragraphs.iter().enumerate() {
        if index > 0 {
            roff.control("PP", []);
        }
        roff.text([roman(*paragraph)]);
    }
}

fn definitions(roff: &mut Roff, fields: &[Field]) {
    for (name, meaning) in fields {
        roff.control("TP", []);
        roff.text([bold(name)]);
        roff.text([roman(meaning.replace('`', ""))]);
    }
}

fn page_name(command: &clap::Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn page(program: &clap::Command, command: &clap::Command) -> String {
    let mut page = Vec::new();
    render(program, command, &mut page).expect("a Vec takes everything");
    tidy(&String::from_utf8_lossy(&page))
}

fn render(program: &clap::Command, command: &clap::Command, page: &mut Vec<u8>) -> io::Result<()> {
    // As the help has it: clap_mangen's own does not tell what may be repeated, nor what follows `--`.
    let usage = command.clone().render_usage().to_string();
    let command = command.clone().override_usage(usage.trim_start_matches("Usage: ").to_owned());
    let version = concat!("imgsieve ", env!("CARGO_PKG_VERSION"));
    let title = page_name(&command).to_uppercase();
    let man = Man::new(command.clone()).title(title).date(released()).source(version).manual("User Commands");
    man.render_title(page)?;
    man.render_name_section(page)?;
    man.render_synopsis_section(page)?;
    man.render_description_section(page)?;
    man.render_options_section(page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(page)?;
    }
    let mut roff = Roff::new();
    exit_status(&mut roff);
    files(&mut roff, &command);
    examples(&mut roff, &command);
    see_also(&mut roff, program, page_name(&command));
    roff.to_writer(page)
}

/// The date of the newest version in the changelog, `YYYY-MM-DD`.
fn released() -> &'static str {
    let dates = CHANGELOG.lines().filter_map(|line| line.strip_prefix("## [")?.split_once("] - "));
    dates.map(|(_, date)| date).next().unwrap_or_default()
}

fn exit_status(roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    let list = EXIT_CODES.trim_start_matches("Exit codes: ").trim_end_matches('.');
    for (codes, meaning) in list.split("; ").filter_map(code_and_meaning) {
        roff.control("TP", []);
        roff.text([bold(codes)]);
        roff.text([roman(meaning)]);
    }
}

/// `129, 130 after a signal` in two.
fn code_and_meaning(text: &str) -> Option<(&str, &str)> {
    let (codes, meaning) = text.split_at_checked(text.find(char::is_alphabetic)?)?;
    Some((codes.trim_end(), meaning))
}

/// The built-in places for which the command takes an option.
fn files(roff: &mut Roff, command: &clap::Command) {
    let site = Site::built_in();
    let kept = site.staging.join("HASH/NAME.img");
    let partial = site.staging.join("HASH/.imgsieve-RUN-N.partial");
    let collection =
        site.collection.iter().map(|path| ("collection", path, "The collection. Nothing in it is changed."));
    let places = [
        ("staging", &kept, "An image that was kept; it is complete."),
        ("staging", &partial, "An image that is being written. The next run removes what a killed run left."),
        ("log", &site.log, "The log, in JSON Lines, appended to."),
    ];
    let with_subcommands = || std::iter::once(command).chain(command.get_subcommands());
    let takes = |id: &str| with_subcommands().flat_map(clap::Command::get_arguments).any(|each| each.get_id() == id);
    let entries: Vec<_> = collection.chain(places).filter(|(id, ..)| takes(id)).collect();
    if entries.is_empty() {
        return;
    }
    roff.control("SH", ["FILES"]);
    for (_, path, what) in entries {
        roff.control("TP", []);
        roff.text([italic(path.to_string_lossy())]);
        roff.text([roman(what)]);
    }
}

/// The examples of the command's help, or for the program the first of each subcommand.
fn examples(roff: &mut Roff, command: &clap::Command) {
    let firsts = command.get_subcommands().filter_map(|each| examples_in_help(each).into_iter().next());
    let examples: Vec<Example> = examples_in_help(command).into_iter().chain(firsts).collect();
    if examples.is_empty() {
        return;
    }
    roff.control("SH", ["EXAMPLES"]);
    for Example { line, explanation } in &examples {
        example(roff, line, explanation);
    }
}

/// A command line, and under it what it does.
fn example(roff: &mut Roff, line: &str, explanation: &str) {
    // Filled, a command line would be broken and hyphenated, and run into what follows.
    roff.control("PP", []);
    roff.control("nf", []);
    roff.text([bold(line)]);
    roff.control("fi", []);
    if !explanation.is_empty() {
        roff.control("RS", ["4"]);
        roff.text([roman(explanation)]);
        roff.control("RE", []);
    }
}

/// A command line, and what it does; empty if that goes without saying.
struct Example {
    line: String,
    explanation: String,
}

/// In the help, a command line is indented by two, and what it does by more.
fn examples_in_help(command: &clap::Command) -> Vec<Example> {
    let help = command.get_after_long_help().or(command.get_after_help()).map(ToString::to_string).unwrap_or_default();
    let lines = help.lines().skip_while(|line| *line != "Examples:").skip(1).take_while(|line| !line.is_empty());
    let mut examples: Vec<Example> = Vec::new();
    for line in lines {
        match examples.last_mut() {
            Some(example) if line.starts_with("   ") => {
                let space = if example.explanation.is_empty() { "" } else { " " };
                example.explanation.extend([space, line.trim()]);
            }
            _ => examples.push(Example { line: line.trim().to_owned(), explanation: String::new() }),
        }
    }
    examples
}

/// The other pages than `own`.
fn see_also(roff: &mut Roff, program: &clap::Command, own: &str) {
    roff.control("SH", ["SEE ALSO"]);
    let topics = TOPICS.map(|topic| format!("imgsieve-{topic}"));
    let commands = std::iter::once(program).chain(program.get_subcommands()).map(page_name);
    let ours = commands.chain(topics.iter().map(String::as_str));
    let others = ours.filter(|name| *name != own).map(|name| (name, "1"));
    let mut list = Vec::new();
    for (name, section) in others.chain(RELATED) {
        let separator = if list.is_empty() { "" } else { ", " };
        list.extend([roman(separator), bold(name), roman(format!("({section})"))]);
    }
    roff.text(list);
}

/// The page without what linters of manuals complain of: space without effect, and lines longer than [`LINE_LIMIT`].
fn tidy(page: &str) -> String {
    let is_space = |line: &str| matches!(line, ".br" | ".sp" | ".PP");
    let mut tidied: Vec<String> = Vec::new();
    let mut is_filled = true;
    for line in page.lines().map(str::trim_end) {
        let line = if line.is_empty() { ".sp" } else { line };
        match tidied.last_mut() {
            Some(last) if is_space(line) && last == ".br" => line.clone_into(last),
            Some(last) if is_space(line) && (is_space(last) || last.starts_with(".SH")) => {}
            _ if line.starts_with('.') => {
                is_filled = match line {
                    ".nf" | ".EX" => false,
                    ".fi" | ".EE" => true,
                    _ => is_filled,
                };
                tidied.push(line.to_owned());
            }
            _ if !is_filled => tidied.push(unfilled(line)),
            _ => tidied.extend(wrapped(line)),
        }
    }
    tidied.join("\n") + "\n"
}

/// A line that stays one, as it stands: a backslash at the end of a line goes on with it.
fn unfilled(line: &str) -> String {
    let indent = line.len() - line.trim_start_matches(' ').len();
    let (indent, text) = line.split_at(indent);
    format!("{indent}{}", wrapped(text).join(" \\\n"))
}

/// A line of text, broken at spaces.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() => line.push_str(word),
            Some(line) if line.len() + 1 + word.len() <= LINE_LIMIT => line.extend([" ", word]),
            // What looks like a request is text.
            _ if word.starts_with(['.', '\'']) => lines.push(format!("\\&{word}")),
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Options and arguments that have no default: where they are left out, nothing stands in for them.
    const WITHOUT_DEFAULT: [(&str, &str); 6] = [
        ("scan", "skip"),
        ("config", "skip"),
        ("report", "html"),
        ("man", "to"),
        ("completions", "values"),
        ("completions", "shell"),
    ];

    #[test]
    fn every_value_that_may_be_left_out_has_its_default_in_the_help() {
        let mut command = command();
        command.build();
        let mut lacking = Vec::new();
        for subcommand in command.get_subcommands() {
            for arg in subcommand.get_arguments().filter(|arg| arg.get_action().takes_values()) {
                let help = arg.get_long_help().or(arg.get_help()).map(ToString::to_string).unwrap_or_default();
                let says = help.contains("[default: ") || !arg.get_default_values().is_empty();
                if !says && !arg.is_required_set() {
                    lacking.push((subcommand.get_name(), arg.get_id().as_str()));
                }
            }
        }
        lacking.sort_unstable();
        let mut expected = WITHOUT_DEFAULT.to_vec();
        expected.sort_unstable();
        assert_eq!(lacking, expected);
    }
}
