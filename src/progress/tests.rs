use indicatif::{InMemoryTerm, TermLike};

use super::*;
use crate::cause::Cause;
use crate::config::{Config, Site};
use std::collections::BTreeMap;

use crate::event::{LeftOutBy, Mark, Start};
use crate::reason::Reason;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("UTF-8")
    }
}

fn archive(rank: usize) -> Arc<Archive> {
    let hash = format!("{rank:032x}");
    let path = format!("/cold/{hash}.tar.zst").into();
    Arc::new(Archive {
        path,
        hash: hash.into(),
        size: 1_000_000,
        mtime: None,
        mark: Mark::Inode { ctime: "0.000000000".to_owned(), inode: 1 },
        rank,
    })
}

#[test]
fn lines_say_what_and_where_with_nothing_a_terminal_obeys() {
    let lines = Lines::default();
    let terminal = Terminal::new(Verbosity::Normal, None, Box::new(lines.clone()));
    let archive = Archive { path: "/cold/\x1b[2J.tar.zst".into(), ..(*archive(1)).clone() };
    let cause = Cause::new(Reason::Truncated, "it ends at byte 5");
    terminal
        .observe(&Event::ArchiveFailed {
            archive: &archive,
            totals: &ArchiveTotals::default(),
            left_out: &BTreeMap::new(),
            cause: &cause,
        })
        .expect("taken");
    assert_eq!(lines.text(), "imgsieve: error: /cold/\\u{1b}[2J.tar.zst: it ends at byte 5\n");
}

#[test]
fn quiet_tells_errors_only() {
    let lines = Lines::default();
    let terminal = Terminal::new(Verbosity::Quiet, None, Box::new(lines.clone()));
    let cause = Cause::new(Reason::Io, "y");
    terminal.observe(&Event::Warning { scope: Scope::Run, cause: &cause }).expect("taken");
    assert_eq!(lines.text(), "");
    terminal.observe(&Event::Error { scope: Scope::Run, cause: &cause }).expect("taken");
    assert_eq!(lines.text(), "imgsieve: error: y\n");
}

#[test]
fn eight_archives_have_eight_bars_and_one_for_the_run_and_none_when_done() {
    let term = InMemoryTerm::new(24, 100);
    let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), DRAW_HZ);
    let terminal = Terminal::new(Verbosity::Normal, Some(target), Box::new(Lines::default()));
    let left_out = LeftOutBy::default();
    let start = Start {
        min_archive_size: 0,
        options: &[],
        total_archives: 8,
        total_bytes: 8_000_000,
        left_out: &left_out,
        dry_run: true,
        jobs: 8,
        rules: Config::new(Site::built_in()).rules(),
        resumed: None,
        space: None,
        minimum: None,
        part: None,
    };
    terminal.observe(&Event::ScriptStart { start: &start }).expect("taken");
    for rank in 1..=8 {
        let event = Event::ArchiveStart { archive: &archive(rank), meter: &Arc::default(), worker: 0 };
        terminal.observe(&event).expect("taken");
    }
    terminal.bars.as_ref().expect("bars").draw();
    let shown = term.contents();
    assert_eq!(shown.lines().count(), 9, "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= usize::from(term.width())), "{shown}");
    assert!(shown.lines().last().expect("a line").starts_with("0 of 8 archives"), "{shown}");
    terminal.finish();
    assert_eq!(term.contents(), "");
}

#[test]
fn archives_that_are_verified_and_bytes_that_are_extracted_have_bars() {
    let term = InMemoryTerm::new(24, 100);
    let new = || {
        let target = ProgressDrawTarget::term_like_with_hz(Box::new(term.clone()), DRAW_HZ);
        Terminal::new(Verbosity::Normal, Some(target), Box::new(Lines::default()))
    };
    let draw = |terminal: &Terminal| {
        terminal.bars.as_ref().expect("bars").draw();
        term.contents()
    };
    let terminal = new();
    let tell = |terminal: &Terminal, event: &Event<'_>| terminal.observe(event).expect("taken");
    tell(&terminal, &Event::Live(Live::Verifying { archives: 2, bytes: 2_000_000 }));
    let archive = archive(1);
    tell(&terminal, &Event::Live(Live::Reading(&archive, &Arc::default())));
    assert_eq!(draw(&terminal).lines().count(), 2);
    tell(&terminal, &Event::ArchiveVerified { archive: &archive, verified: &crate::event::Verified::default() });
    let shown = draw(&terminal);
    assert!(shown.starts_with("1 of 2 archives") && shown.contains("50%"), "{shown}");
    terminal.finish();
    let terminal = new();
    let done = Arc::new(AtomicU64::new(250));
    tell(&terminal, &Event::Live(Live::Extracting { bytes: 1000, done: &done }));
    let shown = draw(&terminal);
    assert!(shown.starts_with("extracting") && shown.contains("25%"), "{shown}");
    terminal.finish();
    assert_eq!(term.contents(), "");
}
