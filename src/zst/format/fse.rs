//! FSE tables of sequence codes: from their descriptions to decoding tables (RFC 8878 sections 3.1.1.3.2 and 4.1).
#![expect(clippy::inline_always, reason = "what sizing inlines is compiled for the instructions at hand, see `lanes`")]

use crate::zst::format::block::{Field, Mode, Sections};
use crate::zst::format::fault::Fault;

/// Highest symbol of any distribution that is read here: match length codes go to 52.
pub(in crate::zst) const MAX_SYMBOLS: usize = 64;
/// Highest `Accuracy_Log` of a sequence field, that of lengths: RFC 8878 section 3.1.1.3.2.1.
const MAX_LOG: u32 = 9;
/// Symbols that are written at once.
const RUN: usize = 8;
/// States of the largest table.
pub(in crate::zst) const STATES: usize = 1 << MAX_LOG;

/// Baseline and number of extra bits of each `Literals_Length_Code`: RFC 8878 section 3.1.1.3.2.1.1.
#[rustfmt::skip]
const LITERAL_LENGTHS: [(u32, u8); 36] = [
    (0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 0), (12, 0), (13, 0),
    (14, 0), (15, 0), (16, 1), (18, 1), (20, 1), (22, 1), (24, 2), (28, 2), (32, 3), (40, 3), (48, 4), (64, 6),
    (128, 7), (256, 8), (512, 9), (1024, 10), (2048, 11), (4096, 12), (8192, 13), (16384, 14), (32768, 15), (65536, 16),
];
/// The same of each `Match_Length_Code`.
#[rustfmt::skip]
const MATCH_LENGTHS: [(u32, u8); 53] = [
    (3, 0), (4, 0), (5, 0), (6, 0), (7, 0), (8, 0), (9, 0), (10, 0), (11, 0), (12, 0), (13, 0), (14, 0), (15, 0),
    (16, 0), (17, 0), (18, 0), (19, 0), (20, 0), (21, 0), (22, 0), (23, 0), (24, 0), (25, 0), (26, 0), (27, 0), (28, 0),
    (29, 0), (30, 0), (31, 0), (32, 0), (33, 0), (34, 0), (35, 1), (37, 1), (39, 1), (41, 1), (43, 2), (47, 2), (51, 3),
    (59, 3), (67, 4), (83, 4), (99, 5), (131, 7), (259, 8), (515, 9), (1027, 10), (2051, 11), (4099, 12), (8195, 13),
    (16387, 14), (32771, 15), (65539, 16),
];
/// Highest `Offset_Code` that libzstd reads: RFC 8878 section 3.1.1.3.2.1.1 leaves it to the decoder, and asks for 22.
const MAX_OFFSET_CODE: usize = 31;

/// The distributions of RFC 8878 section 3.1.1.3.2.2.
#[rustfmt::skip]
const PREDEFINED: [(u32, &[i16]); 3] = [
    (6, &[4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1,
          -1]),
    (5, &[1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1]),
    (6, &[1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
          1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1]),
];

impl Field {
    /// Highest `Accuracy_Log` of a table, RFC 8878 section 3.1.1.3.2.1.
    fn max_log(self) -> u32 {
        match self {
            Field::LiteralLength | Field::MatchLength => MAX_LOG,
            Field::Offset => 8,
        }
    }

    /// Highest code.
    pub const fn max_symbol(self) -> usize {
        match self {
            Field::LiteralLength => LITERAL_LENGTHS.len() - 1,
            Field::Offset => MAX_OFFSET_CODE,
            Field::MatchLength => MATCH_LENGTHS.len() - 1,
        }
    }

    /// Baseline and extra bits of a code, which is at most [`Field::max_symbol`].
    pub const fn code(self, code: usize) -> (u32, u8) {
        match self {
            Field::LiteralLength => LITERAL_LENGTHS[code],
            Field::Offset => (1 << code, code.to_le_bytes()[0]),
            Field::MatchLength => MATCH_LENGTHS[code],
        }
    }
}

