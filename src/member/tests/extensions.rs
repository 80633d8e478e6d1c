//! Types, PAX records, long names, and sizes that lie.

use super::*;

#[test]
fn types_say_what_members_are_and_only_some_have_data() {
    let data = [1; 600];
    let mut archive = Vec::new();
    for flag in [b'0', 0, b'7'] {
        archive.extend(member("f.img", flag, &data));
    }
    for flag in b'1'..=b'6' {
        archive.extend(header("x.img", flag, 600)); // a size that means nothing
    }
    for flag in *b"DVMNq" {
        archive.extend(member("other", flag, &data));
    }
    archive.extend(member("dir/", b'0', &data));
    archive.extend(header("last", b'0', 0));
    assert_eq!(
        lines(&[&archive, &END]),
        [
            "f.img file 600",
            "f.img file 600",
            "f.img file 600",
            "x.img hard link 0",
            "x.img symbolic link 0",
            "x.img character device 0",
            "x.img block device 0",
            "x.img directory 0",
            "x.img FIFO 0",
            "other directory 600",
            "other member of type 'V' 600",
            "other member of type 'M' 600",
            "other member of type 'N' 600",
            "other member of type 'q' 600",
            "dir/ directory 600",
            "last file 0",
        ]
    );
}

#[test]
fn a_pax_size_is_believed_of_links_but_not_of_directories() {
    let size = pax(&[("size", "5")]);
    for flag in *b"12346" {
        let archive = [&size[..], &member("l", flag, b"12345"), &header("last", b'0', 0), &END];
        assert_eq!(lines(&archive).last().map(String::as_str), Some("last file 0"));
    }
    assert_eq!(
        lines(&[&size, &header("d", b'5', 0), &header("last", b'0', 0), &END]),
        ["d directory 0", "last file 0"]
    );
}

#[test]
fn a_pax_size_replaces_the_header_s_even_behind_a_newline() {
    let xattr = pax(&[("SCHILY.xattr.user.a", "x\n9 size=1\n"), ("size", "700")]);
    let archive = [&xattr[..], &header("f", b'0', 0), &padded(&[7; 700]), &header("last", b'0', 0), &END];
    assert_eq!(lines(&archive), ["f file 700", "last file 0"]);
}

#[test]
fn several_pax_headers_before_a_member_are_taken_together() {
    let archive = [
        &pax(&[("size", "3"), ("path", "a")])[..],
        &pax(&[("path", "b")]),
        &header("f", b'0', 0),
        &padded(b"abc"),
        &END,
    ];
    assert_eq!(lines(&archive), ["b file 3"]);
}

#[test]
fn global_records_hold_until_replaced_or_deleted() {
    let global = member("g", b'g', record("path", "global").as_bytes());
    let archive = [
        &global[..],
        &header("a", b'0', 0),
        &pax(&[("path", "own")]),
        &header("b", b'0', 0),
        &pax(&[("path", "")]),
        &header("c", b'0', 0),
        &END,
        &header("next archive", b'0', 0),
        &END,
    ];
    assert_eq!(
        lines(&archive),
        ["global file 0", "own file 0", "c file 0", "tar_archive_after_end", "next archive file 0"]
    );
}

#[test]
fn gnu_long_names_are_cut_at_their_nul_and_yield_to_pax() {
    let long = "n".repeat(300);
    let with_nul = [long.as_bytes(), b"\0junk"].concat();
    let archive = [
        &member("././@LongLink", b'L', &with_nul)[..],
        &member("././@LongLink", b'K', b"target\0"),
        &header("short", b'2', 0),
        &member("././@LongLink", b'L', &with_nul),
        &pax(&[("path", "pax")]),
        &header("short", b'0', 0),
        &header("own", b'0', 0),
        &END,
    ]
    .concat();
    let archive = archive.as_slice();
    let Ok(Some(Item::Member(link))) = walk(&archive).next() else { panic!("a member") };
    assert_eq!(link.link_target.as_deref(), Some(&b"target"[..]));
    assert_eq!(walked(&archive), [format!("{long} symbolic link 0"), "pax file 0".into(), "own file 0".into()]);
}

#[test]
fn a_bad_pax_record_costs_its_member_and_no_other() {
    let bad = [record("size", "3"), "99 path=b\n".to_owned()].concat();
    let archive = [
        &member("x", b'x', bad.as_bytes())[..],
        &header("f", b'0', 0),
        &padded(b"abc"),
        &header("last", b'0', 0),
        &END,
    ];
    assert_eq!(lines(&archive), ["bad tar_pax_record", "last file 0"]);
}

#[test]
fn an_extension_beyond_its_limit_costs_its_member_and_is_not_read() {
    let large = vec![b'n'; (1 << 20) + 1];
    for flag in *b"LKg" {
        let archive =
            [&member("x", flag, &large)[..], &member("f", b'0', b"abc"), &header("last", b'0', 0), &END].concat();
        let archive = archive.as_slice();
        let counted = Counted::new(&archive);
        let expected = if flag == b'g' { vec!["f file 3"] } else { vec![] };
        let expected = [&["bad tar_extension_too_large"], &expected[..], &["last file 0"]].concat();
        assert_eq!(walked(&counted), expected, "{}", flag.escape_ascii());
        assert!(counted.bytes.get() < 4096);
    }
    let xattr = pax(&[("SCHILY.xattr.user.a", &"v".repeat(1 << 20)), ("size", "3")]);
    let archive = [&xattr[..], &header("f", b'0', 0), &padded(b"abc"), &header("last", b'0', 0), &END];
    assert_eq!(lines(&archive), ["bad tar_extension_too_large", "last file 0"]);
}

#[test]
fn sizes_that_lie_neither_allocate_nor_wrap() {
    for flag in *b"0xLKgV" {
        for size in [1 << 62, (1 << 63) - 513, (1 << 63) - 512, (1 << 63) - 1, 1 << 63, u64::MAX] {
            let archive =
                [&header("f", b'0', 0)[..], &header("lies", flag, size), &[1; 512], &header("last", b'0', 0), &END];
            let found = lines(&archive);
            let last = found.last().map(String::as_str);
            if size == 1 << 62 {
                assert_eq!(last, Some("end tar_truncated"), "{found:?}");
            } else {
                assert_eq!(last, Some("last file 0"), "{found:?}");
                assert_eq!(found[found.len() - 2], "tar_resumed");
            }
        }
    }
}
