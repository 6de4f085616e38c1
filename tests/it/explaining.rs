//! `seawall explain`: what the edge would do and why, without doing it.

use serde_json::{Value, json};

use crate::support::{Origin, Seawall, ok};

/// What is explained of a target, as text.
fn explained(seawall: &Seawall, target: &str, more: &[&str]) -> String {
    let url = seawall.url(target);
    let output = seawall.command(&[&["explain", &url], more].concat());
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[test]
fn every_step_of_a_decision_is_told_and_none_is_taken() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let page = ok("0123456789").field("cache-control", "max-age=60, stale-if-error=60");
    let page = page
        .field("vary", "accept-language")
        .field("surrogate-key", "news")
        .etag("1");
    origin.says("/a", page);
    let before = explained(&seawall, "/a", &[]);
    has(
        &before,
        &[
            "site      default",
            "stored    nothing",
            "verdict   fetch: fwd=uri-miss",
            "asks      GET /a",
        ],
    );
    assert_eq!(origin.requests("/a"), 0, "nobody was asked");

    seawall
        .get_with("/a", &[("accept-language", "de")])
        .is("MISS", "0123456789");
    let german = ["-H", "Accept-Language: DE"];
    let hit = explained(
        &seawall,
        "/a",
        &[&german[..], &["-H", "Range: bytes=2-3"]].concat(),
    );
    has(
        &hit,
        &[
            "tags    news",
            "200, 10 bytes, born at revision",
            ": selected",
            "for     accept-language: de",
            "read    max-age=60, stale-if-error=60 (Cache-Control, RFC 9111 §5.2)",
            "lifetime 60 s (max-age, RFC 9111 §5.2.2.1)",
        ],
    );
    has(
        &hit,
        &[
            "RFC 9111 §4.2",
            "206: bytes 2 to 3",
            "verdict   serve: a hit",
        ],
    );
    let other = explained(&seawall, "/a", &[]);
    has(
        &other,
        &[
            "not selected, the request says no accept-language",
            "none of 1 stored",
            "fwd=vary-miss",
            "if-none-match: \"1\"",
        ],
    );

    seawall.purge(json!({"tags": ["news"], "mode": "soft"}));
    let soft = explained(&seawall, "/a", &german);
    has(
        &soft,
        &[
            "purged  tag news, soft, at revision",
            "should the origin fail, nothing stands in for it",
            "soft-purged: the origin is asked",
            "fwd=stale",
        ],
    );
    seawall.purge(json!({"prefixes": [seawall.url("/")]}));
    // It may have been swept away by now; used, or asked about, it is not.
    let hard = explained(&seawall, "/a", &german);
    has(&hard, &["verdict   fetch: fwd=uri-miss"]);
    assert!(!hard.contains("if-none-match"), "{hard}");
    assert_eq!(origin.requests("/a"), 1, "explaining asks no origin");
}

#[test]
fn what_was_not_stored_is_told_with_the_reason() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |target: &str, fields: &[(&str, &str)], expect: &str| {
        let said = fields
            .iter()
            .fold(ok("a"), |answer, (name, value)| answer.field(name, value));
        origin.says(target, said);
        seawall.get(target);
        has(
            &explained(&seawall, target, &[]),
            &["the last answer was not:", expect],
        );
    };
    check(
        "/no-store",
        &[("cache-control", "no-store")],
        "no-store (RFC 9111 §5.2.2.5)",
    );
    check(
        "/private",
        &[("cache-control", "private")],
        "private (RFC 9111 §5.2.2.7)",
    );
    check(
        "/cookie",
        &[("cache-control", "max-age=9"), ("set-cookie", "a=b")],
        "Set-Cookie (set_cookie)",
    );
    check(
        "/any",
        &[("cache-control", "max-age=9"), ("vary", "*")],
        "Vary: * (RFC 9111 §4.1)",
    );
    check(
        "/silent",
        &[],
        "no freshness and no validator (RFC 9111 §4.2.1)",
    );
    // Once it is stored there is nothing to remember.
    origin.says("/silent", ok("a").max_age(60));
    seawall.get("/silent");
    has(&explained(&seawall, "/silent", &[]), &["born at revision"]);
    assert!(!explained(&seawall, "/silent", &[]).contains("the last answer was not"));
}

#[test]
fn a_request_for_somebody_else_is_explained_too() {
    let origin = Origin::start();
    let site = |name: &str, more: &str| {
        let origin = origin.url();
        format!(
            "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.test\"]\norigin = \"{origin}\"\n{more}\n"
        )
    };
    let rule = "[[site.rule]]\npath = \"/account/*\"\ncache = \"off\"";
    let seawall = Seawall::run_config(&(site("a", rule) + &site("b", "")));
    let explain = |url: &str, more: &[&str]| {
        let output = seawall.command(&[&["explain", url], more].concat());
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned()
                + &String::from_utf8_lossy(&output.stderr),
        )
    };
    let check = |url: &str, more: &[&str], code: i32, parts: &[&str]| {
        let (found, text) = explain(url, more);
        assert_eq!(found, Some(code), "{url}: {text}");
        has(&text, parts);
    };
    check(
        "https://a.test/account/1",
        &[],
        0,
        &["rule /account/*", "cache = off", "alone: fwd=bypass"],
    );
    check(
        "http://b.test/x",
        &["-X", "POST"],
        0,
        &["pass: to the origin and back"],
    );
    check(
        "http://c.test/",
        &[],
        0,
        &["refuse: 404", "there are: a.test b.test"],
    );
    check(
        "http://a.test/",
        &["-H", "Cache-Control: only-if-cached"],
        0,
        &["refuse: 504 only-if-cached"],
    );
    check("a.test/", &[], 2, &["has no scheme: write http://a.test/"]);
    check("ftp://a.test/", &[], 1, &["http and https are served"]);
    check(
        "http://a.test/",
        &["-H", "no field"],
        2,
        &["write it as 'Name: value'"],
    );
    let (_, report) = explain("http://a.test/", &["--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!(
        (&report["site"]["name"], &report["edge"]["id"]),
        (&json!("a"), &json!("edge-1"))
    );
}

#[test]
fn a_purge_of_a_tag_that_only_another_part_had_is_told() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let part = |range: &str, body: &str, tag: &str| {
        let part = ok(body).status(206).max_age(60).etag("1");
        part.field("content-range", range)
            .field("surrogate-key", tag)
    };
    let parts = [
        part("bytes 0-4/10", "01234", "red"),
        part("bytes 5-9/10", "56789", "blue"),
    ];
    origin.says_in_turn("/a", parts.into());
    seawall.get_with("/a", &[("range", "bytes=0-4")]);
    seawall.get("/a").is("MISS", "0123456789");
    seawall.purge(json!({"tags": ["red"], "mode": "soft"}));
    let told = explained(&seawall, "/a", &[]);
    has(
        &told,
        &["a tag of another part of it, or of an earlier answer"],
    );
}
