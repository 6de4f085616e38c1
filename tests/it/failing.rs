//! What a client reads where there is no answer from the origin, and what is kept of an answer that there is nothing.

use std::time::Duration;

use crate::support::{Answer, Origin, Seawall, ok};

#[test]
fn a_site_says_in_its_own_words_that_something_is_wrong() {
    let origin = Origin::start();
    let seawall = Seawall::run_site(
        &origin,
        r#"
        [site.error_page]
        body = """
        <h1>{status}: we will be back</h1>
        """
        "#,
    );
    origin.says("/broken", Answer::raw("nonsense"));
    origin.says("/theirs", ok("theirs").status(503));
    let check = |method: &str, target: &str, control: &[(&str, &str)]| {
        let found = seawall.request(method, target, control, b"");
        let page = found.text();
        let kind = found.field("content-type").unwrap_or("none").to_owned();
        let stored = found.field("cache-control").unwrap_or("none").to_owned();
        assert!(found.complete, "{method} {target}");
        (found.status, page.trim().to_owned(), kind, stored)
    };
    let page = |status: u16| {
        let body = format!("<h1>{status}: we will be back</h1>");
        let kind = "text/html; charset=utf-8".to_owned();
        (status, body, kind, "no-store".to_owned())
    };
    for _ in 0..2 {
        assert_eq!(check("GET", "/broken", &[]), page(502));
        assert_eq!(check("POST", "/broken", &[]), page(502));
    }
    assert_eq!(origin.requests("/broken"), 4, "it is never stored");
    assert_eq!(
        seawall.curl("/broken", &[]).response.text().trim(),
        page(502).1
    );
    assert_eq!(check("GET", "/theirs", &[]).1, "theirs");
    let asked_for = check("GET", "/new", &[("cache-control", "only-if-cached")]);
    assert_eq!((asked_for.0, asked_for.1.contains("back")), (504, false));
    drop(origin);
    assert_eq!(check("GET", "/away", &[]), page(502));
}

#[test]
fn what_is_not_there_is_kept_for_a_moment_where_a_site_asks_for_it() {
    let origin = Origin::start();
    let seawall = Seawall::run_site(
        &origin,
        "[[site.rule]]\npath = \"/for-a-moment/*\"\nnegative_ttl = \"10s\"",
    );
    let check = |target: &str, answer: Answer, expect: &str| {
        origin.says(target, answer);
        seawall.get(target);
        assert_eq!(seawall.get(target).x_cache(), expect, "{target}");
    };
    let absent = |status| ok("nothing here").status(status);
    check("/for-a-moment/404", absent(404), "HIT");
    check("/for-a-moment/410", absent(410), "HIT");
    check("/for-a-moment/403", absent(403), "MISS");
    check("/for-a-moment/500", absent(500), "MISS");
    check("/for-a-moment/200", ok("something"), "MISS");
    let private = absent(404).field("cache-control", "private");
    check("/for-a-moment/private", private, "MISS");
    check(
        "/for-a-moment/cookie",
        absent(404).field("set-cookie", "a=b"),
        "MISS",
    );
    check("/404", absent(404), "MISS");
}

#[test]
fn what_is_stored_stands_in_for_an_answer_that_only_drips() {
    let origin = Origin::start();
    let seawall = Seawall::run_config(&format!(
        "[[site]]\nname = \"a\"\nhosts = [\"*\"]\n[site.cache]\nstale_if_error = \"1h\"\n\
         [site.origin]\nfetch_timeout = \"1s\"\n[[site.origin.server]]\nurl = \"{}\"\n",
        origin.url()
    ));
    let old = ok("old").max_age(5).field("age", "10");
    let drips = Answer::raw("HTTP/1.1 200 OK\r\nx-long: ".to_owned() + &"a".repeat(1000));
    let drips = drips.drips(Duration::from_millis(50));
    origin.says_in_turn("/a", vec![old, drips]);
    seawall.get("/a").is("MISS", "old");
    let stale = seawall.get("/a");
    stale.is("STALE", "old");
    assert!(
        stale.cache_status().contains("fwd=stale"),
        "{}",
        stale.cache_status()
    );
}
