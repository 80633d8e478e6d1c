//! The five ways in which disks of Acorn's RISC OS machines are partitioned, by the maker of the controller.
//!
//! All of them are read by Linux's `block/partitions/acorn.c`: ICS, `PowerTec` and EESOX have a table of their own, the
//! others a boot block of the file system (ADFS) that says where it ends and what comes behind: Linux, `RISCiX`, or, for
//! Cumana, one more such file system. As in the kernel they are looked for before all other kinds. A boot block with
//! nothing behind it is no table here, but a file system on the whole disk; and what has only a checksum of eight bits
//! must make sense altogether.

use std::borrow::Cow;

use crate::ptable::boot_sector;
use crate::ptable::error::{Error, Reason};
use crate::ptable::fields::{all_zero, byte, has, le16, le32};
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::superblock;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

const SECTOR: usize = 512;

/// What was found: partitions in units of sectors.
#[derive(Default)]
struct Found {
    partitions: Vec<Partition>,
    next_number: u32,
    /// Sectors that the image must have to hold what is known to be there.
    needed: u64,
    /// A sector that says which partitions there are, and is not in the image.
    missing: Option<u64>,
}

impl Found {
    /// Adds a partition; one without sectors only takes a number.
    fn push(&mut self, start: u64, sectors: u64, kind: Kind, type_id: PartitionType, name: &[u8]) {
        self.next_number += 1;
        if sectors == 0 {
            return;
        }
        let letters = name.iter().take_while(|&&letter| letter >= b' ').copied().map(char::from);
        let name = letters.collect::<String>().trim_end().to_owned();
        self.partitions.push(Partition {
            number: self.next_number,
            start: start.saturating_mul(SECTOR as u64),
            size: sectors.saturating_mul(SECTOR as u64),
            kind,
            type_id,
            name: (!name.is_empty()).then_some(name),
        });
    }

    fn push_plain(&mut self, start: u64, sectors: u64) {
        self.push(start, sectors, Kind::Primary, PartitionType::Unknown, &[]);
    }
}

/// The bytes of a sector, where it could be read.
fn look<'v>(view: &'v View<'_>, sector: u64) -> Option<Cow<'v, [u8]>> {
    view.peek(sector.checked_mul(SECTOR as u64)?, SECTOR).ok()?
}

fn sectors_of(view: &View<'_>) -> u64 {
    view.size() / SECTOR as u64
}

/// ICS: starts and sizes in the first sector, and a sum of 32 bits.
mod ics {
    use super::{Found, Rejection, View, has, le32, look};

    const ENTRY_BYTES: usize = 8;
    const START_AT: usize = 0; // 4
    const SECTORS_AT: usize = 4; // 4, signed; negative: not for RISC OS
    const SUM_AT: usize = 508; // 4
    const SUM_SEED: u32 = 0x5061_7274;
    /// In the first sector of a partition that is Linux's; the partition starts behind it.
    const LINUX: &[u8] = b"LinuxPart";

    pub(super) fn read(view: &View<'_>, sector: &[u8]) -> Result<Found, Rejection> {
        let Some((summed, _)) = sector.split_at_checked(SUM_AT) else {
            return Err(Rejection::TooShort);
        };
        let sum = summed.iter().fold(SUM_SEED, |sum, &byte| sum + u32::from(byte));
        if sum != le32(sector, SUM_AT) {
            return Err(Rejection::NoMagic);
        }
        let mut found = Found::default();
        for at in (0..SUM_AT / ENTRY_BYTES).map(|entry| entry * ENTRY_BYTES) {
            let mut start = u64::from(le32(sector, at + START_AT));
            let signed = le32(sector, at + SECTORS_AT).cast_signed();
            let mut sectors = u64::from(signed.unsigned_abs());
            if sectors == 0 {
                break;
            }
            if signed < -1 && look(view, start).is_some_and(|first| has(&first, 0, LINUX)) {
                start += 1;
                sectors -= 1;
            }
            found.push_plain(start, sectors);
        }
        Ok(found)
    }
}

