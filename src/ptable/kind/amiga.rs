//! The Amiga's rigid disk block, and the list of partition blocks that hangs on it.
//!
//! The rules are those of Linux's `block/partitions/amiga.c`, the structures those of its `affs_hardblocks.h`: the rigid
//! disk block is one of the first sixteen, every block has a checksum, and partitions are given in cylinders. Beyond the
//! kernel, a rigid disk block whose own checksum is wrong stands if it leads to partition blocks whose checksums hold.

use std::collections::HashSet;

use crate::ptable::damage::Damage;
use crate::ptable::error::{Error, Reason};
use crate::ptable::fields::{be32, byte, has};
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType, count};
use crate::ptable::view::View;

/// The unit in which Linux computes.
const SECTOR: usize = 512;
/// Sectors among which the rigid disk block is (`RDB_ALLOCATION_LIMIT`).
const RDB_SECTORS: u64 = 16;
/// Blocks of the list that Linux follows.
const MAX_BLOCKS: usize = 16;

// Both kinds of block; a block is summed as big-endian longs, and the sum is 0.
const SUMMED_LONGS_AT: usize = 4; // 4
/// Linux looks at no more of the number of summed longs.
const SUMMED_LONGS_MASK: u32 = 0x7f;

// `struct RigidDiskBlock`
const RDB_ID: &[u8] = b"RDSK";
const BLOCK_BYTES_AT: usize = 16; // 4
const PARTITION_LIST_AT: usize = 28; // 4
/// A longword that Windows overwrites; Linux sums with zero in its place.
const TRASHED_AT: usize = 0xdc; // 4
/// The sum has to cover the start of the list.
const RDB_MIN_SUMMED: usize = PARTITION_LIST_AT + 4;
const BLOCK_SIZES: std::ops::RangeInclusive<u32> = 512..=32768;

// `struct PartitionBlock`
const PARTITION_ID: &[u8] = b"PART";
const NEXT_AT: usize = 16; // 4
const DRIVE_NAME_AT: usize = 36; // a byte for the length, 31 for the name
const DRIVE_NAME_MAX: usize = 31;
// `pb_Environment` of it, longs of the DosEnvVec.
const SURFACES_AT: usize = 128 + 3 * 4;
const BLOCKS_PER_TRACK_AT: usize = 128 + 5 * 4;
const LOW_CYLINDER_AT: usize = 128 + 9 * 4;
const HIGH_CYLINDER_AT: usize = 128 + 10 * 4;
const DOS_TYPE_AT: usize = 128 + 16 * 4;
/// The sum has to cover the cylinders.
const PARTITION_MIN_SUMMED: usize = HIGH_CYLINDER_AT + 4;

/// The sum of a block, which has to be 0; `None` if it does not cover `min` bytes.
fn sum(block: &[u8], min: usize) -> Option<u32> {
    let longs = usize::try_from(be32(block, SUMMED_LONGS_AT) & SUMMED_LONGS_MASK).ok()?;
    let summed = block.get(..longs * 4).filter(|summed| summed.len() >= min)?;
    Some((0..summed.len()).step_by(4).fold(0_u32, |sum, at| sum.wrapping_add(be32(summed, at))))
}

fn checksum(computed: Option<u32>) -> Rejection {
    match computed {
        Some(computed) => Rejection::Checksum { stored: 0, computed },
        None => Rejection::Field { field: "SummedLongs", value: 0 },
    }
}

/// A rigid disk block.
struct RigidDisk {
    block: Vec<u8>,
    /// Where it is.
    sector: u64,
    /// Its sum, where that is not 0.
    wrong_sum: Option<u32>,
    /// Whether the sum is 0 without the longword that Windows overwrites.
    trashed: bool,
}

/// The first rigid disk block whose sum holds, or else the first of all.
fn find_rigid_disk(view: &View<'_>) -> Result<Result<RigidDisk, Rejection>, Error> {
    let mut unsound = None;
    let mut unreadable = None;
    let mut rejection = Rejection::NoMagic;
    for sector in 0..RDB_SECTORS {
        let bytes = match view.read(sector * SECTOR as u64, SECTOR) {
            Ok(Some(bytes)) => bytes,
            Ok(None) => break,
            Err(error) => {
                unreadable = unreadable.or(Some(error));
                continue;
            }
        };
        if !has(&bytes, 0, RDB_ID) {
            continue;
        }
        let Some(computed) = sum(&bytes, RDB_MIN_SUMMED) else {
            rejection = checksum(None);
            continue;
        };
        let block = bytes.into_owned();
        let found = |block, wrong_sum, trashed| RigidDisk { block, sector, wrong_sum, trashed };
        if computed == 0 {
            return Ok(Ok(found(block, None, false)));
        }
        let mut masked = block.clone();
        if let Some(long) = masked.get_mut(TRASHED_AT..TRASHED_AT + 4) {
            long.fill(0);
        }
        if sum(&masked, RDB_MIN_SUMMED) == Some(0) {
            return Ok(Ok(found(block, Some(computed), true)));
        }
        unsound = unsound.or(Some(found(block, Some(computed), false)));
    }
    match (unsound, unreadable) {
        (Some(found), _) => Ok(Ok(found)),
        (None, Some(error)) => Err(error),
        (None, None) => Ok(Err(rejection)),
    }
}

