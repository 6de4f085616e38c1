//! Another history than the one that is known is refused, until an operator raises the epoch.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_of_one_cluster_share_an_epoch() {
    let Some(bench) = Bench::start(Version::V3_4, 1) else {
        return;
    };
    let (one, other) = (bench.store(), bench.store());
    let (a, b) = tokio::join!(one.head(), other.head());
    a.unwrap();
    b.unwrap();
    assert_eq!(one.epoch(), other.epoch());
    let restarted = bench.store();
    restarted.head().await.unwrap();
    assert_eq!(restarted.epoch(), one.epoch());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_backup_is_refused_until_the_epoch_is_raised() {
    for version in BOTH {
        let Some(mut bench) = Bench::start(version, 1) else {
            return;
        };
        let store = bench.store();
        let kept = write(&store, [put("/seawall/v1/a", 1)]).await;
        let mut follow = following(&store, kept).await;
        let backup = bench.etcd.backup();
        let mut lost = kept;
        for n in 0..10 {
            lost = write(&store, [put(keys::BEACON, n)]).await;
        }
        until(&mut follow, lost).await;
        let epoch = store.epoch();
        bench.etcd.restore(&backup);

        // Who lived through it, and who comes back and remembers.
        for store in [&store, &bench.store()] {
            refuses(store).await;
        }
        // Writes by others do not heal it, even when they pass what was known.
        for n in 0..20 {
            bench.etcd.ctl(0, &["put", "/else", &n.to_string()]);
        }
        for store in [&store, &bench.store()] {
            refuses(store).await;
        }

        let raised = store.raise_epoch().await.unwrap();
        assert!(raised > epoch, "{raised:?} after {epoch:?}");
        let after = write(&store, [put("/seawall/v1/b", 1)]).await;
        assert_eq!(store.epoch(), raised);
        // Followers of the old history are told to begin anew.
        let told = tokio::time::timeout(CAP, follow.next()).await.unwrap();
        let ended = matches!(told, Some(Err(StoreError::Unavailable(_))));
        assert!(ended, "{told:?}");
        let before = Revision(after.0 - 1);
        let mut anew = following(&store, before).await;
        until(&mut anew, after).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_that_lacks_one_write_is_refused_whoever_writes_first_after_it() {
    for others_write in [0, 1, 5] {
        let Some(mut bench) = Bench::start(Version::V3_4, 1) else {
            return;
        };
        let store = bench.store();
        let kept = write(&store, [put("/seawall/v1/a", 1)]).await;
        let mut follow = following(&store, Revision(kept.0 - 1)).await;
        let backup = bench.etcd.backup();
        let lost = write(&store, [put("/seawall/v1/lost", 1)]).await;
        until(&mut follow, lost).await;
        bench.etcd.restore(&backup);
        // By other hands, up to the revision that was lost, and past it.
        for n in 0..others_write {
            bench
                .etcd
                .ctl(0, &["put", "/seawall/v1/else", &n.to_string()]);
        }
        let refused = async {
            loop {
                let txn = Txn {
                    writes: vec![put("/seawall/v1/new", 1)],
                    ..Txn::default()
                };
                match store.commit(txn).await {
                    Err(StoreError::Unavailable(why)) if why.contains("raise the epoch") => return,
                    Ok(done) if others_write == 0 => panic!("{done:?} in another history"),
                    _ => {}
                }
            }
        };
        let refused = tokio::time::timeout(CAP, refused).await;
        refused.unwrap_or_else(|_| panic!("never refused after {others_write} writes of others"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_cluster_is_refused_by_everyone() {
    let Some(bench) = Bench::start(Version::V3_4, 1) else {
        return;
    };
    let record = r#"{"epoch":7,"cluster":"abc"}"#;
    bench.etcd.ctl(0, &["put", keys::HISTORY, record]);
    let store = bench.store();
    let why = refuses(&store).await;
    assert!(why.contains("cluster abc"), "{why}");
    store.raise_epoch().await.unwrap();
    write(&store, [put("/seawall/v1/a", 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_holds_another_history_is_left_for_one_that_holds_the_known_one() {
    let (Some(mut bench), Some(other)) = (
        Bench::start(Version::V3_4, 1),
        Etcd::start(Version::V3_4, 1),
    ) else {
        return;
    };
    let known = write(&bench.store(), [put("/seawall/v1/a", 1)]).await;
    let endpoints = vec![bench.etcd.endpoint(0), other.endpoint(0)];
    // Each store begins with any of the two.
    for n in 0..4 {
        let store = bench.store_by(endpoints.clone(), None);
        let mut follow = following(&store, known).await;
        let at = write(&store, [put("/seawall/v1/b", n)]).await;
        until(&mut follow, at).await;
        bench.etcd.kill(0);
        refuses(&store).await;
        bench.etcd.start_again(0);
        let at = faults::commit_soon(&store, put("/seawall/v1/b", n)).await;
        until(&mut follow, at).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_emptied_store_and_a_record_that_cannot_be_read_are_refused() {
    let Some(bench) = Bench::start(Version::V3_5, 1) else {
        return;
    };
    let store = bench.store();
    let at = write(&store, [put(keys::BEACON, 1)]).await;
    let before = Revision(at.0 - 1);
    let mut follow = following(&store, before).await;
    until(&mut follow, at).await;
    bench.etcd.ctl(0, &["del", keys::HISTORY]);
    let why = refuses(&store).await;
    assert!(why.contains("lost this deployment's history"), "{why}");
    bench.etcd.ctl(0, &["put", keys::HISTORY, "{"]);
    let why = refuses(&bench.store()).await;
    assert!(why.contains("cannot be read"), "{why}");
    let epoch = store.epoch();
    assert!(store.raise_epoch().await.unwrap() > epoch);
    write(&store, [put("/seawall/v1/a", 1)]).await;
}

/// What it says when it is asked for anything; the first question may be what finds it out.
async fn refuses(store: &EtcdStore) -> String {
    let found_out = async {
        loop {
            if let Err(StoreError::Unavailable(why)) = store.head().await {
                return why;
            }
        }
    };
    tokio::time::timeout(CAP, found_out)
        .await
        .expect("a refusal in time");
    let txn = Txn {
        writes: vec![put("/seawall/v1/refused", 1)],
        ..Txn::default()
    };
    let refusals = [
        store.commit(txn).await.err(),
        store.read("/seawall/").await.err(),
        store.follow(keys::ROOT, Revision(0)).await.err(),
    ];
    let why = refusals.map(|refusal| match refusal {
        Some(StoreError::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    });
    assert!(why.iter().all(|it| *it == why[0]), "{why:?}");
    why[0].clone()
}
