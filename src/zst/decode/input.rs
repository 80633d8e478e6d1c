//! The compressed file, read forward in slabs.

use std::sync::Arc;

use crate::zst::error::Error;
use crate::zst::source::Source;

/// Bytes asked for in one `pread`: large enough that several workers on one spinning disk do not turn it into seeks.
const SLAB_LEN: u64 = 4 << 20;
/// How many that begins with, and doubles each time: often no more is wanted than what stands at a place.
const FIRST_LEN: u64 = 128 << 10;

/// A slab of a file in memory, and a place in that slab.
pub(in crate::zst) struct Input {
    source: Arc<Source>,
    slab: Vec<u8>,
    /// Offset in the file of `slab[0]`.
    slab_offset: u64,
    /// Bytes of the slab that were consumed.
    consumed: usize,
    /// Bytes that are asked for next.
    next_len: u64,
}

impl Input {
    pub fn new(source: Arc<Source>) -> Input {
        Input { source, slab: Vec::new(), slab_offset: 0, consumed: 0, next_len: FIRST_LEN }
    }

    /// The file.
    pub fn source(&self) -> &Arc<Source> {
        &self.source
    }

    /// Offset in the file of the next byte to be consumed.
    pub fn position(&self) -> u64 {
        self.slab_offset + self.consumed as u64
    }

    /// Bytes of the file that were not consumed yet.
    pub fn remaining(&self) -> u64 {
        self.source.length().saturating_sub(self.position())
    }

    pub fn seek(&mut self, offset: u64) {
        let within = offset.checked_sub(self.slab_offset).and_then(|skip| usize::try_from(skip).ok());
        if let Some(skip) = within.filter(|&skip| skip <= self.slab.len()) {
            self.consumed = skip;
        } else {
            self.slab.clear();
            self.slab_offset = offset;
            self.consumed = 0;
            self.next_len = FIRST_LEN;
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
        let room = usize::try_from(self.next_len).expect("at most SLAB_LEN") - self.slab.len();
        self.slab.try_reserve_exact(room).map_err(|_| Error::Memory { frame: self.slab_offset })?;
        while self.slab.len() < wanted {
            let have = self.slab.len();
            let offset = self.slab_offset + have as u64;
            let left = self.source.length().saturating_sub(offset);
            let room = left.min(self.next_len.saturating_sub(have as u64));
            if room == 0 {
                break;
            }
            self.slab.resize(have + usize::try_from(room).expect("at most SLAB_LEN"), 0);
            let read = self.source.read_some_at(offset, &mut self.slab[have..]);
            self.slab.truncate(have + *read.as_ref().unwrap_or(&0));
            read?;
        }
        self.next_len = (2 * self.next_len).min(SLAB_LEN);
        Ok(())
    }
}
