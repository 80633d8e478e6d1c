//! The GUID partition table: when it is looked for, and which of its copies is used.
//!
//! Linux (`block/partitions/efi.c`) reads a GPT only behind a protective MBR. Of a damaged disk the MBR may be what is
//! lost, so here a header whose checksums hold stands without one, where LBA 0 has no partitions of its own.

use super::first_sector::{first_sector, whole_disk};
use super::gpt_copy::{self, Outcome, PRIMARY_LBA, SECTOR_SIZES};
use super::ldm;
use super::mbr;
use crate::ptable::boot_sector;
use crate::ptable::damage::{Damage, GptFault};
use crate::ptable::error::{Error, Reason};
use crate::ptable::fields::all_zero;
use crate::ptable::label::GptCopy;
use crate::ptable::mbr_sector::{Entry, FirstSector};
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::PartitionTable;
use crate::ptable::view::View;

/// What is wrong with the primary, and where its header says the backup is.
struct BadPrimary {
    fault: GptFault,
    /// Sector size and LBA.
    backup_at: Option<(u32, u64)>,
    /// Why it could not be read, if that is what is wrong.
    error: Option<Error>,
}

impl BadPrimary {
    fn absent() -> Self {
        Self { fault: GptFault::NoSignature, backup_at: None, error: None }
    }
}

fn unreadable(error: &Error) -> GptFault {
    match error {
        Error::Io { offset, source, .. } => GptFault::Unreadable { offset: *offset, message: source.to_string() },
        Error::Undecidable { .. } => GptFault::NoSignature,
    }
}

/// Looks for a GPT that the MBR announces.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let mut table = find(view)?;
    ldm::read_inside_gpt(view, &mut table);
    Ok(table)
}

fn find(view: &View<'_>) -> Probe<PartitionTable> {
    match first_sector(view)? {
        FirstSector::Table(_) | FirstSector::NoTable(_) => Err(Rejection::NotAnnounced.into()),
        FirstSector::Protective { others, last_lba, file_system } => {
            match (read_announced(view, others, Some(*last_lba)), file_system) {
                // The sector is a file system's, and nothing of a GPT is left: the entry was none.
                (Err(Error::Undecidable { .. }), Some(what)) => Err(Rejection::Other { what }.into()),
                (found, _) => Ok(found?),
            }
        }
    }
}

/// Looks for a GPT at the start of the image that nothing at LBA 0 announces.
pub(super) fn probe_unannounced(view: &View<'_>) -> Probe<PartitionTable> {
    check_mbr(view)?;
    match read_primary(view) {
        Ok(mut table) => {
            table.damage.push(Damage::NoProtectiveMbr);
            Ok(table)
        }
        Err(primary) => Err(primary.error.map_or(Rejection::NoMagic.into(), Into::into)),
    }
}

/// Looks for what is left of a GPT whose MBR and primary were lost, under boot code, a fill pattern or zeros: a backup at
/// the end of the image, or a copy without its checksums where a header is signed or LBA 0 is blank. Not where a file
/// system explains what the image starts with.
pub(super) fn probe_remains(view: &View<'_>) -> Probe<PartitionTable> {
    check_mbr(view)?;
    if let Some(what) = whole_disk(view)? {
        return Err(Rejection::NotLookedFor { what }.into());
    }
    let is_blank = view.read(0, boot_sector::SIZE)?.is_some_and(|sector| all_zero(&sector));
    if !is_blank && !has_header(view)? {
        return Err(Rejection::NoMagic.into());
    }
    match read_announced(view, &[], None) {
        Ok(mut table) => {
            table.damage.push(Damage::NoProtectiveMbr);
            Ok(table)
        }
        // No header, no entries: there was no GPT.
        Err(Error::Undecidable { .. }) if !has_header(view)? => Err(Rejection::NoMagic.into()),
        Err(error) => Err(error.into()),
    }
}

/// A GPT next to an MBR with partitions is a left-over, and one that it announces was looked for.
fn check_mbr(view: &View<'_>) -> Probe<()> {
    match first_sector(view)? {
        FirstSector::Table(_) => Err(Rejection::NotLookedFor { what: "dos" }.into()),
        FirstSector::Protective { .. } => Err(Rejection::NoMagic.into()),
        FirstSector::NoTable(_) => Ok(()),
    }
}

