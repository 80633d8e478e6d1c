//! `imgsieve report --kept`: the paths of what is still to be processed again, for a shell loop.

use std::collections::hash_map::RandomState;
use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::io::{self, Write};

use crate::account::{Staged, StagedImage};
use crate::cause::Cause;
use crate::log::{At, Entry, Head, Listener, Logs, Name, Reading, Record};
use crate::reason::Reason;

use super::{ImageState, Report, elsewhere_note, paths};

/// Runs that are remembered.
const RUNS_MOST: usize = 100_000;
/// Archives that are remembered as taken over.
const ARCHIVES_MOST: usize = 4_000_000;

/// The kept images that are whole in staging and still to be processed again, smallest first.
#[derive(Debug)]
pub struct ToReprocess {
    paths: Vec<(u64, Name)>,
    /// How the log read.
    pub reading: Reading,
    /// Images that are not among them, because there are too many.
    pub more: u64,
}

impl ToReprocess {
    /// Those of all runs in the logs.
    pub fn read(logs: &Logs) -> Result<ToReprocess, Cause> {
        let mut reader = Reader::default();
        let mut reading = logs.read(&mut reader).map_err(|error| Cause::of(Reason::Log, &error))?;
        reading.notes.extend(reader.elsewhere());
        let staged = &reader.staged;
        Ok(ToReprocess { paths: sorted(waiting(staged)), reading, more: staged.more() })
    }

    /// Those of the account of `report`.
    #[must_use]
    pub fn of(report: &Report) -> ToReprocess {
        let waiting = report.images().filter(|(_, _, state)| state.waits());
        let paths = sorted(waiting.filter_map(|(_, image, _)| Some((image.size(), image.path.as_ref()?))));
        let account = &report.account;
        ToReprocess { paths, reading: account.reading.clone(), more: account.images_more }
    }

    /// Writes the paths. Gives a sentence for each that had to be left out.
    pub fn write(&self, out: &mut dyn Write, null: bool, is_terminal: bool) -> io::Result<Vec<String>> {
        paths::write(out, self.paths.iter().map(|(_, path)| path), null, is_terminal)
    }
}

/// What was staged, and whether all of it is in the logs.
#[derive(Default)]
struct Reader {
    staged: Staged,
    runs: HashSet<String>,
    /// The run of the last line.
    last: String,
    /// Archives that were taken over, by the run that completed them.
    taken_over: HashMap<String, HashSet<u64>>,
    archives: usize,
    hasher: RandomState,
}

impl Reader {
    /// That archives were taken over from runs that are not in the logs, and that images of them may be missing.
    fn elsewhere(&self) -> Option<String> {
        let elsewhere = self.taken_over.iter().filter(|(run, _)| !self.runs.contains(*run));
        let archives: HashSet<u64> = elsewhere.flat_map(|(_, archives)| archives).copied().collect();
        elsewhere_note(archives.len() as u64)
    }
}

impl Listener for Reader {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        if head.run != self.last {
            self.last = head.run.to_string();
            if self.runs.len() < RUNS_MOST {
                self.runs.insert(self.last.clone());
            }
        }
        head.stage == "archive_resumed" || Staged::wants(head)
    }

    fn note(&mut self, entry: Entry, _at: At) {
        if let Record::ArchiveResumed(resumed) = &entry.record {
            if self.archives < ARCHIVES_MOST && (self.taken_over.len() < RUNS_MOST) {
                let hash = self.hasher.hash_one(&resumed.hash);
                let archives = self.taken_over.entry(resumed.by_run.clone()).or_default();
                self.archives += usize::from(archives.insert(hash));
            }
        } else {
            self.staged.note(&entry.record);
        }
    }
}

/// The staged images that wait to be processed again: their sizes and paths.
pub(super) fn waiting(staged: &Staged) -> impl Iterator<Item = (u64, &Name)> {
    let waits = |image: &&StagedImage| ImageState::of_staged(image).waits();
    staged.iter().filter(waits).map(|image| (image.size, &image.path))
}

fn sorted<'a>(images: impl Iterator<Item = (u64, &'a Name)>) -> Vec<(u64, Name)> {
    let mut paths: Vec<(u64, Name)> = images.map(|(size, path)| (size, path.clone())).collect();
    paths.sort_unstable();
    paths
}
