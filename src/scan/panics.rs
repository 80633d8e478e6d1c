//! A panic in a worker is that archive's error, told where errors are told, and not a backtrace across the bars.

use std::any::Any;
use std::cell::RefCell;

/// Threads whose panics are caught are named so.
pub const WORKER_NAME: &str = "worker";

thread_local! {
    static LOCATION: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Has panics of workers note where they happened instead of printing it. Others print as ever.
pub fn install_hook() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name().is_some_and(|name| name.starts_with(WORKER_NAME)) {
            LOCATION.set(info.location().map(ToString::to_string));
        } else {
            default(info);
        }
    }));
}

/// What a caught panic said, and where, if the hook saw it.
#[must_use]
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
