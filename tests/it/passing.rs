//! What passes through to the origin, and which fields pass with it.

use crate::support::{Answer, Folder, Origin, Seawall, ok};

#[test]
fn an_answer_too_big_to_keep_passes_through_whole() {
    let origin = Origin::start();
    let args = ["--origin", &origin.url(), "--cache-bytes", "4MiB"];
    let seawall = Seawall::run_with(&args, &Folder::new());
    let body: Vec<u8> = (0..=255).cycle().take(8 << 20).collect();
    origin.says("/long", ok(body.clone()).max_age(60));
    origin.says("/endless", ok(body.clone()).max_age(60).chunked());
    for target in ["/long", "/endless"] {
        for _ in 0..2 {
            let answer = seawall.get(target);
            assert_eq!(
                (answer.status, answer.x_cache(), answer.complete),
                (200, "MISS", true),
                "{target}"
            );
            assert!(answer.body == body, "{target}: {} bytes", answer.body.len());
        }
        assert_eq!(origin.requests(target), 2);
    }
    origin.says("/short", ok("short").max_age(60));
    seawall.get("/short").is("MISS", "short");
    seawall.get("/short").is("HIT", "short");
}

#[test]
fn what_is_not_a_plain_get_passes_through() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check =
        |method: &str, status: u16, fields: &[(&str, &str)], body: &str, seen: &str, told: &str| {
            let target = format!("/{method}-{status}");
            origin.says(
                &target,
                ok("done")
                    .status(status)
                    .max_age(60)
                    .field("surrogate-key", "a"),
            );
            for count in 1..=2 {
                let answer = seawall.request(method, &target, fields, body.as_bytes());
                assert_eq!(
                    (answer.status, answer.x_cache(), answer.text()),
                    (status, "BYPASS", "done".to_owned()),
                    "{target}"
                );
                assert_eq!(
                    answer.cache_status(),
                    format!("edge-1; fwd={told}; fwd-status={status}")
                );
                assert_eq!(
                    (answer.field("via"), answer.field("surrogate-key")),
                    (Some("1.1 edge-1"), None)
                );
                let request = origin.last(&target);
                assert_eq!(
                    (request.method.as_str(), request.text()),
                    (method, seen.to_owned()),
                    "{target}"
                );
                assert_eq!(origin.requests(&target), count);
            }
        };
    check("POST", 201, &[], "a=b", "a=b", "method");
    check(
        "PUT",
        200,
        &[("transfer-encoding", "chunked")],
        "3\r\na=b\r\n0\r\n\r\n",
        "a=b",
        "method",
    );
    check("PATCH", 409, &[], "a=b", "a=b", "method");
    check("DELETE", 200, &[], "", "", "method");
    check("GET", 200, &[], "question", "question", "bypass");
}

#[test]
fn a_large_body_passes_to_the_origin_whole() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body: Vec<u8> = (0..=255).cycle().take(8 << 20).collect();
    origin.says("/a", ok("done"));
    seawall
        .request("POST", "/a", &[], &body)
        .is("BYPASS", "done");
    assert!(
        origin.last("/a").body == body,
        "{} bytes came",
        origin.last("/a").body.len()
    );
}

#[test]
fn a_client_that_waits_to_be_told_to_go_on_is_told() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("done"));
    let mut connection = seawall.connect();
    connection.send(
        "POST",
        "/a",
        &[("expect", "100-continue"), ("content-length", "3")],
        b"",
    );
    assert_eq!(connection.take(25), *b"HTTP/1.1 100 Continue\r\n\r\n");
    connection.write("a=b");
    connection.answer("POST").is("BYPASS", "done");
    assert_eq!(origin.last("/a").text(), "a=b");
}

