//! Disks for the unit tests of this module, written byte by byte, and readers that count or fail.

use std::io;
use std::ops::Range;
use std::sync::Mutex;

use positioned_io::ReadAt;

use super::{Error, PartitionTable, read_table};

/// An image of zeros that grows as it is written to.
#[derive(Clone, Default)]
pub(super) struct Disk(pub(super) Vec<u8>);

impl Disk {
    pub(super) fn new(bytes: usize) -> Self {
        Self(vec![0; bytes])
    }

    pub(super) fn put(mut self, at: usize, bytes: &[u8]) -> Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// An MBR or EBR at `at`: slot from 1, type, start, sectors.
    pub(super) fn mbr(self, at: usize, entries: &[(usize, u8, u32, u32)]) -> Self {
        let signed = self.put(at + 510, &[0x55, 0xaa]);
        entries.iter().fold(signed, |disk, &(slot, type_id, start, sectors)| {
            let entry = at + 446 + (slot - 1) * 16;
            disk.put(entry + 4, &[type_id]).put(entry + 8, &start.to_le_bytes()).put(entry + 12, &sectors.to_le_bytes())
        })
    }

    pub(super) fn read(&self) -> Result<Option<PartitionTable>, Error> {
        read_table(&self.0, self.0.len() as u64, None)
    }

    /// The table, which must be there.
    pub(super) fn table(&self) -> PartitionTable {
        self.read().expect("decidable").expect("a table")
    }

    /// The code of the error, which must be one.
    pub(super) fn reason(&self) -> &'static str {
        self.read().expect_err("undecidable").reason_code().as_str()
    }
}

/// A GPT to be written; the fields are public so that a test can make each of them wrong.
#[derive(Clone)]
pub(super) struct Gpt {
    pub(super) sector_size: usize,
    pub(super) entry_size: u32,
    pub(super) count: u32,
    /// First and last LBA.
    pub(super) entries: Vec<(u64, u64)>,
    pub(super) first_usable: u64,
    pub(super) last_usable: u64,
}

impl Gpt {
    pub(super) fn new(entries: &[(u64, u64)]) -> Self {
        Self {
            sector_size: 512,
            entry_size: 128,
            count: 128,
            entries: entries.to_vec(),
            first_usable: 34,
            last_usable: 4000,
        }
    }

    pub(super) fn array(&self) -> Vec<u8> {
        let mut array = vec![0; (self.entry_size * self.count) as usize];
        for (slot, (number, &(first, last))) in
            array.chunks_mut(self.entry_size as usize).zip((1_u8..).zip(&self.entries))
        {
            slot[..16].fill(0x11);
            slot[16..32].fill(number);
            slot[32..40].copy_from_slice(&first.to_le_bytes());
            slot[40..48].copy_from_slice(&last.to_le_bytes());
            slot[56] = b'p';
            slot[58] = b'0' + number;
        }
        array
    }

    pub(super) fn header(&self, lba: u64, alternate: u64, array_lba: u64) -> Vec<u8> {
        let mut header = vec![0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[8..16].copy_from_slice(&[0, 0, 1, 0, 92, 0, 0, 0]);
        for (at, value) in
            [(24, lba), (32, alternate), (40, self.first_usable), (48, self.last_usable), (72, array_lba)]
        {
            header[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        for (at, value) in [(80, self.count), (84, self.entry_size), (88, crc32fast::hash(&self.array()))] {
            header[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        seal(&mut header);
        header
    }

    /// Protective MBR, primary and backup on a disk of 4096 sectors.
    pub(super) fn disk(&self) -> Disk {
        let (size, last) = (self.sector_size, 4095);
        let array_sectors = self.array().len().div_ceil(size) as u64;
        let backup_array = last - array_sectors;
        Disk::new(4096 * size)
            .mbr(0, &[(1, 0xee, 1, 4095)])
            .put(size, &self.header(1, last, 2))
            .put(2 * size, &self.array())
            .put(usize::try_from(backup_array).unwrap() * size, &self.array())
            .put(usize::try_from(last).unwrap() * size, &self.header(last, 1, backup_array))
    }
}

/// Sets the CRC of a header.
pub(super) fn seal(header: &mut [u8]) {
    header[16..20].fill(0);
    let crc = crc32fast::hash(&header[..92]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
}

/// A FAT16 boot sector of a 16 MiB volume.
pub(super) fn fat16() -> Vec<u8> {
    Disk::new(512)
        .put(0, &[0xeb, 0x3c, 0x90])
        .put(3, b"mkfs.fat")
        .put(11, &[0, 2, 4, 4, 0, 2, 0, 2, 0, 0x80, 0xf8, 32, 0])
        .put(54, b"FAT16   ")
        .put(510, &[0x55, 0xaa])
        .0
}

/// Notes what is read, and fails from `bad.start` to `bad.end`.
pub(super) struct Reader {
    pub(super) disk: Disk,
    pub(super) bad: Range<u64>,
    pub(super) reads: Mutex<Vec<(u64, usize)>>,
}

impl Reader {
    pub(super) fn new(disk: Disk, bad: Range<u64>) -> Self {
        Self { disk, bad, reads: Mutex::default() }
    }

    pub(super) fn read(&self, enough: Option<u32>) -> Result<Option<PartitionTable>, Error> {
        read_table(self, self.disk.0.len() as u64, enough)
    }
}

impl ReadAt for Reader {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
        self.reads.lock().unwrap().push((pos, buf.len()));
        if self.bad.contains(&pos) {
            return Err(io::Error::other("a bad sector"));
        }
        let good = if pos < self.bad.start { self.bad.start - pos } else { u64::MAX };
        let len = buf.len().min(usize::try_from(good).unwrap_or(usize::MAX));
        self.disk.0.read_at(pos, &mut buf[..len])
    }
}
