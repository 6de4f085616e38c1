//! What clients get: hits and misses, what is kept and what is not, and under which name.

use crate::support::{Answer, Origin, Seawall, ok};

#[test]
fn a_first_request_is_a_miss_and_the_second_a_hit() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says(
        "/a",
        ok("hello")
            .max_age(3600)
            .field("content-type", "text/plain"),
    );

    let miss = seawall.get("/a");
    miss.is("MISS", "hello");
    assert_eq!(
        miss.cache_status(),
        "edge-1; fwd=uri-miss; fwd-status=200; stored; ttl=3600"
    );
    assert_eq!(
        (miss.field("via"), miss.field("age")),
        (Some("1.1 edge-1"), None)
    );
    assert_eq!(
        (miss.field("content-length"), miss.field("content-type")),
        (Some("5"), Some("text/plain"))
    );

    let hit = seawall.get("/a");
    hit.is("HIT", "hello");
    let told = hit.cache_status().strip_prefix("edge-1; hit; ttl=");
    let ttl: u64 = told.expect("no more than that").parse().unwrap();
    let age: u64 = hit.field("age").unwrap().parse().unwrap();
    assert_eq!(ttl + age, 3600);
    assert_eq!(hit.field("via"), Some("1.1 edge-1"));
    assert_eq!(
        (hit.field("content-length"), hit.field("content-type")),
        (Some("5"), Some("text/plain"))
    );
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn whoever_has_the_whole_answer_finds_it_stored() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let mut connection = seawall.connect();
    for number in 0..200 {
        let target = format!("/{number}");
        // The end of a body is told by its length, by its last chunk, or by its having none.
        let (body, chunked) = [("body", false), ("body", true), ("", false)][number % 3];
        let answer = ok(body).max_age(3600);
        origin.says(&target, if chunked { answer.chunked() } else { answer });
        connection
            .request("GET", &target, &[], b"")
            .is("MISS", body);
        connection.request("GET", &target, &[], b"").is("HIT", body);
    }
}

#[test]
fn the_age_an_answer_came_with_counts() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("old").max_age(3600).field("age", "100"));
    let miss = seawall.get("/a");
    assert_eq!((miss.field("age"), miss.x_cache()), (Some("100"), "MISS"));
    assert!(
        miss.cache_status().ends_with("; ttl=3500"),
        "{}",
        miss.cache_status()
    );
    let age: u64 = seawall.get("/a").field("age").unwrap().parse().unwrap();
    assert!(age >= 100, "{age}");
    origin.says("/b", ok("too old").max_age(60).field("age", "60"));
    seawall.get("/b").is("MISS", "too old");
    seawall.get("/b").is("MISS", "too old");
}

#[test]
fn what_is_fresh_is_never_called_stale() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    // In its last second there is less than one left.
    origin.says("/a", ok("body").max_age(1));
    for _ in 0..50 {
        let answer = seawall.get("/a");
        assert!(
            ["MISS", "HIT"].contains(&answer.x_cache()),
            "{}",
            answer.cache_status()
        );
    }
}

#[test]
fn an_answer_is_kept_only_where_its_head_allows_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |target: &str, fields: &[(&str, &str)], answer: Answer, second: &str| {
        origin.says(target, answer);
        seawall.get_with(target, fields).is("MISS", "body");
        seawall.get_with(target, fields).is(second, "body");
        let asked = if second == "HIT" { 1 } else { 2 };
        assert_eq!(origin.requests(target), asked, "{target}");
    };
    let body = || ok("body");
    let control = |line: &str| body().field("cache-control", line);
    check("/max-age", &[], control("max-age=60"), "HIT");
    check("/s-maxage", &[], control("max-age=0, s-maxage=60"), "HIT");
    check(
        "/expires",
        &[],
        body().field("expires", "Fri, 01 Jan 2100 00:00:00 GMT"),
        "HIT",
    );
    check("/expired", &[], body().field("expires", "0"), "MISS");
    check("/silent", &[], body(), "MISS");
    check("/no-store", &[], control("max-age=60, no-store"), "MISS");
    check("/private", &[], control("max-age=60, private"), "MISS");
    check(
        "/cookie",
        &[],
        control("max-age=60").field("set-cookie", "a=b"),
        "MISS",
    );
    check(
        "/vary-any",
        &[],
        control("max-age=60").field("vary", "*"),
        "MISS",
    );
    let secret = [("authorization", "Basic YTpi")];
    check("/secret", &secret, control("max-age=60"), "MISS");
    check("/public", &secret, control("max-age=60, public"), "HIT");
    // What a stranger says of freshness must not drive the origin.
    check(
        "/reload",
        &[("cache-control", "no-cache")],
        control("max-age=60"),
        "HIT",
    );
}

