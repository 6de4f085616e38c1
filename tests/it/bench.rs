//! Figures, not verdicts: `make bench` runs these, and writes what they print into docs/benchmarks.md.

pub mod bare;
mod cores;
mod hits;
mod load;
mod million;
mod origins;
mod outlived;
mod purges;
mod servers;

use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::sync::{Barrier, mpsc};

use crate::last_good::booting;
use crate::support::{Connection, Etcd, Origin, Role, Version, eventually, ok};

const EDGES: usize = 10;
const CHANGES: usize = 100;
const FOLLOWERS: usize = 2_000;
const WRITES: usize = 50;
const BOOTS: usize = 20;

#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn a_change_is_in_force_on_ten_edges() {
    let etcd = Etcd::start(Version::V3_5, 3).expect("etcd 3.5");
    let plane = control_plane(&etcd);
    let origin = Origin::start();
    origin.says("/", ok("here").max_age(3_600));
    let edges: Vec<_> = (0..EDGES)
        .map(|n| Role::edge_named(&format!("e{n}"), &plane))
        .collect();
    let mut slowest = Vec::new();
    for change in 0..CHANGES {
        let host = format!("v{change}.test");
        let site = json!({"hosts": ["www.test", host], "origin": origin.url()});
        let began = Instant::now();
        plane.ask("PUT", "/v1/sites/www", &site);
        let seen = std::thread::scope(|scope| {
            let seen = edges
                .iter()
                .map(|edge| scope.spawn(|| in_force(edge, &host)));
            let seen: Vec<_> = seen.collect();
            seen.into_iter()
                .map(|seen| seen.join().unwrap())
                .max()
                .unwrap()
        });
        slowest.push(seen - began);
    }
    figure(
        "a changed site is in force on the last of 10 edges",
        &slowest,
    );
}

/// When an edge first serves a host that it did not know.
fn in_force(edge: &Role, host: &str) -> Instant {
    let mut connection = Connection::open(edge.listen());
    let mut seen = Instant::now();
    eventually("it is in force", || {
        let answer = connection.request("GET", "/", &[("host", host)], b"");
        seen = Instant::now();
        if answer.status != 200 {
            connection = Connection::open(edge.listen());
        }
        answer.status == 200
    });
    seen
}

#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn two_thousand_followers_hear_of_a_write() {
    let etcd = Etcd::start(Version::V3_5, 3).expect("etcd 3.5");
    let plane = control_plane(&etcd);
    let write = |n: usize| {
        let began = Instant::now();
        let site = json!({"hosts": [format!("w{n}.test")], "origin": "http://127.0.0.1:1"});
        plane.ask("PUT", "/v1/sites/www", &site);
        began.elapsed()
    };
    let mut member = Connection::open(
        etcd.endpoint(0)
            .trim_start_matches("http://")
            .parse()
            .unwrap(),
    );
    let (mut alone, mut stored) = (Vec::new(), Vec::new());
    for n in 0..WRITES {
        alone.push(write(n));
        stored.push(store_write(&mut member));
    }
    figure("a site is put, nobody follows", &alone);
    figure("etcd itself puts a key, nobody follows", &stored);

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (heard, mut hears) = mpsc::unbounded_channel();
    let snapshot = plane.ask("GET", "/v1/snapshot", &json!(null));
    let after = format!("{}-{}", snapshot["epoch"], snapshot["revision"]);
    let following = Arc::new(Barrier::new(FOLLOWERS + 1));
    for _ in 0..FOLLOWERS {
        let (heard, following) = (heard.clone(), following.clone());
        runtime.spawn(follow(plane.admin(), after.clone(), following, heard));
    }
    runtime.block_on(following.wait());
    let (mut latencies, mut last, mut stored) = (Vec::new(), Vec::new(), Vec::new());
    for n in WRITES..2 * WRITES {
        let began = Instant::now();
        latencies.push(write(n));
        let host = format!("w{n}.test");
        let mut count = 0;
        let all = runtime.block_on(async {
            loop {
                let (line, at): (Arc<str>, Instant) = hears.recv().await.unwrap();
                count += usize::from(line.contains(&host));
                if count == FOLLOWERS {
                    return at;
                }
            }
        });
        last.push(all - began);
        stored.push(store_write(&mut member));
    }
    figure("a site is put, 2,000 follow", &latencies);
    figure("etcd itself puts a key, 2,000 follow", &stored);
    figure("the last of 2,000 followers has heard of it", &last);
}

/// How long etcd takes for a key that is none of ours, asked over its own HTTP.
fn store_write(member: &mut Connection) -> Duration {
    let began = Instant::now();
    // /bench and v, in base64.
    let put = br#"{"key":"L2JlbmNo","value":"dg=="}"#;
    let answer = member.request("POST", "/v3/kv/put", &[], put);
    assert_eq!(answer.status, 200, "{}", answer.text());
    began.elapsed()
}

/// One follower of the feed: tells each line that puts a site, and when it came.
async fn follow(
    plane: std::net::SocketAddr,
    after: String,
    following: Arc<Barrier>,
    heard: mpsc::UnboundedSender<(Arc<str>, Instant)>,
) {
    let mut stream = tokio::net::TcpStream::connect(plane).await.unwrap();
    let request = format!("GET /v1/feed?after={after} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    // The first line of the feed comes at once.
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.starts_with('{') {
            break;
        }
    }
    following.wait().await;
    while let Some(line) = lines.next_line().await.unwrap() {
        if line.contains("\"www\"") && heard.send((line.into(), Instant::now())).is_err() {
            return;
        }
    }
}

#[test]
#[ignore = "a figure, and minutes long: make bench"]
fn an_edge_boots_with_everything_else_dead() {
    let origin = Origin::start();
    origin.says("/a", ok("a").max_age(3600));
    for sites in [1, 10_000] {
        let folder = booting::snapshot_of(sites, &origin);
        let boots = (0..BOOTS).map(|_| {
            let began = Instant::now();
            let edge = Role::edge_in("edge-x", &[booting::NOBODY], &folder);
            edge.eventually_serves(&format!("s{sites}.test"));
            began.elapsed()
        });
        figure(
            &format!("an edge starts with all else dead and answers, {sites} sites on its disk"),
            &boots.collect::<Vec<_>>(),
        );
    }
}

fn control_plane(etcd: &Etcd) -> Role {
    let endpoints = etcd.endpoints();
    Role::control_plane_on(&format!(
        "store = \"etcd\"\nstate = \"state\"\netcd.endpoints = {endpoints:?}\n"
    ))
}

/// One row of the table.
fn figure(what: &str, times: &[Duration]) {
    let mut times = times.to_vec();
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    let row = format!(
        "| {what} | {} | {:.1?} | {:.1?} | {:.1?} |",
        times.len(),
        at(50),
        at(99),
        at(100)
    );
    self::row(&row);
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn row(row: &str) {
    row_of("BENCH_ROWS", row);
}

/// Of the table in the file that this variable names.
fn row_of(table: &str, row: &str) {
    println!("{row}");
    if let Some(file) = std::env::var_os(table) {
        let mut file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(file)
            .unwrap();
        writeln!(file, "{row}").unwrap();
    }
}
