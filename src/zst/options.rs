//! How a file is read, and at what cost at most.

use std::sync::Arc;

use positioned_io::ReadAt;

use crate::zst::meter::Meter;

/// How a file is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Engine {
    /// The best there is for the file.
    #[default]
    Auto,
    /// What nobody reads is passed over without being decoded, wherever that can be done.
    Skip,
    /// libzstd decodes everything, from the first byte to the last.
    Decode,
}

impl Engine {
    /// The word for it, in the log and on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Engine::Auto => "auto",
            Engine::Skip => "skip",
            Engine::Decode => "decode",
        }
    }
}

/// What may be spent on one file, and who watches.
#[derive(Clone)]
pub struct Options {
    /// How it is read.
    pub engine: Engine,
    /// Largest window that a frame may ask for, in bytes: what libzstd is allowed to allocate.
    pub max_window: u64,
    /// Where progress is told, and from where a stop is heard.
    pub meter: Arc<Meter>,
    /// Who vouches for presumed places. Where nobody does, [`Engine::Auto`] believes only what is proven by itself, and
    /// [`Engine::Skip`] presumes nothing.
    pub voucher: Option<Voucher>,
}

/// Bytes at the end of a presumed file that come from blocks which were sized: these have the places that they seem to have
/// to each other, and to the end.
pub const SURE_TAIL: u64 = 256 << 10;

/// Given the bytes of a whole file as they are if all its blocks are full but the last of each frame, and their number, says
/// whether they can only be so: whether something that is known of the content lies where it has to at its very end.
///
/// Blocks are never more than full. So a byte that was presumed at some place lies there or before it, and at any one place
/// that is known to be right everything before it is.
pub type Voucher = fn(&dyn ReadAt, u64) -> bool;

impl Default for Options {
    /// The limit of the `zstd` command: 128 MiB.
    fn default() -> Options {
        Options { engine: Engine::Auto, max_window: 128 << 20, meter: Arc::default(), voucher: None }
    }
}
