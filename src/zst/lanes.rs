//! The inner loop of sizing: the sequences of several blocks, decoded side by side for their lengths alone.
//!
//! From the lowest bit on, a sequence and the states after it lie in the bitstream as: state bits of the offset, of the
//! match length, of the literal length; extra bits of the literal length, of the match length, of the offset. The three
//! states in force say how many there are of each. All but the last are wanted, each added to a base that its state
//! says, too. So every field gets a place of its own in a word, a [`Slot`]; every state has a mask, ones for its bits in
//! their slots, and a base, in the same slots; and one instruction of BMI2, `pdep`, puts the bits where the masks of all
//! three say. With the bases added, the word holds the three states that come next and both lengths, and the bits of
//! the mask are counted to find the sequence after it:
//!
//! ```text
//! next = pdep(bits, mask LL | mask ML | mask OF) + base LL + base ML + base OF
//! ```
//!
//! Each step of that waits for the one before, some 17 cycles in all. Blocks do not wait for each other. So some of them,
//! the *lanes*, go through the loop in step, and the processor works on one while the others wait. What is then dear is
//! the first-level cache, 32 KiB or less: mask and base are kept as narrow as the slots of their own field, 8 bytes a
//! state, and put in place when they are loaded.
//!
//! Measured on AMD Zen 4, in CPU time per sequence with the building of tables, on four archives of level 3: 2.8 to 3.3
//! ns, where shifts and masks field by field took 3.7 to 4.3 ns; 56 instructions rather than 76. Words of 64 bits in the
//! tables give back most of that, for they are 17 KiB a lane rather than 9, and so do two lanes instead of three; a
//! fourth lane is 10 % slower.
//!
//! Where there is no `pdep`, or a slow one (AMD before Zen 3 takes hundreds of cycles), [`BySlots`] does the same slot by
//! slot.
//!
//! This is the one module of the crate with `unsafe` in it. There are two places: what the processor has is asked before
//! its instructions are used, and the word of the bitstream is read without a check, by the invariant at [`step`].
//! The first halves the time of a sequence: with [`BySlots`] it is 5.9 to 6.2 ns. States need none: a slot holds no more than its table has. the fuzz target `size` is after them.
#![expect(unsafe_code, clippy::inline_always, reason = "measured: see above")]
#![expect(clippy::cast_possible_truncation, reason = "as narrow as the tables")]

use super::bits::BackwardBits;
use super::block::{Field, Mode};
use super::fault::Fault;
use super::fse::{Distribution, STATES};

/// Lanes that are worth their registers, and their room in the cache.
pub(super) const LANES: usize = 3;
/// Bytes that have to lie in front of every bitstream, whose first bits are read as the end of a word.
pub(super) const PADDING: usize = 8;

/// Bits that one word holds wherever in a byte it has to begin, and most that [`step`] takes.
const WORD_BITS: u32 = 56;
/// Codes of a field, rounded up.
const CODES: usize = 64;
/// States of the largest table of offset codes.
const OFFSET_STATES: usize = 1 << OFFSET_STATE.width;
/// Lowest match length, which the slot of that length does without.
const MIN_MATCH: u32 = 3;

const LL: usize = Field::LiteralLength as usize;
const OF: usize = Field::Offset as usize;
const ML: usize = Field::MatchLength as usize;

/// Where a value stands in the word that a sequence becomes.
struct Slot {
    /// Its lowest bit.
    at: u32,
    /// Its bits.
    width: u32,
}

/// The states that come next.
const OFFSET_STATE: Slot = Slot { at: 0, width: 8 };
const MATCH_STATE: Slot = Slot { at: 8, width: 9 };
const LITERAL_STATE: Slot = Slot { at: 17, width: 9 };
/// The lengths, up to 2^17 - 1 each: a baseline of 65536 and 16 extra bits.
const LITERALS: Slot = Slot { at: 26, width: 17 };
const MATCH: Slot = Slot { at: 43, width: 17 };
/// All of them, in the order in which their bits are in the bitstream.
const SLOTS: [Slot; 5] = [OFFSET_STATE, MATCH_STATE, LITERAL_STATE, LITERALS, MATCH];
/// The two slots of match lengths, which have others between them; those of literal lengths lie side by side.
const MATCH_SLOTS: u64 = MATCH_STATE.put(MATCH_STATE.ones()) | MATCH.put(MATCH.ones());

impl Slot {
    const fn ones(&self) -> u64 {
        (1 << self.width) - 1
    }

    const fn put(&self, value: u64) -> u64 {
        value << self.at
    }

    const fn get(&self, word: u64) -> u64 {
        word >> self.at & self.ones()
    }
}

