//! Receipts and vouching: what a purge says of each edge, and when an edge is renewed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Answer, Bench, CAP, Mood, eventually};

/// Longer than any edge may vouch after its last renewal.
const GONE: Duration = Duration::from_millis(11_005);

/// Purges everything with `wait=complete`, while `meanwhile` goes on with the revision of the purge.
async fn purge_while<F: Future<Output = ()>>(
    bench: &Bench,
    meanwhile: impl FnOnce(u64) -> F,
) -> Answer {
    let before = newest_purge(bench);
    let purge = bench.post("/v1/purges?wait=complete&timeout=60s", json!({"all": true}));
    let seen = async {
        while newest_purge(bench) == before {
            tokio::task::yield_now().await;
        }
        meanwhile(newest_purge(bench).unwrap()).await;
    };
    tokio::time::timeout(CAP, async { tokio::join!(purge, seen).0 })
        .await
        .expect("a receipt in time")
}

fn newest_purge(bench: &Bench) -> Option<u64> {
    let snapshot: Value = serde_json::from_slice(&bench.plane.snapshot().unwrap()).unwrap();
    snapshot["purges"].as_array().unwrap().last()?["revision"].as_u64()
}

fn states(answer: &Answer) -> Vec<(&str, &str)> {
    let edges = answer.json["edges"].as_array().unwrap().iter();
    edges
        .map(|edge| {
            (
                edge["id"].as_str().unwrap(),
                edge["state"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_purge_is_complete_once_every_edge_has_applied_it() {
    let bench = Bench::ticking().await;
    bench.heartbeat("e1", "b1", 1).await;
    bench.heartbeat("e2", "b2", 1).await;
    let answer = purge_while(&bench, async |revision| {
        assert_eq!(bench.heartbeat("e1", "b1", revision).await.status, 200);
        let pending = bench.get(&format!("/v1/purges/{revision}")).await;
        assert_eq!(pending.json["state"], "pending");
        assert_eq!(states(&pending), [("e1", "applied"), ("e2", "pending")]);
        assert_eq!(bench.heartbeat("e2", "b2", revision).await.status, 200);
    });
    let answer = answer.await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json["state"], "complete");
    assert_eq!(states(&answer), [("e1", "applied"), ("e2", "applied")]);
    let edge = &answer.json["edges"][0];
    assert_eq!(
        (&edge["place"], &edge["applied"]),
        (&json!("here"), &answer.json["revision"])
    );
    assert!(edge["ms"].is_u64(), "{edge}");
    assert_eq!(
        (&answer.json["counted"], &answer.json["matched"]),
        (&json!(false), &Value::Null)
    );
}

#[tokio::test]
async fn counts_come_after_completion_and_outlive_a_restart() {
    let bench = Bench::ticking().await;
    bench.heartbeat("e1", "b1", 1).await;
    bench.heartbeat("e2", "b2", 1).await;
    let revision = bench.purge(json!({"tags": ["t"]})).await;
    let path = format!("/v1/purges/{revision}");
    let counted = |objects: u64| json!({"counted": [{"revision": revision, "objects": objects, "bytes": 10 * objects}]});
    bench.heartbeat_with("e1", "b1", revision, counted(2)).await;
    bench.heartbeat("e2", "b2", revision).await;
    let half = bench.get(&path).await;
    assert_eq!(
        (&half.json["state"], &half.json["counted"]),
        (&json!("complete"), &json!(false))
    );
    assert_eq!(
        half.json["edges"][0]["matched"],
        json!({"objects": 2, "bytes": 20})
    );
    bench.heartbeat_with("e2", "b2", revision, counted(3)).await;
    let check = |answer: &Answer| {
        assert_eq!(
            answer.json["matched"],
            json!({"objects": 5, "bytes": 50}),
            "{answer:?}"
        );
        assert_eq!(answer.json["warnings"], json!([]));
    };
    check(&bench.get(&path).await);
    let bench = bench.restarted().await;
    check(&bench.get(&path).await);
}

#[tokio::test]
async fn a_purge_that_matched_nothing_warns() {
    let bench = Bench::ticking().await;
    let lonely = bench
        .post("/v1/purges?wait=complete", json!({"all": true}))
        .await;
    assert_eq!(lonely.status, 200, "no edge holds anything");
    assert_eq!(
        lonely.json["warnings"],
        json!(["nothing matched: no edge is registered"])
    );
    bench.heartbeat("e1", "b1", 1).await;
    let revision = bench.purge(json!({"urls": ["http://a/"]})).await;
    let counted = json!({"counted": [{"revision": revision, "objects": 0, "bytes": 0}]});
    bench.heartbeat_with("e1", "b1", revision, counted).await;
    let answer = bench.get(&format!("/v1/purges/{revision}")).await;
    let warning = answer.json["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with("nothing matched"), "{warning}");
}

#[tokio::test]
async fn a_purge_that_is_not_complete_in_time_is_accepted_all_the_same() {
    let bench = Bench::new().await;
    bench.heartbeat("e1", "b1", 1).await;
    let answer = purge_while(&bench, async |_| bench.advance(Duration::from_secs(5)));
    // 60 s have not passed, the edge may still vouch; now they have, and it was renewed meanwhile.
    let renewed = async {
        for _ in 0..12 {
            bench.heartbeat("e1", "b1", 1).await;
            bench.advance(Duration::from_secs(5));
        }
    };
    let (answer, ()) = tokio::join!(answer, renewed);
    assert_eq!(
        (answer.status.as_u16(), &answer.json["state"]),
        (202, &json!("pending"))
    );
    assert_eq!(states(&answer), [("e1", "pending")]);
}

#[tokio::test]
async fn an_edge_that_is_gone_ends_the_receipt_as_its_sites_say() {
    let check = async |on_partition: &str, status: u16, state: &str| {
        let bench = Bench::new().await;
        bench.site("a", "a.example", on_partition).await;
        let applied = bench.plane.list_sites()[0].document.revision.0;
        bench.heartbeat("e1", "b1", applied).await;
        let answer = purge_while(&bench, async |revision| {
            let pending = bench.get(&format!("/v1/purges/{revision}")).await;
            assert_eq!(pending.json["state"], "pending");
            bench.advance(GONE);
        });
        let answer = answer.await;
        assert_eq!(
            (answer.status.as_u16(), &answer.json["state"]),
            (status, &json!(state))
        );
        assert_eq!(states(&answer), [("e1", "fenced")], "{on_partition}");
        assert_eq!(
            bench.get("/v1/edges").await.json["edges"][0]["state"],
            "fenced"
        );
        let revision = answer.json["revision"].as_u64().unwrap();
        assert_eq!(
            bench.heartbeat("e1", "b1", revision).await.status,
            200,
            "it comes back"
        );
        let back = bench.get(&format!("/v1/purges/{revision}")).await;
        assert_eq!(
            (&back.json["state"], states(&back)),
            (&json!("complete"), vec![("e1", "applied")])
        );
    };
    check("serve", 202, "complete_reachable").await;
    check("revalidate", 200, "complete").await;
    check("refuse", 200, "complete").await;
}

#[tokio::test]
async fn an_edge_that_registers_after_a_purge_is_not_waited_for() {
    let bench = Bench::ticking().await;
    let before = bench.purge(json!({"all": true})).await;
    bench.heartbeat("e1", "b1", before - 1).await;
    let path = format!("/v1/purges/{before}");
    let answer = bench.get(&path).await;
    assert_eq!(
        (&answer.json["state"], states(&answer)),
        (&json!("complete"), vec![])
    );
    bench.heartbeat("e1", "b1", before).await;
    assert_eq!(states(&bench.get(&path).await), [("e1", "applied")]);
}

#[tokio::test]
async fn two_machines_with_one_id_make_no_false_receipt() {
    let bench = Bench::new().await;
    bench.heartbeat("e1", "first", 1).await;
    let revision = bench.purge(json!({"all": true})).await;
    let refused = bench.heartbeat("e1", "second", revision).await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json["type"]),
        (409, &json!("duplicate-edge"))
    );
    let receipt = bench.get(&format!("/v1/purges/{revision}")).await;
    assert_eq!(
        (&receipt.json["state"], states(&receipt)),
        (&json!("pending"), vec![("e1", "pending")])
    );
    let warnings = receipt.json["warnings"].to_string();
    assert!(
        warnings.contains("another machine uses its id"),
        "{warnings}"
    );
    let edge = bench.get("/v1/edges").await.json["edges"][0].clone();
    assert_eq!(
        (&edge["boot"], &edge["problems"][0]["path"]),
        (&json!("first"), &json!("id"))
    );

    bench.advance(GONE);
    let taken = bench.heartbeat("e1", "second", revision).await;
    assert_eq!(
        taken.status, 200,
        "the first can no longer vouch: {taken:?}"
    );
    let late = bench.heartbeat("e1", "first", revision).await;
    assert_eq!(late.status, 409, "and has lost the id");
    let edges = bench.get("/v1/edges").await.json["edges"].clone();
    assert_eq!(edges.as_array().map(Vec::len), Some(1));
    assert_eq!(
        (&edges[0]["boot"], &edges[0]["state"]),
        (&json!("second"), &json!("live"))
    );
}

#[tokio::test]
async fn an_edge_of_another_history_is_not_believed() {
    let bench = Bench::ticking().await;
    let ahead = bench.heartbeat("e1", "b1", 1_000_000).await;
    assert_eq!(
        (ahead.status.as_u16(), &ahead.json["type"]),
        (410, &json!("history-differs"))
    );
    let other = json!({"applied": {"epoch": 1, "revision": 1_000_000}});
    assert_eq!(bench.heartbeat_with("e1", "b1", 1, other).await.status, 200);
    let revision = bench.purge(json!({"all": true})).await;
    let receipt = bench.get(&format!("/v1/purges/{revision}")).await;
    assert_eq!(states(&receipt), [("e1", "pending")]);
}

#[tokio::test]
async fn a_receipt_survives_a_restart_and_the_fence_begins_anew() {
    let bench = Bench::new().await;
    bench.site("a", "a.example", "serve").await;
    let applied = bench.plane.list_sites()[0].document.revision.0;
    bench.heartbeat("e1", "b1", applied).await;
    bench.heartbeat("e2", "b2", applied).await;
    let revision = bench.purge(json!({"all": true})).await;
    bench.heartbeat("e1", "b1", revision).await;
    bench.advance(GONE / 2);
    let bench = bench.restarted().await;
    let path = format!("/v1/purges/{revision}");
    let receipt = bench.get(&path).await;
    assert_eq!(receipt.json["state"], "pending");
    assert_eq!(states(&receipt), [("e1", "applied"), ("e2", "pending")]);
    bench.advance(GONE / 2 + Duration::from_millis(1));
    assert_eq!(
        bench.get(&path).await.json["state"],
        "pending",
        "this plane saw the renewal later"
    );
    bench.advance(GONE / 2);
    assert_eq!(bench.get(&path).await.json["state"], "complete_reachable");
}

#[tokio::test]
async fn no_edge_is_fenced_by_a_plane_that_cannot_read() {
    let bench = Bench::new().await;
    bench.site("a", "a.example", "serve").await;
    let applied = bench.plane.list_sites()[0].document.revision.0;
    bench.heartbeat("e1", "b1", applied).await;
    let revision = bench.purge(json!({"all": true})).await;
    bench.store.be(Mood::Down);
    bench.advance(GONE);
    let path = format!("/v1/purges/{revision}");
    assert_eq!(bench.get(&path).await.json["state"], "pending");
    bench.store.be(Mood::Fine);
    assert_eq!(bench.get(&path).await.json["state"], "complete_reachable");
}

#[tokio::test]
async fn two_planes_know_each_others_edges() {
    let one = Bench::ticking().await;
    let other = one.second().await;
    one.heartbeat("e1", "b1", 1).await;
    other.heartbeat("e2", "b2", 1).await;
    eventually(&one, "/v1/edges", |edges| {
        edges.json["edges"].as_array().unwrap().len() == 2
    })
    .await;
    let answer = purge_while(&one, async |revision| {
        assert_eq!(one.heartbeat("e1", "b1", revision).await.status, 200);
        assert_eq!(other.heartbeat("e2", "b2", revision).await.status, 200);
    });
    let answer = answer.await;
    assert_eq!(
        (answer.status.as_u16(), states(&answer)),
        (200, vec![("e1", "applied"), ("e2", "applied")])
    );
    let duplicate = other.heartbeat("e1", "b9", 1).await;
    assert_eq!(
        duplicate.status, 409,
        "the other plane knows who holds the id"
    );
    let moved = other.heartbeat("e1", "b1", 1).await;
    assert_eq!(moved.status, 200, "an edge may change planes");
    let revision = one.purge(json!({"tags": ["t"]})).await;
    let read = other.get(&format!("/v1/purges/{revision}")).await;
    assert_eq!(read.status, 200, "any plane knows the purge");
}

#[tokio::test]
async fn a_purge_record_is_forgotten_when_it_is_old_and_everyone_is_past_it() {
    let bench = Bench::new().await;
    bench.heartbeat("e1", "b1", 1).await;
    let revision = bench.purge(json!({"all": true})).await;
    let path = format!("/v1/purges/{revision}");
    let floor = |bench: &Bench| -> u64 {
        let snapshot: Value = serde_json::from_slice(&bench.plane.snapshot().unwrap()).unwrap();
        snapshot["floor"].as_u64().unwrap()
    };
    bench.heartbeat("e1", "b1", revision).await;
    bench.advance(Duration::from_secs(1_800));
    bench.heartbeat("e1", "b1", revision).await;
    assert_eq!(
        (bench.get(&path).await.status.as_u16(), floor(&bench)),
        (200, 0)
    );
    bench.advance(Duration::from_secs(1_800));
    let gone = eventually(&bench, &path, |answer| answer.status == 404).await;
    assert_eq!(gone.json["type"], "no-such-purge");
    // Right after, the feed goes on for those who follow, and a snapshot says what it stands for.
    bench.advance(Duration::from_secs(1));
    let cap = tokio::time::timeout(CAP, async {
        while floor(&bench) != revision {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    cap.await.expect("a floor");
    let bench = bench.restarted().await;
    assert_eq!(floor(&bench), revision);
}
