//! Why bytes are not what RFC 8878 says they should be: a value that a test can match.

/// A rule of RFC 8878 that is broken, or that cannot be followed without decoding.
///
/// Whoever meets one leaves the word to libzstd, which decides what the user is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::zst) enum Fault {
    /// Section 3.1: neither a frame of data nor one to be stepped over.
    #[error("no frame")]
    NotAFrame,
    /// The file ends inside a frame.
    #[error("file ends inside a frame")]
    Truncated,
    /// Section 5: the tables of a dictionary would be needed.
    #[error("frame with a dictionary")]
    Dictionary,
    /// Section 3.1.1.2.2: `Block_Type` 3.
    #[error("reserved block type")]
    ReservedBlockType,
    /// Section 3.1.1.2.3: more than `Block_Maximum_Size`, compressed or regenerated.
    #[error("block larger than the frame's maximum")]
    BlockTooLarge,
    /// Not of RFC 8878: less than `Block_Maximum_Size`, where all blocks were presumed to hold as much.
    #[error("block that is not full")]
    NotFull,
    /// A field or section reaches past the end of its block.
    #[error("block ends inside a section")]
    BlockTooShort,
    /// Section 3.1.1.3.1: four streams of fewer than six literals.
    #[error("too few literals for four streams")]
    TooFewLiterals,
    /// Section 3.1.1.3.2.1: bytes behind an empty sequences section.
    #[error("bytes after the last section")]
    TrailingBytes,
    /// Section 3.1.1.3.2.1: reserved bits of `Symbol_Compression_Modes`.
    #[error("reserved bits of the compression modes")]
    ReservedModeBits,
    /// A table of an earlier block is to be used again, and there is none in this frame.
    #[error("no earlier table to repeat")]
    NothingToRepeat,
    /// Section 4.1.1: `Accuracy_Log` above the field's maximum.
    #[error("FSE accuracy above the maximum")]
    AccuracyTooHigh,
    /// A symbol above the field's maximum.
    #[error("symbol above the maximum")]
    SymbolTooLarge,
    /// Section 4.2.1: weights that make no tree, or one of codes of more than 11 bits.
    #[error("Huffman weights that make no tree")]
    BadWeights,
    /// Section 3.1.1.5: a repeat offset less one that is zero.
    #[error("offset of zero")]
    ZeroOffset,
    /// Section 3.1.1.4: a match that begins before its frame, or before the window.
    #[error("offset beyond the window or the frame's start")]
    OffsetTooFar,
    /// A block regenerates more or less than it did when it was sized.
    #[error("block of another size than it had before")]
    RegeneratedSize,
    /// Section 4.1: a bitstream without the bit that marks its end.
    #[error("bitstream without end mark")]
    NoEndMark,
    /// More bits are asked for than the bitstream has.
    #[error("bitstream ends too early")]
    BitstreamOverrun,
    /// Bits are left when all is decoded.
    #[error("bitstream ends too late")]
    BitstreamUnderrun,
    /// Section 3.1.1.4: more literals are copied than there are.
    #[error("sequences use more literals than there are")]
    TooManyLiterals,
    /// The blocks of a frame regenerate more or less than its `Frame_Content_Size`.
    #[error("frame content size does not hold")]
    ContentSize,
}
