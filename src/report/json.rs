//! The report as one JSON object, archive by archive: it need not fit into memory twice.

use std::io::{self, Write};
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::account::{ArchiveAccount, ArchiveEnd, Problem, Run, RunEnd, Shards, Sums};
use crate::log::Name;
use crate::log::record::PartitionCheck;
use crate::sanitize::{self, printable, printable_line};

use super::left_out::{FilesOfRule, MembersOfRule};
use super::{Context, ImageState, Remaining, Report, duration, end_of, word_of};

impl Report {
    /// Writes the object, an archive a line.
    pub fn write_json(&self, out: &mut dyn Write, context: &Context) -> io::Result<()> {
        let account = &self.account;
        let reading = &account.reading;
        let mut head = Map::new();
        insert_name(&mut head, ("log", "log_bytes"), self.log.as_os_str().as_encoded_bytes());
        head.insert(
            "reading".to_owned(),
            json!({
                "lines": reading.lines,
                "unreadable": reading.unreadable,
                "first_unreadable": reading.first_unreadable,
                "unknown_stages": reading.unknown,
            }),
        );
        head.insert("runs".to_owned(), account.runs.iter().map(run).collect());
        head.insert("totals".to_owned(), totals(&self.account.sums()));
        let states = self
            .by_state()
            .into_iter()
            .map(|(word, (images, bytes))| (word.to_owned(), json!({"imgs": images, "bytes": bytes})));
        head.insert("states".to_owned(), Value::Object(states.collect()));
        let of_rules = self.left_out();
        head.insert("left_out".to_owned(), of_rules.iter().map(|rule| left_out(rule, usize::MAX)).collect());
        head.insert("members_left_out".to_owned(), self.members_left_out().iter().map(members_left_out).collect());
        head.insert("remaining".to_owned(), remaining(&Remaining::of(self, context)));
        head.insert(
            "not_listed".to_owned(),
            json!({
                "archives": account.archives_more,
                "imgs": account.images_more,
                "lines": account.lines_more,
                "staged_imgs": account.staged.more(),
            }),
        );
        let head = sanitize::json(&Value::Object(head).to_string());
        write!(out, "{},\"archives\":[", head.strip_suffix('}').unwrap_or(&head))?;
        for (index, (archive, states)) in account.archives.iter().zip(&self.states).enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let archive = self.archive(archive, states).to_string();
            write!(out, "{comma}\n{}", sanitize::json(&archive))?;
        }
        writeln!(out, "\n]}}")
    }

    /// Writes what a run came to, at its end, as one object: what it said that it would do, what it came to, and the images
    /// that are or would be kept.
    pub fn write_end_json(&self, out: &mut dyn Write, exit: u8) -> io::Result<()> {
        let mut object = Map::new();
        object.insert("exit_code".to_owned(), json!(exit));
        let run = self.account.runs.last();
        let end = run.and_then(|run| match &run.end {
            Some(RunEnd::Complete(complete)) => Some(&**complete),
            _ => None,
        });
        object.insert("complete".to_owned(), json!(end.is_some()));
        let start = run.map(|run| run.start.clone()).unwrap_or_default();
        object.insert("dry_run".to_owned(), json!(start.dry_run));
        object.insert("total_archives".to_owned(), json!(start.total_archives));
        if let Some(part) = start.part() {
            object.insert("shard".to_owned(), json!(part.shard));
            object.insert("shard_archives".to_owned(), json!(part.archives));
            object.insert("listed_archives".to_owned(), json!(part.of_archives));
        }
        if let Value::Object(fields) = json!(end.cloned().unwrap_or_else(|| self.account.complete())) {
            object.extend(fields);
        }
        let to_keep = || self.images().filter(|(_, image, _)| matches!(image.action.as_str(), "KEPT" | "would_keep"));
        let needed = to_keep().filter_map(|(_, image, _)| image.at_most_bytes).fold(0, u64::saturating_add);
        object.insert("needed_bytes".to_owned(), json!(needed));
        let seconds = run.and_then(duration).unwrap_or(0.0);
        object.insert("seconds".to_owned(), json!(seconds));
        let kept = to_keep().map(|(archive, image, state)| {
            let mut kept = Map::new();
            insert_name(&mut kept, ("hash", "hash_bytes"), archive.hash.bytes());
            insert_name(&mut kept, ("img", "img_bytes"), image.image.img.bytes());
            kept.insert("size_bytes".to_owned(), json!(image.size()));
            kept.insert("found".to_owned(), json!(image.found()));
            kept.insert("undecided".to_owned(), json!(image.partitions.is_none()));
            insert_optional(&mut kept, ("path", "path_bytes"), image.path.as_ref());
            kept.insert("allocated_bytes".to_owned(), json!(image.allocated_bytes));
            kept.insert("state".to_owned(), json!(state.as_str()));
            Value::Object(kept)
        });
        object.insert("kept".to_owned(), kept.collect());
        object.insert("not_listed".to_owned(), json!(self.account.images_more));
        let reasons = run.and_then(|run| run.left_out.get("skip_list")).map_or(&[][..], |left_out| &left_out.files);
        let reasons = reasons.iter().map(|file| file.reason.as_deref()).chain(std::iter::repeat(None));
        let skipped = start.skipped.iter().zip(reasons).map(|(hash, reason)| json!({"hash": hash, "reason": reason}));
        object.insert("skipped".to_owned(), skipped.collect());
        object.insert("too_small".to_owned(), json!(start.too_small));
        object.insert("not_selected".to_owned(), json!(start.not_selected));
        object.insert("other_endings".to_owned(), json!(start.other_endings));
        object.insert("left_out".to_owned(), self.left_out().iter().map(|rule| left_out(rule, 0)).collect());
        object.insert("members_left_out".to_owned(), self.members_left_out().iter().map(members_left_out).collect());
        let problems = self.account.problems().map(|(about, message)| {
            let about = about.map_or(String::new(), |about| format!("{}: ", printable(about.bytes())));
            Value::String(format!("{about}{}", printable_line(message)))
        });
        object.insert("problems".to_owned(), problems.collect());
        writeln!(out, "{}", sanitize::json(&Value::Object(object).to_string()))
    }

    fn archive(&self, archive: &ArchiveAccount, states: &[ImageState]) -> Value {
        let mut object = Map::new();
        insert_name(&mut object, ("hash", "hash_bytes"), archive.hash.bytes());
        insert_optional(&mut object, ("archive", "archive_bytes"), archive.path.as_ref());
        object.insert("size_bytes".to_owned(), json!(archive.size));
        object.insert("run".to_owned(), json!(self.account.run_of(archive)));
        object.insert("worker".to_owned(), json!(archive.worker));
        object.insert("began".to_owned(), json!(moment(archive.began)));
        let (end, time) = match &archive.end {
            ArchiveEnd::Open => (None, None),
            ArchiveEnd::Complete { time, .. } => (Some("complete"), *time),
            ArchiveEnd::Failed(problem) => (Some("error"), problem.time),
        };
        object.insert("end".to_owned(), json!(end));
        object.insert("ended".to_owned(), json!(moment(time)));
        match &archive.end {
            ArchiveEnd::Open => {}
            ArchiveEnd::Complete { totals, .. } => {
                object.insert("seconds".to_owned(), json!(totals.seconds));
                object.insert("content_bytes".to_owned(), json!(totals.content_bytes));
                object.insert("passed_over_bytes".to_owned(), json!(totals.passed_over_bytes));
                object.insert("verified".to_owned(), json!(totals.verified));
                object.insert("complete".to_owned(), json!(totals.is_complete()));
            }
            ArchiveEnd::Failed(problem) => {
                object.insert("reason".to_owned(), json!(problem.reason));
                object.insert("message".to_owned(), json!(problem.message));
                if let Some(totals) = &problem.totals {
                    object.insert("seconds".to_owned(), json!(totals.seconds));
                    object.insert("content_bytes".to_owned(), json!(totals.content_bytes));
                    object.insert("passed_over_bytes".to_owned(), json!(totals.passed_over_bytes));
                }
            }
        }
        let verification = self.account.verifications.get(&archive.hash).map(|verification| {
            json!({
                "ts": moment(verification.time),
                "outcome": verification.soundness.as_str(),
                "file": verification.currency().as_str(),
                "reason": verification.record.reason,
                "message": verification.record.message,
            })
        });
        object.insert("verification".to_owned(), json!(verification));
        object.insert("warnings".to_owned(), archive.warnings.iter().map(problem).collect());
        object.insert("left_out".to_owned(), json!(archive.left_out()));
        let images = archive.images.iter().zip(states);
        object.insert("images".to_owned(), images.map(|(each, state)| image(each, state)).collect());
        Value::Object(object)
    }
}

