//! Archives in object storage: what is said of them is what is said of the same files, whatever goes wrong on the way; and
//! how much is asked for. The server is the tests' own (`common/store.rs`); `cloud_moto.rs` asks one of others,
//! `cloud_trouble.rs` has what goes wrong for longer, `cloud_hostile.rs` what changes meanwhile or breaks rules.

#![cfg(feature = "cloud")]

#[path = "common/cloud.rs"]
mod cloud;
mod common;
#[path = "common/hostile.rs"]
mod hostile;
#[path = "common/store.rs"]
mod store;

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use cloud::{BLOCK, DENSE, dense, inspect, of, put_fixture, run, site_of, tar};
use common::fixture::{self, Fixture};
use common::scan::{self, Ended, Scan, imgsieve, of_stage};
use hostile::{MIB, mbr};
use serde_json::{Value, json};
use store::{BUCKET, Faults, Object, Server};

/// Verdicts without what hangs on where an archive is.
fn verdicts(lines: &[Value]) -> Vec<Value> {
    let mut checks: Vec<Value> = of_stage(lines, "partition_check").into_iter().cloned().collect();
    for check in &mut checks {
        let fields = check.as_object_mut().expect("an object");
        for key in ["ts", "run", "path", "path_bytes", "seconds"] {
            fields.remove(key);
        }
    }
    checks.sort_by_key(|check| (check["hash"].to_string(), check["img"].to_string()));
    checks
}

#[test]
fn a_bucket_is_surveyed_as_the_folder_with_the_same_files() {
    let server = Server::start();
    let fixtures: Vec<Fixture> = fixture::all().into_iter().filter(Fixture::is_quick).collect();
    for fixture in &fixtures {
        put_fixture(&server, "cold/2019", fixture);
    }
    server.put("cold/2019/notes.txt", Object::new(b"notes".to_vec(), "n"));
    server.put("cold/2019/", Object::new(Vec::new(), "marker"));
    server.put("cold/2019/more/x.tar.zst", Object::new(b"more".to_vec(), "m"));
    server.put("elsewhere.tar.zst", Object::new(b"else".to_vec(), "e"));
    let files = Scan::of(&fixtures);
    let objects = Scan::new().site(&format!("collection = ['s3://{BUCKET}/cold/2019']"));
    let (of_files, of_objects) = (files.run(), run(&server, &objects, &[]));
    assert_eq!(of_files.code, of_objects.code, "{of_objects:?}");
    let (of_files, of_objects) = (files.logged(), objects.logged());
    let (of_file, of_object) = (verdicts(&of_files), verdicts(&of_objects));
    let names =
        |checks: &[Value]| checks.iter().map(|check| format!("{} {}", check["hash"], check["img"])).collect::<Vec<_>>();
    assert_eq!(names(&of_file), names(&of_object));
    assert!(of_file.len() > 20);
    for (file, object) in of_file.iter().zip(&of_object) {
        assert_eq!(file, object);
    }
    for (rule, count) in [("other_ending", 1), ("folder", 1)] {
        let left_out = of_stage(&of_objects, "left_out");
        let of_rule = left_out.iter().find(|line| line["rule"] == rule).unwrap_or_else(|| panic!("{left_out:?}"));
        assert_eq!(of_rule["count"], count, "{of_rule}");
    }
    // What was staged is the same to the byte; of one, for each is a gigabyte of holes.
    let staged = |scan: &Scan| {
        fixtures.iter().map(|fixture| scan.staged(fixture)).filter(|path| path.exists()).collect::<Vec<_>>()
    };
    let (of_file, of_object) = (staged(&files), staged(&objects));
    assert!(of_file.len() == of_object.len() && of_file.len() > 10);
    common::run("diffutils", "cmp", &[of_file[0].to_str().expect("UTF-8"), of_object[0].to_str().expect("UTF-8")], "");
    // What it was staged from, and what it took.
    let start = of_stage(&of_objects, "archive_start")[0].clone();
    let hash = start["hash"].as_str().expect("a hash");
    assert_eq!(start["archive"], format!("s3://{BUCKET}/cold/2019/{hash}.tar.zst"));
    assert_eq!(start["etag"], format!("\"{hash}\""));
    assert_eq!(
        (&start["mtime"], &start["inode"], &start["ctime"]),
        (&json!("1761991200.250000000"), &Value::Null, &Value::Null)
    );
    for end in of_stage(&of_objects, "archive_complete") {
        assert_eq!(end["requests"], 2, "one for the object, one for what it is at the end: {end}");
        assert_eq!(end["requested_bytes"], end["compressed_bytes"]);
    }
    assert!(of_stage(&of_files, "archive_complete").iter().all(|end| end.get("requests").is_none()));
}

