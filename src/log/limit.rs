//! How much may be written: what an archive says is bounded, however many images it has and however they are named.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

use crate::reason::Reason;

use super::name::Name;
use super::read::LINE_LIMIT;
use super::record::{ImageId, Problem, Record};

/// Bytes that one archive may write in full.
pub const ARCHIVE_MOST: usize = 8 << 20;
/// Bytes of a line that is written in full; a reader takes twice as many.
const LINE_MOST: usize = LINE_LIMIT / 2;
/// Bytes of a name in a short line: no file has a longer one.
const NAME_SHORT: usize = 255;
/// Bytes of a sentence in a short line.
const SENTENCE_SHORT: usize = 200;
/// Elements of a list in a short line.
const LIST_SHORT: usize = 64;

/// What the archives wrote that are being read.
#[derive(Default)]
pub struct Limits {
    archives: HashMap<Name, Spent>,
    hasher: RandomState,
}

#[derive(Default)]
struct Spent {
    bytes: usize,
    is_full: bool,
    /// Lines that were written short.
    shortened: u64,
    /// Warnings and errors that were not written.
    dropped: u64,
    /// Images with long names that were told whole, and whose verdict is still to come: it has the same names.
    whole: HashSet<u64>,
}

/// What to write.
pub enum Fit {
    /// The line as it is.
    Whole,
    /// This instead.
    Short(Box<Record>),
    /// Nothing: it is counted.
    Dropped,
}

impl Limits {
    /// What is written of `record`, whose line has `length` bytes.
    pub fn fit(&mut self, record: &Record, length: usize) -> Fit {
        if let Record::ArchiveStart(start) = record {
            self.archives.insert(start.hash.clone(), Spent::default());
        }
        let Some(spent) = record.hash().and_then(|hash| self.archives.get_mut(hash)) else {
            return if length > LINE_MOST { Fit::Short(Box::new(short(record, false))) } else { Fit::Whole };
        };
        let image = match record {
            Record::ImgFound(found) => Some(&found.image),
            Record::Deferred(deferred) => Some(&deferred.image),
            Record::PartitionCheck(check) => Some(&check.image),
            _ => None,
        };
        let key = image.filter(|image| has_long_name(image)).map(|image| {
            self.hasher.hash_one((image.img.bytes(), image.member.as_ref().map(Name::bytes), image.ordinal))
        });
        let is_end = matches!(record, Record::Cleanup(_) | Record::ArchiveComplete(_))
            || matches!(record, Record::Error(error) if error.scope == "archive");
        spent.is_full |= spent.bytes.saturating_add(length) > ARCHIVE_MOST;
        let is_whole = is_end || !spent.is_full && length <= LINE_MOST;
        let keeps_names = match record {
            Record::ImgFound(_) if is_whole => key.is_none_or(|key| spent.whole.insert(key)),
            Record::PartitionCheck(_) => key.is_none_or(|key| spent.whole.remove(&key)),
            _ => key.is_none_or(|key| spent.whole.contains(&key)),
        };
        if is_whole && keeps_names {
            spent.bytes += length;
            return Fit::Whole;
        }
        if matches!(record, Record::Warning(_) | Record::Error(_)) {
            spent.dropped += 1;
            return Fit::Dropped;
        }
        spent.shortened += 1;
        Fit::Short(Box::new(short(record, keeps_names)))
    }

    /// What is still to be written once `record` has ended its archive: the count of what was left out.
    pub fn close(&mut self, record: &Record) -> Option<Record> {
        let Record::Cleanup(cleanup) = record else { return None };
        let Spent { shortened, dropped, .. } = self.archives.remove(&cleanup.hash)?;
        if shortened + dropped == 0 {
            return None;
        }
        let message = format!(
            "its log would exceed {} MiB: {shortened} lines were shortened, {dropped} warnings and errors left out",
            ARCHIVE_MOST >> 20
        );
        Some(Record::Warning(Box::new(Problem {
            scope: "archive".to_owned(),
            hash: Some(cleanup.hash.clone()),
            reason: Some(Reason::LogLimit.into()),
            message,
            ..Problem::default()
        })))
    }
}

fn has_long_name(image: &ImageId) -> bool {
    image.img.bytes().len() > NAME_SHORT || image.member.as_ref().is_some_and(|name| name.bytes().len() > NAME_SHORT)
}

