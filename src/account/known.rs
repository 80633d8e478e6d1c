//! Errors that are told of again and again: those that the last run of a log had, too.

use std::collections::HashSet;

use crate::log::record::Problem;
use crate::log::{At, Entry, Head, Listener, Logs, Name, Record};
use crate::reason::Told;
use crate::run::Control;

/// Errors that are remembered. What lies beyond is new each time.
const MOST: usize = 100_000;

/// What an error is about, and why it is one: archive or file, image and its place among those of its name, reason.
type Key = (Name, Option<Name>, u32, String);

/// The errors of the last run that began.
#[derive(Debug, Default)]
pub struct Known(HashSet<Key>);

impl Known {
    /// As the logs tell it; nothing is known by logs that cannot be read.
    #[must_use]
    pub fn read(logs: &Logs, control: &Control) -> Known {
        let mut reader = Reader { run: None, known: Known::default(), control };
        let _ = logs.read(&mut reader);
        reader.known
    }

    /// Whether an error, as it is logged, was there in the last run.
    #[must_use]
    pub fn has(&self, record: &Record) -> bool {
        let Record::Error(problem) = record else { return false };
        // A long name is another one in the log.
        let logged = serde_json::to_string(problem).and_then(|text| serde_json::from_str::<Problem>(&text));
        logged.ok().and_then(|problem| key(&problem)).is_some_and(|key| self.0.contains(&key))
    }
}

/// What makes two errors the same. None of one of the run itself.
fn key(problem: &Problem) -> Option<Key> {
    let Problem { archive, hash, img, member, ordinal, reason, .. } = problem;
    let about = hash.as_ref().or(archive.as_ref())?;
    let image = member.as_ref().or(img.as_ref());
    let reason = reason.as_ref().map_or("", Told::as_str);
    Some((about.clone(), image.cloned(), ordinal.unwrap_or(1), reason.to_owned()))
}

struct Reader<'a> {
    run: Option<String>,
    known: Known,
    control: &'a Control,
}

impl Listener for Reader<'_> {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        matches!(&*head.stage, "script_start" | "error")
    }

    fn note(&mut self, entry: Entry, _at: At) {
        if matches!(entry.record, Record::ScriptStart(_)) {
            self.run = Some(entry.run);
            self.known.0.clear();
        } else if self.run.as_ref() == Some(&entry.run)
            && self.known.0.len() < MOST
            && let Record::Error(problem) = &entry.record
            && let Some(key) = key(problem)
        {
            self.known.0.insert(key);
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
        Known::read(&Logs::open(&[path], false).expect("a log"), &Control::new())
    }

    #[test]
    fn what_the_last_run_had_is_known_by_what_it_is_about_and_its_reason() {
        let start = "{\"stage\":\"script_start\",\"run\":\"RUN\"}\n";
        let of = |run: &str, lines: &[&str]| lines.concat().replace("RUN", run);
        let (a, b) = (error("a", "1.img", "io"), error("b", "1.img", "io"));
        let keys = |error: &str| known(&of("1", &[start, error])).0;
        let of_last = known(&[of("1", &[start, &a]), of("2", &[start, &b]), of("1", &[&a])].concat());
        assert_eq!((of_last.0.len(), &of_last.0), (1, &keys(&b)));
        for other in [&a, &error("b", "2.img", "io"), &error("b", "1.img", "truncated")] {
            assert!(keys(other).is_disjoint(&of_last.0), "{other}");
        }
        let of_run =
            "{\"stage\":\"error\",\"scope\":\"run\",\"reason\":\"collection\",\"message\":\"m\",\"run\":\"RUN\"}\n";
        assert!(keys(of_run).is_empty());
    }
}