#[test]
fn a_bucket_of_google_s_is_surveyed_as_one_of_s3() {
    let server = Server::start();
    for fixture in fixture::quick_collection().into_iter().take(3) {
        put_fixture(&server, "cold", &fixture);
    }
    let survey = |scheme: &str| {
        let scan = Scan::new();
        let account = scan.folder().join("account.json");
        std::fs::write(&account, server.google()).expect("a file");
        let mut command = of(&server, scan.command());
        let ended = scan::end(
            command.env("GOOGLE_SERVICE_ACCOUNT", account).args(["--dry-run", &format!("{scheme}://{BUCKET}/cold")]),
        );
        assert_eq!(ended.code, 0, "{scheme}: {ended:?}");
        verdicts(&scan.logged())
    };
    let of_google = survey("gs");
    assert!(of_google.len() >= 3 && of_google == survey("s3"));
}

#[test]
fn a_run_is_resumed_and_the_report_prints_the_url() {
    let server = Server::start();
    for name in ["gpt-multi", "mbr-multi"] {
        put_fixture(&server, "cold", &fixture::named(name));
    }
    let scan = Scan::new();
    let url = format!("s3://{BUCKET}/cold");
    let args = [url.as_str(), "--dry-run", "--limit", "1"];
    assert_eq!(run(&server, &scan, &args).code, 0);
    let report = scan::end(of(&server, imgsieve()).arg("report").arg(scan.log()));
    assert!(report.stdout.contains(&url), "{}", report.stdout);
    server.set(Faults::default());
    let resumed = run(&server, &scan, &[url.as_str(), "--dry-run", "--resume"]);
    assert_eq!(resumed.code, 0, "{resumed:?}");
    assert_eq!(of_stage(&scan.logged(), "archive_resumed").len(), 1);
    let (_, gets, _) = server.counts();
    assert_eq!(gets, 1, "the other one");
    // Written anew within the second, and of the same length: the tag tells.
    let hash = of_stage(&scan.logged(), "archive_resumed")[0]["hash"].as_str().expect("a hash").to_owned();
    let fixture = fixture::all().into_iter().find(|fixture| fixture.hash == hash).expect("it");
    server.put(&format!("cold/{hash}.tar.zst"), Object::new(std::fs::read(fixture.path()).expect("bytes"), "anew"));
    assert_eq!(run(&server, &scan, &[url.as_str(), "--dry-run", "--resume"]).code, 0);
    let resumed = scan
        .logged()
        .iter()
        .rev()
        .take_while(|line| line["stage"] != "script_start")
        .filter(|line| line["stage"] == "archive_resumed")
        .count();
    assert_eq!(resumed, 1);
}

#[test]
fn an_object_that_is_named_is_surveyed_inspected_verified_and_extracted() {
    let server = Server::start();
    let fixture = fixture::quick_collection().into_iter().find(|f| f.images().len() == 1).expect("one");
    put_fixture(&server, "a b%20c", &fixture);
    let url = format!("s3://{BUCKET}/a b%20c/{}.tar.zst", fixture.hash);
    let scan = Scan::new();
    assert_eq!(run(&server, &scan, &[&url, "--dry-run"]).code, 0);
    let start = of_stage(&scan.logged(), "archive_start")[0].clone();
    assert_eq!((&start["hash"], &start["archive"]), (&json!(fixture.hash), &json!(url)));
    let images = |ended: &Ended| {
        assert_eq!(ended.code, 0, "{ended:?}");
        serde_json::from_str::<Value>(&ended.stdout).expect("JSON")["images"].clone()
    };
    let of_file = scan::end(imgsieve().args(["inspect", "--json"]).arg(fixture.path()));
    assert_eq!(images(&inspect(&server, &["--json", &url])), images(&of_file));
    // A web server: the path is written as in a URL.
    let web = format!("{}/a%20b%2520c/{}.tar.zst", server.web(), fixture.hash);
    assert_eq!(images(&inspect(&server, &["--json", &web])), images(&of_file));
    let log = scan.folder().join("verify.jsonl");
    let verified = scan::end(of(&server, imgsieve()).args(["verify", &url, "--log"]).arg(&log));
    assert_eq!(verified.code, 0, "{verified:?}");
    // A report asks no store, and takes nothing back for that.
    let report = scan::end(imgsieve().arg("report").arg(&log));
    assert!(report.stdout.contains("; those in object storage as they were then."), "{report:?}");
    let out = scan.folder().join("out.img");
    let extracted = scan::end(of(&server, imgsieve()).args(["extract", &url, "-o"]).arg(&out));
    assert_eq!(extracted.code, 0, "{extracted:?}");
    assert!(out.metadata().expect("there").len() > 0);
}

