//! What the fuzz targets check. `tests/fuzz_regressions.rs` runs the same on every input that once failed.
//!
//! An input is a recipe rather than an archive, because bytes at random seldom get past the first header: how to
//! compress, what to damage afterwards, where to read, and then small operations that make the content. Any bytes are a
//! recipe, and a recipe cut short goes on with zeros. One kind of recipe is the archive itself, byte by byte.

// Either target uses a part of this.
#![allow(dead_code)]

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::path::PathBuf;

use imgsieve::zst::{Engine, Error, Options, ZstFile};
use positioned_io::ReadAt;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective::{ZSTD_e_end, ZSTD_e_flush};
use zstd::zstd_safe::{CCtx, CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective};

/// Largest window, for imgsieve and libzstd alike.
const WINDOW_LOG: u32 = 23;
/// Longest content that a recipe makes: a few blocks of full size, and time for hundreds of runs a second.
const CONTENT_LIMIT: usize = 600 << 10;
/// libzstd's output is compared up to this; a file of RLE blocks grows by a factor of 30,000.
const OUTPUT_LIMIT: usize = 64 << 20;

/// What the files are opened with.
fn options() -> Options {
    Options { engine: Engine::Skip, max_window: 1 << WINDOW_LOG, ..Options::default() }
}

thread_local! {
    /// What libzstd decodes of the file at hand.
    static SIZE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Vouches for what can only be right: blocks are never more than full, so that none lacks anything where all are right
/// together.
fn knows_the_size(_: &dyn ReadAt, size: u64) -> bool {
    SIZE.get() == Some(size)
}

/// The same, with blocks presumed to be full where they can be.
fn presuming(verdict: &Verdict) -> Options {
    SIZE.set(match verdict {
        Verdict::Whole(content) => Some(content.len() as u64),
        Verdict::Refused | Verdict::TooLong => None,
    });
    Options { voucher: Some(knows_the_size), ..options() }
}

/// The recipe, read from its front; zeros where it ended.
struct Recipe<'a>(&'a [u8]);

impl<'a> Recipe<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number<const WIDTH: usize>(&mut self) -> usize {
        self.bytes(WIDTH).iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte))
    }

    fn below(&mut self, limit: usize) -> usize {
        self.number::<1>() % limit
    }

    fn small(&mut self, limit: usize) -> u32 {
        u32::try_from(self.below(limit)).expect("a byte")
    }

    fn flag(&mut self) -> bool {
        self.below(2) == 1
    }
}

/// What a recipe comes to.
struct Dish {
    archive: Vec<u8>,
    /// What went in, where nothing was damaged afterwards.
    content: Option<Vec<u8>>,
    /// Positions as parts of 65,536 of the decompressed size, and lengths.
    reads: Vec<(usize, usize)>,
}

impl Dish {
    /// The archive goes to the file that `FUZZ_DUMP` names, too: for whoever wants to look at it.
    fn of(input: &[u8]) -> Dish {
        let dish = Dish::cooked(input);
        if let Some(path) = std::env::var_os("FUZZ_DUMP") {
            std::fs::write(path, &dish.archive).expect("written");
        }
        dish
    }

    fn cooked(input: &[u8]) -> Dish {
        let mut recipe = Recipe(input);
        let kind = recipe.below(4);
        let reads = (0..recipe.below(17)).map(|_| (recipe.number::<2>(), recipe.number::<2>())).collect();
        if kind == 0 {
            return Dish { archive: recipe.0.to_vec(), content: None, reads };
        }
        let damages: Vec<_> = (0..if kind == 1 { recipe.below(9) } else { 0 })
            .map(|_| (recipe.below(10), recipe.number::<2>(), recipe.number::<1>()))
            .collect();
        let mut archive = Vec::new();
        let content = compressed(&mut recipe, &mut archive);
        let is_whole = damages.is_empty();
        for (action, place, value) in damages {
            damage(&mut archive, action, place, value);
        }
        Dish { archive, content: is_whole.then_some(content), reads }
    }
}

/// Bytes that change, go or come; or whole blocks, which leaves a frame that libzstd may take, with tables that repeat
/// other blocks' than those they were made for.
fn damage(archive: &mut Vec<u8>, action: usize, place: usize, value: usize) {
    if action >= 5 {
        let blocks = blocks(archive);
        if let Some(block) = blocks.get((blocks.len() * place) >> 16).cloned() {
            let other = blocks[value % blocks.len()].clone();
            match action {
                5 => drop(archive.drain(block)),
                6 | 7 => {
                    let copied = archive[other].to_vec();
                    let gone = if action == 6 { block.start..block.start } else { block };
                    drop(archive.splice(gone, copied));
                }
                // An RLE block of many bytes, or of none; a raw one of none.
                8 => drop(archive.splice(block.start..block.start, [2, value.to_le_bytes()[0] & 0x0F, 0, 7])),
                _ => drop(archive.splice(block.start..block.start, [0, 0, 0])),
            }
        }
        return;
    }
    let place = (archive.len() * place) >> 16;
    let low = value.to_le_bytes()[0];
    match (action, archive.get_mut(place)) {
        (0, Some(byte)) => *byte ^= 1 << (value & 7),
        (1, Some(byte)) => *byte = low,
        (2, Some(_)) => drop(archive.drain(place..archive.len().min(place + value % 16 + 1))),
        (3, Some(_)) => archive.insert(place, low),
        (4, Some(_)) => archive.truncate(place),
        _ => archive.push(low),
    }
}

