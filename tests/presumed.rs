//! Blocks that are presumed to be full: where they are, that is proven and believed; where one is not, nothing that was
//! presumed is told. What `auto` says of an archive is what `skip` says, which presumes nothing.
//!
//! `IMGSIEVE_PRESUMED=N` tries N times as many archives.

mod common;
#[path = "common/hostile.rs"]
mod hostile;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::content::Random;
use hostile::{BLOCK, MIB, header, mbr, padded, seal};
use imgsieve::inspect::{self, Inspection};
use imgsieve::vouch::voucher;
use imgsieve::zst::{Engine, Meter, Options, Totals, ZstFile};
use positioned_io::ReadAt;
use serde_json::Value;
use tempfile::TempDir;
use zstd::zstd_safe::CParameter;

/// Bytes of a record of a tar.
const RECORD: usize = 20 * BLOCK;
/// A full block. Of larger ones libzstd, from 1.5.7 on, makes several where that is worth it.
const ZSTD_BLOCK: usize = 1 << WINDOW_LOG;
const WINDOW_LOG: u32 = 16;

/// Text of one kind, so that no compressor has a reason to end a block early.
fn prose(length: usize, random: &mut Random) -> Vec<u8> {
    let words: Vec<String> = (0..500).map(|_| format!("{:x}", random.next() >> (20 + random.next() % 30))).collect();
    let mut bytes = Vec::with_capacity(length + 32);
    while bytes.len() < length {
        bytes.extend_from_slice(words[random.within(0..words.len())].as_bytes());
        bytes.push(b' ');
    }
    bytes.truncate(length);
    bytes
}

/// What is behind the first MiB of an image.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Filling {
    Prose,
    Zeros,
    /// Prose, and zeros in its last quarter.
    ZerosLast,
    /// Headers of empty files, one each 512 bytes.
    Headers,
    /// Headers that are those of the image's own map.
    OwnHeaders,
    /// Files of two blocks each, and among them some of a whole record.
    Files,
}

/// What stands in an archive around the image.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Shape {
    MapLast,
    MapFirst,
    ImageAlone,
    /// A member of another name follows.
    OtherLast,
    TwoImages,
}

const FILLINGS: [Filling; 6] =
    [Filling::Prose, Filling::Zeros, Filling::ZerosLast, Filling::Headers, Filling::OwnHeaders, Filling::Files];
const SHAPES: [Shape; 5] = [Shape::MapLast, Shape::MapFirst, Shape::ImageAlone, Shape::OtherLast, Shape::TwoImages];

/// A header as GNU tar writes it, of somebody's file.
fn owned(name: &[u8], size: usize) -> [u8; BLOCK] {
    let mut block = header(name, size as u64, b'0');
    block[265..269].copy_from_slice(b"user");
    block[297..301].copy_from_slice(b"user");
    seal(&mut block);
    block
}

fn member(name: &[u8], data: &[u8]) -> Vec<u8> {
    [&owned(name, data.len())[..], &padded(data)].concat()
}

const MAP: &[u8] = b"# Mapfile. Created by GNU ddrescue version 1.27\n0x0 +\n0x00 0x1000000 +\n";

