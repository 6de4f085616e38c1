//! The Date of an answer is the origin's (RFC 9110 §6.6.1), whoever passes it on, and however often.

use crate::support::{Answer, Origin, Response, Seawall, eventually, ok};

/// When all of these origins say their answers were made.
const MADE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
/// Long enough for an answer that old to be fresh.
const CENTURY: u64 = 100 * 365 * 24 * 60 * 60;

fn made(date: &str) -> Answer {
    ok("body").max_age(CENTURY).field("date", date)
}

#[track_caller]
fn says(answer: &Response, x_cache: &str, date: &str) {
    answer.is(x_cache, "body");
    let dates = answer.fields.iter().filter(|(name, _)| name == "date");
    let dates: Vec<_> = dates.map(|(_, value)| value.as_str()).collect();
    assert_eq!(dates, [date]);
}

#[test]
fn the_origins_date_reaches_every_client() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", made(MADE));
    says(&seawall.get("/a"), "MISS", MADE);
    says(&seawall.get("/a"), "HIT", MADE);
    let old = ("if-modified-since", MADE);
    assert_eq!(seawall.get_with("/a", &[old]).field("date"), Some(MADE));
    assert_eq!(
        seawall.request("HEAD", "/a", &[], b"").field("date"),
        Some(MADE)
    );
    says(&seawall.request("POST", "/a", &[], b"x"), "BYPASS", MADE);
    let secure = |x_cache| {
        let curled = seawall.curl("/a", &["--http1.1"]);
        assert_eq!((curled.exit, curled.version.as_str()), (0, "1.1"));
        says(&curled.response, x_cache, MADE);
    };
    secure("MISS");
    secure("HIT");
}

#[test]
fn every_answer_on_a_connection_has_its_own_date() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let dates = [
        MADE,
        "Mon, 07 Nov 1994 08:49:37 GMT",
        "Tue, 08 Nov 1994 08:49:37 GMT",
    ];
    let targets = ["/a", "/b", "/c"];
    for (target, date) in targets.into_iter().zip(dates) {
        // What looks like a head in a body is none.
        let body = format!("HTTP/1.1 200 OK\r\nDate: {date}\r\n\r\n");
        origin.says(
            target,
            ok(body).chunked().max_age(CENTURY).field("date", date),
        );
    }
    let mut connection = seawall.connect();
    let mut check = |requests: String, answers: &[(&str, &str)]| {
        connection.write(requests);
        for (method, date) in answers {
            let answer = connection.answer(method);
            assert_eq!((answer.status, answer.field("date")), (200, Some(*date)));
            let body = format!("HTTP/1.1 200 OK\r\nDate: {date}\r\n\r\n");
            assert_eq!(
                answer.text(),
                if *method == "HEAD" {
                    String::new()
                } else {
                    body
                }
            );
        }
    };
    let one =
        |method: &str, target: &str| format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    for (target, date) in targets.into_iter().zip(dates) {
        check(one("GET", target), &[("GET", date)]);
        check(one("GET", target), &[("GET", date)]);
    }
    let [a, b, c] = dates;
    let pipelined = ["/c", "/a", "/b"].map(|target| one("GET", target)).concat();
    check(pipelined, &[("GET", c), ("GET", a), ("GET", b)]);
    let mixed = [
        one("HEAD", "/b"),
        one("DELETE", "/a"),
        one("GET", "/c"),
        one("GET", "/a"),
    ];
    check(
        mixed.concat(),
        &[("HEAD", b), ("DELETE", a), ("GET", c), ("GET", a)],
    );
    // An answer of ours has the time of day, and so has the one after it its own again.
    let mut connection = seawall.connect();
    let refused = connection.request("GET", "/d", &[("seawall-min-revision", "x")], b"");
    assert_eq!(refused.status, 400);
    assert!(!dates.map(Some).contains(&refused.field("date")));
    assert_eq!(
        connection.request("GET", "/b", &[], b"").field("date"),
        Some(b)
    );
}

#[test]
fn a_date_in_an_old_format_is_sent_on_in_the_one_of_today() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    for (target, date) in [
        ("/850", "Sunday, 06-Nov-94 08:49:37 GMT"),
        ("/asctime", "Sun Nov  6 08:49:37 1994"),
    ] {
        origin.says(target, made(date));
        says(&seawall.get(target), "MISS", MADE);
        says(&seawall.get(target), "HIT", MADE);
        says(&seawall.request("PUT", target, &[], b"x"), "BYPASS", MADE);
    }
}

#[test]
fn without_a_date_it_is_the_time_of_arrival_ever_after() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    for (target, answer) in [
        ("/none", ok("body").max_age(60)),
        ("/odd", made("yesterday")),
    ] {
        origin.says(target, answer);
        let arrived = seawall.get(target);
        let date = arrived.field("date").expect("a Date").to_owned();
        eventually("the clock shows another second", || {
            seawall.get("/missing").field("date") != Some(&date)
        });
        says(&seawall.get(target), "HIT", &date);
    }
}

#[test]
fn a_304_brings_a_new_date() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let again = "Mon, 07 Nov 1994 08:49:37 GMT";
    let stale = |date: &str| {
        ok("body")
            .max_age(60)
            .field("date", date)
            .etag("1")
            .if_match_304()
    };
    let silent = ok("body").max_age(60).etag("1").if_match_304();
    origin.says_in_turn("/a", vec![stale(MADE), stale(again), silent]);
    says(&seawall.get("/a"), "MISS", MADE);
    says(&seawall.get("/a"), "REVALIDATED", again);
    let arrived = seawall.get("/a");
    assert_eq!(arrived.x_cache(), "REVALIDATED");
    let date = arrived.field("date").expect("a Date");
    assert!(![MADE, again].contains(&date));
    says(&seawall.get("/a"), "HIT", date);
}

#[test]
fn where_http_2_loses_the_date_age_tells_what_it_told() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", made(MADE));
    for (method, x_cache) in [("GET", "MISS"), ("GET", "HIT"), ("POST", "BYPASS")] {
        let curled = seawall.curl("/a", &["--request", method]);
        assert_eq!((curled.exit, curled.version.as_str()), (0, "2"));
        curled.response.is(x_cache, "body");
        let age: u64 = curled
            .response
            .field("age")
            .expect("an Age")
            .parse()
            .unwrap();
        // MADE is more than thirty years ago.
        assert!(age > 30 * 365 * 24 * 60 * 60, "{x_cache}: {age}");
    }
}

#[test]
fn what_is_sent_over_a_web_socket_is_untouched() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let upgraded = format!(
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\ndate: {MADE}\r\n\r\n"
    );
    let sent = "HTTP/1.1 200 OK\r\nDate: Tue, 02 Jan 2024 11:22:33 GMT\r\n\r\n";
    origin.says("/a", made(MADE));
    origin.says("/socket", Answer::raw(upgraded + sent));
    let mut connection = seawall.connect();
    says(&connection.request("GET", "/a", &[], b""), "MISS", MADE);
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    connection.send("GET", "/socket", &upgrade, b"");
    assert_eq!(connection.head().expect("an answer").0, 101);
    assert_eq!(connection.take(sent.len()), sent.as_bytes());
}