/// `PowerTec`: twelve entries in the first sector, and a sum of 8 bits.
mod powertec {
    use super::{Found, Kind, PartitionType, Rejection, View, boot_sector, byte, le32, sectors_of, superblock};

    const ENTRIES: u32 = 12;
    const ENTRY_BYTES: usize = 28;
    const START_AT: usize = 8; // 4
    const SECTORS_AT: usize = 12; // 4
    const TYPE_AT: usize = 20; // 8
    const TYPE_BYTES: usize = 8;
    const SUM_AT: usize = 511; // 1
    const SUM_SEED: u8 = 0x2a;
    /// How many times as large as the image a disk may be.
    const MAX_CUT: u64 = 64;

    pub(super) fn read(view: &View<'_>, sector: &[u8]) -> Result<Found, Rejection> {
        let sum = sector.iter().take(SUM_AT).fold(SUM_SEED, |sum, &byte| sum.wrapping_add(byte));
        if boot_sector::is_signed(sector) || sum != byte(sector, SUM_AT) {
            return Err(Rejection::NoMagic);
        }
        if let Some(what) = superblock::name(sector) {
            return Err(Rejection::Other { what });
        }
        let mut found = Found::default();
        let mut extents: Vec<(u64, u64)> = Vec::new();
        for (number, entry) in (1..=ENTRIES).zip(sector.chunks_exact(ENTRY_BYTES)) {
            let start = u64::from(le32(entry, START_AT));
            let sectors = u64::from(le32(entry, SECTORS_AT));
            if sectors == 0 {
                continue;
            }
            let end = start + sectors;
            let type_id = entry.get(TYPE_AT..TYPE_AT + TYPE_BYTES).unwrap_or_default();
            let flaw = if !type_id.iter().all(|letter| matches!(letter, 0 | b' '..=b'~')) {
                Some("has no type")
            } else if end > sectors_of(view).saturating_mul(MAX_CUT) {
                Some("fits on no disk of which this is an image")
            } else if extents.iter().any(|&(other, other_end)| start < other_end && other < end) {
                Some("overlaps another")
            } else {
                None
            };
            if let Some(flaw) = flaw {
                return Err(Rejection::Entry { number, flaw });
            }
            extents.push((start, end));
            found.push(start, sectors, Kind::Primary, PartitionType::text(type_id), &[]);
        }
        Ok(found)
    }
}

/// EESOX: up to eight starts in sector 7, veiled by the name of whoever made it.
mod eesox {
    use super::{Found, Kind, PartitionType, Rejection, SECTOR, View, has, le32, look, sectors_of};

    const TABLE_AT: u64 = 7;
    const TABLE_BYTES: usize = 256;
    const VEIL: &[u8; 16] = b"Neil Critchell  ";
    const ENTRY_BYTES: usize = 32;
    const MAGIC: &[u8] = b"Eesox\0";
    const NAME_AT: usize = 6; // 10
    const NAME_BYTES: usize = 10;
    const START_AT: usize = 16; // 4

    pub(super) fn read(view: &View<'_>) -> Result<Found, Rejection> {
        let sector = look(view, TABLE_AT).ok_or(Rejection::TooShort)?;
        let table: Vec<u8> = sector.iter().take(TABLE_BYTES).zip(VEIL.iter().cycle()).map(|(a, b)| a ^ b).collect();
        let entries = || (1_u32..).zip(table.chunks_exact(ENTRY_BYTES)).take_while(|(_, entry)| has(entry, 0, MAGIC));
        let starts: Vec<u64> = entries().map(|(_, entry)| u64::from(le32(entry, START_AT))).collect();
        let Some(&last) = starts.last() else {
            return Err(Rejection::NoMagic);
        };
        // An entry ends where the next one starts, and the last one with the disk.
        let ends = starts.iter().skip(1).copied().chain([sectors_of(view).max(last + 1)]);
        let mut found = Found { needed: last + 1, ..Found::default() };
        for (((number, entry), &start), end) in entries().zip(&starts).zip(ends) {
            if end <= start {
                return Err(Rejection::Entry { number, flaw: "starts behind the next one" });
            }
            let name = entry.get(NAME_AT..NAME_AT + NAME_BYTES).unwrap_or_default();
            found.push(start, end - start, Kind::Primary, PartitionType::Unknown, name);
        }
        let _ = view.read(TABLE_AT * SECTOR as u64, SECTOR);
        Ok(found)
    }
}

