//! Runs over simulated collections, in virtual time.

use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

use super::*;
use crate::progress::layout::SURE;

/// An archive, what it takes, and what its head tells of it.
#[derive(Debug, Clone, Copy)]
struct Simulated {
    size: u64,
    seconds: f64,
    is_staged: bool,
    is_told: bool,
}

/// Plays a run through, and gives how long it takes and what is estimated after `share` of that time, of the rest.
#[allow(clippy::cast_precision_loss)]
fn estimated(archives: &[Simulated], jobs: usize, share: f64) -> (f64, Option<Rest>) {
    let mut free = vec![0.0_f64; jobs];
    let mut spans = Vec::new();
    for archive in archives {
        let worker = (0..jobs).min_by(|&a, &b| free[a].total_cmp(&free[b])).expect("a worker");
        spans.push((archive, free[worker], free[worker] + archive.seconds));
        free[worker] += archive.seconds;
    }
    let end = free.iter().copied().fold(0.0, f64::max);
    let now = end * share;
    let mut estimate = Estimate::new(jobs, archives.iter().map(|archive| archive.size).enumerate());
    for (rank, archive) in archives.iter().enumerate().filter(|(_, archive)| archive.is_told) {
        estimate.expect(rank, archive.is_staged);
    }
    let mut running = Vec::new();
    for &(&Simulated { size, is_staged, .. }, from, to) in spans.iter().filter(|(_, from, _)| *from <= now) {
        estimate.begin();
        if to <= now {
            estimate.end(size, to - from, is_staged);
        } else {
            let position = whole(size as f64 * (now - from) / (to - from));
            running.push(Running { size, position, seconds: now - from, is_staged });
        }
    }
    (end, estimate.rest(&running, now))
}

fn seconds(estimate: &Estimate, running: &[Running], elapsed: f64) -> Option<f64> {
    estimate.rest(running, elapsed).map(|rest| rest.seconds)
}

/// Archives of these sizes that are passed over.
#[allow(clippy::cast_precision_loss)]
fn passed(sizes: &[u64], fixed: f64, by_byte: f64) -> Vec<Simulated> {
    let takes = |size: u64| fixed + by_byte * size as f64;
    let of = |&size| Simulated { size, seconds: takes(size), is_staged: false, is_told: false };
    sizes.iter().map(of).collect()
}

#[test]
fn after_a_tenth_of_the_time_the_rest_is_known_where_a_byte_costs_the_same_everywhere() {
    let growing: Vec<u64> = (1..60).map(|rank| rank * rank * 20_000_000).collect();
    let flat = vec![1_000_000_000; 200];
    let one_is_large: Vec<u64> = flat.iter().copied().chain([60_000_000_000]).collect();
    for (name, sizes) in [("growing", growing), ("flat", flat), ("one is large", one_is_large)] {
        for jobs in [1, 2, 8] {
            for (fixed, by_byte) in [(0.0, 1e-8), (0.05, 1e-8), (0.5, 1e-8)] {
                let (end, rest) = estimated(&passed(&sizes, fixed, by_byte), jobs, 0.1);
                let ratio = rest.expect("known by now").seconds / (end * 0.9);
                assert!((0.8..=1.2).contains(&ratio), "{name}, {jobs} jobs, {fixed}: {ratio}");
            }
        }
    }
}

#[test]
fn nothing_is_said_before_anything_is_known() {
    let estimate = Estimate::new(2, [(1, 10), (2, 20)].into_iter());
    assert_eq!(estimate.rest(&[], 100.0), None);
    let begun = Running { size: 10, position: 5, seconds: 1.0, is_staged: false };
    assert_eq!(estimate.rest(&[begun], 1.0), None);
    assert!(estimate.rest(&[begun], 5.0).is_some());
}

#[test]
fn nothing_is_said_while_what_is_staged_is_still_to_come() {
    let mut estimate = Estimate::new(1, [(3, 100), (5, 100), (9, 100)].into_iter());
    estimate.expect(9, true);
    assert!(!estimate.begin());
    estimate.end(100, 10.0, false);
    assert_eq!(estimate.rest(&[], 10.0), None);
    estimate.expect(9, false);
    assert_eq!(seconds(&estimate, &[], 10.0), Some(20.0));
    estimate.expect(5, true);
    assert!(estimate.begin());
    // It tells what the others take that are staged, once it has come some way.
    let begun = |position| Running { size: 100, position, seconds: 40.0, is_staged: true };
    assert_eq!(estimate.rest(&[begun(1)], 50.0), None);
    assert_eq!(seconds(&estimate, &[begun(50)], 50.0), Some(50.0));
    estimate.expect(9, true);
    assert_eq!(seconds(&estimate, &[begun(50)], 50.0), Some(120.0));
}

