//! One image on its way into staging: written under a name of ours, given its real name only when it is whole.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::time::Instant;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::budget::{Refusal, Reservation};
use super::error::{Error, Takes};
use super::folder::{Folder, Found, failed};
use super::gate::{FRESH, Gate, NEAR};
use super::lock;

/// Zeros are looked for in blocks of this size, at multiples of it: the block of most file systems.
const BLOCK: usize = 4096;
static ZEROS: [u8; BLOCK] = [0; BLOCK];
/// Most that is written at a time.
const PIECE: usize = 4 << 20;
/// Data written between two looks at the minimum of free space.
const CHECK_EVERY: u64 = PIECE as u64;
/// Least that a keep asks for at a time where more data come than it has reserved.
const GROW_BY: u64 = 4 << 20;

/// How room is found for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Room {
    /// The whole size is reserved before the first byte is written.
    Whole,
    /// Room is reserved for so many bytes of data, and for more as they come; none for holes.
    Data(u64),
}

/// Counts the room that an image takes, as it would be written.
#[derive(Debug, Default)]
pub struct Measure {
    position: u64,
    data_end: u64,
    takes: u64,
}

impl Measure {
    /// As [`Keep::data`].
    pub fn data(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (zeros, length) = next_run(rest, self.position);
            if !zeros {
                self.takes = self.takes.saturating_add(blocks(self.data_end, self.position, length as u64));
                self.data_end = self.position.saturating_add(length as u64);
            }
            self.hole(length as u64);
            rest = &rest[length..];
        }
    }

    /// As [`Keep::hole`].
    pub fn hole(&mut self, length: u64) {
        self.position = self.position.saturating_add(length);
    }

    /// Bytes of room for what there was so far.
    #[must_use]
    pub fn takes(&self) -> u64 {
        self.takes
    }
}

/// An image that is being written. Dropped before [`Keep::finish`], it leaves nothing behind.
pub struct Keep {
    /// Staging, the hash's folder, and the numbered folder in it where there is one: the last holds the file.
    folders: Vec<Folder>,
    /// The name that the file has until it is whole; none where it has none.
    partial: Option<OsString>,
    name: OsString,
    file: File,
    room: Room,
    reservation: Reservation,
    size: u64,
    position: u64,
    written: u64,
    /// Where the data that was written last end.
    data_end: u64,
    next_check: u64,
    /// When free space was last seen to be [`NEAR`] above the minimum or more; none where it was not.
    seen_free: Option<Instant>,
    finished: bool,
}

/// An image that is whole, synced, and has its name.
pub struct Staged {
    /// Where it is.
    pub path: PathBuf,
    /// Data bytes that were written; the rest are holes.
    pub bytes_written: u64,
    /// Room it takes on the disk, in bytes.
    pub allocated: u64,
    /// The file, for those who want to read on in it.
    pub file: File,
}

impl Keep {
    pub(super) fn create(
        folders: Vec<Folder>,
        partial: OsString,
        name: &OsStr,
        size: u64,
        room: Room,
        reservation: Reservation,
    ) -> Result<Keep, Error> {
        let folder = folders.last().expect("staging and the hash's folder");
        let failure = |source, action| failed_in(folder, source, action, &partial);
        let file = folder.create(&partial).map_err(|errno| failure(errno.into(), "creating"))?;
        if !lock::lock_new(folder, &file, &partial) {
            return Err(failure(io::ErrorKind::NotFound.into(), "locking"));
        }
        Keep::of(folders, file, Some(partial), name, size, room, reservation)
    }

