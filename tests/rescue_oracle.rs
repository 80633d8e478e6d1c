//! Rescue maps, sound and broken in every way, as `ddrescuelog` reads them: which it refuses, and what was never read.
//!
//! `ddrescuelog --complete-mapfile` is the mode in which it reads a map that does not tell of all of the medium; without it,
//! a gap is an error.

#![cfg(feature = "oracles")]

mod common;

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use imgsieve::rescue::{Error, Masked, RescueMap};
use positioned_io::ReadAt;

const MAPS: usize = 400;

/// Numbers by seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }

    fn one_in(&mut self, limit: u64) -> bool {
        self.below(limit) == 0
    }

    fn pick<'a>(&mut self, choices: &[&'a [u8]]) -> &'a [u8] {
        choices[usize::try_from(self.below(choices.len() as u64)).expect("small")]
    }

    /// A number as people and programs write it, or, rarely, what is none.
    fn number(&mut self, value: u64, odd: u64) -> Vec<u8> {
        if self.one_in(odd) {
            let odd: &[&[u8]] = &[
                b"-1",
                b"x",
                b"",
                b"0x",
                b"08",
                b"1.5",
                b"--1",
                b"0xg",
                b"99999999999999999999",
                b"0777777777777777777777777",
                b"+",
                b"- 1",
                b"0x7fffffffffffffff",
                b"9223372036854775807",
                b"-0",
                b"00x1",
                b"1e3",
                b"1_000",
                b"\xc2\xb2",
            ];
            return self.pick(odd).to_vec();
        }
        let plus = if self.one_in(8) { "+" } else { "" };
        let text = match self.below(6) {
            0 => format!("{plus}{value}"),
            1 => format!("{plus}0{value:o}"),
            2 => format!("{plus}0x{value:x}"),
            3 => format!("0X{value:X}"),
            _ => format!("0x{value:08X}"),
        };
        text.into_bytes()
    }

    fn space(&mut self) -> &'static [u8] {
        self.pick(&[b" ", b"  ", b"\t", b" \x0b ", b"\r ", b"     "])
    }

    fn comment(&mut self) -> Vec<u8> {
        let mut comment = b"#".to_vec();
        for _ in 0..self.below(60) {
            let byte = u8::try_from(self.below(256)).expect("a byte");
            comment.push(if byte == b'\n' { b'#' } else { byte });
        }
        comment
    }

    fn end_of_line(&mut self, odd: u64) -> Vec<u8> {
        let mut end = match self.below(8) {
            0 => [self.space(), &self.comment()].concat(),
            1 => b"\r".to_vec(),
            2 => [self.space(), b"anything"].concat(),
            3 if self.one_in(odd) => self.comment(),
            4 if self.one_in(odd) => b"\0\0".to_vec(),
            _ => Vec::new(),
        };
        end.push(b'\n');
        if self.one_in(8) {
            end.extend(b" \t\n\n");
        }
        if self.one_in(8) {
            end.extend(self.comment());
            end.push(b'\n');
        }
        end
    }

    /// A map. The larger `odd`, the fewer of its lines are unlike those that ddrescue writes.
    fn map(&mut self, odd: u64) -> Vec<u8> {
        let mut text = Vec::new();
        for _ in 0..self.below(4) {
            text.extend(self.comment());
            text.push(b'\n');
        }
        if !self.one_in(odd) {
            let position = self.below(1 << 20);
            text.extend(self.number(position, odd));
            text.extend(if self.one_in(odd) { b"" } else { self.space() });
            text.extend(if self.one_in(odd) { self.pick(&[b"x", b"", b"1"]) } else { self.pick(STATUSES) });
            if self.one_in(2) {
                text.extend(self.space());
                text.extend(if self.one_in(odd) { self.pick(PASSES) } else { self.pick(&[b"1", b"2", b"+3", b"017"]) });
            }
            text.extend(self.end_of_line(odd));
        }
        let mut lines = Vec::new();
        let has_gaps = self.one_in(3);
        let mut at = if self.one_in(3) { self.below(4096) } else { 0 };
        for _ in 0..self.below(12) {
            let size = if self.one_in(3 * odd) { 0 } else { 1 + self.below(5000) };
            let start = match self.below(2 * odd) {
                _ if has_gaps && self.one_in(3) => at + self.below(5000),
                0 => at + self.below(5000),
                1 if self.one_in(2) => at.saturating_sub(1),
                1 => at.saturating_sub(self.below(3000)),
                2 => self.below(8000),
                _ => at,
            };
            let mut line = if self.one_in(6) { self.space().to_vec() } else { Vec::new() };
            line.extend(self.number(start, 4 * odd));
            line.extend(self.space());
            line.extend(self.number(size, 4 * odd));
            line.extend(if self.one_in(odd) { b"" } else { self.space() });
            if self.one_in(6 * odd) {
                line.extend(self.pick(&[b"x", b"", b"F", b"1", b"\0"]));
            } else if self.one_in(2) {
                line.push(b'+');
            } else {
                line.extend(self.pick(&[b"?", b"*", b"/", b"-"]));
            }
            if self.one_in(8 * odd) {
                line = line.iter().flat_map(|&byte| if byte == b' ' { vec![b' '; 100] } else { vec![byte] }).collect();
            }
            if self.one_in(2 * odd) {
                let place = usize::try_from(self.below(line.len() as u64 + 1)).expect("small");
                line.splice(place..place, self.pick(&[b"\0", b"#", b"\xa0", b"\n", b"\r", b"0"]).iter().copied());
            }
            line.extend(self.end_of_line(odd));
            lines.push(line);
            at = start + size;
        }
        if self.one_in(odd) {
            lines.reverse();
        }
        text.extend(lines.concat());
        if self.one_in(6) {
            text.pop();
        }
        text
    }
}

