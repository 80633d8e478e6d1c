//! What is to be expected of archives before their turn comes, for those who tell how long the run takes.
//!
//! An archive that an image is staged from takes many times as long as one that is passed over, and the largest come last.
//! What the small ones took says little of that. But most images tell in their first sectors that they are to be kept: so the
//! head of each archive is read ahead of its turn. No verdict rests on it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::cause::Cause;
use crate::event::{Archive, Event, Live};
use crate::finding::Finding;
use crate::images::{Images, Role};
use crate::member::{self, Content, Item, Member};
use crate::run::panics;
use crate::staging::Place;
use crate::zst::{Engine, Meter, Options, ZstFile};

use super::Shared;
use super::head::Head;

/// Archives that are looked at, the largest: the time of a run goes to them.
const LOOKED_AT_MOST: usize = 256;
/// Members in which an image is looked for.
const MEMBERS_MOST: usize = 16;

/// Tells what is to be expected of `archives`, until the run `is_over`.
pub(super) fn tell(run: &Shared<'_>, archives: &[Arc<Archive>], is_over: &AtomicBool) {
    for archive in archives.iter().rev().take(LOOKED_AT_MOST) {
        if run.control.is_stopped() || is_over.load(Ordering::Relaxed) {
            return;
        }
        // Whatever is wrong with it is told when its turn comes.
        if let Ok(Some(is_staged)) = panics::caught(|| Ok::<_, Cause>(look(run, archive))) {
            run.emit(&Event::Live(Live::Outlook { archive, is_staged }));
        }
    }
}

/// Whether an image of `archive` is going to be staged; none where that does not show in its head.
fn look(run: &Shared<'_>, archive: &Archive) -> Option<bool> {
    let site = &run.config.site;
    let options = Options {
        engine: Engine::Decode,
        max_window: site.max_window.0,
        meter: Arc::new(Meter::new(run.control.flag())),
        voucher: None,
    };
    let zst = ZstFile::open_listed(&archive.path, archive.listed().as_ref(), options).ok()?;
    let head = Head::new(&zst);
    let mut images = Images::new(site.image_suffix.clone(), Some(site.min_image_size.0));
    let mut members = member::walk(&head);
    for _ in 0..MEMBERS_MOST {
        let Some(item) = members.next().ok()? else { return Some(false) };
        if let Item::Member(member) = item
            && let Role::Image(content) = images.judge(&member)
        {
            return is_staged(run, archive, &head, (&member, &content));
        }
    }
    None
}

/// Whether the first image of an archive is going to be staged.
fn is_staged(run: &Shared<'_>, archive: &Archive, head: &Head<'_>, image: (&Member, &Content)) -> Option<bool> {
    let (site, (member, content)) = (&run.config.site, image);
    if site.max_image_size.is_some_and(|limit| content.size() > limit.0) {
        return Some(false);
    }
    let least = site.min_partitions;
    let is_enough = match Finding::examine(&content.reader(head), content.size(), Some(least)).count {
        Some(count) => count >= least,
        // Where a table goes on far into the image, or stands at its end, its head does not tell.
        None => return None,
    };
    let place = Place { hash: &archive.hash, ordinal: 1, name: member.file_name() };
    let existing = run.staging.as_ref()?.existing(&place, content.size()).ok().flatten();
    let is_there = existing.is_some_and(|staged| run.vouched.contains(&staged.path));
    Some(is_enough && (!is_there || run.doubted.contains(&archive.hash)))
}
