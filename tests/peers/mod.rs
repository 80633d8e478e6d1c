//! Other programs that read partition tables, and how their answers are made comparable: what a program itself shows as
//! an extended partition, a whole disk, a map or free space does not count.

// Each test that asks them uses a part of this.
#![allow(dead_code)]

pub mod answer;
pub mod expected;
pub mod labels;
pub mod listed;
pub mod score;

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use self::answer::Answer;
use self::expected::Expected;
use crate::common::path_with_sbin;

/// A partition that counts: Linux's number, first byte, bytes.
pub type Extent = (u32, u64, u64);

/// What a program says of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// The partitions that count; none where there is no table. Numbers are Linux's, or 0 where it has others.
    Partitions(Vec<Extent>),
    /// The kind of table alone, by our name.
    Label(Option<String>),
}

/// A program.
pub struct Peer {
    pub name: &'static str,
    package: &'static str,
    args: &'static [&'static str],
    more: &'static [&'static str],
    read: fn(&str, &str) -> Says,
}

/// All of them. parted is last: it mends what it was asked to print, such as a checksum.
pub const PEERS: [Peer; 6] = [
    Peer { name: "sfdisk", package: "fdisk", args: &["--json"], more: &[], read: sfdisk },
    Peer {
        name: "partx",
        package: "util-linux",
        args: &["--show", "--noheadings", "--output", "NR,START,SECTORS,SCHEME,TYPE"],
        more: &[],
        read: partx,
    },
    Peer {
        name: "blkid",
        package: "util-linux",
        args: &["--probe", "--output", "value", "--match-tag", "PTTYPE"],
        more: &[],
        read: blkid,
    },
    Peer { name: "mmls", package: "sleuthkit", args: &[], more: &[], read: mmls },
    Peer { name: "disktype", package: "disktype", args: &[], more: &[], read: disktype },
    Peer {
        name: "parted",
        package: "parted",
        args: &["--script", "--json"],
        more: &["unit", "B", "print"],
        read: parted,
    },
];

impl Peer {
    /// Asks it. A program that fails sees no table: that is how each of them says so.
    pub fn ask(&self, image: &Path) -> Says {
        let output = Command::new(self.name)
            .args(self.args)
            .arg(image)
            .args(self.more)
            .env("PATH", path_with_sbin())
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{} ({error}): install the Debian package {}", self.name, self.package));
        let text = if output.status.success() { String::from_utf8_lossy(&output.stdout) } else { "".into() };
        (self.read)(&text, image.to_str().expect("UTF-8"))
    }
}

impl Says {
    /// What it says and what we say, in a word each, where these differ.
    pub fn against(&self, ours: &Answer) -> Option<(String, String)> {
        match self {
            Says::Label(label) if *label == ours.label => None,
            Says::Label(label) => {
                let word = |label: &Option<String>| label.clone().unwrap_or("none".to_owned());
                let ours_word = if ours.partitions.is_none() { ours.word() } else { word(&ours.label) };
                Some((word(label), ours_word))
            }
            Says::Partitions(theirs) => {
                let places = |extents: &[Extent]| {
                    let mut places: Vec<_> = extents.iter().map(|&(_, start, size)| (start, size)).collect();
                    places.sort_unstable();
                    places
                };
                let Some(partitions) = &ours.partitions else { return Some((theirs.len().to_string(), ours.word())) };
                let has_numbers = theirs.iter().all(|extent| extent.0 > 0);
                let how = if places(theirs) != places(partitions) {
                    if theirs.len() == partitions.len() { " elsewhere" } else { "" }
                } else if has_numbers && theirs.iter().any(|extent| !partitions.contains(extent)) {
                    " of other numbers"
                } else {
                    return None;
                };
                Some((format!("{}{how}", theirs.len()), ours.word()))
            }
        }
    }

