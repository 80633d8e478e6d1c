//! The compressed file itself, wherever it is: reads at an offset, and the proof that it is still what was opened.
//!
//! The only door to it. What is in object storage comes through here, and nobody above can tell.

mod file;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::object::{self, Object, Traffic};
use crate::zst::error::{Change, Error};

use file::{FileIdentity, FileSource};

/// What makes a file, or an object, the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity(What);

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    File(FileIdentity),
    Object(object::Identity),
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

/// An open file or object; shared by whoever reads of it, each where he likes.
pub(super) struct Source {
    backend: Backend,
    length: u64,
    /// Where no frame began, and what stands there: whoever comes there later need not look again.
    tail: Mutex<Option<(u64, Tail)>>,
}

enum Backend {
    File(FileSource),
    Object(Object),
}

impl Source {
    /// Opens the file at `path`, or the object, where that is a URL. Reads of an object end once `stop` is set; those of a
    /// file end by themselves.
    pub fn of(path: &Path, stop: &Arc<AtomicBool>) -> Result<Source, Error> {
        if let Some(error) = object::misspelt(path) {
            return Err(Error::Open { source: Arc::new(io::Error::from(error)) });
        }
        if !object::is_url(path) {
            return Source::open(path);
        }
        let open = || Object::open(&object::Url::of_object(path)?, Arc::clone(stop));
        let object = open().map_err(|error| match error {
            object::Error::Interrupted => Error::Interrupted,
            object::Error::Memory => Error::Memory { frame: 0 },
            error => Error::Open { source: Arc::new(io::Error::from(error)) },
        })?;
        if object.identity().length == 0 {
            return Err(Error::Empty);
        }
        let length = object.identity().length;
        Ok(Source { backend: Backend::Object(object), length, tail: Mutex::default() })
    }

    /// Opens the file at `path`.
    pub fn open(path: &Path) -> Result<Source, Error> {
        let file = FileSource::open(path)?;
        let length = file.length();
        Ok(Source { backend: Backend::File(file), length, tail: Mutex::default() })
    }

    pub fn identity(&self) -> Identity {
        Identity(match &self.backend {
            Backend::File(file) => What::File(file.identity()),
            Backend::Object(object) => What::Object(object.identity().clone()),
        })
    }

    /// Whether each byte has to come through a network that is slower than what is done with it.
    pub fn is_remote(&self) -> bool {
        matches!(self.backend, Backend::Object(_))
    }

    /// Length when it was opened, in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that were asked for and given, counted as often as they were; of an object, those that came.
    pub fn requested(&self) -> u64 {
        match &self.backend {
            Backend::File(file) => file.requested(),
            Backend::Object(object) => object.traffic().received,
        }
    }

    /// Requests that were made of a store.
    pub fn requests(&self) -> u64 {
        match &self.backend {
            Backend::File(_) => 0,
            Backend::Object(object) => {
                let Traffic { requests, .. } = object.traffic();
                requests
            }
        }
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

    /// The first byte from `offset` on that may be other than zero, as far as the file system tells; the length or more
    /// if there is none.
    pub fn next_data(&self, offset: u64) -> u64 {
        match &self.backend {
            Backend::File(file) => file.next_data(offset),
            Backend::Object(_) => offset,
        }
    }

    /// Says that it will be read from `offset` on, piece by piece. To be called before each piece. What is in object storage
    /// is read ahead by what is read.
    pub fn read_ahead(&self, offset: u64) {
        if let Backend::File(file) = &self.backend {
            file.read_ahead(offset);
        }
    }

    /// Says that a few bytes will be read each `stride`, from `offset` on.
    pub fn read_strides_ahead(&self, offset: u64, stride: u64, count: u64) {
        if let Backend::File(file) = &self.backend {
            file.read_strides_ahead(offset, stride, count);
        }
    }

    /// Reads at least one byte at `offset`, which lies in what was opened: what stands before a bad sector can be had.
    /// `buf` is not empty.
    pub fn read_some_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        match &self.backend {
            Backend::File(file) => file.read_some_at(offset, buf),
            Backend::Object(object) => object.read_some_at(offset, buf).map_err(|error| of_object(error, offset)),
        }
    }

    /// Fills `buf` with what stands at `offset`; all of it lies in what was opened.
    pub fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Error> {
        let mut filled = 0;
        while filled < buf.len() {
            filled += self.read_some_at(offset + filled as u64, &mut buf[filled..])?;
        }
        Ok(())
    }

    /// Whether an object is the one that a listing told of.
    pub fn check_listed(&self, listed: &object::Identity) -> Result<(), Error> {
        match &self.backend {
            Backend::Object(object) if !listed.is_same(object.identity()) => Err(Error::Changed(Change::Relisted)),
            Backend::Object(_) | Backend::File(_) => Ok(()),
        }
    }

    /// Whether it is still what was opened, and what its name leads to.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        match &self.backend {
            Backend::File(file) => file.check_unchanged(),
            Backend::Object(object) => object.check_unchanged().map_err(|error| of_object(error, 0)),
        }
    }
}

/// What it means to whoever reads at `offset`.
fn of_object(error: object::Error, offset: u64) -> Error {
    match error {
        object::Error::Shrunk { from, to } => Error::Changed(Change::Shrunk { from, to }),
        object::Error::Replaced => Error::Changed(Change::Replaced),
        object::Error::Interrupted => Error::Interrupted,
        object::Error::Memory => Error::Memory { frame: offset },
        error => Error::Io { offset, source: Arc::new(io::Error::from(error)) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
