//! The staging folder: who may write there, how much, and under which names.
//!
//! What a reader of staging finds under an image's own name is a whole image, whatever happened: files are written as
//! `.imgsieve-RUN-N.partial`, synced, and then the open file is given its name, which replaces nothing. A partial is locked by
//! who writes it; those that nobody holds were left by a killed run, and are swept by the next one.
//!
//! Runs over shards share the folder: each holds a shared [lock](lock::Lock) on it, and an exclusive one on the folder of the
//! archive that it stages from. Near the minimum of free space they write one at a time, by the [gate](gate::Gate), so that it
//! holds for all of them together. Any other run has the folder alone. Where locks hold for one machine only, what stands without them
//! stays: no half image under its name, and none replaced.

mod budget;
mod error;
mod folder;
mod gate;
mod keep;
mod lock;
mod mounts;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File};
use std::hash::BuildHasher;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

pub use budget::{Budget, FreeSpace, Refusal, Reservation, Space};
pub use error::{Error, Takes};
pub use folder::{Folder, Found, Held};
pub use keep::{Keep, Measure, Room, Staged};
pub use lock::{Lock, Sharing};

use gate::Gate;

use crate::units::{MinFree, Size};

/// Partials are named `.imgsieve-RUN-N.partial`, RUN being 16 hex digits: hidden, and short enough for every file system.
/// Those of earlier versions have no RUN.
const PARTIAL_PREFIX: &[u8] = b".imgsieve-";
const PARTIAL_SUFFIX: &[u8] = b".partial";
/// Length of RUN.
const RUN_LENGTH: usize = 16;

/// How often folders that another run removed as empty are made again.
const MAKE_TRIES: u32 = 10;
/// Where locks hold for one machine only, a partial that was written to within this time may be anybody's.
const LEFT_AFTER: Duration = Duration::from_hours(24);
/// How often to ask for the turn to stage what found no room.
const TURN_PAUSE: Duration = Duration::from_millis(100);

/// Where an image goes in staging.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The archive's hash: the folder.
    pub hash: &'a OsStr,
    /// Which image of this name in the archive it is, from 1. From 2 on, it goes to a folder of that number.
    pub ordinal: u32,
    /// The file name, untrusted.
    pub name: &'a [u8],
}

/// What came of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// Partials that were removed, by hash.
    pub removed: HashMap<OsString, u64>,
    /// The first that went wrong.
    pub failure: Option<Error>,
    has_local_locks: bool,
}

/// How a run uses a staging folder.
#[derive(Debug, Clone)]
pub struct Access {
    /// Who else may use it.
    pub sharing: Sharing,
    /// The run's name, of 16 hex digits, which its partials have; none for one of its own.
    pub run: Option<String>,
    /// Most bytes that it writes there and leaves; none for no limit.
    pub most: Option<u64>,
    /// Set when the run is to end: it waits for no other run then.
    pub stopped: Arc<AtomicBool>,
}

/// An open, locked staging folder.
pub struct Staging {
    root: Folder,
    budget: Budget,
    sharing: Sharing,
    /// What the names of this run's partials have in common, and no other's.
    id: String,
    partials: AtomicU64,
    local_locks: Option<String>,
    _lock: Option<Lock>,
}

impl Staging {
    /// As [`Staging::open_as`], for a run that has the folder alone.
    pub fn open(path: &Path, min_free: MinFree) -> Result<Staging, Error> {
        Staging::open_as(
            path,
            min_free,
            &Access { sharing: Sharing::Alone, run: None, most: None, stopped: Arc::default() },
        )
    }

