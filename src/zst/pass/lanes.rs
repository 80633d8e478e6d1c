//! The inner loop of sizing: the sequences of several blocks, decoded side by side for their lengths alone.
//!
//! From the lowest bit on, a sequence and the states after it lie in the bitstream as: state bits of the offset, of the
//! match length, of the literal length; extra bits of the literal length, of the match length, of the offset. The three
//! states in force say how many there are of each. All but the last are wanted, each added to a base that its state
//! says, too, and that has zeros where they go. So every field gets a place of its own in a word, a [`Slot`], and one
//! instruction of BMI2, `pdep`, puts the bits where a mask says, ones for the bits of each field in its slot. The word
//! then holds the three states that come next and both lengths, and the bits of the mask are counted to find the
//! sequence after it:
//!
//! ```text
//! next = pdep(bits, mask) | base
//! ```
//!
//! Mask and base of a slot are kept as one number: the base, twice, and a single one above as many zeros as there are
//! bits to be read, which the base leaves free. Three such words, one a state, are put together, and a few instructions tell mask and base
//! of all slots apart, for taking one from each slot turns the single one into ones below it and changes nothing above:
//!
//! ```text
//! less = word - ONES      base = word & less      mask = (word ^ less) - ONES
//! ```
//!
//! Each step of that waits for the one before, some 19 cycles in all. Blocks do not wait for each other. So some of them,
//! the *lanes*, go through the loop in step, and the processor works on one while the others wait. What is then dear are
//! the instructions, and the first-level cache, 32 KiB or less: the tables of a lane take 9 KiB.
//!
//! Measured on AMD Zen 4, in CPU time of a whole survey of archives of level 3: two lanes instead of three take 12 to 15 %
//! more, a fourth one changes nothing; shifts and masks field by field took 76 instructions a sequence, tables included,
//! where this takes 56. A read of the bitstream without a check that it lies in the data would save 3 %, which is not
//! worth its danger.
//!
//! Where there is no `pdep`, or a slow one (AMD before Zen 3 takes hundreds of cycles), [`BySlots`] does the same slot by
//! slot, in 1.7 times the time of the survey.
//!
//! This is the one module of the crate with `unsafe` in it, for that instruction and what the compiler makes of others of
//! its kind: what the processor has is asked before they are used. No memory is touched by it.
#![expect(unsafe_code, clippy::inline_always, reason = "measured: see above")]
#![expect(clippy::cast_possible_truncation, clippy::cast_possible_wrap, reason = "as narrow as the tables")]

use crate::zst::format::bits::BackwardBits;
use crate::zst::format::block::{Field, Mode};
use crate::zst::format::fault::Fault;
use crate::zst::format::fse::{Distribution, STATES};

/// Lanes that are worth their registers, and their room in the cache.
pub(in crate::zst) const LANES: usize = 3;
/// Bytes that have to lie in front of every bitstream, whose first bits are read as the end of a word.
pub(in crate::zst) const PADDING: usize = 8;

/// Bits that one word holds wherever in a byte it has to begin, and most that [`step`] takes.
const WORD_BITS: u32 = 56;
/// Codes of a field, rounded up.
const CODES: usize = 64;
/// States of the largest table of offset codes.
const OFFSET_STATES: usize = 1 << (OFFSET_STATE.width - 1);
/// Lowest match length, which the slot of that length does without.
const MIN_MATCH: u32 = 3;
/// Extra bits of the longest lengths, and their baseline, which no slot has room for: see [`LaneTables::is_wide`].
const WIDE_BITS: u32 = 16;
const WIDE: u64 = 1 << WIDE_BITS;

const LL: usize = Field::LiteralLength as usize;
const OF: usize = Field::Offset as usize;
const ML: usize = Field::MatchLength as usize;

/// Where a value stands in a word: from the bit above the slot's lowest one, which is 0.
struct Slot {
    /// Its lowest bit.
    at: u32,
    /// Its bits, one more than a value has.
    width: u32,
}

