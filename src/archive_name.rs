//! How the name of an archive ends.

/// The ending that an archive has as a rule.
pub const ENDING: &[u8] = b".tar.zst";

/// The endings, ASCII case ignored: what GNU tar and bsdtar take for a tar in Zstandard (`--auto-compress`), and the long form.
const ENDINGS: [&[u8]; 3] = [ENDING, b".tzst", b".tar.zstd"];

/// The endings for a person.
pub const IN_WORDS: &str = ".tar.zst, .tzst or .tar.zstd";

/// The archive's hash, which is its file name without the ending; none where the name is not an archive's.
#[must_use]
pub fn hash(file_name: &[u8]) -> Option<&[u8]> {
    ENDINGS.iter().find_map(|ending| {
        let (hash, end) = file_name.split_at_checked(file_name.len().checked_sub(ending.len())?)?;
        end.eq_ignore_ascii_case(ending).then_some(hash)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_what_stands_before_the_ending() {
        for name in ["x.tar.zst", "x.tzst", "x.tar.zstd", "x.TAR.ZST", "x.Tzst", "x.tar.ZSTD"] {
            assert_eq!(hash(name.as_bytes()), Some(&b"x"[..]), "{name}");
        }
        for (name, expected) in [
            ("X.TAR.ZST", "X"),
            (".tzst", ""),
            ("..tzst", "."),
            ("a.tzst.tar.zst", "a.tzst"),
            ("\u{fc}.tzst", "\u{fc}"),
        ] {
            assert_eq!(hash(name.as_bytes()), Some(expected.as_bytes()), "{name}");
        }
    }

    #[test]
    fn other_endings_are_no_archives() {
        for name in [
            "",
            "tzst",
            "xtzst",
            "x.zst",
            "x.tar",
            "x.tar.gz",
            "x.tar.zst~",
            "x.tar.zst.part",
            "x.tzstd",
            "tar.zst",
            "x.tar.zs",
        ] {
            assert_eq!(hash(name.as_bytes()), None, "{name}");
        }
    }
}
