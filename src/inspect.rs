//! `imgsieve inspect`: the partitions of every image in a file, whatever its size; nothing is written, nothing logged.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use positioned_io::ReadAt;
use serde_json::{Map, Value, json};

use crate::archive;
use crate::archive_name;
use crate::cause::Cause;
use crate::event::Image;
use crate::finding::{Finding, Verdict};
use crate::images::{Images, Role};
use crate::log::record::{Partition, Table};
use crate::member::{self, Content, Item};
use crate::object::{self, Object, Url};
use crate::ptable::Rejected;
use crate::reason::Reason;
use crate::rescue::Maps;
use crate::sanitize::{printable, printable_line, printable_short};
use crate::suffixes::Suffixes;
use crate::units::human;
use crate::vouch;
use crate::zst::{self, Engine, Meter, ZstFile};

/// Magic numbers of a Zstandard frame and of skippable ones, without the free bits: RFC 8878 section 3.1.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];
const SKIPPABLE_MAGIC: [u8; 3] = [0x2A, 0x4D, 0x18];
/// Bytes of a tar header: POSIX.1-2017 pax, ustar interchange format.
const TAR_BLOCK: usize = 512;
/// Fewer partitions than this are distrusted where a rescue map says that their table was never read.
const MULTI: u32 = 2;

/// Memory that the sparse maps of images may take that are looked into again at the end of the archive, in bytes.
const MAX_WAITING_MEMORY: usize = 64 << 20;
/// Images of one archive that are looked at, as many as a survey takes.
const MAX_IMAGES: usize = 10_000;
/// Memory that names and findings of images may take, in bytes: what is printed takes several times as much.
const MAX_MEMORY: usize = 32 << 20;

/// Characters of a name or label in a column.
const SHOWN: usize = 40;
/// Warnings about one archive that are shown.
const MAX_WARNINGS: usize = 1000;

/// What is looked for, and with what means.
#[derive(Clone)]
pub struct Options {
    /// How the name of an image in an archive ends, ASCII case ignored.
    pub image_suffix: Suffixes,
    /// Largest zstd window, in bytes.
    pub max_window: u64,
    /// How zstd data are read.
    pub engine: Engine,
    /// Whether file systems are named even where that costs decoding again.
    pub deep_fs: bool,
    /// From where a stop is heard.
    pub meter: Arc<Meter>,
}

/// What one file holds.
pub struct Inspection {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The images in it, or it itself.
    pub images: Vec<Inspected>,
    /// What is odd about it and lost nothing.
    pub warnings: Vec<Cause>,
    /// What ended the reading of it.
    pub error: Option<Cause>,
}

/// One image.
pub struct Inspected {
    /// Its name: untrusted bytes.
    pub name: Vec<u8>,
    /// Its size in bytes.
    pub size: u64,
    /// What was found in it.
    pub finding: Finding,
    member: Vec<u8>,
}

impl Inspection {
    /// Looks into the file at `path`: a `.tar.zst`, a compressed image, or a plain image or device.
    #[must_use]
    pub fn of(path: &Path, options: &Options) -> Inspection {
        let mut report = Inspection { file: path.to_owned(), images: Vec::new(), warnings: Vec::new(), error: None };
        report.error = report.read(path, options).err();
        report
    }

