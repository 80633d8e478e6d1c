//! What a store answers instead of bytes, in our words: one line, which names the mend.

use std::error::Error as StdError;

use object_store::client::HttpError;

use super::http::{CERTIFICATE, Elsewhere, Failed, METADATA, Slow, TooLong};
use super::url::Scheme;
use super::{Error, Url, page};
use crate::sanitize::printable_short;

/// Longest answer of a store that is shown, in characters.
const SHOWN: usize = 300;

/// What the crate says where the environment does not name Azure's account.
const NO_ACCOUNT: &str = "Account must be specified";
/// How a store's own code for an error stands in its answer.
const CODE: (&str, &str) = ("<Code>", "</Code>");
const REGION: (&str, &str) = ("<Region>", "</Region>");
const MESSAGE: (&str, &str) = ("<Message>", "</Message>");
/// What the crate says of a page of a listing that it cannot read.
const FAULTY_PAGE: &str = "invalid list response";
/// What TLS says where what came is none of it ends so.
const NO_TLS: &str = "InvalidContentType";
/// What the crate puts in front of the body of an answer.
const STATUS: &str = "status code: ";

/// What an error of the crate is, at the object or prefix that `url` names.
pub(super) fn of(error: &object_store::Error, url: &Url) -> Error {
    let text = chain(error);
    let code = between(&text, CODE);
    let status = status(&text);
    if let Some(too_long) = cause::<TooLong>(error) {
        return Error::Other { why: format!("the store cannot be understood: {too_long}") };
    }
    if let Some(what) = cause::<page::Error>(error) {
        return Error::Other { why: shown(&what.to_string()) };
    }
    let word = || code.map_or_else(|| status.map_or_else(String::new, |status| status.to_string()), shown);
    let of_code = match code {
        // A web server that is a store: its buckets are parts of a path.
        Some("NoSuchBucket" | "ContainerNotFound") if url.scheme.is_web() => Some(Error::NoObject),
        Some("NoSuchBucket" | "ContainerNotFound") => Some(Error::NoBucket { bucket: url.bucket.clone() }),
        Some("NoSuchKey" | "BlobNotFound") => Some(Error::NoObject),
        Some(
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "InvalidToken"
            | "ExpiredToken"
            | "TokenRefreshRequired"
            | "RequestTimeTooSkewed"
            | "AuthenticationFailed"
            | "InvalidAuthenticationInfo",
        ) => Some(Error::WrongCredentials { word: word() }),
        Some("AuthorizationHeaderMalformed" | "PermanentRedirect" | "IllegalLocationConstraintException") => {
            Some(elsewhere(url, between(&text, REGION).map(shown)))
        }
        _ => None,
    };
    if let Some(found) = of_code {
        return found;
    }
    if METADATA.iter().any(|host| text.contains(host)) || text.contains(NO_ACCOUNT) {
        return Error::NoCredentials { how: credentials(url.scheme) };
    }
    if let Some(Elsewhere { host, region }) = cause(error) {
        return match (host, region) {
            (Some(host), None) => Error::Elsewhere { host: shown(host), how: mend(url.scheme) },
            (_, region) => elsewhere(url, region.as_deref().map(shown)),
        };
    }
    match (error, status) {
        (object_store::Error::Precondition { .. }, _) => Error::Replaced,
        (object_store::Error::NotFound { .. }, _) | (_, Some(404)) => Error::NoObject,
        (object_store::Error::PermissionDenied { .. }, _) | (_, Some(403)) => Error::Denied { word: word() },
        (object_store::Error::Unauthenticated { .. }, _) | (_, Some(401)) => Error::WrongCredentials { word: word() },
        (_, Some(429 | 500..=599)) => Error::Busy { word: word() },
        (_, Some(301 | 302 | 303 | 307 | 308)) => elsewhere(url, None),
        _ if text.contains("redirect without LOCATION") => elsewhere(url, None),
        (object_store::Error::NotSupported { .. }, _) => whole_only(),
        _ if text.contains("non-partial response") => whole_only(),
        _ if text.contains(FAULTY_PAGE) => Error::Other { why: format!("the listing is faulty: {}", told(error)) },
        (_, Some(status)) => Error::Other { why: answer(status, code, &text) },
        _ => network(error).unwrap_or_else(|| Error::Other { why: told(error) }),
    }
}

