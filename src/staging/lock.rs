//! Locks between the runs that use a staging folder, held by the kernel: gone when their run dies, however it dies.
//!
//! A folder cannot be locked over NFS, where a lock needs a file that is open for writing. So each lock is on a file of its own
//! that is removed when nobody holds it any more. Who locks a file that was removed meanwhile has locked nothing, sees that,
//! and tries again.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use super::error::Error;
use super::folder::{Folder, failed};

/// How often a lock that somebody holds is asked for, and how long to wait each time: who only looks whether anybody holds it
/// has done so by then.
const TRIES: u32 = 30;
const PAUSE: Duration = Duration::from_millis(10);

/// Who else may use the staging folder at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Nobody.
    Alone,
    /// Runs over other shards.
    Together,
}

impl Sharing {
    pub(super) fn operation(self) -> FlockOperation {
        match self {
            Sharing::Alone => FlockOperation::NonBlockingLockExclusive,
            Sharing::Together => FlockOperation::NonBlockingLockShared,
        }
    }
}

/// A lock, held until it is dropped.
pub struct Lock {
    folder: Folder,
    name: OsString,
    file: File,
}

impl Lock {
    /// Locks the file `name` in `folder`, which is made if it is missing. None where somebody else holds it.
    pub(super) fn take(folder: &Folder, name: &str, sharing: Sharing) -> Result<Option<Lock>, Error> {
        let name = OsStr::new(name);
        let path = folder.join(name);
        for _ in 0..TRIES {
            let file = folder.open_to_lock(name).map_err(failed("opening", &path))?;
            match flock(&file, sharing.operation()) {
                Ok(()) if folder.is_at(&file, name) => {
                    let folder = folder.try_clone()?;
                    return Ok(Some(Lock { folder, name: name.to_owned(), file }));
                }
                Ok(()) => {}
                Err(Errno::WOULDBLOCK | Errno::INTR) => std::thread::sleep(PAUSE),
                Err(errno) => return Err(failed("locking", &path)(errno)),
            }
        }
        Ok(None)
    }
}

/// Locks `file`, which was just created as `name` in `folder`. Who looks whether anybody writes to it holds the lock for an
/// instant, and is waited for; where the file system has no locks, there is none. Whether it is still there: who found it not
/// locked yet took it for left behind.
pub(super) fn lock_new(folder: &Folder, file: &File, name: &OsStr) -> bool {
    let _ = retry_on_intr(|| flock(file, FlockOperation::LockExclusive));
    folder.is_at(file, name)
}

impl Drop for Lock {
    fn drop(&mut self) {
        let is_last = flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if is_last && self.folder.is_at(&self.file, &self.name) {
            let _ = self.folder.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::folder::{FOLDER, TURN};
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_or_shared_by_many_and_its_file_goes_with_the_last() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(place.path()).expect("a folder");
        let take = |sharing| Lock::take(&folder, FOLDER, sharing).expect("a lock or none");
        let alone = take(Sharing::Alone).expect("nobody holds it");
        assert!(take(Sharing::Alone).is_none() && take(Sharing::Together).is_none());
        drop(alone);
        let (one, other) = (take(Sharing::Together).expect("free"), take(Sharing::Together).expect("shared"));
        assert!(take(Sharing::Alone).is_none());
        drop(one);
        assert!(take(Sharing::Alone).is_none() && place.path().join(FOLDER).exists());
        drop(other);
        assert!(!place.path().join(FOLDER).exists());
    }

    #[test]
    fn a_new_file_is_locked_once_who_looked_at_it_is_gone() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(place.path()).expect("a folder");
        for (name, is_removed) in [("x", false), ("y", true)] {
            let name = OsStr::new(name);
            let file = folder.create(name).expect("a new file");
            let looks = folder.open_locked(name).expect("there");
            flock(&looks, FlockOperation::NonBlockingLockExclusive).expect("not locked yet");
            std::thread::scope(|scope| {
                let locked = scope.spawn(|| lock_new(&folder, &file, name));
                std::thread::sleep(10 * PAUSE);
                assert!(!locked.is_finished());
                if is_removed {
                    folder.remove(name).expect("there");
                }
                drop(looks);
                assert_eq!(locked.join().expect("no panic"), !is_removed);
            });
        }
    }

    #[test]
    fn many_that_come_and_go_never_hold_it_at_once() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let holders = std::sync::atomic::AtomicU32::new(0);
        let taken = std::sync::atomic::AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let folder = Folder::open(place.path()).expect("a folder");
                    for _ in 0..100 {
                        let Some(lock) = Lock::take(&folder, TURN, Sharing::Alone).expect("a lock or none") else {
                            continue;
                        };
                        assert_eq!(holders.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0);
                        holders.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                        taken.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert!(taken.into_inner() > 100);
    }
}
