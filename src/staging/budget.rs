//! Free space, shared by all workers and never promised twice.
//!
//! Available is what the file system gives an ordinary user, less the minimum that has to stay free, less what is
//! reserved and not yet written. Whoever writes holds a [`Reservation`]: taken before, drawn from while bytes are
//! written, given back where holes are passed, and the rest on drop. Nothing here waits: a caller that gets no
//! reservation now asks again later. Other runs are not asked: for them there is the [`Gate`].

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::units::MinFree;

use super::gate::Gate;

/// Space on a file system that an ordinary user may use, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free now.
    pub available: u64,
    /// Used and available, of which `df` counts percentages.
    pub usable: u64,
}

impl Space {
    /// Percent free as `df` counts it, rounded down.
    #[must_use]
    pub fn free_percent(&self) -> u64 {
        let percent = u128::from(self.available) * 100 / u128::from(self.usable.max(1));
        u64::try_from(percent).unwrap_or(100)
    }
}

/// Says how much space there is. A trait, so that a full disk is an ordinary unit test.
pub trait FreeSpace: Send + Sync {
    /// Asks anew.
    fn space(&self) -> io::Result<Space>;
}

/// Why space was not given.
#[derive(Debug)]
pub enum Refusal {
    /// Not so much now; others may give some back.
    NotNow {
        /// What could be had, in bytes.
        available: u64,
    },
    /// The run has staged as much as it may, or would then.
    Most {
        /// What it may still stage, in bytes.
        left: u64,
    },
    /// The file system does not say.
    Unknown(io::Error),
}

/// The space of one staging folder. Clones share it.
#[derive(Clone)]
pub struct Budget {
    disk: Arc<dyn FreeSpace>,
    min_free: MinFree,
    /// Most bytes that are written and stay; none for no limit.
    most: Option<u64>,
    promised: Arc<Mutex<Promised>>,
    /// What writes near the minimum pass where other runs write, too.
    gate: Option<Arc<Gate>>,
}

/// What is promised.
#[derive(Debug, Default)]
struct Promised {
    /// Bytes reserved and not yet written.
    reserved: u64,
    /// Bytes written to files that stay, or may.
    written: u64,
}

/// Space that is promised to one file and not yet written.
pub struct Reservation {
    budget: Budget,
    left: u64,
    /// Bytes written, which do not count for what the run may stage if the file does not stay.
    written: u64,
}

impl Budget {
    /// A budget over `disk`, of which `min_free` has to stay free.
    pub fn new(disk: Arc<dyn FreeSpace>, min_free: MinFree) -> Budget {
        Budget { disk, min_free, most: None, promised: Arc::default(), gate: None }
    }

    /// The same, of a folder that other runs write to, which pass the same gate.
    pub(super) fn shared(self, gate: Gate) -> Budget {
        Budget { gate: Some(Arc::new(gate)), ..self }
    }

    pub(super) fn gate(&self) -> Option<&Arc<Gate>> {
        self.gate.as_ref()
    }

    /// The same, of which no more than `most` bytes are ever written and stay.
    #[must_use]
    pub fn limited(self, most: Option<u64>) -> Budget {
        Budget { most, ..self }
    }

    /// Most bytes that the run may write and leave; none for no limit.
    #[must_use]
    pub fn most(&self) -> Option<u64> {
        self.most
    }

    /// Space on the file system now.
    pub fn space(&self) -> io::Result<Space> {
        self.disk.space()
    }

    /// The minimum that has to stay free, in bytes, on a file system of this size.
    #[must_use]
    pub fn minimum(&self, space: &Space) -> u64 {
        self.min_free.bytes(space.usable)
    }

    /// Bytes that could ever be staged here, were there nothing else on the file system.
    pub fn capacity(&self) -> io::Result<u64> {
        let space = self.space()?;
        Ok(space.usable.saturating_sub(self.minimum(&space)))
    }

    /// How far free space lies below the minimum, in bytes, if it does.
    pub fn shortfall(&self) -> io::Result<Option<u64>> {
        Ok(self.above_minimum()?.err())
    }

