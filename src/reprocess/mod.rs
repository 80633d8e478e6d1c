//! The second phase: staged images are processed again, by a command of the user's.
//!
//! [`plan`] reads the log and chooses; then the command is run for one image after the other, smallest first, its output
//! going to a file beside the image, which is also the [lock](output) on it. A failure stops none of the others. An image
//! is only ever removed after its own success is in the log and the log on the disk.

mod children;
pub mod command;
mod one;
mod output;
pub mod plan;
mod summary;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::cause::Cause;
use crate::event::{Event, Live, Scope, StagedFile};
use crate::exit::Exit;
use crate::run::{Control, End, Observer, Observers, Queue, Stop, panics};
use crate::shard::Shard;
use crate::staging::Folder;
use crate::suffixes::Suffixes;

use children::{Children, Relay};
use plan::{Plan, Task};

pub use summary::Summary;

/// What a run is told.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)]
pub struct Options {
    /// The staging folder.
    pub staging: PathBuf,
    /// The log, which is appended to.
    pub log: PathBuf,
    /// Other logs that say what was staged, or folders of them.
    pub more_logs: Vec<PathBuf>,
    /// How the names of images end.
    pub image_suffix: Suffixes,
    /// The command and its arguments, in which `{}` is the image's path.
    pub command: Vec<OsString>,
    /// Commands at a time, at least 1.
    pub jobs: usize,
    /// Only images of these hashes; empty for all.
    pub only: Vec<String>,
    /// Only images of archives that belong to this part of the collection; none for all.
    pub shard: Option<Shard>,
    /// Remove an image that was processed again.
    pub remove: bool,
    /// Process images again that were so before.
    pub again: bool,
    /// Show what the commands print.
    pub follow: bool,
}

/// A run that could begin.
pub struct Reprocess<'a> {
    options: &'a Options,
    plan: Plan,
    /// None where there is nothing to do.
    staging: Option<Folder>,
    /// Where the command's program is; none where it is not to be run.
    program: Option<PathBuf>,
}

/// What all workers share.
struct Shared<'a> {
    options: &'a Options,
    plan: &'a Plan,
    staging: &'a Folder,
    program: Option<&'a PathBuf>,
    control: &'a Control,
    observers: Observers<'a>,
    children: Children,
    summary: Mutex<Summary>,
}

