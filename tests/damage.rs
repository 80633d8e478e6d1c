//! Archives that something happened to: each is an error that says what, where and why; what was sure before stands,
//! nothing half is staged, and the other archives of the run are done.

#[path = "common/hostile.rs"]
mod hostile;

use std::process::{Command, Stdio};

use hostile::*;

const BAD: &str = "bad00000000000000000000000000bad";

/// Runs over a good archive and this bad one. The bad one has to end in an error of this reason, whose line on stderr holds `part`;
/// the image that it holds, if any, in this action. `kept` are files that are staged of it.
fn expect(what: &str, bytes: &[u8], reason: &str, part: &str, action: Option<&str>, kept: &[&str]) -> Outcome {
    expect_with(what, bytes, reason, part, action, kept, &[])
}

fn expect_with(
    what: &str,
    bytes: &[u8],
    reason: &str,
    part: &str,
    action: Option<&str>,
    kept: &[&str],
    arguments: &[&str],
) -> Outcome {
    let site = Site::with_good();
    site.archive(BAD, bytes);
    let outcome = site.scan(arguments);
    let path = site.path(BAD);
    let begin = format!("imgsieve: error: {}: ", path.display());
    let lines: Vec<_> = outcome.stderr.lines().filter(|line| line.starts_with(&begin)).collect();
    eprintln!("CASE {what}\t{}", outcome.stderr.replace(&format!("{}/", site.cold.display()), "").trim_end());
    assert_eq!(lines.len(), 1, "{what}: {}", outcome.stderr);
    assert!(lines[0].contains(part), "{what}: {}", lines[0]);
    assert_eq!(outcome.reasons("archive"), [reason], "{what}");
    assert_eq!(outcome.code(), 1, "{what}");
    assert_eq!(outcome.of("archive_complete", GOOD).len(), 1, "{what}");
    match action {
        None => assert_eq!(outcome.of("img_found", BAD).len(), 0, "{what}"),
        Some(action) => assert_eq!(outcome.check_of(BAD)["action"], action, "{what}"),
    }
    let kept: Vec<String> = kept.iter().map(|name| format!("{BAD}/{name}")).collect();
    site.assert_staged_good_and(&kept.iter().map(String::as_str).collect::<Vec<_>>());
    outcome
}

/// A tar of one image with two partitions and a log.
fn two_members() -> Vec<u8> {
    tar(&[member(b"disk.img", &image(2, 3 * MIB, 1)), member(b"disk.log", &noise(LOG, 2))])
}

/// Longer than a zstd block, so that damage there need not reach back into the image.
const LOG: usize = 300_000;

/// Where the image's data end in that tar.
const IMAGE_END: usize = BLOCK + 3 * MIB;

fn compressed_by(program: &str, package: &str, bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} cannot be run ({error}): install the Debian package {package}"));
    let mut stdin = child.stdin.take().expect("piped");
    let bytes = bytes.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).expect("taken"));
    let output = child.wait_with_output().expect("ours");
    writer.join().expect("written");
    assert!(output.status.success());
    output.stdout
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn what_is_no_zstandard_file_is_named() {
    let tar = two_members();
    expect("text", b"This is no archive at all.\n", "not_zstd", "bytes 54 68 69 73", None, &[]);
    expect("plain tar", &tar, "not_zstd", "an uncompressed tar archive", None, &[]);
    expect("zeros", &[0; 5000], "not_zstd", "zeros", None, &[]);
    for (program, package) in [("gzip", "gzip"), ("xz", "xz-utils"), ("bzip2", "bzip2"), ("lz4", "lz4")] {
        let bytes = compressed_by(program, package, &tar[..MIB]);
        expect(program, &bytes, "not_zstd", &format!("it begins with {program} data"), None, &[]);
    }
}

#[test]
fn an_archive_cut_in_its_zstd_layer_is_truncated_wherever_it_is_cut() {
    let whole = zst(&two_members());
    for length in [1, 3, 4, 5, 8] {
        let what = format!("cut in the frame header, after {length} bytes");
        expect(&what, &whole[..length], "truncated", &format!("the file ends at byte {length}"), None, &[]);
    }
    let middle = whole.len() / 2;
    expect(
        "cut in mid block",
        &whole[..middle],
        "truncated",
        "inside the frame that begins at byte 0",
        Some("error"),
        &[],
    );
    let log = whole.len() - 100_000;
    expect("cut behind the image", &whole[..log], "truncated", "inside the frame", Some("KEPT"), &["disk.img"]);
    for missing in 1..=4 {
        let what = format!("cut in the checksum, {missing} bytes are missing");
        let outcome =
            expect(&what, &whole[..whole.len() - missing], "truncated", "inside", Some("KEPT"), &["disk.img"]);
        assert_eq!(outcome.check_of(BAD)["verified"], false);
        assert_eq!(outcome.of("warning", BAD).iter().filter(|line| line["reason"] == "not_verified").count(), 1);
    }
}

