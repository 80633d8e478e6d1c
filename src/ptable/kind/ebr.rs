//! The chain of extended boot records, which holds the logical partitions.
//!
//! This is `parse_extended` of Linux's `block/partitions/msdos.c`: each EBR has data partitions relative to itself and
//! one link relative to the first EBR; DR-DOS puts the link first, OS/2 uses all four entries, and the last two often
//! hold garbage. What the kernel leaves silently, an EBR without signature or past the end, is noted here.

use std::collections::HashSet;

use crate::ptable::boot_sector;
use crate::ptable::damage::Damage;
use crate::ptable::error::Error;
use crate::ptable::mbr_sector::{self, Entry};
use crate::ptable::table::{Kind, Partition, PartitionType};
use crate::ptable::view::View;

/// Linux's number of the first logical partition.
const FIRST_NUMBER: u32 = 5;
/// One more than Linux's last (`DISK_MAX_PARTS`).
const NUMBER_LIMIT: u32 = 256;
/// EBRs in a row without a data partition after which the kernel gives up.
const MAX_EMPTY: u32 = 100;
/// EBRs that are read of one image. The kernel has no such limit: with [`MAX_EMPTY`] before each of its partitions, it would
/// follow 25,000. No tool makes a chain with more EBRs than partitions, but for those it once deleted.
const MAX_EBRS: usize = 400;
/// Entries of an EBR that are believed without a further check.
const TRUSTED_SLOTS: u32 = 2;

/// Whether an EBR stands at this LBA, of sectors of this size.
pub(super) fn is_at(view: &View<'_>, lba: u64, sector_size: u32) -> Result<bool, Error> {
    let sector = view.read(lba.saturating_mul(u64::from(sector_size)), boot_sector::SIZE)?;
    Ok(sector.is_some_and(|sector| boot_sector::is_signed(&sector)))
}

/// The logical partitions of one MBR, of all its extended ones.
pub(super) struct Chain<'a> {
    view: &'a View<'a>,
    sector_size: u32,
    /// Partitions that counted before these.
    primaries: u32,
    next_number: u32,
    seen: HashSet<u64>,
    pub(super) partitions: Vec<Partition>,
    pub(super) damage: Vec<Damage>,
    /// Where more partitions are announced than could be read.
    pub(super) broken_at: Option<u64>,
    /// Whether nothing was left unread because there was enough.
    pub(super) complete: bool,
}

impl<'a> Chain<'a> {
    pub(super) fn new(view: &'a View<'a>, sector_size: u32, primaries: u32) -> Self {
        Self {
            view,
            sector_size,
            primaries,
            next_number: FIRST_NUMBER,
            // An extended partition from the MBR's own sector on would have the primary ones once more.
            seen: HashSet::from([0]),
            partitions: Vec::new(),
            damage: Vec::new(),
            broken_at: None,
            complete: true,
        }
    }

    fn count(&self) -> u32 {
        self.primaries.saturating_add(u32::try_from(self.partitions.len()).unwrap_or(u32::MAX))
    }

    fn break_at(&mut self, lba: u64, damage: Damage) {
        self.damage.push(damage);
        self.broken_at.get_or_insert(lba);
    }

    /// Follows the chain of the extended partition at `first`, `sectors` long.
    pub(super) fn walk(&mut self, first: u64, sectors: u64) -> Result<(), Error> {
        let (mut lba, mut size) = (first, sectors);
        let mut empty = 0;
        loop {
            if self.view.may_stop_at(self.count()) {
                self.complete = false;
                return Ok(());
            }
            if empty >= MAX_EMPTY || self.seen.len() >= MAX_EBRS || self.next_number >= NUMBER_LIMIT {
                self.break_at(lba, Damage::EbrChainTooLong { lba });
                return Ok(());
            }
            if !self.seen.insert(lba) {
                self.break_at(lba, Damage::EbrCycle { lba });
                return Ok(());
            }
            if lba < first || lba >= first.saturating_add(sectors) {
                self.damage.push(Damage::EbrOutsideContainer { lba });
            }
            let Some(entries) = self.read(lba)? else {
                return Ok(());
            };
            empty += 1;
            for entry in entries.iter().filter(|e| e.sectors != 0 && !e.is_extended()) {
                let start = lba.saturating_add(entry.start);
                let inside =
                    entry.end() <= size && start.saturating_add(entry.sectors) <= first.saturating_add(sectors);
                if entry.slot > TRUSTED_SLOTS && !inside {
                    continue;
                }
                if self.next_number >= NUMBER_LIMIT {
                    break;
                }
                self.push(start, entry);
                empty = 0;
            }
            match entries.iter().find(|e| e.sectors != 0 && e.is_extended()) {
                None => return Ok(()),
                Some(link) => (lba, size) = (first.saturating_add(link.start), link.sectors),
            }
        }
    }

