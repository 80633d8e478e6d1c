//! NEC PC-98: a boot sector that ends in 0x55AA as an MBR does, and sixteen entries in the sector behind it.
//!
//! Linux no longer reads it. The structures are those of parted's `libparted/labels/pc98.c`, which takes a table for one by
//! the name of its boot loader; the checks of the entries are those of FreeBSD's `g_part_pc98.c` and more. Entries are in
//! cylinders, heads and sectors, and the table does not say how many of each there are: see [`geometry`].

use super::first_sector::first_sector;
use crate::ptable::boot_sector;
use crate::ptable::fields::{all_zero, byte, has, le16};
use crate::ptable::label::Label;
use crate::ptable::mbr_sector::FirstSector;
use crate::ptable::probe::Probe;
use crate::ptable::rejection::Rejection;
use crate::ptable::superblock;
use crate::ptable::table::{Kind, Partition, PartitionTable, PartitionType};
use crate::ptable::view::View;

const SECTOR: usize = 512;

/// The loader that libparted writes where there is none; nothing but zeros follows.
const LIBPARTED_LOADER: &[u8] = b"\xcb\0\0\0IPL1";

// `struct _PC98RawPartition`, in the second sector
const ENTRIES: u32 = 16;
const ENTRY_BYTES: usize = 32;
const MID_AT: usize = 0; // 1, bit 7: bootable
const SID_AT: usize = 1; // 1, bit 7: active
const START_AT: usize = 8; // sector 1, head 1, cylinder 2
const END_AT: usize = 12; // the same, included
const NAME_AT: usize = 16; // 16
/// What is zero in an entry that is not in use.
const PLACE_BYTES: usize = 16;

/// Cylinder, head and sector, all from 0, in the order of the disk.
type Place = (u64, u64, u64);

/// An entry in use.
struct Entry {
    number: u32,
    id: u32,
    start: Place,
    /// Included; without head and sector, the whole cylinder is.
    end: Place,
    name: Option<String>,
}

impl Entry {
    fn new(number: u32, bytes: &[u8]) -> Entry {
        let place = |at| {
            let [cylinder, head, sector] =
                [u64::from(le16(bytes, at + 2)), u64::from(byte(bytes, at + 1)), u64::from(byte(bytes, at))];
            (cylinder, head, sector)
        };
        // Names are in Shift JIS; what is not ASCII is not told.
        let name = String::from_utf8_lossy(bytes.get(NAME_AT..).unwrap_or_default());
        let name = name.trim_end_matches([' ', '\0']);
        Entry {
            number,
            id: u32::from(byte(bytes, MID_AT)) << 8 | u32::from(byte(bytes, SID_AT)),
            start: place(START_AT),
            end: place(END_AT),
            name: (!name.is_empty()).then(|| name.to_owned()),
        }
    }

    fn ends_with_cylinder(&self) -> bool {
        (self.end.1, self.end.2) == (0, 0)
    }

    fn last(&self) -> Place {
        if self.ends_with_cylinder() { (self.end.0, u64::MAX, u64::MAX) } else { self.end }
    }

    fn flaw(&self) -> Option<&'static str> {
        if self.id == 0 {
            Some("has no type")
        } else if self.start.0 == 0 {
            Some("starts in the cylinder of the table")
        } else if self.last() <= self.start {
            Some("ends before it starts")
        } else {
            None
        }
    }
}

/// The entries in use, every one of which must make sense.
fn entries(table: &[u8]) -> Result<Vec<Entry>, Rejection> {
    let mut entries: Vec<Entry> = Vec::new();
    for (number, bytes) in (1..=ENTRIES).zip(table.chunks_exact(ENTRY_BYTES)) {
        if bytes.get(..PLACE_BYTES).is_some_and(all_zero) {
            continue;
        }
        let entry = Entry::new(number, bytes);
        let overlaps = |other: &Entry| entry.start <= other.last() && other.start <= entry.last();
        let overlap = entries.iter().any(overlaps).then_some("overlaps another");
        if let Some(flaw) = entry.flaw().or(overlap) {
            return Err(Rejection::Entry { number, flaw });
        }
        entries.push(entry);
    }
    if entries.is_empty() { Err(Rejection::Empty) } else { Ok(entries) }
}

/// Heads, and sectors of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Geometry {
    heads: u64,
    sectors: u64,
}

const fn geometry_of(heads: u64, sectors: u64) -> Geometry {
    Geometry { heads, sectors }
}

/// What the BIOS of these machines makes of IDE and SCSI disks, by the size of the cylinder.
const BIOS_GEOMETRIES: [Geometry; 6] = [
    geometry_of(8, 17),
    geometry_of(8, 32),
    geometry_of(15, 63),
    geometry_of(16, 63),
    geometry_of(8, 128),
    geometry_of(16, 255),
];
/// What libparted takes for image files and for disks that tell nothing.
const LIBPARTED_GEOMETRIES: [Geometry; 2] = [geometry_of(4, 32), geometry_of(255, 63)];