/// What a store answers that has no error of its own.
fn answer(status: u16, code: Option<&str>, text: &str) -> String {
    let body = text.split_once(STATUS).and_then(|(_, rest)| rest.split_once(": ")).map_or("", |(_, body)| body);
    let said = match (code, between(text, MESSAGE)) {
        (Some(code), Some(message)) => format!(": {}", shown(&format!("{code}, {message}"))),
        (Some(code), None) => format!(": {}", shown(code)),
        _ if page::is_html(body.trim_start()) => " with an HTML page: a proxy's or a login page?".to_owned(),
        _ => String::new(),
    };
    format!("the store answers {status}{said}")
}

/// What the network did, if it is the network.
fn network(error: &object_store::Error) -> Option<Error> {
    let failed = cause::<Failed>(error);
    let source = cause::<HttpError>(error)?;
    let innermost = told(source);
    let why = match cause::<reqwest::Error>(error) {
        _ if cause::<Slow>(error).is_some() => innermost,
        Some(error) if error.is_timeout() && !error.is_connect() => "nothing came for 30 seconds".to_owned(),
        Some(error) if error.is_timeout() => "there is no connection after 5 seconds".to_owned(),
        Some(error) if error.is_builder() => return Some(Error::Url { why: innermost }),
        _ => innermost,
    };
    if let Some(word) = why.strip_prefix(CERTIFICATE) {
        return Some(Error::Certificate { word: word.to_owned() });
    }
    if why.ends_with(NO_TLS) {
        let host = failed.map_or_else(|| "the server".to_owned(), |failed| shown(&failed.host));
        return Some(Error::Other { why: format!("{host} speaks no TLS: is it http:// and not https://?") });
    }
    let times = failed.map(|failed| failed.tries).filter(|&tries| tries > 1);
    let why = times.map_or_else(|| why.clone(), |times| format!("{why} (tried {times} times)"));
    let proxy = failed.and_then(|failed| failed.proxy.as_deref()).map(shown);
    Some(match failed {
        Some(Failed { no_connection: true, is_of_store, host, .. }) => {
            Error::Unreachable { is_store: *is_of_store, host: shown(host), proxy, why }
        }
        _ => Error::Broken { is_store: failed.is_none_or(|failed| failed.is_of_store), proxy, why },
    })
}

/// The innermost word for what is wrong: what is around it are the crates' names for what they do.
fn told(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    let text = innermost.to_string();
    // The crate has some texts without a cause.
    let text =
        text.strip_prefix("Generic ").and_then(|text| text.split_once(" error: ")).map_or(&*text, |(_, text)| text);
    shown(text)
}

/// A store answers that what was asked for is somewhere else. Only of S3 is it known what that means.
fn elsewhere(url: &Url, region: Option<String>) -> Error {
    if url.scheme == Scheme::S3 {
        return Error::Region { region };
    }
    Error::Other { why: "the server sends elsewhere (a redirect), and does not say where to".to_owned() }
}

/// What usually mends it that a store sends elsewhere.
fn mend(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::S3 => "set AWS_REGION to the region of the bucket, or AWS_ENDPOINT_URL to the store",
        Scheme::Gs | Scheme::Az => "if that is no proxy's login page, the endpoint of the store is set wrongly",
        Scheme::Https | Scheme::Http => "name the archive by its URL there, if you trust that server",
    }
}

fn whole_only() -> Error {
    Error::Other { why: "the server gives whole files only, no parts of them (ranges)".to_owned() }
}

/// The first cause of this kind.
pub(super) fn cause<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// Whether it says that no byte of what was asked for is there.
pub(super) fn is_out_of_range(error: &object_store::Error) -> bool {
    status(&chain(error)) == Some(416)
}

fn credentials(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Gs => "set GOOGLE_APPLICATION_CREDENTIALS to a file of them, or run where there is a service account",
        Scheme::Az => "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or run where there is an identity",
        _ => {
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where there is a role \
             (AWS_SKIP_SIGNATURE=true for a public bucket)"
        }
    }
}