/// A boot block of ADFS, and what it says lies behind.
mod adfs {
    use super::{
        Found, Kind, PartitionType, Rejection, SECTOR, View, all_zero, byte, has, le16, le32, look, sectors_of,
    };

    /// Sector of the boot block, from the start of the file system.
    const BOOT_BLOCK_AT: u64 = 6;
    const SUM_AT: usize = 511; // 1
    /// What is behind; the upper half of the byte is something else.
    const BEHIND_AT: usize = 0x1fc;
    const BEHIND_MASK: u8 = 0x0f;
    const RISCIX: [u8; 2] = [1, 2];
    const LINUX: u8 = 9;
    /// The cylinder at which it starts.
    const CYLINDER_AT: usize = 0x1fd; // 2

    // `struct adfs_discrecord`
    const RECORD_AT: usize = 0x1c0;
    const LOG2_SECTOR_SIZE_AT: usize = RECORD_AT; // 1
    const SECTORS_PER_TRACK_AT: usize = RECORD_AT + 1; // 1
    const HEADS_AT: usize = RECORD_AT + 2; // 1
    const ID_LEN_AT: usize = RECORD_AT + 4; // 1
    const LOW_SECTOR_AT: usize = RECORD_AT + 8; // 1
    const ONE_MORE_HEAD: u8 = 0x40;
    const SIZE_AT: usize = RECORD_AT + 16; // 4, bytes
    const NAME_AT: usize = RECORD_AT + 22; // 10
    const SIZE_HIGH_AT: usize = RECORD_AT + 36; // 4
    const FORMAT_VERSION_AT: usize = RECORD_AT + 44; // 4
    const RESERVED: std::ops::Range<usize> = RECORD_AT + 52..RECORD_AT + 60;

    /// File systems in a row that are followed.
    const MAX_FILE_SYSTEMS: usize = 16;

    // The table in front of Linux's partitions: `struct linux_part`.
    const LINUX_ENTRY_BYTES: usize = 12;
    const LINUX_MAGICS: [u32; 2] = [0xdeaf_a1de, 0xdeaf_ab1e];
    const LINUX_START_AT: usize = 4; // 4, from the table
    const LINUX_SECTORS_AT: usize = 8; // 4

    // The same of RISCiX: `struct riscix_record`.
    const RISCIX_MAGIC: u32 = 0x4a65_7320;
    const RISCIX_ENTRIES_AT: usize = 8;
    const RISCIX_ENTRIES: usize = 8;
    const RISCIX_ENTRY_BYTES: usize = 28;
    const RISCIX_START_AT: usize = 0; // 4
    const RISCIX_SECTORS_AT: usize = 4; // 4
    const RISCIX_IN_USE_AT: usize = 8; // 4
    const RISCIX_NAME_AT: usize = 12; // 16
    const RISCIX_NAME_BYTES: usize = 16;
    /// The entry for the whole disk.
    const RISCIX_WHOLE: &[u8] = b"All\0";
    /// Sectors that the kernel gives the partition around either table.
    const TABLE_SECTORS: u64 = 2;

