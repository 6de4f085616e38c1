//! What is raced over: objects of which the origin always knows the newest version, and the purges that cover them.
//! The origin fixes what it says when the request arrives, and often says it late.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::message::{self, Fields};

pub const OBJECTS: usize = 64;
const TAGS: usize = 8;
const FOLDERS: usize = 4;
/// How late it answers at most. Longer than a purge takes: many purges come while a fetch is under way.
const LATE_MS_MAX: u64 = 20;

/// Of a body, which says its version in each block.
pub const BLOCK_BYTES: usize = 8;
pub const BLOCKS: usize = 8;
/// What a response that changes its mind varies by.
const VARIES: [&str; 3] = [
    "",
    "Vary: Accept-Language\r\n",
    "Vary: Accept-Language, X-Kind\r\n",
];

/// What the origin says of one page from version to version.
#[derive(Clone, Copy)]
pub enum Moods {
    /// The same tags, and the same Vary.
    Steady,
    /// Others.
    Changing,
}

/// An origin on a port of its own. It ends with the test process.
pub struct World {
    address: SocketAddr,
    versions: Arc<[AtomicU64; OBJECTS]>,
}

/// Two sites, four folders, eight tags: a number says where an object is.
#[derive(Clone, Copy)]
pub struct Object(pub usize);

pub struct Purge {
    pub kind: Kind,
    pub soft: bool,
    pub of: Object,
}

#[derive(Clone, Copy)]
pub enum Kind {
    Url,
    Tag,
    Prefix,
    Site,
    All,
}

impl World {
    pub fn start(moods: Moods) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let versions = Arc::new([const { AtomicU64::new(1) }; OBJECTS]);
        let said = versions.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let said = said.clone();
                thread::spawn(move || serve(stream, &said, moods));
            }
        });
        Self { address, versions }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The origin says something newer from here on; this is what.
    pub fn change(&self, object: Object) -> u64 {
        self.versions[object.0].fetch_add(1, Ordering::SeqCst) + 1
    }
}

impl Object {
    pub fn all() -> impl Iterator<Item = Self> {
        (0..OBJECTS).map(Self)
    }

    pub fn host(self) -> String {
        format!("race{}.test", self.0 % 2)
    }

    pub fn target(self) -> String {
        format!("/{}/{}", self.folder(), self.0)
    }

    pub fn folder(self) -> usize {
        self.0 % FOLDERS
    }

    fn tag(self) -> usize {
        self.0 % TAGS
    }

    pub fn tag_name(self) -> String {
        format!("t{}", self.tag())
    }

    /// By how its target ends.
    pub fn at(target: &str) -> Option<Self> {
        let number = target.rsplit('/').next()?.parse().ok()?;
        (number < OBJECTS).then_some(Self(number))
    }
}

impl Purge {
    pub fn covers(&self, object: Object) -> bool {
        match self.kind {
            Kind::Url => object.0 == self.of.0,
            Kind::Tag => object.tag() == self.of.tag(),
            // A folder's number says its host, too.
            Kind::Prefix => object.folder() == self.of.folder(),
            Kind::Site => object.host() == self.of.host(),
            Kind::All => true,
        }
    }

    pub fn body(&self) -> Value {
        let (of, host) = (self.of, self.of.host());
        let mut body = match self.kind {
            Kind::Url => json!({"urls": [format!("http://{host}{}", of.target())]}),
            Kind::Tag => json!({"tags": [of.tag_name()]}),
            Kind::Prefix => json!({"prefixes": [format!("http://{host}/{}", of.folder())]}),
            Kind::Site => json!({"sites": [host.trim_end_matches(".test")]}),
            Kind::All => json!({"all": true}),
        };
        body["mode"] = json!(if self.soft { "soft" } else { "hard" });
        body
    }
}

fn serve(mut stream: TcpStream, versions: &[AtomicU64; OBJECTS], moods: Moods) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut late = u64::from(stream.peer_addr().map_or(1, |peer| peer.port()));
    while let Some((line, fields)) = message::read_head(&mut reader) {
        let mut words = line.split(' ');
        let (method, target) = (words.next(), words.next());
        let object = Object::at(target.unwrap_or_default()).unwrap_or(Object(0));
        let version = versions[object.0].load(Ordering::SeqCst);
        let mut answer = answer(object, version, &fields, moods);
        if method == Some("HEAD") {
            answer.truncate(answer.find("\r\n\r\n").unwrap() + 4);
        }
        late = late.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_millis((late >> 33) % LATE_MS_MAX));
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Some are validated each time, some vary; the others are fresh for an hour, so that only a purge ends them.
fn answer(object: Object, version: u64, asked: &Fields, moods: Moods) -> String {
    let etag = etag(version);
    let is_known = message::field(asked, "if-none-match").is_some_and(|it| it.contains(&etag));
    let seconds = if object.0.is_multiple_of(5) { 0 } else { 3_600 };
    let vary = match moods {
        Moods::Steady if object.0.is_multiple_of(3) => "Vary: Accept-Language\r\n",
        Moods::Steady => "",
        Moods::Changing => VARIES[(object.0 + version as usize) % VARIES.len()],
    };
    // What the bytes came with is what they are purged by, whatever is said of them later.
    let tags = match (moods, is_known) {
        (Moods::Changing, true) => format!("seen{}", version % 3),
        (Moods::Changing, false) => format!("{} at{}", object.tag_name(), version % 3),
        (Moods::Steady, _) => object.tag_name(),
    };
    let fields = format!(
        "ETag: {etag}\r\nCache-Control: max-age={seconds}\r\nSurrogate-Key: {tags}\r\n{vary}"
    );
    if is_known {
        return format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n");
    }
    let body = body(version);
    let is_current = message::field(asked, "if-range").is_none_or(|it| it == etag);
    let range = message::field(asked, "range").filter(|_| is_current);
    let range = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
    let (status, said, body) = match range {
        Some((first, last)) => {
            let first: usize = first.parse().unwrap();
            let last = last.parse().unwrap_or(body.len() - 1).min(body.len() - 1);
            let said = format!("Content-Range: bytes {first}-{last}/{}\r\n", body.len());
            ("206 Partial Content", said, body[first..=last].to_owned())
        }
        None => ("200 OK", String::new(), body),
    };
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{said}{fields}\r\n{body}",
        body.len()
    )
}

fn etag(version: u64) -> String {
    format!("\"{version}\"")
}

/// Each block says it, so that each part does.
fn body(version: u64) -> String {
    format!("{version:0BLOCK_BYTES$}").repeat(BLOCKS)
}
