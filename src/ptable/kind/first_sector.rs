//! What LBA 0 is: a partition table, the announcement of one, or neither.
//!
//! The rules are those of Linux's `block/partitions/msdos.c`: 0x55AA, boot flags of 0x00 or 0x80, and an entry is in use
//! when it has sectors, whatever its type. Beyond the kernel, an entry that starts past the end of the image counts,
//! because the image may have been cut short; see [`is_junk`] for the price. Where the sector is the boot sector of a
//! file system as well, [`boot_sector`] says which of the two it is.

use positioned_io::Slice;

use super::{atari, ebr, gpt_copy};
use crate::ptable::boot_sector;
use crate::ptable::error::Error;
use crate::ptable::mbr_sector::{self, ENTRIES_AT, ENTRY_BYTES, Entry, FirstSector, are_disjoint};
use crate::ptable::rejection::{Rejection, SeenEntry};
use crate::ptable::superblock;
use crate::ptable::view::View;

/// The entry that says "this is a GPT" (UEFI 2.10 section 5.2.3).
const GPT_PROTECTIVE: u8 = 0xee;
/// One more than the last LBA that an entry can name.
const LBA_END: u64 = 1 << 32;
/// Sectors of a cylinder of the largest geometry, to which a volume may be rounded down.
const CYLINDER: u64 = 255 * 63;
/// Bytes that a volume on a whole disk may leave at its end.
const ROUNDING: u64 = 1024 * 1024;
/// How many times as far as the image reaches an entry has to begin before another table may explain its bytes.
const FAR_PAST_END: u64 = 8;

/// Classifies LBA 0, once for all who ask.
pub(super) fn first_sector<'v>(view: &'v View<'_>) -> Result<&'v FirstSector, Error> {
    view.first_sector(|| classify(view))
}

fn classify(view: &View<'_>) -> Result<FirstSector, Error> {
    let Some(sector) = view.read(0, boot_sector::SIZE)? else {
        return Ok(FirstSector::NoTable(Rejection::TooShort));
    };
    if !boot_sector::is_signed(&sector) {
        return Ok(FirstSector::NoTable(Rejection::NoMagic));
    }
    let entries = mbr_sector::entries(&sector);
    let flags_valid = entries.iter().all(Entry::has_boot_flag);
    let file_system = boot_sector::file_system(&sector);
    let (protective, others): (Vec<_>, Vec<_>) = entries
        .into_iter()
        .filter(|e| e.sectors != 0 || e.type_id == GPT_PROTECTIVE)
        .partition(|e| e.type_id == GPT_PROTECTIVE);
    // Linux (efi.c) believes a protective entry at LBA 1 whatever the boot flags are.
    if let Some(entry) = protective.iter().find(|e| flags_valid || e.start == 1) {
        let others = if flags_valid { others } else { Vec::new() };
        return Ok(FirstSector::Protective { others, last_lba: entry.end().saturating_sub(1), file_system });
    }
    if let Some(entry) = entries.iter().find(|e| !e.has_boot_flag()) {
        let flaw = "has an impossible boot flag";
        return Ok(FirstSector::NoTable(Rejection::Entry { number: entry.slot, flaw }));
    }
    let sectors = view.size() / boot_sector::SIZE as u64;
    let (foreign, others): (Vec<_>, Vec<_>) = others.into_iter().partition(|entry| is_foreign(entry, &sector, sectors));
    if !foreign.is_empty() {
        view.note_rejected(rejected(&foreign, "far past the end of the image, in the bytes of an AHDI entry"));
    }
    let flaw = if others.is_empty() {
        return Ok(FirstSector::NoTable(Rejection::Empty));
    } else if is_junk(&others, sectors) {
        "impossible on one disk"
    } else if file_system.is_some() && !outweigh_boot_sector(view, &sector, &others) {
        "outweighed by the boot sector of a file system around them"
    } else if boot_sector::is_pc98(&sector) && !(are_several(&others) && fit(&others, sectors)) {
        "not fitting, in a boot sector of PC-98"
    } else if is_of_another_disk(view, &others, sectors) {
        "past the end of the image, where a GPT has the end of its disk"
    } else {
        return Ok(FirstSector::Table(others));
    };
    Ok(FirstSector::NoTable(rejected(&others, flaw)))
}

fn rejected(entries: &[Entry], flaw: &'static str) -> Rejection {
    let seen = |entry: &Entry| SeenEntry {
        number: entry.slot,
        type_id: entry.type_id,
        start: entry.start,
        sectors: entry.sectors,
    };
    Rejection::Entries { entries: entries.iter().map(seen).collect(), flaw }
}

