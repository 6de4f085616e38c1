//! The feed and the snapshot, as an edge sees them.

use std::time::Duration;

use axum::http::{Request, StatusCode, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use seawall_config::feed::{Beacon, Change, Frame, Snapshot};
use seawall_config::{Mode, Revision, Scope};
use seawall_control_plane::api;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Bench, CAP, Mood};

fn changes(frames: &[Frame]) -> Vec<(Revision, &Change)> {
    let changes = frames
        .iter()
        .flat_map(|frame| frame.changes.iter().map(|change| (frame.revision, change)));
    changes
        .filter(|(_, change)| !matches!(change, Change::Beacon(_)))
        .collect()
}

fn beacons(frames: &[Frame]) -> Vec<(Revision, &Beacon)> {
    let changes = frames
        .iter()
        .flat_map(|frame| frame.changes.iter().map(|change| (frame.revision, change)));
    changes
        .filter_map(|(revision, change)| match change {
            Change::Beacon(beacon) => Some((revision, beacon)),
            _ => None,
        })
        .collect()
}

fn snapshot(bench: &Bench) -> Snapshot {
    serde_json::from_slice(&bench.plane.snapshot().unwrap()).unwrap()
}

#[tokio::test]
async fn a_follower_hears_every_change_once_and_in_order() {
    let bench = Bench::new().await;
    let start = snapshot(&bench).revision;
    bench.site("a", "a.example", "serve").await;
    let purge = bench
        .purge(json!({"hosts": ["a.example"], "mode": "soft"}))
        .await;
    bench.delete("/v1/sites/a").await;
    let query = format!("after={}-{start}", bench.plane.epoch());
    let frames = bench
        .feed(&query, |frames| changes(frames).len() >= 3)
        .await;
    let heard = changes(&frames);
    let [
        (put_at, Change::PutSite(site)),
        (purged_at, purged),
        (deleted_at, deleted),
    ] = heard[..]
    else {
        panic!("{frames:?}")
    };
    assert_eq!(
        (site.name.as_str(), site.created, site.revision),
        ("a", put_at, put_at)
    );
    assert_eq!(site.site["on_partition"], "serve");
    let scopes = vec![Scope::Host("a.example".into())];
    assert_eq!(
        (purged_at.0, purged),
        (
            purge,
            &Change::Purge {
                scopes,
                mode: Mode::Soft,
                settle_ms: 0,
            }
        )
    );
    assert_eq!(deleted, &Change::DeleteSite { name: "a".into() });
    assert!(put_at < purged_at && purged_at < deleted_at);
    assert!(
        frames
            .windows(2)
            .all(|pair| pair[0].revision < pair[1].revision),
        "{frames:?}"
    );

    let query = format!("after={}-{purge}", bench.plane.epoch());
    let rest = bench.feed(&query, |frames| !frames.is_empty()).await;
    assert_eq!(changes(&rest), [(deleted_at, deleted)]);
}

#[tokio::test]
async fn the_first_line_comes_at_once() {
    let bench = Bench::new().await;
    let start = snapshot(&bench).revision;
    let query = format!("after={}-{start}", bench.plane.epoch());
    let frames = bench.feed(&query, |frames| !frames.is_empty()).await;
    assert!(frames[0].revision >= start);
}

#[tokio::test]
async fn a_beacon_is_written_each_second_by_one_of_the_planes() {
    let one = Bench::new().await;
    let _other = one.second().await;
    let query = format!("after={}-{}", one.plane.epoch(), snapshot(&one).revision);
    let mut known = 0;
    for _ in 0..5 {
        one.advance(Duration::from_secs(1));
        let frames = one
            .feed(&query, |frames| beacons(frames).len() > known)
            .await;
        known = beacons(&frames).len();
    }
    let frames = one
        .feed(&query, |frames| beacons(frames).len() >= known)
        .await;
    let ids: std::collections::BTreeSet<_> = beacons(&frames)
        .iter()
        .map(|(_, beacon)| beacon.id.clone())
        .collect();
    assert_eq!(ids.len(), known, "each is another");
    assert_eq!(known, 5, "two planes write no more than one");
}

