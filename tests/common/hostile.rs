//! What the tests of bad input share: archives made byte by byte, a site in a temporary folder, runs of the program over
//! it, and what has to hold after every one of them.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A block of a tar.
pub const BLOCK: usize = 512;
/// A mebibyte.
pub const MIB: usize = 1 << 20;
/// The largest block of a zstd frame.
pub const ZSTD_BLOCK: u64 = 128 << 10;
/// A run that takes longer than this hangs.
const PATIENCE: Duration = Duration::from_mins(4);

/// Bytes that do not compress, the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// An MBR with so many partitions of 1 MiB each, the first at 1 MiB.
pub fn mbr(partitions: u32) -> [u8; 512] {
    let mut sector = [0; 512];
    for index in 0..partitions {
        let entry = 446 + 16 * index as usize;
        sector[entry + 4] = 0x83;
        sector[entry + 8..entry + 12].copy_from_slice(&(2048 * (index + 1)).to_le_bytes());
        sector[entry + 12..entry + 16].copy_from_slice(&2048_u32.to_le_bytes());
    }
    sector[510..].copy_from_slice(&[0x55, 0xAA]);
    sector
}

/// A disk image of `length` bytes with so many partitions, full of noise that a survey takes for none.
pub fn image(partitions: u32, length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = noise(length, seed);
    // Nothing that looks like a table or a file system but the MBR.
    let head = length.min(MIB);
    bytes[..head].fill(0);
    bytes[..512].copy_from_slice(&mbr(partitions));
    bytes
}

/// A GNU tar header; a size that has no room in octal is given in base 256.
pub fn header(name: &[u8], size: u64, flag: u8) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let shown = &name[..name.len().min(100)];
    block[..shown.len()].copy_from_slice(shown);
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[136..148].copy_from_slice(b"00000000000\0");
    block[156] = flag;
    block[257..265].copy_from_slice(b"ustar  \0");
    set_number(&mut block, 124, size);
    seal(&mut block);
    block
}

/// Writes a 12-byte number field.
pub fn set_number(block: &mut [u8; BLOCK], at: usize, value: u64) {
    if value < 1 << 33 {
        block[at..at + 12].copy_from_slice(format!("{value:011o}\0").as_bytes());
    } else {
        block[at..at + 12].fill(0);
        block[at] = 0x80;
        block[at + 4..at + 12].copy_from_slice(&value.to_be_bytes());
    }
}

/// Gives a header its checksum.
pub fn seal(block: &mut [u8; BLOCK]) {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// `bytes` up to a whole number of blocks.
pub fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(BLOCK), 0);
    padded
}

/// The headers of a regular file of that name, however long it is.
pub fn file_header(name: &[u8], size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if name.len() > 100 {
        bytes.extend(header(b"././@LongLink", name.len() as u64 + 1, b'L'));
        bytes.extend(padded(&[name, b"\0"].concat()));
    }
    bytes.extend(header(name, size, b'0'));
    bytes
}

/// A regular file in a tar.
pub fn member(name: &[u8], data: &[u8]) -> Vec<u8> {
    [file_header(name, data.len() as u64), padded(data)].concat()
}

/// A PAX record.
pub fn pax_record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} {key}=").as_bytes(), value, b"\n"].concat()
}

/// A PAX extended header with these records.
pub fn pax(records: &[u8]) -> Vec<u8> {
    [header(b"PaxHeader", records.len() as u64, b'x').to_vec(), padded(records)].concat()
}

/// A tar of these members, with its end marker.
pub fn tar(members: &[Vec<u8>]) -> Vec<u8> {
    [members.concat(), vec![0; 2 * BLOCK]].concat()
}

/// One frame with a checksum, as `zstd` writes it.
pub fn zst(data: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).expect("a level");
    encoder.include_checksum(true).expect("a parameter");
    encoder.write_all(data).expect("memory");
    encoder.finish().expect("memory")
}

/// A frame written block by block (RFC 8878 section 3.1.1), without a checksum.
pub struct Frame(Vec<u8>);

