//! Whoever compressed it, and however: the size of an archive and its bytes at any offset are those that went in.
//!
//! Contents, compressors, their options, the order of frames and the places that are read come from a seed, which is told
//! where a case fails. `IMGSIEVE_MATRIX=N` runs N times as many cases, `IMGSIEVE_MATRIX_SEED=S` the case of that seed
//! alone.

#![cfg(feature = "oracles")]

mod common;
#[path = "common/compressor.rs"]
mod compressor;

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::path::Path;

use common::content::{Kind, Random};
use common::fixture::{self, Fixture};
use compressor::{BLOCK, Compressor, skippable, words};
use imgsieve::zst::{Engine, Error, Options, ZstFile};
use positioned_io::ReadAt;
use tempfile::TempDir;

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// What an archive is read with here.
fn options(engine: Engine) -> Options {
    // `zstd --long=31` is among the compressors.
    Options { engine, max_window: 1 << 31, ..Options::default() }
}

thread_local! {
    /// What the archive holds that is presumed of.
    static SIZE: Cell<u64> = const { Cell::new(0) };
    /// Archives whose blocks were found to be full, and those of which one was not.
    static PRESUMED: Cell<[u64; 2]> = const { Cell::new([0; 2]) };
}

/// Vouches for what can only be right: blocks are never more than full, so that none lacks anything where all are right
/// together.
fn knows_the_size(_: &dyn ReadAt, size: u64) -> bool {
    size == SIZE.get()
}

/// Tells what failed: an assertion does not know what it is about.
struct Told(String);

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("failed: {}", self.0);
        }
    }
}

/// Calls `test` with so many seeds, or as the environment has it.
fn with_seeds(cases: u64, test: impl Fn(&mut Random)) {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seeds = match number("IMGSIEVE_MATRIX_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..cases * number("IMGSIEVE_MATRIX").unwrap_or(1),
    };
    for seed in seeds {
        let _told = Told(format!("IMGSIEVE_MATRIX_SEED={seed}"));
        test(&mut Random::new(seed));
    }
    let [full, other] = PRESUMED.get();
    eprintln!("of {} archives, all blocks of {full} are full but the last of each frame", full + other);
}

/// An odd size, as most archives here have it.
fn size(random: &mut Random) -> usize {
    random.within(127 * KIB..MIB)
}

/// Places to read, in orders that readers have: one after the other, anywhere, near each other, and past the end.
fn places(length: usize, edges: &[usize], random: &mut Random) -> Vec<(usize, usize)> {
    let mut groups = vec![Vec::new(); 4];
    let count = |random: &mut Random| random.any_size(1..64 * KIB + 1);
    for _ in 0..20 {
        groups[0].push((random.within(0..length + 1), count(random)));
        groups[1].push((random.within(0..length + 1), count(random)));
    }
    groups[1].sort_unstable();
    let center = random.within(0..length + 1);
    for _ in 0..10 {
        let position = (center + random.within(0..100_000)).saturating_sub(50_000);
        groups[2].push((position, count(random)));
    }
    for past in [0, 1, 1000, usize::MAX / 2] {
        groups[3].push((length.saturating_sub(random.within(0..200)) + past, 100));
    }
    let blocks = length / BLOCK + 1;
    for _ in 0..3 {
        let edge = BLOCK * random.within(0..blocks + 1);
        groups[3].push((edge.saturating_sub(random.within(0..20)), count(random)));
        if !edges.is_empty() {
            groups[3].push((random.of(edges).saturating_sub(random.within(0..20)), count(random)));
        }
    }
    let first = random.within(0..4);
    groups.rotate_left(first);
    groups.concat()
}

