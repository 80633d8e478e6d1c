//! What holds for any damage, tried with damage drawn at random: nothing panics, nothing half is staged, and an image is
//! never passed over as one with few partitions because of damage that shows.
//!
//! The invariant: as long as the bytes that can be decoded before the damage shows are those of the intact archive, an
//! image's verdict is the intact archive's, or an error.

#[path = "common/hostile.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Read};
use std::sync::{Mutex, OnceLock};

use imgsieve::config::{self, Config};
use imgsieve::event::{Action, Event};
use imgsieve::exit::Exit;
use imgsieve::run::{Control, Observer, Stop};
use imgsieve::scan;
use proptest::prelude::*;
use support::*;

const HASH: &str = "0123456789abcdef0123456789abcdef";

/// The form of the intact archive in which its one frame has no checksum.
const WITHOUT_CHECKSUM: usize = 2;

/// The intact archive: an image with two partitions, one with one, one with none, and others; as a tar and compressed,
/// in one frame, in many, and in one without a checksum.
struct Intact {
    tar: Vec<u8>,
    /// Where each member ends in the tar.
    ends: Vec<usize>,
    images: BTreeMap<&'static str, Vec<u8>>,
    compressed: Vec<Vec<u8>>,
}

fn intact() -> &'static Intact {
    static INTACT: OnceLock<Intact> = OnceLock::new();
    INTACT.get_or_init(|| {
        let short = |partitions, seed| {
            let mut bytes = noise(150_000, seed);
            bytes[..512].copy_from_slice(&mbr(partitions));
            bytes
        };
        // An image of text, which zstd compresses: a flip there is seen by its entropy coder.
        let mut text: Vec<u8> = (0..40_000_u32).flat_map(|number| (number * number).to_string().into_bytes()).collect();
        text[..512].copy_from_slice(&mbr(2));
        let images = BTreeMap::from([
            ("multi.img", short(2, 1)),
            ("single.img", short(1, 2)),
            ("text.img", text),
            ("last.img", short(3, 3)),
        ]);
        let members = [
            member(b"notes.log", &noise(3000, 4)),
            member(b"multi.img", &images["multi.img"]),
            member(b"a/single.img", &images["single.img"]),
            member(b"text.img", &images["text.img"]),
            member(b"last.img", &images["last.img"]),
            member(b"last.map", b"# Mapfile.\n0x0 +\n0x00 0x40000 +\n"),
        ];
        let ends = members
            .iter()
            .scan(0, |end, member| {
                *end += member.len();
                Some(*end)
            })
            .collect();
        let tar = tar(&members);
        let many = tar.chunks(70_001).map(zst).collect::<Vec<_>>().concat();
        let compressed = vec![zst(&tar), many, zstd::bulk::compress(&tar, 5).expect("memory")];
        Intact { tar, ends, images, compressed }
    })
}

#[derive(Debug)]
struct Verdict {
    name: String,
    action: &'static str,
    verified: Option<bool>,
}

#[derive(Default)]
struct Notes {
    verdicts: Mutex<Vec<Verdict>>,
    errors: Mutex<Vec<String>>,
    found: Mutex<usize>,
}

impl Observer for Notes {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        match event {
            Event::ImageFound { .. } => *self.found.lock().expect("not poisoned") += 1,
            Event::PartitionCheck { image, check, .. } => {
                let verified = match &check.action {
                    Action::Kept(kept) => kept.verified,
                    _ => None,
                };
                let name = String::from_utf8_lossy(&image.name).into_owned();
                let verdict = Verdict { name, action: check.action.as_str(), verified };
                self.verdicts.lock().expect("not poisoned").push(verdict);
            }
            Event::Error { cause, .. } | Event::ArchiveFailed { cause, .. } => {
                self.errors.lock().expect("not poisoned").push(format!("{}: {}", cause.code, cause.message));
            }
            _ => {}
        }
        Ok(())
    }
}

struct Survey {
    verdicts: Vec<Verdict>,
    errors: Vec<String>,
    exit: Exit,
    /// What is staged, by path in the archive's folder.
    staged: BTreeMap<String, Vec<u8>>,
}

/// Surveys an archive of these bytes.
fn survey(bytes: &[u8]) -> Survey {
    let site = Site::new();
    site.archive(HASH, bytes);
    let mut settings = config::Site::read(&site.folder.path().join("site.toml")).expect("a site file");
    settings.collection = vec![site.path(HASH)];
    let notes = Notes::default();
    let exit = scan::run(&Config::new(settings), &Control::new(), &[&notes]).exit;
    let staged = site.staged();
    assert!(!staged.keys().any(|name| name.ends_with(".partial") || name.ends_with("(empty)")), "{staged:?}");
    let read = |name: String| {
        let bytes = fs::read(site.staging.join(&name)).expect("staged");
        (name.strip_prefix(HASH).expect("in its folder").trim_start_matches('/').to_owned(), bytes)
    };
    let staged = staged.into_keys().map(read).collect();
    let verdicts = notes.verdicts.into_inner().expect("not poisoned");
    let errors = notes.errors.into_inner().expect("not poisoned");
    assert!(!errors.iter().any(|error| error.starts_with("panic")), "{errors:?}");
    assert_eq!(notes.found.into_inner().expect("not poisoned"), verdicts.len(), "one verdict an image");
    let kept = verdicts.iter().filter(|verdict| verdict.action == "KEPT").count();
    assert_eq!(kept, BTreeMap::len(&staged), "what is kept is what is staged");
    Survey { verdicts, errors, exit, staged }
}

