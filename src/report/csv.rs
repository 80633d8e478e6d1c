//! The report as comma-separated values: a row an image.

use std::io::{self, Write};

use crate::account::{ArchiveAccount, ArchiveEnd, Problem, Run, Verification};
use crate::log::Name;
use crate::log::record::{LeftOutFile, PartitionCheck, Table};
use crate::reason::{Reason, Told};
use crate::sanitize::{printable, printable_line};

use super::{ImageState, Report};

/// The columns.
const HEADER: [&str; 21] = [
    "run",
    "hash",
    "archive",
    "img",
    "ordinal",
    "size_bytes",
    "action",
    "state",
    "partitions",
    "table",
    "sector_size",
    "damaged",
    "file_systems",
    "found",
    "reason",
    "message",
    "path",
    "verified",
    "rescued_pct",
    "verification",
    "complete",
];

impl Report {
    /// Writes a header and a row an image, an archive without one, and a file that was left out, as RFC 4180 has it.
    pub fn write_csv(&self, out: &mut dyn Write) -> io::Result<()> {
        write_row(out, &HEADER.map(str::to_owned))?;
        for (archive, states) in self.account.archives.iter().zip(&self.states) {
            let run = self.account.run_of(archive);
            let verification = self.account.verifications.get(&archive.hash).map_or("", Verification::state);
            for (image, state) in archive.images.iter().zip(states) {
                write_row(out, &row(run, archive, image, state, verification))?;
            }
            if archive.images.is_empty() {
                write_row(out, &row_of_archive(run, archive, verification))?;
            }
        }
        for run in self.covering_runs() {
            for problem in run.problems.iter().filter(|problem| problem.path.is_some()) {
                write_row(out, &row_of_problem(run, problem))?;
            }
        }
        for rule in self.left_out() {
            for file in rule.files {
                write_row(out, &row_of_file(rule.run, rule.rule, file))?;
            }
        }
        Ok(())
    }
}

fn row(
    run: &str,
    archive: &ArchiveAccount,
    image: &PartitionCheck,
    state: &ImageState,
    verification: &str,
) -> [String; HEADER.len()] {
    let name = |name: Option<&Name>| name.map_or(String::new(), |name| printable(name.bytes()));
    let word = |text: Option<&str>| text.map_or(String::new(), |text| printable(text.as_bytes()));
    let sentence = |text: Option<&str>| text.map_or(String::new(), printable_line);
    let file_systems = image
        .partitions()
        .iter()
        .filter(|partition| matches!(partition.kind.as_str(), "primary" | "logical" | "nested"))
        .map(|partition| word(Some(partition.fs.as_deref().unwrap_or("?"))));
    let table = image.table.as_ref().filter(|table| table.label.is_some());
    [
        printable(run.as_bytes()),
        name(Some(&archive.hash)),
        name(archive.path.as_ref()),
        name(Some(&image.image.img)),
        image.ordinal().to_string(),
        image.size().to_string(),
        printable(image.action.as_bytes()),
        state.as_str().to_owned(),
        image.partitions.map_or(String::new(), |count| count.to_string()),
        word(table.and_then(|table| table.label.as_deref())),
        image.table.as_ref().and_then(|table| table.sector_size).map_or(String::new(), |size| size.to_string()),
        table.map_or(String::new(), |table: &Table| table.damaged.to_string()),
        if table.is_some() {
            file_systems.collect::<Vec<_>>().join(" ")
        } else {
            word(image.whole_disk().map(|whole| whole.fs.as_str()))
        },
        printable_line(image.found()),
        sentence(image.reason.as_ref().map(Told::as_str)),
        sentence(image.message.as_deref()),
        name(image.path.as_ref()),
        image.verified.flatten().map_or(String::new(), |verified| verified.to_string()),
        image.rescued_pct.map_or(String::new(), |percent| percent.to_string()),
        verification.to_owned(),
        completeness(archive).to_owned(),
    ]
}

/// Whether an archive was read to its end.
fn completeness(archive: &ArchiveAccount) -> &'static str {
    match &archive.end {
        ArchiveEnd::Complete { totals, .. } if totals.is_complete() => "true",
        _ => "false",
    }
}