/// The blocks of an archive that nothing is wrong with, each with its header, but for the last of each frame; as many as
/// there are before something is wrong.
fn blocks(archive: &[u8]) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut at = 0;
    let number = |range: Range<usize>| -> Option<usize> {
        Some(archive.get(range)?.iter().rev().fold(0, |value, byte| value << 8 | usize::from(*byte)))
    };
    let mut walk = || -> Option<()> {
        loop {
            if number(at..at + 4)? & 0xFFFF_FFF0 == 0x184D_2A50 {
                at += 8 + number(at + 4..at + 8)?;
                continue;
            }
            // RFC 8878 section 3.1.1.1: the descriptor says how long the header is.
            let descriptor = number(at + 4..at + 5)?;
            let single_segment = descriptor >> 5 & 1;
            let size_len = [single_segment, 2, 4, 8][descriptor >> 6];
            at += 6 - single_segment + [0, 1, 2, 4][descriptor & 3] + size_len;
            loop {
                let header = number(at..at + 3)?;
                let len = 3 + if header >> 1 & 3 == 1 { 1 } else { header >> 3 };
                if header & 1 == 1 {
                    at += len + if descriptor & 4 == 0 { 0 } else { 4 };
                    break;
                }
                blocks.push(at..archive.len().min(at + len));
                at += len;
            }
        }
    };
    let _: Option<()> = walk();
    blocks
}

