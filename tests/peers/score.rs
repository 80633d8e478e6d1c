//! Who is right how often.

use std::collections::BTreeMap;
use std::fmt;

use super::answer::Answer;
use super::expected::Expected;
use super::{PEERS, Says};

/// Answers of one program on one group of images.
#[derive(Default, Clone, Copy)]
pub struct Tally {
    images: u32,
    /// The very partitions.
    exact: u32,
    /// The same number of them, as none, one or more.
    right: u32,
    /// Two or more where there are fewer.
    pub false_multi: u32,
    /// Fewer than two where there are more.
    pub missed_multi: u32,
    /// Given up without need.
    undecided: u32,
    /// One where there is none, or none where there is one.
    other: u32,
}

impl Tally {
    fn add(&mut self, is_exact: bool, is_class: bool, is_multi: bool, found: Option<usize>) {
        self.images += 1;
        self.exact += u32::from(is_exact);
        match found {
            _ if is_class => self.right += 1,
            None => self.undecided += 1,
            Some(0..2) if is_multi => self.missed_multi += 1,
            Some(0..2) => self.other += 1,
            Some(_) => self.false_multi += 1,
        }
    }

    fn join(&mut self, other: &Tally) {
        self.images += other.images;
        self.exact += other.exact;
        self.right += other.right;
        self.false_multi += other.false_multi;
        self.missed_multi += other.missed_multi;
        self.undecided += other.undecided;
        self.other += other.other;
    }
}

/// Tallies by group and program.
#[derive(Default)]
pub struct Score(BTreeMap<String, BTreeMap<usize, Tally>>, Vec<&'static str>);

/// What we are called in it.
pub const OURS: &str = "imgsieve";

impl Score {
    /// Counts what we and all others say of an image.
    pub fn add(&mut self, group: &str, expected: &Expected, ours: &Answer, theirs: &[Says]) {
        let is_multi = expected.is_multi();
        let count = ours.partitions.as_ref().map(Vec::len);
        let class = count.map_or(expected.or_undecidable, |count| expected.allows_class(count));
        self.of(group, OURS).add(expected.allows(ours), class, is_multi, count);
        for (peer, says) in PEERS.iter().zip(theirs) {
            if let Says::Partitions(partitions) = says {
                let class = expected.allows_class(partitions.len());
                self.of(group, peer.name).add(says.is_right(expected), class, is_multi, Some(partitions.len()));
            }
        }
    }

    /// Of each program, over all groups: ours first.
    pub fn totals(&self) -> Vec<Tally> {
        let mut total: BTreeMap<usize, Tally> = BTreeMap::new();
        for (&index, tally) in self.0.values().flatten() {
            total.entry(index).or_default().join(tally);
        }
        total.into_values().collect()
    }

    fn of(&mut self, group: &str, program: &'static str) -> &mut Tally {
        let index = self.1.iter().position(|name| *name == program).unwrap_or_else(|| {
            self.1.push(program);
            self.1.len() - 1
        });
        self.0.entry(group.to_owned()).or_default().entry(index).or_default()
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "right/false multi/missed multi/otherwise wrong, and the very partitions in brackets; +n undecided without need"
        )?;
        write!(f, "{:<36}{:>7}", "group", "images")?;
        self.1.iter().try_for_each(|name| write!(f, "{name:>23}"))?;
        writeln!(f)?;
        let line = |f: &mut fmt::Formatter<'_>, group: &str, tallies: &BTreeMap<usize, Tally>| {
            let images = tallies.values().map(|tally| tally.images).max().unwrap_or(0);
            write!(f, "{group:<36}{images:>7}")?;
            for tally in tallies.values() {
                let undecided = if tally.undecided > 0 { format!("+{}", tally.undecided) } else { String::new() };
                let Tally { right, false_multi, missed_multi, other, exact, .. } = tally;
                write!(f, "{:>23}", format!("{right}/{false_multi}/{missed_multi}/{other}{undecided} ({exact})"))?;
            }
            writeln!(f)
        };
        for (group, tallies) in &self.0 {
            line(f, group, tallies)?;
        }
        line(f, "all", &self.totals().into_iter().enumerate().collect())
    }
}
