//! What is in a volume: file systems of the real tools, and by hand where those need a device, against `blkid -p`.

#![cfg(feature = "oracles")]

mod common;

use common::run;
use common::volume::{MIB, Volume, check, check_by_hand};
use imgsieve::ptable::superblock;
use tempfile::TempDir;

#[test]
fn ext_file_systems_are_named_as_blkid_names_them() {
    for name in ["ext2", "ext3", "ext4"] {
        let tool = format!("mkfs.{name}");
        check(name, None, 16 * MIB, "e2fsprogs", &[&tool, "-q", "-F", "{}"]);
        check(name, Some("Wurzel ü"), 16 * MIB, "e2fsprogs", &[&tool, "-q", "-F", "-L", "Wurzel ü", "{}"]);
        check(name, Some("0123456789abcdef"), 16 * MIB, "e2fsprogs", &[&tool, "-qF", "-L", "0123456789abcdef", "{}"]);
    }
    check("jbd", Some("log"), 16 * MIB, "e2fsprogs", &["mke2fs", "-q", "-F", "-L", "log", "-O", "journal_dev", "{}"]);
}

#[test]
fn linux_file_systems_are_named_as_blkid_names_them() {
    check("xfs", Some("twelve chars"), 320 * MIB, "xfsprogs", &["mkfs.xfs", "-q", "-L", "twelve chars", "{}"]);
    check("xfs", None, 320 * MIB, "xfsprogs", &["mkfs.xfs", "-q", "{}"]);
    let long = "b".repeat(250);
    check("btrfs", Some(&long), 128 * MIB, "btrfs-progs", &["mkfs.btrfs", "-q", "-L", &long, "{}"]);
    check("btrfs", None, 128 * MIB, "btrfs-progs", &["mkfs.btrfs", "-q", "{}"]);
    check("f2fs", Some("grüße 😀"), 64 * MIB, "f2fs-tools", &["mkfs.f2fs", "-q", "-l", "grüße 😀", "{}"]);
    check("f2fs", None, 64 * MIB, "f2fs-tools", &["mkfs.f2fs", "-q", "{}"]);
    check("jfs", Some("journaled"), 16 * MIB, "jfsutils", &["mkfs.jfs", "-q", "-L", "journaled", "{}"]);
    check("nilfs2", Some("log"), 160 * MIB, "nilfs-tools", &["mkfs.nilfs2", "-q", "-L", "log", "{}"]);
    for version in ["-1", "-2", "-3"] {
        check("minix", None, 4 * MIB, "util-linux", &["mkfs.minix", version, "{}"]);
    }
    check("swap", Some("swap space"), 4 * MIB, "util-linux", &["mkswap", "-q", "-L", "swap space", "{}"]);
    check("swap", None, 4 * MIB, "util-linux", &["mkswap", "-q", "-p", "65536", "{}"]);
}

#[test]
fn file_systems_of_dos_and_windows_are_named_as_blkid_names_them() {
    for (size, bits) in [(1440 << 10, "12"), (40 * MIB, "12"), (40 * MIB, "16"), (40 * MIB, "32"), (300 * MIB, "32")] {
        let args = ["mkfs.vfat", "-F", bits, "-i", "0012abcd"];
        check("vfat", None, size, "dosfstools", &[&args[..], &["{}"]].concat());
        check("vfat", Some("MY DISK"), size, "dosfstools", &[&args[..], &["-n", "MY DISK", "{}"]].concat());
    }
    check("exfat", Some("grüße"), 64 * MIB, "exfatprogs", &["mkfs.exfat", "-L", "grüße", "{}"]);
    check("exfat", None, 64 * MIB, "exfatprogs", &["mkfs.exfat", "{}"]);
    let ntfs = ["mkfs.ntfs", "-F", "-Q", "-q"];
    check("ntfs", None, 32 * MIB, "ntfs-3g", &[&ntfs[..], &["{}"]].concat());
    let args = ["-c", "65536", "-L", "Daten ☺", "{}"];
    check("ntfs", Some("Daten ☺"), 32 * MIB, "ntfs-3g", &[&ntfs[..], &args].concat());
}

#[test]
fn a_label_of_ntfs_may_cross_a_sector_where_blkid_shows_it_wrong() {
    let volume = Volume::new(32 * MIB);
    let label = "ä".repeat(120);
    run("ntfs-3g", "mkfs.ntfs", &["-F", "-Q", "-q", "-L", &label, volume.path()], "");
    let (name, ours, uuid) = volume.ours();
    assert_eq!(ours.as_deref(), Some(&*label));
    assert_eq!((name, uuid), (volume.blkids().0, volume.blkids().2));
    // Two bytes of each sector of a record are kept elsewhere, for a check that the record was written whole.
    assert_ne!(volume.blkids().1, ours);
}