#[test]
fn a_tar_cut_short_in_a_whole_frame_is_truncated_wherever_it_is_cut() {
    let tar = two_members();
    expect("no tar at all", &zst(b"hello"), "not_tar", "not a tar archive", None, &[]);
    expect("an empty frame", &zst(b""), "not_tar", "(0 bytes read)", None, &[]);
    expect("tar cut in its first header", &zst(&tar[..300]), "not_tar", "not a tar archive", None, &[]);
    expect("tar cut in mid image", &zst(&tar[..2 * MIB]), "tar_truncated", "disk.img", Some("error"), &[]);
    let cut = IMAGE_END + 100;
    expect("tar cut in the second header", &zst(&tar[..cut]), "tar_truncated", "inside", Some("KEPT"), &["disk.img"]);
    let cut = IMAGE_END + BLOCK + 1000;
    expect("tar cut in the second member", &zst(&tar[..cut]), "tar_truncated", "disk.log", Some("KEPT"), &["disk.img"]);
}

#[test]
fn a_tar_without_its_end_marker_is_whole() {
    let site = Site::with_good();
    site.archive(BAD, &zst(&member(b"disk.img", &image(2, 3 * MIB, 1))));
    let outcome = site.scan(&[]);
    assert_eq!((outcome.code(), outcome.of("warning", BAD).len()), (0, 1), "{}", outcome.stderr);
    site.assert_staged_good_and(&[&format!("{BAD}/disk.img")]);
}

#[test]
fn a_flipped_byte_is_an_error_and_never_a_verified_image() {
    let tar = two_members();
    let whole = zst(&tar);
    let flipped = |at: usize| {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        bytes
    };
    let end = whole.len();
    let checksum = expect(
        "flipped byte in the checksum",
        &flipped(end - 1),
        "checksum",
        "fails its checksum",
        Some("KEPT"),
        &["disk.img"],
    );
    assert_eq!(checksum.check_of(BAD)["verified"], false);
    // Noise is stored in raw blocks, so the flip is in the image's data.
    let data = expect(
        "flipped byte in an image's data",
        &flipped(end / 2),
        "checksum",
        "fails its checksum",
        Some("KEPT"),
        &["disk.img"],
    );
    assert_eq!(data.check_of(BAD)["verified"], false);

    let with_header = |at: usize| {
        let mut tar = tar.clone();
        tar[at] ^= 0x01;
        zst(&tar)
    };
    expect("flipped bit in the first tar header", &with_header(5), "not_tar", "not a tar archive", None, &[]);
    expect(
        "flipped bit in a later tar header",
        &with_header(IMAGE_END + 5),
        "tar_header_checksum",
        "checksum",
        Some("KEPT"),
        &["disk.img"],
    );
}

#[test]
fn what_follows_the_last_frame_is_an_error_after_good_data() {
    let whole = zst(&two_members());
    for (what, tail, part) in [
        ("trailing garbage", noise(4096, 5), "4096 bytes after the last frame"),
        ("zeros and then garbage", [vec![0; 4096], noise(10, 5)].concat(), "zeros, and from byte"),
        ("zeros and then an archive", [vec![0; 4096], whole.clone()].concat(), "on a frame"),
        ("one byte of trailing garbage", vec![b'x'], "1 bytes after the last frame"),
        ("a gzip file behind", b"\x1f\x8b\x08\0\0\0\0\0".to_vec(), "gzip data"),
    ] {
        let outcome =
            expect(what, &[&whole[..], &tail].concat(), "trailing_garbage", part, Some("KEPT"), &["disk.img"]);
        assert_eq!(outcome.check_of(BAD)["verified"], true, "{what}");
    }
    let cut = [&whole[..], b"\x28\xb5\x2f"].concat();
    expect("a frame begun behind", &cut, "truncated", "inside the frame", Some("KEPT"), &["disk.img"]);
}

