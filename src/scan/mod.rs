//! The run: from checked configuration to the last line of the log.
//!
//! [`preflight`] sees that all is in order, [`plan`] chooses the archives, a pool of workers surveys them smallest first,
//! and what found no room then is tried again, one image at a time. What happens is told to observers; nothing here
//! knows who they are.

mod compare;
mod doubt;
mod open;
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
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::cause::Cause;
use crate::config::Config;
use crate::event::{Archive, ArchiveTotals, Earlier, Event, Resumed, RunTotals, Scope, Start};
use crate::exit::Exit;
use crate::reason::Reason;
use crate::run::{Control, Observer, Observers, Queue, Stop, panics};
use crate::staging::{self, Space, Staging};
use crate::zst::Meter;

use doubt::Doubts;
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
    /// Archives with which an earlier run found something wrong, by hash.
    doubted: HashSet<OsString>,
    totals: Mutex<RunTotals>,
    space_is_low: AtomicBool,
    space_was_low: AtomicBool,
}

/// Surveys the collection, stages what is to be kept, and tells `observers` of it. The totals are what they were told
/// last.
#[must_use]
pub fn run(config: &Config, control: &Control, observers: &[&dyn Observer]) -> Exit {
    let observers = Observers::new(control, observers);
    let mut run = Shared {
        config,
        control,
        observers,
        staging: None,
        swept: HashMap::new(),
        doubted: HashSet::new(),
        totals: Mutex::new(RunTotals {
            sum: ArchiveTotals { engine: config.engine, ..ArchiveTotals::default() },
            ..RunTotals::default()
        }),
        space_is_low: AtomicBool::new(false),
        space_was_low: AtomicBool::new(false),
    };
    let (plan, resumed) = match run.prepare() {
        Ok(prepared) => prepared,
        Err(cause) => {
            run.emit(&Event::Error { scope: Scope::Run, cause: &cause });
            return observers.end_early().unwrap_or(Exit::Failure);
        }
    };
    if let Some(exit) = observers.end_early() {
        return exit;
    }
    let space = run.space();
    run.emit(&Event::ScriptStart {
        start: &Start {
            total_archives: plan.archives.len() + resumed.as_ref().map_or(0, |resumed| resumed.archives.len()),
            total_bytes: plan.total_bytes() + resumed.as_ref().map_or(0, Resumed::bytes),
            left_out: &plan.left_out,
            dry_run: config.dry_run,
            jobs: config.jobs(),
            rules: config.rules(),
            resumed: resumed.as_ref(),
            space,
            minimum: run.staging.as_ref().zip(space).map(|(staging, space)| staging.budget().minimum(&space)),
        },
    });
    for (path, cause) in &plan.problems {
        run.emit(&Event::Error { scope: Scope::Path(path), cause });
    }
    for only in &config.only {
        let mut chosen = plan.archives.iter().chain(resumed.iter().flat_map(Resumed::archives));
        if !chosen.any(|archive| *archive.hash == **only) {
            let message =
                format!("no archive of the hash {only} is to be surveyed: there is none, or it is to be skipped");
            run.emit(&Event::Error { scope: Scope::Run, cause: &Cause::new(Reason::Only, message) });
        }
    }
    for (archive, earlier) in resumed.iter().flat_map(|resumed| &resumed.archives) {
        run.take_over(archive, earlier);
    }
    drop(resumed);
    let mut held = run.survey_all(&plan);
    // What found no room is tried again one image at a time, the smallest archive's first.
    held.sort_by_key(Survey::rank);
    held.into_iter().for_each(Survey::retry);
    if let Some(exit) = observers.end_early() {
        return exit;
    }
    let totals = run.totals().clone();
    run.emit(&Event::ScriptComplete { totals: &totals });
    // The last line may be the one that the log could not take.
    if let Some(exit) = observers.end_early() {
        return exit;
    }
    let is_clean = totals.errors == 0 && totals.deferred == 0 && !run.space_was_low.load(Ordering::SeqCst);
    if is_clean { Exit::Success } else { Exit::Failure }
}

