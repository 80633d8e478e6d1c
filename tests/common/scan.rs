//! Runs of the program in a folder of their own, so that tests do not disturb each other.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::fixture::{self, Fixture};

/// A test that waits for something longer than this fails.
const PATIENCE: Duration = Duration::from_mins(1);

/// A folder with a collection, a place for staging, a log and a site file: `scan` in it finds all it needs.
pub struct Scan {
    folder: TempDir,
    args: Vec<String>,
}

/// A process that came to its end.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: i32,
    /// What it wrote to standard output.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
}

impl Scan {
    /// An empty collection; nothing that runs or lies elsewhere has a say.
    pub fn new() -> Scan {
        let scan = Scan { folder: TempDir::new().expect("a temporary folder"), args: Vec::new() };
        std::fs::create_dir(scan.collection()).expect("a folder");
        scan.site("")
    }

    /// A collection of these fixtures.
    pub fn of(fixtures: &[Fixture]) -> Scan {
        let scan = Scan::new();
        for fixture in fixtures {
            std::fs::copy(fixture.path(), scan.archive(&fixture.hash)).expect("a copy");
        }
        scan
    }

    /// A collection of the fixtures of these names.
    pub fn of_named(names: &[&str]) -> Scan {
        Scan::of(&names.iter().map(|name| fixture::named(name)).collect::<Vec<_>>())
    }

    /// Adds lines to the site file, or replaces its own.
    pub fn site(self, lines: &str) -> Scan {
        const LINES: [&str; 7] = [
            "collection = ['collection']",
            "staging = 'staging'",
            "log = 'log.jsonl'",
            "min_archive_size = '0'",
            "min_free = '0'",
            "wait_for = ''",
            "cleared = []",
        ];
        let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
        let given: Vec<String> = lines.lines().map(key).collect();
        let own = LINES.iter().filter(|line| !given.contains(&key(line)));
        let text: String = own.copied().chain(lines.lines()).flat_map(|line| [line, "\n"]).collect();
        std::fs::write(self.site_file(), text).expect("a site file");
        self
    }

    /// Adds arguments to every run.
    pub fn args(mut self, args: &[&str]) -> Scan {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
        self
    }

    /// The folder that all the others lie in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the archives are.
    pub fn collection(&self) -> PathBuf {
        self.folder().join("collection")
    }

    /// Where the archive of a hash is.
    pub fn archive(&self, hash: &str) -> PathBuf {
        self.collection().join(format!("{hash}.tar.zst"))
    }

    /// Where kept images go.
    pub fn staging(&self) -> PathBuf {
        self.folder().join("staging")
    }

    /// Where an archive's image of the pipeline's name is staged.
    pub fn staged(&self, fixture: &Fixture) -> PathBuf {
        self.staging().join(&fixture.hash).join(format!("{}.img", fixture.hash))
    }

    /// The log.
    pub fn log(&self) -> PathBuf {
        self.folder().join("log.jsonl")
    }

    /// The site file.
    pub fn site_file(&self) -> PathBuf {
        self.folder().join("site.toml")
    }

    /// `imgsieve scan` with the site file and the arguments.
    pub fn command(&self) -> Command {
        let mut command = imgsieve();
        command.arg("scan").arg("--config").arg(self.site_file()).args(&self.args);
        command
    }

    /// `imgsieve reprocess` with the site file, these options, and a shell that runs `script` with the image as `$1`.
    pub fn reprocess(&self, options: &[&str], script: &str) -> Command {
        let mut command = imgsieve();
        command.arg("reprocess").arg("--config").arg(self.site_file()).args(options);
        command.args(["--", "sh", "-c", script, "script", "{}"]);
        command
    }

    /// Runs it to its end.
    pub fn run(&self) -> Ended {
        end(&mut self.command())
    }

    /// Runs it with more arguments.
    pub fn run_with<S: AsRef<OsStr>>(&self, args: &[S]) -> Ended {
        end(self.command().args(args))
    }

    /// Runs it, and gives the log, where the run succeeded.
    pub fn lines(&self) -> Vec<Value> {
        let ended = self.run();
        assert_eq!(ended.code, 0, "{ended:?}");
        self.logged()
    }

    /// A run that is refused before anything starts: its one line on standard error, and the same in the log.
    pub fn refused(&self, reason: &str) -> String {
        // What trying again may mend has a code of its own.
        let code = if ["locked", "min_free", "collection"].contains(&reason) { 75 } else { 1 };
        let ended = self.run();
        assert_eq!((ended.code, &*ended.stdout), (code, ""), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        let lines = self.logged();
        let last = lines.last().expect("a line in the log");
        assert_eq!(json!([last["stage"], last["scope"], last["reason"]]), json!(["error", "run", reason]), "{last}");
        assert!(of_stage(&lines, "script_start").is_empty());
        let message = last["message"].as_str().expect("a message");
        assert_eq!(ended.stderr, format!("imgsieve: error: {message}\n"));
        ended.stderr
    }

    /// Every line of the log.
    pub fn logged(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.log()).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
    }

    /// Waits until the log has a line of this stage, in which `key` has this value.
    pub fn wait_for_line(&self, stage: &str, key: &str, value: &str) {
        let holds = |text: &str| {
            let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            lines.any(|line| line["stage"] == stage && line[key] == value)
        };
        let begun = Instant::now();
        while !std::fs::read_to_string(self.log()).is_ok_and(|text| holds(&text)) {
            assert!(begun.elapsed() < PATIENCE, "no line {stage} with {key} = {value} in the log");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// The program.
pub fn imgsieve() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_imgsieve"));
    // No site file of whoever passes the tests.
    command.stdin(Stdio::null()).env_remove("IMGSIEVE_CONFIG").env("XDG_CONFIG_HOME", "/nonexistent");
    command
}

/// Runs a command to its end, which no signal brings about.
pub fn end(command: &mut Command) -> Ended {
    let output = command.output().expect("a program that starts");
    Ended {
        code: output.status.code().expect("no signal ends it"),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

/// Lines of a stage.
pub fn of_stage<'l>(lines: &'l [Value], stage: &str) -> Vec<&'l Value> {
    lines.iter().filter(|line| line["stage"] == stage).collect()
}

/// The words under `key`, in the order of the lines that have one.
pub fn words(lines: &[&Value], key: &str) -> Vec<String> {
    lines.iter().filter_map(|line| line[key].as_str()).map(str::to_owned).collect()
}
