//! Runs over the shards of a collection, put together as the one run over all of it that they stand for.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::SystemTime;

use crate::log::record::{LEFT_OUT_MOST, LeftOut, ScriptStart};
use crate::shard::Shard;

use super::{Account, PROBLEMS_MOST, Run, RunEnd, Sums};

/// Shards that are named in a sentence, as numbers or ranges.
const NAMED_MOST: usize = 20;

/// The runs over the shards of a collection.
#[derive(Debug, Clone, Default)]
pub struct Shards {
    /// How many shards there are.
    pub count: u32,
    /// The last run of each that there is, in the order of the shards.
    pub runs: Vec<ShardRun>,
    /// The least and the most archives that one of them found in the whole collection.
    pub listed: Option<(u64, u64)>,
    /// Whether they went by different rules.
    pub rules_differ: bool,
}

/// A run over a shard.
#[derive(Debug, Clone, Default)]
pub struct ShardRun {
    /// Which shard, from 0.
    pub index: u32,
    /// The run's name.
    pub id: String,
    /// When it began.
    pub began: Option<SystemTime>,
    /// Its last line.
    pub heard: Option<SystemTime>,
    /// How it ended; none where it still runs, or was killed.
    pub end: Option<RunEnd>,
    /// The options that a command has to be given to survey as it did, if it logged them.
    pub options: Option<Vec<Vec<u8>>>,
    /// Archives that were chosen and that it never came to.
    pub never_begun: u64,
    /// What it did with what it found.
    pub kind: Kind,
}

/// What a run does with what it finds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Kind {
    /// It stages.
    #[default]
    Real,
    /// It only says what it would stage.
    Dry,
    /// It only looks at the beginning of each archive.
    Quick,
}

impl Kind {
    /// The kind of the run that begins so.
    #[must_use]
    pub fn of(start: &ScriptStart) -> Kind {
        match start.rules.as_ref().is_some_and(|rules| rules.quick) {
            true => Kind::Quick,
            false if start.dry_run => Kind::Dry,
            false => Kind::Real,
        }
    }
}

impl Shards {
    /// Shards of which there is no run.
    pub fn missing(&self) -> impl Iterator<Item = u32> {
        let mut known = self.runs.iter().map(|run| run.index).peekable();
        (0..self.count).filter(move |&index| known.next_if_eq(&index).is_none())
    }

    /// Whether there is a run of each, and all are done.
    #[must_use]
    pub fn are_complete(&self) -> bool {
        self.runs.len() as u64 == u64::from(self.count)
            && self.runs.iter().all(|run| matches!(run.end, Some(RunEnd::Complete(_))))
    }

    /// What makes it doubtful that they are of one survey, in words.
    #[must_use]
    pub fn doubts(&self) -> Vec<String> {
        let rules = self.rules_differ.then(|| "were surveyed by different rules".to_owned());
        let listed = self.listed.filter(|(least, most)| least != most);
        let listed = listed.map(|(least, most)| {
            format!("found {least} to {most} archives in the collection, which changed meanwhile, or was not the same")
        });
        rules.into_iter().chain(listed).collect()
    }

    /// The shards that are not done, by what is wrong with them, in words; those that are wrong in no way are not named.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        let of = |is: fn(&Option<RunEnd>) -> bool| {
            self.runs.iter().filter(move |run| is(&run.end)).map(|run| run.index).collect::<Vec<_>>()
        };
        let groups = [
            ("missing", self.missing().collect()),
            ("unfinished", of(Option::is_none)),
            ("interrupted", of(|end| matches!(end, Some(RunEnd::Interrupted(_))))),
            ("failed", of(|end| matches!(end, Some(RunEnd::Aborted(_))))),
        ];
        let named = groups.into_iter().filter(|(_, shards)| !shards.is_empty());
        named.map(|(what, shards)| format!("{what}: {}", in_ranges(&shards))).collect()
    }
}

/// Numbers that ascend, for a person: `1, 3-7, 9`.
fn in_ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let mut text = String::new();
    for (first, last) in ranges.iter().take(NAMED_MOST) {
        let comma = if text.is_empty() { "" } else { ", " };
        let _ = match last - first {
            0 => write!(text, "{comma}{first}"),
            1 => write!(text, "{comma}{first}, {last}"),
            _ => write!(text, "{comma}{first}-{last}"),
        };
    }
    if ranges.len() > NAMED_MOST {
        text.push_str(", ...");
    }
    text
}

