//! What remains to be done, and the commands that do it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::account::ArchiveEnd;
use crate::config::{self, Site};
use crate::log::record::PartitionCheck;
use crate::sanitize::shell_word;

use super::to_reprocess::waiting;
use super::{ImageState, Report};

/// Folders of archives that a command names.
const FOLDERS_MOST: usize = 8;
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
    /// Of the site file that was given, if one was.
    pub fn of(config: Option<PathBuf>) -> Result<Context, config::Error> {
        let site = config.as_deref().map_or_else(|| Ok(Site::built_in()), Site::read)?;
        Ok(Context { config: config.map(|path| std::path::absolute(&path).unwrap_or(path)), site })
    }
}

/// What remains to be done.
#[derive(Debug, Default, PartialEq)]
pub struct Remaining {
    /// Archives that were begun and have no end.
    pub unfinished: u64,
    /// Archives that were never begun.
    pub never_begun: u64,
    /// Archives that ended in an error.
    pub failed: u64,
    /// Images that found no room.
    pub deferred: u64,
    /// Images that were staged, not processed again, and are not there as they were.
    pub lost: u64,
    /// Images that would be kept, were it no dry run.
    pub would_keep: u64,
    /// The room that these would take at most, in bytes.
    pub would_take: u64,
    /// Images to be processed again, of all runs in the log.
    pub waiting: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// Images that could not be decided on.
    pub undecided: u64,
    /// Archives of these: paths, or as many as fit into a command.
    pub undecided_archives: Vec<PathBuf>,
    /// What surveys again what was not done.
    pub resume: Option<String>,
    /// What processes again what waits for it.
    pub reprocess: Option<String>,
}

impl Remaining {
    /// What remains of `report`.
    #[must_use]
    pub fn of(report: &Report, context: &Context) -> Remaining {
        let mut remaining = Remaining::default();
        for archive in &report.account.archives {
            match archive.end {
                ArchiveEnd::Open => remaining.unfinished += 1,
                ArchiveEnd::Failed(_) => remaining.failed += 1,
                ArchiveEnd::Complete { .. } => {}
            }
        }
        let more = &report.account.more;
        remaining.failed += more.failed;
        remaining.unfinished += more.archives.saturating_sub(more.complete + more.failed);
        remaining.never_begun = report.all_never_begun();
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
        if remaining.to_resume() > 0 {
            remaining.resume = Some(places.command(&["scan", "--resume"], true));
        }
        if remaining.waiting > 0 {
            remaining.reprocess = Some(places.command(&["reprocess"], false));
        }
        remaining
    }

    fn note(&mut self, image: &PartitionCheck, state: &ImageState) {
        match state {
            ImageState::Deferred => self.deferred += 1,
            ImageState::Gone | ImageState::Changed(_) => self.lost += 1,
            ImageState::WouldKeep => {
                self.would_keep += 1;
                self.would_take = self.would_take.saturating_add(image.room().unwrap_or(image.size()));
            }
            _ => {}
        }
    }

    fn to_resume(&self) -> u64 {
        self.unfinished + self.never_begun + self.failed + self.deferred + self.lost + self.would_keep
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

/// Whether nobody knows how many partitions an image has.
fn is_undecided(image: &PartitionCheck) -> bool {
    image.partitions.is_none() && matches!(image.action.as_str(), "KEPT" | "error")
}

/// What a command has to be told of where things are.
struct Places<'a> {
    context: &'a Context,
    log: Option<PathBuf>,
    staging: Option<&'a Path>,
    folders: BTreeSet<&'a Path>,
}

impl<'a> Places<'a> {
    fn of(report: &'a Report, context: &'a Context) -> Places<'a> {
        let site = &context.site;
        let log = std::path::absolute(&report.log).unwrap_or_else(|_| report.log.clone());
        let staging = report.images().find_map(|(archive, image, _)| {
            let path = image.path.as_ref()?.as_path();
            root(path, archive.hash.as_os_str())
        });
        let parents = report.account.archives.iter().filter_map(|archive| archive.path.as_ref()?.as_path().parent());
        let mut folders = BTreeSet::new();
        for folder in parents {
            if folders.len() <= FOLDERS_MOST && folder.is_absolute() {
                folders.insert(folder);
            }
        }
        if folders.len() > FOLDERS_MOST || folders.iter().all(|folder| site.collection.iter().any(|own| own == folder))
        {
            folders.clear();
        }
        Places {
            context,
            log: (log != site.log).then_some(log),
            staging: staging.filter(|staging| *staging != site.staging),
            folders,
        }
    }

    fn command(&self, words: &[&str], with_collection: bool) -> String {
        let mut arguments: Vec<&[u8]> = vec![b"imgsieve"];
        arguments.extend(words.iter().map(|word| word.as_bytes()));
        let options =
            [("--config", self.context.config.as_deref()), ("--log", self.log.as_deref()), ("--staging", self.staging)];
        for (option, value) in options {
            if let Some(value) = value {
                arguments.extend([option.as_bytes(), value.as_os_str().as_bytes()]);
            }
        }
        if with_collection {
            arguments.extend(self.folders.iter().map(|folder| folder.as_os_str().as_bytes()));
        }
        command(arguments)
    }
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
