//! URLs of objects, and of what begins as their keys do.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::Error;

/// Which kind of store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Amazon's S3, and what speaks its language.
    S3,
    /// Google Cloud Storage.
    Gs,
    /// Azure Blob Storage.
    Az,
    /// A web server, encrypted.
    Https,
    /// A web server.
    Http,
}

/// Each scheme as it is written.
const SCHEMES: [(&str, Scheme); 5] = [
    ("s3://", Scheme::S3),
    ("gs://", Scheme::Gs),
    ("az://", Scheme::Az),
    ("https://", Scheme::Https),
    ("http://", Scheme::Http),
];

/// Where an object is, or what is under a prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    /// The kind of store.
    pub scheme: Scheme,
    /// The bucket; of a web server its host, and the port if there is one.
    pub bucket: String,
    /// The key as it is, not encoded; of a web server, the path as it is written in the URL, without its first slash.
    pub key: String,
}

/// Whether a path is the URL of something in object storage.
#[must_use]
pub fn is_url(path: &Path) -> bool {
    scheme(path.as_os_str().as_bytes()).is_some()
}

fn scheme(bytes: &[u8]) -> Option<(&'static str, Scheme)> {
    SCHEMES.into_iter().find(|(prefix, _)| bytes.starts_with(prefix.as_bytes()))
}

/// What begins like a URL, rightly or not.
struct Begun<'a> {
    /// The scheme (RFC 3986 section 3.1), as it is written.
    word: &'a str,
    /// Whether it is one that is known, but for capitals.
    is_known: bool,
    /// Whether objects are in buckets there.
    has_buckets: bool,
    /// What is behind that, and where that begins.
    rest: &'a [u8],
    at: usize,
}

/// How a path begins that was perhaps meant to be a URL: also with one slash, with backslashes, or behind a blank.
fn begun(path: &Path) -> Option<Begun<'_>> {
    let bytes = path.as_os_str().as_bytes();
    let text = bytes.trim_ascii_start();
    let word = std::str::from_utf8(&text[..text.iter().position(|&byte| byte == b':')?]).ok()?;
    let is_word = word.len() > 1
        && word.starts_with(|first: char| first.is_ascii_alphabetic())
        && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    let behind = &text[word.len() + 1..];
    let slashes = behind.iter().take_while(|&byte| b"/\\".contains(byte)).count();
    let known = SCHEMES.iter().find(|(known, _)| known.trim_end_matches("://").eq_ignore_ascii_case(word));
    // A folder may have a colon at the end of its name.
    let is_meant = is_word && slashes > 0 && (known.is_some() || behind.starts_with(b"//"));
    let at = bytes.len() - behind.len() + slashes;
    is_meant.then_some(Begun {
        word,
        is_known: known.is_some(),
        has_buckets: known.is_some_and(|(_, scheme)| !scheme.is_web()),
        rest: &bytes[at..],
        at,
    })
}

impl Begun<'_> {
    /// Where the host or bucket is in the rest, behind a user and a password.
    fn host(&self) -> usize {
        let ends: &[u8] = if self.has_buckets { b"/" } else { b"/\\?#" };
        let end = self.rest.iter().position(|byte| ends.contains(byte)).unwrap_or(self.rest.len());
        let authority = &self.rest[..end];
        let port = authority.iter().position(|&byte| byte == b':').map_or(&[][..], |colon| &authority[colon + 1..]);
        // A password may have a slash in it, too.
        let is_password = !self.has_buckets && !port.iter().all(u8::is_ascii_digit) && !authority.starts_with(b"[");
        let within = if is_password { self.rest } else { authority };
        within.iter().rposition(|&byte| byte == b'@').map_or(0, |at| at + 1)
    }

    /// Where a query or a fragment begins behind the host. A key may have a question mark in it, and then no signature.
    fn query(&self) -> Option<usize> {
        let host = self.host();
        let behind = &self.rest[host..];
        let found = behind.iter().position(|&byte| byte == b'?' || byte == b'#' && !self.has_buckets)?;
        let text = behind[found..].to_ascii_lowercase();
        let is_signed =
            ["sig=", "signature="].iter().any(|sign| memchr::memmem::find(&text, sign.as_bytes()).is_some());
        (!self.has_buckets || is_signed).then_some(host + found)
    }
}

