//! The image as the parsers see it: checked reads in front of a [`ReadAt`], and a head window read once.

use std::borrow::Cow;
use std::cell::{Cell, OnceCell, RefCell};
use std::io;
use std::ops::Range;

use positioned_io::ReadAt;

use super::error::Error;
use super::label::Label;
use super::mbr_sector::FirstSector;
use super::rejection::{Rejected, Rejection};

/// Bytes read at once from the start of the image: the header and 16 KiB entry array of a GPT with 512- and
/// 4096-byte sectors, and everything that other tables keep at the start.
const HEAD_BYTES: u64 = 24 * 1024;
/// Bytes read at once from its end: the same for a backup GPT.
const TAIL_BYTES: u64 = 24 * 1024;

/// One image under examination.
pub(super) struct View<'a> {
    image: &'a dyn ReadAt,
    size: u64,
    /// As much of the head window as could be read; what lies behind is asked for when it is needed.
    head: Vec<u8>,
    /// The end of the image, once it was asked for: a backup GPT lies behind its entry array, and both are wanted.
    tail: OnceCell<Vec<u8>>,
    consulted: RefCell<Vec<Range<u64>>>,
    first_sector: OnceCell<FirstSector>,
    rejected: RefCell<Vec<Rejected>>,
    enough: Option<u32>,
    /// Bytes of long structures that were asked for.
    spent: Cell<u64>,
}

/// Partitions that make an image multi, where the caller named no number.
const MULTI: u32 = 2;

impl<'a> View<'a> {
    pub(super) fn new(image: &'a dyn ReadAt, size: u64, enough: Option<u32>) -> Self {
        let wanted = usize::try_from(size.min(HEAD_BYTES)).unwrap_or(0);
        let mut head = vec![0; wanted];
        let read = read_prefix(image, 0, &mut head).0;
        head.truncate(read);
        Self {
            image,
            size,
            head,
            tail: OnceCell::new(),
            consulted: RefCell::default(),
            first_sector: OnceCell::new(),
            rejected: RefCell::default(),
            enough,
            spent: Cell::new(0),
        }
    }

    pub(super) fn image(&self) -> &'a dyn ReadAt {
        self.image
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Whether reading may stop at `count` partitions.
    pub(super) fn may_stop_at(&self, count: u32) -> bool {
        self.enough.is_some_and(|enough| count >= enough)
    }

    /// Whether `count` partitions settle the verdict, so that what cannot be read any more does not change it.
    pub(super) fn settles(&self, count: u32) -> bool {
        count >= self.enough.unwrap_or(MULTI)
    }

    /// Whether so many bytes of long structures may be read besides those before them, up to `limit` of one image.
    pub(super) fn may_spend(&self, bytes: u64, limit: u64) -> bool {
        let spent = self.spent.get().saturating_add(bytes);
        let may = spent <= limit;
        if may {
            self.spent.set(spent);
        }
        may
    }

    /// Reads the end of the image in one go. What cannot be read is asked for again when it is needed.
    pub(super) fn load_tail(&self) {
        self.tail.get_or_init(|| {
            let len = self.size.min(TAIL_BYTES);
            let mut tail = vec![0; usize::try_from(len).unwrap_or(0)];
            match read_prefix(self.image, self.size - len, &mut tail) {
                (_, None) => tail,
                (_, Some(_)) => Vec::new(),
            }
        });
    }

    /// The last `len` bytes of the image, or all of it where it is shorter; `None` where its end was not asked for.
    pub(super) fn loaded_end(&self, len: usize) -> Option<&[u8]> {
        self.tail.get().map(|tail| tail.get(tail.len().saturating_sub(len)..).unwrap_or_default())
    }

