use std::io::Write;

use tempfile::TempDir;
use zstd::zstd_safe::CParameter;

use super::*;
use crate::zst::pass::map::{DISTANCE, Map};

/// Text, zeros, noise and copies of what was before: each kind of block comes from it.
fn content(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 33) as usize
    };
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let run = next() % 300_000;
        match next() % 4 {
            0 => bytes.resize(bytes.len() + run, 0),
            1 => bytes.extend((0..run).map(|_| next().to_le_bytes()[0])),
            2 => (0..run / 16).for_each(|_| write!(bytes, "{:x} ", next() % 5000).expect("memory")),
            _ => bytes.extend_from_within(bytes.len() - run.min(bytes.len())..),
        }
    }
    bytes.truncate(len);
    bytes
}

fn compress(plain: &[u8], parameters: &[CParameter]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("level 3");
    for &parameter in parameters {
        encoder.set_parameter(parameter).expect("known");
    }
    encoder.write_all(plain).expect("memory");
    encoder.finish().expect("memory")
}

struct Fixture {
    _folder: TempDir,
    source: Arc<Source>,
}

impl Fixture {
    fn new(bytes: &[u8]) -> Fixture {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, bytes).expect("written");
        Fixture { source: Arc::new(Source::open(&path).expect("opens")), _folder: folder }
    }

    fn pass(&self, place: Place, slab_len: usize) -> Pass {
        Pass::new(Arc::clone(&self.source), Arc::default(), place, slab_len)
    }

    /// The blocks of the whole file, and where it ends.
    fn blocks(&self, slab_len: usize) -> Result<(Vec<Block>, u64), Stop> {
        let mut pass = self.pass(Place::default(), slab_len);
        let mut blocks = Vec::new();
        while !pass.is_at_end() {
            pass.step(usize::MAX, &mut |block, _| blocks.push(*block))?;
        }
        Ok((blocks, pass.place().decompressed))
    }

    fn fault(&self) -> Fault {
        match self.blocks(1 << 20) {
            Err(Stop::Odd(fault)) => fault,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn sizes_add_up_however_much_is_read_at_once() {
    let plain = content(5_000_000);
    let mut file = compress(&plain, &[]);
    file.extend(b"\x50\x2a\x4d\x18\x05\0\0\0hello");
    file.extend(compress(&plain[..1_000_000], &[CParameter::ChecksumFlag(true)]));
    let fixture = Fixture::new(&file);
    let (blocks, end) = fixture.blocks(4 << 20).expect("it is whole");
    assert_eq!(end, 6_000_000);
    for kind in [BlockKind::Raw, BlockKind::Rle, BlockKind::Compressed] {
        assert!(blocks.iter().any(|block| block.kind == kind), "{kind:?}");
    }
    assert!(blocks.is_sorted_by(|a, b| a.decompressed + u64::from(a.regenerated) == b.decompressed));
    for slab_len in [200_000, 1 << 20] {
        assert_eq!(fixture.blocks(slab_len).expect("it is whole").0, blocks, "{slab_len}");
    }
}

#[test]
fn the_longest_lengths_are_counted() {
    // A match of nearly a block, and as many literals in front of one as fit with it.
    let period: Vec<u8> = (0..400_000_u32).map(|at| (at % 251).to_le_bytes()[0]).collect();
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(0x0019_660D).wrapping_add(0x3C6E_F35F);
        // Of 16 letters, for of noise there is nothing to be compressed.
        state.to_le_bytes()[3] & 0xF
    })
    .take(100_000)
    .collect();
    let plain = [&period[..], &noise, &noise[..20_000], &period, &vec![0; 300_000], &noise[50_000..]].concat();
    for level in [-5, 1, 3, 9, 19] {
        let fixture = Fixture::new(&compress(&plain, &[CParameter::CompressionLevel(level)]));
        let (blocks, end) = fixture.blocks(1 << 20).expect("it is whole");
        assert_eq!(end, plain.len() as u64, "{level}");
        assert!(blocks.iter().any(|block| block.kind == BlockKind::Compressed && block.content_len < 1000), "{level}");
    }
}

#[test]
fn several_threads_pass_what_one_does() {
    let mut file = compress(&content(20_000_000), &[]);
    file.extend(b"\x50\x2a\x4d\x18\x05\0\0\0hello");
    file.extend(compress(&content(9_000_000), &[CParameter::CompressionLevel(9)]));
    let with = |threads: usize, file: &[u8]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        pool.install(|| {
            let fixture = Fixture::new(file);
            let mut pass = fixture.pass(Place::default(), 200_000);
            let mut blocks = Vec::new();
            let mut ended = Ok(());
            while ended.is_ok() && !pass.is_at_end() {
                ended = pass.step(usize::MAX, &mut |block, _| blocks.push(*block));
            }
            (blocks, format!("{ended:?}"))
        })
    };
    let (whole, _) = with(1, &file);
    assert!(whole.len() > 200);
    for damage in [None, Some(file.len() / 2), Some(file.len() - 3_000)] {
        let mut file = file.clone();
        if let Some(at) = damage {
            // The type of a block that there is not.
            let block =
                whole.iter().find(|block| block.compressed >= at as u64).map_or(at as u64, |block| block.compressed);
            file[usize::try_from(block).expect("in memory")] |= 6;
        }
        let alone = with(1, &file);
        assert_eq!(alone.1 == "Ok(())", damage.is_none(), "{}", alone.1);
        for threads in [2, 5] {
            assert_eq!(with(threads, &file), alone, "{threads} threads, damaged at {damage:?}");
        }
    }
}

