//! The Apple partition map.
//!
//! Block 0 is a driver descriptor, which says how large a block is; from block 1 on there is one entry a block, the map's
//! own among them (Inside Macintosh: Devices, chapter 3). Linux (`block/partitions/mac.c`) believes the two magic
//! numbers and numbers a partition by its place in the map. It shows the entries for the map itself, for drivers and for
//! free space too; these are of [`Kind::Meta`] here.
//!
//! Beyond the kernel, the map stands without its descriptor, whatever block 0 holds, or with one that tells another block
//! size, and reading goes on behind an entry that is lost.

use super::first_sector::{first_sector, whole_disk};
use super::gpt_copy;
use crate::ptable::boot_sector;
use crate::ptable::damage::Damage;
use crate::ptable::error::{Error, Reason};
use crate::ptable::fields::{be16, be32, has};
use crate::ptable::label::Label;
use crate::ptable::mbr_sector::FirstSector;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType, count};
use crate::ptable::view::View;

/// Driver descriptor: `struct mac_driver_desc` of Linux's block/partitions/mac.h.
const DESCRIPTOR_MAGIC: &[u8] = b"ER";
const BLOCK_SIZE_AT: usize = 2; // 2 bytes

// An entry: `struct mac_partition` of the same file.
const ENTRY_MAGIC: &[u8] = b"PM";
const COUNT_AT: usize = 4; // 4, blocks in the map
const START_AT: usize = 8; // 4, in blocks
const BLOCKS_AT: usize = 12; // 4
const NAME_AT: usize = 16; // 32
const TYPE_AT: usize = 48; // 32
const TEXT_BYTES: usize = 32;
/// As much of an entry as is looked at.
const ENTRY_BYTES: usize = TYPE_AT + TEXT_BYTES;

/// Linux numbers no more (`DISK_MAX_PARTS`), and takes a map that announces more for none.
const MAX_ENTRIES: u32 = 255;
/// Entries in a row that may be lost.
const MAX_LOST: u32 = 8;
/// The same where no entry was seen yet, so that little is read of a disk without a map.
const MAX_LOST_FIRST: u32 = 2;
/// Where a map is looked for if the descriptor does not tell: of disks, and of compact discs.
const BLOCK_SIZES: [u32; 4] = [512, 2048, 1024, 4096];

const MAP_TYPE: &str = "Apple_partition_map";
/// Types that hold nothing of their own: Inside Macintosh: Devices, table 3-1, and `libparted/labels/mac.c`.
const META_TYPES: [&str; 5] = [MAP_TYPE, "Apple_Void", "Apple_Scratch", "Apple_Extra", "Apple_Patches"];
const FREE_TYPE: &str = "Apple_Free";
/// Names that free space has. With another one it may be in use, as `libparted` found.
const FREE_NAMES: [&str; 2] = ["", "Extra"];

/// One entry of the map.
struct Entry {
    number: u32,
    /// Entries of the whole map, as this one says.
    count: u32,
    start: u32,
    blocks: u32,
    name: String,
    type_text: Vec<u8>,
}

impl Entry {
    fn new(number: u32, block: &[u8]) -> Entry {
        Entry {
            number,
            count: be32(block, COUNT_AT),
            start: be32(block, START_AT),
            blocks: be32(block, BLOCKS_AT),
            name: String::from_utf8_lossy(text(block, NAME_AT)).into_owned(),
            type_text: text(block, TYPE_AT).to_vec(),
        }
    }

    fn has_type(&self, name: &str) -> bool {
        self.type_text.eq_ignore_ascii_case(name.as_bytes())
    }

    fn is_driver(&self) -> bool {
        let lower = self.type_text.to_ascii_lowercase();
        lower.starts_with(b"apple_") && lower.windows(6).any(|letters| letters == b"driver")
    }

    fn kind(&self) -> Kind {
        let is_free = self.has_type(FREE_TYPE) && FREE_NAMES.iter().any(|name| self.name.eq_ignore_ascii_case(name));
        if is_free || self.is_driver() || META_TYPES.iter().any(|name| self.has_type(name)) {
            Kind::Meta
        } else {
            Kind::Primary
        }
    }

