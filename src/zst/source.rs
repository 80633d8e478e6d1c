//! The compressed file itself: reads at an offset, and the proof that it is still the file that was opened.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;

use crate::zst::error::{Change, Error};

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
}

/// Zeros behind the last frame, to the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Padding {
    /// Where the last frame ends, in bytes of the file.
    pub offset: u64,
    /// How many zeros there are.
    pub length: u64,
}

/// What stands where a frame could begin, and none does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tail {
    /// Zeros to the end of the file.
    Zeros,
    /// Something else: the first byte that is not zero.
    Other(u64),
}

/// An open file; shared by whoever reads of it, each where he likes.
pub(super) struct Source {
    path: PathBuf,
    file: File,
    opened: Identity,
    requested: AtomicU64,
    /// Where no frame began, and what stands there: whoever comes there later need not look again.
    tail: Mutex<Option<(u64, Tail)>>,
}

impl Source {
    pub fn open(path: &Path) -> Result<Source, Error> {
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
        Ok(Source {
            path: path.to_owned(),
            file,
            opened: Identity::of(&metadata),
            requested: AtomicU64::new(0),
            tail: Mutex::default(),
        })
    }

    pub fn identity(&self) -> Identity {
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

    /// Takes note of what stands at `offset`, where a frame could begin and none does.
    pub fn note_tail(&self, offset: u64, tail: Tail) {
        *self.lock_tail() = Some((offset, tail));
    }

    /// What was last noted of where a frame could begin and none does.
    pub fn known_tail(&self) -> Option<(u64, Tail)> {
        *self.lock_tail()
    }

    fn lock_tail(&self) -> MutexGuard<'_, Option<(u64, Tail)>> {
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The zeros behind the last frame, once somebody came to them.
    pub fn padding(&self) -> Option<Padding> {
        match self.known_tail() {
            Some((offset, Tail::Zeros)) => Some(Padding { offset, length: self.length() - offset }),
            _ => None,
        }
    }

    /// Whether the frames of the file end at `offset`, as far as that is known.
    pub fn is_end(&self, offset: u64) -> bool {
        offset == self.length() || self.padding().is_some_and(|padding| padding.offset == offset)
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

    /// Reads at least one byte at `offset`, which lies in the file as it was opened: what stands before a bad sector can
    /// be had. `buf` is not empty.
    pub fn read_some_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.file.read_at(buf, offset) {
                Ok(0) => return Err(Error::Changed(Change::Shrunk { from: self.opened.length, to: offset })),
                Ok(read) => {
                    self.requested.fetch_add(read as u64, Ordering::Relaxed);
                    return Ok(read);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(Error::Io { offset, source: Arc::new(source) }),
            }
        }
    }

    /// Fills `buf` with what stands at `offset`; all of it lies in the file as it was opened.
    pub fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buf.len() {
            filled += self.read_some_at(offset + filled as u64, &mut buf[filled..])?;
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
        Source::open(&path).expect("opens").read_exact_at(0, &mut [0; 4]).expect("there");
        assert_eq!(path.metadata().and_then(|metadata| metadata.accessed()).expect("known"), long_ago);
    }

    #[test]
    fn a_read_is_whole_or_says_that_the_file_shrank() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        std::fs::write(&path, b"0123456789").expect("written");
        let source = Source::open(&path).expect("opens");
        let mut buf = [0; 4];
        source.read_exact_at(6, &mut buf).expect("there");
        assert_eq!((&buf, source.requested()), (b"6789", 4));
        assert!(matches!(source.read_exact_at(8, &mut buf), Err(Error::Changed(Change::Shrunk { from: 10, to: 10 }))));
    }
}
