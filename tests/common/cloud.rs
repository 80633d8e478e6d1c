//! What tests of object storage have in common.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::process::Command;

use crate::common::fixture::Fixture;
use crate::common::scan::{self, Ended, Scan, imgsieve};
use crate::hostile::{MIB, header, mbr, padded};
use crate::store::{BUCKET, Object, Server};

/// Bytes that are asked for at a time.
pub const BLOCK: u64 = 8 << 20;
pub const DENSE: &str = "de05e000000000000000000000000000";

pub fn of(server: &Server, mut command: Command) -> Command {
    command.envs(server.environment());
    command
}

pub fn run(server: &Server, scan: &Scan, args: &[&str]) -> Ended {
    let mut command = of(server, scan.command());
    scan::end(command.args(args))
}

pub fn inspect(server: &Server, args: &[&str]) -> Ended {
    scan::end(of(server, imgsieve()).arg("inspect").args(args))
}

pub fn put_fixture(server: &Server, folder: &str, fixture: &Fixture) {
    let bytes = std::fs::read(fixture.path()).expect("a fixture");
    server.put(&format!("{folder}/{}.tar.zst", fixture.hash), Object::new(bytes, &fixture.hash));
}

/// A tar of an image with two partitions, `length` bytes of noise that compresses to half, and its map.
pub fn tar(length: usize, name: &str) -> Vec<u8> {
    let mut image = vec![0; length];
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    for word in image[MIB..].chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        // Four random bytes and four that are always the same.
        word[..4].copy_from_slice(&state.to_le_bytes()[..4]);
    }
    image[..512].copy_from_slice(&mbr(2));
    let mut tar = header(format!("{name}.img").as_bytes(), length as u64, b'0').to_vec();
    tar.extend(padded(&image));
    tar.extend(header(b"notes.txt", 5, b'0'));
    tar.extend(padded(b"hello"));
    tar.extend([0; 1024]);
    tar
}

/// An archive of 48 MiB in one frame.
pub fn dense() -> Vec<u8> {
    let bytes = zstd::bulk::compress(&tar(96 * MIB, DENSE), 1).expect("compresses");
    assert!(bytes.len() as u64 > 5 * BLOCK, "{}", bytes.len());
    bytes
}

/// A site of what is under `prefix` of the bucket.
pub fn site_of(prefix: &str) -> Scan {
    Scan::new().site(&format!("collection = ['s3://{BUCKET}/{prefix}']\nmin_image_size = '0'"))
}
