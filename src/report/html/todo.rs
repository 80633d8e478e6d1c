//! What somebody has to decide or do: the page begins with it, and it stands without a script.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::account::{ArchiveAccount, ArchiveEnd, StagedImage, Verification};
use crate::event::Soundness;
use crate::log::Name;
use crate::log::record::PartitionCheck;
use crate::reason::{Reason, Told};
use crate::report::{Context, ImageState, Remaining, Report};
use crate::sanitize::shell_word;
use crate::units::{human, plural};

use super::advice;
use super::verdict::Verdict;
use super::verified::Verified;
use super::words::{self, counted, number};

/// Entries of an item that are shown.
const ENTRIES_MOST: usize = 50;
/// Items of a block.
const ITEMS_MOST: usize = 60;
/// Reasons and rules that are told apart: a log may be anybody's.
const REASONS_MOST: usize = 1000;
/// Archives that `imgsieve inspect` is given.
const INSPECTED_MOST: usize = 3;
/// Characters of a command that is shown: a part of one would do something else.
const COMMAND_MOST: usize = 2000;

/// One kind of work.
pub struct Block {
    /// What it is.
    pub title: &'static str,
    /// What is said where there is none of it.
    pub none: &'static str,
    /// The items.
    pub items: Vec<Item>,
    /// Items that are not shown.
    pub more: usize,
    /// What is said below them.
    pub note: &'static str,
}

/// Something to decide or to do.
#[derive(Default)]
pub struct Item {
    /// The class of the style sheet: how urgent it is.
    pub class: &'static str,
    /// How many.
    pub count: Option<String>,
    /// The log's word for it.
    pub reason: Option<String>,
    /// What it is.
    pub title: String,
    /// What to do.
    pub advice: String,
    /// The command that does it.
    pub command: Option<String>,
    /// What it is about.
    pub entries: Vec<Entry>,
    /// How much of that is not shown.
    pub more: u64,
}

impl Item {
    /// How many entries are shown; none where it is the only one.
    pub fn summary(&self) -> Option<String> {
        let shown = number(self.entries.len() as u64);
        match (self.entries.len(), self.more) {
            (1, 0) => None,
            (_, 0) => Some(format!("Show all {shown}")),
            (_, more) => Some(format!("Show {shown} of {}", number(more.saturating_add(self.entries.len() as u64)))),
        }
    }
}

/// What an item is about.
#[derive(Default)]
pub struct Entry {
    /// The archive, and its row's address.
    pub hash: Option<(String, String)>,
    /// A file or an image.
    pub name: String,
    /// What is said of it.
    pub text: String,
}

impl Entry {
    fn of(hash: &Name, name: &[u8], text: &str) -> Entry {
        // The image of most archives is named after them.
        let name = if name.strip_prefix(hash.bytes()) == Some(b".img") { &[] } else { name };
        let hash = words::name(hash.bytes());
        let address = address(&hash);
        Entry { hash: Some((hash, address)), name: words::name(name), text: words::sentence(text) }
    }

    fn of_file(path: Option<&Name>, text: &str) -> Entry {
        let name = path.map_or(String::new(), |path| words::name(path.bytes()));
        Entry { hash: None, name, text: words::sentence(text) }
    }
}

/// The fragment that opens the row of an archive, as the script's `encodeURIComponent` understands it.
fn address(hash: &str) -> String {
    let mut address = "#a-".to_owned();
    for byte in hash.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            address.push(char::from(byte));
        } else {
            let _ = write!(address, "%{byte:02X}");
        }
    }
    address
}

