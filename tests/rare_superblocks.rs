//! What is in a volume that few people have: by hand, or of the real tools where Debian has them, against `blkid -p`.

#![cfg(feature = "oracles")]

mod common;

use common::run;
use common::volume::{MIB, Volume, check, check_by_hand};
use imgsieve::ptable::superblock;
use tempfile::TempDir;

const UUID: &[u8] = b"0123456789abcdef";
/// A disk whose end is no round number.
const DISK: u64 = 32 * MIB + 5 * 512;

fn by_hand(name: &str, size: u64, patches: &[(u64, &[u8])]) {
    check_by_hand(name, &Volume::by_hand(size, patches));
}

/// A CRC-32 without the complement at its end.
fn crc(bytes: &[u8]) -> u32 {
    !crc32fast::hash(bytes)
}

/// Bytes with others put in.
fn block(length: usize, patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut block = vec![0; length];
    for (at, bytes) in patches {
        block[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    block
}

/// What, as the word of 16 bits at `at`, makes the words of `block` add up to 0.
fn balanced(mut block: Vec<u8>, at: usize) -> Vec<u8> {
    let words = block.as_chunks().0.iter();
    let sum = words.fold(0_u16, |sum, &word| sum.wrapping_add(u16::from_le_bytes(word)));
    block[at..at + 2].copy_from_slice(&sum.wrapping_neg().to_le_bytes());
    block
}

#[test]
fn disks_of_raids_that_firmware_makes_are_named_as_blkid_names_them() {
    // An ext2 shows through each of them.
    let disk = |name: &str, sector_from_end: u64, bytes: &[u8]| {
        by_hand(name, DISK, &[(1024 + 56, b"\x53\xef"), (DISK - 512 * sector_from_end, bytes)]);
    };
    disk("isw_raid_member", 2, b"Intel Raid ISM Cfg Sig. 1.3.00");
    disk("lsi_mega_raid_member", 1, b"$XIDE$");
    disk("adaptec_raid_member", 1, &block(512, &[(0, b"\x37\xfc\x4d\x1e"), (256, b"DPTM")]));
    for magic in [b"\xf3\x16\x78\x5a", b"\xfd\x16\x78\x5a"] {
        disk("hpt45x_raid_member", 11, magic);
    }
    for magic in [b"\xf0\x16\x78\x5a", b"\xfd\x16\x78\x5a"] {
        by_hand("hpt37x_raid_member", DISK, &[(4640, magic)]);
    }
    for sector in [63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087] {
        disk("promise_fasttrack_raid_member", sector, b"Promise Technology, Inc.");
    }
    disk("jmicron_raid_member", 1, &balanced(block(128, &[(0, b"JM\x01\x05"), (32, b"array")]), 4));
    disk("silicon_medley_raid_member", 1, &balanced(block(320, &[(0x60, b"\0\0\0\x2f"), (0x116, b"\x03")]), 0x13e));
    disk("via_raid_member", 1, &block(51, &[(0, b"\x55\xaa\x01\x03\x04"), (50, b"\x07")]));
    let words = (0x4449_564e_u32.wrapping_add(0x2020_4149)).wrapping_add(30).wrapping_neg().to_le_bytes();
    disk("nvidia_raid_member", 2, &block(120, &[(0, b"NVIDIA  \x1e"), (12, &words)]));
    for sector in [1, 257] {
        let mut header =
            block(512, &[(0, b"\xde\x11\xde\x11\xff\xff\xff\xffLinux-MD"), (32, b"01.02.00"), (103, b"\x09")]);
        let sum = crc32fast::Hasher::new_with_initial(!0);
        let mut sum = sum;
        sum.update(&header);
        header[4..8].copy_from_slice(&(!sum.finalize()).to_be_bytes());
        let at = DISK - 512 * sector;
        by_hand("ddf_raid_member", DISK, &[(at, &header), (9 * 512, b"\xde\x11\xde\x11")]);
    }
}

#[test]
fn what_drbd_keeps_is_named_as_blkid_names_it() {
    for (magic, uuid_at) in [(b"\x83\x74\x02\x6b", 40), (b"\x83\x74\x02\x6c", 40), (b"\x83\x74\x02\x6d", 48)] {
        let metadata = block(4096, &[(uuid_at, b"\x01\x02\x03\x04\x05\x06\x07\x08"), (60, magic), (82, b"\x10")]);
        for size in [DISK, DISK + 100] {
            by_hand("drbd", size, &[(1024 + 56, b"\x53\xef"), (size - 4096, &metadata)]);
        }
    }
    let control = b"$DRBDmgr=q\n0123456789abcdef0123456789ABCDEF\n";
    by_hand("drbdmanage_control_volume", 4 * MIB, &[(0, control)]);
    by_hand("drbdproxy_datalog", 4 * MIB, &[(0, b"DRBDdlh*"), (16, UUID)]);
}

#[test]
fn devices_of_pools_and_clusters_are_named_as_blkid_names_them() {
    let device = b"0123456789abcdef0123456789abcdef";
    for at in [512, 9 * 512] {
        let magic = b"\x2a\x0f\xe3\x5a!Stra0tis\x86\xff\x02^\x41rh";
        by_hand("stratis", 4 * MIB, &[(at, magic), (at + 64, device)]);
    }
    by_hand("mpool", 4 * MIB, &[(0, b"mpoolDevpool1"), (40, UUID), (62, b"\xa8\x66\x9f\xf6")]);
    by_hand("ceph_bluestore", 4 * MIB, &[(0, b"bluestore block device\n01234567-89ab-cdef\n")]);
    let label = (65536 + 160, &b"cluster:fs"[..]);
    let formats = [("gfs", b"\0\0\x05\x1d\0\0\x05\x79"), ("gfs2", b"\0\0\x07\x09\0\0\x07\x6c")];
    for (name, format) in formats {
        let magic = (65536, &b"\x01\x16\x19\x70"[..]);
        by_hand(name, 40 * MIB, &[magic, (65536 + 24, format), label, (65536 + 256, UUID)]);
    }
    by_hand(
        "ocfs",
        16 * MIB,
        &[(8192, b"OracleCFS"), (8704 + 48, b"shared"), (8704 + 112, b"\x06"), (8704 + 114, UUID)],
    );
    for at in [1024, 2048, 4096, 8192] {
        by_hand("ocfs2", 16 * MIB, &[(at, b"OCFSV2"), (at + 272, b"shared disk"), (at + 336, UUID)]);
    }
    by_hand("oracleasm", 4 * MIB, &[(32, b"ORCLDISKDATA01")]);
}

#[test]
fn file_systems_of_clusters_and_of_flash_are_named_as_blkid_names_them() {
    let gfs2 = ["mkfs.gfs2", "-O", "-q", "-p", "lock_nolock", "-j", "1", "-t", "cluster:fs", "{}"];
    check("gfs2", Some("cluster:fs"), 128 * MIB, "gfs2-utils", &gfs2);
    let source = TempDir::new().expect("a temporary folder");
    std::fs::write(source.path().join("file"), "content").expect("a file");
    let source = source.path().to_str().expect("UTF-8");
    let ubifs = ["mkfs.ubifs", "-y", "-r", source, "-m", "2048", "-e", "126976", "-c", "100", "-o", "{}"];
    check("ubifs", None, 0, "mtd-utils", &ubifs);
    let content = Volume::new(2 * MIB);
    let config = content.path.with_extension("ini");
    let volume = "mode=ubi\nvol_id=0\nvol_size=4MiB\nvol_type=dynamic\nvol_name=root\n";
    std::fs::write(&config, format!("[root]\n{volume}image={}\n", content.path())).expect("a file");
    let config = config.to_str().expect("UTF-8");
    check("ubi", None, 0, "mtd-utils", &["ubinize", "-o", "{}", "-m", "2048", "-p", "128KiB", config]);
    let zonefs = block(4096, &[(0, b"SFOZ"), (8, b"tape"), (40, UUID)]);
    by_hand("zonefs", 4 * MIB, &[(0, &zonefs), (4, &crc(&zonefs).to_le_bytes())]);
}

#[test]
fn file_systems_of_unix_and_of_netware_are_named_as_blkid_names_them() {
    check("bfs", None, 2 * MIB, "util-linux", &["mkfs.bfs", "-V", "boot", "-F", "stand", "{}"]);
    for at in [512, 9 * 1024 + 512, 15 * 1024 + 512, 18 * 1024 + 512] {
        for magic in [b"\x20\x7e\x18\xfd", b"\xfd\x18\x7e\x20"] {
            by_hand("sysv", 4 * MIB, &[(at + 440, b"root"), (at + 504, magic)]);
        }
    }
    for magic in [b"\x2b\x55\x44", b"\x44\x55\x2b"] {
        by_hand("xenix", 4 * MIB, &[(2048, magic), (1024 + 632, b"usr")]);
    }
    by_hand("vxfs", 4 * MIB, &[(1024, b"\xf5\xfc\x01\xa5")]);
    by_hand("vxfs", 4 * MIB, &[(8192, b"\xa5\x01\xfc\xf5")]);
    by_hand("nss", 4 * MIB, &[(4096, b"SPB5"), (4096 + 348, UUID)]);
    by_hand("reiserfs", 4 * MIB, &[(8192 + 20, b"ReIsErFs"), (8192 + 12, b"\x20"), (8192 + 45, b"\x10")]);
}

#[test]
fn journals_and_kin_of_xfs_are_named_as_blkid_names_them() {
    let (data, log) = (Volume::new(320 * MIB), Volume::new(64 * MIB));
    let device = format!("logdev={},size=64m", log.path());
    run("xfsprogs", "mkfs.xfs", &["-q", "-L", "data", "-l", &device, data.path()], "");
    check_by_hand("xfs", &data);
    check_by_hand("xfs_external_log", &log);
    data.put(0, b"EXFS");
    check_by_hand("exfs", &data);
    let header = block(512, &[(0, b"\xfe\xed\xba\xbe"), (11, b"\x02"), (14, b"\x02"), (303, b"\x01")]);
    for at in [0, 512, 100 * 1024, 256 * 1024 - 512] {
        by_hand("xfs_external_log", 10 * MIB, &[(at, &header)]);
    }
    let behind = Volume::by_hand(10 * MIB, &[(512, b"XFSB"), (1024, &header)]);
    assert_eq!((behind.ours(), behind.blkids()), ((None, None, None), (None, None, None)));
}

/// Numbers as one of two kinds of machine writes them.
struct Order {
    half: fn(u16) -> [u8; 2],
    word: fn(u32) -> [u8; 4],
    long: fn(u64) -> [u8; 8],
}

const LITTLE: Order = Order { half: u16::to_le_bytes, word: u32::to_le_bytes, long: u64::to_le_bytes };
const BIG: Order = Order { half: u16::to_be_bytes, word: u32::to_be_bytes, long: u64::to_be_bytes };

const NAME: &[u8] = b"be:volume_id";
const UINT64: u32 = 0x554c_4c47;

/// A run of one block in group 1, of 2^13 blocks.
fn run_of(order: &Order, block: u16) -> Vec<u8> {
    [&(order.word)(1)[..], &(order.half)(block), &(order.half)(1)].concat()
}

fn place(block: u16) -> u64 {
    (8192 + u64::from(block)) * 1024
}

fn inode(order: &Order, patches: &[(usize, &[u8])]) -> Vec<u8> {
    let mut inode = block(1024, patches);
    inode[..4].copy_from_slice(&(order.word)(0x3bbe_0ad9));
    inode[64..68].copy_from_slice(&(order.word)(1024));
    inode
}

/// A node of a tree: these keys and values, and what follows the last key.
fn node(order: &Order, overflow: u64, entries: &[(&[u8], u64)]) -> Vec<u8> {
    let keys: Vec<u8> = entries.iter().flat_map(|(key, _)| key.iter().copied()).collect();
    let mut node = [(order.long)(u64::MAX), (order.long)(u64::MAX), (order.long)(overflow)].concat();
    let lengths = [entries.len(), keys.len()].map(|length| (order.half)(u16::try_from(length).expect("few")));
    node.extend(lengths.concat());
    node.extend(&keys);
    node.resize(node.len().next_multiple_of(8), 0);
    let mut end = 0;
    for (key, _) in entries {
        end += u16::try_from(key.len()).expect("short");
        node.extend((order.half)(end));
    }
    node.extend(entries.iter().flat_map(|(_, value)| (order.long)(*value)));
    node.resize(1024, 0);
    node
}

/// A volume whose id is in the inode of its root directory, or in a directory of attributes.
fn befs(order: &Order, at: u64, in_inode: bool) -> Volume {
    let volume = Volume::new(32 * MIB);
    let superblock = block(
        140,
        &[
            (0, b"Haiku"),
            (32, &(order.word)(0x4246_5331)),
            (36, &(order.word)(0x4249_4745)),
            (40, &(order.word)(1024)),
            (44, &(order.word)(10)),
            (68, &(order.word)(0xdd12_1031)),
            (76, &(order.word)(13)),
            (112, &(order.word)(0x15b6_830e)),
            (116, &run_of(order, 3)),
        ],
    );
    volume.put(at, &superblock);
    let id = (order.long)(0x0102_0304_0506_0708);
    let small = |name: &[u8], data: &[u8]| {
        let lengths = [name.len(), data.len()].map(|length| (order.half)(u16::try_from(length).expect("short")));
        [&(order.word)(UINT64)[..], &lengths.concat(), name, &[0; 3], data, &[0]].concat()
    };
    let mut attributes = small(b"other", &id[..4]);
    if in_inode {
        attributes.extend(small(NAME, &id));
    }
    volume.put(place(3), &inode(order, &[(52, &run_of(order, 4)), (232, &attributes)]));
    // The tree has two blocks that do not follow each other: its header, and two nodes.
    let (header, nodes) = (run_of(order, 10), [(order.word)(1), (order.word)(0)].concat());
    let mut nodes = nodes;
    nodes[4..6].copy_from_slice(&(order.half)(20));
    nodes[6..8].copy_from_slice(&(order.half)(2));
    let direct_bytes = (order.long)(3 * 1024);
    volume.put(place(4), &inode(order, &[(72, &header), (80, &nodes), (168, &direct_bytes)]));
    let tree = [(order.word)(0x69f6_c2e8), (order.word)(1024), (order.word)(2), (order.word)(0)].concat();
    volume.put(place(10), &[&tree[..], &(order.long)(1024)].concat());
    volume.put(place(20), &node(order, 4096, &[(b"be:volume_idx", 2048)]));
    let value = place(30) / 1024;
    volume.put(place(21), &node(order, u64::MAX, &[(b"be:encoding", 77), (NAME, value), (b"be:x", 78)]));
    let (kind, size) = ((order.word)(UINT64), (order.long)(8));
    volume.put(place(30), &inode(order, &[(60, &kind), (72, &run_of(order, 40)), (208, &size)]));
    volume.put(place(40), &id);
    volume
}

#[test]
fn befs_has_its_uuid_from_an_attribute_wherever_that_is_kept() {
    for order in [LITTLE, BIG] {
        for at in [0, 512] {
            for in_inode in [true, false] {
                let volume = befs(&order, at, in_inode);
                check_by_hand("befs", &volume);
                assert_eq!(volume.ours().1.as_deref(), Some("Haiku"));
                assert_eq!(volume.ours().2.as_deref(), Some("0102030405060708"), "{at} {in_inode}");
            }
        }
    }
}

#[test]
fn what_remains_of_an_older_volume_is_not_taken_for_this_one() {
    let udf = Volume::new(16 * MIB);
    for (block, label) in [("512", "older"), ("4096", "newer")] {
        run("udftools", "mkfs.udf", &["-b", block, "-l", label, udf.path()], "");
    }
    check_by_hand("udf", &udf);
    assert_eq!(udf.ours().1.as_deref(), Some("newer"));

    // mkswap leaves the second header of LUKS2, which blkid takes for the volume, until 2.42.
    let swap = Volume::new(32 * MIB);
    swap.put(0x4000, b"SKUL\xba\xbe\0\x02");
    swap.put(0x4000 + 256, &0x4000_u64.to_be_bytes());
    check_by_hand("crypto_LUKS", &swap);
    run("util-linux", "mkswap", &["-q", "-L", "page", swap.path()], "");
    assert_eq!((swap.ours().0.as_deref(), swap.ours().1.as_deref()), (Some("swap"), Some("page")));
}

#[test]
fn a_second_superblock_will_do_where_the_first_is_lost() {
    let nilfs = Volume::new(160 * MIB);
    run("nilfs-tools", "mkfs.nilfs2", &["-q", "-L", "log", nilfs.path()], "");
    let whole = nilfs.ours();
    nilfs.put(0, &[0; 4096]);
    check_by_hand("nilfs2", &nilfs);
    assert_eq!(nilfs.ours(), whole);
    check("ext4dev", None, 16 * MIB, "e2fsprogs", &["mkfs.ext4", "-q", "-F", "-E", "test_fs", "{}"]);
}

#[test]
fn a_label_is_found_clusters_into_the_root_directory() {
    // Entries that say nothing, and the label among them.
    let directory = |unused: &[u8], label: &[u8], at: usize| {
        let mut clusters: Vec<u8> = unused.iter().copied().cycle().take(32 * 100).collect();
        clusters[at * 32..at * 32 + label.len()].copy_from_slice(label);
        clusters
    };
    let exfat = Volume::new(64 * MIB);
    run("exfatprogs", "mkfs.exfat", &["-c", "512", exfat.path()], "");
    let bytes = std::fs::read(&exfat.path).expect("a file");
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
    let (table, heap, root) = (u64::from(word(80)) * 512, u64::from(word(88)) * 512, word(96));
    let unused = [&[0x05][..], &[0; 31]].concat();
    let clusters = directory(&unused, b"\x83\x03f\0a\0r\0", 75);
    // The chain goes backwards, and across the table.
    let chain = [root, 9000, 5000, 5001, 12000, 60];
    for (index, cluster) in chain.into_iter().enumerate() {
        let next = chain.get(index + 1).copied().unwrap_or(u32::MAX);
        exfat.put(table + u64::from(cluster) * 4, &next.to_le_bytes());
        exfat.put(heap + u64::from(cluster - 2) * 512, &clusters[index * 512..(index + 1) * 512]);
    }
    check_by_hand("exfat", &exfat);
    assert_eq!(exfat.ours().1.as_deref(), Some("far"));

    let fat = Volume::new(40 * MIB);
    run("dosfstools", "mkfs.vfat", &["-F", "32", "-s", "1", "-i", "0012abcd", fat.path()], "");
    let bytes = std::fs::read(&fat.path).expect("a file");
    let reserved = u64::from(bytes[14]);
    let table_sectors = u64::from(u32::from_le_bytes(bytes[36..40].try_into().expect("4 bytes")));
    let (table, heap) = (reserved * 512, (reserved + 2 * table_sectors) * 512);
    let unused = [&b"\xe5OLD       \x20"[..], &[0; 20]].concat();
    let clusters = directory(&unused, b"FAR AWAY   \x08", 70);
    let chain = [2, 3000, 1500, 1501, 40000];
    for (index, cluster) in chain.into_iter().enumerate() {
        let next = chain.get(index + 1).copied().unwrap_or(0x0fff_ffff_u32);
        fat.put(table + u64::from(cluster) * 4, &next.to_le_bytes());
        fat.put(heap + u64::from(cluster - 2) * 512, &clusters[index * 512..(index + 1) * 512]);
    }
    check_by_hand("vfat", &fat);
    assert_eq!(fat.ours().1.as_deref(), Some("FAR AWAY"));
}

#[test]
fn no_change_to_what_leads_to_a_label_or_a_uuid_makes_it_panic() {
    let read = |volume: &Volume| std::fs::read(&volume.path).expect("a file");
    let trees = [LITTLE, BIG].map(|order| read(&befs(&order, 512, false)));
    let small = read(&befs(&LITTLE, 0, true));
    let at = |block: u16| usize::try_from(place(block)).expect("small");
    let entry = block(16, &[(0, b"\x10\0\x07\0\x02\0\x01\0l\0a\0b\0")]);
    let bitlocker = Volume::by_hand(
        4 * MIB,
        &[(0, b"\xeb\x58\x90-FVE-FS-"), (178, b"\x10"), (MIB, b"-FVE-FS-"), (MIB + 64, b"\x50"), (MIB + 112, &entry)],
    );
    let magic = b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef";
    let bcachefs = Volume::by_hand(4 * MIB, &[(4096 + 24, magic), (4200, b"\x08"), (4219, b"\x01"), (4353, b"\x02")]);
    let mut volumes = vec![(small, 0..140), (read(&bitlocker), 176..184), (read(&bcachefs), 4200..4224)];
    for tree in trees {
        for places in [512..652, at(3)..at(3) + 72, at(4) + 60..at(4) + 96, at(10)..at(10) + 40] {
            volumes.push((tree.clone(), places));
        }
        for block in [20, 21] {
            volumes.push((tree.clone(), at(block)..at(block) + 128));
        }
    }
    volumes.push((read(&bitlocker), (1 << 20) + 64..(1 << 20) + 128));
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
