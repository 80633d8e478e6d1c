//! The log: JSON Lines, appended to, one object a line, one `write` a line.
//!
//! Every field is made in this file. The stages and fields of the script that this program replaces are fixed; what is
//! added stands after them. A reader finds only whole lines, to the last byte, except where the machine died in the
//! middle of a write: such a torn line is ended by the next run before it writes its own.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use crate::cause::Cause;
use crate::control::Stop;
use crate::event::{
    Action, Archive, ArchiveTotals, Check, CommandEnd, Event, Image, NAME_LIMIT, Observer, Outcome, RunTotals, Scope,
    StagedFile, Start,
};
use crate::sanitize;
use crate::units::gigabytes;

/// Partitions of one image that are listed; `partitions` has their number. No kind of table in use has more.
const LISTED_PARTITIONS: usize = 128;

/// The log of a run.
pub struct Journal {
    path: PathBuf,
    run: String,
    file: Mutex<File>,
}

/// Why the log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("opening the log {path}")]
pub struct Error {
    path: PathBuf,
    source: io::Error,
}

impl Error {
    /// Whether what stands there is no log.
    #[must_use]
    pub fn is_foreign(&self) -> bool {
        matches!(self.source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::IsADirectory)
    }
}

impl Journal {
    /// Opens the log at `path` for append, making it, and the folder it is in, where they are not. `run` marks every
    /// line.
    pub fn open(path: &Path, run: String) -> Result<Journal, Error> {
        let open = || {
            if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                std::fs::create_dir_all(folder)?;
            }
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            // A pipe or a terminal has no last line to look at.
            if file.metadata()?.is_file() {
                check_is_log(&mut file)?;
                end_torn_line(&mut file)?;
            }
            Ok(file)
        };
        match open() {
            Ok(file) => Ok(Journal { path: path.to_owned(), run, file: Mutex::new(file) }),
            Err(source) => Err(Error { path: path.to_owned(), source }),
        }
    }

    fn is_lost(&self, error: &io::Error) -> Stop {
        Stop::Observer(format!("the log {} can no longer be written: {error}", self.path.display()))
    }

    fn append(&self, stage: &str, fields: Vec<(&'static str, Value)>) -> io::Result<()> {
        let mut object = Map::new();
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        object.insert("ts".to_owned(), json!(now.to_string()));
        object.insert("stage".to_owned(), json!(stage));
        object.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        object.insert("run".to_owned(), json!(self.run));
        let mut line = sanitize::json(&serde_json::to_string(&object)?).into_bytes();
        line.push(b'\n');
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // One write, so that two runs that share a log do not mix their lines; a short one is a full disk.
        loop {
            match file.write(&line) {
                Ok(written) if written == line.len() => return Ok(()),
                Ok(_) => return Err(io::ErrorKind::StorageFull.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// Refuses to append to what is no log: a slip of the hand must not add to an archive.
fn check_is_log(file: &mut File) -> io::Result<()> {
    let mut first = [0];
    match file.read(&mut first)? {
        1 if first != *b"{" => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it is no log, it begins with something else"))
        }
        _ => Ok(()),
    }
}

/// Ends a last line that has no end: a crash or a full disk tore it.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::Start(length - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

impl Observer for Journal {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        let Some((stage, fields)) = line_of(event) else { return Ok(()) };
        self.append(stage, fields).map_err(|error| self.is_lost(&error))
    }

    fn sync(&self) -> Result<(), Stop> {
        let file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.sync_data().map_err(|error| self.is_lost(&error))
    }
}

type Fields = Vec<(&'static str, Value)>;

/// The stage and the fields of each event that is logged.
fn line_of(event: &Event<'_>) -> Option<(&'static str, Fields)> {
    Some(match event {
        Event::ScriptStart { start } => ("script_start", script_start(start)),
        Event::ArchiveResumed { archive, earlier } => {
            let mut fields = of_archive(archive);
            fields.extend([
                ("rank", json!(archive.rank)),
                ("size_bytes", json!(archive.size)),
                ("mtime", json!(archive.mtime)),
                ("by_run", json!(earlier.run)),
            ]);
            ("archive_resumed", fields)
        }
        Event::ArchiveStart { archive, worker, .. } => {
            let mut fields = of_archive(archive);
            fields.extend([
                ("size_gb", json!(gigabytes(archive.size))),
                ("rank", json!(archive.rank)),
                ("size_bytes", json!(archive.size)),
                ("mtime", json!(archive.mtime)),
                ("worker", json!(worker)),
            ]);
            push_name(&mut fields, ("archive", "archive_bytes"), archive.path.as_os_str().as_bytes());
            ("archive_start", fields)
        }
        Event::ExtractionStart { archive, destination } => {
            let mut fields = of_archive(archive);
            push_name(&mut fields, ("dest", "dest_bytes"), destination.as_os_str().as_bytes());
            ("extraction_start", fields)
        }
        Event::ImageFound { archive, image } => {
            let mut fields = of_image(archive, image);
            fields.extend([("size_gb", json!(gigabytes(image.size))), ("size_bytes", json!(image.size))]);
            ("img_found", fields)
        }
        Event::PartitionCheck { archive, image, check } => ("partition_check", partition_check(archive, image, check)),
        Event::Deferred { archive, image, cause } => {
            let mut fields = of_image(archive, image);
            fields.push(("size_bytes", json!(image.size)));
            fields.extend(of_cause(cause));
            ("deferred", fields)
        }
        Event::Cleanup { archive, removed_files, kept_images } => {
            let mut fields = of_archive(archive);
            fields.extend([("removed_files", json!(removed_files)), ("kept_imgs", json!(kept_images))]);
            ("cleanup", fields)
        }
        Event::ArchiveComplete { archive, totals, space } => {
            let mut fields = of_archive(archive);
            fields.extend([
                ("multipart_imgs", json!(totals.multi)),
                ("disk_free_pct", json!(space.map(|space| space.free_percent()))),
                ("available_bytes", json!(space.map(|space| space.available))),
                ("imgs", json!(totals.images)),
                ("compressed_bytes", json!(archive.size)),
            ]);
            fields.extend(of_totals(totals));
            ("archive_complete", fields)
        }
        Event::Warning { scope, cause } => ("warning", of_scope(*scope, cause)),
        Event::Error { scope, cause } => ("error", of_scope(*scope, cause)),
        Event::LowSpace { space, minimum } => (
            "low_space",
            vec![
                ("available_bytes", json!(space.available)),
                ("minimum_bytes", json!(minimum)),
                ("disk_free_pct", json!(space.free_percent())),
            ],
        ),
        Event::Abort { cause } => ("abort", of_cause(cause).to_vec()),
        Event::Interrupted { signal } => ("interrupted", vec![("signal", json!(signal_name(*signal)))]),
        Event::ScriptComplete { totals } => ("script_complete", script_complete(totals)),
        Event::ReprocessStart { image, command } => ("reprocess_start", reprocess_start(image, command)),
        Event::ReprocessComplete { image, outcome } => ("reprocess_complete", reprocess_complete(image, outcome)),
        Event::Removed { image } => ("removed", of_staged(image)),
        Event::Live(_) => return None,
    })
}

fn script_start(start: &Start) -> Fields {
    let left_out = start.left_out;
    let skipped: Vec<String> = left_out.skipped.iter().map(|(hash, _)| hash.to_string_lossy().into_owned()).collect();
    let mut fields = vec![
        ("total_archives", json!(start.total_archives)),
        ("total_bytes", json!(start.total_bytes)),
        ("skipped", json!(skipped)),
        ("too_small", json!(left_out.too_small)),
        ("not_selected", json!(left_out.not_selected)),
        ("other_endings", json!(left_out.other_endings)),
        ("dry_run", json!(start.dry_run)),
        ("jobs", json!(start.jobs)),
        ("version", json!(env!("CARGO_PKG_VERSION"))),
        ("rules", json!(start.rules)),
        ("available_bytes", json!(start.space.map(|space| space.available))),
        ("minimum_bytes", json!(start.minimum)),
    ];
    if let Some(resumed) = start.resumed {
        fields.extend([
            ("resumed_archives", json!(resumed.archives.len())),
            ("resumed_bytes", json!(resumed.bytes())),
            ("resumed_runs", json!(resumed.runs())),
        ]);
    }
    fields
}

fn partition_check(archive: &Archive, image: &Image, check: &Check) -> Fields {
    let mut fields = of_image(archive, image);
    let finding = check.finding.as_ref();
    fields.push(("partitions", json!(finding.and_then(|finding| finding.count))));
    fields.push(("action", json!(check.action.as_str())));
    let mut bytes_written = 0;
    match &check.action {
        Action::Kept(kept) => {
            push_name(&mut fields, ("path", "path_bytes"), kept.path.as_os_str().as_bytes());
            fields.push(("verified", json!(kept.verified)));
            fields.push(("existing", json!(kept.existing)));
            fields.push(("allocated_bytes", json!(kept.allocated)));
            bytes_written = kept.bytes_written;
        }
        Action::WouldKeep { at_most } => fields.push(("at_most_bytes", json!(at_most))),
        _ => {}
    }
    fields.push(("reason", json!(check.reason.as_ref().map(|cause| cause.code))));
    if let Some(cause) = &check.reason {
        fields.push(("message", json!(cause.message)));
    }
    fields.push(("bytes_written", json!(bytes_written)));
    fields.push(("size_bytes", json!(image.size)));
    if let Some(finding) = finding {
        fields.push(("verdict", json!(finding.verdict().as_str())));
        fields.push(("found", json!(finding.describe())));
        if let Some(rescued) = &finding.rescued {
            fields.push(("rescued_pct", json!(rescued.percent())));
            let unread = rescued.unread.iter().map(|area| json!([area.start, area.end - area.start]));
            fields.push(("unread_areas", unread.collect()));
        }
        fields.push(("table", Value::Object(finding.to_json())));
        fields.push(("partition_list", finding.partitions_json(LISTED_PARTITIONS)));
    }
    fields
}

fn script_complete(totals: &RunTotals) -> Fields {
    let mut fields = vec![
        ("total_multipart", json!(totals.sum.multi)),
        ("archives_checked", json!(totals.archives_checked)),
        ("archives_failed", json!(totals.archives_failed)),
        ("archives_resumed", json!(totals.resumed)),
        ("archives_without_image", json!(totals.without_image)),
        ("imgs", json!(totals.sum.images)),
        ("would_keep", json!(totals.would_keep)),
        ("deferred", json!(totals.deferred)),
        ("image_errors", json!(totals.image_errors)),
        ("errors", json!(totals.errors)),
        ("warnings", json!(totals.warnings)),
        ("compressed_bytes", json!(totals.compressed_bytes)),
    ];
    fields.extend(of_totals(&totals.sum));
    fields
}

fn reprocess_start(image: &StagedFile, command: &[OsString]) -> Fields {
    let mut fields = of_staged(image);
    fields.push(("command", command.iter().map(|word| json!(word.to_string_lossy())).collect()));
    if command.iter().any(|word| word.to_str().is_none()) {
        let exact = command.iter().map(|word| json!(sanitize::base64(word.as_bytes())));
        fields.push(("command_bytes", exact.collect()));
    }
    fields
}

fn reprocess_complete(image: &StagedFile, outcome: &Outcome) -> Fields {
    let mut fields = of_staged(image);
    let (exit_status, signal) = match outcome.end {
        CommandEnd::Exited(status) => (Some(status), None),
        CommandEnd::Signalled(number) => (None, Some(signal_name(number))),
        CommandEnd::Unknown(_) => (None, None),
    };
    fields.extend([("exit_status", json!(exit_status)), ("signal", json!(signal))]);
    if let CommandEnd::Unknown(cause) = &outcome.end {
        fields.extend(of_cause(cause));
    }
    fields.push(("seconds", json!((outcome.seconds * 1000.0).round() / 1000.0)));
    push_name(&mut fields, ("output", "output_bytes"), outcome.output.as_os_str().as_bytes());
    fields
}

fn of_totals(totals: &ArchiveTotals) -> [(&'static str, Value); 18] {
    [
        ("kept_imgs", json!(totals.kept)),
        ("bytes_written", json!(totals.bytes_written)),
        ("removed_files", json!(totals.removed_files)),
        ("members", json!(totals.members)),
        ("content_bytes", json!(totals.content_bytes)),
        ("decoded_bytes", json!(totals.decoded_bytes)),
        ("passed_over_bytes", json!(totals.passed_over_bytes)),
        ("sized_bytes", json!(totals.sized_bytes)),
        ("jumped_bytes", json!(totals.jumped_bytes)),
        ("traced_bytes", json!(totals.traced_bytes)),
        ("fallbacks", json!(totals.fallbacks)),
        ("requested_bytes", json!(totals.requested_bytes)),
        ("decoded_frames", json!(totals.frames)),
        ("checksummed_frames", json!(totals.checksummed_frames)),
        ("rewinds", json!(totals.rewinds)),
        ("engine", json!(totals.engine.as_str())),
        ("verified", json!(totals.verified)),
        ("seconds", json!((totals.seconds * 1000.0).round() / 1000.0)),
    ]
}

fn of_archive(archive: &Archive) -> Fields {
    let mut fields = Vec::new();
    push_name(&mut fields, ("hash", "hash_bytes"), archive.hash.as_bytes());
    fields
}

fn of_image(archive: &Archive, image: &Image) -> Fields {
    let mut fields = of_archive(archive);
    push_name(&mut fields, ("img", "img_bytes"), &image.name);
    if image.member != image.name {
        push_name(&mut fields, ("member", "member_bytes"), &image.member);
    }
    if image.ordinal > 1 {
        fields.push(("ordinal", json!(image.ordinal)));
    }
    fields
}

fn of_staged(image: &StagedFile) -> Fields {
    let mut fields = Vec::new();
    push_name(&mut fields, ("hash", "hash_bytes"), image.hash.as_bytes());
    push_name(&mut fields, ("img", "img_bytes"), &image.name);
    if image.ordinal > 1 {
        fields.push(("ordinal", json!(image.ordinal)));
    }
    push_name(&mut fields, ("path", "path_bytes"), image.path.as_os_str().as_bytes());
    fields.push(("size_bytes", json!(image.size)));
    fields
}

fn of_cause(cause: &Cause) -> [(&'static str, Value); 2] {
    [("reason", json!(cause.code)), ("message", json!(cause.message))]
}

fn of_scope(scope: Scope<'_>, cause: &Cause) -> Fields {
    let (word, mut fields) = match scope {
        Scope::Run => ("run", Vec::new()),
        Scope::Path(path) => {
            let mut fields = Vec::new();
            push_name(&mut fields, ("archive", "archive_bytes"), OsStr::new(path).as_bytes());
            ("archive", fields)
        }
        Scope::Archive(archive) => ("archive", of_archive(archive)),
        Scope::Image(archive, image) => ("image", of_image(archive, image)),
        Scope::Staged(image) => ("staged", of_staged(image)),
    };
    fields.insert(0, ("scope", json!(word)));
    fields.extend(of_cause(cause));
    fields
}

/// A name as text, and exactly, in base64, where the text is not the bytes.
fn push_name(fields: &mut Fields, (key, exact_key): (&'static str, &'static str), name: &[u8]) {
    let (name, cut) = match name.split_at_checked(NAME_LIMIT) {
        Some((head, _)) if name.len() > NAME_LIMIT => (head, true),
        _ => (name, false),
    };
    let text = String::from_utf8_lossy(name);
    let is_exact = !cut && matches!(text, std::borrow::Cow::Borrowed(_));
    let text = if cut { format!("{text}…") } else { text.into_owned() };
    fields.push((key, json!(text)));
    if !is_exact {
        fields.push((exact_key, json!(sanitize::base64(name))));
    }
}

fn signal_name(number: i32) -> &'static str {
    signal_hook::low_level::signal_name(number).unwrap_or("unknown")
}

/// A name for a run that no other run has: when it began, and which process it was.
#[must_use]
pub fn new_run_id() -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    format!("{:x}-{:x}", now.as_millis(), std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).expect("a log");
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn interrupted() -> Event<'static> {
        Event::Interrupted { signal: signal_hook::consts::SIGINT }
    }

    #[test]
    fn a_torn_last_line_is_ended_before_anything_is_appended() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("new/log.jsonl");
        std::fs::create_dir(folder.path().join("new")).expect("a folder");
        std::fs::write(&path, "{\"stage\": \"script_start\"}\n{\"stage\": \"archi").expect("a torn log");
        Journal::open(&path, "r".to_owned()).expect("opens").observe(&interrupted()).expect("written");
        let text = std::fs::read_to_string(&path).expect("a log");
        assert_eq!(text.lines().count(), 3);
        assert!(text.lines().nth(2).expect("ours").contains("\"stage\":\"interrupted\",\"signal\":\"SIGINT\""));
    }

    #[test]
    fn what_is_no_log_is_not_appended_to() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.tar.zst");
        std::fs::write(&path, b"\x28\xb5\x2f\xfd").expect("an archive");
        assert!(Journal::open(&path, "r".to_owned()).is_err());
        assert_eq!(std::fs::read(&path).expect("unchanged").len(), 4);
    }

    #[test]
    fn an_intact_log_is_only_appended_to() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("made/on/demand.jsonl");
        for run in ["a", "b"] {
            Journal::open(&path, run.to_owned()).expect("opens").observe(&interrupted()).expect("written");
        }
        let runs: Vec<Value> = lines(&path).into_iter().map(|line| line["run"].clone()).collect();
        assert_eq!(runs, ["a", "b"]);
    }

    #[test]
    fn a_log_that_cannot_be_written_ends_the_run() {
        let journal = Journal::open(Path::new("/dev/full"), "r".to_owned()).expect("opens");
        assert!(matches!(journal.observe(&interrupted()), Err(Stop::Observer(text)) if text.contains("/dev/full")));
    }

    #[test]
    fn names_forge_no_line_and_keep_their_bytes() {
        let mut fields = Vec::new();
        push_name(&mut fields, ("img", "img_bytes"), b"a\n{\"stage\":\"x\"}\x1b.img");
        push_name(&mut fields, ("img", "img_bytes"), b"\xff.img");
        push_name(&mut fields, ("img", "img_bytes"), &vec![b'n'; NAME_LIMIT + 1]);
        let keys: Vec<_> = fields.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys, ["img", "img", "img_bytes", "img", "img_bytes"]);
        assert!(!serde_json::to_string(&fields[0].1).expect("JSON").contains(['\n', '\x1b']));
        assert_eq!(fields[2].1, "/y5pbWc=");
    }
}
