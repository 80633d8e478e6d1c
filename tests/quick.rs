//! A first look at the beginning of each archive: what it tells is so, and what it does not look at is said.

mod common;

use std::collections::BTreeMap;
use std::fs::File;

use serde_json::{Value, json};

use common::fixture;
use common::report::run_printed;
use common::scan::{Scan, end, imgsieve, of_stage};

/// Of each image, what is done with it, its number of partitions, and why.
fn verdicts(lines: &[Value]) -> BTreeMap<String, (String, Value, Value)> {
    let checks = of_stage(lines, "partition_check");
    let key = |check: &Value| format!("{}/{}/{}", check["hash"], check["img"], check["ordinal"]);
    let word = |check: &Value| check["action"].as_str().expect("a word").to_owned();
    let of = |check: &Value| (word(check), check["partitions"].clone(), check["reason"].clone());
    checks.iter().map(|check| (key(check), of(check))).collect()
}

#[test]
fn a_first_look_says_what_the_whole_archive_says_or_that_it_does_not_know() {
    // Those without damage: what a first look does not meet, it cannot tell.
    let mut fixtures = fixture::all();
    fixtures.retain(|fixture| fixture.folder == "collection");
    let (first, whole) = (Scan::of(&fixtures).args(&["--quick"]), Scan::of(&fixtures).args(&["--dry-run"]));
    assert_eq!(first.run().code, 0);
    whole.run();
    let whole = verdicts(&whole.logged());
    let mut counts = BTreeMap::<String, u32>::new();
    for (image, (action, partitions, reason)) in verdicts(&first.logged()) {
        let (action_of_all, partitions_of_all, _) = &whole[&image];
        if action == "undecided" {
            assert_eq!((partitions, reason), (Value::Null, json!("not_looked_at")), "{image}");
        } else {
            assert_eq!(&action, action_of_all, "{image}");
            // With enough of them, the rest is not counted.
            assert!(partitions.as_u64() <= partitions_of_all.as_u64(), "{image}");
        }
        *counts.entry(action).or_default() += 1;
    }
    for action in ["would_keep", "deleted", "undecided"] {
        assert!(counts.get(action).is_some_and(|&count| count >= 5), "{counts:?}");
    }
}

#[test]
fn what_was_not_looked_at_is_said_everywhere() {
    // A table in the first sectors, an EBR chain that goes on far behind them, and two images.
    let names = ["gpt-multi", "mbr-far-ebr", "two-images"];
    let scan = Scan::of_named(&names).args(&["--quick"]);
    let ended = scan.run();
    assert_eq!(ended.code, 0, "{ended:?}");
    let told = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "Looked at the beginning of 3 archives",
        "There may be other images, tables at the ends, and rescue maps.",
        "imgsieve scan --dry-run --resume --config",
        "the whole of 3 archives, of which only the beginning was looked at",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    for part in ["Checked", "Nothing remains", "without an image"] {
        assert!(!told.contains(part), "{part}: {told}");
    }
    let lines = scan.logged();
    assert_eq!(of_stage(&lines, "script_start")[0]["rules"]["quick"], json!(true));
    assert!(of_stage(&lines, "archive_complete").iter().all(|end| end["complete"] == json!(false)));
    let report = |format: &str| end(imgsieve().args(["report", format]).arg(scan.log())).stdout;
    let json: Value = serde_json::from_str(&report("--json")).expect("JSON");
    assert_eq!(json["remaining"]["archives_partial"], json!(3));
    assert!(json["archives"].as_array().expect("a list").iter().all(|archive| archive["complete"] == json!(false)));
    assert!(report("--csv").lines().skip(1).all(|row| row.ends_with(",false")));
    assert_eq!(report("--unchecked").lines().count(), 3);
    let page = end(imgsieve().args(["report", "--html", "-"]).arg(scan.log())).stdout;
    assert!(page.contains("looked at only at the beginning"));
    assert!(!scan.staging().exists());
}

#[test]
fn a_whole_run_takes_nothing_over_from_a_first_look() {
    let scan = Scan::of_named(&["gpt-multi", "sparse-gnu"]);
    assert_eq!(end(scan.command().arg("--quick")).code, 0);
    let ended = end(scan.command().args(["--dry-run", "--resume"]));
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(of_stage(&scan.logged(), "archive_resumed").is_empty());
    // The other way round, all is known.
    assert_eq!(end(scan.command().args(["--quick", "--resume"])).code, 0);
    assert_eq!(of_stage(&scan.logged(), "archive_resumed").len(), 2);
}

#[test]
fn a_first_look_reads_the_beginning_alone() {
    let dense =
        fixture::all().into_iter().max_by_key(|fixture| fixture.path().metadata().map_or(0, |metadata| metadata.len()));
    let scan = Scan::of(&[dense.expect("there are some")]).args(&["--quick"]);
    scan.run();
    let lines = scan.logged();
    let end = &of_stage(&lines, "archive_complete")[0];
    assert!(end["decoded_bytes"].as_u64() <= Some(4 << 20), "{end}");
    assert!(end["requested_bytes"].as_u64() <= Some(4 << 20), "{end}");
}

