//! `imgsieve extract`: an image out of an archive, one partition of it, or a range of either.
//!
//! What comes before the image is passed over, and the image's own bytes come from libzstd, as all do that are kept. A
//! file is written as images are written to staging: under another name, holes left out, synced, and then given its name
//! without replacing anything.

mod choose;

use std::fmt::Write as _;
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::archive;
use crate::cause::Cause;
use crate::event::{Event, Live};
use crate::finding::Finding;
use crate::member::Extent;
use crate::ptable::Partition;
use crate::reason::Reason;
use crate::run::Observers;
use crate::sanitize::printable_short;
use crate::staging::{self, Keep};
use crate::suffixes::Suffixes;
use crate::units::human;
use crate::zst::{self, CopyError, ZstFile};

pub use choose::{Choice, Subject};

/// Zeros that are written at a time where holes cannot be left out.
static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
/// Characters of a name in a sentence.
const NAME_SHOWN: usize = 120;
/// Partitions that are listed where the one asked for is not there.
const LISTED: usize = 128;

/// What is to be extracted, and where to.
#[derive(Clone)]
pub struct Options {
    /// How the names of images end.
    pub image_suffix: Suffixes,
    /// Which image; none where there is only one.
    pub image: Option<Choice>,
    /// The number of the partition; none for all of the image.
    pub partition: Option<u32>,
    /// Where to begin in that, in bytes.
    pub offset: u64,
    /// How much of it, in bytes; none for the rest.
    pub length: Option<u64>,
    /// The file to be made; none for the image's own name in this folder.
    pub output: Option<Output>,
    /// Whether frames are decoded on to their ends, for their checksums.
    pub verifies: bool,
    /// How the archive is read.
    pub zst: zst::Options,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A file, which must not exist.
    File(PathBuf),
    /// Standard output, zeros in place of holes.
    Stdout,
}

impl Output {
    fn path(self) -> Option<PathBuf> {
        match self {
            Output::File(path) => Some(path),
            Output::Stdout => None,
        }
    }
}

/// Why nothing, or not all, was extracted.
#[derive(Debug)]
pub enum Error {
    /// What was asked for is not there, or is not the only one: what there is.
    Choice(String),
    /// It failed.
    Failed(Cause),
    /// The run ended.
    Interrupted,
    /// Nobody reads standard output any more.
    Closed,
}

impl From<Cause> for Error {
    fn from(cause: Cause) -> Error {
        if cause.code == Reason::Interrupted { Error::Interrupted } else { Error::Failed(cause) }
    }
}

impl From<zst::Error> for Error {
    fn from(error: zst::Error) -> Error {
        Error::from(Cause::from(&error))
    }
}

impl From<staging::Error> for Error {
    fn from(error: staging::Error) -> Error {
        Error::from(Cause::from(&error))
    }
}

/// What was extracted.
#[derive(Debug)]
pub struct Extracted {
    /// The image's name: untrusted bytes.
    pub image: Vec<u8>,
    /// The file; none where it went to standard output.
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub length: u64,
    /// Data bytes that were written to it; the rest are holes.
    pub written: u64,
    /// What is odd about it and lost nothing of it.
    pub warnings: Vec<Cause>,
    /// What is wrong with the frames it came from, found behind its last byte.
    pub unverified: Option<Cause>,
    /// Whether every frame that was decoded has a checksum.
    pub has_checksum: bool,
}

/// Extracts from the archive, or the compressed image, at `path`; `observers` watch.
pub fn run(path: &Path, options: &Options, observers: Observers<'_>) -> Result<Extracted, Error> {
    let zst = ZstFile::open(path, options.zst.clone())?;
    let mut warnings = Vec::new();
    let subject = choose::subject(&zst, path, options, &mut warnings)?;
    let whole = match options.partition {
        None => 0..subject.size,
        Some(number) => partition(&zst, &subject, number, &mut warnings)?,
    };
    let range = within(&whole, options.offset, options.length)?;
    let output = options.output.clone().map_or_else(|| default_output(&subject, options), Ok)?;
    if let Some(data) = subject.extents(range.clone()).find_map(data_of) {
        zst.check_window(data.start)?;
    }
    let length = range.end - range.start;
    let progress = Arc::new(AtomicU64::new(0));
    observers.emit(&Event::Live(Live::Extracting { bytes: length, done: &progress }));
    let mut sink = match &output {
        Output::File(path) => Sink::File(Box::new(staging::create(path, length)?)),
        Output::Stdout => Sink::Stdout(io::stdout().lock()),
    };
    for extent in subject.extents(range.clone()) {
        match extent {
            Extent::Hole { len, .. } => {
                sink.hole(len)?;
                progress.fetch_add(len, Ordering::Relaxed);
            }
            Extent::Data { archive, .. } => {
                let copied = zst.copy(archive, |bytes| {
                    progress.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                    sink.data(bytes)
                });
                copied.map_err(|error| match error {
                    CopyError::Write(error) => error,
                    CopyError::Read(zst::Error::EndOfData { .. }) => {
                        let message = format!("the tar ends before the image does, which has {}", human(subject.size));
                        Error::Failed(Cause::new(Reason::TarTruncated, message))
                    }
                    CopyError::Read(error) => error.into(),
                })?;
            }
        }
    }
    zst.check_unchanged()?;
    let written = sink.finish()?;
    let mut unverified = None;
    for data in subject.extents(range).filter_map(data_of).filter(|_| options.verifies) {
        match zst.verify(&data) {
            Ok(()) => {}
            Err(zst::Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                unverified = Some(Cause::from(&error));
                break;
            }
        }
    }
    let totals = zst.totals();
    Ok(Extracted {
        image: subject.name,
        path: output.path(),
        length,
        written,
        warnings,
        unverified,
        has_checksum: totals.frames == totals.checksummed_frames,
    })
}

