//! The collection at a glance, in figures.

use std::fmt::Write as _;

use crate::account::{ArchiveAccount, ArchiveEnd, Currency};
use crate::event::Soundness;
use crate::log::record::PartitionCheck;
use crate::report::Report;
use crate::units::human;

use super::verdict::Verdict;
use super::verified::Verified;
use super::words::{counted, number};

/// What is seen first.
pub struct Glance {
    /// Archives, those included that were never begun.
    pub total: String,
    /// Archives by verdict.
    pub verdicts: Vec<Segment>,
    /// Staged images by what became of them; empty where none was staged.
    pub states: Vec<Segment>,
    /// Figures.
    pub facts: Vec<Fact>,
}

/// A part of a bar.
pub struct Segment {
    /// The class of the style sheet, and the script's word.
    pub class: &'static str,
    /// How many.
    pub count: String,
    /// Of what.
    pub words: &'static str,
    /// Where it begins, and its width, in percent of the bar.
    pub x: String,
    pub width: String,
}

/// A figure.
pub struct Fact {
    /// What it is of.
    pub title: &'static str,
    /// The figure.
    pub value: String,
    /// What belongs to it.
    pub note: String,
    /// A share, in percent, that is drawn.
    pub share: Option<String>,
}

/// The figures of a report.
pub fn glance(report: &Report, verified: &Verified<'_>, verdicts: &[Verdict]) -> Glance {
    let account = &report.account;
    let unbegun = report.all_never_begun();
    let count = |verdict| verdicts.iter().filter(|&&other| other == verdict).count() as u64;
    let mut parts: Vec<(&str, &str, u64)> =
        Verdict::ALL.into_iter().map(|verdict| (verdict.class(), verdict.words(), count(verdict))).collect();
    parts.push(("more", "too many to list", account.archives_more));
    parts.push(("unbegun", "never begun", unbegun));
    Glance {
        total: number(verdicts.len() as u64 + account.archives_more + unbegun),
        verdicts: segments(&parts),
        states: states(report),
        facts: facts(report, verified),
    }
}

#[allow(clippy::cast_precision_loss)]
fn segments(parts: &[(&'static str, &'static str, u64)]) -> Vec<Segment> {
    let total = parts.iter().map(|&(.., count)| count).sum::<u64>().max(1) as f64;
    let mut before = 0;
    let mut segments = Vec::new();
    for &(class, words, count) in parts.iter().filter(|&&(.., count)| count > 0) {
        let percent = |count: u64| format!("{:.3}%", count as f64 * 100.0 / total);
        segments.push(Segment { class, count: number(count), words, x: percent(before), width: percent(count) });
        before += count;
    }
    segments
}

fn states(report: &Report) -> Vec<Segment> {
    const STATES: [(&str, &str); 8] = [
        ("kept", "to be reprocessed"),
        ("begun", "started, no end in the log"),
        ("failed", "reprocessing failed"),
        ("gone", "gone from staging"),
        ("changed", "changed since staging"),
        ("unseen", "cannot be examined"),
        ("reprocessed", "reprocessed"),
        ("removed", "reprocessed and removed"),
    ];
    let counts = report.by_state();
    let parts = STATES.map(|(class, words)| (class, words, counts.get(class).map_or(0, |&(count, _)| count)));
    segments(&parts)
}

#[allow(clippy::cast_precision_loss)]
fn facts(report: &Report, verified: &Verified<'_>) -> Vec<Fact> {
    let sums = report.account.sums();
    let (content, passed_over) = (sums.totals.content_bytes, sums.totals.passed_over_bytes);
    let images = || report.account.archives.iter().flat_map(|archive| &archive.images);
    let sum = |wanted: &str| {
        let of = images().filter(|image: &&PartitionCheck| image.action == wanted);
        of.fold((0_u64, 0_u64, 0_u64), |(count, size, room), image| {
            (count + 1, size.saturating_add(image.size()), room.saturating_add(image.room().unwrap_or(0)))
        })
    };
    let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let unverified = match verified_since(report, verified) {
        _ if passed_over == 0 => String::new(),
        0 => ", and so not verified".to_owned(),
        since => format!(", and so not verified by the survey; {} verified since", counted(since, "archive")),
    };
    let mut facts = vec![
        Fact {
            title: "Surveyed",
            value: human(sums.compressed_bytes),
            note: format!("compressed; {} of content, {}", human(content), counted(sums.images, "image")),
            share: None,
        },
        if sums.partial > 0 {
            Fact {
                title: "Looked at",
                value: number(sums.partial),
                note: "archives, only the beginning of each: there may be other images, tables at the ends, and rescue maps".to_owned(),
                share: None,
            }
        } else {
            Fact {
                title: "Passed over",
                value: human(passed_over),
                note: format!(
                    "{:.0}\u{202f}% of the content was never decoded{unverified}",
                    percent(passed_over, content)
                ),
                share: Some(format!("{:.2}%", percent(passed_over.min(content), content))),
            }
        },
    ];
    facts.extend(verification(verified));
    let kept = sum("KEPT");
    let would = sum("would_keep");
    let deferred = sum("deferred");
    let staged = |(count, size, room): (u64, u64, u64), title, on| Fact {
        title,
        value: human(size),
        note: format!("{}, {} {on}", counted(count, "image"), human(room)),
        share: None,
    };
    if kept.0 > 0 || would.0 == 0 {
        facts.push(staged(kept, "Staged", "on disk"));
    }
    if would.0 > 0 {
        facts.push(staged(would, "Would be staged", "on disk at most"));
    }
    if deferred.0 > 0 {
        let note = format!("{} not staged yet", counted(deferred.0, "image"));
        facts.push(Fact { title: "Deferred", value: human(deferred.1), note, share: None });
    }
    facts
}

/// Archives of which something was passed over, and all of it was decoded by a verification.
fn verified_since(report: &Report, verified: &Verified<'_>) -> u64 {
    let is_passed_over = |archive: &&ArchiveAccount| match &archive.end {
        ArchiveEnd::Complete { totals, .. } => totals.passed_over_bytes > 0,
        _ => false,
    };
    let is_decoded = |archive: &&ArchiveAccount| {
        let state = verified.state(&archive.hash);
        [Soundness::Holds, Soundness::NoChecksum].iter().any(|each| state == Some(each.as_str()))
    };
    report.account.archives.iter().filter(is_passed_over).filter(is_decoded).count() as u64
}

/// What the checksums of archives came to when they were last verified.
fn verification(verified: &Verified<'_>) -> Option<Fact> {
    let parts = [
        (&["failed"][..], "failed"),
        (&["no_checksum"], "without a checksum"),
        (&["changed", "unseen"], "changed or out of sight since"),
    ];
    let holds = verified.count(&["verified"]);
    let mut note = "of which every checksum holds".to_owned();
    for (states, what) in parts {
        let count = verified.count(states);
        if count > 0 {
            let _ = write!(note, "; {} {what}", number(count));
        }
    }
    if verified.of.values().any(|(each, _)| each.currency() == Currency::Remote) {
        note += "; those in object storage as they were then";
    }
    (!verified.of.is_empty()).then(|| Fact { title: "Verified", value: counted(holds, "archive"), note, share: None })
}
