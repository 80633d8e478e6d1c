//! What every request of a store goes through, whoever makes it: it is counted, its answer is bounded, a redirect is not
//! followed to where nobody sent it, and a page of a listing is sifted before the crate sees it.
//!
//! A request to a store has credentials in it, and not only in headers that reqwest knows for such (`x-amz-security-token`).
//! So no redirect of a store is followed, and of a web server those alone that stay with it.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, Error as StoreError};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{StatusCode, header};

use super::BLOCK_LEN;
use super::page::{self, Left};

/// A connection that says nothing for so long is given up, and the request made again.
const SILENCE: Duration = Duration::from_secs(30);
/// A connection that is not there after so long; the crate has a shorter one for where credentials come from.
const CONNECTING: Duration = Duration::from_secs(5);
/// Redirects of a web server that are followed for one request.
const REDIRECTS_MOST: usize = 10;
/// Where S3 says in which region a bucket is.
const REGION: &str = "x-amz-bucket-region";

/// Longest answer, in bytes: two blocks. A page of a listing, 1000 keys of 1 KiB at most, is less.
const ANSWER_MOST: usize = 16 << 20;
const _: () = assert!(ANSWER_MOST as u64 == 2 * BLOCK_LEN);
/// Longest answer that says why there is none.
const REFUSAL_MOST: usize = 64 << 10;

/// A count of requests that travels with each, so that those are counted, too, that are made again.
#[derive(Debug, Clone, Default)]
pub struct Requests(Arc<AtomicU64>);

impl Requests {
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a page of a listing has that cannot be asked for: travels with the request for it.
#[derive(Debug, Clone, Default)]
pub struct LeftOfPage(Arc<Mutex<Vec<Left>>>);

impl LeftOfPage {
    pub fn take(&self) -> Vec<Left> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// An answer is longer than any that is good.
#[derive(Debug, thiserror::Error)]
#[error("its answer is longer than {0} bytes")]
pub struct TooLong(usize);

/// What was asked for is somewhere else, says whoever was asked.
#[derive(Debug, thiserror::Error)]
#[error("a redirect")]
pub struct Elsewhere {
    /// The host, and its port if there is one.
    pub host: Option<String>,
    /// The region, where S3 says so.
    pub region: Option<String>,
}

/// Makes the clients that all requests go through.
#[derive(Debug)]
pub struct Connector {
    /// Whether redirects are followed that stay with the server.
    pub is_web: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let option = |key| options.get_config_value(&key);
        let connecting = option(ClientConfigKey::ConnectTimeout).and_then(|text| humantime::parse_duration(&text).ok());
        let client = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .https_only(option(ClientConfigKey::AllowHttp).is_none_or(|is_allowed| is_allowed != "true"))
            .connect_timeout(connecting.unwrap_or(CONNECTING))
            .read_timeout(SILENCE)
            .redirect(if self.is_web { Policy::custom(follow) } else { Policy::none() })
            .build()
            .map_err(|error| StoreError::Generic { store: "HTTP client", source: Box::new(error) })?;
        Ok(HttpClient::new(Client(HttpClient::new(client))))
    }
}

/// A web server's own pages may move about on it, and from plain to encrypted.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let is_at_home = attempt.previous().last().is_some_and(|last| {
        let (to, port) = (attempt.url(), reqwest::Url::port_or_known_default);
        let is_same = to.scheme() == last.scheme() && port(to) == port(last);
        let is_encrypted_now = (last.scheme(), to.scheme()) == ("http", "https") && port(to) == Some(443);
        to.host_str() == last.host_str() && (is_same || is_encrypted_now)
    });
    if is_at_home && attempt.previous().len() <= REDIRECTS_MOST { attempt.follow() } else { attempt.stop() }
}

/// Where an answer sends that is a redirect.
fn elsewhere(answer: &HttpResponse, asked: &str) -> Option<Elsewhere> {
    use StatusCode as S;
    let redirects = [S::MOVED_PERMANENTLY, S::FOUND, S::SEE_OTHER, S::TEMPORARY_REDIRECT, S::PERMANENT_REDIRECT];
    if !redirects.contains(&answer.status()) {
        return None;
    }
    let text = |name: &str| answer.headers().get(name)?.to_str().ok();
    let to = text(header::LOCATION.as_str()).and_then(|to| reqwest::Url::parse(asked).ok()?.join(to).ok());
    let host = to.and_then(|to| {
        let host = to.host_str()?;
        Some(to.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
    });
    Some(Elsewhere { host, region: text(REGION).map(str::to_owned) })
}

#[derive(Debug)]
struct Client(HttpClient);

impl HttpService for Client {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        if let Some(Requests(count)) = request.extensions().get() {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let left: Option<LeftOfPage> = request.extensions().get().cloned();
        let asked = request.uri().to_string();
        let answer = self.0.execute(request);
        Box::pin(async move {
            let answer = bounded(answer.await?);
            if let Some(elsewhere) = elsewhere(&answer, &asked) {
                return Err(HttpError::new(HttpErrorKind::Unknown, elsewhere));
            }
            match left {
                Some(left) if answer.status().is_success() => sifted(answer, &left).await,
                _ => Ok(answer),
            }
        })
    }
}

fn bounded(answer: HttpResponse) -> HttpResponse {
    let most = if answer.status().is_success() { ANSWER_MOST } else { REFUSAL_MOST };
    let why = move |error: Box<dyn StdError + Send + Sync>| match error.downcast::<HttpError>() {
        Ok(error) => *error,
        Err(_) => HttpError::new(HttpErrorKind::Unknown, TooLong(most)),
    };
    answer.map(|body| HttpResponseBody::new(Limited::new(body, most).map_err(why)))
}

async fn sifted(answer: HttpResponse, left: &LeftOfPage) -> Result<HttpResponse, HttpError> {
    let (head, body) = answer.into_parts();
    let (rest, found) =
        page::sift(body.bytes().await?).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
    *left.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
    Ok(HttpResponse::from_parts(head, rest.into()))
}
