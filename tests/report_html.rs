//! The report's page, in a real browser: what it shows, by pointer and by keyboard, and what it does not let in.

#![cfg(feature = "oracles")]

mod common;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use common::browser::Browser;
use common::fixture;
use common::scan::{Scan, end, imgsieve};

/// The page about a log, in a folder of its own.
struct Page {
    folder: TempDir,
}

impl Page {
    /// Of lines, which get the run's name and a time where they have none.
    fn of(lines: &[Value]) -> Page {
        let page = Page { folder: TempDir::new().expect("a temporary folder") };
        let complete = |line: &Value| {
            let mut line = line.clone();
            for (key, value) in [("ts", "2026-11-20T08:00:00Z"), ("run", "r1")] {
                if line[key].is_null() {
                    line[key] = json!(value);
                }
            }
            format!("{line}\n")
        };
        std::fs::write(page.log(), lines.iter().map(complete).collect::<String>()).expect("a log");
        page.make();
        page
    }

    /// Of a survey of all fixtures.
    fn of_fixtures() -> Page {
        let scan = Scan::of(&fixture::all()).args(&["--dry-run"]);
        let ended = scan.run();
        assert_eq!(ended.code, 1, "some are damaged: {ended:?}");
        let page = Page { folder: TempDir::new().expect("a temporary folder") };
        std::fs::copy(scan.log(), page.log()).expect("a copy");
        page.make();
        page
    }

    fn make(&self) {
        let ended = end(imgsieve().arg("report").arg(self.log()).arg("--html").arg(self.file()));
        assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (0, "", ""));
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log.jsonl")
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("report.html")
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.file()).expect("a page")
    }
}

/// The lines of an archive with one image that has these partitions.
fn archive(hash: &str, size: u64, partitions: &Value) -> Vec<Value> {
    let count = partitions.as_array().map_or(0, Vec::len);
    vec![
        json!({"stage": "archive_start", "hash": hash, "size_bytes": size, "archive": format!("/cold/{hash}.tar.zst")}),
        json!({"stage": "partition_check", "hash": hash, "img": format!("{hash}.img"), "partitions": count,
            "action": if count > 1 { "would_keep" } else { "deleted" }, "size_bytes": 1000 << 20,
            "table": {"label": "dos", "sector_size": 512}, "partition_list": partitions}),
        json!({"stage": "archive_complete", "hash": hash, "imgs": 1, "multipart_imgs": u8::from(count > 1), "seconds": 1.5}),
    ]
}

fn partition(number: u32, start_mib: u64, size_mib: u64, kind: &str, fs: &str) -> Value {
    json!({"number": number, "start_bytes": start_mib << 20, "size_bytes": size_mib << 20, "type": "0x83", "name": null,
        "kind": kind, "fs": fs, "fs_label": null})
}

/// Three archives: of two partitions, of one, and of none, in this order.
fn three() -> Page {
    let two = json!([partition(1, 1, 99, "primary", "vfat"), partition(2, 100, 900, "primary", "ext4")]);
    let mut lines = vec![json!({"stage": "script_start", "total_archives": 3, "jobs": 1})];
    lines.extend(archive("bbb", 300, &two));
    lines.extend(archive("ccc", 100, &json!([partition(1, 1, 500, "primary", "ntfs")])));
    lines.extend(archive("aaa", 200, &json!([])));
    Page::of(&lines)
}

const HASHES: &str = "[...document.querySelectorAll('.hash')].map((node) => node.textContent)";

#[test]
fn it_loads_without_a_complaint_and_asks_for_nothing() {
    let page = Page::of_fixtures();
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    browser.eval("Promise.all([...document.querySelectorAll('.hash')].map((node) => node.click()))");
    assert_eq!(browser.complaints(), [] as [Value; 0]);
    assert_eq!(browser.requests(), [format!("file://{}", page.file().display())]);
    let total = format!("Showing {0} of {0} archives", fixture::all().len());
    assert_eq!(browser.eval("document.querySelector('.shown').textContent"), total);
    // That its policy is in force, and that the page would be told on.
    browser.eval("try { document.body.innerHTML = '<b>x</b>'; } catch (error) { console.error(error.name); }");
    browser.eval("fetch('https://example.org/').catch(() => 0)");
    assert!(browser.complaints().len() >= 2);
    assert_eq!(browser.eval("document.querySelectorAll('b').length > 0 && document.body.children.length > 3"), true);
}

