//! A whole deployment on machines of its own, under load, while everything that may fail does: and whoever asks an edge
//! that runs gets an answer.

mod fleet;
mod load;
mod net;
mod purging;
mod relay;
mod witness;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::support::{Version, eventually};
use fleet::{EDGES, Fleet};
use load::Load;
use witness::Witnesses;

/// What is done to a fleet, in which round.
type Fault = fn(&mut Fleet, usize);

/// How often each fault is injected.
const ROUNDS: usize = 3;
/// Requests a second at each of the two edges that are never killed.
const RATE: u32 = 550;

/// Two clusters at once would be too much for a small machine.
static TURN: Mutex<()> = Mutex::new(());

fn one_at_a_time() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_cluster_serves_through_every_fault_and_agrees_after_it() {
    let _turn = one_at_a_time();
    let newest = Fleet::start(Version::V3_5).or_else(|| Fleet::start(Version::V3_4));
    let Some(mut fleet) = newest else {
        return;
    };
    let began = Instant::now();
    let witnesses = Witnesses::start(fleet.asked());
    let load = Load::start(fleet.clients(), &[fleet.url(0), fleet.url(1)], RATE);
    let faults: [(&str, Fault); 11] = [
        ("a control plane is killed", a_plane_is_killed),
        ("an edge is killed", an_edge_is_killed),
        ("the origin is killed", the_origin_is_killed),
        ("a member of etcd is killed", a_member_is_killed),
        ("the leader of etcd is killed", the_leader_is_killed),
        ("etcd loses its majority", the_majority_is_lost),
        (
            "an edge is cut off from all control planes",
            an_edge_is_cut_off,
        ),
        ("a control plane is cut off from etcd", a_plane_is_cut_off),
        ("a link falls silent", a_link_falls_silent),
        (
            "compaction while some are away",
            compaction_overtakes_the_absent,
        ),
        (
            "hostile values are written into etcd",
            hostile_values_are_written,
        ),
    ];
    for (name, fault) in faults {
        for round in 0..ROUNDS {
            let began = Instant::now();
            fault(&mut fleet, round);
            fleet.converges();
            println!(
                "{name}, round {}: agreed after {:.1?}",
                round + 1,
                began.elapsed()
            );
        }
    }
    // A restored backup brings revisions back that mean something else: nobody is to agree on those.
    let compared = witnesses.agree();
    println!(
        "{compared} times a revision was told by one control plane as by the other, and none was left out"
    );
    assert!(compared > 0);
    for round in 0..ROUNDS {
        let began = Instant::now();
        a_backup_is_restored(&mut fleet);
        fleet.converges();
        println!(
            "a backup is restored, round {}: agreed after {:.1?}",
            round + 1,
            began.elapsed()
        );
    }
    let sites = fleet.has_lost_nothing();
    println!("every edge serves each of {sites} sites that were acknowledged meanwhile");
    let tally = load.end();
    let per_second = tally.requests as f64 / began.elapsed().as_secs_f64();
    println!(
        "{} requests meanwhile, {per_second:.0} a second, {} of them hits, {} failed",
        tally.requests, tally.hits, tally.failed
    );
    assert_eq!(tally.failed, 0, "{:#?}", tally.why);
    assert!(tally.hits > 0);
}

fn a_plane_is_killed(fleet: &mut Fleet, round: usize) {
    let (gone, other) = (round % 2, (round + 1) % 2);
    fleet.kill_plane(gone);
    eventually("the other completes a purge", || {
        fleet.publish(other, "2s").0 == 0
    });
    assert!((0..3).all(|edge| fleet.is_new(edge)));
    fleet.start_plane(gone);
}

fn an_edge_is_killed(fleet: &mut Fleet, _: usize) {
    fleet.kill_edge(2);
    let (exit, receipt) = fleet.publish(0, "500ms");
    assert_ne!(exit, 0, "nobody knows what it may serve: {receipt}");
    fleet.start_edge(2);
    eventually("it serves again", || !fleet.get(2).is_empty());
}

