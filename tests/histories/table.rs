//! Partition tables, each made by a tool that makes such ones, and where their pieces are then.

use std::fmt::Write as _;
use std::ops::Range;

use crate::common::content::Random;
use crate::medium::{MIB, Medium, Part, SECTOR};
use crate::peers::Extent;
use crate::peers::labels::PARTED;

/// What is left free at the end for copies of a table, in sectors.
const TAIL: u64 = MIB / SECTOR;
/// Sectors in front of a logical partition, the first of which has its EBR: sfdisk's.
const EBR_GAP: u64 = 2048;
/// Sectors of a cylinder: 255 heads by 63 sectors, as sfdisk takes a file to have.
const CYLINDER: u64 = 255 * 63;
// UEFI 2.10 tables 5-1, 5-5: the entries and the signature of an MBR; an array of entries has 16 KiB.
const ENTRIES: Range<u64> = 446..512;
const ARRAY: u64 = 16384;

/// Types of partitions in which nothing is nested.
const TYPES: [&str; 6] = ["83", "c", "7", "6", "82", "ef"];

/// A tool that makes tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Maker {
    SfdiskDos,
    SfdiskGpt,
    SfdiskSun,
    SfdiskSgi,
    Sgdisk,
    Parted,
    Fdisk4K,
}

/// Starts and lengths in sectors: at most `most` of them from `first` on, aligned, with gaps or without.
fn layout(random: &mut Random, first: u64, end: u64, most: u64, align: u64) -> Vec<(u64, u64)> {
    let wanted = match random.within(0..100) {
        0..6 => 0,
        6..30 => 1,
        30..60 => 2,
        60..78 => 3,
        78..92 => 4,
        _ => most,
    };
    let room = end.saturating_sub(first) / align;
    let count = wanted.min(most).min(room / 2);
    let has_gaps = random.percent(40);
    let fills = random.percent(50);
    let mut extents = Vec::new();
    let mut at = first;
    for index in 0..count {
        let share = (end.saturating_sub(at) / align) / (count - index);
        let mut length = if fills || share < 4 { share } else { 1 + random.next() % (share - 1) };
        let gap = if has_gaps && length > 2 { 1 + random.next() % (length / 2) } else { 0 };
        length -= gap;
        if length == 0 {
            break;
        }
        extents.push((at + gap * align, length * align));
        at += (gap + length) * align;
    }
    if random.percent(10) {
        extents.reverse();
    }
    extents
}

fn numbered(extents: &[(u64, u64)], numbers: impl IntoIterator<Item = u32>, sector: u64) -> Vec<Extent> {
    extents.iter().zip(numbers).map(|(&(start, length), number)| (number, start * sector, length * sector)).collect()
}

fn line(script: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(script, "{text}").expect("a string grows");
}

/// Makes a table on the whole medium, in place of what is there. Some tables need room, and an MBR is made without it.
pub fn make(medium: &mut Medium, maker: Maker, random: &mut Random) {
    match maker {
        Maker::SfdiskSun if medium.size >= 32 * MIB => sun(medium, random),
        Maker::SfdiskSgi if medium.size >= 64 * MIB => sgi(medium, random),
        Maker::SfdiskGpt => sfdisk_gpt(medium, random),
        Maker::Sgdisk => sgdisk(medium, random),
        Maker::Parted => parted(medium, random),
        Maker::Fdisk4K if medium.size.is_multiple_of(4096) => fdisk_4k(medium, random),
        _ => sfdisk_dos(medium, random),
    }
}

fn sfdisk(medium: &mut Medium, random: &mut Random, script: &str) {
    let wipe = random.of(&["--wipe=never", "--wipe=never", "--wipe=always"]);
    let wipe_partitions = random.of(&["--wipe-partitions=never", "--wipe-partitions=always"]);
    medium.tool("fdisk", "sfdisk", &["--quiet", wipe, wipe_partitions], script);
}

