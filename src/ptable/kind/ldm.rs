//! Dynamic disks of Windows' Logical Disk Manager: the partitions are in a database at the end of the disk, or, with a
//! GPT, in a partition of its own.
//!
//! Behind an MBR with an entry of type 0x42 the rules are those of Linux's `block/partitions/ldm.c`; without such an
//! entry, a private header is what a conversion left over. Where the kernel gives up and shows the entries of the MBR,
//! which are no partitions, a damaged database that still shows two of them stands here, and one that does not is
//! undecidable. What a GPT says the kernel reads as it stands; as libldm (`src/ldm.c`) does, its data partitions are
//! looked into.

use super::ldm_database::{DATABASE_SECTORS, Fault, PRIVHEAD, PRIVHEAD_AT, PRIVHEAD_COPIES_AT, PrivateHeader, Reader};
use crate::ptable::boot_sector;
use crate::ptable::damage::Damage;
use crate::ptable::error::{Error, Reason};
use crate::ptable::fields::all_zero;
use crate::ptable::guid::Guid;
use crate::ptable::label::Label;
use crate::ptable::mbr_sector;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

const SECTOR: usize = 512;
/// The entry that says "this is a dynamic disk".
const MBR_TYPE: u8 = 0x42;
/// 5808C8AA-7E8F-42E0-85D2-E1E90434CFB3, the partition of the database.
const GPT_METADATA: [u8; 16] =
    [0xaa, 0xc8, 0x08, 0x58, 0x8f, 0x7e, 0xe0, 0x42, 0x85, 0xd2, 0xe1, 0xe9, 0x04, 0x34, 0xcf, 0xb3];
/// AF9B60A0-1431-4F62-BC68-3311714A69AD.
const GPT_DATA: [u8; 16] =
    [0xa0, 0x60, 0x9b, 0xaf, 0x31, 0x14, 0x62, 0x4f, 0xbc, 0x68, 0x33, 0x11, 0x71, 0x4a, 0x69, 0xad];

fn damage(Fault { part, fault }: Fault) -> Damage {
    Damage::LdmDatabase { part, fault }
}

/// Whether the MBR says that this is a dynamic disk.
fn is_announced(sector: &[u8]) -> bool {
    boot_sector::is_signed(sector) && mbr_sector::entries(sector).iter().any(|entry| entry.type_id == MBR_TYPE)
}

/// A copy of the private header at the end of the image, where the first is lost. It says itself where it is.
fn find_copy(view: &View<'_>) -> Option<PrivateHeader> {
    let config = (view.size() / SECTOR as u64).checked_sub(DATABASE_SECTORS)?;
    PRIVHEAD_COPIES_AT.into_iter().find_map(|at| {
        let block = view.read((config + at) * SECTOR as u64, SECTOR).ok()??;
        PrivateHeader::parse_mbr(&block).ok().filter(|header| header.config_start == config)
    })
}

/// Looks for a dynamic disk with an MBR.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(sector) = view.read(0, SECTOR)? else {
        return Err(Rejection::TooShort.into());
    };
    if !is_announced(&sector) {
        return Err(Rejection::NoMagic.into());
    }
    let mut noted = None;
    let header = match view.read(PRIVHEAD_AT * SECTOR as u64, SECTOR) {
        Ok(None) => return Err(Rejection::TooShort.into()),
        Ok(Some(block)) => match PrivateHeader::parse_mbr(&block) {
            Ok(header) => header,
            // Something else stands there, so this is the type's other meaning, a file system.
            Err(Rejection::NoMagic) if !all_zero(&block) => return Err(Rejection::NoMagic.into()),
            Err(fault) => match find_copy(view) {
                Some(header) => {
                    noted = Some(Fault { part: PRIVHEAD, fault });
                    header
                }
                None if fault == Rejection::NoMagic => return Err(fault.into()),
                None => {
                    return Err(Error::undecidable(Reason::LdmDamaged { part: PRIVHEAD, fault }, None).into());
                }
            },
        },
        Err(error) => {
            noted = Some(Fault { part: PRIVHEAD, fault: Rejection::Unreadable });
            find_copy(view).ok_or(error)?
        }
    };
    let database = Reader { view, header: &header, sector_size: SECTOR as u64 }.read();
    let mut table = PartitionTable::new(Label::Ldm, 512, database.partitions);
    table.damage.extend(noted.into_iter().chain(database.noted).map(damage));
    let end = header.config_start.saturating_add(header.config_sectors).saturating_mul(SECTOR as u64);
    table.note_length(end, view.size());
    let Some(Fault { part, fault }) = database.doubt else {
        return Ok(table);
    };
    table.damage.push(Damage::LdmDatabase { part, fault: fault.clone() });
    if view.settles(table.count()) {
        return Ok(table);
    }
    let error = match database.error {
        Some(error) => error.with_partial(table),
        None => Error::undecidable(Reason::LdmDamaged { part, fault }, Some(table)),
    };
    Err(error.into())
}

