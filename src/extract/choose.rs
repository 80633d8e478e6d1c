//! Which image is meant.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::Path;

use crate::archive_name;
use crate::cause::Cause;
use crate::images::{Images, Role};
use crate::inspect::is_tar;
use crate::member::{self, Content, Extent, Item};
use crate::reason::Reason;
use crate::sanitize::printable_short;
use crate::units::human;
use crate::zst::ZstFile;

use super::{Error, NAME_SHOWN, Options};

/// Images that one archive may hold, and the memory that their sparse maps may take, in bytes.
const MAX_IMAGES: usize = 10_000;
const MAX_MEMORY: usize = 256 << 20;

/// An image by its number or by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Its place among the images of the archive, from 1.
    Number(usize),
    /// Last component of the member's path, or the whole of it.
    Name(Vec<u8>),
}

/// An image, and where its bytes are.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Last component of the member's path: untrusted bytes.
    pub name: Vec<u8>,
    /// The member's path: untrusted bytes.
    pub member: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// Where it is in the tar; none where there is no tar around it.
    pub content: Option<Content>,
}

impl Subject {
    /// The runs of data and of zeros that `range` of it consists of.
    pub fn extents(&self, range: Range<u64>) -> impl Iterator<Item = Extent> {
        let plain = match &self.content {
            None => Some(Extent::Data { offset: range.start, archive: range.clone() }),
            Some(_) => None,
        };
        let of_content = self.content.iter().flat_map(move |content| content.extents_in(range.clone()));
        plain.into_iter().chain(of_content)
    }
}

/// The image that is meant.
pub(super) fn subject(
    zst: &ZstFile,
    path: &Path,
    options: &Options,
    warnings: &mut Vec<Cause>,
) -> Result<Subject, Error> {
    let file_name = path.file_name().map_or(&b""[..], |name| name.as_encoded_bytes());
    if archive_name::hash(file_name).is_none() && !is_tar(zst) {
        if options.image.as_ref().is_some_and(|image| *image != Choice::Number(1)) {
            return Err(Error::Choice("it is a single compressed image, not an archive".to_owned()));
        }
        let name = file_name.strip_suffix(b".zst").unwrap_or(file_name).to_vec();
        let size = zst.finish()?;
        return Ok(Subject { member: name.clone(), name, size, content: None });
    }
    let mut seen = images(zst, options)?;
    let chosen = match &options.image {
        Some(Choice::Number(number)) => number.checked_sub(1).filter(|&index| index < seen.images.len()),
        Some(Choice::Name(name)) => {
            // A whole path means that member, whatever else has it for a name.
            let exact = seen.named(|path, _| path == name);
            let named = if exact.len() == 1 { exact } else { seen.named(|path, file| path == name || file == name) };
            if named.len() > 1 {
                let same: Vec<(usize, &Subject)> =
                    named.iter().filter_map(|&index| Some((index, seen.images.get(index)?))).collect();
                let name = printable_short(name, NAME_SHOWN);
                return Err(Error::Choice(format!(
                    "several images are named {name}; choose one by its number:{}",
                    list(&same)
                )));
            }
            let first = named.first().copied();
            if let Some(link) = seen.links.iter().find(|link| Some(link.image) == first)
                && let Some(subject) = first.and_then(|index| seen.images.get_mut(index))
                && subject.member != *name
                && subject.name != *name
            {
                (subject.name, subject.member) = (link.name.clone(), link.member.clone());
            }
            first
        }
        None if seen.images.len() > 1 => {
            let all: Vec<_> = seen.images.iter().enumerate().collect();
            return Err(Error::Choice(format!(
                "the archive has several images; choose one with --image:{}",
                list(&all)
            )));
        }
        None => (!seen.images.is_empty()).then_some(0),
    };
    match chosen {
        Some(index) => {
            // What could not be read may have been another image of the name.
            warnings.extend(seen.error.filter(|_| !matches!(options.image, Some(Choice::Number(_)))));
            Ok(seen.images.swap_remove(index))
        }
        None => Err(seen.missing(options)),
    }
}

/// The images of an archive.
struct Seen {
    images: Vec<Subject>,
    /// Hard links to them of the name that is looked for.
    links: Vec<Link>,
    /// Whether a file that is no image by its name has the name that is looked for.
    is_no_image: bool,
    /// What is wrong with the archive behind the last of them.
    error: Option<Cause>,
    none: Option<Cause>,
}

