//! Names that an archive's maker, or whoever put a file into the collection, chose to do harm: what is staged lies in the
//! hash's folder under the name's last component or not at all, terminals obey nothing, and the log stays one JSON
//! object a line.

#[path = "common/hostile.rs"]
mod hostile;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::process::Command;

use base64::Engine as _;
use hostile::*;

const ODD: &str = "0dd00000000000000000000000000000d";

/// An archive of one image of that name, with two partitions.
fn archive_of(name: &[u8]) -> Vec<u8> {
    zst(&tar(&[member(name, &image(2, 2 * MIB, 3))]))
}

#[test]
fn a_name_never_leads_out_of_its_folder() {
    let long_folder = [vec![b'd'; 9_990], b"/deep.img".to_vec()].concat();
    let cases: &[(&[u8], &[u8])] = &[
        (b"../../../escape.img", b"escape.img"),
        (b"/etc/absolute.img", b"absolute.img"),
        (b"a/../../b/./c.img", b"c.img"),
        (b".img", b".img"),
        (b"...img", b"...img"),
        (b"-rf.img", b"-rf.img"),
        (b"\n.img", b"\n.img"),
        (b"new\nline\t.img", b"new\nline\t.img"),
        (b"\x1b[2J\x1b[31mred.img", b"\x1b[2J\x1b[31mred.img"),
        (b"c1\xc2\x9b31m.img", b"c1\xc2\x9b31m.img"),
        (b"caf\xe9.img", b"caf\xe9.img"),
        ("\u{202e}gmi.exe.img".as_bytes(), "\u{202e}gmi.exe.img".as_bytes()),
        (b"\"quotes\" and \\backslash.img", b"\"quotes\" and \\backslash.img"),
        (b"{\"stage\":\"KEPT\"}.IMG", b"{\"stage\":\"KEPT\"}.IMG"),
        (&long_folder, b"deep.img"),
    ];
    for (name, last) in cases {
        let site = Site::with_good();
        site.archive(ODD, &archive_of(name));
        let outcome = site.scan(&["-vv"]);
        assert_eq!(outcome.code(), 0, "{}: {}", name.escape_ascii(), outcome.stderr);
        let staged = format!("{ODD}/{}", last.escape_ascii());
        site.assert_staged_good_and(&[&staged]);
        let check = outcome.check_of(ODD);
        assert_eq!(check["img"], String::from_utf8_lossy(last).as_ref());
        if std::str::from_utf8(last).is_ok() {
            assert!(check["img_bytes"].is_null());
        } else {
            let exact = base64::engine::general_purpose::STANDARD.decode(check["img_bytes"].as_str().expect("text"));
            assert_eq!(exact.expect("base64"), *last);
        }
        // Nothing but what the site has: above all no file beside the staging folder.
        let mut beside: Vec<_> = fs::read_dir(site.folder.path())
            .expect("a folder")
            .map(|entry| entry.expect("readable").file_name().into_string().expect("ours"))
            .collect();
        beside.sort();
        assert_eq!(beside, ["cold", "log.jsonl", "site.toml", "staging", "stderr", "stdout"]);
    }
}

#[test]
fn an_image_whose_name_can_be_no_files_name_is_an_error_of_its_own() {
    for (what, name) in [("10,000 characters", vec![b'n'; 9_996]), ("256 characters", vec![b'n'; 252])] {
        let site = Site::with_good();
        site.archive(ODD, &archive_of(&[&name[..], b".img"].concat()));
        for arguments in [&["--dry-run"][..], &[]] {
            let outcome = site.scan(arguments);
            eprintln!("CASE a name of {what}\t{}", outcome.stderr);
            assert_eq!((outcome.code(), outcome.reasons("image")), (1, vec!["name"]), "{what}: {}", outcome.stderr);
            assert_eq!(outcome.check_of(ODD)["action"], "error");
            assert_eq!(outcome.of("archive_complete", ODD).len(), 1, "the archive itself is in order");
            assert!(outcome.lines("it is longer than 255 bytes")[0].len() < 500, "{}", outcome.stderr);
        }
        site.assert_staged_good_and(&[]);
    }
}