#[test]
fn file_systems_of_other_machines_are_named_as_blkid_names_them() {
    check("hfs", Some("Macintosh HD"), 16 * MIB, "hfsutils", &["hformat", "-l", "Macintosh HD", "{}"]);
    let source = TempDir::new().expect("a temporary folder");
    std::fs::write(source.path().join("file"), "content").expect("a file");
    let source = source.path().to_str().expect("UTF-8");
    let makefs = |options| ["makefs", "-t", "ffs", "-s", "16m", "-o", options, "{}", source];
    check("ufs", None, 0, "makefs", &makefs("version=1"));
    check("ufs", None, 0, "makefs", &makefs("version=2"));
    let big_endian = [&["makefs", "-B", "be"][..], &makefs("version=1")[1..]].concat();
    check("ufs", None, 0, "makefs", &big_endian);
}

#[test]
fn discs_are_named_as_blkid_names_them() {
    let source = TempDir::new().expect("a temporary folder");
    std::fs::write(source.path().join("file"), "content").expect("a file");
    let source = source.path().to_str().expect("UTF-8");
    let disc = |label: &str, name: &str, args: &[&str], found: Option<&str>| {
        let start = ["genisoimage", "-quiet", "-input-charset", "utf-8", "-V", label, "-o", "{}"];
        check(name, found, 0, "genisoimage", &[&start[..], args, &[source]].concat());
    };
    disc("PLAIN_DISC", "iso9660", &[], Some("PLAIN_DISC"));
    disc("Mixed case", "iso9660", &["-R"], Some("Mixed case"));
    disc("Joliet name longer than 16", "iso9660", &["-J", "-r"], Some("Joliet name longer than 16"));
    disc("BRIDGE", "udf", &["-udf", "-J"], Some("BRIDGE"));
    for (block, label) in [("512", "hard disk"), ("2048", "grüße ☺"), ("4096", "")] {
        let found = if label.is_empty() { "LinuxUDF" } else { label };
        let args = if label.is_empty() { vec![] } else { vec!["-l", label] };
        let command = [&["mkfs.udf", "-b", block][..], &args, &["{}"]].concat();
        check("udf", Some(found), 16 * MIB, "udftools", &command);
    }
    check("squashfs", None, 0, "squashfs-tools", &["mksquashfs", source, "{}", "-quiet", "-no-progress", "-noappend"]);
}