#[test]
fn objects_of_a_list_and_of_a_shard_are_surveyed_by_their_names() {
    let server = Server::start();
    let fixtures: Vec<Fixture> = fixture::quick_collection().into_iter().take(8).collect();
    for fixture in &fixtures {
        put_fixture(&server, "cold", fixture);
    }
    server.put("cold/notes.txt", Object::new(b"notes".to_vec(), "n"));
    let scan = Scan::new();
    let list = scan.folder().join("list");
    let url = |hash: &str| format!("s3://{BUCKET}/cold/{hash}.tar.zst");
    let urls: Vec<String> = fixtures.iter().map(|fixture| url(&fixture.hash)).chain([url("gone")]).collect();
    std::fs::write(&list, urls.join("\n")).expect("a list");
    let ended = run(&server, &scan, &["--dry-run", "--files-from", list.to_str().expect("UTF-8")]);
    assert_eq!(ended.code, 1, "one of them is not there: {ended:?}");
    assert_eq!(of_stage(&scan.logged(), "archive_complete").len(), 8);
    let errors = scan.logged();
    assert!(of_stage(&errors, "error")[0]["message"].to_string().contains("no such object"), "{errors:?}");
    let mut hashes = Vec::new();
    for shard in ["0/3", "1/3", "2/3"] {
        let scan = Scan::new();
        let prefix = format!("s3://{BUCKET}/cold");
        let files = Scan::of(&fixtures);
        let args = ["--dry-run", "--shard", shard];
        assert_eq!(run(&server, &scan, &[&args[..], &[&prefix]].concat()).code, 0);
        assert_eq!(files.run_with(&args).code, 0);
        let of = |scan: &Scan| scan::words(&of_stage(&scan.logged(), "archive_start"), "hash");
        assert_eq!(of(&scan), of(&files), "{shard}");
        hashes.extend(of(&scan));
    }
    let mut all: Vec<String> = fixtures.iter().map(|fixture| fixture.hash.clone()).collect();
    hashes.sort();
    all.sort();
    assert_eq!(hashes, all);
}

