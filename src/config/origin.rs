//! Which site file is in force, and why; and `~` in paths.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Error, Site};

/// The variable that names a site file.
const VARIABLE: &str = "IMGSIEVE_CONFIG";
/// The name of a site file in the folder where imgsieve is run.
pub const HERE: &str = "imgsieve.toml";
/// The site file in a user's folder of configurations (XDG Base Directory Specification).
const IN_HOME: &str = "imgsieve/config.toml";
/// The site file of a machine.
const OF_MACHINE: &str = "/etc/imgsieve.toml";

/// Where the site in force comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `--config` names it.
    Given(PathBuf),
    /// `IMGSIEVE_CONFIG` names it.
    Variable(PathBuf),
    /// It lies in the folder where imgsieve is run.
    Here(PathBuf),
    /// It lies in the user's folder of configurations.
    Home(PathBuf),
    /// It lies in `/etc`.
    Machine(PathBuf),
    /// There is none but the built-in one.
    BuiltIn,
}

impl Origin {
    /// The first that there is, in the order of the variants. Whether what is named is there shows when it is read.
    pub fn find(given: Option<&Path>) -> Result<Origin, Error> {
        if let Some(path) = given {
            return Ok(Origin::Given(path.to_owned()));
        }
        if let Some(path) = std::env::var_os(VARIABLE).filter(|path| !path.is_empty()) {
            return Ok(Origin::Variable(expand(Path::new(&path))?));
        }
        let here = PathBuf::from(HERE);
        if let Ok(metadata) = here.metadata() {
            // It may name a command, and folders of others' are full of others' files.
            let is_own = metadata.uid() == 0 || metadata.uid() == rustix::process::geteuid().as_raw();
            return if is_own { Ok(Origin::Here(here)) } else { Err(Error::Foreign { path: here }) };
        }
        let home = in_home().filter(|path| path.exists()).map(Origin::Home);
        let machine = Some(PathBuf::from(OF_MACHINE)).filter(|path| path.exists()).map(Origin::Machine);
        Ok(home.or(machine).unwrap_or(Origin::BuiltIn))
    }

    /// The site.
    pub fn site(&self) -> Result<Site, Error> {
        self.path().map_or_else(|| Ok(Site::built_in()), Site::read)
    }

    /// The file, if it is one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Origin::Given(path)
            | Origin::Variable(path)
            | Origin::Here(path)
            | Origin::Home(path)
            | Origin::Machine(path) => Some(path),
            Origin::BuiltIn => None,
        }
    }

    /// The file that other commands have to be told of to go by it, wherever they are run.
    #[must_use]
    pub fn to_be_named(&self) -> Option<PathBuf> {
        match self {
            Origin::Given(path) | Origin::Variable(path) | Origin::Here(path) => {
                Some(std::path::absolute(path).unwrap_or_else(|_| path.clone()))
            }
            Origin::Home(_) | Origin::Machine(_) | Origin::BuiltIn => None,
        }
    }

    /// Which it is and why, as lines of comment of a site file.
    #[must_use]
    pub fn comment(&self) -> String {
        let path = self.path().map_or_else(String::new, |path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            crate::sanitize::printable(path.as_os_str().as_bytes())
        });
        let what = match self {
            Origin::Given(_) => format!("{path}: --config names it"),
            Origin::Variable(_) => format!("{path}: {VARIABLE} names it"),
            Origin::Here(_) => format!("{path}: it lies in this folder"),
            Origin::Home(_) => format!("{path}: it is this user's"),
            Origin::Machine(_) => format!("{path}: it is this machine's"),
            Origin::BuiltIn => "the built-in site file: there is no other".to_owned(),
        };
        let home = in_home().map_or_else(
            || format!("~/.config/{IN_HOME}"),
            |path| crate::sanitize::printable(path.as_os_str().as_bytes()),
        );
        format!(
            "# In force: {what}.\n# Looked for, the first that there is: --config, {VARIABLE}, ./{HERE}, {home},\n# \
             {OF_MACHINE}, the built-in one.\n\n"
        )
    }
}

/// The user's site file, whether or not it is there.
fn in_home() -> Option<PathBuf> {
    let configurations = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    Some(configurations.or_else(|| Some(home()?.join(".config")))?.join(IN_HOME))
}

/// The user's own folder.
fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// `path`, where `~` at its start is the user's own folder. Another user's is refused, and so is `~` where there is no
/// `HOME`: a folder of that name is not meant.
pub fn expand(path: &Path) -> Result<PathBuf, Error> {
    expand_to(path, home().as_deref())
}

fn expand_to(path: &Path, home: Option<&Path>) -> Result<PathBuf, Error> {
    let refuse = |why| Err(Error::Value { key: "path", value: path.display().to_string(), why });
    let Some(rest) = path.as_os_str().as_bytes().strip_prefix(b"~") else { return Ok(path.to_owned()) };
    match (home, rest) {
        (Some(home), b"") => Ok(home.to_owned()),
        (Some(home), [b'/', rest @ ..]) => {
            let rest =
                rest.iter().position(|&byte| byte != b'/').and_then(|start| rest.get(start..)).unwrap_or_default();
            Ok(home.join(OsStr::from_bytes(rest)))
        }
        (None, b"" | [b'/', ..]) => refuse("HOME says no folder that ~ could stand for"),
        _ => refuse("~ stands for your own folder alone; ./~ begins the name of a file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tilde_is_the_users_folder_or_refused() {
        let home = Some(Path::new("/home/me"));
        for (path, expanded) in [
            ("~", "/home/me"),
            ("~/x", "/home/me/x"),
            ("~//etc", "/home/me/etc"),
            ("x/~", "x/~"),
            ("./~/x", "./~/x"),
            ("/~", "/~"),
            ("", ""),
        ] {
            assert_eq!(expand_to(Path::new(path), home).expect("a path"), Path::new(expanded), "{path}");
        }
        for path in ["~other", "~other/x", "~~"] {
            assert!(expand_to(Path::new(path), home).is_err(), "{path}");
        }
        assert!(expand_to(Path::new("~/x"), None).is_err());
        assert_eq!(expand_to(Path::new("x"), None).expect("a path"), Path::new("x"));
    }
}
