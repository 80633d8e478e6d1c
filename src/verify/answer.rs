//! What `imgsieve verify` says when it is done: a line an archive, and the sum.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::cause::Cause;
use crate::event::{Archive, LeftOutBy, Rule, Soundness, Verified};
use crate::sanitize::{self, printable, printable_line, printable_short};
use crate::shard::Part;
use crate::units::{counted, human};

/// Characters of a hash that are shown.
const HASH_SHOWN: usize = 120;

/// What was verified, and what came of it.
#[derive(Debug)]
pub struct Answer {
    archives: Vec<(Arc<Archive>, Option<Verified>)>,
    left_out: LeftOutBy,
    part: Option<Part>,
    /// What has an archive's name, and cannot be one.
    problems: Vec<(PathBuf, Cause)>,
}

impl Answer {
    pub(super) fn new(left_out: LeftOutBy, problems: Vec<(PathBuf, Cause)>, part: Option<Part>) -> Answer {
        Answer { archives: Vec::new(), left_out, part, problems }
    }

    pub(super) fn add(&mut self, archive: Arc<Archive>, verified: Option<Verified>) {
        self.archives.push((archive, verified));
    }

    /// What could not be an archive, with the reason.
    pub fn problems(&self) -> impl Iterator<Item = (&std::path::Path, &Cause)> {
        self.problems.iter().map(|(path, cause)| (path.as_path(), cause))
    }

    /// Whether there were archives, all were decoded to their end, and every checksum held.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let fails = |verified: &Verified| verified.soundness == Soundness::Fails;
        let all = self.archives.iter().all(|(_, verified)| verified.as_ref().is_some_and(|verified| !fails(verified)));
        all && !self.archives.is_empty() && self.problems.is_empty()
    }

    /// Archives of which this came out, and their compressed bytes.
    fn of(&self, soundness: Option<Soundness>) -> (u64, u64) {
        let came_out = |verified: &Option<Verified>| verified.as_ref().map(|verified| verified.soundness);
        let these = self.archives.iter().filter(|(_, verified)| came_out(verified) == soundness);
        these.fold((0, 0), |(count, bytes), (archive, _)| (count + 1, bytes.saturating_add(archive.size)))
    }

    fn total(&self) -> (u64, u64) {
        (self.archives.len() as u64, Archive::total_bytes(self.archives.iter().map(|(archive, _)| &**archive)))
    }

    /// For a person.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (archive, verified) in &self.archives {
            let hash = printable_short(archive.hash.as_encoded_bytes(), HASH_SHOWN);
            let what = verified.as_ref().map_or_else(|| "not verified: the run ended first".to_owned(), line);
            let _ = writeln!(text, "{hash}  {}  {what}", human(archive.size));
        }
        for (path, cause) in &self.problems {
            let path = printable(path.as_os_str().as_encoded_bytes());
            let _ = writeln!(text, "{path}  not verified: {}", printable_line(&cause.message));
        }
        if !text.is_empty() {
            text.push('\n');
        }
        self.write_sum(&mut text);
        text
    }

    fn write_sum(&self, text: &mut String) {
        let (total, total_bytes) = self.total();
        let (holds, bytes) = self.of(Some(Soundness::Holds));
        let (unsure, _) = self.of(Some(Soundness::NoChecksum));
        let (fails, _) = self.of(Some(Soundness::Fails));
        let (open, _) = self.of(None);
        match holds {
            _ if total == 0 => text.push_str("No archive to verify.\n"),
            _ if holds == total => {
                let _ = writeln!(text, "{}, {}: every checksum holds.", counted(total, "archive"), human(total_bytes));
            }
            0 => {}
            _ => {
                let (bytes, of) = (human(bytes), human(total_bytes));
                let _ =
                    writeln!(text, "{holds} of {}, {bytes} of {of}: every checksum holds.", counted(total, "archive"));
            }
        }
        if unsure > 0 {
            let (lack, decode) = if unsure == 1 { ("lacks", "decodes") } else { ("lack", "decode") };
            let archives = counted(unsure, "archive");
            let _ = writeln!(text, "{archives} {lack} a checksum in some or all frames, but {decode} to the end.");
        }
        if fails > 0 {
            let fail = if fails == 1 { "fails" } else { "fail" };
            let of_one = self.archives.iter().filter_map(|(archive, verified)| {
                let cause =
                    verified.as_ref().filter(|verified| verified.soundness == Soundness::Fails)?.cause.as_ref()?;
                let hash = printable_short(archive.hash.as_encoded_bytes(), HASH_SHOWN);
                Some(format!("{hash}: {}", printable_line(&cause.message)))
            });
            let first = of_one.into_iter().next().filter(|_| fails == 1);
            let which = first.map_or_else(|| "; see above".to_owned(), |first| format!(": {first}"));
            let _ = writeln!(text, "{} {fail}{which}.", counted(fails, "archive"));
        }
        if open + self.problems.len() as u64 > 0 {
            let _ = writeln!(text, "{} not verified.", counted(open + self.problems.len() as u64, "archive"));
        }
        if let Some(part) = self.part {
            let _ = writeln!(text, "This was {}.", part.in_words());
        }
        let skipped = self.left_out_by(Rule::SkipList);
        if skipped > 0 {
            let _ = writeln!(text, "{} on the skip list, not opened.", counted(skipped, "archive"));
        }
        let files = self.left_out_by(Rule::OtherEnding);
        if files > 0 {
            let _ = writeln!(text, "{} not named like an archive.", counted(files, "file"));
        }
        let folders = self.left_out_by(Rule::Folder);
        if folders > 0 {
            let _ = writeln!(text, "{} not entered: --recursive does.", counted(folders, "folder"));
        }
    }

    fn left_out_by(&self, rule: Rule) -> u64 {
        self.left_out.get(&rule).map_or(0, |left_out| left_out.count)
    }

    /// The same for another program, with the exit code.
    #[must_use]
    pub fn json(&self, exit_code: u8) -> Value {
        let (total, bytes) = self.total();
        let count = |soundness| self.of(soundness).0;
        json!({
            "archives": self.archives.iter().map(|(archive, verified)| archive_json(archive, verified.as_ref())).collect::<Vec<_>>(),
            "problems": self.problems.iter().map(|(path, cause)| json!({
                "path": path.to_string_lossy(),
                "reason": cause.code,
                "message": cause.message,
            })).collect::<Vec<_>>(),
            "shard": self.part.map(|part| part.shard),
            "shard_archives": self.part.map(|part| part.archives),
            "listed_archives": self.part.map(|part| part.of_archives),
            "skipped": self.left_out_by(Rule::SkipList),
            "other_endings": self.left_out_by(Rule::OtherEnding),
            "folders": self.left_out_by(Rule::Folder),
            "total_archives": total,
            "total_bytes": bytes,
            "archives_verified": count(Some(Soundness::Holds)),
            "archives_no_checksum": count(Some(Soundness::NoChecksum)),
            "archives_failed": count(Some(Soundness::Fails)),
            "archives_not_verified": count(None) + self.problems.len() as u64,
            "exit_code": exit_code,
        })
    }
}

