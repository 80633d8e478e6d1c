//! An object as bytes at an offset, by blocks.
//!
//! What has come of a block stays where an answer breaks off, and the rest is asked for, as long as there is patience
//! (`patience`). A part that is not there after [`ANSWER_TIME`] is taken for one that broke off: a block that drips is
//! given up after ten minutes.

use std::future::poll_fn;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use object_store::path::Path;
use object_store::{GetResult, ObjectMeta};
use positioned_io::ReadAt;

use super::blocks::{Blocks, Content};
use super::buffers::Buffer;
use super::http::{ANSWER_TIME, Requests, Slow};
use super::patience::Patience;
use super::runtime::{TICK, caught, handle, wait};
use super::store::{self, Store};
use super::{BLOCK_LEN, Error, Identity, Stop, Traffic, Url, refusal};

/// Longest object; offsets of files are no larger.
const LENGTH_MOST: u64 = i64::MAX.unsigned_abs();

/// An object; shared by whoever reads of it, each where he likes.
pub struct Object {
    identity: Identity,
    stop: Stop,
    shared: Arc<Shared>,
}

/// What the requests under way share with who waits for them.
struct Shared {
    remote: Remote,
    blocks: Mutex<Blocks>,
    arrived: Condvar,
}

/// Where the object is.
#[derive(Clone)]
struct Remote {
    url: Url,
    key: Path,
    store: Arc<Store>,
    requests: Requests,
    received: Arc<AtomicU64>,
}

/// What a store says of an object, by a request for nothing else.
pub fn look(url: &Url, stop: &Stop) -> Result<Identity, Error> {
    let url = url.clone();
    wait(stop, async move { Remote::new(&url)?.look().await })
}

/// What the crate says of an object. It says 1970 where the store does not say when it was written.
pub(super) fn identity(meta: &ObjectMeta) -> Result<Identity, Error> {
    if meta.size > LENGTH_MOST {
        return Err(Error::Length { length: meta.size });
    }
    let (seconds, nanoseconds) = (meta.last_modified.timestamp(), meta.last_modified.timestamp_subsec_nanos());
    let identity = Identity {
        length: meta.size,
        modified: ((seconds, nanoseconds) != (0, 0)).then(|| format!("{seconds}.{nanoseconds:09}")),
        etag: meta.e_tag.clone(),
        version: meta.version.clone(),
    };
    if identity.strong_tag().is_none() && identity.modified.is_none() {
        return Err(Error::Unidentified);
    }
    Ok(identity)
}

/// That what a store says now is of the object that was opened.
fn check(opened: &Identity, now: &Identity) -> Result<(), Error> {
    if now.length < opened.length {
        return Err(Error::Shrunk { from: opened.length, to: now.length });
    }
    if opened.is_same(now) { Ok(()) } else { Err(Error::Replaced) }
}

impl Remote {
    fn new(url: &Url) -> Result<Remote, Error> {
        Ok(Remote {
            url: url.clone(),
            key: store::key(url)?,
            store: Store::of(url)?,
            requests: Requests::default(),
            received: Arc::default(),
        })
    }

    fn refusal(&self, error: &object_store::Error) -> Error {
        refusal::of(error, &self.url)
    }

    async fn look(&self) -> Result<Identity, Error> {
        if let Ok(answer) = self.store.get(&self.key, store::head(&self.requests)).await {
            return identity(&answer.meta);
        }
        // The answer to a HEAD has no body, and so no reason.
        match self.store.get(&self.key, store::range(0..1, None, &self.requests)).await {
            Ok(answer) => identity(&answer.meta),
            Err(error) => Err(self.refusal(&error)),
        }
    }