    /// Opens the staging folder at `path`, creating it if it is missing, and locks it for as long as the value lives: the
    /// kernel drops the lock when the process dies, however it dies. Fails where nothing can be written.
    pub fn open_as(path: &Path, min_free: MinFree, access: &Access) -> Result<Staging, Error> {
        if let Err(source) = DirBuilder::new().recursive(true).create(path) {
            return Err(match std::fs::metadata(path) {
                Ok(metadata) if !metadata.is_dir() => Error::NotAFolder { path: path.to_owned() },
                _ => Error::Io { action: "creating", path: path.to_owned(), source },
            });
        }
        let root = Folder::open(path)?;
        let lock = lock_folder(&root, access.sharing, !root.is_local())?;
        let mut budget = Budget::new(Arc::new(root.try_clone()?), min_free).limited(access.most);
        // Where nothing has to stay free, the file system itself sees to it.
        if access.sharing == Sharing::Together && min_free.bytes(u64::MAX) > 0 {
            budget = budget.shared(Gate::new(root.try_clone()?, Arc::clone(&access.stopped)));
        }
        let is_id = |run: &&String| run.len() == RUN_LENGTH && run.bytes().all(|byte| byte.is_ascii_hexdigit());
        let own = || format!("{:016x}", RandomState::new().hash_one((SystemTime::now(), std::process::id())));
        let id = access.run.as_ref().filter(is_id).cloned().unwrap_or_else(own);
        let staging = Staging {
            root,
            budget,
            sharing: access.sharing,
            id,
            partials: AtomicU64::new(0),
            local_locks: mounts::local_locks(path),
            _lock: lock,
        };
        staging.check_writable()?;
        Ok(staging)
    }

    /// The mount options by which locks on the folder hold for this machine only, if there are such.
    #[must_use]
    pub fn local_locks(&self) -> Option<&str> {
        self.local_locks.as_deref()
    }

