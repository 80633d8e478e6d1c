//! Names of logs, and what logrotate makes of them.

use std::path::{Path, PathBuf};

use crate::listing;

/// Digits of the date that logrotate's `dateext` adds.
const DATE_DIGITS: usize = 8;

/// Whether a path is that of a folder that logs can be in: there are some, or nothing is in it but hidden files. A folder in the
/// place of a log is none of logs.
#[must_use]
pub fn is_folder_of_logs(path: &Path) -> bool {
    let (mut has_others, mut has_logs) = (false, false);
    let told = listing::each(path, |entry| {
        let name = entry.name().to_string_lossy();
        has_others |= !name.starts_with('.');
        has_logs |= !name.starts_with('.') && is_log_name(&name);
        Ok(())
    });
    let is_of_log = path.extension().is_some_and(|extension| extension == "jsonl");
    told.is_ok() && !is_of_log && (!has_others || has_logs)
}

/// Whether a file in a folder is a log, or what logrotate made of one.
pub(super) fn is_log_name(name: &str) -> bool {
    Path::new(&unrotated(name)).extension().is_some_and(|extension| extension == "jsonl")
}

/// The path of the log that `path` is a part of.
pub(super) fn stem(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(unrotated(&name))
}

/// How old a part of a log is by its name: 0 for the one that is written to.
pub(super) fn age(path: &Path) -> u64 {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let whole = unrotated(&name);
    let digits: String =
        name.trim_end_matches(|c: char| !c.is_ascii_digit()).chars().rev().take_while(char::is_ascii_digit).collect();
    let digits: String = digits.chars().rev().collect();
    match digits.parse::<u64>() {
        Ok(number) if name != whole && digits.len() < DATE_DIGITS => number,
        // Of dates, the earlier is the older.
        Ok(date) if name != whole => u64::MAX - date,
        _ => 0,
    }
}

/// The name that a log had before logrotate added a number or a date, and the compressor its suffix.
fn unrotated(name: &str) -> String {
    let name = name.strip_suffix(".gz").or(name.strip_suffix(".zst")).unwrap_or(name);
    // With `extension .jsonl` the suffix stays behind the rest.
    let (name, suffix) = name.strip_suffix(".jsonl").map_or((name, ""), |name| (name, ".jsonl"));
    let is_digits = |text: &str, least: usize| text.len() >= least && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = match (name.rsplit_once('.'), name.rsplit_once('-')) {
        (Some((head, number)), _) if is_digits(number, 1) => head,
        (_, Some((head, date))) if is_digits(date, DATE_DIGITS) => head,
        _ => name,
    };
    format!("{name}{suffix}")
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use super::*;

    #[test]
    fn a_name_is_the_logs_whatever_logrotate_made_of_it() {
        for name in
            ["a.jsonl", "a.jsonl.1", "a.jsonl.12.gz", "a.jsonl-20261128", "a.jsonl-20261128.zst", "a-20261128.jsonl.gz"]
        {
            assert_eq!((unrotated(name).as_str(), is_log_name(name)), ("a.jsonl", true), "{name}");
        }
        for name in ["a-1.jsonl", "shard-12.jsonl"] {
            assert_eq!(unrotated(name), name);
        }
        for name in ["a.log", "a.jsonl.bak", "site.toml", "a.jsonl.lock"] {
            assert!(!is_log_name(name), "{name}");
        }
    }

    #[test]
    fn a_higher_number_and_an_earlier_date_are_older() {
        let names =
            ["a.jsonl-20251231.gz", "a.jsonl-20260101", "a.jsonl.10.gz", "a.jsonl.2.zst", "a.jsonl.1", "a.jsonl"];
        let ages: Vec<Reverse<u64>> = names.iter().map(|name| Reverse(age(Path::new(name)))).collect();
        assert!(ages.is_sorted(), "{ages:?}");
    }

    #[test]
    fn a_folder_of_logs_has_some_or_nothing() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = |name: &str| folder.path().join(name);
        for (file, is_one) in [(".hidden", true), ("a.tar.zst", false), ("a.jsonl.1", true)] {
            std::fs::write(at(file), "").expect("a file");
            assert_eq!(is_folder_of_logs(folder.path()), is_one, "{file}");
        }
        std::fs::create_dir(at("b.jsonl")).expect("a folder");
        for path in ["a.jsonl.1", "b.jsonl", "none"] {
            assert!(!is_folder_of_logs(&at(path)), "{path}");
        }
    }
}