/// An error and its causes, as far as they say anything new.
pub(super) fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// The number of an HTTP answer.
fn status(text: &str) -> Option<u16> {
    let (_, rest) = text.split_once(STATUS)?;
    rest.get(..3)?.parse().ok()
}

fn between<'a>(text: &'a str, (before, behind): (&str, &str)) -> Option<&'a str> {
    let (_, rest) = text.split_once(before)?;
    Some(rest.split_once(behind)?.0)
}

/// What a store says may hold anything.
fn shown(text: &str) -> String {
    printable_short(text.replace(['\r', '\n'], " ").as_bytes(), SHOWN)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn refusal(text: &str) -> Error {
        refusal_of("s3://cold/2019", text)
    }

    fn refusal_of(url: &str, text: &str) -> Error {
        let url = Url::parse(Path::new(url)).expect("a URL");
        of(&object_store::Error::Generic { store: "S3", source: text.into() }, &url)
    }

    #[test]
    fn only_s3_has_regions() {
        for answer in ["redirect without LOCATION", "status code: 307 Temporary", "<Code>PermanentRedirect</Code>"] {
            assert_eq!(refusal(answer), Error::Region { region: None }, "{answer}");
            for url in ["gs://cold/2019", "az://cold/2019", "https://host/a.tar.zst"] {
                let told = refusal_of(url, answer).to_string();
                assert!(told.contains("redirect") && !told.contains("AWS_REGION"), "{url} {answer}: {told}");
            }
        }
    }

    #[test]
    fn what_a_store_answers_names_its_mend() {
        let answers = [
            ("status code: 404 Not Found: <Error><Code>NoSuchBucket</Code></Error>", "there is no bucket cold"),
            ("status code: 403: <Code>InvalidAccessKeyId</Code>", "refuses the credentials (InvalidAccessKeyId)"),
            ("status code: 403 Forbidden: ", "denies access (403)"),
            (
                "status code: 400: <Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>",
                "AWS_REGION=eu-west-1",
            ),
            ("Received redirect without LOCATION, this normally indicates", "set AWS_REGION"),
            ("Error performing PUT http://169.254.169.254/latest/api/token", "no credentials: set AWS_ACCESS_KEY_ID"),
            ("Account must be specified", "no credentials"),
            ("status code: 503 Slow Down: <Code>SlowDown</Code>", "too busy, or out of order (SlowDown)"),
        ];
        for (answer, words) in answers {
            let told = refusal(answer).to_string();
            assert!(told.contains(words), "{answer}: {told}");
        }
    }

    #[test]
    fn a_web_server_has_no_buckets() {
        for code in ["NoSuchBucket", "ContainerNotFound"] {
            let told = refusal_of("https://host:9101/a.tar.zst", &format!("status code: 404: <Code>{code}</Code>"));
            assert_eq!(told, Error::NoObject, "{code}");
        }
    }

    #[test]
    fn a_certificate_that_is_not_accepted_does_not_pass() {
        let source = |why: &str| {
            HttpError::new(object_store::client::HttpErrorKind::Connect, std::io::Error::other(why.to_owned()))
        };
        let of = |why: &str| {
            let url = Url::parse(Path::new("https://host/a.tar.zst")).expect("a URL");
            of(&object_store::Error::Generic { store: "HTTP", source: Box::new(source(why)) }, &url)
        };
        let told = of("invalid peer certificate: UnknownIssuer");
        assert_eq!(told, Error::Certificate { word: "UnknownIssuer".to_owned() });
        assert!(!told.may_pass() && of("connection refused").may_pass());
    }

    #[test]
    fn a_store_forges_no_line() {
        let told = refusal("<Code>\u{1b}[2J\nimgsieve: all is well</Code> status code: 403").to_string();
        assert!(!told.contains(['\u{1b}', '\n']), "{told:?}");
        let told = refusal(&"\u{1b}x\n".repeat(10_000)).to_string();
        assert!(!told.contains(['\u{1b}', '\n']) && told.len() < 2000, "{}", told.len());
    }
}
