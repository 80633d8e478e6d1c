//! The compressed file, read forward in slabs, and the proof that it is still the file that was opened.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::{Change, Error};

/// Bytes asked for in one `pread`: large enough that several workers on one spinning disk do not turn it into seeks.
const SLAB_LEN: u64 = 4 << 20;

/// What makes a file the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }
}

/// A file, a slab of it in memory, and a place in that slab.
pub(super) struct Input {
    path: PathBuf,
    file: File,
    opened: Identity,
    slab: Vec<u8>,
    /// Offset in the file of `slab[0]`.
    slab_offset: u64,
    /// Bytes of the slab that were consumed.
    consumed: usize,
}

impl Input {
    pub fn open(path: &Path) -> Result<Input, Error> {
        let failed = |source| Error::Open { source: Arc::new(source) };
        // Without O_NONBLOCK, opening a FIFO that somebody gave an archive's name would wait for a writer.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() {
            return Err(Error::NotAFile);
        }
        if metadata.len() == 0 {
            return Err(Error::Empty);
        }
        // Advice only: a file system that does not take it reads all the same.
        let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::Sequential);
        let slab_len = usize::try_from(SLAB_LEN.min(metadata.len())).expect("at most SLAB_LEN");
        Ok(Input {
            path: path.to_owned(),
            file,
            opened: Identity::of(&metadata),
            slab: Vec::with_capacity(slab_len),
            slab_offset: 0,
            consumed: 0,
        })
    }

    pub fn identity(&self) -> Identity {
        self.opened
    }

    /// Offset in the file of the next byte to be consumed.
    pub fn position(&self) -> u64 {
        self.slab_offset + self.consumed as u64
    }

    /// Bytes of the file that were not consumed yet.
    pub fn remaining(&self) -> u64 {
        self.opened.length.saturating_sub(self.position())
    }

    pub fn seek(&mut self, offset: u64) {
        let within = offset.checked_sub(self.slab_offset).and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = within.filter(|&skip| skip <= self.slab.len()) {
            self.consumed = skip;
        } else {
            self.slab.clear();
            self.slab_offset = offset;
            self.consumed = 0;
        }
    }

    pub fn consume(&mut self, count: usize) {
        self.consumed = (self.consumed + count).min(self.slab.len());
    }

    /// At least `wanted` unconsumed bytes, or all that the file still has: only its end makes the answer shorter.
    pub fn peek(&mut self, wanted: usize) -> Result<&[u8], Error> {
        if self.slab.len() - self.consumed < wanted {
            self.refill(wanted)?;
        }
        Ok(&self.slab[self.consumed..])
    }

    fn refill(&mut self, wanted: usize) -> Result<(), Error> {
        self.slab.drain(..self.consumed);
        self.slab_offset += self.consumed as u64;
        self.consumed = 0;
        while self.slab.len() < wanted {
            let have = self.slab.len();
            let offset = self.slab_offset + have as u64;
            let left = self.opened.length.saturating_sub(offset);
            let room = left.min(SLAB_LEN - have as u64);
            if room == 0 {
                break;
            }
            self.slab.resize(have + usize::try_from(room).expect("at most SLAB_LEN"), 0);
            let read = self.file.read_at(&mut self.slab[have..], offset);
            self.slab.truncate(have + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => return Err(Error::Changed(Change::Shrunk { from: self.opened.length, to: offset })),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Io { offset, source: Arc::new(source) }),
            }
        }
        Ok(())
    }

    /// Whether the file, and what its name leads to, is still what was opened.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        let now = self.file.metadata().map_err(|source| Error::Io { offset: 0, source: Arc::new(source) })?;
        let now = Identity::of(&now);
        if now.length < self.opened.length {
            return Err(Error::Changed(Change::Shrunk { from: self.opened.length, to: now.length }));
        }
        if now != self.opened {
            return Err(Error::Changed(Change::Modified));
        }
        match std::fs::metadata(&self.path) {
            Ok(named) if Identity::of(&named) == self.opened => Ok(()),
            _ => Err(Error::Changed(Change::Replaced)),
        }
    }
}
