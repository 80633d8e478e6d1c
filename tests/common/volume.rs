//! A volume in a file, and what `blkid -p` says that it holds.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use imgsieve::ptable::superblock;
use tempfile::TempDir;

use super::{path_with_sbin, run};

pub const MIB: u64 = 1 << 20;

/// Name, label, UUID.
pub type Said = (Option<String>, Option<String>, Option<String>);

pub struct Volume {
    pub path: PathBuf,
    _folder: TempDir,
}

impl Volume {
    pub fn new(size: u64) -> Volume {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("volume");
        File::create(&path).and_then(|file| file.set_len(size)).expect("a file");
        Volume { path, _folder: folder }
    }

    pub fn by_hand(size: u64, patches: &[(u64, &[u8])]) -> Volume {
        let volume = Volume::new(size);
        for (at, bytes) in patches {
            volume.put(*at, bytes);
        }
        volume
    }

    pub fn put(&self, at: u64, bytes: &[u8]) {
        File::options().write(true).open(&self.path).and_then(|file| file.write_all_at(bytes, at)).expect("written");
    }

    pub fn path(&self) -> &str {
        self.path.to_str().expect("UTF-8")
    }

    pub fn ours(&self) -> Said {
        let file = File::open(&self.path).expect("a file");
        let content = superblock::identify(&file, file.metadata().expect("a file").len()).expect("readable");
        content.map_or((None, None, None), |content| (Some(content.name.to_owned()), content.label, content.uuid))
    }

    pub fn blkids(&self) -> Said {
        let tag = |tag| blkid(&self.path, tag);
        (tag("TYPE"), tag("LABEL"), tag("UUID"))
    }
}

/// One value of `blkid -p`, which has its own exit code for what it does not know.
fn blkid(path: &Path, tag: &str) -> Option<String> {
    let mut command = Command::new("blkid");
    command.args(["-p", "-o", "value", "-s", tag]).arg(path).env("PATH", path_with_sbin());
    let output = command.output().expect("blkid can be run: install the Debian package util-linux");
    assert!(matches!(output.status.code(), Some(0 | 2)), "{output:?}");
    let value = String::from_utf8(output.stdout).expect("UTF-8");
    value.strip_suffix('\n').filter(|value| !value.is_empty()).map(str::to_owned)
}

/// Makes a volume with a tool, and compares what it is found to hold. `{}` stands for the volume.
pub fn check(name: &str, label: Option<&str>, size: u64, package: &str, command: &[&str]) {
    let volume = Volume::new(size);
    let args: Vec<&str> = command[1..].iter().map(|&arg| if arg == "{}" { volume.path() } else { arg }).collect();
    run(package, command[0], &args, "");
    let ours = volume.ours();
    assert_eq!(ours, volume.blkids(), "{command:?}");
    assert_eq!((ours.0.as_deref(), ours.1.as_deref()), (Some(name), label), "{command:?}");
}

pub fn check_by_hand(name: &str, volume: &Volume) {
    let ours = volume.ours();
    assert_eq!(ours, volume.blkids(), "{name}");
    assert_eq!(ours.0.as_deref(), Some(name));
}
