//! The run: from checked configuration to the last line of the log.
//!
//! [`preflight`] sees that all is in order, [`plan`] chooses the archives, a pool of workers surveys them smallest first,
//! and what found no room then is tried again, one image at a time. What happens is told to observers; nothing here
//! knows who they are.

mod compare;
mod doubt;
mod head;
mod open;
mod outlook;
pub mod plan;
pub mod preflight;
mod process;
mod resume;
mod stager;
mod survey;
mod teller;
mod verdicts;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::account::{self, Account, ArchiveEnd, Earlier};
use crate::cause::Cause;
use crate::config::Config;
use crate::event::{Archive, ArchiveTotals, Event, LeftOut, Live, Resumed, Rule, Scope, Start, Unsurveyed};
use crate::exit::Exit;
use crate::log::Record;
use crate::reason::Reason;
use crate::run::{Control, End, Observer, Observers, Queue, Stop, panics};
use crate::staging::{self, Space, Staging, Swept};
use crate::zst::Meter;

use doubt::{Doubts, Known};
use plan::Plan;
use survey::Survey;

/// What all workers share.
struct Shared<'a> {
    config: &'a Config,
    control: &'a Control,
    observers: Observers<'a>,
    /// None in a dry run.
    staging: Option<Staging>,
    /// Partials of earlier runs that were removed, by hash.
    swept: HashMap<OsString, u64>,
    /// Those of them that are of no archive of this run.
    swept_elsewhere: u64,
    /// Archives with which an earlier run found something wrong, by hash.
    doubted: HashSet<OsString>,
    /// Paths of staged images that the log says to be of the very files that the archives are now.
    vouched: HashSet<PathBuf>,
    account: Mutex<account::Live>,
    space_is_low: AtomicBool,
    space_was_low: AtomicBool,
    /// Images that were not staged because another run stages of their archive.
    busy: AtomicU64,
}

/// Files that a line of the log names which are not surveyed.
const LEFT_OUT_A_LINE: usize = 200;

/// Archives that earlier runs completed, and what they found in them.
type Done = Vec<(Arc<Archive>, Earlier)>;

/// What a run came to.
pub struct Ended {
    /// With which exit code.
    pub exit: Exit,
    /// What was found and done.
    pub account: Account,
}

/// Surveys the collection, stages what is to be kept, and tells `observers` of it.
#[must_use]
pub fn run(config: &Config, control: &Control, observers: &[&dyn Observer]) -> Ended {
    let mut run = Shared {
        config,
        control,
        observers: Observers::new(control, observers),
        staging: None,
        swept: HashMap::new(),
        swept_elsewhere: 0,
        doubted: HashSet::new(),
        vouched: HashSet::new(),
        account: Mutex::default(),
        space_is_low: AtomicBool::new(false),
        space_was_low: AtomicBool::new(false),
        busy: AtomicU64::new(0),
    };
    let exit = run.all().unwrap_or_else(|exit| exit_unfinished(config, exit));
    let account = run.account.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ended { exit, account: account.into_account() }
}

/// The exit code of a run that does not come to its end, which would be `exit`. Of a shard it is 75 in place of 1: engines
/// take it for done where it ends with 1, as after an error on its way.
#[must_use]
pub fn exit_unfinished(config: &Config, exit: Exit) -> Exit {
    if config.shard.is_some() && exit == Exit::Failure { Exit::TryAgain } else { exit }
}

