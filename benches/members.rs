//! Members a second, from archives in memory.

mod common;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use imgsieve::member::{Item, walk};

use common::{Random, append};

const SMALL: usize = 100_000;
const SPARSE: usize = 10_000;
/// In a header, and in one block that extends it (GNU tar manual, "The Sparse Format").
const SEGMENTS: usize = 4 + 21;

/// Members of up to 1 KiB.
fn small() -> Vec<u8> {
    let mut random = Random(1);
    let mut tar = tar::Builder::new(Vec::new());
    let content = [b'x'; 1024];
    for number in 0..SMALL {
        append(&mut tar, &format!("folder/{number:06}.txt"), &content[..random.below(content.len())]);
    }
    tar.into_inner().expect("a Vec takes all")
}

/// Members of GNU tar's oldgnu format: 25 segments of 512 bytes, a MiB apart.
fn sparse() -> Vec<u8> {
    fn octal(field: &mut [u8; 12], value: usize) {
        field.copy_from_slice(format!("{value:011o}\0").as_bytes());
    }
    let mut archive = Vec::new();
    for number in 0..SPARSE {
        let mut header = tar::Header::new_gnu();
        header.set_path(format!("{number:06}.img")).expect("a short name");
        header.set_entry_type(tar::EntryType::GNUSparse);
        header.set_size((SEGMENTS * 512) as u64);
        let gnu = header.as_gnu_mut().expect("made as one");
        octal(&mut gnu.realsize, SEGMENTS << 20);
        gnu.isextended = [1];
        let mut extension = tar::GnuExtSparseHeader::new();
        for (index, segment) in gnu.sparse.iter_mut().chain(extension.sparse.iter_mut()).enumerate() {
            octal(&mut segment.offset, index << 20);
            octal(&mut segment.numbytes, 512);
        }
        header.set_cksum();
        archive.extend_from_slice(header.as_bytes());
        archive.extend_from_slice(extension.as_bytes());
        archive.resize(archive.len() + SEGMENTS * 512, b'x');
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

fn count(archive: &[u8]) -> usize {
    let mut members = walk(&archive);
    let mut count = 0;
    while let Some(item) = members.next().expect("a whole archive") {
        count += usize::from(matches!(black_box(item), Item::Member(_)));
    }
    count
}

fn members(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("members");
    group.sample_size(10);
    for (name, archive, expected) in [("small", small(), SMALL), ("sparse", sparse(), SPARSE)] {
        assert_eq!(count(&archive), expected, "{name}");
        let (elements, bytes) = (expected as u64, archive.len() as u64);
        group.throughput(Throughput::ElementsAndBytes { elements, bytes });
        group.bench_function(name, |bencher| bencher.iter(|| count(&archive)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::brief();
    targets = members
}
criterion_main!(benches);
