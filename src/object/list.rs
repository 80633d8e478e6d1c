//! What is under a prefix.

use std::borrow::Cow;
use std::sync::Arc;

use object_store::Extensions;
use object_store::list::PaginatedListOptions;

use super::http::LeftOfPage;
use super::page::Left;
use super::reader::identity;
use super::runtime::wait;
use super::store::Store;
use super::{Error, Listed, Stop, Url, refusal};

/// Keys of a page.
const PAGE: usize = 1000;
/// Pages in a row that may have no key: some stores look through many keys for one, and say from time to time how far they are.
const EMPTY_MOST: u64 = 1000;

/// Tells `visit` of each object under the prefix that a URL is, as of a folder, and of the folders in it, or, if
/// `recursive`, of what is in these too; ends with its error. One page is in memory at a time. What is not under the prefix
/// is unreadable.
pub fn list(
    url: &Url,
    recursive: bool,
    stop: &Stop,
    visit: &mut dyn FnMut(Listed) -> Result<(), Error>,
) -> Result<(), Error> {
    if url.scheme.is_web() {
        return Err(Error::NoListing);
    }
    let at = url.clone();
    let store = wait(stop, async move { Store::of(&at) })?;
    let prefix = match url.key.as_str() {
        "" => None,
        key if key.ends_with('/') => Some(key.to_owned()),
        key => Some(format!("{key}/")),
    };
    let mut token = None;
    let mut is_empty = true;
    let mut empty_pages = 0;
    // An earlier token: one that comes again leads in a circle, and each circle comes to one that is kept (Brent).
    let mut earlier = None;
    for pages in 1_u64.. {
        let left = LeftOfPage::default();
        let mut extensions = Extensions::new();
        extensions.insert(left.clone());
        let options = PaginatedListOptions {
            delimiter: (!recursive).then_some(Cow::Borrowed("/")),
            max_keys: Some(PAGE),
            page_token: token.take(),
            extensions,
            ..PaginatedListOptions::default()
        };
        let (asked, from, at) = (Arc::clone(&store), prefix.clone(), url.clone());
        let page = wait(stop, async move {
            let lister = asked.lister().ok_or(Error::NoListing)?;
            lister.list_paginated(from.as_deref(), options).await.map_err(|error| refusal::of(&error, &at))
        })?;
        let left = left.take();
        let has_none = page.result.common_prefixes.is_empty() && page.result.objects.is_empty() && left.is_empty();
        is_empty &= has_none;
        empty_pages = if has_none { empty_pages + 1 } else { 0 };
        let mut tell = |key: &str, length: Option<u64>, listed: Listed| {
            // Nobody asked for it, whoever put it there.
            let is_outside = prefix.as_deref().is_some_and(|prefix| !key.starts_with(prefix));
            let path = || url.with_key(key).to_path();
            visit(if is_outside { Listed::Unreadable(path(), length, Error::Outside) } else { listed })
        };
        for folder in &page.result.common_prefixes {
            let key = format!("{folder}/");
            tell(&key, None, Listed::Folder(url.with_key(&key).to_path()))?;
        }
        for object in &page.result.objects {
            let key = object.location.as_ref();
            let path = url.with_key(key).to_path();
            let listed = match identity(object) {
                Ok(identity) => Listed::Object(path, identity),
                Err(error) => Listed::Unreadable(path, Some(object.size), error),
            };
            tell(key, Some(object.size), listed)?;
        }
        for left in left.into_iter().filter(|left| !is_marker(left)) {
            let Left { key, length, is_folder, why } = left;
            let path = url.with_key(&key).to_path();
            let listed =
                if is_folder { Listed::Folder(path) } else { Listed::Unreadable(path, length, Error::Key { why }) };
            tell(&key, length, listed)?;
        }
        token = page.page_token.filter(|token| !token.is_empty());
        if token.is_none() {
            break;
        }
        if token == earlier {
            return Err(Error::Other {
                why: "the listing comes to no end: it leads back to an earlier page".to_owned(),
            });
        }
        if empty_pages == EMPTY_MOST {
            return Err(Error::Other {
                why: format!(
                    "the listing comes to no end: {EMPTY_MOST} pages in a row have no key, and there are more"
                ),
            });
        }
        if pages.is_power_of_two() {
            earlier.clone_from(&token);
        }
    }
    if is_empty { Err(Error::NothingThere) } else { Ok(()) }
}

/// An object of no bytes whose key ends in a slash: what some programs make for an empty folder to be seen.
fn is_marker(left: &Left) -> bool {
    !left.is_folder && left.length == Some(0) && left.key.ends_with('/')
}