/// Holds `ZstFile` against what went into the archive; `edges` are offsets of the content worth reading across.
fn check(what: &str, archive: &[u8], content: &[u8], edges: &[usize], random: &mut Random) {
    let _told = Told(what.to_owned());
    let mut libzstd = zstd::stream::read::Decoder::new(archive).expect("a decoder");
    libzstd.window_log_max(31).expect("within bounds");
    let mut bytes = Vec::with_capacity(content.len());
    libzstd.read_to_end(&mut bytes).expect("libzstd decodes it");
    assert!(bytes == content, "the compressor is wrong: libzstd decodes other bytes");
    drop(bytes);

    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("a.zst");
    fs::write(&path, archive).expect("written");
    check_engine(&options(Engine::Skip), &path, content, edges, random);
    SIZE.set(content.len() as u64);
    let presuming = Options { voucher: Some(knows_the_size), ..options(Engine::Skip) };
    check_engine(&presuming, &path, content, edges, random);
    if random.percent(20) {
        check_engine(&options(random.of(&[Engine::Auto, Engine::Decode])), &path, content, edges, random);
    }
}

fn check_engine(options: &Options, path: &Path, content: &[u8], edges: &[usize], random: &mut Random) {
    let engine = options.engine;
    let _told = Told(format!("the engine {}, presuming: {}", engine.as_str(), options.voucher.is_some()));
    let open = || ZstFile::open(path, options.clone()).expect("opens");
    let mut zst = open();
    if random.percent(50) {
        assert_eq!(zst.finish().expect("intact"), content.len() as u64, "the size");
        if engine == Engine::Skip {
            let totals = zst.totals();
            assert_eq!((totals.fallbacks, totals.decoded_once), (0, 0), "libzstd was asked for the size");
        }
    }
    let mut buffer = Vec::new();
    for (position, count) in places(content.len(), edges, random) {
        buffer.clear();
        buffer.resize(count, 0xAA);
        let read = zst.read_at(position as u64, &mut buffer).unwrap_or_else(|error| {
            panic!("{count} bytes at {position}: {error}");
        });
        let from = position.min(content.len());
        let until = position.saturating_add(count).min(content.len());
        assert_eq!(read, until - from, "bytes read of {count} at {position}");
        assert!(buffer[..read] == content[from..until], "other bytes at {position}, {count} asked for");
        if engine == Engine::Skip && zst.totals().fallbacks > 0 {
            // A read that was dear: libzstd has decoded much now, and would give what other reads are to be traced for.
            assert_was_not_found_odd(&zst);
            zst = open();
        }
    }
    assert_eq!(zst.finish().expect("intact"), content.len() as u64, "the size");
    assert_eq!(zst.size(), Some(content.len() as u64));
    let (presumed, refuted) = (zst.totals().presumed, zst.totals().refuted);
    let [all, none] = PRESUMED.get();
    PRESUMED.set([all + u64::from(presumed > 0), none + refuted]);
    if engine == Engine::Skip {
        assert_was_not_found_odd(&zst);
    }
}

/// What is intact may be dear to trace, and must not be taken for damaged: libzstd would give the right bytes, and the
/// mistake would not be seen.
fn assert_was_not_found_odd(zst: &ZstFile) {
    let totals = zst.totals();
    let has_answered = totals.sized + totals.jumped + totals.presumed + totals.traced > 0;
    assert_eq!(zst.distrust(), has_answered, "an intact archive was taken for a damaged one");
}

/// One content of any kind through one compressor.
fn check_one(compressor: &Compressor, kind: Kind, length: usize, random: &mut Random) {
    let content = kind.bytes(length, random);
    let _told = Told(format!("{compressor:?} of {length} bytes, {kind:?}"));
    let archive = compressor.compress(&content, random);
    check("one frame or what the compressor makes of it", &archive, &content, &[], random);
}

#[test]
fn the_zstd_command_at_every_level() {
    with_seeds(1, |random| {
        for level in -5..=22 {
            let option = match level {
                ..0 => format!("--fast={}", -level),
                0 => continue,
                _ => format!("--ultra -{level}"),
            };
            let kind = random.of(&Kind::ALL);
            let length = size(random);
            check_one(&Compressor::Zstd(words(&option)), kind, length, random);
        }
    });
}

