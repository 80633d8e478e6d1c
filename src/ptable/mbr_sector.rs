//! The four entries of an MBR or EBR, as they stand in its sector, and what LBA 0 turned out to be.

use super::fields::{byte, le32};
use super::rejection::Rejection;

/// Offset of the four entries, in an MBR and an EBR (UEFI 2.10 table 5-1).
pub(super) const ENTRIES_AT: usize = 446;
pub(super) const ENTRY_BYTES: usize = 16;
const ENTRIES: usize = 4;
// An entry (UEFI 2.10 table 5-2). The CHS fields in between are not used.
const BOOT_FLAG_AT: usize = 0; // 1 byte
const TYPE_AT: usize = 4; // 1
const START_AT: usize = 8; // 4, LBA
const SECTORS_AT: usize = 12; // 4

const BOOT_FLAGS: [u8; 2] = [0x00, 0x80];
/// DOS, Windows 95 with LBA, and Linux.
const EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

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
    pub(super) fn has_boot_flag(&self) -> bool {
        BOOT_FLAGS.contains(&self.boot_flag)
    }

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

/// Whether no two of the entries have a sector in common.
pub(super) fn are_disjoint(entries: &[Entry]) -> bool {
    let mut rest = entries;
    while let [entry, others @ ..] = rest {
        if others.iter().any(|other| entry.overlaps(other)) {
            return false;
        }
        rest = others;
    }
    true
}

/// What LBA 0 says about tables.
#[derive(Debug)]
pub(super) enum FirstSector {
    /// No MBR, or one without partitions: blank, a file system, a boot loader, a pattern, junk.
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
