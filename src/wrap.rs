//! Lines that are broken between words where they are longer than a terminal is wide.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// Columns by which what is broken off is indented.
const INDENT: usize = 4;
/// A terminal narrower than this is left to break lines itself.
const NARROWEST: usize = 30;

/// Columns of the terminal that `stream` leads to; none where that is none, or does not report them.
pub fn width(stream: &(impl AsFd + IsTerminal)) -> Option<usize> {
    let size = stream.is_terminal().then(|| rustix::termios::tcgetwinsize(stream).ok())??;
    Some(usize::from(size.ws_col)).filter(|&columns| columns >= NARROWEST)
}

/// `line` for a terminal of so many columns. A command stays in one piece, for it is going to be copied.
#[must_use]
pub fn wrapped(line: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|&width| line.chars().count() > width) else { return line.to_owned() };
    let text = line.trim_start_matches(' ');
    if text.starts_with("imgsieve ") {
        return line.to_owned();
    }
    let own_indent = line.len() - text.len();
    let indent = " ".repeat((own_indent + INDENT).min(width / 2));
    let mut wrapped = " ".repeat(own_indent);
    let mut columns = own_indent;
    for (index, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if index > 0 && columns + 1 + length > width {
            wrapped.truncate(wrapped.trim_end_matches(' ').len());
            wrapped.push('\n');
            wrapped.push_str(&indent);
            columns = indent.len();
        } else if index > 0 {
            wrapped.push(' ');
            columns += 1;
        }
        wrapped.push_str(word);
        columns += length;
    }
    wrapped
}

/// Has every line that is written be [`wrapped`].
pub struct Wrap<'a> {
    out: &'a mut dyn Write,
    width: Option<usize>,
    line: Vec<u8>,
}

impl<'a> Wrap<'a> {
    /// To `out`, which is a terminal of so many columns, if it is one.
    pub fn new(out: &'a mut dyn Write, width: Option<usize>) -> Wrap<'a> {
        Wrap { out, width, line: Vec::new() }
    }
}

impl Write for Wrap<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.width.is_none() {
            return self.out.write(bytes);
        }
        self.line.extend_from_slice(bytes);
        while let Some(end) = memchr::memchr(b'\n', &self.line) {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            let text = wrapped(&String::from_utf8_lossy(&line[..end]), self.width);
            self.out.write_all(format!("{text}\n").as_bytes())?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.write_all(&std::mem::take(&mut self.line))?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_what_follows_is_indented() {
        let line = "  an error that takes more than one line of /a/path/that/is/longer/than/the/terminal/is at the end";
        let text = wrapped(line, Some(40));
        let expected = "  an error that takes more than one line\n      of\n      \
                        /a/path/that/is/longer/than/the/terminal/is\n      at the end";
        assert_eq!(text, expected);
        assert_eq!(wrapped(line, None), line);
        assert_eq!(wrapped("short", Some(40)), "short");
    }

    #[test]
    fn a_command_stays_in_one_piece() {
        let command = format!("  imgsieve scan --resume {}", "/a ".repeat(30));
        assert_eq!(wrapped(&command, Some(40)), command);
    }

    #[test]
    fn what_is_written_in_pieces_is_wrapped_by_the_line() {
        let mut out = Vec::new();
        let mut wrap = Wrap::new(&mut out, Some(30));
        for piece in ["one line that is lon", "ger than 30 columns\ntwo", "\nthree"] {
            wrap.write_all(piece.as_bytes()).expect("memory");
        }
        wrap.flush().expect("memory");
        assert_eq!(String::from_utf8_lossy(&out), "one line that is longer than\n    30 columns\ntwo\nthree");
    }
}
