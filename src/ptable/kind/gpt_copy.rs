//! One copy of a GPT: its header and its entry array.

use crc32fast::Hasher;
use positioned_io::ReadAt;

use crate::ptable::damage::{Damage, GptFault};
use crate::ptable::error::Error;
use crate::ptable::fields::{bytes, has, le16, le32, le64};
use crate::ptable::guid::Guid;
use crate::ptable::label::{GptCopy, Label};
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::{View, read_prefix};

// The header: UEFI 2.10 table 5-5.
const SIGNATURE: &[u8] = b"EFI PART";
const HEADER_SIZE_AT: usize = 12; // 4 bytes
const HEADER_CRC_AT: usize = 16; // 4, of the header with this field zero
const MY_LBA_AT: usize = 24; // 8
const ALTERNATE_LBA_AT: usize = 32; // 8
const FIRST_USABLE_AT: usize = 40; // 8
const LAST_USABLE_AT: usize = 48; // 8, included
const ENTRIES_LBA_AT: usize = 72; // 8
const ENTRY_COUNT_AT: usize = 80; // 4
const ENTRY_SIZE_AT: usize = 84; // 4
const ARRAY_CRC_AT: usize = 88; // 4
const MIN_HEADER_SIZE: u32 = 92;

// An entry: UEFI 2.10 table 5-6.
const TYPE_AT: usize = 0; // 16
const UNIQUE_AT: usize = 16; // 16
const FIRST_LBA_AT: usize = 32; // 8
const LAST_LBA_AT: usize = 40; // 8, included
const NAME_AT: usize = 56; // 72, UTF-16LE
const NAME_UNITS: usize = 36;

/// Sector sizes that disks and magneto-optical media have had, the usual ones first.
pub(super) const SECTOR_SIZES: [u32; 4] = [512, 4096, 2048, 1024];
/// Legal entry sizes are 128 x 2^n (UEFI 2.10 table 5-5); nothing is known to use more than 512.
const MIN_ENTRY_SIZE: u32 = 128;
const MAX_ENTRY_SIZE: u32 = 65536;
/// Bytes of an entry array that are read at most; the usual one has 16 KiB.
const MAX_ARRAY_BYTES: u64 = 16 * 1024 * 1024;
/// Bytes of entry arrays that are read of one image, all copies together: two of the largest. Headers whose checksums
/// hold may stand at many places, each with an array whose checksum does not.
const MAX_ARRAYS_BYTES: u64 = 2 * MAX_ARRAY_BYTES;
/// Where the primary is.
pub(super) const PRIMARY_LBA: u64 = 1;
/// Bytes of it read at a time, a multiple of every entry size.
const PIECE_BYTES: u64 = 256 * 1024;

/// Partitions of one table that are listed; Linux shows 255 (`DISK_MAX_PARTS`). A table may claim far more, and what is
/// remembered of an untrusted image has to be bounded.
const MAX_PARTITIONS: usize = 1024;
/// Odd entries of one table that are noted.
const MAX_ENTRY_DAMAGE: usize = 64;

/// What was made of one copy.
pub(super) enum Outcome {
    /// It stands.
    Stands(PartitionTable),
    /// It does not.
    Faulty {
        fault: GptFault,
        /// Where the other copy is, if the checksum of the header holds.
        alternate: Option<u64>,
    },
}

/// A header, checked as far as [`Header::check`] goes.
#[derive(Clone, Copy)]
struct Header {
    alternate: u64,
    first_usable: u64,
    last_usable: u64,
    entries: Array,
    array_crc: u32,
}

/// Where entries lie.
#[derive(Clone, Copy)]
struct Array {
    lba: u64,
    count: u32,
    entry_size: u32,
}

impl Array {
    /// The one that every tool makes, which starts at `lba`.
    fn usual(lba: u64) -> Self {
        Self { lba, count: 128, entry_size: 128 }
    }

    fn bytes(&self) -> u64 {
        u64::from(self.count) * u64::from(self.entry_size)
    }

    fn check(&self) -> Result<(), GptFault> {
        let size = self.entry_size;
        if !(size.is_power_of_two() && (MIN_ENTRY_SIZE..=MAX_ENTRY_SIZE).contains(&size)) {
            return Err(GptFault::EntrySize { size });
        }
        if self.count == 0 || self.bytes() > MAX_ARRAY_BYTES {
            return Err(GptFault::EntryCount { count: self.count, size });
        }
        Ok(())
    }
}

