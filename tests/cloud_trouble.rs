//! Archives in object storage, and a store, a network or an environment in trouble: what passes costs no archive, and what
//! does not is told in one line. The server is the tests' own (`common/store.rs`).

#![cfg(feature = "cloud")]

#[path = "common/cloud.rs"]
mod cloud;
mod common;
#[path = "common/hostile.rs"]
mod hostile;
#[path = "common/store.rs"]
mod store;

use std::io::{Read, Write};
use std::net::TcpListener;

use cloud::{DENSE, dense, of, put_fixture, run, site_of};
use common::fixture;
use common::scan::{self, Scan, of_stage};
use store::{BUCKET, Faults, Object, Server};

#[test]
fn a_redirect_of_a_store_is_told_and_nothing_is_sent_there() {
    let (server, other) = (Server::start(), Server::start());
    let fixture = fixture::quick_collection().remove(0);
    for server in [&server, &other] {
        put_fixture(server, "cold", &fixture);
    }
    let key = format!("cold/{}.tar.zst", fixture.hash);
    let host = other.web().replace("http://", "").replace(&format!("/{BUCKET}"), "");
    let moved = |header| Faults { moved: Some(("/", format!("http://{host}/"), header)), ..Faults::default() };
    let web = format!("{}/{key}", server.web());
    for (header, url, words) in [
        ("", format!("s3://{BUCKET}/cold"), "set AWS_REGION to the region of the bucket, or AWS_ENDPOINT_URL"),
        ("", format!("s3://{BUCKET}/{key}"), "set AWS_REGION to the region of the bucket, or AWS_ENDPOINT_URL"),
        ("x-amz-bucket-region: ap-south-1\r\n", format!("s3://{BUCKET}/cold"), "set AWS_REGION=ap-south-1"),
    ] {
        server.set(moved(header));
        let ended = run(&server, &Scan::new(), &["--dry-run", &url]);
        assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
        assert!(ended.stderr.contains(words), "{url}: {}", ended.stderr);
        assert!(!header.is_empty() || ended.stderr.contains(&format!("another place, {host},")), "{}", ended.stderr);
    }
    assert_eq!(other.all(), 0);
    // To a web server nothing secret is sent, but none leads to where this machine's credentials are.
    server.set(moved(""));
    assert_eq!(run(&server, &Scan::new(), &["--dry-run", &web]).code, 0);
    assert!(other.all() > 0);
    server.set(Faults { moved: Some(("/", "http://169.254.169.254/".to_owned(), "")), ..Faults::default() });
    let ended = run(&server, &Scan::new(), &["--dry-run", &web]);
    assert!(ended.code == 1 && ended.stderr.contains("another place, 169.254.169.254,"), "{ended:?}");
    server.set(Faults { moved: Some(("/old", String::new(), "")), ..Faults::default() });
    let old = web.replace(&format!("/{BUCKET}/"), &format!("/old/{BUCKET}/"));
    assert_eq!(run(&server, &Scan::new(), &["--dry-run", &old]).code, 0);
    let ended = run(&server, &Scan::new(), &["--dry-run", &format!("s3://old/{key}")]);
    assert!(ended.code == 1 && ended.stderr.contains("is not followed there"), "{ended:?}");
}

#[test]
fn a_store_that_is_away_for_seconds_costs_no_archive() {
    // The pauses between so many tries add up to 6 seconds; the crate's own would have given up the first request.
    let long = |from: u64| from..from + 7;
    let cases = [
        ("busy from the first request on", Faults { unavailable: long(1), ..Faults::default() }),
        ("away from the first request on", Faults { away: long(1), ..Faults::default() }),
        ("away from the second block on", Faults { away: long(3), ..Faults::default() }),
        ("away, and bodies break off", Faults { away: long(4), reset: 2, ..Faults::default() }),
    ];
    // Most of each is waiting.
    std::thread::scope(|scope| {
        for (name, faults) in cases {
            scope.spawn(move || {
                let server = Server::start();
                server.put(&format!("d/{DENSE}.tar.zst"), Object::new(dense(), "dense"));
                server.set(faults);
                let scan = site_of("d");
                let ended = run(&server, &scan, &["--dry-run"]);
                assert_eq!(ended.code, 0, "{name}: {ended:?}");
                assert_eq!(of_stage(&scan.logged(), "archive_complete")[0]["multipart_imgs"], 1, "{name}");
            });
        }
    });
}

