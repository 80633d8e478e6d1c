//! Images that were staged, and what became of them, according to the log. Only the file system knows whether they are
//! still there.

use std::collections::HashMap;

use crate::log::record::{PartitionCheck, StagedId};
use crate::log::{At, Entry, Head, Listener, Name, Record};

/// Memory for staged images, in bytes, roughly: over half a million of them. More fit into no staging folder.
const MEMORY: usize = 512 << 20;

/// What became of a staged image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StagedState {
    /// It waits to be processed again.
    Kept,
    /// The command was started, and its end is not in the log.
    Begun,
    /// The command failed.
    Failed {
        /// What it exited with.
        exit_status: Option<i32>,
        /// The signal that ended it.
        signal: Option<String>,
    },
    /// The command succeeded.
    Reprocessed,
    /// It was removed from staging, after the command had succeeded.
    Removed,
}

impl StagedState {
    /// The word for it in reports.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            StagedState::Kept => "kept",
            StagedState::Begun => "begun",
            StagedState::Failed { .. } => "failed",
            StagedState::Reprocessed => "reprocessed",
            StagedState::Removed => "removed",
        }
    }
}

/// An image that a run staged.
#[derive(Debug, Clone, PartialEq)]
pub struct StagedImage {
    /// Where.
    pub path: Name,
    /// The archive it came from.
    pub hash: Name,
    /// Its file name in the archive.
    pub image: Name,
    /// Which image of its name in the archive it is, from 1.
    pub ordinal: u32,
    /// Its length in bytes.
    pub size: u64,
    /// What was found in it, in a sentence.
    pub found: String,
    /// What became of it.
    pub state: StagedState,
    /// Whether its frames were decoded to their end and their checksums held, as the last run has it that looked.
    pub verified: Option<bool>,
    /// The file that the command last succeeded with: its inode, and when it was changed, where the log has that.
    pub succeeded_with: Option<(u64, String)>,
    /// How much of the medium was rescued, in percent, and where it was not read, as the last run has it that knew.
    pub rescued: Option<(f64, Vec<(u64, u64)>)>,
}

impl StagedImage {
    /// The memory that it takes, in bytes, roughly.
    fn weight(&self) -> usize {
        let names = 2 * self.path.bytes().len() + self.hash.bytes().len() + self.image.bytes().len();
        2 * size_of::<StagedImage>() + names + self.found.len()
    }
}

/// All images that were staged according to the lines so far, by path.
#[derive(Debug, Clone, Default)]
pub struct Staged {
    images: HashMap<Name, StagedImage>,
    /// What they take, in bytes, roughly.
    taken: usize,
    more: u64,
}

impl Listener for Staged {
    fn wants(&mut self, head: &Head<'_>) -> bool {
        Staged::wants(head)
    }

    fn note(&mut self, entry: Entry, _at: At) {
        Staged::note(self, &entry.record);
    }
}

impl Staged {
    /// Whether a line may have to be noted.
    #[must_use]
    pub fn wants(head: &Head<'_>) -> bool {
        matches!(&*head.stage, "partition_check" | "reprocess_start" | "reprocess_complete" | "removed")
    }

    /// Takes note of what a line says.
    pub fn note(&mut self, record: &Record) {
        match record {
            Record::PartitionCheck(check) => self.note_check(check),
            Record::ReprocessStart(start) => self.set(&start.image, StagedState::Begun),
            Record::ReprocessComplete(end) if end.exit_status == Some(0) => {
                self.set(&end.image, StagedState::Reprocessed);
                if let Some(image) = end.image.path.as_ref().and_then(|path| self.images.get_mut(path)) {
                    image.succeeded_with = end.inode.zip(end.mtime.clone());
                }
            }
            Record::ReprocessComplete(end) => {
                let state = StagedState::Failed { exit_status: end.exit_status, signal: end.signal.clone() };
                self.set(&end.image, state);
            }
            Record::Removed(image) => self.set(image, StagedState::Removed),
            _ => {}
        }
    }

    fn note_check(&mut self, check: &PartitionCheck) {
        // The script that imgsieve replaces logged no size: such an image cannot be told from half of it.
        let (true, Some(path), Some(size)) = (check.action == "KEPT", &check.path, check.size_bytes) else { return };
        let rescued = check.rescued_pct.map(|percent| (percent, check.unread_areas.clone().unwrap_or_default()));
        if check.existing == Some(true)
            && let Some(known) = self.images.get_mut(path).filter(|known| known.size == size)
        {
            known.verified = check.verified.flatten().or(known.verified);
            known.rescued = rescued.or(known.rescued.take());
            return;
        }
        let staged = StagedImage {
            path: path.clone(),
            hash: check.image.hash.clone(),
            image: check.image.img.clone(),
            ordinal: check.ordinal(),
            size,
            found: check.found().to_owned(),
            state: StagedState::Kept,
            verified: check.verified.flatten(),
            succeeded_with: None,
            rescued,
        };
        let weight = staged.weight();
        if !self.images.contains_key(path) && self.taken + weight > MEMORY {
            self.more += 1;
            return;
        }
        self.taken += weight;
        if let Some(before) = self.images.insert(path.clone(), staged) {
            self.taken -= before.weight().min(self.taken);
        }
    }

