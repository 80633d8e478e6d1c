//! The disklabel of 4.4BSD, as it lies on a disk.
//!
//! All BSDs and OSF/1 have the same structure, in the byte order of the machine; they differ in where it is, and in what
//! its offsets are counted from. That is for [`bsd`](super::bsd) and [`osf`](super::osf) to know.

use crate::ptable::fields::{be16, be32, byte, le16, le32};
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionType};

// `struct bsd_disklabel` of Linux's block/partitions/msdos.c, `struct disklabel` of its osf.c.
const MAGIC_AT: usize = 0; // 4 bytes
const SECTOR_SIZE_AT: usize = 40; // 4
const UNIT_SECTORS_AT: usize = 60; // 4
const MAGIC_2_AT: usize = 132; // 4
const CHECKSUM_AT: usize = 136; // 2
const COUNT_AT: usize = 138; // 2
const ENTRIES_AT: usize = 148;
const ENTRY_BYTES: usize = 16;
// `struct bsd_partition`.
const SECTORS_AT: usize = 0; // 4
const START_AT: usize = 4; // 4
const FS_TYPE_AT: usize = 12; // 1

const MAGIC: u32 = 0x8256_4557;
/// `FS_UNUSED`.
pub(super) const FS_UNUSED: u8 = 0;
/// Most entries of any system, as far as they fit into a sector: NetBSD's largest `MAXPARTITIONS`.
pub(super) const MAX_ENTRIES: usize = 22;
/// Bytes of a label with all of its entries.
pub(super) const BYTES: usize = ENTRIES_AT + MAX_ENTRIES * ENTRY_BYTES;
/// Entry `c`, by custom the whole disk or the whole slice.
pub(super) const ENTRY_C: usize = 2;
/// Entry `d`, the whole disk where NetBSD has `c` for its slice.
const ENTRY_D: usize = 3;

/// The byte order of the machine that wrote a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ByteOrder {
    Little,
    Big,
}

impl ByteOrder {
    fn read_16(self, buf: &[u8], at: usize) -> u16 {
        match self {
            Self::Little => le16(buf, at),
            Self::Big => be16(buf, at),
        }
    }

    fn read_32(self, buf: &[u8], at: usize) -> u32 {
        match self {
            Self::Little => le32(buf, at),
            Self::Big => be32(buf, at),
        }
    }
}

/// One entry of a label, in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) start: u64,
    pub(super) sectors: u64,
    pub(super) fs_type: u8,
}

impl Entry {
    pub(super) fn end(&self) -> u64 {
        self.start + self.sectors
    }

    /// The entry as a partition whose sectors have `sector_size` bytes, and whose start is counted from byte `origin`.
    pub(super) fn partition(&self, number: u32, kind: Kind, origin: u64, sector_size: u32) -> Partition {
        let bytes = |sectors: u64| sectors.saturating_mul(u64::from(sector_size));
        Partition {
            number,
            start: bytes(self.start).saturating_add(origin),
            size: bytes(self.sectors),
            kind,
            type_id: PartitionType::Number { id: u32::from(self.fs_type), digits: 2 },
            name: None,
        }
    }
}

/// A label whose first magic number stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Disklabel {
    /// Bytes in a sector, if that is a size that sectors have.
    pub(super) sector_size: Option<u32>,
    /// Sectors of the disk, or of the slice.
    pub(super) unit_sectors: u64,
    /// Entries that the label says it has.
    pub(super) count: usize,
    /// As many of them as can be; where `count` is less, the rest is what stands there.
    pub(super) entries: [Entry; MAX_ENTRIES],
    /// What is wrong with it.
    pub(super) flaw: Option<Rejection>,
}

impl Disklabel {
    /// The label at the start of `buf`, of [`BYTES`] unless the image ends before.
    pub(super) fn parse(buf: &[u8], order: ByteOrder) -> Result<Disklabel, Rejection> {
        if order.read_32(buf, MAGIC_AT) != MAGIC {
            return Err(Rejection::NoMagic);
        }
        let count = usize::from(order.read_16(buf, COUNT_AT));
        let mut index = 0;
        let entries = [0; MAX_ENTRIES].map(|_: u8| {
            let at = ENTRIES_AT + index * ENTRY_BYTES;
            index += 1;
            Entry {
                start: u64::from(order.read_32(buf, at + START_AT)),
                sectors: u64::from(order.read_32(buf, at + SECTORS_AT)),
                fs_type: byte(buf, at + FS_TYPE_AT),
            }
        });
        let sector_size = order.read_32(buf, SECTOR_SIZE_AT);
        Ok(Disklabel {
            sector_size: (sector_size.is_power_of_two() && (512..=4096).contains(&sector_size)).then_some(sector_size),
            unit_sectors: u64::from(order.read_32(buf, UNIT_SECTORS_AT)),
            count,
            entries,
            flaw: flaw(buf, order, count),
        })
    }

    /// The entries that the label says it has, at most `limit`.
    pub(super) fn in_count(&self, limit: usize) -> &[Entry] {
        self.entries.get(..self.count.min(limit)).unwrap_or(&self.entries)
    }

    /// Whether entry `index` is the raw partition among `used`, the entries in use: it has all of the others in it.
    pub(super) fn is_raw(&self, index: usize, used: &[Entry]) -> bool {
        let holds_all = |raw: &Entry| used.iter().all(|e| raw.start <= e.start && e.end() <= raw.end());
        is_raw_place(index) && used.len() > 1 && self.entries.get(index).is_some_and(holds_all)
    }
}

/// Whether the raw partition is entry `index` by custom: `c` or `d`.
pub(super) fn is_raw_place(index: usize) -> bool {
    [ENTRY_C, ENTRY_D].contains(&index)
}

