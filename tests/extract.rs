//! `imgsieve extract`: an image, a partition or a range of it, with holes, never over a file that is there, and nothing
//! left behind where it fails.

mod common;
#[path = "common/hostile.rs"]
mod support;

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::scan::{Ended, end, imgsieve};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

/// An image of 8 MiB whose MBR has partitions 1 (at 1 MiB, 2 MiB long), 2 (at 4 MiB, 1 MiB long), and 3, which runs past
/// its end by 1 MiB.
fn image(seed: u8) -> Vec<u8> {
    let mut image = vec![0; 8 * MIB];
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    for (slot, start, sectors) in [(0, 2048_u32, 4096_u32), (1, 8192, 2048), (2, 12288, 6144)] {
        let at = 446 + slot * 16;
        image[at + 4] = 0x83;
        image[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        image[at + 12..at + 16].copy_from_slice(&sectors.to_le_bytes());
    }
    let content = common::content(MIB);
    for start in [MIB, 2 * MIB + 100, 4 * MIB, 7 * MIB] {
        image[start..start + MIB / 2].copy_from_slice(&content[..MIB / 2]);
        image[start] = seed;
    }
    image
}

fn tar(members: &[(&[u8], &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        let name = Path::new(std::ffi::OsStr::from_bytes(name));
        // As it stands: the builder would refuse a name with `..` in it.
        header.as_gnu_mut().expect("GNU").name[..name.as_os_str().len()].copy_from_slice(name.as_os_str().as_bytes());
        header.set_entry_type(tar::EntryType::Regular);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).expect("memory");
    }
    builder.into_inner().expect("memory")
}

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// An archive of these members, a frame.
    fn archive(&self, members: &[(&[u8], &[u8])]) -> PathBuf {
        let path = self.path("a.tar.zst");
        let mut encoder = zstd::Encoder::new(File::create(&path).expect("a file"), 3).expect("an encoder");
        encoder.include_checksum(true).expect("a parameter");
        std::io::Write::write_all(&mut encoder, &tar(members)).expect("written");
        encoder.finish().expect("written");
        path
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = imgsieve();
        command.current_dir(self.0.path()).args(["extract", "a.tar.zst"]).args(args);
        command
    }

    fn extract(&self, args: &[&str]) -> Ended {
        end(&mut self.command(args))
    }

    /// Extracts to standard output.
    fn bytes(&self, args: &[&str]) -> Vec<u8> {
        let output = self.command(args).args(["-o", "-"]).output().expect("a run");
        assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""));
        output.stdout
    }

    /// Every name in it but the archive's.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.0.path()).expect("a folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name != "a.tar.zst").collect();
        names.sort();
        names
    }
}