#[test]
fn a_disk_with_an_mbr_whose_first_partition_begins_at_1_mib_is_decided_on() {
    let scan = Scan::of(&[]).args(&["--quick"]);
    let hash = "02cfdb972c05eafd4d89d1f0fe6e6a19";
    let image = scan.folder().join(format!("{hash}.img"));
    // Long enough for sectors of 4096 bytes, too: what the partition begins with tells.
    File::create(&image).expect("an image").set_len(1_100_000_000).expect("its length");
    let path = image.to_str().expect("UTF-8");
    common::run("e2fsprogs", "mkfs.ext4", &["-q", "-F", "-E", "offset=1048576", path, "50M"], "");
    common::run("fdisk", "sfdisk", &["-q", path], "label: dos\n2048,100000,83\n204800,8192,83\n");
    let pack =
        format!("tar -C {} -cf - {hash}.img | zstd -q -1 -o {}", scan.folder().display(), scan.archive(hash).display());
    common::run("tar and zstd", "sh", &["-c", &pack], "");
    scan.run();
    let check = of_stage(&scan.logged(), "partition_check")[0].clone();
    assert_eq!((&check["action"], &check["partitions"]), (&json!("would_keep"), &json!(2)), "{check}");
}

#[test]
fn the_command_for_what_is_undecided_surveys_those_archives_and_no_other() {
    let scan = Scan::of_named(&["gpt-multi", "mbr-far-ebr", "gpt-backup-only"]).args(&["--quick"]);
    scan.run();
    let summary = end(imgsieve().args(["report", "--json"]).arg(scan.log())).stdout;
    let json: Value = serde_json::from_str(&summary).expect("JSON");
    assert_eq!(json["remaining"]["imgs_unsettled"], json!(2));
    let ended = run_printed(&json["remaining"]["decide"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines = scan.logged();
    let run = &of_stage(&lines, "script_start")[1]["run"];
    let checks = of_stage(&lines, "partition_check");
    let checks: Vec<&Value> = checks.into_iter().filter(|check| check["run"] == *run).collect();
    assert_eq!(checks.len(), 2);
    assert!(checks.iter().all(|check| check["partitions"].is_u64()), "{checks:?}");
    // What the first look decided on is not forgotten over it.
    let after = end(imgsieve().args(["report", "--json"]).arg(scan.log())).stdout;
    let json: Value = serde_json::from_str(&after).expect("JSON");
    assert_eq!(json["archives"].as_array().expect("a list").len(), 3);
    assert_eq!(json["remaining"]["imgs_unsettled"], json!(0));
    assert_eq!(json["remaining"]["archives_partial"], json!(1));
}

#[test]
fn what_is_undecided_can_be_decided_on_at_once() {
    let mut fixtures = fixture::all();
    fixtures.retain(|fixture| fixture.folder == "collection");
    let scans = [&["--quick", "--decide"][..], &["--dry-run"]].map(|args| Scan::of(&fixtures).args(args));
    let [decided, whole] = scans.map(|scan| {
        assert_eq!(scan.run().code, 0);
        verdicts(&scan.logged())
    });
    assert!(decided.len() > fixtures.len() / 2, "{}", decided.len());
    for (image, (action, ..)) in &decided {
        assert_eq!(action, &whole[image].0, "{image}");
    }
}

#[test]
fn what_a_whole_run_would_not_stage_or_has_staged_is_told_by_a_first_look() {
    let scan = Scan::of_named(&["gpt-multi"]);
    let refused = end(scan.command().args(["--quick", "--max-image-size", "1MB"]));
    assert_eq!(refused.code, 1, "{refused:?}");
    assert_eq!(of_stage(&scan.logged(), "partition_check")[0]["reason"], json!("max_image_size"));
    assert_eq!(scan.run().code, 0);
    assert_eq!(end(scan.command().arg("--quick")).code, 0);
    let lines = scan.logged();
    let last = of_stage(&lines, "partition_check").pop().expect("a verdict").clone();
    assert_eq!((&last["action"], &last["existing"]), (&json!("would_keep"), &json!(true)), "{last}");
}

#[test]
fn a_rescue_map_in_front_of_the_image_is_heeded() {
    let scan = Scan::of_named(&["map-before", "unread-before"]).args(&["--quick"]);
    scan.run();
    let lines = scan.logged();
    let checks = of_stage(&lines, "partition_check");
    let of = |name| {
        let hash = fixture::named(name).hash;
        checks.iter().find(|check| check["hash"] == *hash).expect("a verdict")["action"].clone()
    };
    assert_eq!((of("map-before"), of("unread-before")), (json!("deleted"), json!("undecided")));
}
