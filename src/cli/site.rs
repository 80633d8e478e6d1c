//! The options that override keys of the site file, for every command that uses one.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use clap::Args;

use crate::config::{self, LogTarget, Origin, Site, full_path, full_place};
use crate::suffixes::Suffixes;
use crate::units::{MinFree, Size};

/// Options that override a key of the site file.
#[derive(Debug, Default, Args)]
pub struct SiteArguments {
    /// Folders whose *.tar.zst files are surveyed, or single archives of any size; also in object storage, as
    /// `s3://BUCKET/PREFIX` (`imgsieve man cloud`)
    #[arg(value_name = "COLLECTION")]
    pub collection: Vec<PathBuf>,
    /// Site file (TOML); see `imgsieve config` [default: the one in force]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Folder for the images that are kept. A scan makes it if it is missing, in a folder that exists
    #[arg(long, value_name = "FOLDER")]
    pub staging: Option<PathBuf>,
    /// The log, in JSON Lines, appended to; `-` for standard output, `none` for no log. Of a folder, all logs are read for what
    /// earlier runs found, and scan.jsonl, or scan-K-of-N.jsonl of a shard, is appended to. If repeated, the others are only
    /// read: logs, rotated logs, or folders of them
    #[arg(long, value_name = "FILE|FOLDER")]
    pub log: Vec<PathBuf>,
    /// Leave out archives in folders that are no larger than this
    #[arg(long, value_name = "SIZE")]
    pub min_archive_size: Option<Size>,
    /// Leave out images that are no larger than this
    #[arg(long, value_name = "SIZE")]
    pub min_image_size: Option<Size>,
    /// Keep images with at least this many partitions
    #[arg(long, value_name = "N")]
    pub min_partitions: Option<u32>,
    /// Space that has to stay free in staging: a percentage as df counts it, or a size
    #[arg(long, value_name = "SIZE|PERCENT")]
    pub min_free: Option<MinFree>,
    /// Never open the archive with this hash, nor those on the site's list; may be repeated
    #[arg(long, value_name = "HASH")]
    pub skip: Vec<String>,
    /// How the names of images end (ASCII case is ignored); several with commas: .img,.dd
    #[arg(long, value_name = "SUFFIX[,...]")]
    pub image_suffix: Option<Suffixes>,
    /// Archives read at a time [default: one per processor]
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<usize>,
    /// Largest zstd window accepted, up to 2GiB; each job may use that much memory
    #[arg(long, value_name = "SIZE")]
    pub max_window: Option<Size>,
    /// Stage no image larger than this [default: no limit]
    #[arg(long, value_name = "SIZE")]
    pub max_image_size: Option<Size>,
}

impl SiteArguments {
    /// The logs that are only read.
    pub fn more_logs(&self) -> Vec<PathBuf> {
        self.log.iter().skip(1).cloned().collect()
    }

    /// The site in force, checked.
    pub fn site(self) -> Result<Site, config::Error> {
        let site = Origin::find(self.config.as_deref())?.site()?;
        self.over(site)
    }

    /// `site` with what is given here, checked.
    pub fn over(self, mut site: Site) -> Result<Site, config::Error> {
        // The log and `imgsieve config` are read from anywhere.
        let absolute = |path: PathBuf| full_path(&path);
        // `-` and `none` are not files.
        let absolute_log = |path: PathBuf| match LogTarget::of(&path) {
            // The slash at its end says that it is a folder.
            LogTarget::File(_) if path.as_os_str().as_bytes().ends_with(b"/") => absolute(path).join(""),
            LogTarget::File(_) => absolute(path),
            _ => path,
        };
        if !self.collection.is_empty() {
            site.collection = self.collection.iter().map(|place| full_place(place)).collect();
        }
        set(&mut site.staging, self.staging.map(absolute));
        set(&mut site.log, self.log.into_iter().next().map(absolute_log));
        set(&mut site.min_archive_size, self.min_archive_size);
        set(&mut site.min_image_size, self.min_image_size);
        set(&mut site.min_partitions, self.min_partitions);
        set(&mut site.min_free, self.min_free);
        set(&mut site.image_suffix, self.image_suffix);
        set(&mut site.max_window, self.max_window);
        site.jobs = self.jobs.or(site.jobs);
        site.max_image_size = self.max_image_size.or(site.max_image_size);
        site.skip.extend(self.skip.into_iter().map(|hash| (hash, "--skip".to_owned())));
        site.check()?;
        Ok(site)
    }
}

fn set<T>(value: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *value = given;
    }
}
