//! A file: reads at an offset, and the proof that it is still the file that was opened.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, IoSliceMut};
use std::num::NonZeroU64;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use rustix::fs::OFlags;

use crate::zst::error::{Change, Error};

/// How far ahead the system is asked to read, in bytes; asked anew when half of it is read.
const AHEAD: u64 = 8 << 20;
/// Bytes of one advice. Linux heeds no more of it than its own read-ahead of the device is long, 128 KiB by default.
const ADVICE_LEN: usize = 128 << 10;

/// Bytes of a read that is large enough to tell how fast a disk is, and what a slow one takes longer than, in nanoseconds
/// a byte: 500 MB/s, as fast as blocks are sized. Then the disk is to read on while they are.
const LARGE: usize = 256 << 10;
const SLOW: u128 = 2;
/// What a device is read ahead by that needs no advice, in bytes.
const FAR_AHEAD: u64 = 2 << 20;

/// What makes a file the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl FileIdentity {
    fn of(metadata: &Metadata) -> FileIdentity {
        FileIdentity {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// An open file; shared by whoever reads of it, each where he likes.
pub struct FileSource {
    path: PathBuf,
    file: File,
    opened: FileIdentity,
    requested: AtomicU64,
    /// Up to where the system was asked to read ahead.
    ahead: AtomicU64,
    /// Whether the disk was slower than what is done with what it reads.
    is_slow: AtomicBool,
    is_read_far_ahead: OnceLock<bool>,
}

impl FileSource {
    pub fn open(path: &Path) -> Result<FileSource, Error> {
        let failed = |source| Error::Open { source: Arc::new(source) };
        // Without O_NONBLOCK, opening a FIFO that somebody gave an archive's name would wait for a writer. With O_NOATIME
        // not even the time of the last access is written; only the file's owner, and root, may ask for that.
        let open = |flags: OFlags| OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path);
        let file = match open(OFlags::NONBLOCK | OFlags::NOATIME) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => open(OFlags::NONBLOCK),
            opened => opened,
        };
        let file = file.map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Error::NotAFile);
        }
        if metadata.len() == 0 {
            return Err(Error::Empty);
        }
        // Advice only: a file system that does not take it reads all the same.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        Ok(FileSource {
            path: path.to_owned(),
            file,
            opened: FileIdentity::of(&metadata),
            requested: AtomicU64::new(0),
            ahead: AtomicU64::new(0),
            is_slow: AtomicBool::new(false),
            is_read_far_ahead: OnceLock::new(),
        })
    }

    pub fn identity(&self) -> FileIdentity {
        self.opened
    }

    /// Length of the file when it was opened, in bytes.
    pub fn length(&self) -> u64 {
        self.opened.length
    }

    /// Bytes that were asked of the file and given, counted as often as they were.
    pub fn requested(&self) -> u64 {
        self.requested.load(Ordering::Relaxed)
    }

    /// The first byte from `offset` on that may be other than zero, as far as the file system tells; the length of the file
    /// or more if there is none.
    pub fn next_data(&self, offset: u64) -> u64 {
        match rustix::fs::seek(&self.file, rustix::fs::SeekFrom::Data(offset)) {
            Ok(next) => next.max(offset),
            Err(rustix::io::Errno::NXIO) => self.length(),
            Err(_) => offset,
        }
    }

    /// Says that the file will be read from `offset` on, piece by piece, so that a disk reads on while what it has read is
    /// worked on. To be called before each piece. Where the system reads far ahead by itself, or has it all in memory,
    /// nothing is asked for.
    pub fn read_ahead(&self, offset: u64) {
        let asked = self.ahead.load(Ordering::Relaxed);
        let is_on_the_way = (offset..=offset.saturating_add(AHEAD)).contains(&asked);
        if is_on_the_way && asked - offset > AHEAD / 2 {
            return;
        }
        let start = if is_on_the_way { asked } else { offset };
        let end = offset.saturating_add(AHEAD).min(self.length());
        self.ahead.store(end.max(offset), Ordering::Relaxed);
        if start >= end || self.is_in_memory(start) && self.is_in_memory(end - 1) || self.is_read_far_ahead() {
            return;
        }
        for start in (start..end).step_by(ADVICE_LEN) {
            self.will_need(start, (end - start).min(ADVICE_LEN as u64));
        }
    }

    /// Says that a few bytes will be read each `stride`, from `offset` on.
    pub fn read_strides_ahead(&self, offset: u64, stride: u64, count: u64) {
        let last = offset.saturating_add(stride.saturating_mul(count));
        if last < self.length() && !self.is_in_memory(last) {
            (1..=count).for_each(|index| self.will_need(offset + stride * index, 1));
        }
    }

    fn will_need(&self, offset: u64, len: u64) {
        // Advice only.
        let _ = rustix::fs::fadvise(&self.file, offset, NonZeroU64::new(len), rustix::fs::Advice::WillNeed);
    }

    /// Whether Linux reads as far ahead on the device that holds the file as is asked for here, as its administrator may
    /// have it do: then it does so with less work.
    fn is_read_far_ahead(&self) -> bool {
        *self.is_read_far_ahead.get_or_init(|| {
            let device = self.opened.device;
            let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
            let places = [
                format!("/sys/class/bdi/{device}/read_ahead_kb"),
                format!("/sys/dev/block/{device}/../queue/read_ahead_kb"),
            ];
            let said = places.iter().find_map(|place| std::fs::read_to_string(place).ok());
            said.and_then(|said| said.trim().parse::<u64>().ok()).is_some_and(|kib| kib << 10 >= FAR_AHEAD)
        })
    }

    /// Whether the byte at `offset` can be had without waiting for a disk; so it seems, where the file system does not tell.
    fn is_in_memory(&self, offset: u64) -> bool {
        let mut byte = [0];
        let buffers = &mut [IoSliceMut::new(&mut byte)];
        let read = rustix::io::preadv2(&self.file, buffers, offset, rustix::io::ReadWriteFlags::NOWAIT);
        read != Err(rustix::io::Errno::AGAIN)
    }

    /// Reads at least one byte at `offset`, which lies in the file as it was opened: what stands before a bad sector can
    /// be had. `buf` is not empty.
    pub fn read_some_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let begun = (buf.len() >= LARGE).then(Instant::now);
        let read = self.try_read_at(offset, buf)?;
        if let Some(begun) = begun {
            if begun.elapsed().as_nanos() > SLOW * read as u128 {
                self.is_slow.store(true, Ordering::Relaxed);
            }
            if self.is_slow.load(Ordering::Relaxed) {
                self.read_ahead(offset + read as u64);
            }
        }
        Ok(read)
    }

    /// By the system call itself: a survey of full blocks is little else than reads of 16 bytes, and in the C library each
    /// is a place where its thread may be cancelled, which nobody does here, and which takes a twentieth of the time.
    fn try_read_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        loop {
            match rustix::io::pread(&self.file, &mut *buf, offset) {
                Ok(0) => return Err(Error::Changed(Change::Shrunk { from: self.opened.length, to: offset })),
                Ok(read) => {
                    self.requested.fetch_add(read as u64, Ordering::Relaxed);
                    return Ok(read);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Error::Io { offset, source: Arc::new(error.into()) }),
            }
        }
    }

    /// Whether the file, and what its name leads to, is still what was opened.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        let now = self.file.metadata().map_err(|source| Error::Io { offset: 0, source: Arc::new(source) })?;
        let now = FileIdentity::of(&now);
        if now.length < self.opened.length {
            return Err(Error::Changed(Change::Shrunk { from: self.opened.length, to: now.length }));
        }
        if now != self.opened {
            return Err(Error::Changed(Change::Modified));
        }
        match std::fs::metadata(&self.path) {
            Ok(named) if FileIdentity::of(&named) == self.opened => Ok(()),
            _ => Err(Error::Changed(Change::Replaced)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_leaves_the_time_of_the_last_access() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, b"0123456789").expect("written");
        let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        let times = std::fs::FileTimes::new().set_accessed(long_ago);
        File::options().write(true).open(&path).and_then(|file| file.set_times(times)).expect("ours");
        FileSource::open(&path).expect("opens").read_some_at(0, &mut [0; 4]).expect("there");
        assert_eq!(path.metadata().and_then(|metadata| metadata.accessed()).expect("known"), long_ago);
    }
}
