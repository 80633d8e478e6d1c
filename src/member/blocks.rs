//! Forward reads of the archive, for the walk.
//!
//! The archive below may be a stream that is decoded as it is read: nothing is read twice, and little is read ahead.

use std::io;

use super::archive::Archive;
use super::error::Error;
use super::header::BLOCK;

/// The largest piece read at once, in bytes.
const PIECE: usize = 64 << 10;

/// The archive, with the piece of it that was read last.
pub(super) struct Blocks<'a> {
    archive: &'a dyn Archive,
    piece: Vec<u8>,
    start: u64,
}

impl<'a> Blocks<'a> {
    /// Reads nothing yet.
    pub(super) fn new(archive: &'a dyn Archive) -> Self {
        Self { archive, piece: Vec::new(), start: 0 }
    }

    /// Whether the archive gave bytes that it may take back. They are forgotten then.
    pub(super) fn distrust(&mut self) -> bool {
        let is_doubtful = self.archive.distrust();
        if is_doubtful {
            self.piece.clear();
        }
        is_doubtful
    }

    /// The block at `offset`: 512 bytes, or fewer where the archive ends. Where it has to be read, `ahead` bytes are (at least a block).
    pub(super) fn block(&mut self, offset: u64, ahead: usize) -> Result<&[u8], Error> {
        if self.cached(offset).is_none_or(|block| block.len() < BLOCK) {
            self.piece.resize(ahead.clamp(BLOCK, PIECE), 0);
            self.start = offset;
            match self.fill(offset) {
                Ok(len) => self.piece.truncate(len),
                Err(error) => {
                    self.piece.clear();
                    return Err(error);
                }
            }
        }
        Ok(self.cached(offset).unwrap_or_default())
    }

    /// What of the block at `offset` is in the last piece.
    fn cached(&self, offset: u64) -> Option<&[u8]> {
        let at = usize::try_from(offset.checked_sub(self.start)?).ok()?;
        let rest = self.piece.get(at..)?;
        Some(rest.get(..BLOCK).unwrap_or(rest))
    }

    /// Fills the piece from `offset` on, as far as the archive goes.
    fn fill(&mut self, offset: u64) -> Result<usize, Error> {
        read_full(self.archive, offset, &mut self.piece)
    }

    /// Up to `len` bytes from `offset` on, fewer where the archive ends. Room is made as bytes come, not as `len` claims.
    pub(super) fn bytes(&self, offset: u64, len: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        loop {
            let done = bytes.len();
            let left = len.saturating_sub(done as u64);
            let want = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
            if want == 0 {
                return Ok(bytes);
            }
            bytes.resize(done + want, 0);
            let at = offset.saturating_add(done as u64);
            let got = read_full(self.archive, at, bytes.get_mut(done..).unwrap_or_default())?;
            bytes.truncate(done + got);
            if got < want {
                return Ok(bytes);
            }
        }
    }

    /// Whether there is a byte at `offset`.
    pub(super) fn has_byte(&self, offset: u64) -> Result<bool, Error> {
        Ok(read_full(self.archive, offset, &mut [0])? == 1)
    }

    /// Reads from `offset` on until the archive ends, for what the reader below verifies.
    pub(super) fn drain(&mut self, mut offset: u64) -> Result<(), Error> {
        self.start = offset;
        self.piece.resize(PIECE, 0);
        loop {
            let got = self.fill(offset)?;
            if got < PIECE {
                self.piece.clear();
                return Ok(());
            }
            offset = offset.saturating_add(got as u64);
        }
    }
}

/// Fills `buf` from `offset` on; returns how much there was before the archive ended.
fn read_full(archive: &dyn Archive, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset.saturating_add(done as u64);
        let limit = rest.len();
        match archive.read_at(at, rest) {
            Ok(0) => break,
            Ok(got) => done += got.min(limit),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Io { offset: at, source }),
        }
    }
    Ok(done)
}