    /// The first block, or all there is, and what it is a block of.
    async fn open(&self) -> Result<(Identity, Bytes), Error> {
        let answer = match self.store.get(&self.key, store::range(0..BLOCK_LEN, None, &self.requests)).await {
            Ok(answer) => answer,
            Err(error) if refusal::is_out_of_range(&error) => return Ok((self.look().await?, Bytes::new())),
            Err(error) => return Err(self.refusal(&error)),
        };
        let identity = identity(&answer.meta)?;
        let range = 0..identity.length.min(BLOCK_LEN);
        let bytes = self.gather(range, &identity, Some(answer)).await?;
        Ok((identity, bytes))
    }

    /// A range of the object, which is to be the one that was opened; `first` is the answer to it if there is one.
    async fn gather(&self, range: Range<u64>, opened: &Identity, first: Option<GetResult>) -> Result<Bytes, Error> {
        let length = usize::try_from(range.end - range.start).expect("at most a block");
        let mut bytes = Buffer::new(length)?;
        let (mut first, mut patience) = (first, Patience::new());
        loop {
            let rest = range.start + bytes.len() as u64..range.end;
            let first = first.take();
            let part = async {
                let answer = match first {
                    Some(answer) => answer,
                    None => self.ask(rest, opened).await?,
                };
                self.take_in(answer, &mut bytes, length).await
            };
            let error = match tokio::time::timeout(ANSWER_TIME, part).await {
                Ok(Ok(None)) => return Ok(bytes.into()),
                Ok(Ok(Some(error))) => error,
                Ok(Err(error)) => return Err(error),
                Err(_) => Error::Broken { is_store: true, proxy: None, why: Slow(ANSWER_TIME).to_string() },
            };
            let Some(pause) = patience.pause() else { return Err(error) };
            tokio::time::sleep(pause).await;
        }
    }

    async fn ask(&self, range: Range<u64>, opened: &Identity) -> Result<GetResult, Error> {
        let options = store::range(range, opened.strong_tag(), &self.requests);
        match self.store.get(&self.key, options).await {
            Ok(answer) => {
                // Servers were seen that take no notice of what a request insists on.
                check(opened, &identity(&answer.meta)?)?;
                Ok(answer)
            }
            Err(error) => Err(self.explain(&error, opened).await),
        }
    }

    /// Adds what comes to `bytes`, which is to be so long then and no longer, whatever the server sends. Gives why it is not,
    /// if asking for the rest may mend it.
    async fn take_in(&self, answer: GetResult, bytes: &mut Buffer, length: usize) -> Result<Option<Error>, Error> {
        let mut pieces = answer.into_stream();
        while let Some(piece) = poll_fn(|context| pieces.as_mut().poll_next(context)).await {
            let piece = match piece.map_err(|error| self.refusal(&error)) {
                Ok(piece) => piece,
                Err(error @ Error::Broken { .. }) => return Ok(Some(error)),
                Err(error) => return Err(error),
            };
            self.received.fetch_add(piece.len() as u64, Ordering::Relaxed);
            if piece.len() > length - bytes.len() {
                return Err(Error::Other { why: "more bytes came than were asked for".to_owned() });
            }
            bytes.push(&piece);
        }
        let why = || format!("{} bytes came of {length}", bytes.len());
        Ok((bytes.len() < length).then(|| Error::Broken { is_store: true, proxy: None, why: why() }))
    }

    /// Why a range cannot be had: that the object is another one explains any refusal.
    async fn explain(&self, error: &object_store::Error, opened: &Identity) -> Error {
        let refusal = self.refusal(error);
        match refusal {
            Error::NoObject => Error::Replaced,
            Error::Replaced => refusal,
            _ if refusal.may_pass() => refusal,
            _ => match self.look().await {
                Ok(now) => check(opened, &now).err().unwrap_or(refusal),
                Err(Error::NoObject) => Error::Replaced,
                Err(_) => refusal,
            },
        }
    }
}

