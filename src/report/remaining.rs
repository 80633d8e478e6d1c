//! What remains to be done, and the commands that do it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::account::{ArchiveEnd, Kind, Problem, RunEnd, ShardRun, Shards};
use crate::config::{self, LogTarget, Origin, Site, full_path};
use crate::log::record::PartitionCheck;
use crate::object;
use crate::reason::{Reason, Told};
use crate::sanitize::shell_word;
use crate::shard::Shard;
use crate::units::counted;

use super::loops;
use super::options::{self, are_of_shard, without_logs};
use super::to_reprocess::waiting;
use super::{ImageState, Report};

/// Folders of archives that a command names.
const FOLDERS_MOST: usize = 8;
/// The log of a report that was read from standard input.
const STDIN: &str = "/dev/stdin";
/// Archives that `imgsieve inspect` is given.
const INSPECTED_MOST: usize = 1000;

/// Where the commands are to look: what they are not told, they take from the site file.
#[derive(Debug, Clone)]
pub struct Context {
    /// The site file that was given.
    pub config: Option<PathBuf>,
    /// The site in force.
    pub site: Site,
}

impl Context {
    /// Of the site file that was given, or of the one that is found.
    pub fn of(config: Option<&Path>) -> Result<Context, config::Error> {
        let origin = Origin::find(config)?;
        Ok(Context { config: origin.to_be_named(), site: origin.site()? })
    }
}

/// What remains to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Remaining {
    /// Archives that were begun and have no end.
    pub unfinished: u64,
    /// Archives that were never begun.
    pub never_begun: u64,
    /// Archives that ended in an error which may pass.
    pub failed: u64,
    /// Archives that ended in an error which trying again does not mend: they are empty, cut, damaged, or no archives.
    pub broken: u64,
    /// Images that found no room.
    pub deferred: u64,
    /// Images that were beyond what a run may stage.
    pub beyond: u64,
    /// Images with enough partitions that could not be staged, for an error that may be mended.
    pub unstaged: u64,
    /// Images with enough partitions that cannot be staged as the archive and the options are.
    pub unstageable: u64,
    /// Images that were staged, not processed again, and are not there as they were.
    pub lost: u64,
    /// Images that would be kept, but for the dry run.
    pub would_keep: u64,
    /// The room that these would take at most, in bytes.
    pub would_take: u64,
    /// Images to be processed again, of all runs in the log.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Archives of which only the beginning was looked at.
    pub partial: u64,
    /// Images that this does not decide on.
    pub unsettled: u64,
    /// Images that could not be decided on.
    pub undecided: u64,
    /// Archives of these: paths, or as many as fit into a command.
    pub undecided_archives: Vec<PathBuf>,
    /// Shards of the collection that are not done, by what is wrong with them.
    pub shards: Vec<String>,
    /// What surveys what was not surveyed, or was without success: a command, or one a line, each for a shard
    /// or a loop over several.
    pub resume: Option<String>,
    /// What stages what a dry run would keep, in the same form.
    pub stage: Option<String>,
    /// What surveys whole archives of which only the beginning was looked at.
    pub whole: Option<String>,
    /// What surveys those of them whose beginning does not decide, and takes over the others.
    pub decide: Option<String>,
    /// What processes again what waits for it.
    pub reprocess: Option<String>,
    /// Why there is none of them, where that is no matter of what remains.
    pub why_no_command: Option<&'static str>,
    /// What prints these commands, where one is too long to be shown.
    pub report: String,
}

