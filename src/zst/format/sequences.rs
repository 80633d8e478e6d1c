//! A block's sequences, decoded without knowing the blocks before it (RFC 8878 sections 3.1.1.3.2 and 3.1.1.5).

use crate::zst::format::bits::{BackwardBits, MAX_TAKE};
use crate::zst::format::block::{Field, MAX_BLOCK, Sections};
use crate::zst::format::fault::Fault;
use crate::zst::format::fse::{Table, Tables};

/// The repeat offsets at the start of a frame: RFC 8878 section 3.1.1.5.
pub(in crate::zst) const FIRST: [u32; 3] = [1, 4, 8];
/// Above this, an [`Offset`] is relative to a repeat offset of the block's start: offsets are below 2^32.
const RELATIVE: u64 = 1 << 48;

/// How far back a match copies from: a number of bytes, or one of the repeat offsets that were in force at the block's
/// start, less what was taken off it since. RFC 8878 section 3.1.1.5.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::zst) struct Offset(u64);

impl Offset {
    /// The three repeat offsets as they are before the first sequence.
    pub const START: [Offset; 3] = [Offset(2 * RELATIVE), Offset(3 * RELATIVE), Offset(4 * RELATIVE)];

    /// An offset that is known.
    pub const fn known(offset: u32) -> Offset {
        Offset(offset as u64)
    }

    /// The offset less one; zero is no offset.
    fn less_one(self) -> Result<Offset, Fault> {
        match self.0 {
            0 | 1 => Err(Fault::ZeroOffset),
            offset => Ok(Offset(offset - 1)),
        }
    }

    /// The number of bytes, unless it depends on the block's start.
    pub fn get(self) -> Option<u32> {
        u32::try_from(self.0).ok()
    }

    /// The offset in terms of what was in force earlier, when `start` is what is in force at the block's start.
    pub fn after(self, start: &[Offset; 3]) -> Result<Offset, Fault> {
        if self.get().is_some() {
            return Ok(self);
        }
        // What was taken off brings it below its multiple of the base.
        let which = self.0.div_ceil(RELATIVE);
        let taken = which * RELATIVE - self.0;
        let of = start.get(usize::try_from(which).expect("at most 4").wrapping_sub(2)).ok_or(Fault::ZeroOffset)?;
        match of.0.checked_sub(taken) {
            Some(offset) if offset > 0 => Ok(Offset(offset)),
            _ => Err(Fault::ZeroOffset),
        }
    }
}

/// One sequence: literals, then a match. Both end where the next sequence begins.
#[derive(Debug, Clone, Copy)]
pub(in crate::zst) struct Sequence {
    /// Where it begins, in bytes regenerated from the block's start.
    pub start: u32,
    /// Where its literals begin in the block's literals.
    pub literals: u32,
    /// How far back its match copies from.
    pub offset: Offset,
}

/// The sequences of a block, from the first on.
pub(in crate::zst) struct Sequences {
    /// They, and one more without a match: what is left of the literals. Never empty.
    pub list: Vec<Sequence>,
    /// Number of literals.
    pub literals: u32,
    /// Bytes that they regenerate: all of the block, unless less was asked for.
    pub covered: u32,
    /// The repeat offsets that they leave.
    pub after: [Offset; 3],
}

/// A sequence with both its parts.
#[derive(Debug, Clone, Copy)]
pub(in crate::zst) struct Part {
    /// Where its literals begin, in bytes regenerated from the block's start.
    pub start: u32,
    /// Where they begin in the block's literals.
    pub literals: u32,
    /// Where its match begins.
    pub match_start: u32,
    /// How far back the match copies from.
    pub offset: Offset,
}

impl Sequences {
    /// The sequence that regenerates the byte at `position` of the block, as an index.
    pub fn index_at(&self, position: u32) -> usize {
        self.list.partition_point(|sequence| sequence.start <= position).saturating_sub(1)
    }

    /// A sequence by its index.
    pub fn part(&self, index: usize) -> Part {
        let Sequence { start, literals, offset } = self.list[index];
        let end = self.list.get(index + 1).map_or(self.literals, |next| next.literals);
        Part { start, literals, match_start: start + (end - literals), offset }
    }

    /// Those of a block without any: nothing but literals.
    pub fn none(literals: u32) -> Sequences {
        let only = Sequence { start: 0, literals: 0, offset: Offset::START[0] };
        Sequences { list: vec![only], literals, covered: literals, after: Offset::START }
    }

