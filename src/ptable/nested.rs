//! Labels inside the slices of an MBR: their partitions count, and the slice around them no longer does.
//!
//! Linux (`subtypes` in `block/partitions/msdos.c`) looks for them in the four primary slices, by the slice's type, and
//! numbers what it finds behind the logical partitions. A slice whose label cannot be used stays one partition: what its
//! type promises is no evidence of more.

use super::bsd;
use super::damage::Damage;
use super::error::Error;
use super::minix;
use super::rejection::{Probe, Rejection};
use super::solaris;
use super::table::{Kind, Partition, PartitionTable, PartitionType};
use super::unixware;
use super::view::View;

/// What a label inside a slice says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Nested {
    /// Without numbers yet, in the order in which Linux gives them. An entry of no sectors takes a number and is no
    /// partition; one that is not to be counted, say for the whole disk, is of [`Kind::Meta`].
    pub(super) partitions: Vec<Partition>,
    /// What is wrong with a label that is believed all the same.
    pub(super) flaw: Option<Rejection>,
}

/// Reads the label of one kind inside a slice.
type Reader = fn(&View<'_>, &Partition) -> Result<Probe<Nested>, Error>;

/// By the type of the slice.
const READERS: &[(u8, Reader)] = &[
    (0xa5, bsd::nested_freebsd),
    (0xa6, bsd::nested),
    (0xa9, bsd::nested),
    (minix::SLICE_TYPE, minix::nested),
    (0x63, unixware::nested),
    // Linux's swap has the same type.
    (0x82, solaris::nested),
    (0xbf, solaris::nested),
];

/// Linux's number of the first partition behind the primary ones.
const FIRST_NUMBER: u32 = 5;
/// One more than Linux's last (`DISK_MAX_PARTS`).
const NUMBER_LIMIT: u32 = 256;

fn reader(slice: &Partition) -> Option<Reader> {
    let PartitionType::Mbr(type_id) = slice.type_id else { return None };
    let (_, read) = READERS.iter().find(|(id, _)| *id == type_id).filter(|_| slice.kind == Kind::Primary)?;
    Some(*read)
}

/// Whether a slice of `table` may have a label of its own.
pub(super) fn is_promised(table: &PartitionTable) -> bool {
    table.partitions.iter().any(|slice| reader(slice).is_some())
}

/// Adds the partitions of the labels in the primary slices of `table`, an MBR's, and notes it where one is damaged.
pub(super) fn read(view: &View<'_>, table: &mut PartitionTable) -> Result<(), Error> {
    let mut next = table.partitions.iter().map(|p| p.number.saturating_add(1)).max().unwrap_or(0).max(FIRST_NUMBER);
    for index in 0..table.partitions.len() {
        let slice = &table.partitions[index];
        let Some(read) = reader(slice) else { continue };
        let number = slice.number;
        let Nested { partitions: mut found, flaw } = match read(view, slice) {
            Ok(Probe::Table(nested)) => nested,
            Ok(Probe::Not(flaw)) => Nested { partitions: Vec::new(), flaw: Some(flaw).filter(is_damage) },
            // What cannot be read could only have added to what is enough already.
            Err(Error::Io { source, .. }) if view.settles(table.count()) => {
                table.damage.push(Damage::NestedUnreadable { number, message: source.to_string() });
                continue;
            }
            Err(error) => return Err(error),
        };
        table.damage.extend(flaw.map(|flaw| Damage::NestedLabel { number, flaw }));
        found.truncate(NUMBER_LIMIT.saturating_sub(next) as usize);
        for partition in &mut found {
            partition.number = next;
            next += 1;
        }
        found.retain(|partition| partition.size != 0);
        // A label that has nothing in it leaves the slice as it is.
        if found.iter().any(|partition| partition.kind.counts()) {
            table.partitions[index].kind = Kind::Container;
        }
        table.partitions.extend(found);
    }
    Ok(())
}

/// Whether a label that was rejected for this was there. Types are promises that many slices do not keep: a slice may hold
/// a file system at once, and its label may have nothing in use.
fn is_damage(rejection: &Rejection) -> bool {
    !matches!(rejection, Rejection::NoMagic | Rejection::TooShort | Rejection::Empty)
}

/// The `size` that an entry from byte `start` on has as a partition of `slice`, 0 if it cannot be one. The kernel shows
/// whatever starts on the disk; what lies in its slice may be past the end because the image was cut short.
pub(super) fn believed_size(view: &View<'_>, slice: &Partition, start: u64, size: u64) -> u64 {
    if is_inside(slice, start, size) || start < view.size() { size } else { 0 }
}

/// The partition that an entry of a VTOC makes, as those of Solaris and of `UnixWare` are: byte and bytes, and its tag, which
/// one that is for the whole disk has as `whole_disk`.
pub(super) fn of_vtoc(
    view: &View<'_>,
    slice: &Partition,
    (start, size): (u64, u64),
    tag: u16,
    whole_disk: u16,
) -> Partition {
    Partition {
        number: 0,
        start,
        size: believed_size(view, slice, start, size),
        kind: if tag == whole_disk { Kind::Meta } else { Kind::Nested },
        type_id: PartitionType::Number { id: u32::from(tag), digits: 2 },
        name: None,
    }
}

/// Whether these bytes are within the slice.
pub(super) fn is_inside(slice: &Partition, start: u64, size: u64) -> bool {
    start >= slice.start && start.saturating_add(size) <= slice.end()
}