/// What zstd decodes before it fails, byte by byte of input, so that nothing is lost to the call that fails; and whether
/// it does.
fn decode(bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut decoded = Vec::new();
    let mut piece = vec![0; 64 << 10];
    let input = BufReader::with_capacity(1, bytes);
    let Ok(mut stream) = zstd::stream::read::Decoder::with_buffer(input) else { return (decoded, true) };
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (decoded, false),
            Ok(length) => decoded.extend_from_slice(&piece[..length]),
            Err(_) => return (decoded, true),
        }
    }
}

/// The invariant, of a damaged archive of this form.
fn check(bytes: &[u8], form: usize) {
    let intact = intact();
    let survey = survey(bytes);
    let (decoded, fails) = decode(bytes);
    let is_sound = intact.tar.starts_with(&decoded);
    if fails {
        assert_eq!(survey.exit, Exit::Failure, "damage that zstd sees is an error: {:?}", survey.verdicts);
    }
    for Verdict { name, action, verified } in &survey.verdicts {
        let Some(image) = intact.images.get(name.as_str()) else {
            assert!(!is_sound, "{name} is in no intact archive");
            continue;
        };
        if is_sound {
            let expected = if name == "single.img" { "deleted" } else { "KEPT" };
            assert!([expected, "error"].contains(action), "{name}: {action}, {:?}", survey.errors);
            if *action == "KEPT" {
                assert!(survey.staged[name] == *image, "{name} is staged as it was");
            }
        }
        // Without a checksum, an image counts as verified by its length.
        if *verified == Some(true) && form != WITHOUT_CHECKSUM {
            assert!(survey.staged[name] == *image, "{name} is verified");
        }
        if *action == "KEPT" && is_sound && decoded.len() < intact.tar.len() && !fails {
            assert_eq!(survey.exit, Exit::Failure, "an archive cut short is an error");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_archive_cut_anywhere_gives_no_wrong_verdict_and_no_half_image(
        form in 0..3_usize,
        at in any::<prop::sample::Index>(),
    ) {
        let whole = &intact().compressed[form];
        check(&whole[..at.index(whole.len())], form);
    }

    #[test]
    fn flipped_bytes_anywhere_give_no_wrong_verdict_and_no_half_image(
        form in 0..3_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..4),
    ) {
        let mut bytes = intact().compressed[form].clone();
        for (at, bits) in flips {
            let at = at.index(bytes.len());
            bytes[at] ^= bits;
        }
        check(&bytes, form);
    }

    #[test]
    fn bytes_taken_out_put_in_or_doubled_give_no_wrong_verdict(
        form in 0..3_usize,
        at in any::<prop::sample::Index>(),
        length in 0..5000_usize,
        with in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let mut bytes = intact().compressed[form].clone();
        let at = at.index(bytes.len());
        let end = (at + length).min(bytes.len());
        bytes.splice(at..end, with);
        check(&bytes, form);
    }

    #[test]
    fn damage_in_the_tar_leaves_the_images_before_it_as_they_are(
        flips in prop::collection::vec((any::<prop::sample::Index>(), 1..=u8::MAX), 1..6),
        in_headers in any::<bool>(),
    ) {
        let intact = intact();
        let mut tar = intact.tar.clone();
        let mut first = tar.len();
        for (at, bits) in flips {
            // Headers are few, and what is interesting.
            let at = if in_headers {
                let starts: Vec<usize> = std::iter::once(0).chain(intact.ends.iter().copied()).collect();
                starts[at.index(starts.len())] + at.index(BLOCK)
            } else {
                at.index(tar.len())
            };
            tar[at] ^= bits;
            first = first.min(at);
        }
        let survey = survey(&zst(&tar));
        let before = intact.ends.iter().filter(|&&end| end <= first).count();
        for name in ["multi.img", "single.img", "text.img", "last.img"].iter().take(before.saturating_sub(1)) {
            let verdict = survey.verdicts.iter().find(|verdict| verdict.name == **name).expect("found");
            if *name == "single.img" {
                prop_assert_eq!(verdict.action, "deleted");
            } else {
                prop_assert_eq!(verdict.action, "KEPT");
                prop_assert!(survey.staged[*name] == intact.images[name]);
            }
        }
    }

    #[test]
    fn an_archive_of_random_bytes_panics_nowhere(
        bytes in prop::collection::vec(any::<u8>(), 1..3000),
        layer in 0..4_u8,
    ) {
        let damaged = match layer {
            0 => bytes,
            1 => [&[0x28, 0xB5, 0x2F, 0xFD][..], &bytes].concat(),
            2 => zst(&bytes),
            _ => {
                // A good header with whatever follows it.
                let mut block = header(b"x.img", 2048, b"0SxLgK"[bytes.len() % 6]);
                let at = 345 + bytes.len() % 150;
                block[at..(at + bytes.len()).min(512)].copy_from_slice(&bytes[..bytes.len().min(512 - at)]);
                seal(&mut block);
                zst(&[&block[..], &bytes].concat())
            }
        };
        survey(&damaged);
    }
}

#[test]
fn the_intact_archive_is_surveyed_as_it_is() {
    for (form, bytes) in intact().compressed.iter().enumerate() {
        let survey = survey(bytes);
        assert_eq!((survey.exit, survey.errors.len()), (Exit::Success, 0), "{:?}", survey.errors);
        let actions: BTreeMap<_, _> =
            survey.verdicts.iter().map(|verdict| (&verdict.name[..], verdict.action)).collect();
        let expected = [("multi.img", "KEPT"), ("single.img", "deleted"), ("text.img", "KEPT"), ("last.img", "KEPT")];
        assert_eq!(actions, BTreeMap::from(expected));
        check(bytes, form);
    }
}