/// Frames of libzstd, with parameters and flushes by the recipe; gives the content.
fn compressed(recipe: &mut Recipe, archive: &mut Vec<u8>) -> Vec<u8> {
    thread_local!(static CONTEXT: RefCell<CCtx<'static>> = RefCell::new(CCtx::create()));
    CONTEXT.with_borrow_mut(|context| {
        let mut all = Vec::new();
        // Of every frame, for a seek table: compressed and decompressed length.
        let mut lengths = Vec::new();
        for _ in 0..=recipe.below(3) {
            context.reset(ResetDirective::SessionAndParameters).expect("between frames");
            frame_parameters(recipe, context);
            // Operations between two flushes.
            let stride = recipe.below(64) + 1;
            let operations = recipe.number::<1>() * stride;
            let (start, frame) = (all.len(), archive.len());
            let says_size = recipe.flag();
            let mut flushes = Vec::new();
            for operation in 0..operations {
                if recipe.0.is_empty() || all.len() >= CONTENT_LIMIT {
                    break;
                }
                operate(recipe, &mut all, start);
                if operation % stride == stride - 1 {
                    flushes.push(all.len());
                }
            }
            if says_size {
                context.set_pledged_src_size(Some((all.len() - start) as u64)).expect("before the first byte");
            }
            let mut from = start;
            for until in flushes {
                step(context, &all[from..until], false, archive);
                from = until;
            }
            step(context, &all[from..], true, archive);
            lengths.push((archive.len() - frame, all.len() - start));
            if recipe.flag() {
                // A skippable frame, RFC 8878 section 3.1.2.
                archive.extend([0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3]);
                lengths.push((11, 0));
            }
        }
        if recipe.below(4) == 1 {
            seek_table(&lengths, archive);
        }
        all
    })
}

/// The table of the seekable format, in a skippable frame.
fn seek_table(lengths: &[(usize, usize)], archive: &mut Vec<u8>) {
    let number = |value: usize| u32::try_from(value).expect("short").to_le_bytes();
    archive.extend([0x5E, 0x2A, 0x4D, 0x18]);
    archive.extend(number(lengths.len() * 8 + 9));
    for (compressed, decompressed) in lengths {
        archive.extend(number(*compressed));
        archive.extend(number(*decompressed));
    }
    archive.extend(number(lengths.len()));
    archive.push(0);
    archive.extend([0xB1, 0xEA, 0x92, 0x8F]);
}

fn frame_parameters(recipe: &mut Recipe, context: &mut CCtx) {
    let level = [1, 2, 3, 4, 6, 9, 13, 16, 19, 22, -1, -5, -50][recipe.below(13)];
    let mut parameters = vec![
        CParameter::CompressionLevel(level),
        // Small tables and short searches: the blocks are as odd, and no run waits for them.
        CParameter::HashLog(12),
        CParameter::ChainLog(12),
        CParameter::SearchLog(3),
        CParameter::WindowLog(10 + recipe.small(11)),
        CParameter::ChecksumFlag(recipe.flag()),
        CParameter::ContentSizeFlag(recipe.flag()),
    ];
    match recipe.below(6) {
        0 => parameters.push(CParameter::MaxBlockSize(1024 + 16 * recipe.small(256))),
        1 => parameters.push(CParameter::TargetCBlockSize(1340 + 16 * recipe.small(256))),
        2 => parameters.push(CParameter::EnableLongDistanceMatching(true)),
        _ => {}
    }
    for parameter in parameters {
        context.set_parameter(parameter).expect("within its bounds");
    }
}

fn step(context: &mut CCtx, bytes: &[u8], is_last: bool, archive: &mut Vec<u8>) {
    let directive = || if is_last { ZSTD_e_end } else { ZSTD_e_flush };
    let mut input = InBuffer::around(bytes);
    loop {
        archive.reserve(4096.max(bytes.len() / 4));
        let filled = archive.len();
        let mut output = OutBuffer::around_pos(archive, filled);
        let left = context.compress_stream2(&mut output, &mut input, directive()).expect("compressed");
        if left == 0 && input.pos() == bytes.len() {
            return;
        }
    }
}

/// One operation on the content; `start` is where its frame begins.
fn operate(recipe: &mut Recipe, content: &mut Vec<u8>, start: usize) {
    let room = CONTENT_LIMIT.saturating_sub(content.len());
    let length_of = |recipe: &mut Recipe, wide: bool| {
        let length = if wide { recipe.number::<2>() } else { recipe.number::<1>() };
        length.min(room)
    };
    let operation = recipe.below(8);
    let is_wide = recipe.0.first().is_some_and(|byte| byte & 0xF0 == 0xF0);
    let length = length_of(recipe, is_wide);
    match operation {
        0 | 1 => content.extend(recipe.bytes(length)),
        2..=4 => {
            let distance = if operation == 2 { recipe.number::<1>() } else { recipe.number::<3>() } + 1;
            let have = content.len() - start;
            if have > 0 {
                // A match may overlap itself; it is copied in few steps, because every one is traced by the fuzzer.
                let from = content.len() - (distance - 1) % have - 1;
                let until = content.len() + length;
                while content.len() < until {
                    let piece = (content.len() - from).min(until - content.len());
                    content.extend_from_within(from..from + piece);
                }
            }
        }
        5 => {
            let byte = recipe.number::<1>().to_le_bytes()[0];
            content.resize(content.len() + length, byte);
        }
        6 => {
            let mut state = recipe.number::<2>() as u64 | 1 << 32;
            let until = content.len() + length;
            while content.len() < until {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                content.extend(state.to_le_bytes());
            }
            content.truncate(until);
        }
        _ => {
            // A template with a counter in it.
            let template = recipe.bytes(8);
            for count in 0..length {
                content.extend(template);
                content.extend(&count.to_le_bytes()[..1]);
            }
            content.truncate(CONTENT_LIMIT.max(start));
        }
    }
}

/// libzstd's word on a file.
enum Verdict {
    Whole(Vec<u8>),
    Refused,
    /// More than [`OUTPUT_LIMIT`].
    TooLong,
}

fn libzstd(archive: &[u8]) -> Verdict {
    thread_local!(static CONTEXT: RefCell<DCtx<'static>> = RefCell::new(DCtx::create()));
    CONTEXT.with_borrow_mut(|context| {
        context.reset(ResetDirective::SessionAndParameters).expect("between files");
        context.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).expect("within its bounds");
        let mut input = InBuffer::around(archive);
        let mut content = Vec::new();
        // An empty file is no archive.
        let mut hint = 1;
        loop {
            content.reserve(64 << 10);
            let filled = content.len();
            let mut output = OutBuffer::around_pos(&mut content, filled);
            let before = input.pos();
            match context.decompress_stream(&mut output, &mut input) {
                // At the end of a file it says that it waits for the next frame.
                Ok(_) if before == archive.len() && content.len() == filled => break,
                Ok(next) => hint = next,
                Err(_) => return Verdict::Refused,
            }
            if content.len() > OUTPUT_LIMIT {
                return Verdict::TooLong;
            }
            if hint == 0 && input.pos() == archive.len() {
                break;
            }
        }
        if hint != 0 {
            return Verdict::Refused;
        }
        // Streaming, it does not hold the content size of a frame that ends with an empty block against the content (libzstd
        // 1.5.7, `ZSTD_decompressContinue`); all at once it does.
        let mut again = vec![0; content.len()];
        match context.decompress(&mut again, archive) {
            Ok(length) => {
                assert!(length == content.len() && again == content, "libzstd disagrees with itself");
                Verdict::Whole(content)
            }
            Err(_) => Verdict::Refused,
        }
    })
}

/// The bytes as a file without a place on a disk.
fn file(bytes: &[u8]) -> (File, PathBuf) {
    let memory = rustix::fs::memfd_create(c"fuzz", rustix::fs::MemfdFlags::CLOEXEC).expect("a file in memory");
    let mut file = File::from(memory);
    file.write_all(bytes).expect("memory");
    let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    (file, path)
}

/// Whether libzstd, given all at once, may take what is refused here: it does not look at the window of a frame that fits into
/// its output whole.
fn is_limit(error: &Error) -> bool {
    matches!(error, Error::WindowTooLarge { .. })
}

/// Whether damage, of which no checksum tells, may have left a frame with other bytes than its seek table says it has.
/// libzstd does not read the table.
fn is_told_by_a_table(dish: &Dish) -> bool {
    const SEEKABLE_MAGIC: [u8; 4] = 0x8F92_EAB1_u32.to_le_bytes();
    dish.content.is_none() && dish.archive.windows(4).any(|bytes| bytes == SEEKABLE_MAGIC)
}

/// What libzstd takes has the size that it says; what is refused here, libzstd refuses.
pub fn size(input: &[u8]) {
    let dish = Dish::of(input);
    let (_file, path) = file(&dish.archive);
    let verdict = libzstd(&dish.archive);
    for options in [options(), presuming(&verdict)] {
        let size = ZstFile::open(&path, options).and_then(|zst| zst.finish());
        match (&verdict, size) {
            (Verdict::Whole(_), Ok(_)) if is_told_by_a_table(&dish) => {}
            (Verdict::Whole(content), Ok(size)) => assert_eq!(size, content.len() as u64, "the size"),
            (Verdict::Whole(_), Err(error)) => assert!(is_limit(&error), "libzstd takes it: {error}"),
            (Verdict::Refused | Verdict::TooLong, _) => {}
        }
    }
}

/// What libzstd takes has the bytes that it says, wherever they are read; nothing that is read panics.
pub fn provenance(input: &[u8]) {
    let dish = Dish::of(input);
    let verdict = libzstd(&dish.archive);
    if let Some(made) = &dish.content {
        let Verdict::Whole(content) = &verdict else { panic!("libzstd refuses its own archive") };
        assert!(content == made, "libzstd decodes other bytes than it compressed");
    }
    let presuming = presuming(&verdict);
    for options in [options(), presuming] {
        read_anywhere(&dish, &verdict, &options);
    }
}

fn read_anywhere(dish: &Dish, verdict: &Verdict, options: &Options) {
    let is_told_by_a_table = is_told_by_a_table(dish);
    let (_file, path) = file(&dish.archive);
    let Ok(mut zst) = ZstFile::open(&path, options.clone()) else {
        assert!(dish.archive.is_empty(), "an archive that does not open");
        return;
    };
    let size = match verdict {
        Verdict::Whole(content) => content.len(),
        Verdict::Refused | Verdict::TooLong => CONTENT_LIMIT,
    };
    for &(place, count) in &dish.reads {
        let position = (size * place) >> 16;
        let mut buffer = vec![0xAA; count];
        match (zst.read_at(position as u64, &mut buffer), verdict) {
            (Ok(read), Verdict::Whole(content)) if !is_told_by_a_table => {
                let expected = &content[position..content.len().min(position + count)];
                assert_eq!(read, expected.len(), "bytes read of {count} at {position}");
                assert!(buffer[..read] == *expected, "other bytes at {position}, {count} asked for");
            }
            (Err(error), Verdict::Whole(_)) if !is_told_by_a_table => {
                let ours = Error::within(&error).expect("an error of ours");
                assert!(is_limit(ours), "libzstd takes it: {count} bytes at {position}: {error}");
            }
            (Ok(read), _) => assert!(read <= count, "more bytes than there is room for"),
            (Err(error), _) => assert!(Error::within(&error).is_some(), "{error}"),
        }
        if zst.totals().fallbacks > 0 {
            // From now on libzstd would give what is to be traced.
            assert!(dish.content.is_none() || !is_found_odd(&zst), "what is intact is taken for damaged");
            zst = ZstFile::open(&path, options.clone()).expect("opened before");
        }
    }
    assert!(dish.content.is_none() || !is_found_odd(&zst), "what is intact is taken for damaged");
}

/// Whether something was passed over or traced, and is not believed any more.
fn is_found_odd(zst: &ZstFile) -> bool {
    let totals = zst.totals();
    totals.sized + totals.jumped + totals.presumed + totals.traced > 0 && !zst.distrust()
}
