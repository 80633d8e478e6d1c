//! What a page is of: the folders of the collection, and what the skip list keeps out of it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::account::{Account, Run};
use crate::log::Name;

use super::words;

/// Folders that are named.
const FOLDERS_MOST: usize = 8;
/// Archives of the skip list that are named.
const SKIPPED_MOST: usize = 20;

/// The folders that archives lie in, those with the most archives first, and how many more there are. A folder that lies in
/// another one of them is not named.
pub fn folders(account: &Account) -> (Vec<String>, usize) {
    let archives = account.archives.iter().filter_map(|archive| archive.path.as_ref());
    let mut counts = counted(archives.map(Name::as_path));
    if counts.is_empty() {
        // Of a collection from which everything was left out.
        let files = account.runs.iter().flat_map(|run| run.left_out.values()).flat_map(|left_out| &left_out.files);
        counts = counted(files.map(|file| file.archive.as_path()));
    }
    let is_outermost = |folder: &Path| !folder.ancestors().skip(1).any(|outer| counts.contains_key(outer));
    let mut folders: Vec<(&Path, usize)> =
        counts.iter().map(|(&folder, &count)| (folder, count)).filter(|&(folder, _)| is_outermost(folder)).collect();
    folders.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let more = folders.len().saturating_sub(FOLDERS_MOST);
    let named = folders.iter().take(FOLDERS_MOST);
    (named.map(|(folder, _)| words::name(folder.as_os_str().as_encoded_bytes())).collect(), more)
}

fn counted<'a>(paths: impl Iterator<Item = &'a Path>) -> BTreeMap<&'a Path, usize> {
    let mut counts = BTreeMap::new();
    for folder in paths.filter_map(Path::parent).filter(|folder| !folder.as_os_str().is_empty()) {
        *counts.entry(folder).or_default() += 1;
    }
    counts
}

/// An archive on the skip list.
pub struct Skipped {
    /// Its hash.
    pub hash: String,
    /// Why it is there, if that is known.
    pub reason: String,
}

/// The archives of `run` that are on the skip list, and how many more there are.
pub fn skipped(run: &Run) -> (Vec<Skipped>, u64) {
    let left_out = run.left_out.get("skip_list");
    let reasons = left_out.map_or(&[][..], |left_out| &left_out.files).iter().map(|file| file.reason.as_deref());
    let reasons = reasons.chain(std::iter::repeat(None));
    let named = run.start.skipped.iter().zip(reasons).take(SKIPPED_MOST);
    let skipped: Vec<Skipped> = named
        .map(|(hash, reason)| Skipped {
            hash: words::name(hash.as_bytes()),
            reason: words::name(reason.unwrap_or_default().as_bytes()),
        })
        .collect();
    let all = (run.start.skipped.len() as u64).max(left_out.map_or(0, |left_out| left_out.count));
    let more = all.saturating_sub(skipped.len() as u64);
    (skipped, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_folders_are_not_named() {
        let paths = ["/a/x/1", "/a/x/2", "/a/x/3", "/b/1", "/b/2", "/a/2", "lone"];
        let mut account = Account::default();
        for path in paths {
            let start = crate::log::record::ArchiveStart {
                archive: Some(path.into()),
                ..crate::log::record::ArchiveStart::default()
            };
            account.archives.push(crate::account::ArchiveAccount::begun(0, None, &start));
        }
        assert_eq!(folders(&account), (vec!["/b".to_owned(), "/a".to_owned()], 0));
    }
}
