//! The options that a command has to be given to survey as a run did, from anywhere: what the run logs, so that the report
//! can print commands that go on with it.

use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::config::{LogTarget, Origin, full_path, full_place};
use crate::zst::Engine;

use super::args::ScanArguments;
use super::site::SiteArguments;

/// Options, one word each.
#[derive(Default)]
struct Words(Vec<OsString>);

impl Words {
    fn path(&mut self, option: &str, path: &Path) {
        let full = full_path(path);
        // The slash at its end says that it is a folder.
        let full = if path.as_os_str().as_bytes().ends_with(b"/") { full.join("") } else { full };
        self.0.extend([option.into(), full.into_os_string()]);
    }

    fn value(&mut self, option: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.0.push(format!("{option}={value}").into());
        }
    }

    fn flag(&mut self, option: &str, is_given: bool) {
        if is_given {
            self.0.push(option.into());
        }
    }
}

/// The options of a run by these arguments, and by the site file in force, but for what it was to do once.
pub(super) fn options(arguments: &ScanArguments, origin: &Origin) -> Vec<OsString> {
    let mut words = Words::default();
    if let Some(path) = origin.path() {
        words.path("--config", path);
    }
    let SiteArguments {
        collection,
        config: _,
        staging,
        log,
        min_archive_size,
        min_image_size,
        min_partitions,
        min_free,
        skip,
        image_suffix,
        jobs,
        max_window,
        max_image_size,
    } = &arguments.site;
    if let Some(staging) = staging {
        words.path("--staging", staging);
    }
    for log in log {
        match LogTarget::of(log) {
            LogTarget::File(path) => words.path("--log", path),
            _ => words.0.extend(["--log".into(), log.clone().into_os_string()]),
        }
    }
    words.value("--min-archive-size", min_archive_size.as_ref());
    words.value("--min-image-size", min_image_size.as_ref());
    words.value("--min-partitions", min_partitions.as_ref());
    words.value("--min-free", min_free.as_ref());
    words.value("--image-suffix", image_suffix.as_ref());
    words.value("--jobs", jobs.as_ref());
    words.value("--max-window", max_window.as_ref());
    words.value("--max-image-size", max_image_size.as_ref());
    for hash in skip {
        words.value("--skip", Some(hash));
    }
    for hash in &arguments.only {
        words.value("--only", Some(hash));
    }
    words.value("--shard", arguments.shard);
    match &arguments.files_from {
        Some(list) if list.as_os_str() == "-" => words.0.extend(["--files-from".into(), "-".into()]),
        Some(list) => words.path("--files-from", list),
        None => {}
    }
    words.flag("--null", arguments.null);
    words.value("--limit", arguments.limit);
    words.value("--max-staged", arguments.max_staged.as_ref());
    words.flag("--recursive", arguments.recursive);
    words.flag("--wait", arguments.wait);
    words.flag("--force", arguments.force);
    words.flag("--keep-undecided", arguments.keep_undecided);
    words.flag("--abort-on-low-space", arguments.abort_on_low_space);
    words.flag("--fs", arguments.fs);
    words.flag("--verify", arguments.verify);
    words.value("--engine", (arguments.engine != Engine::Auto).then(|| arguments.engine.as_str()));
    if !collection.is_empty() {
        // A folder's name may begin as an option does, but for the slash that a full path has.
        words.0.extend(collection.iter().map(|place| full_place(place).into_os_string()));
    }
    words.0
}
