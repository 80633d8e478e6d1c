//! Which files of an archive are the rescue maps of which image, and what they say.
//!
//! A map may stand before its image in the archive or behind it, and a later one of the same name replaces it, as it does
//! when the archive is extracted. So files that may be maps are remembered by where they are, and one is read when an image
//! wants it: what stands at the end of the archive decides.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use memchr::memmem;
use positioned_io::ReadAt;

use super::name::{self, Kind};
use super::text::Parser;
use super::{Error, RescueMap};
use crate::cause::Cause;
use crate::member::{self, Content, Member};
use crate::reason::Reason;
use crate::sanitize::printable_short;
use crate::suffixes::Suffixes;

/// Files that are remembered, of those that no image has asked for; past that the older half is forgotten. An archive may
/// hold millions of files whose names end as a map's do.
const MAX_WAITING: usize = 4096;
/// Memory that all that are remembered may take, in bytes.
const MAX_MEMORY: usize = 16 << 20;
/// Memory that maps may take which were read and may be wanted again, in bytes; others are read again.
const MAX_KEPT: usize = 16 << 20;
/// Images of an archive whose names are remembered.
const MAX_IMAGES: usize = 1 << 16;
/// The longest path of a map, in bytes; no file can be extracted to a longer one.
const MAX_PATH: usize = 4096;
/// Bytes at the beginning of a file that are enough to tell that it is not a map.
const HEAD: u64 = 4096;
/// What ddrescue writes into the first line of a map file.
const CREATED: &[u8] = b"Created by GNU ddrescue";
/// Characters of a name in a message.
const NAME_SHOWN: usize = 200;

/// The rescue maps in one archive.
pub struct Maps {
    suffixes: Suffixes,
    hasher: RandomState,
    /// By their paths with the suffix and without, and by their folders. Keyed by a hash, as names are long and untrusted.
    images: HashMap<u64, Images>,
    /// By their kind, and the path of their image or folder.
    candidates: HashMap<u64, Candidate>,
    /// What their names and places take, in bytes.
    memory: usize,
    /// How many there may be until some are forgotten.
    limit: usize,
    /// How many there were.
    met: u64,
    is_incomplete: bool,
    /// What the maps take that are kept, in bytes.
    kept: usize,
    /// The one that was met last.
    newest: Option<u64>,
    warnings: Vec<Cause>,
}

#[derive(Default)]
struct Images {
    count: u32,
    /// Whether what their maps say was asked for.
    is_asked: bool,
}

/// A file that may be a map.
struct Candidate {
    kind: Kind,
    path: Box<[u8]>,
    content: Content,
    /// Its place among all that were met.
    serial: u64,
    /// The key of its image.
    image: u64,
    state: State,
    /// Whether it was warned of.
    is_told: bool,
}

/// What is known of a candidate.
enum State {
    Unread,
    Map(Arc<RescueMap>),
    Unusable(Cause),
    /// It is not a map, and does not claim to be one.
    Other,
}

/// What is known of the map of an image.
#[derive(Debug, Clone)]
pub enum Known {
    /// There is none.
    Nothing,
    /// The map.
    Map(Arc<RescueMap>),
    /// There is one, and it cannot be used, for this reason.
    Unusable(Cause),
}

impl Known {
    /// The map, where there is one that can be used.
    #[must_use]
    pub fn map(&self) -> Option<&Arc<RescueMap>> {
        match self {
            Known::Map(map) => Some(map),
            Known::Nothing | Known::Unusable(_) => None,
        }
    }
}

impl Maps {
    /// For an archive of images whose names end in one of `suffixes`.
    #[must_use]
    pub fn new(suffixes: Suffixes) -> Maps {
        Maps {
            suffixes,
            hasher: RandomState::new(),
            images: HashMap::new(),
            candidates: HashMap::new(),
            memory: 0,
            limit: MAX_WAITING,
            met: 0,
            is_incomplete: false,
            kept: 0,
            newest: None,
            warnings: Vec::new(),
        }
    }

    /// Takes note of the file at `path`, if its name may be a map's; whether it may. It replaces one of the same name.
    pub fn add(&mut self, path: &[u8], content: &Content) -> bool {
        let Some((kind, image)) = name::image_of(path).filter(|_| path.len() <= MAX_PATH) else { return false };
        let key = self.hasher.hash_one((kind, image));
        let image = self.image_key(kind == Kind::Bare, image);
        self.met += 1;
        let (path, content, serial) = (path.into(), content.clone(), self.met);
        let candidate = Candidate { kind, path, content, serial, image, state: State::Unread, is_told: false };
        self.memory += candidate.memory();
        if let Some(replaced) = self.candidates.insert(key, candidate) {
            self.memory -= replaced.memory();
            self.kept -= replaced.kept();
        }
        self.newest = Some(key);
        if self.candidates.len() > self.limit || self.memory > MAX_MEMORY {
            self.forget();
        }
        true
    }

