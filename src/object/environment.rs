//! What the environment sets for object storage, by the names that the crate has for it.
//!
//! The crate takes an empty variable for a value, and panics at one that does not fit into a request. So they are looked
//! at first: an empty one counts as unset, and one whose value cannot be right is refused by its name, without the value.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Error;
use super::url::Scheme;

/// Where a store is, or somebody who gives credentials; in lower case.
const ADDRESSES: [&str; 15] = [
    "aws_endpoint",
    "aws_endpoint_url",
    "aws_endpoint_url_s3",
    "aws_endpoint_url_sts",
    "aws_metadata_endpoint",
    "aws_container_credentials_full_uri",
    "google_base_url",
    "azure_endpoint",
    "azure_storage_endpoint",
    "azure_authority_host",
    "azure_storage_authority_host",
    "azure_msi_endpoint",
    "azure_identity_endpoint",
    "azure_fabric_token_service_url",
    IDENTITY_ENDPOINT,
];
/// Addresses that may have a query: of those who give credentials.
const WITH_QUERY: [&str; 5] = [
    "aws_container_credentials_full_uri",
    "azure_msi_endpoint",
    "azure_identity_endpoint",
    "azure_fabric_token_service_url",
    IDENTITY_ENDPOINT,
];
/// What becomes a part of a host's name.
const LABELS: [&str; 3] = ["aws_region", "aws_default_region", "azure_storage_account_name"];
/// What is put behind the host that gives a container its credentials.
const CONTAINER_PATH: &str = "aws_container_credentials_relative_uri";
/// The two that are set together, or not at all.
const KEY_ID: &str = "aws_access_key_id";
const KEY: &str = "aws_secret_access_key";
/// Those that are the text of a file, which may have several lines.
const TEXTS: [&str; 1] = ["google_service_account_key"];
/// What Azure sets where there is an identity, and what Google's file of credentials is called besides.
const IDENTITY_ENDPOINT: &str = "identity_endpoint";
const SERVICE_ACCOUNT: &str = "service_account";

/// A file of the authorities that a server's certificate may be vouched for by.
const AUTHORITIES: &str = "SSL_CERT_FILE";
/// How one begins in it.
const AUTHORITY: &[u8] = b"-----BEGIN ";
/// Longest file of them that is looked through, in bytes.
const AUTHORITIES_MOST: u64 = 16 << 20;

/// What is set for stores of a scheme: names in lower case, and values.
pub fn settings(scheme: Scheme) -> Result<Vec<(String, String)>, Error> {
    check_authorities(std::env::var_os(AUTHORITIES).as_deref())?;
    of(scheme, std::env::vars_os())
}

fn of(scheme: Scheme, all: impl Iterator<Item = (OsString, OsString)>) -> Result<Vec<(String, String)>, Error> {
    let (prefix, other) = match scheme {
        Scheme::S3 => ("AWS_", None),
        Scheme::Gs => ("GOOGLE_", Some(SERVICE_ACCOUNT)),
        Scheme::Az => ("AZURE_", Some(IDENTITY_ENDPOINT)),
        Scheme::Https | Scheme::Http => return Ok(Vec::new()),
    };
    let mut settings = Vec::new();
    for (variable, value) in all {
        let Some(variable) = variable.to_str() else { continue };
        let name = variable.to_ascii_lowercase();
        let is_other = other == Some(&*name) && variable == name.to_ascii_uppercase();
        if value.is_empty() || !(variable.starts_with(prefix) || is_other) {
            continue;
        }
        let value = value.into_string().map_err(|_| faulty(variable, "it is not UTF-8"))?;
        if let Some(why) = fault(&name, &value) {
            return Err(faulty(variable, why));
        }
        settings.push((name, value));
    }
    // Of two names for one thing, the same counts each time.
    settings.sort();
    let is_set = |wanted: &str| settings.iter().any(|(name, _)| name == wanted);
    for (missing, other) in [(KEY_ID, KEY), (KEY, KEY_ID)] {
        if is_set(other) && !is_set(missing) {
            let why = format!("it is not set, and {} is", other.to_ascii_uppercase());
            return Err(faulty(&missing.to_ascii_uppercase(), &why));
        }
    }
    Ok(settings)
}

/// That the crate refuses the value of a variable, in words without the value.
pub fn refused((name, value): &(String, String), error: &str) -> Error {
    let why = if error.contains("as boolean") {
        "it is neither true nor false".to_owned()
    } else if let Some((_, valid)) = error.split_once(" Valid values are ") {
        format!("it is none of the values that it may have: {valid}")
    } else if error.contains(&format!("\"{value}\"")) {
        "it is none of the values that it may have".to_owned()
    } else {
        error.to_owned()
    };
    faulty(&name.to_ascii_uppercase(), &why)
}

fn faulty(variable: &str, why: &str) -> Error {
    Error::Variable { name: variable.to_owned(), why: why.to_owned() }
}

