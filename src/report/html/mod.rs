//! The report as a page: one file that needs nothing else, and lets nothing in.
//!
//! The glance, the drawings of runs and a plain summary are made here and stand without a script. The list of archives,
//! with the maps of their images, is drawn by the page's script from compact data when it comes into view. Names in a log
//! are hostile: the template escapes them, [`embed`] keeps data inside its element, the script makes text and never
//! markup of them, and the page's policy lets nothing run but the texts that are built in.

mod data;
mod embed;
mod glance;
#[cfg(test)]
mod palette;
mod place;
mod save;
mod timeline;
mod verdict;
mod words;

use std::io::{self, Write};
use std::time::SystemTime;

use askama::Template;

use crate::account::{Account, ArchiveEnd, Problem};

use super::Report;

use glance::Glance;
use timeline::Drawing;
use verdict::Verdict;

pub use save::replace;

/// Rows of the summary that stands without a script.
const PLAIN_MOST: usize = 300;
/// Problems of a run that are shown.
const PROBLEMS_MOST: usize = 100;

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = concat!(
    "'use strict';\n(() => {\n",
    include_str!("script/data.js"),
    include_str!("script/dom.js"),
    include_str!("script/map.js"),
    include_str!("script/detail.js"),
    include_str!("script/list.js"),
    include_str!("script/filter.js"),
    include_str!("script/timeline.js"),
    include_str!("script/start.js"),
    "})();\n"
);

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    policy: String,
    style: &'a str,
    script: &'a str,
    data: String,
    collection: Option<String>,
    title: String,
    story: String,
    version: Option<String>,
    glance: Glance,
    drawings: Vec<Drawing>,
    /// Runs that are not drawn.
    runs_more: usize,
    problems: Vec<Told>,
    /// Problems that are not shown.
    problems_more: u64,
    plain: Vec<PlainRow>,
    /// Archives that the plain summary leaves out.
    plain_more: usize,
    unlisted: u64,
    omitted: bool,
    unreadable: u64,
    log: String,
    made: String,
}

/// A problem of a run.
struct Told {
    reason: String,
    message: String,
    path: Option<String>,
}

/// An archive in the summary that stands without a script.
struct PlainRow {
    hash: String,
    words: &'static str,
    found: String,
}

/// Writes the page of `report`, made at a time. Its length and the memory that it takes are bounded.
pub fn write(report: &Report, made: SystemTime, out: &mut dyn Write) -> io::Result<()> {
    let account = &report.account;
    let spans = place::spans(account);
    let verdicts: Vec<Verdict> = account.archives.iter().map(Verdict::of).collect();
    let (drawings, runs_more) = timeline::drawings(account, &spans, &verdicts);
    let mut lengths = vec![0; account.runs.len()];
    for drawing in &drawings {
        lengths[drawing.run] = drawing.length;
    }
    let data = data::of(report, &spans, &verdicts, &lengths);
    let (plain, plain_more) = plain(account, &verdicts);
    let (problems, problems_more) = problems(account);
    let run = account.runs.last();
    let mut out = out;
    Page {
        policy: embed::policy(STYLE, SCRIPT),
        style: STYLE,
        script: SCRIPT,
        data: embed::json(&data)?,
        collection: data::collection(account),
        title: run.map_or(String::new(), words::run_title),
        story: run.map_or(String::new(), words::run_story),
        version: run.and_then(|run| run.start.version.as_deref()).map(|version| words::name(version.as_bytes())),
        glance: glance::glance(report, &verdicts),
        drawings,
        runs_more,
        problems,
        problems_more,
        plain,
        plain_more,
        unlisted: data.unlisted + account.archives_more,
        omitted: data.omitted,
        unreadable: account.reading.unreadable,
        log: words::name(report.log.as_os_str().as_encoded_bytes()),
        made: words::moment(made),
    }
    .write_into(&mut out)?;
    out.write_all(b"\n")
}

/// Errors and warnings outside archives, and how many of them are not shown.
fn problems(account: &Account) -> (Vec<Told>, u64) {
    let told = |problem: &Problem| Told {
        reason: words::name(problem.reason.as_bytes()),
        message: words::sentence(&problem.message),
        path: problem.path.as_ref().map(|path| words::name(path.bytes())),
    };
    let all = || account.runs.iter().rev().flat_map(|run| run.problems.iter().chain(&run.warnings));
    let problems: Vec<Told> = all().take(PROBLEMS_MOST).map(told).collect();
    let untold = account.runs.iter().map(|run| run.problems_more).sum::<u64>();
    let more = (all().count() - problems.len()) as u64 + untold;
    (problems, more)
}

/// The archives that a page without a script lists: those with errors, and those with two partitions or more.
fn plain(account: &Account, verdicts: &[Verdict]) -> (Vec<PlainRow>, usize) {
    let wanted = [Verdict::Undecided, Verdict::Open, Verdict::Multi];
    let row = |index: usize| {
        let archive = &account.archives[index];
        let found = match &archive.end {
            ArchiveEnd::Failed(problem) => problem.message.as_str(),
            _ => archive.images.iter().find(|image| image.partitions != Some(0)).map_or("", |image| image.found()),
        };
        PlainRow {
            hash: words::name(archive.hash.bytes()),
            words: verdicts[index].words(),
            found: words::sentence(found),
        }
    };
    let of = |verdict| (0..verdicts.len()).filter(move |&index| verdicts[index] == verdict);
    let rows: Vec<PlainRow> = wanted.into_iter().flat_map(of).take(PLAIN_MOST).map(row).collect();
    let more = verdicts.len() - rows.len();
    (rows, more)
}
