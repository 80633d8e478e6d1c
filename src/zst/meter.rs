//! What a reader tells whoever shows its progress, and hears from whoever wants an end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How far the reading of one file has come: written by the reader, polled by whoever shows it.
#[derive(Debug, Default)]
pub struct Meter {
    compressed: AtomicU64,
    /// How far the headers of blocks were gone over, where that may have been all there is to do.
    walked: AtomicU64,
    was_walk_vain: AtomicBool,
    decoded: AtomicU64,
    stop: Arc<AtomicBool>,
}

impl Meter {
    /// A meter whose file stops being read once `stop` is set.
    #[must_use]
    pub fn new(stop: Arc<AtomicBool>) -> Meter {
        Meter { stop, ..Meter::default() }
    }

    /// A meter of reads that bring the file no further, and that end with those of this one.
    pub(super) fn aside(&self) -> Meter {
        Meter::new(Arc::clone(&self.stop))
    }

    /// Byte of the compressed file up to which it was consumed, be it by the headers of its blocks alone. It grows, unless
    /// it turns out that what was gone over in that way has to be decoded.
    #[must_use]
    pub fn compressed(&self) -> u64 {
        self.read().max(self.walked.load(Ordering::Relaxed))
    }

    /// The same, of a file that is going to be decoded: that its headers were gone over spares it nothing.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.compressed.load(Ordering::Relaxed)
    }

    /// Bytes that libzstd decoded, counted as often as they were.
    #[must_use]
    pub fn decoded(&self) -> u64 {
        self.decoded.load(Ordering::Relaxed)
    }

    /// The flag that stops the reading.
    pub(crate) fn stop_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Takes note that the walk over block headers has come so far.
    pub(super) fn walk(&self, compressed: u64) {
        self.walked.fetch_max(compressed, Ordering::Relaxed);
    }

    /// Takes note that the walk over block headers proved nothing, and so has saved nothing.
    pub(super) fn refute_walk(&self) {
        self.was_walk_vain.store(true, Ordering::Relaxed);
        self.walked.store(0, Ordering::Relaxed);
    }

    /// Whether the walk over block headers proved nothing; none where there was no walk.
    #[must_use]
    pub fn was_walk_vain(&self) -> Option<bool> {
        let is_vain = self.was_walk_vain.load(Ordering::Relaxed);
        (is_vain || self.walked.load(Ordering::Relaxed) > 0).then_some(is_vain)
    }

    /// Goes to an earlier place, from which the file is decoded, whatever was passed over behind it.
    pub(super) fn go_back(&self, compressed: u64) {
        self.walked.store(0, Ordering::Relaxed);
        self.compressed.fetch_min(compressed, Ordering::Relaxed);
    }

    pub(super) fn advance(&self, compressed: u64, decoded: u64) {
        self.compressed.fetch_max(compressed, Ordering::Relaxed);
        self.decoded.fetch_add(decoded, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_gone_over_by_headers_is_not_what_was_decoded() {
        let meter = Meter::default();
        meter.advance(10, 100);
        meter.walk(1000);
        assert_eq!((meter.compressed(), meter.read(), meter.was_walk_vain()), (1000, 10, Some(false)));
        // It is decoded all the same, from where it was.
        meter.go_back(10);
        assert_eq!((meter.compressed(), meter.read()), (10, 10));
        meter.walk(1000);
        meter.refute_walk();
        assert_eq!((meter.compressed(), meter.was_walk_vain()), (10, Some(true)));
        meter.aside().advance(500, 0);
        assert_eq!(meter.compressed(), 10);
    }
}
