//! The same requests to two edges, one of which leaves them to Pingora: both say the same.

use super::*;
use crate::support::Crowd;

const CASES: u64 = 300;
const REQUESTS: usize = 12;
const MODIFIED: &str = "Wed, 01 Jan 2020 00:00:00 GMT";

type Field = (&'static str, &'static str);
type Essence = (u16, Vec<(String, String)>, String, bool);

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

#[test]
fn over_http_2_requests_that_come_together_get_the_answers_of_pingoras_hooks() {
    /// Of different URLs: what two of the same get depends on which comes first.
    const TOGETHER: u64 = 20;
    let origin = Origin::start();
    let run = |switch| {
        let args = ["--origin", &origin.url(), "--front-door", switch];
        Seawall::run_with(&args, &Folder::new())
    };
    let edges = [run("on"), run("off")];
    let crowds = edges.each_ref().map(|edge| Crowd::of(1, edge));
    for group in 0..CASES / TOGETHER {
        let mut random = fastrand::Rng::with_seed(group);
        let targets: Vec<_> = (0..TOGETHER).map(|n| format!("/{group}-{n}")).collect();
        for target in &targets {
            origin.says(target, said(&mut random));
        }
        for _ in 0..REQUESTS {
            let asked: Vec<_> = targets
                .iter()
                .map(|target| (target, asked_over_http_2(&mut random)))
                .collect();
            let [ours, pingoras] = crowds.each_ref().map(|crowd| {
                let waiting: Vec<_> = asked
                    .iter()
                    .map(|(target, (method, fields))| crowd.ask(0, method, target, fields))
                    .collect();
                let answers = waiting.into_iter().map(|waiting| crowd.wait(waiting));
                answers.map(ageless).collect::<Vec<_>>()
            });
            for ((asked, ours), pingoras) in asked.iter().zip(ours).zip(pingoras) {
                assert_eq!(ours, pingoras, "{asked:?}");
            }
        }
    }
    let told = edges[0].metrics();
    for cache in ["HIT", "MISS", "STALE"] {
        let counted = format!("cache=\"{cache}\",code_class=\"2xx\"");
        assert!(told.contains(&counted), "{told}");
    }
}

/// Over HTTP/2 Age appears with the second in which an answer is not new any more (see dates.rs).
fn ageless(mut answer: Response) -> Essence {
    answer.fields.retain(|(name, _)| name != "age");
    essence(&answer)
}

/// Nothing of a connection's, for which HTTP/2 has no fields (RFC 9113 §8.2.2); and no body.
fn asked_over_http_2(random: &mut fastrand::Rng) -> (&'static str, Vec<Field>) {
    let (method, mut fields, _) = asked(random);
    let of_http_1 = ["host", "connection", "expect", "upgrade"];
    fields.retain(|(name, _)| !of_http_1.contains(name));
    (method, fields)
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
fn essence(answer: &Response) -> Essence {
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