    /// `len` bytes at `offset`, on which the verdict then rests; `None` where the image ends before them.
    pub(super) fn read(&self, offset: u64, len: usize) -> Result<Option<Cow<'_, [u8]>>, Error> {
        if let Some(end) = self.end_inside(offset, len) {
            self.note(offset..end);
        }
        self.peek(offset, len)
    }

    /// [`View::read`] of bytes on which no verdict rests.
    pub(super) fn peek(&self, offset: u64, len: usize) -> Result<Option<Cow<'_, [u8]>>, Error> {
        if self.end_inside(offset, len).is_none() {
            return Ok(None);
        }
        let tail = self.tail.get().map_or(&[][..], Vec::as_slice);
        let tail_at = self.size - tail.len() as u64;
        for (window, window_at) in [(self.head.as_slice(), 0), (tail, tail_at)] {
            let at = offset.checked_sub(window_at).and_then(|at| usize::try_from(at).ok());
            if let Some(bytes) = at.and_then(|at| window.get(at..at.checked_add(len)?)) {
                return Ok(Some(Cow::Borrowed(bytes)));
            }
        }
        // What the head window has of it is not read again, so that reading goes forward.
        let head = usize::try_from(offset).ok().and_then(|at| self.head.get(at..)).unwrap_or_default();
        let mut bytes = head.to_vec();
        bytes.resize(len, 0);
        let (_, rest) = bytes.split_at_mut_checked(head.len()).unwrap_or_default();
        let rest_at = offset.saturating_add(head.len() as u64);
        match read_prefix(self.image, rest_at, rest) {
            (_, None) => Ok(Some(Cow::Owned(bytes))),
            (read, Some(source)) => {
                Err(Error::Io { offset: rest_at.saturating_add(read as u64), source, partial: None })
            }
        }
    }

    /// What LBA 0 is, as `classify` said when it was first asked: what it weighs may lie deep in the image.
    pub(super) fn first_sector(
        &self,
        classify: impl FnOnce() -> Result<FirstSector, Error>,
    ) -> Result<&FirstSector, Error> {
        match self.first_sector.get() {
            Some(known) => Ok(known),
            None => classify().map(|found| self.first_sector.get_or_init(|| found)),
        }
    }

    /// Notes entries of an MBR that are none, beside others that are a table.
    pub(super) fn note_rejected(&self, rejection: Rejection) {
        self.rejected.borrow_mut().push(Rejected::new(Label::Dos, rejection));
    }

    fn end_inside(&self, offset: u64, len: usize) -> Option<u64> {
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        (end <= self.size).then_some(end)
    }

    /// Takes note of bytes on which the verdict rests.
    pub(super) fn note(&self, range: Range<u64>) {
        let mut consulted = self.consulted.borrow_mut();
        if consulted.last() != Some(&range) {
            consulted.push(range);
        }
    }

    /// What was read so far and looked at, in the order in which that was done; the rest of the windows is not in it.
    /// And what was [noted](View::note_rejected) as rejected.
    pub(super) fn into_noted(self) -> (Vec<Range<u64>>, Vec<Rejected>) {
        (self.consulted.into_inner(), self.rejected.into_inner())
    }
}

/// Fills `buf` from `offset` on: the bytes read, and the error that ended the reading before its end.
pub(super) fn read_prefix(image: &dyn ReadAt, offset: u64, buf: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match image.read_at(offset.saturating_add(done as u64), rest) {
            Ok(0) => {
                let source = io::Error::new(io::ErrorKind::UnexpectedEof, "the image ends before its stated size");
                return (done, Some(source));
            }
            Ok(read) => done = done.saturating_add(read).min(buf.len()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Some(error)),
        }
    }
    (done, None)
}

#[cfg(test)]
mod tests {
    use super::super::testdisk::{Disk, Reader};
    use super::*;

    #[test]
    fn a_read_that_starts_in_the_head_window_goes_on_from_its_end() {
        let size = 100_000;
        let reader = Reader::new(Disk::new(size).put(30_000, b"x"), 0..0);
        let view = View::new(&reader, size as u64, None);
        let bytes = view.read(0, 50_000).unwrap().unwrap();
        assert_eq!((bytes.len(), bytes[30_000]), (50_000, b'x'));
        let head = usize::try_from(HEAD_BYTES).unwrap();
        assert_eq!(*reader.reads.lock().unwrap(), [(0, head), (HEAD_BYTES, 50_000 - head)]);
    }

    #[test]
    fn an_error_in_the_head_window_is_reported_where_it_is_needed() {
        let reader = Reader::new(Disk::new(100_000), 9000..9001);
        let view = View::new(&reader, 100_000, None);
        assert!(view.read(8488, 512).is_ok());
        assert!(matches!(view.read(8704, 512), Err(Error::Io { offset: 9000, .. })));
        assert!(matches!(view.read(99_999, 2), Ok(None)));
        assert!(matches!(view.read(u64::MAX, 2), Ok(None)));
        assert_eq!(view.into_noted().0, [8488..9000, 8704..9216]);
    }
}