impl Geometry {
    fn has(self, (_, head, sector): Place) -> bool {
        head < self.heads && sector < self.sectors
    }

    fn byte(self, (cylinder, head, sector): Place) -> u64 {
        ((cylinder * self.heads + head) * self.sectors + sector) * SECTOR as u64
    }

    fn end(self, entry: &Entry) -> u64 {
        if entry.ends_with_cylinder() {
            self.byte((entry.end.0 + 1, 0, 0))
        } else {
            self.byte(entry.end) + SECTOR as u64
        }
    }
}

/// The geometry that these entries were made with. It has all their heads and sectors, and
///
/// - something known starts where it puts the first partition; or else
/// - libparted wrote the table, and it is libparted's; or else
/// - it is that of the BIOS with which the partitions fill most of the image and do not leave it.
///
/// The count does not rest on it, so what cannot be read is no evidence.
fn geometry(view: &View<'_>, entries: &[Entry], by_libparted: bool) -> Geometry {
    let has_all = |geometry: &Geometry| entries.iter().all(|e| geometry.has(e.start) && geometry.has(e.end));
    let end = |geometry: Geometry| entries.iter().map(|e| geometry.end(e)).max().unwrap_or(0);
    let fits = |geometry: &Geometry| end(*geometry) <= view.size();
    let starts_something = |geometry: &Geometry| {
        let first = entries.iter().min_by_key(|e| e.start);
        let window = first.and_then(|e| {
            let at = geometry.byte(e.start);
            let len = view.size().saturating_sub(at).min(superblock::WINDOW_BYTES);
            view.peek(at, usize::try_from(len).ok()?).ok()?
        });
        window.and_then(|window| superblock::name(&window)).is_some()
    };
    let all = || LIBPARTED_GEOMETRIES.into_iter().filter(|_| by_libparted).chain(BIOS_GEOMETRIES).filter(has_all);
    let by_content = all().filter(fits).find(starts_something);
    let by_size = || {
        if by_libparted { all().find(fits) } else { all().filter(fits).max_by_key(|&geometry| end(geometry)) }
    };
    by_content.or_else(by_size).or_else(|| all().next()).unwrap_or(BIOS_GEOMETRIES[0])
}

