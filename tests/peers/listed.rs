//! Lists of disagreements, `disagreements.tsv`: where somebody says something else, who is right, and why.

use std::cell::Cell;

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
    /// The rows of a list, of images whose names `is_meant`.
    pub fn read(text: &str, is_meant: impl Fn(&str) -> bool) -> List {
        let rows = text.lines().enumerate().filter(|(_, line)| !line.starts_with('#') && !line.is_empty());
        let row = |(index, line): (usize, &str)| {
            let fields: Vec<&str> = line.split('\t').collect();
            let [image, peer, theirs, ours, right, why] = fields[..] else {
                panic!("disagreements.tsv:{}: six fields: {line}", index + 1)
            };
            let [image, peer, theirs, ours, right, why] = [image, peer, theirs, ours, right, why].map(str::to_owned);
            Row { line: index + 1, image, peer, theirs, ours, right, why, used: Cell::new(false) }
        };
        List(rows.map(row).filter(|row| is_meant(&row.image)).collect())
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

    /// What is wrong with the list itself: rows that stand for nothing, and rows that do not say why.
    pub fn complaints(&self) -> Vec<String> {
        let unused = self.0.iter().filter(|row| !row.used.get());
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
