//! An answer to POST that says what is there now serves the GETs after it (RFC 9110 §9.3.3).

use serde_json::json;

use crate::support::{Answer, Folder, Origin, Seawall, eventually, ok};

/// What `target` is from now on.
fn now(target: &str, body: impl Into<Vec<u8>>) -> Answer {
    ok(body).max_age(60).field("content-location", target)
}

fn post(seawall: &Seawall, target: &str, body: &str) {
    seawall
        .request("POST", target, &[], b"a=b")
        .is("BYPASS", body);
}

#[test]
fn what_a_post_brought_serves_the_gets_after_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let made = "Sun, 06 Nov 1994 08:49:37 GMT";
    let fresh = now("/a", "new")
        .field("cache-control", "s-maxage=4000000000")
        .field("date", made);
    origin.says_in_turn("/a", vec![ok("old").max_age(60), fresh]);
    seawall.get("/a").is("MISS", "old");
    let posted = seawall.request("POST", "/a", &[], b"a=b");
    posted.is("BYPASS", "new");
    let told = posted.cache_status();
    assert!(
        told.starts_with("edge-1; fwd=method; fwd-status=200; stored; ttl="),
        "{told}"
    );
    let got = seawall.get("/a");
    got.is("HIT", "new");
    assert_eq!(got.field("content-location"), Some("/a"));
    assert_eq!(got.field("date"), Some(made));
    assert!(got.field("age").is_some());
    let head = seawall.request("HEAD", "/a", &[], b"");
    assert_eq!((head.status, head.x_cache()), (200, "HIT"));
    // What is stored never answers a POST.
    post(&seawall, "/a", "new");
    assert_eq!(origin.requests("/a"), 3);
}

#[test]
fn however_the_body_comes_it_is_kept_whole() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let large: String = "0123456789".repeat(300_000);
    origin.says("/large", now("/large", large.clone()));
    origin.says("/chunks", now("/chunks", large.clone()).chunked());
    origin.says("/empty", now("/empty", ""));
    origin.says("/nothing", now("/nothing", "").chunked());
    let whole = [("/large", &large[..]), ("/chunks", &large)];
    for (target, body) in whole.into_iter().chain([("/empty", ""), ("/nothing", "")]) {
        post(&seawall, target, body);
        seawall.get(target).is("HIT", body);
    }
    let (slow, gate) = now("/slow", "one two").gate_body(3);
    origin.says("/slow", slow);
    let mut client = seawall.connect();
    client.send("POST", "/slow", &[], b"a=b");
    assert_eq!(client.head().expect("a head").0, 200);
    // Its client waits for nothing but the origin, and nobody is served what is not whole.
    assert_eq!(client.take(3), b"one");
    gate.open();
    assert_eq!(client.take(4), b" two");
    seawall.get("/slow").is("HIT", "one two");
    origin.says("/2", now("/2", "over HTTP/2"));
    let curled = seawall.curl("/2", &["--data", "a=b"]);
    assert_eq!((curled.exit, curled.version.as_str()), (0, "2"));
    seawall.curl("/2", &[]).response.is("HIT", "over HTTP/2");
}

#[test]
fn what_does_not_say_what_is_there_now_only_passes_through() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |target: &str, method: &str, answer: Answer| {
        origin.says_in_turn(target, vec![answer, ok("got")]);
        let passed = seawall.request(method, target, &[], b"a=b");
        assert!(
            !passed.cache_status().contains("stored"),
            "{target}: {}",
            passed.cache_status()
        );
        seawall.get(target).is("MISS", "got");
    };
    check("/nowhere", "POST", ok("done").max_age(60));
    check("/elsewhere", "POST", now("/other", "done"));
    let twice = now("/twice", "done").field("content-location", "/twice");
    check("/twice", "POST", twice);
    let silent = ok("done").field("content-location", "/silent").etag("1");
    check("/silent", "POST", silent);
    check("/made", "POST", now("/made", "done").status(201));
    check("/failed", "POST", now("/failed", "done").status(500));
    let private = now("/private", "done").field("cache-control", "private");
    check("/private", "POST", private);
    let cookie = now("/cookie", "done").field("set-cookie", "a=b");
    check("/cookie", "POST", cookie);
    check("/put", "PUT", now("/put", "done"));
    assert_eq!(seawall.get("/other").status, 404);
}

#[test]
fn a_variant_is_for_those_who_ask_as_the_post_did() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let english = now("/a", "hello").field("vary", "accept-language");
    origin.says_in_turn("/a", vec![english, ok("hallo")]);
    let (en, de) = (("accept-language", "en"), ("accept-language", "de"));
    seawall
        .request("POST", "/a", &[en], b"a=b")
        .is("BYPASS", "hello");
    seawall.get_with("/a", &[en]).is("HIT", "hello");
    seawall.get_with("/a", &[de]).is("MISS", "hallo");
}

