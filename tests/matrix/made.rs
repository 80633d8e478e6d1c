//! The images, each made by somebody else's tool, and what it was made to be.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::common::content::Random;
use crate::common::run;
use crate::damage::Damage;
use crate::peers::Extent;
use crate::peers::labels::PARTED;

pub const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
const SIZE: u64 = 32 * MIB;

type Make = Box<dyn Fn(&Path) + Send + Sync>;

/// An image to be.
pub struct Spec {
    /// What it is called in `disagreements.tsv`.
    pub name: String,
    /// What it is counted with in the score.
    pub group: &'static str,
    /// The kind of its table, by our name; empty where it has none.
    pub label: &'static str,
    pub size: u64,
    pub sector_size: u64,
    /// What it is made to hold.
    pub partitions: Vec<Extent>,
    pub damage: Option<Damage>,
    make: Make,
}

impl Spec {
    fn new(name: String, label: &'static str, partitions: Vec<Extent>, make: Make) -> Spec {
        Spec { name, group: label, label, size: SIZE, sector_size: SECTOR, partitions, damage: None, make }
    }

    /// No table is in it.
    fn without(name: &str, group: &'static str, size: u64, make: Make) -> Spec {
        Spec { group, size, ..Spec::new(name.to_owned(), "", Vec::new(), make) }
    }

    /// Makes it.
    pub fn make(&self, path: &Path) {
        File::create(path).and_then(|file| file.set_len(self.size)).expect("a file");
        (self.make)(path);
        if let Some(damage) = self.damage {
            damage.apply(path, self);
        }
    }
}

/// Every image: label by layout by sector size, by damage, and all that is no table.
pub fn all() -> Vec<Spec> {
    let tables = || [by_parted(), by_sfdisk(), logical(), by_fdisk(), by_sgdisk()].into_iter().flatten();
    let damaged = Damage::ALL.into_iter().flat_map(|damage| {
        tables().filter(move |spec| damage.is_for(spec)).map(move |spec| Spec {
            name: format!("{}~{}", spec.name, damage.name()),
            damage: Some(damage),
            ..spec
        })
    });
    tables().chain(damaged).chain(whole_disk()).chain(boot_loaders()).chain(nothing()).collect()
}

/// Starts and lengths in MiB, by the name of the layout. The first two MiB are free: IRIX has its volume header there.
fn layouts(most: u64) -> Vec<(&'static str, Vec<(u64, u64)>)> {
    vec![
        ("0", vec![]),
        ("1", vec![(2, 4)]),
        ("whole", vec![(2, 29)]),
        ("2", vec![(2, 4), (8, 6)]),
        ("3", vec![(2, 4), (6, 4), (12, 8)]),
        ("many", (0..most).map(|index| (2 + index, 1)).collect()),
    ]
}

fn numbered(layout: &[(u64, u64)], numbers: impl IntoIterator<Item = u32>) -> Vec<Extent> {
    layout.iter().zip(numbers).map(|(&(start, len), number)| (number, start * MIB, len * MIB)).collect()
}

fn add_line(script: &mut String, line: std::fmt::Arguments<'_>) {
    writeln!(script, "{line}").expect("a string grows");
}

/// Runs a tool on the image, whose path stands where `IMAGE` does, else last.
fn tool(package: &'static str, name: &'static str, args: &[&str], input: &str) -> Make {
    let (args, input) = (args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>(), input.to_owned());
    Box::new(move |path| {
        let path = path.to_str().expect("UTF-8");
        let place = args.iter().position(|arg| arg == "IMAGE").unwrap_or(args.len());
        let mut args: Vec<&str> = args.iter().map(String::as_str).filter(|&arg| arg != "IMAGE").collect();
        args.insert(place, path);
        run(package, name, &args, &input);
    })
}

/// What `parted mklabel` knows and can write, but `loop`, which is no table; `aix` it cannot write.
fn by_parted() -> Vec<Spec> {
    let mut specs = Vec::new();
    for label in &PARTED {
        for (layout_name, layout) in layouts(label.most) {
            let partitions = numbered(&layout, label.numbers());
            let args = label.parted(&partitions);
            let make = tool("parted", "parted", &args.iter().map(String::as_str).collect::<Vec<_>>(), "");
            specs.push(Spec::new(format!("parted-{}-{layout_name}", label.name), label.name, partitions, make));
        }
    }
    specs
}