/// How often each symbol occurs, in a sum of 2^log: RFC 8878 section 4.1.1.
pub(in crate::zst) struct Distribution {
    /// By symbol; -1 is "less than 1".
    counts: [i16; MAX_SYMBOLS],
    symbols: usize,
    log: u32,
}

impl Distribution {
    /// Reads a description at the beginning of `bytes`, and how many of them it takes.
    pub fn parse(bytes: &[u8], max_symbol: usize, max_log: u32) -> Result<(Distribution, usize), Fault> {
        let mut bits = ForwardBits { bytes, position: 0 };
        let log = bits.peek() & 0xF;
        let log = log + 5;
        if log > max_log {
            return Err(Fault::AccuracyTooHigh);
        }
        bits.position = 4;
        let mut counts = [0; MAX_SYMBOLS];
        let mut symbols = 0;
        // Sum of what is still to come, plus one.
        let mut remaining = (1 << log) + 1;
        let mut threshold = 1 << log;
        let mut width = log + 1;
        while remaining > 1 {
            if symbols > max_symbol {
                return Err(Fault::SymbolTooLarge);
            }
            let word = bits.peek();
            // Values that need the last bit: those from `short` on.
            let short = 2 * threshold - 1 - remaining;
            let mut value = word & (threshold - 1);
            if value < short {
                bits.position += width as usize - 1;
            } else {
                value = word & (2 * threshold - 1);
                if value >= threshold {
                    value -= short;
                }
                bits.position += width as usize;
            }
            let count = i16::try_from(value).expect("at most 2^9") - 1;
            counts[symbols] = count;
            symbols += 1;
            remaining -= u32::from(count.unsigned_abs());
            if count == 0 {
                loop {
                    let zeros = bits.peek() & 3;
                    bits.position += 2;
                    symbols += zeros as usize;
                    if zeros < 3 || symbols > max_symbol {
                        break;
                    }
                }
            }
            // The highest power of two that is not above what remains.
            width = u32::BITS - remaining.leading_zeros();
            threshold = 1 << (width - 1);
        }
        let consumed = bits.position.div_ceil(8);
        if consumed > bytes.len() {
            return Err(Fault::BlockTooShort);
        }
        Ok((Distribution { counts, symbols, log }, consumed))
    }

    fn predefined(field: Field) -> Distribution {
        let (log, given) = PREDEFINED[field as usize];
        let mut counts = [0; MAX_SYMBOLS];
        counts[..given.len()].copy_from_slice(given);
        Distribution { counts, symbols: given.len(), log }
    }

    /// The distribution of `field` that stands at the beginning of `bytes` in that mode, and how many of them it takes.
    pub fn read(field: Field, mode: Mode, bytes: &[u8]) -> Result<(Distribution, usize), Fault> {
        match mode {
            Mode::Predefined => Ok((Distribution::predefined(field), 0)),
            Mode::Compressed => Distribution::parse(bytes, field.max_symbol(), field.max_log()),
            Mode::Rle => {
                let symbol = usize::from(*bytes.first().ok_or(Fault::BlockTooShort)?);
                if symbol > field.max_symbol() {
                    return Err(Fault::SymbolTooLarge);
                }
                let mut counts = [0; MAX_SYMBOLS];
                counts[symbol] = 1;
                Ok((Distribution { counts, symbols: symbol + 1, log: 0 }, 1))
            }
            Mode::Repeat => Err(Fault::NothingToRepeat),
        }
    }

    /// `Accuracy_Log`.
    pub fn log(&self) -> u32 {
        self.log
    }

    /// Whether any state is of that symbol.
    pub fn has(&self, symbol: usize) -> bool {
        symbol < self.symbols && self.counts[symbol % MAX_SYMBOLS] != 0
    }

