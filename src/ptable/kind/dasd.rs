//! The volume labels of IBM's direct access storage devices (S/390).
//!
//! Three labels (Linux's `block/partitions/ibm.c`): `VOL1`, with a volume table of contents (VTOC) whose data set control
//! blocks (DSCB) of format 1 and 8 are partitions; `LNX1` and `CMS1`, with one partition behind the label.
//!
//! The kernel asks the device for its geometry, which an image does not have, so that it reads none of these there. As
//! in `libblkid` (`partitions/dasd.c`) the geometry is derived: the label is in block 2, so its place is twice the block
//! size; the VTOC is in the first cylinder, as `fdasd` writes it, and the place of its first DSCB, of format 4, gives the
//! blocks in a track; that DSCB has the tracks in a cylinder. What cannot be known: where a VTOC in another cylinder is,
//! and the end of an `LNX1` disk older than the label's version 2, which is taken to be that of the image.

use crate::ptable::error::{Error, Reason};
use crate::ptable::fields::{be16, be32, be64, byte, has};
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

/// Where a label may be, in the order of the kernel's `find_label`, and the size of a block there: block 2 of a disk with
/// tracks, or sector 1 of one without (FBA).
const PLACES: [(u64, u32); 5] = [(512, 512), (1024, 512), (2048, 1024), (4096, 2048), (8192, 4096)];
const FBA_LABEL_AT: u64 = 512;
/// `dasdfmt` makes these.
const BLOCK_SIZES: [u32; 4] = [512, 1024, 2048, 4096];

// `struct vtoc_volume_label_cdl`, `_ldl` and `vtoc_cms_label` of Linux's arch/s390/include/uapi/asm/vtoc.h.
const LABEL_BYTES: usize = 88;
const VOL1: &[u8] = &[0xe5, 0xd6, 0xd3, 0xf1]; // EBCDIC, as all letters here
const LNX1: &[u8] = &[0xd3, 0xd5, 0xe7, 0xf1];
const CMS1: &[u8] = &[0xc3, 0xd4, 0xe2, 0xf1];
const VOL1_AGAIN_AT: usize = 4; // volkey and vollbl
const VOL1_VTOC_AT: usize = 15; // 4 bytes, cylinder and head
const VOL1_VTOC_BLOCK_AT: usize = 19; // 1, from 1
const LNX1_VERSION_AT: usize = 79; // 1
const LNX1_VERSION_2: u8 = 0xf2;
const LNX1_BLOCKS_AT: usize = 80; // 8
const CMS1_BLOCK_SIZE_AT: usize = 12; // 4
const CMS1_BLOCKS_AT: usize = 28; // 4
const CMS1_OFFSET_AT: usize = 52; // 4

// `struct vtoc_format4_label`.
const FORMAT_AT: usize = 44; // 1, of every DSCB
const FORMAT_4: u8 = 0xf4;
const FORMAT_4_KEY: [u8; FORMAT_AT] = [4; FORMAT_AT];
const CYLINDERS_AT: usize = 62; // 2
const TRACKS_AT: usize = 64; // 2, in a cylinder
const LARGE_CYLINDERS_AT: usize = 132; // 4
/// In place of the cylinders of a large volume.
const LARGE: u16 = 0xfffe;

// `struct vtoc_format1_label`.
const DSCB_BYTES: usize = 140;
const FORMATS_1_AND_8: [u8; 2] = [0xf1, 0xf8];
const EXTENT_LOWER_AT: usize = 107; // cylinder 2, head 2
const EXTENT_UPPER_AT: usize = 111;

/// Blocks in a track: from 10 large ones of a 3380 to 49 small ones of a 3390 (`recs_per_track` in Linux's
/// `drivers/s390/block/dasd_eckd.c`), with room below.
const BLOCKS_PER_TRACK: std::ops::RangeInclusive<u64> = 3..=49;
/// A VTOC of Linux has three partitions and three more DSCBs. One of another system may have hundreds.
const MAX_DSCBS: u64 = 48;

/// Looks for a volume label.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let mut rejection = Rejection::NoMagic;
    for (at, block_size) in PLACES {
        let Some(label) = view.read(at, LABEL_BYTES)? else {
            return Err(if at == FBA_LABEL_AT { Rejection::TooShort } else { rejection }.into());
        };
        let found = if has(&label, 0, VOL1) && has(&label, VOL1_AGAIN_AT, VOL1) && at != FBA_LABEL_AT {
            return Ok(read_vtoc(view, &label, block_size)?);
        } else if has(&label, 0, LNX1) {
            lnx1(&label, at, block_size, view.size())
        } else if has(&label, 0, CMS1) {
            cms1(&label, at)
        } else {
            continue;
        };
        match found {
            Ok((sector_size, partition)) => {
                let mut table = PartitionTable::new(Label::Dasd, sector_size, vec![partition]);
                table.note_length(0, view.size());
                return Ok(table);
            }
            Err(flaw) => rejection = flaw,
        }
    }
    Err(rejection.into())
}

