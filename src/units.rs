//! Sizes and percentages: as people write them, as the log counts them, as the terminal shows them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes that a person wrote: `1GB`, `512MiB`, `1.5T`, `4096`.
///
/// `k`, `M`, `G`, `T`, `P` and `E`, with or without `B`, are powers of 1000; with `i` they are powers of 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

/// Why a text is not a size, percentage or the like.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseError {
    text: String,
    expected: &'static str,
}

impl ParseError {
    fn new(text: &str, expected: &'static str) -> ParseError {
        ParseError { text: text.to_owned(), expected }
    }
}

const SIZE_FORM: &str = "a size such as 1GB, 512MiB or 4096";
const PREFIXES: &[u8] = b"kmgtpe";

impl FromStr for Size {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Size, ParseError> {
        let error = || ParseError::new(text, SIZE_FORM);
        let trimmed = text.trim();
        let split = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(split);
        let factor = unit_factor(unit.trim_start()).ok_or_else(error)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        let whole: u128 = whole.parse().map_err(|_| error())?;
        if fraction.is_empty() || fraction.len() > 18 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(error());
        }
        let digits = u32::try_from(fraction.len()).expect("at most 18");
        let fraction: u128 = fraction.parse().map_err(|_| error())?;
        let bytes = whole.checked_mul(factor).ok_or_else(error)? + fraction * factor / 10u128.pow(digits);
        u64::try_from(bytes).map(Size).map_err(|_| error())
    }
}

fn unit_factor(unit: &str) -> Option<u128> {
    let unit = unit.to_ascii_lowercase();
    let (prefix, base) = match unit.strip_suffix("ib") {
        Some(prefix) => (prefix, 1024u128),
        None => match unit.strip_suffix('i') {
            Some(prefix) => (prefix, 1024),
            None => (unit.strip_suffix('b').unwrap_or(&unit), 1000),
        },
    };
    match prefix.as_bytes() {
        [] if base == 1000 => Some(1),
        [letter] => {
            let power = PREFIXES.iter().position(|known| known == letter)? + 1;
            Some(base.pow(u32::try_from(power).ok()?))
        }
        _ => None,
    }
}

impl fmt::Display for Size {
    /// The shortest text that reads back as the same size.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const LETTERS: [&str; 6] = ["k", "M", "G", "T", "P", "E"];
        let mut best = (self.0, String::new());
        for (power, letter) in (1u32..).zip(LETTERS) {
            for (base, suffix) in [(1000u64, "B"), (1024, "iB")] {
                let factor = base.pow(power);
                if self.0 != 0 && self.0.is_multiple_of(factor) && self.0 / factor < best.0 {
                    let letter = if base == 1024 && letter == "k" { "K" } else { letter };
                    best = (self.0 / factor, format!("{letter}{suffix}"));
                }
            }
        }
        write!(f, "{}{}", best.0, best.1)
    }
}

impl Serialize for Size {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A value of a site file: text, or a bare number where that can only be bytes.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a size such as \"1GB\", \"512MiB\" or 4096")]
enum Written {
    Bytes(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Size, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => Ok(Size(bytes)),
            Written::Text(text) => text.parse().map_err(serde::de::Error::custom),
        }
    }
}

/// Space that has to stay free: a share of the file system as `df` counts it, or a size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MinFree {
    /// Percent of what an ordinary user can use in all (used + available), 0 to 100.
    Percent(f64),
    /// Bytes.
    Bytes(Size),
}

impl MinFree {
    /// The minimum in bytes on a file system on which an ordinary user can use `total` bytes.
    #[must_use]
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub fn bytes(self, total: u64) -> u64 {
        match self {
            MinFree::Percent(percent) => (total as f64 * percent / 100.0).ceil() as u64,
            MinFree::Bytes(Size(bytes)) => bytes,
        }
    }
}

impl FromStr for MinFree {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<MinFree, ParseError> {
        let error = || ParseError::new(text, "a percentage such as 20% or a size such as 100GB");
        match text.trim().strip_suffix('%') {
            Some(number) => match number.trim_end().parse() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(MinFree::Percent(percent)),
                _ => Err(error()),
            },
            // A percentage whose sign was forgotten would be a minimum of next to nothing.
            None if text.trim() != "0" && text.trim().ends_with(|last: char| last.is_ascii_digit()) => Err(error()),
            None => text.parse().map(MinFree::Bytes).map_err(|_| error()),
        }
    }
}

