//! Which staged images are to be processed again: what the log says about the staging folder in force.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::slice;
use std::sync::{Mutex, PoisonError};

use crate::account::{Lack, Staged, StagedImage, StagedState, Tallies};
use crate::cause::Cause;
use crate::event::StagedFile;
use crate::log::{self, At, Entry, Head, Listener, Logs, Name, Tail};
use crate::reason::Reason;
use crate::run::Control;
use crate::sanitize::printable;
use crate::staging::Place;

use super::Options;

/// Archives whose lines do not add up that are reported.
const LACKING_MOST: usize = 1000;

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

/// What to do.
pub struct Plan {
    /// The images, smallest first.
    pub images: Vec<Chosen>,
    /// Images that were reprocessed before, and are passed over.
    pub reprocessed_before: u64,
    /// What cannot be done: a hash that was asked for and that no image in staging has.
    pub errors: Vec<Cause>,
    /// What may be of interest.
    pub warnings: Vec<Cause>,
    /// Whether all that was staged lies elsewhere, by the log.
    pub is_all_elsewhere: bool,
    log: Mutex<Log>,
}

/// Reads until the run is to end.
struct Reader<'a> {
    staged: Staged,
    tallies: Tallies,
    /// Archives of which the log lacks lines about images that were kept.
    lacking: BTreeMap<Name, Lack>,
    control: &'a Control,
}

impl Listener for Reader<'_> {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        Staged::wants(head)
            || matches!(&*head.stage, "archive_start" | "img_found" | "cleanup" | "archive_complete" | "error")
    }

    fn note(&mut self, entry: Entry, at: At) {
        self.staged.note(&entry.record);
        if let Some(sum) = self.tallies.note(&entry, at)
            && let Some(hash) = entry.record.hash()
        {
            match sum {
                Err(lack) if lack.kept > 0 && self.lacking.len() < LACKING_MOST => {
                    self.lacking.insert(hash.clone(), lack);
                }
                _ => {
                    self.lacking.remove(hash);
                }
            }
        }
    }

    fn is_done(&self) -> bool {
        self.control.is_stopped()
    }
}

/// The log, as far as it was read.
struct Log {
    staged: Staged,
    tail: Tail,
}

impl Plan {
    /// Reads the log and chooses. What is chosen is not all where `control` stopped it.
    pub fn read(options: &Options, control: &Control) -> Result<Plan, Cause> {
        let mut reader =
            Reader { staged: Staged::default(), tallies: Tallies::default(), lacking: BTreeMap::new(), control };
        let failed = |error: log::Error| {
            let cause = Cause::of(Reason::Log, &error);
            Cause { message: format!("{}; name the log of the scan with --log", cause.message), ..cause }
        };
        let logs = options.logs().map_err(failed)?;
        let mut tail = Tail::open(&options.log).map_err(failed)?;
        let reading = logs.read(&mut reader).map_err(failed)?;
        let (staged, lacking) = (reader.staged, reader.lacking);
        let end = reading.ends.iter().find(|(path, _)| *path == options.log).map_or(0, |&(_, end)| end);
        tail.read_to(end);
        let mut plan = Plan {
            images: Vec::new(),
            reprocessed_before: 0,
            errors: Vec::new(),
            warnings: Vec::new(),
            is_all_elsewhere: false,
            log: Mutex::new(Log { staged: staged.clone(), tail }),
        };
        for (hash, lack) in &lacking {
            if !options.only.is_empty() && !options.only.iter().any(|only| only.as_bytes() == hash.bytes()) {
                continue;
            }
            let message = format!(
                "{}: archive {}, which ends in line {}, has {}: images of it that were kept may be missing; `imgsieve scan \
                 --resume` surveys it again",
                logs.path(lack.at.log).display(),
                printable(hash.bytes()),
                lack.at.line,
                lack.what
            );
            plan.errors.push(Cause::new(Reason::LogUnreadable, message));
        }
        plan.choose(staged, options);
        let notes = reading.notes.into_iter();
        plan.warnings.extend(notes.map(|note| Cause::new(Reason::LogUnreadable, note)));
        Ok(plan)
    }

