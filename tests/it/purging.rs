//! One purge is enough: whatever was stored or under way when it came is not served afterwards.

use serde_json::{Value, json};

use crate::support::{Answer, Origin, Seawall, ok};

/// Two sites, one of them with two hosts, on one origin.
fn two_sites(origin: &Origin) -> Seawall {
    let url = origin.url();
    Seawall::run_config(&format!(
        r#"
        [[site]]
        name = "a"
        hosts = ["a.test", "aa.test"]
        origin = "{url}"

        [[site]]
        name = "b"
        hosts = ["b.test"]
        origin = "{url}"
        "#
    ))
}

#[test]
fn a_purge_takes_what_its_scope_covers_and_nothing_else() {
    let origin = Origin::start();
    let seawall = two_sites(&origin);
    let objects = [
        ("a.test", "/one", "red blue"),
        ("a.test", "/dir", ""),
        ("a.test", "/dir/two", "red"),
        ("a.test", "/dir/deep/three?q=1", ""),
        ("a.test", "/directory", ""),
        ("aa.test", "/dir/four", "green"),
        ("b.test", "/dir/five", "red-ish"),
        ("b.test", "/dir/six", "green"),
    ];
    for (_, target, tags) in objects {
        origin.says(
            target,
            ok(target).max_age(3600).field("surrogate-key", tags),
        );
    }
    let get = |(host, target, _)| {
        seawall
            .get_with(target, &[("host", host)])
            .x_cache()
            .to_owned()
    };
    let check = |scope: Value, covered: &[usize]| {
        let _ = objects.map(get);
        assert_eq!(objects.map(get), ["HIT"; 8], "before {scope}");
        let receipt = seawall.purge(scope.clone());
        let expect: Vec<_> = (0..8)
            .map(|i| if covered.contains(&i) { "MISS" } else { "HIT" })
            .collect();
        assert_eq!(
            objects.map(get).to_vec(),
            expect,
            "after {scope}: {receipt}"
        );
    };
    check(json!({"urls": ["http://a.test/one"]}), &[0]);
    check(
        json!({"urls": ["http://A.test:80/dir/deep/three?q=1", "b.test/dir/six"]}),
        &[3, 7],
    );
    check(json!({"urls": ["https://a.test/one"]}), &[]);
    check(json!({"urls": ["http://a.test/dir/deep/three"]}), &[]);
    check(json!({"tags": ["red"]}), &[0, 2]);
    check(json!({"tags": ["blue", "green"]}), &[0, 5, 7]);
    check(json!({"prefixes": ["http://a.test/dir"]}), &[1, 2, 3]);
    check(json!({"prefixes": ["http://a.test/dir/deep/"]}), &[3]);
    check(json!({"prefixes": ["http://b.test/"]}), &[6, 7]);
    check(json!({"hosts": ["a.test"]}), &[0, 1, 2, 3, 4]);
    check(json!({"sites": ["a"]}), &[0, 1, 2, 3, 4, 5]);
    check(
        json!({"sites": ["b"], "urls": ["http://a.test/one"]}),
        &[0, 6, 7],
    );
    check(json!({"all": true}), &[0, 1, 2, 3, 4, 5, 6, 7]);
}

#[test]
fn a_purge_takes_every_variant_and_both_schemes() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says(
        "/a",
        ok("body").max_age(3600).field("vary", "accept-language"),
    );
    let get = |language: &str| {
        let fields = [("host", "localhost"), ("accept-language", language)];
        let language = format!("accept-language: {language}");
        let curled = seawall.curl(
            "/a",
            &["--header", "Host: localhost", "--header", &language],
        );
        [seawall.get_with("/a", &fields), curled.response].map(|answer| answer.x_cache().to_owned())
    };
    for scope in [
        json!({"urls": ["//localhost/a"]}),
        json!({"hosts": ["localhost"]}),
    ] {
        for x_cache in ["MISS", "HIT"] {
            assert_eq!([get("en"), get("de")], [[x_cache; 2]; 2], "{scope}");
        }
        seawall.purge(scope);
    }
    assert_eq!(get("en"), ["MISS"; 2]);
    seawall.purge(json!({"urls": ["http://localhost/a"]}));
    assert_eq!(get("en"), ["MISS", "HIT"]);
}

#[test]
fn what_was_under_way_is_answered_and_not_kept() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |target: &str, scope: Value| {
        let (old, gate) = ok("old").max_age(3600).gate();
        origin.says_in_turn(target, vec![old, ok("new").max_age(3600)]);
        let waiting = seawall.get_later(target);
        origin.wait_for(target, 1);
        seawall.purge(scope);
        gate.open();
        let overtaken = waiting.join().unwrap();
        overtaken.is("MISS", "old");
        assert!(!overtaken.cache_status().contains("stored"));
        let new = seawall.get(target);
        new.is("MISS", "new");
        new.tells(200, "stored");
        seawall.get(target).is("HIT", "new");
    };
    check("/url", json!({"urls": [seawall.url("/url")]}));
    check("/dir/prefix", json!({"prefixes": [seawall.url("/dir")]}));
    check("/host", json!({"hosts": ["127.0.0.1"]}));
    check("/site", json!({"sites": ["default"]}));
    check("/all", json!({"all": true}));
}

