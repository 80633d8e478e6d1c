//! What the target `tables` checks. `tests/fuzz_regressions.rs` runs the same on every input that once failed.
//!
//! An input describes a sparse image: its size, how many partitions are enough, what of it cannot be read, and then
//! pieces, each with its place. Numbers are little-endian, and an input cut short goes on with zeros. Checksums cannot be
//! guessed, so a piece may ask for one to be put right, and what is long by its nature is made from a few numbers.

use std::cell::Cell;
use std::io;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use imgsieve::ptable::{self, Examination, PartitionTable, superblock};
use positioned_io::ReadAt;

/// Reads that any image may cost. The most known of are those of a chain of EBRs that never repeats itself; what else
/// is read of such an image are the arrays of a GPT that it once had. Of a disk behind a header, both are looked at.
pub const MAX_READS: u64 = 2 * 700;
/// Bytes that any image may cost: two arrays of a GPT, as large as they may be, and a MiB for all the rest.
pub const MAX_BYTES: u64 = (2 * (2 * 16 + 1)) << 20;
/// Entries that a table may list.
const MAX_PARTITIONS: usize = 4096;
/// Pieces of an image: each read looks at all of them.
const MAX_PIECES: usize = 8192;
/// Things that may be wrong with a table.
const MAX_DAMAGE: usize = 1024;

const SECTOR: u64 = 512;

/// An image of zeros but for its pieces, of which a later one hides an earlier one.
pub struct Sparse {
    /// Its length in bytes.
    pub size: u64,
    pieces: Vec<(u64, Vec<u8>)>,
    /// What cannot be read.
    bad: Range<u64>,
    reads: Cell<u64>,
    bytes: Cell<u64>,
}

impl Sparse {
    /// Nothing but zeros.
    pub fn new(size: u64) -> Sparse {
        Sparse { size, pieces: Vec::new(), bad: 0..0, reads: Cell::default(), bytes: Cell::default() }
    }

    /// Puts bytes at an offset.
    pub fn put(&mut self, offset: u64, bytes: Vec<u8>) {
        self.pieces.push((offset, bytes));
    }

    /// Reads made, and the bytes that they gave.
    pub fn cost(&self) -> (u64, u64) {
        (self.reads.get(), self.bytes.get())
    }

    fn fill(&self, offset: u64, buf: &mut [u8]) {
        buf.fill(0);
        let end = offset.saturating_add(buf.len() as u64);
        for (at, bytes) in &self.pieces {
            let (from, until) = (offset.max(*at), end.min(at.saturating_add(bytes.len() as u64)));
            if from < until {
                let index = |place: u64, start: u64| usize::try_from(place - start).expect("in memory");
                buf[index(from, offset)..index(until, offset)]
                    .copy_from_slice(&bytes[index(from, *at)..index(until, *at)]);
            }
        }
    }

    fn get(&self, offset: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.fill(offset, &mut bytes);
        bytes
    }
}

impl ReadAt for Sparse {
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.reads.set(self.reads.get() + 1);
        let mut end = self.size.min(offset.saturating_add(buf.len() as u64));
        if self.bad.contains(&offset) {
            return Err(io::Error::other("a bad sector"));
        }
        if offset < self.bad.start {
            end = end.min(self.bad.start.max(offset));
        }
        let len = usize::try_from(end.saturating_sub(offset)).expect("no more than there is room for");
        self.fill(offset, &mut buf[..len]);
        self.bytes.set(self.bytes.get() + len as u64);
        Ok(len)
    }
}

/// The input, read from its front; zeros where it ended.
struct Recipe<'a>(&'a [u8]);

impl<'a> Recipe<'a> {
    fn bytes(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self, width: usize) -> u64 {
        self.bytes(width).iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
    }
}

