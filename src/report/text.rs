//! The report for a person.

mod todo;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use crate::account::{ArchiveAccount, ArchiveEnd, Currency, Problem, Run, RunEnd, Shards, Sums};
use crate::config::LogTarget;
use crate::event::{Rule, Soundness};
use crate::log::record::PartitionCheck;
use crate::reason::Told;
use crate::sanitize::{printable, printable_line, printable_short};
use crate::units::{counted, human, human_seconds};

use super::left_out::MembersOfRule;
use super::{Context, ImageState, Remaining, Report, duration, end_of, is_multi, is_refused, remaining};

/// Characters of a name that are shown.
const NAME_SHOWN: usize = 120;
/// Entries of a list that are shown if it is cut short.
const SHOWN: usize = 40;
/// The same for what is listed within an entry.
const SHOWN_WITHIN: usize = 5;

/// How much of a list is shown.
#[derive(Clone, Copy)]
struct Shown {
    entries: usize,
    /// Of what is listed within an entry.
    within: usize,
}

impl Shown {
    fn of(is_short: bool) -> Shown {
        if is_short {
            Shown { entries: SHOWN, within: SHOWN_WITHIN }
        } else {
            Shown { entries: usize::MAX, within: usize::MAX }
        }
    }
}

impl Report {
    /// Writes the report; `is_short`, with long lists cut.
    pub fn write_text(&self, out: &mut dyn Write, context: &Context, is_short: bool) -> io::Result<()> {
        let shown = Shown::of(is_short);
        self.write_runs(out, shown.entries)?;
        self.write_verifications(out)?;
        if self.account.runs.is_empty() {
            // Nothing was surveyed.
            return Ok(());
        }
        writeln!(out)?;
        self.write_body(out, context, shown)
    }

    /// Writes what a run came to, at its end: the same without what the run was. Nothing is written of a run that never
    /// began.
    pub fn write_end(&self, out: &mut dyn Write, context: &Context, is_short: bool) -> io::Result<()> {
        let Some(run) = self.account.runs.last().filter(|run| !is_refused(run)) else { return Ok(()) };
        if run.start.total_archives == 0 && run.problems.is_empty() {
            if matches!(run.end, Some(RunEnd::Interrupted(_))) {
                // Nobody knows what there is.
                return Ok(());
            }
            writeln!(out, "There was no archive to check.")?;
            write_part(out, run)?;
            self.write_left_out(out, Shown::of(is_short).within)?;
            if run.left_out.contains_key(Rule::TooSmall.as_str()) {
                writeln!(out, "With --min-archive-size 0, archives in folders are surveyed whatever their size.")?;
            }
            return Ok(());
        }
        self.write_body(out, context, Shown::of(is_short))?;
        write_part(out, run)?;
        match LogTarget::of(&self.log) {
            LogTarget::File(path) => {
                writeln!(out, "No archive was changed. The log is {}.", printable(path.as_os_str().as_encoded_bytes()))
            }
            LogTarget::Stdout => writeln!(out, "No archive was changed. The log is standard output."),
            LogTarget::Nowhere => writeln!(out, "No archive was changed. There is no log."),
        }
    }

    fn write_body(&self, out: &mut dyn Write, context: &Context, shown: Shown) -> io::Result<()> {
        self.write_images(out, shown.entries)?;
        self.write_errors(out, shown.entries, shown.within)?;
        self.write_unfinished(out, shown.entries)?;
        writeln!(out)?;
        self.write_left_out(out, shown.within)?;
        self.write_totals(out)?;
        let remaining = Remaining::of(self, context);
        todo::write(out, &remaining, self, shown.within)
    }

    fn write_runs(&self, out: &mut dyn Write, shown: usize) -> io::Result<()> {
        let runs = &self.account.runs;
        let hidden = runs.len().saturating_sub(shown);
        let others = if self.logs > 1 { format!(", and {} more", self.logs - 1) } else { String::new() };
        writeln!(out, "Log: {}{others}", printable(self.log.as_os_str().as_encoded_bytes()))?;
        if hidden > 0 {
            writeln!(out, "{hidden} earlier runs, then:")?;
        }
        let taken_over = |index| self.account.archives.iter().filter(|archive| archive.run == index).count() as u64;
        for (index, run) in runs.iter().enumerate().skip(hidden) {
            // Of what a run was resumed from, only the archives are told.
            if !run.is_last && runs.iter().any(|run| run.is_last) {
                writeln!(out, "Taken over: {} from run {}", counted(taken_over(index), "archive"), name(run))?;
            } else {
                write_run(out, run)?;
            }
        }
        Ok(())
    }

