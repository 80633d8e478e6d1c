//! What is promised of the staging folder, on a disk and with runs at once.

use std::io::{Read, Seek};
use std::os::unix::fs::MetadataExt;

use super::*;
use crate::reason::Reason;

fn staging() -> (tempfile::TempDir, Staging) {
    let place = tempfile::tempdir().expect("a temporary folder");
    let staging = Staging::open(&place.path().join("a/b"), "0".parse().expect("a minimum")).expect("staging");
    (place, staging)
}

fn place(ordinal: u32) -> Place<'static> {
    Place { hash: OsStr::new("hash"), ordinal, name: b"x.img" }
}

fn shared(path: &Path) -> Staging {
    shared_as(path, None)
}

fn shared_as(path: &Path, run: Option<&str>) -> Staging {
    let access =
        Access { sharing: Sharing::Together, run: run.map(str::to_owned), most: None, stopped: Arc::default() };
    Staging::open_as(path, "0".parse().expect("a minimum"), &access).expect("shared")
}

#[test]
fn a_folder_that_other_machines_see_is_locked_by_a_file_in_it() {
    let place = tempfile::tempdir().expect("a temporary folder");
    // Each machine has its own handle, on which the other's lock is not seen.
    let lock = |sharing| {
        let root = Folder::open(place.path()).expect("a folder");
        let lock = lock_folder(&root, sharing, true);
        let _ = flock(root.handle(), FlockOperation::Unlock);
        lock
    };
    let alone = lock(Sharing::Alone).expect("free");
    for sharing in [Sharing::Alone, Sharing::Together] {
        assert!(matches!(lock(sharing), Err(Error::Locked { .. })));
    }
    drop(alone);
    let together = [lock(Sharing::Together).expect("free"), lock(Sharing::Together).expect("shared")];
    assert!(matches!(lock(Sharing::Alone), Err(Error::Locked { .. })));
    drop(together);
    assert_eq!(place.path().read_dir().expect("a folder").count(), 0);
}

#[test]
fn shards_share_the_folder_and_have_each_archive_alone() {
    let (place, alone) = staging();
    let path = place.path().join("a/b");
    let (hash, free) = (OsStr::new("hash"), "0".parse().expect("a minimum"));
    assert!(alone.lock_archive(hash).expect("alone").is_none());
    drop(alone);
    let (one, other) = (shared(&path), shared_as(&path, Some("00000000000000ab")));
    assert!(matches!(Staging::open(&path, free), Err(Error::Locked { .. })));
    let lock = one.lock_archive(hash).expect("free").expect("a lock");
    assert!(matches!(other.lock_archive(hash), Err(Error::Busy { .. })));
    assert!(other.lock_archive(OsStr::new("another")).is_ok());
    drop(lock);
    assert_eq!(one.root.names().expect("a folder"), [] as [&str; 0], "nothing is left behind");
    let lock = other.lock_archive(hash).expect("free");
    let mut keep = other.begin(&super::Place { hash, ordinal: 1, name: b"x.img" }, 3, Room::Whole).expect("room");
    let partial = other.root.subfolder(hash).expect("a folder").expect("there").names().expect("names");
    assert!(partial.iter().any(|name| name == ".imgsieve-00000000000000ab-1.partial"), "{partial:?}");
    keep.data(b"abc").expect("written");
    keep.finish().expect("whole");
    drop(lock);
    let left = other.root.subfolder(hash).expect("a folder").expect("there").names().expect("names");
    assert_eq!(left, ["x.img"]);
}

