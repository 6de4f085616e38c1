//! An edge stays with the last good version of what it was sent: of one site, and of everything.

pub mod booting;

use serde_json::{Value, json};

use crate::support::{Etcd, Origin, Role, Version, eventually, ok};

/// Where a hand may write past the API.
fn site_key(name: &str) -> String {
    format!("/seawall/v1/site/{name}")
}

fn purge(plane: &Role, body: &Value) -> Value {
    plane.ask("POST", "/v1/purges?wait=complete&timeout=30s", body)
}

/// `id state` of the receipt's only edge.
fn standing(receipt: &Value) -> &str {
    receipt["edges"][0]["state"].as_str().unwrap()
}

#[test]
fn a_site_that_an_edge_refuses_stays_as_it_was_and_holds_up_nothing() {
    let Some(etcd) = Etcd::start(Version::V3_4, 1) else {
        return;
    };
    let endpoint = etcd.endpoint(0);
    let plane = Role::control_plane_on(&format!(
        "store = \"etcd\"\nstate = \"state\"\n[control_plane.etcd]\nendpoints = [\"{endpoint}\"]\n"
    ));
    let origin = Origin::start();
    origin.says("/a", ok("v1").max_age(3600));
    let mut edge = Role::edge(&plane);
    plane.put_site("one", &origin);
    plane.put_site("two", &origin);
    edge.eventually_serves("one.test");
    edge.eventually_serves("two.test");
    assert_eq!(
        standing(&purge(&plane, &json!({"hosts": ["one.test"]}))),
        "applied"
    );
    edge.get("one.test").is("MISS", "v1");
    edge.get("one.test").is("HIT", "v1");

    let good = etcd.ctl(0, &["get", "--print-value-only", &site_key("one")]);
    let bad = good
        .trim()
        .replace("\"hosts\"", "\"guard\":\"all\",\"hosts\"");
    assert_ne!(bad, good.trim());
    etcd.ctl(0, &["put", &site_key("one"), &bad]);
    let known = || plane.ask("GET", "/v1/edges", &Value::Null)["edges"][0].clone();
    let problem = || known()["problems"][0].clone();
    eventually("the edge says what is wrong", || {
        problem()["path"] == "site one: guard"
    });
    let message = problem()["message"].as_str().unwrap().to_owned();
    assert!(
        message.contains("does not know this word") && message.contains("stays in force"),
        "{message}"
    );

    // What says the same as before builds nothing.
    let built = edge.metric("seawall_sites_built_total");
    let same = etcd.ctl(0, &["get", "--print-value-only", &site_key("two")]);
    etcd.ctl(0, &["put", &site_key("two"), same.trim()]);
    assert_eq!(
        standing(&purge(&plane, &json!({"tags": ["none"]}))),
        "refused"
    );
    assert_eq!(edge.metric("seawall_sites_built_total"), built);

    // What was stored before is good still. A purge takes it away at once, and for good: what the old version
    // fetches is not kept, and the receipt says so.
    edge.get("one.test").is("HIT", "v1");
    origin.says("/a", ok("v2").max_age(3600));
    let receipt = purge(&plane, &json!({"hosts": ["one.test"]}));
    assert_eq!(
        (standing(&receipt), &receipt["state"]),
        ("refused", &json!("complete_reachable")),
        "{receipt}"
    );
    assert!(
        receipt["warnings"]
            .to_string()
            .contains("refuses the newest version"),
        "{receipt}"
    );
    for _ in 0..2 {
        edge.get("one.test").is("MISS", "v2");
    }
    // Another site is no part of it.
    let other = purge(&plane, &json!({"sites": ["two"]}));
    assert_eq!(
        (standing(&other), &other["state"]),
        ("applied", &json!("complete")),
        "{other}"
    );
    edge.get("two.test").is("MISS", "v2");
    edge.get("two.test").is("HIT", "v2");
    plane.put_site("three", &origin);
    edge.eventually_serves("three.test");

    // It is on disk: neither a restart nor a whole new picture makes it forget.
    edge.eventually_keeps("three.test");
    let boot = known()["boot"].clone();
    edge.restart();
    edge.eventually_serves("one.test");
    // Its earlier start may vouch for ten seconds.
    eventually("it is let in after the restart", || {
        known()["boot"] != boot && known()["state"] == "live"
    });
    assert_eq!(problem()["path"], "site one: guard");
    edge.get("one.test").is("MISS", "v2");
    assert_eq!(
        standing(&purge(&plane, &json!({"sites": ["one"]}))),
        "refused"
    );

    etcd.ctl(0, &["put", &site_key("one"), good.trim()]);
    eventually("it is mended", || problem() == Value::Null);
    let again = plane.ask(
        "GET",
        &format!("/v1/purges/{}", receipt["revision"]),
        &Value::Null,
    );
    assert_eq!(
        (standing(&again), &again["state"]),
        ("applied", &json!("complete")),
        "{again}"
    );
    edge.get("one.test").is("MISS", "v2");
    edge.get("one.test").is("HIT", "v2");
}