    fn write_images(&self, out: &mut dyn Write, shown: usize) -> io::Result<()> {
        let is_multi = |archive: &ArchiveAccount, image| is_multi(image, &self.account.runs[archive.run]);
        let images: Vec<_> = self.images().filter(|(archive, image, _)| is_multi(archive, image)).collect();
        let more = &self.account.more;
        let unlisted = more.kept + more.would_keep + more.deferred;
        if unlisted > 0 {
            writeln!(
                out,
                "{} kept, or to be kept, are too many to list; the log has them.",
                counted(unlisted, "image")
            )?;
        }
        if images.is_empty() {
            return if unlisted == 0 { writeln!(out, "No image qualifies.") } else { Ok(()) };
        }
        let root = images
            .iter()
            .find_map(|(archive, image, _)| remaining::root(image.path.as_ref()?.as_path(), archive.hash.as_os_str()));
        // What is cut off of a long list is what went well.
        let (well, ill): (Vec<_>, Vec<_>) = images.iter().partition(|(_, _, state)| state.is_as_it_should_be());
        if !ill.is_empty() {
            writeln!(out, "Needs attention:")?;
        }
        for (archive, image, state) in ill.iter().take(shown) {
            self.write_image(out, root, archive, image, state)?;
        }
        if !well.is_empty() {
            match root {
                Some(root) => writeln!(out, "Kept, in {}:", printable(root.as_os_str().as_encoded_bytes()))?,
                None => writeln!(out, "To be kept:")?,
            }
        }
        for (archive, image, state) in well.iter().take(shown.saturating_sub(ill.len())) {
            self.write_image(out, root, archive, image, state)?;
        }
        write_more(out, "  ", images.len(), shown, "see imgsieve report --csv")
    }

    fn write_image(
        &self,
        out: &mut dyn Write,
        root: Option<&Path>,
        archive: &ArchiveAccount,
        image: &PartitionCheck,
        state: &ImageState,
    ) -> io::Result<()> {
        let place = match (&image.path, root) {
            (Some(path), root) => {
                let path = path.as_path();
                let path = root.and_then(|root| path.strip_prefix(root).ok()).unwrap_or(path);
                printable(path.as_os_str().as_encoded_bytes())
            }
            (None, _) => format!("{}  {}", printable_short(archive.hash.bytes(), NAME_SHOWN), shown_name(image)),
        };
        let why = match state {
            ImageState::Deferred | ImageState::Error | ImageState::Undecided => {
                image.message.as_deref().map(printable_line)
            }
            _ => None,
        };
        let why = why.map_or(String::new(), |why| format!(": {why}"));
        let doubt = if image.verified == Some(Some(false)) { ", not verified: its frame is damaged" } else { "" };
        // The list is one of what is kept.
        let words = match state {
            ImageState::WouldKeep if image.existing == Some(true) => "  already in staging".to_owned(),
            ImageState::Kept | ImageState::WouldKeep => String::new(),
            state => format!("  {}", state.in_words()),
        };
        let since = if self.is_of_earlier(archive, image) { ", from an earlier run" } else { "" };
        let on_disk = match (image.allocated_bytes, image.at_most_bytes) {
            (Some(bytes), _) => format!(", {} on disk", human(bytes)),
            (_, Some(bytes)) if image.existing != Some(true) => format!(", at most {} on disk", human(bytes)),
            _ => String::new(),
        };
        writeln!(out, "  {place}  {}{on_disk}{words}{since}{doubt}{why}", human(image.size()))?;
        let undecided = if image.partitions.is_none() { "undecided: " } else { "" };
        writeln!(out, "      {undecided}{}", printable_line(image.found()))
    }

