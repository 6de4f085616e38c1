//! Interim (1xx) answers are passed on as they come, and never stored (RFC 9110 §15.2, RFC 8297).

use crate::support::{Answer, Connection, Origin, Seawall, eventually, ok};

const HINT: (&str, &str) = ("link", "</style.css>; rel=preload");

fn hinted(body: &str) -> Answer {
    ok(body).max_age(60).interim(102, &[]).interim(103, &[HINT])
}

/// The next head is this, and has exactly these fields.
#[track_caller]
fn says(connection: &mut Connection, status: u16, fields: &[(&str, &str)]) {
    let fields = fields.iter().map(|(n, v)| (n.to_string(), v.to_string()));
    let expect = (status, fields.collect());
    assert_eq!(connection.next_head().expect("a head"), expect);
}

#[test]
fn hints_come_before_there_is_an_answer_and_are_not_stored() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (answer, gate) = hinted("body").gate();
    origin.says("/a", answer);
    let mut connection = seawall.connect();
    connection.send("GET", "/a", &[], b"");
    says(&mut connection, 102, &[]);
    says(&mut connection, 103, &[HINT]);
    gate.open();
    let answer = connection.answer("GET");
    answer.is("MISS", "body");
    assert_eq!(answer.field("link"), None);
    connection.send("GET", "/a", &[], b"");
    let (status, fields) = connection.next_head().expect("a head");
    let hit = fields.contains(&("x-cache".to_owned(), "HIT".to_owned()));
    assert!(status == 200 && hit, "{status} {fields:?}");
    assert_eq!(connection.take(4), b"body");
    // Only the client's own request brings them.
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn every_kind_of_question_gets_them() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let mut connection = seawall.connect();
    let mut check = |method: &str, target: &str, fields: &[(&str, &str)], status: u16| {
        connection.send(method, target, fields, b"");
        says(&mut connection, 102, &[]);
        says(&mut connection, 103, &[HINT]);
        let answer = connection.answer(method);
        let found = (answer.status, answer.field("date"), answer.complete);
        assert_eq!(found, (status, Some(date), true), "{method} {target}");
    };
    let dated = || hinted("body").field("date", date);
    origin.says("/alone", dated());
    check("GET", "/alone", &[("range", "bytes=9-")], 416);
    origin.says("/head", dated());
    check("HEAD", "/head", &[], 200);
    origin.says("/private", dated().field("cache-control", "private"));
    check("GET", "/private", &[], 200);
    check("GET", "/private", &[], 200);
    origin.says("/validated", dated().etag("1").if_match_304());
    check("GET", "/validated", &[], 200);
    check("GET", "/validated", &[], 200);
    origin.says("/passed", dated());
    check("POST", "/passed", &[], 200);
    check("DELETE", "/passed", &[], 200);
}

#[test]
fn what_belongs_to_the_hop_goes_no_further() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let fields = [
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("keep-alive", "timeout=5"),
        ("content-length", "5"),
        HINT,
        ("surrogate-key", "a"),
    ];
    origin.says("/a", ok("body").interim(103, &fields));
    for method in ["GET", "POST"] {
        let mut connection = seawall.connect();
        connection.send(method, "/a", &[], b"");
        says(&mut connection, 103, &[HINT]);
        assert_eq!(connection.answer(method).text(), "body");
    }
}

#[test]
fn who_did_not_ask_the_origin_is_told_nothing_early() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    // It may be for the first one's eyes: whether the answer is private is known only when it is here.
    let private = ok("1").interim(103, &[("x-for", "the first")]);
    let (private, gate) = private.field("cache-control", "private").gate();
    let own = ok("2").interim(103, &[("x-for", "the second")]);
    origin.says_in_turn("/a", vec![private, own]);
    let (mut first, mut second) = (seawall.connect(), seawall.connect());
    first.send("GET", "/a", &[], b"");
    says(&mut first, 103, &[("x-for", "the first")]);
    second.send("GET", "/a", &[], b"");
    eventually("the second waits for the first", || {
        seawall.metric("seawall_collapsed_total") == 1.0
    });
    gate.open();
    first.answer("GET").is("MISS", "1");
    says(&mut second, 103, &[("x-for", "the second")]);
    second.answer("GET").is("MISS", "2");
}

#[test]
fn an_older_client_and_one_over_http_2_get_the_answer_alone() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", hinted("body"));
    for method in ["GET", "POST"] {
        let mut old = seawall.connect();
        old.write(format!("{method} /a HTTP/1.0\r\nHost: a.test\r\n\r\n"));
        let (status, _) = old.next_head().expect("a head");
        assert_eq!((status, old.take(4)), (200, b"body".to_vec()), "{method}");
        let new = seawall.curl("/a", &["--request", method]);
        assert_eq!((new.exit, new.version.as_str()), (0, "2"));
        assert_eq!(
            (new.response.status, new.response.text()),
            (200, "body".into())
        );
    }
}

#[test]
fn an_origin_that_only_hints_is_broken() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let hints = |count: usize| (0..count).fold(ok("body"), |answer, _| answer.interim(103, &[]));
    origin.says("/enough", hints(16));
    origin.says("/more", hints(17));
    let large = "x".repeat(40_000);
    let large = ok("body").interim(103, &[("x", &large)]);
    origin.says("/large", large.clone());
    origin.says("/larger", large.interim(103, &[("x", &"x".repeat(40_000))]));
    let largest = "x".repeat(70_000);
    origin.says("/largest", ok("body").interim(103, &[("x", &largest)]));
    for method in ["GET", "POST"] {
        let ask = |target: &str| seawall.request(method, target, &[], b"");
        assert_eq!(ask("/enough").text(), "body");
        ask("/more").fails(502, "origin answer is broken");
        ask("/largest").fails(502, "origin head too large");
    }
    assert_eq!(seawall.get("/large").text(), "body");
    seawall.get("/larger").fails(502, "origin head too large");
    // An upgrade that nobody asked for is no interim answer, and 100 was not asked for either.
    origin.says("/upgraded", ok("body").interim(101, &[]));
    seawall
        .get("/upgraded")
        .fails(502, "origin answer is broken");
    origin.says("/unasked", ok("body").interim(100, &[]));
    let mut connection = seawall.connect();
    connection.send("GET", "/unasked", &[], b"");
    assert_eq!(connection.next_head().expect("a head").0, 200);
}

#[test]
fn a_question_that_was_half_answered_is_not_asked_again() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("body"));
    origin.says("/b", Answer::raw("HTTP/1.1 103 Early Hints\r\n\r\n"));
    // The connection that is used again for /b may just have been closed by the origin; but not after a hint.
    seawall.get("/a").is("MISS", "body");
    seawall
        .get("/b")
        .fails(502, "origin closed without an answer");
    assert_eq!(origin.requests("/b"), 1);
}
