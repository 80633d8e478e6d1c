//! The terminal on stderr as bars are drawn on it.
//!
//! Two things would tear the bars. What is typed, as `^C`, is echoed at the cursor, which stands behind the last bar: so the
//! bars leave room at its right. And where the window shrinks, lines that are longer than it is wide by then are broken in
//! several, which the bars would not know of: so what was drawn is wiped first.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

/// Columns at the right that stay free.
const MARGIN: u16 = 3;
/// Of a terminal that does not report its size.
const SIZE: (u16, u16) = (80, 24);

/// stderr, and what stands on it.
#[derive(Debug, Default)]
pub(super) struct Tty(Mutex<Drawn>);

#[derive(Debug, Default)]
struct Drawn {
    /// What is to be written.
    text: String,
    /// Columns of each line that stands there.
    lines: Vec<usize>,
    /// The same of those that are to be written.
    next: Vec<usize>,
    /// Whether the line is full, and what comes belongs to the next one.
    is_full: bool,
    /// Columns of the terminal when the lines were written.
    width: u16,
}

/// Columns and rows.
fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => (size.ws_col, size.ws_row),
        _ => SIZE,
    }
}

impl Drawn {
    /// Where the terminal is narrower than it was when the lines were written, which are broken by now: wipes them, and
    /// puts as many empty ones in their place.
    fn mend(&mut self, width: u16) {
        if !self.text.is_empty() || self.lines.is_empty() {
            return;
        }
        if width < self.width {
            let rows: usize = self.lines.iter().map(|columns| columns.div_ceil(usize::from(width)).max(1)).sum();
            self.up(rows.saturating_sub(1));
            self.text.push_str("\r\x1b[J");
            self.text.push_str(&"\r\n".repeat(self.lines.len() - 1));
        }
        self.width = width;
    }

    fn up(&mut self, lines: usize) {
        if lines > 0 {
            let _ = write!(self.text, "\x1b[{lines}A");
        }
    }

    fn write(&mut self, text: &str, width: usize) {
        if text.is_empty() {
            return;
        }
        if text == "\r" {
            self.text.push('\r');
            return;
        }
        let written = self.next.last().copied().unwrap_or(0);
        // What fills a line up needs not be written, and then does not break in a window that shrinks.
        if !self.is_full && written + text.len() == width && text.bytes().all(|byte| byte == b' ') {
            self.text.push_str("\x1b[K");
            self.is_full = true;
            return;
        }
        let characters: Vec<char> = text.chars().collect();
        for row in characters.chunks(width) {
            if std::mem::take(&mut self.is_full) {
                self.text.push_str("\r\n");
            }
            self.text.extend(row);
            self.next.push(row.len());
            if row.len() == width {
                self.text.push_str("\x1b[K");
                self.is_full = true;
            }
        }
    }
}

impl Tty {
    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        drawn.mend(size().0);
        drawn
    }
}

impl TermLike for Tty {
    fn width(&self) -> u16 {
        size().0.saturating_sub(MARGIN).max(1)
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
        self.drawn().up(lines);
        Ok(())
    }

    fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
        if lines > 0 {
            let _ = write!(self.drawn().text, "\x1b[{lines}B");
        }
        Ok(())
    }

    fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
        if columns > 0 {
            let _ = write!(self.drawn().text, "\x1b[{columns}C");
        }
        Ok(())
    }

    fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
        if columns > 0 {
            let _ = write!(self.drawn().text, "\x1b[{columns}D");
        }
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        let width = usize::from(self.width());
        let mut drawn = self.drawn();
        drawn.write(text, width);
        drawn.is_full = false;
        drawn.text.push_str("\r\n");
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        let width = usize::from(self.width());
        self.drawn().write(text, width);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.drawn().text.push_str("\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut drawn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = std::mem::take(&mut drawn.text);
        drawn.lines = std::mem::take(&mut drawn.next);
        drawn.is_full = false;
        drawn.width = size().0;
        let mut stderr = io::stderr().lock();
        stderr.write_all(text.as_bytes())?;
        stderr.flush()
    }
}
