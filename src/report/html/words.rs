//! Words for a person.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::account::{Run, RunEnd, Shards};
use crate::report::is_refused;
use crate::sanitize::{printable_line, printable_short};
use crate::units::{Size, human_seconds, plural};

/// Characters of a name that are shown.
pub const NAME_MOST: usize = 160;
/// Characters of a sentence that are shown.
pub const SENTENCE_MOST: usize = 400;

/// A name on its way to the page: what could reorder or hide a line is escaped.
pub fn name(bytes: &[u8]) -> String {
    printable_short(bytes, NAME_MOST)
}

/// A sentence on its way to the page.
pub fn sentence(text: &str) -> String {
    let line = printable_line(text);
    match line.char_indices().nth(SENTENCE_MOST) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

/// A day and a time: `2026-11-22 18:59 UTC`.
pub fn moment(time: SystemTime) -> String {
    let text = stamp(time);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(clock)) => format!("{day} {clock} UTC"),
        _ => text,
    }
}

/// A time of day, as fine as steps of so many seconds need; with the day where they are days.
pub fn clock(time: SystemTime, step: u64) -> String {
    let text = stamp(time);
    let part = match step {
        0..60 => text.get(11..19),
        60..86_400 => text.get(11..16),
        _ => text.get(5..10),
    };
    part.unwrap_or_default().to_owned()
}

fn stamp(time: SystemTime) -> String {
    // It has no form for years before 1970 and after 9999.
    let is_told = time.duration_since(UNIX_EPOCH).is_ok_and(|since| since.as_secs() < 253_402_300_800);
    if is_told { humantime::format_rfc3339_seconds(time).to_string() } else { String::new() }
}

/// What a run is called.
pub fn run_title(run: &Run) -> String {
    let kind = if run.start.dry_run { "Dry run" } else { "Run" };
    let over = run.shards.as_ref().filter(|_| run.start.shard.is_none());
    let over = over.map_or(String::new(), |shards| format!(" over {} shards,", number(shards.count.into())));
    match run.began {
        Some(began) => format!("{kind}{over} of {}", moment(began)),
        None => format!("{kind} {}", name(run.id.as_bytes())),
    }
}

/// How a run went, in a sentence.
pub fn run_story(run: &Run) -> String {
    let passed = run.began.zip(run.heard).and_then(|(began, heard)| heard.duration_since(began).ok());
    let took = human_seconds(passed.unwrap_or_default().as_secs_f64());
    let troubles = run.shards.as_ref().map_or(Vec::new(), Shards::troubles);
    if !troubles.is_empty() {
        return format!("not complete after {took}: shards {}", troubles.join("; "));
    }
    match &run.end {
        Some(RunEnd::Complete(_)) => format!("done in {took}"),
        Some(RunEnd::Interrupted(signal)) => format!("interrupted by {} after {took}", name(signal.as_bytes())),
        Some(RunEnd::Aborted(message)) => format!("aborted after {took}: {}", sentence(message)),
        None if is_refused(run) => "refused before its first archive".to_owned(),
        None => format!("no end in the log: still running, or killed; last log line after {took}"),
    }
}

/// By which rules a run chose, in a sentence; nothing where the log does not say.
pub fn run_rules(run: &Run) -> String {
    let mut parts = Vec::new();
    if let Some(least) = run.start.min_archive_bytes {
        parts.push(format!("archives larger than {}", Size(least)));
    }
    if let Some(rules) = &run.start.rules {
        let (least, suffix) = (Size(rules.min_image_size), name(rules.image_suffix.as_bytes()));
        parts.push(format!("images larger than {least} named {suffix}"));
        let undecided = if rules.keep_undecided { ", or undecided" } else { "" };
        parts.push(format!("kept with {} partitions or more{undecided}", number(rules.min_partitions.into())));
    }
    let sentence = parts.join("; ");
    let mut letters = sentence.chars();
    letters.next().map_or(String::new(), |first| format!("{}{}.", first.to_uppercase(), letters.as_str()))
}

/// A number and what it is of: `1 image`, `2 images`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{} {}", number(count), plural(count, noun))
}

/// A number with its thousands apart.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_told_as_coarsely_as_they_are_wanted() {
        let time = UNIX_EPOCH + Duration::from_secs(1_795_373_946);
        assert_eq!(moment(time), "2026-11-22 18:59 UTC");
        assert_eq!((&*clock(time, 10), &*clock(time, 600), &*clock(time, 86_400)), ("18:59:06", "18:59", "11-22"));
        assert_eq!(moment(UNIX_EPOCH + Duration::from_secs(u64::MAX / 4)), "");
    }

    #[test]
    fn a_sentence_is_cut_and_obeys_nobody() {
        assert_eq!(sentence("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(sentence(&"é".repeat(SENTENCE_MOST + 1)).chars().count(), SENTENCE_MOST + 1);
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
    }
}
