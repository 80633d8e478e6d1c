//! Decompressed bytes a second: a file read from end to end, beside libzstd alone; and passed over, in sequences a second
//! too, on one thread.

mod common;

use std::convert::Infallible;
use std::fs::File;
use std::hint::black_box;
use std::io;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use imgsieve::zst::{Engine, Options, ZstFile};

use common::{Filling, MIB, compress};

const LEN: usize = 64 * MIB;

fn zst(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut group = criterion.benchmark_group("zst");
    group.sample_size(10).throughput(Throughput::Bytes(LEN as u64));
    for filling in Filling::ALL {
        let path = folder.path().join(filling.name());
        std::fs::write(&path, compress(&filling.bytes(1, LEN))).expect("room for it");
        group.bench_function(BenchmarkId::new("copy", filling.name()), |bencher| {
            bencher.iter(|| {
                let file = ZstFile::open(&path, Options { engine: Engine::Decode, ..Options::default() });
                let file = file.expect("it is there");
                let sink = |bytes: &[u8]| {
                    black_box(bytes);
                    Ok::<(), Infallible>(())
                };
                file.copy(0..LEN as u64, sink).expect("it is whole");
            });
        });
        group.bench_function(BenchmarkId::new("libzstd", filling.name()), |bencher| {
            bencher.iter(|| {
                let file = File::open(&path).expect("it is there");
                let mut decoder = zstd::Decoder::new(file).expect("it is zstd");
                io::copy(&mut decoder, &mut io::sink()).expect("it is whole")
            });
        });
    }
    group.finish();
}

fn size(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    for filling in Filling::ALL {
        let path = folder.path().join(filling.name());
        std::fs::write(&path, compress(&filling.bytes(1, LEN))).expect("room for it");
        let pass_over = || {
            let file = ZstFile::open(&path, Options { engine: Engine::Skip, ..Options::default() });
            let file = file.expect("it is there");
            file.finish().expect("it is whole");
            file.totals().sequences
        };
        let sequences = pass_over();
        let mut group = criterion.benchmark_group("size");
        group.sample_size(10);
        group.throughput(Throughput::Bytes(LEN as u64));
        group.bench_function(BenchmarkId::new("bytes", filling.name()), |bencher| {
            pool.install(|| bencher.iter(pass_over));
        });
        if sequences > 0 {
            group.throughput(Throughput::Elements(sequences));
            group.bench_function(BenchmarkId::new("sequences", filling.name()), |bencher| {
                pool.install(|| bencher.iter(pass_over));
            });
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = common::brief();
    targets = zst, size
}
criterion_main!(benches);
