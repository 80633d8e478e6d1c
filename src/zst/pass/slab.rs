//! A piece of the file in memory, and what has to lie around it.

use crate::zst::error::Error;
use crate::zst::pass::lanes::PADDING;
use crate::zst::source::Source;

/// Most bytes of a block's table descriptions: 36 + 32 + 53 symbols, of 10 bits each and 2 for each zero.
pub(in crate::zst) const DESCRIPTIONS_LEN: usize = 256;
/// What lies in front of the slab: room for the descriptions of three blocks that lie before it, each padded.
pub(in crate::zst) const FRONT: usize = PADDING + 3 * (DESCRIPTIONS_LEN + PADDING);

/// A piece of the file in memory. `bytes` begins with [`FRONT`] and ends with [`PADDING`].
pub(in crate::zst) struct Slab {
    /// Compressed offset of what stands at `bytes[FRONT]`.
    pub offset: u64,
    pub bytes: Vec<u8>,
}

impl Slab {
    pub fn empty() -> Slab {
        Slab { offset: 0, bytes: vec![0; FRONT + PADDING] }
    }

    pub fn read(&mut self, source: &Source, offset: u64, len: usize) -> Result<(), Error> {
        let left = source.length().saturating_sub(offset);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(len);
        self.offset = offset;
        let more = (FRONT + len + PADDING).saturating_sub(self.bytes.len());
        self.bytes.try_reserve(more).map_err(|_| Error::Memory { frame: offset })?;
        self.bytes.resize(FRONT + len + PADDING, 0);
        let mut filled = 0;
        while filled < len {
            match source.read_some_at(offset + filled as u64, &mut self.bytes[FRONT + filled..FRONT + len]) {
                Ok(read) => filled += read,
                // What stands before a bad sector can be had.
                Err(_) if filled > 0 => break,
                Err(error) => {
                    self.bytes.truncate(FRONT + PADDING);
                    return Err(error);
                }
            }
        }
        self.bytes.truncate(FRONT + filled + PADDING);
        self.bytes[FRONT + filled..].fill(0);
        Ok(())
    }

    pub fn end(&self) -> u64 {
        self.offset + (self.bytes.len() - FRONT - PADDING) as u64
    }

    /// Forgets what lies behind a compressed offset within it.
    pub fn cut(&mut self, offset: u64) {
        if let Some(index) = self.index(offset) {
            self.bytes.truncate(index);
            self.bytes.resize(index + PADDING, 0);
        }
    }

    /// Where the byte at a compressed offset stands in `bytes`, if it does.
    pub fn index(&self, offset: u64) -> Option<usize> {
        let within = (self.offset..=self.end()).contains(&offset);
        within.then(|| FRONT + usize::try_from(offset - self.offset).expect("within a slab"))
    }

    /// Whether the byte at a compressed offset stands in it.
    pub fn has(&self, offset: u64) -> bool {
        (self.offset..self.end()).contains(&offset)
    }

    /// The file's bytes from `index` on.
    pub fn tail(&self, index: usize) -> &[u8] {
        &self.bytes[index..self.bytes.len() - PADDING]
    }
}
