//! Staged images that are processed again: their lines, and their bar.
//!
//! The bar is only drawn when something happens, not with time: the command may be asking for a password on the same
//! terminal, and what it asked must not be drawn over.

use std::fmt::Write as _;

use indicatif::ProgressBar;

use crate::event::{Event, Live, StagedFile};
use crate::sanitize::{printable, printable_short};
use crate::units::{human, human_seconds};

use super::layout::{Layout, Shown};
use super::{HASH_SHOWN, NAME_SHOWN, Terminal, Verbosity};

/// How far it is.
#[derive(Default)]
pub(super) struct Counts {
    images: usize,
    bytes: u64,
    done: usize,
    done_bytes: u64,
    running: Vec<StagedFile>,
}

impl Counts {
    pub(super) fn new(images: usize, bytes: u64) -> Counts {
        Counts { images, bytes, ..Counts::default() }
    }

    /// Takes note of an event; returns whether anything has to be drawn.
    pub(super) fn observe(&mut self, event: &Event<'_>) -> bool {
        match event {
            Event::ReprocessStart { image, .. } => self.running.push((*image).clone()),
            Event::ReprocessComplete { image, .. } => self.running.retain(|running| running != *image),
            Event::Live(Live::Done(image)) => {
                self.done += 1;
                self.done_bytes = self.done_bytes.saturating_add(image.size);
            }
            _ => return false,
        }
        true
    }

    pub(super) fn show(&self, bar: &ProgressBar) {
        let layout = Layout::current();
        let mut message = String::new();
        if let Some(image) = self.running.first() {
            message.push_str(", ");
            message.push_str(&printable_short(&image.name, HASH_SHOWN));
        }
        if self.running.len() > 1 {
            write!(message, " and {} more", self.running.len() - 1).expect("a String takes everything");
        }
        bar.set_length(self.bytes);
        bar.set_prefix(layout.count(self.done, self.images, "images"));
        let (position, length) = (self.done_bytes, self.bytes);
        layout.show(bar, &Shown { position, length, more: &message, ..Shown::default() });
    }
}

/// Says what happens to staged images.
pub(super) fn tell(terminal: &Terminal, event: &Event<'_>) {
    match event {
        Event::ReprocessStart { image, .. } => {
            terminal.line(Verbosity::Archives, &format!("{}: started, {}", path_of(image), human(image.size)));
        }
        Event::ReprocessComplete { image, outcome } if outcome.end.is_success() => {
            let text = format!("{}: reprocessed in {}", path_of(image), human_seconds(outcome.seconds));
            terminal.line(Verbosity::Archives, &text);
        }
        Event::ReprocessComplete { image, outcome } => {
            let text = format!(
                "{}: {}; its output is in {}",
                path_of(image),
                outcome.end,
                printable(outcome.output.as_os_str().as_encoded_bytes())
            );
            terminal.error(event, &text);
        }
        Event::Removed { image } => {
            terminal.line(Verbosity::Archives, &format!("{}: removed from staging", path_of(image)));
        }
        Event::Live(Live::Output(image, line)) => {
            let name = printable_short(&image.name, NAME_SHOWN);
            let line = String::from_utf8_lossy(line).replace('\t', "    ");
            terminal.line(Verbosity::Archives, &format!("{name}: {line}"));
        }
        Event::Live(Live::Note(text)) => terminal.line(Verbosity::Normal, &format!("imgsieve: {text}")),
        _ => {}
    }
}

fn path_of(image: &StagedFile) -> String {
    printable(image.path.as_os_str().as_encoded_bytes())
}
