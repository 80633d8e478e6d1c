//! What may happen to a medium, one thing after the other.

use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use crate::common::content::Random;
use crate::common::run;
use crate::medium::{MIB, Medium, Part, SECTOR};
use crate::table::{self, Maker};
use crate::truth;
use crate::volume::Volume;

/// The largest medium.
const MOST: u64 = 512 * MIB;
/// Boot code in front of what an MBR says.
const CODE: [usize; 3] = [440, 446, 512];

/// One thing. What it does in detail, its numbers say, and what is on the medium by then.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    act: Act,
    seed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// A file system on the whole disk.
    Format,
    Partition(Maker),
    /// An image of a smaller disk, or of a disc, is written over the start.
    Overlay,
    /// File systems in the partitions.
    Fill,
    Erase,
    Boot,
    Zero,
    Cut,
    Grow,
    /// The medium is read, but for some sectors.
    Rescue,
    Nothing,
}

/// What may happen: how often as the first thing, how often later, and how often in the end, when the medium is imaged.
const ACTS: [(Act, [usize; 3]); 17] = [
    (Act::Format, [36, 14, 0]),
    (Act::Partition(Maker::SfdiskDos), [16, 16, 0]),
    (Act::Partition(Maker::SfdiskGpt), [12, 6, 0]),
    (Act::Partition(Maker::SfdiskSun), [2, 2, 0]),
    (Act::Partition(Maker::SfdiskSgi), [2, 2, 0]),
    (Act::Partition(Maker::Sgdisk), [8, 4, 0]),
    (Act::Partition(Maker::Parted), [16, 10, 0]),
    (Act::Partition(Maker::Fdisk4K), [3, 1, 0]),
    (Act::Overlay, [3, 6, 0]),
    (Act::Fill, [0, 18, 0]),
    (Act::Erase, [0, 5, 0]),
    (Act::Boot, [2, 10, 0]),
    (Act::Zero, [0, 6, 4]),
    (Act::Cut, [0, 3, 25]),
    (Act::Grow, [0, 4, 6]),
    (Act::Rescue, [0, 0, 30]),
    (Act::Nothing, [0, 0, 35]),
];

impl Act {
    fn any(random: &mut Random, when: usize) -> Act {
        let sum: usize = ACTS.iter().map(|(_, weights)| weights[when]).sum();
        let mut at = random.within(0..sum);
        let chosen = ACTS.iter().find(|(_, weights)| {
            let is_here = at < weights[when];
            at = at.saturating_sub(weights[when]);
            is_here
        });
        chosen.expect("it is less than the sum").0
    }
}

/// A medium's size and all that happens to it.
pub fn history(seed: u64) -> (u64, Vec<Step>) {
    let mut random = Random::new(seed ^ 0x6869_7374_6f72_7900);
    let mib = (8 << random.within(0..7)).min(MOST / MIB);
    let mib = if random.percent(50) { mib } else { (mib + random.next() % mib).min(MOST / MIB) };
    let odd = match random.within(0..10) {
        0..6 => 0,
        6..9 => random.next() % 2048 * SECTOR,
        _ => random.next() % MIB,
    };
    // Sticks and cards are sold formatted, and some are partitioned then.
    let mut acts = if random.percent(12) {
        vec![Act::Format, Act::Partition(Maker::SfdiskDos)]
    } else {
        vec![Act::any(&mut random, 0)]
    };
    let later = random.within(0..6 - acts.len());
    acts.extend((0..later).map(|_| Act::any(&mut random, 1)));
    acts.push(Act::any(&mut random, 2));
    (mib * MIB - odd, acts.into_iter().map(|act| Step { act, seed: random.next() }).collect())
}

impl Step {
    /// Does it.
    pub fn apply(self, medium: &mut Medium) {
        let random = &mut Random::new(self.seed);
        match self.act {
            Act::Format => {
                if let Some(volume) = Volume::of(random, medium.size, true) {
                    volume.make(medium);
                }
            }
            Act::Partition(_) if medium.size < 4 * MIB => {}
            Act::Partition(maker) => table::make(medium, maker, random),
            Act::Overlay => overlay(medium, random),
            Act::Fill => fill(medium, random),
            Act::Erase => erase(medium, random),
            Act::Boot => boot(medium, random),
            Act::Zero => zero(medium, random),
            Act::Cut => cut(medium, random),
            Act::Grow => grow(medium, random),
            Act::Rescue => rescue(medium, random),
            Act::Nothing => {}
        }
    }
}

