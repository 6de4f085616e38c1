//! Who is let in: every route, asked with nothing, with a wrong token, and with tokens of each kind.

use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use futures::future::poll_immediate;
use seawall_config::tokens::TokenScope;
use seawall_control_plane::api::{self, Access, Caller, Tokens};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{Bench, token};

/// One of each kind.
fn tokens() -> Tokens {
    Tokens::new(vec![
        token("reader", &[TokenScope::Read], &[]),
        token("purger", &[TokenScope::Purge], &[]),
        token("writer", &[TokenScope::Write], &[]),
        token("edges", &[TokenScope::Edge], &[]),
        token("shop-purger", &[TokenScope::Purge], &["shop"]),
        token("shop-writer", &[TokenScope::Write], &["shop"]),
    ])
}

async fn ask(router: &Router, line: &str, token: &str, edge: Option<&str>, body: Value) -> u16 {
    let (method, path) = line.split_once(' ').unwrap();
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "cp1.example");
    if !token.is_empty() {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if method != "GET" {
        request = request.header("content-type", "application/json");
    }
    let caller = Caller {
        address: [10, 0, 0, 7].into(),
        edge: edge.map(str::to_owned),
    };
    let request = request
        .extension(caller)
        .body(Body::from(body.to_string()))
        .unwrap();
    router
        .clone()
        .oneshot(request)
        .await
        .unwrap()
        .status()
        .as_u16()
}

#[tokio::test]
async fn nobody_gets_anywhere_without_a_token_and_no_token_further_than_its_scopes() {
    let bench = Bench::new().await;
    bench.site("shop", "shop.example.com", "serve").await;
    let router = api::router(bench.plane.clone(), &Access::Guarded(tokens()));
    let site = json!({"hosts": ["shop.example.com"], "origin": "http://127.0.0.1:1"});
    let purge = || json!({"sites": ["shop"]});
    // Who gets past the gate; whatever is answered then.
    let rows: [(&str, Value, &[&str]); 13] = [
        ("GET /v1/sites", Value::Null, &["reader"]),
        (
            "GET /v1/sites/shop",
            Value::Null,
            &["reader", "writer", "shop-writer"],
        ),
        ("GET /v1/sites/other", Value::Null, &["reader", "writer"]),
        (
            "PUT /v1/sites/shop",
            site.clone(),
            &["writer", "shop-writer"],
        ),
        ("PUT /v1/sites/other", site, &["writer"]),
        ("DELETE /v1/sites/other", Value::Null, &["writer"]),
        ("POST /v1/purges", purge(), &["purger", "shop-purger"]),
        ("POST /v1/purges", json!({"tags": ["t"]}), &["purger"]),
        ("GET /v1/edges", Value::Null, &["reader"]),
        ("DELETE /v1/edges/e1", Value::Null, &["writer"]),
        ("POST /v1/edges/e1/heartbeat", Value::Null, &["edges"]),
        ("GET /v1/snapshot", Value::Null, &["reader", "edges"]),
        (
            "GET /openapi.json",
            Value::Null,
            &[
                "reader",
                "purger",
                "writer",
                "edges",
                "shop-purger",
                "shop-writer",
            ],
        ),
    ];
    for (line, body, expect) in rows {
        for token in ["", "wrong"] {
            assert_eq!(
                ask(&router, line, token, None, body.clone()).await,
                401,
                "{line} {token:?}"
            );
        }
        for token in [
            "reader",
            "purger",
            "writer",
            "edges",
            "shop-purger",
            "shop-writer",
        ] {
            let status = ask(&router, line, token, None, body.clone()).await;
            assert_eq!(
                status != 403,
                expect.contains(&token),
                "{line} {token}: {status}"
            );
            assert_ne!(status, 401, "{line} {token}");
        }
    }
}

