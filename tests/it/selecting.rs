//! Which stored answer a request gets, and what must not become another's.

use crate::support::{Origin, Seawall, ok};

#[test]
fn a_client_that_refuses_a_coding_does_not_get_it_by_a_304() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let page = ok("(gzip)").max_age(60).field("vary", "accept-encoding");
    let gzip = page.field("content-encoding", "gzip");
    let asked = |name: &str, tag: &str, coding: &str| {
        let target = format!("/{name}");
        let coded = gzip.clone().field("etag", tag).if_match_304();
        let plain = ok("plain").max_age(60).field("vary", "accept-encoding");
        origin.says_in_turn(&target, vec![coded, plain.if_match_304()]);
        seawall.get_with(&target, &[("accept-encoding", "gzip")]);
        seawall.get_with(&target, &[("accept-encoding", coding)]);
        let asked = origin.last(&target);
        asked.field("if-none-match").map(str::to_owned)
    };
    assert_eq!(asked("refused", "\"1\"", "gzip;q=0"), None);
    assert_eq!(asked("unknown", "\"1\"", "br"), None);
    assert_eq!(asked("weak", "W/\"1\"", "br, gzip"), None);
    let strong = asked("strong", "\"1\"", "br, gzip");
    assert_eq!(strong.as_deref(), Some("\"1\""));
}

#[test]
fn an_answer_to_if_range_says_too_little_to_be_kept() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let whole = ok("0123456789").max_age(60).etag("1");
    let bare = ok("56789")
        .status(206)
        .max_age(60)
        .etag("1")
        .field("content-range", "bytes 5-9/10");
    let typed = whole.field("content-type", "text/x");
    origin.says_in_turn("/a", vec![bare, typed]);
    let resumed = [("range", "bytes=5-"), ("if-range", "\"1\"")];
    let part = seawall.get_with("/a", &resumed);
    assert_eq!((part.status, part.text().as_str()), (206, "56789"));
    let found = seawall.get("/a");
    found.is("MISS", "0123456789");
    assert_eq!(found.field("content-type"), Some("text/x"));
    assert_eq!(origin.last("/a").field("range"), None);
}

#[test]
fn a_head_ends_what_it_does_not_speak_of() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |section: &str, target: &str, first: crate::support::Answer| {
        let page = ok("page").max_age(60).etag("1");
        let head = page.clone().field("vary", "x-a");
        origin.says_in_turn(target, vec![first, head, page]);
        seawall.get(target);
        seawall.request("HEAD", target, &[], b"");
        let found = seawall.get_with(target, &[("x-a", "2")]);
        let expect = (200, "MISS", "page".to_owned());
        let found = (found.status, found.x_cache(), found.text());
        assert_eq!(found, expect, "{section}: {target}");
    };
    let page = ok("page").etag("1");
    let error = page.clone().status(404).max_age(0);
    check("4.3.5", "/error", error.field("content-length", "4"));
    check("4.1", "/vary", page.max_age(0));
}

#[test]
fn what_depends_on_who_asks_is_nobody_elses() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    for vary in ["x-forwarded-for", "x-a, X-Forwarded-For", "a b"] {
        let target = format!("/{}", vary.replace(", ", "-").replace(' ', "_"));
        origin.says(&target, ok("a").max_age(60).field("vary", vary));
        seawall.get(&target).is("MISS", "a");
        seawall.get(&target).is("MISS", "a");
    }
}

#[test]
fn a_field_for_one_client_reaches_that_client_and_no_other() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let page = ok("a").etag("1");
    let control = "max-age=60, private=\"x-own\"";
    let again = page.clone().field("cache-control", control);
    let again = again.field("x-own", "mine").if_match_304();
    origin.says_in_turn("/a", vec![page.max_age(0), again]);
    seawall.get("/a");
    let mine = seawall.get("/a");
    mine.is("REVALIDATED", "a");
    assert_eq!(mine.field("x-own"), Some("mine"));
    let other = seawall.get("/a");
    other.is("HIT", "a");
    assert_eq!(other.field("x-own"), None);
}

#[test]
fn of_an_error_no_304_is_asked_for() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let gone = ok("gone").status(404).etag("1").max_age(0);
    let back = ok("back").etag("1").max_age(60).if_match_304();
    origin.says_in_turn("/a", vec![gone, back]);
    seawall.get("/a");
    let found = seawall.get("/a");
    assert_eq!((found.status, found.text().as_str()), (200, "back"));
}
