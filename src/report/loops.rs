//! Commands that do the same for several shards, as a loop of the shell.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::shard::Shard;

/// So many commands that differ in the shard alone are given one by one: they may be for several machines.
const ALONE_MOST: usize = 3;

/// Commands, each for a shard that stands in it as `--shard=K/N`, a line each, or as loops where there are many.
pub(super) fn lines(commands: impl Iterator<Item = (Shard, String)>) -> String {
    let mut of_form: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for (shard, command) in commands {
        let form = command.replacen(&format!("--shard={shard}"), &format!("--shard=$k/{}", shard.count()), 1);
        of_form.entry(form).or_default().push(shard.index());
    }
    let mut lines: Vec<String> = Vec::new();
    for (form, mut shards) in of_form {
        shards.sort_unstable();
        shards.dedup();
        if shards.len() > ALONE_MOST {
            lines.push(format!("for k in {}; do {form}; done", in_shell(&shards)));
        } else {
            lines.extend(shards.iter().map(|index| form.replacen("--shard=$k", &format!("--shard={index}"), 1)));
        }
    }
    lines.join("\n")
}

/// Numbers that ascend, for the shell: `1 $(seq 3 7)`.
fn in_shell(numbers: &[u32]) -> String {
    let mut text = String::new();
    for run in numbers.chunk_by(|one, next| *one + 1 == *next) {
        let space = if text.is_empty() { "" } else { " " };
        let _ = match *run {
            [first, _, .., last] => write!(text, "{space}$(seq {first} {last})"),
            [first, last] => write!(text, "{space}{first} {last}"),
            _ => write!(text, "{space}{}", run[0]),
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_shards_are_a_loop_that_the_shell_reads_back() {
        let of = |index| (Shard::new(index, 40).expect("a shard"), format!("echo '$k' --shard={index}/40 a"));
        let shards: Vec<u32> = [0, 2, 3].into_iter().chain(5..30).chain([39]).collect();
        let told = lines(shards.iter().map(|&index| of(index)));
        assert_eq!(told, "for k in 0 2 3 $(seq 5 29) 39; do echo '$k' --shard=$k/40 a; done");
        let output = std::process::Command::new("sh").args(["-c", &told]).output().expect("sh");
        let said = String::from_utf8(output.stdout).expect("text");
        let all = shards.iter().map(|index| format!("$k --shard={index}/40 a"));
        assert_eq!(said.lines().collect::<Vec<_>>(), all.collect::<Vec<_>>());
        assert_eq!(lines([3, 1].into_iter().map(of)), "echo '$k' --shard=1/40 a\necho '$k' --shard=3/40 a");
    }
}
