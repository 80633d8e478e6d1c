//! `.zst` files as bytes at an offset: [`ZstFile`] gives the decompressed bytes through `ReadAt`, and decodes as few of
//! them as it can.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("zeros.zst");
//! # std::fs::write(&path, zstd::bulk::compress(&[0; 100_000], 3)?)?;
//! use imgsieve::zst::{Options, ZstFile};
//! use positioned_io::ReadAt;
//!
//! let zst = ZstFile::open(&path, Options::default())?;
//! let mut sector = [1; 512];
//! zst.read_exact_at(51_200, &mut sector)?;
//! assert_eq!(sector, [0; 512]);
//! assert_eq!(zst.finish()?, 100_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A frame is a list of blocks (RFC 8878 section 3.1.1). To pass over bytes that nobody asks for, only the size of each
//! block is needed. A raw or RLE block says it in its header. A compressed block regenerates its literals, whose number
//! stands in its header too, and its matches, whose lengths are coded in its sequences: three interleaved FSE streams,
//! which can be read without decoding a literal, resolving an offset or copying a byte, and in any order of blocks.
//!
//! The bytes that are wanted afterwards are *traced*: a literal is decoded where it stands, a byte of a match is a byte
//! that lies lower, and so on down until all are literals. So any byte of a frame can be had without what lies before it.
//!
//! What RFC 8878 lays down is in `format`; a file is passed over in `pass`, bytes are traced in `trace`, and libzstd is
//! driven in `decode`. A read takes the first of these gears that serves it (`reader`):
//!
//! 1. what is in memory, and libzstd going on from where it stands, where that is near;
//! 2. whole frames are jumped by the headers of their blocks, where their size is known;
//! 3. the whole file is passed over by the headers of its blocks, where these are all full (`presumed`);
//! 4. blocks are sized, up to the wanted bytes (`pass`), and every 16 MiB a place is noted;
//! 5. the wanted bytes are traced (`trace`), within a budget (`gears`);
//! 6. libzstd, from the start of the frame.
//!
//! What is passed over is not checked: a flipped bit there may stay unnoticed, and one in a hundred changes a size. So
//! whatever looks odd is left to libzstd, which then decodes all of the file: a block that breaks a rule, here; a tar
//! header or a partition table that makes no sense, by whoever reads it and calls [`ZstFile::distrust`]. Bytes that are
//! kept come from libzstd in any case, see [`ZstFile::copy`].
//!
//! # What is presumed, and when it is believed
//!
//! zstd up to 1.5.6, at levels 1 to 15, fills every block of a frame but the last. Then the place of every byte follows from
//! the headers of the blocks, which takes a twentieth of what sizing does. Later versions, higher levels, `--rsyncable` and
//! flushes end blocks early, and nothing in a header tells. So it is presumed, of the file as a whole, before anything that
//! lies far into it is given. The invariant: **no byte is given from a place that is only presumed.** Types carry it: a
//! `Presumed` keeps its gears to itself until they are proven, and only a [`Voucher`] is let read through it.
//!
//! What proves it is arithmetic. A block never regenerates more than its maximum, so a presumed place is an upper bound: a byte
//! lies there or before it, and where any one place is exact, all before it are.
//!
//! - A frame that says its size, or of which a seek table does, proves itself: its last block is sized, and if the sum is what
//!   it says, every block is full.
//! - Otherwise something near the end has to prove its place: the [`Voucher`], in `imgsieve::vouch` the tar. The
//!   blocks of the last [`SURE_TAIL`] bytes are sized for it, so that it need not doubt how these lie to each other.
//!
//! A presumption is refuted by the first block that is seen not to be full: a raw or RLE block, whose header says it, one
//! of the few compressed blocks that are sized, the first four among them, or one that is opened. All headers are passed in
//! one go, so that nobody has to wait for the proof, and a refuted presumption leaves nothing behind: all is sized, as if
//! nothing had been presumed. That costs as much as was passed until then, 4% of a survey at most.
//!
//! Of an object in a store nothing is presumed: its bytes have to come in any case.
//!
//! Whoever builds an archive for it can deceive `auto`: with a block that is not full, a tar that is padded, but to something
//! else than records, and a header inside the image that is named after it, where the next one seems to be. Then the image
//! seems to begin where it does and all in it to lie a little before its place, and a member is reported that is not one.
//! [`Engine::Skip`] presumes nothing, [`Engine::Decode`] passes over nothing: both are immune.
//!
//! # What is believed
//!
//! A seek table is held against the blocks: of a frame that does not say its size itself it is believed where all blocks
//! are full but the last, which is sized; other frames are sized whole. [`Engine::Decode`] reads as if none of this were
//! there, [`Engine::Skip`] decodes nothing that it can pass over, even where decoding is faster (thousands of small
//! members). All three say the same of every intact archive. `tests/flips.rs` damages archives bit by bit and compares
//! (3430 damages, `IMGSIEVE_FLIPS=3000`; of what is presumed 684, with 1000):
//!
//! | archive | both right | same words | only decoding notices | sees more | sees less | only the checksum tells | wrong |
//! |---|---|---|---|---|---|---|---|
//! | level 1 | 72 | 203 | 410 | 0 | 0 | 0 | 0 |
//! | level 3, content size | 68 | 219 | 398 | 0 | 0 | 0 | 0 |
//! | level 3, no checksum | 464 | 220 | 0 | 1 | 0 | 0 | 0 |
//! | level 19 | 4 | 242 | 437 | 2 | 0 | 0 | 0 |
//! | level 3, frames of 1 MB | 51 | 163 | 101 | 369 | 0 | 1 | 0 |
//! | full blocks, level 1, presumed | 41 | 43 | 144 | 0 | 0 | 0 | 0 |
//! | full blocks, level 9, no checksum, presumed | 184 | 44 | 0 | 0 | 0 | 0 | 0 |
//! | full blocks, content size, presumed | 41 | 41 | 146 | 0 | 0 | 0 | 0 |
//!
//! *Only decoding notices*: the verdicts are right, and the checksum at the frame's end fails. *Sees more*: libzstd refuses
//! to go on, and what lies behind is told rightly all the same. *Only the checksum tells*: libzstd hands out the same wrong
//! bytes first. *Wrong*: a verdict that is not so, on bytes that libzstd refuses to hand out.
//!
//! Memory: libzstd's window (at most [`Options::max_window`]); 4 MiB of the file and 2 MiB of history for it; a slab of 1 MiB
//! a thread to be passed over, and at most 10 MiB for the blocks of those; at most 37 MiB while bytes are traced; 16 bytes per
//! 16 MiB of frames decoded, and 64 per 16 MiB passed over, 4.2 MB per TiB.