#[test]
fn a_plain_image_in_a_bucket_is_inspected() {
    let server = Server::start();
    let mut image = vec![0; 40 * MIB];
    image[..512].copy_from_slice(&mbr(3));
    server.put("disk.img", Object::new(image, "i"));
    let ended = inspect(&server, &["--json", &format!("s3://{BUCKET}/disk.img")]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let found: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!((&found["images"][0]["count"], &found["images"][0]["img"]), (&json!(3), &json!("disk.img")));
}

#[test]
fn a_dense_archive_is_asked_for_once_whatever_the_engine() {
    let server = Server::start();
    let bytes = dense();
    let blocks = (bytes.len() as u64).div_ceil(BLOCK);
    server.put(&format!("d/{DENSE}.tar.zst"), Object::new(bytes, "dense"));
    for engine in ["auto", "skip", "decode"] {
        server.set(Faults::default());
        let scan = site_of("d");
        let ended = run(&server, &scan, &["--dry-run", "--engine", engine]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let end = of_stage(&scan.logged(), "archive_complete")[0].clone();
        assert_eq!(end["multipart_imgs"], 1);
        let (_, gets, _) = server.counts();
        assert!(gets * 10 <= blocks * 13, "{engine}: {gets} requests for {blocks} blocks: {:?}", server.log());
        assert_eq!(end["requests"], gets + 1, "and one for what it is at the end");
        assert_eq!(end["requested_bytes"], server.sent());
    }
}

#[test]
fn nothing_comes_twice_of_frames_that_look_full_until_their_ends() {
    let server = Server::start();
    let tar = tar(96 * MIB, DENSE);
    let frames = tar.chunks(16 * MIB).map(|piece| zstd::bulk::compress(piece, 1).expect("compresses"));
    let bytes: Vec<u8> = frames.flatten().collect();
    let blocks = (bytes.len() as u64).div_ceil(BLOCK);
    server.put(&format!("d/{DENSE}.tar.zst"), Object::new(bytes, "frames"));
    let scan = site_of("d");
    let ended = run(&server, &scan, &["--dry-run"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let (_, gets, _) = server.counts();
    assert!(gets * 10 <= blocks * 13, "{gets} requests for {blocks} blocks: {:?}", server.log());
}

#[test]
fn a_quick_look_is_one_request_and_one_for_what_the_object_is_at_the_end() {
    let server = Server::start();
    server.put(&format!("d/{DENSE}.tar.zst"), Object::new(dense(), "dense"));
    let scan = site_of("d");
    let ended = run(&server, &scan, &["--dry-run", "--quick"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = scan.logged();
    let end = of_stage(&lines, "archive_complete")[0];
    assert_eq!((&end["complete"], &end["requests"], &end["imgs"]), (&json!(false), &json!(2), &json!(1)));
    assert_eq!((server.counts().0, server.sent()), (2, BLOCK));
}

#[test]
fn what_goes_wrong_on_the_way_changes_nothing_but_the_number_of_requests() {
    let server = Server::start();
    server.put(&format!("d/{DENSE}.tar.zst"), Object::new(dense(), "dense"));
    let clean = site_of("d");
    assert_eq!(run(&server, &clean, &["--verify", "--dry-run"]).code, 0);
    let faults: [(&str, Faults); 5] = [
        ("busy", Faults { busy: 3, ..Faults::default() }),
        ("reset", Faults { reset: 3, ..Faults::default() }),
        ("short", Faults { short: 3, ..Faults::default() }),
        ("no HEAD", Faults { no_head: true, ..Faults::default() }),
        ("all", Faults { busy: 5, reset: 4, short: 3, latency: Duration::from_millis(20), ..Faults::default() }),
    ];
    for (name, faults) in faults {
        server.set(faults);
        let scan = site_of("d");
        let ended = run(&server, &scan, &["--verify", "--dry-run"]);
        assert_eq!(ended.code, 0, "{name}: {ended:?}");
        assert_eq!(verdicts(&scan.logged()), verdicts(&clean.logged()), "{name}");
        let end = of_stage(&scan.logged(), "archive_complete")[0].clone();
        let (requests, gets, _) = server.counts();
        assert_eq!(end["requests"], requests, "{name}: {:?}", server.log());
        assert!(gets >= 6 && requests > 7, "{name}: {requests} {gets}");
    }
}

#[test]
fn what_a_seek_table_leaves_out_is_not_asked_for() {
    let server = Server::start();
    // Two frames with skippable ones between them that hold 5 GB of nothing.
    let tar = tar(2 * MIB, DENSE);
    let (first, second) = tar.split_at(MIB);
    let frames = [first, second].map(|bytes| zstd::bulk::compress(bytes, 1).expect("compresses"));
    let gap: u32 = 2_500_000_000;
    let skippable = [&0x184D_2A50_u32.to_le_bytes()[..], &gap.to_le_bytes()].concat();
    let mut at = 0;
    let mut pieces = Vec::new();
    for (bytes, skip) in [(&frames[0], 0), (&skippable, gap), (&skippable, gap), (&frames[1], 0)] {
        pieces.push((at, std::sync::Arc::new(bytes.clone())));
        at += bytes.len() as u64 + u64::from(skip);
    }
    assert!(at > 5_000_000_000);
    let object = Object { length: at, pieces, etag: Some("sparse".to_owned()), ..Object::default() };
    server.put(&format!("s/{DENSE}.tar.zst"), object);
    for engine in ["auto", "decode"] {
        server.set(Faults::default());
        let scan = site_of("s");
        let ended = run(&server, &scan, &["--dry-run", "--engine", engine]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let end = of_stage(&scan.logged(), "archive_complete")[0].clone();
        assert_eq!((&end["multipart_imgs"], &end["compressed_bytes"]), (&json!(1), &json!(at)));
        let (_, gets, _) = server.counts();
        assert!(gets <= 5, "{engine}: {:?}", server.log());
    }
}

#[test]
fn a_hundred_thousand_keys_are_listed_by_pages_in_bounded_memory() {
    let server = Server::start();
    server.list(100_000);
    let scan = site_of("a").site(&format!("collection = ['s3://{BUCKET}/a']\nmin_archive_size = '1GB'"));
    let mut command = of(&server, scan.command());
    let begun = Instant::now();
    let mut child = command.arg("--dry-run").stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("starts");
    let mut peak = 0;
    let status = loop {
        let text = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let kib =
            text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().trim_end_matches(" kB").parse().ok());
        peak = kib.unwrap_or(0).max(peak);
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let took = begun.elapsed();
    eprintln!("10^5 keys: {took:?}, {peak} KiB");
    assert!(status.success() && peak < 150 << 10, "{status}, {peak} KiB");
    let left_out = of_stage(&scan.logged(), "left_out")[0].clone();
    assert_eq!((&left_out["rule"], &left_out["count"]), (&json!("too_small"), &json!(100_000)));
    assert_eq!(server.counts(), (0, 0, 100));
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn a_signal_ends_a_read_that_nobody_answers_within_a_second() {
    let server = Server::start();
    server.put(&format!("d/{DENSE}.tar.zst"), Object::new(dense(), "dense"));
    for (mute_from, latency) in [(Some(1), Duration::ZERO), (Some(2), Duration::ZERO), (None, Duration::from_secs(30))]
    {
        server.set(Faults { latency, mute_from, ..Faults::default() });
        let scan = site_of("d");
        let mut command = of(&server, scan.command());
        command.args(["--dry-run", "--engine", "decode"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let child = command.spawn().expect("starts");
        let begun = Instant::now();
        let is_waiting = || mute_from.map_or(server.all() > 0, |from| server.counts().1 >= from);
        while !is_waiting() {
            assert!(begun.elapsed() < Duration::from_secs(20), "no request came");
            std::thread::sleep(Duration::from_millis(5));
        }
        common::run("procps", "kill", &["-INT", &child.id().to_string()], "");
        let signalled = Instant::now();
        let ended = child.wait_with_output().expect("ends");
        let took = signalled.elapsed();
        assert_eq!(ended.status.code(), Some(130));
        let said = String::from_utf8_lossy(&ended.stdout);
        assert!(!said.contains("There was no archive"), "{said}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        let last = scan.logged().pop().expect("a line");
        assert_eq!((&last["stage"], &last["signal"]), (&json!("interrupted"), &json!("SIGINT")));
        server.set(Faults::default());
    }
}

#[test]
fn what_cannot_be_had_is_one_line_with_its_mend() {
    let server = Server::start();
    put_fixture(&server, "cold", &fixture::quick_collection().remove(0));
    let line = |ended: Ended, words: &str| {
        assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    };
    let site = Scan::new();
    let scan = |url: &str| run(&server, &site, &["--dry-run", url]);
    line(scan("s3://nowhere/cold"), "there is no bucket nowhere");
    line(scan("s3://nowhere/cold/a.tar.zst"), "there is no bucket nowhere");
    line(scan(&format!("s3://{BUCKET}/warm")), "nothing in the bucket has this prefix");
    line(scan(&format!("s3://{BUCKET}/cold/a.tar.zst")), "there is no such object");
    line(scan(&format!("{}/cold/", server.web())), "name the archives themselves");
    let mut command = of(&server, site.command());
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1").args(["--dry-run", "s3://cold/cold"]);
    let begun = Instant::now();
    let ended = scan::end(&mut command);
    assert_eq!((ended.code, ended.stderr.lines().count()), (75, 1), "trying again may mend it: {ended:?}");
    assert!(ended.stderr.contains("the store cannot be reached"), "{}", ended.stderr);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    // What is on standard output of inspect is its answer.
    let ended = inspect(&server, &[&format!("s3://{BUCKET}/none.tar.zst")]);
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.contains("it cannot be opened: there is no such object"), "{}", ended.stdout);
    assert!(!Path::new("s3:").exists());
}
