//! The options that a run logged, as words of a command that goes on with it.

use std::iter;

/// Options that stand before their value, and not in one word with it.
const WITH_VALUE: [&[u8]; 4] = [b"--config", b"--staging", b"--log", b"--files-from"];

/// The options one by one, each with its value. What is surveyed, archives and folders of them, stands behind them.
pub(super) fn each(options: &[Vec<u8>]) -> impl Iterator<Item = &[Vec<u8>]> {
    let mut rest = options;
    iter::from_fn(move || {
        let len = if WITH_VALUE.contains(&&**rest.first()?) { 2 } else { 1 };
        let (option, others) = rest.split_at(len.min(rest.len()));
        rest = others;
        Some(option)
    })
}

/// The words of all but the logs.
pub(super) fn without_logs(options: &[Vec<u8>]) -> Vec<&[u8]> {
    each(options).filter(|option| option[0] != b"--log").flatten().map(Vec::as_slice).collect()
}

/// Whether they are of a run over a shard, which has a log of its own.
pub(super) fn are_of_shard(options: &[Vec<u8>]) -> bool {
    options.iter().any(|option| option.starts_with(b"--shard="))
}

/// Whether another run can be given them: not where the archives came from standard input.
pub(super) fn are_repeatable(options: &[Vec<u8>]) -> bool {
    !each(options).any(|option| *option == [b"--files-from".to_vec(), b"-".to_vec()])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Vec<u8>> {
        text.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn an_option_goes_with_its_value() {
        let options = words("--config /a --log - --files-from - --null --only=x --jobs=2 --recursive s3://b/p /cold");
        let text = |words: Vec<&[u8]>| String::from_utf8(words.join(&b' ')).expect("text");
        assert_eq!(
            text(without_logs(&options)),
            "--config /a --files-from - --null --only=x --jobs=2 --recursive s3://b/p /cold"
        );
        assert!(!are_repeatable(&options) && are_repeatable(&words("--log - --files-from /list")));
        assert!(are_of_shard(&words("--jobs=2 --shard=1/8")) && !are_of_shard(&options));
        assert_eq!(each(&words("--log")).count(), 1);
    }
}