#[test]
fn the_zstd_command_with_every_option_that_shapes_a_frame() {
    const ANY_INPUT: [&str; 17] = [
        "-T0",
        "-T2 -B70000 -5",
        "--single-thread -6",
        "--long=27 -4",
        "--long=31 -3",
        "--adapt",
        "--rsyncable -T2",
        "--no-check",
        "--no-content-size",
        "--no-compress-literals -8",
        "--compress-literals --fast=50",
        "--zstd=wlog=10",
        "--zstd=wlog=11,strat=9,mml=3,tlen=4 -19",
        "--zstd=strat=7,mml=3 -15",
        "--no-row-match-finder -6",
        "--target-compressed-block-size=1500 -12",
        "--long=20 --zstd=ldmMinMatch=8,ldmHashRateLog=1 -2",
    ];
    with_seeds(1, |random| {
        for option in ANY_INPUT {
            let (kind, length) = (random.of(&Kind::ALL), size(random));
            check_one(&Compressor::Zstd(words(option)), kind, length, random);
            let (kind, length) = (random.of(&Kind::ALL), size(random));
            check_one(&Compressor::ZstdOfFile(words(option)), kind, length, random);
        }
        let length = size(random);
        let option = format!("--stream-size={length} --no-check -3");
        check_one(&Compressor::Zstd(words(&option)), Kind::Mixed, length, random);
        let option = format!("--size-hint={length} -7");
        check_one(&Compressor::Zstd(words(&option)), Kind::Mixed, length, random);
    });
}

#[test]
fn pzstd_and_the_seekable_format() {
    with_seeds(4, |random| {
        for option in ["-p 1", "-p 2 -1", "-p 3 -9 --no-check", "-p 2 -19"] {
            let (kind, length) = (random.of(&Kind::ALL), size(random));
            check_one(&Compressor::Pzstd(words(option)), kind, length, random);
        }
        for frame in [random.any_size(100..4000), random.any_size(4000..MIB)] {
            let frame = u32::try_from(frame).expect("small");
            let seekable =
                Compressor::Zeekstd { level: random.of(&[-3, 1, 3, 8]), frame, checksum: random.percent(50) };
            let (kind, length) = (random.of(&Kind::ALL), random.any_size(1..MIB));
            check_one(&seekable, kind, length, random);
        }
    });
}

#[test]
fn libzstd_with_any_parameters_and_flushes_anywhere() {
    with_seeds(120, |random| {
        let compressor = Compressor::any_libzstd(random);
        let (kind, length) = (random.of(&Kind::ALL), random.any_size(0..MIB));
        check_one(&compressor, kind, length, random);
    });
}

#[test]
fn encoders_that_are_not_libzstd() {
    const KLAUSPOST: [&str; 12] = [
        "-level 1",
        "-level 2",
        "-level 3",
        "-level 4",
        "-level 2 -flush 20000",
        "-level 4 -flush 3333 -crc=false",
        "-level 1 -window 1024",
        "-level 3 -window 4096 -all-literals",
        "-level 2 -no-entropy",
        "-level 3 -single",
        "-level 4 -single -crc=false",
        "-level 2 -workers 4 -padding 4096",
    ];
    with_seeds(3, |random| {
        for option in KLAUSPOST {
            let (kind, length) = (random.of(&Kind::ALL), random.any_size(0..MIB));
            check_one(&Compressor::Klauspost(words(option)), kind, length, random);
        }
    });
    with_seeds(10, |random| {
        use ruzstd::encoding::CompressionLevel::{Fastest, Uncompressed};
        let (kind, length) = (random.of(&Kind::ALL), random.any_size(0..MIB));
        check_one(&Compressor::Ruzstd(random.of(&[Fastest, Fastest, Uncompressed])), kind, length, random);
    });
}

#[test]
fn blocks_that_no_compressor_would_write() {
    with_seeds(60, |random| {
        let (kind, length) = (random.of(&Kind::ALL), random.any_size(0..MIB));
        check_one(&Compressor::ByHand, kind, length, random);
    });
}