/// The same in few bytes: names end in their hashes, unless `keeps_names`; sentences are cut, and lists left out.
fn short(record: &Record, keeps_names: bool) -> Record {
    let cut_names = |image: &mut ImageId| {
        if !keeps_names {
            image.img = image.img.shortened(NAME_SHORT).into_owned();
            image.member = image.member.as_ref().map(|name| name.shortened(NAME_SHORT).into_owned());
        }
    };
    let mut record = record.clone();
    match &mut record {
        Record::ImgFound(found) => cut_names(&mut found.image),
        Record::Deferred(deferred) => {
            cut_names(&mut deferred.image);
            cut(&mut deferred.message);
        }
        Record::PartitionCheck(check) => {
            cut_names(&mut check.image);
            check.message.iter_mut().chain(&mut check.found).for_each(cut);
            (check.table, check.partition_list, check.unread_areas) = (None, None, None);
        }
        Record::Warning(problem) | Record::Error(problem) => cut(&mut problem.message),
        Record::Abort(abort) => cut(&mut abort.message),
        Record::ScriptStart(start) => {
            start.skipped.truncate(LIST_SHORT);
            (start.options, start.options_bytes) = (None, None);
            start.resumed_runs.iter_mut().for_each(|runs| runs.truncate(LIST_SHORT));
        }
        Record::ReprocessStart(start) => {
            start.command.truncate(LIST_SHORT);
            start.command.iter_mut().for_each(cut);
            start.command_bytes = None;
        }
        _ => {}
    }
    record
}

fn cut(sentence: &mut String) {
    if sentence.len() > SENTENCE_SHORT {
        sentence.truncate(sentence.floor_char_boundary(SENTENCE_SHORT));
        sentence.push('…');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::record::{ArchiveStart, Cleanup, ImgFound, PartitionCheck, Table};

    fn name(byte: u8, length: usize) -> Name {
        Name::new(&vec![byte; length])
    }

    fn line(record: &Record) -> String {
        serde_json::to_string(record).expect("JSON")
    }

    /// What is written of `record`.
    fn written(limits: &mut Limits, record: Record) -> Option<Record> {
        match limits.fit(&record, line(&record).len()) {
            Fit::Whole => Some(record),
            Fit::Short(short) => Some(*short),
            Fit::Dropped => None,
        }
    }

    #[test]
    fn what_an_archive_writes_is_bounded_and_each_image_has_one_verdict_of_its_name() {
        let hash = name(b'h', 32);
        let mut limits = Limits::default();
        let start = ArchiveStart { hash: hash.clone(), ..ArchiveStart::default() };
        written(&mut limits, Record::ArchiveStart(Box::new(start)));
        let (mut bytes, mut longest) = (0, 0);
        let mut found: Vec<ImageId> = Vec::new();
        let mut checked: Vec<ImageId> = Vec::new();
        let images: Vec<ImageId> = (0..10_000)
            .map(|number| ImageId {
                hash: hash.clone(),
                img: Name::new(format!("{number}{}", "\x1b".repeat(4000)).as_bytes()),
                member: Some(Name::new(format!("m/{number}{}", "n".repeat(4000)).as_bytes())),
                ordinal: None,
            })
            .collect();
        // Verdicts may come long after the images were found.
        for (number, image) in images.iter().enumerate().chain(std::iter::repeat_n((10_000, &images[0]), 200)) {
            if number < images.len() {
                let record = ImgFound { image: image.clone(), ..ImgFound::default() };
                if let Some(Record::ImgFound(record)) = written(&mut limits, Record::ImgFound(Box::new(record))) {
                    bytes += line(&Record::ImgFound(record.clone())).len();
                    found.push(record.image);
                }
            }
            let Some(image) =
                images.get(checked.len()).filter(|_| found.len() > 200 + checked.len() || number == 10_000)
            else {
                continue;
            };
            let check = PartitionCheck {
                image: image.clone(),
                action: "deleted".to_owned(),
                message: Some("m".repeat(10_000)),
                table: Some(Table::default()),
                ..PartitionCheck::default()
            };
            if let Some(Record::PartitionCheck(check)) = written(&mut limits, Record::PartitionCheck(Box::new(check))) {
                let length = line(&Record::PartitionCheck(check.clone())).len();
                (bytes, longest) = (bytes + length, longest.max(length));
                checked.push(check.image);
            }
        }
        assert_eq!((found.len(), &found), (10_000, &checked));
        assert!(bytes < 7 * ARCHIVE_MOST && longest < LINE_MOST, "{bytes} {longest}");
        let problem = Problem { scope: "image".to_owned(), hash: Some(hash.clone()), ..Problem::default() };
        assert_eq!(written(&mut limits, Record::Error(Box::new(problem))), None);
        let end = Record::Cleanup(Box::new(Cleanup { hash, ..Cleanup::default() }));
        assert!(matches!(limits.close(&end), Some(Record::Warning(told)) if told.message.contains("1 warnings")));
        assert!(limits.close(&end).is_none());
    }

    #[test]
    fn a_line_about_no_archive_is_bounded_too() {
        let message = "é".repeat(LINE_MOST);
        let problem = Problem { scope: "run".to_owned(), message, ..Problem::default() };
        let written = written(&mut Limits::default(), Record::Error(Box::new(problem))).expect("a line");
        assert!(line(&written).len() < 1000);
    }
}