    /// Whether everything could be read and decided.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.error.is_none() && self.images.iter().all(|image| image.finding.verdict() != Verdict::Undecidable)
    }

    fn read(&mut self, path: &Path, options: &Options) -> Result<(), Cause> {
        if object::is_url(path) {
            return self.read_object(path, options);
        }
        if let Some(error) = object::misspelt(path) {
            return Err(Cause::of(Reason::Io, &error));
        }
        let io = |error: std::io::Error| Cause::of(Reason::Io, &error);
        // Without O_NONBLOCK, opening a FIFO would wait for a writer.
        let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(io)?;
        let kind = file.metadata().map_err(io)?.file_type();
        if !kind.is_file() && !kind.is_block_device() {
            let what = if kind.is_dir() { "a folder" } else { "not a file or block device" };
            return Err(Cause::new(Reason::NotAFile, format!("it is {what}")));
        }
        let is_archive_by_name = has_archives_name(path);
        if is_archive_by_name || is_zstd(&mut file).map_err(io)? {
            return self.read_zst(path, is_archive_by_name, options);
        }
        // A device has no length but where its end can be sought.
        let size = file.seek(SeekFrom::End(0)).map_err(io)?;
        self.image(path, &file, size);
        Ok(())
    }

    fn read_zst(&mut self, path: &Path, is_archive_by_name: bool, options: &Options) -> Result<(), Cause> {
        let zst_options = zst::Options {
            engine: options.engine,
            max_window: options.max_window,
            meter: Arc::clone(&options.meter),
            voucher: vouch::voucher(options.engine),
        };
        let of_zst = |error: zst::Error| Cause::from(&error);
        let zst = ZstFile::open(path, zst_options).map_err(of_zst)?;
        if is_archive_by_name || is_tar(&zst) {
            self.archive(&zst, options)?;
            zst.finish().map_err(of_zst)?;
        } else {
            let size = zst.finish().map_err(of_zst)?;
            self.image(path, &zst, size);
        }
        self.warnings.extend(zst.padding().map(Cause::from));
        zst.check_unchanged().map_err(of_zst)
    }

    fn read_object(&mut self, path: &Path, options: &Options) -> Result<(), Cause> {
        if has_archives_name(path) {
            return self.read_zst(path, true, options);
        }
        let of_object = |error: object::Error| {
            let code = match error {
                object::Error::Replaced | object::Error::Shrunk { .. } => Reason::Changed,
                object::Error::Memory => Reason::Memory,
                object::Error::Interrupted => Reason::Interrupted,
                _ => Reason::Io,
            };
            Cause::of(code, &error)
        };
        let url = Url::of_object(path).map_err(of_object)?;
        let object = Object::open(&url, options.meter.stop_flag()).map_err(of_object)?;
        let mut magic = [0; ZSTD_MAGIC.len()];
        let is_zstd = object.read_exact_at(0, &mut magic).is_ok() && begins_zstd(&magic);
        // It is opened anew, and its first block need not be there twice.
        let Some(object) = Some(object).filter(|_| !is_zstd) else {
            return self.read_zst(path, false, options);
        };
        self.image(path, &object, object.identity().length);
        object.check_unchanged().map_err(of_object)
    }

    fn image(&mut self, path: &Path, image: &dyn ReadAt, size: u64) {
        let mut finding = Finding::examine(image, size, None);
        finding.complete(image, size, true, &|_| {});
        let name = path.file_name().map_or(&b""[..], |name| name.as_encoded_bytes()).to_vec();
        self.images.push(Inspected { member: name.clone(), name, size, finding });
    }

    fn archive(&mut self, zst: &ZstFile, options: &Options) -> Result<(), Cause> {
        let mut images = Images::new(options.image_suffix.clone(), None);
        let mut maps = Maps::new(options.image_suffix.clone());
        // Where each image is, while that is remembered.
        let mut contents: Vec<Option<Content>> = Vec::new();
        let (mut held, mut listed) = (0, 0);
        let mut members = member::walk(zst);
        let mut intact = Ok(());
        loop {
            let item = members.next();
            if item.is_ok() {
                maps.read_wanted(zst);
            }
            match item {
                Ok(Some(Item::Member(member))) => {
                    if let Some(note) = &member.note {
                        self.warn(Cause::new(note.code(), note.to_string()));
                    }
                    match images.judge(&member) {
                        Role::Image(_) if self.images.len() == MAX_IMAGES || listed > MAX_MEMORY => {
                            let message = format!(
                                "more than {} images, or longer names than are remembered: the rest of the archive is not \
                                 looked at",
                                self.images.len()
                            );
                            intact = intact.and(Err(Cause::new(Reason::TooManyImages, message)));
                            break;
                        }
                        Role::Image(content) => {
                            maps.add_image(&member.path);
                            let mut finding = archive::examine(zst, &content, None);
                            // A map in front of it is near now, and so is the image.
                            let known = maps.of(&member.path, zst);
                            let behind = archive::look_behind_unread(zst, &content, None, &known, (&finding, MULTI));
                            finding = behind.unwrap_or(finding);
                            archive::complete(zst, &content, &mut finding, options.deep_fs);
                            held += content.memory() + finding.memory();
                            let Image { name, member, size, .. } =
                                Image::new(member.file_name(), &member.path, content.size(), 1);
                            listed += size_of::<Inspected>() + name.len() + member.len() + finding.memory();
                            contents.push((held <= MAX_WAITING_MEMORY).then_some(content));
                            self.images.push(Inspected { name, size, finding, member });
                        }
                        Role::NoImage(warning) => {
                            if member.kind.is_file() {
                                maps.add_image(&member.path);
                            }
                            if let Some(cause) = warning {
                                self.warn(cause);
                            }
                        }
                        Role::Other => {
                            if maps.add_member(&member) && zst.decodes_all() {
                                maps.read_newest(zst);
                            }
                        }
                    }
                }
                Ok(Some(Item::Note(note))) => self.warn(Cause::new(note.code(), note.to_string())),
                Ok(Some(Item::Bad(error))) => intact = intact.and(Err(Cause::from(&error))),
                Ok(None) => break,
                Err(error) => {
                    intact = intact.and(Err(Cause::from(&error)));
                    break;
                }
            }
        }
        for (image, content) in self.images.iter_mut().zip(contents) {
            let known = maps.of(&image.member, zst);
            if let Some(content) = content
                && let Some(behind) = archive::look_behind_unread(zst, &content, None, &known, (&image.finding, MULTI))
            {
                image.finding = behind;
                archive::complete(zst, &content, &mut image.finding, options.deep_fs);
            }
            image.finding.distrust_unread(&known, image.size, MULTI);
        }
        maps.read_late(zst);
        maps.take_warnings().into_iter().for_each(|cause| self.warn(cause));
        if intact.is_ok() {
            self.warnings.extend(images.none());
        }
        intact
    }

    /// Takes note of what is odd, unless there was too much of it: a few bytes of an archive cause a million warnings.
    fn warn(&mut self, cause: Cause) {
        match self.warnings.len() {
            ..MAX_WARNINGS => self.warnings.push(cause),
            MAX_WARNINGS => {
                self.warnings.push(Cause::new(Reason::MoreWarnings, "further warnings about it are not shown"));
            }
            _ => {}
        }
    }

    /// The report as one JSON object; `verbose`, with the kinds of table that each image does not have, and why.
    #[must_use]
    pub fn to_json(&self, verbose: bool) -> Value {
        let mut object = Map::new();
        object.insert("file".to_owned(), json!(self.file.to_string_lossy()));
        object.insert("images".to_owned(), self.images.iter().map(|image| image.to_json(verbose)).collect());
        if !self.warnings.is_empty() {
            object.insert("warnings".to_owned(), self.warnings.iter().map(cause_json).collect());
        }
        if let Some(error) = &self.error {
            object.insert("error".to_owned(), cause_json(error));
        }
        Value::Object(object)
    }

    /// The report as a table for a person; `verbose` as for [`Inspection::to_json`].
    #[must_use]
    pub fn to_text(&self, verbose: bool) -> String {
        let mut text = format!("{}\n", printable(self.file.as_os_str().as_encoded_bytes()));
        for image in &self.images {
            image.write_text(&mut text, verbose);
        }
        if self.images.is_empty() && self.error.is_none() {
            text.push_str("  no image\n");
        }
        for warning in &self.warnings {
            let _ = writeln!(text, "  warning: {}", printable_line(&warning.message));
        }
        if let Some(error) = &self.error {
            let _ = writeln!(text, "  error: {}", printable_line(&error.message));
        }
        text
    }
}

