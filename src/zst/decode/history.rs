//! The last few mebibytes that were decoded, so that a read a little behind the decoder costs nothing.

use std::collections::VecDeque;

/// Decoded bytes a chunk holds; what libzstd is asked for at a time.
pub(in crate::zst) const CHUNK_LEN: usize = 256 << 10;
/// Chunks kept. With [`CHUNK_LEN`] 2 MiB: a GPT with its entry array, and what a tool looks at in a head, lie within.
const CHUNKS: usize = 8;

/// A run of decoded bytes that ends where the decoder stands.
pub(in crate::zst) struct History {
    chunks: VecDeque<Vec<u8>>,
    /// Decompressed offset of the first byte of the first chunk.
    start: u64,
    end: u64,
}

impl History {
    pub fn new() -> History {
        History { chunks: VecDeque::with_capacity(CHUNKS), start: 0, end: 0 }
    }

    pub fn start(&self) -> u64 {
        self.start
    }

    pub fn end(&self) -> u64 {
        self.end
    }

    /// Forgets everything; what comes next lies at `position`.
    pub fn restart(&mut self, position: u64) {
        self.chunks.iter_mut().for_each(Vec::clear);
        self.start = position;
        self.end = position;
    }

    /// Lets `decode` append to the chunk with room, dropping the oldest when all are full. Gives the bytes appended.
    pub fn append<E>(&mut self, decode: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<usize, E> {
        if self.chunks.back().is_none_or(|chunk| chunk.len() >= CHUNK_LEN) {
            self.make_room();
        }
        let chunk = self.chunks.back_mut().expect("make_room leaves one");
        let before = chunk.len();
        let outcome = decode(chunk);
        let appended = chunk.len() - before;
        self.end += appended as u64;
        outcome.map(|()| appended)
    }

    fn make_room(&mut self) {
        if self.chunks.len() < CHUNKS {
            self.chunks.push_back(Vec::with_capacity(CHUNK_LEN));
            return;
        }
        let mut oldest = self.chunks.pop_front().expect("CHUNKS is not 0");
        self.start += oldest.len() as u64;
        oldest.clear();
        self.chunks.push_back(oldest);
    }

    /// The longest run of bytes in memory that begins at `position`; empty where there is none.
    pub fn run_at(&self, position: u64) -> &[u8] {
        let Some(mut skip) = position.checked_sub(self.start) else { return &[] };
        for chunk in &self.chunks {
            match chunk.get(usize::try_from(skip).unwrap_or(usize::MAX)..) {
                Some(run) if !run.is_empty() => return run,
                _ => skip -= chunk.len() as u64,
            }
        }
        &[]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(history: &mut History, bytes: &[u8]) {
        history
            .append(|chunk| {
                let _: () = chunk.extend_from_slice(bytes);
                Ok::<(), ()>(())
            })
            .expect("never fails");
    }

    #[test]
    fn what_was_appended_is_found_until_it_is_pushed_out() {
        let mut history = History::new();
        history.restart(1000);
        append(&mut history, b"head");
        assert_eq!(history.run_at(1001), b"ead");
        assert_eq!((history.run_at(999), history.run_at(1004)), (&b""[..], &b""[..]));
        for _ in 0..=CHUNKS {
            append(&mut history, &vec![7; CHUNK_LEN]);
        }
        assert!(history.run_at(1001).is_empty());
        assert!(history.start() > 1001);
        assert_eq!(history.end(), 1004 + ((CHUNKS + 1) * CHUNK_LEN) as u64);
        assert_eq!(history.run_at(history.end() - 1), [7]);
    }

    #[test]
    fn restart_forgets() {
        let mut history = History::new();
        append(&mut history, b"abc");
        history.restart(0);
        assert_eq!(history.run_at(0), b"");
        append(&mut history, b"xyz");
        assert_eq!(history.run_at(0), b"xyz");
    }
}
