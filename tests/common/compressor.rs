//! Compressors: commands, libzstd with parameters that no command gives it, encoders that are not libzstd, and frames
//! written by hand.

// Whichever test file has this module uses a part of it.
#![allow(dead_code)]

use std::fs;
use std::io::{Seek as _, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use tempfile::TempDir;
use zstd::zstd_safe::zstd_sys::{ZSTD_EndDirective, ZSTD_strategy};
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ParamSwitch};

use crate::common::content::{Kind, Random};
use crate::common::{run, status};

/// A mebibyte.
const MIB: usize = 1 << 20;
/// `Block_Maximum_Size` at most, RFC 8878 section 3.1.1.2.4.
pub const BLOCK: usize = 128 << 10;

/// Whoever made the bytes.
#[derive(Debug, Clone)]
pub enum Compressor {
    /// The `zstd` command with these options, the content through a pipe.
    Zstd(Vec<String>),
    /// The same with the content in a file, whose size it knows.
    ZstdOfFile(Vec<String>),
    /// Many frames, each behind a skippable one that says its length.
    Pzstd(Vec<String>),
    /// libzstd with these parameters, flushed after pieces of such sizes.
    Libzstd {
        /// As libzstd has them.
        parameters: Vec<CParameter>,
        /// Whether it is told the length of the content.
        says_size: bool,
        /// Lengths of the pieces.
        pieces: Range<usize>,
    },
    /// Go's encoder: `tests/klauspost/main.go` with these options.
    Klauspost(Vec<String>),
    /// Rust's encoder.
    Ruzstd(ruzstd::encoding::CompressionLevel),
    /// The seekable format: many frames and a seek table in a skippable one.
    Zeekstd {
        /// Of libzstd.
        level: i32,
        /// Bytes of content a frame.
        frame: u32,
        /// Whether frames have one.
        checksum: bool,
    },
    /// Raw and RLE blocks and literals without sequences, of any length, in a frame of any header.
    ByHand,
}

/// The options of a command line.
pub fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

impl Compressor {
    /// A file in the zstd format.
    pub fn compress(&self, content: &[u8], random: &mut Random) -> Vec<u8> {
        match self {
            Compressor::Zstd(options) => filter("zstd", "zstd", options, content),
            Compressor::ZstdOfFile(options) => zstd_of_file("zstd", options, content),
            Compressor::Pzstd(options) => zstd_of_file("pzstd", options, content),
            Compressor::Libzstd { parameters, says_size, pieces } => {
                libzstd(content, parameters, *says_size, pieces, random)
            }
            Compressor::Klauspost(options) => {
                filter("golang-go", klauspost().to_str().expect("UTF-8"), options, content)
            }
            Compressor::Ruzstd(level) => ruzstd::encoding::compress_to_vec(content, *level),
            Compressor::Zeekstd { level, frame, checksum } => {
                let mut archive = Vec::new();
                let mut encoder = zeekstd::EncodeOptions::new()
                    .compression_level(*level)
                    .checksum_flag(*checksum)
                    .frame_size_policy(zeekstd::FrameSizePolicy::Uncompressed(*frame))
                    .into_encoder(&mut archive)
                    .expect("good options");
                encoder.write_all(content).expect("compressed");
                encoder.finish().expect("finished");
                archive
            }
            Compressor::ByHand => by_hand(content, random),
        }
    }

    /// libzstd with parameters that no level has together.
    pub fn any_libzstd(random: &mut Random) -> Compressor {
        let switch = |random: &mut Random| random.of(&[ParamSwitch::Auto, ParamSwitch::Enable, ParamSwitch::Disable]);
        let mut parameters = vec![
            CParameter::CompressionLevel(random.of(&[-20, -1, 1, 2, 3, 4, 5, 7, 9, 12, 13, 16, 19, 22])),
            CParameter::ChecksumFlag(random.percent(50)),
            CParameter::ContentSizeFlag(random.percent(70)),
        ];
        let number = |random: &mut Random, range: Range<usize>| u32::try_from(random.within(range)).expect("small");
        if random.percent(50) {
            parameters.push(CParameter::WindowLog(number(random, 10..22)));
        }
        if random.percent(30) {
            use ZSTD_strategy::{ZSTD_btlazy2, ZSTD_btopt, ZSTD_btultra, ZSTD_btultra2};
            use ZSTD_strategy::{ZSTD_dfast, ZSTD_fast, ZSTD_greedy, ZSTD_lazy, ZSTD_lazy2};
            parameters.push(CParameter::Strategy(random.of(&[
                ZSTD_fast,
                ZSTD_dfast,
                ZSTD_greedy,
                ZSTD_lazy,
                ZSTD_lazy2,
                ZSTD_btlazy2,
                ZSTD_btopt,
                ZSTD_btultra,
                ZSTD_btultra2,
            ])));
        }
        if random.percent(30) {
            parameters.push(CParameter::MinMatch(number(random, 3..8)));
        }
        if random.percent(20) {
            parameters.push(CParameter::TargetLength(number(random, 1..1000)));
        }
        if random.percent(25) {
            parameters.push(CParameter::LiteralCompressionMode(switch(random)));
        }
        if random.percent(30) {
            parameters.push(CParameter::EnableLongDistanceMatching(true));
            parameters.push(CParameter::LdmMinMatch(number(random, 4..128)));
        }
        if random.percent(40) {
            // Bounds of `zstd.h`: ZSTD_BLOCKSIZE_MAX_MIN and ZSTD_TARGETCBLOCKSIZE_MIN.
            parameters.push(CParameter::MaxBlockSize(number(random, 1 << 10..BLOCK + 1)));
        }
        if random.percent(40) {
            let largest = random.of(&[2000, 10_000, 131_072]);
            parameters.push(CParameter::TargetCBlockSize(number(random, 1340..largest + 1)));
        }
        parameters.push(CParameter::UseBlockSplitter(switch(random)));
        let smallest = random.of(&[1, 100, 10_000]);
        let largest = random.of(&[2, 300, 20_000, 200_000, 4 * MIB]);
        Compressor::Libzstd { parameters, says_size: random.percent(50), pieces: smallest..largest.max(smallest) + 1 }
    }

