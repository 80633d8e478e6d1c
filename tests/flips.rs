//! Small damage to the compressed bytes: what is passed over is never the worse for it. Where libzstd refuses to go on,
//! an engine that does not decode may see more, but nothing that is not so.
//!
//! `IMGSIEVE_FLIPS=N` does it to N bits instead of a few hundred; `--nocapture` shows the outcomes.

#![cfg(feature = "oracles")]

mod common;
#[path = "common/hostile.rs"]
mod hostile;

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use common::{content, run};
use hostile::{MIB, mbr, member, tar};
use imgsieve::inspect::{Inspection, Options};
use imgsieve::vouch::voucher;
use imgsieve::zst::{self, Engine, Meter, ZstFile};
use positioned_io::ReadAt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

const FLIPS: u64 = 400;
/// A cut for so many flips.
const FLIPS_PER_CUT: u64 = 7;

const ARCHIVES: [(&str, &str); 5] = [
    ("level 1", "zstd -q -1 < $IN > $OUT"),
    ("level 3, content size", "zstd -q -3 $IN -o $OUT"),
    ("level 3, no checksum", "zstd -q -3 --no-check < $IN > $OUT"),
    ("level 19", "zstd -q -19 < $IN > $OUT"),
    ("level 3, frames of 1 MB", "split -b 1000000 $IN $IN.; for part in $IN.*; do zstd -q -3 -c $part >> $OUT; done"),
];

/// Of one image, and of blocks that are full, whatever version of zstd makes them.
const PRESUMED: [(&str, &str); 3] = [
    ("full blocks, level 1", "zstd -q -1 --zstd=wlog=16 < $IN > $OUT"),
    ("full blocks, level 9", "zstd -q -9 --zstd=wlog=16 --no-check < $IN > $OUT"),
    ("full blocks, content size", "zstd -q -3 --zstd=wlog=16 $IN -o $OUT"),
];

/// What damage comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Both engines say the same, and it is the truth.
    BothRight,
    /// Both say the same: that it cannot be told, or what the damaged bytes say.
    Same,
    /// Decoding saw no less, and then noticed the damage; passing over did not.
    Unnoticed,
    /// Decoding gave up before an image of which passing over tells the truth.
    SeesMore,
    /// Passing over gave up before an image of which decoding tells the truth.
    SeesLess,
    /// Passing over says of an image what is not so. libzstd gave out the same bytes, and only then found that the checksum
    /// of their frame fails: `--verify` is for that.
    OnlyChecksum,
    /// Passing over says of an image what is not so, and libzstd refused to give out the bytes that it rests on.
    Wrong,
}

const OUTCOMES: [(Outcome, &str); 7] = [
    (Outcome::BothRight, "right"),
    (Outcome::Same, "same"),
    (Outcome::Unnoticed, "unnoticed"),
    (Outcome::SeesMore, "sees more"),
    (Outcome::SeesLess, "sees less"),
    (Outcome::OnlyChecksum, "checksum"),
    (Outcome::Wrong, "WRONG"),
];

/// What is mostly matches and literals with structure, as logs and programs are: no bit of it compressed is idle.
fn prose(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(0x5851_F42D_4C95_7F2D).wrapping_add(0x1405_7B7E_F767_814F);
        (state >> 33) % below
    };
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        let common = next(40) * next(40);
        let word = format!("{:x} ", (common + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (8 + common % 32));
        bytes.extend(word.bytes());
        if next(9) == 0 {
            bytes.extend(format!("{}\n", next(1_000_000)).bytes());
        }
    }
    bytes.truncate(length);
    bytes
}

/// Prose, with the other kinds of data in its midst.
fn data(length: usize) -> Vec<u8> {
    let mut bytes = prose(length);
    let other = content(length / 8);
    bytes[length / 2..][..other.len()].copy_from_slice(&other);
    bytes
}

/// An MBR with one primary partition, and logical ones whose EBRs lie all over the image.
fn chained_image(length: usize) -> Vec<u8> {
    const EBRS: [u32; 4] = [2048, 3000, 7001, 11_000];
    let mut image = data(length);
    let entry = |sector: &mut [u8], index: usize, kind: u8, start: u32, sectors: u32| {
        let entry = &mut sector[446 + 16 * index..][..16];
        entry.fill(0);
        entry[4] = kind;
        entry[8..12].copy_from_slice(&start.to_le_bytes());
        entry[12..].copy_from_slice(&sectors.to_le_bytes());
    };
    image[..512].copy_from_slice(&mbr(0));
    entry(&mut image, 0, 0x83, 64, 1000);
    entry(&mut image, 1, 0x05, EBRS[0], 10_000);
    for (index, &ebr) in EBRS.iter().enumerate() {
        let sector = &mut image[ebr as usize * 512..][..512];
        sector.copy_from_slice(&mbr(0));
        entry(sector, 0, 0x83, 8, 500);
        if let Some(next) = EBRS.get(index + 1) {
            entry(sector, 1, 0x05, next - EBRS[0], 600);
        }
    }
    image
}

