//! Errors that are told of again and again: those that the last run of a log had, too.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::Soundness;
use crate::log::record::{ArchiveVerified, Problem, ReprocessComplete};
use crate::log::{At, Entry, Head, Listener, Logs, Name, Record};
use crate::reason::Told;
use crate::run::Control;
use crate::shard::Shard;

/// Errors that are remembered, of each kind. What lies beyond is new each time.
const MOST: usize = 100_000;

/// What an error is about, and why it is one: archive or file, image and its place among those of its name, reason.
type Key = (Name, Option<Name>, u32, String);

/// How a command ended: its exit status, the signal, or why there is neither.
type End = (Option<i32>, Option<String>, String);

/// The errors of the last run that began; and, whichever run had them, those of an archive when it was last verified, and of
/// a staged image when it was last processed again.
#[derive(Debug, Default)]
pub struct Known {
    surveyed: HashSet<Key>,
    /// Of the last run that processed staged images again.
    staged: HashSet<Key>,
    /// Why archives failed.
    verified: HashMap<Name, String>,
    /// By the paths of the images.
    reprocessed: HashMap<Name, End>,
}

impl Known {
    /// As the logs tell it, of surveys of this shard, or of those of no shard; nothing is known by logs that cannot be read.
    #[must_use]
    pub fn read(logs: &Logs, shard: Option<Shard>, control: &Control) -> Known {
        let mut reader = Reader { run: None, reprocess: None, known: Known::default(), shard, control };
        let _ = logs.read(&mut reader);
        reader.known
    }

    /// Whether an error, as it is logged, was there in the last run.
    #[must_use]
    pub fn has(&self, record: &Record) -> bool {
        match record {
            Record::Error(problem) => {
                let keys = if is_staged(problem) { &self.staged } else { &self.surveyed };
                logged(&**problem).and_then(|problem| key(&problem)).is_some_and(|key| keys.contains(&key))
            }
            Record::ArchiveVerified(verified) => logged(&**verified).is_some_and(|verified| {
                let known = self.verified.get(&verified.hash);
                failure(&verified).is_some_and(|reason| known.is_some_and(|known| *known == reason))
            }),
            Record::ReprocessComplete(end) => logged(&**end).is_some_and(|end| {
                let known = end.image.path.as_ref().and_then(|path| self.reprocessed.get(path));
                known.is_some_and(|known| *known == end_of(&end))
            }),
            _ => false,
        }
    }

    /// Takes note of what became of archives and of staged images.
    fn note(&mut self, record: &Record) {
        match record {
            Record::ArchiveVerified(verified) => match failure(verified) {
                Some(reason) if self.verified.len() < MOST || self.verified.contains_key(&verified.hash) => {
                    self.verified.insert(verified.hash.clone(), reason);
                }
                _ => {
                    self.verified.remove(&verified.hash);
                }
            },
            Record::ReprocessComplete(end) => {
                let Some(path) = &end.image.path else { return };
                if end.exit_status == Some(0) {
                    self.reprocessed.remove(path);
                } else if self.reprocessed.len() < MOST || self.reprocessed.contains_key(path) {
                    self.reprocessed.insert(path.clone(), end_of(end));
                }
            }
            _ => {}
        }
    }
}

/// A record as it is read back: a long name is another one in the log.
fn logged<T: Serialize + DeserializeOwned>(record: &T) -> Option<T> {
    serde_json::to_string(record).and_then(|text| serde_json::from_str(&text)).ok()
}

/// Why an archive failed, if it did.
fn failure(verified: &ArchiveVerified) -> Option<String> {
    let is_failed = Soundness::of_word(&verified.outcome) == Some(Soundness::Fails);
    is_failed.then(|| word(verified.reason.as_ref()))
}

fn end_of(end: &ReprocessComplete) -> End {
    (end.exit_status, end.signal.clone(), word(end.reason.as_ref()))
}

fn word(reason: Option<&Told>) -> String {
    reason.map_or("", Told::as_str).to_owned()
}

fn is_staged(problem: &Problem) -> bool {
    problem.scope == "staged"
}

/// What makes two errors the same. None of one of the run itself.
fn key(problem: &Problem) -> Option<Key> {
    let Problem { archive, hash, img, member, ordinal, reason, .. } = problem;
    let about = hash.as_ref().or(archive.as_ref())?;
    let image = member.as_ref().or(img.as_ref());
    Some((about.clone(), image.cloned(), ordinal.unwrap_or(1), word(reason.as_ref())))
}

struct Reader<'a> {
    run: Option<String>,
    /// The last run that processed staged images again.
    reprocess: Option<String>,
    known: Known,
    /// The shard whose runs are asked for.
    shard: Option<Shard>,
    control: &'a Control,
}

impl Reader<'_> {
    /// A run says something of staged images.
    fn hear_of_staged(&mut self, run: &str) {
        if self.reprocess.as_deref() != Some(run) {
            self.reprocess = Some(run.to_owned());
            self.known.staged.clear();
        }
    }
}

