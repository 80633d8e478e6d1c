//! The threads that requests are made on, and waiting for them from any other.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::task::Poll;
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::{Error, Stop};
use crate::run::panics;
use crate::sanitize::printable_short;

/// One decrypts while the other does.
const THREADS: usize = 2;
/// Longest message of a panic that is told, in characters.
const TOLD: usize = 300;
/// How often who waits looks whether the run is to end.
pub const TICK: Duration = Duration::from_millis(100);

/// The process's own.
pub fn handle() -> Result<&'static Handle, Error> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        // It fails where somebody has installed one: then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name(panics::REQUESTS_NAME).enable_all();
        builder.build().map_err(|error| format!("starting the threads that requests are made on: {error}"))
    });
    runtime.as_ref().map(Runtime::handle).map_err(|why| Error::Other { why: why.clone() })
}

/// What `future` comes to; the crates that make requests panic at some settings.
pub async fn caught<T>(future: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        polled.unwrap_or_else(|payload| {
            let told = panics::message(&*payload).replace(['\r', '\n'], " ");
            let told = printable_short(told.as_bytes(), TOLD);
            Poll::Ready(Err(Error::Other {
                why: format!("a bug in what makes the requests, please report it: {told}"),
            }))
        })
    })
    .await
}

/// What `future` comes to, unless the run ends first.
pub fn wait<T: Send + 'static>(
    stop: &Stop,
    future: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let (sender, receiver) = sync_channel(1);
    let task = handle()?.spawn(async move {
        // Nobody receives it once the run has ended.
        let _ = sender.send(caught(future).await);
    });
    while !stop.load(Ordering::Relaxed) {
        match receiver.recv_timeout(TICK) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(Error::Other { why: "a request was lost".to_owned() }),
        }
    }
    task.abort();
    Err(Error::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_a_request_is_an_error_of_one_line() {
        panics::install_hook();
        let told = wait::<()>(&Stop::default(), async { panic!("a panic that a test\nwants") });
        let told = told.expect_err("a panic").to_string();
        assert!(told.contains("a panic that a test wants (at src/object/runtime.rs:"), "{told}");
    }

    #[test]
    fn once_the_run_is_to_end_nothing_is_waited_for() {
        let stop = Stop::default();
        assert_eq!(wait(&stop, async { Ok(1) }), Ok(1));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(wait(&stop, async { Ok(1) }), Err(Error::Interrupted));
    }
}