#[test]
fn without_locks_two_runs_that_stage_one_image_leave_it_whole() {
    let (place, alone) = staging();
    drop(alone);
    let path = place.path().join("a/b");
    let runs = [shared(&path), shared(&path)];
    let image = super::Place { hash: OsStr::new("hash"), ordinal: 1, name: b"x.img" };
    // Neither has locked the archive's folder.
    let mut keeps: Vec<Keep> = runs.iter().map(|run| run.begin(&image, 3, Room::Whole).expect("room")).collect();
    let mut late = keeps.pop().expect("two");
    let mut first = keeps.pop().expect("two");
    late.data(b"ab").expect("written");
    first.data(b"abc").expect("written");
    first.finish().expect("whole");
    // The other's partial, too, may be taken for left behind.
    assert!(matches!(late.finish(), Err(Error::Length { .. })));
    let mut late = runs[1].begin(&image, 3, Room::Whole).expect("room");
    late.data(b"xyz").expect("written");
    assert!(matches!(late.finish(), Err(Error::InTheWay { .. })));
    assert_eq!(std::fs::read(path.join("hash/x.img")).expect("whole"), b"abc");
    assert_eq!(path.join("hash").read_dir().expect("a folder").count(), 1);
}

#[test]
fn only_what_nobody_writes_to_is_swept() {
    let (place, alone) = staging();
    drop(alone);
    let path = place.path().join("a/b");
    let (one, other) = (shared(&path), shared(&path));
    let lock = one.lock_archive(OsStr::new("hash")).expect("free");
    let keep = one.begin(&super::Place { hash: OsStr::new("hash"), ordinal: 1, name: b"x.img" }, 3, Room::Whole);
    let left = |name: &str| {
        std::fs::create_dir_all(path.join(name)).expect("a folder");
        for file in [".imgsieve-0123456789abcdef-7.partial", folder::FOLDER] {
            std::fs::write(path.join(name).join(file), "left").expect("a file");
        }
    };
    left("hash");
    std::fs::remove_file(path.join("hash").join(folder::FOLDER)).expect("a file");
    left("dead");
    let swept = other.sweep().removed;
    let expected = HashMap::from([(OsString::from("hash"), 1), (OsString::from("dead"), 1)]);
    assert_eq!(swept, expected);
    assert!(!path.join("dead").exists());
    let mut keep = keep.expect("room");
    keep.data(b"abc").expect("written");
    assert!(keep.finish().is_ok(), "what is being written was left alone");
    drop(lock);
}

#[test]
fn where_locks_are_of_one_machine_what_was_written_lately_is_left_alone() {
    let (place, staging) = staging();
    drop(staging);
    let folder = Folder::open(&place.path().join("a/b")).expect("a folder");
    let name = OsStr::new(".imgsieve-0123456789abcdef-7.partial");
    let file = folder.create(name).expect("a file");
    assert_eq!(remove_left(&folder, name, true), Ok(false));
    file.set_modified(SystemTime::now() - LEFT_AFTER - Duration::from_secs(9)).expect("ours");
    assert_eq!(remove_left(&folder, name, true), Ok(true));
}

#[test]
fn the_turn_is_one_runs_at_a_time_and_is_waited_for() {
    let (place, alone) = staging();
    assert!(alone.take_turn(&|| false, &|| ()).expect("a folder").is_none(), "nobody else could have it");
    drop(alone);
    let path = place.path().join("a/b");
    let (one, other) = (shared(&path), shared(&path));
    let turn = one.take_turn(&|| false, &|| ()).expect("a folder").expect("free");
    let (asked, told) = (AtomicU64::new(0), AtomicU64::new(0));
    let is_stopped = || asked.fetch_add(1, Ordering::SeqCst) > 2;
    let waits = || {
        told.fetch_add(1, Ordering::SeqCst);
    };
    assert!(other.take_turn(&is_stopped, &waits).expect("a folder").is_none());
    assert_eq!(told.into_inner(), 1);
    drop(turn);
    assert!(other.take_turn(&|| false, &|| ()).expect("a folder").is_some());
}

#[test]
fn an_image_has_its_name_only_when_it_is_whole() {
    let (_place, staging) = staging();
    let mut keep = staging.begin(&place(1), 10_000, Room::Whole).expect("room");
    keep.data(&[7; 5000]).expect("written");
    assert!(!staging.path().join("hash/x.img").exists());
    assert_eq!(staging.budget().reserved(), 5000);
    keep.data(&[0; 5000]).expect("written");
    let mut staged = keep.finish().expect("whole");
    assert_eq!(staged.path, staging.path().join("hash/x.img"));
    assert_eq!(staging.budget().reserved(), 0);
    let mut read = Vec::new();
    staged.file.rewind().expect("a file");
    staged.file.read_to_end(&mut read).expect("readable");
    assert_eq!(read, [vec![7; 5000], vec![0; 5000]].concat());
}