fn run(run: &Run) -> Value {
    let (end, why) = end_of(run);
    json!({
        "run": run.id,
        "began": moment(run.began),
        "heard": moment(run.heard),
        "end": end,
        "end_message": why,
        "version": run.start.version,
        "dry_run": run.start.dry_run,
        "jobs": run.start.jobs,
        "min_partitions": run.min_partitions(),
        "total_archives": run.start.total_archives,
        "total_bytes": run.start.total_bytes,
        "archives_resumed": run.resumed,
        "archives_never_begun": run.never_begun(),
        "minimum_bytes": run.start.minimum_bytes,
        "shard": run.start.shard,
        "shard_archives": run.start.shard_archives,
        "listed_archives": run.start.listed_archives,
        "shards": run.shards.as_ref().map(shards),
        "totals": totals(&run.sums),
        "errors": run.problems.iter().map(problem).collect::<Vec<_>>(),
        "errors_not_listed": run.problems_more,
        "warnings": run.warnings.iter().map(problem).collect::<Vec<_>>(),
    })
}

/// The runs that a run stands for, and the shards of which there is none.
fn shards(shards: &Shards) -> Value {
    let runs = shards.runs.iter().map(|run| {
        let (end, why) = word_of(run.end.as_ref());
        json!({
            "shard": format!("{}/{}", run.index, shards.count),
            "run": run.id,
            "began": moment(run.began),
            "heard": moment(run.heard),
            "end": end,
            "end_message": why,
            "archives_never_begun": run.never_begun,
        })
    });
    json!({"count": shards.count, "runs": runs.collect::<Vec<_>>(), "missing": shards.missing().collect::<Vec<_>>()})
}

