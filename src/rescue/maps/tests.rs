//! Tests of [`Maps`] over tars in memory.

use crate::member::{Item, walk};

use super::*;

/// A tar, and what is known of the maps in it.
struct Tar {
    bytes: Vec<u8>,
    members: Vec<(Vec<u8>, Content)>,
    maps: Maps,
}

/// A map that says nothing was read, of an image of so many bytes.
fn map(bytes: u64) -> Vec<u8> {
    format!("0 ?\n0 {bytes} ?\n").into_bytes()
}

impl Tar {
    fn of(files: &[(&str, &[u8])]) -> Tar {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            builder.append_data(&mut header, path, *content).expect("memory");
        }
        let bytes = builder.into_inner().expect("memory");
        let mut members = Vec::new();
        let mut walk = walk(&bytes);
        while let Ok(Some(Item::Member(member))) = walk.next() {
            members.push((member.path, member.content));
        }
        assert_eq!(members.len(), files.len());
        Tar { bytes, members, maps: Maps::new(".img".parse().expect("a suffix")) }
    }

    /// Meets all members, the images among them.
    fn met(files: &[(&str, &[u8])]) -> Tar {
        let mut tar = Tar::of(files);
        for (path, content) in &tar.members {
            if path.to_ascii_lowercase().ends_with(b".img") {
                tar.maps.add_image(path);
            } else {
                tar.maps.add(path, content);
            }
        }
        tar
    }

    /// How large the map of an image says that it is; 0 where there is none, and the reason where it cannot be used.
    fn end_of(&mut self, image: &str) -> Result<u64, String> {
        match self.maps.of(image.as_bytes(), &self.bytes) {
            Known::Nothing => Ok(0),
            Known::Map(map) => Ok(map.end),
            Known::Unusable(cause) => Err(cause.message),
        }
    }
}

#[test]
fn every_name_that_people_give_a_map_counts() {
    for name in
        ["x/ab.map", "./x/ab.img.MAP", "x/ab.mapfile", "x/ab.img.mapfile", "x/ab.log", "x/ab.IMG.log", "x/mapfile"]
    {
        let mut tar = Tar::met(&[("x/ab.img", b""), ("y/ab.img", b""), (name, &map(7))]);
        // The suffix of the image is a part of its name, as its map has it.
        let expected = if name == "x/ab.IMG.log" { 0 } else { 7 };
        assert_eq!(tar.end_of("x/ab.img"), Ok(expected), "{name}");
        assert_eq!(tar.end_of("y/ab.img"), Ok(0), "{name}");
        assert_eq!(tar.maps.take_warnings(), []);
    }
}

#[test]
fn the_plainest_name_counts_and_among_those_the_later() {
    let files: [(&str, &[u8]); 6] = [
        ("mapfile", &map(1)),
        ("ab.img.map", &map(5)),
        ("ab.map", &map(2)),
        ("ab.img", b""),
        ("ab.mapfile", &map(3)),
        ("ab.log", &map(4)),
    ];
    assert_eq!(Tar::met(&files).end_of("ab.img"), Ok(2));
    assert_eq!(Tar::met(&files[3..]).end_of("ab.img"), Ok(3));
    assert_eq!(Tar::met(&files[..2]).end_of("ab.img"), Ok(5));
}

#[test]
fn a_later_map_of_the_same_name_replaces_the_earlier() {
    let mut tar = Tar::of(&[("ab.map", &map(1)), ("ab.img", b""), ("./ab.MAP", &map(2)), ("ab.map", b"none")]);
    let members = tar.members.clone();
    tar.maps.add(&members[0].0, &members[0].1);
    tar.maps.add_image(b"ab.img");
    assert_eq!(tar.end_of("ab.img"), Ok(1));
    tar.maps.add(&members[2].0, &members[2].1);
    tar.maps.read_wanted(&tar.bytes);
    assert_eq!(tar.end_of("ab.img"), Ok(2));
    tar.maps.add(&members[3].0, &members[3].1);
    assert!(tar.end_of("ab.img").is_err());
}

#[test]
fn a_map_that_cannot_be_used_is_warned_of_once_and_counts_only_where_no_other_does() {
    let mut tar = Tar::met(&[("ab.img", b""), ("ab.map", b"0x0 0x9 -\n"), ("cd.img", b""), ("cd.map", b"")]);
    let told = "ab.map cannot be used: line 1 of the rescue map should be the status line".to_owned();
    assert_eq!(tar.end_of("ab.img"), Err(told.clone()));
    assert_eq!(tar.end_of("ab.img"), Err(told));
    let warnings = |tar: &mut Tar| tar.maps.take_warnings().into_iter().map(|cause| cause.message).collect::<Vec<_>>();
    let warned = ["ab.map is ignored: line 1 of the rescue map should be the status line"];
    assert_eq!(warnings(&mut tar), warned);
    assert_eq!(tar.end_of("cd.img"), Err("cd.map cannot be used: the rescue map has no status line".to_owned()));
    let mut tar = Tar::met(&[("ab.img", b""), ("ab.map", b"{}"), ("ab.img.mapfile", &map(3))]);
    assert_eq!((tar.end_of("ab.img"), warnings(&mut tar).len()), (Ok(3), 1));
}

