//! What reading a file came to.

/// What was seen of a file's frames, and what it took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Data frames decoded to their end.
    pub frames: u64,
    /// Those of them that carried a checksum, which held.
    pub checksummed_frames: u64,
    /// Times that decoding began anew at an earlier place.
    pub rewinds: u64,
    /// Decompressed bytes that libzstd decoded, counted once.
    pub decoded_once: u64,
    /// Decompressed bytes that were decoded again, counted as often as they were.
    pub redecoded: u64,
    /// Decompressed bytes that were passed over by the sizes of their blocks.
    pub sized: u64,
    /// Decompressed bytes that were passed over as whole frames.
    pub jumped: u64,
    /// Decompressed bytes that were passed over by the headers of blocks that are all full.
    pub presumed: u64,
    /// Times that blocks were presumed to be full, and that could not be proven.
    pub refuted: u64,
    /// Sequences of the blocks that were sized.
    pub sequences: u64,
    /// Decompressed bytes that were given by following matches to their literals.
    pub traced: u64,
    /// Times that something other than libzstd was tried and given up.
    pub fallbacks: u64,
    /// Bytes of the file that were read, counted as often as they were.
    pub requested: u64,
    /// Requests that were made of the store that has the file, if it is in one.
    pub requests: u64,
}