impl Remaining {
    /// What remains of `report`.
    #[must_use]
    pub fn of(report: &Report, context: &Context) -> Remaining {
        let mut remaining = Remaining::default();
        for archive in &report.account.archives {
            match archive.end {
                ArchiveEnd::Open => remaining.unfinished += 1,
                ArchiveEnd::Failed(ref problem) if may_pass(problem) => remaining.failed += 1,
                ArchiveEnd::Failed(_) => remaining.broken += 1,
                ArchiveEnd::Complete { ref totals, .. } => remaining.partial += u64::from(!totals.is_complete()),
            }
        }
        let problems = report.covering_runs().flat_map(|run| &run.problems);
        remaining.broken += problems.filter(|problem| problem.path.is_some()).count() as u64;
        let more = &report.account.more;
        remaining.failed += more.failed;
        remaining.deferred += more.deferred;
        remaining.would_keep += more.would_keep;
        remaining.unsettled += more.undecided;
        remaining.partial += more.partial;
        remaining.unfinished += more.archives.saturating_sub(more.complete + more.failed);
        remaining.never_begun = report.all_never_begun();
        remaining.report = report_command(report, &["--json"]);
        for (archive, image, state) in report.images() {
            remaining.note(image, state);
            if is_undecided(image) {
                remaining.undecided += 1;
                if let Some(path) = &archive.path
                    && remaining.undecided_archives.len() < INSPECTED_MOST
                    && remaining.undecided_archives.last().is_none_or(|last| last != path.as_path())
                {
                    remaining.undecided_archives.push(path.as_path().to_owned());
                }
            }
        }
        for (size, _) in waiting(&report.account.staged) {
            remaining.waiting += 1;
            remaining.waiting_bytes = remaining.waiting_bytes.saturating_add(size);
        }
        let places = Places::of(report, context);
        let last = report.account.runs.last();
        let shards = last.and_then(|run| run.shards.as_ref());
        remaining.shards = shards.map_or(Vec::new(), Shards::troubles);
        remaining.why_no_command = why_no_command(report, places.options.as_deref(), shards);
        if remaining.why_no_command.is_some() {
            return remaining;
        }
        let (to_resume, to_stage) = shards.map_or_else(Default::default, |shards| of_shards(report, shards));
        let all = |aim: Aim, chosen: &BTreeSet<usize>, is_resumed: bool| match shards {
            None => Some(places.scan(aim.words(last.map(|run| Kind::of(&run.start))), places.options.as_deref())),
            Some(shards) => {
                let of_runs = chosen.iter().filter_map(|&index| shards.runs.get(index));
                let of_runs = of_runs.map(|run| (run.index, run.options.clone(), Some(run.kind)));
                let kind = shards.runs.first().map(|run| run.kind);
                let of_missing = shards.missing().filter(|_| is_resumed);
                let of_missing = of_missing.map(|index| (index, missing(shards, index), kind));
                let commands = of_runs.chain(of_missing).filter_map(|(index, options, kind)| {
                    Some((Shard::new(index, shards.count)?, places.scan(aim.words(kind), Some(&options?))))
                });
                Some(loops::lines(commands)).filter(|commands| !commands.is_empty())
            }
        };
        if remaining.to_resume() > 0 || !remaining.shards.is_empty() {
            remaining.resume = all(Aim::Resume, &to_resume, true);
        }
        if remaining.partial > 0 {
            let runs = shards.map_or(&[][..], |shards| &shards.runs).iter().enumerate();
            let quick = runs.filter(|(_, run)| run.kind == Kind::Quick).map(|(index, _)| index).collect();
            remaining.whole = all(Aim::Whole, &quick, false);
            if remaining.unsettled > 0 {
                remaining.decide = all(Aim::Decide, &quick, false);
            }
        }
        if remaining.would_keep > 0 {
            remaining.stage = all(Aim::Stage, &to_stage, false);
        }
        if remaining.waiting > 0 {
            remaining.reprocess = Some(places.reprocess());
        }
        remaining
    }

    fn note(&mut self, image: &PartitionCheck, state: &ImageState) {
        match state {
            ImageState::Deferred if is_beyond_limit(image) => self.beyond += 1,
            ImageState::Deferred => self.deferred += 1,
            ImageState::Undecided => self.unsettled += 1,
            ImageState::Error if image.partitions.is_some() && may_be_staged(image) => self.unstaged += 1,
            ImageState::Error if image.partitions.is_some() => self.unstageable += 1,
            ImageState::Gone | ImageState::Changed(_) => self.lost += 1,
            // It is there.
            ImageState::WouldKeep if image.existing == Some(true) => {}
            ImageState::WouldKeep => {
                self.would_keep += 1;
                self.would_take = self.would_take.saturating_add(image.room().unwrap_or(image.size()));
            }
            _ => {}
        }
    }

    fn to_resume(&self) -> u64 {
        self.unfinished + self.never_begun + self.failed + self.deferred + self.beyond + self.unstaged + self.lost
    }

