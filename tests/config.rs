//! Which site file is in force, `imgsieve config --init`, `~` in paths, and logs that are no file.

mod common;

use std::fs;
use std::os::unix::fs::{chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use common::scan::{Ended, Scan, end, imgsieve, of_stage};
use serde_json::Value;
use tempfile::TempDir;

/// A folder to run in, and another one that is a user's own.
struct Places {
    work: TempDir,
    home: TempDir,
}

impl Places {
    fn new() -> Places {
        let folder = || TempDir::new().expect("a temporary folder");
        Places { work: folder(), home: folder() }
    }

    fn work(&self, name: &str) -> PathBuf {
        self.work.path().canonicalize().expect("a folder").join(name)
    }

    fn home(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = imgsieve();
        command.current_dir(self.work.path()).env("HOME", self.home.path()).env_remove("XDG_CONFIG_HOME").args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Ended {
        end(&mut self.command(args))
    }
}

/// The site in force, as `config` prints it, and the line that says which it is.
fn in_force(command: &mut Command) -> (toml::Table, String) {
    let ended = end(command);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    let first = ended.stdout.lines().next().expect("a line").to_owned();
    (ended.stdout.parse().expect("TOML"), first)
}

fn site(path: &Path, partitions: u32) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("folders");
    fs::write(path, format!("min_partitions = {partitions}\n")).expect("a site file");
}

#[test]
fn the_first_site_file_that_there_is_is_in_force_and_said_to_be() {
    let places = Places::new();
    let (built_in, first) = in_force(&mut places.command(&["config"]));
    // A machine may have one of its own.
    if !Path::new("/etc/imgsieve.toml").exists() {
        assert_eq!(first, "# In force: the built-in site file, because no other was found.");
        assert_eq!(built_in["min_partitions"].as_integer(), Some(2));
    }
    let home = places.home(".config/imgsieve/config.toml");
    site(&home, 3);
    let check = |command: &mut Command, partitions: i64, path: &Path, why: &str| {
        let (site, first) = in_force(command);
        assert_eq!(site["min_partitions"].as_integer(), Some(partitions));
        assert_eq!(first, format!("# In force: {}, {why}.", path.display()));
    };
    check(&mut places.command(&["config"]), 3, &home, "this user's");
    let xdg = places.home("xdg/imgsieve/config.toml");
    site(&xdg, 4);
    check(places.command(&["config"]).env("XDG_CONFIG_HOME", places.home("xdg")), 4, &xdg, "this user's");
    check(places.command(&["config"]).env("XDG_CONFIG_HOME", "relative"), 3, &home, "this user's");
    let here = places.work("imgsieve.toml");
    site(&here, 5);
    check(&mut places.command(&["config"]), 5, &here, "found in this folder");
    let named = places.home("named.toml");
    site(&named, 6);
    check(places.command(&["config"]).env("IMGSIEVE_CONFIG", &named), 6, &named, "named by IMGSIEVE_CONFIG");
    check(places.command(&["config"]).env("IMGSIEVE_CONFIG", "~/named.toml"), 6, &named, "named by IMGSIEVE_CONFIG");
    check(places.command(&["config"]).env("IMGSIEVE_CONFIG", ""), 5, &here, "found in this folder");
    let given = places.home("given.toml");
    site(&given, 7);
    let given_too = ["config", "--config", given.to_str().expect("UTF-8")];
    check(places.command(&given_too).env("IMGSIEVE_CONFIG", &named), 7, &given, "named by --config");
    // What is named has to be there, and what is found has to be right.
    let ended = end(places.command(&["config"]).env("IMGSIEVE_CONFIG", "/nonexistent/x.toml"));
    assert_eq!((ended.code, &*ended.stdout), (2, ""), "{ended:?}");
    fs::write(&here, "min_partition = 2\n").expect("a site file");
    let ended = places.run(&["scan", "--dry-run"]);
    assert_eq!((ended.code, ended.stderr.contains("imgsieve.toml")), (2, true), "{ended:?}");
}

#[test]
fn a_site_file_of_another_user_in_this_folder_is_refused() {
    if !rustix::process::geteuid().is_root() {
        // Only root can make one.
        return;
    }
    let places = Places::new();
    let here = places.work("imgsieve.toml");
    site(&here, 5);
    chown(&here, Some(4242), None).expect("root");
    for args in [&["config"][..], &["reprocess", "--dry-run"], &["scan", "--dry-run"], &["report"]] {
        let ended = places.run(args);
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{ended:?}");
        assert!(ended.stderr.contains("belongs to another user"), "{}", ended.stderr);
    }
    assert_eq!(places.run(&["config", "--config", "imgsieve.toml"]).code, 0);
}

#[test]
fn every_command_goes_by_the_site_file_that_is_found() {
    let places = Places::new();
    let cold = places.work("cold");
    fs::create_dir(&cold).expect("a folder");
    let text = "collection = ['cold']\nlog = 'log.jsonl'\nstaging = 'staging'\nwait_for = ''\ncleared = []\n";
    fs::write(places.work("imgsieve.toml"), text).expect("a site file");
    let ended = places.run(&["scan", "--dry-run"]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert!(places.work("log.jsonl").exists() && !places.work("staging").exists());
    let ended = places.run(&["report"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("log.jsonl"), "{}", ended.stdout);
    let ended = places.run(&["verify"]);
    assert_eq!((ended.code, &*ended.stdout), (1, "No archive to verify.\n"), "{ended:?}");
}

#[test]
fn init_writes_a_commented_site_file_for_a_collection_and_never_replaces_one() {
    let places = Places::new();
    let cold = places.work("cold \"1\"");
    fs::create_dir(&cold).expect("a folder");
    let cold = cold.to_str().expect("UTF-8");
    let ended = places.run(&["config", "--init", cold, "--log", "log.jsonl", "--jobs", "3", "--skip", "ab.c"]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert_eq!(ended.stdout, "Wrote imgsieve.toml: commands that are run here use it from now on.\n");
    let text = fs::read_to_string(places.work("imgsieve.toml")).expect("a site file");
    let table: toml::Table = text.parse().expect("TOML");
    assert_eq!(table["collection"].as_array().expect("a list")[0].as_str(), Some(cold));
    assert_eq!(table["log"].as_str(), places.work("log.jsonl").to_str());
    assert_eq!((table["jobs"].as_integer(), table["skip"]["ab.c"].as_str()), (Some(3), Some("--skip")));
    // Each key has its comment.
    let comments = text.lines().filter(|line| line.starts_with("# ")).count();
    assert!(comments > 10 && text.contains("# Folder for the images that are kept"), "{text}");
    let (in_force, first) = in_force(&mut places.command(&["config"]));
    assert_eq!(in_force, table);
    assert!(first.ends_with(", found in this folder."), "{first}");
    let ended = places.run(&["config", "--init", cold]);
    assert_eq!((ended.code, &*ended.stdout), (1, ""), "{ended:?}");
    assert!(ended.stderr.contains("exists, and is not replaced"), "{}", ended.stderr);
    assert_eq!(fs::read_to_string(places.work("imgsieve.toml")).expect("still there"), text);
    symlink("target", places.work("link.toml")).expect("a link");
    assert_eq!(places.run(&["config", "--init=link.toml", cold]).code, 1);
    assert!(!places.work("target").exists());
    let ended = places.run(&["config", "--init=~/.config/imgsieve/config.toml", cold, "--log", "none"]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert!(places.home(".config/imgsieve/config.toml").exists() && !places.work("~").exists());
    for (args, code, words) in [
        (&["config", "--init=x.toml"][..], 2, "needs the folder of a collection"),
        (&["config", "--init=x.toml", "/nonexistent/cold"], 1, "is it mounted?"),
        (&["config", "--init=x.toml", cold, "--min-partitions", "0"], 2, "1 or more"),
    ] {
        let ended = places.run(args);
        assert_eq!((ended.code, ended.stderr.contains(words)), (code, true), "{args:?}: {ended:?}");
    }
    assert!(!places.work("x.toml").exists());
}

#[test]
fn a_tilde_is_the_users_own_folder_or_refused_and_never_the_name_of_one() {
    let places = Places::new();
    let value = |site: &toml::Table, key: &str| site[key].as_str().expect("text").to_owned();
    let options = ["config", "--staging=~/staging", "--log=~/x/log.jsonl", "~/cold"];
    let (site, _) = in_force(&mut places.command(&options));
    assert_eq!(Path::new(&value(&site, "staging")), places.home("staging"));
    assert_eq!(Path::new(&value(&site, "log")), places.home("x/log.jsonl"));
    assert_eq!(site["collection"].as_array().expect("a list")[0].as_str(), places.home("cold").to_str());
    let text = "collection = ['~/cold']\nstaging = '~/s'\nlog = '~'\ncleared = ['~/c']\n";
    fs::write(places.work("imgsieve.toml"), text).expect("a site file");
    let (site, _) = in_force(&mut places.command(&["config"]));
    assert_eq!(Path::new(&value(&site, "staging")), places.home("s"));
    assert_eq!(Path::new(&value(&site, "log")), places.home.path());
    assert_eq!(site["cleared"].as_array().expect("a list")[0].as_str(), places.home("c").to_str());
    fs::remove_file(places.work("imgsieve.toml")).expect("ours");
    let nobody = ["config", "--staging=~nobody/x"];
    for command in [&mut places.command(&nobody), places.command(&["inspect", "~/x"]).env_remove("HOME")] {
        let ended = end(command);
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{ended:?}");
        assert!(ended.stderr.contains('~'), "{}", ended.stderr);
    }
    fs::write(places.work("imgsieve.toml"), "staging = '~nobody/x'\n").expect("a site file");
    assert_eq!(places.run(&["config"]).code, 2);
    assert!(!places.work("~").exists() && !places.work("~nobody").exists());
}

#[test]
fn a_dry_run_goes_on_without_a_log_and_a_real_one_does_not() {
    let scan = Scan::of_named(&["mbr-multi"]).site("log = '/proc/none/log.jsonl'");
    let ended = scan.run_with(&["--dry-run"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stderr.starts_with("imgsieve: warning: opening the log /proc/none/log.jsonl"), "{}", ended.stderr);
    assert!(ended.stderr.contains("this run is not logged") && ended.stdout.contains("Found 1 image"), "{ended:?}");
    assert!(ended.stdout.ends_with("There is no log.\n"), "{}", ended.stdout);
    for named in [&["--log", "/proc/none/other.jsonl"][..], &["--shard", "0/1"]] {
        let ended = scan.run_with(&[named, &["--dry-run"]].concat());
        assert_eq!((ended.code, &*ended.stdout), (75, ""), "{named:?}: {ended:?}");
    }
    let ended = scan.run();
    assert_eq!((ended.code, &*ended.stdout), (75, ""), "{ended:?}");
    assert!(!scan.staging().exists());
}

#[test]
fn the_log_of_a_scan_may_be_standard_output_or_none() {
    let scan = Scan::of_named(&["mbr-multi"]);
    let ended = scan.run_with(&["--log", "-"]);
    assert_eq!(ended.code, 0, "{ended:?}");
    let lines: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(of_stage(&lines, "script_complete").len(), 1);
    assert_eq!(of_stage(&lines, "partition_check")[0]["action"], "KEPT");
    assert!(ended.stderr.contains("The log is standard output."), "{}", ended.stderr);
    let ended = scan.run_with(&["--log", "-", "--json"]);
    assert_eq!((ended.code, &*ended.stdout), (2, ""), "{ended:?}");
    let ended = scan.run_with(&["--log", "none"]);
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    assert!(ended.stdout.contains("There is no log."), "{}", ended.stdout);
    assert!(!scan.log().exists() && !scan.folder().join("none").exists() && !scan.folder().join("-").exists());
    // A site file may say so, too.
    let scan = Scan::of_named(&["mbr-multi"]).site("log = 'none'");
    assert_eq!(scan.run().code, 0);
    assert!(!scan.folder().join("none").exists());
    for command in ["report", "reprocess"] {
        let ended = end(imgsieve().args([command, "--config"]).arg(scan.site_file()));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{ended:?}");
        assert!(ended.stderr.contains("name a file with --log"), "{}", ended.stderr);
    }
    let ended = scan.run_with(&["--resume"]);
    assert_eq!((ended.code, ended.stderr.contains("name a file with --log")), (2, true), "{ended:?}");
}

#[test]
fn a_reader_of_the_log_that_goes_away_ends_the_run() {
    let scan = Scan::of_named(&["mbr-multi"]);
    let mut command = scan.command();
    let mut child = command
        .args(["--log", "-"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a run");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("its end");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), stderr.contains("can no longer be written")), (Some(1), true), "{stderr}");
}
