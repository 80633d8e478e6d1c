//! `.zst` files as bytes at an offset: [`ZstFile`] gives the decompressed bytes through `ReadAt`.
//!
//! Reading is cheapest forward. A read behind the last few mebibytes begins anew at the start of the frame that holds
//! it (RFC 8878 has no other place to begin), so whoever reads here asks in the order of offsets where he can. Nothing
//! is ever decoded that no one asked for, or that does not lie before it.
//!
//! Memory: libzstd's window (at most [`Options::max_window`]), a 4 MiB slab of the file, 2 MiB of history, and 24 bytes
//! per 16 MiB of frames.

mod decoder;
mod error;
mod frame;
mod history;
mod input;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use positioned_io::ReadAt;

pub use decoder::Totals;
pub use error::{Change, Error};
pub use frame::known_format;
pub use input::Identity;

use decoder::Decoder;
use input::Input;

/// What may be spent on one file, and who watches.
#[derive(Clone)]
pub struct Options {
    /// Largest window that a frame may ask for, in bytes: what libzstd is allowed to allocate.
    pub max_window: u64,
    /// Where progress is told, and from where a stop is heard.
    pub meter: Arc<Meter>,
}

impl Default for Options {
    /// The limit of the `zstd` command: 128 MiB.
    fn default() -> Options {
        Options { max_window: 128 << 20, meter: Arc::default() }
    }
}

/// How far the reading of one file has come: written by the reader, polled by whoever shows it.
#[derive(Debug, Default)]
pub struct Meter {
    compressed: AtomicU64,
    decoded: AtomicU64,
    stop: Arc<AtomicBool>,
}

impl Meter {
    /// A meter whose file stops being read once `stop` is set.
    #[must_use]
    pub fn new(stop: Arc<AtomicBool>) -> Meter {
        Meter { stop, ..Meter::default() }
    }

    /// Farthest byte of the compressed file that was consumed.
    #[must_use]
    pub fn compressed(&self) -> u64 {
        self.compressed.load(Ordering::Relaxed)
    }

    /// Bytes that libzstd decoded, counted as often as they were.
    #[must_use]
    pub fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn advance(&self, compressed: u64, decoded: u64) {
        self.compressed.fetch_max(compressed, Ordering::Relaxed);
        self.decoded.fetch_add(decoded, Ordering::Relaxed);
    }
}

/// Which side of a [`ZstFile::copy`] failed.
#[derive(Debug)]
pub enum CopyError<E> {
    /// The archive could not be read.
    Read(Error),
    /// The bytes were read, and not taken.
    Write(E),
}

/// A `.zst` file, opened read-only; `ReadAt` over its decompressed bytes.
///
/// Any number of frames, skippable frames between them, with or without content size and checksum. Reads past the end
/// give 0 bytes. Every error that `ReadAt` gives holds an [`Error`], see [`Error::within`].
pub struct ZstFile {
    decoder: Mutex<Decoder>,
}

impl ZstFile {
    /// Opens `path`, which must be a regular file that is not empty. Nothing is decoded yet.
    pub fn open(path: &Path, options: Options) -> Result<ZstFile, Error> {
        Ok(ZstFile { decoder: Mutex::new(Decoder::new(Input::open(path)?, options)) })
    }

    fn decoder(&self) -> MutexGuard<'_, Decoder> {
        // A panic in a copy's sink leaves the decoder between two steps, where it is whole.
        self.decoder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the decompressed bytes of `range` to `sink`, in order and piece by piece, without another copy of them.
    /// The sink must not read from this file.
    pub fn copy<E>(&self, range: Range<u64>, mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), CopyError<E>> {
        let mut decoder = self.decoder();
        let mut position = range.start;
        while position < range.end {
            let run = decoder.run_at(position).map_err(CopyError::Read)?;
            let wanted = usize::try_from(range.end - position).unwrap_or(usize::MAX);
            let run = &run[..run.len().min(wanted)];
            if run.is_empty() {
                return Err(CopyError::Read(Error::EndOfData { size: decoder.reached(), wanted: position }));
            }
            position += run.len() as u64;
            sink(run).map_err(CopyError::Write)?;
        }
        Ok(())
    }

    /// Decodes what was not reached yet, to the end of the file, so that every frame is checked; gives the decompressed
    /// size.
    pub fn read_to_end(&self) -> Result<u64, Error> {
        let mut decoder = self.decoder();
        while decoder.size().is_none() {
            let reached = decoder.reached();
            decoder.run_at(reached)?;
        }
        Ok(decoder.reached())
    }

    /// Decodes on until every frame with a byte before `position` was decoded to its end, and its checksum held.
    pub fn verify_to(&self, position: u64) -> Result<(), Error> {
        let mut decoder = self.decoder();
        while decoder.size().is_none() && decoder.intact_to() < position {
            let reached = decoder.reached();
            decoder.run_at(reached)?;
        }
        Ok(())
    }

    /// Decompressed size in bytes, known once the end has been reached.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.decoder().size()
    }

    /// Whether the byte at `position` can be had without beginning a frame anew.
    #[must_use]
    pub fn is_ahead(&self, position: u64) -> bool {
        self.decoder().is_ahead(position)
    }

    /// Decompressed offset up to which every frame was decoded to its end, and every checksum there held.
    #[must_use]
    pub fn intact_to(&self) -> u64 {
        self.decoder().intact_to()
    }

    /// Farthest decompressed offset that was decoded.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.decoder().reached()
    }

    /// Frames and rewinds so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.decoder().totals()
    }

    /// Which file this is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.decoder().input().identity()
    }

    /// [`Error::Changed`] if the file was written to, cut short or replaced since it was opened.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        self.decoder().input().check_unchanged()
    }
}

impl ReadAt for ZstFile {
    /// Fills `buf` unless the data end first.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut decoder = self.decoder();
        let mut filled = 0;
        while filled < buf.len() {
            let Some(position) = pos.checked_add(filled as u64) else { break };
            let run = decoder.run_at(position)?;
            let length = run.len().min(buf.len() - filled);
            if length == 0 {
                break;
            }
            buf[filled..filled + length].copy_from_slice(&run[..length]);
            filled += length;
        }
        Ok(filled)
    }
}
