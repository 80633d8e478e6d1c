//! Every archive in `fixtures/` against what `expected.jsonl` says of it: staged, surveyed dry, and inspected. What is
//! staged is compared with what other programs make of it; the images that are no sparse members are compared byte for
//! byte in `script.rs`, which has to extract them anyway.

mod common;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use base64::Engine;
use common::disk::{assert_same_bytes, by_sfdisk, extents, room_of_data};
use common::fixture::{self, Fixture, IMAGE_THRESHOLD};
use common::scan::{Scan, end, imgsieve, of_stage};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// An image's fields in `expected.jsonl` that every kind of run has to agree with.
const FIELDS: [&str; 8] = ["img", "img_bytes", "verdict", "partitions", "label", "sector_size", "damaged", "reason"];

/// What is said of the archives: by hash, its images in their order and its error.
type Said = BTreeMap<String, (Vec<Value>, Value)>;

fn expected(fixtures: &[Fixture]) -> Said {
    let image = |image: &Value| FIELDS.iter().map(|&key| (key.to_owned(), image[key].clone())).collect();
    let said = |fixture: &Fixture| {
        let images = fixture.images().iter().map(image).collect();
        (fixture.hash.clone(), (images, fixture.expected["archive_error"].clone()))
    };
    fixtures.iter().map(said).collect()
}

/// The longest name in a log, in bytes.
const NAME_LIMIT: usize = 4096;
/// What stands between the beginning of a longer one and its SHA-256.
const MARK: &str = "…sha256:";

/// The same as a log has it, where a name that is too long ends in its hash.
fn as_logged(mut said: Said) -> Said {
    for image in said.values_mut().flat_map(|(images, _)| images) {
        let name = image["img"].as_str().expect("a name");
        if name.len() > NAME_LIMIT {
            let hash: Vec<String> = Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
            let end = format!("{MARK}{}", hash.concat());
            image["img"] = json!(format!("{}{end}", &name[..NAME_LIMIT - end.len()]));
        }
    }
    said
}

/// The images that a log tells of, and the errors of its archives.
fn logged(lines: &[Value]) -> Said {
    let mut said = Said::new();
    for line in of_stage(lines, "archive_start") {
        said.insert(line["hash"].as_str().expect("a hash").to_owned(), (Vec::new(), Value::Null));
    }
    for found in of_stage(lines, "img_found") {
        let check = check_of(lines, found);
        // The log's reason is that of the action: of an image that was decided on, it is no part of the verdict.
        let undecided = check["verdict"] == "undecidable";
        let image = json!({
            "img": check["img"],
            "img_bytes": check["img_bytes"],
            "verdict": check["verdict"],
            "partitions": check["partitions"],
            "label": check["table"]["label"],
            "sector_size": check["table"]["sector_size"],
            "damaged": check["table"]["damaged"],
            "reason": if undecided { check["reason"].clone() } else { Value::Null },
        });
        said.get_mut(found["hash"].as_str().expect("a hash")).expect("a start").0.push(image);
    }
    for error in of_stage(lines, "error").into_iter().filter(|error| error["scope"] == "archive") {
        said.get_mut(error["hash"].as_str().expect("a hash")).expect("a start").1 = error["reason"].clone();
    }
    said
}

/// The one `partition_check` of an image.
fn check_of<'l>(lines: &'l [Value], found: &Value) -> &'l Value {
    let is_its = |check: &&Value| ["hash", "img", "member", "ordinal"].iter().all(|&key| check[key] == found[key]);
    let checks: Vec<&Value> = of_stage(lines, "partition_check").into_iter().filter(is_its).collect();
    assert_eq!(checks.len(), 1, "{found}");
    checks[0]
}

fn inspected(fixtures: &[Fixture]) -> Said {
    let output =
        end(imgsieve().args(["inspect", "--json", "--engine", "decode"]).args(fixtures.iter().map(Fixture::path)));
    assert_eq!(output.code, 1, "some of them cannot be read: {}", output.stderr);
    let mut said = Said::new();
    for (line, fixture) in output.stdout.lines().zip(fixtures) {
        let report: Value = serde_json::from_str(line).expect("a line of JSON");
        let images = report["images"].as_array().expect("a list").iter();
        let images = images.filter(|image| image["size_bytes"].as_u64() > Some(IMAGE_THRESHOLD)).map(|image| {
            let mut fields: serde_json::Map<_, _> =
                FIELDS.iter().map(|&key| (key.to_owned(), image[key].clone())).collect();
            fields["partitions"] = image["count"].clone();
            Value::Object(fields)
        });
        said.insert(fixture.hash.clone(), (images.collect(), report["error"]["reason"].clone()));
    }
    said
}

