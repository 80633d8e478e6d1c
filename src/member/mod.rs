//! Members of a tar archive, by their offsets in it.
//!
//! [`walk()`] goes through the headers of an archive that is a [`ReadAt`](positioned_io::ReadAt) and yields each member's name, kind, real size and
//! [`Content`]: where its bytes are, sparse files expanded. It reads headers and what extends them, never a member's data, and forward,
//! because the archive below may be decoded as it is read. v7, ustar, old GNU and PAX archives are read, and mixtures of them, as
//! GNU tar reads them; where GNU tar and bsdtar disagree on where a file's bytes are, the member is an error.
//!
//! ```
//! # let mut builder = tar::Builder::new(Vec::new());
//! # let mut header = tar::Header::new_gnu();
//! # header.set_size(5);
//! # builder.append_data(&mut header, "disk.img", &b"image"[..])?;
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("medium.tar.zst");
//! # std::fs::write(&path, zstd::bulk::compress(&builder.into_inner()?, 3)?)?;
//! use imgsieve::member::{Item, walk};
//! use imgsieve::zst::{Options, ZstFile};
//! use positioned_io::ReadAt;
//!
//! let archive = ZstFile::open(&path, Options::default())?;
//! let mut members = walk(&archive);
//! while let Some(item) = members.next()? {
//!     if let Item::Member(member) = item {
//!         assert_eq!((&member.path[..], member.size), (&b"disk.img"[..], 5));
//!         let mut bytes = [0; 5];
//!         member.content.reader(&archive).read_exact_at(0, &mut bytes)?;
//!         assert_eq!(&bytes, b"image");
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Everything read is untrusted: sizes are claims, nothing is allocated by them, and what one member costs is bounded.
//! This module knows nothing of images, partitions or zstd.

mod archive;
mod blocks;
mod content;
mod entry;
mod error;
mod header;
mod item;
mod note;
mod pax;
mod seen;
mod sparse;
mod stored;
#[cfg(test)]
mod tests;
mod walk;

pub use archive::Archive;
pub use content::{Content, ContentReader, Extent};
pub use entry::Member;
pub use error::{Error, NumberProblem, Part, PaxProblem, SparseProblem};
pub use header::Kind;
pub use item::Item;
pub use note::Note;
pub use seen::is_header;
pub use walk::{Members, walk};
