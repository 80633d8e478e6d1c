//! What can go wrong with object storage, in words that name the mend.

use std::io;

/// Why an object cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Compiled without it.
    #[error("this build of imgsieve has no object storage (it was made without the feature `cloud`)")]
    NotBuilt,
    /// No URL of an object.
    #[error("not a URL that can be read: {why}")]
    Url {
        /// What is wrong with it.
        why: String,
    },
    /// An object is wanted, and its URL ends with a bucket or a slash.
    #[error("a prefix cannot be asked for as an object is; what is under it, scan surveys")]
    Prefix,
    /// The crate that asks for objects has no word for the key.
    #[error("it cannot be asked for: its key has {why}")]
    Key {
        /// What is wrong with it.
        why: &'static str,
    },
    /// Its length is beyond that of any file.
    #[error("no object is {length} bytes long")]
    Length {
        /// What the store says.
        length: u64,
    },
    /// Nothing tells it from another object of its length.
    #[error("the server gives neither a strong ETag nor a time (Last-Modified): a change could not be noticed")]
    Unidentified,
    /// The bucket, or container, does not exist.
    #[error("there is no bucket {bucket}")]
    NoBucket {
        /// Its name.
        bucket: String,
    },
    /// The bucket may exist, the object does not.
    #[error("there is no such object")]
    NoObject,
    /// Nothing has this prefix.
    #[error("nothing in the bucket has this prefix")]
    NothingThere,
    /// A web server is asked what it has.
    #[error("a web server does not list its files: name the archives themselves")]
    NoListing,
    /// No credentials are to be found.
    #[error("no credentials: {how}")]
    NoCredentials {
        /// Where they are looked for.
        how: &'static str,
    },
    /// They are not accepted.
    #[error("the store refuses the credentials ({word})")]
    WrongCredentials {
        /// The store's word.
        word: String,
    },
    /// They are accepted, and not enough.
    #[error("the store denies access ({word})")]
    Denied {
        /// The store's word.
        word: String,
    },
    /// The bucket is somewhere else.
    #[error("the bucket is in another region: set AWS_REGION{}", region.as_ref().map_or_else(String::new, |region| format!("={region}")))]
    Region {
        /// Where it is, if the store says so.
        region: Option<String>,
    },
    /// It sends to another host, which may be anybody's.
    #[error("the server sends to another place, {host}, and is not followed there: {how}")]
    Elsewhere {
        /// The host, and its port if there is one.
        host: String,
        /// What may mend it.
        how: &'static str,
    },
    /// A key of a listing that is not under the prefix that was asked for.
    #[error("it is not under the prefix that was asked for, whatever the store says; it is not read")]
    Outside,
    /// A variable of the environment has a value that cannot be right, or has to be set.
    #[error("{name}: {why}")]
    Variable {
        /// Its name.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// Nobody answers.
    #[error("{} cannot be reached{}: {why}", whom(*is_store), at(host, proxy.as_deref()))]
    Unreachable {
        /// Whether it is the store, and not a server that gives credentials.
        is_store: bool,
        /// The host that was asked, and its port if there is one.
        host: String,
        /// The host and port of a proxy between here and there.
        proxy: Option<String>,
        /// The system's word.
        why: String,
    },
    /// There was a connection, and then there was not, or nothing came of it.
    #[error("{} gave no whole answer{}: {why}", whom(*is_store), through(proxy.as_deref()))]
    Broken {
        /// Whether it is the store, and not a server that gives credentials.
        is_store: bool,
        /// The host and port of a proxy between here and there.
        proxy: Option<String>,
        /// The system's word.
        why: String,
    },
    /// Somebody answers, who may be anybody.
    #[error("the server's certificate is not accepted ({word}); SSL_CERT_FILE names a file of authorities to trust")]
    Certificate {
        /// What is wrong with it.
        word: String,
    },
    /// It answers that it cannot answer now.
    #[error("the store is too busy, or out of order ({word})")]
    Busy {
        /// Its word.
        word: String,
    },
    /// Anything else.
    #[error("{why}")]
    Other {
        /// In the crate's words, or the store's.
        why: String,
    },
    /// It is shorter than it was.
    #[error("the object shrank from {from} to {to} bytes while it was read")]
    Shrunk {
        /// Length at opening.
        from: u64,
        /// Length now.
        to: u64,
    },
    /// The system has no memory to give for a block.
    #[error("there is not enough memory for a block of it; try fewer --jobs")]
    Memory,
    /// There is another object under the key, or none.
    #[error("the object was replaced or removed while it was read")]
    Replaced,
    /// Somebody asked for the end of the run.
    #[error("interrupted")]
    Interrupted,
}

fn whom(is_store: bool) -> &'static str {
    if is_store { "the store" } else { "the server that gives credentials" }
}

/// A proxy that is in between is the one that counts.
fn at(host: &str, proxy: Option<&str>) -> String {
    if proxy.is_some() { through(proxy) } else { format!(" ({host})") }
}

fn through(proxy: Option<&str>) -> String {
    proxy.map_or_else(String::new, |proxy| {
        format!(" through the proxy {proxy} (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY names it, NO_PROXY who needs none)")
    })
}

impl Error {
    /// Whether it is of the one object, and others of the same store may be read.
    #[must_use]
    pub fn is_of_object(&self) -> bool {
        matches!(
            self,
            Error::NoObject
                | Error::Url { .. }
                | Error::Prefix
                | Error::Key { .. }
                | Error::Length { .. }
                | Error::Unidentified
        )
    }

    /// Whether trying again later may mend it, with nothing else changed.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Broken { .. } | Error::Busy { .. })
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> io::Error {
        let kind = match error {
            Error::NoBucket { .. } | Error::NoObject | Error::NothingThere => io::ErrorKind::NotFound,
            Error::NoCredentials { .. }
            | Error::WrongCredentials { .. }
            | Error::Denied { .. }
            | Error::Elsewhere { .. }
            | Error::Certificate { .. } => io::ErrorKind::PermissionDenied,
            Error::Unreachable { .. } | Error::Broken { .. } | Error::Busy { .. } => io::ErrorKind::NotConnected,
            Error::NotBuilt => io::ErrorKind::Unsupported,
            Error::Memory => io::ErrorKind::OutOfMemory,
            _ => io::ErrorKind::Other,
        };
        io::Error::new(kind, error)
    }
}