    /// Whether an image is in staging since an earlier run.
    fn is_of_earlier(&self, archive: &ArchiveAccount, image: &PartitionCheck) -> bool {
        let run = &self.account.runs[archive.run];
        image.path.is_some()
            && (image.existing == Some(true) || !run.is_last && self.account.runs.iter().any(|run| run.is_last))
    }

    fn write_errors(&self, out: &mut dyn Write, shown: usize, shown_within: usize) -> io::Result<()> {
        let mut reasons: BTreeMap<&str, Vec<(String, &str)>> = BTreeMap::new();
        let mut total = 0;
        let mut note = |reason, message, about: &dyn Fn() -> String| {
            total += 1;
            let entries: &mut Vec<_> = reasons.entry(reason).or_default();
            entries.push((if entries.len() < shown_within { about() } else { String::new() }, message));
        };
        for run in self.account.runs.iter().filter(|run| !is_refused(run)) {
            for problem in &run.problems {
                note(&problem.reason, &problem.message, &|| about(problem));
            }
        }
        for archive in &self.account.archives {
            let hash = || printable_short(archive.hash.bytes(), NAME_SHOWN);
            for image in archive.images.iter().filter(|image| image.action == "error") {
                let reason = image.reason.as_ref().map_or("?", Told::as_str);
                let about = || format!("{} in {}", shown_name(image), hash());
                note(reason, image.message.as_deref().unwrap_or(image.found()), &about);
            }
            if let ArchiveEnd::Failed(problem) = &archive.end {
                note(&problem.reason, &problem.message, &hash);
            }
        }
        if total == 0 {
            return Ok(());
        }
        writeln!(out, "\nErrors, by reason:")?;
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|(_, entries)| std::cmp::Reverse(entries.len()));
        for (reason, entries) in reasons.iter().take(shown) {
            writeln!(out, "  {}: {}", printable_line(reason), entries.len())?;
            for (about, message) in entries.iter().take(shown_within) {
                let colon = if about.is_empty() { "" } else { ": " };
                writeln!(out, "    {about}{colon}{}", printable_line(message))?;
            }
            write_more(out, "    ", entries.len(), shown_within, "see the log")?;
        }
        write_more(out, "  ", reasons.len(), shown, "see the log")
    }

    fn write_unfinished(&self, out: &mut dyn Write, shown: usize) -> io::Result<()> {
        let open = || self.account.archives.iter().filter(|archive| archive.end == ArchiveEnd::Open);
        let never = self.all_never_begun();
        let total = open().count();
        if total == 0 && never == 0 {
            return Ok(());
        }
        writeln!(out, "\nNot finished:")?;
        for archive in open().take(shown) {
            let began = archive.began.map_or(String::new(), |time| format!(", begun {} UTC", moment(time)));
            writeln!(out, "  {}{began}", printable_short(archive.hash.bytes(), NAME_SHOWN))?;
        }
        write_more(out, "  ", total, shown, "see imgsieve report --json")?;
        if never > 0 {
            writeln!(out, "  {} never begun", counted(never, "archive"))?;
        }
        Ok(())
    }

    fn write_left_out(&self, out: &mut dyn Write, shown: usize) -> io::Result<()> {
        let parts: Vec<String> = self.left_out().iter().map(|left_out| left_out.in_words(shown)).collect();
        if !parts.is_empty() {
            writeln!(out, "Left out: {}.", parts.join("; "))?;
        }
        let members = self.members_left_out();
        let parts: Vec<String> = members.iter().map(MembersOfRule::in_words).collect();
        if !parts.is_empty() {
            writeln!(out, "Left out in archives: {}.", parts.join("; "))?;
        }
        Ok(())
    }

    fn write_totals(&self, out: &mut dyn Write) -> io::Result<()> {
        let sums = self.account.sums();
        if sums.partial > 0 {
            self.write_first_look(out, &sums)?;
        } else {
            self.write_checked(out, &sums)?;
        }
        self.write_found(out, &sums)
    }

    /// How many archives were looked at, of which nobody knows the rest.
    fn write_first_look(&self, out: &mut dyn Write, sums: &Sums) -> io::Result<()> {
        let archives = counted(sums.partial, "archive");
        let read = match sums.complete.saturating_sub(sums.partial) {
            0 => String::new(),
            read => format!("; {} read to the end", counted(read, "other")),
        };
        let failed = match sums.failed {
            0 => String::new(),
            failed => format!("; {} could not be read", counted(failed, "other")),
        };
        let pace = self.pace().map_or(String::new(), |(_, seconds, _)| format!(" in {}", human_seconds(seconds)));
        writeln!(
            out,
            "Looked at the beginning of {archives}{pace}{read}{failed}. There may be other images, tables at the ends, and rescue maps."
        )
    }

    /// How much was checked, and how fast.
    fn write_checked(&self, out: &mut dyn Write, sums: &Sums) -> io::Result<()> {
        let resumed = self.resumed();
        let checked = format!("Checked {}", in_sum(sums, ":"));
        match self.pace() {
            Some((_, _, pace)) if resumed == 0 => writeln!(out, "{checked}, {pace}.")?,
            _ if resumed > 0 && resumed >= sums.checked() => writeln!(out, "{checked}, in earlier runs.")?,
            Some((own, _, pace)) => {
                writeln!(out, "{checked}; {resumed} of them in earlier runs.")?;
                writeln!(out, "This run: {}, {pace}.", in_sum(own, ","))?;
            }
            None if sums.totals.seconds > 0.0 => {
                let rates = rates(sums, sums.totals.seconds);
                let seconds = human_seconds(sums.totals.seconds);
                writeln!(out, "{checked}, in {seconds} of worker time ({rates} per worker).")?;
            }
            None => writeln!(out, "{checked}.")?,
        }
        if sums.failed > 0 {
            writeln!(out, "{} could not be read to the end: see above.", counted(sums.failed, "archive"))?;
        }
        if sums.totals.passed_over_bytes > 0 {
            writeln!(
                out,
                "Passed over {} of {} without decoding it; --verify decodes all and checks every checksum.",
                human(sums.totals.passed_over_bytes),
                human(sums.totals.content_bytes)
            )?;
        } else if sums.totals.verified && sums.failed == 0 && sums.totals.frames > 0 {
            let (archives, bytes) = (counted(sums.checked(), "archive"), human(sums.compressed_bytes));
            match sums.totals.frames.saturating_sub(sums.totals.checksummed_frames) {
                0 => writeln!(out, "{archives}, {bytes}: every checksum holds.")?,
                none => writeln!(
                    out,
                    "{archives}, {bytes}, decoded to their ends: {} without a checksum.",
                    counted(none, "frame")
                )?,
            }
        }
        Ok(())
    }

    /// Archives that were taken over from earlier runs.
    fn resumed(&self) -> u64 {
        self.account.runs.iter().filter(|run| run.is_last).map(|run| run.resumed).sum()
    }

    /// What was found, and what came of it.
    fn write_found(&self, out: &mut dyn Write, sums: &Sums) -> io::Result<()> {
        let mut states: Vec<String> = Vec::new();
        let by_state = self.by_state();
        for word in ImageState::WORDS {
            if let Some((images, _)) = by_state.get(word) {
                states.push(format!("{images} {}", of_state(word)));
            }
        }
        if self.account.images_more > 0 {
            states.push(format!("{} not listed", self.account.images_more));
        }
        let colon = if states.is_empty() { "" } else { ": " };
        writeln!(out, "Found {}{colon}{}.", counted(sums.images, "image"), states.join(", "))?;
        if sums.without_image > 0 {
            writeln!(out, "{} without an image.", counted(sums.without_image, "archive"))?;
        }
        if sums.totals.bytes_written > 0 {
            let runs = if self.resumed() > 0 { ", in this run and earlier ones" } else { "" };
            writeln!(out, "Wrote {} to staging{runs}.", human(sums.totals.bytes_written))?;
        }
        if sums.totals.removed_files > 0 {
            writeln!(out, "Removed {} from staging.", counted(sums.totals.removed_files, "partial file"))?;
        }
        self.write_warnings(out)
    }

    /// What the one run of the report did itself, and how fast.
    fn pace(&self) -> Option<(&Sums, f64, String)> {
        let mut own = self.account.runs.iter().filter(|run| run.is_last);
        let (Some(run), None) = (own.next(), own.next()) else { return None };
        let seconds = duration(run).filter(|&seconds| seconds > 0.0)?;
        Some((&run.sums, seconds, format!("in {} ({})", human_seconds(seconds), rates(&run.sums, seconds))))
    }

    /// What `imgsieve verify` said of the archives, as far as they are as they were.
    fn write_verifications(&self, out: &mut dyn Write) -> io::Result<()> {
        let all = self.account.verifications.sorted();
        if all.is_empty() {
            return Ok(());
        }
        let (current, others): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|each| matches!(each.currency(), Currency::Current | Currency::Remote));
        let has_remote = current.iter().any(|each| each.currency() == Currency::Remote);
        let of = |soundness| current.iter().filter(|each| each.soundness == soundness).collect::<Vec<_>>();
        let failed = of(Soundness::Fails);
        let counts = [
            (of(Soundness::Holds).len(), "of which every checksum holds"),
            (of(Soundness::NoChecksum).len(), "without a checksum"),
            (failed.len(), "that failed"),
            (others.len(), "changed or not readable since"),
        ];
        let told: Vec<String> = counts
            .iter()
            .filter(|(number, _)| *number > 0)
            .map(|(number, what)| format!("{} {what}", counted(*number as u64, "archive")))
            .collect();
        let remote = if has_remote { "; those in object storage as they were then" } else { "" };
        writeln!(out, "Verified: {}{remote}.", told.join(", "))?;
        for verification in failed.iter().take(SHOWN) {
            let hash = printable_short(verification.record.hash.bytes(), NAME_SHOWN);
            let message = verification.record.message.as_deref().unwrap_or_default();
            writeln!(out, "  {hash}: {}", printable_line(message))?;
        }
        write_more(out, "  ", failed.len(), SHOWN, "in --json")
    }

    fn write_warnings(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
        let of_archives = self.account.archives.iter().flat_map(|archive| &archive.warnings);
        for warning in self.account.runs.iter().flat_map(|run| &run.warnings).chain(of_archives) {
            *reasons.entry(&warning.reason).or_default() += 1;
        }
        if reasons.is_empty() {
            return Ok(());
        }
        let mut reasons: Vec<_> = reasons.into_iter().collect();
        reasons.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        let told: u64 = reasons.iter().map(|(_, count)| count).sum();
        // Of too many, the log alone has the reasons.
        let total = told.max(self.account.sums().warnings);
        let is_one_kind = reasons.len() == 1 && total == told;
        let more = if reasons.len() > SHOWN || total > told { ", and more" } else { "" };
        // A reason is a word of the log.
        let in_words = |(reason, count): &(&str, u64)| {
            let reason = printable_line(reason).replace('_', " ");
            if is_one_kind { reason } else { format!("{reason} ({count})") }
        };
        let reasons: Vec<String> = reasons.iter().take(SHOWN).map(in_words).collect();
        writeln!(out, "{}: {}{more}.", counted(total, "warning"), reasons.join(", "))
    }
}

