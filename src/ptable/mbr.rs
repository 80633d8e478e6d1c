//! The master boot record, and what else LBA 0 may be.
//!
//! The rules are those of Linux's `block/partitions/msdos.c`: 0x55AA, boot flags of 0x00 or 0x80, and an entry is in use
//! when it has sectors, whatever its type. Beyond the kernel, an entry that starts past the end of the image counts,
//! because the image may have been cut short; see [`is_junk`] for the price.

use positioned_io::Slice;

use super::boot_sector;
use super::damage::Damage;
use super::ebr::{self, Chain};
use super::error::{Error, Reason};
use super::fields::{byte, le32};
use super::nested;
use super::pc98;
use super::rejection::{Probe, Rejection};
use super::superblock;
use super::table::{Kind, Label, Partition, PartitionTable, PartitionType, count};
use super::view::View;

/// Offset of the four entries, in an MBR and an EBR (UEFI 2.10 table 5-1).
const ENTRIES_AT: usize = 446;
const ENTRY_BYTES: usize = 16;
const ENTRIES: usize = 4;
// An entry (UEFI 2.10 table 5-2). The CHS fields in between are not used.
const BOOT_FLAG_AT: usize = 0; // 1 byte
const TYPE_AT: usize = 4; // 1
const START_AT: usize = 8; // 4, LBA
const SECTORS_AT: usize = 12; // 4

const BOOT_FLAGS: [u8; 2] = [0x00, 0x80];
/// The entry that says "this is a GPT" (UEFI 2.10 section 5.2.3).
const GPT_PROTECTIVE: u8 = 0xee;
/// DOS, Windows 95 with LBA, and Linux.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];
/// One more than the last LBA that an entry can name.
const LBA_END: u64 = 1 << 32;

/// One entry of an MBR or EBR, in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its place in the sector, from 1.
    pub(super) slot: u32,
    pub(super) boot_flag: u8,
    pub(super) type_id: u8,
    pub(super) start: u64,
    pub(super) sectors: u64,
}

impl Entry {
    pub(super) fn is_extended(&self) -> bool {
        EXTENDED.contains(&self.type_id)
    }

    pub(super) fn end(&self) -> u64 {
        self.start + self.sectors
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end() && other.start < self.end()
    }
}

/// The four entries of an MBR or EBR, whether in use or not.
pub(super) fn entries(sector: &[u8]) -> [Entry; ENTRIES] {
    let mut slot = 0;
    [0; ENTRIES].map(|_: u8| {
        let at = ENTRIES_AT + slot * ENTRY_BYTES;
        slot += 1;
        Entry {
            slot: u32::try_from(slot).unwrap_or(0),
            boot_flag: byte(sector, at + BOOT_FLAG_AT),
            type_id: byte(sector, at + TYPE_AT),
            start: u64::from(le32(sector, at + START_AT)),
            sectors: u64::from(le32(sector, at + SECTORS_AT)),
        }
    })
}

/// What LBA 0 says about tables.
pub(super) enum FirstSector {
    /// No MBR, or one without partitions: blank, a file system, a boot loader, junk.
    NoTable(Rejection),
    /// An MBR that announces a GPT.
    Protective {
        /// The other entries in use; a hybrid MBR has some.
        others: Vec<Entry>,
        /// Last LBA of the disk, by the protective entry.
        last_lba: u64,
        /// The file system of which the sector is, all the same, a valid boot sector.
        file_system: Option<&'static str>,
    },
    /// An MBR with these entries in use.
    Table(Vec<Entry>),
}

