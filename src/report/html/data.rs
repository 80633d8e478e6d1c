//! What the page's script draws from: the archives, compactly. Text that recurs is stored once and referred to by number;
//! what is usual is left out.

use std::cmp::Reverse;
use std::collections::HashMap;

use serde::Serialize;

use crate::account::{ArchiveAccount, ArchiveEnd, Problem};
use crate::log::Name;
use crate::log::record::{Partition, PartitionCheck};
use crate::reason::Told;
use crate::report::{ImageState, Report};

use super::need::Need;
use super::place::Span;
use super::verdict::Verdict;
use super::verified::Verified;
use super::words;

/// Archives that the page lists: those with errors, then those with partitions, before the others.
pub const ARCHIVES_MOST: usize = 20_000;
/// Images that it lists.
const IMAGES_MOST: usize = 40_000;
/// Partitions of an image that it lists, and of all images.
const PARTITIONS_MOST: usize = 256;
const ALL_PARTITIONS_MOST: usize = 200_000;
/// Warnings and errors of an archive that it lists, and of all.
const PROBLEMS_MOST: usize = 20;
const ALL_PROBLEMS_MOST: usize = 20_000;
/// Units in which places and lengths of partitions are given, in bytes: the largest that fits.
const UNITS: [u64; 3] = [1 << 20, 512, 1];

/// All of it.
#[derive(Debug, Serialize)]
pub struct Data {
    /// What the numbers of words stand for.
    words: Vec<String>,
    /// The runs, in the order of the account.
    runs: Vec<RunRow>,
    /// The archives.
    archives: Vec<ArchiveRow>,
    /// Archives that are not listed.
    #[serde(skip)]
    pub unlisted: u64,
    /// Images and partitions that are not listed of archives that are.
    #[serde(skip)]
    pub omitted: bool,
}

/// The number of a word, from 1; 0 for none.
type Word = usize;

#[derive(Debug, Serialize)]
struct RunRow {
    /// What it is called.
    title: String,
    /// When it began, in milliseconds since 1970.
    began: u64,
    /// Length of its axis in milliseconds.
    length: u64,
}

#[derive(Debug, Serialize)]
struct ArchiveRow {
    #[serde(rename = "h")]
    hash: String,
    /// The folder of `HASH.tar.zst`.
    #[serde(rename = "d", skip_serializing_if = "is_zero")]
    folder: Word,
    /// The path, where it is another.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Compressed bytes.
    #[serde(rename = "s")]
    size: u64,
    /// Bytes of the tar.
    #[serde(rename = "c", skip_serializing_if = "is_zero_bytes")]
    content: u64,
    #[serde(rename = "r", skip_serializing_if = "is_zero")]
    run: usize,
    #[serde(rename = "w", skip_serializing_if = "is_first")]
    worker: u32,
    /// When it was begun and how long it took, in milliseconds.
    #[serde(rename = "b", skip_serializing_if = "Option::is_none")]
    span: Option<[u64; 2]>,
    #[serde(rename = "v")]
    verdict: Word,
    #[serde(rename = "a", skip_serializing_if = "Need::is_nothing")]
    need: Need,
    /// The state of its last verification.
    #[serde(rename = "f", skip_serializing_if = "is_zero")]
    verification: Word,
    /// When that was, in milliseconds since 1970, and what it says.
    #[serde(rename = "ff", skip_serializing_if = "Option::is_none")]
    verified: Option<(u64, String)>,
    /// The error that ended it: its reason and its message.
    #[serde(rename = "e", skip_serializing_if = "Option::is_none")]
    error: Option<(Word, String)>,
    #[serde(rename = "n", skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<(Word, String)>,
    /// Warnings that are not listed.
    #[serde(rename = "nn", skip_serializing_if = "is_zero")]
    warnings_more: usize,
    #[serde(rename = "i", skip_serializing_if = "Vec::is_empty")]
    images: Vec<ImageRow>,
}

