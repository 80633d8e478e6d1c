//! What DRBD keeps: its metadata at the end of a volume, DRBD Manage's control volume, a log of DRBD Proxy.
//!
//! drbd-utils `user/shared/drbdmeta.c`, `struct md_on_disk_08`; drbd-headers `drbd_meta_data.h`,
//! `struct meta_data_on_disk_9`; libblkid's superblocks/drbd.c, drbdmanage.c, `drbdproxy_datalog.c`. Numbers are big-endian.

use super::super::fields::{all_zero, be32, be64, has};
use super::content::Content;
use super::text;
use super::volume::{FLOPPY_BYTES, Volume};

/// The block at the very end of the volume.
const BLOCK: usize = 4096;
const MAGIC_AT: usize = 60; // 4 bytes
/// Of DRBD 8, clean and not, and of DRBD 9: where the device's UUID is, and what is zero up to the end of the block.
const MAGICS: [(u32, usize, usize); 3] = [(0x8374_026b, 40, 100), (0x8374_026c, 40, 100), (0x8374_026d, 48, 1392)];
const BYTES_PER_BIT_AT: usize = 80; // 4
const BYTES_PER_BIT: u32 = 4096;

const CONTROL: &[u8] = b"$DRBDmgr=q";
/// As hexadecimal digits, with a line feed behind them.
const CONTROL_UUID_AT: usize = 11;
const CONTROL_UUID_LEN: usize = 32;
const CONTROL_LEAST: u64 = 64 * 1024;

const DATA_LOG: &[u8] = b"DRBDdlh*";
const DATA_LOG_UUID_AT: usize = 16;
const DATA_LOG_LEAST: u64 = 16 * 1024;

/// Metadata of a device, behind its data.
pub(super) fn at_the_end(volume: &Volume<'_>) -> Option<Content> {
    if volume.size() <= FLOPPY_BYTES {
        return None;
    }
    let block = volume.last_bytes(BLOCK)?;
    let magic = be32(block, MAGIC_AT);
    let (_, uuid_at, padding_at) = MAGICS.into_iter().find(|&(known, ..)| known == magic)?;
    let is_sound = be32(block, BYTES_PER_BIT_AT) == BYTES_PER_BIT && all_zero(block.get(padding_at..)?);
    let uuid = Some(be64(block, uuid_at)).filter(|&uuid| uuid != 0);
    is_sound.then(|| Content::new("drbd").uuid(uuid.map(|uuid| format!("{uuid:x}"))))
}

pub(super) fn control_volume(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let (uuid, rest) = head.get(CONTROL_UUID_AT..)?.split_at_checked(CONTROL_UUID_LEN)?;
    let is_one = has(head, 0, CONTROL)
        && volume.size() >= CONTROL_LEAST
        && uuid.iter().all(u8::is_ascii_hexdigit)
        && rest.first() == Some(&b'\n');
    is_one.then(|| Content::new("drbdmanage_control_volume").uuid(text::label(uuid)))
}

pub(super) fn data_log(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    let is_one = has(head, 0, DATA_LOG) && volume.size() >= DATA_LOG_LEAST;
    is_one.then(|| Content::new("drbdproxy_datalog").uuid(text::uuid_at(head, DATA_LOG_UUID_AT)))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, found_name, volume};
    use super::*;

    #[test]
    fn metadata_end_the_volume_also_where_that_is_no_whole_sector() {
        let start = |volume: &[u8]| volume.len() - BLOCK;
        for (magic, uuid_at, padding_at) in MAGICS {
            for cut in [0, 100] {
                let mut v = volume(&[(1024 + 56, b"\x53\xef")]);
                v.truncate(v.len() - cut);
                let at = start(&v);
                v[at + MAGIC_AT..][..4].copy_from_slice(&magic.to_be_bytes());
                v[at + BYTES_PER_BIT_AT..][..4].copy_from_slice(&BYTES_PER_BIT.to_be_bytes());
                v[at + uuid_at..][..8].copy_from_slice(&0x0123_4567_89ab_cdef_u64.to_be_bytes());
                let uuid = Some("123456789abcdef".to_owned());
                assert_eq!(found(&v), Some(("drbd", None, uuid)), "{magic:x}");
                v[at + padding_at] = 1;
                assert_eq!(found_name(&v), Some("ext2"), "{magic:x}");
            }
        }
    }

    #[test]
    fn control_volume_and_log_are_known_by_their_first_bytes() {
        let control = b"$DRBDmgr=q0123456789abcdef0123456789ABCDEF\n";
        let shifted = [&control[..10], b"\x01", &control[10..]].concat();
        let uuid = Some("0123456789abcdef0123456789ABCDEF".to_owned());
        assert_eq!(found(&volume(&[(0, &shifted)])), Some(("drbdmanage_control_volume", None, uuid)));
        assert_eq!(found(&volume(&[(0, control)])), None);
        let uuid = Some("30313233-3435-3637-3839-616263646566".to_owned());
        let log = volume(&[(0, DATA_LOG), (16, b"0123456789abcdef")]);
        assert_eq!(found(&log), Some(("drbdproxy_datalog", None, uuid)));
        assert_eq!(found_name(&log[..8192]), None);
    }
}