fn by_sfdisk() -> Vec<Spec> {
    const CYLINDER: u64 = 255 * 63 * SECTOR;
    let mut specs = Vec::new();
    let mut add = |label: &'static str, name: &str, partitions: Vec<Extent>, longer: u64| {
        let mut script = format!("label: {label}\nunit: sectors\n");
        for (number, start, size) in &partitions {
            add_line(&mut script, format_args!("{number}: start={},size={}", start / SECTOR, size / SECTOR + longer));
        }
        let make = tool("fdisk", "sfdisk", &["--quiet"], &script);
        let size = if label == "sun" { 96 * MIB } else { SIZE };
        specs.push(Spec { size, ..Spec::new(format!("sfdisk-{label}-{name}"), label, partitions, make) });
    };
    for (label, most) in [("dos", 4), ("gpt", 20)] {
        for (name, layout) in layouts(most) {
            add(label, name, numbered(&layout, 1..), 0);
        }
        add(label, "disordered", vec![(1, 20 * MIB, MIB), (2, 2 * MIB, 3 * MIB), (3, 10 * MIB, MIB)], 0);
        add(label, "gaps", vec![(2, 4 * MIB, MIB), (4, 9 * MIB, MIB)], 0);
    }
    // sfdisk (util-linux 2.38) writes one sector less into an SGI label than it was told, so there have to be gaps.
    for (name, layout) in [("1", vec![(2, 4)]), ("2", vec![(2, 4), (8, 6)]), ("3", vec![(2, 4), (8, 6), (20, 2)])] {
        add("sgi", name, numbered(&layout, 1..), 1);
    }
    // Partitions start at cylinders; the third is the whole disk.
    for (name, cylinders) in
        [("1", vec![(1, 1, 2)]), ("2", vec![(1, 1, 2), (2, 4, 5)]), ("3", vec![(1, 1, 2), (2, 4, 1), (4, 6, 2)])]
    {
        add("sun", name, cylinders.iter().map(|&(n, at, len)| (n, at * CYLINDER, len * CYLINDER)).collect(), 0);
    }
    specs
}

/// Extended partitions of the three types, with none to many logical ones.
fn logical() -> Vec<Spec> {
    let mut specs = Vec::new();
    for (primaries, logicals, extended) in
        [(0, 0, "5"), (0, 1, "5"), (0, 2, "f"), (1, 0, "f"), (1, 1, "85"), (1, 3, "5"), (2, 1, "f"), (3, 12, "5")]
    {
        let mut partitions: Vec<Extent> = (1..=primaries).map(|n| (n, u64::from(n) * MIB, MIB)).collect();
        partitions.extend((0..logicals).map(|n| (5 + n, (6 + 2 * u64::from(n)) * MIB, MIB)));
        let mut script = "label: dos\nunit: sectors\n".to_owned();
        for (number, start, size) in &partitions {
            if *number == 5 {
                add_line(&mut script, format_args!("{}: start=10240,size=55296,type={extended}", primaries + 1));
            }
            add_line(&mut script, format_args!("{number}: start={},size={},type=83", start / SECTOR, size / SECTOR));
        }
        if logicals == 0 {
            add_line(&mut script, format_args!("{}: start=10240,size=55296,type={extended}", primaries + 1));
        }
        let make = tool("fdisk", "sfdisk", &["--quiet"], &script);
        let name = format!("sfdisk-dos-{primaries}+{logicals}");
        specs.push(Spec { group: "dos, logical", ..Spec::new(name, "dos", partitions, make) });
    }
    specs
}

/// Sectors of 2048 and 4096 bytes. A file system is put into the first partition: an MBR does not say its sector size.
fn by_fdisk() -> Vec<Spec> {
    let mut specs = Vec::new();
    for (sector_size, sector) in [("2048", 2048), ("4096", 4096)] {
        for (label, command) in [("dos", "o"), ("gpt", "g")] {
            for (name, layout) in layouts(3).into_iter().filter(|(name, _)| *name != "0") {
                let partitions = numbered(&layout, 1..);
                let mut input = format!("{command}\n");
                for (number, start, size) in &partitions {
                    let primary = if label == "dos" { "p\n" } else { "" };
                    let (first, last) = (start / sector, (start + size) / sector - 1);
                    add_line(&mut input, format_args!("n\n{primary}{number}\n{first}\n{last}"));
                }
                input += "w\n";
                let fdisk = tool("fdisk", "fdisk", &["--sector-size", sector_size, "--wipe=never"], &input);
                let make: Make = Box::new(move |path| {
                    fdisk(path);
                    // Swap of version 1, page size 4096, up to page 9.
                    write(path, 2 * MIB + 1024, &[1, 0, 0, 0, 9, 0, 0, 0]);
                    write(path, 2 * MIB + 4086, b"SWAPSPACE2");
                });
                let spec = Spec::new(format!("fdisk-{label}-{sector_size}-{name}"), label, partitions, make);
                let group = if sector == 2048 { "2048-byte sectors" } else { "4096-byte sectors" };
                specs.push(Spec { group, sector_size: sector, ..spec });
            }
        }
    }
    specs
}

