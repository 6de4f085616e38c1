//! `/v1/edges`: who is there, whichever plane is asked, and what is wrong with them.

use std::time::Duration;

use seawall_control_plane::store::Store;
use serde_json::{Value, json};

use crate::support::{Bench, CAP, Mood, eventually};

/// Longer than any edge may vouch after its last renewal.
const GONE: Duration = Duration::from_millis(11_005);

#[tokio::test]
async fn edges_are_listed_as_they_describe_themselves() {
    let bench = Bench::ticking().await;
    let more = json!({"state": "lkg", "problems": [{"path": "site", "message": "unknown word"}]});
    let renewal = bench.heartbeat_with("e1", "b1", 1, more).await;
    let head = renewal.json["head"].as_u64().unwrap();
    assert!(head > 1, "{renewal:?}");
    let edge = bench.get("/v1/edges").await.json["edges"][0].clone();
    let expect = json!({
        "id": "e1", "place": "here", "boot": "b1", "state": "lkg", "lag_ms": 4, "version": "1.2.3",
        "silent_ms": edge["silent_ms"],
        "applied": 1,
        "problems": [{"path": "site", "message": "unknown word"}],
        "first_seen_ms": edge["first_seen_ms"],
    });
    assert_eq!(edge, expect);
    let feed = format!("after={}-{}", bench.plane.epoch(), head - 1);
    let frames = bench.feed(&feed, |frames| !frames.is_empty()).await;
    assert!(
        frames[0].revision.0 >= head,
        "the feed comes past a registration at once: {frames:?}"
    );
}

#[tokio::test]
async fn an_edge_that_falls_silent_lags_by_the_silence_and_the_store_that_does_is_named() {
    let bench = Bench::new().await;
    bench.heartbeat("e1", "b1", 1).await;
    let listed = bench.get("/v1/edges").await.json;
    assert_eq!(listed["problem"], Value::Null);
    let (edge, revision) = (&listed["edges"][0], listed["revision"].as_u64());
    assert!(revision >= Some(1), "{listed}");
    assert_eq!(
        (&edge["state"], &edge["lag_ms"]),
        (&json!("live"), &json!(4))
    );
    bench.store.be(Mood::Down);
    bench.advance(GONE);
    let listed = bench.get("/v1/edges").await.json;
    let edge = &listed["edges"][0];
    let silent_ms = edge["silent_ms"].as_u64().unwrap();
    assert!(silent_ms >= 11_005, "{listed}");
    assert_eq!(
        (&edge["state"], &edge["lag_ms"]),
        (&json!("fenced"), &json!(silent_ms + 4))
    );
    let problem = listed["problem"].as_str().unwrap_or_default();
    assert!(problem.contains("has not answered for 11 s"), "{listed}");
}

#[tokio::test]
async fn every_plane_shows_the_edges_and_the_duplicates_of_all() {
    let one = Bench::ticking().await;
    let other = one.second().await;
    one.heartbeat("e1", "b1", 1).await;
    assert_eq!(other.heartbeat("e1", "b9", 1).await.status, 409);
    for plane in [&one, &other] {
        eventually(plane, "/v1/edges", |edges| {
            let problem = &edges.json["edges"][0]["problems"][0];
            let message = problem["message"].as_str().unwrap_or_default();
            problem["path"] == "id" && message.contains("\"b9\" in \"here\"")
        })
        .await;
    }
}

#[tokio::test]
async fn what_is_told_of_a_duplicate_is_over_some_time_after_it() {
    let bench = Bench::new().await;
    bench.heartbeat("e1", "b1", 1).await;
    assert_eq!(bench.heartbeat("e1", "b2", 1).await.status, 409);
    let refusals = async |bench: &Bench| {
        let view = bench.store.read("/seawall-status/v1/refusal/").await;
        view.unwrap().entries.len()
    };
    let count = async |expect: usize| {
        let counted = tokio::time::timeout(CAP, async {
            while refusals(&bench).await != expect {
                bench.advance(Duration::from_secs(1));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        counted.await.expect("it comes true");
    };
    count(1).await;
    count(0).await;
    let edge = bench.get("/v1/edges").await.json["edges"][0].clone();
    assert_eq!(edge["problems"], json!([]));
}

#[tokio::test]
async fn a_deregistered_edge_is_forgotten_until_it_is_heard_again() {
    let bench = Bench::ticking().await;
    bench.heartbeat("e1", "b1", 1).await;
    let revision = bench.purge(json!({"all": true})).await;
    assert_eq!(bench.delete("/v1/edges/e1").await.status, 204);
    assert_eq!(bench.get("/v1/edges").await.json["edges"], json!([]));
    let receipt = bench.get(&format!("/v1/purges/{revision}")).await;
    assert_eq!(receipt.json["state"], "complete");
    assert_eq!(
        bench.heartbeat("e1", "another", 1).await.status,
        200,
        "the id is free at once"
    );
    assert_eq!(
        bench.get("/v1/edges").await.json["edges"][0]["boot"],
        "another"
    );
}