    /// Calls `set` with each state, from 0 on: its symbol, the bits to be read for the next state, and what they are added
    /// to. RFC 8878 section 4.1.1.
    ///
    /// Base and any value of that many bits are together below 2^log.
    #[inline(always)]
    pub fn build(&self, mut set: impl FnMut(usize, usize, Next)) {
        let symbols = self.spread();
        let mask = (1usize << self.log) - 1;
        let counts = &self.counts[..self.symbols.min(MAX_SYMBOLS)];
        let mut next = [0u16; MAX_SYMBOLS];
        for (next, count) in next.iter_mut().zip(counts) {
            *next = count.unsigned_abs();
        }
        let steps = &NEXT[self.log as usize % NEXT.len()];
        let inverse = INVERSE[self.log as usize % INVERSE.len()];
        let mut turn = 0;
        for state in 0..=mask {
            let symbol = usize::from(symbols[turn & (STATES - 1)]);
            let number = &mut next[symbol & (MAX_SYMBOLS - 1)];
            set(state, symbol, steps[usize::from(*number) & (2 * STATES - 1)]);
            *number += 1;
            turn = (turn + inverse) & mask;
        }
    }

    /// The symbols in the order in which they are given to states: the state that comes `turn`th is `turn * step`, modulo
    /// their number. Those of "less than 1" have the highest states, whenever these come.
    #[inline(always)]
    fn spread(&self) -> [u8; STATES + RUN] {
        let size = 1usize << self.log;
        let counts = &self.counts[..self.symbols.min(MAX_SYMBOLS)];
        let inverse = INVERSE[self.log as usize % INVERSE.len()];
        let mut symbols = [0u8; STATES + RUN];
        // The turns that are taken, a bit each.
        let mut taken = [0u64; STATES / 64];
        let mut state = size;
        let mut rare = [(0, 0u8); MAX_SYMBOLS];
        let mut rares = 0;
        for (symbol, &count) in (0..).zip(counts) {
            if count == -1 {
                state -= 1;
                let turn = (state * inverse) & (size - 1);
                taken[turn / 64 % taken.len()] |= 1 << (turn % 64);
                rare[rares % MAX_SYMBOLS] = (turn, symbol);
                rares += 1;
            }
        }
        let mut holes = Holes { words: taken, word: 0 };
        let mut hole = holes.next().unwrap_or(size);
        let mut turn = 0;
        for (symbol, &count) in (0..).zip(counts) {
            let mut left = usize::try_from(count).unwrap_or(0);
            while left > 0 {
                let len = left.min(hole - turn);
                // In whole chunks: what is written too far is overwritten by what comes next.
                for start in (turn..turn + len).step_by(RUN) {
                    symbols[start..start + RUN].copy_from_slice(&[symbol; RUN]);
                }
                left -= len;
                turn += len;
                if turn == hole && hole < size {
                    turn += 1;
                    hole = holes.next().unwrap_or(size);
                }
            }
        }
        for &(turn, symbol) in &rare[..rares.min(MAX_SYMBOLS)] {
            symbols[turn & (STATES - 1)] = symbol;
        }
        symbols
    }
}

/// The bits that are set, from the lowest up.
struct Holes {
    words: [u64; STATES / 64],
    word: usize,
}

impl Iterator for Holes {
    type Item = usize;

    #[inline(always)]
    fn next(&mut self) -> Option<usize> {
        while let Some(bits) = self.words.get_mut(self.word) {
            if *bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                *bits &= *bits - 1;
                return Some(self.word * 64 + bit);
            }
            self.word += 1;
        }
        None
    }
}

/// What comes after a state: RFC 8878 section 4.1.1. The base, which has zeros where the bits go that are added to it,
/// twice, and a single one above as many zeros as there are such bits.
#[derive(Clone, Copy)]
pub(in crate::zst) struct Next(u16);

impl Next {
    #[expect(clippy::cast_possible_truncation, reason = "no table has more than 2^9 states")]
    const fn new(base: usize, bits: usize) -> Next {
        Next((base << 1 | 1 << bits) as u16)
    }

    /// The number as it is kept.
    pub const fn kept(self) -> u16 {
        self.0
    }

    /// Bits to be read.
    pub const fn bits(self) -> u32 {
        self.0.trailing_zeros()
    }

    /// What they are added to.
    pub const fn base(self) -> usize {
        (self.0 & (self.0 - 1)) as usize >> 1
    }
}

/// Logs of tables, from 0 on.
const LOGS: usize = MAX_LOG as usize + 1;

