//! Properties: archives damaged at random.

use proptest::prelude::*;

use super::sparse::old_sparse;
use super::*;

/// An archive with something of everything.
fn of_everything() -> Vec<u8> {
    [
        &member("f.img", b'0', &[1; 700])[..],
        &member("x", b'L', b"long"),
        &member("x", b'K', b"link"),
        &header("l", b'2', 0),
        &member("x", b'g', record("comment", "c").as_bytes()),
        &pax(&[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "5000")]),
        &member("s", b'0', &[padded(b"2\n512\n512\n4000\n512\n"), vec![5; 1024]].concat()),
        &pax(&[("GNU.sparse.size", "5000"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,512")]),
        &member("s", b'0', &[5; 512]),
        &old_sparse(&[(512, 512), (4096, 512)], false, 5000, 1024),
        &[5; 1024],
        &END,
        &member("again", b'0', b"abc"),
        &END,
    ]
    .concat()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn damaged_archives_are_walked_to_an_end_with_bounded_reads(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<bool>()), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut archive = of_everything();
        for (at, byte, heal) in edits {
            let at = at.index(archive.len());
            archive[at] = byte;
            let block = &mut archive[at / 512 * 512..][..512];
            if heal && &block[257..262] == b"ustar" {
                block[CHKSUM..CHKSUM + 8].fill(b' ');
                let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
                block[CHKSUM..CHKSUM + 8].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        if let Some(cut) = cut {
            archive.truncate(cut.index(archive.len()));
        }
        let archive = archive.as_slice();
        let counted = Counted::new(&archive);
        let mut members = walk(&counted);
        let mut items = 0;
        while let Ok(Some(item)) = members.next() {
            items += 1;
            prop_assert!(items <= archive.len() / 256 + 10);
            let Item::Member(member) = item else { continue };
            let mut covered = 0;
            for extent in member.content.extents() {
                let (offset, len) = match extent {
                    Extent::Data { offset, archive } => (offset, archive.end - archive.start),
                    Extent::Hole { offset, len } => (offset, len),
                };
                prop_assert_eq!(offset, covered);
                prop_assert!(len > 0);
                covered += len;
            }
            prop_assert_eq!(covered, member.size);
            let mut buf = [0; 8192];
            if let Ok(got) = member.content.reader(&archive).read_at(0, &mut buf) {
                prop_assert!(got as u64 <= member.size);
            }
        }
        // Every block at most a few times: once as a header, once as what is scanned for one, once before the end.
        prop_assert!(counted.bytes.get() <= 4 * archive.len() as u64 + 1024);
    }

    #[test]
    fn any_bytes_behind_a_good_header_are_walked_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..4096), flag in any::<u8>()) {
        let archive = [header("f", flag, bytes.len() as u64), padded(&bytes), END.to_vec()].concat();
        walked(&archive.as_slice());
    }
}