/// Tables of a GPT elsewhere, of another length, and with an MBR of its own.
fn by_sgdisk() -> Vec<Spec> {
    let two = vec![(1, 2 * MIB, MIB), (2, 4 * MIB, MIB)];
    let far = vec![(1, 2 * MIB, MIB), (200, 4 * MIB, MIB)];
    let rows: [(&str, &[&str], &Vec<Extent>); 6] = [
        ("entries-256", &["--resize-table=256"], &far),
        ("entries-1024", &["--resize-table=1024"], &far),
        ("entries-56", &["--resize-table=56"], &two),
        ("moved", &["--move-main-table=1000"], &two),
        ("hybrid", &["--hybrid=1:2"], &two),
        ("hybrid-1", &["--hybrid=2"], &two),
    ];
    let mut specs = Vec::new();
    for (name, options, partitions) in rows {
        let parts: Vec<String> = partitions
            .iter()
            .map(|(number, start, size)| format!("--new={number}:{}:{}", start / SECTOR, (start + size) / SECTOR - 1))
            .collect();
        let (before, after) = if name.starts_with("hybrid") { (&[][..], options) } else { (options, &[][..]) };
        let args: Vec<&str> =
            before.iter().copied().chain(parts.iter().map(String::as_str)).chain(after.iter().copied()).collect();
        let make = tool("gdisk", "sgdisk", &args, "");
        specs.push(Spec { group: "gpt, odd", ..Spec::new(format!("sgdisk-{name}"), "gpt", partitions.clone(), make) });
    }
    specs
}

