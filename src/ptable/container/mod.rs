//! Containers of images: a file that is named like an image, and holds one in another form.
//!
//! Where a table was found or a file system stands on the whole disk, the image is what they say, whatever else it looks
//! like: those are told by more than a few bytes at the start of a file. What is left is looked at here, and where a GPT
//! is found only by what remains of it: a container ends with the last sectors of its disk, and so with the disk's backup.
//!
//! | the image | verdict |
//! |---|---|
//! | begins or ends as a format that holds images in pieces, compressed or encoded ([`formats`]) | undecidable (`container`), with the name and the program that opens it |
//! | is a disk behind a header, or in front of a footer ([`Wrapper`]) | that of the disk; places are those in the image |
//! | neither | as without this module |
//!
//! The start is looked at wherever nothing was found; the end only where something has been looked for there already, for
//! it may be dear. So a format that is told by its start may take the place of a table that is damaged beyond deciding,
//! and one that is told by its end may not, but for the footer of a VHD of fixed size, whose disk is read again without
//! it: then a GPT's backup lies where it should.

mod formats;
mod wrapper;

use std::ops::Range;

pub use self::wrapper::Wrapper;
use super::damage::Damage;
use super::error::{Error, Reason};
use super::kind::whole_disk;
use super::table::PartitionTable;
use super::view::View;
use formats::Format;

/// What an image is, in which nothing else was found.
pub(super) enum Found {
    /// A disk as it is, with something around it.
    Wrapped(Wrapper),
    /// A format that has to be opened first.
    Closed(Error),
}

/// Looks whether the image is a container. `outcome` is what was found in it.
pub(super) fn look(view: &View<'_>, outcome: &Result<Option<PartitionTable>, Error>) -> Option<Found> {
    let is_open = match outcome {
        Ok(table) => table.as_ref().is_none_or(is_remains),
        Err(error) => matches!(error, Error::Undecidable { .. }),
    };
    if !is_open {
        return None;
    }
    let head = view.peek(0, usize::try_from(view.size().min(formats::HEAD_BYTES as u64)).ok()?).ok()??;
    let end = view.loaded_end(formats::END_BYTES).unwrap_or_default();
    let wrapped = wrapper::at_start(view, &head).or_else(|| wrapper::at_end(end, view.size()));
    let closed = formats::at_start(&head)
        .map(|format| (format, 0..head.len() as u64))
        .or_else(|| Some((formats::at_end(end)?, view.size() - end.len() as u64..view.size())))
        .filter(|(_, place)| place.start == 0 || matches!(outcome, Ok(None)));
    if wrapped.is_none() && closed.is_none() || stands(view) {
        return None;
    }
    if let Some((wrapper, told_by)) = wrapped {
        view.note(told_by);
        return Some(Found::Wrapped(wrapper));
    }
    let (Format { what, opener, .. }, place): (&Format, Range<u64>) = closed?;
    view.note(place);
    Some(Found::Closed(Error::undecidable(Reason::Container { what, opener }, None)))
}

/// Whether nothing at the start of the image tells of the table.
fn is_remains(table: &PartitionTable) -> bool {
    let is_lost = |damage: &Damage| matches!(damage, Damage::PrimaryGpt { .. });
    table.damage.contains(&Damage::NoProtectiveMbr) && table.damage.iter().any(is_lost)
}

/// Whether a file system, RAID or volume manager explains what the image starts with.
fn stands(view: &View<'_>) -> bool {
    matches!(whole_disk(view), Ok(Some(_)))
}

#[cfg(test)]
mod tests {
    use super::super::testdisk::{Disk, fat16};
    use super::super::{Wrapper, examine};

    const MIB: usize = 1 << 20;

    /// A disk of 4 MiB whose MBR has two partitions.
    fn disk() -> Disk {
        Disk::new(4 * MIB).mbr(0, &[(1, 0x83, 63, 1000), (2, 6, 2048, 4096)])
    }

    /// `disk` between other bytes.
    fn between(header: &[u8], disk: &Disk, footer: &[u8]) -> Disk {
        Disk([header, &disk.0, footer].concat())
    }

    fn numbers(widths: &[(usize, u64)]) -> Vec<u8> {
        widths.iter().flat_map(|&(width, number)| number.to_le_bytes()[..width].to_vec()).collect()
    }

    fn nhd(bytes: u64) -> Vec<u8> {
        let mut header = [b"T98HDDIMAGE.R0\0\0".to_vec(), vec![b' '; 256]].concat();
        header.extend(numbers(&[(4, 512), (4, bytes / 8192), (2, 2), (2, 8), (2, 512)]));
        header.resize(512, 0);
        header
    }

    fn anex86(bytes: u64) -> Vec<u8> {
        let mut header =
            numbers(&[(4, 0), (4, 0), (4, 4096), (4, bytes), (4, 256), (4, 32), (4, 8), (4, bytes / 65536)]);
        header.resize(4096, 0);
        header
    }