    /// Takes note of a member, if its name may be a map's: a file, or a link to one.
    pub fn add_member(&mut self, member: &Member) -> bool {
        let target = member.link_target.as_deref().unwrap_or_default();
        match member.kind {
            member::Kind::File => self.add(&member.path, &member.content),
            member::Kind::HardLink => self.add_link(&member.path, target),
            member::Kind::Symlink if target.starts_with(b"/") => self.add_link(&member.path, b""),
            member::Kind::Symlink => {
                let folder = name::folder(name::plain(&member.path));
                let slash: &[u8] = if folder.is_empty() { b"" } else { b"/" };
                self.add_link(&member.path, &[folder, slash, name::plain(target)].concat())
            }
            _ => false,
        }
    }

    /// The same for a link at `path` to `target`, as a path of the archive: it is the file that stands there now. One to
    /// something else cannot be used, and replaces what had its name.
    fn add_link(&mut self, path: &[u8], target: &[u8]) -> bool {
        let Some(named) = name::image_of(path).filter(|(kind, _)| !kind.is_doubtful()) else { return false };
        let key = self.hasher.hash_one(named);
        let of_target = name::image_of(target).map(|named| self.hasher.hash_one(named));
        let file = of_target.and_then(|key| self.candidates.get(&key));
        let file = file.filter(|file| name::plain(&file.path) == name::plain(target)).map(|file| file.content.clone());
        let is_there = file.is_some();
        let is_added = self.add(path, &file.unwrap_or_else(Content::empty));
        if let Some(candidate) = self.candidates.get_mut(&key).filter(|_| !is_there) {
            let message = "it is a link whose target is not known";
            candidate.state = State::Unusable(Cause::new(Reason::RescueMap, message));
        }
        is_added
    }

    /// Takes note of the image at `path`.
    pub fn add_image(&mut self, path: &[u8]) {
        for key in self.image_keys(path) {
            if self.images.len() < MAX_IMAGES || self.images.contains_key(&key) {
                self.images.entry(key).or_default().count += 1;
            } else {
                self.miss();
            }
        }
    }

    /// What is known so far of the map of the image at `path`, which was noted before. To be asked only once the header
    /// behind each file that was noted was read: it vouches for the file's place.
    pub fn of(&mut self, path: &[u8], archive: &dyn ReadAt) -> Known {
        let [with_suffix, without, folder] = self.image_keys(path);
        let mut keys: Vec<u64> = Vec::new();
        for kind in [Kind::Map, Kind::Mapfile, Kind::Log] {
            let path = name::plain(path);
            keys.extend([path, name::stem(path, &self.suffixes)].map(|image| self.hasher.hash_one((kind, image))));
        }
        // What is named after no image is the map of one only.
        if self.images.get(&folder).is_none_or(|images| images.count < 2) {
            keys.push(self.hasher.hash_one((Kind::Bare, name::folder(name::plain(path)))));
        }
        for key in [with_suffix, without, folder] {
            self.images.entry(key).and_modify(|images| images.is_asked = true);
        }
        keys.retain(|key| self.candidates.contains_key(key));
        keys.sort_by_key(|key| self.candidates.get(key).map(|candidate| (candidate.kind, Reverse(candidate.serial))));
        keys.dedup();
        let mut known = Known::Nothing;
        for key in keys {
            let read = self.read(key, archive);
            self.tell(key);
            match (read, &known) {
                (Known::Map(map), _) => return Known::Map(map),
                (Known::Unusable(cause), Known::Nothing) => known = Known::Unusable(cause),
                _ => {}
            }
        }
        known
    }

    /// Reads the file that was noted last, whether or not an image wants it: for an archive of which all is decoded, where
    /// it would cost much to come back.
    pub fn read_newest(&mut self, archive: &dyn ReadAt) {
        if let Some(key) = self.newest {
            self.read(key, archive);
        }
    }

    /// The same, if it is the map of an image that was asked about; now that the header behind it was read, and it is near.
    pub fn read_wanted(&mut self, archive: &dyn ReadAt) {
        let Some(key) = self.newest.take() else { return };
        if self.is_asked(key) {
            self.read(key, archive);
            self.tell(key);
        }
    }

    /// Reads the maps that came after the verdicts on their images, for warnings.
    pub fn read_late(&mut self, archive: &dyn ReadAt) {
        let of_images = self.candidates.iter().filter(|(_, candidate)| !candidate.kind.is_doubtful());
        let mut late: Vec<(u64, u64)> = of_images.map(|(&key, candidate)| (candidate.serial, key)).collect();
        late.retain(|&(_, key)| self.is_asked(key));
        late.sort_unstable();
        for (_, key) in late {
            self.read(key, archive);
            self.tell(key);
        }
    }

    /// The warnings since this was last called.
    pub fn take_warnings(&mut self) -> Vec<Cause> {
        std::mem::take(&mut self.warnings)
    }