/// All that is to be done, by kind.
pub fn blocks(report: &Report, context: &Context, verified: &Verified<'_>, verdicts: &[Verdict]) -> [Block; 3] {
    let remaining = Remaining::of(report, context);
    let block = |title, none, mut items: Vec<Item>, note| {
        let more = items.len().saturating_sub(ITEMS_MOST);
        items.truncate(ITEMS_MOST);
        Block { title, none, items, more, note }
    };
    let mut wrong: Vec<Item> = again(report, &remaining).into_iter().collect();
    wrong.extend(lost(report));
    wrong.extend(unsound(verified));
    wrong.extend(errors(report));
    wrong.extend(first_looks(&remaining));
    let left_out = left_out(report, verdicts);
    let note = if left_out.is_empty() {
        ""
    } else {
        "imgsieve report --unchecked prints the paths of all that was not checked."
    };
    [
        block("To reprocess", "No image waits to be reprocessed.", images(report, &remaining), ""),
        block("Errors and unfinished work", "No errors, and nothing unfinished.", wrong, ""),
        block("Left out", "The log names nothing that was left out.", left_out, note),
    ]
}

/// Adds an entry where there is room, or counts it.
fn add(item: &mut Item, entry: impl FnOnce() -> Entry) {
    if item.entries.len() < ENTRIES_MOST {
        item.entries.push(entry());
    } else {
        item.more += 1;
    }
}

fn is_short(command: &str) -> bool {
    command.chars().count() <= COMMAND_MOST
}

/// `item` with the command that does it, or, where that is too long to be shown, the one that prints it.
fn with_command(item: Item, command: Option<&String>, remaining: &Remaining) -> Item {
    match command {
        Some(command) if !is_short(command) => {
            let advice = format!("{} The command is too long for this page; the report has it:", item.advice);
            let command = Some(remaining.report.clone()).filter(|report| is_short(report));
            Item { advice: advice.trim_start().to_owned(), command, ..item }
        }
        command => Item { command: command.cloned(), ..item },
    }
}

/// The staged images to be processed again, and those that a dry run would stage.
fn images(report: &Report, remaining: &Remaining) -> Vec<Item> {
    let mut failed = Item { class: "alarm", ..Item::default() };
    let mut begun = Item { class: "wait", ..Item::default() };
    let mut kept = Item { class: "work", ..Item::default() };
    let (mut counts, mut sizes) = ([0_u64; 3], [0_u64; 3]);
    let mut staged_images: Vec<&StagedImage> = report.account.staged.iter().collect();
    staged_images.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    for image in staged_images {
        let state = ImageState::of_staged(image);
        let (at, item) = match &state {
            ImageState::Failed(_) => (0, &mut failed),
            ImageState::Begun => (1, &mut begun),
            ImageState::Kept => (2, &mut kept),
            _ => continue,
        };
        counts[at] += 1;
        sizes[at] = sizes[at].saturating_add(image.size);
        add(item, || staged(image, &state));
    }
    let titles = ["whose reprocessing failed", "whose reprocessing has no end in the log", "to reprocess"];
    let advice = [
        "See the output of the command, then run it again.",
        "It still runs, or was killed: run it again.",
        "They are complete in staging.",
    ];
    let mut items = Vec::new();
    for (at, item) in [failed, begun, kept].into_iter().enumerate().filter(|&(at, _)| counts[at] > 0) {
        items.push(Item {
            count: Some(number(counts[at])),
            title: format!("{} {}, {}", plural(counts[at], "image"), titles[at], human(sizes[at])),
            advice: advice[at].to_owned(),
            ..item
        });
    }
    if let Some(last) = items.pop() {
        items.push(with_command(last, remaining.reprocess.as_ref(), remaining));
    }
    if remaining.would_keep > 0 {
        let item = Item {
            class: "work",
            count: Some(number(remaining.would_keep)),
            title: format!("{} to stage", plural(remaining.would_keep, "image")),
            advice: format!("This was a dry run; they take {} in staging at most.", human(remaining.would_take)),
            ..Item::default()
        };
        let mut item = with_command(item, remaining.stage.as_ref(), remaining);
        for (archive, image, _) in would_keep(report) {
            let text = format!("{}, {}", human(image.size()), image.found());
            add(&mut item, || Entry::of(&archive.hash, image.image.img.bytes(), &text));
        }
        items.push(item);
    }
    items
}

