//! Pools of servers: who is asked, who is left out and comes back, what is tried again and what never is.

use std::process::Output;

use crate::support::{Answer, Folder, Origin, Seawall, eventually, ok};

mod fleet;
mod trust;

/// The site `a` on every host, with this pool.
fn pool(servers: &[(&Origin, &str)], more: &str) -> Seawall {
    let server = |(origin, words): &(&Origin, &str)| {
        format!(
            "[[site.origin.server]]\nurl = \"{}\"\n{words}\n",
            origin.url()
        )
    };
    let servers: String = servers.iter().map(server).collect();
    Seawall::run_config(&format!(
        "[[site]]\nname = \"a\"\nhosts = [\"*\"]\n{more}\n{servers}"
    ))
}

/// Says the same to `/0`, `/1` and so on.
fn says(origin: &Origin, count: usize, answer: &Answer) {
    (0..count).for_each(|n| origin.says(&format!("/{n}"), answer.clone()));
}

fn asked(origin: &Origin, count: usize) -> usize {
    (0..count).map(|n| origin.requests(&format!("/{n}"))).sum()
}

#[test]
fn the_standby_is_asked_when_the_first_is_down_and_no_longer_when_it_is_back() {
    let (first, standby) = (Origin::start(), Origin::start());
    let health = "[site.origin.health]\npath = \"/healthz\"\nexpect_body = \"ready\"\ninterval = \"100ms\"\n";
    let seawall = pool(&[(&first, ""), (&standby, "priority = 1")], health);
    for origin in [&first, &standby] {
        origin.says("/healthz", ok("we are ready"));
    }
    first.says("/a", ok("first"));
    standby.says("/a", ok("standby"));
    eventually("checks come to both", || {
        first.requests("/healthz") > 3 && standby.requests("/healthz") > 3
    });
    seawall.get("/a").is("MISS", "first");
    assert_eq!(standby.requests("/a"), 0);
    // It answers 200 still, but not what it should.
    first.says("/healthz", ok("we are closing"));
    eventually("the standby is asked", || {
        seawall.get("/a").text() == "standby"
    });
    assert_eq!(
        first.last("/healthz").field("user-agent"),
        Some("seawall-check")
    );
    first.says("/healthz", ok("ready again"));
    eventually("the first is asked again", || {
        seawall.get("/a").text() == "first"
    });
}

#[test]
fn a_server_that_fails_is_ejected_and_comes_back() {
    let (well, ill) = (Origin::start(), Origin::start());
    let ejection =
        "[site.origin.ejection]\nconsecutive_failures = 3\ntime = \"2s\"\ntime_max = \"2s\"\n";
    let seawall = pool(&[(&well, ""), (&ill, "")], ejection);
    says(&well, 100, &ok("well"));
    says(&ill, 100, &ok("ill").status(500));
    let statuses: Vec<_> = (0..20)
        .map(|n| seawall.get(&format!("/{n}")).status)
        .collect();
    let failed = statuses.iter().filter(|status| **status == 500).count();
    // What has answered is not asked again elsewhere: a byte of an answer was here.
    assert_eq!((failed, asked(&ill, 100)), (3, 3), "{statuses:?}");
    assert_eq!(seawall.metric("seawall_origin_ejections_total"), 1.0);
    let site = "seawall_origin_ejections_total{site=\"a\"} 1";
    assert!(seawall.metrics().contains(site), "{}", seawall.metrics());
    says(&ill, 100, &ok("well again"));
    eventually("it is asked again", || {
        seawall.get("/99").text() == "well again"
    });
}

#[test]
fn an_open_breaker_answers_at_once_and_the_origin_is_left_alone() {
    let origin = Origin::start();
    let breaker = "[site.cache]\nstale_if_error = \"1h\"\n[site.origin]\n[site.origin.breaker]\n\
                   failures = 3\nopen = \"1h\"\n";
    let seawall = pool(&[(&origin, "")], breaker);
    // It was fresh once, and is not any more.
    let kept = ok("kept").etag("1").field("cache-control", "max-age=5");
    origin.says("/kept", kept.field("age", "5"));
    seawall.get("/kept").is("MISS", "kept");
    says(&origin, 50, &ok("ill").status(503));
    for n in 0..3 {
        assert_eq!(seawall.get(&format!("/{n}")).text(), "ill");
    }
    for n in 3..10 {
        let refused = seawall.get(&format!("/{n}"));
        refused.fails(503, "origin breaker is open");
    }
    let posted = seawall.request("POST", "/11", &[], b"a=b");
    posted.fails(503, "origin breaker is open");
    assert_eq!(asked(&origin, 50), 3);
    assert_eq!(seawall.metric("seawall_origin_breaker_openings_total"), 1.0);
    // What is stored stands in, and the origin is left alone.
    seawall.get("/kept").is("STALE", "kept");
    assert_eq!(origin.requests("/kept"), 1);
}

