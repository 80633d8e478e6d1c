//! Tables a second, from images in memory.

mod common;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use imgsieve::ptable::read_table;

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

fn tables(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tables");
    group.throughput(Throughput::Elements(1));
    let cases: [Case; 4] = [
        ("mbr", mbr(), Some(3)),
        ("12 logical", logical(), Some(13)),
        ("gpt of 128", gpt(), Some(128)),
        ("none", vec![0; DISK], None),
    ];
    for (name, disk, expected) in &cases {
        let read = || read_table(disk, disk.len() as u64, None).expect("it can be decided on");
        let found = read().map(|table| table.partitions.iter().filter(|partition| partition.kind.counts()).count());
        assert_eq!(found, *expected, "{name}");
        group.bench_function(*name, |bencher| bencher.iter(|| black_box(read())));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::brief();
    targets = tables
}
criterion_main!(benches);
