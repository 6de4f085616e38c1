//! An origin that is away, slow, or wrong: clients are told plainly, nothing of it is kept, nobody else notices.

use crate::support::{Answer, Origin, Seawall, eventually, ok};

#[test]
fn an_origin_that_is_away_is_a_502_and_back_again_it_serves() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("stored").max_age(3600));
    seawall.get("/a").is("MISS", "stored");
    drop(origin);
    let refused = seawall.get("/b");
    refused.fails(502, "origin refused the connection");
    refused.tells(502, "edge-1; fwd=uri-miss");
    assert_eq!(refused.field("cache-control"), Some("no-store"));
    let refused = seawall.request("POST", "/b", &[], b"a=b");
    refused.fails(502, "origin refused the connection");
    refused.tells(502, "edge-1; fwd=method");
    seawall.get("/a").is("HIT", "stored");
}

/// The site `bad` on `bad.test`, the site `good` on `good.test`.
fn two_sites(bad: &Origin, good: &Origin) -> Seawall {
    let sites = [("bad", bad), ("good", good)].map(|(name, origin)| {
        format!(
            "[[site]]\nname = \"{name}\"\nhosts = [\"{name}.test\"]\norigin = \"{}\"\n",
            origin.url()
        )
    });
    Seawall::run_config(&sites.concat())
}

#[test]
fn an_origin_that_does_not_answer_is_a_504_and_other_sites_are_served_meanwhile() {
    const BAD: [(&str, &str); 1] = [("host", "bad.test")];
    const GOOD: [(&str, &str); 1] = [("host", "good.test")];
    let (bad, good) = (Origin::start(), Origin::start());
    let seawall = two_sites(&bad, &good);
    bad.says("/a", Answer::never());
    bad.says("/form", Answer::never());
    let (stalls, _gate) = ok("hello world").max_age(3600).gate_body(5);
    bad.says("/stalls", stalls);
    good.says("/a", ok("good").max_age(3600));
    good.says("/b", ok("good").field("cache-control", "no-store"));

    let waiting: Vec<_> = (0..20)
        .map(|_| seawall.get_later_with("/a", &BAD))
        .collect();
    let mut posted = seawall.connect();
    posted.send("POST", "/form", &BAD, b"a=b");
    let stalled = seawall.get_later_with("/stalls", &BAD);
    for target in ["/a", "/form", "/stalls"] {
        bad.wait_for(target, 1);
    }
    for x_cache in ["MISS", "HIT"] {
        seawall.get_with("/a", &GOOD).is(x_cache, "good");
        seawall.get_with("/b", &GOOD).is("MISS", "good");
    }
    for client in waiting {
        client
            .join()
            .unwrap()
            .fails(504, "origin did not answer in time");
    }
    posted
        .answer("POST")
        .fails(504, "origin did not answer in time");
    let stalled = stalled.join().unwrap();
    assert_eq!(
        (stalled.status, stalled.complete, stalled.text()),
        (200, false, "hello".to_owned())
    );
    assert_eq!(
        (bad.requests("/a"), bad.requests("/form")),
        (1, 1),
        "nothing slow is asked for twice"
    );
    for target in ["/a", "/stalls"] {
        bad.says(target, ok("awake").max_age(3600));
        seawall.get_with(target, &BAD).is("MISS", "awake");
    }
}

#[test]
fn a_cut_body_looks_cut_and_is_not_kept() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body: String = ('a'..='z').cycle().take(100_000).collect();
    let check = |target: &str, answer: Answer| {
        origin.says_in_turn(
            target,
            vec![answer.cut_body(60_000), ok(body.as_str()).max_age(3600)],
        );
        let cut = seawall.get(target);
        assert_eq!(
            (cut.status, cut.complete),
            (200, false),
            "{target}: {} bytes",
            cut.body.len()
        );
        assert!(
            body.as_bytes().starts_with(&cut.body),
            "{target}: what came is true"
        );
        seawall.get(target).is("MISS", &body);
        seawall.get(target).is("HIT", &body);
        assert_eq!(origin.requests(target), 2);
    };
    check("/length", ok(body.as_str()).max_age(3600));
    check("/chunked", ok(body.as_str()).max_age(3600).chunked());
    check(
        "/private",
        ok(body.as_str()).field("cache-control", "private"),
    );
    check(
        "/private-chunked",
        ok(body.as_str())
            .field("cache-control", "private")
            .chunked(),
    );
}

