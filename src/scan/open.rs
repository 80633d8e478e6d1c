//! Images that were found and have no verdict yet, each with what its verdict waits for.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;

use crate::cause::Cause;
use crate::event::{Action, Image};
use crate::finding::Finding;
use crate::member::{Content, Member};

/// Images that may wait for one thing, other than room; past that the oldest waits no longer.
const MAX_WAITING: usize = 1024;
/// Memory that images may take that wait for one thing, in bytes, as far as it grows with what the archive says.
const MAX_MEMORY: usize = 64 << 20;

/// What a verdict waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wait {
    /// Of an image that is staged: the end of the frames that it came from.
    FrameEnd,
    /// Of one that would be kept: the member behind it, which may be its rescue map.
    NextMember,
    /// Of one with fewer partitions than are kept: the last rescue map of its name, which may be the archive's last member.
    LastMap,
    /// Of one that is to be kept: room in staging.
    Room,
}

/// An image without a verdict.
pub(super) struct OpenImage {
    /// Place among the images of the archive, from 1.
    number: u64,
    pub image: Image,
    /// Where its bytes are in the archive.
    pub content: Content,
    /// What was found in it; none before it was looked at.
    pub finding: Option<Finding>,
    /// Where its data lie in the archive.
    pub data: Range<u64>,
    /// What was done with it, if anything was.
    pub done: Option<Action>,
    /// Why the archive has less of it than its header says.
    pub cut: Option<Cause>,
    /// Why there was no room for it, if it was tried.
    pub no_room: Option<NoRoom>,
}

/// Why there was no room for an image.
#[derive(Clone)]
pub(super) struct NoRoom {
    pub cause: Cause,
    /// Bytes there were for it, all of which it took, and more; none where none of it was written.
    pub had: Option<u64>,
}

impl From<Cause> for NoRoom {
    fn from(cause: Cause) -> NoRoom {
        NoRoom { cause, had: None }
    }
}

impl OpenImage {
    /// Bytes of memory that grow with what the archive says.
    fn memory(&self) -> usize {
        self.content.memory() + self.finding.as_ref().map_or(0, Finding::memory)
    }
}

/// The images of an archive that have no verdict yet. One of them is in hand; the others wait. What is neither put back nor
/// closed is still in hand, so that no image is lost on the way.
#[derive(Default)]
pub(super) struct OpenImages {
    images: BTreeMap<(Wait, u64), OpenImage>,
    in_hand: Option<Image>,
    found: u64,
    /// How many images of a name were met, by a hash of the name: names are untrusted and may be long.
    ordinals: HashMap<u64, u32>,
    hasher: RandomState,
}

impl OpenImages {
    /// The next image of the archive, of this content, in hand.
    pub fn add(&mut self, member: &Member, content: &Content) -> OpenImage {
        let name = member.file_name();
        let ordinal = self.ordinals.entry(self.hasher.hash_one(name)).or_insert(0);
        *ordinal += 1;
        self.found += 1;
        let image = Image::new(name, &member.path, content.size(), *ordinal);
        self.in_hand = Some(image.clone());
        let (content, data) = (content.clone(), content.data());
        OpenImage { number: self.found, image, content, finding: None, data, done: None, cut: None, no_room: None }
    }

    /// Images that were found.
    pub fn found(&self) -> u64 {
        self.found
    }

    /// Has the image in hand wait.
    pub fn put(&mut self, wait: Wait, open: OpenImage) {
        self.in_hand = None;
        self.images.insert((wait, open.number), open);
    }

    /// Takes the oldest image that waits for this in hand.
    pub fn take(&mut self, wait: Wait) -> Option<OpenImage> {
        self.take_if(wait, |_| true)
    }

    /// The same, among those that `is_wanted` accepts.
    pub fn take_if(&mut self, wait: Wait, is_wanted: impl Fn(&OpenImage) -> bool) -> Option<OpenImage> {
        let number = self.waiting(wait).find(|open| is_wanted(open))?.number;
        let open = self.images.remove(&(wait, number))?;
        self.in_hand = Some(open.image.clone());
        Some(open)
    }

    /// Takes the oldest image that waits for this in hand, where there are more than may wait.
    pub fn take_surplus(&mut self, wait: Wait) -> Option<OpenImage> {
        let is_many = wait != Wait::Room && self.waiting(wait).nth(MAX_WAITING).is_some();
        let is_much = || self.waiting(wait).map(OpenImage::memory).sum::<usize>() > MAX_MEMORY;
        if is_many || is_much() { self.take(wait) } else { None }
    }

    /// Those that wait for room, to be changed where they are.
    pub fn without_room(&mut self) -> impl Iterator<Item = &mut OpenImage> {
        self.images.range_mut((Wait::Room, 0)..=(Wait::Room, u64::MAX)).map(|(_, open)| open)
    }

    /// The image in hand has its verdict.
    pub fn close(&mut self) {
        self.in_hand = None;
    }

    /// Takes the image that was in hand when a panic ended the work on it.
    pub fn take_lost(&mut self) -> Option<Image> {
        self.in_hand.take()
    }

    /// The images that wait for this, the oldest first.
    pub fn waiting(&self, wait: Wait) -> impl Iterator<Item = &OpenImage> {
        self.images.range((wait, 0)..=(wait, u64::MAX)).map(|(_, open)| open)
    }
}
