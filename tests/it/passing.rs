//! What passes through to the origin, and which fields pass with it.

use crate::support::{Folder, Origin, Seawall, ok};

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
fn fields_of_one_hop_and_tags_go_no_further() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let answer = ok("body")
        .max_age(60)
        .field("connection", "x-hop")
        .field("x-hop", "1")
        .field("keep-alive", "timeout=5");
    let answer = answer
        .field("proxy-authenticate", "Basic")
        .field("surrogate-key", "a b")
        .field("cache-tag", "c");
    origin.says("/a", answer.field("xkey", "d").field("x-end", "1"));
    let mine = [
        ("connection", "x-mine"),
        ("x-mine", "1"),
        ("te", "trailers"),
        ("proxy-authorization", "a"),
        ("x-end", "2"),
    ];
    let spoofed = [
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil.test"),
        ("forwarded", "for=6.6.6.6"),
    ];
    for x_cache in ["MISS", "HIT"] {
        let answer = seawall.get_with("/a", &[&mine[..], &spoofed[..]].concat());
        answer.is(x_cache, "body");
        for name in [
            "x-hop",
            "keep-alive",
            "proxy-authenticate",
            "surrogate-key",
            "cache-tag",
            "xkey",
        ] {
            assert_eq!(answer.field(name), None, "{name} in a {x_cache}");
        }
        assert_eq!(answer.field("x-end"), Some("1"));
    }
    let seen = origin.last("/a");
    for name in ["x-mine", "te", "proxy-authorization", "forwarded"] {
        assert_eq!(seen.field(name), None, "{name}");
    }
    let listen = seawall.listen().to_string();
    assert_eq!(
        (seen.field("x-end"), seen.field("via")),
        (Some("2"), Some("1.1 edge-1"))
    );
    assert_eq!(
        (
            seen.field("x-forwarded-for"),
            seen.field("x-forwarded-proto")
        ),
        (Some("127.0.0.1"), Some("http"))
    );
    assert_eq!(seen.field("x-forwarded-host"), Some(listen.as_str()));
    assert_eq!(
        seen.field("host"),
        origin.url().strip_prefix("http://"),
        "with --origin it sees its own name"
    );
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
        looped.fails(508, "detail=");
    }
    seawall
        .get_with("/a", &[("cdn-loop", "other")])
        .is("HIT", "body");
    assert_eq!(origin.requests("/a"), 1);
}
