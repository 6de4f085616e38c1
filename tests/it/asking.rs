//! What a client asks of a cache by Cache-Control: ignored, unless its site honours it; but never only-if-cached.

use crate::support::{Origin, Seawall, ok};

/// What the second of two requests gets, the one that says `control`. The answer is 10 seconds old when it comes.
fn second(origin: &Origin, seawall: &Seawall, lifetime: u64, control: &str) -> String {
    let target = format!("/{lifetime}-{control}");
    let answer = ok("a").max_age(lifetime).etag("1").field("age", "10");
    origin.says(&target, answer.if_match_304());
    seawall.get(&target);
    let found = seawall.get_with(&target, &[("cache-control", control)]);
    found.x_cache().to_owned()
}

#[test]
fn a_stranger_does_not_drive_the_origin() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |section: &str, lifetime: u64, control: &str, expect: &str| {
        let found = second(&origin, &seawall, lifetime, control);
        assert_eq!(found, expect, "{section}: {control}");
    };
    check("9111 5.2.1", 60, "no-cache", "HIT");
    check("9111 5.2.1", 60, "max-age=0", "HIT");
    check("9111 5.2.1", 60, "min-fresh=3600", "HIT");
    check("9111 5.2.1", 60, "no-store", "HIT");
    check("9111 5.2.1", 5, "max-stale", "REVALIDATED");
    assert_eq!(origin.requests("/60-no-store"), 1);
}

#[test]
fn a_site_may_honour_what_its_clients_ask() {
    let origin = Origin::start();
    let seawall = Seawall::run_site(&origin, "[site.cache]\nclient_directives = \"honour\"");
    let check = |section: &str, lifetime: u64, control: &str, expect: &str| {
        let found = second(&origin, &seawall, lifetime, control);
        assert_eq!(found, expect, "{section}: {control}");
    };
    check("9111 5.2.1.1", 60, "max-age=5", "REVALIDATED");
    check("9111 5.2.1.1", 3600, "max-age=600", "HIT");
    check("9111 5.2.1.2", 5, "max-stale=3600", "STALE");
    check("9111 5.2.1.2", 5, "max-stale=4", "REVALIDATED");
    check("9111 5.2.1.3", 60, "min-fresh=3600", "REVALIDATED");
    check("9111 5.2.1.3", 3600, "min-fresh=600", "HIT");
    check("9111 5.2.1.4", 60, "no-cache", "REVALIDATED");
    // What was stored before may be used; what comes now is not stored.
    check("9111 5.2.1.5", 60, "no-store", "HIT");
    origin.says("/secret", ok("a").max_age(60));
    let asked = [("cache-control", "no-store")];
    seawall.get_with("/secret", &asked).is("MISS", "a");
    seawall.get("/secret").is("MISS", "a");
}

#[test]
fn who_wants_only_what_is_stored_never_wakes_the_origin() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let asked = [("cache-control", "only-if-cached")];
    let check = |section: &str, target: &str, lifetime: u64, status: u16| {
        origin.says(target, ok("a").max_age(lifetime).etag("1"));
        seawall.get(target);
        let found = seawall.get_with(target, &asked);
        assert_eq!(found.status, status, "{section}: {target}");
        assert_eq!(origin.requests(target), 1, "{section}: {target}");
    };
    check("9111 5.2.1.7", "/fresh", 60, 200);
    check("9111 5.2.1.7", "/stale", 0, 504);
    assert_eq!(seawall.get_with("/unknown", &asked).status, 504);
    assert_eq!(origin.requests("/unknown"), 0);
    // Where nothing is ever stored there is nothing either.
    let off = Seawall::run_site(&origin, "[[site.rule]]\npath = \"/off\"\ncache = \"off\"");
    assert_eq!(off.get_with("/off", &asked).status, 504);
    assert_eq!(origin.requests("/off"), 0);
}

#[test]
fn who_wants_it_new_does_not_join_what_came_before() {
    let origin = Origin::start();
    let seawall = Seawall::run_site(&origin, "[site.cache]\nclient_directives = \"honour\"");
    let (old, gate) = ok("old").max_age(60).field("age", "10").gate_body(1);
    origin.says_in_turn("/a", vec![old, ok("new").max_age(60)]);
    let mut first = seawall.connect();
    first.send("GET", "/a", &[], b"");
    first.head();
    let later = seawall.get_with("/a", &[("cache-control", "max-age=5")]);
    later.is("MISS", "new");
    gate.open();
}
