//! One image, from a look at it to its removal.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Instant;

use crate::account::StagedState;
use crate::cause::Cause;
use crate::event::{CommandEnd, CommandOutcome, Event, Live, Scope, StagedFile};
use crate::reason::Reason;
use crate::run::panics;
use crate::staging::{Folder, Held, Place};
use crate::suffixes::Suffixes;
use crate::units::human_seconds;

use super::Shared;
use super::command;
use super::output::{self, Output};
use super::plan::{Chosen, Task};

/// Hex digits of a medium's identity.
const IDENTITY: usize = 32;

/// An image that is where the log says, and as long.
struct Present {
    folder: Folder,
    held: Held,
    /// Its absolute path.
    path: PathBuf,
}

impl Shared<'_> {
    /// Does an image's task; a panic becomes its failure.
    pub(super) fn guarded(&self, chosen: &Chosen) {
        if let Err(cause) = panics::caught(|| self.one(chosen)) {
            self.fail(&chosen.image, &cause);
        }
        self.emit(&Event::Live(Live::Done(&chosen.image)));
    }

    fn one(&self, chosen: &Chosen) -> Result<(), Cause> {
        let image = &chosen.image;
        let Some(present) = self.look(chosen)? else { return Ok(()) };
        self.check_output(&present.path)?;
        let output = Output::open(&present.folder, OsStr::from_bytes(&image.name))?;
        // Between the look into the log and the lock, another run may have been here.
        let now = self.plan.state_now(image).map_err(|error| Cause::of(Reason::Log, &error))?;
        let task = now.as_ref().map_or(Some(chosen.task), |now| self.options.task(&now.state));
        match task {
            None => {
                self.summary().passed_over += 1;
                Ok(())
            }
            Some(Task::Remove) => {
                let succeeded_with = now.and_then(|now| now.succeeded_with);
                if succeeded_with.is_some_and(|version| version != present.held.version) {
                    let message = "reprocessed, but not removed: it was replaced or changed since; move or remove it";
                    return Err(Cause::new(Reason::Changed, message));
                }
                // Another run logged its success, and nobody knows whether that line could be synced: after a sync that
                // failed, the next one says nothing of it. So the line is written anew.
                let outcome = CommandOutcome {
                    end: CommandEnd::Exited(0),
                    seconds: 0.0,
                    output: output.path().to_owned(),
                    of: Some(present.held.version.clone()),
                };
                if self.emit(&Event::ReprocessComplete { image, outcome: &outcome }) {
                    self.remove(image, &present)
                } else {
                    Ok(())
                }
            }
            Some(Task::Run) => self.reprocess(image, &present, &output),
        }
    }

    /// What would be done with an image, as a line for a shell.
    pub(super) fn dry_one(&self, chosen: &Chosen) -> Option<String> {
        let present = match self.look(chosen) {
            Ok(present) => present?,
            Err(cause) => {
                self.fail(&chosen.image, &cause);
                return None;
            }
        };
        let remove = command::line(&["rm".into(), "--".into(), present.path.clone().into()]);
        let run = command::line(&command::fill(&self.options.command, &present.path));
        Some(match chosen.task {
            Task::Remove => remove,
            Task::Run if self.options.remove => format!("{run} && {remove}"),
            Task::Run => run,
        })
    }

    /// Finds the image; none where it is gone after it was reprocessed.
    fn look(&self, chosen: &Chosen) -> Result<Option<Present>, Cause> {
        let image = &chosen.image;
        let place = Place { hash: &image.hash, ordinal: image.ordinal, name: &image.name };
        let path = place.path_in(&self.options.staging).map_err(|error| Cause::from(&error))?;
        let folder = place.folder_in(self.staging).map_err(|error| Cause::from(&error))?;
        let look = |errno| Cause::new(Reason::StagingIo, format!("examining it: {errno}"));
        let name = OsStr::from_bytes(&image.name);
        let held = folder.as_ref().map(|folder| folder.hold(name).map_err(look)).transpose()?.flatten();
        let (Some(folder), Some(held)) = (folder, held) else {
            // Another run may have reprocessed and removed it since the log was read.
            let now = self.plan.state_now(image).map_err(|error| Cause::of(Reason::Log, &error))?;
            let is_done = now.is_some_and(|now| matches!(now.state, StagedState::Reprocessed | StagedState::Removed));
            if chosen.was_reprocessed || is_done {
                self.summary().gone += 1;
                return Ok(None);
            }
            let message = format!(
                "it is gone from staging, and by the log it was never reprocessed; `imgsieve scan --only {}` stages it again",
                command::line(std::slice::from_ref(&image.hash))
            );
            return Err(Cause::new(Reason::Gone, message));
        };
        if !held.is_file {
            let message = "it is not a regular file (links are not followed), so not what was staged; remove it";
            return Err(Cause::new(Reason::Changed, message));
        }
        if held.length != image.size {
            let message = format!(
                "it has {} bytes, but {} were staged: it is incomplete or was changed; remove it, and `imgsieve scan \
                 --only {}` stages it again",
                held.length,
                image.size,
                command::line(std::slice::from_ref(&image.hash))
            );
            return Err(Cause::new(Reason::Changed, message));
        }
        Ok(Some(Present { folder, held, path }))
    }

    /// Refuses to append to another image: an archive may have one whose name is that of an output.
    fn check_output(&self, path: &Path) -> Result<(), Cause> {
        let output = path.with_file_name(output::name_for(path.file_name().unwrap_or_default()));
        if !self.plan.is_staged(output.as_os_str()) {
            return Ok(());
        }
        let shown = crate::sanitize::printable(output.as_os_str().as_bytes());
        Err(Cause::new(Reason::Output, format!("the command's output would go to {shown}, which is a staged image")))
    }

    fn reprocess(&self, image: &StagedFile, present: &Present, output: &Output) -> Result<(), Cause> {
        if !has_identity(&image.name, &self.options.image_suffix) {
            let message = "its name is not 32 hex digits, from which the next stage takes the medium's identity";
            self.emit(&Event::Warning { scope: Scope::Staged(image), cause: &Cause::new(Reason::Name, message) });
        }
        let words = command::fill(&self.options.command, &present.path);
        output.note(&command::line(&words))?;
        self.emit(&Event::ReprocessStart { image, command: &words });
        let begun = Instant::now();
        let end = self.run_command(image, &words, output);
        let outcome = CommandOutcome {
            end,
            seconds: begun.elapsed().as_secs_f64(),
            output: output.path().to_owned(),
            of: Some(present.held.version.clone()),
        };
        // The log has it anyway.
        let _ = output.note(&format!("{}, after {}", outcome.end, human_seconds(outcome.seconds)));
        let is_logged = self.emit(&Event::ReprocessComplete { image, outcome: &outcome });
        if !outcome.end.is_success() {
            let shown = crate::sanitize::printable(outcome.output.as_os_str().as_bytes());
            let why = crate::sanitize::printable_line(&outcome.end.to_string());
            self.summary().fail(&image.path, format!("{why}; its output is in {shown}"), false);
            return Ok(());
        }
        let mut summary = self.summary();
        summary.reprocessed.0 += 1;
        summary.reprocessed.1 = summary.reprocessed.1.saturating_add(image.size);
        drop(summary);
        if self.options.remove && is_logged { self.remove(image, present) } else { Ok(()) }
    }

    fn run_command(&self, image: &StagedFile, words: &[std::ffi::OsString], output: &Output) -> CommandEnd {
        let unknown = |message: String| CommandEnd::Unknown(Cause::new(Reason::Command, message));
        let (Some(program), Some((name, arguments))) = (self.program, words.split_first()) else {
            return unknown("no command was given".to_owned());
        };
        let start = || -> std::io::Result<Option<Child>> {
            let mut command = Command::new(program);
            command.arg0(name).args(arguments).stdin(Stdio::null()).stdout(output.stdio()?).stderr(output.stdio()?);
            self.children.start(&mut command, self.control)
        };
        let mut follower = output.follow();
        let mut child = match start() {
            Ok(Some(child)) => child,
            Ok(None) => return unknown("not started, because the run is ending".to_owned()),
            Err(error) => return unknown(format!("the command cannot be started: {error}")),
        };
        let mut show = |line: &[u8]| {
            self.emit(&Event::Live(Live::Output(image, line)));
        };
        let ended = if self.options.follow {
            let ended = self.children.wait(&mut child, Some(&mut || follower.advance(&mut show)));
            follower.finish(&mut show);
            ended
        } else {
            self.children.wait(&mut child, None)
        };
        match ended {
            Ok(status) => end_of(status),
            Err(error) => unknown(format!("cannot tell how the command ended: {error}")),
        }
    }

    /// Removes an image whose success is logged, once the log is on the disk.
    fn remove(&self, image: &StagedFile, present: &Present) -> Result<(), Cause> {
        if !self.observers.sync() {
            return Ok(());
        }
        let name = OsStr::from_bytes(&image.name);
        let removed = match present.folder.still_has(name, &present.held) {
            Ok(true) => present.folder.remove(name),
            Ok(false) if present.folder.look(name) == Ok(None) => {
                // The command removed it itself.
                self.summary().gone += 1;
                return Ok(());
            }
            Ok(false) => {
                let message = "reprocessed, but not removed: another file took its place, or its length changed";
                return Err(Cause::new(Reason::Changed, message));
            }
            Err(errno) => Err(errno),
        };
        removed
            .map_err(|errno| Cause::new(Reason::StagingIo, format!("reprocessed, but removing it failed: {errno}")))?;
        self.emit(&Event::Removed { image });
        let mut summary = self.summary();
        summary.removed.0 += 1;
        summary.removed.1 = summary.removed.1.saturating_add(image.size);
        Ok(())
    }
}