#[test]
fn zeros_after_the_last_frame_are_a_warning_and_the_archive_is_not_done_again() {
    let whole = zst(&two_members());
    for engine in ["decode", "skip", "auto"] {
        let site = Site::with_good();
        site.archive(BAD, &[&whole[..], &[0; 9960]].concat());
        let outcome = site.scan(&["--engine", engine]);
        assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
        let warnings = outcome.of("warning", BAD);
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert_eq!(warnings[0]["reason"], "trailing_zeros");
        let message = format!("9960 zeros after the last frame, from byte {} to the end", whole.len());
        assert!(warnings[0]["message"].as_str().is_some_and(|text| text.starts_with(&message)), "{warnings:?}");
        assert_eq!(outcome.check_of(BAD)["verified"], true);
        assert_eq!(outcome.of("archive_complete", BAD)[0]["verified"], true);
        site.assert_staged_good_and(&[&format!("{BAD}/disk.img")]);
        let outcome = site.scan(&["--engine", engine, "--resume"]);
        assert_eq!((outcome.code(), outcome.of("archive_resumed", BAD).len()), (0, 1), "{}", outcome.stderr);
    }
}

#[test]
fn frames_that_need_what_nobody_gave_are_refused() {
    let dictionary = [&[0x28, 0xB5, 0x2F, 0xFD, 0x03, 0x50][..], &77_u32.to_le_bytes(), &[1, 0, 0]].concat();
    expect("a frame with a dictionary", &dictionary, "dictionary", "dictionary 77", None, &[]);
    // The sizes of blocks need no window.
    let window = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0xFF, 1, 0, 0];
    expect("an empty frame with the largest window", &window, "not_tar", "", None, &[]);
    let single = [&[0x28, 0xB5, 0x2F, 0xFD, 0xE0][..], &u64::MAX.to_le_bytes(), &[1, 0, 0]].concat();
    expect("one segment of 16 EiB", &single, "window_too_large", "18446744073709551615", None, &[]);
    let reserved = [0x28, 0xB5, 0x2F, 0xFD, 0x08, 0x50, 1, 0, 0];
    expect("a reserved bit in the frame header", &reserved, "corrupt", "reserved bit", None, &[]);
    let block = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x50, 7, 0, 0];
    expect("a block of the reserved type", &block, "corrupt", "in the frame that begins at byte 0", None, &[]);
}

#[test]
fn a_checksum_that_fails_right_behind_an_image_does_not_take_its_last_block() {
    // Nothing but the tar's end marker stands between: one call to libzstd could decode both.
    let mut bytes = zst(&tar(&[member(b"disk.img", &image(2, 300_000, 1))]));
    *bytes.last_mut().expect("a checksum") ^= 1;
    let outcome = expect("a wrong checksum right behind an image", &bytes, "checksum", "", Some("KEPT"), &["disk.img"]);
    assert_eq!(outcome.check_of(BAD)["verified"], false);
}

