//! Bytes of the kinds that disks hold, the same for the same seed.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::fs::{self, File};
use std::io::Read as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::OnceLock;

/// Numbers that look random, from a seed (splitmix64: Steele, Lea and Flood, OOPSLA 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number of the range, which must not be empty.
    pub fn within(&mut self, range: Range<usize>) -> usize {
        let width = (range.end - range.start) as u64;
        range.start + usize::try_from(self.next() % width).expect("less than a usize")
    }

    /// A number of the range, small ones as often as large ones.
    pub fn any_size(&mut self, range: Range<usize>) -> usize {
        let most = range.end - range.start;
        let bits = self.within(0..(usize::BITS - most.leading_zeros()) as usize + 1);
        let below = most.min(1 << bits);
        range.start + self.within(0..below)
    }

    /// True so many times of a hundred.
    pub fn percent(&mut self, percent: usize) -> bool {
        self.within(0..100) < percent
    }

    /// One of `choices`.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.within(0..choices.len())]
    }
}

/// What bytes are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lines of words, some words often and most seldom.
    Text,
    /// Lines as web servers log them: long matches near by, and the same few fields over and over.
    AccessLog,
    /// Programs of this machine.
    Programs,
    /// Pages of 4 KiB with keys in order, as databases and file systems keep them.
    Pages,
    /// Zeros with a little of something here and there.
    Islands,
    /// Nothing that compresses.
    Noise,
    /// One block of 4 KiB again and again with a number in it that counts: a chain of matches back to the beginning.
    Template,
    /// All of the above, in pieces of any size.
    Mixed,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 8] = [
        Kind::Text,
        Kind::AccessLog,
        Kind::Programs,
        Kind::Pages,
        Kind::Islands,
        Kind::Noise,
        Kind::Template,
        Kind::Mixed,
    ];

    /// Exactly `length` bytes.
    pub fn bytes(self, length: usize, random: &mut Random) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8192);
        let mut line = 0;
        while bytes.len() < length {
            match self {
                Kind::Text => text_line(&mut bytes, random),
                Kind::AccessLog => log_line(&mut bytes, line, random),
                Kind::Programs => programs(&mut bytes, length, random),
                Kind::Pages => page(&mut bytes, line, random),
                Kind::Islands => island(&mut bytes, random),
                Kind::Noise => bytes.extend(random.next().to_le_bytes()),
                Kind::Template => template(&mut bytes, line),
                Kind::Mixed => {
                    let piece = random.any_size(1..256 << 10).min(length - bytes.len());
                    let kind = random.of(&Kind::ALL[..7]);
                    bytes.extend(kind.bytes(piece, random));
                }
            }
            line += 1;
        }
        bytes.truncate(length);
        bytes
    }
}

fn word(random: &mut Random) -> String {
    // The product of two makes some words far more frequent than others.
    let rank = (random.next() % 64) * (random.next() % 64);
    let mut spelled = Random::new(rank);
    let length = spelled.within(2..11);
    (0..length).map(|_| char::from(spelled.of(b"etaoinshrdlucmfwypvbgkjqxz"))).collect()
}

fn text_line(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..random.within(3..15) {
        bytes.extend(word(random).bytes());
        bytes.push(b' ');
    }
    *bytes.last_mut().expect("three words") = b'\n';
}

fn log_line(bytes: &mut Vec<u8>, line: u64, random: &mut Random) {
    let second = line / 3;
    let (host, path) = (random.next() % 40, word(random));
    let status = random.of(&["200", "200", "200", "304", "404", "500"]);
    let agent = random.of(&["Mozilla/5.0 (X11; Linux x86_64)", "curl/7.88.1", "Mozilla/5.0 (compatible; bot/2.1)"]);
    let text = format!(
        "10.0.{}.{host} - - [12/Mar/2021:{:02}:{:02}:{:02} +0000] \"GET /{path}/{}.html HTTP/1.1\" {status} {} \"-\" \"{agent}\"\n",
        host % 3,
        second / 3600 % 24,
        second / 60 % 60,
        second % 60,
        random.next() % 1000,
        random.next() % 100_000,
    );
    bytes.extend(text.bytes());
}

/// Up to 40 MiB of what lies in `/usr/bin`, at most 8 MiB of each file.
fn all_programs() -> &'static [u8] {
    static ALL: OnceLock<Vec<u8>> = OnceLock::new();
    ALL.get_or_init(|| {
        let folder = fs::read_dir("/usr/bin").expect("a folder of programs");
        let mut paths: Vec<PathBuf> = folder.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let mut bytes = Vec::new();
        for file in paths.iter().filter_map(|path| File::open(path).ok()) {
            // What cannot be read, a folder for one, adds nothing.
            let _ = file.take(8 << 20).read_to_end(&mut bytes);
            if bytes.len() > 40 << 20 {
                break;
            }
        }
        assert!(!bytes.is_empty(), "/usr/bin has nothing that can be read");
        bytes
    })
}

fn programs(bytes: &mut Vec<u8>, length: usize, random: &mut Random) {
    let all = all_programs();
    let from = random.within(0..all.len());
    let until = all.len().min(from + length - bytes.len());
    bytes.extend(&all[from..until]);
}

fn page(bytes: &mut Vec<u8>, number: u64, random: &mut Random) {
    const LENGTH: usize = 4096;
    let start = bytes.len();
    bytes.extend(b"PAGE");
    bytes.extend(number.to_be_bytes());
    let mut key = number << 16;
    let rows = random.within(4..60);
    for _ in 0..rows {
        key += random.next() % 100;
        bytes.extend(key.to_be_bytes());
        bytes.extend(1u32.to_be_bytes());
        bytes.extend(word(random).bytes());
        bytes.extend((random.next() % 5000).to_le_bytes());
    }
    bytes.resize(start + LENGTH, 0);
}

fn island(bytes: &mut Vec<u8>, random: &mut Random) {
    let zeros = random.any_size(1..300 << 10);
    bytes.resize(bytes.len() + zeros, 0);
    if random.percent(50) {
        let length = random.any_size(1..2000);
        bytes.extend((0..length).map(|_| random.next().to_le_bytes()[0]));
    } else {
        text_line(bytes, random);
    }
}

fn template(bytes: &mut Vec<u8>, number: u64) {
    static BLOCK: OnceLock<Vec<u8>> = OnceLock::new();
    let block = BLOCK.get_or_init(|| {
        let mut random = Random::new(4096);
        [(Kind::Pages, 2000), (Kind::Noise, 1000), (Kind::Text, 1096)]
            .map(|(kind, length)| kind.bytes(length, &mut random))
            .concat()
    });
    let start = bytes.len();
    bytes.extend(block);
    bytes[start + 64..start + 72].copy_from_slice(&number.to_le_bytes());
}
