//! Whose answer is it? What one client brings, or says, never becomes another's.

use serde_json::json;

use crate::support::{Origin, Seawall, eventually, ok};

#[test]
fn what_must_be_validated_is_for_the_one_who_asked() {
    for freshness in ["max-age=0", "no-cache", ""] {
        let origin = Origin::start();
        let seawall = Seawall::run(&origin);
        let page = |user: &str| match freshness {
            "" => ok(user).etag("1"),
            freshness => ok(user).etag("1").field("cache-control", freshness),
        };
        let (alice, gate) = page("alice").gate();
        origin.says_in_turn("/me", vec![alice, page("bob")]);
        let first = seawall.get_later_with("/me", &[("cookie", "user=alice")]);
        origin.wait_for("/me", 1);
        let second = seawall.get_later_with("/me", &[("cookie", "user=bob")]);
        eventually("the second waits", || {
            seawall.metric("seawall_collapsed_total") == 1.0
        });
        gate.open();
        first.join().unwrap().is("MISS", "alice");
        second.join().unwrap().is("MISS", "bob");
        assert_eq!(
            origin.last("/me").field("cookie"),
            Some("user=bob"),
            "{freshness}"
        );
    }
}

#[test]
fn a_field_that_is_nominated_away_selects_no_variant() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let page = |text: &str| ok(text).max_age(60).field("vary", "accept-language");
    origin.says_in_turn("/a", vec![page("no language"), page("german")]);
    let nominates = [("accept-language", "de"), ("connection", "accept-language")];
    seawall.get_with("/a", &nominates).is("MISS", "no language");
    let german = [("accept-language", "de")];
    seawall.get_with("/a", &german).is("MISS", "german");
    seawall.get_with("/a", &german).is("HIT", "german");
    seawall.get("/a").is("HIT", "no language");
}

#[test]
fn what_has_more_tags_than_are_kept_is_not_stored() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let tags: Vec<String> = (0..1_100).map(|n| format!("t{n}")).collect();
    origin.says(
        "/a",
        ok("much")
            .max_age(60)
            .field("surrogate-key", &tags.join(" ")),
    );
    for _ in 0..2 {
        seawall.get("/a").is("MISS", "much");
    }
}

#[test]
fn a_page_that_is_gone_is_never_called_unchanged() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let modified = "Thu, 01 Jan 2026 00:00:00 GMT";
    origin.says(
        "/a",
        ok("gone")
            .status(404)
            .max_age(60)
            .field("last-modified", modified),
    );
    assert_eq!(seawall.get("/a").x_cache(), "MISS");
    assert_eq!(seawall.get("/a").x_cache(), "HIT");
    assert_eq!(
        seawall
            .get_with("/a", &[("if-modified-since", modified)])
            .status,
        404
    );
    assert_eq!(
        seawall.get_with("/a", &[("if-none-match", "*")]).status,
        404
    );
}

#[test]
fn clients_of_a_purged_fetch_share_the_next_one() {
    const CLIENTS: usize = 20;
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (old, gate) = ok("old").max_age(60).gate();
    let (new, second) = ok("new").max_age(60).gate();
    origin.says_in_turn("/a", vec![old, new]);
    let first = seawall.get_later("/a");
    origin.wait_for("/a", 1);
    let others: Vec<_> = (1..CLIENTS).map(|_| seawall.get_later("/a")).collect();
    let waiting =
        |count| move |seawall: &Seawall| seawall.metric("seawall_collapsed_total") >= count as f64;
    eventually("the others wait", || waiting(CLIENTS - 1)(&seawall));
    seawall.purge(json!({"urls": [seawall.url("/a")]}));
    gate.open();
    first.join().unwrap().is("MISS", "old");
    origin.wait_for("/a", 2);
    // All but the first and the one who fetches wait once more.
    eventually("they wait for the second", || {
        waiting(CLIENTS - 1 + CLIENTS - 2)(&seawall)
    });
    second.open();
    for other in others {
        other.join().unwrap().is("MISS", "new");
    }
    assert_eq!(origin.requests("/a"), 2);
    seawall.get("/a").is("HIT", "new");
}

#[test]
fn only_a_websocket_is_a_reason_to_pass() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("page").max_age(60));
    let wish = [("upgrade", "h2c"), ("connection", "upgrade")];
    seawall.get_with("/a", &wish).is("MISS", "page");
    seawall.get_with("/a", &wish).is("HIT", "page");
    assert_eq!(origin.last("/a").field("upgrade"), None);
    seawall.request("POST", "/a", &[("proxy", "http://evil")], b"x");
    assert_eq!(origin.last("/a").field("proxy"), None);
}

#[test]
fn a_private_field_is_for_the_one_who_asked() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let control = "max-age=60, private=\"x-basket\"";
    let answer = ok("page").field("cache-control", control);
    let (answer, gate) = answer.field("x-basket", "3 apples").gate();
    origin.says("/a", answer);
    let owner = seawall.get_later("/a");
    origin.wait_for("/a", 1);
    let waiter = seawall.get_later("/a");
    eventually("it waits", || {
        seawall.metric("seawall_collapsed_total") >= 1.0
    });
    gate.open();
    let (owner, waiter) = (owner.join().unwrap(), waiter.join().unwrap());
    owner.is("MISS", "page");
    waiter.is("MISS", "page");
    assert_eq!(owner.field("x-basket"), Some("3 apples"));
    for stranger in [waiter, seawall.get("/a")] {
        assert_eq!(
            (stranger.text().as_str(), stranger.field("x-basket")),
            ("page", None)
        );
    }
}
