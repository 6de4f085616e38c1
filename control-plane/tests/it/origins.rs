//! `/v1/origins`: draining a server is a change like any other, and what edges see is told.

use seawall_config::feed::{Change, Drain, Snapshot};
use serde_json::{Value, json};

use crate::support::Bench;

const SERVER: &str = "http://a.test:9000";

fn snapshot(bench: &Bench) -> Snapshot {
    serde_json::from_slice(&bench.plane.snapshot().unwrap()).unwrap()
}

async fn site(bench: &Bench) {
    let servers = json!([{"url": SERVER}, {"url": "http://b.test"}]);
    let site = json!({"name": "a", "hosts": ["a.test"], "origin": {"server": servers}});
    let put = bench.put("/v1/sites/a", site).await;
    assert!(put.status.is_success(), "{put:?}");
}

async fn drain(bench: &Bench, server: &str, drained: bool) -> u16 {
    let order = json!({"server": server, "drained": drained});
    bench.post("/v1/origins/a", order).await.status.as_u16()
}

fn drained(servers: &[&str]) -> Drain {
    Drain {
        site: "a".into(),
        servers: servers.iter().map(ToString::to_string).collect(),
        optional: true,
    }
}

#[tokio::test]
async fn a_drained_server_is_a_change_that_edges_follow_and_a_snapshot_holds() {
    let bench = Bench::new().await;
    site(&bench).await;
    let start = snapshot(&bench).revision;
    // However it is spelt.
    assert_eq!(drain(&bench, "HTTP://A.test:9000/", true).await, 200);
    assert_eq!(drain(&bench, SERVER, true).await, 200);
    assert_eq!(snapshot(&bench).drained, [drained(&[SERVER])]);
    assert_eq!(drain(&bench, "http://b.test", true).await, 200);
    assert_eq!(drain(&bench, SERVER, false).await, 200);
    let bench = bench.restarted().await;
    assert_eq!(snapshot(&bench).drained, [drained(&["http://b.test"])]);
    let drains = |frames: &[seawall_config::feed::Frame]| {
        let changes = frames.iter().flat_map(|frame| frame.changes.clone());
        let drains = changes.filter_map(|change| match change {
            Change::Drain(drain) => Some(drain),
            _ => None,
        });
        drains.collect::<Vec<_>>()
    };
    let after = format!("after={}-{start}", bench.plane.epoch());
    let frames = bench.feed(&after, |frames| drains(frames).len() >= 3).await;
    let expect = [
        drained(&[SERVER]),
        drained(&[SERVER, "http://b.test"]),
        drained(&["http://b.test"]),
    ];
    assert_eq!(drains(&frames), expect);
}

#[tokio::test]
async fn what_is_not_there_is_not_drained_and_a_new_site_begins_anew() {
    let bench = Bench::new().await;
    assert_eq!(drain(&bench, SERVER, true).await, 404);
    site(&bench).await;
    assert_eq!(drain(&bench, "http://other.test", true).await, 400);
    assert_eq!(drain(&bench, "nonsense", true).await, 400);
    assert_eq!(drain(&bench, SERVER, true).await, 200);
    bench.delete("/v1/sites/a").await;
    assert_eq!(snapshot(&bench).drained, []);
    site(&bench).await;
    assert_eq!(snapshot(&bench).drained, []);
    let listed = bench.get("/v1/origins?site=a").await.json;
    let states = listed["servers"].as_array().unwrap();
    assert!(
        states.iter().all(|it| it["drained"] == json!(false)),
        "{listed}"
    );
}

#[tokio::test]
async fn what_an_edge_sees_is_told_whichever_plane_is_asked() {
    let bench = Bench::ticking().await;
    site(&bench).await;
    let sights = json!({"origins": [
        {"site": "a", "server": SERVER, "state": "down", "why": "no answer in time"},
        {"site": "gone", "server": "http://x.test", "state": "open"},
    ]});
    bench.heartbeat_with("e1", "b1", 1, sights).await;
    let other = bench.second().await;
    for bench in [&bench, &other] {
        let listed = bench.get("/v1/origins").await.json;
        let expect = json!([
            {"site": "a", "server": SERVER, "drained": false, "seen": [
                {"edge": "e1", "place": "here", "state": "down", "why": "no answer in time"},
            ]},
            {"site": "a", "server": "http://b.test", "drained": false, "seen": []},
        ]);
        assert_eq!(listed["servers"], expect, "{listed}");
        assert_eq!(
            (&listed["cut"], &listed["problem"]),
            (&json!(false), &Value::Null)
        );
    }
}
