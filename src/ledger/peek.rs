//! What a line is about, told by how [`journal`](crate::journal) writes lines, before any of it is parsed.
//!
//! Most lines of a long log are of no use to who reads it. To parse one takes twenty times as long as to see that.

use std::time::SystemTime;

use memchr::memmem;

/// How a line begins, and how long its time stamp is: `{"ts":"2026-01-01T00:00:00Z","stage":"`.
const START: &[u8] = b"{\"ts\":\"";
const TIME_STAMP: usize = 20;
const STAGE: &[u8] = b"\",\"stage\":\"";
/// How a line ends: `,"run":"ID"}`. In a string these quotes would be escaped.
const RUN: &[u8] = b",\"run\":\"";
const END: &[u8] = b"\"}";
/// Longest name of a run that is looked for, in bytes.
const RUN_LIMIT: usize = 64;

/// The stage and the run of a line that has the form in which imgsieve writes them. It may still be no JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peek<'a> {
    /// What happened.
    pub stage: &'a str,
    /// The run that wrote it.
    pub run: &'a str,
    line: &'a [u8],
}

impl<'a> Peek<'a> {
    /// None of a line of another form, which may all the same be one of a log.
    #[must_use]
    pub fn of(line: &'a [u8]) -> Option<Peek<'a>> {
        let rest = line.strip_prefix(START)?.get(TIME_STAMP..)?.strip_prefix(STAGE)?;
        let is_word = |byte: &u8| byte.is_ascii_lowercase() || *byte == b'_';
        let stage = &rest[..rest.iter().take_while(|byte| is_word(byte)).count()];
        let rest = rest[stage.len()..].strip_prefix(b"\"")?.strip_suffix(END)?;
        let tail = &rest[rest.len().saturating_sub(RUN.len() + RUN_LIMIT)..];
        let run = &tail[memmem::rfind(tail, RUN)? + RUN.len()..];
        if run.iter().any(|&byte| byte == b'"' || byte == b'\\') {
            return None;
        }
        Some(Peek { stage: std::str::from_utf8(stage).ok()?, run: std::str::from_utf8(run).ok()?, line })
    }

    /// Whether what it says is said again by a later line of the archive, or is of no consequence.
    #[must_use]
    pub fn is_said_again(&self) -> bool {
        matches!(self.stage, "img_found" | "extraction_start" | "cleanup" | "deferred")
    }

    /// When it was written.
    #[must_use]
    pub fn time(&self) -> Option<SystemTime> {
        let time = std::str::from_utf8(&self.line[START.len()..START.len() + TIME_STAMP]).ok()?;
        humantime::parse_rfc3339(time).ok()
    }

    /// Whether the line has these bytes somewhere.
    #[must_use]
    pub fn has(&self, bytes: &[u8]) -> bool {
        memmem::find(self.line, bytes).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peek(line: &str) -> Option<(&str, &str)> {
        Peek::of(line.as_bytes()).map(|peek| (peek.stage, peek.run))
    }

    #[test]
    fn a_line_of_ours_shows_its_stage_and_its_run() {
        let line = r#"{"ts":"2026-01-01T00:00:00Z","stage":"img_found","hash":"h","run":"1a-2b"}"#;
        assert_eq!(peek(line), Some(("img_found", "1a-2b")));
        assert!(Peek::of(line.as_bytes()).expect("ours").has(b"\"hash\":\"h\""));
        assert_eq!(peek(r#"{"ts":"2026-01-01T00:00:00Z","stage":"cleanup","run":""}"#), Some(("cleanup", "")));
    }

    #[test]
    fn what_a_string_holds_is_not_taken_for_a_run() {
        for line in [
            r#"{"ts":"2026-01-01T00:00:00Z","stage":"img_found","run":"a","img":",\"run\":\"b"}"#,
            r#"{"ts":"2026-01-01T00:00:00Z","stage":"img_found","run":"a\"b"}"#,
            r#"{"ts":"2026-01-01T00:00:00Z","stage":"img_found","run":"a","img":"b"}"#,
        ] {
            assert_eq!(peek(line), None, "{line}");
        }
    }

    #[test]
    fn another_form_is_left_to_who_parses() {
        for line in [
            r#"{"ts": "2026-01-01T00:00:00Z", "stage": "cleanup", "run": "a"}"#,
            r#"{"stage":"cleanup","run":"a"}"#,
            r#"{"ts":"2026-01-01T00:00:00Z","stage":"cleanup","hash":"h"}"#,
            r#"{"ts":"2026-01-01T00:00:00Z","stage":"clean"#,
            "",
            "{",
            "\"}",
        ] {
            assert_eq!(peek(line), None, "{line}");
        }
    }
}