    /// To be written to `file`, which was created in the last of the folders as `partial`, or without a name.
    pub(super) fn of(
        folders: Vec<Folder>,
        file: File,
        partial: Option<OsString>,
        name: &OsStr,
        size: u64,
        room: Room,
        reservation: Reservation,
    ) -> Result<Keep, Error> {
        let folder = folders.last().expect("staging and the hash's folder");
        // At once, and all that is written is written into a hole: XFS allocates ahead of a file that grows, and free space
        // would fall by far more than the image takes.
        if let Err(source) = file.set_len(size) {
            if let Some(partial) = &partial {
                let _ = folder.remove(partial);
            }
            return Err(failed_in(folder, source, "setting the length of", partial.as_deref().unwrap_or(name)));
        }
        Ok(Keep {
            folders,
            partial,
            name: name.to_owned(),
            file,
            room,
            reservation,
            size,
            position: 0,
            written: 0,
            data_end: 0,
            next_check: CHECK_EVERY,
            seen_free: None,
            finished: false,
        })
    }

    fn folder(&self) -> &Folder {
        self.folders.last().expect("staging and the hash's folder")
    }

    fn partial_path(&self) -> PathBuf {
        self.folder().join(self.partial.as_ref().unwrap_or(&self.name))
    }

    /// Appends `bytes`; runs of zeros become holes.
    pub fn data(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (zeros, length) = next_run(rest, self.position);
            let (run, after) = rest.split_at(length);
            if zeros {
                self.hole(length as u64)?;
            } else {
                self.write(run)?;
            }
            rest = after;
        }
        Ok(())
    }

    /// Appends `length` zeros, which take no room.
    pub fn hole(&mut self, length: u64) -> Result<(), Error> {
        self.advance(length)?;
        if self.room == Room::Whole {
            self.reservation.release(length);
        }
        Ok(())
    }

    fn advance(&mut self, length: u64) -> Result<(), Error> {
        match self.position.checked_add(length) {
            Some(position) if position <= self.size => {
                self.position = position;
                Ok(())
            }
            _ => Err(self.length_error(self.position.saturating_add(length))),
        }
    }

    fn write(&mut self, run: &[u8]) -> Result<(), Error> {
        run.chunks(PIECE).try_for_each(|piece| self.write_piece(piece))
    }

    fn write_piece(&mut self, piece: &[u8]) -> Result<(), Error> {
        let length = piece.len() as u64;
        let offset = self.position;
        self.advance(length)?;
        if self.room != Room::Whole && self.reservation.left() < length {
            let wanted = length.max(GROW_BY.min(self.size - offset));
            self.reservation.try_grow(wanted).map_err(|refusal| self.outgrown(refusal))?;
        }
        if let Some(gate) = self.reservation.budget().gate().cloned() {
            return self.write_shared(&gate, piece, offset);
        }
        self.put(piece, offset)?;
        if self.written >= self.next_check {
            self.next_check = self.written + CHECK_EVERY;
            self.above_minimum()?;
        }
        Ok(())
    }

    /// Writes where other runs write, too: near the minimum, when none of them does.
    fn write_shared(&mut self, gate: &Gate, piece: &[u8], offset: u64) -> Result<(), Error> {
        let length = piece.len() as u64;
        let is_known =
            self.seen_free.is_some_and(|at| at.elapsed() < FRESH) && self.written + length <= self.next_check;
        if !is_known && (self.seen_free.is_some() || self.written == 0) {
            self.look()?;
            if self.seen_free.is_none() {
                self.have_counted(gate)?;
            }
        }
        if self.seen_free.is_some() {
            return self.put(piece, offset);
        }
        gate.pass(|| {
            let above = self.look()?;
            if blocks(self.data_end, offset, length) > above {
                let available = self.written.saturating_add(above);
                let takes = Takes::MoreThan(available);
                return Err(Error::NoSpace { path: self.folder().path().to_owned(), takes, available });
            }
            self.put(piece, offset)?;
            self.have_counted(gate)
        })
    }

    /// Has the file system count what was written, where it does not by itself.
    fn have_counted(&self, gate: &Gate) -> Result<(), Error> {
        if gate.is_remote() { self.file.sync_data().map_err(|source| self.failed(source, "syncing")) } else { Ok(()) }
    }

    /// Looks how far free space is above the minimum.
    fn look(&mut self) -> Result<u64, Error> {
        let above = self.above_minimum()?;
        self.seen_free = (above >= NEAR).then(Instant::now);
        self.next_check = self.written + CHECK_EVERY;
        Ok(above)
    }

    fn put(&mut self, piece: &[u8], offset: u64) -> Result<(), Error> {
        self.file.write_all_at(piece, offset).map_err(|source| self.failed(source, "writing"))?;
        self.reservation.spend(piece.len() as u64);
        self.written += piece.len() as u64;
        self.data_end = offset + piece.len() as u64;
        Ok(())
    }

    /// The image needs more than there is for it.
    fn outgrown(&self, refusal: Refusal) -> Error {
        let so_far = self.written + self.reservation.left();
        let (Refusal::NotNow { available: more } | Refusal::Most { left: more }) = refusal else {
            return refused(self.folder(), Takes::MoreThan(so_far), refusal);
        };
        let most = so_far.saturating_add(more);
        let refusal = match refusal {
            Refusal::NotNow { .. } => Refusal::NotNow { available: most },
            _ => Refusal::Most { left: most },
        };
        refused(self.folder(), Takes::MoreThan(most), refusal)
    }

    fn failed(&self, source: io::Error, action: &'static str) -> Error {
        failed_in(self.folder(), source, action, self.partial.as_ref().unwrap_or(&self.name))
    }

    /// How far free space is above the minimum; below it, nothing more is written.
    fn above_minimum(&self) -> Result<u64, Error> {
        let path = || self.folder().path().to_owned();
        match self.reservation.budget().above_minimum() {
            Ok(Ok(above)) => Ok(above),
            Ok(Err(missing)) => Err(Error::LowSpace { path: path(), missing }),
            Err(source) => Err(Error::Io { action: "asking for the free space of", path: path(), source }),
        }
    }

    /// Bytes of the image that were appended.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Bytes that there are for the image now: what was written of it, and what may be.
    #[must_use]
    pub fn room(&self) -> u64 {
        self.written.saturating_add(self.reservation.room().unwrap_or(0))
    }

    /// The same as [`Keep::finish`] where no more of the image comes: the file is as long as what was appended.
    pub fn finish_short(mut self) -> Result<Staged, Error> {
        self.size = self.position;
        self.file.set_len(self.size).map_err(|source| self.failed(source, "setting the length of"))?;
        self.finish()
    }

    /// Fails where a folder in staging is not where it was made: the image would not be where it is told to be.
    fn check_in_place(&self) -> Result<(), Error> {
        for pair in self.folders.windows(2) {
            let path = pair[1].path();
            if !path.file_name().is_some_and(|name| pair[0].is_at(pair[1].handle(), name)) {
                return Err(Error::Moved { path: path.to_owned() });
            }
        }
        Ok(())
    }

    fn length_error(&self, written: u64) -> Error {
        Error::Length { path: self.partial_path(), written, expected: self.size }
    }

    /// Checks the length, has everything reach the disk, and gives the file its name.
    pub fn finish(mut self) -> Result<Staged, Error> {
        if self.position != self.size {
            return Err(self.length_error(self.position));
        }
        let failure = |source| self.failed(source, "syncing");
        self.file.sync_all().map_err(failure)?;
        let metadata = self.file.metadata().map_err(failure)?;
        let file = self.file.try_clone().map_err(failure)?;
        self.check_in_place()?;
        let path = self.folder().join(&self.name);
        match self.folder().link_new(&self.file, self.partial.as_deref(), &self.name) {
            Ok(()) => {
                self.finished = true;
                self.reservation.keep();
                // It is nobody's partial any more.
                let _ = flock(&self.file, FlockOperation::Unlock);
            }
            Err(Errno::EXIST) => return Err(in_the_way(self.folder(), &self.name, self.size)),
            Err(Errno::STALE) => return Err(Error::Lost { path: self.partial_path() }),
            Err(errno) => return Err(failed("naming", &path)(errno)),
        }
        for folder in self.folders.iter().rev() {
            folder.sync()?;
        }
        Ok(Staged { path, bytes_written: self.written, allocated: metadata.blocks() * 512, file })
    }
}