/// The states that come next.
const OFFSET_STATE: Slot = Slot { at: 0, width: 9 };
const MATCH_STATE: Slot = Slot { at: 9, width: 10 };
const LITERAL_STATE: Slot = Slot { at: 19, width: 10 };
/// The lengths, below 2^16.
const LITERALS: Slot = Slot { at: 29, width: 17 };
const MATCH: Slot = Slot { at: 46, width: 17 };
/// All of them, in the order in which their bits are in the bitstream.
const SLOTS: [Slot; 5] = [OFFSET_STATE, MATCH_STATE, LITERAL_STATE, LITERALS, MATCH];
/// How many they are.
const LOWEST_BITS: i16 = SLOTS.len() as i16;
/// The lowest bit of each.
const ONES: u64 = 1 << OFFSET_STATE.at | 1 << MATCH_STATE.at | 1 << LITERAL_STATE.at | 1 << LITERALS.at | 1 << MATCH.at;

impl Slot {
    /// A value of its own in its place.
    const fn put(&self, value: u64) -> u64 {
        value << (self.at + 1)
    }

    /// The value in its place.
    const fn get(&self, word: u64) -> u64 {
        word >> (self.at + 1) & ((1 << (self.width - 1)) - 1)
    }

    /// What is kept of a field: `base`, to which that many bits are added.
    const fn keep(&self, base: u64, bits: u32) -> u64 {
        self.put(base) | 1 << (self.at + bits)
    }
}

/// How bits are put into slots.
pub(in crate::zst) trait Deposit: Copy {
    /// Puts the low bits of `bits`, one after the other, to where `mask` has ones. In each slot these begin where its value
    /// does, and have no gaps.
    fn deposit(self, bits: u64, mask: u64) -> u64;
}

/// In one instruction. Whoever has a value of it has a processor with BMI2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(in crate::zst) struct ByInstruction(());

#[cfg(target_arch = "x86_64")]
impl Deposit for ByInstruction {
    #[inline(always)]
    fn deposit(self, bits: u64, mask: u64) -> u64 {
        // SAFETY: the processor has BMI2.
        unsafe { std::arch::x86_64::_pdep_u64(bits, mask) }
    }
}

/// Slot by slot.
#[derive(Clone, Copy)]
pub(in crate::zst) struct BySlots;

impl Deposit for BySlots {
    #[inline(always)]
    fn deposit(self, mut bits: u64, mask: u64) -> u64 {
        let mut word = 0;
        for slot in SLOTS {
            let ones = slot.get(mask);
            word |= slot.put(bits & ones);
            bits >>= u64::BITS - (ones << 1 | 1).leading_zeros() - 1;
        }
        word
    }
}

/// What is to be done with fast instructions. It has to be inlined to gain by them.
pub(in crate::zst) trait Work {
    type Output;

    fn with<D: Deposit>(self, deposit: D) -> Self::Output;
}

/// Does `work` with the instructions that this processor has.
pub(in crate::zst) fn with_fast_instructions<W: Work>(work: W) -> W::Output {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
        fn with_bmi2<W: Work, D: Deposit>(work: W, deposit: D) -> W::Output {
            work.with(deposit)
        }
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("bmi1")
            && is_x86_feature_detected!("bmi2")
            && is_x86_feature_detected!("lzcnt")
            && is_x86_feature_detected!("popcnt");
        if has {
            // SAFETY: the processor has every feature that is enabled there.
            return if *HAS_SLOW_DEPOSIT {
                unsafe { with_bmi2(work, BySlots) }
            } else {
                unsafe { with_bmi2(work, ByInstruction(())) }
            };
        }
    }
    work.with(BySlots)
}

/// Whether `pdep` is microcode: of AMD, or Hygon, before family 19h.
#[cfg(target_arch = "x86_64")]
static HAS_SLOW_DEPOSIT: std::sync::LazyLock<bool> = std::sync::LazyLock::new(|| {
    let leaf = std::arch::x86_64::__cpuid(0);
    let vendor = [leaf.ebx, leaf.edx, leaf.ecx].map(u32::to_le_bytes);
    let signature = std::arch::x86_64::__cpuid(1).eax;
    let family = (signature >> 8 & 0xF) + (signature >> 20 & 0xFF);
    matches!(vendor.as_flattened(), b"AuthenticAMD" | b"HygonGenuine") && family < 0x19
});

