//! Sizes that disagree: the header's, and the PAX one.

use super::*;

/// Larger than eleven octal digits can say.
const HUGE: u64 = 9 << 30;

/// PAX records.
type Pairs<'a> = &'a [(&'a str, &'a str)];

fn sized(size: u64) -> Vec<u8> {
    pax(&[("size", &size.to_string())])
}

/// A member of `data` of which PAX says one size and the header another, before a last one.
fn disputed(pax: u64, header_size: u64, data: &[u8]) -> Vec<String> {
    lines(&[&sized(pax), &header("f", b'0', header_size), &padded(data), &header("last", b'0', 0), &END])
}

/// The header of a member in a member: data that look like an archive.
fn nested() -> Vec<u8> {
    [&member("nested.img", b'0', &[7; 700])[..], &header("nested", b'0', 0), &[0; 512]].concat()
}

#[test]
fn the_size_that_leads_to_the_next_header_is_believed() {
    let data = [7; 2000];
    for (pax, header_size, said) in [
        (2000, 2000, &["f file 2000"][..]),
        (2000, 0, &["f file 2000"]),
        (2000, 600, &["f file 2000"]),
        (2000, 3000, &["f file 2000"]),
        (2000, 1 << 40, &["f file 2000"]),
        (600, 2000, &["tar_pax_size", "f file 2000"]),
        (9000, 2000, &["tar_pax_size", "f file 2000"]),
        (HUGE, 2000, &["tar_pax_size", "f file 2000"]),
        (1 << 62, 2000, &["tar_pax_size", "f file 2000"]),
        ((1 << 63) - 1, 2000, &["tar_pax_size", "f file 2000"]),
    ] {
        assert_eq!(disputed(pax, header_size, &data), [said, &["last file 0"]].concat(), "{pax} or {header_size}");
    }
}

#[test]
fn where_neither_leads_to_a_header_the_pax_size_is_believed_and_the_error_told() {
    let data = [7; 5000];
    for (pax, header_size) in [(1000, 2000), (2000, 1000), (2000, 1 << 40)] {
        let said = disputed(pax, header_size, &data);
        assert_eq!(said, [&format!("f file {pax}"), "bad tar_header_checksum", "tar_resumed", "last file 0"]);
    }
}

#[test]
fn zeros_where_a_header_could_be_prove_little() {
    // The data are zeros wherever the wrong size ends.
    let data = [0; 4000];
    assert_eq!(disputed(4000, 1000, &data), ["f file 4000", "last file 0"]);
    assert_eq!(disputed(4000, 0, &data), ["f file 4000", "last file 0"]);
    assert_eq!(disputed(1000, 4000, &data), ["tar_pax_size", "f file 4000", "last file 0"]);
    // The last member: an end marker, or nothing, stands behind both or behind one.
    for end in [&END[..], &[0; 9216], &[]] {
        let of = |pax, size| lines(&[&sized(pax), &header("f", b'0', size), &padded(&[7; 2000]), end]);
        let missing = if end.is_empty() { vec!["tar_missing_end_marker"] } else { vec![] };
        assert_eq!(of(2000, 1000), [&["f file 2000"], &missing[..]].concat());
        assert_eq!(of(50_000, 2000), [&["tar_pax_size", "f file 2000"], &missing[..]].concat());
    }
}

#[test]
fn an_archive_in_a_member_is_not_taken_for_the_rest_of_it() {
    let data = nested();
    let size = data.len() as u64;
    assert_eq!(disputed(size, 0, &data), [format!("f file {size}"), "last file 0".to_owned()]);
    // Cut short in it, its header's 0 is no better.
    let cut = [&sized(HUGE)[..], &header("f", b'0', 0), &data].concat();
    assert_eq!(lines(&[&cut]), [&format!("f file {HUGE}"), "end tar_truncated"]);
    // Nor does it prove anything that a header of PAX size alone is followed by one.
    assert_eq!(disputed(size, 1 << 40, &data), [format!("f file {size}"), "last file 0".to_owned()]);
}

#[test]
fn a_huge_member_that_begins_with_zeros_is_not_passed_to_see_what_stands_behind_it() {
    for start in [vec![0; 1024], vec![7; 1024]] {
        let head = [&sized(HUGE)[..], &header("f.img", b'0', 0), &start].concat();
        let archive = Padded { head, len: HUGE + (1 << 20) };
        let counted = Counted::new(&archive);
        let mut members = walk(&counted);
        let Ok(Some(Item::Member(member))) = members.next() else { panic!("a member") };
        assert_eq!(member.size, HUGE);
        let farthest = counted.reads.borrow().iter().map(|&(at, _)| at).max();
        assert!(farthest < Some(4096) && counted.furthest_back.get() == 0, "{farthest:?}");
    }
}