/// Adds to a GPT the partitions inside its data partitions of a dynamic disk. That is never what decides: both the
/// partition of the database and the other count for the kernel.
pub(super) fn read_inside_gpt(view: &View<'_>, table: &mut PartitionTable) {
    let is = |partition: &Partition, guid| partition.type_id == PartitionType::Gpt(Guid::from_disk(guid));
    let Some(metadata) = table.partitions.iter().find(|p| is(p, GPT_METADATA)).cloned() else {
        return;
    };
    if !table.partitions.iter().any(|p| is(p, GPT_DATA)) {
        return;
    }
    if view.may_stop_at(table.count()) {
        table.complete = false;
        return;
    }
    let sector_size = u64::from(table.sector_size);
    // The header is in its last sector.
    let block = view.peek(metadata.end().saturating_sub(sector_size), SECTOR).ok().flatten();
    let header = block.map_or(Err(Rejection::TooShort), |block| PrivateHeader::parse(&block)).and_then(|header| {
        let (start, sectors) = (header.config_start, header.config_sectors);
        let end = start.saturating_add(sectors).saturating_mul(sector_size);
        let inside = start.saturating_mul(sector_size) >= metadata.start && end <= metadata.end();
        inside.then_some(header).ok_or(Rejection::Field { field: "config_start", value: start })
    });
    let header = match header {
        Ok(header) => header,
        Err(fault) => return table.damage.push(Damage::LdmDatabase { part: PRIVHEAD, fault }),
    };
    let database = Reader { view, header: &header, sector_size }.read();
    if let Some(fault) = database.doubt {
        return table.damage.push(damage(fault));
    }
    let mut next = table.partitions.iter().map(|p| p.number + 1).max().unwrap_or(1);
    for partition in database.partitions {
        let around = table
            .partitions
            .iter_mut()
            .find(|p| is(p, GPT_DATA) && p.start <= partition.start && partition.end() <= p.end());
        let Some(around) = around else { continue };
        around.kind = Kind::Container;
        table.partitions.push(Partition { number: next, kind: Kind::Nested, ..partition });
        next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::kind::ldm_database::{
        CONFIG_NAME_AT, CONFIG_SECTORS_AT, CONFIG_START_AT, DATA_SECTORS_AT, DATA_START_AT, DISK_ID_AT,
        FIRST_RECORD_AT, LAST_RECORD_AT, LOG_NAME_AT, MAJOR_AT, MINOR_AT, RECORD_BYTES_AT, REGION_SECTORS_AT, STATE_AT,
        TOCBLOCK, VBLK, VERSION_AT, VMDB,
    };
    use crate::ptable::kind::ldm_vblk::parse_guid;
    use crate::ptable::kind::ldm_vblk::testrecord::{PIECE_BYTES, disk_3, disk_4, partition, pieces};
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::{Disk, Reader as BadReader, seal};

    const ID: &str = "00112233-4455-6677-8899-aabbccddeeff";
    const S: usize = 512;
    const SECTORS: usize = 6000;
    const CONFIG: usize = SECTORS - 2048;

    /// Bytes of a private header: first sector of the data, its sectors, first of the database.
    fn privhead(start: u64, sectors: u64, config: u64) -> Vec<u8> {
        let disk = Disk::new(S).put(0, b"PRIVHEAD").put(MAJOR_AT, &[0, 2, 0, 12]).put(DISK_ID_AT, ID.as_bytes());
        [(DATA_START_AT, start), (DATA_SECTORS_AT, sectors), (CONFIG_START_AT, config), (CONFIG_SECTORS_AT, 2048)]
            .into_iter()
            .fold(disk, |disk, (at, value)| disk.put(at, &value.to_be_bytes()))
            .0
    }

    /// The database of these records from sector `at` on, without its private headers.
    fn database(disk: Disk, at: usize, records: &[Vec<u8>]) -> Disk {
        let toc = Disk::new(S).put(0, b"TOCBLOCK").put(CONFIG_NAME_AT, b"config").put(LOG_NAME_AT, b"log");
        let toc = toc.put(REGION_SECTORS_AT, &1481_u64.to_be_bytes()).0;
        let disk = [1, 2, 2045, 2046].into_iter().fold(disk, |disk, sector| disk.put((at + sector) * S, &toc));
        let mut all: Vec<Vec<u8>> = (1..).zip(records).flat_map(|(group, record)| pieces(record, group)).collect();
        while !all.len().is_multiple_of(4) {
            all.push([b"VBLK".as_slice(), &[0; PIECE_BYTES - 4]].concat());
        }
        let last = u32::try_from(all.len() + 4).unwrap();
        let vmdb = (at + 17) * S;
        disk.put(vmdb, b"VMDB")
            .put(vmdb + LAST_RECORD_AT, &last.to_be_bytes())
            .put(vmdb + RECORD_BYTES_AT, &128_u32.to_be_bytes())
            .put(vmdb + FIRST_RECORD_AT, &512_u32.to_be_bytes())
            .put(vmdb + STATE_AT, &[0, 1, 0, 4, 0, 10])
            .put(vmdb + S, &all.concat())
    }

    fn disk_with(records: &[Vec<u8>]) -> Disk {
        let head = privhead(63, 3000, CONFIG as u64);
        let places = [6, CONFIG + 1856, CONFIG + 2047];
        let disk = places.into_iter().fold(Disk::new(SECTORS * S), |disk, sector| disk.put(sector * S, &head));
        database(disk.mbr(0, &[(1, 0x42, 63, 3000)]), CONFIG, records)
    }

    fn records() -> Vec<Vec<u8>> {
        vec![
            disk_3(1, "ffffffff-4455-6677-8899-aabbccddeeff"),
            disk_3(2, ID),
            partition("Disk2-02", 2, 1000, 500),
            partition("Disk1-01", 1, 0, 9000),
            partition(&"Disk2-01".repeat(10), 2, 0, 1000),
        ]
    }

    fn disk() -> Disk {
        disk_with(&records())
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    fn parts(table: &PartitionTable) -> Vec<&'static str> {
        table
            .damage
            .iter()
            .map(|damage| match damage {
                Damage::LdmDatabase { part, .. } => part,
                other => other.code(),
            })
            .collect()
    }

    #[test]
    fn the_partitions_of_this_disk_are_numbered_by_their_place() {
        let table = disk().table();
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Ldm, 2, false));
        let [first, second] = &table.partitions[..] else { panic!() };
        assert_eq!((first.number, first.start, first.size), (1, 63 * 512, 1000 * 512));
        assert_eq!((second.number, second.start, second.size), (2, 1063 * 512, 500 * 512));
        assert_eq!(second.name.as_deref(), Some("Disk2-02"));
    }

    #[test]
    fn a_disk_may_have_its_guid_in_bytes() {
        let guid = parse_guid(ID.as_bytes()).unwrap();
        let table = disk_with(&[disk_4(2, guid), partition("Disk1-01", 2, 0, 9)]).table();
        assert_eq!((table.count(), table.is_damaged()), (1, false));
        assert_eq!(disk_with(&[disk_4(2, guid)]).table().count(), 0);
    }

    #[test]
    fn a_private_header_without_its_entry_is_a_left_over() {
        let converted = disk().mbr(0, &[(1, 0x07, 63, 3000)]);
        assert_eq!((rejection(&converted), converted.table().label), (Rejection::NoMagic, Label::Dos));
        let unsigned = disk().put(511, &[0]);
        assert_eq!(rejection(&unsigned), Rejection::NoMagic);
    }

    #[test]
    fn an_entry_without_a_private_header_is_a_partition() {
        let other = disk().put(6 * S, b"SOMETHING");
        assert_eq!((rejection(&other), other.table().label), (Rejection::NoMagic, Label::Dos));
        let bare = Disk::new(SECTORS * S).mbr(0, &[(1, 0x42, 63, 3000)]);
        assert_eq!((rejection(&bare), bare.table().count()), (Rejection::NoMagic, 1));
    }

    #[test]
    fn a_lost_private_header_is_found_in_its_copies() {
        let lost = disk().put(6 * S, &[0; S]);
        let table = lost.table();
        assert_eq!((table.label, table.count(), parts(&table)), (Label::Ldm, 2, vec![PRIVHEAD]));
        let twice = lost.put((CONFIG + 1856) * S, &[0; S]);
        assert_eq!(parts(&twice.table()), [PRIVHEAD, PRIVHEAD]);
        assert_eq!(twice.put((CONFIG + 2047) * S, &[0; S]).table().label, Label::Dos);
        let bad = BadReader::new(disk(), 6 * 512..7 * 512).read(None).unwrap().unwrap();
        assert_eq!((bad.label, bad.count()), (Label::Ldm, 2));
    }

    #[test]
    fn a_private_header_must_make_sense() {
        let alone = |at: usize, bytes: &[u8]| {
            let disk = disk().put((CONFIG + 1856) * S, &[0; S]).put((CONFIG + 2047) * S, &[0; S]);
            match disk.put(6 * S + at, bytes).read() {
                Err(Error::Undecidable { reason: Reason::LdmDamaged { part, fault }, .. }) => (part, fault),
                other => panic!("{other:?}"),
            }
        };
        let field = |field, value| (PRIVHEAD, Rejection::Field { field, value });
        assert_eq!(alone(MINOR_AT, &[0, 13]), field("version", 0x0002_000d));
        assert_eq!(alone(DISK_ID_AT, b"x"), field("disk_guid", 0));
        assert_eq!(alone(DATA_SECTORS_AT, &[0; 8]), field("logical_disk_size", 0));
        assert_eq!(alone(DATA_SECTORS_AT, &[0xff; 8]), field("logical_disk_size", u64::MAX));
        assert_eq!(alone(CONFIG_START_AT, &[0xff; 8]), field("config_start", u64::MAX));
        assert_eq!(alone(CONFIG_START_AT, &63_u64.to_be_bytes()), field("logical_disk_size", 3000));
    }

    #[test]
    fn what_the_partitions_do_not_depend_on_is_only_noted() {
        let toc = |disk: Disk, sectors: &[usize]| {
            sectors.iter().fold(disk, |disk, sector| disk.put((CONFIG + sector) * S, &[0; S]))
        };
        assert!(!toc(disk(), &[1, 2, 2046]).table().is_damaged());
        let table = toc(disk_with(&records()[..3]), &[1, 2, 2045, 2046, 1856]).table();
        assert_eq!((table.count(), parts(&table)), (1, vec![TOCBLOCK, PRIVHEAD]));
    }

    #[test]
    fn a_damaged_database_stands_only_with_two_partitions() {
        let vmdb = (CONFIG + 17) * S;
        let one = disk_with(&records()[..4]);
        let damages: [(&str, usize, &[u8]); 6] = [
            (VMDB, vmdb, b"X"),
            (VMDB, vmdb + VERSION_AT, &[9]),
            (VMDB, vmdb + RECORD_BYTES_AT, &[0; 4]),
            (VMDB, vmdb + LAST_RECORD_AT, &[0xff; 4]),
            (VMDB, vmdb + STATE_AT, &[0, 2]),
            (VBLK, vmdb + S + 3 * PIECE_BYTES + 0x18, &[0xff]),
        ];
        for (part, at, bytes) in damages {
            let table = disk().put(at, bytes).table();
            assert_eq!((table.count(), parts(&table)), (2, vec![part]), "{at:#x}");
            assert_eq!(one.clone().put(at, bytes).reason(), "ldm_damaged", "{at:#x}");
        }
        let lost = disk().put(vmdb + S + PIECE_BYTES, &[0; PIECE_BYTES]);
        assert_eq!(lost.reason(), "ldm_damaged");
    }

    #[test]
    fn of_a_database_in_doubt_two_states_of_one_partition_are_one() {
        let mut twice = records();
        twice[4] = partition("Disk2-02", 2, 1100, 400);
        let in_change = disk_with(&twice).put((CONFIG + 17) * S + STATE_AT, &[0, 2]);
        assert_eq!(in_change.reason(), "ldm_damaged");
        let Err(Error::Undecidable { partial: Some(partial), .. }) = in_change.read() else { panic!() };
        assert_eq!((partial.count(), parts(&partial)), (1, vec![VMDB]));
    }

    #[test]
    fn a_database_past_the_end_is_undecidable() {
        let mut cut = disk();
        cut.0.truncate((CONFIG + 10) * S);
        let Err(Error::Undecidable { partial: Some(partial), .. }) = cut.read() else { panic!() };
        assert_eq!(parts(&partial), ["PRIVHEAD", "image_too_short", VMDB]);
        let mut records = records();
        records.extend((3..200).map(|at| partition("Disk2-xx", 2, at * 1000, 10)));
        let mut cut = disk_with(&records);
        cut.0.truncate((CONFIG + 20) * S);
        assert_eq!(cut.table().count(), 4);
    }

    #[test]
    fn unreadable_records_are_an_error_only_if_the_verdict_rests_on_them() {
        let mut records = records();
        records.extend((0..600).map(|at| partition("Disk1-xx", 1, at * 10, 10)));
        let bad = ((CONFIG + 18) * S + 70 * 1024) as u64;
        let two = BadReader::new(disk_with(&records), bad..bad + 512).read(None).unwrap().unwrap();
        assert_eq!((two.count(), parts(&two)), (2, vec![VBLK]));
        records.remove(2);
        assert!(matches!(BadReader::new(disk_with(&records), bad..bad + 512).read(None), Err(Error::Io { .. })));
    }

    #[test]
    fn a_full_database_is_read_in_large_pieces() {
        let mut records = records();
        records.extend((0..5000).map(|at| partition("Disk2-xx", 2, 2000 + at * 10, 10)));
        let reader = BadReader::new(disk_with(&records), 0..0);
        assert_eq!(reader.read(None).unwrap().unwrap().count(), 255);
        let reads = reader.reads.lock().unwrap();
        assert!(reads.len() < 20, "{reads:?}");
    }

    /// A GPT of the metadata, a reserved and a data partition.
    fn gpt() -> Disk {
        let mut array = vec![0; 128 * 128];
        let entries = [(GPT_METADATA, 34, 34 + 2047), ([1; 16], 2082, 2100), (GPT_DATA, 2101, 5900)];
        for (slot, (guid, first, last)) in array.chunks_mut(128).zip(entries) {
            slot[..16].copy_from_slice(&guid);
            slot[16] = 1;
            slot[32..40].copy_from_slice(&u64::to_le_bytes(first));
            slot[40..48].copy_from_slice(&u64::to_le_bytes(last));
        }
        let mut header = vec![0; 92];
        header[..16].copy_from_slice(b"EFI PART\0\0\x01\0\x5c\0\0\0");
        for (at, value) in [(24, 1), (32, 5999), (40, 34), (48, 5966), (72, 2)] {
            header[at..at + 8].copy_from_slice(&u64::to_le_bytes(value));
        }
        for (at, value) in [(80, 128), (84, 128), (88, crc32fast::hash(&array))] {
            header[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
        }
        seal(&mut header);
        let disk = Disk::new(SECTORS * S).mbr(0, &[(1, 0xee, 1, 5999)]).put(S, &header).put(2 * S, &array);
        let head = privhead(2101, 3800, 34);
        let disk = disk.put((34 + 2047) * S, &head).put((34 + 1856) * S, &head);
        database(disk, 34, &records())
    }

    #[test]
    fn the_data_partition_of_a_gpt_is_looked_into() {
        let table = gpt().table();
        assert_eq!((table.label, table.is_damaged()), (Label::Gpt, false));
        let kinds: Vec<_> = table.partitions.iter().map(|p| (p.number, p.kind, p.start / 512)).collect();
        let expected = [
            (1, Kind::Primary, 34),
            (2, Kind::Primary, 2082),
            (3, Kind::Container, 2101),
            (4, Kind::Nested, 2101),
            (5, Kind::Nested, 3101),
        ];
        assert_eq!(kinds, expected);
    }

    #[test]
    fn a_gpt_stands_as_it_is_where_its_database_does_not() {
        let table = gpt().put((34 + 17) * S, b"X").table();
        assert_eq!((table.count(), parts(&table)), (3, vec![VMDB]));
        let table = gpt().put((34 + 2047) * S, b"X").table();
        assert_eq!((table.count(), parts(&table)), (3, vec![PRIVHEAD]));
    }

    #[test]
    fn the_database_of_a_gpt_is_not_read_where_its_partitions_are_enough() {
        let reader = BadReader::new(gpt(), 0..0);
        let table = reader.read(Some(2)).unwrap().unwrap();
        assert_eq!((table.count(), table.complete, reader.reads.lock().unwrap().len()), (3, false, 1));
    }
}
