//! The command line: exit codes, help, options and what they change, and what stands on standard
//! output and standard error.

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::Stdio;

use common::fixture::{self, Fixture};
use common::scan::{Ended, Scan, end, imgsieve, of_stage, words};
use serde_json::{Value, json};

const SINGLE: &str = "map-before";
const MULTI: &str = "sparse-gnu";

fn imgsieve_with(args: &[&str]) -> Ended {
    end(imgsieve().args(args))
}

/// The hashes of the archives that a run started, in their order.
fn started(scan: &Scan) -> Vec<String> {
    words(&of_stage(&scan.lines(), "archive_start"), "hash")
}

fn hashes(names: &[&str]) -> Vec<String> {
    let mut fixtures: Vec<Fixture> = names.iter().map(|name| fixture::named(name)).collect();
    fixtures.sort_by_key(|fixture| (fixture.path().metadata().expect("an archive").len(), fixture.hash.clone()));
    fixtures.into_iter().map(|fixture| fixture.hash).collect()
}

// Help and usage.

#[test]
fn help_of_scan_has_every_option_and_examples() {
    let ended = imgsieve_with(&["scan", "--help"]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    for option in [
        "--config",
        "--staging",
        "--log",
        "--min-archive-size",
        "--min-image-size",
        "--min-partitions",
        "--min-free",
        "--skip",
        "--image-suffix",
        "--jobs",
        "--dry-run",
        "--limit",
        "--only",
        "--wait",
        "--force",
        "--keep-undecided",
        "--abort-on-low-space",
        "--max-window",
        "--max-image-size",
        "--engine",
        "--verify",
        "--fs",
        "--json",
        "--no-progress",
        "-q",
        "-v",
    ] {
        let is_option = |line: &str| line.split([' ', ',']).any(|word| word == option);
        assert!(ended.stdout.lines().any(is_option), "{option} is not in the help");
    }
    assert!(ended.stdout.contains("[COLLECTION]..."), "{}", ended.stdout);
    assert!(ended.stdout.contains("Examples:\n  imgsieve scan\n"), "{}", ended.stdout);
    assert!(ended.stdout.contains("Exit codes:"), "{}", ended.stdout);
}

#[test]
fn help_of_every_command_has_examples() {
    for (command, option) in [("reprocess", "--remove"), ("inspect", "--json"), ("config", "--config")] {
        let ended = imgsieve_with(&[command, "--help"]);
        assert_eq!((ended.code, &*ended.stderr), (0, ""));
        assert!(ended.stdout.contains(&format!("Examples:\n  imgsieve {command} ")), "{}", ended.stdout);
        assert!(ended.stdout.contains(option), "{}", ended.stdout);
    }
    let ended = imgsieve_with(&["--help"]);
    assert_eq!(ended.code, 0);
    for word in ["scan", "reprocess", "inspect", "config", "Exit codes:"] {
        assert!(ended.stdout.contains(word), "{word}");
    }
}

#[test]
fn wrong_usage_is_exit_code_2_and_names_what_is_wrong() {
    for (args, what) in [
        (&["scan", "--sieve"][..], "--sieve"),
        (&["sieve"], "sieve"),
        (&["scan", "--min-free", "lots"], "lots"),
        (&["scan", "--min-free", "120%"], "120%"),
        (&["scan", "--min-archive-size", "1XB"], "1XB"),
        (&["scan", "--limit", "-1"], "-1"),
        (&["scan", "--jobs", "many"], "many"),
        (&["scan", "--jobs", "0"], "must be a whole number, 1 or more"),
        (&["scan", "--jobs", "-1"], "must be a whole number, 1 or more"),
        (&["scan", "--min-partitions", "0"], "must be a whole number, 1 or more"),
        (&["scan", "--image-suffix", ""], "image-suffix"),
        (&["scan", "--max-window", "4GiB"], "max-window"),
        (&["scan", "--engine", "steam"], "steam"),
        (&["scan", "--engine", "skip", "--verify"], "engine = skip"),
        (&["scan", "-q", "-v"], "--quiet"),
        (&["scan", "--config", "/nonexistent/site.toml"], "/nonexistent/site.toml"),
        (&["config", "--min-image-size", "big"], "big"),
        (&[], "Usage:"),
    ] {
        let ended = imgsieve_with(args);
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(what), "{args:?}: {}", ended.stderr);
    }
}