#[test]
fn a_map_that_was_read_before_its_image_is_warned_of_with_the_image() {
    let mut tar = Tar::of(&[("app.js.map", b"{}"), ("ab.map", b"{}"), ("cd.map", &map(3))]);
    for (path, content) in &tar.members.clone() {
        tar.maps.add(path, content);
        tar.maps.read_newest(&tar.bytes);
        tar.maps.read_wanted(&tar.bytes);
    }
    tar.bytes.clear();
    assert_eq!(tar.maps.take_warnings(), []);
    tar.maps.add_image(b"ab.img");
    tar.maps.add_image(b"cd.img");
    assert_eq!(tar.end_of("cd.img"), Ok(3));
    assert!(tar.end_of("ab.img").is_err());
    assert_eq!(tar.maps.take_warnings().len(), 1);
    tar.maps.read_late(&tar.bytes);
    assert_eq!(tar.maps.take_warnings(), []);
}

#[test]
fn a_log_that_is_no_map_is_no_business_of_ours_unless_ddrescue_wrote_it() {
    let log = b"[12:00] reading /dev/sr0\n".repeat(1000);
    for name in ["ab.log", "mapfile"] {
        let mut tar = Tar::met(&[("ab.img", b""), (name, &log)]);
        assert_eq!((tar.end_of("ab.img"), tar.maps.take_warnings().len()), (Ok(0), 0));
        let broken = b"# Rescue Logfile. Created by GNU ddrescue version 1.5\n0x0 0x9 -\n";
        let mut tar = Tar::met(&[("ab.img", b""), (name, broken)]);
        assert!(tar.end_of("ab.img").is_err());
        assert_eq!(tar.maps.take_warnings().len(), 1);
    }
}

#[test]
fn a_map_that_is_named_after_no_image_is_of_the_only_one_in_its_folder() {
    let mut tar = Tar::met(&[("x/ab.img", b""), ("x/mapfile", &map(3)), ("x/y/cd.img", b"")]);
    assert_eq!((tar.end_of("x/ab.img"), tar.end_of("x/y/cd.img")), (Ok(3), Ok(0)));
    tar.maps.add_image(b"x/cd.img");
    assert_eq!((tar.end_of("x/ab.img"), tar.end_of("x/cd.img")), (Ok(0), Ok(0)));
}

#[test]
fn a_map_that_comes_late_is_read_for_its_warning() {
    let mut tar = Tar::met(&[("ab.img", b""), ("cd.img", b"")]);
    assert_eq!(tar.end_of("ab.img"), Ok(0));
    let Tar { bytes, members, .. } =
        Tar::of(&[("ab.map", b"?"), ("cd.map", b"?"), ("ab.log", b"?"), ("app.js.map", b"{")]);
    for (path, content) in &members {
        assert!(tar.maps.add(path, content));
    }
    tar.maps.read_late(&bytes);
    let warnings = tar.maps.take_warnings();
    assert!(matches!(&warnings[..], [cause] if cause.message.starts_with("ab.map ")), "{warnings:?}");
}

#[test]
fn what_is_remembered_is_bounded_and_the_maps_of_images_are_forgotten_last() {
    let mut tar = Tar::of(&[("ab.map", &map(1)), ("new.map", &map(2)), ("old.map", &map(3))]);
    let members = tar.members.clone();
    tar.maps.add_image(b"ab.img");
    tar.maps.add(&members[0].0, &members[0].1);
    tar.maps.add(&members[2].0, &members[2].1);
    for number in 0..10 * MAX_WAITING {
        tar.maps.add(format!("{number}.js.map").as_bytes(), &members[0].1);
        assert!(tar.maps.candidates.len() <= 2 * MAX_WAITING + 2);
    }
    tar.maps.add(&members[1].0, &members[1].1);
    let known = ["ab.img", "new.img", "old.img"].map(|image| tar.end_of(image));
    assert_eq!(known, [Ok(1), Ok(2), Ok(0)]);
    assert_eq!(tar.maps.take_warnings().len(), 1);
    for number in 0..MAX_IMAGES {
        let path = format!("{number}/{number}{}", "x".repeat(300));
        tar.maps.add_image(format!("{path}.img").as_bytes());
        tar.maps.add(format!("{path}.map").as_bytes(), &members[0].1);
        assert!(tar.maps.memory <= MAX_MEMORY && tar.maps.images.len() <= MAX_IMAGES);
    }
    assert!(!tar.maps.add(&[b'x'; MAX_PATH + 1], &members[0].1));
}
