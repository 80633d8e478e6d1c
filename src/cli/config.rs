//! `imgsieve config`: its arguments, what it prints, and the site file that it begins.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};

use crate::cause::Cause;
use crate::config::{self, HERE, LogTarget, Origin, Site};
use crate::exit::Exit;
use crate::object;
use crate::reason::Reason;
use crate::sanitize::printable;
use crate::staging;

use super::site::SiteArguments;
use super::{failure, print, usage, usage_text, warn};

/// `imgsieve config`.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    #[command(flatten)]
    site: SiteArguments,
    /// Instead of printing a site file, write a commented one for COLLECTION, with the options given; never over an existing
    /// file [default: ./imgsieve.toml]
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = HERE,
        value_hint = ValueHint::FilePath
    )]
    init: Option<PathBuf>,
}

/// Does what the arguments say.
pub(super) fn run(arguments: ConfigArguments) -> Exit {
    let ConfigArguments { site, init } = arguments;
    if let Some(path) = init {
        return write(&path, site);
    }
    let in_force =
        Origin::find(site.config.as_deref()).and_then(|origin| Ok((origin.comment(), site.over(origin.site()?)?)));
    match in_force {
        Ok((comment, site)) => print(&format!("{comment}{}", site.to_toml())),
        Err(error) => usage(&error),
    }
}

fn write(path: &Path, arguments: SiteArguments) -> Exit {
    if arguments.collection.is_empty() {
        return usage_text("--init needs the folder of a collection, as in imgsieve config --init /mnt/cold");
    }
    // What is begun does not hang on what is in force now, unless that is named.
    let base = arguments.config.as_deref().map_or_else(|| Ok(Site::built_in()), Site::read);
    let site = match base.and_then(|site| arguments.over(site)) {
        Ok(site) => site,
        Err(error) => return usage(&error),
    };
    for place in site.collection.iter().filter(|place| !object::is_url(place)) {
        if let Err(error) = std::fs::metadata(place) {
            let message = format!("the collection {} cannot be read: {error}; is it mounted?", place.display());
            return failure(&Cause::new(Reason::Collection, message));
        }
    }
    // The built-in skip list is of another collection.
    let site = Site { skip: site.skip.into_iter().filter(|(_, reason)| reason == "--skip").collect(), ..site };
    if let Err(cause) = write_text(path, &site.to_toml()) {
        return failure(&cause);
    }
    if let LogTarget::File(log) = site.log_target()
        && !log.parent().is_some_and(Path::is_dir)
    {
        warn(&format!(
            "the log {} is in a folder that does not exist yet: create it, or name another log with --log",
            log.display()
        ));
    }
    let name = printable(path.as_os_str().as_encoded_bytes());
    let how = match config::Origin::find(None) {
        Ok(origin) if origin.path().is_some_and(|found| is_same(found, path)) => {
            "commands that are run here use it from now on"
        }
        _ => "pass it to commands with --config, or set IMGSIEVE_CONFIG to its path",
    };
    print(&format!("Wrote {name}: {how}.\n"))
}

fn is_same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

/// Writes a new file, and the folders that it is to lie in.
fn write_text(path: &Path, text: &str) -> Result<(), Cause> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        let failed = |error| Cause::new(Reason::StagingIo, format!("creating {}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let write = || {
        let mut file = staging::create(path, text.len() as u64)?;
        file.data(text.as_bytes())?;
        file.finish()
    };
    write().map(|_| ()).map_err(|error: staging::Error| Cause::from(&error))
}