#[test]
fn half_open_lets_one_probe_through() {
    let origin = Origin::start();
    let breaker = "[site.origin]\n[site.origin.breaker]\nfailures = 1\nopen = \"100ms\"\n";
    let seawall = pool(&[(&origin, "")], breaker);
    says(&origin, 50, &ok("ill").status(500));
    seawall.get("/0");
    let (slow, gate) = ok("back").gate();
    says(&origin, 50, &slow);
    // The first that is let through hangs; all others are refused, however long that takes.
    let waiting = eventually_sent(&seawall, &origin);
    for n in 20..30 {
        let refused = seawall.get(&format!("/{n}"));
        refused.fails(503, "origin breaker is open");
    }
    gate.open();
    assert_eq!(waiting.join().unwrap().text(), "back");
    assert_eq!(seawall.get("/40").text(), "back");
}

/// Asks for `/1`, until the origin is asked for it.
fn eventually_sent(
    seawall: &Seawall,
    origin: &Origin,
) -> std::thread::JoinHandle<crate::support::Response> {
    let mut last = None;
    eventually("one is let through", || {
        let asked = seawall.get_later("/1");
        while !asked.is_finished() && origin.requests("/1") == 0 {
            std::thread::yield_now();
        }
        last = Some(asked);
        origin.requests("/1") == 1
    });
    last.unwrap()
}

#[test]
fn what_got_no_byte_is_tried_elsewhere_but_never_a_post() {
    let (silent, well) = (Origin::start(), Origin::start());
    let ejection = "[site.origin.ejection]\nconsecutive_failures = 0\n";
    let seawall = pool(&[(&silent, ""), (&well, "")], ejection);
    says(&silent, 40, &Answer::raw(""));
    says(&well, 40, &ok("well"));
    for n in 0..10 {
        assert_eq!(seawall.get(&format!("/{n}")).text(), "well");
    }
    let failed = (10..20).filter(|n| {
        let answer = seawall.request("POST", &format!("/{n}"), &[], b"a=b");
        answer.status == 502
    });
    let failed = failed.count();
    assert_eq!(
        failed, 5,
        "every other one goes to the server that says nothing"
    );
    for n in 10..20 {
        let target = format!("/{n}");
        let sum = silent.requests(&target) + well.requests(&target);
        assert_eq!(sum, 1, "{target} was sent once");
    }
    assert_eq!(seawall.metric("seawall_origin_retries_total"), 5.0);
}

#[test]
fn nothing_is_tried_again_after_a_byte_of_an_answer() {
    let (broken, well) = (Origin::start(), Origin::start());
    let seawall = pool(&[(&broken, ""), (&well, "priority = 1")], "");
    broken.says("/half-a-head", Answer::raw("HTTP/1.1 200 OK\r\ncontent-le"));
    broken.says(
        "/hint",
        Answer::raw("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    );
    broken.says("/cut", ok("0123456789").cut_body(5));
    for target in ["/hint", "/cut"] {
        well.says(target, ok("well"));
        seawall.get(target);
        assert_eq!(well.requests(target), 0, "{target}");
    }
}

#[test]
fn a_server_where_nobody_listens_costs_no_client_anything() {
    let well = Origin::start();
    let dead = Origin::start();
    let seawall = pool(&[(&dead, ""), (&well, "")], "");
    drop(dead);
    says(&well, 20, &ok("well"));
    // A connection was never made, so also what is not idempotent may go elsewhere.
    for n in 0..4 {
        let posted = seawall.request("POST", &format!("/{n}"), &[], b"a=b");
        assert_eq!(posted.text(), "well");
    }
    for n in 4..20 {
        assert_eq!(seawall.get(&format!("/{n}")).text(), "well");
    }
}

#[test]
fn more_than_a_pool_may_have_waits_and_more_than_may_wait_is_refused() {
    let origin = Origin::start();
    let limits = "[site.origin]\nmax_requests = 2\nmax_pending = 1\npending_timeout = \"30s\"\n";
    let seawall = pool(&[(&origin, "")], limits);
    let (slow, gate) = ok("slow").gate();
    says(&origin, 10, &slow);
    let first: Vec<_> = (0..2)
        .map(|n| seawall.get_later(&format!("/{n}")))
        .collect();
    eventually("two are under way", || asked(&origin, 10) == 2);
    let more = [seawall.get_later("/2"), seawall.get_later("/3")];
    eventually("the fourth is refused", || {
        more.iter().any(std::thread::JoinHandle::is_finished)
    });
    gate.open();
    for answer in first {
        assert_eq!(answer.join().unwrap().text(), "slow");
    }
    let mut more = more.map(|answer| answer.join().unwrap());
    more.sort_by_key(|answer| answer.status);
    assert_eq!(more[0].text(), "slow");
    more[1].fails(503, "origin has all the requests it may have");
    assert_eq!(origin.requests("/2") + origin.requests("/3"), 1);
}

#[test]
fn the_same_url_goes_to_the_same_server_where_a_site_wants_that() {
    let origins = [Origin::start(), Origin::start(), Origin::start()];
    let servers: Vec<_> = origins.iter().map(|origin| (origin, "")).collect();
    let seawall = pool(&servers, "[site.origin]\nbalance = \"hash\"\n");
    origins.iter().for_each(|origin| says(origin, 30, &ok("x")));
    for _ in 0..3 {
        (0..30).for_each(|n| drop(seawall.get(&format!("/{n}"))));
    }
    for n in 0..30 {
        let target = format!("/{n}");
        let mut counts: Vec<_> = origins.iter().map(|it| it.requests(&target)).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 3], "{target}");
    }
    assert!(origins.iter().all(|origin| asked(origin, 30) > 0));
}