fn the_origin_is_killed(fleet: &mut Fleet, _: usize) {
    assert!((0..3).all(|edge| fleet.is_new(edge)));
    fleet.kill_origin();
    assert!(
        (0..3).all(|edge| fleet.is_new(edge)),
        "what is stored is served"
    );
    fleet.start_origin();
}

fn a_member_is_killed(fleet: &mut Fleet, round: usize) {
    let member = (fleet.etcd.leader() + 1 + round % 2) % 3;
    fleet.etcd.kill(member);
    eventually("a purge is complete without it", || {
        fleet.publish(round % 2, "2s").0 == 0
    });
    fleet.etcd.start_again(member);
}

fn the_leader_is_killed(fleet: &mut Fleet, round: usize) {
    let leader = fleet.etcd.leader();
    fleet.etcd.kill(leader);
    eventually("a purge is complete under another leader", || {
        fleet.publish(round % 2, "2s").0 == 0
    });
    fleet.etcd.start_again(leader);
}

fn the_majority_is_lost(fleet: &mut Fleet, round: usize) {
    let (one, other) = (round % 3, (round + 1) % 3);
    fleet.etcd.kill(one);
    fleet.etcd.kill(other);
    let (exit, receipt) = fleet.publish(round % 2, "500ms");
    assert_ne!(
        exit, 0,
        "without a majority nothing is acknowledged: {receipt}"
    );
    assert!(
        (0..3).all(|edge| !fleet.get(edge).is_empty()),
        "and everything is served"
    );
    fleet.etcd.start_again(one);
    fleet.etcd.start_again(other);
}

fn an_edge_is_cut_off(fleet: &mut Fleet, _: usize) {
    fleet.converges();
    let planes = [fleet.plane(0).clone(), fleet.plane(1).clone()];
    let edge = fleet.edge(1).clone();
    planes.iter().for_each(|plane| edge.cut(plane));
    let before = fleet.get(1);
    let (exit, receipt) = fleet.publish(0, "1s");
    assert_ne!(
        exit, 0,
        "the edge may still serve what was purged: {receipt}"
    );
    assert_eq!(
        fleet.get(1),
        before,
        "a site that prefers to be served is served"
    );
    planes.iter().for_each(|plane| edge.heal(plane));
}

fn a_plane_is_cut_off(fleet: &mut Fleet, round: usize) {
    let (gone, other) = (round % 2, (round + 1) % 2);
    let plane = fleet.plane(gone).clone();
    let members = [0, 1, 2].map(|n| fleet.member(n).clone());
    members.iter().for_each(|member| plane.cut(member));
    eventually("the other completes a purge", || {
        fleet.publish(other, "2s").0 == 0
    });
    let (exit, receipt) = fleet.publish(gone, "500ms");
    assert_ne!(
        exit, 0,
        "who does not reach etcd acknowledges nothing: {receipt}"
    );
    eventually("it says that it is not ready", || {
        fleet.readiness(gone).contains("not ready")
    });
    members.iter().for_each(|member| plane.heal(member));
    eventually("it is ready again", || fleet.readiness(gone) == "ok\n");
}

fn a_link_falls_silent(fleet: &mut Fleet, round: usize) {
    let plane = fleet.plane(round % 2).clone();
    // Whichever member it watches: in its turn that one is silent.
    for n in 0..3 {
        let member = fleet.member(n).clone();
        plane.cut(&member);
        eventually("a purge is complete over the others", || {
            fleet.publish(round % 2, "2s").0 == 0
        });
        assert!((0..3).all(|edge| fleet.is_new(edge)));
        plane.heal(&member);
    }
}

