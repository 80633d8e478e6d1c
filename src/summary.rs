//! The end of a run for a person: what was kept, what was not checked and why, and what to do next. Or all of it as one
//! JSON object.

use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value, json};

use crate::config::Config;
use crate::event::{Action, Check, EarlierImage, Event, Image, LeftOut, RunTotals, Scope};
use crate::run::{Observer, Stop};
use crate::sanitize::{printable, printable_line, printable_short};
use crate::units::{human, human_seconds};

/// Entries of each list that are remembered: a hostile collection can make more than anybody wants to read.
const REMEMBERED: usize = 10_000;
/// Entries of the lists of what is left out that are shown.
const SHOWN: usize = 20;
/// Characters of a name that are shown.
const NAME_SHOWN: usize = 120;
/// What is said of an image that an earlier run staged.
const THERE: &str = "there from an earlier run";
/// What is said of an image whose frame failed.
const UNVERIFIED: &str = "not verified: its frame was not decoded without error";

/// The observer that remembers what the summary says.
#[derive(Default)]
pub struct Summary {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// When the first archive could be begun: what was waited for before does not count.
    started: Option<Instant>,
    kept: Vec<KeptImage>,
    kept_more: u64,
    problems: Vec<String>,
    problems_more: u64,
    left_out: LeftOut,
    total_archives: usize,
    /// Room that would be needed at most, in a dry run.
    needed: u64,
    totals: Option<RunTotals>,
}

/// A line of the list of images that are or would be kept.
struct KeptImage {
    hash: String,
    name: String,
    size: u64,
    found: String,
    /// Where it is and what room it takes; none if it would only be kept.
    place: Option<(String, u64)>,
    /// What is to be said of it where an earlier run wrote it.
    since: Option<&'static str>,
    undecided: bool,
}

impl Observer for Summary {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        let mut state = self.state();
        match event {
            Event::ScriptStart { start } => {
                state.started = Some(Instant::now());
                state.left_out = start.left_out.clone();
                state.total_archives = start.total_archives;
            }
            Event::ArchiveResumed { archive, earlier } => {
                let hash = printable(archive.hash.as_encoded_bytes());
                earlier.images.iter().for_each(|image| state.resumed(&hash, image));
            }
            Event::PartitionCheck { archive, image, check } => {
                let hash = printable(archive.hash.as_encoded_bytes());
                state.checked(hash, image, check);
            }
            Event::Error { scope, cause } => {
                let about = match scope {
                    Scope::Run => String::new(),
                    Scope::Path(path) => format!("{}: ", printable(path.as_os_str().as_encoded_bytes())),
                    Scope::Archive(archive) => format!("{}: ", printable(archive.hash.as_encoded_bytes())),
                    Scope::Image(archive, image) => format!(
                        "{} in {}: ",
                        printable_short(&image.name, NAME_SHOWN),
                        printable(archive.hash.as_encoded_bytes())
                    ),
                    Scope::Staged(image) => format!("{}: ", printable(image.path.as_os_str().as_encoded_bytes())),
                };
                state.problem(format!("{about}{}", printable_line(&cause.message)));
            }
            Event::ArchiveFailed { archive, cause, .. } => {
                let about = printable(archive.hash.as_encoded_bytes());
                state.problem(format!("{about}: {}", printable_line(&cause.message)));
            }
            Event::ScriptComplete { totals } => state.totals = Some((*totals).clone()),
            _ => {}
        }
        Ok(())
    }
}

impl State {
    fn seconds(&self) -> f64 {
        self.started.map_or(0.0, |started| started.elapsed().as_secs_f64())
    }

    fn problem(&mut self, text: String) {
        if self.problems.len() < REMEMBERED {
            self.problems.push(text);
        } else {
            self.problems_more += 1;
        }
    }

