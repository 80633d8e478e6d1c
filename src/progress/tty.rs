//! The terminal on stderr as bars are drawn on it.
//!
//! indicatif moves the cursor by what it believes to stand there. A window that shrinks belies that: terminals break the lines
//! that are longer than it is wide by then, at once, and tell of the new width up to a quarter of a second later (tmux). So only the
//! lines are taken from indicatif, each frame whole, and where they go is decided here:
//!
//! - No line is longer than the window is wide, and the terminal is told not to break it: a frame takes as many rows as it has
//!   lines, also where the window is narrower than it was told to be.
//! - The cursor is left at the beginning of the last line, which is a place that breaking lines does not move. A single line
//!   has it behind it, for there a command may be asking for a password.
//! - Once a smaller width is told, the frame before is wiped, in as many rows as its lines were broken into. Terminals that
//!   cut lines off instead break none.
//!
//! What is typed, as `^C`, is echoed at the cursor; the next frame draws over it.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::TermLike;

/// Columns at the right that stay free.
const MARGIN: u16 = 3;
/// Of a terminal that does not report its size.
const SIZE: (u16, u16) = (80, 24);
/// DECAWM: whether lines that are too long are broken.
const NO_WRAP: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// stderr, and what stands on it.
#[derive(Debug)]
pub(super) struct Tty {
    drawn: Mutex<Drawn>,
    breaks: bool,
}

#[derive(Debug, Default)]
struct Drawn {
    /// Lines of the frame that is being made.
    next: Vec<String>,
    /// Whether what fills up the last of them comes next.
    is_filler: bool,
    /// Columns of each line that stands there.
    lines: Vec<usize>,
    /// Columns of the terminal when they were written.
    width: u16,
}

/// Columns and rows.
fn size() -> (u16, u16) {
    match rustix::termios::tcgetwinsize(io::stderr()) {
        Ok(size) if size.ws_col > 0 => (size.ws_col, size.ws_row),
        _ => SIZE,
    }
}

/// Whether the terminal breaks lines where it becomes narrower. Most do; those do not, and say who they are.
fn breaks() -> bool {
    let is_set = |name| std::env::var_os(name).is_some();
    let term = std::env::var("TERM").unwrap_or_default();
    let is_old = ["linux", "rxvt", "putty"].iter().any(|name| term.starts_with(name));
    is_set("TMUX") || !(is_old || is_set("XTERM_VERSION") || is_set("STY"))
}

impl Drawn {
    fn take(&mut self, text: &str) {
        // A line, and then the spaces that fill it up, which need not be written.
        if text == "\r" || std::mem::take(&mut self.is_filler) {
            return;
        }
        self.next.push(text.to_owned());
        self.is_filler = true;
    }

    /// Rows that the cursor stands below the first one.
    fn rows_above(&self, width: u16, breaks: bool) -> usize {
        let is_narrower = width < self.width && breaks;
        let rows = |columns: usize| if is_narrower { columns.div_ceil(usize::from(width)).max(1) } else { 1 };
        match self.lines.as_slice() {
            [] => 0,
            // Where it ends with a row, the cursor may stand in that one or in the next: rather too little is wiped.
            [only] => rows(*only) - 1,
            [above @ .., _] => above.iter().map(|&columns| rows(columns)).sum(),
        }
    }

    /// What has to be written for the frame that was made to replace the one that stands there, in a terminal of so many
    /// columns.
    fn frame(&mut self, width: u16, breaks: bool) -> String {
        let next = std::mem::take(&mut self.next);
        self.is_filler = false;
        let mut text = NO_WRAP.to_owned();
        let up = self.rows_above(width, breaks);
        if up > 0 {
            let _ = write!(text, "\x1b[{up}A");
        }
        text.push('\r');
        let leaves_rows = next.len() < self.lines.len() || width != self.width;
        self.lines.clear();
        self.width = width;
        let most = usize::from(width.saturating_sub(MARGIN).max(1));
        for (index, line) in next.iter().enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            let line: String = line.trim_end().chars().take(most).collect();
            text.push_str(&line);
            text.push_str("\x1b[K");
            self.lines.push(line.chars().count());
        }
        // Never at the first place of the window: tmux keeps a copy of what is wiped from there, among what scrolled off.
        match next.len() {
            0 => text.push_str(" \x1b[J\r\x1b[K"),
            _ if leaves_rows => text.push_str("\x1b[J"),
            _ => {}
        }
        if next.len() > 1 {
            text.push('\r');
        }
        text.push_str(WRAP);
        text
    }
}

impl Default for Tty {
    fn default() -> Tty {
        Tty { drawn: Mutex::default(), breaks: breaks() }
    }
}

impl Tty {
    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TermLike for Tty {
    fn width(&self) -> u16 {
        size().0.saturating_sub(MARGIN).max(1)
    }

    fn height(&self) -> u16 {
        size().1
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    /// Only of use to bars that stay at the bottom.
    fn write_line(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.drawn().take(text);
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        let mut drawn = self.drawn();
        if drawn.next.is_empty() && drawn.lines.is_empty() {
            return Ok(());
        }
        let text = drawn.frame(size().0, self.breaks);
        let mut stderr = io::stderr().lock();
        stderr.write_all(text.as_bytes())?;
        stderr.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(drawn: &mut Drawn, lines: &[&str], width: u16, breaks: bool) -> String {
        drawn.take("\r");
        for line in lines {
            drawn.take(line);
            drawn.take("   ");
        }
        let text = drawn.frame(width, breaks);
        text.strip_prefix(NO_WRAP).and_then(|text| text.strip_suffix(WRAP)).expect("lines are not broken").to_owned()
    }

    #[test]
    fn a_frame_replaces_the_one_before() {
        let mut drawn = Drawn::default();
        assert_eq!(
            draw(&mut drawn, &["aaaa", "bbbb", "cc"], 20, true),
            "\raaaa\x1b[K\r\nbbbb\x1b[K\r\ncc\x1b[K\x1b[J\r"
        );
        assert_eq!(draw(&mut drawn, &["a", "b", "c"], 20, true), "\x1b[2A\ra\x1b[K\r\nb\x1b[K\r\nc\x1b[K\r");
        assert_eq!(draw(&mut drawn, &["a"], 20, true), "\x1b[2A\ra\x1b[K\x1b[J");
        assert_eq!(draw(&mut drawn, &[], 20, true), "\r \x1b[J\r\x1b[K");
        assert_eq!(draw(&mut drawn, &["a"], 20, true), "\ra\x1b[K");
    }

    #[test]
    fn lines_that_a_shrinking_window_breaks_are_wiped_and_no_row_above_them() {
        let long = "x".repeat(100);
        for (breaks, up) in [(true, "\x1b[8A"), (false, "\x1b[2A")] {
            let mut drawn = Drawn::default();
            draw(&mut drawn, &[&long, &long, &long], 120, breaks);
            let text = draw(&mut drawn, &[&long, &long, &long], 27, breaks);
            assert!(text.starts_with(&format!("{up}\r{}\x1b[K\r\n", "x".repeat(24))), "{text:?}");
        }
        let mut drawn = Drawn::default();
        draw(&mut drawn, &[&long], 120, true);
        assert!(draw(&mut drawn, &[&long], 50, true).starts_with("\x1b[1A\rx"));
        // A window that grows joins what was broken, and what is drawn never is.
        assert!(draw(&mut drawn, &[&long], 120, true).starts_with("\rx"));
    }
}
