//! How the names of images end: one suffix or several, ASCII case ignored.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// What a suffix has to be.
const FORM: &str = "must be suffixes of file names, separated by commas: none empty, and without '/', '*' and '?'";

/// The suffixes, as `.img,.dd`. There is at least one, and none is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suffixes(Vec<String>);

/// Why a text names no suffixes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{FORM}")]
pub struct ParseError;

impl FromStr for Suffixes {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Suffixes, ParseError> {
        let suffixes: Vec<String> = text.split(',').map(|suffix| suffix.trim().to_owned()).collect();
        // No name has a '/'. A shell's pattern is a misunderstanding, and so are blanks instead of commas.
        let is_several = |suffix: &str| suffix.split_whitespace().skip(1).any(|part| part.starts_with('.'));
        let can_end_a_name =
            |suffix: &String| !suffix.is_empty() && !suffix.contains(['/', '\0', '*', '?']) && !is_several(suffix);
        if suffixes.iter().all(can_end_a_name) { Ok(Suffixes(suffixes)) } else { Err(ParseError) }
    }
}

impl fmt::Display for Suffixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(","))
    }
}

impl Serialize for Suffixes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Suffixes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Suffixes, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl Suffixes {
    /// What of `name` stands before its suffix, the longest that it has; none where it has none of them.
    #[must_use]
    pub fn stem<'a>(&self, name: &'a [u8]) -> Option<&'a [u8]> {
        self.0.iter().filter_map(|suffix| without_suffix(name, suffix.as_bytes())).min_by_key(|stem| stem.len())
    }

    /// Whether `name` ends in one of them.
    #[must_use]
    pub fn end(&self, name: &[u8]) -> bool {
        self.stem(name).is_some()
    }

    /// For a sentence: `.img, .dd or .raw`.
    #[must_use]
    pub fn in_words(&self) -> String {
        match &self.0[..] {
            [many @ .., last] if !many.is_empty() => format!("{} or {last}", many.join(", ")),
            suffixes => suffixes.concat(),
        }
    }
}

/// What of `name` stands before `suffix`, ASCII case ignored.
#[must_use]
pub fn without_suffix<'a>(name: &'a [u8], suffix: &[u8]) -> Option<&'a [u8]> {
    let (stem, end) = name.split_at_checked(name.len().checked_sub(suffix.len())?)?;
    end.eq_ignore_ascii_case(suffix).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn suffixes(text: &str) -> Suffixes {
        text.parse().expect("suffixes")
    }

    #[test]
    fn a_name_ends_in_any_of_them_and_the_longest_counts() {
        let several = suffixes(".img, .bin,.raw.bin");
        assert_eq!(several.stem(b"x/ab.IMG"), Some(&b"x/ab"[..]));
        assert_eq!(several.stem(b"ab.raw.bin"), Some(&b"ab"[..]));
        assert_eq!(several.stem(b"ab.bin"), Some(&b"ab"[..]));
        assert_eq!(several.stem(b"ab.raw"), None);
        assert_eq!(
            (several.to_string().as_str(), several.in_words().as_str()),
            (".img,.bin,.raw.bin", ".img, .bin or .raw.bin")
        );
        assert_eq!(suffixes(".img").in_words(), ".img");
    }

    #[test]
    fn what_can_end_no_name_is_refused() {
        for text in [".dd .raw", "", ",", ".img,", "a/b", "*.img", ".im?", "x\0"] {
            assert_eq!(text.parse::<Suffixes>(), Err(ParseError), "{text}");
        }
    }
}