/// An image as the log has it, and where it stands.
fn image(image: &PartitionCheck, state: &ImageState) -> Value {
    let mut object = Map::new();
    if let Value::Object(logged) = json!(image) {
        object.extend(logged.into_iter().filter(|(key, _)| !matches!(key.as_str(), "hash" | "hash_bytes")));
    }
    for key in ["path", "message", "verified"] {
        object.entry(key).or_insert(Value::Null);
    }
    object.insert("ordinal".to_owned(), json!(image.ordinal()));
    object.insert("found".to_owned(), json!(image.found()));
    object.insert("unread_areas".to_owned(), json!(image.unread_areas.as_deref().unwrap_or_default()));
    object.insert("partition_list".to_owned(), json!(image.partitions()));
    object.insert("room_bytes".to_owned(), json!(image.room()));
    object.insert("state".to_owned(), json!(state.as_str()));
    let detail = match state {
        ImageState::Failed(detail) | ImageState::Changed(detail) | ImageState::Unseen(detail) => Some(detail),
        _ => None,
    };
    object.insert("state_message".to_owned(), json!(detail));
    Value::Object(object)
}

fn left_out(rule: &FilesOfRule<'_>, most: usize) -> Value {
    let mut object = Map::new();
    object.insert("run".to_owned(), json!(rule.run.id));
    object.insert("rule".to_owned(), json!(rule.rule));
    object.insert("count".to_owned(), json!(rule.count));
    object.insert("size_bytes".to_owned(), json!(rule.bytes));
    if most > 0 {
        object.insert("files".to_owned(), json!(rule.files));
    }
    Value::Object(object)
}

