//! Whether the log's lines of an archive add up: a line may be lost or torn, and what it said is missing then.

use std::collections::HashMap;

use crate::log::{At, Entry, Name, Record};

/// Archives of which lines are counted at a time. Runs that were killed leave some open.
const OPEN_MOST: usize = 1 << 20;

/// Counts the lines of archives that were begun and have not ended.
#[derive(Debug, Clone, Default)]
pub struct Tallies {
    open: HashMap<(String, Name), Tally>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    found: u64,
    checked: u64,
    kept: u64,
    /// What `cleanup` says was kept.
    cleaned: Option<u64>,
}

/// Lines of an archive that are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// The line that says how many there were.
    pub at: At,
    /// How many of which are missing.
    pub what: String,
    /// `KEPT` lines that are missing.
    pub kept: u64,
}

impl Tallies {
    /// Takes note of a line. When it ends its archive, says whether the lines add up.
    pub fn note(&mut self, entry: &Entry, at: At) -> Option<Result<(), Lack>> {
        let hash = match &entry.record {
            Record::ArchiveStart(_)
            | Record::ImgFound(_)
            | Record::PartitionCheck(_)
            | Record::Cleanup(_)
            | Record::ArchiveComplete(_) => entry.record.hash()?,
            Record::Error(error) if error.scope == "archive" => entry.record.hash()?,
            _ => return None,
        };
        let key = (entry.run.clone(), hash.clone());
        if !self.open.contains_key(&key) && self.open.len() == OPEN_MOST {
            return None;
        }
        let tally = self.open.entry(key).or_default();
        match &entry.record {
            Record::ArchiveStart(_) => *tally = Tally::default(),
            Record::ImgFound(_) => tally.found += 1,
            Record::PartitionCheck(check) => {
                tally.checked += 1;
                tally.kept += u64::from(check.action == "KEPT");
            }
            Record::Cleanup(cleanup) => tally.cleaned = Some(cleanup.kept_imgs),
            Record::ArchiveComplete(end) => {
                let tally = self.close(entry, hash)?;
                // The script that imgsieve replaces counts no images.
                let imgs = end.imgs?;
                return Some(tally.add_up(imgs, end.totals.kept, at));
            }
            _ => {
                let tally = self.close(entry, hash)?;
                let imgs = match &entry.record {
                    Record::Error(error) => error.ended.as_ref().map(|ended| ended.imgs),
                    _ => None,
                };
                return Some(tally.add_up(imgs.unwrap_or(tally.found), tally.cleaned.unwrap_or(tally.kept), at));
            }
        }
        None
    }

    fn close(&mut self, entry: &Entry, hash: &Name) -> Option<Tally> {
        self.open.remove(&(entry.run.clone(), hash.clone()))
    }
}

impl Tally {
    /// Whether there are lines for `imgs` images, `kept` of them kept, as the line `at` has it.
    fn add_up(self, imgs: u64, kept: u64, at: At) -> Result<(), Lack> {
        let counts =
            [("img_found", imgs, self.found), ("partition_check", imgs, self.checked), ("KEPT", kept, self.kept)];
        let odd: Vec<String> = counts
            .into_iter()
            .filter(|(_, should, is)| should != is)
            .map(|(what, should, is)| format!("{is} {what} lines instead of {should}"))
            .collect();
        if odd.is_empty() {
            return Ok(());
        }
        Err(Lack { at, what: odd.join(", "), kept: kept.saturating_sub(self.kept) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 8] = [
        r#"{"stage":"archive_start","hash":"h","run":"r"}"#,
        r#"{"stage":"img_found","hash":"h","img":"a","run":"r"}"#,
        r#"{"stage":"img_found","hash":"h","img":"b","run":"r"}"#,
        r#"{"stage":"partition_check","hash":"h","img":"a","action":"KEPT","run":"r"}"#,
        r#"{"stage":"warning","scope":"archive","hash":"h","run":"r"}"#,
        r#"{"stage":"partition_check","hash":"h","img":"b","action":"deleted","run":"r"}"#,
        r#"{"stage":"cleanup","hash":"h","kept_imgs":1,"run":"r"}"#,
        r#"{"stage":"archive_complete","hash":"h","imgs":2,"kept_imgs":1,"run":"r"}"#,
    ];

    fn tally(lines: &[&str]) -> Option<Result<(), Lack>> {
        let mut tallies = Tallies::default();
        let mut last = None;
        for (line, text) in (1..).zip(lines) {
            let entry = Entry::read(text).expect("a line").expect("a stage of ours");
            last = tallies.note(&entry, At { log: 0, line, length: text.len() });
        }
        assert!(tallies.open.is_empty());
        last
    }

    #[test]
    fn every_line_about_an_image_is_missed() {
        assert_eq!(tally(&LINES), Some(Ok(())));
        let failed = r#"{"stage":"error","scope":"archive","hash":"h","reason":"corrupt","run":"r"}"#;
        for (lost, line) in LINES.iter().enumerate().take(LINES.len() - 1) {
            let mut lines = LINES.to_vec();
            lines.remove(lost);
            let is_missed = matches!(tally(&lines), Some(Err(Lack { at: At { line: 7, .. }, .. })));
            assert_eq!(is_missed, [1, 2, 3, 5].contains(&lost), "{line}");
            *lines.last_mut().expect("lines") = failed;
            assert_eq!(matches!(tally(&lines), Some(Err(_))), [1, 2, 3, 5].contains(&lost), "{line}");
        }
        let Some(Err(lack)) = tally(&[&LINES[..3], &LINES[5..]].concat()) else { panic!("it adds up") };
        assert_eq!(
            (lack.kept, lack.what.as_str()),
            (1, "1 partition_check lines instead of 2, 0 KEPT lines instead of 1")
        );
    }
}