impl Drop for Keep {
    fn drop(&mut self) {
        if self.finished {
            return;
        }
        // Nothing can be done about a failure here; the next run sweeps partials.
        if let Some(partial) = &self.partial {
            let _ = self.folder().remove(partial);
        }
        for pair in self.folders.windows(2).rev() {
            if let Some(name) = pair[1].path().file_name() {
                pair[0].remove_if_empty(name);
            }
        }
    }
}

/// Bytes of the blocks that writing so many bytes at `offset` takes; the block in which the data written last end is there.
fn blocks(data_end: u64, offset: u64, length: u64) -> u64 {
    const BLOCK: u64 = self::BLOCK as u64;
    let begin = if offset == data_end { offset.div_ceil(BLOCK) } else { offset / BLOCK };
    let end = offset.saturating_add(length).div_ceil(BLOCK);
    end.saturating_sub(begin).saturating_mul(BLOCK)
}

/// Whether `bytes`, which lie at `position` of the file, begin with zeros, and how far that holds. Only whole blocks
/// and the two ends of the piece are told apart.
fn next_run(bytes: &[u8], position: u64) -> (bool, usize) {
    let into_block = usize::try_from(position % BLOCK as u64).expect("less than BLOCK");
    let mut length = (BLOCK - into_block).min(bytes.len());
    let zeros = is_zero(&bytes[..length]);
    for block in bytes[length..].chunks(BLOCK) {
        if is_zero(block) != zeros {
            break;
        }
        length += block.len();
    }
    (zeros, length)
}