#[test]
fn what_is_not_finished_leaves_nothing() {
    let (_place, staging) = staging();
    for ordinal in [1, 2] {
        let mut keep = staging.begin(&place(ordinal), 10_000, Room::Whole).expect("room");
        keep.data(&[7; 5000]).expect("written");
        if ordinal == 1 {
            assert!(matches!(keep.finish(), Err(Error::Length { written: 5000, expected: 10_000, .. })));
        } else {
            drop(keep);
        }
        assert_eq!(staging.root.names().expect("a folder"), [] as [&str; 0]);
        assert_eq!(staging.budget().reserved(), 0);
    }
}

#[test]
fn zeros_take_no_room() {
    let (_place, staging) = staging();
    let mut keep = staging.begin(&place(1), 100 << 20, Room::Data(0)).expect("no room needed");
    keep.data(&[1; 4096]).expect("written");
    keep.hole((50 << 20) - 4096).expect("a hole");
    for _ in 0..50 {
        keep.data(&vec![0; 1 << 20]).expect("zeros");
    }
    let staged = keep.finish().expect("whole");
    assert_eq!(staged.bytes_written, 4096);
    assert!(staged.allocated <= 64 << 10, "{}", staged.allocated);
    assert_eq!(staged.file.metadata().expect("a file").size(), 100 << 20);
}

#[test]
fn a_second_image_of_the_name_goes_to_a_numbered_folder() {
    let (_place, staging) = staging();
    let keep = staging.begin(&place(2), 0, Room::Whole).expect("room");
    assert_eq!(keep.finish().expect("whole").path, staging.path().join("hash/2/x.img"));
}

#[test]
fn a_path_is_an_images_by_whatever_name_staging_goes() {
    let (folder, staging) = staging();
    let root = staging.path();
    std::os::unix::fs::symlink("a", folder.path().join("link")).expect("a link");
    for path in ["a/b/hash/x.img", "link/b/hash/x.img", "a/../a/b/hash/x.img", "a/b//hash/x.img"] {
        assert!(place(1).is_at(root, &folder.path().join(path)), "{path}");
    }
    assert!(place(2).is_at(root, &root.join("hash/2/x.img")));
    assert!(place(1).is_at(Path::new("/gone"), Path::new("/gone/hash/x.img")));
    for path in ["a/b/hash/2/x.img", "a/hash/x.img", "a/b/hash/../hash/y.img", "a/b/hash/x.img/..", "x.img", ""] {
        assert!(!place(1).is_at(root, &folder.path().join(path)), "{path}");
    }
    let outside = Place { hash: OsStr::new(".."), ordinal: 1, name: b"x.img" };
    assert!(!outside.is_at(root, &root.join("../x.img")));
}

#[test]
fn an_existing_image_of_the_right_size_is_found_and_others_are_in_the_way() {
    let (_place, staging) = staging();
    assert!(staging.existing(&place(1), 5).expect("nothing").is_none());
    std::fs::create_dir(staging.path().join("hash")).expect("a folder");
    std::fs::write(staging.path().join("hash/x.img"), "12345").expect("a file");
    assert!(staging.existing(&place(1), 5).expect("a file").is_some());
    assert!(matches!(staging.existing(&place(1), 6), Err(Error::InTheWay { .. })));
    let mut keep = staging.begin(&place(1), 3, Room::Whole).expect("room");
    keep.data(b"new").expect("written");
    assert!(matches!(keep.finish(), Err(Error::InTheWay { .. })));
    assert_eq!(std::fs::read(staging.path().join("hash/x.img")).expect("survives"), b"12345");
}

