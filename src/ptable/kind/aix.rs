//! A physical volume of AIX, whose logical volumes Linux shows as partitions where they are contiguous.
//!
//! The magic numbers are those of `aix_magic_present` in Linux's `block/partitions/msdos.c`; the volume group descriptor
//! area (VGDA) is read as in `aix.c`: only of version 1, and only the first physical volume's map. What the kernel does
//! not show, logical volumes in pieces among them, cannot be listed, and so leaves an image undecided.

use crate::ptable::boot_sector;
use crate::ptable::error::{Error, Reason};
use crate::ptable::fields::{be16, be32, has};
use crate::ptable::label::Label;
use crate::ptable::mbr_sector;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

const SECTOR: u64 = 512;
/// `IBMA` in EBCDIC.
const MAGIC: &[u8] = &[0xc9, 0xc2, 0xd4, 0xc1];
/// With one of these in its MBR the disk is Linux's: swap, data, LVM, RAID.
const LINUX_TYPES: [u8; 4] = [0x82, 0x83, 0x8e, 0xfd];

// `struct lvm_rec` of Linux's block/partitions/aix.c.
const RECORD_LBA: u64 = 7;
const RECORD_MAGIC: &[u8] = b"_LVM";
const RECORD_VGDA_SECTORS_AT: usize = 24; // 4 bytes, vgda_len
const RECORD_VGDA_LBA_AT: usize = 28; // 4, vgda_psn[0]
const RECORD_PP_SIZE_AT: usize = 46; // 2, binary logarithm
const RECORD_VERSION_AT: usize = 60; // 2
const VERSION: u16 = 1;
/// Bytes in a physical partition, as a binary logarithm: a sector to 1 GiB.
const PP_SIZES: std::ops::RangeInclusive<u16> = 9..=30;

// `struct vgda`, and where its parts are, in sectors from its start.
const VGDA_LVS_AT: usize = 24; // 2, numlvs
const LVS_SECTOR: u64 = 1;
const PV_SECTOR: u64 = 17;
/// The names are that far from the end.
const NAMES_SECTORS_FROM_END: u64 = 33;

// `struct lvd` and `struct lvname`.
const MAX_LVS: usize = 256;
const LV_BYTES: usize = 32;
const LV_SIZE_AT: usize = 14; // 2, num_lps
const NAME_BYTES: usize = 64;

// `struct pvd` and `struct ppe`.
const PV_PPS_AT: usize = 16; // 2, pp_count
const PV_FIRST_LBA_AT: usize = 20; // 4, psn_part1
const PV_MAP_AT: usize = 32; // 1016 x 32
const MAX_PPS: usize = 1016;
const PP_BYTES: usize = 32;
const PP_LV_AT: usize = 0; // 2, from 1
const PP_LP_AT: usize = 6; // 2, from 1; 0 is free

/// Looks for a physical volume, and reads its contiguous logical volumes.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(sector) = view.read(0, boot_sector::SIZE)? else {
        return Err(Rejection::TooShort.into());
    };
    if !has(&sector, 0, MAGIC) {
        return Err(Rejection::NoMagic.into());
    }
    if mbr_sector::entries(&sector).iter().any(|entry| LINUX_TYPES.contains(&entry.type_id) || entry.is_extended()) {
        return Err(Rejection::Other { what: "dos" }.into());
    }
    let Some(record) = view.read(RECORD_LBA * SECTOR, boot_sector::SIZE)? else {
        return Err(Rejection::TooShort.into());
    };
    if !has(&record, 0, RECORD_MAGIC) {
        return Err(Rejection::NoMagic.into());
    }
    let undecidable = |partial| Error::undecidable(Reason::EntriesLost { label: Label::Aix }, partial);
    let Some(Volumes { partitions, in_pieces }) = read_volumes(view, &record)? else {
        return Err(undecidable(None).into());
    };
    let mut table = PartitionTable::new(Label::Aix, 512, partitions);
    table.note_length(0, view.size());
    if in_pieces && !view.settles(table.count()) { Err(undecidable(Some(table)).into()) } else { Ok(table) }
}

/// The logical volumes on a physical one.
struct Volumes {
    /// Those in one piece.
    partitions: Vec<Partition>,
    /// Whether there are others.
    in_pieces: bool,
}

