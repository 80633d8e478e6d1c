//! ddrescue map files: which sectors of a medium were never read.
//!
//! Format: GNU ddrescue manual, "Mapfile structure". Comments begin with `#`; the first other line is the status of the
//! rescue; every further one is `position size status`, numbers decimal, `0x` or `0`-octal, status one of `?*/-+`, of
//! which `+` alone means that the bytes are the medium's. What no line covers was never tried. A map is read as
//! `ddrescuelog --complete-mapfile` reads it: areas may stand in any order, and overlap where they have the same status.
//!
//! [`Maps`] knows which files of an archive are maps of which image; [`Masked`] is an image without what its map says was
//! never read; and [`Watched`] tells which sectors look as if they had not been, where no map can be read.

mod hollow;
mod maps;
mod mask;
mod name;
mod text;

use std::io;
use std::ops::Range;

use positioned_io::ReadAt;

pub use hollow::{Hollow, Watched};
pub use maps::{Known, Maps};
pub use mask::Masked;

use text::{FAR_END, Parser};

/// Largest map file that is read: a medium with a bad area every few kilobytes has one of some megabytes.
pub const MAX_MAP_LEN: u64 = 16 << 20;
/// Areas of a map that are remembered while it is read: some 24 MiB.
const MAX_AREAS: usize = 1 << 20;
/// Bytes of a map file that are read at once.
const PIECE: usize = 64 << 10;

/// The areas of a medium that were never read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RescueMap {
    /// Those before `end`, in order, none touching the next: what could not be read, and what was not tried.
    unread: Vec<Range<u64>>,
    /// Where the last area of the map ends: nothing behind it was tried.
    end: u64,
    /// Bytes that were read.
    read: u64,
}

/// Most areas of a medium that are reported.
const AREAS_TOLD: usize = 64;

/// How much of a medium was rescued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// Bytes that were read.
    pub bytes: u64,
    /// Bytes of the medium, at least 1: up to the end of map or image, whichever is farther.
    pub of: u64,
    /// Where bytes are that were never read, in order: so coarsely that there are at most 64 areas, for a drawing.
    pub unread: Vec<Range<u64>>,
}

impl Rescued {
    /// The share in percent, cut to two decimals, so that what lacks a sector is never 100.
    #[must_use]
    pub fn percent(&self) -> f64 {
        let hundredths = u128::from(self.bytes.min(self.of)) * 10_000 / u128::from(self.of.max(1));
        u32::try_from(hundredths).map_or(100.0, |hundredths| f64::from(hundredths) / 100.0)
    }
}

/// Why there is no map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is not what ddrescue writes.
    #[error("line {line} of the rescue map should be {what}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What it is not.
        what: &'static str,
    },
    /// It has no line but comments: ddrescue was stopped while it wrote it, or the disk was full.
    #[error("the rescue map has no status line")]
    NoStatusLine,
    /// It says two things of the same bytes.
    #[error("the rescue map gives byte {at} of the medium two statuses")]
    Overlap {
        /// The first of them.
        at: u64,
    },
    /// It is larger than any real one.
    #[error("the rescue map has {size} bytes; at most {MAX_MAP_LEN} are read")]
    TooLarge {
        /// Its size in bytes.
        size: u64,
    },
    /// It has more areas than are remembered.
    #[error("the rescue map has more than {MAX_AREAS} areas")]
    TooManyAreas,
    /// It could not be read.
    #[error("reading the rescue map")]
    Io(#[from] io::Error),
}

impl RescueMap {
    /// Reads a map file of `size` bytes.
    pub fn read(file: &dyn ReadAt, size: u64) -> Result<RescueMap, Error> {
        if size > MAX_MAP_LEN {
            return Err(Error::TooLarge { size });
        }
        let mut parser = Parser::default();
        let mut piece = vec![0; PIECE];
        let mut at = 0;
        while at < size {
            let len = usize::try_from(size - at).map_or(PIECE, |left| left.min(PIECE));
            let piece = piece.get_mut(..len).unwrap_or_default();
            file.read_exact_at(at, piece)?;
            parser.push(piece)?;
            at += len as u64;
        }
        RescueMap::of(parser)
    }

    /// The map in the text of a map file.
    pub fn parse(text: &[u8]) -> Result<RescueMap, Error> {
        let mut parser = Parser::default();
        parser.push(text)?;
        RescueMap::of(parser)
    }

    fn of(parser: Parser) -> Result<RescueMap, Error> {
        let mut areas = parser.finish()?;
        areas.sort_by_key(|area| area.start);
        let mut map = RescueMap::default();
        let mut last_status = None;
        for area in areas {
            if area.start < map.end && last_status != Some(area.status) {
                return Err(Error::Overlap { at: area.start });
            }
            if area.start > map.end {
                map.add_unread(map.end..area.start);
            }
            last_status = Some(area.status);
            // What overlaps the area before it has the same status.
            let new = area.start.max(map.end)..area.end.max(map.end);
            if area.status == b'+' {
                map.read += new.end - new.start;
            } else {
                map.add_unread(new.clone());
            }
            map.end = new.end;
        }
        Ok(map)
    }

