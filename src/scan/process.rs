//! Whether a program of a given name is running: one that is archiving the staging folders must be left alone.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use sysinfo::{Pid, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

/// An interpreter, whose first argument that is not an option is the program that really runs.
struct Interpreter {
    /// Base names; a version may follow.
    names: &'static [&'static str],
    /// Option letters after which there is no script: the program stands in the argument, is a module, or comes from
    /// standard input.
    no_script: &'static [u8],
    /// Option letters that take the next argument.
    with_value: &'static [u8],
}

const INTERPRETERS: [Interpreter; 3] = [
    Interpreter {
        names: &["sh", "bash", "dash", "ash", "ksh", "mksh", "yash", "zsh"],
        no_script: b"cs",
        with_value: b"oO",
    },
    Interpreter { names: &["python", "pypy"], no_script: b"cm", with_value: b"WX" },
    Interpreter { names: &["perl", "ruby"], no_script: b"eE", with_value: b"I" },
];
/// Long options of shells that take the next argument.
const LONG_WITH_VALUE: [&[u8]; 2] = [b"--rcfile", b"--init-file"];

/// The first process of that base name, in words, that is neither ourselves nor an ancestor of ours.
pub fn running(name: &str) -> Result<Option<String>, sysinfo::Error> {
    let mut system = System::new()?;
    let wanted =
        ProcessRefreshKind::nothing().with_cmd(UpdateKind::Always).with_exe(UpdateKind::Always).without_tasks();
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, wanted);
    let mut ours = HashSet::new();
    let mut next = Some(Pid::from_u32(std::process::id()));
    while let Some(pid) = next.filter(|&pid| ours.insert(pid)) {
        next = system.process(pid).and_then(sysinfo::Process::parent);
    }
    let mut found: Vec<Pid> = system
        .processes()
        .iter()
        .filter(|(pid, process)| !ours.contains(pid) && is_program(name, process.exe(), process.cmd()))
        .map(|(&pid, _)| pid)
        .collect();
    found.sort();
    Ok(found.first().map(|pid| format!("{name} (process {pid})")))
}

/// Whether other users' processes can be seen at all: `hidepid`, containers and hardened kernels hide them.
#[must_use]
pub fn others_are_visible() -> bool {
    std::fs::read("/proc/1/cmdline").is_ok()
}

/// Whether a process of this executable and these arguments runs the program `name`: as its own executable, or as the
/// script of an interpreter. An editor that has the script open does not.
fn is_program(name: &str, executable: Option<&Path>, arguments: &[OsString]) -> bool {
    let is_name = |path: &OsStr| Path::new(path).file_name() == Some(OsStr::new(name));
    if executable.is_some_and(|path| is_name(path.as_os_str())) {
        return true;
    }
    let Some((program, rest)) = arguments.split_first() else { return false };
    is_name(program) || script_of(program, rest).is_some_and(is_name)
}

fn script_of<'a>(program: &OsStr, arguments: &'a [OsString]) -> Option<&'a OsStr> {
    let base = Path::new(program).file_name()?.to_str()?.trim_start_matches('-');
    if base == "busybox" {
        let (applet, rest) = arguments.split_first()?;
        return script_of(applet, rest);
    }
    let base = base.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let interpreter = INTERPRETERS.iter().find(|interpreter| interpreter.names.contains(&base))?;
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_bytes() {
            b"--" | b"-" => return arguments.next().map(OsString::as_os_str),
            long @ [b'-', b'-', ..] => {
                if LONG_WITH_VALUE.contains(&long) {
                    arguments.next();
                }
            }
            [b'-' | b'+', letters @ .., last] => {
                // What follows a letter with a value, in the same argument, is that value.
                let attached = letters.iter().position(|letter| interpreter.with_value.contains(letter));
                let letters = &letters[..attached.unwrap_or(letters.len())];
                let mut flags = letters.iter().chain(attached.is_none().then_some(last));
                if flags.any(|letter| interpreter.no_script.contains(letter)) {
                    return None;
                }
                if attached.is_none() && interpreter.with_value.contains(last) {
                    arguments.next();
                }
            }
            _ => return Some(argument),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = "archive-staging-dirs.sh";

    fn runs(command: &str) -> bool {
        let arguments: Vec<OsString> = command.split(' ').map(OsString::from).collect();
        is_program(NAME, None, &arguments)
    }

    #[test]
    fn a_program_runs_by_its_own_name_or_as_a_script() {
        for command in [
            "/usr/local/bin/archive-staging-dirs.sh",
            "archive-staging-dirs.sh -n",
            "/bin/bash ./archive-staging-dirs.sh",
            "bash -x -o pipefail /opt/archive-staging-dirs.sh now",
            "-bash archive-staging-dirs.sh",
            "bash -euo pipefail archive-staging-dirs.sh",
            "bash --rcfile x --norc archive-staging-dirs.sh",
            "sh -- archive-staging-dirs.sh",
            "busybox sh /x/archive-staging-dirs.sh",
            "python3.11 -W ignore archive-staging-dirs.sh",
            "perl -I/usr/lib/site archive-staging-dirs.sh",
        ] {
            assert!(runs(command), "{command}");
        }
        assert!(is_program(NAME, Some(Path::new("/x/archive-staging-dirs.sh")), &[]));
    }

    #[test]
    fn naming_the_script_is_not_running_it() {
        for command in [
            "vim archive-staging-dirs.sh",
            "less /opt/archive-staging-dirs.sh",
            "grep x archive-staging-dirs.sh",
            "bash -c archive-staging-dirs.sh",
            "bash -ec archive-staging-dirs.sh",
            "python3 -m archive-staging-dirs.sh",
            "bash -s archive-staging-dirs.sh",
            "bash other.sh archive-staging-dirs.sh",
            "perl -e 1 archive-staging-dirs.sh",
            "bash my-archive-staging-dirs.sh",
            "bash archive-staging-dirs.sh.bak",
            "bash",
        ] {
            assert!(!runs(command), "{command}");
        }
        assert!(!is_program(NAME, None, &[]));
    }
}
