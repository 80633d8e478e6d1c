//! `imgsieve report --kept`: the paths of what is still to be processed again, for a shell loop.

use std::io::{self, Write};

use crate::account::{Staged, StagedImage};
use crate::cause::Cause;
use crate::log::{Logs, Name, Reading};
use crate::reason::Reason;

use super::{ImageState, Report, paths};

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
        let mut staged = Staged::default();
        let reading = logs.read(&mut staged).map_err(|error| Cause::of(Reason::Log, &error))?;
        let more = staged.more();
        Ok(ToReprocess { paths: sorted(waiting(&staged)), reading, more })
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
