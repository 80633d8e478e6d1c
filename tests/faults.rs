//! A fault at every system call that touches staging, the log or a page: an error, or the end of the process. After each,
//! one list of [invariants] holds, and a clean run comes to the end that the run would have had.
//!
//! A spread of them by default, the same each time; `IMGSIEVE_FAULTS=all` for all. `IMGSIEVE_FAULTS=MODE:CALL` narrows that
//! to one mode and calls of one name, either of which may be left out.

mod common;
#[path = "faults/inject.rs"]
mod inject;
#[path = "faults/invariants.rs"]
mod invariants;
#[path = "faults/place.rs"]
mod place;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tempfile::TempDir;

use common::content::Random;
use common::strace::{is_there, say};
use inject::Fault;
use invariants::{Allowed, Truth};
use place::{Mode, Place};

/// Faults that are injected where no more are asked for.
const SPREAD: usize = 300;
/// Runs at a time.
const WORKERS: usize = 2;

#[test]
fn no_fault_breaks_a_promise() {
    if !is_there("faults") {
        return;
    }
    let begun = Instant::now();
    let folder = TempDir::new().expect("a temporary folder");
    let places: Vec<Place> =
        (0..WORKERS).map(|number| Place::new(&folder.path().join(format!("place-{number}")))).collect();
    let truths: Vec<Truth> = places.iter().map(Truth::of).collect();
    let all: BTreeSet<Fault> = Mode::ALL.iter().flat_map(|&mode| inject::all(&places[0], mode)).collect();
    let chosen = choose(&all, &std::env::var("IMGSIEVE_FAULTS").unwrap_or_default());
    let next = AtomicUsize::new(0);
    let outcome = Mutex::new((BTreeMap::<(String, Mode), usize>::new(), 0, Vec::new()));
    std::thread::scope(|scope| {
        for (place, truth) in places.iter().zip(&truths) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(fault) = chosen.get(index) else { return };
                    place.reset(fault.mode);
                    let (ended, is_reached) = inject::run(place, fault);
                    let allowed = Allowed {
                        // A thread's n-th write may be that to standard error.
                        silence: fault.call == "write",
                        leftover: ["unlink", "unlinkat", "statx", "fstat", "newfstatat"].contains(&&*fault.call),
                        ..Allowed::default()
                    };
                    let broken = invariants::check(place, truth, fault.mode, &ended, allowed, index.is_multiple_of(2));
                    let mut outcome = outcome.lock().expect("no panic");
                    if is_reached {
                        *outcome.0.entry((fault.call.clone(), fault.mode)).or_default() += 1;
                    } else {
                        outcome.1 += 1;
                    }
                    outcome.2.extend(broken.into_iter().map(|what| format!("{fault:?}: {what}")));
                }
            });
        }
    });
    let (reached, missed, mut broken) = outcome.into_inner().expect("no panic");
    say(&table(&reached, chosen.len(), all.len(), missed, begun));
    broken.sort();
    assert!(missed * 10 <= chosen.len(), "{missed} faults were never reached");
    assert!(broken.is_empty(), "{} broken promises:\n{}", broken.len(), broken.join("\n"));
}

/// A spread of the faults: first one of each kind, in the same random order each time.
fn choose(all: &BTreeSet<Fault>, asked: &str) -> Vec<Fault> {
    if let Some((mode, call)) = asked.split_once(':') {
        let matches = |word: &str, name: &str| word.is_empty() || word == name;
        return all
            .iter()
            .filter(|fault| matches(mode, fault.mode.name()) && matches(call, &fault.call))
            .cloned()
            .collect();
    }
    let mut random = Random::new(1);
    let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for fault in all {
        kinds.entry((fault.mode, fault.call.as_str(), fault.what)).or_default().push((random.next(), fault));
    }
    let mut order = Vec::new();
    for kind in kinds.values_mut() {
        kind.sort_unstable();
        order.extend(kind.iter().enumerate().map(|(turn, &(chance, fault))| (turn, chance, fault)));
    }
    order.sort_unstable();
    let most = if asked == "all" { all.len() } else { SPREAD };
    order.into_iter().take(most).map(|(_, _, fault)| fault.clone()).collect()
}

fn table(
    reached: &BTreeMap<(String, Mode), usize>,
    chosen: usize,
    all: usize,
    missed: usize,
    begun: Instant,
) -> String {
    let calls: BTreeSet<&String> = reached.keys().map(|(call, _)| call).collect();
    let cell = |text: &str| format!("{text:>11}");
    let row = |head: &str, cells: Vec<String>| format!("{head:<12}{}", cells.concat());
    let mut rows = vec![row("faults", Mode::ALL.iter().map(|mode| cell(mode.name())).collect())];
    for call in calls {
        let count = |mode: &Mode| reached.get(&(call.clone(), *mode)).copied().unwrap_or(0);
        rows.push(row(call, Mode::ALL.iter().map(|mode| cell(&count(mode).to_string())).collect()));
    }
    let seconds = begun.elapsed().as_secs_f64();
    rows.push(format!(
        "{} injected of {all} that there are, {missed} of the {chosen} tried were not reached; {seconds:.0} s",
        reached.values().sum::<usize>(),
    ));
    rows.join("\n")
}
