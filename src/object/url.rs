//! URLs of objects, and of what begins as their keys do.

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

impl Url {
    /// The URL that a path is.
    pub fn parse(path: &Path) -> Result<Url, Error> {
        let refused = |why: &str| Error::Url { why: why.to_owned() };
        let text = path.to_str().ok_or_else(|| refused("it is not UTF-8"))?;
        let (prefix, scheme) = scheme(text.as_bytes()).ok_or_else(|| refused("it has no scheme"))?;
        let rest = &text[prefix.len()..];
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(refused(if scheme.is_web() { "it names no host" } else { "it names no bucket" }));
        }
        if bucket.contains('@') {
            // It would be in the log.
            return Err(refused("it has a user or a password in it; credentials belong in the environment"));
        }
        if scheme.is_web() && key.contains(['?', '#']) {
            return Err(refused(
                "it has a query, which a signed URL would have to be asked with: that is not supported",
            ));
        }
        Ok(Url { scheme, bucket: bucket.to_owned(), key: key.to_owned() })
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
    fn paths_are_no_urls() {
        for path in ["s3:/a/b", "/s3://a/b", "s3", "file:///a", "./s3://a"] {
            assert!(!is_url(Path::new(path)), "{path}");
        }
    }
}