/// Where headers are looked for whatever the rest of the disk says: LBA 1 and the last one, for each sector size.
fn header_places(view: &View<'_>) -> impl Iterator<Item = (u32, u64, GptCopy)> {
    let size = view.size();
    let primaries = SECTOR_SIZES.into_iter().map(|sector| (sector, PRIMARY_LBA, GptCopy::Primary));
    let last = move |sector: u32| (size / u64::from(sector)).saturating_sub(1);
    let backups = SECTOR_SIZES.into_iter().map(move |sector| (sector, last(sector), GptCopy::Backup));
    primaries.chain(backups)
}

/// Whether a header is signed at any of its places; an error where none is, and one of them cannot be read.
fn has_header(view: &View<'_>) -> Result<bool, Error> {
    view.load_tail();
    let mut error = None;
    for (size, lba, _) in header_places(view) {
        match gpt_copy::signature(view, size, lba) {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(unreadable) => error = error.or(Some(unreadable)),
        }
    }
    error.map_or(Ok(false), Err)
}

/// The GPT that a protective entry announces, or what else can be made of the disk.
fn read_announced(view: &View<'_>, others: &[Entry], last_lba: Option<u64>) -> Result<PartitionTable, Error> {
    let primary = match read_primary(view) {
        Ok(table) => return Ok(table),
        Err(primary) => *primary,
    };
    let primary_damage = Damage::PrimaryGpt { lba: PRIMARY_LBA, fault: primary.fault.clone() };
    let bad_backup = match read_backup(view, &primary, last_lba) {
        Ok(Ok(mut table)) => {
            table.damage.push(primary_damage);
            return Ok(table);
        }
        bad => bad,
    };
    let (backup, error) = match bad_backup {
        Ok(fault) => (fault.err().unwrap_or(GptFault::NoSignature), None),
        Err(error) => (unreadable(&error), Some(error)),
    };
    if let Some(mut table) = mbr::read_hybrid(view, others).or_else(|| read_unverified(view)) {
        table.damage.extend([primary_damage, Damage::BackupGpt { fault: backup }]);
        return Ok(table);
    }
    Err(primary
        .error
        .or(error)
        .unwrap_or_else(|| Error::undecidable(Reason::GptDamaged { primary: primary.fault, backup }, None)))
}

/// How much a fault tells: the copy of the right sector size fails in a less simple way than the others.
fn worse_of(old: GptFault, new: GptFault) -> GptFault {
    match old {
        GptFault::NoSignature | GptFault::PastEnd => new,
        _ => old,
    }
}

fn read_primary(view: &View<'_>) -> Result<PartitionTable, Box<BadPrimary>> {
    let mut bad = BadPrimary::absent();
    for sector_size in SECTOR_SIZES {
        match gpt_copy::read(view, sector_size, PRIMARY_LBA, GptCopy::Primary) {
            Ok(Outcome::Stands(table)) => return Ok(table),
            Ok(Outcome::Faulty { fault, alternate }) => {
                bad.fault = worse_of(bad.fault, fault);
                bad.backup_at = bad.backup_at.or(alternate.map(|lba| (sector_size, lba)));
            }
            Err(error) => {
                bad.fault = worse_of(bad.fault, unreadable(&error));
                bad.error = bad.error.or(Some(error));
            }
        }
    }
    Err(Box::new(bad))
}

/// Where a backup may be: where the primary says, at the last LBA of the image, or at the last LBA of the disk as the
/// protective entry says (an image may be longer than the disk was). By rising offset, each once.
fn backup_places(view: &View<'_>, primary: &BadPrimary, last_lba: Option<u64>) -> Vec<(u64, u32)> {
    let by_size = SECTOR_SIZES.into_iter().flat_map(|size| {
        let last_of_image = (view.size() / u64::from(size)).checked_sub(1);
        last_of_image.into_iter().chain(last_lba).map(move |lba| (size, lba))
    });
    let mut places: Vec<_> = primary
        .backup_at
        .into_iter()
        .chain(by_size)
        .filter(|&(_, lba)| lba > PRIMARY_LBA)
        .filter_map(|(size, lba)| Some((lba.checked_mul(u64::from(size))?, size)))
        .filter(|&(offset, size)| offset.checked_add(u64::from(size)).is_some_and(|end| end <= view.size()))
        .collect();
    places.sort_unstable();
    places.dedup();
    places
}

