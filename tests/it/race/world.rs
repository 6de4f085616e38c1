//! What is raced over: objects of which the origin always knows the newest version, and the purges that cover them.
//! The origin fixes what it says when the request arrives, and often says it late.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::message;

pub const OBJECTS: usize = 64;
const TAGS: usize = 8;
const FOLDERS: usize = 4;
/// How late it answers at most. Longer than a purge takes: many purges come while a fetch is under way.
const LATE_MS_MAX: u64 = 20;

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
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let versions = Arc::new([const { AtomicU64::new(1) }; OBJECTS]);
        let said = versions.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let said = said.clone();
                thread::spawn(move || serve(stream, &said));
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

fn serve(mut stream: TcpStream, versions: &[AtomicU64; OBJECTS]) {
    stream.set_nodelay(true).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut late = u64::from(stream.peer_addr().map_or(1, |peer| peer.port()));
    while let Some((line, fields)) = message::read_head(&mut reader) {
        let target = line.split(' ').nth(1).unwrap_or_default();
        let answer = answer(target, message::field(&fields, "if-none-match"), versions);
        late = late.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        thread::sleep(Duration::from_millis((late >> 33) % LATE_MS_MAX));
        if stream.write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Some are validated each time, some vary; the others are fresh for an hour, so that only a purge ends them.
fn answer(target: &str, known: Option<&str>, versions: &[AtomicU64; OBJECTS]) -> String {
    let object = Object::at(target).unwrap_or(Object(0));
    let version = versions[object.0].load(Ordering::SeqCst);
    let etag = format!("\"{version}\"");
    let seconds = if object.0.is_multiple_of(5) { 0 } else { 3_600 };
    let vary = if object.0.is_multiple_of(3) {
        "Vary: Accept-Language\r\n"
    } else {
        ""
    };
    let fields = format!(
        "ETag: {etag}\r\nCache-Control: max-age={seconds}\r\nSurrogate-Key: {}\r\n{vary}",
        object.tag_name()
    );
    if known.is_some_and(|known| known.contains(&etag)) {
        return format!("HTTP/1.1 304 Not Modified\r\n{fields}\r\n");
    }
    let body = version.to_string();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n{body}",
        body.len()
    )
}
