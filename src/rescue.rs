//! ddrescue map files: which sectors of a medium were never read.
//!
//! Format: GNU ddrescue manual, "Mapfile structure". Comment lines begin with `#`; the first other line is the status
//! of the rescue; every further one is `position size status`, numbers decimal, `0x` or `0`-octal, status one of
//! `?*/-+`, of which `+` alone means that the bytes are the medium's.

use std::io;
use std::ops::Range;

use positioned_io::ReadAt;

/// Largest map file that is read: a medium with a bad area every few kilobytes has one of some megabytes.
pub const MAX_MAP_LEN: u64 = 16 << 20;

/// The areas of a medium that were never read, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RescueMap {
    unread: Vec<Range<u64>>,
    /// Bytes of all its areas, and of those that were read.
    whole: u64,
    read: u64,
}

/// Areas of a medium that are told of at most.
const AREAS_TOLD: usize = 64;

/// How much of a medium was rescued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// Bytes that were read.
    pub bytes: u64,
    /// Bytes that the map tells of, at least 1.
    pub of: u64,
    /// Where bytes are that were never read, in order: so coarsely that there are at most 64 areas, for a drawing.
    pub unread: Vec<Range<u64>>,
}

impl Rescued {
    /// The share in percent, cut to two decimals, so that what lacks a sector is never 100.
    #[must_use]
    pub fn percent(&self) -> f64 {
        let hundredths = u128::from(self.bytes) * 10_000 / u128::from(self.of.max(1));
        u32::try_from(hundredths).map_or(100.0, |hundredths| f64::from(hundredths) / 100.0)
    }
}

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not what ddrescue writes.
    #[error("line {line} of the rescue map: {why}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        why: &'static str,
    },
    /// It is larger than any.
    #[error("a rescue map of {size} bytes; at most {MAX_MAP_LEN} are read")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It could not be read.
    #[error("reading the rescue map")]
    Io(#[from] io::Error),
}

impl RescueMap {
    /// Reads a map file of `size` bytes.
    pub fn read(file: &dyn ReadAt, size: u64) -> Result<RescueMap, Error> {
        let length = usize::try_from(size).ok().filter(|_| size <= MAX_MAP_LEN).ok_or(Error::TooLarge { size })?;
        let mut text = vec![0; length];
        file.read_exact_at(0, &mut text)?;
        RescueMap::parse(&text)
    }

    /// The map in the text of a map file.
    pub fn parse(text: &[u8]) -> Result<RescueMap, Error> {
        let mut map = RescueMap::default();
        let mut last_end = 0;
        let mut status_seen = false;
        for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            let error = |why| Error::Syntax { line: number, why };
            let line = std::str::from_utf8(line).map_err(|_| error("not text"))?.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let mut fields = line.split_ascii_whitespace();
            let position = integer(fields.next()).ok_or_else(|| error("no position"))?;
            if !status_seen {
                status_seen = true;
                continue;
            }
            let size = integer(fields.next()).ok_or_else(|| error("no size"))?;
            let end = position.checked_add(size).ok_or_else(|| error("an area past the end of all media"))?;
            if position < last_end {
                return Err(error("areas out of order"));
            }
            last_end = end;
            map.whole += size;
            match fields.next() {
                Some("+") => map.read += size,
                Some("?" | "*" | "/" | "-") => match map.unread.last_mut() {
                    Some(last) if last.end == position => last.end = end,
                    _ => map.unread.push(position..end),
                },
                _ => return Err(error("no status that ddrescue knows")),
            }
        }
        if !status_seen {
            return Err(Error::Syntax { line: 1, why: "no status line" });
        }
        Ok(map)
    }

    /// How much of the medium was read; `None` where the map has no area.
    #[must_use]
    pub fn rescued(&self) -> Option<Rescued> {
        (self.whole > 0).then(|| Rescued { bytes: self.read, of: self.whole, unread: self.coarse() })
    }

    /// The unread areas, joined where little lies between them, until they are few.
    fn coarse(&self) -> Vec<Range<u64>> {
        let mut areas = self.unread.clone();
        let mut gap = self.whole / 4096;
        while areas.len() > AREAS_TOLD {
            areas.dedup_by(|next, last| {
                let is_near = next.start - last.end <= gap;
                if is_near {
                    last.end = next.end;
                }
                is_near
            });
            gap = gap.saturating_mul(2).max(1);
        }
        areas
    }

    /// The first byte of `range` that was never read.
    #[must_use]
    pub fn first_unread(&self, range: &Range<u64>) -> Option<u64> {
        let next = self.unread.partition_point(|area| area.end <= range.start);
        let area = self.unread.get(next)?;
        let first = area.start.max(range.start);
        (first < range.end.min(area.end)).then_some(first)
    }
}

/// A number as strtoul with base 0 reads it.
fn integer(field: Option<&str>) -> Option<u64> {
    let field = field?;
    match field.strip_prefix("0x").or_else(|| field.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None if field.len() > 1 && field.starts_with('0') => u64::from_str_radix(field, 8).ok(),
        None => field.parse().ok(),
    }
}