/// `None` where the VGDA is of a kind that is not read, or makes no sense.
fn read_volumes(view: &View<'_>, record: &[u8]) -> Result<Option<Volumes>, Error> {
    let pp_size = be16(record, RECORD_PP_SIZE_AT);
    let vgda = u64::from(be32(record, RECORD_VGDA_LBA_AT));
    let sectors = u64::from(be32(record, RECORD_VGDA_SECTORS_AT));
    if be16(record, RECORD_VERSION_AT) != VERSION
        || !PP_SIZES.contains(&pp_size)
        || vgda == 0
        || sectors < PV_SECTOR + NAMES_SECTORS_FROM_END
    {
        return Ok(None);
    }
    let read = |sector: u64, len: usize| view.read((vgda + sector) * SECTOR, len);
    let (Some(header), Some(lvs), Some(pv), Some(names)) = (
        read(0, boot_sector::SIZE)?,
        read(LVS_SECTOR, MAX_LVS * LV_BYTES)?,
        read(PV_SECTOR, PV_MAP_AT + MAX_PPS * PP_BYTES)?,
        read(sectors - NAMES_SECTORS_FROM_END, MAX_LVS * NAME_BYTES)?,
    ) else {
        return Ok(None);
    };
    let lv_pps: Vec<_> = lvs.chunks_exact(LV_BYTES).map(|lv| be16(lv, LV_SIZE_AT)).collect();
    let pps = usize::from(be16(&pv, PV_PPS_AT));
    if be16(&header, VGDA_LVS_AT) == 0 || !(1..=MAX_PPS).contains(&pps) {
        return Ok(None);
    }
    let map = pv.get(PV_MAP_AT..).unwrap_or_default().chunks_exact(PP_BYTES).take(pps);
    let map: Vec<_> = map.map(|pp| (be16(pp, PP_LV_AT), be16(pp, PP_LP_AT))).collect();
    let pp_bytes = 1_u64 << pp_size;
    let first = u64::from(be32(&pv, PV_FIRST_LBA_AT)) * SECTOR;
    let mut partitions: Vec<_> = whole_runs(&map, &lv_pps)
        .into_iter()
        .map(|(lv, pp, count)| Partition {
            number: u32::from(lv),
            start: first + pp as u64 * pp_bytes,
            size: u64::from(count) * pp_bytes,
            kind: Kind::Primary,
            type_id: PartitionType::Unknown,
            name: name(&names, lv),
        })
        .collect();
    partitions.sort_by_key(|partition| partition.number);
    partitions.dedup_by_key(|partition| partition.number);
    let is_listed = |lv: u16| partitions.iter().any(|partition| partition.number == u32::from(lv));
    let in_pieces = map.iter().any(|&(lv, lp)| lp != 0 && lv != 0 && !is_listed(lv));
    Ok(Some(Volumes { partitions, in_pieces }))
}

/// The logical volumes, from 1, all of whose logical partitions follow each other in `map`; the index of the first, and
/// their number.
fn whole_runs(map: &[(u16, u16)], lv_pps: &[u16]) -> Vec<(u16, usize, u16)> {
    let mut runs = Vec::new();
    let mut run: Option<(u16, usize)> = None;
    for (pp, &(lv, lp)) in map.iter().enumerate() {
        run = match run {
            _ if lp == 1 => Some((lv, pp)),
            Some((current, start)) if current == lv && usize::from(lp) == pp - start + 1 => run,
            _ => None,
        };
        let count = usize::from(lv).checked_sub(1).and_then(|index| lv_pps.get(index));
        if let (Some((_, start)), Some(&count)) = (run, count)
            && count == lp
        {
            runs.push((lv, start, count));
            run = None;
        }
    }
    runs
}