    fn set(&mut self, image: &StagedId, state: StagedState) {
        if let Some(image) = image.path.as_ref().and_then(|path| self.images.get_mut(path)) {
            image.state = state;
        }
    }

    /// The image at `path`, if one was staged there.
    #[must_use]
    pub fn get(&self, path: &Name) -> Option<&StagedImage> {
        self.images.get(path)
    }

    /// Times that an image was staged and is not among these, because there are too many.
    #[must_use]
    pub fn more(&self) -> u64 {
        self.more
    }

    /// All of them, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &StagedImage> {
        self.images.values()
    }

    /// All of them, smallest first.
    #[must_use]
    pub fn into_images(self) -> Vec<StagedImage> {
        let mut images: Vec<StagedImage> = self.images.into_values().collect();
        images.sort_by(|a, b| (a.size, &a.path).cmp(&(b.size, &b.path)));
        images
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(lines: &[&str]) -> Vec<(String, StagedState)> {
        let mut staged = Staged::default();
        for line in lines {
            staged.note(&Entry::read(line).expect("a line").expect("a stage of ours").record);
        }
        let path = |image: StagedImage| (image.path.as_path().display().to_string(), image.state);
        staged.into_images().into_iter().map(path).collect()
    }

    const KEPT: &str = r#"{"stage":"partition_check","hash":"h","img":"a.img","action":"KEPT","path":"/s/h/a.img",
        "size_bytes":9,"existing":false}"#;
    const EXISTING: &str = r#"{"stage":"partition_check","hash":"h","img":"a.img","action":"KEPT","path":"/s/h/a.img",
        "size_bytes":9,"existing":true}"#;
    const DONE: &str = r#"{"stage":"reprocess_complete","path":"/s/h/a.img","exit_status":0}"#;
    const REMOVED: &str = r#"{"stage":"removed","path":"/s/h/a.img"}"#;

    #[test]
    fn an_image_goes_from_kept_to_removed() {
        let at = |state| vec![("/s/h/a.img".to_owned(), state)];
        let begun = r#"{"stage":"reprocess_start","path":"/s/h/a.img"}"#;
        let failed = r#"{"stage":"reprocess_complete","path":"/s/h/a.img","exit_status":null,"signal":"SIGKILL"}"#;
        assert_eq!(states(&[KEPT]), at(StagedState::Kept));
        assert_eq!(states(&[KEPT, begun]), at(StagedState::Begun));
        let signal = Some("SIGKILL".to_owned());
        assert_eq!(states(&[KEPT, begun, failed]), at(StagedState::Failed { exit_status: None, signal }));
        assert_eq!(states(&[KEPT, begun, DONE]), at(StagedState::Reprocessed));
        assert_eq!(states(&[KEPT, DONE, REMOVED]), at(StagedState::Removed));
    }

    #[test]
    fn what_was_found_wrong_stays_so_until_it_was_found_right() {
        let line =
            |existing: bool, more: &str| KEPT.replace("\"existing\":false", &format!("\"existing\":{existing},{more}"));
        let state = |lines: &[String]| {
            let mut staged = Staged::default();
            for line in lines {
                staged.note(&Entry::read(line).expect("a line").expect("a stage of ours").record);
            }
            let image = staged.into_images().pop().expect("an image");
            (image.verified, image.rescued)
        };
        let wrong = line(false, r#""verified":false,"rescued_pct":97.5,"unread_areas":[[512,1024]]"#);
        let unknown = line(true, r#""verified":null"#);
        let rescued = Some((97.5, vec![(512, 1024)]));
        assert_eq!(state(&[wrong.clone(), unknown.clone()]), (Some(false), rescued.clone()));
        let right = line(true, r#""verified":true"#);
        assert_eq!(state(&[wrong.clone(), right, unknown]), (Some(true), rescued));
        assert_eq!(state(&[wrong, line(false, r#""verified":true"#)]), (Some(true), None));
    }

    #[test]
    fn what_is_staged_anew_waits_again_and_what_was_only_found_again_does_not() {
        let at = |state| vec![("/s/h/a.img".to_owned(), state)];
        assert_eq!(states(&[KEPT, DONE, EXISTING]), at(StagedState::Reprocessed));
        assert_eq!(states(&[KEPT, DONE, REMOVED, KEPT]), at(StagedState::Kept));
        assert_eq!(states(&[EXISTING]), at(StagedState::Kept));
        assert_eq!(states(&[DONE, REMOVED]), []);
    }
}
