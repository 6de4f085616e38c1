//! An origin that says what is no HTTP, or not all of it: a client is told, or sees that something is missing; the
//! connection to the origin is not used again; nothing is kept; another site does not notice. Over every door.

use std::time::Duration;

use crate::support::{Answer, Origin, Response, Seawall, ok};

const GOOD: (&str, &str) = ("host", "good.test");
const FRESH: &str = "cache-control: max-age=3600";
/// A deadline in all that no answer here meets which drips.
const FETCH_TIMEOUT: &str = "1s";
const DRIP: Duration = Duration::from_millis(50);

/// Two sites, each with its origin, and what asks them.
struct World {
    bad: Origin,
    seawall: Seawall,
    _good: Origin,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Door {
    Http1,
    Http2,
}

/// What a client is to see of a wrong answer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Seen {
    /// This edge's own answer, whole.
    Refused(u16),
    /// Something that does not look whole, or nothing.
    Cut,
    /// The message that its framing bounds; what came behind it is gone.
    Framed(&'static str),
}

impl World {
    fn begin() -> Self {
        let (bad, good) = (Origin::start(), Origin::start());
        good.says("/a", ok("good").field("cache-control", "no-store"));
        let seawall = Seawall::run_config(&format!(
            r#"
            [[site]]
            name = "bad"
            hosts = ["*"]
            [site.origin]
            fetch_timeout = "{FETCH_TIMEOUT}"
            [[site.origin.server]]
            url = "{}"

            [[site]]
            name = "good"
            hosts = ["good.test"]
            origin = "{}"
            "#,
            bad.url(),
            good.url()
        ));
        Self {
            bad,
            seawall,
            _good: good,
        }
    }

    fn ask(&self, door: Door, method: &str, target: &str) -> Response {
        let body = if method == "POST" { "a=b" } else { "" };
        match door {
            Door::Http1 => self.seawall.request(method, target, &[], body.as_bytes()),
            Door::Http2 => {
                let posted = ["--data", body];
                let args: &[_] = if method == "POST" { &posted } else { &[] };
                self.seawall.curl(target, args).response
            }
        }
    }

    /// Over both doors, by GET and by POST.
    fn check(&self, name: &str, wrong: &Answer, seen: Seen) {
        for method in ["GET", "POST"] {
            self.check_by(method, name, wrong, seen);
        }
    }

    fn check_by(&self, method: &str, name: &str, wrong: &Answer, seen: Seen) {
        for door in [Door::Http1, Door::Http2] {
            let target = format!("/{method}-{name}-{door:?}");
            self.check_one(door, method, &target, wrong, seen);
        }
    }