impl Header {
    fn parse(sector: &[u8]) -> Self {
        Self {
            alternate: le64(sector, ALTERNATE_LBA_AT),
            first_usable: le64(sector, FIRST_USABLE_AT),
            last_usable: le64(sector, LAST_USABLE_AT),
            entries: Array {
                lba: le64(sector, ENTRIES_LBA_AT),
                count: le32(sector, ENTRY_COUNT_AT),
                entry_size: le32(sector, ENTRY_SIZE_AT),
            },
            array_crc: le32(sector, ARRAY_CRC_AT),
        }
    }

    /// The checks of Linux's `is_gpt_valid` (efi.c), but for those on the length of the disk: the image may be cut short.
    fn check(sector: &[u8], lba: u64) -> Result<Self, (GptFault, Option<u64>)> {
        if !has(sector, 0, SIGNATURE) {
            return Err((GptFault::NoSignature, None));
        }
        let size = le32(sector, HEADER_SIZE_AT);
        let covered = usize::try_from(size).ok().and_then(|size| sector.get(..size));
        let Some(covered) = covered.filter(|_| size >= MIN_HEADER_SIZE) else {
            return Err((GptFault::HeaderSize { size }, None));
        };
        let stored = le32(sector, HEADER_CRC_AT);
        let computed = header_crc(covered);
        if stored != computed {
            return Err((GptFault::HeaderCrc { stored, computed }, None));
        }
        let header = Self::parse(sector);
        let my_lba = le64(sector, MY_LBA_AT);
        let fault = if my_lba != lba {
            Some(GptFault::WrongPlace { lba, my_lba })
        } else if header.first_usable > header.last_usable {
            Some(GptFault::UsableRange { first: header.first_usable, last: header.last_usable })
        } else {
            header.entries.check().err()
        };
        match fault {
            Some(fault) => Err((fault, Some(header.alternate))),
            None => Ok(header),
        }
    }
}

/// CRC of a header as if its own CRC field were zero.
fn header_crc(header: &[u8]) -> u32 {
    let mut crc = Hasher::new();
    let (before, rest) = header.split_at_checked(HEADER_CRC_AT).unwrap_or((header, &[]));
    crc.update(before);
    crc.update(&[0; 4]);
    crc.update(rest.get(4..).unwrap_or_default());
    crc.finalize()
}

/// Whether a header's signature stands at this LBA.
pub(super) fn signature(view: &View<'_>, sector_size: u32, lba: u64) -> Result<bool, Error> {
    let offset = lba.saturating_mul(u64::from(sector_size));
    Ok(view.read(offset, SIGNATURE.len())?.is_some_and(|bytes| *bytes == *SIGNATURE))
}

/// [`signature`], where what cannot be read has none.
pub(super) fn is_signed(view: &View<'_>, sector_size: u32, lba: u64) -> bool {
    matches!(signature(view, sector_size, lba), Ok(true))
}

/// Reads the copy whose header is at `lba`.
pub(super) fn read(view: &View<'_>, sector_size: u32, lba: u64, copy: GptCopy) -> Result<Outcome, Error> {
    let faulty = |fault, alternate| Ok(Outcome::Faulty { fault, alternate });
    let offset = lba.saturating_mul(u64::from(sector_size));
    let Some(sector) = view.read(offset, usize::try_from(sector_size).unwrap_or(0))? else {
        return faulty(GptFault::PastEnd, None);
    };
    let header = match Header::check(&sector, lba) {
        Ok(header) => header,
        Err((fault, alternate)) => return faulty(fault, alternate),
    };
    if !view.may_spend(header.entries.bytes(), MAX_ARRAYS_BYTES) {
        let Array { count, entry_size: size, .. } = header.entries;
        return faulty(GptFault::EntryCount { count, size }, Some(header.alternate));
    }
    let mut crc = Hasher::new();
    let mut table = PartitionTable {
        label: Label::Gpt,
        sector_size,
        gpt_copy: Some(copy),
        backup_at: (copy == GptCopy::Primary).then(|| header.alternate.saturating_mul(u64::from(sector_size))),
        damage: Vec::new(),
        partitions: Vec::new(),
        complete: true,
    };
    let whole = for_each_piece(view, sector_size, header.entries, |first_number, piece, entry_size| {
        crc.update(piece);
        for (number, entry) in (first_number..).zip(piece.chunks_exact(entry_size)) {
            add_entry(&mut table, &header, number, entry);
        }
    })?;
    if !whole {
        return faulty(GptFault::ArrayPastEnd { lba: header.entries.lba }, Some(header.alternate));
    }
    let computed = crc.finalize();
    if computed != header.array_crc {
        return faulty(GptFault::ArrayCrc { stored: header.array_crc, computed }, Some(header.alternate));
    }
    let last_lba = match copy {
        GptCopy::Primary => header.alternate.max(header.last_usable),
        GptCopy::Backup => lba,
    };
    table.note_length(last_lba.saturating_add(1).saturating_mul(u64::from(sector_size)), view.size());
    Ok(Outcome::Stands(table))
}

