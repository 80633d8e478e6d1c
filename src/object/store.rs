//! Buckets, and how requests to them are made.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder};
use object_store::http::{HttpBuilder, HttpStore};
use object_store::list::PaginatedListStore;
use object_store::path::Path;
use object_store::{ClientOptions, Extensions, GetOptions, GetRange, GetResult, ObjectStore, RetryConfig};

use super::http::{Connector, Requests};
use super::url::Scheme;
use super::{Error, Url, environment, page, refusal};

/// A bucket, or a web server.
pub(super) struct Store {
    /// The scheme and bucket, as a URL without a key.
    place: Url,
    client: Client,
}

enum Client {
    S3(AmazonS3),
    Gs(GoogleCloudStorage),
    Az(MicrosoftAzure),
    Web(HttpStore),
}

/// Buckets that one process reads of; past that each is connected to anew.
const MOST: usize = 64;

impl Store {
    /// The store that a URL is of: one a process, for its connections and its credentials. Called on the threads that make
    /// requests, where a panic is caught: the crate panics at some names and settings.
    pub fn of(url: &Url) -> Result<Arc<Store>, Error> {
        static STORES: Mutex<Vec<Arc<Store>>> = Mutex::new(Vec::new());
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        let place = url.with_key("");
        if let Some(store) = stores.iter().find(|store| store.place == place) {
            return Ok(Arc::clone(store));
        }
        let client = Client::new(&place)?;
        let store = Arc::new(Store { place, client });
        if stores.len() < MOST {
            stores.push(Arc::clone(&store));
        }
        Ok(store)
    }

    /// Asks for an object.
    pub async fn get(&self, key: &Path, options: GetOptions) -> Result<GetResult, object_store::Error> {
        let objects: &dyn ObjectStore = match &self.client {
            Client::S3(store) => store,
            Client::Gs(store) => store,
            Client::Az(store) => store,
            Client::Web(store) => store,
        };
        objects.get_opts(key, options).await
    }

    /// What lists its keys by pages; none of a web server.
    pub fn lister(&self) -> Option<&dyn PaginatedListStore> {
        match &self.client {
            Client::S3(store) => Some(store),
            Client::Gs(store) => Some(store),
            Client::Az(store) => Some(store),
            Client::Web(_) => None,
        }
    }
}

impl Client {
    fn new(place: &Url) -> Result<Client, Error> {
        Client::of_settings(place, &environment::settings(place.scheme)?)
    }