/// Whether the entry is no entry but bytes of an AHDI entry: media for both kinds of machine have both tables in one
/// sector, and where the AHDI entry is in use, an MBR entry seems to begin hundreds of gigabytes away.
fn is_foreign(entry: &Entry, sector: &[u8], sectors: u64) -> bool {
    let slot = usize::try_from(entry.slot).unwrap_or(1).saturating_sub(1);
    let at = ENTRIES_AT + slot * ENTRY_BYTES;
    entry.start >= sectors.saturating_mul(FAR_PAST_END) && atari::has_entry_in(sector, at..at + ENTRY_BYTES, sectors)
}

/// Whether the entries are some code or text that happens to have valid boot flags.
///
/// The kernel shows the entries that start inside the disk, so one that does makes a table of them all. Where none does,
/// they are a table of a disk cut short if they could stand on one disk together: in order behind LBA 0, addressable,
/// and not overlapping. Random bytes hardly ever do; sloppy tables have at least one entry near the start.
fn is_junk(entries: &[Entry], sectors: u64) -> bool {
    let visible = entries.iter().any(|e| e.start < sectors);
    !visible && !are_coherent(entries)
}

/// Whether the entries could stand on one disk together, of whatever size.
fn are_coherent(entries: &[Entry]) -> bool {
    entries.iter().all(|e| e.start >= 1 && e.end() <= LBA_END) && are_disjoint(entries)
}

/// Whether there are several partitions, or may be.
fn are_several(entries: &[Entry]) -> bool {
    entries.len() >= 2 || entries.iter().any(Entry::is_extended)
}

/// Whether the entries are behind LBA 0, not overlapping, and end on a disk of so many sectors.
fn fit(entries: &[Entry], sectors: u64) -> bool {
    entries.iter().all(|e| e.start >= 1 && e.end() <= sectors) && are_disjoint(entries)
}

/// Whether the entries are a table although the sector is a valid boot sector of a file system: the table of
/// [`boot_sector`].
fn outweigh_boot_sector(view: &View<'_>, sector: &[u8], entries: &[Entry]) -> bool {
    let unit = boot_sector::SIZE as u64;
    let image = view.size() / unit;
    let disk = (boot_sector::volume_bytes(sector).unwrap_or(0) / unit).saturating_add(CYLINDER);
    let are_typed = entries.iter().all(|e| e.type_id != 0);
    if fit(entries, image) && are_several(entries) || are_typed && fit(entries, image.max(disk)) {
        return true;
    }
    if !are_typed || !are_coherent(entries) {
        return false;
    }
    let begins = || entries.iter().any(|entry| begins_with_something(view, entry, unit));
    let stands = || boot_sector::stands(view, sector);
    if are_several(entries) {
        let goes_on_behind =
            boot_sector::volume_bytes(sector).is_none_or(|bytes| bytes.saturating_add(ROUNDING) <= view.size());
        entries.iter().any(|e| e.start < image) && (goes_on_behind || !stands()) || begins()
    } else {
        begins() && !stands()
    }
}

/// Whether the entries run past the end of the image although a GPT says that its disk ends where the image does: then
/// the image was not cut short, and the entries are of another disk. Not so where a file system stands behind one.
fn is_of_another_disk(view: &View<'_>, entries: &[Entry], sectors: u64) -> bool {
    entries.iter().any(|e| e.end() > sectors)
        && gpt_copy::ends_with_image(view)
        && !entries.iter().any(|entry| begins_with_something(view, entry, boot_sector::SIZE as u64))
}

/// Whether a file system, or for an extended partition an EBR, begins where the entry does, at this sector size. What
/// cannot be read is no evidence.
pub(super) fn begins_with_something(view: &View<'_>, entry: &Entry, sector_size: u64) -> bool {
    if entry.start == 0 {
        return false;
    }
    if entry.is_extended() {
        let sector_size = u32::try_from(sector_size).unwrap_or(u32::MAX);
        return matches!(ebr::is_at(view, entry.start, sector_size), Ok(true));
    }
    let start = entry.start.saturating_mul(sector_size);
    let size = entry.sectors.saturating_mul(sector_size).min(view.size().saturating_sub(start));
    let volume = Slice::new(view.image(), start, Some(size));
    matches!(superblock::identify_start(&volume, size), Ok(Some(_)))
}