mod decode;
mod error;
mod format;
mod gears;
mod meter;
mod options;
mod pass;
mod presumed;
mod ranges;
mod reader;
mod source;
mod tail;
mod totals;
mod trace;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use positioned_io::ReadAt;

pub use error::{Change, Error};
pub use meter::Meter;
pub use options::{Engine, Options, SURE_TAIL, Voucher};
pub use source::{Identity, Padding};
pub use totals::Totals;

use crate::object;

use reader::Reader;
use source::Source;

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
    source: Arc<Source>,
    reader: Mutex<Reader>,
}

impl ZstFile {
    /// Opens `path`, which must be a regular file that is not empty, or the URL of an object. Nothing is decoded yet.
    pub fn open(path: &Path, options: Options) -> Result<ZstFile, Error> {
        ZstFile::open_listed(path, None, options)
    }

    /// The same of an object that a listing told of: it has to be that one still.
    pub fn open_listed(path: &Path, listed: Option<&object::Identity>, options: Options) -> Result<ZstFile, Error> {
        let source = Arc::new(Source::of(path, &options.meter.stop_flag())?);
        listed.map_or(Ok(()), |listed| source.check_listed(listed))?;
        let reader = Reader::new(&source, options)?;
        Ok(ZstFile { source, reader: Mutex::new(reader) })
    }

