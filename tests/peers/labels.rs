//! The kinds of table that parted writes.

use super::Extent;

const SECTOR: u64 = 512;

/// One of them.
pub struct Label {
    /// Our name.
    pub name: &'static str,
    theirs: &'static str,
    /// What `mkpart` wants before the extent.
    kind: &'static [&'static str],
    /// The numbers that partitions are given, in order.
    first: u32,
    /// The one that is passed over.
    without: u32,
    /// How many partitions there may be; not always the most there can be.
    pub most: u64,
}

/// What `parted mklabel` knows and can write, but `loop`, which is no table; `aix` it cannot write.
pub const PARTED: [Label; 9] = [
    Label { name: "dos", theirs: "msdos", kind: &["primary"], first: 1, without: 0, most: 4 },
    Label { name: "gpt", theirs: "gpt", kind: &["name"], first: 1, without: 0, most: 20 },
    // The first is the map.
    Label { name: "mac", theirs: "mac", kind: &["name"], first: 2, without: 0, most: 20 },
    Label { name: "amiga", theirs: "amiga", kind: &["name"], first: 1, without: 0, most: 16 },
    Label { name: "bsd", theirs: "bsd", kind: &[], first: 1, without: 0, most: 8 },
    Label { name: "sgi", theirs: "dvh", kind: &["primary"], first: 1, without: 0, most: 8 },
    // The third is the whole disk.
    Label { name: "sun", theirs: "sun", kind: &[], first: 1, without: 3, most: 7 },
    Label { name: "pc98", theirs: "pc98", kind: &["primary"], first: 1, without: 0, most: 16 },
    Label { name: "atari", theirs: "atari", kind: &["primary", "ext2"], first: 1, without: 0, most: 3 },
];

impl Label {
    /// Linux's numbers for as many partitions as there may be.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        let without = self.without;
        (self.first..).filter(move |number| *number != without)
    }

    /// Arguments for `parted` that make such a table with these partitions in `IMAGE`.
    pub fn parted(&self, partitions: &[Extent]) -> Vec<String> {
        let start = ["--script", "--align", "none", "IMAGE", "unit", "s", "mklabel", self.theirs];
        let mut args: Vec<String> = start.map(str::to_owned).to_vec();
        for (_, start, size) in partitions {
            args.push("mkpart".to_owned());
            args.extend(self.kind.iter().map(|&word| word.to_owned()));
            args.extend([(start / SECTOR).to_string(), ((start + size) / SECTOR - 1).to_string()]);
        }
        args
    }
}
