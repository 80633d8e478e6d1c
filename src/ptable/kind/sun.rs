//! The disk label of `SunOS`, and of Solaris on SPARC.
//!
//! Read as Linux (`block/partitions/sun.c`) and `libblkid` (`libblkid/src/partitions/sun.c`) do: magic number and
//! checksum make a label; the VTOC inside it, if it is a valid one, says how many of the eight slices there are and
//! what each is for. The slice for the whole disk does not count.

use crate::ptable::boot_sector;
use crate::ptable::fields::{be16, be32};
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

// `struct sun_disklabel` of Linux's block/partitions/sun.c. The label is one sector.
const SECTOR: u32 = 512;
const VTOC_VERSION_AT: usize = 128; // 4 bytes
const VTOC_SLICES_AT: usize = 140; // 2, nparts
const VTOC_INFO_AT: usize = 142; // 8 x 4
const VTOC_INFO_BYTES: usize = 4; // tag 2, flags 2
const VTOC_SANITY_AT: usize = 188; // 4
const HEADS_AT: usize = 436; // 2, ntrks
const SECTORS_AT: usize = 438; // 2, nsect
const SLICES_AT: usize = 444; // 8 x 8
const SLICE_BYTES: usize = 8; // start cylinder 4, sectors 4
const SLICE_SECTORS_AT: usize = 4;
const MAGIC_AT: usize = 508; // 2
const CHECKSUM_AT: usize = 510; // 2

const MAGIC: u16 = 0xdabe;
const VTOC_SANITY: u32 = 0x600d_deee;
const VTOC_VERSION: u32 = 1;
const MAX_SLICES: u16 = 8;

/// Tag of the slice for the whole disk.
const WHOLE_DISK: u32 = 5;
/// A tag that says nothing.
const UNASSIGNED: u32 = 0;
/// The slice that is for the whole disk by custom, in labels without tags too.
const WHOLE_DISK_NUMBER: u32 = 3;

/// Looks for a label.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(sector) = view.read(0, boot_sector::SIZE)? else {
        return Err(Rejection::TooShort.into());
    };
    if be16(&sector, MAGIC_AT) != MAGIC {
        return Err(Rejection::NoMagic.into());
    }
    let computed = (0..CHECKSUM_AT).step_by(2).fold(0, |xor, at| xor ^ be16(&sector, at));
    let stored = be16(&sector, CHECKSUM_AT);
    if computed != stored {
        return Err(Rejection::Checksum { stored: stored.into(), computed: computed.into() }.into());
    }
    let partitions = slices(&sector);
    if partitions.is_empty() {
        return Err(Rejection::Empty.into());
    }
    let mut table = PartitionTable::new(Label::Sun, SECTOR, partitions);
    table.note_length(0, view.size());
    Ok(table)
}

fn slices(sector: &[u8]) -> Vec<Partition> {
    let (sanity, version) = (be32(sector, VTOC_SANITY_AT), be32(sector, VTOC_VERSION_AT));
    let count = be16(sector, VTOC_SLICES_AT);
    let has_vtoc = sanity == VTOC_SANITY && version == VTOC_VERSION && count <= MAX_SLICES;
    // Old Linux wrote tags into a VTOC that it otherwise left empty.
    let has_tags = has_vtoc || (sanity, version, count) == (0, 0, 0);
    let cylinder = u64::from(be16(sector, HEADS_AT)) * u64::from(be16(sector, SECTORS_AT));
    let bytes = |sectors: u64| sectors.saturating_mul(u64::from(SECTOR));
    let mut slices: Vec<_> = (0..if has_vtoc { count } else { MAX_SLICES })
        .filter_map(|index| {
            let slice = SLICES_AT + usize::from(index) * SLICE_BYTES;
            let sectors = be32(sector, slice + SLICE_SECTORS_AT);
            let tag = be16(sector, VTOC_INFO_AT + usize::from(index) * VTOC_INFO_BYTES);
            let type_id = PartitionType::Number { id: tag.into(), digits: 2 };
            (sectors != 0).then(|| Partition {
                number: u32::from(index) + 1,
                start: bytes(u64::from(be32(sector, slice)) * cylinder),
                size: bytes(sectors.into()),
                kind: Kind::Primary,
                type_id: if has_tags { type_id } else { PartitionType::Unknown },
                name: None,
            })
        })
        .collect();
    for index in 0..slices.len() {
        if is_whole_disk(index, &slices) {
            slices[index].kind = Kind::Meta;
        }
    }
    slices
}

