//! Every block and any range, beside what libzstd makes of them.

use std::io::Write;

use super::*;
use crate::zst::format::block::{
    BLOCK_HEADER_LEN, BlockHeader, BlockKind, Field, LiteralsKind, MAX_BLOCK, Mode, Sections,
};
use crate::zst::format::frame::FrameStart;
use crate::zst::format::fse::Tables;
use crate::zst::format::literals;
use crate::zst::format::sequences::Sequences;
use crate::zst::meter::Meter;
use crate::zst::trace::opened::Inherited;

/// A file in memory, whose blocks are known because all of them were decoded, from the first to the last.
struct Memory {
    file: Vec<u8>,
    blocks: Vec<Block>,
    /// Of each block, the indices of those that set its tree and its three tables.
    setters: Vec<[Option<usize>; 4]>,
    plain: Vec<u8>,
    opened: u64,
}

impl Memory {
    fn decode(file: Vec<u8>) -> Result<Memory, Fault> {
        let mut memory = Memory { file, blocks: Vec::new(), setters: Vec::new(), plain: Vec::new(), opened: 0 };
        let mut at = 0;
        while let Some(bytes) = memory.file.get(at..).filter(|bytes| !bytes.is_empty()) {
            match FrameStart::parse(bytes).map_err(|_| Fault::BlockTooShort)? {
                FrameStart::Skippable { length } => at += usize::try_from(length).expect("tests are small"),
                FrameStart::Data(header) => {
                    at += usize::try_from(header.length).expect("at most 18");
                    at = memory.frame(at, header.window)? + if header.checksum { 4 } else { 0 };
                }
            }
        }
        Ok(memory)
    }

    fn frame(&mut self, mut at: usize, window: u64) -> Result<usize, Fault> {
        let frame_start = self.plain.len() as u64;
        let maximum = window.min(MAX_BLOCK);
        let mut repeats = FIRST;
        let mut in_force = [None; 4];
        let mut tables = Tables::new();
        loop {
            let header = self.file.get(at..at + BLOCK_HEADER_LEN).ok_or(Fault::BlockTooShort)?;
            let header = BlockHeader::parse([header[0], header[1], header[2]], maximum)?;
            let offset = at as u64;
            at += BLOCK_HEADER_LEN;
            let end = at + header.content_len();
            let content = self.file.get(at..end).ok_or(Fault::BlockTooShort)?;
            let start = self.plain.len();
            let mut inherited = in_force;
            match header.kind {
                BlockKind::Raw => self.plain.extend_from_slice(content),
                BlockKind::Rle => self.plain.resize(start + header.size as usize, content[0]),
                BlockKind::Compressed => {
                    let sections = Sections::parse(content, maximum)?;
                    if sections.literals.kind == LiteralsKind::Compressed {
                        in_force[0] = Some(self.blocks.len());
                    }
                    for field in Field::ALL {
                        if sections.sequences.count > 0 && sections.sequences.modes[field as usize] != Mode::Repeat {
                            in_force[1 + field as usize] = Some(self.blocks.len());
                        }
                    }
                    inherited[0] = inherited[0].filter(|_| sections.literals.kind == LiteralsKind::Treeless);
                    let content_of = |index: usize| {
                        let block: &Block = &self.blocks[index];
                        let from = usize::try_from(block.compressed).expect("it is small") + BLOCK_HEADER_LEN;
                        &self.file[from..from + block.content_len as usize]
                    };
                    let sequences = if sections.sequences.count == 0 {
                        Sequences::none(sections.literals.regenerated)
                    } else {
                        let setter = |field| {
                            let content = content_of(inherited[1 + field as usize]?);
                            Some((Sections::parse(content, maximum).expect("it was decoded"), content))
                        };
                        let stream_at = tables.read(&sections, content, setter)?;
                        Sequences::decode(&sections, content, stream_at, &tables, maximum, u32::MAX)?
                    };
                    let literals = literals::decode(&sections.literals, content, inherited[0].map(content_of))?;
                    for index in 0..sequences.list.len() {
                        let part = sequences.part(index);
                        let next = sequences.list.get(index + 1).map_or(sequences.covered, |next| next.start);
                        let skip = part.literals as usize;
                        self.plain.extend(&literals[skip..skip + (part.match_start - part.start) as usize]);
                        let offset = if next > part.match_start { known(part.offset, &repeats)? } else { 0 };
                        for _ in part.match_start..next {
                            if u64::from(offset) > window.min(self.plain.len() as u64 - frame_start) {
                                return Err(Fault::OffsetTooFar);
                            }
                            let from = self.plain.len() - offset as usize;
                            self.plain.push(self.plain[from]);
                        }
                    }
                    let mut after = FIRST;
                    for (after, offset) in after.iter_mut().zip(sequences.after) {
                        *after = known(offset, &repeats)?;
                    }
                    repeats = after;
                }
            }
            let regenerated = u32::try_from(self.plain.len() - start).expect("it is small");
            let content_len = u32::try_from(header.content_len()).expect("21 bits");
            let start = start as u64;
            let kind = header.kind;
            let (compressed, decompressed, origin) = (offset, start, frame_start);
            // Who set the tables is kept beside it.
            let setters = None;
            let block = Block { compressed, decompressed, regenerated, kind, content_len, setters, origin, window };
            self.blocks.push(block);
            self.setters.push(inherited);
            at = end;
            if header.last {
                return Ok(at);
            }
        }
    }

