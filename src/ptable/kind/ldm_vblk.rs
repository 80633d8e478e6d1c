//! The records of the Logical Disk Manager's database (VBLKs) from which the partitions of a disk follow.
//!
//! The layouts, with their fields of variable width, are those of `ldm_parse_prt3`, `ldm_parse_dsk3` and `ldm_parse_dsk4`
//! in Linux's `block/partitions/ldm.c`. Volumes, components and disk groups are not read: no partition depends on them.

use std::collections::BTreeMap;

use crate::ptable::fields::{be16, be32, be64, byte, bytes, has};

const MAGIC: &[u8] = b"VBLK";
/// What every piece of a record starts with; the rest of the pieces makes the record.
pub(super) const HEAD_BYTES: usize = 16;
const GROUP_AT: usize = 8; // 4
const PIECE_AT: usize = 12; // 2, from 0
const PIECES_AT: usize = 14; // 2
/// More pieces than that no record has.
const MAX_PIECES: u16 = 4;

// The record, from the head of its first piece on.
const STATUS_AT: usize = 0x10; // 2; 0: not being changed
const FLAGS_AT: usize = 0x12; // 1
const TYPE_AT: usize = 0x13; // 1: revision and kind
const SIZE_AT: usize = 0x14; // 4
/// The first field of variable width: the object's id, then its name.
const FIELDS_AT: usize = 0x18;
const KIND_MASK: u8 = 0x0f;
const PARTITION_KIND: u8 = 3;
const DISK_KIND: u8 = 4;
const PARTITION_3: u8 = 0x33;
const DISK_3: u8 = 0x34;
const DISK_4: u8 = 0x44;

// Where what follows the fields would be if they were empty, and the bytes of a record without them.
const PARTITION_START_AT: usize = 0x24; // 8
const PARTITION_FIELDS_AT: usize = 0x34;
const PARTITION_BYTES: usize = 28;
const HAS_INDEX: u8 = 0x08;

/// A GUID in the order in which it is written.
pub(super) type DiskGuid = [u8; 16];

/// A GUID in letters, at the start of `text`.
pub(super) fn parse_guid(text: &[u8]) -> Option<DiskGuid> {
    const LEN: usize = 36;
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    let text = text.get(..LEN)?;
    let mut digits = Vec::with_capacity(32);
    for (at, &letter) in text.iter().enumerate() {
        if HYPHENS.contains(&at) {
            (letter == b'-').then_some(())?;
        } else {
            digits.push(u8::try_from(char::from(letter).to_digit(16)?).ok()?);
        }
    }
    let mut guid = [0; 16];
    for (byte, pair) in guid.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(guid)
}

/// A partition of some disk of the group, in sectors of its data area.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartitionRecord {
    /// The object id of the disk.
    pub(super) disk: u64,
    pub(super) start: u64,
    pub(super) sectors: u64,
    pub(super) name: String,
    /// Whether no change of it was under way.
    pub(super) settled: bool,
}

/// What the records say.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Disks of the group: object id and GUID.
    pub(super) disks: Vec<(u64, DiskGuid)>,
    pub(super) partitions: Vec<PartitionRecord>,
    /// What is wrong with the first piece or record that may have been a partition, and its number from 1.
    pub(super) flaw: Option<(u32, &'static str)>,
    /// Pieces of records in several, by their group.
    pieces: BTreeMap<u32, Pieces>,
}

#[derive(Debug)]
struct Pieces {
    number: u32,
    pieces: Vec<Option<Vec<u8>>>,
}

/// A piece of a record as it stands in the database: whether it is one at all.
pub(super) fn is_piece(piece: &[u8]) -> bool {
    has(piece, 0, MAGIC)
}

impl Records {
    pub(super) fn note(&mut self, number: u32, flaw: &'static str) {
        self.flaw.get_or_insert((number, flaw));
    }

    /// Adds a piece; `number` counts them from 1.
    pub(super) fn add(&mut self, number: u32, piece: &[u8]) {
        if !is_piece(piece) {
            return self.note(number, "is no VBLK");
        }
        let (at, of) = (be16(piece, PIECE_AT), be16(piece, PIECES_AT));
        match of {
            // Not in use.
            0 => {}
            1 => self.add_record(number, piece),
            _ if of > MAX_PIECES || at >= of => self.note(number, "has an impossible number of pieces"),
            _ => {
                let empty = || Pieces { number, pieces: vec![None; usize::from(of)] };
                let group = self.pieces.entry(be32(piece, GROUP_AT)).or_insert_with(empty);
                match group.pieces.get_mut(usize::from(at)) {
                    Some(slot @ None) => *slot = Some(piece.to_vec()),
                    _ => self.note(number, "has a piece too many"),
                }
            }
        }
    }