#[test]
fn a_sparse_map_says_which_size_is_right_and_nothing_behind_it_is_looked_at() {
    let real = HUGE.to_string();
    let maps: [(Pairs<'_>, Vec<u8>); 3] = [
        (
            &[("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.realsize", &real)],
            [padded(b"2\n512\n512\n4096\n512\n"), vec![5; 1024]].concat(),
        ),
        (&[("GNU.sparse.size", &real), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,1024")], vec![5; 1024]),
        (
            &[
                ("GNU.sparse.size", &real),
                ("GNU.sparse.numblocks", "1"),
                ("GNU.sparse.offset", "0"),
                ("GNU.sparse.numbytes", "700"),
            ],
            padded(&[5; 700]),
        ),
    ];
    for (records, stored) in &maps {
        let size = stored.len() as u64;
        for (pax_size, header_size, note) in
            [(HUGE, size, true), (size, HUGE, false), (size, 0, false), (3, size, true)]
        {
            let archive = [
                &pax(&[*records, &[("size", &*pax_size.to_string())]].concat())[..],
                &header("s.img", b'0', header_size),
                stored,
                &header("last", b'0', 0),
                &END,
            ]
            .concat();
            let archive = archive.as_slice();
            let counted = Counted::new(&archive);
            let said = walked(&counted);
            let noted = if note { vec!["tar_pax_size".to_owned()] } else { vec![] };
            assert_eq!(
                said,
                [&noted[..], &[format!("s.img file {HUGE}"), "last file 0".to_owned()]].concat(),
                "{records:?}"
            );
            assert_eq!(counted.furthest_back.get(), 0);
        }
    }
    // Old GNU's, with a PAX size before it.
    let old = super::sparse::old_sparse(&[(0, 512), (4096, 512)], false, 5000, 1024);
    assert_eq!(
        lines(&[&sized(5000), &old, &[5; 1024], &header("last", b'0', 0), &END]),
        ["tar_pax_size", "s.img file 5000", "last file 0"]
    );
}

#[test]
fn a_sparse_map_that_comes_to_neither_size_leaves_it_to_the_next_header() {
    let records = [("GNU.sparse.size", "5000"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "0,512")];
    for (pax_size, header_size, note) in [(2048, 5120, false), (5120, 2048, true)] {
        let archive = [
            &pax(&[&records[..], &[("size", &*pax_size.to_string())]].concat())[..],
            &header("s", b'0', header_size),
            &[5; 2048],
            &header("last", b'0', 0),
            &END,
        ];
        let noted: &[&str] = if note { &["tar_pax_size"] } else { &[] };
        assert_eq!(lines(&archive), [noted, &["s file 5000", "last file 0"]].concat());
    }
}

#[test]
fn a_hard_link_has_data_where_its_header_says_so_and_the_next_one_stands_behind_them() {
    let last = header("last", b'0', 0);
    let data = [7; 1500];
    let link = header("l.img", b'1', 1500);
    for (after, rest) in [(&last[..], &["last file 0", "tar_missing_end_marker"][..]), (&END, &[])] {
        // POSIX.1-2017 pax, -o linkdata.
        assert_eq!(lines(&[&link, &padded(&data), after]), [&["l.img hard link 1500"], rest].concat());
        // An old tar's, which has none.
        assert_eq!(lines(&[&link, after]), [&["l.img hard link 0"], rest].concat());
    }
    // Blank data are no end of the archive where a header stands behind them.
    assert_eq!(lines(&[&link, &[0; 1536], &last, &END]), ["l.img hard link 1500", "last file 0"]);
    // A PAX size is believed unless a header stands in front of what would be its data, and none behind them.
    assert_eq!(
        lines(&[&sized(1500), &header("l", b'1', 0), &padded(&data), &last, &END]),
        ["l hard link 1500", "last file 0"]
    );
    let without = [&sized(1500)[..], &header("l", b'1', 0), &member("f", b'0', &[7; 9000]), &last, &END];
    assert_eq!(lines(&without), ["tar_pax_size", "l hard link 0", "f file 9000", "last file 0"]);
}

#[test]
fn once_a_pax_size_was_wrong_headers_are_trusted_and_few_are_looked_past() {
    let one = [&sized(100_000)[..], &header("f", b'0', 600), &padded(&[7; 600])].concat();
    let archive = [one.repeat(1000), header("last", b'0', 0), END.to_vec(), vec![1; 200_000]].concat();
    let archive = archive.as_slice();
    let counted = Counted::new(&archive);
    let said = walked(&counted);
    assert_eq!(said.iter().filter(|line| *line == "f file 600").count(), 1000);
    let back = counted.reads.borrow().windows(2).filter(|pair| pair[1].0 < pair[0].0).count();
    assert!(back <= 4, "{back} reads went back");

    // What cannot be decided without looking far is looked at so a few times, and then the rule counts.
    let one = [&sized(1024)[..], &header("f", b'0', 600), &padded(&[0; 1024])].concat();
    let archive = [one.repeat(1000), header("last", b'0', 0), END.to_vec()].concat();
    let archive = archive.as_slice();
    let counted = Counted::new(&archive);
    assert_eq!(walked(&counted).iter().filter(|line| *line == "f file 1024").count(), 1000);
    assert!(counted.bytes.get() <= 2 * archive.len() as u64);
}

#[test]
fn zeros_inside_the_data_are_no_end_where_the_larger_size_ends_at_one_too() {
    let mut data = vec![0; 8192];
    data[8000] = 1;
    for size in ["0", "512", "1024", "4096"] {
        let archive = [&pax(&[("size", size)])[..], &header("f.img", b'0', 8192), &data, &END];
        assert_eq!(lines(&archive), ["tar_pax_size", "f.img file 8192"], "{size}");
    }
}
