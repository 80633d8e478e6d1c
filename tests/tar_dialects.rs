//! Archives as GNU tar and bsdtar write them, in every format each can write, sparse files stored as such and not: the members must be
//! those that GNU tar and bsdtar extract, by name, kind, size and content.

mod common;

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{CountingReader, status};
use imgsieve::member::{Archive, Extent, Item, Kind, Member, Note, walk};
use positioned_io::ReadAt;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A program and the options it writes a format with.
struct Writer {
    program: &'static str,
    options: &'static [&'static str],
    /// Whether it stores a sparse file's data alone.
    sparse: bool,
    /// Whether it can store every name and kind of file.
    complete: bool,
}

const fn writer(program: &'static str, options: &'static [&'static str], sparse: bool, complete: bool) -> Writer {
    Writer { program, options, sparse, complete }
}

const WRITERS: &[Writer] = &[
    writer("tar", &["--format=v7"], false, false),
    writer("tar", &["--format=oldgnu"], false, true),
    writer("tar", &["--format=oldgnu", "-S"], true, true),
    writer("tar", &["--format=gnu"], false, true),
    writer("tar", &["--format=gnu", "-S"], true, true),
    writer("tar", &["--format=gnu", "-S", "--hole-detection=raw"], true, true),
    writer("tar", &["--format=ustar"], false, false),
    writer("tar", &["--format=posix"], false, true),
    writer("tar", &["--format=posix", "-S"], true, true),
    writer("tar", &["--format=posix", "-S", "--sparse-version=0.0"], true, true),
    writer("tar", &["--format=posix", "-S", "--sparse-version=0.1"], true, true),
    writer("tar", &["--format=posix", "-S", "--sparse-version=1.0"], true, true),
    writer("bsdtar", &["--format=v7tar"], false, false),
    writer("bsdtar", &["--format=ustar"], false, false),
    writer("bsdtar", &["--format=gnutar"], false, true),
    writer("bsdtar", &["--format=pax"], true, true),
    writer("bsdtar", &["--format=pax", "--no-read-sparse"], false, true),
    writer("bsdtar", &["--format=rpax"], true, true),
];

const READERS: &[&str] = &["tar", "bsdtar"];

fn package(program: &str) -> &'static str {
    if program == "bsdtar" { "libarchive-tools" } else { "tar" }
}

impl Writer {
    /// Writes `names` of `tree` to a new archive.
    fn write(&self, tree: &Path, names: &[&str], archive: &Path) {
        let mut command = Command::new(self.program);
        command.args(self.options).arg("-cf").arg(archive).arg("-C").arg(tree).args(names);
        let code = status(&mut command, package(self.program));
        assert!(code == 0 || !self.complete, "{command:?} ended with {code}");
    }
}

fn extract(program: &str, archive: &Path, into: &Path) {
    fs::create_dir_all(into).expect("a folder");
    let mut command = Command::new(program);
    // -S: what is not sparse in the archive shall not fill the disk.
    command.args(["-S", "-xf"]).arg(archive).arg("-C").arg(into);
    // bsdtar ends with 1 after a warning, as of a name that is not UTF-8; the comparison tells what was extracted.
    let code = status(&mut command, package(program));
    assert!(code == 0 || (program, code) == ("bsdtar", 1), "{command:?} ended with {code}");
}

/// A file of `size` bytes with data only at these `(offset, length)`.
fn sparse_file(path: &Path, size: u64, data: &[(u64, usize)]) {
    let file = File::create_new(path).expect("a new file");
    file.set_len(size).expect("room");
    for &(offset, len) in data {
        let bytes: Vec<u8> =
            (0..len as u64).map(|at| u8::try_from((offset + at * 7) % 251 + 1).expect("small")).collect();
        file.write_all_at(&bytes, offset).expect("room");
    }
}

/// A kibibyte.
const K: u64 = 1024;

