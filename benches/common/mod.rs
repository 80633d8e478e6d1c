//! What the benchmarks read, made from a seed: the same bytes each time, and no file of anybody's.

// Each benchmark is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::path::Path;
use std::time::Duration;

use criterion::Criterion;

/// Bytes in a mebibyte.
pub const MIB: usize = 1 << 20;
/// Sector size of all disks here, in bytes.
pub const SECTOR: usize = 512;

/// Criterion, for as long as all benchmarks together are to take: a minute.
pub fn brief() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(3))
}

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
pub struct Random(pub u64);

impl Random {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }
}

/// What an image is full of.
#[derive(Clone, Copy)]
pub enum Filling {
    /// Lines of words, the common ones more often: short matches, many literals.
    Text,
    /// Nothing to compress.
    Noise,
    /// An empty disk.
    Zeros,
}

impl Filling {
    /// Each of them.
    pub const ALL: [Filling; 3] = [Filling::Text, Filling::Noise, Filling::Zeros];

    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Filling::Text => "text",
            Filling::Noise => "noise",
            Filling::Zeros => "zeros",
        }
    }

    /// `len` bytes of it.
    pub fn bytes(self, seed: u64, len: usize) -> Vec<u8> {
        let mut random = Random(seed);
        match self {
            Filling::Zeros => vec![0; len],
            Filling::Noise => {
                let mut bytes = Vec::with_capacity(len + 8);
                while bytes.len() < len {
                    bytes.extend(random.next().to_le_bytes());
                }
                bytes.truncate(len);
                bytes
            }
            Filling::Text => text(&mut random, len),
        }
    }
}

fn text(random: &mut Random, len: usize) -> Vec<u8> {
    let words: Vec<Vec<u8>> = (0..4096)
        .map(|_| {
            let letters = 2 + random.below(9);
            (0..letters).map(|_| b"etaoinshrdlucmfw"[random.below(16)]).collect()
        })
        .collect();
    let mut bytes = Vec::with_capacity(len + 16);
    while bytes.len() < len {
        // The lesser of two draws: low numbers come more often.
        let word = random.below(words.len()).min(random.below(words.len()));
        bytes.extend_from_slice(&words[word]);
        bytes.push(if random.below(12) == 0 { b'\n' } else { b' ' });
    }
    bytes.truncate(len);
    bytes
}

/// Writes an MBR or EBR into the sector at `at`: slot from 1, type, first sector, sectors.
pub fn put_mbr(disk: &mut [u8], at: usize, entries: &[(usize, u8, u32, u32)]) {
    disk[at + 510..at + 512].copy_from_slice(&[0x55, 0xaa]);
    for &(slot, type_id, start, sectors) in entries {
        let entry = at + 446 + (slot - 1) * 16;
        disk[entry + 4] = type_id;
        disk[entry + 8..entry + 12].copy_from_slice(&start.to_le_bytes());
        disk[entry + 12..entry + 16].copy_from_slice(&sectors.to_le_bytes());
    }
}

/// Appends an archive member of the name and content to a tar.
pub fn append(tar: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, Path::new(name), content).expect("a Vec takes all");
}

/// A `.zst` of one frame with a checksum, at level 3, as `tar --zstd` makes them.
pub fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).expect("a level that exists");
    encoder.include_checksum(true).expect("before the first byte");
    std::io::Write::write_all(&mut encoder, bytes).expect("a Vec takes all");
    encoder.finish().expect("a Vec takes all")
}