#[test]
fn a_pass_goes_on_from_every_place_of_the_map() {
    let plain = content(3 * usize::try_from(DISTANCE).expect("fits"));
    // Levels above 3 use tables of earlier blocks again.
    let fixture = Fixture::new(&compress(&plain, &[CParameter::CompressionLevel(9)]));
    let (blocks, end) = fixture.blocks(1 << 20).expect("it is whole");
    let mut map = Map::new();
    let mut pass = fixture.pass(Place::default(), 1 << 20);
    while !pass.is_at_end() {
        pass.step(usize::MAX, &mut |_, place| {
            map.note(place);
        })
        .expect("it is whole");
    }
    for position in (0..end).step_by(1 << 20) {
        let (place, next, _) = map.before(&fixture.source, position).expect("readable").expect("known");
        assert!(place.decompressed <= position && next.is_none_or(|next| position < next));
        let mut pass = fixture.pass(place, 300_000);
        let mut found = Vec::new();
        while pass.place().decompressed <= position {
            pass.step(usize::MAX, &mut |block, _| found.push(*block)).expect("it is whole");
        }
        let first = blocks.iter().position(|block| block.decompressed == place.decompressed).expect("a block is there");
        assert_eq!(found, blocks[first..first + found.len()]);
    }
}

#[test]
fn only_frames_that_say_their_size_and_end_before_the_limit_are_jumped() {
    let plain = content(700_000);
    let sized = zstd::bulk::compress(&plain, 3).expect("memory");
    let unsized_ = compress(&plain, &[CParameter::ContentSizeFlag(false)]);
    let fixture = Fixture::new(&[&sized[..], &sized, &unsized_].concat());
    let mut pass = fixture.pass(Place::default(), 1 << 20);
    assert!(!pass.jump(699_999, None).expect("readable"));
    assert!(pass.jump(700_000, None).expect("readable"));
    assert!(pass.jump(u64::MAX, None).expect("readable"));
    assert!(!pass.jump(u64::MAX, None).expect("readable"));
    let place = Place { compressed: 2 * sized.len() as u64, decompressed: 1_400_000, frame: None };
    assert_eq!(*pass.place(), place);
    // Of each block no more than its header was read.
    assert!(fixture.source.requested() < 2000, "{}", fixture.source.requested());
}

#[test]
fn every_cut_ends_in_a_fault() {
    let file = compress(&content(400_000), &[CParameter::ChecksumFlag(true)]);
    for cut in (1..file.len()).step_by(997) {
        assert_eq!(Fixture::new(&file[..cut]).fault(), Fault::Truncated, "{cut}");
    }
}

#[test]
fn tables_are_not_repeated_across_frames() {
    let repeats = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58, 0x45, 0, 0, 0x00, 0x01, 0xFC, 1, 1, 1, 1, 1];
    // However much of the first frame is in memory when the second begins.
    for len in (600_000..3_000_000).step_by(200_000) {
        let first = compress(&content(len), &[]);
        assert_eq!(Fixture::new(&[&first[..], &repeats].concat()).fault(), Fault::NothingToRepeat, "{len}");
    }
}

#[test]
fn what_no_compressor_writes_is_refused() {
    let header = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x58];
    let frame = |blocks: &[u8]| Fixture::new(&[&header[..], blocks].concat()).fault();
    assert_eq!(frame(&[0x07, 0, 0]), Fault::ReservedBlockType);
    // A raw block of 128 KiB and one byte.
    assert_eq!(frame(&[0x09, 0, 0x10]), Fault::BlockTooLarge);
    // Literals that were to be decoded with the tree of an earlier block.
    assert_eq!(frame(&[0x2D, 0, 0, 0x13, 0x40, 0, 1, 0]), Fault::NothingToRepeat);
    // One sequence, whose tables are those of an earlier block.
    assert_eq!(frame(&[0x2D, 0, 0, 0x00, 0x01, 0xFC, 1, 1]), Fault::NothingToRepeat);
    assert_eq!(frame(&[0x2D, 0, 0, 0x00, 0x01, 0x03, 1, 1]), Fault::ReservedModeBits);
    assert_eq!(frame(&[0x1D, 0, 0, 0x00, 0x00, 0x00]), Fault::TrailingBytes);
    // 100 zeros, of a frame that says it has 99.
    let sized = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 99, 0x23, 3, 0, 0];
    assert_eq!(Fixture::new(&sized).fault(), Fault::BlockTooLarge);
    let sized = [0x28, 0xB5, 0x2F, 0xFD, 0x20, 101, 0x23, 3, 0, 0];
    assert_eq!(Fixture::new(&sized).fault(), Fault::ContentSize);
    assert_eq!(Fixture::new(b"hello, world, this is text").fault(), Fault::NotAFrame);
    assert_eq!(Fixture::new(&[0x28, 0xB5, 0x2F, 0xFD, 0x21, 7, 5, 0x01, 0, 0]).fault(), Fault::Dictionary);
}