fn only(start: u64, end: u64) -> Option<Partition> {
    let size = end.checked_sub(start).filter(|&size| size != 0)?;
    Some(Partition { number: 1, start, size, kind: Kind::Primary, type_id: PartitionType::Unknown, name: None })
}

/// The block behind the label to the end of the disk.
fn lnx1(label: &[u8], at: u64, block_size: u32, size: u64) -> Result<(u32, Partition), Rejection> {
    let blocks = be64(label, LNX1_BLOCKS_AT);
    let end = match byte(label, LNX1_VERSION_AT) {
        LNX1_VERSION_2 => blocks.checked_mul(block_size.into()),
        _ => Some(size),
    };
    let partition = end.and_then(|end| only(at + u64::from(block_size), end));
    partition
        .map(|partition| (block_size, partition))
        .ok_or(Rejection::Field { field: "formatted_blocks", value: blocks })
}

/// What the label says: a reserved minidisk, or the blocks behind the label.
fn cms1(label: &[u8], at: u64) -> Result<(u32, Partition), Rejection> {
    let block_size = be32(label, CMS1_BLOCK_SIZE_AT);
    if !BLOCK_SIZES.contains(&block_size) {
        return Err(Rejection::Field { field: "block_size", value: block_size.into() });
    }
    let bytes = |blocks: u32| u64::from(blocks) * u64::from(block_size);
    let blocks = be32(label, CMS1_BLOCKS_AT);
    let partition = match be32(label, CMS1_OFFSET_AT) {
        0 if at == FBA_LABEL_AT => only(bytes(2), bytes(blocks)),
        0 => only(at + bytes(1), bytes(blocks)),
        offset => only(bytes(offset), bytes(blocks.saturating_sub(1))),
    };
    partition
        .map(|partition| (block_size, partition))
        .ok_or(Rejection::Field { field: "block_count", value: blocks.into() })
}

/// Where things are on a disk with tracks.
struct Geometry {
    block_size: u32,
    blocks_per_track: u64,
    tracks_per_cylinder: u64,
    /// 0 where it is not known.
    cylinders: u64,
}

/// Cylinder and head of an address. The upper bits of the head are those of a large volume's cylinder.
fn cylinder_and_head(dscb: &[u8], at: usize) -> (u64, u64) {
    let (cylinder, head) = (be16(dscb, at), be16(dscb, at + 2));
    (u64::from(head & 0xfff0) << 12 | u64::from(cylinder), u64::from(head & 0x000f))
}

/// The block of the VTOC's first DSCB, and the geometry that it tells.
fn find_vtoc(view: &View<'_>, label: &[u8], block_size: u32) -> Result<Option<(u64, Geometry)>, Error> {
    let (cylinder, head) = cylinder_and_head(label, VOL1_VTOC_AT);
    let Some(record) = u64::from(byte(label, VOL1_VTOC_BLOCK_AT)).checked_sub(1) else {
        return Ok(None);
    };
    if cylinder != 0 || head == 0 {
        return Ok(None);
    }
    for blocks_per_track in BLOCKS_PER_TRACK {
        let block = head * blocks_per_track + record;
        let Some(dscb) = view.read(block * u64::from(block_size), DSCB_BYTES)? else {
            return Ok(None);
        };
        let tracks = u64::from(be16(&dscb, TRACKS_AT));
        if has(&dscb, 0, &FORMAT_4_KEY) && byte(&dscb, FORMAT_AT) == FORMAT_4 && tracks != 0 {
            let cylinders = match be16(&dscb, CYLINDERS_AT) {
                LARGE => be32(&dscb, LARGE_CYLINDERS_AT).into(),
                cylinders => cylinders.into(),
            };
            return Ok(Some((
                block,
                Geometry { block_size, blocks_per_track, tracks_per_cylinder: tracks, cylinders },
            )));
        }
    }
    Ok(None)
}

fn read_vtoc(view: &View<'_>, label: &[u8], block_size: u32) -> Result<PartitionTable, Error> {
    let lost = |partial| Error::undecidable(Reason::EntriesLost { label: Label::Dasd }, partial);
    let Some((first, geometry)) = find_vtoc(view, label, block_size)? else {
        return Err(lost(None));
    };
    let mut partitions = Vec::new();
    let mut complete = true;
    let mut cut_short = false;
    for block in first + 1..first + geometry.blocks_per_track.min(MAX_DSCBS) {
        if view.may_stop_at(u32::try_from(partitions.len()).unwrap_or(u32::MAX)) {
            complete = false;
            break;
        }
        let Some(dscb) = view.read(block * u64::from(block_size), DSCB_BYTES)? else {
            cut_short = true;
            break;
        };
        if FORMATS_1_AND_8.contains(&byte(&dscb, FORMAT_AT)) {
            let number = u32::try_from(partitions.len()).unwrap_or(u32::MAX).saturating_add(1);
            partitions.extend(data_set(&dscb, number, &geometry));
        }
    }
    let mut table = PartitionTable::new(Label::Dasd, block_size, partitions);
    table.complete = complete;
    table.note_length(0, view.size());
    if cut_short && !view.settles(table.count()) { Err(lost(Some(table))) } else { Ok(table) }
}

