//! File systems and the like.

use std::ops::Range;

use crate::common::content::Random;
use crate::medium::{MIB, Medium, Part};

/// One kind.
pub struct Volume {
    /// blkid's name.
    name: &'static str,
    package: &'static str,
    tool: &'static str,
    args: &'static [&'static str],
    /// How large it may be, in MiB.
    sizes: Range<u64>,
    /// What makes it one: first byte and bytes.
    superblock: &'static [(u64, u64)],
    /// Whether it is a usual one to be in a partition too.
    is_usual: bool,
}

const MAX: u64 = 1 << 20;
// The BIOS parameter block and the signature: Microsoft FAT specification 1.03 section 3.1.
const FAT: &[(u64, u64)] = &[(11, 51), (510, 2)];

const fn volume(
    name: &'static str,
    package: &'static str,
    tool: &'static str,
    args: &'static [&'static str],
    sizes: Range<u64>,
    superblock: &'static [(u64, u64)],
) -> Volume {
    Volume { name, package, tool, args, sizes, superblock, is_usual: false }
}

const fn usual(volume: Volume) -> Volume {
    Volume { is_usual: true, ..volume }
}

const VOLUMES: &[Volume] = &[
    usual(volume("vfat", "dosfstools", "mkfs.vfat", &["-I", "-F", "12"], 1..120, FAT)),
    usual(volume("vfat", "dosfstools", "mkfs.vfat", &["-I", "-F", "16"], 16..MAX, FAT)),
    usual(volume("vfat", "dosfstools", "mkfs.vfat", &["-I", "-F", "32"], 34..MAX, FAT)),
    volume("vfat", "dosfstools", "mkfs.vfat", &["-I", "-F", "16", "--mbr=y"], 16..MAX, FAT),
    usual(volume("exfat", "exfatprogs", "mkfs.exfat", &[], 4..MAX, &[(0, 120), (510, 2)])),
    usual(volume("ntfs", "ntfs-3g", "mkfs.ntfs", &["-F", "-Q", "-q"], 4..MAX, &[(3, 81), (510, 2)])),
    usual(volume("ext2", "e2fsprogs", "mkfs.ext2", &["-q", "-F"], 1..MAX, &[(1024, 1024)])),
    volume("ext3", "e2fsprogs", "mkfs.ext3", &["-q", "-F"], 4..MAX, &[(1024, 1024)]),
    usual(volume("ext4", "e2fsprogs", "mkfs.ext4", &["-q", "-F"], 4..MAX, &[(1024, 1024)])),
    volume("xfs", "xfsprogs", "mkfs.xfs", &["-q", "-f"], 300..MAX, &[(0, 264)]),
    volume("btrfs", "btrfs-progs", "mkfs.btrfs", &["-q", "-f"], 128..MAX, &[(65536, 4096)]),
    volume("f2fs", "f2fs-tools", "mkfs.f2fs", &["-q", "-f"], 64..MAX, &[(1024, 512)]),
    volume("jfs", "jfsutils", "mkfs.jfs", &["-q"], 20..MAX, &[(32768, 512)]),
    volume("reiserfs", "reiserfsprogs", "mkfs.reiserfs", &["-q", "-f", "-f"], 64..MAX, &[(65536, 204)]),
    volume("nilfs2", "nilfs-tools", "mkfs.nilfs2", &["-q", "-f"], 160..MAX, &[(1024, 280)]),
    volume("minix", "util-linux", "mkfs.minix", &[], 1..MAX, &[(1024, 32)]),
    // The volume recognition sequence and the anchor.
    volume("udf", "udftools", "mkfs.udf", &["-b", "512"], 4..MAX, &[(32768, 6144), (131_072, 512)]),
    volume("udf", "udftools", "mkfs.udf", &["-b", "2048"], 4..MAX, &[(32768, 6144), (524_288, 512)]),
    usual(volume("swap", "util-linux", "mkswap", &[], 1..MAX, &[(1024, 512), (4086, 10)])),
    volume("swap", "util-linux", "mkswap", &["-f"], 1..MAX, &[(1024, 512), (4086, 10)]),
    volume("hfs", "hfsutils", "env", &["HOME=FOLDER", "hformat", "-f", "IMAGE", "0"], 2..2000, &[(1024, 162)]),
    volume(
        "crypto_LUKS",
        "cryptsetup-bin",
        "cryptsetup",
        &[
            "luksFormat",
            "--type=luks1",
            "--batch-mode",
            "--pbkdf-force-iterations=1000",
            "--disable-locks",
            "IMAGE",
            "/etc/passwd",
        ],
        8..MAX,
        &[(0, 592)],
    ),
];

impl Volume {
    fn fits(&self, size: u64) -> bool {
        self.sizes.contains(&(size / MIB))
    }

    /// One that fits into so many bytes, if there is one.
    pub fn of(random: &mut Random, size: u64, is_whole: bool) -> Option<&'static Volume> {
        let is_usual = !is_whole || random.percent(60);
        let fitting: Vec<&Volume> =
            VOLUMES.iter().filter(|volume| volume.fits(size) && (volume.is_usual || !is_usual)).collect();
        (!fitting.is_empty()).then(|| random.of(&fitting))
    }

    /// Makes it on the whole medium.
    pub fn make(&self, medium: &mut Medium) {
        medium.tool(self.package, self.tool, self.args, "");
        if self.args.contains(&"--mbr=y") {
            medium.note_only_partition();
        }
        let places = self.superblock.iter().map(|&(at, length)| (Part::Superblock, at..at + length));
        medium.note(self.name, None, 0, places);
    }
}