/// Images that a run would stage that is not dry.
fn would_keep(report: &Report) -> impl Iterator<Item = (&ArchiveAccount, &PartitionCheck, &ImageState)> {
    let is_one =
        |image: &PartitionCheck, state: &ImageState| *state == ImageState::WouldKeep && image.existing != Some(true);
    report.images().filter(move |(_, image, state)| is_one(image, state))
}

fn staged(image: &StagedImage, state: &ImageState) -> Entry {
    let how = if *state == ImageState::Kept { String::new() } else { format!("; {}", state.in_words()) };
    Entry::of(&image.hash, image.path.bytes(), &format!("{}, {}{how}", human(image.size), image.found))
}

/// What a run with `--resume` does again, if anything.
fn again(report: &Report, remaining: &Remaining) -> Option<Item> {
    let parts = remaining.to_survey();
    if parts.is_empty() {
        return None;
    }
    let item = Item {
        class: "wait",
        title: format!("To scan again: {}", parts.join("; ")),
        advice: "Archives that are done are not read again.".to_owned(),
        ..Item::default()
    };
    let mut item = with_command(item, remaining.resume.as_ref(), remaining);
    for archive in report.account.archives.iter().filter(|archive| archive.end == ArchiveEnd::Open) {
        add(&mut item, || Entry::of(&archive.hash, b"", "not finished"));
    }
    Some(item)
}

/// Images that were staged and are not there as they were.
fn lost(report: &Report) -> Option<Item> {
    let is_lost =
        |state: &ImageState| matches!(state, ImageState::Gone | ImageState::Changed(_) | ImageState::Unseen(_));
    let advice = "Put them back, or scan with --resume: that stages them again.".to_owned();
    let mut item = Item { class: "alarm", advice, ..Item::default() };
    let mut count = 0;
    for (archive, image, state) in report.images().filter(|(_, _, state)| is_lost(state)) {
        count += 1;
        let path = image.path.as_ref().unwrap_or(&image.image.img);
        add(&mut item, || Entry::of(&archive.hash, path.bytes(), &state.in_words()));
    }
    item.count = Some(number(count));
    item.title = format!("staged {} gone, changed or out of sight", plural(count, "image"));
    (count > 0).then_some(item)
}

/// Archives that failed their last verification.
fn unsound(verified: &Verified<'_>) -> Option<Item> {
    let failed = verified.in_state(Soundness::Fails.as_str());
    let mut item = Item {
        class: "alarm",
        count: Some(number(failed.len() as u64)),
        title: format!("{} failed verification", plural(failed.len() as u64, "archive")),
        advice: "Restore the archive from another copy, or archive the medium again.".to_owned(),
        ..Item::default()
    };
    for Verification { record, .. } in &failed {
        add(&mut item, || Entry::of(&record.hash, b"", record.message.as_deref().unwrap_or_default()));
    }
    (!failed.is_empty()).then_some(item)
}