fn data_of(extent: Extent) -> Option<Range<u64>> {
    match extent {
        Extent::Data { archive, .. } => Some(archive),
        Extent::Hole { .. } => None,
    }
}

/// `length` bytes of `whole` from `offset` on.
fn within(whole: &Range<u64>, offset: u64, length: Option<u64>) -> Result<Range<u64>, Error> {
    let size = whole.end - whole.start;
    let end = length.map_or(Some(size), |length| offset.checked_add(length)).filter(|&end| end <= size);
    match end {
        Some(end) if offset <= end => Ok(whole.start + offset..whole.start + end),
        _ => {
            let wanted = length.map_or_else(|| "bytes ".to_owned(), |length| format!("{length} bytes "));
            Err(Error::Choice(format!("it has only {size} bytes: there are no {wanted}from byte {offset} on")))
        }
    }
}

/// The bytes of the image that the partition of this number takes, cut at the end of the image.
fn partition(zst: &ZstFile, subject: &Subject, number: u32, warnings: &mut Vec<Cause>) -> Result<Range<u64>, Error> {
    let finding = match &subject.content {
        Some(content) => archive::examine(zst, content, None),
        None => Finding::examine(zst, subject.size, None),
    };
    let image = printable_short(&subject.name, NAME_SHOWN);
    let Some(table) = &finding.table else {
        if let Some(cause) = finding.undecidable {
            return Err(Error::from(Cause { message: format!("{image}: {}", cause.message), ..cause }));
        }
        return Err(Error::Choice(format!("{image} has no partitions: {}", finding.describe())));
    };
    let counted: Vec<&Partition> = table.partitions.iter().filter(|partition| partition.kind.counts()).collect();
    let Some(partition) = counted.iter().find(|partition| partition.number == number) else {
        let mut message = format!("{image} has no partition {number}. It has {}:", finding.describe());
        for partition in counted.iter().take(LISTED) {
            let (start, size) = (partition.start, human(partition.size));
            let _ = write!(message, "\n  {}  {size} from byte {start} on", partition.number);
        }
        return Err(Error::Choice(message));
    };
    if let Some(cause) = &finding.undecidable {
        warnings.push(cause.clone());
    }
    let end = partition.end().min(subject.size);
    if partition.start >= end {
        let message = format!("partition {number} begins at byte {}, behind the end of the image", partition.start);
        return Err(Error::Failed(Cause::new(Reason::EndOfData, message)));
    }
    if end < partition.end() {
        let missing = partition.end() - end;
        let message =
            format!("the image ends {missing} bytes before partition {number} does; only what is there was extracted");
        warnings.push(Cause::new(Reason::EndOfData, message));
    }
    Ok(partition.start..end)
}

/// The image's own name, in this folder; of a partition, with its number.
fn default_output(subject: &Subject, options: &Options) -> Result<Output, Error> {
    let name = staging::file_name(&subject.name)?;
    let path = match options.partition {
        None => PathBuf::from(name),
        Some(number) => {
            let name = Path::new(name);
            let mut with_number = name.file_stem().unwrap_or_default().to_owned();
            with_number.push(format!(".p{number}"));
            if let Some(ending) = name.extension() {
                with_number.push(".");
                with_number.push(ending);
            }
            PathBuf::from(with_number)
        }
    };
    Ok(Output::File(path))
}

/// Where the bytes go.
enum Sink {
    File(Box<Keep>),
    Stdout(io::StdoutLock<'static>),
}

impl Sink {
    fn data(&mut self, bytes: &[u8]) -> Result<(), Error> {
        match self {
            Sink::File(keep) => Ok(keep.data(bytes)?),
            Sink::Stdout(out) => out.write_all(bytes).map_err(|error| stdout_failed(&error)),
        }
    }

    fn hole(&mut self, mut length: u64) -> Result<(), Error> {
        match self {
            Sink::File(keep) => Ok(keep.hole(length)?),
            Sink::Stdout(out) => {
                while length > 0 {
                    let piece = length.min(ZEROS.len() as u64);
                    out.write_all(&ZEROS[..usize::try_from(piece).unwrap_or(0)])
                        .map_err(|error| stdout_failed(&error))?;
                    length -= piece;
                }
                Ok(())
            }
        }
    }

    /// Ends it: how many bytes of the file are no holes.
    fn finish(self) -> Result<u64, Error> {
        match self {
            Sink::File(keep) => Ok(keep.finish()?.bytes_written),
            Sink::Stdout(mut out) => out.flush().map(|()| 0).map_err(|error| stdout_failed(&error)),
        }
    }
}

fn stdout_failed(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::Closed,
        _ => Error::Failed(Cause::new(Reason::Stdout, format!("writing to standard output: {error}"))),
    }
}