#[test]
fn the_only_image_goes_to_a_file_of_its_name_with_holes() {
    let folder = Folder::new();
    let image = image(1);
    folder.archive(&[(b"x/notes.txt", b"notes"), (b"x/disk.img", &image), (b"x/disk.map", b"map")]);
    let ended = folder.extract(&[]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert!(ended.stdout.starts_with("disk.img: 8.39 MB of disk.img, "), "{}", ended.stdout);
    assert!(ended.stdout.ends_with("every checksum of its frames holds.\n"), "{}", ended.stdout);
    assert!(fs::read(folder.path("disk.img")).expect("a file") == image);
    let metadata = fs::metadata(folder.path("disk.img")).expect("a file");
    assert!(metadata.blocks() * 512 < 4 * MIB as u64, "{} blocks", metadata.blocks());
    assert_eq!(folder.names(), ["disk.img"]);
}

#[test]
fn a_partition_is_cut_out_and_what_the_image_lacks_of_it_is_told() {
    let folder = Folder::new();
    let image = image(1);
    folder.archive(&[(b"disk.img", &image)]);
    assert!(folder.bytes(&["--partition", "1"]) == image[MIB..3 * MIB]);
    assert!(
        folder.bytes(&["--partition", "2", "--offset", "512", "--length", "1KiB"]) == image[4 * MIB + 512..][..1024]
    );
    let ended = folder.extract(&["--partition", "2"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(fs::read(folder.path("disk.p2.img")).expect("a file") == image[4 * MIB..5 * MIB]);
    let ended = folder.extract(&["--partition", "3", "-o", "three"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.contains("the image ends 1048576 bytes before partition 3 does"), "{}", ended.stderr);
    assert!(fs::read(folder.path("three")).expect("a file") == image[6 * MIB..]);
    let ended = folder.extract(&["--partition", "7"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.stderr.contains("disk.img has no partition 7")
            && ended.stderr.contains("\n  2  1.05 MB from byte 4194304 on")
    );
    assert_eq!(folder.names(), ["disk.p2.img", "three"]);
}

#[test]
fn of_several_images_one_has_to_be_named_by_number_name_or_path() {
    let folder = Folder::new();
    let images = [image(1), image(2), image(3)];
    folder.archive(&[(b"x/a.img", &images[0]), (b"b.img", &images[1]), (b"y/a.img", &images[2]), (b"a.log", b"log")]);
    let ended = folder.extract(&[]);
    assert_eq!((ended.code, &*ended.stdout), (2, ""), "{ended:?}");
    for line in ["\n  1  8.39 MB  x/a.img", "\n  2  8.39 MB  b.img", "\n  3  8.39 MB  y/a.img"] {
        assert!(ended.stderr.contains(line), "{}", ended.stderr);
    }
    for (choice, expected) in [("1", 0), ("3", 2), ("b.img", 1), ("y/a.img", 2)] {
        assert!(folder.bytes(&["--image", choice]) == images[expected], "{choice}");
    }
    let ended = folder.extract(&["--image", "a.img"]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(
        ended.stderr.contains("several images are named a.img") && !ended.stderr.contains("  2  "),
        "{}",
        ended.stderr
    );
    for (choice, code, words) in [
        ("4", 2, "the archive has no such image; it has:"),
        ("0", 2, "images are counted from 1"),
        ("c.img", 2, "the archive has no such image; it has:"),
        ("a.log", 1, "does not end in .img"),
    ] {
        let ended = folder.extract(&["--image", choice]);
        assert_eq!((ended.code, ended.stderr.contains(words)), (code, true), "{choice}: {ended:?}");
    }
    assert!(folder.names().is_empty());
    assert_eq!(folder.bytes(&["--image", "a.log", "--image-suffix", ".log"]), b"log");
}

#[test]
fn a_file_a_folder_or_a_link_that_is_there_stays_as_it_is() {
    let folder = Folder::new();
    folder.archive(&[(b"disk.img", &image(1))]);
    fs::write(folder.path("disk.img"), "precious").expect("a file");
    fs::create_dir(folder.path("folder")).expect("a folder");
    symlink("target", folder.path("link")).expect("a link");
    for output in [&[][..], &["-o", "disk.img"], &["-o", "folder"], &["-o", "link"], &["-o", "./link"]] {
        let ended = folder.extract(output);
        assert_eq!((ended.code, &*ended.stdout), (1, ""), "{output:?}: {ended:?}");
        assert!(ended.stderr.contains("exists, and is not replaced"), "{}", ended.stderr);
    }
    assert_eq!(fs::read(folder.path("disk.img")).expect("still there"), b"precious");
    assert_eq!(folder.names(), ["disk.img", "folder", "link"]);
    for output in ["nowhere/x", "disk.img/x", ".."] {
        let ended = folder.extract(&["-o", output]);
        assert_eq!(ended.code, 1, "{output}: {ended:?}");
    }
}

#[test]
fn ranges_are_checked_before_anything_is_written() {
    let folder = Folder::new();
    let image = image(1);
    folder.archive(&[(b"disk.img", &image)]);
    assert!(folder.bytes(&["--offset", "7MiB"]) == image[7 * MIB..]);
    assert!(folder.bytes(&["--offset", "8MiB"]).is_empty());
    for range in [
        &["--offset", "8388609"][..],
        &["--length", "8388609"],
        &["--offset", "1", "--length", "8MiB"],
        &["--offset", "18446744073709551615", "--length", "18446744073709551615"],
    ] {
        let ended = folder.extract(&[range, &["-o", "x"]].concat());
        assert_eq!((ended.code, ended.stderr.contains("it has only 8388608 bytes")), (2, true), "{range:?}: {ended:?}");
    }
    let ended = folder.extract(&["--length", "512"]);
    assert_eq!((ended.code, ended.stderr.contains("need -o")), (2, true), "{ended:?}");
    assert!(folder.names().is_empty());
}

#[test]
fn a_sparse_member_is_cut_where_its_data_and_its_holes_are() {
    let folder = Folder::new();
    let path = folder.path("disk.img");
    let image = image(1);
    let file = File::create(&path).expect("a file");
    file.set_len(image.len() as u64).expect("a length");
    for (at, piece) in image.chunks(4096).enumerate().filter(|(_, piece)| piece.iter().any(|&byte| byte != 0)) {
        std::os::unix::fs::FileExt::write_all_at(&file, piece, at as u64 * 4096).expect("written");
    }
    let output = Command::new("tar")
        .args(["--zstd", "--sparse", "--format=posix", "-cf", "a.tar.zst", "disk.img"])
        .current_dir(folder.0.path())
        .output()
        .expect("tar");
    assert!(output.status.success());
    fs::remove_file(&path).expect("ours");
    for (offset, length) in
        [(0, 8 * MIB), (100, 5000), (MIB - 1, 2), (MIB + MIB / 2 - 1, MIB), (3 * MIB, MIB + 1), (5, 0)]
    {
        let args = ["--offset", &offset.to_string(), "--length", &length.to_string()];
        assert!(folder.bytes(&args) == image[offset..offset + length], "{offset} {length}");
    }
}

#[test]
fn a_frame_that_fails_leaves_the_image_there_and_is_told() {
    let folder = Folder::new();
    let image = image(1);
    let path = folder.archive(&[(b"disk.img", &image), (b"rest", &common::content(3 * MIB))]);
    let mut bytes = fs::read(&path).expect("an archive");
    let last = bytes.len() - 2;
    bytes[last] ^= 1;
    fs::write(&path, &bytes).expect("damaged");
    let ended = folder.extract(&["--image", "1"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(
        ended.stderr.contains("the file has its full length, but some of its bytes may be wrong")
            && ended.stderr.contains("fails its checksum"),
        "{ended:?}"
    );
    assert!(fs::read(folder.path("disk.img")).expect("a file") == image);
    let ended = folder.extract(&["--image", "1", "--no-verify", "-o", "again.img"]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert!(!ended.stdout.contains("checksum"), "{}", ended.stdout);
}

#[test]
fn damage_in_the_image_leaves_nothing_behind() {
    let folder = Folder::new();
    let path = folder.archive(&[(b"disk.img", &image(1))]);
    let whole = fs::read(&path).expect("an archive");
    for cut in [whole.len() / 2, whole.len() - 100, 20] {
        fs::write(&path, &whole[..cut]).expect("cut");
        let ended = folder.extract(&["-o", "x", "--image", "1", "--no-progress"]);
        assert_eq!((ended.code, &*ended.stdout), (1, ""), "{cut}: {ended:?}");
        assert!(ended.stderr.starts_with("imgsieve: error: a.tar.zst: "), "{}", ended.stderr);
        assert!(folder.names().is_empty(), "{:?}", folder.names());
    }
    fs::write(&path, b"no zstd at all").expect("a file");
    assert_eq!(folder.extract(&[]).code, 1);
    assert!(folder.names().is_empty());
}

#[test]
fn a_name_in_an_archive_makes_no_path() {
    for name in [&b"../../evil.img"[..], b"/abs/evil.img", b"x/\x1b[2J\n.img", b"\xff\xfe.img"] {
        let folder = Folder::new();
        fs::create_dir(folder.path("work")).expect("a folder");
        folder.archive(&[(name, &image(1))]);
        let mut command = imgsieve();
        let ended = end(command.current_dir(folder.path("work")).args(["extract", "../a.tar.zst"]));
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(!ended.stdout.contains('\x1b') && ended.stdout.lines().count() == 1, "{}", ended.stdout);
        assert_eq!(fs::read_dir(folder.path("work")).expect("a folder").count(), 1);
        assert_eq!(folder.names(), ["work"]);
    }
    for name in [&b"x/.."[..], b".imgsieve-0.partial"] {
        let folder = Folder::new();
        folder.archive(&[(name, b"x")]);
        let suffix = if name.ends_with(b"..") { ".." } else { ".partial" };
        let ended = folder.extract(&["--image-suffix", suffix]);
        assert_eq!((ended.code, &*ended.stdout), (1, ""), "{ended:?}");
        assert!(folder.names().is_empty());
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let folder = Folder::new();
    folder.archive(&[(b"disk.img", &image(1))]);
    let mut child = folder.command(&["-o", "-"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a run");
    let mut sector = [0; 512];
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut sector).expect("a sector");
    drop(stdout);
    let output = child.wait_with_output().expect("its end");
    assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    assert_eq!(sector[510..], [0x55, 0xaa]);
}

#[test]
fn a_compressed_image_without_a_tar_is_one_image() {
    let folder = Folder::new();
    let image = image(1);
    fs::write(folder.path("disk.img.zst"), zstd::encode_all(&image[..], 3).expect("memory")).expect("a file");
    let mut command = imgsieve();
    let ended = end(command.current_dir(folder.0.path()).args(["extract", "disk.img.zst", "--partition", "2"]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(fs::read(folder.path("disk.p2.img")).expect("a file") == image[4 * MIB..5 * MIB]);
    let mut command = imgsieve();
    let ended = end(command.current_dir(folder.0.path()).args(["extract", "disk.img.zst", "--image", "2"]));
    assert_eq!(ended.code, 2, "{ended:?}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_an_error_of_one_line() {
    let folder = Folder::new();
    folder.archive(&[(b"disk.img", &image(1))]);
    let ended = folder.extract(&["-o", "/proc/x.img"]);
    assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
    assert!(ended.stderr.contains("/proc/"), "{}", ended.stderr);
    let metadata = fs::metadata(folder.path("a.tar.zst")).expect("the archive");
    assert!(metadata.permissions().mode() & 0o200 != 0);
}

/// Waits until a file of the folder other than the archive is open in `child`, by a name or without one.
fn wait_until_it_writes(child: &Child, folder: &Folder) {
    let root = folder.0.path().canonicalize().expect("a folder");
    let is_written = |path: PathBuf| path.starts_with(&root) && path != root && !path.ends_with("a.tar.zst");
    let open = || fs::read_dir(format!("/proc/{}/fd", child.id())).into_iter().flatten().flatten();
    for _ in 0..6000 {
        if open().filter_map(|entry| fs::read_link(entry.path()).ok()).any(is_written) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it writes nothing");
}

#[test]
fn a_killed_one_leaves_nothing_that_the_next_does_not_remove() {
    let folder = Folder::new();
    let bomb = support::filled_image(b"disk.img", &support::mbr(1), 0, 1 << 40);
    fs::write(folder.path("a.tar.zst"), bomb).expect("an archive");
    let mut child = folder.command(&["-o", "x"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("a run");
    wait_until_it_writes(&child, &folder);
    child.kill().expect("ours");
    child.wait().expect("its end");
    assert_eq!(folder.extract(&["-o", "x", "--image", "1", "--length", "1MiB", "--no-verify"]).code, 0);
    assert_eq!(folder.names(), ["x"]);
}

#[test]
fn a_hard_link_names_the_image_that_it_is_a_link_to() {
    let folder = Folder::new();
    let (one, other) = (image(1), image(2));
    let mut builder = tar::Builder::new(Vec::new());
    let file = |builder: &mut tar::Builder<Vec<u8>>, name: &str, content: &[u8]| {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, content).expect("memory");
    };
    let link = |builder: &mut tar::Builder<Vec<u8>>, name: &str, target: &str| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Link);
        header.set_size(0);
        builder.append_link(&mut header, name, target).expect("memory");
    };
    file(&mut builder, "a/one.img", &one);
    file(&mut builder, "b/other.img", &other);
    link(&mut builder, "c/second.img", "b/other.img");
    link(&mut builder, "c/first", "a/one.img");
    link(&mut builder, "d/one.img", "b/other.img");
    fs::write(folder.path("a.tar.zst"), compressed(&builder.into_inner().expect("memory"))).expect("an archive");
    for (name, image) in [
        ("second.img", &other),
        ("c/second.img", &other),
        ("c/first", &one),
        ("d/one.img", &other),
        ("a/one.img", &one),
        ("other.img", &other),
    ] {
        assert!(folder.bytes(&["--image", name]) == *image, "{name}");
    }
    assert_eq!(folder.extract(&["--image", "second.img"]).code, 0);
    assert_eq!(folder.names(), ["second.img"]);
    let ended = folder.extract(&["--image", "one.img"]);
    assert!(ended.code == 2 && ended.stderr.contains("several images are named one.img"), "{ended:?}");
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory")
}

#[test]
fn a_signal_ends_it_and_leaves_nothing_behind() {
    let folder = Folder::new();
    let bomb = support::filled_image(b"disk.img", &support::mbr(1), 0, 1 << 40);
    fs::write(folder.path("a.tar.zst"), bomb).expect("an archive");
    let child = folder.command(&["-o", "x"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a run");
    wait_until_it_writes(&child, &folder);
    assert!(folder.names().iter().all(|name| name.ends_with(".partial")), "{:?}", folder.names());
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).expect("a pid")).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("ours");
    let output = child.wait_with_output().expect("its end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(
        (output.status.code(), &*stderr),
        (Some(130), "imgsieve: interrupted by SIGINT; partial files are removed\n")
    );
    assert!(folder.names().is_empty(), "{:?}", folder.names());
}

#[test]
fn a_hole_of_a_terabyte_takes_no_room() {
    let folder = Folder::new();
    let bomb = support::filled_image(b"disk.img", &support::mbr(2), 0, 1 << 40);
    fs::write(folder.path("a.tar.zst"), bomb).expect("an archive");
    let ended = folder.extract(&["-o", "x", "--image", "1", "--length", "4GiB", "--no-verify"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let metadata = fs::metadata(folder.path("x")).expect("a file");
    assert_eq!(metadata.len(), 4 << 30);
    assert!(metadata.blocks() < 100, "{} blocks", metadata.blocks());
}

#[test]
fn an_archive_that_cannot_be_read_to_its_end_may_hide_another_image_and_that_is_told() {
    let folder = Folder::new();
    let image = image(1);
    let path = folder.archive(&[(b"disk.img", &image)]);
    let mut tar = tar(&[(b"disk.img", &image)]);
    tar.truncate(tar.len() - 1024);
    tar.extend(vec![0xaa; 512]);
    fs::write(&path, zstd::encode_all(&tar[..], 3).expect("memory")).expect("a file");
    let ended = folder.extract(&["--no-verify"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.starts_with("imgsieve: warning: a.tar.zst: "), "{}", ended.stderr);
    assert!(fs::read(folder.path("disk.img")).expect("a file") == image);
    let ended = folder.extract(&["--image", "1", "--no-verify", "-o", "x"]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
}