    /// Puts the pieces together, when all have been added.
    pub(super) fn finish(&mut self) {
        for Pieces { number, pieces } in std::mem::take(&mut self.pieces).into_values() {
            let Some(whole) = pieces.iter().cloned().collect::<Option<Vec<_>>>() else {
                let kind = pieces.first().and_then(Option::as_ref).map(|first| byte(first, TYPE_AT) & KIND_MASK);
                if kind.is_none_or(|kind| kind == PARTITION_KIND) {
                    self.note(number, "is incomplete");
                }
                continue;
            };
            let mut record = Vec::new();
            for (piece, bytes) in whole.iter().enumerate() {
                let head = if piece == 0 { 0 } else { HEAD_BYTES };
                record.extend_from_slice(bytes.get(head..).unwrap_or_default());
            }
            self.add_record(number, &record);
        }
    }

    fn add_record(&mut self, number: u32, record: &[u8]) {
        let type_id = byte(record, TYPE_AT);
        match type_id & KIND_MASK {
            PARTITION_KIND => match parse_partition(record).filter(|_| type_id == PARTITION_3) {
                Some(partition) => self.partitions.push(partition),
                None => self.note(number, "is no partition that makes sense"),
            },
            // A disk that is not understood is not missed unless it is ours, which shows when it is looked for.
            DISK_KIND => self.disks.extend(parse_disk(record, type_id)),
            _ => {}
        }
    }
}

/// Where the field behind the one at `base + offset` is, from `base`: `ldm_relative`.
fn behind(record: &[u8], base: usize, offset: usize) -> Option<usize> {
    let at = base + offset;
    let len = usize::from(*record.get(at)?);
    (at + len < record.len()).then_some(offset + len + 1)
}

/// A number of variable width, 0 where it has an impossible one.
fn number(record: &[u8], at: usize) -> u64 {
    let len = usize::from(byte(record, at));
    let digits = record.get(at + 1..at + 1 + len).filter(|_| len <= 8).unwrap_or_default();
    digits.iter().fold(0, |number, &digit| number << 8 | u64::from(digit))
}

fn letters(record: &[u8], at: usize) -> &[u8] {
    let len = usize::from(byte(record, at));
    record.get(at + 1..at + 1 + len).unwrap_or_default()
}

fn parse_partition(record: &[u8]) -> Option<PartitionRecord> {
    let id = behind(record, FIELDS_AT, 0)?;
    let name = behind(record, FIELDS_AT, id)?;
    let size = behind(record, PARTITION_FIELDS_AT, name)?;
    let parent = behind(record, PARTITION_FIELDS_AT, size)?;
    let mut end = behind(record, PARTITION_FIELDS_AT, parent)?;
    if byte(record, FLAGS_AT) & HAS_INDEX != 0 {
        end = behind(record, PARTITION_FIELDS_AT, end)?;
    }
    (u64::try_from(end + PARTITION_BYTES).ok()? <= u64::from(be32(record, SIZE_AT))).then(|| PartitionRecord {
        disk: number(record, PARTITION_FIELDS_AT + parent),
        start: be64(record, PARTITION_START_AT + name),
        sectors: number(record, PARTITION_FIELDS_AT + name),
        name: String::from_utf8_lossy(letters(record, FIELDS_AT + id)).into_owned(),
        settled: be16(record, STATUS_AT) == 0,
    })
}

/// The length of the record is not asked for: a GUID that is the disk's vouches for it.
fn parse_disk(record: &[u8], type_id: u8) -> Option<(u64, DiskGuid)> {
    let id = behind(record, FIELDS_AT, 0)?;
    let name = behind(record, FIELDS_AT, id)?;
    let guid = match type_id {
        DISK_3 => parse_guid(record.get(FIELDS_AT + name + 1..)?)?,
        DISK_4 => bytes(record, FIELDS_AT + name),
        _ => return None,
    };
    Some((number(record, FIELDS_AT), guid))
}

#[cfg(test)]
pub(super) mod testrecord {
    //! Records for the tests, in pieces of 128 bytes.

    use super::{DiskGuid, FIELDS_AT, HEAD_BYTES, MAGIC};

    pub(in super::super) const PIECE_BYTES: usize = 128;

