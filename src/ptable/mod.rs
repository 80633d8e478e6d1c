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

mod acorn;
mod aix;
mod amiga;
mod atari;
mod boot_sector;
mod bsd;
mod damage;
mod dasd;
mod disklabel;
mod ebr;
mod error;
mod fields;
mod gpt;
mod gpt_copy;
mod guid;
mod karma;
mod ldm;
mod ldm_database;
mod ldm_vblk;
mod mac;
mod mbr;
mod minix;
mod nested;
mod osf;
mod pc98;
mod rejection;
mod sgi;
mod solaris;
mod sun;
pub mod superblock;
mod sysv68;
mod table;
#[cfg(test)]
mod testdisk;
mod ultrix;
mod unixware;
mod view;

use std::ops::Range;

use positioned_io::ReadAt;

pub use self::damage::{Damage, GptFault};
pub use self::error::{Error, Reason};
pub use self::guid::Guid;
use self::rejection::Probe;
pub use self::rejection::{Rejected, Rejection};
pub use self::table::{GptCopy, Kind, Label, Partition, PartitionTable, PartitionType};
use self::view::View;

/// Looks for one kind of table.
type Prober = fn(&View<'_>) -> Result<Probe<PartitionTable>, Error>;

/// In the order in which they are asked, which is that of Linux (`check_part` in `block/partitions/core.c`): a GPT comes
/// before the MBR in front of it, as do the kinds whose first sector looks like an MBR. One that no MBR announces, which
/// Linux does not read, comes after all others; and one of which only remains are left is last, because it needs the end
/// of any image that is blank at its start.
const PROBERS: &[(Label, Prober)] = &[
    (Label::Acorn, acorn::probe),
    (Label::Gpt, gpt::probe),
    (Label::Sgi, sgi::probe),
    (Label::Ldm, ldm::probe),
    (Label::Pc98, pc98::probe),
    (Label::Aix, aix::probe),
    (Label::Dos, mbr::probe),
    (Label::Osf, osf::probe),
    (Label::Sun, sun::probe),
    (Label::Amiga, amiga::probe),
    (Label::Atari, atari::probe),
    (Label::Mac, mac::probe),
    (Label::Ultrix, ultrix::probe),
    (Label::Dasd, dasd::probe),
    (Label::Karma, karma::probe),
    (Label::Sysv68, sysv68::probe),
    (Label::Bsd, bsd::probe),
    (Label::Gpt, gpt::probe_unannounced),
    (Label::Gpt, gpt::probe_remains),
];

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
    /// The kinds of table that it is not, and why, in the order in which they were looked for.
    pub rejected: Vec<Rejected>,
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
    let mut rejected = Vec::new();
    let found = PROBERS.iter().find_map(|&(label, probe)| match probe(&view) {
        Ok(Probe::Table(table)) => Some(Ok(table)),
        Ok(Probe::Not(rejection)) => {
            rejected.push((label, rejection));
            None
        }
        Err(error) => Some(Err(error)),
    });
    Examination { outcome: found.transpose(), consulted: view.into_consulted(), rejected }
}
