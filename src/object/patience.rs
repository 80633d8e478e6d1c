//! How long what goes wrong is tried again.
//!
//! A server that has answered once, with whatever, is there and in trouble: for [`PATIENCE`] everything is asked for again
//! that fails. One that has never answered, and cannot be connected to, may not exist, and few tries have to do. Once the
//! patience with a server has run out, and it had no good answer for anybody meanwhile, each request to it is one try, until
//! it answers again: others wait no longer than the first one did.
//!
//! A server that says how long to wait (`Retry-After`) is left alone for that long by everybody, but by none longer than
//! their patience lasts: what is asked for then is the last try. One that is given up delays nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Nothing is tried again this long after it was first tried, unless it has failed only once.
const PATIENCE: Duration = Duration::from_mins(3);
/// Tries of what has never answered.
const FEW: u32 = 4;
/// Pause before the second try; it doubles each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What is known of a server.
#[derive(Debug, Default)]
pub struct Server {
    has_answered: AtomicBool,
    is_away: AtomicBool,
    good_answers: AtomicU64,
    /// When it may be asked again.
    not_before: Mutex<Option<Instant>>,
}

impl Server {
    /// Takes note that the server is to be left alone for so long.
    pub fn leave_alone(&self, pause: Duration) {
        let until = Instant::now() + pause.min(PATIENCE);
        let mut not_before = self.not_before.lock().unwrap_or_else(PoisonError::into_inner);
        *not_before = not_before.max(Some(until));
    }

    /// How long who has asked for something for `elapsed` is still to wait.
    fn delay_after(&self, elapsed: Duration) -> Option<Duration> {
        let not_before = (*self.not_before.lock().unwrap_or_else(PoisonError::into_inner))?;
        let delay = not_before.saturating_duration_since(Instant::now()).min(PATIENCE.saturating_sub(elapsed));
        (!delay.is_zero() && !self.is_away.load(Ordering::Relaxed)).then_some(delay)
    }

    /// Takes note of an answer; `is_good` if it is not one that says to come again.
    pub fn answered(&self, is_good: bool) {
        self.has_answered.store(true, Ordering::Relaxed);
        if is_good {
            self.good_answers.fetch_add(1, Ordering::Relaxed);
            self.is_away.store(false, Ordering::Relaxed);
        }
    }
}

/// The tries of one thing.
#[derive(Debug)]
pub struct Patience {
    begun: Instant,
    tries: u32,
    /// Good answers that the server had given at the first failure.
    good_answers: Option<u64>,
}

impl Patience {
    /// The first try begins now.
    pub fn new() -> Patience {
        Patience { begun: Instant::now(), tries: 0, good_answers: None }
    }

    /// Tries that have failed.
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// How long a server is still to be left alone; none if it may be asked.
    pub fn delay(&self, server: &Server) -> Option<Duration> {
        server.delay_after(self.begun.elapsed())
    }

    /// A try has failed: the pause before the next, or none if that was the last.
    pub fn pause(&mut self) -> Option<Duration> {
        self.pause_after(self.begun.elapsed())
    }

    /// The same of a request to a server, where there was perhaps `no_connection`.
    pub fn pause_for(&mut self, server: &Server, no_connection: bool) -> Option<Duration> {
        self.pause_for_after(server, no_connection, self.begun.elapsed())
    }

    fn pause_for_after(&mut self, server: &Server, no_connection: bool, elapsed: Duration) -> Option<Duration> {
        let is_hasty = no_connection && !server.has_answered.load(Ordering::Relaxed);
        let pause = self.pause_after(elapsed).filter(|_| !is_hasty || self.tries < FEW);
        let good_answers = server.good_answers.load(Ordering::Relaxed);
        if *self.good_answers.get_or_insert(good_answers) == good_answers && pause.is_none() {
            server.is_away.store(true, Ordering::Relaxed);
        }
        // What had begun before is given up together with what ran out.
        pause.filter(|_| !server.is_away.load(Ordering::Relaxed))
    }

    fn pause_after(&mut self, elapsed: Duration) -> Option<Duration> {
        self.tries += 1;
        let doubled = FIRST_PAUSE.saturating_mul(1_u32.checked_shl(self.tries - 1).unwrap_or(u32::MAX));
        (self.tries == 1 || elapsed < PATIENCE).then_some(doubled.min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Has everything fail at once, from the first try on: how many tries there were, and how long they took.
    fn spent(server: &Server, no_connection: bool) -> (u32, Duration) {
        let (mut patience, mut elapsed) = (Patience::new(), Duration::ZERO);
        while let Some(pause) = patience.pause_for_after(server, no_connection, elapsed) {
            assert!(pause <= LONGEST_PAUSE);
            elapsed += pause;
        }
        (patience.tries(), elapsed)
    }

    #[test]
    fn a_server_that_has_answered_is_tried_for_minutes_and_one_that_cannot_be_connected_to_a_few_times() {
        let known = Server::default();
        known.answered(false);
        let (tries, took) = spent(&known, true);
        assert!(took >= PATIENCE && took < PATIENCE + LONGEST_PAUSE && tries < 25, "{tries} {took:?}");
        let (tries, took) = spent(&Server::default(), true);
        assert!(tries == FEW && took < Duration::from_secs(1), "{tries} {took:?}");
        // That it says nothing, or that it is busy, is no sign that it does not exist.
        assert!(spent(&Server::default(), false).1 >= PATIENCE);
    }

    #[test]
    fn once_the_patience_with_a_server_has_run_out_each_request_is_one_try_until_it_answers() {
        let server = Server::default();
        server.answered(true);
        assert!(spent(&server, true).0 > 10);
        assert_eq!(spent(&server, true), (1, Duration::ZERO));
        server.answered(false);
        assert_eq!(spent(&server, true).0, 1, "it says to come again");
        server.answered(true);
        assert!(spent(&server, true).0 > 10);
    }

    #[test]
    fn one_request_that_fails_for_ever_tells_nothing_of_a_server_that_answers_others() {
        let server = Server::default();
        let (mut patience, mut elapsed) = (Patience::new(), Duration::ZERO);
        while let Some(pause) = patience.pause_for_after(&server, false, elapsed) {
            server.answered(true);
            elapsed += pause;
        }
        assert!(spent(&server, false).0 > 10);
    }

    #[test]
    fn a_server_is_left_alone_as_long_as_it_asks_and_patience_lasts() {
        let server = Server::default();
        let delay = |elapsed| server.delay_after(Duration::from_secs(elapsed));
        assert_eq!(delay(0), None);
        server.leave_alone(Duration::from_secs(100));
        server.leave_alone(Duration::from_secs(1));
        let whole = delay(0).expect("a delay");
        assert!(whole > Duration::from_secs(1) && whole <= Duration::from_secs(100), "{whole:?}");
        server.leave_alone(Duration::MAX);
        assert_eq!(delay(170), Some(Duration::from_secs(10)));
        assert_eq!(delay(180), None);
        assert!(delay(0).is_some());
        spent(&server, false);
        assert_eq!(delay(0), None, "it was given up");
    }

    #[test]
    fn what_fails_once_late_is_tried_a_second_time() {
        let mut patience = Patience::new();
        assert!(patience.pause_after(PATIENCE * 2).is_some());
        assert!(patience.pause_after(PATIENCE * 3).is_none());
    }
}