impl Frame {
    /// A frame with a window of 1 MiB.
    pub fn new() -> Frame {
        Frame(vec![0x28, 0xB5, 0x2F, 0xFD, 0x00, 10 << 3])
    }

    fn block(&mut self, kind: u32, size: u64, content: &[u8]) {
        let header = u32::try_from(size << 3).expect("a block's size") | kind << 1;
        self.0.extend_from_slice(&header.to_le_bytes()[..3]);
        self.0.extend_from_slice(content);
    }

    /// Appends `bytes` as they are.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Frame {
        for part in bytes.chunks(usize::try_from(ZSTD_BLOCK).expect("small")) {
            self.block(0, part.len() as u64, part);
        }
        self
    }

    /// Appends `length` times the same byte: 4 bytes for each 128 KiB.
    #[must_use]
    pub fn fill(mut self, byte: u8, length: u64) -> Frame {
        for _ in 0..length / ZSTD_BLOCK {
            self.block(1, ZSTD_BLOCK, &[byte]);
        }
        if !length.is_multiple_of(ZSTD_BLOCK) {
            self.block(1, length % ZSTD_BLOCK, &[byte]);
        }
        self
    }

    /// The frame, ended by an empty block.
    pub fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[1, 0, 0]);
        self.0
    }
}

/// The archive of one image that begins with `head`, and is `byte` over and over from there to `size`.
pub fn filled_image(name: &[u8], head: &[u8], byte: u8, size: u64) -> Vec<u8> {
    let padding = size.next_multiple_of(BLOCK as u64) - size;
    Frame::new()
        .raw(&file_header(name, size))
        .raw(head)
        .fill(byte, size - head.len() as u64)
        .fill(0, padding + 2 * BLOCK as u64)
        .end()
}

/// A site in a temporary folder, with nothing in it.
pub struct Site {
    /// Everything is in here.
    pub folder: TempDir,
    /// The collection.
    pub cold: PathBuf,
    /// Staging.
    pub staging: PathBuf,
    /// The log.
    pub log: PathBuf,
}

/// The hash of the good archive that every site of [`Site::with_good`] has.
pub const GOOD: &str = "0000000000000000000000000000900d";

impl Site {
    /// A site with an empty collection, and no staging folder yet.
    pub fn new() -> Site {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        let site = Site { cold: at("cold"), staging: at("staging"), log: at("log.jsonl"), folder };
        fs::create_dir(&site.cold).expect("a folder");
        site.configure();
        site
    }

    /// A site whose collection has one good archive, of an image with two partitions.
    pub fn with_good() -> Site {
        let site = Site::new();
        site.archive(GOOD, &zst(&tar(&[member(b"good.img", &good_image())])));
        site
    }

    /// Writes the site file anew, after a place was changed.
    pub fn configure(&self) {
        let text = format!(
            "collection = ['{}']\nstaging = '{}'\nlog = '{}'\nmin_archive_size = '0'\nmin_image_size = '1KB'\n\
             min_free = '0'\nwait_for = ''\ncleared = []\njobs = 2\n",
            self.cold.display(),
            self.staging.display(),
            self.log.display()
        );
        fs::write(self.config(), text).expect("a site file");
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("site.toml")
    }

    /// Where the archive of this hash is.
    pub fn path(&self, hash: &str) -> PathBuf {
        self.cold.join(format!("{hash}.tar.zst"))
    }

    /// Puts an archive into the collection.
    pub fn archive(&self, hash: &str, bytes: &[u8]) {
        fs::write(self.path(hash), bytes).expect("an archive");
    }

