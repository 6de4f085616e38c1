//! What ten thousand sites cost: to load, to hold, to change one of them, to keep. Printed, not judged: a shared
//! machine decides nothing.
//!
//! `cargo test --release -p seawall-edge --lib -- --ignored --nocapture what_ten_thousand_sites_cost`
#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::Arc;

use pingora_core::connectors::http::Connector;
use prometheus_client::registry::Registry;
use seawall_config::feed::{Change, Frame, SiteDocument, Snapshot};
use seawall_config::{Epoch, Revision};
use serde_json::json;

use super::disk::{self, Generation};
use crate::feed::Followed;
use crate::metrics::Metrics;
use crate::state::State;

const SITES: u64 = 10_000;
const CHANGES: u64 = 2_000;
/// Edges that memory is measured by.
const OTHERS: u64 = 4;

#[test]
#[ignore = "a measurement of some seconds: make bench prints it"]
fn what_ten_thousand_sites_cost() {
    let snapshot = Snapshot {
        epoch: Epoch(1),
        revision: Revision(SITES),
        sites: (1..=SITES).map(|n| site(n, n)).collect(),
        ..Snapshot::default()
    };
    let text = serde_json::to_vec(&snapshot).unwrap();
    drop(snapshot);
    println!(
        "{SITES} sites, {} bytes as a control plane sends them",
        text.len()
    );
    let (state, followed) = to_load(&text);
    let generation = Generation {
        followed: Arc::new(followed),
        kept: Vec::new(),
    };
    to_keep(&generation);
    to_change(&state, (*generation.followed).clone());
}

fn to_load(text: &[u8]) -> (State, Followed) {
    let load = || {
        let state = state();
        let snapshot: Snapshot = serde_json::from_slice(text).unwrap();
        let followed = Followed::from_snapshot(snapshot).unwrap();
        state.reset(&followed);
        (state, followed)
    };
    let (loaded, took) = cpu(load);
    println!("load from a control plane's answer: {took:.1} ms of CPU");
    // What the first one freed is used by the second; the others need memory of their own.
    let _second = load();
    let before = resident_bytes();
    let _others: Vec<_> = (0..OTHERS).map(|_| load()).collect();
    let held = resident_bytes().saturating_sub(before) / OTHERS / SITES;
    println!("held: {held} bytes a site, with two hosts and two rules, all told");
    loaded
}

fn to_keep(generation: &Generation) {
    let folder = std::env::temp_dir().join(format!("seawall-measure-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (length, took) = cpu(|| disk::save(&folder, generation).unwrap());
    println!("keep all of it on disk, once an hour, on a thread of its own: {took:.1} ms of CPU");
    let change = frame(SITES + 1);
    let append = || {
        let frame = serde_json::to_string(&change).unwrap();
        disk::append(&folder, length, &[frame], &[]).unwrap()
    };
    let (_, took) = cpu(append);
    println!("keep one change on disk, at most once a second: {took:.3} ms of CPU");
    let (_, took) = cpu(|| {
        let loaded = disk::load(&folder);
        let generation = loaded.generation.as_ref().unwrap();
        state().reset(&generation.followed);
        loaded.survived();
    });
    println!("load from disk: {took:.1} ms of CPU");
    fs::remove_dir_all(folder).unwrap();
}

fn to_change(state: &State, mut followed: Followed) {
    let (_, took) = cpu(|| state.reset(&followed));
    println!("the same picture again: {took:.2} ms of CPU");
    let (_, took) = cpu(|| {
        for revision in SITES + 1..=SITES + CHANGES {
            let frame = frame(revision);
            followed.check(&frame).unwrap();
            // As when it is being saved: another holds it, too.
            followed = followed.clone();
            followed.advance(&frame);
            state.advance(&frame, &followed);
        }
    });
    println!("one changed site: {:.3} ms of CPU", took / CHANGES as f64);
    let built = state.snapshot.load().sites.built;
    assert_eq!(built, SITES + CHANGES, "and nothing else was built");
}

/// One changed site.
fn frame(revision: u64) -> Frame {
    Frame {
        epoch: Epoch(1),
        revision: Revision(revision),
        changes: vec![Change::PutSite(site(1 + revision % SITES, revision))],
    }
}

fn site(number: u64, revision: u64) -> SiteDocument {
    let name = format!("site-{number}");
    let site = json!({
        "name": name, "hosts": [format!("www.{name}.example"), format!("*.{name}.example")],
        "origin": {"server": [{"url": "http://127.0.0.1:9000"}, {"url": "http://127.0.0.1:9001", "weight": 2}]},
        "cache": {"default_ttl": format!("{revision}s"), "stale_while_revalidate": "30s"},
        "rule": [{"path": "/api/*", "cache": "off"}, {"path": "*.jpg", "default_ttl": "1d"}],
    });
    SiteDocument {
        name,
        created: Revision(number),
        revision: Revision(revision),
        site,
    }
}

fn state() -> State {
    let metrics = Metrics::register(&mut Registry::default());
    State::new("e1", Vec::new(), 1 << 20, Connector::new(None), metrics)
}

/// And the milliseconds of this thread's CPU that it took.
fn cpu<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let before = ran_ns();
    let done = work();
    (done, (ran_ns() - before) as f64 / 1e6)
}

fn ran_ns() -> u64 {
    // The kernel counts a thread's time when it is switched.
    std::thread::yield_now();
    let counted = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    counted.split(' ').next().unwrap().parse().unwrap()
}

fn resident_bytes() -> u64 {
    let counted = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = counted.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096
}
