//! Kinds of table, and the copies of a GPT.

use std::fmt;

/// Kind of table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Label {
    /// MBR, with logical partitions if it has any.
    Dos,
    /// GUID partition table.
    Gpt,
    /// Apple partition map.
    Mac,
    /// BSD disklabel on the whole disk; one inside an MBR slice makes nested partitions of a [`Label::Dos`].
    Bsd,
    /// `SunOS` and Solaris on SPARC.
    Sun,
    /// SGI IRIX, a disk volume header.
    Sgi,
    /// Amiga rigid disk block.
    Amiga,
    /// Atari AHDI.
    Atari,
    /// NEC PC-98.
    Pc98,
    /// Ultrix of DEC.
    Ultrix,
    /// OSF/1, Digital UNIX, Tru64.
    Osf,
    /// Rio Karma.
    Karma,
    /// Acorn RISC OS.
    Acorn,
    /// AIX logical volumes.
    Aix,
    /// UNIX System V on Motorola 68000.
    Sysv68,
    /// Logical Disk Manager of Windows: dynamic disks.
    Ldm,
    /// IBM DASD of S/390.
    Dasd,
}

impl Label {
    /// The name that `sfdisk` and `libblkid` use; of what they do not know, that of `parted` or of the Linux kernel.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Dos => "dos",
            Self::Gpt => "gpt",
            Self::Mac => "mac",
            Self::Bsd => "bsd",
            Self::Sun => "sun",
            Self::Sgi => "sgi",
            Self::Amiga => "amiga",
            Self::Atari => "atari",
            Self::Pc98 => "pc98",
            Self::Ultrix => "ultrix",
            Self::Osf => "osf",
            Self::Karma => "karma",
            Self::Acorn => "acorn",
            Self::Aix => "aix",
            Self::Sysv68 => "sysv68",
            Self::Ldm => "ldm",
            Self::Dasd => "dasd",
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which of its two copies a GPT was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GptCopy {
    /// The one behind LBA 0.
    Primary,
    /// The one at the end of the disk.
    Backup,
}

impl GptCopy {
    /// `primary` or `backup`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Backup => "backup",
        }
    }
}

impl fmt::Display for GptCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
