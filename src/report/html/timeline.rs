//! The drawing of a run: a lane for each worker, an archive a bar, and what was read a second below.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use crate::account::{Account, ArchiveEnd};
use crate::units::human;

use super::place::{Span, since};
use super::verdict::Verdict;
use super::words;

/// Runs that are drawn, the last ones.
const RUNS_MOST: usize = 12;
/// Workers that have a lane, those of the lowest numbers.
const LANES_MOST: usize = 64;
/// Errors of a run that are marked one by one.
const MARKS_MOST: usize = 2000;
/// Width of the drawing in its own units, and so the finest that it shows.
const WIDTH: u64 = 4000;
/// What is left between two bars, in these units.
const SPACING: u64 = 2;
/// Least width of an archive without an end, in these units.
const OPEN_LEAST: u64 = 40;
/// Height of a lane and of the bar in it, in pixels.
const LANE: u64 = 22;
const BAR: u64 = 14;
/// Steps of the curve of throughput.
const STEPS: usize = 160;
/// Height of the curves in their own units.
const CURVE: f64 = 100.0;
/// Points of the curve of room.
const POINTS: usize = 400;

/// A run as it is drawn.
pub struct Drawing {
    /// Which run: an index into the account's runs.
    pub run: usize,
    /// What it is called.
    pub title: String,
    /// How it went, in a sentence.
    pub story: String,
    /// How long it took, in milliseconds; the axis is as long.
    pub length: u64,
    /// Height of the lanes in pixels.
    pub height: u64,
    /// The workers.
    pub lanes: Vec<Lane>,
    /// The bars of each verdict.
    pub bars: Vec<Bars>,
    /// Archives that ended in an error.
    pub marks: Vec<Mark>,
    /// What the axis says.
    pub ticks: Vec<Tick>,
    /// What was read a second.
    pub throughput: Option<Curve>,
    /// Free space in staging.
    pub room: Option<Room>,
    /// What is not drawn, in a sentence.
    pub omitted: Option<String>,
}

/// A worker.
pub struct Lane {
    /// Its number.
    pub worker: u32,
    /// Where its lane is, in pixels.
    pub y: u64,
}

/// All bars of one verdict.
pub struct Bars {
    /// The class of the style sheet.
    pub class: &'static str,
    /// The path that draws them.
    pub path: String,
}

/// A mark on the lanes.
pub struct Mark {
    /// Percent of the width.
    pub x: String,
    /// Pixels from the top.
    pub y: u64,
}

/// A mark on the axis.
pub struct Tick {
    /// Percent of the width.
    pub x: String,
    /// How its text lies to it: `start`, `middle` or `end`.
    pub anchor: &'static str,
    /// Its text.
    pub text: String,
}

/// A curve, in a box of [`WIDTH`] by [`CURVE`].
pub struct Curve {
    /// The line.
    pub line: String,
    /// The area below it.
    pub area: String,
    /// What the top of the box means.
    pub top: String,
}

/// Free space in staging.
pub struct Room {
    /// Over the run.
    pub curve: Curve,
    /// Where the minimum is in the box, from its top; none where it is above it, or not known.
    pub minimum_y: Option<String>,
    /// What is said of it.
    pub caption: String,
}

/// The last runs that began an archive of the account, the last one first; and how many more there are.
pub fn drawings(account: &Account, spans: &[Option<Span>], verdicts: &[Verdict]) -> (Vec<Drawing>, usize) {
    let mut archives: Vec<Vec<usize>> = vec![Vec::new(); account.runs.len()];
    for (index, archive) in account.archives.iter().enumerate() {
        if let Some(list) = archives.get_mut(archive.run) {
            list.push(index);
        }
    }
    let last = account.runs.len().saturating_sub(1);
    let runs: Vec<usize> =
        (0..account.runs.len()).rev().filter(|&run| run == last || !archives[run].is_empty()).collect();
    let draw = |&run: &usize| draw(account, run, &archives[run], spans, verdicts);
    (runs.iter().take(RUNS_MOST).map(draw).collect(), runs.len().saturating_sub(RUNS_MOST))
}