/// The image that an input describes, and how many partitions are enough.
pub fn image(input: &[u8]) -> (Sparse, Option<u32>) {
    let mut recipe = Recipe(input);
    let mut image = Sparse::new(recipe.number(8) & i64::MAX.cast_unsigned());
    let enough = u32::try_from(recipe.number(1)).expect("a byte").checked_sub(1);
    if recipe.number(1) % 4 == 3 {
        let (start, len) = (recipe.number(8), recipe.number(2));
        image.bad = start..start.saturating_add(len);
    }
    let mut previous = 0..0;
    let mut seals = Vec::new();
    while !recipe.0.is_empty() && image.pieces.len() < MAX_PIECES {
        let kind = recipe.number(1);
        let offset = match kind & 7 {
            0 | 1 => recipe.number(8) & i64::MAX.cast_unsigned(),
            2 => recipe.number(2) * SECTOR,
            3 => image.size.saturating_sub(recipe.number(2) * SECTOR),
            4 => previous.end,
            5 => previous.start.saturating_add(recipe.number(2)),
            6 => recipe.number(4) * SECTOR,
            _ => {
                chain(&mut image, &mut recipe);
                continue;
            }
        };
        let len = usize::try_from(recipe.number(2) % 4097).expect("small");
        let bytes = recipe.bytes(len).to_vec();
        previous = offset..offset.saturating_add(bytes.len() as u64);
        image.put(offset, bytes);
        seals.push((kind >> 3, offset));
    }
    for (kind, offset) in seals {
        seal(&mut image, kind, offset);
    }
    (image, enough)
}

/// A chain of EBRs, each in the sector behind the one before it; every so many have a partition.
fn chain(image: &mut Sparse, recipe: &mut Recipe<'_>) {
    let (first, count, every) = (recipe.number(4), recipe.number(2) % 4096, recipe.number(1).max(1));
    let room = MAX_PIECES.saturating_sub(image.pieces.len()) as u64;
    for index in 0..count.min(room) {
        let mut ebr = vec![0; 512];
        ebr[510..].copy_from_slice(&[0x55, 0xaa]);
        let number = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
        if index % every == 0 {
            ebr[450] = 0x83;
            ebr[454..458].copy_from_slice(&number(count));
            ebr[458..462].copy_from_slice(&number(1));
        }
        ebr[466] = 0x05;
        ebr[470..474].copy_from_slice(&number(index + 1));
        ebr[474..478].copy_from_slice(&number(1));
        image.put(first.saturating_add(index).saturating_mul(SECTOR), ebr);
    }
}

fn put32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
}

fn sum32(bytes: &[u8]) -> u32 {
    bytes.chunks_exact(4).fold(0, |sum, long| sum.wrapping_add(u32::from_be_bytes(long.try_into().expect("4 bytes"))))
}

fn xor16(bytes: &[u8]) -> [u8; 2] {
    bytes.chunks_exact(2).fold([0, 0], |[a, b], word| [a ^ word[0], b ^ word[1]])
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    })
}

