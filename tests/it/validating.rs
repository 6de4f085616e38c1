//! Conditional requests, from clients and to origins.

use serde_json::json;

use crate::support::{Origin, Seawall, ok};

#[test]
fn a_client_that_has_it_is_told_so() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let modified = "Mon, 01 Jan 2024 00:00:00 GMT";
    origin.says(
        "/a",
        ok("hello")
            .max_age(60)
            .etag("1")
            .field("last-modified", modified),
    );
    // Also on a miss: the fetch is for everyone, the 304 for this client.
    let first = seawall.get_with("/a", &[("if-none-match", "\"1\"")]);
    assert_eq!(
        (first.status, first.x_cache(), first.body.len()),
        (304, "MISS", 0)
    );
    assert_eq!(origin.last("/a").field("if-none-match"), None);
    // It did not wait for the body; this one does.
    assert_eq!(seawall.get("/a").text(), "hello");
    let check = |name: &str, value: &str, status: u16| {
        let answer = seawall.get_with("/a", &[(name, value)]);
        assert_eq!(
            (answer.status, answer.x_cache()),
            (status, "HIT"),
            "{name}: {value}"
        );
        assert_eq!(
            (answer.field("etag"), answer.field("via")),
            (Some("\"1\""), Some("1.1 edge-1"))
        );
        assert_eq!(answer.text(), if status == 304 { "" } else { "hello" });
    };
    check("if-none-match", "\"1\"", 304);
    check("if-none-match", "\"0\", W/\"1\"", 304);
    check("if-none-match", "*", 304);
    check("if-none-match", "\"2\"", 200);
    check("if-modified-since", modified, 304);
    check("if-modified-since", "Sun, 31 Dec 2023 00:00:00 GMT", 200);
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn a_stale_answer_is_validated_and_what_has_changed_is_fetched() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let first = ok("first").max_age(0).etag("1").field("x-version", "1");
    let still = first.clone().field("x-version", "2").if_match_304();
    origin.says_in_turn(
        "/a",
        vec![
            first,
            still,
            ok("second").max_age(60).etag("2").if_match_304(),
        ],
    );
    seawall.get("/a").is("MISS", "first");
    let validated = seawall.get("/a");
    validated.is("REVALIDATED", "first");
    assert!(
        validated
            .cache_status()
            .starts_with("edge-1; fwd=stale; fwd-status=304; stored")
    );
    assert_eq!(origin.last("/a").field("if-none-match"), Some("\"1\""));
    let changed = seawall.get("/a");
    changed.is("MISS", "second");
    assert!(
        changed
            .cache_status()
            .starts_with("edge-1; fwd=stale; fwd-status=200; stored")
    );
    seawall.get("/a").is("HIT", "second");
}

#[test]
fn an_origin_may_find_that_another_variant_is_what_it_would_send() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let page = |body: &str, etag: &str| {
        let answer = ok(body).max_age(60).field("vary", "x-shop");
        answer.etag(etag).if_match_304()
    };
    let (a, b) = (page("goods", "1"), page("other goods", "2"));
    origin.says_in_turn("/a", vec![a.clone(), b, a]);
    let get = |shop: &str| seawall.get_with("/a", &[("x-shop", shop)]);
    get("north").is("MISS", "goods");
    get("south").is("MISS", "other goods");
    assert_eq!(origin.last("/a").field("if-none-match"), Some("\"1\""));
    // A third shop sells what the first does: nothing is sent again.
    let east = get("east");
    east.is("REVALIDATED", "goods");
    assert!(
        east.cache_status()
            .contains("fwd=vary-miss; fwd-status=304; stored")
    );
    let asked = origin.last("/a");
    assert_eq!(asked.field("if-none-match"), Some("\"2\", \"1\""));
    for (shop, body) in [
        ("north", "goods"),
        ("south", "other goods"),
        ("east", "goods"),
    ] {
        get(shop).is("HIT", body);
    }
    // What one shop's answer says of keeping it is not said of the others'.
    let told = ok("")
        .status(304)
        .etag("1")
        .field("cache-control", "private");
    origin.says_in_turn("/a", vec![told, page("goods", "1")]);
    get("far").is("REVALIDATED", "goods");
    get("far").is("REVALIDATED", "goods");
    get("north").is("HIT", "goods");
    // One purge, and none of them is asked about any more.
    seawall.purge(json!({"urls": [seawall.url("/a")]}));
    get("west").is("MISS", "goods");
    assert_eq!(origin.last("/a").field("if-none-match"), None);
}

#[test]
fn an_answer_to_head_freshens_what_is_stored_or_ends_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let first = ok("first").max_age(0).etag("1").field("x-version", "1");
    let again = ok("first").max_age(60).etag("1").field("x-version", "2");
    origin.says_in_turn("/a", vec![first.clone(), again]);
    seawall.get("/a").is("MISS", "first");
    let head = seawall.request("HEAD", "/a", &[], b"");
    assert_eq!((head.status, head.x_cache()), (200, "MISS"));
    let found = seawall.get("/a");
    found.is("HIT", "first");
    assert_eq!(found.field("x-version"), Some("2"));
    // It tells of another version: the stored one is not used again, not even when the origin fails.
    origin.says_in_turn(
        "/b",
        vec![
            first.field("cache-control", "stale-if-error=60"),
            ok("second!").etag("2"),
        ],
    );
    seawall.get("/b").is("MISS", "first");
    seawall.request("HEAD", "/b", &[], b"");
    origin.says("/b", ok("").status(503));
    assert_eq!(seawall.get("/b").status, 503);
}

#[test]
fn an_answer_to_head_says_nothing_of_what_came_after_it_or_was_made_for_one_client() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let page = |body: &str, tag: &str| {
        let page = ok(body).max_age(3600).etag(tag);
        page.field("surrogate-key", "red")
    };
    // It was asked for before the purge, and comes after what was fetched since.
    let (old, gate) = page("old", "1").gate();
    origin.says_in_turn("/a", vec![old, page("new", "2")]);
    let mut head = seawall.connect();
    head.send("HEAD", "/a", &[], b"");
    origin.wait_for("/a", 1);
    seawall.purge(json!({"urls": [seawall.url("/a")]}));
    seawall.get("/a").is("MISS", "new");
    gate.open();
    assert_eq!(head.answer("HEAD").field("etag"), Some("\"1\""));
    seawall.get("/a").is("HIT", "new");
    // It calls what was softly purged by other tags.
    let told = ok("old").max_age(3600).field("surrogate-key", "blue");
    let bare = ok("old").max_age(3600).field("surrogate-key", "red");
    origin.says_in_turn("/b", vec![bare, told, page("new", "2")]);
    seawall.get("/b").is("MISS", "old");
    seawall.purge(json!({"tags": ["red"], "mode": "soft"}));
    seawall.request("HEAD", "/b", &[], b"");
    seawall.get("/b").is("MISS", "new");
    // What is said to one client is said to nobody else.
    let stale = || ok("same").max_age(0).etag("1").if_match_304();
    origin.says_in_turn(
        "/c",
        vec![stale(), stale().field("set-cookie", "a=b"), stale()],
    );
    seawall.get("/c").is("MISS", "same");
    seawall.request("HEAD", "/c", &[], b"");
    seawall.request("HEAD", "/c", &[("authorization", "Basic YTpi")], b"");
    seawall.get("/c").is("REVALIDATED", "same");
}