/// A disk image or a disc's is written onto a medium that is larger, as `dd` does.
fn overlay(medium: &mut Medium, random: &mut Random) {
    let path = medium.folder().join("smaller");
    if medium.size < 16 * MIB {
        return;
    }
    if random.percent(50) {
        iso(medium, &path, random.percent(40));
    } else {
        let size = (medium.size / MIB / random.of(&[2, 3, 4])).max(5) * MIB;
        let mut smaller = Medium::new(path.clone(), size);
        let makers = [Maker::SfdiskDos, Maker::SfdiskGpt, Maker::Parted, Maker::Sgdisk];
        table::make(&mut smaller, random.of(&makers), random);
        if random.percent(50) {
            fill(&mut smaller, random);
        }
        medium.lines.extend(smaller.lines.iter().map(|line| line.replace("image", "smaller")));
        medium.overlay(&path, 0, true, "smaller");
        medium.structures.append(&mut smaller.structures);
    }
    std::fs::remove_file(&path).expect("it is there");
}

/// A disc's image, which may be a disk's as well.
fn iso(medium: &mut Medium, path: &Path, is_hybrid: bool) {
    const ISOLINUX: &str = "/usr/lib/ISOLINUX/isolinux.bin";
    const BOOT: [&str; 8] =
        ["-b", "isolinux.bin", "-c", "boot.cat", "-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"];
    let content = medium.folder().join("content");
    std::fs::create_dir(&content).expect("a folder");
    std::fs::copy(ISOLINUX, content.join("isolinux.bin")).expect("a file of the Debian package isolinux");
    let [name, from] = [path, &content].map(|path| path.to_str().expect("UTF-8"));
    run("genisoimage", "genisoimage", &[&BOOT[..], &["-quiet", "-J", "-R", "-o", name, from]].concat(), "");
    medium.lines.push(format!("genisoimage {} -quiet -J -R -o smaller DIR-WITH-isolinux.bin", BOOT.join(" ")));
    if is_hybrid {
        run("syslinux-utils", "isohybrid", &[name], "");
        medium.lines.push("isohybrid smaller".to_owned());
    }
    std::fs::remove_dir_all(&content).expect("it is there");
    medium.overlay(path, 0, true, "smaller");
    medium.note("iso9660", None, 0, [(Part::Superblock, 32768..34816)]);
    if is_hybrid {
        medium.note_only_partition();
    }
}

/// Makes file systems in the partitions of the newest table, or in some of them.
fn fill(medium: &mut Medium, random: &mut Random) {
    let Some(partitions) = medium.table().and_then(|table| table.partitions.clone()) else { return };
    let path = medium.folder().join("partition");
    for (_, start, size) in partitions {
        let room = size.min(medium.size.saturating_sub(start));
        if room < size || random.percent(25) {
            continue;
        }
        let Some(volume) = Volume::of(random, size, false) else { continue };
        let mut partition = Medium::new(path.clone(), size);
        volume.make(&mut partition);
        medium.lines.extend(partition.lines.iter().map(|line| line.replace("image", "partition")));
        medium.overlay(&path, start, false, "partition");
        std::fs::remove_file(&path).expect("it is there");
    }
}

fn erase(medium: &mut Medium, random: &mut Random) {
    match random.within(0..4) {
        0 | 1 => medium.erase("util-linux", "wipefs", &["--all", "--force", "--quiet"]),
        2 => medium.erase("gdisk", "sgdisk", &["--zap"]),
        _ => medium.erase("gdisk", "sgdisk", &["--zap-all"]),
    }
}

fn boot(medium: &mut Medium, random: &mut Random) {
    const FILES: [&str; 5] = [
        "/usr/lib/syslinux/mbr/mbr.bin",
        "/usr/lib/syslinux/mbr/gptmbr.bin",
        "/usr/lib/grub/i386-pc/boot.img",
        "/usr/lib/grub/i386-pc/boot.img",
        "/usr/lib/syslinux/mbr/altmbr.bin",
    ];
    let is_fat = medium.structures.last().is_some_and(|newest| newest.name == "vfat" && medium.stands(newest));
    match random.within(0..10) {
        0..4 if is_fat => {
            medium.tool("syslinux", "syslinux", &["--install"], "");
            // What it changes of the boot sector is code, and not what makes it one.
        }
        0..6 => {
            let file = random.of(&FILES);
            let code = std::fs::read(file)
                .unwrap_or_else(|error| panic!("{file} ({error}): install syslinux-common and grub-pc-bin"));
            let length = random.of(&CODE).min(code.len());
            medium.write(0, &code[..length], file);
        }
        6 => {
            medium.tool("mbr", "install-mbr", &["--force"], "");
        }
        _ => {
            let kib = 1 << random.within(0..13);
            let mut bytes: Vec<u8> = (0..kib * 128).flat_map(|_| random.next().to_le_bytes()).collect();
            if random.percent(30) {
                bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
            }
            medium.write(0, &bytes, "noise");
        }
    }
}