    fn virtual_98(bytes: u64) -> Vec<u8> {
        let mut header = [b"VHD1.00\0".to_vec(), vec![0; 132]].concat();
        header.extend(numbers(&[(2, bytes >> 20), (2, 256), (1, 32), (1, 8), (2, bytes / 65536), (4, bytes / 256)]));
        header.resize(220, 0);
        header
    }

    fn two_img(bytes: u64) -> Vec<u8> {
        let mut header = b"2IMGtest".to_vec();
        header.extend(numbers(&[(2, 64), (2, 1), (4, 1), (4, 0), (4, bytes / 512), (4, 64), (4, bytes)]));
        header.resize(64, 0);
        header
    }

    fn disk_copy(bytes: u64) -> Vec<u8> {
        let mut header = vec![4, b'D', b'i', b's', b'k'];
        header.resize(64, 0);
        header.extend(u32::try_from(bytes).unwrap().to_be_bytes());
        header.extend([0; 12]);
        header.extend([3, 0x22, 1, 0]);
        header
    }

    fn vhd_footer(bytes: u64, kind: u8, length: usize) -> Vec<u8> {
        let mut footer = b"conectix".to_vec();
        footer.resize(length, 0);
        footer[40..48].copy_from_slice(&bytes.to_be_bytes());
        footer[48..56].copy_from_slice(&bytes.to_be_bytes());
        footer[63] = kind;
        let sum: u32 = footer.iter().map(|&byte| u32::from(byte)).sum();
        footer[64..68].copy_from_slice(&(!sum).to_be_bytes());
        footer
    }

    #[test]
    fn a_disk_behind_a_header_is_read_where_it_lies() {
        let disk = disk();
        let bytes = disk.0.len() as u64;
        let headers: [(&str, Vec<u8>); 5] = [
            ("an NHD of T98-Next", nhd(bytes)),
            ("an HDI or FDI of Anex86", anex86(bytes)),
            ("a hard disk image of Virtual98", virtual_98(bytes)),
            ("a 2IMG", two_img(bytes)),
            ("an image of Disk Copy 4.2", disk_copy(bytes)),
        ];
        for (what, header) in headers {
            let start = header.len() as u64;
            let image = between(&header, &disk, &[]);
            let found = examine(&image.0, image.0.len() as u64, None);
            assert_eq!(found.wrapper, Some(Wrapper { what, disk: start..start + bytes }), "{what}");
            let table = found.outcome.expect("decidable").expect("a table");
            let starts: Vec<u64> = table.partitions.iter().map(|partition| partition.start).collect();
            assert_eq!(starts, [start + 63 * 512, start + 2048 * 512], "{what}");
            assert!(found.consulted.contains(&(0..start)) && found.consulted.contains(&(start..start + 512)));
            // The header alone is what is left of an image cut short.
            assert!(matches!(Disk(header).read(), Ok(None)), "{what}");
        }
    }

    #[test]
    fn a_header_whose_numbers_disagree_is_none() {
        let bytes = 4 * MIB as u64;
        for (header, at) in [(anex86(bytes), 12), (anex86(bytes), 28), (anex86(bytes), 8), (nhd(bytes), 284)] {
            let mut wrong = header;
            wrong[at] ^= 1;
            assert_eq!(between(&wrong, &disk(), &[]).read().expect("decidable"), None, "byte {at}");
        }
        let longer = between(&disk_copy(bytes), &disk(), &[0]);
        assert_eq!(longer.read().expect("decidable"), None);
    }

    #[test]
    fn the_footer_of_a_vhd_is_no_part_of_its_disk() {
        // Of this GPT only the backup is left, which is the last sector of the disk and not of the image.
        let gpt = super::super::testdisk::Gpt::new(&[(40, 99), (100, 199)]);
        let disk = gpt.disk().put(0, &vec![0; 34 * 512]);
        let bytes = disk.0.len() as u64;
        for length in [512, 511] {
            let image = between(&[], &disk, &vhd_footer(bytes, 2, length));
            let found = examine(&image.0, image.0.len() as u64, None);
            let table = found.outcome.expect("decidable").expect("a table");
            assert!(table.is_vouched_for() && table.count() == 2, "{table:?}");
            assert_eq!(found.wrapper.map(|wrapper| wrapper.disk), Some(0..bytes));
        }
        let mut torn = vhd_footer(bytes, 2, 512);
        torn[64] ^= 1;
        let image = between(&[], &disk, &torn);
        assert_eq!(examine(&image.0, image.0.len() as u64, None).wrapper, None);
    }

