//! Tables that other crates read, too: what they say of well-formed ones is what imgsieve says.
//!
//! Their traps are avoided, for they are not what is tested: `mbrman` adds positions in 32 bits and lists containers;
//! `bootsector` reads no logical partitions, counts from 0 and has to be told of sectors of 4096 bytes; `gpt` reads
//! entries of 128 bytes alone and counts a deleted one that is not all zeros.

#![cfg(feature = "oracles")]

mod common;

use std::io::Cursor;

use common::run;
use gpt::disk::LogicalBlockSize;
use imgsieve::ptable::{Kind, Label, PartitionTable, read_table};
use proptest::prelude::*;
use tempfile::NamedTempFile;

const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;

/// Number, first sector, sectors.
type Extent = (u32, u64, u64);

fn table(image: &[u8]) -> Option<PartitionTable> {
    read_table(&image, image.len() as u64, None).unwrap_or_else(|error| panic!("{error}"))
}

fn extents(table: &PartitionTable) -> Vec<Extent> {
    let sector_size = u64::from(table.sector_size);
    table.partitions.iter().map(|p| (p.number, p.start / sector_size, p.size / sector_size)).collect()
}

fn by_mbrman(image: &[u8], sector_size: u32) -> Vec<Extent> {
    let mbr = mbrman::MBR::read_from(&mut Cursor::new(image), sector_size).expect("a table that mbrman reads");
    let used = mbr.iter().filter(|(_, partition)| partition.is_used());
    used.map(|(number, p)| (u32::try_from(number).expect("small"), p.starting_lba.into(), p.sectors.into())).collect()
}

fn by_bootsector(image: &[u8]) -> Vec<Extent> {
    let partitions = bootsector::list_partitions(image, &bootsector::Options::default());
    let partitions = partitions.expect("a table that bootsector reads");
    let extent =
        |p: &bootsector::Partition| (u32::try_from(p.id).expect("small") + 1, p.first_byte / SECTOR, p.len / SECTOR);
    partitions.iter().map(extent).collect()
}

/// Room before a partition and its length, in sectors.
type Span = (u32, u32);

/// An MBR to be.
#[derive(Debug, Clone)]
struct Plan {
    /// Which slots are in use, the extended partition among them.
    slots: Vec<u32>,
    primaries: Vec<Span>,
    /// The logical partitions; none, and no extended one, if empty.
    logicals: Vec<Span>,
    extended: u8,
    types: Vec<u8>,
    sector_size: usize,
}

fn plan() -> impl Strategy<Value = Plan> {
    let span = || (1_u32..300, 1_u32..1500);
    // No type of a slice that may hold a label of its own.
    let types = proptest::collection::vec(proptest::sample::select(vec![0x01, 0x06, 0x07, 0x0b, 0x0c, 0x83, 0x8e]), 12);
    let logicals = proptest::collection::vec(span(), 0..8);
    let extended = proptest::sample::select(vec![0x05, 0x0f, 0x85]);
    let slots = proptest::sample::subsequence(vec![1_u32, 2, 3, 4], 1..=4);
    (slots, proptest::collection::vec(span(), 4), logicals, extended, types).prop_map(
        |(slots, mut primaries, logicals, extended, types)| {
            primaries.truncate(slots.len() - usize::from(!logicals.is_empty()));
            Plan { slots, primaries, logicals, extended, types, sector_size: 512 }
        },
    )
}

impl Plan {
    /// The image, which ends soon behind its last partition, and what is in it.
    fn build(&self) -> (Vec<u8>, Vec<Extent>) {
        let mut sectors: Vec<(u64, Vec<Entry>)> = vec![(0, Vec::new())];
        let (mut expected, mut at, mut types) = (Vec::new(), 1, self.types.iter());
        let mut next_type = || *types.next().expect("one for each");
        for (&slot, &(gap, len)) in self.slots.iter().zip(&self.primaries) {
            let start = at + gap;
            at = start + len;
            sectors[0].1.push((slot, next_type(), start, len));
            expected.push((slot, start.into(), len.into()));
        }
        if !self.logicals.is_empty() {
            let first = at + 7;
            let mut ebr = first;
            let mut logical = Vec::new();
            for (number, &(gap, len)) in (5..).zip(&self.logicals) {
                let end = ebr + gap + len;
                if number > 5 {
                    sectors.last_mut().expect("the EBR before").1.push((2, self.extended, ebr - first, end - ebr));
                }
                sectors.push((ebr.into(), vec![(1, next_type(), gap, len)]));
                logical.push((number, u64::from(ebr + gap), u64::from(len)));
                ebr = end;
            }
            let slot = self.slots[self.primaries.len()];
            sectors[0].1.push((slot, self.extended, first, ebr - first));
            expected.push((slot, first.into(), (ebr - first).into()));
            expected.extend(logical);
            at = ebr;
        }
        let mut image = vec![0; (at as usize + 3) * self.sector_size];
        for (lba, entries) in sectors {
            let lba = usize::try_from(lba).expect("in memory");
            let sector = &mut image[lba * self.sector_size..][..512];
            sector[510..].copy_from_slice(&[0x55, 0xaa]);
            for (slot, type_id, start, len) in entries {
                let entry = &mut sector[430 + 16 * slot as usize..][..16];
                entry[4] = type_id;
                entry[8..12].copy_from_slice(&start.to_le_bytes());
                entry[12..].copy_from_slice(&len.to_le_bytes());
            }
        }
        (image, expected)
    }
}

