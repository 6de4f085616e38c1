//! Serving what is stale: while it is fetched again, and when the origin fails; never where that is forbidden.

use serde_json::json;

use crate::support::{Answer, Origin, Seawall, eventually, ok};

fn says(control: &str) -> Answer {
    ok("old").etag("1").field("cache-control", control)
}

/// A site that serves what is stale for an hour, while it is fetched again and when the origin fails.
fn lenient(origin: &Origin) -> Seawall {
    Seawall::run_site(
        origin,
        "[site.cache]\nstale_while_revalidate = \"1h\"\nstale_if_error = \"1h\"",
    )
}

#[test]
fn while_one_fetch_brings_the_new_one_everybody_gets_the_old_one() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (new, gate) = ok("new").max_age(60).gate();
    origin.says_in_turn(
        "/a",
        vec![says("max-age=0, stale-while-revalidate=60"), new],
    );
    seawall.get("/a").is("MISS", "old");
    for _ in 0..20 {
        seawall.get("/a").is("STALE", "old");
    }
    origin.wait_for("/a", 2);
    assert_eq!(origin.last("/a").field("if-none-match"), Some("\"1\""));
    gate.open();
    eventually("the new one is here", || seawall.get("/a").text() == "new");
    assert_eq!(origin.requests("/a"), 2, "one fetch behind all of them");
}

#[test]
fn one_fetch_behind_is_enough_also_where_nothing_is_shared() {
    let origin = Origin::start();
    let seawall = Seawall::run_site(&origin, "[site.cache]\ncollapse = false");
    let (new, gate) = ok("new").max_age(60).gate();
    let old = says("max-age=0, stale-while-revalidate=60");
    origin.says_in_turn("/a", vec![old, new]);
    seawall.get("/a").is("MISS", "old");
    for _ in 0..20 {
        seawall.get("/a").is("STALE", "old");
    }
    gate.open();
    eventually("the new one is here", || seawall.get("/a").text() == "new");
    assert_eq!(origin.requests("/a"), 2);
}

#[test]
fn a_fetch_behind_one_variant_is_none_behind_another() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let page = |body: &str, age: &str| {
        let control = format!("max-age={age}, stale-while-revalidate=60");
        let page = ok(body).field("cache-control", &control).etag(body);
        page.field("vary", "x-shop")
    };
    let (north, gate) = page("new north", "60").gate();
    let olds = [page("north", "0"), page("south", "0")];
    let news = [north, page("new south", "60")];
    origin.says_in_turn("/a", olds.into_iter().chain(news).collect());
    let get = |shop: &str| seawall.get_with("/a", &[("x-shop", shop)]);
    get("north").is("MISS", "north");
    get("south").is("MISS", "south");
    get("north").is("STALE", "north");
    origin.wait_for("/a", 3);
    get("south").is("STALE", "south");
    eventually("the new one of the south is here", || {
        get("south").text() == "new south"
    });
    get("north").is("STALE", "north");
    assert_eq!(origin.requests("/a"), 4, "one behind each");
    gate.open();
    eventually("the new one of the north is here", || {
        get("north").text() == "new north"
    });
}

#[test]
fn what_the_origin_does_not_send_any_more_is_not_served_stale() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |section: &str, target: &str, answer: Answer| {
        let old = says("max-age=0, stale-while-revalidate=60");
        origin.says_in_turn(target, vec![old, answer]);
        seawall.get(target).is("MISS", "old");
        seawall.get(target).is("STALE", "old");
        eventually("the old one is gone", || {
            seawall.get(target).text() != "old"
        });
        assert_eq!(seawall.get(target).status, 404, "{section}");
    };
    let gone = || ok("gone").status(404);
    check("4.3.3", "/silent", gone());
    let denied = |control: &str| gone().field("cache-control", control);
    check("4.3.3", "/no-store", denied("no-store"));
    check("4.3.3", "/private", denied("private"));
    // A failure is none of its answers.
    let old = says("max-age=0, stale-while-revalidate=60");
    origin.says_in_turn("/fails", vec![old, ok("").status(503)]);
    seawall.get("/fails").is("MISS", "old");
    seawall.get("/fails").is("STALE", "old");
    origin.wait_for("/fails", 2);
    for _ in 0..20 {
        seawall.get("/fails").is("STALE", "old");
    }
}

#[test]
fn the_window_is_the_one_the_answer_says() {
    let origin = Origin::start();
    let seawall = lenient(&origin);
    let check = |section: &str, control: &str, expect: &str| {
        let target = format!("/{}", control.replace(", ", "-"));
        origin.says(&target, says(control).field("age", "10").if_match_304());
        seawall.get(&target);
        let found = seawall.get(&target);
        assert_eq!(found.x_cache(), expect, "{section}: {control}");
    };
    check("5861 3", "max-age=5, stale-while-revalidate=60", "STALE");
    check(
        "5861 3",
        "max-age=5, stale-while-revalidate=4",
        "REVALIDATED",
    );
    check(
        "5861 3",
        "max-age=5, stale-while-revalidate=0",
        "REVALIDATED",
    );
    // It says nothing: the site's window counts, unless the answer forbids what is stale.
    check("9111 4.2.4", "max-age=5", "STALE");
    check("9111 5.2.2.2", "max-age=5, must-revalidate", "REVALIDATED");
    check("9111 5.2.2.8", "max-age=5, proxy-revalidate", "REVALIDATED");
    check("9111 5.2.2.10", "s-maxage=5", "REVALIDATED");
    check("9111 5.2.2.4", "max-age=5, no-cache", "REVALIDATED");
    check("5861 3", "s-maxage=5, stale-while-revalidate=60", "STALE");
}

