//! The same requests to two edges, one of which leaves HTTP/1 to Pingora: both say the same.

use super::*;

const CASES: u64 = 300;
const REQUESTS: usize = 12;
const MODIFIED: &str = "Wed, 01 Jan 2020 00:00:00 GMT";

type Field = (&'static str, &'static str);

#[test]
fn both_readers_give_the_same_answers() {
    let origin = Origin::start();
    let run = |switch| {
        let args = ["--origin", &origin.url(), "--front-door", switch];
        Seawall::run_with(&args, &Folder::new())
    };
    let edges = [run("on"), run("off")];
    let mut connections = edges.each_ref().map(Seawall::connect);
    for case in 0..CASES {
        let mut random = fastrand::Rng::with_seed(case);
        let target = format!("/case-{case}");
        origin.says(&target, said(&mut random));
        for _ in 0..REQUESTS {
            let (method, fields, body) = asked(&mut random);
            let said = [0, 1].map(|edge: usize| {
                let connection = &mut connections[edge];
                let answer = connection.request(method, &target, &fields, body);
                let ends = answer.field("connection") == Some("close");
                if ends {
                    assert!(connection.is_closed());
                    *connection = edges[edge].connect();
                }
                essence(&answer)
            });
            assert_eq!(said[0], said[1], "case {case}: {method} {fields:?}");
        }
    }
}

fn said(random: &mut fastrand::Rng) -> crate::support::Answer {
    let length = random.usize(0..40);
    let body: String = (0..length)
        .map(|n| char::from(b'a' + (n % 26) as u8))
        .collect();
    let status = [200, 200, 200, 200, 203, 204, 301, 404, 410, 500][random.usize(0..10)];
    let mut answer = ok(if status == 204 { String::new() } else { body }).status(status);
    for field in [
        ("cache-control", "max-age=600"),
        ("cache-control", "no-store"),
        ("cache-control", "max-age=0, stale-while-revalidate=60"),
        ("etag", "\"same\""),
        ("last-modified", MODIFIED),
        ("date", "Thu, 01 Jan 2026 00:00:00 GMT"),
        ("vary", "accept-language"),
        ("content-type", "text/plain"),
        ("set-cookie", "a=b"),
        ("x-cache", "ORIGIN"),
        ("via", "1.1 other"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("surrogate-key", "k"),
    ] {
        if random.u8(0..3) == 0 {
            answer = answer.field(field.0, field.1);
        }
    }
    match random.bool() && status != 204 {
        true => answer.chunked(),
        false => answer,
    }
}

fn asked(random: &mut fastrand::Rng) -> (&'static str, Vec<Field>, &'static [u8]) {
    let method = [
        "GET", "GET", "GET", "GET", "GET", "HEAD", "HEAD", "POST", "OPTIONS",
    ][random.usize(0..9)];
    let mut fields = vec![("host", "a.test")];
    for field in [
        ("range", "bytes=3-7"),
        ("range", "bytes=-2"),
        ("range", "bytes=90-"),
        ("range", "bytes=0-0,2-3"),
        ("if-none-match", "\"same\""),
        ("if-none-match", "\"other\""),
        ("if-modified-since", MODIFIED),
        ("if-range", "\"same\""),
        ("accept-language", "de"),
        ("cache-control", "no-cache"),
        ("cache-control", "only-if-cached"),
        ("authorization", "Basic YTpi"),
        ("connection", "close"),
        ("connection", "x-mine"),
        ("connection", "cookie"),
        ("x-mine", "1"),
        ("cookie", "a=b"),
        ("seawall-min-revision", "1-1"),
        ("seawall-min-revision", "x"),
        ("user-agent", "test"),
        ("expect", "100-continue"),
        ("upgrade", "h2c"),
    ] {
        let named = |(name, _): &Field| *name == field.0;
        if random.u8(0..9) == 0 && !fields.iter().any(named) {
            fields.push(field);
        }
    }
    let body: &[u8] = match method {
        "POST" => b"body",
        "GET" if random.u8(0..9) == 0 => b"odd",
        _ => b"",
    };
    (method, fields, body)
}

/// Status, fields and body, but for what tells the time, and the boundary that is drawn anew each time.
fn essence(answer: &Response) -> (u16, Vec<(String, String)>, String, bool) {
    let boundary = answer
        .field("content-type")
        .and_then(|kind| kind.split_once("boundary="));
    let boundary = boundary.map(|(_, boundary)| boundary.to_owned());
    let plain = |text: &str| match &boundary {
        Some(boundary) => text.replace(boundary.as_str(), "BOUNDARY"),
        None => text.to_owned(),
    };
    let seconds = |text: &str| {
        let (before, ttl) = text.split_once("ttl=").unwrap_or((text, ""));
        let rest = ttl.trim_start_matches(|digit: char| digit.is_ascii_digit() || digit == '-');
        format!("{before}{rest}")
    };
    let mut fields: Vec<_> = answer
        .fields
        .iter()
        .filter(|(name, _)| name != "date")
        .collect();
    fields.sort();
    let fields = fields.into_iter().map(|(name, value)| {
        let value = match name.as_str() {
            "age" => "some".to_owned(),
            "cache-status" => seconds(value),
            _ => plain(value),
        };
        (name.clone(), value)
    });
    let fields = fields.collect();
    (
        answer.status,
        fields,
        plain(&answer.text()),
        answer.complete,
    )
}
