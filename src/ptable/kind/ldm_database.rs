//! The database of the Logical Disk Manager, from the private header that leads to it down to the partitions of one disk.
//!
//! The structures and their limits are those of Linux's `block/partitions/ldm.c` and `ldm.h`.

use std::borrow::Cow;

use super::ldm_vblk::{self, DiskGuid, Records, parse_guid};
use crate::ptable::error::Error;
use crate::ptable::fields::{be16, be32, be64, has};
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionType};
use crate::ptable::view::View;

const SECTOR: usize = 512;
/// One more than Linux's last number (`DISK_MAX_PARTS`).
const NUMBER_LIMIT: u32 = 256;

// Sectors of the private header, on the disk, and of its copies and the rest, in the database.
pub(super) const PRIVHEAD_AT: u64 = 6;
pub(super) const PRIVHEAD_COPIES_AT: [u64; 2] = [1856, 2047];
const TOCBLOCKS_AT: [u64; 4] = [1, 2, 2045, 2046];
const VMDB_AT: u64 = 17;
/// Sectors of a database.
pub(super) const DATABASE_SECTORS: u64 = 2048;

// The private header, big-endian as all of it.
pub(super) const PRIVHEAD: &str = "PRIVHEAD";
pub(super) const MAJOR_AT: usize = 0x0c; // 2
pub(super) const MINOR_AT: usize = 0x0e; // 2
const MAJOR: u16 = 2;
/// Of Windows 2000 and of Vista.
const MINORS: [u16; 2] = [11, 12];
pub(super) const DISK_ID_AT: usize = 0x30; // a GUID in letters
pub(super) const DATA_START_AT: usize = 0x11b; // 8
pub(super) const DATA_SECTORS_AT: usize = 0x123; // 8
pub(super) const CONFIG_START_AT: usize = 0x12b; // 8
pub(super) const CONFIG_SECTORS_AT: usize = 0x133; // 8

// The table of contents: of the two regions, the first has the records.
pub(super) const TOCBLOCK: &str = "TOCBLOCK";
pub(super) const CONFIG_NAME_AT: usize = 0x24;
const CONFIG_NAME: &[u8] = b"config\0";
pub(super) const LOG_NAME_AT: usize = 0x46;
const LOG_NAME: &[u8] = b"log\0";
pub(super) const REGION_SECTORS_AT: usize = 0x36; // 8

// The header of the records.
pub(super) const VMDB: &str = "VMDB";
pub(super) const LAST_RECORD_AT: usize = 4; // 4
pub(super) const RECORD_BYTES_AT: usize = 8; // 4
pub(super) const FIRST_RECORD_AT: usize = 12; // 4, in bytes from here
pub(super) const STATE_AT: usize = 0x10; // 2
const COMMITTED: u16 = 1;
pub(super) const VERSION_AT: usize = 0x12; // 2 and 2
const VERSION: u32 = 0x0004_000a;
const USUAL_RECORD_BYTES: usize = 128;

pub(super) const VBLK: &str = "VBLK";
/// Bytes of records read at once.
const PIECE_BYTES: u64 = 64 * 1024;

/// A private header, in sectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PrivateHeader {
    pub(super) disk_id: DiskGuid,
    pub(super) data_start: u64,
    pub(super) data_sectors: u64,
    pub(super) config_start: u64,
    pub(super) config_sectors: u64,
}

impl PrivateHeader {
    pub(super) fn parse(block: &[u8]) -> Result<PrivateHeader, Rejection> {
        if !has(block, 0, PRIVHEAD.as_bytes()) {
            return Err(Rejection::NoMagic);
        }
        let field = |field, value| Err(Rejection::Field { field, value });
        let (major, minor) = (be16(block, MAJOR_AT), be16(block, MINOR_AT));
        let Some(disk_id) = block.get(DISK_ID_AT..).and_then(parse_guid) else {
            return field("disk_guid", 0);
        };
        let header = PrivateHeader {
            disk_id,
            data_start: be64(block, DATA_START_AT),
            data_sectors: be64(block, DATA_SECTORS_AT),
            config_start: be64(block, CONFIG_START_AT),
            config_sectors: be64(block, CONFIG_SECTORS_AT),
        };
        if major != MAJOR || !MINORS.contains(&minor) {
            return field("version", u64::from(major) << 16 | u64::from(minor));
        }
        if header.data_sectors == 0 || header.data_start.checked_add(header.data_sectors).is_none() {
            return field("logical_disk_size", header.data_sectors);
        }
        if header.config_start == 0 || header.config_start.checked_add(header.config_sectors).is_none() {
            return field("config_start", header.config_start);
        }
        Ok(header)
    }

