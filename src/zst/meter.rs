//! What a reader tells whoever shows its progress, and hears from whoever wants an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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

    /// Byte of the compressed file up to which it was consumed. It grows, but for a file that was passed over whole, to
    /// begin with, and is then read.
    #[must_use]
    pub fn compressed(&self) -> u64 {
        self.compressed.load(Ordering::Relaxed)
    }

    /// Bytes that libzstd decoded, counted as often as they were.
    #[must_use]
    pub fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Goes back to an earlier place, from which the file is read once more.
    pub(super) fn go_back(&self, compressed: u64) {
        self.compressed.store(compressed, Ordering::Relaxed);
    }

    pub(super) fn advance(&self, compressed: u64, decoded: u64) {
        self.compressed.fetch_max(compressed, Ordering::Relaxed);
        self.decoded.fetch_add(decoded, Ordering::Relaxed);
    }
}
