//! The way in: what is refused there and what the origin sees of it, who is cut off and when, and that a request is
//! answered alike whoever reads it.

use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::{Folder, Origin, Response, Seawall, eventually, ok};

mod alike;
mod browsing;
mod desync;
mod floods;
mod frames;
mod rolling;
mod secure;
mod translated;
mod trusting;
mod waiting;

const HOST: &str = "Host: a.test\r\n";

/// What is behind every hostile request: it must never be run.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn what_two_readers_could_read_in_two_ways_is_refused_and_ends_the_connection() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("done").max_age(60));
    origin.says("/hidden", ok("stolen"));
    let check = |status: u16, request: &str| {
        let mut connection = seawall.connect();
        connection.write([request, HIDDEN].concat());
        let answer = connection.answer("GET");
        assert_eq!(answer.status, status, "{request:?}");
        assert!(connection.is_closed(), "{request:?}");
    };
    let get = |rest: &str| format!("GET /a HTTP/1.1\r\n{HOST}{rest}\r\n");
    let post = |rest: &str| format!("POST /a HTTP/1.1\r\n{HOST}{rest}");
    // RFC 9112 §6.1, §6.3: how long is it?
    check(
        400,
        &post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    );
    check(
        400,
        &post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    );
    for length in [
        "5\r\nContent-Length: 6",
        "5, 5",
        "+5",
        "-1",
        "0x5",
        "",
        "5 5",
        "99999999999999999999",
        "5\r\nContent-Length: 5",
        "\u{661}",
    ] {
        check(
            400,
            &post(&format!("Content-Length: {length}\r\n\r\nabcde")),
        );
    }
    for coding in [
        "xchunked",
        "chunked, identity",
        "chunked\r\nTransfer-Encoding: chunked",
        "\x0bchunked",
        "gzip",
        "chunked, chunked",
        "identity",
        "chunked;q=1",
        "\"chunked\"",
        "chunked\r\nTransfer-Encoding: identity",
        "",
    ] {
        check(
            400,
            &post(&format!("Transfer-Encoding: {coding}\r\n\r\n0\r\n\r\n")),
        );
    }
    check(
        400,
        "POST /a HTTP/1.0\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    // §2.2, §5: where does a line, a field, the head end?
    check(400, "GET /a HTTP/1.1\nHost: a.test\n\n");
    check(400, &get("A: b\nC: d\r\n"));
    check(400, &get("A: b\rC: d\r\n"));
    check(400, &get("A: b\r\n folded\r\n"));
    check(400, &get("A : b\r\n"));
    check(400, &get(" A: b\r\n"));
    check(400, &get(": b\r\n"));
    check(400, &get("no colon\r\n"));
    check(400, &get("A: \0\r\n"));
    check(400, &get("A\u{e9}: b\r\n"));
    // §3: what is asked for, and of whom?
    check(400, "GET  /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
    check(400, "GET /a b HTTP/1.1\r\nHost: a.test\r\n\r\n");
    check(400, "GET\t/a HTTP/1.1\r\nHost: a.test\r\n\r\n");
    check(400, "get /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
    check(400, "GET /a\r\n\r\n");
    check(505, "GET /a HTTP/2.0\r\nHost: a.test\r\n\r\n");
    check(400, "GET /a HTTP/1.1\r\n\r\n");
    check(
        400,
        "GET /a HTTP/1.1\r\nHost: a.test\r\nHost: b.test\r\n\r\n",
    );
    for method in ["GET", "DELETE"] {
        check(
            400,
            &format!("{method} http://b.test/a HTTP/1.1\r\nHost: a.test\r\n\r\n"),
        );
    }
    check(400, "GET http://a.test HTTP/1.1\r\nHost: a.test\r\n\r\n");
    for host in ["a.test/x", "u@a.test", "a test", "a.test#"] {
        check(400, &format!("GET /a HTTP/1.1\r\nHost: {host}\r\n\r\n"));
    }
    check(400, "GET /a%00 HTTP/1.1\r\nHost: a.test\r\n\r\n");
    check(405, "CONNECT a.test:80 HTTP/1.1\r\nHost: a.test:80\r\n\r\n");
    check(405, "TRACE /a HTTP/1.1\r\nHost: a.test\r\n\r\n");
    // RFC 9110 §7.6.1, §10.1.1.
    check(400, &get("Connection: Host\r\n"));
    check(400, &get("Connection: close, authorization\r\n"));
    for expected in [
        "100-continue, x",
        "100-continue\r\nExpect: 100-continue",
        "200-ok",
        "100-continue;x",
        "",
    ] {
        check(
            417,
            &post(&format!("Content-Length: 1\r\nExpect: {expected}\r\n\r\n")),
        );
    }
    // Limits.
    check(431, &get(&"A: b\r\n".repeat(100)));
    check(431, &get(&format!("A: {}\r\n", "b".repeat(32 * 1024))));
    check(
        414,
        &format!(
            "GET /{} HTTP/1.1\r\nHost: a.test\r\n\r\n",
            "a".repeat(16 * 1024)
        ),
    );
    assert_eq!((origin.requests("/a"), origin.requests("/hidden")), (0, 0));
    seawall.get("/a").is("MISS", "done");
}

#[test]
fn a_body_that_is_framed_wrong_never_ends_for_the_origin() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("done"));
    origin.says("/hidden", ok("stolen"));
    for chunks in [
        "x\r\n",
        "-1\r\n",
        "0x1\r\na\r\n0\r\n\r\n",
        "1\na\r\n0\r\n\r\n",
        "1\r\nab\r\n0\r\n\r\n",
        "1\r\na\n0\r\n\r\n",
        "1;a\nb\r\na\r\n0\r\n\r\n",
        "fffffffffffffffff\r\na\r\n",
        "1\r\na\r\n0\r\nA : b\r\n\r\n",
        "1\r\na\r\n0\r\n\n",
    ] {
        let mut connection = seawall.connect();
        let head = "POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
        connection.write([head, chunks, HIDDEN].concat());
        let answer = connection.answer("POST");
        assert_eq!(answer.status, 400, "{chunks:?}");
        assert!(connection.is_closed(), "{chunks:?}");
    }
    assert_eq!(origin.requests("/hidden"), 0);
    let whole = origin
        .heads("/a")
        .into_iter()
        .filter(|seen| !seen.body.is_empty());
    assert_eq!(whole.count(), 0);
}