/// A hard link to an image.
struct Link {
    image: usize,
    /// Last component of its path.
    name: Vec<u8>,
    member: Vec<u8>,
}

impl Seen {
    /// The images of which a path and its last component, their own or those of a link, are as they should be: their places.
    fn named(&self, is_named: impl Fn(&[u8], &[u8]) -> bool) -> BTreeSet<usize> {
        let own = self.images.iter().enumerate().map(|(index, subject)| (index, &subject.member, &subject.name));
        let links = self.links.iter().map(|link| (link.image, &link.member, &link.name));
        own.chain(links).filter(|(_, path, file)| is_named(path, file)).map(|(index, ..)| index).collect()
    }

    /// Why the image that is meant is not among them.
    fn missing(&self, options: &Options) -> Error {
        if let Some(cause) = &self.error {
            return Error::Failed(cause.clone());
        }
        if self.is_no_image {
            let suffix = printable_short(options.image_suffix.in_words().as_bytes(), NAME_SHOWN);
            let message = format!(
                "the file of that name is not taken for an image, because it does not end in {suffix}: give its ending with \
                 --image-suffix"
            );
            return Error::Failed(Cause::new(Reason::NotAnImage, message));
        }
        if let Some(cause) = &self.none {
            return Error::Failed(cause.clone());
        }
        let all: Vec<_> = self.images.iter().enumerate().collect();
        Error::Choice(format!("the archive has no such image; it has:{}", list(&all)))
    }
}

/// Walks the archive: to the image of the number that is meant, else to its end, for a name may come again.
fn images(zst: &ZstFile, options: &Options) -> Result<Seen, Error> {
    let mut images = Images::new(options.image_suffix.clone(), None);
    let mut seen = Seen { images: Vec::new(), links: Vec::new(), is_no_image: false, error: None, none: None };
    let (wanted, name) = match &options.image {
        Some(Choice::Number(number)) => (Some(*number), None),
        Some(Choice::Name(name)) => (None, Some(name)),
        None => (None, None),
    };
    let mut memory = 0;
    let mut members = member::walk(zst);
    while wanted != Some(seen.images.len()) {
        let item = match members.next() {
            Ok(Some(item)) => item,
            Ok(None) => {
                seen.none = images.none();
                break;
            }
            Err(error) => {
                let cause = Cause::from(&error);
                if cause.code == Reason::Interrupted {
                    return Err(Error::Interrupted);
                }
                seen.error = Some(cause);
                break;
            }
        };
        match item {
            Item::Bad(error) => seen.error = seen.error.or_else(|| Some(Cause::from(&error))),
            Item::Note(_) => {}
            Item::Member(member) => {
                let role = images.judge(&member);
                let is_named = name.is_some_and(|name| member.path == *name || member.file_name() == &name[..]);
                if let Some(image) = images.same_as().filter(|_| is_named) {
                    memory += size_of::<Link>() + 2 * member.path.len();
                    seen.links.push(Link { image, name: member.file_name().to_vec(), member: member.path });
                    if memory > MAX_MEMORY {
                        return Err(too_many());
                    }
                    continue;
                }
                match role {
                    Role::Image(content) => {
                        memory += content.memory() + member.path.len();
                        if seen.images.len() == MAX_IMAGES || memory > MAX_MEMORY {
                            return Err(too_many());
                        }
                        let (name, size) = (member.file_name().to_vec(), content.size());
                        seen.images.push(Subject { name, member: member.path, size, content: Some(content) });
                    }
                    Role::NoImage(_) => {}
                    Role::Other => seen.is_no_image |= is_named,
                }
            }
        }
    }
    Ok(seen)
}

fn too_many() -> Error {
    let message = "too many images to choose from by name: choose one of the first by its number";
    Error::Failed(Cause::new(Reason::TooManyImages, message))
}

/// The images, a line each.
fn list(images: &[(usize, &Subject)]) -> String {
    const LISTED: usize = 100;
    let mut text = String::new();
    for (index, subject) in images.iter().take(LISTED) {
        let (number, member, size) = (index + 1, printable_short(&subject.member, NAME_SHOWN), human(subject.size));
        let _ = write!(text, "\n  {number}  {size}  {member}");
    }
    if images.len() > LISTED {
        let _ = write!(text, "\n  and {} more", images.len() - LISTED);
    }
    text
}