fn members_left_out(members: &MembersOfRule<'_>) -> Value {
    let mut object = Map::new();
    object.insert("rule".to_owned(), json!(members.rule));
    object.insert("count".to_owned(), json!(members.count));
    if let Some((hash, member, size)) = members.largest {
        insert_name(&mut object, ("hash", "hash_bytes"), hash.bytes());
        insert_name(&mut object, ("member", "member_bytes"), member.bytes());
        object.insert("size_bytes".to_owned(), json!(size));
    }
    Value::Object(object)
}

fn problem(problem: &Problem) -> Value {
    let mut object = Map::new();
    object.insert("ts".to_owned(), json!(moment(problem.time)));
    object.insert("reason".to_owned(), json!(problem.reason));
    object.insert("message".to_owned(), json!(problem.message));
    if problem.path.is_some() {
        insert_optional(&mut object, ("archive", "archive_bytes"), problem.path.as_ref());
    }
    Value::Object(object)
}

fn totals(sums: &Sums) -> Value {
    json!({
        "archives": sums.archives,
        "archives_complete": sums.complete,
        "archives_failed": sums.failed,
        "archives_without_image": sums.without_image,
        "compressed_bytes": sums.compressed_bytes,
        "content_bytes": sums.totals.content_bytes,
        "passed_over_bytes": sums.totals.passed_over_bytes,
        "bytes_written": sums.totals.bytes_written,
        "seconds": sums.totals.seconds,
        "worker_seconds": sums.totals.seconds,
        "imgs": sums.images,
        "kept_imgs": sums.kept,
        "would_keep": sums.would_keep,
        "deferred": sums.deferred,
        "not_retained": sums.not_retained,
        "undecided": sums.undecided,
        "image_errors": sums.image_errors,
        "archives_partial": sums.partial,
        "warnings": sums.warnings,
    })
}

fn remaining(remaining: &Remaining) -> Value {
    json!({
        "archives_unfinished": remaining.unfinished,
        "archives_never_begun": remaining.never_begun,
        "archives_failed": remaining.failed,
        "archives_broken": remaining.broken,
        "imgs_deferred": remaining.deferred,
        "imgs_beyond_max_staged": remaining.beyond,
        "imgs_lost": remaining.lost,
        "imgs_unstageable": remaining.unstageable,
        "imgs_to_keep": remaining.would_keep,
        "bytes_to_keep": remaining.would_take,
        "why_no_command": remaining.why_no_command,
        "resume": remaining.resume,
        "stage": remaining.stage,
        "imgs_to_reprocess": remaining.waiting,
        "bytes_to_reprocess": remaining.waiting_bytes,
        "reprocess": remaining.reprocess,
        "archives_partial": remaining.partial,
        "imgs_unsettled": remaining.unsettled,
        "whole": remaining.whole,
        "decide": remaining.decide,
        "imgs_undecided": remaining.undecided,
        "inspect": remaining.inspect(usize::MAX).map(|(command, _)| command),
    })
}

fn moment(time: Option<SystemTime>) -> Option<String> {
    time.map(crate::clock::stamp)
}

fn insert_optional(object: &mut Map<String, Value>, keys: (&str, &str), name: Option<&Name>) {
    match name {
        Some(name) => insert_name(object, keys, name.bytes()),
        None => {
            object.insert(keys.0.to_owned(), Value::Null);
        }
    }
}

/// A name as text, and exactly, in base64, where the text is not the bytes.
fn insert_name(object: &mut Map<String, Value>, (key, exact): (&str, &str), name: &[u8]) {
    object.insert(key.to_owned(), json!(String::from_utf8_lossy(name)));
    if std::str::from_utf8(name).is_err() {
        object.insert(exact.to_owned(), json!(sanitize::base64(name)));
    }
}
