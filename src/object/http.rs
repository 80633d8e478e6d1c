//! What every request of a store goes through, whoever makes it: it is counted, made again where it fails (`patience`),
//! its answer is bounded, a redirect is not followed to where nobody sent it, and a page of a listing is sifted before the
//! crate sees it.
//!
//! A request to a store has credentials in it, and not only in headers that reqwest knows for such (`x-amz-security-token`).
//! So no redirect of a store is followed. One to a web server has none: it is followed to other servers, too, as archives of
//! releases and mirrors need, but to no plain one from an encrypted one, and not to where this machine's credentials are.
//!
//! Bounds: a connection is there after [`CONNECTING`], and an answer begins, and goes on, within [`SILENCE`]; all of an
//! answer is there after [`ANSWER_TIME`], or it is asked for again. The body of a block is the reader's.
//!
//! Proxies are the environment's, but for where credentials come from: nobody else can answer for the machine itself.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper_util::client::proxy::matcher::Matcher;
use object_store::client::{
    ClientConfigKey, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody,
    HttpService,
};
use object_store::{ClientOptions, Error as StoreError};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{StatusCode, header};

use super::BLOCK_LEN;
use super::page::{self, Left};
use super::patience::{Patience, Server};
use super::refusal::{cause, chain};

/// A connection that says nothing for so long is given up, and the request made again.
const SILENCE: Duration = Duration::from_secs(30);
/// A connection that is not there after so long; the crate has a shorter one for where credentials come from.
const CONNECTING: Duration = Duration::from_secs(5);
/// The longest that an answer takes, from the request on: a page of a listing, a refusal, or credentials. So does each part
/// of a block, see `reader`.
pub const ANSWER_TIME: Duration = Duration::from_mins(5);
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

/// Where credentials are asked for that the environment does not have: the instance's, the container's, Google's.
pub const METADATA: [&str; 5] =
    ["169.254.169.254", "[fd00:ec2::254]", "169.254.170.2", "169.254.170.23", "metadata.google.internal"];
/// What TLS says of a certificate begins so.
pub const CERTIFICATE: &str = "invalid peer certificate: ";
/// Servers that one client remembers: the store, and who gives credentials.
const SERVERS_MOST: usize = 16;

/// A request has failed, as often as patience lasted.
#[derive(Debug, thiserror::Error)]
#[error("a request has failed")]
pub struct Failed {
    /// How often.
    pub tries: u32,
    /// Whether it was for an object or a listing, and not for credentials.
    pub is_of_store: bool,
    /// The host that was asked, and its port if there is one.
    pub host: String,
    /// Whether there was no connection.
    pub no_connection: bool,
    /// The host and port of the proxy that it went through.
    pub proxy: Option<String>,
    source: HttpError,
}

/// An answer takes too long.
#[derive(Debug, thiserror::Error)]
#[error("it was not there after {} minutes", .0.as_secs() / 60)]
pub struct Slow(pub Duration);

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
    /// Whether redirects are followed.
    pub is_web: bool,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let option = |key| options.get_config_value(&key);
        let connecting = option(ClientConfigKey::ConnectTimeout).and_then(|text| humantime::parse_duration(&text).ok());
        let make = Make {
            is_encrypted: option(ClientConfigKey::AllowHttp).is_none_or(|is_allowed| is_allowed != "true"),
            connecting: connecting.unwrap_or(CONNECTING),
            is_web: self.is_web,
        };
        let client =
            make.client(true).map_err(|error| StoreError::Generic { store: "HTTP", source: Box::new(error) })?;
        let (direct, proxies) = (OnceLock::new(), Matcher::from_system());
        let transport = Transport { make, client, direct, proxies };
        Ok(HttpClient::new(Client { transport, servers: Mutex::default() }))
    }
}

/// How the library's client is made.
#[derive(Debug)]
struct Make {
    is_encrypted: bool,
    connecting: Duration,
    is_web: bool,
}

impl Make {
    fn client(&self, may_have_proxy: bool) -> Result<HttpClient, reqwest::Error> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .https_only(self.is_encrypted)
            .connect_timeout(self.connecting)
            .read_timeout(SILENCE)
            .redirect(if self.is_web { Policy::custom(follow) } else { Policy::none() });
        let builder = if may_have_proxy { builder } else { builder.no_proxy() };
        builder.build().map(HttpClient::new)
    }
}

/// Where a web server sends that may be followed.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let to = attempt.url();
    let from_plain = attempt.previous().last().is_some_and(|last| last.scheme() == "http");
    let is_fit = to.scheme() == "https" || to.scheme() == "http" && from_plain;
    let is_metadata = to.host_str().is_none_or(|host| METADATA.contains(&host));
    if is_fit && !is_metadata && attempt.previous().len() <= REDIRECTS_MOST { attempt.follow() } else { attempt.stop() }
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
    let host = to.and_then(|to| Some(host(Some(to.host_str()?), to.port())));
    Some(Elsewhere { host, region: text(REGION).map(str::to_owned) })
}

#[derive(Debug)]
struct Client {
    transport: Transport,
    servers: Mutex<BTreeMap<String, Arc<Server>>>,
}

/// Where one request goes, once.
#[derive(Debug)]
struct Transport {
    make: Make,
    client: HttpClient,
    /// Without a proxy; made once it is needed.
    direct: OnceLock<HttpClient>,
    /// As the library reads them from the environment.
    proxies: Matcher,
}

impl HttpService for Client {
    fn call<'s, 'f>(
        &'s self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'f>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(self.ask(request))
    }
}

