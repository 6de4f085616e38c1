//! What purges take: from call to receipt, idle and under load; how many a second; and what they cost a hit.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{control_plane, figure, median, row};
use crate::support::{Connection, Etcd, Origin, Role, Version, eventually, ok};

const EDGES: usize = 3;
const RECEIPTS: usize = 300;
/// Requests a second, of all edges together.
const LOAD: usize = 10_000;
const PURGERS: usize = 16;
const SUSTAINED: Duration = Duration::from_secs(10);
/// Tags that are purged, and of none of which there is an object.
const LIVE: usize = 100_000;
const SCOPES: usize = 1_000;
const ARRIVING_PER_SECOND: usize = 1_000;
const ROUNDS: usize = 5;
const HITS_FOR: &str = "4s";

/// Three members of etcd, a control plane, three edges, and a page that all of them hold.
struct Fleet {
    plane: Role,
    edges: Vec<Role>,
    _etcd: Etcd,
    _origin: Origin,
}

impl Fleet {
    fn start() -> Self {
        let etcd = Etcd::start(Version::V3_5, 3).expect("etcd 3.5");
        let plane = control_plane(&etcd);
        let origin = Origin::start();
        origin.says("/a", ok("x".repeat(1_024)).max_age(3_600));
        let site = json!({"hosts": ["a.test", "127.0.0.1"], "origin": origin.url()});
        plane.ask("PUT", "/v1/sites/a", &site);
        let edges: Vec<_> = (0..EDGES)
            .map(|n| Role::edge_named(&format!("e{n}"), &plane))
            .collect();
        for edge in &edges {
            edge.eventually_serves("a.test");
            eventually("it vouches", || edge.metric("seawall_vouching") == 1.0);
        }
        Self {
            plane,
            edges,
            _etcd: etcd,
            _origin: origin,
        }
    }

    /// From call to receipt, one after the other.
    fn receipts(&self) -> Vec<Duration> {
        let mut plane = Connection::open(self.plane.admin());
        let mut purge = |n: usize| {
            let began = Instant::now();
            let body = json!({"tags": [format!("none{n}")]});
            let receipt = send(&mut plane, "/v1/purges?wait=complete", &body);
            assert_eq!(receipt["state"], "complete", "{receipt}");
            began.elapsed()
        };
        (0..RECEIPTS).map(&mut purge).collect()
    }
}

fn send(plane: &mut Connection, path: &str, body: &Value) -> Value {
    let json = [("content-type", "application/json")];
    let answer = plane.request("POST", path, &json, body.to_string().as_bytes());
    assert!(answer.status < 300, "{} {}", answer.status, answer.text());
    serde_json::from_slice(&answer.body).unwrap()
}

#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn from_call_to_receipt() {
    let fleet = Fleet::start();
    figure(
        "from purge to receipt, 3 edges, 3 members of etcd, idle",
        &fleet.receipts(),
    );
    let loads: Vec<_> = fleet
        .edges
        .iter()
        .map(|edge| {
            load(
                edge,
                &["--rate", &(LOAD / EDGES).to_string(), "--duration", "20s"],
            )
        })
        .collect();
    let times = fleet.receipts();
    let answered: f64 = loads.into_iter().map(rate).sum();
    let what =
        format!("from purge to receipt, while the edges answer {answered:.0} requests a second");
    figure(&what, &times);
}

