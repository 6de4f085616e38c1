//! Purges while machines are cut off, stopped, doubled or without their quorum: readers at every edge know, before they ask,
//! what a receipt has promised by then.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use super::fleet::{Fleet, Pages, STANCES};
use super::load::Load;
use super::{EDGES, one_at_a_time};
use crate::support::{Connection, Response, Version, within};

/// Requests a second at each of the two edges that are never stopped.
const RATE: u32 = 550;
/// Fenced takes eleven seconds; a purge that waits for it, a little longer.
const PATIENCE: Duration = Duration::from_secs(60);
/// The machine with the id of another.
const TWIN: &str = "twin";
/// Between two requests of one reader, and two purges of one site.
const PAUSE: Duration = Duration::from_millis(20);

/// What was promised, and what happened.
#[derive(Default)]
struct Told {
    /// The edition that no edge may serve an older one than, by site: `complete`.
    of_all: [AtomicU64; STANCES.len()],
    /// The same for edges that vouch: also `complete_reachable`.
    of_vouching: [AtomicU64; STANCES.len()],
    stop: AtomicBool,
    counts: Mutex<BTreeMap<String, u64>>,
    wrong: Mutex<Vec<String>>,
}

impl Told {
    fn count(&self, what: String) {
        *lock(&self.counts).entry(what).or_default() += 1;
    }

    fn counted(&self, what: &str) -> u64 {
        lock(&self.counts).get(what).copied().unwrap_or_default()
    }

    /// Until each of these has happened again, from now on.
    #[track_caller]
    fn sees(&self, all: &[&str]) {
        let before: Vec<_> = all.iter().map(|what| self.counted(what)).collect();
        let again = || {
            all.iter()
                .zip(&before)
                .all(|(what, before)| self.counted(what) > *before)
        };
        within(PATIENCE, &all.join(", and "), again);
    }

    fn ends(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

#[test]
fn no_receipt_is_broken_by_any_fault() {
    let _turn = one_at_a_time();
    let Some(fleet) = Fleet::start(Version::V3_5) else {
        return;
    };
    let pages = fleet.put_stances();
    let began = Instant::now();
    let load = Load::start(fleet.clients(), &[fleet.url(0), fleet.url(2)], RATE);
    let told = Told::default();
    let mut fleet = fleet;
    thread::scope(|scope| {
        begin(scope, &fleet, &pages, &told);
        // Also when it fails: otherwise the others would never end.
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            break_everything(&mut fleet, &told);
        }));
        told.stop.store(true, Ordering::SeqCst);
        fleet.pause_edge(1, false);
        fleet.pause_plane(0, false);
        println!("{:#?}", lock(&told.counts));
        assert_eq!(*lock(&told.wrong), Vec::<String>::new());
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    let tally = load.end();
    println!(
        "{} requests meanwhile, {:.0} a second, {} failed",
        tally.requests,
        tally.requests as f64 / began.elapsed().as_secs_f64(),
        tally.failed
    );
    assert_eq!(tally.failed, 0, "{:#?}", tally.why);
}

fn begin<'scope>(
    scope: &'scope Scope<'scope, '_>,
    fleet: &Fleet,
    pages: &'scope Pages,
    told: &'scope Told,
) {
    for (site, name) in STANCES.into_iter().enumerate() {
        pages.write(name, 1);
        scope.spawn(move || publish(site, pages, told));
        for edge in 0..EDGES {
            let address = format!("{}:8080", fleet.edge(edge).address)
                .parse()
                .unwrap();
            let name = format!("edge {edge}");
            scope.spawn(move || read(&name, address, site, told, &told.stop));
        }
    }
}

fn break_everything(fleet: &mut Fleet, told: &Told) {
    let all_is_well = ["serve complete", "revalidate complete", "refuse complete"];
    told.sees(&all_is_well);
    let one_is_fenced = [
        "serve complete_reachable",
        "revalidate complete, one fenced",
        "refuse complete, one fenced",
    ];
    let it_does_as_told = [
        "edge 1: serve HIT, not vouched for",
        "edge 1: revalidate MISS, not vouched for",
        "edge 1: refuse 503",
    ];

    println!("an edge is cut off from all control planes");
    let planes = [fleet.plane(0).clone(), fleet.plane(1).clone()];
    let edge = fleet.edge(1).clone();
    planes.iter().for_each(|plane| edge.cut(plane));
    told.sees(&[&one_is_fenced[..], &it_does_as_told].concat());
    planes.iter().for_each(|plane| edge.heal(plane));
    told.sees(&all_is_well);

    println!("an edge is stopped until after its deadline, and goes on");
    fleet.pause_edge(1, true);
    told.sees(&one_is_fenced);
    fleet.pause_edge(1, false);
    told.sees(&all_is_well);

    println!("a control plane is stopped");
    fleet.pause_plane(0, true);
    told.sees(&["complete through plane 1"]);
    fleet.pause_plane(0, false);
    told.sees(&all_is_well);

    println!("etcd loses its majority amid purges");
    fleet.etcd.kill(0);
    fleet.etcd.kill(1);
    told.sees(&[
        "edge 0: refuse 503",
        "edge 1: refuse 503",
        "edge 2: refuse 503",
    ]);
    told.sees(&["edge 0: serve HIT, not vouched for", "no receipt"]);
    fleet.etcd.start_again(0);
    fleet.etcd.start_again(1);
    told.sees(&all_is_well);

    println!("another machine has the id of an edge");
    double(fleet, told, &all_is_well);
    told.sees(&all_is_well);
}