/// Looks for a boot sector of a PC-98 with entries behind it.
pub(super) fn probe(view: &View<'_>) -> Probe<PartitionTable> {
    let Some(boot) = view.read(0, SECTOR)? else {
        return Err(Rejection::TooShort.into());
    };
    if !boot_sector::is_pc98(&boot) {
        return Err(Rejection::NoMagic.into());
    }
    // Tools that write an MBR over it keep the loader and what lies behind.
    if let FirstSector::Table(_) = first_sector(view)? {
        return Err(Rejection::Other { what: "dos" }.into());
    }
    if let Some(what) = boot_sector::file_system(&boot) {
        return Err(Rejection::Other { what }.into());
    }
    let Some(table) = view.read(SECTOR as u64, SECTOR)? else {
        return Err(Rejection::TooShort.into());
    };
    let entries = entries(&table)?;
    let rest = boot.get(LIBPARTED_LOADER.len()..boot_sector::SIGNATURE_AT).unwrap_or_default();
    let by_libparted = has(&boot, 0, LIBPARTED_LOADER) && all_zero(rest);
    let geometry = geometry(view, &entries, by_libparted);
    let partition = |entry: Entry| Partition {
        number: entry.number,
        start: geometry.byte(entry.start),
        size: geometry.end(&entry).saturating_sub(geometry.byte(entry.start)),
        kind: Kind::Primary,
        type_id: PartitionType::Number { id: entry.id, digits: 4 },
        name: entry.name,
    };
    let mut table = PartitionTable::new(Label::Pc98, 512, entries.into_iter().map(partition).collect());
    table.note_length(0, view.size());
    Ok(table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ptable::probe::Miss;
    use crate::ptable::testdisk::{Disk, fat16};

    const CYLINDER: usize = 8 * 17 * 512;

    fn entry(start: u16, end: u16) -> Vec<u8> {
        let disk = Disk::new(ENTRY_BYTES).put(0, &[0xa0, 0xa1]);
        let disk = disk.put(START_AT + 2, &start.to_le_bytes()).put(END_AT + 2, &end.to_le_bytes());
        disk.put(NAME_AT, b"MS-DOS 3.30     ").0
    }

    /// 100 cylinders, with whole ones as partitions: slot from 1, first, last.
    fn disk(entries: &[(usize, u16, u16)]) -> Disk {
        let boot = Disk::new(100 * CYLINDER).put(0, b"\xeb\x0a\x90\x90IPL1").put(510, &[0x55, 0xaa]);
        entries
            .iter()
            .fold(boot, |disk, &(slot, start, end)| disk.put(SECTOR + (slot - 1) * ENTRY_BYTES, &entry(start, end)))
    }

    fn rejection(disk: &Disk) -> Rejection {
        match probe(&View::new(&disk.0, disk.0.len() as u64, None)) {
            Err(Miss::Rejected(rejection)) => rejection,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_keep_their_slots_as_numbers_and_are_whole_cylinders() {
        let table = disk(&[(1, 1, 49), (3, 50, 99)]).table();
        assert_eq!((table.label, table.count(), table.is_damaged()), (Label::Pc98, 2, false));
        let p = &table.partitions[1];
        assert_eq!((p.number, p.start, p.size), (3, 50 * CYLINDER as u64, 50 * CYLINDER as u64));
        assert_eq!((p.name.as_deref(), p.type_id.to_string().as_str()), (Some("MS-DOS 3.30"), "0xa0a1"));
    }

    #[test]
    fn an_end_inside_a_cylinder_is_included() {
        let p = &disk(&[(1, 1, 49), (2, 50, 99)]).put(SECTOR + END_AT, &[16, 3]).table().partitions[0];
        assert_eq!(p.size, (48 * 8 * 17 + 4 * 17) * 512);
    }

    #[test]
    fn what_the_mbr_would_make_of_the_boot_code_does_not_count() {
        let overlapping = &[(1, 0x83, 100, 200), (2, 0x83, 200, 200)];
        assert_eq!(disk(&[(1, 1, 99)]).mbr(0, overlapping).table().label, Label::Pc98);
        assert_eq!(disk(&[(1, 1, 99)]).mbr(0, &overlapping[..1]).table().label, Label::Pc98);
        assert!(disk(&[]).mbr(0, &overlapping[..1]).read().unwrap().is_none());
    }

    #[test]
    fn an_mbr_of_several_entries_that_fit_was_written_behind_the_name_of_the_loader() {
        let mbr = &[(1, 0x83, 100, 200), (2, 0x83, 300, 200)];
        for entries in [&[][..], &[(1, 1, 99)]] {
            assert_eq!(disk(entries).mbr(0, mbr).table().label, Label::Dos);
        }
    }

    #[test]
    fn the_geometry_is_that_where_something_starts() {
        let mut large = disk(&[(1, 1, 19)]);
        large.0.resize(16 << 20, 0);
        let boot = |at| large.clone().put(at, &fat16()).table().partitions[0].start;
        for (heads, sectors) in [(8, 17), (8, 32), (15, 63), (8, 128)] {
            let cylinder = heads * sectors * 512;
            assert_eq!(boot(cylinder), cylinder as u64, "{heads} heads, {sectors} sectors");
        }
    }

    #[test]
    fn without_content_the_partitions_fill_the_image() {
        let mut large = disk(&[(1, 1, 99)]);
        large.0.resize(100 * 8 * 32 * 512, 0);
        assert_eq!(large.table().partitions[0].start, 8 * 32 * 512);
        let libparted = large.put(0, LIBPARTED_LOADER);
        assert_eq!(libparted.table().partitions[0].start, 4 * 32 * 512);
    }

    #[test]
    fn an_image_cut_short_keeps_its_partitions() {
        let mut disk = disk(&[(1, 1, 49), (2, 50, 99)]);
        disk.0.truncate(10_000);
        let table = disk.table();
        assert_eq!((table.count(), table.damage[0].code()), (2, "image_too_short"));
    }

    #[test]
    fn every_entry_must_make_sense() {
        let flaw = |entries| match rejection(&disk(entries)) {
            Rejection::Entry { number, flaw } => (number, flaw),
            other => panic!("{other}"),
        };
        assert_eq!(flaw(&[(1, 1, 9), (2, 0, 12)]), (2, "starts in the cylinder of the table"));
        assert_eq!(flaw(&[(1, 1, 9), (2, 12, 11)]), (2, "ends before it starts"));
        assert_eq!(flaw(&[(1, 1, 9), (2, 9, 20)]), (2, "overlaps another"));
        let untyped = disk(&[(1, 1, 9)]).put(SECTOR, &[0, 0]);
        assert_eq!(rejection(&untyped), Rejection::Entry { number: 1, flaw: "has no type" });
        assert!(untyped.read().unwrap().is_none());
    }

    #[test]
    fn a_boot_sector_of_another_kind_is_no_table() {
        assert_eq!(rejection(&disk(&[])), Rejection::Empty);
        assert_eq!(rejection(&disk(&[(1, 1, 9)]).put(4, b"IPL2")), Rejection::NoMagic);
        assert_eq!(rejection(&disk(&[(1, 1, 9)]).put(511, &[0])), Rejection::NoMagic);
        assert_eq!(rejection(&Disk::new(512).put(4, b"IPL1").put(510, &[0x55, 0xaa])), Rejection::TooShort);
        let fat = disk(&[(1, 1, 9)]).put(0, &fat16()).put(4, b"IPL1");
        assert_eq!(rejection(&fat), Rejection::Other { what: "vfat" });
    }
}