fn assert_as_expected(found: &Said, expected: &Said, fixtures: &[Fixture]) {
    let wrong: Vec<String> = fixtures
        .iter()
        .filter(|fixture| found.get(&fixture.hash) != expected.get(&fixture.hash))
        .map(|fixture| {
            let [found, expected] = [found, expected].map(|said| format!("{:?}", said.get(&fixture.hash)));
            format!("{}\n  found    {found:.900}\n  expected {expected:.900}", fixture.name)
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(found.len(), expected.len());
}

/// A run over all fixtures, each named, for one of them is an empty file.
fn run_over(fixtures: &[Fixture], args: &[&str]) -> (Scan, Vec<Value>) {
    let scan = Scan::of(fixtures).args(args);
    let ended = scan.run_with(&fixtures.iter().map(|fixture| scan.archive(&fixture.hash)).collect::<Vec<_>>());
    assert_eq!(ended.code, 1, "some of them cannot be read: {ended:?}");
    let lines = scan.logged();
    (scan, lines)
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn a_run_finds_in_every_fixture_what_is_expected_and_stages_it() {
    let fixtures = fixture::all();
    let before = SystemTime::now();
    let (scan, lines) = run_over(&fixtures, &[]);
    assert_as_expected(&logged(&lines), &as_logged(expected(&fixtures)), &fixtures);
    let mut kept = Vec::new();
    for check in of_stage(&lines, "partition_check") {
        if check["action"] != "KEPT" {
            assert_eq!(check["bytes_written"], 0, "{check}");
            continue;
        }
        assert_eq!(check["verdict"], "multi", "{check}");
        if check.get("img_bytes").is_none() {
            let path = PathBuf::from(check["path"].as_str().expect("a path"));
            assert_is_a_new_sparse_file(&scan, &path, check, before);
            kept.push(path);
        }
    }
    let expected = fixtures.iter().filter(|fixture| fixture.folder == "collection").flat_map(Fixture::images);
    let expected = expected.filter(|image| image["verdict"] == "multi").count();
    let of_collection = |path: &&PathBuf| {
        fixtures
            .iter()
            .any(|fixture| fixture.folder == "collection" && path.starts_with(scan.staging().join(&fixture.hash)))
    };
    assert_eq!(kept.iter().filter(of_collection).count(), expected);
    assert_sfdisk_agrees(&fixtures, &lines);
    assert_holds_only(&scan.staging(), &lines);
}

/// A kept image takes the room of its data, is as old as the run, and is an ordinary file like any that we make.
fn assert_is_a_new_sparse_file(scan: &Scan, path: &Path, check: &Value, since: SystemTime) {
    /// Room that a file system takes beside the data, to know where they are.
    const OVERHEAD: u64 = 16 << 10;
    let metadata = path.symlink_metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let room = metadata.blocks() * 512;
    assert!(room <= room_of_data(path) + OVERHEAD, "{}: {room}", path.display());
    assert_eq!(check["allocated_bytes"], room, "{check}");
    assert!(check["bytes_written"].as_u64() <= Some(room), "{check}");
    assert_eq!(check["size_bytes"], metadata.len(), "{check}");
    let ordinary = std::fs::metadata(scan.site_file()).expect("a file");
    assert!(metadata.is_file() && metadata.nlink() == 1);
    assert_eq!((metadata.mode(), metadata.uid(), metadata.gid()), (ordinary.mode(), ordinary.uid(), ordinary.gid()));
    // File systems count time more coarsely than we do.
    let modified = metadata.modified().expect("a time") + Duration::from_secs(2);
    assert!(modified >= since, "{}", path.display());
}

/// What sfdisk reads in the kept images is what the log says; it cannot read these.
fn assert_sfdisk_agrees(fixtures: &[Fixture], lines: &[Value]) {
    const UNREAD: [(&str, &str); 2] = [
        ("gpt-4kn", "it takes the sectors of a file to have 512 bytes"),
        ("mbr-4kn", "it takes the sectors of a file to have 512 bytes"),
    ];
    let mut unread = Vec::new();
    for fixture in fixtures.iter().filter(|fixture| fixture.folder == "collection") {
        for check in of_stage(lines, "partition_check").into_iter().filter(|line| line["hash"] == *fixture.hash) {
            if check["action"] != "KEPT" || check["table"]["damaged"] == true {
                continue;
            }
            let theirs = by_sfdisk(Path::new(check["path"].as_str().expect("a path")));
            if theirs != Some(extents(&check["partition_list"])) {
                let is_known = UNREAD.iter().any(|(name, _)| *name == fixture.name);
                assert!(is_known, "{}: {check}\nsfdisk: {theirs:?}", fixture.name);
                unread.push(&*fixture.name);
            }
        }
    }
    unread.sort_unstable();
    let mut known = UNREAD.map(|(name, _)| name);
    known.sort_unstable();
    assert_eq!(unread, known, "what is listed as unread is so");
}

/// Staging holds what the log says, and nothing else: no partial, no folder of an archive of which nothing was kept.
fn assert_holds_only(staging: &Path, lines: &[Value]) {
    let checks = of_stage(lines, "partition_check");
    let kept = checks.iter().filter(|check| check["action"] == "KEPT").count();
    let (mut files, mut folders) = (0, vec![staging.to_owned()]);
    while let Some(folder) = folders.pop() {
        let entries: Vec<_> = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("one")).collect();
        assert!(!entries.is_empty(), "{} is empty", folder.display());
        for entry in entries {
            if entry.file_type().expect("a type").is_dir() {
                folders.push(entry.path());
            } else {
                assert!(!entry.file_name().as_bytes().ends_with(b".partial"), "{}", entry.path().display());
                files += 1;
            }
        }
    }
    assert_eq!(files, kept);
}

#[test]
fn a_dry_run_finds_in_every_fixture_what_is_expected_and_stages_nothing() {
    let fixtures = fixture::all();
    // What only a checksum tells is among it; `engines.rs` has what is said without.
    let (scan, lines) = run_over(&fixtures, &["--dry-run", "--verify"]);
    assert_as_expected(&logged(&lines), &as_logged(expected(&fixtures)), &fixtures);
    assert!(!scan.staging().exists());
}

#[test]
fn inspect_finds_in_every_fixture_what_is_expected() {
    let fixtures = fixture::all();
    assert_as_expected(&inspected(&fixtures), &expected(&fixtures), &fixtures);
}

/// The bytes of a text that may be given in base64 beside it.
fn bytes_of(line: &Value, key: &str) -> Vec<u8> {
    match line[format!("{key}_bytes")].as_str() {
        Some(exact) => base64::engine::general_purpose::STANDARD.decode(exact).expect("base64"),
        None => line[key].as_str().expect("a name").as_bytes().to_vec(),
    }
}

#[test]
fn what_is_staged_is_what_gnu_tar_extracts() {
    let mut fixtures = fixture::all();
    fixtures.retain(|fixture| fixture.is_quick() && fixture.folder != "damaged");
    let scan = Scan::of(&fixtures);
    scan.run();
    let lines = scan.logged();
    let mut compared = 0;
    for check in of_stage(&lines, "partition_check").into_iter().filter(|line| line["action"] == "KEPT") {
        let hash = check["hash"].as_str().expect("a hash");
        let mut ours = scan.staging().join(hash);
        if let Some(ordinal) = check["ordinal"].as_u64() {
            ours.push(ordinal.to_string());
        }
        ours.push(OsStr::from_bytes(&bytes_of(check, "img")));
        let mut member = bytes_of(check, if check.get("member").is_some() { "member" } else { "img" });
        let folder = tempfile::TempDir::new_in(scan.folder()).expect("a folder");
        let mut tar = Command::new("tar");
        // Sparse members come out as sparse files. Only the member is wanted, as others are devices and links; and only the
        // last component of its name, as GNU tar would not follow `../` at all.
        tar.args(["--zstd", "--extract", "--no-same-owner", "--absolute-names", "--transform", "s,.*/,,"]);
        tar.arg("--directory").arg(folder.path()).arg("--file");
        tar.arg(scan.archive(hash)).arg("--ignore-zeros");
        // Of a path that the log has shortened, the last component will do.
        if String::from_utf8_lossy(&member).contains(MARK) {
            member = bytes_of(check, "img");
            tar.arg("--no-anchored");
        }
        tar.arg("--").arg(OsStr::from_bytes(&member));
        assert_eq!(common::status(&mut tar, "tar"), 0, "{check}");
        assert_same_bytes(&ours, &only_file(folder.path()));
        compared += 1;
    }
    let expected = fixtures.iter().flat_map(Fixture::images).filter(|image| image["verdict"] == "multi").count();
    // The image with a name of 10,000 characters cannot be staged.
    assert_eq!(compared, expected - 1);
}

/// The one file somewhere below a folder.
fn only_file(folder: &Path) -> PathBuf {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() { folders.push(path) } else { files.push(path) }
        }
    }
    assert_eq!(files.len(), 1, "{files:?}");
    files.remove(0)
}