/// File systems, encryption and the like from the first sector on.
fn whole_disk() -> Vec<Spec> {
    type Row = (&'static str, &'static str, &'static str, &'static [&'static str], u64);
    const FILE: &str = "/etc/passwd";
    const ROWS: [Row; 26] = [
        ("fat12", "dosfstools", "mkfs.vfat", &["-F", "12"], 8),
        ("fat16", "dosfstools", "mkfs.vfat", &["-F", "16"], 32),
        ("fat32", "dosfstools", "mkfs.vfat", &["-F", "32"], 64),
        ("fat32-4096", "dosfstools", "mkfs.vfat", &["-F", "32", "-S", "4096"], 300),
        ("exfat", "exfatprogs", "mkfs.exfat", &[], 32),
        ("ntfs", "ntfs-3g", "mkfs.ntfs", &["-F", "-Q", "-q"], 32),
        ("ntfs-4096", "ntfs-3g", "mkfs.ntfs", &["-F", "-Q", "-q", "-s", "4096"], 32),
        ("ext2", "e2fsprogs", "mkfs.ext2", &["-q", "-F"], 32),
        ("ext3", "e2fsprogs", "mkfs.ext3", &["-q", "-F"], 32),
        ("ext4", "e2fsprogs", "mkfs.ext4", &["-q", "-F"], 32),
        ("xfs", "xfsprogs", "mkfs.xfs", &["-q", "-f"], 300),
        ("btrfs", "btrfs-progs", "mkfs.btrfs", &["-q", "-f"], 128),
        ("f2fs", "f2fs-tools", "mkfs.f2fs", &["-q"], 64),
        ("jfs", "jfsutils", "mkfs.jfs", &["-q"], 32),
        ("reiserfs", "reiserfsprogs", "mkfs.reiserfs", &["-q", "-f", "-f"], 64),
        ("nilfs2", "nilfs-tools", "mkfs.nilfs2", &["-q"], 256),
        ("minix", "util-linux", "mkfs.minix", &[], 32),
        ("udf", "udftools", "mkfs.udf", &[], 32),
        ("udf-2048", "udftools", "mkfs.udf", &["-b", "2048"], 32),
        ("swap", "util-linux", "mkswap", &[], 32),
        (
            "luks1",
            "cryptsetup-bin",
            "cryptsetup",
            &["luksFormat", "--type=luks1", "--batch-mode", "--pbkdf-force-iterations=1000", "IMAGE", FILE],
            32,
        ),
        (
            "luks2",
            "cryptsetup-bin",
            "cryptsetup",
            &[
                "luksFormat",
                "--type=luks2",
                "--batch-mode",
                "--pbkdf=pbkdf2",
                "--pbkdf-force-iterations=1000",
                "IMAGE",
                FILE,
            ],
            32,
        ),
        ("squashfs", "squashfs-tools", "mksquashfs", &[FILE, "IMAGE", "-noappend", "-quiet", "-no-progress"], 0),
        ("iso9660", "genisoimage", "genisoimage", &["-quiet", "-J", "-R", "-o", "IMAGE", FILE], 0),
        ("iso9660-udf", "genisoimage", "genisoimage", &["-quiet", "-udf", "-o", "IMAGE", FILE], 0),
        ("loop", "parted", "parted", &["--script", "IMAGE", "mklabel", "loop"], 32),
    ];
    let spec = |(name, package, program, args, size): Row| {
        Spec::without(&format!("whole-{name}"), "file systems", size * MIB, tool(package, program, args, ""))
    };
    ROWS.into_iter().map(spec).collect()
}

/// Boot code with and without a table behind it.
fn boot_loaders() -> Vec<Spec> {
    const SYSLINUX: &str = "/usr/lib/syslinux/mbr";
    const GRUB: &str = "/usr/lib/grub/i386-pc";
    let mut specs = Vec::new();
    for (name, package, file) in [
        ("syslinux", "syslinux-common", format!("{SYSLINUX}/mbr.bin")),
        ("syslinux-gpt", "syslinux-common", format!("{SYSLINUX}/gptmbr.bin")),
        ("syslinux-altmbr", "syslinux-common", format!("{SYSLINUX}/altmbr.bin")),
        ("grub", "grub-pc-bin", format!("{GRUB}/boot.img")),
        ("grub-cd", "grub-pc-bin", format!("{GRUB}/cdboot.img")),
        ("grub-disk", "grub-pc-bin", format!("{GRUB}/diskboot.img")),
        ("grub-lnx", "grub-pc-bin", format!("{GRUB}/lnxboot.img")),
    ] {
        let code = move || std::fs::read(&file).unwrap_or_else(|error| panic!("{file} ({error}): install {package}"));
        let whole = code.clone();
        // As it is in its file: what stands at the entries is code.
        specs.push(Spec::without(
            &format!("boot-{name}-file"),
            "boot loaders",
            8 * MIB,
            Box::new(move |path| write(path, 0, &whole())),
        ));
        let installed = code.clone();
        let install = move |path: &Path| {
            let code = installed();
            write(path, 0, &code[..code.len().min(440)]);
            write(path, 510, &[0x55, 0xaa]);
        };
        specs.push(Spec::without(&format!("boot-{name}-empty"), "boot loaders", 8 * MIB, Box::new(install.clone())));
        let partitions = vec![(1, 2 * MIB, 4 * MIB), (2, 8 * MIB, 4 * MIB)];
        let sfdisk = tool("fdisk", "sfdisk", &["--quiet"], "label: dos\n4096,8192\n16384,8192\n");
        let make: Make = Box::new(move |path| {
            sfdisk(path);
            install(path);
        });
        specs.push(Spec::new(format!("boot-{name}-2"), "dos", partitions, make));
    }
    let mbr = tool("mbr", "install-mbr", &["--force"], "");
    specs.push(Spec::without("boot-debian-mbr-empty", "boot loaders", 8 * MIB, mbr));
    let fat = tool("dosfstools", "mkfs.vfat", &["-F", "16"], "");
    let syslinux = tool("syslinux", "syslinux", &["--install"], "");
    let make = move |path: &Path| {
        fat(path);
        syslinux(path);
    };
    specs.push(Spec::without("boot-syslinux-fat", "boot loaders", 32 * MIB, Box::new(make)));
    specs
}

/// Zeros, noise, and noise that is signed.
fn nothing() -> Vec<Spec> {
    const SEEDS: u64 = 6;
    let mut specs = vec![
        Spec::without("zeros", "nothing", 8 * MIB, Box::new(|_| {})),
        Spec::without("ones", "nothing", MIB, Box::new(|path| write(path, 0, &vec![0xff; 1 << 20]))),
    ];
    for seed in 0..SEEDS {
        let noise = move |path: &Path, flags: bool, signed: bool| {
            let mut random = Random::new(seed);
            let mut bytes: Vec<u8> = (0..MIB / 8).flat_map(|_| random.next().to_le_bytes()).collect();
            if flags {
                for at in [446, 462, 478, 494] {
                    bytes[at] &= 0x80;
                }
            }
            if signed {
                bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
            }
            write(path, 0, &bytes);
        };
        for (name, flags, signed) in
            [("noise", false, false), ("noise-signed", false, true), ("noise-flags", true, true)]
        {
            let make: Make = Box::new(move |path| noise(path, flags, signed));
            specs.push(Spec::without(&format!("{name}-{seed}"), "nothing", 8 * MIB, make));
        }
    }
    specs
}

/// Writes bytes at an offset.
pub fn write(path: &Path, offset: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(path).expect("an image");
    file.write_all_at(bytes, offset).expect("written");
}
