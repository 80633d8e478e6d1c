//! Paths from a list: a line each, or each ended by NUL.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::object;

/// Longest list that is read, in bytes: some ten million paths.
const MOST: u64 = 1 << 30;

/// The paths in the list at `path`, `-` for standard input, made absolute. Empty ones are passed over.
pub(super) fn read(path: &Path, null: bool) -> io::Result<Vec<PathBuf>> {
    let mut text = Vec::new();
    let is_standard_input = path == Path::new("-");
    let read = if is_standard_input {
        io::stdin().lock().take(MOST + 1).read_to_end(&mut text)?
    } else {
        File::open(path)?.take(MOST + 1).read_to_end(&mut text)?
    };
    if read as u64 > MOST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is longer than 1 GiB"));
    }
    if !null && text.contains(&0) {
        let message = "it has NUL, which no path has: -0 is for lists of paths that end with it";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    let end = if null { 0 } else { b'\n' };
    let paths = text.split(|&byte| byte == end).filter(|path| !path.is_empty());
    let full = |path: &Path| {
        let is_url = object::is_url(path) || object::misspelt(path).is_some();
        if is_url { Ok(object::without_secrets(path.to_owned())) } else { std::path::absolute(path) }
    };
    paths.map(|path| full(Path::new(OsStr::from_bytes(path)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_ends_with_its_line_or_with_nul() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let list = folder.path().join("list");
        let read = |text: &[u8], null| {
            std::fs::write(&list, text).expect("a list");
            read(&list, null).expect("a list")
        };
        let own = std::env::current_dir().expect("a folder");
        assert_eq!(
            read(b"/a/b c\n\nd.tzst\n/-\xff", false),
            [PathBuf::from("/a/b c"), own.join("d.tzst"), PathBuf::from(OsStr::from_bytes(b"/-\xff"))]
        );
        assert_eq!(read(b"/a\nb\0/c\0", true), [Path::new("/a\nb"), Path::new("/c")]);
        assert!(read(b"", false).is_empty());
        std::fs::write(&list, b"/a\0/c\0").expect("a list");
        assert!(super::read(&list, false).is_err_and(|error| error.to_string().contains("-0")));
        assert!(super::read(&folder.path().join("none"), false).is_err());
    }
}
