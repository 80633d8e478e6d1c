//! Free space while an image is staged that only just fits, on file systems of their own: ext4, XFS, which allocates ahead of
//! a file that grows, btrfs, whose metadata takes room too, and tmpfs. Needs root and loop devices, and says what it skips.

mod common;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::content::{Kind, Random};
use common::scan::{Scan, end};
use common::strace::say;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
/// Length of the image, nearly all of it data.
const IMAGE: u64 = 96 * MIB;
/// What the file system may need beside it, and has.
const SLACK: u64 = 12 * MIB;

/// A file system, and how large it has to be.
const FILE_SYSTEMS: [(&str, &[&str], u64); 4] = [
    ("tmpfs", &[], 256 * MIB),
    ("ext4", &["mkfs.ext4", "-q", "-F"], 256 * MIB),
    // The least that mkfs.xfs makes.
    ("xfs", &["mkfs.xfs", "-q", "-f"], 320 * MIB),
    ("btrfs", &["mkfs.btrfs", "-q", "-f"], 512 * MIB),
];

/// A mounted file system, unmounted when it is dropped.
struct Mount {
    folder: TempDir,
    _image: TempDir,
}

impl Mount {
    fn new(name: &str, mkfs: &[&str], size: u64) -> Result<Mount, String> {
        let (folder, place) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
        let image = place.path().join("image");
        fs::File::create(&image).and_then(|file| file.set_len(size)).expect("an image");
        let mut mount = Command::new("mount");
        match mkfs {
            [program, args @ ..] => {
                quiet(Command::new(program).args(args).arg(&image).env("PATH", common::path_with_sbin()))?;
                mount.args(["-o", "loop"]).arg(&image);
            }
            [] => _ = mount.args(["-t", name, "-o", &format!("size={size}"), "none"]),
        }
        quiet(mount.arg(folder.path()))?;
        Ok(Mount { folder, _image: place })
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.folder.path()).status();
    }
}

fn quiet(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().display().to_string();
    match command.stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{program}: {error}")),
    }
}

fn free(folder: &Path) -> u64 {
    let stat = rustix::fs::statvfs(folder).expect("a file system");
    stat.f_bavail * stat.f_frsize
}

#[test]
fn free_space_stays_above_the_minimum_on_every_file_system() {
    let scan = archive();
    let mut minimum = u64::MAX;
    for (name, mkfs, size) in FILE_SYSTEMS {
        let mount = match Mount::new(name, mkfs, size) {
            Ok(mount) => mount,
            Err(why) => {
                say(&format!("{name}: skipped, for it cannot be mounted here: {why}"));
                continue;
            }
        };
        let staging = mount.folder.path().join("staging");
        fs::create_dir(&staging).expect("a folder");
        let before = free(&staging);
        let least = before.checked_sub(IMAGE + SLACK).expect("large enough");
        let (lowest, is_over) = (AtomicU64::new(before), AtomicBool::new(false));
        let _ = fs::remove_file(scan.log());
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    lowest.fetch_min(free(&staging), Ordering::Relaxed);
                    std::thread::sleep(Duration::from_millis(1));
                }
            });
            let mut command = scan.command();
            command.arg("--staging").arg(&staging).args(["--min-free", &format!("{least}B")]);
            let ended = end(&mut command);
            is_over.store(true, Ordering::Relaxed);
            ended
        });
        assert_eq!(ended.code, 0, "{name}: {ended:?}");
        rustix::fs::syncfs(fs::File::open(&staging).expect("a folder")).expect("synced");
        let lowest = lowest.into_inner().min(free(&staging));
        say(&format!(
            "{name}: {} MiB free before, never less than {} MiB, minimum {} MiB",
            before / MIB,
            lowest / MIB,
            least / MIB
        ));
        assert!(lowest >= least, "{name}: {} bytes below the minimum", least - lowest);
        assert!(before - lowest >= IMAGE / 2, "{name}: it was written there");
        minimum = minimum.min(lowest - least);

        // What does not fit is told before any of it is written. What btrfs calls free comes and goes with its chunks.
        if name == "btrfs" {
            continue;
        }
        fs::remove_dir_all(&staging).expect("ours");
        let mount = staging.parent().expect("a mount");
        // XFS frees later what was removed.
        for _ in 0..1000 {
            if free(mount) + IMAGE / 8 >= before {
                break;
            }
            rustix::fs::syncfs(fs::File::open(mount).expect("a folder")).expect("synced");
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut command = scan.command();
        command.arg("--staging").arg(&staging).args(["--min-free", &format!("{}B", before - IMAGE / 2)]);
        let ended = end(&mut command);
        assert_eq!(ended.code, 1, "{name}: {ended:?}");
        assert_eq!(common::scan::of_stage(&scan.logged(), "low_space").len(), 0, "{name}");
    }
    if minimum == u64::MAX {
        say("free space: no file system could be mounted");
    }
}

/// An archive of one image with two partitions.
fn archive() -> Scan {
    let scan = Scan::new().site("min_image_size = '0'").args(&["--jobs", "1", "--no-progress"]);
    let folder = TempDir::new().expect("a folder");
    let file = fs::File::create(folder.path().join("x.img")).expect("a file");
    let piece = Kind::Noise.bytes(4 << 20, &mut Random::new(3));
    for at in (0..IMAGE).step_by(piece.len()) {
        file.write_all_at(&piece, at).expect("written");
    }
    let mut mbr = [0; 512];
    for (entry, start) in [(446, 2048_u32), (462, 8192)] {
        mbr[entry + 4] = 0x83;
        mbr[entry + 8..entry + 12].copy_from_slice(&start.to_le_bytes());
        mbr[entry + 12..entry + 16].copy_from_slice(&4096_u32.to_le_bytes());
    }
    mbr[510..].copy_from_slice(&[0x55, 0xAA]);
    file.write_all_at(&mbr, 0).expect("written");
    let made = Command::new("sh")
        .args(["-c", "tar -C \"$0\" -c x.img | zstd -q -1 --long=27 -o \"$1\""])
        .args([folder.path(), &scan.archive(&"cd".repeat(16))])
        .status()
        .expect("a shell");
    assert!(made.success());
    scan
}
