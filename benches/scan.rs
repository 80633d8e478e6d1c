//! Bytes a second through a whole run, and into staging.

mod common;

use std::ffi::OsStr;
use std::path::Path;
use std::sync::Mutex;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use imgsieve::config::{Config, Site};
use imgsieve::event::Event;
use imgsieve::exit::Exit;
use imgsieve::run::{Control, Observer, Stop};
use imgsieve::staging::{Place, Room, Staging};
use imgsieve::units::{MinFree, Size};

use common::{Filling, MIB, append, compress, put_mbr};

const IMAGE: usize = 16 * MIB;
const ARCHIVES: usize = 9;
/// What libzstd hands on at a time.
const PIECE: usize = 256 << 10;

/// Images of all fillings, every other one with two partitions. Gives the bytes of tar.
fn collection(folder: &Path) -> u64 {
    let mut bytes = 0;
    for (number, filling) in (0..ARCHIVES).zip(Filling::ALL.into_iter().cycle()) {
        let mut image = filling.bytes(number as u64, IMAGE);
        image[..2048 * 512].fill(0);
        let entries = [(1, 0x83, 2048, 8192), (2, 0x83, 10240, 8192)];
        put_mbr(&mut image, 0, &entries[..=(number % 2)]);
        let hash = format!("{number:032x}");
        let mut tar = tar::Builder::new(Vec::new());
        append(&mut tar, &format!("{hash}.img"), &image);
        let tar = tar.into_inner().expect("a Vec takes all");
        bytes += tar.len() as u64;
        std::fs::write(folder.join(format!("{hash}.tar.zst")), compress(&tar)).expect("room for it");
    }
    bytes
}

/// Remembers how many images would be kept.
#[derive(Default)]
struct Kept(Mutex<u64>);

impl Observer for Kept {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        if let Event::ScriptComplete(totals) = event {
            *self.0.lock().expect("nobody panicked") = totals.would_keep;
        }
        Ok(())
    }
}

fn scan(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let bytes = collection(folder.path());
    let mut site = Site::built_in();
    site.collection = vec![folder.path().to_owned()];
    site.min_archive_size = Size(0);
    site.min_image_size = Size(MIB as u64);
    site.wait_for.clear();
    site.cleared.clear();
    let mut group = criterion.benchmark_group("scan");
    group.sample_size(10).throughput(Throughput::Bytes(bytes));
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    for jobs in (0..).map(|power| 1 << power).take_while(|&jobs| jobs <= all) {
        site.jobs = Some(jobs);
        let config = Config { dry_run: true, ..Config::new(site.clone()) };
        group.bench_function(BenchmarkId::new("dry run, jobs", jobs), |bencher| {
            bencher.iter(|| {
                let kept = Kept::default();
                assert_eq!(imgsieve::scan::run(&config, &Control::new(), &[&kept]).exit, Exit::Success);
                assert_eq!(*kept.0.lock().expect("nobody panicked"), (ARCHIVES / 2) as u64);
            });
        });
    }
    group.finish();
}

/// The page cache takes what is written: the partial is dropped before anything is synced.
fn staging(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let staging = Staging::open(folder.path(), MinFree::Bytes(Size(0))).expect("a folder of our own");
    let size = (4 * IMAGE) as u64;
    let place = Place { hash: OsStr::new("hash"), ordinal: 1, name: b"disk.img" };
    let begin = || staging.begin(&place, size, Room::Whole).expect("room for it");
    let mut group = criterion.benchmark_group("staging");
    group.sample_size(10).throughput(Throughput::Bytes(size));
    for (name, filling) in [("data", Filling::Noise), ("zeros", Filling::Zeros)] {
        let content = filling.bytes(1, 4 * IMAGE);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut keep = begin();
                content.chunks(PIECE).try_for_each(|piece| keep.data(piece)).expect("room for it");
            });
        });
    }
    group.bench_function("holes", |bencher| {
        bencher.iter(|| {
            let mut keep = begin();
            (0..size).step_by(PIECE).try_for_each(|_| keep.hole(PIECE as u64)).expect("no more than there are");
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = common::brief();
    targets = scan, staging
}
criterion_main!(benches);