    /// How far free space lies above the minimum, in bytes, or, as an error, below it.
    pub(super) fn above_minimum(&self) -> io::Result<Result<u64, u64>> {
        let space = self.space()?;
        let minimum = self.minimum(&space);
        Ok(space.available.checked_sub(minimum).ok_or_else(|| minimum - space.available))
    }

    /// Whether `bytes` could be reserved now.
    pub(super) fn check(&self, bytes: u64) -> Result<(), Refusal> {
        self.check_with(&self.lock(), bytes)
    }

    fn check_with(&self, promised: &Promised, bytes: u64) -> Result<(), Refusal> {
        if let Some(most) = self.most {
            let left = most.saturating_sub(promised.reserved).saturating_sub(promised.written);
            if bytes > left {
                return Err(Refusal::Most { left });
            }
        }
        let above = self.above_minimum().map_err(Refusal::Unknown)?.unwrap_or(0);
        let available = above.saturating_sub(promised.reserved);
        if bytes > available { Err(Refusal::NotNow { available }) } else { Ok(()) }
    }

    /// Bytes that could be reserved now.
    pub fn room(&self) -> io::Result<u64> {
        let mut room = u64::MAX;
        loop {
            match self.check(room) {
                Ok(()) => return Ok(room),
                Err(Refusal::Most { left: less } | Refusal::NotNow { available: less }) => room = less,
                Err(Refusal::Unknown(error)) => return Err(error),
            }
        }
    }

    /// Reserves `bytes`, if they are there now. 0 bytes can always be had, and grown later.
    pub fn try_reserve(&self, bytes: u64) -> Result<Reservation, Refusal> {
        let mut reservation = Reservation { budget: self.clone(), left: 0, written: 0 };
        reservation.try_grow(bytes)?;
        Ok(reservation)
    }

    /// Bytes reserved and not yet written, by all.
    #[must_use]
    pub fn reserved(&self) -> u64 {
        self.lock().reserved
    }

    fn lock(&self) -> MutexGuard<'_, Promised> {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    /// Adds `bytes` to the reservation, if they are there now.
    pub fn try_grow(&mut self, bytes: u64) -> Result<(), Refusal> {
        if bytes == 0 {
            return Ok(());
        }
        // Asked with the lock held: between the question and the promise nobody else may be promised the same bytes.
        let mut promised = self.budget.lock();
        self.budget.check_with(&promised, bytes)?;
        promised.reserved += bytes;
        self.left += bytes;
        Ok(())
    }

    /// The budget it was taken from.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Bytes of the reservation that are left.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// Bytes that may be written on it now, however much of that is reserved.
    pub(super) fn room(&self) -> io::Result<u64> {
        let of_others = self.budget.reserved().saturating_sub(self.left);
        Ok(self.budget.above_minimum()?.unwrap_or(0).saturating_sub(of_others))
    }

    /// Gives back up to `bytes`, which will never be written.
    pub fn release(&mut self, bytes: u64) {
        let released = bytes.min(self.left);
        self.left -= released;
        self.budget.lock().reserved -= released;
    }

    /// Takes up to `bytes` off the reservation that were written: the file system counts them as used from now on.
    pub fn spend(&mut self, bytes: u64) {
        self.release(bytes);
        self.written = self.written.saturating_add(bytes);
        let mut promised = self.budget.lock();
        promised.written = promised.written.saturating_add(bytes);
    }

