//! What an edge boots from, when its disk or its control plane is not what it should be.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Instant;
use std::{fs, io, thread};

use serde_json::{Value, json};

use crate::support::{Disk, Folder, Origin, Role, Seawall, eventually, ok};

/// Nobody listens there.
pub const NOBODY: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9);

/// A control plane, an edge whose state is on `disk`, and an origin that says `a`.
fn on(disk: &Disk) -> (Role, Role, Origin) {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    let plane = Role::control_plane();
    let folder = Folder::new();
    fs::create_dir(disk.path("state")).unwrap();
    std::os::unix::fs::symlink(disk.path("state"), folder.path().join("state")).unwrap();
    let edge = Role::edge_in("edge-x", &[plane.admin()], &folder);
    plane.put_site("one", &origin);
    edge.eventually_serves("one.test");
    edge.eventually_keeps("one.test");
    (plane, edge, origin)
}

/// What the control plane was told of what is wrong with the only edge.
fn problems(plane: &Role) -> String {
    plane.ask("GET", "/v1/edges", &Value::Null)["edges"][0]["problems"].to_string()
}

#[test]
fn an_edge_on_a_full_disk_serves_says_so_and_keeps_again_when_there_is_room() {
    let folder = Folder::new();
    let Some(disk) = Disk::mount(&folder, "size=1m") else {
        return;
    };
    let (plane, mut edge, origin) = on(&disk);
    disk.fill();
    plane.put_site("two", &origin);
    edge.eventually_serves("two.test");
    let mut more = 0;
    eventually("it is told", || {
        // What is appended may find room for a while in what the disk has given away already.
        more += 1;
        plane.put_site(&format!("more-{more}"), &origin);
        problems(&plane).contains("cannot be kept")
    });
    assert!(
        problems(&plane).contains("\"path\":\"state\""),
        "{}",
        problems(&plane)
    );
    assert_eq!(edge.metric("seawall_snapshot_unsaved"), 1.0);

    // Started on the full disk: it begins with what it has.
    edge.restart();
    edge.eventually_serves("one.test");
    edge.eventually_serves("two.test");
    disk.free();
    edge.eventually_keeps("two.test");
    eventually("it is well again", || {
        edge.metric("seawall_snapshot_unsaved") == 0.0
    });
}

#[test]
fn an_edge_on_a_disk_that_can_only_be_read_serves_from_it() {
    let folder = Folder::new();
    let Some(disk) = Disk::mount(&folder, "size=1m") else {
        return;
    };
    let (plane, mut edge, origin) = on(&disk);
    edge.kill_9();
    disk.read_only(true);
    drop(plane);
    edge.restart();
    edge.eventually_serves("one.test");
    let ready = edge.admin_get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().starts_with("ok; edge: lkg, from disk"),
        "{}",
        ready.text()
    );
    edge.kill_9();
    disk.read_only(false);
    drop(origin);
}

#[test]
fn an_edge_that_died_twice_of_its_newest_snapshot_boots_from_the_one_before() {
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
    edge.eventually_keeps("two.test");
    edge.kill_9();
    drop(plane);
    // As two starts leave it that ended between the note and the first answer.
    let newest = fs::read_to_string(edge.state().join("snapshot.json")).unwrap();
    let head = newest.split_inclusive('\n').next().unwrap();
    fs::write(
        edge.state().join("snapshot.trying"),
        format!("2 {} {head}", newest.len()),
    )
    .unwrap();
    edge.restart();
    edge.eventually_serves("one.test");
    assert_eq!(edge.get("two.test").status, 404);
    assert!(
        edge.output()
            .contains("died 2 times while it booted from it"),
        "{}",
        edge.output()
    );
    assert_eq!(edge.metric("seawall_snapshot_passed_over"), 1.0);
    let aside = fs::read_to_string(edge.state().join("snapshot.bad.json"));
    assert_eq!(
        aside.unwrap(),
        newest,
        "it is kept for whoever looks into it"
    );
}