    /// Whether it is an entry even where no descriptor says so.
    fn is_sound(&self) -> bool {
        let is_text = |byte: &u8| byte.is_ascii_graphic() || *byte == b' ';
        !self.type_text.is_empty() && self.type_text.iter().all(is_text) && (self.start != 0 || self.blocks == 0)
    }

    fn partition(&self, block_size: u32) -> Partition {
        let bytes = |blocks: u32| u64::from(blocks) * u64::from(block_size);
        Partition {
            number: self.number,
            start: bytes(self.start),
            size: bytes(self.blocks),
            kind: self.kind(),
            type_id: PartitionType::text(&self.type_text),
            name: Some(self.name.clone()).filter(|name| !name.is_empty()),
        }
    }
}

/// The letters at `at`, without the zeros behind them.
fn text(block: &[u8], at: usize) -> &[u8] {
    let field = block.get(at..at + TEXT_BYTES).unwrap_or_default();
    field.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// What is left of a map.
struct Map {
    block_size: u32,
    entries: Vec<Entry>,
}

impl Map {
    fn read(view: &View<'_>, block_size: u32) -> Result<Map, Error> {
        let mut map = Map { block_size, entries: Vec::new() };
        let mut lost = 0;
        for number in 1..=MAX_ENTRIES {
            let allowed = if map.entries.is_empty() { MAX_LOST_FIRST } else { MAX_LOST };
            if lost >= allowed || map.announced().is_some_and(|count| number > count) {
                break;
            }
            match view.read(u64::from(number) * u64::from(block_size), ENTRY_BYTES)? {
                Some(block) if has(&block, 0, ENTRY_MAGIC) => {
                    map.entries.push(Entry::new(number, &block));
                    lost = 0;
                }
                Some(_) => lost += 1,
                None => break,
            }
        }
        Ok(map)
    }

    /// Entries that it should have, if it says a number that can be.
    fn announced(&self) -> Option<u32> {
        self.entries.first().map(|entry| entry.count).filter(|count| (1..=MAX_ENTRIES).contains(count))
    }

    /// The first entry that it announces and that is lost, but for its entry for itself, which comes first.
    fn lost(&self) -> Option<u32> {
        let has = |number: &u32| self.entries.iter().any(|entry| entry.number == *number);
        (2..=self.announced()?).find(|number| !has(number))
    }

    /// Whether it has every entry that it announces.
    fn is_whole(&self) -> bool {
        let found = u32::try_from(self.entries.len()).ok();
        self.announced().is_some() && self.announced() == found
    }

    /// Whether the kernel would read it, given the descriptor.
    fn is_read_by_linux(&self) -> bool {
        self.entries.first().is_some_and(|entry| entry.number == 1) && self.announced().is_some()
    }

    /// Whether it is a map whatever the descriptor says: by its entry for itself, or by two entries that agree.
    fn is_evident(&self) -> bool {
        let count = self.entries.first().map(|entry| entry.count);
        let agrees = |entry: &Entry| entry.is_sound() && Some(entry.count) == count;
        self.entries.iter().all(agrees)
            && (self.entries.len() >= 2 || self.entries.iter().any(|entry| entry.has_type(MAP_TYPE)))
    }

    fn table(&self, size: u64) -> PartitionTable {
        let used = self.entries.iter().filter(|entry| entry.blocks != 0);
        let partitions = used.map(|entry| entry.partition(self.block_size)).collect();
        let mut table = PartitionTable::new(Label::Mac, self.block_size, partitions);
        let last = self.entries.last().map_or(0, |entry| entry.number);
        let gaps = (1..last).filter(|number| !self.entries.iter().any(|entry| entry.number == *number));
        table.damage.extend(gaps.map(|number| Damage::MapEntryLost { number }));
        let count = self.entries.first().map_or(0, |entry| entry.count);
        if count != last {
            table.damage.push(Damage::MapCount { count, last });
        }
        let map_blocks = u64::from(self.announced().unwrap_or(last)) + 1;
        table.note_length(map_blocks * u64::from(self.block_size), size);
        table
    }
}

/// Looks for a partition map.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(sector) = view.read(0, boot_sector::SIZE)? else {
        return Err(Rejection::TooShort.into());
    };
    let described = has(&sector, 0, DESCRIPTOR_MAGIC).then(|| u32::from(be16(&sector, BLOCK_SIZE_AT)));
    let sizes = described.filter(|size| *size >= 512 && size.is_multiple_of(512)).into_iter().chain(BLOCK_SIZES);
    let maps = sizes.map(|block_size| Map::read(view, block_size)).collect::<Result<Vec<_>, _>>()?;
    // A block of a map with smaller blocks may look like the start of one with larger blocks.
    let fits = |map: &&Map| described == Some(map.block_size) && map.is_read_by_linux();
    let best = maps
        .iter()
        .find(|map| fits(map) && map.is_whole())
        .or_else(|| maps.iter().find(|map| map.is_evident() && map.is_whole()))
        .or_else(|| maps.iter().find(fits))
        .or_else(|| maps.iter().find(|map| map.is_evident()));
    if let Some(map) = best {
        let mut table = map.table(view.size());
        if described != Some(map.block_size) {
            table.damage.push(Damage::DriverDescriptor { block_size: described.unwrap_or(0) });
        }
        if described.is_some() {
            check_mbr(view, &table)?;
        } else {
            check_since(view, map, &table)?;
        }
        return match map.lost().filter(|_| !view.settles(count(&table.partitions))) {
            Some(number) => {
                let reason = Reason::ListBroken { label: Label::Mac, block: number.into() };
                Err(Error::undecidable(reason, Some(table)).into())
            }
            None => Ok(table),
        };
    }
    let rejection = match described {
        Some(size) if size < 512 || !size.is_multiple_of(512) => {
            Rejection::Field { field: "sbBlkSize", value: u64::from(size) }
        }
        Some(_) => Rejection::Entry { number: 1, flaw: "has no PM signature" },
        None => Rejection::NoMagic,
    };
    Err(rejection.into())
}

