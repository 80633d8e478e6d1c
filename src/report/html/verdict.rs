//! What an archive comes to, in one word.

use crate::account::{ArchiveAccount, ArchiveEnd};
use crate::log::record::PartitionCheck;

/// What an archive comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// It has an image with two partitions or more.
    Multi,
    /// It has one with one partition, and none with more.
    Single,
    /// None of its images has a partition.
    None,
    /// It has no image.
    NoImage,
    /// It ended in an error, or one of its images is undecided and no other is multi; or no image is where it was looked at.
    Undecided,
    /// The log does not have its end.
    Open,
}

impl Verdict {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Verdict; 6] =
        [Verdict::Multi, Verdict::Single, Verdict::None, Verdict::NoImage, Verdict::Undecided, Verdict::Open];

    /// What `archive` comes to.
    pub fn of(archive: &ArchiveAccount) -> Verdict {
        let images = &archive.images;
        let most = images.iter().filter_map(|image| image.partitions).max().unwrap_or(0);
        match &archive.end {
            ArchiveEnd::Open => Verdict::Open,
            ArchiveEnd::Failed(_) => Verdict::Undecided,
            ArchiveEnd::Complete { totals, .. } if totals.multi > 0 || most > 1 => Verdict::Multi,
            ArchiveEnd::Complete { totals, .. } if totals.is_without_image() => Verdict::NoImage,
            ArchiveEnd::Complete { totals, .. } if images.is_empty() && !totals.is_complete() => Verdict::Undecided,
            ArchiveEnd::Complete { .. } if images.iter().any(is_undecided) => Verdict::Undecided,
            ArchiveEnd::Complete { .. } if most == 1 => Verdict::Single,
            ArchiveEnd::Complete { .. } => Verdict::None,
        }
    }

    /// The word for a class of the style sheet, and for the script.
    pub fn class(self) -> &'static str {
        match self {
            Verdict::Multi => "multi",
            Verdict::Single => "single",
            Verdict::None => "none",
            Verdict::NoImage => "noimage",
            Verdict::Undecided => "undecided",
            Verdict::Open => "open",
        }
    }

    /// The words for a person.
    pub fn words(self) -> &'static str {
        match self {
            Verdict::Multi => "two partitions or more",
            Verdict::Single => "one partition",
            Verdict::None => "no partitions",
            Verdict::NoImage => "no image",
            Verdict::Undecided => "error or undecided",
            Verdict::Open => "not finished",
        }
    }
}

fn is_undecided(image: &PartitionCheck) -> bool {
    image.partitions.is_none() || image.action == "error"
}