#[tokio::test]
async fn a_token_of_one_site_leaves_its_hosts_as_they_are() {
    let bench = Bench::new().await;
    bench.site("shop", "shop.example.com", "serve").await;
    let router = api::router(bench.plane.clone(), &Access::Guarded(tokens()));
    let check = async |token: &str, hosts: &[&str], expect: u16| {
        let site = json!({"hosts": hosts, "origin": "http://127.0.0.1:1"});
        let status = ask(&router, "PUT /v1/sites/shop", token, None, site).await;
        assert_eq!(status, expect, "{token} {hosts:?}");
    };
    check("shop-writer", &["shop.example.com"], 200).await;
    check("shop-writer", &["shop.example.com", "*"], 403).await;
    check("shop-writer", &["bank.example.com"], 403).await;
    check("shop-writer", &[], 400).await;
    check("writer", &["shop.example.com", "www.example.com"], 200).await;
    check("shop-writer", &["www.example.com"], 200).await;
}

#[tokio::test]
async fn whoever_has_much_under_way_keeps_no_edge_out() {
    let bench = Bench::new().await;
    let names: Vec<_> = (0..16).map(|n| format!("purger-{n}")).collect();
    let purgers = names
        .iter()
        .map(|name| token(name, &[TokenScope::Purge], &[]))
        .chain([token("edges", &[TokenScope::Edge], &[])]);
    let access = Access::Guarded(Tokens::new(purgers.collect()));
    let router = api::router(bench.plane.clone(), &access);
    // Each begins a body and never ends it.
    let drip = |name: &str| {
        let request = Request::post("/v1/purges")
            .header("content-type", "application/json")
            .header("authorization", format!("Bearer {name}"));
        let never = futures::stream::pending::<Result<Bytes, Infallible>>();
        let request = request.body(Body::from_stream(never)).unwrap();
        Box::pin(router.clone().oneshot(request))
    };
    let mut under_way = Vec::new();
    for name in &names {
        for _ in 0..64 {
            let mut purge = drip(name);
            assert!(poll_immediate(&mut purge).await.is_none(), "it waits");
            under_way.push(purge);
        }
        let more = drip(name).await.unwrap().status();
        assert_eq!(more, 429, "{name} has enough under way");
    }
    let look = || ask(&router, "GET /openapi.json", "edges", None, Value::Null);
    assert_eq!(look().await, 503, "there is no slot left");
    let beat = "POST /v1/edges/e1/heartbeat";
    // What it lacks is told: it was read.
    assert_eq!(ask(&router, beat, "edges", None, json!({})).await, 400);
    drop(under_way);
    assert_eq!(look().await, 200);
}

#[tokio::test]
async fn a_certificate_speaks_for_its_own_edge() {
    let bench = Bench::new().await;
    let router = api::router(bench.plane.clone(), &Access::Guarded(tokens()));
    let check = async |line: &str, expect: u16| {
        let status = ask(&router, line, "", Some("e1"), json!({})).await;
        assert_eq!(status, expect, "{line}");
    };
    // What a heartbeat lacks is told to whoever may send it.
    check("POST /v1/edges/e1/heartbeat", 400).await;
    check("POST /v1/edges/e2/heartbeat", 403).await;
    check("GET /v1/snapshot", 200).await;
    check("GET /v1/edges", 403).await;
    check("POST /v1/purges", 403).await;
}

#[tokio::test]
async fn who_asks_too_often_waits_and_others_do_not() {
    let bench = Bench::new().await;
    let router = api::router(bench.plane.clone(), &Access::Guarded(tokens()));
    let mut statuses = Vec::new();
    for _ in 0..250 {
        statuses.push(ask(&router, "GET /v1/sites", "reader", None, Value::Null).await);
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 200).count(),
        200
    );
    assert!(
        statuses[200..].iter().all(|status| *status == 429),
        "{statuses:?}"
    );
    assert_eq!(
        ask(&router, "GET /openapi.json", "writer", None, Value::Null).await,
        200
    );
    let guesses = 0..250;
    let mut refused = 0;
    for n in guesses {
        refused += u32::from(
            ask(
                &router,
                "GET /v1/sites",
                &format!("guess{n}"),
                None,
                Value::Null,
            )
            .await
                == 429,
        );
    }
    assert_eq!(refused, 50, "guesses are slowed down");
}
