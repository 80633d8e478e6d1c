//! Partition tables: the bytes of an image in, its table out.
//!
//! [`read_table`] asks a list of probers, one a kind of table, and returns what the first of them finds. The answers are
//! those of the Linux kernel (`block/partitions/msdos.c`, `efi.c`) and `libblkid` (`libblkid/src/partitions/`) where they
//! agree; where the image was cut short or a part of it was never read, more is believed than the kernel would, because a
//! partition that is overlooked is lost.
//!
//! ```
//! use imgsieve::ptable::{Label, read_table};
//!
//! // An MBR with one entry: Linux, from sector 8 on, 8 sectors.
//! let mut image = vec![0; 8192];
//! image[446 + 4] = 0x83;
//! image[446 + 8] = 8;
//! image[446 + 12] = 8;
//! image[510..512].copy_from_slice(&[0x55, 0xaa]);
//!
//! let table = read_table(&image, 8192, None)?.expect("a table");
//! assert_eq!((table.label, table.count()), (Label::Dos, 1));
//! assert_eq!((table.partitions[0].start, table.partitions[0].size), (4096, 4096));
//! # Ok::<(), imgsieve::ptable::Error>(())
//! ```
//!
//! # What beats what
//!
//! Media have histories: a table over the remains of another one, a file system over both, a sector that was lost. What
//! stands outweighs remains, wherever it lies. A table *stands* by its checksums, or where its entries fit the image or a
//! file system begins where they do; a file system by the structures that its first sector leads to. Left, what is
//! made of LBA 0; above, what else there is:
//!
//! | LBA 0 | primary GPT | only the backup GPT | Apple map, whole, of several partitions | Apple map that lost entries | nothing |
//! |---|---|---|---|---|---|
//! | MBR whose entries end in the image | MBR | MBR | MBR | MBR | MBR |
//! | MBR whose entries run past the end, a file system where one begins | MBR | MBR | MBR | MBR | MBR |
//! | the same with no file system there | GPT, if its disk ends with the image, else MBR | the same | MBR | MBR | MBR |
//! | protective MBR | GPT | GPT | Apple map | undecidable | undecidable |
//! | driver descriptor of Apple | Apple map | Apple map | Apple map | Apple map | none |
//! | file system that stands | GPT | none | Apple map | none | none |
//! | FAT, exFAT or NTFS boot sector whose volume does not stand | GPT | GPT | Apple map | Apple map | none |
//! | MBR without entries, boot code, a pattern, zeros | GPT | GPT | Apple map | Apple map | none |
//!
//! An Apple map that lost entries gives way to the backup of a GPT whose disk ends with the image, and a GPT header at
//! LBA 1 outweighs a map behind a lost descriptor: it was written over the map. Every other kind of table is announced by
//! a magic number and comes in the order of Linux; where a protective MBR announces a GPT whose primary is gone, one that
//! vouches for itself by a checksum (Amiga, BSD, SGI, Sun) is what the medium was used for since. When a boot sector of a file system is an MBR is a table of its own,
//! in the module `boot_sector`.
//!
//! # Damaged tables
//!
//! In doubt there are two partitions where what is left is evidence of two; two are never made of evidence of one.
//!
//! | kind | what is wrong | partitions | `damaged` | verdict |
//! |---|---|---|---|---|
//! | any | the image ends before a partition, or before the end of the table | all of the table | `image_too_short` | by their number |
//! | any | a sector of the table cannot be read, or the rescue map says that it never was | those before it | | by their number where it is two or more, else undecidable (`unread`, or the reader's reason) |
//! | any | the file system in LBA 0 explains what looks like entries, or the entries fit on no disk together | none | | no table |
//! | dos | an EBR is lost, past the end, seen before, or one too many (100 empty ones in a row, 400 in all) | those before it | `ebr_signature`, `ebr_past_end`, `ebr_unreadable`, `ebr_cycle`, `ebr_chain_too_long` | multi where these are two or more, else undecidable (`ebr_chain_broken`) |
//! | dos | an EBR lies outside its extended partition | all, as for Linux | `ebr_outside_container` | by their number |
//! | dos | the label inside a slice is damaged | its own where they fit and do not overlap, else the slice is one | `nested_label`, `nested_unreadable` | by their number |
//! | gpt | one copy is lost or wrong, the other stands | those of the one that stands | `primary_gpt`, `backup_gpt` | by their number |
//! | gpt | no protective MBR | those of a copy that stands | `no_protective_mbr` | by their number |
//! | gpt | no copy stands, and two or more entries make sense together | these | `gpt_unverified` | multi |
//! | gpt | no copy stands, and the MBR is a hybrid of two or more | those of the MBR | `hybrid_without_gpt` | multi |
//! | gpt | no copy stands, and less than that is left | | | undecidable (`gpt_damaged`) |
//! | gpt | an entry ends before it begins; leaves the usable range, or the disk | without it; with it, for the image may be cut short | `entry_reversed`, `entry_outside_usable` | by their number |
//! | ldm | one copy of a header is wrong; the database is, and two or more records stand | those of the database | `ldm_database` | by their number; multi |
//! | ldm | the database is lost, and less than that is left | | | undecidable (`ldm_damaged`) |
//! | mac | the driver descriptor is lost, or the map's entry for itself, or the count is wrong | those of the entries that are there | `driver_descriptor`, `map_entry_lost`, `map_count` | by their number |
//! | mac | another entry is lost | those that are there | `map_entry_lost` | multi where these are two or more, else undecidable (`list_broken`) |
//! | bsd, osf | the checksum is wrong, and the entries fit and do not overlap | all of the label | `disklabel` | by their number |
//! | amiga | the first block has a wrong sum, and leads to two sound ones | those of the list | `label_checksum` | multi |
//! | amiga, atari, acorn | the list is broken, or comes back | those before | `list_broken`, `list_cycle` | multi where these are two or more, else undecidable (`list_broken`) |
//! | none | a container of an image, and no file system | | | undecidable (`container`) |
//! | aix, sysv68, dasd | what lists the partitions is lost | | | undecidable (`entries_lost`) |
//! | sun, sgi, and others | the checksum is wrong | none | | no table, as for every other program |
//!
//! # Containers
//!
//! What no table and no file system explains may be no image: a file of another format that holds one, or a disk with a
//! header in front of it. The table of that is in the module `container`.
//!
//! This module knows nothing of archives, compression, threads or terminals. It reads forward where it can, because
//! going back is dear for a reader that decompresses: LBA 0 and what follows it, then the chain of logical partitions,
//! and the end of the image only where the start leaves a question.