    fn push(&mut self, start: u64, entry: &Entry) {
        let sector_size = u64::from(self.sector_size);
        self.partitions.push(Partition {
            number: self.next_number,
            start: start.saturating_mul(sector_size),
            size: entry.sectors.saturating_mul(sector_size),
            kind: Kind::Logical,
            type_id: PartitionType::Mbr(entry.type_id),
            name: None,
        });
        self.next_number += 1;
    }

    /// The entries of the EBR at `lba`; `None` where the chain ends there, with the damage noted if there is any.
    fn read(&mut self, lba: u64) -> Result<Option<[Entry; 4]>, Error> {
        let offset = lba.saturating_mul(u64::from(self.sector_size));
        let sector = match self.view.read(offset, boot_sector::SIZE) {
            Ok(Some(sector)) => sector,
            Ok(None) => {
                self.break_at(lba, Damage::EbrPastEnd { lba });
                return Ok(None);
            }
            Err(Error::Io { source, .. }) if self.view.settles(self.count()) => {
                self.break_at(lba, Damage::EbrUnreadable { lba, message: source.to_string() });
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if boot_sector::is_signed(&sector) {
            return Ok(Some(mbr_sector::entries(&sector)));
        }
        // sfdisk, fdisk and parted sign the EBR of an extended partition that has nothing in it, too: a blank one was lost.
        self.break_at(lba, Damage::EbrSignature { lba });
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::PartitionTable;
    use crate::ptable::testdisk::{Disk, Reader};

    const S: usize = 512;

    /// An extended partition from LBA 100 to 900, and nothing in it.
    fn disk() -> Disk {
        Disk::new(1000 * S).mbr(0, &[(1, 0x05, 100, 800)])
    }

    fn starts(table: &PartitionTable) -> Vec<(u32, u64)> {
        table.partitions.iter().map(|p| (p.number, p.start / S as u64)).collect()
    }

    #[test]
    fn an_empty_container_is_no_damage() {
        let table = disk().mbr(100 * S, &[]).table();
        assert_eq!((table.count(), table.is_damaged(), table.partitions[0].kind), (0, false, Kind::Extended));
    }

    #[test]
    fn a_blank_first_ebr_was_lost_with_what_hung_on_it() {
        assert_eq!(disk().reason(), "ebr_chain_broken");
        assert_eq!(disk().mbr(0, &[(2, 0x83, 901, 50)]).reason(), "ebr_chain_broken");
        let table = disk().mbr(0, &[(2, 0x83, 901, 50), (3, 0x83, 951, 40)]).table();
        assert_eq!((table.count(), table.damage[0].code()), (2, "ebr_signature"));
    }

    #[test]
    fn logicals_are_relative_to_their_ebr_and_links_to_the_first() {
        let table = disk()
            .mbr(100 * S, &[(1, 0x83, 10, 50), (2, 0x05, 200, 100)])
            .mbr(300 * S, &[(1, 0x83, 10, 50), (2, 0x05, 100, 50)])
            .mbr(200 * S, &[(1, 0x83, 1, 20)])
            .table();
        assert_eq!(starts(&table), [(1, 100), (5, 110), (6, 310), (7, 201)]);
        assert_eq!((table.count(), table.is_damaged(), table.complete), (3, false, true));
    }

    #[test]
    fn a_link_may_come_first_and_the_last_entries_may_be_garbage() {
        let table = disk()
            .mbr(100 * S, &[(1, 0x05, 200, 100)])
            .mbr(300 * S, &[(1, 0x83, 10, 50), (3, 0x83, 60, 40), (4, 0x83, 60, 41)])
            .table();
        assert_eq!(starts(&table), [(1, 100), (5, 310), (6, 360)]);
    }

    #[test]
    fn two_extended_partitions_are_both_walked() {
        let table = Disk::new(1000 * S)
            .mbr(0, &[(1, 0x0f, 100, 100), (3, 0x85, 300, 100)])
            .mbr(100 * S, &[(1, 0x83, 10, 50)])
            .mbr(300 * S, &[(1, 0x83, 10, 50)])
            .table();
        assert_eq!(starts(&table), [(1, 100), (3, 300), (5, 110), (6, 310)]);
    }

    #[test]
    fn an_extended_partition_in_a_chain_is_the_link_and_a_second_one_is_junk() {
        let table = disk()
            .mbr(100 * S, &[(1, 0x83, 10, 50), (2, 0x0f, 200, 300), (3, 0x05, 500, 100)])
            .mbr(300 * S, &[(1, 0x85, 300, 100), (2, 0x83, 10, 50), (3, 0x05, 500, 100)])
            .mbr(400 * S, &[(1, 0x83, 1, 20)])
            .mbr(600 * S, &[(1, 0x83, 2, 20)])
            .table();
        assert_eq!(starts(&table), [(1, 100), (5, 110), (6, 310), (7, 401)]);
        assert!(!table.is_damaged());
    }

    #[test]
    fn an_extended_partition_without_sectors_is_none() {
        let disk = Disk::new(1000 * S).mbr(0, &[(1, 0x83, 10, 20), (2, 0x05, 100, 0)]);
        let table = disk.mbr(100 * S, &[(1, 0x83, 10, 50)]).table();
        assert_eq!((starts(&table), table.is_damaged()), (vec![(1, 10)], false));
    }

    #[test]
    fn an_extended_partition_past_the_end_announces_one_that_is_missed() {
        let with =
            |primaries: &[(usize, u8, u32, u32)]| Disk::new(1000 * S).mbr(0, &[(1, 0x05, 5000, 800)]).mbr(0, primaries);
        assert_eq!(with(&[]).reason(), "ebr_chain_broken");
        assert_eq!(with(&[(2, 0x83, 10, 5)]).reason(), "ebr_chain_broken");
        assert_eq!(with(&[(2, 0x83, 10, 5), (3, 0x83, 20, 5)]).table().count(), 2);
    }

    #[test]
    fn an_extended_partition_at_lba_0_does_not_have_the_primary_ones_again() {
        let one = Disk::new(1000 * S).mbr(0, &[(1, 0x83, 10, 20), (2, 0x05, 0, 1000)]);
        assert_eq!(one.reason(), "ebr_chain_broken");
        let table = one.mbr(0, &[(3, 0x83, 30, 20)]).table();
        assert_eq!((table.count(), &table.damage[..]), (2, &[Damage::EbrCycle { lba: 0 }][..]));
    }

    #[test]
    fn boot_flags_of_an_ebr_do_not_matter() {
        let table = disk().mbr(100 * S, &[(1, 0x83, 10, 50)]).put(100 * S + 446, &[0x7f]).table();
        assert_eq!(starts(&table), [(1, 100), (5, 110)]);
    }

    #[test]
    fn a_cycle_ends_the_chain() {
        let twice = disk()
            .mbr(100 * S, &[(1, 0x83, 10, 50), (2, 0x05, 200, 100)])
            .mbr(300 * S, &[(1, 0x83, 10, 50), (2, 0x05, 0, 50)]);
        let table = twice.table();
        assert_eq!((table.count(), &table.damage[..]), (2, &[Damage::EbrCycle { lba: 100 }][..]));
        let once = disk().mbr(100 * S, &[(1, 0x83, 10, 50), (2, 0x05, 0, 50)]);
        assert_eq!(once.reason(), "ebr_chain_broken");
    }

    #[test]
    fn a_link_into_the_void_announces_a_partition_that_is_missed() {
        let with = |primaries: &[(usize, u8, u32, u32)], link: u32| {
            disk().mbr(0, primaries).mbr(100 * S, &[(1, 0x83, 10, 50), (2, 0x05, link, 100)])
        };
        assert_eq!(with(&[], 200).reason(), "ebr_chain_broken");
        assert_eq!(with(&[], 5000).reason(), "ebr_chain_broken");
        let table = with(&[(2, 0x83, 950, 10)], 200).table();
        assert_eq!((table.count(), &table.damage[..]), (2, &[Damage::EbrSignature { lba: 300 }][..]));
        let table = with(&[(2, 0x83, 950, 10)], 5000).table();
        let damage = [Damage::EbrOutsideContainer { lba: 5100 }, Damage::EbrPastEnd { lba: 5100 }];
        assert_eq!((table.count(), &table.damage[..]), (2, &damage[..]));
    }

    #[test]
    fn a_first_ebr_of_something_else_is_damage() {
        assert_eq!(disk().put(100 * S, b"no EBR").reason(), "ebr_chain_broken");
        let error = disk().put(100 * S, b"no EBR").read().unwrap_err();
        let Error::Undecidable { partial: Some(partial), .. } = error else { panic!("{error}") };
        assert_eq!(partial.damage, [Damage::EbrSignature { lba: 100 }]);
    }

    #[test]
    fn a_link_out_of_the_container_is_followed_and_noted() {
        let table =
            disk().mbr(100 * S, &[(1, 0x83, 10, 50), (2, 0x05, 810, 50)]).mbr(910 * S, &[(1, 0x83, 10, 50)]).table();
        assert_eq!((table.count(), &table.damage[..]), (2, &[Damage::EbrOutsideContainer { lba: 910 }][..]));
    }

    #[test]
    fn a_chain_without_partitions_ends() {
        let mut disk = Disk::new(1000 * S).mbr(0, &[(1, 0x05, 100, 800), (2, 0x83, 10, 5), (3, 0x83, 20, 5)]);
        for i in 0..300 {
            disk = disk.mbr((100 + i) * S, &[(1, 0x05, 1 + u32::try_from(i).unwrap(), 1)]);
        }
        assert_eq!(disk.table().damage, [Damage::EbrChainTooLong { lba: 200 }]);
    }

    #[test]
    fn a_chain_has_400_ebrs_at_most() {
        // Every hundredth has a partition, so that the kernel would go on.
        let chain = |disk: Disk, at: u32| {
            let entries: &[_] =
                if at.is_multiple_of(99) { &[(1, 0x83, 1, 1), (2, 0x05, at + 1, 1)] } else { &[(2, 0x05, at + 1, 1)] };
            disk.mbr((100 + at as usize) * S, entries)
        };
        let disk = (0..600).fold(disk(), chain);
        let reader = Reader::new(disk, 0..0);
        let table = reader.read(None).unwrap().unwrap();
        assert_eq!((table.count(), table.damage[0].code()), (5, "ebr_chain_too_long"));
        // The MBR, and what is looked for at the start of the disk.
        assert!(reader.reads.lock().unwrap().len() <= MAX_EBRS + 8);
    }

    #[test]
    fn there_are_251_logical_partitions_at_most() {
        let mut disk = disk();
        for i in 0..300 {
            disk = disk.mbr((100 + 2 * i) * S, &[(1, 0x83, 1, 1), (2, 0x05, 2 + 2 * u32::try_from(i).unwrap(), 2)]);
        }
        let table = disk.table();
        assert_eq!((table.count(), table.partitions.last().unwrap().number), (251, 255));
    }

    #[test]
    fn the_chain_is_not_followed_further_than_is_enough() {
        let two = [(1, 0x05, 100, 800), (2, 0x83, 10, 5), (3, 0x83, 20, 5)];
        let reader = Reader::new(disk().mbr(0, &two), 100 * S as u64..1000 * S as u64);
        let table = reader.read(Some(2)).unwrap().unwrap();
        assert_eq!((table.count(), table.complete, table.is_damaged()), (2, false, false));
        assert_eq!(reader.reads.lock().unwrap().len(), 1);
    }

    #[test]
    fn an_unreadable_ebr_is_an_error_only_if_the_verdict_rests_on_it() {
        let bad = 300 * S as u64..301 * S as u64;
        let disk = disk().mbr(100 * S, &[(1, 0x83, 10, 50), (2, 0x05, 200, 100)]);
        let error = Reader::new(disk.clone(), bad.clone()).read(None).unwrap_err();
        assert!(matches!(error, Error::Io { offset: 153_600, .. }), "{error:?}");
        let settled = Reader::new(disk.mbr(0, &[(2, 0x83, 950, 10)]), bad).read(None).unwrap().unwrap();
        assert_eq!((settled.count(), settled.damage[0].code()), (2, "ebr_unreadable"));
    }

    #[test]
    fn addresses_past_32_bits_do_not_wrap() {
        let far = 0xffff_ff00;
        let table = disk()
            .mbr(0, &[(2, 0x83, 10, 5), (3, 0x83, 20, 5), (4, 0x05, far, 255)])
            .mbr(100 * S, &[(1, 0x83, far, far), (2, 0x05, far, far)])
            .table();
        assert_eq!(table.partitions[4].start, (100 + u64::from(far)) * 512);
        assert!(table.damage.contains(&Damage::EbrPastEnd { lba: 100 + u64::from(far) }));
    }
}
