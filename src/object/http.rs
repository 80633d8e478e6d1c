//! What every request of a store goes through, whoever makes it: it is counted, its answer is bounded, and a page of a
//! listing is sifted before the crate sees it.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::{BodyExt, Limited};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};

use super::BLOCK_LEN;
use super::page::{self, Left};

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

/// Makes the clients that all requests go through.
#[derive(Debug)]
pub struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(Client(ReqwestConnector::default().connect(options)?)))
    }
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
        let answer = self.0.execute(request);
        Box::pin(async move {
            let answer = bounded(answer.await?);
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