/// Whether the tag says so; or it says nothing and the third slice holds all the others.
fn is_whole_disk(index: usize, slices: &[Partition]) -> bool {
    let slice = &slices[index];
    match slice.type_id {
        PartitionType::Number { id: WHOLE_DISK, .. } => true,
        PartitionType::Number { id: UNASSIGNED, .. } | PartitionType::Unknown => {
            slice.number == WHOLE_DISK_NUMBER
                && slices.len() > 1
                && slice.start == 0
                && slices.iter().all(|other| other.end() <= slice.end())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::damage::Damage;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::{Disk, Gpt};

    const CYLINDER: u64 = 16 * 63;

    /// A sealed label: number, tag, start cylinder, sectors.
    fn sun(slices: &[(usize, u16, u32, u32)]) -> Disk {
        let label = Disk::new(1 << 20)
            .put(VTOC_VERSION_AT, &VTOC_VERSION.to_be_bytes())
            .put(VTOC_SLICES_AT, &MAX_SLICES.to_be_bytes())
            .put(VTOC_SANITY_AT, &VTOC_SANITY.to_be_bytes())
            .put(HEADS_AT, &16_u16.to_be_bytes())
            .put(SECTORS_AT, &63_u16.to_be_bytes())
            .put(MAGIC_AT, &MAGIC.to_be_bytes());
        seal(slices.iter().fold(label, |label, &(number, tag, start, sectors)| {
            let at = SLICES_AT + (number - 1) * SLICE_BYTES;
            label
                .put(VTOC_INFO_AT + (number - 1) * VTOC_INFO_BYTES, &tag.to_be_bytes())
                .put(at, &start.to_be_bytes())
                .put(at + SLICE_SECTORS_AT, &sectors.to_be_bytes())
        }))
    }

    fn seal(label: Disk) -> Disk {
        let xor = (0..CHECKSUM_AT).step_by(2).fold(0, |xor, at| xor ^ be16(&label.0, at));
        label.put(CHECKSUM_AT, &xor.to_be_bytes())
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    fn kinds(disk: &Disk) -> Vec<(u32, Kind)> {
        disk.table().partitions.iter().map(|p| (p.number, p.kind)).collect()
    }

    #[test]
    fn a_label_with_its_checksum_is_read() {
        let table = sun(&[(1, 2, 0, 1000), (2, 0x82, 1, 500), (3, 5, 0, 2016)]).table();
        assert_eq!((table.label, table.sector_size, table.count()), (Label::Sun, 512, 2));
        assert!(!table.is_damaged());
        let swap = &table.partitions[1];
        assert_eq!((swap.number, swap.start, swap.size), (2, CYLINDER * 512, 500 * 512));
        assert_eq!((swap.type_id.to_string(), table.partitions[2].kind), ("0x82".to_owned(), Kind::Meta));
    }

    #[test]
    fn a_label_without_its_checksum_is_none() {
        let disk = sun(&[(1, 2, 0, 1000)]).put(0, &[1]);
        assert!(matches!(rejection(&disk), Rejection::Checksum { .. }));
        assert_eq!(rejection(&Disk::new(1024)), Rejection::NoMagic);
        assert_eq!(rejection(&Disk::new(511)), Rejection::TooShort);
        assert_eq!(rejection(&sun(&[])), Rejection::Empty);
    }

    #[test]
    fn a_gpt_that_no_mbr_announces_does_not_beat_a_label() {
        let label = sun(&[(1, 2, 0, 1000)]).0;
        let table = Gpt::new(&[(40, 99), (100, 199)]).disk().put(0, &label[..512]).table();
        assert_eq!((table.label, table.count()), (Label::Sun, 1));
    }

    #[test]
    fn a_valid_vtoc_says_how_many_slices_there_are() {
        let slices = [(1, 2, 0, 10), (4, 2, 1, 10)];
        let with_count = |count: u16| seal(sun(&slices).put(VTOC_SLICES_AT, &count.to_be_bytes()));
        assert_eq!(with_count(3).table().count(), 1);
        // Beyond eight it is not valid, and its tags are not either.
        let table = with_count(9).table();
        assert_eq!((table.count(), table.partitions[0].type_id), (2, PartitionType::Unknown));
    }

    #[test]
    fn tags_of_an_empty_vtoc_are_believed() {
        let disk = sun(&[(1, 2, 0, 10), (2, 5, 0, 100)]).put(VTOC_VERSION_AT, &[0; 4]).put(VTOC_SLICES_AT, &[0; 2]);
        let disk = seal(disk.put(VTOC_SANITY_AT, &[0; 4]));
        assert_eq!(kinds(&disk), [(1, Kind::Primary), (2, Kind::Meta)]);
    }

    #[test]
    fn the_third_slice_is_the_whole_disk_if_it_holds_the_others_and_has_no_tag() {
        let others = [(1, 0, 0, 1000), (2, 0, 1, 500)];
        let with_third = |third| sun(&[others[0], others[1], third]).table().count();
        assert_eq!(with_third((3, 0, 0, 2016)), 2);
        assert_eq!(with_third((3, 0, 0, 1200)), 3);
        assert_eq!(with_third((3, 4, 0, 2016)), 3);
        assert_eq!(sun(&[(3, 0, 0, 2016)]).table().count(), 1);
    }

    #[test]
    fn an_image_cut_short_keeps_its_slices() {
        let table = sun(&[(1, 2, 0, 1000), (2, 2, 5, 9000)]).table();
        assert_eq!(table.count(), 2);
        assert!(matches!(table.damage[..], [Damage::ImageTooShort { .. }]));
    }
}
