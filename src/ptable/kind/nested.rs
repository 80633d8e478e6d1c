//! What a label inside a slice of an MBR says, and which of its entries are believed.

use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionType};
use crate::ptable::view::View;

/// What a label inside a slice says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Nested {
    /// Without numbers yet, in the order in which Linux gives them. An entry of no sectors takes a number and is no
    /// partition; one that is not to be counted, say for the whole disk, is of [`Kind::Meta`].
    pub(super) partitions: Vec<Partition>,
    /// What is wrong with a label that is believed all the same.
    pub(super) flaw: Option<Rejection>,
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