    /// The checks of `adfs_checkbblk` and of `adfs_checkdiscrecord` (fs/adfs/super.c).
    fn is_boot_block(block: &[u8]) -> bool {
        // The kernel sums downwards, and adds the carry in the next round.
        let sum = block.iter().take(SUM_AT).rev().fold(0_u32, |sum, &byte| {
            let carried = (sum & 0xff) + (sum >> 8);
            carried + u32::from(byte)
        });
        let log2_sector_size = byte(block, LOG2_SECTOR_SIZE_AT);
        let max_id_len = if le32(block, FORMAT_VERSION_AT) == 0 { 16 } else { 19 };
        let size_high = le32(block, SIZE_HIGH_AT);
        (sum & 0xff) as u8 == byte(block, SUM_AT)
            && (8..=10).contains(&log2_sector_size)
            && (log2_sector_size + 3..=max_id_len).contains(&byte(block, ID_LEN_AT))
            && size_high >> log2_sector_size == 0
            && (size_high != 0 || le32(block, SIZE_AT) != 0)
            && block.get(RESERVED).is_some_and(all_zero)
    }

    pub(super) fn read(view: &View<'_>) -> Result<Found, Rejection> {
        let mut found = Found::default();
        let mut base = 0_u64;
        for _ in 0..MAX_FILE_SYSTEMS {
            let Some(block) = look(view, base + BOOT_BLOCK_AT).filter(|block| is_boot_block(block)) else {
                break;
            };
            let sectors = u64::from(le32(&block, SIZE_HIGH_AT)) << 23 | u64::from(le32(&block, SIZE_AT)) >> 9;
            let heads = u64::from(byte(&block, HEADS_AT)) + u64::from(byte(&block, LOW_SECTOR_AT) & ONE_MORE_HEAD != 0);
            let cylinder = u64::from(byte(&block, SECTORS_PER_TRACK_AT)) * heads;
            let length = u64::from(le16(&block, CYLINDER_AT)) * cylinder;
            let name = block.get(NAME_AT..NAME_AT + 10).unwrap_or_default();
            found.push(base, sectors, Kind::Primary, PartitionType::Unknown, name);
            let _ = view.read((base + BOOT_BLOCK_AT) * SECTOR as u64, SECTOR);
            if length == 0 {
                break;
            }
            if sectors > length {
                return Err(Rejection::Entry { number: found.next_number, flaw: "reaches into the next one" });
            }
            base += length;
            match byte(&block, BEHIND_AT) & BEHIND_MASK {
                LINUX => read_linux(view, base, &mut found),
                id if RISCIX.contains(&id) => read_riscix(view, base, &mut found),
                _ => {}
            }
        }
        match found.next_number {
            0 => Err(Rejection::NoMagic),
            1 if found.missing.is_none() => Err(Rejection::Other { what: "adfs" }),
            _ => Ok(found),
        }
    }

    /// The sector at `at`, on which the count then rests.
    fn table<'v>(view: &'v View<'_>, at: u64, found: &mut Found) -> Option<std::borrow::Cow<'v, [u8]>> {
        found.needed = found.needed.max(at + 1);
        let sector = view.read(at.saturating_mul(SECTOR as u64), SECTOR).ok().flatten();
        if sector.is_none() {
            found.missing = Some(at);
        }
        sector
    }

    fn read_linux(view: &View<'_>, at: u64, found: &mut Found) {
        let Some(sector) = table(view, at, found) else { return };
        found.push(at, TABLE_SECTORS, Kind::Meta, PartitionType::Unknown, &[]);
        for entry in sector.chunks_exact(LINUX_ENTRY_BYTES) {
            let magic = le32(entry, 0);
            if !LINUX_MAGICS.contains(&magic) {
                break;
            }
            let start = at + u64::from(le32(entry, LINUX_START_AT));
            let type_id = PartitionType::Number { id: magic, digits: 8 };
            found.push(start, u64::from(le32(entry, LINUX_SECTORS_AT)), Kind::Primary, type_id, &[]);
        }
    }

