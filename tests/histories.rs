//! Images with a history: real tools format, partition, fill, wipe, overwrite, cut, grow and rescue a medium, one after
//! the other, as a seed says; then imgsieve and everybody else say what is on it.
//!
//! What is right is known from the history, not from a program that reads tables. Each tool's structures are noted as it
//! writes them: which partitions, and the bytes that make the table or the file system one. In the end those bytes are
//! there or they are not, whatever came after. [`truth`] makes an answer of that:
//!
//! | what is left | what is right |
//! |---|---|
//! | a table as Linux reads it: an MBR's entries in LBA 0, a GPT copy behind its protective MBR, a label where it belongs | the newest such table, cut short or not, whatever else is on the disk; of an older MBR or GPT beside another label, either, for Linux reads those first |
//! | the same, and a link of its chain or an entry of its map is lost | two partitions or more of it; if fewer are left, undecidable; none too where a file system was made since |
//! | the same of fewer than two partitions, in a boot sector of FAT, exFAT or NTFS that stands, or an Apple map behind 0x55AA | one or none: Linux and libblkid disagree, and nobody loses |
//! | the same of no partition | none, or another table that stands; an MBR without entries says nothing at all |
//! | a protective MBR, and neither copy | the GPT or a part of it, another GPT that stands, or undecidable; none where it was removed on purpose |
//! | no table in front, and a file system's superblock, newer than all that is left of tables | none; a primary GPT whose checksums hold may count |
//! | a primary GPT, a backup GPT at the end, or an Apple map, and nothing in front that says so | the newest of these, or an older one; where a file system was made since and is damaged, or an older one stands beside a backup, none and undecidable too; where another table was made since and is lost, undecidable too |
//! | a part of a table of the kinds that may be told by a part | the table, none or undecidable |
//! | nothing | none |
//! | a rescue map beside the image | what was on the medium before; what the image says if that is two or more; undecidable, where a sector was not read on which a verdict may rest. A table of two or more that is all there is no matter of doubt |
//!
//! 200 images are made; 2,000, or those of other seeds, with `IMGSIEVE_HISTORIES=2000` or `2000..4000`. `--nocapture` shows
//! the score. Where imgsieve is not right, or somebody says something else, `histories/disagreements.tsv` says who is right
//! and why; what is not listed there, or is listed and not so, fails. `IMGSIEVE_HISTORY=17` tells the history of the seed
//! 17 and keeps its image.

#![cfg(feature = "oracles")]

mod common;
#[path = "histories/medium.rs"]
mod medium;
mod peers;
#[path = "histories/step.rs"]
mod step;
#[path = "histories/table.rs"]
mod table;
#[path = "histories/truth.rs"]
mod truth;
#[path = "histories/volume.rs"]
mod volume;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use imgsieve::inspect::{self, Inspection};
use imgsieve::zst::{Engine, Meter};
use rayon::prelude::*;
use tempfile::TempDir;

use medium::Medium;
use peers::answer::Answer;
use peers::listed::{Disagreement, List, MADE};
use peers::score::{OURS, Score};
use peers::{PEERS, Says};
use step::Step;
use truth::Truth;

const DISAGREEMENTS: &str = include_str!("histories/disagreements.tsv");
/// Images that are made if nobody says otherwise.
const USUAL: u64 = 200;
/// Images of which the list has everything.
const ALL: u64 = 2000;

/// What was found in one image.
struct Seen {
    seed: u64,
    lines: Vec<String>,
    truth: Truth,
    ours: Answer,
    theirs: Vec<Says>,
}

/// A folder in memory where there is one: the tools sync what they write.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.expect("a temporary folder")
}

/// Makes a medium in a folder.
fn made(folder: &Path, size: u64, steps: &[Step]) -> Medium {
    let mut medium = Medium::new(folder.join("disk.img"), size);
    for step in steps {
        step.apply(&mut medium);
    }
    medium
}