    fn index(&self, block: &Block) -> usize {
        self.blocks.partition_point(|other| other.compressed < block.compressed)
    }

    /// Traces each range alone, and all together, and compares.
    fn check(&mut self, wanted: &[Range<usize>]) {
        let mut memo = Memo::new();
        let wide: Vec<_> = wanted.iter().map(|range| range.start as u64..range.end as u64).collect();
        for (range, wide) in wanted.iter().zip(&wide) {
            let found = trace(self, std::slice::from_ref(wide), &mut plenty(&Meter::default()), &mut memo);
            assert_eq!(found.expect("it can be traced"), [&self.plain[range.clone()]], "{range:?}");
        }
        let found = trace(self, &wide, &mut plenty(&Meter::default()), &mut Memo::new()).expect("they can be traced");
        for (range, found) in wanted.iter().zip(found) {
            assert_eq!(found, &self.plain[range.clone()], "{range:?}");
        }
    }
}

impl Blocks for Memory {
    fn block_at(&mut self, position: u64) -> Result<Block, Error> {
        let after = self.blocks.partition_point(|block| block.decompressed + u64::from(block.regenerated) <= position);
        let end = Error::EndOfData { size: self.plain.len() as u64, wanted: position };
        self.blocks.get(after).copied().ok_or(end)
    }

    fn before(&mut self, block: &Block) -> Result<Option<Block>, Error> {
        let before = self.index(block).checked_sub(1).map(|index| self.blocks[index]);
        Ok(before.filter(|before| before.origin == block.origin && before.decompressed >= block.origin))
    }

    fn setter(&mut self, block: &Block, table: Inherited) -> Result<Option<Block>, Error> {
        let which = match table {
            Inherited::Tree => 0,
            Inherited::Table(field) => 1 + field as usize,
        };
        Ok(self.setters[self.index(block)][which].map(|index| self.blocks[index]))
    }

    fn content(&mut self, block: &Block, content: &mut Vec<u8>) -> Result<(), Error> {
        self.opened += 1;
        let from = usize::try_from(block.compressed).expect("it is small") + BLOCK_HEADER_LEN;
        content.clear();
        content.extend_from_slice(&self.file[from..from + block.content_len as usize]);
        Ok(())
    }
}

fn plenty(meter: &Meter) -> Budget<'_> {
    Budget { bytes: 1 << 34, steps: 1 << 24, meter }
}

/// Numbers that are the same every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 20).expect("64 bits") % sides
    }

    fn noise(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.roll(256).to_le_bytes()[0]).collect()
    }

    fn ranges(&mut self, count: usize, len: usize) -> Vec<Range<usize>> {
        let range = |dice: &mut Dice| {
            let start = dice.roll(len);
            let longest = [1, 16, 512, 4096, 300_000][dice.roll(5)];
            start..(start + dice.roll(longest) + 1).min(len)
        };
        (0..count).map(|_| range(self)).collect()
    }
}