#[tokio::test]
async fn a_feed_that_cannot_be_continued_says_why() {
    let bench = Bench::new().await;
    bench.site("a", "a.example", "serve").await;
    let epoch = bench.plane.epoch();
    let frames = bench
        .feed(&format!("after={epoch}-0"), |frames| {
            !beacons(frames).is_empty()
        })
        .await;
    let (beacon_at, beacon) = beacons(&frames)[0];
    let id = &beacon.id;
    let here = snapshot(&bench).revision;
    let check = async |query: String, expect: &str| {
        let answer = bench.get(&format!("/v1/feed?{query}")).await;
        assert_eq!(
            (answer.status, &answer.json["type"]),
            (StatusCode::GONE, &json!(expect)),
            "{query}"
        );
    };
    check(format!("after={}-{here}", epoch.0 + 1), "history-differs").await;
    check(format!("after={epoch}-{}", here.0 + 100), "history-differs").await;
    check(
        format!("after={epoch}-{here}&beacon={beacon_at}-other"),
        "history-differs",
    )
    .await;
    check(
        format!("after={epoch}-{here}&beacon={here}-{id}x"),
        "history-differs",
    )
    .await;
    check(
        format!("after={epoch}-{here}&beacon={}-{id}", here.0 + 100),
        "history-differs",
    )
    .await;
    let query = format!("after={epoch}-{here}&beacon={beacon_at}-{id}");
    let fine = bench.feed(&query, |frames| !frames.is_empty()).await;
    assert!(changes(&fine).is_empty());
    let malformed = bench
        .get(&format!("/v1/feed?after={epoch}-{here}&beacon=7"))
        .await;
    assert_eq!(malformed.status, 400);
}

#[tokio::test]
async fn a_restarted_plane_goes_on_where_its_followers_were() {
    let bench = Bench::new().await;
    let epoch = bench.plane.epoch();
    bench.site("a", "a.example", "serve").await;
    let first = bench.purge(json!({"tags": ["one"]})).await;
    let frames = bench
        .feed(&format!("after={epoch}-0"), |frames| {
            !beacons(frames).is_empty()
        })
        .await;
    let (beacon_at, beacon) = beacons(&frames)[0];
    let resume = format!("after={epoch}-{first}&beacon={beacon_at}-{}", beacon.id);
    let second = bench.purge(json!({"tags": ["two"]})).await;
    bench.delete("/v1/sites/a").await;

    let bench = bench.restarted().await;
    let frames = bench
        .feed(&resume, |frames| changes(frames).len() >= 2)
        .await;
    let heard = changes(&frames);
    assert_eq!(heard[0].0.0, second);
    assert_eq!(heard[1].1, &Change::DeleteSite { name: "a".into() });
    let purges: Vec<_> = snapshot(&bench)
        .purges
        .iter()
        .map(|purge| purge.revision.0)
        .collect();
    assert_eq!(
        (purges, snapshot(&bench).floor),
        (vec![first, second], Revision(0)),
        "nobody is flushed"
    );
}

#[tokio::test]
async fn a_plane_over_a_compacted_store_keeps_what_is_left() {
    let bench = Bench::new().await;
    let epoch = bench.plane.epoch();
    let first = bench.purge(json!({"tags": ["one"]})).await;
    let second = bench.purge(json!({"tags": ["two"]})).await;
    bench.store.forget_before(second);
    let bench = bench.restarted().await;
    let gone = bench
        .get(&format!("/v1/feed?after={epoch}-{}", first - 1))
        .await;
    assert_eq!(
        (gone.status, &gone.json["type"]),
        (StatusCode::GONE, &json!("history-gone"))
    );
    let frames = bench
        .feed(&format!("after={epoch}-{}", second - 1), |frames| {
            !frames.is_empty()
        })
        .await;
    assert_eq!(changes(&frames)[0].0.0, second);
    assert_eq!(snapshot(&bench).purges.len(), 2, "the records are whole");
    assert_eq!(snapshot(&bench).floor, Revision(0), "so nobody is flushed");
}

