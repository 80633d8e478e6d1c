//! Where each archive is on the time axis of its run.

use std::time::{Duration, SystemTime};

use crate::account::{Account, ArchiveAccount, ArchiveEnd};

/// Milliseconds of a second: the log's time stamps have whole seconds.
const STAMP: u64 = 1000;
/// What is longer, in milliseconds, no run took: some 36,000 years.
pub const LONGEST: u64 = 1 << 50;

/// When an archive was worked on, in milliseconds since its run began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// When it was begun.
    pub start: u64,
    /// When it ended, or was last heard of.
    pub end: u64,
}

/// The spans of all archives, in their order. Those that a worker began in one second are laid one behind the other, for
/// it reads one at a time; what is finer than a second is known of how long each took, and not of when it was begun.
pub fn spans(account: &Account) -> Vec<Option<Span>> {
    let mut spans: Vec<Option<Span>> = vec![None; account.archives.len()];
    let mut order: Vec<usize> = (0..account.archives.len()).collect();
    order.sort_by_key(|&index| {
        let archive = &account.archives[index];
        (archive.run, archive.lane, archive.began, index)
    });
    let mut before: Option<(usize, u32, u64)> = None;
    for index in order {
        let archive = &account.archives[index];
        let Some(span) = stamped(account, archive) else { continue };
        let start = match before {
            Some((run, worker, end)) if (run, worker) == (archive.run, archive.lane) => {
                span.start.max(end.min(span.start + STAMP))
            }
            _ => span.start,
        };
        let span = Span { start, end: (span.end + (start - span.start)).min(start.max(LONGEST)) };
        before = Some((archive.run, archive.lane, span.end));
        spans[index] = Some(span);
    }
    spans
}

/// The span as the stamps have it.
fn stamped(account: &Account, archive: &ArchiveAccount) -> Option<Span> {
    let run = account.runs.get(archive.run)?;
    let origin = run.began?;
    let start = since(origin, archive.began?);
    let end = match &archive.end {
        ArchiveEnd::Open => since(origin, run.heard?),
        ArchiveEnd::Failed(problem) => problem.time.map_or(start, |time| since(origin, time)),
        ArchiveEnd::Complete { totals, .. } => {
            let took = Duration::try_from_secs_f64(totals.seconds).unwrap_or_default();
            start + milliseconds(took)
        }
    };
    Some(Span { start, end: end.max(start) })
}

/// Milliseconds from `origin` to `time`, 0 if it is before, and at most [`LONGEST`].
pub fn since(origin: SystemTime, time: SystemTime) -> u64 {
    let passed = time.duration_since(origin).unwrap_or_default();
    milliseconds(passed)
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(LONGEST).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Selection;
    use crate::event::ArchiveTotals;

    /// An account of one run, from lines without their braces.
    fn account(lines: &[&str]) -> Account {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        let text: String = lines.iter().flat_map(|line| ["{", line, ",\"run\":\"r\"}\n"]).collect();
        std::fs::write(&path, text).expect("a log");
        Account::read(&crate::log::Logs::open(&[path], false).expect("a log"), &Selection::Last)
            .expect("a log")
            .expect("a run")
    }

    #[test]
    fn archives_of_one_second_follow_each_other() {
        let account = account(&[
            r#""ts":"2026-01-01T00:00:00Z","stage":"script_start""#,
            r#""ts":"2026-01-01T00:00:01Z","stage":"archive_start","hash":"a","worker":0"#,
            r#""ts":"2026-01-01T00:00:01Z","stage":"archive_complete","hash":"a","seconds":0.3"#,
            r#""ts":"2026-01-01T00:00:01Z","stage":"archive_start","hash":"b","worker":0"#,
            r#""ts":"2026-01-01T00:00:01Z","stage":"archive_complete","hash":"b","seconds":0.25"#,
            r#""ts":"2026-01-01T00:00:01Z","stage":"archive_start","hash":"c","worker":1"#,
            r#""ts":"2026-01-01T00:00:09Z","stage":"error","scope":"archive","hash":"c""#,
            r#""ts":"2026-01-01T00:00:09Z","stage":"archive_start","hash":"d","worker":1"#,
            r#""ts":"2026-01-01T00:00:12Z","stage":"interrupted""#,
        ]);
        let spans: Vec<(u64, u64)> = spans(&account).iter().flatten().map(|span| (span.start, span.end)).collect();
        assert_eq!(spans, [(1000, 1300), (1300, 1550), (1000, 9000), (9000, 12_000)]);
    }

    #[test]
    fn times_that_make_no_sense_are_taken_for_nothing() {
        let mut account = account(&[
            r#""ts":"2026-01-01T00:00:05Z","stage":"script_start""#,
            r#""ts":"2026-01-01T00:00:01Z","stage":"archive_start","hash":"a""#,
            r#""ts":"never","stage":"archive_start","hash":"b""#,
        ]);
        account.archives[0].end = ArchiveEnd::Complete {
            left_out: Vec::new(),
            time: None,
            totals: Box::new(ArchiveTotals { seconds: 1e300, ..ArchiveTotals::default() }),
        };
        assert_eq!(spans(&account), [Some(Span { start: 0, end: 0 }), None]);
    }
}
