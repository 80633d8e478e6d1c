//! Archives in object storage: what a URL names, what there is under a prefix, and an object as bytes at an offset.
//!
//! An answer takes tens of milliseconds, whatever is asked for, and the bytes of one connection come more slowly than they
//! are worked on. So an object is read in aligned blocks of [`BLOCK_LEN`], several at a time once it is read on
//! (`blocks`), and gaps are read through: leaving out less than latency times bandwidth, some 4 MB, would save nothing.
//! What is passed over by a seek table is as long as a frame, and blocks that nobody touches are not asked for.
//!
//! Memory: of each object that is read 5 blocks that were read and one ahead, 48 MiB, and 32 more, 256 MiB, of all of them
//! for what is read ahead (`blocks`, `buffers`); what is on its way is one of them. Each connection takes up to 1 MiB
//! besides: two of an object, and 32. An answer that is no block is a page of a listing, of 16 MiB at most, or a refusal, of
//! 64 KiB (`http`).
//!
//! An object has no inode. What makes it the same object is its length, its `ETag` and its version ([`Identity`]); where
//! there is no strong `ETag`, also its time. Each request insists on a strong `ETag`, and as servers were seen to give
//! another object all the same, what the answer says is compared. An object that has neither is not read.
//!
//! Keys that the crate `object_store` would not give back as they are are told and not read (`page`).
//!
//! What fails is tried again for three minutes (`patience`). A silence of 30 seconds and an answer of 5 minutes are failures
//! (`http`), so that a store that is too slow is given up: a request that nobody answers after 4 minutes, and one that drips, or a
//! block, after some 10 (`reader`). A listing comes to an end by its pages, by their keys or by an error (`list`).
//!
//! Credentials and endpoints are the environment's, by the names that the crate `object_store` has for them
//! (`environment`), and so are proxies. Nothing is sent to another host than those (`http`).
//! Requests are made by two threads of their own, begun with the first one. Who waits for an answer looks at the stop flag
//! ten times a second.
//!
//! Without the feature `cloud` there is none of this but the words that say so.

// Without the feature nobody says most of the words.
#![cfg_attr(not(feature = "cloud"), allow(dead_code))]

mod error;
mod identity;
mod url;

#[cfg(feature = "cloud")]
mod blocks;
#[cfg(feature = "cloud")]
mod buffers;
#[cfg(feature = "cloud")]
mod environment;
#[cfg(feature = "cloud")]
mod http;
#[cfg(feature = "cloud")]
mod list;
#[cfg(feature = "cloud")]
mod page;
#[cfg(feature = "cloud")]
mod patience;
#[cfg(feature = "cloud")]
mod reader;
#[cfg(feature = "cloud")]
mod refusal;
#[cfg(feature = "cloud")]
mod runtime;
#[cfg(feature = "cloud")]
mod store;

#[cfg(not(feature = "cloud"))]
mod absent;
#[cfg(not(feature = "cloud"))]
use absent as reader;
#[cfg(not(feature = "cloud"))]
use absent as list;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

pub use error::Error;
pub use identity::Identity;
pub use list::list;
pub use reader::{Object, look};
pub use url::{Url, is_url, misspelt, without_secrets};

/// Bytes of a block: each begins at a multiple of it.
pub const BLOCK_LEN: u64 = 8 << 20;

/// Set once the run is to end.
pub type Stop = Arc<AtomicBool>;

/// What a listing has.
#[derive(Debug, Clone)]
pub enum Listed {
    /// An object, by its URL.
    Object(PathBuf, Identity),
    /// Objects with a longer common prefix, by its URL: a folder, in other words.
    Folder(PathBuf),
    /// An object that is there and cannot be read, by its URL, its length if that is told, and why.
    Unreadable(PathBuf, Option<u64>, Error),
}

/// What was asked of a store for an object, and came.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Requests, each time that one was made.
    pub requests: u64,
    /// Bytes of the object that came.
    pub received: u64,
}
