//! Which members of an archive are images, and why it has none if it has none.
//!
//! An image is a regular file whose name ends as images' names do, and so is a hard link of such a name to a file that has
//! another one: whoever extracts the archive gets the same file under both. A link comes behind what it is a link to, so that the
//! files are remembered that one could lead to: as extracting has it, the last of a path counts, and a link stays with the
//! file that it was made to, whatever comes under that path later.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hasher, RandomState};

use crate::cause::Cause;
use crate::member::{Content, Kind, Member};
use crate::reason::Reason;
use crate::sanitize::printable_short;
use crate::suffixes::Suffixes;
use crate::units::{Size, human};

/// Paths that are remembered, at 24 bytes each.
const MAX_PATHS: usize = 1 << 18;
/// Memory that large files may take that are remembered, in bytes: the map of a sparse one may be long.
const MAX_MEMORY: usize = 16 << 20;
/// Characters of a name in a message.
const NAME_SHOWN: usize = 200;
/// Bytes of a name that is remembered.
const NAME_KEPT: usize = 255;

/// What a member is.
#[derive(Debug)]
pub enum Role {
    /// An image, with this content.
    Image(Content),
    /// Named like an image but not one; with a warning about it, if any.
    NoImage(Option<Cause>),
    /// Not named like one.
    Other,
}

/// The members of an archive that were seen, as far as it matters which of them are images.
pub struct Images {
    /// How the names of images end.
    suffixes: Suffixes,
    /// Images are larger than this, in bytes; none where they may have any size.
    least: Option<u64>,
    max_memory: usize,
    hasher: RandomState,
    /// Regular files by a hash of their paths, which are untrusted and may be long.
    paths: HashMap<u64, Target>,
    files: Vec<File>,
    /// What `files` take, in bytes.
    memory: usize,
    /// Whether there was a file that could not be remembered.
    is_full: bool,
    has_image: bool,
    /// Images that were found.
    count: usize,
    /// Which of them the last member is a hard link to, if it is one.
    same: Option<usize>,
    /// The largest file, by path and size.
    largest: Option<(String, u64)>,
    left_out: BTreeMap<MemberRule, MembersLeftOut>,
}

/// A rule by which a member that could be an image is not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum MemberRule {
    /// It is named like an image, and not larger than images have to be.
    TooSmall,
    /// It is larger than that, and named otherwise.
    OtherEnding,
    /// It is named like an image, and not a file.
    NotAFile,
    /// It is named like an image, and a link to one.
    SameContent,
    /// It is named like an image, and a link to what is not there.
    LinkTarget,
    /// It is no member: data that stand behind the end of the tar.
    BehindEnd,
}

impl MemberRule {
    /// The log's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            MemberRule::TooSmall => "too_small",
            MemberRule::OtherEnding => "other_ending",
            MemberRule::NotAFile => "not_a_file",
            MemberRule::SameContent => "same_content",
            MemberRule::LinkTarget => "link_target",
            MemberRule::BehindEnd => "behind_end",
        }
    }
}

/// Members that a rule leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MembersLeftOut {
    /// How many.
    pub count: u64,
    /// The path of the largest, which is untrusted bytes, and its size in bytes; the path is empty where there is none.
    pub largest: Option<(Vec<u8>, u64)>,
}

/// What a path leads to.
#[derive(Clone, Copy)]
enum Target {
    /// A file too small to be an image, of this size.
    Small(u64),
    /// An index into the files.
    Large(usize),
}

/// A file that is large enough to be an image.
enum File {
    /// It is none yet.
    Other(Content),
    /// It is the image of this name and this number, from 0, among those that were found.
    Image(String, usize),
}

impl Images {
    /// For an archive of which no member was seen yet.
    #[must_use]
    pub fn new(suffixes: Suffixes, least: Option<u64>) -> Images {
        Images {
            suffixes,
            least,
            max_memory: MAX_MEMORY,
            hasher: RandomState::new(),
            paths: HashMap::new(),
            files: Vec::new(),
            memory: 0,
            is_full: false,
            has_image: false,
            count: 0,
            same: None,
            largest: None,
            left_out: BTreeMap::new(),
        }
    }