/// An image whose table leads to its very end: a logical partition's EBR lies there.
fn image(length: usize, filling: Filling, random: &mut Random) -> Vec<u8> {
    let mut bytes = match filling {
        Filling::Prose => prose(length, random),
        Filling::Zeros => vec![0; length],
        Filling::ZerosLast => [prose(length / 4 * 3, random), vec![0; length]].concat(),
        Filling::Headers => (0..=length / BLOCK).flat_map(|i| owned(format!("f{i}").as_bytes(), 0)).collect(),
        Filling::OwnHeaders => (0..=length / BLOCK).flat_map(|_| owned(b"a/disk.map", 0)).collect(),
        Filling::Files => (0..length / BLOCK)
            .flat_map(|i| member(format!("g{i}").as_bytes(), &[b'x'; 9728][..if i % 50 == 9 { 9728 } else { 512 }]))
            .take(length)
            .collect(),
    };
    bytes.truncate(length);
    bytes[..MIB].fill(0);
    let sectors = u32::try_from(length / BLOCK).expect("small");
    let entry = |sector: &mut [u8], index: usize, kind: u8, start: u32, count: u32| {
        let entry = &mut sector[446 + 16 * index..][..16];
        entry[4] = kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..].copy_from_slice(&count.to_le_bytes());
    };
    bytes[..BLOCK].copy_from_slice(&mbr(1));
    entry(&mut bytes, 1, 0x05, 8192, sectors - 8192);
    for (at, next) in [(8192, Some(sectors - 8)), (sectors - 8, None)] {
        let start = at as usize * BLOCK;
        let sector = &mut bytes[start..start + BLOCK];
        sector.copy_from_slice(&mbr(0));
        entry(sector, 0, 0x83, 1, 4);
        if let Some(next) = next {
            entry(sector, 1, 0x05, next - 8192, 8);
        }
    }
    bytes
}

fn tar(shape: Shape, image: &[u8], is_padded: bool) -> Vec<u8> {
    let (disk, map) = (member(b"a/disk.img", image), member(b"a/disk.map", MAP));
    let mut tar = match shape {
        Shape::MapLast => [disk, map].concat(),
        Shape::MapFirst => [map, disk].concat(),
        Shape::ImageAlone => disk,
        Shape::OtherLast => [disk, member(b"a/notes", b"nothing")].concat(),
        Shape::TwoImages => [&disk[..], &map, &member(b"b/disk.img", image)].concat(),
    };
    tar.resize(tar.len() + 2 * BLOCK, 0);
    if is_padded {
        tar.resize(tar.len().next_multiple_of(RECORD), 0);
    }
    tar
}

/// One frame, with what was written so far flushed at each of these places.
fn compressed(bytes: &[u8], flushes: &[usize], level: i32, says_size: bool) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), level).expect("a level");
    encoder.include_checksum(true).expect("a parameter");
    encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG)).expect("a parameter");
    if says_size {
        encoder.set_pledged_src_size(Some(bytes.len() as u64)).expect("before the first byte");
    }
    let mut from = 0;
    for &at in flushes {
        encoder.write_all(&bytes[from..at]).expect("memory");
        encoder.flush().expect("memory");
        from = at;
    }
    encoder.write_all(&bytes[from..]).expect("memory");
    encoder.finish().expect("memory")
}

struct Archive {
    _folder: TempDir,
    path: PathBuf,
}

impl Archive {
    fn new(bytes: &[u8]) -> Archive {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("a.tar.zst");
        fs::write(&path, bytes).expect("written");
        Archive { _folder: folder, path }
    }

    fn report(&self, engine: Engine) -> Value {
        let options = inspect::Options {
            image_suffix: ".img".parse().expect("a suffix"),
            max_window: 128 << 20,
            engine,
            deep_fs: true,
            meter: Arc::new(Meter::default()),
        };
        Inspection::of(&self.path, &options).to_json(true)
    }

    /// What is said of it, which is what every engine says; and what was done for it.
    fn check(&self, what: &str) -> Totals {
        let (auto, skip) = (self.report(Engine::Auto), self.report(Engine::Skip));
        assert_eq!(auto, skip, "{what}");
        self.totals()
    }

    fn totals(&self) -> Totals {
        let (zst, size) = opened(&self.path);
        let skip = ZstFile::open(&self.path, Options { engine: Engine::Skip, ..Options::default() }).expect("opens");
        assert_eq!(size, skip.finish().expect("intact"), "the size");
        zst.totals()
    }
}

/// A file that a tar vouches for, of which a byte in its midst was read, and its size.
fn opened(path: &Path) -> (ZstFile, u64) {
    let voucher = voucher(Engine::Auto);
    let zst = ZstFile::open(path, Options { voucher, ..Options::default() }).expect("opens");
    zst.read_exact_at(10 << 20, &mut [0]).expect("there");
    let size = zst.finish().expect("intact");
    (zst, size)
}

