//! One kind of table a file, and what several of them share: [`first_sector`] decides what LBA 0 is, [`ebr`] follows the
//! chain of logical partitions, [`slices`] looks for labels inside the slices of an MBR.

mod acorn;
mod aix;
mod amiga;
mod atari;
mod bsd;
mod dasd;
mod disklabel;
mod ebr;
mod first_sector;
mod gpt;
mod gpt_copy;
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
mod sgi;
mod slices;
mod solaris;
mod sun;
mod sysv68;
mod ultrix;
mod unixware;

use super::label::Label;
use super::probe::Probe;
use super::table::PartitionTable;
use super::view::View;

pub(super) use self::first_sector::whole_disk;
pub(super) use self::gpt_copy::check_backup;

/// Looks for one kind of table.
pub(super) type Prober = fn(&View<'_>) -> Probe<PartitionTable>;

/// In the order in which they are asked, which is that of Linux (`check_part` in `block/partitions/core.c`): a GPT comes
/// before the MBR in front of it, as do the kinds whose first sector looks like an MBR. One that no MBR announces, which
/// Linux does not read, comes after all others; and one of which only remains are left is last, because it needs the end
/// of any image that is blank at its start.
pub(super) const PROBERS: &[(Label, &str, Prober)] = &[
    (Label::Acorn, "", acorn::probe),
    (Label::Gpt, "behind a protective MBR", gpt::probe),
    (Label::Sgi, "", sgi::probe),
    (Label::Ldm, "", ldm::probe),
    (Label::Pc98, "", pc98::probe),
    (Label::Aix, "", aix::probe),
    (Label::Dos, "", mbr::probe),
    (Label::Osf, "", osf::probe),
    (Label::Sun, "", sun::probe),
    (Label::Amiga, "", amiga::probe),
    (Label::Atari, "", atari::probe),
    (Label::Mac, "", mac::probe),
    (Label::Ultrix, "", ultrix::probe),
    (Label::Dasd, "", dasd::probe),
    (Label::Karma, "", karma::probe),
    (Label::Sysv68, "", sysv68::probe),
    (Label::Bsd, "", bsd::probe),
    (Label::Gpt, "primary at LBA 1", gpt::probe_unannounced),
    (Label::Gpt, "backup at the end", gpt::probe_remains),
];
