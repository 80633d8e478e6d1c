//! What is under a prefix.

use std::borrow::Cow;

use object_store::ObjectMeta;
use object_store::list::PaginatedListOptions;

use super::reader::identity;
use super::runtime::wait;
use super::store::Store;
use super::{Error, Listed, Stop, Url, refusal};

/// Tells `visit` of each object under the prefix that a URL is, as of a folder, and of the folders in it, or, if
/// `recursive`, of what is in these too. One page of keys is in memory at a time, 1000 as a rule.
pub fn list(url: &Url, recursive: bool, stop: &Stop, visit: &mut dyn FnMut(Listed)) -> Result<(), Error> {
    if url.scheme.is_web() {
        return Err(Error::NoListing);
    }
    let store = Store::of(url)?;
    let prefix = match url.key.trim_end_matches('/') {
        "" => None,
        key => Some(format!("{key}/")),
    };
    let mut token = None;
    let mut is_empty = true;
    loop {
        let options = PaginatedListOptions {
            delimiter: (!recursive).then_some(Cow::Borrowed("/")),
            page_token: token.clone(),
            ..PaginatedListOptions::default()
        };
        let (asked, from, at) = (std::sync::Arc::clone(&store), prefix.clone(), url.clone());
        let page = wait(stop, async move {
            let lister = asked.lister().ok_or(Error::NoListing)?;
            asked.note(lister.list_paginated(from.as_deref(), options).await).map_err(|error| refusal::of(&error, &at))
        })?;
        for folder in &page.result.common_prefixes {
            is_empty = false;
            visit(Listed::Folder(url.with_key(&format!("{folder}/")).to_path()));
        }
        for object in &page.result.objects {
            is_empty = false;
            if !is_marker(object, prefix.as_deref()) {
                visit(Listed::Object(url.with_key(object.location.as_ref()).to_path(), identity(object)));
            }
        }
        match page.page_token {
            None if is_empty => return Err(Error::NothingThere),
            None => return Ok(()),
            next if next == token => return Err(Error::Other { why: "the listing comes to no end".to_owned() }),
            next => token = next,
        }
    }
}

/// An object of no bytes whose key is the prefix itself: what some programs make for an empty folder to be seen.
fn is_marker(object: &ObjectMeta, prefix: Option<&str>) -> bool {
    let prefix = prefix.map(|prefix| prefix.trim_end_matches('/'));
    object.size == 0 && prefix == Some(object.location.as_ref())
}