fn right(medium: &Medium) -> Truth {
    match &medium.map {
        Some((_, before)) => truth::of_rescue(medium, before),
        None => truth::of(medium),
    }
}

/// What we say: of an image with a map, in an archive of the two.
fn ours(medium: &Medium) -> Answer {
    let Some((map, _)) = &medium.map else { return Answer::of(&medium.path) };
    let archive = medium.folder().join("disk.tar.zst");
    std::fs::copy(map, medium.folder().join("disk.map")).expect("a copy");
    let mut tar = Command::new("tar");
    tar.args(["--use-compress-program", "zstd -1 -q", "--sparse", "-cf"]).arg(&archive).arg("-C").arg(medium.folder());
    let status = tar.args(["disk.img", "disk.map"]).status().expect("tar: install the Debian package tar");
    assert_eq!(status.code(), Some(0));
    let options = inspect::Options {
        image_suffix: ".img".parse().expect("a suffix"),
        max_window: 1 << 27,
        engine: Engine::Auto,
        deep_fs: false,
        meter: Arc::new(Meter::default()),
    };
    let report = Inspection::of(&archive, &options);
    assert!(report.error.is_none() && report.warnings.is_empty(), "{:?} {:?}", report.error, report.warnings);
    let [image] = &report.images[..] else { panic!("{} images", report.images.len()) };
    Answer::found(&image.finding)
}

fn see(seed: u64) -> Seen {
    let folder = folder();
    let (size, steps) = step::history(seed);
    let medium = made(folder.path(), size, &steps);
    let truth = right(&medium);
    let ours = ours(&medium);
    let theirs = PEERS.iter().map(|peer| peer.ask(&medium.path)).collect();
    Seen { seed, lines: medium.lines.clone(), truth, ours, theirs }
}

impl Seen {
    fn is_right(&self) -> bool {
        self.truth.expected.allows(&self.ours)
    }

    fn words(&self) -> (String, String) {
        (self.truth.expected.answer.word(), self.ours.word())
    }

    /// What it is called in the list.
    fn name(&self) -> String {
        let label = self.truth.expected.answer.label.as_deref().unwrap_or("-");
        format!("seed-{} {label}, {}", self.seed, self.truth.rule)
    }

    fn disagreements(&self) -> Vec<Disagreement> {
        Disagreement::all(&self.name(), &self.truth.expected, &self.ours, &self.theirs)
    }

    /// The shortest part of the history that has the same end.
    fn shortest(&self) -> Vec<String> {
        let (size, mut steps) = step::history(self.seed);
        let mut lines = self.lines.clone();
        let mut index = 0;
        while index < steps.len() {
            let fewer = [&steps[..index], &steps[index + 1..]].concat();
            let folder = folder();
            let medium = made(folder.path(), size, &fewer);
            let (truth, ours) = (right(&medium), ours(&medium));
            let fewer_seen = Seen { seed: self.seed, lines: medium.lines.clone(), truth, ours, theirs: Vec::new() };
            if !fewer_seen.is_right() && fewer_seen.words() == self.words() {
                steps = fewer;
                lines.clone_from(&medium.lines);
            } else {
                index += 1;
            }
        }
        lines
    }

    /// All that is known of it.
    fn tell(&self) -> String {
        let says = |partitions: &Option<Vec<peers::Extent>>| {
            partitions.as_ref().map_or("undecidable".to_owned(), |partitions| format!("{partitions:?}"))
        };
        let label = |label: &Option<String>| label.clone().unwrap_or("-".to_owned());
        let expected = &self.truth.expected;
        let mut lines = vec![format!("seed-{}", self.seed), format!("by the rule: {}", self.truth.rule)];
        let answers = [&expected.answer].into_iter().chain(&expected.or);
        lines.extend(answers.map(|answer| format!("right: {} {}", label(&answer.label), says(&answer.partitions))));
        let may =
            [(expected.in_part, "a part of it"), (expected.or_none, "none"), (expected.or_undecidable, "undecidable")];
        lines.extend(may.iter().filter(|(may, _)| *may).map(|(_, what)| format!("right: {what}")));
        lines.push(format!("{OURS}: {} {}", label(&self.ours.label), says(&self.ours.partitions)));
        lines.extend(PEERS.iter().zip(&self.theirs).map(|(peer, theirs)| match theirs {
            Says::Label(named) => format!("{}: {}", peer.name, label(named)),
            Says::Partitions(partitions) => format!("{}: {partitions:?}", peer.name),
        }));
        lines.join("\n  ") + "\n"
    }
}

