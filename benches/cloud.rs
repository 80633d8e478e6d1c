//! How fast an archive in object storage is surveyed, beside what as many connections give that do nothing else. The store is
//! the tests' own, with latency and with so much a connection:
//!
//! ```text
//! cargo bench --bench cloud -- [LATENCY_MS [MB_PER_SECOND_AND_CONNECTION [MIB]]]
//! ```

#[path = "../tests/common/store.rs"]
mod store;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use store::{BUCKET, Faults, Object, Server};

const HASH: &str = "de05e000000000000000000000000000";
const BLOCK: u64 = 8 << 20;
/// Connections that are used at a time.
const CONNECTIONS: u64 = 8;
/// Bytes of the image that a frame holds.
const FRAME: usize = 16 << 20;

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<u64>().ok());
    let mut next = |default| numbers.next().unwrap_or(default);
    let (latency, bandwidth, mib) = (Duration::from_millis(next(50)), next(85), next(4096));
    let object = archive(mib << 20);
    let (length, server) = (object.length, Server::start());
    server.put(&format!("d/{HASH}.tar.zst"), object);
    let faults = Faults { latency, bandwidth: Some(bandwidth * 1_000_000), ..Faults::default() };
    println!("{latency:?} before each answer, {bandwidth} MB/s a connection, {} MB in one archive", length / 1_000_000);
    server.set(faults.clone());
    let begun = Instant::now();
    download(&server, length);
    let floor = rate(length, begun);
    println!("{CONNECTIONS} connections that drop what comes: {floor:.0} MB/s");
    for engine in ["auto", "skip", "decode"] {
        server.set(faults.clone());
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgsieve"));
        command.args(["scan", "--dry-run", "--force", "--no-progress", "--quiet", "--min-archive-size", "0"]);
        command.args(["--min-image-size", "0", "--engine", engine, "--log"]).arg(folder.path().join("log"));
        command.arg(format!("s3://{BUCKET}/d")).envs(server.environment()).env("IMGSIEVE_CONFIG", "/dev/null");
        let begun = Instant::now();
        let status = command.status().expect("starts");
        let reached = rate(length, begun);
        let (requests, ..) = server.counts();
        let share = 100.0 * reached / floor;
        println!("survey, {engine}: {reached:.0} MB/s, {share:.0}% of it; {requests} requests, {status}");
    }
}

#[allow(clippy::cast_precision_loss)]
fn rate(bytes: u64, begun: Instant) -> f64 {
    bytes as f64 / 1e6 / begun.elapsed().as_secs_f64()
}

/// All blocks, by so many connections.
fn download(server: &Server, length: u64) {
    let next = AtomicU64::new(0);
    let web = server.web();
    let host = web.trim_start_matches("http://").split('/').next().expect("a host");
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(host).expect("it listens");
                let mut buffer = vec![0; 1 << 20];
                loop {
                    let start = next.fetch_add(1, Ordering::Relaxed) * BLOCK;
                    if start >= length {
                        return;
                    }
                    let end = length.min(start + BLOCK);
                    let range = format!("Range: bytes={start}-{}", end - 1);
                    write!(stream, "GET /{BUCKET}/d/{HASH}.tar.zst HTTP/1.1\r\nHost: h\r\n{range}\r\n\r\n")
                        .expect("sent");
                    let mut head = Vec::new();
                    while !head.ends_with(b"\r\n\r\n") {
                        let read = stream.read(&mut buffer[..1]).expect("an answer");
                        head.extend_from_slice(&buffer[..read]);
                    }
                    let mut left = usize::try_from(end - start).expect("a block");
                    while left > 0 {
                        let most = left.min(buffer.len());
                        left -= stream.read(&mut buffer[..most]).expect("a body");
                    }
                }
            });
        }
    });
}

/// An archive of about so many bytes: frames that are all the same, of noise that compresses to half.
fn archive(length: u64) -> Object {
    let mut noise = vec![0; FRAME];
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for word in noise.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        word[..4].copy_from_slice(&state.to_le_bytes()[..4]);
    }
    let frame = Arc::new(zstd::bulk::compress(&noise, 1).expect("compresses"));
    let count = length / frame.len() as u64;
    let mut header = tar::Header::new_gnu();
    header.set_path(format!("{HASH}.img")).expect("short");
    header.set_size(count * FRAME as u64);
    header.set_mode(0o644);
    header.set_cksum();
    let ends =
        [&header.as_bytes()[..], &[0; 1024]].map(|bytes| Arc::new(zstd::bulk::compress(bytes, 1).expect("small")));
    let [first, last] = ends;
    let frames = std::iter::once(first).chain((0..count).map(|_| Arc::clone(&frame))).chain([last]);
    let mut object = Object { etag: Some("dense".to_owned()), ..Object::default() };
    for frame in frames {
        let at = object.length;
        object.length += frame.len() as u64;
        object.pieces.push((at, frame));
    }
    object
}