const STATUSES: &[&[u8]] = &[b"?", b"*", b"/", b"-", b"F", b"G", b"+"];
const PASSES: &[&[u8]] = &[b"0", b"-1", b"0x1", b"4294967296", b"4294967297", b"99999999999999999999", b"x", b"#"];

/// What `ddrescuelog` makes of the map: each area, and its status; none where it refuses it.
fn completed(path: &Path) -> Option<Vec<(Range<u64>, u8)>> {
    let output = Command::new("ddrescuelog").arg("--complete-mapfile").arg(path).output();
    let output = output.expect("ddrescuelog, of the Debian package gddrescue");
    if !output.status.success() {
        return None;
    }
    let text = String::from_utf8(output.stdout).expect("it writes ASCII");
    let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    let hex = |field: &str| u64::from_str_radix(field.strip_prefix("0x").expect("hex"), 16).expect("a number");
    let areas = lines.map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let start = hex(fields[0]);
        (start..start + hex(fields[1]), fields[2].as_bytes()[0])
    });
    Some(areas.collect())
}

/// Ranges that touch, as one.
fn joined(ranges: impl IntoIterator<Item = Range<u64>>) -> Vec<Range<u64>> {
    let mut joined: Vec<Range<u64>> = Vec::new();
    for range in ranges.into_iter().filter(|range| !range.is_empty()) {
        match joined.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => joined.push(range),
        }
    }
    joined
}

/// What was never read by such areas, which leave no gap.
fn unread(areas: &[(Range<u64>, u8)]) -> Vec<Range<u64>> {
    let end = areas.last().map_or(0, |(area, _)| area.end);
    let listed = areas.iter().filter(|(_, status)| *status != b'+').map(|(area, _)| area.clone());
    joined(listed.chain(std::iter::once(end..u64::MAX)))
}

#[test]
fn maps_are_read_as_ddrescuelog_reads_them() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("made.map");
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let (mut accepted, mut refused, mut incomplete) = (0, 0, 0);
    for number in 0..MAPS {
        let odd = [4, 12, 40, 200][number % 4];
        let text = random.map(odd);
        std::fs::write(&path, &text).expect("a file");
        let shown = text.escape_ascii();
        let (ours, theirs) = (RescueMap::parse(&text), completed(&path));
        match (&ours, &theirs) {
            (Ok(map), Some(areas)) => {
                accepted += 1;
                assert_eq!(joined(map.unread_in(&(0..u64::MAX))), unread(areas), "{number}: {shown}");
            }
            // To ddrescue, a file without a line is a rescue that has yet to begin. To us, a map that was lost.
            (Err(Error::NoStatusLine), Some(areas)) => assert!(areas.is_empty(), "{number}: {shown}"),
            (Err(_), None) => refused += 1,
            _ => panic!("{number}: {shown}\nwe: {ours:?}\nddrescuelog: {theirs:?}"),
        }
        let strict = Command::new("ddrescuelog").args(["--quiet", "--show-status"]).arg(&path).output();
        let is_strict = strict.expect("ddrescuelog").status.success();
        assert!(!is_strict || theirs.is_some(), "{number}: {shown}");
        incomplete += usize::from(theirs.is_some() && !is_strict);
    }
    let met = (accepted, refused, incomplete);
    assert!(
        accepted > MAPS / 3 && refused > MAPS / 4 && incomplete > MAPS / 16,
        "the maps are too much alike: {met:?}"
    );
}

#[test]
fn an_image_is_masked_where_it_was_never_read_and_nowhere_else() {
    const SIZE: u64 = 10_000;
    let image: Vec<u8> = (0..SIZE).map(|at| at.to_le_bytes()[0] | 1).collect();
    let mut random = Random(0x0123_4567_89AB_CDEF);
    let mut masked_bytes = 0;
    for number in 0..300 {
        let text = random.map(100);
        let Ok(map) = RescueMap::parse(&text) else { continue };
        let is_unread = |at: u64| map.first_unread(&(at..at + 1)).is_some();
        let expected: Vec<u8> = (0..SIZE).zip(&image).map(|(at, &byte)| if is_unread(at) { 0 } else { byte }).collect();
        let areas: Vec<u64> = map.unread_in(&(0..SIZE)).flatten().collect();
        assert!(areas == (0..SIZE).filter(|&at| is_unread(at)).collect::<Vec<_>>(), "{number}");
        let masked = Masked::new(&image, SIZE, &map);
        for _ in 0..20 {
            let start = random.below(SIZE);
            let end = start + random.below(SIZE - start + 1);
            let [from, until] = [start, end].map(|at| usize::try_from(at).expect("small"));
            let mut bytes = vec![b'?'; until - from];
            masked.read_exact_at(start, &mut bytes).expect("inside");
            assert!(bytes == expected[from..until], "{number}: {start}..{end}");
        }
        masked_bytes += areas.len();
    }
    assert!(masked_bytes > 1 << 19, "hardly anything was masked: {masked_bytes}");
}