    /// Takes note of the next member, and says what it is.
    pub fn judge(&mut self, member: &Member) -> Role {
        let is_named = self.suffixes.end(member.file_name());
        self.same = None;
        let role = match member.kind {
            Kind::File => self.file(member, is_named),
            Kind::HardLink => self.hard_link(member, is_named),
            kind => {
                self.paths.remove(&self.key(&member.path));
                let message = format!("{} is a {kind}, not a regular file; not opened", shown(&member.path));
                Role::NoImage(Some(Cause::new(Reason::NotAFile, message)))
            }
        };
        let is_image = matches!(role, Role::Image(_));
        self.has_image |= is_named && is_image;
        self.count += usize::from(is_named && is_image);
        let left_out_by = match &role {
            Role::Image(_) if !is_named => Some(MemberRule::OtherEnding),
            Role::NoImage(cause) if is_named => Some(match cause.as_ref().map(|cause| cause.code) {
                Some(Reason::NotAFile) => MemberRule::NotAFile,
                Some(Reason::SameContent) => MemberRule::SameContent,
                Some(Reason::LinkTarget) => MemberRule::LinkTarget,
                _ => MemberRule::TooSmall,
            }),
            _ => None,
        };
        if let Some(rule) = left_out_by {
            let size = self.size_of(member);
            self.leave_out(rule, member, size);
        }
        if is_named { role } else { Role::Other }
    }

    fn file(&mut self, member: &Member, is_named: bool) -> Role {
        let key = self.key(&member.path);
        note_largest(&mut self.largest, member, member.size);
        if !self.is_large(member.size) {
            self.remember(key, Target::Small(member.size));
            return Role::NoImage(None);
        }
        let (file, takes) = if is_named {
            let name = shown(&member.path);
            let takes = name.len();
            (File::Image(name, self.count), takes)
        } else {
            (File::Other(member.content.clone()), member.content.memory())
        };
        let takes = size_of::<File>() + takes;
        if self.memory + takes > self.max_memory {
            self.paths.remove(&key);
            self.is_full = true;
        } else {
            self.memory += takes;
            self.files.push(file);
            self.remember(key, Target::Large(self.files.len() - 1));
        }
        Role::Image(member.content.clone())
    }

    fn hard_link(&mut self, member: &Member, is_named: bool) -> Role {
        let key = self.key(&member.path);
        let path = member.link_target.as_deref().unwrap_or_default();
        let target = self.paths.get(&self.key(path)).copied();
        if let Some(target) = target {
            self.remember(key, target);
        }
        match target {
            // What is stored with a link is what it is a link to (POSIX.1-2017 pax, -o linkdata).
            None if member.size > 0 => self.file(member, is_named),
            None => {
                self.paths.remove(&key);
                let of_all = if self.is_full { " (there are too many files to remember)" } else { "" };
                let message = format!(
                    "{} is a hard link to {}, which is not in the archive before it{of_all}; not examined",
                    shown(&member.path),
                    shown(path)
                );
                Role::NoImage(Some(Cause::new(Reason::LinkTarget, message)))
            }
            Some(Target::Small(_)) => Role::NoImage(None),
            Some(Target::Large(index)) => {
                let Some(file) = self.files.get_mut(index) else { return Role::Other };
                if let File::Image(_, number) = file {
                    self.same = Some(*number);
                }
                if !is_named {
                    return Role::Other;
                }
                let link = shown(&member.path);
                match file {
                    File::Other(content) => {
                        let content = content.clone();
                        *file = File::Image(link, self.count);
                        self.take_back(content.size());
                        Role::Image(content)
                    }
                    File::Image(image, _) => {
                        let path = shown(path);
                        let message =
                            format!("{link} is a hard link to {path}, the same content as {image}; not examined again");
                        Role::NoImage(Some(Cause::new(Reason::SameContent, message)))
                    }
                }
            }
        }
    }

    /// Which of the images, from 0, the member that was judged last is another name of, as a hard link to it.
    #[must_use]
    pub fn same_as(&self) -> Option<usize> {
        self.same
    }