/// It follows, but nobody hears its heartbeats: it vouches for nothing.
fn double(fleet: &Fleet, told: &Told, all_is_well: &[&str]) {
    let (twin, address) = fleet.start_twin();
    let address = format!("{address}:8080").parse().unwrap();
    within(PATIENCE, "the other machine listens", || {
        Connection::try_open(address).is_some()
    });
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for site in 0..STANCES.len() {
            let over = &over;
            scope.spawn(move || read(TWIN, address, site, told, over));
        }
        let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            within(PATIENCE, "the control planes tell of it", || {
                (0..2).any(|plane| fleet.problems_of("e0", plane).contains("another start"))
            });
            told.sees(all_is_well);
            told.sees(&[
                "edge 0: serve HIT",
                "twin: serve HIT, not vouched for",
                "twin: refuse 503",
            ]);
        }));
        over.store(true, Ordering::SeqCst);
        seen.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
    drop(twin);
}

/// New editions of a site's page, each followed by a purge, through either control plane in its turn.
fn publish(site: usize, pages: &Pages, told: &Told) {
    let name = STANCES[site];
    for edition in 2.. {
        if told.ends() {
            return;
        }
        pages.write(name, edition);
        let plane = (edition as usize + site) % 2;
        let receipt = pages.purge(name, plane);
        let edges = receipt["edges"].as_array().cloned().unwrap_or_default();
        let fenced = edges
            .iter()
            .filter(|edge| edge["state"] == "fenced")
            .count();
        match receipt["state"].as_str() {
            Some("complete") => {
                told.of_all[site].fetch_max(edition, Ordering::SeqCst);
                told.of_vouching[site].fetch_max(edition, Ordering::SeqCst);
                told.count(format!(
                    "{name} complete{}",
                    if fenced > 0 { ", one fenced" } else { "" }
                ));
                told.count(format!("complete through plane {plane}"));
            }
            Some("complete_reachable") => {
                told.of_vouching[site].fetch_max(edition, Ordering::SeqCst);
                told.count(format!("{name} complete_reachable"));
            }
            Some(other) => told.count(format!("{name} {other}")),
            None => told.count("no receipt".into()),
        }
        thread::sleep(PAUSE);
    }
}

/// Asks one edge for the page of one site, until it is over.
fn read(edge: &str, address: SocketAddr, site: usize, told: &Told, over: &AtomicBool) {
    let (name, host) = (STANCES[site], format!("{}.test", STANCES[site]));
    let mut connection = Connection::open(address);
    while !over.load(Ordering::SeqCst) {
        // Before it is sent: what a receipt said by now binds this answer.
        let promised = |floors: &[AtomicU64]| floors[site].load(Ordering::SeqCst);
        let (of_all, of_vouching) = (promised(&told.of_all), promised(&told.of_vouching));
        let answer = connection.request("GET", &format!("/{name}"), &[("host", &host)], b"");
        let vouched = !answer.cache_status().contains("not vouched for");
        let floor = if vouched {
            of_vouching.max(of_all)
        } else {
            of_all
        };
        let how = match answer.status {
            200 => answer.x_cache().to_owned(),
            status => status.to_string(),
        };
        let not = if vouched || answer.status != 200 {
            ""
        } else {
            ", not vouched for"
        };
        told.count(format!("{edge}: {name} {how}{not}"));
        // Who has no configuration yet answers nothing.
        let is_dumb = edge == TWIN && answer.status == 503;
        if !is_dumb && let Err(why) = is_right(name, floor, &answer) {
            lock(&told.wrong).push(format!("{edge}, {name}: {why}; {}", answer.cache_status()));
        }
        thread::sleep(PAUSE);
    }
}

fn is_right(name: &str, floor: u64, answer: &Response) -> Result<(), String> {
    match (name, answer.status) {
        (_, 200) => {
            let edition: u64 = answer.text().parse().map_err(|_| answer.text())?;
            let stale = || format!("edition {edition} after a receipt for {floor}");
            (edition >= floor).then_some(()).ok_or_else(stale)
        }
        ("refuse", 503) => Ok(()),
        (_, status) => Err(format!("{status} {}", answer.text())),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