#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn purges_a_second() {
    let fleet = Fleet::start();
    let (sent, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let began = Instant::now();
    thread::scope(|scope| {
        for purger in 0..PURGERS {
            let (fleet, sent, over) = (&fleet, &sent, &over);
            scope.spawn(move || {
                let mut plane = Connection::open(fleet.plane.admin());
                for n in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let body = json!({"tags": [format!("p{purger}-{n}")]});
                    send(&mut plane, "/v1/purges", &body);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        thread::sleep(SUSTAINED);
        over.store(true, Ordering::Relaxed);
    });
    let per_second = sent.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    // The edges have kept up: one more is complete as soon as ever.
    let last = Instant::now();
    fleet.plane.ask(
        "POST",
        "/v1/purges?wait=complete",
        &json!({"tags": ["last"]}),
    );
    row(&format!(
        "| purges a second, each a revision of its own, {PURGERS} callers | {} | {per_second:.0} |  |  |",
        sent.load(Ordering::Relaxed)
    ));
    figure("and the receipt of one more after them", &[last.elapsed()]);
}

#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn what_purges_cost_a_hit() {
    // Each has edges of its own: what was purged in one round would be alive in the next.
    let [quiet, purged, purging] = [(); 3].map(|()| Fleet::start());
    let mut plane = Connection::open(purged.plane.admin());
    for request in 0..LIVE / SCOPES {
        let tags: Vec<_> = (0..SCOPES).map(|n| format!("t{request}-{n}")).collect();
        let receipt = send(
            &mut plane,
            "/v1/purges?wait=complete&timeout=30s",
            &json!({"tags": tags}),
        );
        assert_eq!(receipt["state"], "complete", "{receipt}");
    }
    let [mut none, mut live, mut arriving] = [const { Vec::new() }; 3];
    let (mut arrived, mut during) = (0, Duration::ZERO);
    for _ in 0..ROUNDS {
        none.push(cost_of_a_hit(&quiet.edges[0]));
        live.push(cost_of_a_hit(&purged.edges[0]));
        let (sent, over, began) = (AtomicUsize::new(0), AtomicBool::new(false), Instant::now());
        thread::scope(|scope| {
            scope.spawn(|| arrive(&purging.plane, &sent, &over));
            arriving.push(cost_of_a_hit(&purging.edges[0]));
            over.store(true, Ordering::Relaxed);
            arrived += sent.load(Ordering::Relaxed);
            during += began.elapsed();
        });
    }
    let per_second = arrived as f64 / during.as_secs_f64();
    let base = median(none.iter().copied());
    for (what, costs) in [
        ("nothing purged", none),
        ("100,000 live purges", live),
        (
            &format!("{per_second:.0} purges a second arriving"),
            arriving,
        ),
    ] {
        let cost = median(costs.iter().copied());
        let most = costs.iter().copied().fold(0.0, f64::max);
        row(&format!(
            "| CPU of a hit of 1 KiB, {what}: {:+.1} % | {ROUNDS} | {cost:.2}µs |  | {most:.2}µs |",
            (cost / base - 1.0) * 100.0
        ));
    }
}

/// Purges of one tag each, as many a second as wanted if the plane keeps up, until it is over.
fn arrive(plane: &Role, sent: &AtomicUsize, over: &AtomicBool) {
    let began = Instant::now();
    let purger = |purger: usize| {
        let mut connection = Connection::open(plane.admin());
        for n in 0u32.. {
            let due = Duration::from_secs(1) * n * PURGERS as u32 / ARRIVING_PER_SECOND as u32;
            thread::sleep(due.saturating_sub(began.elapsed()));
            if over.load(Ordering::Relaxed) {
                return;
            }
            let body = json!({"tags": [format!("a{purger}-{n}")]});
            send(&mut connection, "/v1/purges", &body);
            sent.fetch_add(1, Ordering::Relaxed);
        }
    };
    thread::scope(|scope| {
        (0..PURGERS).for_each(|number| drop(scope.spawn(move || purger(number))));
    });
}

/// In microseconds, user and system, of the whole process.
fn cost_of_a_hit(edge: &Role) -> f64 {
    let used = || (edge.cpu_s(), edge.metric("seawall_requests_total"));
    let (cpu_before, requests_before) = used();
    let load = load(edge, &["--connections", "16", "--duration", HITS_FOR]);
    rate(load);
    let (cpu, requests) = used();
    (cpu - cpu_before) / (requests - requests_before) * 1e6
}

fn load(edge: &Role, how: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_seawall"))
        .args(["loadtest", "--workers", "1", "--json", "-", "--quiet"])
        .args(how)
        .arg(format!("http://{}/a", edge.listen()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Answers a second, all of them good.
fn rate(load: Child) -> f64 {
    let report = load.wait_with_output().unwrap().stdout;
    let report: Value = serde_json::from_slice(&report).unwrap();
    assert_eq!(report["errors"], 0, "{report}");
    report["requests_per_second"].as_f64().unwrap()
}