    /// What a run with `--resume` does again, in words.
    #[must_use]
    pub fn to_survey(&self) -> Vec<String> {
        let parts = [
            (self.unfinished, "archive", "not finished"),
            (self.never_begun, "archive", "never begun"),
            (self.failed, "archive", "with an error that another run may not meet"),
            (self.deferred, "image", "without room: free some first"),
            (self.beyond, "image", "beyond --max-staged"),
            (self.unstaged, "image", "not staged for an error: fix it first"),
            (self.lost, "image", "gone from staging, or changed"),
        ];
        let parts = parts.iter().filter(|(number, ..)| *number > 0);
        let shards = self.shards.iter().map(|trouble| format!("shards {trouble}"));
        parts.map(|&(number, noun, what)| format!("{} {what}", counted(number, noun))).chain(shards).collect()
    }

    /// The command that looks at archives with undecided images, of which it names `most`, and how many it does not.
    #[must_use]
    pub fn inspect(&self, most: usize) -> Option<(String, usize)> {
        let named = self.undecided_archives.iter().take(most).map(|path| path.as_os_str().as_bytes());
        let arguments = [&b"imgsieve"[..], b"inspect"].into_iter().chain(named);
        let more = self.undecided_archives.len().saturating_sub(most);
        (!self.undecided_archives.is_empty()).then(|| (command(arguments), more))
    }
}

/// What a command is to do.
#[derive(Clone, Copy)]
enum Aim {
    /// What was not surveyed, or was without success.
    Resume,
    /// To stage what a dry run would keep.
    Stage,
    /// To survey whole archives, of which only the beginning was looked at.
    Whole,
    /// The same of those whose beginning does not decide.
    Decide,
}

impl Aim {
    /// The words of the command, for a run of this kind.
    fn words(self, kind: Option<Kind>) -> &'static [&'static str] {
        match (self, kind) {
            (Aim::Decide, _) => &["scan", "--quick", "--decide", "--resume"],
            (Aim::Resume, Some(Kind::Quick)) => &["scan", "--quick", "--resume"],
            (Aim::Resume, Some(Kind::Dry)) | (Aim::Whole, _) => &["scan", "--dry-run", "--resume"],
            (Aim::Resume | Aim::Stage, _) => &["scan", "--resume"],
        }
    }
}

/// Why no command can go on with what `report` is of: a run of these options, or runs over shards.
fn why_no_command(report: &Report, options: Option<&[Vec<u8>]>, shards: Option<&Shards>) -> Option<&'static str> {
    if !matches!(LogTarget::of(&report.log), LogTarget::File(_)) || report.log == Path::new(STDIN) {
        return Some("Commands that go on are given where the log is a file.");
    }
    let of_shards = shards.iter().flat_map(|shards| &shards.runs).filter_map(|run| run.options.as_deref());
    if !options.into_iter().chain(of_shards).all(options::are_repeatable) {
        return Some(
            "The list of archives came from standard input: scan --resume goes on with it if it is given again.",
        );
    }
    let are_mixed = report.account.runs.iter().all(|run| !run.is_last)
        && report.account.runs.iter().any(|run| run.start.shard.is_some());
    are_mixed.then_some("Some of these runs are over shards, and no command goes on with all.")
}

/// The runs over shards that left something to be surveyed again, and those that would keep an image.
fn of_shards(report: &Report, shards: &Shards) -> (BTreeSet<usize>, BTreeSet<usize>) {
    let is_over = |run: &&ShardRun| matches!(run.end, Some(RunEnd::Complete(_))) && run.never_begun == 0;
    let open = shards.runs.iter().enumerate().filter(|(_, run)| !is_over(run)).map(|(index, _)| index);
    let mut resume: BTreeSet<usize> = open.collect();
    let mut stage = BTreeSet::new();
    let last = report.account.runs.len().saturating_sub(1);
    for (archive, states) in report.account.archives.iter().zip(&report.states) {
        if archive.run != last {
            continue;
        }
        let mut remaining = Remaining::default();
        archive.images.iter().zip(states).for_each(|(image, state)| remaining.note(image, state));
        let is_open = match &archive.end {
            ArchiveEnd::Open => true,
            ArchiveEnd::Failed(problem) => may_pass(problem),
            ArchiveEnd::Complete { .. } => false,
        };
        if is_open || remaining.to_resume() > 0 {
            resume.insert(archive.shard);
        }
        if remaining.would_keep > 0 {
            stage.insert(archive.shard);
        }
    }
    (resume, stage)
}