impl Inspected {
    fn to_json(&self, verbose: bool) -> Value {
        let mut object = Map::new();
        object.insert("img".to_owned(), json!(String::from_utf8_lossy(&self.name)));
        if std::str::from_utf8(&self.name).is_err() {
            object.insert("img_bytes".to_owned(), json!(crate::sanitize::base64(&self.name)));
        }
        object.insert("size_bytes".to_owned(), json!(self.size));
        if let Value::Object(table) = json!(Table::of(&self.finding)) {
            object.extend(table);
        }
        object.insert("count".to_owned(), json!(self.finding.count));
        object.insert("verdict".to_owned(), json!(self.finding.verdict().as_str()));
        object.insert("reason".to_owned(), json!(self.finding.undecidable.as_ref().map(|cause| cause.code)));
        if let Some(cause) = &self.finding.undecidable {
            object.insert("message".to_owned(), json!(cause.message));
        }
        if let Some(rescued) = &self.finding.rescued {
            object.insert("rescued_pct".to_owned(), json!(rescued.percent()));
        }
        if verbose {
            object.insert("rejected".to_owned(), self.finding.rejected_json());
        }
        object.insert("partitions".to_owned(), json!(Partition::list(&self.finding, usize::MAX)));
        Value::Object(object)
    }

    fn write_text(&self, text: &mut String, verbose: bool) {
        let found = printable(self.finding.describe().as_bytes());
        let verdict = self.finding.verdict().as_str();
        let _ = writeln!(text, "  {}  {}  {verdict}: {found}", printable(&self.name), human(self.size));
        if let Some(rescued) = &self.finding.rescued {
            let (bytes, of) = (human(rescued.bytes), human(rescued.of));
            let _ = writeln!(text, "    rescued: {:.2}% of the medium ({bytes} of {of})", rescued.percent());
        }
        if let Some(content) = &self.finding.whole_disk {
            let _ = write!(text, "    whole disk: {}", content.name);
            for (what, value) in [("label", &content.label), ("UUID", &content.uuid)] {
                if let Some(value) = value {
                    let _ = write!(text, ", {what} {}", printable_short(value.as_bytes(), SHOWN));
                }
            }
            text.push('\n');
        }
        if verbose {
            for line in Rejected::lines(&self.finding.rejected) {
                let _ = writeln!(text, "    {line}");
            }
        }
        let Some(table) = &self.finding.table else { return };
        for damage in &table.damage {
            let _ = writeln!(text, "    damaged: {damage}");
        }
        let head = ["NR", "START", "SIZE", "", "KIND", "TYPE", "NAME", "FSTYPE", "LABEL", "UUID"];
        let mut rows = vec![head.map(str::to_owned)];
        let shown =
            |text: Option<&String>| text.map_or_else(String::new, |text| printable_short(text.as_bytes(), SHOWN));
        rows.extend(table.partitions.iter().zip(self.finding.contents()).map(|(partition, content)| {
            [
                partition.number.to_string(),
                partition.start.to_string(),
                partition.size.to_string(),
                human(partition.size),
                partition.kind.as_str().to_owned(),
                printable(partition.type_id.to_string().as_bytes()),
                shown(partition.name.as_ref()),
                content.map_or("-", |content| content.name).to_owned(),
                shown(content.and_then(|content| content.label.as_ref())),
                shown(content.and_then(|content| content.uuid.as_ref())),
            ]
        }));
        write_columns(text, &rows);
    }
}