    /// Adds what lies behind all areas so far, or touches the last.
    fn add_unread(&mut self, area: Range<u64>) {
        match self.unread.last_mut() {
            _ if area.is_empty() => {}
            Some(last) if last.end == area.start => last.end = area.end,
            _ => self.unread.push(area),
        }
    }

    /// How much of the medium was read, of which the image has `size` bytes; `None` where there is nothing to be read.
    #[must_use]
    pub fn rescued(&self, size: u64) -> Option<Rescued> {
        // As far as the map of a medium goes of which ddrescue did not know the size.
        let end = match self.unread.last() {
            Some(last) if last.end == FAR_END => last.start,
            _ => self.end,
        };
        let of = end.max(size);
        let mut unread: Vec<_> = self.unread.iter().map(|area| area.start..area.end.min(of)).collect();
        unread.push(self.end.min(of)..of);
        unread.retain(|area| !area.is_empty());
        unread.dedup_by(|next, last| {
            let is_touching = next.start == last.end;
            if is_touching {
                last.end = next.end;
            }
            is_touching
        });
        (of > 0).then(|| Rescued { bytes: self.read, of, unread: coarse(unread, of) })
    }

    /// The first byte of `range` that was never read.
    #[must_use]
    pub fn first_unread(&self, range: &Range<u64>) -> Option<u64> {
        self.unread_in(range).next().map(|area| area.start)
    }

    /// What of `range` was never read, in order.
    pub fn unread_in(&self, range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let Range { start, end } = *range;
        let first = self.unread.partition_point(|area| area.end <= start);
        let listed = self.unread.get(first..).unwrap_or_default().iter().cloned();
        let areas = listed.chain(std::iter::once(self.end..u64::MAX));
        let inside = areas.map(move |area| area.start.max(start)..area.end.min(end));
        inside.take_while(|area| !area.is_empty())
    }

    /// Bytes of memory that it takes, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        size_of::<Self>() + size_of_val(self.unread.as_slice())
    }
}