/// What is wrong with the label besides its entries. The second magic number is far from the first, and the checksum
/// covers the entries that are in the count, so that a sound label is no chance.
fn flaw(buf: &[u8], order: ByteOrder, count: usize) -> Option<Rejection> {
    let magic_2 = order.read_32(buf, MAGIC_2_AT);
    if magic_2 != MAGIC {
        return Some(Rejection::Field { field: "d_magic2", value: u64::from(magic_2) });
    }
    if count > MAX_ENTRIES {
        return Some(Rejection::Field { field: "d_npartitions", value: count as u64 });
    }
    let end = ENTRIES_AT + count * ENTRY_BYTES;
    let xor = (0..end).step_by(2).fold(0, |xor, at| xor ^ order.read_16(buf, at));
    let stored = order.read_16(buf, CHECKSUM_AT);
    (xor != 0).then_some(Rejection::Checksum { stored: u32::from(stored), computed: u32::from(stored ^ xor) })
}

/// Whether no two of the entries overlap.
pub(super) fn is_disjoint(entries: &[Entry]) -> bool {
    let mut rest = entries;
    while let [entry, others @ ..] = rest {
        if others.iter().any(|other| entry.start < other.end() && other.start < entry.end()) {
            return false;
        }
        rest = others;
    }
    true
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A sound label: sector size, sectors of the disk, and start, sectors and type of each entry.
    pub(in super::super) fn label(sector_size: u32, unit_sectors: u32, entries: &[(u32, u32, u8)]) -> Vec<u8> {
        let mut label = vec![0; BYTES];
        let mut put = |at: usize, bytes: &[u8]| label[at..at + bytes.len()].copy_from_slice(bytes);
        put(MAGIC_AT, &MAGIC.to_le_bytes());
        put(MAGIC_2_AT, &MAGIC.to_le_bytes());
        put(SECTOR_SIZE_AT, &sector_size.to_le_bytes());
        put(UNIT_SECTORS_AT, &unit_sectors.to_le_bytes());
        put(COUNT_AT, &u16::try_from(entries.len()).unwrap().to_le_bytes());
        for (index, (start, sectors, fs_type)) in entries.iter().enumerate() {
            let at = ENTRIES_AT + index * ENTRY_BYTES;
            put(at + START_AT, &start.to_le_bytes());
            put(at + SECTORS_AT, &sectors.to_le_bytes());
            put(at + FS_TYPE_AT, &[*fs_type]);
        }
        seal(&mut label);
        label
    }

    /// Sets the checksum of a little-endian label.
    pub(in super::super) fn seal(label: &mut [u8]) {
        label[CHECKSUM_AT..CHECKSUM_AT + 2].fill(0);
        let end = ENTRIES_AT + usize::from(le16(label, COUNT_AT)) * ENTRY_BYTES;
        let xor = (0..end).step_by(2).fold(0, |xor, at| xor ^ le16(label, at));
        label[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&xor.to_le_bytes());
    }

    /// The same label as a machine of the other byte order writes it.
    pub(in super::super) fn swapped(mut label: Vec<u8>) -> Vec<u8> {
        let count = usize::from(le16(&label, COUNT_AT));
        let mut wide = vec![MAGIC_AT, SECTOR_SIZE_AT, UNIT_SECTORS_AT, MAGIC_2_AT];
        wide.extend((0..count).flat_map(|i| [SECTORS_AT, START_AT].map(|at| ENTRIES_AT + i * ENTRY_BYTES + at)));
        for at in wide {
            label[at..at + 4].reverse();
        }
        label[COUNT_AT..COUNT_AT + 2].reverse();
        label[CHECKSUM_AT..CHECKSUM_AT + 2].fill(0);
        let end = ENTRIES_AT + count * ENTRY_BYTES;
        let xor = (0..end).step_by(2).fold(0, |xor, at| xor ^ be16(&label, at));
        label[CHECKSUM_AT..CHECKSUM_AT + 2].copy_from_slice(&xor.to_be_bytes());
        label
    }

    #[test]
    fn a_sound_label_has_no_flaw() {
        let buf = label(512, 1000, &[(16, 100, 7), (0, 1000, 0)]);
        let label = Disklabel::parse(&buf, ByteOrder::Little).unwrap();
        assert_eq!((label.sector_size, label.unit_sectors, label.count, label.flaw), (Some(512), 1000, 2, None));
        assert_eq!(label.entries[0], Entry { start: 16, sectors: 100, fs_type: 7 });
        let swapped = Disklabel::parse(&swapped(buf), ByteOrder::Big).unwrap();
        assert_eq!((swapped.entries, swapped.flaw), (label.entries, None));
    }

    #[test]
    fn each_flaw_is_named() {
        let good = label(512, 1000, &[(16, 100, 7)]);
        let with = |at: usize, value: u8| {
            let mut buf = good.clone();
            buf[at] = value;
            Disklabel::parse(&buf, ByteOrder::Little)
        };
        assert_eq!(with(0, 0), Err(Rejection::NoMagic));
        assert!(matches!(with(132, 0).unwrap().flaw, Some(Rejection::Field { field: "d_magic2", .. })));
        assert_eq!(with(138, 23).unwrap().flaw, Some(Rejection::Field { field: "d_npartitions", value: 23 }));
        assert!(matches!(with(60, 1).unwrap().flaw, Some(Rejection::Checksum { .. })));
    }

    #[test]
    fn a_label_that_is_cut_off_does_not_panic() {
        let buf = label(512, 1000, &[(16, 100, 7); MAX_ENTRIES]);
        for len in 0..buf.len() {
            let _ = Disklabel::parse(&buf[..len], ByteOrder::Little);
            let _ = Disklabel::parse(&buf[..len], ByteOrder::Big);
        }
    }
}
