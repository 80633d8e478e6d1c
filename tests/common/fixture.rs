//! The archives in `fixtures/`, and what is expected of each.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// Images are larger than this, as in the built-in site.
pub const IMAGE_THRESHOLD: u64 = 1_000_000_000;

/// An archive in `fixtures/`.
#[derive(Debug, Clone)]
pub struct Fixture {
    /// `collection`, `damaged` or `odd`.
    pub folder: String,
    /// The archive's hash.
    pub hash: String,
    /// What it is called in `fixtures/README.md`.
    pub name: String,
    /// Its line of `expected.jsonl`.
    pub expected: Value,
}

impl Fixture {
    /// Where the archive is.
    pub fn path(&self) -> PathBuf {
        root().join(&self.folder).join(format!("{}.tar.zst", self.hash))
    }

    /// Its images as they are expected, in their order.
    pub fn images(&self) -> &[Value] {
        self.expected["images"].as_array().expect("a list of images")
    }

    /// Whether it is so small that its images can only be sparse members: reading it takes no time.
    pub fn is_quick(&self) -> bool {
        self.path().metadata().expect("an archive").len() < 2000
    }
}

/// `fixtures/`.
pub fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"))
}

/// Every fixture of `expected.jsonl`.
pub fn all() -> Vec<Fixture> {
    let text = std::fs::read_to_string(root().join("expected.jsonl")).expect("expected.jsonl");
    let word = |line: &Value, key: &str| line[key].as_str().expect("a word").to_owned();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .map(|line: Value| Fixture {
            folder: word(&line, "folder"),
            hash: word(&line, "hash"),
            name: word(&line, "name"),
            expected: line,
        })
        .collect()
}

/// The fixture of that name.
pub fn named(name: &str) -> Fixture {
    all().into_iter().find(|fixture| fixture.name == name).unwrap_or_else(|| panic!("no fixture {name}"))
}

/// The intact fixtures whose images are sparse members: a run over them takes no time.
pub fn quick_collection() -> Vec<Fixture> {
    let mut quick = all();
    quick.retain(|fixture| fixture.folder == "collection" && fixture.is_quick());
    quick
}
