//! Bad headers, and what an archive may end with.

use super::*;

#[test]
fn after_a_bad_header_the_next_good_one_is_found() {
    let mut bad = header("bad", b'0', 700);
    bad[0] ^= 1;
    let number = header_with("bad", b'0', 0, |block| {
        block[SIZE..SIZE + 12].copy_from_slice(b"-0000000001\0");
    });
    for (bad, code) in [(bad, "bad tar_header_checksum"), (number, "bad tar_number")] {
        let archive = [&member("f", b'0', b"abc")[..], &bad, &[7; 1024], &header("last", b'0', 0), &END];
        assert_eq!(lines(&archive), ["f file 3", code, "tar_resumed", "last file 0"]);
        assert_eq!(lines(&archive[..3]), ["f file 3", code]);
    }
}

#[test]
fn a_header_without_magic_is_not_believed_after_a_bad_one() {
    let v7 = header_with("v7", b'0', 0, |block| block[257..265].fill(0));
    let bad = [9; 512];
    assert_eq!(lines(&[&v7, &bad, &v7, &END]), ["v7 file 0", "bad tar_header_checksum", "tar_resumed", "v7 file 0"]);
    let posix = header("f", b'0', 0);
    assert_eq!(lines(&[&posix, &bad, &v7, &END]), ["f file 0", "bad tar_header_checksum"]);
}

#[test]
fn what_is_no_tar_archive_is_said_to_be_none() {
    for archive in [&[1; 2048][..], b"short", b""] {
        assert_eq!(lines(&[archive]), ["end not_tar"]);
    }
    assert_eq!(lines(&[&END]), [""; 0]);
}

#[test]
fn the_end_marker_may_be_missing_or_cut_or_followed_by_something() {
    let f = member("f", b'0', b"abc");
    for (after, expected) in [
        (vec![], vec!["tar_missing_end_marker"]),
        (vec![0; 100], vec!["tar_missing_end_marker"]),
        (vec![0; 512], vec!["tar_lone_zero_block"]),
        (vec![0; 700], vec!["tar_lone_zero_block"]),
        (vec![0; 1024], vec![]),
        (vec![0; 100_000], vec![]),
        (vec![1; 100], vec!["end tar_truncated"]),
        ([&END[..], b"x"].concat(), vec!["tar_data_after_end"]),
        ([&END[..], &[0; 5000], &[1; 5000]].concat(), vec!["tar_data_after_end"]),
        ([&[0; 512], &[1; 512][..]].concat(), vec!["tar_lone_zero_block", "tar_data_after_end"]),
        ([&[0; 512], &f[..], &END].concat(), vec!["tar_lone_zero_block", "f file 3"]),
        ([&END[..], &[0; 9216], &f, &END].concat(), vec!["tar_archive_after_end", "f file 3"]),
    ] {
        let expected = [&["f file 3"], &expected[..]].concat();
        assert_eq!(lines(&[&f, &after]), expected, "{} bytes", after.len());
    }
}

#[test]
fn a_member_that_is_cut_is_truncated_and_one_without_padding_is_not() {
    let f = [header("f", b'0', 1000), vec![1; 1000]].concat();
    assert_eq!(lines(&[&f]), ["f file 1000", "tar_missing_end_marker"]);
    for cut in [1, 900, 1000] {
        let archive = &f[..f.len() - cut];
        let mut members = walk(&archive);
        assert!(matches!(members.next(), Ok(Some(Item::Member(_)))));
        let error = members.next().expect_err("cut");
        assert!(matches!(error, Error::Truncated { what: Part::Data, offset: 0, needed: 1512, .. }), "{error}");
        assert_eq!(error.path(), Some(&b"f"[..]));
    }
}

#[test]
fn extension_headers_without_a_member_are_reported() {
    let long = member("x", b'L', b"name");
    assert_eq!(lines(&[&long, &END]), ["bad tar_lone_extension"]);
    assert_eq!(lines(&[&long]), ["bad tar_lone_extension", "tar_missing_end_marker"]);
    assert_eq!(lines(&[&long[..514]]), ["end tar_truncated"]);
}

#[test]
fn data_after_the_end_is_read_to_the_archive_s_end() {
    let junk = vec![1; 1_000_000];
    let archive = [&header("f", b'0', 0)[..], &END, &junk].concat();
    let archive = archive.as_slice();
    let counted = Counted::new(&archive);
    assert_eq!(walked(&counted), ["f file 0", "tar_data_after_end"]);
    assert!(counted.reads.borrow().iter().any(|&(pos, got)| pos + got as u64 == archive.len() as u64));
    assert!(counted.reads.borrow().iter().all(|&(_, got)| got <= 64 << 10));
}
