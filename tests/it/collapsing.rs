//! Many clients, one fetch: who waits for whom, and who never does.

use std::thread::JoinHandle;

use crate::support::{Answer, Crowd, Gate, Origin, Response, Seawall, eventually, ok};

const MEMORY_KIB_MAX: u64 = 64 * 1024;

/// `count` GETs under way, all but the first waiting for the fetch of the first.
fn wait_together(
    seawall: &Seawall,
    origin: &Origin,
    target: &str,
    count: usize,
) -> Vec<JoinHandle<Response>> {
    let first = seawall.get_later(target);
    origin.wait_for(target, 1);
    let before = seawall.metric("seawall_collapsed_total");
    let mut waiting = vec![first];
    waiting.extend((1..count).map(|_| seawall.get_later(target)));
    eventually("all the others wait for the first", || {
        seawall.metric("seawall_collapsed_total") - before == (count - 1) as f64
    });
    waiting
}

#[test]
fn fifty_clients_of_one_cold_url_make_one_fetch() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body: String = ('a'..='z').cycle().take(300_000).collect();
    let (answer, gate) = ok(body.as_str()).max_age(60).gate();
    origin.says("/a", answer);
    let waiting = wait_together(&seawall, &origin, "/a", 50);
    gate.open();
    for (number, client) in waiting.into_iter().enumerate() {
        let answer = client.join().unwrap();
        answer.is("MISS", &body);
        let collapsed = answer.cache_status().contains("; collapsed");
        assert_eq!(collapsed, number > 0, "{number}: {}", answer.cache_status());
    }
    assert_eq!(origin.requests("/a"), 1);
    seawall.get("/a").is("HIT", &body);
}

#[test]
fn a_client_that_leaves_takes_nobody_with_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (answer, gate) = ok("for all").max_age(60).gate();
    origin.says("/a", answer);
    let mut first = seawall.connect();
    first.send("GET", "/a", &[], b"");
    origin.wait_for("/a", 1);
    let others: Vec<_> = (0..5).map(|_| seawall.get_later("/a")).collect();
    eventually("the others wait", || {
        seawall.metric("seawall_collapsed_total") == 5.0
    });
    drop(first);
    gate.open();
    for other in others {
        other.join().unwrap().is("MISS", "for all");
    }
    assert_eq!(origin.requests("/a"), 1);
    seawall.get("/a").is("HIT", "for all");
}

#[test]
fn a_fetch_outlives_the_client_that_started_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (answer, gate) = ok("for the next").max_age(60).gate();
    origin.says("/a", answer);
    let mut only = seawall.connect();
    only.send("GET", "/a", &[], b"");
    origin.wait_for("/a", 1);
    drop(only);
    gate.open();
    eventually("it is stored", || seawall.get("/a").x_cache() == "HIT");
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn a_client_that_leaves_in_the_middle_of_a_body_takes_nobody_with_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body: String = ('a'..='z').cycle().take(200_000).collect();
    let (answer, gate) = ok(body.as_str()).max_age(60).gate_body(100_000);
    origin.says("/a", answer);
    let mut first = seawall.connect();
    first.send("GET", "/a", &[], b"");
    first.head().expect("a head");
    let other = seawall.get_later("/a");
    eventually("the other reads along", || {
        seawall.metric("seawall_collapsed_total") == 1.0
    });
    drop(first);
    gate.open();
    other.join().unwrap().is("MISS", &body);
    assert_eq!(origin.requests("/a"), 1);
}

/// Ten clients wait for one answer, which turns out not to be for them: each of the others is then asked for
/// alone, all at once, and gets its own.
fn is_not_shared(target: &str, answer: impl Fn(usize) -> Answer) {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (first, gate) = answer(0).gate();
    let others = Gate::default();
    let mut answers = vec![first];
    answers.extend((1..10).map(|number| answer(number).behind(&others)));
    origin.says_in_turn(target, answers);
    let waiting = wait_together(&seawall, &origin, target, 10);
    gate.open();
    // None of them is answered before all of them have been asked for: one after another would never get here.
    origin.wait_for(target, 10);
    others.open();
    let answers: Vec<_> = waiting
        .into_iter()
        .map(|client| client.join().unwrap())
        .collect();
    assert_eq!(answers[0].text(), "for 0");
    let mut bodies: Vec<_> = answers.iter().map(Response::text).collect();
    bodies.sort();
    assert_eq!(
        bodies,
        (0..10)
            .map(|number| format!("for {number}"))
            .collect::<Vec<_>>()
    );
    for answer in answers {
        assert_eq!(
            (answer.x_cache(), answer.complete),
            ("MISS", true),
            "{}",
            answer.cache_status()
        );
        let own = answer.text().replace("for ", "id=");
        assert!(
            answer
                .field("set-cookie")
                .is_none_or(|cookie| cookie == own),
            "{own}"
        );
    }
    assert_eq!(origin.requests(target), 10);
}

