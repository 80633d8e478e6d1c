//! A small server of objects, with what goes wrong with one: S3's language, as far as imgsieve speaks it, and plain HTTP.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Bytes that are sent at a time.
const PIECE: usize = 64 << 10;
/// Keys of a page of a listing.
const PAGE: usize = 1000;

/// What is under a key.
#[derive(Clone, Default)]
pub struct Object {
    /// Its length.
    pub length: u64,
    /// Its bytes, where they are; all others are zeros.
    pub pieces: Vec<(u64, Arc<Vec<u8>>)>,
    /// Its tag, without quotation marks; none where the server gives none.
    pub etag: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// The server does not say when it was written.
    pub is_timeless: bool,
}

impl Object {
    /// An object of these bytes, and a tag.
    pub fn new(bytes: Vec<u8>, etag: &str) -> Object {
        let length = bytes.len() as u64;
        Object { length, pieces: vec![(0, Arc::new(bytes))], etag: Some(etag.to_owned()), ..Object::default() }
    }

    fn read(&self, range: Range<u64>) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(range.end - range.start).expect("a piece")];
        for (at, piece) in &self.pieces {
            let (start, end) = (range.start.max(*at), range.end.min(at + piece.len() as u64));
            if start < end {
                let index = |offset: u64, from: u64| usize::try_from(offset - from).expect("in memory");
                bytes[index(start, range.start)..index(end, range.start)]
                    .copy_from_slice(&piece[index(start, *at)..index(end, *at)]);
            }
        }
        bytes
    }
}

/// What goes wrong, and how slowly all goes.
#[derive(Clone, Default)]
// Each is a thing of its own.
#[allow(clippy::struct_excessive_bools)]
pub struct Faults {
    /// Before each answer.
    pub latency: Duration,
    /// Bytes a second of a connection; none for as fast as it goes.
    pub bandwidth: Option<u64>,
    /// Each so manieth request is answered 503.
    pub busy: u64,
    /// The body of each so manieth GET is cut by a reset of the connection.
    pub reset: u64,
    /// The body of each so manieth GET ends early, and the connection with it.
    pub short: u64,
    /// Bodies are longer than what was asked for, by far.
    pub endless: bool,
    /// Takes no notice of `If-Match`.
    pub ignores_match: bool,
    /// Refuses HEAD.
    pub no_head: bool,
    /// From this GET on, another object is under the key; a HEAD counts as the next one.
    pub replaced: Option<(u64, Object)>,
    /// No answer to GETs from this one on.
    pub mute_from: Option<u64>,
    /// Takes no notice of a range.
    pub whole: bool,
    /// What a GET for an object and a listing are answered with: 404, and a body so long.
    pub talkative: Option<u64>,
    /// A listing leads back to the second page from the page of this number.
    pub circle: Option<u64>,
    /// The last page of a listing has a token for the next one, which is empty.
    pub empty_token: bool,
    /// A page of a listing is followed by so many spaces.
    pub padded: usize,
    /// Requests of these numbers find no answer: their connections are reset.
    pub away: Range<u64>,
    /// Requests of these numbers are answered 503.
    pub unavailable: Range<u64>,
    /// Requests in the first so many seconds are answered 503, the first of them with when to come again.
    pub later: Option<u64>,
    /// Everything is answered 200, and with a page of the web.
    pub login: bool,
    /// A listing has pages without keys only, and ever more of them.
    pub hollow: bool,
    /// A key that every listing has, whatever it is asked for.
    pub stray: Option<&'static str>,
    /// What every listing has besides.
    pub entry: &'static str,
    /// What is asked for by a path that begins so is sent elsewhere: the beginning of where to instead, and a header besides.
    pub moved: Option<(&'static str, String, &'static str)>,
}

