//! The samples for engines that run shards, each by the engine itself or its own validator, and the one that reads their logs.
//! An engine that is not installed is named, and its test is skipped: none of them is needed to build imgsieve.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use common::fixture::{self, Fixture};
use common::scan::{Scan, end, imgsieve};
use serde_json::{Value, json};

/// A test that waits longer than this fails.
const PATIENCE: Duration = Duration::from_mins(3);

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/samples")
}

fn sample(name: &str) -> String {
    fs::read_to_string(samples().join(name)).expect("a sample")
}

/// The Python that `tests/run` has made, or the system's.
fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/oracles/bin/python");
    if own.exists() { own } else { "python3".into() }
}

/// Whether a module of Python is there; says so if it is not.
fn has_module(module: &str) -> bool {
    let import = Command::new(python()).args(["-c", &format!("import {module}")]).output();
    let has = import.is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("SKIPPED: Python's {module} is not installed");
    }
    has
}

/// Whether a program is there; says so if it is not.
fn has(program: &str) -> bool {
    let which = ["-c", "command -v \"$0\"", program];
    let has = Command::new("sh").args(which).env("PATH", common::path_with_sbin()).output();
    let has = has.is_ok_and(|output| output.status.success());
    if !has {
        eprintln!("SKIPPED: {program} is not installed");
    }
    has
}

/// A collection of everything that takes no time, and a site file that runs in its folder find.
fn scan() -> Scan {
    let mut fixtures = fixture::all();
    fixtures.retain(Fixture::is_quick);
    let scan = Scan::of(&fixtures);
    fs::rename(scan.site_file(), scan.folder().join("imgsieve.toml")).expect("a site file");
    scan
}

/// `program` in the folder of `scan`, which finds imgsieve.
fn in_folder(scan: &Scan, program: &str) -> Command {
    let bin = Path::new(env!("CARGO_BIN_EXE_imgsieve")).parent().expect("a folder");
    let mut command = Command::new(program);
    command.current_dir(scan.folder()).env_remove("IMGSIEVE_CONFIG");
    command.env("PATH", format!("{}:{}", bin.display(), common::path_with_sbin()));
    command
}

fn succeeded(output: &Output) -> String {
    let said = [&output.stdout[..], &output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}");
    said
}

/// What the report over `logs` says of each archive and image, whoever found it.
fn found(logs: &Path) -> (Value, BTreeMap<String, Value>) {
    let ended = end(imgsieve().args(["report", "--json"]).arg(logs));
    assert_eq!(ended.code, 0, "{ended:?}");
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let mut found = BTreeMap::new();
    for archive in report["archives"].as_array().expect("archives") {
        let images: Vec<Value> = archive["images"]
            .as_array()
            .expect("images")
            .iter()
            .map(|image| json!([image["img"], image["ordinal"], image["partitions"], image["action"], image["path"]]))
            .collect();
        let hash = archive["hash"].as_str().expect("a hash").to_owned();
        found.insert(hash, json!([archive["end"], images]));
    }
    let run = report["runs"].as_array().and_then(|runs| runs.last()).cloned().unwrap_or_default();
    (run, found)
}