fn zero(medium: &mut Medium, random: &mut Random) {
    let bytes = random.of(&[1, 1, 2, 8, 34, 63, 64, 2048, 8192]) * SECTOR;
    if random.percent(70) {
        medium.zero(0..bytes);
    } else {
        medium.zero(medium.size.saturating_sub(bytes)..medium.size);
    }
}

fn cut(medium: &mut Medium, random: &mut Random) {
    let by = match random.within(0..10) {
        0..4 => (1 + random.next() % 64) * SECTOR,
        4..6 => MIB,
        6 => medium.size / 10,
        7 | 8 => medium.size / 2 / SECTOR * SECTOR,
        _ => medium.size.saturating_sub(random.of(&[64 << 10, MIB, 3 * MIB])),
    };
    // Something is left.
    medium.set_len((medium.size.saturating_sub(by)).max(medium.size.min(32 << 10)));
}

fn grow(medium: &mut Medium, random: &mut Random) {
    let by = match random.within(0..3) {
        0 => (1 + random.next() % 4096) * SECTOR,
        1 => MIB * (1 + random.next() % 8),
        _ => medium.size,
    };
    medium.set_len((medium.size + by).min(MOST + MIB));
}

/// What could not be read is zeros, or a pattern, in the image; a map tells which it was, or is lost.
fn rescue(medium: &mut Medium, random: &mut Random) {
    let before = truth::of(medium);
    let mut unread: Vec<Range<u64>> = Vec::new();
    let sectors = medium.sectors();
    for _ in 0..=random.within(0..4) {
        let first = match random.within(0..10) {
            0..2 => 0,
            2 => random.of(&[1, 2, 64]),
            3 => sectors - random.of(&[1, 33]),
            4..8 => {
                let pieces = medium.structures.last().map_or(0, |newest| newest.pieces.len());
                let piece = (pieces > 0).then(|| random.within(0..pieces));
                piece.map_or(0, |piece| medium.structures[medium.structures.len() - 1].pieces[piece].at / SECTOR)
            }
            _ => random.next() % sectors,
        };
        let length = random.of(&[1, 1, 1, 2, 8, 32, 128]);
        unread.push(first.min(sectors - 1) * SECTOR..(first + length).min(sectors) * SECTOR);
    }
    unread.sort_by_key(|range| range.start);
    unread.dedup_by(|next, last| {
        let overlaps = next.start <= last.end;
        if overlaps {
            last.end = last.end.max(next.end);
        }
        overlaps
    });
    unread.retain(|range| !range.is_empty());
    let map = medium.folder().join("image.map");
    let status = random.of(&["-", "-", "*", "/", "?"]);
    let mut text = "# Mapfile\n0x0 + 1\n".to_owned();
    let mut at = 0;
    for range in &unread {
        medium.zero(range.clone());
        for (range, status) in [(at..range.start, "+"), (range.clone(), status)] {
            if !range.is_empty() {
                writeln!(text, "0x{:X} 0x{:X} {status}", range.start, range.end - range.start).expect("a string grows");
            }
        }
        at = range.end;
    }
    if at < medium.size {
        writeln!(text, "0x{at:X} 0x{:X} +", medium.size - at).expect("a string grows");
    }
    std::fs::write(&map, &text).expect("a map");
    medium.lines.push(format!("printf '{}' > image.map", text.replace('\n', "\\n")));
    let pattern: &[u8] = random.of(&[b"", b"BAD-SECTOR\n", &[0xff], &[0xaa], &[0xde, 0xad, 0xbe, 0xef], b"l"]);
    if !pattern.is_empty() {
        let file = medium.folder().join("pattern");
        std::fs::write(&file, pattern).expect("a file");
        medium.lines.push(format!("printf '{}' > pattern", pattern.escape_ascii()));
        // With the letter, each sector says where it is.
        let letter = if pattern == b"l" { "l" } else { "" };
        let mode = format!("--fill-mode={status}{letter}");
        let names = [&file, &medium.path, &map].map(|path| path.to_str().expect("UTF-8").to_owned());
        run("gddrescue", "ddrescue", &["--quiet", &mode, &names[0], &names[1], &names[2]], "");
        medium.lines.push(format!("ddrescue --quiet {mode} pattern image image.map"));
    }
    medium.unread = unread;
    if random.percent(65) {
        medium.map = Some((map, before));
    } else {
        medium.lines.push("rm image.map".to_owned());
    }
}