    fn read(&mut self, key: u64, archive: &dyn ReadAt) -> Known {
        let Some(candidate) = self.candidates.get_mut(&key) else { return Known::Nothing };
        let is_unread = matches!(candidate.state, State::Unread);
        if is_unread {
            candidate.state = match candidate.read(archive) {
                Ok(map) => {
                    let map = Arc::new(map);
                    if self.kept + map.memory() > MAX_KEPT {
                        return Known::Map(map);
                    }
                    self.kept += map.memory();
                    State::Map(map)
                }
                Err(Some(error)) => State::Unusable(Cause::of(Reason::RescueMap, &error)),
                Err(None) => State::Other,
            };
        }
        match &candidate.state {
            State::Map(map) => Known::Map(Arc::clone(map)),
            State::Unusable(cause) => Known::Unusable(candidate.tell("cannot be used", cause)),
            State::Other | State::Unread => Known::Nothing,
        }
    }

    /// Warns of a map that cannot be used, once.
    fn tell(&mut self, key: u64) {
        let Some(candidate) = self.candidates.get_mut(&key) else { return };
        if let State::Unusable(cause) = &candidate.state
            && !candidate.is_told
        {
            self.warnings.push(candidate.tell("is ignored", cause));
            candidate.is_told = true;
        }
    }

    /// Whether an image was asked about of which this may be the map.
    fn is_asked(&self, key: u64) -> bool {
        let images = self.candidates.get(&key).and_then(|candidate| self.images.get(&candidate.image));
        images.is_some_and(|images| images.is_asked)
    }

    /// Makes room: of what no image has asked for, the older half goes.
    fn forget(&mut self) {
        let is_waiting = |candidate: &Candidate| !self.images.contains_key(&candidate.image);
        let waiting = self.candidates.values().filter(|candidate| is_waiting(candidate));
        let mut serials: Vec<u64> = waiting.map(|candidate| candidate.serial).collect();
        let is_full = self.memory > MAX_MEMORY;
        if serials.len() <= MAX_WAITING && !is_full {
            // They are counted anew only when there are many more of them.
            self.limit = self.candidates.len() * 2;
            return;
        }
        // Those of images only go where nothing else does.
        let is_waiting_only = !serials.is_empty();
        if !is_waiting_only {
            serials = self.candidates.values().map(|candidate| candidate.serial).collect();
        }
        serials.sort_unstable();
        let until = serials.get(serials.len() / 2).copied().unwrap_or(0);
        let images = &self.images;
        self.candidates.retain(|_, candidate| {
            candidate.serial > until || (is_waiting_only && images.contains_key(&candidate.image))
        });
        self.memory = self.candidates.values().map(Candidate::memory).sum();
        self.kept = self.candidates.values().map(Candidate::kept).sum();
        self.miss();
    }

    /// Warns once that not all is remembered.
    fn miss(&mut self) {
        if !std::mem::replace(&mut self.is_incomplete, true) {
            let message = "too many images and files that may be rescue maps: not all maps are used";
            self.warnings.push(Cause::new(Reason::RescueMap, message));
        }
    }

    /// The keys of an image: its path with its suffix, and without, and its folder.
    fn image_keys(&self, path: &[u8]) -> [u64; 3] {
        let path = name::plain(path);
        let keys = [(false, path), (false, name::stem(path, &self.suffixes)), (true, name::folder(path))];
        keys.map(|(is_folder, name)| self.image_key(is_folder, name))
    }

    fn image_key(&self, is_folder: bool, name: &[u8]) -> u64 {
        self.hasher.hash_one((is_folder, name))
    }
}

impl Candidate {
    fn memory(&self) -> usize {
        size_of::<Self>() + self.path.len() + self.content.memory()
    }

    /// A sentence about it, and why.
    fn tell(&self, what: &str, cause: &Cause) -> Cause {
        let shown = printable_short(&self.path, NAME_SHOWN);
        Cause { message: format!("{shown} {what}: {}", cause.message), ..*cause }
    }

    fn kept(&self) -> usize {
        if let State::Map(map) = &self.state { map.memory() } else { 0 }
    }

    /// The map; an error where it cannot be used, none where it is none and does not claim to be.
    fn read(&self, archive: &dyn ReadAt) -> Result<RescueMap, Option<Error>> {
        let (file, size) = (self.content.reader(archive), self.content.size());
        if !self.kind.is_doubtful() {
            return RescueMap::read(&file, size).map_err(Some);
        }
        let mut head = vec![0; usize::try_from(size.min(HEAD)).unwrap_or(0)];
        file.read_exact_at(0, &mut head).map_err(|_| None)?;
        let claims = head.first() == Some(&b'#') && memmem::find(&head, CREATED).is_some();
        // What is not a map is not read to its end.
        if !claims && Parser::default().push(&head).is_err() {
            return Err(None);
        }
        RescueMap::read(&file, size).map_err(|error| claims.then_some(error))
    }
}

#[cfg(test)]
mod tests;
