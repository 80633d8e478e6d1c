//! Huffman-coded literals: the description of the tree, and the streams (RFC 8878 section 4.2).

use crate::zst::format::bits::BackwardBits;
use crate::zst::format::fault::Fault;
use crate::zst::format::fse::Distribution;

/// `Max_Number_of_Bits` of a code may be this: RFC 8878 section 4.2.1.
const MAX_BITS: u32 = 11;
const TABLE_LEN: usize = 1 << MAX_BITS;
/// Weights are those of byte values, and that of the last is not stored: RFC 8878 section 4.2.1.1.
const MAX_WEIGHTS: usize = 255;
/// `Accuracy_Log` of the weights is at most this: RFC 8878 section 4.2.1.2.
const WEIGHTS_MAX_LOG: u32 = 6;
const WEIGHTS_STATES: usize = 1 << WEIGHTS_MAX_LOG;
/// Header bytes from here on say that weights follow as they are, two a byte: RFC 8878 section 4.2.1.1.
const DIRECT: u8 = 128;
/// `Jump_Table` of four streams: RFC 8878 section 3.1.1.3.1.6.
const JUMP_TABLE_LEN: usize = 6;
/// Symbols that one 64-bit window surely holds: 57 bits, wherever in a byte it begins.
const BATCH: usize = 5;
const _: () = assert!(BATCH * MAX_BITS as usize <= 57);

/// A decoding table: by the next 11 bits, a symbol in the high byte and the length of its code in the low one.
pub(in crate::zst) struct Huffman(Box<[u16; TABLE_LEN]>);

impl Huffman {
    /// Reads `Huffman_Tree_Description` at the beginning of `bytes`, and how many it takes: RFC 8878 section 4.2.1.
    pub fn parse(bytes: &[u8]) -> Result<(Huffman, usize), Fault> {
        let (&header, rest) = bytes.split_first().ok_or(Fault::BlockTooShort)?;
        let mut weights = [0; MAX_WEIGHTS + 1];
        let (count, len) = if header >= DIRECT {
            let count = usize::from(header - DIRECT) + 1;
            let len = count.div_ceil(2);
            let packed = rest.get(..len).ok_or(Fault::BlockTooShort)?;
            let halves = packed.iter().flat_map(|&pair| [pair >> 4, pair & 15]);
            for (weight, half) in weights.iter_mut().zip(halves.take(count)) {
                *weight = half;
            }
            (count, len)
        } else {
            let len = usize::from(header);
            (coded_weights(rest.get(..len).ok_or(Fault::BlockTooShort)?, &mut weights)?, len)
        };
        Ok((Huffman::build(&mut weights, count)?, 1 + len))
    }

    /// The table of `count` weights and of the one after them, which makes their sum a power of two.
    fn build(weights: &mut [u8; MAX_WEIGHTS + 1], count: usize) -> Result<Huffman, Fault> {
        let mut occurs = [0u32; MAX_BITS as usize + 1];
        let mut sum = 0u32;
        for &weight in weights.iter().take(count) {
            *occurs.get_mut(usize::from(weight)).ok_or(Fault::BadWeights)? += 1;
            sum += (1 << weight) >> 1;
        }
        let bits = if sum == 0 { return Err(Fault::BadWeights) } else { sum.ilog2() + 1 };
        let rest = (1u32 << bits) - sum;
        if bits > MAX_BITS || !rest.is_power_of_two() {
            return Err(Fault::BadWeights);
        }
        let last = rest.ilog2() + 1;
        *weights.get_mut(count).ok_or(Fault::BadWeights)? = u8::try_from(last).expect("at most 11");
        occurs[last as usize] += 1;
        // As libzstd: the longest codes come in pairs.
        if occurs[1] < 2 || occurs[1] % 2 != 0 {
            return Err(Fault::BadWeights);
        }
        let mut table = Box::new([0; TABLE_LEN]);
        let mut starts = [0; MAX_BITS as usize + 1];
        let mut start = 0;
        // Shorter trees are drawn out to 11 bits, so that one shift serves all of them.
        let widen = MAX_BITS - bits;
        for (weight, starts) in starts.iter_mut().enumerate().skip(1) {
            *starts = start;
            start += (occurs[weight] as usize) << (weight - 1) << widen;
        }
        for (symbol, &weight) in (0u8..=255).zip(weights.iter()).take(count + 1).filter(|&(_, &weight)| weight > 0) {
            let length = bits + 1 - u32::from(weight);
            let start = &mut starts[usize::from(weight)];
            let end = *start + (1 << (weight - 1) << widen);
            table[*start..end].fill(u16::from(symbol) << 8 | u16::try_from(length).expect("at most 11"));
            *start = end;
        }
        Ok(Huffman(table))
    }