fn name(names: &[u8], lv: u16) -> Option<String> {
    let at = usize::from(lv).checked_sub(1)? * NAME_BYTES;
    let field = names.get(at..at + NAME_BYTES)?;
    let letters = field.split(|&byte| byte == 0).next()?;
    (!letters.is_empty()).then(|| String::from_utf8_lossy(letters).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::testdisk::Disk;

    const VGDA: usize = 100;
    const VGDA_SECTORS: usize = 2098;

    /// Logical partitions of each logical volume, and what each physical partition of 1 MiB holds.
    fn aix(lvs: &[u16], map: &[(u16, u16)]) -> Disk {
        let sector = |lba: usize| lba * 512;
        let record = sector(7);
        let disk = Disk::new(8 << 20)
            .put(0, MAGIC)
            .put(record, RECORD_MAGIC)
            .put(record + RECORD_VGDA_SECTORS_AT, &u32::try_from(VGDA_SECTORS).unwrap().to_be_bytes())
            .put(record + RECORD_VGDA_LBA_AT, &u32::try_from(VGDA).unwrap().to_be_bytes())
            .put(record + RECORD_PP_SIZE_AT, &20_u16.to_be_bytes())
            .put(record + RECORD_VERSION_AT, &VERSION.to_be_bytes())
            .put(sector(VGDA) + VGDA_LVS_AT, &u16::try_from(lvs.len()).unwrap().to_be_bytes());
        let names = sector(VGDA + VGDA_SECTORS - 33);
        let disk = lvs.iter().enumerate().fold(disk, |disk, (index, count)| {
            disk.put(sector(VGDA + 1) + index * LV_BYTES + LV_SIZE_AT, &count.to_be_bytes())
                .put(names + index * NAME_BYTES, format!("hd{index}").as_bytes())
        });
        let pv = sector(VGDA + 17);
        let disk = disk
            .put(pv + PV_PPS_AT, &u16::try_from(map.len()).unwrap().to_be_bytes())
            .put(pv + PV_FIRST_LBA_AT, &4352_u32.to_be_bytes());
        map.iter().enumerate().fold(disk, |disk, (index, (lv, lp))| {
            let at = pv + PV_MAP_AT + index * PP_BYTES;
            disk.put(at + PP_LV_AT, &lv.to_be_bytes()).put(at + PP_LP_AT, &lp.to_be_bytes())
        })
    }

    const MAP: &[(u16, u16)] = &[(1, 1), (0, 0), (2, 1), (2, 2), (3, 1)];

    #[test]
    fn contiguous_logical_volumes_are_partitions() {
        let table = aix(&[1, 2, 1], MAP).table();
        assert_eq!((table.label, table.count()), (Label::Aix, 3));
        let second = &table.partitions[1];
        assert_eq!((second.number, second.start, second.size), (2, 4352 * 512 + (2 << 20), 2 << 20));
        assert_eq!(second.name.as_deref(), Some("hd1"));
    }

    #[test]
    fn one_in_pieces_leaves_the_image_undecided_unless_there_are_two_others() {
        let in_pieces = &[(1, 1), (2, 2), (2, 1), (3, 1)];
        let table = aix(&[1, 2, 1], in_pieces).table();
        assert_eq!(table.partitions.iter().map(|p| p.number).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(aix(&[1, 2], &in_pieces[..3]).reason(), "entries_lost");
        // Its end is on another disk.
        assert_eq!(aix(&[1, 3], &MAP[..4]).reason(), "entries_lost");
    }

    #[test]
    fn a_vgda_that_is_lost_leaves_the_image_undecided() {
        let disk = aix(&[1, 2, 1], MAP);
        let record = 7 * 512;
        for (at, bytes) in [
            (VGDA * 512 + VGDA_LVS_AT, [0, 0]),
            (record + RECORD_VERSION_AT, [0, 2]),
            (record + RECORD_PP_SIZE_AT, [0, 31]),
            (record + RECORD_VGDA_LBA_AT, [0xff, 0xff]),
            (record + RECORD_VGDA_SECTORS_AT + 2, [0, 32]),
            ((VGDA + 17) * 512 + PV_PPS_AT, [0xff, 0xff]),
        ] {
            assert_eq!(disk.clone().put(at, &bytes).reason(), "entries_lost", "byte {at}");
        }
    }

    #[test]
    fn both_magic_numbers_are_needed_and_no_partition_of_linux() {
        let is_label = |disk: Disk| disk.read().ok().flatten().is_some_and(|table| table.label == Label::Aix);
        let disk = aix(&[1, 2, 1], MAP);
        assert!(is_label(disk.clone().mbr(0, &[(1, 0x41, 100, 100)])));
        assert!(!is_label(disk.clone().mbr(0, &[(1, 0x83, 100, 100)])));
        assert!(!is_label(disk.clone().put(0, &[0])));
        assert!(!is_label(disk.put(7 * 512, b"?")));
    }
}
