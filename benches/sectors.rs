//! Time to any sector of an archive, once it was sized: `cargo bench --bench sectors -- FILE [SECTORS]`. Without a file,
//! one is made of text, noise and zeros.

mod common;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use imgsieve::zst::{Engine, Options, ZstFile};
use positioned_io::ReadAt;

use common::{Filling, MIB, Random, SECTOR, compress};

/// Sectors that are read unless told otherwise.
const SECTORS: usize = 1000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = arguments.next().map_or_else(
        || {
            let path = folder.path().join("made.zst");
            let plain: Vec<u8> = Filling::ALL.iter().flat_map(|filling| filling.bytes(1, 64 * MIB)).collect();
            std::fs::write(&path, compress(&plain)).expect("room for it");
            path
        },
        PathBuf::from,
    );
    let sectors = arguments.next().map_or(SECTORS, |count| count.parse().expect("a number of sectors"));

    let file = ZstFile::open(&path, Options { engine: Engine::Skip, ..Options::default() }).expect("it is there");
    let began = Instant::now();
    let size = file.finish().expect("it is whole");
    let sizing = began.elapsed();
    let sized = file.totals();
    println!(
        "{}: {:.1} GB, {} sequences in {sizing:.2?}, {:.2} GB/s, {:.0} million sequences/s",
        path.display(),
        gigabytes(size),
        sized.sequences,
        gigabytes(size) / sizing.as_secs_f64(),
        per_second(sized.sequences, sizing) / 1e6,
    );

    let mut random = Random(1);
    let mut times: Vec<Duration> = (0..sectors)
        .map(|_| {
            let sector = random.next() % (size / SECTOR as u64).max(1);
            let mut buf = [0; SECTOR];
            let began = Instant::now();
            file.read_at(sector * SECTOR as u64, &mut buf).expect("it is whole");
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 1000];
    println!(
        "{sectors} sectors: p50 {:.2?}, p90 {:.2?}, p99 {:.2?}, worst {:.2?}; {} of them by decoding from a frame's start",
        at(500),
        at(900),
        at(990),
        at(1000),
        file.totals().fallbacks,
    );
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn gigabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e9
}

#[expect(clippy::cast_precision_loss, reason = "a figure to be read")]
fn per_second(count: u64, time: Duration) -> f64 {
    count as f64 / time.as_secs_f64()
}
