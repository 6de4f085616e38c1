//! An edge as a process of its own, whose control plane is gone.

use std::fs;

use serde_json::json;

use crate::support::{Origin, Response, Role, eventually, ok};

#[test]
fn an_edge_serves_from_its_snapshot_while_no_control_plane_answers() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    let plane = Role::control_plane();
    let mut edge = Role::edge(&plane);
    plane.put_site("one", &origin);
    edge.eventually_serves("one.test");
    edge.eventually_keeps("one.test");
    let purge = plane.ask(
        "POST",
        "/v1/purges?wait=complete&timeout=30s",
        &json!({"tags": ["x"]}),
    );
    assert_eq!(purge["state"], "complete", "{purge}");

    drop(plane);
    edge.restart();
    edge.eventually_serves("one.test");
    eventually("it is ready", || edge.admin_get("/readyz").status == 200);
    let again = edge.get("one.test");
    assert_eq!(
        (again.status, again.x_cache(), again.text()),
        (200, "HIT", "a".into())
    );
    edge.get("two.test").is_refused();
}

#[test]
fn an_edge_whose_newest_snapshot_is_damaged_boots_from_the_one_before() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    let plane = Role::control_plane();
    let mut edge = Role::edge(&plane);
    plane.put_site("one", &origin);
    edge.eventually_serves("one.test");
    edge.eventually_keeps("one.test");
    // After a start the next save is a generation of its own.
    edge.restart();
    plane.put_site("two", &origin);
    edge.eventually_serves("two.test");
    edge.eventually_keeps("two.test");

    drop(plane);
    edge.kill_9();
    let newest = edge.state().join("snapshot.json");
    let mut bytes = fs::read(&newest).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&newest, bytes).unwrap();
    edge.restart();
    edge.eventually_serves("one.test");
    assert!(edge.output().contains("is passed over"), "it says so");

    edge.kill_9();
    for name in fs::read_dir(edge.state()).unwrap() {
        let path = name.unwrap().path();
        if path.to_str().unwrap().contains("snapshot") {
            fs::write(path, "nothing that it wrote").unwrap();
        }
    }
    edge.restart();
    let ready = edge.admin_get("/readyz");
    assert_eq!(ready.status, 503, "nothing to serve from: {}", ready.text());
    assert!(
        ready.text().contains("no configuration yet"),
        "{}",
        ready.text()
    );
    edge.get("one.test").is_refused();
}

#[test]
fn an_edge_without_snapshot_and_control_plane_waits_and_then_serves() {
    let origin = Origin::start();
    origin.says("/a", ok("a"));
    let mut plane = Role::control_plane();
    plane.put_site("one", &origin);
    plane.kill_9();
    let edge = Role::edge(&plane);
    assert_eq!(edge.admin_get("/readyz").status, 503);
    assert_eq!(edge.admin_get("/healthz").status, 200, "it lives");
    edge.get("one.test").is_refused();
    plane.restart();
    edge.eventually_serves("one.test");
    assert_eq!(edge.admin_get("/readyz").status, 200);
}

#[test]
fn an_edge_that_serves_is_in_the_receipt_of_every_purge_from_its_first_answer_on() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    let plane = Role::control_plane();
    plane.put_site("one", &origin);
    let mut edges = Vec::new();
    // The first finds the control plane idle, the others find it busy with heartbeats.
    for id in ["edge-1", "edge-2", "edge-3", "edge-4"] {
        let edge = Role::edge_named(id, &plane);
        edge.eventually_serves("one.test");
        edges.push(edge);
        let purge = json!({"hosts": ["one.test"]});
        let receipt = plane.ask("POST", "/v1/purges?wait=complete&timeout=30s", &purge);
        let told = receipt["edges"].as_array().unwrap().len();
        assert_eq!(
            told,
            edges.len(),
            "{id} may hold what was purged: {receipt}"
        );
        for edge in &edges {
            assert_eq!(edge.get("one.test").x_cache(), "MISS", "{receipt}");
        }
    }
}

impl Response {
    /// No site has this host, or there is none at all.
    #[track_caller]
    fn is_refused(&self) {
        assert!(
            matches!(self.status, 404 | 421 | 503),
            "{} {}",
            self.status,
            self.text()
        );
    }
}
