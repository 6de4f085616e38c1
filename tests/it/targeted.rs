//! What an origin says to CDNs only: CDN-Cache-Control (RFC 9213), and Surrogate-Control where a site asks for it.

use crate::support::{Answer, Origin, Seawall, ok};

/// What a first and a second request get, when the origin says `lines`.
fn twice(seawall: &Seawall, origin: &Origin, lines: &[(&str, &str)]) -> String {
    let said = |answer: Answer, (name, value): &(&str, &str)| answer.field(name, value);
    origin.says("/a", lines.iter().fold(ok("a"), said));
    seawall.purge(serde_json::json!({"all": true}));
    let (first, second) = (seawall.get("/a"), seawall.get("/a"));
    format!("{} {}", first.x_cache(), second.x_cache())
}

#[test]
fn cdn_cache_control_is_a_structured_field_and_replaces_the_others() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |section: &str, lines: &[(&str, &str)], expect: &str| {
        let found = twice(&seawall, &origin, lines);
        assert_eq!(found, expect, "{section}: {lines:?}");
    };
    let (cdn, common) = ("cdn-cache-control", "cache-control");
    check("9213 2.2", &[(cdn, "max-age=60")], "MISS HIT");
    check(
        "9213 2.2",
        &[(cdn, "max-age=60"), (common, "no-store")],
        "MISS HIT",
    );
    check(
        "9213 2.2",
        &[(cdn, "no-store"), (common, "max-age=60")],
        "MISS MISS",
    );
    check(
        "9213 2.2",
        &[
            (cdn, "max-age=0"),
            ("expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ],
        "MISS MISS",
    );
    check(
        "9213 2.2",
        &[(cdn, "max-age=60"), ("expires", "0")],
        "MISS HIT",
    );
    check("9213 2.1", &[(cdn, "max-age=60, private")], "MISS MISS");
    check("9213 2.1", &[(cdn, "max-age=60, private=?0")], "MISS HIT");
    check(
        "9213 2.1",
        &[(cdn, "max-age=60"), (cdn, "no-store")],
        "MISS MISS",
    );
    // It does not parse, or is empty: it does not count.
    check(
        "9213 2.2",
        &[(cdn, "max-age=60,,"), (common, "no-store")],
        "MISS MISS",
    );
    check(
        "9213 2.2",
        &[(cdn, "MAX-AGE=60"), (common, "max-age=60")],
        "MISS HIT",
    );
    check("9213 2.2", &[(cdn, ""), (common, "max-age=60")], "MISS HIT");
    // A value of the wrong type is no freshness, and Cache-Control's does not come back.
    check(
        "9213 2.1",
        &[(cdn, "max-age=\"60\""), (common, "max-age=60")],
        "MISS MISS",
    );
    check(
        "9213 2.1",
        &[(cdn, "max-age=60;why=\"because\", other=(1 2)")],
        "MISS HIT",
    );
    // Age counts against it.
    check(
        "9111 4.2.3",
        &[(cdn, "max-age=60"), ("age", "61")],
        "MISS MISS",
    );
    check(
        "9111 4.2.3",
        &[(cdn, "max-age=60"), ("age", "59")],
        "MISS HIT",
    );
}

#[test]
fn it_is_passed_on_for_the_caches_behind() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let answer = ok("a").field("cdn-cache-control", "max-age=60");
    origin.says("/a", answer.field("cache-control", "max-age=5"));
    for x_cache in ["MISS", "HIT"] {
        let found = seawall.get("/a");
        found.is(x_cache, "a");
        assert_eq!(found.field("cdn-cache-control"), Some("max-age=60"));
        assert_eq!(found.field("cache-control"), Some("max-age=5"));
    }
}

#[test]
fn surrogate_control_counts_where_the_site_asks_for_it() {
    let origin = Origin::start();
    let site = |on: bool| {
        let words = format!("[site.cache]\nsurrogate_control = {on}");
        Seawall::run_site(&origin, &words)
    };
    let (on, off) = (site(true), site(false));
    let lines = [
        ("surrogate-control", "max-age=60"),
        ("cache-control", "no-store"),
    ];
    assert_eq!(twice(&off, &origin, &lines), "MISS MISS");
    assert_eq!(origin.last("/a").field("surrogate-capability"), None);
    assert_eq!(twice(&on, &origin, &lines), "MISS HIT");
    let capability = "seawall=\"Surrogate/1.0\"";
    assert_eq!(
        origin.last("/a").field("surrogate-capability"),
        Some(capability)
    );
    // It was for this surrogate; nobody behind is to take it for theirs.
    assert_eq!(on.get("/a").field("surrogate-control"), None);
    // A client cannot pretend to be one: it would decide what others get.
    off.get_with("/b", &[("surrogate-capability", "x=\"ESI/1.0\"")]);
    assert_eq!(origin.last("/b").field("surrogate-capability"), None);
    let targeted = |target: &str| {
        let line = format!("max-age=60;{target}");
        twice(&on, &origin, &[("surrogate-control", &line)])
    };
    assert_eq!(
        (targeted("seawall"), targeted("other")),
        ("MISS HIT".into(), "MISS MISS".into())
    );
}
