//! Parts that ranges bring: kept, used again, joined, and completed by asking for the rest.

use serde_json::json;

use crate::support::{Answer, Origin, Seawall, eventually, ok};

const BODY: &str = "0123456789";

fn file(etag: &str) -> Answer {
    ok(BODY).max_age(60).etag(etag).ranged()
}

/// What a range gets: its X-Cache, and its bytes.
#[track_caller]
fn check(seawall: &Seawall, range: &str, x_cache: &str, body: &str) {
    let part = seawall.get_with("/a", &[("range", range)]);
    let found = (part.status, part.x_cache(), part.text(), part.complete);
    let expect = (206, x_cache, body.to_owned(), true);
    assert_eq!(found, expect, "{range}: {}", part.cache_status());
}

#[test]
fn a_part_is_kept_and_its_own_parts_come_from_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", file("1"));
    check(&seawall, "bytes=2-5", "MISS", "2345");
    check(&seawall, "bytes=2-5", "HIT", "2345");
    check(&seawall, "bytes=3-4", "HIT", "34");
    assert_eq!(origin.requests("/a"), 1);
    // Not all of it is here: that range is asked for, as it is.
    check(&seawall, "bytes=4-7", "MISS", "4567");
    assert_eq!(origin.last("/a").field("range"), Some("bytes=4-7"));
    let partial = seawall.get_with("/a", &[("range", "bytes=0-9")]);
    assert!(
        partial.cache_status().contains("fwd=partial"),
        "{}",
        partial.cache_status()
    );
    // The parts were joined; now there is nothing left to ask for.
    seawall.get("/a").is("HIT", BODY);
    assert_eq!(origin.requests("/a"), 3);
}

#[test]
fn a_part_is_completed_by_asking_only_for_the_rest() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", file("1"));
    check(&seawall, "bytes=2-5", "MISS", "2345");
    check(&seawall, "bytes=0-1", "MISS", "01");
    let whole = seawall.get("/a");
    whole.is("MISS", BODY);
    assert!(
        whole.cache_status().contains("fwd=partial"),
        "{}",
        whole.cache_status()
    );
    assert!(whole.cache_status().contains("fwd-status=206"));
    let asked = origin.last("/a");
    assert_eq!(
        (asked.field("range"), asked.field("if-range")),
        (Some("bytes=6-"), Some("\"1\""))
    );
    assert_eq!(whole.field("content-range"), None);
    seawall.get("/a").is("HIT", BODY);
    // What is missing in the middle is put between what is here.
    origin.says("/b", file("1"));
    let get = |range| seawall.get_with("/b", &[("range", range)]);
    assert_eq!(
        (get("bytes=0-2").text(), get("bytes=7-9").text()),
        ("012".into(), "789".into())
    );
    seawall.get("/b").is("MISS", BODY);
    assert_eq!(origin.last("/b").field("range"), Some("bytes=3-6"));
    seawall.get("/b").is("HIT", BODY);
}

#[test]
fn parts_of_different_versions_are_never_mixed() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let new = ok("abcdefghij").max_age(60).etag("2").ranged();
    origin.says_in_turn("/a", vec![file("1"), new]);
    check(&seawall, "bytes=0-4", "MISS", "01234");
    // If-Range names the old one, so the origin sends the new one whole.
    seawall.get("/a").is("MISS", "abcdefghij");
    seawall.get("/a").is("HIT", "abcdefghij");
    // Without a strong validator nothing says that two parts belong together.
    let weak = || ok(BODY).max_age(60).field("etag", "W/\"1\"").ranged();
    origin.says("/b", weak());
    let get = |range| {
        seawall
            .get_with("/b", &[("range", range)])
            .x_cache()
            .to_owned()
    };
    assert_eq!(
        (get("bytes=0-4"), get("bytes=5-9")),
        ("MISS".into(), "MISS".into())
    );
    assert_eq!(
        get("bytes=0-4"),
        "MISS",
        "the newest part has taken its place"
    );
    let before = origin.requests("/b");
    seawall.get("/b").is("MISS", BODY);
    assert_eq!(origin.last("/b").field("range"), None);
    assert_eq!(
        origin.requests("/b"),
        before + 2,
        "asked for the rest, then for the whole"
    );
}

