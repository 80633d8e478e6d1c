//! Reports on the log of a run.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::scan::{Ended, Scan, end, imgsieve};

/// `imgsieve report` on the log of `scan`.
pub fn command(scan: &Scan, args: &[&str]) -> Command {
    let mut command = imgsieve();
    command.arg("report").arg("--config").arg(scan.site_file()).args(args).current_dir(scan.folder());
    command
}

/// A report that could be made, with nothing to say about the log.
pub fn report(scan: &Scan, args: &[&str]) -> String {
    let ended = end(&mut command(scan, args));
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{ended:?}");
    ended.stdout
}

/// The same as JSON.
pub fn json_report(scan: &Scan, args: &[&str]) -> Value {
    serde_json::from_str(&report(scan, &[args, &["--json"]].concat())).expect("JSON")
}

/// A collection of these, after a run that may have met errors.
pub fn after(names: &[&str]) -> Scan {
    let scan = Scan::of_named(names);
    scan.run();
    scan
}

/// Runs a command that a report printed, anywhere.
pub fn run_printed(command: &Value) -> Ended {
    let program = Path::new(env!("CARGO_BIN_EXE_imgsieve")).parent().expect("a folder");
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap_or_default());
    let command = command.as_str().expect("a command");
    end(Command::new("sh").args(["-c", command]).current_dir("/").env("PATH", path).stdin(Stdio::null()))
}
