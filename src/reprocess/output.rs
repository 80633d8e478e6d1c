//! What the command prints for an image: a file beside the image, which is also the lock on it.
//!
//! The command's own standard output and error are this file, not a pipe, and the lock belongs to the open file. So both
//! outlive imgsieve: whatever ends it, the command runs on undisturbed, and while it does nobody else processes the image.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::cause::Cause;
use crate::clock;
use crate::reason::Reason;
use crate::sanitize::{printable, printable_line};
use crate::staging::Folder;

/// What is added to an image's name.
const SUFFIX: &str = ".reprocess.log";
/// Longest name of a file, in bytes, on all file systems that staging may lie on.
const NAME_MAX: usize = 255;
/// Longest line that is shown in one piece, in bytes.
const LINE_LIMIT: usize = 4 << 10;
/// Bytes that are read at a time, and at most before the command is looked at again.
const BATCH: usize = 64 << 10;
const BATCHES: usize = 16;

/// The file, locked.
pub struct Output {
    file: File,
    path: PathBuf,
}

/// The name of the file for the image `name`: of one that is too long for it, the beginning.
#[must_use]
pub fn name_for(name: &OsStr) -> OsString {
    let name = name.as_bytes();
    let mut output = OsStr::from_bytes(&name[..name.len().min(NAME_MAX - SUFFIX.len())]).to_owned();
    output.push(SUFFIX);
    output
}

impl Output {
    /// Opens and locks the file for the image `name` in `folder`.
    pub fn open(folder: &Folder, name: &OsStr) -> Result<Output, Cause> {
        let name = name_for(name);
        let path = folder.join(&name);
        let shown = printable(path.as_os_str().as_encoded_bytes());
        let file = folder.open_append(&name).map_err(|errno| match errno {
            Errno::LOOP => {
                Cause::new(Reason::Output, format!("{shown}, for the command's output, is a link; remove it"))
            }
            errno => Cause::new(Reason::Output, format!("opening {shown}: {errno}")),
        })?;
        // A file with a second name may be anything, even the image.
        if !file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.nlink() == 1) {
            let message = format!("{shown}, for the command's output, is not a regular file with one name; remove it");
            return Err(Cause::new(Reason::Output, message));
        }
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Output { file, path }),
            Err(Errno::WOULDBLOCK) => {
                let message = format!(
                    "it is being reprocessed: a command of another run holds the lock on {shown} (`fuser -v` names it)"
                );
                Err(Cause::new(Reason::Locked, message).passing(true))
            }
            Err(errno) => Err(Cause::new(Reason::Output, format!("locking {shown}: {errno}"))),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a line of imgsieve's own.
    pub fn note(&self, text: &str) -> Result<(), Cause> {
        let now = clock::stamp(SystemTime::now());
        let line = format!("# imgsieve, {now}: {}\n", printable_line(text));
        (&self.file).write_all(line.as_bytes()).map_err(|error| {
            let shown = printable(self.path.as_os_str().as_encoded_bytes());
            Cause::new(Reason::Output, format!("writing to {shown}: {error}"))
        })
    }

    /// A standard output or error for the command; the lock goes with it.
    pub fn stdio(&self) -> io::Result<Stdio> {
        self.file.try_clone().map(Stdio::from)
    }

    /// What is written from now on, line by line.
    #[must_use]
    pub fn follow(&self) -> Follower<'_> {
        let at = self.file.metadata().map_or(0, |metadata| metadata.len());
        Follower { file: &self.file, at, line: Vec::new() }
    }
}

/// A file that another process appends to.
pub struct Follower<'a> {
    file: &'a File,
    at: u64,
    line: Vec<u8>,
}

impl Follower<'_> {
    /// Gives the lines that were added since, but not more than a while's worth.
    pub fn advance(&mut self, each: &mut dyn FnMut(&[u8])) {
        let mut buffer = vec![0; BATCH];
        for _ in 0..BATCHES {
            // What cannot be read is in the file all the same.
            let Ok(count @ 1..) = self.file.read_at(&mut buffer, self.at) else { return };
            self.at += count as u64;
            for &byte in &buffer[..count] {
                if byte == b'\n' || byte == b'\r' || self.line.len() == LINE_LIMIT {
                    if !self.line.is_empty() {
                        each(&self.line);
                    }
                    self.line.clear();
                }
                if byte != b'\n' && byte != b'\r' {
                    self.line.push(byte);
                }
            }
        }
    }

    /// Gives what there is until now, and a last line without an end.
    pub fn finish(mut self, each: &mut dyn FnMut(&[u8])) {
        let end = self.file.metadata().map_or(0, |metadata| metadata.len());
        while self.at < end {
            let before = self.at;
            self.advance(each);
            if self.at == before {
                break;
            }
        }
        if !self.line.is_empty() {
            each(&self.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_appended_is_given_in_lines_whatever_the_pieces() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(place.path()).expect("a folder");
        let output = Output::open(&folder, OsStr::new("a.img")).expect("a file");
        output.note("before").expect("written");
        let mut follower = output.follow();
        let mut lines = Vec::new();
        let long = "x".repeat(LINE_LIMIT + 5);
        for piece in ["one\ntw", "o\r50%\r\n\n", &long, "\nlast"] {
            (&output.file).write_all(piece.as_bytes()).expect("written");
            follower.advance(&mut |line| lines.push(String::from_utf8_lossy(line).into_owned()));
        }
        follower.finish(&mut |line| lines.push(String::from_utf8_lossy(line).into_owned()));
        assert_eq!(lines, ["one", "two", "50%", &long[..LINE_LIMIT], "xxxxx", "last"]);
    }

    #[test]
    fn a_second_lock_is_refused_while_anybody_has_the_file_open() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(place.path()).expect("a folder");
        let output = Output::open(&folder, OsStr::new("a.img")).expect("a file");
        let heir = output.file.try_clone().expect("a second handle");
        drop(output);
        assert_eq!(Output::open(&folder, OsStr::new("a.img")).err().expect("locked").code, Reason::Locked);
        drop(heir);
        assert!(Output::open(&folder, OsStr::new("a.img")).is_ok());
    }

    #[test]
    fn nothing_but_a_file_is_written_to() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(place.path()).expect("a folder");
        std::os::unix::fs::symlink("elsewhere", place.path().join("a.img.reprocess.log")).expect("a link");
        std::fs::create_dir(place.path().join("b.img.reprocess.log")).expect("a folder");
        std::fs::write(place.path().join("c.img"), "image").expect("a file");
        std::fs::hard_link(place.path().join("c.img"), place.path().join("c.img.reprocess.log")).expect("a link");
        for name in ["a.img", "b.img", "c.img"] {
            assert_eq!(Output::open(&folder, OsStr::new(name)).err().expect("refused").code, Reason::Output, "{name}");
        }
        assert!(!place.path().join("elsewhere").exists());
    }

    #[test]
    fn an_image_of_the_longest_name_has_an_output_too() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::open(place.path()).expect("a folder");
        let name = format!("{}.img", "x".repeat(NAME_MAX - 4));
        let output = Output::open(&folder, OsStr::new(&name)).expect("a file");
        assert_eq!(output.path().file_name().expect("a name").len(), NAME_MAX);
    }
}
