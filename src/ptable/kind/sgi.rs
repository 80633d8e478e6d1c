//! The disk volume header of SGI IRIX.
//!
//! Read as Linux (`block/partitions/sgi.c`) and `libblkid` (`libblkid/src/partitions/sgi.c`) do: magic number and
//! checksum make a header. The entries for the header itself and for the whole volume do not count.

use crate::ptable::boot_sector;
use crate::ptable::fields::be32;
use crate::ptable::label::Label;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

// `struct sgi_disklabel` of Linux's block/partitions/sgi.c. The header is one sector.
const SECTOR: u32 = 512;
const MAGIC: u32 = 0x0be5_a941;
const PARTITIONS_AT: usize = 312; // 16 x 12 bytes
const PARTITION_BYTES: usize = 12; // sectors 4, start 4, type 4
const START_AT: usize = 4;
const TYPE_AT: usize = 8;
const PARTITIONS: u32 = 16;
const CHECKSUM_AT: usize = 504; // 4

/// `SGI_TYPE_VOLHDR` and `SGI_TYPE_ENTIRE_DISK` of `libblkid`: the volume header, and the whole volume.
const META_TYPES: [u32; 2] = [0, 6];

/// Looks for a volume header.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(sector) = view.read(0, boot_sector::SIZE)? else {
        return Err(Rejection::TooShort.into());
    };
    if be32(&sector, 0) != MAGIC {
        return Err(Rejection::NoMagic.into());
    }
    let stored = be32(&sector, CHECKSUM_AT);
    let computed = 0_u32.wrapping_sub(sum(&sector).wrapping_sub(stored));
    if computed != stored {
        return Err(Rejection::Checksum { stored, computed }.into());
    }
    let places = (1..=PARTITIONS).zip((PARTITIONS_AT..).step_by(PARTITION_BYTES));
    let used = places.filter_map(|(number, at)| {
        let bytes = |at| u64::from(be32(&sector, at)) * u64::from(SECTOR);
        let id = be32(&sector, at + TYPE_AT);
        (be32(&sector, at) != 0).then(|| Partition {
            number,
            start: bytes(at + START_AT),
            size: bytes(at),
            kind: if META_TYPES.contains(&id) { Kind::Meta } else { Kind::Primary },
            type_id: PartitionType::Number { id, digits: 2 },
            name: None,
        })
    });
    let partitions: Vec<_> = used.collect();
    if partitions.is_empty() {
        return Err(Rejection::Empty.into());
    }
    let mut table = PartitionTable::new(Label::Sgi, SECTOR, partitions);
    table.note_length(0, view.size());
    Ok(table)
}

fn sum(sector: &[u8]) -> u32 {
    (0..boot_sector::SIZE).step_by(4).fold(0_u32, |sum, at| sum.wrapping_add(be32(sector, at)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::damage::Damage;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::Disk;

    /// A sealed header: number, type, start, sectors.
    fn sgi(partitions: &[(usize, u32, u32, u32)]) -> Disk {
        let header = Disk::new(1 << 20).put(0, &MAGIC.to_be_bytes());
        seal(partitions.iter().fold(header, |header, &(number, id, start, sectors)| {
            let at = PARTITIONS_AT + (number - 1) * PARTITION_BYTES;
            header
                .put(at, &sectors.to_be_bytes())
                .put(at + START_AT, &start.to_be_bytes())
                .put(at + TYPE_AT, &id.to_be_bytes())
        }))
    }

    fn seal(header: Disk) -> Disk {
        let unsealed = header.put(CHECKSUM_AT, &[0; 4]);
        let checksum = 0_u32.wrapping_sub(sum(&unsealed.0));
        unsealed.put(CHECKSUM_AT, &checksum.to_be_bytes())
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_header_with_its_checksum_is_read() {
        let table = sgi(&[(1, 10, 100, 900), (2, 3, 1000, 500), (9, 0, 0, 100), (11, 6, 0, 2000)]).table();
        assert_eq!((table.label, table.sector_size, table.count()), (Label::Sgi, 512, 2));
        assert!(!table.is_damaged());
        let kinds: Vec<_> = table.partitions.iter().map(|p| (p.number, p.kind)).collect();
        assert_eq!(kinds, [(1, Kind::Primary), (2, Kind::Primary), (9, Kind::Meta), (11, Kind::Meta)]);
        let swap = &table.partitions[1];
        assert_eq!((swap.start, swap.size, swap.type_id.to_string()), (512_000, 256_000, "0x03".to_owned()));
    }

    #[test]
    fn a_header_without_its_checksum_is_none() {
        let disk = sgi(&[(1, 10, 100, 900)]).put(20, &[1]);
        assert!(matches!(rejection(&disk), Rejection::Checksum { .. }));
        assert_eq!(rejection(&Disk::new(1024)), Rejection::NoMagic);
        assert_eq!(rejection(&Disk::new(511)), Rejection::TooShort);
        assert_eq!(rejection(&sgi(&[])), Rejection::Empty);
    }

    #[test]
    fn an_image_cut_short_keeps_its_partitions() {
        let table = sgi(&[(1, 10, 100, 900), (16, 10, 9000, 500)]).table();
        assert_eq!((table.count(), table.partitions[1].number), (2, 16));
        assert!(matches!(table.damage[..], [Damage::ImageTooShort { .. }]));
    }

    #[test]
    fn a_header_comes_before_the_mbr_that_its_last_bytes_look_like() {
        let disk = seal(sgi(&[(1, 10, 100, 900)]).put(510, &[0x55, 0xaa]));
        assert_eq!(disk.table().label, Label::Sgi);
    }
}