#[test]
fn a_member_without_a_last_component_is_no_image() {
    let data = image(2, 2 * MIB, 3);
    let site = Site::with_good();
    let names: [&[u8]; 5] = [b"", b"/", b"x.img/", b"..", b"."];
    site.archive(ODD, &zst(&tar(&names.map(|name| member(name, &data)))));
    let outcome = site.scan(&[]);
    assert_eq!(outcome.of("img_found", ODD).len(), 0, "{}", outcome.stderr);
    site.assert_staged_good_and(&[]);
}

#[test]
fn what_a_name_does_to_a_terminal_is_nothing_whatever_is_said_of_it() {
    let name = b"a\x1b[31m\n\xe2\x80\xae.img";
    let shown = String::from_utf8_lossy(name).into_owned();
    let bytes = archive_of(name);
    // In the way: the file's path is in the message.
    let site = Site::with_good();
    site.archive(ODD, &bytes);
    fs::create_dir_all(site.staging.join(ODD)).expect("a folder");
    fs::write(site.staging.join(ODD).join(&shown), "mine").expect("a file");
    let outcome = site.scan(&[]);
    eprintln!("CASE a file is in the way\t{}", outcome.stderr);
    assert_eq!(outcome.reasons("image"), ["in_the_way"]);
    assert_eq!(outcome.stderr.lines().count(), 1, "{}", outcome.stderr);
    assert_eq!(fs::read(site.staging.join(ODD).join(&shown)).expect("survives"), b"mine");

    // Cut in mid image, a link of that name, too large, and in the table of an archive that is quoted.
    let link = header(name, 0, b'2').to_vec();
    let cut = tar(&[link, member(name, &image(2, 2 * MIB, 3))]);
    for arguments in [&["-vv"][..], &["-vv", "--max-image-size", "1MB"], &["--dry-run", "-vv"]] {
        let site = Site::with_good();
        site.archive(ODD, &zst(&cut[..MIB]));
        let outcome = site.scan(arguments);
        assert_eq!(outcome.code(), 1, "{}", outcome.stderr);
    }
    let inspected = Command::new(env!("CARGO_BIN_EXE_imgsieve"))
        .arg("inspect")
        .args([site.path(ODD)])
        .output()
        .expect("the program starts");
    let text = String::from_utf8(inspected.stdout).expect("UTF-8");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'), "{text:?}");
}

#[test]
fn the_name_of_an_archive_is_not_trusted_either() {
    let site = Site::with_good();
    let hostile = b"\x1b[2J\n\xff\xe2\x80\xae";
    let path = |hash: &[u8]| site.cold.join(OsStr::from_bytes(&[hash, b".tar.zst"].concat()));
    fs::write(path(hostile), archive_of(b"disk.img")).expect("an archive");
    fs::write(path(b"\x1b[1mtext"), "not zstd").expect("an archive");
    fs::create_dir(path(b"\x1b[1mfolder")).expect("a folder");
    let outcome = site.scan(&["-vv"]);
    assert_eq!(outcome.code(), 1);
    let staged = format!("{}/disk.img", hostile.escape_ascii());
    site.assert_staged_good_and(&[&staged]);
    let starts = outcome.stage("archive_start");
    assert!(starts.iter().any(|line| line["hash_bytes"] == "G1sySgr/4oCu"), "{starts:?}");

    // Its folder in staging is in the way, and named in the message.
    let site = Site::with_good();
    fs::write(site.cold.join("\u{1b}[1m.tar.zst"), archive_of(b"disk.img")).expect("an archive");
    fs::create_dir(&site.staging).expect("a folder");
    fs::write(site.staging.join("\u{1b}[1m"), "mine").expect("a file");
    let outcome = site.scan(&[]);
    eprintln!("CASE a file in place of the hash's folder\t{}", outcome.stderr);
    assert_eq!(outcome.reasons("image"), ["not_a_folder"], "{}", outcome.stderr);
}

#[test]
fn hashes_that_are_no_folders_name_are_refused() {
    let site = Site::with_good();
    for name in [".tar.zst", "..tar.zst", "...tar.zst"] {
        fs::write(site.cold.join(name), archive_of(b"disk.img")).expect("an archive");
    }
    let outcome = site.scan(&[]);
    eprintln!("CASE a hash that is no name\t{}", outcome.stderr);
    assert_eq!((outcome.code(), outcome.reasons("archive")), (1, vec!["hash"; 3]), "{}", outcome.stderr);
    site.assert_staged_good_and(&[]);
}

