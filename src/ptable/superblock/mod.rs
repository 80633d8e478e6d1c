//! What a volume holds: a file system, a member of a RAID or of a volume manager, encrypted data, swap.
//!
//! Names, labels and UUIDs are those of `blkid -p`, and so is the order in which kinds are asked for: RAID and encryption
//! come before file systems, because what they hold may show through. This names contents; it is no check that they are
//! sound. Labels are untrusted: they may hold control characters.
//!
//! Every kind of libblkid 2.42 is known. Checks are at least those of 2.38, and where a magic number is short, the checksum
//! that later versions ask for as well. Three things are otherwise, for a name that a rescued medium still deserves: a
//! size below the least of a kind, or metadata elsewhere in the volume that cannot be read, takes no name away from
//! most; a second header of LUKS2 counts only where nothing else is found, for a later format of the volume leaves it;
//! OCFS and Xenix are also found where their own sources put them.
//!
//! Nearly everything is told by the first [`WINDOW_BYTES`]. Some labels lie elsewhere (in a directory, in a catalog), and
//! some RAIDs keep their superblock at the end. [`Look`] asks for such bytes of many volumes in a few rounds, so that a
//! reader to which going back is dear can have those of a round together. What it cannot have stays unknown.

mod apfs;
mod bcache;
mod befs;
mod bitlocker;
mod btrfs;
mod chain;
mod cluster;
mod content;
mod device_mapper;
mod drbd;
mod exfat;
mod ext;
mod f2fs;
mod fat;
mod filevault;
mod firmware_raid;
mod flash;
mod hfs;
mod hpfs;
mod iso9660;
mod jfs;
mod linux_raid;
mod look;
mod luks;
mod lvm;
mod minix;
mod netware;
mod nilfs;
mod ntfs;
mod pool;
mod probers;
mod read_only;
mod refs;
mod reiserfs;
mod sums;
mod swap;
mod system_v;
mod text;
mod udf;
mod ufs;
mod vmfs;
mod volume;
mod xfs;
mod zfs;

use std::io;

use positioned_io::ReadAt;

pub use self::content::Content;
pub use self::look::{Look, TOGETHER};
pub use self::probers::WINDOW_BYTES;
use self::probers::name_of;
use self::volume::Volume;
use super::view::read_prefix;

/// What the volume of `size` bytes holds; `None` if nothing is recognised.
///
/// # Errors
/// Those of `volume` where its first [`WINDOW_BYTES`] cannot be read; [`io::ErrorKind::UnexpectedEof`] if it ends before
/// them and before `size`. What cannot be read elsewhere stays unknown.
pub fn identify(volume: &dyn ReadAt, size: u64) -> io::Result<Option<Content>> {
    let mut look = Look::new([(0, size)], size, true);
    while !look.wanted().is_empty() {
        look.read(volume)?;
    }
    Ok(look.contents().pop().flatten())
}

/// [`Content::name`] of what the volume of `size` bytes holds, as far as its start tells; reads only that, in one go.
pub(super) fn identify_start(volume: &dyn ReadAt, size: u64) -> io::Result<Option<&'static str>> {
    let mut window = vec![0; usize::try_from(size.min(WINDOW_BYTES)).unwrap_or(0)];
    match read_prefix(volume, 0, &mut window) {
        (_, None) => Ok(name_of(&Volume::of_start(&window, size))),
        (_, Some(error)) => Err(error),
    }
}

/// [`Content::name`] of what a volume of unknown size holds that starts with `window`, of [`WINDOW_BYTES`] if it has as
/// many.
pub(super) fn name(window: &[u8]) -> Option<&'static str> {
    name_of(&Volume::of_start(window, u64::MAX))
}

#[cfg(test)]
mod testvolume {
    use super::*;

    /// A volume of 2 MiB, all zeros but for `patches`.
    pub fn volume(patches: &[(usize, &[u8])]) -> Vec<u8> {
        let mut volume = vec![0; 2 << 20];
        for (at, bytes) in patches {
            volume[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        volume
    }

    /// What a volume is found to hold: name, label, UUID.
    pub fn found(volume: &[u8]) -> Option<(&'static str, Option<String>, Option<String>)> {
        let content = identify(&volume, volume.len() as u64).unwrap();
        content.map(|content| (content.name, content.label, content.uuid))
    }

    /// The name of what a volume is found to hold.
    pub fn found_name(volume: &[u8]) -> Option<&'static str> {
        found(volume).map(|(name, ..)| name)
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::probers::windows;
    use super::testvolume::{found, found_name, volume};
    use super::*;

    #[test]
    fn a_blank_volume_holds_nothing() {
        assert_eq!(found(&[]), None);
        assert_eq!(found(&vec![0; 100_000]), None);
        assert_eq!(found(&volume(&[])), None);
        assert_eq!(found(&vec![0xff; 2 << 20]), None);
    }

    #[test]
    fn noise_holds_nothing() {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        for _ in 0..200 {
            let mut noise = Vec::with_capacity(150_000);
            while noise.len() < 150_000 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                noise.extend_from_slice(&state.to_le_bytes());
            }
            assert_eq!(found_name(&noise), None);
            noise[510..512].copy_from_slice(&[0x55, 0xaa]);
            assert_eq!(found_name(&noise), None);
        }
    }

    #[test]
    fn a_raid_comes_before_the_file_system_that_shows_through() {
        let ext = (1024 + 56, &b"\x53\xef"[..]);
        let mut raid = volume(&[ext]);
        let at = (2 << 20) - 0x2000;
        raid[at..at + 8].copy_from_slice(b"\xfc\x4e\x2b\xa9\x01\0\0\0");
        raid[at + 144..at + 152].copy_from_slice(&(at as u64 / 512).to_le_bytes());
        assert_eq!(found_name(&volume(&[ext])), Some("ext2"));
        assert_eq!(found_name(&raid), Some("linux_raid_member"));
        assert_eq!(name(&raid[..70 * 1024]), Some("ext2"));
    }

    #[test]
    fn a_volume_shorter_than_it_says_is_an_error() {
        let error = identify(&&[0_u8; 10][..], 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn windows_lie_in_the_volume() {
        for size in [0, 1, 512, 70 << 10, 1 << 20, (2 << 20) + 511, u64::MAX] {
            let lies_inside = |range: Range<u64>| range.start <= range.end && range.end <= size;
            assert!(windows(0, size, true).all(lies_inside), "{size}");
            assert!(windows(u64::MAX - 5, size, true).all(|range| range.start <= range.end), "{size}");
        }
    }
}
