//! BSD disklabels: on a whole disk, and in a slice of an MBR.
//!
//! On a whole disk Linux reads none but OSF/1's (see [`osf`](super::osf)), so there the rules are those of `libblkid`'s
//! `partitions/bsd.c`: an entry is in use if it has a type, and those in use are numbered in turn. `libblkid` looks in
//! three places, and only at what a little-endian machine wrote; the systems themselves have a few more. As nothing else
//! vouches for such a label, it needs both magic numbers, and its checksum or entries that all make sense.
//!
//! In a slice the rules are those of `parse_bsd` in Linux's `block/partitions/msdos.c`, which looks at the first magic
//! number alone: the type of the slice vouches for the rest. Where the second one or the checksum is wrong, the label is
//! believed only if every entry in use lies in the slice and no two overlap; else the slice stays one partition.

use super::disklabel::{self, BYTES, ByteOrder, Disklabel, ENTRY_C, Entry, FS_UNUSED};
use super::nested::{Nested, is_inside};
use crate::ptable::damage::Damage;
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, count};
use crate::ptable::view::View;

/// Where a label is on a whole disk, and the sector size that puts it there: `LABELSECTOR` and `LABELOFFSET` of the
/// systems' `disklabel.h`. Without a size, the label says it.
const PLACES: [(u64, Option<u32>); 7] = [
    // amd64, i386, arm, hppa, macppc, sgi.
    (512, Some(512)),
    // alpha, vax, m68k, sparc of OpenBSD.
    (64, None),
    // sparc of NetBSD.
    (128, None),
    // next68k.
    (0, None),
    // As the first, with other sectors.
    (4096, Some(4096)),
    (2048, Some(2048)),
    (1024, Some(1024)),
];
const USUAL_SECTOR_SIZE: u32 = 512;

/// `BSD_MAXPARTITIONS` and `OPENBSD_MAXPARTITIONS` of Linux's block/partitions/msdos.c.
const NESTED_MAX_ENTRIES: usize = 16;
/// Sectors of the slice from LBA 0 on that FreeBSD's `boot1` makes up for a disk that has a label and no MBR
/// ("dangerously dedicated").
const DEDICATED_SECTORS: u64 = 50_000;

/// Looks for a label of the whole disk.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let mut rejection = Rejection::NoMagic;
    for (at, sector_size) in PLACES {
        let Some(bytes) = view.read(at, BYTES)? else { continue };
        for order in [ByteOrder::Little, ByteOrder::Big] {
            match bare(view, &bytes, order, sector_size) {
                Ok(table) => return Ok(table),
                Err(other) if rejection == Rejection::NoMagic => rejection = other,
                Err(_) => {}
            }
        }
    }
    Err(rejection.into())
}

fn bare(
    view: &View<'_>,
    bytes: &[u8],
    order: ByteOrder,
    sector_size: Option<u32>,
) -> Result<PartitionTable, Rejection> {
    let label = Disklabel::parse(bytes, order)?;
    // Only `libblkid`'s place is believed without the label saying the same.
    if let Some(size) = sector_size.filter(|&size| size != USUAL_SECTOR_SIZE && label.sector_size != Some(size)) {
        return Err(Rejection::Field { field: "d_secsize", value: u64::from(label.sector_size.unwrap_or(size)) });
    }
    let sector_size = sector_size.or(label.sector_size).unwrap_or(USUAL_SECTOR_SIZE);
    let listed = label.in_count(disklabel::MAX_ENTRIES);
    let used: Vec<Entry> = listed.iter().filter(|e| e.fs_type != FS_UNUSED && e.sectors != 0).copied().collect();
    if let Some(flaw) = &label.flaw {
        let apart: Vec<Entry> = (0..listed.len())
            .filter(|&index| !label.is_raw(index, &used))
            .filter_map(|index| listed.get(index).filter(|e| e.fs_type != FS_UNUSED && e.sectors != 0).copied())
            .collect();
        // parted rounds the disk down to whole cylinders of a geometry that it makes up.
        let sectors = label.unit_sectors.max(view.size() / u64::from(sector_size));
        let makes_sense = disklabel::is_disjoint(&apart) && apart.iter().all(|e| e.end() <= sectors);
        if !matches!(flaw, Rejection::Checksum { .. }) || !makes_sense {
            return Err(flaw.clone());
        }
    }
    let mut next = 1;
    let mut partitions = Vec::new();
    for (index, entry) in listed.iter().enumerate() {
        // Nothing numbers an entry without a type; the raw partition by custom has none.
        let (number, kind) = match entry.fs_type {
            FS_UNUSED if disklabel::is_raw_place(index) => (0, Kind::Meta),
            FS_UNUSED => continue,
            _ if label.is_raw(index, &used) => (next, Kind::Meta),
            _ => (next, Kind::Primary),
        };
        next += u32::from(entry.fs_type != FS_UNUSED);
        if entry.sectors != 0 {
            partitions.push(entry.partition(number, kind, 0, sector_size));
        }
    }
    if count(&partitions) == 0 {
        return Err(Rejection::Empty);
    }
    let mut table = PartitionTable::new(Label::Bsd, sector_size, partitions);
    table.damage.extend(label.flaw.map(|flaw| Damage::Disklabel { flaw }));
    table.note_length(0, view.size());
    Ok(table)
}