#[derive(Debug, Serialize)]
struct ImageRow {
    /// Its name, where it is not `HASH.img`.
    #[serde(rename = "n", skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(rename = "s")]
    size: u64,
    /// Where it stands, in a word.
    #[serde(rename = "o")]
    state: Word,
    /// The same in a sentence, where something went wrong with what was staged.
    #[serde(rename = "oo", skip_serializing_if = "is_zero")]
    story: Word,
    /// How many partitions it has; none if that is undecided.
    #[serde(rename = "c", skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(rename = "e", skip_serializing_if = "is_zero")]
    reason: Word,
    /// A sentence, where the partitions do not say all.
    #[serde(rename = "m", skip_serializing_if = "String::is_empty")]
    message: String,
    /// The folder of `HASH/NAME` in staging.
    #[serde(rename = "d", skip_serializing_if = "is_zero")]
    folder: Word,
    /// The path in staging, where it is another.
    #[serde(rename = "p", skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Room it takes or would take at most.
    #[serde(rename = "a", skip_serializing_if = "Option::is_none")]
    room: Option<u64>,
    /// 1 where every checksum held.
    #[serde(rename = "k", skip_serializing_if = "is_zero")]
    verified: usize,
    /// The kind of the table.
    #[serde(rename = "l", skip_serializing_if = "is_zero")]
    label: Word,
    #[serde(rename = "z", skip_serializing_if = "Option::is_none")]
    sector_size: Option<u64>,
    /// Which copy of a GPT was used, where it is not the primary.
    #[serde(rename = "g", skip_serializing_if = "is_zero")]
    copy: Word,
    /// 1 where the table is damaged.
    #[serde(rename = "x", skip_serializing_if = "is_zero")]
    damaged: usize,
    /// What is on the whole disk, and its label.
    #[serde(rename = "f", skip_serializing_if = "is_zero")]
    fs: Word,
    #[serde(rename = "fl", skip_serializing_if = "is_zero")]
    fs_label: Word,
    /// How much of the medium was read, in percent.
    #[serde(rename = "q", skip_serializing_if = "Option::is_none")]
    rescued: Option<f64>,
    /// What of it was not: start and length in bytes, in turn.
    #[serde(rename = "y", skip_serializing_if = "Vec::is_empty")]
    unread: Vec<u64>,
    /// The unit of places and lengths in `partitions`, in bytes, where it is not the largest.
    #[serde(rename = "u", skip_serializing_if = "Option::is_none")]
    unit: Option<u64>,
    /// Of each partition, in turn: number, start, length, and the words for type, name, kind, file system and its label.
    #[serde(rename = "t", skip_serializing_if = "Vec::is_empty")]
    partitions: Vec<u64>,
    /// Partitions that are not listed.
    #[serde(rename = "tt", skip_serializing_if = "is_zero")]
    partitions_more: usize,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_zero_bytes(bytes: &u64) -> bool {
    *bytes == 0
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn is_first(worker: &u32) -> bool {
    *worker == 0
}

/// The data of a report. `lengths` has the length of each run's axis.
pub fn of(
    report: &Report,
    verified: &Verified<'_>,
    spans: &[Option<Span>],
    verdicts: &[Verdict],
    lengths: &[u64],
) -> Data {
    let account = &report.account;
    let mut maker = Maker::default();
    let runs = account.runs.iter().zip(lengths).map(|(run, &length)| RunRow {
        title: words::run_title(run),
        began: run.began.map_or(0, |began| super::place::since(std::time::UNIX_EPOCH, began)),
        length,
    });
    let need = |index: usize| {
        let archive = &account.archives[index];
        Need::of(archive, &report.states[index], verified.state(&archive.hash))
    };
    let needs: Vec<Need> = (0..account.archives.len()).map(need).collect();
    let listed = listed(&needs, verdicts);
    let row = |&index: &usize| {
        let (archive, states) = (&account.archives[index], &report.states[index]);
        let row = maker.archive(archive, states, spans[index], verdicts[index]);
        let (verification, verified) = match verified.of.get(&archive.hash) {
            None => (0, None),
            Some((verification, state)) => {
                let time = verification.time.map_or(0, |time| super::place::since(std::time::UNIX_EPOCH, time));
                let message = words::sentence(verification.record.message.as_deref().unwrap_or_default());
                (maker.word(state), Some((time, message)))
            }
        };
        ArchiveRow { need: needs[index], verification, verified, ..row }
    };
    let archives: Vec<ArchiveRow> = listed.iter().map(row).collect();
    Data {
        runs: runs.collect(),
        unlisted: (account.archives.len() - archives.len()) as u64,
        archives,
        omitted: maker.omitted || account.images_more > 0,
        words: maker.words,
    }
}

/// The archives that are listed, in the order in which they were begun.
fn listed(needs: &[Need], verdicts: &[Verdict]) -> Vec<usize> {
    let rank = |verdict: Verdict| match verdict {
        Verdict::Undecided | Verdict::Open => 0,
        Verdict::Multi => 1,
        Verdict::Single => 2,
        Verdict::None | Verdict::NoImage => 3,
    };
    let mut indices: Vec<usize> = (0..verdicts.len()).collect();
    if indices.len() > ARCHIVES_MOST {
        indices.sort_by_key(|&index| (needs[index], rank(verdicts[index]), Reverse(index)));
        indices.truncate(ARCHIVES_MOST);
        indices.sort_unstable();
    }
    indices
}

#[derive(Default)]
struct Maker {
    words: Vec<String>,
    numbers: HashMap<String, Word>,
    images: usize,
    partitions: usize,
    problems: usize,
    omitted: bool,
}

impl Maker {
    fn word(&mut self, text: &str) -> Word {
        if text.is_empty() {
            return 0;
        }
        if let Some(&number) = self.numbers.get(text) {
            return number;
        }
        self.words.push(text.to_owned());
        self.numbers.insert(text.to_owned(), self.words.len());
        self.words.len()
    }

    /// The word for a text of the log.
    fn told(&mut self, text: Option<&str>) -> Word {
        text.map_or(0, |text| self.word(&words::name(text.as_bytes())))
    }

    fn archive(
        &mut self,
        archive: &ArchiveAccount,
        states: &[ImageState],
        span: Option<Span>,
        verdict: Verdict,
    ) -> ArchiveRow {
        let hash = words::name(archive.hash.bytes());
        let (folder, path) = self.path(archive.path.as_ref(), &format!("{hash}.tar.zst"));
        let error = match &archive.end {
            ArchiveEnd::Failed(problem) => Some(self.problem(problem)),
            _ => None,
        };
        let content = match &archive.end {
            ArchiveEnd::Complete { totals, .. } => totals.content_bytes,
            _ => 0,
        };
        let room = ALL_PROBLEMS_MOST.saturating_sub(self.problems).min(PROBLEMS_MOST);
        let warnings: Vec<_> = archive.warnings.iter().take(room).map(|problem| self.problem(problem)).collect();
        self.problems += warnings.len();
        let room = IMAGES_MOST.saturating_sub(self.images).min(archive.images.len());
        self.images += room;
        self.omitted |= room < archive.images.len();
        ArchiveRow {
            folder,
            path,
            size: archive.size,
            content,
            run: archive.run,
            worker: archive.worker,
            span: span.map(|span| [span.start, span.end - span.start]),
            verdict: self.word(verdict.class()),
            need: Need::Nothing,
            verification: 0,
            verified: None,
            error,
            warnings_more: archive.warnings.len() - warnings.len(),
            warnings,
            images: archive.images[..room]
                .iter()
                .zip(states)
                .map(|(image, state)| self.image(image, state, &hash))
                .collect(),
            hash,
        }
    }

    fn problem(&mut self, problem: &Problem) -> (Word, String) {
        (self.told(Some(&problem.reason)), words::sentence(&problem.message))
    }

    /// A path as the word for a folder, where what follows is as expected, or else as it is.
    fn path(&mut self, path: Option<&Name>, expected: &str) -> (Word, Option<String>) {
        let Some(path) = path else { return (0, None) };
        let text = crate::sanitize::printable_short(path.bytes(), words::SENTENCE_MOST);
        match text.strip_suffix(expected).and_then(|folder| folder.strip_suffix('/')) {
            Some("") | None => (0, Some(text)),
            Some(folder) => (self.word(folder), None),
        }
    }

    fn image(&mut self, image: &PartitionCheck, state: &ImageState, hash: &str) -> ImageRow {
        let name = words::name(image.image.img.bytes());
        let (folder, path) = self.path(image.path.as_ref(), &format!("{hash}/{name}"));
        let room =
            ALL_PARTITIONS_MOST.saturating_sub(self.partitions).min(PARTITIONS_MOST).min(image.partitions().len());
        self.partitions += room;
        let partitions_more = image.partitions().len() - room;
        self.omitted |= partitions_more > 0;
        let listed = &image.partitions()[..room];
        let unit = unit(listed);
        // What only counts partitions that are listed below says nothing new.
        let says_more =
            image.partitions.is_none() || listed.is_empty() || matches!(&*image.action, "error" | "deferred");
        let message = image.message.as_deref().unwrap_or(image.found());
        let is_lost = image.action == "KEPT" && !state.is_as_it_should_be();
        let table = image.table.clone().unwrap_or_default();
        let whole_disk = table.whole_disk.unwrap_or_default();
        ImageRow {
            name: (name != format!("{hash}.img")).then_some(name),
            size: image.size(),
            state: self.word(state.as_str()),
            story: if is_lost { self.word(&words::sentence(&state.in_words())) } else { 0 },
            count: image.partitions,
            reason: self.told(image.reason.as_ref().map(Told::as_str)),
            message: if says_more { words::sentence(message) } else { String::new() },
            folder,
            path,
            room: image.room(),
            verified: usize::from(image.verified == Some(Some(true))),
            label: self.told(table.label.as_deref()),
            sector_size: table.sector_size.filter(|&size| size != 512),
            copy: self.told(table.gpt_copy.as_deref().filter(|&copy| copy != "primary")),
            damaged: usize::from(table.damaged),
            fs: self.told(Some(&whole_disk.fs)),
            fs_label: self.told(whole_disk.fs_label.as_deref()),
            rescued: image.rescued_pct.filter(|percent| percent.is_finite()),
            unread: image
                .unread_areas
                .iter()
                .flatten()
                .take(PARTITIONS_MOST)
                .flat_map(|&(start, length)| [start, length])
                .collect(),
            unit: (unit != UNITS[0] && !listed.is_empty()).then_some(unit),
            partitions: listed.iter().flat_map(|partition| self.partition(partition, unit)).collect(),
            partitions_more,
        }
    }

    fn partition(&mut self, partition: &Partition, unit: u64) -> [u64; 8] {
        let mut word = |text: Option<&str>| self.told(text) as u64;
        [
            u64::from(partition.number),
            partition.start_bytes / unit,
            partition.size_bytes / unit,
            word(partition.type_id.as_deref()),
            word(partition.name.as_deref()),
            word(Some(&partition.kind)),
            word(partition.fs.as_deref()),
            word(partition.fs_label.as_deref()),
        ]
    }
}

fn unit(partitions: &[Partition]) -> u64 {
    let fits = |unit: u64| {
        let is_whole = |bytes: u64| bytes.is_multiple_of(unit);
        partitions.iter().all(|partition| is_whole(partition.start_bytes) && is_whole(partition.size_bytes))
    };
    UNITS.into_iter().find(|&unit| fits(unit)).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::Selection;

    #[test]
    fn of_too_many_archives_those_that_matter_are_listed() {
        let mut verdicts = vec![Verdict::None; ARCHIVES_MOST];
        let mut needs = vec![Need::Nothing; ARCHIVES_MOST];
        assert_eq!(listed(&needs, &verdicts).len(), ARCHIVES_MOST);
        verdicts.extend([Verdict::Single, Verdict::None, Verdict::Multi]);
        needs.extend([Need::Nothing, Need::Mending, Need::Nothing]);
        let listed = listed(&needs, &verdicts);
        assert_eq!(listed.len(), ARCHIVES_MOST);
        assert_eq!(
            listed[listed.len() - 4..],
            [ARCHIVES_MOST - 1, ARCHIVES_MOST, ARCHIVES_MOST + 1, ARCHIVES_MOST + 2]
        );
        assert!(listed.is_sorted());
    }

    #[test]
    fn places_are_told_in_the_largest_unit_that_fits() {
        let of = |start, size| [Partition { start_bytes: start, size_bytes: size, ..Partition::default() }];
        assert_eq!(unit(&of(1 << 20, 5 << 20)), 1 << 20);
        assert_eq!(unit(&of(63 * 512, 1 << 20)), 512);
        assert_eq!(unit(&of(63 * 512, 7)), 1);
    }

    #[test]
    fn a_hostile_account_makes_a_bounded_page() {
        let image = PartitionCheck {
            partition_list: Some(vec![Partition { name: Some("n".repeat(100_000)), ..Partition::default() }; 1024]),
            message: Some("m".repeat(1_000_000)),
            ..PartitionCheck::default()
        };
        let problem = Problem {
            time: None,
            reason: "r".to_owned(),
            message: "m".repeat(1_000_000),
            path: None,
            totals: None,
            left_out: Vec::new(),
        };
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("log.jsonl");
        let line = format!("{{\"stage\":\"archive_start\",\"hash\":\"{}\"}}\n", "h".repeat(16 << 10));
        std::fs::write(&path, line).expect("a log");
        let mut report =
            Report::read(&crate::log::Logs::open(&[path], false).expect("a log"), &Selection::All).expect("a run");
        report.states[0] = vec![ImageState::Error; 20];
        let archive = &mut report.account.archives[0];
        archive.size = u64::MAX;
        archive.images = vec![image; 20];
        archive.warnings = vec![problem; 200];
        let verified = Verified::of(&report);
        let data = of(&report, &verified, &[None], &[Verdict::Open], &[1]);
        let text = serde_json::to_string(&data).expect("JSON");
        assert!(data.omitted && text.len() < 1_000_000, "{}", text.len());
    }
}