#[test]
fn a_store_that_says_when_to_come_again_is_not_asked_before() {
    let server = Server::start();
    for fixture in fixture::quick_collection() {
        put_fixture(&server, "cold", &fixture);
    }
    server.set(Faults { later: Some(3), ..Faults::default() });
    let ended = run(&server, &Scan::new(), &["--dry-run", &format!("s3://{BUCKET}/cold")]);
    assert_eq!((ended.code, server.early()), (0, 0), "{ended:?}");
    assert!(server.all() > 2, "{}", server.all());
}

#[test]
fn what_has_come_of_a_block_is_not_asked_for_again() {
    let server = Server::start();
    let bytes = dense();
    let length = bytes.len() as u64;
    server.put(&format!("d/{DENSE}.tar.zst"), Object::new(bytes, "dense"));
    server.set(Faults { short: 2, ..Faults::default() });
    let scan = site_of("d");
    assert_eq!(run(&server, &scan, &["--dry-run", "--engine", "decode"]).code, 0);
    assert_eq!(server.sent(), length);
    assert_eq!(of_stage(&scan.logged(), "archive_complete")[0]["requested_bytes"], length);
}

#[test]
fn a_variable_that_cannot_be_meant_is_one_line_that_names_it_and_an_empty_one_counts_as_unset() {
    let server = Server::start();
    put_fixture(&server, "cold", &fixture::quick_collection().remove(0));
    let folder = Scan::new();
    let missing = folder.folder().join("missing.pem");
    let scan = |set: &[(&str, &str)]| {
        let mut command = of(&server, folder.command());
        command.env("RUST_BACKTRACE", "1").envs(set.iter().copied());
        scan::end(command.args(["--dry-run", &format!("s3://{BUCKET}/cold")]))
    };
    for (name, value) in [
        ("AWS_ENDPOINT_URL", "minio:9000"),
        ("AWS_ENDPOINT_URL", "not a URL"),
        ("AWS_SESSION_TOKEN", "hush\n"),
        ("AWS_ACCESS_KEY_ID", "hush\nhush"),
        ("SSL_CERT_FILE", missing.to_str().expect("UTF-8")),
        ("SSL_CERT_FILE", ""),
    ] {
        let ended = scan(&[(name, value)]);
        assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{name}={value}: {ended:?}");
        assert!(ended.stderr.contains(name) && !ended.stderr.contains("hush"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
    let empty =
        ["AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN", "AWS_SKIP_SIGNATURE", "AWS_METADATA_ENDPOINT", "AWS_S3_EXPRESS"];
    let ended = scan(&empty.map(|name| (name, "")));
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn a_proxy_is_named_where_it_fails_and_credentials_are_not_asked_for_through_one() {
    let server = Server::start();
    let scan = |set: &[(&str, String)], unset: &[&str]| {
        let scan = Scan::new();
        let mut command = of(&server, scan.command());
        command.envs(set.iter().map(|(name, value)| (name, value)));
        for name in unset.iter().chain(&["no_proxy", "NO_PROXY"]) {
            command.env_remove(name);
        }
        scan::end(command.args(["--dry-run", &format!("s3://{BUCKET}/cold")]))
    };
    let dead = "http://user:hush@127.0.0.1:1".to_owned();
    for store in ["http://store.invalid", "https://store.invalid"] {
        let proxy = |name| (name, dead.clone());
        let set = [proxy("http_proxy"), proxy("HTTP_PROXY"), proxy("HTTPS_PROXY"), proxy("https_proxy")];
        let ended = scan(&[&set[..], &[("AWS_ENDPOINT_URL", store.to_owned())]].concat(), &[]);
        assert_eq!((ended.code, ended.stderr.lines().count()), (75, 1), "{ended:?}");
        assert!(ended.stderr.contains("cannot be reached through the proxy 127.0.0.1:1 "), "{}", ended.stderr);
        assert!(!ended.stderr.contains("hush"), "{}", ended.stderr);
    }
    let proxy = server.web().replace(&format!("/{BUCKET}"), "");
    let ended = scan(
        &[("http_proxy", proxy.clone()), ("HTTP_PROXY", proxy)],
        &["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"],
    );
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(server.log().iter().all(|asked| !asked.contains("latest")), "{:?}", server.log());
}

#[test]
fn who_cannot_be_reached_is_named_and_who_speaks_no_tls() {
    let server = Server::start();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let plain = listener.local_addr().expect("bound").to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // A client that goes away is no matter.
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
    });
    let scan = |set: &[(&str, &str)], unset: &[&str]| {
        let scan = Scan::new();
        let mut command = of(&server, scan.command());
        command.envs(set.iter().copied());
        for name in unset {
            command.env_remove(name);
        }
        scan::end(command.args(["--dry-run", &format!("s3://{BUCKET}/cold")]))
    };
    let keys = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
    let nobody = "http://127.0.0.1:1";
    for (variable, value, unset, code, words) in [
        ("AWS_ENDPOINT_URL", nobody, &[][..], 75, "the store cannot be reached (127.0.0.1:1): ".to_owned()),
        (
            "AWS_METADATA_ENDPOINT",
            nobody,
            &keys[..],
            75,
            "the server that gives credentials cannot be reached (127.0.0.1:1): ".to_owned(),
        ),
        ("AWS_ENDPOINT_URL", &format!("https://{plain}"), &[][..], 1, format!("{plain} speaks no TLS")),
    ] {
        let ended = scan(&[(variable, value)], unset);
        assert_eq!((ended.code, ended.stderr.lines().count()), (code, 1), "{ended:?}");
        assert!(ended.stderr.contains(&words), "{}", ended.stderr);
    }
}

#[test]
fn a_listing_with_a_value_that_cannot_be_is_faulty() {
    let server = Server::start();
    for entry in [
        "<Contents><Key>cold/a</Key><LastModified>2025-11-01T10:00:00Z</LastModified><Size>-5</Size></Contents>",
        "<Contents><Key>cold/a</Key><LastModified>yesterday</LastModified><Size>5</Size></Contents>",
    ] {
        server.set(Faults { entry, ..Faults::default() });
        let ended = run(&server, &Scan::new(), &["--dry-run", &format!("s3://{BUCKET}/cold")]);
        assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
        assert!(ended.stderr.contains("the listing is faulty: "), "{}", ended.stderr);
    }
}

#[test]
fn a_login_page_in_place_of_an_answer_is_told_as_one() {
    let server = Server::start();
    server.set(Faults { login: true, ..Faults::default() });
    let store = format!("s3://{BUCKET}/cold");
    let (object, web) = (format!("{store}/a.tar.zst"), format!("{}/a.tar.zst", server.web()));
    for (url, expected) in [(store, "a listing"), (object, "an object"), (web, "an object")] {
        let ended = run(&server, &Scan::new(), &["--dry-run", &url]);
        assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
        let words = format!("an HTML page came where {expected} was expected");
        assert!(ended.stderr.contains(&words) && !ended.stderr.contains("Generic"), "{}", ended.stderr);
    }
}

#[test]
fn a_listing_of_pages_without_keys_is_given_up() {
    let server = Server::start();
    server.set(Faults { hollow: true, ..Faults::default() });
    let ended = run(&server, &Scan::new(), &["--dry-run", &format!("s3://{BUCKET}/cold")]);
    assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
    assert!(ended.stderr.contains("1000 pages in a row have no key"), "{}", ended.stderr);
    assert_eq!(server.counts().2, 1000);
}

#[test]
fn a_key_that_is_not_under_the_prefix_is_told_and_not_read() {
    let server = Server::start();
    put_fixture(&server, "cold", &fixture::quick_collection().remove(0));
    let stray = "secret/5ec5e700000000000000000000000000.tar.zst";
    server.put(stray, Object::new(b"bytes".to_vec(), "t"));
    server.set(Faults { stray: Some(stray), ..Faults::default() });
    let scan = Scan::new();
    let ended = run(&server, &scan, &["--dry-run", &format!("s3://{BUCKET}/cold")]);
    assert_eq!(ended.code, 1, "{ended:?}");
    let lines = scan.logged();
    assert_eq!(of_stage(&lines, "archive_complete").len(), 1);
    let error = of_stage(&lines, "error")[0];
    assert_eq!(error["archive"], format!("s3://{BUCKET}/{stray}"));
    assert!(error["message"].to_string().contains("not under the prefix"), "{error}");
    assert!(server.log().iter().all(|asked| !asked.contains("secret")), "{:?}", server.log());
}