/// What the length of a code is kept as: see [`Slot::keep`]. That of the longest has no room for its baseline.
static LITERAL_LENGTHS: [u64; CODES] = lengths(Field::LiteralLength, &LITERALS, 0);
static MATCH_LENGTHS: [u64; CODES] = lengths(Field::MatchLength, &MATCH, MIN_MATCH);

const fn lengths(field: Field, slot: &Slot, least: u32) -> [u64; CODES] {
    let mut lengths = [0; CODES];
    let mut code = 0;
    while code <= field.max_symbol() {
        let (value, extra) = field.code(code);
        lengths[code] = slot.keep((value - least) as u64 & (WIDE - 1), extra as u32);
        code += 1;
    }
    lengths
}

/// A state of an offset.
#[derive(Clone, Copy, Default)]
#[repr(C, align(4))]
struct OffsetState {
    /// As [`Slot::keep`] has it.
    kept: u16,
    /// Extra bits of the offset, which are passed over, less the slots of a word, whose lowest bits are counted along.
    skip: i16,
}

/// What the states of a sequence say together.
struct Sum {
    mask: u64,
    base: u64,
    /// Bits of the sequence and of the states after it.
    total: u32,
}

/// The tables of a block, as small as they can be: those of all lanes have to fit into the first-level cache.
#[repr(align(64))]
struct LaneTables {
    /// As [`Slot::keep`] has them, state and length.
    literals: [u64; STATES],
    matches: [u64; STATES],
    offsets: [OffsetState; OFFSET_STATES],
    /// `Accuracy_Log`, by field.
    logs: [u32; 3],
    /// By field, whether there is a length among them that has no room in its slot.
    wide: [bool; 3],
}

impl LaneTables {
    #[inline(always)]
    fn sum(&self, states: u64) -> Sum {
        let OffsetState { kept, skip } = self.offsets[OFFSET_STATE.get(states) as usize];
        let matches = self.matches[MATCH_STATE.get(states) as usize];
        let literals = self.literals[LITERAL_STATE.get(states) as usize];
        let kept = u64::from(kept) | matches | literals;
        let less = kept.wrapping_sub(ONES);
        let ones = kept ^ less;
        Sum { mask: ones ^ ONES, base: kept & less, total: ones.count_ones().wrapping_add_signed(skip.into()) }
    }

    /// Whether there is any length among them that has no room in its slot: it takes half a block, at least.
    fn is_wide(&self) -> bool {
        self.wide[LL] || self.wide[ML]
    }
}

/// Where a lane stands.
#[derive(Clone, Copy, Default)]
struct State {
    /// Bits of the data below this bit offset are not read yet.
    position: usize,
    /// What the last sequence became: its lengths, and the states that come next.
    word: u64,
    /// Sums of the words' bits from [`LITERALS`] on, and from [`MATCH`] on.
    both: u64,
    matches: u64,
}

impl State {
    #[inline(always)]
    fn add(&mut self, word: u64) {
        self.word = word;
        self.both += word >> (LITERALS.at + 1);
        self.matches += word >> (MATCH.at + 1);
    }
}

/// A block on its way.
pub(in crate::zst) struct Lane {
    tables: LaneTables,
    state: State,
    /// `Number_of_Sequences`, and how many of them are not decoded yet.
    count: usize,
    left: usize,
    /// Bit offset in the data at which the bitstream begins.
    low: usize,
}

impl Lane {
    pub fn new() -> Lane {
        let tables = LaneTables {
            literals: [0; STATES],
            matches: [0; STATES],
            offsets: [OffsetState::default(); OFFSET_STATES],
            logs: [0; 3],
            wide: [false; 3],
        };
        Lane { tables, state: State::default(), count: 0, left: 0, low: 0 }
    }