impl Listener for Reader<'_> {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        matches!(&*head.stage, "script_start" | "error" | "archive_verified" | "reprocess_start" | "reprocess_complete")
    }

    fn note(&mut self, entry: Entry, _at: At) {
        match &entry.record {
            Record::ScriptStart(start) => {
                if start.shard == self.shard && self.run.as_ref() != Some(&entry.run) {
                    self.run = Some(entry.run);
                    self.known.surveyed.clear();
                }
            }
            Record::Error(problem) => {
                let is_staged = is_staged(problem);
                if is_staged {
                    self.hear_of_staged(&entry.run);
                }
                let keys = if is_staged { &mut self.known.staged } else { &mut self.known.surveyed };
                let is_last = is_staged || self.run.as_ref() == Some(&entry.run);
                if is_last
                    && keys.len() < MOST
                    && let Some(key) = key(problem)
                {
                    keys.insert(key);
                }
            }
            Record::ReprocessStart(_) => self.hear_of_staged(&entry.run),
            record => self.known.note(record),
        }
    }

    fn is_done(&self) -> bool {
        self.control.is_stopped()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(hash: &str, img: &str, reason: &str) -> String {
        format!(
            "{{\"stage\":\"error\",\"scope\":\"image\",\"hash\":\"{hash}\",\"img\":\"{img}\",\"reason\":\"{reason}\",\
             \"message\":\"m\",\"run\":\"RUN\"}}\n"
        )
    }

    fn known(log: &str) -> Known {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        std::fs::write(&path, log).expect("a log");
        Known::read(&Logs::open(&[path], false).expect("a log"), None, &Control::new())
    }

    #[test]
    fn what_the_last_run_had_is_known_by_what_it_is_about_and_its_reason() {
        let start = "{\"stage\":\"script_start\",\"run\":\"RUN\"}\n";
        let of = |run: &str, lines: &[&str]| lines.concat().replace("RUN", run);
        let (a, b) = (error("a", "1.img", "io"), error("b", "1.img", "io"));
        let keys = |error: &str| known(&of("1", &[start, error])).surveyed;
        let of_last = known(&[of("1", &[start, &a]), of("2", &[start, &b]), of("1", &[&a])].concat());
        assert_eq!((of_last.surveyed.len(), &of_last.surveyed), (1, &keys(&b)));
        for other in [&a, &error("b", "2.img", "io"), &error("b", "1.img", "truncated")] {
            assert!(keys(other).is_disjoint(&of_last.surveyed), "{other}");
        }
        let of_run =
            "{\"stage\":\"error\",\"scope\":\"run\",\"reason\":\"collection\",\"message\":\"m\",\"run\":\"RUN\"}\n";
        assert!(keys(of_run).is_empty());
    }

    #[test]
    fn what_an_archive_and_a_staged_image_last_came_to_is_known_whichever_run_had_it() {
        let read = |line: &str| Entry::read(line).expect("a line").expect("a stage").record;
        let verified = |hash: &str, outcome: &str, reason: &str| {
            format!(
                "{{\"stage\":\"archive_verified\",\"hash\":\"{hash}\",\"outcome\":\"{outcome}\",\"reason\":{reason},\
                 \"run\":\"v\"}}\n"
            )
        };
        let ended = |path: &str, status: i32| {
            format!(
                "{{\"stage\":\"reprocess_complete\",\"hash\":\"h\",\"path\":\"{path}\",\"exit_status\":{status},\
                 \"run\":\"r\"}}\n"
            )
        };
        let (io, checksum) = ("\"io\"", "\"checksum\"");
        let log = [
            verified("a", "failed", checksum),
            verified("b", "failed", checksum),
            verified("b", "verified", "null"),
            verified("c", "failed", io),
            verified("c", "failed", checksum),
            ended("/s/1", 3),
            ended("/s/2", 3),
            ended("/s/2", 0),
        ];
        let known = known(&log.concat());
        for (line, is_known) in [
            (verified("a", "failed", checksum), true),
            (verified("a", "failed", io), false),
            (verified("b", "failed", checksum), false),
            (verified("c", "failed", checksum), true),
            (verified("d", "failed", checksum), false),
            (ended("/s/1", 3), true),
            (ended("/s/1", 4), false),
            (ended("/s/2", 3), false),
        ] {
            assert_eq!(known.has(&read(&line)), is_known, "{line}");
        }
    }

    #[test]
    fn errors_of_staged_images_are_those_of_the_last_run_that_processed_some() {
        let staged =
            |run: &str, hash: &str| error(hash, "1.img", "gone").replace("image", "staged").replace("RUN", run);
        let start = "{\"stage\":\"reprocess_start\",\"hash\":\"c\",\"run\":\"3\"}\n";
        let of_two = known(&[staged("1", "a"), staged("2", "b")].concat());
        let of_three = known(&[staged("1", "a"), staged("2", "b"), start.to_owned()].concat());
        let has = |known: &Known, hash: &str| {
            known.has(&Entry::read(&staged("9", hash)).expect("a line").expect("a stage").record)
        };
        assert_eq!([has(&of_two, "a"), has(&of_two, "b"), has(&of_three, "b")], [false, true, false]);
    }
}
