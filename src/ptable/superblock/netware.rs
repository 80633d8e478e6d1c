//! A pool of Novell's Storage Services (`nss`). libblkid's superblocks/netware.c.

use super::super::fields::has;
use super::content::Content;
use super::text;
use super::volume::Volume;

const AT: usize = 4096;
const MAGIC: &[u8] = b"SPB5";
const POOL_UUID_AT: usize = AT + 348; // 16 bytes

pub(super) fn probe(volume: &Volume<'_>) -> Option<Content> {
    let head = volume.head();
    has(head, AT, MAGIC).then(|| Content::new("nss").uuid(text::uuid_at(head, POOL_UUID_AT)))
}

#[cfg(test)]
mod tests {
    use super::super::testvolume::{found, volume};

    #[test]
    fn its_uuid_is_that_of_the_pool() {
        let uuid = Some("30313233-3435-3637-3839-616263646566".to_owned());
        assert_eq!(found(&volume(&[(4096, b"SPB5"), (4444, b"0123456789abcdef")])), Some(("nss", None, uuid)));
        assert_eq!(found(&volume(&[(0, b"SPB5")])), None);
    }
}