impl Client {
    /// Makes a request until there is an answer that stands, or patience has run out.
    async fn ask(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let server = self.server(request.uri().authority().map_or("", |authority| authority.as_str()));
        let mut patience = Patience::new();
        loop {
            while let Some(delay) = patience.delay(&server) {
                tokio::time::sleep(delay).await;
            }
            let answer = match tokio::time::timeout(ANSWER_TIME, self.transport.ask_once(request.clone())).await {
                Ok(answer) => answer,
                Err(_) => Err(HttpError::new(HttpErrorKind::Timeout, Slow(ANSWER_TIME))),
            };
            let no_connection = match &answer {
                Ok(come) => {
                    let is_good = !says_to_come_again(come.status());
                    server.answered(is_good);
                    if is_good {
                        return answer;
                    }
                    false
                }
                Err(error) if is_final(error) => return answer,
                Err(error) => cause::<reqwest::Error>(error).is_some_and(reqwest::Error::is_connect),
            };
            let Some(pause) = patience.pause_for(&server, no_connection) else {
                return answer.map_err(|source| {
                    let (tries, proxy) = (patience.tries(), self.transport.proxy(&request));
                    let (is_of_store, host) =
                        (is_of_store(&request), host(request.uri().host(), request.uri().port_u16()));
                    HttpError::new(source.kind(), Failed { tries, is_of_store, host, no_connection, proxy, source })
                });
            };
            if let Some(asked) = answer.ok().as_ref().and_then(retry_after) {
                server.leave_alone(asked);
            }
            tokio::time::sleep(pause).await;
        }
    }

    fn server(&self, name: &str) -> Arc<Server> {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = servers.get(name) {
            return Arc::clone(server);
        }
        let server = Arc::<Server>::default();
        if servers.len() < SERVERS_MOST {
            servers.insert(name.to_owned(), Arc::clone(&server));
        }
        server
    }
}

/// Whether who was asked cannot answer now; to what he has no answer for, he has none later either.
fn says_to_come_again(status: StatusCode) -> bool {
    let has_none = [StatusCode::NOT_IMPLEMENTED, StatusCode::HTTP_VERSION_NOT_SUPPORTED].contains(&status);
    status.is_server_error() && !has_none
        || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
}

/// How long an answer asks to wait. A date is passed over: the clocks may differ.
fn retry_after(answer: &HttpResponse) -> Option<Duration> {
    let seconds = answer.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?))
}

/// Whether asking again leads to the same.
fn is_final(error: &HttpError) -> bool {
    cause::<TooLong>(error).is_some()
        || cause::<Elsewhere>(error).is_some()
        || cause::<page::Error>(error).is_some()
        || cause::<reqwest::Error>(error).is_some_and(reqwest::Error::is_builder)
        || chain(error).contains(CERTIFICATE)
}

impl Transport {
    /// A whole answer, or, of a block, as far as it has come.
    async fn ask_once(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let count: Option<&Requests> = request.extensions().get();
        if let Some(Requests(count)) = count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let is_of_object = count.is_some();
        let left: Option<LeftOfPage> = request.extensions().get().cloned();
        let asked = request.uri().to_string();
        let answer = bounded(self.client(&request)?.execute(request).await?);
        if let Some(elsewhere) = elsewhere(&answer, &asked) {
            return Err(HttpError::new(HttpErrorKind::Unknown, elsewhere));
        }
        let is_success = answer.status().is_success();
        if is_success && is_of_object && is_html(&answer) {
            return Err(HttpError::new(HttpErrorKind::Unknown, page::Error::Html("an object")));
        }
        match left {
            _ if is_success && is_of_object => Ok(answer),
            Some(left) if is_success => sifted(answer, &left).await,
            _ => {
                let (head, body) = answer.into_parts();
                Ok(HttpResponse::from_parts(head, body.bytes().await?.into()))
            }
        }
    }

    fn client(&self, request: &HttpRequest) -> Result<&HttpClient, HttpError> {
        if !is_metadata(request) {
            return Ok(&self.client);
        }
        if let Some(direct) = self.direct.get() {
            return Ok(direct);
        }
        let direct = self.make.client(false).map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
        Ok(self.direct.get_or_init(|| direct))
    }

    /// The host and port of the proxy that a request goes through.
    fn proxy(&self, request: &HttpRequest) -> Option<String> {
        let proxy = self.proxies.intercept(request.uri()).filter(|_| !is_metadata(request))?;
        Some(host(Some(proxy.uri().host()?), proxy.uri().port_u16()))
    }
}

/// A host, and its port if there is one.
fn host(host: Option<&str>, port: Option<u16>) -> String {
    let host = host.unwrap_or_default();
    port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What has nothing of ours with it, the crate asks for by itself.
fn is_of_store(request: &HttpRequest) -> bool {
    let with = request.extensions();
    with.get::<Requests>().is_some() || with.get::<LeftOfPage>().is_some()
}

fn is_metadata(request: &HttpRequest) -> bool {
    request.uri().host().is_some_and(|host| METADATA.contains(&host))
}

/// Whether an answer is a page of the web and whole, where a part of an object was asked for.
fn is_html(answer: &HttpResponse) -> bool {
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    answer.status() == StatusCode::OK && kind.to_ascii_lowercase().starts_with("text/html")
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
    let page = body.bytes().await?;
    let sifted = page::check(&page).and_then(|()| page::sift(page));
    let (rest, found) = sifted.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
    *left.0.lock().unwrap_or_else(PoisonError::into_inner) = found;
    Ok(HttpResponse::from_parts(head, rest.into()))
}