    /// Decodes one stream: `out` is filled, and `bytes` used up to their last bit. RFC 8878 section 4.2.2.
    pub fn decode_one(&self, bytes: &[u8], out: &mut [u8]) -> Result<(), Fault> {
        self.finish(Stream::new(bytes)?, out)
    }

    /// Decodes four streams behind a jump table: RFC 8878 section 3.1.1.3.1.6.
    pub fn decode_four(&self, bytes: &[u8], out: &mut [u8]) -> Result<(), Fault> {
        let (jump, mut rest) = bytes.split_first_chunk::<JUMP_TABLE_LEN>().ok_or(Fault::BlockTooShort)?;
        let mut cut = |low, high| {
            let (stream, after) = rest.split_at_checked(u16::from_le_bytes([low, high]).into())?;
            rest = after;
            Some(stream)
        };
        let first = cut(jump[0], jump[1]).ok_or(Fault::BlockTooShort)?;
        let second = cut(jump[2], jump[3]).ok_or(Fault::BlockTooShort)?;
        let third = cut(jump[4], jump[5]).ok_or(Fault::BlockTooShort)?;
        let streams = [Stream::new(first)?, Stream::new(second)?, Stream::new(third)?, Stream::new(rest)?];
        let quarter = out.len().div_ceil(4);
        let mut parts = out.chunks_mut(quarter.max(1));
        let outs = [(); 4].map(|()| parts.next().unwrap_or_default());
        // The first three are of one length.
        if outs[2].len() != quarter {
            return Err(Fault::TooFewLiterals);
        }
        self.four(streams, outs)
    }

    /// Four streams at once for as long as all of them have bits: their loads and shifts overlap.
    fn four(&self, mut streams: [Stream; 4], mut outs: [&mut [u8]; 4]) -> Result<(), Fault> {
        let mut done = 0;
        while let Some(mut batches) = all(outs.each_mut().map(|out| out.get_mut(done..)?.first_chunk_mut::<BATCH>()))
            && let Some(mut windows) = all(streams.each_ref().map(Stream::window))
        {
            for turn in 0..BATCH {
                for (batch, window) in batches.iter_mut().zip(&mut windows) {
                    batch[turn] = window.symbol(self);
                }
            }
            for (stream, window) in streams.iter_mut().zip(&windows) {
                stream.leave(window);
            }
            done += BATCH;
        }
        for (stream, out) in streams.into_iter().zip(outs) {
            self.finish(stream, out.get_mut(done..).unwrap_or_default())?;
        }
        Ok(())
    }

    fn finish(&self, mut stream: Stream, out: &mut [u8]) -> Result<(), Fault> {
        let mut done = 0;
        while let Some(batch) = out.get_mut(done..done + BATCH) {
            let Some(mut window) = stream.window() else { break };
            for out in batch {
                *out = window.symbol(self);
            }
            stream.leave(&window);
            done += BATCH;
        }
        for out in out.get_mut(done..).unwrap_or_default() {
            *out = stream.last_symbol(self)?;
        }
        if stream.left == 0 { Ok(()) } else { Err(Fault::BitstreamUnderrun) }
    }

