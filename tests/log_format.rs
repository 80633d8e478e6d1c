//! The log's format: what its types say is what is in the log, and nothing else.

mod common;

use std::collections::BTreeSet;

use common::fixture;
use common::scan::Scan;
use imgsieve::log::{Entry, Record};
use imgsieve::reason::Reason;
use imgsieve::sanitize;

/// The lines of a scan over everything that takes no time, of a second one that resumes it, of a dry run, and of what was
/// staged being reprocessed.
fn lines() -> Vec<String> {
    let mut quick = fixture::all();
    quick.retain(fixture::Fixture::is_quick);
    let scan = Scan::of(&quick).args(&["--no-progress"]);
    std::fs::write(scan.collection().join("caf\u{e9}.txt"), "a line\n").expect("a file");
    assert_eq!(scan.run().code, 1);
    let reprocess = ["false", "true"].map(|program| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_imgsieve"));
        command.args(["reprocess", "--no-progress", "-q", "--log"]).arg(scan.log());
        command.arg("--staging").arg(scan.staging()).arg("--remove").args(["--", program, "{}"]);
        command
    });
    for mut command in reprocess {
        command.output().expect("a run");
    }
    for more in ["--resume", "--dry-run"] {
        let mut command = scan.command();
        command.arg(more).output().expect("a run");
    }
    let mut verify = std::process::Command::new(env!("CARGO_BIN_EXE_imgsieve"));
    verify.args(["verify", "-q", "--config"]).arg(scan.site_file()).output().expect("a run");
    let text = std::fs::read_to_string(scan.log()).expect("a log");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_line_is_read_into_its_type_and_written_again_as_the_same_bytes() {
    let mut seen = BTreeSet::new();
    for line in lines() {
        let entry = Entry::read(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let entry = entry.unwrap_or_else(|| panic!("a stage that is not known: {line}"));
        seen.insert(entry.stage);
        assert_eq!(sanitize::json(&serde_json::to_string(&entry).expect("JSON")), line);
    }
    let rare = ["low_space", "abort", "interrupted", "deferred"];
    let missing: Vec<&str> =
        Record::STAGES.iter().map(|(stage, _)| *stage).filter(|stage| !seen.contains(stage)).collect();
    assert!(missing.iter().all(|stage| rare.contains(stage)), "{missing:?}");
}

#[test]
fn each_field_of_a_record_says_what_it_means() {
    let source = concat!(
        include_str!("../src/log/record.rs"),
        include_str!("../src/log/record/run.rs"),
        include_str!("../src/log/record/archive.rs"),
        include_str!("../src/log/record/image.rs"),
        include_str!("../src/log/record/staged.rs"),
    );
    let mut fields = 0;
    let mut before = "";
    for line in source.lines().map(str::trim).filter(|line| !line.starts_with("#[")) {
        let name = line.strip_prefix("pub ").and_then(|rest| rest.split_once(": "));
        if name.is_some_and(|(name, _)| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')) {
            assert!(before.starts_with("/// ") && before.ends_with('.'), "{line}");
            fields += 1;
        }
        before = line;
    }
    assert!(fields > 100, "{fields}");
}

/// Every reason is given somewhere in the program, and in a test that expects it by its word, but for those that only a
/// machine at fault can bring about.
#[test]
fn each_reason_is_given_and_is_expected_by_a_test() {
    // Faults that no test brings about: a reader without a budget, a thread or a signal handler that the system refuses,
    // a file system that gives back another length, a fault of imgsieve itself.
    let unreached = ["dear", "threads", "signals", "length", "interrupted", "panic", "too_many_rewinds", "tar_io"];
    // Tests that bring these about expect their messages.
    let by_message = [
        "no_partitions",
        "too_few_partitions",
        "end_of_data",
        "not_an_archive",
        "not_an_image",
        "staging_is_collection",
        "more_warnings",
        "proc_hidden",
        "nothing_to_resume",
    ];
    let mut sources = String::new();
    let mut tests = String::new();
    for folder in ["src", "tests"] {
        read_all(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder), folder, &mut sources, &mut tests);
    }
    tests.push_str(include_str!("../fixtures/expected.jsonl"));
    let untold: Vec<&str> = Reason::ALL
        .iter()
        .filter(|(reason, _)| !sources.contains(&format!("Reason::{reason:?}")))
        .map(|(reason, _)| reason.as_str())
        .collect();
    assert_eq!(untold, Vec::<&str>::new());
    let words: BTreeSet<&str> = tests.split(|c: char| !c.is_ascii_lowercase() && c != '_').collect();
    let unexpected: Vec<&str> = Reason::ALL
        .iter()
        .map(|(reason, _)| reason.as_str())
        .filter(|word| !unreached.contains(word) && !by_message.contains(word) && !words.contains(word))
        .collect();
    assert_eq!(unexpected, Vec::<&str>::new());
}

/// The sources without their unit tests, and all tests.
fn read_all(folder: &std::path::Path, kind: &str, sources: &mut String, tests: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            read_all(&path, kind, sources, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "jsonl")
            && !path.ends_with("reason.rs")
            && !path.ends_with("log_format.rs")
        {
            let text = std::fs::read_to_string(&path).expect("UTF-8");
            let (source, unit_tests) = text.split_once("#[cfg(test)]\nmod tests").unwrap_or((&text, ""));
            if kind == "src" && !path.to_string_lossy().contains("/src/member/tests/") {
                sources.push_str(source);
                tests.push_str(unit_tests);
            } else {
                tests.push_str(&text);
            }
        }
    }
}
