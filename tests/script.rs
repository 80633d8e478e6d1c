//! The method of the shell script that this program replaces, run over the same archives: both choose the same images,
//! but for those that `fdisk -l` and `parted` count wrongly in a plain file, each named here with its reason. And what
//! both keep is the same to the byte.

#![cfg(feature = "oracles")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::disk::assert_same_bytes;
use common::fixture::{self, Fixture};
use common::scan::{Scan, of_stage};

/// What the script does with each archive, without root: `fdisk` reads an image as well as a loop device. It prints the
/// hash, the count and the path of every image, and removes none, so that bytes can be compared.
const SCRIPT: &str = r#"
set -u
staging=$1
shift
for archive; do
    hash=$(basename "$archive" .tar.zst)
    mkdir "$staging/$hash" || exit
    # -S: runs of zeros become holes. Without it a gigabyte would be written for each.
    zstd -dc --long=31 -- "$archive" | bsdtar -xSf - -C "$staging/$hash" || exit
    find "$staging/$hash" -type f -iname '*.img' -size +1000000000c | sort | while read -r img; do
        count=$(fdisk -l "$img" 2>/dev/null | grep -c "^$img")
        if [ "$count" -eq 0 ]; then
            count=$(parted -sm "$img" unit B print 2>/dev/null | grep -c '^[0-9]')
        fi
        printf '%s\t%s\t%s\n' "$hash" "$count" "$img"
    done
done
"#;

/// Why the script's count is one more where there are logical partitions.
const CONTAINER: &str = "the line of the extended container is counted beside those of its logical partitions";
const HALF_SECTORS: &str = "fdisk takes the sectors of a file to have 512 bytes, and these have 4096";

/// Images that the script would keep needlessly.
const FALSE_ALARMS: [(&str, &str); 3] = [
    ("gpt-deleted-name", "fdisk lists an entry without a type, which the kernel and parted take for unused"),
    ("mbr-empty-extended", "the line of an extended container with nothing in it is counted"),
    ("mbr-one-logical", CONTAINER),
];

/// Images that the script would miss.
const MISSES: [(&str, &str); 2] = [
    ("gpt-4kn", HALF_SECTORS),
    (
        "gpt-cut-short",
        "fdisk refuses a GPT whose end lies past the image's, and the protective entry is left: one line",
    ),
];

/// Images that both keep, and of which the script's count is another.
const MISCOUNTS: [(&str, &str); 9] = [
    ("ebr-out-of-order", CONTAINER),
    ("frames-pzstd", CONTAINER),
    ("frames-skippable", CONTAINER),
    ("level19", CONTAINER),
    ("long27", CONTAINER),
    ("map-unread-multi", CONTAINER),
    ("mbr-4kn", HALF_SECTORS),
    ("mbr-far-ebr", CONTAINER),
    ("mbr-logical", CONTAINER),
];

fn start(staging: &Path, archives: &[Fixture]) -> Child {
    Command::new("bash")
        .args(["-c", SCRIPT, "script"])
        .arg(staging)
        .args(archives.iter().map(Fixture::path))
        .env("PATH", common::path_with_sbin())
        .env("LC_ALL", "C")
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash")
}

/// By hash, what the script counts in each image, and where it extracted it.
fn by_script(staging: &Path, fixtures: &[Fixture]) -> BTreeMap<String, Vec<(u64, String)>> {
    for (tool, package) in [("zstd", "zstd"), ("bsdtar", "libarchive-tools"), ("fdisk", "fdisk"), ("parted", "parted")]
    {
        common::run(package, tool, &["--version"], "");
    }
    std::fs::create_dir(staging).expect("a folder");
    // Two at a time: the archives do not depend on each other.
    let halves = fixtures.chunks(fixtures.len().div_ceil(2)).map(|half| start(staging, half)).collect::<Vec<_>>();
    let mut counts: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for child in halves {
        let output = child.wait_with_output().expect("a child");
        assert!(output.status.success(), "{}", output.status);
        for line in String::from_utf8(output.stdout).expect("UTF-8").lines() {
            let [hash, count, path] = line.splitn(3, '\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let count = count.parse().expect("a count");
            counts.entry(hash.to_owned()).or_default().push((count, path.to_owned()));
        }
    }
    counts
}

fn names<const N: usize>(table: [(&'static str, &'static str); N]) -> Vec<&'static str> {
    let mut names: Vec<_> = table.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    names
}

#[test]
fn the_script_chooses_the_same_images_but_for_those_that_fdisk_counts_wrongly() {
    let mut fixtures = fixture::all();
    fixtures.retain(|fixture| fixture.folder == "collection");
    fixtures.sort_by_key(|fixture| fixture.path().metadata().expect("an archive").len());
    let scan = Scan::of(&fixtures);
    let lines = scan.lines();
    let script = by_script(&scan.folder().join("script"), &fixtures);
    let (mut false_alarms, mut misses, mut miscounts) = (Vec::new(), Vec::new(), Vec::new());
    for fixture in &fixtures {
        let mut found = of_stage(&lines, "img_found");
        found.retain(|line| line["hash"] == *fixture.hash);
        // The script's are sorted by path; members of one archive are, too.
        let theirs = script.get(&fixture.hash).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(found.len(), theirs.len(), "{}", fixture.name);
        for (found, (count, path)) in found.into_iter().zip(theirs) {
            let is_its = |check: &&&serde_json::Value| ["hash", "img", "member"].iter().all(|&k| check[k] == found[k]);
            let checks = of_stage(&lines, "partition_check");
            let check = checks.iter().find(is_its).expect("a check");
            let member = check.get("member").unwrap_or(&check["img"]).as_str().expect("a name");
            assert!(path.ends_with(member.trim_start_matches("./")), "{path} is {member}");
            let ours = check["partitions"].as_u64().expect("a count");
            match (check["action"] == "KEPT", *count >= 2) {
                (true, false) => misses.push(&*fixture.name),
                (false, true) => false_alarms.push(&*fixture.name),
                // A count of one where we say none is parted's, which calls a whole-disk file system a partition.
                (true, true) if ours != *count => miscounts.push((&*fixture.name, ours, *count)),
                _ => {}
            }
            if check["action"] == "KEPT" {
                assert_same_bytes(Path::new(check["path"].as_str().expect("a path")), Path::new(path));
            }
        }
    }
    false_alarms.sort_unstable();
    misses.sort_unstable();
    miscounts.sort_unstable();
    assert_eq!(false_alarms, names(FALSE_ALARMS));
    assert_eq!(misses, names(MISSES));
    assert_eq!(miscounts.iter().map(|(name, ..)| *name).collect::<Vec<_>>(), names(MISCOUNTS), "{miscounts:?}");
}
