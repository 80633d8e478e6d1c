//! What of a collection is in object storage.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::cause::Cause;
use crate::event::Rule;
use crate::object::{self, Error, Listed, Stop, Url};
use crate::reason::Reason;

use super::{Candidate, Listing, Plan, is_named_as_archive};

/// Objects of a list that are asked for at a time.
const AT_A_TIME: usize = 16;

/// Why nothing can be surveyed.
pub(super) fn cause(place: &Path, error: &Error) -> Cause {
    let message = format!("cannot read the collection {}: {error}", place.display());
    Cause::new(Reason::Collection, message).passing(error.may_pass())
}

/// What may be an archive of what a URL names: an archive, by its ending, or what is under a prefix, as in a folder. What else
/// there is, is left out. Of another shard nothing is told.
pub(super) fn find(plan: &mut Plan, place: &Path, listing: &mut Listing, stop: &Stop) -> Result<Vec<Candidate>, Error> {
    let url = Url::parse(place)?;
    let named = |object| Candidate { path: url.to_path(), is_named: true, object: Some(object) };
    if is_named_as_archive(place) {
        let object = object::look(&url, stop)?;
        return Ok(listing.names.note(place).then(|| named(object)).into_iter().collect());
    }
    let mut found = Vec::new();
    let listed = object::list(&url, listing.recursive, stop, &mut |listed| match listed {
        Listed::Object(path, object) if is_named_as_archive(&path) => {
            if listing.names.note(&path) {
                found.push(Candidate { path, is_named: false, object: Some(object) });
            }
        }
        Listed::Object(path, object) if listing.names.has(&path) => {
            plan.leave_out(Rule::OtherEnding, path, Some(object.length), None);
        }
        Listed::Folder(path) if listing.names.has(&path) => plan.leave_out(Rule::Folder, path, None, None),
        Listed::Object(..) | Listed::Folder(_) => {}
    });
    match listed {
        // It may be an object after all: then its ending is what is wrong with it.
        Err(Error::NothingThere) if !url.is_prefix() => match object::look(&url, stop) {
            Ok(object) => Ok(vec![named(object)]),
            Err(Error::NoObject) => Err(Error::NothingThere),
            Err(error) => Err(error),
        },
        listed => listed.map(|()| found),
    }
}

/// What a list names, and what is there: several are asked for at a time. Ends early where the run is to.
pub(super) fn look_at(paths: &[PathBuf], stop: &Stop) -> Vec<(PathBuf, Result<object::Identity, Error>)> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut found = Vec::new();
        while let Some(path) = paths.get(next.fetch_add(1, Ordering::Relaxed)) {
            let object = Url::parse(path).and_then(|url| object::look(&url, stop));
            let is_stopped = object == Err(Error::Interrupted);
            found.push((path.clone(), object));
            if is_stopped {
                break;
            }
        }
        found
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..AT_A_TIME.min(paths.len())).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap_or_default()).collect()
    })
}
