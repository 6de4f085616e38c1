//! Which requests are taken, passed on or refused.

use super::*;

fn snapshot() -> Arc<Snapshot> {
    let site = serde_json::json!({"name": "a", "hosts": ["a.test"], "origin": "http://127.0.0.1:9", "websocket": true});
    Arc::new(Snapshot::of_one(Epoch(7), &site))
}

#[test]
fn a_request_is_taken_passed_or_refused() {
    let check = |method: &str, authority: Option<&str>, target: &str, lines: &str, expect: &str| {
        let fields = lines.split('|').filter_map(|line| line.split_once(": "));
        let fields: HeaderMap = fields
            .map(|(n, v)| {
                (
                    n.trim().parse::<header::HeaderName>().unwrap(),
                    v.trim().parse().unwrap(),
                )
            })
            .collect();
        let method = method.parse().unwrap();
        let asked = Asked {
            method: &method,
            scheme: Scheme::Http,
            authority,
            target: Some(target),
            fields: &Arc::new(fields),
            client: None,
        };
        let found = match admit(asked, &snapshot(), &Pseudonym::new("edge-1"), |_| {
            Birth::default()
        }) {
            Ok(Admitted::Ours(journey)) => format!("ours {:?}", journey.key),
            Ok(Admitted::Purges(journey)) => format!("purges {:?}", journey.key),
            Ok(Admitted::Passes(journey)) => format!("passes {:?}", journey.key),
            Err(refused) => format!("{refused:?}"),
        };
        assert_eq!(found, expect, "{method} {target} {lines}");
    };
    check(
        "GET",
        None,
        "/x?y",
        "host: A.test",
        "ours http://a.test/x?y",
    );
    check("HEAD", None, "/", "host: a.test:80", "ours http://a.test/");
    check("GET", Some("a.test"), "/", "", "ours http://a.test/");
    check(
        "GET",
        Some("a.test"),
        "/",
        "host: a.test",
        "ours http://a.test/",
    );
    check("GET", Some("a.test"), "/", "host: b.test", "BadHost");
    check("GET", None, "/", "", "BadHost");
    check("GET", None, "/", "host: a.test|host: a.test", "BadHost");
    check("GET", None, "/", "host: b.test", "NoSite");
    check("GET", None, "/", "host: a.test/", "BadHost");
    check("GET", None, "/%00", "host: a.test", "BadTarget");
    check("OPTIONS", None, "*", "host: a.test", "BadTarget");
    check("POST", None, "/", "host: a.test", "passes http://a.test/");
    check(
        "GET",
        None,
        "/",
        "host: a.test|content-length: 3",
        "passes http://a.test/",
    );
    check(
        "GET",
        None,
        "/",
        "host: a.test|content-length: 0",
        "ours http://a.test/",
    );
    check(
        "GET",
        None,
        "/",
        "host: a.test|upgrade: websocket",
        "passes http://a.test/",
    );
    check(
        "POST",
        None,
        "/",
        "host: a.test|content-length: 3|transfer-encoding: chunked",
        "AmbiguousLength",
    );
    check(
        "POST",
        None,
        "/",
        "host: a.test|content-length: 3|content-length: 4",
        "AmbiguousLength",
    );
    check(
        "POST",
        None,
        "/",
        "host: a.test|content-length: +3",
        "AmbiguousLength",
    );
    check(
        "GET",
        None,
        "/",
        "host: a.test|connection: cookie",
        "ProtectedNominated",
    );
    check("TRACE", None, "/", "host: a.test", "MethodNotAllowed");
    check(
        "GET",
        None,
        "/",
        "host: a.test|cdn-loop: seawall-7;node=edge-1",
        "Loop",
    );
    check(
        "GET",
        None,
        "/",
        "host: a.test|seawall-min-revision: 7-2",
        "ours http://a.test/",
    );
    check(
        "GET",
        None,
        "/",
        "host: a.test|seawall-min-revision: 8-2",
        "BadToken",
    );
    check(
        "GET",
        None,
        "/",
        "host: a.test|seawall-min-revision: soon",
        "BadToken",
    );
    check(
        "GET",
        None,
        "/",
        "host: a.test|upgrade: h2c",
        "ours http://a.test/",
    );
    let long = "/".repeat(TARGET_BYTES_MAX + 1);
    check("GET", None, &long, "host: a.test", "TargetTooLong");
    let big = format!("host: a.test|x: {}", "a".repeat(HEAD_BYTES_MAX));
    check("GET", None, "/", &big, "HeadTooLarge");
}

#[test]
fn rules_and_origin_see_the_clients_own_words() {
    let lines = [
        ("connection", "accept-language"),
        ("accept-language", "de"),
        ("cookie", "a=1"),
        ("cookie", "b=2"),
    ];
    let lines = lines.into_iter().map(|(n, v)| {
        (
            header::HeaderName::from_static(n),
            HeaderValue::from_static(v),
        )
    });
    let own = own_words(&Arc::new(lines.collect()));
    assert_eq!(
        own.get(header::ACCEPT_LANGUAGE),
        None,
        "nominated away, so it selects nothing"
    );
    assert_eq!(
        own.get(header::COOKIE).map(HeaderValue::as_bytes),
        Some(&b"a=1; b=2"[..])
    );
    assert_eq!(own.len(), 1);
}