/// The areas of a medium of `whole` bytes, joined across short gaps, until they are few.
fn coarse(mut areas: Vec<Range<u64>>, whole: u64) -> Vec<Range<u64>> {
    let mut gap = whole / 4096;
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

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::io::Write as _;

    use super::*;

    const MAP: &[u8] =
        b"# Mapfile. Created by GNU ddrescue version 1.27\n# current_pos  current_status  current_pass\n\
        0x00000400     +               1\n#      pos        size  status\n0x00000000  0x00000200  -\n\
        0x00000200  0x00000200  ?\n0x00000400  0x00100000  +\n0x00100400  0x00000200  /\n";

    /// Where what was never read begins and ends, and so on.
    fn unread(text: &[u8]) -> Result<Vec<u64>, Error> {
        RescueMap::parse(text).map(|map| map.unread.iter().flat_map(|area| [area.start, area.end]).collect())
    }

    #[test]
    fn areas_that_were_not_read_are_found() {
        let map = RescueMap::parse(MAP).expect("a map");
        assert_eq!(map.unread, [0..0x400, 0x10_0400..0x10_0600]);
        assert_eq!(map.first_unread(&(0..512)), Some(0));
        assert_eq!(map.first_unread(&(0x3ff..0x1000)), Some(0x3ff));
        assert_eq!(map.first_unread(&(0x400..0x10_0400)), None);
        assert_eq!(map.first_unread(&(0x10_0000..0x10_0401)), Some(0x10_0400));
        assert_eq!(map.first_unread(&(5..5)), None);
        let inside: Vec<_> = map.unread_in(&(0x200..0x20_0000)).collect();
        assert_eq!(inside, [0x200..0x400, 0x10_0400..0x10_0600, 0x10_0600..0x20_0000]);
    }

    #[test]
    fn what_no_line_tells_of_was_never_tried() {
        let map = RescueMap::parse(b"0 ?\n10 5 +\n20 5 +\n25 5 -\n").expect("a map");
        assert_eq!((map.unread.as_slice(), map.end), (&[0..10, 15..20, 25..30][..], 30));
        for (range, first) in [(0..30, 0), (10..16, 15), (20..25, u64::MAX), (29..99, 29), (30..31, 30), (99..100, 99)]
        {
            assert_eq!(map.first_unread(&range).unwrap_or(u64::MAX), first, "{range:?}");
        }
        let nothing = RescueMap::parse(b"0 ?\n").expect("a map of nothing");
        assert_eq!(nothing.first_unread(&(7..9)), Some(7));
    }

    #[test]
    fn areas_may_stand_in_any_order_and_overlap_where_they_say_the_same() {
        assert_eq!(unread(b"0 +\n20 5 -\n0 20 +\n").expect("a map"), [20, 25]);
        assert_eq!(unread(b"0 +\n0 9 -\n5 9 -\n3 2 -\n14 2 /\n").expect("a map"), [0, 16]);
        assert_eq!(unread(b"0 +\n10 5 +\n0 30 +\n").expect("a map"), [0; 0]);
        for text in [&b"0 +\n0 9 +\n5 9 -\n"[..], b"0 +\n5 9 -\n0 9 +\n", b"0 +\n0 9 ?\n0 9 -\n"] {
            assert!(matches!(unread(text), Err(Error::Overlap { .. })), "{}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_share_is_never_rounded_up_to_the_whole() {
        let share =
            |map: &[u8], size| RescueMap::parse(map).expect("a map").rescued(size).map(|rescued| rescued.percent());
        assert_eq!(share(MAP, 1000), Some(99.85));
        assert_eq!(share(b"0 +\n0 0x10000000000 +\n0x10000000000 1 -\n", 0), Some(99.99));
        assert_eq!(share(b"0 +\n0 0x10000000000 +\n", 0), Some(100.0));
        assert_eq!(share(b"0 +\n0 500 +\n", 1000), Some(50.0));
        assert_eq!(share(b"0 +\n500 500 +\n", 0), Some(50.0));
        assert_eq!(share(b"0 +\n", 0), None);
        assert_eq!(share(b"0 +\n", 1000), Some(0.0));
    }

    #[test]
    fn a_medium_whose_end_was_not_known_ends_where_map_or_image_does() {
        let map = RescueMap::parse(b"0 ?\n0 600 +\n600 0x7ffffffffffffda7 ?\n").expect("a map");
        let rescued = |size| {
            let Rescued { bytes, of, unread } = map.rescued(size).expect("areas");
            (bytes, of, unread.first().cloned())
        };
        assert_eq!((rescued(0), rescued(1000)), ((600, 600, None), (600, 1000, Some(600..1000))));
    }

    #[test]
    fn many_unread_areas_are_told_as_few() {
        let mut text = "0 +\n".to_owned();
        for area in 0..10_000u64 {
            let position = area * 4096 + if area < 5000 { 0 } else { 1 << 40 };
            if area == 5000 {
                let gap = position - area * 4096;
                writeln!(text, "{} {gap} +", area * 4096).expect("a String takes everything");
            }
            writeln!(text, "{position} 512 -\n{} 3584 +", position + 512).expect("a String takes everything");
        }
        let rescued = RescueMap::parse(text.as_bytes()).expect("a map").rescued(0).expect("areas");
        let second = (1 << 40) + 5000 * 4096;
        assert_eq!(rescued.unread, [0..4999 * 4096 + 512, second..second + 4999 * 4096 + 512]);
    }

    #[test]
    fn what_is_no_map_is_refused_with_its_line() {
        for (text, line) in [
            (&b"\n# x\n0x0 +\n0x0 x +\n"[..], 4),
            (b"0 +\n0 5 !\n", 2),
            (b"0 +\n9 0 ?\n", 2),
            (b"\xff\n", 1),
            (b"{}", 1),
        ] {
            let error = RescueMap::parse(text).expect_err("no map");
            assert!(matches!(error, Error::Syntax { line: found, .. } if found == line), "{error}");
        }
        for text in [&b""[..], b"\n \t\n", b"# Mapfile. Created by GNU ddrescue version 1.27\n# 0 + 1"] {
            assert!(matches!(RescueMap::parse(text), Err(Error::NoStatusLine)));
        }
    }

    #[test]
    fn a_map_that_is_too_large_is_not_read() {
        assert!(matches!(RescueMap::read(&b"0 +\n".to_vec(), MAX_MAP_LEN + 1), Err(Error::TooLarge { .. })));
        let areas: Vec<u8> = (0..=MAX_AREAS).flat_map(|at| format!("{} 1 -\n", at * 2).into_bytes()).collect();
        assert!(matches!(RescueMap::parse(&[b"0 +\n", &areas[..]].concat()), Err(Error::TooManyAreas)));
    }

    #[test]
    fn a_map_is_read_piece_by_piece() {
        let mut text = b"0 +\n".to_vec();
        for at in 0..20_000u64 {
            writeln!(text, "{} 1 -  # a comment", at * 2).expect("memory");
        }
        assert!(text.len() > 3 * PIECE);
        let read = RescueMap::read(&text, text.len() as u64).expect("a map");
        assert_eq!(read, RescueMap::parse(&text).expect("a map"));
        assert!(matches!(RescueMap::read(&text, text.len() as u64 + 1), Err(Error::Io(_))));
    }
}