    /// `imgsieve scan` over the site, not started yet.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_imgsieve"));
        command.arg("scan").arg("--config").arg(self.config()).args(arguments).stdin(Stdio::null());
        command
    }

    /// As [`Site::command`], as a user who may do nothing special; the site is his.
    pub fn command_of_nobody(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        if is_root() {
            const NOBODY: u32 = 65534;
            // The program may lie where only root can look. Were it written by this process, what another thread starts
            // meanwhile would hold it open for writing, and it could not be run.
            let copy = self.folder.path().join("imgsieve");
            let mut cp = Command::new("cp");
            let copied = cp.arg("--").arg(env!("CARGO_BIN_EXE_imgsieve")).arg(&copy).status().expect("cp runs");
            assert!(copied.success(), "a copy of the program");
            let mut as_nobody = Command::new(copy);
            as_nobody.args(command.get_args()).stdin(Stdio::null()).uid(NOBODY).gid(NOBODY);
            for path in [self.folder.path(), &self.cold] {
                std::os::unix::fs::chown(path, Some(NOBODY), Some(NOBODY)).expect("root may");
            }
            command = as_nobody;
        }
        command
    }

    /// Starts a run.
    pub fn start(&self, mut command: Command) -> Run<'_> {
        let at = |name: &str| self.folder.path().join(name);
        let (stdout, stderr) = (at("stdout"), at("stderr"));
        let begun = fs::metadata(&self.log).map_or(0, |metadata| metadata.len());
        let child = command
            .stdout(File::create(&stdout).expect("a file"))
            .stderr(File::create(&stderr).expect("a file"))
            .spawn()
            .expect("the program starts");
        Run { site: self, child, stdout, stderr, begun }
    }

    /// Runs `imgsieve scan` over the site to its end.
    pub fn scan(&self, arguments: &[&str]) -> Outcome {
        self.start(self.command(arguments)).end()
    }

    /// Every file and link in staging, by its path there.
    pub fn staged(&self) -> BTreeMap<String, u64> {
        let mut found = BTreeMap::new();
        list(&self.staging, &self.staging, &mut found);
        found
    }

    /// What the partial in staging takes of the disk, in bytes, if there is one. Its length is that of the image.
    pub fn written_of_partial(&self) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        let staged = self.staged();
        let (partial, _) = staged.iter().find(|(name, _)| name.ends_with(".partial"))?;
        Some(fs::metadata(self.staging.join(partial)).ok()?.blocks() * 512)
    }

    /// Asserts that the good archive's image is staged, whole, and is all there is but for `others`.
    pub fn assert_staged_good_and(&self, others: &[&str]) {
        let mut expected: Vec<String> = others.iter().map(ToString::to_string).collect();
        expected.push(format!("{GOOD}/good.img"));
        expected.sort();
        assert_eq!(self.staged().into_keys().collect::<Vec<_>>(), expected);
        let staged = fs::read(self.staging.join(GOOD).join("good.img")).expect("the good image");
        assert!(staged == good_image(), "the good image is whole");
    }
}

/// The image of the good archive.
pub fn good_image() -> Vec<u8> {
    image(2, 3 * MIB, 99)
}

/// The files and links below `folder`, and folders that hold nothing.
fn list(root: &Path, folder: &Path, found: &mut BTreeMap<String, u64>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut is_empty = folder != root;
    for entry in entries {
        is_empty = false;
        let path = entry.expect("readable").path();
        let metadata = fs::symlink_metadata(&path).expect("still there");
        if metadata.is_dir() {
            list(root, &path, found);
        } else {
            let name = path.strip_prefix(root).expect("below it").as_os_str().as_bytes();
            found.insert(name.escape_ascii().to_string(), metadata.size());
        }
    }
    if is_empty {
        found.insert(format!("{}/ (empty)", folder.strip_prefix(root).expect("below it").display()), 0);
    }
}

/// Whether these tests run as root.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").expect("a process").uid() == 0
}

/// Makes a folder one that its owner may only read.
pub fn make_read_only(folder: &Path) {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555)).expect("ours");
}

/// Sends a signal.
pub fn signal(name: &str, pid: u32) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().expect("sh runs");
    assert!(status.success(), "kill -{name} {pid}");
}

/// A run that goes on.
pub struct Run<'a> {
    site: &'a Site,
    pub child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
    /// Length of the log before it.
    begun: u64,
}

/// What a run left.
#[derive(Debug)]
pub struct Outcome {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    /// Its lines of the log.
    pub log: Vec<Value>,
    /// Most memory that was seen in use, in KiB.
    pub memory_kib: u64,
}