/// By `Accuracy_Log` and by the number of the state among those of its symbol, counted from how often that occurs: what
/// comes after it.
static NEXT: [[Next; 2 * STATES]; LOGS] = {
    let mut next = [[Next::new(0, 0); 2 * STATES]; LOGS];
    let mut log = 0;
    while log < LOGS {
        let mut number = 1;
        while number < 2usize << log {
            let bits = log - number.ilog2() as usize;
            next[log][number] = Next::new((number << bits) - (1 << log), bits);
            number += 1;
        }
        log += 1;
    }
    next
};

/// By `Accuracy_Log`: what the step from one state to the next that is given a symbol has to be multiplied with, for 1.
const INVERSE: [usize; LOGS] = {
    let mut inverse = [0; LOGS];
    let mut log = 0;
    while log < LOGS {
        let size = 1usize << log;
        let step = (size >> 1) + (size >> 3) + 3;
        // Newton's method, which doubles the bits that are right; the step of a table of any legal size is odd.
        let mut guess = step;
        let mut round = 0;
        while round < 5 {
            guess = guess.wrapping_mul(2usize.wrapping_sub(step.wrapping_mul(guess)));
            round += 1;
        }
        inverse[log] = guess & (size - 1);
        log += 1;
    }
    inverse
};

/// What of the table descriptions of a block, given from their beginning on, is that of `field`, to their end.
pub(in crate::zst) fn description_of(field: Field, modes: [Mode; 3], bytes: &[u8]) -> Result<&[u8], Fault> {
    let mut rest = bytes;
    for earlier in Field::ALL {
        if earlier == field {
            break;
        }
        let consumed = match modes[earlier as usize] {
            Mode::Predefined | Mode::Repeat => 0,
            mode => Distribution::read(earlier, mode, rest)?.1,
        };
        rest = rest.get(consumed..).ok_or(Fault::BlockTooShort)?;
    }
    Ok(rest)
}

/// Bits that are read from the beginning on; zeros past the end, which whoever reads has to notice.
struct ForwardBits<'a> {
    bytes: &'a [u8],
    /// In bits.
    position: usize,
}

impl ForwardBits<'_> {
    /// The next 25 bits at least.
    fn peek(&self) -> u32 {
        let tail = self.bytes.get(self.position / 8..).unwrap_or_default();
        let word = if let Some(word) = tail.first_chunk() {
            u32::from_le_bytes(*word)
        } else {
            tail.iter().rev().fold(0, |word, &byte| word << 8 | u32::from(byte))
        };
        word >> (self.position % 8)
    }
}

/// One state of a decoding table, packed: from the lowest bit on, 8 bits each of state bits and extra bits, 16 of the
/// next state's base, 32 of the value's baseline.
#[derive(Clone, Copy, Default)]
pub(in crate::zst) struct Entry(u64);

impl Entry {
    fn new(next: Next, (value, extra_bits): (u32, u8)) -> Entry {
        let (bits, base) = (u64::from(next.bits()), next.base() as u64);
        Entry(bits | u64::from(extra_bits) << 8 | base << 16 | u64::from(value) << 32)
    }

    /// Bits to be read for the next state.
    pub fn state_bits(self) -> u32 {
        (self.0 & 0xFF) as u32
    }

    /// Bits to be read for the value; of an offset, its code.
    pub fn extra_bits(self) -> u32 {
        (self.0 >> 8 & 0xFF) as u32
    }

    /// What the state bits are added to.
    pub fn base(self) -> usize {
        (self.0 >> 16 & 0xFFFF) as usize
    }

