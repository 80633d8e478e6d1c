//! The master boot record: its partitions, logical ones included. Whether LBA 0 is one, [`first_sector`] says.

use super::ebr::{self, Chain};
use super::first_sector::{begins_with_something, first_sector};
use super::slices;
use crate::ptable::damage::Damage;
use crate::ptable::error::{Error, Reason};
use crate::ptable::label::Label;
use crate::ptable::mbr_sector::{Entry, FirstSector};
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType, count};
use crate::ptable::view::View;

/// Looks for an MBR with partitions.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    match first_sector(view)? {
        FirstSector::Table(entries) => Ok(read_entries(view, entries)?),
        FirstSector::NoTable(rejection) => Err(rejection.clone().into()),
        FirstSector::Protective { .. } => Err(Rejection::Other { what: "gpt" }.into()),
    }
}

/// The table that `entries` make, logical partitions included.
pub(super) fn read_entries(view: &View<'_>, entries: &[Entry]) -> Result<PartitionTable, Error> {
    let sector_size = sector_size(view, entries);
    let bytes = |sectors: u64| sectors.saturating_mul(u64::from(sector_size));
    let primaries: Vec<_> = entries
        .iter()
        .map(|e| Partition {
            number: e.slot,
            start: bytes(e.start),
            size: bytes(e.sectors),
            kind: if e.is_extended() { Kind::Extended } else { Kind::Primary },
            type_id: PartitionType::Mbr(e.type_id),
            name: None,
        })
        .collect();
    let mut chain = Chain::new(view, sector_size, count(&primaries));
    let extended = || entries.iter().filter(|e| e.is_extended());
    let walked = extended().try_for_each(|entry| chain.walk(entry.start, entry.sectors));
    let Chain { partitions: logical, damage, broken_at, complete, .. } = chain;
    let mut table = PartitionTable {
        label: Label::Dos,
        sector_size,
        gpt_copy: None,
        backup_at: None,
        damage,
        partitions: [primaries, logical].concat(),
        complete,
    };
    if let Err(error) = walked {
        return Err(error.with_partial(table));
    }
    if view.may_stop_at(table.count()) {
        table.complete &= !slices::is_promised(&table);
    } else if let Err(error) = slices::read(view, &mut table) {
        return Err(error.with_partial(table));
    }
    table.note_length(0, view.size());
    match broken_at.filter(|_| !view.settles(table.count())) {
        Some(lba) => Err(Error::undecidable(Reason::EbrChainBroken { lba }, Some(table))),
        None => Ok(table),
    }
}

/// Sector sizes other than the usual, which this must be shown to have.
const UNUSUAL_SECTOR_SIZES: [u32; 3] = [1024, 2048, 4096];
const USUAL_SECTOR_SIZE: u32 = 512;
/// What partitioning tools align partitions to, in bytes; so much a table may leave at the end of its disk and still be
/// said to fill it.
const ALIGNMENT: u64 = 1024 * 1024;

