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

/// Tells `visit` of each object under the prefix that a URL is, as of a folder, and of the folders in it, or, if
/// `recursive`, of what is in these too; ends with its error. One page is in memory at a time.
pub fn list(
    url: &Url,
    recursive: bool,
    stop: &Stop,
    visit: &mut dyn FnMut(Listed) -> Result<(), Error>,
) -> Result<(), Error> {
    if url.scheme.is_web() {
        return Err(Error::NoListing);
    }
    let store = Store::of(url)?;
    let prefix = match url.key.as_str() {
        "" => None,
        key if key.ends_with('/') => Some(key.to_owned()),
        key => Some(format!("{key}/")),
    };
    let mut token = None;
    let mut is_empty = true;
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
            asked.note(lister.list_paginated(from.as_deref(), options).await).map_err(|error| refusal::of(&error, &at))
        })?;
        let left = left.take();
        is_empty &= page.result.common_prefixes.is_empty() && page.result.objects.is_empty() && left.is_empty();
        for folder in &page.result.common_prefixes {
            visit(Listed::Folder(url.with_key(&format!("{folder}/")).to_path()))?;
        }
        for object in &page.result.objects {
            let path = url.with_key(object.location.as_ref()).to_path();
            visit(match identity(object) {
                Ok(identity) => Listed::Object(path, identity),
                Err(error) => Listed::Unreadable(path, Some(object.size), error),
            })?;
        }
        for left in left.into_iter().filter(|left| !is_marker(left)) {
            let Left { key, length, is_folder, why } = left;
            let path = url.with_key(&key).to_path();
            visit(if is_folder { Listed::Folder(path) } else { Listed::Unreadable(path, length, Error::Key { why }) })?;
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