#[test]
fn contents_of_hardly_a_byte() {
    with_seeds(1, |random| {
        for length in [0, 1, 2, 3, 7, 255, 256, 257] {
            for kind in [Kind::Noise, Kind::Text, Kind::Islands] {
                for options in ["-1", "-19", "--no-check -3", "--no-content-size -5"] {
                    check_one(&Compressor::ZstdOfFile(words(options)), kind, length, random);
                }
                for compressor in [
                    Compressor::Zstd(words("-3")),
                    Compressor::Klauspost(words("-level 2")),
                    Compressor::Klauspost(words("-single")),
                    Compressor::Ruzstd(ruzstd::encoding::CompressionLevel::Fastest),
                    Compressor::any_libzstd(random),
                    Compressor::ByHand,
                ] {
                    check_one(&compressor, kind, length, random);
                }
            }
        }
    });
}

#[test]
fn frames_in_every_arrangement() {
    with_seeds(40, |random| {
        let (mut archive, mut content, mut edges) = (Vec::new(), Vec::new(), Vec::new());
        let mut what = Vec::new();
        for _ in 0..random.within(2..12) {
            if random.percent(30) {
                archive.extend(skippable(random));
                what.push("skippable".to_owned());
            }
            let compressor = Compressor::any_quick(random);
            let length = if random.percent(15) { 0 } else { random.any_size(1..300 * KIB) };
            let kind = random.of(&Kind::ALL);
            let piece = kind.bytes(length, random);
            what.push(format!("{length} bytes, {kind:?}, {compressor:?}"));
            let _told = Told(what.join("; "));
            archive.extend(compressor.compress(&piece, random));
            content.extend(piece);
            edges.push(content.len());
        }
        if random.percent(30) {
            archive.extend(skippable(random));
        }
        check(&what.join("; "), &archive, &content, &edges, random);
    });
}

#[test]
fn archives_of_many_mebibytes() {
    with_seeds(1, |random| {
        for (kind, options) in [
            (Kind::Text, "-1 --no-check"),
            (Kind::AccessLog, "-3"),
            (Kind::Programs, "-3 -T2"),
            (Kind::Pages, "--long=27 -2"),
            (Kind::Islands, "-19"),
            (Kind::Noise, "-1"),
            (Kind::Template, "-4"),
            (Kind::Mixed, "--fast=2 --rsyncable -T2"),
        ] {
            let length = random.within(24 * MIB..40 * MIB);
            check_one(&Compressor::Zstd(words(options)), kind, length, random);
        }
        let length = random.within(24 * MIB..40 * MIB);
        let libzstd = Compressor::any_libzstd(random);
        let seekable = Compressor::Zeekstd { level: 1, frame: 2 << 20, checksum: true };
        for compressor in [libzstd, seekable, Compressor::Klauspost(words("-level 2")), Compressor::ByHand] {
            check_one(&compressor, Kind::Mixed, length, random);
        }
    });
}

/// What libzstd makes of a file: its length, and its pieces of 64 KiB that are not all zeros.
fn decoded_by_libzstd(path: &Path) -> (u64, std::collections::BTreeMap<u64, Vec<u8>>) {
    let mut decoder = zstd::stream::read::Decoder::new(File::open(path).expect("a fixture")).expect("a decoder");
    let (mut length, mut pieces) = (0, std::collections::BTreeMap::new());
    let mut piece = Vec::new();
    loop {
        piece.clear();
        let read = decoder.by_ref().take(64 << 10).read_to_end(&mut piece).expect("an intact archive") as u64;
        if piece.iter().any(|byte| *byte != 0) {
            pieces.insert(length, piece.clone());
        }
        length += read;
        if read == 0 {
            return (length, pieces);
        }
    }
}

