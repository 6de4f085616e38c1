#![allow(clippy::unwrap_used)]
use super::*;
use crate::key::Key;
use crate::ledger::Birth;
use crate::object::{Body, Parts};
use crate::rules::directives::Response;
use crate::rules::freshness::{By, Freshness};
use crate::rules::testing::head;
use crate::rules::variants::Selection;
use crate::snapshot::Snapshot;
use http::{HeaderMap, StatusCode};
use seawall_config::scope::Scheme;
use seawall_config::{Epoch, Revision};
use std::borrow::Cow;
use std::time::Duration;

/// What is decided for `request` (`METHOD|field: value|…`) on a site with `cache`, `age` seconds after an
/// object with the head `stored` and a lifetime of 60 s was received.
fn decided(
    cache: &str,
    request: &str,
    stored: Option<&str>,
    age: u64,
    life: Life,
    vouches: bool,
) -> String {
    let (method, lines) = request.split_once('|').unwrap_or((request, ""));
    let journey = journey(cache, method, head(lines));
    let shelf = stored.map(|stored| [Arc::new(object(&journey, stored))]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(age);
    match decide(
        &journey,
        shelf.as_ref().map(|shelf| &shelf[..]),
        |_| life,
        vouches,
        now,
    ) {
        Verdict::Serve { object, behind } => {
            let ttl = object.freshness.ttl(now);
            format!("serve {ttl}{}", if behind { " behind" } else { "" })
        }
        Verdict::Fetch { why, stored, .. } => {
            let how = match stored {
                Stored::Nothing => "fetch",
                Stored::Candidates(_) => "validate",
                Stored::Part(_) => "complete",
            };
            format!("{how} {}", why.as_str())
        }
        Verdict::Alone { why, .. } => format!("alone {}", why.as_str()),
        Verdict::Refuse(refusal) => format!("{refusal:?}"),
    }
}

fn journey(cache: &str, method: &str, fields: HeaderMap) -> Journey {
    let site =
        format!(r#"{{"name": "a", "hosts": ["*"], "origin": "http://127.0.0.1:9" {cache}}}"#);
    let site = serde_json::from_str(&site).unwrap();
    let snapshot = Arc::new(Snapshot::of_one(Epoch(1), &site));
    assert!(snapshot.problems().is_empty(), "{:?}", snapshot.problems());
    let served = snapshot.routes().find("a.test").unwrap().clone();
    let key = Key::new(Revision(1), Scheme::Http, "a.test", "/").unwrap();
    Journey {
        snapshot,
        served,
        key,
        method: method.parse().unwrap(),
        fields: Arc::new(fields),
        client: None,
        birth: Birth::default(),
        wanted: None,
    }
}

fn object(journey: &Journey, stored: &str) -> Object {
    let mut head = head(stored);
    let body = ranges::content_range(&head).map_or_else(Body::default, |range| {
        let bytes = vec![b'x'; range.len() as usize];
        Body::part(range.first, range.total, [bytes.into()])
    });
    head.remove(header::CONTENT_RANGE);
    let (lifetime, by) = (Duration::from_secs(60), By::MaxAge);
    let (initial_age, received) = (Duration::ZERO, SystemTime::UNIX_EPOCH);
    Object::new(Parts {
        site: "a".into(),
        key: journey.key.clone(),
        birth: Birth::default(),
        status: StatusCode::OK,
        body,
        tags: [].into(),
        selection: Selection::new(&head, &HeaderMap::new()),
        directives: Response::read(&head),
        freshness: Freshness {
            lifetime,
            by,
            initial_age,
            received,
        },
        head: Cow::Owned(head),
    })
}

#[test]
fn one_decision_for_every_request() {
    let check = |cache: &str, request: &str, stored: Option<&str>, age: u64, expect: &str| {
        assert_eq!(
            decided(cache, request, stored, age, Life::Alive, true),
            expect,
            "{cache} {request} {stored:?} at {age}"
        );
    };
    let etag = Some("etag: \"a\"");
    check("", "GET", None, 0, "fetch uri-miss");
    check("", "GET", Some(""), 10, "serve 50");
    check("", "HEAD", Some(""), 10, "serve 50");
    check("", "GET|range: bytes=0-1", Some(""), 10, "serve 50");
    check("", "GET", Some("vary: x"), 10, "serve 50");
    check("", "GET|x: 1", Some("vary: x"), 10, "fetch vary-miss");
    check("", "GET", Some(""), 60, "fetch stale");
    check("", "GET|range: bytes=0-1", Some(""), 60, "alone stale");
    check("", "GET|range: bytes=0-1", etag, 60, "validate stale");
    let variant = Some("etag: \"a\"|vary: x");
    check("", "GET|x: 1", variant, 10, "validate vary-miss");
    check(
        "",
        "GET|x: 1|range: bytes=0-1",
        variant,
        10,
        "alone vary-miss",
    );
    check("", "HEAD|x: 1", variant, 10, "alone vary-miss");
    check("", "GET", etag, 60, "validate stale");
    check("", "HEAD", etag, 60, "alone stale");
    check("", "HEAD", None, 0, "alone uri-miss");
    check("", "GET|range: bytes=0-1", None, 0, "alone uri-miss");
    check("", "GET|range: bytes=0-1,2-3", None, 0, "fetch uri-miss");
    check("", "GET|range: bytes=0-", None, 0, "fetch uri-miss");
    check("", "GET|range: bytes=1-", None, 0, "alone uri-miss");
    let if_range = "GET|range: bytes=0-|if-range: \"a\"";
    check("", if_range, None, 0, "alone uri-miss");
    let part = Some("etag: \"a\"|content-range: bytes 0-4/10");
    let untagged = Some("content-range: bytes 0-4/10");
    check("", "GET|range: bytes=1-4", part, 10, "serve 50");
    check("", "GET|range: bytes=1-5", part, 10, "alone partial");
    check("", "GET|range: bytes=1-2,4-4", part, 10, "serve 50");
    check("", "GET|range: bytes=1-2,4-5", part, 10, "complete partial");
    check("", "GET|range: bytes=10-", part, 10, "serve 50");
    check("", "GET", part, 10, "complete partial");
    check("", "GET|range: bytes=0-", part, 10, "complete partial");
    check("", "GET", untagged, 10, "complete partial");
    check("", "GET", part, 60, "complete stale");
    check("", "GET", untagged, 60, "fetch stale");
    check("", "GET|range: bytes=1-4", part, 60, "alone stale");
    check("", "HEAD", part, 10, "alone partial");
    check(
        "",
        "GET|cache-control: only-if-cached",
        None,
        0,
        "OnlyIfCached",
    );
    check(
        "",
        "GET|cache-control: only-if-cached",
        etag,
        60,
        "OnlyIfCached",
    );
    check(
        "",
        "GET|cache-control: only-if-cached",
        etag,
        10,
        "serve 50",
    );
    check("", "GET|cache-control: no-cache", etag, 10, "serve 50");
    let honours = r#", "cache": {"client_directives": "honour"}"#;
    check(
        honours,
        "GET|cache-control: no-cache",
        etag,
        10,
        "validate request",
    );
    check(
        honours,
        "GET|cache-control: max-stale=5",
        etag,
        63,
        "serve -3",
    );
    let behind = r#", "cache": {"stale_while_revalidate": "10s"}"#;
    check(behind, "GET", etag, 63, "serve -3 behind");
    check(
        r#", "rule": [{"path": "/*", "cache": "off"}]"#,
        "GET",
        etag,
        10,
        "alone bypass",
    );
}

#[test]
fn what_was_purged_or_cannot_be_vouched_for_is_not_used() {
    let etag = Some("etag: \"a\"");
    let check = |cache: &str, life: Life, vouches: bool, expect: &str| {
        assert_eq!(
            decided(cache, "GET", etag, 10, life, vouches),
            expect,
            "{cache} {life:?} {vouches}"
        );
    };
    check("", Life::SoftDead, true, "validate stale");
    // A hard-dead object sends no validators: the origin may call it good by mistake.
    check("", Life::HardDead, true, "fetch uri-miss");
    check("", Life::Alive, false, "serve 50");
    check(
        r#", "on_partition": "revalidate""#,
        Life::Alive,
        false,
        "fetch uri-miss",
    );
    check(
        r#", "on_partition": "refuse""#,
        Life::Alive,
        false,
        "Fenced",
    );
}