#[test]
fn columns_sort_by_pointer_and_by_key() {
    let page = three();
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    assert_eq!(browser.eval(HASHES), json!(["bbb", "ccc", "aaa"]));
    browser.click("th[data-key=hash] button");
    assert_eq!(browser.eval(HASHES), json!(["aaa", "bbb", "ccc"]));
    assert_eq!(browser.eval("document.querySelector('th[data-key=hash]').ariaSort"), "ascending");
    browser.eval("document.querySelector('th[data-key=size] button').focus()");
    browser.press("Enter");
    assert_eq!(browser.eval(HASHES), json!(["bbb", "aaa", "ccc"]));
    browser.press("Enter");
    assert_eq!(browser.eval(HASHES), json!(["ccc", "aaa", "bbb"]));
    assert_eq!(browser.eval("document.querySelectorAll('[aria-sort]').length"), 1);
}

#[test]
fn filters_narrow_the_list_and_say_how_many_are_shown() {
    let page = three();
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    let choose = |browser: &mut Browser, key: &str, value: &str| {
        browser.eval(&format!(
            "(() => {{ const node = document.getElementById('by-{key}'); node.value = {value:?}; \
             node.dispatchEvent(new Event('change')); return node.value; }})()"
        ))
    };
    assert_eq!(choose(&mut browser, "verdict", "single"), "single");
    assert_eq!(browser.eval(HASHES), json!(["ccc"]));
    assert_eq!(browser.eval("document.querySelector('.shown').textContent"), "Showing 1 of 3 archives");
    assert_eq!(choose(&mut browser, "fs", "vfat"), "vfat");
    assert_eq!(browser.eval(HASHES), json!([]));
    browser.click(".reset");
    assert_eq!(browser.eval("document.querySelectorAll('.hash').length"), 3);
    browser.click("#find");
    browser.write("EXT4");
    assert_eq!(browser.eval(HASHES), json!(["bbb"]));
}

#[test]
fn a_detail_opens_by_key_and_its_blocks_tell_what_they_are() {
    let page = three();
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    browser.eval("document.querySelector('.hash').focus()");
    browser.press("Enter");
    assert_eq!(browser.eval("document.activeElement.ariaExpanded + location.hash"), "true#a-bbb");
    let rows = "[...document.querySelectorAll('.detail .partitions tbody tr')].map((row) => row.cells[1].textContent)";
    assert_eq!(browser.eval(rows), json!(["vfat", "ext4"]));
    // The link of the row, that of the sheet, then its map.
    browser.press("Tab");
    browser.press("Tab");
    let tip = "document.getElementById('tip').hidden ? '' : document.querySelector('#tip b').textContent";
    assert_eq!(browser.eval(tip), "Partition 1: vfat");
    browser.press("ArrowRight");
    assert_eq!(browser.eval(tip), "Partition 2: ext4");
    let label = browser.eval("document.activeElement.getAttribute('aria-label')");
    assert!(label.as_str().is_some_and(|label| label.contains("Start: 105 MB")), "{label}");
    browser.eval("document.querySelector('.hash').focus()");
    browser.press("Enter");
    assert_eq!(browser.eval("document.querySelectorAll('.detail').length"), 0);
    assert_eq!(browser.complaints(), [] as [Value; 0]);
}

#[test]
fn arrows_go_along_the_run_and_enter_opens_the_archive() {
    let page = three();
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    let tip = "document.getElementById('tip').hidden ? '' : document.querySelector('#tip b').textContent";
    // Past the link that leads by it all, and those of what needs attention.
    for _ in 0..20 {
        browser.press("Tab");
        if browser.eval("document.activeElement.matches('.lanes')") == true {
            break;
        }
    }
    assert_eq!(browser.eval("document.activeElement.matches('.lanes')"), true);
    assert_eq!(browser.eval(tip), "bbb");
    browser.press("ArrowRight");
    assert_eq!(browser.eval(tip), "ccc");
    assert!(browser.eval("document.activeElement.ariaLabel").as_str().is_some_and(|label| label.starts_with("ccc")));
    browser.press("Enter");
    assert_eq!(browser.eval("document.querySelector('[aria-expanded=true]').textContent + location.hash"), "ccc#a-ccc");
    assert_eq!(browser.complaints(), [] as [Value; 0]);
}