    fn of_settings(place: &Url, set: &[(String, String)]) -> Result<Client, Error> {
        let refused = match Client::with(place, set.to_vec()) {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let told = refusal::of(&refused, place);
        let Error::Other { why } = &told else { return Err(told) };
        // The crate does not say which variable it does not like: it is the one that has it say the same by itself.
        let says_so = |set| Client::with(place, set).is_err_and(|error| error.to_string() == refused.to_string());
        let guilty = set.iter().find(|one| says_so(vec![(*one).clone()])).filter(|_| !says_so(Vec::new()));
        Err(guilty.map_or_else(|| told.clone(), |one| environment::refused(one, why)))
    }

    fn with(place: &Url, set: Vec<(String, String)>) -> Result<Client, object_store::Error> {
        let options = options();
        let connector = Connector { is_web: place.scheme.is_web() };
        let bucket = &place.bucket;
        Ok(match place.scheme {
            Scheme::S3 => Client::S3(
                set.into_iter()
                    .filter_map(|(name, value)| Some((name.parse().ok()?, value)))
                    .fold(AmazonS3Builder::new(), |builder, (name, value)| builder.with_config(name, value))
                    .with_bucket_name(bucket)
                    .with_client_options(options)
                    .with_retry(once())
                    .with_http_connector(connector)
                    .build()?,
            ),
            Scheme::Gs => Client::Gs(
                set.into_iter()
                    .filter_map(|(name, value)| Some((name.parse().ok()?, value)))
                    .fold(GoogleCloudStorageBuilder::new(), |builder, (name, value)| builder.with_config(name, value))
                    .with_bucket_name(bucket)
                    .with_client_options(options)
                    .with_retry(once())
                    .with_http_connector(connector)
                    .build()?,
            ),
            Scheme::Az => Client::Az(
                set.into_iter()
                    .filter_map(|(name, value)| Some((name.parse().ok()?, value)))
                    .fold(MicrosoftAzureBuilder::new(), |builder, (name, value)| builder.with_config(name, value))
                    .with_container_name(bucket)
                    .with_client_options(options)
                    .with_retry(once())
                    .with_http_connector(connector)
                    .build()?,
            ),
            Scheme::Https | Scheme::Http => Client::Web(
                HttpBuilder::new()
                    .with_url(format!("{}{bucket}", place.scheme.as_str()))
                    .with_client_options(options)
                    .with_retry(once())
                    .with_http_connector(connector)
                    .build()?,
            ),
        })
    }
}

/// What is tried again is so by us (`http`): the crate stops trying where a store refuses connections for seconds.
fn once() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

/// Whoever sets an endpoint of http:// has said so. How long an answer may take is said in `http`.
fn options() -> ClientOptions {
    ClientOptions::new().with_allow_http(true)
}

/// The key of an object, in the words of the crate, which is to ask for that one and no other.
pub(super) fn key(url: &Url) -> Result<Path, Error> {
    let faulty = |why| Error::Key { why };
    if !url.scheme.is_web() {
        return match page::fault(&url.key) {
            None => Path::parse(&url.key).map_err(|error| Error::Url { why: error.to_string() }),
            Some(why) => Err(faulty(why)),
        };
    }
    // A slash at an end would be lost, and one that is encoded would be one that is not.
    let is_other = url.key.starts_with('/') || url.key.ends_with('/') || url.key.to_ascii_lowercase().contains("%2f");
    if url.key.is_empty() || is_other {
        return Err(faulty("an encoded slash, or one at an end"));
    }
    Path::from_url_path(&url.key).map_err(|error| Error::Url { why: error.to_string() })
}

/// Which bytes are asked for, of which object, and who counts it.
pub(super) fn range(range: std::ops::Range<u64>, etag: Option<&str>, requests: &Requests) -> GetOptions {
    GetOptions { range: Some(GetRange::Bounded(range)), if_match: etag.map(str::to_owned), ..plain(requests) }
}

/// A request of what is known of an object.
pub(super) fn head(requests: &Requests) -> GetOptions {
    GetOptions { head: true, ..plain(requests) }
}

fn plain(requests: &Requests) -> GetOptions {
    let mut extensions = Extensions::new();
    extensions.insert(requests.clone());
    GetOptions { extensions, ..GetOptions::default() }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Store({})", self.place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_the_crate_refuses_is_told_by_its_variable_and_not_shown() {
        let place = Url::parse(std::path::Path::new("s3://cold")).expect("a URL");
        let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for name in [
            "aws_skip_signature",
            "aws_unsigned_payload",
            "aws_request_payer",
            "aws_checksum_algorithm",
            "aws_conditional_put",
            "aws_server_side_encryption",
        ] {
            let set = [setting("aws_region", "eu-west-1"), setting(name, "garbage")];
            let told = Client::of_settings(&place, &set).err().expect("a fault").to_string();
            assert!(told.starts_with(&format!("{}: it is n", name.to_ascii_uppercase())), "{told}");
            assert!(!told.contains("garbage"), "{told}");
        }
    }

    #[test]
    fn a_key_is_asked_for_as_it_is_written_or_not_at_all() {
        let key = |text: &str| key(&Url::parse(std::path::Path::new(text)).expect("a URL"));
        for (url, asked) in [
            ("s3://cold/2019/a b%2F#.tar.zst", "2019/a b%2F#.tar.zst"),
            ("https://host/a%20b/c~.tar.zst", "a b/c~.tar.zst"),
        ] {
            assert_eq!(key(url).expect("a key").as_ref(), asked);
        }
        for url in ["a//b", "a/", "/a", "../a", "a/./b", ""] {
            for place in ["s3://cold", "gs://cold", "az://cold", "https://host"] {
                assert!(key(&format!("{place}/{url}")).is_err(), "{place}/{url}");
            }
        }
        for url in ["https://host/a%2Fb", "https://host/%2Fa", "https://host/a/%2E%2E/b"] {
            assert!(key(url).is_err(), "{url}");
        }
    }
}
