//! Archives made to exhaust what a reader has: bombs in the zstd layer, in the tar layer and in partition tables. Memory,
//! staging and the log stay small whatever an archive expands to, and the other archives are done.

#[path = "common/hostile.rs"]
mod support;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

use support::*;

const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;
const BOMB: &str = "b00b00000000000000000000000b00b0";
/// Most memory that a run over a bomb may take, two workers, in KiB; the program itself takes some 20 MiB of it.
const MEMORY: u64 = 128 << 10;

/// What a run over a bomb and a good archive came to; staging holds no more than `disk` bytes of it, the log no more than
/// `log`.
fn survey(what: &str, site: &Site, arguments: &[&str], disk: u64, log: u64) -> Outcome {
    let outcome = site.scan(arguments);
    let compressed = fs::metadata(site.path(BOMB)).expect("there").len();
    let log_length = fs::metadata(&site.log).expect("a log").len();
    let on_disk = allocated(&site.staging.join(BOMB));
    let stderr: String = outcome.stderr.chars().take(600).collect();
    eprintln!(
        "CASE {what}\t{compressed} bytes, {} KiB of memory, {on_disk} bytes on disk, {log_length} of log, exit {}\n{stderr}",
        outcome.memory_kib,
        outcome.code()
    );
    assert!(outcome.memory_kib < MEMORY, "{what}: {} KiB", outcome.memory_kib);
    assert!(on_disk <= disk, "{what}: {on_disk} bytes in staging");
    assert!(log_length <= log, "{what}: a log of {log_length} bytes");
    assert!(outcome.stderr.len() < 1 << 20, "{what}: {} bytes on stderr", outcome.stderr.len());
    assert_eq!(outcome.of("archive_complete", GOOD).len(), 1, "{what}: {}", outcome.stderr);
    outcome
}

/// Bytes that the files below a folder take.
fn allocated(folder: &std::path::Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    entries
        .map(|entry| {
            let metadata = entry.as_ref().expect("readable").metadata().expect("still there");
            if metadata.is_dir() { allocated(&entry.expect("readable").path()) } else { metadata.blocks() * 512 }
        })
        .sum()
}

fn site_with(bytes: &[u8]) -> Site {
    let site = Site::with_good();
    site.archive(BOMB, bytes);
    site
}

#[test]
fn an_image_of_64_gb_in_2_mb_with_one_partition_is_read_and_not_written() {
    let length = 60 * GIB;
    let site = site_with(&filled_image(b"disk.img", &mbr(1), 0, length));
    assert!(fs::metadata(site.path(BOMB)).expect("there").len() < 2_100_000);
    let outcome = survey("64 GB in 2 MB, one partition", &site, &[], 0, 10_000);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
    assert_eq!(outcome.check_of(BOMB)["action"], "deleted");
    assert_eq!(outcome.check_of(BOMB)["size_bytes"], length);
}

#[test]
fn an_image_of_32_gb_in_1_mb_with_two_partitions_is_staged_as_one_hole() {
    let length = 30 * GIB;
    let site = site_with(&filled_image(b"disk.img", &mbr(2), 0, length));
    let outcome = survey("32 GB in 1 MB, two partitions", &site, &[], 1 << 16, 10_000);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
    let staged = site.staging.join(BOMB).join("disk.img");
    assert_eq!(fs::metadata(staged).expect("staged").len(), length);
}

#[test]
fn another_member_of_16_gb_is_passed_over() {
    let length = 15 * GIB;
    let bytes = [
        Frame::new().raw(&file_header(b"disk.log", length)).fill(b'x', length).end(),
        zst(&tar(&[member(b"disk.img", &image(2, 2 * MIB, 4))])),
    ];
    let site = site_with(&bytes.concat());
    let outcome = survey("a log of 16 GB in 500 KB", &site, &[], 3 << 20, 10_000);
    assert_eq!((outcome.code(), &outcome.check_of(BOMB)["action"]), (0, &"KEPT".into()));
}

