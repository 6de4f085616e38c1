//! A change of sites that comes with a purge, sent again with its `Idempotency-Key`: as for a purge alone, it is done once
//! (draft-ietf-httpapi-idempotency-key-header).

use serde_json::{Value, json};

use crate::support::{Answer, Bench, Mood};

fn site(name: &str, host: &str) -> Value {
    json!({"name": name, "hosts": [host], "origin": "http://127.0.0.1:9000"})
}

async fn change(bench: &Bench, key: &str, body: Value) -> Answer {
    let fields = [("idempotency-key", key)];
    bench.ask("POST /v1/sites", &fields, body).await
}

/// One site comes, another goes, and what that one had is purged.
fn moving() -> Value {
    json!({"put": [site("new", "a.example")], "delete": ["old"], "purge": {"sites": ["old"]}})
}

async fn names(bench: &Bench) -> Vec<String> {
    let sites = bench.get("/v1/sites").await.json["sites"].clone();
    let sites = sites.as_array().unwrap().iter();
    sites
        .map(|site| site["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_change_and_its_purge_that_are_sent_again_are_done_once() {
    let bench = Bench::new().await;
    bench.site("old", "a.example", "serve").await;
    let first = change(&bench, "deploy-42", moving()).await;
    assert_eq!(first.status, 202, "{first:?}");
    let again = change(&bench, "\"deploy-42\"", moving()).await;
    assert_eq!(again.status, 202, "{again:?}");
    for part in ["/revision", "/purge/revision", "/purge/token"] {
        let (first, again) = (first.json.pointer(part), again.json.pointer(part));
        assert_eq!(first, again, "{part}");
        assert!(first.is_some_and(|value| !value.is_null()), "{part}");
    }
    assert_eq!(names(&bench).await, ["new"]);

    // What others did since then stays, whatever the tag of the list is now.
    let theirs = bench.put("/v1/sites/new", site("new", "b.example")).await;
    assert_eq!(theirs.status, 200);
    let tag = format!("\"{}\"", first.json["revision"]);
    let fields = [("idempotency-key", "deploy-42"), ("if-match", &tag)];
    let late = bench.ask("POST /v1/sites", &fields, moving()).await;
    assert_eq!(late.json["revision"], first.json["revision"], "{late:?}");
    let now = bench.get("/v1/sites/new").await;
    assert_eq!(now.json["hosts"], json!(["b.example"]));

    let other = change(&bench, "deploy-43", json!({"purge": {"sites": ["new"]}})).await;
    assert!(other.json["revision"].as_u64() > first.json["revision"].as_u64());
    let purge = json!({"purge": {"sites": ["new"]}});
    let again = change(&bench, "deploy-43", purge.clone()).await;
    assert_eq!(again.json["revision"], other.json["revision"]);
    // Without a key it is another purge each time.
    let unkeyed = bench.post("/v1/sites", purge).await;
    assert!(unkeyed.json["revision"].as_u64() > again.json["revision"].as_u64());
}

#[tokio::test]
async fn a_key_that_came_with_something_else_is_refused() {
    let bench = Bench::new().await;
    bench.site("old", "a.example", "serve").await;
    let purge = json!({"tags": ["t"]});
    let put = |host: &str| json!({"put": [site("new", host)], "purge": purge.clone()});
    let first = change(&bench, "k", put("new.example")).await;
    assert_eq!(first.status, 202, "{first:?}");
    let alone = ("idempotency-key", "k");
    let refused = [
        change(&bench, "k", put("other.example")).await,
        change(&bench, "k", json!({"purge": purge.clone()})).await,
        change(
            &bench,
            "k",
            json!({"delete": ["old"], "purge": purge.clone()}),
        )
        .await,
        change(
            &bench,
            "k",
            json!({"put": [site("new", "new.example")], "purge": {"all": true}}),
        )
        .await,
        bench.ask("POST /v1/purges", &[alone], purge.clone()).await,
    ];
    for (row, answer) in refused.iter().enumerate() {
        let found = (answer.status.as_u16(), &answer.json["type"]);
        assert_eq!(found, (422, &json!("key-reused")), "{row}: {answer:?}");
    }
    assert_eq!(names(&bench).await, ["new", "old"]);
    let there = bench.get("/v1/sites/new").await.json["hosts"].clone();
    assert_eq!(there, json!(["new.example"]));
    assert_eq!(change(&bench, "", put("new.example")).await.status, 400);
}

#[tokio::test]
async fn a_change_whose_answer_was_lost_is_found_by_its_key() {
    let bench = Bench::new().await;
    bench.site("old", "a.example", "serve").await;
    bench.store.be(Mood::LosesRequests);
    let lost = change(&bench, "k", moving()).await;
    assert_eq!(lost.json["type"], "outcome-unknown", "{lost:?}");
    assert_eq!(names(&bench).await, ["old"]);
    bench.store.be(Mood::LosesAnswer);
    let done = change(&bench, "k", moving()).await;
    assert_eq!(done.status, 202, "{done:?}");
    let again = change(&bench, "k", moving()).await;
    assert_eq!(again.json["revision"], done.json["revision"], "{again:?}");
    // Of those that come at once, one does it, and all are told of that.
    let (one, other) = (bench.second().await, bench.second().await);
    let body = || json!({"put": [site("c", "c.example")], "purge": {"sites": ["c"]}});
    let (a, b) = tokio::join!(change(&one, "c", body()), change(&other, "c", body()));
    assert_eq!((a.status.as_u16(), b.status.as_u16()), (202, 202), "{b:?}");
    assert_eq!(a.json["revision"], b.json["revision"]);
}