    fn reader(&self) -> MutexGuard<'_, Reader> {
        // A panic in a copy's sink leaves the reader between two steps, where it is whole.
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the decompressed bytes of `range` to `sink`, in order and piece by piece, without another copy of them. They
    /// always come from libzstd, and their frames will be decoded to their end, which [`ZstFile::is_intact`] tells of.
    /// The sink must not read from this file.
    pub fn copy<E>(&self, range: Range<u64>, mut sink: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), CopyError<E>> {
        let mut reader = self.reader();
        let decoder = reader.decoder_for(range.start);
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
        decoder.owe(range);
        Ok(())
    }

    /// [`Error::WindowTooLarge`] if the byte at `position`, which was read or passed over, could not be copied because
    /// its frame asks for too much memory: to read it here and there takes less.
    pub fn check_window(&self, position: u64) -> Result<(), Error> {
        self.reader().check_window(position)
    }

    /// Comes to the end of the file, by whatever means the engine has; gives the decompressed size.
    pub fn finish(&self) -> Result<u64, Error> {
        self.reader().finish()
    }

    /// Decodes on until every frame with a byte of `range` that was copied was decoded to its end, and its checksum held.
    pub fn verify(&self, range: &Range<u64>) -> Result<(), Error> {
        let mut reader = self.reader();
        let decoder = reader.decoder();
        // No frame is left before its debt is paid, so it is the one that is open, or none.
        if decoder.is_intact(range) { Ok(()) } else { decoder.settle() }
    }

    /// Whether every frame with a byte of `range`, all of which was copied, was decoded to its end, and its checksum held.
    #[must_use]
    pub fn is_intact(&self, range: &Range<u64>) -> bool {
        self.reader().decoder().is_intact(range)
    }

    /// The same bytes, but only those that can be had without decoding much again.
    #[must_use]
    pub fn cheaply(&self) -> Cheap<'_> {
        Cheap(self)
    }

    /// Says which ranges will be asked for next, so that they can be had together.
    /// What goes wrong shows when they are.
    pub fn fetch(&self, ranges: &[Range<u64>]) {
        let _ = self.reader().fetch(ranges, false);
    }

    /// From now on, has libzstd decode everything. Whether something was given that it did not: then asking again may
    /// give other bytes, and those are right. True at most once.
    #[must_use]
    pub fn distrust(&self) -> bool {
        self.reader().distrust().unwrap_or(true)
    }

    /// Whether libzstd decodes everything: then the bytes are sure, and those that lie back are dear.
    #[must_use]
    pub fn decodes_all(&self) -> bool {
        self.reader().decodes_all()
    }

    /// Decompressed size in bytes, known once the end has been reached.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.reader().size()
    }

    /// Farthest decompressed offset that was decoded or passed over.
    #[must_use]
    pub fn reached(&self) -> u64 {
        self.reader().reached()
    }

    /// The zeros behind the last frame, where there are any and the end has been reached.
    #[must_use]
    pub fn padding(&self) -> Option<Padding> {
        self.source.padding()
    }

    /// What was seen and done so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals { requested: self.source.requested(), requests: self.source.requests(), ..self.reader().totals() }
    }

    /// Which file this is.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.source.identity()
    }

    /// [`Error::Changed`] if the file was written to, cut short or replaced since it was opened.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        self.source.check_unchanged()
    }

    /// Fills `buf` unless the data end first. With `only_cheap`, [`Error::Dear`] where a byte of it is not.
    fn read(&self, pos: u64, buf: &mut [u8], only_cheap: bool) -> io::Result<usize> {
        let mut reader = self.reader();
        let mut filled = 0;
        while filled < buf.len() {
            let Some(position) = pos.checked_add(filled as u64) else { break };
            let run = reader.run_at(position, (buf.len() - filled) as u64, only_cheap)?;
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

impl ReadAt for ZstFile {
    /// Fills `buf` unless the data end first.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.read(pos, buf, false)
    }
}

/// The bytes of a [`ZstFile`] that are cheap to have; [`Error::Dear`] for the others.
pub struct Cheap<'a>(&'a ZstFile);

impl Cheap<'_> {
    /// As [`ZstFile::fetch`]; ranges that are not cheap are passed over.
    pub fn fetch(&self, ranges: &[Range<u64>]) {
        let _ = self.0.reader().fetch(ranges, true);
    }
}

impl ReadAt for Cheap<'_> {
    /// Fills `buf` unless the data end first.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(pos, buf, true)
    }
}