#[test]
fn a_sparse_image_of_8_tb_in_a_kilobyte_is_no_work() {
    let length = 8 * TIB - 4096;
    let gnu = {
        let mut block = header(b"disk.img", 512, b'S');
        set_number(&mut block, 386, 0);
        set_number(&mut block, 398, 512);
        set_number(&mut block, 483, length);
        seal(&mut block);
        block.to_vec()
    };
    let pax_1 = {
        let map = padded(b"1\n0\n512\n");
        let records = [
            pax_record("GNU.sparse.major", b"1"),
            pax_record("GNU.sparse.minor", b"0"),
            pax_record("GNU.sparse.name", b"disk.img"),
            pax_record("GNU.sparse.realsize", length.to_string().as_bytes()),
        ];
        [pax(&records.concat()), header(b"GNUSparseFile.1/disk.img", 1024, b'0').to_vec(), map].concat()
    };
    for (what, head) in [("GNU", gnu), ("PAX", pax_1)] {
        for (partitions, arguments, action) in
            [(1, &[][..], "deleted"), (2, &["--dry-run"], "would_keep"), (2, &[], "KEPT")]
        {
            let site = site_with(&zst(&tar(&[[&head[..], &mbr(partitions)].concat()])));
            let what = format!("8 TB, {what} sparse, {partitions} partitions, {arguments:?}");
            let outcome = survey(&what, &site, arguments, 1 << 16, 10_000);
            assert_eq!((outcome.code(), &outcome.check_of(BOMB)["action"]), (0, &action.into()), "{}", outcome.stderr);
            assert_eq!(outcome.check_of(BOMB)["size_bytes"], length);
            match action {
                "KEPT" => {
                    let staged = fs::metadata(site.staging.join(BOMB).join("disk.img")).expect("staged");
                    assert_eq!(staged.len(), length);
                }
                "would_keep" => assert_eq!(outcome.check_of(BOMB)["at_most_bytes"], 512),
                _ => {}
            }
        }
    }
}

#[test]
fn a_sparse_image_of_8_eib_is_an_error_that_leaves_nothing() {
    let length = (1 << 63) - 1;
    let mut block = header(b"disk.img", 512, b'S');
    set_number(&mut block, 386, 0);
    set_number(&mut block, 398, 512);
    set_number(&mut block, 483, length);
    seal(&mut block);
    let site = site_with(&zst(&tar(&[[&block[..], &mbr(2)].concat()])));
    let outcome = survey("a sparse image of 8 EiB", &site, &[], 0, 10_000);
    assert_eq!(outcome.code(), 1, "{}", outcome.stderr);
    assert_ne!(outcome.check_of(BOMB)["action"], "KEPT");
    site.assert_staged_good_and(&[]);
    let outcome = survey("a sparse image of 8 EiB, dry run", &site, &["--dry-run"], 0, 20_000);
    assert_eq!((outcome.code(), &outcome.check_of(BOMB)["action"]), (0, &"would_keep".into()));
}

#[test]
fn an_image_larger_than_max_image_size_is_not_begun() {
    let site = site_with(&filled_image(b"disk.img", &mbr(2), 0, 2 * GIB));
    for arguments in [&["--max-image-size", "2GB"][..], &["--max-image-size", "2GB", "--dry-run"]] {
        let outcome = survey("--max-image-size", &site, arguments, 0, 20_000);
        assert_eq!((outcome.code(), outcome.reasons("image")), (1, vec!["max_image_size"]), "{}", outcome.stderr);
        assert_eq!(outcome.of("extraction_start", BOMB).len(), 0);
    }
    assert_eq!(site.scan(&["--max-image-size", "3GB"]).code(), 0);
}