mod boot_sector;
mod container;
mod damage;
mod error;
mod fields;
mod guid;
mod kind;
mod label;
mod mbr_sector;
mod probe;
mod rejection;
pub mod superblock;
mod table;
#[cfg(test)]
mod testdisk;
#[cfg(test)]
mod tests;
mod view;

use std::ops::Range;

use positioned_io::{ReadAt, Slice};

use self::container::Found;
pub use self::container::Wrapper;
pub use self::damage::{Damage, GptFault};
pub use self::error::{Error, Reason};
pub use self::guid::Guid;
use self::kind::PROBERS;
pub use self::label::{GptCopy, Label};
use self::probe::{Miss, Probe};
pub use self::rejection::{Rejected, Rejection, SeenEntry};
pub use self::table::{Kind, Partition, PartitionTable, PartitionType};
use self::view::View;

/// Reads the partition table of `image`, `size` bytes long.
///
/// With `enough`, a chain of logical partitions is not followed further once that many partitions are certain; the table
/// then says that it is not complete. A whole table is read with `None`.
///
/// `Ok(None)`: there is no table. The image is blank, holds a file system from its first sector on, or a boot loader and
/// nothing else, or it is shorter than one sector.
///
/// # Errors
/// [`Error::Io`] if a sector that the verdict rests on could not be read, a short read among it;
/// [`Error::Undecidable`] if there is a table that does not say whether it has `enough` partitions (two, if not given).
pub fn read_table(image: &dyn ReadAt, size: u64, enough: Option<u32>) -> Result<Option<PartitionTable>, Error> {
    examine(image, size, enough).outcome
}

/// What [`examine`] found, and where it looked.
#[derive(Debug)]
pub struct Examination {
    /// As [`read_table`] returns it.
    pub outcome: Result<Option<PartitionTable>, Error>,
    /// The byte ranges of the image that the outcome rests on, in the order in which they were consulted. They may
    /// overlap. What was only read along with them, to read the image in few pieces, is not among them.
    pub consulted: Vec<Range<u64>>,
    /// The kinds of table that it is not, and why, in the order in which they were looked for.
    pub rejected: Vec<Rejected>,
    /// What is around the disk, where the image is not one from its first byte to its last.
    pub wrapper: Option<Wrapper>,
}

/// Looks whether the backup that a primary GPT names is there, and notes it as damage where it is not. Not part of
/// [`read_table`]: it is at the other end of the image, and no verdict rests on it. `disk` is the disk's bytes in the
/// image.
pub fn check_backup(table: &mut PartitionTable, image: &dyn ReadAt, disk: &Range<u64>) {
    let sector_size = table.sector_size;
    // A backup past the end of the image is noted with the length of the image.
    let within = |at: &u64| at.checked_add(u64::from(sector_size)).is_some_and(|end| end <= disk.end);
    if let Some(at) = table.backup_at.filter(within).and_then(|at| at.checked_sub(disk.start))
        && let Err(fault) = kind::check_backup(&Slice::new(image, disk.start, None), sector_size, at)
    {
        table.damage.push(Damage::BackupGpt { fault });
    }
}