    fn checked(&mut self, hash: String, image: &Image, check: &Check) {
        let (place, since) = match &check.action {
            Action::Kept(kept) => {
                let place = (printable(kept.path.as_os_str().as_encoded_bytes()), kept.allocated);
                let is_unverified = kept.verified == Some(false);
                (Some(place), is_unverified.then_some(UNVERIFIED).or(kept.existing.then_some(THERE)))
            }
            Action::WouldKeep { at_most } => {
                self.needed = self.needed.saturating_add(*at_most);
                (None, None)
            }
            _ => return,
        };
        let finding = check.finding.as_ref();
        self.keep(KeptImage {
            hash,
            name: printable_short(&image.name, NAME_SHOWN),
            size: image.size,
            found: finding.map_or_else(String::new, |finding| printable(finding.describe().as_bytes())),
            place,
            since,
            undecided: finding.is_none_or(|finding| finding.count.is_none()),
        });
    }

    /// An image of an archive that an earlier run completed.
    fn resumed(&mut self, hash: &str, image: &EarlierImage) {
        let place = image.place.as_ref().map(|(path, is_there)| {
            (printable(path.as_os_str().as_encoded_bytes()), if *is_there { image.room } else { 0 })
        });
        if place.is_none() {
            self.needed = self.needed.saturating_add(image.room);
        }
        let since = image.place.as_ref().map(|&(_, is_there)| match is_there {
            true if image.is_unverified => UNVERIFIED,
            true => THERE,
            false => "processed since",
        });
        self.keep(KeptImage {
            hash: hash.to_owned(),
            name: printable_short(&image.name, NAME_SHOWN),
            size: image.size,
            found: printable(image.found.as_bytes()),
            place,
            since,
            undecided: image.is_undecided,
        });
    }

    fn keep(&mut self, image: KeptImage) {
        if self.kept.len() < REMEMBERED {
            self.kept.push(image);
        } else {
            self.kept_more += 1;
        }
    }
}

impl Summary {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The summary as text; empty where the run did not come to its end.
    #[must_use]
    pub fn text(&self, config: &Config) -> String {
        let mut state = self.state();
        let Some(totals) = state.totals.clone() else { return String::new() };
        state.kept.sort_by(|a, b| (&a.hash, &a.name).cmp(&(&b.hash, &b.name)));
        let mut text = String::new();
        state.write_kept(&mut text, config);
        state.write_problems(&mut text);
        state.write_left_out(&mut text, config);
        write_totals(&mut text, &totals, state.seconds());
        write_next(&mut text, &state, &totals, config);
        text
    }

    /// The summary as one JSON object; `exit` is the exit code.
    #[must_use]
    pub fn json(&self, config: &Config, exit: u8) -> Value {
        let state = self.state();
        let totals = state.totals.clone().unwrap_or_default();
        let kept: Vec<Value> = state
            .kept
            .iter()
            .map(|image| {
                json!({
                    "hash": image.hash,
                    "img": image.name,
                    "size_bytes": image.size,
                    "found": image.found,
                    "undecided": image.undecided,
                    "path": image.place.as_ref().map(|(path, _)| path),
                    "allocated_bytes": image.place.as_ref().map(|(_, allocated)| allocated),
                })
            })
            .collect();
        let skipped: Vec<Value> = state
            .left_out
            .skipped
            .iter()
            .map(|(hash, reason)| json!({"hash": hash.to_string_lossy(), "reason": reason}))
            .collect();
        json!({
            "exit_code": exit,
            "complete": state.totals.is_some(),
            "dry_run": config.dry_run,
            "total_archives": state.total_archives,
            "archives_checked": totals.archives_checked,
            "archives_failed": totals.archives_failed,
            "archives_resumed": totals.resumed,
            "archives_without_image": totals.without_image,
            "imgs": totals.sum.images,
            "total_multipart": totals.sum.multi,
            "kept_imgs": totals.sum.kept,
            "would_keep": totals.would_keep,
            "deferred": totals.deferred,
            "image_errors": totals.image_errors,
            "errors": totals.errors,
            "warnings": totals.warnings,
            "members": totals.sum.members,
            "compressed_bytes": totals.compressed_bytes,
            "content_bytes": totals.sum.content_bytes,
            "decoded_bytes": totals.sum.decoded_bytes,
            "passed_over_bytes": totals.sum.passed_over_bytes,
            "sized_bytes": totals.sum.sized_bytes,
            "jumped_bytes": totals.sum.jumped_bytes,
            "traced_bytes": totals.sum.traced_bytes,
            "fallbacks": totals.sum.fallbacks,
            "requested_bytes": totals.sum.requested_bytes,
            "engine": totals.sum.engine.as_str(),
            "rewinds": totals.sum.rewinds,
            "verified": totals.sum.verified,
            "bytes_written": totals.sum.bytes_written,
            "removed_files": totals.sum.removed_files,
            "needed_bytes": state.needed,
            "seconds": state.seconds(),
            "kept": kept,
            "kept_not_listed": state.kept_more,
            "problems": state.problems,
            "problems_not_listed": state.problems_more,
            "skipped": skipped,
            "too_small": state.left_out.too_small,
            "not_selected": state.left_out.not_selected,
            "other_endings": state.left_out.other_endings,
        })
    }
}