/// What one run finds, with the same places.
fn found_by_one_run(scan: &Scan) -> BTreeMap<String, Value> {
    let log = scan.folder().join("whole.jsonl");
    let mut command = in_folder(scan, "imgsieve");
    command.args(["scan", "-q", "--no-progress", "--log"]).arg(&log).output().expect("a run");
    fs::remove_dir_all(scan.staging()).expect("staged");
    found(&log).1
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn parallel_runs_all_shards_and_again_only_those_that_failed() {
    if !has("parallel") {
        return;
    }
    let scan = scan();
    let whole = found_by_one_run(&scan);
    let run = || {
        // Citations are for papers.
        let mut command = in_folder(&scan, "sh");
        command.arg(samples().join("parallel")).env("PARALLEL", "--will-cite").output().expect("sh runs")
    };
    let first = run();
    let said = String::from_utf8_lossy(&first.stdout);
    assert!(said.contains("Run over 32 shards"), "{said}");
    let (of_run, shards) = found(&scan.folder().join("logs"));
    assert_eq!(of_run["end"], "complete", "{of_run}");
    assert_eq!(shards, whole);
    let joblog = || fs::read_to_string(scan.folder().join("shards.tsv")).expect("a joblog");
    let failed = joblog().lines().filter(|line| line.split('\t').nth(6) == Some("1")).count();
    let before = joblog().lines().count();
    assert!(failed > 0 && before == 33, "{}", joblog());
    assert_eq!(first.status.code(), i32::try_from(failed).ok(), "as many as GNU parallel says failed");
    run();
    assert_eq!(joblog().lines().count(), before + failed, "what was done is passed over");
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn kubernetes_takes_the_job() {
    if !has_module("kubernetes_validate") {
        return;
    }
    let scan = Scan::new();
    let validate = |text: &str| {
        let path = scan.folder().join("job.yaml");
        fs::write(&path, text).expect("a file");
        let mut command = Command::new(python());
        command.args(["-m", "kubernetes_validate", "--strict"]).arg(&path).output().expect("python runs")
    };
    let job = sample("kubernetes.yaml");
    succeeded(&validate(&job));
    for slip in ["completionMode: Index", "podFailurePolicies:", "backoffLimitPerIndex: ten"] {
        let key = slip.split(':').next().expect("a key");
        let known = ["completionMode: Indexed", "podFailurePolicy:", "backoffLimitPerIndex: 10"];
        let known =
            known.iter().find(|known| known.split(':').next().expect("a key")[..10] == key[..10]).expect("there");
        let slipped = job.replace(known, slip);
        assert_ne!(slipped, job);
        assert!(!validate(&slipped).status.success() || slip.ends_with("Index"), "a slip is seen: {slip}");
    }
    // Its command is one of imgsieve's.
    let (_, command) = job.split_once("command: [").expect("a command");
    let (command, _) = command.split_once(']').expect("its end");
    let words: Vec<&str> = command.split(',').map(str::trim).collect();
    let scan = scan_of_words(&words);
    assert!(scan.code <= 1, "{scan:?}");
}

/// Runs the words of the job, as one of its pods does, elsewhere.
fn scan_of_words(words: &[&str]) -> common::scan::Ended {
    let scan = scan();
    let folder = scan.folder().display().to_string();
    let place = |word: &&str| match *word {
        "$(SHARD)/32" => "7/32".to_owned(),
        "/cold" => scan.collection().display().to_string(),
        word => word.replace("/survey/", &format!("{folder}/")),
    };
    assert_eq!(words[..2], ["imgsieve", "scan"]);
    let words: Vec<String> = words[1..].iter().map(place).collect();
    let mut command = in_folder(&scan, "imgsieve");
    let ended = end(command.args(words));
    assert!(scan.folder().join("logs/scan-07-of-32.jsonl").is_file());
    ended
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn snakemake_runs_all_shards_and_reports() {
    if !has_module("snakemake") {
        return;
    }
    let scan = scan();
    let whole = found_by_one_run(&scan);
    fs::copy(samples().join("Snakefile"), scan.folder().join("Snakefile")).expect("a copy");
    let snakemake = || {
        let mut command = in_folder(&scan, &python().to_string_lossy());
        command.env("HOME", scan.folder());
        succeeded(&command.args(["-m", "snakemake", "--cores", "4"]).output().expect("python runs"))
    };
    snakemake();
    assert!(fs::read_to_string(scan.folder().join("survey/report.html")).expect("a page").contains("over 32 shards"));
    let (of_run, shards) = found(&scan.folder().join("survey/logs"));
    assert_eq!(of_run["end"], "complete", "{of_run}");
    assert_eq!(shards, whole);
    assert!(snakemake().contains("Nothing to be done"));
}

/// A private cluster, which ends with the test.
struct Cluster {
    folder: tempfile::TempDir,
}

impl Cluster {
    fn start() -> Cluster {
        let folder = tempfile::Builder::new().prefix("slurm").tempdir_in("/tmp").expect("a folder");
        let cluster = Cluster { folder };
        succeeded(&cluster.tool("start-cluster", &["4", "2"]));
        cluster
    }

    fn tool(&self, name: &str, arguments: &[&str]) -> Output {
        let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slurm").join(name);
        let log = |name: &str| fs::File::create(self.folder.path().join(name)).expect("a file");
        // Daemons hold on to what they print to.
        let mut command = Command::new(tool);
        command.arg(self.folder.path()).args(arguments).stdout(log("out")).stderr(log("err"));
        let status = command.status().expect("bash runs");
        let read = |name: &str| fs::read(self.folder.path().join(name)).unwrap_or_default();
        Output { status, stdout: read("out"), stderr: read("err") }
    }

    fn run(&self, scan: &Scan, program: &str, arguments: &[&str]) -> String {
        let mut command = in_folder(scan, program);
        // What is submitted finds the stand-in.
        let path = format!("{}:{}:{}", scan.folder().join("bin").display(), bin().display(), common::path_with_sbin());
        command.env("PATH", path).env("SLURM_CONF", self.folder.path().join("slurm.conf")).env("RETRY_AFTER", "1");
        succeeded(&command.args(arguments).output().expect("it runs"))
    }

    fn wait(&self, scan: &Scan, what: &str, done: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let queue = self.run(scan, "squeue", &["--noheader", "--array", "--format=%i %t %N %r"]);
            if done(&queue) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: {queue}");
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let _ = self.tool("stop-cluster", &[]);
    }
}

fn bin() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_imgsieve")).parent().expect("a folder").to_owned()
}

/// An array of eight, of which a task is requeued, one preempted, and one finds staging locked at first.
#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn slurm_runs_all_shards_whatever_happens_to_some_and_then_the_report() {
    if !["slurmctld", "slurmd", "munged"].iter().all(|program| has(program)) {
        return;
    }
    if end(Command::new("id").arg("-u")).stdout.trim() != "0" {
        eprintln!("SKIPPED: a private cluster of Slurm needs root");
        return;
    }
    let scan = scan();
    let whole = found_by_one_run(&scan);
    // Some take long at first, and one is told to try again.
    fs::create_dir(scan.folder().join("bin")).expect("a folder");
    let stand_in = scan.folder().join("bin/imgsieve");
    let script = format!(
        "#!/bin/sh\nif [ \"${{SLURM_RESTART_COUNT:-0}}\" = 0 ]; then\n  case $SLURM_ARRAY_TASK_ID in\n    2|5) exec sleep \
         600 ;;\n    6) exit 75 ;;\n  esac\nfi\nexec {} \"$@\"\n",
        env!("CARGO_BIN_EXE_imgsieve")
    );
    fs::write(&stand_in, script).expect("a script");
    fs::set_permissions(&stand_in, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    fs::copy(samples().join("slurm"), scan.folder().join("slurm")).expect("a copy");
    let cluster = Cluster::start();
    let array = cluster.run(&scan, "sbatch", &["--parsable", "slurm"]).trim().to_owned();
    let report = format!("--dependency=afterany:{array}");
    let last = ["--parsable", &report, "--output=report.out", "--wrap", "imgsieve report logs/"];
    cluster.run(&scan, "sbatch", &last);
    let runs = |queue: &str, task: &str| {
        let line = queue.lines().find(|line| line.starts_with(&format!("{array}_{task} R "))).map(str::to_owned);
        line.and_then(|line| line.split(' ').nth(2).map(str::to_owned))
    };
    cluster.wait(&scan, "two that take long", |queue| runs(queue, "2").is_some() && runs(queue, "5").is_some());
    let queue = cluster.run(&scan, "squeue", &["--noheader", "--array", "--format=%i %t %N %r"]);
    let node = runs(&queue, "5").expect("it runs");
    cluster.run(&scan, "scontrol", &["requeue", &format!("{array}_2")]);
    let urgent =
        ["--partition=urgent", "--cpus-per-task=2", "--output=/dev/null", "--nodelist", &node, "--wrap", "sleep 1"];
    cluster.run(&scan, "sbatch", &urgent);
    cluster.wait(&scan, "the end of all", |queue| {
        // Slurm has what is queued again begin two minutes later. At once is too early: its first run may still be ending, and
        // then srun fails.
        for line in queue.lines().filter(|line| line.ends_with("(BeginTime)") || line.ends_with(" BeginTime")) {
            std::thread::sleep(Duration::from_secs(1));
            let task = line.split(' ').next().unwrap_or_default();
            let arguments = ["update", &format!("JobId={task}"), "StartTime=now"];
            let mut command = in_folder(&scan, "scontrol");
            let _ = command.env("SLURM_CONF", cluster.folder.path().join("slurm.conf")).args(arguments).output();
        }
        queue.is_empty()
    });
    let jobs = fs::read_to_string(cluster.folder.path().join("log/jobs.txt")).expect("a log");
    let report = fs::read_to_string(scan.folder().join("report.out")).expect("a report");
    let said = |task: u32| fs::read_to_string(scan.folder().join(format!("imgsieve-{task}.out"))).unwrap_or_default();
    let again = [2, 4, 5, 6].map(said).concat();
    assert!(report.contains("Run over 8 shards") && report.contains("; complete after "), "{report}\n{jobs}\n{again}");
    let (of_run, shards) = found(&scan.folder().join("logs"));
    assert_eq!(of_run["end"], "complete", "{of_run}");
    assert_eq!(shards, whole);
    // What is queued again is logged as pending.
    for state in ["JobState=PENDING", "JobState=PREEMPTED"] {
        assert!(jobs.contains(state), "{state}: {jobs}");
    }
    eprintln!("{jobs}\n{report}");
}

#[test]
#[cfg_attr(not(feature = "oracles"), ignore = "compares with other programs: tests/run")]
fn duckdb_answers_as_the_report_does() {
    const SCRIPT: &str = "\
import duckdb, json, sys
db = duckdb.connect()
db.execute(open(sys.argv[1]).read())
rows = db.sql('''SELECT hash, img, img_bytes, ordinal, partitions, action, path, path_bytes, size_bytes, reason, found, verdict,
    \"table\".label AS label, [[p.start_bytes, p.size_bytes] for p in partition_list] AS extents,
    [p.fs_label for p in partition_list] AS labels, archive FROM images''')
columns = rows.columns
images = [dict(zip(columns, row)) for row in rows.fetchall()]
ends = dict(db.sql('SELECT hash, \"end\" FROM archives').fetchall())
print(json.dumps({'images': images, 'ends': ends}))
";
    if !has_module("duckdb") {
        return;
    }
    let scan = scan();
    let logs = format!("{}/", scan.folder().join("logs").display());
    let shard = |shard: &str, more: &[&str]| {
        let mut command = in_folder(&scan, "imgsieve");
        command
            .args(["scan", "-q", "--no-progress", "--shard", shard, "--log", &logs])
            .args(more)
            .output()
            .expect("a run")
    };
    for (index, dry) in [(0, true), (1, true), (2, true), (0, false), (1, false)] {
        shard(&format!("{index}/3"), if dry { &["--dry-run"] } else { &[] });
        // Times are told in seconds.
        std::thread::sleep(Duration::from_millis(if index == 2 { 1100 } else { 0 }));
    }
    // A torn line is none.
    let torn = Path::new(&logs).join("scan-2-of-3.jsonl");
    let text = fs::read_to_string(&torn).expect("a log");
    fs::write(&torn, text + "{\"ts\":\"2026-01-01T00:00:00Z\",\"stage\":\"partition_ch").expect("a log");
    let said = in_folder(&scan, &python().to_string_lossy())
        .args(["-c", SCRIPT])
        .arg(samples().join("survey.sql"))
        .output()
        .expect("python runs");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let answer: Value = serde_json::from_slice(&said.stdout).expect("JSON");
    let ended = end(imgsieve().args(["report", "--json", &logs]));
    let report: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let mut expected = Vec::new();
    for archive in report["archives"].as_array().expect("archives") {
        assert_eq!(answer["ends"][archive["hash"].as_str().expect("a hash")], archive["end"], "{}", archive["hash"]);
        for image in archive["images"].as_array().expect("images") {
            let partitions = image["partition_list"].as_array().expect("a list");
            let logged = !image["table"].is_null();
            let extents: Vec<Value> =
                partitions.iter().map(|each| json!([each["start_bytes"], each["size_bytes"]])).collect();
            let labels: Vec<Value> = partitions.iter().map(|each| each["fs_label"].clone()).collect();
            let mut row = json!({"hash": archive["hash"], "archive": archive["archive"]});
            for key in
                ["img", "img_bytes", "ordinal", "partitions", "action", "path", "path_bytes", "size_bytes", "reason"]
            {
                row[key] = image[key].clone();
            }
            row["found"] = if logged { image["found"].clone() } else { Value::Null };
            (row["verdict"], row["label"]) = (image["verdict"].clone(), image["table"]["label"].clone());
            row["extents"] = if logged { json!(extents) } else { Value::Null };
            row["labels"] = if logged { json!(labels) } else { Value::Null };
            expected.push(row);
        }
    }
    let key = |row: &Value| {
        row.as_object().map(|row| json!([row["hash"], row["img"], row["img_bytes"], row["ordinal"]]).to_string())
    };
    let mut rows = answer["images"].as_array().expect("rows").clone();
    rows.sort_by_key(key);
    expected.sort_by_key(key);
    assert_eq!(rows.len(), expected.len());
    for (row, expected) in rows.iter().zip(&expected) {
        assert_eq!(row, expected);
    }
    assert!(rows.iter().any(|row| row["action"] == "KEPT") && rows.iter().any(|row| row["action"] == "would_keep"));
}