/// Archives of which only the beginning was looked at, and images that it does not decide on.
fn first_looks(remaining: &Remaining) -> Vec<Item> {
    let archives = Item {
        class: "wait",
        count: Some(number(remaining.partial)),
        title: format!("{} looked at only at the beginning", plural(remaining.partial, "archive")),
        advice: "There may be other images, tables at the ends, and rescue maps.".to_owned(),
        ..Item::default()
    };
    let images = Item {
        class: "wait",
        count: Some(number(remaining.unsettled)),
        title: format!("{} still undecided", plural(remaining.unsettled, "image")),
        advice: "Their archives alone can be read further.".to_owned(),
        ..Item::default()
    };
    [
        (remaining.partial > 0).then(|| with_command(archives, remaining.whole.as_ref(), remaining)),
        (remaining.unsettled > 0).then(|| with_command(images, remaining.decide.as_ref(), remaining)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What went wrong, by reason.
fn errors(report: &Report) -> Vec<Item> {
    let mut reasons = Reasons::default();
    for problem in report.account.runs.iter().flat_map(|run| &run.problems) {
        reasons.add(&problem.reason, None, || Entry::of_file(problem.path.as_ref(), &problem.message));
    }
    for archive in &report.account.archives {
        let path = archive.path.as_ref().map(Name::as_path);
        for image in archive.images.iter().filter(|image| matches!(image.action.as_str(), "error" | "deferred")) {
            let message = image.message.as_deref().unwrap_or(image.found());
            let reason = image.reason.as_ref().map_or("?", Told::as_str);
            reasons.add(reason, path, || Entry::of(&archive.hash, image.image.img.bytes(), message));
        }
        if let ArchiveEnd::Failed(problem) = &archive.end {
            reasons.add(&problem.reason, path, || Entry::of(&archive.hash, b"", &problem.message));
        }
    }
    let mut items: Vec<(u64, Item)> = reasons.0.into_values().map(OfReason::item).collect();
    items.sort_by_key(|(count, _)| Reverse(*count));
    let mut items: Vec<Item> = items.into_iter().map(|(_, item)| item).collect();
    let unnamed = report.account.runs.iter().map(|run| run.problems_more).sum();
    if unnamed > 0 {
        let (count, title) = (Some(number(unnamed)), "more, which only the log has".to_owned());
        items.push(Item { class: "alarm", count, title, ..Item::default() });
    }
    items
}

/// Errors by reason.
#[derive(Default)]
struct Reasons<'a>(BTreeMap<&'a str, OfReason<'a>>);

#[derive(Default)]
struct OfReason<'a> {
    reason: &'a str,
    count: u64,
    item: Item,
    /// Archives that it is about.
    archives: Vec<&'a Path>,
}

impl<'a> Reasons<'a> {
    fn add(&mut self, reason: &'a str, archive: Option<&'a Path>, entry: impl FnOnce() -> Entry) {
        let is_told = self.0.len() < REASONS_MOST || self.0.contains_key(reason);
        let reason = if is_told { reason } else { "" };
        let of_reason = self.0.entry(reason).or_default();
        of_reason.reason = reason;
        of_reason.count += 1;
        add(&mut of_reason.item, entry);
        if let Some(archive) = archive
            && of_reason.archives.len() < INSPECTED_MOST
            && of_reason.archives.last() != Some(&archive)
        {
            of_reason.archives.push(archive);
        }
    }
}

impl OfReason<'_> {
    fn item(self) -> (u64, Item) {
        let words = ["imgsieve", "inspect"].into_iter().map(str::as_bytes);
        let words = words.chain(self.archives.iter().map(|path| path.as_os_str().as_bytes()));
        let inspect = words.map(shell_word).collect::<Vec<_>>().join(" ");
        let is_inspected = advice::is_to_inspect(self.reason) && !self.archives.is_empty();
        let item = Item {
            class: "alarm",
            count: Some(number(self.count)),
            reason: (!self.reason.is_empty()).then(|| words::name(self.reason.as_bytes())),
            title: advice::meaning(self.reason).unwrap_or_else(|| "See each message.".to_owned()),
            advice: advice::of(self.reason).to_owned(),
            command: Some(inspect).filter(|inspect| is_inspected && is_short(inspect)),
            ..self.item
        };
        (self.count, item)
    }
}

/// What was not looked at, by rule, and archives in which there was nothing to look at.
fn left_out(report: &Report, verdicts: &[Verdict]) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for rule in report.left_out() {
        let mut item =
            Item { class: "quiet", title: rule.what(), advice: of_files(rule.rule).to_owned(), ..Item::default() };
        if rule.bytes > 0 {
            let _ = write!(item.title, ", {}", human(rule.bytes));
        }
        for file in rule.files.iter().take(ENTRIES_MOST) {
            let size = file.size_bytes.map_or(String::new(), human);
            let reason = file.reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
            add(&mut item, || Entry::of_file(Some(&file.archive), &format!("{size}{reason}")));
        }
        item.more = rule.count.saturating_sub(item.entries.len() as u64);
        items.push(item);
    }
    items.extend(without_image(report, verdicts));
    let mut of_rule: BTreeMap<&str, Item> = BTreeMap::new();
    for archive in &report.account.archives {
        for members in archive.left_out() {
            let name = members.member.as_ref().map_or(&b""[..], Name::bytes);
            let more =
                if members.count > 1 { format!(", the largest of {}", number(members.count)) } else { String::new() };
            let text = format!("{}{more}", human(members.size_bytes));
            if of_rule.len() >= REASONS_MOST && !of_rule.contains_key(&*members.rule) {
                continue;
            }
            add(of_rule.entry(&members.rule).or_default(), || Entry::of(&archive.hash, name, &text));
        }
    }
    for members in report.members_left_out() {
        let item = of_rule.remove(members.rule).unwrap_or_default();
        let title = format!("In archives: {}", words::sentence(&members.what()));
        items.push(Item { class: "quiet", title, advice: of_members(members.rule).to_owned(), ..item });
    }
    items
}