fn check_fixture(fixture: &Fixture, random: &mut Random) {
    let _told = Told(fixture.name.clone());
    let (length, pieces) = decoded_by_libzstd(&fixture.path());
    let zst = ZstFile::open(&fixture.path(), options(Engine::Skip)).expect("opens");
    let any = |random: &mut Random| random.next() % (length + 1);
    let mut positions: Vec<u64> = (0..20).map(|_| any(random)).collect();
    // Half of the places near what is no zeros, which is all that can differ.
    let keys: Vec<u64> = pieces.keys().copied().collect();
    positions.extend((0..30).map(|_| random.of(&keys) + random.next() % (64 << 10)));
    positions.sort_unstable();
    // Each step back may have the whole gigabyte decoded again.
    positions.extend([any(random), random.of(&keys)]);
    for position in positions {
        let mut buffer = vec![0xAA; random.any_size(1..64 << 10)];
        let read = zst.read_at(position, &mut buffer).expect("readable");
        let mut expected = vec![0; usize::try_from(length.saturating_sub(position)).unwrap_or(0).min(buffer.len())];
        for (start, piece) in pieces.range(position.saturating_sub(64 << 10)..position + expected.len() as u64) {
            let mut window = Cursor::new(&mut expected[..]);
            let skip = usize::try_from(position.saturating_sub(*start)).expect("64 KiB");
            window.set_position(start.saturating_sub(position));
            // As much as the window has room for.
            let _ = window.write(piece.get(skip..).unwrap_or_default()).expect("memory");
        }
        assert!(buffer[..read] == expected, "{} bytes at {position}: {read} read", buffer.len());
    }
    assert_eq!(zst.finish().expect("intact"), length, "the size");
}

#[test]
fn fixtures_hold_what_libzstd_says() {
    with_seeds(1, |random| {
        let mut collection = fixture::all();
        collection.retain(|fixture| fixture.folder == "collection");
        // A gigabyte of the others takes libzstd a second: a few of them a round.
        let (quick, large): (Vec<_>, Vec<_>) = collection.into_iter().partition(Fixture::is_quick);
        for fixture in &quick {
            check_fixture(fixture, random);
        }
        for _ in 0..4 {
            check_fixture(&large[random.within(0..large.len())], random);
        }
    });
}

#[test]
fn a_dictionary_is_named_and_without_its_number_no_wrong_byte_is_given() {
    with_seeds(3, |random| {
        let folder = TempDir::new().expect("a temporary folder");
        let dictionary = folder.path().join("dictionary");
        fs::write(&dictionary, Kind::Text.bytes(200_000, random)).expect("written");
        let trained = folder.path().join("trained");
        let train =
            format!("--train -B1000 -q --maxdict=8192 --dictID=77 {} -o {}", dictionary.display(), trained.display());
        common::run("zstd", "zstd", &words(&train).iter().map(String::as_str).collect::<Vec<_>>(), "");
        let content = Kind::Text.bytes(size(random), random);
        let path = folder.path().join("a.zst");

        let named = Compressor::Zstd(words(&format!("-D {}", trained.display()))).compress(&content, random);
        fs::write(&path, named).expect("written");
        let error = ZstFile::open(&path, options(Engine::Skip)).expect("opens").finish().expect_err("a dictionary");
        assert_eq!(error.code().as_str(), "dictionary", "{error}");

        for dictionary in [&dictionary, &trained] {
            let option = format!("--no-dictID --no-check -D {}", dictionary.display());
            let nameless = Compressor::Zstd(words(&option)).compress(&content, random);
            fs::write(&path, nameless).expect("written");
            let zst = ZstFile::open(&path, options(Engine::Skip)).expect("opens");
            for (position, count) in places(content.len(), &[], random) {
                let mut buffer = vec![0xAA; count];
                match zst.read_at(position as u64, &mut buffer) {
                    Ok(read) => {
                        let from = position.min(content.len());
                        assert!(buffer[..read] == content[from..from + read], "other bytes at {position}");
                    }
                    Err(error) => assert!(Error::within(&error).is_some(), "{error}"),
                }
            }
        }
    });
}

#[test]
fn a_seek_table_says_nothing_that_the_blocks_of_a_frame_could_not_have() {
    with_seeds(8, |random| {
        let content = Kind::Text.bytes(300 * KIB, random);
        let seekable = Compressor::Zeekstd { level: 1, frame: 100_000, checksum: true };
        let mut archive = seekable.compress(&content, random);
        // The last entry's `Decompressed_Size`: before the footer of 9 bytes, and its checksum where entries have one.
        let has_checksums = archive[archive.len() - 5] & 0x80 != 0;
        let at = archive.len() - 9 - if has_checksums { 8 } else { 4 };
        // More than the one block of 128 KiB that the last frame has.
        archive[at + 2] ^= 4;
        check("a seek table that lies", &archive, &content, &[], random);
    });
}
