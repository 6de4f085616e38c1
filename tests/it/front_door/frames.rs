//! A client of HTTP/2 by hand, over `openssl s_client`.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

/// Longer than any deadline of the door: who is not cut by then never is.
const PATIENCE_S: &str = "60";
/// What `timeout` says when it had to end the client.
pub const NOT_CUT: i32 = 124;
const KEPT_BYTES_MAX: usize = 64 * 1024;

// RFC 9113 §6.
pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const GOAWAY: u8 = 7;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

/// A client's connection.
pub struct Client {
    openssl: Child,
    to: ChildStdin,
    /// What has come, as far as it is kept.
    received: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let mut openssl = Command::new("timeout")
            .args([PATIENCE_S, "openssl", "s_client", "-quiet"])
            // What is sent is no command, and the end of it is the end of the client.
            .args(["-nocommands", "-no_ign_eof"])
            .args(["-alpn", "h2", "-servername", "localhost", "-connect"])
            .arg(address.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let mut from = openssl.stdout.take().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let kept = received.clone();
        let reader = thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while let Ok(bytes @ 1..) = from.read(&mut buffer) {
                let mut kept = kept.lock().unwrap();
                if kept.len() < KEPT_BYTES_MAX {
                    kept.extend_from_slice(&buffer[..bytes]);
                }
            }
        });
        let to = openssl.stdin.take().unwrap();
        Self {
            openssl,
            to,
            received,
            reader,
        }
    }

    /// The preface, our settings, and then `frames`, as many of them as are taken.
    pub fn send(mut self, frames: &[u8]) -> Self {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        self.write(&[&preface[..], &frame(SETTINGS, 0, 0, &[]), frames].concat());
        self
    }

    pub fn write(&mut self, bytes: &[u8]) {
        // Where it is cut the rest cannot be written.
        let _ = self.to.write_all(bytes);
    }

    /// Whether the edge has ended it.
    pub fn is_cut(&self) -> bool {
        self.reader.is_finished()
    }

    /// The frames that have come: type, stream, payload.
    pub fn frames(&self) -> Vec<(u8, u32, Vec<u8>)> {
        let received = self.received.lock().unwrap().clone();
        let (mut rest, mut frames) = (&received[..], Vec::new());
        while let [a, b, c, kind, _, s, t, u, v, ..] = *rest {
            let end = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
            let Some(payload) = rest.get(9..end) else {
                break;
            };
            frames.push((kind, u32::from_be_bytes([s, t, u, v]), payload.to_vec()));
            rest = &rest[end..];
        }
        frames
    }

    /// Waits for the edge to end it.
    pub fn ends(mut self) -> i32 {
        let code = self.openssl.wait().unwrap().code();
        self.reader.join().unwrap();
        code.unwrap_or(NOT_CUT)
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

pub fn get(stream: u32, target: &str, flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &head(target))
}

pub fn post(stream: u32, target: &str) -> Vec<u8> {
    let [_, rest @ ..] = &head(target)[..] else {
        unreachable!("a head begins with its method")
    };
    let block = [&[0x83], rest].concat();
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A field block (RFC 7541): GET and https by their numbers, the rest spelled out.
pub fn head(target: &str) -> Vec<u8> {
    let text = |name: u8, value: &str| {
        let length = u8::try_from(value.len()).unwrap();
        [&[name, length][..], value.as_bytes()].concat()
    };
    [vec![0x82, 0x87], text(4, target), text(1, "localhost")].concat()
}