    /// What the extra bits are added to.
    pub fn value(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

/// A decoding table.
pub(in crate::zst) struct Table {
    entries: Box<[Entry; STATES]>,
    log: u32,
}

impl Table {
    /// A table of one state.
    pub fn new() -> Table {
        Table { entries: Box::new([Entry::default(); STATES]), log: 0 }
    }

    /// `Accuracy_Log`: bits of the first state.
    pub fn log(&self) -> u32 {
        self.log
    }

    /// The entry of `state`, which came from this table or from [`Table::log`] bits.
    pub fn entry(&self, state: usize) -> Entry {
        self.entries[state & (STATES - 1)]
    }

    /// Makes this the table that stands at the beginning of `bytes`, and tells how many of them it took.
    pub fn read(&mut self, field: Field, mode: Mode, bytes: &[u8]) -> Result<usize, Fault> {
        let (distribution, consumed) = Distribution::read(field, mode, bytes)?;
        self.log = distribution.log;
        let entries = &mut self.entries;
        distribution.build(|state, symbol, next| {
            entries[state & (STATES - 1)] = Entry::new(next, field.code(symbol));
        });
        Ok(consumed)
    }
}

/// The three tables of a block, as [`Field::ALL`].
pub(in crate::zst) struct Tables([Table; 3]);

impl Tables {
    /// Three tables of one state.
    pub fn new() -> Tables {
        Tables(Field::ALL.map(|_| Table::new()))
    }

    /// The table of a field.
    pub fn of(&self, field: Field) -> &Table {
        &self.0[field as usize]
    }

    /// Reads the tables of a block with sequences, and tells where in its content the bitstream begins. `setter` gives, for a field in
    /// [`Mode::Repeat`], the last block that has a table of it in another mode: its sections and its content.
    pub fn read<'a>(
        &mut self,
        sections: &Sections,
        content: &[u8],
        mut setter: impl FnMut(Field) -> Option<(Sections, &'a [u8])>,
    ) -> Result<usize, Fault> {
        let mut at = sections.tables_at;
        for field in Field::ALL {
            let mode = sections.sequences.modes[field as usize];
            let table = &mut self.0[field as usize];
            if mode == Mode::Repeat {
                let (sections, content) = setter(field).ok_or(Fault::NothingToRepeat)?;
                let modes = sections.sequences.modes;
                let bytes = description_of(field, modes, content.get(sections.tables_at..).unwrap_or_default())?;
                table.read(field, modes[field as usize], bytes)?;
            } else {
                at += table.read(field, mode, content.get(at..).ok_or(Fault::BlockTooShort)?)?;
            }
        }
        Ok(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The symbols of all states, as RFC 8878 section 4.1.1 has them spread.
    fn spread_by_the_book(counts: &[i16], log: u32) -> Vec<usize> {
        let size = 1 << log;
        let mut symbols = vec![usize::MAX; size];
        let mut high = size;
        for (symbol, _) in counts.iter().enumerate().filter(|(_, count)| **count == -1) {
            high -= 1;
            symbols[high] = symbol;
        }
        let mut position = 0;
        for (symbol, &count) in counts.iter().enumerate() {
            for _ in 0..count.max(0) {
                symbols[position] = symbol;
                position = (position + (size >> 1) + (size >> 3) + 3) % size;
                while position >= high {
                    position = (position + (size >> 1) + (size >> 3) + 3) % size;
                }
            }
        }
        symbols
    }

    #[test]
    fn states_are_spread_by_the_book() {
        let mut state = 1_u64;
        let mut random = |below: usize| {
            state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
            (state >> 33) as usize % below
        };
        for round in 0..20_000 {
            let log = 5 + random(5);
            let mut counts = [0i16; MAX_SYMBOLS];
            let mut left = 1usize << log;
            // Few symbols, or many, of which the last takes what is left.
            let symbols = 1 + random([3, 20, 53][round % 3]);
            for count in &mut counts[..symbols - 1] {
                let take = match random(4) {
                    0 => 0,
                    1 => 1,
                    2 => 1 + random(3),
                    _ => random(1 + left / 2),
                }
                .min(left - 1);
                *count = if take == 1 && random(2) == 0 { -1 } else { i16::try_from(take).expect("small") };
                left -= take;
            }
            counts[symbols - 1] = i16::try_from(left).expect("small");
            let distribution = Distribution { counts, symbols, log: u32::try_from(log).expect("small") };
            let mut spread = Vec::new();
            distribution.build(|state, symbol, _| {
                assert_eq!(state, spread.len());
                spread.push(symbol);
            });
            assert_eq!(spread, spread_by_the_book(&counts[..symbols], distribution.log), "{:?}", &counts[..symbols]);
        }
    }
}