    /// The symbol and the length of its code, by the highest bits of a word.
    fn entry(&self, word: u64) -> (u8, u32) {
        let [length, symbol] = self.0[(word >> (64 - MAX_BITS)) as usize].to_le_bytes();
        (symbol, u32::from(length & 15))
    }
}

/// The four, if none of them is missing.
fn all<T>(four: [Option<T>; 4]) -> Option<[T; 4]> {
    if let [Some(a), Some(b), Some(c), Some(d)] = four { Some([a, b, c, d]) } else { None }
}

/// One bitstream, read from its end: RFC 8878 section 4.2.2.
struct Stream<'a> {
    bytes: &'a [u8],
    /// Bits not read yet.
    left: usize,
}

impl<'a> Stream<'a> {
    fn new(bytes: &'a [u8]) -> Result<Stream<'a>, Fault> {
        Ok(Stream { bytes, left: BackwardBits::new(bytes)?.left() })
    }

    /// The bits that come next, if there are enough for [`BATCH`] symbols of any length.
    fn window(&self) -> Option<Window> {
        let end = self.left.div_ceil(8);
        let word = u64::from_le_bytes(*self.bytes.get(..end)?.last_chunk()?);
        Some(Window((word | 1) << (end * 8 - self.left)))
    }

    /// Goes on behind what was taken from its window.
    fn leave(&mut self, window: &Window) {
        self.left = self.left.div_ceil(8) * 8 - window.0.trailing_zeros() as usize;
    }

    /// A symbol near the stream's beginning: bits before it are zeros, and must not be needed.
    fn last_symbol(&mut self, table: &Huffman) -> Result<u8, Fault> {
        let end = self.left.div_ceil(8);
        let start = end.saturating_sub(8);
        let near = self.bytes.get(start..end).unwrap_or_default();
        let mut word = [0; 8];
        word[8 - near.len()..].copy_from_slice(near);
        let (symbol, length) = table.entry(u64::from_le_bytes(word) << (end * 8 - self.left));
        self.left = self.left.checked_sub(length as usize).ok_or(Fault::BitstreamOverrun)?;
        Ok(symbol)
    }
}

/// Bits to be taken from the highest on. The lowest bit is one, which no symbol of a batch reaches, so that the zeros
/// below it tell how many were taken.
struct Window(u64);

impl Window {
    #[inline]
    fn symbol(&mut self, table: &Huffman) -> u8 {
        let (symbol, length) = table.entry(self.0);
        self.0 <<= length;
        symbol
    }
}

/// Decodes weights from all of `bytes`, and how many they are: RFC 8878 section 4.2.1.2.
fn coded_weights(bytes: &[u8], weights: &mut [u8; MAX_WEIGHTS + 1]) -> Result<usize, Fault> {
    let (distribution, consumed) = Distribution::parse(bytes, MAX_BITS as usize, WEIGHTS_MAX_LOG)?;
    // By state: the weight, the bits of the next state, and its base.
    let mut table = [(0u8, 0u32, 0usize); WEIGHTS_STATES];
    distribution.build(|state, weight, next| {
        table[state & (WEIGHTS_STATES - 1)] = (weight.to_le_bytes()[0], next.bits(), next.base());
    });
    let mut bits = BackwardBits::new(bytes.get(consumed..).ok_or(Fault::BlockTooShort)?)?;
    let mut first = index(bits.take(distribution.log())?);
    let mut second = index(bits.take(distribution.log())?);
    let mut count = 0;
    loop {
        // Two states take turns; the one that finds too few bits ends it, and the other one has a last word.
        let (weight, wanted, base) = table[first & (WEIGHTS_STATES - 1)];
        let next = bits.take(wanted);
        let (ended, _, _) = table[second & (WEIGHTS_STATES - 1)];
        let said = if next.is_ok() { &[weight][..] } else { &[weight, ended][..] };
        let room = weights.get_mut(count..count + said.len()).filter(|_| count + said.len() <= MAX_WEIGHTS);
        room.ok_or(Fault::BadWeights)?.copy_from_slice(said);
        count += said.len();
        let Ok(next) = next else { return Ok(count) };
        (first, second) = (second, base + index(next));
    }
}

/// A few bits as an index.
fn index(bits: u64) -> usize {
    usize::try_from(bits).expect("a state has 6 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Weights 2, 1 and the last one, 1: "0" is 1, "1" is 00, "2" is 01.
    const SMALL: [u8; 2] = [DIRECT + 1, 0x21];

    fn small() -> Huffman {
        let (tree, len) = Huffman::parse(&SMALL).expect("it is a tree");
        assert_eq!(len, 2);
        tree
    }

    #[test]
    fn codes_are_given_by_weight_and_then_by_value() {
        let mut out = [9; 4];
        // Behind the end mark: 1, 00, 01, 1.
        small().decode_one(&[0b0110_0011], &mut out[..3]).expect_err("bits are left");
        small().decode_one(&[0b0110_0011], &mut out).expect("all bits are used");
        assert_eq!(out, [0, 1, 2, 0]);
    }

    #[test]
    fn a_stream_ends_at_exactly_its_last_bit() {
        let mut out = [0; 5];
        assert_eq!(small().decode_one(&[0b0110_0011], &mut out[..3]), Err(Fault::BitstreamUnderrun));
        assert_eq!(small().decode_one(&[0b0110_0011], &mut out), Err(Fault::BitstreamOverrun));
        assert_eq!(small().decode_one(&[0], &mut out), Err(Fault::NoEndMark));
        assert_eq!(small().decode_one(&[], &mut out), Err(Fault::NoEndMark));
    }

    #[test]
    fn four_streams_lie_within_their_section() {
        let mut out = [9; 6];
        let streams = [1, 0, 1, 0, 1, 0, 0b0000_0111, 0b0000_0111, 0b0000_0111, 1];
        small().decode_four(&streams, &mut out).expect("three of two symbols, and one of none");
        assert_eq!(out, [0; 6]);
        let mut beyond = streams;
        beyond[4] = 3;
        assert_eq!(small().decode_four(&beyond, &mut out), Err(Fault::BlockTooShort));
        assert_eq!(small().decode_four(&streams, &mut out[..5]), Err(Fault::TooFewLiterals));
        assert_eq!(small().decode_four(&streams[..5], &mut out), Err(Fault::BlockTooShort));
    }

    #[test]
    fn weights_that_make_no_tree_are_refused() {
        let refused = |bytes: &[u8]| Huffman::parse(bytes).err();
        assert_eq!(refused(&[DIRECT, 0x00]), Some(Fault::BadWeights), "all of them zero");
        assert_eq!(refused(&[DIRECT + 1, 0x32]), Some(Fault::BadWeights), "no pair of longest codes");
        assert_eq!(refused(&[DIRECT + 2, 0x41, 0x10]), Some(Fault::BadWeights), "the rest is no power of two");
        assert_eq!(refused(&[DIRECT, 0xC0]), Some(Fault::BadWeights), "a weight of twelve");
        assert_eq!(refused(&[DIRECT, 0xB0]), Some(Fault::BadWeights), "codes of twelve bits");
        assert_eq!(refused(&[DIRECT + 1]), Some(Fault::BlockTooShort));
        assert_eq!(refused(&[5, 0, 0]), Some(Fault::BlockTooShort));
        assert_eq!(refused(&[]), Some(Fault::BlockTooShort));
    }

    #[test]
    fn no_description_panics() {
        let mut bytes = [0u8; 24];
        let mut state = 1u64;
        for _ in 0..200_000 {
            for byte in &mut bytes {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *byte = state.to_be_bytes()[0];
            }
            bytes[0] %= 24;
            let Ok((tree, len)) = Huffman::parse(&bytes) else { continue };
            let _ = tree.decode_four(&bytes[len..], &mut [0; 40]);
            let _ = tree.decode_one(&bytes[len..], &mut [0; 40]);
        }
    }
}