#[test]
fn a_sparse_map_of_a_million_segments_is_the_most_that_is_read() {
    let sparse = |count: u64| {
        let mut map = format!("{count}\n");
        for segment in 0..count {
            use std::fmt::Write as _;
            // A segment is 512 bytes: the next one has to lie on a block of the tar.
            let _ = write!(map, "{}\n{}\n", segment * 1024, 512);
        }
        let map = padded(map.as_bytes());
        let size = map.len() as u64 + count * 512;
        let records = [
            pax_record("GNU.sparse.major", b"1"),
            pax_record("GNU.sparse.minor", b"0"),
            pax_record("GNU.sparse.name", b"disk.img"),
            pax_record("GNU.sparse.realsize", (count * 1024).to_string().as_bytes()),
        ];
        let head = [pax(&records.concat()), header(b"x", size, b'0').to_vec(), map].concat();
        [zst(&[&head[..], &mbr(2)].concat()), Frame::new().fill(0, (count - 1) * 512 + 1024).end()].concat()
    };
    let site = site_with(&sparse(1_000_000));
    let outcome = survey("a sparse map of 1,000,000 segments", &site, &[], 1 << 16, 10_000);
    assert_eq!((outcome.code(), &outcome.check_of(BOMB)["action"]), (0, &"KEPT".into()), "{}", outcome.stderr);
    let site = site_with(&sparse(1_000_001));
    let outcome = survey("a sparse map of 1,000,001 segments", &site, &[], 0, 10_000);
    assert_eq!((outcome.code(), outcome.reasons("archive")), (1, vec!["tar_sparse_map"]), "{}", outcome.stderr);
}

#[test]
fn pax_headers_of_any_size_take_little_memory() {
    let good = tar(&[member(b"disk.img", &image(2, 2 * MIB, 4))]);
    // 16 GiB of records announced, and there; and 65 MiB of records one after another.
    let one = [Frame::new().raw(&header(b"PaxHeader", 15 * GIB, b'x')).fill(b'1', 15 * GIB).end(), zst(&good)];
    let site = site_with(&one.concat());
    let outcome = survey("a PAX header of 16 GB", &site, &[], 3 << 20, 20_000);
    assert_eq!(outcome.reasons("archive"), ["tar_extension_too_large"], "{}", outcome.stderr);
    let comment = pax_record("comment", &vec![b'c'; 900_000]);
    let many: Vec<u8> = pax(&comment).repeat(80);
    let site = site_with(&zst(&[&many[..], &good].concat()));
    let outcome = survey("80 PAX headers of 900 KB", &site, &[], 3 << 20, 20_000);
    assert_eq!(outcome.reasons("archive"), ["tar_extension_too_large"], "{}", outcome.stderr);
    let long = [header(b"././@LongLink", 3 * GIB, b'L').to_vec()];
    let bytes = [Frame::new().raw(&long[0]).fill(b'n', 3 * GIB).end(), zst(&good)];
    let site = site_with(&bytes.concat());
    let outcome = survey("a GNU long name of 3 GB", &site, &[], 3 << 20, 20_000);
    assert_eq!(outcome.reasons("archive"), ["tar_extension_too_large"], "{}", outcome.stderr);
}

#[test]
fn a_hundred_thousand_members_and_images_are_read() {
    let small: Vec<u8> = (0..100_000).flat_map(|number| member(format!("{number}.txt").as_bytes(), b"x")).collect();
    let site = site_with(&zst(&tar(&[small, member(b"disk.img", &image(2, 2 * MIB, 4))])));
    let outcome = survey("100,000 members", &site, &[], 3 << 20, 20_000);
    assert_eq!(outcome.of("archive_complete", BOMB)[0]["members"], 100_001);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);

    // Images of one name: every one is checked, none is kept.
    let one = member(b"disk.img", &[&mbr(1)[..], &[0; 1024]].concat());
    let site = site_with(&zst(&tar(&[one.repeat(10_000)])));
    let outcome = survey("10,000 images of one name", &site, &[], 0, 16 << 20);
    assert_eq!(outcome.of("partition_check", BOMB).len(), 10_000);
    assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
}

#[test]
fn more_images_than_any_archive_has_end_it() {
    let one = member(b"i.img", &[1; 1024]);
    let site = site_with(&zst(&one.repeat(100_000)));
    let outcome = survey("100,000 images", &site, &[], 0, 16 << 20);
    assert_eq!(outcome.of("partition_check", BOMB).len(), 10_000);
    assert_eq!((outcome.code(), outcome.reasons("archive")), (1, vec!["too_many_images"]), "{}", outcome.stderr);
}