/// Puts the selected runs over shards together. They are all of the same collection, each of another shard.
pub(super) fn merge(account: &mut Account) {
    let is_of_shard = |run: &Run| run.is_last && run.start.shard.is_some();
    if !account.runs.iter().any(is_of_shard) {
        return;
    }
    let runs = std::mem::take(&mut account.runs);
    let mut of_shards = Vec::new();
    // Where each run went, and as which of the shards.
    let mut places: HashMap<usize, (usize, u32)> = HashMap::new();
    for (index, run) in runs.into_iter().enumerate() {
        if is_of_shard(&run) {
            of_shards.push((index, run));
        } else {
            places.insert(index, (account.runs.len(), 0));
            account.runs.push(run);
        }
    }
    of_shards.sort_by_key(|(_, run)| run.start.shard);
    let merged = account.runs.len();
    let mut lanes = vec![0_u32];
    for (shard, (index, run)) in (0..).zip(&of_shards) {
        places.insert(*index, (merged, shard));
        let workers = u32::try_from(run.start.jobs.max(1)).unwrap_or(u32::MAX);
        lanes.push(lanes.last().map_or(0, |lane| lane.saturating_add(workers)));
    }
    account.runs.push(sum(of_shards.into_iter().map(|(_, run)| run).collect()));
    for archive in &mut account.archives {
        let Some(&(run, shard)) = places.get(&archive.run) else { continue };
        (archive.run, archive.shard) = (run, shard as usize);
        if run == merged {
            archive.lane = archive.worker.saturating_add(lanes.get(shard as usize).copied().unwrap_or(0));
        }
    }
    // As one run would have begun them.
    account.archives.sort_by(|one, other| (one.size, one.hash.bytes()).cmp(&(other.size, other.hash.bytes())));
}

/// The one run that these stand for. A single one stays what it is, and tells of the shards that it is not of.
fn sum(mut runs: Vec<Run>) -> Run {
    if runs.len() == 1
        && let Some(run) = runs.pop()
    {
        let shards = of(std::slice::from_ref(&run));
        return Run { shards: Some(shards), ..run };
    }
    let first = runs.first().map(|run| run.start.clone()).unwrap_or_default();
    let count = first.shard.map_or(0, Shard::count);
    let mut all = Run {
        id: format!("{count} shards"),
        is_last: true,
        start: ScriptStart {
            total_archives: 0,
            total_bytes: 0,
            skipped: Vec::new(),
            too_small: 0,
            not_selected: 0,
            other_endings: 0,
            resumed_archives: None,
            resumed_bytes: None,
            resumed_runs: None,
            shard: None,
            shard_archives: None,
            listed_archives: None,
            options: None,
            options_bytes: None,
            ..first
        },
        ..Run::default()
    };
    all.shards = Some(of(&runs));
    for run in &mut runs {
        add(&mut all, run);
    }
    all.space.sort_by_key(|&(time, _)| time);
    all.start.skipped.sort();
    all.problems.sort_by(|one, other| (&one.path, &one.message).cmp(&(&other.path, &other.message)));
    all.warnings.sort_by_key(|warning| warning.time);
    all.problems_more += cut(&mut all.problems);
    all.warnings_more += cut(&mut all.warnings);
    for left_out in all.left_out.values_mut() {
        left_out.files.sort_by(|one, other| one.archive.cmp(&other.archive));
        left_out.files.truncate(LEFT_OUT_MOST);
    }
    let end = runs.iter().find(|run| !matches!(run.end, Some(RunEnd::Complete(_)))).map(|run| run.end.clone());
    all.end = match end {
        Some(end) => end,
        None if all.shards.as_ref().is_some_and(Shards::are_complete) => Some(RunEnd::Complete(Box::default())),
        None => None,
    };
    all
}