impl<'a> Reprocess<'a> {
    /// Reads the log, and sees that all is in order. Nothing is changed.
    pub fn prepare(options: &'a Options, control: &Control) -> Result<Reprocess<'a>, Cause> {
        let plan = Plan::read(options, control)?;
        let mut reprocess = Reprocess { options, plan, staging: None, program: None };
        let images = &reprocess.plan.images;
        if images.is_empty() {
            return Ok(reprocess);
        }
        let runs = images.iter().any(|chosen| chosen.task == Task::Run);
        if let Some(program) = options.command.first().filter(|_| runs) {
            reprocess.program = Some(command::find(program)?);
        }
        let staging = Folder::open(&options.staging).map_err(|error| {
            let cause = Cause::from(&error);
            Cause { message: format!("{}; name the staging folder with --staging", cause.message), ..cause }
        })?;
        reprocess.staging = Some(staging);
        Ok(reprocess)
    }

    /// What is going to be done.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Does it, and tells `observers`. The caller has reported the plan's own errors and warnings.
    #[must_use]
    pub fn run(&self, control: &Control, observers: &[&dyn Observer]) -> (Exit, Summary) {
        let begun = Instant::now();
        let summary = Summary::new(self.plan.reprocessed_before);
        let Some(staging) = &self.staging else {
            tell_end(control, observers);
            return (self.exit(&summary, control), summary);
        };
        let shared = Shared {
            options: self.options,
            plan: &self.plan,
            staging,
            program: self.program.as_ref(),
            control,
            observers: Observers::new(control, observers),
            children: Children::default(),
            summary: Mutex::new(summary),
        };
        shared.all();
        let exit = End::of(control).map(|end| {
            shared.emit(&end.event());
            end.exit()
        });
        let mut summary = shared.summary.into_inner().unwrap_or_else(PoisonError::into_inner);
        summary.seconds = begun.elapsed().as_secs_f64();
        (exit.unwrap_or_else(|| self.exit(&summary, control)), summary)
    }

    /// The commands that would be run, a line each, and whether nothing is in their way. Nothing is changed.
    #[must_use]
    pub fn dry_run(&self, control: &Control, observers: &[&dyn Observer]) -> (Exit, String) {
        let mut text = String::new();
        let Some(staging) = &self.staging else {
            tell_end(control, observers);
            return (self.exit(&Summary::default(), control), text);
        };
        let shared = Shared {
            options: self.options,
            plan: &self.plan,
            staging,
            program: None,
            control,
            observers: Observers::new(control, observers),
            children: Children::default(),
            summary: Mutex::default(),
        };
        for chosen in self.plan.images.iter().take_while(|_| !control.is_stopped()) {
            if let Some(line) = shared.dry_one(chosen) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        tell_end(control, observers);
        let exit = self.exit(&shared.summary(), control);
        (exit, text)
    }

    fn exit(&self, summary: &Summary, control: &Control) -> Exit {
        // It may have come while the log was read, and what was chosen then is not all.
        if let Some(Stop::Signal(signal)) = control.cause() {
            return Exit::Signal(signal);
        }
        if !self.plan.errors.is_empty() || self.plan.is_all_elsewhere || summary.failed != summary.passing {
            return Exit::Failure;
        }
        if summary.failed > 0 { Exit::TryAgain } else { Exit::Success }
    }
}

/// Tells that the run was stopped, if it was.
fn tell_end(control: &Control, observers: &[&dyn Observer]) {
    if let Some(end) = End::of(control) {
        Observers::new(control, observers).emit(&end.event());
    }
}

impl Shared<'_> {
    /// Processes all images, each started after the smaller ones.
    fn all(&self) {
        let images = &self.plan.images;
        let bytes = images.iter().fold(0_u64, |sum, chosen| sum.saturating_add(chosen.image.size));
        self.emit(&Event::Live(Live::Reprocessing { images: images.len(), bytes }));
        let queue = Queue::new(self.control, images.iter());
        let work = || {
            while let Some(chosen) = queue.next() {
                self.guarded(chosen);
            }
        };
        let relay = Relay::new();
        let handle = relay.as_ref().map(Relay::handle).ok();
        std::thread::scope(|scope| {
            let tell = |text: &str| {
                self.emit(&Event::Live(Live::Note(text)));
            };
            let relaying = relay.and_then(|relay| {
                let pass_on = move || relay.run(&self.children, &tell);
                std::thread::Builder::new().name("signals".to_owned()).spawn_scoped(scope, pass_on)
            });
            if let Err(error) = relaying {
                tell(&format!("signals to imgsieve will not be passed on to the command: {error}"));
            }
            let mut workers = Vec::new();
            for index in 0..self.options.jobs.min(images.len()) {
                let name = format!("{}-{index}", panics::WORKER_NAME);
                match std::thread::Builder::new().name(name).spawn_scoped(scope, work) {
                    Ok(worker) => workers.push(worker),
                    Err(error) => {
                        tell(&format!("running only {index} commands at a time: no thread for more: {error}"));
                        break;
                    }
                }
            }
            if workers.is_empty() {
                work();
            }
            for worker in workers {
                let _ = worker.join();
            }
            if let Some(handle) = handle {
                handle.close();
            }
        });
        self.summary().not_begun += queue.left().count() as u64;
    }

    /// Tells all observers, and returns whether each succeeded.
    fn emit(&self, event: &Event<'_>) -> bool {
        self.observers.emit(event)
    }

    /// Reports an image that cannot be processed.
    fn fail(&self, image: &StagedFile, cause: &Cause) {
        self.summary().fail(&image.path, crate::sanitize::printable_line(&cause.message), cause.may_pass);
        self.emit(&Event::Error { scope: Scope::Staged(image), cause });
    }

    fn summary(&self) -> MutexGuard<'_, Summary> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
