//! A fleet over etcd: what is to be checked reaches every edge, and what edges see reaches the operator.

use serde_json::{Value, json};

use crate::support::{Etcd, Folder, Origin, Role, Version, eventually, ok};

/// A control plane on etcd, and three edges of it.
fn fleet(etcd: &Etcd) -> (Role, Vec<Role>) {
    let endpoints: Vec<_> = etcd
        .endpoints()
        .iter()
        .map(|it| format!("{it:?}"))
        .collect();
    let plane = Role::control_plane_on(&format!(
        "store = \"etcd\"\nstate = \"state\"\n[control_plane.etcd]\nendpoints = [{}]\n",
        endpoints.join(", ")
    ));
    let edge = |n: usize| Role::edge_in(&format!("edge-{n}"), &[plane.admin()], &Folder::new());
    let edges = (1..=3).map(edge).collect();
    (plane, edges)
}

fn site(origin: &Origin, standby: &Origin, health: &Value) -> Value {
    json!({
        "hosts": ["a.test"],
        "origin": {
            "health": health,
            "server": [{"url": origin.url()}, {"url": standby.url(), "priority": 1}],
        },
    })
}

#[test]
fn a_change_of_what_is_checked_reaches_three_edges_through_etcd() {
    let Some(etcd) = Etcd::start(Version::V3_5, 1) else {
        return;
    };
    let (plane, edges) = fleet(&etcd);
    let (origin, standby) = (Origin::start(), Origin::start());
    for server in [&origin, &standby] {
        server.says("/a", ok("a").field("cache-control", "no-store"));
        server.says("/old", ok("fine"));
        server.says("/new", ok("fine"));
    }
    let put = |health: Value| {
        plane.ask("PUT", "/v1/sites/a", &site(&origin, &standby, &health));
    };
    put(json!({"path": "/old", "interval": "100ms"}));
    edges
        .iter()
        .for_each(|edge| edge.eventually_serves("a.test"));
    origin.wait_for("/old", 9);
    // From now on another page is asked for; and the edges are the very processes they were.
    put(json!({"path": "/new", "interval": "100ms", "unhealthy_after": 1, "healthy_after": 1}));
    origin.wait_for("/new", 9);
    eventually("the old page is asked for no more", || {
        let old = origin.requests("/old");
        origin.wait_for("/new", origin.requests("/new") + 9);
        origin.requests("/old") == old
    });
    let told = |server: &Origin| {
        let listed = plane.ask("GET", "/v1/origins?site=a", &Value::Null);
        let servers = listed["servers"].as_array().unwrap().clone();
        let is_it = |it: &&Value| it["server"] == server.url();
        servers.iter().find(is_it).unwrap()["seen"].clone()
    };
    assert_eq!(told(&origin), json!([]));
    origin.says("/new", ok("ill").status(500));
    eventually("every edge sees it, and says so", || {
        let seen = told(&origin);
        let seen = seen.as_array().unwrap();
        let down =
            |it: &Value| it["state"] == "down" && it["why"] == "another status than expected";
        seen.len() == 3 && seen.iter().all(down)
    });
    let before = origin.requests("/a");
    for edge in &edges {
        assert_eq!(edge.get("a.test").status, 200);
    }
    assert_eq!(origin.requests("/a"), before);
    assert_eq!(told(&standby), json!([]));
}

#[test]
fn a_server_is_drained_at_every_edge_of_the_fleet() {
    let Some(etcd) = Etcd::start(Version::V3_5, 1) else {
        return;
    };
    let (plane, edges) = fleet(&etcd);
    let (origin, standby) = (Origin::start(), Origin::start());
    for server in [&origin, &standby] {
        server.says("/a", ok(server.url()).field("cache-control", "no-store"));
    }
    let pool = json!({"hosts": ["a.test"], "origin": {"server": [
        {"url": origin.url()}, {"url": standby.url(), "priority": 1},
    ]}});
    plane.ask("PUT", "/v1/sites/a", &pool);
    edges
        .iter()
        .for_each(|edge| edge.eventually_serves("a.test"));
    let order = |drained| json!({"server": origin.url(), "drained": drained});
    plane.ask("POST", "/v1/origins/a", &order(true));
    for edge in &edges {
        eventually("the edge has drained it", || {
            edge.get("a.test").text() == standby.url()
        });
    }
    let before = origin.requests("/a");
    edges.iter().for_each(|edge| drop(edge.get("a.test")));
    assert_eq!(origin.requests("/a"), before);
    // The site changes, and the server stays drained; deleted and created again, it is another site.
    let pool_of_two = json!({"hosts": ["a.test", "b.test"], "origin": pool["origin"]});
    plane.ask("PUT", "/v1/sites/a", &pool_of_two);
    for edge in &edges {
        edge.eventually_serves("b.test");
        assert_eq!(edge.get("b.test").text(), standby.url());
    }
    plane.ask("POST", "/v1/origins/a", &order(false));
    for edge in &edges {
        eventually("it gets requests again", || {
            edge.get("a.test").text() == origin.url()
        });
    }
}