fn draw(account: &Account, run: usize, archives: &[usize], spans: &[Option<Span>], verdicts: &[Verdict]) -> Drawing {
    let told = &account.runs[run];
    let heard = told.began.zip(told.heard).map_or(0, |(began, heard)| since(began, heard));
    let placed: Vec<(usize, Span)> =
        archives.iter().filter_map(|&index| spans[index].map(|span| (index, span))).collect();
    let length = placed.iter().map(|(_, span)| span.end).fold(heard, u64::max).max(1);
    let workers: BTreeSet<u32> = placed.iter().map(|&(index, _)| account.archives[index].lane).collect();
    let lanes: Vec<Lane> = (0..)
        .step_by(usize::try_from(LANE).unwrap_or(1))
        .zip(workers.iter().take(LANES_MOST))
        .map(|(y, &worker)| Lane { worker, y })
        .collect();
    let lane_of = |index: usize| {
        let worker = account.archives[index].lane;
        lanes.binary_search_by_key(&worker, |lane| lane.worker).ok().map(|lane| lanes[lane].y)
    };
    let drawn: Vec<(usize, Span, u64)> =
        placed.iter().filter_map(|&(index, span)| Some((index, span, lane_of(index)?))).collect();

    let failed = |index: usize| matches!(account.archives[index].end, ArchiveEnd::Failed(_));
    let errors = drawn.iter().filter(|&&(index, ..)| failed(index));
    let mark = |&(_, span, y): &(usize, Span, u64)| Mark { x: percent(span.end, length), y: y + LANE / 2 };
    let marks: Vec<Mark> = errors.clone().take(MARKS_MOST).map(mark).collect();
    let unmarked = errors.count() - marks.len();

    let omitted = omitted(workers.len() - lanes.len(), archives.len() - placed.len(), unmarked);
    Drawing {
        run,
        title: words::run_title(told),
        story: words::run_story(told),
        length,
        height: LANE * lanes.len() as u64,
        bars: bars(&drawn, verdicts, length),
        marks,
        ticks: told.began.map_or(Vec::new(), |began| ticks(began, length)),
        throughput: throughput(account, &placed, length),
        room: room(account, run, length),
        lanes,
        omitted,
    }
}

fn omitted(lanes: usize, timeless: usize, unmarked: usize) -> Option<String> {
    let mut parts = Vec::new();
    if lanes > 0 {
        parts.push(format!("{lanes} more workers"));
    }
    if timeless > 0 {
        parts.push(format!("{timeless} archives without a time in the log"));
    }
    if unmarked > 0 {
        parts.push(format!("marks for {unmarked} more errors"));
    }
    (!parts.is_empty()).then(|| format!("Not drawn: {}.", parts.join(", ")))
}

/// The bars of each verdict; bars of one verdict that touch are one.
fn bars(drawn: &[(usize, Span, u64)], verdicts: &[Verdict], length: u64) -> Vec<Bars> {
    let mut all = Vec::new();
    // What people look for is drawn last, and so on top.
    let order = [Verdict::NoImage, Verdict::None, Verdict::Single, Verdict::Multi, Verdict::Open, Verdict::Undecided];
    for verdict in order {
        let mut boxes: Vec<(u64, u64, u64)> = drawn
            .iter()
            .filter(|&&(index, ..)| verdicts[index] == verdict)
            .map(|&(_, span, y)| {
                let (left, right) = (scale(span.start, length), scale(span.end, length));
                // What would vanish is as wide as can be seen; what is wide leaves a line to the next.
                let right = if right > left + 4 * SPACING { right - SPACING } else { right.max(left + 2 * SPACING) };
                if verdict == Verdict::Open {
                    // It has no end, and may have begun in the last second of the log.
                    let left = left.min(WIDTH - OPEN_LEAST);
                    return (y, left, right.max(left + OPEN_LEAST));
                }
                (y, left, right)
            })
            .collect();
        boxes.sort_unstable();
        let mut path = String::new();
        let mut open: Option<(u64, u64, u64)> = None;
        for bar in boxes {
            match &mut open {
                Some((y, _, right)) if *y == bar.0 && *right >= bar.1 => *right = bar.2.max(*right),
                _ => {
                    push_bar(&mut path, open.replace(bar));
                }
            }
        }
        push_bar(&mut path, open);
        if !path.is_empty() {
            all.push(Bars { class: verdict.class(), path });
        }
    }
    all
}

fn push_bar(path: &mut String, bar: Option<(u64, u64, u64)>) {
    if let Some((y, left, right)) = bar {
        let _ = write!(path, "M{left} {}h{}v{BAR}H{left}z", y + (LANE - BAR) / 2, right - left);
    }
}

