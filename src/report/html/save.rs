//! A file that is replaced whole or not at all.
//!
//! What is written has no name until it is whole. Where the file system has no such files, it has one of its own, and a lock
//! as long as somebody writes it: what a killed run left is told from what another one is writing, and the next run removes
//! it.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::log::new_run_id;
use crate::staging::{self, Folder};

/// How a page begins, in small letters.
const PAGE: &[u8] = b"<!doctype html";
/// Partials are named `.imgsieve-page-ID.partial`, whatever the page is called: a name may be as long as any can be.
const PARTIAL_PREFIX: &[u8] = b".imgsieve-page-";
const PARTIAL_SUFFIX: &[u8] = b".partial";
/// Where there are no locks, what is older than that is nobody's any more.
const OLD: Duration = Duration::from_hours(24);
/// How often a name that another run removed before it was locked is followed by a new one.
const TRIES: u32 = 10;

/// Why a page could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was there is as it was.
    #[error(transparent)]
    NotReplaced(#[from] io::Error),
    /// The page has its name, and may lose it in a power cut.
    #[error("the page is complete, but may not outlast a power cut")]
    NotSynced(#[source] staging::Error),
    /// Writing to a pipe, or to something else that is not a file, failed in the middle of the page.
    #[error("it may be incomplete")]
    Begun(#[source] io::Error),
}

/// Has `write` write a file beside `path`, and gives it that name once it is synced: whatever happens before, what was
/// there stays. What is not a file, such as a pipe, is written to directly. A file that is not a page is never
/// replaced: a typing error must not cost a log.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Error> {
    // A link stays, and what it leads to is replaced.
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if path.is_symlink() => return Err(error.into()),
        Err(_) => path.to_owned(),
    };
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let mut output = BufWriter::new(OpenOptions::new().write(true).open(&path)?);
        return write(&mut output).and_then(|()| output.flush()).map_err(Error::Begun);
    }
    if !is_replaceable(&path)? {
        let why = "it exists and is not an HTML page, so it is not replaced; name another file, or remove it";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why).into());
    }
    let parent = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = Folder::open(parent).map_err(io::Error::other)?;
    sweep(&folder);
    let partial = Partial::create(&path, &folder)?;
    let mut output = BufWriter::new(&partial.file);
    write(&mut output)?;
    output.flush()?;
    drop(output);
    partial.file.sync_all()?;
    partial.name(&path, &folder)?;
    folder.sync().map_err(Error::NotSynced)
}

/// Removes what killed runs left of pages in `folder`. What cannot be removed is in nobody's way.
fn sweep(folder: &Folder) {
    for name in folder.names().unwrap_or_default() {
        let bytes = name.as_bytes();
        if !(bytes.starts_with(PARTIAL_PREFIX) && bytes.ends_with(PARTIAL_SUFFIX)) {
            continue;
        }
        let Ok(file) = folder.open_file(&name) else { continue };
        let is_left = match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => true,
            Err(Errno::WOULDBLOCK) => false,
            Err(_) => file
                .metadata()
                .and_then(|metadata| metadata.modified())
                .is_ok_and(|modified| modified.elapsed().is_ok_and(|age| age > OLD)),
        };
        if is_left {
            let _ = folder.remove(&name);
        }
    }
}

/// Whether there is nothing at `path`, or nothing in it, or a page.
fn is_replaceable(path: &Path) -> io::Result<bool> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error),
    };
    let mut start = Vec::new();
    file.take(PAGE.len() as u64).read_to_end(&mut start)?;
    Ok(start.is_empty() || start.to_ascii_lowercase() == PAGE)
}

/// A file that has not yet its own name; removed when it is dropped before it has that.
struct Partial {
    file: File,
    /// The name that it has until then; none where a file needs none.
    path: Option<PathBuf>,
}

impl Partial {
    fn create(path: &Path, folder: &Folder) -> io::Result<Partial> {
        let permissions = path.metadata().ok().map(|old| old.permissions());
        if let Some(file) = folder.create_unnamed()
            && permissions.clone().is_none_or(|permissions| file.set_permissions(permissions).is_ok())
        {
            return Ok(Partial { file, path: None });
        }
        Partial::create_named(permissions, folder)
    }

    fn create_named(permissions: Option<Permissions>, folder: &Folder) -> io::Result<Partial> {
        let mode = permissions.as_ref().map_or(0o666, |permissions| permissions.mode() & 0o777);
        for _ in 0..TRIES {
            let path = folder.join(&hidden());
            let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path)?;
            let partial = Partial { file, path: Some(path) };
            partial.lock();
            if !partial.is_there() {
                // Another run took it for one that was left, as it had no lock yet.
                continue;
            }
            if let Some(permissions) = permissions {
                // Refused on file systems that have none. It was created with no more than these.
                let _ = partial.file.set_permissions(permissions);
            }
            return Ok(partial);
        }
        Err(io::Error::other("other runs remove what is written"))
    }

    fn lock(&self) {
        // A file system without locks has none to give.
        let _ = flock(&self.file, FlockOperation::NonBlockingLockExclusive);
    }

    fn is_there(&self) -> bool {
        let there = self.path.as_ref().and_then(|path| path.symlink_metadata().ok());
        let open = self.file.metadata().ok();
        there.zip(open).is_some_and(|(there, open)| (there.dev(), there.ino()) == (open.dev(), open.ino()))
    }

    /// Gives it the name `path`, whatever has that.
    fn name(mut self, path: &Path, folder: &Folder) -> io::Result<()> {
        let partial = if let Some(partial) = self.path.take() {
            partial
        } else {
            // A link replaces nothing, and a rename needs a name.
            self.lock();
            let name = hidden();
            folder.link_new(&self.file, None, &name)?;
            folder.join(&name)
        };
        std::fs::rename(self.path.insert(partial), path)?;
        self.path = None;
        Ok(())
    }
}