    /// What a member is large, or what it is a link to.
    fn size_of(&self, member: &Member) -> u64 {
        match self.paths.get(&self.key(&member.path)) {
            Some(&Target::Small(size)) => size,
            _ => member.size,
        }
    }

    fn leave_out(&mut self, rule: MemberRule, member: &Member, size: u64) {
        let few = self.left_out.entry(rule).or_default();
        few.count += 1;
        if few.largest.as_ref().is_none_or(|(_, largest)| size > *largest) {
            few.largest = Some((member.path[..member.path.len().min(NAME_KEPT)].to_vec(), size));
        }
    }

    /// Behind the end of the tar stand so many bytes that nobody looks at.
    pub fn leave_behind_end(&mut self, bytes: u64) {
        self.left_out.insert(MemberRule::BehindEnd, MembersLeftOut { count: 1, largest: Some((Vec::new(), bytes)) });
    }

    /// A file of this size that was left out for its name is an image by the name of a link to it.
    fn take_back(&mut self, size: u64) {
        let Some(few) = self.left_out.get_mut(&MemberRule::OtherEnding) else { return };
        few.count -= 1;
        // It may be the largest, and which is the next was not kept.
        few.largest = few.largest.take().filter(|(_, largest)| *largest != size);
        if few.count == 0 {
            self.left_out.remove(&MemberRule::OtherEnding);
        }
    }

    /// Members that could be images and are not looked at, by the rule that leaves them out.
    #[must_use]
    pub fn left_out(&self) -> &BTreeMap<MemberRule, MembersLeftOut> {
        &self.left_out
    }

    /// The warning about an archive that was read to its end and has no image.
    #[must_use]
    pub fn none(&self) -> Option<Cause> {
        if self.has_image {
            return None;
        }
        let is = |(path, size): &(String, u64)| format!("{path}, {}", human(*size));
        let largest_named = self.left_out.get(&MemberRule::TooSmall).and_then(|few| few.largest.as_ref());
        let largest_named = largest_named.map(|(path, size)| (shown(path), *size));
        let message = match (&largest_named, &self.largest, self.least) {
            (_, None, _) => "no image: the archive has no files".to_owned(),
            (None, Some(largest), _) => {
                let suffix = printable_short(self.suffixes.in_words().as_bytes(), NAME_SHOWN);
                format!("no image: no file name ends in {suffix}; the largest file is {}", is(largest))
            }
            (Some(named), Some(largest), least) => {
                let least = Size(least.unwrap_or(0));
                let other =
                    if largest.1 > named.1 { format!("; the largest file is {}", is(largest)) } else { String::new() };
                format!("no image larger than {least}: the largest is {}{other}", is(named))
            }
        };
        Some(Cause::new(Reason::NoImage, message))
    }

    fn is_large(&self, size: u64) -> bool {
        self.least.is_none_or(|least| size > least)
    }

    fn remember(&mut self, key: u64, target: Target) {
        if self.paths.len() < MAX_PATHS || self.paths.contains_key(&key) {
            self.paths.insert(key, target);
        } else {
            self.is_full = true;
        }
    }

    /// A hash of the path, as extracting takes it: without a leading `/`, and without components that are empty or `.`.
    fn key(&self, path: &[u8]) -> u64 {
        let mut hash = self.hasher.build_hasher();
        for component in path.split(|&byte| byte == b'/').filter(|component| !matches!(*component, b"" | b".")) {
            hash.write(component);
            hash.write_u8(b'/');
        }
        hash.finish()
    }
}

/// Takes note of a file, if none was larger.
fn note_largest(largest: &mut Option<(String, u64)>, member: &Member, size: u64) {
    if largest.as_ref().is_none_or(|(_, other)| size > *other) {
        *largest = Some((shown(&member.path), size));
    }
}