    /// Decodes the sequences of a compressed block, as many as regenerate its first `until` bytes. Its bitstream begins
    /// at `stream_at` of its `content`; `maximum` is the frame's `Block_Maximum_Size`. Whether a block ends as it
    /// should is found out only where all of it is asked for. RFC 8878 sections 3.1.1.3.2.1.2 and 3.1.1.4.
    pub fn decode(
        sections: &Sections,
        content: &[u8],
        stream_at: usize,
        tables: &Tables,
        maximum: u64,
        until: u32,
    ) -> Result<Sequences, Fault> {
        let total = sections.literals.regenerated;
        let maximum = u32::try_from(maximum.min(MAX_BLOCK)).expect("at most 128 KiB");
        let mut stream = SequenceBits::new(content.get(stream_at..).ok_or(Fault::BlockTooShort)?, tables)?;
        // A match is of three bytes at least, so that no more sequences than these fit into a block.
        let mut list = Vec::with_capacity(sections.sequences.count.min(maximum / 3) as usize + 1);
        let (mut start, mut literals) = (0, 0);
        let mut repeats = Offset::START;
        for left in (0..sections.sequences.count).rev() {
            let (literal_length, match_length, offset_value) = stream.next(left == 0)?;
            let offset = resolve(offset_value, literal_length == 0, &mut repeats)?;
            list.push(Sequence { start, literals, offset });
            start += literal_length + match_length;
            literals += literal_length;
            if start > maximum {
                return Err(Fault::BlockTooLarge);
            }
            if literals > total {
                return Err(Fault::TooManyLiterals);
            }
            if start >= until && left > 0 {
                list.push(Sequence { start, literals, offset });
                return Ok(Sequences { list, literals: total, covered: start, after: repeats });
            }
        }
        stream.bits.finish()?;
        list.push(Sequence { start, literals, offset: repeats[0] });
        let covered = start + (total - literals);
        if covered > maximum {
            return Err(Fault::BlockTooLarge);
        }
        Ok(Sequences { list, literals: total, covered, after: repeats })
    }
}

/// The offset that an `Offset_Value` means, and what it does to the repeat offsets: RFC 8878 section 3.1.1.5.
fn resolve(value: u32, no_literals: bool, repeats: &mut [Offset; 3]) -> Result<Offset, Fault> {
    let [first, second, third] = *repeats;
    *repeats = match value {
        4.. => [Offset::known(value - 3), first, second],
        // Where there are no literals, the three of them mean the second, the third, and the first less one.
        3 if no_literals => [first.less_one()?, first, second],
        value => match value + u32::from(no_literals) {
            0 | 1 => return Ok(first),
            2 => [second, first, third],
            _ => [third, first, second],
        },
    };
    Ok(repeats[0])
}

/// The interleaved FSE streams: RFC 8878 section 3.1.1.3.2.1.2.
struct SequenceBits<'a> {
    bits: BackwardBits<'a>,
    tables: [&'a Table; 3],
    states: [usize; 3],
}

impl<'a> SequenceBits<'a> {
    fn new(bytes: &'a [u8], tables: &'a Tables) -> Result<SequenceBits<'a>, Fault> {
        let mut bits = BackwardBits::new(bytes)?;
        let tables = Field::ALL.map(|field| tables.of(field));
        let mut states = [0; 3];
        for (state, table) in states.iter_mut().zip(tables) {
            *state = narrow(bits.take(table.log())?) as usize;
        }
        Ok(SequenceBits { bits, tables, states })
    }

    /// Literal length, match length and `Offset_Value` of the next sequence.
    fn next(&mut self, is_last: bool) -> Result<(u32, u32, u32), Fault> {
        let [lengths, offsets, matches] = self.tables;
        let [length_state, offset_state, match_state] = &mut self.states;
        let length = lengths.entry(*length_state);
        let offset = offsets.entry(*offset_state);
        let copied = matches.entry(*match_state);
        let (few, some, many) = (length.extra_bits(), copied.extra_bits(), offset.extra_bits());
        let state_bits = [length.state_bits(), copied.state_bits(), offset.state_bits()];
        let next = if is_last { 0 } else { state_bits.iter().sum() };
        // As a rule all that a sequence has fits into one word.
        let (offset_extra, lengths, word);
        if few + some + many + next <= MAX_TAKE {
            word = self.bits.take(few + some + many + next)?;
            lengths = word >> next;
            offset_extra = lengths >> (few + some);
        } else {
            offset_extra = self.bits.take(many)?;
            lengths = self.bits.take(few + some)?;
            word = self.bits.take(next)?;
        }
        if !is_last {
            let [few, some, many] = state_bits;
            *length_state = length.base() + low(word >> (some + many), few) as usize;
            *match_state = copied.base() + low(word >> many, some) as usize;
            *offset_state = offset.base() + low(word, many) as usize;
        }
        let offset_value = offset.value() + narrow(offset_extra);
        let match_length = copied.value() + low(lengths >> few, some);
        let literal_length = length.value() + low(lengths, few);
        Ok((literal_length, match_length, offset_value))
    }
}

