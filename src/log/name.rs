//! A name in the log: bytes that may not be UTF-8, as text, and exactly where text cannot hold them.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::sanitize;

/// Longest text of a name, in bytes; no path that the system opens is longer. What is longer is cut, and ends in the hash
/// of all of it.
pub const NAME_LIMIT: usize = 4096;

/// A name: bytes that may not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Name(OsString);

impl Name {
    /// The name of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Name {
        Name(OsStr::from_bytes(bytes).to_owned())
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// As the operating system has it.
    #[must_use]
    pub fn as_os_str(&self) -> &OsStr {
        &self.0
    }

    /// As a path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        Path::new(&self.0)
    }

    /// Cut to `limit` bytes of text, where it is longer: then it ends in `…sha256:` and the hash of all of it.
    #[must_use]
    pub fn shortened(&self, limit: usize) -> Cow<'_, Name> {
        if self.bytes().len() <= limit {
            return Cow::Borrowed(self);
        }
        let mut mark = "…sha256:".to_owned();
        for byte in Sha256::digest(self.bytes()) {
            let _ = write!(mark, "{byte:02x}");
        }
        let head = &self.bytes()[..limit];
        let text = String::from_utf8_lossy(head);
        let end = text.floor_char_boundary(limit.saturating_sub(mark.len()));
        Cow::Owned(Name(OsString::from(format!("{}{mark}", &text[..end]))))
    }

    fn of<'a>(text: Option<Cow<'a, str>>, exact: Option<Cow<'a, str>>) -> Option<Name> {
        if let Some(bytes) = exact.and_then(|exact| sanitize::from_base64(&exact)) {
            return Some(Name(OsString::from_vec(bytes)));
        }
        text.map(|text| Name(text.into_owned().into()))
    }
}

impl<T: AsRef<OsStr> + ?Sized> From<&T> for Name {
    fn from(name: &T) -> Name {
        Name(name.as_ref().to_owned())
    }
}

/// Modules for `#[serde(flatten, with = ...)]`: a name, or an optional one, as one field of text, and where that is not
/// exact, as a second one in base64.
macro_rules! codecs {
    ($($module:ident: $key:literal, $exact:literal;)+) => {$(
        // Not every name is both always and never there.
        #[allow(dead_code)]
        #[doc = concat!("`", $key, "`, and `", $exact, "` where that is not exact.")]
        pub(super) mod $module {
            use super::{Cow, Deserialize, Deserializer, NAME_LIMIT, Name, Serialize, Serializer, sanitize};

            #[derive(Serialize, Deserialize)]
            struct Pair<'a> {
                #[serde(rename = $key, borrow, default, skip_serializing_if = "Option::is_none")]
                text: Option<Cow<'a, str>>,
                #[serde(rename = $exact, borrow, default, skip_serializing_if = "Option::is_none")]
                exact: Option<Cow<'a, str>>,
            }

            pub fn serialize<S: Serializer>(name: &Name, serializer: S) -> Result<S::Ok, S::Error> {
                let name = name.shortened(NAME_LIMIT);
                let text = String::from_utf8_lossy(name.bytes());
                let exact = matches!(text, Cow::Owned(_)).then(|| Cow::Owned(sanitize::base64(name.bytes())));
                Pair { text: Some(text), exact }.serialize(serializer)
            }

            pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Name, D::Error> {
                let Pair { text, exact } = Pair::deserialize(deserializer)?;
                Name::of(text, exact).ok_or_else(|| serde::de::Error::missing_field($key))
            }

            /// The same where there may be none.
            #[allow(clippy::ref_option)]
            pub mod optional {
                use super::{Deserialize, Deserializer, Name, Pair, Serialize, Serializer};

                pub fn serialize<S: Serializer>(name: &Option<Name>, serializer: S) -> Result<S::Ok, S::Error> {
                    match name {
                        Some(name) => super::serialize(name, serializer),
                        None => Pair { text: None, exact: None }.serialize(serializer),
                    }
                }

                pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Name>, D::Error> {
                    let Pair { text, exact } = Pair::deserialize(deserializer)?;
                    Ok(Name::of(text, exact))
                }
            }
        }
    )+};
}

codecs! {
    hash: "hash", "hash_bytes";
    img: "img", "img_bytes";
    member: "member", "member_bytes";
    archive: "archive", "archive_bytes";
    dest: "dest", "dest_bytes";
    path: "path", "path_bytes";
    output: "output", "output_bytes";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Line {
        #[serde(flatten, with = "img")]
        img: Name,
        #[serde(flatten, with = "path::optional")]
        path: Option<Name>,
    }

    fn json(name: &[u8]) -> String {
        serde_json::to_string(&Line { img: Name::new(name), path: None }).expect("JSON")
    }

    #[test]
    fn a_name_comes_back_as_it_was() {
        assert_eq!(json(b"caf\xe9.img"), r#"{"img":"caf�.img","img_bytes":"Y2Fm6S5pbWc="}"#);
        for name in [&b"a\n{\"stage\":\"x\"}\x1b.img"[..], b"\xff.img", b"caf\xe9.img", b""] {
            let line = Line { img: Name::new(name), path: Some(Name::new(name)) };
            let text = serde_json::to_string(&line).expect("JSON");
            assert!(!text.contains(['\n', '\x1b']));
            assert_eq!(serde_json::from_str::<Line>(&text).expect("a line"), line);
        }
        assert!(serde_json::from_str::<Line>(r#"{"path":"x"}"#).is_err());
    }

    #[test]
    fn a_long_name_ends_in_its_hash_and_is_read_back_as_it_is_told() {
        for byte in [b'n', 0xff, 0x1b] {
            let name = [byte; NAME_LIMIT + 1];
            let text = json(&name);
            let read: Line = serde_json::from_str(&text).expect("a line");
            assert!(read.img.bytes().len() <= NAME_LIMIT && !text.contains("img_bytes"), "{}", read.img.bytes().len());
            let (_, digest) = text.rsplit_once("…sha256:").expect("a hash");
            let digest = digest.strip_suffix("\"}").expect("the end");
            let bytes: Vec<u8> =
                (0..64).step_by(2).map(|at| u8::from_str_radix(&digest[at..at + 2], 16).expect("hex")).collect();
            assert_eq!(bytes, Sha256::digest(name)[..]);
            assert_eq!(serde_json::to_string(&read).expect("JSON"), text);
        }
        assert!(!json(&[b'n'; NAME_LIMIT]).contains('…'));
    }
}
