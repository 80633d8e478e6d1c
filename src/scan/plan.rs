//! Which archives are surveyed, and in which order.

mod objects;

use std::collections::{BTreeSet, HashSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::archive_name;
use crate::cause::Cause;
use crate::config::Config;
use crate::event::{Archive, LeftOutBy, Mark, Rule, Unsurveyed};
use crate::exit;
use crate::listing;
use crate::object;
use crate::reason::Reason;
use crate::sanitize::printable;
use crate::shard::{Part, Shard};

/// The archives of a run.
#[derive(Debug, Default)]
pub struct Plan {
    /// In the order in which they are started: smallest first, ranks from 1.
    pub archives: Vec<Arc<Archive>>,
    /// What was left out, and why.
    pub left_out: LeftOutBy,
    /// What has an archive's name, and cannot be one.
    pub problems: Vec<(PathBuf, Cause)>,
    /// The part of the collection that this is of, if it is not all of it.
    pub part: Option<Part>,
}

/// The names that were met, and which of them count.
struct Names {
    shard: Option<Shard>,
    /// Hashes of archives, those of other shards, too.
    archives: BTreeSet<OsString>,
    /// How many of them belong to the shard.
    of_shard: u64,
}

/// How a collection is listed.
struct Listing {
    recursive: bool,
    /// Folders that were entered: device and inode.
    entered: HashSet<(u64, u64)>,
    names: Names,
}

/// What may be an archive.
struct Candidate {
    path: PathBuf,
    /// Whether it was named itself.
    is_named: bool,
    /// What its store says of it, if it is in one.
    object: Option<object::Identity>,
}

/// What can be an archive.
struct Found {
    hash: OsString,
    file: File,
    size: u64,
    mtime: Option<String>,
    mark: Mark,
}

/// What is the same by whichever way it is come to.
#[derive(PartialEq, Eq, Hash)]
enum File {
    Inode { device: u64, inode: u64 },
    Object(PathBuf),
}

impl Plan {
    /// Compressed bytes of all archives.
    #[must_use]
    pub fn total_bytes(&self) -> u64 {
        Archive::total_bytes(self.archives.iter().map(Arc::as_ref))
    }
}

/// Chooses the archives. Fails where a folder or archive that was named cannot be read, or nothing of a list is there, for
/// the collection may only not be mounted, and where a hash that was named is not in it: nothing is surveyed then.
///
/// What is in object storage is asked for there, until `stop` is set: then the plan is empty.
pub fn select(config: &Config, stop: &object::Stop) -> Result<Plan, Cause> {
    let mut plan = Plan::default();
    let names = Names { shard: config.shard, archives: BTreeSet::new(), of_shard: 0 };
    let mut listing = Listing { recursive: config.recursive, entered: HashSet::new(), names };
    let Some(mut candidates) = plan.find(config, &mut listing, stop)? else { return Ok(Plan::default()) };
    let names = listing.names;
    // What was named comes first: a folder that it also lies in must not make it one of the folder's small archives.
    candidates.sort_by_key(|candidate| !candidate.is_named);
    // A minimum of 0 is none: an empty file then is an archive that cannot be read, and told as such.
    let least = config.site.min_archive_size.0;
    let is_small = |length| least > 0 && length <= least;
    let mut hashes = HashSet::new();
    let mut files = HashSet::new();
    let mut chosen = Vec::new();
    for Candidate { path, is_named, object } in candidates {
        let Found { hash, file, size, mtime, mark } = match check(&path, object) {
            Ok(found) => found,
            Err(cause) => {
                plan.problems.push((path, cause));
                continue;
            }
        };
        // The same archive by two ways is one; a hard link of another name is another.
        if !files.insert((file, hash.clone())) {
            continue;
        }
        let skip_reason = hash.to_str().and_then(|hash| config.site.skip.get(hash));
        if let Some(reason) = skip_reason {
            plan.leave_out(Rule::SkipList, path, Some(size), Some(reason.clone()));
        } else if !config.only.is_empty() && !config.only.iter().any(|only| **only == *hash) {
            plan.leave_out(Rule::NotSelected, path, Some(size), None);
        } else if !is_named && is_small(size) {
            // A folder's small archives are not meant; one that was named is, whatever its size.
            plan.leave_out(Rule::TooSmall, path, Some(size), None);
        } else if hashes.insert(hash.clone()) {
            chosen.push(Archive { hash, path, size, mtime, mark, rank: 0 });
        } else {
            let message = format!(
                "another archive of this run also has the hash {}; both would be staged to the same folder",
                printable(hash.as_bytes())
            );
            plan.problems.push((path, Cause::new(Reason::HashTaken, message)));
        }
    }
    for (option, reason, named) in
        [("--only", Reason::Only, &config.only), ("--skip", Reason::Skip, &config.skip_expected)]
    {
        if let Some(hash) = named.iter().find(|hash| !names.archives.contains(OsStr::new(hash))) {
            let is_of_file = config.site.skip.get(hash).is_some_and(|reason| reason != "--skip");
            let option = if option == "--skip" && is_of_file { "[skip] of the site file," } else { option };
            let message = format!(
                "{option} {}: the collection has no archive of that hash{}; nothing was opened",
                printable(hash.as_bytes()),
                near(hash, &names.archives)
            );
            return Err(Cause::new(reason, message));
        }
    }
    if let Some(hash) = config.only.iter().find(|hash| config.site.skip.contains_key(*hash)) {
        let message = format!("--only {}: also on the skip list; nothing was opened", printable(hash.as_bytes()));
        return Err(Cause::new(Reason::Only, message));
    }
    chosen.sort_by(|a, b| (a.size, &a.hash).cmp(&(b.size, &b.hash)));
    if let Some(limit) = config.limit {
        for Archive { path, size, .. } in chosen.drain(limit.min(chosen.len())..) {
            plan.leave_out(Rule::NotSelected, path, Some(size), None);
        }
    }
    let (archives, of_archives) = (names.of_shard, names.archives.len() as u64);
    plan.part = config.shard.map(|shard| Part { shard, archives, of_archives });
    plan.archives = (1..).zip(chosen).map(|(rank, archive)| Arc::new(Archive { rank, ..archive })).collect();
    Ok(plan)
}

impl Plan {
    /// What may be an archive of all that the collection, and a list, name; none where the run is to end.
    fn find(
        &mut self,
        config: &Config,
        listing: &mut Listing,
        stop: &object::Stop,
    ) -> Result<Option<Vec<Candidate>>, Cause> {
        let mut candidates = Vec::new();
        for place in &config.site.collection {
            let unreadable = |error: io::Error| {
                let message = format!("cannot read the collection {}: {error}; is it mounted?", place.display());
                Cause::new(Reason::Collection, message).passing(exit::may_pass(&error))
            };
            // A shard of archives that are named one by one is decided on by their names alone.
            if config.shard.is_some() && is_named_as_archive(place) && !listing.names.note(place) {
                continue;
            }
            if object::is_url(place) {
                match objects::find(self, place, listing, stop) {
                    Ok(found) => candidates.extend(found),
                    Err(object::Error::Interrupted) => return Ok(None),
                    Err(error) => return Err(objects::cause(place, &error)),
                }
                continue;
            }
            let metadata = std::fs::metadata(place).map_err(unreadable)?;
            if metadata.is_dir() && !(config.shard.is_some() && is_named_as_archive(place)) {
                // A folder that is named twice is entered once.
                if listing.entered.insert((metadata.dev(), metadata.ino())) {
                    let paths = self.enter(place, listing).map_err(unreadable)?;
                    candidates.extend(paths.into_iter().map(|path| Candidate { path, is_named: false, object: None }));
                }
            } else if listing.names.note(place) {
                candidates.push(Candidate { path: place.clone(), is_named: true, object: None });
            }
        }
        let listed = config.listed.iter().filter(|path| listing.names.note(path)).cloned();
        let listed: Vec<PathBuf> = listed.collect();
        let is_url = |path: &Path| object::is_url(path) || object::misspelt(path).is_some();
        if let Some(first) = listed.first()
            && candidates.is_empty()
            && listed.iter().all(|path| !is_url(path) && !path.try_exists().unwrap_or(true))
        {
            let message =
                format!("nothing of the list is there, {} first; is the collection mounted?", first.display());
            return Err(Cause::new(Reason::Collection, message).passing(true));
        }
        let (objects, listed): (Vec<PathBuf>, Vec<PathBuf>) = listed.into_iter().partition(|path| is_url(path));
        for (path, found) in objects::look_at(&objects, stop)? {
            match found {
                Ok(object) => candidates.push(Candidate { path, is_named: true, object: Some(object) }),
                Err(object::Error::Interrupted) => return Ok(None),
                Err(error) if error.is_of_object() => {
                    self.problems.push((path, Cause::new(Reason::Io, format!("cannot examine it: {error}"))));
                }
                // It is not this object that is in the way.
                Err(error) => return Err(objects::cause(&path, &error)),
            }
        }
        candidates.extend(listed.into_iter().map(|path| Candidate { path, is_named: true, object: None }));
        Ok(Some(candidates))
    }

    fn leave_out(&mut self, rule: Rule, path: PathBuf, size: Option<u64>, reason: Option<String>) {
        self.left_out.entry(rule).or_default().add(Unsurveyed { path, size, reason });
    }

    /// What has an archive's name in `folder`, sorted; of a recursive listing, in the folders in it, too. Links to folders are
    /// not followed, and no folder is entered twice. What else there is, is left out. Of another shard nothing is told.
    fn enter(&mut self, folder: &Path, listing: &mut Listing) -> io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        let mut folders = Vec::new();
        let mut others = Vec::new();
        listing::each(folder, |entry| {
            let path = entry.path();
            let is_of_archive = is_named_as_archive(&path);
            if is_of_archive && !listing.recursive {
                if listing.names.note(&path) {
                    paths.push(path);
                }
                return Ok(());
            }
            let kind = match entry.kind() {
                // What is gone by now is missed only if it has an archive's name.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    if is_of_archive && listing.names.note(&path) {
                        paths.push(path);
                    }
                    return Ok(());
                }
                kind => kind?,
            };
            if kind.is_dir() {
                folders.push(path);
            } else if is_of_archive && listing.names.note(&path) {
                paths.push(path);
            } else if !is_of_archive && listing.names.has(&path) {
                if kind.is_symlink() && path.is_dir() {
                    self.leave_out(Rule::Folder, path, None, None);
                } else {
                    others.push(path);
                }
            }
            Ok(())
        })?;
        paths.sort();
        folders.sort();
        others.sort();
        for path in others {
            let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            self.leave_out(Rule::OtherEnding, path, Some(size), None);
        }
        for path in folders {
            let is_told = listing.names.has(&path);
            if !listing.recursive {
                if is_told {
                    self.leave_out(Rule::Folder, path, None, None);
                }
                continue;
            }
            let entered = std::fs::symlink_metadata(&path).and_then(|metadata| {
                let is_new = listing.entered.insert((metadata.dev(), metadata.ino()));
                if is_new { self.enter(&path, listing) } else { Ok(Vec::new()) }
            });
            match entered {
                Ok(more) => paths.extend(more),
                Err(error) if is_told => {
                    let cause = Cause::new(Reason::Io, format!("the folder cannot be read: {error}"));
                    self.problems.push((path, cause));
                }
                Err(_) => {}
            }
        }
        Ok(paths)
    }
}

