//! Ten thousand clients at once, over HTTP/2: one fetch does for all of them.

use crate::support::{Crowd, Origin, Seawall, eventually, ok};

const CROWD: usize = 10_000;

#[test]
fn ten_thousand_clients_of_one_cold_url_make_one_fetch() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let body: String = ('a'..='z').cycle().take(2_000).collect();
    let (answer, gate) = ok(body.as_str()).max_age(60).gate();
    origin.says("/a", answer);
    let crowd = Crowd::of(CROWD, &seawall);
    let waiting: Vec<_> = (0..CROWD).map(|number| crowd.get(number, "/a")).collect();
    eventually("all but one wait for it", || {
        seawall.metric("seawall_collapsed_total") == (CROWD - 1) as f64
    });
    gate.open();
    for client in waiting {
        crowd.wait(client).is("MISS", &body);
    }
    assert_eq!(origin.requests("/a"), 1);
}

#[test]
fn ten_thousand_clients_of_what_has_expired_make_one_fetch_behind_them() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let control = "max-age=0, stale-while-revalidate=60";
    let (new, gate) = ok("new").max_age(60).gate();
    let old = ok("old").etag("1").field("cache-control", control);
    origin.says_in_turn("/a", vec![old, new]);
    let crowd = Crowd::of(CROWD, &seawall);
    let get = || crowd.wait(crowd.get(0, "/a"));
    get().is("MISS", "old");
    let asking: Vec<_> = (0..CROWD).map(|number| crowd.get(number, "/a")).collect();
    for client in asking {
        crowd.wait(client).is("STALE", "old");
    }
    gate.open();
    eventually("the new one is here", || get().text() == "new");
    assert_eq!(origin.requests("/a"), 2);
}
