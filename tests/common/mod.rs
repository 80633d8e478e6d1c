//! What several test files need: data, running other people's programs, and watching reads.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub mod browser;
pub mod content;
pub mod disk;
pub mod fixture;
pub mod image;
pub mod report;
pub mod scan;
pub mod strace;
pub mod volume;

use std::cell::Cell;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use positioned_io::ReadAt;

/// Data with repeats near and far, zeros and noise, so that every kind of block appears.
pub fn content(len: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut data = Vec::with_capacity(len + 4096);
    while data.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let count = usize::try_from(state >> 52).expect("12 bits") + 1;
        match state % 4 {
            0 => data.resize(data.len() + count * 16, 0),
            1 => data.extend(state.to_le_bytes().iter().cycle().take(count)),
            2 => data.extend((0..count as u64).flat_map(|i| state.wrapping_mul(i | 1).to_be_bytes())),
            _ => {
                let from = usize::try_from(state >> 8).unwrap_or(0) % (data.len() + 1);
                let until = (from + count).min(data.len());
                data.extend_from_within(from..until);
            }
        }
    }
    data.truncate(len);
    data
}

/// Debian keeps some tools where an ordinary user's PATH does not look.
pub fn path_with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Runs `tool` and returns what it prints. `package` is the Debian package that has it: a test that needs it fails
/// where it is not installed, because a test that is passed over silently checks nothing.
pub fn run(package: &str, tool: &str, args: &[&str], input: &str) -> String {
    let output = output(package, tool, args, input);
    assert!(output.status.success(), "{tool} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `tool` as [`run`] does, whether or not it succeeds.
pub fn output(package: &str, tool: &str, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(tool)
        .args(args)
        .env("PATH", path_with_sbin())
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{tool} cannot be run ({error}): install the Debian package {package}"));
    // A tool that does not read its input may be gone before it is written.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    child.wait_with_output().expect("a child that was started")
}

/// Runs a program and returns its exit code.
///
/// # Panics
///
/// Where the program is missing, saying which Debian package has it, and where a signal ends it.
pub fn status(command: &mut Command, debian_package: &str) -> i32 {
    let name = command.get_program().to_owned();
    let output = match command.env("LC_ALL", "C").output() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            panic!("{} is missing: install the Debian package {debian_package}", name.display())
        }
        result => result.expect("the program starts"),
    };
    eprintln!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.status.code().expect("no signal ends the program")
}

/// Counts the bytes that are read.
pub struct CountingReader<R> {
    inner: R,
    bytes: Cell<u64>,
}

impl<R: ReadAt> CountingReader<R> {
    /// Nothing is counted yet.
    pub fn new(inner: R) -> Self {
        Self { inner, bytes: Cell::new(0) }
    }

    /// The bytes read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.get()
    }
}

impl<R: ReadAt> ReadAt for CountingReader<R> {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read_at(pos, buf)?;
        self.bytes.set(self.bytes.get() + got as u64);
        Ok(got)
    }
}

impl<R: ReadAt> imgsieve::member::Archive for CountingReader<R> {}