#[test]
fn an_address_opens_its_row() {
    let page = three();
    let mut browser = Browser::start();
    browser.open(&page.file(), "#a-aaa");
    assert_eq!(browser.eval("document.querySelector('[aria-expanded=true]').textContent"), "aaa");
    browser.eval("location.hash = '#a-ccc'");
    browser.wait_for("document.querySelectorAll('.detail').length === 2");
    browser.eval("location.hash = '#a-%'");
    browser.eval("location.hash = '#a-nobody'");
    assert_eq!(browser.complaints(), [] as [Value; 0]);
}

#[test]
fn maps_are_to_scale_and_what_is_tiny_can_be_seen() {
    let partitions = json!([
        partition(1, 0, 250, "primary", "ntfs"),
        partition(2, 250, 500, "extended", ""),
        partition(5, 260, 200, "logical", "ext4"),
        partition(6, 500, 1, "logical", "swap"),
    ]);
    let mut lines = vec![json!({"stage": "script_start", "total_archives": 1, "jobs": 1})];
    lines.extend(archive("abc", 300, &partitions));
    lines[2]["unread_areas"] = json!([[800 << 20, 100 << 20], [950 << 20, 512]]);
    let page = Page::of(&lines);
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    let boxes = browser.eval(
        "Object.fromEntries([...document.querySelectorAll('.map .block')].map((node) => { \
         const {x, y, width, height} = node.firstChild.getBBox(); \
         return [node.told.title, [x, width, y, height].map(Math.round)]; }))",
    );
    let side = |title: &str, at: usize| boxes[title][at].as_f64().unwrap_or_else(|| panic!("{title}: {boxes}"));
    let width = browser.eval("document.querySelector('.map').viewBox.baseVal.width").as_f64().expect("a number");
    let near = |one: f64, other: f64| (one - other).abs() <= 10.0;
    assert!(near(side("Partition 1: ntfs", 1), width / 4.0), "{boxes}");
    assert!(near(side("Partition 2: extended", 1), width / 2.0), "{boxes}");
    assert!(near(side("Partition 5: ext4", 1), width / 5.0), "{boxes}");
    assert!(side("Partition 6: swap", 1) >= 5.0, "{boxes}");
    assert!(side("Partition 5: ext4", 2) > side("Partition 2: extended", 2), "logical ones are inside");
    assert!(side("Partition 5: ext4", 3) < side("Partition 2: extended", 3), "logical ones are inside");
    assert_eq!(browser.eval("document.querySelectorAll('.map .f-unread').length"), 2);
    assert!(browser.eval("document.querySelectorAll('.map .f-gap').length").as_u64() >= Some(4), "gaps are shown");
}

/// What a block says, item by item, each with its classes.
const ITEMS: &str = "[...document.querySelectorAll('.todo')].map((block) => \
    [...block.querySelectorAll('.item')].map((item) => `${item.className}: ${item.querySelector('.what').textContent}`))";

/// A line without an image, by which an archive was read to its end.
fn complete(hash: &str, more: &Value) -> Value {
    let mut line = json!({"stage": "archive_complete", "hash": hash, "imgs": 0, "content_bytes": 1000, "seconds": 1.0});
    line.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    line
}

