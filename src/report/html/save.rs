//! A file that is replaced whole or not at all.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// How a page begins, in small letters.
const PAGE: &[u8] = b"<!doctype html";

/// Has `write` write a file beside `path`, and gives it that name once it is synced: whatever happens before, what was
/// there stays. What is not a file, such as a pipe, is written to directly. A file that is not a page is never
/// replaced: a typing error must not cost a log.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    // A link stays, and what it leads to is replaced.
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) if path.is_symlink() => return Err(error),
        Err(_) => path.to_owned(),
    };
    if path.metadata().is_ok_and(|metadata| !metadata.is_file()) {
        let mut output = BufWriter::new(OpenOptions::new().write(true).open(&path)?);
        write(&mut output)?;
        return output.flush();
    }
    if !is_replaceable(&path)? {
        let why = "it exists and is not an HTML page, so it is not replaced; name another file, or remove it";
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
    }
    let partial = Partial::create(&path)?;
    let mut output = BufWriter::new(&partial.file);
    write(&mut output)?;
    output.flush()?;
    drop(output);
    partial.file.sync_all()?;
    partial.name(&path)
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

/// A file under a name that is not yet its own; removed when it is dropped before it has that.
struct Partial {
    file: File,
    path: Option<PathBuf>,
}

impl Partial {
    fn create(path: &Path) -> io::Result<Partial> {
        let name = path.file_name().ok_or(io::ErrorKind::IsADirectory)?;
        let mut hidden = OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.partial", std::process::id()));
        let partial = path.with_file_name(hidden);
        let file = OpenOptions::new().write(true).create_new(true).open(&partial)?;
        if let Ok(old) = path.metadata() {
            file.set_permissions(old.permissions())?;
        }
        Ok(Partial { file, path: Some(partial) })
    }

    fn name(mut self, path: &Path) -> io::Result<()> {
        if let Some(partial) = &self.path {
            std::fs::rename(partial, path)?;
        }
        self.path = None;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()
    }
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
        assert_eq!(full.expect_err("fails").kind(), io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read(&path).expect("there"), b"<!DOCTYPE html>old");
        assert_eq!(names(folder.path()), ["report.html"]);
        replace(&path, |out| out.write_all(b"new")).expect("written");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
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
        assert_eq!(replace(Path::new("/dev/full"), write).expect_err("full").kind(), io::ErrorKind::StorageFull);
        let folder = tempfile::tempdir().expect("a temporary folder");
        assert!(replace(folder.path(), write).is_err());
    }
}