/// Puts right the checksum that such a table would have at this offset.
fn seal(image: &mut Sparse, kind: u64, offset: u64) {
    let mut sector = image.get(offset, 512);
    match kind {
        // A GPT header: UEFI 2.10 table 5-5.
        1 => {
            let le = |at: usize, width: usize| Recipe(&sector[at..at + width]).number(width);
            let per_sector = [1024, 2048, 4096].into_iter().find(|&size| le(24, 8).checked_mul(size) == Some(offset));
            let array = (le(72, 8).saturating_mul(per_sector.unwrap_or(512)), le(80, 4).saturating_mul(le(84, 4)));
            let array = image.get(array.0, usize::try_from(array.1).unwrap_or(0).min(64 << 10));
            sector[88..92].copy_from_slice(&crc32(&array).to_le_bytes());
            sector[16..20].fill(0);
            let size = usize::from(sector[12]).max(92);
            let crc = crc32(&sector[..size]);
            sector[16..20].copy_from_slice(&crc.to_le_bytes());
        }
        // A Sun label: a XOR of 16-bit words over the sector.
        2 => {
            let xor = xor16(&sector[..510]);
            sector[510..].copy_from_slice(&xor);
        }
        // An SGI volume header: a sum of 32-bit words.
        3 => {
            put32(&mut sector, 504, 0);
            let sum = sum32(&sector);
            put32(&mut sector, 504, sum.wrapping_neg());
        }
        // A block of an Amiga, which says how many longs are summed.
        4 => {
            let longs = usize::from(sector[7]).clamp(3, 128);
            put32(&mut sector, 8, 0);
            let sum = sum32(&sector[..longs * 4]);
            put32(&mut sector, 8, sum.wrapping_neg());
        }
        // A BSD disklabel: a XOR up to its last partition.
        5 => {
            let end = 148 + usize::from(sector[138]).min(22) * 16;
            sector[136..138].fill(0);
            let xor = xor16(&sector[..end]);
            sector[136..138].copy_from_slice(&xor);
        }
        6 => sector[510..].copy_from_slice(&[0x55, 0xaa]),
        // A disc record of RISC OS: a sum of bytes with carry.
        7 => {
            let sum = sector[..511].iter().rev().fold(0_u32, |sum, byte| (sum & 0xff) + (sum >> 8) + u32::from(*byte));
            sector[511] = sum.to_le_bytes()[0];
        }
        // A VTOC of DASD or a table of PC-98 has none.
        _ => return,
    }
    image.put(offset, sector);
}

/// What any examination has to be, whatever of.
fn check(image: &Sparse, enough: Option<u32>) -> Examination {
    image.reads.set(0);
    image.bytes.set(0);
    let started = Instant::now();
    let examination = ptable::examine(image, image.size, enough);
    tell_the_worst(image.cost(), started);
    let (reads, bytes) = image.cost();
    assert!(reads <= MAX_READS, "{reads} reads, {:?}", examination.outcome);
    assert!(bytes <= MAX_BYTES, "{bytes} bytes, {:?}", examination.outcome);
    for range in &examination.consulted {
        assert!(range.start < range.end && range.end <= image.size, "{range:?} of {} bytes", image.size);
    }
    if let Ok(Some(table)) = &examination.outcome {
        let counting = table.partitions.iter().filter(|partition| partition.kind.counts()).count();
        assert_eq!(table.count() as usize, counting);
        assert!(table.partitions.len() <= MAX_PARTITIONS, "{} entries", table.partitions.len());
        assert!(table.damage.len() <= MAX_DAMAGE, "{} damages", table.damage.len());
        assert!(table.sector_size.is_power_of_two(), "sectors of {} bytes", table.sector_size);
    }
    examination
}

/// With `FUZZ_WORST` in the environment, each new most is told.
fn tell_the_worst((reads, bytes): (u64, u64), started: Instant) {
    static WORST: [AtomicU64; 3] = [AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)];
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    for (worst, (value, what)) in WORST.iter().zip([(reads, "reads"), (bytes, "bytes read"), (micros, "microseconds")])
    {
        if worst.fetch_max(value, Ordering::Relaxed) < value && std::env::var_os("FUZZ_WORST").is_some() {
            eprintln!("at most so far: {value} {what}");
        }
    }
}

/// No image makes the reader panic or read without bound, and to stop at enough partitions changes no verdict.
pub fn read(input: &[u8]) {
    let (image, enough) = image(input);
    let whole = check(&image, None);
    if let Ok(Some(mut table)) = whole.outcome {
        let disk = whole.wrapper.map_or(0..image.size, |wrapper| wrapper.disk);
        ptable::check_backup(&mut table, &image, &disk);
    }
    let _ = superblock::identify(&image, image.size);
    let Some(enough) = enough else { return };
    let (whole, stopped) = (check(&image, None), check(&image, Some(enough)));
    if let (Ok(whole), Ok(stopped)) = (&whole.outcome, &stopped.outcome) {
        let [whole, stopped] = [whole, stopped].map(|table| table.as_ref().map_or(0, PartitionTable::count));
        assert_eq!(whole >= enough, stopped >= enough, "{stopped} of {whole} partitions, {enough} are enough");
    }
}