impl fmt::Display for MinFree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MinFree::Percent(percent) => write!(f, "{percent}%"),
            MinFree::Bytes(Size(bytes))
                if *bytes != 0 && Size(*bytes).to_string().bytes().all(|b| b.is_ascii_digit()) =>
            {
                write!(f, "{bytes}B")
            }
            MinFree::Bytes(size) => size.fmt(f),
        }
    }
}

impl Serialize for MinFree {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MinFree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<MinFree, D::Error> {
        match Written::deserialize(deserializer)? {
            Written::Bytes(bytes) => bytes.to_string().parse(),
            Written::Text(text) => text.parse(),
        }
        .map_err(serde::de::Error::custom)
    }
}

/// `bytes` in units of 10^9 bytes with at most 3 decimals, as the log's `size_gb` wants it.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn gigabytes(bytes: u64) -> f64 {
    const MEGABYTE: u64 = 1_000_000;
    let rounded = bytes / MEGABYTE + u64::from(bytes % MEGABYTE >= MEGABYTE / 2);
    rounded as f64 / 1000.0
}

/// `bytes` for a person, three digits and a decimal unit: `1.23 GB`.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64;
    let mut unit = 0;
    // 999.5 would be printed as 1000.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$} {}", UNITS[unit])
}

/// A duration for a person: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 05 min`.
#[must_use]
pub fn human_seconds(seconds: f64) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let whole = seconds.max(0.0).round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A number and what it is of: `1 image`, `2 images`.
#[must_use]
pub fn counted(number: u64, noun: &str) -> String {
    format!("{number} {}", plural(number, noun))
}

/// A noun in the form that goes with a number; of those that take an `s`.
#[must_use]
pub fn plural(number: u64, noun: &str) -> String {
    if number == 1 { noun.to_owned() } else { format!("{noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("1GB", 1_000_000_000),
            ("1 gb", 1_000_000_000),
            ("1G", 1_000_000_000),
            ("512MiB", 512 << 20),
            ("2Ki", 2048),
            ("1.5T", 1_500_000_000_000),
            ("0.5KiB", 512),
            ("10B", 10),
            ("8EiB", 1 << 63),
        ] {
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        for text in
            ["", "GB", "-1", "1.", ".5", "1XB", "1 2", "20%", "1iB", "99999999999999999999", "1e9", "1GBB", "16EiB"]
        {
            assert!(text.parse::<Size>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_printed_size_reads_back_the_same() {
        for bytes in [0, 1, 999, 1000, 1024, 1_000_000_000, 128 << 20, 1 << 40, 1_234_567, u64::MAX] {
            let text = Size(bytes).to_string();
            assert_eq!(text.parse(), Ok(Size(bytes)), "{text}");
        }
        assert_eq!(Size(1_000_000_000).to_string(), "1GB");
        assert_eq!(Size(128 << 20).to_string(), "128MiB");
    }

    #[test]
    fn minimum_free_is_a_percentage_or_a_size() {
        assert_eq!("20%".parse(), Ok(MinFree::Percent(20.0)));
        assert_eq!("100GB".parse(), Ok(MinFree::Bytes(Size(100_000_000_000))));
        assert_eq!("0".parse(), Ok(MinFree::Bytes(Size(0))));
        assert!("20".parse::<MinFree>().is_err(), "a forgotten %");
        assert!("101%".parse::<MinFree>().is_err());
        assert!("NaN%".parse::<MinFree>().is_err());
        assert_eq!(MinFree::Percent(20.0).bytes(1000), 200);
    }

    #[test]
    fn gigabytes_have_at_most_three_decimals() {
        assert_eq!(gigabytes(1_000_000_000).to_string(), "1");
        assert_eq!(gigabytes(1_153_433_600).to_string(), "1.153");
        assert_eq!(gigabytes(499_999).to_string(), "0");
    }

    #[test]
    fn human_sizes_keep_three_digits() {
        assert_eq!(human(999), "999 B");
        assert_eq!(human(999_600), "1.00 MB");
        assert_eq!(human(1_153_433_600), "1.15 GB");
        assert_eq!(human(45_600_000_000), "45.6 GB");
        assert_eq!(human(u64::MAX), "18.4 EB");
    }

    #[test]
    fn human_seconds_grow_coarser() {
        assert_eq!(human_seconds(0.42), "0.4 s");
        assert_eq!(human_seconds(200.0), "3 min 20 s");
        assert_eq!(human_seconds(7500.0), "2 h 05 min");
    }
}
