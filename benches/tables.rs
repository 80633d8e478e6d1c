//! Tables a second, kind by kind, from images in memory, and how many reads each takes besides the first one.

mod common;
#[path = "../fuzz/src/tables.rs"]
#[allow(dead_code)]
mod sparse;

use std::cell::Cell;
use std::hint::black_box;
use std::io;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use imgsieve::ptable::read_table;
use positioned_io::ReadAt;

use common::{MIB, SECTOR, put_mbr};

const DISK: usize = 16 * MIB;
/// What the benchmark of that name has to find.
type Case = (&'static str, Vec<u8>, Option<usize>);

fn mbr() -> Vec<u8> {
    let mut disk = vec![0; DISK];
    put_mbr(&mut disk, 0, &[(1, 0x0c, 2048, 4096), (2, 0x83, 6144, 4096), (3, 0x82, 10240, 4096)]);
    disk
}

/// A primary partition and 12 logical ones, a MiB apart.
fn logical() -> Vec<u8> {
    const FIRST: u32 = 4096;
    const STEP: u32 = 2048;
    const LOGICAL: u32 = 12;
    let mut disk = vec![0; DISK];
    put_mbr(&mut disk, 0, &[(1, 0x83, 2048, 2048), (2, 0x05, FIRST, LOGICAL * STEP)]);
    for index in 0..LOGICAL {
        let at = (FIRST + index * STEP) as usize * SECTOR;
        put_mbr(&mut disk, at, &[(1, 0x83, 64, STEP - 64)]);
        if index + 1 < LOGICAL {
            put_mbr(&mut disk, at, &[(2, 0x05, (index + 1) * STEP, STEP)]);
        }
    }
    disk
}

/// A GPT with all of its 128 entries in use (UEFI 2.10 section 5.3).
fn gpt() -> Vec<u8> {
    let mut disk = vec![0; DISK];
    let last = DISK / SECTOR - 1;
    put_mbr(&mut disk, 0, &[(1, 0xee, 1, u32::try_from(last).expect("a small disk"))]);
    let mut array = vec![0; 128 * 128];
    for (entry, number) in array.chunks_exact_mut(128).zip(0_u8..) {
        let first = 64 + u64::from(number) * 128;
        entry[..16].fill(0x11);
        entry[16..32].fill(number + 1);
        entry[32..40].copy_from_slice(&first.to_le_bytes());
        entry[40..48].copy_from_slice(&(first + 127).to_le_bytes());
        for (unit, letter) in entry[56..128].chunks_exact_mut(2).zip(b"partition of a benchmark") {
            unit[0] = *letter;
        }
    }
    let sectors = array.len() / SECTOR;
    for (at, alternate, array_at) in [(1, last, 2), (last, 1, last - sectors)] {
        let mut header = [0; 92];
        header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
        for (offset, value) in [(24, at), (32, alternate), (40, 34), (48, last - sectors - 1), (72, array_at)] {
            header[offset..offset + 8].copy_from_slice(&(value as u64).to_le_bytes());
        }
        for (offset, value) in [(80, 128), (84, 128), (88, crc32fast::hash(&array))] {
            header[offset..offset + 4].copy_from_slice(&u32::to_le_bytes(value));
        }
        let crc = crc32fast::hash(&header);
        header[16..20].copy_from_slice(&crc.to_le_bytes());
        disk[at * SECTOR..at * SECTOR + 92].copy_from_slice(&header);
        disk[array_at * SECTOR..array_at * SECTOR + array.len()].copy_from_slice(&array);
    }
    disk
}

/// An image that the tests of the fuzz target begin with: made by sfdisk, sgdisk, fdisk or parted.
fn seed(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/tables").join(name);
    let recipe = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let sparse = sparse::image(&recipe).0;
    let mut disk = vec![0; usize::try_from(sparse.size).expect("a small disk")];
    sparse.read_exact_at(0, &mut disk).expect("in memory");
    disk
}

/// The names of the seeds, in order: what has a table of a kind that is not read has a time all the same.
fn seeds() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/tables");
    let entries = std::fs::read_dir(folder).expect("the seeds").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
    names.sort();
    names
}

/// Counts the reads that go beyond the window at the start of the image, which is read once whatever is in it.
struct Deep<'a> {
    disk: &'a [u8],
    reads: Cell<u32>,
    bytes: Cell<usize>,
}

/// Bytes of that window.
const HEAD: u64 = 24 << 10;

impl ReadAt for Deep<'_> {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.disk.read_at(pos, buf)?;
        if pos + read as u64 > HEAD {
            self.reads.set(self.reads.get() + 1);
            self.bytes.set(self.bytes.get() + read);
        }
        Ok(read)
    }
}

fn deep_reads(name: &str, disk: &[u8]) {
    let deep = Deep { disk, reads: Cell::new(0), bytes: Cell::new(0) };
    let answer = match read_table(&deep, disk.len() as u64, None) {
        Ok(None) => "no table".to_owned(),
        Ok(Some(table)) => format!("{}, {} partitions", table.label, table.count()),
        Err(error) => error.reason_code().to_string(),
    };
    println!("{name}: {answer}; {} reads beyond the first 24 KiB, {} bytes", deep.reads.get(), deep.bytes.get());
}

fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tables");
    group.throughput(Throughput::Elements(1));
    let mut gone = gpt();
    gone[SECTOR..2 * SECTOR].fill(0);
    let cases: [Case; 5] = [
        ("mbr", mbr(), Some(3)),
        ("12 logical", logical(), Some(13)),
        ("gpt of 128", gpt(), Some(128)),
        ("gpt of 128, backup", gone, Some(128)),
        ("none", vec![0; DISK], None),
    ];
    for (name, disk, expected) in &cases {
        let found = read_table(disk, disk.len() as u64, None).expect("it can be decided on");
        assert_eq!(found.map(|table| table.count() as usize), *expected, "{name}");
    }
    let made = cases.into_iter().map(|(name, disk, _)| (name.to_owned(), disk));
    for (name, disk) in made.chain(seeds().into_iter().map(|name| (name.clone(), seed(&name)))) {
        deep_reads(&name, &disk);
        group.bench_function(&*name, |bencher| bencher.iter(|| black_box(read_table(&disk, disk.len() as u64, None))));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    // There are many.
    config = common::brief().warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_millis(600));
    targets = tables
}
criterion_main!(benches);
