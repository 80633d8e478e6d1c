//! Images in a `.tar.zst`: where the bytes of a `.zst`, the members of a tar and what is found in an image meet.
//!
//! Shared by the survey and by `inspect`. Bytes that libzstd did not decode are believed where they make sense; whatever
//! is odd is read again with libzstd before it is reported.

use std::sync::Arc;

use crate::finding::Finding;
use crate::member::{Archive, Content};
use crate::rescue::{Known, RescueMap};
use crate::zst::ZstFile;

impl Archive for ZstFile {
    fn distrust(&self) -> bool {
        ZstFile::distrust(self)
    }
}

/// The table of the image; with `enough`, only until that many partitions are certain.
pub fn examine(archive: &dyn Archive, image: &Content, enough: Option<u32>) -> Finding {
    examine_mapped(archive, image, enough, None)
}

/// The table of the image without what its rescue map says was never read, and may hold a pattern or older bytes; none
/// where that has no `least` partitions either.
pub fn look_behind_unread(
    archive: &dyn Archive,
    image: &Content,
    enough: Option<u32>,
    known: &Known,
    (finding, least): (&Finding, u32),
) -> Option<Finding> {
    let has_enough = |finding: &Finding| finding.count.is_some_and(|count| count >= least);
    let map = known.map().filter(|map| !has_enough(finding) && finding.may_differ_under(map))?;
    Some(examine_mapped(archive, image, enough, Some(map))).filter(has_enough)
}

fn examine_mapped(
    archive: &dyn Archive,
    image: &Content,
    enough: Option<u32>,
    map: Option<&Arc<RescueMap>>,
) -> Finding {
    let examine = || Finding::examine_mapped(&image.reader(archive), image.size(), enough, map);
    let finding = examine();
    if finding.is_odd() && archive.distrust() { examine() } else { finding }
}

/// Adds to the finding what no verdict rests on: all of it with `deep`, otherwise only what is cheap to have.
pub fn complete(zst: &ZstFile, image: &Content, finding: &mut Finding, deep: bool) {
    let complete = |finding: &mut Finding| {
        let cheap = zst.cheaply();
        if deep {
            let fetch = |ranges: &[_]| zst.fetch(&image.stored_ranges(ranges));
            finding.complete(&image.reader(zst), image.size(), true, &fetch);
        } else {
            let fetch = |ranges: &[_]| cheap.fetch(&image.stored_ranges(ranges));
            finding.complete(&image.reader(&cheap), image.size(), false, &fetch);
        }
    };
    let examined = finding.clone();
    complete(finding);
    if finding.is_odd() && !examined.is_odd() && zst.distrust() {
        *finding = examined;
        complete(finding);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::io;

    use positioned_io::ReadAt;

    use super::*;
    use crate::member::{Item, walk};

    /// Gives every byte wrong until it is distrusted.
    struct Doubtful {
        real: Vec<u8>,
        is_distrusted: Cell<bool>,
    }

    impl ReadAt for Doubtful {
        fn read_at(&self, pos: u64, buf: &mut [u8]) -> io::Result<usize> {
            let read = self.real.read_at(pos, buf)?;
            if !self.is_distrusted.get() {
                buf[..read].iter_mut().for_each(|byte| *byte ^= 0xA5);
            }
            Ok(read)
        }
    }

    impl Archive for Doubtful {
        fn distrust(&self) -> bool {
            !self.is_distrusted.replace(true)
        }
    }

    /// An archive of one member, and where its content is.
    fn archive_of(content: &[u8]) -> (Doubtful, Content) {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        let mut builder = tar::Builder::new(Vec::new());
        builder.append_data(&mut header, "member", content).expect("memory");
        let real = builder.into_inner().expect("memory");
        let member = match walk(&real).next() {
            Ok(Some(Item::Member(member))) => member,
            other => panic!("{other:?}"),
        };
        (Doubtful { real, is_distrusted: Cell::new(false) }, member.content)
    }

    #[test]
    fn an_odd_table_is_examined_again() {
        // What shows first is a protective MBR, and a GPT header of which nothing holds.
        let mut image = vec![0; 1 << 20];
        image[446 + 4] = 0xEE;
        image[446 + 8] = 1;
        image[446 + 13] = 1;
        image[510..512].copy_from_slice(&[0x55, 0xAA]);
        image[512..520].copy_from_slice(b"EFI PART");
        for byte in &mut image {
            *byte ^= 0xA5;
        }
        let (archive, content) = archive_of(&image);
        let seeming = Finding::examine(&content.reader(&archive), content.size(), None);
        assert!(seeming.is_odd(), "{seeming:?}");
        let finding = examine(&archive, &content, None);
        assert!(archive.is_distrusted.get() && !finding.is_odd(), "{finding:?}");
        assert_eq!(finding.count, Some(0));
    }
}
