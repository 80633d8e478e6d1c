//! What a run is told: the site (where things are, what counts) and the choices of one run. Checked here once, so that
//! nothing below has to check again.

mod origin;
mod print;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::log::record::Rules;
use crate::log::{self, Logs};
use crate::object;
use crate::shard::Shard;
use crate::suffixes::Suffixes;
use crate::units::{MinFree, Size};
use crate::zst::Engine;

use origin::expand;
pub use origin::{HERE, Origin, full_path, full_place, local, place};

/// The built-in site file: the places and rules of the script that this program replaces.
pub const BUILT_IN: &str = include_str!("site.toml");

/// Smallest window limit that makes sense: RFC 8878 section 3.1.1.1.2 has no smaller window.
const MAX_WINDOW_LEAST: u64 = 1 << 10;
/// Largest window libzstd allocates on a 64-bit machine (`ZSTD_WINDOWLOG_MAX`).
const MAX_WINDOW_MOST: u64 = 1 << 31;

/// A site file. Every field has a value once it is read: what the file leaves out is the built-in one's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Site {
    /// Folders with archives, or archives.
    pub collection: Vec<PathBuf>,
    /// Where kept images go.
    pub staging: PathBuf,
    /// The log, JSON Lines: see [`Site::log_target`].
    pub log: PathBuf,
    /// Archives in a folder have to be larger.
    pub min_archive_size: Size,
    /// Images have to be larger.
    pub min_image_size: Size,
    /// Images with this many partitions or more are kept; at least 1.
    pub min_partitions: u32,
    /// Space that has to stay free on the file system of staging.
    pub min_free: MinFree,
    /// How the names of images end.
    pub image_suffix: Suffixes,
    /// Base name of a program that must not run meanwhile; empty for none.
    pub wait_for: String,
    /// Folders that must not exist; a relative one lies beside the staging folder.
    pub cleared: Vec<PathBuf>,
    /// Largest zstd window, in bytes, for each worker.
    pub max_window: Size,
    /// Largest image that is staged; none for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_image_size: Option<Size>,
    /// The command that a staged image is processed again with, and its arguments, in which `{}` is the image's path.
    pub reprocess: Vec<String>,
    /// Archives read at a time; none for one a processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jobs: Option<usize>,
    /// Hashes of archives that are never opened, with the reason.
    pub skip: BTreeMap<String, String>,
    /// Whether the skip list is the file's own, and so is of its collection.
    #[serde(skip)]
    pub has_own_skip: bool,
}

/// Why a site file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It cannot be read.
    #[error("reading the site file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's word.
        source: std::io::Error,
    },
    /// It is not a valid site file.
    #[error("in the site file {path}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        source: Box<toml::de::Error>,
    },
    /// It was found, and another user could have put it there.
    #[error("{path} belongs to another user and could run commands: name it with --config to use it anyway")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// No place that a collection can be in.
    #[error("collection = {place}: {source}")]
    Place {
        /// What was given, without secrets.
        place: String,
        /// What is wrong with it.
        source: object::Error,
    },
    /// A value that makes no sense.
    #[error("{key} = {value}: {why}")]
    Value {
        /// The key, which is also the option's name.
        key: &'static str,
        /// What was given.
        value: String,
        /// What it has to be.
        why: &'static str,
    },
}

impl Site {
    /// The site that is built in.
    #[must_use]
    pub fn built_in() -> Site {
        let site: Site = toml::from_str(BUILT_IN).expect("the built-in site file is complete, which a test shows");
        Site { has_own_skip: true, ..site }
    }

