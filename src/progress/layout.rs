//! What bars look like in a window of a given width.
//!
//! A terminal has 80 columns unless somebody made it wider. Where there is less room, words go first, then the bar, then the
//! figures that the others tell; per cent and the time that is left stay. Where there is more, lines are hardly longer all
//! the same: what a window that shrinks breaks in two pushes as much off at its top.

use indicatif::{ProgressBar, ProgressStyle};

use crate::units::{human, human_seconds};

use super::estimate::Rest;

/// How much room there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Layout {
    /// For a bar between a short name and figures.
    #[default]
    Wide,
    /// For figures only.
    Narrow,
    /// For per cent and the time that is left.
    Tiny,
}

/// Columns from which on there is room for each.
const WIDE: u16 = 79;
const NARROW: u16 = 44;
/// Characters of the figures with which a line still fits 80 columns.
const FIGURES: usize = 41;
/// Standard errors up to which a time is said, or a range: the first is about right within a fifth.
pub(super) const SURE: f64 = 0.1;
const GUESS: f64 = 0.5;
/// Characters of a name where a bar follows it: as many as `12 of 38 archives` has.
const NAME: usize = 17;

/// A bar that has come to a place, and what more there is to say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown<'a> {
    /// Bytes done.
    pub position: u64,
    /// Bytes in all.
    pub length: u64,
    /// Bytes a second, and seconds left, where they are known.
    pub rate: Option<u64>,
    pub rest: Option<Rest>,
    /// More words, with a comma before them.
    pub more: &'a str,
}

impl Layout {
    /// For the terminal on stderr. One that does not report its size is wide.
    pub fn current() -> Layout {
        let columns = rustix::termios::tcgetwinsize(std::io::stderr()).map_or(0, |size| size.ws_col);
        if columns == 0 { Layout::Wide } else { Layout::of(columns) }
    }

    /// For so many columns.
    pub fn of(columns: u16) -> Layout {
        match columns {
            WIDE.. => Layout::Wide,
            NARROW.. => Layout::Narrow,
            _ => Layout::Tiny,
        }
    }

    /// With `wide_msg` no line is longer than the terminal is wide.
    pub fn archive_style(self) -> ProgressStyle {
        match self {
            Layout::Wide => self.total_style(),
            Layout::Narrow | Layout::Tiny => style("{prefix:8!} {wide_msg}"),
        }
    }

    /// As [`Layout::archive_style`], of the bar below those of archives.
    pub fn total_style(self) -> ProgressStyle {
        match self {
            Layout::Wide => style("{prefix:17!} {bar:16} {wide_msg}"),
            Layout::Narrow | Layout::Tiny => style("{wide_msg}"),
        }
    }

    /// `12 of 38 archives`, or shorter.
    pub fn count(self, done: usize, of: usize, noun: &str) -> String {
        let words = format!("{done} of {of} {noun}");
        if self == Layout::Wide && words.len() > NAME { format!("{done} of {of}") } else { words }
    }

    /// Shows how far a bar is: its share and its bytes are of one moment.
    pub fn show(self, bar: &ProgressBar, shown: &Shown<'_>) {
        bar.set_position(shown.position);
        bar.set_message(self.message(shown));
    }

    fn message(self, shown: &Shown<'_>) -> String {
        let Shown { position, length, rate, rest, more } = *shown;
        let percent = u128::from(position) * 100 / u128::from(length.max(1));
        let rest = rest.and_then(left).map_or(String::new(), |left| format!(", {left} left"));
        let bytes = match self {
            Layout::Tiny => String::new(),
            _ => format!(" {} of {}", human(position), human(length)),
        };
        let with = |rate: &str| format!("{percent:>3}%{bytes}{rate}{rest}{more}");
        let rate = rate.filter(|_| self == Layout::Wide).map(|rate| with(&format!(", {}/s", human(rate))));
        rate.filter(|message| message.chars().count() <= FIGURES).unwrap_or_else(|| with(""))
    }
}

/// `3 min 20 s`, or `3–5 min` where it is not known so well; none where it is not known.
fn left(rest: Rest) -> Option<String> {
    let Rest { seconds, error } = rest;
    match error {
        ..=SURE => return Some(human_seconds(seconds)),
        ..=GUESS => {}
        _ => return None,
    }
    let (least, most) = rest.range();
    let (unit, name) = match most {
        ..100.0 => (1.0, "s"),
        ..6000.0 => (60.0, "min"),
        _ => (3600.0, "h"),
    };
    let (least, most) = ((least / unit).floor(), (most / unit).ceil());
    Some(if least < 1.0 { format!("up to {most} {name}") } else { format!("{least}–{most} {name}") })
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("a valid template").progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_fits_each_width_that_it_is_for() {
        // As long as it gets: a run of days over a collection of many TB.
        let shown = Shown {
            position: 123_456_000_000_000,
            length: 234_567_000_000_000,
            rate: Some(1_234_000_000),
            rest: Some(Rest { seconds: 29.0 * 3600.0 + 59.0 * 60.0, error: 0.0 }),
            more: "",
        };
        for (columns, around) in [(300, NAME + 16 + 2 + 300 - 79), (79, NAME + 16 + 2), (44, 0), (25, 0)] {
            let message = Layout::of(columns).message(&shown);
            assert!(around + message.chars().count() <= usize::from(columns) - 3, "{columns}: {message}");
            assert!(message.contains("left"), "{message}");
        }
    }

    #[test]
    fn a_time_that_is_not_well_known_is_said_as_a_range_or_not_at_all() {
        let said = |seconds, error| left(Rest { seconds, error });
        assert_eq!(said(200.0, 0.05).as_deref(), Some("3 min 20 s"));
        assert_eq!(said(200.0, 0.2).as_deref(), Some("1–5 min"));
        assert_eq!(said(40.0, 0.2).as_deref(), Some("20–60 s"));
        assert_eq!(said(36000.0, 0.2).as_deref(), Some("5–15 h"));
        assert_eq!(said(200.0, 0.5).as_deref(), Some("up to 8 min"));
        assert_eq!(said(200.0, 0.7), None);
    }

    #[test]
    fn eighty_columns_have_a_bar() {
        assert_eq!([79, 80, 300].map(Layout::of), [Layout::Wide; 3]);
        assert_eq!([43, 44, 78].map(Layout::of), [Layout::Tiny, Layout::Narrow, Layout::Narrow]);
        assert_eq!(Layout::Wide.count(12, 38, "archives"), "12 of 38 archives");
        assert_eq!(Layout::Wide.count(1200, 3800, "archives"), "1200 of 3800");
    }
}
