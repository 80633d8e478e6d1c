//! Lists of disagreements, `disagreements.tsv`: where somebody says something else, who is right, and why.

use std::cell::Cell;

use super::answer::Answer;
use super::expected::Expected;
use super::{PEERS, Says};

/// The peer that is always right: what the image was made to be.
pub const MADE: &str = "made";

/// One disagreement.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disagreement {
    pub image: String,
    pub peer: &'static str,
    pub theirs: String,
    pub ours: String,
    /// `ours`, `theirs`, `both` where the damage leaves room for either, or `neither`.
    pub right: &'static str,
}

impl Disagreement {
    /// Where we say something else than what the image was made to be, and where others say something else than we.
    pub fn all(image: &str, expected: &Expected, ours: &Answer, theirs: &[Says]) -> Vec<Disagreement> {
        let we_are_right = expected.allows(ours);
        let mut found = Vec::new();
        let mut add = |peer, (theirs, ours), they_are_right| {
            let right = match (we_are_right, they_are_right) {
                (true, true) => "both",
                (true, false) => "ours",
                (false, true) => "theirs",
                (false, false) => "neither",
            };
            found.push(Disagreement { image: image.to_owned(), peer, theirs, ours, right });
        };
        if !we_are_right {
            add(MADE, (expected.answer.word(), ours.word()), true);
        }
        for (peer, says) in PEERS.iter().zip(theirs) {
            if let Some(words) = says.against(ours) {
                add(peer.name, words, says.is_right(expected));
            }
        }
        found
    }
}

/// One line of the list, which may stand for many images.
struct Row {
    line: usize,
    image: String,
    peer: String,
    theirs: String,
    ours: String,
    right: String,
    why: String,
    used: Cell<bool>,
}

/// The list.
pub struct List(Vec<Row>);

impl List {
    /// The rows of a list.
    pub fn read(text: &str) -> List {
        let rows = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
        let row = |(index, line): (usize, &str)| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [image, peer, theirs, ours, right, why] = fields[..] else {
                panic!("disagreements.tsv:{}: six fields: {line}", index + 1)
            };
            let [image, peer, theirs, ours, right, why] = [image, peer, theirs, ours, right, why].map(str::to_owned);
            Row { line: index + 1, image, peer, theirs, ours, right, why, used: Cell::new(false) }
        };
        List(rows.map(row).collect())
    }

    /// Whether a row has it. All rows that do are then used.
    pub fn has(&self, found: &Disagreement) -> bool {
        let fits = |row: &&Row| {
            is_match(&row.image, &found.image)
                && row.peer == found.peer
                && is_match(&row.theirs, &found.theirs)
                && is_match(&row.ours, &found.ours)
                && row.right == found.right
        };
        let mut any = false;
        for row in self.0.iter().filter(fits) {
            row.used.set(true);
            any = true;
        }
        any
    }

    /// What is wrong with the list itself: rows that stand for nothing, of images that were due, and rows that do not say
    /// why.
    pub fn complaints(&self, is_due: impl Fn(&str) -> bool) -> Vec<String> {
        let unused = self.0.iter().filter(|row| !row.used.get() && is_due(&row.image));
        let unused = unused.map(|row| format!("disagreements.tsv:{}: {} agrees: take it out", row.line, row.peer));
        let silent = self.0.iter().filter(|row| row.why.trim().is_empty());
        unused.chain(silent.map(|row| format!("disagreements.tsv:{}: says not why", row.line))).collect()
    }
}

impl std::fmt::Display for Disagreement {
    /// As a row of the list, but for the reason.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}\t{}\t{}\t{}\t{}\t", self.image, self.peer, self.theirs, self.ours, self.right)
    }
}

/// Whether a text is of a pattern, in which `*` is anything and `|` stands between alternatives.
pub fn is_match(pattern: &str, text: &str) -> bool {
    pattern.split('|').any(|pattern| {
        let mut parts = pattern.split('*');
        let Some(mut rest) = text.strip_prefix(parts.next().unwrap_or_default()) else { return false };
        let mut parts = parts.peekable();
        if parts.peek().is_none() {
            return rest.is_empty();
        }
        while let Some(part) = parts.next() {
            if parts.peek().is_none() {
                return rest.ends_with(part);
            }
            match rest.find(part) {
                Some(at) => rest = &rest[at + part.len()..],
                None => return false,
            }
        }
        true
    })
}
