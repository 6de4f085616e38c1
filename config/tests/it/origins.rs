//! Pools: what a site may say of its servers, and what it is told where that makes no sense.

use std::time::Duration;

use seawall_config::Site;
use seawall_config::site::{Balance, Check, Origin, Server};
use serde_json::{Value, json};

fn read(origin: &Value) -> Result<Origin, String> {
    let site = json!({"name": "a", "hosts": ["a"], "origin": origin});
    let read = Site::from_document(&site);
    read.map(|site| site.origin).map_err(|problems| {
        let told = problems.0.iter();
        let told = told.map(|problem| format!("{}: {}", problem.path, problem.message));
        told.collect::<Vec<_>>().join("\n")
    })
}

/// A pool of one server, and these words.
fn pool(words: &Value) -> Result<Origin, String> {
    let mut origin = json!({"server": [{"url": "https://a.test"}]});
    let words = words.as_object().unwrap().clone();
    origin.as_object_mut().unwrap().extend(words);
    read(&origin)
}

#[test]
fn one_url_is_a_pool_with_every_default() {
    let one = read(&json!("https://a.test")).unwrap();
    assert_eq!(one, pool(&json!({})).unwrap());
    let expect = Origin::of(vec![Server::of(true, "a.test".into(), 443)]);
    assert_eq!(one, expect);
    assert!(one.health.is_none() && one.breaker.is_none());
}

#[test]
fn every_word_of_a_pool_is_obeyed() {
    let origin = pool(&json!({
        "balance": "hash", "http2": true, "max_requests": 7, "max_pending": 0, "pending_timeout": "250ms",
        "retry_budget": 0, "panic_below": 100, "dns_refresh": "1m", "origin_deny": ["10.0.0.0/8", "::1"],
        "health": {"path": "/up?x=1", "expect_status": ["204", "300-399"], "expect_body": "ok", "interval": "1s"},
        "ejection": {"consecutive_failures": 0, "share_max": 0},
        "breaker": {"failures": 1, "open": "3s", "probes": 4},
    }))
    .unwrap();
    assert_eq!(origin.balance, Balance::Hash);
    assert_eq!((origin.max_requests, origin.max_pending), (7, 0));
    assert_eq!(origin.pending_timeout, Duration::from_millis(250));
    assert_eq!((origin.retry_budget, origin.panic_below), (0, 100));
    assert_eq!(origin.deny.len(), 2);
    assert_eq!(
        (
            origin.ejection.consecutive_failures,
            origin.ejection.share_max
        ),
        (0, 0)
    );
    assert_eq!(
        origin.breaker.map(|it| (it.failures, it.probes)),
        Some((1, 4))
    );
    let health = origin.health.unwrap();
    let expect = Check::Http {
        path: "/up?x=1".into(),
        statuses: vec![(204, 204), (300, 399)],
        body: Some("ok".into()),
    };
    assert_eq!(
        (health.check, health.interval),
        (expect, Duration::from_secs(1))
    );
}

#[test]
fn what_makes_no_sense_is_told_where_it_stands() {
    let check = |words: Value, expect: &str| {
        let told = pool(&words).unwrap_err();
        assert!(told.contains(expect), "{words}: {told}");
    };
    check(
        json!({"balance": "random"}),
        "origin.balance: \"random\" is not one of",
    );
    check(
        json!({"max_requests": 0}),
        "origin.max_requests: 0 is not a whole number",
    );
    check(
        json!({"retry_budget": 101}),
        "origin.retry_budget: 101 is not",
    );
    check(
        json!({"dns_refresh": "500ms"}),
        "origin.dns_refresh: 500ms is not from 1s to 3600s",
    );
    check(
        json!({"origin_deny": ["ten"]}),
        "origin.origin_deny[0]: \"ten\" is no address",
    );
    let health = |words: Value| json!({"health": words});
    check(
        health(json!({"interval": "99ms"})),
        "origin.health.interval: 99ms is not from 100ms",
    );
    check(
        health(json!({"path": "up"})),
        "origin.health.path: \"up\" is no path",
    );
    check(health(json!({"path": "/a b"})), "origin.health.path");
    check(
        health(json!({"expect_status": ["2xx"]})),
        "origin.health.expect_status[0]: \"2xx\" is no status",
    );
    for wrong in ["99", "600", "299-200", "0200", "-200", ""] {
        check(
            health(json!({"expect_status": [wrong]})),
            "origin.health.expect_status[0]",
        );
    }
    check(
        health(json!({"type": "tcp", "path": "/"})),
        "origin.health.path: a check of type \"tcp\" sends no request",
    );
    check(
        json!({"ejection": {"time": "1m", "time_max": "30s"}}),
        "origin.ejection.time_max: is shorter",
    );
    check(json!({"breaker": {"probes": 0}}), "origin.breaker.probes");
    let certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----";
    check(
        json!({"tls": {"client_certificate": certificate}}),
        "origin.tls.client_key: is missing",
    );
    check(
        json!({"tls": {"client_key": certificate}}),
        "origin.tls.client_key: holds no private key",
    );
    let key = "-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END EC PRIVATE KEY-----";
    check(
        json!({"tls": {"client_key": key}}),
        "origin.tls.client_certificate: is missing",
    );
    let twice = read(&json!({"server": [{"url": "http://a.test"}, {"url": "HTTP://A.test:80/"}]}));
    assert_eq!(
        twice.unwrap_err(),
        "origin.server[1].url: http://a.test is in the pool already; give it a weight"
    );
}