/// Compressed bytes that were read a second, each archive's spread evenly over its time.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn throughput(account: &Account, placed: &[(usize, Span)], length: u64) -> Option<Curve> {
    let step = length as f64 / STEPS as f64;
    let mut bytes = [0.0; STEPS];
    for &(index, span) in placed {
        let archive = &account.archives[index];
        if matches!(archive.end, ArchiveEnd::Open) {
            continue;
        }
        let (start, end) = (span.start as f64, (span.end as f64).max(span.start as f64 + 1.0));
        let first = ((start / step) as usize).min(STEPS - 1);
        let last = ((end / step) as usize).min(STEPS - 1);
        for (number, sum) in bytes.iter_mut().enumerate().take(last + 1).skip(first) {
            let overlap = (end.min((number + 1) as f64 * step) - start.max(number as f64 * step)).max(0.0);
            *sum += archive.size as f64 * overlap / (end - start);
        }
    }
    let rates = bytes.map(|sum| sum * 1000.0 / step);
    let top = rates.iter().copied().fold(0.0, f64::max);
    if top < 1.0 {
        return None;
    }
    let mut line = String::new();
    for (number, rate) in rates.iter().enumerate() {
        let letter = if number == 0 { 'M' } else { 'L' };
        let y = CURVE * (1.0 - rate / top);
        let (left, right) = (number as u64 * WIDTH / STEPS as u64, (number as u64 + 1) * WIDTH / STEPS as u64);
        let _ = write!(line, "{letter}{left} {y:.1}H{right}");
    }
    let area = format!("{line}V{CURVE}H0z");
    Some(Curve { line, area, top: format!("{}/s", human(top as u64)) })
}

/// Room over the run; of more points than can be seen, the lowest of each few.
#[allow(clippy::cast_precision_loss)]
fn room(account: &Account, run: usize, length: u64) -> Option<Room> {
    let told = &account.runs[run];
    let origin = told.began?;
    let mut points: Vec<(u64, u64)> = told.space.iter().map(|&(time, room)| (since(origin, time), room)).collect();
    points.sort_by_key(|&(time, _)| time);
    let least = points.iter().map(|&(_, room)| room).min()?;
    let most = points.iter().map(|&(_, room)| room).max()?;
    let minimum = told.start.minimum_bytes;
    let top = most.max(minimum.unwrap_or(0)).max(1) as f64 * 1.08;
    let y = |room: u64| CURVE * (1.0 - room as f64 / top);
    let mut line = String::new();
    let few = points.len().div_ceil(POINTS).max(1);
    for chunk in points.chunks(few) {
        let Some(&(time, room)) = chunk.iter().min_by_key(|&&(_, room)| room) else { continue };
        let x = scale(time, length);
        if line.is_empty() {
            let _ = write!(line, "M0 {:.1}", y(room));
        }
        let _ = write!(line, "H{x}V{:.1}", y(room));
    }
    let _ = write!(line, "H{WIDTH}");
    let area = format!("{line}V{CURVE}H0z");
    let left = points.last().map_or(0, |&(_, room)| room);
    let mut caption = format!("{} free at the end, {} at the lowest", human(left), human(least));
    match minimum {
        Some(0) => caption.push_str("; no minimum"),
        Some(minimum) => {
            let _ = write!(caption, "; minimum {}", human(minimum));
        }
        None => {}
    }
    let minimum_y = minimum.filter(|&minimum| minimum > 0).map(|minimum| format!("{:.1}", y(minimum)));
    let top = human(most.max(minimum.unwrap_or(0)));
    Some(Room { curve: Curve { line, area, top }, minimum_y, caption })
}

/// Where a time is in the drawing's width.
fn scale(time: u64, length: u64) -> u64 {
    let x = u128::from(time.min(length)) * u128::from(WIDTH) / u128::from(length.max(1));
    u64::try_from(x).unwrap_or(WIDTH)
}

#[allow(clippy::cast_precision_loss)]
fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", part.min(whole) as f64 * 100.0 / whole.max(1) as f64)
}