/// The options of a run over a shard of which there is none, as of another one's, where they log to a folder.
fn missing(shards: &Shards, index: u32) -> Option<Vec<Vec<u8>>> {
    let mut options = shards.runs.first()?.options.clone()?;
    let log = options.windows(2).find(|pair| pair[0] == b"--log").map(|pair| pair[1].clone())?;
    let log = Path::new(OsStr::from_bytes(&log));
    if log.extension().is_some_and(|extension| extension == "jsonl") || !log.is_dir() {
        return None;
    }
    let shard = options.iter_mut().find(|option| option.starts_with(b"--shard="))?;
    *shard = format!("--shard={index}/{}", shards.count).into_bytes();
    Some(options)
}

/// Whether nobody knows how many partitions an image has.
fn is_undecided(image: &PartitionCheck) -> bool {
    image.partitions.is_none() && matches!(image.action.as_str(), "KEPT" | "error")
}

/// The places that a command has to be told.
struct Places<'a> {
    context: &'a Context,
    /// The log that commands append to, and those that they only read. None where the options or the site file say it.
    logs: Vec<PathBuf>,
    staging: Option<&'a Path>,
    folders: BTreeSet<&'a Path>,
    /// The options of the last run, if it logged them; of several over shards, those of the first.
    options: Option<Vec<Vec<u8>>>,
}

impl<'a> Places<'a> {
    fn of(report: &'a Report, context: &'a Context) -> Places<'a> {
        let site = &context.site;
        let staging = report.images().find_map(|(archive, image, _)| {
            let path = image.path.as_ref()?.as_path();
            root(path, archive.hash.as_os_str())
        });
        let parents = report.account.archives.iter().filter_map(|archive| archive.path.as_ref()?.as_path().parent());
        let mut folders = BTreeSet::new();
        for folder in parents {
            if folders.len() <= FOLDERS_MOST && (folder.is_absolute() || object::is_url(folder)) {
                folders.insert(folder);
            }
        }
        if folders.len() > FOLDERS_MOST || folders.iter().all(|folder| site.collection.iter().any(|own| own == folder))
        {
            folders.clear();
        }
        let last = report.account.runs.last();
        let shards = last.and_then(|run| run.shards.as_ref());
        let options = last.and_then(|run| match shards {
            Some(shards) => shards.runs.first()?.options.clone(),
            None => run.start.exact_options(),
        });
        // Each shard has a log of its own.
        let logs = match shards.filter(|_| report.logs > 1) {
            Some(_) => logs_of_shards(report),
            None => logs(report, context, options.as_deref()),
        };
        Places { context, logs, staging: staging.filter(|staging| *staging != site.staging), folders, options }
    }

    /// A command that surveys as a run of these options did.
    fn scan(&self, words: &[&str], options: Option<&[Vec<u8>]>) -> String {
        let words = ["imgsieve"].iter().chain(words).map(|word| word.as_bytes());
        if let Some(options) = options {
            let own = if self.logs.is_empty() || are_of_shard(options) {
                options.iter().map(Vec::as_slice).collect()
            } else {
                without_logs(options)
            };
            let logs = self.of_logs().filter(|_| !are_of_shard(options));
            // In front: archives and folders of them stand at the end.
            return command(words.chain(logs).chain(own));
        }
        let folders = self.folders.iter().map(|folder| folder.as_os_str().as_bytes());
        command(words.chain(self.of_places()).chain(folders))
    }

    /// The command that processes again what that staged.
    fn reprocess(&self) -> String {
        let words = [&b"imgsieve"[..], b"reprocess"].into_iter();
        if let Some(options) = &self.options {
            let is_log = |word: &[u8]| self.logs.is_empty() && word == b"--log";
            let is_of_place = |pair: &&[Vec<u8>]| matches!(&*pair[0], b"--config" | b"--staging") || is_log(&pair[0]);
            let pairs = options::each(options).filter(is_of_place).flatten().map(Vec::as_slice);
            return command(words.chain(self.of_logs()).chain(pairs));
        }
        command(words.chain(self.of_places()))
    }

    /// The options that say where things are, of a run that did not log its own.
    fn of_places(&self) -> impl Iterator<Item = &[u8]> {
        let given = |option: &'static str, value: Option<&'a Path>| {
            value.into_iter().flat_map(move |value| [option.as_bytes(), value.as_os_str().as_bytes()])
        };
        let config = given("--config", self.context.config.as_deref());
        config.chain(self.of_logs()).chain(given("--staging", self.staging))
    }

    fn of_logs(&self) -> impl Iterator<Item = &[u8]> {
        self.logs.iter().flat_map(|log| [&b"--log"[..], log.as_os_str().as_bytes()])
    }
}

