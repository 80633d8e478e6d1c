//! What of a collection is in object storage.

use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::archive_name;
use crate::cause::Cause;
use crate::event::Rule;
use crate::object::{self, Error, Identity, Listed, Stop, Url};
use crate::reason::Reason;
use crate::run::panics;

use super::{Candidate, Listing, Plan, file_name, is_named_as_archive};

/// Longest that the URLs of the archives of one listing may be together, in bytes, each taken to be at least so long: some ten
/// million archives, as many as a list may have.
const KEPT_MOST: u64 = 1 << 30;
const KEPT_LEAST: u64 = 100;
/// Objects of a list that are asked for at a time.
const AT_A_TIME: usize = 16;

/// What is there under a URL.
type Looked = Result<Identity, Error>;

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
    let mut kept = 0;
    let mut keep = |path: &Path| {
        kept += KEPT_LEAST.max(path.as_os_str().len() as u64);
        if kept <= KEPT_MOST {
            return Ok(());
        }
        Err(Error::Other { why: "it has more archives than one run can list (some ten million)".to_owned() })
    };
    let listed = object::list(&url, listing.recursive, stop, &mut |listed| {
        match listed {
            Listed::Object(path, object) if is_named_as_archive(&path) => {
                keep(&path)?;
                if listing.names.note(&path) {
                    found.push(Candidate { path, is_named: false, object: Some(object) });
                }
            }
            Listed::Unreadable(path, _, error) if archive_name::hash(file_name(&path)).is_some() => {
                keep(&path)?;
                if listing.names.note(&path) {
                    plan.problems.push((path, Cause::new(Reason::Io, error.to_string())));
                }
            }
            Listed::Object(path, Identity { length, .. }) if listing.names.has(&path) => {
                plan.leave_out(Rule::OtherEnding, path, Some(length), None);
            }
            Listed::Unreadable(path, length, _) if listing.names.has(&path) => {
                plan.leave_out(Rule::OtherEnding, path, length, None);
            }
            Listed::Folder(path) if listing.names.has(&path) => plan.leave_out(Rule::Folder, path, None, None),
            Listed::Object(..) | Listed::Unreadable(..) | Listed::Folder(_) => {}
        }
        Ok(())
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

/// What a list names, and what is there, in the order of the list: several are asked for at a time. Ends early where the run is
/// to.
pub(super) fn look_at(paths: &[PathBuf], stop: &Stop) -> Result<Vec<(PathBuf, Looked)>, Cause> {
    at_a_time(paths, &|path| {
        let object = Url::parse(path).and_then(|url| object::look(&url, stop));
        let goes_on = object != Err(Error::Interrupted);
        ((path.clone(), object), goes_on)
    })
}

/// What `look` gives for each of `all`, in their order, several at a time; a thread ends where it says not to go on.
/// Fails where it panics.
fn at_a_time<T: Sync, R: Send>(all: &[T], look: &(dyn Fn(&T) -> (R, bool) + Sync)) -> Result<Vec<R>, Cause> {
    let next = AtomicUsize::new(0);
    let work = || {
        panics::caught(|| {
            let mut found = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(one) = all.get(index) else { break };
                let (given, goes_on) = look(one);
                found.push((index, given));
                if !goes_on {
                    break;
                }
            }
            Ok(found)
        })
    };
    let found: Result<Vec<_>, Cause> = std::thread::scope(|scope| {
        let start = |number| {
            let name = format!("{}-list-{number}", panics::WORKER_NAME);
            std::thread::Builder::new().name(name).spawn_scoped(scope, work)
        };
        // Where there is no thread for more, fewer do; this one does in any case.
        let others: Vec<_> = (1..AT_A_TIME.min(all.len())).map_while(|number| start(number).ok()).collect();
        let own = work();
        let others = others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        std::iter::once(own).chain(others).collect()
    });
    let mut found: Vec<_> = found?.into_iter().flatten().collect();
    found.sort_unstable_by_key(|&(index, _)| index);
    Ok(found.into_iter().map(|(_, given)| given).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_look_at_comes_in_order() {
        let all: Vec<u64> = (0..200).collect();
        let look = |&number: &u64| {
            std::thread::sleep(std::time::Duration::from_micros(number * 7 % 50));
            (number, true)
        };
        assert_eq!(at_a_time(&all, &look), Ok(all.clone()));
        assert_eq!(at_a_time(&[], &look), Ok(vec![]));
        let found = at_a_time(&all, &|&number| (number, number < 3)).expect("no panic");
        assert!(found.starts_with(&[0, 1, 2, 3]) && found.len() < all.len(), "{found:?}");
    }

    #[test]
    fn a_panic_of_one_that_looks_is_not_lost() {
        let all: Vec<u64> = (0..40).collect();
        let failed = at_a_time(&all, &|&number| {
            assert!(number != 30, "a panic that a test wants");
            (number, true)
        });
        assert_eq!(failed.map_err(|cause| cause.code), Err(Reason::Panic));
    }
}