/// Whether a GPT stands, by its checksums, whose disk ends where the image does: by the place of its backup at the last
/// LBA, or by its primary, which says that the backup is there. What cannot be read does not stand.
pub(super) fn ends_with_image(view: &View<'_>) -> bool {
    SECTOR_SIZES.into_iter().any(|sector_size| {
        let bytes = u64::from(sector_size);
        let Some(last) = (view.size() / bytes).checked_sub(1).filter(|&last| last > PRIMARY_LBA) else { return false };
        let primary = matches!(
            read(view, sector_size, PRIMARY_LBA, GptCopy::Primary),
            Ok(Outcome::Stands(table)) if table.backup_at == last.checked_mul(bytes)
        );
        view.load_tail();
        primary || matches!(read(view, sector_size, last, GptCopy::Backup), Ok(Outcome::Stands(_)))
    })
}

/// Whether a backup header stands at byte `offset` of the image.
pub(in crate::ptable) fn check_backup(image: &dyn ReadAt, sector_size: u32, offset: u64) -> Result<(), GptFault> {
    let mut sector = vec![0; usize::try_from(sector_size).unwrap_or(0)];
    if let (read, Some(error)) = read_prefix(image, offset, &mut sector) {
        return Err(GptFault::Unreadable { offset: offset.saturating_add(read as u64), message: error.to_string() });
    }
    let lba = offset.checked_div(u64::from(sector_size)).unwrap_or(0);
    Header::check(&sector, lba).map(|_| ()).map_err(|(fault, _)| fault)
}

/// Reads an array piece by piece, each with the number of its first entry and the size of an entry. `false`: the image
/// ends before the array does, and nothing was read.
fn for_each_piece(
    view: &View<'_>,
    sector_size: u32,
    array: Array,
    mut piece: impl FnMut(u32, &[u8], usize),
) -> Result<bool, Error> {
    let Some(start) = array.lba.checked_mul(u64::from(sector_size)) else {
        return Ok(false);
    };
    if start.checked_add(array.bytes()).is_none_or(|end| end > view.size()) {
        return Ok(false);
    }
    let entry_size = usize::try_from(array.entry_size).unwrap_or(usize::MAX);
    let mut done = 0;
    while done < array.bytes() {
        let len = (array.bytes() - done).min(PIECE_BYTES);
        let Some(bytes) = view.read(start + done, usize::try_from(len).unwrap_or(0))? else {
            return Ok(false);
        };
        let first = u32::try_from(done / u64::from(array.entry_size)).unwrap_or(u32::MAX);
        piece(first.saturating_add(1), &bytes, entry_size);
        done += len;
    }
    Ok(true)
}

fn add_entry(table: &mut PartitionTable, header: &Header, number: u32, entry: &[u8]) {
    let type_id = Guid::from_disk(bytes(entry, TYPE_AT));
    if type_id.is_zero() {
        return;
    }
    if table.partitions.len() >= MAX_PARTITIONS {
        table.complete = false;
        return;
    }
    let may_note = table.damage.len() < MAX_ENTRY_DAMAGE;
    let (first, last) = (le64(entry, FIRST_LBA_AT), le64(entry, LAST_LBA_AT));
    if first > last {
        if may_note {
            table.damage.push(Damage::EntryReversed { number, first, last });
        }
        return;
    }
    let (first_usable, last_usable) = (header.first_usable, header.last_usable);
    if may_note && (first < first_usable || last > last_usable) {
        table.damage.push(Damage::EntryOutsideUsable { number, first, last, first_usable, last_usable });
    }
    table.partitions.push(partition(table.sector_size, number, entry));
}

