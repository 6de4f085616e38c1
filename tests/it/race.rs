//! Purges racing reads over three edges: fills, validations, variants, collapsed waiters and clients that leave.
//! Once a receipt is complete, no edge may answer with less than what the origin said before the purge was ordered.
//! `make race` runs many; `make test` a few.

mod driver;
mod peers;
mod world;

use std::io::Write as _;

use serde_json::json;

use crate::support::Role;
use driver::{Count, Told, race};
use peers::{Nginx, Peers, Varnish};
use world::{Moods, Purge, World};

/// Of the reads and purges, for the caches side by side.
const BESIDE_SHARE: usize = 10;
const EDGES: [&str; 3] = ["edge-1", "edge-2", "edge-3"];

/// A control plane and three edges in front of a world.
struct Fleet {
    plane: Role,
    edges: Vec<Role>,
}

impl Fleet {
    fn before(world: &World) -> Self {
        let plane = Role::control_plane();
        for site in ["race0", "race1"] {
            let body = json!({"hosts": [format!("{site}.test")], "origin": world.url()});
            plane.ask("PUT", &format!("/v1/sites/{site}"), &body);
        }
        let edges = EDGES.map(|id| Role::edge_named(id, &plane)).into();
        let fleet = Self { plane, edges };
        for edge in &fleet.edges {
            edge.eventually_serves("race0.test");
            edge.eventually_serves("race1.test");
        }
        fleet
    }

    fn race(&self, world: &World, count: Count, purge: impl Fn(&Purge) + Sync) -> Told {
        let edges: Vec<_> = self.edges.iter().map(Role::listen).collect();
        race(world, &edges, count, purge)
    }

    /// Until its receipt is complete, with all three edges in it.
    fn purge(&self, purge: &Purge) {
        let path = "/v1/purges?wait=complete&timeout=30s";
        let receipt = self.plane.ask("POST", path, &purge.body());
        assert_eq!(receipt["state"], "complete", "{receipt}");
        assert_eq!(
            receipt["edges"].as_array().map(Vec::len),
            Some(3),
            "{receipt}"
        );
    }
}

/// So many as the environment asks for, or as few as `make test` has time for.
fn asked(name: &str, few: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => few,
    }
}

#[test]
fn nothing_stale_is_served_after_a_receipt() {
    let world = World::start(Moods::Changing);
    let fleet = Fleet::before(&world);
    let count = Count {
        reads: asked("READS", 20_000),
        purges: asked("PURGES", 200),
    };
    let told = fleet.race(&world, count, |purge| fleet.purge(purge));
    println!("{told}");
    assert_eq!(told.stale, Vec::<String>::new(), "{told}");
    // It was a race: everything it is about did happen.
    for kind in ["HIT", "MISS", "REVALIDATED", "left", "HEAD", "206", "304"] {
        assert!(told.answers.contains_key(kind), "no {kind}: {told}");
    }
}

/// One line of a table, also into the file that `RACE_ROWS` names.
fn row(cache: &str, told: &Told) {
    let Told {
        reads,
        purges,
        stale_count,
        took,
        ..
    } = told;
    let row = format!(
        "| {cache} | {reads} | {purges} | {stale_count} | {:.0} s |",
        took.as_secs_f64()
    );
    println!("{row}\n{told}\n{:#?}", told.stale);
    if let Ok(path) = std::env::var("RACE_ROWS") {
        let file = std::fs::File::options()
            .create(true)
            .append(true)
            .open(path);
        writeln!(file.unwrap(), "{row}").unwrap();
    }
}

#[test]
#[ignore = "a table, and minutes long: make race"]
fn beside_varnish_and_nginx() {
    let count = Count {
        reads: asked("READS", 20_000),
        purges: asked("PURGES", 200),
    };
    let few = Count {
        reads: count.reads / BESIDE_SHARE,
        purges: count.purges / BESIDE_SHARE,
    };
    let moods = [
        ("Seawall, of a changing origin", Moods::Changing, count),
        ("Seawall", Moods::Steady, few),
    ];
    for (name, moods, count) in moods {
        let world = World::start(moods);
        let fleet = Fleet::before(&world);
        let told = fleet.race(&world, count, |purge| fleet.purge(purge));
        row(name, &told);
        assert_eq!(told.stale_count, 0);
    }
    type Start = fn(&World) -> Box<dyn Peers>;
    let others: [(&str, Start); 2] = [
        ("Varnish", |world| Box::new(Varnish::before(world))),
        ("nginx", |world| Box::new(Nginx::before(world))),
    ];
    for (name, start) in others {
        let world = World::start(Moods::Steady);
        let peers = start(&world);
        let told = race(&world, &peers.addresses(), few, |purge| peers.purge(purge));
        row(name, &told);
    }
}

#[test]
fn a_purge_that_is_not_sent_is_seen() {
    let world = World::start(Moods::Steady);
    let fleet = Fleet::before(&world);
    let count = Count {
        reads: 2_000,
        purges: 20,
    };
    let told = fleet.race(&world, count, |_| {});
    assert!(!told.stale.is_empty(), "{told}");
}