/// Times of day on the axis: where it begins and ends, and at even times between.
fn ticks(began: SystemTime, length: u64) -> Vec<Tick> {
    const STEPS: [u64; 20] = [
        1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    ];
    let seconds = length / 1000;
    let step = STEPS.into_iter().find(|step| seconds / step <= 5).unwrap_or(seconds / 5 + 1);
    let Ok(origin) = began.duration_since(SystemTime::UNIX_EPOCH) else { return Vec::new() };
    let first = origin.as_secs().div_ceil(step).saturating_mul(step);
    let mut ticks = Vec::new();
    let mut time = first;
    while ticks.len() < 8 && time.saturating_sub(origin.as_secs()) <= seconds {
        let at = (time - origin.as_secs()) * 1000;
        let anchor = match at * 100 / length {
            0..=4 => "start",
            96.. => "end",
            _ => "middle",
        };
        let text = words::clock(SystemTime::UNIX_EPOCH + Duration::from_secs(time), step);
        ticks.push(Tick { x: percent(at, length), anchor, text });
        time = time.saturating_add(step);
    }
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Selection;
    use crate::report::html::place;

    /// The drawings of a log, from lines without their braces.
    fn drawn(lines: &[&str]) -> Vec<Drawing> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        let text: String = lines.iter().flat_map(|line| ["{", line, "}\n"]).collect();
        std::fs::write(&path, text).expect("a log");
        let account = Account::read(&crate::log::Logs::open(&[path], false).expect("a log"), &Selection::Last)
            .expect("a log")
            .expect("a run");
        let verdicts: Vec<Verdict> = account.archives.iter().map(Verdict::of).collect();
        drawings(&account, &place::spans(&account), &verdicts).0
    }

    #[test]
    fn what_was_taken_over_is_drawn_with_its_own_run() {
        let runs = drawn(&[
            r#""ts":"2026-01-01T00:00:00Z","run":"r1","stage":"script_start""#,
            r#""ts":"2026-01-01T00:00:00Z","run":"r1","stage":"archive_start","hash":"a","size_bytes":100"#,
            r#""ts":"2026-01-01T00:00:10Z","run":"r1","stage":"archive_complete","hash":"a","seconds":10"#,
            r#""ts":"2026-01-02T00:00:00Z","run":"r2","stage":"script_start","minimum_bytes":5,"available_bytes":9"#,
            r#""ts":"2026-01-02T00:00:00Z","run":"r2","stage":"archive_resumed","hash":"a","by_run":"r1""#,
            r#""ts":"2026-01-02T00:00:00Z","run":"r2","stage":"archive_start","hash":"b","size_bytes":80,"worker":3"#,
            r#""ts":"2026-01-02T00:00:04Z","run":"r2","stage":"error","scope":"archive","hash":"b","reason":"io""#,
            r#""ts":"2026-01-02T00:00:08Z","run":"r2","stage":"script_complete""#,
        ]);
        assert_eq!(runs.iter().map(|run| (run.run, run.length)).collect::<Vec<_>>(), [(1, 8000), (0, 10_000)]);
        assert_eq!(runs[0].lanes.iter().map(|lane| lane.worker).collect::<Vec<_>>(), [3]);
        assert_eq!(runs[0].marks.iter().map(|mark| &*mark.x).collect::<Vec<_>>(), ["50.00%"]);
        assert_eq!(runs[0].bars.iter().map(|bars| &*bars.path).collect::<Vec<_>>(), ["M0 4h1998v14H0z"]);
        assert_eq!(runs[0].ticks.len(), 5);
        assert!(runs[0].throughput.as_ref().is_some_and(|curve| curve.top == "20 B/s"));
        assert!(runs[0].room.as_ref().is_some_and(|room| room.minimum_y.is_some()));
        assert!(runs[1].marks.is_empty() && runs[1].room.is_none());
    }

    #[test]
    fn bars_that_touch_are_one() {
        let span = |start, end| Span { start, end };
        let verdicts = [Verdict::Multi; 4];
        let drawn = [(0, span(0, 1), 0), (1, span(1, 2), 0), (2, span(2000, 4000), 0), (3, span(0, 1), 22)];
        let bars = bars(&drawn, &verdicts, 4000);
        assert_eq!(
            bars.iter().map(|bars| &*bars.path).collect::<Vec<_>>(),
            ["M0 4h5v14H0zM2000 4h1998v14H2000zM0 26h4v14H0z"]
        );
    }

    #[test]
    fn a_run_of_absurd_length_has_few_ticks() {
        assert!(ticks(SystemTime::UNIX_EPOCH, place::LONGEST).len() <= 8);
        assert_eq!(ticks(SystemTime::UNIX_EPOCH, 1).len(), 1);
    }
}