/// Behind a driver descriptor that is an MBR too, Linux shows what the MBR has, even if that is nothing. Hybrid discs
/// have one for their only partition (`genisoimage -hfs -part`); a map with several is not given up for that.
fn check_mbr(view: &View<'_>, table: &PartitionTable) -> Probe<()> {
    let is_empty_mbr = matches!(first_sector(view)?, FirstSector::NoTable(Rejection::Empty));
    if is_empty_mbr && count(&table.partitions) < 2 {
        return Err(Rejection::Other { what: "dos" }.into());
    }
    Ok(())
}

/// What the disk was used for since, where block 0 is no descriptor: under a pattern, zeros or somebody else's sector the
/// map may be all that is left, or a remainder itself. A GPT at LBA 1 wrote over the map. A file system that stands, or
/// the backup of a GPT, is younger than a map that lost entries, and than one with a single partition.
fn check_since(view: &View<'_>, map: &Map, table: &PartitionTable) -> Probe<()> {
    if gpt_copy::is_signed(view, 512, 1) {
        return Err(Rejection::Other { what: "gpt" }.into());
    }
    if map.is_whole() && count(&table.partitions) >= 2 {
        return Ok(());
    }
    if let Some(what) = whole_disk(view)? {
        return Err(Rejection::Other { what }.into());
    }
    if gpt_copy::ends_with_image(view) {
        return Err(Rejection::Other { what: "gpt" }.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::{Disk, Gpt};

    /// Start, blocks, name, type.
    type Row = (u32, u32, &'static str, &'static str);

    const DISK: [Row; 6] = [
        (1, 63, "Apple", "Apple_partition_map"),
        (64, 56, "Macintosh", "Apple_Driver_ATA"),
        (120, 8, "Patch Partition", "Apple_Patches"),
        (128, 1000, "Macintosh HD", "Apple_HFS"),
        (1128, 500, "root", "Apple_UNIX_SVR2"),
        (1628, 100, "Extra", "Apple_Free"),
    ];

    fn put_map(disk: Disk, block_size: usize, rows: &[Row]) -> Disk {
        let count = u32::try_from(rows.len()).unwrap();
        rows.iter().zip(1..).fold(disk, |disk, (&(start, blocks, name, type_text), number): (_, usize)| {
            let at = number * block_size;
            [count, start, blocks]
                .iter()
                .zip([COUNT_AT, START_AT, BLOCKS_AT])
                .fold(disk, |disk, (value, field)| disk.put(at + field, &value.to_be_bytes()))
                .put(at, ENTRY_MAGIC)
                .put(at + NAME_AT, name.as_bytes())
                .put(at + TYPE_AT, type_text.as_bytes())
        })
    }

    fn mac(block_size: u16, rows: &[Row]) -> Disk {
        let disk = Disk::new(2048 * usize::from(block_size)).put(0, b"ER").put(2, &block_size.to_be_bytes());
        put_map(disk, usize::from(block_size), rows)
    }

    fn codes(table: &PartitionTable) -> Vec<&'static str> {
        table.damage.iter().map(Damage::code).collect()
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_are_places_in_the_map_and_what_holds_nothing_does_not_count() {
        for block_size in [512, 1024, 2048, 4096] {
            let table = mac(block_size, &DISK).table();
            assert_eq!((table.label, table.sector_size, table.is_damaged()), (Label::Mac, block_size.into(), false));
            let kinds: Vec<_> = table.partitions.iter().map(|p| (p.number, p.kind.counts())).collect();
            assert_eq!(kinds, [(1, false), (2, false), (3, false), (4, true), (5, true), (6, false)]);
            let hfs = &table.partitions[3];
            assert_eq!((hfs.start, hfs.size), (128 * u64::from(block_size), 1000 * u64::from(block_size)));
            assert_eq!((hfs.name.as_deref(), &*hfs.type_id.to_string()), (Some("Macintosh HD"), "Apple_HFS"));
        }
    }

    #[test]
    fn free_space_with_a_name_of_its_own_counts() {
        let rows = [DISK[0], (64, 100, "", "Apple_Free"), (164, 100, "scratch", "Apple_Free")];
        assert_eq!(mac(512, &rows).table().count(), 1);
    }

    #[test]
    fn an_entry_without_blocks_is_not_in_use() {
        let rows = [DISK[0], (0, 0, "", "Apple_Void"), DISK[3]];
        let numbers: Vec<_> = mac(512, &rows).table().partitions.iter().map(|p| p.number).collect();
        assert_eq!(numbers, [1, 3]);
    }

    #[test]
    fn a_map_stands_without_its_descriptor() {
        let table = mac(2048, &DISK).put(0, &[0; 512]).table();
        assert_eq!((table.sector_size, table.count(), codes(&table)), (2048, 2, vec!["driver_descriptor"]));
    }

    #[test]
    fn a_left_over_map_gives_way_to_what_starts_at_block_0() {
        let one = mac(512, &DISK[..4]).put(0, &[0; 512]);
        assert_eq!(one.table().count(), 1);
        // Blocks of 4096 bytes, sectors of 512.
        let jfs = [&b"JFS1"[..], &[0; 12], &[0, 16, 0, 0, 12, 0, 3, 0, 0, 2, 0, 0, 9, 0]].concat();
        assert_eq!(rejection(&one.put(32768, &jfs)), Rejection::Other { what: "jfs" });
        assert_eq!(mac(512, &DISK).put(0, &[0; 512]).put(32768, &jfs).table().count(), 2);
    }

    #[test]
    fn a_map_stands_where_the_descriptor_tells_another_block_size() {
        let disk = Disk::new(1 << 20).put(0, &[b'E', b'R', 8, 0]);
        let table = put_map(disk, 512, &DISK).table();
        assert_eq!((table.sector_size, table.count(), codes(&table)), (512, 2, vec!["driver_descriptor"]));
    }

    #[test]
    fn of_two_maps_the_one_of_the_descriptors_block_size_is_read() {
        let small = [DISK[0], (300, 400, "small", "Apple_HFS")];
        let large = [DISK[0], (75, 100, "large", "Apple_HFS"), (175, 100, "more", "Apple_HFS")];
        for (block_size, expected) in [(512_u16, 1), (2048, 2)] {
            let disk = mac(2048, &[]).put(2, &block_size.to_be_bytes());
            let table = put_map(put_map(disk, 512, &small), 2048, &large).table();
            assert_eq!((table.sector_size, table.count()), (u32::from(block_size), expected));
        }
    }

    #[test]
    fn reading_goes_on_behind_a_lost_entry() {
        let without = |lost: usize| mac(512, &DISK).put(lost * 512, &[0; 512]);
        for lost in [1, 2, 3, 6] {
            let table = without(lost).table();
            let expected = if lost == 6 { "map_count" } else { "map_entry_lost" };
            assert_eq!((table.count(), codes(&table)), (2, vec![expected]), "{lost}");
        }
        // One is left, and what is lost may be another.
        assert_eq!((without(4).reason(), without(5).reason()), ("list_broken", "list_broken"));
        assert_eq!(mac(512, &DISK[..4]).put(512, &[0; 512]).table().count(), 1);
    }

    #[test]
    fn a_map_that_announces_too_much_is_read_as_far_as_it_goes() {
        for count in [0_u32, 7, 256, u32::MAX] {
            let disk = (1..=6).fold(mac(512, &DISK), |disk, at| disk.put(at * 512 + COUNT_AT, &count.to_be_bytes()));
            let table = disk.table();
            assert_eq!((table.count(), codes(&table)), (2, vec!["map_count"]), "{count}");
        }
        let fewer = mac(512, &DISK).put(512 + COUNT_AT, &4_u32.to_be_bytes());
        assert_eq!(fewer.table().count(), 1);
    }

    #[test]
    fn a_map_cut_short_keeps_what_is_there() {
        let mut disk = mac(512, &DISK);
        disk.0.truncate(5 * 512);
        assert_eq!(disk.reason(), "list_broken");
        let partial = disk.read().expect_err("undecidable").into_partial().expect("what is there");
        assert_eq!((partial.count(), codes(&partial)), (1, vec!["map_count", "image_too_short"]));
    }

    #[test]
    fn a_descriptor_without_a_map_is_none() {
        assert_eq!(rejection(&mac(512, &[])), Rejection::Entry { number: 1, flaw: "has no PM signature" });
        for block_size in [0_u16, 100, 513] {
            let disk = Disk::new(8192).put(0, b"ER").put(2, &block_size.to_be_bytes());
            let value = u64::from(block_size);
            assert_eq!(rejection(&disk), Rejection::Field { field: "sbBlkSize", value });
        }
        assert_eq!(rejection(&Disk::new(100)), Rejection::TooShort);
    }

    #[test]
    fn an_mbr_in_the_descriptor_decides_unless_it_is_empty_and_the_map_has_several() {
        let hybrid = mac(512, &DISK).mbr(0, &[(1, 0x17, 0, 2000)]).table();
        assert_eq!((hybrid.label, hybrid.count()), (Label::Dos, 1));
        assert_eq!(rejection(&mac(512, &DISK[..4]).mbr(0, &[])), Rejection::Other { what: "dos" });
        assert_eq!(mac(512, &DISK).mbr(0, &[]).table().label, Label::Mac);
    }

    #[test]
    fn a_protective_mbr_decides_over_a_map() {
        let gpt = Gpt::new(&[(40, 99)]);
        let disk = gpt.disk().put(0, &[b'E', b'R', 8, 0]);
        let moved = gpt.header(1, 4095, 100);
        let disk = put_map(disk.put(512, &moved).put(51_200, &gpt.array()), 2048, &DISK);
        assert_eq!(disk.table().label, Label::Gpt);
        // Linux reads no GPT without a protective entry.
        assert_eq!(disk.clone().put(440, &[0; 72]).table().label, Label::Mac);
        assert_eq!(disk.put(0, &[0; 512]).table().label, Label::Gpt);
    }
}