    /// [`PrivateHeader::parse`] of a disk whose database is at its end.
    pub(super) fn parse_mbr(block: &[u8]) -> Result<PrivateHeader, Rejection> {
        let header = Self::parse(block)?;
        if header.data_start + header.data_sectors > header.config_start {
            return Err(Rejection::Field { field: "logical_disk_size", value: header.data_sectors });
        }
        Ok(header)
    }
}

/// Something that does not hold.
#[derive(Debug)]
pub(super) struct Fault {
    /// The structure, by its magic.
    pub(super) part: &'static str,
    pub(super) fault: Rejection,
}

impl Fault {
    fn field(part: &'static str, field: &'static str, value: u64) -> Fault {
        Fault { part, fault: Rejection::Field { field, value } }
    }
}

/// What a database says of one disk.
#[derive(Debug, Default)]
pub(super) struct Database {
    pub(super) partitions: Vec<Partition>,
    /// Whatever the partitions do not depend on.
    pub(super) noted: Vec<Fault>,
    /// Why there may be others.
    pub(super) doubt: Option<Fault>,
    /// What could not be read, where that is the reason.
    pub(super) error: Option<Error>,
}

impl Database {
    fn doubt(&mut self, fault: Fault) {
        self.doubt.get_or_insert(fault);
    }
}

/// Where the records of a database are, in bytes of the image.
struct Layout {
    start: u64,
    end: u64,
    record_bytes: usize,
    /// Whether the header of the database says so.
    told: bool,
}

/// The database of one disk, in sectors of `sector_size` bytes.
pub(super) struct Reader<'a> {
    pub(super) view: &'a View<'a>,
    pub(super) header: &'a PrivateHeader,
    pub(super) sector_size: u64,
}

