//! A page of a listing, as a store sends it.
//!
//! The crate's word for a key, a `Path`, has no empty component, none of dots alone, no slash at an end and no control
//! characters. A page that has a key of another kind it either refuses as a whole, or it gives another key than is there.
//! So these are taken out of the page first, and told apart.

use bytes::Bytes;
use object_store::path::Path;
use quick_xml::escape::unescape;
use quick_xml::events::Event;
use quick_xml::reader::Reader;

/// An object, or a folder, of a page that the crate has no word for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// Its key, or prefix, as it is.
    pub key: String,
    /// Length of an object in bytes, if the page tells.
    pub length: Option<u64>,
    /// Whether it is a prefix.
    pub is_folder: bool,
    /// What is wrong with it.
    pub why: &'static str,
}

/// How an entry of a page is written: its element, the element in it that has the key, and whether it is a folder. The
/// first two are S3's and Google's, the others Azure's.
const ENTRIES: [(&[u8], &[u8], bool); 4] = [
    (b"Contents", b"Key", false),
    (b"CommonPrefixes", b"Prefix", true),
    (b"Blob", b"Name", false),
    (b"BlobPrefix", b"Name", true),
];
/// The elements that have an object's length.
const LENGTHS: [&[u8]; 2] = [b"Size", b"Content-Length"];

/// Why the crate has no word for a key; none where it has.
pub fn fault(key: &str) -> Option<&'static str> {
    if !key.is_empty() && Path::parse(key).is_ok_and(|path| path.as_ref() == key) {
        return None;
    }
    let mut components = key.split('/');
    Some(if components.clone().any(str::is_empty) {
        "an empty component, or a slash at an end"
    } else if components.any(|component| matches!(component, "." | "..")) {
        "a component of dots alone"
    } else {
        "a control character"
    })
}

/// What came is no page, or no object.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is one of the web's.
    #[error("an HTML page came where {0} was expected: a proxy's or a login page?")]
    Html(&'static str),
    /// It is XML of another kind, or none.
    #[error("what came where a listing was expected is none: it begins with {0:?}")]
    Other(String),
    /// It is broken.
    #[error("a listing is faulty XML: {0}")]
    Xml(#[from] quick_xml::Error),
}

/// The elements that a page consists of: S3's and Google's, and Azure's.
const PAGES: [&[u8]; 2] = [b"ListBucketResult", b"EnumerationResults"];
/// As much of what is no page is told, in characters.
const TOLD: usize = 40;

/// That it is a page.
pub fn check(page: &[u8]) -> Result<(), Error> {
    let text = String::from_utf8_lossy(&page[..page.len().min(1 << 10)]);
    let text = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']);
    if is_html(text) {
        return Err(Error::Html("a listing"));
    }
    let other = || Error::Other(text.chars().take(TOLD).collect());
    let mut reader = Reader::from_reader(page);
    loop {
        match reader.read_event().map_err(|_| other())? {
            Event::Start(tag) | Event::Empty(tag) if PAGES.contains(&tag.local_name().as_ref()) => return Ok(()),
            Event::Start(_) | Event::Empty(_) | Event::Eof => return Err(other()),
            _ => {}
        }
    }
}

/// Whether a text is a page of the web.
pub fn is_html(text: &str) -> bool {
    let begins = |with: &str| text.get(..with.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(with));
    begins("<!doctype html") || begins("<html")
}

/// A page without what the crate has no word for, and that.
pub fn sift(page: Bytes) -> Result<(Bytes, Vec<Left>), Error> {
    let mut reader = Reader::from_reader(&*page);
    let mut left = Vec::new();
    let mut rest = Vec::new();
    // Up to where the page was taken over, or left out.
    let mut taken = 0;
    let mut at = 0;
    loop {
        let entry = match reader.read_event()? {
            Event::Eof => break,
            Event::Start(tag) => ENTRIES.iter().find(|(element, ..)| tag.local_name().as_ref() == *element).copied(),
            _ => None,
        };
        if let Some((_, key, is_folder)) = entry
            && let Some(found) = read_entry(&mut reader, key, is_folder)?
        {
            left.push(found);
            rest.extend_from_slice(&page[taken..at]);
            taken = position(&reader);
        }
        at = position(&reader);
    }
    if left.is_empty() {
        return Ok((page, left));
    }
    rest.extend_from_slice(&page[taken..]);
    Ok((rest.into(), left))
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).expect("a page is in memory")
}