#[test]
fn an_answer_that_is_not_kept_is_not_shared_and_nobody_queues_for_it() {
    is_not_shared("/no-store", |number| {
        ok(format!("for {number}")).field("cache-control", "no-store")
    });
}

#[test]
fn a_private_answer_reaches_only_who_asked() {
    is_not_shared("/private", |number| {
        ok(format!("for {number}")).field("cache-control", "private, max-age=60")
    });
}

#[test]
fn a_cookie_reaches_only_who_it_was_set_for() {
    is_not_shared("/cookie", |number| {
        ok(format!("for {number}"))
            .max_age(60)
            .field("set-cookie", &format!("id={number}"))
    });
}

#[test]
fn another_variant_is_not_waited_for() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let answer = |body: &str| ok(body).max_age(60).field("vary", "accept-language");
    let (english, gate) = answer("hello").gate_body(2);
    origin.says_in_turn("/a", vec![english, answer("hallo")]);
    let mut first = seawall.connect();
    first.send("GET", "/a", &[("accept-language", "en")], b"");
    first.head().expect("a head");
    seawall
        .get_with("/a", &[("accept-language", "de")])
        .is("MISS", "hallo");
    let second = seawall.get_later_with("/a", &[("accept-language", "en")]);
    eventually("the second reads along", || {
        seawall.metric("seawall_collapsed_total") == 1.0
    });
    gate.open();
    second.join().unwrap().is("MISS", "hello");
    assert_eq!(first.take(5), b"hello");
    assert_eq!(origin.requests("/a"), 2);
}

#[test]
fn a_slow_reader_holds_up_nobody() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body: Vec<u8> = (0..=255).cycle().take(32 << 20).collect();
    origin.says("/a", ok(body.clone()).max_age(60));
    let mut slow = seawall.connect();
    slow.send("GET", "/a", &[], b"");
    slow.head().expect("a head");
    for _ in 0..2 {
        let fast = seawall.get("/a");
        assert_eq!((fast.status, fast.complete), (200, true));
        assert!(fast.body == body, "{} bytes", fast.body.len());
    }
    assert_eq!(origin.requests("/a"), 1);
    assert!(
        slow.take(body.len()) == body,
        "in the end the slow one has it, too"
    );
}

#[test]
fn a_range_that_is_all_of_it_waits_with_the_others() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (answer, gate) = ok("0123456789").max_age(60).gate();
    origin.says("/a", answer);
    let ranged = || seawall.get_later_with("/a", &[("range", "bytes=0-")]);
    let waiting: Vec<_> = (0..10).map(|_| ranged()).collect();
    let whole = seawall.get_later("/a");
    origin.wait_for("/a", 1);
    gate.open();
    for part in waiting {
        let part = part.join().unwrap();
        let found = (part.status, part.field("content-range"), part.text());
        let expect = (206, Some("bytes 0-9/10"), "0123456789".to_owned());
        assert_eq!(found, expect, "{}", part.cache_status());
    }
    assert_eq!(whole.join().unwrap().text(), "0123456789");
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn waiters_read_along_while_the_body_arrives() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (answer, gate) = ok("hello world").max_age(60).gate_body(5);
    let (answer, head) = answer.gate();
    origin.says("/a", answer);
    let mut clients: Vec<_> = (0..3).map(|_| seawall.connect()).collect();
    for client in &mut clients {
        client.send("GET", "/a", &[], b"");
    }
    eventually("two wait", || {
        seawall.metric("seawall_collapsed_total") == 2.0
    });
    head.open();
    for client in &mut clients {
        client.head().expect("a head");
        assert_eq!(client.take(5), b"hello", "before the rest is sent");
    }
    gate.open();
    for client in &mut clients {
        assert_eq!(client.take(6), b" world");
    }
}