    #[test]
    fn a_container_is_undecidable_and_says_what_opens_it() {
        let gzip = Disk::new(MIB).put(0, b"\x1f\x8b\x08\0\0\0\0\0\0\x03");
        let koly = Disk::new(MIB).put(MIB - 512, b"koly\0\0\0\x04\0\0\x02\0");
        let ghost = Disk::new(MIB).put(0, &[0xfe, 0xef, 1, 3]);
        for (image, message) in [
            (gzip, "gzip data: gunzip opens it"),
            (koly, "a UDIF container (dmg): dmg2img opens it"),
            (ghost, "a Ghost container: ghostexp opens it"),
        ] {
            assert_eq!(image.reason(), "container");
            assert_eq!(image.read().expect_err("undecidable").to_string(), message);
        }
    }

    #[test]
    fn what_stands_outweighs_a_container() {
        let magics: [&[u8]; 4] =
            [b"\x1f\x8b\x08\0\0\0\0\0\0\x03", b"EVF\x09\x0d\x0a\xff\x00", b"QFI\xfb\0\0\0\x03", b"vhdxfile"];
        for magic in magics {
            assert_eq!(disk().put(0, magic).table().count(), 2);
            let ext = Disk::new(MIB).put(1024 + 56, &[0x53, 0xef]).put(0, magic);
            assert_eq!(ext.read().expect("decidable"), None);
        }
        let footer = b"koly\0\0\0\x04\0\0\x02\0";
        let fats = [4, 36].map(|lba| (lba * 512, [0xf8, 0xff, 0xff, 0xff]));
        let fat = Disk::new(16 * MIB).put(0, &fat16()).put(16 * MIB - 512, footer);
        let fat = fats.iter().fold(fat, |disk, (at, bytes)| disk.put(*at, bytes));
        assert!(matches!(fat.read(), Ok(None)));
        assert_eq!(disk().put(4 * MIB - 512, footer).table().count(), 2);
        // A table of which too little is left is one all the same.
        let protective = Disk::new(4 * MIB).mbr(0, &[(1, 0xee, 1, 8191)]).put(4 * MIB - 512, footer);
        assert_eq!(protective.reason(), "gpt_damaged");
    }

    /// A VDI header whose map of four blocks of a MiB follows it, and whose disk begins at 1024.
    fn vdi(bytes: u64) -> Vec<u8> {
        let mut header = vec![0; 1024];
        let blocks = bytes.div_ceil(MIB as u64);
        let fields = [(64, 0xbeda_107f), (68, 0x0001_0001), (76, 2), (340, 512), (344, 1024), (368, bytes)];
        for (at, number) in fields.into_iter().chain([(376, MIB as u64), (384, blocks), (388, blocks)]) {
            header[at..at + 4].copy_from_slice(&number.to_le_bytes()[..4]);
        }
        for block in 0..blocks {
            let at = 512 + usize::try_from(block).unwrap() * 4;
            header[at..at + 4].copy_from_slice(&block.to_le_bytes()[..4]);
        }
        header
    }

    #[test]
    fn a_vdi_whose_blocks_are_in_order_is_read_and_another_is_not() {
        let bytes = 4 * MIB as u64;
        let image = between(&vdi(bytes), &disk(), &[]);
        assert_eq!(image.table().partitions[0].start, 1024 + 63 * 512);
        for at in [512, 516, 524] {
            assert_eq!(image.clone().put(at, &[9]).reason(), "container", "map at {at}");
        }
    }

    #[test]
    fn no_header_leads_out_of_the_image() {
        let bytes = 4 * MIB as u64;
        let end = vhd_footer(bytes, 2, 512);
        let images: Vec<(usize, Disk)> =
            [nhd(bytes), anex86(bytes), virtual_98(bytes), two_img(bytes), disk_copy(bytes)]
                .into_iter()
                .chain([vdi(bytes)])
                .map(|header| (0, between(&header, &disk(), &[])))
                .chain([(4 * MIB, between(&[], &Disk::new(4 * MIB), &end))])
                .collect();
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut next = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            usize::try_from(state % below as u64).unwrap()
        };
        let mut wrapped = 0;
        for round in 0..7000 {
            let (from, image) = &images[round % images.len()];
            let mut image = image.clone();
            for _ in 0..=next(3) {
                let at = from + next(512.min(image.0.len() - from) - 8);
                let number = [0, 1, 0x7fff_ffff, u64::MAX, next(usize::MAX) as u64][next(5)];
                let width = [1, 2, 4, 8][next(4)];
                image.0[at..at + width].copy_from_slice(&number.to_le_bytes()[..width]);
            }
            let size = image.0.len() as u64;
            let found = examine(&image.0, size, None);
            assert!(found.consulted.iter().all(|range| range.start < range.end && range.end <= size));
            if let Some(Wrapper { disk, .. }) = found.wrapper {
                assert!(disk.start < disk.end && disk.end <= size, "{disk:?}");
                wrapped += 1;
            }
        }
        assert!((500..6900).contains(&wrapped), "{wrapped}");
    }
}