/// Which part of the collection a run surveyed, if it was not all of it.
fn write_part(out: &mut dyn Write, run: &Run) -> io::Result<()> {
    run.start.part().map_or(Ok(()), |part| writeln!(out, "This was {}.", part.in_words()))
}

fn write_run(out: &mut dyn Write, run: &Run) -> io::Result<()> {
    let mut facts = vec![
        run.shards
            .as_ref()
            .filter(|_| run.start.shard.is_none())
            .map_or_else(|| name(run), |shards| format!("over {} shards", shards.count)),
    ];
    facts.extend(run.start.version.as_ref().map(|version| format!("imgsieve {}", printable(version.as_bytes()))));
    if run.start.jobs > 0 {
        facts.push(format!("{} at a time", counted(run.start.jobs, "archive")));
    }
    if run.start.dry_run {
        facts.push("dry run".to_owned());
    }
    writeln!(out, "Run {}", facts.join(", "))?;
    let began = run.began.map_or("at an unknown time".to_owned(), |time| format!("{} UTC", moment(time)));
    let lasted = duration(run).map_or(String::new(), |seconds| format!(" after {}", in_seconds(seconds)));
    let how = match end_of(run) {
        (Some("complete"), _) => format!("complete{lasted}"),
        (Some("interrupted"), signal) => {
            format!("ended by {}{lasted}", printable(signal.unwrap_or_default().as_bytes()))
        }
        (Some("aborted"), why) => format!("aborted{lasted}: {}", printable_line(why.unwrap_or_default())),
        (Some(_), why) => format!("refused: {}", printable_line(why.unwrap_or_default())),
        (None, _) if run.shards.as_ref().is_some_and(|shards| shards.runs.len() > 1) => format!("not complete{lasted}"),
        (None, _) => {
            let heard = run.heard.map_or(String::new(), |time| format!(", last log line {} UTC", moment(time)));
            format!("no end in the log: killed, or still running{heard}")
        }
    };
    writeln!(out, "  begun {began}; {how}")?;
    for trouble in run.shards.iter().flat_map(Shards::troubles) {
        writeln!(out, "  shards {trouble}")?;
    }
    if is_refused(run) {
        return Ok(());
    }
    if let Some(part) = run.start.part() {
        writeln!(out, "  {}", part.in_words())?;
    }
    let resumed =
        if run.resumed > 0 { format!(", {} taken over from earlier runs", run.resumed) } else { String::new() };
    let failed =
        if run.sums.failed > 0 { format!(", {} of them with an error", run.sums.failed) } else { String::new() };
    let never = run.never_begun();
    let never = if never > 0 { format!(", {never} never begun") } else { String::new() };
    let of_all =
        run.shards.as_ref().filter(|shards| shards.missing().next().is_some()).and_then(|shards| shards.listed);
    let of_all = of_all.map_or(String::new(), |(_, most)| format!(" of {most} in the collection"));
    writeln!(
        out,
        "  {}{of_all} chosen ({}): {} checked{failed}{resumed}{never}",
        counted(run.start.total_archives, "archive"),
        human(run.start.total_bytes),
        run.sums.complete + run.sums.failed
    )
}

