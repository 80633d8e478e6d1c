//! What of a collection is not surveyed, and by which rule.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::log::record::LEFT_OUT_MOST;

/// A rule by which what is in a collection is not surveyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// An archive on the skip list.
    SkipList,
    /// An archive that is not larger than the minimum.
    TooSmall,
    /// An archive that was not asked for, by `--only` or `--limit`.
    NotSelected,
    /// A file whose name does not end as an archive's.
    OtherEnding,
    /// A folder in a folder, which is not entered.
    Folder,
    /// An archive that the run ended before.
    NotBegun,
}

impl Rule {
    /// The log's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::SkipList => "skip_list",
            Rule::TooSmall => "too_small",
            Rule::NotSelected => "not_selected",
            Rule::OtherEnding => "other_ending",
            Rule::Folder => "folder",
            Rule::NotBegun => "not_begun",
        }
    }
}

/// A file, or a folder, that is not surveyed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsurveyed {
    /// Where it is.
    pub path: PathBuf,
    /// Its length in bytes; none of a folder.
    pub size: Option<u64>,
    /// Why it is on the skip list, if it is.
    pub reason: Option<String>,
}

/// What one rule leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The first [`LEFT_OUT_MOST`] of them.
    pub files: Vec<Unsurveyed>,
}

impl LeftOut {
    /// Adds one.
    pub fn add(&mut self, file: Unsurveyed) {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(file.size.unwrap_or(0));
        if self.files.len() < LEFT_OUT_MOST {
            self.files.push(file);
        }
    }
}

/// What each rule leaves out.
pub type LeftOutBy = BTreeMap<Rule, LeftOut>;