fn is_zero(block: &[u8]) -> bool {
    *block == ZEROS[..block.len()]
}

fn failed_in(folder: &Folder, source: io::Error, action: &'static str, name: &OsStr) -> Error {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::Full { path: folder.path().to_owned(), source }
        }
        _ => Error::Io { action, path: folder.join(name), source },
    }
}

/// The error of an image that takes so much, and was refused it.
pub(super) fn refused(folder: &Folder, takes: Takes, refusal: Refusal) -> Error {
    let path = folder.path().to_owned();
    match refusal {
        Refusal::NotNow { available } => Error::NoSpace { path, takes, available },
        Refusal::Most { left } => Error::MaxStaged { takes, left },
        Refusal::Unknown(source) => Error::Io { action: "asking for the free space of", path, source },
    }
}

pub(super) fn in_the_way(folder: &Folder, name: &OsStr, expected: u64) -> Error {
    let found = match folder.look(name) {
        Ok(Some(Found::File { length, .. })) => format!("a file of {length} bytes"),
        Ok(Some(Found::Folder)) => "a folder".to_owned(),
        _ => "something that is not a regular file".to_owned(),
    };
    Error::InTheWay { path: folder.join(name), found, expected }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_where_blocks_of_zeros_begin_or_end() {
        let mut bytes = vec![0; 4 * BLOCK];
        bytes[BLOCK + 5] = 1;
        assert_eq!(next_run(&bytes, 0), (true, BLOCK));
        assert_eq!(next_run(&bytes[BLOCK..], BLOCK as u64), (false, BLOCK));
        assert_eq!(next_run(&bytes[2 * BLOCK..], 2 * BLOCK as u64), (true, 2 * BLOCK));
    }

    #[test]
    fn pieces_need_not_be_aligned() {
        let mut bytes = vec![0; 3 * BLOCK];
        bytes[0] = 1;
        assert_eq!(next_run(&bytes[..100], 4000), (false, 96));
        assert_eq!(next_run(&bytes[1..BLOCK], 1), (true, BLOCK - 1));
    }
}
