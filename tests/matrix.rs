//! Every kind of table by every layout, sector size and damage, and what is no table at all: made with the tools that
//! make them, read by imgsieve and by everybody else.
//!
//! What an image was made to be decides who is right. Where somebody else says something else than imgsieve,
//! `matrix/disagreements.tsv` says who is right and why; what is not listed there, or is listed and not so, fails.
//! `--nocapture` shows the score. Every image goes through an archive too with `IMGSIEVE_TABLES=all`, else some of them.

#![cfg(feature = "oracles")]

mod common;
#[path = "matrix/damage.rs"]
mod damage;
#[path = "matrix/made.rs"]
mod made;
mod peers;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use imgsieve::inspect::{self, Inspection};
use imgsieve::zst::{Engine, Meter};
use rayon::prelude::*;
use serde_json::{Map, Value};
use tempfile::TempDir;

use made::Spec;
use peers::answer::Answer;
use peers::expected::Expected;
use peers::listed::{Disagreement, List, is_match};
use peers::score::Score;
use peers::{PEERS, Says};

const DISAGREEMENTS: &str = include_str!("matrix/disagreements.tsv");

/// What was found in one image.
struct Seen {
    spec: Spec,
    expected: Expected,
    ours: Answer,
    theirs: Vec<Says>,
}

fn expected(spec: &Spec) -> Expected {
    match spec.damage {
        Some(damage) => damage.expected(spec),
        None => Expected::exactly(spec.label, spec.partitions.clone()),
    }
}

/// A folder in memory where there is one: the tools sync what they write.
fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
    folder.expect("a temporary folder")
}

fn see(spec: Spec) -> Seen {
    let folder = folder();
    let path = folder.path().join("image");
    spec.make(&path);
    let ours = Answer::of(&path);
    let theirs = PEERS.iter().map(|peer| peer.ask(&path)).collect();
    Seen { expected: expected(&spec), ours, theirs, spec }
}

impl Seen {
    fn disagreements(&self) -> Vec<Disagreement> {
        Disagreement::all(&self.spec.name, &self.expected, &self.ours, &self.theirs)
    }

    fn score(&self, score: &mut Score) {
        let damaged = if self.spec.damage.is_some() { ", damaged" } else { "" };
        let group = format!("{}{damaged}", self.spec.group);
        score.add(&group, &self.expected, &self.ours, &self.theirs);
    }
}

#[test]
fn every_table_is_read_as_it_was_made_and_whoever_says_otherwise_is_listed() {
    // More than there are processors: sgdisk sleeps a second.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(8).build().expect("threads");
    let seen: Vec<Seen> = pool.install(|| made::all().into_par_iter().map(see).collect());
    let mut score = Score::default();
    for seen in &seen {
        seen.score(&mut score);
    }
    println!("{score}");

    let list = List::read(DISAGREEMENTS);
    let mut found: Vec<Disagreement> = seen.iter().flat_map(Seen::disagreements).collect();
    found.sort();
    let unlisted: Vec<String> =
        found.iter().filter(|found| !list.has(found)).map(|found| format!("unlisted: {found}")).collect();
    let complaints = [unlisted, list.complaints(|_| true)].concat();
    println!("{} images, {} disagreements", seen.len(), found.len());
    let names: BTreeSet<&str> = seen.iter().map(|seen| seen.spec.name.as_str()).collect();
    assert_eq!(names.len(), seen.len(), "two images of a name");
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// What `inspect` says of the one image in a file.
fn inspected(path: &Path, engine: Engine) -> Map<String, Value> {
    let options = inspect::Options {
        image_suffix: ".img".parse().expect("a suffix"),
        max_window: 1 << 27,
        engine,
        deep_fs: true,
        meter: Arc::new(Meter::default()),
    };
    let report = Inspection::of(path, &options);
    assert!(report.error.is_none(), "{}: {:?}", path.display(), report.error);
    let json = report.to_json(false);
    let images = json["images"].as_array().expect("a list");
    let [Value::Object(image)] = &images[..] else { panic!("{}: {} images", path.display(), images.len()) };
    // Its name is the file's, or the member's.
    image.clone().into_iter().filter(|(key, _)| key != "img").collect()
}

#[test]
fn an_image_in_an_archive_has_the_verdict_of_the_plain_one() {
    let is_whole = std::env::var("IMGSIEVE_TABLES").is_ok_and(|value| value == "all");
    let specs: Vec<Spec> =
        made::all().into_iter().enumerate().filter(|(n, _)| is_whole || n % 7 == 0).map(|(_, s)| s).collect();
    let labels: BTreeSet<&str> = specs.iter().map(|spec| spec.label).collect();
    assert!(labels.len() >= 9, "too small a sample: {labels:?}");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("threads");
    let compare = |spec: Spec| {
        let folder = folder();
        let [plain, archive] = ["disk.img", "disk.tar.zst"].map(|name| folder.path().join(name));
        spec.make(&plain);
        let mut tar = Command::new("tar");
        tar.args(["--use-compress-program", "zstd -3 -q", "-cf"])
            .arg(&archive)
            .arg("-C")
            .arg(folder.path())
            .arg("disk.img");
        assert_eq!(tar.status().expect("tar: install the Debian package tar").code(), Some(0));
        let expected = inspected(&plain, Engine::Auto);
        for engine in [Engine::Skip, Engine::Decode] {
            assert_eq!(inspected(&archive, engine), expected, "{} with --engine {}", spec.name, engine.as_str());
        }
    };
    pool.install(|| specs.into_par_iter().for_each(compare));
}

#[test]
fn a_pattern_stands_for_what_it_says() {
    for (pattern, text) in [("a", "a"), ("a*", "abc"), ("*~cut-*", "x-2~cut-half"), ("a*c*e", "abcde"), ("x|a*", "ab")]
    {
        assert!(is_match(pattern, text), "{pattern} {text}");
    }
    for (pattern, text) in [("a", "ab"), ("a*", "ba"), ("*~cut", "x~cut-half"), ("a*c", "acb"), ("x|y", "xy")] {
        assert!(!is_match(pattern, text), "{pattern} {text}");
    }
}