    /// Locks the folder of an archive while images of it are staged, where other runs may stage, too. Fails with
    /// [`Error::Busy`] where one does.
    pub fn lock_archive(&self, hash: &OsStr) -> Result<Option<ArchiveLock<'_>>, Error> {
        if self.sharing == Sharing::Alone {
            return Ok(None);
        }
        let name = folder::check_name(hash.as_bytes())?;
        let mut tries = 0;
        let lock = loop {
            tries += 1;
            let folder = self.root.make_subfolder(name)?;
            match Lock::take(&folder, folder::FOLDER, Sharing::Alone) {
                Err(error) if tries < MAKE_TRIES && is_gone(&error) => {}
                Err(error) => {
                    self.root.remove_if_empty(name);
                    return Err(error);
                }
                Ok(taken) => break taken,
            }
        };
        match lock {
            Some(lock) => Ok(Some(ArchiveLock { root: &self.root, hash: name.to_owned(), lock: Some(lock) })),
            None => Err(Error::Busy { path: self.root.join(name) }),
        }
    }

    /// Waits for the turn to stage what found no room: of two runs that each could, neither is to take the other's room. Gives
    /// none where nobody else may stage, or `is_stopped`. `waits` is called if others have the turn.
    pub fn take_turn(&self, is_stopped: &dyn Fn() -> bool, waits: &dyn Fn()) -> Result<Option<Lock>, Error> {
        if self.sharing == Sharing::Alone {
            return Ok(None);
        }
        let mut is_waiting = false;
        while !is_stopped() {
            if let Some(turn) = Lock::take(&self.root, folder::TURN, Sharing::Alone)? {
                return Ok(Some(turn));
            }
            if !is_waiting {
                is_waiting = true;
                waits();
            }
            std::thread::sleep(TURN_PAUSE);
        }
        Ok(None)
    }

    fn check_writable(&self) -> Result<(), Error> {
        let name = self.partial_name();
        self.root.create(&name).map_err(folder::failed("writing to", self.root.path()))?;
        match self.root.remove(&name) {
            // Nobody holds it, and another run that begins may have swept it.
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(folder::failed("writing to", self.root.path())(errno)),
        }
    }

    fn partial_name(&self) -> OsString {
        let number = self.partials.fetch_add(1, Ordering::Relaxed);
        let mut name = OsStr::from_bytes(PARTIAL_PREFIX).to_owned();
        name.push(format!("{}-{number}", self.id));
        name.push(OsStr::from_bytes(PARTIAL_SUFFIX));
        name
    }

    /// The folder's path, as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The space there is.
    #[must_use]
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Removes partials that an earlier run left and nobody writes to. Folders that are empty then go too.
    pub fn sweep(&self) -> Swept {
        let mut swept = Swept { has_local_locks: self.local_locks.is_some(), ..Swept::default() };
        // What was written to see whether anything can be. It holds nothing.
        let (hashes, _) = swept.sweep(&self.root);
        let _ = remove_left(&self.root, OsStr::new(folder::GATE), swept.has_local_locks);
        for hash in hashes {
            // What cannot be opened is not ours.
            let Ok(Some(folder)) = self.root.subfolder(&hash) else { continue };
            let (others, mut count) = swept.sweep(&folder);
            if remove_left(&folder, OsStr::new(folder::FOLDER), false) == Ok(true) {
                self.root.remove_if_empty(&hash);
            }
            for number in others {
                if !number.as_bytes().iter().all(u8::is_ascii_digit) {
                    continue;
                }
                if let Ok(Some(numbered)) = folder.subfolder(&number) {
                    let (_, more) = swept.sweep(&numbered);
                    if more > 0 {
                        folder.remove_if_empty(&number);
                    }
                    count += more;
                }
            }
            if count > 0 {
                self.root.remove_if_empty(&hash);
                swept.removed.insert(hash, count);
            }
        }
        swept
    }

    /// Whether the folder's path leads to the folder that was opened. Links on the way there may lead elsewhere by now.
    pub fn check_in_place(&self) -> Result<(), Error> {
        let path = self.root.path();
        let there = Folder::open(path).and_then(|there| there.is_same(&self.root));
        match there {
            Ok(true) => Ok(()),
            Err(Error::Io { source, .. }) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { action: "looking at", path: path.to_owned(), source })
            }
            _ => Err(Error::Moved { path: path.to_owned() }),
        }
    }

    /// As [`find`], in this staging folder.
    pub fn existing(&self, place: &Place<'_>, size: u64) -> Result<Option<Staged>, Error> {
        find(&self.root, place, size)
    }

    /// As [`find_shorter`], in this staging folder.
    pub fn shorter(&self, place: &Place<'_>, size: u64) -> Result<Option<Staged>, Error> {
        find_shorter(&self.root, place, size)
    }

    /// Begins to write an image of `size` bytes: room first, then folders, then the partial file.
    pub fn begin(&self, place: &Place<'_>, size: u64, room: Room) -> Result<Keep, Error> {
        let name = folder::check_name(place.name)?;
        let hash = folder::check_name(place.hash.as_bytes())?;
        let wanted = match room {
            Room::Whole => size,
            Room::Data(bytes) => bytes,
        };
        let mut tries = 0;
        loop {
            tries += 1;
            let reservation = self
                .budget
                .try_reserve(wanted)
                .map_err(|refusal| keep::refused(&self.root, Takes::AtMost(wanted), refusal))?;
            let keep = self
                .make_folders(place, hash)
                .and_then(|folders| Keep::create(folders, self.partial_name(), name, size, room, reservation));
            match keep {
                // Others remove folders that are empty.
                Err(error) if tries < MAKE_TRIES && is_gone(&error) => {}
                Ok(keep) => return Ok(keep),
                Err(error) => {
                    if let (Some(number), Ok(Some(folder))) = (place.number(), self.root.subfolder(hash)) {
                        folder.remove_if_empty(&number);
                    }
                    self.root.remove_if_empty(hash);
                    return Err(error);
                }
            }
        }
    }

    /// The error of an image that takes so much, for which there is no room now.
    #[must_use]
    pub fn no_room(&self, takes: Takes) -> Error {
        let (Takes::AtMost(wanted) | Takes::MoreThan(wanted)) = takes;
        let refusal = self.budget.check(wanted.saturating_add(u64::from(takes == Takes::MoreThan(wanted))));
        // What was freed since is for the next one to try.
        keep::refused(&self.root, takes, refusal.err().unwrap_or(Refusal::NotNow { available: wanted }))
    }

    fn make_folders(&self, place: &Place<'_>, hash: &OsStr) -> Result<Vec<Folder>, Error> {
        let mut folders = vec![self.root.try_clone()?, self.root.make_subfolder(hash)?];
        if let Some(number) = place.number() {
            let numbered = folders[1].make_subfolder(&number)?;
            folders.push(numbered);
        }
        Ok(folders)
    }

    /// The folder of `hash`, for messages.
    #[must_use]
    pub fn destination(&self, hash: &OsStr) -> PathBuf {
        self.root.join(hash)
    }
}