#[test]
fn a_drained_server_gets_nothing_until_it_is_restored() {
    let (one, other) = (Origin::start(), Origin::start());
    let mut seawall = pool(&[(&one, ""), (&other, "")], "");
    says(&one, 60, &ok("one"));
    says(&other, 60, &ok("other"));
    let said = |output: Output, exit: i32| {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let wrong = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{text}{wrong}");
        text
    };
    said(seawall.command(&["origins", "drain", "a", &one.url()]), 0);
    let listed = said(seawall.command(&["origins"]), 0);
    assert!(listed.contains("1 drained"), "{listed}");
    assert!(
        listed.contains(&format!("{}  drained", one.url())),
        "{listed}"
    );
    eventually("the edge knows", || seawall.get("/50").text() == "other");
    eventually("and goes on so", || {
        let before = asked(&one, 60);
        (0..10).for_each(|n| drop(seawall.get(&format!("/{n}"))));
        asked(&one, 60) == before
    });
    // It is in the store.
    seawall.kill_9();
    seawall.restart();
    eventually("the edge knows it again", || {
        seawall.get("/54").text() == "other"
    });
    let before = asked(&one, 60);
    for n in 10..20 {
        assert_eq!(seawall.get(&format!("/{n}")).text(), "other");
    }
    assert_eq!(asked(&one, 60), before);
    said(seawall.command(&["origins", "drain", "a", &other.url()]), 0);
    eventually("nobody is left", || {
        let refused = seawall.get("/51");
        refused.status == 503 && refused.text().contains("all origin servers are drained")
    });
    for origin in [&one, &other] {
        said(
            seawall.command(&["origins", "restore", "a", &origin.url()]),
            0,
        );
    }
    eventually("both are asked again", || {
        let texts = [seawall.get("/52").text(), seawall.get("/53").text()];
        texts.contains(&"one".to_owned()) && texts.contains(&"other".to_owned())
    });
    said(
        seawall.command(&["origins", "drain", "a", "http://127.0.0.1:1"]),
        1,
    );
    said(seawall.command(&["origins", "drain", "b", &one.url()]), 1);
}

#[test]
fn a_change_of_the_site_does_not_make_a_bad_server_good() {
    let (well, ill) = (Origin::start(), Origin::start());
    let text = |weight: usize| {
        format!(
            "[[site]]\nname = \"a\"\nhosts = [\"*\"]\n[site.origin.ejection]\nconsecutive_failures = 2\n\
             time = \"1h\"\ntime_max = \"1h\"\n[[site.origin.server]]\nurl = \"{}\"\nweight = {weight}\n\
             [[site.origin.server]]\nurl = \"{}\"\n",
            well.url(),
            ill.url()
        )
    };
    let folder = Folder::new();
    let file = folder.write("sites.toml", text(1));
    let seawall = Seawall::run_with(&["--config", &file], &folder);
    says(&well, 100, &ok("well"));
    says(&ill, 100, &ok("ill").status(500));
    (0..10).for_each(|n| drop(seawall.get(&format!("/{n}"))));
    assert_eq!(asked(&ill, 100), 2);
    let built = || seawall.api("GET", "/v1/sites", None).1.to_string();
    folder.write("sites.toml", text(7));
    eventually("the site is changed", || built().contains("\"weight\":7"));
    for n in 10..100 {
        assert_eq!(seawall.get(&format!("/{n}")).text(), "well");
    }
    assert_eq!(asked(&ill, 100), 2);
}