#[test]
fn a_name_is_given_to_the_file_that_was_written_and_to_no_other() {
    let (_place, staging) = staging();
    let write = || {
        let mut keep = staging.begin(&place(1), 5, Room::Whole).expect("room");
        keep.data(b"whole").expect("written");
        let folder = staging.path().join("hash");
        let mut names = std::fs::read_dir(&folder).expect("a folder").map(|entry| entry.expect("a name").path());
        (keep, names.find(|path| path.extension().is_some_and(|end| end == "partial")).expect("a partial"))
    };
    // Swept by a run that holds a lock which is none.
    let (keep, partial) = write();
    std::fs::remove_file(&partial).expect("there");
    assert!(matches!(keep.finish(), Err(Error::Lost { .. })));
    assert!(!staging.path().join("hash/x.img").exists());
    // Another file in its place stays where it is.
    let (keep, partial) = write();
    std::fs::rename(&partial, partial.with_extension("away")).expect("there");
    std::fs::write(&partial, "half").expect("a file");
    keep.finish().expect("whole");
    assert_eq!(std::fs::read(staging.path().join("hash/x.img")).expect("an image"), b"whole");
    assert_eq!(std::fs::read(&partial).expect("theirs"), b"half");
}

#[test]
fn an_image_whose_folder_is_moved_or_replaced_is_not_told_to_be_there() {
    let (_place, staging) = staging();
    let (folder, away) = (staging.path().join("hash"), staging.path().join("away"));
    for ordinal in [1, 2] {
        for is_replaced in [false, true] {
            let mut keep = staging.begin(&place(ordinal), 5, Room::Whole).expect("room");
            keep.data(b"whole").expect("written");
            std::fs::rename(&folder, &away).expect("there");
            if is_replaced {
                std::fs::create_dir_all(folder.join("2")).expect("folders");
            }
            assert!(matches!(keep.finish(), Err(Error::Moved { path }) if path == folder), "{ordinal} {is_replaced}");
            let left = walk(&away);
            assert!(left.is_empty(), "{left:?}");
            for folder in [&folder, &away] {
                let _ = std::fs::remove_dir_all(folder);
            }
        }
    }
}

/// The files in a folder and those in it.
fn walk(folder: &Path) -> Vec<PathBuf> {
    let names = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("a name").path());
    names.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn a_sweep_for_a_file_leaves_what_is_written_under_a_name_that_was_left() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let folder = Folder::open(place.path()).expect("a folder");
    let name = OsStr::new("x.img");
    let (file, partial) = create_named(&folder, name).expect("a partial");
    sweep_left(&folder, name);
    assert!(folder.is_at(&file, &partial), "it is written to");
    drop(file);
    std::os::unix::fs::symlink("/nowhere", place.path().join(partials_of(name).nth(1).expect("many"))).expect("a link");
    sweep_left(&folder, name);
    assert_eq!(folder.names().expect("a folder"), [] as [&str; 0]);
}

#[test]
fn a_full_disk_is_the_reason_wherever_it_shows() {
    for (errno, code) in
        [(Errno::NOSPC, Reason::NoSpace), (Errno::DQUOT, Reason::NoSpace), (Errno::IO, Reason::StagingIo)]
    {
        let error = folder::failed("creating", Path::new("hash"))(errno);
        assert_eq!((error.code(), error.is_space()), (code, code == Reason::NoSpace));
    }
}

#[test]
fn a_file_that_is_created_leaves_nothing_behind_and_sweeps_what_a_killed_process_left() {
    let place = tempfile::tempdir().expect("a temporary folder");
    let open = || Folder::open(place.path()).expect("a folder");
    let names = || open().names().expect("its names");
    let name = OsStr::new("x.img");
    for may_be_unnamed in [true, false] {
        let begin = || {
            let mut keep = create_in(open(), name, 4, may_be_unnamed).expect("begun");
            keep.data(b"half").expect("written");
            keep
        };
        // The lock goes with the process, and the file stays.
        drop(create_named(&open(), name).expect("a partial"));
        let left = names();
        // Two at once are in nobody's way.
        let (one, other) = (begin(), begin());
        assert_eq!((left.len(), names().len()), (1, if may_be_unnamed { 0 } else { 2 }));
        one.finish().expect("whole");
        assert!(matches!(other.finish(), Err(Error::InTheWay { .. })));
        assert_eq!(std::fs::read(place.path().join(name)).expect("a file"), b"half");
        std::fs::remove_file(place.path().join(name)).expect("ours");
        assert!(names().is_empty(), "{:?}", names());
    }
}