/// The lock on the folder of an archive.
pub struct ArchiveLock<'a> {
    root: &'a Folder,
    hash: OsString,
    lock: Option<Lock>,
}

impl Drop for ArchiveLock<'_> {
    fn drop(&mut self) {
        // A folder in which nothing is kept is not left behind.
        drop(self.lock.take());
        self.root.remove_if_empty(&self.hash);
    }
}

/// Begins to write a file of `size` bytes at `path`, wherever that is, as images are written to staging: nothing is replaced,
/// and no half file is seen under its name. Room is taken as it is needed, and no minimum stays free.
pub fn create(path: &Path, size: u64) -> Result<Keep, Error> {
    let name = file_name(path.file_name().unwrap_or_default().as_bytes())?;
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let folder = Folder::open(parent)?;
    if folder.look(name).map_err(folder::failed("looking at", path))?.is_some() {
        return Err(Error::Exists { path: path.to_owned() });
    }
    create_in(folder, name, size, true)
}

/// The same in `folder`; `may_be_unnamed`, in a file that has no name until it is whole, and that the kernel removes with the
/// process, where the file system has such files.
fn create_in(folder: Folder, name: &OsStr, size: u64, may_be_unnamed: bool) -> Result<Keep, Error> {
    let budget = Budget::new(Arc::new(folder.try_clone()?), MinFree::Bytes(Size(0)));
    let reservation = budget.try_reserve(0).map_err(|refusal| keep::refused(&folder, Takes::AtMost(size), refusal))?;
    sweep_left(&folder, name);
    if may_be_unnamed && let Some(file) = folder.create_unnamed() {
        return Keep::of(vec![folder], file, None, name, size, Room::Data(0), reservation);
    }
    let (file, partial) = create_named(&folder, name)?;
    Keep::of(vec![folder], file, Some(partial), name, size, Room::Data(0), reservation)
}

/// Files of the same name that processes may write at a time.
const AT_A_TIME: u32 = 100;

/// The partials of the file `name`. Not names that staging sweeps: nobody holds its lock here.
fn partials_of(name: &OsStr) -> impl Iterator<Item = OsString> {
    let digest = Sha256::digest(name.as_bytes());
    let digest = digest.iter().take(8).fold(0_u64, |digest, &byte| digest << 8 | u64::from(byte));
    (0..AT_A_TIME).map(move |number| format!(".imgsieve-{digest:016x}-{number}.extract.partial").into())
}

/// Removes partials of the file `name` that killed processes left. What cannot be removed is in nobody's way.
fn sweep_left(folder: &Folder, name: &OsStr) {
    let mut has_local_locks = None;
    for partial in partials_of(name) {
        if matches!(folder.look(&partial), Ok(Some(_))) {
            let has_local_locks = *has_local_locks.get_or_insert_with(|| mounts::local_locks(folder.path()).is_some());
            let _ = remove_left(folder, &partial, has_local_locks);
        }
    }
}