    fn choose(&mut self, staged: Staged, options: &Options) {
        let mut elsewhere: Option<(u64, Name)> = None;
        let mut doubtful: Option<(u64, Name)> = None;
        let mut is_any_here = false;
        let mut wanted: Vec<(&String, bool)> = options.only.iter().map(|hash| (hash, false)).collect();
        for staged in staged.into_images() {
            if !is_in(&staged, &options.staging) {
                elsewhere.get_or_insert((0, staged.path)).0 += 1;
                continue;
            }
            is_any_here = true;
            let mut is_wanted = wanted.is_empty();
            for (hash, is_known) in &mut wanted {
                if hash.as_bytes() == staged.hash.bytes() {
                    (*is_known, is_wanted) = (true, true);
                }
            }
            let is_of_shard = options.shard.is_none_or(|shard| shard.has_hash(staged.hash.bytes()));
            if !is_wanted || !is_of_shard {
                continue;
            }
            let was_reprocessed = staged.state == StagedState::Reprocessed;
            match options.task(&staged.state) {
                Some(task) => {
                    self.images.push(Chosen { image: file_of(&staged), task, was_reprocessed });
                    if staged.verified == Some(false) {
                        doubtful.get_or_insert((0, staged.path)).0 += 1;
                    }
                }
                None if was_reprocessed => self.reprocessed_before += 1,
                None => {}
            }
        }
        if let Some((count, path)) = elsewhere {
            self.is_all_elsewhere = !is_any_here;
            let message = format!(
                "skipped images whose path in the log is outside {}: {count}, the smallest is {}; --staging names another \
                 folder; if staging was moved, `imgsieve scan --resume` logs the new paths",
                printable(options.staging.as_os_str().as_encoded_bytes()),
                printable(path.bytes())
            );
            self.warnings.push(Cause::new(Reason::Elsewhere, message));
        }
        if let Some((count, path)) = doubtful {
            let message = format!(
                "{count} of the images may be damaged: their frames were not decoded without error; the smallest is {}",
                printable(path.bytes())
            );
            self.warnings.push(Cause::new(Reason::NotVerified, message));
        }
        for (hash, _) in wanted.into_iter().filter(|(_, is_known)| !is_known) {
            let message = format!("no image with the hash {hash} was staged to {}", options.staging.display());
            self.errors.push(Cause::new(Reason::Only, message));
        }
    }

    /// Whether an image was staged to this path, according to the log.
    pub fn is_staged(&self, path: &OsStr) -> bool {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.staged.get(&Name::from(path)).is_some()
    }

    /// Reads what has been logged since, and returns the state of an image now.
    pub fn state_now(&self, image: &StagedFile) -> Result<Option<StagedImage>, log::Error> {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Log { staged, tail } = &mut *log;
        tail.read(staged)?;
        Ok(staged.get(&Name::from(image.path.as_os_str())).cloned())
    }
}

impl Options {
    /// The logs that say what was staged.
    pub fn logs(&self) -> Result<Logs, log::Error> {
        // The log of a folder of logs may still have to be begun.
        let own = if self.more_logs.is_empty() || self.log.exists() { slice::from_ref(&self.log) } else { &[] };
        Logs::open(&[own, &self.more_logs].concat(), false)
    }

    /// What is done with an image in this state, if anything.
    pub(super) fn task(&self, state: &StagedState) -> Option<Task> {
        match state {
            StagedState::Kept | StagedState::Begun | StagedState::Failed { .. } => Some(Task::Run),
            StagedState::Reprocessed if self.again => Some(Task::Run),
            StagedState::Reprocessed if self.remove => Some(Task::Remove),
            StagedState::Reprocessed | StagedState::Removed => None,
        }
    }
}

/// Whether the path that the log has for an image is the one that it has in the staging folder `root`. The log is not to
/// be trusted: what is used is the path that hash and name make in `root`, never the log's own.
fn is_in(staged: &StagedImage, root: &Path) -> bool {
    let place = Place { hash: staged.hash.as_os_str(), ordinal: staged.ordinal, name: staged.image.bytes() };
    place.is_at(root, staged.path.as_path())
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
            state: StagedState::Kept,
            verified: None,
            succeeded_with: None,
            rescued: None,
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