    /// One that is quick and writes frames unlike the others'.
    pub fn any_quick(random: &mut Random) -> Compressor {
        match random.within(0..9) {
            0..5 => Compressor::any_libzstd(random),
            5 => Compressor::Zstd(words(random.of(&["-1", "-3 --no-check", "--fast=3", "-9", "-T2 -2"]))),
            6 => Compressor::Ruzstd(ruzstd::encoding::CompressionLevel::Fastest),
            7 => Compressor::Zeekstd { level: 1, frame: 50_000, checksum: random.percent(50) },
            _ => Compressor::ByHand,
        }
    }
}

/// Pieces of a content, each of a length of the range.
struct Pieces<'a> {
    rest: &'a [u8],
    lengths: Range<usize>,
    random: Random,
}

impl<'a> Pieces<'a> {
    fn of(content: &'a [u8], lengths: Range<usize>, random: Random) -> Pieces<'a> {
        Pieces { rest: content, lengths, random }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // Thousands of flushes show nothing that hundreds do not.
        let length = self.random.any_size(self.lengths.clone()).max(self.rest.len() / 300);
        let (piece, rest) = self.rest.split_at(length.max(1).min(self.rest.len()));
        self.rest = rest;
        (!piece.is_empty()).then_some(piece)
    }
}

/// What `program` makes of `content`.
fn filter(package: &str, program: &str, options: &[String], content: &[u8]) -> Vec<u8> {
    let mut input = tempfile::tempfile().expect("a temporary file");
    input.write_all(content).expect("written");
    input.rewind().expect("rewound");
    // `zstd` stats its standard input and learns the size of a file: a pipe is what archives are made through.
    let mut cat = Command::new("cat").stdin(input).stdout(Stdio::piped()).spawn().expect("cat");
    let pipe = cat.stdout.take().expect("piped");
    let output = Command::new(program)
        .args(options)
        .stdin(pipe)
        .output()
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): install the Debian package {package}"));
    assert!(cat.wait().expect("cat").success());
    assert!(output.status.success(), "{program} {options:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn zstd_of_file(program: &str, options: &[String], content: &[u8]) -> Vec<u8> {
    let folder = TempDir::new().expect("a temporary folder");
    let (input, archive) = (folder.path().join("in"), folder.path().join("out.zst"));
    fs::write(&input, content).expect("written");
    let files = ["-q", "-f", input.to_str().expect("UTF-8"), "-o", archive.to_str().expect("UTF-8")];
    let arguments: Vec<&str> = options.iter().map(String::as_str).chain(files).collect();
    run("zstd", program, &arguments, "");
    fs::read(archive).expect("an archive")
}

fn libzstd(
    content: &[u8],
    parameters: &[CParameter],
    says_size: bool,
    pieces: &Range<usize>,
    random: &Random,
) -> Vec<u8> {
    let mut encoder = CCtx::create();
    for &parameter in parameters {
        encoder.set_parameter(parameter).unwrap_or_else(|code| panic!("{parameter:?} is refused: {code}"));
    }
    if says_size {
        encoder.set_pledged_src_size(Some(content.len() as u64)).expect("before the first byte");
    }
    let mut archive = Vec::new();
    let mut step = |bytes: &[u8], directive: ZSTD_EndDirective| {
        let mut input = InBuffer::around(bytes);
        loop {
            archive.reserve(BLOCK);
            let filled = archive.len();
            let mut output = OutBuffer::around_pos(&mut archive, filled);
            let left = encoder.compress_stream2(&mut output, &mut input, directive).expect("compressed");
            if left == 0 && input.pos() == bytes.len() {
                break;
            }
        }
    };
    for piece in Pieces::of(content, pieces.clone(), random.clone()) {
        step(piece, ZSTD_EndDirective::ZSTD_e_flush);
    }
    // All was flushed, so this is a last block of 0 bytes: raw, and nothing but its header.
    step(&[], ZSTD_EndDirective::ZSTD_e_end);
    archive
}

/// `tests/klauspost/main.go`, built with the encoder's source as Debian has it.
fn klauspost() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("klauspost");
        let mut build = Command::new("go");
        build.args(["build", "-o"]).arg(&program).arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/klauspost/main.go"));
        build.env("GO111MODULE", "off").env("GOPATH", "/usr/share/gocode");
        let code = status(&mut build, "golang-go and golang-github-klauspost-compress-dev");
        assert_eq!(code, 0, "install the Debian package golang-github-klauspost-compress-dev");
        program
    })
}