/// What is wrong with a value, none if nothing is.
fn fault(name: &str, value: &str) -> Option<&'static str> {
    if !TEXTS.contains(&name) && value.contains(|character: char| character.is_control()) {
        return Some("it has a control character in it, such as a line break");
    }
    // These become part of a request's head.
    let is_in_head = ["access_key_id", "token"].iter().any(|end| name.ends_with(end));
    if is_in_head && !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("it has a character in it that is no letter, digit or mark of ASCII");
    }
    if LABELS.contains(&name) && !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Some("it has a character in it that is no ASCII letter, no digit and no hyphen");
    }
    if name == CONTAINER_PATH && !value.starts_with('/') {
        return Some("it does not begin with a slash");
    }
    if !ADDRESSES.contains(&name) {
        return None;
    }
    let url = reqwest::Url::parse(value).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let Some(url) = url else { return Some("it is no URL that begins with https:// or http:// and names a host") };
    if !url.username().is_empty() || url.password().is_some() {
        Some("it has a user or a password in it, which are not sent")
    } else if url.fragment().is_some() {
        Some("it has a fragment in it (#), which an address has not")
    } else if url.query().is_some() && !WITH_QUERY.contains(&name) {
        Some("it has a query in it (?), which the address of a store has not")
    } else {
        None
    }
}

/// That there are authorities where they are said to be: without them no server is trusted, and the crate does not say why.
fn check_authorities(file: Option<&OsStr>) -> Result<(), Error> {
    let Some(file) = file.map(Path::new) else { return Ok(()) };
    let faulty =
        |why: &str| Err(Error::Variable { name: format!("{AUTHORITIES}={}", file.display()), why: why.to_owned() });
    if file.as_os_str().is_empty() {
        return faulty("it names no file; unset it to trust the authorities that the system trusts");
    }
    let mut text = Vec::new();
    match File::open(file).and_then(|file| file.take(AUTHORITIES_MOST).read_to_end(&mut text)) {
        Err(error) => faulty(&error.to_string()),
        Ok(_) if memchr::memmem::find(&text, AUTHORITY).is_none() => {
            faulty("there is no certificate in the file (PEM)")
        }
        Ok(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(scheme: Scheme, all: &[(&str, &str)]) -> Result<Vec<(String, String)>, String> {
        let all = all.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        of(scheme, all).map_err(|error| error.to_string())
    }

    #[test]
    fn an_empty_variable_counts_as_unset() {
        let all = [("AWS_ENDPOINT_URL", ""), ("AWS_REGION", "r"), ("GOOGLE_BUCKET", "b"), ("aws_region", "x")];
        assert_eq!(set(Scheme::S3, &all), Ok(vec![("aws_region".to_owned(), "r".to_owned())]));
        assert_eq!(set(Scheme::Https, &all), Ok(Vec::new()));
        let all = [("SERVICE_ACCOUNT", "/a"), ("service_account", "/b")];
        assert_eq!(set(Scheme::Gs, &all), Ok(vec![("service_account".to_owned(), "/a".to_owned())]));
    }

    #[test]
    fn a_value_that_cannot_be_meant_is_told_by_its_name_and_not_shown() {
        for (name, value) in [
            ("AWS_ENDPOINT_URL", "minio:9000"),
            ("AWS_ENDPOINT_URL_S3", "secret"),
            ("AWS_ENDPOINT", "ftp://secret"),
            ("AWS_SESSION_TOKEN", "secret\n"),
            ("AWS_ACCESS_KEY_ID", "sec\u{e9}ret"),
            ("AWS_SECRET_ACCESS_KEY", "secret\r"),
            ("AWS_REGION", "secret.com/#"),
            ("AWS_DEFAULT_REGION", "secret@com"),
            ("AWS_ENDPOINT_URL", "http://host/?X=secret"),
            ("AWS_ENDPOINT_URL", "http://host/#secret"),
            ("AWS_ENDPOINT_URL", "http://user:secret@host"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@secret.com/"),
        ] {
            let told = set(Scheme::S3, &[(name, value)]).expect_err("a fault");
            assert!(told.contains(name) && !told.contains("secret"), "{told}");
        }
        for (name, value) in [("IDENTITY_ENDPOINT", "here"), ("AZURE_STORAGE_ACCOUNT_NAME", "evil.com/")] {
            assert!(set(Scheme::Az, &[(name, value)]).is_err(), "{name}");
        }
        assert!(set(Scheme::Az, &[("IDENTITY_ENDPOINT", "http://169.254.129.2/?a=b")]).is_ok());
        assert!(set(Scheme::S3, &[("AWS_REGION", "us-gov-west-1")]).is_ok());
        assert!(set(Scheme::S3, &[("AWS_ENDPOINT_URL", "http://[::1]:9000/a")]).is_ok());
        assert!(set(Scheme::Gs, &[("GOOGLE_SERVICE_ACCOUNT_KEY", "{\n}")]).is_ok());
    }

    #[test]
    fn half_of_a_pair_of_keys_names_the_other_half() {
        for (missing, other) in
            [("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")]
        {
            let told = set(Scheme::S3, &[(missing, ""), (other, "hush")]).expect_err("a half");
            assert_eq!(told, format!("{missing}: it is not set, and {other} is"));
        }
        assert!(set(Scheme::S3, &[("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")]).is_ok());
    }

    #[test]
    fn a_file_of_authorities_has_some() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("a.pem");
        let told = |path: &Path| check_authorities(Some(path.as_os_str())).map_err(|error| error.to_string());
        assert!(told(&file).expect_err("it is missing").contains("a.pem"));
        std::fs::write(&file, "").expect("written");
        assert!(told(&file).expect_err("it is empty").contains("no certificate"));
        assert!(told(Path::new("")).is_err());
        std::fs::write(&file, "-----BEGIN CERTIFICATE-----").expect("written");
        assert_eq!((told(&file), check_authorities(None)), (Ok(()), Ok(())));
    }
}