    fn read_riscix(view: &View<'_>, at: u64, found: &mut Found) {
        let Some(sector) = table(view, at, found) else { return };
        if le32(&sector, 0) != RISCIX_MAGIC {
            found.push_plain(at, sectors_of(view).saturating_sub(at));
            return;
        }
        found.push(at, TABLE_SECTORS, Kind::Meta, PartitionType::Unknown, &[]);
        let entries = sector.get(RISCIX_ENTRIES_AT..).unwrap_or_default().chunks_exact(RISCIX_ENTRY_BYTES);
        for entry in entries.take(RISCIX_ENTRIES) {
            if le32(entry, RISCIX_IN_USE_AT) != 0 && !has(entry, RISCIX_NAME_AT, RISCIX_WHOLE) {
                let name = entry.get(RISCIX_NAME_AT..RISCIX_NAME_AT + RISCIX_NAME_BYTES).unwrap_or_default();
                let (start, sectors) = (le32(entry, RISCIX_START_AT), le32(entry, RISCIX_SECTORS_AT));
                found.push(u64::from(start), u64::from(sectors), Kind::Primary, PartitionType::Unknown, name);
            }
        }
    }
}

/// Looks for the five kinds, in the order of the kernel.
///
/// That the two that are not in the first sector are absent is no evidence for anything else, so the verdict on an image
/// with an MBR does not rest on their sectors, and a sector that cannot be read has none of them.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(sector) = view.read(0, SECTOR)? else {
        return Err(Rejection::TooShort.into());
    };
    let mut rejection = Rejection::NoMagic;
    let readers: [&dyn Fn() -> Result<Found, Rejection>; 4] =
        [&|| ics::read(view, &sector), &|| powertec::read(view, &sector), &|| eesox::read(view), &|| adfs::read(view)];
    for read in readers {
        match read() {
            Ok(found) if found.partitions.is_empty() => rejection = Rejection::Empty,
            Ok(found) => return Ok(finish(view, found)?),
            Err(Rejection::NoMagic | Rejection::TooShort) => {}
            Err(other) => rejection = other,
        }
    }
    Err(rejection.into())
}