#[test]
fn a_web_socket_passes_through_and_no_other_upgrade() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let upgrade = |to: &str| {
        let target = format!("/{to}");
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: {to}\r\n\r\n"
        );
        origin.says(&target, Answer::raw(head + "hello"));
        let mut connection = seawall.connect();
        connection.send(
            "GET",
            &target,
            &[("connection", "upgrade"), ("upgrade", to)],
            b"",
        );
        let (status, _) = connection.head().expect("an answer");
        (
            status,
            origin.last(&target).field("upgrade").map(str::to_owned),
            connection,
        )
    };
    let (status, seen, mut connection) = upgrade("websocket");
    assert_eq!((status, seen.as_deref()), (101, Some("websocket")));
    assert_eq!(connection.take(5), b"hello");
    let (status, seen, _) = upgrade("h2c");
    assert_eq!((status, seen), (502, None));
}

/// What an origin says to its own connection, and tags.
const NOT_FOR_CLIENTS: [(&str, &str); 7] = [
    ("connection", "x-hop"),
    ("x-hop", "1"),
    ("keep-alive", "timeout=5"),
    ("proxy-authenticate", "Basic"),
    ("surrogate-key", "a b"),
    ("cache-tag", "c"),
    ("xkey", "d"),
];

/// What a client says to its own connection, and what it might speak to an origin through.
const NOT_FOR_ORIGINS: [(&str, &str); 7] = [
    ("connection", "x-mine"),
    ("x-mine", "1"),
    ("te", "trailers"),
    ("proxy-authorization", "a"),
    ("forwarded", "for=6.6.6.6"),
    ("x-http-method-override", "DELETE"),
    ("x-original-url", "/admin"),
];

#[test]
fn fields_of_one_hop_and_tags_go_no_further() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let answer = ok("body").max_age(60).field("x-end", "1");
    let named = |answer: Answer, (name, value): &(&str, &str)| answer.field(name, value);
    origin.says("/a", NOT_FOR_CLIENTS.iter().fold(answer, named));
    let mut fields = vec![
        ("x-end", "2"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil.test"),
    ];
    fields.extend(NOT_FOR_ORIGINS);
    let (listen, url) = (seawall.listen().to_string(), origin.url());
    for (method, x_cache) in [("GET", "MISS"), ("GET", "HIT"), ("POST", "BYPASS")] {
        let answer = seawall.request(method, "/a", &fields, b"");
        answer.is(x_cache, "body");
        assert_eq!(answer.field("x-end"), Some("1"));
        for (name, value) in NOT_FOR_CLIENTS {
            assert_ne!(answer.field(name), Some(value), "{name} in a {x_cache}");
        }
        let seen = origin.last("/a");
        for (name, value) in NOT_FOR_ORIGINS {
            assert_ne!(seen.field(name), Some(value), "{name} in a {method}");
        }
        let check = |name: &str, expect: &str| {
            assert_eq!(seen.field(name), Some(expect), "{name} in a {method}")
        };
        check("x-end", "2");
        check("via", "1.1 edge-1");
        check("x-forwarded-for", "127.0.0.1");
        check("x-forwarded-proto", "http");
        check("x-forwarded-host", &listen);
        // With --origin it sees its own name.
        check("host", url.strip_prefix("http://").unwrap());
    }
}

#[test]
fn a_request_that_comes_back_is_a_loop() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("body").max_age(60));
    seawall.get("/a").is("MISS", "body");
    let mark = origin
        .last("/a")
        .field("cdn-loop")
        .expect("says where it has been")
        .to_owned();
    assert!(
        mark.starts_with("seawall-") && mark.ends_with(";node=edge-1"),
        "{mark}"
    );
    for method in ["GET", "POST"] {
        let looped = seawall.request(
            method,
            "/a",
            &[("cdn-loop", &format!("other, {mark}"))],
            b"",
        );
        looped.fails(508, "CDN-Loop");
    }
    seawall
        .get_with("/a", &[("cdn-loop", "other")])
        .is("HIT", "body");
    assert_eq!(origin.requests("/a"), 1);
}