#[test]
fn images_of_one_name_go_to_numbered_folders() {
    let site = Site::with_good();
    let images: Vec<_> = (0..3).map(|seed| image(2, 2 * MIB + usize::from(seed == 2), 50 + seed)).collect();
    let members: Vec<_> = [&b"a/disk.img"[..], b"b/disk.img", b"disk.img"]
        .iter()
        .zip(&images)
        .map(|(name, image)| member(name, image))
        .collect();
    site.archive(ODD, &zst(&tar(&members)));
    for run in 1..=2 {
        let outcome = site.scan(&[]);
        assert_eq!(outcome.code(), 0, "{}", outcome.stderr);
        let staged = ["disk.img", "2/disk.img", "3/disk.img"].map(|name| format!("{ODD}/{name}"));
        site.assert_staged_good_and(&staged.each_ref().map(String::as_str));
        for (path, image) in staged.iter().zip(&images) {
            assert!(fs::read(site.staging.join(path)).expect("staged") == *image, "run {run}: {path}");
        }
    }
}

#[test]
fn an_image_named_like_a_numbered_folder_is_no_trouble_and_partials_are_no_images() {
    let site = Site::with_good();
    let data = image(2, 2 * MIB, 3);
    // The suffix is free, so an image may be called "2"; its folder then stands in the way of the second one's.
    let members = [member(b"2", &data), member(b"x/2", &data), member(b".imgsieve-7.partial", &data)];
    site.archive(ODD, &zst(&tar(&members)));
    let outcome = site.scan(&["--image-suffix", "2"]);
    eprintln!("CASE an image that is called 2, twice\t{}", outcome.stderr);
    assert_eq!(outcome.reasons("image"), ["not_a_folder"], "{}", outcome.stderr);
    assert_eq!(site.staged().into_keys().collect::<Vec<_>>(), [format!("{ODD}/2")]);
    // A staged image of that name would be swept by the next run as one of ours.
    let outcome = site.scan(&["--image-suffix", "partial"]);
    assert_eq!(outcome.reasons("image"), ["name"], "{}", outcome.stderr);
}

#[test]
fn links_devices_and_folders_named_like_images_are_not_opened() {
    let site = Site::with_good();
    let mut link = header(b"link.img", 0, b'2');
    link[157..168].copy_from_slice(b"/etc/passwd");
    seal(&mut link);
    let kinds: Vec<_> =
        b"1234567".iter().map(|&flag| header(format!("kind{flag}.img").as_bytes(), 0, flag).to_vec()).collect();
    site.archive(ODD, &zst(&tar(&[vec![link.to_vec()], kinds].concat())));
    let outcome = site.scan(&[]);
    assert_eq!(outcome.of("img_found", ODD).len(), 0);
    let warned = outcome.of("warning", ODD).into_iter().filter(|line| line["reason"] != "no_image").count();
    assert_eq!(warned, 7, "{}", outcome.stderr);
    site.assert_staged_good_and(&[]);
}

#[test]
fn what_only_has_an_archives_name_is_told_of_and_the_rest_is_done() {
    let site = Site::with_good();
    fs::create_dir(site.path("folder")).expect("a folder");
    symlink("nowhere", site.path("dangling")).expect("a link");
    symlink(site.path("loop"), site.path("loop")).expect("a link");
    assert!(Command::new("mkfifo").arg(site.path("fifo")).status().expect("coreutils").success());
    symlink("/dev/zero", site.path("device")).expect("a link");
    let outcome = site.scan(&[]);
    eprintln!("CASE folder, dangling link, loop, FIFO, device\t{}", outcome.stderr);
    assert_eq!(outcome.code(), 1);
    let mut reasons = outcome.reasons("archive");
    reasons.sort_unstable();
    assert_eq!(reasons, ["io", "io", "not_a_file", "not_a_file", "not_a_file"]);
    for name in ["folder", "dangling", "loop", "fifo", "device"] {
        assert_eq!(outcome.lines(&format!("/{name}.tar.zst: ")).len(), 1, "{}", outcome.stderr);
    }
    site.assert_staged_good_and(&[]);

    // Named on the command line, a FIFO must not be waited for either.
    let outcome = site.scan(&[&site.path("fifo").display().to_string()]);
    assert_eq!(outcome.reasons("archive"), ["not_a_file"], "{}", outcome.stderr);
}