/// Slot, type, first sector, sectors.
type Entry = (u32, u8, u32, u32);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_generated_mbr_is_what_mbrman_and_bootsector_say(plan in plan()) {
        let (image, expected) = plan.build();
        let table = table(&image).expect("a table");
        prop_assert_eq!((table.label, table.sector_size, table.is_damaged()), (Label::Dos, 512, false));
        let ours = extents(&table);
        prop_assert_eq!(&ours, &expected);
        prop_assert_eq!(&ours, &by_mbrman(&image, 512));
        if plan.logicals.is_empty() {
            prop_assert_eq!(&ours, &by_bootsector(&image));
        }
    }

    #[test]
    fn a_generated_mbr_of_larger_sectors_is_what_mbrman_says(plan in plan()) {
        // An MBR does not say its sector size: the place of the first EBR does.
        prop_assume!(!plan.logicals.is_empty());
        let plan = Plan { sector_size: 4096, ..plan };
        let (image, expected) = plan.build();
        let table = table(&image).expect("a table");
        prop_assert_eq!((table.label, table.sector_size), (Label::Dos, 4096));
        prop_assert_eq!(extents(&table), expected);
        prop_assert_eq!(extents(&table), by_mbrman(&image, 4096));
    }

    #[test]
    fn a_generated_gpt_is_what_gpt_and_bootsector_say(
        sizes in proptest::collection::vec((1_u64..64, "[a-zäß ]{0,20}"), 0..12),
        removed in proptest::option::of(1_u32..12),
        is_4096 in any::<bool>(),
    ) {
        let (sector_size, lba_size) = if is_4096 { (4096, LogicalBlockSize::Lb4096) } else { (512, LogicalBlockSize::Lb512) };
        let device = Box::new(Cursor::new(vec![0_u8; 4 << 20]));
        let config = gpt::GptConfig::new().writable(true).logical_block_size(lba_size);
        let mut disk = config.create_from_device(device, None).unwrap();
        for (size, name) in &sizes {
            disk.add_partition(name, size * 4096, gpt::partition_types::LINUX_FS, 0, None).unwrap();
        }
        if let Some(number) = removed {
            disk.remove_partition(number);
        }
        let mut image = disk.write().unwrap().into_inner();
        // The crate writes the two headers and leaves LBA 0 to others.
        gpt::mbr::ProtectiveMBR::with_lb_size(u32::try_from(image.len() / sector_size - 1).unwrap())
            .overwrite_lba0(&mut Cursor::new(&mut image))
            .unwrap();
        // Written, the entries close up behind one that was removed.
        let disk = gpt::GptConfig::new().logical_block_size(lba_size);
        let disk = disk.open_from_device(Box::new(Cursor::new(image.clone()))).unwrap();
        let mut theirs: Vec<(Extent, String)> = disk
            .partitions()
            .iter()
            .filter(|(_, p)| p.is_used())
            .map(|(&number, p)| ((number, p.first_lba, p.last_lba - p.first_lba + 1), p.name.clone()))
            .collect();
        theirs.sort();
        let read = table(&image).expect("a table");
        prop_assert_eq!((read.label, read.sector_size as usize, read.is_damaged()), (Label::Gpt, sector_size, false));
        let named = |table: &PartitionTable| -> Vec<(Extent, String)> {
            let names = table.partitions.iter().map(|p| p.name.clone().unwrap_or_default());
            extents(table).into_iter().zip(names).collect()
        };
        prop_assert_eq!(named(&read), theirs.clone());
        if !is_4096 {
            prop_assert_eq!(extents(&read), by_bootsector(&image));
        }
        // The backup is the same.
        image[sector_size..sector_size + 512].fill(0);
        prop_assert_eq!(named(&table(&image).expect("the backup")), theirs);
    }
}

#[test]
fn what_sfdisk_makes_is_what_the_crates_say() {
    const DOS: &str = "label: dos\n2048,20480,83\n,20480,7\n,,5\n,8192,83\n,8192,82\n,8192,7\n";
    const PRIMARY: &str = "label: dos\n2048,20480,83\n,20480,7\n,8192,82\n";
    const GPT: &str = "label: gpt\nsize=4096,type=U,name=\"EFI system\"\nsize=8192\ntype=S\n";
    for (script, is_read_by_mbrman) in [(DOS, true), (PRIMARY, true), (GPT, false)] {
        let file = NamedTempFile::new().unwrap();
        file.as_file().set_len(64 * MIB).unwrap();
        run("fdisk", "sfdisk", &["--quiet", file.path().to_str().unwrap()], script);
        let image = std::fs::read(file.path()).unwrap();
        let table = table(&image).expect("a table");
        let ours = extents(&table);
        if is_read_by_mbrman {
            assert_eq!(ours, by_mbrman(&image, 512), "{script}");
        }
        if !table.partitions.iter().any(|partition| partition.kind == Kind::Extended) {
            assert_eq!(ours, by_bootsector(&image), "{script}");
        }
    }
}
