//! Folders by handle: nothing here ever resolves a path of more than one component, or follows a link.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::listing;

use super::budget::{FreeSpace, Space};
use super::error::Error;

/// The file that the lock on a folder is on: on staging, or on the folder of an archive in it.
pub(super) const FOLDER: &str = ".imgsieve.lock";
/// The file whose lock the one run holds that stages what found no room.
pub(super) const TURN: &str = ".imgsieve-turn.lock";
/// The file whose lock is held for each write near the minimum of free space.
pub(super) const GATE: &str = ".imgsieve-gate.lock";

/// What stands under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A regular file of so many bytes, of which so many take room.
    File {
        /// Length in bytes.
        length: u64,
        /// Room it takes in bytes.
        allocated: u64,
    },
    /// A folder.
    Folder,
    /// A link, a device, a socket.
    Other,
}

/// A file that is held: while this lives, no other file takes its place in the file system.
#[derive(Debug)]
pub struct Held {
    handle: OwnedFd,
    /// Length in bytes when it was looked at.
    pub length: u64,
    /// Whether it is a regular file.
    pub is_file: bool,
    /// Its inode, and when it was last changed: seconds since 1970 and nanoseconds.
    pub version: (u64, String),
}

/// An open folder, and the path it was opened by (for messages only).
pub struct Folder {
    handle: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens the folder at `path`, following links: the user chose where staging is.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(handle) => Ok(Folder { handle, path: path.to_owned() }),
            Err(Errno::NOTDIR) => Err(Error::NotAFolder { path: path.to_owned() }),
            Err(errno) => Err(failed("opening", path)(errno)),
        }
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `name` in it.
    #[must_use]
    pub fn join(&self, name: &OsStr) -> PathBuf {
        self.path.join(name)
    }

    /// The handle, for locks and the like.
    #[must_use]
    pub fn handle(&self) -> &OwnedFd {
        &self.handle
    }

    /// Whether `other` is the same folder.
    pub fn is_same(&self, other: &Folder) -> Result<bool, Error> {
        let identity = |folder: &Folder| rustix::fs::fstat(&folder.handle).map(|stat| (stat.st_dev, stat.st_ino));
        let same = identity(self).and_then(|own| Ok(own == identity(other)?));
        same.map_err(failed("looking at", &self.path))
    }

    /// Opens the folder `name` in this one; `None` where there is nothing of that name.
    pub fn subfolder(&self, name: &OsStr) -> Result<Option<Folder>, Error> {
        let path = self.join(name);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => Ok(Some(Folder { handle, path })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR | Errno::LOOP) => Err(Error::NotAFolder { path }),
            Err(errno) => Err(failed("opening", &path)(errno)),
        }
    }

    /// Opens the folder `name` in this one, creating it if it is missing.
    pub fn make_subfolder(&self, name: &OsStr) -> Result<Folder, Error> {
        let path = self.join(name);
        match rustix::fs::mkdirat(&self.handle, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed("creating", &path)(errno)),
        }
        let gone = || Error::Io { action: "opening", path, source: io::ErrorKind::NotFound.into() };
        self.subfolder(name)?.ok_or_else(gone)
    }

    /// Creates `name`, which must not exist, for reading and writing.
    pub fn create(&self, name: &OsStr) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(&self.handle, name, flags, Mode::from_raw_mode(0o666)).map(File::from)
    }

    /// Creates a file without a name, which [`Folder::link_new`] gives it one; none where the file system has no such files, or
    /// there is no `/proc` to name it by.
    #[must_use]
    pub fn create_unnamed(&self) -> Option<File> {
        let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.handle, ".", flags, Mode::from_raw_mode(0o666)).ok()?);
        std::fs::symlink_metadata(opened_path(&file)).is_ok().then_some(file)
    }

    /// Opens the file `name` for reading.
    pub fn open_file(&self, name: &OsStr) -> Result<File, Errno> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&self.handle, name, flags, Mode::empty()).map(File::from)
    }

    /// Opens the file `name` to read it and to append to it, creating it if it is missing.
    pub fn open_append(&self, name: &OsStr) -> Result<File, Errno> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW;
        let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC;
        rustix::fs::openat(&self.handle, name, flags, Mode::from_raw_mode(0o666)).map(File::from)
    }

    /// Opens the file `name` to lock it, creating it if it is missing. Where it is another user's, it can only be read, which is
    /// enough for a lock on a local file system.
    pub fn open_to_lock(&self, name: &OsStr) -> Result<File, Errno> {
        let flags = OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = |flags| rustix::fs::openat(&self.handle, name, flags, Mode::from_raw_mode(0o666)).map(File::from);
        match open(flags | OFlags::RDWR) {
            Err(refused @ (Errno::ACCESS | Errno::PERM)) => {
                open(flags.difference(OFlags::CREATE) | OFlags::RDONLY).map_err(|_| refused)
            }
            opened => opened,
        }
    }

    /// Whether it is on a disk of this machine, as far as is known: nobody else sees it, or locks on it.
    #[must_use]
    pub fn is_local(&self) -> bool {
        /// `EXT4_SUPER_MAGIC`, `XFS_SUPER_MAGIC`, `BTRFS_SUPER_MAGIC`, `TMPFS_MAGIC`, `OVERLAYFS_SUPER_MAGIC`, `F2FS_SUPER_MAGIC`
        /// of `linux/magic.h`; `ZFS_SUPER_MAGIC` of `OpenZFS`.
        const LOCAL: [u32; 7] = [0xEF53, 0x5846_5342, 0x9123_683E, 0x0102_1994, 0x794C_7630, 0xF2F5_2010, 0x2FC1_2FC1];
        let kind =
            rustix::fs::fstatfs(&self.handle).ok().and_then(|stat| u32::try_from(stat.f_type & 0xFFFF_FFFF).ok());
        kind.is_some_and(|kind| LOCAL.contains(&kind))
    }

    /// Opens the file `name`, which exists, to find out whether anybody holds a lock on it.
    pub fn open_locked(&self, name: &OsStr) -> Result<File, Errno> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let open = |flags| rustix::fs::openat(&self.handle, name, flags, Mode::empty()).map(File::from);
        match open(flags | OFlags::RDWR) {
            Err(Errno::ACCESS | Errno::PERM) => open(flags | OFlags::RDONLY),
            opened => opened,
        }
    }

    /// Holds what stands under `name`, links not followed, without opening it for anything; none where there is nothing.
    pub fn hold(&self, name: &OsStr) -> Result<Option<Held>, Errno> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let handle = match rustix::fs::openat(&self.handle, name, flags, Mode::empty()) {
            Ok(handle) => handle,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        let stat = rustix::fs::fstat(&handle)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        let version = (stat.st_ino, format!("{}.{:09}", stat.st_mtime, stat.st_mtime_nsec));
        Ok(Some(Held { handle, length: u64::try_from(stat.st_size).unwrap_or(0), is_file, version }))
    }

    /// Whether what stands under `name` is what is held, and as long as it was.
    pub fn still_has(&self, name: &OsStr, held: &Held) -> Result<bool, Errno> {
        let now = match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(errno),
        };
        let then = rustix::fs::fstat(&held.handle)?;
        let is_it = (now.st_dev, now.st_ino) == (then.st_dev, then.st_ino);
        Ok(is_it && u64::try_from(now.st_size).is_ok_and(|length| length == held.length))
    }

    /// What stands under `name`, links not followed.
    pub fn look(&self, name: &OsStr) -> Result<Option<Found>, Errno> {
        let stat = match rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(errno),
        };
        Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Found::File {
                length: u64::try_from(stat.st_size).unwrap_or(0),
                allocated: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
            },
            FileType::Directory => Found::Folder,
            _ => Found::Other,
        }))
    }

    /// Gives `file`, which was created here as `from`, the name `to`, which must not exist. It is the open file that gets the
    /// name, whatever stands under `from` by now: not there at all is `ESTALE`. Where the file system has no links, or there
    /// is no `/proc`, what is renamed is looked at first.
    pub fn link_new(&self, file: &File, from: Option<&OsStr>, to: &OsStr) -> Result<(), Errno> {
        let linked = rustix::fs::linkat(CWD, &*opened_path(file), &self.handle, to, AtFlags::SYMLINK_FOLLOW);
        let Some(from) = from else { return linked };
        match linked {
            Ok(()) => {
                // Left behind by a failure, it is a second name of a whole image, which the next run sweeps.
                if self.is_at(file, from) {
                    let _ = self.remove(from);
                }
                Ok(())
            }
            Err(Errno::EXIST) => Err(Errno::EXIST),
            Err(_) if self.is_at(file, from) => self.rename_new(from, to),
            Err(_) => Err(Errno::STALE),
        }
    }

    /// Whether `file`, which may be a folder, stands under `name`.
    pub(super) fn is_at(&self, file: impl AsFd, name: &OsStr) -> bool {
        let there = rustix::fs::statat(&self.handle, name, AtFlags::SYMLINK_NOFOLLOW);
        let open = rustix::fs::fstat(file);
        there.is_ok_and(|there| open.is_ok_and(|open| (there.st_dev, there.st_ino) == (open.st_dev, open.st_ino)))
    }

    /// Gives `from` the name `to`, which must not exist. Where the file system cannot rename so, by link and unlink.
    fn rename_new(&self, from: &OsStr, to: &OsStr) -> Result<(), Errno> {
        match rustix::fs::renameat_with(&self.handle, from, &self.handle, to, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                rustix::fs::linkat(&self.handle, from, &self.handle, to, AtFlags::empty())?;
                rustix::fs::unlinkat(&self.handle, from, AtFlags::empty())
            }
            outcome => outcome,
        }
    }

    /// Removes the file `name`.
    pub fn remove(&self, name: &OsStr) -> Result<(), Errno> {
        rustix::fs::unlinkat(&self.handle, name, AtFlags::empty())
    }

    /// Removes the folder `name` if it is empty.
    pub fn remove_if_empty(&self, name: &OsStr) {
        // Most often it is not, which is as it should be.
        let _ = rustix::fs::unlinkat(&self.handle, name, AtFlags::REMOVEDIR);
    }

    /// Has what was done in the folder reach the disk.
    pub fn sync(&self) -> Result<(), Error> {
        match rustix::fs::fsync(&self.handle) {
            // File systems that cannot sync a folder say so; there is nothing better to be done on them.
            Ok(()) | Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(failed("syncing", &self.path)(errno)),
        }
    }

    /// The names in it, without `.` and `..`.
    pub fn names(&self) -> Result<Vec<OsString>, Error> {
        listing::names(&self.handle).map_err(failed("listing", &self.path))
    }

    /// A second handle on the same folder.
    pub fn try_clone(&self) -> Result<Folder, Error> {
        let handle = self.handle.try_clone().map_err(|source| Error::Io {
            action: "opening",
            path: self.path.clone(),
            source,
        })?;
        Ok(Folder { handle, path: self.path.clone() })
    }
}

