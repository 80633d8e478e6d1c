//! Images as files: what they hold, where they have holes, and what sfdisk reads in them.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::SeekFrom;
use serde_json::Value;

/// The block of most file systems.
pub const BLOCK: u64 = 4096;

/// The ranges of a file that are no holes.
pub fn data_ranges(file: &File) -> Vec<Range<u64>> {
    let length = file.metadata().expect("a file").len();
    let mut ranges = Vec::new();
    let mut position = 0;
    while position < length {
        // Past the last data there is ENXIO.
        let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(position)) else { break };
        position = rustix::fs::seek(file, SeekFrom::Hole(start)).expect("an end");
        ranges.push(start..position);
    }
    ranges
}

/// Every block of a file that is not all zeros: where it begins, and what it holds.
fn blocks(file: &File) -> Vec<(u64, Vec<u8>)> {
    let mut blocks = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    for range in data_ranges(file) {
        let mut position = range.start / BLOCK * BLOCK;
        while position < range.end {
            let got = file.read_at(&mut buffer, position).expect("readable");
            let step = usize::try_from(BLOCK).expect("small");
            // Short reads end in the middle of a block only at the end of the file.
            for (index, block) in buffer[..got].chunks(step).enumerate() {
                let start = position + (index * step) as u64;
                if block.iter().any(|&byte| byte != 0) && blocks.last().is_none_or(|&(last, _)| last < start) {
                    blocks.push((start, block.to_vec()));
                }
            }
            position += got as u64;
        }
    }
    blocks
}

/// Checks that two files hold the same bytes, holes being zeros.
pub fn assert_same_bytes(ours: &Path, theirs: &Path) {
    let [ours_file, theirs_file] = [ours, theirs].map(|path| File::open(path).expect("a file"));
    let [our_length, their_length] = [&ours_file, &theirs_file].map(|file| file.metadata().expect("a file").len());
    assert_eq!(our_length, their_length, "{}", ours.display());
    assert!(blocks(&ours_file) == blocks(&theirs_file), "{} is not {}", ours.display(), theirs.display());
}

/// Bytes of a file's blocks that are not all zeros: the least room it can take.
pub fn room_of_data(path: &Path) -> u64 {
    blocks(&File::open(path).expect("a file")).len() as u64 * BLOCK
}

/// Number, first byte and length of each partition, extended containers too, as `sfdisk --json` has them; none where
/// sfdisk reads no table.
pub fn by_sfdisk(path: &Path) -> Option<Vec<(u64, u64, u64)>> {
    let program = std::process::Command::new("sfdisk")
        .arg("--json")
        .arg(path)
        .env("PATH", super::path_with_sbin())
        .env("LC_ALL", "C.UTF-8")
        .output()
        .unwrap_or_else(|error| panic!("sfdisk cannot be run ({error}): install the Debian package fdisk"));
    if !program.status.success() {
        return None;
    }
    let json: Value = serde_json::from_slice(&program.stdout).expect("JSON");
    let table = &json["partitiontable"];
    let sector = table["sectorsize"].as_u64().unwrap_or(512);
    let prefix = path.to_str().expect("UTF-8");
    let partitions = table["partitions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let read = |partition: &Value| {
        let node = partition["node"].as_str().and_then(|node| node.strip_prefix(prefix)).expect("a node");
        // Behind a digit, sfdisk puts a "p" before the number.
        let number = node.trim_start_matches('p').parse().expect("a number");
        let bytes = |key: &str| partition[key].as_u64().expect("sectors") * sector;
        (number, bytes("start"), bytes("size"))
    };
    Some(partitions.iter().map(read).collect())
}

/// The same of partitions as the log and `inspect --json` list them.
pub fn extents(partitions: &Value) -> Vec<(u64, u64, u64)> {
    let number = |partition: &Value, key: &str| partition[key].as_u64().expect("a number");
    let read = |p: &Value| (number(p, "number"), number(p, "start_bytes"), number(p, "size_bytes"));
    partitions.as_array().expect("a list").iter().map(read).collect()
}