/// The shards that these runs are of.
fn of(runs: &[Run]) -> Shards {
    let shard = |run: &Run| run.start.shard;
    let count = runs.first().and_then(shard).map_or(0, Shard::count);
    let listed = runs.iter().filter_map(|run| run.start.listed_archives);
    let listed = listed.clone().min().zip(listed.max());
    let rules = |run: &Run| (run.start.rules.clone(), run.start.min_archive_bytes);
    let rules_differ = runs.windows(2).any(|pair| rules(&pair[0]) != rules(&pair[1]));
    let runs = runs.iter().map(|run| ShardRun {
        index: shard(run).map_or(0, Shard::index),
        id: run.id.clone(),
        began: run.began,
        heard: run.heard,
        end: run.end.clone(),
        options: run.start.exact_options(),
        never_begun: run.never_begun(),
        kind: Kind::of(&run.start),
    });
    Shards { count, runs: runs.collect(), listed, rules_differ }
}

fn cut<T>(list: &mut Vec<T>) -> u64 {
    let more = list.len().saturating_sub(PROBLEMS_MOST) as u64;
    list.truncate(PROBLEMS_MOST);
    more
}

/// Adds a run to the sum.
fn add(all: &mut Run, run: &mut Run) {
    all.began = [all.began, run.began].into_iter().flatten().min();
    all.heard = all.heard.max(run.heard);
    let (sum, start) = (&mut all.start, &mut run.start);
    sum.total_archives = sum.total_archives.saturating_add(start.total_archives);
    sum.total_bytes = sum.total_bytes.saturating_add(start.total_bytes);
    sum.too_small = sum.too_small.saturating_add(start.too_small);
    sum.not_selected = sum.not_selected.saturating_add(start.not_selected);
    sum.other_endings = sum.other_endings.saturating_add(start.other_endings);
    sum.jobs = sum.jobs.max(start.jobs);
    sum.dry_run &= start.dry_run;
    sum.skipped.append(&mut start.skipped);
    for (sum, more) in
        [(&mut sum.resumed_archives, start.resumed_archives), (&mut sum.resumed_bytes, start.resumed_bytes)]
    {
        *sum = more.map(|more| sum.unwrap_or(0).saturating_add(more)).or(*sum);
    }
    all.space.append(&mut run.space);
    all.sums.merge(&run.sums);
    all.resumed += run.resumed;
    all.problems.append(&mut run.problems);
    all.problems_more += run.problems_more;
    all.warnings.append(&mut run.warnings);
    all.warnings_more += run.warnings_more;
    for (rule, left_out) in std::mem::take(&mut run.left_out) {
        let LeftOut { count, size_bytes, mut files, .. } = left_out;
        let of_rule = all.left_out.entry(rule).or_default();
        of_rule.count = of_rule.count.saturating_add(count);
        of_rule.size_bytes = of_rule.size_bytes.saturating_add(size_bytes);
        of_rule.files.append(&mut files);
    }
}

impl Sums {
    /// Adds those of another run.
    fn merge(&mut self, other: &Sums) {
        self.totals.add(&other.totals);
        for (sum, more) in [
            (&mut self.archives, other.archives),
            (&mut self.complete, other.complete),
            (&mut self.failed, other.failed),
            (&mut self.compressed_bytes, other.compressed_bytes),
            (&mut self.without_image, other.without_image),
            (&mut self.images, other.images),
            (&mut self.kept, other.kept),
            (&mut self.would_keep, other.would_keep),
            (&mut self.deferred, other.deferred),
            (&mut self.partial, other.partial),
            (&mut self.undecided, other.undecided),
            (&mut self.not_retained, other.not_retained),
            (&mut self.image_errors, other.image_errors),
            (&mut self.warnings, other.warnings),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_that_are_not_done_are_named() {
        let run = |index, end| ShardRun { index, end, ..ShardRun::default() };
        let done = || Some(RunEnd::Complete(Box::default()));
        let mut shards = Shards {
            count: 12,
            runs: vec![
                run(0, done()),
                run(1, None),
                run(3, Some(RunEnd::Interrupted("SIGTERM".to_owned()))),
                run(7, Some(RunEnd::Aborted("full".to_owned()))),
                run(8, done()),
            ],
            ..Shards::default()
        };
        assert_eq!(shards.troubles(), ["missing: 2, 4-6, 9-11", "unfinished: 1", "interrupted: 3", "failed: 7"]);
        assert!(!shards.are_complete());
        shards.runs = (0..12).map(|index| run(index, done())).collect();
        assert!(shards.are_complete() && shards.troubles().is_empty());
        assert_eq!(in_ranges(&(0..100).step_by(2).collect::<Vec<_>>()).matches(',').count(), NAMED_MOST);
    }
}