/// Whether the member `map` is the map of the image `image`: the same path but for `.map` in place of, or after, the
/// image's suffix. Bytes of paths; ASCII case of the suffixes does not matter.
#[must_use]
pub fn is_map_of(map: &[u8], image: &[u8]) -> bool {
    if !is_map_name(map) {
        return false;
    }
    let stem = &map[..map.len() - MAP_SUFFIX.len()];
    let image_stem = image.iter().rposition(|&byte| byte == b'.').map_or(image, |dot| &image[..dot]);
    let (stem, image, image_stem) = (plain(stem), plain(image), plain(image_stem));
    stem == image || stem == image_stem
}

/// A path without leading `./`.
fn plain(path: &[u8]) -> &[u8] {
    path.strip_prefix(b"./").unwrap_or(path)
}

/// How the name of a map file ends.
const MAP_SUFFIX: &[u8] = b".map";

/// Whether `name` could be a map file's.
#[must_use]
pub fn is_map_name(name: &[u8]) -> bool {
    has_suffix(name, MAP_SUFFIX)
}

/// Whether `name` ends in `suffix`, ASCII case ignored.
#[must_use]
pub fn has_suffix(name: &[u8], suffix: &[u8]) -> bool {
    let start = name.len().checked_sub(suffix.len());
    start.is_some_and(|start| name[start..].eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    const MAP: &[u8] =
        b"# Mapfile. Created by GNU ddrescue version 1.27\n# current_pos  current_status  current_pass\n\
        0x00000400     +               1\n#      pos        size  status\n0x00000000  0x00000200  -\n\
        0x00000200  0x00000200  ?\n0x00000400  0x00100000  +\n0x00100400  0x00000200  /\n";

    #[test]
    fn areas_that_were_not_read_are_found() {
        let map = RescueMap::parse(MAP).expect("a map");
        assert_eq!(map.unread, [0..0x400, 0x10_0400..0x10_0600]);
        assert_eq!(map.first_unread(&(0..512)), Some(0));
        assert_eq!(map.first_unread(&(0x3ff..0x1000)), Some(0x3ff));
        assert_eq!(map.first_unread(&(0x400..0x10_0400)), None);
        assert_eq!(map.first_unread(&(0x10_0000..0x10_0401)), Some(0x10_0400));
        assert_eq!(map.first_unread(&(0x20_0000..0x20_0001)), None);
        assert_eq!(map.first_unread(&(5..5)), None);
    }

    #[test]
    fn a_share_is_never_rounded_up_to_the_whole() {
        let share = |map: &[u8]| RescueMap::parse(map).expect("a map").rescued().map(|rescued| rescued.percent());
        assert_eq!(share(MAP), Some(99.85));
        assert_eq!(share(b"0 +\n0 0x10000000000 +\n0x10000000000 1 -\n"), Some(99.99));
        assert_eq!(share(b"0 +\n0 0x10000000000 +\n"), Some(100.0));
        assert_eq!(share(b"0 +\n0 0xffffffffffffffff ?\n"), Some(0.0));
        assert_eq!(share(b"0 +\n"), None);
    }

    #[test]
    fn many_unread_areas_are_told_as_few() {
        let mut text = "0 +\n".to_owned();
        for area in 0..10_000u64 {
            let position = area * 4096 + if area < 5000 { 0 } else { 1 << 40 };
            writeln!(text, "{position} 512 -\n{} 3584 +", position + 512).expect("a String takes everything");
        }
        let rescued = RescueMap::parse(text.as_bytes()).expect("a map").rescued().expect("areas");
        let second = (1 << 40) + 5000 * 4096;
        assert_eq!(rescued.unread, [0..4999 * 4096 + 512, second..second + 4999 * 4096 + 512]);
    }

    #[test]
    fn what_is_no_map_is_refused_with_its_line() {
        for (text, line) in [
            (&b""[..], 1),
            (b"0x0 +\n0x0 x +\n", 2),
            (b"0 +\n0 5 !\n", 2),
            (b"0 +\n9 9 ?\n1 1 ?\n", 3),
            (b"0 +\n9 9 +\n17 1 ?\n", 3),
            (b"\xff\n", 1),
        ] {
            let error = RescueMap::parse(text).expect_err("no map");
            assert!(matches!(error, Error::Syntax { line: found, .. } if found == line), "{error}");
        }
        assert!(RescueMap::parse(b"0 ?\n0xffffffffffffffff 0x2 -\n").is_err());
    }

    #[test]
    fn a_map_belongs_to_the_image_beside_it() {
        assert!(is_map_of(b"ab.map", b"ab.img"));
        assert!(is_map_of(b"./ab.img.MAP", b"ab.img"));
        assert!(is_map_of(b"x/ab.map", b"./x/ab.img"));
        assert!(!is_map_of(b"cd.map", b"ab.img"));
        assert!(!is_map_of(b"ab.log", b"ab.img"));
    }
}