#[test]
fn a_body_under_way_is_answered_and_not_kept() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let answer = |body: &str| ok(body).max_age(3600).field("cache-tag", "red");
    let (old, gate) = answer("old body").gate_body(3);
    origin.says_in_turn("/a", vec![old, answer("new body")]);
    let mut early = seawall.connect();
    early.send("GET", "/a", &[], b"");
    early.head().expect("a head");
    assert_eq!(early.take(3), b"old");
    seawall.purge(json!({"tags": ["red"]}));
    // Neither whole nor in part does a later request join it.
    let part = seawall.get_with("/a", &[("range", "bytes=0-2")]);
    let found = (part.status, part.x_cache(), part.text());
    assert_eq!(found, (206, "MISS", "new".to_owned()));
    seawall.get("/a").is("HIT", "new body");
    gate.open();
    assert_eq!(early.take(5), b" body");
    for _ in 0..20 {
        seawall.get("/a").is("HIT", "new body");
    }
}

#[test]
fn a_request_after_a_purge_does_not_join_an_older_fetch() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (old, gate) = ok("old").max_age(3600).gate();
    origin.says_in_turn("/a", vec![old, ok("new").max_age(3600)]);
    let before = seawall.get_later("/a");
    origin.wait_for("/a", 1);
    seawall.purge(json!({"urls": [seawall.url("/a")]}));
    // The older fetch is still held back: had this one joined it, it would wait for ever.
    seawall.get("/a").is("MISS", "new");
    assert_eq!(origin.requests("/a"), 2);
    // The newer fetch has ended first. The older one ends now, and changes nothing.
    gate.open();
    before.join().unwrap().is("MISS", "old");
    for _ in 0..20 {
        seawall.get("/a").is("HIT", "new");
    }
}

#[test]
fn a_tag_purged_before_the_head_is_here_counts() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let answer = |body: &str| ok(body).max_age(3600).field("surrogate-key", "red");
    let (old, gate) = answer("old").gate();
    origin.says_in_turn("/a", vec![old, answer("new")]);
    let before = seawall.get_later("/a");
    origin.wait_for("/a", 1);
    seawall.purge(json!({"tags": ["red"]}));
    seawall.get("/a").is("MISS", "new");
    gate.open();
    before.join().unwrap().is("MISS", "old");
    for _ in 0..20 {
        seawall.get("/a").is("HIT", "new");
    }
}

#[test]
fn a_purge_during_a_validation_is_not_undone_by_its_304() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let old = ok("old").max_age(0).etag("1");
    let (still, gate) = old.clone().if_match_304().gate();
    origin.says_in_turn("/a", vec![old, still, ok("new").max_age(3600).etag("2")]);
    seawall.get("/a").is("MISS", "old");
    let validating = seawall.get_later("/a");
    origin.wait_for("/a", 2);
    assert_eq!(origin.last("/a").field("if-none-match"), Some("\"1\""));
    seawall.purge(json!({"urls": [seawall.url("/a")]}));
    gate.open();
    validating.join().unwrap().is("MISS", "new");
    assert_eq!(
        origin.last("/a").field("if-none-match"),
        None,
        "what was purged is not asked about"
    );
    // The second fetch began after the purge, whoever asked for it: it is kept.
    seawall.get("/a").is("HIT", "new");
}

#[test]
fn what_a_304_calls_by_other_tags_is_still_purged_by_those_it_came_with() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let tagged = |answer: Answer, tag: &str| answer.field("surrogate-key", tag);
    let check = |target: &str, old: Answer, shop: &str| {
        let told = ok("").status(304).max_age(3600).etag("1");
        let told = told.field("vary", "x-shop");
        let (still, gate) = tagged(told, "blue").gate();
        let new = ok("new").max_age(3600).etag("2").field("vary", "x-shop");
        origin.says_in_turn(target, vec![tagged(old, "red"), still, new]);
        seawall.get_with(target, &[("x-shop", "north")]);
        let validating = seawall.get_later_with(target, &[("x-shop", shop)]);
        origin.wait_for(target, 2);
        assert_eq!(origin.last(target).field("if-none-match"), Some("\"1\""));
        seawall.purge(json!({"tags": ["red"]}));
        gate.open();
        validating.join().unwrap().is("MISS", "new");
        for _ in 0..20 {
            seawall
                .get_with(target, &[("x-shop", shop)])
                .is("HIT", "new");
        }
    };
    let old = || ok("old").etag("1").field("vary", "x-shop");
    check("/stale", old().max_age(0), "north");
    check("/another", old().max_age(3600), "south");
}