#[test]
fn a_waiter_that_leaves_is_released_at_once() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let over = |count: f64| {
        eventually("its request is over, though there is no answer", || {
            seawall.metric("seawall_requests_total") == count
        });
    };
    let waiting = |count: f64| {
        eventually("it waits", || {
            seawall.metric("seawall_collapsed_total") == count
        });
    };
    let (answer, gate) = ok("for who stays").max_age(60).gate();
    origin.says("/a", answer);
    let stays = seawall.get_later("/a");
    origin.wait_for("/a", 1);
    let mut leaves = seawall.connect();
    leaves.send("GET", "/a", &[], b"");
    waiting(1.0);
    drop(leaves);
    over(1.0);
    // The same of a stream that its client takes back, while the connection goes on.
    let crowd = Crowd::of(1, &seawall);
    let stays_too = crowd.get(0, "/a");
    origin.wait_for("/a", 2);
    let taken_back = crowd.get(0, "/a");
    waiting(2.0);
    taken_back.abort();
    over(2.0);
    gate.open();
    stays.join().unwrap().is("MISS", "for who stays");
    crowd.wait(stays_too).is("MISS", "for who stays");
    assert_eq!(origin.requests("/a"), 2, "http and https are two things");
}

#[test]
fn nobody_waits_for_what_was_not_for_all_the_last_time() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |target: &str, answer: Answer, kept: Answer| {
        origin.says(target, answer.clone());
        seawall.get(target).is("MISS", "mine");
        let before = seawall.metric("seawall_collapsed_total");
        let (held, gate) = answer.gate();
        origin.says(target, held);
        let asking: Vec<_> = (0..10).map(|_| seawall.get_later(target)).collect();
        // All of them are asked for before any is answered.
        origin.wait_for(target, 11);
        assert_eq!(
            seawall.metric("seawall_collapsed_total"),
            before,
            "{target}"
        );
        gate.open();
        for client in asking {
            client.join().unwrap().is("MISS", "mine");
        }
        // The first that can be kept is, and from then on one is enough again.
        origin.says(target, kept);
        seawall.get(target).is("MISS", "ours");
        seawall.get(target).is("HIT", "ours");
    };
    let ours = || ok("ours").max_age(60);
    let no_store = |text: &str| ok(text).field("cache-control", "no-store");
    check("/no-store", no_store("mine"), ours());
    let private = ok("mine").field("cache-control", "private, max-age=60");
    check("/private", private, ours());
    check(
        "/cookie",
        ok("mine").max_age(60).field("set-cookie", "a=b"),
        ours(),
    );
    check("/silent", ok("mine"), ours());
}

#[test]
fn a_failure_is_not_held_against_what_comes_after_it() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (well, gate) = ok("well").max_age(60).gate();
    origin.says_in_turn("/a", vec![ok("ill").status(503), well]);
    assert_eq!(seawall.get("/a").status, 503);
    let asking: Vec<_> = (0..5).map(|_| seawall.get_later("/a")).collect();
    eventually("they wait for one", || {
        seawall.metric("seawall_collapsed_total") == 4.0
    });
    gate.open();
    for client in asking {
        client.join().unwrap().is("MISS", "well");
    }
    assert_eq!(origin.requests("/a"), 2);
}

#[test]
fn readers_that_take_nothing_hold_the_origin_and_not_memory() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body: Vec<u8> = (0..=255).cycle().take(32 << 20).collect();
    origin.says("/a", ok(body.clone()).field("cache-control", "no-store"));
    seawall.get("/warm");
    let before = seawall.memory_kib();
    let mut slow: Vec<_> = (0..4).map(|_| seawall.connect()).collect();
    for client in &mut slow {
        client.send("GET", "/a", &[], b"");
        client.head().expect("a head");
    }
    // In the time in which one takes all of it, the others would have come far.
    let fast = seawall.get("/a");
    assert!(fast.complete && fast.body == body);
    let grown = seawall.memory_kib().saturating_sub(before);
    assert!(grown < MEMORY_KIB_MAX, "{grown} KiB");
    for client in &mut slow {
        assert!(
            client.take(body.len()) == body,
            "in the end it is all there"
        );
    }
}