fn sfdisk_dos(medium: &mut Medium, random: &mut Random) {
    let end = medium.sectors() - random.of(&[0, TAIL]).min(medium.sectors() / 4);
    let (first, align) = random.of(&[(2048, 2048), (2048, 2048), (63, 63), (8192, 8)]);
    let has_logical = random.percent(35) && end > 24 * EBR_GAP / 4;
    let middle = if has_logical { (end / 2).next_multiple_of(2048) } else { end };
    let most = if has_logical { 3 } else { 4 };
    let mut primaries = numbered(&layout(random, first, middle, most, align), 1.., SECTOR);
    let mut script = "label: dos\nunit: sectors\n".to_owned();
    let mut entry = |number: u32, start: u64, size: u64, type_id: &str| {
        line(&mut script, format_args!("{number}: start={start},size={size},type={type_id}"));
    };
    for &(number, start, size) in &primaries {
        entry(number, start / SECTOR, size / SECTOR, random.of(&TYPES));
    }
    let mut links = Vec::new();
    let mut logicals = Vec::new();
    if has_logical {
        let container = u32::try_from(primaries.len()).expect("few") + 1;
        entry(container, middle, end - middle, random.of(&["5", "f", "85"]));
        let count = 1 + random.next() % 5;
        let share = ((end - middle) / count / 2048).max(2) * 2048;
        let starts = (0..count).map(|index| middle + index * share).take_while(|start| start + 2 * EBR_GAP <= end);
        for (number, ebr) in (5..).zip(starts) {
            let start = ebr + EBR_GAP;
            let size = (share - EBR_GAP).min(end - start);
            entry(number, start, size, random.of(&TYPES));
            links.push((primaries.len() + logicals.len(), ebr));
            logicals.push((number, start * SECTOR, size * SECTOR));
        }
    }
    sfdisk(medium, random, &script);
    let mut shift = 0;
    if primaries.len() >= 2 && random.percent(15) {
        let gone = primaries.remove(random.within(0..primaries.len()));
        medium.tool("fdisk", "sfdisk", &["--quiet", "--delete", "IMAGE", &gone.0.to_string()], "");
        shift = 1;
    }
    let links = links
        .into_iter()
        .map(|(place, ebr)| (Part::Link(place - shift), ebr * SECTOR + ENTRIES.start..ebr * SECTOR + ENTRIES.end));
    primaries.extend(logicals);
    medium.note("dos", Some(primaries), SECTOR, [(Part::Front, ENTRIES)].into_iter().chain(links));
}

/// Where a GPT of the usual form has its pieces.
fn note_gpt(medium: &mut Medium, partitions: Vec<Extent>, sector: u64) {
    let last = medium.size / sector - 1;
    let header = |lba: u64| lba * sector..lba * sector + 92;
    let array = |lba: u64| lba * sector..lba * sector + ARRAY;
    let places = [
        (Part::Front, ENTRIES),
        (Part::Header, header(1)),
        (Part::Entries, array(2)),
        (Part::BackupEntries, array(last - ARRAY / sector)),
        (Part::BackupHeader, header(last)),
    ];
    medium.note("gpt", Some(partitions), sector, places);
}

fn gpt_layout(medium: &Medium, random: &mut Random, sector: u64) -> Vec<Extent> {
    let end = medium.size / sector - TAIL * SECTOR / sector;
    let (first, align) = if sector == SECTOR { random.of(&[(2048, 2048), (2048, 2048), (40, 8)]) } else { (256, 256) };
    numbered(&layout(random, first, end, 9, align), 1.., sector)
}

fn sfdisk_gpt(medium: &mut Medium, random: &mut Random) {
    let mut partitions = gpt_layout(medium, random, SECTOR);
    let mut script = "label: gpt\nunit: sectors\n".to_owned();
    if partitions.iter().any(|(_, start, _)| start / SECTOR < 2048) {
        line(&mut script, format_args!("first-lba: 34"));
    }
    for (number, start, size) in &partitions {
        line(&mut script, format_args!("{number}: start={},size={}", start / SECTOR, size / SECTOR));
    }
    sfdisk(medium, random, &script);
    if partitions.len() >= 2 && random.percent(15) {
        let gone = partitions.remove(random.within(0..partitions.len()));
        medium.tool("fdisk", "sfdisk", &["--quiet", "--delete", "IMAGE", &gone.0.to_string()], "");
    }
    note_gpt(medium, partitions, SECTOR);
}

