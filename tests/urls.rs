//! What is taken for a URL, and what is told of one that is refused.

mod common;

use std::path::Path;
use std::process::Command;

use common::scan::{self, Ended, Scan, imgsieve};

/// What no message and no log may have.
const SECRET: &str = "hunter2";

/// URLs that have it, as far as they are told.
const TOLD: [(&str, &str); 7] = [
    ("https://user:hunter2@host/a.tar.zst", "https://***@host/a.tar.zst"),
    ("https://host/a.tar.zst?X-Amz-Signature=hunter2", "https://host/a.tar.zst?…"),
    ("s3://user:hunter2@cold/a.tar.zst", "s3://***@cold/a.tar.zst"),
    ("ftp://user:hunter2@host/a.tar.zst", "ftp://***@host/a.tar.zst"),
    (" https://user:hunter2@host/a.tar.zst", " https://***@host/a.tar.zst"),
    ("https:/user:hunter2@host/a.tar.zst", "https:/***@host/a.tar.zst"),
    ("az://cold/a.tar.zst?sv=1&sig=hunter2", "az://cold/a.tar.zst?signature=…"),
];

fn in_folder(folder: &Path, command: &mut Command) -> Ended {
    scan::end(command.current_dir(folder))
}

#[test]
fn secrets_of_refused_urls_are_neither_printed_nor_logged() {
    for (url, told) in TOLD {
        let scan = Scan::new();
        let list = scan.folder().join("list");
        std::fs::write(&list, url).expect("a list");
        let site_file = scan.folder().join("other.toml");
        std::fs::write(&site_file, format!("collection = ['{url}']\n")).expect("a site file");
        let log = scan.log().display().to_string();
        let files: [(&[&str], i32); 7] = [
            (&["scan", "--dry-run", "--log", &log, url], 2),
            (&["scan", "--dry-run", "--log", &log, "--config", "other.toml"], 2),
            (&["scan", "--dry-run", "--config", "site.toml", "--files-from", "list"], 1),
            (&["verify", "--log", &log, url], 2),
            (&["inspect", url], 1),
            (&["extract", url], 1),
            (&["config", "--init", "new.toml", url], 2),
        ];
        for (args, code) in files {
            let ended = in_folder(scan.folder(), imgsieve().args(args));
            let logged = std::fs::read_to_string(scan.log()).unwrap_or_default();
            assert_eq!(ended.code, code, "{args:?}: {ended:?}");
            assert!([&ended.stderr, &ended.stdout].iter().any(|text| text.contains(told)), "{args:?}: {ended:?}");
            for text in [&ended.stderr, &ended.stdout, &logged] {
                assert!(!text.contains(SECRET), "{args:?}: {text}");
            }
        }
    }
}

#[test]
fn secrets_of_urls_are_not_printed_where_none_can_be_either() {
    let scan = Scan::new();
    for (url, told) in TOLD {
        let option = format!("--log={url}");
        let commands: [&[&str]; 6] = [
            &["scan", "--log", url],
            &["scan", &option],
            &["scan", "--shard", url],
            &["report", url],
            &["extract", "a.tar.zst", "-o", url],
            &["man", "--to", url],
        ];
        for args in commands {
            let refused = in_folder(scan.folder(), imgsieve().args(args));
            assert!(refused.code == 2 && !refused.stderr.contains(SECRET), "{args:?}: {refused:?}");
            assert!(refused.stderr.contains(told), "{args:?}: {refused:?}");
        }
        let refused = in_folder(scan.folder(), imgsieve().args(["config"]).env("IMGSIEVE_CONFIG", url));
        assert!(refused.code == 2 && !refused.stderr.contains(SECRET), "{url}: {refused:?}");
    }
}

#[test]
fn a_scheme_that_is_not_known_is_no_folder() {
    let scan = Scan::new();
    for (url, mend) in [
        ("S3://cold/a", "its scheme is written s3://"),
        ("s3:/cold/a", "its scheme is written s3://"),
        ("file:///a", "give the path"),
        ("ftp://host/a", "schemes that are known are s3://"),
        ("s3:///cold", "it names no bucket"),
    ] {
        let refused = scan.run_with(&["--dry-run", url]);
        assert_eq!((refused.code, refused.stderr.lines().count()), (2, 1), "{refused:?}");
        assert!(refused.stderr.contains(mend), "{refused:?}");
        let inspected = scan::end(imgsieve().args(["inspect", url]));
        assert!(inspected.code == 1 && inspected.stdout.contains(mend), "{inspected:?}");
    }
    for url in ["s3://cold", "s3://cold/2019/", "https://host/"] {
        let inspected = scan::end(imgsieve().args(["inspect", url]));
        assert!(inspected.stdout.contains("a prefix cannot be asked for"), "{inspected:?}");
        let extracted = scan::end(imgsieve().args(["extract", url]));
        assert!(extracted.stderr.contains("a prefix cannot be asked for"), "{extracted:?}");
    }
    // A folder may have such a name.
    std::fs::create_dir_all(scan.folder().join("ftp:/host/a")).expect("folders");
    let found = in_folder(scan.folder(), scan.command().args(["--dry-run", "ftp://host/a"]));
    assert_eq!(found.code, 0, "{found:?}");
}

#[test]
fn what_is_written_is_never_put_into_a_folder_with_the_name_of_a_url() {
    let scan = Scan::new();
    for url in ["s3://cold/x", "S3://cold/x", "https://host/x"] {
        let commands: [&[&str]; 8] = [
            &["scan", "--config", "site.toml", "--log", url],
            &["scan", "--config", "site.toml", "--staging", url],
            &["reprocess", "--config", "site.toml", "--staging", url, "--", "true", "{}"],
            &["reprocess", "--config", "site.toml", "--log", url, "--", "true", "{}"],
            &["verify", "--config", "site.toml", "--log", url],
            &["report", url],
            &["report", "--config", "site.toml", "--html", url],
            &["extract", "a.tar.zst", "-o", url],
        ];
        for args in commands {
            let refused = in_folder(scan.folder(), imgsieve().args(args));
            assert_eq!(refused.code, 2, "{args:?}: {refused:?}");
            assert!(refused.stderr.contains("only archives are read by URL"), "{args:?}: {refused:?}");
        }
        for key in ["log", "staging"] {
            let site = Scan::new().site(&format!("{key} = '{url}'"));
            let refused = site.run();
            assert_eq!(refused.code, 2, "{refused:?}");
            assert!(refused.stderr.contains(&format!("{key} = {url}: only archives")), "{refused:?}");
        }
    }
    let made: Vec<_> = std::fs::read_dir(scan.folder()).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(made.len(), 2, "{made:?}");
}
