//! imgsieve surveys a cold-storage collection of `.tar.zst` archives of disk images, reads the partition table of every
//! image without extracting it, and stages only the images with two or more partitions.
//!
//! One sentence holds it together: **an archive is bytes at an offset.** A tar member is a slice of the archive, an
//! image is a slice of a member, a partition is a slice of the image, and deciding on a table is a function from
//! [`ReadAt`](positioned_io::ReadAt) to a table. Its public API are [`zst`], [`member`] and [`ptable`]. Each module may use
//! only those below it:
//!
//! - [`cli`]: arguments in, exit code out ([`exit`]); the wiring.
//! - [`reprocess`]: the second phase. A command of the user's for each staged image, its output, the lock on the image, and
//!   its removal.
//! - [`scan`]: the run. What has to be in order first, which archives and in which order, the pool of workers, one
//!   archive from open to verdicts, what is kept and what is tried again.
//! - [`extract`]: an image, or a part of it, out of an archive.
//! - [`verify`]: archives, decoded to their end for their checksums.
//! - [`inspect`]: the partitions of every image in a file, with nothing written.
//! - `progress`: bars and lines on the terminal, an observer of what happens.
//! - `report`: what runs found and what remains to do, for a person, a browser, a spreadsheet or another program: four
//!   renderers of an account.
//! - [`run`]: what surveying and reprocessing have in common: the switch that ends a run, its observers, the queue that
//!   workers take from, and the handling of panics.
//! - [`event`]: what happens, in the words that the layers above share, and the record that the log gets of it.
//! - `account`: records folded into the state of a collection, while a run goes or read back from logs.
//! - [`log`]: JSON Lines, one typed record a line, written and read back.
//! - `clock`: the time of day, as logs have it.
//! - `cause` and [`reason`]: why something is not as it should be, in the log's words.
//! - `archive`: images in a `.tar.zst`, and doubt about bytes that were not decoded; `archive_name`: what is one by its name.
//! - [`vouch`]: what a tar proves of places in a `.zst` that are only presumed.
//! - `images`: which members of an archive are images. `listing`: what is in a folder.
//! - [`finding`]: what is found in one image, and whether it can be relied on; [`rescue`]: which sectors of a medium
//!   were never read.
//! - [`staging`]: the shared budget of space, and whole images under their own names.
//! - [`ptable`]: bytes in, partition table out.
//! - [`member`]: the members of a tar, and their content as bytes at an offset.
//! - [`zst`]: the decompressed bytes of a `.zst`, at any offset.
//! - `object`: archives in object storage, as bytes at an offset.
//! - [`shard`]: a part of a collection, by the names in it.
//! - [`config`], [`suffixes`], [`units`], [`sanitize`]: what a run is told; how names of images end; sizes; names on their
//!   way to a terminal; `wrap`: lines of prose there.

mod account;
mod archive;
mod archive_name;
mod cause;
mod clock;
mod extract;
mod images;
mod listing;
pub mod member;
mod object;
mod progress;
pub mod ptable;
mod report;
mod verify;
mod wrap;
pub mod zst;

// What the program, the tests, the benchmarks and the fuzz targets need besides: no public API, and no promise.
#[doc(hidden)]
pub mod cli;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod event;
#[doc(hidden)]
pub mod exit;
#[doc(hidden)]
pub mod finding;
#[doc(hidden)]
pub mod inspect;
#[doc(hidden)]
pub mod log;
#[doc(hidden)]
pub mod reason;
#[doc(hidden)]
pub mod reprocess;
#[doc(hidden)]
pub mod rescue;
#[doc(hidden)]
pub mod run;
#[doc(hidden)]
pub mod sanitize;
#[doc(hidden)]
pub mod scan;
#[doc(hidden)]
pub mod shard;
#[doc(hidden)]
pub mod staging;
#[doc(hidden)]
pub mod suffixes;
#[doc(hidden)]
pub mod units;
#[doc(hidden)]
pub mod vouch;
