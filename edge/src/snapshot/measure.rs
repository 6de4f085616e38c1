//! What ten thousand sites cost: to load, to hold, to change one of them, to keep. Printed, not judged: a shared
//! machine decides nothing.
//!
//! `cargo test --release -p seawall-edge --lib -- --ignored --nocapture what_ten_thousand_sites_cost`
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
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
    let folder = std::env::temp_dir().join(format!("seawall-measure-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
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

    let load = || {
        let state = state();
        let snapshot: Snapshot = serde_json::from_slice(&text).unwrap();
        let followed = Followed::from_snapshot(snapshot).unwrap();
        state.reset(&followed);
        (state, followed)
    };
    let ((state, followed), took) = cpu(load);
    println!("load from a control plane's answer: {took:.1} ms of CPU");
    // What the first one freed is used by the second; the others need memory of their own.
    let _second = load();
    let before = resident_bytes();
    let _others: Vec<_> = (0..OTHERS).map(|_| load()).collect();
    let held = resident_bytes().saturating_sub(before) / OTHERS / SITES;
    println!("held: {held} bytes a site, with two hosts and two rules, all told");

    let generation = Generation {
        followed: Arc::new(followed),
        kept: Vec::new(),
    };
    on_disk(&folder, &generation);
    let (_, took) = cpu(|| state.reset(&generation.followed));
    println!("the same picture again: {took:.2} ms of CPU");
    // As when it is being saved: what is followed is held by another, too.
    let mut followed = (*generation.followed).clone();
    let (_, took) = cpu(|| {
        for change in 1..=CHANGES {
            let revision = SITES + change;
            let frame = Frame {
                epoch: Epoch(1),
                revision: Revision(revision),
                changes: vec![Change::PutSite(site(1 + change % SITES, revision))],
            };
            followed.check(&frame).unwrap();
            followed = followed.clone();
            followed.advance(&frame);
            state.advance(&frame, &followed);
        }
    });
    println!("one changed site: {:.3} ms of CPU", took / CHANGES as f64);
    assert_eq!(
        state.snapshot.load().sites.built,
        SITES + CHANGES,
        "and nothing else was built"
    );
    fs::remove_dir_all(folder).unwrap();
}

fn on_disk(folder: &Path, generation: &Generation) {
    let (_, took) = cpu(|| disk::save(folder, generation).unwrap());
    println!("keep on disk, at most once a second, on a thread of its own: {took:.1} ms of CPU");
    let (_, took) = cpu(|| {
        let loaded = disk::load(folder);
        let generation = loaded.generation.as_ref().unwrap();
        state().reset(&generation.followed);
        loaded.survived();
    });
    println!("load from disk: {took:.1} ms of CPU");
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