/// Six archives, of which one is fine: nothing of the others is alike. What is staged is staged in `folder`.
fn six(folder: &Path) -> Vec<Value> {
    let staged = |hash: &str| {
        let path = folder.join("staging").join(hash).join(format!("{hash}.img"));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::File::create(&path).and_then(|file| file.set_len(1000 << 20)).expect("a file of holes");
        path
    };
    let two = json!([partition(1, 1, 99, "primary", "vfat"), partition(2, 100, 900, "primary", "ext4")]);
    let mut lines = vec![
        json!({"stage": "script_start", "total_archives": 6, "jobs": 1, "min_archive_bytes": 1_000_000_000,
            "skipped": ["eee"], "rules": {"min_image_size": 2_000_000_000, "min_partitions": 3, "image_suffix": ".img,.dd",
            "keep_undecided": false, "fs": false}}),
        json!({"stage": "left_out", "rule": "skip_list", "count": 1, "size_bytes": 7,
            "files": [{"archive": "/cold/eee.tar.zst", "size_bytes": 7, "reason": "no <b>images</b>"}]}),
        json!({"stage": "left_out", "rule": "other_ending", "count": 3, "size_bytes": 9,
            "files": [{"archive": "/cold/a.E01", "size_bytes": 4}, {"archive": "/cold/b.tar", "size_bytes": 5}]}),
    ];
    // Read in this order, which is not the one in which they need somebody.
    lines.extend(archive("fine", 300, &json!([partition(1, 1, 500, "primary", "ntfs")])));
    lines.extend([
        json!({"stage": "archive_start", "hash": "blank", "size_bytes": 5, "archive": "/other/blank.tar.zst"}),
        json!({"stage": "warning", "scope": "archive", "hash": "blank", "reason": "no_image", "message": "the largest is a.dd"}),
        complete("blank", &json!({"left_out": [{"rule": "too_small", "count": 2, "member": "a.img", "size_bytes": 99}]})),
    ]);
    for hash in ["waits", "failed"] {
        let mut kept = archive(hash, 300, &two);
        (kept[1]["action"], kept[1]["path"]) = (json!("KEPT"), json!(staged(hash)));
        kept[2]["kept_imgs"] = json!(1);
        lines.extend(kept);
    }
    let mut unread = archive("unread", 300, &json!([]));
    (unread[1]["action"], unread[1]["partitions"]) = (json!("error"), Value::Null);
    (unread[1]["reason"], unread[1]["message"]) = (json!("unread"), json!("sector 0 was never read"));
    unread[1]["rescued_pct"] = json!(98.5);
    lines.extend(unread);
    lines.extend([
        json!({"stage": "archive_start", "hash": "torn", "size_bytes": 5, "archive": "/cold/torn.tar.zst"}),
        json!({"stage": "error", "scope": "archive", "hash": "torn", "reason": "truncated", "message": "cut short"}),
        json!({"stage": "script_complete"}),
    ]);
    let of_failed = json!({"hash": "failed", "img": "failed.img", "path": folder.join("staging/failed/failed.img"),
        "size_bytes": 1000 << 20, "run": "r2"});
    for (stage, status) in [("reprocess_start", Value::Null), ("reprocess_complete", json!(3))] {
        let mut line = of_failed.clone();
        (line["stage"], line["exit_status"]) = (json!(stage), status);
        lines.push(line);
    }
    lines
}