struct State {
    objects: Mutex<BTreeMap<String, Object>>,
    faults: Mutex<Faults>,
    /// Keys of a listing that has no objects: `a/0000000.tar.zst` and so on.
    listed: AtomicU64,
    all: AtomicU64,
    requests: AtomicU64,
    gets: AtomicU64,
    lists: AtomicU64,
    sent: AtomicU64,
    is_closed: AtomicBool,
    /// When the time of `Faults::later` is over, and the requests that came before.
    later: Mutex<Option<Instant>>,
    early: AtomicU64,
    /// Requests for objects, with their ranges, in order.
    log: Mutex<Vec<String>>,
}

/// The server; it ends with this.
pub struct Server {
    port: u16,
    state: Arc<State>,
}

/// The bucket that there is.
pub const BUCKET: &str = "cold";

impl Server {
    /// A server on a port of its own.
    pub fn start() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let state = Arc::new(State {
            objects: Mutex::default(),
            faults: Mutex::default(),
            listed: AtomicU64::new(0),
            all: AtomicU64::new(0),
            requests: AtomicU64::new(0),
            gets: AtomicU64::new(0),
            lists: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            later: Mutex::default(),
            early: AtomicU64::new(0),
            log: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.is_closed.load(Ordering::Relaxed) {
                    break;
                }
                let state = Arc::clone(&shared);
                // A client that goes away is no matter.
                std::thread::spawn(move || drop(state.serve(&stream)));
            }
        });
        Server { port, state }
    }

    /// Puts an object under a key.
    pub fn put(&self, key: &str, object: Object) {
        self.state.objects.lock().expect("not poisoned").insert(key.to_owned(), object);
    }

    /// Sets what goes wrong from now on, and counts anew.
    pub fn set(&self, faults: Faults) {
        *self.state.faults.lock().expect("not poisoned") = faults;
        let State { all, requests, gets, lists, sent, early, .. } = &*self.state;
        for count in [all, requests, gets, lists, sent, early] {
            count.store(0, Ordering::Relaxed);
        }
        *self.state.later.lock().expect("not poisoned") = None;
        self.state.log.lock().expect("not poisoned").clear();
    }

    /// Has a listing of `a/` give so many keys that nobody put.
    pub fn list(&self, keys: u64) {
        self.state.listed.store(keys, Ordering::Relaxed);
    }

    /// Requests for objects, GETs that were answered among them, and pages of listings.
    pub fn counts(&self) -> (u64, u64, u64) {
        let State { requests, gets, lists, .. } = &*self.state;
        (requests.load(Ordering::Relaxed), gets.load(Ordering::Relaxed), lists.load(Ordering::Relaxed))
    }

    /// Requests of any kind, answered or not.
    pub fn all(&self) -> u64 {
        self.state.all.load(Ordering::Relaxed)
    }

    /// Requests that came before the time that the server had told.
    pub fn early(&self) -> u64 {
        self.state.early.load(Ordering::Relaxed)
    }

    /// Bytes of objects that were sent.
    pub fn sent(&self) -> u64 {
        self.state.sent.load(Ordering::Relaxed)
    }

    /// The requests for objects so far.
    pub fn log(&self) -> Vec<String> {
        self.state.log.lock().expect("not poisoned").clone()
    }

    /// Where it is, as a web server.
    pub fn web(&self) -> String {
        format!("http://127.0.0.1:{}/{BUCKET}", self.port)
    }

    /// What a file of Google's credentials has by which it is Google's.
    pub fn google(&self) -> String {
        let keys = r#""disable_oauth": true, "client_email": "", "private_key": "", "private_key_id": """#;
        format!(r#"{{"gcs_base_url": "http://127.0.0.1:{}", {keys}}}"#, self.port)
    }

    /// The environment by which it is S3.
    pub fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port)),
            ("AWS_ACCESS_KEY_ID", "key".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
            ("AWS_REGION", "eu-west-1".to_owned()),
            // Of whoever passes the tests.
            ("AWS_SESSION_TOKEN", String::new()),
            ("no_proxy", "127.0.0.1".to_owned()),
        ]
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.is_closed.store(true, Ordering::Relaxed);
        // What waits for a connection gets one.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
    }
}