impl Shared<'_> {
    /// The exit code; as an error where the run does not come to its end.
    fn all(&mut self) -> Result<Exit, Exit> {
        let (plan, resumed) = match self.prepare() {
            Ok(prepared) => prepared,
            Err(cause) => {
                self.emit(&Event::Error { scope: Scope::Run, cause: &cause });
                return Err(self.end_early().unwrap_or_else(|| cause.exit()));
            }
        };
        if let Some(exit) = self.end_early() {
            return Err(exit);
        }
        self.begin(&plan, resumed);
        let (mut held, not_begun) = self.survey_all(&plan);
        // What found no room is tried again one image at a time, the smallest archive's first.
        held.sort_by_key(Survey::rank);
        let turn = if held.is_empty() { None } else { self.take_turn() };
        held.into_iter().for_each(Survey::retry);
        drop(turn);
        self.tell_left_out(Rule::NotBegun, &not_begun);
        if let Some(exit) = self.end_early() {
            return Err(exit);
        }
        let mut complete = self.account().complete();
        complete.totals.removed_files += self.swept_elsewhere;
        self.emit(&Event::ScriptComplete(&complete));
        // The last line may be the one that the log could not take.
        if let Some(exit) = self.end_early() {
            return Err(exit);
        }
        let busy = self.busy.load(Ordering::SeqCst);
        if complete.errors != busy || complete.deferred != busy || self.space_was_low.load(Ordering::SeqCst) {
            return Ok(Exit::Failure);
        }
        // Nothing is amiss but that another run had what this one was to stage.
        Ok(if busy > 0 { Exit::TryAgain } else { Exit::Success })
    }

    /// The turn to stage what found no room, where others may stage, too. Without it, it is tried all the same.
    fn take_turn(&self) -> Option<staging::Lock> {
        let waits = || {
            let message = "another run stages what found no room; waiting for it to end";
            self.emit(&Event::Warning { scope: Scope::Run, cause: &Cause::new(Reason::Waiting, message) });
        };
        self.staging.as_ref()?.take_turn(&|| self.control.is_stopped(), &waits).ok().flatten()
    }

    /// Tells what is going to be done, and what earlier runs have done of it.
    fn begin(&self, plan: &Plan, resumed: Option<Done>) {
        let space = self.space();
        let of_resumed = resumed.as_ref().map(|resumed| Resumed {
            archives: resumed.len(),
            bytes: Archive::total_bytes(resumed.iter().map(|(archive, _)| &**archive)),
            runs: resumed.iter().map(|(_, earlier)| earlier.run.clone()).collect(),
        });
        let mut told = Vec::new();
        for (archive, earlier) in resumed.into_iter().flatten() {
            let totals = match &earlier.archive.end {
                ArchiveEnd::Complete { totals, .. } => (**totals).clone(),
                _ => ArchiveTotals::default(),
            };
            told.push((archive, earlier.run.clone(), totals));
            self.account().take_over(earlier);
        }
        self.emit(&Event::ScriptStart {
            start: &Start {
                total_archives: plan.archives.len() + told.len(),
                total_bytes: plan.total_bytes().saturating_add(of_resumed.as_ref().map_or(0, |resumed| resumed.bytes)),
                left_out: &plan.left_out,
                min_archive_size: self.config.site.min_archive_size.0,
                options: &self.config.options,
                dry_run: self.config.dry_run,
                jobs: self.config.jobs(),
                rules: self.config.rules(),
                resumed: of_resumed,
                space,
                minimum: self.staging.as_ref().zip(space).map(|(staging, space)| staging.budget().minimum(&space)),
                part: plan.part,
            },
        });
        self.emit(&Event::Live(Live::Queue { jobs: self.config.jobs(), archives: &plan.archives }));
        for (&rule, left_out) in &plan.left_out {
            self.tell_left_out(rule, left_out);
        }
        for (path, cause) in &plan.problems {
            self.emit(&Event::Error { scope: Scope::Path(path), cause });
        }
        for (archive, by_run, totals) in &told {
            self.emit(&Event::ArchiveResumed { archive, by_run, totals });
        }
    }

    fn tell_left_out(&self, rule: Rule, LeftOut { count, bytes, files }: &LeftOut) {
        for files in files.chunks(LEFT_OUT_A_LINE) {
            self.emit(&Event::LeftOut { rule, count: *count, bytes: *bytes, files });
        }
    }

    fn prepare(&mut self) -> Result<(Plan, Option<Done>), Cause> {
        preflight::check_surroundings(self.config, self.control, &mut |cause| {
            self.emit(&Event::Warning { scope: Scope::Run, cause: &cause });
        })?;
        let mut plan = plan::select(self.config, &self.control.flag())?;
        if !self.config.dry_run && !self.control.is_stopped() {
            let staging = preflight::open_staging(self.config, self.control)?;
            if let Some(options) = staging.local_locks() {
                let message = format!(
                    "{} is mounted with {options}: its locks hold for this machine only, and runs on others are not seen; let \
                     no other machine stage there, or mount it without",
                    staging.path().display()
                );
                self.emit(&Event::Warning { scope: Scope::Run, cause: &Cause::new(Reason::LocalLocks, message) });
            }
            let Swept { removed, failure, .. } = staging.sweep();
            self.swept = removed;
            if let Some(error) = failure {
                let cause = Cause::from(&error);
                let message = format!("partial files of earlier runs may be left: {}", cause.message);
                self.emit(&Event::Warning { scope: Scope::Run, cause: &Cause { message, ..cause } });
            }
            let mut swept_elsewhere = 0;
            for (hash, count) in &self.swept {
                if !plan.archives.iter().any(|archive| archive.hash == *hash) {
                    let folder = staging.destination(hash);
                    let message =
                        format!("removed partial files, left by an earlier run, from {}: {count}", folder.display());
                    self.emit(&Event::Warning { scope: Scope::Run, cause: &Cause::new(Reason::Swept, message) });
                    swept_elsewhere += count;
                }
            }
            self.swept_elsewhere = swept_elsewhere;
            self.staging = Some(staging);
        }
        let resumed = if self.config.resume {
            let taken_up = resume::take_up(self.config, self.control, &mut plan, &mut |cause| {
                self.emit(&Event::Warning { scope: Scope::Run, cause: &cause });
            })?;
            self.learn(taken_up.known);
            Some(taken_up.done)
        } else {
            let mut doubts = Doubts::new(&plan.archives, self.control);
            // A log that cannot be read back, as a pipe, knows of nothing.
            let _ = self.config.logs().and_then(|logs| logs.read(&mut doubts));
            self.learn(doubts.into_known());
            None
        };
        Ok((plan, resumed))
    }

    /// Takes over what earlier runs tell.
    fn learn(&mut self, known: Known) {
        (self.doubted, self.vouched) = (known.doubted, known.vouched);
        self.account().take_staged(known.staged);
    }

    /// Surveys the archives, each started strictly after the smaller ones. Gives those with images that found no room,
    /// and those that the run ended before.
    fn survey_all(&self, plan: &Plan) -> (Vec<Survey<'_>>, LeftOut) {
        let mut not_begun = LeftOut::default();
        let mut leave = |archive: &Arc<Archive>| {
            not_begun.add(Unsurveyed { path: archive.path.clone(), size: Some(archive.size), reason: None });
        };
        // More than there are archives help where one is passed over.
        let jobs = self.config.jobs().max(1);
        let Some(pool) = self.workers(jobs) else {
            plan.archives.iter().for_each(leave);
            return (Vec::new(), not_begun);
        };
        let queue = Queue::new(self.control, plan.archives.iter());
        let held = Mutex::new(Vec::new());
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            if self.config.outlook && self.staging.is_some() {
                let name = format!("{}-outlook", panics::WORKER_NAME);
                let look = || outlook::tell(self, &plan.archives, &is_over);
                // Without the thread, less is known of how long it takes.
                let _ = std::thread::Builder::new().name(name).spawn_scoped(scope, look);
            }
            self.work(&pool, &queue, &held);
            is_over.store(true, Ordering::Relaxed);
        });
        queue.left().for_each(&mut leave);
        (held.into_inner().unwrap_or_else(PoisonError::into_inner), not_begun)
    }

    /// Has every thread of `pool` survey archives off `queue` until none is left; those with images that found no room are
    /// `held`.
    fn work<'s, 'p>(
        &'s self,
        pool: &rayon::ThreadPool,
        queue: &Queue<'_, impl Iterator<Item = &'p Arc<Archive>> + Send>,
        held: &Mutex<Vec<Survey<'s>>>,
    ) {
        // Each thread of the pool takes archives off one queue. Were they tasks of the pool, a worker that waits for
        // work inside its archive could begin another one, out of order and on top of its own memory.
        pool.broadcast(|context| {
            while let Some((archive, meter)) = queue.next_with(|archive| self.start(archive, context.index())) {
                if let Some(survey) = Survey::run(self, archive, meter) {
                    held.lock().unwrap_or_else(PoisonError::into_inner).push(survey);
                }
            }
        });
    }

    /// A pool of so many workers, or of as many as the system gives: this thread alone where it gives none.
    fn workers(&self, jobs: usize) -> Option<ThreadPool> {
        let start = |workers: usize| {
            let name = |index| format!("{}-{index}", panics::WORKER_NAME);
            ThreadPoolBuilder::new().num_threads(workers).thread_name(name).build()
        };
        let mut workers = jobs;
        let mut why = None;
        loop {
            let built = if workers > 0 {
                start(workers)
            } else {
                ThreadPoolBuilder::new().num_threads(1).use_current_thread().build()
            };
            match (built, &why) {
                (Ok(pool), None) => return Some(pool),
                (Ok(pool), Some(error)) => {
                    let message = format!(
                        "{jobs} workers cannot be started ({error}); {} at a time are surveyed instead",
                        workers.max(1)
                    );
                    let cause = Cause::new(Reason::Threads, message);
                    self.emit(&Event::Warning { scope: Scope::Run, cause: &cause });
                    return Some(pool);
                }
                (Err(error), _) if workers > 0 => (workers, why) = (workers / 2, Some(error)),
                (Err(error), _) => {
                    let message = format!("no worker can be started: {error}; try again when less is running");
                    let cause = Cause::new(Reason::Threads, message);
                    self.emit(&Event::Error { scope: Scope::Run, cause: &cause });
                    return None;
                }
            }
        }
    }

    /// Tells of the next archive while the queue is locked: the log has them in the order of their ranks.
    fn start(&self, archive: &Arc<Archive>, worker: usize) -> Option<(Arc<Archive>, Arc<Meter>)> {
        let archive = Arc::clone(archive);
        self.check_space();
        if self.control.is_stopped() {
            return None;
        }
        let meter = Arc::new(Meter::new(self.control.flag()));
        self.emit(&Event::ArchiveStart { archive: &archive, meter: &meter, worker });
        Some((archive, meter))
    }

    /// Tells all observers, and takes account of it.
    fn emit(&self, event: &Event<'_>) {
        self.observers.emit(event);
        if let Some(record) = Record::of(event) {
            self.account().note(record);
        }
    }

    /// The end of a run that was stopped, if it was.
    fn end_early(&self) -> Option<Exit> {
        let end = End::of(self.control)?;
        self.emit(&end.event());
        Some(end.exit())
    }

    fn account(&self) -> std::sync::MutexGuard<'_, account::Live> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Space on the file system of staging, or of the folder that it would be in.
    fn space(&self) -> Option<Space> {
        match &self.staging {
            Some(staging) => staging.budget().space().ok(),
            None => staging::space_at(&self.config.site.staging),
        }
    }

    /// Whether free space is below the minimum now. Says so when that is new.
    fn check_space(&self) -> bool {
        let Some(staging) = &self.staging else { return false };
        let budget = staging.budget();
        // A file system that does not say is one that a keep will fail on, with its error.
        let (Ok(Some(_)), Ok(space)) = (budget.shortfall(), budget.space()) else {
            self.space_is_low.store(false, Ordering::SeqCst);
            return false;
        };
        self.tell_low_space(space);
        true
    }

    /// Free space fell `missing` bytes below the minimum while an image was written, which was given up: with it gone
    /// there may be enough again, but others fill the disk.
    fn space_fell_short(&self, missing: u64) {
        let Some(staging) = &self.staging else { return };
        if let Ok(space) = staging.budget().space() {
            let available = staging.budget().minimum(&space).saturating_sub(missing);
            self.tell_low_space(Space { available, ..space });
        }
    }

    fn tell_low_space(&self, space: Space) {
        let Some(staging) = &self.staging else { return };
        if !self.space_is_low.swap(true, Ordering::SeqCst) {
            self.space_was_low.store(true, Ordering::SeqCst);
            self.emit(&Event::LowSpace { space, minimum: staging.budget().minimum(&space) });
            if self.config.abort_on_low_space {
                self.control.stop(Stop::LowSpace);
            }
        }
    }
}