#[test]
fn readiness_tells_what_an_edge_serves_from() {
    let origin = Origin::start();
    origin.says("/a", ok("a"));
    let mut plane = Role::control_plane();
    let mut edge = Role::edge(&plane);
    plane.put_site("one", &origin);
    edge.eventually_serves("one.test");
    edge.eventually_keeps("one.test");
    let says = |edge: &Role, what: &str| {
        eventually(what, || {
            edge.admin_get("/readyz")
                .text()
                .starts_with(&format!("ok; edge: {what}"))
        });
    };
    says(&edge, "live, at revision");
    plane.kill_9();
    says(&edge, "fenced");
    edge.restart();
    says(&edge, "lkg");
    edge.eventually_serves("one.test");
    plane.restart();
    says(&edge, "live");
}

/// A link that carries what is said, and nothing that is answered.
fn one_way(to: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for from in listener.incoming() {
            let (Ok(mut from), Ok(mut to)) = (from, TcpStream::connect(to)) else {
                return;
            };
            thread::spawn(move || io::copy(&mut from, &mut to));
        }
    });
    address
}

#[test]
fn an_edge_that_is_heard_and_not_answered_is_shown_as_serving_from_its_disk() {
    let origin = Origin::start();
    origin.says("/a", ok("a"));
    let (plane, folder) = (Role::control_plane(), Folder::new());
    let mut edge = Role::edge_in("edge-x", &[plane.admin()], &folder);
    plane.put_site("one", &origin);
    edge.eventually_serves("one.test");
    edge.eventually_keeps("one.test");
    edge.kill_9();
    let edge = Role::edge_in("edge-x", &[one_way(plane.admin())], &folder);
    // Once the one before it may no longer vouch.
    eventually("the fleet shows it", || {
        let edges = plane.ask("GET", "/v1/edges", &Value::Null);
        edges["edges"][0]["state"] == "lkg"
    });
    let ready = edge.admin_get("/readyz");
    assert_eq!(ready.status, 200);
    assert!(
        ready.text().starts_with("ok; edge: lkg"),
        "{}",
        ready.text()
    );
    edge.eventually_serves("one.test");
}

#[test]
fn an_edge_that_is_offered_an_older_history_stays_with_its_own_and_says_so() {
    let origin = Origin::start();
    origin.says("/a", ok("a"));
    // Epochs of embedded stores are the times they were made at.
    let older = Role::control_plane();
    let mut plane = Role::control_plane();
    let edge = Role::edge_in("edge-x", &[plane.admin(), older.admin()], &Folder::new());
    plane.put_site("one", &origin);
    edge.eventually_serves("one.test");
    plane.kill_9();
    eventually("the other is told why not", || {
        let told = older.ask("GET", "/v1/edges", &Value::Null)["edges"][0]["problems"].to_string();
        told.contains("its epoch is older")
    });
    edge.eventually_serves("one.test");
    plane.restart();
    let beacon = || edge.metric("seawall_config_revision");
    let before = beacon();
    eventually("it follows its own again", || beacon() > before);
    eventually("all is well", || problems(&plane) == "[]");
}

#[test]
fn an_edge_boots_with_everything_else_dead_however_many_sites_there_are() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    for sites in [1, 1_000, 10_000] {
        let folder = snapshot_of(sites, &origin);
        let began = Instant::now();
        let edge = Role::edge_in("edge-x", &[NOBODY], &folder);
        edge.eventually_serves(&format!("s{sites}.test"));
        println!(
            "{sites} sites: first answer {:.0?} after the start of the process",
            began.elapsed()
        );
    }
}

/// A folder with the state of an edge that followed so many sites.
pub fn snapshot_of(sites: usize, origin: &Origin) -> Folder {
    let url = origin.url();
    let site =
        |n| format!("[[site]]\nname = \"s{n}\"\nhosts = [\"s{n}.test\"]\norigin = \"{url}\"\n");
    // In two steps: what is put into the store at once is bounded.
    let mut seawall = Seawall::run_config(&(1..=sites.div_ceil(2)).map(site).collect::<String>());
    let all = (1..=sites).map(site).collect::<String>();
    seawall.folder().write("sites.toml", all);
    let newest = seawall.state().join("edge/snapshot.json");
    let last = json!(format!("s{sites}.test")).to_string();
    eventually("the snapshot is on disk", || {
        fs::read_to_string(&newest)
            .unwrap_or_default()
            .contains(&last)
    });
    seawall.kill_9();
    let folder = Folder::new();
    fs::create_dir(folder.path().join("state")).unwrap();
    fs::copy(newest, folder.path().join("state/snapshot.json")).unwrap();
    folder
}
