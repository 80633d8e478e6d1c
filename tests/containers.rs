//! Containers of images, as the tools make them that people have: named with the program that opens them, not called blank.
//! What is an image behind a header, or in front of a footer, is read.

#![cfg(feature = "oracles")]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use common::run;
use common::scan::{Scan, end, imgsieve, of_stage};
use serde_json::{Value, json};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const GPT: &str = "label: gpt\nsize=20480\nsize=8192\n";

/// A folder with `disk.img`, of two partitions in a GPT.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        let folder = Folder(TempDir::new().expect("a temporary folder"));
        let disk = folder.path("disk.img");
        File::create(&disk).and_then(|file| file.set_len(64 * MIB)).expect("a file");
        run("fdisk", "sfdisk", &["--quiet", text(&disk)], GPT);
        // So that compressors have something to do.
        let file = File::options().write(true).open(&disk).expect("a file");
        file.write_all_at(&common::content(3 << 20), 2 * MIB).expect("written");
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Has `tool` make the file `name`, whose path is the last argument.
    fn make(&self, name: &str, package: &str, tool: &str, args: &[&str]) -> PathBuf {
        let path = self.path(name);
        run(package, tool, &[args, &[text(&path)]].concat(), "");
        path
    }

    fn qemu(&self, name: &str, format: &str, options: &[&str]) -> PathBuf {
        let disk = self.path("disk.img");
        let args = [&["convert", "-O", format][..], options, &[text(&disk)]].concat();
        self.make(name, "qemu-utils", "qemu-img", &args)
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// What `inspect` says of the one image in a file.
fn inspected(path: &Path) -> Value {
    let ended = end(imgsieve().args(["inspect", "--json"]).arg(path));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
    assert_eq!(report["images"].as_array().map(Vec::len), Some(1), "{ended:?}");
    assert_eq!(ended.code, i32::from(report["images"][0]["verdict"] == "undecidable"), "{ended:?}");
    report["images"][0].clone()
}

fn assert_container(path: &Path, message: &str) {
    let image = inspected(path);
    let told = json!([image["verdict"], image["reason"], image["count"], image["message"], image["partitions"]]);
    assert_eq!(told, json!(["undecidable", "container", null, message, []]), "{}", path.display());
}

#[test]
fn what_qemu_img_makes_is_named_with_the_tool_that_opens_it() {
    let folder = Folder::new();
    let vmdk = |subformat: &str| format!("subformat={subformat}");
    for (format, options, what) in [
        ("qcow2", "", "a qcow2 container"),
        ("qcow2", "compat=0.10", "a qcow2 container"),
        ("qcow2", "preallocation=full", "a qcow2 container"),
        ("qcow", "", "a qcow container"),
        ("qed", "", "a QED container"),
        ("vmdk", "", "a VMDK container"),
        ("vmdk", &vmdk("streamOptimized"), "a VMDK container"),
        ("vdi", "", "a VDI container"),
        ("vpc", "", "a VHD container"),
        ("vhdx", "", "a VHDX container"),
        ("vhdx", "subformat=fixed", "a VHDX container"),
        ("parallels", "", "a Parallels container"),
    ] {
        let options = if options.is_empty() { &[][..] } else { &["-o", options] };
        let path = folder.qemu(&format!("{format}{}.img", options.concat()), format, options);
        assert_container(&path, &format!("{what}: qemu-img convert -O raw opens it"));
        // And it does.
        let raw = folder.path("raw");
        run("qemu-utils", "qemu-img", &["convert", "-O", "raw", text(&path), text(&raw)], "");
        assert_eq!(inspected(&raw)["count"], 2, "{format}");
    }
    let descriptor = folder.qemu("flat.vmdk", "vmdk", &["-o", &vmdk("monolithicFlat")]);
    assert_container(&descriptor, "the descriptor of a VMDK: qemu-img convert -O raw opens it");
    assert_eq!(inspected(&folder.path("flat-flat.vmdk"))["count"], 2);
}

#[test]
fn an_image_of_fixed_size_in_a_vhd_or_a_vdi_is_read() {
    let folder = Folder::new();
    let plain = inspected(&folder.path("disk.img"));
    let places = |image: &Value, shift: u64| -> Vec<u64> {
        let partitions = image["partitions"].as_array().expect("a list");
        partitions.iter().map(|partition| partition["start_bytes"].as_u64().expect("a number") - shift).collect()
    };
    let vhd = folder.qemu("fixed.img", "vpc", &["-o", "subformat=fixed,force_size=on"]);
    let vdi = folder.qemu("static.img", "vdi", &["-o", "static=on"]);
    assert!(fs::metadata(&vhd).expect("a file").len() == 64 * MIB + 512);
    let found = inspected(&vhd);
    assert_eq!((&found["verdict"], &found["damaged"]), (&json!("multi"), &json!(false)), "{found}");
    assert_eq!(places(&found, 0), places(&plain, 0));
    let found = inspected(&vdi);
    let told = json!([found["verdict"], found["damaged"], found["container"]]);
    assert_eq!(told, json!(["multi", false, "a VDI of fixed size"]), "{found}");
    // Places are those in the image.
    let header = fs::metadata(&vdi).expect("a file").len() - 64 * MIB;
    assert!(header > 0);
    assert_eq!(places(&found, header), places(&plain, 0));
    // Where the start of the disk is lost, the backup of its GPT is in front of the footer.
    File::options().write(true).open(&vhd).and_then(|file| file.write_all_at(&vec![0; 34 * 512], 0)).expect("written");
    let found = inspected(&vhd);
    let told = json!([found["verdict"], found["gpt_copy"], found["container"]]);
    assert_eq!(told, json!(["multi", "backup", "a VHD of fixed size"]), "{found}");
}

#[test]
fn what_imagers_make_is_named_with_the_tool_that_opens_it() {
    let folder = Folder::new();
    let disk = folder.path("disk.img");
    for format in ["encase5", "encase6", "ftk", "smart"] {
        let base = folder.path(format);
        run("ewf-tools", "ewfacquire", &["-q", "-u", "-d", "sha1", "-f", format, "-t", text(&base), text(&disk)], "");
        let segment = [base.with_extension("E01"), base.with_extension("s01")].into_iter().find(|path| path.exists());
        assert_container(&segment.expect("a segment"), "an EWF container (E01): ewfexport opens it");
    }
    let volume = folder.path("volume");
    File::create(&volume).and_then(|file| file.set_len(16 * MIB)).expect("a file");
    run("e2fsprogs", "mkfs.ext4", &["-q", "-F", text(&volume)], "");
    let log = folder.path("log");
    let clone = |name: &str, tool: &str, package: &str, args: &[&str]| {
        let args = [args, &["-L", text(&log), "-s", text(&volume), "-o"]].concat();
        folder.make(name, package, tool, &args)
    };
    let message = "a partclone image: partclone.restore -C --restore_raw_file opens it";
    assert_container(&clone("ext4.img", "partclone.ext4", "partclone", &["-c", "-q"]), message);
    run("ntfs-3g", "mkfs.ntfs", &["--quick", "--force", text(&volume)], "");
    let clone = folder.make("ntfs.img", "ntfs-3g", "ntfsclone", &["--save-image", text(&volume), "--output"]);
    assert_container(&clone, "an ntfsclone image: ntfsclone --restore-image --overwrite opens it");
}

#[test]
fn what_compressors_and_archivers_make_is_named_with_the_tool_that_opens_it() {
    let folder = Folder::new();
    let disk = folder.path("disk.img");
    for (suffix, package, tool, args, message) in [
        ("gz", "gzip", "gzip", &["-k"][..], "gzip data: gunzip opens it"),
        ("gz", "gzip", "gzip", &["-k1n"], "gzip data: gunzip opens it"),
        ("xz", "xz-utils", "xz", &["-k0"], "xz data: xz -d opens it"),
        ("xz", "xz-utils", "xz", &["-k0", "--check=none"], "xz data: xz -d opens it"),
        ("lzma", "xz-utils", "xz", &["-k0", "--format=lzma"], "lzma data: xz -d opens it"),
        ("bz2", "bzip2", "bzip2", &["-k1"], "bzip2 data: bunzip2 opens it"),
        ("lz4", "lz4", "lz4", &["-kqm"], "lz4 data: lz4 -d opens it"),
    ] {
        let path = folder.path(&format!("disk.img.{suffix}"));
        let _ = fs::remove_file(&path);
        run(package, tool, &[args, &[text(&disk)]].concat(), "");
        assert_container(&path, message);
    }
    let zip = folder.path("a.zip");
    run("zip", "zip", &["-q", "-1", text(&zip), text(&disk)], "");
    assert_container(&zip, "a zip archive: unzip opens it");
    run("zip", "zip", &["-q", "-0", text(&zip), text(&disk)], "");
    assert_container(&zip, "a zip archive: unzip opens it");
    let seven = folder.path("a.7z");
    run("7zip", "7zz", &["a", "-bd", "-mx=1", text(&seven), text(&disk)], "");
    assert_container(&seven, "a 7z archive: 7z x opens it");
    let tar = folder.path("a.tar");
    run("tar", "tar", &["-cf", text(&tar), "-C", text(folder.0.path()), "disk.img"], "");
    assert_container(&tar, "a tar archive: tar -x opens it");
}

#[test]
fn a_container_in_an_archive_is_an_error_of_the_image_and_its_tool_is_named() {
    let folder = Folder::new();
    let scan = Scan::new().site("min_image_size = '0'").args(&["--dry-run"]);
    for (hash, suffix, name) in [("0c", "qcow2", "disk.qcow2"), ("0d", "zst", "disk.img.zst")] {
        let member = folder.path(&format!("{suffix}.img"));
        match suffix {
            "zst" => drop(run("zstd", "zstd", &["-q", text(&folder.path("disk.img")), "-o", text(&member)], "")),
            _ => fs::rename(folder.qemu(name, suffix, &[]), &member).expect("renamed"),
        }
        let archive = scan.archive(hash);
        let (folder, archive) = (text(folder.0.path()), text(&archive));
        run(
            "tar",
            "tar",
            &["--zstd", "-cf", archive, "-C", folder, text(Path::new(member.file_name().expect("a name")))],
            "",
        );
    }
    let ended = scan.run();
    assert_eq!(ended.code, 1, "{ended:?}");
    let lines = scan.logged();
    let checks = of_stage(&lines, "partition_check");
    let told: Vec<Value> =
        checks.iter().map(|check| json!([check["partitions"], check["action"], check["reason"]])).collect();
    assert_eq!(told, [json!([null, "error", "container"]), json!([null, "error", "container"])]);
    let errors = of_stage(&lines, "error");
    let messages: Vec<&str> = errors.iter().filter_map(|error| error["message"].as_str()).collect();
    assert!(messages.iter().any(|message| message.ends_with("a qcow2 container: qemu-img convert -O raw opens it")));
    assert!(messages.iter().any(|message| message.ends_with("zstd data: zstd -d opens it")), "{messages:?}");
    // Nothing of it was doubted: what libzstd need not decode, it did not.
    for complete in of_stage(&lines, "archive_complete") {
        assert_eq!(complete["fallbacks"], 0, "{complete}");
    }
}

#[test]
fn the_start_of_a_container_in_front_of_a_table_that_stands_changes_nothing() {
    let folder = Folder::new();
    let disk = folder.path("disk.img");
    run("fdisk", "sfdisk", &["--quiet", "--wipe=always", text(&disk)], "label: dos\n2048,2048\n4096,2048\n");
    let plain = inspected(&disk);
    assert_eq!((&plain["label"], &plain["count"]), (&json!("dos"), &json!(2)));
    let makers: [(&str, &str, &str, &[&str]); 3] =
        [("gzip", "gzip", "gz", &["-k"]), ("xz-utils", "xz", "xz", &["-k0"]), ("bzip2", "bzip2", "bz2", &["-k1"])];
    let mut heads = Vec::new();
    for (package, tool, suffix, args) in makers {
        run(package, tool, &[args, &[text(&disk)]].concat(), "");
        heads.push(folder.path(&format!("disk.img.{suffix}")));
    }
    heads.extend(
        ["qcow2", "vhdx", "vmdk", "parallels", "vpc"].map(|format| folder.qemu(&format!("{format}.img"), format, &[])),
    );
    for head in heads {
        let mut bytes = [0; 440];
        File::open(&head).and_then(|file| file.read_exact_at(&mut bytes, 0)).expect("440 bytes");
        File::options().write(true).open(&disk).and_then(|file| file.write_all_at(&bytes, 0)).expect("written");
        assert_eq!(inspected(&disk)["partitions"], plain["partitions"], "{}", head.display());
    }
}

#[test]
fn headers_with_impossible_numbers_are_none_and_cost_nothing() {
    let folder = Folder::new();
    let vdi = folder.qemu("static.img", "vdi", &["-o", "static=on"]);
    let mut header = vec![0; 512];
    File::open(&vdi).and_then(|file| file.read_exact_at(&mut header, 0)).expect("a header");
    // Places and numbers of the map, the data, the disk and the blocks.
    for at in [340, 344, 368, 372, 376, 380, 384] {
        for value in [0, 1, 0x7fff_ffff, u32::MAX] {
            let mut wrong = header.clone();
            wrong[at..at + 4].copy_from_slice(&value.to_le_bytes());
            if wrong == header {
                continue;
            }
            File::options().write(true).open(&vdi).and_then(|file| file.write_all_at(&wrong, 0)).expect("written");
            let image = inspected(&vdi);
            let is_closed = image["reason"] == "container";
            assert!(is_closed || image["container"] == "a VDI of fixed size", "{at} {value:#x}: {image}");
        }
    }
}
