//! The fleet as an operator sees it: `seawall edges`, whichever control plane is asked, and two machines with one id.

use std::process::Command;

use crate::support::{Etcd, Origin, Role, Version, eventually, ok};

/// What `seawall edges` prints, and how it ends.
fn edges(plane: &Role) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["edges", "--server", &format!("http://{}", plane.admin())])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), text.into_owned())
}

/// Until it ends like this, and has all of these parts.
#[track_caller]
fn eventually_tells(plane: &Role, code: i32, parts: &[&str]) {
    let mut told = (0, String::new());
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        eventually("seawall edges tells it", || {
            told = edges(plane);
            told.0 == code && parts.iter().all(|part| told.1.contains(part))
        });
    }));
    assert!(seen.is_ok(), "{code} {parts:?} is not in {told:?}");
}

#[test]
fn two_machines_with_one_id_are_shown_and_logged_and_one_is_let_in() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(60));
    let plane = Role::control_plane();
    eventually_tells(&plane, 1, &["no edge is registered"]);
    plane.put_site("a", &origin);
    let mut first = Role::edge(&plane);
    first.eventually_serves("a.test");
    eventually_tells(&plane, 0, &["1 edge: 1 live;", "edge-x"]);
    eventually("it vouches", || first.metric("seawall_vouching") == 1.0);

    let second = Role::edge(&plane);
    let told = [
        "1 edge: 1 live, 1 with problems",
        "edge-x: id: another start of this edge",
        "it was restarted, or two machines have one id",
    ];
    eventually_tells(&plane, 1, &told);
    let refused = "another machine, started as";
    eventually("both sides log it", || {
        plane.output().contains(refused) && second.output().contains(refused)
    });
    assert!(plane.metric("seawall_edges_refused_total") >= 1.0);
    assert!(second.metric("seawall_heartbeats_refused_total") >= 1.0);
    assert_eq!(first.metric("seawall_heartbeats_refused_total"), 0.0);
    assert_eq!(first.metric("seawall_vouching"), 1.0, "it is not disturbed");

    first.kill_9();
    eventually("the second is let in", || {
        second.metric("seawall_vouching") == 1.0
    });
    eventually_tells(&plane, 0, &["1 edge: 1 live;"]);
}

#[test]
fn any_control_plane_tells_of_the_edges_of_all() {
    let Some(etcd) = Etcd::start(Version::V3_4, 1) else {
        return;
    };
    let store = format!(
        "store = \"etcd\"\nstate = \"state\"\n[control_plane.etcd]\nendpoints = [{:?}]\n",
        etcd.endpoint(0)
    );
    let planes = [
        Role::control_plane_on(&store),
        Role::control_plane_on(&store),
    ];
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(60));
    eventually_tells(&planes[0], 1, &["no edge is registered"]);
    planes[0].put_site("a", &origin);
    let mut edges = [
        Role::edge_named("edge-1", &planes[0]),
        Role::edge_named("edge-2", &planes[1]),
    ];
    let both = ["2 edges: 2 live;", "edge-1", "edge-2"];
    for (plane, edge) in planes.iter().zip(&edges) {
        edge.eventually_serves("a.test");
        eventually_tells(plane, 0, &both);
    }
    edges[1].kill_9();
    for plane in &planes {
        eventually_tells(plane, 1, &["2 edges: 1 live, 1 fenced;"]);
    }
}