impl Run<'_> {
    /// Waits until `done` of the run's log so far; gives whether that came before its end.
    pub fn wait_for(&mut self, done: impl Fn(&str) -> bool) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if done(&self.log_text()) {
                return true;
            }
            if self.child.try_wait().expect("ours").is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("nothing happens: {}", self.log_text());
    }

    /// Waits for a line of this stage, and stops the process there; gives whether it got so far in time.
    pub fn stop_at(&mut self, stage: &str) -> bool {
        let stage = format!("\"stage\":\"{stage}\"");
        if !self.wait_for(|log| log.contains(&stage)) {
            return false;
        }
        signal("STOP", self.child.id());
        self.child.try_wait().expect("ours").is_none()
    }

    fn log_text(&self) -> String {
        let bytes = fs::read(&self.site.log).unwrap_or_default();
        let begun = usize::try_from(self.begun).expect("small").min(bytes.len());
        String::from_utf8(bytes[begun..].to_vec()).expect("the log is UTF-8")
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// Where it does not come, and where the log holds anything but JSON objects of one run, a line each.
    pub fn end(mut self) -> Outcome {
        let begun = Instant::now();
        let mut memory_kib = 0;
        let status = loop {
            memory_kib = memory(self.child.id()).unwrap_or(0).max(memory_kib);
            if let Some(status) = self.child.try_wait().expect("ours") {
                break status;
            }
            if begun.elapsed() > PATIENCE {
                self.child.kill().expect("ours");
                panic!("it hangs: {}", fs::read_to_string(&self.stderr).unwrap_or_default());
            }
            std::thread::sleep(Duration::from_millis(3));
        };
        let text = self.log_text();
        let was_killed = status.signal().is_some();
        assert!(text.is_empty() || text.ends_with('\n') || was_killed, "the last line is whole: {text}");
        // Others may write to the log meanwhile, but they began before.
        let whole = fs::read_to_string(&self.site.log).unwrap_or_default();
        let before = &whole[..usize::try_from(self.begun).expect("small").min(whole.len())];
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line is one JSON object"));
        let mut log: Vec<Value> = lines.filter(|line| !before.contains(&format!("\"run\":{}", line["run"]))).collect();
        let own = log.first().map(|line| line["run"].clone());
        log.retain(|line| Some(&line["run"]) == own.as_ref());
        let read = |path: &Path| String::from_utf8(fs::read(path).expect("a file")).expect("UTF-8");
        let outcome = Outcome { status, stdout: read(&self.stdout), stderr: read(&self.stderr), log, memory_kib };
        outcome.check();
        outcome
    }
}

/// `VmHWM` of an imgsieve. Until it has its name, a new process has the memory of the one that it comes from.
fn memory(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.strip_prefix("Name:\timgsieve\n")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse().ok()
}

impl Outcome {
    /// The exit code.
    pub fn code(&self) -> i32 {
        self.status.code().unwrap_or_else(|| panic!("{}: {}", self.status, self.stderr))
    }

    /// The log's lines of a stage.
    pub fn stage(&self, stage: &str) -> Vec<&Value> {
        self.log.iter().filter(|line| line["stage"] == stage).collect()
    }

    /// The log's lines of a stage that are about an archive.
    pub fn of(&self, stage: &str, hash: &str) -> Vec<&Value> {
        self.stage(stage).into_iter().filter(|line| line["hash"] == hash).collect()
    }

    /// The one verdict on the one image of an archive.
    pub fn check_of(&self, hash: &str) -> &Value {
        match self.of("partition_check", hash)[..] {
            [check] => check,
            ref checks => panic!("{} verdicts: {checks:?} {}", checks.len(), self.stderr),
        }
    }

    /// The reasons in the log's errors of a scope.
    pub fn reasons(&self, scope: &str) -> Vec<&str> {
        let errors = self.stage("error").into_iter().filter(|line| line["scope"] == scope);
        errors.map(|line| line["reason"].as_str().expect("a reason")).collect()
    }

