//! Which names say that a file is the rescue map of an image.

use crate::suffixes::{Suffixes, without_suffix};

/// How a name says it, the plainest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// `HASH.map` or `HASH.img.map`, for `HASH.img`.
    Map,
    /// The same with `.mapfile`.
    Mapfile,
    /// The same with `.log`, as map files were named before ddrescue 1.20: it may be any log.
    Log,
    /// `mapfile`, for the one image in its folder: it may be anything.
    Bare,
}

impl Kind {
    /// Whether nothing but the content can tell that it is a map.
    pub fn is_doubtful(self) -> bool {
        matches!(self, Kind::Log | Kind::Bare)
    }
}

const SUFFIXES: [(&[u8], Kind); 3] = [(b".map", Kind::Map), (b".mapfile", Kind::Mapfile), (b".log", Kind::Log)];
const BARE: &[u8] = b"mapfile";
/// Finder's attributes of the file whose name follows: AppleSingle/AppleDouble Formats for Foreign Files, appendix B.
const APPLE_DOUBLE: &[u8] = b"._";

/// If a file at `path` may be a map: how, and the path of its image, with the image's suffix or without; for
/// [`Kind::Bare`] the path of its folder.
pub(super) fn image_of(path: &[u8]) -> Option<(Kind, &[u8])> {
    let path = plain(path);
    let (folder, name) = split(path);
    if name.starts_with(APPLE_DOUBLE) {
        return None;
    }
    if name.eq_ignore_ascii_case(BARE) {
        return Some((Kind::Bare, folder));
    }
    SUFFIXES.iter().find_map(|&(suffix, kind)| Some((kind, without_suffix(path, suffix)?)))
}

/// The path of an image without its suffix.
pub(super) fn stem<'a>(image: &'a [u8], suffixes: &Suffixes) -> &'a [u8] {
    suffixes.stem(image).unwrap_or(image)
}

/// The path of the folder that `path` lies in.
pub(super) fn folder(path: &[u8]) -> &[u8] {
    split(path).0
}

/// A path as tar extracts it: without leading `./` and `/`.
pub(super) fn plain(path: &[u8]) -> &[u8] {
    let mut path = path;
    while let Some(rest) = path.strip_prefix(b"./").or_else(|| path.strip_prefix(b"/")) {
        path = rest;
    }
    path
}

/// The folder of a path, and the name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (path.get(..slash).unwrap_or_default(), path.get(slash + 1..).unwrap_or_default()),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_is_named_after_its_image() {
        for (path, kind, image) in [
            ("ab.map", Kind::Map, "ab"),
            ("./ab.img.MAP", Kind::Map, "ab.img"),
            ("x/ab.MapFile", Kind::Mapfile, "x/ab"),
            (".//x/ab.img.mapfile", Kind::Mapfile, "x/ab.img"),
            ("/x/ab.log", Kind::Log, "x/ab"),
            ("x/y/MAPFILE", Kind::Bare, "x/y"),
            ("mapfile", Kind::Bare, ""),
            ("x/.map", Kind::Map, "x/"),
        ] {
            assert_eq!(image_of(path.as_bytes()), Some((kind, image.as_bytes())), "{path}");
        }
        for path in ["._ab.map", "x/._ab.img.log", "ab.map.gz", "ab.maps", "map", "xmapfile", "mapfile/x", ""] {
            assert_eq!(image_of(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn the_stem_of_an_image_is_its_path_without_the_suffix() {
        let suffixes = ".img,.raw.bin".parse().expect("suffixes");
        for image in [&b"x/ab.IMG"[..], b"x/ab.raw.bin", b"x/ab"] {
            assert_eq!(stem(image, &suffixes), b"x/ab");
        }
        assert_eq!((folder(b"x/y/ab"), folder(b"ab")), (&b"x/y"[..], &b""[..]));
    }
}