/// [`read_table`], and which bytes its answer rests on: a sector among them that the recovery never read may have held
/// what was not found.
pub fn examine(image: &dyn ReadAt, size: u64, enough: Option<u32>) -> Examination {
    let view = View::new(image, size, enough);
    let (outcome, mut rejected) = look_for_tables(&view);
    let found = container::look(&view, &outcome);
    let (mut consulted, noted) = view.into_noted();
    rejected.extend(noted);
    match found {
        None => Examination { outcome, consulted, rejected, wrapper: None },
        Some(Found::Closed(error)) => Examination { outcome: Err(error), consulted, rejected, wrapper: None },
        Some(Found::Wrapped(wrapper)) => {
            let (start, length) = (wrapper.disk.start, wrapper.disk.end - wrapper.disk.start);
            let view = Slice::new(image, start, Some(length));
            let view = View::new(&view, length, enough);
            let (mut outcome, mut rejected) = look_for_tables(&view);
            let (consulted_in_it, noted) = view.into_noted();
            rejected.extend(noted);
            consulted.extend(consulted_in_it.into_iter().map(|range| start + range.start..start + range.end));
            match &mut outcome {
                Ok(Some(table)) => table.shift(start),
                Ok(None) => {}
                Err(error) => error.shift(start),
            }
            Examination { outcome, consulted, rejected, wrapper: Some(wrapper) }
        }
    }
}

/// What the first prober finds that finds anything, and what the others had to say.
fn look_for_tables(view: &View<'_>) -> (Result<Option<PartitionTable>, Error>, Vec<Rejected>) {
    let mut rejected = Vec::new();
    let mut outcome = Ok(None);
    for &(label, place, probe) in PROBERS {
        let is_held = !matches!(outcome, Ok(None));
        if is_held && label == Label::Gpt {
            continue;
        }
        match probe(view) {
            Err(Miss::Rejected(why)) => rejected.push(Rejected { label, place, why }),
            // What an MBR announces and has no primary may be what is left of an earlier use of the medium.
            found if label == Label::Gpt && lacks_primary(&found) => outcome = into_outcome(found),
            found if !is_held || found.as_ref().is_ok_and(outweighs_remains) => {
                outcome = into_outcome(found);
                break;
            }
            Ok(_) | Err(Miss::Failed(_)) => {}
        }
    }
    let found = match &outcome {
        Ok(Some(table)) => Some(table),
        _ => None,
    };
    if let Some(table) = found {
        // A GPT may be at several places, and who asks for it wants to know whether each was looked at.
        let places = PROBERS.iter().filter(|(label, place, _)| !place.is_empty() && table.label != *label);
        let unasked = places.filter(|(_, place, _)| !rejected.iter().any(|rejected| rejected.place == *place));
        let what = table.label.as_str();
        let not_looked_for = |&(label, place, _)| Rejected { label, place, why: Rejection::NotLookedFor { what } };
        let unasked: Vec<Rejected> = unasked.map(not_looked_for).collect();
        rejected.extend(unasked);
    }
    (outcome, rejected)
}

fn into_outcome(found: Probe<PartitionTable>) -> Result<Option<PartitionTable>, Error> {
    match found {
        Ok(table) => Ok(Some(table)),
        Err(Miss::Rejected(_)) => Ok(None),
        Err(Miss::Failed(error)) => Err(error),
    }
}

/// Whether what a prober of GPT found is a GPT whose primary is gone.
fn lacks_primary(found: &Probe<PartitionTable>) -> bool {
    match found {
        Ok(table) => table.damage.iter().any(|damage| matches!(damage, Damage::PrimaryGpt { .. })),
        Err(Miss::Failed(Error::Undecidable { reason: Reason::GptDamaged { .. }, .. })) => true,
        Err(_) => false,
    }
}

/// Whether the table is of a kind that vouches for itself, by a checksum or a count of its entries, and nothing in it is
/// lost.
fn outweighs_remains(table: &PartitionTable) -> bool {
    let vouches = matches!(table.label, Label::Sgi | Label::Sun | Label::Amiga | Label::Mac | Label::Bsd);
    let is_whole = |damage: &Damage| matches!(damage, Damage::DriverDescriptor { .. } | Damage::ImageTooShort { .. });
    vouches && table.count() > 0 && table.damage.iter().all(is_whole)
}
