//! What makes an object the same object.

/// A mark of tags that servers do not promise to change with every byte; `If-Match` never holds for them.
const WEAK: &str = "W/";

/// What makes an object the same object, and when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its length in bytes.
    pub length: u64,
    /// When it was written, where the store tells: seconds since 1970 and nanoseconds, as of a file.
    pub modified: Option<String>,
    /// Its `ETag`, where the store gives one.
    pub etag: Option<String>,
    /// Its version, where the store keeps several.
    pub version: Option<String>,
}

impl Identity {
    /// Whether another answer is about this object. A tag alone is enough if it is a strong one; a weak one, or none, has
    /// to have the time beside it. A listing and an object's headers may write the same tag with quotation marks and
    /// without, and the same time in nanoseconds and in seconds.
    #[must_use]
    pub fn is_same(&self, now: &Identity) -> bool {
        let seconds = |identity: &Identity| identity.modified.as_deref()?.split('.').next().map(str::to_owned);
        let is_same_time = self.modified.is_some() && seconds(self) == seconds(now);
        let is_same_tag = match (&self.etag, &now.etag) {
            (Some(then), Some(now)) => bare(then) == bare(now) && (is_strong(then) && is_strong(now) || is_same_time),
            _ => is_same_time,
        };
        let is_same_version = match (&self.version, &now.version) {
            (Some(then), Some(now)) => then == now,
            _ => true,
        };
        now.length == self.length && is_same_tag && is_same_version
    }

    /// The tag that a request can insist on.
    #[must_use]
    pub fn strong_tag(&self) -> Option<&str> {
        self.etag.as_deref().filter(|tag| is_strong(tag))
    }
}

fn is_strong(tag: &str) -> bool {
    !tag.starts_with(WEAK)
}

fn bare(tag: &str) -> &str {
    let tag = tag.strip_prefix(WEAK).unwrap_or(tag);
    tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"')).unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(length: u64, etag: Option<&str>, modified: Option<&str>) -> Identity {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Identity { length, modified: owned(modified), etag: owned(etag), version: None }
    }

    #[test]
    fn a_strong_tag_tells_objects_apart_and_where_there_is_none_the_time_does() {
        let opened = identity(10, Some("\"a\""), Some("1.0"));
        assert!(opened.is_same(&identity(10, Some("\"a\""), Some("2.0"))));
        assert!(opened.is_same(&identity(10, Some("a"), None)));
        assert!(!opened.is_same(&identity(10, Some("\"b\""), Some("1.0"))));
        assert!(!opened.is_same(&identity(11, Some("\"a\""), Some("1.0"))));
        assert!(opened.is_same(&identity(10, None, Some("1.0"))) && !opened.is_same(&identity(10, None, Some("2.0"))));
        let opened = identity(10, None, Some("1.000000000"));
        assert!(opened.is_same(&identity(10, None, Some("1.250000000"))));
        assert!(
            !opened.is_same(&identity(10, None, Some("2.000000000"))) && !opened.is_same(&identity(10, None, None))
        );
        assert!(!identity(10, None, None).is_same(&identity(10, None, None)));
    }

    #[test]
    fn a_weak_tag_is_worth_something_only_together_with_the_time() {
        let (weak, strong) = (Some("W/\"a\""), Some("\"a\""));
        for (then, now) in [(weak, weak), (weak, strong), (strong, weak)] {
            let opened = identity(10, then, Some("1.0"));
            assert!(opened.is_same(&identity(10, now, Some("1.0"))));
            assert!(!opened.is_same(&identity(10, now, Some("2.0"))) && !opened.is_same(&identity(10, now, None)));
            assert!(!opened.is_same(&identity(10, Some("W/\"b\""), Some("1.0"))));
        }
        // The mark is there once.
        assert!(!identity(1, weak, Some("1.0")).is_same(&identity(1, Some("W/W/\"a\""), Some("1.0"))));
    }

    #[test]
    fn a_request_insists_on_no_tag_that_may_never_match() {
        assert_eq!(identity(1, Some("W/\"a\""), None).strong_tag(), None);
        assert_eq!(identity(1, Some("\"a\""), None).strong_tag(), Some("\"a\""));
    }
}