/// An archive in which no image was found.
fn row_of_archive(run: &str, archive: &ArchiveAccount, verification: &str) -> [String; HEADER.len()] {
    let (state, reason, message) = match &archive.end {
        ArchiveEnd::Open => ("unfinished", String::new(), String::new()),
        ArchiveEnd::Failed(problem) => ("error", printable_line(&problem.reason), printable_line(&problem.message)),
        ArchiveEnd::Complete { totals, .. } if !totals.is_complete() => {
            let message = "no image at the beginning of the archive".to_owned();
            ("partial", Reason::NotLookedAt.as_str().to_owned(), message)
        }
        ArchiveEnd::Complete { .. } => {
            let message = archive.warnings.iter().find(|warning| warning.reason == Reason::NoImage.as_str());
            let message = message.map_or(String::new(), |warning| printable_line(&warning.message));
            ("without_image", Reason::NoImage.as_str().to_owned(), message)
        }
    };
    let path = archive.path.as_ref().map_or(String::new(), |path| printable(path.bytes()));
    sparse_row(&[
        ("run", printable(run.as_bytes())),
        ("hash", printable(archive.hash.bytes())),
        ("archive", path),
        ("state", state.to_owned()),
        ("reason", reason),
        ("message", message),
        ("verification", verification.to_owned()),
        ("complete", completeness(archive).to_owned()),
    ])
}

/// What has the name of an archive, and cannot be one.
fn row_of_problem(run: &Run, problem: &Problem) -> [String; HEADER.len()] {
    sparse_row(&[
        ("run", printable(run.id.as_bytes())),
        ("archive", problem.path.as_ref().map_or(String::new(), |path| printable(path.bytes()))),
        ("state", "error".to_owned()),
        ("reason", printable_line(&problem.reason)),
        ("message", printable_line(&problem.message)),
    ])
}

/// A file of the collection that was left out.
fn row_of_file(run: &Run, rule: &str, file: &LeftOutFile) -> [String; HEADER.len()] {
    sparse_row(&[
        ("run", printable(run.id.as_bytes())),
        ("archive", printable(file.archive.bytes())),
        ("size_bytes", file.size_bytes.map_or(String::new(), |size| size.to_string())),
        ("state", "left_out".to_owned()),
        ("reason", printable_line(rule)),
        ("message", file.reason.as_deref().map_or(String::new(), printable_line)),
    ])
}

/// A row with only these cells, each with the name of its column.
fn sparse_row(cells: &[(&str, String)]) -> [String; HEADER.len()] {
    HEADER.map(|column| cells.iter().find(|(name, _)| *name == column).map_or(String::new(), |(_, cell)| cell.clone()))
}

fn write_row(out: &mut dyn Write, cells: &[String]) -> io::Result<()> {
    for (index, cell) in cells.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        write!(out, "{comma}{}", quoted(&inert(cell)))?;
    }
    out.write_all(b"\r\n")
}

/// `cell` as no spreadsheet takes it for a formula: the character that makes it one is written as an escape, as the others
/// are that a terminal obeys.
fn inert(cell: &str) -> String {
    match cell.chars().next() {
        // The wide forms are taken for the others where those are typed by an input method.
        Some(first @ ('=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠')) => {
            let rest = &cell[first.len_utf8()..];
            if first.is_ascii() {
                format!("\\x{:02x}{rest}", u32::from(first))
            } else {
                format!("{}{rest}", first.escape_unicode())
            }
        }
        _ => cell.to_owned(),
    }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', ';', '\'']) || cell.starts_with(' ') || cell.ends_with(' ') {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_spreadsheet_would_compute_is_escaped() {
        for (cell, written) in [
            ("=1+1", r"\x3d1+1"),
            ("+1", r"\x2b1"),
            ("-1", r"\x2d1"),
            ("@SUM(A1)", r"\x40SUM(A1)"),
            ("＝1", r"\u{ff1d}1"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(inert(cell), written);
        }
    }

    #[test]
    fn what_would_end_a_cell_is_quoted() {
        assert_eq!(quoted(r#"a,"b""#), r#""a,""b""""#);
        assert_eq!(quoted("plain.img"), "plain.img");
    }
}
