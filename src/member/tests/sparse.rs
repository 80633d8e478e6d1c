//! Sparse maps of every format.

use super::*;

/// An old GNU sparse header with these entries and real size.
pub(super) fn old_sparse(entries: &[(u64, u64)], extended: bool, real: u64, stored: u64) -> Vec<u8> {
    header_with("s.img", b'S', stored, |block| {
        block[257..265].copy_from_slice(GNU);
        for (slot, (offset, len)) in block[386..482].chunks_mut(24).zip(entries) {
            slot.copy_from_slice(format!("{offset:011o}\0{len:011o}\0").as_bytes());
        }
        block[482] = u8::from(extended);
        block[483..495].copy_from_slice(format!("{real:011o}\0").as_bytes());
    })
}

#[test]
fn old_gnu_sparse_maps_are_bounded_and_checked() {
    let last = header("last", b'0', 0);
    let data = [5; 1024];
    for (sparse, first) in [
        (old_sparse(&[(512, 512), (4096, 512)], false, 5000, 1024), "s.img file 5000"),
        (old_sparse(&[(5000, 0)], false, 5000, 1024), "s.img file 5000"),
        (old_sparse(&[], false, 5000, 1024), "s.img file 5000"),
        (old_sparse(&[(512, 512), (0, 512)], false, 5000, 1024), "bad tar_sparse_map"),
        (old_sparse(&[(512, 512), (4096, 1024)], false, 5000, 1024), "bad tar_sparse_map"),
        (old_sparse(&[(512, 512), (4096, 1024)], false, 9000, 1024), "bad tar_sparse_map"),
    ] {
        assert_eq!(lines(&[&sparse, &data, &last, &END]), [first, "last file 0"]);
    }
    // An extension block is asked for after the list has ended.
    let early = old_sparse(&[(0, 512)], true, 5000, 1024);
    assert_eq!(lines(&[&early, &[0; 512], &data, &last, &END]), ["bad tar_sparse_map", "last file 0"]);
    // The type without the magic.
    assert_eq!(lines(&[&member("s", b'S', &data), &last, &END]), ["bad tar_sparse_map", "last file 0"]);
    // The archive ends in the map.
    assert_eq!(lines(&[&early]), ["end tar_truncated"]);
}

#[test]
fn an_endless_chain_of_sparse_extensions_is_given_up() {
    let mut block = [0; 512];
    for slot in block[..504].chunks_mut(24) {
        slot.copy_from_slice(b"00000000000\x0000000000000\0");
    }
    block[504] = 1;
    let entry = [(0, 0); 4];
    let chain = block.repeat((64 << 11) + 10);
    let archive = [&old_sparse(&entry, true, 5000, 0)[..], &chain, &header("last", b'0', 0), &END];
    assert_eq!(lines(&archive), ["bad tar_sparse_map", "tar_resumed", "last file 0"]);
}

#[test]
fn pax_sparse_members_of_all_versions_have_their_real_name_and_size() {
    let data = [5; 1024];
    let name = ("GNU.sparse.name", "dir/real.img");
    let v00 = [
        ("GNU.sparse.size", "5000"),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.offset", "512"),
        ("GNU.sparse.numbytes", "512"),
        ("GNU.sparse.offset", "4000"),
        ("GNU.sparse.numbytes", "512"),
        name,
    ];
    let v01 = [
        name,
        ("path", "hidden"),
        ("GNU.sparse.size", "5000"),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.map", "512,512,4000,512"),
    ];
    let v10 = [name, ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", "5000")];
    let map = padded(b"2\n512\n512\n4000\n512\n");
    for (records, data) in [(&v00[..], data.to_vec()), (&v01, data.to_vec()), (&v10, [&map[..], &data].concat())] {
        let archive =
            [&pax(records)[..], &member("GNUSparseFile.1/real.img", b'0', &data), &header("last", b'0', 0), &END]
                .concat();
        let archive = archive.as_slice();
        assert_eq!(walked(&archive), ["dir/real.img file 5000", "last file 0"]);
        let Ok(Some(Item::Member(member))) = walk(&archive).next() else { panic!("a member") };
        let mut content = [9; 5000];
        member.content.reader(&archive).read_exact_at(0, &mut content).expect("content");
        let expected = [&[0; 512][..], &[5; 512], &[0; 2976], &[5; 512], &[0; 488]].concat();
        assert_eq!(content.as_slice(), expected);
        assert_eq!(member.content.stored().end, archive.len() as u64 - 1536);
    }
}

#[test]
fn pax_sparse_records_that_contradict_themselves_are_refused() {
    let size = ("GNU.sparse.size", "5000");
    for records in [
        &[("GNU.sparse.map", "0,512")][..],
        &[size],
        &[size, ("GNU.sparse.numblocks", "2"), ("GNU.sparse.map", "0,512")],
        &[size, ("GNU.sparse.map", "0,512,100,512")],
        &[size, ("GNU.sparse.map", "0,2048")],
        &[size, ("GNU.sparse.map", "4999,2")],
        &[size, ("GNU.sparse.major", "2")],
        &[size, ("GNU.sparse.major", "1")],
    ] {
        let archive = [&pax(records)[..], &member("f", b'0', &[b'\n'; 1024]), &header("last", b'0', 0), &END];
        assert_eq!(lines(&archive), ["bad tar_sparse_map", "last file 0"], "{records:?}");
    }
}