/// A request, as far as it matters.
struct Request {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    range: Option<(u64, u64)>,
    if_match: Option<String>,
}

impl State {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream.try_clone()?);
        while let Some(request) = read(&mut reader)? {
            if !self.answer(&request, stream)? {
                return stream.shutdown(Shutdown::Both);
            }
        }
        Ok(())
    }

    /// Answers; whether the connection goes on.
    fn answer(&self, request: &Request, stream: &TcpStream) -> io::Result<bool> {
        let faults = self.faults.lock().expect("not poisoned").clone();
        let number = self.all.fetch_add(1, Ordering::Relaxed) + 1;
        if !request.query.contains_key("list-type") {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let (method, path) = (&request.method, &request.path);
            self.log.lock().expect("not poisoned").push(format!("{method} {path} {:?}", request.range));
        }
        std::thread::sleep(faults.latency);
        if let Some(seconds) = faults.later
            && let Some(goes_on) = self.put_off(seconds, stream)
        {
            return goes_on;
        }
        if let Some(goes_on) = trouble(&faults, number, request, stream) {
            return goes_on;
        }
        let path = request.path.strip_prefix('/').unwrap_or(&request.path);
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        if bucket != BUCKET {
            return error(stream, request, "404 Not Found", "NoSuchBucket");
        }
        if request.query.contains_key("list-type") {
            self.lists.fetch_add(1, Ordering::Relaxed);
            if let Some(length) = faults.talkative {
                return talk(stream, length);
            }
            return self.answer_list(request, &faults, stream);
        }
        let is_head = request.method == "HEAD";
        if let Some(length) = faults.talkative {
            return if is_head { error(stream, request, "404 Not Found", "") } else { talk(stream, length) };
        }
        if is_head && faults.no_head {
            return error(stream, request, "405 Method Not Allowed", "MethodNotAllowed");
        }
        let get =
            if is_head { self.gets.load(Ordering::Relaxed) + 1 } else { self.gets.fetch_add(1, Ordering::Relaxed) + 1 };
        if faults.mute_from.is_some_and(|from| !is_head && get >= from) {
            while !self.is_closed.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        let object = match &faults.replaced {
            Some((from, object)) if get >= *from => Some(object.clone()),
            _ => self.objects.lock().expect("not poisoned").get(key).cloned(),
        };
        let Some(object) = object else {
            return error(stream, request, "404 Not Found", "NoSuchKey");
        };
        let tag = object.etag.as_ref().map(quoted);
        if request.if_match.is_some() && request.if_match != tag && !faults.ignores_match {
            return error(stream, request, "412 Precondition Failed", "PreconditionFailed");
        }
        let asked = request.range.filter(|_| !faults.whole);
        let (status, range) = match asked {
            Some((start, _)) if start >= object.length => {
                return error(stream, request, "416 Range Not Satisfiable", "InvalidRange");
            }
            Some((start, end)) => ("206 Partial Content", start..object.length.min(end + 1)),
            None => ("200 OK", 0..object.length),
        };
        let length = if faults.endless && !is_head { 1 << 50 } else { range.end - range.start };
        let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n");
        if !object.is_timeless {
            let _ = write!(text, "Last-Modified: Sat, 01 Nov 2025 10:00:00 GMT\r\n");
        }
        if asked.is_some() {
            let _ = write!(text, "Content-Range: bytes {}-{}/{}\r\n", range.start, range.end - 1, object.length);
        }
        if let Some(tag) = tag {
            let _ = write!(text, "ETag: {tag}\r\n");
        }
        if let Some(version) = &object.version {
            let _ = write!(text, "x-amz-version-id: {version}\r\n");
        }
        send(stream, format!("{text}\r\n").as_bytes())?;
        if is_head {
            return Ok(true);
        }
        if faults.endless {
            loop {
                send(stream, &vec![0; PIECE])?;
            }
        }
        let is_cut = is_each(faults.reset, get) || is_each(faults.short, get);
        let end = if is_cut { range.start + (range.end - range.start) / 2 } else { range.end };
        self.send_body(stream, &object, range.start..end, faults.bandwidth)?;
        if is_each(faults.reset, get) {
            reset(stream);
        }
        Ok(!is_cut)
    }

    /// Answers when to come again, until then.
    fn put_off(&self, seconds: u64, stream: &TcpStream) -> Option<io::Result<bool>> {
        let now = Instant::now();
        let mut later = self.later.lock().expect("not poisoned");
        let header = match *later {
            Some(until) if now >= until => return None,
            Some(_) => {
                self.early.fetch_add(1, Ordering::Relaxed);
                String::new()
            }
            None => format!("Retry-After: {seconds}\r\n"),
        };
        later.get_or_insert(now + Duration::from_secs(seconds));
        let head = format!("HTTP/1.1 503 Slow Down\r\n{header}Content-Length: 0\r\n\r\n");
        Some(send(stream, head.as_bytes()).map(|()| true))
    }

    fn send_body(
        &self,
        stream: &TcpStream,
        object: &Object,
        range: Range<u64>,
        bandwidth: Option<u64>,
    ) -> io::Result<()> {
        let begun = Instant::now();
        let mut at = range.start;
        while at < range.end {
            let until = range.end.min(at + PIECE as u64);
            send(stream, &object.read(at..until))?;
            self.sent.fetch_add(until - at, Ordering::Relaxed);
            at = until;
            if let Some(bandwidth) = bandwidth {
                let due = Duration::from_nanos((at - range.start) * 1_000_000_000 / bandwidth);
                std::thread::sleep(due.saturating_sub(begun.elapsed()));
            }
        }
        Ok(())
    }

    fn answer_list(&self, request: &Request, faults: &Faults, stream: &TcpStream) -> io::Result<bool> {
        let prefix = request.query.get("prefix").map_or("", String::as_str);
        let has_delimiter = request.query.contains_key("delimiter");
        let mut keys: BTreeMap<String, (u64, Option<String>)> = BTreeMap::new();
        for (key, object) in self.objects.lock().expect("not poisoned").iter() {
            keys.insert(key.clone(), (object.length, object.etag.as_ref().map(quoted)));
        }
        let first: u64 = request.query.get("continuation-token").map_or(0, |token| token.parse().expect("ours"));
        let listed = self.listed.load(Ordering::Relaxed);
        let mut text = String::from("<?xml version=\"1.0\"?><ListBucketResult>");
        let entry = |key: &str, length: u64, etag: Option<&str>| {
            let etag = etag.map_or_else(String::new, |etag| format!("<ETag>{}</ETag>", etag.replace('"', "&quot;")));
            format!(
                "<Contents><Key>{key}</Key><LastModified>2025-11-01T10:00:00.250Z</LastModified>\
                 {etag}<Size>{length}</Size></Contents>"
            )
        };
        text += faults.entry;
        if let Some(key) = faults.stray {
            text += &entry(key, 5, Some("stray"));
        }
        if faults.hollow {
            let next = first + 1;
            let _ =
                write!(text, "<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>");
        } else if listed > 0 && prefix == "a/" {
            let end = listed.min(first + PAGE as u64);
            for number in first..end {
                text += &entry(&format!("a/{number:07}.tar.zst"), number, Some("\"t\""));
            }
            let page = end / PAGE as u64;
            let next = if faults.circle.is_some_and(|last| page >= last) { PAGE as u64 } else { end };
            if next < listed {
                let _ = write!(
                    text,
                    "<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>"
                );
            } else if faults.empty_token {
                text += "<IsTruncated>false</IsTruncated><NextContinuationToken></NextContinuationToken>";
            }
        } else {
            let mut folders = std::collections::BTreeSet::new();
            for (key, (length, etag)) in &keys {
                let Some(rest) = key.strip_prefix(prefix) else { continue };
                match rest.split_once('/') {
                    Some((folder, _)) if has_delimiter => drop(folders.insert(format!("{prefix}{folder}/"))),
                    _ => text += &entry(key, *length, etag.as_deref()),
                }
            }
            for folder in folders {
                let _ = write!(text, "<CommonPrefixes><Prefix>{folder}</Prefix></CommonPrefixes>");
            }
        }
        text += "</ListBucketResult>";
        text += &" ".repeat(faults.padded);
        let answer =
            format!("HTTP/1.1 200 OK\r\nContent-Type: application/xml\r\nContent-Length: {}\r\n\r\n{text}", text.len());
        send(stream, answer.as_bytes()).map(|()| true)
    }
}

