//! What is told ahead of archives whose turn has not come: whether an image of them is going to be staged.

#[path = "common/hostile.rs"]
mod support;

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use imgsieve::config::{self, Config};
use imgsieve::event::{Event, Live};
use imgsieve::run::{Control, Observer, Stop};
use imgsieve::scan;
use support::*;

/// Has no archive begin before it was told of so many.
struct Listener {
    wanted: usize,
    told: Mutex<BTreeMap<String, bool>>,
    more: Condvar,
}

impl Observer for Listener {
    fn observe(&self, event: &Event<'_>) -> Result<(), Stop> {
        let mut told = self.told.lock().expect("not poisoned");
        match event {
            Event::Live(Live::Outlook { archive, is_staged }) => {
                told.insert(archive.hash.to_string_lossy().into_owned(), *is_staged);
                self.more.notify_all();
            }
            Event::ArchiveStart { .. } => {
                let is_early = |told: &mut BTreeMap<String, bool>| told.len() < self.wanted;
                drop(self.more.wait_timeout_while(told, Duration::from_secs(20), is_early).expect("not poisoned"));
            }
            _ => {}
        }
        Ok(())
    }
}

fn told(site: &Site, wanted: usize, outlook: bool) -> BTreeMap<String, bool> {
    let settings = config::Site::read(&site.folder.path().join("site.toml")).expect("a site file");
    let config = Config { outlook, ..Config::new(settings) };
    let listener = Listener { wanted, told: Mutex::default(), more: Condvar::new() };
    let _ = scan::run(&config, &Control::new(), &[&listener]);
    listener.told.into_inner().expect("not poisoned")
}

#[test]
fn heads_tell_what_is_going_to_be_staged_and_nothing_of_what_they_do_not_show() {
    const MIB: usize = 1 << 20;
    let site = Site::new();
    let map = member(b"disk.map", b"# a map\n");
    let big = |partitions, seed| member(b"disk.img", &image(partitions, 6 * MIB, seed));
    let archives = [
        ("two", zst(&tar(&[map.clone(), big(2, 1)])), Some(true)),
        ("one", zst(&tar(&[big(1, 2), map.clone()])), Some(false)),
        ("none", zst(&tar(&[map])), Some(false)),
        ("behind", zst(&tar(&[member(b"other.bin", &noise(5 * MIB, 3)), big(2, 4)])), None),
        ("broken", b"not zstd".repeat(1000), None),
    ];
    for (hash, bytes, _) in &archives {
        site.archive(hash, bytes);
    }
    let expected: BTreeMap<String, bool> =
        archives.iter().filter_map(|(hash, _, is_staged)| Some((hash.to_string(), (*is_staged)?))).collect();
    assert_eq!(told(&site, expected.len(), true), expected);
    // Nobody asks where nobody is told how long it takes.
    assert_eq!(told(&site, 0, false), BTreeMap::new());
}