/// A GPT with two partitions, the backup included, around data.
fn gpt_image(folder: &Path) -> Vec<u8> {
    let path = folder.join("gpt.img");
    let mut image = data(2 * MIB);
    image[..34 * 512].fill(0);
    image[2 * MIB - 33 * 512..].fill(0);
    fs::write(&path, image).expect("written");
    let table = "label: gpt\nlabel-id: 11111111-2222-3333-4444-555555555555\n\
        start=64, size=1000, uuid=11111111-2222-3333-4444-000000000001\n\
        start=2048, size=1900, uuid=11111111-2222-3333-4444-000000000002\n";
    run(
        "fdisk",
        "sfdisk",
        &["-q", "--no-reread", "--no-tell-kernel", "-w", "never", path.to_str().expect("UTF-8")],
        table,
    );
    fs::read(&path).expect("readable")
}

fn report(path: &Path, engine: Engine) -> Value {
    let options = Options {
        image_suffix: ".img".parse().expect("a suffix"),
        max_window: 128 << 20,
        engine,
        deep_fs: false,
        meter: Arc::new(Meter::default()),
    };
    let mut report = Inspection::of(path, &options).to_json(false);
    for image in report["images"].as_array_mut().into_iter().flatten() {
        for partition in image["partitions"].as_array_mut().into_iter().flatten() {
            for key in ["fs", "fs_label", "fs_uuid"] {
                partition[key].take();
            }
        }
    }
    report
}

/// What is said of each image: nothing, where it is that it cannot be told.
fn decided(report: &Value) -> Vec<Value> {
    let images = report["images"].as_array().expect("a list").iter();
    let decided = images.filter(|image| !image["count"].is_null());
    decided.map(|image| json!([image["img"], image["size_bytes"], image["count"], image["partitions"]])).collect()
}

fn compare(skip: &Value, decode: &Value, truth: &Value) -> Outcome {
    let [by_skip, by_decode, truth] = [skip, decode, truth].map(decided);
    let is_wrong = |image: &Value| !truth.contains(image) && !by_decode.contains(image);
    let is_silent = skip["error"].is_null() && by_skip.len() < by_decode.len();
    if is_silent {
        Outcome::Wrong
    } else if by_skip.iter().any(is_wrong) {
        if decode["error"]["reason"] == "checksum" { Outcome::OnlyChecksum } else { Outcome::Wrong }
    } else if by_skip.len() > by_decode.len() {
        Outcome::SeesMore
    } else if by_skip.len() < by_decode.len() {
        Outcome::SeesLess
    } else if skip["error"].is_null() && !decode["error"].is_null() {
        Outcome::Unnoticed
    } else if by_skip == truth && by_decode == truth {
        Outcome::BothRight
    } else {
        Outcome::Same
    }
}