    /// The lines on stderr that hold `part`.
    pub fn lines(&self, part: &str) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.contains(part)).collect()
    }

    /// What holds after every run, however it ends.
    fn check(&self) {
        for (name, text) in [("stderr", &self.stderr), ("stdout", &self.stdout)] {
            let raw = text.chars().find(|&c| c.is_control() && c != '\n' || is_bidi(c));
            assert_eq!(raw, None, "a raw control character on {name}: {text:?}");
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        if !matches!(self.status.code(), Some(0 | 1)) {
            return;
        }
        if self.stage("abort").is_empty() {
            self.check_completeness();
        }
    }

    /// Every archive that was begun has one end, and every image one verdict.
    fn check_completeness(&self) {
        for start in self.stage("archive_start") {
            let hash = &start["hash"];
            let ends = self.log.iter().filter(|line| line["hash"] == *hash).filter(|line| {
                line["stage"] == "archive_complete" || line["stage"] == "error" && line["scope"] == "archive"
            });
            assert_eq!(ends.count(), 1, "ends of {hash}: {}", self.stderr);
        }
        let names = |stage| {
            let mut names: Vec<String> = self
                .stage(stage)
                .into_iter()
                .map(|line| {
                    ["hash", "img", "img_bytes", "ordinal", "member"].map(|key| line[key].to_string()).join(" ")
                })
                .collect();
            names.sort();
            names
        };
        assert_eq!(names("img_found"), names("partition_check"), "{}", self.stderr);
    }
}

fn is_bidi(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A file system of its own in memory, gone when this is dropped.
pub struct Tmpfs {
    holder: Child,
    /// Where it is.
    pub path: PathBuf,
}

impl Tmpfs {
    /// Mounts one with these options, in a mount namespace of its own; an ordinary user has one in a user namespace.
    ///
    /// # Panics
    ///
    /// Where neither can be had, and where util-linux is missing.
    pub fn mount(options: &str) -> Tmpfs {
        let place = tempfile::tempdir().expect("a temporary folder").keep();
        let script =
            format!("mount -t tmpfs -o mode=0777,{options} tmpfs '{}' && echo ready && exec cat", place.display());
        let namespaces = if is_root() { "-m" } else { "-rm" };
        let mut holder = Command::new("unshare")
            .args([namespaces, "sh", "-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare: install the Debian package util-linux");
        let mut ready = [0; 6];
        let stdout = holder.stdout.as_mut().expect("piped");
        let is_mounted = std::io::Read::read_exact(stdout, &mut ready).is_ok();
        assert!(is_mounted, "no tmpfs can be mounted: run these tests as root, or allow user namespaces to all users");
        // The place is seen from outside through the holder; the folder below is only a name.
        let path = PathBuf::from(format!("/proc/{}/root{}", holder.id(), place.display()));
        Tmpfs { holder, path }
    }

    /// Changes its options.
    ///
    /// # Panics
    ///
    /// Where they are refused.
    pub fn remount(&self, options: &str) {
        let (holder, place) = (self.holder.id().to_string(), self.path.to_string_lossy());
        let (_, place) = place.split_once("/root/").expect("a path through the holder");
        let enter = if is_root() { &["-m"][..] } else { &["-m", "-U", "--preserve-credentials"] };
        let mut command = Command::new("nsenter");
        command.args(["-t", &holder]).args(enter).args(["mount", "-o", &format!("remount,{options}")]);
        assert!(command.arg(format!("/{place}")).status().expect("nsenter: util-linux").success());
    }

    /// Writes until nothing more goes in; gives how much did.
    pub fn fill(&self, name: &str, at_most: u64) -> u64 {
        let mut file = File::create(self.path.join(name)).expect("a file");
        let block = vec![1; 64 << 10];
        let mut written = 0;
        while written < at_most {
            match file.write(&block) {
                Ok(0) | Err(_) => break,
                Ok(length) => written += length as u64,
            }
        }
        written
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        let inside = self.path.to_string_lossy();
        if let Some((_, place)) = inside.split_once("/root/") {
            let _ = fs::remove_dir(Path::new("/").join(place));
        }
    }
}
