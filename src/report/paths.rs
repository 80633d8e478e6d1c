//! Paths for a shell loop: as they are, a line each, or each ended by NUL.

use std::io::{self, Write};

use crate::log::Name;
use crate::object;
use crate::sanitize::printable;

/// Writes the paths; on a terminal, as nothing that it obeys. Gives a sentence for each that had to be left out.
pub(super) fn write<'a>(
    out: &mut dyn Write,
    paths: impl Iterator<Item = &'a Name>,
    null: bool,
    is_terminal: bool,
) -> io::Result<Vec<String>> {
    let end = if null { 0 } else { b'\n' };
    let mut left_out = Vec::new();
    for path in paths {
        if path.bytes().contains(&end) {
            left_out.push(format!("{} has a newline in it: use -0", printable(path.bytes())));
        } else if !path.as_path().is_absolute() && !object::is_url(path.as_path()) {
            // A command might take it for an option, and it was never logged by us.
            left_out.push(format!("{} is not an absolute path, and is left out", printable(path.bytes())));
        } else if is_terminal && !null {
            writeln!(out, "{}", printable(path.bytes()))?;
        } else {
            out.write_all(path.bytes())?;
            out.write_all(&[end])?;
        }
    }
    Ok(left_out)
}