#[test]
fn a_site_file_with_an_unknown_key_is_wrong_usage_and_is_pointed_at() {
    let scan = Scan::new().site("min_partition = 3");
    let ended = scan.run();
    assert_eq!((ended.code, &*ended.stdout), (2, ""));
    assert!(ended.stderr.contains("site.toml") && ended.stderr.contains("min_partition"), "{}", ended.stderr);
    assert!(!scan.log().exists());
}

// The site file and the options.

#[test]
fn config_prints_what_config_reads_back() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let path = folder.path().join("site.toml");
    let site = path.to_str().expect("UTF-8");
    let built_in = imgsieve_with(&["config"]);
    assert_eq!((built_in.code, &*built_in.stderr), (0, ""));
    assert!(built_in.stdout.contains("collection = [\"/data/cold/img-read\"]"), "{}", built_in.stdout);
    std::fs::write(&path, &built_in.stdout).expect("a site file");
    // Which is in force stands above.
    let site_of = |stdout: &str| stdout.split_once("\n\n").expect("an empty line").1.to_owned();
    assert_eq!(site_of(&imgsieve_with(&["config", "--config", site]).stdout), site_of(&built_in.stdout));
    let options = [
        "--staging=/s",
        "--log=/l",
        "--min-archive-size=5MB",
        "--min-image-size=512MiB",
        "--min-partitions=3",
        "--min-free=12.5%",
        "--skip=abc",
        "--image-suffix=.raw",
        "--jobs=7",
        "--max-window=1GiB",
        "--max-image-size=2TB",
        "/cold",
        "/colder",
    ];
    let changed = imgsieve_with(&[&["config"], &options[..]].concat());
    assert_eq!(changed.code, 0, "{}", changed.stderr);
    for line in [
        "collection = [\"/cold\", \"/colder\"]",
        "staging = \"/s\"",
        "log = \"/l\"",
        "min_archive_size = \"5MB\"",
        "min_image_size = \"512MiB\"",
        "min_partitions = 3",
        "min_free = \"12.5%\"",
        "image_suffix = \".raw\"",
        "jobs = 7",
        "max_window = \"1GiB\"",
        "max_image_size = \"2TB\"",
        "abc = \"--skip\"",
    ] {
        assert!(changed.stdout.lines().any(|other| other == line), "{line}: {}", changed.stdout);
    }
    std::fs::write(&path, &changed.stdout).expect("a site file");
    assert_eq!(site_of(&imgsieve_with(&["config", "--config", site]).stdout), site_of(&changed.stdout));
}

