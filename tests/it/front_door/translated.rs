//! What HTTP/2 lets a client say and HTTP/1 does not: it is refused, and the origin hears nothing of it.

use super::frames::{Client, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, frame};
use crate::support::{Origin, Seawall, eventually, ok};

/// 200 in HPACK's static table, which is how it is said.
const OK: u8 = 0x88;

#[test]
fn what_would_be_two_requests_for_the_origin_is_none() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    for target in ["/a", "/b", "/hidden"] {
        origin.says(target, ok("stolen").max_age(60));
    }
    let check = |rows: &[(&str, &str)], body: Option<&str>| {
        let mut client = Client::connect(seawall.listen_tls()).send(&request(rows, body));
        eventually("it is refused", || {
            let refused = |(kind, stream, payload): &(u8, u32, Vec<u8>)| match *kind {
                RST_STREAM | GOAWAY => true,
                HEADERS if *stream == 1 => {
                    assert_ne!(payload.first(), Some(&OK), "{rows:?}");
                    true
                }
                _ => false,
            };
            client.is_cut() || client.frames().iter().any(refused)
        });
        client.write(&[]);
    };
    let get = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/a"),
        (":authority", "localhost"),
    ];
    let with = |more: &[(&'static str, &'static str)]| [&get[..], more].concat();
    let but = |name: &str, value: &'static str| {
        get.map(|(known, said)| (known, if known == name { value } else { said }))
    };
    // RFC 9113 §8.2.1: what a field may not hold.
    for (name, value) in [
        ("x", "a\r\nGET /hidden HTTP/1.1"),
        ("x", "a\rb"),
        ("x", "a\nb"),
        ("x", "a\0b"),
        ("x\r\nhost", "b"),
        ("x:", "b"),
        ("x y", "b"),
        ("X", "b"),
        ("", "b"),
        // §8.2.2: what belongs to a connection.
        ("connection", "close"),
        ("transfer-encoding", "chunked"),
        ("keep-alive", "1"),
        ("proxy-connection", "close"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        // §8.3: pseudo-fields come first, once, and are these.
        (":path", "/b"),
        (":method", "POST"),
        (":else", "b"),
        // §8.3.1: one authority.
        ("host", "other.test"),
        // §8.1.1: a length that is another's.
        ("content-length", "5"),
        ("content-length", "-1"),
        ("content-length", "1, 1"),
    ] {
        check(&with(&[(name, value)]), None);
    }
    for (name, value) in [
        (":path", "/a b"),
        (":path", "/a HTTP/1.1\r\nx: y"),
        (":path", "/a\r\n"),
        (":path", "/a\0"),
        (":path", "a"),
        (":path", ""),
        (":path", "*"),
        (":method", "GET /hidden"),
        (":method", "CONNECT"),
        (":authority", "localhost\r\nx: y"),
        (":authority", "local host"),
        (":authority", "user@localhost"),
        (":authority", "localhost/hidden"),
        (":authority", ""),
    ] {
        check(&but(name, value), None);
    }
    check(&get[..2], None);
    check(&get[1..], None);
    check(
        &[&get[2..], &get[..2], &[("x", "y")], &get[3..]].concat(),
        None,
    );
    // §8.1.1: "the sum of the DATA frame payload lengths".
    let post = but(":method", "POST");
    for length in ["3", "5"] {
        let rows = [&post[..], &[("content-length", length)]].concat();
        check(&rows, Some("four"));
    }
    let whole = |target: &str| {
        let heads = origin.heads(target);
        heads
            .into_iter()
            .filter(|seen| seen.method != "POST" || seen.body.len() == 4)
            .count()
    };
    assert_eq!((whole("/a"), whole("/b"), whole("/hidden")), (0, 0, 0));
    seawall
        .curl("/a", &["--connect-to", "::127.0.0.1:"])
        .response
        .is("MISS", "stolen");
}

/// Stream 1: fields spelled out one by one, and a body.
fn request(rows: &[(&str, &str)], body: Option<&str>) -> Vec<u8> {
    let text = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    // RFC 7541 §6.2.2: a literal without indexing, with a new name.
    let literal = |(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    let block: Vec<u8> = rows.iter().flat_map(literal).collect();
    match body {
        None => frame(HEADERS, END_HEADERS | END_STREAM, 1, &block),
        Some(body) => [
            frame(HEADERS, END_HEADERS, 1, &block),
            frame(DATA, END_STREAM, 1, body.as_bytes()),
        ]
        .concat(),
    }
}