/// The partition of an entry whose LBAs are in order. The inclusive last LBA becomes a size here, and nowhere else.
fn partition(sector_size: u32, number: u32, entry: &[u8]) -> Partition {
    let (first, last) = (le64(entry, FIRST_LBA_AT), le64(entry, LAST_LBA_AT));
    let bytes_of = |sectors: u64| sectors.saturating_mul(u64::from(sector_size));
    Partition {
        number,
        start: bytes_of(first),
        size: bytes_of(last.saturating_sub(first).saturating_add(1)),
        kind: Kind::Primary,
        type_id: PartitionType::Gpt(Guid::from_disk(bytes(entry, TYPE_AT))),
        name: name(entry),
    }
}

/// The name up to its first NUL; `None` if it is empty.
fn name(entry: &[u8]) -> Option<String> {
    let units: Vec<u16> =
        (0..NAME_UNITS).map(|unit| le16(entry, NAME_AT + 2 * unit)).take_while(|&unit| unit != 0).collect();
    (!units.is_empty()).then(|| String::from_utf16_lossy(&units))
}

/// Fewest entries that make an array without a checksum believable.
const MIN_UNVERIFIED: usize = 2;
/// No disk has more bytes than this.
const MAX_DISK_BYTES: u64 = 1 << 60;

/// Reads the array of a copy that does not stand, and believes it if at least two entries make sense together: in
/// order, behind the headers, with both GUIDs, not overlapping, and more of them than others that do not.
///
/// The array is looked for where a signed header says, else at its usual place.
pub(super) fn read_unverified(view: &View<'_>, sector_size: u32, lba: u64, copy: GptCopy) -> Option<PartitionTable> {
    let offset = lba.checked_mul(u64::from(sector_size))?;
    let sector = view.read(offset, usize::try_from(sector_size).ok()?).ok()?;
    let stated = sector
        .filter(|sector| has(sector, 0, SIGNATURE))
        .map(|sector| Header::parse(&sector).entries)
        .filter(|array| array.lba >= 2 && array.check().is_ok());
    let usual = match copy {
        GptCopy::Primary => Array::usual(2),
        GptCopy::Backup => Array::usual(lba.checked_sub(Array::usual(0).bytes() / u64::from(sector_size))?),
    };
    let damage = vec![Damage::GptUnverified { copy }];
    stated.into_iter().chain([usual]).find_map(|array| {
        let partitions = plausible_entries(view, sector_size, array)?;
        let gpt_copy = Some(copy);
        let damage = damage.clone();
        let mut table = PartitionTable {
            label: Label::Gpt,
            sector_size,
            gpt_copy,
            backup_at: None,
            damage,
            partitions,
            complete: true,
        };
        table.note_length(0, view.size());
        Some(table)
    })
}

fn plausible_entries(view: &View<'_>, sector_size: u32, array: Array) -> Option<Vec<Partition>> {
    if !view.may_spend(array.bytes(), MAX_ARRAYS_BYTES) {
        return None;
    }
    let mut partitions = Vec::new();
    let mut odd = 0_usize;
    let whole = for_each_piece(view, sector_size, array, |first_number, piece, entry_size| {
        for (number, entry) in (first_number..).zip(piece.chunks_exact(entry_size)) {
            if Guid::from_disk(bytes(entry, TYPE_AT)).is_zero() {
                continue;
            }
            let (first, last) = (le64(entry, FIRST_LBA_AT), le64(entry, LAST_LBA_AT));
            let identified = !Guid::from_disk(bytes(entry, UNIQUE_AT)).is_zero();
            if partitions.len() >= MAX_PARTITIONS {
                continue;
            }
            if identified && (2..=last).contains(&first) && last < MAX_DISK_BYTES / u64::from(sector_size) {
                partitions.push(partition(sector_size, number, entry));
            } else {
                odd += 1;
            }
        }
    });
    let mut in_order: Vec<&Partition> = partitions.iter().collect();
    in_order.sort_by_key(|p| p.start);
    let disjoint = in_order.windows(2).all(|pair| matches!(pair, [a, b] if a.end() <= b.start));
    let believable =
        matches!(whole, Ok(true)) && partitions.len() >= MIN_UNVERIFIED && partitions.len() > odd && disjoint;
    believable.then_some(partitions)
}
