//! What is logged of what happens: the fields of each stage, assigned.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{
    Action, Archive, Check, CommandEnd, CommandOutcome, Event, Image, Mark, Rule, Scope, StagedFile, Start, Unsurveyed,
};
use crate::archive_name;
use crate::cause::Cause;
use crate::finding::Finding;
use crate::images::{self, MemberRule};
use crate::ptable::{GptCopy, PartitionType};
use crate::sanitize;
use crate::units::gigabytes;

use crate::log::Name;
use crate::log::record::{
    Abort, ArchiveComplete, ArchiveResumed, ArchiveStart, ArchiveVerified, Cleanup, Damage, Deferred, Ended,
    ExtractionStart, FileSystem, ImageId, ImgFound, Interrupted, LeftOut, LeftOutFile, LowSpace, MembersLeftOut,
    PARTITIONS_MOST, Partition, PartitionCheck, Problem, Record, ReprocessComplete, ReprocessStart, ScriptStart,
    StagedId, Table,
};

impl Record {
    /// What is logged of `event`; none for what is only shown.
    #[must_use]
    // An arm an event.
    #[allow(clippy::too_many_lines)]
    pub fn of(event: &Event<'_>) -> Option<Record> {
        Some(match event {
            Event::ScriptStart { start } => Record::ScriptStart(Box::new(script_start(start))),
            Event::LeftOut { rule, count, bytes, files } => Record::LeftOut(Box::new(LeftOut {
                rule: rule.as_str().to_owned(),
                count: *count,
                size_bytes: *bytes,
                files: files.iter().map(left_out_file).collect(),
            })),
            Event::ArchiveResumed { archive, by_run, .. } => Record::ArchiveResumed(Box::new(ArchiveResumed {
                hash: Name::from(&archive.hash),
                rank: archive.rank as u64,
                size_bytes: Some(archive.size),
                mtime: archive.mtime.clone(),
                by_run: (*by_run).to_owned(),
            })),
            Event::ArchiveStart { archive, worker, .. } => {
                Record::ArchiveStart(Box::new(archive_start(archive, *worker)))
            }
            Event::ExtractionStart { archive, destination } => Record::ExtractionStart(Box::new(ExtractionStart {
                hash: Name::from(&archive.hash),
                dest: Some(Name::from(*destination)),
            })),
            Event::ImageFound { archive, image } => Record::ImgFound(Box::new(ImgFound {
                image: image_id(archive, image),
                size_gb: gigabytes(image.size),
                size_bytes: Some(image.size),
            })),
            Event::PartitionCheck { archive, image, check } => {
                Record::PartitionCheck(Box::new(partition_check(archive, image, check)))
            }
            Event::Deferred { archive, image, cause } => Record::Deferred(Box::new(Deferred {
                image: image_id(archive, image),
                size_bytes: Some(image.size),
                reason: Some(cause.code.into()),
                message: cause.message.clone(),
            })),
            Event::Cleanup { archive, removed_files, kept_images } => Record::Cleanup(Box::new(Cleanup {
                hash: Name::from(&archive.hash),
                removed_files: *removed_files,
                kept_imgs: *kept_images,
            })),
            Event::ArchiveComplete { archive, totals, left_out, space } => {
                Record::ArchiveComplete(Box::new(ArchiveComplete {
                    hash: Name::from(&archive.hash),
                    multipart_imgs: totals.multi,
                    disk_free_pct: space.map(|space| space.free_percent()),
                    available_bytes: space.map(|space| space.available),
                    imgs: Some(totals.images),
                    compressed_bytes: Some(archive.size),
                    totals: (*totals).clone(),
                    left_out: members_left_out(left_out),
                }))
            }
            Event::ArchiveVerified { archive, verified } => Record::ArchiveVerified(Box::new(ArchiveVerified {
                hash: Name::from(&archive.hash),
                archive: Some(Name::from(&archive.path)),
                size_bytes: Some(archive.size),
                mtime: archive.mtime.clone(),
                outcome: verified.soundness.as_str().to_owned(),
                reason: verified.cause.as_ref().map(|cause| cause.code.into()),
                message: verified.cause.as_ref().map(|cause| cause.message.clone()),
                frames: verified.frames,
                checksummed_frames: verified.checksummed_frames,
                content_bytes: verified.content_bytes,
                seconds: verified.seconds,
            })),
            Event::Warning { scope, cause } => Record::Warning(Box::new(problem(*scope, cause))),
            Event::Error { scope, cause } => Record::Error(Box::new(problem(*scope, cause))),
            Event::ArchiveFailed { archive, totals, left_out, cause } => Record::Error(Box::new(Problem {
                ended: Some(Ended {
                    imgs: totals.images,
                    multipart_imgs: totals.multi,
                    totals: (*totals).clone(),
                    left_out: members_left_out(left_out),
                }),
                ..problem(Scope::Archive(archive), cause)
            })),
            Event::LowSpace { space, minimum } => Record::LowSpace(Box::new(LowSpace {
                available_bytes: Some(space.available),
                minimum_bytes: Some(*minimum),
                disk_free_pct: Some(space.free_percent()),
            })),
            Event::Abort { cause } => {
                Record::Abort(Box::new(Abort { reason: Some(cause.code.into()), message: cause.message.clone() }))
            }
            Event::Interrupted { signal } => {
                Record::Interrupted(Box::new(Interrupted { signal: signal_name(*signal).to_owned() }))
            }
            Event::ScriptComplete(complete) => Record::ScriptComplete(Box::new((*complete).clone())),
            Event::ReprocessStart { image, command } => {
                let (command, command_bytes) = words(command);
                Record::ReprocessStart(Box::new(ReprocessStart { image: staged_id(image), command, command_bytes }))
            }
            Event::ReprocessComplete { image, outcome } => {
                Record::ReprocessComplete(Box::new(reprocess_complete(image, outcome)))
            }
            Event::Removed { image } => Record::Removed(Box::new(staged_id(image))),
            Event::Live(_) => return None,
        })
    }
}