/// Answers what goes wrong whatever is asked for, if something does.
fn trouble(faults: &Faults, number: u64, request: &Request, stream: &TcpStream) -> Option<io::Result<bool>> {
    if faults.away.contains(&number) {
        reset(stream);
        return Some(Ok(false));
    }
    if faults.login {
        let page = "<!DOCTYPE html><html><body>Log in</body></html>";
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n", page.len());
        let body = if request.method == "HEAD" { "" } else { page };
        return Some(send(stream, format!("{head}{body}").as_bytes()).map(|()| true));
    }
    if is_each(faults.busy, number) || faults.unavailable.contains(&number) {
        return Some(error(stream, request, "503 Slow Down", "SlowDown"));
    }
    if let Some((from, to, header)) = &faults.moved
        && let Some(rest) = request.path.strip_prefix(from)
    {
        let head = format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {to}{rest}\r\n{header}");
        return Some(send(stream, format!("{head}Content-Length: 0\r\n\r\n").as_bytes()).map(|()| true));
    }
    None
}

/// Whether it is one of each so many.
fn is_each(each: u64, number: u64) -> bool {
    each > 0 && number.is_multiple_of(each)
}

fn read(reader: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace().map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = query.map(|(key, value)| (decoded(key), decoded(value))).collect();
    let mut request = Request { method, path: decoded(path), query, range: None, if_match: None };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        // Some have no value.
        let Some((name, value)) = line.trim_end().split_once(':') else { return Ok(Some(request)) };
        let value = value.trim_start();
        match name.to_ascii_lowercase().as_str() {
            "range" => {
                let range = value.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
                request.range = range.map(|(start, end)| (start.parse().expect("a number"), end.parse().expect("one")));
            }
            "if-match" => request.if_match = Some(value.to_owned()),
            _ => {}
        }
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, more @ ..] = rest {
        let hex = more.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &more[2..];
            }
            _ => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

/// A tag as it is sent; a weak one is put with its mark and quotation marks.
fn quoted(etag: &String) -> String {
    if etag.starts_with("W/") { etag.clone() } else { format!("\"{etag}\"") }
}

fn send(mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)
}

/// An error with its code; the answer to a HEAD has no body.
fn error(stream: &TcpStream, request: &Request, status: &str, code: &str) -> io::Result<bool> {
    if request.method == "HEAD" {
        return send(stream, format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).map(|()| true);
    }
    let text = format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>what {code} is</Message></Error>");
    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{text}", text.len());
    send(stream, answer.as_bytes()).map(|()| true)
}

/// A refusal that is so long.
fn talk(stream: &TcpStream, length: u64) -> io::Result<bool> {
    send(stream, format!("HTTP/1.1 404 Not Found\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
    for _ in 0..length / PIECE as u64 {
        send(stream, &vec![b' '; PIECE])?;
    }
    Ok(false)
}

/// Has a connection end by a reset once it is closed.
fn reset(stream: &TcpStream) {
    rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO)).expect("a socket");
}