impl FreeSpace for Folder {
    /// What `fstatvfs` says of the open folder: right on tmpfs, on bind mounts and under quota-less network mounts,
    /// where a list of disks is not.
    fn space(&self) -> io::Result<Space> {
        let stat = rustix::fs::fstatvfs(&self.handle)?;
        let available = stat.f_bavail.saturating_mul(stat.f_frsize);
        let used = stat.f_blocks.saturating_sub(stat.f_bfree).saturating_mul(stat.f_frsize);
        Ok(Space { available, usable: used.saturating_add(available) })
    }
}

/// Where the open file can be found without a name.
fn opened_path(file: &File) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

/// Turns an errno into an error that says what was done to which path.
pub(super) fn failed(action: &'static str, path: &Path) -> impl FnOnce(Errno) -> Error + use<> {
    let path = path.to_owned();
    move |errno| Error::Io { action, path, source: errno.into() }
}

/// Whether a file is a lock's.
pub(super) fn is_lock(name: &[u8]) -> bool {
    [FOLDER, TURN, GATE].iter().any(|lock| name == lock.as_bytes())
}

/// Whether `name` can be one component of a path: what is not must never reach a system call.
pub(super) fn check_name(name: &[u8]) -> Result<&OsStr, Error> {
    /// `NAME_MAX` of every Linux file system.
    const NAME_MAX: usize = 255;
    let why = match name {
        b"" => "it is empty",
        b"." | b".." => "it refers to a folder",
        _ if name.contains(&b'/') || name.contains(&0) => "it contains '/' or a NUL byte",
        _ if super::is_partial(name) => "such names are reserved for partial files",
        _ if is_lock(name) => "such names are reserved for locks",
        _ if name.len() > NAME_MAX => "it is longer than 255 bytes",
        _ => return Ok(OsStr::from_bytes(name)),
    };
    Err(Error::Name { why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_component_is_refused() {
        for name in [&b""[..], b".", b"..", b"a/b", b"a\0b", &[b'x'; 256]] {
            assert!(matches!(check_name(name), Err(Error::Name { .. })), "{}", name.len());
        }
        for name in [&b"a.img"[..], b"...img", b"-rf.img", b"\n\x1b.img", &[0xff; 255]] {
            assert!(check_name(name).is_ok());
        }
    }

    #[test]
    fn a_link_in_place_of_a_folder_is_not_followed() {
        let place = tempfile::tempdir().expect("a temporary folder");
        std::os::unix::fs::symlink("/tmp", place.path().join("hash")).expect("a link");
        let folder = Folder::open(place.path()).expect("a folder");
        assert!(matches!(folder.make_subfolder(OsStr::new("hash")), Err(Error::NotAFolder { .. })));
    }

    #[test]
    fn a_file_that_is_held_is_told_from_one_that_took_its_name() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(place.path()).expect("a folder");
        let (name, path) = (OsStr::new("x"), place.path().join("x"));
        assert!(folder.hold(name).expect("looked at").is_none());
        std::fs::write(&path, "12345").expect("a file");
        let held = folder.hold(name).expect("looked at").expect("there");
        assert_eq!((held.length, held.is_file), (5, true));
        assert_eq!(folder.still_has(name, &held), Ok(true));
        std::fs::write(&path, "123456").expect("longer");
        assert_eq!(folder.still_has(name, &held), Ok(false));
        std::fs::remove_file(&path).expect("ours");
        assert_eq!(folder.still_has(name, &held), Ok(false));
        std::fs::write(&path, "12345").expect("another");
        assert_eq!(folder.still_has(name, &held), Ok(false));
        std::os::unix::fs::symlink("/dev/null", place.path().join("link")).expect("a link");
        assert!(!folder.hold(OsStr::new("link")).expect("looked at").expect("there").is_file);
    }

    #[test]
    fn renaming_never_replaces() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(place.path()).expect("a folder");
        std::fs::write(place.path().join("old"), "old").expect("a file");
        std::fs::write(place.path().join("new"), "new").expect("a file");
        assert_eq!(folder.rename_new(OsStr::new("new"), OsStr::new("old")), Err(Errno::EXIST));
        assert_eq!(std::fs::read(place.path().join("old")).expect("still there"), b"old");
    }
}
