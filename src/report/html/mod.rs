//! The report as a page: one file that needs nothing else, and lets nothing in.
//!
//! What needs attention, the glance, the drawings of runs and a plain summary are made here and stand without a script. The list of archives,
//! with the maps of their images, is drawn by the page's script from compact data when it comes into view. Names in a log
//! are hostile: the template escapes them, [`embed`] keeps data inside its element, the script makes text and never
//! markup of them, and the page's policy lets nothing run but the texts that are built in.

mod advice;
mod collection;
mod data;
mod embed;
mod glance;
mod need;
#[cfg(test)]
mod palette;
mod place;
mod save;
mod timeline;
mod todo;
mod verdict;
mod verified;
mod words;

use std::io::{self, Write};
use std::time::SystemTime;

use askama::Template;

use crate::account::{Account, ArchiveEnd, Problem};

use super::{Context, Report};

use collection::Skipped;
use glance::Glance;
use need::Need;
use timeline::Drawing;
use verdict::Verdict;
use verified::Verified;

pub use save::{Error as SaveError, replace};

/// Rows of the summary that stands without a script.
const PLAIN_MOST: usize = 300;
/// Warnings of runs that are shown.
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
    /// The folders of the collection.
    folders: Vec<String>,
    /// Folders that are not named.
    folders_more: usize,
    /// What the last run is called and how it went.
    story: String,
    /// By which rules it chose.
    rules: String,
    skipped: Vec<Skipped>,
    /// Archives on the skip list that are not named.
    skipped_more: u64,
    todo: [todo::Block; 3],
    version: Option<String>,
    glance: Glance,
    drawings: Vec<Drawing>,
    /// Runs that are not drawn.
    runs_more: usize,
    warnings: Vec<Told>,
    /// Warnings that are not shown.
    warnings_more: u64,
    plain: Vec<PlainRow>,
    /// Archives that the plain summary leaves out.
    plain_more: usize,
    unlisted: u64,
    omitted: bool,
    unreadable: u64,
    log: String,
    made: String,
}

/// A warning of a run.
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
pub fn write(report: &Report, context: &Context, made: SystemTime, out: &mut dyn Write) -> io::Result<()> {
    let account = &report.account;
    let verified = Verified::of(report);
    let spans = place::spans(account);
    let verdicts: Vec<Verdict> = account.archives.iter().map(Verdict::of).collect();
    let (drawings, runs_more) = timeline::drawings(account, &spans, &verdicts);
    let mut lengths = vec![0; account.runs.len()];
    for drawing in &drawings {
        lengths[drawing.run] = drawing.length;
    }
    let data = data::of(report, &verified, &spans, &verdicts, &lengths);
    let (plain, plain_more) = plain(report, &verified, &verdicts);
    let (warnings, warnings_more) = warnings(account);
    let (folders, folders_more) = collection::folders(account);
    let run = account.runs.last();
    let (skipped, skipped_more) = run.map_or((Vec::new(), 0), collection::skipped);
    let mut out = out;
    Page {
        policy: embed::policy(STYLE, SCRIPT),
        style: STYLE,
        script: SCRIPT,
        data: embed::json(&data)?,
        folders,
        folders_more,
        story: run.map_or(String::new(), |run| format!("{}, {}", words::run_title(run), words::run_story(run))),
        rules: run.map_or(String::new(), words::run_rules),
        skipped,
        skipped_more,
        todo: todo::blocks(report, context, &verified, &verdicts),
        version: run.and_then(|run| run.start.version.as_deref()).map(|version| words::name(version.as_bytes())),
        glance: glance::glance(report, &verified, &verdicts),
        drawings,
        runs_more,
        warnings,
        warnings_more,
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

/// Warnings outside archives, and how many of them are not shown.
fn warnings(account: &Account) -> (Vec<Told>, u64) {
    let told = |problem: &Problem| Told {
        reason: words::name(problem.reason.as_bytes()),
        message: words::sentence(&problem.message),
        path: problem.path.as_ref().map(|path| words::name(path.bytes())),
    };
    let all = || account.runs.iter().rev().flat_map(|run| &run.warnings);
    let warnings: Vec<Told> = all().take(PROBLEMS_MOST).map(told).collect();
    let untold = account.runs.iter().map(|run| run.warnings_more).sum::<u64>();
    let more = (all().count() - warnings.len()) as u64 + untold;
    (warnings, more)
}

/// The archives that a page without a script lists: those that need somebody, and those with two partitions or more.
fn plain(report: &Report, verified: &Verified<'_>, verdicts: &[Verdict]) -> (Vec<PlainRow>, usize) {
    let archives = &report.account.archives;
    let row = |index: usize| {
        let archive = &archives[index];
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
    let need = |index: usize| Need::of(&archives[index], &report.states[index], verified.state(&archives[index].hash));
    let mut wanted: Vec<(Need, usize)> = (0..verdicts.len()).map(|index| (need(index), index)).collect();
    wanted.retain(|&(need, index)| !need.is_nothing() || verdicts[index] == Verdict::Multi);
    wanted.sort_unstable();
    let rows: Vec<PlainRow> = wanted.into_iter().take(PLAIN_MOST).map(|(_, index)| row(index)).collect();
    let more = verdicts.len() - rows.len();
    (rows, more)
}
