//! Runs under strace, which has system calls fail, wait, or end the process.

use std::io::Write;
use std::process::Command;

/// Why no fault can be injected here; none where they can.
pub fn missing() -> Option<String> {
    match Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Some(format!("{error}; install the Debian package strace")),
    }
}

/// Whether faults can be injected; where they cannot, `test` is said to be skipped.
pub fn is_there(test: &str) -> bool {
    let missing = missing();
    if let Some(why) = &missing {
        say(&format!("{test}: skipped, for no system call can be made to fail here: {why}"));
    }
    missing.is_none()
}

/// Says something whether or not the test passes.
pub fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// `command` under strace with these injections, as `clone3:error=EAGAIN`. Its output is the command's.
pub fn injecting(command: &Command, injections: &[&str]) -> Command {
    let calls: Vec<&str> = injections.iter().filter_map(|injection| injection.split(':').next()).collect();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={}", calls.join(","))]);
    for injection in injections {
        strace.args(["-e", &format!("inject={injection}")]);
    }
    strace.arg("--").arg(command.get_program()).args(command.get_args());
    inherit(&mut strace, command);
    strace
}

/// Gives `outer` the environment and the folder of `command`.
pub fn inherit(outer: &mut Command, command: &Command) {
    if let Some(folder) = command.get_current_dir() {
        outer.current_dir(folder);
    }
    for (key, value) in command.get_envs() {
        match value {
            Some(value) => outer.env(key, value),
            None => outer.env_remove(key),
        };
    }
}
