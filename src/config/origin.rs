//! Which site file is in force, and why; and `~` in paths.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::{Error, Site};
use crate::object;

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
            return Ok(Origin::Variable(local(VARIABLE, Path::new(&path))?));
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
            Origin::Given(path) | Origin::Variable(path) | Origin::Here(path) => Some(full_path(path)),
            Origin::Home(_) | Origin::Machine(_) | Origin::BuiltIn => None,
        }
    }

    /// Which it is and why, as lines of comment of a site file.
    #[must_use]
    pub fn comment(&self) -> String {
        let path = self
            .path()
            .map_or_else(String::new, |path| crate::sanitize::printable(full_path(path).as_os_str().as_bytes()));
        let what = match self {
            Origin::Given(_) => format!("{path}, named by --config"),
            Origin::Variable(_) => format!("{path}, named by {VARIABLE}"),
            Origin::Here(_) => format!("{path}, found in this folder"),
            Origin::Home(_) => format!("{path}, this user's"),
            Origin::Machine(_) => format!("{path}, this machine's"),
            Origin::BuiltIn => "the built-in site file, because no other was found".to_owned(),
        };
        let home = in_home().map_or_else(
            || format!("~/.config/{IN_HOME}"),
            |path| crate::sanitize::printable(path.as_os_str().as_bytes()),
        );
        format!(
            "# In force: {what}.\n# The first of these that exists: --config, {VARIABLE}, ./{HERE}, {home},\n# \
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

/// A place of the collection as it can be named from anywhere: a URL as it is, a path as [`full_path`] gives it.
#[must_use]
pub fn full_place(path: &Path) -> PathBuf {
    let is_url = object::is_url(path) || object::misspelt(path).is_some();
    if is_url { path.to_owned() } else { full_path(path) }
}

/// What is meant by the path or URL of an archive or a collection: see [`expand`]. Of a URL, secrets are left out, and it is
/// refused for them later.
pub fn place(path: &Path) -> Result<PathBuf, Error> {
    expand(path).map(object::without_secrets)
}

/// What is meant by a path that leads to no archive: see [`expand`]. It cannot be a URL; `key` is told with the refusal.
pub fn local(key: &'static str, path: &Path) -> Result<PathBuf, Error> {
    if object::is_url(path) || object::misspelt(path).is_some() {
        let value = object::without_secrets(path.to_owned()).display().to_string();
        let why = "only archives are read by URL: this has to be here, or mounted";
        return Err(Error::Value { key, value, why });
    }
    expand(path)
}

/// `path` from the root, and without `..`: for commands that are printed, and for the log. Where there is a `..`, links in
/// front of it are resolved, for it leads out of the folder that they lead to.
#[must_use]
pub fn full_path(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if !absolute.components().any(|component| component == Component::ParentDir) {
        return absolute;
    }
    let mut full = PathBuf::new();
    for component in absolute.components() {
        if component == Component::ParentDir {
            full = full.canonicalize().unwrap_or(full);
            full.pop();
        } else {
            full.push(component);
        }
    }
    full
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
        (None, b"" | [b'/', ..]) => refuse("HOME is not set to a folder that ~ could stand for"),
        _ => refuse("~ stands only for your own home folder; write ./~ for a file whose name begins with ~"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_named_from_anywhere_as_it_is() {
        assert_eq!(full_place(Path::new("s3://cold/../a")).as_os_str(), "s3://cold/../a");
        assert!(full_place(Path::new("cold:/s3")).is_absolute());
    }

    #[test]
    fn a_full_path_has_no_dots_and_leads_to_the_same() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().expect("a folder");
        std::fs::create_dir_all(root.join("a/b")).expect("folders");
        std::os::unix::fs::symlink("a/b", root.join("link")).expect("a link");
        for (path, full) in [
            ("a/../c", "c"),
            ("a/b/../../a/./c", "a/c"),
            ("link/../c", "a/c"),
            ("none/../c", "c"),
            ("link/c", "link/c"),
        ] {
            assert_eq!(full_path(&root.join(path)), root.join(full), "{path}");
        }
        assert_eq!(full_path(Path::new("/../..")), Path::new("/"));
        let here = std::env::current_dir().expect("a folder").canonicalize().expect("a folder");
        assert_eq!(full_path(Path::new("../x")), here.parent().expect("above").join("x"));
    }

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
