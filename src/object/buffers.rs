//! The memory of blocks, which is used again: given back to the allocator, pieces of 8 MiB leave gaps in its heaps that
//! were seen to take a sixth more than the blocks do.
//!
//! What is not in use waits for the next one, and is never more than was in use at a time.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use super::{BLOCK_LEN, Error};

/// Shorter ones are allocated as they are.
const LEAST: usize = 1 << 20;
#[allow(clippy::cast_possible_truncation)]
const LENGTH: usize = BLOCK_LEN as usize;

static WAITING: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Room for a block, or a part of one.
#[derive(Debug)]
pub struct Buffer(Vec<u8>);

impl Buffer {
    /// Room for so many bytes, at most a block, and none of them there yet.
    pub fn new(length: usize) -> Result<Buffer, Error> {
        let is_small = length < LEAST;
        let waiting = if is_small { None } else { waiting().pop() };
        let mut bytes = waiting.unwrap_or_default();
        bytes.try_reserve_exact(if is_small { length } else { LENGTH }).map_err(|_| Error::Memory)?;
        Ok(Buffer(bytes))
    }

    /// How many bytes are there.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds bytes, which there is room for.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
}

fn waiting() -> std::sync::MutexGuard<'static, Vec<Vec<u8>>> {
    WAITING.lock().unwrap_or_else(PoisonError::into_inner)
}

impl From<Buffer> for Bytes {
    fn from(buffer: Buffer) -> Bytes {
        Bytes::from_owner(buffer)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.0);
        if bytes.capacity() >= LENGTH {
            bytes.clear();
            waiting().push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again_once_nobody_reads_what_is_there() {
        let mut buffer = Buffer::new(LENGTH).expect("memory");
        buffer.push(b"block");
        let at = buffer.as_ref().as_ptr();
        let bytes = Bytes::from(buffer);
        let part = bytes.slice(1..3);
        drop(bytes);
        assert!(waiting().iter().all(|waiting| waiting.as_ptr() != at));
        assert_eq!(part, b"lo"[..]);
        drop(part);
        assert!(waiting().iter().any(|waiting| waiting.as_ptr() == at && waiting.is_empty()));
        // A small one is as small as it is.
        assert_eq!(Buffer::new(10).expect("memory").0.capacity(), 10);
    }
}