/// What is wrong with a path that was meant to be a URL: its scheme is another one, or is written in another way. None where
/// there is such a path.
#[must_use]
pub fn misspelt(path: &Path) -> Option<Error> {
    let begun = begun(path)?;
    if is_url(path) || path.symlink_metadata().is_ok() {
        return None;
    }
    let why = if path.as_os_str().as_bytes()[0].is_ascii_whitespace() {
        "there is a blank in front of it".to_owned()
    } else if begun.is_known {
        format!("its scheme is written {}://", begun.word.to_ascii_lowercase())
    } else if begun.word.eq_ignore_ascii_case("file") {
        "of a file, give the path".to_owned()
    } else {
        "schemes that are known are s3://, gs://, az://, https:// and http://".to_owned()
    };
    Some(Error::Url { why })
}

/// `path` without what would be a secret in a message or a log: of a URL, the user and password, and the query, which may be
/// a signature. What is left is as far from being readable as it was ([`Url::parse`]).
#[must_use]
pub fn without_secrets(path: PathBuf) -> PathBuf {
    let Some(begun) = begun(&path) else { return path };
    let (host, query) = (begun.host(), begun.query());
    if host == 0 && query.is_none() {
        return path;
    }
    let bytes = path.as_os_str().as_bytes();
    let user = if host > 0 { "***@" } else { "" };
    let kept = &begun.rest[host..query.unwrap_or(begun.rest.len())];
    let mark = query.map_or(&b""[..], |at| &begun.rest[at..=at]);
    // Of a key, what makes it be refused has to stay.
    let cut = match query {
        None => "",
        Some(_) if begun.has_buckets => "signature=…",
        Some(_) => "…",
    };
    OsStr::from_bytes(&[&bytes[..begun.at], user.as_bytes(), kept, mark, cut.as_bytes()].concat()).into()
}

impl Url {
    /// The URL that a path is.
    pub fn parse(path: &Path) -> Result<Url, Error> {
        let refused = |why: &str| Error::Url { why: why.to_owned() };
        let text = path.to_str().ok_or_else(|| refused("it is not UTF-8"))?;
        let (prefix, scheme) =
            scheme(text.as_bytes()).ok_or_else(|| misspelt(path).unwrap_or_else(|| refused("it has no scheme")))?;
        let rest = &text[prefix.len()..];
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(refused(if scheme.is_web() { "it names no host" } else { "it names no bucket" }));
        }
        if bucket.contains('@') {
            // It would be in the log.
            return Err(refused("it has a user or a password in it; credentials belong in the environment"));
        }
        let is_meant = |character: char| {
            if scheme.is_web() {
                return !(character.is_control() || character.is_whitespace());
            }
            // Ceph has `tenant:bucket`.
            character.is_ascii_alphanumeric() || "-._:".contains(character)
        };
        if !bucket.chars().all(is_meant) {
            let what = if scheme.is_web() { "host" } else { "bucket" };
            return Err(refused(&format!("its {what} has a character that no name of one has")));
        }
        if let Some(begun) = begun(path)
            && let Some(query) = begun.query()
        {
            return Err(refused(if begun.rest[query] == b'#' {
                "what follows # is no part of a file's address; in a name it is written %23"
            } else {
                "it has a query, which a signed URL would have to be asked with: that is not supported"
            }));
        }
        Ok(Url { scheme, bucket: bucket.to_owned(), key: key.to_owned() })
    }

    /// The URL that a path is, where it is to be that of an object.
    pub fn of_object(path: &Path) -> Result<Url, Error> {
        let url = Url::parse(path)?;
        if url.is_prefix() { Err(Error::Prefix) } else { Ok(url) }
    }

    /// The same store, with another key.
    #[must_use]
    pub fn with_key(&self, key: &str) -> Url {
        Url { key: key.to_owned(), ..self.clone() }
    }

    /// Whether it can only be a prefix.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        self.key.is_empty() || self.key.ends_with('/')
    }

    /// As a path, which `file_name` gives the last component of the key of.
    #[must_use]
    pub fn to_path(&self) -> PathBuf {
        PathBuf::from(self.to_string())
    }
}

impl Scheme {
    /// Whether it is a web server, whose objects have no listing.
    #[must_use]
    pub fn is_web(self) -> bool {
        matches!(self, Scheme::Https | Scheme::Http)
    }

