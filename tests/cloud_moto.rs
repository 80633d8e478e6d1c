//! S3 as moto understands it, which is none of ours: what is in a bucket is surveyed as the folder with the same files, and
//! what is refused is told. Without `moto_server` (`moto[server]`; `tests/oracles` installs it) nothing is tested, and the
//! test says so.

#![cfg(feature = "cloud")]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use common::fixture::{self, Fixture};
use common::scan::{self, Scan, imgsieve, of_stage, words};
use serde_json::json;

/// A server that ends with this.
struct Moto {
    child: Child,
    port: u16,
}

impl Moto {
    /// A server with these variables; none where there is no moto.
    fn start(variables: &[(&str, &str)]) -> Option<Moto> {
        // Where tests/oracles installs it, or wherever else it is.
        let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/target/oracles/bin/moto_server");
        let mut command = Command::new(if std::path::Path::new(ours).exists() { ours } else { "moto_server" });
        command.args(["-H", "127.0.0.1", "-p", "0"]).envs(variables.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            eprintln!("skipped: there is no moto_server; tests/oracles installs it");
            return None;
        };
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
        let port = lines.find_map(|line| line.rsplit_once("http://127.0.0.1:")?.1.trim().parse().ok());
        // Nobody else reads what it says of each request.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Moto { child, port: port.expect("moto_server says its port") })
    }

    /// A request by somebody whom moto does not ask who he is. Gives the answer.
    fn put(&self, path: &str, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("it listens");
        let credential = "AWS4-HMAC-SHA256 Credential=key/20250101/us-east-1/s3/aws4_request";
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\nAuthorization: {credential}\r\n\
             Content-Length: {}\r\n\r\n",
            bytes.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes)).expect("it takes it");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
        answer
    }

    fn put_fixture(&self, prefix: &str, fixture: &Fixture) {
        let bytes = std::fs::read(fixture.path()).expect("a fixture");
        self.put(&format!("/cold/{prefix}{}.tar.zst", fixture.hash), &bytes);
    }

    fn with(&self, command: &mut Command) -> scan::Ended {
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)).env("no_proxy", "127.0.0.1");
        scan::end(command.env("AWS_ACCESS_KEY_ID", "key").env("AWS_SECRET_ACCESS_KEY", "secret"))
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn moto_s_bucket_is_surveyed_as_the_folder_with_the_same_files() {
    let Some(moto) = Moto::start(&[]) else { return };
    moto.put("/cold", b"");
    let fixtures: Vec<Fixture> = fixture::all().into_iter().filter(Fixture::is_quick).take(12).collect();
    for fixture in &fixtures {
        moto.put_fixture("2019/", fixture);
    }
    moto.put("/cold/2019/empty.tar.zst", b"");
    moto.put("/cold/2019/deeper/notes.txt", b"notes");
    let files = Scan::of(&fixtures);
    std::fs::write(files.archive("empty"), b"").expect("a file");
    let objects = Scan::new().site("collection = ['s3://cold/2019/']");
    let (of_files, of_objects) = (files.run(), moto.with(&mut objects.command()));
    assert_eq!(of_files.code, of_objects.code, "{of_objects:?}");
    let (of_files, of_objects) = (files.logged(), objects.logged());
    for stage in ["archive_start", "partition_check", "archive_complete", "error"] {
        for key in ["hash", "img", "action", "reason"] {
            let sorted = |lines: &[serde_json::Value]| {
                let mut words = words(&of_stage(lines, stage), key);
                words.sort();
                words
            };
            assert_eq!(sorted(&of_files), sorted(&of_objects), "{stage} {key}");
        }
    }
    let starts = of_stage(&of_objects, "archive_start");
    assert!(starts.len() > 10 && starts.iter().all(|start| start["etag"].is_string()), "{starts:?}");
    let empty = of_stage(&of_objects, "error").into_iter().find(|error| error["hash"] == "empty").expect("an error");
    assert_eq!(empty["reason"], "empty");
    // A second run of the same objects reads none of them.
    let resumed = moto.with(objects.command().arg("--resume"));
    assert_eq!(resumed.code, 1, "the one that is empty: {resumed:?}");
    assert!(!of_stage(&objects.logged(), "archive_resumed").is_empty());
}

#[test]
fn moto_s_refusals_are_one_line_each() {
    let Some(moto) = Moto::start(&[]) else { return };
    moto.put("/cold", b"");
    let line = |ended: &scan::Ended, words: &str| {
        assert_eq!((ended.code, ended.stderr.lines().count()), (1, 1), "{ended:?}");
        assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
    };
    let site = Scan::new();
    line(&moto.with(site.command().args(["-n", "s3://nowhere"])), "there is no bucket nowhere");
    line(&moto.with(site.command().args(["-n", "s3://nowhere/a.tzst"])), "there is no bucket nowhere");
    line(&moto.with(site.command().args(["-n", "s3://cold/a.tzst"])), "there is no such object");
    line(&moto.with(site.command().args(["-n", "s3://cold/2019"])), "nothing in the bucket has this prefix");
    let Some(strict) = Moto::start(&[("INITIAL_NO_AUTH_ACTION_COUNT", "0")]) else { return };
    let words = "the store refuses the credentials (InvalidAccessKeyId)";
    line(&strict.with(site.command().args(["-n", "s3://cold/2019"])), words);
    line(&strict.with(site.command().args(["-n", "s3://cold/a.tzst"])), words);
}

#[test]
fn an_object_of_several_blocks_comes_whole_from_moto() {
    let Some(moto) = Moto::start(&[]) else { return };
    moto.put("/cold", b"");
    let mut image = common::content(20 << 20);
    image[..512].fill(0);
    moto.put("/cold/disk.img", &image);
    let of_object = moto.with(imgsieve().args(["inspect", "--json", "s3://cold/disk.img"]));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("disk.img");
    std::fs::write(&path, &image).expect("a file");
    let of_file = scan::end(imgsieve().args(["inspect", "--json"]).arg(&path));
    let images =
        |ended: &scan::Ended| serde_json::from_str::<serde_json::Value>(&ended.stdout).expect("JSON")["images"].clone();
    assert_eq!(images(&of_object), images(&of_file));
    assert_eq!(images(&of_object)[0]["size_bytes"], json!(20 << 20));
    // All bytes, in whatever blocks they come.
    let frame = zstd::bulk::compress(&image, 1).expect("compresses");
    moto.put("/cold/disk.img.zst", &frame);
    let out = folder.path().join("out.img");
    let extracted = moto.with(imgsieve().args(["extract", "s3://cold/disk.img.zst", "-o"]).arg(&out));
    assert_eq!(extracted.code, 0, "{extracted:?}");
    assert!(std::fs::read(&out).expect("there") == image);
}
