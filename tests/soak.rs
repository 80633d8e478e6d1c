//! Runs that are killed, signalled, starved of room or memory, given archives that are cut or changed, or disturbed by
//! another run, from a seed and for as long as it is told (`tests/soak`). After each the invariants of `faults.rs` hold.

mod common;
#[path = "faults/invariants.rs"]
#[allow(dead_code)]
mod invariants;
#[path = "faults/place.rs"]
#[allow(dead_code)]
mod place;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use common::content::Random;
use common::strace::inherit;
use invariants::{Allowed, Ended, Truth, end, finish, hold};
use place::{Mode, Place, files};

/// Longest that a run takes here, nearly always, in microseconds.
const LONG: usize = 80_000;
/// What is done to a run, as often as it stands here.
const DEEDS: [Deed; 10] = [
    Deed::Kill,
    Deed::Kill,
    Deed::Kill,
    Deed::Signal,
    Deed::Fill,
    Deed::Limit,
    Deed::Memory,
    Deed::Mutate,
    Deed::Mutate,
    Deed::Pair,
];
/// Broken promises after which there are enough.
const ENOUGH: usize = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Deed {
    /// Killed, once or several times.
    Kill,
    /// Told to end.
    Signal,
    /// The file system is full, or nearly.
    Fill,
    /// No file may grow beyond some length.
    Limit,
    /// There is little memory.
    Memory,
    /// An archive is cut or changed.
    Mutate,
    /// Another run does the same at the same time.
    Pair,
}

/// A folder in a file system of its own where that can be had, which is full when it is filled.
struct Ground {
    folder: TempDir,
    is_mounted: bool,
}

impl Ground {
    fn new() -> Ground {
        let folder = TempDir::new().expect("a temporary folder");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=64m", "soak"]).arg(folder.path());
        let is_mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        Ground { folder, is_mounted }
    }

    /// Leaves so many bytes free.
    fn fill(&self, left: u64) -> PathBuf {
        let filler = self.folder.path().join("filler");
        let stat = rustix::fs::statvfs(self.folder.path()).expect("a file system");
        let length = (stat.f_bavail * stat.f_frsize).saturating_sub(left);
        let file = fs::File::create(&filler).expect("a file");
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, length.max(1)).expect("room");
        filler
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        if self.is_mounted {
            let _ = Command::new("umount").arg(self.folder.path()).status();
        }
    }
}

struct Soak<'a> {
    ground: &'a Ground,
    place: Place,
    truth: Truth,
    runs: u64,
}

#[test]
#[ignore = "it takes as long as it is told"]
fn soak() {
    let number =
        |name: &str, otherwise| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (seconds, seed) = (number("IMGSIEVE_SOAK", 60), number("IMGSIEVE_SOAK_SEED", 1));
    let begun = Instant::now();
    let ground = Ground::new();
    let place = Place::new(&ground.folder.path().join("place"));
    let truth = Truth::of(&place);
    let mut soak = Soak { ground: &ground, place, truth, runs: 0 };
    let mut done: BTreeMap<(Deed, Mode), u64> = BTreeMap::new();
    let mut broken = 0;
    let mut round = 0;
    while begun.elapsed().as_secs() < seconds && broken < ENOUGH {
        let mut random = Random::new(seed.wrapping_mul(1_000_003).wrapping_add(round));
        let mut deed = random.of(&DEEDS);
        if deed == Deed::Fill && !ground.is_mounted {
            deed = Deed::Limit;
        }
        let mode = random.of(&Mode::ALL);
        soak.place.reset(mode);
        let found = soak.round(deed, mode, &mut random);
        *done.entry((deed, mode)).or_default() += 1;
        broken += found.len();
        for what in found {
            println!("seed {seed}, round {round}, {deed:?} of {mode:?}: {what}");
        }
        round += 1;
    }
    let deeds: Vec<String> =
        done.iter().map(|((deed, mode), count)| format!("{deed:?} {} {count}", mode.name())).collect();
    println!(
        "soak: seed {seed}, {} s, {round} rounds, {} runs: {}; {broken} broken promises",
        begun.elapsed().as_secs(),
        soak.runs,
        deeds.join(", ").to_lowercase()
    );
    assert_eq!(broken, 0);
}