#[test]
fn a_cut_body_looks_cut_over_http_2_and_to_all_who_read_along() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body: String = ('a'..='z').cycle().take(100_000).collect();
    let check = |target: &str, answer: Answer| {
        let (answer, gate) = answer.cut_body(60_000).gate_body(1000);
        origin.says_in_turn(target, vec![answer, ok(body.as_str()).max_age(3600)]);
        let before = seawall.metric("seawall_collapsed_total");
        let readers: Vec<_> = (0..3).map(|_| seawall.get_later(target)).collect();
        eventually("two read along with the third", || {
            seawall.metric("seawall_collapsed_total") - before == 2.0
        });
        gate.open();
        for reader in readers {
            assert!(!reader.join().unwrap().complete, "{target}");
        }
    };
    check("/length", ok(body.as_str()).max_age(3600));
    check("/chunked", ok(body.as_str()).max_age(3600).chunked());
    for (target, answer) in [
        ("/h2", ok(body.as_str())),
        ("/h2-chunked", ok(body.as_str()).chunked()),
    ] {
        let whole = ok(body.as_str()).max_age(3600);
        origin.says_in_turn(target, vec![answer.max_age(3600).cut_body(60_000), whole]);
        let cut = seawall.curl(target, &[]);
        assert_ne!(
            cut.exit,
            0,
            "{target}: curl took {} bytes for the whole",
            cut.response.body.len()
        );
        let whole = seawall.curl(target, &[]);
        assert_eq!((whole.exit, whole.version.as_str()), (0, "2"));
        whole.response.is("MISS", &body);
    }
}

#[test]
fn an_answer_that_is_not_http_is_a_502_and_is_not_kept() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let fresh = "cache-control: max-age=3600";
    // It closes: on a connection that was used before, the first of these would be tried again.
    let good =
        format!("HTTP/1.1 200 OK\r\n{fresh}\r\nconnection: close\r\ncontent-length: 4\r\n\r\ngood");
    let check = |target: &str, wrong: String| {
        origin.says_in_turn(target, vec![Answer::raw(wrong), Answer::raw(good.as_str())]);
        let answer = seawall.get(target);
        answer.fails(502, "origin ");
        assert_eq!(
            (answer.x_cache(), answer.complete),
            ("MISS", true),
            "{target}"
        );
        seawall.get(target).is("MISS", "good");
        assert_eq!(
            origin.requests(target),
            2,
            "{target}: a fresh connection is not tried again"
        );
    };
    check("/garbage", "I am not a web server\r\n\r\n".into());
    check("/nothing", String::new());
    check("/half", format!("HTTP/1.1 200 OK\r\n{fresh}\r\ncontent-le"));
    check(
        "/lengths",
        format!(
            "HTTP/1.1 200 OK\r\n{fresh}\r\ncontent-length: 3\r\ncontent-length: 5\r\n\r\nabcde"
        ),
    );
    check(
        "/sign",
        format!("HTTP/1.1 200 OK\r\n{fresh}\r\ncontent-length: +3\r\n\r\nabc"),
    );
    check(
        "/coding",
        format!("HTTP/1.1 200 OK\r\n{fresh}\r\ntransfer-encoding: gzip\r\n\r\nabc"),
    );
    let long = "a".repeat(66 * 1024);
    check(
        "/head",
        format!("HTTP/1.1 200 OK\r\n{fresh}\r\nx-long: {long}\r\ncontent-length: 1\r\n\r\na"),
    );
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let end = format!("HTTP/1.1 200 OK\r\n{fresh}\r\ncontent-length: 5\r\n\r\nhello");
    check("/hints", hint.repeat(17) + &end);
    check(
        "/switched",
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: tea\r\nconnection: upgrade\r\n\r\ntea".into(),
    );
    origin.says("/few-hints", Answer::raw(hint.repeat(16) + &end));
    seawall.get("/few-hints").is("MISS", "hello");
    seawall.get("/few-hints").is("HIT", "hello");
}

