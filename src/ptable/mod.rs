//! Partition tables: the bytes of an image in, its table out.
//!
//! [`read_table`] asks a list of probers, one a kind of table, and returns what the first of them finds. The answers are
//! those of the Linux kernel (`block/partitions/msdos.c`, `efi.c`) and `libblkid` (`libblkid/src/partitions/`) where they
//! agree; where the image was cut short or a part of it was never read, more is believed than the kernel would, because a
//! partition that is overlooked is lost.
//!
//! This module knows nothing of archives, compression, threads or terminals. It reads forward where it can, because
//! going back is dear for a reader that decompresses: LBA 0 and what follows it, then the chain of logical partitions,
//! and the end of the image only where the start leaves a question.

mod boot_sector;
mod damage;
mod ebr;
mod error;
mod fields;
mod foreign;
mod gpt;
mod gpt_copy;
mod guid;
mod mbr;
pub mod superblock;
mod table;
#[cfg(test)]
mod testdisk;
mod view;

use std::ops::Range;

use positioned_io::ReadAt;

pub use self::damage::{Damage, GptFault};
pub use self::error::{Error, Reason};
pub use self::guid::Guid;
pub use self::table::{GptCopy, Kind, Label, Partition, PartitionTable, PartitionType};
use self::view::View;

/// Looks for one kind of table. `None`: there is none of this kind.
type Prober = fn(&View<'_>) -> Result<Option<PartitionTable>, Error>;

/// In the order in which they are asked. A GPT comes before the MBR in front of it; kinds known by a signature alone come
/// after both; a GPT of which only remains are left is last, because it alone needs the end of the image.
const PROBERS: &[Prober] = &[gpt::probe, mbr::probe, foreign::probe, gpt::probe_remains];

/// Sector sizes that disks and magneto-optical media have had, the usual ones first.
const SECTOR_SIZES: [u32; 4] = [512, 4096, 2048, 1024];

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
}

/// Looks whether the backup that a primary GPT names is there, and notes it as damage where it is not. Not part of
/// [`read_table`], for no verdict rests on it and it lies at the other end of the image.
pub fn check_backup(table: &mut PartitionTable, image: &dyn ReadAt, size: u64) {
    let sector_size = table.sector_size;
    // A backup past the end of the image is noted with the length of the image.
    let within = |at: &u64| at.checked_add(u64::from(sector_size)).is_some_and(|end| end <= size);
    if let Some(at) = table.backup_at.filter(within)
        && let Err(fault) = gpt_copy::check_backup(image, sector_size, at)
    {
        table.damage.push(Damage::BackupGpt { fault });
    }
}

/// [`read_table`], and which bytes its answer rests on: a sector among them that the recovery never read may have held
/// what was not found.
pub fn examine(image: &dyn ReadAt, size: u64, enough: Option<u32>) -> Examination {
    let view = View::new(image, size, enough);
    let outcome = PROBERS.iter().find_map(|probe| probe(&view).transpose()).transpose();
    Examination { outcome, consulted: view.into_consulted() }
}