fn read_backup(
    view: &View<'_>,
    primary: &BadPrimary,
    last_lba: Option<u64>,
) -> Result<Result<PartitionTable, GptFault>, Error> {
    let mut bad = GptFault::NoSignature;
    let mut unreadable = None;
    for (offset, sector_size) in backup_places(view, primary, last_lba) {
        let lba = offset / u64::from(sector_size);
        if lba.saturating_add(8) >= view.size() / u64::from(sector_size) {
            view.load_tail();
        }
        match gpt_copy::read(view, sector_size, lba, GptCopy::Backup) {
            Ok(Outcome::Stands(table)) => return Ok(Ok(table)),
            Ok(Outcome::Faulty { fault, .. }) => bad = worse_of(bad, fault),
            Err(error) => unreadable = unreadable.or(Some(error)),
        }
    }
    match unreadable {
        Some(error) => Err(error),
        None => Ok(Err(bad)),
    }
}

/// What can be read of the entries without their checksums: first where a header is signed, then at the usual place of
/// the primary's, because the header's sector may be the one that was lost. Where no header tells the sector size, the
/// entries do: at the wrong one, an array seems to begin before or behind its first entry, and numbers are higher.
fn read_unverified(view: &View<'_>) -> Option<PartitionTable> {
    let (signed, unsigned): (Vec<_>, Vec<_>) =
        header_places(view).partition(|&(size, lba, _)| gpt_copy::is_signed(view, size, lba));
    let unsigned = unsigned.into_iter().filter(|&(_, _, copy)| copy == GptCopy::Primary);
    let read = |(size, lba, copy)| gpt_copy::read_unverified(view, size, lba, copy);
    let first_number = |table: &PartitionTable| table.partitions.first().map(|partition| partition.number);
    signed.into_iter().find_map(read).or_else(|| unsigned.filter_map(read).min_by_key(first_number))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::testdisk::{Disk, Gpt, Reader, seal};
    use crate::ptable::{Kind, Label};

    const TWO: &[(u64, u64)] = &[(40, 99), (100, 199)];

    fn codes(table: &PartitionTable) -> Vec<&'static str> {
        table.damage.iter().map(Damage::code).collect()
    }

    #[test]
    fn a_gpt_is_read_with_its_names_and_inclusive_ends() {
        let table = Gpt::new(TWO).disk().table();
        assert_eq!((table.label, table.sector_size, table.gpt_copy), (Label::Gpt, 512, Some(GptCopy::Primary)));
        assert!(!table.is_damaged() && table.complete);
        let p = &table.partitions[1];
        assert_eq!((p.number, p.start, p.size, p.kind), (2, 51_200, 51_200, Kind::Primary));
        assert_eq!(p.name.as_deref(), Some("p2"));
    }

    #[test]
    fn a_sound_primary_is_read_in_one_piece_and_the_end_of_the_image_is_not() {
        let reader = Reader::new(Gpt::new(TWO).disk(), 0..0);
        assert_eq!(reader.read(Some(2)).unwrap().unwrap().count(), 2);
        assert_eq!(*reader.reads.lock().unwrap(), [(0, 24 * 1024)]);
    }

    #[test]
    fn every_sector_size_is_found() {
        for sector_size in [512, 1024, 2048, 4096] {
            let gpt = Gpt { sector_size, ..Gpt::new(TWO) };
            let table = gpt.disk().table();
            assert_eq!(table.sector_size as usize, sector_size);
            assert_eq!(table.partitions[0].start, 40 * u64::from(table.sector_size));
            let backup = gpt.disk().put(sector_size, &[0; 92]).table();
            assert_eq!((backup.sector_size, backup.gpt_copy), (table.sector_size, Some(GptCopy::Backup)));
        }
    }

    #[test]
    fn every_legal_entry_size_is_read() {
        for entry_size in [128, 256, 512, 4096] {
            assert_eq!(Gpt { entry_size, ..Gpt::new(TWO) }.disk().table().count(), 2);
        }
        let with = |entry_size| Gpt { entry_size, ..Gpt::new(TWO) }.disk();
        assert_eq!(with(64).reason(), "gpt_damaged");
        assert_eq!(with(192).reason(), "gpt_damaged");
    }

    #[test]
    fn an_entry_in_use_has_a_type() {
        let deleted = Gpt { entries: vec![(40, 99), (100, 199), (200, 299)], ..Gpt::new(TWO) };
        let mut array = deleted.array();
        array[128..144].fill(0);
        let mut header = deleted.header(1, 4095, 2);
        header[88..92].copy_from_slice(&crc32fast::hash(&array).to_le_bytes());
        seal(&mut header);
        let table = deleted.disk().put(512, &header).put(1024, &array).table();
        assert_eq!(table.partitions.iter().map(|p| p.number).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn a_reversed_entry_does_not_count_and_one_outside_the_usable_range_does() {
        let table = Gpt::new(&[(99, 40), (10, 20), (4010, 4020)]).disk().table();
        assert_eq!(table.count(), 2);
        assert_eq!(codes(&table), ["entry_reversed", "entry_outside_usable", "entry_outside_usable"]);
    }

    #[test]
    fn an_image_cut_short_keeps_its_table() {
        let mut disk = Gpt::new(&[(40, 99), (1000, 1999)]).disk();
        disk.0.truncate(100 * 512);
        let table = disk.table();
        assert_eq!(table.count(), 2);
        assert_eq!(table.damage, [Damage::ImageTooShort { needed: 4096 * 512, size: 100 * 512 }]);
    }

    #[test]
    fn an_image_longer_than_the_disk_is_not_damaged() {
        let mut disk = Gpt::new(TWO).disk();
        disk.0.resize(8192 * 512, 0);
        assert!(!disk.table().is_damaged());
        // Its backup is found by the protective MBR when the primary's header is gone ...
        assert_eq!(disk.clone().put(512, &[0; 92]).table().gpt_copy, Some(GptCopy::Backup));
        // ... and by the header when only the array is.
        let table = disk.mbr(0, &[(1, 0xee, 1, u32::MAX)]).put(1024, &[9]).table();
        assert_eq!(table.gpt_copy, Some(GptCopy::Backup));
        assert!(matches!(table.damage[..], [Damage::PrimaryGpt { fault: GptFault::ArrayCrc { .. }, .. }]));
    }

    #[test]
    fn each_fault_of_the_primary_leads_to_the_backup() {
        type Break = fn(&mut [u8]);
        let faults: [(&str, Break); 8] = [
            ("signature", |h| h[0] = b'e'),
            ("header size 91", |h| h[12] = 91),
            ("header size beyond the sector", |h| h[14] = 1),
            ("own LBA", |h| h[24] = 2),
            ("usable range", |h| h[48..56].fill(0)),
            ("entry size", |h| h[84] = 127),
            ("no entries", |h| h[80] = 0),
            ("too many entries", |h| h[80..84].fill(0xff)),
        ];
        for (what, break_it) in faults {
            let gpt = Gpt::new(TWO);
            let mut header = gpt.header(1, 4095, 2);
            break_it(&mut header);
            seal(&mut header);
            let table = gpt.disk().put(512, &header).table();
            assert_eq!(table.gpt_copy, Some(GptCopy::Backup), "{what}");
            assert_eq!((table.count(), codes(&table)), (2, vec!["primary_gpt"]), "{what}");
        }
    }

    #[test]
    fn without_both_headers_two_plausible_entries_are_believed() {
        let gone = |entries: &[(u64, u64)]| Gpt::new(entries).disk().put(512, &[0; 92]).put(4095 * 512, &[0; 92]);
        let table = gone(TWO).table();
        assert_eq!((table.count(), table.gpt_copy), (2, Some(GptCopy::Primary)));
        assert_eq!(codes(&table), ["gpt_unverified", "primary_gpt", "backup_gpt"]);
        assert_eq!(gone(&TWO[..1]).reason(), "gpt_damaged");
        assert_eq!(gone(&[(40, 99), (90, 199)]).reason(), "gpt_damaged");
        assert_eq!(gone(&[(40, 99), (1, 30)]).reason(), "gpt_damaged");
    }

    #[test]
    fn without_both_headers_the_entries_tell_the_sector_size() {
        for sector_size in [512, 1024, 2048, 4096] {
            let disk = Gpt { sector_size, ..Gpt::new(TWO) }.disk();
            let table = disk.put(sector_size, &[0; 92]).put(4095 * sector_size, &[0; 92]).table();
            assert_eq!(table.sector_size as usize, sector_size);
            assert_eq!(table.partitions.iter().map(|p| p.number).collect::<Vec<_>>(), [1, 2]);
        }
    }

    #[test]
    fn a_protective_mbr_alone_is_undecidable() {
        assert_eq!(Disk::new(1 << 20).mbr(0, &[(1, 0xee, 1, 2047)]).reason(), "gpt_damaged");
    }

    #[test]
    fn a_hybrid_mbr_does_not_add_to_its_gpt() {
        let hybrid: &[_] = &[(1, 0xee, 1, 39), (2, 0x07, 40, 60), (3, 0x83, 100, 100)];
        let table = Gpt::new(TWO).disk().mbr(0, hybrid).table();
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Gpt, 2, false));
        let without = Disk::new(4096 * 512).mbr(0, hybrid).table();
        assert_eq!((without.label, without.count()), (Label::Dos, 2));
        assert_eq!(codes(&without), ["hybrid_without_gpt", "primary_gpt", "backup_gpt"]);
    }

    #[test]
    fn a_gpt_stands_without_its_protective_mbr() {
        let table = Gpt::new(TWO).disk().put(0, &[0; 512]).table();
        assert_eq!((table.count(), codes(&table)), (2, vec!["no_protective_mbr"]));
        let boot_loader = Gpt::new(TWO).disk().put(440, &[0; 70]).put(0, &[0xfa, 0x33]).table();
        assert_eq!(boot_loader.label, Label::Gpt);
    }

    #[test]
    fn a_left_over_gpt_does_not_beat_an_mbr() {
        let table = Gpt::new(TWO).disk().mbr(0, &[(1, 0x83, 2048, 100)]).table();
        assert_eq!((table.label, table.count()), (Label::Dos, 1));
    }

    #[test]
    fn a_lone_backup_stands_where_the_start_is_blank() {
        let wiped = Gpt::new(TWO).disk().put(0, &vec![0; 34 * 512]);
        let table = wiped.table();
        assert_eq!((table.count(), table.gpt_copy), (2, Some(GptCopy::Backup)));
        assert_eq!(codes(&table), ["primary_gpt", "no_protective_mbr"]);
        let with_file_system = wiped.put(1024 + 56, &[0x53, 0xef]);
        assert!(with_file_system.read().unwrap().is_none());
    }

    #[test]
    fn an_unreadable_backup_is_an_error_only_if_it_is_needed() {
        let end = 4000 * 512..4096 * 512;
        let lost = |disk: Disk| Reader::new(disk, end.clone());
        assert_eq!(lost(Gpt::new(TWO).disk()).read(None).unwrap().unwrap().count(), 2);
        let needed = lost(Gpt::new(TWO).disk().put(512, &vec![0; 32 * 512])).read(None);
        assert!(matches!(needed, Err(Error::Io { .. })));
        let believed = lost(Gpt::new(TWO).disk().put(512, &[0; 92])).read(None).unwrap().unwrap();
        assert_eq!(codes(&believed), ["gpt_unverified", "primary_gpt", "backup_gpt"]);
    }

    #[test]
    fn an_unreadable_primary_is_replaced_by_its_backup() {
        let table = Reader::new(Gpt::new(TWO).disk(), 5 * 512..6 * 512).read(None).unwrap().unwrap();
        assert_eq!((table.count(), table.gpt_copy), (2, Some(GptCopy::Backup)));
    }

    #[test]
    fn no_loss_of_sectors_hides_a_partition_while_anything_of_the_gpt_is_left() {
        // LBA 0, primary header, its entries, backup entries, backup header.
        let places = [0, 1, 2, 4063, 4095];
        for lost in 0..1_u32 << places.len() {
            let is_lost = |place: usize| lost & (1 << place) != 0;
            let disk = (0..places.len())
                .filter(|&place| is_lost(place))
                .fold(Gpt::new(TWO).disk(), |disk, place| disk.put(places[place] * 512, &[0; 512]));
            match disk.read() {
                Ok(Some(table)) => assert_eq!(table.count(), 2, "{lost:05b}"),
                Ok(None) => assert!([0, 1, 2, 4].into_iter().all(is_lost), "{lost:05b}"),
                Err(_) => assert!(is_lost(2), "{lost:05b}"),
            }
        }
    }
}
