//! One write at a time among all runs that share a staging folder, for writes near the minimum of free space.
//!
//! Each run promises itself what is free, and so do the others. What holds for all of them is what the file system says, which
//! counts what was written at once: so who is near the minimum asks and writes with a lock held that all runs see. Away from it
//! none is needed, see [`NEAR`].
//!
//! Where there are no locks, or the lock is not given up, as by a process that was stopped, it goes on without.

use std::ffi::OsStr;
use std::fs::File;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::folder::{Folder, GATE};

/// How far above the minimum writes need no lock. A look at free space is good for `CHECK_EVERY` bytes and for [`FRESH`], so of
/// those who saw that much, none writes without a lock any more [`FRESH`] after the first sees less. Until then they write
/// `CHECK_EVERY` each at most: 1792 writers, 7 GiB. Those with the lock have the remaining 1 GiB, at 10 GiB/s.
pub(super) const NEAR: u64 = 8 << 30;
/// How long a look at free space is good for, however little is written.
pub(super) const FRESH: Duration = Duration::from_millis(100);

/// How long to wait for the lock: who holds it writes a few MiB at most.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often to ask for it.
const PAUSE: Duration = Duration::from_micros(500);

/// What all writers near the minimum pass, one at a time.
pub(super) struct Gate {
    folder: Folder,
    /// The file that the lock is on, once it was needed. Its lock is the process's: threads take turns by the mutex.
    file: Mutex<Option<File>>,
    /// Set when the run is to end, and waits no more.
    stopped: Arc<AtomicBool>,
    /// The lock could not be had in time: it is asked for without waiting, until it can be had again.
    is_stuck: AtomicBool,
    /// What was written has to be synced to be counted.
    is_remote: bool,
}

impl Gate {
    /// Of the staging folder `folder`.
    pub fn new(folder: Folder, stopped: Arc<AtomicBool>) -> Gate {
        let is_remote = !folder.is_local();
        Gate { folder, file: Mutex::new(None), stopped, is_stuck: AtomicBool::new(false), is_remote }
    }

    /// Whether the file system counts what was written only when it was synced, as over a network.
    pub fn is_remote(&self) -> bool {
        self.is_remote
    }

    /// Does `work`, which asks for free space and writes, while no other run does.
    pub fn pass<T>(&self, work: impl FnOnce() -> T) -> T {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let is_locked = self.take(&mut file);
        let _unlock = file.as_ref().filter(|_| is_locked).map(Locked);
        work()
    }

    /// Waits for the lock; whether it was given.
    fn take(&self, file: &mut Option<File>) -> bool {
        let name = OsStr::new(GATE);
        let begun = Instant::now();
        loop {
            let opened = match file.take() {
                Some(opened) => Ok(opened),
                None => self.folder.open_to_lock(name),
            };
            let Ok(opened) = opened else { return false };
            match flock(&opened, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) if self.folder.is_at(&opened, name) => {
                    self.is_stuck.store(false, Ordering::Relaxed);
                    *file = Some(opened);
                    return true;
                }
                // The last run that used it removed it: another one takes its place.
                Ok(()) => {}
                Err(Errno::WOULDBLOCK | Errno::INTR) => *file = Some(opened),
                Err(_) => return false,
            }
            if self.is_stuck.load(Ordering::Relaxed) || self.stopped.load(Ordering::Relaxed) {
                return false;
            }
            if begun.elapsed() >= PATIENCE {
                self.is_stuck.store(true, Ordering::Relaxed);
                return false;
            }
            std::thread::sleep(PAUSE);
        }
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let name = OsStr::new(GATE);
        let file = self.file.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(file) = file
            && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok()
            && self.folder.is_at(&file, name)
        {
            let _ = self.folder.remove(name);
        }
    }
}

/// A file that is locked until this is dropped.
struct Locked<'a>(&'a File);

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        let _ = flock(self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    fn gate(place: &tempfile::TempDir, stopped: bool) -> Gate {
        Gate::new(Folder::open(place.path()).expect("a folder"), Arc::new(AtomicBool::new(stopped)))
    }

    #[test]
    fn one_at_a_time_passes_though_the_file_comes_and_goes_and_it_goes_with_the_last() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let (inside, passed) = (AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let gate = gate(&place, false);
                        for _ in 0..10 {
                            gate.pass(|| {
                                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                                passed.fetch_add(1, Ordering::SeqCst);
                                inside.fetch_sub(1, Ordering::SeqCst);
                            });
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 800);
        assert_eq!(place.path().read_dir().expect("a folder").count(), 0);
    }

    #[test]
    fn who_is_to_end_does_not_wait_and_who_waited_in_vain_waits_no_more() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let holder = gate(&place, false);
        holder.pass(|| {
            let begun = Instant::now();
            gate(&place, true).pass(|| ());
            let other = gate(&place, false);
            other.is_stuck.store(true, Ordering::Relaxed);
            other.pass(|| ());
            assert!(begun.elapsed() < PATIENCE / 2, "{:?}", begun.elapsed());
        });
        let other = gate(&place, false);
        other.is_stuck.store(true, Ordering::Relaxed);
        other.pass(|| ());
        assert!(!other.is_stuck.load(Ordering::Relaxed), "it can be had again");
    }

    #[test]
    fn where_the_file_cannot_be_made_it_goes_on_without() {
        let place = tempfile::tempdir().expect("a temporary folder");
        std::os::unix::fs::symlink("/nowhere", place.path().join(GATE)).expect("a link");
        assert_eq!(gate(&place, false).pass(|| 7), 7);
        assert!(place.path().join(GATE).is_symlink());
    }
}