#[test]
fn it_begins_with_what_needs_attention() {
    let folder = TempDir::new().expect("a temporary folder");
    let page = Page::of(&six(folder.path()));
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    assert_eq!(browser.eval("document.querySelector('main > section').id"), "todo");
    assert_eq!(
        browser.eval(ITEMS),
        json!([
            ["item alarm: 1 image whose reprocessing failed, 1.05 GB", "item work: 1 image to reprocess, 1.05 GB"],
            [
                "item alarm: 1 truncated It is cut short.",
                "item alarm: 1 unread The verdict rests on a sector that was never read, according to the rescue map."
            ],
            [
                "item quiet: 3 files not named like an archive, 9 B",
                "item quiet: 1 archive on the skip list, 7 B",
                "item quiet: 1 archive without an image",
                "item quiet: In archives: 2 images no larger than 2GB"
            ]
        ])
    );
    let text = browser.eval("document.querySelector('#todo').textContent");
    let text = text.as_str().expect("text");
    for part in [
        "exit status 3",
        "imgsieve reprocess --log ",
        "Restore the archive from another copy",
        "imgsieve inspect /cold/unread.tar.zst",
        "Show 2 of 3",
        "/cold/a.E01",
        "no <b>images</b>",
        "the largest is a.dd",
        "imgsieve report --unchecked",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let head = browser.eval("[document.title, document.querySelector('.rules').textContent.replace(/\\s+/g, ' ')]");
    assert_eq!(
        head,
        json!([
            "Survey of /cold, /other",
            "Archives larger than 1GB; images larger than 2GB named .img,.dd; kept with 3 partitions or more. \
             Skip list: eee (no <b>images</b>)."
        ])
    );
    // Rows are made when they come near the window.
    browser.eval("document.querySelector('#archives').scrollIntoView()");
    browser.wait_for("document.querySelectorAll('.hash').length === 6");
    // The list goes by who needs somebody, a failed reprocessing looks like one, and the rescued share is a column.
    assert_eq!(browser.eval(HASHES), json!(["failed", "unread", "torn", "waits", "fine", "blank"]));
    assert_eq!(browser.eval("document.querySelector('.entry .flag').textContent"), "\u{25c6} reprocessing failed");
    let column =
        "[...document.querySelectorAll('.entry')].map((row) => row.querySelector('[data-of=rescued]').textContent)";
    assert_eq!(browser.eval(column), json!(["", "98.5\u{202f}%", "", "", "", ""]));
    let badge = "[...document.querySelectorAll('.entry')].pop().querySelector('.badge').textContent";
    assert_eq!(browser.eval(badge), "no image");
    // A link of what needs attention opens the row.
    browser.click("#todo a[href='#a-torn']");
    browser.wait_for("document.querySelectorAll('.detail').length === 1");
    assert_eq!(browser.complaints(), [] as [Value; 0]);
}

#[test]
fn the_last_verification_of_an_archive_is_shown_until_its_file_changes() {
    let folder = TempDir::new().expect("a temporary folder");
    let mut lines = vec![json!({"stage": "script_start", "total_archives": 4, "jobs": 1})];
    for (hash, outcome) in [("aaa", "verified"), ("bbb", "failed"), ("ccc", "verified"), ("ddd", "verified")] {
        let path = folder.path().join(format!("{hash}.tar.zst"));
        std::fs::write(&path, hash).expect("a file");
        let metadata = path.metadata().expect("metadata");
        let mtime = format!("{}.{:09}", metadata.mtime(), metadata.mtime_nsec());
        let mut of_archive = archive(hash, 3, &json!([]));
        of_archive[0]["archive"] = json!(path);
        (of_archive[2]["content_bytes"], of_archive[2]["passed_over_bytes"]) = (json!(1000), json!(790));
        lines.extend(of_archive);
        lines.push(json!({"stage": "archive_verified", "hash": hash, "archive": path, "size_bytes": 3, "mtime": mtime,
            "outcome": outcome, "message": if outcome == "failed" { json!("<b>checksum</b>") } else { Value::Null }}));
    }
    std::fs::write(folder.path().join("ccc.tar.zst"), "other").expect("a file");
    std::fs::remove_file(folder.path().join("ddd.tar.zst")).expect("a file");
    let page = Page::of(&lines);
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    let outcomes = "[...document.querySelectorAll('.entry')].map((row) => row.cells[row.cells.length - 1].textContent)";
    let shown = [
        "not kept \u{25c6} verification failed",
        "not kept \u{2713} verified",
        "not kept changed since",
        "not kept out of sight",
    ];
    assert_eq!(browser.eval(outcomes), json!(shown));
    let items = json!([[], ["item alarm: 1 archive failed verification"], []]);
    assert_eq!(browser.eval(ITEMS), items);
    let facts = browser.eval("document.querySelector('.facts').textContent");
    let facts = facts.as_str().expect("text");
    for part in [
        "79\u{202f}% of the content was never decoded, and so not verified by the survey; 1 archive verified since",
        "of which every checksum holds; 1 failed; 2 changed or out of sight since",
    ] {
        assert!(facts.contains(part), "{part}: {facts}");
    }
    browser.eval("document.querySelector('.hash').click()");
    let told = browser.eval("document.querySelector('.detail').textContent");
    assert!(
        told.as_str().is_some_and(|told| told.contains("failed (2026-11-20 08:00:00 UTC): <b>checksum</b>")),
        "{told}"
    );
    let csv = end(imgsieve().arg("report").arg(page.log()).arg("--csv"));
    let last: Vec<&str> = csv.stdout.lines().map(|row| row.rsplit(',').nth(1).expect("a cell")).collect();
    assert_eq!(last, ["verification", "verified", "failed", "changed", "unseen"]);
}

#[test]
fn what_was_passed_over_is_said_to_be_unverified() {
    let mut lines = vec![json!({"stage": "script_start", "total_archives": 1, "jobs": 1})];
    lines.extend(archive("aaa", 3, &json!([])));
    (lines[3]["content_bytes"], lines[3]["passed_over_bytes"]) = (json!(1000), json!(790));
    let page = Page::of(&lines);
    assert!(page.text().contains("79\u{202f}% of the content was never decoded, and so not verified</p>"));
}

#[test]
fn hostile_names_are_text_and_run_nothing() {
    let script = "<script>window.ran = 1</script>";
    let hash = "\"><img src=x onerror=window.ran=1>'&amp;\u{202e}";
    let evil = json!({"number": 1, "start_bytes": 512, "size_bytes": 1000, "type": script, "name": "</script>\u{2028}",
        "kind": script, "fs": "javascript:window.ran=1", "fs_label": "\u{202e}<b>"});
    let mut lines = vec![json!({"stage": "script_start", "total_archives": 1, "jobs": 1, "version": script})];
    lines.extend(archive(hash, 300, &json!([evil, evil])));
    lines[2]["img"] = json!("</script><script>window.ran = 1</script>\u{fffd}.img");
    lines[2]["img_bytes"] = json!("PC9zY3JpcHQ+/y5pbWc=");
    lines[2]["table"]["label"] = json!(script);
    lines.push(json!({"stage": "warning", "scope": "archive", "hash": hash, "reason": script, "message": script}));
    lines.push(json!({"stage": "error", "scope": "run", "reason": script, "message": "\u{202e}</style>"}));
    lines.push(json!({"stage": "left_out", "rule": script, "count": 1, "size_bytes": 1,
        "files": [{"archive": format!("/\u{202e}{script}"), "size_bytes": 1, "reason": script}]}));
    lines
        .push(json!({"stage": "archive_verified", "hash": hash, "archive": "/x", "size_bytes": 3, "outcome": "failed",
        "message": script}));
    lines[0]["skipped"] = json!([script]);
    lines[0]["rules"] = json!({"min_image_size": 1, "min_partitions": 2, "image_suffix": script, "keep_undecided": false,
        "fs": false});
    lines[0]["options"] = json!(["--log", script]);
    lines.push(json!({"stage": "abort", "message": "</title><script>window.ran = 1</script>"}));
    let page = Page::of(&lines);
    assert!(!page.text().contains(['\u{202e}', '\u{2028}']));
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    browser.eval("document.querySelector('.hash').click()");
    let state = "[typeof window.ran, document.scripts.length, document.images.length, document.querySelectorAll('bdi b').length]";
    assert_eq!(browser.eval(state), json!(["undefined", 2, 0, 0]));
    assert_eq!(browser.eval("document.querySelector('.image h4').textContent"), r"</script>\xff.img");
    let command = "document.querySelector('.command').textContent";
    assert_eq!(browser.eval(command), format!("imgsieve scan --resume --log '{script}'"));
    let items =
        "[...document.querySelectorAll('.item')].map((item) => item.textContent.split('window.ran').length - 1)";
    // The command and the hash; the reason; the rule, the path and why.
    assert_eq!(browser.eval(items), json!([2, 1, 3]));
    let shown = browser.eval("document.querySelector('.hash').textContent");
    assert_eq!(shown, r#""><img src=x onerror=window.ran=1>'&amp;\u{202e}"#);
    let fragment = browser.eval("location.hash");
    browser.open(&page.file(), fragment.as_str().expect("a fragment"));
    assert_eq!(browser.eval("document.querySelectorAll('.detail').length"), 1);
    assert_eq!(browser.complaints(), [] as [Value; 0]);
}

#[test]
fn a_phone_needs_no_scrolling_sideways() {
    let page = Page::of_fixtures();
    let mut browser = Browser::start();
    for width in [320, 390, 700, 1000] {
        browser.resize(width, 800);
        browser.open(&page.file(), "");
        browser.eval("[...document.querySelectorAll('.hash')].slice(0, 20).forEach((node) => node.click())");
        let widths = browser.eval("[document.documentElement.scrollWidth, innerWidth]");
        assert_eq!(widths[0], widths[1], "at {width} pixels");
    }
}

#[test]
fn it_is_dark_for_those_who_want_it_and_light_on_paper() {
    let page = three();
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    let behind = "getComputedStyle(document.body).backgroundColor";
    browser.media("screen", "light");
    assert_eq!(browser.eval(behind), "rgb(251, 250, 247)");
    browser.media("screen", "dark");
    assert_eq!(browser.eval(behind), "rgb(21, 24, 26)");
    let tools = "getComputedStyle(document.querySelector('.tools')).display";
    assert_eq!(browser.eval(tools), "flex");
    browser.media("print", "dark");
    assert_eq!(browser.eval(behind), "rgb(255, 255, 255)");
    assert_eq!(browser.eval(tools), "none");
}

#[test]
fn without_a_script_the_glance_the_run_and_a_summary_stand() {
    let page = Page::of_fixtures();
    let mut browser = Browser::start();
    browser.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    browser.open(&page.file(), "");
    let counts = "['.verdicts .bar rect', '.lanes path', '.plain tbody tr', '.list'].map((all) => document.querySelectorAll(all).length)";
    let counts = browser.eval(counts);
    let [bars, lanes, rows, list] = [0, 1, 2, 3].map(|at| counts[at].as_u64().expect("a number"));
    assert!(bars >= 4 && lanes >= 3 && rows >= 50 && list == 0, "{counts}");
}

#[test]
fn ten_thousand_archives_are_one_light_page() {
    let partitions: Vec<Value> =
        (0..4).map(|at| partition(at + 1, 1 + u64::from(at) * 200, 190, "primary", "ext4")).collect();
    let mut lines =
        vec![json!({"stage": "script_start", "total_archives": 10_000, "jobs": 8, "minimum_bytes": 1 << 30})];
    for number in 0..10_000_usize {
        let hash = format!("{:032x}", 0x9e37_79b9_7f4a_7c15_u128 * (number as u128 + 1));
        let mut archive = archive(&hash, 5_000_000_000 + number as u64, &json!(partitions[..number % 5]));
        archive[0]["worker"] = json!(number % 8);
        archive[2]["available_bytes"] = json!((20_000 - number) << 20);
        let time = format!("2026-11-20T{:02}:{:02}:{:02}Z", number / 3600, number / 60 % 60, number % 60);
        for line in &mut archive {
            line["ts"] = json!(time);
        }
        lines.extend(archive);
    }
    let page = Page::of(&lines);
    let size = page.text().len();
    assert!(size < 3_000_000, "{size}");
    let mut browser = Browser::start();
    browser.open(&page.file(), "");
    let took = browser.eval("performance.getEntriesByType('navigation')[0].loadEventEnd");
    println!("{size} bytes, loaded in {took} ms");
    assert!(
        browser.eval("document.querySelectorAll('.entry').length").as_u64() < Some(200),
        "rows are made as they are seen"
    );
    browser.eval("scrollTo(0, document.documentElement.scrollHeight)");
    // Those that would be kept come first.
    let last = format!("{:032x}", 0x9e37_79b9_7f4a_7c15_u128 * 9_997);
    browser.wait_for(&format!("[...document.querySelectorAll('.hash')].some((node) => node.textContent === '{last}')"));
    assert!(
        browser.eval("document.querySelectorAll('.entry').length").as_u64() < Some(400),
        "and go when they are not"
    );
    assert_eq!(browser.complaints(), [] as [Value; 0]);
}

#[test]
fn a_checker_finds_the_markup_valid() {
    for page in [three(), Page::of_fixtures()] {
        let tidy = Command::new("tidy").args(["-q", "-e", "--show-info", "no"]).arg(page.file()).output();
        let said = tidy.expect("install the Debian package tidy").stderr;
        let said = String::from_utf8(said).expect("UTF-8");
        // It does not know that a drawing may have another in it.
        let real: Vec<&str> = said.lines().filter(|line| !line.contains("<svg> proprietary attribute")).collect();
        assert_eq!(real, [] as [&str; 0]);
    }
}

#[test]
fn a_report_that_cannot_be_written_leaves_the_old_one() {
    let page = three();
    let old = page.text();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 8; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_imgsieve"), "report"]);
    let full = command.arg(page.log()).arg("--html").arg(page.file()).output().expect("a shell");
    assert_eq!(full.status.code(), Some(1));
    let said = String::from_utf8(full.stderr).expect("UTF-8");
    assert!(said.starts_with("imgsieve: error: writing the report ") && said.lines().count() == 1, "{said}");
    assert!(said.contains("the existing file is unchanged"), "{said}");
    assert_eq!(std::fs::read_dir(page.folder.path()).expect("a folder").count(), 2, "nothing is left beside it");
    assert_eq!(page.text(), old);
}

#[test]
fn a_hyphen_is_standard_output_and_one_form_excludes_the_others() {
    let page = three();
    let report = |args: &[&str]| end(imgsieve().arg("report").arg(page.log()).args(args));
    let ended = report(&["--html", "-"]);
    assert!(ended.code == 0 && ended.stdout.starts_with("<!doctype html>") && ended.stdout.ends_with("</html>\n"));
    assert!(!Path::new("-").exists());
    for other in ["--json", "--csv", "--kept"] {
        assert_eq!(report(&["--html", "-", other]).code, 2, "{other}");
    }
}