    /// As it is written in front of a bucket.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        SCHEMES.into_iter().find(|(_, scheme)| *scheme == self).map_or("", |(prefix, _)| prefix)
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}/{}", self.scheme.as_str(), self.bucket, self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Url, Error> {
        Url::parse(Path::new(text))
    }

    #[test]
    fn a_key_is_taken_as_it_is_written() {
        let url = parse("s3://cold/2019/a b%20#1?.tar.zst").expect("a URL");
        assert_eq!((url.scheme, &*url.bucket, &*url.key), (Scheme::S3, "cold", "2019/a b%20#1?.tar.zst"));
        assert_eq!(url.to_string(), "s3://cold/2019/a b%20#1?.tar.zst");
        assert_eq!(url.to_path().file_name().and_then(|name| name.to_str()), Some("a b%20#1?.tar.zst"));
    }

    #[test]
    fn a_bucket_alone_is_a_prefix_with_or_without_a_slash() {
        for text in ["gs://cold", "gs://cold/", "gs://cold/2019/"] {
            assert!(parse(text).expect("a URL").is_prefix(), "{text}");
        }
        assert!(!parse("gs://cold/2019").expect("a URL").is_prefix());
    }

    #[test]
    fn what_would_be_a_secret_in_a_log_is_refused() {
        assert!(parse("https://user:secret@host/a.tar.zst").is_err());
        assert!(parse("https://host/a.tar.zst?X-Amz-Signature=1").is_err());
        assert!(parse("s3://").is_err());
    }

    #[test]
    fn a_bucket_has_a_name_that_buckets_can_have() {
        for bucket in ["cold", "Cold_1.a-b", "tenant:cold"] {
            assert!(parse(&format!("s3://{bucket}/a")).is_ok(), "{bucket}");
        }
        for bucket in ["co ld", "co\nld", "co?ld", "k\u{f6}ld", "co%20ld"] {
            assert!(parse(&format!("s3://{bucket}/a")).is_err(), "{bucket}");
        }
        assert!(parse("https://k\u{f6}ld.example:8443/a").is_ok() && parse("https://[::1]:80/a").is_ok());
        assert!(parse("https://co ld/a").is_err());
    }

    #[test]
    fn what_is_told_of_a_refused_url_has_no_secret() {
        for (url, told) in [
            ("https://user:secret@host/a.tar.zst", "https://***@host/a.tar.zst"),
            ("https://user:se@cret@host", "https://***@host"),
            ("s3://key:secret@cold/a?b@c", "s3://***@cold/a?b@c"),
            ("https://host/a.tar.zst?X-Amz-Signature=1", "https://host/a.tar.zst?…"),
            ("https://u:p@host?secret", "https://***@host?…"),
            ("https://host?who@secret", "https://host?…"),
            ("ftp://u:p@host/a?b", "ftp://***@host/a?…"),
            ("https:/u:secret@host/a", "https:/***@host/a"),
            (" https://u:secret@host/a", " https://***@host/a"),
            ("https:\\\\u:secret@host/a", "https:\\\\***@host/a"),
            ("https://u:sec/ret@host/a", "https://***@host/a"),
            ("https://u:sec?re#t@host/a", "https://***@host/a"),
            ("https://host/a#secret", "https://host/a#…"),
            ("az://cold/a.tar.zst?sv=1&sig=secret", "az://cold/a.tar.zst?signature=…"),
            ("s3://cold/a.tar.zst?X-Amz-Signature=secret", "s3://cold/a.tar.zst?signature=…"),
        ] {
            let kept = without_secrets(url.into());
            assert_eq!(kept, Path::new(told));
            assert!(Url::parse(&kept).is_err(), "{told}");
        }
        for path in
            ["s3://cold/a@b?c", "https://host:80/a@b", "https://[::1]/a@b", "/a://b@c", "a b://c@d", "C:/a@b", ""]
        {
            assert_eq!(without_secrets(path.into()), Path::new(path));
        }
    }

    #[test]
    fn paths_are_no_urls() {
        for path in ["s3:/a/b", "/s3://a/b", "s3", "file:///a", "./s3://a"] {
            assert!(!is_url(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn another_scheme_is_no_folder() {
        for path in ["S3://cold/a", "s3:/cold/a", "GS:/cold", "ftp://host/a", "file:///a", "s3a://cold", " s3://cold"] {
            assert!(misspelt(Path::new(path)).is_some(), "{path}");
        }
        for path in ["s3://cold", "./s3:/cold", "backup:/a", "c:/a", "a b://c", "/S3://cold", "s3", "s3:cold", ""] {
            assert_eq!(misspelt(Path::new(path)), None, "{path}");
        }
    }
}