fn members_left_out(left_out: &BTreeMap<MemberRule, images::MembersLeftOut>) -> Vec<MembersLeftOut> {
    let of_rule = |(rule, members): (&MemberRule, &images::MembersLeftOut)| MembersLeftOut {
        rule: rule.as_str().to_owned(),
        count: members.count,
        member: members.largest.as_ref().filter(|(path, _)| !path.is_empty()).map(|(path, _)| Name::new(path)),
        size_bytes: members.largest.as_ref().map_or(0, |(_, size)| *size),
    };
    left_out.iter().map(of_rule).collect()
}

fn left_out_file(file: &Unsurveyed) -> LeftOutFile {
    LeftOutFile { archive: Name::from(&file.path), size_bytes: file.size, reason: file.reason.clone() }
}

/// Words as text, and exactly, in base64, where that is not what they are.
fn words(words: &[OsString]) -> (Vec<String>, Option<Vec<String>>) {
    let is_text = words.iter().all(|word| word.to_str().is_some());
    let exact = || words.iter().map(|word| sanitize::base64(word.as_bytes())).collect();
    (words.iter().map(|word| word.to_string_lossy().into_owned()).collect(), (!is_text).then(exact))
}

fn archive_start(archive: &Archive, worker: usize) -> ArchiveStart {
    let start = ArchiveStart {
        hash: Name::from(&archive.hash),
        size_gb: gigabytes(archive.size),
        rank: archive.rank as u64,
        size_bytes: Some(archive.size),
        mtime: archive.mtime.clone(),
        worker: u32::try_from(worker).unwrap_or(u32::MAX),
        archive: Some(Name::from(&archive.path)),
        ..ArchiveStart::default()
    };
    match archive.mark.clone() {
        Mark::Inode { ctime, inode } => ArchiveStart { ctime: Some(ctime), inode: Some(inode), ..start },
        Mark::Tag { etag, version } => ArchiveStart { etag, version, ..start },
    }
}

