//! `ZstFile` against what the zstd tools wrote: the same bytes at every offset, and every kind of damage by its name.

mod common;
#[path = "common/hostile.rs"]
mod hostile;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use common::{content, run};
use imgsieve::zst::{CopyError, Engine, Error, Meter, Options, ZstFile};
use positioned_io::ReadAt;
use tempfile::TempDir;

struct Fixture {
    _folder: TempDir,
    path: PathBuf,
    content: Vec<u8>,
}

impl Fixture {
    fn zst(&self) -> ZstFile {
        // What only decoding can tell is asked for here; `compressors.rs` has the other engines.
        self.by(Engine::Decode)
    }

    fn by(&self, engine: Engine) -> ZstFile {
        ZstFile::open(&self.path, Options { engine, ..Options::default() }).expect("opens")
    }

    /// The file after `damage` was done to it.
    fn damaged(self, damage: impl FnOnce(&mut Vec<u8>)) -> Fixture {
        let mut bytes = fs::read(&self.path).expect("readable");
        damage(&mut bytes);
        fs::write(&self.path, bytes).expect("writable");
        self
    }

    fn error(&self) -> Error {
        self.zst().finish().expect_err("damaged")
    }
}

/// `content` through a shell command that reads `$IN` and writes `$OUT`.
fn made_by(package: &str, content: Vec<u8>, command: &str) -> Fixture {
    let folder = TempDir::new().expect("a temporary folder");
    let (input, path) = (folder.path().join("in"), folder.path().join("out.zst"));
    fs::write(&input, &content).expect("written");
    let script = format!("set -e; IN='{}'; OUT='{}'; {command}", input.display(), path.display());
    run(package, "sh", &["-c", &script], "");
    Fixture { _folder: folder, path, content }
}

fn small() -> Fixture {
    made_by("zstd", content(1 << 20), "zstd -q -3 < $IN > $OUT")
}