/// What the list of partition blocks holds.
#[derive(Default)]
struct List {
    partitions: Vec<Partition>,
    damage: Vec<Damage>,
    /// Where partitions may be missed.
    broken_at: Option<u64>,
    complete: bool,
}

impl List {
    fn break_at(&mut self, block: u64, damage: Damage) {
        self.damage.push(damage);
        self.broken_at.get_or_insert(block);
    }

    fn read(view: &View<'_>, first: u32, block_bytes: u32) -> Result<List, Error> {
        let mut list = List { complete: true, ..List::default() };
        let mut seen = HashSet::new();
        let mut next = first;
        for _ in 0..MAX_BLOCKS {
            // Linux compares it as a signed number; the end is -1.
            if next == 0 || next > i32::MAX.unsigned_abs() {
                break;
            }
            let block = u64::from(next);
            if view.may_stop_at(count(&list.partitions)) {
                list.complete = false;
                break;
            }
            if !seen.insert(block) {
                list.break_at(block, Damage::ListCycle { block });
                break;
            }
            let broken = |fault| Damage::ListBroken { block, fault };
            let bytes = match view.read(block.saturating_mul(u64::from(block_bytes)), SECTOR) {
                Ok(Some(bytes)) => bytes,
                Ok(None) => {
                    list.break_at(block, broken(Rejection::TooShort));
                    break;
                }
                Err(_) if view.settles(count(&list.partitions)) => {
                    list.break_at(block, broken(Rejection::Unreadable));
                    break;
                }
                Err(error) => return Err(error),
            };
            if !has(&bytes, 0, PARTITION_ID) {
                list.break_at(block, broken(Rejection::NoMagic));
                break;
            }
            next = be32(&bytes, NEXT_AT);
            match sum(&bytes, PARTITION_MIN_SUMMED) {
                Some(0) => list.push(&bytes, block_bytes),
                computed => list.break_at(block, broken(checksum(computed))),
            }
        }
        Ok(list)
    }

    /// Adds the partition of a block; one without sectors, or past all addresses, does not exist for Linux.
    fn push(&mut self, block: &[u8], block_bytes: u32) {
        let sectors = |at| {
            let cylinder = be32(block, SURFACES_AT).checked_mul(be32(block, BLOCKS_PER_TRACK_AT))?;
            let cylinder = cylinder.checked_mul(block_bytes / 512)?;
            u64::from(cylinder).checked_mul(at)?.checked_mul(SECTOR as u64)
        };
        let low = u64::from(be32(block, LOW_CYLINDER_AT));
        let high = u64::from(be32(block, HIGH_CYLINDER_AT));
        let cylinders = (high + 1).saturating_sub(low);
        let (Some(start), Some(size)) = (sectors(low), sectors(cylinders)) else {
            return;
        };
        if size == 0 || start.checked_add(size).is_none() {
            return;
        }
        let name_len = usize::from(byte(block, DRIVE_NAME_AT)).min(DRIVE_NAME_MAX);
        let name = block.get(DRIVE_NAME_AT + 1..DRIVE_NAME_AT + 1 + name_len).unwrap_or_default();
        self.partitions.push(Partition {
            number: u32::try_from(self.partitions.len() + 1).unwrap_or(u32::MAX),
            start,
            size,
            kind: Kind::Primary,
            type_id: PartitionType::text(block.get(DOS_TYPE_AT..DOS_TYPE_AT + 4).unwrap_or_default()),
            // AmigaOS writes ISO 8859-1.
            name: (!name.is_empty()).then(|| name.iter().copied().map(char::from).collect()),
        });
    }
}