    /// Sets the table of `field` to what stands at the beginning of `bytes`, and tells how many of them it takes.
    #[inline(always)]
    pub fn set(&mut self, field: Field, mode: Mode, bytes: &[u8]) -> Result<usize, Fault> {
        let (distribution, consumed) = Distribution::read(field, mode, bytes)?;
        let tables = &mut self.tables;
        tables.logs[field as usize] = distribution.log();
        let (states, lengths, slot) = match field {
            Field::Offset => {
                let states = &mut tables.offsets;
                distribution.build(|state, code, next| {
                    let (kept, skip) = (next.kept() << OFFSET_STATE.at, code as i16 - LOWEST_BITS);
                    states[state & (OFFSET_STATES - 1)] = OffsetState { kept, skip };
                });
                return Ok(consumed);
            }
            Field::LiteralLength => (&mut tables.literals, &LITERAL_LENGTHS, LITERAL_STATE),
            Field::MatchLength => (&mut tables.matches, &MATCH_LENGTHS, MATCH_STATE),
        };
        tables.wide[field as usize] = distribution.has(field.max_symbol());
        distribution.build(|state, code, next| {
            states[state & (STATES - 1)] = u64::from(next.kept()) << slot.at | lengths[code & (CODES - 1)];
        });
        Ok(consumed)
    }

    /// Begins with the bitstream at `data[range]`, which holds `count` sequences, at least one. The tables are set, and
    /// [`PADDING`] bytes lie in front of it.
    #[inline(always)]
    pub fn begin(&mut self, data: &[u8], range: std::ops::Range<usize>, count: u32) -> Result<(), Fault> {
        assert!(range.start >= PADDING && count > 0, "padded and not empty");
        let mut bits = BackwardBits::new(data.get(range.clone()).ok_or(Fault::BlockTooShort)?)?;
        let mut word = 0;
        for (field, slot) in [(LL, LITERAL_STATE), (OF, OFFSET_STATE), (ML, MATCH_STATE)] {
            word |= slot.put(bits.take(self.tables.logs[field])?);
        }
        self.low = range.start * 8;
        self.count = count as usize;
        self.left = self.count;
        self.state = State { position: self.low + bits.left(), word, both: 0, matches: 0 };
        Ok(())
    }

    /// Sums of the literal lengths and of the match lengths, once [`run`] is done with it.
    pub fn sums(&self) -> (u64, u64) {
        let State { both, matches, .. } = self.state;
        // Neither overflows, for a block has fewer than 2^17 sequences: `both` has 17 bits more than two lengths.
        (both - (matches << LITERALS.width), matches + u64::from(MIN_MATCH) * self.count as u64)
    }

    /// Whether all is decoded.
    pub fn is_done(&self) -> bool {
        self.left == 0
    }

    /// Sequences that can be decoded without a look at what is left of the bitstream. The last is never among them.
    fn carefree(&self) -> usize {
        if self.tables.is_wide() {
            return 0;
        }
        ((self.state.position - self.low) / WORD_BITS as usize).min(self.left.saturating_sub(1))
    }

    /// Decodes one sequence, with an eye on the end of the bitstream; after the last, no state bits follow.
    #[cold]
    fn careful(&mut self, data: &[u8]) -> Result<(), Fault> {
        let Sum { mask, base, total } = self.tables.sum(self.state.word);
        let position = &mut self.state.position;
        let mut take = |bits: u32| {
            *position =
                position.checked_sub(bits as usize).filter(|&p| p >= self.low).ok_or(Fault::BitstreamOverrun)?;
            let word = data.get(*position / 8..).and_then(|tail| tail.first_chunk()).ok_or(Fault::BlockTooShort)?;
            Ok(u64::from_le_bytes(*word) >> (*position % 8) & ((1 << bits) - 1))
        };
        let of_lengths = mask & (u64::MAX << LITERALS.at);
        let of_states = mask ^ of_lengths;
        take(total - mask.count_ones())?;
        let mut word = base | BySlots.deposit(take(of_lengths.count_ones())?, of_lengths);
        self.left -= 1;
        if self.left > 0 {
            word |= BySlots.deposit(take(of_states.count_ones())?, of_states);
        } else if *position != self.low {
            return Err(Fault::BitstreamUnderrun);
        }
        self.state.add(word);
        let wide = |slot: Slot| if slot.get(mask).count_ones() == WIDE_BITS { WIDE } else { 0 };
        self.state.both += wide(LITERALS) + (wide(MATCH) << LITERALS.width);
        self.state.matches += wide(MATCH);
        Ok(())
    }
}