#[test]
fn a_part_that_was_purged_is_no_part_of_anything() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", file("1"));
    check(&seawall, "bytes=0-4", "MISS", "01234");
    seawall.purge(json!({"urls": [seawall.url("/a")]}));
    check(&seawall, "bytes=0-4", "MISS", "01234");
    seawall.purge(json!({"urls": [seawall.url("/a")]}));
    check(&seawall, "bytes=5-9", "MISS", "56789");
    // The first five bytes are dead: only the second part may be used.
    seawall.get("/a").is("MISS", BODY);
    assert_eq!(origin.last("/a").field("range"), Some("bytes=0-4"));
}

#[test]
fn a_part_that_is_not_one_is_passed_on_and_forgotten() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let odd = |range: &str| {
        ok("01234")
            .status(206)
            .max_age(60)
            .field("content-range", range)
    };
    for range in ["bytes 0-5/10", "bytes 0-4/*", "bytes 5-9/5", "nonsense"] {
        origin.says("/a", odd(range));
        check(&seawall, "bytes=0-4", "MISS", "01234");
        check(&seawall, "bytes=0-4", "MISS", "01234");
    }
    // A client's own condition that fails says nothing to others.
    origin.says("/b", ok("").status(412).max_age(60));
    let get = |fields: &[(&str, &str)]| seawall.get_with("/b", fields).status;
    assert_eq!(get(&[("range", "bytes=0-4"), ("if-match", "\"x\"")]), 412);
    origin.says("/b", file("1"));
    seawall.get("/b").is("MISS", BODY);
}

#[test]
fn an_origin_that_ignores_ranges_is_not_drained_for_one() {
    const MIB: usize = 1024 * 1024;
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body = vec![b'x'; 40 * MIB];
    let (answer, gate) = ok(body).max_age(60).etag("1").gate_body(12 * MIB);
    origin.says("/a", answer);
    let part = seawall.get_with("/a", &[("range", "bytes=0-9")]);
    let found = (part.status, part.field("content-range"), part.body.len());
    assert_eq!(found, (206, Some("bytes 0-9/41943040"), 10));
    // The rest never comes; what came is a part all the same.
    eventually("the fetch is given up", || {
        seawall.get_with("/a", &[("range", "bytes=0-9")]).x_cache() == "HIT"
    });
    gate.open();
}

#[test]
fn many_clients_wait_for_one_rest() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (rest, gate) = ok("56789")
        .status(206)
        .max_age(60)
        .etag("1")
        .field("content-range", "bytes 5-9/10")
        .gate_body(0);
    origin.says_in_turn("/a", vec![file("1"), rest]);
    check(&seawall, "bytes=0-4", "MISS", "01234");
    let mut first = seawall.connect();
    first.send("GET", "/a", &[], b"");
    assert_eq!(first.head().expect("a head").0, 200);
    assert_eq!(first.take(5), b"01234", "what is here comes at once");
    let others: Vec<_> = (0..20).map(|_| seawall.get_later("/a")).collect();
    gate.open();
    assert_eq!(first.take(5), b"56789");
    others
        .into_iter()
        .for_each(|other| assert_eq!(other.join().unwrap().text(), BODY));
    assert_eq!(origin.requests("/a"), 2);
}

#[test]
fn an_origin_that_cannot_send_the_rest_is_asked_for_all_of_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let rest = ok("56789").status(206).max_age(60).etag("1");
    let cut = rest.field("content-range", "bytes 5-9/10").cut_body(2);
    origin.says_in_turn("/a", vec![file("1"), cut, file("1")]);
    check(&seawall, "bytes=0-4", "MISS", "01234");
    let broken = seawall.get("/a");
    assert_eq!(
        (broken.text().as_str(), broken.complete),
        ("0123456", false)
    );
    eventually("the part is gone", || seawall.get("/a").complete);
    seawall.get("/a").is("HIT", BODY);
    assert_eq!(origin.last("/a").field("range"), None);
}