/// Reads the label in a slice of NetBSD or OpenBSD, whose offsets are those of the disk.
pub(super) fn nested(view: &View<'_>, slice: &Partition) -> Probe<Nested> {
    read_nested(view, slice, false)
}

/// Reads the label in a slice of FreeBSD, whose offsets are those of the slice if entry `c` starts at 0.
pub(super) fn nested_freebsd(view: &View<'_>, slice: &Partition) -> Probe<Nested> {
    read_nested(view, slice, true)
}

fn read_nested(view: &View<'_>, slice: &Partition, is_freebsd: bool) -> Probe<Nested> {
    let mut rejection = Rejection::TooShort;
    // Linux knows the first place alone. On a disk of larger sectors FreeBSD has the label in its sector 1.
    for sector_size in [USUAL_SECTOR_SIZE, 4096, 2048] {
        let Some(bytes) = view.read(slice.start.saturating_add(u64::from(sector_size)), BYTES)? else { continue };
        let label = match Disklabel::parse(&bytes, ByteOrder::Little) {
            Ok(label) if sector_size == USUAL_SECTOR_SIZE || label.sector_size == Some(sector_size) => label,
            Ok(_) | Err(_) => {
                rejection = Rejection::NoMagic;
                continue;
            }
        };
        return Ok(in_slice(slice, label, sector_size, is_freebsd)?);
    }
    Err(rejection.into())
}

fn in_slice(slice: &Partition, label: Disklabel, sector_size: u32, is_freebsd: bool) -> Result<Nested, Rejection> {
    let is_relative = is_freebsd && label.entries.get(ENTRY_C).is_some_and(|c| c.start == 0);
    let origin = if is_relative { slice.start } else { 0 };
    let mut bounds = slice.clone();
    // A made-up slice says nothing of the disk; the label does.
    let is_made_up = slice.start == 0 && slice.size == DEDICATED_SECTORS * u64::from(sector_size);
    if is_freebsd && is_made_up && label.flaw.is_none() {
        bounds.size = label.unit_sectors.saturating_mul(u64::from(sector_size));
    }
    let listed = label.in_count(NESTED_MAX_ENTRIES).iter().filter(|e| e.fs_type != FS_UNUSED);
    let used: Vec<_> = listed
        .map(|e| e.partition(0, Kind::Nested, origin, sector_size))
        // The whole slice is listed already.
        .filter(|p| (p.start, p.size) != (slice.start, slice.size) && (p.start, p.size) != (bounds.start, bounds.size))
        .collect();
    let (inside, outside): (Vec<_>, Vec<_>) = used.into_iter().partition(|p| is_inside(&bounds, p.start, p.size));
    match label.flaw {
        Some(flaw) if !outside.is_empty() || !is_disjoint(&inside) => Err(flaw),
        flaw => Ok(Nested { partitions: inside, flaw }),
    }
}

fn is_disjoint(partitions: &[Partition]) -> bool {
    let mut rest = partitions;
    while let [partition, others @ ..] = rest {
        if others.iter().any(|other| partition.start < other.end() && other.start < partition.end()) {
            return false;
        }
        rest = others;
    }
    true
}

#[cfg(test)]
mod tests;