/// What came of an archive, in a line.
fn line(verified: &Verified) -> String {
    let Verified { soundness, frames, checksummed_frames, content_bytes, cause, .. } = verified;
    let content = human(*content_bytes);
    let all = counted(*frames, "frame");
    match soundness {
        Soundness::Holds => format!("every checksum holds: {all}, {content} of content"),
        Soundness::NoChecksum if *checksummed_frames == 0 => {
            format!("no checksum: {all}, {content} of content, decoded to the end")
        }
        Soundness::NoChecksum => {
            format!(
                "{checksummed_frames} of {frames} frames have a checksum, which holds: {content} of content, decoded to the end"
            )
        }
        Soundness::Fails => {
            let message = cause.as_ref().map_or("", |cause| cause.message.as_str());
            format!("FAILS: {}", printable_line(message))
        }
    }
}

fn archive_json(archive: &Archive, verified: Option<&Verified>) -> Value {
    let mut object = json!({
        "hash": archive.hash.to_string_lossy(),
        "archive": archive.path.to_string_lossy(),
        "size_bytes": archive.size,
        "mtime": archive.mtime,
        "outcome": verified.map(|verified| verified.soundness.as_str()),
    });
    let Some(fields) = object.as_object_mut() else { return object };
    for (key, name) in [("hash_bytes", archive.hash.as_os_str()), ("archive_bytes", archive.path.as_os_str())] {
        if name.to_str().is_none() {
            fields.insert(key.to_owned(), json!(sanitize::base64(name.as_encoded_bytes())));
        }
    }
    if let Some(verified) = verified {
        fields.insert("frames".to_owned(), json!(verified.frames));
        fields.insert("checksummed_frames".to_owned(), json!(verified.checksummed_frames));
        fields.insert("content_bytes".to_owned(), json!(verified.content_bytes));
        fields.insert("seconds".to_owned(), json!(verified.seconds));
        fields.insert("reason".to_owned(), json!(verified.cause.as_ref().map(|cause| cause.code)));
        fields.insert("message".to_owned(), json!(verified.cause.as_ref().map(|cause| &cause.message)));
    }
    object
}
