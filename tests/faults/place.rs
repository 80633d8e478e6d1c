//! A small collection, what is true of it, and the states in which a run finds staging, log and page.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::common::content::Random;
use crate::common::scan::imgsieve;

/// Bytes of an image: enough for several reads, and for holes.
const IMAGE: usize = 320 << 10;
/// The archives, smallest first or not: name of the archive, its images (file name, partitions, mostly holes), tar's options.
type Members = &'static [(&'static str, usize, bool)];
const ARCHIVES: [(u8, Members, &[&str]); 6] = [
    (1, &[("H.img", 1, false)], &[]),
    (2, &[("H.img", 2, false)], &[]),
    (3, &[("H.img", 3, true)], &["--sparse"]),
    (4, &[("a/same.img", 2, false), ("b/same.img", 3, true), ("c/other.img", 1, true)], &[]),
    (
        5,
        &[("H.img", 2, true), ("H.map", 0, false)],
        &["--sparse", "--format=posix", "--pax-option=delete=atime,delete=ctime"],
    ),
    (6, &[("H.img", 0, false)], &[]),
];
/// The image that is extracted.
pub const EXTRACTED: &str = "02";

/// What is done while a fault is injected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A first run.
    Scan,
    /// A run that goes on where one was killed.
    Resume,
    /// Every staged image is reprocessed and removed.
    Reprocess,
    /// A page is replaced.
    Html,
    /// An image is taken out.
    Extract,
    /// All is decoded.
    Verify,
}

impl Mode {
    /// All of them.
    pub const ALL: [Mode; 6] = [Mode::Scan, Mode::Resume, Mode::Reprocess, Mode::Html, Mode::Extract, Mode::Verify];

    /// As a column's head.
    pub fn name(self) -> &'static str {
        match self {
            Mode::Scan => "scan",
            Mode::Resume => "resume",
            Mode::Reprocess => "reprocess",
            Mode::Html => "html",
            Mode::Extract => "extract",
            Mode::Verify => "verify",
        }
    }
}

/// A folder with the collection, and with staging, log and page as a run left them.
pub struct Place {
    pub folder: PathBuf,
    /// Every archive's bytes, by file name.
    pub archives: BTreeMap<String, Vec<u8>>,
    /// What is to be staged, by its path in staging.
    pub images: BTreeMap<String, Vec<u8>>,
}

impl Place {
    /// Makes the collection in `folder`, which is new, and the states that the modes begin with.
    pub fn new(folder: &Path) -> Place {
        fs::create_dir_all(folder.join("collection")).expect("a folder");
        let mut place = Place { folder: folder.to_owned(), archives: BTreeMap::new(), images: BTreeMap::new() };
        let mut random = Random::new(5);
        for (number, members, options) in ARCHIVES {
            place.archive(number, members, options, &mut random);
        }
        let site = "collection = ['collection']\nstaging = 'staging'\nlog = 'log/log.jsonl'\nmin_archive_size = '0'\n\
                    min_image_size = '0'\nmin_free = '0'\nwait_for = ''\ncleared = []\n";
        fs::write(folder.join("site.toml"), site).expect("a site file");
        place.make_states();
        place
    }

    fn archive(&mut self, number: u8, members: Members, options: &[&str], random: &mut Random) {
        let hash = format!("{number:02x}").repeat(16);
        let work = self.folder.join("work");
        let mut ordinals: BTreeMap<String, u32> = BTreeMap::new();
        let mut names = Vec::new();
        for &(name, partitions, is_sparse) in members {
            let name = name.replace('H', &hash);
            let path = work.join(&name);
            fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
            if path.extension().is_some_and(|suffix| suffix == "map") {
                let text = format!("0x00000000     +               1\n0x00000000  0x{IMAGE:08X}  +\n");
                fs::write(&path, format!("# Mapfile. Created by GNU ddrescue version 1.27\n{text}")).expect("a map");
            } else {
                let image = image(partitions, is_sparse, random);
                write_with_holes(&path, &image);
                let base = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
                let ordinal = ordinals.entry(base.clone()).or_default();
                *ordinal += 1;
                let folder = if *ordinal > 1 { format!("{hash}/{ordinal}") } else { hash.clone() };
                if partitions > 1 {
                    self.images.insert(format!("{folder}/{base}"), image);
                }
            }
            names.push(name);
        }
        let file = format!("{hash}.tar.zst");
        let archive = self.folder.join("collection").join(&file);
        let tar = self.folder.join("work.tar");
        let mut command = Command::new("tar");
        command.args(["--owner=0", "--group=0", "--numeric-owner", "--mtime=@1000000000"]).args(options);
        command.arg("--file").arg(&tar).arg("--directory").arg(&work).arg("--create").args(&names);
        assert!(command.status().expect("tar").success());
        let mut command = Command::new("zstd");
        assert!(command.args(["-q", "-o"]).arg(&archive).arg(&tar).status().expect("zstd").success());
        fs::remove_dir_all(&work).expect("ours");
        fs::remove_file(&tar).expect("ours");
        self.archives.insert(file, fs::read(&archive).expect("an archive"));
    }

