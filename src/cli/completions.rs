//! `imgsieve completions`: what shells read to complete a command line, and the values that they ask for while they do.

use clap_complete::Shell;

use super::args::{CompletionsArguments, Values};
use super::{pages, print};
use crate::account::Recent;
use crate::exit::Exit;
use crate::log::Logs;
use crate::report::Context;

/// Completes values from the log; goes behind the script that is made of the command line.
const BASH: &str = include_str!("completions/imgsieve.bash");
/// The same for zsh; goes in front, for the script ends with its use.
const ZSH: &str = include_str!("completions/imgsieve.zsh");
/// Options whose values the log has: name, what the values are called in the help, and which they are.
const FROM_LOG: [(&str, &str, &str); 3] =
    [("run", "ID|last|all", "runs"), ("only", "HASH", "archives"), ("skip", "HASH", "archives")];

/// Prints a script, or values.
pub(super) fn run(arguments: &CompletionsArguments) -> Exit {
    match (arguments.shell, arguments.values) {
        (Some(shell), _) => print(&script(shell)),
        (None, Some(values)) => print(&lines(values, arguments)),
        (None, None) => Exit::Usage,
    }
}

/// What `shell` reads to complete the command line.
fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut pages::command(), "imgsieve", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => script + BASH,
        Shell::Zsh => zsh(&script),
        Shell::Fish => fish(&script),
        _ => script,
    }
}

fn zsh(script: &str) -> String {
    let mut script = script.to_owned();
    for (_, called, values) in FROM_LOG {
        // In the form NAME:ACTION.
        script = script.replace(&format!(":{called}:_default"), &format!(":{called}:{{_imgsieve_values {values}}}"));
    }
    match script.split_once('\n') {
        // `#compdef`.
        Some((first, rest)) => format!("{first}\n{ZSH}{rest}"),
        None => script,
    }
}

fn fish(script: &str) -> String {
    let line = |line: &str| {
        let is_of = |&&(option, ..): &&(&str, &str, &str)| line.contains(&format!(" -l {option} "));
        match (line.strip_suffix(" -r"), FROM_LOG.iter().find(is_of)) {
            (Some(line), Some((.., values))) => {
                format!("{line} -x -k -a \"(imgsieve completions --values {values} 2> /dev/null)\"\n")
            }
            _ => format!("{line}\n"),
        }
    };
    script.lines().map(line).collect()
}

/// Values of the logs, a line each; none where anything is wrong, for nobody would read about it.
fn lines(values: Values, arguments: &CompletionsArguments) -> String {
    let logs = if arguments.log.is_empty() {
        Context::of(arguments.config.as_deref()).map(|context| vec![context.site.log])
    } else {
        Ok(arguments.log.clone())
    };
    let recent = logs.ok().and_then(|logs| Logs::open(&logs, false).ok()).map(|logs| Recent::read(&logs));
    let recent = recent.unwrap_or_default();
    let names = match values {
        Values::Runs => [vec!["last", "all"], recent.runs()].concat(),
        Values::Archives => recent.archives(),
    };
    names.iter().flat_map(|name| [name, "\n"]).collect()
}