#[test]
fn encrypted_volumes_are_named_as_blkid_names_them() {
    let quick = ["-q", "luksFormat", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"];
    for (version, label) in [("luks1", None), ("luks2", None), ("luks2", Some("vault"))] {
        let volume = Volume::new(32 * MIB);
        let key = volume.path.with_extension("key");
        std::fs::write(&key, "key").expect("a file");
        let mut args = quick.to_vec();
        args.extend(["--type", version, "--key-file", key.to_str().expect("UTF-8")]);
        args.extend(label.map(|label| ["--label", label]).into_iter().flatten());
        args.push(volume.path());
        run("cryptsetup-bin", "cryptsetup", &args, "");
        check_by_hand("crypto_LUKS", &volume);
        assert_eq!(volume.ours().1.as_deref(), label);
        if version == "luks2" {
            volume.put(0, &[0; 4096]);
            check_by_hand("crypto_LUKS", &volume);
        }
    }
    let bitlocker = [(0, &b"\xeb\x58\x90-FVE-FS-"[..]), (176, b"\0\0\x01"), (0x1_0000, b"-FVE-FS-\0\x02\x02\0")];
    check_by_hand("BitLocker", &Volume::by_hand(32 * MIB, &bitlocker));
}

#[test]
fn members_of_a_raid_are_named_as_blkid_names_them() {
    let size = 32 * MIB + 5 * 512;
    for at in [0, 4096, (size & !0xfff) - 0x2000] {
        let sector = (at / 512).to_le_bytes();
        let patches = [
            (at, &b"\xfc\x4e\x2b\xa9\x01"[..]),
            (at + 16, b"\xc0\xff\xee34567890abcd"),
            (at + 32, b"host:0"),
            (at + 144, &sector),
            (1024 + 56, b"\x53\xef"),
        ];
        check_by_hand("linux_raid_member", &Volume::by_hand(size, &patches));
    }
    let at = (size & !0xffff) - 0x1_0000;
    let old = [(at, &b"\xfc\x4e\x2b\xa9\0\0\0\0\x5a"[..]), (at + 20, b"\x01\x02\x03\x04"), (at + 52, b"123456789abc")];
    check_by_hand("linux_raid_member", &Volume::by_hand(size, &old));
    let end = size & !511;
    let intel = [(end - 1024, &b"Intel Raid ISM Cfg Sig. 1.3.00"[..])];
    check_by_hand("isw_raid_member", &Volume::by_hand(size, &intel));
}

#[test]
fn members_of_a_pool_are_named_as_blkid_names_them() {
    let mut label = [0; 512];
    label[..8].copy_from_slice(b"LABELONE");
    label[8] = 1;
    label[20] = 32;
    label[24..64].copy_from_slice(b"LVM2 001abcdefGHIJklmnOPQRstuv0123456789");
    let sum = crc32fast::Hasher::new_with_initial(!0xf597_a6cf_u32);
    let mut sum = sum;
    sum.update(&label[20..]);
    label[16..20].copy_from_slice(&(!sum.finalize()).to_le_bytes());
    check_by_hand("LVM2_member", &Volume::by_hand(32 * MIB, &[(512, &label)]));

    let list = b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\
        \0\0\0\x24\0\0\0\x20\0\0\0\x07version\0\0\0\0\x08\0\0\0\x01\0\0\0\0\0\0\x13\x88\
        \0\0\0\x20\0\0\0\x20\0\0\0\x04name\0\0\0\x09\0\0\0\x01\0\0\0\x04tank\
        \0\0\0\x28\0\0\0\x28\0\0\0\x09pool_guid\0\0\0\0\0\0\x08\0\0\0\x01\xb1\x02\x03\x04\x05\x06\x07\x08\0\0\0\0";
    let uberblocks: Vec<u8> = [&[0x0c, 0xb1, 0xba, 0, 0, 0, 0, 0][..], &[0; 1016]].concat().repeat(8);
    let pool = Volume::by_hand(64 * MIB, &[(16 << 10, list), (128 << 10, &uberblocks)]);
    check_by_hand("zfs_member", &pool);
    // Something else was written over the start.
    let label_at = 64 * MIB - (256 << 10);
    let rest = Volume::by_hand(64 * MIB, &[(label_at + (16 << 10), list), (label_at + (128 << 10), &uberblocks)]);
    check_by_hand("zfs_member", &rest);
    assert_eq!(rest.ours(), pool.ours());
}

/// A volume header of HFS+, and its catalog: a header node, and a leaf with the root folder.
fn hfs_plus(name: &str) -> (Vec<u8>, Vec<u8>) {
    let mut header = vec![0; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"H+\0\x04");
    put(40, &4096_u32.to_be_bytes());
    put(44, &4000_u32.to_be_bytes());
    put(104, b"finderid");
    put(288, &[0, 0, 0, 10, 0, 0, 0, 1, 0, 0, 0, 20, 0, 0, 0, 8]);
    let mut catalog = vec![0; 12 * 4096];
    catalog[8] = 1;
    catalog[20..34].copy_from_slice(&[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0x10, 0]);
    let leaf = 10 * 4096;
    catalog[leaf + 8] = 0xff;
    catalog[leaf + 11] = 1;
    catalog[leaf + 19] = 1;
    let units: Vec<u8> = name.encode_utf16().flat_map(u16::to_be_bytes).collect();
    catalog[leaf + 21] = u8::try_from(units.len() / 2).expect("short");
    catalog[leaf + 22..leaf + 22 + units.len()].copy_from_slice(&units);
    (header, catalog)
}

#[test]
fn hfs_plus_has_its_name_from_the_catalog_also_inside_hfs() {
    let (header, catalog) = hfs_plus("Größe ☺");
    let plain = Volume::by_hand(32 * MIB, &[(1024, &header), (10 * 4096, &catalog)]);
    check_by_hand("hfsplus", &plain);
    let mut wrapper = [0; 162];
    wrapper[..2].copy_from_slice(b"BD");
    wrapper[14..16].copy_from_slice(&[0, 3]);
    wrapper[18..24].copy_from_slice(&[0x1f, 0xff, 0, 0, 0x10, 0]);
    wrapper[28..30].copy_from_slice(&[0, 8]);
    wrapper[36..44].copy_from_slice(b"\x07Wrapper");
    wrapper[124..130].copy_from_slice(b"H+\0\x02\x10\0");
    let start = 8 * 512 + 2 * 4096;
    let patches = [(1024, &wrapper[..]), (start + 1024, &header), (start + 10 * 4096, &catalog)];
    let inside = Volume::by_hand(32 * MIB, &patches);
    check_by_hand("hfsplus", &inside);
    assert_eq!(plain.ours(), inside.ours());
    assert_eq!(plain.ours().1.as_deref(), Some("Größe ☺"));
}

#[test]
fn rarer_contents_are_named_as_blkid_names_them() {
    let by_hand = |name: &str, patches: &[(u64, &[u8])]| check_by_hand(name, &Volume::by_hand(32 * MIB, patches));
    by_hand("ReFS", &[(3, b"ReFS"), (16, b"FSRS")]);
    let uuid = b"0123456789abcdef";
    by_hand("DM_verity_hash", &[(0, b"verity\0\0\x01"), (16, uuid)]);
    by_hand("DM_snapshot_cow", &[(0, b"SnAp\x01\0\0\0\x01")]);
    let hpfs = [(8192, &b"\x49\xe8\x95\xf9\xc5\xe9\x53\xfa\x02"[..]), (8704, b"\x49\x18\x91\xf9\xc5\x29\x5a\xfa")];
    by_hand("hpfs", &hpfs);
    let boot = [(38, &b"\x28\x01\x02\x03\x04OS2        HPFS    "[..]), (510, b"\x55\xaa")];
    by_hand("hpfs", &[&hpfs[..], &boot].concat());
    let reiser = [(65536 + 12, &b"\x12"[..]), (65536 + 45, b"\x10"), (65536 + 52, b"ReIsEr2Fs")];
    by_hand("reiserfs", &[&reiser[..], &[(65536 + 84, uuid), (65536 + 100, b"roof")]].concat());
    by_hand("reiser4", &[(65536, b"ReIsEr4"), (65536 + 20, uuid), (65536 + 36, b"roof")]);
    by_hand("VMFS", &[(2 * MIB, b"\x5e\xf1\xab\x2f"), (2 * MIB + 9, uuid), (2 * MIB + 29, b"datastore1")]);
    by_hand("romfs", &[(0, b"-rom1fs-\0\0\x10\0"), (16, b"rom")]);
    let erofs = [(1024, &b"\xe2\xe1\xf5\xe0"[..]), (1036, b"\x0c"), (1024 + 48, uuid), (1024 + 64, b"system")];
    by_hand("erofs", &erofs);
}

#[test]
fn boot_loaders_and_blank_volumes_hold_nothing() {
    let nothing = (None, None, None);
    for patches in
        [&[][..], &[(510, &b"\x55\xaa"[..])], &[(0, b"\xeb\x63\x90"), (384, b"GRUB \0Geom\0"), (510, b"\x55\xaa")]]
    {
        let volume = Volume::by_hand(4 * MIB, patches);
        assert_eq!((volume.ours(), volume.blkids()), (nothing.clone(), nothing.clone()));
    }
}

#[test]
fn no_change_to_what_leads_to_a_label_makes_it_panic() {
    let made = |size: u64, package: &str, tool: &str, args: &[&str]| {
        let volume = Volume::new(size);
        run(package, tool, &[args, &[volume.path()]].concat(), "");
        std::fs::read(&volume.path).expect("a file")
    };
    let (header, catalog) = hfs_plus("name");
    let hfs_plus = Volume::by_hand(4 * MIB, &[(1024, &header), (10 * 4096, &catalog)]);
    let volumes = [
        (made(4 * MIB, "dosfstools", "mkfs.vfat", &["-F", "12", "-n", "A"]), 0..512),
        (made(40 * MIB, "dosfstools", "mkfs.vfat", &["-F", "32", "-n", "A"]), 0..512),
        (made(4 * MIB, "exfatprogs", "mkfs.exfat", &["-L", "a"]), 64..128),
        (made(2 * MIB, "ntfs-3g", "mkfs.ntfs", &["-F", "-Q", "-q", "-L", "a"]), 0..84),
        (made(4 * MIB, "udftools", "mkfs.udf", &["-b", "512"]), 256 * 512..257 * 512),
        (std::fs::read(&hfs_plus.path).expect("a file"), 1024..1536),
        (std::fs::read(&hfs_plus.path).expect("a file"), 10 * 4096..10 * 4096 + 64),
        (std::fs::read(&hfs_plus.path).expect("a file"), 20 * 4096..20 * 4096 + 64),
    ];
    for (mut volume, places) in volumes {
        assert!(superblock::identify(&volume, volume.len() as u64).expect("readable").is_some());
        for width in [1, 2, 4, 8] {
            for place in places.clone().step_by(width) {
                let before = volume[place..place + width].to_vec();
                for byte in [0, 1, 0x7f, 0x80, 0xff] {
                    volume[place..place + width].fill(byte);
                    let _ = superblock::identify(&volume, volume.len() as u64);
                    let _ = superblock::identify(&volume, u64::MAX);
                }
                volume[place..place + width].copy_from_slice(&before);
            }
        }
    }
}
