//! Archives in object storage that are replaced while they are read, and stores that break rules: what is said is so, or is an
//! error. The server is the tests' own (`common/store.rs`).

#![cfg(feature = "cloud")]

#[path = "common/cloud.rs"]
mod cloud;
mod common;
#[path = "common/hostile.rs"]
mod hostile;
#[path = "common/store.rs"]
mod store;

use std::time::{Duration, Instant};

use cloud::{DENSE, dense, inspect, of, put_fixture, run, site_of};
use common::fixture;
use common::scan::{self, Scan, imgsieve, of_stage};
use hostile::{MIB, mbr};
use serde_json::{Value, json};
use store::{BUCKET, Faults, Object, Server};

#[test]
fn a_body_that_is_longer_than_what_was_asked_for_is_an_error_of_the_archive() {
    let server = Server::start();
    server.put(&format!("d/{DENSE}.tar.zst"), Object::new(vec![0; 9 * MIB], "endless"));
    server.set(Faults { endless: true, ..Faults::default() });
    let scan = site_of("d");
    let begun = Instant::now();
    let ended = run(&server, &scan, &["--dry-run"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("more bytes came than were asked for"), "{}", ended.stderr);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn an_object_that_is_replaced_while_it_is_read_is_told_as_changed() {
    let server = Server::start();
    let bytes = dense();
    let key = format!("d/{DENSE}.tar.zst");
    server.put(&key, Object::new(bytes.clone(), "dense"));
    let other = || Object::new(bytes.clone(), "other");
    let untagged = Object { etag: None, version: None, ..other() };
    let versioned = |version: &str| Object { version: Some(version.to_owned()), ..Object::new(bytes.clone(), "dense") };
    let shorter = Object::new(bytes[..bytes.len() / 2].to_vec(), "shorter");
    let cases = [
        ("refused by the server", false, None, other()),
        ("noticed by us alone", true, None, other()),
        ("of another version", true, Some(versioned("1")), versioned("2")),
        ("without a tag now", true, None, Object { length: untagged.length - 1, ..untagged }),
        ("cut short", true, None, shorter.clone()),
        ("cut short, and refused", false, None, shorter),
    ];
    for (name, ignores_match, first, replacement) in cases {
        // The second GET is another one's; the last of them is none, so that only the look at the end can tell.
        for from in [2, 4] {
            if let Some(first) = &first {
                server.put(&key, first.clone());
            }
            server.set(Faults { ignores_match, replaced: Some((from, replacement.clone())), ..Faults::default() });
            let scan = site_of("d");
            let ended = run(&server, &scan, &["--dry-run", "--engine", "decode"]);
            assert_eq!(ended.code, 1, "{name}: {ended:?}");
            let errors = scan.logged().iter().filter(|l| l["stage"] == "error").cloned().collect::<Vec<_>>();
            assert!(
                errors.iter().any(|e| e["scope"] == "archive" && e["reason"] == "changed"),
                "{name} {from}: {errors:?}"
            );
        }
        server.put(&key, Object::new(bytes.clone(), "dense"));
    }
}

#[test]
fn an_object_that_is_replaced_once_it_was_read_is_told_as_changed() {
    let server = Server::start();
    let fixture = fixture::quick_collection().remove(0);
    let bytes = std::fs::read(fixture.path()).expect("bytes");
    server.put(&format!("d/{}.tar.zst", fixture.hash), Object::new(bytes.clone(), "one"));
    // One GET takes all of it.
    server.set(Faults { replaced: Some((2, Object::new(bytes, "two"))), ..Faults::default() });
    let scan = site_of("d");
    assert_eq!(run(&server, &scan, &["--dry-run"]).code, 1);
    let errors = scan.logged();
    assert_eq!(of_stage(&errors, "error")[0]["reason"], "changed", "{errors:?}");
    assert_eq!(server.counts().1, 1);
}

#[test]
fn an_object_that_is_replaced_between_listing_and_opening_is_told_as_changed() {
    let server = Server::start();
    let fixture = fixture::quick_collection().remove(0);
    let bytes = std::fs::read(fixture.path()).expect("bytes");
    let key = format!("d/{}.tar.zst", fixture.hash);
    let object = |etag: &str| Object::new(bytes.clone(), etag);
    let longer = Object { length: bytes.len() as u64 + 1, ..object("one") };
    for (first, replacement) in [("one", object("two")), ("one", longer), ("W/\"a\"", object("W/\"b\""))] {
        server.put(&key, object(first));
        for quick in [&[][..], &["--quick"]] {
            server.set(Faults { ignores_match: true, replaced: Some((1, replacement.clone())), ..Faults::default() });
            let scan = site_of("d");
            assert_eq!(run(&server, &scan, &[&["--dry-run"], quick].concat()).code, 1);
            let lines = scan.logged();
            let error = of_stage(&lines, "error")[0];
            assert_eq!(error["reason"], "changed", "{error}");
            assert!(error["message"].to_string().contains("after it was listed"), "{error}");
            assert!(of_stage(&lines, "partition_check").is_empty());
        }
    }
    // A weak tag that stays, with a time that stays, is the same object.
    server.put(&key, object("W/\"a\""));
    server.set(Faults::default());
    assert_eq!(run(&server, &site_of("d"), &["--dry-run"]).code, 0);
}

#[test]
fn what_nothing_would_tell_from_another_object_is_not_read() {
    let server = Server::start();
    let fixture = fixture::quick_collection().remove(0);
    let bytes = std::fs::read(fixture.path()).expect("bytes");
    let key = format!("d/{}.tar.zst", fixture.hash);
    let web = format!("{}/{key}", server.web());
    for etag in [None, Some("W/\"a\"".to_owned())] {
        server.put(&key, Object { etag, is_timeless: true, ..Object::new(bytes.clone(), "") });
        for url in [&web, &format!("s3://{BUCKET}/{key}")] {
            let ended = run(&server, &Scan::new(), &["--dry-run", url]);
            assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
            assert!(ended.stderr.contains("neither a strong ETag nor a time"), "{}", ended.stderr);
            let ended = inspect(&server, &[url]);
            assert!(ended.code == 1 && ended.stdout.contains("neither a strong ETag nor a time"), "{ended:?}");
        }
    }
    // A strong tag is enough, and the time is not told.
    server.put(&key, Object { is_timeless: true, ..Object::new(bytes.clone(), "strong") });
    let scan = Scan::new();
    assert_eq!(run(&server, &scan, &["--dry-run", &web]).code, 0);
    let start = of_stage(&scan.logged(), "archive_start")[0].clone();
    assert_eq!((&start["etag"], &start["mtime"]), (&json!("\"strong\""), &Value::Null), "{start}");
    assert_eq!(run(&server, &scan, &["--dry-run", "--resume", &web]).code, 0);
    assert_eq!(of_stage(&scan.logged(), "archive_resumed").len(), 1);
}

#[test]
fn keys_that_cannot_be_asked_for_are_told_and_the_others_surveyed() {
    let server = Server::start();
    put_fixture(&server, "cold/more", &fixture::quick_collection().remove(0));
    for key in ["cold//a.tar.zst", "cold/./b.tar.zst", "cold/c.tar.zst/", "cold//notes.txt", "cold/ "] {
        server.put(key, Object::new(b"bytes".to_vec(), "t"));
    }
    for marker in ["cold/", "cold/more/"] {
        server.put(marker, Object::new(Vec::new(), "t"));
    }
    let scan = Scan::new();
    let url = format!("s3://{BUCKET}/cold");
    let ended = run(&server, &scan, &["--dry-run", "--recursive", &url]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let lines = scan.logged();
    assert_eq!(of_stage(&lines, "archive_complete").len(), 1);
    let mut told: Vec<String> = of_stage(&lines, "error")
        .iter()
        .map(|error| {
            assert!(error["message"].to_string().contains("cannot be asked for"), "{error}");
            error["archive"].as_str().expect("a URL").to_owned()
        })
        .collect();
    told.sort();
    assert_eq!(told, ["./b.tar.zst", "/a.tar.zst", "c.tar.zst/"].map(|key| format!("{url}/{key}")));
    let left_out = of_stage(&lines, "left_out");
    let paths = |rule: &str| {
        let of_rule = left_out.iter().find(|line| line["rule"] == rule).expect("left out");
        of_rule["files"].as_array().expect("a list").iter().map(|file| file["archive"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(paths("other_ending"), [json!(format!("{url}/ ")), json!(format!("{url}//notes.txt"))]);
    // Not further down, they are in folders.
    let scan = Scan::new();
    assert_eq!(run(&server, &scan, &["--dry-run", &url]).code, 0);
    let left_out = of_stage(&scan.logged(), "left_out").into_iter().find(|line| line["rule"] == "folder").cloned();
    assert_eq!(left_out.expect("folders")["count"], 4);
    // What is named is what is asked for.
    for key in ["cold//a.tar.zst", "cold/./b.tar.zst", "cold/c.tar.zst/"] {
        let ended = inspect(&server, &[&format!("s3://{BUCKET}/{key}")]);
        assert!(ended.code == 1 && ended.stdout.contains("cannot be asked for"), "{key}: {ended:?}");
    }
}

#[test]
fn a_listing_that_has_no_end_or_too_long_a_page_is_refused_and_an_empty_token_is_the_end() {
    let server = Server::start();
    server.list(10_000);
    let scan = || run(&server, &site_of("a"), &["--dry-run"]);
    for circle in [2, 3, 7] {
        server.set(Faults { circle: Some(circle), ..Faults::default() });
        let ended = scan();
        assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
        assert!(ended.stderr.contains("leads back to an earlier page"), "{}", ended.stderr);
        assert!(server.counts().2 < 4 * circle, "{:?}", server.counts());
    }
    server.set(Faults { padded: 16 << 20, ..Faults::default() });
    let ended = scan();
    assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
    assert!(ended.stderr.contains("its answer is longer than 16777216 bytes"), "{}", ended.stderr);
    server.list(1);
    server.set(Faults { empty_token: true, ..Faults::default() });
    let ended = run(&server, &site_of("a"), &["--dry-run"]);
    assert!(!ended.stderr.contains("listing"), "{ended:?}");
    assert_eq!(server.counts().2, 1);
}

#[test]
fn a_refusal_is_read_only_as_far_as_one_can_be() {
    let server = Server::start();
    server.set(Faults { talkative: Some(1 << 40), ..Faults::default() });
    let begun = Instant::now();
    for url in [format!("s3://{BUCKET}/a"), format!("s3://{BUCKET}/a.tar.zst"), format!("{}/a.tar.zst", server.web())] {
        let ended = run(&server, &Scan::new(), &["--dry-run", &url]);
        assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
        assert!(ended.stderr.contains("its answer is longer than 65536 bytes"), "{}", ended.stderr);
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn a_server_that_gives_whole_files_only_is_told_as_one() {
    let server = Server::start();
    put_fixture(&server, "cold", &fixture::quick_collection().remove(0));
    server.set(Faults { whole: true, ..Faults::default() });
    let key = format!("cold/{}.tar.zst", fixture::quick_collection().remove(0).hash);
    for url in [format!("{}/{key}", server.web()), format!("s3://{BUCKET}/{key}")] {
        let scan = Scan::new();
        assert_eq!(run(&server, &scan, &["--dry-run", &url]).code, 1);
        let lines = scan.logged();
        let error = of_stage(&lines, "error")[0];
        assert!(error["message"].to_string().contains("whole files only"), "{error}");
        assert!(!error["message"].to_string().contains("AWS_REGION"), "{error}");
    }
}

#[test]
fn an_image_that_shrinks_while_it_is_inspected_is_told_as_changed() {
    let server = Server::start();
    let image = |length: usize| {
        let mut image = vec![0; length];
        image[..512].copy_from_slice(&mbr(3));
        Object::new(image, "i")
    };
    server.put("disk.img", image(40 * MIB));
    for from in [2, 3] {
        server.set(Faults { ignores_match: true, replaced: Some((from, image(MIB))), ..Faults::default() });
        let ended = inspect(&server, &["--json", &format!("s3://{BUCKET}/disk.img")]);
        assert_eq!(ended.code, 1, "{ended:?}");
        let found: Value = serde_json::from_str(&ended.stdout).expect("JSON");
        assert_eq!(found["error"]["reason"], "changed", "{found}");
    }
}

#[test]
fn lengths_that_no_disk_has_are_told_and_add_up_to_no_panic() {
    let server = Server::start();
    let most = i64::MAX.unsigned_abs();
    for (name, length) in [("a", most), ("b", most), ("c", most), ("d", most + 1), ("e", u64::MAX)] {
        let object = Object { length, etag: Some(name.to_owned()), ..Object::default() };
        server.put(&format!("d/{name}.tar.zst"), object);
    }
    let scanned = run(&server, &site_of("d"), &["--dry-run"]);
    let url = format!("s3://{BUCKET}/d");
    let verified = scan::end(of(&server, imgsieve()).args(["verify", "--log", "none", &url]));
    for ended in [scanned, verified] {
        assert_eq!(ended.code, 1, "{ended:?}");
        let told = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!told.contains("panic"), "{told}");
        for name in ["d", "e"] {
            assert!(told.contains(&format!("{url}/{name}.tar.zst: no object is")), "{told}");
        }
        assert!(told.contains("not Zstandard data"), "{told}");
    }
}