    fn field(bytes: &[u8]) -> Vec<u8> {
        [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn record(type_id: u8, fields: &[&[u8]]) -> Vec<u8> {
        let fields = fields.concat();
        let size = u32::try_from(fields.len()).unwrap().to_be_bytes();
        let mut record = [&[0; HEAD_BYTES][..], &[0, 0, 0, type_id], &size, &fields].concat();
        assert!(record.len() < FIELDS_AT + 200);
        record[..4].copy_from_slice(MAGIC);
        record
    }

    /// A partition: name, disk, first sector, sectors.
    pub(in super::super) fn partition(name: &str, disk: u8, start: u64, sectors: u32) -> Vec<u8> {
        let (size, start) = (sectors.to_be_bytes(), start.to_be_bytes());
        let fields: [&[u8]; 8] = [
            &field(&[disk + 10]),
            &field(name.as_bytes()),
            &[0; 12],
            &start,
            &[0; 8],
            &field(&size),
            &field(&[7]),
            &field(&[disk]),
        ];
        record(0x33, &fields)
    }

    /// A disk of revision 3, which has its GUID in letters.
    pub(in super::super) fn disk_3(id: u8, guid: &str) -> Vec<u8> {
        record(0x34, &[&field(&[id]), &field(b"Disk1"), &field(guid.as_bytes()), &field(b""), &[0; 12]])
    }

    /// A disk of revision 4, which has it in bytes.
    pub(in super::super) fn disk_4(id: u8, guid: DiskGuid) -> Vec<u8> {
        record(0x44, &[&field(&[id]), &field(b"Disk1"), &guid, &[0; 29]])
    }

    /// The pieces of a record, as many as are needed.
    pub(in super::super) fn pieces(record: &[u8], group: u32) -> Vec<Vec<u8>> {
        let body = &record[HEAD_BYTES..];
        let chunks: Vec<&[u8]> = body.chunks(PIECE_BYTES - HEAD_BYTES).collect();
        let of = u16::try_from(chunks.len()).unwrap().to_be_bytes();
        (0_u16..)
            .zip(&chunks)
            .map(|(at, chunk)| {
                let head = [MAGIC, &[0; 4], &group.to_be_bytes(), &at.to_be_bytes(), &of].concat();
                let mut piece = [&head, *chunk].concat();
                piece.resize(PIECE_BYTES, 0);
                piece
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::testrecord::{disk_3, disk_4, partition, pieces};
    use super::*;

    const TEXT: &str = "00112233-4455-6677-8899-aAbBcCdDeEfF";
    const GUID: DiskGuid =
        [0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];

    fn read(pieces: &[Vec<u8>]) -> Records {
        let mut records = Records::default();
        for (number, piece) in (1..).zip(pieces) {
            records.add(number, piece);
        }
        records.finish();
        records
    }

    #[test]
    fn a_guid_is_read_in_the_order_in_which_it_is_written() {
        assert_eq!(parse_guid(TEXT.as_bytes()), Some(GUID));
        assert_eq!(parse_guid(&TEXT.as_bytes()[..35]), None);
        assert_eq!(parse_guid(TEXT.replace("-4", "+4").as_bytes()), None);
        assert_eq!(parse_guid(TEXT.replace('a', "g").as_bytes()), None);
    }

    #[test]
    fn both_revisions_of_a_disk_are_read() {
        let pieces = [pieces(&disk_3(1, TEXT), 1), pieces(&disk_4(2, GUID), 2)].concat();
        assert_eq!(read(&pieces).disks, [(1, GUID), (2, GUID)]);
    }

    #[test]
    fn a_partition_has_a_name_a_disk_and_a_place() {
        let records = read(&pieces(&partition("Disk1-01", 2, 63, 1000), 1));
        let expected =
            PartitionRecord { disk: 2, start: 63, sectors: 1000, name: "Disk1-01".to_owned(), settled: true };
        assert_eq!((records.partitions, records.flaw), (vec![expected], None));
    }

    #[test]
    fn a_record_in_several_pieces_is_put_together() {
        let long = partition(&"n".repeat(100), 2, 63, 1000);
        let [first, second] = &pieces(&long, 9)[..] else { panic!() };
        for order in [[first, second], [second, first]] {
            assert_eq!(read(&order.map(Clone::clone)).partitions.len(), 1);
        }
        assert_eq!(read(std::slice::from_ref(first)).flaw, Some((1, "is incomplete")));
        assert_eq!(read(std::slice::from_ref(second)).flaw, Some((1, "is incomplete")));
        let twice = [first.clone(), first.clone(), second.clone()];
        assert_eq!(read(&twice).flaw, Some((2, "has a piece too many")));
    }

    #[test]
    fn a_piece_that_makes_no_sense_is_a_flaw() {
        let good = pieces(&partition("Disk1-01", 2, 63, 1000), 1).remove(0);
        let with = |at: usize, value: u8| {
            let mut piece = good.clone();
            piece[at] = value;
            read(&[piece]).flaw
        };
        assert_eq!(with(0, b'X'), Some((1, "is no VBLK")));
        assert_eq!(with(PIECES_AT + 1, 5), Some((1, "has an impossible number of pieces")));
        assert_eq!(with(TYPE_AT, 0x43), Some((1, "is no partition that makes sense")));
        assert_eq!(with(SIZE_AT + 3, 10), Some((1, "is no partition that makes sense")));
        assert_eq!(with(FIELDS_AT, 0xff), Some((1, "is no partition that makes sense")));
        assert_eq!(with(PIECES_AT + 1, 0), None);
        assert_eq!(with(TYPE_AT, 0x51), None);
    }

    #[test]
    fn no_record_makes_the_parser_panic() {
        let long = pieces(&partition("Disk1-01", 2, 63, 1000), 1).remove(0);
        for at in 0..long.len() {
            for value in [0, 1, 0x7f, 0xff] {
                for len in [long.len(), at] {
                    let mut piece = long.clone();
                    piece[at] = value;
                    piece.truncate(len);
                    let _ = read(&[piece]);
                }
            }
        }
    }
}