/// Something of every kind that a tar archive can hold, in `tree`.
fn make_tree(folder: &Path) {
    let tree = folder.join("tree");
    let deep = tree.join("d".repeat(60)).join("e".repeat(60));
    let deeper = deep.join("f".repeat(120)).join("g".repeat(120));
    fs::create_dir_all(&deeper).expect("folders");
    for (name, len) in
        [("small.img", 3), ("block.img", 512), ("odd.img", 513), ("large.img", 100_000), ("empty.img", 0)]
    {
        sparse_file(&tree.join(name), len as u64, &[(0, len)]);
    }
    sparse_file(&deep.join("101.img"), 1000, &[(0, 1000)]);
    sparse_file(&deeper.join("256.img"), 1000, &[(0, 1000)]);
    sparse_file(&tree.join("n".repeat(200) + ".img"), 10, &[(0, 10)]);
    sparse_file(&tree.join("a\nnewline.img"), 10, &[(0, 10)]);
    sparse_file(&tree.join(OsStr::from_bytes(b"\xff not UTF-8.img")), 10, &[(0, 10)]);
    sparse_file(&tree.join("\u{fc}ml\u{e4}ut.img"), 10, &[(0, 10)]);
    sparse_file(&tree.join("hole-start.img"), 256 * K, &[(128 * K, 128 << 10)]);
    sparse_file(&tree.join("hole-middle.img"), 256 * K, &[(0, 4096), (252 * K, 4096)]);
    sparse_file(&tree.join("hole-end.img"), 256 * K, &[(0, 4096)]);
    sparse_file(&tree.join("hole-odd.img"), 256 * K + 77, &[(0, 4096), (252 * K, 4096 + 77)]);
    sparse_file(&tree.join("hole-all.img"), 256 * K + 1, &[]);
    let many: Vec<_> = (0..200).map(|at| (at * 16 * K + 8 * K, 4096)).collect();
    sparse_file(&tree.join("many-segments.img"), 200 * 16 * K, &many);
    sparse_file(&deeper.join("long-and-sparse.img"), 200 * 16 * K, &many);
    fs::hard_link(tree.join("large.img"), tree.join("x-hard.img")).expect("a link");
    symlink("large.img", tree.join("symbolic.img")).expect("a link");
    symlink("t".repeat(150), tree.join("symbolic-long.img")).expect("a link");
    assert_eq!(status(Command::new("mkfifo").arg(tree.join("fifo.img")), "coreutils"), 0);
}

/// All members; nothing else is expected.
fn members(archive: &dyn Archive) -> Vec<Member> {
    let mut walk = walk(archive);
    let mut members = Vec::new();
    while let Some(item) = walk.next().expect("a good archive") {
        match item {
            Item::Member(member) => members.push(member),
            other => panic!("{other:?}"),
        }
    }
    members
}

fn sha256(mut read: impl FnMut(&mut [u8]) -> usize) -> Vec<u8> {
    let mut hash = Sha256::new();
    let mut buf = vec![0; 10_007];
    loop {
        match read(&mut buf) {
            0 => return hash.finalize().to_vec(),
            got => hash.update(&buf[..got]),
        }
    }
}

fn sha256_of_member(member: &Member, archive: &dyn Archive) -> Vec<u8> {
    let reader = member.content.reader(archive);
    let mut at = 0;
    sha256(|buf| {
        let got = reader.read_at(at, buf).expect("content");
        at += got as u64;
        got
    })
}

fn sha256_of_file(path: &Path) -> Vec<u8> {
    let mut file = File::open(path).expect("extracted");
    sha256(|buf| file.read(buf).expect("readable"))
}

fn kind_on_disk(metadata: &Metadata) -> Kind {
    let kind = metadata.file_type();
    match () {
        () if kind.is_file() => Kind::File,
        () if kind.is_dir() => Kind::Directory,
        () if kind.is_symlink() => Kind::Symlink,
        () if kind.is_fifo() => Kind::Fifo,
        () => panic!("{kind:?}"),
    }
}

/// Every path below `folder`.
fn paths(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        found.push(entry.path());
        if entry.file_type().expect("a type").is_dir() {
            found.extend(paths(&entry.path()));
        }
    }
    found
}