#[test]
fn an_archive_that_is_not_looked_at_is_taken_for_what_the_others_are() {
    let mut estimate = Estimate::new(1, (1..=4).map(|rank| (rank, 100)));
    for (is_staged, seconds) in [(false, 10.0), (true, 30.0)] {
        estimate.begin();
        estimate.end(100, seconds, is_staged);
    }
    assert_eq!(seconds(&estimate, &[], 40.0), Some(40.0));
    estimate.expect(3, true);
    // Two of three bytes are staged by now.
    assert!(seconds(&estimate, &[], 40.0).is_some_and(|rest| (rest - 30.0 - 70.0 / 3.0).abs() < 0.01));
}

#[test]
fn what_found_no_room_is_tried_again_when_all_else_is_done() {
    let mut estimate = Estimate::new(2, (1..=3).map(|rank| (rank, 100)));
    estimate.begin();
    estimate.end(100, 30.0, true);
    estimate.begin();
    estimate.defer(100);
    let last = Running { size: 100, position: 50, seconds: 15.0, is_staged: true };
    estimate.begin();
    assert_eq!(seconds(&estimate, &[last], 40.0), Some(15.0 + 30.0));
    estimate.try_again(100);
    assert_eq!(seconds(&estimate, &[last], 40.0), Some(15.0));
}

/// The size of an archive, how it differs, and whether it is staged, as they are drawn.
type Drawn = (f64, f64, u16);

/// Archives of random sizes, some of which are staged. A byte of each takes up to so many times more or less than of others.
fn collection(differ: f64) -> impl Strategy<Value = (Vec<Simulated>, usize)> {
    let archive = (0.0..8.0_f64, -1.0..1.0_f64, any::<u16>());
    let costs = (0.0..0.3_f64, 2.0..40.0_f64, 0.0..1.0_f64);
    let of = move |(mut archives, (fixed, dearer, share), jobs): (Vec<Drawn>, (f64, f64, f64), usize)| {
        archives.sort_by(|a, b| a.0.total_cmp(&b.0));
        let of = |(size, differs, staged): (f64, f64, u16)| {
            // From 1 GB to some TB, few of them large.
            let size = whole(1e9 * size.exp());
            let is_staged = f64::from(staged) < share * f64::from(u16::MAX);
            let by_byte = if is_staged { 1e-9 * dearer } else { 1e-9 };
            #[allow(clippy::cast_precision_loss)]
            let seconds = fixed + differ.powf(differs) * by_byte * size as f64;
            Simulated { size, seconds, is_staged, is_told: true }
        };
        (archives.into_iter().map(of).collect(), jobs)
    };
    (prop::collection::vec(archive, 20..120), costs, 1..9_usize).prop_map(of)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_said_after_a_tenth_of_any_mixture_is_right_within_a_fifth((archives, jobs) in collection(1.08)) {
        for share in [0.1, 0.25, 0.5, 0.75] {
            let (end, rest) = estimated(&archives, jobs, share);
            if let Some(rest) = rest {
                let ratio = rest.seconds / (end * (1.0 - share));
                prop_assert!((0.8..=1.2).contains(&ratio), "after {} of {} s: {}", share, end, ratio);
            }
        }
    }
}

/// How often, of so many, something is said after a tenth; how often that is one time, and how often what is said is so.
fn said(differ: f64, runs: usize) -> (usize, usize, usize) {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let (mut said, mut exact, mut right) = (0, 0, 0);
    for _ in 0..runs {
        let (archives, jobs) = collection(differ).new_tree(&mut runner).expect("a collection").current();
        let (end, Some(rest)) = estimated(&archives, jobs, 0.1) else { continue };
        let real = end * 0.9;
        let is_exact = rest.error <= SURE;
        let (least, most) = if is_exact { (rest.seconds / 1.2, rest.seconds / 0.8) } else { rest.range() };
        said += 1;
        exact += usize::from(is_exact);
        right += usize::from((least..=most).contains(&real));
    }
    (said, exact, right)
}

#[test]
fn after_a_tenth_one_time_is_said_of_most_collections_whose_archives_are_alike() {
    let (said, exact, right) = said(1.08, 300);
    assert!(said >= 270 && exact >= 200 && right * 100 >= said * 98, "{said}, {exact} exact, {right} right");
}

#[test]
fn what_is_said_of_archives_that_differ_threefold_is_so() {
    for differ in [1.3, 1.75, 3.0] {
        let (said, exact, right) = said(differ, 300);
        assert!(said >= 270 && right * 100 >= said * 90, "{differ}: {said} said, {exact} exact, {right} right");
    }
}