fn times() -> usize {
    std::env::var("IMGSIEVE_PRESUMED").map_or(1, |times| times.parse().expect("a number"))
}

#[test]
fn full_blocks_are_proven_by_a_padded_tar_and_by_a_content_size() {
    let mut random = Random::new(1);
    let image = image(12 * MIB, Filling::Prose, &mut random);
    for (shape, is_proof) in [
        (Shape::MapLast, true),
        (Shape::MapFirst, true),
        (Shape::ImageAlone, true),
        (Shape::OtherLast, false),
        (Shape::TwoImages, false),
    ] {
        for (is_padded, says_size) in [(true, false), (false, false), (true, true), (false, true)] {
            for level in [1, 3] {
                let tar = tar(shape, &image, is_padded);
                let archive = Archive::new(&compressed(&tar, &[], level, says_size));
                let what = format!("{shape:?}, padded {is_padded}, size said {says_size}, level {level}");
                let totals = archive.check(&what);
                let expected = says_size || is_padded && is_proof;
                assert_eq!(totals.presumed > 0, expected, "{what}: {totals:?}");
                assert_eq!((totals.sized > 0, totals.refuted > 0), (!expected, !expected), "{what}: {totals:?}");
            }
        }
    }
}

#[test]
fn proven_bytes_are_those_that_libzstd_gives() {
    let mut random = Random::new(2);
    let mut tar = tar(Shape::MapLast, &image(40 * MIB, Filling::Prose, &mut random), true);
    // Runs of what is stored as it is, and of one byte over and over, in whole blocks.
    for (start, byte) in [(50, None), (90, Some(0)), (140, None), (200, Some(7))] {
        let piece = &mut tar[start * ZSTD_BLOCK..(start + 20) * ZSTD_BLOCK];
        match byte {
            Some(byte) => piece.fill(byte),
            None => piece.fill_with(|| random.next().to_le_bytes()[3]),
        }
    }
    for (level, says_size) in [(1, false), (3, true), (9, false)] {
        let archive = Archive::new(&compressed(&tar, &[], level, says_size));
        let (zst, size) = opened(&archive.path);
        assert_eq!(size, tar.len() as u64);
        let totals = zst.totals();
        assert!(totals.presumed > 0 && totals.sized == 0, "level {level}: {totals:?}");
        for _ in 0..200 {
            let at = random.within(0..tar.len());
            let count = random.any_size(1..5000).min(tar.len() - at);
            let mut bytes = vec![0; count];
            zst.read_exact_at(at as u64, &mut bytes).expect("there");
            assert!(bytes == tar[at..at + count], "level {level}: {count} bytes at {at}");
        }
        assert!(zst.distrust(), "what is intact was taken for damaged");
    }
}

#[test]
fn a_block_that_is_not_full_is_never_the_reason_for_another_answer() {
    let mut random = Random::new(3);
    let (mut refuted, mut presumed) = (0, 0);
    for case in 0..240 * times() {
        let filling = FILLINGS[case % FILLINGS.len()];
        let shape = random.of(&SHAPES);
        let is_padded = random.percent(70);
        let length = (12 * MIB + random.within(0..200) * BLOCK).next_multiple_of(BLOCK);
        let tar = tar(shape, &image(length, filling, &mut random), is_padded);
        // One block, and sometimes more, lacks some blocks of a tar, or whole records of it, or anything.
        let mut flushes: Vec<usize> = (0..random.within(1..4))
            .map(|_| {
                let lacks = match random.within(0..4) {
                    0 => RECORD * random.within(1..13),
                    1 => random.within(1..ZSTD_BLOCK),
                    _ => BLOCK * random.within(1..ZSTD_BLOCK / BLOCK),
                };
                let block = random.within(20..tar.len() / ZSTD_BLOCK);
                (block * ZSTD_BLOCK - lacks).min(tar.len())
            })
            .collect();
        flushes.sort_unstable();
        let archive = Archive::new(&compressed(&tar, &flushes, random.of(&[1, 3]), random.percent(20)));
        let what = format!("case {case}: {filling:?}, {shape:?}, padded {is_padded}, flushed at {flushes:?}");
        let totals = archive.check(&what);
        refuted += totals.refuted;
        presumed += u64::from(totals.presumed > 0);
    }
    eprintln!("{refuted} refuted, {presumed} believed");
    assert_eq!(presumed, 0, "what lacks something is believed");
}