/// A partial of the file `name`, locked while it is written.
fn create_named(folder: &Folder, name: &OsStr) -> Result<(File, OsString), Error> {
    for partial in partials_of(name) {
        match folder.create(&partial) {
            Ok(file) if lock::lock_new(folder, &file, &partial) => return Ok((file, partial)),
            Ok(_) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(folder::failed("creating", &folder.join(&partial))(errno)),
        }
    }
    Err(Error::Exists { path: folder.join(&partials_of(name).next().unwrap_or_default()) })
}

/// `name`, which is untrusted, as that of a file.
pub fn file_name(name: &[u8]) -> Result<&OsStr, Error> {
    folder::check_name(name)
}

impl Place<'_> {
    /// Whether hash and name can be those of a folder and a file.
    pub fn check(&self) -> Result<(), Error> {
        folder::check_name(self.hash.as_bytes()).and(folder::check_name(self.name)).map(|_| ())
    }

    /// The folder in `root`, the staging folder, that the image lies in; none where there is no such folder.
    pub fn folder_in(&self, root: &Folder) -> Result<Option<Folder>, Error> {
        self.check()?;
        match (root.subfolder(self.hash)?, self.number()) {
            (Some(folder), Some(number)) => folder.subfolder(&number),
            (folder, _) => Ok(folder),
        }
    }

    /// The image's path, where `root` is the staging folder.
    pub fn path_in(&self, root: &Path) -> Result<PathBuf, Error> {
        self.check()?;
        let mut path = root.join(self.hash);
        path.extend(self.number());
        path.push(OsStr::from_bytes(self.name));
        Ok(path)
    }

    /// Whether `path` is the image's path where `root` is the staging folder, by whatever name it goes.
    #[must_use]
    pub fn is_at(&self, root: &Path, path: &Path) -> bool {
        let Ok(own) = self.path_in(Path::new("")) else { return false };
        let mut folder = path;
        for component in own.iter().rev() {
            match (folder.file_name(), folder.parent()) {
                (Some(name), Some(parent)) if name == component => folder = parent,
                _ => return false,
            }
        }
        folder == root || folder.canonicalize().is_ok_and(|folder| root.canonicalize().is_ok_and(|root| root == folder))
    }

    fn number(&self) -> Option<OsString> {
        (self.ordinal > 1).then(|| self.ordinal.to_string().into())
    }
}

/// A complete image that an earlier run left in this place of the staging folder `root`, of exactly `size` bytes. A file of
/// another size there, or no file, is [`Error::InTheWay`].
pub fn find(root: &Folder, place: &Place<'_>, size: u64) -> Result<Option<Staged>, Error> {
    let name = folder::check_name(place.name)?;
    let Some(folder) = place.folder_in(root)? else { return Ok(None) };
    match found_in(&folder, name)? {
        None => Ok(None),
        Some((Found::File { length, .. }, Some(staged))) if length == size => Ok(Some(staged)),
        Some(_) => Err(keep::in_the_way(&folder, name, size)),
    }
}

/// A file in this place that is shorter than an image of `size` bytes, as one is that was staged as far as it goes.
pub fn find_shorter(root: &Folder, place: &Place<'_>, size: u64) -> Result<Option<Staged>, Error> {
    let name = folder::check_name(place.name)?;
    let Some(folder) = place.folder_in(root)? else { return Ok(None) };
    Ok(match found_in(&folder, name)? {
        Some((Found::File { length, .. }, staged)) if (1..size).contains(&length) => staged,
        _ => None,
    })
}

/// What stands under a name, opened if it is a file.
fn found_in(folder: &Folder, name: &OsStr) -> Result<Option<(Found, Option<Staged>)>, Error> {
    let path = folder.join(name);
    let Some(found) = folder.look(name).map_err(folder::failed("looking at", &path))? else { return Ok(None) };
    let staged = match found {
        Found::File { allocated, .. } => {
            let file = folder.open_file(name).map_err(folder::failed("opening", &path))?;
            Some(Staged { path, bytes_written: 0, allocated, file })
        }
        _ => None,
    };
    Ok(Some((found, staged)))
}

