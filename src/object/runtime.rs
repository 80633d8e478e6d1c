//! The threads that requests are made on, and waiting for them from any other.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::{Error, Stop};

/// One decrypts while the other does.
const THREADS: usize = 2;
/// How often who waits looks whether the run is to end.
pub const TICK: Duration = Duration::from_millis(100);

/// The process's own.
pub fn handle() -> Result<&'static Handle, Error> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        // It fails where somebody has installed one: then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("object").enable_all();
        builder.build().map_err(|error| format!("starting the threads that requests are made on: {error}"))
    });
    runtime.as_ref().map(Runtime::handle).map_err(|why| Error::Other { why: why.clone() })
}

/// What `future` comes to, unless the run ends first.
pub fn wait<T: Send + 'static>(
    stop: &Stop,
    future: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    let (sender, receiver) = sync_channel(1);
    let task = handle()?.spawn(async move {
        // Nobody receives it once the run has ended.
        let _ = sender.send(future.await);
    });
    while !stop.load(Ordering::Relaxed) {
        match receiver.recv_timeout(TICK) {
            Ok(result) => return result,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Error::Other { why: "a request ended in a panic".to_owned() });
            }
        }
    }
    task.abort();
    Err(Error::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn once_the_run_is_to_end_nothing_is_waited_for() {
        let stop = Stop::default();
        assert_eq!(wait(&stop, async { Ok(1) }), Ok(1));
        stop.store(true, Ordering::Relaxed);
        assert_eq!(wait(&stop, async { Ok(1) }), Err(Error::Interrupted));
    }
}
