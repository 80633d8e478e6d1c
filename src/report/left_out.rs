//! What was not looked at, and by which rule: files of the collection, and members of archives.

use std::collections::BTreeMap;

use crate::account::Run;
use crate::log::Name;
use crate::log::record::{LeftOutFile, MembersLeftOut};
use crate::sanitize::{printable, printable_line, printable_short};
use crate::shard::Shard;
use crate::units::{Size, counted, human};

use super::Report;

/// Characters of a name that are shown.
const NAME_SHOWN: usize = 120;

/// Files of the collection that a rule leaves out.
#[derive(Debug)]
pub struct FilesOfRule<'a> {
    /// The run that left them out.
    pub run: &'a Run,
    /// The log's word for the rule.
    pub rule: &'a str,
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Those that are named in the log.
    pub files: &'a [LeftOutFile],
}

/// Members of archives that could be images, and that a rule leaves out.
#[derive(Debug)]
pub struct MembersOfRule<'a> {
    /// The log's word for the rule.
    pub rule: &'a str,
    /// How many.
    pub count: u64,
    /// The largest: its archive, its path, its size in bytes.
    pub largest: Option<(&'a Name, &'a Name, u64)>,
    /// Images have to be larger, in bytes.
    least: Option<u64>,
    /// How names of images end.
    suffix: &'a str,
}

impl Report {
    /// Files of the collection that the runs told of left out, by rule.
    #[must_use]
    pub fn left_out<'a>(&'a self) -> Vec<FilesOfRule<'a>> {
        let of_run = |run: &'a Run| {
            run.left_out.iter().map(move |(rule, left_out)| FilesOfRule {
                run,
                rule,
                count: left_out.count,
                bytes: left_out.size_bytes,
                files: &left_out.files,
            })
        };
        self.covering_runs().flat_map(of_run).collect()
    }

    /// The runs that tell what is in the collection beside the archives that were begun: the last ones. Where all runs are
    /// asked for, the last one of each shard, or the latest of those that met the most of it: others were told to take some
    /// archives only.
    pub(super) fn covering_runs(&self) -> impl Iterator<Item = &Run> {
        let runs = &self.account.runs;
        let is_met = |run: &Run| {
            let left_out: u64 = run.left_out.values().map(|left_out| left_out.count).sum();
            run.start.total_archives.saturating_add(left_out)
        };
        let has_last = runs.iter().any(|run| run.is_last);
        let shards = runs.iter().rev().find_map(|run| run.start.shard).filter(|_| !has_last);
        let is_of_division = |run: &&Run| run.start.shard.map(Shard::count) == shards.map(Shard::count);
        let of_shards: BTreeMap<_, _> =
            runs.iter().filter(|_| shards.is_some()).filter(is_of_division).map(|run| (run.start.shard, run)).collect();
        let widest = runs.iter().max_by_key(|run| is_met(run)).filter(|_| !has_last && shards.is_none());
        runs.iter().filter(|run| run.is_last).chain(of_shards.into_values()).chain(widest)
    }

    /// Members of archives that could be images and were not looked at, by rule.
    #[must_use]
    pub fn members_left_out(&self) -> Vec<MembersOfRule<'_>> {
        let mut of_rule: BTreeMap<&str, MembersOfRule<'_>> = BTreeMap::new();
        for archive in &self.account.archives {
            // What was taken over was found by the same rules.
            let mut runs = [&self.account.runs[archive.run]].into_iter().chain(self.account.runs.last());
            let rules = runs.find_map(|run| run.start.rules.as_ref());
            for MembersLeftOut { rule, count, member, size_bytes } in archive.left_out() {
                let members = of_rule.entry(rule).or_insert_with(|| MembersOfRule {
                    rule,
                    count: 0,
                    largest: None,
                    least: rules.map(|rules| rules.min_image_size),
                    suffix: rules.map_or("", |rules| &rules.image_suffix),
                });
                members.count += count;
                if let Some(member) = member
                    && members.largest.is_none_or(|(_, _, largest)| *size_bytes > largest)
                {
                    members.largest = Some((&archive.hash, member, *size_bytes));
                }
            }
        }
        of_rule.into_values().collect()
    }
}

impl FilesOfRule<'_> {
    /// For a sentence, without names.
    #[must_use]
    pub fn what(&self) -> String {
        let least =
            || self.run.start.min_archive_bytes.map_or("the minimum".to_owned(), |least| Size(least).to_string());
        match self.rule {
            "skip_list" => format!("{} on the skip list", counted(self.count, "archive")),
            "too_small" => format!("{} no larger than {}", counted(self.count, "archive"), least()),
            "not_selected" => format!("{} not selected", counted(self.count, "archive")),
            "not_begun" => format!("{} not begun", counted(self.count, "archive")),
            "other_ending" => format!("{} not named like an archive", counted(self.count, "file")),
            "folder" => format!("{} not entered", counted(self.count, "folder")),
            rule => format!("{} by the rule {}", self.count, printable_line(rule)),
        }
    }

    /// For a sentence, with up to so many names.
    #[must_use]
    pub fn in_words(&self, shown: usize) -> String {
        let what = self.what();
        let shown = match self.rule {
            "skip_list" => shown.max(20),
            // Who asked for others knows which those are not.
            "not_selected" => 0,
            _ => shown.min(20),
        };
        let names: Vec<String> = self.files.iter().take(shown).map(shown_file).collect();
        let more = if self.count > names.len() as u64 { ", ..." } else { "" };
        if names.is_empty() { what } else { format!("{what} ({}{more})", names.join(", ")) }
    }
}

/// The name of a file, and why it is left out, if that is its own reason.
fn shown_file(file: &LeftOutFile) -> String {
    let path = file.archive.as_path();
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = printable_short(name.as_encoded_bytes(), NAME_SHOWN);
    file.reason.as_ref().map_or(name.clone(), |reason| format!("{name}: {}", printable_line(reason)))
}

impl MembersOfRule<'_> {
    /// For a sentence, without names.
    #[must_use]
    pub fn what(&self) -> String {
        let least = self.least.map_or("the minimum".to_owned(), |least| Size(least).to_string());
        match self.rule {
            "too_small" => format!("{} no larger than {least}", counted(self.count, "image")),
            "other_ending" => {
                let suffix = printable(self.suffix.as_bytes());
                format!("{} larger than {least} not named {suffix}", counted(self.count, "file"))
            }
            "not_a_file" => format!("{} named like an image but not a file", counted(self.count, "member")),
            "same_content" => format!("{} to an image that was examined", counted(self.count, "hard link")),
            "behind_end" => format!("{} with data behind the end of the tar", counted(self.count, "archive")),
            "link_target" => format!("{} to a file that is not there", counted(self.count, "hard link")),
            rule => format!("{} by the rule {}", self.count, printable_line(rule)),
        }
    }

    /// For a sentence.
    #[must_use]
    pub fn in_words(&self) -> String {
        let what = self.what();
        match self.largest {
            Some((hash, member, size)) if matches!(self.rule, "too_small" | "other_ending") => format!(
                "{what}, the largest {}, {}, in {}",
                printable_short(member.bytes(), NAME_SHOWN),
                human(size),
                printable_short(hash.bytes(), NAME_SHOWN)
            ),
            _ => what,
        }
    }
}