impl Names {
    /// Whether what is at `path` belongs to the shard.
    fn has(&self, path: &Path) -> bool {
        self.shard.is_none_or(|shard| shard.has(file_name(path)))
    }

    /// The same of what may be an archive, of which note is taken.
    fn note(&mut self, path: &Path) -> bool {
        let has = self.has(path);
        if let Some(hash) = archive_name::hash(file_name(path)) {
            let is_new = self.archives.insert(OsStr::from_bytes(hash).to_owned());
            self.of_shard += u64::from(is_new && has);
        }
        has
    }
}

/// Whether something in the folder is named as an archive.
#[must_use]
pub fn has_archives(folder: &Path) -> bool {
    let mut has = false;
    let told = listing::each(folder, |entry| {
        has |= archive_name::hash(entry.name().as_bytes()).is_some();
        Ok(())
    });
    told.is_ok() && has
}

fn file_name(path: &Path) -> &[u8] {
    path.file_name().map(OsStr::as_bytes).unwrap_or_default()
}

/// Whether a path is one of an archive by its name. With a slash at its end, it is that of a folder.
fn is_named_as_archive(path: &Path) -> bool {
    !path.as_os_str().as_bytes().ends_with(b"/") && archive_name::hash(file_name(path)).is_some()
}

/// What may have been meant with a hash that is not there.
fn near(hash: &str, met: &BTreeSet<OsString>) -> String {
    let met = || met.iter().filter_map(|hash| hash.to_str());
    let bare = archive_name::hash(hash.as_bytes()).and_then(|bare| std::str::from_utf8(bare).ok()).unwrap_or(hash);
    if let Some(same) = met().find(|other| *other == bare || hash != bare && other.eq_ignore_ascii_case(bare)) {
        return format!(" (is {} meant?)", printable(same.as_bytes()));
    }
    let mut near = met().filter(|other| {
        let begins = other.get(..bare.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(bare));
        !bare.is_empty() && begins
    });
    match (near.next(), near.next()) {
        (Some(only), None) => format!(" (is {} meant?)", printable(only.as_bytes())),
        (Some(first), Some(_)) => format!(" ({} and others begin with it)", printable(first.as_bytes())),
        _ => String::new(),
    }
}

