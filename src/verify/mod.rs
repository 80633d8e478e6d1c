//! `imgsieve verify`: archives decoded from their first byte to their last, and every checksum in them checked.
//!
//! libzstd decodes each frame, and checks the checksum of those that have one; the headers of the tar in them have sums
//! of their own, and are walked. Nothing is looked for in the images, and nothing is written but the log.

mod answer;

use std::sync::Arc;
use std::time::Instant;

use crate::cause::Cause;
use crate::config::Config;
use crate::event::{Archive, Event, Live, Soundness, Verified};
use crate::exit::Exit;
use crate::member::{self, Item};
use crate::reason::Reason;
use crate::run::{Control, End, Observer, Observers, Queue, panics};
use crate::scan::plan::{self, Plan};
use crate::zst::{Engine, Meter, Options, ZstFile};

pub use answer::Answer;

/// Verifies the archives of the collection, of whatever size, but those on the skip list; smallest first. Fails where a
/// folder or archive that was named cannot be read.
pub fn run(config: &Config, control: &Control, observers: &[&dyn Observer]) -> Result<(Exit, Answer), Cause> {
    let Plan { archives, left_out, problems, part } = plan::select(config, &control.flag())?;
    let observers = Observers::new(control, observers);
    let bytes = Archive::total_bytes(archives.iter().map(Arc::as_ref));
    observers.emit(&Event::Live(Live::Verifying { archives: archives.len(), bytes }));
    observers.emit(&Event::Live(Live::Queue { jobs: config.jobs(), archives: &archives }));
    let verified = all(config, control, observers, &archives);
    let mut answer = Answer::new(left_out, problems, part);
    for (archive, verified) in archives.into_iter().zip(verified) {
        answer.add(archive, verified);
    }
    let end = End::of(control);
    if let Some(end) = &end {
        observers.emit(&end.event());
    }
    let exit = match end.map(|end| end.exit()) {
        Some(exit) => exit,
        None if answer.is_sound() => Exit::Success,
        None => Exit::Failure,
    };
    Ok((exit, answer))
}

/// What came of each archive, in their order; none of those that the run did not come to, or to the end of.
fn all(
    config: &Config,
    control: &Control,
    observers: Observers<'_>,
    archives: &[Arc<Archive>],
) -> Vec<Option<Verified>> {
    let queue = Queue::new(control, archives.iter().enumerate());
    let work = || {
        let mut done = Vec::new();
        while let Some((index, archive)) = queue.next() {
            let meter = Arc::new(Meter::new(control.flag()));
            observers.emit(&Event::Live(Live::Reading(archive, &meter)));
            let verified = one(archive, config.site.max_window.0, meter);
            // It says nothing of the archive that the run was stopped.
            if verified.cause.as_ref().is_some_and(|cause| cause.code == Reason::Interrupted) {
                break;
            }
            observers.emit(&Event::ArchiveVerified { archive, verified: &verified });
            done.push((index, verified));
        }
        done
    };
    let mut results: Vec<Option<Verified>> = archives.iter().map(|_| None).collect();
    std::thread::scope(|scope| {
        let name = |index| format!("{}-{index}", panics::WORKER_NAME);
        let spawn = |index| std::thread::Builder::new().name(name(index)).spawn_scoped(scope, work).ok();
        let workers: Vec<_> = (0..config.jobs().clamp(1, archives.len().max(1))).map_while(spawn).collect();
        // Where there is no thread for anybody, this one does it.
        let own = if workers.is_empty() { work() } else { Vec::new() };
        let done = workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default());
        for (index, verified) in done.chain(own) {
            if let Some(result) = results.get_mut(index) {
                *result = Some(verified);
            }
        }
    });
    results
}

/// Decodes an archive to its end.
fn one(archive: &Archive, max_window: u64, meter: Arc<Meter>) -> Verified {
    let begun = Instant::now();
    let mut verified = Verified::default();
    let options = Options { engine: Engine::Decode, max_window, meter, voucher: None };
    let outcome = panics::caught(|| read(archive, options, &mut verified));
    verified.seconds = begun.elapsed().as_secs_f64();
    verified.soundness = match &outcome {
        Err(_) => Soundness::Fails,
        Ok(()) if verified.frames > verified.checksummed_frames => Soundness::NoChecksum,
        Ok(()) => Soundness::Holds,
    };
    verified.cause = outcome.err();
    verified
}

fn read(archive: &Archive, options: Options, verified: &mut Verified) -> Result<(), Cause> {
    let of_zst = |error: crate::zst::Error| Cause::from(&error);
    let zst = ZstFile::open_listed(&archive.path, archive.listed().as_ref(), options).map_err(of_zst)?;
    let walked = walk(&zst);
    // What is wrong with the tar does not end the frames, and their own word comes first.
    let finished = zst.finish().map_err(of_zst);
    let totals = zst.totals();
    verified.frames = totals.frames;
    verified.checksummed_frames = totals.checksummed_frames;
    verified.content_bytes = zst.reached();
    // A file that changed under its reader explains whatever else is wrong with it.
    zst.check_unchanged().map_err(of_zst)?;
    finished?;
    walked
}

/// Reads every header of the tar.
fn walk(zst: &ZstFile) -> Result<(), Cause> {
    let mut members = member::walk(zst);
    let mut intact = Ok(());
    loop {
        match members.next() {
            Ok(None) => return intact,
            Ok(Some(Item::Bad(error))) => intact = intact.and(Err(Cause::from(&error))),
            Ok(Some(Item::Member(_) | Item::Note(_))) => {}
            Err(error) => return intact.and(Err(Cause::from(&error))),
        }
    }
}
