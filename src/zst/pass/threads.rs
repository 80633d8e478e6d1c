//! The threads that blocks are sized in: of the pool that the caller is of, or else of one that is made for it; the
//! caller's own alone where the system has none to give.

use std::sync::OnceLock;

use rayon::{Scope, ThreadPool, ThreadPoolBuilder};

static OWN: OnceLock<Option<ThreadPool>> = OnceLock::new();

fn own() -> Option<&'static ThreadPool> {
    OWN.get_or_init(|| ThreadPoolBuilder::new().build().ok()).as_ref()
}

fn is_in_a_pool() -> bool {
    rayon::current_thread_index().is_some()
}

/// How many there are, at least 1.
pub fn count() -> usize {
    if is_in_a_pool() { rayon::current_num_threads() } else { own().map_or(1, ThreadPool::current_num_threads) }
}

/// Does `work` in up to so many of them at a time, of which the caller's is one, and returns when all have done it.
pub fn each(workers: usize, work: impl Fn() + Sync) {
    if is_in_a_pool() {
        rayon::in_place_scope(|scope| spread(scope, workers, &work));
    } else if let Some(pool) = own() {
        pool.in_place_scope(|scope| spread(scope, workers, &work));
    } else {
        work();
    }
}

fn spread<'scope>(scope: &Scope<'scope>, workers: usize, work: &'scope (impl Fn() + Sync)) {
    for _ in 1..workers {
        scope.spawn(|_| work());
    }
    work();
}