/// Tells a history and keeps its image.
fn keep(seed: u64) {
    let folder = folder();
    let (size, steps) = step::history(seed);
    let medium = made(folder.path(), size, &steps);
    let (truth, ours) = (right(&medium), ours(&medium));
    let copy = folder.path().join("asked");
    std::fs::copy(&medium.path, &copy).expect("a copy");
    let theirs = PEERS.iter().map(|peer| peer.ask(&copy)).collect();
    std::fs::remove_file(&copy).expect("it is there");
    let kept = Seen { seed, lines: medium.lines.clone(), truth, ours, theirs };
    println!("{}\n{}the image is kept: {}", medium.lines.join("\n"), kept.tell(), medium.path.display());
    if !kept.is_right() {
        println!("the shortest part of the history with that end:\n{}", kept.shortest().join("\n"));
    }
    let _ = folder.keep();
}

#[test]
fn what_happened_to_a_medium_says_what_is_on_it() {
    let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("{text} is no number"));
    if let Ok(seed) = std::env::var("IMGSIEVE_HISTORY") {
        return keep(number(&seed));
    }
    let seeds = match std::env::var("IMGSIEVE_HISTORIES") {
        Ok(text) => text.split_once("..").map_or_else(|| 0..number(&text), |(from, to)| number(from)..number(to)),
        Err(_) => 0..USUAL,
    };
    // More than there are processors: sgdisk sleeps a second.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(16).build().expect("threads");
    let seen: Vec<Seen> = pool.install(|| seeds.clone().into_par_iter().map(see).collect());

    let mut score = Score::default();
    for seen in &seen {
        score.add(seen.truth.rule, &seen.truth.expected, &seen.ours, &seen.theirs);
    }
    println!("{score}");

    let list = List::read(DISAGREEMENTS);
    let found: Vec<(&Seen, Disagreement)> =
        seen.iter().flat_map(|seen| seen.disagreements().into_iter().map(move |found| (seen, found))).collect();
    let tell = |(seen, found): &(&Seen, Disagreement)| match found.peer {
        MADE => {
            let history = seen.shortest().join("\n    ");
            format!("unlisted: {found}\n{}  shortest history:\n    {history}", seen.tell())
        }
        _ => format!("unlisted: {found}"),
    };
    let unlisted: Vec<_> = found.iter().filter(|(_, found)| !list.has(found)).collect();
    let told: Vec<String> = pool.install(|| unlisted.into_par_iter().map(tell).collect());
    // Fewer images do not have all that the rows for any image stand for.
    let is_due = |image: &str| match image.strip_prefix("seed-").and_then(|rest| rest.split(' ').next()) {
        Some(number) => seeds.contains(&number.parse().unwrap_or_else(|_| panic!("disagreements.tsv: {image}"))),
        None => seeds == (0..ALL),
    };
    let complaints = [told, list.complaints(is_due)].concat();
    let strict = seen.iter().filter(|seen| seen.truth.expected.is_strict()).count();
    println!("{} images, {strict} of which leave no choice; {} disagreements", seen.len(), found.len());
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));

    let [us, them @ ..] = &score.totals()[..] else { panic!("nobody was asked") };
    assert_eq!(us.missed_multi, 0, "a missed image is lost work");
    let is_best = us.false_multi == 0 || them.iter().all(|peer| us.false_multi < peer.false_multi);
    assert!(is_best, "{} times two or more where there are fewer", us.false_multi);
}