impl State {
    fn write_kept(&self, text: &mut String, config: &Config) {
        if self.kept.is_empty() {
            return;
        }
        let staging = printable(config.site.staging.as_os_str().as_encoded_bytes());
        if config.dry_run {
            text.push_str("To be kept:\n");
        } else {
            let _ = writeln!(text, "Kept, in {staging}:");
        }
        for image in &self.kept {
            let undecided = if image.undecided { "undecided: " } else { "" };
            match &image.place {
                Some((path, allocated)) => {
                    let path = path.strip_prefix(&staging).map_or(path.as_str(), |rest| rest.trim_start_matches('/'));
                    let since = image.since.map_or(String::new(), |since| format!(", {since}"));
                    let sizes = format!("{}, {} on disk", human(image.size), human(*allocated));
                    let _ = writeln!(text, "  {path}  {sizes}{since}");
                }
                None => {
                    let _ = writeln!(text, "  {}  {}  {}", image.hash, image.name, human(image.size));
                }
            }
            let _ = writeln!(text, "      {undecided}{}", image.found);
        }
        write_more(text, self.kept_more);
        text.push('\n');
    }

    fn write_problems(&self, text: &mut String) {
        if self.problems.is_empty() {
            return;
        }
        text.push_str("Not checked to the end, or not kept:\n");
        for problem in &self.problems {
            let _ = writeln!(text, "  {problem}");
        }
        write_more(text, self.problems_more);
        text.push('\n');
    }

    fn write_left_out(&self, text: &mut String, config: &Config) {
        let LeftOut { skipped, too_small, not_selected, other_endings } = &self.left_out;
        let mut reasons = Vec::new();
        if !skipped.is_empty() {
            let names: Vec<String> = skipped
                .iter()
                .take(SHOWN)
                .map(|(hash, reason)| format!("{} ({reason})", printable(hash.as_encoded_bytes())))
                .collect();
            reasons.push(format!("on the skip list: {}", names.join(", ")));
        }
        if *too_small > 0 {
            let least = config.site.min_archive_size;
            reasons.push(format!("{} no larger than {least}", count(*too_small, "archive")));
        }
        if *not_selected > 0 {
            reasons.push(format!("{} not selected", count(*not_selected, "archive")));
        }
        if *other_endings > 0 {
            let verb = if *other_endings == 1 { "is" } else { "are" };
            reasons.push(format!("{} {verb} no .tar.zst", count(*other_endings, "file")));
        }
        if !reasons.is_empty() {
            let _ = writeln!(text, "Left out: {}.", reasons.join("; "));
        }
    }
}

