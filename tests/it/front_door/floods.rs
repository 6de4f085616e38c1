//! HTTP/2 by hand, over `openssl s_client`: clients that only keep an edge busy, and what others notice of it.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::frames::{
    CONTINUATION, Client, DATA, END_HEADERS, END_STREAM, HEADERS, NOT_CUT, PING, PRIORITY,
    RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, get, head, post,
};
use crate::support::{Origin, Seawall, eventually, ok};

const MEMORY_KIB_MAX: u64 = 16 * 1024;

#[test]
fn floods_are_cut_while_others_are_served() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("a").max_age(600));
    seawall
        .get_with("/a", &[("host", "a.test")])
        .is("MISS", "a");
    let before = seawall.resident_kib();
    let check = |what: &str, flood: Vec<u8>| {
        let client = Client::connect(seawall.listen_tls());
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
    let grown = seawall.resident_kib().saturating_sub(before);
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
    let client = Client::connect(seawall.listen_tls()).send(&rapid.collect::<Vec<_>>());
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
    let before = seawall.resident_kib();
    let bombs = (0..50).flat_map(|n| frame(HEADERS, END_STREAM | END_HEADERS, 2 * n + 1, &block));
    let client = Client::connect(seawall.listen_tls()).send(&bombs.collect::<Vec<_>>());
    // It may go on: nothing of it was unpacked.
    eventually("they were refused, or cut", || {
        seawall.get("/a").status == 200
    });
    let grown = seawall.resident_kib().saturating_sub(before);
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
    let stalled = Client::connect(seawall.listen_tls()).send(&stalled);
    // One byte a second, and no end: that is the attack.
    let mut dripping = Client::connect(seawall.listen_tls()).send(&post(1, "/large"));
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

#[test]
fn a_request_is_counted_though_what_comes_with_it_ends_the_connection() {
    let origin = Origin::start();
    origin.says("/a", ok("a"));
    let seawall = Seawall::run(&origin);
    // RFC 9113 §8.3.1: neither `:authority` nor Host.
    let nobodys = [&[0x82, 0x87, 4, 2][..], b"/a"].concat();
    let flags = END_HEADERS | END_STREAM;
    let malformed = (0..40).map(|n| frame(HEADERS, flags, 3 + 2 * n, &nobodys));
    let burst: Vec<_> = [get(1, "/a", END_STREAM)]
        .into_iter()
        .chain(malformed)
        .collect();
    let client = Client::connect(seawall.listen_tls()).send(&burst.concat());
    assert_ne!(client.ends(), NOT_CUT);
    eventually("it is counted", || {
        seawall.metric("seawall_requests_total") == 1.0
    });
}