/// How bits are put into slots.
pub(super) trait Deposit: Copy {
    /// Puts the low bits of `bits`, one after the other, to where `mask` has ones. In each slot these begin at its lowest
    /// bit and have no gaps.
    fn deposit(self, bits: u64, mask: u64) -> u64;
}

/// In one instruction. Whoever has a value of it has a processor with BMI2.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy)]
pub(super) struct ByInstruction(());

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
pub(super) struct BySlots;

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
pub(super) trait Work {
    type Output;

    fn with<D: Deposit>(self, deposit: D) -> Self::Output;
}

/// Does `work` with the instructions that this processor has.
pub(super) fn with_fast_instructions<W: Work>(work: W) -> W::Output {
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

/// What a length code adds to the word: the mask of its extra bits, and its baseline. As [`LengthState`].
type Length = (u32, u32);

static LITERAL_LENGTHS: [Length; CODES] = lengths(Field::LiteralLength, 0);
static MATCH_LENGTHS: [Length; CODES] = lengths(Field::MatchLength, MIN_MATCH);

const fn lengths(field: Field, least: u32) -> [Length; CODES] {
    let mut lengths = [(0, 0); CODES];
    let mut code = 0;
    while code <= field.max_symbol() {
        let (value, extra) = field.code(code);
        lengths[code] = (((1 << extra) - 1) << LITERAL_STATE.width, (value - least) << LITERAL_STATE.width);
        code += 1;
    }
    lengths
}

/// What a state of a length says: in the low bits what goes to the slot of the state, above it what goes to that of the
/// length.
#[derive(Clone, Copy, Default)]
#[repr(C, align(8))]
struct LengthState {
    mask: u32,
    base: u32,
}

/// The same of an offset, whose extra bits are passed over: the code says how many.
#[derive(Clone, Copy, Default)]
#[repr(C, align(4))]
struct OffsetState {
    mask: u8,
    base: u8,
    code: u8,
}

/// What the states of a sequence say together.
struct Sum {
    mask: u64,
    base: u64,
    /// Extra bits of the offset.
    extra: u32,
}

/// The tables of a block, as small as they can be: those of all lanes have to fit into the first-level cache.
#[repr(align(64))]
struct LaneTables {
    literals: [LengthState; STATES],
    matches: [LengthState; STATES],
    offsets: [OffsetState; OFFSET_STATES],
    /// `Accuracy_Log`, by field.
    logs: [u32; 3],
}

impl LaneTables {
    #[inline(always)]
    fn sum(&self, states: u64, deposit: impl Deposit) -> Sum {
        let offset = &self.offsets[OFFSET_STATE.get(states) as usize];
        let match_ = &self.matches[MATCH_STATE.get(states) as usize];
        let literals = &self.literals[LITERAL_STATE.get(states) as usize];
        let in_place = |offset: u8, match_: u32, literals: u32| {
            let match_ = deposit.deposit(u64::from(match_), MATCH_SLOTS);
            u64::from(offset) | LITERAL_STATE.put(u64::from(literals)) | match_
        };
        Sum {
            mask: in_place(offset.mask, match_.mask, literals.mask),
            base: in_place(offset.base, match_.base, literals.base),
            extra: u32::from(offset.code),
        }
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
        self.both += word >> LITERALS.at;
        self.matches += word >> MATCH.at;
    }
}

/// A block on its way.
pub(super) struct Lane {
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
            literals: [LengthState::default(); STATES],
            matches: [LengthState::default(); STATES],
            offsets: [OffsetState::default(); OFFSET_STATES],
            logs: [0; 3],
        };
        Lane { tables, state: State::default(), count: 0, left: 0, low: 0 }
    }

    /// Sets the table of `field` to what stands at the beginning of `bytes`, and tells how many of them it takes.
    #[inline(always)]
    pub fn set(&mut self, field: Field, mode: Mode, bytes: &[u8]) -> Result<usize, Fault> {
        let (distribution, consumed) = Distribution::read(field, mode, bytes)?;
        let tables = &mut self.tables;
        tables.logs[field as usize] = distribution.log();
        let (states, lengths) = match field {
            Field::Offset => {
                let states = &mut tables.offsets;
                distribution.build(|state, code, bits, base| {
                    let mask = ((1u32 << bits) - 1) as u8;
                    states[state & (OFFSET_STATES - 1)] = OffsetState { mask, base: base as u8, code: code as u8 };
                });
                return Ok(consumed);
            }
            Field::LiteralLength => (&mut tables.literals, &LITERAL_LENGTHS),
            Field::MatchLength => (&mut tables.matches, &MATCH_LENGTHS),
        };
        distribution.build(|state, code, bits, base| {
            let (mask, value) = lengths[code & (CODES - 1)];
            states[state & (STATES - 1)] = LengthState { mask: mask | ((1 << bits) - 1), base: value | base };
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
        ((self.state.position - self.low) / WORD_BITS as usize).min(self.left.saturating_sub(1))
    }

    /// Decodes one sequence, with an eye on the end of the bitstream; after the last, no state bits follow.
    #[cold]
    fn careful(&mut self, data: &[u8]) -> Result<(), Fault> {
        let Sum { mask, base, extra } = self.tables.sum(self.state.word, BySlots);
        let position = &mut self.state.position;
        let mut take = |bits: u32| {
            *position =
                position.checked_sub(bits as usize).filter(|&p| p >= self.low).ok_or(Fault::BitstreamOverrun)?;
            let word = data.get(*position / 8..).and_then(|tail| tail.first_chunk()).ok_or(Fault::BlockTooShort)?;
            Ok(u64::from_le_bytes(*word) >> (*position % 8) & ((1 << bits) - 1))
        };
        let of_lengths = mask & (u64::MAX << LITERALS.at);
        let of_states = mask ^ of_lengths;
        take(extra)?;
        let mut word = base + BySlots.deposit(take(of_lengths.count_ones())?, of_lengths);
        self.left -= 1;
        if self.left > 0 {
            word += BySlots.deposit(take(of_states.count_ones())?, of_states);
        } else if *position != self.low {
            return Err(Fault::BitstreamUnderrun);
        }
        self.state.add(word);
        Ok(())
    }
}

/// Decodes until at least one of the lanes is done. `data` goes on for [`PADDING`] bytes after every bitstream; none of
/// the lanes is done yet. Err: which of the lanes, and why.
#[inline(always)]
pub(super) fn run<const N: usize>(
    data: &[u8],
    lanes: &mut [Lane; N],
    deposit: impl Deposit,
) -> Result<(), (usize, Fault)> {
    loop {
        let count = lanes.iter().map(Lane::carefree).min().unwrap_or(0);
        if count > 0 {
            let inside = |lane: &Lane| lane.low >= PADDING * 8 && lane.state.position / 8 < data.len();
            assert!(lanes.iter().all(inside), "every lane began inside the data");
            // SAFETY: no step takes more than WORD_BITS, so in `count` steps no position sinks below the lane's `low`, which
            // has PADDING bytes in front of it, nor does it ever rise.
            if let Some(lane) = unsafe { go(data, lanes, count, deposit) } {
                lanes[lane].careful(data).map_err(|fault| (lane, fault))?;
            }
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

/// Takes `count` steps in every lane, or fewer where a sequence has more bits than a word: then tells in which lane.
///
/// # Safety
/// The position of every lane is at least `PADDING * 8` bits and stays so for `count` sequences of [`WORD_BITS`]; it lies
/// inside `data`.
#[inline(always)]
unsafe fn go<const N: usize>(data: &[u8], lanes: &mut [Lane; N], count: usize, deposit: impl Deposit) -> Option<usize> {
    let mut states: [State; N] = std::array::from_fn(|lane| lanes[lane].state);
    let mut stuck = None;
    let mut steps = 0;
    'steps: while steps < count {
        for lane in 0..N {
            // SAFETY: as the caller promises.
            if !unsafe { step(data, &lanes[lane].tables, &mut states[lane], deposit) } {
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
///
/// # Safety
/// `state.position / 8` is at least 7 and below `data.len()`.
#[inline(always)]
unsafe fn step(data: &[u8], tables: &LaneTables, state: &mut State, deposit: impl Deposit) -> bool {
    let Sum { mask, base, extra } = tables.sum(state.word, deposit);
    let total = mask.count_ones() + extra;
    if total > WORD_BITS {
        return false;
    }
    // SAFETY: the word ends with the byte that holds the bit at `position`.
    let word = unsafe { data.as_ptr().add((state.position >> 3) - 7).cast::<u64>().read_unaligned() };
    // Of its 56 bits below that byte and those in it, all above the sequence's are read already, and all below it are
    // shifted out. A shift is modulo 64, which spares the mask of `position % 8 + 56`.
    let bits = u64::from_le(word).wrapping_shr((state.position as u32 | WORD_BITS).wrapping_sub(total));
    state.position = state.position.wrapping_sub(total as usize);
    state.add(deposit.deposit(bits, mask) + base);
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
        let bits = u64::MAX >> 38;
        assert_eq!(ByInstruction(()).deposit(bits, MATCH_SLOTS), BySlots.deposit(bits, MATCH_SLOTS));
    }
}
