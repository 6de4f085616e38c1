//! What a store's log leaves out is found out, and what somebody wrote into the store by hand stops nobody.

use bytes::Bytes;
use seawall_control_plane::keys;
use seawall_control_plane::store::{Store, Txn, Write};
use serde_json::json;

use crate::support::{Bench, CAP, Mood, eventually};

#[tokio::test]
async fn what_the_log_left_out_is_found_and_read() {
    let bench = Bench::ticking().await;
    bench.site("a", "a.example", "serve").await;
    assert_eq!(bench.plane.reconcile().await, Ok(0));
    // A beacon may be swallowed instead: then it is tried again.
    for n in 0.. {
        let name = format!("lost-{n}");
        bench.store.be(Mood::LosesStep);
        let document = json!({"owner": "api", "site": {"name": name, "hosts": [format!("{name}.example")], "origin": "http://127.0.0.1:1"}});
        write(&bench, &keys::site(&name), document.to_string()).await;
        bench.site("after", "after.example", "serve").await;
        let path = format!("/v1/sites/{name}");
        if bench.get(&path).await.status == 200 {
            continue;
        }
        assert_eq!(bench.plane.reconcile().await, Ok(1));
        eventually(&bench, &path, |answer| answer.status == 200).await;
        break;
    }
    assert_eq!(bench.plane.reconcile().await, Ok(0));
}

#[tokio::test]
async fn a_site_that_cannot_be_read_stays_a_site_and_can_be_put_again() {
    let bench = Bench::new().await;
    for (n, value) in [
        "",
        "{",
        "7",
        "\u{0}",
        r#"{"owner":"api","site":{"name":"other"}}"#,
    ]
    .into_iter()
    .map(str::to_owned)
    .chain([
        format!("{}1{}", "[".repeat(10_000), "]".repeat(10_000)),
        "x".repeat(1_000_000),
    ])
    .enumerate()
    {
        let name = format!("s{n}");
        bench.site(&name, &format!("{name}.example"), "serve").await;
        write(&bench, &keys::site(&name), value).await;
        let path = format!("/v1/sites/{name}");
        let answer = eventually(&bench, &path, |answer| answer.json.is_null()).await;
        assert_eq!(answer.status, 200, "it is there, and says nothing");
        let restarted = bench.second().await;
        assert!(restarted.get(&path).await.json.is_null());
        let snapshot = restarted.get("/v1/snapshot").await.json;
        let sites = snapshot["sites"].as_array().unwrap();
        assert!(
            sites
                .iter()
                .any(|site| site["name"] == *name && site["site"].is_null())
        );
        bench.site(&name, &format!("{name}.example"), "serve").await;
        assert!(!bench.get(&path).await.json.is_null());
    }
}

#[tokio::test]
async fn a_purge_that_cannot_be_read_purges_everything() {
    let bench = Bench::new().await;
    write(
        &bench,
        &keys::purge("by-hand"),
        r#"{"scopes":[{"moon":"full"}]}"#.into(),
    )
    .await;
    let seen = |answer: &crate::support::Answer| {
        let purges = answer.json["purges"].as_array().unwrap();
        purges
            .iter()
            .any(|purge| purge["scopes"] == json!(["everything"]) && purge["mode"] == "hard")
    };
    eventually(&bench, "/v1/snapshot", seen).await;
}

async fn write(bench: &Bench, key: &str, value: String) {
    let writes = vec![Write::Put(key.into(), Bytes::from(value))];
    let txn = Txn {
        writes,
        ..Txn::default()
    };
    tokio::time::timeout(CAP, bench.store.commit(txn))
        .await
        .unwrap()
        .unwrap();
}