/// Classifies LBA 0.
pub(super) fn first_sector(view: &View<'_>) -> Result<FirstSector, Error> {
    let Some(sector) = view.read(0, boot_sector::SIZE)? else {
        return Ok(FirstSector::NoTable(Rejection::TooShort));
    };
    if !boot_sector::is_signed(&sector) {
        return Ok(FirstSector::NoTable(Rejection::NoMagic));
    }
    let entries = entries(&sector);
    let flags_valid = entries.iter().all(|e| BOOT_FLAGS.contains(&e.boot_flag));
    let file_system = boot_sector::file_system(&sector);
    let explained = file_system.or(pc98::is_boot_sector(&sector).then_some("pc98"));
    let (protective, others): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .filter(|e| e.sectors != 0 || e.type_id == GPT_PROTECTIVE)
        .partition(|e| e.type_id == GPT_PROTECTIVE);
    // Linux (efi.c) believes a protective entry at LBA 1 whatever the boot flags are.
    if let Some(entry) = protective.iter().find(|e| flags_valid || e.start == 1) {
        let others = if flags_valid { others } else { Vec::new() };
        return Ok(FirstSector::Protective { others, last_lba: entry.end().saturating_sub(1), file_system });
    }
    let sectors = view.size() / boot_sector::SIZE as u64;
    let odd_flag = entries.iter().find(|e| !BOOT_FLAGS.contains(&e.boot_flag));
    Ok(if let Some(entry) = odd_flag {
        FirstSector::NoTable(Rejection::Entry { number: entry.slot, flaw: "has an impossible boot flag" })
    } else if others.is_empty() {
        FirstSector::NoTable(Rejection::Empty)
    } else if is_junk(&others, sectors) {
        FirstSector::NoTable(Rejection::Entry { number: others[0].slot, flaw: "fits on no disk with the others" })
    } else if let Some(what) = explained.filter(|_| !is_plausible(&others, sectors)) {
        FirstSector::NoTable(Rejection::Other { what })
    } else {
        FirstSector::Table(others)
    })
}

fn is_disjoint(entries: &[Entry]) -> bool {
    let mut rest = entries;
    while let [entry, others @ ..] = rest {
        if others.iter().any(|other| entry.overlaps(other)) {
            return false;
        }
        rest = others;
    }
    true
}

/// Whether the entries are a table even in a valid boot sector of a file system: mkfs over a partitioned disk keeps the
/// entries, a partitioning tool keeps the parameter block. The one entry that mkfs.fat makes up starts at LBA 0.
fn is_plausible(entries: &[Entry], sectors: u64) -> bool {
    let several = entries.len() >= 2 || entries.iter().any(Entry::is_extended);
    several && entries.iter().all(|e| e.start >= 1 && e.end() <= sectors) && is_disjoint(entries)
}

/// Whether the entries are some code or text that happens to have valid boot flags.
///
/// The kernel shows the entries that start inside the disk, so one that does makes a table of them all. Where none does,
/// they are a table of a disk cut short if they could stand on one disk together: in order behind LBA 0, addressable,
/// and not overlapping. Random bytes hardly ever do; sloppy tables have at least one entry near the start.
fn is_junk(entries: &[Entry], sectors: u64) -> bool {
    let visible = entries.iter().any(|e| e.start < sectors);
    let coherent = entries.iter().all(|e| e.start >= 1 && e.end() <= LBA_END) && is_disjoint(entries);
    !visible && !coherent
}