/// Decodes until at least one of the lanes is done. `data` goes on for [`PADDING`] bytes after every bitstream; none of
/// the lanes is done yet. Err: which of the lanes, and why.
#[inline(always)]
pub(in crate::zst) fn run<const N: usize>(
    data: &[u8],
    lanes: &mut [Lane; N],
    deposit: impl Deposit,
) -> Result<(), (usize, Fault)> {
    loop {
        let count = lanes.iter().map(Lane::carefree).min().unwrap_or(0);
        if count > 0
            && let Some(lane) = go(data, lanes, count, deposit)
        {
            lanes[lane].careful(data).map_err(|fault| (lane, fault))?;
        }
        let mut is_done = false;
        for (index, lane) in lanes.iter_mut().enumerate() {
            if lane.carefree() == 0 && lane.left > 0 {
                lane.careful(data).map_err(|fault| (index, fault))?;
            }
            is_done |= lane.is_done();
        }
        if is_done {
            return Ok(());
        }
    }
}

/// Takes `count` steps in every lane, or fewer where a sequence has more bits than a word: then tells in which lane. No
/// lane has fewer sequences left than that, nor any of them more bits than are left for it.
#[inline(always)]
fn go<const N: usize>(data: &[u8], lanes: &mut [Lane; N], count: usize, deposit: impl Deposit) -> Option<usize> {
    let mut states: [State; N] = std::array::from_fn(|lane| lanes[lane].state);
    let mut stuck = None;
    let mut steps = 0;
    'steps: while steps < count {
        for lane in 0..N {
            if !step(data, &lanes[lane].tables, &mut states[lane], deposit) {
                stuck = Some(lane);
                break 'steps;
            }
        }
        steps += 1;
    }
    for (index, (lane, state)) in lanes.iter_mut().zip(states).enumerate() {
        lane.state = state;
        // The lanes before the one that is stuck are one step ahead of it.
        lane.left -= steps + usize::from(stuck.is_some_and(|stuck| index < stuck));
    }
    stuck
}

/// Decodes one sequence that is not the last; false, and nothing changed, if its bits do not fit into a word.
#[inline(always)]
fn step(data: &[u8], tables: &LaneTables, state: &mut State, deposit: impl Deposit) -> bool {
    let Sum { mask, base, total } = tables.sum(state.word);
    if total > WORD_BITS {
        return false;
    }
    // The word ends with the byte that holds the bit at `position`.
    let word = data.get((state.position >> 3).wrapping_sub(PADDING - 1)..).and_then(|tail| tail.first_chunk());
    let Some(&word) = word else { return false };
    // Of its 56 bits below that byte and those in it, all above the sequence's are read already, and all below it are
    // shifted out. A shift is modulo 64, which spares the mask of `position % 8 + 56`.
    let bits = u64::from_le_bytes(word).wrapping_shr((state.position as u32 | WORD_BITS).wrapping_sub(total));
    state.position = state.position.wrapping_sub(total as usize);
    state.add(deposit.deposit(bits, mask) | base);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn both_deposits_agree() {
        if !is_x86_feature_detected!("bmi2") {
            return;
        }
        let mut bits = 0x9E37_79B9_7F4A_7C15u64;
        for widths in 0..9 * 10 * 10 * 17 * 17 {
            let mut rest = widths;
            let mask = SLOTS.iter().zip([9, 10, 10, 17, 17]).fold(0, |mask, (slot, widths)| {
                let ones = (1 << (rest % widths)) - 1;
                rest /= widths;
                mask | slot.put(ones)
            });
            bits = bits.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            assert_eq!(ByInstruction(()).deposit(bits, mask), BySlots.deposit(bits, mask), "{bits:#x} to {mask:#x}");
        }
    }
}