    /// The site of the file at `path`.
    pub fn read(path: &Path) -> Result<Site, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
        let parse = |source| Error::Parse { path: path.to_owned(), source: Box::new(source) };
        let given: toml::Table = toml::from_str(&text).map_err(parse)?;
        let mut merged: toml::Table = toml::from_str(BUILT_IN).expect("the built-in site file is TOML");
        // The file's own text is what an error message has to point into, so a wrong type is looked for there first.
        let _: Partial = toml::from_str(&text).map_err(parse)?;
        let paths = ["collection", "staging", "log"].map(|key| (key, given.contains_key(key)));
        let has_own_skip = given.contains_key("skip");
        merged.extend(given);
        let mut site: Site = merged.try_into().map_err(parse)?;
        site.has_own_skip = has_own_skip;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = folder.canonicalize().map_err(|source| Error::Read { path: path.to_owned(), source })?;
        for (key, _) in paths.into_iter().filter(|&(_, given)| given) {
            match key {
                "collection" => {
                    for path in &mut site.collection {
                        let given = place(path)?;
                        *path = if full_place(&given) == given { given } else { beside(&folder, &given) };
                    }
                }
                "staging" => site.staging = beside(&folder, &local("staging", &site.staging)?),
                _ if matches!(site.log_target(), LogTarget::File(_)) => {
                    site.log = beside(&folder, &local("log", &site.log)?);
                }
                _ => {}
            }
        }
        for path in &mut site.cleared {
            *path = expand(path)?;
        }
        Ok(site)
    }

    /// Refuses values that make no sense.
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |key, value: &dyn ToString, why| Err(Error::Value { key, value: value.to_string(), why });
        if self.min_partitions == 0 {
            return refuse("min-partitions", &self.min_partitions, "must be at least 1, or every image would be kept");
        }
        if self.collection.is_empty() {
            return refuse("collection", &"[]", "must have at least one folder or archive");
        }
        for place in &self.collection {
            let url = if object::is_url(place) { object::Url::parse(place).err() } else { object::misspelt(place) };
            if let Some(source) = url {
                return Err(Error::Place { place: place.display().to_string(), source });
            }
        }
        for (key, path) in [("staging", &self.staging), ("log", &self.log)] {
            if path.as_os_str().is_empty() {
                return refuse(key, &"''", "must be a path");
            }
        }
        if self.jobs == Some(0) {
            return refuse("jobs", &0, "must be at least 1");
        }
        if !(MAX_WINDOW_LEAST..=MAX_WINDOW_MOST).contains(&self.max_window.0) {
            return refuse("max-window", &self.max_window, "must be 1KiB to 2GiB");
        }
        if self.wait_for.contains('/') {
            return refuse("wait-for", &self.wait_for, "must be a base name, without '/'");
        }
        if !is_command(&self.reprocess) {
            return refuse("reprocess", &format!("{:?}", self.reprocess), COMMAND_FORM);
        }
        Ok(())
    }

    /// The folders that must not exist, as full paths.
    #[must_use]
    pub fn cleared_paths(&self) -> Vec<PathBuf> {
        let staging = full_path(&self.staging);
        let beside = staging.parent().unwrap_or(Path::new("/"));
        self.cleared.iter().map(|name| beside.join(name)).collect()
    }

    /// Where the log goes.
    #[must_use]
    pub fn log_target(&self) -> LogTarget<'_> {
        LogTarget::of(&self.log)
    }

    /// The site as a file that [`Site::read`] reads back, with the comments of the built-in one.
    #[must_use]
    pub fn to_toml(&self) -> String {
        if (Site { has_own_skip: true, ..self.clone() }) == Site::built_in() {
            return BUILT_IN.to_owned();
        }
        print::commented(self).unwrap_or_else(|error| format!("# cannot be written as TOML: {error}\n"))
    }
}

/// Where a log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogTarget<'a> {
    /// To a file, which is appended to.
    File(&'a Path),
    /// `-`: to standard output.
    Stdout,
    /// `none`: there is none.
    Nowhere,
}

impl LogTarget<'_> {
    /// The path that means [`LogTarget::Nowhere`].
    pub const NOWHERE: &'static str = "none";

    /// What is meant by `path`.
    #[must_use]
    pub fn of(path: &Path) -> LogTarget<'_> {
        match path.as_os_str().as_bytes() {
            b"-" => LogTarget::Stdout,
            word if word == LogTarget::NOWHERE.as_bytes() => LogTarget::Nowhere,
            _ => LogTarget::File(path),
        }
    }
}

/// What [`is_command`] asks for.
pub const COMMAND_FORM: &str = "must be a program and its arguments, in one of which {} stands for the image";

/// Whether `command` is a program and its arguments, and one of these has the place of the image, `{}`. The image is never
/// the program: its content is not to be trusted.
#[must_use]
pub fn is_command<S: AsRef<OsStr>>(command: &[S]) -> bool {
    let has_place = |word: &S| word.as_ref().as_bytes().windows(2).any(|pair| pair == b"{}");
    match command {
        [program, arguments @ ..] => {
            !program.as_ref().is_empty() && !has_place(program) && arguments.iter().any(has_place)
        }
        [] => false,
    }
}

