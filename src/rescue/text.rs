//! The text of a map file, byte by byte, as ddrescue reads it (GNU ddrescue 1.27, `mapfile.cc`).
//!
//! ddrescue takes lines apart with `sscanf`, and so accepts more than it writes: signs, no space between a number and a
//! status, anything behind the last field. The same is accepted here, and nothing else is.

use super::{Error, MAX_AREAS};

/// What is kept of a line, in bytes; ddrescue forgets the rest.
const LINE_KEPT: usize = 127;

/// Where the largest medium ends: positions are `long long`.
pub(super) const FAR_END: u64 = i64::MAX.cast_unsigned();

/// An area of the medium, not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub start: u64,
    pub end: u64,
    pub status: u8,
}

/// Takes the text in pieces.
#[derive(Debug, Default)]
pub(super) struct Parser {
    state: State,
    /// The number of the line at hand, from 0.
    number: usize,
    /// What is kept of it.
    line: Vec<u8>,
    has_status: bool,
    /// In the order of the file; what goes on where the one before it ends is one with it.
    areas: Vec<Area>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// Before the first byte that counts.
    #[default]
    Before,
    /// In a line, behind white space or not.
    Inside { is_after_space: bool },
    /// In a comment.
    Comment,
}

impl Parser {
    /// Goes on with `text`.
    pub fn push(&mut self, text: &[u8]) -> Result<(), Error> {
        for &byte in text {
            match (self.state, byte) {
                (_, b'\n') => self.end_line()?,
                (State::Comment, _) => {}
                (State::Before | State::Inside { is_after_space: true }, b'#') => self.state = State::Comment,
                (State::Before, byte) if is_space(byte) => {}
                _ => {
                    if self.line.len() < LINE_KEPT {
                        self.line.push(byte);
                    }
                    self.state = State::Inside { is_after_space: is_space(byte) };
                }
            }
        }
        Ok(())
    }

    /// The areas, once the text has ended.
    pub fn finish(mut self) -> Result<Vec<Area>, Error> {
        self.end_line()?;
        if self.has_status { Ok(self.areas) } else { Err(Error::NoStatusLine) }
    }

    fn end_line(&mut self) -> Result<(), Error> {
        self.number += 1;
        self.state = State::Before;
        if self.line.is_empty() {
            return Ok(());
        }
        let line = self.number;
        if self.has_status {
            let area = block_line(&self.line).ok_or(Error::Syntax { line, what: "a position, a size and a status" })?;
            add(&mut self.areas, area)?;
        } else if is_status_line(&self.line) {
            self.has_status = true;
        } else {
            return Err(Error::Syntax { line, what: "the status line" });
        }
        self.line.clear();
        Ok(())
    }
}

fn add(areas: &mut Vec<Area>, area: Area) -> Result<(), Error> {
    if area.start == area.end {
        return Ok(());
    }
    if let Some(last) = areas.last_mut()
        && last.status == area.status
        && (last.start..=last.end).contains(&area.start)
    {
        last.end = last.end.max(area.end);
        return Ok(());
    }
    if areas.len() == MAX_AREAS {
        return Err(Error::TooManyAreas);
    }
    areas.push(area);
    Ok(())
}

/// `sscanf( line, "%lli %c %d" )`: where it stood, what it was doing, and perhaps the pass.
fn is_status_line(line: &[u8]) -> bool {
    let mut scan = Scan(line);
    let position = scan.integer(0);
    let status = position.and_then(|_| scan.char());
    let pass = status.and_then(|_| scan.integer(10));
    position.is_some_and(|position| position >= 0)
        && status.is_some_and(|status| b"?*/-FG+".contains(&status))
        && pass.is_none_or(|pass| as_int(pass) >= 1)
}

/// `sscanf( line, "%lli %lli %c" )`: an area and its status.
fn block_line(line: &[u8]) -> Option<Area> {
    let mut scan = Scan(line);
    let (position, size, status) = (scan.integer(0)?, scan.integer(0)?, scan.char()?);
    let (start, size) = (u64::try_from(position).ok()?, u64::try_from(size).ok()?);
    if (size == 0 && start != 0) || !b"?*/-+".contains(&status) {
        return None;
    }
    Some(Area { start, end: start.saturating_add(size).min(FAR_END), status })
}

/// A `long` in an `int`, as `%d` stores it.
fn as_int(value: i64) -> i32 {
    let [a, b, c, d, ..] = value.to_le_bytes();
    i32::from_le_bytes([a, b, c, d])
}

/// White space in the C locale.
fn is_space(byte: u8) -> bool {
    byte == b' ' || (b'\t'..=b'\r').contains(&byte)
}

/// A line that is taken apart from its beginning, as sscanf does it.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn skip_spaces(&mut self) {
        while let [first, rest @ ..] = self.0
            && is_space(*first)
        {
            self.0 = rest;
        }
    }

    /// ` %c`
    fn char(&mut self) -> Option<u8> {
        self.skip_spaces();
        let (&first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(first)
    }

    fn take(&mut self, wanted: impl Fn(u8) -> bool) -> Option<u8> {
        let (&first, rest) = self.0.split_first().filter(|&(&first, _)| wanted(first))?;
        self.0 = rest;
        Some(first)
    }

    /// `%lli`, or `%ld` with base 10. What is out of range is the nearest that is in it.
    fn integer(&mut self, base: u32) -> Option<i64> {
        self.skip_spaces();
        let is_negative = self.take(|byte| matches!(byte, b'+' | b'-')) == Some(b'-');
        let mut base = base;
        let mut magnitude = self.take(|byte| byte == b'0').map(|_| 0i128);
        if magnitude.is_some() && base == 0 {
            // The `x` is gone even where no digit follows.
            let is_hex = self.take(|byte| matches!(byte, b'x' | b'X')).is_some();
            base = if is_hex { 16 } else { 8 };
        } else if base == 0 {
            base = 10;
        }
        while let Some(digit) = self.take(|byte| char::from(byte).is_digit(base)) {
            let digit = char::from(digit).to_digit(base).map_or(0, i128::from);
            let most = 1i128 << 64;
            magnitude = Some((magnitude.unwrap_or(0) * i128::from(base) + digit).min(most));
        }
        let value = magnitude.map(|magnitude| if is_negative { -magnitude } else { magnitude })?;
        Some(i64::try_from(value).unwrap_or(if is_negative { i64::MIN } else { i64::MAX }))
    }
}