/// A field of a sequence, none of which is longer than 31 bits.
fn narrow(bits: u64) -> u32 {
    (bits & 0xFFFF_FFFF) as u32
}

/// The lowest `count` bits, fewer than 32.
fn low(word: u64, count: u32) -> u32 {
    narrow(word & MASKS[(count & 31) as usize])
}

/// By a number of bits, as many ones: a load takes less time than to make them.
const MASKS: [u64; 32] = {
    let mut masks = [0; 32];
    let mut count = 0;
    while count < masks.len() {
        masks[count] = (1 << count) - 1;
        count += 1;
    }
    masks
};

// Two lengths are taken at once, and three states.
const _: () = assert!(16 + 16 <= MAX_TAKE && 9 + 9 + 8 <= MAX_TAKE);

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Offset; 3] = [Offset::known(10), Offset::known(20), Offset::known(30)];

    fn after(value: u32, no_literals: bool) -> Result<[u64; 3], Fault> {
        let mut repeats = KNOWN;
        assert_eq!(resolve(value, no_literals, &mut repeats)?, repeats[0]);
        Ok(repeats.map(|offset| offset.0))
    }

    #[test]
    fn repeat_offsets_follow_the_rfc() {
        assert_eq!(after(1, false), Ok([10, 20, 30]));
        assert_eq!(after(2, false), Ok([20, 10, 30]));
        assert_eq!(after(3, false), Ok([30, 10, 20]));
        assert_eq!(after(4, false), Ok([1, 10, 20]));
        assert_eq!(after(1, true), Ok([20, 10, 30]));
        assert_eq!(after(2, true), Ok([30, 10, 20]));
        assert_eq!(after(3, true), Ok([9, 10, 20]));
        assert_eq!(after(4, true), Ok([1, 10, 20]));
        assert_eq!(after(u32::MAX, true), Ok([u64::from(u32::MAX) - 3, 10, 20]));
    }

    #[test]
    fn a_repeat_offset_of_one_cannot_be_lessened() {
        let mut repeats = [Offset::known(1), Offset::known(4), Offset::known(8)];
        assert_eq!(resolve(3, true, &mut repeats), Err(Fault::ZeroOffset));
    }

    #[test]
    fn relative_offsets_are_resolved_as_if_they_had_been_known() {
        for values in [[3, 3, 3, 1], [2, 3, 1, 3], [3, 2, 3, 3], [1, 2, 1, 3], [2, 2, 3, 2], [7, 3, 2, 3]] {
            for literals in 0..16 {
                let (mut relative, mut direct) = (Offset::START, KNOWN);
                for (bit, value) in values.into_iter().enumerate() {
                    let none = literals >> bit & 1 == 1;
                    let relative = resolve(value, none, &mut relative).expect("nothing is known to be zero");
                    let direct = resolve(value, none, &mut direct).expect("none comes near zero");
                    assert_eq!(relative.after(&KNOWN), Ok(direct));
                }
                assert_eq!(relative.map(|offset| offset.after(&KNOWN).expect("known")), direct);
                let twice = relative.map(|offset| offset.after(&relative).expect("relative"));
                let known = twice.map(|offset| offset.after(&KNOWN).expect("known"));
                assert_eq!(known, relative.map(|offset| offset.after(&direct).expect("known")));
            }
        }
    }

    #[test]
    fn a_relative_offset_that_comes_to_nothing_is_refused() {
        let lessened = Offset::START[0].less_one().expect("not known to be zero");
        assert_eq!(lessened.get(), None);
        assert_eq!(lessened.after(&[Offset::known(1); 3]), Err(Fault::ZeroOffset));
        assert_eq!(lessened.after(&[Offset::known(2); 3]), Ok(Offset::known(1)));
    }
}
