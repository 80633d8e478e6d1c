//! What is in a folder.
//!
//! std's own way to read one panics where it cannot be closed, as on a disk or a mount that fails.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

/// A name in a folder, and what is there.
pub struct Entry<'a> {
    folder: &'a Path,
    handle: &'a OwnedFd,
    name: &'a OsStr,
    kind: FileType,
}

impl Entry<'_> {
    /// The name.
    pub fn name(&self) -> &OsStr {
        self.name
    }

    /// Its path.
    pub fn path(&self) -> PathBuf {
        self.folder.join(self.name)
    }

    /// What is there, links not followed. It is asked for only where the file system does not say it with the name.
    pub fn kind(&self) -> io::Result<FileType> {
        if self.kind != FileType::Unknown {
            return Ok(self.kind);
        }
        let stat = rustix::fs::statat(self.handle, self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }
}

/// Tells `told` of everything in `folder`, in no order, until it fails.
pub fn each(folder: &Path, mut told: impl FnMut(Entry<'_>) -> io::Result<()>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = retry_on_intr(|| rustix::fs::open(folder, flags, Mode::empty()))?;
    for entry in Dir::read_from(&handle)? {
        let entry = entry?;
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        if name != "." && name != ".." {
            told(Entry { folder, handle: &handle, name, kind: entry.file_type() })?;
        }
    }
    Ok(())
}

/// The names in an open folder, without `.` and `..`.
pub fn names(folder: impl AsFd) -> Result<Vec<OsString>, Errno> {
    retry_on_intr(|| {
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder)? {
            let name = OsString::from_vec(entry?.file_name().to_bytes().to_vec());
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    })
}