#[test]
fn an_origin_that_fails_is_stood_in_for_where_that_is_allowed() {
    let origin = Origin::start();
    let seawall = lenient(&origin);
    let failures = [
        ("500", ok("").status(500)),
        ("502", ok("").status(502)),
        ("503", ok("").status(503)),
        ("504", ok("").status(504)),
        ("closed", Answer::raw("")),
        ("broken", Answer::raw("nonsense")),
    ];
    let check = |section: &str, control: &str, served: bool| {
        for (name, failure) in &failures {
            let target = format!("/{}-{name}", control.replace(", ", "-"));
            // Zero: the window for what is stale while it is fetched again is not the one that is meant here.
            let control = format!("{control}, stale-while-revalidate=0");
            let old = says(&control).field("age", "10");
            origin.says_in_turn(&target, vec![old, failure.clone()]);
            seawall.get(&target);
            let found = seawall.get(&target);
            let stale = (found.status, found.x_cache()) == (200, "STALE");
            assert_eq!(
                stale, served,
                "{section}: {control}, {name}: {}",
                found.status
            );
        }
    };
    check("5861 4", "max-age=5, stale-if-error=60", true);
    check("5861 4", "max-age=5, stale-if-error=4", false);
    check("9111 4.2.4", "max-age=5", true);
    check("9111 5.2.2.2", "max-age=5, must-revalidate", false);
    check("9111 5.2.2.8", "max-age=5, proxy-revalidate", false);
    check("9111 5.2.2.4", "max-age=5, no-cache", false);
}

#[test]
fn an_origin_that_must_be_asked_and_is_not_there_is_a_504() {
    let check = |section: &str, control: &str, status: u16| {
        let origin = Origin::start();
        let seawall = lenient(&origin);
        let control = format!("{control}, stale-while-revalidate=0");
        origin.says("/a", says(&control).field("age", "10"));
        seawall.get("/a").is("MISS", "old");
        drop(origin);
        let found = seawall.get("/a").status;
        assert_eq!(found, status, "{section}: {control}");
    };
    check("9111 5.2.2.2", "max-age=5, must-revalidate", 504);
    check("9111 5.2.2.8", "max-age=5, proxy-revalidate", 504);
    check("9111 5.2.2.10", "s-maxage=5", 504);
    check("9111 5.2.2.4", "max-age=5, no-cache", 502);
}

#[test]
fn what_was_purged_is_never_served_stale() {
    let origin = Origin::start();
    let seawall = lenient(&origin);
    for mode in ["hard", "soft"] {
        let target = format!("/{mode}");
        origin.says_in_turn(&target, vec![says("max-age=5"), ok("").status(503)]);
        seawall.get(&target).is("MISS", "old");
        seawall.purge(json!({"urls": [seawall.url(&target)], "mode": mode}));
        assert_eq!(seawall.get(&target).status, 503, "{mode}");
    }
}

#[test]
fn a_failure_does_not_take_the_place_of_what_stands_in_for_it() {
    let origin = Origin::start();
    let seawall = lenient(&origin);
    let failure = ok("sorry").status(503).max_age(60).etag("2");
    let old = says("max-age=5, stale-while-revalidate=0").field("age", "10");
    origin.says_in_turn("/a", vec![old, failure]);
    seawall.get("/a").is("MISS", "old");
    for _ in 0..3 {
        seawall.get("/a").is("STALE", "old");
    }
    // Where nothing stands in, the failure says itself how long it is good for.
    origin.says("/b", ok("sorry").status(503).max_age(60));
    let found = [(); 2].map(|()| seawall.get("/b").x_cache().to_owned());
    assert_eq!(found, ["MISS", "HIT"]);
}

#[test]
fn what_one_client_got_and_nobody_called_fresh_is_no_other_clients() {
    let origin = Origin::start();
    let seawall = lenient(&origin);
    // Each gets a page of its own, as a cookie says that the cache does not look at.
    let page = |name: &str| ok(name).field("etag", &format!("W/\"{name}\""));
    origin.says_in_turn("/a", vec![page("alice"), page("bob"), ok("").status(503)]);
    let get = |name: &str| seawall.get_with("/a", &[("cookie", name)]);
    get("alice").is("MISS", "alice");
    get("bob").is("MISS", "bob");
    assert_eq!(get("carol").status, 503);
}
