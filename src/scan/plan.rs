//! Which archives are surveyed, and in which order.

use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::fs::Metadata;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive_name;
use crate::cause::Cause;
use crate::config::Config;
use crate::event::{Archive, LeftOut};
use crate::reason::Reason;

/// The archives of a run.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order in which they are started: smallest first, ranks from 1.
    pub archives: Vec<Arc<Archive>>,
    /// What was left out, and why.
    pub left_out: LeftOut,
    /// What has an archive's name, and cannot be one.
    pub problems: Vec<(PathBuf, Cause)>,
}

impl Plan {
    /// Compressed bytes of all archives.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        self.archives.iter().map(|archive| archive.size).sum()
    }
}

/// Chooses the archives. Fails where a folder or archive that was named cannot be read: nothing is surveyed then, for
/// the collection may only not be mounted.
pub fn select(config: &Config) -> Result<Plan, Cause> {
    let mut plan = Plan::default();
    let mut candidates = Vec::new();
    let mut folders = HashSet::new();
    for place in &config.site.collection {
        let unreadable = |error: io::Error| {
            let message = format!("cannot read the collection {}: {error}; is it mounted?", place.display());
            Cause::new(Reason::Collection, message)
        };
        let metadata = std::fs::metadata(place).map_err(unreadable)?;
        if metadata.is_dir() {
            let (paths, others) = in_folder(place).map_err(unreadable)?;
            candidates.extend(paths.into_iter().map(|path| (path, false)));
            // A folder that is named twice has its other files once.
            if folders.insert((metadata.dev(), metadata.ino())) {
                plan.left_out.other_endings += others;
            }
        } else {
            candidates.push((place.clone(), true));
        }
    }
    // What was named comes first: a folder that it also lies in must not make it one of the folder's small archives.
    candidates.sort_by_key(|(_, is_named)| !is_named);
    // A minimum of 0 is none: an empty file then is an archive that cannot be read, and told as such.
    let least = config.site.min_archive_size.0;
    let is_small = |length| least > 0 && length <= least;
    let mut hashes = HashSet::new();
    let mut files = HashSet::new();
    let mut chosen = Vec::new();
    for (path, is_named) in candidates {
        let (hash, metadata) = match check(&path) {
            Ok(found) => found,
            Err(cause) => {
                plan.problems.push((path, cause));
                continue;
            }
        };
        // The same archive by two ways is one; a hard link of another name is another.
        if !files.insert((metadata.dev(), metadata.ino(), hash.clone())) {
            continue;
        }
        if let Some(reason) = hash.to_str().and_then(|hash| config.site.skip.get(hash)) {
            plan.left_out.skipped.push((hash, reason.clone()));
        } else if !config.only.is_empty() && !config.only.iter().any(|only| **only == *hash) {
            plan.left_out.not_selected += 1;
        } else if !is_named && is_small(metadata.len()) {
            // A folder's small archives are not meant; one that was named is, whatever its size.
            plan.left_out.too_small += 1;
        } else if hashes.insert(hash.clone()) {
            let mtime = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
            chosen.push(Archive { hash, path, size: metadata.len(), mtime, rank: 0 });
        } else {
            let message = format!(
                "another archive of this run also has the hash {}; both would be staged to the same folder",
                crate::sanitize::printable(hash.as_bytes())
            );
            plan.problems.push((path, Cause::new(Reason::HashTaken, message)));
        }
    }
    chosen.sort_by(|a, b| (a.size, &a.hash).cmp(&(b.size, &b.hash)));
    if let Some(limit) = config.limit {
        plan.left_out.not_selected += chosen.len().saturating_sub(limit) as u64;
        chosen.truncate(limit);
    }
    plan.archives = (1..).zip(chosen).map(|(rank, archive)| Arc::new(Archive { rank, ..archive })).collect();
    Ok(plan)
}

/// What has an archive's name directly in `folder`, by name, and how many files have another one.
fn in_folder(folder: &Path) -> io::Result<(Vec<PathBuf>, u64)> {
    let mut paths = Vec::new();
    let mut others = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if archive_name::hash(entry.file_name().as_bytes()).is_some() {
            paths.push(entry.path());
        } else {
            let kind = entry.file_type()?;
            let is_file = kind.is_file() || kind.is_symlink() && entry.path().is_file();
            others += u64::from(is_file);
        }
    }
    paths.sort();
    Ok((paths, others))
}