impl Object {
    /// Opens what a URL names; its first block is asked for, and tells what it is a block of. Reads end with
    /// [`Error::Interrupted`] once `stop` is set.
    pub fn open(url: &Url, stop: Stop) -> Result<Object, Error> {
        let url = url.clone();
        let (remote, (identity, first)) = wait(&stop, async move {
            let remote = Remote::new(&url)?;
            let opened = remote.open().await?;
            Ok((remote, opened))
        })?;
        let mut blocks = Blocks::new(identity.length.div_ceil(BLOCK_LEN));
        if identity.length > 0 {
            blocks.want(0);
            blocks.put(0, Ok(first));
        }
        let shared = Arc::new(Shared { remote, blocks: Mutex::new(blocks), arrived: Condvar::new() });
        Ok(Object { identity, stop, shared })
    }

    /// What makes it the same object.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What was asked of the store, and came.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let Remote { requests, received, .. } = &self.shared.remote;
        Traffic { requests: requests.count(), received: received.load(Ordering::Relaxed) }
    }

    /// Reads at least one byte at `offset`, which lies in the object as it was opened. `buf` is not empty.
    pub fn read_some_at(&self, offset: u64, buf: &mut [u8]) -> Result<usize, Error> {
        let length = self.identity.length;
        if offset >= length {
            return Err(Error::Shrunk { from: length, to: length });
        }
        let index = offset / BLOCK_LEN;
        let within = usize::try_from(offset % BLOCK_LEN).expect("less than a block");
        let mut blocks = self.shared.lock();
        loop {
            for asked in blocks.want(index) {
                self.ask(&mut blocks, asked)?;
            }
            match blocks.get(index) {
                Some(Content::Here(bytes)) => {
                    // Others may go on meanwhile.
                    let bytes = bytes.clone();
                    drop(blocks);
                    let bytes = bytes.get(within..).unwrap_or_default();
                    let read = bytes.len().min(buf.len());
                    buf[..read].copy_from_slice(&bytes[..read]);
                    return Ok(read);
                }
                Some(Content::Failed(error)) => {
                    let error = error.clone();
                    // Whoever asks again may have more luck.
                    blocks.remove(index);
                    return Err(error);
                }
                // Let go of for others that were wanted meanwhile: it is asked for again.
                None => {}
                // A task that ends has put something there.
                Some(Content::Coming) if blocks.is_lost(index) => {
                    blocks.remove(index);
                    return Err(Error::Other { why: "a request ended in a panic".to_owned() });
                }
                Some(Content::Coming) if self.stop.load(Ordering::Relaxed) => return Err(Error::Interrupted),
                Some(Content::Coming) => {
                    blocks = self.shared.arrived.wait_timeout(blocks, TICK).unwrap_or_else(PoisonError::into_inner).0;
                }
            }
        }
    }

    fn ask(&self, blocks: &mut Blocks, index: u64) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        let opened = self.identity.clone();
        let start = index * BLOCK_LEN;
        let range = start..(start + BLOCK_LEN).min(opened.length);
        let task = handle()?.spawn(async move {
            let came = caught(shared.remote.gather(range, &opened, None)).await;
            shared.lock().put(index, came);
            shared.arrived.notify_all();
        });
        blocks.set_task(index, task.abort_handle());
        Ok(())
    }

    /// Whether what the URL names is still the object that was opened.
    pub fn check_unchanged(&self) -> Result<(), Error> {
        let remote = self.shared.remote.clone();
        let now = wait(&self.stop, async move { remote.look().await });
        match now {
            Ok(now) => check(&self.identity, &now),
            Err(Error::NoObject) => Err(Error::Replaced),
            Err(error) => Err(error),
        }
    }
}

impl ReadAt for Object {
    fn read_at(&self, pos: u64, buf: &mut [u8]) -> std::io::Result<usize> {
        if buf.is_empty() || pos >= self.identity.length {
            return Ok(0);
        }
        Ok(self.read_some_at(pos, buf)?)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Object {
    /// Requests under way hold what they share.
    fn drop(&mut self) {
        self.shared.lock().clear();
    }
}