fn script_start(start: &Start) -> ScriptStart {
    let of_rule = |rule| start.left_out.get(&rule);
    let count = |rule| of_rule(rule).map_or(0, |left_out| left_out.count);
    let hash = |path: &Path| {
        let name = path.file_name().map(OsStrExt::as_bytes).unwrap_or_default();
        String::from_utf8_lossy(archive_name::hash(name).unwrap_or(name)).into_owned()
    };
    let (options, options_bytes) = words(start.options);
    let skipped = of_rule(Rule::SkipList).into_iter().flat_map(|left_out| &left_out.files);
    ScriptStart {
        total_archives: start.total_archives as u64,
        total_bytes: start.total_bytes,
        skipped: skipped.map(|file| hash(&file.path)).collect(),
        too_small: count(Rule::TooSmall),
        not_selected: count(Rule::NotSelected),
        other_endings: count(Rule::OtherEnding),
        dry_run: start.dry_run,
        jobs: start.jobs as u64,
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        rules: Some(start.rules.clone()),
        available_bytes: start.space.map(|space| space.available),
        minimum_bytes: start.minimum,
        min_archive_bytes: Some(start.min_archive_size),
        options: Some(options),
        options_bytes,
        continued: false,
        shard: start.part.map(|part| part.shard),
        shard_archives: start.part.map(|part| part.archives),
        listed_archives: start.part.map(|part| part.of_archives),
        resumed_archives: start.resumed.as_ref().map(|resumed| resumed.archives as u64),
        resumed_bytes: start.resumed.as_ref().map(|resumed| resumed.bytes),
        resumed_runs: start.resumed.as_ref().map(|resumed| resumed.runs.iter().cloned().collect()),
    }
}

fn partition_check(archive: &Archive, image: &Image, check: &Check) -> PartitionCheck {
    let mut record = PartitionCheck {
        image: image_id(archive, image),
        action: check.action.as_str().to_owned(),
        reason: check.reason.as_ref().map(|cause| cause.code.into()),
        message: check.reason.as_ref().map(|cause| cause.message.clone()),
        size_bytes: Some(image.size),
        ..PartitionCheck::default()
    };
    match &check.action {
        Action::Kept(kept) => {
            record.path = Some(Name::from(&kept.path));
            record.verified = Some(kept.verified);
            record.existing = Some(kept.existing);
            record.allocated_bytes = Some(kept.allocated);
            record.bytes_written = kept.bytes_written;
        }
        Action::WouldKeep { at_most, existing } => {
            record.at_most_bytes = Some(*at_most);
            record.existing = existing.then_some(true);
        }
        _ => {}
    }
    if let Some(finding) = &check.finding {
        record.partitions = finding.count.map(u64::from);
        record.verdict = Some(finding.verdict().as_str().to_owned());
        record.found = Some(finding.describe());
        if let Some(rescued) = &finding.rescued {
            record.rescued_pct = Some(rescued.percent());
            record.unread_areas = Some(rescued.unread.iter().map(|area| (area.start, area.end - area.start)).collect());
        }
        record.table = Some(Table::of(finding));
        record.partition_list = Some(Partition::list(finding, PARTITIONS_MOST));
    }
    record
}

impl Table {
    /// The table that was found, but for its partitions.
    #[must_use]
    pub fn of(finding: &Finding) -> Table {
        let table = finding.table.as_ref();
        let damage = table.map_or(&[][..], |table| &table.damage);
        let damage = damage.iter().map(|damage| Damage { code: damage.code().to_owned(), message: damage.to_string() });
        Table {
            label: table.map(|table| table.label.as_str().to_owned()),
            sector_size: table.map(|table| u64::from(table.sector_size)),
            gpt_copy: table.and_then(|table| table.gpt_copy).map(GptCopy::as_str).map(str::to_owned),
            damaged: table.is_some_and(crate::ptable::PartitionTable::is_damaged),
            damage: damage.collect(),
            container: finding.wrapper.as_ref().map(|wrapper| wrapper.what.to_owned()),
            whole_disk: finding.whole_disk.as_ref().map(|content| FileSystem {
                fs: content.name.to_owned(),
                fs_label: content.label.clone(),
                fs_uuid: content.uuid.clone(),
            }),
            complete: table.is_some_and(|table| !table.complete).then_some(false),
        }
    }
}

