//! Under load: edges stop and start one after the other, certificates change, and no request fails.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::support::h2::{connector, insist};
use crate::support::{
    Authority, Connection, Folder, Origin, Response, Role, Seawall, eventually, ok,
};

const REQUESTS: u64 = 100_000;
const CLIENTS: usize = 8;
const STOPS: usize = 6;

/// What clients see together.
#[derive(Default)]
struct Seen {
    answered: AtomicU64,
    failed: AtomicU64,
    done: AtomicBool,
}

impl Seen {
    fn count(&self, is_right: bool) {
        let count = match is_right {
            true => &self.answered,
            false => &self.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Until so many are answered, or one has failed.
    fn wait_for(&self, enough: u64) {
        while self.answered.load(Ordering::Relaxed) < enough
            && self.failed.load(Ordering::Relaxed) == 0
        {
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn are_all_right(&self) {
        let answered = self.answered.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        println!("{answered} answered, {failed} failed, {STOPS} restarts");
        assert!(answered >= REQUESTS && failed == 0, "{answered} {failed}");
    }
}

fn is_right(answer: &Response) -> bool {
    answer.status == 200 && answer.complete && answer.body == b"a"
}

#[test]
fn an_edge_that_drains_fails_no_request() {
    let (origin, plane) = (Origin::start(), Role::control_plane());
    plane.put_site("a", &origin);
    origin.says("/a", ok("a").max_age(3_600));
    let mut edges = ["edge-x", "edge-y"].map(|id| Role::edge_named(id, &plane));
    edges
        .iter()
        .for_each(|edge| edge.eventually_serves("a.test"));
    let addresses = edges.each_ref().map(Role::listen);
    let seen = Arc::new(Seen::default());
    let clients: Vec<_> = (0..CLIENTS)
        .map(|n| client(n, addresses, seen.clone()))
        .collect();
    for stop in 0..STOPS {
        seen.wait_for(REQUESTS / STOPS as u64 * (stop as u64 + 1));
        let edge = &mut edges[stop % 2];
        edge.terminate();
        edge.restart();
        edge.eventually_serves("a.test");
    }
    seen.done.store(true, Ordering::Relaxed);
    clients
        .into_iter()
        .for_each(|client| client.join().unwrap());
    seen.are_all_right();
}

#[test]
fn an_edge_that_drains_over_http_2_fails_no_request() {
    const CONNECTIONS: usize = 4;
    const TOGETHER: usize = 20;
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3_600));
    let mut seawall = Seawall::run(&origin);
    let seen = Seen::default();
    thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            let (seen, address, connector) = (&seen, seawall.listen_tls(), connector(&seawall));
            scope.spawn(move || {
                let goes_on = || !seen.done.load(Ordering::Relaxed);
                insist(address, &connector, "/a", TOGETHER, goes_on, |answer| {
                    seen.count(answer.is_ok_and(|answer| is_right(&answer)));
                });
            });
        }
        for stop in 1..=STOPS as u64 {
            seen.wait_for(REQUESTS / STOPS as u64 * stop);
            seawall.terminate();
            seawall.restart();
        }
        seen.done.store(true, Ordering::Relaxed);
    });
    seen.are_all_right();
}

/// One request after the other; a connection that the edge ends is followed by one to whichever edge is there.
fn client(n: usize, edges: [SocketAddr; 2], seen: Arc<Seen>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut turn = n;
        let mut connection = None;
        while !seen.done.load(Ordering::Relaxed) {
            let mut open = connection.take().unwrap_or_else(|| {
                loop {
                    turn += 1;
                    // Nothing was asked yet, so nothing fails.
                    if let Some(open) = Connection::try_open(edges[turn % 2]) {
                        break open;
                    }
                }
            });
            let answer = open.request("GET", "/a", &[("host", "a.test")], b"");
            let is_good = is_right(&answer);
            seen.count(is_good);
            if is_good && answer.field("connection") != Some("close") {
                connection = Some(open);
            }
        }
    })
}

#[test]
fn certificates_that_change_fail_no_request() {
    const EACH: u64 = 4_000;
    let (origin, folder) = (Origin::start(), Folder::new());
    let certs = folder.path().join("certs");
    fs::create_dir(&certs).unwrap();
    let authority = Authority::new();
    authority.sign(&certs, "site", &["a.test"], 30);
    let args = [
        "--origin",
        &origin.url(),
        "--certs",
        certs.to_str().unwrap(),
    ];
    let seawall = Seawall::run_with(&args, &folder);
    origin.says("/a", ok("a").max_age(3_600));
    let done = AtomicBool::new(false);
    let (sent, rotations) = thread::scope(|scope| {
        let rotating = scope.spawn(|| {
            let mut rotations = 0;
            while !done.load(Ordering::Relaxed) {
                authority.sign(&certs, "site", &["a.test"], 30 + rotations);
                rotations += 1;
                thread::sleep(Duration::from_millis(700));
            }
            rotations
        });
        let mut sent = 0;
        while sent < REQUESTS {
            // Each time with handshakes of its own; over HTTP/2, then over HTTP/1.1.
            let version: &[&str] = if sent % (2 * EACH) == 0 {
                &[]
            } else {
                &["--h1"]
            };
            sent += succeeded(&seawall, EACH, version);
        }
        done.store(true, Ordering::Relaxed);
        (sent, rotating.join().unwrap())
    });
    println!("{sent} answered, none failed, {rotations} certificates");
    eventually("the last is shown", || {
        seawall.metric("seawall_certificates_behind") == 0.0
    });
    assert!(rotations > 3, "{rotations}");
}

/// How many of so many requests `h2load` calls good: all.
fn succeeded(seawall: &Seawall, requests: u64, version: &[&str]) -> u64 {
    let output = Command::new("timeout")
        .args(["120", "h2load", "-n", &requests.to_string(), "-c", "20"])
        .args(version)
        .arg(format!("--connect-to={}", seawall.listen_tls()))
        .arg("https://a.test/a")
        .output()
        .expect("h2load is installed");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let all = format!("{requests} succeeded, 0 failed, 0 errored, 0 timeout");
    assert!(said.contains(&all), "{said}");
    requests
}
