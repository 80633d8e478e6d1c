//! The options that override keys of the site file, for every command that goes by one.

use std::path::PathBuf;

use clap::Args;

use crate::config::{self, Site};
use crate::suffixes::Suffixes;
use crate::units::{MinFree, Size};

/// Options that override a key of the site file.
#[derive(Debug, Default, Args)]
pub struct SiteArguments {
    /// Folders whose *.tar.zst are surveyed, or single archives, which may be of any size
    #[arg(value_name = "COLLECTION")]
    pub collection: Vec<PathBuf>,
    /// Site file (TOML) instead of the built-in one; see `imgsieve config`
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where images that are kept go
    #[arg(long, value_name = "FOLDER")]
    pub staging: Option<PathBuf>,
    /// The log, JSON Lines, appended to. If repeated, what earlier runs found is read from the others, too: logs, what
    /// logrotate made of them, folders of these
    #[arg(long, value_name = "FILE")]
    pub log: Vec<PathBuf>,
    /// Pass over archives in a folder that are no larger
    #[arg(long, value_name = "SIZE")]
    pub min_archive_size: Option<Size>,
    /// Pass over images that are no larger
    #[arg(long, value_name = "SIZE")]
    pub min_image_size: Option<Size>,
    /// Keep images with so many partitions or more
    #[arg(long, value_name = "N")]
    pub min_partitions: Option<u32>,
    /// What has to stay free in staging: a percentage as df counts it, or a size
    #[arg(long, value_name = "SIZE|PERCENT")]
    pub min_free: Option<MinFree>,
    /// Never open the archive of this hash, besides those on the site's list; may be repeated
    #[arg(long, value_name = "HASH")]
    pub skip: Vec<String>,
    /// How the name of an image ends (ASCII case ignored); several with commas: .img,.dd
    #[arg(long, value_name = "SUFFIX[,...]")]
    pub image_suffix: Option<Suffixes>,
    /// Archives read at a time [default: one a processor]
    #[arg(long, short, value_name = "N")]
    pub jobs: Option<usize>,
    /// Largest zstd window accepted, up to 2GiB; each of the jobs may use so much memory
    #[arg(long, value_name = "SIZE")]
    pub max_window: Option<Size>,
    /// Stage no image that is larger [default: no limit]
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
        let mut site = match &self.config {
            Some(path) => Site::read(path)?,
            None => Site::built_in(),
        };
        // As the log and `imgsieve config` have to tell them: from anywhere.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        if !self.collection.is_empty() {
            site.collection = self.collection.into_iter().map(absolute).collect();
        }
        set(&mut site.staging, self.staging.map(absolute));
        set(&mut site.log, self.log.into_iter().next().map(absolute));
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