fn compaction_overtakes_the_absent(fleet: &mut Fleet, round: usize) {
    let (gone, other) = (round % 2, (round + 1) % 2);
    fleet.kill_edge(2);
    fleet.kill_plane(gone);
    for _ in 0..3 {
        fleet.publish(other, "200ms");
    }
    let status = fleet
        .etcd
        .ctl(0, &["endpoint", "status", "--write-out=fields"]);
    let revision = status
        .lines()
        .find_map(|line| line.strip_prefix("\"Revision\" : "));
    fleet.etcd.ctl(0, &["compact", revision.unwrap().trim()]);
    // None that knows of what is gone from etcd's log.
    fleet.kill_plane(other);
    fleet.start_plane(gone);
    fleet.start_plane(other);
    fleet.start_edge(2);
    eventually("the edge takes everything anew", || {
        snapshots_taken(fleet, 2) > 0
    });
}

/// How often an edge could not go on in the feed since it started.
fn snapshots_taken(fleet: &Fleet, edge: usize) -> u64 {
    let machine = fleet.edge(edge);
    let url = format!("http://{}:9081/metrics", machine.itself());
    let asked = machine.command("curl").args(["--silent", &url]).output();
    let said = String::from_utf8(asked.unwrap().stdout).unwrap();
    let counts = said.lines().find_map(|line| {
        let count = line.strip_prefix("seawall_feed_snapshots_total ")?;
        count.parse().ok()
    });
    counts.unwrap_or(0)
}

fn hostile_values_are_written(fleet: &mut Fleet, round: usize) {
    let large = "x".repeat(100_000);
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let key = |name: &str| format!("/seawall/v1/{name}");
    for (key, value) in [
        (key(&format!("site/hostile{round}")), "{"),
        (key("site/large"), large.as_str()),
        (key("site/deep"), deep.as_str()),
        (key("site/UPPER"), "{}"),
        (key("site/control\u{1}\nsite"), "{}"),
        (key("purge/by-hand"), r#"{"scopes":"all of it"}"#),
        (key("unknown/word"), "7"),
        (key("beacon"), "not a beacon"),
        (key("floor"), "18446744073709551615"),
        ("/seawall-status/v1/edge/e9".into(), "{\"boot\":7}"),
        ("/seawall-status/v1/edge/e2".into(), "{\"boot\":8}"),
        ("/seawall-status/v1/plane/xyz".into(), "[[[["),
        ("/seawall-status/v1/counted/9/xyz".into(), "-1"),
        ("/seawall-status/v1/counted/x".into(), "-1"),
    ] {
        fleet.etcd.ctl(round % 3, &["put", "--", &key, value]);
    }
    eventually("purges go on meanwhile", || {
        fleet.publish(round % 2, "2s").0 == 0
    });
    assert!((0..3).all(|edge| fleet.is_new(edge)));
    eventually("beacons go on", || {
        let beacon = fleet
            .etcd
            .ctl(0, &["get", "--print-value-only", &key("beacon")]);
        beacon.contains("at_ms")
    });
    // One whose own record was written over, and that has to be told of everything again.
    fleet.kill_edge(2);
    fleet.start_edge(2);
    for name in [format!("hostile{round}"), "large".into(), "deep".into()] {
        eventually("what was written by hand can be taken away", || {
            fleet.seawall(&["site", "delete", &name], round % 2).0 == 0
        });
    }
}

fn a_backup_is_restored(fleet: &mut Fleet) {
    let (backup, kept) = (fleet.etcd.backup(), fleet.acknowledged());
    fleet.converges();
    fleet.etcd.restore(&backup);
    fleet.lost_after(kept);
    // One that had not followed so far yet cannot know; but no edge goes back with it.
    eventually("a control plane refuses it", || {
        (0..2).any(|plane| fleet.readiness(plane).contains("raise the epoch"))
    });
    for plane in 0..2 {
        let (exit, receipt) = fleet.publish(plane, "500ms");
        assert_ne!(exit, 0, "{receipt}");
    }
    assert!(
        (0..3).all(|edge| !fleet.get(edge).is_empty()),
        "and everything is served"
    );
    fleet.raise_epoch();
}