#[test]
fn a_connection_goes_on_after_what_passed_through() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("a").max_age(60));
    origin.says("/b", ok("b"));
    let get = "GET /a HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let chunked = "POST /b HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nTrailer: x\r\n\r\n";
    let long = "PUT /b HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\n\r\nfghij";
    let mut connection = seawall.connect();
    let absolute = "POST http://a.test/b HTTP/1.1\r\nHost: A.test\r\nContent-Length: 2\r\n\r\nkl";
    connection.write([get, chunked, get, long, "\r\n", get, absolute, get].concat());
    connection.answer("GET").is("MISS", "a");
    connection.answer("POST").is("BYPASS", "b");
    connection.answer("GET").is("HIT", "a");
    connection.answer("PUT").is("BYPASS", "b");
    connection.answer("GET").is("HIT", "a");
    connection.answer("POST").is("BYPASS", "b");
    connection.answer("GET").is("HIT", "a");
    let bodies: Vec<_> = origin.heads("/b").iter().map(|seen| seen.text()).collect();
    assert_eq!(bodies, ["abcde", "fghij", "kl"]);
    assert_eq!(origin.last("/b").field("trailer"), None);
}

#[test]
fn who_is_too_slow_is_cut_off_while_others_are_served() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("a").max_age(600));
    origin.says("/large", ok(vec![b'x'; 64 << 20]).max_age(600));
    let large = seawall.get_with("/large", &[("host", "a.test")]);
    assert_eq!(large.body.len(), 64 << 20);
    seawall
        .get_with("/a", &[("host", "a.test")])
        .is("MISS", "a");
    // One byte a second: that is their attack.
    let drip = |start: &'static str| {
        let mut connection = seawall.connect();
        thread::spawn(move || {
            connection.write(start);
            for _ in 0..12 {
                thread::sleep(Duration::from_secs(1));
                connection.write("a");
            }
            connection.answer("POST")
        })
    };
    let dripping = [
        drip("GET /a HTTP/1.1\r\nHost: a.test\r\nA: "),
        drip("POST /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 100000\r\n\r\n"),
        drip("POST /a HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n"),
    ];
    let before = seawall.metric("seawall_requests_total");
    let mut greedy = seawall.connect();
    greedy.write("GET /large HTTP/1.1\r\nHost: a.test\r\n\r\n");
    let mut half = TcpStream::connect(seawall.listen_tls()).unwrap();
    let half = thread::spawn(move || half.read(&mut [0]).unwrap_or(0));
    let mut served = seawall.connect();
    let mut serves = || {
        let answer = served.request("GET", "/a", &[("host", "a.test")], b"");
        answer.is("HIT", "a");
    };
    serves();
    for dripping in dripping {
        assert_eq!(dripping.join().unwrap().status, 408);
        serves();
    }
    eventually("who takes nothing is let go", || {
        seawall.metric("seawall_requests_total") >= before + 4.0 + 4.0
    });
    assert_eq!(half.join().unwrap(), 0, "a handshake that never ends");
    serves();
    drop(greedy);
}

#[test]
fn a_certificate_speaks_for_its_own_hosts_only() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("a").max_age(60));
    let port = seawall.listen_tls().port();
    let curl = |name: &str, args: &[&str]| -> (i32, String) {
        let output = Command::new("curl")
            .args(["--silent", "--max-time", "30", "--output", "/dev/null"])
            .args(["--write-out", "%{http_code}", "--cacert"])
            .arg(seawall.state().join("ca.pem"))
            .args(["--connect-to", &format!("{name}:443:127.0.0.1:{port}")])
            .args(args)
            .arg(format!("https://{name}/a"))
            .output()
            .expect("curl is installed");
        let status = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), status)
    };
    for version in ["--http1.1", "--http2"] {
        assert_eq!(curl("localhost", &[version]), (0, "200".into()));
        let other = [version, "--header", "Host: other.test"];
        assert_eq!(curl("localhost", &other), (0, "421".into()));
        // 35: the handshake failed; no certificate was shown.
        assert_eq!(curl("other.test", &[version]).0, 35);
    }
}