/// The sector size that the table shows. An MBR does not say it, so this is the usual one unless
///
/// - at 512 bytes all partitions together stay within a small part of the image, and what partitions start with (a file
///   system, a boot sector, an EBR) is found where another size puts it and not where 512 does; or nothing is found at
///   either place, but the table fills the image with 4096-byte sectors, and only these align its partitions; or
/// - the first EBR is not where 512 bytes put it, but is where another size does.
///
/// So for the common disk, which its table fills, nothing is read. What cannot be read is no evidence: the count does not
/// rest on the sector size, but for an EBR, and that is read again when the chain is followed.
fn sector_size(view: &View<'_>, entries: &[Entry]) -> u32 {
    let end = entries.iter().map(Entry::end).max().unwrap_or(0);
    let fits = |size: u32| end.checked_mul(u64::from(size)).is_some_and(|end| end <= view.size());
    if UNUSUAL_SECTOR_SIZES.into_iter().any(fits) {
        let shown = [USUAL_SECTOR_SIZE]
            .into_iter()
            .chain(UNUSUAL_SECTOR_SIZES.into_iter().filter(|&size| fits(size)))
            .find(|&size| starts_something(view, entries, size));
        let left = view.size().saturating_sub(end.saturating_mul(4096));
        let aligned = |size: u64| entries.iter().all(|e| e.start.saturating_mul(size).is_multiple_of(ALIGNMENT));
        let fills = fits(4096) && left < ALIGNMENT && left < view.size() / 64;
        // A table of 512-byte sectors that ends at an eighth of the image fills it, too.
        let fills = fills && aligned(4096) && !aligned(512);
        return shown.unwrap_or(if fills { 4096 } else { USUAL_SECTOR_SIZE });
    }
    let primaries = entries.iter().filter(|e| !e.is_extended()).count();
    let first_ebr = entries.iter().find(|e| e.is_extended());
    match first_ebr.filter(|_| !view.may_stop_at(u32::try_from(primaries).unwrap_or(u32::MAX))) {
        Some(entry) if matches!(ebr::is_at(view, entry.start, USUAL_SECTOR_SIZE), Ok(false)) => UNUSUAL_SECTOR_SIZES
            .into_iter()
            .find(|&size| matches!(ebr::is_at(view, entry.start, size), Ok(true)))
            .unwrap_or(USUAL_SECTOR_SIZE),
        _ => USUAL_SECTOR_SIZE,
    }
}

/// Whether the first partition or the first extended one starts with something known, at this sector size.
fn starts_something(view: &View<'_>, entries: &[Entry], sector_size: u32) -> bool {
    let first = entries.iter().filter(|e| !e.is_extended() && e.start != 0).min_by_key(|e| e.start);
    let extended = entries.iter().find(|e| e.is_extended());
    first.into_iter().chain(extended).any(|entry| begins_with_something(view, entry, sector_size.into()))
}