fn shown(path: &[u8]) -> String {
    printable_short(path, NAME_SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::{Item, walk};

    /// A file of `size` bytes, a hard link, or a member of another type.
    enum Made {
        File(&'static str, u64),
        Link(&'static str, &'static str),
        Other(&'static str, tar::EntryType),
    }
    use Made::{File as F, Link as L, Other as O};

    /// What is said of each member: of an image, the number of the member that stores its content.
    fn judged(images: &mut Images, made: &[Made]) -> Vec<String> {
        let mut builder = tar::Builder::new(Vec::new());
        for made in made {
            let mut header = tar::Header::new_gnu();
            header.set_size(0);
            match made {
                F(path, size) => {
                    header.set_size(*size);
                    builder.append_data(&mut header, path, &vec![7; usize::try_from(*size).expect("small")][..])
                }
                L(path, target) => {
                    header.set_entry_type(tar::EntryType::Link);
                    builder.append_link(&mut header, path, target)
                }
                O(path, kind) => {
                    header.set_entry_type(*kind);
                    builder.append_data(&mut header, path, &[][..])
                }
            }
            .expect("memory");
        }
        let tar = builder.into_inner().expect("memory");
        let (mut members, mut starts, mut said) = (walk(&tar), Vec::new(), Vec::new());
        while let Ok(Some(Item::Member(member))) = members.next() {
            starts.push(member.content.data().start);
            said.push(match images.judge(&member) {
                Role::Image(content) => {
                    let stored = starts.iter().position(|&start| start == content.data().start);
                    format!("image {}", stored.expect("a member's own"))
                }
                Role::NoImage(Some(cause)) => cause.code.to_string(),
                Role::NoImage(None) => "no image".to_owned(),
                Role::Other => "-".to_owned(),
            });
        }
        said
    }

    fn of(made: &[Made]) -> Vec<String> {
        judged(&mut Images::new(".img".parse().expect("a suffix"), Some(10)), made)
    }

    #[test]
    fn a_hard_link_to_another_file_is_an_image_of_its_content() {
        let made = [F("x/medium.raw", 11), F("log", 20), L("x/zz.img", "x/medium.raw"), L("x/zz.raw", "log")];
        assert_eq!(of(&made), ["-", "-", "image 0", "-"]);
    }

    #[test]
    fn paths_are_those_that_extracting_makes() {
        for target in ["a/b", "./a/b", "a//b", "/a/b", ".//a/./b"] {
            assert_eq!(of(&[F("./a/b", 11), L("z.img", target)]), ["-", "image 0"], "{target}");
        }
        for target in ["b", "a/b/c", "ab", "a", "A/b"] {
            assert_eq!(of(&[F("./a/b", 11), L("z.img", target)]), ["-", "link_target"], "{target}");
        }
    }

    #[test]
    fn a_chain_of_links_ends_at_the_file() {
        let made = [F("a", 11), L("b", "a"), L("c", "b"), L("z.img", "c"), L("y.img", "z.img"), L("x.img", "a")];
        assert_eq!(of(&made), ["-", "-", "-", "image 0", "same_content", "same_content"]);
    }

    #[test]
    fn an_image_is_looked_at_under_its_first_name_alone() {
        assert_eq!(of(&[F("a.img", 11), L("z.img", "a.img")]), ["image 0", "same_content"]);
        assert_eq!(of(&[F("a.img", 11), L("b", "a.img"), L("z.img", "b")]), ["image 0", "-", "same_content"]);
        assert_eq!(of(&[F("a.img", 11), L("a.img", "a.img")]), ["image 0", "same_content"]);
    }

    #[test]
    fn the_last_file_of_a_path_counts_and_a_link_stays_with_its_own() {
        assert_eq!(of(&[F("a", 11), F("a", 12), L("z.img", "a")]), ["-", "-", "image 1"]);
        assert_eq!(of(&[F("a", 11), L("y.img", "a"), F("a", 12), L("z.img", "a")]), ["-", "image 0", "-", "image 2"]);
        assert_eq!(of(&[F("a", 11), L("b", "a"), F("a", 12), L("z.img", "b")]), ["-", "-", "-", "image 0"]);
        assert_eq!(of(&[F("a", 11), F("a", 3), L("z.img", "a")]), ["-", "-", "no image"]);
        for kind in [tar::EntryType::Symlink, tar::EntryType::Directory, tar::EntryType::Fifo] {
            assert_eq!(of(&[F("a", 11), O("a", kind), L("z.img", "a")]), ["-", "-", "link_target"], "{kind:?}");
        }
        assert_eq!(of(&[F("a", 11), L("a", "none"), L("z.img", "a")]), ["-", "-", "link_target"]);
    }

    #[test]
    fn a_link_to_what_is_not_there_or_comes_later_is_said_to_be_one() {
        assert_eq!(of(&[L("z.img", "none"), F("a", 11)]), ["link_target", "-"]);
        assert_eq!(of(&[L("z.img", "a"), F("a", 11)]), ["link_target", "-"]);
        assert_eq!(of(&[O("z.img", tar::EntryType::Symlink)]), ["not_a_file"]);
    }

    #[test]
    fn a_link_to_a_small_file_is_as_a_small_image() {
        assert_eq!(of(&[F("a", 10), F("b.img", 10), L("z.img", "a")]), ["-", "no image", "no image"]);
        let mut images = Images::new(".img".parse().expect("a suffix"), None);
        assert_eq!(judged(&mut images, &[F("a", 0), F("b.img", 0), L("z.img", "a")]), ["-", "image 1", "image 0"]);
    }

    #[test]
    fn what_is_left_out_is_counted_by_rule_and_a_link_takes_a_file_back() {
        let counts = |made: &[Made]| {
            let mut images = Images::new(".img".parse().expect("a suffix"), Some(10));
            judged(&mut images, made);
            let of = |rule| images.left_out().get(&rule).map_or(0, |members| members.count);
            [MemberRule::TooSmall, MemberRule::OtherEnding, MemberRule::NotAFile, MemberRule::SameContent].map(of)
        };
        let made = [F("a.img", 9), F("b.raw", 11), F("c.raw", 12), F("d", 3), F("e.img", 11)];
        assert_eq!(counts(&made), [1, 2, 0, 0]);
        let links = [L("z.img", "b.raw"), L("y.img", "e.img"), O("x.img", tar::EntryType::Symlink)];
        assert_eq!(counts(&[F("b.raw", 11), F("c.raw", 12), F("e.img", 11)]), [0, 2, 0, 0]);
        let all: Vec<Made> = [F("b.raw", 11), F("c.raw", 12), F("e.img", 11)].into_iter().chain(links).collect();
        assert_eq!(counts(&all), [0, 1, 1, 1]);
    }

    #[test]
    fn what_cannot_be_remembered_is_bounded_and_told() {
        let mut images = Images {
            max_memory: 2 * size_of::<File>() + 200,
            ..Images::new(".img".parse().expect("a suffix"), Some(10))
        };
        let made = [F("a", 11), F("b", 11), F("c", 11), L("x.img", "a"), L("z.img", "c"), F("d.img", 11)];
        let said = judged(&mut images, &made);
        assert_eq!(said, ["-", "-", "-", "image 0", "link_target", "image 5"]);
        assert!(images.is_full && images.files.len() == 2 && images.paths.len() == 3);
    }

    #[test]
    fn why_there_is_no_image_is_said_with_what_is_true() {
        let none = |made: &[Made], least| {
            let mut images = Images::new(".img".parse().expect("a suffix"), least);
            judged(&mut images, made);
            images.none().map(|cause| cause.message)
        };
        for (made, message) in [
            (&[][..], "no image: the archive has no files"),
            (&[O("a.img", tar::EntryType::Symlink)], "no image: the archive has no files"),
            (
                &[F("h.raw", 12), F("x/h.dd", 524), F("h.001", 30)],
                "no image: no file name ends in .img; the largest file is x/h.dd, 524 B",
            ),
            (&[F("a.img", 9), F("b.img", 7), F("c", 3)], "no image larger than 10: the largest is a.img, 9 B"),
            (
                &[F("a.img", 9), F("c.dd", 30)],
                "no image larger than 10: the largest is a.img, 9 B; the largest file is c.dd, 30 B",
            ),
            (&[F("a", 9), L("b.img", "a")], "no image larger than 10: the largest is b.img, 9 B"),
        ] {
            assert_eq!(none(made, Some(10)).as_deref(), Some(message));
        }
        assert_eq!(none(&[F("a.img", 11)], Some(10)), None);
        assert_eq!(none(&[F("a", 11), L("z.img", "a")], Some(10)), None);
        assert_eq!(none(&[F("a.img", 0)], None), None);
    }
}