/// The `number`th damage to `bytes`: a bit that is flipped, or an end that is lost.
fn damage(bytes: &mut Vec<u8>, number: u64) {
    // splitmix64: neighbouring numbers have nothing to do with each other.
    let mut hash = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^= hash >> 31;
    let bit = usize::try_from(hash % (bytes.len() as u64 * 8)).expect("in the file");
    if number.is_multiple_of(FLIPS_PER_CUT + 1) {
        bytes.truncate(bit / 8);
    } else {
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

fn print_row(head: &str, cells: &[String; OUTCOMES.len()]) {
    print!("{head:26}");
    for cell in cells {
        print!("{cell:>11}");
    }
    println!();
}

#[test]
fn damage_never_makes_what_is_passed_over_look_like_something_else() {
    let folder = TempDir::new().expect("a temporary folder");
    let map = b"# Mapfile\n0x00000000 + 1\n0x00000000 0x00600000 +\n";
    let members = [
        member(b"first.img", &chained_image(6 * MIB)),
        member(b"first.map", map),
        member(b"second.img", &gpt_image(folder.path())),
    ];
    check(&ARCHIVES, &tar(&members), &[5, 2], Engine::Skip);
}

#[test]
fn damage_never_makes_what_is_presumed_look_like_something_else() {
    let map = b"# Mapfile\n0x00000000 + 1\n0x00000000 0x00C00000 +\n";
    let mut tar = tar(&[member(b"first.img", &chained_image(12 * MIB)), member(b"first.map", map)]);
    tar.resize(tar.len().next_multiple_of(10_240), 0);
    check(&PRESUMED, &tar, &[5], Engine::Auto);
}

/// Whether the blocks of an archive of these are proven to be full.
fn is_presumed(path: &Path) -> bool {
    let options = zst::Options { voucher: voucher(Engine::Auto), ..zst::Options::default() };
    let zst = ZstFile::open(path, options).expect("opens");
    zst.read_exact_at(9 << 20, &mut [0]).is_ok_and(|()| zst.totals().presumed > 0)
}

/// Damages what each of these ways makes of `tar`, and holds what `engine` says of its images against what decoding does.
fn check(archives: &[(&str, &str)], tar: &[u8], counts: &[u64], engine: Engine) {
    let flips = std::env::var("IMGSIEVE_FLIPS").map_or(FLIPS, |count| count.parse().expect("a number"));
    let each = (flips + flips / FLIPS_PER_CUT) / ARCHIVES.len() as u64;
    let folder = TempDir::new().expect("a temporary folder");
    let at = |name: &str| folder.path().join(name);
    fs::write(at("in"), tar).expect("written");
    print_row("", &OUTCOMES.map(|(_, word)| word.to_owned()));
    let mut wrong = Vec::new();
    for (index, (name, command)) in archives.iter().enumerate() {
        let path = at(&format!("{index}.tar.zst"));
        let script = format!("set -e; IN='{}'; OUT='{}'; {command}", at("in").display(), path.display());
        run("zstd", "sh", &["-c", &script], "");
        let truth = report(&path, Engine::Decode);
        let counted: Vec<_> = truth["images"].as_array().expect("a list").iter().map(|image| &image["count"]).collect();
        assert_eq!(counted, counts, "{truth}");
        assert_eq!(report(&path, engine), truth);
        assert_eq!(is_presumed(&path), engine == Engine::Auto, "{name}");
        let intact = fs::read(&path).expect("readable");
        let next = AtomicU64::new(0);
        let outcomes = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for worker in 0..2 {
                let (next, outcomes, intact, truth, at) = (&next, &outcomes, &intact, &truth, &at);
                scope.spawn(move || {
                    let path = at(&format!("{index}-{worker}.tar.zst"));
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= each {
                            break;
                        }
                        let seed = number * archives.len() as u64 + index as u64;
                        let mut bytes = intact.clone();
                        damage(&mut bytes, seed);
                        fs::write(&path, bytes).expect("written");
                        let (skip, decode) = (report(&path, engine), report(&path, Engine::Decode));
                        let outcome = compare(&skip, &decode, truth);
                        outcomes.lock().expect("no panic").push((seed, outcome, skip, decode));
                    }
                });
            }
        });
        let outcomes = outcomes.into_inner().expect("no panic");
        let count = |kind| outcomes.iter().filter(|(_, outcome, ..)| *outcome == kind).count();
        print_row(name, &OUTCOMES.map(|(kind, _)| count(kind).to_string()));
        for (seed, outcome, skip, decode) in outcomes {
            if outcome == Outcome::Wrong {
                wrong.push(format!("{name}, damage {seed}:\n  skip   {skip}\n  decode {decode}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_seek_table_that_lies_is_not_believed() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("seekable.tar.zst");
    let members = [member(b"first.img", &chained_image(6 * MIB)), member(b"second.img", &gpt_image(folder.path()))];
    let mut archive = Vec::new();
    let options = zeekstd::EncodeOptions::new().frame_size_policy(zeekstd::FrameSizePolicy::Uncompressed(100_000));
    let mut encoder = options.into_encoder(&mut archive).expect("parameters that libzstd has");
    std::io::Write::write_all(&mut encoder, &tar(&members)).expect("memory");
    encoder.finish().expect("memory");
    fs::write(&path, &archive).expect("written");
    let truth = report(&path, Engine::Decode);
    assert_eq!(report(&path, Engine::Skip), truth);
    // One byte more in the third frame than it has, which its blocks could have.
    let footer = archive.len() - 9;
    let count = u32::from_le_bytes(archive[footer..footer + 4].try_into().expect("4 bytes")) as usize;
    let entry_len = if archive[footer + 4] & 0x80 == 0 { 8 } else { 12 };
    let size_at = footer - count * entry_len + 2 * entry_len + 4;
    let mut lies = archive.clone();
    lies[size_at] += 1;
    fs::write(&path, lies).expect("written");
    assert_eq!(report(&path, Engine::Skip), truth);
}
