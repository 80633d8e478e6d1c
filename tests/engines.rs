//! Every engine says the same of the same archives: what is passed over is as good as decoded.

mod common;

use std::collections::BTreeSet;

use common::fixture::{self, Fixture};
use common::scan::{Scan, of_stage};
use serde_json::Value;

const ENGINES: [&str; 3] = ["decode", "skip", "auto"];

/// What depends on the engine, on the clock or on the folder that a test runs in.
const FREE: [&str; 30] = [
    "ts",
    "run",
    "seconds",
    "engine",
    "decoded_bytes",
    "passed_over_bytes",
    "sized_bytes",
    "jumped_bytes",
    "presumed_bytes",
    "refuted",
    "traced_bytes",
    "fallbacks",
    "requested_bytes",
    "decoded_frames",
    "checksummed_frames",
    "rewinds",
    "verified",
    "disk_free_pct",
    "available_bytes",
    "mtime",
    "ctime",
    "inode",
    "worker",
    "archive",
    "dest",
    "options",
    "wall_seconds",
    "worker_seconds",
    "path",
    "path_bytes",
];

/// The lines of a run over these fixtures but for what is free, sorted.
fn told(fixtures: &[Fixture], engine: &str, args: &[&str]) -> Vec<Value> {
    let scan = Scan::of(fixtures).args(&["--engine", engine, "-q", "-j2"]).args(args);
    scan.run();
    let mut lines = scan.logged();
    assert_eq!(of_stage(&lines, "archive_start").len(), fixtures.len());
    for line in &mut lines {
        let object = line.as_object_mut().expect("an object");
        object.retain(|key, _| !FREE.contains(&key.as_str()));
    }
    lines.sort_by_key(Value::to_string);
    lines
}

fn fixtures_in(folders: &[&str]) -> Vec<Fixture> {
    let mut fixtures = fixture::all();
    fixtures.retain(|fixture| folders.contains(&fixture.folder.as_str()));
    assert!(!fixtures.is_empty());
    fixtures
}

fn assert_all_tell_the_same(fixtures: &[Fixture], args: &[&str]) {
    let [decode, others @ ..] = ENGINES;
    let expected = told(fixtures, decode, args);
    for engine in others {
        let found = told(fixtures, engine, args);
        assert_same(&found.iter().collect::<Vec<_>>(), &expected.iter().collect::<Vec<_>>(), engine);
    }
}

/// Names the first line that differs: all of them are too many to look through.
fn assert_same(found: &[&Value], expected: &[&Value], engine: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "--engine {engine}");
    }
    assert_eq!(found.len(), expected.len(), "--engine {engine}");
}

#[test]
fn intact_archives_have_the_same_log_with_every_engine() {
    let fixtures = fixtures_in(&["collection"]);
    assert_all_tell_the_same(&fixtures, &["--dry-run"]);
    assert_all_tell_the_same(&fixtures, &[]);
    assert_all_tell_the_same(&fixtures, &["--dry-run", "--fs"]);
}

/// An error of an archive ends its log, and may be one that only decoding shows.
#[test]
fn odd_archives_that_are_read_to_their_end_have_the_same_log_with_every_engine() {
    let mut fixtures = fixtures_in(&["odd"]);
    fixtures.retain(|fixture| fixture.expected["archive_error"].is_null());
    assert_all_tell_the_same(&fixtures, &["--dry-run"]);
    assert_all_tell_the_same(&fixtures, &[]);
}

#[test]
fn images_in_damaged_archives_have_the_same_verdict_with_every_engine() {
    let fixtures = fixtures_in(&["damaged", "odd"]);
    for args in [&["--dry-run"][..], &[]] {
        let [decode, others @ ..] = ENGINES;
        let expected = told(&fixtures, decode, args);
        for engine in others {
            let found = told(&fixtures, engine, args);
            assert_eq!(
                of_stage(&found, "partition_check"),
                of_stage(&expected, "partition_check"),
                "{engine} {args:?}"
            );
            let failed = |lines: &[Value]| {
                let errors = of_stage(lines, "error").into_iter().filter(|line| line["scope"] == "archive");
                errors.map(|line| format!("{} {}", line["hash"], line["reason"])).collect::<BTreeSet<_>>()
            };
            let (found, expected) = (failed(&found), failed(&expected));
            assert!(found.is_subset(&expected), "{engine} {args:?}: {:?}", found.difference(&expected));
        }
    }
}

#[test]
fn to_verify_is_to_decode_everything() {
    let fixtures = fixture::quick_collection();
    let scan = Scan::of(&fixtures).args(&["--verify", "--dry-run", "-q"]);
    for line in of_stage(&scan.lines(), "archive_complete") {
        assert_eq!((&line["engine"], &line["verified"]), (&"decode".into(), &true.into()), "{line}");
        for key in [
            "passed_over_bytes",
            "sized_bytes",
            "jumped_bytes",
            "presumed_bytes",
            "refuted",
            "traced_bytes",
            "fallbacks",
        ] {
            assert_eq!(line[key], 0, "{key} of {line}");
        }
        assert_eq!(line["requested_bytes"], line["compressed_bytes"], "{line}");
    }
}

#[test]
fn what_lies_deep_in_an_image_is_read_without_libzstd() {
    let mut fixtures = fixture::all();
    fixtures.retain(|fixture| {
        ["mbr-far-ebr", "mbr-logical", "ebr-out-of-order", "gpt-backup-only"].contains(&&*fixture.name)
    });
    assert_eq!(fixtures.len(), 4);
    let scan = Scan::of(&fixtures).args(&["--engine", "skip", "--dry-run", "-q"]);
    for line in of_stage(&scan.lines(), "archive_complete") {
        assert_eq!((&line["fallbacks"], &line["decoded_bytes"]), (&0.into(), &0.into()), "{line}");
    }
}