fn end_of(status: ExitStatus) -> CommandEnd {
    match (status.code(), status.signal()) {
        (Some(code), _) => CommandEnd::Exited(code),
        (None, Some(number)) => CommandEnd::Signalled(number),
        (None, None) => CommandEnd::Unknown(Cause::new(Reason::Command, "cannot tell how the command ended")),
    }
}

/// Whether a name is 32 hex digits and a suffix of images.
fn has_identity(name: &[u8], suffixes: &Suffixes) -> bool {
    let is_identity = |stem: &[u8]| stem.len() == IDENTITY && stem.iter().all(u8::is_ascii_hexdigit);
    suffixes.stem(name).is_some_and(is_identity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_32_hex_digits() {
        let suffix = ".img".parse().expect("a suffix");
        assert!(has_identity(b"2c26b46b68ffc68ff99b453c1d304134.img", &suffix));
        assert!(has_identity(b"2C26B46B68FFC68FF99B453C1D304134.IMG", &suffix));
        for name in ["2c26b46b68ffc68ff99b453c1d30413.img", "2c26b46b68ffc68ff99b453c1d30413g.img", "disk.img", ""] {
            assert!(!has_identity(name.as_bytes(), &suffix), "{name}");
        }
        assert!(!has_identity(b"2c26b46b68ffc68ff99b453c1d304134-2.img", &suffix));
    }
}
