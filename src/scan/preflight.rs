//! What has to be in order before anything starts. Each condition that fails is one line: which, and how to mend it.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use crate::cause::Cause;
use crate::clock;
use crate::config::Config;
use crate::reason::Reason;
use crate::run::Control;
use crate::staging::{self, Access, Sharing, Staging};
use crate::units::human;

use super::process;

/// How long to wait before looking again whether a program still runs: all processes are looked at.
const WAIT_INTERVAL: Duration = Duration::from_secs(2);
/// How long a signal may wait meanwhile.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// Checks what must not be there while images are staged: the program that archives the staging folders, and the
/// folders that it archives. `warn` is told what `--force` overrides and what the run waits for.
pub fn check_surroundings(config: &Config, control: &Control, warn: &mut dyn FnMut(Cause)) -> Result<(), Cause> {
    if clock::is_wrong(SystemTime::now()) {
        let message = "the clock is set before 1970 or after 9999: times in the log are wrong";
        warn(Cause::new(Reason::Clock, message));
    }
    let name = &config.site.wait_for;
    if !name.is_empty() {
        if !process::others_are_visible() {
            let message = format!("/proc hides other users' processes; {name} may be running unseen");
            warn(Cause::new(Reason::ProcHidden, message));
        }
        check_process(config, control, name, warn)?;
    }
    for folder in config.site.cleared_paths() {
        if is_missing(&folder) {
            continue;
        }
        let what = format!("the folder {} still exists: it has to be archived and cleared first", folder.display());
        if !config.force {
            let message = format!("{what}; archive or remove it, or override with --force");
            return Err(Cause::new(Reason::NotCleared, message));
        }
        warn(Cause::new(Reason::Forced, format!("{what}; overridden with --force")));
    }
    Ok(())
}

fn check_process(config: &Config, control: &Control, name: &str, warn: &mut dyn FnMut(Cause)) -> Result<(), Cause> {
    let mut is_waiting = false;
    loop {
        let process = match process::running(name) {
            Ok(Some(process)) => process,
            Ok(None) => return Ok(()),
            Err(error) => {
                let message = format!("cannot tell whether {name} is running: {error}");
                warn(Cause::new(Reason::ProcHidden, message));
                return Ok(());
            }
        };
        let what = format!("{process} is running and still archiving the staging folders");
        if config.force {
            warn(Cause::new(Reason::Forced, format!("{what}; overridden with --force")));
            return Ok(());
        }
        if !config.wait {
            let message = format!("{what}; run again when it has ended, or wait for it with --wait");
            return Err(Cause::new(Reason::ProcessRunning, message));
        }
        if !is_waiting {
            is_waiting = true;
            warn(Cause::new(Reason::Waiting, format!("{what}; waiting for it to end")));
        }
        let begun = Instant::now();
        while begun.elapsed() < WAIT_INTERVAL {
            std::thread::sleep(SIGNAL_INTERVAL);
            if control.is_stopped() {
                return Ok(());
            }
        }
    }
}

/// Whether nothing is there.
fn is_missing(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
}

/// Opens and locks the staging folder, and sees to it that there is room.
pub fn open_staging(config: &Config, control: &Control) -> Result<Staging, Cause> {
    let path = &config.site.staging;
    if let Ok(place) = path.canonicalize()
        && config.site.collection.iter().any(|folder| folder.canonicalize().is_ok_and(|folder| folder == place))
    {
        let message = format!(
            "{} is the collection, so nothing is staged there; name another folder with --staging",
            path.display()
        );
        return Err(Cause::new(Reason::StagingIsCollection, message));
    }
    // A folder in folders that are not there is more often misspelt, or not mounted, than meant.
    if config.staging_is_named
        && let Some(missing) = path.ancestors().skip(1).take_while(|folder| is_missing(folder)).last()
    {
        let message = format!(
            "creating {}: there is no folder {}; create it, or name another with --staging",
            path.display(),
            missing.display()
        );
        return Err(Cause::new(Reason::StagingIo, message).passing(true));
    }
    let failed = |error: &staging::Error, mend: &str| {
        let cause = Cause::from(error);
        Cause { message: format!("{}; {mend}", cause.message), ..cause }
    };
    let sharing = if config.shard.is_some() { Sharing::Together } else { Sharing::Alone };
    let most = config.max_staged.map(|most| most.0);
    let access = Access { sharing, run: config.run.clone(), most, stopped: control.flag() };
    let staging = Staging::open_as(path, config.site.min_free, &access).map_err(|error| match error {
        staging::Error::Locked { .. } => failed(&error, "wait for it to end, which may take hours"),
        _ => failed(&error, "make it a folder that you can write to, or name another with --staging"),
    })?;
    let budget = staging.budget();
    let unknown =
        |error| Cause::new(Reason::StagingIo, format!("asking for the free space of {}: {error}", path.display()));
    if budget.shortfall().map_err(unknown)?.is_some() {
        let space = budget.space().map_err(unknown)?;
        let message = format!(
            "only {} ({}%) free in {}, minimum {}; make room, or lower the minimum with --min-free",
            human(space.available),
            space.free_percent(),
            path.display(),
            config.site.min_free
        );
        return Err(Cause::new(Reason::MinFree, message).passing(true));
    }
    Ok(staging)
}
