//! What a client changes through an edge is not served as it was before.

use crate::support::{Origin, Seawall, ok};

#[test]
fn an_unsafe_method_takes_what_is_stored_for_its_url() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let check = |method: &str, status: u16, after: &str| {
        let target = format!("/{method}-{status}");
        let answer = || ok("body").max_age(3600);
        origin.says_in_turn(&target, vec![answer(), ok("done").status(status), answer()]);
        seawall.get(&target).is("MISS", "body");
        assert_eq!(seawall.request(method, &target, &[], b"a=b").status, status);
        seawall.get(&target).is(after, "body");
    };
    check("POST", 200, "MISS");
    check("PUT", 201, "MISS");
    check("DELETE", 302, "MISS");
    check("POST", 404, "HIT");
    check("POST", 500, "HIT");
    check("OPTIONS", 200, "HIT");
}

#[test]
fn an_unsafe_method_beats_a_get_under_way() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let (old, gate) = ok("old").max_age(3600).gate();
    origin.says_in_turn("/a", vec![old, ok("done"), ok("new").max_age(3600)]);
    let before = seawall.get_later("/a");
    origin.wait_for("/a", 1);
    seawall
        .request("POST", "/a", &[], b"change")
        .is("BYPASS", "done");
    gate.open();
    before.join().unwrap().is("MISS", "old");
    seawall.get("/a").is("MISS", "new");
    seawall.get("/a").is("HIT", "new");
}

#[test]
fn strangers_do_not_fill_the_ledger() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let entries = || seawall.metric("seawall_ledger_entries");
    let before = entries();
    for n in 0..20 {
        let target = format!("/form?{n}");
        origin.says(&target, ok("done"));
        seawall
            .request("POST", &target, &[], b"a=b")
            .is("BYPASS", "done");
    }
    assert_eq!(entries(), before, "there was nothing to take");
    origin.says("/a", ok("body").max_age(3600));
    seawall.get("/a").is("MISS", "body");
    seawall
        .request("POST", "/a", &[], b"a=b")
        .is("BYPASS", "body");
    assert_eq!(entries(), before + 1.0);
    seawall.get("/a").is("MISS", "body");
}

#[test]
fn what_an_unsafe_method_names_is_taken_too_on_the_same_host() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let targets = ["/location", "/content", "/elsewhere"];
    for target in targets {
        origin.says(target, ok("body").max_age(3600));
        seawall.get(target).is("MISS", "body");
    }
    let post = |name: &str, value: &str| {
        origin.says("/form", ok("done").field(name, value));
        seawall
            .request("POST", "/form", &[], b"a=b")
            .is("BYPASS", "done");
    };
    post("location", "/location");
    post("content-location", &seawall.url("/content"));
    post("location", "http://other.test/elsewhere");
    let found = targets.map(|target| seawall.get(target).x_cache().to_owned());
    assert_eq!(found, ["MISS", "MISS", "HIT"]);
}

#[test]
fn a_post_may_name_groups_of_its_own_origin() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says(
        "/a",
        ok("a")
            .max_age(60)
            .field("cache-groups", "\"news\", \"more\""),
    );
    origin.says("/b", ok("b").max_age(60).field("cache-groups", "\"sport\""));
    for target in ["/a", "/b"] {
        seawall.get(target);
        assert_eq!(seawall.get(target).x_cache(), "HIT");
    }
    origin.says(
        "/form",
        ok("done").field("cache-group-invalidation", "\"news\""),
    );
    seawall
        .request("POST", "/form", &[], b"x")
        .is("BYPASS", "done");
    seawall.get("/a").is("MISS", "a");
    seawall.get("/b").is("HIT", "b");
}