/// The partition that a DSCB of format 1 or 8 describes, if it fits on the disk.
fn data_set(dscb: &[u8], number: u32, geometry: &Geometry) -> Option<Partition> {
    let track = |at: usize| {
        let (cylinder, head) = cylinder_and_head(dscb, at);
        let fits = head < geometry.tracks_per_cylinder && (geometry.cylinders == 0 || cylinder < geometry.cylinders);
        fits.then_some(cylinder * geometry.tracks_per_cylinder + head)
    };
    let (lower, upper) = (track(EXTENT_LOWER_AT)?, track(EXTENT_UPPER_AT)?);
    let tracks = upper.checked_sub(lower)? + 1;
    let track_bytes = geometry.blocks_per_track * u64::from(geometry.block_size);
    // `fdasd` puts the type behind the last dot of the data set's name.
    let data_set = letters(dscb.get(..FORMAT_AT).unwrap_or_default());
    let (name, type_text) = data_set.rsplit_once('.').unwrap_or(("", data_set.as_str()));
    Some(Partition {
        number,
        start: lower * track_bytes,
        size: tracks * track_bytes,
        kind: Kind::Primary,
        type_id: PartitionType::text(type_text.as_bytes()),
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
    })
}

/// The letters that a data set's name may have, from EBCDIC; blanks at its end are left out.
fn letters(ebcdic: &[u8]) -> String {
    let letter = |&byte: &u8| match byte {
        0xc1..=0xc9 => b'A' + (byte - 0xc1),
        0xd1..=0xd9 => b'J' + (byte - 0xd1),
        0xe2..=0xe9 => b'S' + (byte - 0xe2),
        0xf0..=0xf9 => b'0' + (byte - 0xf0),
        0x4b => b'.',
        0x60 => b'-',
        0x5b => b'$',
        0x7b => b'#',
        0x7c => b'@',
        0x40 | 0 => b' ',
        _ => b'?',
    };
    let text: String = ebcdic.iter().map(letter).map(char::from).collect();
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::Disk;

    /// `PART.NATIVE` in EBCDIC.
    const DATA_SET: &[u8] = &[0xd7, 0xc1, 0xd9, 0xe3, 0x4b, 0xd5, 0xc1, 0xe3, 0xc9, 0xe5, 0xc5];

    /// Cylinder and head.
    type Track = (u16, u16);

    /// A disk of 10 cylinders of 15 tracks whose partitions are from track to track.
    fn vol1(block_size: usize, per_track: usize, extents: &[(Track, Track)]) -> Disk {
        let vtoc = per_track * block_size;
        let disk = Disk::new(150 * per_track * block_size)
            .put(2 * block_size, VOL1)
            .put(2 * block_size + VOL1_AGAIN_AT, VOL1)
            .put(2 * block_size + VOL1_VTOC_AT, &[0, 0, 0, 1, 1])
            .put(vtoc, &FORMAT_4_KEY)
            .put(vtoc + FORMAT_AT, &[FORMAT_4])
            .put(vtoc + CYLINDERS_AT, &[0, 10, 0, 15])
            .put(vtoc + block_size + FORMAT_AT, &[0xf5])
            .put(vtoc + 2 * block_size + FORMAT_AT, &[0xf7]);
        extents.iter().enumerate().fold(disk, |disk, (index, (lower, upper))| {
            let at = vtoc + (3 + index) * block_size;
            let address = |(cylinder, head): Track| [cylinder.to_be_bytes(), head.to_be_bytes()].concat();
            disk.put(at, &[0x40; FORMAT_AT])
                .put(at, DATA_SET)
                .put(at + FORMAT_AT, &[FORMATS_1_AND_8[index % 2]])
                .put(at + EXTENT_LOWER_AT, &address(*lower))
                .put(at + EXTENT_UPPER_AT, &address(*upper))
        })
    }

    const EXTENTS: [(Track, Track); 2] = [((0, 2), (1, 14)), ((2, 0), (9, 14))];

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_geometry_is_where_the_label_and_the_vtoc_are() {
        for (block_size, per_track) in [(4096, 12), (4096, 10), (2048, 21), (1024, 33), (512, 49)] {
            let table = vol1(block_size, per_track, &EXTENTS).table();
            assert_eq!((table.label, table.sector_size as usize), (Label::Dasd, block_size));
            let track = (block_size * per_track) as u64;
            let extents: Vec<_> = table.partitions.iter().map(|p| (p.number, p.start, p.size)).collect();
            assert_eq!(extents, [(1, 2 * track, 28 * track), (2, 30 * track, 120 * track)]);
            let first = &table.partitions[0];
            assert_eq!((first.name.as_deref(), first.type_id.to_string()), (Some("PART"), "NATIVE".to_owned()));
        }
    }

    #[test]
    fn an_extent_off_the_disk_is_no_partition() {
        let extents = [EXTENTS[0], ((3, 0), (2, 14)), ((2, 0), (10, 0)), EXTENTS[1]];
        let numbers: Vec<_> = vol1(4096, 12, &extents).table().partitions.iter().map(|p| p.number).collect();
        assert_eq!(numbers, [1, 2]);
    }

    #[test]
    fn reading_goes_on_behind_a_lost_block_of_the_vtoc() {
        let disk = vol1(4096, 12, &EXTENTS).put(15 * 4096, &[0; 4096]);
        assert_eq!(disk.table().count(), 1);
    }

    #[test]
    fn a_large_volume_keeps_the_upper_bits_of_a_cylinder_in_the_head() {
        assert_eq!(cylinder_and_head(&[0x12, 0x34, 0x00, 0x1e], 0), (0x1_1234, 14));
    }

    #[test]
    fn a_vtoc_that_is_lost_or_not_in_the_image_is_undecidable() {
        let disk = vol1(4096, 12, &EXTENTS);
        assert_eq!(disk.clone().put(12 * 4096, &[0; 4096]).reason(), "entries_lost");
        assert_eq!(disk.clone().put(2 * 4096 + VOL1_VTOC_BLOCK_AT, &[0]).reason(), "entries_lost");
        assert_eq!(disk.clone().put(2 * 4096 + VOL1_VTOC_AT, &[0, 1]).reason(), "entries_lost");
        let mut cut = disk;
        cut.0.truncate(16 * 4096);
        assert_eq!(cut.reason(), "entries_lost");
    }

    #[test]
    fn lnx1_has_one_partition_behind_its_label() {
        for block_size in [512_usize, 1024, 2048, 4096] {
            let disk = Disk::new(1 << 20)
                .put(2 * block_size, LNX1)
                .put(2 * block_size + LNX1_VERSION_AT, &[LNX1_VERSION_2])
                .put(2 * block_size + LNX1_BLOCKS_AT, &100_u64.to_be_bytes());
            let table = disk.table();
            let bytes = block_size as u64;
            assert_eq!((table.partitions[0].start, table.partitions[0].size), (3 * bytes, 97 * bytes));
            let older = disk.put(2 * block_size + LNX1_VERSION_AT, &[0x40]).table();
            assert_eq!((older.count(), older.partitions[0].end()), (1, 1 << 20));
        }
    }

    #[test]
    fn cms1_says_its_block_size_and_where_a_reserved_minidisk_is() {
        let cms = |at: usize, offset: u32| {
            Disk::new(1 << 20)
                .put(at, CMS1)
                .put(at + CMS1_BLOCK_SIZE_AT, &4096_u32.to_be_bytes())
                .put(at + CMS1_BLOCKS_AT, &200_u32.to_be_bytes())
                .put(at + CMS1_OFFSET_AT, &offset.to_be_bytes())
        };
        for (at, offset, start, end) in [(8192, 0, 3, 200), (512, 0, 2, 200), (8192, 20, 20, 199)] {
            let partition = &cms(at, offset).table().partitions[0];
            assert_eq!((partition.start, partition.end()), (start * 4096, end * 4096), "{at} {offset}");
        }
    }

    #[test]
    fn a_label_that_makes_no_sense_is_none() {
        let lnx1 = Disk::new(1 << 20).put(1024, LNX1).put(1024 + LNX1_VERSION_AT, &[LNX1_VERSION_2]);
        assert_eq!(rejection(&lnx1), Rejection::Field { field: "formatted_blocks", value: 0 });
        let cms1 = Disk::new(1 << 20).put(512, CMS1);
        assert_eq!(rejection(&cms1), Rejection::Field { field: "block_size", value: 0 });
        let cms1 = cms1.put(512 + CMS1_BLOCK_SIZE_AT, &512_u32.to_be_bytes());
        assert_eq!(rejection(&cms1), Rejection::Field { field: "block_count", value: 0 });
        assert_eq!(rejection(&Disk::new(1 << 20).put(8192, VOL1)), Rejection::NoMagic);
        assert_eq!(rejection(&Disk::new(512)), Rejection::TooShort);
    }
}
