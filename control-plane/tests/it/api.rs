//! What the API refuses, and how; and what it says when the store does not answer.

use axum::body::Body;
use axum::http::Request;
use serde_json::{Value, json};

use crate::support::{Bench, Mood};

fn document(host: &str) -> Value {
    json!({"hosts": [host], "origin": "http://127.0.0.1:9000"})
}

#[tokio::test]
async fn what_is_wrong_is_refused_and_named() {
    let bench = Bench::new().await;
    let check = async |line: &str, body: Value, status: u16, kind: &str, paths: &[&str]| {
        let answer = bench.ask(line, &[], body).await;
        assert_eq!(answer.status, status, "{line} {answer:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(
            (&answer.json["type"], &answer.json["status"]),
            (&json!(kind), &json!(status))
        );
        assert!(answer.json["title"].is_string() && answer.json["detail"].is_string());
        let problems = answer.json["problems"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let found: Vec<_> = problems
            .iter()
            .map(|problem| problem["path"].as_str().unwrap())
            .collect();
        assert_eq!(found, paths, "{line} {problems:?}");
    };
    let site = "PUT /v1/sites/a";
    check(
        site,
        json!({"hosts": ["a"], "origin": "9000", "hots": 1}),
        400,
        "invalid",
        &["hots", "origin"],
    )
    .await;
    check(
        site,
        json!({"name": "b", "hosts": ["a"], "origin": "http://a"}),
        400,
        "invalid",
        &["name"],
    )
    .await;
    check(site, json!([]), 400, "invalid", &[""]).await;
    check("PUT /v1/sites/A", document("a"), 400, "invalid", &["name"]).await;
    let long = json!({"hosts": ["a"], "origin": "x".repeat(300_000)});
    check(site, long, 413, "too-large", &[]).await;
    let purge = "POST /v1/purges";
    check(purge, json!({}), 400, "invalid", &[""]).await;
    check(
        purge,
        json!({"urls": ["/a"], "tags": ["a b"]}),
        400,
        "invalid",
        &["urls[0]", "tags[0]"],
    )
    .await;
    check(purge, json!({"urls": [7]}), 400, "invalid", &["urls[0]"]).await;
    check(purge, json!({"paths": ["/a"]}), 400, "invalid", &["paths"]).await;
    check(
        purge,
        json!({"all": true, "mode": "firm"}),
        400,
        "invalid",
        &["mode"],
    )
    .await;
    check(
        purge,
        json!({"sites": ["none"]}),
        400,
        "invalid",
        &["sites[0]"],
    )
    .await;
    check(
        purge,
        json!({"all": true, "mode": "soft", "settle": "2s"}),
        400,
        "invalid",
        &["settle"],
    )
    .await;
    check(
        purge,
        json!({"tags": ["x".repeat(1_100_000)]}),
        413,
        "too-large",
        &[],
    )
    .await;
    check(
        "POST /v1/purges?wait=forever",
        json!({"all": true}),
        400,
        "invalid",
        &["wait"],
    )
    .await;
    check(
        "POST /v1/purges?timeout=5",
        json!({"all": true}),
        400,
        "invalid",
        &["timeout"],
    )
    .await;
    check(
        "POST /v1/purges?wait=complete&timeout=61s",
        json!({"all": true}),
        400,
        "invalid",
        &["timeout"],
    )
    .await;
    check(
        "POST /v1/purges?until=complete",
        json!({"all": true}),
        400,
        "invalid",
        &["query"],
    )
    .await;
    check(
        "GET /v1/purges/7000",
        Value::Null,
        404,
        "no-such-purge",
        &[],
    )
    .await;
    check("GET /v1/purges/new", Value::Null, 400, "invalid", &["path"]).await;
    check(
        "DELETE /v1/edges/none",
        Value::Null,
        404,
        "no-such-edge",
        &[],
    )
    .await;
    check(
        "POST /v1/edges/E!/heartbeat",
        json!({}),
        400,
        "invalid",
        &[""],
    )
    .await;
    check("GET /v1/feed", Value::Null, 400, "invalid", &["query"]).await;
    check(
        "GET /v1/feed?after=1",
        Value::Null,
        400,
        "invalid",
        &["query"],
    )
    .await;
    check("GET /v2", Value::Null, 404, "no-such-path", &[]).await;
    check("DELETE /v1/sites", Value::Null, 405, "no-such-method", &[]).await;
}

#[tokio::test]
async fn only_this_machine_and_only_json_get_through() {
    let bench = Bench::new().await;
    let foreign = bench
        .ask("GET /v1/sites", &[("host", "evil.example")], Value::Null)
        .await;
    assert_eq!(
        (foreign.status.as_u16(), &foreign.json["type"]),
        (403, &json!("foreign-host"))
    );
    let request = Request::post("/v1/purges").header("host", "localhost");
    let form = request
        .header("content-type", "text/plain")
        .body(Body::from(r#"{"all":true}"#))
        .unwrap();
    let form = bench.send(form).await;
    assert_eq!(
        (form.status.as_u16(), &form.json["type"]),
        (415, &json!("not-json"))
    );
    let request = Request::post("/v1/purges").header("host", "localhost");
    let cut = request
        .header("content-type", "application/json")
        .body(Body::from(r#"{"all":"#))
        .unwrap();
    assert_eq!(bench.send(cut).await.status, 400);
    let unknown = bench.ask("DELETE /v1/sites", &[], Value::Null).await;
    assert_eq!(unknown.headers["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn a_purge_is_accepted_with_its_place_in_the_order() {
    let bench = Bench::new().await;
    bench.site("shop", "shop.example", "serve").await;
    let first = bench
        .post("/v1/purges", json!({"sites": ["shop"], "mode": "soft"}))
        .await;
    assert_eq!(first.status, 202, "{first:?}");
    let revision = first.json["revision"].as_u64().unwrap();
    assert_eq!(first.headers["location"], format!("/v1/purges/{revision}"));
    assert_eq!(
        first.json["token"],
        format!("{}-{revision}", bench.plane.epoch())
    );
    assert!(bench.purge(json!({"all": true})).await > revision);
    let read = bench.get(&format!("/v1/purges/{revision}")).await;
    assert_eq!((read.status.as_u16(), &read.json), (200, &first.json));
}

#[tokio::test]
async fn without_the_store_nothing_is_promised() {
    let bench = Bench::new().await;
    bench.site("shop", "shop.example", "serve").await;
    bench.store.be(Mood::Down);
    let answers = [
        bench.post("/v1/purges", json!({"all": true})).await,
        bench.put("/v1/sites/a", document("a")).await,
        bench.delete("/v1/sites/shop").await,
        bench.delete("/v1/edges/e1").await,
        bench.heartbeat("e1", "b", 0).await,
    ];
    for answer in answers {
        assert_eq!(
            (answer.status.as_u16(), &answer.json["type"]),
            (503, &json!("store-unavailable"))
        );
        assert_eq!(answer.headers["retry-after"], "1");
    }
    assert_eq!(
        bench.get("/v1/sites/shop").await.status,
        200,
        "what is known can be read"
    );
    bench.store.be(Mood::Fine);
    assert_eq!(bench.delete("/v1/sites/shop").await.status, 204);
}

#[tokio::test]
async fn a_lost_answer_is_looked_up_and_a_lost_request_is_sent_again() {
    let bench = Bench::new().await;
    bench.store.be(Mood::LosesAnswer);
    let purge = bench.post("/v1/purges", json!({"all": true})).await;
    assert_eq!(purge.status, 202, "it was written, and found by its id");
    bench.store.be(Mood::LosesRequest);
    let purge = bench.post("/v1/purges", json!({"all": true})).await;
    assert_eq!(purge.status, 202, "it was sent again under its id");
    bench.store.be(Mood::LosesRequests);
    let purge = bench.post("/v1/purges", json!({"all": true})).await;
    assert_eq!(
        (purge.status.as_u16(), &purge.json["type"]),
        (503, &json!("outcome-unknown"))
    );
    assert_eq!(purge.json["id"].as_str().map(str::len), Some(32));

    for (mood, site) in [(Mood::LosesRequest, "b"), (Mood::LosesAnswer, "a")] {
        bench.store.be(mood);
        let document = document(&format!("{site}.example"));
        let put = bench.put(&format!("/v1/sites/{site}"), document).await;
        assert_eq!(put.status, 201, "{mood:?}");
    }
    bench.store.be(Mood::Fine);
    let put = bench.put("/v1/sites/a", document("c.example")).await;
    assert_eq!(
        put.headers["etag"],
        bench.get("/v1/sites/a").await.headers["etag"]
    );
    bench.store.be(Mood::LosesRequests);
    let put = bench.put("/v1/sites/a", document("d.example")).await;
    assert_eq!(
        (put.status.as_u16(), &put.json["type"]),
        (503, &json!("outcome-unknown"))
    );
    bench.store.be(Mood::LosesAnswer);
    assert_eq!(bench.delete("/v1/sites/a").await.status, 204);
}

#[tokio::test]
async fn the_api_describes_itself() {
    let bench = Bench::new().await;
    let answer = bench.get("/openapi.json").await;
    assert_eq!(answer.status, 200);
    assert!(
        answer.json["openapi"]
            .as_str()
            .is_some_and(|version| version.starts_with("3."))
    );
}
