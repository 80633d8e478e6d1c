//! Which staged images are to be processed again: what the log tells, as far as it is about the staging folder in force.

use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::cause::Cause;
use crate::event::StagedFile;
use crate::ledger::{self, Name, Reading, Staged, StagedImage, State};
use crate::sanitize::printable;
use crate::staging::Place;

use super::Options;

/// What is done with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// The command is run.
    Run,
    /// It is removed: the command succeeded before.
    Remove,
}

/// An image that there is something to do with.
#[derive(Debug)]
pub struct Chosen {
    /// The image.
    pub image: StagedFile,
    /// What is done with it.
    pub task: Task,
    /// Whether the command succeeded in an earlier run.
    pub was_reprocessed: bool,
}

/// What is to be done.
pub struct Plan {
    /// The images, smallest first.
    pub images: Vec<Chosen>,
    /// Images that were reprocessed before, and are passed over.
    pub reprocessed_before: u64,
    /// What was not asked for in vain: a hash that no image in staging has.
    pub errors: Vec<Cause>,
    /// What may be of interest.
    pub warnings: Vec<Cause>,
    log: Mutex<Log>,
}

/// The log, as far as it was read.
struct Log {
    staged: Staged,
    end: u64,
}

impl Plan {
    /// Reads the log and chooses.
    pub fn read(options: &Options) -> Result<Plan, Cause> {
        let mut staged = Staged::default();
        let (reading, end) = ledger::read_from(&options.log, 0, Staged::wants, &mut staged).map_err(|error| {
            let cause = Cause::of("log", &error);
            Cause { message: format!("{}; name the log of the scan with --log", cause.message), ..cause }
        })?;
        let mut plan = Plan {
            images: Vec::new(),
            reprocessed_before: 0,
            errors: Vec::new(),
            warnings: Vec::new(),
            log: Mutex::new(Log { staged: staged.clone(), end }),
        };
        plan.choose(staged, options);
        plan.tell_of_log(&reading, options)?;
        Ok(plan)
    }

    fn choose(&mut self, staged: Staged, options: &Options) {
        let mut elsewhere: Option<(u64, Name)> = None;
        let mut wanted: Vec<(&String, bool)> = options.only.iter().map(|hash| (hash, false)).collect();
        for staged in staged.into_images() {
            if !is_in(&staged, &options.staging) {
                elsewhere.get_or_insert((0, staged.path)).0 += 1;
                continue;
            }
            let mut is_wanted = wanted.is_empty();
            for (hash, is_known) in &mut wanted {
                if hash.as_bytes() == staged.hash.bytes() {
                    (*is_known, is_wanted) = (true, true);
                }
            }
            if !is_wanted {
                continue;
            }
            let was_reprocessed = staged.state == State::Reprocessed;
            match options.task(&staged.state) {
                Some(task) => self.images.push(Chosen { image: file_of(&staged), task, was_reprocessed }),
                None if was_reprocessed => self.reprocessed_before += 1,
                None => {}
            }
        }
        if let Some((count, path)) = elsewhere {
            let message = format!(
                "images that do not lie in {} by their path in the log, and are passed over: {count}, the smallest is {}; \
                 --staging names another folder",
                printable(options.staging.as_os_str().as_encoded_bytes()),
                printable(path.bytes())
            );
            self.warnings.push(Cause::new("elsewhere", message));
        }
        for (hash, _) in wanted.into_iter().filter(|(_, is_known)| !is_known) {
            let message = format!("no image of the hash {hash} was staged to {}", options.staging.display());
            self.errors.push(Cause::new("only", message));
        }
    }

    /// Says what of the log was not understood; refuses one of which nothing was.
    fn tell_of_log(&mut self, reading: &Reading, options: &Options) -> Result<(), Cause> {
        let Reading { lines, unreadable, first_unreadable, unknown } = *reading;
        let path = options.log.display();
        if lines == 0 && unreadable + unknown > 0 {
            let message =
                format!("{path} is no log of imgsieve: none of its lines is one of a run; name it with --log");
            return Err(Cause::new("log", message));
        }
        let mut told = Vec::new();
        if let Some(first) = first_unreadable {
            told.push(format!("cannot be read: {unreadable} (the first is line {first})"));
        }
        if unknown > 0 {
            told.push(format!("are of stages that this version does not know: {unknown}"));
        }
        if !told.is_empty() {
            let message = format!("lines of the log {path} that {}; they are passed over", told.join(", or "));
            self.warnings.push(Cause::new("log", message));
        }
        Ok(())
    }

    /// Whether the log tells of an image that was staged to this path.
    pub fn is_staged(&self, path: &OsStr) -> bool {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.staged.get(&Name::from(path)).is_some()
    }

    /// Reads what was logged meanwhile, and gives what became of an image by now.
    pub fn state_now(&self, image: &StagedFile, options: &Options) -> Result<Option<State>, ledger::Error> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Log { staged, end } = &mut *log;
        (_, *end) = ledger::read_from(&options.log, *end, Staged::wants, staged)?;
        Ok(staged.get(&Name::from(image.path.as_os_str())).map(|staged| staged.state.clone()))
    }
}

impl Options {
    /// What is done with an image in this state, if anything.
    pub(super) fn task(&self, state: &State) -> Option<Task> {
        match state {
            State::Kept | State::Begun | State::Failed { .. } => Some(Task::Run),
            State::Reprocessed if self.again => Some(Task::Run),
            State::Reprocessed if self.remove => Some(Task::Remove),
            State::Reprocessed | State::Removed => None,
        }
    }
}

/// Whether the path that the log has for an image is the one that it has in the staging folder `root`. The log is not to
/// be trusted: no other path is ever used.
fn is_in(staged: &StagedImage, root: &Path) -> bool {
    let place = Place { hash: staged.hash.as_os_str(), ordinal: staged.ordinal, name: staged.image.bytes() };
    place.path_in(root).is_ok_and(|path| path == staged.path.as_path())
}

fn file_of(staged: &StagedImage) -> StagedFile {
    StagedFile {
        hash: staged.hash.as_os_str().to_owned(),
        name: staged.image.bytes().to_vec(),
        ordinal: staged.ordinal,
        path: staged.path.as_path().to_owned(),
        size: staged.size,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staged(path: &str, hash: &str, image: &str, ordinal: u32) -> StagedImage {
        let name = |text: &str| Name::from(std::ffi::OsStr::new(text));
        StagedImage {
            path: name(path),
            hash: name(hash),
            image: name(image),
            ordinal,
            size: 1,
            found: String::new(),
            state: State::Kept,
        }
    }

    #[test]
    fn only_the_path_that_hash_and_name_make_is_in_staging() {
        let root = Path::new("/s/t");
        assert!(is_in(&staged("/s/t/h/a.img", "h", "a.img", 1), root));
        assert!(is_in(&staged("/s/t/h/2/a.img", "h", "a.img", 2), root));
        for (path, hash, image, ordinal) in [
            ("/s/u/h/a.img", "h", "a.img", 1),
            ("/s/t/h/a.img", "h", "a.img", 2),
            ("/s/t/h/a.img", "g", "a.img", 1),
            ("/s/t/../t/h/a.img", "h", "a.img", 1),
            ("/s/t/../a.img", "..", "a.img", 1),
            ("/s/t/h/../../etc/passwd", "h", "../../etc/passwd", 1),
            ("/etc/passwd", "h", "/etc/passwd", 1),
            ("s/t/h/a.img", "h", "a.img", 1),
            ("/s/t/h", "h", "", 1),
        ] {
            assert!(!is_in(&staged(path, hash, image, ordinal), root), "{path}");
        }
    }
}
