//! Plain images that real tools write their tables into, and what other programs read there.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use imgsieve::ptable::{PartitionTable, read_table};
use tempfile::TempDir;

use super::run;

/// Number, first byte, bytes.
pub type Extent = (u32, u64, u64);

/// A sparse image in a folder of its own.
pub struct Image {
    pub path: PathBuf,
    _dir: TempDir,
}

impl Image {
    pub fn new(size: u64) -> Self {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("disk.img");
        File::create(&path).unwrap().set_len(size).unwrap();
        Self { path, _dir: dir }
    }

    pub fn sfdisk(size: u64, script: &str) -> Self {
        let image = Self::new(size);
        image.run("fdisk", "sfdisk", &["--quiet"], &[], script);
        image
    }

    pub fn parted(size: u64, commands: &[&str]) -> Self {
        let image = Self::new(size);
        image.run("parted", "parted", &["--script"], commands, "");
        image
    }

    /// Runs a tool on it: `args`, its path, `more`.
    pub fn run(&self, package: &str, tool: &str, args: &[&str], more: &[&str], input: &str) -> String {
        run(package, tool, &[args, &[self.path.to_str().unwrap()], more].concat(), input)
    }

    pub fn file(&self) -> File {
        OpenOptions::new().read(true).write(true).open(&self.path).unwrap()
    }

    pub fn write(&self, offset: u64, bytes: &[u8]) {
        self.file().write_all_at(bytes, offset).unwrap();
    }

    pub fn read(&self) -> Option<PartitionTable> {
        let file = self.file();
        let size = file.metadata().unwrap().len();
        read_table(&file, size, None).unwrap_or_else(|error| panic!("{error}"))
    }

    pub fn table(&self) -> PartitionTable {
        self.read().expect("a table")
    }

    /// What `libblkid` says, by way of `partx`.
    pub fn by_partx(&self) -> Vec<Extent> {
        let args = ["--raw", "--noheadings", "--output", "NR,START,SECTORS"];
        let text = self.run("util-linux", "partx", &args, &[], "");
        let number = |field: &str| field.parse::<u64>().unwrap();
        text.lines()
            .map(|line| line.split_whitespace().map(number).collect::<Vec<_>>())
            .map(|fields| (u32::try_from(fields[0]).unwrap(), fields[1] * 512, fields[2] * 512))
            .collect()
    }

    /// What `parted` says.
    pub fn by_parted(&self) -> Vec<Extent> {
        let text = self.run("parted", "parted", &["--script", "--machine"], &["unit", "B", "print"], "");
        let bytes = |field: &str| field.trim_end_matches('B').parse::<u64>().unwrap();
        let mut extents: Vec<_> = text
            .lines()
            .skip(2)
            .map(|line| line.split(':').collect::<Vec<_>>())
            .map(|fields| (fields[0].parse().unwrap(), bytes(fields[1]), bytes(fields[3])))
            .collect();
        extents.sort_unstable();
        extents
    }
}