/// Looks for a rigid disk block, and reads its list of partitions.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let disk = find_rigid_disk(view)??;
    let block_bytes = be32(&disk.block, BLOCK_BYTES_AT);
    if !block_bytes.is_power_of_two() || !BLOCK_SIZES.contains(&block_bytes) {
        return Err(Rejection::Field { field: "rdb_BlockBytes", value: u64::from(block_bytes) }.into());
    }
    let vouched_for = disk.wrong_sum.is_none() || disk.trashed;
    let list = match List::read(view, be32(&disk.block, PARTITION_LIST_AT), block_bytes) {
        Err(_) if !vouched_for => return Err(checksum(disk.wrong_sum).into()),
        list => list?,
    };
    if list.partitions.is_empty() {
        if !vouched_for {
            return Err(checksum(disk.wrong_sum).into());
        } else if list.broken_at.is_none() {
            return Err(Rejection::Empty.into());
        }
    }
    let mut table = PartitionTable::new(Label::Amiga, block_bytes, list.partitions);
    table.complete = list.complete;
    table.damage.extend(disk.wrong_sum.map(|computed| Damage::LabelChecksum { stored: 0, computed }));
    table.damage.extend(list.damage);
    table.note_length(0, view.size());
    // A start of the list that nothing vouches for may not be its first block.
    let broken_at = list.broken_at.or((!vouched_for).then_some(disk.sector));
    match broken_at.filter(|_| !view.settles(table.count())) {
        Some(block) => Err(Error::undecidable(Reason::ListBroken { label: Label::Amiga, block }, Some(table)).into()),
        None => Ok(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::{Disk, Reader};

    /// Sets the checksum of a block so that its first 64 longs give 0.
    fn seal(mut block: Vec<u8>) -> Vec<u8> {
        block[4..8].copy_from_slice(&64_u32.to_be_bytes());
        block[8..12].fill(0);
        let sum = sum(&block, 0).unwrap();
        block[8..12].copy_from_slice(&sum.wrapping_neg().to_be_bytes());
        block
    }

    fn longs(id: &[u8], values: &[(usize, u32)]) -> Vec<u8> {
        let disk = Disk::new(512).put(0, id);
        values.iter().fold(disk, |disk, &(at, value)| disk.put(at, &value.to_be_bytes())).0
    }

    fn rdb(block_bytes: u32, list: u32) -> Vec<u8> {
        seal(longs(RDB_ID, &[(BLOCK_BYTES_AT, block_bytes), (PARTITION_LIST_AT, list)]))
    }

    /// A partition of cylinders of 4 x 8 blocks.
    fn part(next: u32, low: u32, high: u32) -> Vec<u8> {
        let cylinders = [(LOW_CYLINDER_AT, low), (HIGH_CYLINDER_AT, high)];
        let mut block = longs(PARTITION_ID, &[(NEXT_AT, next), (SURFACES_AT, 4), (BLOCKS_PER_TRACK_AT, 8)]);
        for (at, value) in cylinders {
            block[at..at + 4].copy_from_slice(&value.to_be_bytes());
        }
        block[DRIVE_NAME_AT..DRIVE_NAME_AT + 4].copy_from_slice(b"\x03DH0");
        block[DOS_TYPE_AT..DOS_TYPE_AT + 4].copy_from_slice(b"DOS\x03");
        seal(block)
    }

    const END: u32 = u32::MAX;
    const S: usize = 512;

    fn two() -> Disk {
        Disk::new(1 << 20).put(2 * S, &rdb(512, 3)).put(3 * S, &part(4, 2, 9)).put(4 * S, &part(END, 10, 19))
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_partitions_of_the_list_are_numbered_in_its_order() {
        let table = two().table();
        assert_eq!((table.label, table.sector_size, table.is_damaged()), (Label::Amiga, 512, false));
        let p = &table.partitions[1];
        assert_eq!((p.number, p.start, p.size), (2, 10 * 32 * 512, 10 * 32 * 512));
        assert_eq!((p.name.as_deref(), p.type_id), (Some("DH0"), PartitionType::text(b"DOS\x03")));
    }

    #[test]
    fn larger_blocks_are_counted_in_the_list_and_in_cylinders() {
        let disk = Disk::new(4 << 20).put(0, &rdb(1024, 3)).put(3 * 1024, &part(END, 2, 9));
        let p = &disk.table().partitions[0];
        assert_eq!((p.start, p.size), (2 * 32 * 1024, 8 * 32 * 1024));
        let odd = Rejection::Field { field: "rdb_BlockBytes", value: 1000 };
        assert_eq!(rejection(&Disk::new(1 << 20).put(0, &rdb(1000, 3))), odd);
    }

    #[test]
    fn the_longword_that_windows_overwrites_is_left_out_of_the_sum() {
        let table = two().put(2 * S + TRASHED_AT, &[1, 2, 3, 4]).table();
        assert_eq!((table.count(), table.damage[0].code()), (2, "label_checksum"));
        let one = two().put(2 * S, &rdb(512, 4)).put(2 * S + TRASHED_AT, &[1, 2, 3, 4]);
        assert_eq!(one.table().count(), 1);
    }

    #[test]
    fn a_bad_sum_stands_only_with_two_sound_partition_blocks() {
        let bad = |disk: Disk| disk.put(2 * S + 60, &[1]);
        let table = bad(two()).table();
        assert_eq!((table.count(), table.damage[0].code()), (2, "label_checksum"));
        assert_eq!(bad(two().put(3 * S, &part(END, 2, 9))).reason(), "list_broken");
        let none = bad(two().put(3 * S, &[0; S]));
        assert!(matches!(rejection(&none), Rejection::Checksum { stored: 0, .. }));
        assert!(none.read().unwrap().is_none());
    }

    #[test]
    fn a_list_without_partitions_is_no_table() {
        assert_eq!(rejection(&two().put(2 * S, &rdb(512, END))), Rejection::Empty);
        assert_eq!(rejection(&two().put(2 * S, &rdb(512, 4)).put(4 * S, &part(END, 20, 19))), Rejection::Empty);
        assert_eq!(rejection(&Disk::new(1 << 20)), Rejection::NoMagic);
        let unsummed = longs(RDB_ID, &[(SUMMED_LONGS_AT, 0x80), (BLOCK_BYTES_AT, 512), (PARTITION_LIST_AT, 3)]);
        assert!(matches!(rejection(&two().put(2 * S, &unsummed)), Rejection::Field { .. }));
    }

    #[test]
    fn a_cycle_ends_the_list() {
        let table = two().put(4 * S, &part(3, 10, 19)).table();
        assert_eq!((table.count(), &table.damage[..]), (2, &[Damage::ListCycle { block: 3 }][..]));
        assert_eq!(two().put(3 * S, &part(3, 2, 9)).reason(), "list_broken");
    }

    #[test]
    fn a_broken_list_announces_a_partition_that_is_missed() {
        assert_eq!(two().put(4 * S, &[0; S]).reason(), "list_broken");
        assert_eq!(two().put(3 * S, &part(9999, 2, 9)).reason(), "list_broken");
        let third = two().put(4 * S, &part(5, 10, 19)).put(5 * S, b"PART").table();
        assert_eq!((third.count(), third.damage[0].code()), (2, "list_broken"));
    }

    #[test]
    fn a_partition_block_without_its_checksum_is_passed_over() {
        let three = two().put(4 * S, &part(5, 10, 19)).put(5 * S, &part(END, 20, 21));
        let table = three.put(3 * S + 100, &[1]).table();
        assert_eq!((table.count(), table.partitions[0].start), (2, 10 * 32 * 512));
        assert!(matches!(table.damage[0], Damage::ListBroken { block: 3, fault: Rejection::Checksum { .. } }));
    }

    #[test]
    fn no_more_than_sixteen_blocks_are_followed() {
        let mut disk = Disk::new(1 << 20).put(0, &rdb(512, 1));
        for block in 1..40_u32 {
            disk = disk.put(block as usize * S, &part(block + 1, block * 2, block * 2));
        }
        assert_eq!(disk.table().count(), 16);
    }

    #[test]
    fn geometry_past_64_bits_is_no_partition() {
        let mut huge = part(END, 10, 19);
        huge[SURFACES_AT..SURFACES_AT + 4].fill(0xff);
        assert_eq!(rejection(&two().put(2 * S, &rdb(512, 4)).put(4 * S, &seal(huge))), Rejection::Empty);
    }

    #[test]
    fn an_image_cut_short_keeps_its_partitions() {
        let mut disk = two();
        disk.0.truncate(6 * S);
        let table = disk.table();
        assert_eq!((table.count(), table.damage[0].code()), (2, "image_too_short"));
    }

    #[test]
    fn an_unreadable_sector_hides_a_rigid_disk_block_only_if_it_is_there() {
        let disk = Disk::new(1 << 20).put(5 * S, &rdb(512, 20)).put(20 * S, &part(END, 2, 9));
        let without = |sector: u64| {
            let reader = Reader::new(disk.clone(), sector * 512..(sector + 1) * 512);
            probe(&View::new(&reader, 1 << 20, None))
        };
        assert!(matches!(without(3), Ok(table) if table.count() == 1));
        assert!(without(5).is_err());
        assert!(without(20).is_err());
    }
}