    fn check_one(&self, door: Door, method: &str, target: &str, wrong: &Answer, seen: Seen) {
        // It closes: a wrong answer on a connection that was used before might be asked for again.
        let right = ok("right").max_age(3600).field("connection", "close");
        self.bad.says_in_turn(target, vec![wrong.clone(), right]);
        let found = self.ask(door, method, target);
        match seen {
            Seen::Refused(status) => {
                assert_eq!(
                    (found.status, found.complete),
                    (status, true),
                    "{target}: {}",
                    found.text()
                );
            }
            // A reset may take away even what came before it.
            Seen::Cut => assert!(
                !found.complete || found.status == 502,
                "{target}: {} {}",
                found.status,
                found.text()
            ),
            Seen::Framed(body) => {
                assert_eq!(
                    (found.status, found.text().as_str()),
                    (200, body),
                    "{target}"
                );
            }
        }
        self.seawall.get_with("/a", &[GOOD]).is("MISS", "good");
        // Nothing of it was kept, nor the connection it came over.
        let next = self.ask(Door::Http1, "GET", target);
        next.is("MISS", "right");
        let asked = self.bad.heads(target);
        let [first, second] = &asked[..] else {
            panic!("{target}: asked {} times", asked.len());
        };
        assert_ne!(first.connection, second.connection, "{target}");
    }
}

fn head(rest: &str) -> Answer {
    Answer::raw(format!("HTTP/1.1 200 OK\r\n{FRESH}\r\n{rest}")).stays()
}

#[test]
fn what_is_no_http_is_refused() {
    let world = World::begin();
    let refused = |name: &str, answer: Answer| world.check(name, &answer, Seen::Refused(502));
    let raw = |bytes: &str| Answer::raw(bytes.to_owned());
    refused("garbage", raw("I am not a web server\r\n\r\n").stays());
    refused("0.9", raw("<html>hello</html>"));
    refused("nothing", raw(""));
    for status in ["99", "000", "1000", "2000", "2OO", "-1", ""] {
        let line = format!("HTTP/1.1 {status} OK\r\n{FRESH}\r\ncontent-length: 5\r\n\r\nhello");
        refused(&format!("status-{status}"), raw(&line).stays());
    }
    refused(
        "version",
        raw("HTTP/9.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").stays(),
    );
    refused("no-colon", head("content-length 5\r\n\r\nhello"));
    refused("null", head("x: a\0b\r\ncontent-length: 5\r\n\r\nhello"));
    refused("return", head("x: a\rb\r\ncontent-length: 5\r\n\r\nhello"));
    refused(
        "switched",
        raw("HTTP/1.1 101 Switching Protocols\r\nupgrade: tea\r\nconnection: upgrade\r\n\r\ntea"),
    );
    refused(
        "half",
        Answer::raw(format!("HTTP/1.1 200 OK\r\n{FRESH}\r\ncontent-le")),
    );
    refused("half-reset", Answer::raw("HTTP/1.1 200 O").resets());
}

#[test]
fn what_could_be_framed_in_two_ways_is_refused() {
    let world = World::begin();
    let refused = |name: &str, rest: &str| world.check(name, &head(rest), Seen::Refused(502));
    refused(
        "two-lengths",
        "content-length: 3\r\ncontent-length: 5\r\n\r\nhello",
    );
    refused("list", "content-length: 3, 5\r\n\r\nhello");
    refused("sign", "content-length: +5\r\n\r\nhello");
    refused("negative", "content-length: -1\r\n\r\nhello");
    refused(
        "huge",
        "content-length: 99999999999999999999999\r\n\r\nhello",
    );
    let chunks = "\r\n5\r\nhello\r\n0\r\n\r\n";
    // What passes through is read by Pingora, which goes by the chunks (RFC 9112 §6.3 allows that, too).
    let both = format!("content-length: 5\r\ntransfer-encoding: chunked\r\n{chunks}");
    world.check_by("GET", "both", &head(&both), Seen::Refused(502));
    refused("coding", "transfer-encoding: gzip\r\n\r\nhello");
    refused(
        "codings",
        &format!("transfer-encoding: gzip, chunked\r\n{chunks}"),
    );
    refused(
        "twice",
        &format!("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n{chunks}"),
    );
}

#[test]
fn a_head_that_does_not_end_is_refused() {
    let world = World::begin();
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let end = format!("HTTP/1.1 200 OK\r\n{FRESH}\r\ncontent-length: 5\r\n\r\nhello");
    let refused = |name: &str, answer: Answer| world.check(name, &answer, Seen::Refused(502));
    refused("hints", Answer::raw(hint.repeat(17) + &end).stays());
    let long = format!("x-long: {}\r\n", "a".repeat(1000));
    refused(
        "long",
        head(&(long.repeat(70) + "content-length: 5\r\n\r\nhello")),
    );
    refused("endless", head(&long.repeat(2_000)));
    // Of what passes through Pingora bounds each read, and not the head in all.
    let late = head(&long).drips(DRIP);
    world.check_by("GET", "drips", &late, Seen::Refused(504));
}

#[test]
fn a_body_that_does_not_come_whole_looks_so() {
    let world = World::begin();
    let cut = |name: &str, answer: Answer| world.check(name, &answer, Seen::Cut);
    let body = || ok("hello world".repeat(1000)).max_age(3600);
    cut("short", body().cut_body(5_000));
    cut("reset", body().cut_body(5_000).resets());
    cut("chunked", body().chunked().cut_body(5_000));
    cut("chunked-reset", body().chunked().cut_body(5_000).resets());
    cut(
        "size",
        head("transfer-encoding: chunked\r\n\r\nZZ\r\nhello\r\n0\r\n\r\n"),
    );
    cut(
        "longer",
        head("transfer-encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n"),
    );
    cut(
        "overflow",
        head("transfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\nhello"),
    );
    // However steadily it comes: at some time it is enough.
    cut(
        "drips",
        ok("hello world".repeat(100)).max_age(3600).drips(DRIP),
    );
}

#[test]
fn what_comes_behind_an_answer_is_nobodys() {
    let world = World::begin();
    let framed = |name: &str, answer: &str| world.check(name, &head(answer), Seen::Framed("hello"));
    framed("excess", "content-length: 5\r\n\r\nhello world");
    framed(
        "second",
        "content-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil",
    );
    framed(
        "chunks",
        "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nmore",
    );
}