/// The command that tells of the same runs with these options.
fn report_command(report: &Report, options: &[&str]) -> String {
    let logs = if report.named.is_empty() { std::slice::from_ref(&report.log) } else { &report.named[..] };
    let logs: Vec<PathBuf> = logs.iter().map(|log| full_path(log)).collect();
    let mut last = report.account.runs.iter().filter(|run| run.is_last);
    let run = match (last.next(), last.next()) {
        (None, _) => Some("all"),
        (Some(run), None) => Some(&*run.id),
        (Some(_), Some(_)) => None,
    };
    let run = run.filter(|run| !run.is_empty()).into_iter().flat_map(|run| [&b"--run"[..], run.as_bytes()]);
    let words = ["imgsieve", "report"].iter().chain(options).map(|word| word.as_bytes()).chain(run);
    command(words.chain(logs.iter().map(|log| log.as_os_str().as_bytes())))
}

/// The folder of the logs of shards, for commands that go by all of them; with a slash, so that it is seen to be one.
fn logs_of_shards(report: &Report) -> Vec<PathBuf> {
    full_path(&report.log).parent().map(|folder| folder.join("")).into_iter().collect()
}

/// The logs that a command has to be told, first the one that it appends to; none where `options`, which are those of the last
/// run if it logged its own, or the site file in force say it.
fn logs(report: &Report, context: &Context, options: Option<&[Vec<u8>]>) -> Vec<PathBuf> {
    let full =
        |path: &Path| if matches!(LogTarget::of(path), LogTarget::File(_)) { full_path(path) } else { path.to_owned() };
    let own = full(&report.log);
    let Some(options) = options else {
        let is_site_s = report.named.is_empty() && own == context.site.log;
        let mut logs = if is_site_s { Vec::new() } else { vec![own] };
        add_all(&mut logs, report.named.iter().map(|named| full(named)));
        return logs;
    };
    if report.named.is_empty() {
        return Vec::new();
    }
    let mut logs: Vec<PathBuf> = Vec::new();
    let (mut config, mut is_elsewhere) = (None, false);
    for option in options::each(options) {
        let [name, value] = option else { continue };
        let value = PathBuf::from(OsStr::from_bytes(value));
        match &**name {
            b"--log" if matches!(LogTarget::of(&value), LogTarget::File(_)) => logs.push(value),
            b"--log" => is_elsewhere = true,
            b"--config" => config = Some(value),
            _ => {}
        }
    }
    if logs.is_empty() {
        // The first is appended to, and so has to be the run's own: where it was written to standard output, this one.
        let of_run = config.map_or_else(|| Some(Site::built_in()), |path| Site::read(&path).ok());
        logs.push(of_run.filter(|_| !is_elsewhere).map_or(own, |site| site.log));
    }
    add_all(&mut logs, report.named.iter().map(|named| full(named)));
    logs
}

/// Adds those that are not there yet.
fn add_all(logs: &mut Vec<PathBuf>, more: impl Iterator<Item = PathBuf>) {
    for log in more {
        if !logs.contains(&log) {
            logs.push(log);
        }
    }
}

/// Whether an image that was not staged may be by another run with the same options.
fn may_be_staged(image: &PartitionCheck) -> bool {
    match &image.reason {
        Some(Told::Known(reason)) => reason.may_pass() && !matches!(reason, Reason::MaxImageSize | Reason::MaxStaged),
        _ => true,
    }
}

/// Whether `--max-staged` allows no more, of an image that was not staged.
fn is_beyond_limit(image: &PartitionCheck) -> bool {
    image.reason == Some(Told::Known(Reason::MaxStaged))
}

/// Whether surveying an archive again may end otherwise.
fn may_pass(problem: &Problem) -> bool {
    let reason = Reason::ALL.iter().map(|(reason, _)| *reason).find(|reason| reason.as_str() == problem.reason);
    reason.is_none_or(Reason::may_pass)
}

/// The staging folder in which `path` is of an image of the archive `hash`.
pub(super) fn root<'a>(path: &'a Path, hash: &OsStr) -> Option<&'a Path> {
    let folder = path.parent()?;
    let folder = if folder.file_name() == Some(hash) { folder } else { folder.parent()? };
    (folder.file_name() == Some(hash)).then(|| folder.parent())?
}

/// A command for a shell.
fn command<'a>(words: impl IntoIterator<Item = &'a [u8]>) -> String {
    words.into_iter().map(shell_word).collect::<Vec<_>>().join(" ")
}