#[test]
fn options_override_the_site_file() {
    let scan = Scan::of_named(&[SINGLE, MULTI]).site("staging = '/nonexistent/staging'\nmin_partitions = 9");
    let (staging, log) = (scan.folder().join("other"), scan.folder().join("folder/other.jsonl"));
    let [staging_text, log_text] = [&staging, &log].map(|path| path.to_str().expect("UTF-8"));
    let ended = scan.run_with(&["--staging", staging_text, "--log", log_text, "--min-partitions", "2"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(staging.join(&fixture::named(MULTI).hash).is_dir());
    assert!(log.is_file() && !scan.log().exists());
}

#[test]
fn only_surveys_the_archives_that_are_named() {
    let hash = &hashes(&[MULTI])[0];
    assert_eq!(started(&Scan::of_named(&[SINGLE, MULTI]).args(&["--only", hash])), [hash.as_str()]);
}

#[test]
fn an_only_that_is_not_there_is_an_error_and_nothing_is_opened() {
    let hash = &hashes(&[MULTI])[0];
    let scan = Scan::of_named(&[SINGLE, MULTI]).args(&["--only", "none", "--only", hash]);
    let ended = scan.run();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("--only none: "), "{}", ended.stderr);
    assert!(of_stage(&scan.logged(), "archive_start").is_empty());
}

#[test]
fn limit_surveys_the_smallest() {
    let names = ["sparse-bsdtar", SINGLE, MULTI];
    assert_eq!(started(&Scan::of_named(&names).args(&["--limit", "2"])), hashes(&names)[..2]);
}

#[test]
fn skipped_archives_are_never_opened() {
    let skip = &hashes(&[MULTI])[0];
    let scan = Scan::of_named(&[SINGLE, MULTI]).args(&["--skip", skip]);
    // Those of the built-in list are not even archives here.
    for hash in ["2ae4eb92379b9892ba93693e49f42e08", "983dbb7dfb2a6ea867e233653a64f9d6"] {
        std::fs::write(scan.archive(hash), "no archive").expect("a file");
    }
    // Named as archives, too.
    let named: Vec<PathBuf> = [skip, "983dbb7dfb2a6ea867e233653a64f9d6"].map(|hash| scan.archive(hash)).to_vec();
    let ended = scan.run_with(&[&[scan.collection()], &named[..]].concat());
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = scan.logged();
    assert_eq!(words(&of_stage(&lines, "archive_start"), "hash"), hashes(&[SINGLE]));
    assert_eq!(lines[0]["skipped"].as_array().map(Vec::len), Some(3));
    assert!(ended.stdout.contains("osxgather") && ended.stdout.contains("--skip"), "{}", ended.stdout);
}

#[test]
fn min_partitions_decides_what_is_kept() {
    let names = [SINGLE, MULTI, "sparse-bsdtar"];
    for (least, kept) in [("1", 3), ("2", 2), ("3", 1), ("4", 0)] {
        let scan = Scan::of_named(&names).args(&["--min-partitions", least]);
        let lines = scan.lines();
        let checks = of_stage(&lines, "partition_check");
        assert_eq!(checks.iter().filter(|check| check["action"] == "KEPT").count(), kept, "{least}");
        assert_eq!(lines.last().expect("a line")["total_multipart"], kept, "{least}");
    }
}

#[test]
fn image_suffix_decides_what_is_an_image() {
    let scan = Scan::of_named(&[MULTI]).args(&["--image-suffix", ".raw"]);
    assert!(of_stage(&scan.lines(), "img_found").is_empty());
    let scan = Scan::of_named(&[MULTI]).args(&["--image-suffix", "G"]);
    assert_eq!(of_stage(&scan.lines(), "img_found").len(), 1, "ASCII case is ignored");
}

#[test]
fn an_image_is_larger_than_the_threshold_and_not_as_large() {
    let images = |size: &str| {
        let scan = Scan::of_named(&["at-threshold"]).args(&["--dry-run", "--min-image-size", size]);
        of_stage(&scan.lines(), "img_found").len()
    };
    assert_eq!((images("1GB"), images("999999999"), images("1000000000")), (0, 1, 0));
}

#[test]
fn an_archive_is_larger_than_the_threshold_and_not_as_large() {
    let fixture = fixture::named(SINGLE);
    let length = fixture.path().metadata().expect("an archive").len();
    for (size, archives) in [(length - 1, 1), (length, 0)] {
        let scan = Scan::of(std::slice::from_ref(&fixture)).args(&["--min-archive-size", &size.to_string()]);
        let lines = scan.lines();
        assert_eq!((&lines[0]["total_archives"], &lines[0]["too_small"]), (&json!(archives), &json!(1 - archives)));
    }
}

#[test]
fn an_archive_that_is_named_may_be_of_any_size() {
    let scan = Scan::of_named(&[SINGLE, MULTI]).site("min_archive_size = '1GB'");
    let archive = scan.archive(&fixture::named(MULTI).hash);
    for collection in [vec![archive.clone()], vec![scan.collection(), archive]] {
        assert_eq!(scan.run_with(&collection).code, 0);
        let lines = scan.logged();
        let last = lines.last().expect("a line");
        assert_eq!(
            (&last["stage"], &last["archives_checked"]),
            (&json!("script_complete"), &json!(1)),
            "{collection:?}"
        );
    }
}

#[test]
fn an_image_larger_than_max_image_size_is_an_error() {
    let scan = Scan::of_named(&[MULTI]).args(&["--max-image-size", "1GB"]);
    assert_eq!(scan.run().code, 1);
    let lines = scan.logged();
    let check = of_stage(&lines, "partition_check")[0];
    assert_eq!(json!([check["action"], check["reason"], check["partitions"]]), json!(["error", "max_image_size", 2]));
    assert_eq!(std::fs::read_dir(scan.staging()).expect("a folder").count(), 0);
}

#[test]
fn keep_undecided_stages_what_cannot_be_told() {
    for name in ["unread-before", "unread-after", "gpt-both-gone", "ebr-broken-single"] {
        let fixture = fixture::named(name);
        let reason = &fixture.images()[0]["reason"];
        let scan = Scan::of(std::slice::from_ref(&fixture));
        assert_eq!(scan.run().code, 1, "{name}");
        assert!(!scan.staged(&fixture).exists(), "{name}");
        let ended = scan.run_with(&["--keep-undecided"]);
        assert!(scan.staged(&fixture).is_file(), "{name}: {ended:?}");
        // A third run finds it there, and knows no more of it.
        scan.run_with(&["--keep-undecided"]);
        let lines = scan.logged();
        let fields = |check: &&Value| json!([check["action"], check["partitions"], check["verdict"], check["reason"]]);
        let found: Vec<_> = of_stage(&lines, "partition_check").iter().map(fields).collect();
        let kept = json!(["KEPT", null, "undecidable", reason]);
        assert_eq!(found, [json!(["error", null, "undecidable", reason]), kept.clone(), kept], "{name}");
    }
}

// What is there, and what is not.

#[test]
fn an_empty_collection_is_no_error_and_is_told() {
    let scan = Scan::new();
    let ended = scan.run();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert!(ended.stdout.contains("There was no archive to check."), "{}", ended.stdout);
    let lines = scan.logged();
    assert_eq!(words(&lines.iter().collect::<Vec<_>>(), "stage"), ["script_start", "script_complete"]);
}

#[test]
fn where_all_archives_are_small_the_option_is_told_that_surveys_them() {
    let scan = Scan::of_named(&["at-threshold"]).site("min_archive_size = '1GB'");
    let ended = scan.run();
    let told = "There was no archive to check.\nLeft out: 1 archive no larger than 1GB";
    assert!(ended.stdout.starts_with(told), "{ended:?}");
    assert!(ended.stdout.contains("With --min-archive-size 0, "), "{ended:?}");
    assert!(scan.run_with(&["--min-archive-size", "0"]).stdout.contains("Checked 1 archive:"));
}

#[test]
fn a_collection_that_is_missing_is_refused() {
    let scan = Scan::new().site("collection = ['cold']");
    let line = scan.refused("collection");
    assert!(line.contains("cannot read the collection") && line.contains("is it mounted?"), "{line}");
}

#[test]
fn a_log_that_cannot_be_opened_is_refused() {
    let scan = Scan::of_named(&[SINGLE]);
    let ended = scan.run_with(&["--log", scan.collection().to_str().expect("UTF-8")]);
    assert_eq!((ended.code, &*ended.stdout), (1, ""));
    assert!(
        ended.stderr.starts_with("imgsieve: error: opening the log ") && ended.stderr.contains("--log"),
        "{ended:?}"
    );
    assert!(!scan.staging().exists());
}

#[test]
fn an_image_that_is_staged_is_not_written_again() {
    let fixture = fixture::named(MULTI);
    let scan = Scan::of(std::slice::from_ref(&fixture));
    scan.lines();
    let identity = || {
        let metadata = scan.staged(&fixture).metadata().expect("a staged image");
        (metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
    };
    let before = identity();
    let lines = scan.lines();
    assert_eq!(identity(), before);
    let checks = of_stage(&lines, "partition_check");
    assert_eq!((&checks[0]["existing"], &checks[1]["existing"]), (&json!(false), &json!(true)));
    for key in ["action", "partitions", "path", "verdict", "table", "partition_list"] {
        assert_eq!(checks[0][key], checks[1][key], "{key}");
    }
    assert_eq!(checks[1]["bytes_written"], 0);
    assert_eq!(of_stage(&lines, "extraction_start").len(), 1, "only the first run extracts");
}

#[test]
fn a_staged_file_of_another_size_is_an_error_and_stays_as_it_is() {
    let fixture = fixture::named(MULTI);
    let scan = Scan::of(std::slice::from_ref(&fixture));
    let path = scan.staged(&fixture);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(&path, "somebody's work").expect("a file");
    let ended = scan.run();
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("15 bytes"), "{}", ended.stderr);
    assert_eq!(std::fs::read_to_string(&path).expect("a file"), "somebody's work");
    assert_eq!(std::fs::read_dir(path.parent().expect("a folder")).expect("a folder").count(), 1);
    let lines = scan.logged();
    let check = of_stage(&lines, "partition_check")[0];
    assert_eq!((&check["action"], &check["partitions"]), (&json!("error"), &json!(2)));
}

// What is printed.

#[test]
fn quiet_prints_errors_only() {
    let scan = Scan::of_named(&["two-images"]).args(&["-q"]);
    assert_eq!(scan.run_with(&["--dry-run"]).stderr, "", "no warnings");
    let ended = scan.run();
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (0, "", ""));
    let ended = Scan::of_named(&["unread-before"]).args(&["-q"]).run();
    assert_eq!((ended.code, &*ended.stdout), (1, ""));
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn verbose_prints_a_line_an_archive_and_twice_a_line_an_image() {
    let counts = |args: &[&str]| {
        let ended = Scan::of_named(&[SINGLE, MULTI]).args(args).run();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(!ended.stderr.contains(['\x1b', '\r']), "no terminal, no bars: {:?}", ended.stderr);
        let count = |what: &str| ended.stderr.lines().filter(|line| line.contains(what)).count();
        (
            count(": started, "),
            count(" multi-partition"),
            count(": kept: dos, 2 partitions") + count(": not kept: dos, 1 partition"),
        )
    };
    assert_eq!(counts(&[]), (0, 0, 0));
    assert_eq!(counts(&["-v"]), (2, 2, 0));
    assert_eq!(counts(&["-vv"]), (2, 2, 2));
}

#[test]
fn the_summary_tells_what_was_kept_where_and_what_comes_next() {
    let fixture = fixture::named(MULTI);
    let scan = Scan::of_named(&[SINGLE, MULTI]);
    let dry = scan.run_with(&["--dry-run"]).stdout;
    assert!(dry.starts_with("To be kept") && dry.contains("without --dry-run"), "{dry}");
    let ended = scan.run();
    assert!(ended.stdout.starts_with("Kept, in "), "{}", ended.stdout);
    for part in [
        scan.staging().to_str().expect("UTF-8"),
        &format!("{0}/{0}.img", fixture.hash),
        "dos, 2 partitions: vfat \"FIXTURE\" 16.8 MB, ext4 \"fixture\" 16.8 MB",
        "Checked 2 archives",
        "  imgsieve reprocess --config ",
        "      1 kept image from all runs in the log, 1.00 GB",
        "No archive was changed.",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
}

#[test]
fn json_prints_the_summary_as_one_object() {
    let scan = Scan::of_named(&[SINGLE, MULTI]);
    let ended = scan.run_with(&["--json"]);
    let summary: Value = serde_json::from_str(&ended.stdout).expect("one object");
    assert_eq!(ended.stdout.lines().count(), 1);
    let part = json!([summary["exit_code"], summary["archives_checked"], summary["imgs"], summary["kept_imgs"]]);
    assert_eq!(part, json!([0, 2, 2, 1]));
    assert_eq!(summary["kept"][0]["path"], json!(scan.staged(&fixture::named(MULTI))));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let scan = Scan::of_named(&[SINGLE, MULTI]);
    let archives = [SINGLE, MULTI, "sparse-bsdtar"].map(|name| fixture::named(name).path());
    let mut inspect = imgsieve();
    inspect.arg("inspect").args(archives);
    let mut config = imgsieve();
    config.arg("config");
    for mut command in [scan.command(), inspect, config] {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a program that starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("a child");
        assert_eq!((output.status.code(), &*String::from_utf8_lossy(&output.stderr)), (Some(0), ""), "{command:?}");
    }
    assert_eq!(scan.logged().last().expect("a line")["stage"], "script_complete");
}

#[test]
fn standard_output_that_is_full_is_an_error() {
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let output = imgsieve().arg("config").stdout(full()).output().expect("a program that starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("standard output"));
}

#[test]
#[cfg(not(feature = "oracles"))]
fn nothing_is_left_out_in_ci() {
    assert_ne!(
        std::env::var("CI").as_deref(),
        Ok("true"),
        "tests/run has the tests that compare with other programs, too"
    );
}
