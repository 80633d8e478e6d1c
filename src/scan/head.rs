//! An archive's beginning alone: for a first look, and for what can be expected of archives before their turn comes.
//!
//! libzstd decodes the first [`HEAD`] bytes of the tar and no more, for which hardly more than as many bytes of the file are
//! read: one request to an object store. A first look tells what the first image is where its bytes there settle it. A
//! verdict that asked for a byte behind them, be it of an EBR or of the backup of a GPT, is none, and neither is one that
//! rests on blank sectors, of which a rescue map behind the image may say that they were never read. Other sectors it may
//! call unread, too, and so a first look is no last word.

use std::cell::Cell;
use std::io;

use positioned_io::ReadAt;

use crate::member::Archive;
use crate::zst::{self, ZstFile};

/// Bytes of the tar that are looked at: the sectors that tables begin in, behind headers and a map or two.
const HEAD: u64 = 1 << 20;

/// The beginning of an archive.
pub(super) struct Head<'a> {
    zst: &'a ZstFile,
    is_left: Cell<bool>,
}

impl<'a> Head<'a> {
    /// Of this archive, which is best read by [`zst::Engine::Decode`]: nothing is to be passed over.
    pub fn new(zst: &'a ZstFile) -> Head<'a> {
        Head { zst, is_left: Cell::new(false) }
    }

    /// The whole of it.
    pub fn zst(&self) -> &'a ZstFile {
        self.zst
    }

    /// Whether a byte behind it was asked for.
    pub fn is_left(&self) -> bool {
        self.is_left.get()
    }
}

impl ReadAt for Head<'_> {
    /// Fills `buf` as far as the beginning goes. [`zst::Error::Dear`] of what lies behind.
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        let left = HEAD.saturating_sub(pos);
        if left == 0 && !buf.is_empty() {
            self.is_left.set(true);
            return Err(zst::Error::Dear { position: pos }.into());
        }
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(buf.len());
        self.zst.read_at(pos, &mut buf[..len])
    }
}

impl Archive for Head<'_> {}