/// Columns as wide as their widest cell; numbers to the right.
fn write_columns<const N: usize>(text: &mut String, rows: &[[String; N]]) {
    const RIGHT: [bool; 4] = [true; 4];
    let widths: [usize; N] =
        std::array::from_fn(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0));
    for row in rows {
        let mut line = String::from("   ");
        for (column, (cell, width)) in row.iter().zip(widths).enumerate() {
            if RIGHT.get(column).copied().unwrap_or(false) {
                let _ = write!(line, " {cell:>width$}");
            } else {
                let _ = write!(line, " {cell:<width$}");
            }
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

fn cause_json(cause: &Cause) -> Value {
    json!({"reason": cause.code, "message": cause.message})
}

fn is_zstd(file: &mut File) -> std::io::Result<bool> {
    let mut magic = Vec::new();
    file.take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic)?;
    file.rewind()?;
    Ok(begins_zstd(&magic))
}

fn begins_zstd(magic: &[u8]) -> bool {
    let is_skippable = |first: &u8| first & 0xF0 == 0x50 && magic.get(1..) == Some(&SKIPPABLE_MAGIC);
    magic == ZSTD_MAGIC || magic.first().is_some_and(is_skippable)
}

fn has_archives_name(path: &Path) -> bool {
    path.file_name().is_some_and(|name| archive_name::hash(name.as_encoded_bytes()).is_some())
}

/// Whether the decompressed data begin with a tar header. Zeros, with which a tar of no members begins too, are an image.
pub(crate) fn is_tar(zst: &ZstFile) -> bool {
    let mut first = [0xff; TAR_BLOCK];
    let is_blank = zst.read_exact_at(0, &mut first).is_ok() && first.iter().all(|&byte| byte == 0);
    !is_blank && !matches!(member::walk(zst).next(), Err(member::Error::NotTar { .. }))
}
