//! Whether an image in staging is what the archive holds.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::member::{Content, Extent};
use crate::run::Control;
use crate::zst::{self, CopyError, ZstFile};

/// Bytes of the staged file that are read at a time.
const PIECE: usize = 1 << 20;

/// Why no answer can be given.
pub(super) enum Failure {
    /// The archive could not be read.
    Archive(zst::Error),
    /// The staged file could not be read.
    Staged(io::Error),
}

/// Why a comparison ended early.
enum End {
    Differs,
    Stopped,
    Failed(io::Error),
}

/// Whether `staged` has the bytes of `content`, of which every one is decoded.
pub(super) fn is_same(zst: &ZstFile, content: &Content, staged: &File, control: &Control) -> Result<bool, Failure> {
    compare_all(zst, content, staged, control).1
}

/// Why the archive ends in `content`, if `staged`, of `length` bytes, has all that there is of it; none if it is something
/// else.
pub(super) fn is_all_there_is(
    zst: &ZstFile,
    content: &Content,
    (staged, length): (&File, u64),
    control: &Control,
) -> Result<Option<zst::Error>, Failure> {
    match compare_all(zst, content, staged, control) {
        (position, Err(Failure::Archive(error))) if is_end(&error) => Ok((position == length).then_some(error)),
        // The archive has more than is staged.
        (_, Err(Failure::Staged(error))) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        (_, Err(failure)) => Err(failure),
        (_, Ok(_)) => Ok(None),
    }
}

/// Compares up to the first difference or error, and says how far that is.
fn compare_all(zst: &ZstFile, content: &Content, staged: &File, control: &Control) -> (u64, Result<bool, Failure>) {
    let mut position = 0;
    let mut buffer = vec![0; PIECE];
    for extent in content.extents() {
        let compared = match extent {
            Extent::Hole { len, .. } => {
                let compared = compare_zeros(staged, position, len, &mut buffer, control);
                position += len;
                compared
            }
            Extent::Data { archive, .. } => {
                let copied = zst.copy(archive, |bytes| {
                    let compared = compare(staged, position, bytes, &mut buffer);
                    position += bytes.len() as u64;
                    compared
                });
                match copied {
                    Ok(()) => Ok(()),
                    Err(CopyError::Read(error)) => return (position, Err(Failure::Archive(error))),
                    Err(CopyError::Write(end)) => Err(end),
                }
            }
        };
        match compared {
            Ok(()) => {}
            Err(End::Differs) => return (position, Ok(false)),
            Err(End::Stopped) => return (position, Err(Failure::Archive(zst::Error::Interrupted))),
            Err(End::Failed(error)) => return (position, Err(Failure::Staged(error))),
        }
    }
    (position, Ok(true))
}

/// Whether the archive ends where its data should go on.
pub(super) fn is_end(error: &zst::Error) -> bool {
    matches!(error, zst::Error::EndOfData { .. } | zst::Error::Truncated { .. })
}

fn compare(staged: &File, position: u64, bytes: &[u8], buffer: &mut [u8]) -> Result<(), End> {
    let mut at = position;
    for piece in bytes.chunks(buffer.len()) {
        let read = &mut buffer[..piece.len()];
        staged.read_exact_at(read, at).map_err(End::Failed)?;
        if *read != *piece {
            return Err(End::Differs);
        }
        at += piece.len() as u64;
    }
    Ok(())
}

fn compare_zeros(staged: &File, position: u64, len: u64, buffer: &mut [u8], control: &Control) -> Result<(), End> {
    let mut at = position;
    while at < position + len {
        // A hole may be as large as the file system lets files be.
        if control.is_stopped() {
            return Err(End::Stopped);
        }
        let length = usize::try_from(position + len - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = &mut buffer[..length];
        staged.read_exact_at(read, at).map_err(End::Failed)?;
        if read.iter().any(|&byte| byte != 0) {
            return Err(End::Differs);
        }
        at += length as u64;
    }
    Ok(())
}