/// Adds what a hybrid MBR used instead of its GPT has to say for itself.
pub(super) fn read_hybrid(view: &View<'_>, others: &[Entry]) -> Option<PartitionTable> {
    let mut table = read_entries(view, others).ok().filter(|table| view.settles(table.count()))?;
    table.damage.push(Damage::HybridWithoutGpt);
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::testdisk::{Disk, Reader};

    const MIB: usize = 1 << 20;

    fn count_of(disk: &Disk) -> Option<u32> {
        disk.read().unwrap().map(|table| table.count())
    }

    #[test]
    fn primaries_keep_their_slots_as_numbers() {
        let table = Disk::new(4 * MIB).mbr(0, &[(2, 0x83, 2048, 10), (4, 0x07, 4096, 4096)]).table();
        assert_eq!((table.label, table.sector_size, table.count()), (Label::Dos, 512, 2));
        assert!(!table.is_damaged());
        let p = &table.partitions[1];
        assert_eq!((p.number, p.start, p.size), (4, 2 << 20, 2 << 20));
    }

    #[test]
    fn chs_addresses_that_contradict_the_others_do_not_matter() {
        let disk = Disk::new(MIB).mbr(0, &[(1, 0x06, 17, 1000)]).put(446 + 1, &[0xff; 3]).put(446 + 5, &[0xff; 3]);
        assert_eq!(disk.table().partitions[0].start, 17 * 512);
    }

    #[test]
    fn a_disk_manager_is_one_partition() {
        // OnTrack and EZ-Drive.
        for type_id in [0x51, 0x53, 0x54, 0x55] {
            assert_eq!(count_of(&Disk::new(MIB).mbr(0, &[(1, type_id, 1, 2000)])), Some(1), "{type_id:#x}");
        }
    }

    #[test]
    fn a_table_of_a_disk_cut_short_counts_as_it_stands() {
        let table = Disk::new(MIB).mbr(0, &[(1, 0x83, 63, 5000), (2, 0x83, 6000, 1000)]).table();
        assert_eq!(table.count(), 2);
        assert_eq!(table.damage, [Damage::ImageTooShort { needed: 7000 * 512, size: MIB as u64 }]);
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &[(1, 0x83, 4000, 5000), (2, 0x83, 9000, 1000)])), Some(2));
    }

    #[test]
    fn an_entry_may_start_at_lba_0() {
        let isohybrid = Disk::new(MIB).mbr(0, &[(1, 0x17, 0, 2048), (2, 0xef, 100, 50)]);
        assert_eq!(count_of(&isohybrid), Some(2));
    }

    #[test]
    fn the_sector_size_is_where_the_file_system_is() {
        for size in [512, 1024, 2048, 4096] {
            let disk = Disk::new(8 * MIB).mbr(0, &[(1, 0x83, 64, 256)]).put(64 * size + 1024 + 56, &[0x53, 0xef]);
            let table = disk.table();
            assert_eq!((table.sector_size as usize, table.partitions[0].start), (size, 64 * size as u64));
        }
    }

    #[test]
    fn the_sector_size_is_where_the_first_ebr_is() {
        let entries = [(1, 0x83, 64, 64), (2, 0x05, 128, 128)];
        let logical = [(1, 0x83, 1, 100)];
        let table = Disk::new(2 * MIB).mbr(0, &entries).mbr(128 * 4096, &logical).table();
        assert_eq!((table.sector_size, table.count()), (4096, 2));
        assert_eq!(table.partitions[2].start, 129 * 4096);
        // Cut short, too.
        let table = Disk::new(MIB).mbr(0, &entries).mbr(128 * 4096, &logical).table();
        assert_eq!((table.sector_size, table.count()), (4096, 2));
    }

    #[test]
    fn a_table_that_fills_the_image_with_large_sectors_has_them() {
        let disk = Disk::new(65 * MIB).mbr(0, &[(1, 0x83, 256, 8192), (2, 0x83, 8448, 8100)]);
        assert_eq!(disk.table().sector_size, 4096);
        let disk = Disk::new(65 * MIB).mbr(0, &[(1, 0x83, 256, 8192), (2, 0x83, 8448, 100)]);
        assert_eq!(disk.table().sector_size, 512);
    }

    #[test]
    fn a_table_that_ends_at_an_eighth_of_the_image_has_the_usual_sectors() {
        // Aligned as today, and to cylinders.
        for start in [2048, 63] {
            let end = 64 * 2048 / 8;
            let disk =
                Disk::new(64 * MIB).mbr(0, &[(1, 0x83, start, 4096), (2, 0x83, start + 4096, end - start - 4096)]);
            assert_eq!(disk.table().sector_size, 512, "{start}");
        }
    }

    #[test]
    fn an_unreadable_partition_does_not_cost_the_table() {
        let disk = Disk::new(8 * MIB).mbr(0, &[(1, 0x83, 64, 64), (2, 0x83, 128, 64)]);
        let table = Reader::new(disk, 30_000..8 << 20).read(None).unwrap().unwrap();
        assert_eq!((table.count(), table.is_damaged()), (2, false));
    }

    #[test]
    fn a_full_disk_with_two_primaries_is_read_at_its_start_alone() {
        let disk = Disk::new(MIB).mbr(0, &[(1, 0x83, 64, 1000), (2, 0x83, 1064, 900)]);
        let reader = Reader::new(disk, 0..0);
        assert_eq!(reader.read(Some(2)).unwrap().unwrap().count(), 2);
        assert_eq!(reader.reads.lock().unwrap().len(), 1);
    }

    #[test]
    fn an_mbr_with_one_partition_rests_on_its_own_sector() {
        let disk = Disk::new(MIB).mbr(0, &[(1, 0x83, 64, 1900)]);
        let consulted = crate::ptable::examine(&disk.0, MIB as u64, Some(2)).consulted;
        assert!(consulted.iter().all(|range| *range == (0..512)), "{consulted:?}");
    }
}
