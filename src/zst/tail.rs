//! What stands behind the last frame of a file.
//!
//! Zeros there are padding: `bsdtar --zstd` fills its last record with them when it writes to a pipe, and so do tapes and
//! media that are written in whole sectors. They hold nothing, so the file ends in front of them. Only zeros to the file's
//! end are padding: what follows zeros could be another frame, which nobody is to miss.

use crate::zst::error::Error;
use crate::zst::format::frame::{self, FrameStart, MAX_HEADER_LEN};
use crate::zst::meter::Meter;
use crate::zst::source::{Source, Tail};

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;
/// Bytes that are looked at together: short enough to stay in a processor's nearest cache.
const CHUNK: usize = 4096;

/// What stands at `offset`, where a frame could begin and none does.
pub(super) fn at(source: &Source, meter: &Meter, offset: u64) -> Result<Tail, Error> {
    if let Some((_, tail)) = source.known_tail().filter(|(at, _)| *at == offset) {
        return Ok(tail);
    }
    let tail = look(source, meter, offset)?;
    source.note_tail(offset, tail);
    Ok(tail)
}

/// Reads on from `offset`, which lies in the file, to its end or to the first byte that is not zero.
fn look(source: &Source, meter: &Meter, offset: u64) -> Result<Tail, Error> {
    let length = source.length();
    let mut piece = vec![0; PIECE];
    let mut at = offset;
    loop {
        if meter.is_stopped() {
            return Err(Error::Interrupted);
        }
        // A hole need not be read.
        at = source.next_data(at).min(length);
        meter.advance(at, 0);
        if at == length {
            return Ok(Tail::Zeros);
        }
        let left = usize::try_from(length - at).unwrap_or(usize::MAX);
        let read = source.read_some_at(at, &mut piece[..left.min(PIECE)])?;
        if let Some(other) = first_other(&piece[..read]) {
            return Ok(Tail::Other(at + other as u64));
        }
        at += read as u64;
    }
}

/// The index of the first byte that is not zero.
fn first_other(bytes: &[u8]) -> Option<usize> {
    let is_blank = |chunk: &[u8]| chunk.iter().fold(0, |all, &byte| all | byte) == 0;
    let chunk = bytes.chunks(CHUNK).position(|chunk| !is_blank(chunk))?;
    let start = chunk * CHUNK;
    Some(start + bytes[start..].iter().position(|&byte| byte != 0)?)
}

/// In words, what stands at `offset`, where the first byte that is not zero is the one at `other`.
pub(super) fn describe(source: &Source, offset: u64, other: u64) -> Result<String, Error> {
    let left = usize::try_from(source.length().saturating_sub(other)).unwrap_or(usize::MAX);
    let mut head = vec![0; left.min(frame::DESCRIBED_LEN)];
    source.read_exact_at(other, &mut head)?;
    if other == offset {
        return Ok(frame::describe(&head));
    }
    let is_frame = FrameStart::parse(&head[..head.len().min(MAX_HEADER_LEN)]).is_ok();
    let what = if is_frame { "a frame".to_owned() } else { frame::describe(&head) };
    Ok(format!("zeros, and from byte {other} on {what}"))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// A file of `length` zeros but for these bytes.
    fn file(length: u64, bytes: &[(u64, u8)]) -> (Source, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("file");
        let file = File::create(&path).expect("a file");
        file.set_len(length).expect("room");
        for &(at, byte) in bytes {
            file.write_all_at(&[byte], at).expect("written");
        }
        (Source::open(&path).expect("opens"), folder)
    }

    #[test]
    fn the_first_byte_that_is_not_zero_is_found_wherever_it_is() {
        for at in [1, 2, 4095, 4096, 4097, PIECE as u64, PIECE as u64 + 1, 3_000_000, 4_999_999] {
            let (source, _folder) = file(5_000_000, &[(0, 7), (at, 1)]);
            let meter = Meter::default();
            assert_eq!(look(&source, &meter, 1).expect("readable"), Tail::Other(at));
            assert_eq!(look(&source, &meter, at).expect("readable"), Tail::Other(at));
            if at < 4_999_999 {
                assert_eq!(look(&source, &meter, at + 1).expect("readable"), Tail::Zeros);
                assert_eq!(meter.compressed(), source.length());
            }
        }
    }

    #[test]
    fn a_tebibyte_that_is_a_hole_is_not_read() {
        let (source, _folder) = file(1 << 40, &[(0, 7)]);
        assert_eq!(look(&source, &Meter::default(), 1).expect("readable"), Tail::Zeros);
        assert!(source.requested() < 1 << 22, "{}", source.requested());
    }

    #[test]
    fn a_stop_is_heard_between_two_pieces() {
        let (source, _folder) = file(100, &[]);
        let stop = Arc::new(AtomicBool::new(false));
        let meter = Meter::new(Arc::clone(&stop));
        assert_eq!(look(&source, &meter, 0).expect("readable"), Tail::Zeros);
        stop.store(true, Ordering::Relaxed);
        assert!(matches!(look(&source, &meter, 0), Err(Error::Interrupted)));
    }
}