/// `path` as seen from `folder`, which holds no links: a leading `..` can be taken at its word, and is gone from messages.
fn beside(folder: &Path, path: &Path) -> PathBuf {
    if path.as_os_str().is_empty() {
        return PathBuf::new();
    }
    let mut folder = folder;
    let mut path = path;
    while let (Ok(rest), Some(parent)) = (path.strip_prefix(".."), folder.parent()) {
        (folder, path) = (parent, rest);
    }
    folder.join(path)
}

/// A site file on its own, where every key may be missing: only its type errors count.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code)]
struct Partial {
    collection: Option<Vec<PathBuf>>,
    staging: Option<PathBuf>,
    log: Option<PathBuf>,
    min_archive_size: Option<Size>,
    min_image_size: Option<Size>,
    min_partitions: Option<u32>,
    min_free: Option<MinFree>,
    image_suffix: Option<Suffixes>,
    wait_for: Option<String>,
    cleared: Option<Vec<PathBuf>>,
    max_window: Option<Size>,
    max_image_size: Option<Size>,
    reprocess: Option<Vec<String>>,
    jobs: Option<usize>,
    skip: Option<BTreeMap<String, String>>,
}

/// A checked site and the choices of one run.
#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools)]
pub struct Config {
    /// Where things are, and what counts.
    pub site: Site,
    /// Write no image at all.
    pub dry_run: bool,
    /// Look at the beginning of each archive alone. Such a run is dry.
    pub quick: bool,
    /// Read an archive to its end where its beginning leaves the first image undecided.
    pub decide: bool,
    /// Only so many archives, the smallest.
    pub limit: Option<usize>,
    /// Only archives of these hashes; empty for all.
    pub only: Vec<String>,
    /// Hashes on the skip list that have to be in the collection.
    pub skip_expected: Vec<String>,
    /// Enter folders in the folders of the collection.
    pub recursive: bool,
    /// Only what belongs to this part of the collection; none for all.
    pub shard: Option<Shard>,
    /// The run's name.
    pub run: Option<String>,
    /// Most bytes that the run stages; none for no limit.
    pub max_staged: Option<Size>,
    /// Archives from a list, besides those of the site's collection.
    pub listed: Vec<PathBuf>,
    /// The options that a command has to be given to survey as this run does.
    pub options: Vec<OsString>,
    /// The staging folder was named for this run, and is not the site file's.
    pub staging_is_named: bool,
    /// Wait for the program that must not run, rather than refuse.
    pub wait: bool,
    /// Run although that program runs, or the folders that have to be gone are there.
    pub force: bool,
    /// Pass over archives that an earlier run completed.
    pub resume: bool,
    /// Stage images that cannot be decided on.
    pub keep_undecided: bool,
    /// End the run when space runs low, rather than survey on without writing.
    pub abort_on_low_space: bool,
    /// Name the file systems in partitions even where that costs decoding again.
    pub deep_fs: bool,
    /// Logs of earlier runs other than the site's, or folders of them.
    pub more_logs: Vec<PathBuf>,
    /// How archives are read.
    pub engine: Engine,
    /// Look ahead, for somebody who is told how long the run takes.
    pub outlook: bool,
}

impl Config {
    /// A run with no choice made.
    #[must_use]
    pub fn new(site: Site) -> Config {
        Config {
            site,
            dry_run: false,
            quick: false,
            decide: false,
            limit: None,
            only: Vec::new(),
            skip_expected: Vec::new(),
            recursive: false,
            shard: None,
            listed: Vec::new(),
            run: None,
            max_staged: None,
            options: Vec::new(),
            staging_is_named: false,
            wait: false,
            force: false,
            resume: false,
            keep_undecided: false,
            abort_on_low_space: false,
            deep_fs: false,
            more_logs: Vec::new(),
            engine: Engine::Auto,
            outlook: false,
        }
    }

    /// The logs of earlier runs.
    pub fn logs(&self) -> Result<Logs, log::Error> {
        let own = match self.site.log_target() {
            LogTarget::File(_) => std::slice::from_ref(&self.site.log),
            LogTarget::Stdout | LogTarget::Nowhere => &[],
        };
        // What other shards of the same division log is never about an archive of this one's. Were it read, a survey would read
        // as many lines as it has archives times shards.
        let is_of_another = |name: &str| {
            self.shard.zip(Shard::of_file_name(name)).is_some_and(|(shard, other)| shard.is_apart_from(other))
        };
        Logs::open_where(&[own, &self.more_logs].concat(), false, &|name| !is_of_another(name))
    }