/// Bytes of several kinds, some of each.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    let words: Vec<Vec<u8>> =
        (0..3000).map(|_| (0..=dice.roll(9)).map(|_| b"etaoinshrdlu"[dice.roll(12)]).collect()).collect();
    let mut text = Vec::new();
    while text.len() < 1_100_000 {
        let most = 1 + dice.roll(words.len());
        text.extend_from_slice(&words[dice.roll(most)]);
        text.push(if dice.roll(12) == 0 { b'\n' } else { b' ' });
    }
    let template = dice.noise(700);
    let mut records = Vec::new();
    for number in 0..2000u32 {
        records.extend_from_slice(&template);
        records.extend_from_slice(&number.to_be_bytes());
    }
    let program = std::env::current_exe().and_then(std::fs::read).expect("the test itself can be read");
    let program = program[..program.len().min(1_000_000)].to_vec();
    let mut mixed = vec![0; 700_000];
    mixed.extend(dice.noise(300_000));
    mixed.extend_from_slice(&text[..400_000]);
    mixed.extend(vec![0; 400_000]);
    mixed.extend_from_slice(&text[200_000..500_000]);
    mixed.extend(b"ab".repeat(200_000));
    // All pieces of what came first, in another order, and between them always the same byte.
    let mut patchwork = dice.noise(128 << 10);
    for piece in 0..2048 {
        patchwork.push(b'x');
        let from = piece * 1021 % 2048 * 64;
        patchwork.extend_from_within(from..from + 64);
    }
    vec![
        ("text", text),
        ("records", records),
        ("program", program),
        ("mixed", mixed),
        ("patchwork", patchwork),
        ("zeros", vec![0; 1_000_000]),
        ("noise", dice.noise(500_000)),
        ("little", b"hello, hello, hello".to_vec()),
    ]
}

fn compress(bytes: &[u8], level: i32, set_up: impl FnOnce(&mut zstd::stream::write::Encoder<Vec<u8>>)) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).expect("the level exists");
    set_up(&mut encoder);
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

#[test]
fn every_block_decodes_as_libzstd_decodes_it_and_any_range_can_be_traced() {
    let mut dice = Dice(1);
    for (name, plain) in samples() {
        for level in [-5, 1, 3, 6, 9, 13, 19, 22] {
            // The highest levels take long.
            let plain = if level > 16 { &plain[..plain.len().min(300_000)] } else { &plain[..] };
            let file = compress(plain, level, |encoder| {
                encoder.include_checksum(level % 2 == 0).expect("it can be set");
            });
            let mut memory = Memory::decode(file).unwrap_or_else(|fault| panic!("{name} at level {level}: {fault}"));
            assert!(memory.plain == plain, "{name} at level {level}");
            let ranges = dice.ranges(12, plain.len());
            memory.check(&ranges);
        }
    }
}

#[test]
fn the_samples_have_all_that_a_block_can_have() {
    let (mut literals, mut modes, mut kinds) = (Vec::new(), Vec::new(), Vec::new());
    let mut streams = [0, 0];
    for (_, plain) in samples() {
        for level in [-5, 3, 9, 13] {
            let memory = Memory::decode(compress(&plain, level, |_| ())).expect("it was just made");
            for block in &memory.blocks {
                kinds.push(block.kind);
                if block.kind == BlockKind::Compressed {
                    let at = usize::try_from(block.compressed).expect("it is small") + BLOCK_HEADER_LEN;
                    let sections = Sections::parse(&memory.file[at..at + block.content_len as usize], MAX_BLOCK);
                    let Sections { literals: header, sequences, .. } = sections.expect("it was decoded");
                    literals.push(header.kind);
                    streams[usize::from(header.four_streams)] += 1;
                    modes.extend(sequences.modes);
                }
            }
        }
    }
    for kind in [BlockKind::Raw, BlockKind::Rle, BlockKind::Compressed] {
        assert!(kinds.contains(&kind), "{kind:?}");
    }
    for kind in [LiteralsKind::Raw, LiteralsKind::Rle, LiteralsKind::Compressed, LiteralsKind::Treeless] {
        assert!(literals.contains(&kind), "{kind:?}");
    }
    for mode in [Mode::Predefined, Mode::Rle, Mode::Compressed, Mode::Repeat] {
        assert!(modes.contains(&mode), "{mode:?}");
    }
    assert!(streams[0] > 0 && streams[1] > 0);
}