#[test]
fn an_empty_archive_that_is_named_is_an_error() {
    let site = Site::with_good();
    site.archive(BAD, b"");
    let outcome = site.scan(&[&site.cold.display().to_string(), &site.path(BAD).display().to_string()]);
    eprintln!("CASE an empty file\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("archive")), (1, vec!["empty"]), "{}", outcome.stderr);
    assert_eq!(outcome.lines(": the file is empty").len(), 1);
    site.assert_staged_good_and(&[]);
}

#[test]
fn a_window_of_2_gib_is_surveyed_and_refused_for_a_keep_until_it_is_allowed() {
    let site = Site::with_good();
    let tar_path = site.folder.path().join("x.tar");
    std::fs::write(&tar_path, two_members()).expect("a file");
    let path = site.path(BAD);
    let status = Command::new("zstd")
        .args(["-q", "-1", "--long=31", "-o"])
        .arg(&path)
        .stdin(std::fs::File::open(&tar_path).expect("a file"))
        .status();
    assert!(status.expect("zstd cannot be run: install the Debian package zstd").success());
    // To pass over blocks and to trace bytes takes no window, but what is to be kept could not be.
    let surveyed = site.scan(&["--dry-run"]);
    assert_eq!(surveyed.check_of(BAD)["partitions"], 2, "{}", surveyed.stderr);
    assert_eq!(surveyed.reasons("image"), ["window_too_large"], "{}", surveyed.stderr);
    let decoded = site.scan(&["--dry-run", "--engine", "decode"]);
    assert_eq!(decoded.reasons("archive"), ["window_too_large"], "{}", decoded.stderr);
    let refused = site.scan(&[]);
    assert_eq!(refused.reasons("image"), ["window_too_large"], "{}", refused.stderr);
    assert_eq!(refused.lines("(see --max-window)").len(), 1, "{}", refused.stderr);
    eprintln!("CASE window of 2 GiB\t{}", refused.stderr);
    site.assert_staged_good_and(&[]);
    let accepted = site.scan(&["--max-window", "2GiB"]);
    assert_eq!(accepted.code(), 0, "{}", accepted.stderr);
    site.assert_staged_good_and(&[&format!("{BAD}/disk.img")]);
}

#[test]
fn a_size_that_lies_never_stages_anything_half() {
    let data = image(2, 3 * MIB, 1);
    let lying = |size: u64| [file_header(b"disk.img", size), data.clone(), vec![0; 2 * BLOCK]].concat();
    expect("a size that is too big", &zst(&lying(1 << 32)), "tar_truncated", "disk.img", Some("error"), &[]);
    expect(
        "a size of 8 EiB - 1 in base 256",
        &zst(&lying((1 << 63) - 1)),
        "tar_size_overflow",
        "9223372036854775807",
        None,
        &[],
    );
    let beyond = (1 << 63) - 4096;
    expect(
        "a size of 8 EiB - 4 KiB in base 256",
        &zst(&lying(beyond)),
        "tar_truncated",
        "disk.img",
        Some("error"),
        &[],
    );
    let with_pax = |size: &str| {
        let records = pax(&pax_record("size", size.as_bytes()));
        zst(&[records, header(b"disk.img", 0, b'0').to_vec(), data.clone()].concat())
    };
    expect(
        "a PAX size of 8 EiB - 4 KiB",
        &with_pax(&beyond.to_string()),
        "tar_truncated",
        "disk.img",
        Some("error"),
        &[],
    );
    expect("a PAX size of 2^64", &with_pax("18446744073709551616"), "tar_pax_record", "disk.img", None, &[]);
    // Too small: the rest of the data stand where a header should.
    let small = [file_header(b"disk.img", 2 * MIB as u64), data, vec![0; 2 * BLOCK]].concat();
    expect(
        "a size that is too small",
        &zst(&small),
        "tar_header_checksum",
        "tar header at offset",
        Some("KEPT"),
        &["disk.img"],
    );
}

#[test]
fn skippable_frames_are_stepped_over_and_must_not_lie() {
    let skippable =
        |length: u32, content: &[u8]| [&0x184D_2A5F_u32.to_le_bytes()[..], &length.to_le_bytes(), content].concat();
    let whole = zst(&two_members());
    let huge = [&skippable(u32::MAX, b"little")[..], &whole].concat();
    expect("a skippable frame that claims 4 GiB", &huge, "truncated", "the file ends at byte", None, &[]);
    let behind = [&whole[..], &skippable(u32::MAX, b"")].concat();
    expect(
        "a skippable frame that claims 4 GiB, behind",
        &behind,
        "truncated",
        "the file ends",
        Some("KEPT"),
        &["disk.img"],
    );
    expect("nothing but a skippable frame", &skippable(4, b"abcd"), "not_tar", "(0 bytes read)", None, &[]);
    expect("half a skippable frame's header", &0x184D_2A50_u32.to_le_bytes(), "truncated", "inside", None, &[]);

    let site = Site::with_good();
    site.archive(BAD, &[&skippable(5, b"hello")[..], &whole, &skippable(0, b"")].concat());
    let outcome = site.scan(&[]);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
    site.assert_staged_good_and(&[&format!("{BAD}/disk.img")]);
}

#[test]
fn millions_of_empty_frames_and_frames_of_a_byte_are_read() {
    let site = Site::with_good();
    let empty = Frame::new().end();
    let bytes: Vec<u8> = two_members();
    let mut tiny = empty.repeat(2_000_000);
    // The head in frames of one byte, the rest in one.
    let (head, rest) = bytes.split_at(200_000);
    for byte in head {
        tiny.extend(Frame::new().raw(&[*byte]).end());
    }
    tiny.extend(zst(rest));
    tiny.extend(empty.repeat(1_000_000));
    site.archive(BAD, &tiny);
    let outcome = site.scan(&[]);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
    assert_eq!(outcome.of("archive_complete", BAD)[0]["decoded_frames"], 3_200_001);
    assert!(outcome.memory_kib < 120 << 10, "{} KiB", outcome.memory_kib);
    site.assert_staged_good_and(&[&format!("{BAD}/disk.img")]);
}
