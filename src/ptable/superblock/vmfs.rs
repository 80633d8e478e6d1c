//! VMFS of `VMware` ESX: a volume of its volume manager, or a file system. libblkid's superblocks/vmfs.c.

use super::super::fields::{has, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

const VOLUME_AT: u64 = 1 << 20;
const VOLUME_MAGIC: &[u8] = b"\x0d\xd0\x01\xc0";
const VOLUME_VERSION_AT: usize = 4; // 4 bytes
/// The UUID of the logical volume as text, behind the volume information.
const VOLUME_UUID_AT: usize = 512 + 20;
const VOLUME_UUID_LEN: usize = 35;

const FS_AT: u64 = 2 << 20;
const FS_MAGIC: &[u8] = b"\x5e\xf1\xab\x2f";
const FS_UUID_AT: usize = 9; // 16 bytes: two little-endian words of 32 bits, one of 16, and 6 bytes
const FS_LABEL_AT: usize = 29; // 128

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    // Both are asked for before either is looked at.
    let (manager, system) = (volume.read(VOLUME_AT, 1024), volume.read(FS_AT, 512));
    let of_manager = manager.filter(|info| has(info, 0, VOLUME_MAGIC) && le32(info, VOLUME_VERSION_AT) < 64);
    if let Some(info) = of_manager {
        let uuid = text::label_at(info, VOLUME_UUID_AT, VOLUME_UUID_LEN);
        return Some(Content::new("VMFS_volume_member").uuid(uuid));
    }
    let info = system.filter(|info| has(info, 0, FS_MAGIC))?;
    let mut uuid: [u8; 16] = info.get(FS_UUID_AT..FS_UUID_AT + 16)?.try_into().ok()?;
    uuid[..4].reverse();
    uuid[4..8].reverse();
    uuid[8..10].reverse();
    // Its groups are 8, 8, 4 and 12 digits.
    let uuid = text::uuid_at(&uuid, 0)
        .map(|uuid| uuid.replace('-', ""))
        .map(|digits| format!("{}-{}-{}-{}", &digits[..8], &digits[8..16], &digits[16..20], &digits[20..]));
    Some(Content::new("VMFS").label(text::label_at(info, FS_LABEL_AT, 128)).uuid(uuid))
}
