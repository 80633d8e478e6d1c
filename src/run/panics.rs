//! A panic in a worker becomes that archive's error, reported like any other, not a backtrace across the bars.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::cause::Cause;
use crate::reason::Reason;

/// How the names of threads whose panics are caught begin.
pub const WORKER_NAME: &str = "worker";
/// And of those that requests to object storage are made on.
pub const REQUESTS_NAME: &str = "requests";

thread_local! {
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes panics of workers note where they happened instead of printing it. Others print as usual.
pub fn install_hook() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let is_caught = |name: &str| [WORKER_NAME, REQUESTS_NAME].iter().any(|caught| name.starts_with(caught));
        if std::thread::current().name().is_some_and(is_caught) {
            LOCATION.set(info.location().map(ToString::to_string));
        } else {
            default(info);
        }
    }));
}

/// Does `work`, and turns a panic in it into an error.
pub fn caught<T>(work: impl FnOnce() -> Result<T, Cause>) -> Result<T, Cause> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|payload: Box<dyn Any + Send>| {
        let message = format!("a bug in imgsieve, please report it: {}", message(&*payload));
        Err(Cause::new(Reason::Panic, message))
    })
}

/// What a panic said that was caught on this thread, and where, if the hook saw it.
pub fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    match LOCATION.take() {
        Some(location) => format!("{text} (at {location})"),
        None => text,
    }
}