fn sgdisk(medium: &mut Medium, random: &mut Random) {
    let partitions = gpt_layout(medium, random, SECTOR);
    let mut args = vec!["--mbrtogpt".to_owned(), "--clear".to_owned(), "--set-alignment=1".to_owned()];
    args.extend(
        partitions
            .iter()
            .map(|(number, start, size)| format!("--new={number}:{}:{}", start / SECTOR, (start + size) / SECTOR - 1)),
    );
    if !partitions.is_empty() && random.percent(20) {
        args.push("--hybrid=1".to_owned());
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    if !medium.tool("gdisk", "sgdisk", &args, "") {
        // What was there was damaged, and sgdisk has written something else than it was told.
        medium.tool("gdisk", "sgdisk", &["--zap-all"], "");
        assert!(medium.tool("gdisk", "sgdisk", &args, ""), "nothing is left to complain of");
    }
    note_gpt(medium, partitions, SECTOR);
}

/// A GPT of sectors of 4096 bytes.
fn fdisk_4k(medium: &mut Medium, random: &mut Random) {
    let partitions = gpt_layout(medium, random, 4096);
    let mut input = "g\n".to_owned();
    for (number, start, size) in &partitions {
        line(&mut input, format_args!("n\n{number}\n{}\n{}", start / 4096, (start + size) / 4096 - 1));
    }
    input += "w\n";
    medium.tool("fdisk", "fdisk", &["--sector-size", "4096", "--wipe=never", "--wipe-partitions=never"], &input);
    note_gpt(medium, partitions, 4096);
}

/// Partitions start at cylinders; the third is the whole disk.
fn sun(medium: &mut Medium, random: &mut Random) {
    let cylinders = medium.sectors() / CYLINDER;
    let extents = layout(random, CYLINDER, cylinders * CYLINDER, 4, CYLINDER);
    let partitions = numbered(&extents, [1, 2, 4, 5], SECTOR);
    let mut script = "label: sun\nunit: sectors\n".to_owned();
    for (number, start, size) in &partitions {
        line(&mut script, format_args!("{number}: start={},size={}", start / SECTOR, size / SECTOR));
    }
    sfdisk(medium, random, &script);
    medium.note("sun", Some(partitions), SECTOR, [(Part::Front, 0..512)]);
}

/// sfdisk (util-linux 2.38) writes one sector less into an SGI label than it was told, so there have to be gaps;
/// where two share a cylinder it has no room for a third.
fn sgi(medium: &mut Medium, random: &mut Random) {
    let end = medium.sectors() / CYLINDER * CYLINDER;
    let mut extents = layout(random, 32768, end, 4, 32768);
    extents.sort_unstable();
    let extents: Vec<_> = extents.iter().map(|&(start, length)| (start, length - 16384)).collect();
    let partitions = numbered(&extents, 1.., SECTOR);
    let mut script = "label: sgi\nunit: sectors\n".to_owned();
    for (number, start, size) in &partitions {
        line(&mut script, format_args!("{number}: start={},size={}", start / SECTOR, size / SECTOR + 1));
    }
    sfdisk(medium, random, &script);
    medium.note("sgi", Some(partitions), SECTOR, [(Part::Front, 0..512)]);
}

/// Whatever parted can make, on whole MiB.
fn parted(medium: &mut Medium, random: &mut Random) {
    let label = &PARTED[random.within(0..PARTED.len())];
    let align = MIB / SECTOR;
    let end = (medium.sectors() - TAIL) / align * align;
    let mut extents = layout(random, 2 * align, end, label.most.min(9), align);
    if label.name == "amiga" {
        // They are numbered by their place on the disk.
        extents.sort_unstable();
    }
    let partitions = numbered(&extents, label.numbers(), SECTOR);
    if ["sun", "amiga"].contains(&label.name) {
        // Their partitions start at cylinders, and parted takes the geometry from an MBR that is there.
        medium.zero(0..SECTOR);
    }
    let args = label.parted(&partitions);
    medium.tool("parted", "parted", &args.iter().map(String::as_str).collect::<Vec<_>>(), "");
    let links = |first: u64| (0..partitions.len()).map(move |place| (Part::Link(place), first + place as u64));
    let block = |(part, block): (Part, u64)| (part, block * SECTOR..(block + 1) * SECTOR);
    let places: Vec<(Part, Range<u64>)> = match label.name {
        "gpt" => return note_gpt(medium, partitions, SECTOR),
        "dos" => vec![(Part::Front, ENTRIES)],
        // The signature and the block size; the map's entry for itself, and one a partition.
        "mac" => [(Part::Front, 0..4), (Part::Header, 512..1024)].into_iter().chain(links(2).map(block)).collect(),
        // The rigid disk block and its list: parted puts them into the third block and those behind.
        "amiga" => [(Part::Front, 1024..1536)].into_iter().chain(links(3).map(block)).collect(),
        "bsd" => vec![(Part::Front, 64..340)],
        "pc98" => vec![(Part::Front, 4..8), (Part::Front, 510..512), (Part::Header, 512..1024)],
        // The sizes and entries of the root sector, and its list of bad sectors.
        "atari" => vec![(Part::Front, 450..510)],
        _ => vec![(Part::Front, 0..512)],
    };
    medium.note(label.name, Some(partitions), SECTOR, places);
}