#[test]
fn statuses_are_kept_as_their_heads_say() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |status: u16, answer: Answer, second: &str| {
        let target = format!("/{status}-{second}");
        origin.says(&target, answer.status(status));
        let (first, again) = (seawall.get(&target), seawall.get(&target));
        assert_eq!(
            (first.status, first.x_cache()),
            (status, "MISS"),
            "{target}"
        );
        assert_eq!(
            (again.status, again.x_cache(), again.complete),
            (status, second, true),
            "{target}"
        );
    };
    check(204, ok("").max_age(60), "HIT");
    check(301, ok("").max_age(60).field("location", "/x"), "HIT");
    check(404, ok("gone").max_age(60), "HIT");
    check(404, ok("gone"), "MISS");
    check(500, ok("broken"), "MISS");
    check(503, ok("broken").field("expires", "0"), "MISS");
}

#[test]
fn a_query_belongs_to_the_name_and_a_host_too() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    for target in ["/a", "/a?", "/a?x=1", "/a?x=2", "/A", "//a", "/a/", "/%61"] {
        origin.says(target, ok(target).max_age(60));
        seawall.get(target).is("MISS", target);
        seawall.get(target).is("HIT", target);
    }
    seawall
        .get_with("/a", &[("host", "other.test")])
        .is("MISS", "/a");
    seawall
        .get_with("/a", &[("host", "OTHER.test:80")])
        .is("HIT", "/a");
}

#[test]
fn each_variant_is_stored_and_selected() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let answer = |body: &str| ok(body).max_age(60).field("vary", "Accept-Language");
    origin.says_in_turn("/a", vec![answer("hello"), answer("hallo"), answer("any")]);
    let get = |language| seawall.get_with("/a", &[("accept-language", language)]);
    get("en").is("MISS", "hello");
    let second = get("de");
    second.is("MISS", "hallo");
    assert!(
        second.cache_status().starts_with("edge-1; fwd=vary-miss;"),
        "{}",
        second.cache_status()
    );
    seawall.get("/a").is("MISS", "any");
    get("en").is("HIT", "hello");
    get("de").is("HIT", "hallo");
    seawall.get("/a").is("HIT", "any");
    assert_eq!(origin.requests("/a"), 3);
}

#[test]
fn head_is_answered_from_a_stored_get_and_stores_nothing() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("hello").max_age(60));
    let check = |x_cache: &str| {
        let head = seawall.request("HEAD", "/a", &[], b"");
        let found = (head.status, head.x_cache(), head.field("content-length"));
        assert_eq!(found, (200, x_cache, Some("5")));
    };
    check("MISS");
    assert_eq!(origin.last("/a").method, "HEAD");
    seawall.get("/a").is("MISS", "hello");
    check("HIT");
    assert_eq!(origin.requests("/a"), 2);
}

#[test]
fn an_answer_without_a_length_is_kept_with_one() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("hello").max_age(60).chunked());
    let miss = seawall.get("/a");
    miss.is("MISS", "hello");
    assert_eq!(miss.field("transfer-encoding"), Some("chunked"));
    let hit = seawall.get("/a");
    hit.is("HIT", "hello");
    assert_eq!(
        (hit.field("transfer-encoding"), hit.field("content-length")),
        (None, Some("5"))
    );
}