/// Reads at places forward, backward and across the end, and compares.
fn check_reads(fixture: &Fixture) {
    let zst = fixture.zst();
    let len = fixture.content.len();
    for (start, count) in [
        (0, 512),
        (len / 2, 70_000),
        (len / 3, 1),
        (len - 100, 500),
        (0, 100),
        (len / 4, 3 << 20),
        (len, 10),
        (len - 1, 1),
    ] {
        let mut buffer = vec![0xAA; count];
        let read = zst.read_at(start as u64, &mut buffer).expect("readable");
        let expected = &fixture.content[start.min(len)..(start + count).min(len)];
        assert!(buffer[..read] == *expected, "{count} bytes at {start}: {read} read");
    }
    assert_eq!(zst.finish().expect("intact"), len as u64);
    assert_eq!(zst.size(), Some(len as u64));
    let whole = 0..len as u64;
    assert!(!zst.is_intact(&whole), "nothing was copied yet");
    let (mut copied, mut differs) = (0, false);
    let outcome = zst.copy::<()>(whole.clone(), |bytes| {
        differs |= *bytes != fixture.content[copied..][..bytes.len()];
        copied += bytes.len();
        Ok(())
    });
    assert!(outcome.is_ok() && !differs);
    zst.verify(&whole).expect("intact");
    assert!(zst.is_intact(&whole));
    assert_eq!(zst.totals().decoded_once, len as u64);
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn bytes_are_the_same_at_every_offset_however_they_were_compressed() {
    for (package, command) in [
        ("zstd", "zstd -q -3 < $IN > $OUT"),
        ("zstd", "zstd -q -3 --no-check $IN -o $OUT"),
        ("zstd", "zstd -q -19 $IN -o $OUT"),
        ("zstd", "zstd -q --fast=5 -T2 $IN -o $OUT"),
        ("zstd", "zstd -q --long=27 < $IN > $OUT"),
        ("zstd", "zstd -q --rsyncable -B100000 $IN -o $OUT"),
        ("zstd", "pzstd -q -p 2 $IN -o $OUT"),
        (
            "zstd",
            "split -b 300000 $IN $IN.; for part in $IN.*; do zstd -q -c $part >> $OUT; printf 'P\\052\\115\\030\\003\\0\\0\\0xyz' >> $OUT; zstd -q -c < /dev/null >> $OUT; done",
        ),
    ] {
        check_reads(&made_by(package, content(5_000_000), command));
    }
}

#[test]
fn copy_hands_over_exactly_the_range() {
    let fixture = made_by("zstd", content(3_000_000), "zstd -q < $IN > $OUT");
    let zst = fixture.zst();
    for range in [1_000_000..2_500_000_u64, 10..10, 0..3_000_000] {
        let mut copied = Vec::new();
        let outcome = zst.copy::<()>(range.clone(), |bytes| {
            copied.extend_from_slice(bytes);
            Ok(())
        });
        assert!(outcome.is_ok());
        let slice = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert!(copied == fixture.content[slice], "{range:?}");
    }
    assert!(matches!(zst.copy(0..100, |_| Err("full")), Err(CopyError::Write("full"))));
    assert!(matches!(
        zst.copy::<()>(2_999_999..3_000_001, |_| Ok(())),
        Err(CopyError::Read(Error::EndOfData { size: 3_000_000, wanted: 3_000_000 }))
    ));
}

#[test]
fn a_file_cut_short_at_any_layer_is_truncated() {
    let whole = fs::metadata(&small().path).expect("there").len();
    for length in [1, 3, 5, 100, whole / 2, whole - 4, whole - 1] {
        let error = small().damaged(|bytes| bytes.truncate(usize::try_from(length).unwrap())).error();
        assert!(matches!(error, Error::Truncated { frame: 0, offset } if offset == length), "{length}: {error}");
    }
}

#[test]
fn what_lies_before_the_damage_can_still_be_read() {
    let fixture = small().damaged(|bytes| bytes.truncate(bytes.len() - 1000));
    let zst = fixture.zst();
    let mut head = [0; 4096];
    assert_eq!(zst.read_at(0, &mut head).expect("before the damage"), head.len());
    assert!(zst.finish().is_err());
    assert_eq!(zst.read_at(0, &mut head).expect("still before the damage"), head.len());
    assert!(head == fixture.content[..4096]);
    assert!(zst.copy::<()>(0..4096, |_| Ok(())).is_ok());
    assert!(zst.verify(&(0..4096)).is_err());
    assert!(!zst.is_intact(&(0..4096)));
}

#[test]
fn a_wrong_checksum_is_told_from_corrupt_data() {
    let error = small().damaged(|bytes| *bytes.last_mut().expect("not empty") ^= 1).error();
    assert!(matches!(error, Error::Checksum { frame: 0 }), "{error}");
    // Block_Type 3 of the first block, behind a frame header of 6 bytes: RFC 8878 section 3.1.1.2.2.
    let error = small().damaged(|bytes| bytes[6] |= 0b110).error();
    assert!(matches!(error, Error::Corrupt { frame: 0, .. }), "{error}");
}

#[test]
fn what_follows_the_last_frame_is_trailing_garbage() {
    let frame = fs::read(&small().path).expect("readable");
    let padded = |garbage: &[u8]| [&vec![0; 70_000], garbage].concat();
    for (garbage, part) in [
        (b"garbage".to_vec(), "bytes 67 61 72"),
        (b"\x1f\x8b\x08".to_vec(), "gzip data"),
        (padded(b"garbage"), "zeros, and from byte {at} on bytes 67 61 72"),
        (padded(b"\x01"), "zeros, and from byte {at} on bytes 01"),
        (padded(&frame), "zeros, and from byte {at} on a frame"),
        ([&padded(&frame)[..], &[0; 10]].concat(), "zeros, and from byte {at} on a frame"),
    ] {
        let part = part.replace("{at}", &(frame.len() + 70_000).to_string());
        for engine in [Engine::Decode, Engine::Skip, Engine::Auto] {
            let fixture = small().damaged(|bytes| bytes.extend_from_slice(&garbage));
            let zst = fixture.by(engine);
            let whole = 0..fixture.content.len() as u64;
            assert!(zst.copy::<()>(whole.clone(), |_| Ok(())).is_ok());
            let error = zst.finish().expect_err("garbage");
            assert!(
                matches!(error, Error::TrailingGarbage { length, .. } if length == garbage.len() as u64),
                "{error}"
            );
            assert!(error.to_string().contains(&part), "{error}");
            assert!(zst.is_intact(&whole), "the frame itself is whole");
            assert_eq!(zst.padding(), None);
        }
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn zeros_to_the_end_of_the_file_are_padding() {
    let several = || {
        let command = "split -b 300000 $IN $IN.; for part in $IN.*; do zstd -q -c $part >> $OUT; done";
        made_by("zstd", content(1 << 20), command)
    };
    for (which, make) in [("one frame", small as fn() -> Fixture), ("several", several)] {
        for zeros in [1, 3, 4, 9, 17, 18, 19, 512, 9960, 3_000_000] {
            for engine in [Engine::Decode, Engine::Skip, Engine::Auto] {
                let fixture = make();
                let offset = fs::metadata(&fixture.path).expect("there").len();
                let fixture = fixture.damaged(|bytes| bytes.resize(bytes.len() + zeros, 0));
                let what = format!("{zeros} zeros behind {which}, {engine:?}");
                let zst = fixture.by(engine);
                let len = fixture.content.len() as u64;
                assert_eq!(zst.read_at(len, &mut [0; 10]).expect("the end"), 0, "{what}");
                assert_eq!(zst.finish().expect("whole"), len, "{what}");
                let padding = zst.padding().expect("padding");
                assert_eq!((padding.offset, padding.length), (offset, zeros as u64), "{what}");
                let mut bytes = vec![0; fixture.content.len()];
                zst.read_exact_at(0, &mut bytes).expect("readable");
                assert!(bytes == fixture.content, "{what}");
                assert!(!zst.distrust() || engine != Engine::Decode, "{what}");
                assert_eq!(zst.finish().expect("whole"), len, "{what}, decoded again");
                assert_eq!(zst.padding(), Some(padding), "{what}");
            }
        }
    }
}

#[test]
fn padding_does_not_have_the_file_decoded() {
    let fixture = made_by("zstd", content(8 << 20), "zstd -q < $IN > $OUT");
    let fixture = fixture.damaged(|bytes| bytes.resize(bytes.len() + 5000, 0));
    for engine in [Engine::Skip, Engine::Auto] {
        let zst = fixture.by(engine);
        zst.finish().expect("whole");
        let totals = zst.totals();
        assert_eq!((totals.decoded_once, totals.fallbacks), (0, 0), "{engine:?}");
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn what_bsdtar_pads_is_whole() {
    let fixture = made_by("libarchive-tools", content(3_000_000), "bsdtar --zstd -cf - $IN > $OUT");
    for engine in [Engine::Decode, Engine::Skip, Engine::Auto] {
        let zst = fixture.by(engine);
        zst.finish().expect("whole");
        assert!(zst.padding().is_some_and(|padding| padding.length < 10240), "{engine:?}");
    }
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn other_formats_are_named() {
    for (package, command, name) in [
        ("gzip", "gzip < $IN > $OUT", "gzip"),
        ("xz-utils", "xz -0 < $IN > $OUT", "xz"),
        ("bzip2", "bzip2 < $IN > $OUT", "bzip2"),
        ("tar", "tar -cf $OUT -P $IN", "uncompressed tar"),
    ] {
        let error = made_by(package, content(1000), command).error();
        assert!(matches!(&error, Error::NotZstd { found } if found.contains(name)), "{error}");
    }
}

#[test]
fn a_window_above_the_limit_is_refused_before_anything_is_allocated() {
    let fixture = made_by("zstd", content(1000), "zstd -q --long=31 --ultra -19 < $IN > $OUT");
    assert!(matches!(fixture.error(), Error::WindowTooLarge { window: 0x8000_0000, limit: 0x0800_0000, .. }));
    let options = Options { engine: Engine::Decode, max_window: 1 << 31, ..Options::default() };
    let zst = ZstFile::open(&fixture.path, options).expect("opens");
    assert_eq!(zst.finish().expect("within the limit"), 1000);
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn a_dictionary_that_is_not_at_hand_is_named() {
    let command = "split -b 2000 $IN $IN.; zstd -q --train $IN.* -o $IN-dict --maxdict=4096 --dictID=77; zstd -q -D $IN-dict $IN -o $OUT";
    let error = made_by("zstd", content(400_000), command).error();
    assert!(matches!(error, Error::Dictionary { id: 77, .. }), "{error}");
}

#[test]
fn a_frame_that_was_made_with_a_reference_file_says_so() {
    // Half of it is in the reference, from the second block on or from the first.
    for (new, options) in [(0, ""), (0, "-19 --long=27"), (300_000, ""), (300_000, "--no-check"), (5_000_000, "-1")] {
        let own = hostile::noise(new, 5);
        let command = format!(
            "tail -c +{} $IN > $IN.ref; zstd -q {options} --patch-from=$IN.ref $IN -o $OUT 2> $IN.said; zstd -q -d --patch-from=$IN.ref $OUT -c | cmp - $IN",
            new + 1
        );
        let bytes = [own, content(3_000_000)].concat();
        let alone = made_by("zstd", bytes.clone(), &command);
        let behind = format!("{command}; zstd -q -c $IN.ref > $IN.zst; cat $OUT >> $IN.zst; mv $IN.zst $OUT");
        let behind = made_by("zstd", bytes, &behind);
        for (fixture, is_behind) in [(alone, false), (behind, true)] {
            for engine in [Engine::Decode, Engine::Skip, Engine::Auto] {
                let zst = fixture.by(engine);
                let mut bytes = vec![0; 8_000_000 + new];
                let error = zst.read_at(0, &mut bytes).expect_err("the reference is not at hand");
                let error = Error::within(&error).expect("ours").clone();
                assert!(
                    matches!(error, Error::Reference { frame, reach: 1.. } if (frame > 0) == is_behind),
                    "{options} {new}: {error}"
                );
                assert!(error.to_string().contains("--patch-from"), "{error}");
                assert_eq!(
                    zst.read_at(0, &mut [0; 100]).is_ok(),
                    is_behind || new > 0,
                    "what lies before it can be had"
                );
                // More memory for its window would not help.
                let options = Options { engine, max_window: 1 << 20, ..Options::default() };
                let zst = ZstFile::open(&fixture.path, options).expect("opens");
                let error = zst.read_at(0, &mut bytes).expect_err("the reference is not at hand");
                let error = Error::within(&error).expect("ours");
                let is_first = is_behind && matches!(error, Error::WindowTooLarge { frame: 0, .. });
                assert!(is_first || matches!(error, Error::Reference { .. }), "{error}");
            }
        }
    }
}

#[test]
fn damage_is_hardly_ever_taken_for_a_reference() {
    // Blocks of sequences, early in the frame: where a wrong offset easily is one too far.
    let words: Vec<String> = content(120_000).chunks(2).map(|pair| (u32::from(pair[0]) * 40).to_string()).collect();
    let fixture = made_by("zstd", words.join(" ").into_bytes(), "zstd -q -5 --no-check < $IN > $OUT");
    let whole = fs::read(&fixture.path).expect("readable");
    let (mut corrupt, mut references) = (0, 0);
    for step in 0..1000 {
        let mut bytes = whole.clone();
        let at = 10 + step * 7919 % (bytes.len() - 20);
        bytes[at] ^= 1 << (step % 8);
        fs::write(&fixture.path, &bytes).expect("writable");
        match fixture.zst().finish() {
            Err(Error::Corrupt { .. }) => corrupt += 1,
            Err(Error::Reference { .. }) => references += 1,
            _ => {}
        }
    }
    eprintln!("{corrupt} corrupt, {references} taken for a reference");
    assert!(corrupt > 100 && references * 50 < corrupt, "{corrupt}, {references}");
}

#[test]
fn an_empty_file_a_folder_and_a_fifo_are_not_opened() {
    let folder = TempDir::new().expect("a temporary folder");
    let open = |path: &Path| ZstFile::open(path, Options::default()).err().expect("refused");
    fs::write(folder.path().join("empty"), "").expect("written");
    assert!(matches!(open(&folder.path().join("empty")), Error::Empty));
    assert!(matches!(open(folder.path()), Error::NotAFile));
    let fifo = folder.path().join("fifo");
    run("coreutils", "mkfifo", &[fifo.to_str().expect("UTF-8")], "");
    assert!(matches!(open(&fifo), Error::NotAFile));
    assert!(matches!(open(&folder.path().join("none")), Error::Open { .. }));
}

#[test]
fn a_file_that_changes_under_its_reader_is_noticed() {
    let fixture = small();
    let zst = fixture.zst();
    zst.finish().expect("intact");
    zst.check_unchanged().expect("unchanged");
    let bytes = fs::read(&fixture.path).expect("readable");
    fs::write(fixture.path.with_extension("new"), &bytes).expect("written");
    fs::rename(fixture.path.with_extension("new"), &fixture.path).expect("replaced");
    assert_eq!(zst.check_unchanged().expect_err("replaced").code().as_str(), "changed");

    let zst = fixture.zst();
    fs::OpenOptions::new().write(true).open(&fixture.path).and_then(|file| file.set_len(100)).expect("cut");
    assert!(matches!(zst.check_unchanged(), Err(Error::Changed(_))));
    assert!(matches!(zst.finish(), Err(Error::Changed(_))));
}

#[test]
fn a_stop_is_heard_and_is_not_remembered_as_damage() {
    let fixture = small();
    let stop = Arc::new(AtomicBool::new(true));
    let meter = Arc::new(Meter::new(Arc::clone(&stop)));
    let zst = ZstFile::open(&fixture.path, Options { meter, ..Options::default() }).expect("opens");
    let error = zst.read_at(0, &mut [0; 10]).expect_err("stopped");
    assert!(matches!(Error::within(&error), Some(Error::Interrupted)));
    stop.store(false, std::sync::atomic::Ordering::SeqCst);
    assert!(zst.finish().is_ok());
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn reads_that_go_back_begin_at_the_frame_and_not_at_the_file() {
    let fixture = made_by("zstd", content(80 << 20), "zstd -q -1 -T2 $IN -o $IN.one; pzstd -q -1 -p 2 $IN -o $OUT");
    let zst = fixture.zst();
    let len = zst.finish().expect("intact");
    let decoded_once = zst.totals().redecoded;
    zst.read_at(len / 2, &mut [0; 100]).expect("readable");
    let again = zst.totals();
    assert_eq!((decoded_once, again.rewinds), (0, 1));
    assert!(again.redecoded < len / 2, "{} of {len} bytes were decoded again", again.redecoded);
}

#[test]
fn what_is_far_behind_is_dear_and_nothing_else_is() {
    const GIB: u64 = 1 << 30;
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("zeros.zst");
    fs::write(&path, hostile::Frame::new().fill(0, 5 * GIB).end()).expect("written");
    let zst = ZstFile::open(&path, Options { engine: Engine::Decode, ..Options::default() }).expect("opens");
    let cheap = zst.cheaply();
    for position in [4 * GIB + 100, 4 * GIB, GIB, 5 * GIB - 1] {
        assert_eq!(
            cheap.read_at(position, &mut [1]).expect("ahead, or not far from the frame's start"),
            1,
            "{position}"
        );
    }
    let error = cheap.read_at(4 * GIB + 100, &mut [1]).expect_err("4 GiB are to be decoded again");
    assert!(matches!(Error::within(&error), Some(Error::Dear { position }) if *position == 4 * GIB + 100));
    assert_eq!(zst.totals().rewinds, 1, "what is refused moves nothing");
}