fn write_totals(text: &mut String, totals: &RunTotals, seconds: f64) {
    let sum = &totals.sum;
    let compressed = totals.compressed_bytes - totals.resumed_bytes;
    let content = sum.content_bytes - totals.resumed_content;
    let pace = format!(
        "in {} ({}, {})",
        human_seconds(seconds),
        rate(compressed, seconds, "compressed"),
        rate(content, seconds, "content")
    );
    let checked = format!(
        "{}: {} compressed, {} of content",
        count(totals.archives_checked, "archive"),
        human(totals.compressed_bytes),
        human(sum.content_bytes)
    );
    match totals.archives_checked - totals.resumed {
        own if totals.resumed == 0 || own == 0 => {
            let when = if totals.resumed == 0 { &pace } else { "in earlier runs" };
            let _ = writeln!(text, "Checked {checked}, {when}.");
        }
        own => {
            let _ = writeln!(text, "Checked {checked}; {} of them in earlier runs.", totals.resumed);
            let own = count(own, "archive");
            let _ = writeln!(
                text,
                "This run: {own}, {} compressed, {} of content, {pace}.",
                human(compressed),
                human(content)
            );
        }
    }
    if sum.passed_over_bytes > 0 {
        let _ = writeln!(
            text,
            "Passed over {} of {} without decoding it; --verify decodes all and checks every checksum.",
            human(sum.passed_over_bytes),
            human(sum.content_bytes)
        );
    }
    let retained = sum.kept + totals.would_keep;
    let other = totals.deferred + totals.image_errors;
    let mut parts = vec![
        format!("{retained} {}", if totals.would_keep > 0 { "to be kept" } else { "kept" }),
        format!("{} not retained", sum.images.saturating_sub(retained + other)),
    ];
    if totals.deferred > 0 {
        parts.push(format!("{} without room", totals.deferred));
    }
    if totals.image_errors > 0 {
        parts.push(format!("{} with an error", totals.image_errors));
    }
    let _ = writeln!(text, "Found {}: {}.", count(sum.images, "image"), parts.join(", "));
    if totals.without_image > 0 {
        let _ = writeln!(text, "{} without an image.", count(totals.without_image, "archive"));
    }
    if sum.bytes_written > 0 {
        let runs = if totals.resumed > 0 { ", earlier runs included" } else { "" };
        let _ = writeln!(text, "Wrote {} to staging{runs}.", human(sum.bytes_written));
    }
    if sum.removed_files > 0 {
        let _ = writeln!(text, "Removed {} of ours from staging.", count(sum.removed_files, "partial file"));
    }
}

fn write_more(text: &mut String, more: u64) {
    if more > 0 {
        let _ = writeln!(text, "  … and {more} more, which the log has");
    }
}

fn write_next(text: &mut String, state: &State, totals: &RunTotals, config: &Config) {
    if state.total_archives == 0 {
        text.push_str("There was no archive to check.\n");
        return;
    }
    if config.dry_run && totals.would_keep > 0 {
        let _ = writeln!(
            text,
            "A run without --dry-run would need at most {} of room in {}.",
            human(state.needed),
            printable(config.site.staging.as_os_str().as_encoded_bytes())
        );
    }
    if totals.sum.kept > 0 {
        text.push_str("Next: process the kept images again, every partition of them (imgsieve reprocess). ");
    } else if totals.would_keep > 0 {
        text.push_str("Next: run again without --dry-run to stage them. ");
    }
    if totals.deferred > 0 {
        text.push_str("Make room for those without it and go on (--resume): what is staged is not written again. ");
    }
    if totals.image_errors > 0 || totals.archives_failed > 0 {
        text.push_str("Look at those with an error by hand (imgsieve inspect). ");
    }
    let log = printable(config.site.log.as_os_str().as_encoded_bytes());
    let _ = writeln!(text, "No archive was changed. The log is {log}.");
}

fn count(number: u64, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rate(bytes: u64, seconds: f64, what: &str) -> String {
    format!("{}/s {what}", human((bytes as f64 / seconds.max(0.001)) as u64))
}