#[test]
fn a_second_lock_is_refused_until_the_first_is_gone() {
    let (_place, staging) = staging();
    let path = staging.path().to_owned();
    let free = "0".parse().expect("a minimum");
    assert!(matches!(Staging::open(&path, free), Err(Error::Locked { .. })));
    drop(staging);
    assert!(Staging::open(&path, free).is_ok());
}

#[test]
fn left_over_partials_are_swept_and_nothing_else() {
    let (_place, staging) = staging();
    for name in [
        "h1/.imgsieve-0.partial",
        "h1/2/.imgsieve-0123456789abcdef-17.partial",
        "h2/.imgsieve-x.partial",
        "h2/.imgsieve-0123456789abcdef.partial",
        "h2/y.partial",
    ] {
        let path = staging.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
        std::fs::write(path, "half").expect("a file");
    }
    let Swept { removed, failure, .. } = staging.sweep();
    assert!(failure.is_none());
    assert_eq!(removed, HashMap::from([(OsString::from("h1"), 2)]));
    assert!(!staging.path().join("h1").exists(), "a folder that only held partials goes too");
    assert_eq!(
        staging.root.subfolder(OsStr::new("h2")).expect("there").expect("there").names().expect("names").len(),
        3
    );
}

#[test]
fn the_lock_that_a_killed_run_left_near_the_minimum_is_swept_unless_it_is_held() {
    let (_place, staging) = staging();
    let path = staging.path().join(folder::GATE);
    let held = File::create(&path).expect("a file");
    flock(&held, FlockOperation::LockExclusive).expect("nobody holds it");
    let _ = staging.sweep();
    assert!(path.exists());
    drop(held);
    let _ = staging.sweep();
    assert!(!path.exists());
}

#[test]
fn what_an_image_takes_is_measured_as_it_is_written() {
    let (_place, staging) = staging();
    let pieces = [vec![1; 5000], vec![0; 9000], vec![0; 100], vec![2; 10], vec![3; 20_000], vec![0; 4000]];
    let size = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>() + 10_000;
    let (mut keep, mut measure) = (staging.begin(&place(1), size, Room::Data(0)).expect("room"), Measure::default());
    for piece in &pieces {
        keep.data(piece).expect("written");
        measure.data(piece);
    }
    keep.hole(10_000).expect("a hole");
    measure.hole(10_000);
    let staged = keep.finish().expect("whole");
    // The blocks that the first 5000 bytes lie in, and those from 14100 to 34110.
    assert_eq!((staged.bytes_written, measure.takes()), (5000 + 20_010, (2 + 6) * 4096));
    assert!(staged.allocated >= measure.takes());
}

#[test]
fn an_image_larger_than_the_free_space_is_refused_whole_and_may_grow() {
    let (_place, staging) = staging();
    let huge = staging.budget().space().expect("it says").available + (1 << 30);
    assert!(matches!(staging.begin(&place(1), huge, Room::Whole), Err(Error::NoSpace { .. })));
    assert_eq!(staging.root.names().expect("a folder"), [] as [&str; 0], "no folder for an image without room");
    assert!(staging.begin(&place(1), huge, Room::Data(0)).is_ok());
}

#[test]
fn a_folder_that_is_renamed_or_replaced_is_not_in_place() {
    let (place, staging) = staging();
    staging.check_in_place().expect("there");
    std::fs::rename(staging.path(), place.path().join("away")).expect("renamed");
    assert!(matches!(staging.check_in_place(), Err(Error::Moved { .. })));
    std::fs::create_dir(staging.path()).expect("a folder");
    assert!(matches!(staging.check_in_place(), Err(Error::Moved { .. })));
    std::fs::remove_dir(staging.path()).expect("ours");
    std::os::unix::fs::symlink("../away", staging.path()).expect("a link");
    staging.check_in_place().expect("moved elsewhere, with a link in its place");
}