    /// Whether it is right, but for numbers that are its own.
    pub fn is_right(&self, expected: &Expected) -> bool {
        match self {
            Says::Label(label) => {
                let is_empty = expected.answer.partitions.as_ref().is_none_or(Vec::is_empty);
                *label == expected.answer.label || (is_empty || expected.or_none) && label.is_none()
            }
            Says::Partitions(theirs) if theirs.iter().all(|extent| extent.0 > 0) => {
                let mut theirs = theirs.clone();
                theirs.sort_unstable();
                expected.allows(&Answer { label: None, partitions: Some(theirs) })
            }
            Says::Partitions(_) => {
                [&expected.answer].into_iter().chain(&expected.or).any(|answer| self.against(answer).is_none())
            }
        }
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("a number")
}

fn sfdisk(text: &str, image: &str) -> Says {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let table = &json["partitiontable"];
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let unused: &[&str] = match table["label"].as_str() {
        Some("dos") => &["5", "f", "85"],
        Some("sun") => &["5"],
        // The volume header and the volume.
        Some("sgi") => &["0", "6"],
        _ => &[],
    };
    let partitions = table["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |partition: &Value| {
        let node = partition["node"].as_str().and_then(|node| node.strip_prefix(image)).expect("a node");
        let number_of = node.trim_start_matches('p').parse().expect("a number");
        (
            number_of,
            number(&partition["start"]).saturating_mul(sector),
            number(&partition["size"]).saturating_mul(sector),
        )
    };
    let counts = |partition: &&Value| !partition["type"].as_str().is_some_and(|type_id| unused.contains(&type_id));
    Says::Partitions(partitions.iter().filter(counts).map(read).collect())
}

fn parted(text: &str, _image: &str) -> Says {
    let json: Value = serde_json::from_str(text).unwrap_or_default();
    let disk = &json["disk"];
    let label = disk["label"].as_str().unwrap_or_default();
    // What it calls `loop` is a file system, or nothing.
    if label == "loop" {
        return Says::Partitions(Vec::new());
    }
    let bytes = |value: &Value| value.as_str().and_then(|text| text.strip_suffix('B')?.parse().ok()).expect("bytes");
    let counts = |partition: &&Value| {
        let is_map = label == "mac" && partition["name"] == "Apple" && bytes(&partition["start"]) < 4096;
        partition["type"] != "extended" && !is_map
    };
    let read = |partition: &Value| {
        let number_of = u32::try_from(number(&partition["number"])).expect("small");
        (number_of, bytes(&partition["start"]), bytes(&partition["size"]))
    };
    let partitions = disk["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    Says::Partitions(partitions.iter().filter(counts).map(read).collect())
}

fn partx(text: &str, _image: &str) -> Says {
    let read = |line: &str| {
        let mut fields = line.split_whitespace();
        let mut next = || fields.next().unwrap_or_default();
        let (number_of, start, sectors): (_, u64, u64) =
            (next().parse().ok()?, next().parse().ok()?, next().parse().ok()?);
        let (scheme, type_id) = (next(), next());
        let is_meta = match scheme {
            "dos" => ["0x5", "0xf", "0x85"].contains(&type_id),
            "sun" => type_id == "0x5",
            "sgi" => ["0x0", "0x6"].contains(&type_id),
            "mac" => ["Apple_partition_map", "Apple_Free"].contains(&type_id),
            _ => false,
        };
        (!is_meta).then_some((number_of, start.saturating_mul(512), sectors.saturating_mul(512)))
    };
    Says::Partitions(text.lines().filter_map(read).collect())
}

fn blkid(text: &str, _image: &str) -> Says {
    let label = text.trim();
    Says::Label((!label.is_empty()).then(|| label.to_owned()))
}

fn mmls(text: &str, _image: &str) -> Says {
    let sector: u64 = text
        .lines()
        .find_map(|line| line.strip_prefix("Units are in ")?.strip_suffix("-byte sectors")?.parse().ok())
        .unwrap_or(512);
    let read = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let slot = fields.next()?;
        let (start, _, sectors): (u64, u64, u64) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let what = fields.collect::<Vec<_>>().join(" ");
        let counts = slot.bytes().all(|byte| byte.is_ascii_digit() || byte == b':')
            && !["Apple_partition_map", "Apple_Free"].contains(&what.as_str());
        counts.then_some((0, start.saturating_mul(sector), sectors.saturating_mul(sector)))
    };
    Says::Partitions(text.lines().filter_map(read).collect())
}

fn disktype(text: &str, _image: &str) -> Says {
    const META: [&str; 8] = [
        "Type 0xEE ",
        "Type 0x05 ",
        "Type 0x0F ",
        "Type 0x85 ",
        "Type \"Apple_partition_map\"",
        "Type \"Apple_Free\"",
        "Type 5",
        "Type 0 (Volume header)",
    ];
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let is_sun = lines.iter().any(|line| line.starts_with("Solaris SPARC"));
    let read = |pair: &[&str]| {
        let (number_of, rest) = pair[0].strip_prefix("Partition ")?.split_once(':')?;
        let _: u32 = number_of.parse().ok()?;
        let (sectors, from) = rest.split_once(" bytes, ")?.1.trim_end_matches(')').split_once(" sectors from ")?;
        let start: u64 = from.split('+').map(|part| part.parse::<u64>().ok()).sum::<Option<u64>>()?;
        let is_meta = META.iter().any(|meta| pair[1].starts_with(meta)) && (is_sun || pair[1] != "Type 5");
        (!is_meta).then_some((0, start.saturating_mul(512), sectors.parse::<u64>().ok()?.saturating_mul(512)))
    };
    let mut found: Vec<Extent> = lines.windows(2).filter_map(read).collect();
    found.sort_unstable();
    Says::Partitions(found)
}