    /// What was written stays, and counts for the rest of the run.
    pub fn keep(&mut self) {
        self.written = 0;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release(self.left);
        let mut promised = self.budget.lock();
        promised.written = promised.written.saturating_sub(self.written);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::units::Size;

    /// A disk of `total` bytes, of which so many are used.
    struct Disk {
        total: u64,
        used: AtomicU64,
    }

    impl FreeSpace for Disk {
        fn space(&self) -> io::Result<Space> {
            let available = self.total - self.used.load(Ordering::SeqCst);
            Ok(Space { available, usable: self.total })
        }
    }

    fn budget(total: u64, min_free: &str) -> (Budget, Arc<Disk>) {
        let disk = Arc::new(Disk { total, used: AtomicU64::new(0) });
        (Budget::new(disk.clone(), min_free.parse().expect("a minimum")), disk)
    }

    #[test]
    fn reserved_bytes_are_not_promised_twice() {
        let (budget, _) = budget(1000, "20%");
        let first = budget.try_reserve(500).expect("800 are there");
        assert!(matches!(budget.try_reserve(301), Err(Refusal::NotNow { available: 300 })));
        let second = budget.try_reserve(300).expect("300 are left");
        drop(first);
        assert_eq!(budget.reserved(), 300);
        assert!(budget.try_reserve(500).is_ok());
        drop(second);
        assert_eq!(budget.reserved(), 0);
    }

    #[test]
    fn holes_give_their_part_back() {
        let (budget, _) = budget(1000, "0");
        let mut reservation = budget.try_reserve(1000).expect("all of it");
        reservation.release(400);
        assert_eq!((reservation.left(), budget.reserved()), (600, 600));
        reservation.release(u64::MAX);
        assert_eq!(budget.reserved(), 0);
    }

    #[test]
    fn a_reservation_that_grows_is_refused_at_the_minimum() {
        let (budget, disk) = budget(1000, "100B");
        let mut reservation = budget.try_reserve(0).expect("nothing is always there");
        reservation.try_grow(900).expect("down to the minimum");
        assert!(reservation.try_grow(1).is_err());
        disk.used.store(950, Ordering::SeqCst);
        assert_eq!(budget.shortfall().expect("it says"), Some(50));
    }

    #[test]
    fn no_more_is_written_than_a_run_may_and_what_does_not_stay_does_not_count() {
        let (budget, _) = budget(1000, "0");
        let budget = budget.limited(Some(300));
        let mut first = budget.try_reserve(200).expect("there");
        assert!(matches!(budget.try_reserve(101), Err(Refusal::Most { left: 100 })));
        first.spend(50);
        first.release(100);
        let mut second = budget.try_reserve(200).expect("50 are written, 50 reserved");
        second.spend(200);
        drop(second);
        first.keep();
        drop(first);
        assert!(matches!(budget.try_reserve(251), Err(Refusal::Most { left: 250 })));
        assert!(budget.try_reserve(250).is_ok());
    }

    #[test]
    fn what_others_use_is_seen() {
        let (budget, disk) = budget(1000, "0");
        disk.used.store(999, Ordering::SeqCst);
        assert!(matches!(budget.try_reserve(2), Err(Refusal::NotNow { available: 1 })));
        assert_eq!(budget.space().expect("it says").free_percent(), 0);
    }

    #[test]
    fn written_and_reserved_never_pass_the_budget_with_many_threads() {
        const TOTAL: u64 = 100_000;
        let (budget, disk) = budget(TOTAL, &Size(TOTAL / 5).to_string());
        let most = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for seed in 1..=8u64 {
                let (budget, disk, most) = (&budget, &disk, &most);
                scope.spawn(move || {
                    let mut random = seed;
                    for _ in 0..2000 {
                        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        let wanted = (random >> 33) % (TOTAL / 4);
                        let Ok(mut reservation) = budget.try_reserve(wanted) else { continue };
                        // As a keep does: part is written, part turns out to be holes, then it is removed again.
                        let written = wanted / 2;
                        disk.used.fetch_add(written, Ordering::SeqCst);
                        reservation.release(written);
                        let in_use = disk.used.load(Ordering::SeqCst);
                        most.fetch_max(in_use, Ordering::SeqCst);
                        assert!(in_use <= TOTAL / 5 * 4, "{in_use} bytes written");
                        reservation.release(wanted / 4);
                        disk.used.fetch_sub(written, Ordering::SeqCst);
                    }
                });
            }
        });
        assert_eq!((budget.reserved(), disk.used.load(Ordering::SeqCst)), (0, 0));
        assert!(most.load(Ordering::SeqCst) > 0);
    }
}
