//! What imgsieve says of an image, as the peers' answers are held against it.

use std::fs::File;
use std::path::Path;

use imgsieve::finding::Finding;
use imgsieve::ptable::{Error, PartitionTable, read_table};

use super::Extent;

/// A kind of table and its partitions that count, by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// `None` where there is no table.
    pub label: Option<String>,
    /// `None` where it cannot be told.
    pub partitions: Option<Vec<Extent>>,
}

impl Answer {
    pub fn new(label: &str, mut partitions: Vec<Extent>) -> Answer {
        partitions.sort_unstable();
        let label = (!label.is_empty()).then(|| label.to_owned());
        Answer { label, partitions: Some(partitions) }
    }

    /// Ours.
    pub fn of(path: &Path) -> Answer {
        let file = File::open(path).expect("an image");
        let size = file.metadata().expect("a file").len();
        match read_table(&file, size, None) {
            Ok(None) => Answer::new("", Vec::new()),
            Ok(Some(table)) => Answer::new(table.label.as_str(), extents(&table)),
            Err(Error::Undecidable { .. }) => Answer { label: None, partitions: None },
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }

    /// Ours, of what `inspect` found.
    pub fn found(finding: &Finding) -> Answer {
        match (&finding.table, finding.count) {
            (_, None) => Answer { label: None, partitions: None },
            (None, Some(_)) => Answer::new("", Vec::new()),
            (Some(table), Some(_)) => Answer::new(table.label.as_str(), extents(table)),
        }
    }

    /// How many partitions; none where it cannot be told.
    pub fn count(&self) -> usize {
        self.partitions.as_ref().map_or(0, Vec::len)
    }

    /// In a word: how many, or that it cannot be told.
    pub fn word(&self) -> String {
        self.partitions.as_ref().map_or("undecidable".to_owned(), |partitions| partitions.len().to_string())
    }
}

/// The partitions of a table that count.
fn extents(table: &PartitionTable) -> Vec<Extent> {
    table.partitions.iter().filter(|p| p.kind.counts()).map(|p| (p.number, p.start, p.size)).collect()
}