#[test]
fn names_of_ten_thousand_images_do_not_fill_the_log() {
    let mut bytes = Vec::new();
    for number in 0..10_000 {
        let name = format!("{}/{number}{}.img", "f".repeat(8000), "\x1b".repeat(8000));
        bytes.extend(pax(&pax_record("path", name.as_bytes())));
        bytes.extend(member(b"i.img", &[1; 1024]));
    }
    let site = site_with(&zst(&bytes));
    let outcome = survey("10,000 images with names of 16 KB", &site, &[], 0, 64 << 20);
    assert_eq!(outcome.code(), 0);
    let names = |stage: &str| {
        let lines = outcome.of(stage, BOMB);
        lines.iter().map(|line| (line["img"].to_string(), line["member"].to_string())).collect::<BTreeSet<_>>()
    };
    assert_eq!((names("img_found").len(), outcome.of("partition_check", BOMB).len()), (10_000, 10_000));
    assert_eq!(names("img_found"), names("partition_check"));
    let reasons: Vec<&serde_json::Value> = outcome
        .of("warning", BOMB)
        .iter()
        .map(|line| &line["reason"])
        .filter(|reason| **reason == "log_limit")
        .collect();
    assert_eq!(reasons.len(), 1);
}

#[test]
fn inspect_takes_bounded_memory_for_images_without_end_and_for_their_names() {
    let long_names: Vec<u8> = (0..10_000)
        .flat_map(|number| {
            let name = format!("{}/{number}{}.img", "f".repeat(8000), "\x1b".repeat(8000));
            [pax(&pax_record("path", name.as_bytes())), member(b"i.img", &[1; 1024])].concat()
        })
        .collect();
    for (what, bytes, most) in
        [("100,000 images", member(b"i.img", &[1; 1024]).repeat(100_000), 10_000), ("long names", long_names, 9_999)]
    {
        let site = site_with(&zst(&bytes));
        let archive = site.path(BOMB);
        let script = format!(
            "ulimit -v 600000; exec '{}' inspect --json '{}'",
            env!("CARGO_BIN_EXE_imgsieve"),
            archive.display()
        );
        let output = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
        assert_eq!(output.status.code(), Some(1), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(report["error"]["reason"], "too_many_images", "{what}");
        let images = report["images"].as_array().expect("a list").len();
        assert!((100..=most).contains(&images), "{what}: {images}");
    }
}

#[test]
fn warnings_do_not_fill_the_log() {
    // Links that are named like images, and PAX headers that are none: a line each would be gigabytes.
    let mut link = header(b"link.img", 0, b'2').to_vec();
    link.extend([&pax(b"nonsense")[..], &header(b"a.txt", 0, b'0')].concat());
    let site = site_with(&[zst(&link.repeat(20_000)).repeat(10), zst(&tar(&[]))].concat());
    let outcome = survey("400,000 things to warn of", &site, &[], 0, 1 << 20);
    assert_eq!(outcome.code(), 1);
    assert_eq!(outcome.lines("further warnings").len(), 1, "what was left out is told");
}

#[test]
fn partition_tables_made_to_last_are_cut_short() {
    // An EBR chain that goes on for as long as the image, every EBR with a partition; and one of empty EBRs.
    let chain = |has_partitions: bool| {
        let mut bytes = vec![0; 64 * MIB];
        let sectors = u32::try_from(bytes.len() / 512).expect("small");
        bytes[446 + 4] = 0x05;
        bytes[446 + 8..446 + 12].copy_from_slice(&1_u32.to_le_bytes());
        bytes[446 + 12..446 + 16].copy_from_slice(&(sectors - 1).to_le_bytes());
        bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
        for lba in (1..sectors - 2).step_by(2) {
            let sector = &mut bytes[lba as usize * 512..][..512];
            if has_partitions {
                sector[446 + 4] = 0x83;
                sector[446 + 8..446 + 12].copy_from_slice(&1_u32.to_le_bytes());
                sector[446 + 12..446 + 16].copy_from_slice(&1_u32.to_le_bytes());
            }
            sector[462 + 4] = 0x05;
            sector[462 + 8..462 + 12].copy_from_slice(&(lba + 1).to_le_bytes());
            sector[462 + 12..462 + 16].copy_from_slice(&2_u32.to_le_bytes());
            sector[510..].copy_from_slice(&[0x55, 0xAA]);
        }
        bytes
    };
    for (has_partitions, disk) in [(true, 65 << 20), (false, 0)] {
        let site = site_with(&zst(&tar(&[member(b"disk.img", &chain(has_partitions))])));
        let what = format!("a chain of 65,000 EBRs, partitions: {has_partitions}");
        let outcome = survey(&what, &site, &[], disk, 200_000);
        eprintln!("{}", outcome.check_of(BOMB)["message"]);
        assert_ne!(outcome.check_of(BOMB)["action"], "deleted");
    }

    // A GPT with as many entries as libblkid reads, all in use, all named.
    let site = site_with(&zst(&tar(&[member(b"disk.img", &large_gpt(131_072))])));
    let outcome = survey("a GPT with 131,072 entries in use", &site, &[], 40 << 20, 2 << 20);
    assert_eq!(outcome.check_of(BOMB)["action"], "KEPT", "{}", outcome.stderr);
    assert!(outcome.stdout.len() < 5000, "{}", outcome.stdout);
    let site = site_with(&zst(&tar(&[member(b"disk.img", &large_gpt(200_000))])));
    let outcome = survey("a GPT with 200,000 entries in use", &site, &[], 40 << 20, 2 << 20);
    assert_ne!(outcome.check_of(BOMB)["action"], "deleted", "{}", outcome.stderr);
}

/// A disk of 32 MiB with a GPT of so many entries of one sector each.
fn large_gpt(count: u32) -> Vec<u8> {
    let mut bytes = vec![0; 32 * MIB];
    bytes[..512].copy_from_slice(&mbr(1));
    bytes[446 + 4] = 0xEE;
    bytes[446 + 8..446 + 12].copy_from_slice(&1_u32.to_le_bytes());
    bytes[446 + 12..446 + 16].copy_from_slice(&u32::MAX.to_le_bytes());
    let array = 1024..1024 + 128 * count as usize;
    let first = (array.end / 512 + 1) as u64;
    for (number, entry) in bytes[array.clone()].chunks_mut(128).enumerate() {
        entry[..16].fill(0xA5);
        entry[16..24].copy_from_slice(&(number as u64 + 1).to_le_bytes());
        let lba = first + number as u64 % 10_000;
        entry[32..40].copy_from_slice(&lba.to_le_bytes());
        entry[40..48].copy_from_slice(&lba.to_le_bytes());
        for letter in entry[56..].chunks_mut(2) {
            letter.copy_from_slice(&u16::from(b'\x1b').to_le_bytes());
        }
    }
    let last = bytes.len() as u64 / 512 - 1;
    let array_crc = crc32fast::hash(&bytes[array]);
    let header = &mut bytes[512..604];
    header[..8].copy_from_slice(b"EFI PART");
    header[8..12].copy_from_slice(&0x1_0000_u32.to_le_bytes());
    header[12..16].copy_from_slice(&92_u32.to_le_bytes());
    header[24..32].copy_from_slice(&1_u64.to_le_bytes());
    header[32..40].copy_from_slice(&last.to_le_bytes());
    header[40..48].copy_from_slice(&first.to_le_bytes());
    header[48..56].copy_from_slice(&(last - 1).to_le_bytes());
    header[72..80].copy_from_slice(&2_u64.to_le_bytes());
    header[80..84].copy_from_slice(&count.to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    header[88..92].copy_from_slice(&array_crc.to_le_bytes());
    let crc = crc32fast::hash(header);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    bytes
}