fn without_image(report: &Report, verdicts: &[Verdict]) -> Option<Item> {
    let without: Vec<&ArchiveAccount> = report
        .account
        .archives
        .iter()
        .zip(verdicts)
        .filter(|(_, verdict)| **verdict == Verdict::NoImage)
        .map(|(archive, _)| archive)
        .collect();
    let count = without.len() as u64 + report.account.more.without_image;
    let mut item = Item {
        class: "quiet",
        title: format!("{} without an image", counted(count, "archive")),
        advice:
            "Nothing in them is named like an image and large enough; --image-suffix and --min-image-size say what is."
                .to_owned(),
        more: report.account.more.without_image,
        ..Item::default()
    };
    for archive in &without {
        let warning = archive.warnings.iter().find(|warning| warning.reason == Reason::NoImage.as_str());
        add(&mut item, || Entry::of(&archive.hash, b"", warning.map_or("", |warning| &warning.message)));
    }
    (count > 0).then_some(item)
}

/// What to do about files of the collection that a rule leaves out.
fn of_files(rule: &str) -> &'static str {
    match rule {
        "too_small" => "--min-archive-size lowers the limit.",
        "not_selected" => "The run was told to take others: --only, --limit.",
        "other_ending" => "Archives are named *.tar.zst, *.tzst or *.tar.zstd.",
        "folder" => "--recursive enters them.",
        "not_begun" => "scan --resume goes on with them.",
        _ => "",
    }
}

/// The same for members of archives.
fn of_members(rule: &str) -> &'static str {
    match rule {
        "too_small" => "--min-image-size lowers the limit.",
        "other_ending" => "--image-suffix takes further endings.",
        "behind_end" => "Tar reads no further, either: zstd -dc ARCHIVE | tail -c SIZE shows what stands there.",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_reasons_without_end_some_are_told_apart() {
        let words: Vec<String> = (0..3 * REASONS_MOST).map(|number| format!("r{number}")).collect();
        let mut reasons = Reasons::default();
        for word in words.iter().chain(&words) {
            reasons.add(word, None, Entry::default);
        }
        assert_eq!(reasons.0.len(), REASONS_MOST + 1);
        let (count, item) = reasons.0.remove("").expect("the others").item();
        assert_eq!((count, item.entries.len() as u64 + item.more), (4000, 4000));
        assert_eq!(item.reason, None);
    }

    #[test]
    fn an_address_is_a_fragment_whatever_the_hash() {
        assert_eq!(address("0aF-_."), "#a-0aF-_.");
        assert_eq!(address("\"><b>é"), "#a-%22%3E%3Cb%3E%C3%A9");
    }

    #[test]
    fn a_command_is_shown_whole_or_not_at_all() {
        let remaining = Remaining { report: "imgsieve report --json log".to_owned(), ..Remaining::default() };
        let shown = |command: &str| with_command(Item::default(), Some(&command.to_owned()), &remaining);
        let long = shown(&"x".repeat(COMMAND_MOST + 1));
        assert_eq!(long.command.as_deref(), Some("imgsieve report --json log"));
        assert_eq!(long.advice, "The command is too long for this page; the report has it:");
        assert_eq!(shown("imgsieve reprocess").command.as_deref(), Some("imgsieve reprocess"));
    }
}
