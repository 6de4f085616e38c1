//! Conditions, ranges and HEAD: entity tags of bytes that go out in several codings.

use super::{decoded, page, run, told, words};
use crate::support::{Origin, ok};

const GZIP: (&str, &str) = ("accept-encoding", "gzip");
const MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

#[test]
fn a_client_finds_its_copy_good_by_the_weak_tag() {
    let origin = Origin::start();
    let seawall = run(&origin);
    origin.says("/a", page(5_000).max_age(60).etag("1"));
    seawall.get("/a");
    let check = |fields: &[(&str, &str)], etag: &str| {
        let answer = seawall.get_with("/a", fields);
        let expect = (304, "HIT", None, Some(etag), Some("Accept-Encoding"));
        assert_eq!(told(&answer), expect, "{fields:?}");
    };
    check(&[GZIP, ("if-none-match", "W/\"1\"")], "W/\"1\"");
    check(&[GZIP, ("if-none-match", "\"1\"")], "W/\"1\"");
    check(&[("if-none-match", "\"1\"")], "\"1\"");
    check(&[("if-none-match", "W/\"1\"")], "\"1\"");
    let other = seawall.get_with("/a", &[GZIP, ("if-none-match", "W/\"2\"")]);
    assert!(other.status == 200 && decoded(&other) == words(5_000));
}

#[test]
fn the_origins_own_304_names_the_tag_that_the_client_has() {
    let origin = Origin::start();
    let seawall = run(&origin);
    origin.says("/uncached/a", page(5_000).etag("1").if_match_304());
    let first = seawall.get_with("/uncached/a", &[GZIP]);
    let expect = (
        200,
        "BYPASS",
        Some("gzip"),
        Some("W/\"1\""),
        Some("Accept-Encoding"),
    );
    assert_eq!(told(&first), expect);
    for (known, etag) in [("W/\"1\"", "W/\"1\""), ("\"1\"", "\"1\"")] {
        let again = seawall.get_with("/uncached/a", &[GZIP, ("if-none-match", known)]);
        assert_eq!((again.status, again.field("etag")), (304, Some(etag)));
    }
}

#[test]
fn what_the_origin_calls_good_again_is_sent_in_the_same_codings() {
    let origin = Origin::start();
    let seawall = run(&origin);
    let stale = page(5_000).field("cache-control", "max-age=0").etag("1");
    origin.says("/a", stale.if_match_304());
    for x_cache in ["MISS", "REVALIDATED", "REVALIDATED"] {
        let answer = seawall.get_with("/a", &[GZIP]);
        let expect = (
            200,
            x_cache,
            Some("gzip"),
            Some("W/\"1\""),
            Some("Accept-Encoding"),
        );
        assert_eq!(told(&answer), expect);
        assert!(decoded(&answer) == words(5_000));
    }
    let asked = origin.last("/a");
    assert_eq!(
        asked.field("if-none-match"),
        Some("\"1\""),
        "the origin is asked about its own tag"
    );
}

#[test]
fn a_range_is_of_the_bytes_as_the_origin_sent_them() {
    let origin = Origin::start();
    let seawall = run(&origin);
    let answer = page(5_000).max_age(60).etag("1");
    origin.says("/a", answer.field("last-modified", MODIFIED));
    seawall.get_with("/a", &[GZIP]);
    let check = |fields: &[(&str, &str)], expect: Option<&str>| {
        let fields = [&[GZIP, ("range", "bytes=100-199")], fields].concat();
        let part = seawall.get_with("/a", &fields);
        let status = if expect.is_some() { 206 } else { 200 };
        let told_of_it = (status, "HIT", None, Some("\"1\""), Some("Accept-Encoding"));
        assert_eq!(told(&part), told_of_it, "{fields:?}");
        assert_eq!(part.field("content-range"), expect, "{fields:?}");
        let all = words(5_000);
        let bytes = if expect.is_some() {
            &all[100..200]
        } else {
            &all[..]
        };
        assert!(part.complete && part.body == bytes);
    };
    let part = Some("bytes 100-199/5000");
    check(&[], part);
    check(&[("if-range", "\"1\"")], part);
    // The tag of what was encoded is weak, and If-Range compares strongly (RFC 9110 §13.1.5).
    check(&[("if-range", "W/\"1\"")], None);
    // The date came with the plain bytes and with the encoded: it does not tell of which the client has a part.
    check(&[("if-range", MODIFIED)], None);
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn a_date_never_joins_plain_bytes_to_encoded_ones() {
    let origin = Origin::start();
    let seawall = run(&origin);
    origin.says(
        "/a",
        page(5_000).max_age(60).field("last-modified", MODIFIED),
    );
    let condition = [GZIP, ("range", "bytes=100-"), ("if-range", MODIFIED)];
    let whole = seawall.get_with("/a", &condition);
    assert!(whole.status == 200 && whole.body == words(5_000));
    assert_eq!(
        origin.last("/a").field("range"),
        None,
        "it is not asked for a part"
    );
    // What is never encoded may be joined by its date.
    let picture = ok(words(5_000)).field("content-type", "image/png");
    origin.says("/b", picture.max_age(60).field("last-modified", MODIFIED));
    let part = seawall.get_with("/b", &condition);
    assert!(part.status == 206 && part.body == words(5_000)[100..]);
}

#[test]
fn head_says_what_get_would() {
    let origin = Origin::start();
    let seawall = run(&origin);
    origin.says("/a", page(5_000).max_age(60).etag("1"));
    let head = || seawall.request("HEAD", "/a", &[GZIP], b"");
    let coded = |x_cache| {
        (
            200,
            x_cache,
            Some("gzip"),
            Some("W/\"1\""),
            Some("Accept-Encoding"),
        )
    };
    let missed = head();
    assert_eq!(
        (told(&missed), missed.field("content-length")),
        (coded("MISS"), None)
    );
    seawall.get("/a");
    let hit = head();
    assert_eq!(
        (told(&hit), hit.field("content-length")),
        (coded("HIT"), None)
    );
    let length = seawall.get_with("/a", &[GZIP]).body.len().to_string();
    let known = head();
    assert_eq!(
        (told(&known), known.field("content-length")),
        (coded("HIT"), Some(length.as_str()))
    );
    let plain = seawall.request("HEAD", "/a", &[], b"");
    assert_eq!(plain.field("content-length"), Some("5000"));
    assert_eq!(
        told(&plain),
        (200, "HIT", None, Some("\"1\""), Some("Accept-Encoding"))
    );
}
