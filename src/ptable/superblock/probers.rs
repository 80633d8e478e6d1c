//! Who is asked what a volume holds, in which order, and where in it they look.

use std::ops::Range;

use super::content::Content;
use super::volume::{self, FLOPPY_BYTES, Volume};
use super::{
    apfs, bcache, befs, bitlocker, btrfs, cluster, device_mapper, drbd, exfat, ext, f2fs, fat, filevault,
    firmware_raid, flash, hfs, hpfs, iso9660, jfs, linux_raid, luks, lvm, minix, netware, nilfs, ntfs, pool, read_only,
    refs, reiserfs, swap, system_v, udf, ufs, vmfs, xfs, zfs,
};

/// Bytes at the start of a volume that are looked at: the superblocks of btrfs and `ReiserFS`, at 64 KiB, are the last.
pub const WINDOW_BYTES: u64 = 70 * 1024;

/// Looks for one family of contents. What it needs and has not got, it asks the volume for, and is asked again.
type Prober = fn(&Volume<'_>) -> Option<Content>;

/// What is told by the end of a volume. It is asked for first: a mirror's half looks like what the mirror holds.
const AT_THE_END: &[Prober] = &[linux_raid::at_the_end, firmware_raid::at_the_end, drbd::at_the_end];

/// What is told by the start of a volume, in `libblkid`'s order (its superblocks/superblocks.c).
const AT_THE_START: &[Prober] = &[
    linux_raid::at_the_start,
    firmware_raid::at_the_start,
    bcache::probe,
    pool::bluestore,
    drbd::control_volume,
    drbd::data_log,
    lvm::probe,
    device_mapper::probe,
    luks::first_header,
    flash::ubi,
    device_mapper::vdo,
    pool::stratis,
    bitlocker::probe,
    filevault::probe,
    fat::probe,
    swap::probe,
    xfs::xfs,
    xfs::log,
    xfs::exfs,
    ext::probe,
    reiserfs::probe,
    jfs::probe,
    udf::probe,
    iso9660::probe,
    zfs::at_the_start,
    hfs::probe,
    ufs::probe,
    hpfs::probe,
    system_v::sysv,
    system_v::xenix,
    ntfs::probe,
    refs::probe,
    read_only::cramfs,
    read_only::romfs,
    cluster::scoutfs,
    minix::probe,
    cluster::gfs,
    cluster::ocfs,
    cluster::oracle_asm,
    system_v::vxfs,
    read_only::squashfs,
    netware::probe,
    btrfs::probe,
    flash::ubifs,
    system_v::bfs,
    befs::probe,
    nilfs::probe,
    exfat::probe,
    f2fs::probe,
    pool::mpool,
    apfs::probe,
    flash::zonefs,
    read_only::erofs,
];

/// What shows nowhere else than in the middle of a volume, or at its end where its start is lost: asked for where nothing
/// else is found.
const ELSEWHERE: &[Prober] =
    &[luks::second_header, vmfs::probe, xfs::log_far, zfs::other_labels, ufs::far, bcache::copies, nilfs::second];

/// Where in an image [`Look`](super::Look) looks first for what a volume of `size` bytes at `start` holds: at its start, and for RAIDs
/// near its end, which those of firmware have only if it is a whole disk.
pub(super) fn windows(start: u64, size: u64, is_disk: bool) -> impl Iterator<Item = Range<u64>> {
    let head = 0..size.min(WINDOW_BYTES);
    let tail = Some(volume::tail(size)).filter(|_| size > FLOPPY_BYTES);
    let ends = linux_raid::ends(size).chain(tail).chain(firmware_raid::ends(size, is_disk));
    let ranges = std::iter::once(head).chain(ends);
    ranges.map(move |range| start.saturating_add(range.start)..start.saturating_add(range.end))
}

pub(super) fn name_of(volume: &Volume<'_>) -> Option<&'static str> {
    first(AT_THE_START, volume).map(|content| content.name)
}

fn first(probers: &[Prober], volume: &Volume<'_>) -> Option<Content> {
    probers.iter().find_map(|probe| probe(volume))
}

/// What can be said of the volume with what was read of it; with `ends`, all of it is to be looked at.
pub(super) fn content_of(volume: &Volume<'_>, ends: bool) -> Option<Content> {
    let at = |probers: &[Prober]| first(if ends { probers } else { &[] }, volume);
    at(AT_THE_END).or_else(|| first(AT_THE_START, volume)).or_else(|| at(ELSEWHERE))
}