/// Space where `path` is, or would be made: of the nearest folder above it that exists.
#[must_use]
pub fn space_at(path: &Path) -> Option<Space> {
    let path = std::path::absolute(path).ok()?;
    let folder = path.ancestors().find_map(|folder| Folder::open(folder).ok())?;
    folder.space().ok()
}

impl Swept {
    /// Removes the partials in one folder; gives the other names in it, and how many were removed.
    fn sweep(&mut self, folder: &Folder) -> (Vec<OsString>, u64) {
        let names = folder.names().unwrap_or_else(|error| {
            // The folder may be by now.
            if !is_gone(&error) {
                self.failure.get_or_insert(error);
            }
            Vec::new()
        });
        let (partials, others): (Vec<_>, Vec<_>) = names.into_iter().partition(|name| is_partial(name.as_bytes()));
        let mut count = 0;
        for name in partials {
            match remove_left(folder, &name, self.has_local_locks) {
                Ok(is_removed) => count += u64::from(is_removed),
                Err(errno) => {
                    self.failure.get_or_insert(folder::failed("removing", &folder.join(&name))(errno));
                }
            }
        }
        (others, count)
    }
}

/// Locks the staging folder: by its handle, for the runs of this machine, and where others may use it, by a file in it, which
/// gives the lock.
fn lock_folder(root: &Folder, sharing: Sharing, is_seen_by_others: bool) -> Result<Option<Lock>, Error> {
    let path = root.path();
    match flock(root.handle(), sharing.operation()) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(Error::Locked { path: path.to_owned() }),
        Err(errno) => return Err(folder::failed("locking", path)(errno)),
    }
    if !is_seen_by_others {
        return Ok(None);
    }
    match Lock::take(root, folder::FOLDER, sharing) {
        Ok(None) => Err(Error::Locked { path: path.to_owned() }),
        // Where nothing can be written, that is what is told.
        Err(Error::Io { action: "opening", source, .. }) => {
            Err(Error::Io { action: "writing to", path: path.to_owned(), source })
        }
        taken => taken,
    }
}

/// Whether something was removed by others meanwhile.
fn is_gone(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
}

/// Removes the file `name` unless somebody holds a lock on it, or may do so on another machine. Whether it was removed.
fn remove_left(folder: &Folder, name: &OsStr, has_local_locks: bool) -> Result<bool, Errno> {
    let remove = || match folder.remove(name) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT | Errno::STALE) => Ok(false),
        Err(errno) => Err(errno),
    };
    let file = match folder.open_locked(name) {
        Ok(file) => file,
        // A link, or what else nobody writes to.
        Err(Errno::LOOP | Errno::NXIO) => return remove(),
        // Its run gave it its name, or removed it, since the folder was listed.
        Err(Errno::NOENT | Errno::STALE) => return Ok(false),
        Err(errno) => return Err(errno),
    };
    let Ok(metadata) = file.metadata() else { return Ok(false) };
    let age = metadata.modified().ok().and_then(|time| SystemTime::now().duration_since(time).ok());
    let may_be_others = has_local_locks && age.unwrap_or_default() < LEFT_AFTER;
    let is_left = metadata.is_file() && flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
    if !is_left || may_be_others || !folder.is_at(&file, name) {
        return Ok(false);
    }
    remove()
}

fn is_partial(name: &[u8]) -> bool {
    let middle = name.strip_prefix(PARTIAL_PREFIX).and_then(|rest| rest.strip_suffix(PARTIAL_SUFFIX));
    let number = middle.map(|middle| match middle.split_at_checked(17) {
        Some((run, number)) if run.ends_with(b"-") && run[..16].iter().all(u8::is_ascii_hexdigit) => number,
        _ => middle,
    });
    number.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests;
