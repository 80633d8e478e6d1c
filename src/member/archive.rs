//! What a walk asks of an archive, besides its bytes.

use std::fs::File;

use positioned_io::ReadAt;

/// An archive's bytes, which may be given on trust.
pub trait Archive: ReadAt {
    /// From now on gives only bytes that are sure. Whether any that it gave were not: then asking again may give others.
    /// True at most once.
    fn distrust(&self) -> bool {
        false
    }
}

impl Archive for File {}
impl Archive for Vec<u8> {}
impl Archive for &[u8] {}