#[test]
fn an_archive_made_to_deceive_does_not_deceive_whoever_presumes_nothing() {
    const LACKS: usize = BLOCK;
    let mut random = Random::new(6);
    // A tar that is padded by a block, so that its length with what another block lacks is that of whole records; and as the
    // image's last block a header that is named after it.
    let length = (12 * MIB + 6 * BLOCK + LACKS).next_multiple_of(RECORD) - 6 * BLOCK - LACKS;
    let mut image = image(length, Filling::Prose, &mut random);
    image[length - BLOCK..].copy_from_slice(&owned(b"a/disk.map", 0));
    let tar = [tar(Shape::MapLast, &image, false), vec![0; BLOCK]].concat();
    let archive = Archive::new(&compressed(&tar, &[50 * ZSTD_BLOCK - LACKS], 1, false));
    let truth = archive.report(Engine::Decode);
    assert_eq!(archive.report(Engine::Skip), truth);
    let skip = ZstFile::open(&archive.path, Options { engine: Engine::Skip, ..Options::default() }).expect("opens");
    assert_eq!(skip.finish().expect("intact"), tar.len() as u64);
    // Nor anybody, where the tar is padded, which it cannot be then.
    let tar = tar_padded(&tar);
    let archive = Archive::new(&compressed(&tar, &[50 * ZSTD_BLOCK - LACKS], 1, false));
    assert_eq!(archive.check("padded").presumed, 0);
}

fn tar_padded(tar: &[u8]) -> Vec<u8> {
    let mut padded = tar.to_vec();
    padded.resize(tar.len().next_multiple_of(RECORD), 0);
    padded
}

#[test]
fn a_content_size_that_is_wrong_proves_nothing() {
    let mut random = Random::new(4);
    let tar = tar(Shape::MapLast, &image(12 * MIB, Filling::Prose, &mut random), true);
    let intact = compressed(&tar, &[], 1, true);
    // RFC 8878 section 3.1.1.1: magic, descriptor, and of a frame with a window its byte, then four bytes of size.
    let at = if intact[4] & 0x20 == 0 { 6 } else { 5 };
    assert_eq!(intact[at..at + 4], u32::try_from(tar.len()).expect("small").to_le_bytes());
    for wrong in [tar.len() - 1, tar.len() + 1, tar.len() - ZSTD_BLOCK, tar.len() + RECORD, 1] {
        let mut bytes = intact.clone();
        bytes[at..at + 4].copy_from_slice(&u32::try_from(wrong).expect("small").to_le_bytes());
        let archive = Archive::new(&bytes);
        assert_eq!(archive.report(Engine::Auto), archive.report(Engine::Decode), "{wrong}");
    }
}

#[test]
fn nothing_is_presumed_without_somebody_who_vouches() {
    let mut random = Random::new(5);
    let tar = tar(Shape::MapLast, &image(12 * MIB, Filling::Prose, &mut random), true);
    let archive = Archive::new(&compressed(&tar, &[], 1, false));
    let zst = ZstFile::open(&archive.path, Options::default()).expect("opens");
    zst.finish().expect("intact");
    let totals = zst.totals();
    assert_eq!((totals.presumed, totals.refuted), (0, 1));
    for engine in [Engine::Skip, Engine::Decode] {
        let voucher = voucher(engine);
        let zst = ZstFile::open(&archive.path, Options { engine, voucher, ..Options::default() }).expect("opens");
        zst.finish().expect("intact");
        assert_eq!((zst.totals().presumed, zst.totals().refuted), (0, 0), "{engine:?}");
    }
}
