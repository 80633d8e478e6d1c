//! What may be said of an image.

use super::Extent;
use super::answer::Answer;

/// What is right of an image.
#[derive(Debug, Clone)]
pub struct Expected {
    /// The table and its partitions.
    pub answer: Answer,
    /// What is as right as that.
    pub or: Vec<Answer>,
    /// Whether to find a part of the partitions will do, as long as these are two or more.
    pub in_part: bool,
    /// Whether it may be given up: an error for a person to look at.
    pub or_undecidable: bool,
    /// Whether it may be taken for blank.
    pub or_none: bool,
}

impl Expected {
    pub fn exactly(label: &str, partitions: Vec<Extent>) -> Expected {
        let answer = Answer::new(label, partitions);
        Expected { answer, or: Vec::new(), in_part: false, or_undecidable: false, or_none: false }
    }

    /// There is no table.
    pub fn none() -> Expected {
        Expected::exactly("", Vec::new())
    }

    /// Whether an answer keeps to it.
    pub fn allows(&self, answer: &Answer) -> bool {
        let Some(found) = &answer.partitions else { return self.or_undecidable };
        let is_part = |answer: &Answer| {
            let made = answer.partitions.as_deref().unwrap_or_default();
            found == made || self.in_part && found.len() >= 2 && found.iter().all(|extent| made.contains(extent))
        };
        is_part(&self.answer) || self.or.iter().any(is_part) || self.or_none && found.is_empty()
    }

    /// Whether a number of partitions does, as none, one or more.
    pub fn allows_class(&self, count: usize) -> bool {
        let class = |answer: &Answer| answer.count().min(2) == count.min(2);
        class(&self.answer) || self.or.iter().any(class) || self.or_none && count == 0
    }

    /// Whether one answer alone is right.
    pub fn is_strict(&self) -> bool {
        self.or.is_empty() && !(self.in_part || self.or_undecidable || self.or_none)
    }

    /// Whether two or more is the answer, be it not the only one.
    pub fn is_multi(&self) -> bool {
        self.answer.count() >= 2
    }
}