impl Reader<'_> {
    fn at(&self, sector: u64) -> u64 {
        self.header.config_start.saturating_add(sector).saturating_mul(self.sector_size)
    }

    fn sector(&self, sector: u64) -> Result<Option<Cow<'_, [u8]>>, Error> {
        self.view.read(self.at(sector), SECTOR)
    }

    /// Sectors for the records, by the first table of contents that holds.
    fn region(&self) -> Option<u64> {
        TOCBLOCKS_AT.into_iter().find_map(|at| {
            let block = self.sector(at).ok()??;
            let sound = has(&block, 0, TOCBLOCK.as_bytes())
                && has(&block, CONFIG_NAME_AT, CONFIG_NAME)
                && has(&block, LOG_NAME_AT, LOG_NAME);
            let sectors = be64(&block, REGION_SECTORS_AT);
            (sound && (1..=DATABASE_SECTORS).contains(&sectors)).then_some(sectors)
        })
    }

    /// Where the records are, by the header of the database if it holds, and else where they usually are.
    fn layout(&self, database: &mut Database) -> Layout {
        let region = self.region();
        if region.is_none() {
            database.noted.push(Fault { part: TOCBLOCK, fault: Rejection::NoMagic });
        }
        let start = self.at(VMDB_AT);
        let most = self.header.config_sectors.clamp(VMDB_AT, DATABASE_SECTORS) - VMDB_AT;
        let bytes = region.unwrap_or(most).min(most).saturating_mul(self.sector_size);
        let block = match self.sector(VMDB_AT) {
            Ok(block) => block,
            Err(error) => {
                database.error = Some(error);
                None
            }
        };
        let fault = match &block {
            None => Fault { part: VMDB, fault: Rejection::TooShort },
            Some(block) => {
                let record_bytes = u64::from(be32(block, RECORD_BYTES_AT));
                let first = u64::from(be32(block, FIRST_RECORD_AT)) / SECTOR as u64 * SECTOR as u64;
                let end = record_bytes.saturating_mul(u64::from(be32(block, LAST_RECORD_AT)));
                let version = be32(block, VERSION_AT);
                if !has(block, 0, VMDB.as_bytes()) {
                    Fault { part: VMDB, fault: Rejection::NoMagic }
                } else if version != VERSION {
                    Fault::field(VMDB, "version", u64::from(version))
                } else if !record_bytes.is_power_of_two() || !(32..=SECTOR as u64).contains(&record_bytes) {
                    Fault::field(VMDB, "vblk_size", record_bytes)
                } else if end > bytes {
                    Fault::field(VMDB, "last_vblk_seq", u64::from(be32(block, LAST_RECORD_AT)))
                } else {
                    let state = be16(block, STATE_AT);
                    if state != COMMITTED {
                        database.doubt(Fault::field(VMDB, "update_status", u64::from(state)));
                    }
                    return Layout {
                        start: start.saturating_add(first),
                        end: start.saturating_add(end / SECTOR as u64 * SECTOR as u64),
                        record_bytes: usize::try_from(record_bytes).unwrap_or(USUAL_RECORD_BYTES),
                        told: true,
                    };
                }
            }
        };
        database.doubt(fault);
        let first = start.saturating_add(self.sector_size);
        Layout { start: first, end: start.saturating_add(bytes), record_bytes: USUAL_RECORD_BYTES, told: false }
    }

    fn records(&self, layout: &Layout, database: &mut Database) -> Records {
        let mut records = Records::default();
        let mut number = 0;
        let mut at = layout.start;
        'pieces: while at < layout.end {
            let len = (layout.end - at).min(PIECE_BYTES).min(self.view.size().saturating_sub(at));
            let bytes = match self.view.read(at, usize::try_from(len).unwrap_or(0)) {
                Ok(Some(bytes)) if len > 0 => bytes,
                Ok(_) => {
                    database.doubt(Fault { part: VBLK, fault: Rejection::TooShort });
                    break;
                }
                Err(error) => {
                    database.doubt(Fault { part: VBLK, fault: Rejection::Unreadable });
                    database.error = Some(error);
                    at += len;
                    continue;
                }
            };
            for piece in bytes.chunks(layout.record_bytes) {
                if !layout.told && !ldm_vblk::is_piece(piece) {
                    break 'pieces;
                }
                number += 1;
                records.add(number, piece);
            }
            at += len;
        }
        records.finish();
        if let Some((number, flaw)) = records.flaw {
            database.doubt(Fault { part: VBLK, fault: Rejection::Entry { number, flaw } });
        }
        records
    }

    pub(super) fn read(&self) -> Database {
        let mut database = Database::default();
        let layout = self.layout(&mut database);
        let mut records = self.records(&layout, &mut database);
        let copy = self.view.peek(self.at(PRIVHEAD_COPIES_AT[0]), SECTOR).ok().flatten();
        let same = copy.map_or(Err(Rejection::TooShort), |block| PrivateHeader::parse(&block));
        if same.as_ref() != Ok(self.header) {
            let fault = same.err().unwrap_or(Rejection::Field { field: "config_start", value: 0 });
            database.noted.push(Fault { part: PRIVHEAD, fault });
        }
        // The kernel puts each in front of those it has, so the last one is found first.
        let Some(&(disk, _)) = records.disks.iter().rev().find(|(_, guid)| *guid == self.header.disk_id) else {
            database.doubt(Fault::field(VBLK, "disk_guid", 0));
            return database;
        };
        records.partitions.sort_by_key(|partition| partition.start);
        let doubtful = database.doubt.is_some();
        let mut last_end = 0;
        let mut number = 1;
        for record in records.partitions.into_iter().filter(|record| record.disk == disk) {
            let end = record.start.saturating_add(record.sectors);
            // Of a database in doubt, the old and the new state of one partition are not two.
            if doubtful && (!record.settled || record.start < last_end) {
                continue;
            }
            last_end = last_end.max(end);
            if record.sectors > 0 && number < NUMBER_LIMIT {
                let bytes = |sectors: u64| sectors.saturating_mul(self.sector_size);
                database.partitions.push(Partition {
                    number,
                    start: bytes(self.header.data_start.saturating_add(record.start)),
                    size: bytes(record.sectors),
                    kind: Kind::Primary,
                    type_id: PartitionType::Unknown,
                    name: (!record.name.is_empty()).then_some(record.name),
                });
            }
            number = number.saturating_add(1);
        }
        database
    }
}
