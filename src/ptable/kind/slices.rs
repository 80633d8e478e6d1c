//! Labels inside the slices of an MBR: their partitions count, and the slice around them no longer does.
//!
//! Linux (`subtypes` in `block/partitions/msdos.c`) looks for them in the four primary slices, by the slice's type, and
//! numbers what it finds behind the logical partitions. A slice whose label cannot be used stays one partition: what its
//! type promises is no evidence of more.

use super::bsd;
use super::minix;
use super::nested::Nested;
use super::solaris;
use super::unixware;
use crate::ptable::damage::Damage;
use crate::ptable::error::Error;
use crate::ptable::probe::{Miss, Probe};
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

/// Reads the label of one kind inside a slice.
type Reader = fn(&View<'_>, &Partition) -> Probe<Nested>;

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
            Ok(nested) => nested,
            Err(Miss::Rejected(flaw)) => Nested { partitions: Vec::new(), flaw: Some(flaw).filter(is_damage) },
            // What cannot be read could only have added to what is enough already.
            Err(Miss::Failed(Error::Io { source, .. })) if view.settles(table.count()) => {
                table.damage.push(Damage::NestedUnreadable { number, message: source.to_string() });
                continue;
            }
            Err(Miss::Failed(error)) => return Err(error),
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