/// What is at `path`, or is this object, if it can be an archive.
fn check(path: &Path, object: Option<object::Identity>) -> Result<Found, Cause> {
    let Some(hash) = archive_name::hash(file_name(path)) else {
        return Err(Cause::new(Reason::NotAnArchive, format!("its name does not end in {}", archive_name::IN_WORDS)));
    };
    if matches!(hash, b"" | b"." | b"..") {
        return Err(Cause::new(Reason::Hash, "its name without the suffix cannot be the name of a folder in staging"));
    }
    let hash = OsString::from_vec(hash.to_vec());
    if let Some(object::Identity { length, modified, etag, version }) = object {
        let (file, mark) = (File::Object(path.to_owned()), Mark::Tag { etag, version });
        return Ok(Found { hash, file, size: length, mtime: modified, mark });
    }
    let metadata =
        std::fs::metadata(path).map_err(|error| Cause::new(Reason::Io, format!("cannot examine it: {error}")))?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { "a folder" } else { "not a regular file" };
        return Err(Cause::new(Reason::NotAFile, format!("it has an archive's name, but is {what}")));
    }
    let ctime = format!("{}.{:09}", metadata.ctime(), metadata.ctime_nsec());
    Ok(Found {
        hash,
        file: File::Inode { device: metadata.dev(), inode: metadata.ino() },
        size: metadata.len(),
        mtime: Some(format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec())),
        mark: Mark::Inode { ctime, inode: metadata.ino() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Site;
    use crate::units::Size;

    fn select(config: &Config) -> Result<Plan, Cause> {
        super::select(config, &object::Stop::default())
    }

    fn config(folder: &Path) -> Config {
        let mut site = Site::built_in();
        site.collection = vec![folder.to_owned()];
        site.min_archive_size = Size(10);
        Config::new(site)
    }

    fn hashes(plan: &Plan) -> Vec<&str> {
        plan.archives.iter().filter_map(|archive| archive.hash.to_str()).collect()
    }

    fn left_out(plan: &Plan, rule: Rule) -> u64 {
        plan.left_out.get(&rule).map_or(0, |left_out| left_out.count)
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
        assert_eq!((left_out(&plan, Rule::TooSmall), plan.total_bytes()), (1, 52));
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
            assert_eq!((left_out(&plan, Rule::OtherEnding), plan.problems.len()), (5, 0));
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
        assert_eq!(plan.left_out[&Rule::SkipList].files[0].reason.as_deref(), Some("dump-2019"));
    }

    #[test]
    fn a_small_archive_that_is_named_beside_its_folder_is_chosen() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        file(folder.path(), "tiny.tar.zst", 1);
        let mut config = config(folder.path());
        config.site.collection.push(folder.path().join("tiny.tar.zst"));
        let plan = select(&config).expect("readable");
        assert_eq!((hashes(&plan), left_out(&plan, Rule::TooSmall)), (vec!["tiny"], 0));
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
    fn a_hash_that_is_not_there_is_refused_with_what_may_be_meant() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["ab12.tar.zst", "ab34.tzst", "cd.tar.zst"] {
            file(folder.path(), name, 30);
        }
        let refused = |only: &[&str], skip: &[&str]| {
            let mut config = config(folder.path());
            config.only = only.iter().map(ToString::to_string).collect();
            config.skip_expected = skip.iter().map(ToString::to_string).collect();
            config.site.skip.extend(skip.iter().map(|hash| (hash.to_string(), "--skip".to_owned())));
            select(&config).err().map(|cause| cause.message)
        };
        let message = |option, hint| {
            Some(format!("{option}: the collection has no archive of that hash{hint}; nothing was opened"))
        };
        assert_eq!(refused(&[], &["cd"]), None);
        assert_eq!(refused(&["ab12", "ab34"], &[]), None);
        assert_eq!(refused(&["ab12", "x"], &[]), message("--only x", ""));
        assert_eq!(refused(&[], &["AB12"]), message("--skip AB12", " (is ab12 meant?)"));
        assert_eq!(refused(&[], &["cd.tar.zst"]), message("--skip cd.tar.zst", " (is cd meant?)"));
        assert_eq!(refused(&[], &["ab"]), message("--skip ab", " (ab12 and others begin with it)"));
        assert_eq!(refused(&["cd"], &["cd"]).as_deref(), Some("--only cd: also on the skip list; nothing was opened"));
    }

    #[test]
    fn folders_are_entered_if_asked_and_never_through_links() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(path("a/b.tar.zst")).expect("folders");
        std::os::unix::fs::symlink("..", path("a/up")).expect("a link");
        for (name, length) in [("x.tar.zst", 11), ("a/y.tar.zst", 12), ("a/b.tar.zst/z.tar.zst", 13), ("a/notes", 1)] {
            file(folder.path(), name, length);
        }
        let mut config = config(folder.path());
        let plan = select(&config).expect("readable");
        assert_eq!((hashes(&plan), left_out(&plan, Rule::Folder)), (vec!["x"], 1));
        config.recursive = true;
        config.site.collection.push(path("a"));
        let plan = select(&config).expect("readable");
        assert_eq!((hashes(&plan), plan.problems.len()), (vec!["x", "y", "z"], 0));
        assert_eq!((left_out(&plan, Rule::Folder), left_out(&plan, Rule::OtherEnding)), (1, 1));
        assert_eq!(plan.left_out[&Rule::Folder].files[0].path, path("a/up"));
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
        assert_eq!((hashes(&plan), left_out(&plan, Rule::NotSelected)), (vec!["c"], 2));
    }

    #[test]
    fn a_collection_that_is_not_there_fails_before_anything_starts() {
        assert_eq!(select(&config(Path::new("/nonexistent/cold"))).expect_err("not there").code, Reason::Collection);
    }
}