/// The hash of the archive at `path`, and what the file system says of it, if it can be an archive.
fn check(path: &Path) -> Result<(OsString, Metadata), Cause> {
    let name = path.file_name().map(OsStr::as_bytes).unwrap_or_default();
    let Some(hash) = archive_name::hash(name) else {
        return Err(Cause::new(Reason::NotAnArchive, format!("its name does not end in {}", archive_name::IN_WORDS)));
    };
    if matches!(hash, b"" | b"." | b"..") {
        return Err(Cause::new(Reason::Hash, "its name without the suffix cannot be the name of a folder in staging"));
    }
    let metadata =
        std::fs::metadata(path).map_err(|error| Cause::new(Reason::Io, format!("cannot examine it: {error}")))?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a folder" } else { "not a regular file" };
        return Err(Cause::new(Reason::NotAFile, format!("it has an archive's name, but is {what}")));
    }
    Ok((OsString::from_vec(hash.to_vec()), metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Site;
    use crate::units::Size;

    fn config(folder: &Path) -> Config {
        let mut site = Site::built_in();
        site.collection = vec![folder.to_owned()];
        site.min_archive_size = Size(10);
        Config::new(site)
    }

    fn hashes(plan: &Plan) -> Vec<&str> {
        plan.archives.iter().filter_map(|archive| archive.hash.to_str()).collect()
    }

    fn file(folder: &Path, name: &str, length: usize) {
        std::fs::write(folder.join(name), vec![0; length]).expect("a file");
    }

    #[test]
    fn smallest_archives_come_first_and_small_ones_not_at_all() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, length) in [("big.tar.zst", 30), ("b.tar.zst", 11), ("a.tar.zst", 11), ("tiny.tar.zst", 10)] {
            file(folder.path(), name, length);
        }
        file(folder.path(), "other.zst", 50);
        let plan = select(&config(folder.path())).expect("readable");
        assert_eq!(hashes(&plan), ["a", "b", "big"]);
        assert_eq!(plan.archives.iter().map(|archive| archive.rank).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!((plan.left_out.too_small, plan.total_bytes()), (1, 52));
    }

    #[test]
    fn every_ending_of_an_archive_is_one_and_other_files_are_counted() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (length, name) in (11..).zip(["a.tzst", "b.tar.zstd", "C.TAR.ZST", "d.Tar.Zst"]) {
            file(folder.path(), name, length);
        }
        for name in ["a.map", "b.tar.gz", "c.tar.zst~"] {
            file(folder.path(), name, 50);
        }
        std::fs::create_dir(folder.path().join("e.old")).expect("a folder");
        std::os::unix::fs::symlink("a.map", folder.path().join("link")).expect("a link");
        std::os::unix::fs::symlink("nowhere", folder.path().join("dangling")).expect("a link");
        let mut config = config(folder.path());
        for _ in 0..2 {
            let plan = select(&config).expect("readable");
            assert_eq!(hashes(&plan), ["a", "b", "C", "d"]);
            assert_eq!((plan.left_out.other_endings, plan.problems.len()), (4, 0));
            // Named twice, it is the same folder.
            config.site.collection.push(folder.path().join("."));
        }
    }

    #[test]
    fn two_endings_of_one_hash_are_two_archives_of_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        file(folder.path(), "a.tzst", 20);
        file(folder.path(), "a.tar.zst", 20);
        let plan = select(&config(folder.path())).expect("readable");
        assert_eq!(hashes(&plan), ["a"]);
        assert_eq!(plan.problems.iter().map(|(_, cause)| cause.code.as_str()).collect::<Vec<_>>(), ["hash_taken"]);
    }

    #[test]
    fn an_archive_that_is_named_may_be_small_but_never_one_to_skip() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        file(folder.path(), "tiny.tar.zst", 1);
        file(folder.path(), "1d7c9dc81a26c871ccafc71ab284b4aa.tar.zst", 100);
        let mut config = config(folder.path());
        config.site.collection = ["tiny", "1d7c9dc81a26c871ccafc71ab284b4aa"]
            .map(|name| folder.path().join(name).with_extension("tar.zst"))
            .to_vec();
        let plan = select(&config).expect("readable");
        assert_eq!(hashes(&plan), ["tiny"]);
        assert_eq!(plan.left_out.skipped[0].1, "dump-2019");
    }

    #[test]
    fn a_small_archive_that_is_named_beside_its_folder_is_chosen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        file(folder.path(), "tiny.tar.zst", 1);
        let mut config = config(folder.path());
        config.site.collection.push(folder.path().join("tiny.tar.zst"));
        let plan = select(&config).expect("readable");
        assert_eq!((hashes(&plan), plan.left_out.too_small), (vec!["tiny"], 0));
    }

    #[test]
    fn a_hash_that_is_taken_or_no_name_is_refused() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let other = tempfile::tempdir().expect("a temporary folder");
        file(folder.path(), "a.tar.zst", 20);
        file(other.path(), "a.tar.zst", 20);
        for name in [".tzst", "..tar.zst", "...tar.zst"] {
            file(folder.path(), name, 20);
        }
        let mut config = config(folder.path());
        config.site.collection.push(other.path().to_owned());
        // The same file by another way is not another archive.
        config.site.collection.push(folder.path().join("a.tar.zst"));
        let plan = select(&config).expect("readable");
        assert_eq!(hashes(&plan), ["a"]);
        let codes: Vec<_> = plan.problems.iter().map(|(_, cause)| cause.code.as_str()).collect();
        assert_eq!(codes, ["hash", "hash", "hash", "hash_taken"]);
    }

    #[test]
    fn a_folder_with_an_archives_name_is_a_problem_and_not_an_archive() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::create_dir(folder.path().join("x.tar.zst")).expect("a folder");
        std::os::unix::fs::symlink("nowhere", folder.path().join("y.tar.zst")).expect("a link");
        let plan = select(&config(folder.path())).expect("readable");
        assert_eq!(plan.archives.len(), 0);
        assert_eq!(
            plan.problems.iter().map(|(_, cause)| cause.code.as_str()).collect::<Vec<_>>(),
            ["not_a_file", "io"]
        );
    }

    #[test]
    fn only_and_limit_choose() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for (name, length) in [("a.tar.zst", 30), ("b.tar.zst", 20), ("c.tar.zst", 40)] {
            file(folder.path(), name, length);
        }
        let mut config = config(folder.path());
        config.limit = Some(2);
        assert_eq!(hashes(&select(&config).expect("readable")), ["b", "a"]);
        config.only = vec!["c".to_owned()];
        let plan = select(&config).expect("readable");
        assert_eq!((hashes(&plan), plan.left_out.not_selected), (vec!["c"], 2));
    }

    #[test]
    fn a_collection_that_is_not_there_fails_before_anything_starts() {
        assert_eq!(select(&config(Path::new("/nonexistent/cold"))).expect_err("not there").code, Reason::Collection);
    }
}