/// Compares members with what a program extracted.
fn compare(members: &[Member], archive: &dyn Archive, extracted: &Path) {
    for member in members {
        let path = extracted.join(OsStr::from_bytes(&member.path));
        let metadata = fs::symlink_metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.display();
        match member.kind {
            Kind::File => {
                assert_eq!(kind_on_disk(&metadata), Kind::File, "{name}");
                assert_eq!(member.size, metadata.len(), "{name}");
                assert_eq!(sha256_of_member(member, archive), sha256_of_file(&path), "{name}");
            }
            Kind::HardLink => {
                let target = member.link_target.as_deref().expect("a link");
                let target = fs::symlink_metadata(extracted.join(OsStr::from_bytes(target))).expect("its target");
                assert_eq!((metadata.ino(), member.size), (target.ino(), 0), "{name}");
            }
            kind => {
                assert_eq!(kind, kind_on_disk(&metadata), "{name}");
                let target = fs::read_link(&path).ok().map(|target| target.as_os_str().as_bytes().to_vec());
                assert_eq!(member.link_target, target, "{name}");
                assert_eq!(member.size, 0, "{name}");
            }
        }
    }
    assert_eq!(members.len(), paths(extracted).len(), "in {}", extracted.display());
}

fn has_holes(member: &Member) -> bool {
    member.content.extents().any(|extent| matches!(extent, Extent::Hole { .. }))
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn members_are_those_that_gnu_tar_and_bsdtar_extract() {
    let folder = TempDir::new().expect("a folder");
    make_tree(folder.path());
    let originals = paths(&folder.path().join("tree")).len() + 1;
    for writer in WRITERS {
        let run = TempDir::new_in(folder.path()).expect("a folder");
        let path = run.path().join("a.tar");
        writer.write(folder.path(), &["tree"], &path);
        let archive = File::open(&path).expect("written");
        let size = archive.metadata().expect("metadata").len();

        let counted = CountingReader::new(&archive);
        let members = members(&counted);
        let data: u64 =
            members.iter().map(|member| member.content.stored()).map(|stored| stored.end - stored.start).sum();
        assert!(
            counted.bytes() <= size - data,
            "the walk read {} of {size} bytes, {data} of them data",
            counted.bytes()
        );

        let options = (writer.program, writer.options);
        assert_eq!(members.iter().any(has_holes), writer.sparse, "{options:?}");
        assert!(members.len() == originals || !writer.complete, "{options:?}: {} of {originals}", members.len());
        assert!(members.len() > 10, "{options:?}");
        for reader in READERS {
            let extracted = run.path().join(reader);
            extract(reader, &path, &extracted);
            compare(&members, &archive, &extracted);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn a_sparse_image_of_a_terabyte_has_its_real_size_and_costs_its_data_alone() {
    const SIZE: u64 = 1 << 40;
    const LAST: u64 = SIZE - 4096;
    let folder = TempDir::new().expect("a folder");
    sparse_file(&folder.path().join("huge.img"), SIZE, &[(0, 4096), (20 << 30, 4096), (LAST, 4096)]);
    sparse_file(&folder.path().join("next.img"), 10, &[(0, 10)]);
    let original = File::open(folder.path().join("huge.img")).expect("made");
    for writer in WRITERS.iter().filter(|writer| writer.sparse && !writer.options.contains(&"--hole-detection=raw")) {
        let path = folder.path().join("a.tar");
        writer.write(folder.path(), &["huge.img", "next.img"], &path);
        let archive = File::open(&path).expect("written");
        let counted = CountingReader::new(&archive);
        let members = members(&counted);
        let [huge, next] = members.as_slice() else { panic!("{members:?}") };
        assert_eq!((huge.path.as_slice(), huge.size), (&b"huge.img"[..], SIZE));
        assert_eq!((next.path.as_slice(), next.size), (&b"next.img"[..], 10));
        let reader = huge.content.reader(&counted);
        for at in [0, 4096 - 512, 4096, 20 << 30, (20 << 30) + 4096, LAST - 512, LAST, SIZE - 512] {
            let (mut found, mut expected) = ([1; 512], [2; 512]);
            reader.read_exact_at(at, &mut found).expect("content");
            FileExt::read_exact_at(&original, &mut expected, at).expect("the original");
            assert_eq!(found, expected, "at {at}");
        }
        assert!(counted.bytes() < 20_000);
    }
}

#[test]
fn archives_written_one_after_the_other_are_read_as_gnu_tar_does_with_ignore_zeros() {
    let folder = TempDir::new().expect("a folder");
    make_tree(folder.path());
    let path = folder.path().join("a.tar");
    let mut joined = Vec::new();
    for (options, name) in [(&["--format=gnu"], "tree/large.img"), (&["--format=posix"], "tree/small.img")] {
        writer("tar", options, false, true).write(folder.path(), &[name], &path);
        joined.extend(fs::read(&path).expect("written"));
    }
    fs::write(&path, &joined).expect("room");
    let extracted = folder.path().join("extracted");
    fs::create_dir(&extracted).expect("a folder");
    let mut command = Command::new("tar");
    command.arg("-ixf").arg(&path).arg("-C").arg(&extracted);
    assert_eq!(status(&mut command, "tar"), 0);

    let archive = joined.as_slice();
    let mut walk = walk(&archive);
    let mut found = Vec::new();
    let mut notes = Vec::new();
    while let Some(item) = walk.next().expect("good archives") {
        match item {
            Item::Member(member) => {
                let extracted = sha256_of_file(&extracted.join(OsStr::from_bytes(&member.path)));
                assert_eq!(sha256_of_member(&member, &archive), extracted);
                found.push(member.path);
            }
            Item::Note(note) => notes.push(note),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(found, [b"tree/large.img", b"tree/small.img"]);
    assert!(matches!(notes[..], [Note::ArchiveAfterEnd { .. }]), "{notes:?}");
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn a_pax_size_behind_a_newline_is_read_as_by_gnu_tar_and_bsdtar() {
    let mut builder = tar::Builder::new(Vec::new());
    let records: [(&str, &[u8]); 4] =
        [("SCHILY.xattr.user.a", b"x\n9 size=1\n"), ("size", b"1"), ("path", b"pax.img"), ("size", b"700")];
    builder.append_pax_extensions(records).expect("room");
    for (name, size, data) in [("header.img", 0, &[7; 700][..]), ("next.img", 3, b"abc")] {
        let mut header = tar::Header::new_ustar();
        header.set_path(name).expect("short");
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, data).expect("room");
    }
    let archive = builder.into_inner().expect("room");
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("a.tar");
    fs::write(&path, &archive).expect("room");
    let archive = archive.as_slice();
    let members = members(&archive);
    assert_eq!(members.iter().map(|member| member.size).collect::<Vec<_>>(), [700, 3]);
    for reader in READERS {
        let extracted = folder.path().join(reader);
        extract(reader, &path, &extracted);
        compare(&members, &archive, &extracted);
    }
}

/// A ustar header as `edit` makes it, and the data behind it, padded.
fn ustar(name: &str, size: u64, data: &[u8], edit: impl FnOnce(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name).expect("short");
    header.set_size(size);
    header.set_mode(0o644);
    edit(&mut header);
    header.set_cksum();
    let mut bytes = [header.as_bytes(), data].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// PAX records for the next member.
fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    builder.append_pax_extensions(records.iter().map(|(key, value)| (*key, value.as_bytes()))).expect("room");
    let mut bytes = builder.into_inner().expect("room");
    // Without the end marker.
    bytes.truncate(bytes.len() - 1024);
    bytes
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn a_sparse_file_whose_pax_size_is_its_real_one_is_whole_as_old_bsdtars_wrote_it() {
    const SIZE: u64 = 9 << 30;
    let folder = TempDir::new().expect("a folder");
    sparse_file(&folder.path().join("huge.img"), SIZE, &[(0, 4096), (5 << 30, 4096)]);
    sparse_file(&folder.path().join("next.img"), 10, &[(0, 10)]);
    let path = folder.path().join("a.tar");
    writer("bsdtar", &["--format=pax"], true, true).write(folder.path(), &["huge.img", "next.img"], &path);
    let written = fs::read(&path).expect("written");
    // libarchive before 3.6 had the real size, where it was 8 GiB or more, in a `size` record of the member.
    let size = usize::from_str_radix(std::str::from_utf8(&written[124..135]).expect("octal"), 8).expect("octal");
    let records = std::str::from_utf8(&written[512..512 + size]).expect("UTF-8");
    let mut records: Vec<(&str, &str)> = records
        .lines()
        .map(|line| line.split_once(' ').and_then(|(_, pair)| pair.split_once('=')).expect("a record"))
        .collect();
    let real_size = SIZE.to_string();
    records.insert(0, ("size", &real_size));
    let archive = [pax(&records), written[512 + size.next_multiple_of(512)..].to_vec()].concat();
    let archive = archive.as_slice();
    let members = members(&archive);
    let [huge, next] = members.as_slice() else { panic!("{members:?}") };
    assert_eq!(
        (huge.path.as_slice(), huge.size, next.path.as_slice(), next.size),
        (&b"huge.img"[..], SIZE, &b"next.img"[..], 10)
    );
    assert!(matches!(huge.note, Some(Note::PaxSize { pax: SIZE, .. })), "{:?}", huge.note);
    let original = File::open(folder.path().join("huge.img")).expect("made");
    for at in [0, 3584, 4096, 5 << 30, (5 << 30) + 3584, (5 << 30) + 4096, SIZE - 512] {
        let (mut found, mut expected) = ([1; 512], [2; 512]);
        huge.content.reader(&archive).read_exact_at(at, &mut found).expect("content");
        FileExt::read_exact_at(&original, &mut expected, at).expect("the original");
        assert_eq!(found, expected, "at {at}");
    }
}

#[test]
fn a_header_that_contradicts_its_pax_size_is_read_as_by_gnu_tar() {
    let nested = [ustar("nested.img", 700, &[7; 700], |_| ()), ustar("nested-too.img", 0, &[], |_| ())].concat();
    for (index, data) in [vec![7; 3000], vec![0; 3000], nested].into_iter().enumerate() {
        for size in [0, 1, 700, 1024, 2999, 4000, 1 << 30] {
            let real_size = data.len().to_string();
            let parts = [
                pax(&[("size", &real_size)]),
                ustar("f.img", size, &data, |_| ()),
                ustar("last.img", 3, b"abc", |_| ()),
                vec![0; 1024],
            ];
            let archive = parts.concat();
            let folder = TempDir::new().expect("a folder");
            let path = folder.path().join("a.tar");
            fs::write(&path, &archive).expect("room");
            let archive = archive.as_slice();
            let members = members(&archive);
            assert_eq!(
                members.iter().map(|member| member.size).collect::<Vec<_>>(),
                [data.len() as u64, 3],
                "{index}, {size}"
            );
            let extracted = folder.path().join("extracted");
            extract("tar", &path, &extracted);
            compare(&members, &archive, &extracted);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn a_hard_link_with_data_has_what_bsdtar_extracts() {
    let link = |header: &mut tar::Header| {
        header.set_entry_type(tar::EntryType::Link);
        header.set_link_name("a.raw").expect("short");
    };
    let data: Vec<u8> = (0..3000_u32).map(|at| at.to_be_bytes()[3]).collect();
    // As `pax -w -x pax -o linkdata` writes them; the records make it an archive of that format to bsdtar.
    let parts = [
        pax(&[("mtime", "1500000000.5")]),
        ustar("a.raw", 3000, &data, |_| ()),
        pax(&[("mtime", "1500000000.5")]),
        ustar("z.img", 3000, &data, link),
        ustar("last.img", 3, b"abc", |_| ()),
        vec![0; 1024],
    ];
    let archive = parts.concat();
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("a.tar");
    fs::write(&path, &archive).expect("room");
    let archive = archive.as_slice();
    let members = members(&archive);
    let found: Vec<_> = members.iter().map(|member| (member.path.as_slice(), member.kind, member.size)).collect();
    assert_eq!(
        found,
        [(&b"a.raw"[..], Kind::File, 3000), (b"z.img", Kind::HardLink, 3000), (b"last.img", Kind::File, 3)]
    );
    let extracted = folder.path().join("extracted");
    extract("bsdtar", &path, &extracted);
    for member in &members {
        let path = extracted.join(OsStr::from_bytes(&member.path));
        assert_eq!(sha256_of_member(member, &archive), sha256_of_file(&path), "{}", path.display());
    }
}
