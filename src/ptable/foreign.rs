//! Labels that are recognised but not read, so that no image that has one is taken for a blank one.
//!
//! The signatures are checked more strictly than the kernel does, because nothing is read behind them that could show
//! a chance hit: two magics or a checksum each, but for Atari, which has neither and is checked entry by entry.

use super::boot_sector;
use super::error::{Error, Reason};
use super::fields::{all_zero, be16, be32, byte, has, le16, le32};
use super::mbr;
use super::table::PartitionTable;
use super::view::View;

const SECTOR: usize = 512;

/// Refuses an image whose label is of a kind that is not read.
pub(super) fn probe(view: &View<'_>) -> Result<Option<PartitionTable>, Error> {
    match label(view)? {
        Some(label) => Err(Error::undecidable(Reason::UnsupportedLabel { label }, None)),
        None => Ok(None),
    }
}

fn label(view: &View<'_>) -> Result<Option<&'static str>, Error> {
    let Some(sector) = view.read(0, SECTOR)? else {
        return Ok(None);
    };
    Ok(if is_sun(&sector) {
        Some("sun")
    } else if is_sgi(&sector) {
        Some("sgi")
    } else if is_mac(view, &sector)? {
        Some("mac")
    } else if is_bsd_at(view, 0)? {
        Some("bsd")
    } else if is_amiga(view)? {
        Some("amiga")
    } else if is_aix(view, &sector)? {
        Some("aix")
    } else if is_atari(&sector, view.size()) {
        Some("atari")
    } else {
        None
    })
}

/// Slices of an MBR in which Linux looks for a label of their own (`subtypes` in block/partitions/msdos.c).
const FREEBSD: u8 = 0xa5;
const OPENBSD: u8 = 0xa6;
const NETBSD: u8 = 0xa9;
const MINIX: u8 = 0x81;
const SOLARIS: [u8; 2] = [0x82, 0xbf];
const UNIXWARE: u8 = 0x63;
/// A disk of Windows' Logical Disk Manager, whose own database has the partitions.
const LDM: u8 = 0x42;

/// The label that an MBR slice at byte `start` holds, if it is of a kind that Linux reads.
pub(super) fn nested(view: &View<'_>, start: u64, type_id: u8) -> Result<Option<&'static str>, Error> {
    const SOLARIS_SANITY: &[u8] = &0x600d_deee_u32.to_le_bytes();
    const UNIXWARE_MAGIC: &[u8] = &0xca5e_600d_u32.to_le_bytes();
    let found = match type_id {
        FREEBSD | OPENBSD | NETBSD => is_bsd_at(view, start)?.then_some("bsd"),
        id if SOLARIS.contains(&id) => has_at(view, start, SECTOR + 12, SOLARIS_SANITY)?.then_some("solaris"),
        UNIXWARE => has_at(view, start, 29 * SECTOR + 4, UNIXWARE_MAGIC)?.then_some("unixware"),
        MINIX => match view.read(start, SECTOR)? {
            Some(sector) if boot_sector::is_signed(&sector) => {
                mbr::entries(&sector).first().is_some_and(|e| e.type_id == MINIX).then_some("minix")
            }
            _ => None,
        },
        // Its private header lies at the start of the disk.
        LDM => has_at(view, 0, 6 * SECTOR, b"PRIVHEAD")?.then_some("ldm"),
        _ => None,
    };
    Ok(found)
}

fn has_at(view: &View<'_>, start: u64, at: usize, magic: &[u8]) -> Result<bool, Error> {
    let bytes = view.read(start.saturating_add(at as u64), magic.len())?;
    Ok(bytes.is_some_and(|bytes| *bytes == *magic))
}

/// Sun: magic, and a 16-bit XOR over the sector that gives zero (Linux's block/partitions/sun.c).
fn is_sun(sector: &[u8]) -> bool {
    const MAGIC_AT: usize = 508;
    const MAGIC: u16 = 0xdabe;
    be16(sector, MAGIC_AT) == MAGIC && (0..SECTOR).step_by(2).fold(0, |xor, at| xor ^ be16(sector, at)) == 0
}

/// SGI: magic, and a 32-bit sum over the sector that gives zero (Linux's block/partitions/sgi.c).
fn is_sgi(sector: &[u8]) -> bool {
    const MAGIC: u32 = 0x0be5_a941;
    be32(sector, 0) == MAGIC && sum32(sector) == 0
}

fn sum32(block: &[u8]) -> u32 {
    (0..block.len()).step_by(4).fold(0_u32, |sum, at| sum.wrapping_add(be32(block, at)))
}

/// Apple: a driver descriptor, and a partition map one block behind it (Inside Macintosh: Devices, chapter 3). Where the
/// descriptor was never read, the map alone.
fn is_mac(view: &View<'_>, sector: &[u8]) -> Result<bool, Error> {
    const BLOCK_SIZE_AT: usize = 2;
    const MAP_ENTRIES_AT: usize = 4;
    const START_AT: usize = 8;
    const BLOCKS_AT: usize = 12;
    const MAX_MAP_ENTRIES: u32 = 1024;
    if !has(sector, 0, b"ER") && !all_zero(sector) {
        return Ok(false);
    }
    for at in [u64::from(be16(sector, BLOCK_SIZE_AT)), SECTOR as u64] {
        let block = if at >= SECTOR as u64 { view.read(at, SECTOR)? } else { None };
        let is_map = block.is_some_and(|block| {
            has(&block, 0, b"PM")
                && (1..=MAX_MAP_ENTRIES).contains(&be32(&block, MAP_ENTRIES_AT))
                && be32(&block, START_AT) != 0
                && be32(&block, BLOCKS_AT) != 0
        });
        if is_map {
            return Ok(true);
        }
    }
    Ok(false)
}

/// BSD: both magics and the checksum of a disklabel, at one of the places that `libblkid` knows (partitions/bsd.c).
fn is_bsd_at(view: &View<'_>, start: u64) -> Result<bool, Error> {
    const PLACES: [usize; 3] = [SECTOR, 64, 128];
    const MAGIC: u32 = 0x8256_4557;
    const MAGIC_2_AT: usize = 132;
    const COUNT_AT: usize = 138;
    const PARTITIONS_AT: usize = 148;
    const PARTITION_BYTES: usize = 16;
    const MAX_PARTITIONS: usize = 22;
    for place in PLACES {
        let Some(label) = view.read(start.saturating_add(place as u64), SECTOR)? else {
            continue;
        };
        let count = usize::from(le16(&label, COUNT_AT));
        if le32(&label, 0) != MAGIC || le32(&label, MAGIC_2_AT) != MAGIC || count > MAX_PARTITIONS {
            continue;
        }
        let end = PARTITIONS_AT + count * PARTITION_BYTES;
        if (0..end).step_by(2).fold(0, |xor, at| xor ^ le16(&label, at)) == 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Amiga: a rigid disk block among the first 16, whose sum is zero (Linux's block/partitions/amiga.c).
fn is_amiga(view: &View<'_>) -> Result<bool, Error> {
    const BLOCKS: u64 = 16;
    const SUMMED_LONGS_AT: usize = 4;
    for block in 0..BLOCKS {
        let Some(bytes) = view.read(block * SECTOR as u64, SECTOR)? else {
            break;
        };
        let summed = usize::try_from(be32(&bytes, SUMMED_LONGS_AT)).ok().and_then(|longs| longs.checked_mul(4));
        let summed = summed.and_then(|len| bytes.get(..len)).filter(|summed| summed.len() > SUMMED_LONGS_AT);
        if has(&bytes, 0, b"RDSK") && summed.is_some_and(|summed| sum32(summed) == 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// AIX: a physical volume's magic, `IBMA` in EBCDIC, and `_LVM` in sector 7 (Linux's block/partitions/msdos.c).
fn is_aix(view: &View<'_>, sector: &[u8]) -> Result<bool, Error> {
    Ok(has(sector, 0, &[0xc9, 0xc2, 0xd4, 0xc1]) && has_at(view, 0, 7 * SECTOR, b"_LVM")?)
}

/// Atari: no magic. The kernel (block/partitions/atari.c) asks for one entry that makes sense; here every entry must be
/// unused or make sense and be of a known id, and the disk's size, which the kernel does not read, must fit.
fn is_atari(sector: &[u8], size: u64) -> bool {
    const DISK_SECTORS_AT: usize = 0x1c2;
    const ENTRIES_AT: usize = 0x1c6;
    const ENTRY_BYTES: usize = 12;
    const ENTRIES: usize = 4;
    const IN_USE: u8 = 0x01;
    const IDS: [&[u8]; 11] = [b"GEM", b"BGM", b"RAW", b"LNX", b"SWP", b"XGM", b"MAC", b"MIX", b"MNX", b"UNX", b"F32"];
    let disk = u64::from(be32(sector, DISK_SECTORS_AT));
    let mut used = 0;
    for at in (0..ENTRIES).map(|entry| ENTRIES_AT + entry * ENTRY_BYTES) {
        if byte(sector, at) & IN_USE == 0 {
            continue;
        }
        let (start, sectors) = (u64::from(be32(sector, at + 4)), u64::from(be32(sector, at + 8)));
        let known = IDS.iter().any(|id| has(sector, at + 1, id));
        if !known || start == 0 || sectors == 0 || start + sectors > disk {
            return false;
        }
        used += 1;
    }
    used > 0 && disk > 0 && disk <= (size / SECTOR as u64).max(1) * 64
}

#[cfg(test)]
mod tests {
    use super::super::testdisk::Disk;
    use super::*;

    fn label_of(disk: &Disk) -> Option<&'static str> {
        match disk.read() {
            Ok(None) => None,
            Err(Error::Undecidable {
                reason: Reason::UnsupportedLabel { label } | Reason::UnsupportedNestedLabel { label, .. },
                ..
            }) => Some(label),
            other => panic!("{other:?}"),
        }
    }

    /// A disklabel with no partitions; its two magics cancel each other out in the XOR.
    fn bsd() -> Vec<u8> {
        let magic = 0x8256_4557_u32.to_le_bytes();
        Disk::new(512).put(0, &magic).put(132, &magic).0
    }

    #[test]
    fn a_label_with_its_checksum_is_recognised() {
        let sun = Disk::new(8192).put(0, &[0xda, 0xbe]).put(508, &[0xda, 0xbe]);
        let sgi = Disk::new(8192).put(0, &0x0be5_a941_u32.to_be_bytes()).put(4, &(!0x0be5_a941_u32 + 1).to_be_bytes());
        let rdsk = u32::from_be_bytes(*b"RDSK");
        let amiga = Disk::new(8192)
            .put(1024, b"RDSK")
            .put(1028, &64_u32.to_be_bytes())
            .put(1032, &0_u32.wrapping_sub(rdsk).wrapping_sub(64).to_be_bytes());
        let map = [b"PM".as_slice(), &[0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 9]].concat();
        let mac = Disk::new(8192).put(0, &[b'E', b'R', 2, 0]).put(512, &map);
        let mac_2048 = Disk::new(8192).put(0, &[b'E', b'R', 8, 0]).put(2048, &map);
        let bsd = Disk::new(8192).put(512, &bsd());
        for (disk, label) in
            [(sun, "sun"), (sgi, "sgi"), (amiga, "amiga"), (mac, "mac"), (mac_2048, "mac"), (bsd, "bsd")]
        {
            assert_eq!(label_of(&disk), Some(label));
        }
    }

    #[test]
    fn a_label_without_its_checksum_is_not() {
        let sun = Disk::new(8192).put(508, &[0xda, 0xbe]);
        let sgi = Disk::new(8192).put(0, &0x0be5_a941_u32.to_be_bytes());
        let amiga = Disk::new(8192).put(0, b"RDSK").put(4, &64_u32.to_be_bytes());
        let mac = Disk::new(8192).put(0, &[b'E', b'R', 2, 0]);
        let bsd = Disk::new(8192).put(512, &bsd()).put(512 + 20, &[1]);
        for disk in [sun, sgi, amiga, mac, bsd] {
            assert_eq!(label_of(&disk), None);
        }
    }

    #[test]
    fn a_slice_with_a_bsd_label_is_undecidable_unless_there_are_two_partitions() {
        let slice = Disk::new(1 << 20).mbr(0, &[(1, FREEBSD, 100, 1000)]);
        assert_eq!(label_of(&slice.clone().put(101 * 512, &bsd())), Some("bsd"));
        assert_eq!(slice.clone().table().count(), 1);
        let two = slice.put(101 * 512, &bsd()).mbr(0, &[(2, 0x83, 1200, 100)]);
        assert_eq!(two.table().count(), 2);
    }

    #[test]
    fn a_dynamic_disk_is_undecidable() {
        let disk = Disk::new(1 << 20).mbr(0, &[(1, LDM, 63, 1900)]);
        assert_eq!(label_of(&disk.put(6 * 512, b"PRIVHEAD")), Some("ldm"));
    }
}