#[tokio::test]
async fn a_snapshot_and_the_feed_after_it_are_everything() {
    let bench = Bench::new().await;
    bench.site("a", "a.example", "serve").await;
    let purge = bench.purge(json!({"all": true})).await;
    let answer = bench.get("/v1/snapshot").await;
    let snapshot: Snapshot = serde_json::from_value(answer.json).unwrap();
    assert_eq!(snapshot.epoch, bench.plane.epoch());
    assert_eq!(snapshot.sites[0].name, "a");
    assert_eq!(snapshot.purges[0].revision.0, purge);
    assert!(snapshot.revision.0 >= purge);
    bench.site("b", "b.example", "serve").await;
    let beacon = snapshot
        .beacon
        .map(|(at, beacon)| format!("&beacon={at}-{}", beacon.id))
        .unwrap_or_default();
    let query = format!("after={}-{}{beacon}", snapshot.epoch, snapshot.revision);
    let frames = bench
        .feed(&query, |frames| !changes(frames).is_empty())
        .await;
    assert!(matches!(changes(&frames)[0].1, Change::PutSite(site) if site.name == "b"));
}

#[tokio::test]
async fn a_follower_of_one_plane_hears_what_another_was_told() {
    let one = Bench::new().await;
    let other = one.second().await;
    let query = format!("after={}-{}", one.plane.epoch(), snapshot(&other).revision);
    let purge = one.purge(json!({"all": true})).await;
    let frames = other
        .feed(&query, |frames| !changes(frames).is_empty())
        .await;
    assert_eq!(changes(&frames)[0].0.0, purge);
    one.site("late", "late.example", "serve").await;
    assert_eq!(
        other
            .post("/v1/purges", json!({"sites": ["late"]}))
            .await
            .status,
        202
    );
}

#[tokio::test]
async fn a_plane_that_stops_ends_its_feeds() {
    let bench = Bench::new().await;
    let after = format!("{}-{}", bench.plane.epoch(), snapshot(&bench).revision)
        .parse()
        .unwrap();
    let mut follower = bench.plane.subscribe(after, None).await.unwrap();
    assert!(matches!(follower.next().await, Some(Ok(_))));
    bench.plane.stop().await;
    let ended = tokio::time::timeout(CAP, async { while follower.next().await.is_some() {} });
    ended.await.expect("the feed ends");
}

#[tokio::test]
async fn a_plane_whose_store_is_silent_is_not_ready() {
    let bench = Bench::new().await;
    assert_eq!(bench.plane.ready(), Ok(()));
    bench.store.be(Mood::Down);
    bench.advance(Duration::from_secs(6));
    assert!(bench.plane.ready().is_err());
    bench.store.be(Mood::Fine);
    bench.site("a", "a.example", "serve").await;
    assert_eq!(bench.plane.ready(), Ok(()));
}

#[tokio::test]
async fn the_feed_is_followed_over_http_1_and_over_http_2_without_tls() {
    let bench = Bench::new().await;
    let purge = bench.purge(json!({"all": true})).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(
        axum::serve(
            listener,
            api::router(bench.plane.clone(), &api::Access::Open),
        )
        .into_future(),
    );
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
        let uri = format!(
            "http://{address}/v1/feed?after={}-{}",
            bench.plane.epoch(),
            purge - 1
        );
        let mut request = Request::get(uri)
            .version(version)
            .body(Empty::<bytes::Bytes>::new())
            .unwrap();
        let answer = match version {
            Version::HTTP_2 => {
                let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), stream);
                let (mut sender, connection) = handshake.await.unwrap();
                tokio::spawn(connection);
                sender.send_request(request).await.unwrap()
            }
            _ => {
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(stream).await.unwrap();
                tokio::spawn(connection);
                request
                    .headers_mut()
                    .insert("host", address.to_string().parse().unwrap());
                sender.send_request(request).await.unwrap()
            }
        };
        assert_eq!(
            (answer.status(), answer.version()),
            (StatusCode::OK, version)
        );
        assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
        let chunk = tokio::time::timeout(CAP, answer.into_body().frame())
            .await
            .expect("a line");
        let chunk = chunk.unwrap().unwrap().into_data().unwrap();
        let first: Value =
            serde_json::from_slice(chunk.split(|b| *b == b'\n').next().unwrap()).unwrap();
        assert_eq!(first["revision"], purge);
    }
    server.abort();
}