/// A name for a partial, which no other has.
fn hidden() -> OsString {
    let mut name = OsStr::from_bytes(PARTIAL_PREFIX).to_owned();
    name.push(new_run_id());
    name.push(OsStr::from_bytes(PARTIAL_SUFFIX));
    name
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // There is nobody left to tell.
            let _ = std::fs::remove_file(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<OsString> {
        std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect()
    }

    #[test]
    fn a_report_that_fails_half_way_leaves_the_old_one() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("report.html");
        replace(&path, |out| out.write_all(b"<!DOCTYPE html>old")).expect("written");
        let full = replace(&path, |out| {
            out.write_all(&vec![b'n'; 100_000])?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert!(matches!(full, Err(Error::NotReplaced(error)) if error.kind() == io::ErrorKind::StorageFull));
        assert_eq!(std::fs::read(&path).expect("there"), b"<!DOCTYPE html>old");
        assert_eq!(names(folder.path()), ["report.html"]);
        replace(&path, |out| out.write_all(b"new")).expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
    }

    #[test]
    fn what_a_killed_run_left_is_removed_and_what_another_writes_is_not() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x".repeat(255));
        for id in ["0123456789abcdef", "left by a fork"] {
            std::fs::write(folder.path().join(format!(".imgsieve-page-{id}.partial")), "half").expect("a partial");
        }
        let open = Folder::open(folder.path()).expect("a folder");
        let other = Partial::create_named(None, &open).expect("created");
        replace(&path, |out| out.write_all(b"<!DOCTYPE html>")).expect("written");
        assert!(other.is_there());
        assert_eq!(names(folder.path()).len(), 2, "{:?}", names(folder.path()));
        drop(other);
        assert_eq!(names(folder.path()), ["x".repeat(255).as_str()]);
    }

    #[test]
    fn a_file_that_needs_a_name_until_it_is_whole_replaces_the_page_too() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let open = Folder::open(folder.path()).expect("a folder");
        let path = folder.path().join("a.html");
        std::fs::write(&path, "old").expect("a file");
        let mut partial = Partial::create_named(Some(Permissions::from_mode(0o640)), &open).expect("created");
        partial.file.write_all(b"new").expect("written");
        partial.name(&path, &open).expect("renamed");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, 0o640);
        assert_eq!(names(folder.path()), ["a.html"]);
    }

    #[test]
    fn a_page_has_the_permissions_of_the_one_that_it_replaces() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("a.html");
        for mode in [0o600, 0o666, 0o640] {
            std::fs::write(&path, "").expect("a file");
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).expect("ours");
            replace(&path, |out| out.write_all(b"new")).expect("written");
            assert_eq!(path.metadata().expect("there").permissions().mode() & 0o777, mode);
        }
    }

    #[test]
    fn a_link_stays_and_what_it_leads_to_is_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (file, link) = (folder.path().join("a.html"), folder.path().join("b.html"));
        std::fs::write(&file, "<!doctype html>old").expect("a file");
        std::os::unix::fs::symlink(&file, &link).expect("a link");
        replace(&link, |out| out.write_all(b"new")).expect("written");
        assert!(link.symlink_metadata().expect("there").is_symlink());
        assert_eq!(std::fs::read(&file).expect("there"), b"new");
    }

    #[test]
    fn what_is_no_page_is_not_replaced() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (log, link, dangling) =
            (folder.path().join("log.jsonl"), folder.path().join("a.html"), folder.path().join("b.html"));
        std::fs::write(&log, "{\"stage\":\"script_start\"}\n").expect("a log");
        std::os::unix::fs::symlink(&log, &link).expect("a link");
        std::os::unix::fs::symlink("nowhere", &dangling).expect("a link");
        let before = std::fs::read(&log).expect("there");
        for path in [&log, &link, &dangling] {
            assert!(replace(path, |out| out.write_all(b"new")).is_err(), "{}", path.display());
        }
        assert_eq!(std::fs::read(&log).expect("there"), before);
        assert!(dangling.is_symlink() && link.is_symlink());
        std::fs::write(&log, "").expect("emptied");
        assert!(replace(&log, |out| out.write_all(b"new")).is_ok(), "nothing is lost");
    }

    #[test]
    fn what_is_no_file_is_written_to_and_a_folder_is_refused() {
        let write = |out: &mut dyn Write| out.write_all(b"x");
        assert!(replace(Path::new("/dev/null"), write).is_ok());
        assert!(!Path::new("/dev/null").metadata().expect("there").is_file());
        let full = replace(Path::new("/dev/full"), write);
        assert!(matches!(full, Err(Error::Begun(error)) if error.kind() == io::ErrorKind::StorageFull));
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(replace(folder.path(), write).is_err());
    }
}
