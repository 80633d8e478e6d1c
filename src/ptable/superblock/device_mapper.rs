//! What targets of the device mapper keep at the start of a volume.
//!
//! libblkid's superblocks/lvm.c (snapshot, verity, integrity) and vdo.c; Linux drivers/md.

use super::super::fields::{byte, has, le32};
use super::content::Content;
use super::text;
use super::volume::Volume;

/// dm-snap-persistent.c, `struct disk_header`.
const SNAPSHOT: &[u8] = b"SnAp";
const SNAPSHOT_VALID_AT: usize = 4; // 4 bytes, 0 or 1
const SNAPSHOT_VERSION_AT: usize = 8; // 4
/// cryptsetup's lib/verity/verity.c, `struct verity_sb`.
const VERITY: &[u8] = b"verity\0\0";
const VERITY_VERSION_AT: usize = 8;
const VERITY_UUID_AT: usize = 16;
/// dm-integrity.c, `struct superblock`.
const INTEGRITY: &[u8] = b"integrt\0";
const INTEGRITY_VERSION_AT: usize = 8; // 1 byte
const VDO: &[u8] = b"dmvdo001";
const VDO_UUID_AT: usize = 40;

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    if has(head, 0, SNAPSHOT) && le32(head, SNAPSHOT_VALID_AT) <= 1 && le32(head, SNAPSHOT_VERSION_AT) == 1 {
        Some(Content::new("DM_snapshot_cow"))
    } else if has(head, 0, VERITY) && le32(head, VERITY_VERSION_AT) == 1 {
        Some(Content::new("DM_verity_hash").uuid(text::uuid_at(head, VERITY_UUID_AT)))
    } else if has(head, 0, INTEGRITY) && byte(head, INTEGRITY_VERSION_AT) != 0 {
        Some(Content::new("DM_integrity"))
    } else {
        None
    }
}

pub(super) fn vdo(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    has(head, 0, VDO).then(|| Content::new("vdo").uuid(text::uuid_at(head, VDO_UUID_AT)))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found_name, volume};

    #[test]
    fn targets_are_known_with_a_version_of_theirs() {
        let found = |bytes: &[u8]| found_name(&volume(&[(0, bytes)]));
        assert_eq!(found(b"SnAp\x01\0\0\0\x01"), Some("DM_snapshot_cow"));
        assert_eq!(found(b"SnAp\x01\0\0\0\x02"), None);
        assert_eq!(found(b"verity\0\0\x01"), Some("DM_verity_hash"));
        assert_eq!(found(b"verity\0\0\x02"), None);
        assert_eq!(found(b"integrt\0\x05"), Some("DM_integrity"));
        assert_eq!(found(b"integrt\0\0"), None);
        assert_eq!(found(b"dmvdo001"), Some("vdo"));
    }
}