impl Shared<'_> {
    fn prepare(&mut self) -> Result<(Plan, Option<Resumed>), Cause> {
        preflight::check_surroundings(self.config, self.control, &mut |cause| {
            self.emit(&Event::Warning { scope: Scope::Run, cause: &cause });
        })?;
        let mut plan = plan::select(self.config)?;
        if !self.config.dry_run && !self.control.is_stopped() {
            let staging = preflight::open_staging(self.config)?;
            self.swept = staging.sweep().map_err(|error| Cause::from(&error))?;
            for (hash, count) in &self.swept {
                if !plan.archives.iter().any(|archive| archive.hash == *hash) {
                    let folder = staging.destination(hash);
                    let message = format!(
                        "{count} partial files that an earlier run left were removed from {}",
                        folder.display()
                    );
                    self.emit(&Event::Warning { scope: Scope::Run, cause: &Cause::new(Reason::Swept, message) });
                    self.totals().sum.removed_files += count;
                }
            }
            self.staging = Some(staging);
        }
        let resumed = if self.config.resume {
            let (resumed, doubted) = resume::take_up(self.config, self.control, &mut plan, &mut |cause| {
                self.emit(&Event::Warning { scope: Scope::Run, cause: &cause });
            })?;
            self.doubted = doubted;
            Some(resumed)
        } else {
            let mut doubts = Doubts::new(&plan.archives, self.control);
            // A log that cannot be read back, as a pipe, knows of nothing.
            let _ = self.config.logs().and_then(|logs| logs.read(&mut doubts));
            self.doubted = doubts.into_hashes();
            None
        };
        Ok((plan, resumed))
    }

    /// Tells of an archive that an earlier run completed, and counts it.
    fn take_over(&self, archive: &Archive, earlier: &Earlier) {
        self.emit(&Event::ArchiveResumed { archive, earlier });
        self.add(archive, &earlier.totals, false);
        let mut totals = self.totals();
        totals.resumed += 1;
        totals.resumed_bytes += archive.size;
        totals.resumed_content += earlier.totals.content_bytes;
        totals.warnings += earlier.warnings;
        totals.would_keep += earlier.images.iter().filter(|image| image.place.is_none()).count() as u64;
    }

    /// Surveys the archives, each started strictly after the smaller ones. Gives those with images that found no room.
    fn survey_all(&self, plan: &Plan) -> Vec<Survey<'_>> {
        // More than there are archives help where one is passed over.
        let jobs = self.config.jobs().max(1);
        let name = |index| format!("{}-{index}", panics::WORKER_NAME);
        let pool = match rayon::ThreadPoolBuilder::new().num_threads(jobs).thread_name(name).build() {
            Ok(pool) => pool,
            Err(error) => {
                let cause = Cause::new(Reason::Threads, format!("starting {jobs} workers: {error}; try fewer --jobs"));
                self.emit(&Event::Error { scope: Scope::Run, cause: &cause });
                return Vec::new();
            }
        };
        let queue = Queue::new(self.control, plan.archives.iter());
        let held = Mutex::new(Vec::new());
        // Each thread of the pool takes archives off one queue. Were they tasks of the pool, a worker that waits for
        // work inside its archive could begin another one, out of order and on top of its own memory.
        pool.broadcast(|context| {
            while let Some((archive, meter)) = queue.next_with(|archive| self.begin(archive, context.index())) {
                if let Some(survey) = Survey::run(self, archive, meter) {
                    held.lock().unwrap_or_else(PoisonError::into_inner).push(survey);
                }
            }
        });
        held.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of the next archive while the queue is locked: the log has them in the order of their ranks.
    fn begin(&self, archive: &Arc<Archive>, worker: usize) -> Option<(Arc<Archive>, Arc<Meter>)> {
        let archive = Arc::clone(archive);
        self.check_space();
        if self.control.is_stopped() {
            return None;
        }
        let meter = Arc::new(Meter::new(self.control.flag()));
        self.emit(&Event::ArchiveStart { archive: &archive, meter: &meter, worker });
        Some((archive, meter))
    }

    /// Tells all observers, and counts what went wrong.
    fn emit(&self, event: &Event<'_>) {
        match event {
            Event::Error { .. } | Event::ArchiveFailed { .. } => self.totals().errors += 1,
            Event::Warning { .. } => self.totals().warnings += 1,
            _ => {}
        }
        self.observers.emit(event);
    }

    fn totals(&self) -> std::sync::MutexGuard<'_, RunTotals> {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds what an archive came to.
    fn add(&self, archive: &Archive, totals: &ArchiveTotals, has_failed: bool) {
        let mut run = self.totals();
        run.sum.verified = totals.verified && (run.sum.verified || run.archives_checked == 0);
        run.archives_checked += 1;
        run.archives_failed += u64::from(has_failed);
        run.without_image += u64::from(!has_failed && totals.is_without_image());
        run.compressed_bytes += archive.size;
        let sum = &mut run.sum;
        sum.images += totals.images;
        sum.multi += totals.multi;
        sum.kept += totals.kept;
        sum.bytes_written += totals.bytes_written;
        sum.removed_files += totals.removed_files;
        sum.members += totals.members;
        sum.content_bytes += totals.content_bytes;
        sum.decoded_bytes += totals.decoded_bytes;
        sum.passed_over_bytes += totals.passed_over_bytes;
        sum.sized_bytes += totals.sized_bytes;
        sum.jumped_bytes += totals.jumped_bytes;
        sum.presumed_bytes += totals.presumed_bytes;
        sum.refuted += totals.refuted;
        sum.traced_bytes += totals.traced_bytes;
        sum.fallbacks += totals.fallbacks;
        sum.requested_bytes += totals.requested_bytes;
        sum.frames += totals.frames;
        sum.checksummed_frames += totals.checksummed_frames;
        sum.rewinds += totals.rewinds;
        sum.seconds += totals.seconds;
    }

    /// Space where staging lies, or would lie.
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