fn finish(view: &View<'_>, found: Found) -> Result<PartitionTable, Error> {
    let mut table = PartitionTable::new(Label::Acorn, 512, found.partitions);
    table.note_length(found.needed.saturating_mul(SECTOR as u64), view.size());
    match found.missing.filter(|_| !view.settles(table.count())) {
        Some(block) => Err(Error::undecidable(Reason::ListBroken { label: Label::Acorn, block }, Some(table))),
        None => Ok(table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::{Disk, Reader};

    const S: usize = 512;

    fn disk() -> Disk {
        Disk::new(1000 * S)
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    fn summary(table: &PartitionTable) -> Vec<(u32, u64, u64, Kind)> {
        assert_eq!(table.label, Label::Acorn);
        table.partitions.iter().map(|p| (p.number, p.start / 512, p.size / 512, p.kind)).collect()
    }

    fn words(disk: Disk, at: usize, words: &[i32]) -> Disk {
        (at..).step_by(4).zip(words).fold(disk, |disk, (at, word)| disk.put(at, &word.to_le_bytes()))
    }

    fn ics(entries: &[i32]) -> Disk {
        let disk = words(disk(), 0, entries);
        let sum = disk.0[..508].iter().fold(0x5061_7274_u32, |sum, &byte| sum + u32::from(byte));
        disk.put(508, &sum.to_le_bytes())
    }

    fn powertec(entries: &[(usize, i32, i32)]) -> Disk {
        let disk = entries.iter().fold(disk(), |disk, &(slot, start, sectors)| {
            words(disk, slot * 28 + 8, &[start, sectors]).put(slot * 28 + 20, b"RISCOS")
        });
        let sum = disk.0[..511].iter().fold(0x2a_u8, |sum, &byte| sum.wrapping_add(byte));
        disk.put(511, &[sum])
    }

    fn eesox(starts: &[i32]) -> Disk {
        let table = Disk::new(256);
        let table = starts
            .iter()
            .enumerate()
            .fold(table, |table, (slot, &start)| words(table.put(slot * 32, b"Eesox\0disc"), slot * 32 + 16, &[start]));
        let veiled: Vec<u8> = table.0.iter().zip(b"Neil Critchell  ".iter().cycle()).map(|(a, b)| a ^ b).collect();
        disk().put(7 * S, &veiled)
    }

    /// A boot block of a file system of so many sectors, at sector `at`; 10 sectors in a cylinder.
    fn adfs(disk: Disk, at: usize, sectors: i32, behind: u8, cylinder: u8) -> Disk {
        let block = words(Disk::new(S).put(0x1c0, &[9, 5, 2, 0, 15]), 0x1d0, &[sectors * 512]);
        let mut block = block.put(0x1d6, b"HardDisc4 ").put(0x1fc, &[behind, cylinder]).0;
        let mut sum = 0_u32;
        for &byte in block[..511].iter().rev() {
            sum = (sum & 0xff) + (sum >> 8) + u32::from(byte);
        }
        block[511] = (sum & 0xff) as u8;
        disk.put((at + 6) * S, &block)
    }

    #[test]
    fn ics_has_starts_and_signed_sizes() {
        let disk = ics(&[10, 100, 200, -100, 300, -200, 0, 0, 700, 10]).put(300 * S, b"LinuxPart");
        let partitions = [(1, 10, 100, Kind::Primary), (2, 200, 100, Kind::Primary), (3, 301, 199, Kind::Primary)];
        assert_eq!(summary(&disk.table()), partitions);
        assert_eq!(rejection(&disk.put(200, &[1])), Rejection::NoMagic);
        assert_eq!(rejection(&ics(&[])), Rejection::Empty);
    }

    #[test]
    fn powertec_has_twelve_entries() {
        let disk = powertec(&[(0, 10, 100), (11, 200, 100)]);
        assert_eq!(summary(&disk.table()), [(1, 10, 100, Kind::Primary), (2, 200, 100, Kind::Primary)]);
        assert_eq!(disk.table().partitions[0].type_id, PartitionType::text(b"RISCOS"));
        assert_eq!(rejection(&disk.put(400, &[1])), Rejection::NoMagic);
        assert_eq!(rejection(&powertec(&[])), Rejection::Empty);
    }

    #[test]
    fn the_eight_bits_of_powertec_are_not_enough() {
        let flaw = |entries| match rejection(&powertec(entries)) {
            Rejection::Entry { number, flaw } => (number, flaw),
            other => panic!("{other}"),
        };
        assert_eq!(flaw(&[(0, 10, 100), (1, 50, 100)]), (2, "overlaps another"));
        assert_eq!(flaw(&[(0, 10, 64_000)]), (1, "fits on no disk of which this is an image"));
        let noise = powertec(&[(0, 10, 100)]).put(20, &[0xff]).put(21, &[b'R' + b'I' + 1]);
        assert_eq!(rejection(&noise), Rejection::Entry { number: 1, flaw: "has no type" });
    }

    #[test]
    fn eesox_ends_each_where_the_next_starts() {
        let table = eesox(&[8, 300, 600]).table();
        let partitions = [(1, 8, 292, Kind::Primary), (2, 300, 300, Kind::Primary), (3, 600, 400, Kind::Primary)];
        assert_eq!(summary(&table), partitions);
        assert_eq!((table.partitions[0].name.as_deref(), table.is_damaged()), (Some("disc"), false));
        assert_eq!(eesox(&[8, 2000]).table().damage[0].code(), "image_too_short");
        let unordered = Rejection::Entry { number: 1, flaw: "starts behind the next one" };
        assert_eq!(rejection(&eesox(&[8, 8])), unordered);
    }

    #[test]
    fn linux_behind_adfs_has_a_table_of_its_own() {
        let [native, swap] = [0xdeaf_a1de_u32.cast_signed(), 0xdeaf_ab1e_u32.cast_signed()];
        let disk = adfs(disk(), 0, 300, 9, 30);
        let full = words(disk.clone(), 300 * S, &[native, 2, 500, swap, 502, 0, native, 502, 100]);
        let table = full.table();
        let partitions = [
            (1, 0, 300, Kind::Primary),
            (2, 300, 2, Kind::Meta),
            (3, 302, 500, Kind::Primary),
            (5, 802, 100, Kind::Primary),
        ];
        assert_eq!((summary(&table), table.partitions[0].name.as_deref()), (partitions.to_vec(), Some("HardDisc4")));
        assert_eq!(disk.table().count(), 1);
        let mut cut = full;
        cut.0.truncate(200 * S);
        assert_eq!(cut.reason(), "list_broken");
    }

    #[test]
    fn riscix_behind_adfs_has_a_table_or_the_rest_of_the_disk() {
        let disk = adfs(disk(), 0, 300, 2, 30);
        assert_eq!(summary(&disk.table()), [(1, 0, 300, Kind::Primary), (2, 300, 700, Kind::Primary)]);
        let record = words(disk, 300 * S, &[0x4a65_7320, 0, 300, 700, 1]).put(300 * S + 20, b"All");
        let record = words(record, 300 * S + 36, &[310, 90, 1]).put(300 * S + 48, b"root");
        let record = words(record, 300 * S + 64, &[400, 90, 0]);
        let table = record.table();
        let partitions = [(1, 0, 300, Kind::Primary), (2, 300, 2, Kind::Meta), (3, 310, 90, Kind::Primary)];
        assert_eq!((summary(&table), table.partitions[2].name.as_deref()), (partitions.to_vec(), Some("root")));
    }

    #[test]
    fn cumana_has_one_file_system_behind_the_other() {
        let two = adfs(adfs(disk(), 0, 300, 0, 30), 300, 700, 0, 0);
        assert_eq!(summary(&two.table()), [(1, 0, 300, Kind::Primary), (2, 300, 700, Kind::Primary)]);
        let mut many = disk();
        for at in 0..50 {
            many = adfs(many, at * 10, 10, 0, 1);
        }
        assert_eq!(many.table().count(), 16);
    }

    #[test]
    fn adfs_on_the_whole_disk_is_no_table() {
        let whole = Rejection::Other { what: "adfs" };
        assert_eq!(rejection(&adfs(disk(), 0, 1000, 0, 0)), whole);
        assert_eq!(rejection(&adfs(disk(), 0, 1000, 9, 0)), whole);
        assert!(adfs(disk(), 0, 1000, 0, 0).read().unwrap().is_none());
    }

    #[test]
    fn a_boot_block_must_make_sense() {
        let good = adfs(disk(), 0, 300, 2, 30);
        for (at, value) in [(0x1c0, 11), (0x1c4, 17), (0x1f4, 1), (0x1e6, 2), (0x1ff, 0), (0x100, 1)] {
            assert_eq!(rejection(&good.clone().put(6 * S + at, &[value])), Rejection::NoMagic, "{at:#x}");
        }
        let overlap = Rejection::Entry { number: 1, flaw: "reaches into the next one" };
        assert_eq!(rejection(&adfs(disk(), 0, 301, 2, 30)), overlap);
        assert_eq!(rejection(&disk()), Rejection::NoMagic);
    }

    #[test]
    fn the_verdict_on_an_mbr_rests_on_no_other_sector() {
        let disk = disk().mbr(0, &[(1, 0x83, 63, 100)]);
        let reader = Reader::new(disk, 6 * 512..8 * 512);
        let examination = crate::ptable::examine(&reader, 1000 * 512, None);
        assert_eq!(examination.outcome.unwrap().unwrap().count(), 1);
        assert_eq!(examination.consulted.as_slice(), std::slice::from_ref(&(0..512)));
    }
}
