//! The command as it is given, and as it is run for an image: without a shell, found before anything starts.

use std::env;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use crate::cause::Cause;
use crate::reason::Reason;
use crate::sanitize::{printable, shell_word};

/// Where programs are looked for where `PATH` is not set, as `execvp` does.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Stands for the image's path.
const PLACE: &[u8] = b"{}";

/// The path of a program, looked for as `execvp` looks for it.
pub fn find(program: &OsStr) -> Result<PathBuf, Cause> {
    let shown = printable(program.as_bytes());
    let mend = "install it, or name another command after -- or as `reprocess` in the site file";
    let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
    if program.as_bytes().contains(&b'/') {
        let path = PathBuf::from(program);
        return if is_program(&path) {
            Ok(absolute(path))
        } else {
            Err(Cause::new(Reason::Command, format!("{shown} is not an executable program; {mend}")))
        };
    }
    let folders = env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let found = env::split_paths(&folders).map(|folder| folder.join(program)).find(|path| is_program(path));
    found.map(absolute).ok_or_else(|| {
        let message = format!("the program {shown} is not in PATH; {mend}");
        Cause::new(Reason::Command, message)
    })
}

fn is_program(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, Access::EXEC_OK).is_ok()
}

/// The command for the image at `path`: `{}` in each argument is the path.
#[must_use]
pub fn fill(command: &[OsString], path: &Path) -> Vec<OsString> {
    let fill = |word: &OsString| {
        let mut rest = word.as_bytes();
        let mut filled = Vec::with_capacity(rest.len());
        while let Some(at) = rest.windows(PLACE.len()).position(|pair| pair == PLACE) {
            filled.extend_from_slice(&rest[..at]);
            filled.extend_from_slice(path.as_os_str().as_bytes());
            rest = &rest[at + PLACE.len()..];
        }
        filled.extend_from_slice(rest);
        OsString::from_vec(filled)
    };
    command.iter().take(1).cloned().chain(command.iter().skip(1).map(fill)).collect()
}

/// A command as a line for a shell.
#[must_use]
pub fn line(command: &[OsString]) -> String {
    let words: Vec<String> = command.iter().map(|word| shell_word(word.as_bytes())).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_image_is_filled_wherever_it_stands() {
        let command = ["ntt", "--image={}", "{}{}", "-x", "{"].map(OsString::from);
        let filled = fill(&command, Path::new("/s/{}/a b.img"));
        assert_eq!(filled, ["ntt", "--image=/s/{}/a b.img", "/s/{}/a b.img/s/{}/a b.img", "-x", "{"]);
        assert_eq!(line(&filled[..2]), "ntt '--image=/s/{}/a b.img'");
    }

    #[test]
    fn a_program_is_found_as_execvp_finds_it() {
        assert!(find(OsStr::new("sh")).expect("a shell").is_absolute());
        assert_eq!(find(OsStr::new("/bin/sh")).expect("a shell"), Path::new("/bin/sh"));
        for missing in ["no-such-program", "/bin", "/etc/passwd", "./no-such-program", ""] {
            assert_eq!(find(OsStr::new(missing)).expect_err("none").code, Reason::Command, "{missing}");
        }
    }
}