#[test]
fn a_304_that_nobody_asked_for_is_a_502() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says_in_turn(
        "/a",
        vec![ok("").status(304).max_age(3600), ok("good").max_age(3600)],
    );
    // The client's own condition was not passed on, so this cannot be its answer.
    seawall
        .get_with("/a", &[("if-none-match", "\"1\"")])
        .fails(502, "origin answer is broken");
    seawall.get("/a").is("MISS", "good");
}

#[test]
fn a_get_is_tried_again_on_a_connection_that_had_ended_and_a_post_never() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let no_store = |body: &str| ok(body).field("cache-control", "no-store");
    origin.says("/warm", no_store("warm"));
    // What came of it, and how often the origin was asked.
    let ask = |method: &str, number: usize| {
        let target = format!("/{method}-{number}");
        origin.says_in_turn(&target, vec![Answer::raw(""), no_store("again")]);
        seawall
            .request(method, "/warm", &[], b"")
            .is(if method == "GET" { "MISS" } else { "BYPASS" }, "warm");
        let status = seawall.request(method, &target, &[], b"").status;
        (status, origin.requests(&target))
    };
    // The connection of the warm request need not be back in the pool yet. On a fresh one nothing is tried again.
    let mut found: Vec<_> = (0..30).map(|number| ask("GET", number)).collect();
    found.sort_unstable();
    found.dedup();
    assert!(found.contains(&(200, 2)), "{found:?}");
    assert!(
        found.iter().all(|one| [(200, 2), (502, 1)].contains(one)),
        "{found:?}"
    );
    for number in 0..10 {
        assert_eq!(ask("POST", number), (502, 1));
    }
}

#[test]
fn a_stale_answer_stands_in_for_a_failing_origin_and_never_after_a_purge() {
    let origin = Origin::start();
    let seawall = Seawall::run_site(
        &origin,
        "[[site.rule]]\npath = \"/covered/*\"\nstale_if_error = \"1h\"",
    );
    let targets = [
        "/covered/status",
        "/covered/garbage",
        "/covered/must",
        "/bare",
    ];
    let failing = [
        ok("down").status(503),
        Answer::raw("down"),
        ok("down").status(503),
        ok("down").status(503),
    ];
    for (target, failing) in targets.into_iter().zip(failing) {
        let control = if target == "/covered/must" {
            "max-age=5, must-revalidate"
        } else {
            "max-age=5"
        };
        // It was fresh once, and is not any more.
        let good = ok("good").field("cache-control", control);
        let good = good.field("age", "5").etag("1");
        origin.says_in_turn(target, vec![good, failing]);
        seawall.get(target).is("MISS", "good");
    }
    let stale = seawall.get("/covered/status");
    stale.is("STALE", "good");
    assert!(
        stale
            .cache_status()
            .starts_with("edge-1; fwd=stale; fwd-status=503; ttl="),
        "{}",
        stale.cache_status()
    );
    seawall.get("/covered/garbage").is("STALE", "good");
    assert_eq!(seawall.get("/covered/must").status, 503);
    assert_eq!(seawall.get("/bare").status, 503);
    seawall.purge(serde_json::json!({"urls": [seawall.url("/covered/status")]}));
    let purged = seawall.get("/covered/status");
    assert_eq!((purged.status, purged.text()), (503, "down".to_owned()));
    seawall.get("/covered/garbage").is("STALE", "good");
    drop(origin);
    seawall.get("/covered/garbage").is("STALE", "good");
    seawall
        .get("/covered/status")
        .fails(502, "origin refused the connection");
    eventually("failures are counted", || {
        seawall.metrics().contains("code_class=\"5xx\"")
    });
}
