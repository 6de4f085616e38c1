//! What answers tell of how they came: Cache-Status, and to whom it says more.

use crate::support::{Folder, Origin, Seawall, ok};

#[test]
fn only_a_trusted_debugger_is_told_the_key_and_the_detail() {
    let origin = Origin::start();
    origin.says("/a?b", ok("a").max_age(60).field("set-cookie", "a=b"));
    origin.says("/c", ok("c").max_age(60));
    let told = |seawall: &Seawall, target: &str| seawall.get(target).cache_status().to_owned();
    let plain = "edge-1; fwd=uri-miss; fwd-status=200";
    for line in ["", "debug_from = [\"10.0.0.0/8\", \"::1\"]"] {
        let seawall = Seawall::run_site(&origin, line);
        assert_eq!(told(&seawall, "/a?b"), plain);
        assert_eq!(told(&seawall, "/c"), format!("{plain}; stored; ttl=60"));
    }
    let seawall = Seawall::run_site(&origin, "debug_from = [\"127.0.0.1\"]");
    let key = |target: &str| format!("key=\"{}\"", seawall.url(target));
    let refused = format!("{plain}; {}; detail=\"Set-Cookie\"", key("/a?b"));
    assert_eq!(told(&seawall, "/a?b"), refused);
    let stored = format!("{plain}; stored; ttl=60; {}", key("/c"));
    assert_eq!(told(&seawall, "/c"), stored);
}

#[test]
fn what_stands_in_for_a_failing_origin_was_no_hit() {
    let origin = Origin::start();
    let seawall = Seawall::run_site(&origin, "[site.cache]\nstale_if_error = \"1h\"");
    let old = ok("old").max_age(5).field("age", "10").etag("1");
    origin.says_in_turn("/a", vec![old, ok("").status(503)]);
    seawall.get("/a");
    let found = seawall.get("/a");
    found.is("STALE", "old");
    let told = "edge-1; fwd=stale; fwd-status=503; ttl=-5";
    assert_eq!(found.cache_status(), told);
}

#[test]
fn an_answer_of_the_edge_itself_was_neither_hit_nor_forwarded() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    let wants = [("cache-control", "only-if-cached")];
    let found = seawall.get_with("/a", &wants);
    assert_eq!((found.status, found.cache_status()), (504, "edge-1"));
}

#[test]
fn an_error_about_a_range_does_not_pass_for_what_is_stored() {
    let origin = Origin::start();
    let seawall = Seawall::run(&origin);
    origin.says("/a", ok("0123456789").max_age(60).etag("1"));
    seawall.get("/a");
    let found = seawall.get_with("/a", &[("range", "bytes=20-30")]);
    let said = ["content-range", "cache-control", "etag", "age"].map(|name| found.field(name));
    let expect = [Some("bytes */10"), Some("no-store"), None, None];
    assert_eq!((found.status, said), (416, expect));
}

#[test]
fn every_cache_on_the_way_has_its_member_in_order() {
    let origin = Origin::start();
    let told = "CacheNearOrigin; hit; ttl=10";
    origin.says("/a", ok("a").max_age(60).field("cache-status", told));
    let folder = Folder::new();
    let shield = Seawall::run(&origin);
    let shield_url = format!("http://{}", shield.listen());
    let edge = Seawall::run_with(&["--origin", &shield_url], &folder);
    let members = |edge: &Seawall| -> Vec<String> {
        let answer = edge.get("/a");
        let lines = answer
            .fields
            .iter()
            .filter(|(name, _)| name == "cache-status");
        lines.map(|(_, value)| value.clone()).collect()
    };
    // Both are called edge-1 here; they are of different deployments.
    let missed = "edge-1; fwd=uri-miss; fwd-status=200; stored; ttl=60";
    assert_eq!(members(&edge), [told, missed, missed]);
    assert_eq!(members(&edge), [told, missed, "edge-1; hit; ttl=60"]);
}