fn write_more(out: &mut dyn Write, indent: &str, total: usize, shown: usize, where_they_are: &str) -> io::Result<()> {
    match total.saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "{indent}… and {more} more: {where_they_are}"),
    }
}

fn name(run: &Run) -> String {
    if run.id.is_empty() { "without an ID".to_owned() } else { printable_short(run.id.as_bytes(), NAME_SHOWN) }
}

fn about(problem: &Problem) -> String {
    problem.path.as_ref().map_or(String::new(), |path| printable(path.bytes()))
}

fn shown_name(image: &PartitionCheck) -> String {
    printable_short(image.image.img.bytes(), NAME_SHOWN)
}

fn of_state(word: &'static str) -> &'static str {
    match word {
        "begun" => "with reprocessing unfinished",
        "failed" => "kept, reprocessing failed",
        "unseen" => "that cannot be examined",
        "would_keep" => "to be kept",
        "error" => "with an error",
        "not_retained" => "not kept",
        word => word,
    }
}

/// Archives and, behind `mark`, their bytes.
fn in_sum(sums: &Sums, mark: &str) -> String {
    let (compressed, content) = (human(sums.compressed_bytes), human(sums.totals.content_bytes));
    format!("{}{mark} {compressed} compressed, {content} of content", counted(sums.checked(), "archive"))
}

fn rates(sums: &Sums, seconds: f64) -> String {
    let compressed = rate(sums.compressed_bytes, seconds, "compressed");
    format!("{compressed}, {}", rate(sums.totals.content_bytes, seconds, "content"))
}

/// A time that is told in whole seconds.
fn in_seconds(seconds: f64) -> String {
    match seconds {
        ..1.0 => "less than a second".to_owned(),
        1.0..10.0 => format!("{seconds:.0} s"),
        _ => human_seconds(seconds),
    }
}

/// `2026-01-01 00:00:00`.
fn moment(time: SystemTime) -> String {
    crate::clock::stamp(time).replace('T', " ").replace('Z', "")
}

#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rate(bytes: u64, seconds: f64, what: &str) -> String {
    format!("{}/s {what}", human((bytes as f64 / seconds.max(0.001)) as u64))
}