#[test]
fn a_part_goes_on_under_its_tags_when_the_rest_has_others() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let part = |range: &str, body: &str, tag: &str| {
        let part = ok(body).status(206).max_age(3600).etag("1");
        part.field("content-range", range)
            .field("surrogate-key", tag)
    };
    let first = || part("bytes 0-4/10", "01234", "red");
    let (rest, gate) = part("bytes 5-9/10", "56789", "blue").gate_body(2);
    let new = || ok("new").max_age(3600).etag("2");
    origin.says_in_turn("/a", vec![first(), rest, new()]);
    seawall.get_with("/a", &[("range", "bytes=0-4")]);
    let mut completing = seawall.connect();
    completing.send("GET", "/a", &[], b"");
    let begun = completing.head().map(|(status, _)| status);
    assert_eq!(begun, Some(200));
    seawall.purge(json!({"tags": ["red"]}));
    // Who comes now does not join it, and what it brings is not kept.
    seawall.get("/a").is("MISS", "new");
    gate.open();
    assert_eq!(completing.take(10), b"0123456789");
    for _ in 0..20 {
        seawall.get("/a").is("HIT", "new");
    }
    // It was whole before the purge came: that is the same.
    let rest = part("bytes 5-9/10", "56789", "blue");
    origin.says_in_turn("/b", vec![first(), rest, new()]);
    seawall.get_with("/b", &[("range", "bytes=0-4")]);
    seawall.get("/b").is("MISS", "0123456789");
    seawall.get("/b").is("HIT", "0123456789");
    seawall.purge(json!({"tags": ["red"]}));
    seawall.get("/b").is("MISS", "new");
}

/// As what a 304 calls good: what is stored goes out only while it is alive.
#[test]
fn the_rest_of_what_was_purged_meanwhile_completes_nothing() {
    for mode in ["hard", "soft"] {
        let origin = Origin::start();
        let seawall = Seawall::run(&origin);
        let part = |range: &str, body: &str| {
            let part = ok(body).status(206).max_age(3600).etag("1");
            part.field("content-range", range)
        };
        let (rest, gate) = part("bytes 5-9/10", "56789").gate();
        let new = ok("new").max_age(3600).etag("2");
        origin.says_in_turn("/a", vec![part("bytes 0-4/10", "01234"), rest, new]);
        seawall.get_with("/a", &[("range", "bytes=0-4")]);
        let completing = seawall.get_later("/a");
        origin.wait_for("/a", 2);
        seawall.purge(json!({"all": true, "mode": mode}));
        gate.open();
        completing.join().unwrap().is("MISS", "new");
        assert_eq!(origin.last("/a").field("range"), None, "{mode}");
    }
}

#[test]
fn after_a_soft_purge_it_is_validated() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("same").max_age(3600).etag("1").if_match_304());
    origin.says_in_turn(
        "/b",
        vec![
            ok("old").max_age(3600).etag("1"),
            ok("new").max_age(3600).etag("2"),
        ],
    );
    origin.says("/c", ok("no validator").max_age(3600));
    for (target, body) in [("/a", "same"), ("/b", "old"), ("/c", "no validator")] {
        seawall.get(target).is("MISS", body);
    }
    seawall.purge(json!({"all": true, "mode": "soft"}));
    seawall.get("/a").is("REVALIDATED", "same");
    seawall.get("/a").is("HIT", "same");
    seawall.get("/b").is("MISS", "new");
    seawall.get("/b").is("HIT", "new");
    seawall.get("/c").is("MISS", "no validator");
    for target in ["/a", "/b"] {
        assert_eq!(origin.last(target).field("if-none-match"), Some("\"1\""));
    }
    // Hard after soft is hard.
    seawall.purge(json!({"all": true, "mode": "soft"}));
    seawall.purge(json!({"all": true}));
    seawall.get("/a").is("MISS", "same");
    assert_eq!(origin.last("/a").field("if-none-match"), None);
}

#[test]
fn what_was_under_way_when_a_soft_purge_came_is_validated() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let answer = ok("body").max_age(3600).etag("1");
    let (first, gate) = answer.clone().gate();
    origin.says_in_turn("/a", vec![first, answer.if_match_304()]);
    let before = seawall.get_later("/a");
    origin.wait_for("/a", 1);
    seawall.purge(json!({"hosts": ["127.0.0.1"], "mode": "soft"}));
    gate.open();
    before.join().unwrap().is("MISS", "body");
    seawall.get("/a").is("REVALIDATED", "body");
    seawall.get("/a").is("HIT", "body");
}

#[test]
fn what_was_softly_purged_is_never_served_unvalidated() {
    let origin = Origin::start();
    let seawall = Seawall::run_site(
        &origin,
        "[site.cache]\nstale_if_error = \"1h\"\nstale_while_revalidate = \"1h\"",
    );
    origin.says("/a", ok("body").max_age(3600).etag("1"));
    seawall.get("/a").is("MISS", "body");
    seawall.purge(json!({"tags": ["other"], "mode": "soft"}));
    seawall.get("/a").is("HIT", "body");
    seawall.purge(json!({"sites": ["a"], "mode": "soft"}));
    drop(origin);
    seawall
        .get("/a")
        .fails(502, "origin refused the connection");
}