    /// What the run's answers depend on.
    #[must_use]
    pub fn rules(&self) -> Rules {
        Rules {
            min_image_size: self.site.min_image_size.0,
            min_partitions: self.site.min_partitions,
            image_suffix: self.site.image_suffix.to_string(),
            keep_undecided: self.keep_undecided,
            fs: self.deep_fs,
            quick: self.quick,
        }
    }

    /// Archives read at a time.
    #[must_use]
    pub fn jobs(&self) -> usize {
        self.site.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Site, Error> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("site.toml");
        std::fs::write(&path, text).expect("a site file");
        Site::read(&path)
    }

    #[test]
    fn built_in_site_is_the_script_it_replaces() {
        let site = Site::built_in();
        site.check().expect("valid");
        assert_eq!(site.collection, [Path::new("/data/cold/img-read")]);
        assert_eq!((site.min_archive_size, site.min_image_size), (Size(1_000_000_000), Size(1_000_000_000)));
        assert_eq!(site.skip["983dbb7dfb2a6ea867e233653a64f9d6"], "osxgather");
        assert_eq!(site.reprocess, ["sudo", "ntt-orchestrator", "--image", "{}"]);
        assert_eq!(site.cleared_paths()[0], Path::new("/data/staging/archives-2019"));
    }

    #[test]
    fn printed_site_reads_back_the_same() {
        let mut site = Site::built_in();
        site.max_image_size = Some(Size(5));
        site.jobs = Some(3);
        assert_eq!(read(&site.to_toml()).expect("valid"), site);
        assert_eq!(read(&Site::built_in().to_toml()).expect("valid"), Site::built_in());
    }

    #[test]
    fn a_missing_key_keeps_its_built_in_value() {
        let site = read("min_partitions = 3\n[skip]\n").expect("valid");
        assert_eq!((site.min_partitions, site.skip.len()), (3, 0));
        assert_eq!(site.log, Site::built_in().log);
    }

    #[test]
    fn answers_serve_who_asks_the_same_or_less() {
        let rules = |deep_fs, enough| {
            let mut site = Site::built_in();
            site.min_partitions = enough;
            Config { deep_fs, ..Config::new(site) }.rules()
        };
        assert!(rules(false, 2).serve(&rules(false, 2)) && rules(true, 2).serve(&rules(false, 2)));
        assert!(!rules(false, 2).serve(&rules(true, 2)) && !rules(false, 2).serve(&rules(false, 3)));
    }

    #[test]
    fn a_bare_number_is_bytes() {
        let site = read("min_image_size = 4096\nmin_free = 0\n").expect("valid");
        assert_eq!((site.min_image_size, site.min_free), (Size(4096), MinFree::Bytes(Size(0))));
    }

    #[test]
    fn relative_paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("site.toml");
        std::fs::write(&path, "collection = ['cold', '/abs']\nstaging = '../tmp'").expect("a site file");
        let site = Site::read(&path).expect("valid");
        let place = folder.path().canonicalize().expect("a folder");
        assert_eq!(site.collection, [place.join("cold"), PathBuf::from("/abs")]);
        assert_eq!(site.staging, place.parent().expect("a folder").join("tmp"));
    }

    #[test]
    fn an_unknown_key_is_an_error_that_points_at_it() {
        let error = read("min_partition = 3\n").expect_err("a typo");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.contains("line 1") && cause.contains("min_partition"), "{cause}");
    }

    #[test]
    fn values_that_cannot_be_meant_are_refused() {
        for text in [
            "min_partitions = 0",
            "collection = []",
            "jobs = 0",
            "max_window = '4GiB'",
            "wait_for = 'a/b'",
            "reprocess = []",
            "reprocess = ['']",
            "reprocess = ['ntt', '--image']",
            "reprocess = ['{}', '{}']",
        ] {
            assert!(read(text).expect("reads").check().is_err(), "{text}");
        }
        for text in [
            "image_suffix = ''",
            "image_suffix = '*.img'",
            "min_free = '120%'",
            "min_image_size = 'big'",
            "jobs = -1",
            "skip = 3",
            "reprocess = 'ntt {}'",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