    /// Runs the program without faults once for each state, and keeps what it leaves.
    fn make_states(&mut self) {
        for mode in Mode::ALL {
            self.clear();
            match mode {
                Mode::Scan | Mode::Extract | Mode::Verify => {}
                Mode::Resume => {
                    assert_eq!(code(&mut self.scan(&["--limit", "3"])), Some(0));
                    let log = fs::read_to_string(self.log()).expect("a log");
                    // As a machine leaves it that died in the middle of a write.
                    fs::write(self.log(), log + "{\"ts\":\"2026-01-01T00:00:00Z\",\"stage\":\"img_fo").expect("a log");
                    for folder in ["", &"05".repeat(16)] {
                        let folder = self.staging().join(folder);
                        fs::create_dir_all(&folder).expect("a folder");
                        fs::write(folder.join(".imgsieve-0123456789abcdef-7.partial"), "half").expect("a partial");
                    }
                }
                Mode::Reprocess | Mode::Html => {
                    assert_eq!(code(&mut self.scan(&[])), Some(0));
                    fs::write(self.page(), OLD_PAGE).expect("a page");
                }
            }
            let state = self.folder.join("states").join(mode.name());
            fs::create_dir_all(&state).expect("a folder");
            for part in PARTS.iter().filter(|part| self.folder.join(part).exists()) {
                copy(&self.folder.join(part), &state.join(part));
            }
        }
        self.clear();
    }

    fn clear(&self) {
        for part in PARTS {
            match fs::remove_dir_all(self.folder.join(part)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{part}: {error}"),
                _ => {}
            }
        }
        for part in ["log", "page", "out"] {
            fs::create_dir(self.folder.join(part)).expect("a folder");
        }
    }

    /// Has everything be as a run of this mode finds it.
    pub fn reset(&self, mode: Mode) {
        self.clear();
        let state = self.folder.join("states").join(mode.name());
        for part in PARTS.iter().filter(|part| state.join(part).exists()) {
            copy(&state.join(part), &self.folder.join(part));
        }
    }

    /// The command of a mode.
    pub fn command(&self, mode: Mode) -> Command {
        let mut command = imgsieve();
        let site = self.folder.join("site.toml");
        match mode {
            Mode::Scan => return self.scan(&[]),
            Mode::Resume => return self.scan(&["--resume"]),
            Mode::Reprocess => {
                command.args(["reprocess", "--no-progress", "--remove", "--config"]).arg(site);
                command.args(["--", "true", "{}"]);
            }
            Mode::Html => {
                command.args(["report", "--config"]).arg(site).arg("--html").arg(self.page());
            }
            Mode::Extract => {
                let archive = format!("collection/{}.tar.zst", EXTRACTED.repeat(16));
                command.arg("extract").arg(self.folder.join(archive)).arg("-o").arg(self.folder.join("out/out.img"));
            }
            Mode::Verify => {
                command.args(["verify", "--no-progress", "--jobs", "1"]).arg(self.folder.join("collection"));
            }
        }
        command
    }

    /// `scan`, an archive at a time.
    pub fn scan(&self, more: &[&str]) -> Command {
        let mut command = imgsieve();
        command.args(["scan", "--jobs", "1", "--no-progress", "--config"]);
        command.arg(self.folder.join("site.toml")).args(more);
        command
    }

    pub fn staging(&self) -> PathBuf {
        self.folder.join("staging")
    }

    pub fn log(&self) -> PathBuf {
        self.folder.join("log/log.jsonl")
    }

    pub fn page(&self) -> PathBuf {
        self.folder.join("page/page.html")
    }
}

/// What a run may change.
const PARTS: [&str; 4] = ["staging", "log", "page", "out"];
/// What stands where the page is to be.
pub const OLD_PAGE: &str = "<!DOCTYPE html><title>old</title>\n";

fn code(command: &mut Command) -> Option<i32> {
    let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
    quiet.status().expect("a program that starts").code()
}

fn image(partitions: usize, is_sparse: bool, random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0; IMAGE];
    let step = if is_sparse { 60_000 } else { 8 };
    for at in (64 << 10..IMAGE - 4096).step_by(step) {
        for piece in bytes[at..at + step.min(4096)].chunks_exact_mut(8) {
            // Half of it compresses.
            piece.copy_from_slice(&(random.next() >> 32).to_le_bytes());
        }
    }
    for number in 0..partitions {
        let entry = &mut bytes[446 + 16 * number..][..16];
        entry[4] = 0x83;
        entry[8..12].copy_from_slice(&(100 + 150 * u32::try_from(number).expect("few")).to_le_bytes());
        entry[12..].copy_from_slice(&140_u32.to_le_bytes());
    }
    if partitions > 0 {
        bytes[510..512].copy_from_slice(&[0x55, 0xAA]);
    }
    bytes
}

/// Blocks of zeros become holes, which tar looks for.
fn write_with_holes(path: &Path, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::create(path).expect("a file");
    file.set_len(bytes.len() as u64).expect("its length");
    for (number, block) in bytes.chunks(4096).enumerate().filter(|(_, block)| block.iter().any(|&byte| byte != 0)) {
        file.write_all_at(block, number as u64 * 4096).expect("written");
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder");
        for entry in fs::read_dir(from).expect("a folder") {
            let entry = entry.expect("an entry");
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::copy(from, to).expect("a copy");
    }
}

/// Every file below `folder`, by its path there.
pub fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten() {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).expect("below it").to_str().expect("UTF-8").to_owned();
                found.insert(name, path);
            }
        }
    }
    found
}