/// Comes to the end of an entry. Gives it if the crate has no word for it.
fn read_entry(reader: &mut Reader<&[u8]>, element: &[u8], is_folder: bool) -> Result<Option<Left>, quick_xml::Error> {
    let mut key = None;
    let mut length = None;
    let mut depth = 0;
    loop {
        match reader.read_event()? {
            Event::Start(tag) if depth == 0 && tag.local_name().as_ref() == element => {
                key = Some(reader.read_text(tag.name())?.decode()?.into_owned());
            }
            Event::Start(tag) if LENGTHS.contains(&tag.local_name().as_ref()) => {
                length = reader.read_text(tag.name())?.decode()?.trim().parse().ok();
            }
            Event::Start(_) => depth += 1,
            Event::End(_) if depth > 0 => depth -= 1,
            Event::End(_) | Event::Eof => break,
            _ => {}
        }
    }
    // The crate misses it, too, and says so.
    let Some(key) = key else { return Ok(None) };
    let told = unescape(&key)?.into_owned();
    let bare = if is_folder { told.strip_suffix('/').unwrap_or(&told) } else { &told };
    let why = if key.contains('<') {
        Some("markup")
    } else if told.starts_with(is_space) || told.ends_with(is_space) {
        Some("white space at an end, which is lost in a listing")
    } else {
        fault(bare)
    };
    Ok(why.map(|why| Left { key: told, length, is_folder, why }))
}

/// What XML takes for white space.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sifted(page: &str) -> (String, Vec<Left>) {
        let (rest, left) = sift(page.to_owned().into()).expect("XML");
        (String::from_utf8(rest.to_vec()).expect("UTF-8"), left)
    }

    #[test]
    fn a_key_that_does_not_come_back_as_it_is_has_a_fault() {
        for key in ["a/b.tar.zst", "a b/%2F/#?", "...", "a/.b", "\u{e9}/\\"] {
            assert_eq!(fault(key), None, "{key}");
        }
        for key in ["a//b", "/a", "a/", "", "/"] {
            assert_eq!(fault(key), Some("an empty component, or a slash at an end"), "{key}");
        }
        for key in ["a/../b", "./a", "a/."] {
            assert_eq!(fault(key), Some("a component of dots alone"), "{key}");
        }
        assert_eq!(fault("a\nb"), Some("a control character"));
    }

    #[test]
    fn what_the_crate_has_no_word_for_is_taken_out_of_a_page() {
        let entry =
            |key: &str| format!("<Contents><Owner><Key>o</Key></Owner><Key>{key}</Key><Size>7</Size></Contents>");
        let folder = |prefix: &str| format!("<CommonPrefixes><Prefix>{prefix}</Prefix></CommonPrefixes>");
        let page =
            |entries: &[String]| format!("<?xml version=\"1.0\"?><L><Prefix>a//</Prefix>{}</L>", entries.concat());
        let good = [entry("a/b &amp; c"), folder("a/b/")];
        assert_eq!(sifted(&page(&good)), (page(&good), Vec::new()));
        let bad = [entry("a//b"), entry("a/&#46;./&amp;"), folder("a//"), entry("a/x/"), entry(" a")];
        let [first, second] = good;
        let [b1, b2, b3, b4, b5] = bad;
        let (rest, left) = sifted(&page(&[b1, first.clone(), b2, b3, second.clone(), b4, b5]));
        assert_eq!(rest, page(&[first, second]));
        let told: Vec<_> = left.iter().map(|left| (&*left.key, left.length, left.is_folder)).collect();
        let (length, none) = (Some(7), None);
        assert_eq!(
            told,
            [
                ("a//b", length, false),
                ("a/../&", length, false),
                ("a//", none, true),
                ("a/x/", length, false),
                (" a", length, false)
            ]
        );
        let blob = "<B><Blob><Name>a//b</Name><Properties><Content-Length>9</Content-Length></Properties></Blob></B>";
        let (rest, left) = sifted(blob);
        assert_eq!((&*rest, &*left[0].key, left[0].length), ("<B></B>", "a//b", Some(9)));
        assert!(sift("<L><Contents><Key>a</L>".into()).is_err());
    }

    #[test]
    fn what_is_no_page_is_told_by_its_beginning() {
        for page in
            ["<?xml version=\"1.0\"?>\n<!-- a --><ListBucketResult/>", "\u{feff}<a:EnumerationResults xmlns:a=\"b\">"]
        {
            assert!(check(page.as_bytes()).is_ok(), "{page}");
        }
        for page in ["\n<!DOCTYPE html><html>", "<HTML>"] {
            assert!(matches!(check(page.as_bytes()), Err(Error::Html(_))), "{page}");
        }
        for page in ["{\"a\": 1}", "", "<Error><Code>a</Code></Error>", "<html5>", "<!doctype", "\u{e9}<"] {
            assert!(check(page.as_bytes()).is_err(), "{page}");
        }
    }

    #[test]
    fn a_page_that_is_cut_short_is_read_to_its_end() {
        let page = "<?xml version=\"1.0\"?><L><Contents><Key>a//b</Key><Size>1</Size></Contents><Prefix>a</Prefix></L>";
        for length in 0..page.len() {
            let _ = sift(page[..length].to_owned().into());
        }
    }
}