#[test]
fn small_windows_and_small_blocks_and_several_frames_are_traced() {
    let mut dice = Dice(2);
    for (name, plain) in samples() {
        let mut file = Vec::new();
        for (level, window) in [(1, 10), (5, 12), (12, 17), (19, 14)] {
            file.extend(compress(&plain, level, |encoder| encoder.window_log(window).expect("it exists")));
            file.extend(b"\x50\x2A\x4D\x18\x03\0\0\0abc");
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).expect("the level exists");
            for piece in plain[..plain.len().min(100_000)].chunks(1 + dice.roll(700)) {
                encoder.write_all(piece).and_then(|()| encoder.flush()).expect("memory takes it");
            }
            file.extend(encoder.finish().expect("memory takes it"));
        }
        let mut memory = Memory::decode(file.clone()).unwrap_or_else(|fault| panic!("{name}: {fault}"));
        assert!(memory.plain == zstd::decode_all(&file[..]).expect("it was just made"), "{name}");
        let ranges = dice.ranges(15, memory.plain.len());
        memory.check(&ranges);
    }
}

#[test]
fn overlapping_and_empty_ranges_are_given_as_asked_for() {
    let plain = samples().swap_remove(0).1;
    let mut memory = Memory::decode(compress(&plain, 3, |_| ())).expect("it was just made");
    memory.check(&[
        500_000..500_700,
        500_100..500_200,
        7..7,
        500_300..501_000,
        0..1,
        0..700_000,
        plain.len()..plain.len(),
    ]);
}

#[test]
fn damage_never_panics_and_never_takes_more_than_the_budget() {
    let mut dice = Dice(3);
    for (_, plain) in samples() {
        for level in [1, 5, 19] {
            let plain = &plain[..plain.len().min(200_000)];
            let good = Memory::decode(compress(plain, level, |_| ())).expect("it was just made");
            for _ in 0..40 {
                let mut file = good.file.clone();
                let byte = dice.roll(file.len());
                file[byte] ^= 1 << dice.roll(8);
                let _ = Memory::decode(file.clone());
                let blocks = good.blocks.clone();
                let mut damaged = Memory { file, blocks, setters: good.setters.clone(), plain: Vec::new(), opened: 0 };
                let wanted = dice.ranges(3, plain.len());
                let wanted: Vec<_> = wanted.into_iter().map(|range| range.start as u64..range.end as u64).collect();
                let meter = Meter::default();
                let mut budget = Budget { bytes: 4 << 20, steps: 20_000, meter: &meter };
                if let Ok(found) = trace(&mut damaged, &wanted, &mut budget, &mut Memo::new()) {
                    assert!(
                        found.iter().zip(&wanted).all(|(found, range)| found.len() as u64 == range.end - range.start)
                    );
                }
                // Each block, its literals, and four that set its tables.
                assert!(damaged.opened <= 100 * 6);
            }
        }
    }
}

#[test]
fn a_budget_that_is_spent_ends_it() {
    let plain = samples().swap_remove(0).1;
    let mut memory = Memory::decode(compress(&plain, 3, |_| ())).expect("it was just made");
    let meter = Meter::default();
    let wanted = 900_000..904_096;
    let mut spent = |bytes, steps| {
        let mut budget = Budget { bytes, steps, meter: &meter };
        trace(&mut memory, std::slice::from_ref(&wanted), &mut budget, &mut Memo::new())
    };
    assert!(matches!(spent(1 << 10, 1 << 20), Err(TraceError::OverBudget)));
    assert!(matches!(spent(1 << 20, 50), Err(TraceError::OverBudget)));
    assert!(spent(1 << 20, 1 << 20).is_ok());
}

#[test]
fn a_long_chain_of_copies_takes_no_memory() {
    let template = Dice(5).noise(2048);
    let mut plain = Vec::new();
    for number in 0..20_000u32 {
        plain.extend_from_slice(&template);
        plain.extend_from_slice(&number.wrapping_mul(2_654_435_761).to_be_bytes());
    }
    let mut memory = Memory::decode(compress(&plain, 3, |_| ())).expect("it was just made");
    let last = plain.len() - 1500..plain.len() - 700;
    memory.check(&[last.clone(), last.start - 300..last.end - 300, 30_000_000..30_009_000]);
}

#[test]
fn a_stop_is_heard() {
    let mut memory = Memory::decode(compress(b"some bytes", 3, |_| ())).expect("it was just made");
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let meter = Meter::new(stop);
    let found = trace(&mut memory, std::slice::from_ref(&(0..4)), &mut plenty(&meter), &mut Memo::new());
    assert!(matches!(found, Err(TraceError::Read(Error::Interrupted))));
}