#[test]
fn what_was_cut_or_is_too_large_is_not_kept() {
    let origin = Origin::start();
    let args = ["--origin", &origin.url(), "--cache-bytes", "4MiB"];
    let seawall = Seawall::run_with(&args, &Folder::new());
    let body = "x".repeat(3 << 20);
    let tagged = |target| now(target, body.clone()).etag("1");
    origin.says_in_turn("/long", vec![tagged("/long"), ok("got")]);
    origin.says_in_turn("/endless", vec![tagged("/endless").chunked(), ok("got")]);
    for target in ["/long", "/endless"] {
        post(&seawall, target, &body);
        seawall.get(target).is("MISS", "got");
    }
    let cut = |target| now(target, "0123456789").etag("1").cut_body(5);
    origin.says_in_turn("/cut", vec![cut("/cut"), ok("got")]);
    origin.says_in_turn("/torn", vec![cut("/torn").chunked(), ok("got")]);
    for target in ["/cut", "/torn"] {
        assert!(!seawall.request("POST", target, &[], b"a=b").complete);
        seawall.get(target).is("MISS", "got");
    }
    // A client that leaves takes its answer with it.
    let (slow, gate) = now("/left", "0123456789").gate_body(5);
    origin.says_in_turn("/left", vec![slow, ok("got")]);
    let mut client = seawall.connect();
    client.send("POST", "/left", &[], b"a=b");
    client.head().expect("a head");
    drop(client);
    eventually("the edge has noticed", || {
        seawall.metric("seawall_requests_total") == 9.0
    });
    gate.open();
    seawall.get("/left").is("MISS", "got");
}

#[test]
fn whatever_comes_after_it_takes_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |target: &str, after: &dyn Fn()| {
        origin.says_in_turn(target, vec![now(target, "posted"), ok("after")]);
        post(&seawall, target, "posted");
        seawall.get(target).is("HIT", "posted");
        after();
        seawall.get(target).is("MISS", "after");
    };
    check("/purged", &|| {
        seawall.purge(json!({"urls": [seawall.url("/purged")]}));
    });
    check("/put", &|| {
        seawall.request("PUT", "/put", &[], b"a=b");
    });
    check("/posted", &|| post(&seawall, "/posted", "after"));
    let tagged = now("/tagged", "posted").field("surrogate-key", "news");
    origin.says_in_turn("/tagged", vec![tagged, ok("after")]);
    post(&seawall, "/tagged", "posted");
    seawall.get("/tagged").is("HIT", "posted");
    seawall.purge(json!({"tags": ["news"]}));
    seawall.get("/tagged").is("MISS", "after");
}

#[test]
fn whatever_comes_while_it_is_under_way_takes_it_too() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let purge = |target: &str| {
        seawall.purge(json!({"urls": [seawall.url(target)]}));
    };
    let put = |target: &str| {
        seawall
            .request("PUT", target, &[], b"a=b")
            .is("BYPASS", "put");
    };
    let check = |target: &str, meanwhile: &dyn Fn(&str)| {
        let (posted, gate) = now(target, "posted").gate();
        origin.says_in_turn(target, vec![posted, ok("put")]);
        let mut client = seawall.connect();
        client.send("POST", target, &[], b"a=b");
        origin.wait_for(target, 1);
        meanwhile(target);
        gate.open();
        client.answer("POST").is("BYPASS", "posted");
        seawall.get(target).is("MISS", "put");
    };
    check("/purged-before-its-head", &purge);
    check("/put-before-its-head", &put);
    let check = |target: &str, meanwhile: &dyn Fn(&str)| {
        let (posted, gate) = now(target, "posted").gate_body(3);
        origin.says_in_turn(target, vec![posted, ok("put")]);
        let mut client = seawall.connect();
        client.send("POST", target, &[], b"a=b");
        client.head().expect("a head");
        meanwhile(target);
        gate.open();
        assert_eq!(client.take(6), b"posted");
        seawall.get(target).is("MISS", "put");
    };
    check("/purged-before-its-end", &purge);
    check("/put-before-its-end", &put);
}

#[test]
fn a_get_under_way_does_not_take_its_place() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (old, gate) = ok("old").max_age(60).gate();
    origin.says_in_turn("/a", vec![old, now("/a", "new")]);
    let before = seawall.get_later("/a");
    origin.wait_for("/a", 1);
    post(&seawall, "/a", "new");
    gate.open();
    before.join().unwrap().is("MISS", "old");
    seawall.get("/a").is("HIT", "new");
}
