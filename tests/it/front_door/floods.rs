//! HTTP/2 by hand, over `openssl s_client`: clients that only keep an edge busy, and what others notice of it.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::{Origin, Seawall, eventually, ok};

/// Longer than any deadline of the door: who is not cut by then never is.
const PATIENCE_S: &str = "60";
/// What `timeout` says when it had to end the client.
const NOT_CUT: i32 = 124;
const MEMORY_KIB_MAX: u64 = 16 * 1024;

// RFC 9113 §6.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

#[test]
fn floods_are_cut_while_others_are_served() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("a").max_age(600));
    seawall
        .get_with("/a", &[("host", "a.test")])
        .is("MISS", "a");
    let before = memory_kib(&seawall);
    let check = |what: &str, flood: Vec<u8>| {
        let client = Client::connect(&seawall);
        let mut served = seawall.connect();
        let flooding = client.send(&flood);
        for _ in 0..20 {
            let answer = served.request("GET", "/a", &[("host", "a.test")], b"");
            answer.is("HIT", "a");
        }
        assert_ne!(flooding.ends(), NOT_CUT, "{what}");
    };
    let open = get(1, "/a", 0);
    check("SETTINGS", frame(SETTINGS, 0, 0, &[]).repeat(20_000));
    check("PING", frame(PING, 0, 0, &[0; 8]).repeat(20_000));
    let priority = frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]);
    check("PRIORITY", priority.repeat(20_000));
    check("unknown", frame(0xfe, 0, 0, &[0; 8]).repeat(20_000));
    let update = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]);
    check("WINDOW_UPDATE", update.repeat(20_000));
    let empty = frame(DATA, 0, 1, &[]);
    check("DATA", [open, empty.repeat(20_000)].concat());
    // A head that never ends.
    let begun = frame(HEADERS, END_STREAM, 1, &head("/a"));
    let more = frame(CONTINUATION, 0, 1, &[]);
    check("CONTINUATION", [begun, more.repeat(1_000)].concat());
    let grown = memory_kib(&seawall).saturating_sub(before);
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB");
}

#[test]
fn streams_that_are_opened_and_taken_back_end_the_connection() {
    const STREAMS: u32 = 2_000;
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (answer, gate) = ok("slow").gate();
    origin.says("/slow", answer);
    let rapid = (0..STREAMS).flat_map(|n| {
        let stream = 2 * n + 1;
        let target = "/slow";
        let back = frame(RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        [get(stream, target, END_STREAM), back].concat()
    });
    let client = Client::connect(&seawall).send(&rapid.collect::<Vec<_>>());
    assert_ne!(client.ends(), NOT_CUT);
    gate.open();
    let reached = origin.requests("/slow");
    assert!(reached < STREAMS as usize / 5, "{reached}");
}

#[test]
fn a_head_that_unpacks_to_much_more_never_does() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("a"));
    // One field of 3 KB enters the table; each byte after it is that field again.
    let mut block = head("/a");
    let value = [b'x'; 3_000];
    block.extend([0x40, 1, b'a', 0x7f, 0xb9, 0x16]);
    block.extend(value);
    block.extend([0xbe; 12_000]);
    let before = memory_kib(&seawall);
    let bombs = (0..50).flat_map(|n| frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block));
    let client = Client::connect(&seawall).send(&bombs.collect::<Vec<_>>());
    // It may go on: nothing of it was unpacked.
    eventually("they were refused, or cut", || {
        seawall.get("/a").status == 200
    });
    let grown = memory_kib(&seawall).saturating_sub(before);
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB");
    assert!(origin.last("/a").field("a").is_none());
    drop(client);
}

#[test]
fn who_opens_no_window_or_drips_is_let_go() {
    const STREAMS: u32 = 50;
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/large", ok(vec![b'x'; 1 << 20]).max_age(600));
    let host = [("host", "localhost")];
    assert_eq!(seawall.get_with("/large", &host).body.len(), 1 << 20);
    let before = seawall.metric("seawall_requests_total");
    // SETTINGS_INITIAL_WINDOW_SIZE 0: no byte of a body may be sent.
    let closed = frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    let wanted = (0..STREAMS).flat_map(|n| get(2 * n + 1, "/large", END_STREAM));
    let stalled = [closed, wanted.collect()].concat();
    let stalled = Client::connect(&seawall).send(&stalled);
    // One byte a second, and no end: that is the attack.
    let mut dripping = Client::connect(&seawall).send(&post(1, "/large"));
    let (stop, stopped) = mpsc::channel::<()>();
    let dripping = thread::spawn(move || {
        while stopped.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            dripping.write(&frame(DATA, 0, 1, b"x"));
        }
    });
    eventually("they are let go", || {
        seawall.metric("seawall_requests_total") >= before + f64::from(STREAMS + 1)
    });
    drop((stalled, stop));
    dripping.join().unwrap();
}

/// A client's connection.
struct Client {
    openssl: Child,
    to: ChildStdin,
    /// Reads what comes, and throws it away.
    reader: JoinHandle<()>,
}

impl Client {
    fn connect(seawall: &Seawall) -> Self {
        let mut openssl = Command::new("timeout")
            .args([PATIENCE_S, "openssl", "s_client", "-quiet"])
            // What is sent is no command, and the end of it is the end of the client.
            .args(["-nocommands", "-no_ign_eof"])
            .args(["-alpn", "h2", "-servername", "localhost", "-connect"])
            .arg(seawall.listen_tls().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl is installed");
        let mut from = openssl.stdout.take().unwrap();
        let reader = thread::spawn(move || {
            let mut buffer = [0; 16 * 1024];
            while !matches!(from.read(&mut buffer), Ok(0) | Err(_)) {}
        });
        let to = openssl.stdin.take().unwrap();
        Self {
            openssl,
            to,
            reader,
        }
    }

    /// The preface, our settings, and then `frames`, as many of them as are taken.
    fn send(mut self, frames: &[u8]) -> Self {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        self.write(&[&preface[..], &frame(SETTINGS, 0, 0, &[]), frames].concat());
        self
    }

    fn write(&mut self, bytes: &[u8]) {
        // Where it is cut the rest cannot be written.
        let _ = self.to.write_all(bytes);
    }

    /// Waits for the edge to end it.
    fn ends(mut self) -> i32 {
        let code = self.openssl.wait().unwrap().code();
        self.reader.join().unwrap();
        code.unwrap_or(NOT_CUT)
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

fn get(stream: u32, target: &str, flags: u8) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | flags, stream, &head(target))
}

fn post(stream: u32, target: &str) -> Vec<u8> {
    let [_, rest @ ..] = &head(target)[..] else {
        unreachable!("a head begins with its method")
    };
    let block = [&[0x83], rest].concat();
    frame(HEADERS, END_HEADERS, stream, &block)
}

/// A field block (RFC 7541): GET and https by their numbers, the rest spelled out.
fn head(target: &str) -> Vec<u8> {
    let text = |name: u8, value: &str| {
        let length = u8::try_from(value.len()).unwrap();
        [&[name, length][..], value.as_bytes()].concat()
    };
    [vec![0x82, 0x87], text(4, target), text(1, "localhost")].concat()
}

fn memory_kib(seawall: &Seawall) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", seawall.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