impl Partition {
    /// The first `most` partitions that were found.
    #[must_use]
    pub fn list(finding: &Finding, most: usize) -> Vec<Partition> {
        let partitions = finding.table.iter().flat_map(|table| &table.partitions).take(most);
        let list = partitions.zip(finding.contents()).map(|(partition, content)| Partition {
            number: partition.number,
            start_bytes: partition.start,
            size_bytes: partition.size,
            type_id: (partition.type_id != PartitionType::Unknown).then(|| partition.type_id.to_string()),
            name: partition.name.clone(),
            kind: partition.kind.as_str().to_owned(),
            fs: content.map(|content| content.name.to_owned()),
            fs_label: content.and_then(|content| content.label.clone()),
            fs_uuid: content.and_then(|content| content.uuid.clone()),
        });
        list.collect()
    }
}

fn reprocess_complete(image: &StagedFile, outcome: &CommandOutcome) -> ReprocessComplete {
    let mut record = ReprocessComplete {
        image: staged_id(image),
        seconds: outcome.seconds,
        output: Some(Name::from(&outcome.output)),
        inode: outcome.of.as_ref().map(|(inode, _)| *inode),
        mtime: outcome.of.as_ref().map(|(_, mtime)| mtime.clone()),
        ..ReprocessComplete::default()
    };
    match &outcome.end {
        CommandEnd::Exited(status) => record.exit_status = Some(*status),
        CommandEnd::Signalled(number) => record.signal = Some(signal_name(*number).to_owned()),
        CommandEnd::Unknown(cause) => {
            record.reason = Some(cause.code.into());
            record.message = Some(cause.message.clone());
        }
    }
    record
}

fn problem(scope: Scope<'_>, cause: &Cause) -> Problem {
    let mut record = Problem { reason: Some(cause.code.into()), message: cause.message.clone(), ..Problem::default() };
    let word = match scope {
        Scope::Run => "run",
        Scope::Path(path) => {
            record.archive = Some(Name::from(path));
            "archive"
        }
        Scope::Archive(archive) => {
            record.hash = Some(Name::from(&archive.hash));
            "archive"
        }
        Scope::Image(archive, image) => {
            let ImageId { hash, img, member, ordinal } = image_id(archive, image);
            (record.hash, record.img, record.member, record.ordinal) = (Some(hash), Some(img), member, ordinal);
            "image"
        }
        Scope::Staged(image) => {
            let StagedId { hash, img, ordinal, path, size_bytes } = staged_id(image);
            (record.hash, record.img, record.ordinal) = (hash, img, ordinal);
            (record.path, record.size_bytes) = (path, size_bytes);
            "staged"
        }
    };
    word.clone_into(&mut record.scope);
    record
}

fn image_id(archive: &Archive, image: &Image) -> ImageId {
    ImageId {
        hash: Name::from(&archive.hash),
        img: Name::new(&image.name),
        member: (image.member != image.name).then(|| Name::new(&image.member)),
        ordinal: (image.ordinal > 1).then_some(image.ordinal),
    }
}

fn staged_id(image: &StagedFile) -> StagedId {
    StagedId {
        hash: Some(Name::from(&image.hash)),
        img: Some(Name::new(&image.name)),
        ordinal: (image.ordinal > 1).then_some(image.ordinal),
        path: Some(Name::from(&image.path)),
        size_bytes: Some(image.size),
    }
}

fn signal_name(number: i32) -> &'static str {
    signal_hook::low_level::signal_name(number).unwrap_or("unknown")
}
