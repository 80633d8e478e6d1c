//! What a run came to, for a person.

use std::fmt::Write as _;
use std::path::Path;

use crate::sanitize::printable;
use crate::units::{counted, human, human_seconds};

/// Failures that are listed; others only have their number.
const LISTED: usize = 10_000;

/// What became of the images.
#[derive(Debug, Default)]
pub struct Summary {
    /// Images that the command succeeded with, and their bytes.
    pub reprocessed: (u64, u64),
    /// Images that were removed, and their bytes.
    pub removed: (u64, u64),
    /// Images that were passed over because they were reprocessed before.
    pub passed_over: u64,
    /// Images that were reprocessed before and are gone.
    pub gone: u64,
    /// Images not begun when the run ended.
    pub not_begun: u64,
    /// Images that failed.
    pub failed: u64,
    /// How many of them trying again later may mend, with nothing else changed.
    pub passing: u64,
    /// The first that failed, and why.
    failures: Vec<(String, String)>,
    /// Wall time in seconds.
    pub seconds: f64,
}

impl Summary {
    /// Nothing was done yet, and so many images are passed over.
    #[must_use]
    pub fn new(passed_over: u64) -> Summary {
        Summary { passed_over, ..Summary::default() }
    }

    /// Adds an image that failed; where it `may_pass`, trying again later may mend it.
    pub fn fail(&mut self, path: &Path, why: String, may_pass: bool) {
        self.failed += 1;
        self.passing += u64::from(may_pass);
        if self.failures.len() < LISTED {
            self.failures.push((printable(path.as_os_str().as_encoded_bytes()), why));
        }
    }

    /// The end of a run, in lines.
    #[must_use]
    pub fn text(&self, staging: &Path, log: &Path) -> String {
        let mut text = String::new();
        let shown = |path: &Path| printable(path.as_os_str().as_encoded_bytes());
        self.write(&mut text, &shown(staging), &shown(log)).expect("a String takes everything");
        text
    }

    fn write(&self, text: &mut String, staging: &str, log: &str) -> std::fmt::Result {
        let (count, bytes) = self.reprocessed;
        if count + self.removed.0 + self.failed + self.not_begun == 0 {
            writeln!(text, "Nothing to reprocess in {staging}, according to the log {log}.")?;
        } else {
            writeln!(
                text,
                "Reprocessed {}, {}, in {}.",
                counted(count, "image"),
                human(bytes),
                human_seconds(self.seconds)
            )?;
        }
        let (count, bytes) = self.removed;
        if count > 0 {
            writeln!(
                text,
                "Removed {} from staging, {}. No archive was changed.",
                counted(count, "image"),
                human(bytes)
            )?;
        }
        if self.passed_over > 0 {
            writeln!(
                text,
                "Skipped {}, already reprocessed: --again runs the command again, --remove removes them.",
                counted(self.passed_over, "image")
            )?;
        }
        if self.gone > 0 {
            writeln!(text, "Gone from staging after being reprocessed: {}.", counted(self.gone, "image"))?;
        }
        if self.not_begun > 0 {
            writeln!(text, "Not begun: {}.", counted(self.not_begun, "image"))?;
        }
        if self.failed > 0 {
            writeln!(text, "Failed: {}:", counted(self.failed, "image"))?;
            for (path, why) in &self.failures {
                writeln!(text, "  {path}\n      {why}")?;
            }
            let more = self.failed - self.failures.len() as u64;
            if more > 0 {
                writeln!(text, "  [{more} more]")?;
            }
        }
        if self.failed + self.not_begun > 0 {
            writeln!(text, "Next: run `imgsieve reprocess` again for the rest. The log is {log}.")?;
        }
        Ok(())
    }
}