/// A frame without one sequence in it: RFC 8878 section 3.1.1, written by its letter.
fn by_hand(content: &[u8], random: &mut Random) -> Vec<u8> {
    let length = content.len() as u64;
    let mut archive = vec![0x28, 0xB5, 0x2F, 0xFD];
    let widths: &[u8] = match length {
        0..256 => &[1, 4, 8],
        256..65_792 => &[2, 4, 8],
        _ => &[4, 8],
    };
    let single_segment = random.percent(40);
    let width = if single_segment || random.percent(50) { random.of(widths) } else { 0 };
    let window_log = random.within(10..24);
    let window = if single_segment { content.len() } else { 1 << window_log };
    let (flag, field) = match width {
        0 => (0, 0),
        // Without a window descriptor, flag 0 means one byte; with one, no field at all.
        1 if single_segment => (0, length),
        2 => (1, length - 256),
        1 | 4 => (2, length),
        _ => (3, length),
    };
    archive.push(flag << 6 | u8::from(single_segment) << 5);
    if !single_segment {
        archive.push(u8::try_from((window_log - 10) << 3).expect("5 bits"));
    }
    let field_width = [usize::from(single_segment), 2, 4, 8][usize::from(flag)];
    archive.extend(&field.to_le_bytes()[..field_width]);

    let largest = window.clamp(1, BLOCK);
    let few_blocks = 1 + content.len() / 3000;
    let lengths = few_blocks.min(largest)..largest + 1;
    for piece in Pieces::of(content, lengths, random.clone()) {
        let (piece, rest) = piece.split_at(piece.len().min(largest));
        by_hand_block(&mut archive, piece, largest, random);
        // What `Pieces` made longer than a block.
        rest.chunks(largest).for_each(|piece| by_hand_block(&mut archive, piece, largest, random));
        if random.percent(5) {
            block(&mut archive, BlockType::Raw, 0, &[]);
        }
    }
    // The last block: of nothing.
    archive.extend([1, 0, 0]);
    archive
}

/// `Block_Type`, RFC 8878 section 3.1.1.2.2.
#[derive(Clone, Copy)]
enum BlockType {
    Raw = 0,
    Rle = 1,
    Compressed = 2,
}

fn block(archive: &mut Vec<u8>, kind: BlockType, size: usize, body: &[u8]) {
    let header = u32::try_from(size << 3 | (kind as usize) << 1).expect("21 bits and 3");
    archive.extend(&header.to_le_bytes()[..3]);
    archive.extend(body);
}

fn by_hand_block(archive: &mut Vec<u8>, piece: &[u8], largest: usize, random: &mut Random) {
    let is_run = piece.iter().all(|byte| *byte == piece[0]);
    if is_run && random.percent(70) {
        return block(archive, BlockType::Rle, piece.len(), &piece[..1]);
    }
    // A literals section of 20 bits of size (section 3.1.1.3.1.1), then no sequences.
    let literals_header =
        |kind: usize| u32::try_from(piece.len() << 4 | 0b11 << 2 | kind).expect("24 bits").to_le_bytes();
    let mut body = Vec::new();
    if is_run {
        body.extend(&literals_header(1)[..3]);
        body.push(piece[0]);
    } else {
        body.extend(&literals_header(0)[..3]);
        body.extend(piece);
    }
    body.push(0);
    // A compressed block is limited like its content (section 3.1.1.2.3), and must be shorter than `Block_Maximum_Size`.
    if body.len() < largest && (is_run || random.percent(50)) {
        block(archive, BlockType::Compressed, body.len(), &body);
    } else {
        block(archive, BlockType::Raw, piece.len(), piece);
    }
}

/// A skippable frame, RFC 8878 section 3.1.2.
pub fn skippable(random: &mut Random) -> Vec<u8> {
    let length = random.any_size(0..5000);
    let mut frame = vec![0x50 | (random.next() & 15).to_le_bytes()[0], 0x2A, 0x4D, 0x18];
    frame.extend(u32::try_from(length).expect("small").to_le_bytes());
    frame.extend(Kind::Noise.bytes(length, random));
    frame
}