impl Soak<'_> {
    fn round(&mut self, deed: Deed, mode: Mode, random: &mut Random) -> Vec<String> {
        let mut broken = Vec::new();
        let mut allowed = Allowed::default();
        let command = self.place.command(mode);
        match deed {
            Deed::Kill => {
                for _ in 0..random.within(1..5) {
                    let ended = self.interrupted(&command, Signal::KILL, random);
                    allowed.torn += usize::from(ended.is_killed());
                    hold(&self.place, &self.truth, mode, allow_extracted(mode, &ended), allowed, &mut broken);
                }
            }
            Deed::Signal => {
                let (signal, code) = random.of(&[(Signal::TERM, 143), (Signal::INT, 130), (Signal::HUP, 129)]);
                let ended = self.interrupted(&command, signal, random);
                allowed.code = Some(code);
                let is_default = ended.status.signal().is_some();
                // One that comes before anybody listens ends the process, as does any of what does not listen.
                let ended = if is_default { None } else { Some(&ended) };
                hold(&self.place, &self.truth, mode, ended, allowed, &mut broken);
            }
            Deed::Fill => {
                let filler = self.ground.fill(random.any_size(0..2 << 20) as u64);
                let ended = self.end(&command);
                hold(&self.place, &self.truth, mode, Some(&ended), allowed, &mut broken);
                fs::remove_file(filler).expect("ours");
            }
            Deed::Limit => {
                let ended = self.end(&limited(&command, "-f", random.within(1..400)));
                hold(&self.place, &self.truth, mode, Some(&ended), allowed, &mut broken);
            }
            Deed::Memory => {
                let ended = self.end(&limited(&command, "-v", random.within(20_000..200_000)));
                allowed.abort = true;
                let has_begun = !ended.stderr.contains("error while loading shared libraries");
                hold(&self.place, &self.truth, mode, Some(&ended).filter(|_| has_begun), allowed, &mut broken);
            }
            Deed::Mutate => {
                self.mutate(mode, &command, random, &mut broken);
                self.place.reset(mode);
            }
            Deed::Pair => {
                let other = start(&self.place.command(mode));
                let ended = self.end(&command);
                let other = other.wait_with_output().expect("a program");
                self.runs += 1;
                let said = String::from_utf8_lossy(&other.stderr).into_owned();
                if !matches!(other.status.code(), Some(0 | 1 | 75)) || said.contains("panicked") {
                    broken.push(format!("the other run: {:?} {said}", other.status));
                }
                // One of them may do all or a part of it, and the page is either's.
                let ended = Some(&ended).filter(|ended| ended.status.code() != Some(0));
                hold(&self.place, &self.truth, mode, ended, allowed, &mut broken);
            }
        }
        if broken.is_empty() {
            self.runs += 1;
            finish(&self.place, &self.truth, mode, random.percent(50), Allowed { code: None, ..allowed }, &mut broken);
        }
        broken
    }

    fn end(&mut self, command: &Command) -> Ended {
        self.runs += 1;
        end(&mut again(command))
    }

    /// Ends a run with a signal at a time of chance.
    fn interrupted(&mut self, command: &Command, signal: Signal, random: &mut Random) -> Ended {
        self.runs += 1;
        let child = start(command);
        std::thread::sleep(Duration::from_micros(random.any_size(0..LONG) as u64));
        let pid = Pid::from_child(&child);
        let _ = kill_process(pid, signal);
        let output = child.wait_with_output().expect("a program");
        Ended {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Changes an archive, has it read, and puts it back. Other archives fare as ever, and no image of this one that is
    /// taken for good differs from its own.
    fn mutate(&mut self, mode: Mode, command: &Command, random: &mut Random, broken: &mut Vec<String>) {
        let names: Vec<&String> = self.place.archives.keys().collect();
        let name = names[random.within(0..names.len())].clone();
        let path = self.place.folder.join("collection").join(&name);
        let bytes = self.place.archives[&name].clone();
        let changed = mutated(&bytes, random);
        fs::write(&path, &changed).expect("an archive");
        let ended = self.end(command);
        if fs::read(&path).expect("an archive") != changed {
            broken.push("archive changed".to_owned());
        }
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let is_sensible = matches!(ended.status.code(), Some(0 | 1 | 75));
        if !is_sensible || said.contains("panicked") || said.contains("a bug in imgsieve") {
            broken.push(format!("{:?}: {said}", ended.status));
        }
        let hash = name.replace(".tar.zst", "");
        let log = fs::read_to_string(self.place.log()).unwrap_or_default();
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        for (staged, at) in files(&self.place.staging()) {
            if staged.contains(".imgsieve-") || staged.ends_with(".reprocess.log") {
                continue;
            }
            let is_whole = self.place.images.get(&staged).is_some_and(|image| same(&at, image));
            let is_of_it = staged.starts_with(&hash);
            let path = at.to_str().expect("UTF-8");
            let is_vouched = |line: &&Value| line["path"] == path && line["verified"] == true;
            if !is_whole
                && (!is_of_it || lines.iter().rfind(|line| line["path"] == path).as_ref().is_some_and(is_vouched))
                && mode != Mode::Html
            {
                broken.push(format!("{staged} is staged, differs, and is said to be verified"));
            }
        }
        fs::write(&path, &bytes).expect("an archive");
    }
}

fn allow_extracted(mode: Mode, ended: &Ended) -> Option<&Ended> {
    // A kill that came too late: what is extracted is not replaced by the next.
    Some(ended).filter(|_| mode != Mode::Extract)
}

fn same(path: &Path, bytes: &[u8]) -> bool {
    let file = fs::File::open(path).expect("a file");
    let mut own = vec![0; bytes.len()];
    file.metadata().expect("a file").len() == bytes.len() as u64
        && file.read_exact_at(&mut own, 0).is_ok()
        && own == bytes
}

/// Cut, or with bytes changed, cut out, or put in.
fn mutated(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut changed = bytes.to_vec();
    for _ in 0..random.any_size(1..20) {
        let at = random.any_size(0..changed.len().max(2) - 1).min(changed.len().saturating_sub(1));
        if changed.is_empty() {
            break;
        }
        let length = random.any_size(1..4096).min(changed.len() - at);
        match random.within(0..6) {
            0 => changed.truncate(at),
            1 => changed[at] ^= 1 << random.within(0..8),
            2 => changed[at..at + length].fill(0),
            3 => drop(changed.drain(at..at + length)),
            4 => changed[at..at + length].iter_mut().for_each(|byte| *byte = random.next().to_le_bytes()[0]),
            _ => {
                let from = random.within(0..changed.len() - length + 1);
                changed.copy_within(from..from + length, at);
            }
        }
    }
    changed
}

fn again(command: &Command) -> Command {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args());
    inherit(&mut again, command);
    again
}

fn start(command: &Command) -> Child {
    let mut command = again(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program that starts")
}

fn limited(command: &Command, what: &str, most: usize) -> Command {
    let mut limited = Command::new("bash");
    limited.args(["-c", &format!("ulimit {what} {most}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    inherit(&mut limited, command);
    limited
}
