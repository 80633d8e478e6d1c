//! A part of a collection, by the names in it: many machines each survey one, and together all of it, without a word between
//! them.
//!
//! The part of a name is its SHA-256, as a big-endian number, modulo the number of parts. So machines that list a folder
//! at different times agree, and an archive that comes or goes moves no other.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::archive_name;
use crate::units::counted;

/// Most parts of a collection.
const MOST: u32 = 1_000_000;

/// Shard K of N, written `K/N`, K from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shard {
    index: u32,
    count: u32,
}

/// What is no shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be K/N, as 0/8 to 7/8 are: K below N, N from 1 to {MOST}")]
pub struct ParseError;

impl Shard {
    /// Shard `index` of `count`, if there is such a one.
    #[must_use]
    pub fn new(index: u32, count: u32) -> Option<Shard> {
        (index < count && count <= MOST).then_some(Shard { index, count })
    }

    /// Which it is, from 0.
    #[must_use]
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// Whether a file of this name belongs to it. The name of an archive counts as `HASH.tar.zst`, however it ends: files that
    /// share a hash share a folder in staging, and so have to be known to one run.
    #[must_use]
    pub fn has(self, file_name: &[u8]) -> bool {
        match archive_name::hash(file_name) {
            Some(hash) => self.has_hash(hash),
            None => self.takes(Sha256::new().chain_update(file_name)),
        }
    }

    /// Whether the archive of this hash belongs to it.
    #[must_use]
    pub fn has_hash(self, hash: &[u8]) -> bool {
        self.takes(Sha256::new().chain_update(hash).chain_update(archive_name::ENDING))
    }

    fn takes(self, name: Sha256) -> bool {
        let count = u64::from(self.count);
        let modulo = |rest: u64, byte: &u8| (rest << 8 | u64::from(*byte)) % count;
        name.finalize().iter().fold(0, modulo) == u64::from(self.index)
    }

    /// For the name of a file: `03-of-16`, so that a list of them is in order.
    #[must_use]
    pub fn file_name(self) -> String {
        let width = (self.count - 1).to_string().len();
        format!("{:0width$}-of-{}", self.index, self.count)
    }

    /// The shard that a file is named for, as `scan-03-of-16.jsonl`.
    #[must_use]
    pub fn of_file_name(name: &str) -> Option<Shard> {
        let (before, behind) = name.rsplit_once("-of-")?;
        let index = &before[before.rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1)..];
        let count = &behind[..behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len())];
        Shard::new(index.parse().ok()?, count.parse().ok()?)
    }

    /// Whether `other` is another part of the same division: no name belongs to both.
    #[must_use]
    pub fn is_apart_from(self, other: Shard) -> bool {
        self.count == other.count && self.index != other.index
    }

    /// For a person: `3 of 8`.
    #[must_use]
    pub fn in_words(self) -> String {
        format!("{} of {}", self.index, self.count)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Shard, ParseError> {
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| digits.parse().ok()).flatten()
        };
        let (index, count) = text.split_once('/').ok_or(ParseError)?;
        number(index).zip(number(count)).and_then(|(index, count)| Shard::new(index, count)).ok_or(ParseError)
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Shard, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A part of a collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Which.
    pub shard: Shard,
    /// Archives that belong to it by their names, whatever their size.
    pub archives: u64,
    /// Archives of the whole collection.
    pub of_archives: u64,
}

impl Part {
    /// For a person: `shard 3 of 8: 12 of 100 archives`.
    #[must_use]
    pub fn in_words(&self) -> String {
        let archives = counted(self.of_archives, "archive");
        format!("shard {}: {} of {archives}", self.shard.in_words(), self.archives)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_for_one_shard_or_for_none() {
        for (index, count) in [(0, 1), (3, 16), (7, 8), (12, 1000)] {
            let shard = Shard::new(index, count).expect("a shard");
            for name in
                [format!("scan-{}.jsonl", shard.file_name()), format!("verify-{}.jsonl.1.gz", shard.file_name())]
            {
                assert_eq!(Shard::of_file_name(&name), Some(shard), "{name}");
            }
        }
        for name in ["scan.jsonl", "scan-8-of-8.jsonl", "a-of-b.jsonl", "scan--of-8.jsonl", "3-of-é", "-of-"] {
            assert_eq!(Shard::of_file_name(name), None, "{name}");
        }
        let [one, other, of_more] = [(1, 8), (2, 8), (2, 9)].map(|(k, n)| Shard::new(k, n).expect("a shard"));
        assert!(one.is_apart_from(other) && !one.is_apart_from(one) && !one.is_apart_from(of_more));
    }

    #[test]
    fn a_shard_is_a_number_below_another() {
        for (text, shard) in [("0/1", (0, 1)), ("7/8", (7, 8)), ("007/8", (7, 8)), ("0/1000000", (0, MOST))] {
            assert_eq!(text.parse(), Ok(Shard { index: shard.0, count: shard.1 }), "{text}");
        }
        for text in [
            "",
            "/",
            "1",
            "8/8",
            "9/8",
            "0/0",
            "-1/8",
            "+1/8",
            "1/-8",
            "1/8/9",
            "1 /8",
            "a/b",
            "0/1000001",
            "0/4294967297",
        ] {
            assert_eq!(text.parse::<Shard>(), Err(ParseError), "{text}");
        }
    }

    /// `printf %s NAME | sha256sum`, as a number, modulo N: by Python's `int(hexdigest, 16) % N`.
    #[test]
    fn the_shard_of_a_name_is_its_sha_256_modulo_their_number() {
        let name = b"2c26b46b68ffc68ff99b453c1d304134.tar.zst";
        for (count, index) in [(1, 0), (2, 1), (8, 1), (1000, 817), (999_983, 237_971)] {
            let of: Vec<u32> = (0..count).filter(|&k| Shard::new(k, count).expect("a shard").has(name)).collect();
            assert_eq!(of, [index], "of {count}");
        }
    }

    #[test]
    fn every_name_is_in_one_shard_and_all_shards_have_some() {
        let mut sizes = [0; 16];
        for number in 0..1600 {
            let name = format!("{number:032x}.tar.zst");
            let of: Vec<usize> = (0..16)
                .filter(|&k| Shard::new(k, 16).expect("a shard").has(name.as_bytes()))
                .map(|k| k as usize)
                .collect();
            assert_eq!(of.len(), 1);
            sizes[of[0]] += 1;
        }
        assert!(sizes.iter().all(|&size| (50..150).contains(&size)), "{sizes:?}");
    }

    #[test]
    fn files_of_one_hash_are_in_one_shard() {
        for hash in ["a", "b", "c", "\u{fc}"] {
            let of = |ending: &str| {
                let name = format!("{hash}{ending}");
                (0..100).find(|&k| Shard::new(k, 100).expect("a shard").has(name.as_bytes()))
            };
            assert!(of(".tar.zst").is_some());
            for ending in [".tzst", ".tar.zstd", ".TAR.ZST"] {
                assert_eq!(of(ending), of(".tar.zst"), "{hash}{ending}");
            }
        }
    }

    #[test]
    fn names_of_files_are_in_the_order_of_shards() {
        let names: Vec<String> = (0..12).map(|k| Shard::new(k, 12).expect("a shard").file_name()).collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(
            (names[3].as_str(), Shard::new(3, 8).expect("a shard").file_name().as_str()),
            ("03-of-12", "3-of-8")
        );
    }
}