/// The file system, RAID or volume manager that explains what the image starts with; the boot sector of a FAT, exFAT or
/// NTFS only where it describes a volume of this image. No verdict rests on what is read for that.
pub(in crate::ptable) fn whole_disk(view: &View<'_>) -> Result<Option<&'static str>, Error> {
    let len = usize::try_from(view.size().min(superblock::WINDOW_BYTES)).unwrap_or(0);
    let Some(window) = view.peek(0, len)? else { return Ok(None) };
    let of_boot_sector = boot_sector::file_system(&window);
    Ok(superblock::name(&window).filter(|name| of_boot_sector != Some(name) || boot_sector::stands(view, &window)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::testdisk::{Disk, Gpt, Reader, fat16};
    use crate::ptable::{Label, examine};

    const MIB: usize = 1 << 20;

    fn count_of(disk: &Disk) -> Option<u32> {
        disk.read().unwrap().map(|table| table.count())
    }

    /// What is said of the entries of an MBR that were seen and rejected.
    fn rejected_entries(disk: &Disk) -> Option<String> {
        let rejected = examine(&disk.0, disk.0.len() as u64, None).rejected;
        let entries = rejected.iter().find(|rejected| matches!(rejected.why, Rejection::Entries { .. }));
        entries.map(|rejected| rejected.why.to_string())
    }

    /// A disk of so many sectors with the boot sector of a FAT16 volume of 32768 sectors, which stands with `fats`.
    fn fat_disk(sectors: usize, stands: bool, entries: &[(usize, u8, u32, u32)]) -> Disk {
        let disk = Disk::new(sectors * 512).put(0, &fat16()).mbr(0, entries);
        let fats = [4, 4 + 32].map(|lba| (lba * 512, &[0xf8, 0xff, 0xff, 0xff][..]));
        fats.into_iter().filter(|_| stands).fold(disk, |disk, (at, bytes)| disk.put(at, bytes))
    }

    fn ext_at(disk: Disk, lba: usize) -> Disk {
        disk.put(lba * 512 + 1024 + 56, &[0x53, 0xef])
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
    fn entries_that_no_disk_could_have_together_are_junk() {
        let overlapping = [(1, 0x20, 0x6573_6572, 0x6f6f_7420), (2, 0x73, 0x6573_7572, 0x7373_6572)];
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &overlapping)), None);
        assert_eq!(count_of(&Disk::new(MIB).mbr(0, &[(1, 0x20, 0xf000_0000, 0x2000_0000)])), None);
    }

    #[test]
    fn several_entries_that_end_on_the_disk_of_the_boot_sector_are_a_table_of_an_image_cut_short() {
        for stands in [false, true] {
            let two = |end: u32| fat_disk(30_000, stands, &[(1, 12, 64, 20_000), (2, 0x83, 20_064, end - 20_064)]);
            assert_eq!(count_of(&two(32768)), Some(2));
            assert_eq!(count_of(&two(400_000)), Some(2));
            // The volume may be rounded down to a cylinder of the disk.
            let one = |end: u32| fat_disk(30_000, stands, &[(1, 12, 64, end - 64)]);
            assert_eq!(count_of(&one(32768 + 255 * 63)), Some(1));
            assert_eq!(count_of(&one(32768 + 255 * 63 + 1)), None);
            let past_end = fat_disk(30_000, stands, &[(1, 12, 64, 20_000), (2, 0x83, 31_000, 1000)]);
            assert_eq!(count_of(&past_end), Some(2));
            let chain =
                fat_disk(30_000, stands, &[(1, 5, 64, 32_000)]).mbr(64 * 512, &[(1, 0x83, 1, 9), (2, 5, 99, 99)]);
            let chain = chain.mbr((64 + 99) * 512, &[(1, 0x83, 1, 9)]);
            assert_eq!(count_of(&chain), Some(2));
            let untyped = fat_disk(30_000, stands, &[(1, 0, 64, 20_000), (2, 0x83, 20_064, 12_000)]);
            assert_eq!(count_of(&untyped), None);
        }
    }

    #[test]
    fn entries_where_file_systems_begin_are_a_table_wherever_they_end() {
        let two = fat_disk(33_000, true, &[(1, 6, 64, 30_000), (2, 6, 30_064, 400_000)]);
        assert_eq!(count_of(&two), None);
        assert_eq!(count_of(&ext_at(two.clone(), 64)), Some(2));
        assert_eq!(count_of(&ext_at(two.clone(), 30_064)), Some(2));
        assert_eq!(count_of(&ext_at(two, 30_065)), None);
    }

    #[test]
    fn several_entries_are_a_table_where_the_volume_does_not_stand_or_is_not_the_disk() {
        let entries = [(1, 6, 64, 30_000), (2, 6, 30_064, 400_000)];
        for (sectors, stands, expected) in
            [(33_000, false, Some(2)), (33_000, true, None), (34_815, true, None), (34_816, true, Some(2))]
        {
            assert_eq!(count_of(&fat_disk(sectors, stands, &entries)), expected, "{sectors} {stands}");
        }
        let none_inside = [(1, 6, 40_000, 300_000), (2, 6, 340_000, 400_000)];
        assert_eq!(count_of(&fat_disk(36_000, true, &none_inside)), None);
    }

    #[test]
    fn one_entry_is_a_table_where_it_fits_or_a_file_system_begins_and_the_volume_does_not_stand() {
        let one = |stands| fat_disk(50_000, stands, &[(1, 6, 64, 400_000)]);
        assert_eq!((count_of(&one(false)), count_of(&one(true))), (None, None));
        assert_eq!(count_of(&ext_at(one(false), 64)), Some(1));
        assert_eq!(count_of(&ext_at(one(true), 64)), None);
        // One that ends in the image needs no file system, but a type.
        let fits = |type_id| fat_disk(50_000, true, &[(1, type_id, 64, 49_000)]);
        assert_eq!((count_of(&fits(6)), count_of(&fits(0))), (Some(1), None));
    }

    #[test]
    fn a_volume_of_any_length_is_weighed() {
        let entries = [(1, 7, 64, 30_000), (2, 7, 30_064, 400_000)];
        for sectors in [u64::MAX, u64::MAX >> 9, 1 << 55, 0] {
            let exfat = Disk::new(MIB).put(3, b"EXFAT   ").put(72, &sectors.to_le_bytes()).put(108, &[9, 3, 1]);
            assert_eq!(count_of(&exfat.mbr(0, &entries)), Some(2), "{sectors:#x}");
        }
    }

    #[test]
    fn entries_that_are_rejected_are_named() {
        let two = [(1, 6, 100, 50), (3, 0x83, 120, 50)];
        assert_eq!(
            rejected_entries(&fat_disk(32768, true, &two)).as_deref(),
            Some(
                "an MBR with 2 entries (outweighed by the boot sector of a file system around them): \
                 1 (type 0x06, LBA 100, 50 sectors), 3 (type 0x83, LBA 120, 50 sectors)"
            )
        );
        let junk = rejected_entries(&Disk::new(MIB).mbr(0, &[(2, 0x20, 0xf000_0000, 0x2000_0000)])).unwrap();
        assert!(junk.starts_with("an MBR with 1 entry (impossible on one disk): 2 ("), "{junk}");
        assert_eq!(rejected_entries(&Disk::new(MIB).mbr(0, &two)), None);
    }

    #[test]
    fn an_entry_far_past_the_end_that_is_bytes_of_an_ahdi_entry_is_none() {
        let ahdi = [0x01, b'B', b'G', b'M', 0, 0, 0, 59, 0, 0, 1, 0];
        let card = Disk::new(MIB).mbr(0, &[(1, 6, 58, 500)]);
        let both = card.clone().put(0x1d2, &ahdi);
        assert_eq!(count_of(&both), Some(1));
        assert!(rejected_entries(&both).unwrap().contains("AHDI"));
        // An entry that is in no AHDI entry, or could be one of this disk, stays.
        assert_eq!(count_of(&both.put(0x1d2 + 3, b"\0")), Some(2));
        let near = card.clone().mbr(0, &[(2, 0x83, 5000, 100)]);
        assert_eq!(count_of(&near), Some(2));
    }

    #[test]
    fn lba_0_is_weighed_once() {
        let disk = fat_disk(33_000, true, &[(1, 6, 64, 30_000), (2, 6, 30_064, 400_000)]);
        let reader = Reader::new(disk, 0..0);
        assert!(reader.read(None).unwrap().is_none());
        let reads = reader.reads.lock().unwrap();
        assert_eq!(reads.iter().filter(|(at, _)| *at == 30_064 * 512).count(), 1, "{reads:?}");
    }

    #[test]
    fn entries_that_run_past_the_end_of_a_gpts_disk_are_of_another_disk() {
        let gpt = Gpt::new(&[(40, 99), (100, 199), (200, 299)]);
        let entries = [(1, 0x83, 1000, 9000), (2, 0x83, 10_000, 9000)];
        let over = gpt.disk().mbr(0, &entries).put(446 + 4, &[0x83]);
        let label = |disk: &Disk| disk.table().label;
        assert_eq!((label(&over), over.table().count()), (Label::Gpt, 3));
        assert!(rejected_entries(&over).unwrap().contains("where a GPT has the end of its disk"));
        // Only the backup, and only the primary.
        assert_eq!(label(&over.clone().put(512, &vec![0; 33 * 512])), Label::Gpt);
        assert_eq!(label(&over.clone().put(4095 * 512, &[0; 512])), Label::Gpt);
        assert_eq!(label(&ext_at(over.clone(), 1000)), Label::Dos);
        let mut cut = over;
        cut.0.truncate(4000 * 512);
        assert_eq!(label(&cut), Label::Dos);
    }
}