/// Looks for an MBR with partitions.
pub(super) fn probe(view: &View<'_>) -> Result<Probe<PartitionTable>, Error> {
    match first_sector(view)? {
        FirstSector::Table(entries) => read_entries(view, &entries).map(Probe::Table),
        FirstSector::NoTable(rejection) => Ok(rejection.into()),
        FirstSector::Protective { .. } => Ok(Rejection::Other { what: "gpt" }.into()),
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
        table.complete &= !nested::is_promised(&table);
    } else if let Err(error) = nested::read(view, &mut table) {
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
    let bytes = |sectors: u64| sectors.saturating_mul(u64::from(sector_size));
    let first = entries.iter().filter(|e| !e.is_extended() && e.start != 0).min_by_key(|e| e.start);
    let first_holds = first.is_some_and(|entry| {
        let start = bytes(entry.start);
        let size = bytes(entry.sectors).min(view.size().saturating_sub(start));
        let volume = Slice::new(view.image(), start, Some(size));
        matches!(superblock::identify_start(&volume, size), Ok(Some(_)))
    });
    let has_ebr = |entry: &Entry| matches!(ebr::is_at(view, entry.start, sector_size), Ok(true));
    first_holds || entries.iter().find(|e| e.is_extended()).is_some_and(has_ebr)
}

/// Adds what a hybrid MBR used instead of its GPT has to say for itself.
pub(super) fn read_hybrid(view: &View<'_>, others: &[Entry]) -> Option<PartitionTable> {
    let mut table = read_entries(view, others).ok().filter(|table| view.settles(table.count()))?;
    table.damage.push(Damage::HybridWithoutGpt);
    Some(table)
}

#[cfg(test)]
mod tests {
    use super::super::testdisk::{Disk, Reader, fat16};
    use super::*;

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
    fn an_entry_is_in_use_if_it_has_sectors_whatever_its_type() {
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &[(1, 0, 100, 10), (2, 0x83, 200, 0)])), Some(1));
    }

    #[test]
    fn nothing_and_less_than_a_sector_are_no_table() {
        for size in [0, 1, 511, 512, 4096] {
            assert_eq!(count_of(&Disk::new(size)), None);
        }
    }

    #[test]
    fn a_boot_loader_without_entries_is_no_table() {
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &[]).put(0, &[0xfa, 0x31, 0xc0])), None);
    }

    #[test]
    fn floppy_code_in_place_of_entries_is_no_table() {
        // GRUB's boot.img on a disk that had no table.
        let code = [0x31, 0xc0, 0xcd, 0x13, 0x46, 0x8a, 0x0c, 0x80, 0xf9, 0, 0x75, 0x0f, 0xbe, 0xda, 0x7d, 0xe8, 0xc9];
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &[]).put(446, &code)), None);
    }

    #[test]
    fn an_entry_that_has_only_chs_addresses_is_not_in_use() {
        let disk = Disk::new(MIB).mbr(0, &[(1, 0x01, 0, 0)]).put(446 + 1, &[1, 1, 0]).put(446 + 5, &[3, 0x11, 0x30]);
        assert_eq!(count_of(&disk), None);
        assert_eq!(count_of(&disk.mbr(0, &[(2, 0x06, 17, 1000)])), Some(1));
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
    fn a_boot_flag_other_than_0x00_and_0x80_is_no_table() {
        for (flag, expected) in [(0x80, Some(1)), (0x01, None), (0x7f, None), (0x81, None), (0xff, None)] {
            let disk = Disk::new(MIB).mbr(0, &[(1, 0x83, 63, 100)]).put(446 + 16, &[flag]);
            assert_eq!(count_of(&disk), expected, "flag {flag:#x}");
        }
    }

    #[test]
    fn a_signature_is_needed() {
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &[(1, 0x83, 63, 100)]).put(511, &[0])), None);
    }

    #[test]
    fn a_file_systems_boot_sector_is_no_table() {
        let fat = Disk::new(16 * MIB).put(0, &fat16());
        assert_eq!(count_of(&fat), None);
        // mkfs.fat makes up one entry for the whole volume.
        assert_eq!(count_of(&fat.clone().mbr(0, &[(1, 0x06, 0, 32768)])), None);
        // Junk in place of entries.
        assert_eq!(count_of(&fat.clone().mbr(0, &[(1, 1, 0x1234_5678, 5), (2, 2, 0x1234_5679, 9)])), None);
        assert_eq!(count_of(&fat.mbr(0, &[(1, 6, 100, 50), (2, 6, 120, 50)])), None);
    }

    #[test]
    fn two_plausible_entries_are_a_table_even_behind_a_parameter_block() {
        let disk = Disk::new(16 * MIB).put(0, &fat16()).mbr(0, &[(1, 6, 100, 50), (2, 6, 150, 50)]);
        assert_eq!(count_of(&disk), Some(2));
    }

    #[test]
    fn a_table_of_a_disk_cut_short_counts_as_it_stands() {
        let table = Disk::new(MIB).mbr(0, &[(1, 0x83, 63, 5000), (2, 0x83, 6000, 1000)]).table();
        assert_eq!(table.count(), 2);
        assert_eq!(table.damage, [Damage::ImageTooShort { needed: 7000 * 512, size: MIB as u64 }]);
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &[(1, 0x83, 4000, 5000), (2, 0x83, 9000, 1000)])), Some(2));
    }

    #[test]
    fn entries_that_no_disk_could_have_together_are_junk() {
        let overlapping = [(1, 0x20, 0x6573_6572, 0x6f6f_7420), (2, 0x73, 0x6573_7572, 0x7373_6572)];
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &overlapping)), None);
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &[(1, 0x20, 0xf000_0000, 0x2000_0000)])), None);
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
        let consulted = super::super::examine(&disk.0, MIB as u64, Some(2)).consulted;
        assert!(consulted.iter().all(|range| *range == (0..512)), "{consulted:?}");
    }
}
